//! Outlay's own API, `/api/v1`: what the pages show, for programs too.
//!
//! JSON; every reply has the API's version in `outlay-api-version`; failures are `{"error", "message"}`; every list is
//! bounded. `/api/v1/openapi.json` describes all of it.

mod account;
mod axis;
mod budgets;
mod events;
mod evidence;
pub mod fault;
mod figure;
mod forecast;
mod home;
mod lttb;
mod people;
mod run;
mod runs;
mod series;
pub mod shapes;

use axum::extract::Request;
use axum::http::Uri;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{MethodRouter, any, delete, get, patch, post};
use axum::{Json, Router};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use crate::{App, MLFLOW_VERSION};
use fault::{ApiFault, Kind};

pub use account::Account;
pub use budgets::{BudgetView, standings};
pub use evidence::{EvidencePage, EvidenceRecord, Statement, page as evidence_page};
pub use forecast::next_month;
pub use home::{Attention, Home, MonthView, home};
pub use lttb::largest_triangles;
pub use run::{RunDetailView, detail as run_detail};

/// The version of this API. A change that breaks a client makes a new path.
pub const VERSION: &str = "1.0";

/// Which versions answer.
#[derive(Serialize, ToSchema)]
struct Versions {
    /// Of this API.
    api: &'static str,
    /// Of Outlay.
    outlay: &'static str,
    /// Of MLflow, whose clients are served beside it.
    mlflow: &'static str,
}

/// The version of this API, of Outlay, and of MLflow as far as it is served
#[utoipa::path(get, path = "/api/v1/version", tag = "server",
    responses((status = 200, body = Versions)))]
async fn version() -> Json<Versions> {
    Json(Versions {
        api: VERSION,
        outlay: env!("CARGO_PKG_VERSION"),
        mlflow: MLFLOW_VERSION,
    })
}

/// The description of the API.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Outlay",
        description = "What runs cost and measure. Money is in millionths of a unit of its currency, instants are \
                       microseconds since 1970 (UTC), and numbers that JSON lacks are the texts NaN, Infinity and \
                       -Infinity.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        version,
        description,
        home::get,
        runs::list,
        runs::groups,
        runs::columns,
        run::get,
        run::metrics,
        run::files,
        series::get,
        figure::get,
        budgets::get,
        evidence::list,
        evidence::get,
        evidence::prove,
        evidence::verify,
        evidence::comment,
        evidence::sign_off,
        events::get,
        people::me,
        people::list_users,
        people::add_user,
        people::change_user,
        people::remove_user,
        people::list_tokens,
        people::create_token,
        people::revoke_token,
    )
)]
struct Description;

/// The description of this API, as OpenAPI 3.1
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "server",
    responses((status = 200, description = "The description", content_type = "application/json")))]
async fn description() -> Json<utoipa::openapi::OpenApi> {
    Json(openapi())
}

/// The description of the API, for tests and documents.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut all = Description::openapi();
    all.info.version = VERSION.to_owned();
    // What the planner takes and answers has its descriptions where it is planned.
    if let Some(planner) = planner(&all) {
        all.merge(planner);
    }
    all
}

/// The planner's part of the description, under the head of the whole.
fn planner(all: &utoipa::openapi::OpenApi) -> Option<utoipa::openapi::OpenApi> {
    let mut part = crate::plan::openapi();
    part["openapi"] = serde_json::to_value(&all.openapi).ok()?;
    part["info"] = serde_json::to_value(&all.info).ok()?;
    serde_json::from_value(part).ok()
}

async fn no_path(uri: Uri) -> ApiFault {
    ApiFault::new(
        Kind::NotFound,
        format!(
            "There is no `{}` in this API; /api/v1/openapi.json lists what there is.",
            uri.path()
        ),
    )
}

async fn no_method(method: Method) -> ApiFault {
    ApiFault::new(
        Kind::NoMethod,
        format!("{method} is not taken here; the `allow` header says what is."),
    )
}

/// Says the version of this API in every reply of it, whoever answers.
pub(crate) async fn with_version(request: Request, next: Next) -> Response {
    let is_of_api = crate::doors::is_own_api(request.uri().path());
    let mut response = next.run(request).await;
    if is_of_api {
        let name = HeaderName::from_static("outlay-api-version");
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(VERSION));
    }
    response
}

/// The paths of this API.
pub fn router() -> Router<App> {
    let paths: Vec<(&str, MethodRouter<App>)> = vec![
        ("/api/v1/version", get(version)),
        ("/api/v1/openapi.json", get(description)),
        ("/api/v1/home", get(home::get)),
        ("/api/v1/runs", get(runs::list)),
        ("/api/v1/runs/groups", get(runs::groups)),
        ("/api/v1/runs/columns", get(runs::columns)),
        ("/api/v1/runs/{id}", get(run::get)),
        ("/api/v1/runs/{id}/metrics", get(run::metrics)),
        ("/api/v1/runs/{id}/files", get(run::files)),
        ("/api/v1/runs/{id}/series", get(series::get)),
        ("/api/v1/figures/metric", get(figure::get)),
        ("/api/v1/budgets", get(budgets::get)),
        ("/api/v1/evidence", get(evidence::list)),
        ("/api/v1/evidence/verify", get(evidence::verify)),
        ("/api/v1/evidence/{position}", get(evidence::get)),
        ("/api/v1/evidence/{position}/proof", get(evidence::prove)),
        ("/api/v1/comments", post(evidence::comment)),
        ("/api/v1/sign-offs", post(evidence::sign_off)),
        ("/api/v1/events", get(events::get)),
        ("/api/v1/me", get(people::me)),
        (
            "/api/v1/users",
            get(people::list_users).post(people::add_user),
        ),
        (
            "/api/v1/users/{name}",
            patch(people::change_user).delete(people::remove_user),
        ),
        (
            "/api/v1/tokens",
            get(people::list_tokens).post(people::create_token),
        ),
        ("/api/v1/tokens/{id}", delete(people::revoke_token)),
    ];
    let mut router = Router::new();
    for (path, handler) in paths {
        router = router.route(path, handler.fallback(no_method));
    }
    router
        .route("/api/v1", any(no_path))
        .route("/api/v1/{*path}", any(no_path))
}
