//! Killed at any moment: every acknowledged write is there, the tree verifies.
//!
//! The tests' own binary is started again as the one that writes; it says on its standard output which batches were acknowledged.
//! `OUTLAY_KILLS` says how often it is killed on each database; without it, as often as fits into some seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use outlay_ledger::{Batch, Evidence, Label, Ledger, Place, Point, Series};
use serde_json::json;

use crate::own_server::OwnServer;
use crate::{Somewhere, block_on, open, random, run, server, spent};

/// What the writing process is told: where to write, and as which run.
const WRITER: &str = "OUTLAY_TEST_WRITER";

/// What it says for each acknowledged batch, with its number between the two.
const SAID: [&str; 2] = ["acknowledged:", ";"];

/// Batches under way at the same time.
const CALLERS: usize = 4;

/// How many of everything a batch holds.
const POINTS: usize = 3;
const ENTRIES: usize = 2;
const RECORDS: usize = 2;

fn kills() -> u32 {
    let asked = std::env::var("OUTLAY_KILLS").ok();
    asked.map_or(40, |text| text.parse().expect("OUTLAY_KILLS is a number"))
}

pub(crate) fn batch(run_n: u32, n: i64) -> Batch {
    let run_id = run(run_n).id;
    let said = |part| Evidence {
        kind: "note".to_owned(),
        subject: format!("round/{run_n}"),
        body: json!({"batch": n, "part": part}),
        recorded_us: 1_764_000_000_000_000 + n,
        who: "ann".to_owned(),
    };
    let point = |part| Point {
        step: n * POINTS as i64 + part,
        at_us: n,
        value: n as f64,
    };
    let entry = |part| {
        let mut entry = spent(run_n, part, 1);
        entry.entry = format!("{run_n}/{n}/{part}");
        entry.note = n.to_string();
        entry
    };
    Batch {
        runs: vec![run(run_n)],
        tags: vec![Label {
            run_id: run_id.clone(),
            key: format!("batch {n}"),
            value: n.to_string(),
        }],
        series: vec![Series {
            run_id,
            key: "loss".to_owned(),
            points: (0..POINTS as i64).map(point).collect(),
        }],
        spending: (0..ENTRIES as u32).map(entry).collect(),
        evidence: (0..RECORDS).map(said).collect(),
        ..Batch::default()
    }
}

/// No test by itself: the process that is killed.
#[test]
fn writes_until_it_is_killed() {
    let Ok(told) = std::env::var(WRITER) else {
        return;
    };
    let (run_n, place) = told.split_once(' ').expect("a run and a place");
    let run_n: u32 = run_n.parse().expect("a run");
    let place = Place::read(place);
    block_on(async {
        let ledger = Ledger::open(&place, true).await.expect("opens");
        ledger.sign_with(crate::signer(&ledger)).await;
        let next = Arc::new(AtomicI64::new(0));
        let mut writing = tokio::task::JoinSet::new();
        for _ in 0..CALLERS {
            let (ledger, next) = (ledger.clone(), Arc::clone(&next));
            writing.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    ledger.write(batch(run_n, n)).await.expect("writes");
                    let mut out = std::io::stdout().lock();
                    let line = format!("\n{}{n}{}\n", SAID[0], SAID[1]);
                    out.write_all(line.as_bytes()).expect("says");
                    out.flush().expect("says");
                }
            });
        }
        writing.join_all().await;
    });
}

pub(crate) struct Writer {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    said: String,
}

impl Writer {
    pub(crate) fn start(place: &Place, run_n: u32) -> Self {
        let place = match place {
            Place::File(path) => path.display().to_string(),
            Place::Postgres(address) => address.clone(),
        };
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args([
                "--exact",
                "killed::writes_until_it_is_killed",
                "--nocapture",
            ])
            .env(WRITER, format!("{run_n} {place}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this binary starts");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        Self {
            child,
            out,
            said: String::new(),
        }
    }

    /// Waits until so many batches were acknowledged, or it ended.
    pub(crate) fn wait_for(&mut self, n_batches: usize) {
        while self.said.matches(SAID[0]).count() < n_batches {
            if self.out.read_line(&mut self.said).expect("reads") == 0 {
                return;
            }
        }
    }

    /// Kills it; gives the batches that were acknowledged, and what it complained of.
    pub(crate) fn kill(mut self) -> (BTreeSet<i64>, String) {
        self.child.kill().expect("is killed");
        let status = self.child.wait().expect("ends");
        self.out.read_to_string(&mut self.said).expect("reads");
        let mut complaint = String::new();
        if status.code().is_some() {
            let mut pipe = self.child.stderr.take().expect("a pipe");
            pipe.read_to_string(&mut complaint).expect("reads");
            complaint.push_str("(it ended by itself)");
        }
        let acknowledged = self.said.lines().filter_map(|line| {
            let number = line.strip_prefix(SAID[0])?.strip_suffix(SAID[1])?;
            Some(number.parse().expect("a number"))
        });
        (acknowledged.collect(), complaint)
    }
}

/// Every batch of a run that left anything is there as a whole, and so are all of those that were acknowledged.
pub(crate) async fn check_batches(ledger: &Ledger, run_n: u32, acknowledged: &BTreeSet<i64>) {
    let run_id = run(run_n).id;
    let mut found: BTreeMap<i64, [usize; 4]> = BTreeMap::new();
    let mut count = |n: i64, what: usize| found.entry(n).or_default()[what] += 1;
    for point in ledger.points(&run_id, "loss").await.expect("reads") {
        count(point.at_us, 0);
    }
    for tag in ledger.labels(&run_id, true).await.expect("reads") {
        count(tag.value.parse().expect("a number"), 1);
    }
    for entry in ledger.spending(Some(&run_id)).await.expect("reads") {
        count(entry.note.parse().expect("a number"), 2);
    }
    let subject = format!("round/{run_n}");
    for (_, record) in ledger.evidence(Some(&subject)).await.expect("reads") {
        count(record.body["batch"].as_i64().expect("a number"), 3);
    }
    for (n, counts) in &found {
        let whole = [POINTS, 1, ENTRIES, RECORDS];
        assert_eq!(*counts, whole, "batch {n} of run {run_n}");
    }
    for n in acknowledged {
        assert!(found.contains_key(n), "batch {n} of run {run_n} is lost");
    }
}

pub(crate) async fn check_tree(ledger: &Ledger, earlier: Option<&str>) {
    let earlier = earlier.filter(|note| !note.is_empty());
    let verification = ledger.verify(&[], earlier).await.expect("reads");
    assert_eq!(verification.tampering, []);
}

/// What a killed client asked for may still be under way in the server.
pub(crate) fn settle(place: &Place) {
    use sqlx::Connection;
    let Place::Postgres(address) = place else {
        return;
    };
    block_on(async {
        let mut connection = sqlx::PgConnection::connect(address)
            .await
            .expect("connects");
        loop {
            let (n_others,): (i64,) = sqlx::query_as(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
            )
            .fetch_one(&mut connection)
            .await
            .expect("reads");
            if n_others == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        connection.close().await.expect("closes");
    });
}

fn survives_being_killed(somewhere: &Somewhere) {
    let mut earlier = String::new();
    let mut n_acknowledged = 0;
    let kills = kills();
    for round in 1..=kills {
        // Two processes at once, now and then.
        let n_writers = if round % 4 == 0 { 2 } else { 1 };
        let mut writers: Vec<(u32, Writer)> = (0..n_writers)
            .map(|n| 2 * round + n)
            .map(|run_n| (run_n, Writer::start(&somewhere.place, run_n)))
            .collect();
        let after = Duration::from_micros(1_000 + random() % 59_000);
        // Some before they have written anything: while they open the ledger.
        if round % 5 != 0 {
            for (_, writer) in &mut writers {
                writer.wait_for(1);
            }
        }
        std::thread::sleep(after);
        let outcomes: Vec<_> = writers
            .into_iter()
            .map(|(run_n, writer)| (run_n, writer.kill()))
            .collect();
        settle(&somewhere.place);
        block_on(async {
            let ledger = open(somewhere).await;
            for (run_n, (acknowledged, complaint)) in &outcomes {
                assert_eq!(complaint, "", "a writer failed in round {round}");
                check_batches(&ledger, *run_n, acknowledged).await;
                n_acknowledged += acknowledged.len();
            }
            // The whole tree again and again, and still not most of the time.
            if round % 10 == 0 || round == kills {
                check_tree(&ledger, Some(&earlier)).await;
                earlier = ledger.checkpoint().await.expect("reads");
            }
            ledger.close().await;
        });
    }
    assert!(
        n_acknowledged >= kills as usize / 2,
        "{n_acknowledged} batches are too few to say anything"
    );
}

#[test]
fn a_file_survives_writers_that_are_killed() {
    survives_being_killed(&Somewhere::file());
}

#[test]
fn a_database_survives_writers_that_are_killed() {
    let Some(server) = server() else { return };
    survives_being_killed(&Somewhere::postgres(&server));
}

/// Killed while the ledger is made: the next one makes it, or finds it made.
#[test]
fn a_ledger_half_made_is_made_whole() {
    let mut places = vec![None, None, None];
    places.extend(server().map(Some));
    for (at, server) in places
        .into_iter()
        .cycle()
        .take(kills() as usize / 2)
        .enumerate()
    {
        let somewhere = server.map_or_else(Somewhere::file, |server| Somewhere::postgres(&server));
        let writer = Writer::start(&somewhere.place, 1);
        std::thread::sleep(Duration::from_micros(random() % 60_000));
        let (acknowledged, complaint) = writer.kill();
        assert_eq!(complaint, "", "round {at}");
        settle(&somewhere.place);
        block_on(async {
            let ledger = open(&somewhere).await;
            check_batches(&ledger, 1, &acknowledged).await;
            ledger.write(batch(2, 1)).await.expect("writes");
            check_tree(&ledger, None).await;
            ledger.close().await;
        });
    }
}

/// The server itself, with all of its processes, as when the machine loses its power (but for what the system still held).
#[test]
fn a_server_that_is_killed_has_kept_what_was_acknowledged() {
    let Some(own) = OwnServer::start() else {
        return;
    };
    let somewhere = Somewhere::postgres(&own.address);
    let mut earlier = String::new();
    for round in 1..=kills().div_ceil(20) {
        let mut writer = Writer::start(&somewhere.place, round);
        writer.wait_for(5);
        std::thread::sleep(Duration::from_micros(random() % 60_000));
        own.kill();
        // Its writer ends with an error, and says which.
        let (acknowledged, _) = writer.kill();
        own.start_again();
        block_on(async {
            let ledger = open(&somewhere).await;
            check_batches(&ledger, round, &acknowledged).await;
            check_tree(&ledger, Some(&earlier)).await;
            earlier = ledger.checkpoint().await.expect("reads");
            ledger.close().await;
        });
    }
}
