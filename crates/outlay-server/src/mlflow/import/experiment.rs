//! One experiment with its runs and models: all of it in one transaction.

mod feed;

use std::collections::{BTreeSet, HashMap};

use outlay_ledger::{
    Batch, Condition, Drawer, Fault, Field, Ledger, ModelPoint, Operand, RunDetail, RunQuery, Test,
    View,
};
use tokio::sync::mpsc;

use super::super::experiments::under;
use super::super::files::kept_path;
use super::super::things::{EXPERIMENT, Experiment, LOGGED_MODEL, LoggedModel, all};
use super::targets::{self, IMPORTED, Planned, Target};
use super::{ExperimentReport, Found, ImportError, Options, Progress, Source, Tally, files};

/// Runs that are read at once.
const PAGE: usize = 200;

/// Points of one batch.
const POINTS: usize = 40_000;

/// An import under way.
pub(super) struct Import<'a> {
    pub ledger: &'a Ledger,
    pub source: &'a Source,
    pub options: &'a Options<'a>,
    /// The numbers of the source's experiments.
    pub numbers: Vec<i64>,
    /// Addresses of files that were copied.
    pub moved: files::Moved,
    /// Values that runs of another experiment measured of a model.
    pub late: Vec<ModelPoint>,
    /// All runs that were read.
    pub run_ids: BTreeSet<String>,
    pub planned: Planned,
}

/// What an experiment that cannot be brought over is refused for; a failure of another kind ends the import.
fn refusal(error: ImportError) -> Result<String, ImportError> {
    match error {
        ImportError::Taken(why) => Ok(why),
        ImportError::Ledger(error) => match error.fault {
            Fault::Input(_)
            | Fault::Conflict(_)
            | Fault::ParamSet { .. }
            | Fault::Missing(_)
            | Fault::NoRun(_)
            | Fault::Exists(_)
            | Fault::State(_)
            | Fault::Database(_) => Ok(error.fault.to_string()),
            _ => Err(error.into()),
        },
        other => Err(other),
    }
}

impl Import<'_> {
    /// Brings an experiment over.
    pub(super) async fn experiment(
        &mut self,
        found: &Found,
        progress: &mut impl FnMut(&Progress),
    ) -> Result<(ExperimentReport, Vec<String>), ImportError> {
        let mut tries = 0;
        loop {
            let there = targets::there(self.ledger, &found.experiment, &self.planned).await?;
            let target = targets::target(&there, &found.experiment, &self.numbers);
            let (mut tally, mut findings) = (Tally::default(), Vec::new());
            let done = self
                .bring(found, &target, &mut tally, &mut findings, progress)
                .await;
            tries += 1;
            let is_taken = |error: &ImportError| matches!(error, ImportError::Ledger(error) if matches!(error.fault, Fault::State(_)));
            if tries < 3 && done.as_ref().is_err_and(is_taken) {
                // Someone else took the number or the name meanwhile.
                continue;
            }
            let mut report = ExperimentReport {
                source_id: found.experiment.id,
                source_name: found.experiment.name.clone(),
                id: target.id,
                name: target.name.clone(),
                outcome: if target.is_new { "new" } else { "there" },
                why: None,
                tally,
            };
            match done.map_err(refusal) {
                Ok(()) => {
                    self.planned.given.push((target.id, target.name));
                    self.run_ids.extend(found.run_ids.iter().cloned());
                }
                Err(why) => {
                    report.outcome = "refused";
                    report.why = Some(why?);
                    report.tally = Tally::default();
                }
            }
            return Ok((report, findings));
        }
    }

    async fn bring(
        &mut self,
        found: &Found,
        target: &Target,
        tally: &mut Tally,
        findings: &mut Vec<String>,
        progress: &mut impl FnMut(&Progress),
    ) -> Result<(), ImportError> {
        let (mut models, points) = self.source.models(found, findings).await?;
        self.models_must_be_free(target, &models).await?;
        let location = self.copy(found, target, &models, tally, findings).await?;
        for model in &mut models {
            model.experiment_id = target.id;
            if let Some(new) = self.moved.address(&model.artifact_uri) {
                model.artifact_uri = new;
            }
        }
        let of_run: BTreeSet<&String> = found.run_ids.iter().collect();
        let (points, late): (Vec<ModelPoint>, Vec<ModelPoint>) = points
            .into_iter()
            .partition(|point| of_run.contains(&point.run_id));
        let mut experiment = Experiment {
            id: target.id,
            name: target.name.clone(),
            artifact_location: location,
            ..found.experiment.clone()
        };
        if !target.is_new {
            // As far as it is the one that is always there, and nothing was written of it yet.
            experiment.artifact_location =
                under(&self.options.artifact_root, &target.id.to_string());
            experiment.deleted = false;
        }
        if self.options.dry_run {
            let shelf = target.id.to_string();
            let there: Vec<LoggedModel> =
                all(self.ledger, LOGGED_MODEL, Some(&shelf), None).await?;
            tally.models_there = models
                .iter()
                .filter(|model| there.iter().any(|other| other.id == model.id))
                .count() as u64;
            tally.models = models.len() as u64 - tally.models_there;
            self.feed(found, target, points, None, tally, findings, progress)
                .await?;
            self.late.extend(late);
            return Ok(());
        }
        let (feed, batches) = mpsc::channel(4);
        let shelf = target.id.to_string();
        let shelves = [
            (EXPERIMENT, ""),
            (IMPORTED, ""),
            (LOGGED_MODEL, shelf.as_str()),
        ];
        let (is_new, identity) = (target.is_new, targets::identity(&found.experiment));
        let change = move |drawer: &mut Drawer| put(drawer, &experiment, &identity, is_new, models);
        let written = self.ledger.edit_with(&shelves, change, batches);
        let fed = self.feed(found, target, points, Some(feed), tally, findings, progress);
        let (written, fed) = tokio::join!(written, fed);
        // Where the source cannot be read, the ledger says no more than that the rest did not come.
        fed?;
        (tally.models, tally.models_there) = written?;
        self.late.extend(late);
        Ok(())
    }

    /// Refuses models that are another experiment's.
    async fn models_must_be_free(
        &self,
        target: &Target,
        models: &[LoggedModel],
    ) -> Result<(), ImportError> {
        for model in models {
            let there: Vec<LoggedModel> =
                all(self.ledger, LOGGED_MODEL, None, Some(&model.id)).await?;
            if let Some(other) = there.iter().find(|other| other.experiment_id != target.id) {
                return Err(ImportError::Taken(format!(
                    "its model {} is in the ledger already, in experiment {}",
                    model.id, other.experiment_id
                )));
            }
        }
        Ok(())
    }

    /// Runs that are in the ledger already, by id. They must be this experiment's.
    async fn runs_there(
        &self,
        target: &Target,
        ids: &[String],
    ) -> Result<HashMap<String, RunDetail>, ImportError> {
        let query = RunQuery {
            view: View::All,
            conditions: vec![Condition {
                field: Field::Attribute("run_id".to_owned()),
                test: Test::In,
                operand: Operand::Texts(ids.to_vec()),
                datasets: Vec::new(),
            }],
            limit: ids.len() as i64,
            ..RunQuery::default()
        };
        let there = self.ledger.search_runs(&query).await?;
        if let Some(other) = there
            .iter()
            .find(|detail| detail.run.experiment_id != target.id)
        {
            return Err(ImportError::Taken(format!(
                "its run {} is in the ledger already, in experiment {}, and a run's id cannot be changed",
                other.run.id, other.run.experiment_id
            )));
        }
        Ok(there
            .into_iter()
            .map(|detail| (detail.run.id.clone(), detail))
            .collect())
    }

    /// Copies the files of an experiment, as far as they are on this machine; gives where new ones go.
    async fn copy(
        &mut self,
        found: &Found,
        target: &Target,
        models: &[LoggedModel],
        tally: &mut Tally,
        findings: &mut Vec<String>,
    ) -> Result<String, ImportError> {
        let old = &found.experiment.artifact_location;
        let Some(store) = self.options.copy_to else {
            return Ok(old.clone());
        };
        let base = self.options.base.as_path();
        let kept = self.options.mlartifacts.as_deref();
        let local = |uri: &str| files::local(uri, base, kept);
        let new = under(&self.options.artifact_root, &target.id.to_string());
        // Where the folder as a whole is not here, nobody can say that a run has no files.
        let is_here = local(old).is_some_and(|folder| folder.is_dir()) || found.folder.is_dir();
        let mut places: Vec<(String, String, std::path::PathBuf)> = Vec::new();
        for ids in found.run_ids.chunks(PAGE) {
            let there = self.runs_there(target, ids).await?;
            // What cannot be read is found when the runs are written.
            for run in self.source.runs(found, ids, &mut Vec::new()).await? {
                if let Some(detail) = there.get(&run.run.id) {
                    self.moved
                        .add(&run.run.artifact_uri, &detail.run.artifact_uri);
                    continue;
                }
                let to = under(&new, &format!("{}/artifacts", run.run.id));
                places.push((
                    run.run.artifact_uri,
                    to,
                    found.folder.join(&run.run.id).join("artifacts"),
                ));
            }
        }
        for model in models {
            let to = under(&new, &format!("models/{}/artifacts", model.id));
            let beside = found
                .folder
                .join("models")
                .join(&model.id)
                .join("artifacts");
            places.push((model.artifact_uri.clone(), to, beside));
        }
        for (from, to, beside) in places {
            // A folder that was moved as a whole still has each run's files beside its other ones.
            let folder = match local(&from) {
                Some(folder) if folder.is_dir() => Some(folder),
                Some(_) if beside.is_absolute() || found.folder.is_dir() => {
                    Some(beside).filter(|folder| folder.is_dir())
                }
                _ => None,
            };
            match folder {
                Some(folder) => {
                    let path = kept_path(&to).map_err(|error| ImportError::Taken(error.message))?;
                    let copied =
                        files::copy(store, &folder, &path, self.options.dry_run, findings).await?;
                    tally.files += copied.files;
                    tally.bytes += copied.bytes;
                    self.moved.add(&from, &to);
                }
                None if is_here && local(&from).is_some() => self.moved.add(&from, &to),
                None => tally.addresses_kept += 1,
            }
        }
        Ok(if is_here { new } else { old.clone() })
    }

    /// Writes what runs measured of models of other experiments, now that all runs are there.
    pub(super) async fn late_points(&mut self) -> Result<Vec<String>, ImportError> {
        let mut findings = Vec::new();
        let mut late = std::mem::take(&mut self.late);
        late.retain(|point| {
            let is_there = self.run_ids.contains(&point.run_id);
            if !is_there {
                findings.push(format!(
                    "model {}: its run {} is not in the source",
                    point.model_id, point.run_id
                ));
            }
            is_there
        });
        if !self.options.dry_run {
            for points in late.chunks(POINTS) {
                let batch = Batch {
                    model_points: points.to_vec(),
                    ..Batch::default()
                };
                self.ledger.write(batch).await?;
            }
        }
        Ok(findings)
    }
}

/// Puts the experiment and its models in; gives how many models are new, and how many were there.
fn put(
    drawer: &mut Drawer,
    experiment: &Experiment,
    identity: &str,
    is_new: bool,
    models: Vec<LoggedModel>,
) -> Result<(u64, u64), Fault> {
    let id = experiment.id.to_string();
    let there: Vec<(String, Experiment)> = drawer.shelf(EXPERIMENT, "")?;
    if is_new {
        if there
            .iter()
            .any(|(_, other)| other.id == experiment.id || other.name == experiment.name)
        {
            return Err(Fault::State(format!(
                "the number or the name of experiment `{}` was taken meanwhile",
                experiment.name
            )));
        }
        drawer.put(EXPERIMENT, "", &id, experiment)?;
    } else if let Some((_, mut kept)) = there
        .into_iter()
        .find(|(_, other)| other.id == experiment.id)
    {
        for (key, value) in &experiment.tags {
            kept.tags
                .entry(key.clone())
                .or_insert_with(|| value.clone());
        }
        drawer.put(EXPERIMENT, "", &id, &kept)?;
    } else {
        // The one that is always there, of which nothing was written yet.
        drawer.put(EXPERIMENT, "", &id, experiment)?;
    }
    drawer.put(IMPORTED, "", identity, &experiment.id)?;
    let (mut n_new, mut n_there) = (0, 0);
    for model in models {
        let there: Option<LoggedModel> = drawer.get(LOGGED_MODEL, &id, &model.id)?;
        let kept = match there {
            None => {
                n_new += 1;
                model
            }
            Some(mut kept) => {
                n_there += 1;
                for (key, value) in model.tags {
                    kept.tags.entry(key).or_insert(value);
                }
                for (key, value) in model.params {
                    kept.params.entry(key).or_insert(value);
                }
                if kept.status == "LOGGED_MODEL_PENDING" {
                    kept.status = model.status;
                    kept.status_message = model.status_message;
                }
                kept
            }
        };
        drawer.put(LOGGED_MODEL, &id, &kept.id, &kept)?;
    }
    Ok((n_new, n_there))
}
