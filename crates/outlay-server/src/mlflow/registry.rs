//! Registered models, their versions, and names for versions.

mod sources;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::routing::{MethodRouter, delete as delete_route, get as get_route, patch, post};
use outlay_ledger::{Condition, Fault, Field};
use serde_json::{Value, json};

use super::ask::Ask;
use super::error::ApiError;
use super::things::{
    MODEL_ID, MODEL_VERSION, ModelVersion, REGISTERED_MODEL, RegisteredModel, Shelf, Tags, all,
    is_prompt, no_version,
};
use super::{Reply, limits, logged_models, nothing, search, wire};
use crate::App;

const STAGES: [&str; 4] = ["None", "Staging", "Production", "Archived"];

pub(super) fn paths() -> Vec<(&'static str, MethodRouter<App>)> {
    vec![
        ("registered-models/create", post(create)),
        ("registered-models/rename", post(rename)),
        ("registered-models/update", patch(update)),
        ("registered-models/delete", delete_route(delete)),
        ("registered-models/get", get_route(get)),
        ("registered-models/search", get_route(search_models)),
        (
            "registered-models/get-latest-versions",
            post(latest_versions).get(latest_versions),
        ),
        ("registered-models/set-tag", post(set_tag)),
        ("registered-models/delete-tag", delete_route(delete_tag)),
        (
            "registered-models/alias",
            post(set_alias).delete(delete_alias).get(get_by_alias),
        ),
        ("model-versions/create", post(create_version)),
        ("model-versions/update", patch(update_version)),
        ("model-versions/transition-stage", post(transition)),
        ("model-versions/delete", delete_route(delete_version)),
        ("model-versions/get", get_route(get_version)),
        ("model-versions/search", get_route(search_versions)),
        (
            "model-versions/get-download-uri",
            get_route(get_download_uri),
        ),
        ("model-versions/set-tag", post(set_version_tag)),
        (
            "model-versions/delete-tag",
            delete_route(delete_version_tag),
        ),
    ]
}

/// Takes a model out with its versions, changes it, and puts it back.
async fn change<T: Send + 'static>(
    app: &App,
    name: &str,
    change: impl FnOnce(&mut Shelf<'_>) -> Result<T, Fault> + Send + 'static,
) -> Result<T, ApiError> {
    limits::model_name(name, "name")?;
    let model = name.to_owned();
    let shelves = [(REGISTERED_MODEL, name), (MODEL_VERSION, name)];
    let changed = app.ledger().edit(&shelves, move |drawer| {
        let mut shelf = Shelf::take(drawer, &model)?;
        let answer = change(&mut shelf)?;
        shelf.put_back()?;
        Ok(answer)
    });
    Ok(changed.await?)
}

/// A model by its name.
async fn one(app: &App, name: &str) -> Result<RegisteredModel, ApiError> {
    limits::model_name(name, "name")?;
    let found: Vec<RegisteredModel> =
        all(app.ledger(), REGISTERED_MODEL, Some(name), Some(MODEL_ID)).await?;
    found
        .into_iter()
        .next()
        .ok_or_else(|| ApiError::missing(format!("Registered Model with name={name} not found")))
}

/// The versions of a model, by number.
async fn versions_of(app: &App, name: &str) -> Result<Vec<ModelVersion>, ApiError> {
    let mut versions: Vec<ModelVersion> =
        all(app.ledger(), MODEL_VERSION, Some(name), None).await?;
    versions.sort_by_key(|version| version.version);
    Ok(versions)
}

/// The newest version of each stage, by stage.
fn latest(versions: &[ModelVersion]) -> Vec<ModelVersion> {
    let mut newest: BTreeMap<usize, &ModelVersion> = BTreeMap::new();
    for version in versions {
        let stage = STAGES
            .iter()
            .position(|stage| *stage == version.stage)
            .unwrap_or(0);
        newest.insert(stage, version);
    }
    newest.into_values().cloned().collect()
}

/// A model as it is answered.
async fn answer(app: &App, model: &RegisteredModel) -> Reply {
    let versions = versions_of(app, &model.name).await?;
    let model = wire::registered_model(model, &latest(&versions));
    Ok(Json(json!({"registered_model": model})))
}

/// The stage as it is written, from how people write it.
fn stage(text: &str) -> Result<&'static str, ApiError> {
    let found = STAGES.iter().find(|stage| stage.eq_ignore_ascii_case(text));
    found.copied().ok_or_else(|| {
        ApiError::invalid(format!(
            "Invalid Model Version stage: {text}. Value must be one of {}.",
            STAGES.join(", ")
        ))
    })
}

async fn create(State(app): State<App>, ask: Ask) -> Reply {
    let name = ask.required("name")?;
    limits::model_name(&name, "name")?;
    let tags = ask.pairs("tags")?;
    for (key, value) in &tags {
        limits::registry_tag(key, value)?;
    }
    let tags: Tags = tags.into_iter().collect();
    let model = RegisteredModel {
        name: name.clone(),
        created_ms: app.now_ms(),
        updated_ms: app.now_ms(),
        description: Some(ask.text("description")?.unwrap_or_default()),
        tags,
        aliases: BTreeMap::new(),
        last_version: 0,
    };
    let made = model.clone();
    app.ledger()
        .edit(&[(REGISTERED_MODEL, &name)], move |drawer| {
            let there: Option<RegisteredModel> =
                drawer.get(REGISTERED_MODEL, &made.name, MODEL_ID)?;
            if let Some(there) = there {
                return Err(name_taken(&made.name, there.is_prompt(), made.is_prompt()));
            }
            drawer.put(REGISTERED_MODEL, &made.name, MODEL_ID, &made)
        })
        .await?;
    answer(&app, &model).await
}

fn name_taken(name: &str, there_is_prompt: bool, new_is_prompt: bool) -> Fault {
    let entity = |is_prompt| {
        if is_prompt {
            "Prompt"
        } else {
            "Registered Model"
        }
    };
    let (there, new) = (entity(there_is_prompt), entity(new_is_prompt));
    Fault::Exists(if there == new {
        format!("{new} (name={name}) already exists.")
    } else {
        format!(
            "Tried to create a {} with name '{name}', but the name is already taken by a {}. MLflow does not allow \
             creating a model and a prompt with the same name.",
            new.to_lowercase(),
            there.to_lowercase()
        )
    })
}

async fn get(State(app): State<App>, ask: Ask) -> Reply {
    let model = one(&app, &ask.required("name")?).await?;
    answer(&app, &model).await
}

async fn update(State(app): State<App>, ask: Ask) -> Reply {
    let name = ask.required("name")?;
    let description = ask.text("description")?.unwrap_or_default();
    let now_ms = app.now_ms();
    let model = change(&app, &name, move |shelf| {
        shelf.model.description = Some(description);
        shelf.model.updated_ms = now_ms;
        Ok(shelf.model.clone())
    })
    .await?;
    answer(&app, &model).await
}

async fn rename(State(app): State<App>, ask: Ask) -> Reply {
    let (name, new) = (ask.required("name")?, ask.required("new_name")?);
    limits::model_name(&name, "name")?;
    limits::model_name(&new, "new_name")?;
    let (from, to, now_ms) = (name.clone(), new.clone(), app.now_ms());
    let shelves = [
        (REGISTERED_MODEL, name.as_str()),
        (MODEL_VERSION, name.as_str()),
        (REGISTERED_MODEL, new.as_str()),
        (MODEL_VERSION, new.as_str()),
    ];
    let renamed = app.ledger().edit(&shelves, move |drawer| {
        let there: Option<RegisteredModel> = drawer.get(REGISTERED_MODEL, &to, MODEL_ID)?;
        let shelf = Shelf::take(drawer, &from)?;
        if there.is_some() && from != to {
            return Err(Fault::Exists(format!(
                "Registered Model (name={to}) already exists."
            )));
        }
        let (mut model, versions) = (shelf.model.clone(), shelf.versions()?);
        let drawer = shelf.clear()?;
        for mut version in versions {
            version.name.clone_from(&to);
            version.updated_ms = now_ms;
            drawer.put(MODEL_VERSION, &to, &version.version.to_string(), &version)?;
        }
        model.name.clone_from(&to);
        model.updated_ms = now_ms;
        drawer.put(REGISTERED_MODEL, &to, MODEL_ID, &model)?;
        Ok(model)
    });
    let model = renamed.await?;
    answer(&app, &model).await
}

async fn delete(State(app): State<App>, ask: Ask) -> Reply {
    let name = ask.required("name")?;
    limits::model_name(&name, "name")?;
    let model = name.clone();
    app.ledger()
        .edit(
            &[(REGISTERED_MODEL, &name), (MODEL_VERSION, &name)],
            move |drawer| Shelf::take(drawer, &model)?.clear().map(|_| ()),
        )
        .await?;
    nothing()
}

/// Whether a search asks for prompts; one that does not is not shown any.
fn asks_for_prompts(conditions: &[Condition]) -> bool {
    use outlay_ledger::{Operand, Test};
    conditions.iter().any(|condition| {
        let is = |text: &str| matches!(&condition.operand, Operand::Text(value) if value.eq_ignore_ascii_case(text));
        condition.field == Field::Tag("mlflow.prompt.is_prompt".to_owned())
            && ((condition.test == Test::Equal && is("true")) || (condition.test == Test::NotEqual && is("false")))
    })
}

/// The conditions that are left when those that keep prompts apart are met.
fn without_prompts(conditions: Vec<Condition>) -> (bool, Vec<Condition>) {
    if asks_for_prompts(&conditions) {
        return (true, conditions);
    }
    let prompt = Field::Tag("mlflow.prompt.is_prompt".to_owned());
    (
        false,
        conditions
            .into_iter()
            .filter(|condition| condition.field != prompt)
            .collect(),
    )
}

fn model_value(model: &RegisteredModel, field: &Field) -> search::Found {
    match field {
        Field::Tag(key) => model.tags.get(key).cloned().into(),
        Field::Attribute(name) => match name.as_str() {
            "name" => model.name.clone().into(),
            "creation_timestamp" | "creation_time" => model.created_ms.into(),
            _ => model.updated_ms.into(),
        },
        _ => search::Found::Nothing,
    }
}

async fn search_models(State(app): State<App>, ask: Ask) -> Reply {
    let n_max = max_results(&ask, 100, 1000)?;
    let (prompts, conditions) = without_prompts(search::registered_models_filter(
        &ask.text("filter")?.unwrap_or_default(),
    )?);
    let order = search::registered_models_order(&ask.texts("order_by")?)?;
    let offset = search::offset(ask.text("page_token")?.as_deref())?;
    let mut found: Vec<RegisteredModel> = all(app.ledger(), REGISTERED_MODEL, None, None).await?;
    found.retain(|model| {
        (prompts || !model.is_prompt())
            && conditions
                .iter()
                .all(|condition| model_value(model, &condition.field).meets(condition))
    });
    found.sort_by(|one, other| {
        search::compare(&order, one, other, model_value).then_with(|| one.name.cmp(&other.name))
    });
    let (page, token) = search::page(found, offset, n_max);
    let mut models = Vec::with_capacity(page.len());
    for model in &page {
        models.push(wire::registered_model(
            model,
            &latest(&versions_of(&app, &model.name).await?),
        ));
    }
    Ok(Json(wire::without_empty(
        json!({"registered_models": models, "next_page_token": token}),
    )))
}

/// How many are wanted at most, in the words of the registry.
fn max_results(ask: &Ask, default: i64, most: i64) -> Result<i64, ApiError> {
    let n_max = ask.integer("max_results")?.unwrap_or(default);
    if n_max > most {
        return Err(ask.whole("max_results"));
    }
    if n_max < 1 {
        return Err(ApiError::invalid(format!(
            "Invalid value for max_results. It must be a positive integer, but got {n_max}"
        )));
    }
    Ok(n_max)
}

async fn latest_versions(State(app): State<App>, ask: Ask) -> Reply {
    let name = ask.required("name")?;
    let mut stages = Vec::new();
    for text in ask.texts("stages")? {
        stages.push(stage(&text)?);
    }
    let model = one(&app, &name).await?;
    let versions = latest(&versions_of(&app, &name).await?);
    let versions: Vec<Value> = versions
        .iter()
        .filter(|version| stages.is_empty() || stages.contains(&version.stage.as_str()))
        .map(|version| wire::version(version, &model))
        .collect();
    Ok(Json(wire::without_empty(
        json!({"model_versions": versions}),
    )))
}

async fn set_tag(State(app): State<App>, ask: Ask) -> Reply {
    let (name, key) = (ask.required("name")?, ask.required("key")?);
    let value = ask.text("value")?.unwrap_or_default();
    limits::registry_tag(&key, &value)?;
    change(&app, &name, move |shelf| {
        shelf.model.tags.insert(key, value);
        Ok(())
    })
    .await?;
    nothing()
}

async fn delete_tag(State(app): State<App>, ask: Ask) -> Reply {
    let (name, key) = (ask.required("name")?, ask.required("key")?);
    limits::tag_name(&key)?;
    change(&app, &name, move |shelf| {
        shelf.model.tags.remove(&key);
        Ok(())
    })
    .await?;
    nothing()
}

async fn set_alias(State(app): State<App>, ask: Ask) -> Reply {
    let (name, alias) = (ask.required("name")?, ask.required("alias")?);
    limits::new_alias(&alias)?;
    let version = limits::version(&ask.required("version")?)?;
    change(&app, &name, move |shelf| {
        shelf.version(version)?;
        shelf.model.aliases.insert(alias, version);
        Ok(())
    })
    .await?;
    nothing()
}

async fn delete_alias(State(app): State<App>, ask: Ask) -> Reply {
    let (name, alias) = (ask.required("name")?, ask.required("alias")?);
    limits::alias(&alias)?;
    change(&app, &name, move |shelf| {
        shelf.model.aliases.remove(&alias);
        Ok(())
    })
    .await?;
    nothing()
}

async fn get_by_alias(State(app): State<App>, ask: Ask) -> Reply {
    let (name, alias) = (ask.required("name")?, ask.required("alias")?);
    limits::alias(&alias)?;
    let model = one(&app, &name).await?;
    let version = if alias.eq_ignore_ascii_case("latest") {
        let versions = versions_of(&app, &name).await?;
        versions.last().map(|version| version.version)
    } else {
        model.aliases.get(&alias).copied()
    };
    let version = version
        .ok_or_else(|| ApiError::invalid(format!("Registered model alias {alias} not found.")))?;
    answer_version(&app, &model, version).await
}

/// A version as it is answered.
async fn answer_version(app: &App, model: &RegisteredModel, number: i64) -> Reply {
    let version = version_of(app, &model.name, number).await?;
    Ok(Json(
        json!({"model_version": wire::version(&version, model)}),
    ))
}

async fn version_of(app: &App, name: &str, number: i64) -> Result<ModelVersion, ApiError> {
    let id = number.to_string();
    let found: Vec<ModelVersion> = all(app.ledger(), MODEL_VERSION, Some(name), Some(&id)).await?;
    found
        .into_iter()
        .next()
        .ok_or_else(|| no_version(name, number).into())
}

async fn create_version(State(app): State<App>, ask: Ask) -> Reply {
    let (name, source) = (ask.required("name")?, ask.required("source")?);
    limits::model_name(&name, "name")?;
    let tags = ask.pairs("tags")?;
    for (key, value) in &tags {
        limits::registry_tag(key, value)?;
    }
    let tags: Tags = tags.into_iter().collect();
    let (description, run_link) = (
        ask.text("description")?.unwrap_or_default(),
        ask.text("run_link")?.unwrap_or_default(),
    );
    let came = sources::resolve(
        &app,
        sources::Asked {
            source,
            run_id: ask.text("run_id")?,
            model_id: ask.text("model_id")?,
            is_prompt: is_prompt(&tags),
        },
    )
    .await?;
    let now_ms = app.now_ms();
    let model_id = came.model_id.clone();
    let (version, model) = change(&app, &name, move |shelf| {
        let last = shelf
            .versions()?
            .last()
            .map_or(0, |version| version.version);
        let version = ModelVersion {
            name: shelf.model.name.clone(),
            version: last.max(shelf.model.last_version) + 1,
            created_ms: now_ms,
            updated_ms: now_ms,
            description: Some(description),
            user_id: None,
            stage: STAGES[0].to_owned(),
            source: came.source,
            storage_location: came.storage_location,
            run_id: came.run_id,
            run_link,
            model_id: came.model_id,
            status: "READY".to_owned(),
            status_message: None,
            tags,
        };
        shelf.model.last_version = version.version;
        shelf.model.updated_ms = now_ms;
        shelf.put_version(&version)?;
        Ok((version, shelf.model.clone()))
    })
    .await?;
    if !model_id.is_empty() {
        logged_models::add_version(&app, &model_id, name, version.version).await?;
    }
    Ok(Json(
        json!({"model_version": wire::version(&version, &model)}),
    ))
}

/// Changes a version.
async fn change_version(
    app: &App,
    ask: &Ask,
    edit: impl FnOnce(&mut ModelVersion) -> Result<(), Fault> + Send + 'static,
) -> Result<(ModelVersion, RegisteredModel), ApiError> {
    let name = ask.required("name")?;
    let number = limits::version(&ask.required("version")?)?;
    change(app, &name, move |shelf| {
        let mut version = shelf.version(number)?;
        edit(&mut version)?;
        shelf.put_version(&version)?;
        Ok((version, shelf.model.clone()))
    })
    .await
}

async fn update_version(State(app): State<App>, ask: Ask) -> Reply {
    let (description, now_ms) = (ask.text("description")?, app.now_ms());
    let (version, model) = change_version(&app, &ask, move |version| {
        version.description = description;
        version.updated_ms = now_ms;
        Ok(())
    })
    .await?;
    Ok(Json(
        json!({"model_version": wire::version(&version, &model)}),
    ))
}

async fn transition(State(app): State<App>, ask: Ask) -> Reply {
    let name = ask.required("name")?;
    let number = limits::version(&ask.required("version")?)?;
    let asked = ask.required("stage")?;
    let (to, archive) = (
        stage(&asked)?,
        ask.flag("archive_existing_versions")?.unwrap_or(false),
    );
    if archive && !["Staging", "Production"].contains(&to) {
        return Err(ApiError::invalid(format!(
            "Model version transition cannot archive existing model versions because '{asked}' is not an Active \
             stage. Valid stages are ['Staging', 'Production']"
        )));
    }
    let now_ms = app.now_ms();
    let (version, model) = change(&app, &name, move |shelf| {
        let mut version = shelf.version(number)?;
        for mut other in shelf.versions()? {
            if archive && other.version != number && other.stage == to {
                "Archived".clone_into(&mut other.stage);
                other.updated_ms = now_ms;
                shelf.put_version(&other)?;
            }
        }
        to.clone_into(&mut version.stage);
        version.updated_ms = now_ms;
        shelf.put_version(&version)?;
        shelf.model.updated_ms = now_ms;
        Ok((version, shelf.model.clone()))
    })
    .await?;
    Ok(Json(
        json!({"model_version": wire::version(&version, &model)}),
    ))
}

async fn delete_version(State(app): State<App>, ask: Ask) -> Reply {
    let name = ask.required("name")?;
    let number = limits::version(&ask.required("version")?)?;
    let now_ms = app.now_ms();
    change(&app, &name, move |shelf| {
        shelf.version(number)?;
        let last = shelf
            .versions()?
            .last()
            .map_or(0, |version| version.version);
        // The numbers of versions that are gone are not given again.
        shelf.model.last_version = shelf.model.last_version.max(last);
        shelf.model.aliases.retain(|_, version| *version != number);
        shelf.model.updated_ms = now_ms;
        shelf.remove_version(number);
        Ok(())
    })
    .await?;
    nothing()
}

async fn get_version(State(app): State<App>, ask: Ask) -> Reply {
    let (name, version) = (ask.required("name")?, ask.required("version")?);
    limits::model_name(&name, "name")?;
    let number = limits::version(&version)?;
    let found: Vec<RegisteredModel> =
        all(app.ledger(), REGISTERED_MODEL, Some(&name), Some(MODEL_ID)).await?;
    match found.into_iter().next() {
        Some(model) => answer_version(&app, &model, number).await,
        None => Err(no_version(&name, number).into()),
    }
}

/// Where the files of a version lie.
pub async fn place(app: &App, name: &str, version: &str) -> Result<String, ApiError> {
    limits::model_name(name, "name")?;
    let version = version_of(app, name, limits::version(version)?).await?;
    Ok(if version.storage_location.is_empty() {
        version.source
    } else {
        version.storage_location
    })
}

async fn get_download_uri(State(app): State<App>, ask: Ask) -> Reply {
    let (name, version) = (
        ask.text("name")?.unwrap_or_default(),
        ask.text("version")?.unwrap_or_default(),
    );
    let place = place(&app, &name, &version).await?;
    Ok(Json(json!({"artifact_uri": place})))
}

fn version_value(version: &ModelVersion, field: &Field) -> search::Found {
    match field {
        Field::Tag(key) => version.tags.get(key).cloned().into(),
        Field::Attribute(name) => match name.as_str() {
            "name" => version.name.clone().into(),
            "run_id" => version.run_id.clone().into(),
            "source_path" | "source" => version.source.clone().into(),
            "version_number" | "version" => version.version.into(),
            "creation_timestamp" | "creation_time" => version.created_ms.into(),
            "last_updated_timestamp" | "last_updated_time" => version.updated_ms.into(),
            "current_stage" => version.stage.clone().into(),
            _ => search::Found::Nothing,
        },
        _ => search::Found::Nothing,
    }
}

async fn search_versions(State(app): State<App>, ask: Ask) -> Reply {
    let n_max = max_results(&ask, 200_000, 200_000)?;
    let (prompts, conditions) = without_prompts(search::model_versions_filter(
        &ask.text("filter")?.unwrap_or_default(),
    )?);
    let order = search::model_versions_order(&ask.texts("order_by")?)?;
    let offset = search::offset(ask.text("page_token")?.as_deref())?;
    let models: Vec<RegisteredModel> = all(app.ledger(), REGISTERED_MODEL, None, None).await?;
    let models: BTreeMap<String, RegisteredModel> = models
        .into_iter()
        .map(|model| (model.name.clone(), model))
        .collect();
    let mut found: Vec<ModelVersion> = all(app.ledger(), MODEL_VERSION, None, None).await?;
    found.retain(|version| {
        (prompts
            || !models
                .get(&version.name)
                .is_some_and(RegisteredModel::is_prompt))
            && conditions
                .iter()
                .all(|condition| version_value(version, &condition.field).meets(condition))
    });
    found.sort_by(|one, other| {
        let by_order = if order.is_empty() {
            other.updated_ms.cmp(&one.updated_ms)
        } else {
            search::compare(&order, one, other, version_value)
        };
        by_order
            .then_with(|| one.name.cmp(&other.name))
            .then(other.version.cmp(&one.version))
    });
    let (page, token) = search::page(found, offset, n_max);
    let versions: Vec<Value> = page
        .iter()
        .filter_map(|version| Some(wire::version(version, models.get(&version.name)?)))
        .collect();
    Ok(Json(wire::without_empty(
        json!({"model_versions": versions, "next_page_token": token}),
    )))
}

async fn set_version_tag(State(app): State<App>, ask: Ask) -> Reply {
    let key = ask.required("key")?;
    let value = ask.text("value")?.unwrap_or_default();
    limits::registry_tag(&key, &value)?;
    change_version(&app, &ask, move |version| {
        version.tags.insert(key, value);
        Ok(())
    })
    .await?;
    nothing()
}

async fn delete_version_tag(State(app): State<App>, ask: Ask) -> Reply {
    let key = ask.required("key")?;
    limits::tag_name(&key)?;
    change_version(&app, &ask, move |version| {
        version.tags.remove(&key);
        Ok(())
    })
    .await?;
    nothing()
}
