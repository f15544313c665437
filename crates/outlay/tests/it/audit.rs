//! `outlay audit`: what it prints, the files it writes, how it ends.

use std::path::PathBuf;

use super::{folder, outlay_in, stderr, stdout};

const QUESTION: &str = "A cooper in the harbour of Lund makes 9 barrels every morning and mends four in the afternoon. If each new barrel takes 16 staves, how many staves does he use in a week of six days?";

/// A folder with data and a benchmark.
fn data(name: &str) -> PathBuf {
    let here = folder(name);
    let line =
        |id: &str, text: &str| serde_json::json!({"id": id, "text": text}).to_string() + "\n";
    let long: Vec<String> = (0..60).map(|word| format!("word{word}")).collect();
    let train = line("a", &long.join(" "))
        + &line("b", &format!("{} and more", long.join(" ")))
        + &line("c", &long.join("  ").to_uppercase())
        + &line("d", &format!("From a page. {QUESTION} 864 staves. And on."))
        + &line("e", "Write to ann.lee@example.org about it.")
        + "{\"text\": broken\n";
    std::fs::write(here.join("train.jsonl"), train).unwrap();
    let test = serde_json::json!({"id": "q1", "question": QUESTION, "answer": "864"}).to_string();
    std::fs::write(here.join("test.jsonl"), test).unwrap();
    here
}

#[test]
fn an_audit_says_what_was_found() {
    let here = data("audit-all");
    let run = [
        "audit",
        "train.jsonl",
        "--against",
        "test.jsonl",
        "--clusters",
        "c.tsv",
        "--leaks",
        "l.jsonl",
        "--pii",
        "p.jsonl",
    ];
    let output = outlay_in(&here, &run);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    for part in [
        "5 records",
        "1 could not be read (15 bytes)",
        "train.jsonl:6: no JSON object",
        "the same words            1  20.0%",
        "exact and near            2  40.0%",
        "q1 leaked, 100.0% of it with its answer, in d:",
        "email       1",
        "Names of persons are not looked for.",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    assert!(!text.contains("ann.lee"));
    let read = |name: &str| std::fs::read_to_string(here.join(name)).unwrap();
    assert_eq!(read("c.tsv"), "record\tcluster\na\t0\nb\t0\nc\t0\n");
    let leak: serde_json::Value = serde_json::from_str(&read("l.jsonl")).unwrap();
    assert_eq!(
        (
            leak["record"].as_str(),
            leak["item"].as_str(),
            leak["grade"].as_str()
        ),
        (Some("d"), Some("q1"), Some("leaked"))
    );
    assert_eq!(leak["passage"], QUESTION.trim_end_matches('?'));
    let private: serde_json::Value = serde_json::from_str(&read("p.jsonl")).unwrap();
    assert_eq!(
        private,
        serde_json::json!({
            "record": "e", "kind": "email", "form": "email", "start": 9, "end": 28, "masked": "a**.***@*******.***"
        })
    );
    let output = outlay_in(
        &here,
        &["audit", "train.jsonl", "--against", "test.jsonl", "--json"],
    );
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(
        (
            &report["n_records"],
            &report["duplicates"]["n_near"],
            &report["leaks"]["long"]["n_leaked"]
        ),
        (&5.into(), &2.into(), &1.into())
    );
}

#[test]
fn conditions_decide_how_it_ends() {
    let here = data("audit-gate");
    let ended = |conditions: &str| {
        let output = outlay_in(
            &here,
            &[
                "audit",
                "train.jsonl",
                "--against",
                "test.jsonl",
                "--fail-on",
                conditions,
            ],
        );
        (output.status.code(), stderr(&output))
    };
    assert_eq!(
        ended("leaked > 1, near_dup >= 50%, secret > 0"),
        (Some(0), String::new())
    );
    let (code, why) = ended("leaked > 0, near_dup > 2%");
    assert_eq!(code, Some(1));
    assert!(
        why.contains("leaked > 0: 1") && why.contains("near_dup > 2%: 2 of 5, 40.00%"),
        "{why}"
    );
    let (code, why) = ended("leeked > 0");
    assert_eq!(code, Some(2));
    assert!(why.contains("allowed: leaked, suspect"), "{why}");
    let output = outlay_in(&here, &["audit", "train.jsonl", "--fail-on", "leaked > 0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("were not looked for"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn wrong_input_is_named() {
    let here = data("audit-wrong");
    for (run, why) in [
        (&["audit", "none.jsonl"][..], "`none.jsonl` cannot be read"),
        (
            &["audit", "train.jsonl", "--near", "0.1"][..],
            "allowed: above 0.3, up to 1",
        ),
        (
            &["audit", "train.jsonl", "--shingle", "letters:3"][..],
            "allowed: words:N or characters:N",
        ),
        (
            &["audit", "train.jsonl", "--memory", "much"][..],
            "is not a size",
        ),
        (&["audit"][..], "<PATH>"),
    ] {
        let output = outlay_in(&here, run);
        assert_eq!(output.status.code(), Some(2), "{run:?}");
        assert!(
            stderr(&output).contains(why),
            "{run:?}: {}",
            stderr(&output)
        );
    }
    let output = outlay_in(&here, &["audit", "train.jsonl", "--clusters", "none/c.tsv"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("none/c.tsv"));
    // A device is not replaced by a file.
    let output = outlay_in(&here, &["audit", "train.jsonl", "--pii", "/dev/null"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no regular file"));
}

#[test]
fn an_audit_is_recorded_as_evidence() {
    let here = data("audit-record");
    let _ = std::fs::remove_dir_all(here.join(".outlay"));
    let _ = std::fs::remove_file(here.join("all.jsonl"));
    let output = outlay_in(
        &here,
        &[
            "audit",
            "train.jsonl",
            "--against",
            "test.jsonl",
            "--record",
            "--json",
        ],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let hash = report["content_sha256"].as_str().unwrap();
    let output = outlay_in(&here, &["ledger", "export", "all.jsonl"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let all = std::fs::read_to_string(here.join("all.jsonl")).unwrap();
    assert!(all.contains(&format!("dataset/{hash}")), "{all}");
    // Figures, and nothing of the data.
    assert!(
        all.contains("n_leaked") && !all.contains("cooper") && !all.contains("ann.lee"),
        "{all}"
    );
    assert!(outlay_in(&here, &["ledger", "verify"]).status.success());
}

#[test]
fn a_clean_copy_is_written() {
    let here = data("audit-fix");
    let _ = std::fs::remove_dir_all(here.join("clean"));
    let run = [
        "audit",
        "train.jsonl",
        "--against",
        "test.jsonl",
        "--fix",
        "clean",
        "--redact",
    ];
    let output = outlay_in(&here, &run);
    assert!(output.status.success(), "{}", stderr(&output));
    let copy = std::fs::read_to_string(here.join("clean/train.jsonl")).unwrap();
    assert_eq!(copy.lines().count(), 2, "{copy}");
    assert!(copy.contains("Write to <EMAIL> about it."));
    assert!(
        stdout(&output)
            .contains("2 records kept; left out: 2 duplicates, 1 with leaked items, 1 that could")
    );
    let output = outlay_in(&here, &run);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("holds something already"));
}
