//! The answer of a plan to serve a model that writes tokens.

use askama::Template;
use outlay_plan::serving::{ApiComparison, PrecisionChoice, ServeAnswer, ServePlan};
use outlay_units::{bytes, count, mass_kg, percent, price_usd, significant, usd};
use serde_json::{Value, json};

use super::parts::{Figure, Fit, Part, PlanRow, PlanTable, Sentence, notes, parts, price_words};

/// The answer, as it is drawn.
#[derive(Template)]
#[template(path = "plan_serve.html")]
pub struct ServeView {
    pub title: String,
    pub sentence: String,
    pub meets_limits: bool,
    /// What the model does: `tokens` or `whole`.
    pub answers: &'static str,
    /// What a request is called, in the plural.
    pub unit: String,
    pub cost: Option<Figure>,
    pub figures: Vec<Figure>,
    pub use_words: String,
    pub fit: Option<Fit>,
    pub memory: Vec<Part>,
    /// Networks that a lone request runs through.
    pub time: Vec<Part>,
    /// Points of the picture of throughput and cost against waiting, as JSON.
    pub curve: String,
    pub tables: Vec<PlanTable>,
    pub notes: Vec<Sentence>,
    pub priced: String,
}

/// Seconds of a wait, as people read them.
pub fn latency(seconds: f64) -> String {
    if !seconds.is_finite() {
        "too long".to_owned()
    } else if seconds < 1.0 {
        format!("{} ms", significant(seconds * 1000.0))
    } else {
        format!("{} s", significant(seconds))
    }
}

pub fn energy(wh: f64) -> String {
    format!("{} Wh", significant(wh))
}

pub fn grams(g: f64) -> String {
    mass_kg(g / 1000.0)
}

pub fn plural(n: u32, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

pub fn price(provider: &str, region: &str, pricing: &str, each: Option<f64>, day: &str) -> String {
    let each = usd(each.unwrap_or(0.0));
    match provider {
        "none" => "; no price of it is known".to_owned(),
        "given" => format!(" at {each} an hour each"),
        _ => {
            let region = if region.is_empty() {
                String::new()
            } else {
                format!("{region}, ")
            };
            format!(" from {provider} ({region}{pricing}, {each} an hour each, {day})")
        }
    }
}

const HEADS: [(&str, &str); 6] = [
    ("A month", "right"),
    ("First token", "right"),
    ("Per token", "right"),
    ("Hardware", ""),
    ("Provider", ""),
    ("A replica", ""),
];

/// Draws the answer of a model that writes tokens.
pub fn tokens(answer: &ServeAnswer, _today: &str) -> ServeView {
    let best = &answer.best;
    let active = if answer.active_parameters < answer.parameters {
        format!(" ({} active)", count(answer.active_parameters as f64))
    } else {
        String::new()
    };
    let day = price_words(&best.price_as_of, &best.price_source);
    ServeView {
        title: format!(
            "{}: {} parameters{active}, {} requests a second of {} + {} tokens",
            answer.model,
            count(answer.parameters as f64),
            significant(answer.demand.requests_per_s),
            count(answer.demand.input_tokens),
            count(answer.demand.output_tokens)
        ),
        sentence: format!(
            "{} of {} on {} × {}{}, {} weights, {}; up to {} sequences at once each.",
            plural(best.replicas, "replica"),
            best.layout_brief,
            best.accelerators,
            best.accelerator,
            price(
                &best.provider,
                &best.region,
                &best.pricing,
                best.usd_per_accelerator_hour,
                &day
            ),
            best.format.name(),
            best.engine.name(),
            best.most_batch
        ),
        meets_limits: answer.meets_limits,
        answers: "tokens",
        unit: "requests".to_owned(),
        cost: best.usd_per_month.map(|cost| {
            Figure::new(
                "Cost a month",
                cost,
                usd,
                "What the provider will bill for all replicas, 730 hours long.",
            )
        }),
        figures: token_figures(best),
        use_words: format!(
            "{} of the capacity is in use on average; {:.1} sequences decode at once on a replica in the busiest hour.",
            percent(best.utilisation),
            best.batch
        ),
        fit: None,
        memory: parts(
            &[
                ("Weights", best.memory.weights_bytes),
                ("Activations and graphs", best.memory.activations_bytes),
                (
                    "Cache of what was read and written",
                    best.memory.cache_bytes,
                ),
            ],
            bytes,
        ),
        time: Vec::new(),
        curve: token_curve(answer),
        tables: token_tables(answer),
        notes: notes(&answer.notes),
        priced: count(answer.deployments_priced as f64),
    }
}

fn token_figures(best: &ServePlan) -> Vec<Figure> {
    let mut figures = Vec::new();
    if let Some(prices) = best.usd_per_million_tokens {
        figures.push(Figure::new(
            "A million tokens read",
            prices.input,
            price_usd,
            "What reading a million tokens of prompts costs, as its share of the bill.",
        ));
        figures.push(Figure::new(
            "A million tokens written",
            prices.output,
            price_usd,
            "What writing a million tokens of answers costs.",
        ));
    }
    figures.push(Figure::new(
        "First token (99 in 100)",
        best.ttft.p99_s,
        latency,
        "99 in 100 people see the first word of the answer sooner than this.",
    ));
    figures.push(Figure::new(
        "Each token (99 in 100)",
        best.tpot.p99_s,
        latency,
        "How long each further token takes. People read about 5 words a second: 150 ms a token is reading speed.",
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

fn token_curve(answer: &ServeAnswer) -> String {
    let points: Vec<Value> = answer
        .curve
        .iter()
        .map(|point| {
            json!({
                "x": point.tpot_s * 1000.0,
                "y": point.output_tokens_per_s,
                "usd": point.usd_per_million_output,
                "batch": point.batch,
                "knee": point.is_knee,
            })
        })
        .collect();
    json!({
        "points": points,
        "x": "time per token (ms)",
        "y": "tokens a second of a replica",
        "usd": "a million tokens written",
    })
    .to_string()
}

fn token_tables(answer: &ServeAnswer) -> Vec<PlanTable> {
    let rows = |plans: &[ServePlan]| -> Vec<PlanRow> {
        plans
            .iter()
            .map(|plan| PlanRow {
                cells: vec![
                    plan.usd_per_month
                        .map_or_else(|| "–".to_owned(), |cost| usd(cost.p50)),
                    latency(plan.ttft.p99_s.p50),
                    latency(plan.tpot.p99_s.p50),
                    format!("{} × {}", plan.accelerators, plan.accelerator),
                    plan.provider.clone(),
                    format!(
                        "{}, {}, {}",
                        plan.layout_brief,
                        plan.format.name(),
                        plan.engine.name()
                    ),
                ],
            })
            .collect()
    };
    let mut tables = vec![
        PlanTable {
            title: "Runners-up",
            about: "The next best plans.",
            heads: &HEADS,
            rows: rows(&answer.others),
        },
        apis(&answer.apis),
        precisions(&answer.precisions),
    ];
    if answer.pareto.len() > 1 {
        tables.insert(
            1,
            PlanTable {
                title: "Cheaper or faster",
                about: "No plan beats one of these in both cost and time per token.",
                heads: &HEADS,
                rows: rows(&answer.pareto),
            },
        );
    }
    tables.retain(|table| !table.rows.is_empty());
    tables
}

fn apis(all: &[ApiComparison]) -> PlanTable {
    PlanTable {
        title: "Or buy it by the token",
        about: "What the same requests would cost at an API, and from which volume your own replicas cost less.",
        heads: &[
            ("API", ""),
            ("A month", "right"),
            ("A million in", "right"),
            ("A million out", "right"),
            ("Own is cheaper from, requests a month", "right"),
            ("Price of", "day"),
        ],
        rows: all
            .iter()
            .map(|api| PlanRow {
                cells: vec![
                    if api.is_same_model {
                        api.name.clone()
                    } else {
                        format!("{} (another model)", api.name)
                    },
                    usd(api.usd_per_month),
                    price_usd(api.usd_per_million_input),
                    price_usd(api.usd_per_million_output),
                    api.break_even_requests_per_month
                        .map_or_else(|| "no volume".to_owned(), |even| count(even.always)),
                    api.as_of.clone(),
                ],
            })
            .collect(),
    }
}

fn precisions(all: &[PrecisionChoice]) -> PlanTable {
    PlanTable {
        title: "Other number formats",
        about: "The same hardware with weights in fewer bits, and what is published of the loss in quality.",
        heads: &[
            ("Format", ""),
            ("A month", "right"),
            ("GPUs", "right"),
            ("Weights", "right"),
            ("Quality", ""),
        ],
        rows: all
            .iter()
            .map(|choice| PlanRow {
                cells: vec![
                    choice.name.clone(),
                    choice.usd_per_month.map_or_else(|| "–".to_owned(), usd),
                    choice.accelerators.to_string(),
                    bytes(choice.weights_gib * outlay_units::GIB),
                    match &choice.warning {
                        Some(warning) => format!("{}; {warning}", choice.quality),
                        None => choice.quality.clone(),
                    },
                ],
            })
            .collect(),
    }
}
