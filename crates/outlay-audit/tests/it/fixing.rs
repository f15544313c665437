//! Copies without what is twice, leaked or broken.

use std::io::Read;
use std::path::{Path, PathBuf};

use outlay_audit::{Audit, Fix, Fixed, Keep, Settings};

fn text(n: usize) -> String {
    (0..40)
        .map(|word| format!("w{}", n * 100 + word))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A folder of data of several kinds; the text 1 is in three files.
fn data(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    std::fs::create_dir_all(data.join("sub")).unwrap();
    let write = |name: &str, content: &[u8]| std::fs::write(data.join(name), content).unwrap();
    write(
        "a.jsonl",
        format!(
            "{{\"id\": \"a1\", \"text\": \"{}\"}}\n{{broken\n\n{{\"id\":\"a2\",\"text\":\"{}\"}}\n",
            text(1),
            text(2)
        )
        .as_bytes(),
    );
    write(
        "sub/b.csv",
        format!(
            "text,note\n{} and more words,ask ann@example.org\n{},\"x, y\"\n",
            text(1),
            text(3)
        )
        .as_bytes(),
    );
    write("c.txt", text(1).to_uppercase().as_bytes());
    write(
        "d.json",
        format!(
            "[{{\"text\": \"{}\"}}, {{\"text\": \"{}\"}}]",
            text(4),
            text(4)
        )
        .as_bytes(),
    );
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut out, format!("\"{}\"\n", text(5)).as_bytes()).unwrap();
    write("e.jsonl.gz", &out.finish().unwrap());
    data
}

fn fixed(folder: &Path, how: Fix) -> (Fixed, PathBuf, Audit, Settings) {
    let data = data(folder);
    let settings = crate::settings(folder);
    let paths = [data];
    let audit = outlay_audit::audit(&paths, None, &settings, |_| {}).unwrap();
    let clean = folder.join("clean");
    let fixed = outlay_audit::fix(&paths, &audit, &settings, how, &clean).unwrap();
    (fixed, clean, audit, settings)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn one_of_each_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (fixed, clean, ..) = fixed(folder.path(), Fix::default());
    let expected = Fixed {
        n_kept: 5,
        n_duplicates: 3,
        n_unreadable: 1,
        ..Fixed::default()
    };
    assert_eq!(fixed, expected);
    assert_eq!(
        read(&clean.join("a.jsonl")),
        format!("{{\"id\":\"a2\",\"text\":\"{}\"}}\n", text(2))
    );
    // The longest of the three.
    assert_eq!(
        read(&clean.join("sub/b.csv")),
        format!(
            "text,note\n{} and more words,ask ann@example.org\n{},\"x, y\"\n",
            text(1),
            text(3)
        )
    );
    // A file that is one record goes with it.
    assert!(!clean.join("c.txt").exists());
    assert_eq!(
        read(&clean.join("d.json")),
        format!("[\n{{\"text\": \"{}\"}}\n]\n", text(4))
    );
    let mut packed = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(clean.join("e.jsonl.gz")).unwrap())
        .read_to_string(&mut packed)
        .unwrap();
    assert_eq!(packed, format!("\"{}\"\n", text(5)));
    let removed = read(&clean.join("removed.jsonl"));
    let why: Vec<serde_json::Value> = removed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(why.len(), 4);
    assert!(why.iter().any(|one| one["record"] == "a1"
        && one["why"] == "duplicate"
        && one["kept"].as_str().unwrap().ends_with("b.csv:1")));
    assert!(
        why.iter()
            .any(|one| one["record"].as_str().unwrap().ends_with("a.jsonl:2")
                && one["why"] == "no JSON object")
    );
}

/// A copy has no duplicates, and a copy of it is the same.
#[test]
fn a_copy_is_clean() {
    let folder = tempfile::tempdir().unwrap();
    for keep in [Keep::First, Keep::Last, Keep::Longest] {
        let (_, clean, _, settings) = fixed(
            folder.path(),
            Fix {
                keep,
                redact: true,
                ..Fix::default()
            },
        );
        std::fs::remove_file(clean.join("removed.jsonl")).unwrap();
        let paths = [clean.clone()];
        let again = outlay_audit::audit(&paths, None, &settings, |_| {}).unwrap();
        let found = again.near.as_ref().unwrap();
        assert!((0..again.table.len() as u32).all(|record| found.clusters.least(record) == record));
        assert_eq!(again.privacy.as_ref().unwrap().n_records, 0);
        let copy = folder.path().join("copy");
        outlay_audit::fix(
            &paths,
            &again,
            &settings,
            Fix {
                keep,
                redact: true,
                ..Fix::default()
            },
            &copy,
        )
        .unwrap();
        for name in ["a.jsonl", "sub/b.csv", "d.json"] {
            assert_eq!(read(&copy.join(name)), read(&clean.join(name)), "{name}");
        }
        std::fs::remove_dir_all(&clean).unwrap();
        std::fs::remove_dir_all(&copy).unwrap();
    }
}

#[test]
fn what_is_private_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let how = Fix {
        redact: true,
        ..Fix::default()
    };
    let (fixed, clean, ..) = fixed(folder.path(), how);
    assert_eq!(fixed.n_redacted, 1);
    assert!(read(&clean.join("sub/b.csv")).contains("ask <EMAIL>"));
}

#[test]
fn nothing_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let (_, clean, audit, settings) = fixed(folder.path(), Fix::default());
    let paths = [folder.path().join("data")];
    let error = outlay_audit::fix(&paths, &audit, &settings, Fix::default(), &clean).unwrap_err();
    assert!(
        error.to_string().contains("holds something already"),
        "{error}"
    );
    std::fs::write(paths[0].join("z.txt"), "new").unwrap();
    let other = folder.path().join("other");
    let error = outlay_audit::fix(&paths, &audit, &settings, Fix::default(), &other).unwrap_err();
    assert!(error.to_string().contains("not as they were"), "{error}");
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 0);
}
