//! Images: how fast they are read and sketched, beside imagehash, and how long a million hashes take.
//!
//! `cargo bench -p outlay-audit --bench images`, on made pictures; `OUTLAY_PEERS` names a Python with imagehash and pillow.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench reports to its terminal"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use outlay_audit::images::{
    ImageSettings, ImageSketch, Pixels, difference_hash, near_images, perceptual_hash,
    sketch_image, sketch_pixels,
};
use rayon::prelude::*;

/// Pictures that are written as JPEG, and their sides.
const PICTURES: u32 = 400;
const SIDES: (u32, u32) = (640, 480);

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..PICTURES)
        .map(|at| {
            let path = folder.path().join(format!("{at:04}.jpg"));
            let picture = image::RgbImage::from_fn(SIDES.0, SIDES.1, |x, y| {
                let grain = (x * 7919 + y * 104_729 + at * 31).wrapping_mul(2_654_435_761) >> 29;
                let wave = |period: u32| {
                    (f64::from(x * (at % 7 + 1) + y * (at % 5 + 1)) / f64::from(period)).sin()
                };
                let level = |period| (128.0 + 100.0 * wave(period + at)) as u32;
                image::Rgb([level(31), level(57), level(90)].map(|level| (level + grain) as u8))
            });
            let file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
            image::codecs::jpeg::JpegEncoder::new_with_quality(file, 90)
                .encode_image(&picture)
                .unwrap();
            path
        })
        .collect();
    let read = |path: &PathBuf| sketch_image(&std::fs::read(path).unwrap()).unwrap();
    let per_second = |since: Instant| f64::from(PICTURES) / since.elapsed().as_secs_f64();
    let since = Instant::now();
    let alone: Vec<ImageSketch> = paths.iter().map(read).collect();
    println!(
        "Outlay, one thread: {:.0} images/s of {} × {}",
        per_second(since),
        SIDES.0,
        SIDES.1
    );
    let since = Instant::now();
    let together: Vec<ImageSketch> = paths.par_iter().map(read).collect();
    println!(
        "Outlay, {} threads: {:.0} images/s",
        rayon::current_num_threads(),
        per_second(since)
    );
    assert_eq!(alone, together);
    if let Some(python) = std::env::var_os("OUTLAY_PEERS") {
        peer(&python, folder.path());
    }
    million("a million drawn hashes", |at, sketch| {
        sketch.perceptual_hash = drawn(2 * at);
        sketch.difference_hash = drawn(2 * at + 1);
    });
    million("a million copies with noise", |at, sketch| {
        for place in 0..40 {
            sketch.thumbnail[drawn(at * 40 + place) as usize % 1024] ^= 15;
        }
        sketch.perceptual_hash = perceptual_hash(&sketch.thumbnail);
        sketch.difference_hash = difference_hash(&sketch.thumbnail);
    });
    million(
        "a million pictures of one hash that are different",
        |at, sketch| {
            for (place, sample) in sketch.thumbnail.iter_mut().enumerate() {
                *sample = drawn(at * 1024 + place as u64) as u8;
            }
        },
    );
}

/// Times the search among a million copies of a sketch, each changed.
fn million(name: &str, change: impl Fn(u64, &mut ImageSketch) + Sync) {
    let samples = (0..64 * 64)
        .map(|at| ((at % 64 * at / 64) % 256) as u8)
        .collect();
    let first = sketch_pixels(&Pixels::new(64, 64, 1, samples).unwrap());
    let sketches: Vec<ImageSketch> = (0..1_000_000_u64)
        .into_par_iter()
        .map(|at| {
            let mut sketch = first.clone();
            sketch.pixel_hash[..8].copy_from_slice(&at.to_le_bytes());
            change(at, &mut sketch);
            sketch
        })
        .collect();
    let since = Instant::now();
    let found = near_images(&sketches, &ImageSettings::default());
    let n_clusters = (0..1_000_000)
        .filter(|at| found.clusters.least(*at) == *at)
        .count();
    println!(
        "{name}: {:.1} s, {n_clusters} clusters, {} pairs compared, {} not",
        since.elapsed().as_secs_f64(),
        found.n_compared,
        found.n_not_compared
    );
}

/// A number drawn for a place (splitmix64).
fn drawn(at: u64) -> u64 {
    let mut value = at.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The same of imagehash: only its perceptual hash, in one process and in two.
fn peer(python: &std::ffi::OsStr, folder: &Path) {
    let script = "import sys, pathlib, time, multiprocessing, imagehash
from PIL import Image
def hashed(path):
    return imagehash.phash(Image.open(path))
paths = sorted(pathlib.Path(sys.argv[1]).iterdir())
hashed(paths[0])
since = time.time()
for path in paths: hashed(path)
print(f'imagehash.phash, one process: {len(paths) / (time.time() - since):.0f} images/s')
with multiprocessing.Pool(2) as pool:
    pool.map(hashed, paths[:8])
    since = time.time()
    pool.map(hashed, paths)
    print(f'imagehash.phash, two processes: {len(paths) / (time.time() - since):.0f} images/s')";
    let run = Command::new(python)
        .arg("-c")
        .arg(script)
        .arg(folder)
        .output()
        .unwrap();
    print!(
        "{}{}",
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr)
    );
}
