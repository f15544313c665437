//! Pictures of metrics, as the charts' library takes them.

use axum::Json;
use axum::extract::State;
use plotly::common::{HoverInfo, Line, Mode, Title};
use plotly::layout::{Axis, HoverMode};
use plotly::{Layout, Scatter};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::axis::Along;
use super::fault::{ApiFault, Failure, Query};
use super::series::{Cut, SeriesView, run_of, series};
use crate::App;

/// Most runs of a picture.
const RUNS: usize = 30;

/// A picture: what the charts' library draws, and what to say beside it.
#[derive(Serialize, ToSchema)]
pub struct FigureView {
    /// The curves, as `Plotly.react` takes them.
    #[schema(value_type = Vec<Object>)]
    data: Vec<Value>,
    /// Axes and the like, as `Plotly.react` takes them.
    #[schema(value_type = Object)]
    layout: Value,
    /// What one unit of the picture's horizontal axis is, in the unit of `from` and `to`: 3600 where it shows hours.
    scale: f64,
    /// Points of the histories, of which the picture's were chosen.
    n_points: i64,
    /// What is missing, in sentences.
    notes: Vec<String>,
}

/// The unit of time in which some seconds are easily read, and its seconds.
fn unit_of(seconds: f64) -> (&'static str, f64) {
    match seconds {
        _ if seconds < 300.0 => ("seconds", 1.0),
        _ if seconds < 3.0 * 3600.0 => ("minutes", 60.0),
        _ if seconds < 3.0 * 86_400.0 => ("hours", 3600.0),
        _ => ("days", 86_400.0),
    }
}

/// The title of the horizontal axis, and its scale.
fn horizontal(along: Along, seconds: f64) -> (String, f64) {
    match along {
        Along::Step => ("step".to_owned(), 1.0),
        Along::Time => {
            let (unit, scale) = unit_of(seconds);
            (format!("{unit} since the start"), scale)
        }
        Along::Spent => ("US dollars spent".to_owned(), 1.0),
        Along::Energy => ("energy, kWh".to_owned(), 1.0),
    }
}

/// A text as the library shows it: it reads some markup, and names come from anyone.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    short
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn curve(view: SeriesView, name: &str, scale: f64) -> Value {
    let places: Vec<f64> = view.places.iter().map(|place| place / scale).collect();
    let is_dense = places.len() > 60;
    let trace = Scatter::new(places, view.values)
        .name(shown(name))
        .mode(if is_dense {
            Mode::Lines
        } else {
            Mode::LinesMarkers
        })
        .line(Line::new().width(1.5))
        .hover_info(HoverInfo::All);
    let mut trace = serde_json::to_value(&*trace).unwrap_or_default();
    // Where the curve lies within the run is told beside the point, whatever the axis.
    trace["customdata"] = view.steps.into();
    trace["hovertemplate"] =
        "%{y:.6~g} at step %{customdata}<extra>%{fullData.name}</extra>".into();
    trace
}

/// A picture of one metric of some runs, thinned on the server
#[utoipa::path(get, path = "/api/v1/figures/metric", tag = "runs",
    params(
        ("run" = Vec<String>, Query, description = "Ids of runs, or their first digits; up to 30"),
        ("key" = String, Query, description = "The metric"),
        ("x" = Option<String>, Query, description = "Against what: step, time, spent or energy"),
        ("from" = Option<f64>, Query, description = "From where on that axis"),
        ("to" = Option<f64>, Query, description = "To where"),
        ("points" = Option<i64>, Query, minimum = 3, maximum = 10000, description = "Most points of each curve; 2000 where nothing is said"),
    ),
    responses((status = 200, body = FigureView), (status = 400, body = Failure), (status = 404, body = Failure)))]
pub async fn get(State(app): State<App>, query: Query) -> Result<Json<FigureView>, ApiFault> {
    query.only(&["run", "key", "x", "from", "to", "points"])?;
    let key = query
        .text("key")?
        .ok_or_else(|| ApiFault::invalid("`key` is missing; allowed: the name of a metric."))?;
    let ids = query.texts("run", RUNS)?;
    if ids.is_empty() {
        return Err(ApiFault::invalid("`run` is missing; allowed: ids of runs."));
    }
    let cut = Cut::read(&query)?;
    let mut runs = Vec::new();
    for id in &ids {
        runs.push(run_of(&app, id).await?);
    }
    let seconds = runs
        .iter()
        .map(|run| {
            run.ended_us
                .unwrap_or(run.seen_us)
                .saturating_sub(run.started_us) as f64
                / 1e6
        })
        .fold(0.0, f64::max);
    let (title, scale) = horizontal(cut.along, seconds);
    let mut figure = FigureView {
        data: Vec::new(),
        layout: Value::Null,
        scale,
        n_points: 0,
        notes: Vec::new(),
    };
    for run in &runs {
        match series(&app, run, &key, &cut).await? {
            None => figure.notes.push(format!(
                "Nothing says what {} had {} at any time.",
                run.name,
                if cut.along == Along::Energy {
                    "taken"
                } else {
                    "spent"
                }
            )),
            Some(view) => {
                figure.n_points += view.n_points;
                if view.n_not_numbers > 0 {
                    let n = view.n_not_numbers;
                    figure
                        .notes
                        .push(format!("{n} points of {} are no numbers.", run.name));
                }
                if !view.places.is_empty() {
                    figure.data.push(curve(view, &run.name, scale));
                }
            }
        }
    }
    let layout = Layout::new()
        .x_axis(Axis::new().title(Title::with_text(title)))
        .y_axis(Axis::new().title(Title::with_text(shown(&key))))
        .hover_mode(HoverMode::Closest)
        .show_legend(runs.len() > 1);
    figure.layout = serde_json::to_value(&layout).unwrap_or_default();
    Ok(Json(figure))
}
