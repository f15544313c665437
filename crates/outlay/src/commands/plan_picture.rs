//! The picture of a plan: cost against time, and where memory, time and money go.

use std::path::Path;

use outlay_plan::{Answer, Plan};
use outlay_units::{Estimate, bytes, duration, usd};

use super::train_show::amount;
use crate::failure::Failure;
use crate::plot::{Bar, Panel, Picture, Point};

/// A plan as a point: its cost against something else.
pub struct Spot {
    /// Cost, in US dollars.
    pub cost: Estimate,
    /// What it is drawn against.
    pub y: f64,
    /// Its hardware.
    pub label: String,
}

/// Names of the series of [`scatter`].
pub const SCATTER_SERIES: [&str; 3] = [
    "chosen (line: p10 to p90)",
    "no plan is cheaper and faster",
    "next best",
];

/// Points of the chosen plan, of those that no other beats, and of the next best; texts where there is room for them.
///
/// # Errors
/// Where no plan has a price.
pub fn scatter<P>(
    best: &P,
    pareto: &[P],
    others: &[P],
    spot: impl Fn(&P) -> Option<Spot>,
) -> Result<Vec<Point>, Failure> {
    let mut points: Vec<Point> = Vec::new();
    for (series, plans) in [(0, std::slice::from_ref(best)), (1, pareto), (2, others)] {
        for Spot { cost, y, label } in plans.iter().filter_map(&spot) {
            let cost = cost.scaled(outlay_units::in_currency(1.0));
            // A plan of two groups is drawn once.
            if points
                .iter()
                .any(|point| point.x == cost.p50 && point.y == y)
            {
                continue;
            }
            // Texts of points that all but touch would cover each other.
            let near = |a: f64, b: f64| (a / b).ln().abs() < 0.12;
            let crowded = points
                .iter()
                .any(|point| point.label.is_some() && near(point.x, cost.p50) && near(point.y, y));
            points.push(Point {
                x: cost.p50,
                y,
                x_range: (series == 0).then_some((cost.p10, cost.p90)),
                series,
                label: (series < 2 && !crowded).then_some(label),
            });
        }
    }
    if points.is_empty() {
        return Err(
            Failure::input("--plot: no price is known, so there is no cost to draw")
                .hint("give a price: `--price 2.49/h`"),
        );
    }
    Ok(points)
}

/// Draws cost against time: the best plan, the plans that no other beats, and the next best.
pub fn draw(answer: &Answer, path: &Path) -> Result<(), Failure> {
    const DAY_S: f64 = 86_400.0;
    let spot = |plan: &Plan| {
        Some(Spot {
            cost: plan.usd?,
            y: plan.wall_clock_s.p50 / DAY_S,
            label: format!("{} x {}", plan.count, plan.accelerator),
        })
    };
    let points = scatter(&answer.best, &answer.pareto, &answer.others, spot)?;
    Picture {
        title: &format!("{}, {}: cost against time", answer.model, amount(answer)),
        x_name: "cost",
        y_name: "wall-clock time",
        series: &SCATTER_SERIES.map(str::to_owned),
        points: &points,
        joined: false,
        diagonal: false,
        x_marks: None,
        x_text: |cost| usd(cost / outlay_units::in_currency(1.0)),
        y_text: |days| duration(days * DAY_S),
        panels: &panels(answer),
    }
    .write(path)
}

/// Where memory, time and money go, for the picture: parts that add up, and levers that hang from the cost as it is.
fn panels(answer: &Answer) -> Vec<Panel> {
    let best = &answer.best;
    // Each part begins where the one before it ends; parts too small to see are left out.
    let adding_up = |title: String, parts: &[(&str, f64)], limit, text: fn(f64) -> String| {
        let total: f64 = parts.iter().map(|(_, value)| value).sum();
        let mut from = 0.0;
        let mut bars = Vec::new();
        for &(name, value) in parts {
            if value > 0.002 * total {
                bars.push(Bar {
                    name: name.to_owned(),
                    from,
                    to: from + value,
                    text: text(value),
                });
            }
            from += value;
        }
        Panel { title, bars, limit }
    };
    let memory = &best.memory;
    let time = &best.time;
    let mut panels = vec![
        adding_up(
            format!(
                "Memory of one {}: {} of {} (line)",
                best.accelerator,
                bytes(memory.total_bytes()),
                bytes(best.memory_capacity_gib * outlay_units::GIB)
            ),
            &[
                ("weights", memory.weights_bytes),
                ("gradients", memory.gradients_bytes),
                ("optimizer", memory.optimizer_bytes),
                ("activations", memory.activations_bytes),
                ("buffers", memory.buffers_bytes),
                ("allocator's waste", memory.waste_bytes),
                ("driver and libraries", memory.reserved_bytes),
            ],
            Some(best.memory_capacity_gib * outlay_units::GIB),
            bytes,
        ),
        adding_up(
            format!("Time of one step: {}", duration(best.step_s.p50)),
            &[
                ("forward", time.forward_s),
                ("backward", time.backward_s),
                ("recomputed forward", time.recompute_s),
                ("tensor-parallel exchange", time.tensor_s),
                ("expert exchange", time.expert_s),
                ("context-parallel exchange", time.context_s),
                ("data-parallel exchange", time.data_s),
                ("pipeline bubble", time.bubble_s),
                ("optimizer", time.optimizer_s),
                ("fixed time and stragglers", time.overhead_s),
            ],
            None,
            duration,
        ),
    ];
    if let (Some(now), false) = (best.usd, answer.levers.is_empty()) {
        panels.push(Panel {
            title: format!("Levers: what each would save of {} (line)", usd(now.p50)),
            bars: answer
                .levers
                .iter()
                .map(|lever| Bar {
                    name: lever.change.clone(),
                    from: lever.usd,
                    to: now.p50,
                    text: format!("-{}", usd(lever.saved_usd)),
                })
                .collect(),
            limit: Some(now.p50),
        });
    }
    panels
}
