//! The answer to "what will this training run cost?".

use std::collections::{BTreeMap, BTreeSet};

use outlay_catalog::{Accelerator, Offer, Pricing};
use outlay_model::{BlockKind, Model};
use outlay_units::{Estimate, GIB};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::constants::Calibration;
use crate::layout::{Layout, Recompute};
use crate::measured::model_flops_per_token;
use crate::memory::Memory;
use crate::search::{Candidate, Found, Space, illegal, search};
use crate::stages::{Parts, PlanStage, Stage, main_name, samples_trained, tokens_trained};
use crate::step::{Costing, StepTime};
use crate::workload::{Framework, Method, Optimizer, Precision, Workload};

/// An accelerator to plan on, with the offers it can be had at.
#[derive(Clone, Debug)]
pub struct Choice<'a> {
    /// The accelerator.
    pub accelerator: &'a Accelerator,
    /// How many; `None`: sizes are searched.
    pub count: Option<u32>,
    /// Offers of this accelerator. May be empty: then only times are given.
    pub offers: Vec<&'a Offer>,
}

/// A question.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The workload.
    pub workload: &'a Workload,
    /// Hardware to consider.
    pub choices: Vec<Choice<'a>>,
    /// Most that may be spent, in US dollars.
    pub budget_usd: Option<f64>,
    /// Longest that it may take, in seconds.
    pub deadline_s: Option<f64>,
    /// A layout to price, in place of a search.
    pub layout: Option<Layout>,
    /// Carbon intensity of an offer's grid, in g/kWh, and where that comes from; by provider and region.
    pub carbon: fn(&str, &str) -> (f64, String),
    /// Power usage effectiveness of the data centre.
    pub pue: f64,
    /// Whether the workload's framework was chosen; otherwise each accelerator gets its usual one.
    pub framework_given: bool,
    /// Whether the calibration was fitted by the person who asks; then hardware that it measured is their own cluster.
    pub own_calibration: bool,
    /// Search every legal layout rather than the usual ones (always done where hardware is fixed).
    pub exhaustive: bool,
    /// Search the usual layouts alone even where hardware is fixed, as is done where it is not: for comparisons with such a
    /// search.
    pub usual_only: bool,
    /// Other parts of the run, on the same accelerators.
    pub stages: Vec<Stage>,
    /// Most that may be computed again in the backward pass.
    pub most_recompute: Recompute,
}

/// One way to run the workload: an offer, a number of accelerators and a layout.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Accelerator id.
    pub accelerator: String,
    /// Accelerators.
    pub count: u32,
    /// Provider, or `none` where no price is known.
    pub provider: String,
    /// Instance type.
    pub instance: String,
    /// Region.
    pub region: String,
    /// `on-demand`, `spot`, `reserved` or `owned`.
    pub pricing: String,
    /// Day of the price.
    pub price_as_of: String,
    /// Where the price was read.
    pub price_source: String,
    /// Preemptions of a node in a day; `None` where the offer is none of spot.
    #[serde(default)]
    pub preemptions_per_node_day: Option<f64>,
    /// Nodes that can be preempted, each at that rate.
    #[serde(default)]
    pub spot_nodes: f64,
    /// Where that rate comes from.
    #[serde(default)]
    pub preemptions_basis: String,
    /// US dollars for each accelerator and hour; `None` where no price is known.
    pub usd_per_accelerator_hour: Option<f64>,
    /// The layout.
    pub layout: Layout,
    /// The layout in short form.
    pub layout_brief: String,
    /// Training software whose constants were used.
    pub framework: Framework,
    /// Seconds of one optimizer step.
    pub step_s: Estimate,
    /// Optimizer steps.
    pub steps: f64,
    /// Parts of the run in their order, where it has several; steps and rates of the plan are those of the main part, times
    /// and costs of all.
    #[serde(default)]
    pub stages: Vec<PlanStage>,
    /// Wall-clock time of the run, in seconds, restarts and evaluation included.
    pub wall_clock_s: Estimate,
    /// Accelerator-hours.
    pub accelerator_hours: Estimate,
    /// US dollars; `None` where no price is known.
    pub usd: Option<Estimate>,
    /// Energy drawn from the grid, in kWh.
    pub energy_kwh: Estimate,
    /// Emissions, in kg of CO2 equivalent.
    pub co2e_kg: Estimate,
    /// Where the carbon intensity comes from.
    pub carbon_basis: String,
    /// Tokens per second over all accelerators (positions of the main stream, for models that take no tokens).
    pub tokens_per_s: Estimate,
    /// Samples per second over all accelerators: sequences, images, videos, recordings.
    pub samples_per_s: Estimate,
    /// Model TFLOP/s of one accelerator.
    pub tflops_per_accelerator: Estimate,
    /// Model FLOPs utilisation, against the dense peak of the number format that products use.
    pub mfu: Estimate,
    /// Peak memory of one accelerator, in GiB: of the part that needs most, where the run has several.
    pub memory_gib: Estimate,
    /// Memory of one accelerator, in GiB.
    pub memory_capacity_gib: f64,
    /// Where the step's time goes.
    pub time: StepTime,
    /// Where the memory goes, in the main part.
    pub memory: Memory,
}

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// Version of this format; fields are only ever added within one version.
    pub format: u32,
    /// Model name.
    pub model: String,
    /// Parameters that are trained.
    pub parameters: u64,
    /// Parameters of the model, frozen ones among them and networks beside it not; 0 in answers of versions that did not say.
    #[serde(default)]
    pub model_parameters: u64,
    /// Parameters that a token touches.
    pub active_parameters: u64,
    /// Training FLOPs of a token: three forwards (two where weights are frozen), attention over all pairs.
    pub flops_per_token: f64,
    /// Tokens (positions of the main stream, for models that take no tokens).
    pub tokens: f64,
    /// Samples: sequences, images, videos, recordings.
    pub samples: f64,
    /// What a sample is called, in the plural.
    pub sample_unit: String,
    /// Height of an image or frame, in pixels (0: no image).
    pub height_px: u64,
    /// Width of an image or frame, in pixels (0: no image).
    pub width_px: u64,
    /// Frames of a video (0: no video).
    pub frames: u64,
    /// Tokens in a sequence.
    pub sequence_tokens: u64,
    /// Sequences in a step.
    pub global_batch_sequences: u64,
    /// Number format.
    pub precision: Precision,
    /// Which parameters are trained; absent in answers of versions that did not say.
    #[serde(default)]
    pub method: Option<Method>,
    /// The adapters; absent where all parameters are trained.
    #[serde(default)]
    pub adapters: Option<crate::Adapters>,
    /// Optimizer; absent in answers of versions that did not say.
    #[serde(default)]
    pub optimizer: Option<Optimizer>,
    /// Networks that run forward beside the model and are not trained, such as `teacher` or `reference`.
    #[serde(default)]
    pub beside: Vec<String>,
    /// Whether samples are padded to the longest of their batch, rather than packed into full sequences.
    #[serde(default)]
    pub padded: bool,
    /// The chosen plan.
    pub best: Plan,
    /// Next-best plans.
    pub others: Vec<Plan>,
    /// Plans that no other plan beats in both cost and time.
    pub pareto: Vec<Plan>,
    /// Whether the chosen plan meets the budget and the deadline (true where none was given).
    pub meets_limits: bool,
    /// Changes that would make it cheaper, the most saving first; empty unless asked for.
    #[serde(default)]
    pub levers: Vec<crate::levers::Lever>,
    /// Everything around the run, line by line; absent unless asked for.
    #[serde(default)]
    pub bill: Option<crate::bill::Bill>,
    /// Emissions by the hours of the grid; absent unless a start is given and the grid's hours are known.
    #[serde(default)]
    pub emissions: Option<EmissionsByHour>,
    /// Layouts priced.
    pub layouts_priced: u64,
    /// Sentences worth reading: limits missed, old prices, assumptions.
    pub notes: Vec<String>,
}

/// What the chosen plan emits when it starts at an instant, by the hours of its grid.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EmissionsByHour {
    /// The start, in UTC (RFC 3339).
    pub start: String,
    /// Emissions, in kg of CO2 equivalent. The range holds the weather, too.
    pub co2e_kg: Estimate,
    /// The start within a day of it from which the run emits least.
    pub best_start: String,
    /// Emissions from then on, in kg of CO2 equivalent, at p50.
    pub best_co2e_kg: f64,
    /// Where the hours come from.
    pub basis: String,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// No hardware has the number format.
    #[error("{hardware} matrix units for {wanted}; allowed there: {}", allowed.join(", "))]
    NoFormat {
        /// `A100-80GB-SXM has no`, or `none of the 9 accelerators considered has`.
        hardware: String,
        /// The format.
        wanted: &'static str,
        /// Formats that it has, or that some have.
        allowed: Vec<&'static str>,
    },
    /// Nothing fits.
    #[error(
        "`{model}` does not fit: {which} on {count} x {accelerator} needs {needed_gib:.1} GiB of {capacity_gib:.1} GiB each"
    )]
    FitsNowhere {
        /// Model name.
        model: String,
        /// Accelerators of the roomiest choice.
        count: u32,
        /// Accelerator id.
        accelerator: String,
        /// Needed on each, in GiB.
        needed_gib: f64,
        /// Usable on each, in GiB.
        capacity_gib: f64,
        /// Which layout that is.
        which: &'static str,
        /// What would make it fit.
        hints: Vec<String>,
    },
    /// The layout given is not legal for the workload.
    #[error("layout `{layout}` is not legal for `{model}`: {why}")]
    Illegal {
        /// Model name.
        model: String,
        /// The layout in short form.
        layout: String,
        /// What does not divide, or what no software combines.
        why: String,
    },
    /// No legal layout at all, whatever the memory.
    #[error(
        "no layout of `{model}` is legal on {count} accelerators with {global_batch} sequences in a step: data-parallel degrees must divide the batch, tensor-parallel degrees the heads, expert-parallel degrees the experts"
    )]
    NoLegalLayout {
        /// Model name.
        model: String,
        /// Accelerators.
        count: u32,
        /// Sequences in a step.
        global_batch: u64,
    },
}

/// Sizes of cluster to try where none is given: whole nodes, doubling, one accelerator up to 4,096.
fn sizes(accelerator: &Accelerator) -> Vec<u32> {
    let node = accelerator.node_size.max(1);
    let mut out = vec![1];
    let mut count = 2;
    while count <= 4096 {
        if count <= node || count % node == 0 {
            out.push(count);
        }
        count *= 2;
    }
    out
}

/// Power that one accelerator draws in training with its share of the server, in watts, before the building's PUE.
///
/// Training draws about 85% of the accelerator's limit, and processors, memory, fans and network a quarter more
/// (arXiv:2104.10350 and DGX data sheets: 8 x 700 W in a server of 10.2 kW).
pub fn server_watts(accelerator: &Accelerator) -> f64 {
    accelerator.tdp_watts * 0.85 * 1.25
}

/// Answers a question.
///
/// # Errors
/// [`PlanError`] where no hardware considered can run the workload.
pub fn plan_train(question: &Question<'_>, calibration: &Calibration) -> Result<Answer, PlanError> {
    let workload = question.workload;
    let fixed = question.choices.iter().all(|choice| choice.count.is_some());
    let space = Space {
        common_only: question.usual_only || !(question.exhaustive || fixed),
        most_recompute: question.most_recompute,
        ..Space::default()
    };
    let keep = if fixed { 6 } else { 1 };
    let tasks: Vec<(&Choice<'_>, u32)> = question
        .choices
        .iter()
        .flat_map(|choice| match choice.count {
            Some(count) => vec![(choice, count)],
            None => sizes(choice.accelerator)
                .into_iter()
                .map(|count| (choice, count))
                .collect(),
        })
        .collect();
    if let Some(layout) = &question.layout
        && let Some(costing) = question
            .choices
            .iter()
            .find_map(|choice| Costing::new(workload, choice.accelerator, calibration))
        && let Some(why) = illegal(&costing, layout)
    {
        return Err(PlanError::Illegal {
            model: workload.model.name.clone(),
            layout: layout.brief(),
            why,
        });
    }
    // One copy of the workload for each framework in use.
    let workloads: Vec<Workload> = Framework::ALL
        .into_iter()
        .filter(|framework| !question.framework_given || *framework == workload.framework)
        .map(|framework| Workload {
            framework,
            ..workload.clone()
        })
        .collect();
    let workload_on = |accelerator: &Accelerator| {
        let usual = Framework::usual(&accelerator.generation, &workload.model);
        workloads
            .iter()
            .find(|workload| question.framework_given || workload.framework == usual)
            .unwrap_or(workload)
    };
    let priced: Vec<Priced<'_>> = tasks
        .par_iter()
        .filter_map(|&(choice, count)| {
            let costing = Costing::new(
                workload_on(choice.accelerator),
                choice.accelerator,
                calibration,
            )?;
            let mut found = match question.layout {
                Some(layout) => one_layout(&costing, layout, space),
                None => with_room(&costing, count, space, keep, question, calibration),
            };
            let known = question.own_calibration && calibration.is_own(&choice.accelerator.id);
            let memory_high = calibration.spread("memory", known).high;
            let stages: Option<Vec<Candidate>> = question
                .stages
                .iter()
                .map(|stage| {
                    let main = costing.workload;
                    stage.price(
                        main,
                        choice.accelerator,
                        count,
                        space,
                        memory_high,
                        calibration,
                    )
                })
                .collect();
            // Where a part of the run does not fit, the run does not.
            let stages = stages.unwrap_or_else(|| {
                found.best.clear();
                Vec::new()
            });
            Some(Priced {
                choice,
                count,
                costing,
                found,
                stages,
            })
        })
        .collect();
    if priced.is_empty() {
        return Err(no_format(question, calibration));
    }
    let mut plans: Vec<Plan> = Vec::new();
    for priced in &priced {
        for candidate in &priced.found.best {
            if priced.choice.offers.is_empty() {
                plans.push(plan_of(question, priced, candidate, None, calibration));
            }
            for offer in cheapest_by_provider(&priced.choice.offers) {
                plans.push(plan_of(
                    question,
                    priced,
                    candidate,
                    Some(offer),
                    calibration,
                ));
            }
        }
    }
    if plans.is_empty() {
        return Err(nothing_fits(question, &priced, calibration));
    }
    let mut notes: Vec<String> = workload.model.notes.clone();
    let within = |plan: &Plan| {
        question
            .deadline_s
            .is_none_or(|deadline| plan.wall_clock_s.p50 <= deadline)
            && question
                .budget_usd
                .is_none_or(|budget| plan.usd.is_none_or(|usd| usd.p50 <= budget))
    };
    let usd = |plan: &Plan| plan.usd.map_or(f64::INFINITY, |usd| usd.p50);
    // Without a deadline a search over hardware still wants an end in sight: a quarter.
    let implied = if fixed || question.deadline_s.is_some() {
        f64::INFINITY
    } else {
        90.0 * 86_400.0
    };
    // A plan that may run out of memory must be a few percent cheaper to be worth the risk.
    let risk = |plan: &Plan| {
        if plan.memory_gib.p90 > plan.memory_capacity_gib {
            NEAR_LIMIT
        } else {
            1.0
        }
    };
    plans.sort_by(|a, b| {
        let rank = |plan: &Plan| (!within(plan), plan.wall_clock_s.p50 > implied);
        let time = |plan: &Plan| risk(plan) * plan.wall_clock_s.p50;
        rank(a).cmp(&rank(b)).then_with(|| {
            (risk(a) * usd(a))
                .total_cmp(&(risk(b) * usd(b)))
                .then(time(a).total_cmp(&time(b)))
        })
    });
    let pareto = pareto(&plans);
    let best = plans[0].clone();
    let meets_limits = within(&best);
    if !meets_limits {
        // Say which limit is missed, with what is possible.
        let fastest = plans
            .iter()
            .map(|plan| plan.wall_clock_s.p50)
            .fold(f64::INFINITY, f64::min);
        let cheapest = plans.iter().map(usd).fold(f64::INFINITY, f64::min);
        if let Some(deadline) = question.deadline_s
            && fastest > deadline
        {
            notes.push(format!(
                "No plan considered meets the deadline of {}; the fastest takes {}.",
                outlay_units::duration(deadline),
                outlay_units::duration(fastest)
            ));
        }
        if let Some(budget) = question.budget_usd
            && cheapest > budget
        {
            notes.push(format!(
                "No plan considered meets the budget of {}; the cheapest costs {}.",
                outlay_units::usd(budget),
                outlay_units::usd(cheapest)
            ));
        }
        if notes.is_empty() {
            notes.push("No plan considered meets both the budget and the deadline.".to_owned());
        }
    } else if implied.is_finite() && best.wall_clock_s.p50 <= implied {
        notes.push("No deadline was given: plans of up to 90 days were ranked by cost.".to_owned());
    }
    if best.memory_gib.p90 > best.memory_capacity_gib {
        let roomy = plans
            .iter()
            .filter(|plan| within(plan) && plan.memory_gib.p90 <= plan.memory_capacity_gib)
            .map(|plan| plan.layout_brief.as_str())
            .next();
        notes.push(format!(
            "Memory is near the limit: one run in ten would need {:.0} GiB or more of {:.0}.{}",
            best.memory_gib.p90,
            best.memory_capacity_gib,
            roomy.map_or_else(String::new, |brief| format!(
                " `{brief}` has room to spare."
            ))
        ));
    }
    if let Some(cheaper) = plans
        .iter()
        .filter(|plan| within(plan) && risk(plan) > 1.0 && usd(plan) < usd(&best))
        .min_by(|a, b| usd(a).total_cmp(&usd(b)))
        && risk(&best) == 1.0
    {
        notes.push(format!(
            "`{}` is {:.1}% cheaper, but near the limit of memory ({:.0} GiB of {:.0} at p90).",
            cheaper.layout_brief,
            (1.0 - usd(cheaper) / usd(&best)) * 100.0,
            cheaper.memory_gib.p90,
            cheaper.memory_capacity_gib
        ));
    }
    let others = next_best(&plans, fixed);
    let model = &workload.model;
    Ok(Answer {
        format: 1,
        model: model.name.clone(),
        parameters: model.trained_parameters(),
        model_parameters: model.own_parameters(),
        active_parameters: model.active_parameters(),
        flops_per_token: workload.method.passes()
            * model_flops_per_token(model, workload.sequence_tokens, false),
        tokens: tokens_trained(workload, &question.stages),
        samples: samples_trained(workload, &question.stages),
        sample_unit: model.sample.unit.plural().to_owned(),
        height_px: model.sample.height_px,
        width_px: model.sample.width_px,
        frames: model.sample.frames,
        sequence_tokens: workload.sequence_tokens,
        global_batch_sequences: workload.global_batch_sequences,
        precision: workload.precision,
        method: Some(workload.method),
        adapters: (workload.method != Method::Full).then_some(workload.adapters),
        optimizer: Some(workload.optimizer),
        beside: beside(model),
        padded: false,
        best,
        others,
        pareto,
        meets_limits,
        levers: Vec::new(),
        bill: None,
        emissions: None,
        layouts_priced: priced.iter().map(|priced| priced.found.n_priced).sum(),
        notes,
    })
}

/// Networks that run forward beside a model, by the labels of their blocks.
fn beside(model: &Model) -> Vec<String> {
    let labels: BTreeSet<&str> = model
        .blocks
        .iter()
        .filter(|block| block.kind == BlockKind::Frozen)
        .map(|block| {
            block
                .name
                .split_once(": ")
                .map_or(&*block.name, |(label, _)| label)
        })
        .collect();
    labels.into_iter().map(str::to_owned).collect()
}

/// Says which formats the hardware considered has.
fn no_format(question: &Question<'_>, calibration: &Calibration) -> PlanError {
    let allowed = Precision::ALL
        .into_iter()
        .filter(|&precision| {
            let workload = Workload {
                precision,
                ..question.workload.clone()
            };
            question
                .choices
                .iter()
                .any(|choice| Costing::new(&workload, choice.accelerator, calibration).is_some())
        })
        .map(Precision::name)
        .collect();
    PlanError::NoFormat {
        hardware: match question.choices.as_slice() {
            [choice] => format!("{} has no", choice.accelerator.id),
            choices => format!("none of the {} accelerators considered has", choices.len()),
        },
        wanted: question.workload.precision.name(),
        allowed,
    }
}

/// How much a plan near the memory limit must be cheaper or faster than one with room.
pub(crate) const NEAR_LIMIT: f64 = 1.03;

/// The fastest layouts that fit in the median, and those that fit nine times in ten.
fn with_room(
    costing: &Costing<'_>,
    count: u32,
    space: Space,
    keep: usize,
    question: &Question<'_>,
    calibration: &Calibration,
) -> Found {
    let mut found = search(costing, count, space, keep);
    let known = question.own_calibration && calibration.is_own(&costing.accelerator.id);
    let roomy = Space {
        memory_share: space
            .memory_share
            .min(1.0 / calibration.spread("memory", known).high),
        ..space
    };
    for candidate in search(costing, count, roomy, keep).best {
        if found
            .best
            .iter()
            .all(|other| other.layout != candidate.layout)
        {
            found.best.push(candidate);
        }
    }
    found
}

/// The next-best plans, cheapest first: at a fixed size up to three other layouts and the offers of other providers,
/// otherwise other hardware and providers.
fn next_best(plans: &[Plan], fixed: bool) -> Vec<Plan> {
    let best = &plans[0];
    let mut seen = BTreeSet::from([(best.provider.as_str(), best.accelerator.as_str())]);
    let mut layouts = BTreeSet::from([best.layout_brief.as_str()]);
    let mut out: Vec<Plan> = Vec::new();
    for plan in &plans[1..] {
        let another_layout = fixed
            && plan.provider == best.provider
            && plan.pricing == best.pricing
            && layouts.len() < 4
            && layouts.insert(&plan.layout_brief);
        let another_offer = seen.insert((&plan.provider, &plan.accelerator));
        if another_layout || another_offer {
            out.push(plan.clone());
        }
    }
    out.truncate(6);
    out
}

fn one_layout(costing: &Costing<'_>, layout: Layout, space: Space) -> Found {
    let slice = costing.slice(&layout);
    let candidate = Candidate {
        layout,
        time: costing.step(&layout, &slice),
        memory: costing.memory(&layout, &slice),
    };
    let fits =
        candidate.memory.total_bytes() <= costing.accelerator.memory_gib * GIB * space.memory_share;
    Found {
        best: if fits { vec![candidate] } else { Vec::new() },
        n_priced: 1,
        n_fitting: u64::from(fits),
        smallest: (!fits).then_some(candidate),
    }
}

/// Dense peak of a number format's products, in TFLOP/s.
fn accelerator_peak(accelerator: &Accelerator, precision: Precision) -> f64 {
    let peaks = &accelerator.peak_tflops;
    match precision {
        Precision::Fp32 => None,
        Precision::Tf32 => peaks.tf32,
        Precision::Bf16 | Precision::Fp16 => peaks.bf16.or(peaks.fp16),
        Precision::Fp8 | Precision::Mxfp8 => peaks.fp8,
        Precision::Mxfp4 | Precision::Nvfp4 => peaks.fp4,
    }
    .unwrap_or(peaks.fp32)
}

/// The cheapest offer of each provider and way of selling.
pub(crate) fn cheapest_by_provider<'a>(offers: &[&'a Offer]) -> Vec<&'a Offer> {
    let mut best: BTreeMap<(&str, u8), &'a Offer> = BTreeMap::new();
    for &offer in offers {
        let sold = match offer.pricing {
            Pricing::OnDemand => 0,
            Pricing::Spot => 1,
            Pricing::Reserved => 2,
            Pricing::Owned => 3,
        };
        let slot = best.entry((offer.provider.as_str(), sold)).or_insert(offer);
        if offer.usd_per_accelerator_hour() < slot.usd_per_accelerator_hour() {
            *slot = offer;
        }
    }
    best.into_values().collect()
}

/// What was found for so many of an accelerator.
pub(crate) struct Priced<'a> {
    pub(crate) choice: &'a Choice<'a>,
    pub(crate) count: u32,
    pub(crate) costing: Costing<'a>,
    pub(crate) found: Found,
    /// One for each further part of the run.
    stages: Vec<Candidate>,
}

fn plan_of(
    question: &Question<'_>,
    priced: &Priced<'_>,
    candidate: &Candidate,
    offer: Option<&Offer>,
    calibration: &Calibration,
) -> Plan {
    let workload = question.workload;
    let costing = &priced.costing;
    let layout = candidate.layout;
    let accelerator = costing.accelerator;
    let count = layout.accelerators();
    let family = if workload.model.has_experts() {
        "moe"
    } else if workload.model.family == outlay_model::Family::Decoder {
        "dense"
    } else if matches!(
        workload.model.family,
        outlay_model::Family::Vision | outlay_model::Family::Diffusion
    ) {
        "image"
    } else {
        "encoder"
    };
    let reach = if count > accelerator.link.domain_size {
        "many"
    } else {
        "few"
    };
    let known = question.own_calibration && calibration.is_own(&accelerator.id);
    let step_spread = calibration.spread(&format!("{family}-{reach}"), known);
    // Whole runs add restarts and evaluation to the step's uncertainty, and their own rows say how much.
    let run_spread = calibration.spread("run", known);
    let step_s = candidate.time.total_s();
    let tokens_per_step = (workload.global_batch_sequences * workload.sequence_tokens) as f64;
    let memory_spread = calibration.spread("memory", known);
    let parts = Parts {
        costing,
        spreads: [step_spread, run_spread, memory_spread],
    };
    let stages = stages_of(question, priced, candidate, &parts);
    let main = parts.of(&main_name(workload), workload, candidate, false);
    let whole_s = if stages.is_empty() {
        main.wall_clock_s.p50
    } else {
        stages.iter().map(|stage| stage.wall_clock_s.p50).sum()
    };
    let (steps, wall_s) = (main.steps, Estimate::around(whole_s, run_spread));
    let most_bytes = priced
        .stages
        .iter()
        .map(|stage| stage.memory.total_bytes())
        .fold(candidate.memory.total_bytes(), f64::max);
    let memory_gib = Estimate::around(most_bytes / GIB, memory_spread);
    let hours = wall_s.scaled(f64::from(count) / 3600.0);
    let price = offer.map(Offer::usd_per_accelerator_hour);
    // Training boards draw most of their limit; the rest of the server (processors, memory, fans, network)
    // draws about a quarter more (DGX H100: 10.2 kW for eight boards of 700 W, data sheet).
    let watts = server_watts(accelerator) * question.pue;
    let energy = Estimate {
        p10: hours.p10 * 0.85,
        p50: hours.p50,
        p90: hours.p90 * 1.1,
    }
    .scaled(watts / 1000.0);
    let (grams, basis) = (question.carbon)(
        offer.map_or("", |offer| offer.provider.as_str()),
        offer.map_or("", |offer| offer.region.as_str()),
    );
    let flops = workload.method.passes()
        * model_flops_per_token(&workload.model, workload.sequence_tokens, false);
    let rate = Estimate::around(step_s, step_spread).rate_of(tokens_per_step);
    let tflops = rate.scaled(flops / 1e12 / f64::from(count));
    let peak = accelerator_peak(accelerator, workload.precision);
    let preemptions = offer
        .filter(|offer| offer.pricing == Pricing::Spot)
        .map(Offer::preemptions);
    Plan {
        preemptions_per_node_day: preemptions.as_ref().map(|rate| rate.per_node_day),
        spot_nodes: preemptions.as_ref().map_or(0.0, |rate| {
            let each = rate.accelerators.unwrap_or(accelerator.node_size).max(1);
            (f64::from(count) / f64::from(each)).ceil()
        }),
        preemptions_basis: preemptions.map_or_else(String::new, |rate| rate.basis),
        accelerator: accelerator.id.clone(),
        count,
        provider: offer.map_or_else(|| "none".to_owned(), |offer| offer.provider.clone()),
        instance: offer.map_or_else(String::new, |offer| offer.instance.clone()),
        region: offer.map_or_else(String::new, |offer| offer.region.clone()),
        pricing: offer.map_or_else(String::new, |offer| offer.pricing.name().to_owned()),
        price_as_of: offer.map_or_else(String::new, |offer| offer.as_of.clone()),
        price_source: offer.map_or_else(String::new, |offer| offer.source.clone()),
        usd_per_accelerator_hour: price,
        layout,
        layout_brief: layout.brief(),
        framework: costing.workload.framework,
        step_s: Estimate::around(step_s, step_spread),
        steps,
        stages,
        wall_clock_s: wall_s,
        accelerator_hours: hours,
        usd: offer.map(|offer| {
            let usd = hours.scaled(offer.usd_per_accelerator_hour());
            offer
                .projected
                .map_or(usd, |spread| crate::trends::widened(usd, spread))
        }),
        energy_kwh: energy,
        co2e_kg: energy.scaled(grams / 1000.0),
        carbon_basis: basis,
        tokens_per_s: rate,
        samples_per_s: rate.scaled(1.0 / workload.sequence_tokens as f64),
        tflops_per_accelerator: tflops,
        mfu: tflops.scaled(1.0 / peak),
        memory_gib,
        memory_capacity_gib: accelerator.memory_gib,
        time: candidate.time,
        memory: candidate.memory,
    }
}

/// Plans that no other plan beats in both cost and time, cheapest first.
fn pareto(plans: &[Plan]) -> Vec<Plan> {
    let mut sorted: Vec<&Plan> = plans.iter().filter(|plan| plan.usd.is_some()).collect();
    let usd = |plan: &Plan| plan.usd.map_or(f64::INFINITY, |usd| usd.p50);
    sorted.sort_by(|a, b| {
        usd(a)
            .total_cmp(&usd(b))
            .then(a.wall_clock_s.p50.total_cmp(&b.wall_clock_s.p50))
    });
    let mut fastest = f64::INFINITY;
    let mut out = Vec::new();
    for plan in sorted {
        if plan.wall_clock_s.p50 < fastest * 0.999 {
            fastest = plan.wall_clock_s.p50;
            out.push(plan.clone());
        }
    }
    out
}

/// Why no plan is left: of a run of several parts, the part that does not fit is named.
fn nothing_fits(
    question: &Question<'_>,
    priced: &[Priced<'_>],
    calibration: &Calibration,
) -> PlanError {
    let fault = question.stages.iter().find_map(|stage| {
        let alone = Question {
            workload: &stage.workload,
            stages: Vec::new(),
            layout: None,
            ..question.clone()
        };
        let error = plan_train(&alone, calibration).err()?;
        Some((stage.name.clone(), error))
    });
    let (part, mut error) = fault.unwrap_or_else(|| {
        let error = crate::misfit::explain_misfit(question, priced);
        (main_name(question.workload), error)
    });
    if !question.stages.is_empty()
        && let PlanError::FitsNowhere { model, hints, .. } = &mut error
    {
        *model = format!("{model}, part {part}");
        // The part's length is what was asked for.
        hints.retain(|hint| !hint.contains("--sequence"));
    }
    error
}

/// The parts of a run in their order; none where there is only one.
fn stages_of(
    question: &Question<'_>,
    priced: &Priced<'_>,
    candidate: &Candidate,
    parts: &Parts<'_>,
) -> Vec<PlanStage> {
    if question.stages.is_empty() {
        return Vec::new();
    }
    let mut out = Vec::new();
    let mut trained = false;
    let mut push = |name: &str, workload: &Workload, candidate: &Candidate, main: bool| {
        let trains = workload.method != Method::Forward;
        let part = parts.of(name, workload, candidate, trained && trains);
        out.push(PlanStage { main, ..part });
        trained |= trains;
    };
    let others = || question.stages.iter().zip(&priced.stages);
    for (stage, candidate) in others().filter(|(stage, _)| stage.before) {
        push(&stage.name, &stage.workload, candidate, false);
    }
    push(
        &main_name(question.workload),
        question.workload,
        candidate,
        true,
    );
    for (stage, candidate) in others().filter(|(stage, _)| !stage.before) {
        push(&stage.name, &stage.workload, candidate, false);
    }
    out
}
