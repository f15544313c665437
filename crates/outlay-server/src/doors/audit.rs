//! The record of who did what: written behind the requests' backs, many at a time.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outlay_ledger::{Batch, Evidence, Fault, Ledger};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::knows::{FormProof, Person};

/// Records that wait at most; more are counted, and the count is recorded.
const QUEUE: usize = 10_000;

/// Records written at once at most.
const AT_ONCE: usize = 500;

/// How long the first record of a batch waits for others.
const GATHER: Duration = Duration::from_millis(50);

/// How often a ledger that others hold is tried, a second apart.
const TRIES: u32 = 30;

tokio::task_local! {
    /// Who asks, for whatever is done on their behalf.
    pub(super) static ASKING: Asking;
}

/// Who asks, and from where.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    /// The person; nobody where the server asks nobody who they are.
    pub person: Option<Person>,
    /// The proof that their forms carry, where they are known by a cookie.
    pub proof: Option<FormProof>,
    /// The address.
    pub address: IpAddr,
}

#[derive(Debug)]
enum Job {
    Record(Box<Evidence>),
    Finish(oneshot::Sender<()>),
}

/// The queue of records.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    queue: OnceLock<mpsc::Sender<Job>>,
    n_lost: std::sync::Arc<AtomicU64>,
}

impl Audit {
    /// Hands over a record. It never waits.
    pub fn record(&self, ledger: &Ledger, evidence: Evidence) {
        let queue = self.queue.get_or_init(|| {
            let (queue, jobs) = mpsc::channel(QUEUE);
            let n_lost = std::sync::Arc::clone(&self.n_lost);
            tokio::spawn(write(ledger.clone(), jobs, n_lost));
            queue
        });
        if queue.try_send(Job::Record(Box::new(evidence))).is_err() {
            self.n_lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything that was handed over is written.
    pub async fn finish(&self) {
        if let Some(queue) = self.queue.get() {
            let (done, finished) = oneshot::channel();
            if queue.send(Job::Finish(done)).await.is_ok() {
                let _ = finished.await;
            }
        }
    }
}

/// Writes what waits, until nobody can hand over any more.
async fn write(ledger: Ledger, mut jobs: mpsc::Receiver<Job>, n_lost: std::sync::Arc<AtomicU64>) {
    let mut waiting = Vec::new();
    let mut finished = Vec::new();
    while let Some(job) = jobs.recv().await {
        let mut next = Some(job);
        let mut gathered = false;
        while let Some(job) = next {
            match job {
                Job::Record(evidence) => waiting.push(*evidence),
                Job::Finish(done) => finished.push(done),
            }
            if waiting.len() >= AT_ONCE {
                break;
            }
            next = jobs.try_recv().ok();
            if next.is_none() && !gathered && finished.is_empty() {
                gathered = true;
                tokio::time::sleep(GATHER).await;
                next = jobs.try_recv().ok();
            }
        }
        put(&ledger, std::mem::take(&mut waiting), &n_lost).await;
        for done in finished.drain(..) {
            let _ = done.send(());
        }
    }
}

async fn put(ledger: &Ledger, mut evidence: Vec<Evidence>, n_lost: &AtomicU64) {
    let lost = n_lost.swap(0, Ordering::Relaxed);
    if lost > 0
        && let Some(last) = evidence.last()
    {
        let recorded_us = last.recorded_us;
        evidence.push(Evidence {
            kind: "audit".to_owned(),
            subject: "audit".to_owned(),
            body: json!({"what": "records lost", "count": lost}),
            recorded_us,
            who: String::new(),
        });
    }
    if evidence.is_empty() {
        return;
    }
    let n_records = evidence.len() as u64;
    let batch = Batch {
        evidence,
        ..Batch::default()
    };
    for _ in 0..TRIES {
        match ledger.write(batch.clone()).await {
            Ok(()) => return,
            Err(error) if matches!(error.fault, Fault::Busy(_)) => {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(_) => break,
        }
    }
    n_lost.fetch_add(lost + n_records, Ordering::Relaxed);
}

/// Text that a client gave, as a record may hold it: of bounded length, in one line.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .take(300)
        .map(|one| if one.is_control() { ' ' } else { one })
        .collect()
}
