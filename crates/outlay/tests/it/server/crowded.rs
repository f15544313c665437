//! Clients that stall, open thousands of connections or send without an end: the others are served.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Server;
use super::client::Client;

/// Connections that do nothing.
const IDLE: usize = 10_000;

/// Bytes of a file that goes up while others are served.
const FILE_BYTES: usize = 300 << 20;

/// Memory that the server may take, whatever comes.
const MOST_MIB: u64 = 200;

/// The process's memory, in MiB.
fn resident_mib(server: &Server) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).expect("runs");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("has a size");
    let kib = line
        .split_whitespace()
        .nth(1)
        .and_then(|text| text.parse::<u64>().ok());
    kib.expect("a number") / 1024
}

/// How long someone else waits for an answer.
fn answer_time(client: &mut Client) -> Duration {
    let begun = Instant::now();
    let (status, _) = client
        .get("experiments/get?experiment_id=0")
        .expect("answers");
    assert_eq!(status, 200);
    begun.elapsed()
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "a test that opens fewer connections says so"
)]
fn ten_thousand_connections_that_do_nothing_keep_nobody_waiting() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), 0);
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
        .expect("a limit");
    let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, hard, hard);
    let mut idle = Vec::new();
    while idle.len() < IDLE {
        match TcpStream::connect(&server.address) {
            Ok(mut stream) => {
                // Half of them begin a head that never ends.
                if idle.len() % 2 == 0 {
                    let _ =
                        stream.write_all(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ");
                }
                idle.push(stream);
            }
            Err(error) => {
                eprintln!("only {} connections: {error}", idle.len());
                break;
            }
        }
    }
    let mut client = Client::connect(&server.address).expect("connects");
    let waited = (0..20)
        .map(|_| answer_time(&mut client))
        .max()
        .expect("some");
    assert!(waited < Duration::from_secs(5), "waited {waited:?}");
    assert!(
        resident_mib(&server) < 2 * MOST_MIB,
        "{} MiB",
        resident_mib(&server)
    );
}

#[test]
fn bodies_that_never_end_and_large_files_take_bounded_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), 0);
    let mut client = Client::connect(&server.address).expect("connects");
    std::thread::scope(|scope| {
        // Forty bodies without an end, in chunks, as fast as they are taken.
        for _ in 0..40 {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(&server.address).expect("connects");
                let head = "POST /api/2.0/mlflow/runs/create HTTP/1.1\r\nHost: 127.0.0.1\r\n\
                     Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
                let _ = stream.write_all(head.as_bytes());
                let chunk = vec![b'x'; 64 * 1024];
                for _ in 0..2000 {
                    let mut bytes = format!("{:x}\r\n", chunk.len()).into_bytes();
                    bytes.extend_from_slice(&chunk);
                    bytes.extend_from_slice(b"\r\n");
                    if stream.write_all(&bytes).is_err() {
                        return;
                    }
                }
            });
        }
        scope.spawn(|| {
            let mut stream = TcpStream::connect(&server.address).expect("connects");
            let head = format!(
                "PUT /api/2.0/mlflow-artifacts/artifacts/large.bin HTTP/1.1\r\nHost: 127.0.0.1\r\n\
                 Content-Length: {FILE_BYTES}\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).expect("writes");
            let chunk = vec![7; 1 << 20];
            for _ in 0..FILE_BYTES / chunk.len() {
                stream.write_all(&chunk).expect("writes");
            }
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("answers");
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        });
        for _ in 0..50 {
            let waited = answer_time(&mut client);
            assert!(waited < Duration::from_secs(10), "waited {waited:?}");
            let taken = resident_mib(&server);
            assert!(taken < MOST_MIB + 200, "{taken} MiB");
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let kept = folder.path().join(".outlay/artifacts/large.bin");
    assert_eq!(
        std::fs::metadata(kept).expect("is kept").len(),
        FILE_BYTES as u64
    );
}

#[test]
fn a_new_run_over_budget_is_refused_and_not_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let outlay = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_outlay"))
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .expect("runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    outlay(&[
        "run",
        "--price",
        "90000/h",
        "--project",
        "paper",
        "--",
        "sleep",
        "0.2",
    ]);
    outlay(&["budget", "set", "small", "0.5usd", "--project", "paper"]);
    let server = Server::start(folder.path(), 0);
    let mut client = Client::connect(&server.address).expect("connects");
    let run = |project: &str| json!({"experiment_id": "0", "tags": [{"key": "outlay.project", "value": project}]});
    let (status, body) = client.post("runs/create", &run("paper")).expect("answers");
    assert_eq!(
        (status, &body["error_code"]),
        (403, &Value::from("PERMISSION_DENIED")),
        "{body}"
    );
    assert!(
        body["message"]
            .as_str()
            .expect("a text")
            .contains("`small`"),
        "{body}"
    );
    let (status, body) = client.post("runs/create", &run("other")).expect("answers");
    assert_eq!(status, 200, "{body}");
}
