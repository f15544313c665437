//! Runs: what training scripts say of themselves.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use outlay_ledger::{Batch, Label, Run, RunChange, RunDetail, RunQuery, RunStatus};
use serde::Serialize;
use serde_json::{Value, json};

use super::ask::{self, Ask};
use super::error::ApiError;
use super::{Reply, experiments, limits, names, nothing, search, wire};
use crate::App;

/// The tag that carries a run's name.
pub(super) const RUN_NAME: &str = "mlflow.runName";

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
