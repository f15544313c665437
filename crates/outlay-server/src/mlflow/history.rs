//! The histories of metrics.

use std::cmp::Ordering;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use outlay_ledger::Point;
use serde::Serialize;

use super::ask::{self, Ask};
use super::error::{ApiError, Code};
use super::{search, wire};
use crate::App;

/// Most points of a reply about several runs.
const BULK_POINTS: i64 = 25_000;

/// Most runs of one such request.
const BULK_RUNS: usize = 100;

/// Most points for each run where points are picked evenly.
const INTERVAL_POINTS: i64 = 2500;

#[derive(Serialize)]
struct History<'a> {
    metrics: Vec<wire::MetricPoint<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

fn written(history: &History<'_>) -> Result<Response, ApiError> {
    let bytes = if history.metrics.is_empty() {
        b"{}".to_vec()
    } else {
        serde_json::to_vec(history)
            .map_err(|error| ApiError::new(Code::InternalError, error.to_string()))?
    };
    Ok((
        [(header::CONTENT_TYPE, "application/json")],
        Body::from(bytes),
    )
        .into_response())
}

pub async fn get(State(app): State<App>, ask: Ask) -> Result<Response, ApiError> {
    let run_id = ask.run_id()?;
    let key = ask.required("metric_key")?;
    let n_max = ask.integer("max_results")?;
    if let Some(n_max) = n_max.filter(|n_max| *n_max <= 0) {
        return Err(ApiError::invalid(format!(
            "Invalid value {n_max} for parameter 'max_results' supplied. It must be a positive integer."
        )));
    }
    let offset = search::offset(ask.text("page_token")?.as_deref())?;
    let limit = n_max.map_or(i64::MAX, |n_max| n_max.saturating_add(1));
    app.ledger().run_is_there(&run_id).await?;
    let mut points = app.ledger().history(&run_id, &key, offset, limit).await?;
    let mut next = None;
    if let Some(n_max) = n_max.filter(|n_max| points.len() as i64 > *n_max) {
        points.truncate(n_max as usize);
        next = Some(search::token(offset.saturating_add(n_max)));
    }
    let metric = |point: &Point| wire::MetricPoint {
        key: &key,
        point: *point,
        run_id: None,
    };
    written(&History {
        metrics: points.iter().map(metric).collect(),
        next_page_token: next,
    })
}

pub async fn get_bulk(State(app): State<App>, ask: Ask) -> Result<Response, ApiError> {
    let mut run_ids = ask.texts("run_id")?;
    if run_ids.is_empty() {
        return Err(ApiError::invalid(
            "GetMetricHistoryBulk request must specify at least one run_id.",
        ));
    }
    if run_ids.len() > BULK_RUNS {
        return Err(ApiError::invalid(format!(
            "GetMetricHistoryBulk request cannot specify more than {BULK_RUNS} run_ids. Received {} run_ids.",
            run_ids.len()
        )));
    }
    let key = ask.text("metric_key")?.ok_or_else(|| {
        ApiError::invalid("GetMetricHistoryBulk request must specify a metric_key.")
    })?;
    let n_max = ask
        .integer("max_results")?
        .unwrap_or(BULK_POINTS)
        .clamp(0, BULK_POINTS);
    run_ids.sort_unstable();
    run_ids.dedup();
    let mut all: Vec<(usize, Point)> = Vec::new();
    for (at, run_id) in run_ids.iter().enumerate() {
        let left = n_max - all.len() as i64;
        if left <= 0 {
            break;
        }
        let points = app.ledger().history(run_id, &key, 0, left).await?;
        all.extend(points.into_iter().map(|point| (at, point)));
    }
    let bytes = serde_json::to_vec(&History {
        metrics: of_runs(&run_ids, &key, &all),
        next_page_token: None,
    })
    .map_err(|error| ApiError::new(Code::InternalError, error.to_string()))?;
    Ok((
        [(header::CONTENT_TYPE, "application/json")],
        Body::from(bytes),
    )
        .into_response())
}

fn of_runs<'a>(
    run_ids: &'a [String],
    key: &'a str,
    points: &[(usize, Point)],
) -> Vec<wire::MetricPoint<'a>> {
    points
        .iter()
        .map(|(at, point)| wire::MetricPoint {
            key,
            point: *point,
            run_id: Some(&run_ids[*at]),
        })
        .collect()
}

/// Some points, evenly picked, the first and the last among them.
fn picked(points: Vec<Point>, n_max: usize) -> Vec<Point> {
    let n = points.len();
    if n <= n_max {
        return points;
    }
    if n_max == 1 {
        return points.last().copied().into_iter().collect();
    }
    (0..n_max)
        .map(|at| points[at * (n - 1) / (n_max - 1)])
        .collect()
}

pub async fn get_interval(State(app): State<App>, ask: Ask) -> Result<Response, ApiError> {
    let run_ids = ask.texts("run_ids")?;
    if run_ids.is_empty() {
        return Err(ask::required("run_ids"));
    }
    if run_ids.len() > BULK_RUNS {
        return Err(ask::refused_see(&format!(
            "GetMetricHistoryBulkInterval request must specify at most {BULK_RUNS} run_ids. Received {} run_ids.",
            run_ids.len()
        )));
    }
    let key = ask.required("metric_key")?;
    let n_max = ask.integer("max_results")?.unwrap_or(INTERVAL_POINTS);
    if !(1..=INTERVAL_POINTS).contains(&n_max) {
        return Err(ask::refused_see(&format!(
            "max_results must be between 1 and {INTERVAL_POINTS}."
        )));
    }
    let steps = match (ask.integer("start_step")?, ask.integer("end_step")?) {
        (Some(start), Some(end)) if start > end => {
            return Err(ApiError::invalid(format!(
                "end_step must be greater than start_step. Found start_step={start} and end_step={end}."
            )));
        }
        (Some(start), Some(end)) => start..=end,
        (None, None) => i64::MIN..=i64::MAX,
        _ => {
            return Err(ApiError::invalid(
                "If either start step or end step are specified, both must be specified.",
            ));
        }
    };
    for run_id in &run_ids {
        app.ledger().run_is_there(run_id).await?;
    }
    let mut all: Vec<(usize, Point)> = Vec::new();
    for (at, run_id) in run_ids.iter().enumerate() {
        let mut points = app.ledger().points(run_id, &key).await?;
        points.retain(|point| steps.contains(&point.step));
        points.sort_by(|one, other| {
            (one.step, one.at_us).cmp(&(other.step, other.at_us)).then(
                one.value
                    .partial_cmp(&other.value)
                    .unwrap_or(Ordering::Equal),
            )
        });
        all.extend(
            picked(points, n_max as usize)
                .into_iter()
                .map(|point| (at, point)),
        );
    }
    written(&History {
        metrics: of_runs(&run_ids, &key, &all),
        next_page_token: None,
    })
}
