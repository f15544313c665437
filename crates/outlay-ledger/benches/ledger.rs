//! How fast the ledger takes metrics and evidence, each acknowledged once it is on the disk, and how fast a million records of evidence are verified.
//!
//! `cargo bench -p outlay-ledger`; some minutes. With `OUTLAY_BENCH=quick` half a minute, which says little. With `-- points` or `-- evidence` only that half.
//! With `OUTLAY_POSTGRES`, PostgreSQL as well. Beside it, Python's `sqlite3` on the same table with as durable commits, where there is a `python3`.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use outlay_ledger::{
    Batch, Evidence, Ledger, Place, Point, Run, RunStatus, Series, SignKey, Signer,
};
use serde_json::json;
use sqlx::Connection;

/// How much of everything.
struct Extent {
    points: usize,
    records: usize,
    repeats: usize,
}

/// Points a call, and callers at the same time.
const SIZES: [(usize, usize); 6] = [
    (1, 1024),
    (1, 64),
    (10, 64),
    (100, 64),
    (1000, 16),
    (1000, 1),
];

fn main() {
    let is_quick = std::env::var("OUTLAY_BENCH").is_ok_and(|value| value == "quick");
    let extent = if is_quick {
        Extent {
            points: 20_000,
            records: 20_000,
            repeats: 1,
        }
    } else {
        Extent {
            points: 400_000,
            records: 1_000_000,
            repeats: 5,
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let wanted = std::env::args().skip(1).find(|name| !name.starts_with('-'));
    let is_wanted = |name| wanted.as_deref().is_none_or(|wanted| wanted == name);
    let sizes: &[(usize, usize)] = if is_wanted("points") { &SIZES } else { &[] };
    for &(size, callers) in sizes {
        let mut rates: Vec<f64> = (0..extent.repeats)
            .map(|repeat| {
                let path = folder.path().join(format!("{size}-{callers}-{repeat}.db"));
                // Calls with few points wait for the disk mostly: fewer of them do.
                let n_points = extent.points.min(extent.points / 400 * size * callers);
                runtime.block_on(points(&Place::File(path), n_points, size, callers))
            })
            .collect();
        let peer = peer(folder.path(), size, extent.points / 4);
        report(
            &format!("SQLite, points, {size} a call, {callers} callers"),
            &mut rates,
            peer,
        );
    }
    runtime.block_on(on_server("DROP DATABASE IF EXISTS outlay_bench"));
    runtime.block_on(on_server("CREATE DATABASE outlay_bench"));
    for (name, place) in places(folder.path()) {
        if !is_wanted("evidence") {
            break;
        }
        let ledger = runtime.block_on(opened(&place));
        for callers in [1, 64] {
            let mut rates: Vec<f64> = (0..extent.repeats)
                .map(|_| runtime.block_on(appends(&ledger, callers, extent.records / 100)))
                .collect();
            report(
                &format!("{name}, evidence, 1 a call, {callers} callers"),
                &mut rates,
                None,
            );
        }
        let start = Instant::now();
        let n_added = runtime.block_on(fill(&ledger, extent.records));
        let mut rates = vec![n_added as f64 / start.elapsed().as_secs_f64()];
        report(
            &format!("{name}, evidence, 5000 a call, 1 caller"),
            &mut rates,
            None,
        );
        let mut seconds: Vec<f64> = (0..extent.repeats)
            .map(|_| runtime.block_on(verified(&ledger, extent.records as u64)))
            .collect();
        seconds.sort_by(f64::total_cmp);
        say(&format!(
            "{name}, {} records verified in {:.2} s ({:.2} to {:.2})",
            extent.records,
            seconds[seconds.len() / 2],
            seconds[0],
            seconds[seconds.len() - 1]
        ));
        runtime.block_on(ledger.close());
    }
    runtime.block_on(on_server("DROP DATABASE outlay_bench"));
}

#[expect(clippy::print_stdout, reason = "a bench reports to its terminal")]
fn say(line: &str) {
    println!("{line}");
}

fn report(name: &str, rates: &mut [f64], peer: Option<f64>) {
    rates.sort_by(f64::total_cmp);
    let peer = peer.map_or_else(String::new, |rate| {
        format!("; Python's sqlite3, 1 caller: {rate:.0}/s")
    });
    say(&format!(
        "{name}: median {:.0}/s of {} runs ({:.0} to {:.0}){peer}",
        rates[rates.len() / 2],
        rates.len(),
        rates[0],
        rates[rates.len() - 1]
    ));
}

fn places(folder: &Path) -> Vec<(&'static str, Place)> {
    let mut places = vec![("SQLite", Place::File(folder.join("evidence.db")))];
    if let Ok(server) = std::env::var("OUTLAY_POSTGRES") {
        let address = server.replacen("/postgres?", &format!("/{DATABASE}?"), 1);
        places.push(("PostgreSQL", Place::Postgres(address)));
    }
    places
}

/// The database that is made on the server, and removed again.
const DATABASE: &str = "outlay_bench";

async fn on_server(statement: &'static str) {
    if let Ok(server) = std::env::var("OUTLAY_POSTGRES") {
        let mut connection = sqlx::PgConnection::connect(&server)
            .await
            .expect("OUTLAY_POSTGRES is the address of a server");
        let done = sqlx::raw_sql(statement).execute(&mut connection).await;
        done.expect("the statement runs");
    }
}

async fn opened(place: &Place) -> Ledger {
    let ledger = Ledger::open(place, true).await.expect("opens");
    let key = SignKey::new(&ledger.origin(), [5; 32]).expect("a key");
    let who = "bench".to_owned();
    ledger.sign_with(Signer { key, who }).await;
    ledger
}

fn run_id(n: usize) -> String {
    format!("{n:032x}")
}

fn run(n: usize) -> Run {
    Run {
        id: run_id(n),
        name: "bench".to_owned(),
        project: "paper".to_owned(),
        team: "vision".to_owned(),
        who: "ann".to_owned(),
        host: "box".to_owned(),
        command: vec!["python".to_owned(), "train.py".to_owned()],
        status: RunStatus::Running,
        started_us: 0,
        seen_us: 0,
        ended_us: None,
        exit_code: None,
        state: json!({}),
        summary: None,
        experiment_id: 0,
        artifact_uri: String::new(),
        deleted_us: None,
    }
}

/// Points a second, from the first call to the last acknowledgement. Each caller is a run with up to ten metrics.
async fn points(place: &Place, n_points: usize, size: usize, callers: usize) -> f64 {
    let ledger = opened(place).await;
    let runs = Batch {
        runs: (0..callers).map(run).collect(),
        ..Batch::default()
    };
    ledger.write(runs).await.expect("writes");
    let n_metrics = size.min(10);
    let n_calls = n_points / size / callers;
    let start = Instant::now();
    let mut writing = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let ledger = ledger.clone();
        writing.spawn(async move {
            for call in 0..n_calls {
                let steps = size / n_metrics;
                let series = (0..n_metrics).map(|metric| Series {
                    run_id: run_id(caller),
                    key: format!("metric/{metric}"),
                    points: (call * steps..(call + 1) * steps)
                        .map(|step| Point {
                            step: step as i64,
                            at_us: 1_764_000_000_000_000 + step as i64,
                            value: 1.0 / (1.0 + step as f64),
                        })
                        .collect(),
                });
                let batch = Batch {
                    series: series.collect(),
                    ..Batch::default()
                };
                ledger.write(batch).await.expect("writes");
            }
        });
    }
    writing.join_all().await;
    let rate = (n_calls * callers * size) as f64 / start.elapsed().as_secs_f64();
    ledger.close().await;
    rate
}

/// A record such as a finished run leaves: some 700 bytes.
fn record(n: usize) -> Evidence {
    Evidence {
        kind: "note".to_owned(),
        subject: format!("run/{}", run_id(n)),
        body: json!({
            "name": format!("finetune-{n}"),
            "project": "paper",
            "team": "vision",
            "command": ["python", "train.py", "--lr", "0.0003", "--seed", n.to_string()],
            "status": "finished",
            "energy_wh": 1234.5 + n as f64,
            "gpu_seconds": 3600.25,
            "utilization_percent": 93.1,
            "devices": [
                {"model": "NVIDIA H100 80GB HBM3", "uuid": format!("GPU-{n:032x}"), "memory_bytes": 85_899_345_920_u64},
                {"model": "NVIDIA H100 80GB HBM3", "uuid": format!("GPU-{n:032X}"), "memory_bytes": 85_899_345_920_u64},
            ],
            "quality": "counter",
            "note": "measured by the counters of the boards",
        }),
        recorded_us: 1_764_000_000_000_000 + n as i64,
        who: "ann".to_owned(),
    }
}

async fn appends(ledger: &Ledger, callers: usize, n_most: usize) -> f64 {
    let start = Instant::now();
    let mut writing = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let ledger = ledger.clone();
        writing.spawn(async move {
            let mut n_written = 0;
            while n_written < n_most / callers && start.elapsed() < Duration::from_secs(3) {
                let batch = Batch {
                    evidence: vec![record(caller * n_most + n_written)],
                    ..Batch::default()
                };
                ledger.write(batch).await.expect("writes");
                n_written += 1;
            }
            n_written
        });
    }
    let n_written: usize = writing.join_all().await.into_iter().sum();
    n_written as f64 / start.elapsed().as_secs_f64()
}

/// Adds records until there are so many; gives how many it added.
async fn fill(ledger: &Ledger, n_records: usize) -> usize {
    let size = ledger.verify(&[], None).await.expect("reads").size as usize;
    let mut next = size;
    while next < n_records {
        let end = n_records.min(next + 5000);
        let batch = Batch {
            evidence: (next..end).map(record).collect(),
            ..Batch::default()
        };
        ledger.write(batch).await.expect("writes");
        next = end;
    }
    next - size
}

async fn verified(ledger: &Ledger, n_records: u64) -> f64 {
    let start = Instant::now();
    let verification = ledger.verify(&[], None).await.expect("reads");
    assert_eq!(
        (verification.size, &verification.tampering[..]),
        (n_records, &[][..])
    );
    start.elapsed().as_secs_f64()
}

/// Points a second that Python writes into the same table, a durable transaction for each call.
fn peer(folder: &Path, size: usize, n_points: usize) -> Option<f64> {
    let program = r#"
import sqlite3, sys, time
path, size, n_points = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
db = sqlite3.connect(path, isolation_level=None)
db.execute("PRAGMA journal_mode=WAL"); db.execute("PRAGMA synchronous=FULL")
db.execute("""CREATE TABLE IF NOT EXISTS points (series_id INTEGER NOT NULL, step INTEGER NOT NULL, at_us INTEGER NOT NULL,
    value REAL NOT NULL, is_nan INTEGER NOT NULL, PRIMARY KEY (series_id, step, at_us, value, is_nan)) WITHOUT ROWID""")
metrics = min(size, 10)
start, n, step = time.perf_counter(), 0, 0
while n < n_points and time.perf_counter() - start < 3:
    rows = [(m, step + s, 1764000000000000 + s, 1 / (1 + step + s), 0) for m in range(metrics) for s in range(size // metrics)]
    db.execute("BEGIN IMMEDIATE")
    db.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", rows)
    db.execute("COMMIT")
    n += len(rows); step += size // metrics
print(n / (time.perf_counter() - start))
"#;
    let path = folder.join("peer.db");
    let _ = std::fs::remove_file(&path);
    let out = Command::new("python3")
        .args(["-c", program])
        .arg(path)
        .args([size.to_string(), n_points.to_string()])
        .output()
        .ok()?;
    String::from_utf8(out.stdout).ok()?.trim().parse().ok()
}
