//! Bringing over what MLflow kept: an `mlflow.db` or a folder `mlruns`, read as it is, into the ledger.
//!
//! Each experiment is written in one transaction, with all its runs and models, or not at all.
//! What is there already stays as it is, and what it lacks is added: a second import changes nothing.

mod database;
mod experiment;
mod files;
mod folder;
mod registry;
mod targets;
pub mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use outlay_ledger::{Dataset, Ledger, LedgerError, MlflowFile, ModelPoint, Run, RunModel, Series};
use serde::Serialize;

use super::things::{Experiment, LoggedModel, ModelVersion, RegisteredModel};
use crate::artifacts::{ArtifactError, Artifacts};

/// Most findings that are told one by one.
const FINDINGS: usize = 1000;

/// Why something was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The source, or the ledger, cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A file of the source cannot be read.
    #[error("`{path}`: {why}")]
    Source {
        /// Which file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// Something of that name is in the ledger already, and is something else.
    #[error("{0}")]
    Taken(String),
    /// A file cannot be kept.
    #[error("the file `{path}` cannot be copied: {why}")]
    File {
        /// Which file.
        path: String,
        /// What is wrong.
        why: ArtifactError,
    },
}

/// What to import, and how.
#[derive(Debug)]
pub struct Options<'a> {
    /// Where files are copied to; `None` keeps them, and their addresses, as they are.
    pub copy_to: Option<&'a Artifacts>,
    /// The folder from which addresses without a root are meant: where the source lies.
    pub base: PathBuf,
    /// The folder in which MLflow's own server kept files, for addresses that begin with `mlflow-artifacts:`.
    pub mlartifacts: Option<PathBuf>,
    /// What addresses of copied files begin with, as [`crate::Settings::artifact_root`].
    pub artifact_root: String,
    /// Whether anything is written.
    pub dry_run: bool,
}

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The experiment that is being read.
    pub experiment: String,
    /// Runs of it that were read.
    pub n_runs: usize,
    /// Runs that it has.
    pub n_runs_of: usize,
    /// Points of it that were read.
    pub n_points: u64,
}

/// How much of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Runs that are new to the ledger.
    pub runs: u64,
    /// Runs that were there.
    pub runs_there: u64,
    /// Parameters.
    pub params: u64,
    /// Tags of runs.
    pub tags: u64,
    /// Points of metrics.
    pub points: u64,
    /// Data that runs used.
    pub datasets: u64,
    /// Models that are new to the ledger.
    pub models: u64,
    /// Models that were there.
    pub models_there: u64,
    /// Files that were copied.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Addresses of files that were kept as they are, since the files are elsewhere.
    pub addresses_kept: u64,
}

/// What became of an experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExperimentReport {
    /// Its number in the source.
    pub source_id: i64,
    /// Its name in the source.
    pub source_name: String,
    /// Its number in the ledger.
    pub id: i64,
    /// Its name in the ledger.
    pub name: String,
    /// `new`, `there` or `refused`.
    pub outcome: &'static str,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What was read of it.
    pub tally: Tally,
}

/// What became of a registered model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegisteredReport {
    /// Its name.
    pub name: String,
    /// `new`, `there` or `refused`.
    pub outcome: &'static str,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Versions that are new to the ledger.
    pub versions: u64,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Each experiment.
    pub experiments: Vec<ExperimentReport>,
    /// Each registered model.
    pub registered_models: Vec<RegisteredReport>,
    /// What has no place in the ledger and was left out, by kind.
    pub left_out: BTreeMap<String, u64>,
    /// What could not be read, with its place; at most a thousand are told.
    pub findings: Vec<String>,
    /// How many there were in all.
    pub n_findings: u64,
}

impl Report {
    /// Whether all was brought over that has a place in the ledger.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let refused = |outcome: &str| outcome == "refused";
        !self.experiments.iter().any(|one| refused(one.outcome))
            && !self
                .registered_models
                .iter()
                .any(|one| refused(one.outcome))
            && self.n_findings == 0
    }

    fn find(&mut self, findings: Vec<String>) {
        self.n_findings += findings.len() as u64;
        let room = FINDINGS.saturating_sub(self.findings.len());
        self.findings.extend(findings.into_iter().take(room));
    }
}

/// An experiment of the source.
#[derive(Clone, Debug)]
struct Found {
    /// As the source has it.
    experiment: Experiment,
    /// Its folder, where the source is one.
    folder: PathBuf,
    /// Its runs.
    run_ids: Vec<String>,
}

/// A run of the source, without its points.
#[derive(Clone, Debug)]
struct FoundRun {
    run: Run,
    params: Vec<(String, String)>,
    tags: Vec<(String, String)>,
    datasets: Vec<Dataset>,
    models: Vec<RunModel>,
}

/// What MLflow kept: a database file or a folder.
#[derive(Debug)]
pub enum Source {
    /// A database file.
    File(MlflowFile),
    /// A folder of files.
    Folder(PathBuf),
}

impl Source {
    /// Opens a database file or a folder.
    ///
    /// # Errors
    ///
    /// What is neither of them.
    pub async fn open(path: &Path) -> Result<Self, ImportError> {
        if !path.is_dir() {
            return Ok(Self::File(MlflowFile::open(path).await?));
        }
        if folder::is_one(path) {
            return Ok(Self::Folder(path.to_path_buf()));
        }
        Err(ImportError::Source {
            path: path.display().to_string(),
            why: "no experiment is in this folder: it has no folder with a `meta.yaml` in it"
                .to_owned(),
        })
    }

    async fn experiments(&self, findings: &mut Vec<String>) -> Result<Vec<Found>, ImportError> {
        match self {
            Self::File(file) => database::experiments(file).await,
            Self::Folder(root) => Ok(folder::experiments(root, findings)),
        }
    }

    async fn runs(
        &self,
        found: &Found,
        ids: &[String],
        findings: &mut Vec<String>,
    ) -> Result<Vec<FoundRun>, ImportError> {
        match self {
            Self::File(file) => database::runs(file, found, ids).await,
            Self::Folder(_) => Ok(folder::runs(found, ids, findings)),
        }
    }

    async fn points(
        &self,
        found: &Found,
        run_id: &str,
        findings: &mut Vec<String>,
    ) -> Result<Vec<Series>, ImportError> {
        match self {
            Self::File(file) => Ok(file.points(run_id).await?),
            Self::Folder(_) => Ok(folder::points(found, run_id, findings)),
        }
    }

    async fn models(
        &self,
        found: &Found,
        findings: &mut Vec<String>,
    ) -> Result<(Vec<LoggedModel>, Vec<ModelPoint>), ImportError> {
        match self {
            Self::File(file) => database::models(file, found).await,
            Self::Folder(_) => Ok(folder::models(found, findings)),
        }
    }

    async fn registered(
        &self,
        findings: &mut Vec<String>,
    ) -> Result<Vec<(RegisteredModel, Vec<ModelVersion>)>, ImportError> {
        match self {
            Self::File(file) => database::registered(file).await,
            Self::Folder(root) => Ok(folder::registered(root, findings)),
        }
    }

    async fn left_out(&self) -> Result<BTreeMap<String, u64>, ImportError> {
        match self {
            Self::File(file) => database::left_out(file).await,
            Self::Folder(root) => Ok(folder::left_out(root)),
        }
    }
}

/// Imports everything of a source.
///
/// An experiment or a registered model that cannot be brought over is refused as a whole, and said in the report.
///
/// # Errors
///
/// A source or a ledger that cannot be read at all, or a disk that is full; what was written before stays.
pub async fn import(
    ledger: &Ledger,
    source: &Source,
    options: &Options<'_>,
    mut progress: impl FnMut(&Progress),
) -> Result<Report, ImportError> {
    let mut findings = Vec::new();
    let mut report = Report {
        dry_run: options.dry_run,
        ..Report::default()
    };
    let mut found = source.experiments(&mut findings).await?;
    found.sort_by_key(|one| one.experiment.id);
    // Numbers that the source's own experiments keep are not given to others of them.
    let numbers: Vec<i64> = found.iter().map(|one| one.experiment.id).collect();
    let mut import = experiment::Import {
        ledger,
        source,
        options,
        numbers,
        moved: files::Moved::default(),
        late: Vec::new(),
        run_ids: std::collections::BTreeSet::new(),
        planned: targets::Planned::default(),
    };
    for one in &found {
        let (said, also) = import.experiment(one, &mut progress).await?;
        report.experiments.push(said);
        findings.extend(also);
    }
    findings.extend(import.late_points().await?);
    for (model, versions) in source.registered(&mut findings).await? {
        let said =
            registry::import(ledger, model, versions, &import.moved, options.dry_run).await?;
        report.registered_models.push(said);
    }
    report.left_out = source.left_out().await?;
    report.find(findings);
    Ok(report)
}
