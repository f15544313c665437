//! What a learning rate has done to a curve, and will do.

use std::f64::consts::PI;

/// Points that a schedule is thinned to.
const NODES: usize = 256;
/// Steps at the peak rate in which a loss begins to settle after a decay, and how it settles: `1 - (1 + x)^-beta` of area
/// `x` times the rate to the power -gamma (arXiv:2503.12811, equation 3; their fits give 9 to 12 steps, beta 0.58 to 0.60 and
/// gamma 0.63 to 0.66 for models of 25M, 100M and 400M parameters).
const SETTLE_STEPS: f64 = 10.0;
const SETTLE_BETA: f64 = 0.6;
const SETTLE_GAMMA: f64 = 0.64;
/// Largest root mean square distance, in shares of the peak, at which a known shape is taken for the schedule.
const SHAPE_TOLERANCE: f64 = 0.01;

/// What is known of the rate after the last point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Future {
    /// The schedule was given to the end, or a shape that decays fits the rates so far.
    Known,
    /// No rates were given, or they stand still so far and may decay yet.
    Open,
}

/// A learning rate over steps, as shares of its peak.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    /// Step, share of the peak, area up to it (steps at the peak rate).
    nodes: Vec<(f64, f64, f64)>,
    pub(super) future: Future,
}

impl Schedule {
    /// From rates by step, perhaps beyond `now`; none at all count as constant, with an open future.
    pub(super) fn new(rates: &[(f64, f64)], now: f64, total: Option<f64>) -> Self {
        let mut shares: Vec<(f64, f64)> = Vec::new();
        for &(step, rate) in rates {
            if !(step.is_finite() && rate.is_finite() && rate >= 0.0 && step >= 0.0) {
                continue;
            }
            while shares.last().is_some_and(|last| last.0 >= step) {
                shares.pop();
            }
            shares.push((step, rate));
        }
        let peak = shares.iter().map(|share| share.1).fold(0.0, f64::max);
        if shares.len() < 2 || peak <= 0.0 {
            return Self {
                nodes: vec![(0.0, 1.0, 0.0)],
                future: Future::Open,
            };
        }
        for share in &mut shares {
            share.1 /= peak;
        }
        let stride = shares.len().div_ceil(NODES);
        let last = shares[shares.len() - 1];
        let mut thin: Vec<(f64, f64)> = shares.iter().copied().step_by(stride).collect();
        if thin.last() != Some(&last) {
            thin.push(last);
        }
        let mut future = Future::Open;
        if let Some(total) = total {
            if last.0 >= 0.98 * total {
                future = Future::Known;
            } else if let Some(shape) = shape_of(&thin, total) {
                let n = NODES / 2;
                thin.extend((1..=n).map(|i| {
                    let step = last.0 + (total - last.0) * i as f64 / n as f64;
                    (step, shape(step))
                }));
                future = Future::Known;
            }
        } else if last.0 >= 1.5 * now {
            future = Future::Known;
        }
        let mut area = thin[0].0 * thin[0].1;
        let mut before = thin[0];
        let nodes = thin
            .iter()
            .map(|&(step, share)| {
                area += 0.5 * (share + before.1) * (step - before.0);
                before = (step, share);
                (step, share, area)
            })
            .collect();
        Self { nodes, future }
    }

    /// Whether the rate never changes, so that its area is steps.
    pub(super) fn is_flat(&self) -> bool {
        self.nodes.iter().all(|node| node.1 > 0.999)
    }

    /// Steps at the peak rate that a step stands for: S1 of arXiv:2408.11029, equation 1, over the peak.
    pub(super) fn area(&self, step: f64) -> f64 {
        let at = self.nodes.partition_point(|node| node.0 <= step);
        let (from, share, area) = self.nodes[at.saturating_sub(1)];
        if at == 0 {
            return step * share;
        }
        let next = self.nodes.get(at).map_or(share, |node| {
            share + (node.1 - share) * (step - from) / (node.0 - from)
        });
        area + 0.5 * (share + next) * (step - from)
    }

    /// How much of the peak rate was given up and has settled by a step, 0 to 1: the loss falls in proportion to it.
    ///
    /// `sum of decays_k * (1 - (1 + x_k)^-beta)`, `x_k` = area since the decay over `SETTLE_STEPS` and rate to the gamma.
    pub(super) fn drop(&self, step: f64) -> f64 {
        let here = self.area(step);
        let mut sum = 0.0;
        for pair in self.nodes.windows(2) {
            let ((from, before, _), (to, after, area)) = (pair[0], pair[1]);
            if from >= step {
                break;
            }
            let mut decay = before - after;
            if decay <= 0.0 {
                continue;
            }
            if to > step {
                decay *= (step - from) / (to - from);
            }
            let x = (here - area).max(0.0) / (SETTLE_STEPS * after.max(1e-6).powf(SETTLE_GAMMA));
            sum += decay * (1.0 - (1.0 + x).powf(-SETTLE_BETA));
        }
        sum
    }
}

/// A shape that fits a decay so far and ends at `total`: cosine or linear to some share, or one over the root of steps.
fn shape_of(thin: &[(f64, f64)], total: f64) -> Option<impl Fn(f64) -> f64 + use<>> {
    let peak_at = thin.iter().rposition(|node| node.1 > 0.999)?;
    let (peak, last) = (thin[peak_at].0, thin[thin.len() - 1]);
    if last.1 > 0.98 || thin.len() - peak_at < 4 || total <= last.0 {
        return None;
    }
    let done = move |step: f64, from: f64| ((step - from) / (total - from)).clamp(0.0, 1.0);
    let shape = move |kind: usize, end: f64, from: f64, step: f64| match kind {
        0 => end + (1.0 - end) * 0.5 * (1.0 + (PI * done(step, from)).cos()),
        1 => 1.0 - (1.0 - end) * done(step, from),
        _ => (from.max(1.0) / step.max(1.0)).sqrt().min(1.0),
    };
    let mut best: Option<(f64, usize, f64, f64)> = None;
    for from in [0.0, peak] {
        for kind in 0..3 {
            // The end is linear in the shape: least squares.
            let (mut up, mut down) = (0.0, 0.0);
            for node in &thin[peak_at..] {
                let full = 1.0 - shape(kind, 0.0, from, node.0);
                up += full * (1.0 - node.1);
                down += full * full;
            }
            let end = if kind < 2 && down > 0.0 {
                (1.0 - up / down).clamp(0.0, 1.0)
            } else {
                0.0
            };
            let squares: f64 = thin[peak_at..]
                .iter()
                .map(|node| (shape(kind, end, from, node.0) - node.1).powi(2))
                .sum();
            let distance = (squares / (thin.len() - peak_at) as f64).sqrt();
            if best.is_none_or(|best| distance < best.0) {
                best = Some((distance, kind, end, from));
            }
        }
    }
    let (distance, kind, end, from) = best?;
    // A small decay is told from others only by a close fit.
    (distance < SHAPE_TOLERANCE * (1.0 - last.1).clamp(0.1, 1.0))
        .then_some(move |step| shape(kind, end, from, step))
}
