//! Near duplicates: how fast, in how much memory, and how many of the true pairs, beside Python's peers.
//!
//! `OUTLAY_CORPUS=FILE.jsonl cargo bench -p outlay-audit --bench near`, a file of records with `text`; without it, a made one
//! of 20 MB. With `OUTLAY_PEERS` (a Python that has them), rensa, datasketch and datatrove on the same file in the same run.
//! (`pip install rensa datasketch datatrove spacy tokenizers orjson 'xxhash<4'`: datatrove 0.10 hands texts to xxhash, which takes
//! none of them from its version 4 on.)
//! The truth is an exact join (Chaudhuri, Ganti, Kaushik 2006, *A primitive operator for similarity joins*: two sets of a
//! similarity of `t` share one of their rarest `(1 - t) n + 1` elements).

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench reports to its terminal"
)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use outlay_audit::{Fields, NearSettings, Settings, Shingle, Shingler, audit, jaccard};

/// Timed runs, of which the median counts.
const RUNS: usize = 5;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = std::env::var_os("OUTLAY_CORPUS").map_or_else(
        || {
            let path = folder.path().join("made.jsonl");
            std::fs::write(&path, made(20_000_000)).unwrap();
            path
        },
        PathBuf::from,
    );
    let settings = Settings {
        fields: Fields::default(),
        near: Some(NearSettings::default()),
        privacy: false,
        quality: false,
        rights: false,
        folder: folder.path().to_owned(),
        ..Settings::default()
    };
    let mut seconds = Vec::new();
    let mut last = None;
    for _ in 0..RUNS {
        let since = Instant::now();
        last = Some(audit(std::slice::from_ref(&corpus), None, &settings, |_| {}).unwrap());
        seconds.push(since.elapsed().as_secs_f64());
    }
    let peak_mib = peak_mib();
    let audit = last.unwrap();
    let found = audit.near.unwrap();
    let n_bytes: u64 = audit.files.iter().map(|file| file.n_text_bytes).sum();
    seconds.sort_by(f64::total_cmp);
    let median = seconds[RUNS / 2];
    println!(
        "Outlay: {} records, {:.0} MB of text in {median:.2} s ({:.2} to {:.2}), {:.0} MB/s, {peak_mib:.0} MiB at most; {} pairs compared, {} not",
        audit.table.len(),
        n_bytes as f64 / 1e6,
        seconds[0],
        seconds[RUNS - 1],
        n_bytes as f64 / 1e6 / median,
        found.n_compared,
        found.n_not_compared,
    );
    for (what, privacy, quality, rights) in [
        ("with personal data", true, false, false),
        ("with rules of quality", false, true, false),
        ("with rights and languages", false, false, true),
        ("with all of these", true, true, true),
    ] {
        let settings = Settings {
            privacy,
            quality,
            rights,
            ..settings.clone()
        };
        let since = Instant::now();
        audit_all(&corpus, &settings);
        println!(
            "{what}: {:.0} MB/s (one run)",
            n_bytes as f64 / 1e6 / since.elapsed().as_secs_f64()
        );
    }
    let sets = sets(&corpus);
    let since = Instant::now();
    let truth = joined(&sets, 0.8);
    println!(
        "the truth: {} pairs, in {:.1} s on one thread",
        truth.len(),
        since.elapsed().as_secs_f64()
    );
    let n_found = truth
        .iter()
        .filter(|(one, other)| found.clusters.least(*one) == found.clusters.least(*other))
        .count();
    let mut has_partner = vec![false; sets.len()];
    for (one, other) in &truth {
        has_partner[*one as usize] = true;
        has_partner[*other as usize] = true;
    }
    let mut sizes: HashMap<u32, u32> = HashMap::new();
    for record in 0..sets.len() as u32 {
        *sizes.entry(found.clusters.least(record)).or_default() += 1;
    }
    let named: Vec<u32> = (0..sets.len() as u32)
        .filter(|record| sizes[&found.clusters.least(*record)] > 1)
        .collect();
    let n_right = named
        .iter()
        .filter(|record| has_partner[**record as usize])
        .count();
    println!(
        "recall of pairs {:.4}; precision of records {:.4} ({} in clusters)",
        n_found as f64 / truth.len().max(1) as f64,
        n_right as f64 / named.len().max(1) as f64,
        named.len()
    );
    let Some(python) = std::env::var_os("OUTLAY_PEERS") else {
        println!("peers: skipped, OUTLAY_PEERS names no Python");
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/near_peers.py");
    for peer in ["rensa", "datasketch", "datatrove"] {
        let out = Command::new(&python)
            .args([script, peer])
            .arg(&corpus)
            .output()
            .unwrap();
        print!("{}", String::from_utf8_lossy(&out.stdout));
        if !out.status.success() {
            println!(
                "{peer}: {}",
                String::from_utf8_lossy(&out.stderr)
                    .lines()
                    .last()
                    .unwrap_or_default()
            );
        }
    }
}

fn audit_all(corpus: &PathBuf, settings: &Settings) {
    audit(std::slice::from_ref(corpus), None, settings, |_| {}).unwrap();
}

fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1024.0
}

/// Texts of made-up words, some changed copies of earlier ones.
fn made(n_bytes: usize) -> String {
    let mut state = 7_u64;
    let mut next = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut texts: Vec<Vec<u64>> = Vec::new();
    let mut out = String::new();
    while out.len() < n_bytes {
        let mut words: Vec<u64> = if next(5) == 0 && !texts.is_empty() {
            texts[next(texts.len() as u64) as usize].clone()
        } else {
            (0..100 + next(400)).map(|_| next(20_000)).collect()
        };
        for _ in 0..next(8) {
            let at = next(words.len() as u64) as usize;
            words[at] = next(20_000);
        }
        let text: Vec<String> = words.iter().map(|word| format!("w{word}")).collect();
        out.push_str(&format!("{{\"text\": \"{}\"}}\n", text.join(" ")));
        texts.push(words);
    }
    out
}

fn sets(corpus: &std::path::Path) -> Vec<Vec<u32>> {
    let mut shingler = Shingler::new(Shingle::Words(5));
    let text = std::fs::read_to_string(corpus).unwrap();
    text.lines()
        .map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            shingler.set(record["text"].as_str().unwrap()).to_vec()
        })
        .collect()
}

/// All pairs of a similarity of at least `threshold`.
fn joined(sets: &[Vec<u32>], threshold: f64) -> Vec<(u32, u32)> {
    let mut n_with: HashMap<u32, u32> = HashMap::new();
    for element in sets.iter().flatten() {
        *n_with.entry(*element).or_default() += 1;
    }
    let mut with: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut pairs = Vec::new();
    for (number, set) in (0..).zip(sets) {
        let mut rarest: Vec<(u32, u32)> = set
            .iter()
            .map(|element| (n_with[element], *element))
            .collect();
        rarest.sort_unstable();
        let n_prefix = set.len() - (threshold * set.len() as f64).ceil() as usize + 1;
        let mut candidates = Vec::new();
        for (n, element) in rarest.into_iter().take(n_prefix.min(set.len())) {
            if n > 1 {
                let others = with.entry(element).or_default();
                candidates.extend_from_slice(others);
                others.push(number);
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        for other in candidates {
            let (less, more) = (
                set.len().min(sets[other as usize].len()),
                set.len().max(sets[other as usize].len()),
            );
            if less as f64 >= threshold * more as f64
                && jaccard(set, &sets[other as usize]) >= threshold
            {
                pairs.push((other, number));
            }
        }
    }
    pairs
}
