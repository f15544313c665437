//! The answer to "what will serving this model cost?", for models that answer a request whole.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use outlay_catalog::Offer;
use outlay_units::{Estimate, GIB};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::constants::Calibration;
use crate::serving::answer::Latency;
use crate::serving::batched::{BATCHES, BatchTimes, Request, Service};
use crate::serving::deployment::NumberFormat;
use crate::serving::plan::{HOURS_PER_MONTH, MOST_UTILISATION, ServeError};
use crate::serving::scheduler::Arrivals;
use crate::train::{Choice, cheapest_by_provider};

/// Requests that a simulation follows, at least.
const SIMULATED_REQUESTS: usize = 4000;

/// Replicas that a simulation follows, at most.
const MOST_REPLICAS: u32 = 512;

/// Plans that are simulated, the cheapest first.
const SIMULATED_PLANS: usize = 24;

/// What users ask of the service.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BatchedDemand {
    /// Requests each second in the busiest hour.
    pub requests_per_s: f64,
    /// Mean rate over the month, relative to the busiest hour.
    pub mean_over_peak: f64,
    /// Longest time from request to answer, in seconds.
    pub latency_s: Option<f64>,
    /// Whether the limit holds for 99 in 100 requests; otherwise for half of them.
    pub for_99_in_100: bool,
}

/// A question.
#[derive(Clone, Debug)]
pub struct BatchedQuestion<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// The networks that answer a request.
    pub service: &'a Service,
    /// What a request asks for.
    pub request: Request,
    /// Hardware to consider; `count` fixes the accelerators of one replica.
    pub choices: Vec<Choice<'a>>,
    /// Number formats to consider: bf16, fp8, int8.
    pub formats: Vec<NumberFormat>,
    /// What is asked of the service.
    pub demand: BatchedDemand,
    /// Carbon intensity of an offer's grid, in g/kWh, and where that comes from; by provider and region.
    pub carbon: fn(&str, &str) -> (f64, String),
    /// Power usage effectiveness of the data centre.
    pub pue: f64,
}

/// One way to serve the model.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BatchedPlan {
    /// Accelerator id.
    pub accelerator: String,
    /// Number format of weights and products.
    pub format: NumberFormat,
    /// Accelerators of one replica, which divide each layer.
    pub ranks: u32,
    /// Replicas.
    pub replicas: u32,
    /// Accelerators over all replicas.
    pub accelerators: u32,
    /// Provider, or `none` where no price is known.
    pub provider: String,
    /// Region.
    pub region: String,
    /// `on-demand`, `spot`, `reserved` or `owned`.
    pub pricing: String,
    /// Day of the price.
    pub price_as_of: String,
    /// Where the price was read.
    pub price_source: String,
    /// US dollars for each accelerator and hour; `None` where no price is known.
    pub usd_per_accelerator_hour: Option<f64>,
    /// US dollars a month.
    pub usd_per_month: Option<Estimate>,
    /// US dollars for a thousand requests.
    pub usd_per_thousand: Option<Estimate>,
    /// Time from request to answer in the busiest hour.
    pub latency: Latency,
    /// Time that a lone request takes, in seconds.
    pub alone_s: Estimate,
    /// Requests that run together, on average in the busiest hour.
    pub batch: f64,
    /// Most requests that should run together.
    pub most_batch: u32,
    /// Requests each second that a replica takes at that batch.
    pub capacity_requests_per_s: Estimate,
    /// Share of the capacity in use, on average over the month.
    pub utilisation: f64,
    /// Energy of a request with the building's share, in Wh.
    pub energy_wh_per_request: Estimate,
    /// Emissions of a request, in grams of CO2 equivalent.
    pub co2e_g_per_request: Estimate,
    /// Where the carbon intensity comes from.
    pub carbon_basis: String,
    /// Weights on each accelerator, in GiB.
    pub weights_gib: f64,
    /// Memory of each accelerator at the largest batch, in GiB.
    pub memory_gib: f64,
    /// Memory of one accelerator, in GiB.
    pub memory_capacity_gib: f64,
    /// Whether the limit is met.
    pub meets_limit: bool,
}

/// A point of the curve against the batch, for one replica.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BatchPoint {
    /// Requests that run together.
    pub batch: u32,
    /// Requests each second.
    pub requests_per_s: f64,
    /// Time of the batch, in seconds.
    pub batch_s: f64,
    /// US dollars for a thousand requests at full use; `None` where no price is known.
    pub usd_per_thousand: Option<f64>,
    /// Whether this is the knee: the point after which a doubling of the batch brings less than a fifth.
    pub is_knee: bool,
}

/// Where a lone request's time goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PartTime {
    /// Network.
    pub name: String,
    /// Passes for a request.
    pub passes: f64,
    /// Seconds of all of them.
    pub seconds: f64,
}

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BatchedAnswer {
    /// Version of this format; fields are only ever added within one version.
    pub format: u32,
    /// Model name.
    pub model: String,
    /// Parameters of all networks that run.
    pub parameters: f64,
    /// What one request is called, in the plural.
    pub unit: String,
    /// What a request asks for.
    pub request: Request,
    /// What was asked.
    pub demand: BatchedDemand,
    /// The chosen plan.
    pub best: BatchedPlan,
    /// Next-best plans.
    pub others: Vec<BatchedPlan>,
    /// Plans that no other plan beats in both cost and latency.
    pub pareto: Vec<BatchedPlan>,
    /// The chosen plan at other batches.
    pub curve: Vec<BatchPoint>,
    /// Where a lone request's time goes on the chosen plan.
    pub parts: Vec<PartTime>,
    /// Whether the chosen plan meets the limit.
    pub meets_limit: bool,
    /// Deployments priced.
    pub deployments_priced: u64,
    /// Sentences worth reading.
    pub notes: Vec<String>,
}

/// What users see of a replica that runs whatever waits, as soon as it is free.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BatchedOutcome {
    /// Half of the requests are answered sooner, in seconds.
    pub p50_s: f64,
    /// 99 in 100 are answered sooner, in seconds.
    pub p99_s: f64,
    /// Requests of a batch, on average.
    pub mean_batch: f64,
}

/// Runs replicas behind one queue at random arrivals (Poisson): each takes all that waits once it is free, `most` at most.
///
/// With one replica, `most` of 1 and passes of equal length this is the queue M/D/1.
pub fn simulate_batches(
    times: &BatchTimes,
    most: u32,
    replicas: u32,
    requests_per_s: f64,
) -> BatchedOutcome {
    // Of a very large fleet a part is followed: it waits a little longer than the whole would.
    let followed = replicas.clamp(1, MOST_REPLICAS);
    let rate = requests_per_s * f64::from(followed) / f64::from(replicas.max(1));
    let n = SIMULATED_REQUESTS.max(20 * followed as usize);
    let mut arrivals = Arrivals::new();
    let mut at = 0.0;
    let arrived: Vec<f64> = (0..n)
        .map(|_| {
            at += arrivals.next(rate);
            at
        })
        .collect();
    let mut latencies = Vec::with_capacity(arrived.len());
    // Nanoseconds at which each replica is free again, the soonest first.
    let mut free: BinaryHeap<Reverse<u64>> = (0..followed).map(|_| Reverse(0)).collect();
    let (mut next, mut batches) = (0, 0_u32);
    while next < arrived.len() {
        let soonest = free.pop().map_or(0.0, |at| at.0 as f64 * 1e-9);
        let start = soonest.max(arrived[next]);
        let mut end = next + 1;
        while end < arrived.len() && arrived[end] <= start && end - next < most.max(1) as usize {
            end += 1;
        }
        let done = start + times.seconds((end - next) as f64);
        latencies.extend(arrived[next..end].iter().map(|arrived| done - arrived));
        free.push(Reverse((done * 1e9) as u64));
        next = end;
        batches += 1;
    }
    latencies.sort_by(f64::total_cmp);
    let rank = |share: f64| latencies[(share * (latencies.len() - 1) as f64).round() as usize];
    BatchedOutcome {
        p50_s: rank(0.5),
        p99_s: rank(0.99),
        mean_batch: latencies.len() as f64 / f64::from(batches),
    }
}

/// A deployment of one replica.
struct Priced<'a> {
    choice: &'a Choice<'a>,
    format: NumberFormat,
    ranks: u32,
    times: BatchTimes,
    most_batch: u32,
    capacity: f64,
}

impl Priced<'_> {
    fn hourly(&self) -> f64 {
        self.choice
            .offers
            .iter()
            .map(|offer| offer.usd_per_accelerator_hour())
            .fold(f64::INFINITY, f64::min)
    }
}

/// The smallest batch that serves within 2% of the most that a limit and memory allow.
fn best_batch(times: &BatchTimes, memory_bytes: f64, latency_s: Option<f64>) -> Option<u32> {
    let most = times.most_batch(memory_bytes);
    let rate = |batch: u32| f64::from(batch) / times.seconds(f64::from(batch));
    let possible: Vec<u32> = BATCHES
        .iter()
        .copied()
        .filter(|&batch| batch <= most)
        .filter(|&batch| {
            batch == 1 || latency_s.is_none_or(|limit| times.seconds(f64::from(batch)) <= limit)
        })
        .collect();
    let fastest = possible
        .iter()
        .map(|batch| rate(*batch))
        .fold(0.0, f64::max);
    possible
        .into_iter()
        .find(|batch| rate(*batch) >= 0.98 * fastest)
}

/// Answers a question.
///
/// # Errors
/// [`ServeError::FitsNowhere`] where no hardware considered holds the weights.
pub fn plan_batched(
    question: &BatchedQuestion<'_>,
    calibration: &Calibration,
) -> Result<BatchedAnswer, ServeError> {
    let demand = &question.demand;
    let mut tasks = Vec::new();
    for choice in &question.choices {
        for ranks in [1_u32, 2, 4, 8] {
            let possible = ranks == 1 || question.service.divides();
            if possible
                && ranks <= choice.accelerator.node_size.max(1)
                && choice.count.is_none_or(|count| count == ranks)
            {
                for &format in &question.formats {
                    tasks.push((choice, format, ranks));
                }
            }
        }
    }
    let mut priced: Vec<Priced<'_>> = tasks
        .par_iter()
        .filter_map(|&(choice, format, ranks)| {
            let accelerator = choice.accelerator;
            let times = BatchTimes::new(question.service, accelerator, format, ranks, calibration)?;
            let most_batch = best_batch(&times, accelerator.memory_gib * GIB, demand.latency_s)?;
            let capacity = f64::from(most_batch) / times.seconds(f64::from(most_batch));
            Some(Priced {
                choice,
                format,
                ranks,
                times,
                most_batch,
                capacity,
            })
        })
        .collect();
    if priced.is_empty() {
        return Err(misfit(question, &tasks, calibration));
    }
    let deployments_priced = priced.len() as u64;
    let alone = |priced: &Priced<'_>| priced.times.seconds(1.0);
    let within = |priced: &Priced<'_>| demand.latency_s.is_none_or(|limit| alone(priced) <= limit);
    let bill = |priced: &Priced<'_>| {
        let replicas = (demand.requests_per_s / (priced.capacity * MOST_UTILISATION))
            .ceil()
            .max(1.0);
        let hourly = priced.hourly();
        replicas * f64::from(priced.ranks) * if hourly.is_finite() { hourly } else { 1e6 }
    };
    priced.sort_by(|a, b| {
        (!within(a))
            .cmp(&!within(b))
            .then_with(|| {
                if within(a) {
                    bill(a).total_cmp(&bill(b))
                } else {
                    alone(a).total_cmp(&alone(b))
                }
            })
            .then(alone(a).total_cmp(&alone(b)))
    });
    let mut chosen: Vec<&Priced<'_>> = priced.iter().take(SIMULATED_PLANS).collect();
    // The fastest of each accelerator, for the front.
    let mut by_speed: Vec<&Priced<'_>> = priced.iter().collect();
    by_speed.sort_by(|a, b| alone(a).total_cmp(&alone(b)));
    let mut seen = std::collections::BTreeSet::new();
    for priced in by_speed {
        if seen.insert(&priced.choice.accelerator.id) {
            chosen.push(priced);
        }
    }
    let mut plans: Vec<BatchedPlan> = chosen
        .par_iter()
        .flat_map_iter(|priced| plans_of(question, priced, calibration))
        .collect();
    let usd = |plan: &BatchedPlan| plan.usd_per_month.map_or(f64::INFINITY, |usd| usd.p50);
    plans.sort_by(|a, b| {
        (!a.meets_limit)
            .cmp(&!b.meets_limit)
            .then_with(|| {
                if a.meets_limit {
                    std::cmp::Ordering::Equal
                } else {
                    a.latency.p99_s.p50.total_cmp(&b.latency.p99_s.p50)
                }
            })
            .then(usd(a).total_cmp(&usd(b)))
            .then(a.accelerators.cmp(&b.accelerators))
            .then(a.latency.p99_s.p50.total_cmp(&b.latency.p99_s.p50))
    });
    let best = plans[0].clone();
    let of_best = chosen
        .iter()
        .find(|priced| {
            priced.choice.accelerator.id == best.accelerator
                && priced.format == best.format
                && priced.ranks == best.ranks
        })
        .copied()
        .unwrap_or(chosen[0]);
    let mut notes = Vec::new();
    if !best.meets_limit
        && let Some(limit) = demand.latency_s
    {
        let least = priced.iter().map(alone).fold(f64::INFINITY, f64::min);
        notes.push(format!(
            "No plan considered answers within {:.1} ms: {:.1} ms is the least for one request alone.",
            limit * 1e3,
            least * 1e3
        ));
    }
    let parts = question
        .service
        .parts
        .iter()
        .zip(&of_best.times.parts_s)
        .map(|(part, seconds)| PartTime {
            name: part.name.clone(),
            passes: part.passes,
            seconds: *seconds,
        })
        .collect();
    Ok(BatchedAnswer {
        format: 1,
        model: question.model.to_owned(),
        parameters: question.service.parameters(),
        unit: question.service.unit.clone(),
        request: question.request,
        demand: *demand,
        curve: curve(of_best, best.usd_per_accelerator_hour),
        parts,
        meets_limit: best.meets_limit,
        others: next_best(&plans),
        pareto: pareto(&plans),
        best,
        deployments_priced,
        notes,
    })
}

/// The least number of replicas that meets the limit at random arrivals, and what users then see.
fn fleet(question: &BatchedQuestion<'_>, priced: &Priced<'_>) -> (f64, BatchedOutcome, bool) {
    let demand = &question.demand;
    let least = (demand.requests_per_s / (priced.capacity * MOST_UTILISATION))
        .ceil()
        .max(1.0);
    let at = |replicas: f64| {
        let outcome = simulate_batches(
            &priced.times,
            priced.most_batch,
            replicas as u32,
            demand.requests_per_s,
        );
        let seen = if demand.for_99_in_100 {
            outcome.p99_s
        } else {
            outcome.p50_s
        };
        let meets = demand.latency_s.is_none_or(|limit| seen <= limit);
        (outcome, meets)
    };
    let (outcome, meets) = at(least);
    let reachable = demand
        .latency_s
        .is_none_or(|limit| priced.times.seconds(1.0) <= limit);
    if meets || !reachable {
        return (least, outcome, meets);
    }
    // More replicas until the limit is met; then the fewest that meet it.
    let (mut short, mut enough) = (least, least);
    for _ in 0..12 {
        enough = (enough * 1.5).ceil();
        if at(enough).1 {
            break;
        }
        short = enough;
    }
    while enough - short > 1.0 {
        let middle = ((enough + short) / 2.0).floor();
        if at(middle).1 {
            enough = middle;
        } else {
            short = middle;
        }
    }
    let (outcome, meets) = at(enough);
    (enough, outcome, meets)
}

/// A deployment on each of its providers' cheapest offers.
fn plans_of(
    question: &BatchedQuestion<'_>,
    priced: &Priced<'_>,
    calibration: &Calibration,
) -> Vec<BatchedPlan> {
    let demand = &question.demand;
    let accelerator = priced.choice.accelerator;
    let (replicas, outcome, meets_limit) = fleet(question, priced);
    let spread = calibration.batched_spread();
    let ranks = f64::from(priced.ranks);
    let utilisation = demand.requests_per_s * demand.mean_over_peak / (replicas * priced.capacity);
    let peak = demand.requests_per_s / (replicas * priced.capacity);
    // More or fewer replicas, should batches take longer or shorter than predicted; never less than one.
    let fleet = Estimate {
        p10: (replicas * spread.low).ceil().max(1.0),
        p50: replicas,
        p90: if replicas <= 1.0 && peak * spread.high <= MOST_UTILISATION {
            1.0
        } else {
            (replicas * spread.high).ceil()
        },
    };
    let requests = demand.requests_per_s * demand.mean_over_peak * HOURS_PER_MONTH * 3600.0;
    // An idle board draws about a fifth of what a busy one does.
    let watts = crate::train::server_watts(accelerator)
        * (0.2 + 0.8 * utilisation.clamp(0.0, 1.0))
        * question.pue;
    let energy = fleet.scaled(ranks * watts * HOURS_PER_MONTH / requests.max(1e-9));
    let energy = Estimate {
        p10: energy.p10 * 0.75,
        p50: energy.p50,
        p90: energy.p90 * 1.3,
    };
    let capacity = Estimate::around(1.0 / priced.capacity, spread).rate_of(1.0);
    let plan = |offer: Option<&Offer>| {
        let price = offer.map(Offer::usd_per_accelerator_hour);
        let usd_per_month = offer.map(|offer| {
            let usd = fleet.scaled(offer.usd_per_accelerator_hour() * ranks * HOURS_PER_MONTH);
            offer
                .projected
                .map_or(usd, |spread| crate::trends::widened(usd, spread))
        });
        let text = |of: fn(&Offer) -> &str| offer.map_or_else(String::new, |o| of(o).to_owned());
        let (grams, basis) = (question.carbon)(
            offer.map_or("", |offer| offer.provider.as_str()),
            offer.map_or("", |offer| offer.region.as_str()),
        );
        BatchedPlan {
            accelerator: accelerator.id.clone(),
            format: priced.format,
            ranks: priced.ranks,
            replicas: replicas as u32,
            accelerators: (replicas * ranks) as u32,
            provider: offer.map_or_else(|| "none".to_owned(), |offer| offer.provider.clone()),
            region: text(|offer| &offer.region),
            pricing: text(|offer| offer.pricing.name()),
            price_as_of: text(|offer| &offer.as_of),
            price_source: text(|offer| &offer.source),
            usd_per_accelerator_hour: price,
            usd_per_month,
            usd_per_thousand: usd_per_month.map(|usd| usd.scaled(1000.0 / requests.max(1e-9))),
            latency: Latency {
                p50_s: Estimate::around(outcome.p50_s, spread),
                p99_s: Estimate::around(outcome.p99_s, spread),
            },
            alone_s: Estimate::around(priced.times.seconds(1.0), spread),
            batch: outcome.mean_batch,
            most_batch: priced.most_batch,
            capacity_requests_per_s: capacity,
            utilisation,
            energy_wh_per_request: energy,
            co2e_g_per_request: energy.scaled(grams / 1000.0),
            carbon_basis: basis,
            weights_gib: priced.times.weights_bytes / GIB,
            memory_gib: priced.times.memory_bytes(priced.most_batch) / GIB,
            memory_capacity_gib: accelerator.memory_gib,
            meets_limit,
        }
    };
    if priced.choice.offers.is_empty() {
        return vec![plan(None)];
    }
    cheapest_by_provider(&priced.choice.offers)
        .into_iter()
        .map(|offer| plan(Some(offer)))
        .collect()
}

/// One replica at every batch that it holds.
fn curve(priced: &Priced<'_>, usd_per_accelerator_hour: Option<f64>) -> Vec<BatchPoint> {
    let most = priced
        .times
        .most_batch(priced.choice.accelerator.memory_gib * GIB);
    let mut out: Vec<BatchPoint> = BATCHES
        .iter()
        .filter(|batch| batch.is_power_of_two() && **batch <= most)
        .map(|&batch| {
            let batch_s = priced.times.seconds(f64::from(batch));
            let requests_per_s = f64::from(batch) / batch_s;
            BatchPoint {
                batch,
                requests_per_s,
                batch_s,
                usd_per_thousand: usd_per_accelerator_hour
                    .map(|price| price * f64::from(priced.ranks) / 3.6 / requests_per_s),
                is_knee: false,
            }
        })
        .collect();
    let knee = out
        .windows(2)
        .position(|pair| pair[1].requests_per_s < 1.2 * pair[0].requests_per_s)
        .unwrap_or(out.len().saturating_sub(1));
    if let Some(point) = out.get_mut(knee) {
        point.is_knee = true;
    }
    out
}

/// Other hardware, formats and providers, cheapest first.
fn next_best(plans: &[BatchedPlan]) -> Vec<BatchedPlan> {
    let mut seen = std::collections::BTreeSet::from([(
        plans[0].provider.as_str(),
        plans[0].accelerator.as_str(),
    )]);
    plans[1..]
        .iter()
        .filter(|plan| seen.insert((&plan.provider, &plan.accelerator)))
        .take(6)
        .cloned()
        .collect()
}

/// Plans that no other beats in both cost and latency, cheapest first.
fn pareto(plans: &[BatchedPlan]) -> Vec<BatchedPlan> {
    let mut priced: Vec<(f64, &BatchedPlan)> = plans
        .iter()
        .filter(|plan| plan.meets_limit)
        .filter_map(|plan| Some((plan.usd_per_month?.p50, plan)))
        .collect();
    priced.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut fastest = f64::INFINITY;
    let mut out = Vec::new();
    for (_, plan) in priced {
        if plan.latency.p99_s.p50 < fastest * 0.995 {
            fastest = plan.latency.p99_s.p50;
            out.push(plan.clone());
        }
    }
    out
}

/// Why nothing considered serves the model.
fn misfit(
    question: &BatchedQuestion<'_>,
    tasks: &[(&Choice<'_>, NumberFormat, u32)],
    calibration: &Calibration,
) -> ServeError {
    let names = |of: &mut dyn Iterator<Item = String>| {
        let mut names: Vec<String> = of.collect();
        names.dedup();
        names.truncate(6);
        names.join(", ")
    };
    let hardware = names(&mut question.choices.iter().map(|c| c.accelerator.id.clone()));
    let formats = names(
        &mut question
            .formats
            .iter()
            .map(|format| format.name().to_owned()),
    );
    let why = if tasks.is_empty() {
        if question.service.divides() {
            "a replica is 1, 2, 4 or 8 accelerators of one node".to_owned()
        } else {
            "it convolves, and cannot be divided: a replica is one accelerator (more of them are replicas)".to_owned()
        }
    } else {
        let needs = tasks
            .iter()
            .filter_map(|&(choice, format, ranks)| {
                let times = BatchTimes::new(
                    question.service,
                    choice.accelerator,
                    format,
                    ranks,
                    calibration,
                )?;
                Some((times, choice.accelerator, ranks))
            })
            .min_by(|a, b| {
                let over = |of: &(BatchTimes, &outlay_catalog::Accelerator, u32)| {
                    of.0.memory_bytes(1) / of.1.memory_gib
                };
                over(a).total_cmp(&over(b))
            });
        match needs {
            None => format!("{hardware} does not multiply in {formats}"),
            Some((times, accelerator, ranks)) => format!(
                "{:.1} GiB of weights and {:.1} GiB for one request do not fit on each of {ranks} x {} with {:.1} GiB",
                times.weights_bytes / GIB,
                times.request_bytes / GIB,
                accelerator.id,
                accelerator.memory_gib
            ),
        }
    };
    ServeError::NotServed {
        model: question.model.to_owned(),
        why,
    }
}
