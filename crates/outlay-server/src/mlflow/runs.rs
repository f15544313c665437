//! Runs: what training scripts say of themselves.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use outlay_ledger::{
    Batch, Dataset, Label, ModelPoint, Point, Run, RunChange, RunDetail, RunModel, RunQuery,
    RunStatus, Series,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::ask::{self, Ask};
use super::error::ApiError;
use super::{Reply, experiments, limits, names, nothing, search, wire};
use crate::App;

/// The tag that carries a run's name.
const RUN_NAME: &str = "mlflow.runName";

/// The tag that carries the models that a run logged the old way.
const LOGGED_MODELS: &str = "mlflow.log-model.history";

/// The tags by which a run says under whose budgets it falls.
const PROJECT: &str = "outlay.project";
const TEAM: &str = "outlay.team";

/// An answer that is written at once, without a tree of values between.
fn written(body: &impl Serialize) -> Result<Response, ApiError> {
    let bytes = serde_json::to_vec(body)
        .map_err(|error| ApiError::new(super::error::Code::InternalError, error.to_string()))?;
    Ok((
        [(header::CONTENT_TYPE, "application/json")],
        Body::from(bytes),
    )
        .into_response())
}

fn microseconds(name: &str, ms: i64) -> Result<i64, ApiError> {
    ms.checked_mul(1000).ok_or_else(|| {
        ask::refused(
            name,
            &Value::from(ms),
            "allowed: milliseconds since 1970, up to 9223372036854775",
        )
    })
}

/// What a run is made from.
#[derive(Debug, Default)]
pub(super) struct NewRun {
    pub experiment_id: i64,
    pub user_id: String,
    pub start_ms: i64,
    pub run_name: String,
    pub tags: Vec<(String, String)>,
}

/// Makes a run.
pub(super) async fn make(app: &App, new: NewRun) -> Result<RunDetail, ApiError> {
    let experiment = experiments::active(app, new.experiment_id).await?;
    let started_us = microseconds("start_time", new.start_ms)?;
    let (given, mut tags) = (new.run_name, new.tags);
    let of_tag = tags
        .iter()
        .find(|(key, _)| key == RUN_NAME)
        .map(|(_, value)| value.clone());
    let name = match (&given, of_tag) {
        (given, Some(tag)) if !given.is_empty() && *given != tag => {
            return Err(ApiError::invalid(format!(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values \
                 (run_name='{given}', mlflow.runName='{tag}')."
            )));
        }
        (_, Some(tag)) if !tag.is_empty() => tag,
        (given, _) if !given.is_empty() => given.clone(),
        _ => names::name(app.random()),
    };
    if !tags
        .iter()
        .any(|(key, value)| key == RUN_NAME && !value.is_empty())
    {
        tags.retain(|(key, _)| key != RUN_NAME);
        tags.push((RUN_NAME.to_owned(), name.clone()));
    }
    let of = |name: &str| {
        let run = tags
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone());
        run.or_else(|| experiment.tags.get(name).cloned())
            .unwrap_or_default()
    };
    let (project, team) = (of(PROJECT), of(TEAM));
    app.admit(&project, &team).await?;
    let id = app.fresh_id();
    let truncate = app.settings().truncate_long_values;
    let mut labels = Vec::with_capacity(tags.len());
    for (at, (key, value)) in tags.into_iter().enumerate() {
        let value = limits::tag(&key, value, &format!("tags[{at}]"), truncate)?;
        labels.retain(|label: &Label| label.key != key);
        labels.push(Label {
            run_id: id.clone(),
            key,
            value,
        });
    }
    let run = Run {
        id: id.clone(),
        name,
        project,
        team,
        who: Some(new.user_id)
            .filter(|who| !who.is_empty())
            .unwrap_or_else(|| app.who()),
        host: String::new(),
        command: Vec::new(),
        status: RunStatus::Running,
        started_us,
        seen_us: app.now_us(),
        ended_us: None,
        exit_code: None,
        state: Value::Null,
        summary: None,
        experiment_id: experiment.id,
        artifact_uri: experiments::under(&experiment.artifact_location, &format!("{id}/artifacts")),
        deleted_us: None,
    };
    let tags = labels
        .iter()
        .map(|label| (label.key.clone(), label.value.clone()))
        .collect();
    app.ledger()
        .write(Batch {
            runs: vec![run.clone()],
            tags: labels,
            ..Batch::default()
        })
        .await?;
    app.tell(&id, "run");
    Ok(RunDetail {
        run,
        params: Vec::new(),
        tags,
        metrics: Vec::new(),
        datasets: Vec::new(),
        models: Vec::new(),
    })
}

pub async fn create(State(app): State<App>, ask: Ask) -> Reply {
    let new = NewRun {
        experiment_id: experiments::id_or_default(ask.text("experiment_id")?.as_deref())?,
        user_id: ask.text("user_id")?.unwrap_or_default(),
        start_ms: ask.integer("start_time")?.unwrap_or(0),
        run_name: ask.text("run_name")?.unwrap_or_default(),
        tags: ask.pairs("tags")?,
    };
    let detail = make(&app, new).await?;
    answer(json!({"run": wire::WireRun(&detail)}))
}

fn answer(value: Value) -> Reply {
    Ok(Json(value))
}

pub async fn update(State(app): State<App>, ask: Ask) -> Reply {
    let id = ask.run_id()?;
    let status = match ask.get("status") {
        None => None,
        Some(value) => Some(wire::read_status(value).ok_or_else(|| {
            ask::refused_see(&ask::invalid_value(
                "status",
                value,
                "allowed: RUNNING, SCHEDULED, FINISHED, FAILED, KILLED.",
            ))
        })?),
    };
    let ended_us = match ask.integer("end_time")? {
        Some(ms) => Some(microseconds("end_time", ms)?),
        None => None,
    };
    let name = ask.text("run_name")?.filter(|name| !name.is_empty());
    let tags = name.iter().map(|name| Label {
        run_id: id.clone(),
        key: RUN_NAME.to_owned(),
        value: name.clone(),
    });
    let change = RunChange {
        id: id.clone(),
        status,
        seen_us: Some(app.now_us()),
        ended_us,
        name: name.clone(),
        ..RunChange::default()
    };
    app.ledger()
        .write(Batch {
            active: vec![id.clone()],
            changes: vec![change],
            tags: tags.collect(),
            ..Batch::default()
        })
        .await?;
    app.tell(&id, "run");
    let detail = app.ledger().run_detail(&id).await?;
    answer(json!({"run_info": wire::Info(&detail.run)}))
}

async fn put_away(app: &App, id: String, deleted_us: Option<i64>) -> Reply {
    let change = RunChange {
        id: id.clone(),
        deleted_us: Some(deleted_us),
        ..RunChange::default()
    };
    app.ledger()
        .write(Batch {
            changes: vec![change],
            ..Batch::default()
        })
        .await?;
    app.tell(&id, "run");
    nothing()
}

pub async fn delete(State(app): State<App>, ask: Ask) -> Reply {
    let now_us = app.now_us();
    put_away(&app, ask.required("run_id")?, Some(now_us)).await
}

pub async fn restore(State(app): State<App>, ask: Ask) -> Reply {
    put_away(&app, ask.required("run_id")?, None).await
}

pub async fn get(State(app): State<App>, ask: Ask) -> Result<Response, ApiError> {
    let detail = app.ledger().run_detail(&ask.run_id()?).await?;
    written(&json!({"run": wire::WireRun(&detail)}))
}

/// A page of runs as it is answered.
#[derive(Serialize)]
struct Runs<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    runs: Vec<wire::WireRun<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

pub async fn search(State(app): State<App>, ask: Ask) -> Result<Response, ApiError> {
    let n_max = ask.integer("max_results")?.unwrap_or(1000);
    if n_max > 50_000 {
        return Err(ask.whole("max_results"));
    }
    if n_max < 1 {
        return Err(search::max_results(&ask, 1000, 50_000)
            .err()
            .unwrap_or_else(|| ask.whole("max_results")));
    }
    let experiment_ids: Vec<i64> = ask
        .texts("experiment_ids")?
        .iter()
        .map(|id| limits::experiment_id(id))
        .collect::<Result<_, _>>()?;
    let offset = search::offset(ask.text("page_token")?.as_deref())?;
    let query = RunQuery {
        experiment_ids: Some(experiment_ids),
        view: experiments::view(ask.get("run_view_type"))?,
        conditions: search::runs_filter(&ask.text("filter")?.unwrap_or_default())?,
        order: search::runs_order(&ask.texts("order_by")?)?,
        offset,
        limit: n_max + 1,
    };
    let mut found = app.ledger().search_runs(&query).await?;
    let has_more = found.len() as i64 > n_max;
    found.truncate(n_max as usize);
    let runs = Runs {
        runs: found.iter().map(wire::WireRun).collect(),
        next_page_token: has_more.then(|| search::token(offset + n_max)),
    };
    written(&runs)
}

/// A metric as a request gives it.
struct Given {
    key: String,
    point: Point,
    model_id: String,
    dataset_name: String,
    dataset_digest: String,
}

/// Reads a metric. `path` says which of a batch it is.
fn read_metric(ask: &Ask, path: &str) -> Result<Given, ApiError> {
    let missing = |name: &str| {
        if path.is_empty() {
            ask::required(name)
        } else {
            ask::refused_see(&format!(
                "Missing value for required parameter '{path}.{name}'."
            ))
        }
    };
    let key = ask
        .text("key")?
        .filter(|key| !key.is_empty())
        .ok_or_else(|| missing("key"))?;
    let value = ask.number("value")?.ok_or_else(|| missing("value"))?;
    let timestamp = ask
        .integer("timestamp")?
        .ok_or_else(|| missing("timestamp"))?;
    let step = ask.integer("step")?.unwrap_or(0);
    limits::metric(&key, value, timestamp, path)?;
    Ok(Given {
        key,
        point: Point {
            step,
            at_us: timestamp * 1000,
            value,
        },
        model_id: ask.text("model_id")?.unwrap_or_default(),
        dataset_name: ask.text("dataset_name")?.unwrap_or_default(),
        dataset_digest: ask.text("dataset_digest")?.unwrap_or_default(),
    })
}

/// Metrics as the ledger takes them.
fn add_metrics(batch: &mut Batch, run_id: &str, metrics: Vec<Given>) {
    for given in metrics {
        if !given.model_id.is_empty() {
            batch.model_points.push(ModelPoint {
                model_id: given.model_id,
                run_id: run_id.to_owned(),
                key: given.key.clone(),
                point: given.point,
                dataset_name: given.dataset_name,
                dataset_digest: given.dataset_digest,
            });
        }
        match batch
            .series
            .last_mut()
            .filter(|series| series.key == given.key)
        {
            Some(series) => series.points.push(given.point),
            None => batch.series.push(Series {
                run_id: run_id.to_owned(),
                key: given.key,
                points: vec![given.point],
            }),
        }
    }
}

/// Writes what a run says of itself.
async fn write(app: &App, run_id: String, mut batch: Batch, what: &'static str) -> Reply {
    batch.active.push(run_id.clone());
    app.ledger().write(batch).await?;
    app.tell(&run_id, what);
    nothing()
}

pub async fn log_metric(State(app): State<App>, ask: Ask) -> Reply {
    let run_id = ask.run_id()?;
    let given = read_metric(&ask, "")?;
    let mut batch = Batch::default();
    add_metrics(&mut batch, &run_id, vec![given]);
    write(&app, run_id, batch, "metric").await
}

pub async fn log_param(State(app): State<App>, ask: Ask) -> Reply {
    let run_id = ask.run_id()?;
    let key = ask.required("key")?;
    let value = ask.text("value")?.unwrap_or_default();
    let value = limits::param(&key, value, "", app.settings().truncate_long_values)?;
    let batch = Batch {
        params: vec![Label {
            run_id: run_id.clone(),
            key,
            value,
        }],
        ..Batch::default()
    };
    write(&app, run_id, batch, "param").await
}

/// A tag; the one that carries the run's name renames it.
fn add_tag(batch: &mut Batch, run_id: &str, key: String, value: String) {
    if key == RUN_NAME && !value.is_empty() {
        batch.changes.push(RunChange {
            id: run_id.to_owned(),
            name: Some(value.clone()),
            ..RunChange::default()
        });
    }
    batch.tags.push(Label {
        run_id: run_id.to_owned(),
        key,
        value,
    });
}

pub async fn set_tag(State(app): State<App>, ask: Ask) -> Reply {
    let run_id = ask.run_id()?;
    let key = ask.required("key")?;
    let value = ask.text("value")?.unwrap_or_default();
    let value = limits::tag(&key, value, "", app.settings().truncate_long_values)?;
    let mut batch = Batch::default();
    add_tag(&mut batch, &run_id, key, value);
    write(&app, run_id, batch, "tag").await
}

pub async fn delete_tag(State(app): State<App>, ask: Ask) -> Reply {
    let run_id = ask.required("run_id")?;
    let batch = Batch {
        removed_tags: vec![(run_id.clone(), ask.required("key")?)],
        ..Batch::default()
    };
    write(&app, run_id, batch, "tag").await
}

pub async fn log_batch(State(app): State<App>, ask: Ask) -> Reply {
    if ask.n_bytes > ask::BATCH_BYTES {
        return Err(ApiError::invalid(format!(
            "Batched logging API requests must be at most {} bytes, got a request of size {}.",
            ask::BATCH_BYTES,
            ask.n_bytes
        )));
    }
    let run_id = ask.required("run_id")?;
    let truncate = app.settings().truncate_long_values;
    let asked = (
        ask.objects("metrics")?,
        ask.objects("params")?,
        ask.objects("tags")?,
    );
    let mut metrics = Vec::with_capacity(asked.0.len());
    for (at, one) in asked.0.iter().enumerate() {
        metrics.push(
            read_metric(one, &format!("metrics[{at}]"))
                .map_err(|error| whole(error, &ask, "metrics"))?,
        );
    }
    let mut labels = [Vec::new(), Vec::new()];
    for (of, (name, asked)) in [("params", &asked.1), ("tags", &asked.2)]
        .into_iter()
        .enumerate()
    {
        for (at, one) in asked.iter().enumerate() {
            let path = format!("{name}[{at}]");
            let text = |field| one.text(field).map_err(|_| ask.whole(name));
            let key = text("key")?.filter(|key| !key.is_empty()).ok_or_else(|| {
                ask::refused_see(&format!(
                    "Missing value for required parameter '{path}.key'."
                ))
            })?;
            let value = text("value")?.unwrap_or_default();
            let value = if of == 0 {
                limits::param(&key, value, &path, truncate)?
            } else {
                limits::tag(&key, value, &path, truncate)?
            };
            labels[of].push((key, value));
        }
    }
    let [params, tags] = labels;
    limits::batch(metrics.len(), params.len(), tags.len())?;
    let mut keys: Vec<&String> = params.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    let twice: Vec<&&String> = keys
        .windows(2)
        .filter(|two| two[0] == two[1])
        .map(|two| &two[0])
        .collect();
    if !twice.is_empty() {
        let twice: Vec<String> = twice.iter().map(|key| format!("'{key}'")).collect();
        return Err(ApiError::invalid(format!(
            "Duplicate parameter keys have been submitted: [{}]. Please ensure the request contains only one param \
             value per param key.",
            twice.join(", ")
        )));
    }
    let mut batch = Batch::default();
    add_metrics(&mut batch, &run_id, metrics);
    for (key, value) in params {
        batch.params.push(Label {
            run_id: run_id.clone(),
            key,
            value,
        });
    }
    for (key, value) in tags {
        add_tag(&mut batch, &run_id, key, value);
    }
    write(&app, run_id, batch, "metric").await
}

/// A field of the wrong type within a batch is said of the batch's list as a whole.
fn whole(error: ApiError, ask: &Ask, name: &str) -> ApiError {
    if error.message.contains("Hint: Value was of type") {
        ask.whole(name)
    } else {
        error
    }
}

pub async fn log_model(State(app): State<App>, ask: Ask) -> Reply {
    let run_id = ask.required("run_id")?;
    let text = ask.required("model_json")?;
    let model: Value = serde_json::from_str(&text).map_err(|_| {
        ApiError::invalid(format!(
            "Malformed model info. \n {text} \n is not a valid JSON."
        ))
    })?;
    let missing: Vec<String> = ["artifact_path", "flavors", "utc_time_created", "run_id"]
        .iter()
        .filter(|name| model.get(**name).is_none())
        .map(|name| format!("'{name}'"))
        .collect();
    if !missing.is_empty() {
        return Err(ApiError::invalid(format!(
            "Model json is missing mandatory fields: {{{}}}",
            missing.join(", ")
        )));
    }
    let mut kept = serde_json::Map::new();
    for name in [
        "artifact_path",
        "flavors",
        "utc_time_created",
        "run_id",
        "model_uuid",
    ] {
        if let Some(value) = model.get(name) {
            let mut value = value.clone();
            // What is too long for a tag, and is in the model's own file.
            if let Some(flavors) = value.as_object_mut().filter(|_| name == "flavors") {
                for flavor in flavors.values_mut().filter_map(Value::as_object_mut) {
                    flavor.remove("config");
                }
            }
            kept.insert(name.to_owned(), value);
        }
    }
    let detail = app.ledger().run_detail(&run_id).await?;
    let before = detail.tags.iter().find(|(key, _)| key == LOGGED_MODELS);
    let mut models: Vec<Value> = before
        .and_then(|(_, value)| serde_json::from_str(value).ok())
        .unwrap_or_default();
    models.push(Value::Object(kept));
    let value = wire::spaced(&Value::Array(models));
    let value = limits::tag(
        LOGGED_MODELS,
        value,
        "",
        app.settings().truncate_long_values,
    )?;
    let mut batch = Batch::default();
    add_tag(&mut batch, &run_id, LOGGED_MODELS.to_owned(), value);
    write(&app, run_id, batch, "tag").await
}

/// Reads the data that a run says that it used.
fn read_dataset(input: &Ask, run_id: &str) -> Result<Dataset, ApiError> {
    let body = input
        .object("dataset")?
        .ok_or_else(|| ApiError::invalid("Dataset cannot be None"))?;
    let text = |name: &str| Ok::<_, ApiError>(body.text(name)?.unwrap_or_default());
    let (name, digest) = (text("name")?, text("digest")?);
    let (source, source_type) = (text("source")?, text("source_type")?);
    let (schema, profile) = (body.text("schema")?, body.text("profile")?);
    limits::dataset(
        &name,
        &digest,
        &source,
        schema.as_deref(),
        profile.as_deref(),
    )?;
    let tags = input.pairs("tags")?;
    for (key, value) in &tags {
        limits::input_tag(key, value)?;
    }
    let context = tags.iter().find(|(key, _)| key == "mlflow.data.context");
    Ok(Dataset {
        run_id: run_id.to_owned(),
        context: context.map(|(_, value)| value.clone()).unwrap_or_default(),
        name,
        digest,
        source,
        source_type,
        schema,
        profile,
        tags,
        added_us: 0,
    })
}

pub async fn log_inputs(State(app): State<App>, ask: Ask) -> Reply {
    let run_id = ask.required("run_id")?;
    limits::run_id(&run_id)?;
    let mut batch = Batch::default();
    let now_us = app.now_us();
    for (added_us, input) in (now_us..).zip(ask.objects("datasets")?) {
        let mut dataset = read_dataset(&input, &run_id)?;
        dataset.added_us = added_us;
        batch.datasets.push(dataset);
    }
    for model in ask.objects("models")? {
        batch.run_models.push(RunModel {
            run_id: run_id.clone(),
            model_id: model.required("model_id")?,
            is_output: false,
            step: 0,
        });
    }
    // The first use of a piece of data by a run is the one that counts.
    let there = app.ledger().datasets(&run_id).await?;
    let mut seen: Vec<(String, String)> = there
        .into_iter()
        .map(|dataset| (dataset.name, dataset.digest))
        .collect();
    batch.datasets.retain(|dataset| {
        let key = (dataset.name.clone(), dataset.digest.clone());
        let is_new = !seen.contains(&key);
        if is_new {
            seen.push(key);
        }
        is_new
    });
    write(&app, run_id, batch, "inputs").await
}

pub async fn log_outputs(State(app): State<App>, ask: Ask) -> Reply {
    let run_id = ask.required("run_id")?;
    let mut batch = Batch::default();
    for model in ask.objects("models")? {
        batch.run_models.push(RunModel {
            run_id: run_id.clone(),
            model_id: model.required("model_id")?,
            is_output: true,
            step: model.integer("step")?.unwrap_or(0),
        });
    }
    if batch.run_models.is_empty() {
        return Err(ask::required("models"));
    }
    write(&app, run_id, batch, "outputs").await
}
