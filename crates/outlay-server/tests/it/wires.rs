//! Other programs' wires: OpenTelemetry's metrics in, Prometheus' out.

use std::path::Path;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use outlay_ledger::{Batch, Budget, Ledger, Micro, Period, Place, Run, RunStatus, Spending};
use outlay_server::artifacts::Artifacts;
use outlay_server::{App, Settings, router};
use tower::ServiceExt;

fn now_us() -> i64 {
    1_700_000_000_000_000
}

async fn app(folder: &Path) -> App {
    let ledger = Ledger::open(&Place::File(folder.join("ledger.db")), true)
        .await
        .expect("opens");
    let settings = Settings {
        artifact_root: "mlflow-artifacts:".to_owned(),
        folder: folder.to_path_buf(),
        now_us,
        refuse_over_budget: true,
        truncate_long_values: true,
    };
    App::new(
        ledger,
        Artifacts::folder(folder.join("artifacts")),
        settings,
    )
}

/// Sends a request; gives the status, the type and the body.
async fn sent(app: &App, request: Request<Body>) -> (StatusCode, String, String) {
    let response = router(app.clone())
        .oneshot(request)
        .await
        .expect("is answered");
    let status = response.status();
    let kind = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let body = axum::body::to_bytes(response.into_body(), 1 << 24)
        .await
        .expect("has a body");
    (status, kind, String::from_utf8_lossy(&body).into_owned())
}

async fn exported(app: &App, body: &str) -> (StatusCode, String, String) {
    let request = Request::post("/v1/metrics")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_owned()))
        .expect("is a request");
    sent(app, request).await
}

fn run(id: &str) -> Run {
    Run {
        id: id.to_owned(),
        name: "a \"run\"\\\n".to_owned(),
        project: "paper".to_owned(),
        team: String::new(),
        who: String::new(),
        host: String::new(),
        command: Vec::new(),
        status: RunStatus::Running,
        started_us: 1_600_000_000_500_000,
        seen_us: 0,
        ended_us: None,
        exit_code: None,
        state: serde_json::Value::Null,
        summary: None,
        experiment_id: 0,
        artifact_uri: String::new(),
        deleted_us: None,
    }
}

fn resource(attribute: &str, value: &str, name: &str, value_of: &str) -> String {
    format!(
        r#"{{"resource": {{"attributes": [{{"key": "{attribute}", "value": {{"stringValue": "{value}"}}}}]}},
            "scopeMetrics": [{{"metrics": [{{"name": "{name}", "gauge": {{"dataPoints": [
                {{"timeUnixNano": "1700000000000000000", "asDouble": {value_of}}}]}}}}]}}]}}"#
    )
}

#[tokio::test]
async fn metrics_of_opentelemetry_go_to_their_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = app(folder.path()).await;
    let batch = Batch {
        runs: vec![run("r1")],
        ..Batch::default()
    };
    app.ledger().write(batch).await.expect("is written");
    let body = format!(
        r#"{{"resourceMetrics": [{}, {}, {}, {}]}}"#,
        resource("outlay.run_id", "r1", "loss", "0.5"),
        resource("mlflow.run_id", "absent", "loss", "0.5"),
        resource("service.name", "trainer", "loss", "0.25"),
        resource("other", "x", "loss", "1"),
    );
    for _ in 0..2 {
        let (status, kind, body) = exported(&app, &body).await;
        assert_eq!(
            (status, kind.as_str()),
            (StatusCode::OK, "application/json"),
            "{body}"
        );
        assert!(
            body.contains(r#""rejectedDataPoints":"2""#) && body.contains("absent"),
            "{body}"
        );
    }
    let points = app.ledger().points("r1", "loss").await.expect("are read");
    assert_eq!(
        (points.len(), points[0].at_us, points[0].value),
        (1, 1_700_000_000_000_000, 0.5)
    );
    let runs = app.ledger().runs(10).await.expect("are read");
    assert_eq!(runs.len(), 2);
    let made = runs
        .iter()
        .find(|run| run.name == "trainer")
        .expect("is made");
    assert_eq!(
        app.ledger()
            .points(&made.id, "loss")
            .await
            .expect("are read")
            .len(),
        1
    );

    let (status, _, body) = exported(&app, r#"{"resourceMetrics": []}"#).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "{}"));
    let (status, _, body) = exported(&app, "{").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    for (name, value) in [
        (header::CONTENT_TYPE, "text/plain"),
        (header::CONTENT_ENCODING, "br"),
    ] {
        let mut request = Request::post("/v1/metrics")
            .body(Body::empty())
            .expect("is a request");
        let kind = "application/x-protobuf".parse().expect("is a value");
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        request
            .headers_mut()
            .insert(name, value.parse().expect("is a value"));
        let (status, kind, _) = sent(&app, request).await;
        assert_eq!(
            (status, kind.as_str()),
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "application/x-protobuf")
        );
    }
    let large = Request::post("/v1/metrics")
        .header(header::CONTENT_TYPE, "application/x-protobuf")
        .body(Body::from(vec![0; 17 << 20]))
        .expect("is a request");
    assert_eq!(sent(&app, large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

fn spent(entry: &str, project: &str, micro: i64) -> Spending {
    Spending {
        entry: entry.to_owned(),
        run_id: None,
        project: project.to_owned(),
        team: String::new(),
        kind: "compute".to_owned(),
        from_us: 0,
        to_us: 1,
        amount_micro: Micro(micro),
        currency: "USD".to_owned(),
        quality: "modelled".to_owned(),
        note: String::new(),
    }
}

/// A server's metrics, in a form.
async fn scraped(app: &App, accept: &str) -> (String, String) {
    let request = Request::get("/metrics")
        .header(header::ACCEPT, accept)
        .body(Body::empty())
        .expect("is a request");
    let (status, kind, body) = sent(app, request).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    (kind, body)
}

#[tokio::test]
async fn prometheus_reads_money_runs_and_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = app(folder.path()).await;
    let budget = Budget {
        name: "november".to_owned(),
        project: "paper".to_owned(),
        team: String::new(),
        period: Period::Total,
        limit_micro: Micro(50_000_000),
        currency: "USD".to_owned(),
        warn_at_percent: Vec::new(),
        set_us: 0,
    };
    let mut batch = Batch {
        runs: vec![run("r1")],
        budgets: vec![budget],
        spending: vec![
            spent("a", "paper", 2_500_000),
            spent("b", "paper", 1_000_000),
        ],
        ..Batch::default()
    };
    batch
        .spending
        .extend((0..600).map(|n| spent(&format!("e{n}"), &format!("p{n}"), 1_000 + n)));
    batch.series.push(outlay_ledger::Series {
        run_id: "r1".to_owned(),
        key: "loss".to_owned(),
        points: vec![outlay_ledger::Point {
            step: 0,
            at_us: 0,
            value: f64::NAN,
        }],
    });
    app.ledger().write(batch).await.expect("is written");

    // Each router is made anew, and what was asked is counted all the same.
    let (kind, plain) = scraped(&app, "").await;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let (kind, open) = scraped(&app, "application/openmetrics-text; version=1.0.0").await;
    assert_eq!(
        kind,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    for line in [
        "outlay_spent{project=\"paper\",team=\"\",currency=\"USD\"} 3.5",
        "outlay_budget_limit{budget=\"november\",project=\"paper\",team=\"\",period=\"total\",currency=\"USD\"} 50.0",
        "outlay_budget_spent{budget=\"november\",project=\"paper\",team=\"\",period=\"total\",currency=\"USD\"} 3.5",
        "outlay_runs{status=\"running\"} 1.0",
        "outlay_run_metric{run_id=\"r1\",metric=\"loss\"} NaN",
        "outlay_run_start_time_seconds{run_id=\"r1\",run=\"a \\\"run\\\"\\\\\\n\",project=\"paper\",team=\"\"} 1600000000.5",
        "outlay_evidence_records_total 0.0",
        "outlay_left_out{kind=\"owners\"} 101.0",
        "# TYPE outlay_http_request_duration_seconds histogram",
        "outlay_http_request_duration_seconds_bucket{class=\"metrics\",le=\"+Inf\"} 0.0",
    ] {
        assert!(
            plain.lines().any(|other| other == line),
            "no `{line}` in\n{plain}"
        );
    }
    assert!(
        plain.contains("# TYPE outlay_http_requests_total counter"),
        "{plain}"
    );
    assert!(!plain.contains("# EOF") && open.ends_with("# EOF\n"));
    for line in [
        "# TYPE outlay_http_requests counter",
        "# UNIT outlay_run_start_time_seconds seconds",
        "outlay_http_requests_total{class=\"metrics\",status=\"2xx\"} 1.0",
    ] {
        assert!(
            open.lines().any(|other| other == line),
            "no `{line}` in\n{open}"
        );
    }
    assert_eq!(
        plain
            .lines()
            .filter(|line| line.starts_with("outlay_spent{"))
            .count(),
        500
    );
}
