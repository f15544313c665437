//! Reading of 50 MB: of ordinary output, of bars, and of the worst that can be printed.
//!
//! `cargo bench -p outlay-meter --bench progress`. Target: 50 MB of ordinary output within a second.

use std::time::Instant;

use outlay_meter::{Pattern, ProgressReader};

const BYTES: usize = 50_000_000;

fn repeated(text: &str) -> Vec<u8> {
    text.as_bytes()
        .iter()
        .copied()
        .cycle()
        .take(BYTES)
        .collect()
}

#[expect(clippy::print_stdout, reason = "a bench reports to its terminal")]
fn main() {
    let pattern = r"tick (?<step>\d+) out of (?<total>\d+)";
    for (name, text, pattern) in [
        (
            "ordinary lines",
            "2025-03-01 10:00:01,220 INFO worker[3] fetched https://example.org/a/b?c=12 in 31 ms (200, 1834 bytes)\nno digits in this one, only words that go on for a while\n",
            None,
        ),
        (
            "ordinary lines, with a pattern",
            "2025-03-01 10:00:01,220 INFO worker[3] fetched https://example.org/a/b?c=12 in 31 ms (200, 1834 bytes)\nno digits in this one, only words that go on for a while\n",
            Some(pattern),
        ),
        (
            "lines with a loss",
            "step 100/1000 loss 2.31 lr 1e-4 grad_norm 0.9\n",
            None,
        ),
        (
            "bars of tqdm",
            "\rEpoch 1/3:  45%|████▌     | 9/20 [00:01<00:02,  5.20it/s, loss=0.3]",
            None,
        ),
        ("one line without end", "x", None),
        (
            "brackets",
            "[[[[00:01<]]]]] epoch epoch step loss 1 |/|/ \n",
            None,
        ),
        ("words of one letter", "a b c 1 d e f ", None),
        ("escapes", "\x1b[1m1\x1b[0m\x1b[A", None),
    ] {
        let bytes = repeated(text);
        let pattern = pattern.map(|pattern| Pattern::new(pattern).expect("a pattern"));
        let mut reader = ProgressReader::new(pattern);
        let start = Instant::now();
        let mut n_reports = 0;
        for chunk in bytes.chunks(8192) {
            n_reports += reader.feed(chunk).len();
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("{name}: {seconds:.2} s for 50 MB, {n_reports} reports");
    }
}
