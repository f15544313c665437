//! Reading the tables of MLflow's database.

mod models;

use std::collections::HashMap;

use outlay_ledger::{Cell, Dataset, MlflowFile, Run, RunModel, RunStatus};
use serde_json::Value;

use super::super::things::Experiment;
use super::{Found, FoundRun, ImportError};

pub(super) use models::{left_out, model_status, models, registered};

/// Tables that are read, and tables whose content follows from others.
const KNOWN: [&str; 20] = [
    "alembic_version",
    "datasets",
    "experiment_tags",
    "experiments",
    "input_tags",
    "inputs",
    "latest_metrics",
    "logged_model_metrics",
    "logged_model_params",
    "logged_model_tags",
    "logged_models",
    "metrics",
    "model_version_tags",
    "model_versions",
    "params",
    "registered_model_aliases",
    "registered_model_tags",
    "registered_models",
    "runs",
    "tags",
];

/// Ids within one statement.
const IDS: usize = 500;

fn values<'a>(ids: impl IntoIterator<Item = &'a String>) -> Vec<Value> {
    ids.into_iter().map(|id| Value::from(id.as_str())).collect()
}

fn text(cell: &Cell) -> String {
    cell.text().unwrap_or_default()
}

fn integer(cell: &Cell) -> i64 {
    cell.integer().unwrap_or(0)
}

/// Names and values of rows, by what they belong to.
fn by_owner(rows: Vec<Vec<Cell>>) -> HashMap<String, Vec<(String, String)>> {
    let mut all: HashMap<String, Vec<(String, String)>> = HashMap::new();
    for row in rows {
        let pair = (text(&row[1]), text(&row[2]));
        all.entry(text(&row[0])).or_default().push(pair);
    }
    all
}

pub(super) async fn experiments(file: &MlflowFile) -> Result<Vec<Found>, ImportError> {
    let columns = [
        "experiment_id",
        "name",
        "artifact_location",
        "lifecycle_stage",
        "creation_time",
        "last_update_time",
    ];
    let tags = file
        .rows("experiment_tags", &["experiment_id", "key", "value"], &[])
        .await?;
    let mut tags = by_owner(tags);
    let mut run_ids: HashMap<i64, Vec<String>> = HashMap::new();
    for row in file
        .rows("runs", &["run_uuid", "experiment_id"], &[])
        .await?
    {
        run_ids
            .entry(integer(&row[1]))
            .or_default()
            .push(text(&row[0]));
    }
    let mut all = Vec::new();
    for row in file.rows("experiments", &columns, &[]).await? {
        let id = integer(&row[0]);
        let created_ms = integer(&row[4]);
        let experiment = Experiment {
            id,
            name: text(&row[1]),
            artifact_location: text(&row[2]),
            deleted: text(&row[3]) == "deleted",
            created_ms,
            updated_ms: row[5].integer().unwrap_or(created_ms),
            tags: tags
                .remove(&id.to_string())
                .unwrap_or_default()
                .into_iter()
                .collect(),
        };
        all.push(Found {
            experiment,
            folder: std::path::PathBuf::new(),
            run_ids: run_ids.remove(&id).unwrap_or_default(),
        });
    }
    Ok(all)
}

/// How a run stands, from MLflow's word.
pub(super) fn status(name: &str) -> RunStatus {
    match name {
        "SCHEDULED" => RunStatus::Scheduled,
        "FINISHED" => RunStatus::Finished,
        "FAILED" => RunStatus::Failed,
        "KILLED" => RunStatus::Stopped,
        _ => RunStatus::Running,
    }
}

pub(super) async fn runs(
    file: &MlflowFile,
    found: &Found,
    ids: &[String],
) -> Result<Vec<FoundRun>, ImportError> {
    let columns = [
        "run_uuid",
        "name",
        "user_id",
        "status",
        "start_time",
        "end_time",
        "lifecycle_stage",
        "artifact_uri",
        "deleted_time",
        "source_type",
        "source_name",
        "source_version",
        "entry_point_name",
    ];
    let mut all = Vec::new();
    for ids in ids.chunks(IDS) {
        let of = [("run_uuid", values(ids))];
        let mut params = by_owner(
            file.rows("params", &["run_uuid", "key", "value"], &of)
                .await?,
        );
        let mut tags = by_owner(
            file.rows("tags", &["run_uuid", "key", "value"], &of)
                .await?,
        );
        let (mut datasets, mut models) = inputs(file, ids).await?;
        for row in file.rows("runs", &columns, &of).await? {
            let id = text(&row[0]);
            let mut tags = tags.remove(&id).unwrap_or_default();
            // Before tags took their place, MLflow kept these in columns of their own.
            let said = |at: usize| Some(text(&row[at])).filter(|text| !text.is_empty());
            let source = said(10);
            let kind = said(9).filter(|_| source.is_some());
            for (name, value) in [
                ("mlflow.source.name", source),
                ("mlflow.source.type", kind),
                ("mlflow.source.git.commit", said(11)),
                ("mlflow.project.entryPoint", said(12)),
            ] {
                if let Some(value) = value
                    && !tags.iter().any(|(key, _)| key == name)
                {
                    tags.push((name.to_owned(), value));
                }
            }
            let (started, ended) = (integer(&row[4]), row[5].integer());
            let deleted = text(&row[6]) == "deleted";
            all.push(FoundRun {
                run: run(RunParts {
                    id: id.clone(),
                    name: text(&row[1]),
                    who: text(&row[2]),
                    status: status(&text(&row[3])),
                    started_ms: started,
                    ended_ms: ended,
                    deleted_ms: deleted.then(|| row[8].integer().or(ended).unwrap_or(started)),
                    artifact_uri: text(&row[7]),
                    tags: &tags,
                    of: found,
                }),
                params: params.remove(&id).unwrap_or_default(),
                tags,
                datasets: datasets.remove(&id).unwrap_or_default(),
                models: models.remove(&id).unwrap_or_default(),
            });
        }
    }
    Ok(all)
}

/// What a source says of a run.
pub(super) struct RunParts<'a> {
    pub id: String,
    pub name: String,
    pub who: String,
    pub status: RunStatus,
    pub started_ms: i64,
    pub ended_ms: Option<i64>,
    pub deleted_ms: Option<i64>,
    pub artifact_uri: String,
    pub tags: &'a [(String, String)],
    pub of: &'a Found,
}

/// A run as the ledger keeps it.
pub(super) fn run(parts: RunParts<'_>) -> Run {
    let tag = |name: &str| {
        let found = parts.tags.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone())
    };
    let budget = |name: &str| {
        tag(name)
            .or_else(|| parts.of.experiment.tags.get(name).cloned())
            .unwrap_or_default()
    };
    let name = Some(parts.name).filter(|name| !name.is_empty());
    let us = |ms: i64| ms.saturating_mul(1000);
    Run {
        id: parts.id,
        name: name.or_else(|| tag("mlflow.runName")).unwrap_or_default(),
        project: budget("outlay.project"),
        team: budget("outlay.team"),
        who: parts.who,
        host: String::new(),
        command: Vec::new(),
        status: parts.status,
        started_us: us(parts.started_ms),
        seen_us: us(parts.ended_ms.unwrap_or(parts.started_ms)),
        ended_us: parts.ended_ms.map(us),
        exit_code: None,
        state: Value::Null,
        summary: None,
        experiment_id: parts.of.experiment.id,
        artifact_uri: parts.artifact_uri,
        deleted_us: parts.deleted_ms.map(us),
    }
}

type Inputs = (
    HashMap<String, Vec<Dataset>>,
    HashMap<String, Vec<RunModel>>,
);

/// The data that runs used, and the models that they read or made.
async fn inputs(file: &MlflowFile, ids: &[String]) -> Result<Inputs, ImportError> {
    let columns = [
        "input_uuid",
        "source_id",
        "destination_id",
        "source_type",
        "step",
    ];
    let is = |name: &'static str, value: &str| (name, vec![Value::from(value)]);
    let used = [
        is("source_type", "DATASET"),
        is("destination_type", "RUN"),
        ("destination_id", values(ids)),
    ];
    let used = file.rows("inputs", &columns, &used).await?;
    let (mut input_ids, mut dataset_ids): (Vec<String>, Vec<String>) = used
        .iter()
        .map(|row| (text(&row[0]), text(&row[1])))
        .unzip();
    input_ids.dedup();
    dataset_ids.sort_unstable();
    dataset_ids.dedup();
    let mut tags = HashMap::new();
    for ids in input_ids.chunks(IDS) {
        let of = [("input_uuid", values(ids))];
        let columns = ["input_uuid", "name", "value"];
        tags.extend(by_owner(file.rows("input_tags", &columns, &of).await?));
    }
    let mut known: HashMap<String, Vec<Cell>> = HashMap::new();
    let of_dataset = [
        "dataset_uuid",
        "name",
        "digest",
        "dataset_source_type",
        "dataset_source",
        "dataset_schema",
        "dataset_profile",
    ];
    for ids in dataset_ids.chunks(IDS) {
        let rows = file
            .rows("datasets", &of_dataset, &[("dataset_uuid", values(ids))])
            .await?;
        known.extend(rows.into_iter().map(|row| (text(&row[0]), row)));
    }
    let mut datasets: HashMap<String, Vec<Dataset>> = HashMap::new();
    for row in used {
        let Some(dataset) = known.get(&text(&row[1])) else {
            continue;
        };
        let run_id = text(&row[2]);
        let tags = tags.remove(&text(&row[0])).unwrap_or_default();
        let context = tags.iter().find(|(key, _)| key == "mlflow.data.context");
        datasets.entry(run_id.clone()).or_default().push(Dataset {
            run_id,
            name: text(&dataset[1]),
            digest: text(&dataset[2]),
            context: context.map(|(_, value)| value.clone()).unwrap_or_default(),
            source: text(&dataset[4]),
            source_type: text(&dataset[3]),
            schema: dataset[5].text(),
            profile: dataset[6].text(),
            tags,
            // The tables keep no order.
            added_us: 0,
        });
    }
    let of_models = [
        (
            "source_type",
            vec![Value::from("RUN_INPUT"), Value::from("RUN_OUTPUT")],
        ),
        ("source_id", values(ids)),
    ];
    let mut models: HashMap<String, Vec<RunModel>> = HashMap::new();
    for row in file.rows("inputs", &columns, &of_models).await? {
        let run_id = text(&row[1]);
        models.entry(run_id.clone()).or_default().push(RunModel {
            run_id,
            model_id: text(&row[2]),
            is_output: text(&row[3]) == "RUN_OUTPUT",
            step: integer(&row[4]),
        });
    }
    Ok((datasets, models))
}
