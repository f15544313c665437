//! `outlay import mlflow` on stores that MLflow's own client made, read back by it from `outlay server`; and what a
//! reader of Prometheus' makes of the server.
//!
//! `OUTLAY_PEERS` names a Python with `mlflow` and `prometheus-client` (`.ci/run` sets it up); without it, what needs
//! it is skipped, and says so.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::server::Server;
use crate::{outlay_in, stderr, stdout};

/// A Python with these packages.
fn peers(packages: &str) -> Option<OsString> {
    let Some(python) = std::env::var_os("OUTLAY_PEERS") else {
        eprintln!("skipped: OUTLAY_PEERS names no Python with {packages}");
        return None;
    };
    let script = format!("import {packages}");
    let has_them = Command::new(&python).args(["-c", &script]).output();
    if !has_them.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: the Python of OUTLAY_PEERS has no {packages}");
        return None;
    }
    Some(python)
}

fn script(python: &OsString, name: &str, arguments: &[&str]) -> Output {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/mlflow")
        .join(name);
    Command::new(python)
        .arg(path)
        .args(arguments)
        // Folders of files are on their way out there.
        .env("MLFLOW_ALLOW_FILE_STORE", "true")
        .env("GIT_PYTHON_REFRESH", "quiet")
        .env("PYTHONWARNINGS", "ignore")
        .output()
        .expect("OUTLAY_PEERS is a Python")
}

fn fresh(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// Makes a store, imports it twice, and has the client compare the two.
fn comes_over(name: &str, store: &str, address: &str, files: &str) {
    let Some(python) = peers("mlflow") else {
        return;
    };
    let here = fresh(name);
    let uri = format!("{address}{}/{store}", here.display());
    let made = script(
        &python,
        "make.py",
        &[&uri, &here.join("files").display().to_string()],
    );
    assert!(made.status.success(), "{}", stderr(&made));
    let arguments = ["import", "mlflow", store, "--artifacts", files];
    let dry = outlay_in(&here, &[&arguments[..], &["--dry-run"]].concat());
    assert!(dry.status.success(), "{}", stderr(&dry));
    assert!(!here.join(".outlay").exists(), "a dry run makes no ledger");
    let once = outlay_in(&here, &arguments);
    assert!(
        once.status.success(),
        "{}\n{}",
        stderr(&once),
        stdout(&once)
    );
    let text = stdout(&once);
    assert!(text.contains("Brought 7 new runs"), "{text}");
    let export = |name: &str| {
        let output = outlay_in(&here, &["ledger", "export", name]);
        assert!(output.status.success(), "{}", stderr(&output));
        std::fs::read(here.join(name)).unwrap()
    };
    let before = export("once.jsonl");
    let twice = outlay_in(&here, &arguments);
    assert!(twice.status.success(), "{}", stderr(&twice));
    assert!(
        export("twice.jsonl") == before,
        "a second import changes nothing"
    );
    let server = Server::start(&here, 0);
    let compared = script(
        &python,
        "compare.py",
        &[&uri, &format!("http://{}", server.address), files],
    );
    assert!(
        compared.status.success(),
        "{}\n{}",
        stdout(&compared),
        stderr(&compared)
    );
    assert!(
        stdout(&compared).contains("0 differ"),
        "{}",
        stdout(&compared)
    );
}

#[test]
fn a_database_of_mlflows_is_read_back_the_same() {
    comes_over("import-database", "mlflow.db", "sqlite:///", "keep");
}

#[test]
fn a_folder_of_mlflows_is_read_back_the_same_with_its_files() {
    comes_over("import-folder", "mlruns", "file://", "copy");
}

#[test]
fn prometheus_own_parsers_read_what_opentelemetrys_exporter_sent() {
    let Some(python) = peers("mlflow, prometheus_client, opentelemetry.exporter.otlp.proto.http")
    else {
        return;
    };
    let here = fresh("wires");
    let output = outlay_in(&here, &["run", "--price", "2/h", "--", "true"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let server = Server::start(&here, 0);
    let address = format!("http://{}", server.address);
    let make =
        "import sys, mlflow; print(mlflow.MlflowClient(sys.argv[1]).create_run('0').info.run_id)";
    let made = Command::new(&python)
        .args(["-c", make, &address])
        .output()
        .unwrap();
    let run_id = stdout(&made).trim().to_owned();
    assert_eq!(run_id.len(), 32, "{}", stderr(&made));
    let sent = script(&python, "export.py", &[&address, &run_id]);
    assert!(sent.status.success(), "{}", stderr(&sent));
    let read = script(&python, "scrape.py", &[&address]);
    assert!(read.status.success(), "{}", stderr(&read));
    let text = stdout(&read);
    for part in [
        "'currency': 'USD'",
        "'metric': 'tokens'} 12.0",
        "'metric': 'gpu.power/gpu:0'} 250.5",
        "'metric': 'step.time.max'} 30.0",
    ] {
        assert_eq!(text.matches(part).count(), 2, "{part} in\n{text}");
    }
}

#[test]
fn what_a_metered_command_logs_becomes_part_of_its_run() {
    let Some(python) = peers("mlflow") else {
        return;
    };
    let here = fresh("log-to");
    let server = Server::start(&here, 0);
    let address = format!("http://{}", server.address);
    let train = "import mlflow
with mlflow.start_run():
    mlflow.log_param('lr', 0.1)
    mlflow.log_metric('loss', 0.25, step=3)
    mlflow.log_text('hello', 'a.txt')
    mlflow.log_param('max_steps', 400)
    import time
    for step in range(0, 200, 5):
        mlflow.log_metric('loss', 2 + 3 / (step + 1) ** 0.5, step=step)
        time.sleep(0.1)";
    let python = python.to_string_lossy().into_owned();
    let arguments = [
        "run", "--price", "2/h", "--log-to", &address, "--json", "s.json", "--", &python, "-c",
        train,
    ];
    let output = outlay_in(&here, &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    // What is logged says how far it is, and what is to come: it prints nothing of it.
    let summary = std::fs::read_to_string(here.join("s.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    let outlook = &summary["outlook"];
    let done = outlook["forecast"]["done_share"].as_f64().unwrap();
    assert!((0.4..0.5).contains(&done), "{outlook}");
    let final_loss = outlook["final_loss"]["p50"].as_f64().unwrap();
    assert!((2.0..2.4).contains(&final_loss), "{outlook}");
    let runs = outlay_in(&here, &["ledger", "runs", "--json"]);
    let runs: serde_json::Value = serde_json::from_slice(&runs.stdout).unwrap();
    assert_eq!(runs.as_array().unwrap().len(), 1, "{runs}");
    assert_eq!(runs[0]["status"], "finished");
    let id = runs[0]["id"].as_str().unwrap();
    let shown = outlay_in(&here, &["ledger", "show", id, "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert!(shown["params"].to_string().contains("\"0.1\""), "{shown}");
    let metrics = shown["metrics"].to_string();
    assert!(metrics.contains("loss"), "{metrics}");
    assert_eq!(shown["spent"][0][0], "USD", "{shown}");
    let file = here
        .join(".outlay/artifacts/0")
        .join(id)
        .join("artifacts/a.txt");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "hello");
}

#[test]
fn wrong_sources_say_what_is_wrong() {
    let here = fresh("import-wrong");
    std::fs::write(here.join("x.db"), "no database").unwrap();
    let output = outlay_in(&here, &["import", "mlflow", "x.db"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("x.db"), "{}", stderr(&output));
    let output = outlay_in(&here, &["import", "mlflow", "x.db", "--to", "y"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("--artifacts copy"),
        "{}",
        stderr(&output)
    );
}
