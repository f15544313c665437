//! Fits the constants to measurements: penalised, robust least squares on logarithms of ratios.
//!
//! Minimises `sum w_i * rho(ln(predicted / measured)) + sum ((theta - prior) / freedom)^2 / 2` by Gauss-Newton with
//! reweighting. The penalty keeps a factor near 1 where few rows speak for it. Rows of one source share
//! a weight that grows with the square root of their number, so that a large table does not outvote the rest.

use std::collections::{BTreeMap, BTreeSet};

use outlay_units::Spread;
use rayon::prelude::*;

use crate::constants::{Calibration, Constant, DESCRIPTIONS, Resolved};
use crate::measured::{Case, Metric};

/// Width of the central part of the loss, in log units: beyond it a row's pull is constant (Huber).
const HUBER: f64 = 0.08;
/// Freedom of a factor for one generation or framework (standard deviation of its logarithm).
const FACTOR_FREEDOM: f64 = 0.25;

/// One number that the fit moves: the logarithm of a base value or a factor.
#[derive(Clone, Debug)]
struct Parameter {
    key: String,
    constant: Constant,
    scope: Option<String>,
    prior: f64,
    freedom: f64,
}

fn parameters(cases: &[&Case]) -> Vec<Parameter> {
    let generations: BTreeSet<&str> = cases.iter().map(|case| case.accelerator.generation.as_str()).collect();
    let frameworks: BTreeSet<&str> = cases.iter().map(|case| case.workload.framework.name()).collect();
    let mut out = Vec::new();
    for description in DESCRIPTIONS {
        out.push(Parameter {
            key: description.name.to_owned(),
            constant: description.constant,
            scope: None,
            prior: description.prior.ln(),
            freedom: description.freedom,
        });
        let scopes = generations
            .iter()
            .filter(|_| description.by_generation)
            .chain(frameworks.iter().filter(|_| description.by_framework));
        for scope in scopes {
            out.push(Parameter {
                key: format!("{}@{scope}", description.name),
                constant: description.constant,
                scope: Some((*scope).to_owned()),
                prior: 0.0,
                freedom: FACTOR_FREEDOM.min(description.freedom),
            });
        }
    }
    out
}

fn calibration_of(parameters: &[Parameter], theta: &[f64]) -> Calibration {
    Calibration {
        constants: parameters.iter().zip(theta).map(|(parameter, value)| (parameter.key.clone(), value.exp())).collect(),
        ..Calibration::default()
    }
}

fn applies(parameter: &Parameter, case: &Case) -> bool {
    parameter
        .scope
        .as_deref()
        .is_none_or(|scope| scope == case.accelerator.generation || scope == case.workload.framework.name())
}

/// Whether a constant can change this case at all (memory constants: memory rows; goodput: whole runs).
fn concerns(constant: Constant, case: &Case) -> bool {
    let memory = matches!(constant, Constant::ReservedGib | Constant::Saved | Constant::Waste);
    match case.metric {
        Metric::Memory(_) => memory,
        Metric::Hours => !memory,
        _ => !memory && constant != Constant::Goodput,
    }
}

/// Fits all constants to the cases.
pub fn fit(cases: &[&Case], rounds: usize, start: Option<&Calibration>) -> Calibration {
    let parameters = parameters(cases);
    let mut theta: Vec<f64> = parameters
        .iter()
        .map(|parameter| {
            start.and_then(|start| start.constants.get(&parameter.key)).map_or(parameter.prior, |value| value.ln())
        })
        .collect();
    let mut counts: BTreeMap<(&str, bool), f64> = BTreeMap::new();
    let memory = |case: &Case| matches!(case.metric, Metric::Memory(_));
    for case in cases {
        *counts.entry((case.source.as_str(), memory(case))).or_default() += 1.0;
    }
    let weights: Vec<f64> = cases
        .iter()
        .map(|case| {
            let n = counts[&(case.source.as_str(), memory(case))];
            // A guessed layout or a whole run speaks less about the constants.
            let trust = if case.kind == "layout-assumed" || case.kind == "run" { 0.1 } else { 1.0 };
            trust * 3.0 / n.sqrt().max(1.0)
        })
        .collect();
    let n = parameters.len();
    let objective = |theta: &[f64]| -> f64 {
        let calibration = calibration_of(&parameters, theta);
        let data: f64 = cases
            .par_iter()
            .zip(&weights)
            .map(|(case, weight)| weight * huber(residual(case, &calibration)))
            .sum();
        data + penalty(&parameters, theta)
    };
    let mut best = objective(&theta);
    let mut damping = 1e-3;
    for _ in 0..rounds {
        let calibration = calibration_of(&parameters, &theta);
        const STEP: f64 = 1e-3;
        let nudged: Vec<Calibration> = (0..n)
            .map(|index| {
                let mut moved = calibration.clone();
                moved.constants.insert(parameters[index].key.clone(), (theta[index] + STEP).exp());
                moved
            })
            .collect();
        let rows: Vec<(f64, Vec<(usize, f64)>)> = cases
            .par_iter()
            .map(|case| {
                let at = residual(case, &calibration);
                let gradient = (0..n)
                    .filter(|&index| applies(&parameters[index], case) && concerns(parameters[index].constant, case))
                    .map(|index| (index, (residual(case, &nudged[index]) - at) / STEP))
                    .filter(|(_, slope)| *slope != 0.0)
                    .collect();
                (at, gradient)
            })
            .collect();
        let mut normal = vec![0.0; n * n];
        let mut right = vec![0.0; n];
        for ((at, gradient), weight) in rows.iter().zip(&weights) {
            let pull = weight / HUBER.max(at.abs()) / HUBER;
            for &(i, slope_i) in gradient {
                right[i] -= pull * at * slope_i;
                for &(j, slope_j) in gradient {
                    normal[i * n + j] += pull * slope_i * slope_j;
                }
            }
        }
        for (index, parameter) in parameters.iter().enumerate() {
            let stiffness = 1.0 / (parameter.freedom * parameter.freedom);
            normal[index * n + index] += stiffness;
            right[index] -= stiffness * (theta[index] - parameter.prior);
        }
        let mut improved = false;
        for _ in 0..6 {
            let mut damped = normal.clone();
            for index in 0..n {
                damped[index * n + index] *= 1.0 + damping;
            }
            let Some(change) = solve(damped, right.clone(), n) else { break };
            let trial: Vec<f64> = theta.iter().zip(&change).map(|(value, delta)| value + delta.clamp(-0.7, 0.7)).collect();
            let value = objective(&trial);
            if value < best {
                improved = best - value > 1e-4 * best;
                best = value;
                theta = trial;
                damping = (damping * 0.3).max(1e-6);
                break;
            }
            damping *= 6.0;
        }
        if !improved {
            break;
        }
    }
    // Values outside the allowed range have no effect beyond it; they are written as they act.
    let mut calibration = calibration_of(&parameters, &theta);
    for description in DESCRIPTIONS {
        if let Some(value) = calibration.constants.get_mut(description.name) {
            *value = value.clamp(description.least, description.most);
        }
    }
    calibration.constants.retain(|key, value| !key.contains('@') || (*value - 1.0).abs() > 5e-4);
    for value in calibration.constants.values_mut() {
        *value = (*value * 1e5).round() / 1e5;
    }
    calibration
}

fn penalty(parameters: &[Parameter], theta: &[f64]) -> f64 {
    parameters
        .iter()
        .zip(theta)
        .map(|(parameter, value)| 0.5 * ((value - parameter.prior) / parameter.freedom).powi(2))
        .sum()
}

/// Huber's loss scaled to unit curvature at `HUBER`.
fn huber(residual: f64) -> f64 {
    let size = residual.abs() / HUBER;
    if size <= 1.0 { 0.5 * size * size } else { size - 0.5 }
}

/// `ln(predicted / measured)`; rows that cannot be predicted count as right, so that they do not steer.
fn residual(case: &Case, calibration: &Calibration) -> f64 {
    case.predict(calibration).map_or(0.0, |predicted| (predicted / case.measured).ln())
}

/// Solves a symmetric positive definite system by Cholesky; `None` where it is not definite.
fn solve(mut matrix: Vec<f64>, mut right: Vec<f64>, n: usize) -> Option<Vec<f64>> {
    for j in 0..n {
        for k in 0..j {
            let factor = matrix[j * n + k];
            for i in j..n {
                matrix[i * n + j] -= matrix[i * n + k] * factor;
            }
        }
        let diagonal = matrix[j * n + j];
        if !(diagonal > 0.0) {
            return None;
        }
        let root = diagonal.sqrt();
        for i in j..n {
            matrix[i * n + j] /= root;
        }
    }
    for i in 0..n {
        for k in 0..i {
            right[i] -= matrix[i * n + k] * right[k];
        }
        right[i] /= matrix[i * n + i];
    }
    for i in (0..n).rev() {
        for k in i + 1..n {
            right[i] -= matrix[k * n + i] * right[k];
        }
        right[i] /= matrix[i * n + i];
    }
    Some(right)
}

/// Predicts every case with constants fitted on the other sources.
///
/// Returns the predictions in the order of the cases, and the fold fits' keys of the sources left out.
pub fn cross_validate(cases: &[&Case], full: &Calibration, key: impl Fn(&Case) -> String + Sync) -> Vec<Option<f64>> {
    let keys: BTreeSet<String> = cases.iter().map(|case| key(case)).collect();
    let mut out = vec![None; cases.len()];
    for left_out in keys {
        let train: Vec<&Case> = cases.iter().copied().filter(|case| key(case) != left_out).collect();
        let calibration = fit(&train, 8, Some(&without_evidence(full, &train)));
        for (slot, case) in out.iter_mut().zip(cases) {
            if key(case) == left_out {
                *slot = case.predict(&calibration);
            }
        }
    }
    out
}

/// A start for a fold: the full fit's base values, and only factors whose scope still has rows.
fn without_evidence(full: &Calibration, train: &[&Case]) -> Calibration {
    let mut start = full.clone();
    start.constants.retain(|key, _| {
        key.split_once('@').is_none_or(|(_, scope)| {
            train.iter().any(|case| case.accelerator.generation == scope || case.workload.framework.name() == scope)
        })
    });
    start
}

/// Spread of measured over predicted by kind, shrunk towards the spread of all rows of the same sort of metric.
pub fn spreads(cases: &[&Case], predicted: &[Option<f64>]) -> BTreeMap<String, Spread> {
    // Times and memory as measured / predicted; rates are turned over first, so that all read as times.
    let mut by_kind: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut all_times = Vec::new();
    for (case, predicted) in cases.iter().zip(predicted) {
        let Some(predicted) = predicted else { continue };
        let mut ratio = (case.measured / predicted).ln();
        if case.is_rate() {
            ratio = -ratio;
        }
        if !matches!(case.metric, Metric::Memory(_)) {
            all_times.push(ratio);
        }
        by_kind.entry(case.kind.clone()).or_default().push(ratio);
    }
    let overall = quantiles(&mut all_times);
    let mut out: BTreeMap<String, Spread> = by_kind
        .into_iter()
        .map(|(kind, mut ratios)| {
            let n = ratios.len() as f64;
            let own = quantiles(&mut ratios);
            let anchor = if kind == "memory" { own } else { overall };
            let mix = |own: f64, anchor: f64| (n * own + 10.0 * anchor) / (n + 10.0);
            (kind, Spread { low: mix(own.0, anchor.0).min(-0.01).exp(), high: mix(own.1, anchor.1).max(0.01).exp() })
        })
        .collect();
    out.insert("other".to_owned(), Spread { low: overall.0.min(-0.01).exp(), high: overall.1.max(0.01).exp() });
    for spread in out.values_mut() {
        spread.low = (spread.low * 1e4).round() / 1e4;
        spread.high = (spread.high * 1e4).round() / 1e4;
    }
    out
}

/// 10th and 90th percentiles.
fn quantiles(values: &mut [f64]) -> (f64, f64) {
    if values.is_empty() {
        return (-0.2, 0.2);
    }
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let position = share * (values.len() - 1) as f64;
        let low = position.floor() as usize;
        let high = position.ceil() as usize;
        values[low] + (values[high] - values[low]) * (position - low as f64)
    };
    (at(0.1), at(0.9))
}

impl Case {
    /// Whether a larger value of the metric means a shorter time.
    pub fn is_rate(&self) -> bool {
        matches!(self.metric, Metric::TokensPerSecond | Metric::Tflops | Metric::Mfu)
    }

    /// The resolved constants for this case.
    pub fn constants(&self, calibration: &Calibration) -> Resolved {
        calibration.resolve(&self.accelerator.generation, self.workload.framework)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_a_small_system() {
        let x = solve(vec![4.0, 2.0, 2.0, 3.0], vec![2.0, 1.0], 2).unwrap();
        assert!((x[0] - 0.5).abs() < 1e-12 && x[1].abs() < 1e-12, "{x:?}");
        assert!(solve(vec![1.0, 2.0, 2.0, 1.0], vec![1.0, 1.0], 2).is_none());
    }

    #[test]
    fn quantiles_interpolate() {
        let mut values: Vec<f64> = (0..=10).map(f64::from).collect();
        assert_eq!(quantiles(&mut values), (1.0, 9.0));
    }
}
