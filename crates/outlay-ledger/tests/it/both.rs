//! What is written comes back.

use outlay_ledger::{Batch, Fault, Label, Ledger, Micro, RunChange, RunStatus};
use serde_json::json;

use crate::{everything, filled, losses, on_each, open, run, said, spent};

#[test]
fn what_is_written_comes_back() {
    on_each(async |somewhere| {
        let ledger = filled(somewhere).await;
        let written = everything();
        assert_eq!(ledger.runs(10).await.expect("reads"), [run(2), run(1)]);
        assert_eq!(
            ledger
                .run("00000000000000000000000000000001")
                .await
                .expect("reads"),
            run(1)
        );
        assert_eq!(
            ledger.labels(&run(1).id, false).await.expect("reads"),
            written.params
        );
        assert_eq!(
            ledger.labels(&run(1).id, true).await.expect("reads"),
            written.tags
        );
        assert_eq!(
            ledger.datasets(&run(1).id).await.expect("reads"),
            written.datasets
        );
        assert_eq!(
            ledger.artifacts(&run(1).id).await.expect("reads"),
            written.artifacts
        );
        assert_eq!(
            ledger.spending(None).await.expect("reads"),
            written.spending
        );
        assert_eq!(ledger.budgets().await.expect("reads"), written.budgets);
        assert_eq!(
            ledger.metrics(&run(1).id).await.expect("reads"),
            [("loss".to_owned(), 5000), ("strange".to_owned(), 3)]
        );
        assert_eq!(
            ledger.points(&run(1).id, "loss").await.expect("reads"),
            losses(1, 5000).points
        );
        let strange = ledger.points(&run(1).id, "strange").await.expect("reads");
        assert!(strange[0].value.is_nan() && strange[1].value == f64::NEG_INFINITY);
        let evidence = ledger.evidence(Some("model/1")).await.expect("reads");
        assert_eq!(evidence, [(1, said(1)), (4, said(4)), (7, said(7))]);
        assert_eq!(
            ledger.spent_by_run(&run(1).id).await.expect("reads"),
            [("USD".to_owned(), Micro(1_250_001))]
        );
        let budget = &written.budgets[0];
        let november = run(1).started_us;
        assert_eq!(
            ledger.spent_of(budget, november).await.expect("reads"),
            Micro(1_249_994)
        );
        let december = november + 31 * 86_400_000_000;
        assert_eq!(
            ledger.spent_of(budget, december).await.expect("reads"),
            Micro(0)
        );

        // Again, as after an answer that was lost: nothing is there twice.
        let mut again = everything();
        again.evidence.clear();
        ledger.write(again).await.expect("writes");
        assert_eq!(
            ledger
                .points(&run(1).id, "loss")
                .await
                .expect("reads")
                .len(),
            5000
        );
        assert_eq!(ledger.spending(None).await.expect("reads").len(), 3);

        ledger.close().await;
        let reopened = Ledger::open(&somewhere.place, false).await.expect("opens");
        assert_eq!(reopened.runs(10).await.expect("reads").len(), 2);
    });
}

#[test]
fn runs_change_and_params_do_not() {
    on_each(async |somewhere| {
        let ledger = filled(somewhere).await;
        let change = RunChange {
            id: run(1).id,
            status: Some(RunStatus::Failed),
            ended_us: Some(5),
            exit_code: Some(-3),
            summary: Some(json!({"a": [1, "b"]})),
            ..RunChange::default()
        };
        let changed = Batch {
            changes: vec![change],
            ..Batch::default()
        };
        ledger.write(changed).await.expect("writes");
        let read = ledger.run(&run(1).id).await.expect("reads");
        assert_eq!(
            (read.status, read.ended_us, read.exit_code),
            (RunStatus::Failed, Some(5), Some(-3))
        );
        assert_eq!(read.state, run(1).state);
        assert_eq!(ledger.running().await.expect("reads"), [run(2)]);

        let label = |run: u32, key: &str, value: &str| Label {
            run_id: crate::run(run).id,
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let param = Batch {
            params: vec![label(1, "lr", "0.2")],
            ..Batch::default()
        };
        let error = ledger.write(param).await.expect_err("refuses");
        assert!(matches!(error.fault, Fault::ParamSet { .. }), "{error}");
        assert!(error.to_string().contains("`lr`"), "{error}");
        let tag = Batch {
            tags: vec![label(1, "stage", "two")],
            ..Batch::default()
        };
        ledger.write(tag).await.expect("writes");
        assert_eq!(
            ledger.labels(&run(1).id, true).await.expect("reads")[0].value,
            "two"
        );
        for unknown in [
            Batch {
                tags: vec![label(9, "a", "b")],
                ..Batch::default()
            },
            Batch {
                series: vec![losses(9, 1)],
                ..Batch::default()
            },
            Batch {
                spending: vec![spent(9, 0, 1)],
                ..Batch::default()
            },
        ] {
            let error = ledger.write(unknown).await.expect_err("refuses");
            assert!(matches!(error.fault, Fault::Missing(_)), "{error:?}");
        }
    });
}

#[test]
fn one_bad_batch_does_not_harm_those_beside_it() {
    on_each(async |somewhere| {
        let ledger = filled(somewhere).await;
        let mut writes = tokio::task::JoinSet::new();
        for n in 0..40 {
            let ledger = ledger.clone();
            writes.spawn(async move {
                let run = if n % 10 == 3 { 9 } else { 1 };
                let batch = Batch {
                    spending: vec![spent(run, 100 + n, 1)],
                    ..Batch::default()
                };
                (n, ledger.write(batch).await.is_ok())
            });
        }
        for (n, is_written) in writes.join_all().await {
            assert_eq!(is_written, n % 10 != 3, "{n}");
        }
        assert_eq!(ledger.spending(None).await.expect("reads").len(), 3 + 36);
    });
}

#[test]
fn what_cannot_be_kept_is_refused() {
    on_each(async |somewhere| {
        let ledger = open(somewhere).await;
        let mut nul = run(1);
        nul.name = "a\0b".to_owned();
        let mut id = run(1);
        id.id = "../x".to_owned();
        let mut huge = said(1);
        huge.body = json!({"n": 9_007_199_254_740_993_i64});
        let mut zero = said(1);
        zero.body = json!({"n": "\0"});
        let mut backwards = spent(1, 1, 1);
        backwards.to_us = 0;
        let mut currency = spent(1, 1, 1);
        currency.currency = "usd".to_owned();
        for batch in [
            Batch {
                runs: vec![nul],
                ..Batch::default()
            },
            Batch {
                runs: vec![id],
                ..Batch::default()
            },
            Batch {
                evidence: vec![huge],
                ..Batch::default()
            },
            Batch {
                evidence: vec![zero],
                ..Batch::default()
            },
            Batch {
                spending: vec![backwards],
                ..Batch::default()
            },
            Batch {
                spending: vec![currency],
                ..Batch::default()
            },
        ] {
            let error = ledger.write(batch).await.expect_err("refuses");
            assert!(matches!(error.fault, Fault::Input(_)), "{error:?}");
        }
        assert!(ledger.runs(1).await.expect("reads").is_empty());
        assert!(ledger.evidence(None).await.expect("reads").is_empty());
        for (id, fault) in [("z/z", "input"), ("ab", "missing"), ("", "input")] {
            let error = ledger.run(id).await.expect_err("refuses");
            let is_input = matches!(error.fault, Fault::Input(_));
            assert_eq!(is_input, fault == "input", "{error}");
        }
    });
}
