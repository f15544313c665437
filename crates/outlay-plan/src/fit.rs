//! Fits the constants of training to measurements: penalised, robust least squares on logarithms of ratios.
//!
//! The penalty keeps a constant near its prior where few rows speak for it; the prior is physical, or
//! an earlier calibration that new rows refine. Rows of one source share a weight that grows with the square root
//! of their number, so that a large table does not outvote the rest.

use std::collections::BTreeMap;

use outlay_units::Spread;
use rayon::prelude::*;

use crate::constants::{Calibration, Constant, DESCRIPTIONS, N_CONSTANTS, Resolved, prior_factor};
use crate::measured::{Case, Metric};
use crate::minimise::{self, Rows, Wiring};

/// Whether a constant can change this case at all (memory constants: memory rows; goodput: whole runs).
fn concerns(constant: usize, case: &Case) -> bool {
    let memory = [
        Constant::ReservedGib,
        Constant::Saved,
        Constant::Waste,
        Constant::LogitBytes,
    ]
    .iter()
    .any(|of_memory| *of_memory as usize == constant);
    match case.metric {
        Metric::Memory(_) => memory,
        Metric::Hours => !memory,
        _ => !memory && constant != Constant::Goodput as usize,
    }
}

/// The cases as rows of a fit.
struct Fitting<'a> {
    cases: &'a [&'a Case],
    weights: Vec<f64>,
    wiring: Wiring<N_CONSTANTS>,
}

impl Rows for Fitting<'_> {
    fn len(&self) -> usize {
        self.cases.len()
    }

    fn weights(&self, row: usize) -> [f64; 2] {
        [self.weights[row], 0.0]
    }

    fn residuals(&self, row: usize, theta: &[f64]) -> [f64; 2] {
        let case = self.cases[row];
        let constants = Resolved::from_values(self.wiring.resolve(row, theta));
        let residual = case
            .predict_with(constants)
            .map_or(0.0, |predicted| (predicted / case.measured).ln());
        [residual, 0.0]
    }

    fn concerned(&self, row: usize) -> Vec<usize> {
        self.wiring
            .parameters_of(row, |constant| concerns(constant, self.cases[row]))
    }
}

/// Fits all constants to the cases, from the physical priors or from an earlier calibration.
///
/// With `start`, its constants take the place of the priors: what the cases do not speak of stays as it was.
pub fn fit(cases: &[&Case], rounds: usize, start: Option<&Calibration>) -> Calibration {
    let scopes: Vec<(&str, &str)> = cases
        .iter()
        .map(|case| {
            (
                case.accelerator.generation.as_str(),
                case.workload.framework.name(),
            )
        })
        .collect();
    let start = start.map(|start| &start.constants);
    let parameters = minimise::parameters(
        DESCRIPTIONS,
        &scopes.iter().map(|scope| scope.0).collect(),
        &scopes.iter().map(|scope| scope.1).collect(),
        prior_factor,
        start,
    );
    let fitting = Fitting {
        cases,
        weights: weights(cases),
        wiring: Wiring::new(DESCRIPTIONS, &parameters, &scopes),
    };
    let theta = minimise::minimise(&fitting, &parameters, rounds);
    Calibration {
        constants: minimise::constants_of(&parameters, &theta, DESCRIPTIONS, start),
        ..Calibration::default()
    }
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
