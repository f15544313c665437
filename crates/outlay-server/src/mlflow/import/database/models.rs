//! Models and their versions, and what is left out.

use std::collections::BTreeMap;

use outlay_ledger::{Cell, MlflowFile, ModelPoint, Point, unbounded};
use serde_json::Value;

use super::super::super::things::{LoggedModel, ModelVersion, RegisteredModel, Tags};
use super::super::{Found, ImportError};
use super::{KNOWN, by_owner, integer, text};

pub(in super::super) async fn models(
    file: &MlflowFile,
    found: &Found,
) -> Result<(Vec<LoggedModel>, Vec<ModelPoint>), ImportError> {
    let of = [("experiment_id", vec![Value::from(found.experiment.id)])];
    let columns = [
        "model_id",
        "name",
        "artifact_location",
        "creation_timestamp_ms",
        "last_updated_timestamp_ms",
        "status",
        "lifecycle_stage",
        "model_type",
        "source_run_id",
        "status_message",
    ];
    let params = ["model_id", "param_key", "param_value"];
    let tags = ["model_id", "tag_key", "tag_value"];
    let mut params = by_owner(file.rows("logged_model_params", &params, &of).await?);
    let mut tags = by_owner(file.rows("logged_model_tags", &tags, &of).await?);
    let mut models = Vec::new();
    for row in file.rows("logged_models", &columns, &of).await? {
        let id = text(&row[0]);
        models.push(LoggedModel {
            experiment_id: found.experiment.id,
            name: text(&row[1]),
            artifact_uri: text(&row[2]),
            created_ms: integer(&row[3]),
            updated_ms: integer(&row[4]),
            status: model_status(integer(&row[5])).to_owned(),
            status_message: row[9].text(),
            model_type: text(&row[7]),
            source_run_id: text(&row[8]),
            deleted: text(&row[6]) == "deleted",
            tags: tags.remove(&id).unwrap_or_default().into_iter().collect(),
            params: params.remove(&id).unwrap_or_default().into_iter().collect(),
            id,
        });
    }
    let columns = [
        "model_id",
        "metric_name",
        "metric_timestamp_ms",
        "metric_step",
        "metric_value",
        "run_id",
        "dataset_name",
        "dataset_digest",
    ];
    let rows = file.rows("logged_model_metrics", &columns, &of).await?;
    let point = |row: Vec<Cell>| ModelPoint {
        model_id: text(&row[0]),
        run_id: text(&row[5]),
        key: text(&row[1]),
        point: Point {
            step: integer(&row[3]),
            at_us: integer(&row[2]).saturating_mul(1000),
            value: row[4].number().map_or(f64::NAN, unbounded),
        },
        dataset_name: text(&row[6]),
        dataset_digest: text(&row[7]),
    };
    Ok((models, rows.into_iter().map(point).collect()))
}

/// How a logged model stands, from MLflow's number.
pub(in super::super) fn model_status(number: i64) -> &'static str {
    match number {
        1 => "LOGGED_MODEL_PENDING",
        2 => "LOGGED_MODEL_READY",
        3 => "LOGGED_MODEL_UPLOAD_FAILED",
        _ => "LOGGED_MODEL_STATUS_UNSPECIFIED",
    }
}

pub(in super::super) async fn registered(
    file: &MlflowFile,
) -> Result<Vec<(RegisteredModel, Vec<ModelVersion>)>, ImportError> {
    // The same name may be there once in each workspace.
    let owner = |row: &[Cell]| (text(&row[0]), text(&row[1]));
    let mut tags: BTreeMap<(String, String), Tags> = BTreeMap::new();
    for row in file
        .rows(
            "registered_model_tags",
            &["workspace", "name", "key", "value"],
            &[],
        )
        .await?
    {
        tags.entry(owner(&row))
            .or_default()
            .insert(text(&row[2]), text(&row[3]));
    }
    let mut aliases: BTreeMap<(String, String), BTreeMap<String, i64>> = BTreeMap::new();
    for row in file
        .rows(
            "registered_model_aliases",
            &["workspace", "name", "alias", "version"],
            &[],
        )
        .await?
    {
        aliases
            .entry(owner(&row))
            .or_default()
            .insert(text(&row[2]), integer(&row[3]));
    }
    let mut version_tags: BTreeMap<((String, String), i64), Tags> = BTreeMap::new();
    let columns = ["workspace", "name", "version", "key", "value"];
    for row in file.rows("model_version_tags", &columns, &[]).await? {
        let of = (owner(&row), integer(&row[2]));
        version_tags
            .entry(of)
            .or_default()
            .insert(text(&row[3]), text(&row[4]));
    }
    let columns = [
        "workspace",
        "name",
        "version",
        "creation_time",
        "last_updated_time",
        "description",
        "user_id",
        "current_stage",
        "source",
        "run_id",
        "status",
        "status_message",
        "run_link",
        "storage_location",
    ];
    let mut versions: BTreeMap<(String, String), Vec<ModelVersion>> = BTreeMap::new();
    let mut last: BTreeMap<(String, String), i64> = BTreeMap::new();
    for row in file.rows("model_versions", &columns, &[]).await? {
        let (of, number) = (owner(&row), integer(&row[2]));
        let highest = last.entry(of.clone()).or_default();
        *highest = number.max(*highest);
        // MLflow marks a version that was deleted so, and shows it no more.
        if text(&row[7]) == "Deleted_Internal" {
            continue;
        }
        let tags = version_tags
            .remove(&(of.clone(), number))
            .unwrap_or_default();
        let source = text(&row[8]);
        versions.entry(of).or_default().push(ModelVersion {
            name: text(&row[1]),
            version: number,
            created_ms: integer(&row[3]),
            updated_ms: integer(&row[4]),
            description: row[5].text(),
            user_id: row[6].text(),
            stage: row[7].text().unwrap_or_else(|| "None".to_owned()),
            storage_location: row[13].text().unwrap_or_else(|| source.clone()),
            source,
            run_id: text(&row[9]),
            run_link: text(&row[12]),
            // Its tables have no place for it.
            model_id: String::new(),
            status: row[10].text().unwrap_or_else(|| "READY".to_owned()),
            status_message: row[11].text(),
            tags,
        });
    }
    let columns = [
        "workspace",
        "name",
        "creation_time",
        "last_updated_time",
        "description",
    ];
    let mut all = Vec::new();
    for row in file.rows("registered_models", &columns, &[]).await? {
        let of = owner(&row);
        let versions = versions.remove(&of).unwrap_or_default();
        all.push((
            RegisteredModel {
                name: of.1.clone(),
                created_ms: integer(&row[2]),
                updated_ms: integer(&row[3]),
                description: row[4].text(),
                tags: tags.remove(&of).unwrap_or_default(),
                aliases: aliases.remove(&of).unwrap_or_default(),
                last_version: last.remove(&of).unwrap_or(0),
            },
            versions,
        ));
    }
    Ok(all)
}

/// Every table that is not read, as far as it holds anything.
pub(in super::super) async fn left_out(
    file: &MlflowFile,
) -> Result<BTreeMap<String, u64>, ImportError> {
    let mut all = BTreeMap::new();
    for table in file.tables() {
        if KNOWN.contains(&table) {
            continue;
        }
        let mut n_rows = file.n_rows(table).await?;
        if table == "workspaces" {
            // The one that is always there says nothing.
            let default = [("name", vec![Value::from("default")])];
            n_rows -= file.rows(table, &["name"], &default).await?.len() as u64;
        }
        if n_rows > 0 {
            all.insert(table.replace('_', " "), n_rows);
        }
    }
    Ok(all)
}
