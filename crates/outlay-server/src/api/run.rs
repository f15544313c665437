//! One run: what is known of it, its metrics by the page, and its files.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::account::Account;
use super::fault::{ApiFault, Failure, Kind, Query};
use super::series::run_of;
use super::shapes::{MetricView, Money};
use crate::App;
use crate::mlflow::files::list_of;
use crate::query::escaped;

/// Most labels of a kind that are told.
const LABELS: usize = 2000;

/// Most files that are told of a folder.
const FILES: usize = 2000;

/// Data that a run used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DatasetView {
    /// What people call it.
    pub name: String,
    /// Hash of its content.
    pub digest: String,
    /// What it was used for.
    pub context: String,
    /// Where it came from.
    pub source: String,
}

/// A part of what a run spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SpentOn {
    /// What for: `compute`, `electricity`, `storage`.
    pub kind: String,
    /// How it was come by: `counter`, `sampled`, `modelled`, or several.
    pub quality: String,
    /// How much.
    pub spent: Money,
}

/// All that is known of a run but the history of its metrics.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RunDetailView {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its project; empty for none.
    pub project: String,
    /// Its team; empty for none.
    pub team: String,
    /// Who started it.
    pub who: String,
    /// The machine.
    pub host: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// How it stands.
    pub status: &'static str,
    /// When it began.
    pub started_us: i64,
    /// When it was last known to run.
    pub seen_us: i64,
    /// When it ended.
    pub ended_us: Option<i64>,
    /// What the command said at its end.
    pub exit_code: Option<i64>,
    /// Its experiment.
    pub experiment_id: String,
    /// Whether it was put away.
    pub is_deleted: bool,
    /// What it spent, by currency.
    pub spent: Vec<Money>,
    /// What it spent, by what for.
    pub spent_on: Vec<SpentOn>,
    /// What its meter says.
    pub account: Account,
    /// Parameters, at most 2,000.
    pub params: BTreeMap<String, String>,
    /// Tags, at most 2,000.
    pub tags: BTreeMap<String, String>,
    /// Data that it used.
    pub datasets: Vec<DatasetView>,
    /// How many metrics it has.
    pub n_metrics: i64,
}

/// All that is known of a run, by its id or the first digits of it.
///
/// # Errors
///
/// No such run, several, or a ledger that cannot be read.
pub async fn detail(app: &App, id: &str) -> Result<RunDetailView, ApiFault> {
    let run = run_of(app, id).await?;
    let ledger = app.ledger();
    let (params, tags, datasets, spent, entries, (energy, n_metrics)) = tokio::try_join!(
        ledger.labels(&run.id, false),
        ledger.labels(&run.id, true),
        ledger.datasets(&run.id),
        ledger.spent_by_run(&run.id),
        ledger.spent_on(&run.id),
        async {
            let (_, n_metrics) = ledger.run_metrics(&run.id, "", 0, 1).await?;
            let (energy, _) = ledger
                .run_metrics(&run.id, "system/energy_kwh", 0, 1)
                .await?;
            Ok((energy, n_metrics))
        },
    )?;
    let mut account = Account::of(&run);
    account.fill_in(energy.first().map(|metric| metric.last.value));
    let labels = |labels: Vec<outlay_ledger::Label>| {
        let pairs = labels.into_iter().take(LABELS);
        pairs.map(|label| (label.key, label.value)).collect()
    };
    let money = |(currency, micro)| Money::new(currency, micro);
    Ok(RunDetailView {
        spent: spent.into_iter().map(money).collect(),
        spent_on: entries
            .into_iter()
            .map(|(kind, quality, currency, micro)| SpentOn {
                kind,
                quality,
                spent: Money::new(currency, micro),
            })
            .collect(),
        account,
        params: labels(params),
        tags: labels(tags),
        datasets: datasets
            .into_iter()
            .map(|dataset| DatasetView {
                name: dataset.name,
                digest: dataset.digest,
                context: dataset.context,
                source: dataset.source,
            })
            .collect(),
        n_metrics,
        id: run.id,
        name: run.name,
        project: run.project,
        team: run.team,
        who: run.who,
        host: run.host,
        command: run.command,
        status: run.status.name(),
        started_us: run.started_us,
        seen_us: run.seen_us,
        ended_us: run.ended_us,
        exit_code: run.exit_code,
        experiment_id: run.experiment_id.to_string(),
        is_deleted: run.deleted_us.is_some(),
    })
}

/// All that is known of a run but the history of its metrics
#[utoipa::path(get, path = "/api/v1/runs/{id}", tag = "runs",
    params(("id" = String, Path, description = "The run's id, or its first digits")),
    responses((status = 200, body = RunDetailView), (status = 400, body = Failure), (status = 404, body = Failure)))]
pub async fn get(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Json<RunDetailView>, ApiFault> {
    query.only(&[])?;
    Ok(Json(detail(&app, &id).await?))
}

/// A metric with its name.
#[derive(Serialize, ToSchema)]
pub struct NamedMetric {
    /// Its name.
    key: String,
    /// Its newest value and its range.
    #[serde(flatten)]
    metric: MetricView,
}

/// A page of a run's metrics.
#[derive(Serialize, ToSchema)]
pub struct Metrics {
    /// The metrics, by name.
    metrics: Vec<NamedMetric>,
    /// How many there are.
    n_all: i64,
}

/// A page of a run's metrics: newest value, least, greatest
#[utoipa::path(get, path = "/api/v1/runs/{id}/metrics", tag = "runs",
    params(
        ("id" = String, Path, description = "The run's id, or its first digits"),
        ("containing" = Option<String>, Query, description = "A part of the name, whatever its capitals"),
        ("offset" = Option<i64>, Query, minimum = 0, description = "Metrics to pass over"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 1000, description = "Most metrics of the page; 100 where nothing is said"),
    ),
    responses((status = 200, body = Metrics), (status = 400, body = Failure), (status = 404, body = Failure)))]
pub async fn metrics(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Json<Metrics>, ApiFault> {
    query.only(&["containing", "offset", "limit"])?;
    let run = run_of(&app, &id).await?;
    let (metrics, n_all) = app
        .ledger()
        .run_metrics(
            &run.id,
            &query.text("containing")?.unwrap_or_default(),
            query.integer("offset", 0, i64::MAX)?.unwrap_or(0),
            query.integer("limit", 1, 1000)?.unwrap_or(100),
        )
        .await?;
    let named = |metric: &outlay_ledger::Metric| NamedMetric {
        key: metric.key.clone(),
        metric: metric.into(),
    };
    Ok(Json(Metrics {
        metrics: metrics.iter().map(named).collect(),
        n_all,
    }))
}

/// A file or a folder of a run.
#[derive(Serialize, ToSchema)]
pub struct FileView {
    /// Its path within the run.
    path: String,
    /// Whether it is a folder.
    is_folder: bool,
    /// Its size.
    bytes: Option<i64>,
    /// Where this server hands it out; absent for folders and for files that it does not keep.
    link: Option<String>,
}

/// The files in a folder of a run.
#[derive(Serialize, ToSchema)]
pub struct Files {
    /// Files and folders, at most 2,000.
    files: Vec<FileView>,
    /// Where they lie.
    place: String,
    /// Why none can be listed, where they are kept elsewhere.
    note: Option<String>,
}

fn kept_file(run_id: &str, file: &Value) -> FileView {
    let path = file["path"].as_str().unwrap_or_default().to_owned();
    let is_folder = file["is_dir"].as_bool().unwrap_or_default();
    FileView {
        link: (!is_folder).then(|| {
            format!(
                "/get-artifact?run_id={}&path={}",
                escaped(run_id),
                escaped(&path)
            )
        }),
        bytes: file["file_size"].as_i64(),
        is_folder,
        path,
    }
}

/// Files that a run logged, in a folder of it
#[utoipa::path(get, path = "/api/v1/runs/{id}/files", tag = "runs",
    params(
        ("id" = String, Path, description = "The run's id, or its first digits"),
        ("path" = Option<String>, Query, description = "A folder; the run's own where nothing is said"),
    ),
    responses((status = 200, body = Files), (status = 400, body = Failure), (status = 404, body = Failure)))]
pub async fn files(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Json<Files>, ApiFault> {
    query.only(&["path"])?;
    let run = run_of(&app, &id).await?;
    let path = query.text("path")?;
    let mut all = Files {
        files: Vec::new(),
        place: run.artifact_uri.clone(),
        note: None,
    };
    if path.is_none() {
        for file in app.ledger().artifacts(&run.id).await? {
            all.files.push(FileView {
                path: file.path,
                is_folder: false,
                bytes: Some(file.bytes),
                link: None,
            });
        }
    }
    if !run.artifact_uri.is_empty() {
        match list_of(&app, &run.artifact_uri, path.as_deref()).await {
            Ok(Json(listed)) => {
                let files = listed["files"].as_array().into_iter().flatten();
                all.files.extend(files.map(|file| kept_file(&run.id, file)));
            }
            Err(error) => {
                let fault = ApiFault::from(error);
                match fault.kind {
                    // Kept elsewhere, or nothing there yet.
                    Kind::Conflict => all.note = Some(fault.message),
                    Kind::NotFound if path.is_none() => {}
                    _ => return Err(fault),
                }
            }
        }
    }
    all.files.truncate(FILES);
    Ok(Json(all))
}
