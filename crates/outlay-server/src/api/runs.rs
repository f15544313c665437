//! The table of runs: pages of it, its groups, and the columns that it can have.

use axum::Json;
use axum::extract::State;
use outlay_ledger::{Field, KeyKind, Order, RunQuery, View, Wanted};
use serde::Serialize;
use utoipa::ToSchema;

use super::fault::{ApiFault, Failure, Query, short};
use super::shapes::RunView;
use crate::App;
use crate::mlflow::search;

/// Most columns of a table.
const COLUMNS: usize = 50;

/// Most rows of a page.
const ROWS: i64 = 1000;

/// Most groups.
const GROUPS: i64 = 1000;

/// Attributes that a table can be sorted by besides MLflow's.
const OWN: [&str; 5] = ["spent_usd", "duration_s", "project", "team", "host"];

/// A page of runs.
#[derive(Serialize, ToSchema)]
pub struct Runs {
    /// The runs of the page.
    runs: Vec<RunView>,
    /// How many meet the filter.
    n_all: i64,
    /// The place of the first in all.
    offset: i64,
}

/// A part of the name of a column: `metrics.`, `params.`, `tags.` or nothing.
fn field(name: &str) -> Field {
    match name.split_once('.') {
        Some(("metrics" | "metric", key)) => Field::Metric(key.to_owned()),
        Some(("params" | "param", key)) => Field::Parameter(key.to_owned()),
        Some(("tags" | "tag", key)) => Field::Tag(key.to_owned()),
        Some(("attributes" | "attribute", key)) => Field::Attribute(key.to_owned()),
        _ => Field::Attribute(name.to_owned()),
    }
}

fn wanted(columns: &[String]) -> Result<Wanted, ApiFault> {
    let mut wanted = Wanted {
        spent: true,
        ..Wanted::default()
    };
    for column in columns {
        match field(column) {
            Field::Metric(key) => wanted.metrics.push(key),
            Field::Parameter(key) => wanted.params.push(key),
            Field::Tag(key) => wanted.tags.push(key),
            _ => {
                return Err(ApiFault::invalid(format!(
                    "`column` is `{}`; allowed: metrics.NAME, params.NAME, tags.NAME. A run's own fields are always \
                     there.",
                    short(column)
                )));
            }
        }
    }
    Ok(wanted)
}

/// What makes a field of a metric's key.
type EndOf = fn(String) -> Field;

/// The least or greatest value of a metric, where an order is by it: `min:metrics.loss`.
fn end_of(order: &str) -> Option<(EndOf, &str)> {
    let (end, metric) = order.trim().split_once(':')?;
    match end {
        "min" => Some((Field::Least, metric)),
        "max" => Some((Field::Greatest, metric)),
        _ => None,
    }
}

fn order(asked: &[String]) -> Result<Vec<Order>, ApiFault> {
    let mut orders = Vec::new();
    let mut mlflow = Vec::new();
    for one in asked {
        let (name, direction) = match one.trim().rsplit_once(' ') {
            Some((name, direction)) => (name.trim(), direction),
            None => (one.trim(), "ASC"),
        };
        let ascending = direction.eq_ignore_ascii_case("asc");
        let is_own = OWN.contains(&name) && (ascending || direction.eq_ignore_ascii_case("desc"));
        if is_own {
            if !mlflow.is_empty() {
                orders.append(&mut search::runs_order(&std::mem::take(&mut mlflow))?);
            }
            orders.push(Order {
                field: Field::Attribute(name.to_owned()),
                ascending,
                dataset: None,
            });
        } else if let Some((end, metric)) = end_of(one) {
            if !mlflow.is_empty() {
                orders.append(&mut search::runs_order(&std::mem::take(&mut mlflow))?);
            }
            for mut order in search::runs_order(&[metric.to_owned()])? {
                let Field::Metric(key) = order.field else {
                    return Err(ApiFault::invalid(format!(
                        "`order_by` is `{}`; allowed after `min:` and `max:`: metrics.NAME.",
                        short(one)
                    )));
                };
                order.field = end(key);
                orders.push(order);
            }
        } else {
            mlflow.push(one.clone());
        }
    }
    if !mlflow.is_empty() {
        orders.append(&mut search::runs_order(&mlflow)?);
    }
    Ok(orders)
}

/// What a request asks of runs, whatever its page.
fn asked(query: &Query) -> Result<RunQuery, ApiFault> {
    let view = match query.text("view")?.as_deref() {
        None | Some("active") => View::Active,
        Some("deleted") => View::Deleted,
        Some("all") => View::All,
        Some(other) => {
            return Err(ApiFault::invalid(format!(
                "`view` is `{}`; allowed: active, deleted, all.",
                short(other)
            )));
        }
    };
    Ok(RunQuery {
        view,
        conditions: search::runs_filter(&query.text("filter")?.unwrap_or_default())?,
        order: order(&query.texts("order_by", 10)?)?,
        ..RunQuery::default()
    })
}

/// A page of the runs that meet a filter, with the columns that are asked for
#[utoipa::path(get, path = "/api/v1/runs", tag = "runs",
    params(
        ("filter" = Option<String>, Query, description = "What must hold, as MLflow writes it: metrics.loss < 0.3 AND params.lr = '0.1'"),
        ("order_by" = Option<Vec<String>>, Query, description = "By what to sort, such as metrics.loss DESC or min:metrics.loss; also spent_usd, duration_s, project, team, host"),
        ("column" = Option<Vec<String>>, Query, description = "Columns besides a run's own: metrics.NAME, params.NAME, tags.NAME; up to 50"),
        ("view" = Option<String>, Query, description = "active, deleted or all"),
        ("offset" = Option<i64>, Query, minimum = 0, description = "Runs to pass over"),
        ("limit" = Option<i64>, Query, minimum = 0, maximum = 1000, description = "Most runs of the page; 100 where nothing is said"),
    ),
    responses((status = 200, body = Runs), (status = 400, body = Failure)))]
pub async fn list(State(app): State<App>, query: Query) -> Result<Json<Runs>, ApiFault> {
    query.only(&["filter", "order_by", "column", "view", "offset", "limit"])?;
    let mut run_query = asked(&query)?;
    run_query.offset = query.integer("offset", 0, i64::MAX)?.unwrap_or(0);
    run_query.limit = query.integer("limit", 0, ROWS)?.unwrap_or(100);
    let wanted = wanted(&query.texts("column", COLUMNS)?)?;
    let (rows, n_all) = tokio::try_join!(
        app.ledger().run_rows(&run_query, &wanted),
        app.ledger().count_runs(&run_query),
    )?;
    Ok(Json(Runs {
        runs: rows.into_iter().map(RunView::from).collect(),
        n_all,
        offset: run_query.offset,
    }))
}

/// Runs that have the same value of something.
#[derive(Serialize, ToSchema)]
pub struct GroupView {
    /// The value; absent for runs that have none.
    value: Option<String>,
    /// How many runs.
    n_runs: i64,
    /// What they spent together in US dollars, in millionths.
    spent_usd_micro: i64,
}

/// The groups of runs.
#[derive(Serialize, ToSchema)]
pub struct Groups {
    /// The groups, by value; what has none last.
    groups: Vec<GroupView>,
    /// Whether there are more than are told.
    has_more: bool,
}

/// The runs that meet a filter, counted by the value of something, in the order of a page that is sorted by it
#[utoipa::path(get, path = "/api/v1/runs/groups", tag = "runs",
    params(
        ("by" = String, Query, description = "An attribute that is a text (project, team, status, host, user_id), params.NAME or tags.NAME"),
        ("filter" = Option<String>, Query, description = "What must hold, as MLflow writes it"),
        ("view" = Option<String>, Query, description = "active, deleted or all"),
    ),
    responses((status = 200, body = Groups), (status = 400, body = Failure)))]
pub async fn groups(State(app): State<App>, query: Query) -> Result<Json<Groups>, ApiFault> {
    query.only(&["by", "filter", "view"])?;
    let by = query.text("by")?.ok_or_else(|| {
        ApiFault::invalid("`by` is missing; allowed: project, status, params.NAME and the like.")
    })?;
    let groups = app
        .ledger()
        .run_groups(&asked(&query)?, &field(&by), GROUPS + 1)
        .await?;
    let has_more = groups.len() as i64 > GROUPS;
    let view = |group: outlay_ledger::RunGroup| GroupView {
        value: group.value,
        n_runs: group.n_runs,
        spent_usd_micro: group.spent_usd.0,
    };
    Ok(Json(Groups {
        groups: groups.into_iter().take(GROUPS as usize).map(view).collect(),
        has_more,
    }))
}

/// Columns that a table can have besides a run's own.
#[derive(Serialize, ToSchema)]
pub struct Columns {
    /// Names of metrics.
    metrics: Vec<String>,
    /// Names of parameters.
    params: Vec<String>,
    /// Names of tags.
    tags: Vec<String>,
}

/// Names of metrics, parameters and tags that contain a text
#[utoipa::path(get, path = "/api/v1/runs/columns", tag = "runs",
    params(
        ("containing" = Option<String>, Query, description = "A part of the name, whatever its capitals"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 1000, description = "Most names of each; 50 where nothing is said"),
    ),
    responses((status = 200, body = Columns), (status = 400, body = Failure)))]
pub async fn columns(State(app): State<App>, query: Query) -> Result<Json<Columns>, ApiFault> {
    query.only(&["containing", "limit"])?;
    let part = query.text("containing")?.unwrap_or_default();
    let limit = query.integer("limit", 1, 1000)?.unwrap_or(50);
    let ledger = app.ledger();
    let (metrics, params, tags) = tokio::try_join!(
        ledger.run_keys(KeyKind::Metric, &part, limit),
        ledger.run_keys(KeyKind::Param, &part, limit),
        ledger.run_keys(KeyKind::Tag, &part, limit),
    )?;
    Ok(Json(Columns {
        metrics,
        params,
        tags,
    }))
}
