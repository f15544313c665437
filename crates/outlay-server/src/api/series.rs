//! The history of a metric, with as many points as a picture needs.

use axum::Json;
use axum::extract::{Path, State};
use outlay_ledger::{Point, Run};
use serde::Serialize;
use utoipa::ToSchema;

use super::axis::{Along, Axis};
use super::fault::{ApiFault, Failure, Kind, Query, plain};
use super::lttb::largest_triangles;
use crate::App;

/// Points of a picture where nothing is said.
const POINTS: i64 = 2000;

/// Parts of which the extremes are read, for each point of the picture.
const PARTS_EACH: i64 = 2;

/// The history of a metric, thinned to the points that a picture needs.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SeriesView {
    /// The run.
    pub run_id: String,
    /// The metric.
    pub key: String,
    /// What it is drawn against.
    pub x: &'static str,
    /// Where each point lies: steps, seconds since the run began, dollars or kWh.
    pub places: Vec<f64>,
    /// The step of each point.
    pub steps: Vec<i64>,
    /// The value of each point.
    pub values: Vec<f64>,
    /// Points of the history in the range, of which these were chosen.
    pub n_points: i64,
    /// Points that are no finite numbers, and are not drawn.
    pub n_not_numbers: usize,
}

/// What of a metric is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Against what.
    pub along: Along,
    /// From where.
    pub from: Option<f64>,
    /// To where.
    pub to: Option<f64>,
    /// Points at most.
    pub n_points: i64,
}

impl Cut {
    /// Reads the fields of a request.
    pub fn read(query: &Query) -> Result<Self, ApiFault> {
        let (from, to) = (query.number("from")?, query.number("to")?);
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            return Err(ApiFault::invalid(format!(
                "`from` is {from} and `to` is {to}; allowed: a `from` that is not beyond `to`."
            )));
        }
        Ok(Self {
            along: Along::read(query.text("x")?.as_deref())?,
            from,
            to,
            n_points: query.integer("points", 3, 10_000)?.unwrap_or(POINTS),
        })
    }
}

/// The history of a metric; `None` where nothing says how far the run was along the axis.
pub async fn series(
    app: &App,
    run: &Run,
    key: &str,
    cut: &Cut,
) -> Result<Option<SeriesView>, ApiFault> {
    let Some(axis) = Axis::of(app.ledger(), run, cut.along).await? else {
        return Ok(None);
    };
    let n_parts = u16::try_from(cut.n_points * PARTS_EACH).unwrap_or(u16::MAX);
    let range = axis.range(cut.from, cut.to);
    let history = app.ledger().thinned(&run.id, key, range, n_parts).await?;
    let mut kept: Vec<(f64, &Point)> = history
        .points
        .iter()
        .filter(|point| point.value.is_finite())
        .map(|point| (axis.place(point), point))
        .collect();
    let n_not_numbers = history.points.len() - kept.len();
    if cut.along != Along::Step {
        kept.sort_by(|one, other| one.0.total_cmp(&other.0));
    }
    let places: Vec<(f64, f64)> = kept.iter().map(|(x, point)| (*x, point.value)).collect();
    let n_points = usize::try_from(cut.n_points).unwrap_or(usize::MAX);
    let chosen = largest_triangles(&places, n_points);
    Ok(Some(SeriesView {
        run_id: run.id.clone(),
        key: key.to_owned(),
        x: cut.along.name(),
        places: chosen.iter().map(|at| places[*at].0).collect(),
        steps: chosen.iter().map(|at| kept[*at].1.step).collect(),
        values: chosen.iter().map(|at| places[*at].1).collect(),
        n_points: history.n_points,
        n_not_numbers,
    }))
}

/// A run by its id, or that there is none.
pub async fn run_of(app: &App, id: &str) -> Result<Run, ApiFault> {
    let id = plain("id", id.to_owned())?;
    app.ledger().run(&id).await.map_err(|error| {
        let mut fault = ApiFault::from(error);
        // What cannot be an id is the id of no run.
        if fault.kind == Kind::Invalid {
            fault.kind = Kind::NotFound;
        }
        fault
    })
}

/// The history of a metric, thinned on the server (largest triangle three buckets)
#[utoipa::path(get, path = "/api/v1/runs/{id}/series", tag = "runs",
    params(
        ("id" = String, Path, description = "The run's id, or its first digits"),
        ("key" = String, Query, description = "The metric"),
        ("x" = Option<String>, Query, description = "Against what: step, time, spent or energy"),
        ("from" = Option<f64>, Query, description = "From where on that axis"),
        ("to" = Option<f64>, Query, description = "To where"),
        ("points" = Option<i64>, Query, minimum = 3, maximum = 10000, description = "Most points; 2000 where nothing is said"),
    ),
    responses((status = 200, body = SeriesView), (status = 400, body = Failure), (status = 404, body = Failure)))]
pub async fn get(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Json<SeriesView>, ApiFault> {
    query.only(&["key", "x", "from", "to", "points"])?;
    let key = query
        .text("key")?
        .ok_or_else(|| ApiFault::invalid("`key` is missing; allowed: the name of a metric."))?;
    let cut = Cut::read(&query)?;
    let run = run_of(&app, &id).await?;
    let series = series(&app, &run, &key, &cut).await?;
    series.map(Json).ok_or_else(|| {
        ApiFault::invalid(format!(
            "`x` is {}, and nothing says what run {} had spent or taken at any time; allowed: step, time.",
            cut.along.name(),
            run.id
        ))
    })
}
