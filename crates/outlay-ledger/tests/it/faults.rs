//! Whatever breaks beneath the ledger: an error that names the place and says what is wrong, and nothing lost.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use outlay_ledger::{
    Batch, Fault, Format, Label, Ledger, LedgerError, Micro, Place, Point, Tampering,
};

use crate::killed::{Writer, batch, check_batches, check_tree};
use crate::own_server::{OwnServer, is_root};
use crate::{Somewhere, block_on, filled, on_each, open, run, said, server, spent};

/// Tells a child process of the tests' binary which folder its test is about.
const FOLDER: &str = "OUTLAY_TEST_FOLDER";

/// This binary, to run one of its tests in another process.
fn this_binary(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command
        .args(["--exact", test, "--nocapture"])
        .env(FOLDER, folder);
    command
}

/// The folder that a child process is told; `None` in the process that runs all tests.
fn told() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// Runs a test in a process that has a disk of its own of so many megabytes; the disk is gone with the process.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn on_a_disk_of(megabytes: u32, test: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let as_root = if is_root() { "-m" } else { "-rm" };
    let mount = format!("mount -t tmpfs -o size={megabytes}m none \"$0\" || exit 77; exec \"$@\"");
    let inner = this_binary(test, folder.path());
    let status = Command::new("unshare")
        .args([as_root, "--", "sh", "-c", &mount])
        .arg(folder.path())
        .arg(inner.get_program())
        .args(inner.get_args())
        .env(FOLDER, folder.path())
        .status();
    match status.ok().and_then(|status| status.code()) {
        Some(0) => {}
        None | Some(1 | 77 | 127) if !can_mount(folder.path()) => {
            eprintln!("skipped: no disk can be mounted here");
        }
        code => panic!("{test} on a small disk: {code:?}"),
    }
}

fn can_mount(folder: &Path) -> bool {
    let as_root = if is_root() { "-m" } else { "-rm" };
    Command::new("unshare")
        .args([as_root, "--", "mount", "-t", "tmpfs", "none"])
        .arg(folder)
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What is said of a place that cannot be opened.
fn refused(place: &Place, create: bool) -> LedgerError {
    let error = block_on(Ledger::open(place, create)).expect_err("cannot be opened");
    names_its_place(&error, place);
    error
}

fn names_its_place(error: &LedgerError, place: &Place) {
    let text = error.to_string();
    assert!(text.contains(&place.shown()), "{text}");
    assert!(error.fault.to_string().len() > 10, "{text}");
}

#[test]
fn a_full_disk_loses_nothing_and_is_said() {
    let Some(folder) = told() else {
        on_a_disk_of(8, "faults::a_full_disk_loses_nothing_and_is_said");
        return;
    };
    let place = Place::File(folder.join("ledger.db"));
    block_on(async {
        let ledger = Ledger::open(&place, true).await.expect("opens");
        ledger.sign_with(crate::signer(&ledger)).await;
        ledger.write(batch(1, 0)).await.expect("writes");
        let ballast = folder.join("ballast");
        let fill = |bytes: usize| std::fs::write(&ballast, vec![1; bytes]);
        fill(5 << 20).expect("fits");
        let mut acknowledged = BTreeSet::from([0]);
        let mut n = 0;
        let error = loop {
            n += 1;
            let mut one = batch(1, n);
            // A long text, so that the disk is full soon.
            one.spending[0].kind = "x".repeat(20_000);
            match ledger.write(one).await {
                Ok(()) => acknowledged.insert(n),
                Err(error) => break error,
            };
        };
        assert!(matches!(error.fault, Fault::Full), "{error:?}");
        names_its_place(&error, &place);
        // Several at once, while nothing more fits.
        for result in at_once(&ledger, 1, 10_000..10_020).await {
            match result {
                (n, Ok(())) => assert!(acknowledged.insert(n)),
                (_, Err(error)) => assert!(matches!(error.fault, Fault::Full), "{error:?}"),
            }
        }
        check_batches(&ledger, 1, &acknowledged).await;
        check_tree(&ledger, None).await;
        for (name, format) in [("a.jsonl", Format::Jsonl), ("a", Format::Parquet)] {
            let full = ledger.export(&folder.join(name), format).await;
            let fault = full.expect_err("no room").fault;
            assert!(matches!(fault, Fault::Full), "{fault:?}");
        }
        let fault = ledger.backup(&folder.join("b")).await.expect_err("no room");
        assert!(matches!(fault.fault, Fault::Full), "{fault:?}");
        let left: BTreeSet<_> = std::fs::read_dir(&folder)
            .expect("lists")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        let expected = ["ballast", "ledger.db", "ledger.db-shm", "ledger.db-wal"];
        assert_eq!(left, expected.map(Into::into).into());

        // Room again: the same handle goes on.
        std::fs::remove_file(&ballast).expect("removes");
        for (n, result) in at_once(&ledger, 1, 20_000..20_020).await {
            result.expect("there is room");
            acknowledged.insert(n);
        }
        ledger.close().await;
        let ledger = Ledger::open(&place, false).await.expect("opens");
        check_batches(&ledger, 1, &acknowledged).await;
        check_tree(&ledger, None).await;
        ledger.close().await;

        // Full to the last byte: it is opened, or it is said why not.
        let mut brim = std::fs::File::create(&ballast).expect("creates");
        while std::io::Write::write_all(&mut brim, &[1; 4096]).is_ok() {}
        drop(brim);
        for (name, create) in [("ledger.db", false), ("new.db", true)] {
            let place = Place::File(folder.join(name));
            match Ledger::open(&place, create).await {
                Ok(ledger) => ledger.close().await,
                Err(error) => {
                    assert!(matches!(error.fault, Fault::Full), "{name}: {error:?}");
                    names_its_place(&error, &place);
                }
            }
        }
        std::fs::remove_file(&ballast).expect("removes");
        for name in ["ledger.db", "new.db"] {
            let place = Place::File(folder.join(name));
            let ledger = Ledger::open(&place, true).await.expect("there is room");
            check_tree(&ledger, None).await;
            ledger.close().await;
        }
    });
}

/// Batches handed over at the same time.
async fn at_once(
    ledger: &Ledger,
    run_n: u32,
    numbers: std::ops::Range<i64>,
) -> Vec<(i64, Result<(), LedgerError>)> {
    let mut writing = tokio::task::JoinSet::new();
    for n in numbers {
        let ledger = ledger.clone();
        writing.spawn(async move { (n, ledger.write(batch(run_n, n)).await) });
    }
    writing.join_all().await
}

#[test]
fn a_read_only_disk_is_said() {
    let Some(folder) = told() else {
        on_a_disk_of(8, "faults::a_read_only_disk_is_said");
        return;
    };
    let place = Place::File(folder.join("ledger.db"));
    block_on(async {
        let ledger = Ledger::open(&place, true).await.expect("opens");
        ledger.sign_with(crate::signer(&ledger)).await;
        ledger.write(batch(1, 0)).await.expect("writes");
        ledger.close().await;
    });
    let remount = |how: &str| {
        let status = Command::new("mount")
            .args(["-o", &format!("remount,{how}")])
            .arg(&folder)
            .status();
        assert!(status.expect("runs").success(), "remounts");
    };
    remount("ro");
    for (name, create) in [("ledger.db", false), ("ledger.db", true), ("new.db", true)] {
        let error = refused(&Place::File(folder.join(name)), create);
        assert!(matches!(error.fault, Fault::ReadOnly), "{name}: {error:?}");
    }
    remount("rw");
    block_on(async {
        let ledger = Ledger::open(&place, false).await.expect("opens");
        ledger.sign_with(crate::signer(&ledger)).await;
        ledger.write(batch(1, 1)).await.expect("writes");
        check_batches(&ledger, 1, &BTreeSet::from([0, 1])).await;
        check_tree(&ledger, None).await;
    });
}

/// Runs as someone who may not do everything: as `nobody` where the tests run as root.
#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn a_file_that_may_not_be_written_to_is_said() {
    if let Some(folder) = told() {
        for name in ["shut.db", "fixed.db"] {
            for create in [false, true] {
                let error = refused(&Place::File(folder.join(name)), create);
                assert!(matches!(error.fault, Fault::ReadOnly), "{name}: {error:?}");
            }
        }
        let error = refused(&Place::File(folder.join("new.db")), true);
        assert!(
            matches!(error.fault, Fault::ReadOnly | Fault::Unreachable(_)),
            "{error:?}"
        );
        return;
    }
    let somewhere = Somewhere::file();
    block_on(async {
        filled(&somewhere).await.close().await;
    });
    let folder = somewhere.folder.path();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("changes");
    };
    for (name, its_mode) in [("fixed.db", 0o444), ("shut.db", 0o000)] {
        let path = folder.join(name);
        std::fs::copy(folder.join("ledger.db"), &path).expect("copies");
        mode(&path, its_mode);
    }
    let before = std::fs::read(folder.join("fixed.db")).expect("reads");
    mode(folder, 0o555);
    let mut child = this_binary("faults::a_file_that_may_not_be_written_to_is_said", folder);
    if is_root() {
        child.uid(65_534).gid(65_534);
    }
    match child.status() {
        Ok(status) => assert!(status.success()),
        Err(error) => eprintln!("skipped: this binary cannot be run as nobody: {error}"),
    }
    mode(folder, 0o755);
    let after = std::fs::read(folder.join("fixed.db")).expect("reads");
    assert!(before == after, "it is as it was");
}

/// What someone may have done to a file, and what is said of it; the file is left as it is.
#[test]
fn a_file_that_was_overwritten_is_said_and_left_as_it_is() {
    let somewhere = Somewhere::file();
    block_on(async {
        filled(&somewhere).await.close().await;
    });
    let Place::File(path) = &somewhere.place else {
        panic!("a file")
    };
    let sound = std::fs::read(path).expect("reads");
    let mut head = sound.clone();
    head[..100].fill(0x55);
    let mut page = sound.clone();
    page[100..4096].fill(0xff);
    let half = sound[..sound.len() / 2].to_vec();
    type Expected = fn(&Fault) -> bool;
    let cases: [(&str, Vec<u8>, Expected); 6] = [
        ("head", head, |fault| matches!(fault, Fault::NotALedger)),
        ("first page", page, |fault| {
            matches!(fault, Fault::Damaged(_))
        }),
        ("half", half, |fault| matches!(fault, Fault::Damaged(_))),
        ("a text", b"outlay\n".repeat(1000), |fault| {
            matches!(fault, Fault::NotALedger)
        }),
        ("ten bytes", sound[..10].to_vec(), |fault| {
            matches!(fault, Fault::NotALedger)
        }),
        ("empty", Vec::new(), |fault| {
            matches!(fault, Fault::Missing(_))
        }),
    ];
    for (name, bytes, is_expected) in cases {
        std::fs::write(path, &bytes).expect("writes");
        // An empty file is as good as none: with leave to make one, it is made.
        for create in [true, false]
            .into_iter()
            .skip(usize::from(bytes.is_empty()))
        {
            let error = refused(&somewhere.place, create);
            assert!(is_expected(&error.fault), "{name}: {error:?}");
            assert!(std::fs::read(path).expect("reads") == bytes, "{name}");
        }
    }
}

#[test]
fn a_log_that_was_overwritten_is_said_before_it_is_thrown_away() {
    let somewhere = Somewhere::file();
    let Place::File(path) = &somewhere.place else {
        panic!("a file")
    };
    // As a process leaves it that is killed: what was written last is in the log only.
    let mut writer = Writer::start(&somewhere.place, 1);
    writer.wait_for(5);
    let (acknowledged, _) = writer.kill();
    let log_path = path.with_file_name("ledger.db-wal");
    let log = std::fs::read(&log_path).expect("there is a log");
    let main = std::fs::read(path).expect("reads");
    let put = |main: &[u8], log: &[u8]| {
        std::fs::write(path, main).expect("writes");
        std::fs::write(&log_path, log).expect("writes");
    };
    let mut garbage = log.clone();
    garbage[..64].fill(0x55);
    for (name, main, log) in [("log", &main[..], &garbage[..]), ("empty", &[], &log[..])] {
        put(main, log);
        for create in [true, false] {
            let error = refused(&somewhere.place, create);
            assert!(
                matches!(error.fault, Fault::Damaged(_)),
                "{name}: {error:?}"
            );
            assert!(std::fs::read(&log_path).expect("reads") == log, "{name}");
        }
    }
    put(&main, &log);
    block_on(async {
        let ledger = open(&somewhere).await;
        check_batches(&ledger, 1, &acknowledged).await;
        check_tree(&ledger, None).await;
    });
}

/// Each page in turn: an error, or a finding, or the evidence is what it was.
#[test]
fn damage_within_a_file_is_never_taken_for_evidence() {
    let somewhere = Somewhere::file();
    let written = block_on(async {
        let ledger = filled(&somewhere).await;
        let more = Batch {
            evidence: (100..300).map(said).collect(),
            ..Batch::default()
        };
        ledger.write(more).await.expect("writes");
        let written = ledger.evidence(None).await.expect("reads");
        ledger.close().await;
        written
    });
    let Place::File(path) = &somewhere.place else {
        panic!("a file")
    };
    let sound = std::fs::read(path).expect("reads");
    let n_pages = sound.len() / 4096;
    let (mut n_refused, mut n_found) = (0, 0);
    for page in 1..n_pages {
        let mut bytes = sound.clone();
        let at = page * 4096;
        match page % 3 {
            0 => bytes[at..at + 4096].fill(0),
            1 => bytes[at..at + 4096].fill(0xff),
            // A few bytes, at the end, where records begin to be put.
            _ => bytes[at + 4000..at + 4040].fill(b'7'),
        }
        std::fs::write(path, &bytes).expect("writes");
        let outcome = block_on(async {
            let ledger = Ledger::open(&somewhere.place, false).await?;
            let outcome = async {
                let tampering = ledger.verify(&[], None).await?.tampering;
                let evidence = match &tampering[..] {
                    [] => ledger.evidence(None).await?,
                    _ => Vec::new(),
                };
                Ok::<_, LedgerError>((tampering, evidence))
            };
            let outcome = outcome.await;
            ledger.close().await;
            outcome
        });
        match outcome {
            Err(error) => {
                names_its_place(&error, &somewhere.place);
                n_refused += 1;
            }
            Ok((tampering, _)) if !tampering.is_empty() => n_found += 1,
            Ok((_, evidence)) => assert_eq!(evidence, written, "page {page}"),
        }
    }
    assert!(
        n_refused > 0 && n_found > 0,
        "{n_refused} {n_found} of {n_pages}"
    );
}

#[test]
fn places_that_hold_no_ledger_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| Place::File(folder.path().join(name));
    for create in [false, true] {
        let error = refused(&Place::File(folder.path().to_owned()), create);
        assert!(error.to_string().contains("no regular file"), "{error}");
        let error = refused(&at("absent/ledger.db"), create);
        assert!(matches!(error.fault, Fault::Missing(_)), "{error:?}");
    }
    let error = refused(&at("absent.db"), false);
    assert!(matches!(error.fault, Fault::Missing(_)), "{error:?}");

    // The database of another program, which is to be left alone.
    let path = folder.path().join("mlflow.db");
    block_on(async {
        use sqlx::Connection;
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true);
        let mut connection = sqlx::SqliteConnection::connect_with(&options)
            .await
            .expect("opens");
        sqlx::raw_sql("CREATE TABLE runs (id TEXT)")
            .execute(&mut connection)
            .await
            .expect("creates");
        connection.close().await.expect("closes");
    });
    let before = std::fs::read(&path).expect("reads");
    for create in [false, true] {
        let error = refused(&at("mlflow.db"), create);
        assert!(matches!(error.fault, Fault::NotALedger), "{error:?}");
        assert!(std::fs::read(&path).expect("reads") == before);
    }
}

#[test]
fn a_database_without_a_ledger_is_left_alone_unless_one_is_to_be_made() {
    let Some(server) = server() else { return };
    let somewhere = Somewhere::postgres(&server);
    let error = refused(&somewhere.place, false);
    assert!(matches!(error.fault, Fault::Missing(_)), "{error:?}");
    block_on(async {
        open(&somewhere).await.close().await;
        let ledger = Ledger::open(&somewhere.place, false).await;
        ledger.expect("there is one now").close().await;
    });
}

#[test]
fn odd_names_are_names_of_files() {
    let folder = tempfile::tempdir().expect("a folder");
    block_on(async {
        for name in [
            "it's a \"name\".db",
            "a?mode=memory#b%20c.db",
            "\u{e9}\u{1f600}.db",
            "-a;b.db",
        ] {
            let path = folder.path().join(name);
            let ledger = Ledger::open(&Place::File(path.clone()), true)
                .await
                .expect("opens");
            let back = folder.path().join(format!("back {name}"));
            ledger.backup(&back).await.expect("copies");
            ledger.close().await;
            assert!(path.is_file() && back.is_file(), "{name}");
            let copy = Ledger::open(&Place::File(back), false)
                .await
                .expect("opens");
            copy.close().await;
        }
    });
}

#[test]
fn a_ledger_of_a_newer_outlay_is_refused() {
    on_each(async |somewhere| {
        open(somewhere).await.close().await;
        std::thread::scope(|scope| {
            let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                VALUES (1000, 'later', true, '', 0)";
            scope
                .spawn(|| somewhere.tamper(newer))
                .join()
                .expect("inserts");
        });
        for create in [false, true] {
            let error = Ledger::open(&somewhere.place, create)
                .await
                .expect_err("refuses");
            assert!(
                matches!(error.fault, Fault::Newer { found: 1000, .. }),
                "{error:?}"
            );
            names_its_place(&error, &somewhere.place);
        }
    });
}

#[test]
fn two_writers_lose_nothing() {
    on_each(async |somewhere| {
        let ledgers = [open(somewhere).await, open(somewhere).await];
        let runs = Batch {
            runs: (1..=10).map(run).collect(),
            ..Batch::default()
        };
        ledgers[0].write(runs).await.expect("writes");
        let mut writing = tokio::task::JoinSet::new();
        for caller in 0..8_u32 {
            let ledger = ledgers[caller as usize % 2].clone();
            writing.spawn(async move {
                for n in 0..25 {
                    // The same tags and metrics by everyone, in either order: nobody is to end up waiting for one who waits for him.
                    let mut one = batch(1, i64::from(caller) * 100 + n);
                    let mut numbers: Vec<u32> = (1..=10).collect();
                    if caller % 2 == 0 {
                        numbers.reverse();
                    }
                    for number in numbers {
                        one.tags.push(Label {
                            run_id: run(number).id,
                            key: "last".to_owned(),
                            value: "0".to_owned(),
                        });
                        one.series.push(crate::losses(number, 2));
                        one.series[0].points.clear();
                    }
                    one.tags.remove(0);
                    ledger.write(one).await.expect("writes");
                }
            });
        }
        writing.join_all().await;
        let entries = ledgers[1].spending(None).await.expect("reads");
        let records = ledgers[0].evidence(None).await.expect("reads");
        assert_eq!((entries.len(), records.len()), (400, 400));
        check_tree(&ledgers[0], None).await;
    });
}

#[test]
fn eight_processes_open_what_is_not_there_yet() {
    let places = [None, None, None].into_iter().chain(server().map(Some));
    for server in places {
        let somewhere = server.map_or_else(Somewhere::file, |server| Somewhere::postgres(&server));
        let mut writers: Vec<_> = (1..=8)
            .map(|n| (n, Writer::start(&somewhere.place, n)))
            .collect();
        for (_, writer) in &mut writers {
            writer.wait_for(2);
        }
        let outcomes: Vec<_> = writers
            .into_iter()
            .map(|(n, writer)| (n, writer.kill()))
            .collect();
        crate::killed::settle(&somewhere.place);
        block_on(async {
            let ledger = open(&somewhere).await;
            for (n, (acknowledged, complaint)) in &outcomes {
                assert_eq!(complaint, "");
                assert!(acknowledged.len() >= 2);
                check_batches(&ledger, *n, acknowledged).await;
            }
            check_tree(&ledger, None).await;
        });
    }
}

#[test]
fn a_clock_that_goes_back_loses_nothing() {
    on_each(async |somewhere| {
        let ledger = filled(somewhere).await;
        // An hour earlier than what is there: its own place in the order, its own sum.
        let hour = 3_600_000_000;
        let mut entry = spent(1, 50, 7);
        entry.from_us -= hour;
        entry.to_us -= hour;
        let mut points = crate::losses(1, 0);
        points.key = "clock".to_owned();
        for at_us in [hour, 0, -hour] {
            let value = 1.0;
            points.points.push(Point {
                step: 5,
                at_us,
                value,
            });
        }
        let mut record = said(50);
        record.recorded_us -= hour;
        let mut change = outlay_ledger::RunChange {
            id: run(1).id,
            ..Default::default()
        };
        change.seen_us = Some(run(1).seen_us - hour);
        let early = Batch {
            changes: vec![change],
            series: vec![points],
            spending: vec![entry.clone()],
            evidence: vec![record.clone()],
            ..Batch::default()
        };
        ledger.write(early).await.expect("writes");
        let points = ledger.points(&run(1).id, "clock").await.expect("reads");
        let times: Vec<i64> = points.iter().map(|point| point.at_us).collect();
        assert_eq!(times, [-hour, 0, hour]);
        let spent_by_run = ledger.spent_by_run(&run(1).id).await.expect("reads");
        assert_eq!(spent_by_run, [("USD".to_owned(), Micro(1_250_008))]);
        let entries = ledger.spending(Some(&run(1).id)).await.expect("reads");
        assert_eq!(entries.last(), Some(&entry));
        let records = ledger.evidence(None).await.expect("reads");
        assert_eq!(records.last(), Some(&(11, record)));
        let verification = ledger.verify(&[], None).await.expect("reads");
        assert!(
            matches!(
                verification.tampering[..],
                [Tampering::SpendingDiffers { .. }]
            ),
            "{verification:?}"
        );
        assert!(verification.notes[0].contains("clock"), "{verification:?}");
    });
}

#[test]
fn what_was_asked_for_is_written_before_it_is_closed() {
    on_each(async |somewhere| {
        let ledger = open(somewhere).await;
        let mut writing = tokio::task::JoinSet::new();
        for n in 0..50 {
            let ledger = ledger.clone();
            writing.spawn(async move { ledger.write(batch(1, n)).await });
        }
        let clone = ledger.clone();
        tokio::task::yield_now().await;
        ledger.close().await;
        let mut n_written = 0;
        while let Some(result) = writing.join_next().await {
            match result.expect("no panic") {
                Ok(()) => n_written += 1,
                // Whoever came too late is told why.
                Err(error) => assert!(error.to_string().contains("was closed"), "{error}"),
            }
        }
        let error = clone.write(batch(1, 99)).await.expect_err("is closed");
        assert!(error.to_string().contains("was closed"), "{error}");
        let ledger = open(somewhere).await;
        let records = ledger.evidence(None).await.expect("reads");
        assert_eq!(records.len(), 2 * n_written);
    });
}

#[test]
fn a_server_that_cannot_be_reached_is_said_at_once_without_the_password() {
    let begun = Instant::now();
    for address in [
        "postgres://ann:s3cret@127.0.0.1:1/x",
        "postgres://ann:s3cret@localhost/x?host=/nowhere",
        "postgres://ann@127.0.0.1:1/x?password=s3cret",
        "postgres://127.0.0.1:1/x?user=ann&password=s3cret@y",
        "postgres://ann:s3cret@127.0.0.1:port/x",
        "postgres://ann:s3cret@[::1/x",
        "postgres://ann:s3cret/y@127.0.0.1/x",
        "postgres://ann:s3cret?y@127.0.0.1/x",
        "postgres://ann:s3cret@host.invalid/x?sslmode=s3cret",
    ] {
        let place = Place::read(address);
        for create in [false, true] {
            let error = refused(&place, create);
            let fault = &error.fault;
            assert!(
                matches!(fault, Fault::Unreachable(_) | Fault::Input(_)),
                "{error:?}"
            );
            let shown = format!("{error} {error:?} {}", place.shown());
            assert!(
                !shown.contains("s3cret@") && !shown.contains(":s3cret"),
                "{shown}"
            );
            if !address.ends_with("sslmode=s3cret") {
                assert!(!shown.contains("s3cret"), "{shown}");
            }
        }
    }
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "waiting says nothing"
    );
}

#[test]
fn a_server_that_refuses_says_why() {
    let Some(own) = OwnServer::start() else {
        return;
    };
    own.ask_for_passwords("ann", "right");
    let address = own
        .address
        .replacen("postgres@localhost", "ann:s3cret@localhost", 1);
    let error = refused(&Place::Postgres(address.clone()), true);
    assert!(
        error.to_string().contains("password authentication failed"),
        "{error}"
    );
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    let address = own.address.replacen("/postgres?", "/absent?", 1);
    let error = refused(&Place::Postgres(address), true);
    assert!(error.to_string().contains("does not exist"), "{error}");
    // Someone who may read and not make anything.
    let address = own
        .address
        .replacen("postgres@localhost", "ann:right@localhost", 1);
    let error = refused(&Place::Postgres(address), true);
    assert!(error.to_string().contains("permission denied"), "{error}");
}

#[test]
fn a_server_that_goes_and_comes_back_loses_nothing() {
    let Some(own) = OwnServer::start() else {
        return;
    };
    let somewhere = Somewhere::postgres(&own.address);
    block_on(async {
        let ledger = open(&somewhere).await;
        let mut acknowledged = BTreeSet::new();
        for n in 0..5 {
            ledger.write(batch(1, n)).await.expect("writes");
            acknowledged.insert(n);
        }
        own.stop();
        let error = ledger.write(batch(1, 10)).await.expect_err("is gone");
        assert!(matches!(error.fault, Fault::Unreachable(_)), "{error:?}");
        names_its_place(&error, &somewhere.place);
        own.start_again();
        for n in 20..25 {
            ledger.write(batch(1, n)).await.expect("it is back");
            acknowledged.insert(n);
        }
        // Killed under load: each write is acknowledged, or an error says what happened.
        let writing = {
            let ledger = ledger.clone();
            tokio::spawn(async move { at_once(&ledger, 1, 100..400).await })
        };
        tokio::time::sleep(Duration::from_millis(30)).await;
        own.kill();
        own.start_again();
        for (n, result) in writing.await.expect("no panic") {
            match result {
                Ok(()) => _ = acknowledged.insert(n),
                Err(error) => {
                    names_its_place(&error, &somewhere.place);
                    assert!(matches!(error.fault, Fault::Unreachable(_)), "{error:?}");
                }
            }
        }
        ledger.write(batch(1, 1000)).await.expect("it is back");
        acknowledged.insert(1000);
        check_batches(&ledger, 1, &acknowledged).await;
        check_tree(&ledger, None).await;
        ledger.close().await;
    });
}
