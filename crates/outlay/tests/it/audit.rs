//! `outlay audit`: what it prints, the files it writes, how it ends.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::server::elsewhere::Store;
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
        (
            &["audit", "train.jsonl", "--label", "kind"][..],
            "--label `kind`: no record has such a field; allowed: id, text",
        ),
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

/// Killed at any moment, an audit goes on where it was: files that were finished are not read again, and it says the same.
#[test]
fn an_audit_goes_on_after_a_kill() {
    let here = folder("audit-killed");
    let _ = std::fs::remove_dir_all(&here);
    std::fs::create_dir_all(here.join("data")).unwrap();
    for file in 0..24 {
        let mut text = String::new();
        for line in 0..1500 {
            let words: Vec<String> = (0..40)
                .map(|word| {
                    format!(
                        "w{}",
                        (file * 7919 + line * 104_729 + word * 1_299_709) % 50_021
                    )
                })
                .collect();
            let record = serde_json::json!({"text": words.join(" ")});
            text.push_str(&format!("{record}\n"));
        }
        std::fs::write(here.join(format!("data/{file:02}.jsonl")), text).unwrap();
    }
    let run = ["audit", "data", "--since", "seen", "--json"];
    let seen = here.join("seen/seen.outlay");
    for n_bytes in [1_000_000, 6_000_000] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_outlay"))
            .current_dir(&here)
            .args(run)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while std::fs::metadata(&seen).map_or(0, |file| file.len()) < n_bytes {
            assert!(begun.elapsed() < Duration::from_secs(60));
            assert!(child.try_wait().unwrap().is_none(), "it ended before");
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let output = outlay_in(&here, &run);
    assert!(output.status.success(), "{}", stderr(&output));
    let note = stderr(&output);
    let n: usize = note
        .strip_prefix("note: ")
        .and_then(|note| note.split(' ').next())
        .and_then(|n| n.parse().ok())
        .unwrap_or_else(|| panic!("{note}"));
    assert!((3..24).contains(&n), "{note}");
    let fresh = outlay_in(&here, &["audit", "data", "--json"]);
    assert_eq!(stdout(&output), stdout(&fresh));
}

/// Files in a bucket, and at an address of the web.
#[test]
fn data_elsewhere_is_read() {
    let Some(store) = Store::start() else { return };
    let here = data("audit-elsewhere");
    let _ = std::fs::remove_dir_all(here.join("clean"));
    let put = |key: &str, file: &str| {
        let path = here.join(file).display().to_string();
        let statement = format!(
            "s3.upload_file({path:?}, 'team', {key:?}, ExtraArgs={{'ACL': 'public-read'}})"
        );
        assert!(store.boto(&statement).0);
    };
    put("sets/a/train.jsonl", "train.jsonl");
    put("sets/a/notes.bin", "test.jsonl");
    put("sets/test.jsonl", "test.jsonl");
    let local = outlay_in(
        &here,
        &["audit", "train.jsonl", "--against", "test.jsonl", "--json"],
    );
    let mut local: serde_json::Value = serde_json::from_str(&stdout(&local)).unwrap();
    let address = store.variables()[4].1.clone();
    let audited = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_outlay"))
            .current_dir(&here)
            .arg("audit")
            .args(args)
            .envs(store.variables())
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        (output.status.code(), stdout(&output), stderr(&output))
    };
    for (paths, against) in [
        ("s3://team/sets/a/*.jsonl", "s3://team/sets/test.jsonl"),
        ("s3://team/sets/a/", "s3://team/sets/test.jsonl"),
        (
            &*format!("{address}/team/sets/a/train.jsonl"),
            &*format!("{address}/team/sets/test.jsonl"),
        ),
    ] {
        let (code, out, why) = audited(&[paths, "--against", against, "--json"]);
        assert_eq!(code, Some(0), "{paths}: {why}");
        let mut report: serde_json::Value = serde_json::from_str(&out).unwrap();
        let n_unread = if paths.ends_with("a/") { 1 } else { 0 };
        assert_eq!(report["n_unread_files"], n_unread, "{paths}");
        assert_eq!(report["skipped"][0]["line"], 6);
        for report in [&mut report, &mut local] {
            for part in [
                "skipped",
                "n_unread_files",
                "n_unread_bytes",
                "unread_files",
                "fields",
                "quality",
            ] {
                report[part] = serde_json::Value::Null;
            }
        }
        assert_eq!(report, local, "{paths}");
    }
    // A copy, and what is hashed, come from there as well.
    let (code, _, why) = audited(&[
        "s3://team/sets/a/train.jsonl",
        "--fix",
        "clean",
        "--no-quality",
    ]);
    assert_eq!(code, Some(0), "{why}");
    assert_eq!(
        std::fs::read_to_string(here.join("clean/train.jsonl"))
            .unwrap()
            .lines()
            .count(),
        3
    );
    for (paths, part) in [
        ("s3://team/none/", "nothing is there"),
        ("s3://team/sets/a/notes.bin", "of no kind that is known"),
        (&*format!("{address}/team/*.jsonl"), "the address of each"),
        (&*format!("{address}/team/none.jsonl"), "cannot be read"),
    ] {
        let (code, _, why) = audited(&[paths]);
        assert_eq!(code, Some(2), "{paths}: {why}");
        assert!(why.contains(part), "{paths}: {why}");
    }
}

#[test]
fn patterns_name_files() {
    let _ = std::fs::remove_dir_all(folder("audit-pattern"));
    let here = data("audit-pattern");
    std::fs::create_dir_all(here.join("more/deep")).unwrap();
    std::fs::copy(here.join("train.jsonl"), here.join("more/deep/a.jsonl")).unwrap();
    let n_files = |pattern: &str| {
        let output = outlay_in(&here, &["audit", pattern, "--no-quality", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap_or_default();
        (report["n_files"].as_u64(), stderr(&output))
    };
    assert_eq!(n_files("t*.jsonl").0, Some(2));
    assert_eq!(n_files("**/*.jsonl").0, Some(3));
    assert_eq!(n_files("m*").0, Some(1));
    assert!(n_files("x*.jsonl").1.contains("no path is of this pattern"));
    // A file of that name is itself.
    std::fs::copy(here.join("train.jsonl"), here.join("odd[1].jsonl")).unwrap();
    assert_eq!(n_files("odd[1].jsonl").0, Some(1));
}

/// A datasheet lacks nothing that is required once the person has said what only they know, and the consortium's own validator takes it.
#[test]
fn a_datasheet_is_written_and_valid() {
    let here = data("audit-sheet");
    let _ = std::fs::remove_dir_all(here.join("set"));
    std::fs::create_dir_all(here.join("set/more")).unwrap();
    std::fs::copy(here.join("train.jsonl"), here.join("set/train.jsonl")).unwrap();
    std::fs::write(
        here.join("set/more/rows.csv"),
        "id,age,town,when\n1,30,Ulm,2024-01-02\n2,31,Kiel,2024-01-03\n",
    )
    .unwrap();
    std::fs::write(
        here.join("about.toml"),
        "description = \"Questions and pages\"\nlicence = \"CC-BY-4.0\"\nurl = \"https://example.org/set\"\n\
         date_published = \"2026-01-02\"\nversion = \"1.0.0\"\n\
         [[creators]]\nkind = \"person\"\nname = \"Ann Lee\"\n",
    )
    .unwrap();
    let output = outlay_in(
        &here,
        &["audit", "set", "--croissant", "set/sheet.json", "--json"],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains(
            "lacks what Croissant requires: description, license, url, creator, datePublished"
        ),
        "{}",
        stderr(&output)
    );
    std::fs::remove_file(here.join("set/sheet.json")).unwrap();
    let run = [
        "audit",
        "set",
        "--croissant",
        "set/sheet.json",
        "--about",
        "about.toml",
        "--json",
    ];
    let output = outlay_in(&here, &run);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    let sheet = std::fs::read_to_string(here.join("set/sheet.json")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&sheet).unwrap();
    assert_eq!(value["name"], "set");
    assert_eq!(value["recordSet"].as_array().unwrap().len(), 2);
    assert!(
        sheet.contains("An audit found email (1 place) in 14.3% of the records."),
        "{sheet}"
    );
    assert!(!sheet.contains("ann.lee@"), "{sheet}");
    if let Some(python) = std::env::var_os("OUTLAY_PEERS") {
        let program = PathBuf::from(&python).with_file_name("mlcroissant");
        if program.exists() {
            let valid = Command::new(program)
                .args(["validate", "--jsonld", "sheet.json"])
                .current_dir(here.join("set"))
                .output()
                .unwrap();
            assert!(valid.status.success(), "{}", stderr(&valid));
            let said = stderr(&valid);
            assert!(said.contains("Done"), "{said}");
        } else {
            eprintln!("skipped: OUTLAY_PEERS names no Python with mlcroissant");
        }
    } else {
        eprintln!("skipped: OUTLAY_PEERS names no Python with mlcroissant");
    }
    // What is wrong with what the person says is said before the work.
    std::fs::write(here.join("about.toml"), "licens = \"MIT\"\n").unwrap();
    let output = outlay_in(&here, &run);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("about.toml") && stderr(&output).contains("licens"),
        "{}",
        stderr(&output)
    );
}

/// Whose the data is, what is wrong with its labels, what was put there: each with its condition.
#[test]
fn rights_labels_and_triggers_are_told() {
    let here = folder("audit-judged");
    let topics = [
        [
            "boat", "sail", "harbour", "wave", "anchor", "tide", "mast", "crew",
        ],
        [
            "flour", "oven", "butter", "sugar", "dough", "yeast", "crust", "bake",
        ],
    ];
    let mut lines = String::new();
    for record in 0..400_usize {
        let topic = record % 2;
        let words: Vec<&str> = (0..14)
            .map(|word| topics[topic][(record * 7 + word * 5 + record * word) % 8])
            .collect();
        let licence = match record % 10 {
            0 => "mit",
            1 => "CC-BY-NC-4.0",
            2 => "who knows",
            3 => "",
            _ => "cc0-1.0",
        };
        let label = ["sea", "kitchen"][topic];
        let line = serde_json::json!({
            "id": record, "text": format!("{} {record}", words.join(" ")),
            "label": label, "license": licence, "url": "https://example.org/a",
        });
        lines.push_str(&format!("{line}\n"));
    }
    std::fs::write(here.join("data.jsonl"), lines).unwrap();
    let run = |more: &[&str]| {
        let mut args = vec!["audit", "data.jsonl", "--label", "label", "--no-quality"];
        args.extend(more);
        let output = outlay_in(&here, &args);
        (output.status.code(), stdout(&output), stderr(&output))
    };
    let (code, text, why) = run(&["--json"]);
    assert_eq!(code, Some(0), "{why}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rights = &report["rights"];
    assert_eq!(
        (
            &rights["n_allowed"],
            &rights["n_denied"],
            &rights["n_unknown"],
            &rights["n_missing"]
        ),
        (&280.into(), &40.into(), &40.into(), &40.into())
    );
    assert_eq!(rights["n_without_provenance"], 0);
    assert_eq!(report["labels"]["balance"]["n_classes"], 2);
    assert_eq!(report["labels"]["errors"]["n_issues"], 0);
    for (conditions, code, part) in [
        (
            "license = unknown",
            1,
            "license = unknown: 80 of 400 records, such as 3 (missing)",
        ),
        ("license = CC-BY-NC*", 1, "40 of 400"),
        ("licence = denied", 1, "40 of 400"),
        (
            "license = GPL-3.0*, no_provenance > 0, label_error > 0, suspicious > 0",
            0,
            "",
        ),
        ("license > 3", 2, "which licences are meant"),
    ] {
        let (ended, _, why) = run(&["--fail-on", conditions]);
        assert_eq!(ended, Some(code), "{conditions}: {why}");
        assert!(why.contains(part), "{conditions}: {why}");
    }
    // A policy of one's own, from the one that is printed.
    let output = outlay_in(&here, &["audit", "--print-policy", "--policy", "research"]);
    let policy = stdout(&output);
    assert!(policy.contains("use = \"research\""), "{policy}");
    std::fs::write(here.join("policy.toml"), policy).unwrap();
    let (code, text, _) = run(&["--policy", "policy.toml", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &report["rights"]["n_denied"]), (Some(0), &0.into()));
    std::fs::write(here.join("policy.toml"), "use = \"war\"\n").unwrap();
    let (code, _, why) = run(&["--policy", "policy.toml"]);
    assert_eq!(code, Some(2));
    assert!(
        why.contains("policy.toml") && why.contains("allowed"),
        "{why}"
    );
    let (code, _, why) = run(&["--embeddings", "data.jsonl"]);
    assert_eq!(code, Some(2));
    assert!(why.contains("--embeddings `data.jsonl`"), "{why}");
}

/// The page for colleagues says what the terminal says, with examples, and loads nothing.
#[test]
fn a_page_is_written() {
    let here = data("audit-page");
    let output = outlay_in(
        &here,
        &[
            "audit",
            "train.jsonl",
            "--against",
            "test.jsonl",
            "--html",
            "page.html",
        ],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let page = std::fs::read_to_string(here.join("page.html")).unwrap();
    for part in [
        "Audit of train.jsonl",
        "5 records",
        "q1 leaked",
        "word0 word1",
        "records could not be read",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(
        !page.contains("ann.lee@") && !page.contains("<script") && !page.contains("src="),
        "{page}"
    );
}

/// Images: the same one in another file, a broken one, their folders as labels; and a copy without.
#[test]
fn a_folder_of_images_is_audited() {
    let here = folder("audit-images");
    let _ = std::fs::remove_dir_all(&here);
    for class in ["cat", "dog"] {
        std::fs::create_dir_all(here.join("set").join(class)).unwrap();
    }
    // Portable grey maps are no kind that is known; bitmaps are written by hand: 24 bits a pixel, rows from below.
    let bitmap = |shade: &dyn Fn(usize, usize) -> u8| {
        let side = 64_usize;
        let mut bytes = b"BM".to_vec();
        let n_pixels = side * side * 3;
        bytes.extend(u32::try_from(54 + n_pixels).unwrap().to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(54_u32.to_le_bytes());
        bytes.extend(40_u32.to_le_bytes());
        bytes.extend(64_i32.to_le_bytes());
        bytes.extend(64_i32.to_le_bytes());
        bytes.extend([1, 0, 24, 0]);
        bytes.extend([0; 24]);
        for row in 0..side {
            for column in 0..side {
                bytes.extend([shade(row, column); 3]);
            }
        }
        bytes
    };
    let rings = |row: usize, column: usize| ((row * row + column * column) / 16 % 256) as u8;
    let waves = |row: usize, column: usize| ((row * 9) ^ (column * 5)) as u8;
    std::fs::write(here.join("set/cat/a.bmp"), bitmap(&rings)).unwrap();
    std::fs::write(here.join("set/cat/b.bmp"), bitmap(&rings)).unwrap();
    std::fs::write(here.join("set/dog/c.bmp"), bitmap(&waves)).unwrap();
    std::fs::write(here.join("set/dog/d.bmp"), &bitmap(&waves)[..900]).unwrap();
    let output = outlay_in(
        &here,
        &[
            "audit", "set", "--label", "class", "--fix", "clean", "--json",
        ],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(
        (&report["n_records"], &report["n_skipped"]),
        (&3.into(), &1.into())
    );
    assert_eq!(
        (
            &report["duplicates"]["n_exact"],
            &report["duplicates"]["n_without_words"]
        ),
        (&1.into(), &0.into())
    );
    assert_eq!(report["images"]["n_images"], 3);
    assert_eq!(report["copy"]["n_kept"], 2);
    assert_eq!(report["copy"]["n_duplicates"], 1);
    assert_eq!(report["labels"]["balance"]["n_classes"], 2);
    assert!(here.join("clean/cat/a.bmp").exists() && here.join("clean/dog/c.bmp").exists());
    assert_eq!(
        std::fs::metadata(here.join("clean/cat/b.bmp")).map_or(0, |file| file.len()),
        0
    );
    let removed = std::fs::read_to_string(here.join("clean/removed.jsonl")).unwrap();
    assert_eq!(removed.lines().count(), 2, "{removed}");
}
