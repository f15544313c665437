//! Audits that go on from former ones: they say what one from the beginning says.

use std::path::Path;

use outlay_audit::{Audit, Report, Settings};
use proptest::prelude::*;

use crate::draw::Draw;

fn audit(folder: &Path, settings: &Settings) -> (Audit, String) {
    let paths = [folder.join("data")];
    let benchmarks =
        outlay_audit::benchmarks(&[folder.join("items.jsonl")], settings, |_| {}).unwrap();
    let audit = outlay_audit::audit(&paths, Some(&benchmarks), settings, |_| {}).unwrap();
    let report = Report::new(&audit, settings.near.as_ref(), Some(&benchmarks)).unwrap();
    let mut all = serde_json::to_vec(&report).unwrap();
    audit.write_clusters(&mut all).unwrap();
    audit.write_leaks(&mut all).unwrap();
    audit.write_private(&mut all).unwrap();
    (audit, String::from_utf8(all).unwrap())
}

/// Some records, with duplicates, leaks, addresses and lines that are none.
fn records(draw: &mut Draw, n: usize) -> String {
    let mut lines = String::new();
    for _ in 0..n {
        let words: Vec<String> = (0..20).map(|_| format!("w{}", draw.below(40))).collect();
        let mut text = words.join(" ");
        match draw.below(8) {
            0 => {
                text =
                    "which of the seven hills is the highest that a walker can climb before noon"
                        .to_owned();
            }
            1 => text.push_str(" write to ann@example.org"),
            2 => text = "the same words again and again in one record after another".to_owned(),
            _ => {}
        }
        let line = serde_json::json!({"text": text, "label": draw.below(3).to_string()});
        lines.push_str(&line.to_string());
        lines.push('\n');
        if draw.below(10) == 0 {
            lines.push_str("{broken\n");
        }
    }
    lines
}

fn set_up(folder: &Path) -> Settings {
    std::fs::create_dir_all(folder.join("data/sub")).unwrap();
    let item = "{\"question\": \"which of the seven hills is the highest that a walker can climb before noon\", \"answer\": \"none\"}\n";
    std::fs::write(folder.join("items.jsonl"), item).unwrap();
    let mut settings = crate::settings(folder);
    settings.label = Some("label".to_owned());
    settings
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever files change between audits, the one that goes on says what one from the beginning says.
    #[test]
    fn goes_on_to_the_same(seed in 0_u64..1 << 40, n_rounds in 1_usize..4) {
        let folder = tempfile::tempdir().unwrap();
        let settings = set_up(folder.path());
        let going_on = Settings { since: Some(folder.path().join("seen")), ..settings.clone() };
        let mut draw = Draw(seed);
        for round in 0..n_rounds {
            for _ in 0..3 {
                let name = ["a.jsonl", "b.jsonl", "sub/c.jsonl", "d.jsonl"][draw.below(4)];
                let n = draw.below(30);
                std::fs::write(folder.path().join("data").join(name), records(&mut draw, n + round)).unwrap();
            }
            let (first, fresh) = audit(folder.path(), &settings);
            let (_, gone_on) = audit(folder.path(), &going_on);
            prop_assert_eq!(&fresh, &gone_on);
            let (again, gone_on) = audit(folder.path(), &going_on);
            prop_assert_eq!(&fresh, &gone_on);
            prop_assert_eq!(again.n_reused, first.files.len());
        }
    }
}

/// What was seen under other settings is not what would be seen now.
#[test]
fn other_settings_look_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = set_up(folder.path());
    std::fs::write(
        folder.path().join("data/a.jsonl"),
        records(&mut Draw(1), 20),
    )
    .unwrap();
    settings.since = Some(folder.path().join("seen"));
    assert_eq!(audit(folder.path(), &settings).0.n_reused, 0);
    assert_eq!(audit(folder.path(), &settings).0.n_reused, 1);
    settings.label = None;
    assert_eq!(audit(folder.path(), &settings).0.n_reused, 0);
    let item = folder.path().join("items.jsonl");
    std::fs::write(&item, "{\"question\": \"which other question is asked of all the others here today\", \"answer\": \"a\"}\n").unwrap();
    assert_eq!(audit(folder.path(), &settings).0.n_reused, 0);
}
