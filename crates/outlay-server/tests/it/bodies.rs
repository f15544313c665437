//! Whatever a client sends to a path of MLflow's, it is answered or refused: nothing breaks.

use std::sync::OnceLock;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use outlay_ledger::{Ledger, Place};
use outlay_server::artifacts::Artifacts;
use outlay_server::{App, Settings, router};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tower::ServiceExt;

/// Methods and paths, below `/api/2.0/mlflow/`.
const PATHS: &[(&str, &str)] = &[
    ("POST", "experiments/create"),
    ("POST", "experiments/search"),
    ("GET", "experiments/search"),
    ("GET", "experiments/get"),
    ("GET", "experiments/get-by-name"),
    ("POST", "experiments/delete"),
    ("POST", "experiments/restore"),
    ("POST", "experiments/update"),
    ("POST", "experiments/set-experiment-tag"),
    ("POST", "experiments/delete-experiment-tag"),
    ("POST", "experiments/search-datasets"),
    ("POST", "runs/create"),
    ("POST", "runs/update"),
    ("POST", "runs/delete"),
    ("POST", "runs/restore"),
    ("GET", "runs/get"),
    ("POST", "runs/search"),
    ("POST", "runs/create-promptlab-run"),
    ("POST", "runs/log-metric"),
    ("POST", "runs/log-parameter"),
    ("POST", "runs/log-batch"),
    ("POST", "runs/set-tag"),
    ("POST", "runs/delete-tag"),
    ("POST", "runs/log-model"),
    ("POST", "runs/log-inputs"),
    ("POST", "runs/outputs"),
    ("GET", "metrics/get-history"),
    ("GET", "metrics/get-history-bulk"),
    ("GET", "metrics/get-history-bulk-interval"),
    ("GET", "artifacts/list"),
    ("POST", "upload-artifact"),
    ("GET", "get-artifact"),
    ("POST", "registered-models/create"),
    ("POST", "registered-models/rename"),
    ("PATCH", "registered-models/update"),
    ("DELETE", "registered-models/delete"),
    ("GET", "registered-models/get"),
    ("GET", "registered-models/search"),
    ("GET", "registered-models/get-latest-versions"),
    ("POST", "registered-models/get-latest-versions"),
    ("POST", "registered-models/set-tag"),
    ("DELETE", "registered-models/delete-tag"),
    ("POST", "registered-models/alias"),
    ("DELETE", "registered-models/alias"),
    ("GET", "registered-models/alias"),
    ("POST", "model-versions/create"),
    ("PATCH", "model-versions/update"),
    ("POST", "model-versions/transition-stage"),
    ("DELETE", "model-versions/delete"),
    ("GET", "model-versions/get"),
    ("GET", "model-versions/search"),
    ("GET", "model-versions/get-download-uri"),
    ("POST", "model-versions/set-tag"),
    ("DELETE", "model-versions/delete-tag"),
    ("POST", "logged-models"),
    ("POST", "logged-models/search"),
    ("GET", "logged-models/m-1"),
    ("PATCH", "logged-models/m-1"),
    ("POST", "logged-models/m-1/params"),
    ("PATCH", "logged-models/m-1/tags"),
    ("DELETE", "logged-models/m-1/tags/a"),
    ("GET", "logged-models/m-1/artifacts/files"),
];

/// Every field that some request has.
const FIELDS: &[&str] = &[
    "alias",
    "archive_existing_versions",
    "artifact_location",
    "artifact_uri",
    "ascending",
    "current_stage",
    "dataset",
    "dataset_digest",
    "dataset_name",
    "datasets",
    "description",
    "digest",
    "end_step",
    "end_time",
    "experiment_id",
    "experiment_ids",
    "field_name",
    "filter",
    "filter_string",
    "key",
    "lifecycle_stage",
    "max_results",
    "metric_key",
    "metrics",
    "model_id",
    "model_input",
    "model_json",
    "model_output",
    "model_parameters",
    "model_route",
    "model_type",
    "models",
    "name",
    "new_experiment_name",
    "new_name",
    "order_by",
    "page_token",
    "params",
    "path",
    "profile",
    "prompt_parameters",
    "prompt_template",
    "run_id",
    "run_ids",
    "run_link",
    "run_name",
    "run_uuid",
    "run_view_type",
    "schema",
    "source",
    "source_run_id",
    "source_type",
    "stage",
    "stages",
    "start_step",
    "start_time",
    "status",
    "status_message",
    "step",
    "tags",
    "timestamp",
    "user_id",
    "value",
    "version",
    "view_type",
];

/// A server with one of each thing, and the id of its run.
fn shared() -> &'static (tokio::runtime::Runtime, Router, String, tempfile::TempDir) {
    static SHARED: OnceLock<(tokio::runtime::Runtime, Router, String, tempfile::TempDir)> =
        OnceLock::new();
    SHARED.get_or_init(|| {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let (router, run) = runtime.block_on(async {
            let ledger = Ledger::open(&Place::File(folder.path().join("ledger.db")), true)
                .await
                .expect("opens");
            let settings = Settings {
                artifact_root: "mlflow-artifacts:".to_owned(),
                folder: folder.path().to_path_buf(),
                now_us: || 1_700_000_000_000_000,
                refuse_over_budget: true,
                truncate_long_values: true,
            };
            let artifacts = Artifacts::folder(folder.path().join("artifacts"));
            let router = router(App::new(ledger, artifacts, settings));
            let (_, run) = sent(
                &router,
                "POST",
                "runs/create",
                &json!({"experiment_id": "0"}),
            )
            .await;
            let run: Value = serde_json::from_str(&run).expect("is JSON");
            let run = run["run"]["info"]["run_id"]
                .as_str()
                .expect("has an id")
                .to_owned();
            for (path, body) in [
                (
                    "runs/log-metric",
                    json!({"run_id": run, "key": "a", "value": 1.0, "timestamp": 5}),
                ),
                ("registered-models/create", json!({"name": "a"})),
                (
                    "model-versions/create",
                    json!({"name": "a", "source": format!("mlflow-artifacts:/0/{run}/artifacts"), "run_id": run}),
                ),
            ] {
                let (status, text) = sent(&router, "POST", path, &body).await;
                assert_eq!(status, 200, "{path}: {text}");
            }
            (router, run)
        });
        (runtime, router, run, folder)
    })
}

/// Sends a request: the fields as a body, or as a query where it has none.
async fn sent(router: &Router, method: &str, path: &str, body: &Value) -> (u16, String) {
    let mut address = format!("/api/2.0/mlflow/{path}");
    let mut text = body.to_string();
    if method == "GET" {
        let pairs: Vec<String> = body
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| {
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                let escaped: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
                format!("{name}={escaped}")
            })
            .collect();
        address = format!("{address}?{}", pairs.join("&"));
        // No longer address can be sent.
        address.truncate(65_000);
        text = String::new();
    }
    let request = Request::builder()
        .method(method)
        .uri(address)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(text))
        .expect("is a request");
    let response = router.clone().oneshot(request).await.expect("is answered");
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 26)
        .await
        .expect("has a body");
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// Values that one thing or another may choke on; `@run` stands for the run's id.
fn leaves() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::num::f64::ANY.prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "0",
            "1",
            "-1",
            "@run",
            "a",
            "NaN",
            "Infinity",
            "1e999",
            "ACTIVE_ONLY",
            "ALL",
            "FINISHED",
            "9223372036854775807",
            "9223372036854775808",
            "latest",
            "Production",
            "..",
            "../x",
            "a/../b",
            "/etc/passwd",
            "file:///etc/passwd",
            "mlflow-artifacts:/0/x",
            "runs:/@run/x",
            "models:/a/1",
            "s3://b/c",
            "m-1",
            "metrics.a > 1 and params.b = 'x'",
            "tags.`mlflow.runName` LIKE '%'",
            "name ILIKE 'a%'",
            "metrics.a DESC",
            "attributes.start_time ASC",
            "\u{0}",
            "\u{feff}",
            "'; DROP TABLE runs; --",
            "{\"a\": 1}",
            "eyJvZmZzZXQiOiAxMH0=",
        ])
        .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        (1_usize..9000).prop_map(|n| Value::from("é".repeat(n))),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    leaves().prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(FIELDS), inner.clone()), 0..6).prop_map(fields),
            // What most lists hold.
            prop::collection::vec((inner.clone(), inner.clone(), inner), 0..4).prop_map(|all| {
                let entry = |(key, value, step)| json!({"key": key, "value": value, "timestamp": 5, "step": step});
                Value::from(all.into_iter().map(entry).collect::<Vec<Value>>())
            }),
        ]
    })
}

fn fields(all: Vec<(&str, Value)>) -> Value {
    Value::Object(
        all.into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<Map<_, _>>(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_body_is_answered_or_refused(
        (method, path) in prop::sample::select(PATHS),
        all in prop::collection::vec((prop::sample::select(FIELDS), values()), 0..8),
        is_near in any::<bool>(),
    ) {
        let (runtime, router, run, _) = shared();
        let mut body = fields(all);
        if is_near {
            // Half of the requests name things that are there, and so come further.
            for (name, value) in [("run_id", run.as_str()), ("experiment_id", "0"), ("name", "a"), ("version", "1"), ("key", "a")] {
                body.as_object_mut().expect("is one").entry(name).or_insert_with(|| Value::from(value));
            }
        }
        let body: Value = serde_json::from_str(&body.to_string().replace("@run", run)).expect("stays JSON");
        let (status, text) = runtime.block_on(sent(router, method, path, &body));
        prop_assert!(status < 500, "{method} {path} {body}: {status} {text}");
        if status >= 400 {
            let reply: Value = serde_json::from_str(&text).expect("a refusal is JSON");
            prop_assert!(reply["error_code"].is_string() && reply["message"].is_string(), "{method} {path}: {text}");
        }
    }
}

/// Bodies that are no JSON, or none that was meant.
#[test]
fn broken_bodies_are_refused() {
    let (runtime, router, ..) = shared();
    let deep = "[".repeat(100_000);
    let wide = format!("{{\"run_id\":{}1{}}}", "[".repeat(120), "]".repeat(120));
    for body in [
        "",
        "{",
        "nul",
        "\"",
        "[]",
        "3",
        "\"{}\"",
        "\u{feff}{}",
        "{\"a\":1}{",
        &deep,
        &wide,
        "{\"run_id\":\"\\ud800\"}",
    ] {
        for (method, path) in PATHS.iter().filter(|(method, _)| *method != "GET") {
            let request = Request::builder()
                .method(*method)
                .uri(format!("/api/2.0/mlflow/{path}"))
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_owned()))
                .expect("is a request");
            let response = runtime
                .block_on(router.clone().oneshot(request))
                .expect("is answered");
            let status = response.status().as_u16();
            // A search without conditions is a request; most others lack what they need.
            assert!(status < 500, "{method} {path} {body:.60}: {status}");
        }
    }
}
