//! The answer of a plan to serve a model that answers whole.

use outlay_plan::serving::{BatchedAnswer, BatchedPlan};
use outlay_units::{count, percent, price_usd, significant, usd};
use serde_json::{Value, json};

use super::parts::{Figure, Fit, PlanRow, PlanTable, notes, parts, price_words};
use super::serve::{ServeView, energy, grams, latency, plural, price};

const WHOLE_HEADS: [(&str, &str); 5] = [
    ("A month", "right"),
    ("A thousand", "right"),
    ("Wait, p99", "right"),
    ("Hardware", ""),
    ("Provider", ""),
];

/// Draws the answer of a model that answers whole.
pub fn whole(answer: &BatchedAnswer, _today: &str) -> ServeView {
    let best = &answer.best;
    let day = price_words(&best.price_as_of, &best.price_source);
    let times: Vec<(&str, f64)> = answer
        .parts
        .iter()
        .map(|part| (part.name.as_str(), part.seconds))
        .collect();
    ServeView {
        title: format!(
            "{}: {} parameters, {} requests a second",
            answer.model,
            count(answer.parameters),
            significant(answer.demand.requests_per_s)
        ),
        sentence: format!(
            "{} on {} × {}{}, {}; up to {} {} together.",
            plural(best.replicas, "replica"),
            best.accelerators,
            best.accelerator,
            price(
                &best.provider,
                &best.region,
                &best.pricing,
                best.usd_per_accelerator_hour,
                &day
            ),
            best.format.name_on(&best.accelerator),
            best.most_batch,
            answer.unit
        ),
        meets_limits: answer.meets_limit,
        answers: "whole",
        unit: answer.unit.clone(),
        cost: best.usd_per_month.map(|cost| {
            Figure::new(
                "Cost a month",
                cost,
                usd,
                "What the provider will bill for all replicas, 730 hours long.",
            )
        }),
        figures: whole_figures(best),
        use_words: format!(
            "{} of the capacity is in use on average.",
            percent(best.utilisation)
        ),
        fit: Some(Fit::new(
            best.memory_gib,
            best.memory_gib,
            best.memory_capacity_gib,
        )),
        memory: Vec::new(),
        time: parts(&times, latency),
        curve: whole_curve(answer),
        tables: whole_tables(answer),
        notes: notes(&answer.notes),
        priced: count(answer.deployments_priced as f64),
    }
}

fn whole_figures(best: &BatchedPlan) -> Vec<Figure> {
    let mut figures = Vec::new();
    if let Some(price) = best.usd_per_thousand {
        figures.push(Figure::new(
            "A thousand requests",
            price,
            price_usd,
            "As their share of the bill.",
        ));
    }
    figures.push(Figure::new(
        "Wait (99 in 100)",
        best.latency.p99_s,
        latency,
        "99 in 100 requests are answered sooner than this.",
    ));
    figures.push(Figure::new(
        "Wait of a lone request",
        best.alone_s,
        latency,
        "How long one request takes when nothing else runs.",
    ));
    figures.push(Figure::new(
        "Energy of a request",
        best.energy_wh_per_request,
        energy,
        "What the servers draw for one request, with the building's cooling.",
    ));
    figures.push(Figure::new(
        "CO2e of a request",
        best.co2e_g_per_request,
        grams,
        "Emissions of making that electricity, at the grid of the region.",
    ));
    figures
}

fn whole_curve(answer: &BatchedAnswer) -> String {
    let points: Vec<Value> = answer
        .curve
        .iter()
        .map(|point| {
            json!({
                "x": point.batch_s * 1000.0,
                "y": point.requests_per_s,
                "usd": point.usd_per_thousand,
                "batch": point.batch,
                "knee": point.is_knee,
            })
        })
        .collect();
    json!({
        "points": points,
        "x": "time of a batch (ms)",
        "y": "requests a second of a replica",
        "usd": "a thousand requests",
    })
    .to_string()
}

fn whole_tables(answer: &BatchedAnswer) -> Vec<PlanTable> {
    let rows = |plans: &[BatchedPlan]| -> Vec<PlanRow> {
        plans
            .iter()
            .map(|plan| PlanRow {
                cells: vec![
                    plan.usd_per_month
                        .map_or_else(|| "–".to_owned(), |cost| usd(cost.p50)),
                    plan.usd_per_thousand
                        .map_or_else(|| "–".to_owned(), |price| price_usd(price.p50)),
                    latency(plan.latency.p99_s.p50),
                    format!("{} × {}", plan.accelerators, plan.accelerator),
                    plan.provider.clone(),
                ],
            })
            .collect()
    };
    let mut tables = vec![PlanTable {
        title: "Runners-up",
        about: "The next best plans.",
        heads: &WHOLE_HEADS,
        rows: rows(&answer.others),
    }];
    if answer.pareto.len() > 1 {
        tables.push(PlanTable {
            title: "Cheaper or faster",
            about: "No plan beats one of these in both cost and waiting.",
            heads: &WHOLE_HEADS,
            rows: rows(&answer.pareto),
        });
    }
    tables.retain(|table| !table.rows.is_empty());
    tables
}
