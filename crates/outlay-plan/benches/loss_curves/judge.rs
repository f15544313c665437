//! Looks ahead from parts of finished runs, and compares with how they ended.

use outlay_plan::{
    CurvePlan, CurveWidening, Drift, FINAL_SHARE, Forecast, ForecastPlan, LossCurve, Sample,
};
use rayon::prelude::*;

use crate::train::{Logged, Run};

/// Shares of a run from which it is judged.
pub const SHARES: [f64; 3] = [0.25, 0.5, 0.75];

/// What a curve is told of learning rates.
pub const MODES: [&str; 3] = ["given", "logged", "unknown"];

/// A prediction and what came, as logarithms. An interval's end stands off by the root of the sum of squares of `drawn`
/// and a factor of `reach`.
#[derive(Clone, Debug)]
pub struct Row {
    pub family: String,
    pub mode: usize,
    pub share: usize,
    pub truth: f64,
    pub p50: f64,
    /// Below and above.
    pub drawn: [f64; 2],
    pub reach: f64,
    /// What the plain peer says.
    pub peer: f64,
    /// What is added to a prediction before it is compared: seconds so far.
    pub so_far: f64,
}

/// Factors of reach below and above.
pub type Factors = [f64; 2];

/// Share of predictions that each end should hold: more than nine in ten, as a kind left out is stranger than those seen.
const HELD: f64 = 1.0 - 1.0 / 12.0;

/// Farthest that an end is taken, as in `curve.rs`.
const FARTHEST: f64 = 4.0;

impl Row {
    pub fn ends(&self, factors: &Factors) -> (f64, f64) {
        let end = |side: usize| self.drawn[side].hypot((factors[side] * self.reach).min(FARTHEST));
        (self.value(self.p50 - end(0)), self.value(self.p50 + end(1)))
    }

    pub fn value(&self, log: f64) -> f64 {
        self.so_far + log.exp()
    }

    /// The factor at which an end would just hold.
    fn needed(&self, side: usize) -> f64 {
        let away = if side == 0 {
            self.p50 - self.truth
        } else {
            self.truth - self.p50
        };
        let missing = away.max(0.0).powi(2) - self.drawn[side].powi(2);
        missing.max(0.0).sqrt() / self.reach.max(1e-9)
    }
}

fn mean(points: &[Logged], from: f64, to: f64) -> f64 {
    let (sum, n) = points
        .iter()
        .filter(|point| point.step > from && point.step <= to && point.loss.is_finite())
        .fold((0.0, 0.0), |(sum, n), point| (sum + point.loss, n + 1.0));
    sum / n
}

/// Final losses; also how many runs could not be fitted.
pub fn losses(runs: &[Run]) -> (Vec<Row>, usize) {
    let cases: Vec<(usize, usize, &Run)> = (0..MODES.len())
        .flat_map(|mode| {
            (0..SHARES.len()).flat_map(move |share| runs.iter().map(move |run| (mode, share, run)))
        })
        .collect();
    let rows: Vec<Option<Row>> = cases
        .into_par_iter()
        .map(|(mode, share, run)| {
            let now = SHARES[share] * run.total;
            let seen: Vec<(f64, f64)> = run
                .points
                .iter()
                .filter(|point| point.step <= now)
                .map(|point| (point.step, point.loss))
                .collect();
            let rates = run
                .points
                .iter()
                .filter(|point| mode == 0 || (mode == 1 && point.step <= now))
                .map(|point| (point.step, point.rate))
                .collect();
            let plan = CurvePlan {
                total_steps: Some(run.total),
                learning_rates: rates,
                widening: CurveWidening::NONE,
            };
            let curve = LossCurve::fit(&seen, &plan, 1).ok()?;
            let plain = curve.final_loss()?;
            let wide = curve
                .widened_by(CurveWidening {
                    low: 1.0,
                    high: 1.0,
                })
                .final_loss()?;
            let below = (plain.p50 / plain.p10).ln();
            let reach = ((wide.p50 / wide.p10).ln().powi(2) - below * below)
                .max(0.0)
                .sqrt();
            Some(Row {
                family: run.family.clone(),
                mode,
                share,
                truth: mean(&run.points, run.total * (1.0 - FINAL_SHARE), run.total).ln(),
                p50: plain.p50.ln(),
                drawn: [below, (plain.p90 / plain.p50).ln()],
                reach,
                peer: mean(&run.points, now * (1.0 - FINAL_SHARE), now).ln(),
                so_far: 0.0,
            })
        })
        .collect();
    let refused = rows.iter().filter(|row| row.is_none()).count();
    (rows.into_iter().flatten().collect(), refused)
}

/// Times of whole runs; costs are times at a price, and come out alike.
pub fn times(runs: &[Run]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (share, part) in SHARES.iter().enumerate() {
        for run in runs {
            let Some(end) = run.points.last().filter(|end| end.elapsed_s.is_finite()) else {
                continue;
            };
            let now = part * run.total;
            let mut samples = vec![Sample {
                elapsed_s: 0.0,
                done: 0.0,
                usd: 0.0,
            }];
            samples.extend(
                run.points
                    .iter()
                    .filter(|point| point.step <= now)
                    .map(|point| Sample {
                        elapsed_s: point.elapsed_s,
                        done: point.step,
                        usd: point.elapsed_s * 2.5 / 3600.0,
                    }),
            );
            let look = |drift| {
                let plan = ForecastPlan {
                    total: Some(end.step),
                    drift,
                    ..ForecastPlan::default()
                };
                Forecast::new(&samples, &plan, 1)
            };
            let one = Drift {
                low: 1.0,
                high: 1.0,
            };
            let (plain, wide) = (look(Drift::NONE), look(one));
            let (Some(rest), Some(far)) = (plain.remaining_s, wide.remaining_s) else {
                continue;
            };
            let below = (rest.p50 / rest.p10).ln();
            rows.push(Row {
                family: run.family.clone(),
                mode: 0,
                share,
                truth: (end.elapsed_s - plain.elapsed_s).ln(),
                p50: rest.p50.ln(),
                drawn: [below, (rest.p90 / rest.p50).ln()],
                reach: ((far.p50 / far.p10).ln().powi(2) - below * below)
                    .max(0.0)
                    .sqrt(),
                peer: (plain.elapsed_s / plain.done_share.unwrap_or(1.0) - plain.elapsed_s).ln(),
                so_far: plain.elapsed_s,
            });
        }
    }
    rows
}

/// The value at a share of values.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n => values[(share * (n - 1) as f64).round() as usize],
    }
}

/// The factors at which one row in twelve lies beyond either end.
pub fn factors(rows: &[&Row]) -> Factors {
    [0, 1].map(|side| {
        let mut needed: Vec<f64> = rows.iter().map(|row| row.needed(side)).collect();
        quantile(&mut needed, HELD)
    })
}
