//! The answer to "what will serving this model cost?".

use std::collections::BTreeSet;

use outlay_catalog::Accelerator;
use outlay_model::Model;
use outlay_units::Estimate;
use rayon::prelude::*;

use crate::constants::Calibration;
use crate::serving::answer::{CurvePoint, Demand, Limits, ServeAnswer, ServePlan, TokenPrices};
use crate::serving::choices::precisions;
use crate::serving::constants::ServingConstants;
use crate::serving::deployment::{
    Deployment, Engine, Formats, NumberFormat, ServingLayout, ServingMemory, Settings,
};
use crate::serving::fleet::{cheapest_apart, plans_of, together};
use crate::serving::pass::{PassTimes, PromptPart};
use crate::serving::scheduler::front_ends;
use crate::train::Choice;

/// Hours of a month: a twelfth of 365 days.
pub const HOURS_PER_MONTH: f64 = 730.0;

/// Share of its capacity at which a replica is planned to run at most: queues at random arrivals grow without bound as it
/// nears one.
pub(crate) const MOST_UTILISATION: f64 = 0.85;

/// Plans of a search that are simulated, the cheapest by the steady state first.
const SIMULATED_PLANS: usize = 24;

/// A question.
#[derive(Clone, Debug)]
pub struct ServeQuestion<'a> {
    /// The model.
    pub model: &'a Model,
    /// Hardware to consider; `count` fixes the accelerators of one replica.
    pub choices: Vec<Choice<'a>>,
    /// Engines to consider.
    pub engines: Vec<Engine>,
    /// Number formats of the weights to consider.
    pub formats: Vec<NumberFormat>,
    /// What is asked of the service.
    pub demand: Demand,
    /// What users may wait.
    pub limits: Limits,
    /// Speculative decoding.
    pub draft: Option<(f64, f64)>,
    /// Whether to consider workers that do prompts apart from workers that decode.
    pub apart: bool,
    /// Rate of each hour relative to the busiest, where replicas are added and given back by the hour; empty for a fleet
    /// that stays as the busiest hour needs it.
    pub hours: Vec<f64>,
    /// Carbon intensity of an offer's grid, in g/kWh, and where that comes from; by provider and region.
    pub carbon: fn(&str, &str) -> (f64, String),
    /// Power usage effectiveness of the data centre.
    pub pue: f64,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ServeError {
    /// Nothing fits.
    #[error(
        "`{model}` does not fit: its weights need {needed_gib:.1} GiB on each of {ranks} x {accelerator} with {capacity_gib:.1} GiB"
    )]
    FitsNowhere {
        /// Model name.
        model: String,
        /// Accelerators of the widest replica considered.
        ranks: u32,
        /// Accelerator id.
        accelerator: String,
        /// Weights on each, in GiB.
        needed_gib: f64,
        /// Memory of each, in GiB.
        capacity_gib: f64,
    },
    /// Nothing considered serves the model, for another reason.
    #[error("`{model}` cannot be served: {why}")]
    NotServed {
        /// Model name.
        model: String,
        /// Why.
        why: String,
    },
    /// The model writes no tokens: it answers whole, see [`crate::serving::plan_batched`].
    #[error("`{model}` writes no tokens one by one")]
    NotGenerative {
        /// Model name.
        model: String,
    },
}

/// What a replica does at a steady batch, by the means.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steady {
    pub(super) requests_per_s: f64,
    pub(super) ttft_s: f64,
    pub(super) tpot_s: f64,
}

/// A deployment with its passes.
pub(super) struct Priced<'a> {
    pub(super) choice: &'a Choice<'a>,
    pub(super) deployment: Deployment<'a>,
    pub(super) format: NumberFormat,
    pub(super) times: PassTimes,
    pub(super) memory: ServingMemory,
    /// Batch at which it serves most within the limits, and what it does there.
    pub(super) most_batch: f64,
    pub(super) steady: Steady,
    /// Whether the limits are met at any batch.
    pub(super) within: bool,
}

impl Priced<'_> {
    /// Accelerator-seconds of a request at capacity.
    fn accelerator_seconds(&self) -> f64 {
        f64::from(self.deployment.layout.accelerators()) / self.steady.requests_per_s
    }
}

/// What a replica does at a steady batch of so many sequences.
pub(super) fn steady(
    times: &PassTimes,
    deployment: &Deployment<'_>,
    demand: &Demand,
    draft: Option<(f64, f64)>,
    batch: f64,
) -> Steady {
    let (speed, drafted) = draft.map_or((1.0, 1.0), |(tokens, yields)| {
        (yields.max(1.0), 1.0 + tokens.max(0.0))
    });
    let context = demand.input_tokens + 0.5 * demand.output_tokens;
    let computed = (demand.input_tokens * (1.0 - demand.cached_prefix)).max(1.0);
    let passes = (demand.output_tokens / speed).max(1.0);
    let groups = times.attention_data;
    let lanes = times.lanes;
    let batch = (batch / lanes).max(1.0);
    // Prompts that start in each pass; where less than one, a prompt takes a pass of its own now and then.
    let arriving = batch / passes;
    let together = arriving
        .clamp(
            1.0,
            (deployment.settings.pass_tokens / computed).max(1.0) * groups,
        )
        .max(1.0);
    let share = arriving / together;
    let part = PromptPart {
        tokens: together * computed,
        busiest_tokens: computed * (together / groups).max(1.0),
        keys_per_token: demand.input_tokens * demand.cached_prefix + 0.5 * computed,
        prompts: together,
    };
    let alone = times.decode_s(batch, context, drafted);
    let (pass, prompt) = if deployment.engine.mixes() {
        let mixed = times.mixed_s(batch, context, drafted, &part);
        if share <= 1.0 {
            ((1.0 - share) * alone + share * mixed, mixed)
        } else {
            (share * mixed, mixed)
        }
    } else {
        let prompt = times.mixed_s(0.0, 0.0, 1.0, &part);
        (alone + share * prompt, prompt)
    };
    let tpot_s = pass / speed;
    let front_end_s = times.front_end_s(
        demand.output_tokens,
        deployment.settings.chunk_tokens,
        front_ends(deployment.engine, groups),
    );
    // No more than the front end can send.
    let requests_per_s = (lanes * batch / (demand.output_tokens * tpot_s)).min(1.0 / front_end_s);
    // Time for prompts, of all time; a prompt waits for the pass it meets and for those before it (M/D/1).
    let busy = (share * prompt / pass).min(0.99);
    let wait = 0.5 * alone.min(pass) + busy * prompt / (2.0 * (1.0 - busy));
    Steady {
        requests_per_s,
        ttft_s: wait + prompt + times.request_s,
        tpot_s,
    }
}

/// Layouts of one replica to consider on an accelerator.
pub(super) fn layouts(
    model: &Model,
    accelerator: &Accelerator,
    count: Option<u32>,
) -> Vec<ServingLayout> {
    let node = accelerator.node_size.max(1);
    let domain = accelerator.link.domain_size.max(node);
    let heads = model
        .operators()
        .filter_map(|operator| match operator.kind {
            outlay_model::Kind::Attention { query_heads, .. } => Some(query_heads),
            outlay_model::Kind::Scan { heads, .. } if heads > 1 => Some(heads),
            _ => None,
        })
        .min()
        .unwrap_or(1);
    let experts = model
        .operators()
        .filter_map(|operator| match operator.kind {
            outlay_model::Kind::ExpertMatMul { experts, .. } => Some(experts),
            _ => None,
        })
        .min();
    let mut out = Vec::new();
    let mut add = |layout: ServingLayout| {
        if count.is_none_or(|count| layout.accelerators() == count) && !out.contains(&layout) {
            out.push(layout);
        }
    };
    let sizes = [1_u32, 2, 4, 8, 16, 32];
    for tensor in sizes {
        if tensor > node.max(domain.min(8)) || !heads.is_multiple_of(u64::from(tensor)) {
            continue;
        }
        for pipeline in [1_u32, 2, 4, 8] {
            if pipeline > 1 && (tensor < node.min(8) || model.layers() < u64::from(pipeline)) {
                continue;
            }
            add(ServingLayout {
                pipeline,
                ..ServingLayout::tensor(tensor)
            });
            if let Some(experts) = experts
                && tensor > 1
                && experts.is_multiple_of(u64::from(tensor))
            {
                add(ServingLayout {
                    pipeline,
                    expert: tensor,
                    expert_tensor: 1,
                    ..ServingLayout::tensor(tensor)
                });
            }
        }
    }
    if let Some(experts) = experts {
        for data in sizes {
            if data > 1 && data <= domain && experts.is_multiple_of(u64::from(data)) {
                add(ServingLayout {
                    tensor: 1,
                    pipeline: 1,
                    attention_data: data,
                    expert_tensor: 1,
                    expert: data,
                });
            }
        }
    }
    out
}

/// Prices one deployment at the batch that serves most within the limits.
pub(super) fn price<'a>(
    question: &'a ServeQuestion<'a>,
    choice: &'a Choice<'a>,
    engine: Engine,
    (format, formats): (NumberFormat, Formats),
    layout: ServingLayout,
    calibration: &Calibration,
) -> Option<Priced<'a>> {
    let accelerator = choice.accelerator;
    let deployment = Deployment {
        model: question.model,
        accelerator,
        engine,
        formats,
        layout,
        settings: Settings::usual(engine, accelerator),
    };
    let memory = deployment.memory();
    let demand = &question.demand;
    let context = demand.input_tokens + demand.output_tokens;
    let groups = f64::from(layout.attention_data);
    let slots = (memory.sequences(context) * groups * f64::from(layout.pipeline))
        .min(f64::from(deployment.settings.max_sequences) * groups);
    if slots < 1.0 {
        return None;
    }
    let constants =
        ServingConstants::resolve(&calibration.serving, &accelerator.generation, engine);
    let times = PassTimes::new(&deployment, &constants);
    // Half of the queueing that users at the 99th percentile see is in the steady figures already.
    let slack = if question.limits.for_99_in_100 {
        0.85
    } else {
        1.0
    };
    let meets = |steady: &Steady| {
        question
            .limits
            .ttft_s
            .is_none_or(|limit| steady.ttft_s <= slack * limit)
            && question
                .limits
                .tpot_s
                .is_none_or(|limit| steady.tpot_s <= slack * limit)
    };
    let mut best: Option<(f64, Steady, bool)> = None;
    let mut batch = 1.0_f64;
    loop {
        let at = batch.min(slots.floor());
        let here = steady(&times, &deployment, demand, question.draft, at);
        let ok = meets(&here);
        let better = match &best {
            None => true,
            Some((_, _, was_ok)) if ok != *was_ok => ok,
            Some((_, was, _)) => here.requests_per_s > was.requests_per_s * 1.001,
        };
        if better {
            best = Some((at, here, ok));
        }
        if at < batch || at >= slots.floor() || (!ok && best.is_some_and(|best| best.2)) {
            break;
        }
        batch *= std::f64::consts::SQRT_2;
        batch = batch.ceil();
    }
    let (most_batch, steady, within) = best?;
    Some(Priced {
        choice,
        deployment,
        format,
        times,
        memory,
        most_batch,
        steady,
        within,
    })
}

/// Answers a question.
///
/// # Errors
/// [`ServeError`] where no hardware considered can serve the model, or the model is of another kind.
pub fn plan_serve(
    question: &ServeQuestion<'_>,
    calibration: &Calibration,
) -> Result<ServeAnswer, ServeError> {
    if question.model.family != outlay_model::Family::Decoder {
        return Err(ServeError::NotGenerative {
            model: question.model.name.clone(),
        });
    }
    let mut tasks = Vec::new();
    for choice in &question.choices {
        for layout in layouts(question.model, choice.accelerator, choice.count) {
            for &engine in &question.engines {
                if choice.accelerator.vendor != "NVIDIA" && engine == Engine::TensorrtLlm {
                    continue;
                }
                for &format in &question.formats {
                    if format.runs_on(choice.accelerator) {
                        tasks.push((choice, engine, format, layout));
                    }
                }
            }
        }
    }
    let mut priced: Vec<Priced<'_>> = tasks
        .par_iter()
        .filter_map(|&(choice, engine, format, layout)| {
            let formats = Formats::usual(format, question.model, choice.accelerator);
            price(
                question,
                choice,
                engine,
                (format, formats),
                layout,
                calibration,
            )
        })
        .collect();
    if priced.is_empty() {
        return Err(misfit(question, &tasks));
    }
    // Pipelines over nodes are for models that no node holds: no measured run backs their times.
    let holds: BTreeSet<(&str, NumberFormat)> = priced
        .iter()
        .filter(|priced| priced.deployment.layout.pipeline == 1)
        .map(|priced| (priced.choice.accelerator.id.as_str(), priced.format))
        .collect();
    priced.retain(|priced| {
        priced.deployment.layout.pipeline == 1
            || priced.choice.count.is_some()
            || !holds.contains(&(priced.choice.accelerator.id.as_str(), priced.format))
    });
    let deployments_priced = priced.len() as u64;
    let hourly = |priced: &Priced<'_>| {
        priced
            .choice
            .offers
            .iter()
            .map(|offer| offer.usd_per_accelerator_hour())
            .fold(f64::INFINITY, f64::min)
    };
    let replicas = |priced: &Priced<'_>| {
        (question.demand.requests_per_s / (priced.steady.requests_per_s * MOST_UTILISATION))
            .ceil()
            .max(1.0)
    };
    let bill = |priced: &Priced<'_>| {
        let accelerators = replicas(priced) * f64::from(priced.deployment.layout.accelerators());
        let hourly = hourly(priced);
        if hourly.is_finite() {
            accelerators * hourly
        } else {
            accelerators * 1e6
        }
    };
    priced.sort_by(|a, b| {
        (!a.within)
            .cmp(&!b.within)
            .then_with(|| {
                if a.within {
                    std::cmp::Ordering::Equal
                } else {
                    // Nothing meets the limits: what comes nearest first.
                    miss(question, a).total_cmp(&miss(question, b))
                }
            })
            .then(bill(a).total_cmp(&bill(b)))
            .then(a.steady.tpot_s.total_cmp(&b.steady.tpot_s))
    });
    // The cheapest, and the fastest of each accelerator for the front.
    let mut chosen: Vec<&Priced<'_>> = priced.iter().take(SIMULATED_PLANS).collect();
    let mut seen = BTreeSet::new();
    let mut by_speed: Vec<&Priced<'_>> = priced.iter().filter(|priced| priced.within).collect();
    by_speed.sort_by(|a, b| a.steady.tpot_s.total_cmp(&b.steady.tpot_s));
    for priced in by_speed {
        if seen.insert(&priced.choice.accelerator.id) {
            chosen.push(priced);
        }
    }
    let mut plans: Vec<ServePlan> = chosen
        .par_iter()
        .flat_map_iter(|priced| {
            plans_of(question, priced, &together(question, priced, calibration))
        })
        .collect();
    if question.apart {
        plans.extend(
            cheapest_apart(question, &priced, calibration)
                .par_iter()
                .flat_map_iter(|(priced, fleet)| plans_of(question, priced, fleet))
                .collect::<Vec<_>>(),
        );
    }
    let usd = |plan: &ServePlan| plan.usd_per_month.map_or(f64::INFINITY, |usd| usd.p50);
    plans.sort_by(|a, b| {
        (!a.meets_limits)
            .cmp(&!b.meets_limits)
            .then(usd(a).total_cmp(&usd(b)))
            .then(a.accelerators.cmp(&b.accelerators))
            .then(a.tpot.p50_s.p50.total_cmp(&b.tpot.p50_s.p50))
    });
    let best = plans[0].clone();
    let mut notes: Vec<String> = question.model.notes.clone();
    if !best.meets_limits {
        notes.push(unreachable(question, &priced));
    }
    notes.extend(slower_when_smaller(&best, &priced));
    let others = next_best(&plans);
    let pareto = pareto(&plans);
    let chosen = priced
        .iter()
        .find(|priced| {
            priced.choice.accelerator.id == best.accelerator
                && priced.deployment.layout == best.layout
                && priced.deployment.engine == best.engine
                && priced.format == best.format
        })
        .unwrap_or(&priced[0]);
    Ok(ServeAnswer {
        format: 1,
        model: question.model.name.clone(),
        parameters: question.model.main_parameters(),
        active_parameters: question.model.active_parameters(),
        demand: question.demand,
        limits: question.limits,
        curve: curve(question, chosen, best.usd_per_accelerator_hour),
        precisions: precisions(question, chosen.choice, &best, calibration),
        meets_limits: best.meets_limits,
        best,
        others,
        pareto,
        apis: Vec::new(),
        deployments_priced,
        notes,
    })
}

/// How far a deployment is from the limits: the larger of the two ratios.
fn miss(question: &ServeQuestion<'_>, priced: &Priced<'_>) -> f64 {
    let of = |value: f64, limit: Option<f64>| limit.map_or(0.0, |limit| value / limit);
    of(priced.steady.ttft_s, question.limits.ttft_s)
        .max(of(priced.steady.tpot_s, question.limits.tpot_s))
}

/// Which limit binds, and the best that can be had.
fn unreachable(question: &ServeQuestion<'_>, priced: &[Priced<'_>]) -> String {
    let lone = |value: fn(&Steady) -> f64| {
        priced
            .iter()
            .map(|priced| {
                value(&steady(
                    &priced.times,
                    &priced.deployment,
                    &question.demand,
                    question.draft,
                    1.0,
                ))
            })
            .fold(f64::INFINITY, f64::min)
    };
    let ttft = lone(|steady| steady.ttft_s);
    let tpot = lone(|steady| steady.tpot_s);
    let mut parts = Vec::new();
    if let Some(limit) = question.limits.ttft_s {
        parts.push(format!(
            "a time to first token of {:.0} ms was asked for and {:.0} ms is the least for one request alone",
            limit * 1e3,
            ttft * 1e3
        ));
    }
    if let Some(limit) = question.limits.tpot_s {
        parts.push(format!(
            "a time per output token of {:.1} ms was asked for and {:.1} ms is the least for one request alone",
            limit * 1e3,
            tpot * 1e3
        ));
    }
    format!(
        "No plan considered meets the limits under this load: {}.",
        parts.join("; ")
    )
}

/// A sentence where weights of fewer bits would make this very plan slower, with the reason.
fn slower_when_smaller(best: &ServePlan, priced: &[Priced<'_>]) -> Option<String> {
    let same = |priced: &&Priced<'_>| {
        priced.choice.accelerator.id == best.accelerator
            && priced.deployment.layout == best.layout
            && priced.deployment.engine == best.engine
    };
    let wide = priced
        .iter()
        .filter(same)
        .find(|priced| priced.format == best.format)?;
    let narrow = priced.iter().filter(same).find(|priced| {
        priced.format.weight_bytes() < best.format.weight_bytes()
            && priced.accelerator_seconds() > 1.02 * wide.accelerator_seconds()
    })?;
    let widened = narrow.format.widens(narrow.choice.accelerator);
    Some(format!(
        "{} weights would be smaller and {:.0}% slower at this load: {}.",
        narrow.format.name(),
        (narrow.accelerator_seconds() / wide.accelerator_seconds() - 1.0) * 100.0,
        if widened {
            "they are widened to 16 bits before each product, which costs more than it saves once a batch fills the matrix units"
        } else {
            "quantizing the inputs costs more than the narrower products save"
        }
    ))
}

/// Shares a month's bill among kinds of tokens, by what a few more of each add to a request's accelerator-seconds.
pub(super) fn token_prices(
    question: &ServeQuestion<'_>,
    priced: &Priced<'_>,
    usd_per_month: Estimate,
    requests: f64,
) -> TokenPrices {
    let demand = &question.demand;
    let seconds = |demand: &Demand| {
        1.0 / steady(
            &priced.times,
            &priced.deployment,
            demand,
            question.draft,
            priced.most_batch,
        )
        .requests_per_s
    };
    let base = seconds(demand);
    let cached = demand.input_tokens * demand.cached_prefix;
    let computed = demand.input_tokens - cached;
    // A tenth more of each.
    let more_computed = 0.1 * computed.max(1.0);
    let more_cached = 0.1 * demand.input_tokens.max(1.0);
    let more_output = 0.1 * demand.output_tokens;
    let with = |computed: f64, cached: f64, output: f64| {
        seconds(&Demand {
            input_tokens: computed + cached,
            cached_prefix: cached / (computed + cached).max(1e-9),
            output_tokens: output,
            ..*demand
        })
    };
    let per_computed = ((with(computed + more_computed, cached, demand.output_tokens) - base)
        / more_computed)
        .max(0.0);
    let per_cached = ((with(computed, cached + more_cached, demand.output_tokens) - base)
        / more_cached)
        .clamp(0.0, per_computed);
    let per_output = ((with(computed, cached, demand.output_tokens + more_output) - base)
        / more_output)
        .max(0.0);
    let total = per_computed * computed + per_cached * cached + per_output * demand.output_tokens;
    let usd_per_request = usd_per_month.scaled(1.0 / requests.max(1e-9));
    let price = |per_token: f64| usd_per_request.scaled(per_token / total.max(1e-30) * 1e6);
    TokenPrices {
        input: price(per_computed),
        cached_input: price(per_cached),
        output: price(per_output),
    }
}

/// The chosen deployment at batches that double.
fn curve(
    question: &ServeQuestion<'_>,
    priced: &Priced<'_>,
    usd_per_accelerator_hour: Option<f64>,
) -> Vec<CurvePoint> {
    let demand = &question.demand;
    let ranks = f64::from(priced.deployment.layout.accelerators());
    let groups = f64::from(priced.deployment.layout.attention_data);
    let slots = (priced
        .memory
        .sequences(demand.input_tokens + demand.output_tokens)
        * groups)
        .min(f64::from(priced.deployment.settings.max_sequences) * groups)
        .floor();
    let mut out: Vec<CurvePoint> = Vec::new();
    let mut batch = 1.0;
    while batch <= slots.max(1.0) {
        let at = steady(
            &priced.times,
            &priced.deployment,
            demand,
            question.draft,
            batch,
        );
        let tokens = at.requests_per_s * demand.output_tokens;
        out.push(CurvePoint {
            batch: batch as u32,
            requests_per_s: at.requests_per_s,
            output_tokens_per_s: tokens,
            ttft_s: at.ttft_s,
            tpot_s: at.tpot_s,
            usd_per_million_output: usd_per_accelerator_hour
                .map(|price| price * ranks / 3600.0 / tokens * 1e6),
            is_knee: false,
        });
        if batch < slots && batch * 2.0 > slots {
            batch = slots;
        } else {
            batch *= 2.0;
        }
    }
    let knee = (0..out.len().saturating_sub(1))
        .find(|&index| {
            let gain = out[index + 1].output_tokens_per_s / out[index].output_tokens_per_s;
            let doubling = (f64::from(out[index + 1].batch) / f64::from(out[index].batch)).log2();
            gain.powf(1.0 / doubling.max(0.1)) < 1.2
        })
        .unwrap_or(out.len().saturating_sub(1));
    if let Some(point) = out.get_mut(knee) {
        point.is_knee = true;
    }
    out
}

/// Other hardware, engines, formats and providers, cheapest first.
fn next_best(plans: &[ServePlan]) -> Vec<ServePlan> {
    let best = &plans[0];
    let mut seen = BTreeSet::from([(best.provider.as_str(), best.accelerator.as_str())]);
    let mut ways = BTreeSet::from([(
        best.layout_brief.as_str(),
        best.format,
        best.prompt_workers > 0,
    )]);
    let mut out: Vec<ServePlan> = Vec::new();
    for plan in &plans[1..] {
        let another_way = plan.provider == best.provider
            && plan.accelerator == best.accelerator
            && ways.len() < 4
            && ways.insert((&plan.layout_brief, plan.format, plan.prompt_workers > 0));
        if seen.insert((&plan.provider, &plan.accelerator)) || another_way {
            out.push(plan.clone());
        }
    }
    out.truncate(6);
    out
}

/// Plans that no other beats in both cost and time per output token, cheapest first.
fn pareto(plans: &[ServePlan]) -> Vec<ServePlan> {
    let mut sorted: Vec<&ServePlan> = plans
        .iter()
        .filter(|plan| plan.usd_per_month.is_some() && plan.meets_limits)
        .collect();
    let usd = |plan: &ServePlan| plan.usd_per_month.map_or(f64::INFINITY, |usd| usd.p50);
    sorted.sort_by(|a, b| usd(a).total_cmp(&usd(b)));
    let mut fastest = f64::INFINITY;
    let mut out = Vec::new();
    for plan in sorted {
        if plan.tpot.p50_s.p50 < fastest * 0.995 {
            fastest = plan.tpot.p50_s.p50;
            out.push(plan.clone());
        }
    }
    out
}

fn misfit(
    question: &ServeQuestion<'_>,
    tasks: &[(&Choice<'_>, Engine, NumberFormat, ServingLayout)],
) -> ServeError {
    let over = tasks
        .iter()
        .map(|&(choice, engine, format, layout)| {
            let deployment = Deployment {
                model: question.model,
                accelerator: choice.accelerator,
                engine,
                formats: Formats::usual(format, question.model, choice.accelerator),
                layout,
                settings: Settings::usual(engine, choice.accelerator),
            };
            let memory = deployment.memory();
            (
                memory.weights_bytes / outlay_units::GIB,
                layout.accelerators(),
                choice.accelerator,
            )
        })
        .min_by(|a, b| (a.0 / a.2.memory_gib).total_cmp(&(b.0 / b.2.memory_gib)));
    let (needed_gib, ranks, accelerator) = match over {
        Some((needed, ranks, accelerator)) => (needed, ranks, Some(accelerator)),
        None => (0.0, 0, question.choices.first().map(|c| c.accelerator)),
    };
    ServeError::FitsNowhere {
        model: question.model.name.clone(),
        ranks,
        accelerator: accelerator.map_or_else(String::new, |a| a.id.clone()),
        needed_gib,
        capacity_gib: accelerator.map_or(0.0, |a| a.memory_gib),
    }
}
