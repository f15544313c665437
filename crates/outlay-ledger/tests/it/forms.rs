//! Every form that a ledger ever had is opened, and brought to the newest with all that it holds.

use outlay_ledger::{Batch, Ledger, Place};

use crate::{Somewhere, block_on, said, server, signer};

/// Ledgers as each form left them: its number, SQLite's statements, PostgreSQL's, and an export.
const FORMS: &[(&str, &str, &str, &str)] = &[(
    "1",
    include_str!("../fixtures/form-1-sqlite.sql"),
    include_str!("../fixtures/form-1-postgres.sql"),
    include_str!("../fixtures/form-1.jsonl"),
)];

/// What all of them hold, and that they go on.
async fn holds_everything(form: &str, ledger: &Ledger) {
    let runs = ledger.runs(10).await.expect("reads");
    assert_eq!(runs.len(), 1, "form {form}");
    let id = &runs[0].id;
    assert_eq!(
        (runs[0].name.as_str(), runs[0].team.as_str()),
        ("sh", "vision")
    );
    let losses = ledger.points(id, "loss").await.expect("reads");
    let losses: Vec<(i64, f64)> = losses
        .iter()
        .map(|point| (point.step, point.value))
        .collect();
    assert_eq!(losses, [(1, 0.1), (2, 0.2), (3, 0.3)], "form {form}");
    assert_eq!(
        ledger.labels(id, false).await.expect("reads")[0].value,
        "0.1"
    );
    assert_eq!(ledger.labels(id, true).await.expect("reads").len(), 2);
    assert_eq!(ledger.datasets(id).await.expect("reads").len(), 1);
    assert_eq!(ledger.artifacts(id).await.expect("reads").len(), 1);
    assert_eq!(ledger.spending(Some(id)).await.expect("reads").len(), 1);
    assert_eq!(ledger.budgets().await.expect("reads").len(), 1);
    assert_eq!(ledger.evidence(None).await.expect("reads").len(), 2);
    let verification = ledger.verify(&[], None).await.expect("reads");
    assert_eq!(
        (verification.size, verification.tampering),
        (2, vec![]),
        "form {form}"
    );
    ledger.sign_with(signer(ledger)).await;
    let more = Batch {
        evidence: vec![said(1)],
        series: vec![outlay_ledger::Series {
            run_id: id.clone(),
            key: "new".to_owned(),
            points: vec![],
        }],
        ..Batch::default()
    };
    ledger.write(more).await.expect("writes");
    assert_eq!(ledger.verify(&[], None).await.expect("reads").tampering, []);
}

#[test]
fn every_form_is_opened_with_all_that_it_holds() {
    for (form, sqlite, ..) in FORMS {
        let somewhere = Somewhere::file();
        somewhere.run(sqlite);
        block_on(async {
            let ledger = Ledger::open(&somewhere.place, false).await.expect("opens");
            holds_everything(form, &ledger).await;
        });
    }
    let Some(server) = server() else { return };
    for (form, _, postgres, _) in FORMS {
        let somewhere = Somewhere::postgres(&server);
        somewhere.run(postgres);
        block_on(async {
            let ledger = Ledger::open(&somewhere.place, false).await.expect("opens");
            holds_everything(form, &ledger).await;
        });
    }
}

#[test]
fn exports_of_every_form_are_read() {
    for (form, .., export) in FORMS {
        let somewhere = Somewhere::file();
        let path = somewhere.folder.path().join("export.jsonl");
        std::fs::write(&path, export).expect("writes");
        block_on(async {
            let ledger = Ledger::open(&Place::read(&somewhere.place.shown()), true)
                .await
                .expect("opens");
            ledger.import(&path).await.expect("imports");
            holds_everything(form, &ledger).await;
        });
    }
}
