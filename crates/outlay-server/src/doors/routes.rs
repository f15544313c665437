//! What each path asks of whoever calls it, and which calls leave a record.

use axum::http::Method;

use super::origin::is_safe;
use super::people::Role;

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: it tells nothing.
    Nothing,
    /// Nothing beyond what its own address says: the unguessable name of an upload.
    Upload,
    /// A person who may do this much.
    Role(Role),
}

const PART: &str = "/mlflow-artifacts/mpu/part/{upload}/{number}/{*path}";

/// Ends of paths below MLflow's root that search, though they are sent as if they wrote.
const SEARCHES: [&str; 5] = [
    "/runs/search",
    "/experiments/search",
    "/experiments/search-datasets",
    "/logged-models/search",
    "/registered-models/get-latest-versions",
];

/// Paths of the planner: they compute, and keep nothing.
const PLANS: [&str; 5] = [
    "/plan/answer",
    "/plan/serve/answer",
    "/api/v1/plan/train",
    "/api/v1/plan/train/sizes",
    "/api/v1/plan/serve",
];

/// What everyone sees to who has a name here: their own tokens, their own password, and the way out.
const OWN: [&str; 7] = [
    "/logout",
    "/account",
    "/account/password",
    "/account/tokens",
    "/account/tokens/revoke",
    "/api/v1/tokens",
    "/api/v1/tokens/{id}",
];

/// What deletes more than a run.
const DELETIONS: [&str; 2] = ["/experiments/delete", "/registered-models/delete"];

/// The rest of a path below MLflow's root, of programs or of pages.
fn below(path: &str, root: &str) -> Option<String> {
    let rest = path
        .strip_prefix("/api/")
        .or_else(|| path.strip_prefix("/ajax-api/"))?;
    let (_, rest) = rest.split_once('/')?;
    rest.strip_prefix(root).map(str::to_owned)
}

/// Whether a path is for programs: it answers in JSON and never leads to the page for logging in.
pub(super) fn is_api(path: &str) -> bool {
    [
        "/api/",
        "/ajax-api/",
        "/v1/",
        "/get-artifact",
        "/model-versions/",
    ]
    .iter()
    .any(|root| path.starts_with(root))
}

/// Whether a path is of this server's own API, whose failures have a form of their own.
pub(crate) fn is_own_api(path: &str) -> bool {
    path == "/api/v1" || path.starts_with("/api/v1/")
}

/// Whether a path is of the server's own scripts, styles and pictures.
pub(super) fn is_asset(path: &str) -> bool {
    path.starts_with("/assets/") || path == "/favicon.ico"
}

/// Whether a request only searches or computes, though its method could write.
pub(super) fn is_search(method: &Method, path: &str) -> bool {
    *method == Method::POST
        && (PLANS.contains(&path)
            || below(path, "mlflow").is_some_and(|rest| SEARCHES.contains(&rest.as_str())))
}

/// Whether the body is a file, of whatever size.
pub(super) fn is_upload(path: &str) -> bool {
    below(path, "mlflow-artifacts").is_some() || path.ends_with("/mlflow/upload-artifact")
}

/// What a request needs. The path is the pattern that the router found, or the path itself where it found none.
pub(super) fn need(method: &Method, path: &str) -> Need {
    if matches!(path, "/health" | "/version" | "/login") || is_asset(path) {
        return Need::Nothing;
    }
    if *method == Method::PUT
        && (path == format!("/api/2.0{PART}") || path == format!("/ajax-api/2.0{PART}"))
    {
        return Need::Upload;
    }
    if ["/users", "/api/v1/users"].contains(&path)
        || path.starts_with("/users/")
        || path.starts_with("/api/v1/users/")
    {
        return Need::Role(Role::Admin);
    }
    if OWN.contains(&path) || is_safe(method) || is_search(method, path) {
        return Need::Role(Role::Viewer);
    }
    let deletes = below(path, "mlflow").is_some_and(|rest| DELETIONS.contains(&rest.as_str()));
    Need::Role(if deletes { Role::Admin } else { Role::Editor })
}

/// A call that leaves a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Audited {
    /// What was done.
    pub what: &'static str,
    /// What it was done to.
    pub subject: &'static str,
    /// The fields that name the subject, each with its older name; none where the path names it.
    pub fields: &'static [[&'static str; 2]],
}

/// The record that a call leaves once it succeeded.
pub(super) fn audited(method: &Method, path: &str) -> Option<Audited> {
    const EXPERIMENT: &[[&str; 2]] = &[["experiment_id", "experimentId"]];
    const RUN: &[[&str; 2]] = &[["run_id", "run_uuid"]];
    const MODEL: &[[&str; 2]] = &[["name", "name"]];
    const VERSION: &[[&str; 2]] = &[["name", "name"], ["version", "version"]];
    if is_safe(method) {
        return None;
    }
    let of = |what, subject, fields| {
        Some(Audited {
            what,
            subject,
            fields,
        })
    };
    if path == "/api/v1/budgets" || path.starts_with("/api/v1/budgets/") {
        return of("budget changed", "budget", MODEL);
    }
    if let Some(rest) = below(path, "mlflow-artifacts") {
        let deletes = *method == Method::DELETE && rest == "/artifacts/{*path}";
        return deletes.then_some(Audited {
            what: "files deleted",
            subject: "artifact",
            fields: &[],
        });
    }
    match below(path, "mlflow")?.as_str() {
        "/experiments/delete" => of("experiment deleted", "experiment", EXPERIMENT),
        "/experiments/restore" => of("experiment restored", "experiment", EXPERIMENT),
        "/runs/delete" => of("run deleted", "run", RUN),
        "/runs/restore" => of("run restored", "run", RUN),
        "/registered-models/delete" => of("model deleted", "model", MODEL),
        "/model-versions/delete" => of("model version deleted", "model", VERSION),
        "/logged-models/{id}" if *method == Method::DELETE => {
            of("logged model deleted", "logged-model", &[])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_not_known_to_be_harmless_is_guarded() {
        let viewer = Need::Role(Role::Viewer);
        let editor = Need::Role(Role::Editor);
        let admin = Need::Role(Role::Admin);
        for (method, path, expected) in [
            (Method::GET, "/health", Need::Nothing),
            (Method::GET, "/assets/x.js", Need::Nothing),
            (Method::GET, "/", viewer),
            (Method::GET, "/healthy", viewer),
            (Method::GET, "/nowhere", viewer),
            (Method::PUT, "/nowhere", editor),
            (Method::POST, "/api/2.0/mlflow/runs/search", viewer),
            (Method::POST, "/plan/answer", viewer),
            (Method::POST, "/v1/metrics", editor),
            (Method::GET, "/metrics", viewer),
            (Method::PUT, "/api/2.0/mlflow/runs/search", editor),
            (Method::POST, "/ajax-api/2.0/mlflow/runs/create", editor),
            (Method::POST, "/api/v1/runs/search", editor),
            (Method::POST, "/api/2.0/mlflow/experiments/delete", admin),
            (
                Method::DELETE,
                "/api/2.0/mlflow/registered-models/delete",
                admin,
            ),
            (
                Method::DELETE,
                "/api/2.0/mlflow/model-versions/delete",
                editor,
            ),
            (Method::GET, "/api/v1/users", admin),
            (Method::GET, "/users", admin),
            (Method::POST, "/users/remove", admin),
            (Method::POST, "/account/tokens", viewer),
            (Method::POST, "/account/anything", editor),
            (Method::DELETE, "/api/v1/tokens/{id}", viewer),
            (
                Method::PUT,
                "/api/2.0/mlflow-artifacts/mpu/part/{upload}/{number}/{*path}",
                Need::Upload,
            ),
            (
                Method::GET,
                "/api/2.0/mlflow-artifacts/mpu/part/{upload}/{number}/{*path}",
                viewer,
            ),
            (
                Method::PUT,
                "/api/2.0/mlflow-artifacts/mpu/part/a/1/../../artifacts/x",
                editor,
            ),
        ] {
            assert_eq!(need(&method, path), expected, "{method} {path}");
        }
    }
}
