//! How far the command is, from what it logs to the server of this ledger.
//!
//! A trainer's MLflow callback says how long it will train in parameters, and how far it is by the steps of its metrics, or by
//! one named `epoch`. Rules, in the order in which they are tried:
//!
//! 1. `outlay.total_steps` (a parameter or a tag), else one of the parameters in [`TOTALS`]: the newest step, of so many.
//! 2. One of the parameters in [`EPOCHS`], and a metric `epoch` (Hugging Face's Trainer: 1.25 is a quarter of the second): its
//!    part of so many; with it the steps that there will be.
//! 3. Such a parameter, and no step that is not below it (Keras, Lightning: one step is one epoch): the epoch of the newest
//!    step is done.
//!
//! Where none holds, only losses are learned.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use outlay_ledger::{LedgerError, Place, RunDetail};

use crate::ledger::Books;

/// Parameters that say how many steps there will be.
const TOTALS: [&str; 6] = [
    "max_steps",
    "total_steps",
    "num_steps",
    "train_steps",
    "max_iters",
    "num_iterations",
];

/// Parameters that say how many epochs there will be.
const EPOCHS: [&str; 5] = [
    "num_train_epochs",
    "num_epochs",
    "max_epochs",
    "n_epochs",
    "epochs",
];

/// The shortest and the longest time between two looks.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// How long the end of a run waits for the last look.
const LAST: Duration = Duration::from_secs(5);

/// Points that one look takes from each metric.
const POINTS: i64 = 20_000;

/// What was logged since the look before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logged {
    /// Share of the training that is done.
    pub fraction: Option<f64>,
    /// The newest step.
    pub step: Option<f64>,
    /// Steps that there will be.
    pub total_steps: Option<f64>,
    /// New points of losses and learning rates: name, step and value.
    pub points: Vec<(String, f64, f64)>,
}

/// Follows what a run logs.
pub struct Follower {
    told: mpsc::Receiver<Logged>,
    end: mpsc::Sender<()>,
}

impl Follower {
    /// Begins to look into the run's ledger, now and then.
    pub fn begin(place: Place, run_id: String) -> Self {
        let (tell, told) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let mut books = None;
            let mut n_seen = BTreeMap::new();
            let mut is_last = false;
            loop {
                if books.is_none() {
                    books = Books::open(&place, false).ok();
                }
                let since = Instant::now();
                let looked = books
                    .as_ref()
                    .map(|books| books.wait(look(books, &run_id, &mut n_seen)));
                let logged = match looked {
                    Some(Ok(logged)) => logged,
                    // A server that is away for a while is asked anew.
                    Some(Err(_)) | None => {
                        books = None;
                        Logged::default()
                    }
                };
                if tell.send(logged).is_err() || is_last {
                    return;
                }
                // At most two percent of the time, most of which is waiting.
                let pause = (since.elapsed() * 50).clamp(PAUSES[0], PAUSES[1]);
                match ended.recv_timeout(pause) {
                    Ok(()) => is_last = true,
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        Self { told, end }
    }

    /// What was found since the last time.
    pub fn news(&self) -> Vec<Logged> {
        self.told.try_iter().collect()
    }

    /// What was found since, and what one last look finds, if it does not take long.
    pub fn last(self) -> Vec<Logged> {
        let _ = self.end.send(());
        let until = Instant::now() + LAST;
        let mut all = Vec::new();
        while let Ok(logged) = self
            .told
            .recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            all.push(logged);
        }
        all
    }
}

/// One look.
async fn look(
    books: &Books,
    run_id: &str,
    n_seen: &mut BTreeMap<String, i64>,
) -> Result<Logged, LedgerError> {
    let detail = books.ledger().run_detail(run_id).await?;
    let mut logged = how_far(&detail);
    for metric in &detail.metrics {
        if !super::progress::is_of_interest(&metric.key) {
            continue;
        }
        let n_seen = n_seen.entry(metric.key.clone()).or_default();
        let new = books
            .ledger()
            .history(run_id, &metric.key, *n_seen, POINTS)
            .await?;
        *n_seen += new.len() as i64;
        let point =
            |point: &outlay_ledger::Point| (metric.key.clone(), point.step as f64, point.value);
        logged.points.extend(new.iter().map(point));
    }
    Ok(logged)
}

/// How far a run is, by what it logged.
fn how_far(detail: &RunDetail) -> Logged {
    let number = |pairs: &[(String, String)], name: &str| {
        let (_, text) = pairs.iter().find(|(key, _)| key == name)?;
        let number: f64 = text.trim().parse().ok()?;
        // Trainers write -1 for what is not limited.
        (number.is_finite() && number > 0.0).then_some(number)
    };
    let metrics = || {
        detail
            .metrics
            .iter()
            .filter(|metric| !metric.key.starts_with("system/"))
    };
    let newest = metrics()
        .map(|metric| metric.last.step as f64)
        .reduce(f64::max);
    let Some(newest) = newest.filter(|step| *step >= 0.0) else {
        return Logged::default();
    };
    let own = "outlay.total_steps";
    let total = number(&detail.params, own)
        .or_else(|| number(&detail.tags, own))
        .or_else(|| TOTALS.iter().find_map(|name| number(&detail.params, name)));
    if let Some(total) = total {
        return Logged {
            fraction: Some((newest / total).min(1.0)),
            step: Some(newest),
            total_steps: Some(total),
            ..Logged::default()
        };
    }
    let Some(epochs) = EPOCHS.iter().find_map(|name| number(&detail.params, name)) else {
        return Logged {
            step: Some(newest),
            ..Logged::default()
        };
    };
    let epoch = metrics()
        .find(|metric| metric.key == "epoch" || metric.key == "train/epoch")
        .map(|metric| metric.last.value);
    match epoch {
        Some(epoch) if epoch > 0.0 => {
            let fraction = (epoch / epochs).min(1.0);
            Logged {
                fraction: Some(fraction),
                step: Some(newest),
                // While trainers count epochs in fractions, all of them are as long.
                total_steps: Some((newest / fraction).round()).filter(|total| *total >= newest),
                ..Logged::default()
            }
        }
        None if newest < epochs => Logged {
            fraction: Some((newest + 1.0) / epochs),
            step: Some(newest + 1.0),
            total_steps: Some(epochs),
            ..Logged::default()
        },
        _ => Logged {
            step: Some(newest),
            ..Logged::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use outlay_ledger::{Metric, Point, Run, RunStatus};

    use super::*;

    fn detail(params: &[(&str, &str)], metrics: &[(&str, i64, f64)]) -> RunDetail {
        let run = Run {
            id: "r".to_owned(),
            name: String::new(),
            project: String::new(),
            team: String::new(),
            who: String::new(),
            host: String::new(),
            command: Vec::new(),
            status: RunStatus::Running,
            started_us: 0,
            seen_us: 0,
            ended_us: None,
            exit_code: None,
            state: serde_json::Value::Null,
            summary: None,
            experiment_id: 0,
            artifact_uri: String::new(),
            deleted_us: None,
        };
        RunDetail {
            run,
            params: params
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            tags: Vec::new(),
            metrics: metrics
                .iter()
                .map(|&(key, step, value)| Metric {
                    key: key.to_owned(),
                    last: Point {
                        step,
                        at_us: 0,
                        value,
                    },
                    range: None,
                })
                .collect(),
            datasets: Vec::new(),
            models: Vec::new(),
        }
    }

    fn told(params: &[(&str, &str)], metrics: &[(&str, i64, f64)]) -> [Option<f64>; 3] {
        let logged = how_far(&detail(params, metrics));
        [logged.fraction, logged.step, logged.total_steps]
    }

    #[test]
    fn trainers_say_how_far_they_are_each_in_their_way() {
        // Hugging Face: -1 steps are not limited, epochs in fractions.
        let params = [("max_steps", "-1"), ("num_train_epochs", "4.0")];
        let metrics = [
            ("loss", 150, 1.5),
            ("epoch", 150, 1.5),
            ("system/spent_usd", 9000, 1.0),
        ];
        assert_eq!(
            told(&params, &metrics),
            [Some(0.375), Some(150.0), Some(400.0)]
        );
        let params = [("max_steps", "1000"), ("num_train_epochs", "3.0")];
        assert_eq!(
            told(&params, &metrics),
            [Some(0.15), Some(150.0), Some(1000.0)]
        );
        // Keras and Lightning: one step is one epoch, and the third is done.
        let metrics = [("loss", 2, 1.5), ("val_loss", 2, 1.6)];
        assert_eq!(
            told(&[("epochs", "10")], &metrics),
            [Some(0.3), Some(3.0), Some(10.0)]
        );
        // Steps beyond the epochs are no epochs.
        let metrics = [("loss", 200, 1.5)];
        assert_eq!(
            told(&[("epochs", "10")], &metrics),
            [None, Some(200.0), None]
        );
        assert_eq!(told(&[("lr", "0.1")], &metrics), [None, Some(200.0), None]);
        assert_eq!(told(&[("epochs", "10")], &[]), [None; 3]);
        // A person's own word counts before all.
        let params = [("outlay.total_steps", "400"), ("max_steps", "1000")];
        assert_eq!(
            told(&params, &metrics),
            [Some(0.5), Some(200.0), Some(400.0)]
        );
    }
}
