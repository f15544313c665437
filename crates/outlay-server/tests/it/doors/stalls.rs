//! Clients that begin and never end, while others are served.

use std::time::{Duration, Instant};

use super::*;

const IDLE: usize = 2000;

/// Whether the server has ended a connection, as far as it can be read now.
async fn is_over(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 4096];
    loop {
        match tokio::time::timeout(Duration::from_secs(5), stream.read(&mut bytes)).await {
            Ok(Ok(0) | Err(_)) => return true,
            Ok(Ok(_)) => {}
            Err(_) => return false,
        }
    }
}

/// Files that are not whole.
fn n_aside(house: &House) -> usize {
    std::fs::read_dir(house.folder.path().join("artifacts")).map_or(0, |entries| {
        entries
            .filter_map(Result::ok)
            .filter(|entry| {
                entry
                    .file_name()
                    .to_string_lossy()
                    .starts_with(".outlay-aside")
            })
            .count()
    })
}

#[tokio::test]
async fn clients_that_stall_hold_nobody_up_and_are_let_go() {
    let house = House::new().await;
    let stalled = [
        // A head without an end.
        "GET /health HTTP/1.1\r\nHost: localhost\r\nX: ",
        // A call whose fields do not come.
        "POST /api/2.0/mlflow/runs/create HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
        // One that leaves a record is read before it is decided on.
        "POST /api/2.0/mlflow/runs/delete HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
        // A file of which there is only the beginning.
        "PUT /api/2.0/mlflow-artifacts/artifacts/0/r/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nbegin",
        "PUT /api/2.0/mlflow-artifacts/artifacts/0/r/y HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n",
        "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nname=",
    ];
    let mut streams = Vec::new();
    for head in stalled {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(house.address).await.expect("connects");
            stream.write_all(head.as_bytes()).await.expect("sends");
            streams.push(stream);
        }
    }
    for n_idle in 0..IDLE {
        match TcpStream::connect(house.address).await {
            Ok(stream) => streams.push(stream),
            Err(error) => {
                say(&format!("{n_idle} idle connections only: {error}"));
                break;
            }
        }
    }
    let mut waits: Vec<Duration> = Vec::new();
    for _ in 0..50 {
        let begun = Instant::now();
        assert_eq!(house.get("/health", &[]).await.status, 200);
        waits.push(begun.elapsed());
    }
    waits.sort();
    assert!(waits[25] < Duration::from_millis(100), "{waits:?}");
    assert!(n_aside(&house) > 0, "uploads have begun");

    // Half a minute later, as far as the server can tell.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    let mut left = Vec::new();
    for (at, stream) in streams.iter_mut().enumerate() {
        if !is_over(stream).await {
            left.push(at);
        }
    }
    assert!(left.is_empty(), "{} are still there: {left:?}", left.len());
    assert_eq!(n_aside(&house), 0);
    assert_eq!(house.get("/health", &[]).await.status, 200);
}

#[expect(clippy::print_stderr, reason = "a test that cannot do all says so")]
fn say(text: &str) {
    eprintln!("{text}");
}
