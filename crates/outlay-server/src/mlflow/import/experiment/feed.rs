//! The runs of an experiment, batch by batch.

use std::collections::BTreeSet;

use outlay_ledger::{Batch, Dataset, Label, ModelPoint, RunChange, RunDetail, RunStatus, Series};
use tokio::sync::mpsc;

use super::super::targets::Target;
use super::super::{Found, FoundRun, ImportError, Progress, Tally};
use super::{Import, PAGE, POINTS};

impl Import<'_> {
    /// Reads the runs, and hands on what the ledger lacks.
    #[expect(
        clippy::too_many_arguments,
        reason = "one pass that fills several lists"
    )]
    pub(super) async fn feed(
        &self,
        found: &Found,
        target: &Target,
        mut model_points: Vec<ModelPoint>,
        feed: Option<mpsc::Sender<Option<Batch>>>,
        tally: &mut Tally,
        findings: &mut Vec<String>,
        progress: &mut impl FnMut(&Progress),
    ) -> Result<(), ImportError> {
        // Nobody takes any more: the ledger refused something, and says so itself.
        let hand_on = async |batch: Option<Batch>| match &feed {
            Some(feed) => feed.send(batch).await.is_ok(),
            None => true,
        };
        let mut at = Progress {
            experiment: target.name.clone(),
            n_runs_of: found.run_ids.len(),
            ..Progress::default()
        };
        let mut read: BTreeSet<String> = BTreeSet::new();
        for ids in found.run_ids.chunks(PAGE) {
            let mut there = self.runs_there(target, ids).await?;
            let mut batch = Batch::default();
            let page = self.source.runs(found, ids, findings).await?;
            let run_ids: Vec<String> = page.iter().map(|run| run.run.id.clone()).collect();
            for run in page {
                let detail = there.remove(&run.run.id);
                self.add(&mut batch, run, target, detail, tally);
            }
            if !hand_on(Some(batch)).await {
                return Ok(());
            }
            let (mut batch, mut n_points) = (Batch::default(), 0);
            for run_id in run_ids {
                for mut series in self.source.points(found, &run_id, findings).await? {
                    at.n_points += series.points.len() as u64;
                    while n_points + series.points.len() > POINTS {
                        let rest = series.points.split_off(POINTS - n_points);
                        let first = Series {
                            points: std::mem::replace(&mut series.points, rest),
                            run_id: series.run_id.clone(),
                            key: series.key.clone(),
                        };
                        batch.series.push(first);
                        if !hand_on(Some(std::mem::take(&mut batch))).await {
                            return Ok(());
                        }
                        n_points = 0;
                    }
                    n_points += series.points.len();
                    batch.series.push(series);
                }
                at.n_runs += 1;
                read.insert(run_id);
                progress(&at);
            }
            if !hand_on(Some(batch)).await {
                return Ok(());
            }
        }
        tally.points = at.n_points;
        // A run of which nothing could be read has no values either.
        model_points.retain(|point| {
            let is_read = read.contains(&point.run_id);
            if !is_read {
                findings.push(format!(
                    "model {}: its run {} could not be read",
                    point.model_id, point.run_id
                ));
            }
            is_read
        });
        for points in model_points.chunks(POINTS) {
            let batch = Batch {
                model_points: points.to_vec(),
                ..Batch::default()
            };
            if !hand_on(Some(batch)).await {
                return Ok(());
            }
        }
        hand_on(None).await;
        Ok(())
    }

    /// Adds what the ledger lacks of a run.
    fn add(
        &self,
        batch: &mut Batch,
        found: FoundRun,
        target: &Target,
        there: Option<RunDetail>,
        tally: &mut Tally,
    ) {
        let FoundRun {
            mut run,
            mut params,
            mut tags,
            mut datasets,
            models,
        } = found;
        tally.params += params.len() as u64;
        tally.tags += tags.len() as u64;
        tally.datasets += datasets.len() as u64;
        run.experiment_id = target.id;
        if let Some(new) = self.moved.address(&run.artifact_uri) {
            run.artifact_uri = new;
        }
        let id = run.id.clone();
        match there {
            None => {
                tally.runs += 1;
                batch.runs.push(run);
            }
            Some(detail) => {
                tally.runs_there += 1;
                let has = |list: &[(String, String)], key: &str| {
                    list.iter().any(|(other, _)| other == key)
                };
                params.retain(|(key, _)| !has(&detail.params, key));
                tags.retain(|(key, _)| !has(&detail.tags, key));
                datasets.retain(|new| {
                    let is_same = |old: &Dataset| old.name == new.name && old.digest == new.digest;
                    !detail.datasets.iter().any(is_same)
                });
                let is_open =
                    |status: RunStatus| matches!(status, RunStatus::Running | RunStatus::Scheduled);
                if is_open(detail.run.status) && !is_open(run.status) {
                    batch.changes.push(RunChange {
                        id: id.clone(),
                        status: Some(run.status),
                        seen_us: Some(run.seen_us),
                        ended_us: run.ended_us,
                        ..RunChange::default()
                    });
                }
            }
        }
        let label = |(key, value): (String, String)| Label {
            run_id: id.clone(),
            key,
            value,
        };
        batch.params.extend(params.into_iter().map(label));
        batch.tags.extend(tags.into_iter().map(label));
        batch.datasets.extend(datasets);
        batch.run_models.extend(models);
    }
}
