//! Loss curves: what a run's losses so far say of those to come.
//!
//! Fits `L = E + A * ((S + s0) / (S_now + s0))^-b - C * D` to blocks of the points so far. E is a floor, and the power law
//! is Hoffmann et al.'s in one variable (arXiv:2203.15556, equation 2, fitted as there by Huber's loss of logarithms).
//! Where learning rates are known, S is the area under them and D what giving them up has brought, as in Tissue et al.
//! (arXiv:2408.11029, equation 1) with the settling of Luo et al. (arXiv:2503.12811, equation 3); else S is steps, and D
//! is left open.
//!
//! Intervals come of three things. Draws of a block bootstrap, with C and E drawn from what is believed before
//! (`fitting.rs`): noise, and what points leave open. Four variants of the fit, by area or by steps, on nearly all of the
//! run or on its last seven tenths: what the form leaves open. And `CurveWidening`: what none of them sees, from curves
//! trained to the end.

mod fitting;
mod points;
mod schedule;

use outlay_units::Estimate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::random::scattered;
use fitting::{DRAWS, Fitted, normal};
use schedule::{Future, Schedule};

/// Fewest points that a curve is fitted to.
const LEAST_POINTS: usize = 12;
/// Chance that a rate whose future is open is given up, in part or whole, by the end of the run.
///
/// Most runs are annealed; of the rest of the chance, all of the rate stays.
const DECAY_CHANCE: f64 = 0.7;
/// Shares of the run that the variants of the fit leave out at its start.
const LEFT_OUT: [f64; 2] = [0.04, 0.3];
/// How far a curve without a known end is followed, in steps so far.
const HORIZON: f64 = 100.0;

/// Farthest that widening takes an end, as a logarithm (a factor of 55): beyond it nothing is said in any case.
const FARTHEST: f64 = 4.0;

/// Share of a run's steps, at its end, whose mean loss is called the run's final loss.
///
/// A single step's loss is noise: with 10,000 steps, the final loss is the mean of what was logged after step 9,800.
pub const FINAL_SHARE: f64 = 0.02;

/// What is known of a run besides its losses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CurvePlan {
    /// Steps of the whole run, where known.
    pub total_steps: Option<f64>,
    /// Learning rates by step, in any unit: those so far, or the whole schedule. Empty where not logged.
    ///
    /// Rates so far are continued where they follow a cosine, a line or a root towards `total_steps`; rates that stand
    /// still may decay yet, and widen the interval downwards.
    pub learning_rates: Vec<(f64, f64)>,
    /// What the draws do not see.
    pub widening: CurveWidening,
}

/// What the draws of a curve do not see: that its form is wrong, the more so the faster the loss falls.
///
/// An end of the interval stands off by the root of the sum of squares of the draws' distance and
/// `factor * fall^2 * doublings ahead`, all as logarithms, where `fall` is that over the last doubling of steps. A language
/// model's loss that fell from 3.2 to 3.0 has a fall of 0.065: with a factor of 2.4, an exact fit's p90 one doubling ahead
/// is `exp(2.4 * 0.065^2)` = 1.010 times its p50. A loss that halved may do anything: with 0.69, it is 3.2 times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurveWidening {
    /// Below the median.
    pub low: f64,
    /// Above it.
    pub high: f64,
}

impl CurveWidening {
    /// The draws alone.
    pub const NONE: Self = Self {
        low: 0.0,
        high: 0.0,
    };
}

impl Default for CurveWidening {
    /// From 81 curves of 9 kinds of small networks (`benches/loss_curves`), each seen from a quarter, half and three
    /// quarters of its length, with schedules given, logged and unknown: the factors at which one final loss in twelve lies
    /// beyond either end. One in twelve, not in ten, as a kind left out is stranger than those seen: of kinds that the
    /// factors were not taken from, 78 to 85% of final losses then lie within p10 and p90.
    fn default() -> Self {
        Self {
            low: 9.4,
            high: 2.4,
        }
    }
}

/// Why a curve cannot be fitted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CurveError {
    /// Too few points to tell a floor from a slope.
    #[error("a loss curve needs {needed} steps with finite losses; {found} were logged")]
    TooFewPoints {
        /// Points that can be used.
        found: usize,
        /// Points that are needed.
        needed: usize,
    },
    /// A loss that is 0 or negative: a reward, an ELBO or a log-likelihood, for which relative changes mean nothing.
    #[error(
        "the loss at step {step} is {loss}, and a curve is fitted to losses above 0 (of a log-likelihood, log its negative)"
    )]
    NotPositive {
        /// Where.
        step: f64,
        /// What was logged.
        loss: f64,
    },
    /// The numbers rise or stand still: an accuracy, or a run that does not learn.
    #[error(
        "the loss does not fall ({early:.4} in the first third, {late:.4} in the last): it may be an accuracy, or the run does not learn"
    )]
    NotFalling {
        /// Median of the first third.
        early: f64,
        /// Median of the last.
        late: f64,
    },
}

/// When a loss is reached: steps, or `None` where it is not by the end of the run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reach {
    /// One run in ten is there by this step.
    pub p10: Option<f64>,
    /// Half of the runs are.
    pub p50: Option<f64>,
    /// Nine runs in ten are.
    pub p90: Option<f64>,
}

/// A loss curve fitted to a run so far.
///
/// ```
/// use outlay_plan::{CurvePlan, LossCurve};
/// // 2 + 8 / sqrt(step), to step 1,000 of 4,000, at a constant rate to the end.
/// let points: Vec<(f64, f64)> = (1..=1000)
///     .map(|step| (f64::from(step), 2.0 + 8.0 / f64::from(step).sqrt()))
///     .collect();
/// let plan = CurvePlan {
///     total_steps: Some(4000.0),
///     learning_rates: vec![(0.0, 1e-3), (4000.0, 1e-3)],
///     ..CurvePlan::default()
/// };
/// let curve = LossCurve::fit(&points, &plan, 1)?;
/// assert!((curve.at(4000.0).p50 - 2.126).abs() < 0.01);
/// // From 2.253 to 2.126 is 5.6% less.
/// assert!((curve.gain_between(1000.0, 4000.0).p50 - 0.056).abs() < 0.005);
/// # Ok::<(), outlay_plan::CurveError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LossCurve {
    variants: Vec<Variant>,
    schedule: Schedule,
    now: f64,
    total: Option<f64>,
    /// Logged points for each step, lately.
    points_per_step: f64,
    /// What the form's error goes by: the square of the logarithm of the fall over the last doubling of steps.
    fall_squared: f64,
    widening: CurveWidening,
    skipped: usize,
    replaced: usize,
    seed: u64,
}

#[derive(Clone, Debug)]
struct Variant {
    by_steps: bool,
    fitted: Fitted,
}

impl LossCurve {
    /// Fits a curve to points of (step, loss), in the order in which they were logged; the same for a seed.
    ///
    /// Points that are not finite are skipped. Where steps go back, as after a restart from a checkpoint, later points
    /// replace those from there on. Time grows in proportion to points; millions are thinned to 160 blocks first.
    ///
    /// # Errors
    ///
    /// Fewer than 12 usable points, a loss of 0 or below, or losses that do not fall.
    pub fn fit(points: &[(f64, f64)], plan: &CurvePlan, seed: u64) -> Result<Self, CurveError> {
        let cleaned = points::clean(points);
        let found = cleaned.points.len();
        if found < LEAST_POINTS {
            return Err(CurveError::TooFewPoints {
                found,
                needed: LEAST_POINTS,
            });
        }
        if let Some(&(step, loss)) = cleaned.points.iter().find(|point| point.1 <= 0.0) {
            return Err(CurveError::NotPositive { step, loss });
        }
        let first = cleaned.points[0].0;
        let now = cleaned.points[found - 1].0;
        let blocks = points::blocks(&cleaned.points, LEFT_OUT[0]);
        let third = blocks.len().div_ceil(3);
        let (early, late) = (
            points::level(&blocks[..third]),
            points::level(&blocks[blocks.len() - third..]),
        );
        if late >= early {
            return Err(CurveError::NotFalling { early, late });
        }
        let total = plan
            .total_steps
            .filter(|total| total.is_finite() && *total >= now);
        let schedule = Schedule::new(&plan.learning_rates, now, total);
        let axes: &[bool] = if schedule.is_flat() {
            &[true]
        } else {
            &[false, true]
        };
        let mut variants = Vec::new();
        for left_out in LEFT_OUT {
            let from = first + left_out * (now - first);
            let start = blocks.partition_point(|block| block.step < from);
            let kept = &blocks[start.min(blocks.len() - blocks.len().min(8))..];
            for &by_steps in axes {
                let area = |step: f64| if by_steps { step } else { schedule.area(step) };
                let drop = |step: f64| schedule.drop(step);
                let n_draws = DRAWS / (LEFT_OUT.len() * axes.len());
                let seed = seed ^ ((variants.len() as u64 + 1) << 56);
                let fitted = fitting::fit(kept, area, drop, n_draws, seed);
                variants.push(Variant { by_steps, fitted });
            }
        }
        let half = cleaned.points.partition_point(|point| point.0 < 0.5 * now);
        let half = half.min(found - 2);
        Ok(Self {
            variants,
            schedule,
            now,
            total,
            points_per_step: (found - half) as f64 / (now - cleaned.points[half].0),
            fall_squared: points::fall(&blocks).powi(2),
            widening: plan.widening,
            skipped: cleaned.skipped,
            replaced: cleaned.replaced,
            seed,
        })
    }

    /// The same curve with other ends: `CurveWidening::NONE` shows what the draws alone say.
    #[must_use]
    pub fn widened_by(mut self, widening: CurveWidening) -> Self {
        self.widening = widening;
        self
    }

    /// The last step that was logged.
    pub fn now(&self) -> f64 {
        self.now
    }

    /// Points that were not finite, and points that later ones replaced after a restart.
    pub fn left_out(&self) -> (usize, usize) {
        (self.skipped, self.replaced)
    }

    /// Whether the learning rate is known to the end: given, or following a known shape. Else it may decay yet.
    pub fn knows_schedule(&self) -> bool {
        self.schedule.future == Future::Known
    }

    /// The smooth loss at a step, noise of single steps left out.
    pub fn at(&self, step: f64) -> Estimate {
        let mut logs: Vec<f64> = self.drawn(step).iter().map(|loss| loss.ln()).collect();
        let reach = self.fall_squared * self.doublings(step);
        let (low, centre, high) = self.ends(&mut logs, reach);
        Estimate {
            p10: low.exp(),
            p50: centre.exp(),
            p90: high.exp(),
        }
    }

    /// The mean of the losses that will be logged over the last 2% of the run's steps (`FINAL_SHARE`), their noise included;
    /// `None` where the run's length is not known.
    pub fn final_loss(&self) -> Option<Estimate> {
        let total = self.total?;
        let middle = (total * (1.0 - 0.5 * FINAL_SHARE)).max(self.now);
        let n = (FINAL_SHARE * total * self.points_per_step).max(1.0);
        let mut logs: Vec<f64> = self
            .drawn(middle)
            .iter()
            .enumerate()
            .map(|(draw, loss)| {
                let noise = self.variants[0].fitted.point_noise / n.sqrt();
                loss.ln() + noise * normal(self.chance(draw, 3), self.chance(draw, 4))
            })
            .collect();
        let reach = self.fall_squared * self.doublings(middle);
        let (low, centre, high) = self.ends(&mut logs, reach);
        Some(Estimate {
            p10: low.exp(),
            p50: centre.exp(),
            p90: high.exp(),
        })
    }

    /// The share by which the smooth loss falls from one step to another: 0.05 from 2.0 to 1.9.
    pub fn gain_between(&self, from: f64, to: f64) -> Estimate {
        let mut logs: Vec<f64> = self
            .drawn(from)
            .iter()
            .zip(self.drawn(to))
            .map(|(before, after)| (after / before).ln())
            .collect();
        let reach = self.fall_squared * (self.doublings(to) - self.doublings(from)).abs();
        let (low, centre, high) = self.ends(&mut logs, reach);
        // A loss that falls further is a larger gain: the ends change places.
        Estimate {
            p10: -high.exp_m1(),
            p50: -centre.exp_m1(),
            p90: -low.exp_m1(),
        }
    }

    /// When the smooth loss first is at or below a value, by the end of the run (or a hundred times as far as it is now).
    pub fn steps_to_reach(&self, loss: f64) -> Reach {
        const STEPS: i32 = 96;
        let end = self.total.unwrap_or(HORIZON * self.now);
        let ratio = (end / self.now).max(1.0);
        let mut reach = Reach {
            p10: None,
            p50: None,
            p90: None,
        };
        for place in 0..=STEPS {
            let step = self.now * ratio.powf(f64::from(place) / f64::from(STEPS));
            let at = self.at(step);
            // The lowest tenth of losses is what the fastest tenth of runs has.
            for (found, value) in [
                (&mut reach.p10, at.p10),
                (&mut reach.p50, at.p50),
                (&mut reach.p90, at.p90),
            ] {
                if found.is_none() && value <= loss {
                    *found = Some(step);
                }
            }
        }
        reach
    }

    /// Every draw's loss at a step.
    fn drawn(&self, step: f64) -> Vec<f64> {
        let (area, drop) = (self.schedule.area(step), self.schedule.drop(step));
        let end = self.total.unwrap_or(2.0 * self.now).max(1.001 * self.now);
        let ramp = ((step - self.now) / (end - self.now)).clamp(0.0, 1.0);
        let mut draws = Vec::with_capacity(DRAWS);
        for variant in &self.variants {
            let fitted = &variant.fitted;
            for form in &fitted.draws {
                let draw = draws.len();
                // An open future: the rate may go to anything between what it is and none, evenly until the end.
                let given_up = if self.schedule.future == Future::Open
                    && self.chance(draw, 0) < DECAY_CHANCE
                {
                    self.chance(draw, 1) * ramp
                } else {
                    0.0
                };
                // What the last blocks lie off the curve stays so, to an unknown share.
                let carried = (self.chance(draw, 2) * fitted.offset).exp();
                let place = if variant.by_steps { step } else { area };
                let dropped = drop + given_up * (1.0 - drop);
                draws.push(form.at(place, fitted.area_now, dropped) * carried);
            }
        }
        draws
    }

    fn chance(&self, draw: usize, place: u64) -> f64 {
        scattered(self.seed ^ (1 << 50) ^ ((draw as u64) << 8) ^ place)
    }

    /// How many doublings of steps lie ahead.
    fn doublings(&self, step: f64) -> f64 {
        (step / self.now).max(1.0).log2()
    }

    /// p10, p50 and p90 of logarithms, the ends widened.
    fn ends(&self, logs: &mut [f64], reach: f64) -> (f64, f64, f64) {
        logs.sort_by(f64::total_cmp);
        let last = logs.len() - 1;
        let at = |share: f64| logs[(share * last as f64).round() as usize];
        let centre = at(0.5);
        let away = |factor: f64| (factor * reach).min(FARTHEST);
        (
            centre - (centre - at(0.1)).hypot(away(self.widening.low)),
            centre,
            centre + (at(0.9) - centre).hypot(away(self.widening.high)),
        )
    }
}
