//! `outlay server` beside MLflow's own server: the same client script, the same machine, one after the other.
//!
//! `cargo bench -p outlay --bench server`, some minutes. OUTLAY_PEERS names a Python that has `mlflow` and `psutil`; without it there is nothing to compare with, and that is said.
//! MLflow's server runs with one worker (`--workers 1`), where it is fastest: with its default of four, each call of a client waits for a delayed acknowledgement.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench reports to its terminal"
)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CLIENT: &str = include_str!("client.py");

/// How often each server is measured, in turn, where OUTLAY_ROUNDS does not say.
const N_ROUNDS: usize = 3;

fn main() {
    let Ok(python) = std::env::var("OUTLAY_PEERS") else {
        println!("skipped: OUTLAY_PEERS names no Python that has mlflow");
        return;
    };
    if !Path::new(&python).is_absolute() {
        println!("skipped: OUTLAY_PEERS is {python}; allowed: an absolute path");
        return;
    }
    let here = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-server");
    let _ = std::fs::remove_dir_all(&here);
    std::fs::create_dir_all(&here).unwrap();
    let script = here.join("client.py");
    std::fs::write(&script, CLIENT).unwrap();
    let mut ours: Vec<BTreeMap<String, f64>> = Vec::new();
    let mut theirs = Vec::new();
    let n_rounds = std::env::var("OUTLAY_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(N_ROUNDS);
    for round in 0..n_rounds {
        let folder = here.join(format!("outlay-{round}"));
        ours.push(measured(&python, &script, &folder, &outlay));
        let folder = here.join(format!("mlflow-{round}"));
        theirs.push(measured(&python, &script, &folder, &mlflow));
    }
    let alone = client_alone(&python, &script);
    println!(
        "{:<42} {:>10} {:>10} {:>8}",
        "", "outlay", "mlflow", "ratio"
    );
    for name in ours[0].keys() {
        let (one, other) = (median(&ours, name), median(&theirs, name));
        let ratio = if name.contains("/s") {
            one / other
        } else {
            other / one
        };
        // What the client and its machine can do at most.
        let most = alone.get(name).filter(|_| name.contains("/s"));
        let most = most.map_or_else(String::new, |most| format!("  (client alone {most:.1})"));
        println!("{name:<42} {one:>10.1} {other:>10.1} {ratio:>7.1}x{most}");
    }
    let _ = std::fs::remove_dir_all(&here);
}

/// What the client takes by itself: a server that answers at once, and does nothing.
fn client_alone(python: &str, script: &Path) -> BTreeMap<String, f64> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                if let Ok(stream) = stream {
                    let _ = answer_nothing(stream);
                }
            });
        }
    });
    let output = Command::new(python)
        .arg(script)
        .args([format!("http://{address}"), "alone".to_owned()])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "the client failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Answers `{}` to each request of a connection.
fn answer_nothing(stream: TcpStream) -> std::io::Result<()> {
    use std::io::{BufRead, BufReader};
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        let mut n_bytes = 0;
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(length) = lower.strip_prefix("content-length:") {
                n_bytes = length.trim().parse().unwrap_or(0);
            }
        }
        std::io::copy(&mut stream.by_ref().take(n_bytes), &mut std::io::sink())?;
        let reply =
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        stream.get_mut().write_all(reply.as_bytes())?;
    }
}

fn median(rounds: &[BTreeMap<String, f64>], name: &str) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(|round| round[name]).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Starts a server in an empty folder, measures it and ends it.
fn measured(
    python: &str,
    script: &Path,
    folder: &Path,
    start: &dyn Fn(&str, &Path, u16) -> Child,
) -> BTreeMap<String, f64> {
    std::fs::create_dir_all(folder).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut server = start(python, folder, port);
    wait_for(port);
    let output = Command::new(python)
        .arg(script)
        .args([format!("http://127.0.0.1:{port}"), server.id().to_string()])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let _ = Command::new("pkill")
        .args(["-P", &server.id().to_string()])
        .status();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(output.status.success(), "the client failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn outlay(_: &str, folder: &Path, port: u16) -> Child {
    Command::new(env!("CARGO_BIN_EXE_outlay"))
        .args(["server", "--port", &port.to_string()])
        .current_dir(folder)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn mlflow(python: &str, folder: &Path, port: u16) -> Child {
    Command::new(python)
        .args([
            "-m",
            "mlflow",
            "server",
            "--workers",
            "1",
            "--host",
            "127.0.0.1",
        ])
        .args([
            "--backend-store-uri",
            "sqlite:///mlflow.db",
            "--artifacts-destination",
            "files",
        ])
        .args(["--port", &port.to_string()])
        .env("MLFLOW_DISABLE_TELEMETRY", "true")
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Until the server answers that it is well.
fn wait_for(port: u16) {
    let begun = Instant::now();
    loop {
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "the server does not answer"
        );
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            let request = "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
            let mut answer = String::new();
            let asked = stream.write_all(request.as_bytes()).is_ok();
            if asked && stream.read_to_string(&mut answer).is_ok() && answer.contains("200 OK") {
                return;
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
