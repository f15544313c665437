//! How many replicas a demand needs, what users then wait, and what that costs.

use outlay_catalog::Offer;
use outlay_units::{Estimate, Spread};
use rayon::prelude::*;

use crate::constants::Calibration;
use crate::serving::answer::{Demand, Latency, MemorySplit, ServePlan};
use crate::serving::deployment::{ServingLayout, ServingMemory};
use crate::serving::pass::PromptPart;
use crate::serving::plan::{
    HOURS_PER_MONTH, MOST_UTILISATION, Priced, ServeQuestion, token_prices,
};
use crate::serving::scheduler::{Draft, Load, Outcome, Split, simulate, simulate_split};

/// Requests that a simulation of a plan follows.
const SIMULATED_REQUESTS: u32 = 1200;

/// Share of their capacity at which prompt workers are planned to run at most: a prompt that waits is a first token that
/// waits.
const MOST_PROMPT_UTILISATION: f64 = 0.6;

/// Replicas, or decode workers with the prompt workers before them.
pub(super) struct Fleet {
    replicas: f64,
    accelerators: u32,
    /// Requests each second of a replica.
    capacity: f64,
    most_batch: f64,
    outcome: Outcome,
    meets: bool,
    ttft_spread: Spread,
    tpot_spread: Spread,
    /// Prompt workers and the layout of each, where they are apart.
    prompts: Option<(u32, ServingLayout)>,
}

/// Whether what users see is within the limits: first tokens, and tokens.
fn meets(question: &ServeQuestion<'_>, outcome: &Outcome) -> (bool, bool) {
    let limits = &question.limits;
    let of = |latency: &crate::serving::Percentiles| {
        if limits.for_99_in_100 {
            latency.p99
        } else {
            latency.p50
        }
    };
    (
        limits
            .ttft_s
            .is_none_or(|limit| of(&outcome.ttft_s) <= limit),
        limits
            .tpot_s
            .is_none_or(|limit| of(&outcome.tpot_s) <= limit),
    )
}

/// As few replicas as meet the limits under random arrivals, prompts and answers on each.
pub(super) fn together(
    question: &ServeQuestion<'_>,
    priced: &Priced<'_>,
    calibration: &Calibration,
) -> Fleet {
    let demand = &question.demand;
    let capacity = priced.steady.requests_per_s;
    let mut replicas = (demand.requests_per_s / (capacity * MOST_UTILISATION))
        .ceil()
        .max(1.0);
    let generation = &priced.choice.accelerator.generation;
    let mut outcome = Outcome::default();
    let mut all_met = false;
    for _ in 0..6 {
        outcome = run(question, priced, demand.requests_per_s / replicas);
        all_met = priced.within && meets(question, &outcome) == (true, true);
        if all_met || !priced.within {
            break;
        }
        replicas = (replicas * 1.2).ceil().max(replicas + 1.0);
    }
    // The batch that a limit allows bounds the capacity that the fleet was sized by; queues may allow more than that.
    let limited = question.limits.ttft_s.is_some() || question.limits.tpot_s.is_some();
    for _ in 0..3 {
        if !all_met || !limited || replicas <= 1.0 {
            break;
        }
        let fewer = (replicas * 0.8).floor().max(1.0);
        let rate = demand.requests_per_s / fewer;
        let with_fewer = run(question, priced, rate);
        let keeps_up = with_fewer.requests_per_s > 0.97 * rate;
        if !keeps_up || meets(question, &with_fewer) != (true, true) {
            break;
        }
        (replicas, outcome) = (fewer, with_fewer);
    }
    Fleet {
        replicas,
        accelerators: replicas as u32 * priced.deployment.layout.accelerators(),
        capacity,
        most_batch: priced.most_batch,
        outcome,
        meets: all_met,
        ttft_spread: calibration.serving_spread("ttft-together", generation),
        tpot_spread: calibration.serving_spread("tpot-together", generation),
        prompts: None,
    }
}

/// What a prompt worker does: requests each second, and seconds for the prompts that it takes together.
fn prompt_capacity(question: &ServeQuestion<'_>, priced: &Priced<'_>) -> (f64, f64) {
    let demand = &question.demand;
    let computed = (demand.input_tokens * (1.0 - demand.cached_prefix)).max(1.0);
    let groups = priced.times.attention_data;
    let part = PromptPart {
        tokens: groups * computed,
        busiest_tokens: computed,
        keys_per_token: demand.input_tokens * demand.cached_prefix + 0.5 * computed,
        prompts: groups,
    };
    let seconds = priced.times.mixed_s(0.0, 0.0, 1.0, &part);
    (priced.times.lanes * groups / seconds, seconds)
}

/// What a decode worker does within the limit: requests each second, and its batch.
fn decode_capacity(question: &ServeQuestion<'_>, priced: &Priced<'_>) -> Option<(f64, f64)> {
    let demand = &question.demand;
    let (speed, drafted) = question.draft.map_or((1.0, 1.0), |(tokens, yields)| {
        (yields.max(1.0), 1.0 + tokens)
    });
    let context = demand.input_tokens + 0.5 * demand.output_tokens;
    let groups = priced.times.attention_data;
    let slots = (priced
        .memory
        .sequences(demand.input_tokens + demand.output_tokens)
        * groups)
        .min(f64::from(priced.deployment.settings.max_sequences) * groups)
        .floor();
    let limit = question.limits.tpot_s.unwrap_or(f64::INFINITY) * 0.9;
    let mut best = None;
    let mut batch = 1.0_f64;
    while batch <= slots {
        let tpot = priced.times.decode_s(batch, context, drafted) / speed;
        if tpot > limit {
            break;
        }
        best = Some((
            priced.times.lanes * batch / (demand.output_tokens * tpot),
            batch,
        ));
        if batch >= slots {
            break;
        }
        batch = (batch * std::f64::consts::SQRT_2).ceil().min(slots);
    }
    best
}

/// For each accelerator, engine and format: the prompt workers and the decode workers that cost least for each request.
pub(super) fn cheapest_apart<'p, 'a>(
    question: &ServeQuestion<'_>,
    priced: &'p [Priced<'a>],
    calibration: &Calibration,
) -> Vec<(&'p Priced<'a>, Fleet)> {
    let mut groups: Vec<Vec<&Priced<'_>>> = Vec::new();
    for one in priced {
        let same = |other: &&Priced<'_>| {
            other.choice.accelerator.id == one.choice.accelerator.id
                && other.deployment.engine == one.deployment.engine
                && other.format == one.format
        };
        match groups.iter_mut().find(|group| same(&group[0])) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    let ttft = question.limits.ttft_s.unwrap_or(f64::INFINITY);
    groups
        .par_iter()
        .filter_map(|group| {
            let ranks = |priced: &Priced<'_>| f64::from(priced.deployment.layout.accelerators());
            let prompts = group
                .iter()
                .map(|priced| (*priced, prompt_capacity(question, priced)))
                .filter(|(priced, (_, seconds))| {
                    seconds + priced.times.hand_over_s + priced.times.request_s < 0.8 * ttft
                })
                .min_by(|a, b| (ranks(a.0) / a.1.0).total_cmp(&(ranks(b.0) / b.1.0)))?;
            let decode = group
                .iter()
                .filter_map(|priced| Some((*priced, decode_capacity(question, priced)?)))
                .min_by(|a, b| (ranks(a.0) / a.1.0).total_cmp(&(ranks(b.0) / b.1.0)))?;
            apart(question, prompts, decode, calibration).map(|fleet| (decode.0, fleet))
        })
        .collect()
}

/// As few workers of both kinds as meet the limits under random arrivals.
fn apart(
    question: &ServeQuestion<'_>,
    (prompts, (prompt_rate, _)): (&Priced<'_>, (f64, f64)),
    (decode, (decode_rate, batch)): (&Priced<'_>, (f64, f64)),
    calibration: &Calibration,
) -> Option<Fleet> {
    let demand = &question.demand;
    let rate = demand.requests_per_s;
    let mut prompt_workers = (rate / (prompt_rate * MOST_PROMPT_UTILISATION))
        .ceil()
        .max(1.0);
    let mut decode_workers = (rate / (decode_rate * MOST_UTILISATION)).ceil().max(1.0);
    let mut outcome = Outcome::default();
    let mut met = (false, false);
    for _ in 0..8 {
        outcome = simulate_split(
            &Split {
                prompts: &prompts.times,
                prompt_workers: prompt_workers as u32,
                prompt_pass_tokens: prompts.deployment.settings.pass_tokens,
                decode: &decode.times,
                decode_workers: decode_workers as u32,
                decode_slots: batch,
            },
            &load(question, batch, rate),
        );
        met = meets(question, &outcome);
        if met == (true, true) {
            break;
        }
        let more = |workers: f64| (workers * 1.2).ceil().max(workers + 1.0);
        if !met.0 {
            prompt_workers = more(prompt_workers);
        }
        // Answers that wait for a place hold up first tokens too.
        if !met.1 || !met.0 {
            decode_workers = more(decode_workers);
        }
    }
    let generation = &decode.choice.accelerator.generation;
    let accelerators = prompt_workers as u32 * prompts.deployment.layout.accelerators()
        + decode_workers as u32 * decode.deployment.layout.accelerators();
    (accelerators <= 4096).then(|| Fleet {
        replicas: decode_workers,
        accelerators,
        capacity: (prompt_workers * prompt_rate).min(decode_workers * decode_rate) / decode_workers,
        most_batch: batch,
        outcome,
        meets: met == (true, true),
        ttft_spread: calibration.serving_spread("ttft-split", generation),
        tpot_spread: calibration.serving_spread("tpot-split", generation),
        prompts: Some((prompt_workers as u32, prompts.deployment.layout)),
    })
}

/// Requests each second that a replica is given when it is full: what it takes at the utilisation planned for; less where
/// the fleet was made larger for the limits' sake.
pub(crate) fn given_each(requests_per_s: f64, replicas: f64, capacity: f64) -> f64 {
    let usual = (requests_per_s / (capacity * MOST_UTILISATION))
        .ceil()
        .max(1.0);
    if replicas > usual {
        requests_per_s / replicas
    } else {
        (capacity * MOST_UTILISATION).max(requests_per_s / replicas)
    }
}

/// A fleet on each of its providers' cheapest offers.
pub(super) fn plans_of(
    question: &ServeQuestion<'_>,
    priced: &Priced<'_>,
    fleet: &Fleet,
) -> Vec<ServePlan> {
    let demand = &question.demand;
    let accelerator = priced.choice.accelerator;
    let (replicas, capacity) = (fleet.replicas, fleet.capacity);
    // Accelerators for each replica; where prompt workers stand before decode workers, with their share.
    let ranks = f64::from(fleet.accelerators) / replicas;
    let each = given_each(demand.requests_per_s, replicas, capacity);
    let mean_replicas = if question.hours.is_empty() {
        replicas
    } else {
        question
            .hours
            .iter()
            .map(|share| {
                (share * demand.requests_per_s / each - 1e-9)
                    .ceil()
                    .max(1.0)
            })
            .sum::<f64>()
            / question.hours.len() as f64
    };
    let utilisation =
        demand.requests_per_s * demand.mean_over_peak / (mean_replicas * capacity).max(1e-12);
    // More or fewer replicas, should passes take longer or shorter than predicted; never less than one.
    let paid = Estimate {
        p10: (replicas * fleet.tpot_spread.low).ceil().max(1.0),
        p50: replicas,
        p90: (replicas * fleet.tpot_spread.high).ceil(),
    };
    let paid = if replicas <= 1.0 && utilisation * fleet.tpot_spread.high <= MOST_UTILISATION {
        // One replica has room to spare: nothing changes.
        Estimate::exactly(1.0)
    } else {
        paid
    };
    // What is paid for on average over the month.
    let paid = paid.scaled(mean_replicas / replicas);
    let month_s = HOURS_PER_MONTH * 3600.0;
    let requests = demand.requests_per_s * demand.mean_over_peak * month_s;
    // Decoding draws about six tenths of what training draws, prompts about all, an idle board a fifth of it (Patel and
    // others, POLCA, ASPLOS 2024, figures 4 to 6); a server's rest as in training.
    let busy = utilisation.clamp(0.0, 1.0);
    let watts = crate::train::server_watts(accelerator) * (0.2 + 0.5 * busy) * question.pue;
    let energy = paid.scaled(ranks * watts * HOURS_PER_MONTH / requests.max(1e-9));
    let energy = Estimate {
        p10: energy.p10 * 0.75,
        p50: energy.p50,
        p90: energy.p90 * 1.3,
    };
    let latency = |latency: &crate::serving::Percentiles, spread: Spread| Latency {
        p50_s: Estimate::around(latency.p50, spread),
        p99_s: Estimate::around(latency.p99, spread),
    };
    let capacity_requests_per_s = Estimate::around(1.0 / capacity, fleet.tpot_spread).rate_of(1.0);
    let plan = |offer: Option<&Offer>| {
        let price = offer.map(Offer::usd_per_accelerator_hour);
        let usd_per_month = offer.map(|offer| {
            let hourly = offer.usd_per_accelerator_hour() * ranks;
            let usd = paid.scaled(hourly * HOURS_PER_MONTH);
            offer
                .projected
                .map_or(usd, |spread| crate::trends::widened(usd, spread))
        });
        let (grams, basis) = (question.carbon)(
            offer.map_or("", |offer| offer.provider.as_str()),
            offer.map_or("", |offer| offer.region.as_str()),
        );
        ServePlan {
            accelerator: accelerator.id.clone(),
            engine: priced.deployment.engine,
            format: priced.format,
            formats: priced.deployment.formats,
            layout: priced.deployment.layout,
            layout_brief: priced.deployment.layout.name(),
            settings: priced.deployment.settings,
            replicas: replicas as u32,
            mean_replicas,
            accelerators: fleet.accelerators,
            prompt_workers: fleet.prompts.map_or(0, |prompts| prompts.0),
            prompt_layout: fleet.prompts.map(|prompts| prompts.1),
            provider: offer.map_or_else(|| "none".to_owned(), |offer| offer.provider.clone()),
            instance: offer.map_or_else(String::new, |offer| offer.instance.clone()),
            region: offer.map_or_else(String::new, |offer| offer.region.clone()),
            pricing: offer.map_or_else(String::new, |offer| offer.pricing.name().to_owned()),
            price_as_of: offer.map_or_else(String::new, |offer| offer.as_of.clone()),
            price_source: offer.map_or_else(String::new, |offer| offer.source.clone()),
            usd_per_accelerator_hour: price,
            usd_per_month,
            usd_per_million_tokens: usd_per_month
                .map(|usd| token_prices(question, priced, usd, requests)),
            ttft: latency(&fleet.outcome.ttft_s, fleet.ttft_spread),
            tpot: latency(&fleet.outcome.tpot_s, fleet.tpot_spread),
            batch: fleet.outcome.mean_batch,
            most_batch: fleet.most_batch as u32,
            capacity_requests_per_s,
            capacity_output_tokens_per_s: capacity_requests_per_s
                .scaled(replicas * demand.output_tokens),
            utilisation,
            energy_wh_per_request: energy,
            co2e_g_per_request: energy.scaled(grams / 1000.0),
            carbon_basis: basis,
            memory: priced.memory,
            memory_gib: memory_split(&priced.memory),
            memory_capacity_gib: accelerator.memory_gib,
            meets_limits: fleet.meets,
        }
    };
    if priced.choice.offers.is_empty() {
        return vec![plan(None)];
    }
    crate::train::cheapest_by_provider(&priced.choice.offers)
        .into_iter()
        .map(|offer| plan(Some(offer)))
        .collect()
}

/// Memory with what is uncertain of it: scales and padding add up to a twentieth to weights; how much an engine keeps for
/// activations, communicators and graphs differs between versions by half and more; the cache is given what they leave.
fn memory_split(memory: &ServingMemory) -> MemorySplit {
    let gib = |bytes: f64| bytes / outlay_units::GIB;
    let (weights, activations) = (gib(memory.weights_bytes), gib(memory.activations_bytes));
    let weights = Estimate {
        p10: weights,
        p50: weights,
        p90: 1.05 * weights,
    };
    let activations = Estimate {
        p10: 0.6 * activations,
        p50: activations,
        p90: 1.7 * activations,
    };
    let cache = gib(memory.cache_bytes.max(0.0));
    let more = activations.p50 - activations.p10;
    let less = (weights.p90 - weights.p50).hypot(activations.p90 - activations.p50);
    MemorySplit {
        weights,
        activations,
        cache: Estimate {
            p10: (cache - less).max(0.0),
            p50: cache,
            p90: cache + more,
        },
    }
}

/// Runs one replica at random arrivals.
fn run(question: &ServeQuestion<'_>, priced: &Priced<'_>, requests_per_s: f64) -> Outcome {
    simulate(
        &priced.times,
        &priced.deployment,
        &priced.memory,
        &load(question, priced.most_batch, requests_per_s),
    )
}

/// Random arrivals of the demand's requests.
fn load(question: &ServeQuestion<'_>, most_batch: f64, requests_per_s: f64) -> Load {
    let demand: &Demand = &question.demand;
    Load {
        // Lengths vary by a third about their means.
        input_tokens: demand.input_tokens / 0.75,
        output_tokens: demand.output_tokens / 0.75,
        shortest: 0.5,
        concurrency: most_batch.max(1.0) as u32,
        rate_per_s: Some(requests_per_s),
        requests: SIMULATED_REQUESTS,
        burst_share: 0.0,
        cached_prefix: demand.cached_prefix,
        draft: question
            .draft
            .map(|(tokens, yields)| Draft { tokens, yields }),
    }
}
