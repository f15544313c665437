//! The server is killed at random moments while four clients log: what it acknowledged is there.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::Server;
use super::client::Client;

/// How often it is killed where nobody says.
const KILLS: u32 = 20;

/// What was acknowledged: metrics by step, parameters and tags by number.
#[derive(Default)]
struct Acknowledged {
    single: BTreeSet<i64>,
    batch: BTreeSet<i64>,
    params: BTreeSet<u64>,
}

/// One client: logs until it is told to end, and notes what was acknowledged.
fn log(
    port: u16,
    run_id: &str,
    ended: &AtomicBool,
    noted: &Mutex<Acknowledged>,
    n_calls: &AtomicU64,
) {
    let address = format!("127.0.0.1:{port}");
    let mut client = None;
    let mut n: i64 = 0;
    while !ended.load(Ordering::Relaxed) {
        let Some(connection) = client.as_mut() else {
            client = Client::connect(&address).ok();
            std::thread::sleep(Duration::from_millis(2));
            continue;
        };
        n += 1;
        let point =
            |step: i64| json!({"key": "loss", "value": 0.5, "timestamp": step, "step": step});
        let outcome = match n % 3 {
            0 => {
                let metrics: Vec<Value> = (0..20)
                    .map(|at| {
                        let mut point = point(n * 20 + at);
                        point["key"] = Value::from("batch");
                        point
                    })
                    .collect();
                connection.post(
                    "runs/log-batch",
                    &json!({"run_id": run_id, "metrics": metrics}),
                )
            }
            1 => {
                let mut body = point(n);
                body["run_id"] = Value::from(run_id);
                connection.post("runs/log-metric", &body)
            }
            _ => {
                let body =
                    json!({"run_id": run_id, "key": format!("p{n}"), "value": n.to_string()});
                connection.post("runs/log-parameter", &body)
            }
        };
        match outcome {
            Ok((200, _)) => {
                n_calls.fetch_add(1, Ordering::Relaxed);
                let mut noted = noted.lock().expect("no one panicked");
                match n % 3 {
                    0 => noted.batch.extend((0..20).map(|at| n * 20 + at)),
                    1 => {
                        noted.single.insert(n);
                    }
                    _ => {
                        noted.params.insert(n as u64);
                    }
                }
            }
            Ok((status, body)) => panic!("refused: {status} {body}"),
            Err(_) => client = None,
        }
    }
}

fn history(client: &mut Client, run_id: &str, key: &str) -> BTreeSet<i64> {
    let path = format!("metrics/get-history?run_id={run_id}&metric_key={key}");
    let (status, body) = client.get(&path).expect("answers");
    assert_eq!(status, 200, "{body}");
    let metrics = body["metrics"].as_array().cloned().unwrap_or_default();
    metrics
        .iter()
        .map(|point| point["step"].as_i64().expect("a step"))
        .collect()
}

#[test]
fn what_was_acknowledged_is_there_however_often_it_is_killed() {
    let kills = std::env::var("OUTLAY_KILLS")
        .ok()
        .and_then(|text| text.parse().ok());
    // Two databases share the number elsewhere; here each kill also starts a server.
    let kills: u32 = kills.map_or(KILLS, |kills: u32| kills / 2);
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(folder.path(), 0);
    let port = server.port();
    let mut client = Client::connect(&server.address).expect("connects");
    let run_ids: Vec<String> = (0..4)
        .map(|n| {
            let body =
                json!({"experiment_id": "0", "start_time": n, "run_name": format!("run {n}")});
            let (status, body) = client.post("runs/create", &body).expect("answers");
            assert_eq!(status, 200, "{body}");
            body["run"]["info"]["run_id"]
                .as_str()
                .expect("an id")
                .to_owned()
        })
        .collect();
    let ended = AtomicBool::new(false);
    let n_calls = AtomicU64::new(0);
    let noted: Vec<Mutex<Acknowledged>> = (0..4).map(|_| Mutex::default()).collect();
    std::thread::scope(|scope| {
        for (run_id, noted) in run_ids.iter().zip(&noted) {
            scope.spawn(|| log(port, run_id, &ended, noted, &n_calls));
        }
        let mut random = u64::from(std::process::id());
        for _ in 0..kills {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let before = n_calls.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(random >> 56));
            // Killed at rest, it would show nothing.
            while n_calls.load(Ordering::Relaxed) == before {
                std::thread::sleep(Duration::from_millis(1));
            }
            server.kill();
            server = Server::start(folder.path(), port);
        }
        ended.store(true, Ordering::Relaxed);
    });
    let mut client = Client::connect(&server.address).expect("connects");
    for (run_id, noted) in run_ids.iter().zip(&noted) {
        let noted = noted.lock().expect("no one panicked");
        assert!(
            noted
                .single
                .is_subset(&history(&mut client, run_id, "loss"))
        );
        let batch = history(&mut client, run_id, "batch");
        assert!(noted.batch.is_subset(&batch));
        assert_eq!(batch.len() % 20, 0, "a batch is there whole or not at all");
        let (_, body) = client
            .get(&format!("runs/get?run_id={run_id}"))
            .expect("answers");
        let params = body["run"]["data"]["params"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let params: BTreeSet<u64> = params
            .iter()
            .map(|param| {
                param["value"]
                    .as_str()
                    .and_then(|text| text.parse().ok())
                    .expect("a number")
            })
            .collect();
        assert!(noted.params.is_subset(&params));
        assert!(noted.single.len() > 5, "the client hardly logged");
    }
}
