//! Embeddings: second populations, and the files they are read from.

use outlay_audit::{Embeddings, NpyError, clusters, spectra};

use crate::draw::Draw;

/// A number of a normal distribution, by Box and Muller.
fn normal(draw: &mut Draw) -> f64 {
    let mut uniform = || (draw.below(1 << 30) as f64 + 0.5) / f64::from(1 << 30);
    (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()
}

/// Rows of two labels, each normal about its own mean; the first so many rows of label 1 are shifted by so much along one direction.
fn gaussians(
    seed: u64,
    n_rows: usize,
    n_columns: usize,
    n_shifted: usize,
    shift: f64,
) -> (Embeddings, Vec<u32>) {
    let mut draw = Draw(seed);
    let mut values = Vec::new();
    let labels: Vec<u32> = (0..n_rows as u32).map(|row| row % 2).collect();
    for (row, label) in labels.iter().enumerate() {
        let is_shifted = *label == 1 && row / 2 < n_shifted;
        for column in 0..n_columns {
            let mean = f64::from(*label) * 3.0
                + if is_shifted {
                    shift / (n_columns as f64).sqrt()
                } else {
                    0.0
                };
            // Columns of several widths, as embeddings have.
            let width = 1.0 / (1.0 + (column % 7) as f64);
            values.push((mean + width * normal(&mut draw)) as f32);
        }
    }
    (Embeddings::new(n_rows, n_columns, values).unwrap(), labels)
}

#[test]
fn a_planted_population_is_found_and_its_rows_are_named() {
    for (n_shifted, shift) in [(20, 8.0), (50, 8.0), (100, 6.0)] {
        let (embeddings, labels) = gaussians(4, 4000, 32, n_shifted, shift);
        let spectra = spectra(&embeddings, &labels, 0.05);
        assert!(!spectra[0].is_separated, "{:?}", spectra[0].mixture);
        assert!(spectra[1].is_separated, "{:?}", spectra[1].mixture);
        let n_found = spectra[1]
            .suspects
            .iter()
            .filter(|row| **row / 2 < n_shifted)
            .count();
        assert!(n_found >= n_shifted * 95 / 100, "{n_found} of {n_shifted}");
        // 1.5 ε of the label's rows, as the algorithm has it.
        assert_eq!(spectra[1].suspects.len(), 150);
    }
    let (embeddings, labels) = gaussians(4, 4000, 32, 300, 8.0);
    let clusters = clusters(&embeddings, &labels);
    assert!(!clusters[0].is_suspicious, "{:?}", clusters[0].silhouette);
    assert!(
        clusters[1].is_suspicious,
        "{:?} {:?}",
        clusters[1].silhouette, clusters[1].smaller_share
    );
    let n_found = clusters[1]
        .suspects
        .iter()
        .filter(|row| **row / 2 < 300)
        .count();
    assert!(
        n_found >= 295 && clusters[1].suspects.len() <= 310,
        "{n_found} of {}",
        clusters[1].suspects.len()
    );
}

#[test]
fn clean_rows_have_no_suspects() {
    for seed in 0..30 {
        let (embeddings, labels) = gaussians(seed, 1000, 16, 0, 0.0);
        for spectrum in spectra(&embeddings, &labels, 0.1) {
            assert!(
                !spectrum.is_separated && spectrum.suspects.is_empty(),
                "{:?}",
                spectrum.mixture
            );
        }
        for clusters in clusters(&embeddings, &labels) {
            assert!(!clusters.is_suspicious && clusters.suspects.is_empty());
        }
    }
}

#[test]
fn odd_tables_have_no_suspects_and_no_fault() {
    let one = |n_rows: usize, n_columns: usize, number: f32| {
        let embeddings =
            Embeddings::new(n_rows, n_columns, vec![number; n_rows * n_columns]).unwrap();
        let labels = vec![0; n_rows];
        for spectrum in spectra(&embeddings, &labels, f64::NAN) {
            assert!(!spectrum.is_separated);
        }
        for clusters in clusters(&embeddings, &labels) {
            assert!(!clusters.is_suspicious);
        }
    };
    for number in [
        0.0,
        1.0,
        f32::NAN,
        f32::INFINITY,
        f32::MAX,
        f32::MIN_POSITIVE,
    ] {
        for (n_rows, n_columns) in [(0, 0), (0, 4), (5, 0), (1, 1), (100, 1), (40, 3)] {
            one(n_rows, n_columns, number);
        }
    }
    // Rows that hold what is no number are left out and counted.
    let embeddings = Embeddings::new(2, 2, vec![1.0, f32::NAN, 2.0, 3.0]).unwrap();
    let spectra = spectra(&embeddings, &[7, 7], 0.1);
    assert_eq!((spectra[0].n_records, spectra[0].n_not_finite), (1, 1));
    assert!(Embeddings::new(2, 2, vec![0.0; 3]).is_err());
    assert!(Embeddings::new(usize::MAX, 2, vec![]).is_err());
}

/// A `.npy` file of version 1.
fn npy(header: &str, numbers: &[u8]) -> Vec<u8> {
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(numbers);
    file
}

#[test]
fn files_that_are_no_tables_are_refused_by_name() {
    let read = |header: &str| Embeddings::read_npy(npy(header, &[0; 64]).as_slice());
    let of = |descr: &str, order: &str, shape: &str| {
        read(&format!(
            "{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"
        ))
    };
    assert!(matches!(of("'<i8'", "False", "(2, 2)"), Err(NpyError::Type(descr)) if descr == "<i8"));
    assert!(matches!(
        of("[('a', '<f4')]", "False", "(2, 2)"),
        Err(NpyError::Type(_))
    ));
    assert!(matches!(
        of("'<f4'", "True", "(2, 2)"),
        Err(NpyError::ColumnOrder)
    ));
    assert!(matches!(of("'<f4'", "False", "(4,)"), Err(NpyError::Shape(shape)) if shape == "4,"));
    assert!(matches!(
        of("'<f4'", "False", "(2, 2, 2)"),
        Err(NpyError::Shape(_))
    ));
    assert!(matches!(
        of("'<f4'", "False", "(2, 99)"),
        Err(NpyError::Short { .. })
    ));
    assert!(matches!(
        of("'<f4'", "False", "(9999999999999, 9999999999999)"),
        Err(NpyError::Size { .. })
    ));
    assert!(matches!(
        of("'<f4'", "Maybe", "(2, 2)"),
        Err(NpyError::Header(_))
    ));
    assert!(matches!(
        of("'<f4'", "False", "(2, x)"),
        Err(NpyError::Header(_))
    ));
    assert!(matches!(read("{}"), Err(NpyError::Header(_))));
    assert!(matches!(
        Embeddings::read_npy(b"PK\x03\x04 and so on".as_slice()),
        Err(NpyError::NotNpy)
    ));
    assert!(matches!(
        Embeddings::read_npy(b"\x93NUMPY\x09\x00\x00\x00".as_slice()),
        Err(NpyError::Version(9, 0))
    ));
    // One row is the same in either order.
    assert!(of("'<f4'", "True", "(1, 4)").is_ok());
    assert!(of("'>f8'", "False", "(2, 4)").is_ok());
}

proptest::proptest! {
    /// Whatever a file holds, it is read or refused.
    #[test]
    fn damaged_files_are_refused_without_a_fault(at in 0..140_usize, byte: u8, end in 0..200_usize, any in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
        let numbers: Vec<u8> = (0..12).flat_map(|n: u8| f32::from(n).to_le_bytes()).collect();
        let mut file = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }          \n", &numbers);
        let whole = Embeddings::read_npy(file.as_slice()).unwrap();
        proptest::prop_assert_eq!(whole.row(2), &[8.0, 9.0, 10.0, 11.0]);
        if let Some(there) = file.get_mut(at) {
            *there = byte;
        }
        file.truncate(end);
        if let Ok(read) = Embeddings::read_npy(file.as_slice()) {
            proptest::prop_assert_eq!(read.row(0).len(), if read.n_rows() > 0 { read.n_columns() } else { 0 });
        }
        let mut file = b"\x93NUMPY\x02\x00".to_vec();
        file.extend(any);
        let _ = Embeddings::read_npy(file.as_slice());
    }
}

/// Runs a Python script of the peers', and gives the folder where it wrote its files; nothing where there is no Python with scikit-learn.
fn peer(script: &str) -> Option<(tempfile::TempDir, String)> {
    let Some(python) = std::env::var_os("OUTLAY_PEERS") else {
        println!("skipped: OUTLAY_PEERS names no Python");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(python)
        .args(["-c", script])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    if error.contains("ModuleNotFoundError") {
        println!("skipped: that Python has no scikit-learn");
        return None;
    }
    assert!(output.status.success(), "{error}");
    Some((folder, String::from_utf8(output.stdout).unwrap()))
}

/// Handwritten digits: their labels, and embeddings by a small network's hidden layer; and these after some rows of other digits were shifted along one
/// direction, as a trigger does, and given the label 7.
const DIGITS: &str = r"
import json, numpy as np
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier
x, y = load_digits(return_X_y=True)
x = x / 16.0
def hidden(x, y):
    net = MLPClassifier((32,), alpha=1e-3, max_iter=150, random_state=0).fit(x, y)
    return np.maximum(x @ net.coefs_[0] + net.intercepts_[0], 0)
h = hidden(x, y)
np.save('pixels.npy', x.astype('<f4')); np.save('hidden.npy', h.astype('<f8'))
rng = np.random.default_rng(1)
bad = rng.choice(np.flatnonzero(y != 7), 18, replace=False)
hp, yp = h.copy(), y.copy()
way = rng.normal(size=h.shape[1]); way /= np.linalg.norm(way)
hp[bad] += 4 * np.sqrt(h[y == 7].var(0).sum()) * way; yp[bad] = 7
np.save('hidden_bad.npy', hp.astype('<f2'))
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from sklearn.cluster import KMeans
top, sil = [], []
for c in range(10):
    z = x[y == c]
    top.append(float(PCA(1).fit(z).explained_variance_ratio_[0]))
    p = PCA(10).fit_transform(z)
    sil.append(float(silhouette_score(p, KMeans(2, n_init=10, random_state=0).fit_predict(p))))
print(json.dumps(dict(y=y.tolist(), yp=yp.tolist(), bad=bad.tolist(), top=top, sil=sil)))
";

#[test]
fn digits_are_as_scikit_learn_says_and_a_backdoor_in_them_is_found() {
    let Some((folder, said)) = peer(DIGITS) else {
        return;
    };
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let numbers = |name: &str| -> Vec<f64> {
        said[name]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_f64().unwrap())
            .collect()
    };
    let labels =
        |name: &str| -> Vec<u32> { numbers(name).into_iter().map(|one| one as u32).collect() };
    let read = |name: &str| {
        Embeddings::read_npy(std::io::BufReader::new(
            std::fs::File::open(folder.path().join(name)).unwrap(),
        ))
        .unwrap()
    };
    let pixels = read("pixels.npy");
    assert_eq!((pixels.n_rows(), pixels.n_columns()), (1797, 64));
    for (spectrum, theirs) in spectra(&pixels, &labels("y"), 0.1)
        .iter()
        .zip(numbers("top"))
    {
        assert!(
            (spectrum.top_variance_share - theirs).abs() < 1e-5,
            "{} {theirs}",
            spectrum.top_variance_share
        );
    }
    for (clusters, theirs) in clusters(&pixels, &labels("y")).iter().zip(numbers("sil")) {
        assert!(
            (clusters.silhouette - theirs).abs() < 0.03,
            "{} {theirs}",
            clusters.silhouette
        );
    }
    for name in ["pixels.npy", "hidden.npy"] {
        let embeddings = read(name);
        for spectrum in spectra(&embeddings, &labels("y"), 0.1) {
            println!("{name} {}: {:?}", spectrum.label, spectrum.mixture);
            assert!(
                !spectrum.is_separated,
                "{name} {}: {:?}",
                spectrum.label, spectrum.mixture
            );
        }
        for clusters in clusters(&embeddings, &labels("y")) {
            println!(
                "{name} {}: {} {}",
                clusters.label, clusters.silhouette, clusters.smaller_share
            );
            assert!(
                !clusters.is_suspicious,
                "{name} {}: {} {}",
                clusters.label, clusters.silhouette, clusters.smaller_share
            );
        }
    }
    let poisoned = read("hidden_bad.npy");
    let bad: Vec<usize> = numbers("bad").into_iter().map(|row| row as usize).collect();
    for spectrum in spectra(&poisoned, &labels("yp"), 0.1) {
        println!("poisoned {}: {:?}", spectrum.label, spectrum.mixture);
        assert_eq!(spectrum.is_separated, spectrum.label == 7);
        if spectrum.is_separated {
            let n_found = bad
                .iter()
                .filter(|row| spectrum.suspects.contains(row))
                .count();
            println!("{n_found} of {} in {}", bad.len(), spectrum.suspects.len());
            assert!(n_found * 10 >= bad.len() * 9, "{n_found} of {}", bad.len());
        }
    }
    for clusters in clusters(&poisoned, &labels("yp")) {
        println!(
            "poisoned {}: {} {} {}",
            clusters.label, clusters.silhouette, clusters.smaller_share, clusters.is_suspicious
        );
    }
}
