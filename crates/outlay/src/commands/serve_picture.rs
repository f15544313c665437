//! The picture of a serving plan: cost against latency, or against volume beside APIs.

use std::path::Path;

use outlay_plan::serving::{
    BatchedAnswer, BatchedPlan, HOURS_PER_MONTH, ServeAnswer, ServePlan, self_hosting_usd,
};
use outlay_units::{GIB, count, usd};

use super::plan_picture::{SCATTER_SERIES, Spot, scatter};
use crate::failure::Failure;
use crate::plot::{Bar, Panel, Picture, Point};

/// Draws the answer.
pub fn draw(answer: &ServeAnswer, path: &Path) -> Result<(), Failure> {
    if answer.apis.is_empty() {
        latency(answer, path)
    } else {
        volume(answer, path)
    }
}

/// A month's cost against the time per output token: the plan, the plans that no other beats, and the next best.
fn latency(answer: &ServeAnswer, path: &Path) -> Result<(), Failure> {
    let spot = |plan: &ServePlan| {
        Some(Spot {
            cost: plan.usd_per_month?,
            y: plan.tpot.p50_s.p50 * 1e3,
            label: format!("{} x {}", plan.accelerators, plan.accelerator),
        })
    };
    let points = scatter(&answer.best, &answer.pareto, &answer.others, spot)?;
    Picture {
        title: &format!(
            "{}: cost of a month against time per output token",
            answer.model
        ),
        x_name: "cost of a month",
        y_name: "time per output token, ms",
        series: &SCATTER_SERIES.map(str::to_owned),
        points: &points,
        joined: false,
        diagonal: false,
        x_marks: None,
        x_text: |cost| usd(cost / outlay_units::in_currency(1.0)),
        y_text: outlay_units::significant,
        panels: &[curve(answer), memory(answer)],
    }
    .write(path)
}

/// Draws a service that answers whole: a month's cost against the time to answer.
pub fn draw_batched(answer: &BatchedAnswer, path: &Path) -> Result<(), Failure> {
    let spot = |plan: &BatchedPlan| {
        Some(Spot {
            cost: plan.usd_per_month?,
            y: plan.latency.p99_s.p50 * 1e3,
            label: format!("{} x {}", plan.accelerators, plan.accelerator),
        })
    };
    let points = scatter(&answer.best, &answer.pareto, &answer.others, spot)?;
    let by_batch = Panel {
        title: format!("{} each second of one replica, by batch", answer.unit),
        bars: answer
            .curve
            .iter()
            .map(|point| Bar {
                name: format!(
                    "{}{}: {:.1} ms",
                    point.batch,
                    if point.is_knee { " (knee)" } else { "" },
                    point.batch_s * 1e3
                ),
                from: 0.0,
                to: point.requests_per_s,
                text: outlay_units::significant(point.requests_per_s),
            })
            .collect(),
        limit: None,
    };
    Picture {
        title: &format!("{}: cost of a month against time to answer", answer.model),
        x_name: "cost of a month",
        y_name: "time to answer of 99 in 100 requests, ms",
        series: &SCATTER_SERIES.map(str::to_owned),
        points: &points,
        joined: false,
        diagonal: false,
        x_marks: None,
        x_text: |cost| usd(cost / outlay_units::in_currency(1.0)),
        y_text: outlay_units::significant,
        panels: &[by_batch],
    }
    .write(path)
}

/// Output tokens each second of a replica by its batch.
fn curve(answer: &ServeAnswer) -> Panel {
    Panel {
        title: "Output tokens each second of one replica, by sequences at once".to_owned(),
        bars: answer
            .curve
            .iter()
            .map(|point| Bar {
                name: format!(
                    "{}{}: {:.1} ms a token",
                    point.batch,
                    if point.is_knee { " (knee)" } else { "" },
                    point.tpot_s * 1e3
                ),
                from: 0.0,
                to: point.output_tokens_per_s,
                text: count(point.output_tokens_per_s),
            })
            .collect(),
        limit: None,
    }
}

/// Where the memory of one accelerator goes.
fn memory(answer: &ServeAnswer) -> Panel {
    let memory = &answer.best.memory;
    let mut from = 0.0;
    let bars = [
        ("weights", memory.weights_bytes),
        (
            "activations, graphs, communicators",
            memory.activations_bytes,
        ),
        ("cache", memory.cache_bytes),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        let gib = bytes / GIB;
        let bar = Bar {
            name: name.to_owned(),
            from,
            to: from + gib,
            text: format!("{gib:.1} GiB"),
        };
        from += gib;
        bar
    })
    .collect();
    Panel {
        title: format!(
            "Memory of one accelerator ({:.1} GiB)",
            answer.best.memory_capacity_gib
        ),
        bars,
        limit: Some(answer.best.memory_capacity_gib),
    }
}

/// A month's cost against requests a month: hosting in whole replicas, and the cheapest APIs.
fn volume(answer: &ServeAnswer, path: &Path) -> Result<(), Failure> {
    let demand = &answer.demand;
    let now = demand.requests_per_s * demand.mean_over_peak * HOURS_PER_MONTH * 3600.0;
    let shown: Vec<_> = answer.apis.iter().take(4).collect();
    // Around the demand and the volumes at which the lines cross.
    let crossings = shown
        .iter()
        .filter_map(|api| api.break_even_requests_per_month.map(|at| at.first));
    let least = crossings.clone().fold(now, f64::min) / 20.0;
    let most = crossings.fold(now, f64::max) * 20.0;
    let sign = outlay_units::in_currency(1.0);
    let steps = 400_usize;
    let volumes = (0..=steps).map(|step| least * (most / least).powf(step as f64 / steps as f64));
    let mut points = Vec::new();
    for (step, volume) in volumes.enumerate() {
        let mut add = |series: usize, usd: f64| {
            points.push(Point {
                x: volume,
                y: usd * sign,
                x_range: None,
                series,
                label: None,
            });
        };
        if let Some(usd) = self_hosting_usd(answer, volume) {
            add(0, usd);
        }
        // Straight lines need their ends alone.
        for (index, api) in shown.iter().enumerate() {
            if step != 0 && step != steps {
                continue;
            }
            add(index + 1, api.usd_per_month / now * volume);
        }
    }
    let mut series = vec![format!(
        "hosting: {} on {} x {} each",
        answer.best.layout_brief,
        answer.best.layout.accelerators(),
        answer.best.accelerator
    )];
    series.extend(shown.iter().map(|api| api.name.clone()));
    Picture {
        title: &format!("{}: cost of a month against requests", answer.model),
        x_name: "requests a month",
        y_name: "cost of a month",
        series: &series,
        points: &points,
        joined: true,
        diagonal: false,
        x_marks: None,
        x_text: count,
        y_text: |cost| usd(cost / outlay_units::in_currency(1.0)),
        panels: &[],
    }
    .write(path)
}
