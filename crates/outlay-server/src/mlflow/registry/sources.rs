//! Where a version may come from: what a client names must be its own run's or model's, so that nobody can have the server read other files.

use super::super::error::ApiError;
use super::super::{files, logged_models};
use super::{one, place, version_of, versions_of};
use crate::App;

/// Sources of prompts, which have no files.
const PROMPT_SOURCES: [&str; 2] = ["dummy-source", "prompt-template"];

/// What a client says of a version's origin.
#[derive(Debug)]
pub(super) struct Asked {
    pub source: String,
    pub run_id: Option<String>,
    pub model_id: Option<String>,
    pub is_prompt: bool,
}

/// A version's origin, checked.
#[derive(Debug)]
pub(super) struct Origin {
    pub source: String,
    pub storage_location: String,
    pub run_id: String,
    pub model_id: String,
}

fn not_of(source: &str, id: &str) -> ApiError {
    ApiError::invalid(format!(
        "Invalid model version source: '{source}'. The {id} request parameter must identify the resource that \
         contains the source."
    ))
}

/// A scheme, what follows `//`, and the path behind it; a plain path has no scheme.
fn parts(uri: &str) -> (String, &str, &str) {
    let is_scheme = |text: &str| {
        text.len() > 1
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let (scheme, rest) = match uri.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
        _ => (String::new(), uri),
    };
    match rest.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find('/').unwrap_or(rest.len());
            (scheme, &rest[..end], &rest[end..])
        }
        None => (scheme, "", rest),
    }
}

fn unquoted(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..10 {
        let plain = crate::query::plain(&text);
        if plain == text {
            break;
        }
        text = plain;
    }
    text
}

/// Whether a URI lies within another, name by name.
fn is_within(source: &str, root: &str) -> bool {
    let names = |path: &str| -> Vec<String> {
        path.split('/')
            .filter(|name| !name.is_empty())
            .map(unquoted)
            .collect()
    };
    let (one, other) = (parts(source), parts(root));
    let (inner, outer) = (names(one.2), names(other.2));
    one.0 == other.0
        && one.1.eq_ignore_ascii_case(other.1)
        && !outer.is_empty()
        && inner.starts_with(&outer)
}

/// Whether a URI names files that this server keeps.
fn is_kept_here(source: &str) -> bool {
    let (scheme, _, path) = parts(source);
    scheme == "mlflow-artifacts"
        || ((scheme == "http" || scheme == "https")
            && unquoted(path).contains("/api/2.0/mlflow-artifacts/artifacts"))
}

/// Refuses `..` and the like, however they are written.
fn without_relative_parts(source: &str) -> Result<(), ApiError> {
    let plain = unquoted(source);
    let (_, _, path) = parts(&plain);
    if plain.contains('\0')
        || plain.split(['/', '\\']).any(|name| name == "..")
        || path.split('/').any(|name| name == ".")
    {
        return Err(ApiError::invalid(format!(
            "Invalid model version source: '{source}'. If supplying a source as an http, https, local file path, \
             ftp, objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path \
             references present. Please provide an absolute path."
        )));
    }
    Ok(())
}

/// Whether a URI is a path of a machine: it could be this one's.
fn is_local(source: &str) -> bool {
    let (scheme, host, _) = parts(source);
    match scheme.as_str() {
        "" => true,
        "file" => host.is_empty() || host == "localhost" || host.eq_ignore_ascii_case("127.0.0.1"),
        // A letter for a disk.
        scheme => scheme.len() == 1,
    }
}

fn local_refused(source: &str, id: &str) -> ApiError {
    ApiError::invalid(format!(
        "Invalid model version source: '{source}'. To use a local path as a model version source, the {id} request \
         parameter has to be specified and the local path has to be contained within the artifact directory of the \
         run specified by the {id}."
    ))
}

/// The path of a local place, with `.` and `..` followed by name.
fn local_path(uri: &str) -> std::path::PathBuf {
    let plain = unquoted(parts(uri).2);
    let mut path = std::path::PathBuf::from("/");
    for name in plain.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                path.pop();
            }
            other => path.push(other),
        }
    }
    path
}

/// `models:/name/version`, `models:/name@alias` or `models:/m-...`.
enum ModelUri {
    Logged(String),
    Version(String, i64),
}

async fn read_model_uri(app: &App, source: &str) -> Result<ModelUri, ApiError> {
    let invalid = || {
        ApiError::invalid(format!(
            "Invalid model URI: '{source}'. Models URIs must be of the form 'models:/model_name/suffix' or \
             'models:/model_name@alias' where suffix is a model version, stage, or the string 'latest'."
        ))
    };
    let (_, _, path) = parts(source);
    let path = path.trim_matches('/');
    if let Some((name, alias)) = path.rsplit_once('@') {
        let model = one(app, name).await?;
        let version = model.aliases.get(alias).copied().ok_or_else(|| {
            ApiError::invalid(format!("Registered model alias {alias} not found."))
        })?;
        return Ok(ModelUri::Version(name.to_owned(), version));
    }
    let Some((name, suffix)) = path.split_once('/') else {
        return if path.is_empty() {
            Err(invalid())
        } else {
            Ok(ModelUri::Logged(path.to_owned()))
        };
    };
    if name.is_empty() || suffix.is_empty() || suffix.contains('/') {
        return Err(invalid());
    }
    if let Ok(version) = suffix.parse() {
        return Ok(ModelUri::Version(name.to_owned(), version));
    }
    let versions = versions_of(app, name).await?;
    let newest = versions.iter().rev().find(|version| {
        suffix.eq_ignore_ascii_case("latest") || version.stage.eq_ignore_ascii_case(suffix)
    });
    let newest = newest.ok_or_else(|| {
        ApiError::missing(format!(
            "No versions of model with name '{name}' and stage '{suffix}' found"
        ))
    })?;
    Ok(ModelUri::Version(name.to_owned(), newest.version))
}

/// Checks where a version comes from, and finds where its files lie.
pub(super) async fn resolve(app: &App, asked: Asked) -> Result<Origin, ApiError> {
    let Asked {
        mut source,
        run_id,
        model_id,
        is_prompt,
    } = asked;
    if is_prompt {
        if !PROMPT_SOURCES.contains(&source.as_str()) {
            return Err(ApiError::invalid(format!(
                "Invalid prompt source: '{source}'. Prompt sources must use an MLflow placeholder."
            )));
        }
        return Ok(Origin {
            storage_location: source.clone(),
            source,
            run_id: run_id.unwrap_or_default(),
            model_id: model_id.unwrap_or_default(),
        });
    }
    super::super::limits::storage_uri(&source, "source")?;
    let (has_run, has_model) = (run_id.is_some(), model_id.is_some());
    let (mut run_id, mut model_id) = (run_id.unwrap_or_default(), model_id.unwrap_or_default());
    let mut storage_location = None;
    if parts(&source).0 == "models" {
        let uri = read_model_uri(app, &source).await?;
        match uri {
            ModelUri::Logged(_) if !parts(&source).1.is_empty() => {
                return Err(not_of(&source, "model_id"));
            }
            ModelUri::Logged(id) => {
                if model_id != id {
                    return Err(not_of(&source, "model_id"));
                }
                let model = logged_models::one(app, &id)
                    .await
                    .map_err(|_| not_of(&source, "model_id"))?;
                storage_location = Some(model.artifact_uri);
            }
            ModelUri::Version(name, number) => {
                if one(app, &name).await?.is_prompt() {
                    return Err(ApiError::invalid(format!(
                        "Invalid model version source: '{source}'. Prompt versions cannot be used as model version \
                         sources."
                    )));
                }
                let version = version_of(app, &name, number).await?;
                if (has_run && run_id != version.run_id)
                    || (has_model && model_id != version.model_id)
                {
                    return Err(ApiError::invalid(format!(
                        "Invalid model version source: '{source}'. The run_id and model_id request parameters must \
                         match the referenced model version."
                    )));
                }
                storage_location = Some(place(app, &name, &number.to_string()).await?);
                source = format!("models:/{name}/{number}");
                run_id = version.run_id;
                model_id = version.model_id;
            }
        }
    } else if model_id.is_empty() {
        of_run(app, &source, &run_id).await?;
    } else {
        of_model(app, &source, &model_id).await?;
    }
    if run_id.is_empty() && !model_id.is_empty() {
        run_id = logged_models::one(app, &model_id).await?.source_run_id;
    }
    Ok(Origin {
        storage_location: storage_location.unwrap_or_else(|| source.clone()),
        source,
        run_id,
        model_id,
    })
}

/// A source that must be of a run, where it is a place that could be this server's.
async fn of_run(app: &App, source: &str, run_id: &str) -> Result<(), ApiError> {
    let place_of = async || match run_id {
        "" => Err(not_of(source, "run_id")),
        id => match app.ledger().run_detail(id).await {
            Ok(detail) => Ok(detail.run.artifact_uri),
            Err(_) => Err(not_of(source, "run_id")),
        },
    };
    if is_local(source) {
        let refused = || local_refused(source, "run_id");
        if run_id.is_empty() {
            return Err(refused());
        }
        let root = place_of().await?;
        let is_inside = is_local(&root) && local_path(source).starts_with(local_path(&root));
        return if is_inside { Ok(()) } else { Err(refused()) };
    }
    without_relative_parts(source)?;
    let (scheme, host, path) = parts(source);
    if scheme == "runs" {
        let of = path
            .trim_start_matches('/')
            .split('/')
            .next()
            .unwrap_or_default();
        return if host.is_empty() && !run_id.is_empty() && of == run_id {
            Ok(())
        } else {
            Err(not_of(source, "run_id"))
        };
    }
    if is_kept_here(source) {
        let root = place_of().await?;
        files::kept_path(source)?;
        return if is_within(source, &root) {
            Ok(())
        } else {
            Err(not_of(source, "run_id"))
        };
    }
    Ok(())
}

/// A source that must be of a logged model, where it is a place that could be this server's.
async fn of_model(app: &App, source: &str, model_id: &str) -> Result<(), ApiError> {
    let model = logged_models::one(app, model_id)
        .await
        .map_err(|_| not_of(source, "model_id"))?;
    if is_local(source) {
        let is_inside = is_local(&model.artifact_uri)
            && local_path(source).starts_with(local_path(&model.artifact_uri));
        return if is_inside {
            Ok(())
        } else {
            Err(local_refused(source, "model_id"))
        };
    }
    without_relative_parts(source)?;
    if parts(source).0 == "runs" {
        return Err(not_of(source, "model_id"));
    }
    if is_kept_here(source) && !is_within(source, &model.artifact_uri) {
        return Err(not_of(source, "model_id"));
    }
    Ok(())
}
