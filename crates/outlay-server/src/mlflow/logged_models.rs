//! Models that runs logged.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{MethodRouter, delete as delete_route, get as get_route, patch, post};
use outlay_ledger::{Condition, Fault, Field, MetricDataset, ModelPoint, Order};
use serde_json::{Value, json};

use super::ask::{self, Ask};
use super::error::{ApiError, Code};
use super::things::{LOGGED_MODEL, LoggedModel, Tags, all};
use super::{Reply, experiments, files, limits, names, nothing, search, wire};
use crate::App;

pub(super) fn paths() -> Vec<(&'static str, MethodRouter<App>)> {
    vec![
        ("logged-models", post(create)),
        ("logged-models/search", post(search_models)),
        (
            "logged-models/{id}",
            get_route(get).patch(finalize).delete(delete),
        ),
        ("logged-models/{id}/params", post(log_params)),
        ("logged-models/{id}/tags", patch(set_tags)),
        ("logged-models/{id}/tags/{key}", delete_route(delete_tag)),
        ("logged-models/{id}/artifacts/files", get_route(get_file)),
        (
            "logged-models/{id}/artifacts/directories",
            get_route(list_files),
        ),
    ]
}

fn no_model(id: &str) -> Fault {
    Fault::Missing(format!("Logged model with ID '{id}' not found."))
}

/// A model by its id, put away or not.
pub async fn one(app: &App, id: &str) -> Result<LoggedModel, ApiError> {
    let found: Vec<LoggedModel> = all(app.ledger(), LOGGED_MODEL, None, Some(id)).await?;
    found.into_iter().next().ok_or_else(|| no_model(id).into())
}

/// A model as it is answered.
async fn answer(app: &App, model: &LoggedModel) -> Reply {
    let points = app
        .ledger()
        .model_points(std::slice::from_ref(&model.id))
        .await?;
    Ok(Json(json!({"model": wire::logged_model(model, &points)})))
}

async fn create(State(app): State<App>, ask: Ask) -> Reply {
    let experiment = limits::experiment_id(&ask.required("experiment_id")?)?;
    let name = ask.text("name")?.filter(|name| !name.is_empty());
    if let Some(name) = &name {
        limits::logged_model_name(name)?;
    }
    let experiment = experiments::active(&app, experiment).await?;
    let id = format!("m-{}", app.fresh_id());
    let place = experiments::under(
        &experiment.artifact_location,
        &format!("models/{id}/artifacts"),
    );
    let model = LoggedModel {
        name: name.unwrap_or_else(|| names::name(app.random())),
        experiment_id: experiment.id,
        artifact_uri: place,
        created_ms: app.now_ms(),
        updated_ms: app.now_ms(),
        status: "LOGGED_MODEL_PENDING".to_owned(),
        status_message: None,
        model_type: ask.text("model_type")?.unwrap_or_default(),
        source_run_id: ask.text("source_run_id")?.unwrap_or_default(),
        deleted: false,
        tags: ask.pairs("tags")?.into_iter().collect(),
        params: ask.pairs("params")?.into_iter().collect(),
        id,
    };
    let made = model.clone();
    app.ledger()
        .edit(&[], move |drawer| {
            drawer.put(
                LOGGED_MODEL,
                &made.experiment_id.to_string(),
                &made.id,
                &made,
            )
        })
        .await?;
    answer(&app, &model).await
}

/// Changes a model.
async fn change(
    app: &App,
    id: &str,
    change: impl FnOnce(&mut LoggedModel) -> Result<(), Fault> + Send + 'static,
) -> Result<LoggedModel, ApiError> {
    let shelf = one(app, id).await?.experiment_id.to_string();
    let id = id.to_owned();
    let on = shelf.clone();
    let shelves = [(LOGGED_MODEL, on.as_str())];
    let changed = app.ledger().edit(&shelves, move |drawer| {
        let mut model: LoggedModel = drawer
            .get(LOGGED_MODEL, &shelf, &id)?
            .ok_or_else(|| no_model(&id))?;
        change(&mut model)?;
        drawer.put(LOGGED_MODEL, &shelf, &id, &model)?;
        Ok(model)
    });
    Ok(changed.await?)
}

async fn get(State(app): State<App>, Path(id): Path<String>, ask: Ask) -> Reply {
    let model = one(&app, &id).await?;
    if model.deleted && ask.flag("allow_deleted")? != Some(true) {
        return Err(no_model(&id).into());
    }
    answer(&app, &model).await
}

async fn finalize(State(app): State<App>, Path(id): Path<String>, ask: Ask) -> Reply {
    let value = ask.get("status").ok_or_else(|| ask::required("status"))?;
    let status = match (value.as_str(), ask::integer(value)) {
        (
            Some(
                name @ ("LOGGED_MODEL_STATUS_UNSPECIFIED"
                | "LOGGED_MODEL_PENDING"
                | "LOGGED_MODEL_READY"
                | "LOGGED_MODEL_UPLOAD_FAILED"),
            ),
            _,
        ) => name,
        (_, Some(0)) => "LOGGED_MODEL_STATUS_UNSPECIFIED",
        (_, Some(1)) => "LOGGED_MODEL_PENDING",
        (_, Some(2)) => "LOGGED_MODEL_READY",
        (_, Some(3)) => "LOGGED_MODEL_UPLOAD_FAILED",
        _ => return Err(ask.whole("status")),
    };
    let (status, now_ms) = (status.to_owned(), app.now_ms());
    let model = change(&app, &id, move |model| {
        model.status = status;
        model.updated_ms = now_ms;
        Ok(())
    })
    .await?;
    answer(&app, &model).await
}

async fn delete(State(app): State<App>, Path(id): Path<String>) -> Reply {
    let now_ms = app.now_ms();
    change(&app, &id, move |model| {
        model.deleted = true;
        model.updated_ms = now_ms;
        Ok(())
    })
    .await?;
    nothing()
}

async fn log_params(State(app): State<App>, Path(id): Path<String>, ask: Ask) -> Reply {
    let params: Tags = ask.pairs("params")?.into_iter().collect();
    change(&app, &id, move |model| {
        if let Some(key) = params.keys().find(|key| model.params.contains_key(*key)) {
            return Err(Fault::Input(format!(
                "Changing param values is not allowed. Param with key='{key}' was already logged for model '{}'.",
                model.id
            )));
        }
        model.params.extend(params);
        Ok(())
    })
    .await?;
    nothing()
}

async fn set_tags(State(app): State<App>, Path(id): Path<String>, ask: Ask) -> Reply {
    let tags = ask.pairs("tags")?;
    let model = change(&app, &id, move |model| {
        model.tags.extend(tags);
        Ok(())
    })
    .await?;
    answer(&app, &model).await
}

/// Says of a logged model that it is a version of a registered one.
pub async fn add_version(app: &App, id: &str, name: String, version: i64) -> Result<(), ApiError> {
    const VERSIONS: &str = "mlflow.modelVersions";
    change(app, id, move |model| {
        let mut versions: Vec<Value> = model
            .tags
            .get(VERSIONS)
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        versions.push(json!({"name": name, "version": version}));
        model
            .tags
            .insert(VERSIONS.to_owned(), wire::spaced(&Value::Array(versions)));
        Ok(())
    })
    .await
    .map(|_| ())
}

async fn delete_tag(State(app): State<App>, Path((id, key)): Path<(String, String)>) -> Reply {
    change(&app, &id, move |model| {
        let removed = model.tags.remove(&key);
        removed.map(|_| ()).ok_or_else(|| {
            Fault::Missing(format!(
                "No tag with key '{key}' found for model with ID '{}'.",
                model.id
            ))
        })
    })
    .await?;
    nothing()
}

async fn list_files(State(app): State<App>, Path(id): Path<String>, ask: Ask) -> Reply {
    let model = one(&app, &id).await?;
    if model.deleted {
        return Err(no_model(&id).into());
    }
    let path = ask.text("artifact_directory_path")?;
    files::list_of(&app, &model.artifact_uri, path.as_deref()).await
}

async fn get_file(
    State(app): State<App>,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, ApiError> {
    let path = ask
        .text("artifact_file_path")?
        .filter(|path| !path.is_empty())
        .ok_or_else(|| {
            let message = "Request must include the \"artifact_file_path\" query parameter.";
            ApiError::new(Code::BadRequest, message)
        })?;
    files::safe_path(&path)?;
    let model = one(&app, &id).await?;
    if model.deleted {
        return Err(no_model(&id).into());
    }
    files::send_below(&app, &model.artifact_uri, &path).await
}

/// A model with what was measured of it.
struct Measured {
    model: LoggedModel,
    points: Vec<ModelPoint>,
}

/// Whether a value was measured on such data.
fn is_on(point: &ModelPoint, dataset: &MetricDataset) -> bool {
    dataset
        .name
        .as_ref()
        .is_none_or(|name| *name == point.dataset_name)
        && dataset
            .digest
            .as_ref()
            .is_none_or(|digest| *digest == point.dataset_digest)
}

impl Measured {
    fn attribute(&self, name: &str) -> search::Found {
        let model = &self.model;
        match name {
            "name" => model.name.clone().into(),
            "model_id" => model.id.clone().into(),
            "model_type" => model.model_type.clone().into(),
            "status" => model
                .status
                .trim_start_matches("LOGGED_MODEL_")
                .to_owned()
                .into(),
            "source_run_id" => model.source_run_id.clone().into(),
            "experiment_id" => model.experiment_id.to_string().into(),
            "artifact_location" => model.artifact_uri.clone().into(),
            "lifecycle_stage" => wire::stage(model.deleted).to_owned().into(),
            "creation_timestamp" | "creation_time" | "creation_timestamp_ms" => {
                model.created_ms.into()
            }
            "last_updated_timestamp" | "last_updated_time" | "last_updated_timestamp_ms" => {
                model.updated_ms.into()
            }
            _ => search::Found::Nothing,
        }
    }

    fn holds(&self, condition: &Condition) -> bool {
        match &condition.field {
            Field::Attribute(name) => self.attribute(name).meets(condition),
            Field::Tag(key) => {
                search::Found::from(self.model.tags.get(key).cloned()).meets(condition)
            }
            Field::Parameter(key) => {
                search::Found::from(self.model.params.get(key).cloned()).meets(condition)
            }
            Field::Metric(key) => self.points.iter().any(|point| {
                point.key == *key
                    && Self::on_any(point, &condition.datasets)
                    && condition.holds_for_number(Some(point.point.value))
            }),
            // Anything at all was measured on that data.
            Field::AnyMetric => self
                .points
                .iter()
                .any(|point| Self::on_any(point, &condition.datasets)),
            Field::Dataset(_) | Field::Least(_) | Field::Greatest(_) => false,
        }
    }

    fn on_any(point: &ModelPoint, datasets: &[MetricDataset]) -> bool {
        datasets.is_empty() || datasets.iter().any(|dataset| is_on(point, dataset))
    }

    /// What it is sorted by: the newest value of a metric, on the data that was named.
    fn value(&self, order: &Order) -> search::Found {
        match &order.field {
            Field::Metric(key) => {
                let points = self.points.iter().filter(|point| {
                    point.key == *key
                        && order
                            .dataset
                            .as_ref()
                            .is_none_or(|dataset| is_on(point, dataset))
                });
                let newest = points.max_by_key(|point| (point.point.at_us, point.point.step));
                newest.map_or(search::Found::Nothing, |point| {
                    search::Found::Number(point.point.value)
                })
            }
            Field::Attribute(name) => self.attribute(name),
            _ => search::Found::Nothing,
        }
    }
}

async fn search_models(State(app): State<App>, ask: Ask) -> Reply {
    let ids = ask.texts("experiment_ids")?;
    if ids.is_empty() {
        return Err(ask::required("experiment_ids"));
    }
    let n_max = ask
        .integer("max_results")?
        .filter(|n_max| *n_max != 0)
        .unwrap_or(100);
    let offset = search::offset(ask.text("page_token")?.as_deref())?;
    let mut datasets = Vec::new();
    for dataset in ask.objects("datasets")? {
        let text =
            |name: &str| Ok::<_, ApiError>(dataset.text(name)?.filter(|text| !text.is_empty()));
        datasets.push(MetricDataset {
            name: text("dataset_name")?,
            digest: text("dataset_digest")?,
        });
    }
    let conditions =
        search::logged_models_filter(&ask.text("filter")?.unwrap_or_default(), &datasets)?;
    let order = search::logged_models_order(&ask.objects("order_by")?)?;
    let mut found = Vec::new();
    for id in ids {
        limits::experiment_id(&id)?;
        let models: Vec<LoggedModel> = all(app.ledger(), LOGGED_MODEL, Some(&id), None).await?;
        found.extend(models.into_iter().filter(|model| !model.deleted));
    }
    let model_ids: Vec<String> = found.iter().map(|model| model.id.clone()).collect();
    let mut points: BTreeMap<String, Vec<ModelPoint>> = BTreeMap::new();
    for point in app.ledger().model_points(&model_ids).await? {
        points
            .entry(point.model_id.clone())
            .or_default()
            .push(point);
    }
    let mut found: Vec<Measured> = found
        .into_iter()
        .map(|model| Measured {
            points: points.remove(&model.id).unwrap_or_default(),
            model,
        })
        .filter(|measured| conditions.iter().all(|condition| measured.holds(condition)))
        .collect();
    found.sort_by(|one, other| {
        let by_order = order.iter().fold(std::cmp::Ordering::Equal, |so_far, by| {
            so_far.then_with(|| one.value(by).compare_with(&other.value(by), by.ascending))
        });
        by_order
            .then(other.model.created_ms.cmp(&one.model.created_ms))
            .then(one.model.id.cmp(&other.model.id))
    });
    let (page, token) = search::page(found, offset, n_max);
    let models: Vec<Value> = page
        .iter()
        .map(|measured| wire::logged_model(&measured.model, &measured.points))
        .collect();
    Ok(Json(wire::without_empty(
        json!({"models": models, "next_page_token": token}),
    )))
}
