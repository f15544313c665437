//! Exports with bytes that were changed: read as they are, or refused, with nothing taken in and without a panic.

use std::path::{Path, PathBuf};

use outlay_ledger::{Batch, Evidence, Format, Ledger, Place};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::{Somewhere, block_on, everything, losses, open};

/// A change of some bytes.
#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
    End(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    use Change::*;
    let at = any::<prop::sample::Index>;
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, to)| Set(at, to)),
        4 => (at(), 0..8_u8).prop_map(|(at, bit)| Flip(at, bit)),
        1 => (at(), 1..40_usize).prop_map(|(at, n)| Remove(at, n)),
        1 => (at(), 1..400_usize).prop_map(|(at, n)| Repeat(at, n)),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Insert(at, bytes)),
        1 => at().prop_map(End),
    ]
}

/// Changes something between two places of the bytes.
fn changed(mut bytes: Vec<u8>, from: usize, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let n = bytes.len() - from;
        if n == 0 {
            break;
        }
        let place = |at: &prop::sample::Index| from + at.index(n);
        match change {
            Change::Set(at, to) => bytes[place(at)] = *to,
            Change::Flip(at, bit) => bytes[place(at)] ^= 1 << bit,
            Change::Remove(at, n) => {
                let end = bytes.len().min(place(at) + n);
                bytes.drain(place(at)..end);
            }
            Change::Repeat(at, n) => {
                let end = bytes.len().min(place(at) + n);
                let again = bytes[place(at)..end].to_vec();
                bytes.splice(end..end, again);
            }
            Change::Insert(at, more) => {
                bytes.splice(place(at)..place(at), more.iter().copied());
            }
            Change::End(at) => bytes.truncate(place(at)),
        }
    }
    bytes
}

/// A small ledger with something in every table, exported.
fn exported(somewhere: &Somewhere, format: Format) -> PathBuf {
    let out = somewhere.folder.path().join("export");
    block_on(async {
        let ledger = open(somewhere).await;
        let mut small = everything();
        small.series = vec![losses(1, 20)];
        ledger.write(small).await.expect("writes");
        ledger.export(&out, format).await.expect("exports");
        ledger.close().await;
    });
    out
}

/// A ledger to read exports into; an attempt that fails must leave it empty, so that the next may use it.
struct Target {
    folder: tempfile::TempDir,
    n_made: usize,
    ledger: Option<Ledger>,
    runtime: tokio::runtime::Runtime,
}

impl Target {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            n_made: 0,
            ledger: None,
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("a runtime"),
        }
    }

    fn take_in(&mut self, export: &Path) {
        let ledger = self.ledger.take();
        let path = self.folder.path().join(format!("{}.db", self.n_made));
        let kept = self.runtime.block_on(async {
            let ledger = match ledger {
                Some(ledger) => ledger,
                None => Ledger::open(&Place::File(path), true).await.expect("opens"),
            };
            let origin = ledger.origin();
            match ledger.import(export).await {
                Ok(_) => {
                    // What the change left sound: the evidence fits its tree, and everything can be read.
                    let verification = ledger.verify(&[], None).await;
                    if let Ok(verification) = verification {
                        assert_eq!(verification.size, 11);
                    }
                    ledger.close().await;
                    None
                }
                Err(error) => {
                    let text = error.to_string();
                    assert!(
                        text.contains(ledger.place()) && text.len() < 20_000,
                        "{text}"
                    );
                    let is_empty = ledger.runs(1).await.expect("reads").is_empty()
                        && ledger.spending(None).await.expect("reads").is_empty()
                        && ledger.budgets().await.expect("reads").is_empty()
                        && ledger.evidence(None).await.expect("reads").is_empty()
                        && ledger.signers().await.expect("reads").is_empty()
                        && ledger.checkpoint().await.expect("reads").is_empty();
                    assert!(is_empty, "{text}");
                    let verification = ledger.verify(&[], None).await.expect("reads");
                    assert_eq!(verification.origin, *origin);
                    Some(ledger)
                }
            }
        });
        if kept.is_none() {
            self.n_made += 1;
        }
        self.ledger = kept;
    }
}

fn cases(n: u32) -> TestRunner {
    let mut config = Config::with_cases(n);
    config.failure_persistence = None;
    TestRunner::new(config)
}

#[test]
fn lines_that_were_changed_are_refused_or_read_whole() {
    let somewhere = Somewhere::file();
    let sound = std::fs::read(exported(&somewhere, Format::Jsonl)).expect("reads");
    let target = std::cell::RefCell::new(Target::new());
    let path = somewhere.folder.path().join("changed.jsonl");
    let changes = prop::collection::vec(change(), 1..4);
    cases(300)
        .run(&changes, |changes| {
            std::fs::write(&path, changed(sound.clone(), 0, &changes)).expect("writes");
            target.borrow_mut().take_in(&path);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn columns_that_were_changed_are_refused_or_read_whole() {
    let somewhere = Somewhere::file();
    let export = exported(&somewhere, Format::Parquet);
    let files: Vec<(PathBuf, Vec<u8>)> = std::fs::read_dir(&export)
        .expect("lists")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.clone(), std::fs::read(path).expect("reads")))
        .collect();
    let target = std::cell::RefCell::new(Target::new());
    let which = any::<prop::sample::Index>();
    let changes = prop::collection::vec(change(), 1..4);
    cases(400)
        .run(
            &(which, any::<bool>(), changes),
            |(which, is_late, changes)| {
                let (path, sound) = which.get(&files);
                // The footer, which says where everything is, is half of such a small file; half of the changes go there.
                let from = if is_late { sound.len() / 2 } else { 0 };
                std::fs::write(path, changed(sound.clone(), from, &changes)).expect("writes");
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    target.borrow_mut().take_in(&export);
                }));
                std::fs::write(path, sound).expect("writes");
                prop_assert!(outcome.is_ok(), "a panic at {}", path.display());
                Ok(())
            },
        )
        .unwrap_or_else(|error| panic!("{error}"));
}

/// What is read in as it was exported must be that, whatever is in the texts.
#[test]
fn texts_of_any_kind_come_back() {
    let somewhere = Somewhere::file();
    let texts = prop::collection::vec("[^\0]*", 1..6);
    let n = std::cell::Cell::new(0);
    cases(12)
        .run(&texts, |texts| {
            let folder = somewhere
                .folder
                .path()
                .join(n.replace(n.get() + 1).to_string());
            std::fs::create_dir(&folder).expect("creates");
            let place = |name: &str| Place::File(folder.join(name));
            block_on(async {
                let ledger = Ledger::open(&place("ledger.db"), true)
                    .await
                    .expect("opens");
                ledger.sign_with(crate::signer(&ledger)).await;
                let said = |text: &String| Evidence {
                    kind: "note".to_owned(),
                    subject: text.clone(),
                    body: text.clone().into(),
                    recorded_us: 0,
                    who: text.clone(),
                };
                let batch = Batch {
                    evidence: texts.iter().map(said).collect(),
                    ..Batch::default()
                };
                ledger.write(batch).await.expect("writes");
                for (format, name) in [(Format::Jsonl, "a.jsonl"), (Format::Parquet, "a")] {
                    let out = folder.join(name);
                    ledger.export(&out, format).await.expect("exports");
                    let copy = Ledger::open(&place(&format!("{name}.db")), true)
                        .await
                        .expect("opens");
                    copy.import(&out).await.expect("imports");
                    assert_eq!(
                        copy.evidence(None).await.expect("reads"),
                        ledger.evidence(None).await.expect("reads")
                    );
                    assert_eq!(copy.verify(&[], None).await.expect("reads").tampering, []);
                    copy.close().await;
                }
                ledger.close().await;
            });
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
