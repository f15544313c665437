//! Leaks: how many planted benchmark items are found, how many questions are taken for others', and how fast.
//!
//! `OUTLAY_BENCHMARKS=FOLDER OUTLAY_CORPUS=FILE.jsonl cargo bench -p outlay-audit --bench leaks`: a folder with
//! `gsm_test.jsonl` and `gsm_train.jsonl` (github.com/openai/grade-school-math) and `mmlu.jsonl` (MMLU's test questions, with
//! `question` and `choices`), and records with `text` to plant items in. Without them it is skipped.
//! Beside it, on the same records: one run of 13 words, and 70% of words in runs of eight.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench reports to its terminal"
)]

#[path = "../tests/it/draw.rs"]
mod draw;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use draw::Draw;
use outlay_audit::{Finder, Grade, Items, words};
use serde_json::Value;

struct Item {
    question: String,
    answer: String,
}

fn read(path: &Path) -> Vec<Item> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| {
            let value: Value = serde_json::from_str(line).unwrap();
            let question = value["question"].as_str().unwrap().to_owned();
            let answer = match &value["choices"] {
                Value::Array(choices) => choices
                    .iter()
                    .filter_map(Value::as_str)
                    .collect::<Vec<_>>()
                    .join("\n"),
                _ => value["answer"].as_str().unwrap_or_default().to_owned(),
            };
            Item { question, answer }
        })
        .filter(|item| item.question != "question")
        .collect()
}

const WAYS: [&str; 6] = [
    "verbatim",
    "no punctuation",
    "5% changed",
    "10% changed",
    "first half",
    "with the answer",
];

fn planted(item: &Item, way: usize, vocabulary: &[String], draw: &mut Draw) -> String {
    let changed = |share: usize, draw: &mut Draw| {
        let words = item.question.split_whitespace().map(|word| {
            if draw.below(100) < share {
                vocabulary[draw.below(vocabulary.len())].clone()
            } else {
                word.to_owned()
            }
        });
        words.collect::<Vec<_>>().join(" ")
    };
    match way {
        0 => item.question.clone(),
        1 => item
            .question
            .chars()
            .filter(|letter| !letter.is_ascii_punctuation())
            .collect(),
        2 => changed(5, draw),
        3 => changed(10, draw),
        4 => {
            let words: Vec<&str> = item.question.split_whitespace().collect();
            words[..words.len().div_ceil(2)].join(" ")
        }
        _ => format!("{}\n{}", item.question, item.answer),
    }
}

fn main() {
    let (Some(folder), Some(corpus)) = (
        std::env::var_os("OUTLAY_BENCHMARKS"),
        std::env::var_os("OUTLAY_CORPUS"),
    ) else {
        println!("skipped: OUTLAY_BENCHMARKS and OUTLAY_CORPUS name no files");
        return;
    };
    let folder = PathBuf::from(folder);
    let mut items = read(&folder.join("gsm_test.jsonl"));
    let n_gsm = items.len();
    items.extend(read(&folder.join("mmlu.jsonl")));
    let negatives = read(&folder.join("gsm_train.jsonl"));
    let text = std::fs::read_to_string(corpus).unwrap();
    let hosts: Vec<String> = text
        .lines()
        .take(4000)
        .filter_map(|line| {
            serde_json::from_str::<Value>(line).ok()?["text"]
                .as_str()
                .map(str::to_owned)
        })
        .filter(|text| text.len() > 2000)
        .collect();
    let mut vocabulary: Vec<String> = negatives
        .iter()
        .flat_map(|item| item.question.split_whitespace())
        .filter(|word| word.chars().all(char::is_alphabetic))
        .map(str::to_owned)
        .collect();
    vocabulary.sort();
    vocabulary.dedup();
    let mut collected = Items::default();
    for item in &items {
        collected.add(&item.question, &item.answer);
    }
    let since = Instant::now();
    let reference = collected.ready();
    println!(
        "{} items made ready in {:.2} s",
        items.len(),
        since.elapsed().as_secs_f64()
    );

    let mut draw = Draw(
        std::env::var("OUTLAY_SEED")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(11),
    );
    let host = |inner: &str, draw: &mut Draw| {
        let host = &hosts[draw.below(hosts.len())];
        let at = host.floor_char_boundary(500 + draw.below(1000));
        format!(
            "{}\n{inner}\n{}",
            &host[..at],
            &host[at..host.floor_char_boundary(at + 1000)]
        )
    };
    let is_long = |item: &Item| {
        let mut n_words = 0;
        words(&item.question, |_, _| n_words += 1);
        n_words >= outlay_audit::SHORT
    };
    let long: Vec<usize> = (0..items.len()).filter(|at| is_long(&items[*at])).collect();
    let gsm: Vec<usize> = long.iter().copied().filter(|at| *at < n_gsm).collect();
    let mmlu: Vec<usize> = long.iter().copied().filter(|at| *at >= n_gsm).collect();
    let mut documents: Vec<(Option<(usize, usize)>, String)> = Vec::new();
    for n in 0..1200 {
        let from = if n % 2 == 0 { &gsm } else { &mmlu };
        let item = from[draw.below(from.len())];
        let way = (n / 2) % WAYS.len();
        let text = planted(&items[item], way, &vocabulary, &mut draw);
        documents.push((Some((item, way)), host(&text, &mut draw)));
    }
    for n in 0..500 {
        let negative = &negatives[draw.below(negatives.len())];
        let text = if n % 2 == 0 {
            negative.question.clone()
        } else {
            format!("{}\n{}", negative.question, negative.answer)
        };
        documents.push((None, host(&text, &mut draw)));
    }
    let mut finder = Finder::default();
    let (mut n_found, mut by_way) = ([0; 3], vec![[0; 3]; WAYS.len()]);
    let mut n_planted = vec![0; WAYS.len()];
    let (mut n_false, mut n_false_suspect) = ([0; 3], 0);
    let is_verbose = std::env::var_os("OUTLAY_VERBOSE").is_some();
    for (plant, text) in &documents {
        let mut leaks = Vec::new();
        reference.find(text, &mut finder, |leak| leaks.push(leak));
        let mut named = [HashSet::new(), HashSet::new(), HashSet::new()];
        for leak in &leaks {
            if leak.grade == Grade::Leaked {
                named[0].insert(leak.item);
            }
            if leak.longest_run >= 13 {
                named[1].insert(leak.item);
            }
            if leak.in_runs_of_8 >= 0.7 {
                named[2].insert(leak.item);
            }
        }
        match plant {
            Some((item, way)) => {
                n_planted[*way] += 1;
                // Some questions are in a benchmark twice.
                let same = |found: &u32| items[*found as usize].question == items[*item].question;
                for which in 0..3 {
                    let is_found = named[which].iter().any(same);
                    n_found[which] += usize::from(is_found);
                    by_way[*way][which] += usize::from(is_found);
                    if which == 0 && !is_found && is_verbose {
                        println!(
                            "MISSED {} {:?}: {}",
                            WAYS[*way],
                            leaks.iter().find(|leak| same(&leak.item)),
                            items[*item].question
                        );
                    }
                }
            }
            None => {
                for which in 0..3 {
                    n_false[which] += usize::from(!named[which].is_empty());
                }
                n_false_suspect +=
                    usize::from(leaks.iter().any(|leak| leak.grade == Grade::Suspect));
                for leak in leaks.iter().filter(|_| is_verbose) {
                    println!(
                        "FALSE {leak:?}\n   {}\n   {}",
                        items[leak.item as usize].question,
                        &text[leak.place.clone()]
                    );
                }
            }
        }
    }
    for (which, name) in ["Outlay", "a run of 13 words", "70% in runs of 8"]
        .iter()
        .enumerate()
    {
        print!(
            "{name}: {} of 1200 found, {} of 500 taken for another",
            n_found[which], n_false[which]
        );
        for (way, name) in WAYS.iter().enumerate() {
            print!("; {name} {}/{}", by_way[way][which], n_planted[way]);
        }
        println!();
    }
    println!("suspect among the 500: {n_false_suspect}");
    let (mut n_all, mut n_runs) = (0, 0);
    for negative in &negatives {
        let (mut is_leaked, mut has_run) = (false, false);
        reference.find(
            &format!("{}\n{}", negative.question, negative.answer),
            &mut finder,
            |leak| {
                is_leaked |= leak.grade == Grade::Leaked;
                has_run |= leak.longest_run >= 13;
                if leak.grade == Grade::Leaked && is_verbose {
                    println!(
                        "TWIN {leak:?}\n   {}\n   {}",
                        items[leak.item as usize].question, negative.question
                    );
                }
            },
        );
        n_all += usize::from(is_leaked);
        n_runs += usize::from(has_run);
    }
    println!(
        "of all {} questions for training {n_all} are taken for another; by a run of 13 words {n_runs}",
        negatives.len()
    );
    let n_bytes: usize = hosts.iter().map(String::len).sum();
    let since = Instant::now();
    let mut n_leaks = 0;
    for host in &hosts {
        reference.find(host, &mut finder, |leak| {
            n_leaks += usize::from(leak.grade == Grade::Leaked);
        });
    }
    let seconds = since.elapsed().as_secs_f64();
    println!(
        "{:.0} MB/s on one thread, over {:.0} MB; {n_leaks} leaked there",
        n_bytes as f64 / 1e6 / seconds,
        n_bytes as f64 / 1e6
    );
}
