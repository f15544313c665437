//! Fits the constants of serving to measured runs.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use crate::minimise::{self, Rows, Wiring};
use crate::serving::constants::{
    N_SERVING, SERVING_CONSTANTS, ServingConstant, ServingConstants, serving_prior_factor,
};
use crate::serving::measured::ServingCase;
use crate::serving::scheduler::Outcome;

/// Weight of times to first token beside times per output token: they scatter twice as widely around any prediction (queues,
/// warm-ups), and weigh by the inverse of their variance.
const TTFT_WEIGHT: f64 = 0.25;

/// Weight of a group with one row. Rows of a group share what their model, engine's version and settings have of their own,
/// about a sixth of a latency, which no constant may follow: a hundred rows say little more than ten. With weights of
/// independent rows the constants follow the largest groups, and groups left out are predicted half as well again
/// (18% against 13% on eight of them).
const GROUP_WEIGHT: f64 = 0.12;

/// The cases as rows of a fit.
struct Fitting<'a> {
    cases: &'a [&'a ServingCase],
    weights: Vec<[f64; 2]>,
    wiring: Wiring<N_SERVING>,
}

impl Rows for Fitting<'_> {
    /// Schedules jump a little where a request just catches a pass.
    fn step(&self) -> f64 {
        0.03
    }

    fn len(&self) -> usize {
        self.cases.len()
    }

    fn weights(&self, row: usize) -> [f64; 2] {
        self.weights[row]
    }

    fn residuals(&self, row: usize, theta: &[f64]) -> [f64; 2] {
        let case = self.cases[row];
        let constants = ServingConstants::from_values(self.wiring.resolve(row, theta));
        let outcome = case.predict(&constants);
        // The relative error, as it is reported; beyond a factor of two its logarithm, so that a row whose columns do not
        // tell what was run pulls no harder than others.
        let of = |predicted: f64, measured: Option<f64>| match measured {
            Some(measured) if predicted > 0.0 => {
                let ratio = predicted / measured;
                if ratio <= 2.0 {
                    ratio - 1.0
                } else {
                    1.0 + (0.5 * ratio).ln()
                }
            }
            _ => 0.0,
        };
        [
            of(outcome.ttft_s.mean, case.ttft_s),
            of(outcome.tpot_s.mean, case.tpot_s),
        ]
    }

    fn concerned(&self, row: usize) -> Vec<usize> {
        let case = self.cases[row];
        self.wiring
            .parameters_of(row, |constant| concerns(constant, case))
    }
}

/// Whether a constant can change a case at all.
fn concerns(constant: usize, case: &ServingCase) -> bool {
    use ServingConstant as C;
    let is = |of: &[C]| of.iter().any(|of| *of as usize == constant);
    let experts = case.model.has_experts();
    if is(&[
        C::Expert,
        C::ExpertStream,
        C::RoutingSkew,
        C::RouteUs,
        C::RowBytes,
    ]) {
        return experts;
    }
    let spread = case.layout.attention_data > 1
        || case
            .workers
            .is_some_and(|workers| workers.prompt_layout.attention_data > 1);
    if is(&[C::AllToAllUs]) {
        return experts && spread;
    }
    if is(&[C::ExchangeMs]) {
        return experts && spread && case.engine.counts_exchanged_tokens();
    }
    if is(&[C::Unpack]) {
        return [
            case.formats.attention,
            case.formats.dense,
            case.formats.experts,
        ]
        .iter()
        .any(|format| format.widens(case.accelerator));
    }
    if is(&[C::CacheRead8]) {
        return case.formats.cache_bytes == 1;
    }
    if is(&[C::Imbalance]) {
        return experts && case.layout.expert > 1;
    }
    if is(&[C::Acceptance, C::DraftMs]) {
        return case.drafted_tokens.is_some();
    }
    if is(&[C::GatewayMs]) {
        return case.gateway;
    }
    if is(&[C::HandOverMs]) {
        return case.workers.is_some();
    }
    true
}

/// Weights: rows of one group share a weight that grows with the square root of their number; rows that leave their
/// workers open say little.
fn weights(cases: &[&ServingCase], all: &[&ServingCase]) -> Vec<[f64; 2]> {
    fn key(case: &ServingCase) -> (&str, &str) {
        (case.group.as_str(), case.engine.name())
    }
    let count = |cases: &[&ServingCase]| {
        let mut counts: BTreeMap<(String, &str), f64> = BTreeMap::new();
        for case in cases {
            *counts
                .entry((case.group.clone(), case.engine.name()))
                .or_default() += 1.0;
        }
        counts
    };
    let (steering, everything) = (count(cases), count(all));
    cases
        .iter()
        .map(|case| {
            let key = (key(case).0.to_owned(), key(case).1);
            // Rows left out lend their weight to those of their group that steer.
            let n = steering[&key] * steering[&key] / everything[&key];
            let trust = match case.kind.as_str() {
                "together" => 1.0,
                "split" => 0.4,
                _ => 0.02,
            };
            let weight = trust * GROUP_WEIGHT / n.sqrt();
            [TTFT_WEIGHT * weight, weight]
        })
        .collect()
}

/// Fits all constants to the cases, from the priors or from an earlier calibration.
pub fn fit_serving(
    cases: &[&ServingCase],
    rounds: usize,
    start: Option<&BTreeMap<String, f64>>,
) -> BTreeMap<String, f64> {
    let all = cases;
    let cases = &steering(cases)[..];
    let scopes: Vec<(&str, &str)> = cases
        .iter()
        .map(|case| (case.accelerator.generation.as_str(), case.engine.name()))
        .collect();
    let generations: BTreeSet<&str> = scopes.iter().map(|scope| scope.0).collect();
    let engines: BTreeSet<&str> = scopes.iter().map(|scope| scope.1).collect();
    let parameters = minimise::parameters(
        SERVING_CONSTANTS,
        &generations,
        &engines,
        serving_prior_factor,
        start,
    );
    let fitting = Fitting {
        cases,
        weights: weights(cases, all),
        wiring: Wiring::new(SERVING_CONSTANTS, &parameters, &scopes),
    };
    let theta = minimise::minimise(&fitting, &parameters, rounds);
    minimise::constants_of(&parameters, &theta, SERVING_CONSTANTS, start)
}

/// Spread of measured over predicted by kind of run, `ttft-` and `tpot-` apart: the range that holds four rows in five.
pub fn serving_spreads(
    cases: &[&ServingCase],
    predicted: &[Outcome],
) -> BTreeMap<String, outlay_units::Spread> {
    let mut ratios: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (case, outcome) in cases.iter().zip(predicted) {
        for (metric, measured, predicted) in [
            ("ttft", case.ttft_s, outcome.ttft_s.mean),
            ("tpot", case.tpot_s, outcome.tpot_s.mean),
        ] {
            if let Some(measured) = measured
                && predicted > 0.0
            {
                ratios
                    .entry(format!("{metric}-{}", case.kind))
                    .or_default()
                    .push(measured / predicted);
            }
        }
    }
    ratios
        .into_iter()
        .map(|(kind, mut ratios)| {
            ratios.sort_by(f64::total_cmp);
            let at = |share: f64| {
                let place = share * (ratios.len() - 1) as f64;
                let (low, high) = (place.floor() as usize, place.ceil() as usize);
                ratios[low] + (ratios[high] - ratios[low]) * place.fract()
            };
            let spread = outlay_units::Spread {
                low: (at(0.1) * 1e4).round() / 1e4,
                high: (at(0.9) * 1e4).round() / 1e4,
            };
            (kind, spread)
        })
        .collect()
}

/// Most rows of one group and engine that steer a fit; of more, evenly spaced ones do.
const MOST_OF_A_GROUP: usize = 24;

/// The cases that steer a fit: of large groups of alike rows an even selection.
fn steering<'a>(cases: &[&'a ServingCase]) -> Vec<&'a ServingCase> {
    let mut groups: BTreeMap<(&str, &str), Vec<&'a ServingCase>> = BTreeMap::new();
    for case in cases {
        groups
            .entry((case.group.as_str(), case.engine.name()))
            .or_default()
            .push(case);
    }
    groups
        .into_values()
        .flat_map(|group| {
            let step = (group.len() as f64 / MOST_OF_A_GROUP as f64).max(1.0);
            let n = (group.len() as f64 / step).floor() as usize;
            (0..n).map(move |index| group[(index as f64 * step) as usize])
        })
        .collect()
}

/// Predicts every case with constants fitted on the cases of other folds.
pub fn cross_validate_serving(
    cases: &[&ServingCase],
    folds: &[String],
    rounds: usize,
    start: Option<&BTreeMap<String, f64>>,
) -> Vec<Outcome> {
    let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, fold) in folds.iter().enumerate() {
        members.entry(fold).or_default().push(index);
    }
    let predicted: Vec<(usize, Outcome)> = members
        .par_iter()
        .flat_map_iter(|(left_out, indices)| {
            let train: Vec<&ServingCase> = cases
                .iter()
                .zip(folds)
                .filter(|(_, fold)| fold != left_out)
                .map(|(case, _)| *case)
                .collect();
            let constants = fit_serving(&train, rounds, start);
            indices
                .iter()
                .map(move |&index| {
                    let case = cases[index];
                    let constants = ServingConstants::resolve(
                        &constants,
                        &case.accelerator.generation,
                        case.engine,
                    );
                    (index, case.predict(&constants))
                })
                .collect::<Vec<_>>()
        })
        .collect();
    let mut out = vec![Outcome::default(); cases.len()];
    for (index, outcome) in predicted {
        out[index] = outcome;
    }
    out
}
