//! `outlay run`, `outlay ledger` and `outlay budget`, as people call them.
//!
//! Commands are metered with files for signs between them and the tests, so that a loaded machine makes a test slower and not wrong.
//! `OUTLAY_PEERS` names a Python with `numpy`, `cryptography` and `codecarbon` (`.ci/run` sets it up); without it, what needs it is skipped, and says so.

mod books;
mod budgets;
mod disk;
mod files;
mod gpus;
mod kills;
mod passing;
mod screen;
mod training;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{folder, stderr};

/// How long to wait for something that is about to happen, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// A dollar a second.
const DOLLAR_A_SECOND: &str = "--price 3600/h --interval 0.1s";

/// An empty folder.
fn fresh(name: &str) -> PathBuf {
    let path = folder("run").join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// The binary in a folder, with nothing of our own surroundings that would change what it does.
fn outlay_at(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outlay"));
    command
        .current_dir(folder)
        .args(args)
        .stdin(Stdio::null())
        .env("NO_COLOR", "1");
    for name in [
        "OUTLAY_LEDGER",
        "OUTLAY_PROJECT",
        "OUTLAY_TEAM",
        "OUTLAY_RUN_ID",
        "CUDA_VISIBLE_DEVICES",
    ] {
        command.env_remove(name);
    }
    command
}

/// `outlay run` with options, over a command.
fn metering(folder: &Path, options: &str, command: &[&str]) -> Command {
    let mut args = vec!["run"];
    args.extend(options.split_whitespace());
    args.push("--");
    args.extend(command);
    outlay_at(folder, &args)
}

/// [`metering`] a script of the shell.
fn metering_script(folder: &Path, options: &str, script: &str) -> Command {
    metering(folder, options, &["sh", "-c", script])
}

/// JSON that a command prints.
fn json(folder: &Path, args: &[&str]) -> Value {
    let output = outlay_at(folder, args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What `--json summary.json` wrote.
fn summary(folder: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join("summary.json")).unwrap()).unwrap()
}

/// Waits until something is there.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits for a file with something in it, and reads it.
fn wait_for_file(path: &Path) -> String {
    wait_for(&path.display().to_string(), || {
        std::fs::read_to_string(path)
            .ok()
            .filter(|text| text.ends_with('\n'))
    })
    .trim()
    .to_owned()
}

/// Sends a signal.
fn signal(name: &str, pid: &str) {
    let status = Command::new("sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, pid])
        .status()
        .unwrap();
    assert!(status.success(), "signal {name} to {pid}");
}

/// Whether a process lives, and is not just waiting to be waited for.
fn lives(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|line| Some(line[line.rfind(')')? + 1..].trim_start().starts_with('Z')))
        .is_some_and(|is_zombie| !is_zombie)
}

/// A Python with packages; `None`, with a message, where there is none.
fn peers(what: &str) -> Option<PathBuf> {
    let python = std::env::var_os("OUTLAY_PEERS").map(PathBuf::from);
    let has_it = python.as_ref().is_some_and(|python| {
        Command::new(python)
            .args(["-c", &format!("import {what}")])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    });
    if !has_it {
        eprintln!("skipped: OUTLAY_PEERS names no Python with {what}");
        return None;
    }
    python
}

/// The only run in a folder's ledger but for those named `probe`.
fn only_run(folder: &Path) -> Value {
    let runs = json(folder, &["ledger", "runs", "--json"]);
    let mut runs: Vec<Value> = runs
        .as_array()
        .unwrap()
        .iter()
        .filter(|run| run["name"] != "probe")
        .cloned()
        .collect();
    assert_eq!(runs.len(), 1, "{runs:#?}");
    runs.remove(0)
}

/// Dollars that the ledger says a run spent.
fn spent_usd(folder: &Path, id: &str) -> f64 {
    let shown = json(folder, &["ledger", "show", id, "--json"]);
    shown["spent"]
        .as_array()
        .unwrap()
        .iter()
        .map(|spent| spent[1].as_f64().unwrap() / 1e6)
        .sum()
}

/// Seconds between a run's beginning and end, as the ledger has them.
fn recorded_s(run: &Value) -> f64 {
    (run["ended_us"].as_f64().unwrap() - run["started_us"].as_f64().unwrap()) / 1e6
}

/// Fails unless the evidence in a folder's ledger is what was signed.
fn assert_sound(folder: &Path) {
    let output = outlay_at(folder, &["ledger", "verify"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", stderr(&output));
    assert!(said.contains("Sound"), "{said}");
}
