//! Real mail: the messages of SpamAssassin's public corpus, full of addresses that no report may show.

#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use outlay_audit::Report;

/// The messages by their names, sorted.
fn messages(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for group in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if !group.path().is_dir() {
            continue;
        }
        for message in std::fs::read_dir(group.path()).unwrap().map(Result::unwrap) {
            // Beside each message lies what the package says of it.
            if message.path().extension().is_some_and(|end| end == "json") {
                continue;
            }
            let name = format!(
                "{}/{}",
                group.file_name().to_string_lossy(),
                message.file_name().to_string_lossy()
            );
            all.push((name, std::fs::read(message.path()).unwrap()));
        }
    }
    all.sort();
    all
}

/// What stands behind the head of a message.
fn body(message: &str) -> &str {
    let message = message.trim_start();
    message
        .split_once("\n\n")
        .map_or("", |(_, body)| body)
        .trim()
}

fn addresses(text: &str) -> impl Iterator<Item = &str> {
    text.split(|sign: char| !(sign.is_ascii_alphanumeric() || "._-+@".contains(sign)))
        .map(|word| word.trim_matches(['.', '-']))
        .filter(|word| {
            word.split_once('@').is_some_and(|(name, host)| {
                !name.is_empty() && host.contains('.') && !host.contains('@')
            })
        })
}

#[test]
fn identical_messages_are_found_and_no_address_is_shown() {
    let Some(folder) = std::env::var_os("OUTLAY_MAIL").map(PathBuf::from) else {
        println!("skipped: OUTLAY_MAIL names no folder of SpamAssassin's messages");
        return;
    };
    let messages = messages(&folder);
    assert_eq!(messages.len(), 6046);
    let mut lines = String::new();
    let mut seen: HashSet<String> = HashSet::new();
    let mut identical: HashMap<String, u32> = HashMap::new();
    for (name, bytes) in &messages {
        let text = String::from_utf8_lossy(bytes);
        seen.extend(addresses(&text).map(str::to_owned));
        let body = body(&text);
        *identical.entry(body.to_owned()).or_default() += 1;
        lines.push_str(&serde_json::json!({"id": name, "text": body}).to_string());
        lines.push('\n');
    }
    assert!(seen.len() > 3000, "{}", seen.len());
    let working = tempfile::tempdir().unwrap();
    let path = working.path().join("mail.jsonl");
    std::fs::write(&path, lines).unwrap();
    let settings = crate::settings(working.path());
    let audit = outlay_audit::audit(&[path], None, &settings, |_| {}).unwrap();
    assert_eq!(audit.n_records, 6046);
    // Bodies that are the same byte for byte are found, and those with the same words beside them.
    let groups = identical
        .iter()
        .filter(|(body, n)| **n > 1 && !body.is_empty());
    let n_groups = groups.clone().count();
    let n_beyond: u32 = groups.map(|(_, n)| n - 1).sum();
    println!("{n_groups} groups of identical bodies");
    let found = audit.near.as_ref().unwrap();
    let n_exact = (0_u32..)
        .zip(&found.exact)
        .filter(|(at, first)| at != *first)
        .count() as u32;
    // The corpus is always the same: 221 say what an earlier one says word for word, 195 of them byte for byte.
    assert_eq!((n_groups, n_beyond, n_exact), (139, 195, 221));
    let report = Report::new(&audit, settings.near.as_ref(), None).unwrap();
    let mut private = Vec::new();
    audit.write_private(&mut private).unwrap();
    let texts = audit
        .excerpts(&settings, &outlay_audit::shown(&report))
        .unwrap();
    let page = outlay_audit::page(&report, "mail", "2026-01-01", &texts).unwrap();
    let json = serde_json::to_string(&report).unwrap();
    let private = String::from_utf8(private).unwrap();
    assert!(private.lines().count() > 3000);
    for written in [&json, &private, &page] {
        let shown: Vec<&str> = addresses(written)
            .filter(|word| seen.contains(*word))
            .collect();
        assert!(shown.is_empty(), "{} are shown", shown.len());
    }
}
