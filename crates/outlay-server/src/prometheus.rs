//! `GET /metrics`: what Prometheus and its kin read.

mod text;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use outlay_ledger::{
    Condition, Field, LedgerError, Metric, Operand, RunDetail, RunQuery, Test, View,
};

use crate::App;
use crate::mlflow::error::ApiError;
use text::{Exposition, Form, Kind, number};

/// Most projects and teams, budgets, running runs, and metrics of a run that are told.
const OWNERS: usize = 500;
const BUDGETS: usize = 200;
const RUNS: usize = 100;
const RUN_METRICS: usize = 50;

/// What requests are counted as.
const CLASSES: [&str; 7] = [
    "artifacts",
    "log",
    "metrics",
    "mlflow",
    "otlp",
    "other",
    "search",
];

/// What replies are counted as.
const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Upper ends of the buckets of times, in seconds.
const BOUNDS_S: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0,
];

/// What was asked so far, and how long it took.
#[derive(Debug, Default)]
pub struct Requests {
    classes: [Class; CLASSES.len()],
}

#[derive(Debug, Default)]
struct Class {
    by_status: [AtomicU64; STATUSES.len()],
    /// Those that took no longer than the bound, and longer than the one before; at last, those that took longer.
    by_time: [AtomicU64; BOUNDS_S.len() + 1],
    microseconds: AtomicU64,
}

/// What a path is counted as: one of a few, whatever clients ask for.
fn class(path: &str) -> usize {
    let name = if path.contains("/mlflow-artifacts/")
        || path.contains("get-artifact")
        || path.ends_with("upload-artifact")
    {
        "artifacts"
    } else if path.contains("/runs/log-") || path.ends_with("/set-tag") {
        "log"
    } else if path.ends_with("/search") || path.contains("/get-history") {
        "search"
    } else if path.starts_with("/api/") || path.starts_with("/ajax-api/") {
        "mlflow"
    } else if path == "/v1/metrics" {
        "otlp"
    } else if path == "/metrics" {
        "metrics"
    } else {
        "other"
    };
    CLASSES.iter().position(|class| *class == name).unwrap_or(0)
}

/// Counts requests, and how long each takes until its reply begins.
pub async fn measure(State(app): State<App>, request: Request, next: Next) -> Response {
    let of = class(request.uri().path());
    let began_us = app.now_us();
    let response = next.run(request).await;
    let microseconds = u64::try_from(app.now_us() - began_us).unwrap_or(0);
    let class = &app.requests().classes[of];
    let status = usize::from(response.status().as_u16() / 100).clamp(1, STATUSES.len()) - 1;
    class.by_status[status].fetch_add(1, Ordering::Relaxed);
    let seconds = microseconds as f64 / 1e6;
    let bucket = BOUNDS_S
        .iter()
        .position(|bound| seconds <= *bound)
        .unwrap_or(BOUNDS_S.len());
    class.by_time[bucket].fetch_add(1, Ordering::Relaxed);
    class
        .microseconds
        .fetch_add(microseconds, Ordering::Relaxed);
    response
}

/// Where metrics are read.
pub fn router() -> Router<App> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let form = Form::of(accept.unwrap_or_default());
    let mut out = Exposition::new(form);
    let version = env!("CARGO_PKG_VERSION");
    out.family("outlay_build", Kind::Gauge, "", "Which Outlay this is.");
    out.sample(
        "outlay_build",
        &[("version", version), ("mlflow", crate::MLFLOW_VERSION)],
        1.0,
    );
    let mut left_out = BTreeMap::new();
    money(&app, &mut out, &mut left_out).await?;
    runs(&app, &mut out, &mut left_out).await?;
    out.family(
        "outlay_evidence_records",
        Kind::Counter,
        "",
        "Records of evidence in the ledger.",
    );
    out.sample(
        "outlay_evidence_records_total",
        &[],
        app.ledger().n_evidence().await? as f64,
    );
    server(&app, &mut out);
    out.family(
        "outlay_left_out",
        Kind::Gauge,
        "",
        "What there is too much of to tell it all, by kind.",
    );
    for (kind, n) in left_out {
        out.sample("outlay_left_out", &[("kind", kind)], n as f64);
    }
    Ok(([(header::CONTENT_TYPE, form.content_type())], out.finish()).into_response())
}

type LeftOut = BTreeMap<&'static str, usize>;

async fn money(app: &App, out: &mut Exposition, left_out: &mut LeftOut) -> Result<(), LedgerError> {
    let mut spent = app.ledger().spent_by_owner().await?;
    // The greatest first; what is left out is summed for each currency.
    spent.sort_by_key(|one| std::cmp::Reverse(one.amount_micro.0.unsigned_abs()));
    let rest = spent.split_off(spent.len().min(OWNERS));
    left_out.insert("owners", rest.len());
    spent.sort_by(|one, other| {
        (&one.project, &one.team, &one.currency).cmp(&(
            &other.project,
            &other.team,
            &other.currency,
        ))
    });
    out.family(
        "outlay_spent",
        Kind::Gauge,
        "",
        "Money spent, by project, team and currency.",
    );
    for one in &spent {
        let labels = [
            ("project", one.project.as_str()),
            ("team", &one.team),
            ("currency", &one.currency),
        ];
        out.sample("outlay_spent", &labels, one.amount_micro.units());
    }
    let mut others: BTreeMap<&str, i64> = BTreeMap::new();
    for one in &rest {
        let sum = others.entry(&one.currency).or_default();
        *sum = sum.saturating_add(one.amount_micro.0);
    }
    out.family(
        "outlay_spent_by_others",
        Kind::Gauge,
        "",
        "Money spent by projects and teams that are not told one by one.",
    );
    for (currency, micro) in others {
        out.sample(
            "outlay_spent_by_others",
            &[("currency", currency)],
            outlay_ledger::Micro(micro).units(),
        );
    }
    let mut budgets = app.ledger().budgets().await?;
    left_out.insert("budgets", budgets.len().saturating_sub(BUDGETS));
    budgets.truncate(BUDGETS);
    let mut spent = Vec::with_capacity(budgets.len());
    for budget in &budgets {
        spent.push(app.ledger().spent_of(budget, app.now_us()).await?);
    }
    for (name, help) in [
        ("outlay_budget_limit", "The limit of a budget."),
        (
            "outlay_budget_spent",
            "Money spent against a budget, in its period that is now.",
        ),
    ] {
        out.family(name, Kind::Gauge, "", help);
        for (budget, spent) in budgets.iter().zip(&spent) {
            let labels = [
                ("budget", budget.name.as_str()),
                ("project", &budget.project),
                ("team", &budget.team),
                ("period", budget.period.name()),
                ("currency", &budget.currency),
            ];
            let amount = if name == "outlay_budget_limit" {
                budget.limit_micro
            } else {
                *spent
            };
            out.sample(name, &labels, amount.units());
        }
    }
    Ok(())
}

async fn runs(app: &App, out: &mut Exposition, left_out: &mut LeftOut) -> Result<(), LedgerError> {
    let counts = app.ledger().n_runs_by_status().await?;
    out.family(
        "outlay_runs",
        Kind::Gauge,
        "",
        "Runs in the ledger, by how they stand.",
    );
    for (status, n) in &counts {
        out.sample("outlay_runs", &[("status", status.name())], *n as f64);
    }
    let query = RunQuery {
        view: View::Active,
        conditions: vec![Condition {
            field: Field::Attribute("status".to_owned()),
            test: Test::Equal,
            operand: Operand::Text("RUNNING".to_owned()),
            datasets: Vec::new(),
        }],
        limit: RUNS as i64,
        ..RunQuery::default()
    };
    let running = app.ledger().search_runs(&query).await?;
    let n_running: u64 = counts
        .iter()
        .filter(|(status, _)| status.name() == "running")
        .map(|(_, n)| n)
        .sum();
    left_out.insert("runs", (n_running as usize).saturating_sub(running.len()));
    out.family(
        "outlay_run_start_time_seconds",
        Kind::Gauge,
        "seconds",
        "When a run began that runs now, in seconds since 1970; the newest of them.",
    );
    for RunDetail { run, .. } in &running {
        let labels = [
            ("run_id", run.id.as_str()),
            ("run", &run.name),
            ("project", &run.project),
            ("team", &run.team),
        ];
        out.sample(
            "outlay_run_start_time_seconds",
            &labels,
            run.started_us as f64 / 1e6,
        );
    }
    out.family(
        "outlay_run_metric",
        Kind::Gauge,
        "",
        "The newest value of a metric of a run that runs now.",
    );
    let mut n_left = 0;
    for RunDetail { run, metrics, .. } in &running {
        n_left += metrics.len().saturating_sub(RUN_METRICS);
        for Metric { key, last, .. } in metrics.iter().take(RUN_METRICS) {
            out.sample(
                "outlay_run_metric",
                &[("run_id", &run.id), ("metric", key)],
                last.value,
            );
        }
    }
    left_out.insert("run_metrics", n_left);
    Ok(())
}

fn server(app: &App, out: &mut Exposition) {
    let classes = || CLASSES.iter().zip(&app.requests().classes);
    out.family(
        "outlay_http_requests",
        Kind::Counter,
        "",
        "Requests, by what they ask for and how they were answered.",
    );
    for (name, class) in classes() {
        for (status, n) in STATUSES.iter().zip(&class.by_status) {
            let n = n.load(Ordering::Relaxed);
            if n > 0 {
                out.sample(
                    "outlay_http_requests_total",
                    &[("class", name), ("status", status)],
                    n as f64,
                );
            }
        }
    }
    const TIME: &str = "outlay_http_request_duration_seconds";
    out.family(
        TIME,
        Kind::Histogram,
        "seconds",
        "How long requests took until their replies began.",
    );
    for (name, class) in classes() {
        let mut below = 0;
        for (at, n) in class.by_time.iter().enumerate() {
            below += n.load(Ordering::Relaxed);
            let bound = number(BOUNDS_S.get(at).copied().unwrap_or(f64::INFINITY));
            out.sample(
                &format!("{TIME}_bucket"),
                &[("class", name), ("le", &bound)],
                below as f64,
            );
        }
        let seconds = class.microseconds.load(Ordering::Relaxed) as f64 / 1e6;
        out.sample(&format!("{TIME}_count"), &[("class", name)], below as f64);
        out.sample(&format!("{TIME}_sum"), &[("class", name)], seconds);
    }
    out.family(
        "outlay_http_open_connections",
        Kind::Gauge,
        "",
        "Connections that are open.",
    );
    out.sample(
        "outlay_http_open_connections",
        &[],
        crate::open_connections() as f64,
    );
    out.family(
        "outlay_ledger_waiting_writes",
        Kind::Gauge,
        "",
        "Batches that wait to be written to the ledger.",
    );
    out.sample(
        "outlay_ledger_waiting_writes",
        &[],
        app.ledger().n_waiting() as f64,
    );
}
