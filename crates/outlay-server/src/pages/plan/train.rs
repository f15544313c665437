//! The answer of a plan to train.

use askama::Template;
use outlay_plan::{Answer, Layout, Plan};
use outlay_units::{bytes, count, duration, energy_kwh, mass_kg, percent, significant, usd};

use super::parts::{Figure, Fit, Part, PlanRow, PlanTable, Sentence, notes, parts, price_words};

/// The answer, as it is drawn.
#[derive(Template)]
#[template(path = "plan_train.html")]
pub struct TrainView {
    title: String,
    sentence: String,
    meets_limits: bool,
    /// What the model takes: `tokens` or `samples`.
    takes: &'static str,
    unit: String,
    cost: Option<Figure>,
    figures: Vec<Figure>,
    step: String,
    fit: Fit,
    memory: Vec<Part>,
    time: Vec<Part>,
    dominates: String,
    layout: Vec<(String, String)>,
    layout_brief: String,
    command: String,
    tables: Vec<PlanTable>,
    levers: Vec<(String, String, String, String)>,
    notes: Vec<Sentence>,
    priced: String,
}

const HEADS: [(&str, &str); 5] = [
    ("Cost", "right"),
    ("Time", "right"),
    ("Hardware", ""),
    ("Provider", ""),
    ("Layout", ""),
];

/// Draws an answer.
pub fn view(answer: &Answer, _today: &str) -> TrainView {
    let best = &answer.best;
    let sampled = answer.sample_unit != "sequences";
    TrainView {
        title: title(answer, sampled),
        sentence: sentence(answer),
        meets_limits: answer.meets_limits,
        takes: if sampled { "samples" } else { "tokens" },
        unit: answer.sample_unit.clone(),
        cost: best.usd.map(|cost| {
            Figure::new(
                "Cost",
                cost,
                usd,
                "What the provider will bill for all GPU-hours of the run.",
            )
        }),
        figures: figures(answer, sampled),
        step: format!(
            "{} steps of {} {}, {} each",
            significant(best.steps),
            answer.global_batch_sequences,
            answer.sample_unit,
            duration(best.step_s.p50)
        ),
        fit: Fit::new(
            best.memory_gib.p50,
            best.memory_gib.p90,
            best.memory_capacity_gib,
        ),
        memory: memory(best),
        time: time(best),
        dominates: dominates(best),
        layout: layout_words(&best.layout),
        layout_brief: best.layout_brief.clone(),
        command: command(answer, sampled),
        tables: tables(answer),
        levers: levers(answer),
        notes: notes(&answer.notes),
        priced: count(answer.layouts_priced as f64),
    }
}

fn title(answer: &Answer, sampled: bool) -> String {
    let active = if answer.active_parameters < answer.parameters {
        format!(" ({} active)", count(answer.active_parameters as f64))
    } else {
        String::new()
    };
    let amount = if sampled {
        format!("{} {}", count(answer.samples), answer.sample_unit)
    } else {
        format!("{} tokens", count(answer.tokens))
    };
    format!(
        "{}: {} parameters{active}, {amount}",
        answer.model,
        count(answer.parameters as f64)
    )
}

fn sentence(answer: &Answer) -> String {
    let best = &answer.best;
    let each = usd(best.usd_per_accelerator_hour.unwrap_or(0.0));
    let price = match best.provider.as_str() {
        "none" => "; no price of it is known".to_owned(),
        "owned" => format!(" that you own, at {each} an hour each"),
        "given" => format!(" at {each} an hour each"),
        provider => format!(
            " from {provider} ({}{}, {each} an hour each, {})",
            if best.region.is_empty() {
                String::new()
            } else {
                format!("{}, ", best.region)
            },
            best.pricing,
            price_words(&best.price_as_of, &best.price_source)
        ),
    };
    format!(
        "On {} × {}{price}, in {}.",
        best.count,
        best.accelerator,
        answer.precision.name()
    )
}

fn figures(answer: &Answer, sampled: bool) -> Vec<Figure> {
    let best = &answer.best;
    let mut figures = vec![
        Figure::new(
            "Time",
            best.wall_clock_s,
            duration,
            "From start to end by the clock, with usual failures and restarts.",
        ),
        Figure::new(
            "Energy",
            best.energy_kwh,
            energy_kwh,
            "What the servers draw from the grid, with the building's cooling. A European household uses some 3,500 kWh a year.",
        ),
        Figure::new(
            "CO2e",
            best.co2e_kg,
            mass_kg,
            "Emissions of making that electricity, at the grid of the region.",
        ),
        Figure::new(
            "GPU-hours",
            best.accelerator_hours,
            significant,
            "GPUs times hours: what is paid for.",
        ),
    ];
    figures.push(if sampled {
        Figure::new(
            "Samples a second",
            best.samples_per_s,
            significant,
            "Over all GPUs.",
        )
    } else {
        Figure::new(
            "Tokens a second",
            best.tokens_per_s,
            significant,
            "Over all GPUs.",
        )
    });
    figures.push(Figure::new(
        "Utilisation (MFU)",
        best.mfu,
        percent,
        "Share of the GPUs' peak arithmetic that goes into the model. 30 to 50% is usual for large models.",
    ));
    figures
}

fn memory(best: &Plan) -> Vec<Part> {
    let memory = &best.memory;
    parts(
        &[
            ("Weights", memory.weights_bytes),
            ("Gradients", memory.gradients_bytes),
            ("Optimizer", memory.optimizer_bytes),
            ("Activations", memory.activations_bytes),
            ("Buffers", memory.buffers_bytes),
            ("Allocator's waste", memory.waste_bytes),
            ("Driver and libraries", memory.reserved_bytes),
        ],
        bytes,
    )
}

fn times(best: &Plan) -> [(&'static str, f64); 10] {
    let time = &best.time;
    [
        ("Forward", time.forward_s),
        ("Backward", time.backward_s),
        ("Recomputed forward", time.recompute_s),
        ("Exchange within layers", time.tensor_s),
        ("Exchange between experts", time.expert_s),
        ("Exchange along sequences", time.context_s),
        ("Exchange of gradients", time.data_s),
        ("Pipeline waits", time.bubble_s),
        ("Optimizer", time.optimizer_s),
        ("Fixed time and stragglers", time.overhead_s),
    ]
}

fn time(best: &Plan) -> Vec<Part> {
    parts(&times(best), duration)
}

/// What takes most of a step, in words.
fn dominates(best: &Plan) -> String {
    let time = &best.time;
    let total = time.total_s();
    let arithmetic = time.forward_s + time.backward_s + time.recompute_s + time.optimizer_s;
    let exchange = time.tensor_s + time.expert_s + time.context_s + time.data_s;
    let (what, value) = [
        (
            "arithmetic, which faster GPUs or a narrower number format would shorten",
            arithmetic,
        ),
        (
            "exchange between GPUs, which fewer GPUs or faster links would shorten",
            exchange,
        ),
        (
            "pipeline waits, which more micro-batches or fewer stages would shorten",
            time.bubble_s,
        ),
        (
            "fixed time of a step, which a larger batch would spread",
            time.overhead_s,
        ),
    ]
    .into_iter()
    .max_by(|a, b| a.1.total_cmp(&b.1))
    .unwrap_or(("arithmetic", 0.0));
    format!("{} of a step is {what}.", percent(value / total))
}

/// A layout in words, degree by degree; what is 1 is left out.
fn layout_words(layout: &Layout) -> Vec<(String, String)> {
    let mut words = Vec::new();
    let mut say = |n: u32, name: &str, meaning: &str| {
        if n > 1 {
            words.push((format!("{name} {n}"), meaning.to_owned()));
        }
    };
    say(
        layout.data,
        "Data parallel",
        "copies of the model, each on its own share of the batch",
    );
    say(
        layout.tensor,
        "Tensor parallel",
        "GPUs that divide each layer among them",
    );
    say(
        layout.pipeline,
        "Pipeline",
        "stages, each with some of the layers",
    );
    say(
        layout.context,
        "Context parallel",
        "GPUs that divide each sequence",
    );
    say(
        layout.expert,
        "Expert parallel",
        "GPUs that divide the experts",
    );
    if layout.zero > 0 {
        let what = match layout.zero {
            1 => "optimizer state is shared out over the copies",
            2 => "optimizer state and gradients are shared out over the copies",
            _ => "weights, gradients and optimizer state are shared out over the copies (FSDP)",
        };
        words.push((format!("ZeRO stage {}", layout.zero), what.to_owned()));
    }
    words.push((
        format!("Micro-batch {}", layout.micro_batch),
        "samples that a copy works on at a time".to_owned(),
    ));
    let recompute = match layout.recompute {
        outlay_plan::Recompute::None => "nothing is computed twice",
        outlay_plan::Recompute::Selective => "cheap results are computed again to save memory",
        outlay_plan::Recompute::Full => "every layer is computed again to save memory",
    };
    words.push(("Recomputation".to_owned(), recompute.to_owned()));
    words
}

/// The command that gives the same answer in a terminal.
fn command(answer: &Answer, sampled: bool) -> String {
    let best = &answer.best;
    let amount = if sampled {
        format!("--samples {}", answer.samples.round())
    } else {
        format!("--tokens {}", answer.tokens.round())
    };
    format!(
        "outlay plan train {} {amount} --gpus {}x{} --precision {}",
        answer.model,
        best.count,
        best.accelerator,
        answer.precision.name()
    )
}

fn tables(answer: &Answer) -> Vec<PlanTable> {
    let rows = |plans: &[Plan]| -> Vec<PlanRow> {
        plans
            .iter()
            .map(|plan| PlanRow {
                cells: vec![
                    plan.usd
                        .map_or_else(|| "–".to_owned(), |cost| usd(cost.p50)),
                    duration(plan.wall_clock_s.p50),
                    format!("{} × {}", plan.count, plan.accelerator),
                    plan.provider.clone(),
                    plan.layout_brief.clone(),
                ],
            })
            .collect()
    };
    let mut tables = vec![PlanTable {
        title: "Runners-up",
        about: "The next best plans.",
        heads: &HEADS,
        rows: rows(&answer.others),
    }];
    if answer.pareto.len() > 1 {
        tables.push(PlanTable {
            title: "Cheaper or faster",
            about: "No plan beats one of these in both cost and time.",
            heads: &HEADS,
            rows: rows(&answer.pareto),
        });
    }
    tables.retain(|table| !table.rows.is_empty());
    tables
}

fn levers(answer: &Answer) -> Vec<(String, String, String, String)> {
    let now = answer.best.usd.map_or(f64::NAN, |cost| cost.p50);
    answer
        .levers
        .iter()
        .map(|lever| {
            (
                lever.change.clone(),
                format!(
                    "{} ({})",
                    usd(lever.saved_usd),
                    percent(lever.saved_usd / now)
                ),
                duration(lever.wall_clock_s),
                lever.gives_up.clone(),
            )
        })
        .collect()
}
