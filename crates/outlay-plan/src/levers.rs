//! Levers: what would make this very workload cheaper, each found by pricing it anew.

use outlay_catalog::Pricing;
use outlay_model::SampleUnit;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::adapters::Adapters;
use crate::bill::Checkpoints;
use crate::budget::decoder;
use crate::constants::Calibration;
use crate::failures::PREEMPTIONS_PER_DAY;
use crate::scaling::{BESIROGLU_2024, LossLaw};
use crate::step::Costing;
use crate::train::{Answer, Choice, Plan, Question, plan_train};
use crate::workload::{Method, Optimizer, Precision, Workload};

/// One change and what it would do.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Lever {
    /// The change.
    pub change: String,
    /// Cost with it, in US dollars, at p50.
    pub usd: f64,
    /// What it saves, in US dollars; negative: it costs more.
    pub saved_usd: f64,
    /// Wall-clock time with it, in seconds, at p50.
    pub wall_clock_s: f64,
    /// What it gives up.
    pub gives_up: String,
}

/// Levers of a plan, the most saving first. `everywhere` is hardware with its offers, of whatever kind and way of selling.
pub fn levers(
    question: &Question<'_>,
    answer: &Answer,
    everywhere: &[Choice<'_>],
    calibration: &Calibration,
) -> Vec<Lever> {
    let Some(now) = answer.best.usd else {
        return Vec::new();
    };
    let workload = question.workload;
    let mut changes: Vec<(String, Workload, Vec<Choice<'_>>, String)> = Vec::new();
    let here = question.choices.clone();
    // Block scales are Blackwell's hardware.
    let blackwell = here
        .iter()
        .any(|choice| choice.accelerator.generation.starts_with("blackwell"));
    let eight = if blackwell {
        Precision::Mxfp8
    } else {
        Precision::Fp8
    };
    for precision in [eight, Precision::Nvfp4] {
        if !workload.precision.is_narrow() {
            let narrower = Workload {
                precision,
                ..workload.clone()
            };
            let gives_up = if precision == Precision::Nvfp4 {
                "4-bit products: still research for whole runs; watch the loss"
            } else {
                "8-bit products: watch the loss against a 16-bit run"
            };
            changes.push((
                format!("{} products", precision.name()),
                narrower,
                here.clone(),
                gives_up.to_owned(),
            ));
        }
    }
    // Who trains on fewer tokens than the model has parameters tunes one that is there.
    let tunes = workload.tokens_total < workload.model.parameters() as f64;
    if workload.method == Method::Full {
        for (method, name, gives_up) in [
            (
                Method::Lora,
                "LoRA of rank 16",
                "less capacity to learn new facts",
            ),
            (
                Method::Qlora,
                "QLoRA of rank 16",
                "as LoRA, on 4-bit weights: some quality, and slower products",
            ),
        ] {
            let adapted = Workload {
                method,
                adapters: Adapters::default(),
                ..workload.clone()
            };
            if tunes {
                changes.push((name.to_owned(), adapted, here.clone(), gives_up.to_owned()));
            }
        }
        for optimizer in [Optimizer::Adam8bit, Optimizer::Muon] {
            if optimizer != workload.optimizer {
                let other = Workload {
                    optimizer,
                    ..workload.clone()
                };
                let gives_up = if optimizer == Optimizer::Muon {
                    "tuning anew; its own gain in steps is not counted here"
                } else {
                    "little, where the library has it"
                };
                changes.push((
                    format!("optimizer {}", optimizer.name()),
                    other,
                    here.clone(),
                    gives_up.to_owned(),
                ));
            }
        }
    }
    changes.push((
        "any hardware and provider".to_owned(),
        workload.clone(),
        everywhere.iter().map(sold_on_demand).collect(),
        "moving data and code".to_owned(),
    ));
    for (pricing, name, gives_up) in [
        (
            Pricing::Reserved,
            "the same hardware, reserved",
            "a commitment of a month to three years",
        ),
        (
            Pricing::Spot,
            "the same hardware, spot",
            "preempted once a day and node, as assumed; checkpoints at Daly's interval",
        ),
    ] {
        let choices: Vec<Choice<'_>> = everywhere
            .iter()
            .filter(|choice| choice.accelerator.id == answer.best.accelerator)
            .map(|choice| {
                let mut choice = choice.clone();
                choice.count = Some(answer.best.count);
                choice.offers.retain(|offer| offer.pricing == pricing);
                choice
            })
            .collect();
        changes.push((
            name.to_owned(),
            workload.clone(),
            choices,
            gives_up.to_owned(),
        ));
    }
    if let Some(smaller) = equal_loss(workload) {
        let name = format!(
            "{} on {} tokens, of equal predicted loss",
            smaller.model.name,
            outlay_units::count(smaller.tokens_total)
        );
        changes.push((
            name,
            smaller,
            here.clone(),
            "another size to serve; the law's own error is 0.03 nats".to_owned(),
        ));
    }
    let mut out: Vec<Lever> = changes
        .par_iter()
        .filter_map(|(change, workload, choices, gives_up)| {
            let choices: Vec<Choice<'_>> = choices
                .iter()
                .filter(|choice| !choice.offers.is_empty())
                .cloned()
                .collect();
            if choices.is_empty() {
                return None;
            }
            let fixed = choices.iter().all(|choice| choice.count.is_some());
            let asked = Question {
                workload,
                choices,
                // A lever keeps the deadline, or takes about as long as the plan does.
                deadline_s: question
                    .deadline_s
                    .or((!fixed).then_some(1.1 * answer.best.wall_clock_s.p50)),
                budget_usd: None,
                layout: None,
                ..question.clone()
            };
            let found = plan_train(&asked, calibration).ok()?;
            if !found.meets_limits {
                return None;
            }
            let factor = spot_factor(&found.best, workload, question, calibration);
            let usd = found.best.usd?.p50 * factor;
            Some(Lever {
                change: if change.starts_with("any hardware") {
                    format!(
                        "{} x {} from {}",
                        found.best.count, found.best.accelerator, found.best.provider
                    )
                } else {
                    change.clone()
                },
                usd,
                saved_usd: now.p50 - usd,
                wall_clock_s: found.best.wall_clock_s.p50 * factor,
                gives_up: gives_up.clone(),
            })
        })
        .collect();
    // Less than half a percent is within what a layout more or less makes.
    out.retain(|lever| lever.saved_usd > 0.005 * now.p50);
    out.sort_by(|a, b| b.saved_usd.total_cmp(&a.saved_usd));
    out
}

/// Hardware of any size, as it is sold on demand.
fn sold_on_demand<'a>(choice: &Choice<'a>) -> Choice<'a> {
    let mut choice = choice.clone();
    choice
        .offers
        .retain(|offer| offer.pricing == Pricing::OnDemand);
    choice.count = None;
    choice
}

/// Wall-clock time over useful time under preemption; 1 for offers that are not preempted.
fn spot_factor(
    plan: &Plan,
    workload: &Workload,
    question: &Question<'_>,
    calibration: &Calibration,
) -> f64 {
    if plan.pricing != "spot" {
        return 1.0;
    }
    let Some(accelerator) = question
        .choices
        .iter()
        .map(|choice| choice.accelerator)
        .find(|accelerator| accelerator.id == plan.accelerator)
    else {
        return 1.0;
    };
    let Some(costing) = Costing::new(workload, accelerator, calibration) else {
        return 1.0;
    };
    1.0 / (1.0 - Checkpoints::of(plan, &costing, 0.0, PREEMPTIONS_PER_DAY).lost_share)
}

/// The workload of least FLOPs that reaches the loss predicted for this one, where that is another size by a tenth.
fn equal_loss(workload: &Workload) -> Option<Workload> {
    let model = &workload.model;
    let law: LossLaw = BESIROGLU_2024;
    let decodes = model.sample.unit == SampleUnit::Sequence
        && model.family == outlay_model::Family::Decoder
        && !model.has_experts();
    if !decodes || workload.method != Method::Full {
        return None;
    }
    let parameters = model.parameters() as f64;
    // A fine-tune is no run from scratch: the law says nothing of it.
    if workload.tokens_total < 5.0 * parameters {
        return None;
    }
    let loss = law.loss(parameters, workload.tokens_total);
    let (size, tokens) = law.optimum_with_inference(loss, 0.0)?;
    let (other, _, _) = decoder(size)?;
    let flops = size * tokens;
    (flops < 0.95 * parameters * workload.tokens_total).then(|| Workload {
        model: other,
        tokens_total: tokens,
        ..workload.clone()
    })
}
