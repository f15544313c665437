//! Export, import, backup, migrations.

use outlay_ledger::{Batch, Fault, Format, Ledger, Place};

use crate::{Somewhere, block_on, everything, filled, losses, on_each, run, server, spent};

#[test]
fn an_export_read_back_is_the_same_ledger() {
    on_each(async |somewhere| {
        let ledger = filled(somewhere).await;
        for (format, name) in [(Format::Jsonl, "all.jsonl"), (Format::Parquet, "all")] {
            let out = somewhere.folder.path().join(name);
            let counts = ledger.export(&out, format).await.expect("exports");
            assert!(counts.contains(&("points", 5003)), "{counts:?}");
            let error = ledger.export(&out, format).await.expect_err("refuses");
            assert!(matches!(error.fault, Fault::Conflict(_)), "{error}");

            let copy_at = Place::File(somewhere.folder.path().join(format!("{name}.db")));
            let copy = Ledger::open(&copy_at, true).await.expect("opens");
            assert_eq!(copy.import(&out).await.expect("imports"), counts);
            same(&ledger, &copy).await;
            let verification = copy.verify(&[], None).await.expect("reads");
            assert_eq!(
                (verification.origin.as_str(), verification.tampering),
                (&*ledger.origin(), vec![])
            );
            let error = copy.import(&out).await.expect_err("refuses");
            assert!(matches!(error.fault, Fault::Conflict(_)), "{error}");
            copy.close().await;
            // It goes on where the other stopped.
            let copy = Ledger::open(&copy_at, false).await.expect("opens");
            assert_eq!(copy.origin(), ledger.origin());
            copy.sign_with(crate::signer(&copy)).await;
            let more = Batch {
                evidence: vec![crate::said(99)],
                series: vec![losses(2, 10)],
                spending: vec![spent(2, 9, 1)],
                ..Batch::default()
            };
            copy.write(more).await.expect("writes");
            let kept = ledger.checkpoint().await.expect("reads");
            let verification = copy.verify(&[], Some(&kept)).await.expect("reads");
            assert_eq!((verification.size, verification.tampering), (12, vec![]));
        }
        let left: Vec<_> = std::fs::read_dir(somewhere.folder.path())
            .expect("lists")
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.contains("part"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    });
}

#[test]
fn a_backup_is_whole_while_others_write() {
    on_each(async |somewhere| {
        let ledger = filled(somewhere).await;
        let writer = {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                for n in 100..400 {
                    let batch = Batch {
                        spending: vec![spent(1, n, 1), spent(2, n, -1)],
                        evidence: vec![crate::said(i64::from(n))],
                        ..Batch::default()
                    };
                    ledger.write(batch).await.expect("writes");
                }
            })
        };
        for n in 0..3 {
            let path = somewhere.folder.path().join(format!("backup-{n}.db"));
            ledger.backup(&path).await.expect("copies");
            assert!(
                ledger.backup(&path).await.is_err(),
                "never over another file"
            );
            let copy = Ledger::open(&Place::File(path), false)
                .await
                .expect("opens");
            let spending = copy.spending(None).await.expect("reads");
            let sum: i64 = spending.iter().map(|entry| entry.amount_micro.0).sum();
            assert_eq!(sum, 1_250_001 - 7, "both entries of a batch or none");
            let verification = copy.verify(&[], None).await.expect("reads");
            let others: Vec<_> = verification
                .tampering
                .iter()
                .filter(|found| !matches!(found, outlay_ledger::Tampering::SpendingDiffers { .. }))
                .collect();
            assert!(others.is_empty(), "{others:?}");
            assert_eq!(verification.size as usize, 11 + (spending.len() - 3) / 2);
        }
        writer.await.expect("writes");
    });
}

/// From a file to the server and back.
#[test]
fn a_ledger_moves_between_databases() {
    let Some(server) = server() else { return };
    let here = Somewhere::file();
    let there = Somewhere::postgres(&server);
    block_on(async {
        let ledger = filled(&here).await;
        let out = here.folder.path().join("all.jsonl");
        ledger.export(&out, Format::Jsonl).await.expect("exports");
        let moved = Ledger::open(&there.place, true).await.expect("opens");
        moved.import(&out).await.expect("imports");
        same(&ledger, &moved).await;
        let back = here.folder.path().join("back.db");
        moved.backup(&back).await.expect("copies");
        let back = Ledger::open(&Place::File(back), false)
            .await
            .expect("opens");
        same(&ledger, &back).await;
    });
}

#[test]
fn exports_that_were_changed_are_refused_and_leave_nothing() {
    on_each(async |somewhere| {
        let ledger = filled(somewhere).await;
        let out = somewhere.folder.path().join("all.jsonl");
        ledger.export(&out, Format::Jsonl).await.expect("exports");
        let text = std::fs::read_to_string(&out).expect("reads");
        let changes: [(&str, &str, &str); 6] = [
            ("changed", "\\\"n\\\":4", "\\\"n\\\":5"),
            ("header", "outlay_ledger", "another"),
            ("newer", "\"outlay_ledger\":2", "\"outlay_ledger\":7"),
            ("table", "\"table\":\"runs\"", "\"table\":\"rans\""),
            ("type", "\"bytes\":7", "\"bytes\":\"7\""),
            ("field", "\"uri\":", "\"url\":"),
        ];
        for (name, from, to) in changes {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{name}");
            let path = somewhere.folder.path().join(format!("{name}.jsonl"));
            std::fs::write(&path, changed).expect("writes");
            let fresh = Place::File(somewhere.folder.path().join(format!("{name}.db")));
            let fresh = Ledger::open(&fresh, true).await.expect("opens");
            let error = fresh.import(&path).await.expect_err(name);
            assert!(
                matches!(
                    error.fault,
                    Fault::Input(_) | Fault::Damaged(_) | Fault::Newer { .. }
                ),
                "{name}: {error}"
            );
            assert!(fresh.runs(1).await.expect("reads").is_empty(), "{name}");
        }
    });
}

async fn same(one: &Ledger, other: &Ledger) {
    assert_eq!(
        one.runs(10).await.expect("reads"),
        other.runs(10).await.expect("reads")
    );
    let id = &run(1).id;
    assert_eq!(
        format!("{:?}", one.points(id, "strange").await.expect("reads")),
        format!("{:?}", other.points(id, "strange").await.expect("reads"))
    );
    assert_eq!(
        one.points(id, "loss").await.expect("reads"),
        other.points(id, "loss").await.expect("reads")
    );
    assert_eq!(
        one.spending(None).await.expect("reads"),
        other.spending(None).await.expect("reads")
    );
    assert_eq!(
        one.budgets().await.expect("reads"),
        other.budgets().await.expect("reads")
    );
    assert_eq!(
        one.evidence(None).await.expect("reads"),
        other.evidence(None).await.expect("reads")
    );
    assert_eq!(
        one.datasets(id).await.expect("reads"),
        everything().datasets
    );
    assert_eq!(
        one.artifacts(id).await.expect("reads"),
        other.artifacts(id).await.expect("reads")
    );
    assert_eq!(
        one.checkpoint().await.expect("reads"),
        other.checkpoint().await.expect("reads")
    );
}
