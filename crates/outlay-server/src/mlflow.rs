//! MLflow's REST API: experiments, runs, models and their files, in the words of its own server.
//!
//! What each path takes and answers follows MLflow 3.17; what is stored is the ledger's.

pub mod ask;
pub mod error;
mod experiments;
pub(crate) mod files;
pub mod filter;
mod history;
pub mod import;
pub mod limits;
mod logged_models;
mod logging;
mod names;
mod promptlab;
mod registry;
mod runs;
pub(crate) mod search;
pub mod things;
pub mod wire;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, any, get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::{App, MLFLOW_VERSION};
use error::{ApiError, Code};
pub(crate) use files::local_path;

/// What a handler answers: JSON, or a failure in MLflow's words.
pub type Reply = Result<Json<Value>, ApiError>;

/// The empty answer.
pub(crate) fn nothing() -> Reply {
    Ok(Json(json!({})))
}

/// Paths, each under `/api/2.0` and, for pages, under `/ajax-api/2.0`.
fn paths() -> Vec<(&'static str, MethodRouter<App>)> {
    let mut paths = vec![
        ("experiments/create", post(experiments::create)),
        (
            "experiments/search",
            post(experiments::search).get(experiments::search),
        ),
        ("experiments/get", get(experiments::get)),
        ("experiments/get-by-name", get(experiments::get_by_name)),
        ("experiments/delete", post(experiments::delete)),
        ("experiments/restore", post(experiments::restore)),
        ("experiments/update", post(experiments::update)),
        ("experiments/set-experiment-tag", post(experiments::set_tag)),
        (
            "experiments/delete-experiment-tag",
            post(experiments::delete_tag),
        ),
        (
            "experiments/search-datasets",
            post(experiments::search_datasets),
        ),
        ("runs/create", post(runs::create)),
        ("runs/update", post(runs::update)),
        ("runs/delete", post(runs::delete)),
        ("runs/restore", post(runs::restore)),
        ("runs/get", get(runs::get)),
        ("runs/search", post(runs::search)),
        ("runs/create-promptlab-run", post(promptlab::create)),
        ("runs/log-metric", post(logging::log_metric)),
        ("runs/log-parameter", post(logging::log_param)),
        ("runs/log-batch", post(logging::log_batch)),
        ("runs/set-tag", post(logging::set_tag)),
        ("runs/delete-tag", post(logging::delete_tag)),
        ("runs/log-model", post(logging::log_model)),
        ("runs/log-inputs", post(logging::log_inputs)),
        ("runs/outputs", post(logging::log_outputs)),
        ("metrics/get-history", get(history::get)),
        ("metrics/get-history-bulk", get(history::get_bulk)),
        (
            "metrics/get-history-bulk-interval",
            get(history::get_interval),
        ),
        ("artifacts/list", get(files::list_of_run)),
        ("upload-artifact", post(files::upload_to_run)),
        ("get-artifact", get(files::get_of_run)),
    ];
    paths.extend(logged_models::paths());
    paths.extend(registry::paths());
    paths
}

/// Everything that MLflow's clients ask for.
pub fn router() -> Router<App> {
    let mut router = Router::new();
    for (path, handler) in paths() {
        for root in ["/api/2.0/mlflow", "/ajax-api/2.0/mlflow"] {
            router = router.route(&format!("{root}/{path}"), handler.clone());
        }
    }
    for root in [
        "/api/2.0/mlflow-artifacts",
        "/ajax-api/2.0/mlflow-artifacts",
    ] {
        router = router
            .route(&format!("{root}/artifacts"), get(files::list))
            .route(
                &format!("{root}/artifacts/{{*path}}"),
                put(files::upload)
                    .get(files::download)
                    .delete(files::delete),
            )
            .route(
                &format!("{root}/mpu/create/{{*path}}"),
                post(files::begin_parts),
            )
            .route(
                &format!("{root}/mpu/part/{{upload}}/{{number}}/{{*path}}"),
                put(files::upload_part),
            )
            .route(
                &format!("{root}/mpu/complete/{{*path}}"),
                post(files::complete_parts),
            )
            .route(
                &format!("{root}/mpu/abort/{{*path}}"),
                post(files::abort_parts),
            );
    }
    for root in ["/api/3.0/mlflow", "/ajax-api/3.0/mlflow"] {
        router = router
            .route(&format!("{root}/server-info"), get(server_info))
            .route(&format!("{root}/server-features"), get(server_info));
    }
    router
        .route("/get-artifact", get(files::get_of_run))
        .route("/model-versions/get-artifact", get(files::get_of_version))
        .route("/health", get(async || "OK"))
        .route("/version", get(async || MLFLOW_VERSION))
        .route("/api/{*path}", any(no_path))
        .route("/ajax-api/{*path}", any(no_path))
}

/// What this server can do beyond MLflow 2.
async fn server_info() -> Json<Value> {
    Json(json!({
        "store_type": "SqlStore",
        "workspaces_enabled": false,
        "trace_archival_enabled": false,
        "multipart_uploads_enabled": true,
        "multipart_downloads_enabled": false,
    }))
}

/// Paths that MLflow has and this server has not, and all others.
async fn no_path() -> impl IntoResponse {
    let error = ApiError::new(
        Code::EndpointNotFound,
        "This server has no such path. It answers to MLflow's experiments, runs, metrics, models and artifacts, \
         and not to traces, prompts' optimisation, webhooks, gateways or scorers.",
    );
    (StatusCode::NOT_FOUND, error)
}
