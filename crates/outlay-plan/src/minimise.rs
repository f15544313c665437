//! Penalised, robust least squares on logarithms: the arithmetic of every fit.
//!
//! Minimises `sum w_i * rho(r_i) + sum ((theta - prior) / freedom)^2 / 2` by Gauss-Newton with reweighting and
//! damping, where `rho` is Huber's loss.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use crate::constants::Description;

/// Width of the central part of the loss, in log units: beyond it a row's pull is constant (Huber).
const HUBER: f64 = 0.08;
/// Freedom of a factor for one generation or framework (standard deviation of its logarithm).
const FACTOR_FREEDOM: f64 = 0.25;

/// One number that a fit moves: the logarithm of a base value or of a factor.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    /// `name`, or `name@scope`.
    pub(crate) key: String,
    /// Index of the constant in its table.
    pub(crate) constant: usize,
    pub(crate) scope: Option<String>,
    /// Logarithm of its value before any row is seen.
    pub(crate) prior: f64,
    pub(crate) freedom: f64,
}

/// The parameters of a table of constants: a base value for each, and a factor for each generation and framework that
/// the rows name. `prior_factor` gives a factor's value before any row is seen; `start` takes the place of priors.
pub(crate) fn parameters(
    descriptions: &[Description],
    generations: &BTreeSet<&str>,
    frameworks: &BTreeSet<&str>,
    prior_factor: impl Fn(&str, &str) -> f64,
    start: Option<&BTreeMap<String, f64>>,
) -> Vec<Parameter> {
    let centre = |key: &str, prior: f64| {
        start
            .and_then(|start| start.get(key).copied())
            .unwrap_or(prior)
            .ln()
    };
    let mut out = Vec::new();
    for (constant, description) in descriptions.iter().enumerate() {
        out.push(Parameter {
            key: description.name.to_owned(),
            constant,
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
                prior: centre(&key, prior_factor(description.name, scope)),
                key,
                constant,
                scope: Some((*scope).to_owned()),
                freedom: FACTOR_FREEDOM
                    .max(0.6 * description.freedom)
                    .min(description.freedom),
            });
        }
    }
    out
}

/// The constants that fitted parameters stand for: written as they act, factors that no row moved left out.
pub(crate) fn constants_of(
    parameters: &[Parameter],
    theta: &[f64],
    descriptions: &[Description],
    start: Option<&BTreeMap<String, f64>>,
) -> BTreeMap<String, f64> {
    let mut constants = BTreeMap::new();
    for (parameter, value) in parameters.iter().zip(theta) {
        // A factor that no row moved says nothing.
        if parameter.scope.is_some() && (value - parameter.prior).abs() < 5e-4 {
            continue;
        }
        let mut value = value.exp();
        if parameter.scope.is_none() {
            // Values outside the allowed range have no effect beyond it.
            let description = &descriptions[parameter.constant];
            value = value.clamp(description.least, description.most);
        }
        constants.insert(parameter.key.clone(), value);
    }
    for (key, value) in start.into_iter().flatten() {
        constants.entry(key.clone()).or_insert(*value);
    }
    for value in constants.values_mut() {
        *value = (*value * 1e5).round() / 1e5;
    }
    constants
}

/// Which parameters make up each of `N` constants for each row: base, generation factor, framework factor.
pub(crate) struct Wiring<const N: usize> {
    of_row: Vec<usize>,
    pairs: Vec<[[Option<usize>; 3]; N]>,
    limits: [(f64, f64); N],
}

impl<const N: usize> Wiring<N> {
    /// `scopes` holds each row's generation and framework.
    pub(crate) fn new(
        descriptions: &[Description],
        parameters: &[Parameter],
        scopes: &[(&str, &str)],
    ) -> Self {
        let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut pairs = Vec::new();
        let of_row = scopes
            .iter()
            .map(|&key| {
                *seen.entry(key).or_insert_with(|| {
                    let mut wires = [[None; 3]; N];
                    for (index, parameter) in parameters.iter().enumerate() {
                        let slot = match parameter.scope.as_deref() {
                            None => 0,
                            Some(scope) if scope == key.0 => 1,
                            Some(scope) if scope == key.1 => 2,
                            Some(_) => continue,
                        };
                        wires[parameter.constant][slot] = Some(index);
                    }
                    pairs.push(wires);
                    pairs.len() - 1
                })
            })
            .collect();
        let mut limits = [(0.0, f64::INFINITY); N];
        for (limit, description) in limits.iter_mut().zip(descriptions) {
            *limit = (description.least, description.most);
        }
        Self {
            of_row,
            pairs,
            limits,
        }
    }

    /// Constants of a row for given parameters.
    pub(crate) fn resolve(&self, row: usize, theta: &[f64]) -> [f64; N] {
        let mut values = [0.0; N];
        for ((value, wires), (least, most)) in values
            .iter_mut()
            .zip(&self.pairs[self.of_row[row]])
            .zip(self.limits)
        {
            let sum: f64 = wires.iter().flatten().map(|&index| theta[index]).sum();
            *value = sum.exp().clamp(least, most);
        }
        values
    }

    /// Parameters of the row's constants that `concerns` keeps.
    pub(crate) fn parameters_of(&self, row: usize, concerns: impl Fn(usize) -> bool) -> Vec<usize> {
        self.pairs[self.of_row[row]]
            .iter()
            .enumerate()
            .filter(|(constant, _)| concerns(*constant))
            .flat_map(|(_, wires)| wires.iter().flatten().copied())
            .collect()
    }
}

/// Rows to fit, each with one or two residuals (a second of 0 where there is one).
pub(crate) trait Rows: Sync {
    /// Step of the finite differences, in log units: wide enough that what is predicted is smooth over it.
    fn step(&self) -> f64 {
        1e-3
    }
    /// How many.
    fn len(&self) -> usize;
    /// Weights of a row's residuals.
    fn weights(&self, row: usize) -> [f64; 2];
    /// `ln(predicted / measured)` for given parameters; 0 where a row cannot be predicted, so that it does not steer.
    fn residuals(&self, row: usize, theta: &[f64]) -> [f64; 2];
    /// Parameters that can change a row.
    fn concerned(&self, row: usize) -> Vec<usize>;
}

/// The parameters that fit the rows best, in at most so many rounds.
pub(crate) fn minimise(rows: &impl Rows, parameters: &[Parameter], rounds: usize) -> Vec<f64> {
    let step = rows.step();
    let n = parameters.len();
    let mut theta: Vec<f64> = parameters.iter().map(|parameter| parameter.prior).collect();
    let objective = |theta: &[f64]| -> f64 {
        // Summed in order, so that the result does not depend on how threads shared the rows.
        let losses: Vec<f64> = (0..rows.len())
            .into_par_iter()
            .map(|row| {
                let weights = rows.weights(row);
                let residuals = rows.residuals(row, theta);
                weights[0] * huber(residuals[0]) + weights[1] * huber(residuals[1])
            })
            .collect();
        losses.iter().sum::<f64>() + penalty(parameters, theta)
    };
    let mut best = objective(&theta);
    let mut damping = 1e-3;
    let mut small_gains = 0;
    for _ in 0..rounds {
        let mut normal = vec![0.0; n * n];
        let mut right = vec![0.0; n];
        let slopes: Vec<_> = (0..rows.len())
            .into_par_iter()
            .map(|row| {
                let at = rows.residuals(row, &theta);
                let mut moved = theta.clone();
                let gradient: Vec<(usize, [f64; 2])> = rows
                    .concerned(row)
                    .into_iter()
                    .map(|parameter| {
                        moved[parameter] = theta[parameter] + step;
                        let there = rows.residuals(row, &moved);
                        moved[parameter] = theta[parameter];
                        (
                            parameter,
                            [(there[0] - at[0]) / step, (there[1] - at[1]) / step],
                        )
                    })
                    .filter(|(_, slopes)| *slopes != [0.0, 0.0])
                    .collect();
                (at, gradient)
            })
            .collect();
        for (row, (at, gradient)) in slopes.iter().enumerate() {
            let weights = rows.weights(row);
            for k in 0..2 {
                let pull = weights[k] / HUBER.max(at[k].abs()) / HUBER;
                if pull == 0.0 {
                    continue;
                }
                for &(i, slope_i) in gradient {
                    right[i] -= pull * at[k] * slope_i[k];
                    for &(j, slope_j) in gradient {
                        normal[i * n + j] += pull * slope_i[k] * slope_j[k];
                    }
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
    theta
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_a_small_system() {
        let x = solve(vec![4.0, 2.0, 2.0, 3.0], vec![2.0, 1.0], 2).unwrap();
        assert!((x[0] - 0.5).abs() < 1e-12 && x[1].abs() < 1e-12, "{x:?}");
        assert!(solve(vec![1.0, 2.0, 2.0, 1.0], vec![1.0, 1.0], 2).is_none());
    }
}
