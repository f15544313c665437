//! Licences, notices and languages: how fast they are looked for, on made texts without any, with some, and of many lengths.
//!
//! `cargo bench -p outlay-audit --bench rights`; with `OUTLAY_TEXTS`, a folder, also on the texts in it, each file one.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench reports to its terminal"
)]

#[path = "../tests/it/draw.rs"]
mod draw;

use std::time::Instant;

use draw::Draw;
use outlay_audit::{language, rights, scripts};

/// Words of ordinary prose, of which none is looked for.
const WORDS: &str = "the of and to in that was his he it with is for as had you not be her on at by which have or from this him \
but all she they were my are me one their so an said them we who would been will no when there if more out up into do any your \
what has man could other than our some very time upon about may its only now like little then can made should did us such great";

const NOTICE: &str = "Copyright (c) 2024 Ann Lee. All rights reserved. Licensed under the Apache License, Version 2.0.\n";

fn prose(draw: &mut Draw, n_bytes: usize) -> String {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut text = String::with_capacity(n_bytes + 20);
    while text.len() < n_bytes {
        text.push_str(words[draw.below(words.len())]);
        text.push_str(if draw.below(12) == 0 { ".\n" } else { " " });
    }
    text
}

fn speed(what: &str, texts: &[String], run: impl Fn(&str) -> usize) {
    let n_bytes: usize = texts.iter().map(String::len).sum();
    let mut best = f64::INFINITY;
    let mut n_found = 0;
    // Short runs and many, so that one of them is disturbed by nothing.
    for _ in 0..20 {
        let start = Instant::now();
        n_found = texts.iter().map(|text| run(text)).sum();
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!(
        "{what}: {:.0} MB/s, {:.1} µs a text, {n_found} found",
        n_bytes as f64 / 1e6 / best,
        best * 1e6 / texts.len() as f64
    );
}

fn main() {
    let mut draw = Draw(7);
    let n_found = |text: &str| {
        let found = rights(text);
        found.licences.len() + found.notices.len()
    };
    for (n_texts, n_bytes) in [(1_000, 200), (200, 3_000), (5, 1_000_000)] {
        let texts: Vec<String> = (0..n_texts).map(|_| prose(&mut draw, n_bytes)).collect();
        speed(&format!("rights, none, {n_bytes} bytes"), &texts, n_found);
        speed(&format!("language, {n_bytes} bytes"), &texts, |text| {
            usize::from(language(text).is_some())
        });
        speed(&format!("scripts, {n_bytes} bytes"), &texts, |text| {
            scripts(text).len()
        });
        let noticed: Vec<String> = texts.iter().map(|text| format!("{NOTICE}{text}")).collect();
        speed(
            &format!("rights, a notice, {n_bytes} bytes"),
            &noticed,
            n_found,
        );
    }
    if let Ok(folder) = std::env::var("OUTLAY_TEXTS") {
        let texts: Vec<String> = walkdir::WalkDir::new(folder)
            .sort_by_file_name()
            .into_iter()
            .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok())
            .collect();
        speed("rights, the folder", &texts, n_found);
        speed("language, the folder", &texts, |text| {
            usize::from(language(text).is_some())
        });
    }
}
