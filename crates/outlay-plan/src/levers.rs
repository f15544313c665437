//! Levers: what would make this very workload cheaper, each found by pricing it anew.

use outlay_catalog::Pricing;
use outlay_model::{Model, SampleUnit};
use outlay_units::duration;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::adapters::Adapters;
use crate::bill::Checkpoints;
use crate::budget::{decoder, mixture};
use crate::constants::Calibration;
use crate::layout::Recompute;
use crate::scaling::{BESIROGLU_2024, LossLaw, mixture_of_eight};
use crate::stages::Stage;
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

/// A change to try.
struct Change<'a> {
    what: String,
    workload: Workload,
    stages: Vec<Stage>,
    choices: Vec<Choice<'a>>,
    deadline_s: Option<f64>,
    most_recompute: Recompute,
    gives_up: String,
}

/// Collects changes of one question.
struct Changes<'a, 'b> {
    question: &'b Question<'a>,
    out: Vec<Change<'a>>,
}

impl<'a> Changes<'a, '_> {
    /// Nothing changed yet, under the given words.
    fn unchanged(&self, what: impl Into<String>, gives_up: impl Into<String>) -> Change<'a> {
        let question = self.question;
        Change {
            what: what.into(),
            workload: question.workload.clone(),
            stages: question.stages.clone(),
            choices: question.choices.clone(),
            deadline_s: question.deadline_s,
            most_recompute: question.most_recompute,
            gives_up: gives_up.into(),
        }
    }

    /// Another workload, in every part of the run that trains.
    fn other_workload(
        &mut self,
        what: impl Into<String>,
        gives_up: impl Into<String>,
        alter: impl Fn(&Workload) -> Workload,
    ) {
        let mut change = self.unchanged(what, gives_up);
        change.workload = alter(&change.workload);
        for stage in &mut change.stages {
            if stage.workload.method != Method::Forward {
                stage.workload = alter(&stage.workload);
            }
        }
        self.out.push(change);
    }

    /// Other hardware.
    fn other_choices(
        &mut self,
        what: impl Into<String>,
        gives_up: impl Into<String>,
        choices: Vec<Choice<'a>>,
    ) {
        let change = self.unchanged(what, gives_up);
        self.out.push(Change { choices, ..change });
    }
}

/// Levers of a plan, the most saving first. `everywhere` is hardware with its offers, of whatever kind and way of selling;
/// `packed_share` what packing samples into full sequences would leave of the tokens computed, where they are padded.
pub fn levers<'a>(
    question: &Question<'a>,
    answer: &Answer,
    everywhere: &[Choice<'a>],
    packed_share: Option<f64>,
    calibration: &Calibration,
) -> Vec<Lever> {
    let Some(now) = answer.best.usd else {
        return Vec::new();
    };
    // What preemptions lose counts on both sides.
    let now_usd = now.p50 * spot_factor(&answer.best, question.workload, question, calibration);
    let mut changes = Changes {
        question,
        out: Vec::new(),
    };
    formats(&mut changes);
    methods(&mut changes);
    if let Some(share) = packed_share.filter(|share| *share < 1.0) {
        changes.other_workload(
            "packing samples into full sequences (--packing)",
            "attention must be masked between samples, or they see each other",
            |workload| Workload {
                tokens_total: workload.tokens_total * share,
                ..workload.clone()
            },
        );
    }
    less_recomputed(&mut changes, answer);
    later(&mut changes);
    sold_otherwise(&mut changes, answer, everywhere);
    equal_losses(&mut changes);
    let tried = changes.out;
    let mut out: Vec<Lever> = tried
        .par_iter()
        .filter_map(|change| tried_out(change, question, answer, now_usd, calibration))
        .collect();
    // Less than half a percent is within what a layout more or less makes.
    out.retain(|lever| lever.saved_usd > 0.005 * now_usd);
    out.sort_by(|a, b| b.saved_usd.total_cmp(&a.saved_usd));
    // The same change in several sizes counts once, in the size that saves most.
    let mut seen = std::collections::BTreeSet::new();
    out.retain(|lever| {
        let kind = lever.change.split(", on ").next().unwrap_or_default();
        seen.insert(kind.to_owned())
    });
    out
}

/// Prices a change; `None` where nothing can run it, or not within its limits.
fn tried_out(
    change: &Change<'_>,
    question: &Question<'_>,
    answer: &Answer,
    now_usd: f64,
    calibration: &Calibration,
) -> Option<Lever> {
    let choices: Vec<Choice<'_>> = change
        .choices
        .iter()
        .filter(|choice| !choice.offers.is_empty())
        .cloned()
        .collect();
    if choices.is_empty() {
        return None;
    }
    let fixed = choices.iter().all(|choice| choice.count.is_some());
    let asked = Question {
        workload: &change.workload,
        choices,
        // A lever keeps the deadline, or takes about as long as the plan does.
        deadline_s: change
            .deadline_s
            .or((!fixed).then_some(1.1 * answer.best.wall_clock_s.p50)),
        budget_usd: None,
        layout: None,
        stages: change.stages.clone(),
        // Hardware that the plan searched was searched with the usual layouts.
        usual_only: question.choices.iter().any(|choice| choice.count.is_none()),
        most_recompute: change.most_recompute,
        ..question.clone()
    };
    let found = plan_train(&asked, calibration).ok()?;
    if !found.meets_limits {
        return None;
    }
    let factor = spot_factor(&found.best, &change.workload, question, calibration);
    let usd = found.best.usd?.p50 * factor;
    let named = if change.what == ANY_HARDWARE {
        format!(
            "{} x {} from {}",
            found.best.count, found.best.accelerator, found.best.provider
        )
    } else if change.what == ELSEWHERE {
        format!(
            "the same hardware from {} ({})",
            found.best.provider, found.best.region
        )
    } else {
        change.what.clone()
    };
    Some(Lever {
        change: named,
        usd,
        saved_usd: now_usd - usd,
        wall_clock_s: found.best.wall_clock_s.p50 * factor,
        gives_up: match found.best.preemptions_per_node_day {
            Some(rate) if change.what == SPOT => format!(
                "preempted {} times a day and node ({}); checkpoints at Daly's interval",
                outlay_units::significant(rate),
                found.best.preemptions_basis
            ),
            _ => change.gives_up.clone(),
        },
    })
}

/// Changes whose words name the hardware that is found.
const ANY_HARDWARE: &str = "any hardware";
const ELSEWHERE: &str = "the same hardware elsewhere";
/// The change whose price is that of preemptions.
const SPOT: &str = "the same hardware, spot";

/// Narrower number formats.
fn formats(changes: &mut Changes<'_, '_>) {
    let question = changes.question;
    if question.workload.precision.is_narrow() {
        return;
    }
    // Block scales are Blackwell's hardware.
    let blackwell = question
        .choices
        .iter()
        .any(|choice| choice.accelerator.generation.starts_with("blackwell"));
    let eight = if blackwell {
        Precision::Mxfp8
    } else {
        Precision::Fp8
    };
    for precision in [eight, Precision::Nvfp4] {
        let gives_up = if precision == Precision::Nvfp4 {
            "4-bit products: still research for whole runs; watch the loss"
        } else {
            "8-bit products: watch the loss against a 16-bit run"
        };
        let what = format!("{} products", precision.name());
        changes.other_workload(what, gives_up, |workload| Workload {
            precision,
            ..workload.clone()
        });
    }
}

/// Adapters in place of all weights, and other optimizers.
fn methods(changes: &mut Changes<'_, '_>) {
    let workload = changes.question.workload;
    if workload.method == Method::Lora {
        changes.other_workload(
            "QLoRA in place of LoRA",
            "4-bit weights: some quality, and slower products",
            |workload| Workload {
                method: Method::Qlora,
                ..workload.clone()
            },
        );
    }
    if workload.method != Method::Full {
        return;
    }
    // Who trains on fewer tokens than the model has parameters tunes one that is there.
    if workload.tokens_total < workload.model.parameters() as f64 {
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
            changes.other_workload(name, gives_up, |workload| Workload {
                method,
                adapters: Adapters::default(),
                ..workload.clone()
            });
        }
    }
    for optimizer in [Optimizer::Adam8bit, Optimizer::Muon] {
        if optimizer == workload.optimizer {
            continue;
        }
        let gives_up = if optimizer == Optimizer::Muon {
            "tuning anew; its own gain in steps is not counted here"
        } else {
            "little, where the library has it"
        };
        let what = format!("optimizer {}", optimizer.name());
        changes.other_workload(what, gives_up, |workload| Workload {
            optimizer,
            ..workload.clone()
        });
    }
}

/// Room for activations in place of computing them again: on more of the same accelerators, where fewer are given than that
/// takes.
fn less_recomputed(changes: &mut Changes<'_, '_>, answer: &Answer) {
    let best = &answer.best;
    let least = match best.layout.recompute {
        Recompute::None => return,
        Recompute::Selective => Recompute::None,
        Recompute::Full => Recompute::Selective,
    };
    let words = match least {
        Recompute::None => "nothing computed again",
        _ => "less computed again",
    };
    for factor in [1, 2, 4] {
        let Some(count) = best.count.checked_mul(factor) else {
            continue;
        };
        let mut change = changes.unchanged(
            format!("{words}, on {count} x {}", best.accelerator),
            if factor == 1 {
                "room in memory"
            } else {
                "more accelerators at one time"
            },
        );
        change
            .choices
            .retain(|choice| choice.accelerator.id == best.accelerator);
        for choice in &mut change.choices {
            choice.count = Some(count);
        }
        change.most_recompute = least;
        changes.out.push(change);
    }
}

/// A longer deadline, where there is one.
fn later(changes: &mut Changes<'_, '_>) {
    let Some(deadline_s) = changes.question.deadline_s else {
        return;
    };
    for factor in [1.5, 2.0, 4.0] {
        let more = deadline_s * factor;
        let mut change = changes.unchanged(
            format!("a later deadline, on {} after the start", duration(more)),
            format!("up to {} more of waiting", duration(more - deadline_s)),
        );
        change.deadline_s = Some(more);
        changes.out.push(change);
    }
}

/// Other hardware, providers, regions and ways of selling.
fn sold_otherwise<'a>(changes: &mut Changes<'a, '_>, answer: &Answer, everywhere: &[Choice<'a>]) {
    changes.other_choices(
        ANY_HARDWARE,
        "moving data and code",
        everywhere.iter().map(sold_on_demand).collect(),
    );
    for (pricing, name, gives_up) in [
        (
            Pricing::OnDemand,
            ELSEWHERE,
            "moving data and code to another provider or region",
        ),
        (
            Pricing::Reserved,
            "the same hardware, reserved",
            "a commitment of a month to three years",
        ),
        (Pricing::Spot, SPOT, "nodes that may be taken away"),
    ] {
        let choices: Vec<Choice<'_>> = everywhere
            .iter()
            .filter(|choice| choice.accelerator.id == answer.best.accelerator)
            .map(|choice| {
                let mut choice = choice.clone();
                choice.count = Some(answer.best.count);
                let best = &answer.best;
                choice.offers.retain(|offer| {
                    offer.pricing == pricing
                        && (offer.provider != best.provider
                            || offer.region != best.region
                            || offer.pricing.name() != best.pricing)
                });
                choice
            })
            .collect();
        changes.other_choices(name, gives_up, choices);
    }
}

/// Models of equal predicted loss: smaller ones on more tokens, and mixtures of experts.
fn equal_losses(changes: &mut Changes<'_, '_>) {
    let workload = changes.question.workload;
    if !from_scratch(workload) {
        return;
    }
    if let Some((model, tokens)) = smaller_of_equal_loss(workload) {
        let share = tokens / workload.tokens_total;
        changes.other_workload(
            format!(
                "{} on {} tokens, of equal predicted loss",
                model.name,
                outlay_units::count(tokens)
            ),
            "another size to serve; the law's own error is 0.03 nats",
            |workload| Workload {
                model: model.clone(),
                tokens_total: workload.tokens_total * share,
                ..workload.clone()
            },
        );
    }
    let parameters = workload.model.parameters() as f64;
    if let Some(model) = mixture_of_eight(parameters, workload.tokens_total).and_then(mixture) {
        let (all, active) = (model.parameters(), model.active_parameters());
        changes.other_workload(
            format!(
                "a mixture of 8 experts, {} parameters active, of equal predicted loss",
                outlay_units::count(active as f64)
            ),
            format!(
                "{} parameters to hold and to serve; the law (arXiv:2502.05172) was fitted on up to 2.7B active ones",
                outlay_units::count(all as f64)
            ),
            |workload| Workload {
                model: model.clone(),
                ..workload.clone()
            },
        );
    }
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
    1.0 / (1.0 - Checkpoints::of(plan, &costing, 0.0, None).lost_share)
}

/// Whether a dense language model is trained from scratch: of others, and of fine-tunes, the laws say nothing.
fn from_scratch(workload: &Workload) -> bool {
    let model = &workload.model;
    model.sample.unit == SampleUnit::Sequence
        && model.family == outlay_model::Family::Decoder
        && !model.has_experts()
        && workload.method == Method::Full
        && model.trained_parameters() == model.parameters()
        && workload.tokens_total >= 5.0 * model.parameters() as f64
}

/// The model of least FLOPs that reaches the loss predicted for this one, and its tokens, where that saves a twentieth.
fn smaller_of_equal_loss(workload: &Workload) -> Option<(Model, f64)> {
    let law: LossLaw = BESIROGLU_2024;
    let parameters = workload.model.parameters() as f64;
    let loss = law.loss(parameters, workload.tokens_total);
    let (size, tokens) = law.optimum_with_inference(loss, 0.0)?;
    let (other, _, _) = decoder(size)?;
    (size * tokens < 0.95 * parameters * workload.tokens_total).then_some((other, tokens))
}
