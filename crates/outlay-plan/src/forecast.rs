//! How far a run is, when it ends and what it will have cost: from a meter's samples, and from what was planned.
//!
//! What remains is the units left times the rate, seconds or US dollars for a unit of work. The rate is a median over draws
//! of a block bootstrap of segments of the run (Künsch 1989), late ones counting more. Segments hold equal work, so that
//! steps, evaluations and checkpoints are drawn together, and neighbours, which a busy machine slows together, in blocks. A
//! rate that varied over the run may change as much again: `Drift`. A plan's prediction is joined to
//! the measured rate by precision, as logarithms: it decides before the first steps, and soon hardly counts.

use outlay_units::Estimate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::random::scattered;

/// Most segments that a run so far is cut into.
const SEGMENTS: usize = 96;
/// Draws of the bootstrap.
const DRAWS: usize = 300;
/// Share of the run so far in which what a segment counts halves, going back.
const HALF_LIFE: f64 = 0.5;
/// Parts of the run so far among which the rate's variation is taken.
const PARTS: usize = 8;
/// How many times the median rate a segment at the start takes to count as warm-up (compilation, caches that fill).
const WARM_UP: f64 = 1.6;
/// Largest share of the segments that can be warm-up.
const WARM_UP_SHARE: f64 = 0.25;
/// p90 of a normal distribution, in standard deviations.
const P90_DEVIATIONS: f64 = 1.281_55;

/// A meter's reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Seconds since the run began.
    pub elapsed_s: f64,
    /// Work done: steps, tokens, or the share of the run (with a total of 1).
    pub done: f64,
    /// US dollars spent so far; NaN where not metered.
    pub usd: f64,
}

/// What is known of a run besides its samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ForecastPlan {
    /// Work of the whole run, in the unit of `Sample::done`.
    pub total: Option<f64>,
    /// Seconds that the run was predicted to take.
    pub planned_s: Option<Estimate>,
    /// US dollars that it was predicted to cost.
    pub planned_usd: Option<Estimate>,
    /// What the draws do not see.
    pub drift: Drift,
}

/// What a bootstrap of the past does not see of the future: rates that change.
///
/// An end of the remaining time stands off by the root of the sum of squares of the draws' distance and
/// `factor * variation`, as logarithms, where `variation` is the standard deviation of the rate over eighths of the run so
/// far. Eighths that differ by 4% make a p90 that is at least 4.1% above the median, with a factor of 1.0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// Faster than expected.
    pub low: f64,
    /// Slower than expected.
    pub high: f64,
}

impl Drift {
    /// The draws alone.
    pub const NONE: Self = Self {
        low: 0.0,
        high: 0.0,
    };
}

impl Default for Drift {
    /// From the 81 runs of `benches/loss_curves`, made twice: beside little else, and with ten tasks waiting for two cores.
    /// The factors at which the time of one run in twelve lies beyond either end (see `CurveWidening`).
    fn default() -> Self {
        Self {
            low: 1.1,
            high: 1.0,
        }
    }
}

/// A run's end, as it looks from here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Forecast {
    /// Share of the work that is done; `None` where the total is not known.
    pub done_share: Option<f64>,
    /// Seconds so far.
    pub elapsed_s: f64,
    /// US dollars so far, where metered.
    pub spent_usd: Option<f64>,
    /// Seconds for a unit of work, pauses included, for what remains; `None` before any work is seen or planned.
    pub s_per_unit: Option<Estimate>,
    /// US dollars for a unit of work.
    pub usd_per_unit: Option<Estimate>,
    /// Seconds left.
    pub remaining_s: Option<Estimate>,
    /// Seconds of the whole run.
    pub total_s: Option<Estimate>,
    /// US dollars of the whole run.
    pub total_usd: Option<Estimate>,
    /// How much of the remaining time's rate rests on the plan, 0 to 1.
    pub plan_weight: f64,
    /// Samples that were not finite, or went back in time.
    pub skipped: u32,
}

impl Forecast {
    /// Looks ahead from samples in the order in which they were taken; the same for a seed.
    ///
    /// Never fails: without samples it is the plan, and what is not known is `None`. Work that goes back, as after a
    /// restart, is work lost, whose time counts. Gaps between samples are bridged: their time and their work are known.
    ///
    /// ```
    /// use outlay_plan::{Forecast, ForecastPlan, Sample};
    /// // 2 s and $0.01 a step, 100 of 400 steps.
    /// let samples: Vec<Sample> = (0..=100)
    ///     .map(|step| Sample { elapsed_s: 2.0 * f64::from(step), done: f64::from(step), usd: 0.01 * f64::from(step) })
    ///     .collect();
    /// let plan = ForecastPlan { total: Some(400.0), ..ForecastPlan::default() };
    /// let forecast = Forecast::new(&samples, &plan, 1);
    /// assert!((forecast.total_s.unwrap().p50 - 800.0).abs() < 1e-6);
    /// assert!((forecast.total_usd.unwrap().p50 - 4.0).abs() < 1e-9);
    /// ```
    pub fn new(samples: &[Sample], plan: &ForecastPlan, seed: u64) -> Self {
        let mut kept: Vec<Sample> = Vec::with_capacity(samples.len());
        let mut skipped = 0;
        for sample in samples {
            let forward = kept
                .last()
                .is_none_or(|last| sample.elapsed_s >= last.elapsed_s);
            let finite = sample.elapsed_s.is_finite() && sample.done.is_finite();
            if !(finite && forward && sample.done >= 0.0 && sample.elapsed_s >= 0.0) {
                skipped += 1;
                continue;
            }
            kept.push(*sample);
        }
        let last = kept.last().copied();
        let elapsed_s = last.map_or(0.0, |sample| sample.elapsed_s);
        let done = last.map_or(0.0, |sample| sample.done);
        let total = plan.total.filter(|total| total.is_finite() && *total > 0.0);
        let left = total.map(|total| (total - done).max(0.0));
        let spent_usd = kept
            .iter()
            .rev()
            .map(|sample| sample.usd)
            .find(|usd| usd.is_finite());
        let series = |of: fn(&Sample) -> f64| -> Vec<(f64, f64)> {
            kept.iter()
                .map(|sample| (sample.done, of(sample)))
                .filter(|(_, value)| value.is_finite())
                .collect()
        };
        let look = |values: &[(f64, f64)], planned: Option<Estimate>, salt: u64| {
            let share_left = match (left, total) {
                (Some(left), Some(total)) if total > left => left / (total - left),
                _ => 1.0,
            };
            let measured = rate(values, share_left, &plan.drift, seed ^ salt);
            let planned = planned
                .zip(total)
                .map(|(planned, total)| planned.scaled(1.0 / total));
            joined(
                measured,
                planned.filter(|rate| rate.p10 > 0.0 && rate.p90.is_finite()),
            )
        };
        let (s_per_unit, plan_weight) =
            look(&series(|sample| sample.elapsed_s), plan.planned_s, 1 << 40);
        let (usd_per_unit, _) = look(&series(|sample| sample.usd), plan.planned_usd, 1 << 40);
        let remaining_s = s_per_unit.zip(left).map(|(rate, left)| rate.scaled(left));
        let whole = |so_far: f64, rate: Estimate, left: f64| {
            rate.scaled(left)
                .plus_independent(Estimate::exactly(so_far))
        };
        Self {
            done_share: total.map(|total| (done / total).min(1.0)),
            elapsed_s,
            spent_usd,
            s_per_unit,
            usd_per_unit,
            remaining_s,
            total_s: s_per_unit
                .zip(left)
                .map(|(rate, left)| whole(elapsed_s, rate, left)),
            total_usd: usd_per_unit
                .zip(left)
                .map(|(rate, left)| whole(spent_usd.unwrap_or(0.0), rate, left)),
            plan_weight,
            skipped,
        }
    }
}

/// Work and what it took, of a stretch of the run.
#[derive(Clone, Copy, Debug)]
struct Segment {
    work: f64,
    took: f64,
}

/// Cuts cumulative values into segments of about equal work; lost work stays in the segment in which it was lost.
fn segments(values: &[(f64, f64)]) -> Vec<Segment> {
    let (Some(first), Some(last)) = (values.first(), values.last()) else {
        return Vec::new();
    };
    let each = (last.0 - first.0) / SEGMENTS.min(values.len().saturating_sub(1)).max(1) as f64;
    if each.is_nan() || each <= 0.0 {
        return Vec::new();
    }
    let mut out: Vec<Segment> = Vec::new();
    let mut from = *first;
    for value in &values[1..] {
        // A hair less, so that rounding does not skip a sample.
        if value.0 - from.0 >= each * (1.0 - 1e-9) {
            out.push(Segment {
                work: value.0 - from.0,
                took: value.1 - from.1,
            });
            from = *value;
        }
    }
    if let (Some(end), true) = (out.last_mut(), from != *last) {
        end.work += last.0 - from.0;
        end.took += last.1 - from.1;
    }
    out.retain(|segment| segment.work > 0.0);
    out
}

/// What a unit of the remaining work takes.
fn rate(values: &[(f64, f64)], share_left: f64, drift: &Drift, seed: u64) -> Option<Estimate> {
    let all = segments(values);
    let per_unit = |segment: &Segment| segment.took / segment.work;
    let mut rates: Vec<f64> = all.iter().map(per_unit).collect();
    if rates.is_empty() {
        return None;
    }
    let middle = rates.len() / 2;
    let median = *rates.select_nth_unstable_by(middle, f64::total_cmp).1;
    let most = (WARM_UP_SHARE * all.len() as f64) as usize;
    let warm = all
        .iter()
        .take(most)
        .take_while(|segment| per_unit(segment) > WARM_UP * median)
        .count();
    let kept = &all[warm..];
    let n = kept.len();
    let weight = |place: usize| 0.5_f64.powf((n - 1 - place) as f64 / (HALF_LIFE * n as f64));
    let mean = |places: &mut dyn Iterator<Item = (usize, usize)>| {
        let (took, work) = places.fold((0.0, 0.0), |(took, work), (place, pick)| {
            let weight = weight(place);
            (
                took + weight * kept[pick].took,
                work + weight * kept[pick].work,
            )
        });
        took / work
    };
    let centre = mean(&mut (0..n).map(|place| (place, place)));
    if centre.is_nan() || centre <= 0.0 {
        return None;
    }
    let length = (n as f64).sqrt().ceil() as usize;
    // Whatever was drawn, the remainder is a stretch of its own: its own noise adds to that of the mean.
    let stretch = (1.0 + 1.0 / share_left.max(0.05)).sqrt();
    let mut draws: Vec<f64> = (0..DRAWS)
        .map(|draw| {
            let mut start = 0;
            let rate = mean(&mut (0..n).map(|place| {
                if place % length == 0 {
                    let chance = scattered(seed ^ ((draw as u64) << 16) ^ place as u64);
                    start = (chance * (n - length + 1) as f64) as usize;
                }
                (place, start + place % length)
            }));
            (rate / centre).max(1e-6).ln() * stretch
        })
        .collect();
    draws.sort_by(f64::total_cmp);
    let at = |share: f64| draws[(share * (DRAWS - 1) as f64).round() as usize];
    let varies = variation(kept);
    // Few segments say little of their own spread.
    let few = 0.5 / n as f64;
    let end = |drawn: f64, drift: f64| drawn.hypot(drift * varies).hypot(few);
    Some(Estimate {
        p10: centre * (-end(at(0.1).min(0.0), drift.low)).exp(),
        p50: centre,
        p90: centre * end(at(0.9).max(0.0), drift.high).exp(),
    })
}

/// How much the rate varied over the run so far: the standard deviation of its logarithm over eighths.
fn variation(kept: &[Segment]) -> f64 {
    let logs: Vec<f64> = kept
        .chunks(kept.len().div_ceil(PARTS))
        .map(|chunk| {
            let took: f64 = chunk.iter().map(|segment| segment.took).sum();
            (took / chunk.iter().map(|segment| segment.work).sum::<f64>()).ln()
        })
        .filter(|log| log.is_finite())
        .collect();
    let n = logs.len().max(2) as f64;
    let mean = logs.iter().sum::<f64>() / n;
    (logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt()
}

/// Joins a measured and a planned rate, each by its precision, as logarithms: weights are one over the variance, and the
/// variance of the whole is one over the sum of weights. Also how much the plan counts.
///
/// A plan of 10 s (8 to 12.5) and a measurement of 12 s (11.4 to 12.6) are 11.9 s: the plan counts 5%.
fn joined(measured: Option<Estimate>, planned: Option<Estimate>) -> (Option<Estimate>, f64) {
    let (Some(measured), Some(planned)) = (measured, planned) else {
        return (
            measured.or(planned),
            f64::from(u8::from(measured.is_none() && planned.is_some())),
        );
    };
    let variance = |rate: &Estimate| {
        ((rate.p90 / rate.p10).ln() / (2.0 * P90_DEVIATIONS))
            .powi(2)
            .max(1e-12)
    };
    let (by_measure, by_plan) = (1.0 / variance(&measured), 1.0 / variance(&planned));
    let weight = by_plan / (by_measure + by_plan);
    let mix = |m: f64, p: f64| ((1.0 - weight) * m.ln() + weight * p.ln()).exp();
    let p50 = mix(measured.p50, planned.p50);
    // Each end's own distance, so that lopsided intervals stay so.
    let end = |m: f64, p: f64| {
        let (m, p) = (
            1.0 / m.ln().powi(2).max(1e-12),
            1.0 / p.ln().powi(2).max(1e-12),
        );
        (1.0 / (m + p)).sqrt()
    };
    let low = end(measured.p50 / measured.p10, planned.p50 / planned.p10);
    let high = end(measured.p90 / measured.p50, planned.p90 / planned.p50);
    let estimate = Estimate {
        p10: p50 * (-low).exp(),
        p50,
        p90: p50 * high.exp(),
    };
    (Some(estimate), weight)
}
