//! A change that was made past the ledger is found.

use outlay_ledger::{Batch, Ledger, SignKey, Tampering};

use crate::{filled, on_each, open, run, said, signer, spent};

/// What is found after some statements.
fn found_after(statements: &'static str) -> Vec<Vec<Tampering>> {
    let found = std::sync::Mutex::new(Vec::new());
    on_each(async |somewhere| {
        let ledger = filled(somewhere).await;
        ledger.close().await;
        std::thread::scope(|scope| {
            scope
                .spawn(|| somewhere.tamper(statements))
                .join()
                .expect("tampers");
        });
        let ledger = Ledger::open(&somewhere.place, false).await.expect("opens");
        let verification = ledger.verify(&[], None).await.expect("reads");
        found.lock().expect("a lock").push(verification.tampering);
    });
    found.into_inner().expect("a lock")
}

#[test]
fn a_ledger_that_nobody_touched_is_sound() {
    for tampering in found_after("SELECT 1") {
        assert_eq!(tampering, []);
    }
}

#[test]
fn every_change_is_found() {
    let text =
        "UPDATE evidence SET record = replace(record, '\"n\":4', '\"n\":5') WHERE position = 4";
    for tampering in found_after(text) {
        assert!(
            tampering.contains(&Tampering::Changed { position: 4 }),
            "{tampering:?}"
        );
        assert!(
            matches!(tampering[1], Tampering::RootDiffers { .. }),
            "{tampering:?}"
        );
    }
    for (statements, column) in [
        (
            "UPDATE evidence SET subject = 'model/7' WHERE position = 4",
            "subject",
        ),
        (
            "UPDATE evidence SET kind = 'audit' WHERE position = 4",
            "kind",
        ),
        (
            "UPDATE evidence SET recorded_us = recorded_us + 1 WHERE position = 4",
            "recorded_us",
        ),
        ("UPDATE evidence SET who = 'bob' WHERE position = 4", "who"),
    ] {
        for tampering in found_after(statements) {
            let expected = Tampering::ColumnDiffers {
                position: 4,
                column: column.to_owned(),
            };
            assert_eq!(tampering, [expected]);
        }
    }
    for tampering in found_after("DELETE FROM evidence WHERE position = 4") {
        assert_eq!(tampering[0], Tampering::Missing { position: 4 });
    }
    for tampering in found_after("DELETE FROM evidence WHERE position = 10") {
        assert_eq!(tampering[0], Tampering::Missing { position: 10 });
    }
    // The number of records set back as well: the signature still says eleven.
    let back = "DELETE FROM evidence WHERE position = 10; UPDATE ledger SET size = 10";
    for tampering in found_after(back) {
        assert!(
            tampering.contains(&Tampering::Missing { position: 10 }),
            "{tampering:?}"
        );
    }
    let exchanged = "UPDATE evidence SET position = 100 WHERE position = 4;
        UPDATE evidence SET position = 4 WHERE position = 5; UPDATE evidence SET position = 5 WHERE position = 100";
    for tampering in found_after(exchanged) {
        assert!(
            tampering
                .iter()
                .any(|found| matches!(found, Tampering::RootDiffers { .. })),
            "{tampering:?}"
        );
    }
    let added = "INSERT INTO evidence SELECT 11, kind, subject, recorded_us, who, record, leaf FROM evidence WHERE position = 4";
    for tampering in found_after(added) {
        assert_eq!(tampering, [Tampering::Unsigned { position: 11 }]);
    }
    let before = "INSERT INTO evidence SELECT -1, kind, subject, recorded_us, who, record, leaf FROM evidence WHERE position = 4";
    for tampering in found_after(before) {
        assert_eq!(tampering, [Tampering::Unsigned { position: -1 }]);
    }
    let checkpoint = "UPDATE ledger SET checkpoint = replace(checkpoint, '11', '12')";
    for tampering in found_after(checkpoint) {
        assert!(
            matches!(tampering[0], Tampering::Signature { .. }),
            "{tampering:?}"
        );
    }
    for tampering in found_after("UPDATE spending SET amount_micro = 1 WHERE entry = '1-0'") {
        assert!(
            matches!(
                tampering[..],
                [Tampering::SpendingDiffers {
                    recorded_micro: 1_250_001,
                    found_micro: 250_002,
                    ..
                }]
            ),
            "{tampering:?}"
        );
    }
    for tampering in found_after("DELETE FROM spending") {
        assert!(
            matches!(
                tampering[..],
                [Tampering::SpendingDiffers { found_micro: 0, .. }]
            ),
            "{tampering:?}"
        );
    }
}

/// Someone who rewrites all of it, keys included, is found by whoever kept a key or a checkpoint.
#[test]
fn a_ledger_that_was_written_anew_is_found() {
    on_each(async |somewhere| {
        let ledger = filled(somewhere).await;
        let kept = ledger.checkpoint().await.expect("reads");
        let key = signer(&ledger).key.verifier();
        for n in 20..30 {
            let batch = Batch {
                evidence: vec![said(n)],
                ..Batch::default()
            };
            ledger.write(batch).await.expect("writes");
        }
        let sound = ledger
            .verify(std::slice::from_ref(&key), Some(&kept))
            .await
            .expect("reads");
        assert_eq!(
            (sound.size, &sound.tampering[..], sound.keys_given),
            (21, &[][..], true)
        );
        let other = SignKey::new(&ledger.origin(), [6; 32])
            .expect("a key")
            .verifier();
        let unknown = ledger.verify(&[other], None).await.expect("reads");
        assert!(matches!(unknown.tampering[0], Tampering::Signature { .. }));

        // Ten records less, all signed well: only the checkpoint that was kept tells.
        ledger.close().await;
        std::thread::scope(|scope| {
            let empty = "DELETE FROM evidence; DELETE FROM signers; UPDATE ledger SET size = 0, edge = '', checkpoint = ''";
            scope
                .spawn(|| somewhere.tamper(empty))
                .join()
                .expect("tampers");
        });
        let ledger = open(somewhere).await;
        let five = Batch {
            evidence: (0..5).map(said).collect(),
            ..Batch::default()
        };
        ledger.write(five).await.expect("writes");
        let alone = ledger
            .verify(std::slice::from_ref(&key), None)
            .await
            .expect("reads");
        assert_eq!(alone.tampering, []);
        let against = ledger
            .verify(std::slice::from_ref(&key), Some(&kept))
            .await
            .expect("reads");
        assert!(
            matches!(
                against.tampering[..],
                [Tampering::Rewritten {
                    earlier_size: 11,
                    ..
                }]
            ),
            "{against:?}"
        );
        let more = Batch {
            evidence: (5..20).map(|n| said(n + 1)).collect(),
            ..Batch::default()
        };
        ledger.write(more).await.expect("writes");
        let against = ledger.verify(&[key], Some(&kept)).await.expect("reads");
        assert!(
            matches!(against.tampering[..], [Tampering::Rewritten { .. }]),
            "{against:?}"
        );
    });
}

#[test]
fn a_record_is_shown_to_be_under_the_signed_root() {
    on_each(async |somewhere| {
        let ledger = filled(somewhere).await;
        let note = ledger.checkpoint().await.expect("reads");
        let key = signer(&ledger).key.verifier();
        let (checkpoint, _) = outlay_ledger::Checkpoint::open(&note, &[key]).expect("signed");
        let record = outlay_ledger::canonical(&said(4).record()).expect("canonical");
        let leaf = outlay_ledger::merkle::leaf_hash(record.as_bytes());
        let proof = ledger.inclusion_proof(4).await.expect("reads");
        let shown = |position| {
            outlay_ledger::merkle::includes(
                &checkpoint.root,
                checkpoint.size,
                position,
                &leaf,
                &proof,
            )
        };
        assert!(shown(4) && !shown(5));
        assert!(ledger.inclusion_proof(11).await.is_err());
    });
}

#[test]
fn a_clock_that_went_back_is_noted_and_proves_nothing() {
    on_each(async |somewhere| {
        let ledger = open(somewhere).await;
        let mut early = said(2);
        early.recorded_us -= 3_600_000_000;
        let batch = Batch {
            evidence: vec![said(1), early, said(3)],
            ..Batch::default()
        };
        ledger.write(batch).await.expect("writes");
        let verification = ledger.verify(&[], None).await.expect("reads");
        assert_eq!(verification.tampering, []);
        assert!(
            verification.notes[0].contains("record 1 is dated 3600 s before"),
            "{:?}",
            verification.notes
        );
    });
}

/// Before anything was signed, a record that is there was put there by someone else.
#[test]
fn a_record_in_an_empty_ledger_is_found() {
    on_each(async |somewhere| {
        open(somewhere).await.close().await;
        std::thread::scope(|scope| {
            let forged =
                "INSERT INTO evidence (position, kind, subject, recorded_us, who, record, leaf)
                VALUES (0, 'audit', 'model/1', 0, 'bob', '{}', '')";
            scope
                .spawn(|| somewhere.tamper(forged))
                .join()
                .expect("tampers");
        });
        let ledger = Ledger::open(&somewhere.place, false).await.expect("opens");
        let verification = ledger.verify(&[], None).await.expect("reads");
        assert_eq!(
            verification.tampering,
            [Tampering::Unsigned { position: 0 }]
        );
    });
}

/// Spending and the record of it are written together, and are to be read together.
#[test]
fn what_is_written_meanwhile_is_not_taken_for_tampering() {
    on_each(async |somewhere| {
        let ledger = open(somewhere).await;
        let start = Batch {
            runs: vec![run(1)],
            evidence: (0..2000).map(said).collect(),
            ..Batch::default()
        };
        ledger.write(start).await.expect("writes");
        let writer = {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                for n in 1..200 {
                    let mut record = said(n);
                    record.kind = "run".to_owned();
                    record.subject = format!("run/{}", run(1).id);
                    record.body = serde_json::json!({"spent_micro": n});
                    let batch = Batch {
                        spending: vec![spent(1, n as u32, 1)],
                        evidence: vec![record],
                        ..Batch::default()
                    };
                    ledger.write(batch).await.expect("writes");
                }
            })
        };
        let mut n_verified = 0;
        while !writer.is_finished() || n_verified == 0 {
            let verification = ledger.verify(&[], None).await.expect("reads");
            assert_eq!(verification.tampering, []);
            n_verified += 1;
        }
        writer.await.expect("writes");
    });
}

#[test]
fn evidence_without_a_key_is_refused() {
    on_each(async |somewhere| {
        let ledger = Ledger::open(&somewhere.place, true).await.expect("opens");
        let batch = Batch {
            evidence: vec![said(1)],
            ..Batch::default()
        };
        let error = ledger.write(batch).await.expect_err("refuses");
        assert!(
            matches!(error.fault, outlay_ledger::Fault::NoKey),
            "{error:?}"
        );
        assert_eq!(ledger.verify(&[], None).await.expect("reads").tampering, []);
    });
}
