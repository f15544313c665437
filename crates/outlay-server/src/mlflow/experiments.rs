//! Experiments.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use outlay_ledger::{Batch, Condition, Drawer, Fault, Field, Ledger, RunQuery, View};
use serde_json::{Value, json};

use super::ask::Ask;
use super::error::ApiError;
use super::things::{EXPERIMENT, Experiment, Tags, all};
use super::{Reply, limits, nothing, search, wire};
use crate::App;

/// The number of the experiment that is always there.
const DEFAULT: i64 = 0;

/// The experiment that is always there, as it is until someone changes it.
fn default_experiment(app: &App) -> Experiment {
    Experiment {
        id: DEFAULT,
        name: "Default".to_owned(),
        artifact_location: under(&app.settings().artifact_root, &DEFAULT.to_string()),
        deleted: false,
        created_ms: 0,
        updated_ms: 0,
        tags: Tags::new(),
    }
}

/// A path under the path of a place.
pub fn under(place: &str, path: &str) -> String {
    // What follows a `?` is not of the path.
    let (place, query) = match place.split_once('?') {
        Some((place, query)) => (place, format!("?{query}")),
        None => (place, String::new()),
    };
    if place.ends_with(':') {
        format!("{place}/{path}{query}")
    } else {
        format!("{}/{path}{query}", place.trim_end_matches('/'))
    }
}

/// A place as everyone understands it: a path that is relative is below the server's own folder.
fn absolute(app: &App, location: String) -> String {
    let has_scheme = location.split_once(':').is_some_and(|(scheme, _)| {
        scheme.len() > 1
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    });
    if has_scheme || location.starts_with('/') {
        return location;
    }
    app.settings().folder.join(location).display().to_string()
}

/// The error that there is no such experiment.
fn no_experiment(id: i64) -> Fault {
    Fault::Missing(format!("No Experiment with id={id} exists"))
}

/// Every experiment, the one that is always there included.
pub async fn every(app: &App) -> Result<Vec<Experiment>, ApiError> {
    let mut experiments: Vec<Experiment> = all(app.ledger(), EXPERIMENT, Some(""), None).await?;
    if !experiments
        .iter()
        .any(|experiment| experiment.id == DEFAULT)
    {
        experiments.push(default_experiment(app));
    }
    Ok(experiments)
}

/// An experiment by its number.
pub async fn one(app: &App, id: i64) -> Result<Experiment, ApiError> {
    let found: Vec<Experiment> =
        all(app.ledger(), EXPERIMENT, Some(""), Some(&id.to_string())).await?;
    match found.into_iter().next() {
        Some(experiment) => Ok(experiment),
        None if id == DEFAULT => Ok(default_experiment(app)),
        None => Err(no_experiment(id).into()),
    }
}

/// An experiment to which something is added: it must not be put away.
pub async fn active(app: &App, id: i64) -> Result<Experiment, ApiError> {
    let experiment = one(app, id).await?;
    must_be_active(&experiment)?;
    Ok(experiment)
}

fn must_be_active(experiment: &Experiment) -> Result<(), Fault> {
    if experiment.deleted {
        return Err(Fault::Input(format!(
            "The experiment {} must be in the 'active' state. Current state is deleted.",
            experiment.id
        )));
    }
    Ok(())
}

/// The number of an experiment in a request; without one, the experiment that is always there.
pub fn id_or_default(text: Option<&str>) -> Result<i64, ApiError> {
    match text {
        Some(text) if !text.is_empty() => limits::experiment_id(text),
        _ => Ok(DEFAULT),
    }
}

pub async fn create(State(app): State<App>, ask: Ask) -> Reply {
    let name = ask.required("name")?;
    limits::experiment_name(&name)?;
    let location = ask
        .text("artifact_location")?
        .filter(|text| !text.is_empty());
    let location = location.map(|location| absolute(&app, location));
    if let Some(location) = &location {
        limits::artifact_location(location)?;
    }
    let tags = ask.pairs("tags")?;
    for (key, value) in &tags {
        limits::experiment_tag(key, value)?;
    }
    let tags: Tags = tags.into_iter().collect();
    let (now_ms, default) = (app.now_ms(), default_experiment(&app));
    let root = app.settings().artifact_root.clone();
    let id = app
        .ledger()
        .edit(&[(EXPERIMENT, "")], move |drawer| {
            let there: Vec<(String, Experiment)> = drawer.shelf(EXPERIMENT, "")?;
            must_be_free(&there, &default, &name)?;
            let id = there
                .iter()
                .map(|(_, other)| other.id)
                .max()
                .unwrap_or(DEFAULT)
                + 1;
            let experiment = Experiment {
                id,
                name,
                artifact_location: location.unwrap_or_else(|| under(&root, &id.to_string())),
                deleted: false,
                created_ms: now_ms,
                updated_ms: now_ms,
                tags,
            };
            drawer.put(EXPERIMENT, "", &id.to_string(), &experiment)?;
            Ok(id)
        })
        .await?;
    Ok(Json(json!({"experiment_id": id.to_string()})))
}

fn must_be_free(
    there: &[(String, Experiment)],
    default: &Experiment,
    name: &str,
) -> Result<(), Fault> {
    let has_default = there.iter().any(|(_, other)| other.id == DEFAULT);
    if there.iter().any(|(_, other)| other.name == name) || (!has_default && default.name == name) {
        return Err(Fault::Exists(format!(
            "Experiment(name={name}) already exists."
        )));
    }
    Ok(())
}

/// Changes an experiment that is there.
async fn change<T: Send + 'static>(
    app: &App,
    id: i64,
    change: impl FnOnce(&mut Experiment, &mut Drawer, &[(String, Experiment)]) -> Result<T, Fault>
    + Send
    + 'static,
) -> Result<T, ApiError> {
    let default = default_experiment(app);
    let changed = app.ledger().edit(&[(EXPERIMENT, "")], move |drawer| {
        let there: Vec<(String, Experiment)> = drawer.shelf(EXPERIMENT, "")?;
        let mut experiment = match there.iter().find(|(_, other)| other.id == id) {
            Some((_, experiment)) => experiment.clone(),
            None if id == DEFAULT => default,
            None => return Err(no_experiment(id)),
        };
        let answer = change(&mut experiment, drawer, &there)?;
        drawer.put(EXPERIMENT, "", &id.to_string(), &experiment)?;
        Ok(answer)
    });
    Ok(changed.await?)
}

pub async fn get(State(app): State<App>, ask: Ask) -> Reply {
    let id = limits::experiment_id(&ask.required("experiment_id")?)?;
    let experiment = one(&app, id).await?;
    Ok(Json(json!({"experiment": wire::experiment(&experiment)})))
}

pub async fn get_by_name(State(app): State<App>, ask: Ask) -> Reply {
    let name = ask.required("experiment_name")?;
    let experiments = every(&app).await?;
    let experiment = experiments
        .iter()
        .find(|experiment| experiment.name == name)
        .ok_or_else(|| {
            ApiError::missing(format!("Could not find experiment with name '{name}'"))
        })?;
    Ok(Json(json!({"experiment": wire::experiment(experiment)})))
}

pub async fn delete(State(app): State<App>, ask: Ask) -> Reply {
    let id = limits::experiment_id(&ask.required("experiment_id")?)?;
    let now_us = app.now_us();
    change(&app, id, move |experiment, drawer, _| {
        if experiment.deleted {
            return Err(no_experiment(id));
        }
        experiment.deleted = true;
        experiment.updated_ms = now_us.div_euclid(1000);
        drawer.also(Batch {
            put_away: vec![(id, Some(now_us))],
            ..Batch::default()
        });
        Ok(())
    })
    .await?;
    nothing()
}

pub async fn restore(State(app): State<App>, ask: Ask) -> Reply {
    let id = limits::experiment_id(&ask.required("experiment_id")?)?;
    let now_ms = app.now_ms();
    change(&app, id, move |experiment, drawer, _| {
        if !experiment.deleted {
            return Err(no_experiment(id));
        }
        experiment.deleted = false;
        experiment.updated_ms = now_ms;
        drawer.also(Batch {
            put_away: vec![(id, None)],
            ..Batch::default()
        });
        Ok(())
    })
    .await?;
    nothing()
}

pub async fn update(State(app): State<App>, ask: Ask) -> Reply {
    let id = limits::experiment_id(&ask.required("experiment_id")?)?;
    let name = ask.required("new_name")?;
    limits::experiment_name(&name)?;
    let (now_ms, default) = (app.now_ms(), default_experiment(&app));
    change(&app, id, move |experiment, _, there| {
        if experiment.deleted {
            return Err(Fault::State(
                "Cannot rename a non-active experiment.".to_owned(),
            ));
        }
        if experiment.name != name {
            must_be_free(there, &default, &name)?;
        }
        experiment.name = name;
        experiment.updated_ms = now_ms;
        Ok(())
    })
    .await?;
    nothing()
}

pub async fn set_tag(State(app): State<App>, ask: Ask) -> Reply {
    let id = limits::experiment_id(&ask.required("experiment_id")?)?;
    let (key, value) = (ask.required("key")?, ask.text("value")?.unwrap_or_default());
    limits::experiment_tag(&key, &value)?;
    change(&app, id, move |experiment, _, _| {
        must_be_active(experiment)?;
        experiment.tags.insert(key, value);
        Ok(())
    })
    .await?;
    nothing()
}

pub async fn delete_tag(State(app): State<App>, ask: Ask) -> Reply {
    let id = limits::experiment_id(&ask.required("experiment_id")?)?;
    let key = ask.required("key")?;
    change(&app, id, move |experiment, _, _| {
        must_be_active(experiment)?;
        experiment.tags.remove(&key).map(|_| ()).ok_or_else(|| {
            Fault::Missing(format!(
                "No tag with name: {key} in experiment with id {id}"
            ))
        })
    })
    .await?;
    nothing()
}

/// Which of the things that may be put away a request means, as a number or a name.
pub fn view(value: Option<&Value>) -> Result<View, ApiError> {
    Ok(match value {
        None => View::Active,
        Some(value) => match (value.as_str(), super::ask::integer(value)) {
            (Some("ACTIVE_ONLY"), _) | (_, Some(1)) => View::Active,
            (Some("DELETED_ONLY"), _) | (_, Some(2)) => View::Deleted,
            (Some("ALL"), _) | (_, Some(3)) => View::All,
            _ => {
                return Err(super::ask::refused(
                    "view_type",
                    value,
                    "allowed: ACTIVE_ONLY, DELETED_ONLY, ALL",
                ));
            }
        },
    })
}

pub async fn search(State(app): State<App>, ask: Ask) -> Reply {
    let view = view(ask.get("view_type"))?;
    let n_max = search::max_results(&ask, 1000, 50_000)?;
    let conditions = search::experiments_filter(&ask.text("filter")?.unwrap_or_default())?;
    let order = search::experiments_order(&ask.texts("order_by")?)?;
    let offset = search::offset(ask.text("page_token")?.as_deref())?;
    let mut found = every(&app).await?;
    found.retain(|experiment| {
        view.shows(experiment.deleted)
            && conditions
                .iter()
                .all(|condition| holds(experiment, condition))
    });
    found.sort_by(|one, other| {
        if order.is_empty() {
            (other.created_ms, one.id).cmp(&(one.created_ms, other.id))
        } else {
            search::compare(&order, one, other, field_value).then(other.id.cmp(&one.id))
        }
    });
    let (page, token) = search::page(found, offset, n_max);
    let experiments: Vec<Value> = page.iter().map(wire::experiment).collect();
    Ok(Json(wire::without_empty(
        json!({"experiments": experiments, "next_page_token": token}),
    )))
}

/// What an experiment's field holds.
fn field_value(experiment: &Experiment, field: &Field) -> search::Found {
    match field {
        Field::Tag(key) => experiment.tags.get(key).cloned().into(),
        Field::Attribute(name) => match name.as_str() {
            "name" => experiment.name.clone().into(),
            "creation_time" => experiment.created_ms.into(),
            "last_update_time" => experiment.updated_ms.into(),
            "lifecycle_stage" => wire::stage(experiment.deleted).to_owned().into(),
            "experiment_id" => experiment.id.into(),
            _ => search::Found::Nothing,
        },
        _ => search::Found::Nothing,
    }
}

fn holds(experiment: &Experiment, condition: &Condition) -> bool {
    match (&condition.field, field_value(experiment, &condition.field)) {
        // Its number is a text where it is asked for, as everything that names a thing.
        (Field::Attribute(name), search::Found::Integer(number)) if name == "experiment_id" => {
            condition.holds_for_text(Some(&number.to_string()))
                || condition.holds_for_number(Some(number as f64))
        }
        (_, found) => found.meets(condition),
    }
}

pub async fn search_datasets(State(app): State<App>, ask: Ask) -> Reply {
    let ids = ask.texts("experiment_ids")?;
    if ids.is_empty() {
        return Err(ApiError::invalid(
            "SearchDatasets request must specify at least one experiment_id.",
        ));
    }
    if ids.len() > 20 {
        return Err(ApiError::invalid(format!(
            "SearchDatasets request cannot specify more than 20 experiment_ids. Received {} experiment_ids.",
            ids.len()
        )));
    }
    let ids: Vec<i64> = ids
        .iter()
        .map(|id| limits::experiment_id(id))
        .collect::<Result<_, _>>()?;
    let summaries = summaries(app.ledger(), ids).await?;
    Ok(Json(wire::without_empty(
        json!({"dataset_summaries": summaries}),
    )))
}

/// The data that runs of some experiments used, each once, at most a thousand.
async fn summaries(ledger: &Ledger, ids: Vec<i64>) -> Result<Vec<Value>, ApiError> {
    let query = RunQuery {
        experiment_ids: Some(ids),
        view: View::All,
        limit: 50_000,
        ..RunQuery::default()
    };
    let mut seen = BTreeSet::new();
    for detail in ledger.search_runs(&query).await? {
        for dataset in detail.datasets {
            let context = dataset
                .tags
                .iter()
                .find(|(key, _)| key == "mlflow.data.context");
            let context = context.map(|(_, value)| value.clone());
            seen.insert((
                detail.run.experiment_id,
                dataset.name,
                dataset.digest,
                context.or((!dataset.context.is_empty()).then_some(dataset.context)),
            ));
        }
    }
    let summary = |(experiment, name, digest, context): (i64, String, String, Option<String>)| {
        wire::without_empty(json!({
            "experiment_id": experiment.to_string(),
            "name": name,
            "digest": digest,
            "context": context,
        }))
    };
    Ok(seen.into_iter().take(1000).map(summary).collect())
}
