//! The ledger from outside, the same tests on both databases.

mod both;
mod faults;
mod files;
mod forms;
mod garbled;
mod killed;
mod own_server;
mod shown;
mod tracking;
mod verify;

use outlay_ledger::{
    Batch, Evidence, Ledger, Micro, Place, Run, RunStatus, Series, SignKey, Signer, Spending,
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection};

/// An empty ledger somewhere, removed when it is dropped.
pub(crate) struct Somewhere {
    pub(crate) place: Place,
    pub(crate) folder: tempfile::TempDir,
    database: Option<(String, String)>,
}

impl Somewhere {
    pub(crate) fn file() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            place: Place::File(folder.path().join("ledger.db")),
            folder,
            database: None,
        }
    }

    /// A database of its own on the server that OUTLAY_POSTGRES names.
    pub(crate) fn postgres(server: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let name = format!("outlay_test_{:016x}", random());
        on_server(server, &format!("CREATE DATABASE {name}"));
        Self {
            place: Place::Postgres(server.replacen("/postgres?", &format!("/{name}?"), 1)),
            folder,
            database: Some((server.to_owned(), name)),
        }
    }

    /// Runs statements in an empty database, such as those that fill it as an earlier Outlay did.
    pub(crate) fn run(&self, statements: &'static str) {
        block_on(async {
            match &self.place {
                Place::File(path) => {
                    let options = sqlx::sqlite::SqliteConnectOptions::new()
                        .filename(path)
                        .create_if_missing(true);
                    let mut connection = sqlx::SqliteConnection::connect_with(&options)
                        .await
                        .expect("the file opens");
                    sqlx::raw_sql(statements)
                        .execute(&mut connection)
                        .await
                        .expect("runs");
                    connection.close().await.expect("closes");
                }
                Place::Postgres(address) => {
                    let mut connection = sqlx::PgConnection::connect(address)
                        .await
                        .expect("connects");
                    sqlx::raw_sql(statements)
                        .execute(&mut connection)
                        .await
                        .expect("runs");
                }
            }
        });
    }

    /// Statements past the ledger, as someone would run them who wants to change it unseen.
    pub(crate) fn tamper(&self, statements: &'static str) {
        block_on(async {
            match &self.place {
                Place::File(path) => {
                    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
                    let mut connection = sqlx::SqliteConnection::connect_with(&options)
                        .await
                        .expect("the file opens");
                    for trigger in [
                        "evidence_is_never_changed",
                        "evidence_is_never_deleted",
                        "spending_is_never_changed",
                        "spending_is_never_deleted",
                    ] {
                        let drop = format!("DROP TRIGGER IF EXISTS {trigger}");
                        sqlx::raw_sql(AssertSqlSafe(drop))
                            .execute(&mut connection)
                            .await
                            .expect("drops");
                    }
                    sqlx::raw_sql(statements)
                        .execute(&mut connection)
                        .await
                        .expect("tampers");
                    connection.close().await.expect("closes");
                }
                Place::Postgres(address) => {
                    let mut connection = sqlx::PgConnection::connect(address)
                        .await
                        .expect("connects");
                    let all = format!(
                        "SET search_path = outlay; ALTER TABLE evidence DISABLE TRIGGER ALL;
                         ALTER TABLE spending DISABLE TRIGGER ALL; {statements}"
                    );
                    sqlx::raw_sql(AssertSqlSafe(all))
                        .execute(&mut connection)
                        .await
                        .expect("tampers");
                }
            }
        });
    }
}

impl Drop for Somewhere {
    fn drop(&mut self) {
        if let Some((server, name)) = &self.database {
            on_server(server, &format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}

pub(crate) fn on_server(server: &str, statement: &str) {
    block_on(async {
        let mut connection = sqlx::PgConnection::connect(server)
            .await
            .expect("OUTLAY_POSTGRES is the address of a server");
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&mut connection)
            .await
            .expect("the statement runs");
    });
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn server() -> Option<String> {
    let server = std::env::var("OUTLAY_POSTGRES").ok();
    if server.is_none() {
        eprintln!("skipped on PostgreSQL: OUTLAY_POSTGRES names no server; on SQLite it runs");
    }
    server
}

/// Runs a test on SQLite, and on PostgreSQL where there is a server.
#[expect(clippy::needless_pass_by_value, reason = "tests read better so")]
pub(crate) fn on_each(test: impl AsyncFn(&Somewhere)) {
    let somewhere = Somewhere::file();
    block_on(test(&somewhere));
    if let Some(server) = server() {
        let somewhere = Somewhere::postgres(&server);
        block_on(test(&somewhere));
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    // A test that calls a helper from within is on a thread of its own for that long.
    if tokio::runtime::Handle::try_current().is_ok() {
        panic!("within a runtime");
    }
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("random bytes");
    u64::from_le_bytes(bytes)
}

pub(crate) fn run(n: u32) -> Run {
    Run {
        id: format!("{n:032x}"),
        name: format!("run {n}"),
        project: "paper".to_owned(),
        team: "vision".to_owned(),
        who: "ann".to_owned(),
        host: "box".to_owned(),
        command: vec!["python".to_owned(), "train.py".to_owned()],
        status: RunStatus::Running,
        started_us: 1_764_000_000_000_000 + i64::from(n),
        seen_us: 1_764_000_000_000_000 + i64::from(n),
        ended_us: None,
        exit_code: None,
        state: json!({"pid": 7}),
        summary: None,
        experiment_id: 0,
        artifact_uri: String::new(),
        deleted_us: None,
    }
}

pub(crate) fn spent(run: u32, n: u32, micro: i64) -> Spending {
    let at = 1_764_000_000_000_000 + i64::from(n) * 1_000_000;
    Spending {
        entry: format!("{run}-{n}"),
        run_id: Some(format!("{run:032x}")),
        project: "paper".to_owned(),
        team: "vision".to_owned(),
        kind: "compute".to_owned(),
        from_us: at,
        to_us: at + 1_000_000,
        amount_micro: Micro(micro),
        currency: "USD".to_owned(),
        quality: "counter".to_owned(),
        note: String::new(),
    }
}

pub(crate) fn said(n: i64) -> Evidence {
    Evidence {
        kind: "note".to_owned(),
        subject: format!("model/{}", n % 3),
        body: json!({"n": n, "text": "\u{e9}\u{1f600}\n"}),
        recorded_us: 1_764_000_000_000_000 + n,
        who: "ann".to_owned(),
    }
}

pub(crate) fn losses(run: u32, n: i64) -> Series {
    Series {
        run_id: format!("{run:032x}"),
        key: "loss".to_owned(),
        points: (0..n)
            .map(|step| outlay_ledger::Point {
                step,
                at_us: step,
                value: 1.0 / (1.0 + step as f64),
            })
            .collect(),
    }
}

pub(crate) async fn open(somewhere: &Somewhere) -> Ledger {
    let ledger = Ledger::open(&somewhere.place, true).await.expect("opens");
    ledger.sign_with(signer(&ledger)).await;
    ledger
}

pub(crate) fn signer(ledger: &Ledger) -> Signer {
    Signer {
        key: SignKey::new(&ledger.origin(), [5; 32]).expect("a key"),
        who: "ann".to_owned(),
    }
}

/// A ledger with something in every table.
pub(crate) async fn filled(somewhere: &Somewhere) -> Ledger {
    let ledger = open(somewhere).await;
    ledger.write(everything()).await.expect("writes");
    ledger
}

pub(crate) fn everything() -> Batch {
    let label = |key: &str, value: &str| outlay_ledger::Label {
        run_id: run(1).id,
        key: key.to_owned(),
        value: value.to_owned(),
    };
    let mut strange = losses(1, 3);
    strange.key = "strange".to_owned();
    strange.points[0].value = f64::NAN;
    strange.points[1].value = f64::NEG_INFINITY;
    Batch {
        runs: vec![run(1), run(2)],
        params: vec![label("lr", "0.1"), label("\u{e9}t\u{e9}", "")],
        tags: vec![label("stage", "one")],
        series: vec![losses(1, 5000), strange],
        datasets: vec![outlay_ledger::Dataset {
            run_id: run(1).id,
            name: "cifar".to_owned(),
            digest: "d".to_owned(),
            context: "training".to_owned(),
            source: "s3://x".to_owned(),
            source_type: "local".to_owned(),
            schema: None,
            profile: None,
            tags: vec![],
            added_us: 1,
        }],
        artifacts: vec![outlay_ledger::Artifact {
            run_id: run(1).id,
            path: "model.bin".to_owned(),
            uri: "file:///m".to_owned(),
            bytes: 7,
            sha256: "00".to_owned(),
            added_us: 1,
        }],
        spending: vec![
            spent(1, 0, 1_000_000),
            spent(1, 1, 250_001),
            spent(2, 0, -7),
        ],
        budgets: vec![outlay_ledger::Budget {
            name: "november".to_owned(),
            project: "paper".to_owned(),
            team: String::new(),
            period: outlay_ledger::Period::Month,
            limit_micro: Micro(50_000_000),
            currency: "USD".to_owned(),
            warn_at_percent: vec![50, 80],
            set_us: 1,
        }],
        evidence: (0..10)
            .map(said)
            .chain([Evidence {
                kind: "run".to_owned(),
                subject: format!("run/{}", run(1).id),
                body: json!({"spent_micro": 1_250_001}),
                recorded_us: 1_764_000_000_000_010,
                who: "ann".to_owned(),
            }])
            .collect(),
        ..Batch::default()
    }
}
