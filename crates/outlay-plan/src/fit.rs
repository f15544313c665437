//! Fits the constants to measurements: penalised, robust least squares on logarithms of ratios.
//!
//! Minimises `sum w_i * rho(ln(predicted / measured)) + sum ((theta - prior) / freedom)^2 / 2` by Gauss-Newton with
//! reweighting. The penalty keeps a constant near its prior where few rows speak for it; the prior is physical, or
//! an earlier calibration that new rows refine. Rows of one source share a weight that grows with the square root
//! of their number, so that a large table does not outvote the rest.

use std::collections::{BTreeMap, BTreeSet};

use outlay_units::Spread;
use rayon::prelude::*;

use crate::constants::{Calibration, Constant, DESCRIPTIONS, N_CONSTANTS, Resolved, prior_factor};
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

fn parameters(cases: &[&Case], start: Option<&Calibration>) -> Vec<Parameter> {
    let centre = |key: &str, prior: f64| {
        start
            .and_then(|start| start.constants.get(key).copied())
            .unwrap_or(prior)
            .ln()
    };
    let generations: BTreeSet<&str> = cases
        .iter()
        .map(|case| case.accelerator.generation.as_str())
        .collect();
    let frameworks: BTreeSet<&str> = cases
        .iter()
        .map(|case| case.workload.framework.name())
        .collect();
    let mut out = Vec::new();
    for description in DESCRIPTIONS {
        out.push(Parameter {
            key: description.name.to_owned(),
            constant: description.constant,
            scope: None,
            prior: centre(description.name, description.prior),
            freedom: description.freedom,
        });
        let scopes = generations
            .iter()
            .filter(|_| description.by_generation)
            .chain(frameworks.iter().filter(|_| description.by_framework));
        for scope in scopes {
            let key = format!("{}@{scope}", description.name);
            out.push(Parameter {
                prior: centre(&key, prior_factor(description.constant, scope)),
                key,
                constant: description.constant,
                scope: Some((*scope).to_owned()),
                freedom: FACTOR_FREEDOM
                    .max(0.6 * description.freedom)
                    .min(description.freedom),
            });
        }
    }
    out
}

fn calibration_of(parameters: &[Parameter], theta: &[f64]) -> Calibration {
    Calibration {
        constants: parameters
            .iter()
            .zip(theta)
            .map(|(parameter, value)| (parameter.key.clone(), value.exp()))
            .collect(),
        ..Calibration::default()
    }
}

/// Whether a constant can change this case at all (memory constants: memory rows; goodput: whole runs).
fn concerns(constant: Constant, case: &Case) -> bool {
    let memory = matches!(
        constant,
        Constant::ReservedGib | Constant::Saved | Constant::Waste | Constant::LogitBytes
    );
    match case.metric {
        Metric::Memory(_) => memory,
        Metric::Hours => !memory,
        _ => !memory && constant != Constant::Goodput,
    }
}

/// Which parameters make up each constant for each case: base, generation factor, framework factor.
struct Wiring {
    of_case: Vec<usize>,
    pairs: Vec<[[Option<usize>; 3]; N_CONSTANTS]>,
}

impl Wiring {
    fn new(parameters: &[Parameter], cases: &[&Case]) -> Self {
        let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut pairs = Vec::new();
        let of_case = cases
            .iter()
            .map(|case| {
                let key = (
                    case.accelerator.generation.as_str(),
                    case.workload.framework.name(),
                );
                *seen.entry(key).or_insert_with(|| {
                    let mut wires = [[None; 3]; N_CONSTANTS];
                    for (index, parameter) in parameters.iter().enumerate() {
                        let slot = match parameter.scope.as_deref() {
                            None => 0,
                            Some(scope) if scope == key.0 => 1,
                            Some(scope) if scope == key.1 => 2,
                            Some(_) => continue,
                        };
                        wires[parameter.constant as usize][slot] = Some(index);
                    }
                    pairs.push(wires);
                    pairs.len() - 1
                })
            })
            .collect();
        Self { of_case, pairs }
    }

    /// Constants of a case for given parameters.
    fn resolve(&self, case: usize, theta: &[f64]) -> Resolved {
        let mut values = [0.0; N_CONSTANTS];
        for ((value, wires), description) in values
            .iter_mut()
            .zip(&self.pairs[self.of_case[case]])
            .zip(DESCRIPTIONS)
        {
            let sum: f64 = wires.iter().flatten().map(|&index| theta[index]).sum();
            *value = sum.exp().clamp(description.least, description.most);
        }
        Resolved::from_values(values)
    }

    /// Parameters that can change a case.
    fn parameters_of(&self, index: usize, case: &Case) -> Vec<usize> {
        self.pairs[self.of_case[index]]
            .iter()
            .zip(DESCRIPTIONS)
            .filter(|(_, description)| concerns(description.constant, case))
            .flat_map(|(wires, _)| wires.iter().flatten().copied())
            .collect()
    }
}

/// Fits all constants to the cases, from the physical priors or from an earlier calibration.
///
/// With `start`, its constants take the place of the priors: what the cases do not speak of stays as it was.
pub fn fit(cases: &[&Case], rounds: usize, start: Option<&Calibration>) -> Calibration {
    const STEP: f64 = 1e-3;
    let parameters = parameters(cases, start);
    let wiring = Wiring::new(&parameters, cases);
    let mut theta: Vec<f64> = parameters.iter().map(|parameter| parameter.prior).collect();
    let weights = weights(cases);
    let n = parameters.len();
    let residual = |index: usize, theta: &[f64]| -> f64 {
        let case = cases[index];
        // A row that cannot be predicted counts as right, so that it does not steer.
        case.predict_with(wiring.resolve(index, theta))
            .map_or(0.0, |predicted| (predicted / case.measured).ln())
    };
    let objective = |theta: &[f64]| -> f64 {
        let data: f64 = (0..cases.len())
            .map(|index| weights[index] * huber(residual(index, theta)))
            .sum();
        data + penalty(&parameters, theta)
    };
    let mut best = objective(&theta);
    let mut damping = 1e-3;
    let mut small_gains = 0;
    for _ in 0..rounds {
        let mut normal = vec![0.0; n * n];
        let mut right = vec![0.0; n];
        let mut moved = theta.clone();
        for (index, case) in cases.iter().enumerate() {
            let at = residual(index, &theta);
            let gradient: Vec<(usize, f64)> = wiring
                .parameters_of(index, case)
                .into_iter()
                .map(|parameter| {
                    moved[parameter] = theta[parameter] + STEP;
                    let slope = (residual(index, &moved) - at) / STEP;
                    moved[parameter] = theta[parameter];
                    (parameter, slope)
                })
                .filter(|(_, slope)| *slope != 0.0)
                .collect();
            let pull = weights[index] / HUBER.max(at.abs()) / HUBER;
            for &(i, slope_i) in &gradient {
                right[i] -= pull * at * slope_i;
                for &(j, slope_j) in &gradient {
                    normal[i * n + j] += pull * slope_i * slope_j;
                }
            }
        }
        for (index, parameter) in parameters.iter().enumerate() {
            let stiffness = 1.0 / (parameter.freedom * parameter.freedom);
            normal[index * n + index] += stiffness;
            right[index] -= stiffness * (theta[index] - parameter.prior);
        }
        let mut gained = 0.0;
        for _ in 0..8 {
            let mut damped = normal.clone();
            for index in 0..n {
                damped[index * n + index] *= 1.0 + damping;
            }
            let Some(change) = solve(damped, right.clone(), n) else {
                break;
            };
            let trial: Vec<f64> = theta
                .iter()
                .zip(&change)
                .map(|(value, delta)| value + delta.clamp(-0.7, 0.7))
                .collect();
            let value = objective(&trial);
            if value < best {
                gained = (best - value) / best;
                best = value;
                theta = trial;
                damping = (damping * 0.3).max(1e-6);
                break;
            }
            damping *= 6.0;
        }
        small_gains = if gained < 1e-3 { small_gains + 1 } else { 0 };
        if gained == 0.0 || small_gains >= 3 {
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
    // A factor that no row moved says nothing.
    for (parameter, value) in parameters.iter().zip(&theta) {
        if parameter.scope.is_some() && (value - parameter.prior).abs() < 5e-4 {
            calibration.constants.remove(&parameter.key);
        }
    }
    for (key, value) in start.iter().flat_map(|start| &start.constants) {
        calibration.constants.entry(key.clone()).or_insert(*value);
    }
    for value in calibration.constants.values_mut() {
        *value = (*value * 1e5).round() / 1e5;
    }
    calibration
}

/// Weights of the rows: see the module's text.
fn weights(cases: &[&Case]) -> Vec<f64> {
    let memory = |case: &Case| matches!(case.metric, Metric::Memory(_));
    let mut counts: BTreeMap<(&str, bool), f64> = BTreeMap::new();
    for case in cases {
        *counts
            .entry((case.source.as_str(), memory(case)))
            .or_default() += 1.0;
    }
    cases
        .iter()
        .map(|case| {
            let n = counts[&(case.source.as_str(), memory(case))];
            // A guessed layout or a whole run speaks less about the constants.
            let trust = match case.kind.as_str() {
                "run" => 0.1,
                // The usual layout on TPUs is fully sharded, so the guess there is a good one.
                "layout-assumed" if case.workload.framework == crate::workload::Framework::Jax => {
                    0.6
                }
                "layout-assumed" => 0.1,
                _ => 1.0,
            };
            trust * 3.0 / n.sqrt().max(1.0)
        })
        .collect()
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
    if size <= 1.0 {
        0.5 * size * size
    } else {
        size - 0.5
    }
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
        if diagonal.is_nan() || diagonal <= 0.0 {
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

/// Predicts every case with constants fitted on the cases of other folds, from the priors or from `start`.
///
/// `folds` has one key for each case. Nothing of the full fit enters a fold. Folds run side by side.
pub fn cross_validate(
    cases: &[&Case],
    folds: &[String],
    rounds: usize,
    start: Option<&Calibration>,
) -> Vec<Option<f64>> {
    let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, fold) in folds.iter().enumerate() {
        members.entry(fold).or_default().push(index);
    }
    let predicted: Vec<(usize, Option<f64>)> = members
        .par_iter()
        .flat_map_iter(|(left_out, indices)| {
            let train: Vec<&Case> = cases
                .iter()
                .zip(folds)
                .filter(|(_, fold)| fold != left_out)
                .map(|(case, _)| *case)
                .collect();
            let calibration = fit(&train, rounds, start);
            indices
                .iter()
                .map(move |&index| (index, cases[index].predict(&calibration)))
                .collect::<Vec<_>>()
        })
        .collect();
    let mut out = vec![None; cases.len()];
    for (index, value) in predicted {
        out[index] = value;
    }
    out
}

/// Ten folds of rows, whatever their source: what is left out has kin among what is fitted.
pub fn row_folds(cases: &[&Case]) -> Vec<String> {
    (0..cases.len())
        .map(|index| (index % 10).to_string())
        .collect()
}

/// Whether other rows of the same source give the same run with a value more than a quarter away.
///
/// Then the columns do not determine what was run (another kernel, another number format), and neither the fit
/// nor the figures can count such a row. The rule looks at the rows alone, never at a prediction.
pub fn contradicted(cases: &[&Case]) -> Vec<bool> {
    let key = |case: &Case| {
        let run = (
            &case.workload.model.name,
            case.workload.model.sample,
            case.workload.sequence_tokens,
            case.workload.global_batch_sequences,
            case.workload.precision,
            case.workload.method,
            case.layout,
            case.metric,
            case.accelerator.id.as_str(),
        );
        format!("{} {run:?}", case.source)
    };
    let mut ranges: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for case in cases {
        let range = ranges
            .entry(key(case))
            .or_insert((case.measured, case.measured));
        *range = (range.0.min(case.measured), range.1.max(case.measured));
    }
    cases
        .iter()
        .map(|case| {
            let (least, most) = ranges[&key(case)];
            most > 1.25 * least
        })
        .collect()
}

/// Spread of measured over predicted by kind, shrunk towards the spread of all rows of the same sort of metric.
///
/// A source's rows share a weight that grows with the square root of their number, as in the fit.
pub fn spreads(cases: &[&Case], predicted: &[Option<f64>]) -> BTreeMap<String, Spread> {
    let mut counts: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    for case in cases {
        *counts.entry((&case.source, &case.kind)).or_default() += 1.0;
    }
    // Times and memory as measured / predicted; rates are turned over first, so that all read as times.
    let mut by_kind: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    let mut all_times = Vec::new();
    for (case, predicted) in cases.iter().zip(predicted) {
        let Some(predicted) = predicted else { continue };
        let weight = 1.0 / counts[&(case.source.as_str(), case.kind.as_str())].sqrt();
        let mut ratio = (case.measured / predicted).ln();
        if case.is_rate() {
            ratio = -ratio;
        }
        if !matches!(case.metric, Metric::Memory(_)) {
            all_times.push((ratio, weight));
        }
        by_kind
            .entry(case.kind.clone())
            .or_default()
            .push((ratio, weight));
    }
    let overall = quantiles(&mut all_times);
    let mut out: BTreeMap<String, Spread> = by_kind
        .into_iter()
        .map(|(kind, mut ratios)| {
            let n = ratios.len() as f64;
            let own = quantiles(&mut ratios);
            let anchor = if kind == "memory" { own } else { overall };
            let mix = |own: f64, anchor: f64| (n * own + 10.0 * anchor) / (n + 10.0);
            (
                kind,
                Spread {
                    low: mix(own.0, anchor.0).min(-0.01).exp(),
                    high: mix(own.1, anchor.1).max(0.01).exp(),
                },
            )
        })
        .collect();
    out.insert(
        "other".to_owned(),
        Spread {
            low: overall.0.min(-0.01).exp(),
            high: overall.1.max(0.01).exp(),
        },
    );
    for spread in out.values_mut() {
        spread.low = (spread.low.clamp(0.01, 0.99) * 1e4).round() / 1e4;
        spread.high = (spread.high.clamp(1.01, 100.0) * 1e4).round() / 1e4;
    }
    out
}

/// 10th and 90th percentiles of values with weights, interpolated between the middles of their weights.
fn quantiles(values: &mut [(f64, f64)]) -> (f64, f64) {
    if values.is_empty() {
        return (-0.2, 0.2);
    }
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = values.iter().map(|(_, weight)| weight).sum();
    let at = |share: f64| {
        let mut below = 0.0;
        let mut last = (values[0].0, 0.0);
        for &(value, weight) in values.iter() {
            let middle = (below + weight / 2.0) / total;
            if middle >= share {
                let span = middle - last.1;
                let part = if span > 0.0 {
                    (share - last.1) / span
                } else {
                    1.0
                };
                return last.0 + (value - last.0) * part;
            }
            last = (value, middle);
            below += weight;
        }
        last.0
    };
    (at(0.1), at(0.9))
}

impl Case {
    /// Whether a larger value of the metric means a shorter time.
    pub fn is_rate(&self) -> bool {
        matches!(
            self.metric,
            Metric::TokensPerSecond | Metric::Tflops | Metric::Mfu
        )
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
        let mut values: Vec<(f64, f64)> = (0..10).map(|n| (f64::from(n), 1.0)).collect();
        let (low, high) = quantiles(&mut values);
        assert!((low - 0.5).abs() < 1e-12 && (high - 8.5).abs() < 1e-12);
        // A value with all the weight is every percentile.
        values[4].1 = 1e9;
        let (low, high) = quantiles(&mut values);
        assert!((low - 4.0).abs() < 1.0 && (high - 4.0).abs() < 1.0);
    }
}
