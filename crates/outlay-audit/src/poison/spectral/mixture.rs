//! Whether numbers are of one population or of two.

use serde::Serialize;

/// Two normal distributions, fitted to numbers by expectation and maximisation (Dempster, Laird and Rubin 1977), and how much better they fit than one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Mixture {
    /// Share of the smaller population.
    pub smaller_share: f64,
    /// How far apart they are: Ashman, Bird and Zepf 1994, *Detecting Bimodality in Astronomical Datasets*, equation 5: the distance of the means
    /// times √2 over the root of the sum of the variances. For populations of one width it is their distance in standard deviations.
    pub separation: f64,
    /// How much better two fit than one by the Bayesian information criterion (Schwarz 1978). Raftery 1995, *Bayesian Model Selection in Social Research*, table 6:
    /// above 10 is very strong evidence.
    pub information_gain: f64,
}

/// Populations that are apart by less are not told from one that is skewed: a mixture fitted to exponential numbers has a separation of about 2.
const SEPARATION_MIN: f64 = 3.0;

/// See `information_gain`.
const GAIN_MIN: f64 = 10.0;

/// Numbers that are fitted; of more, as many evenly spread over their order.
const NUMBERS_MAX: usize = 8192;

/// Shares of the numbers that a second population is sought among, at either end.
const SHARES: [f64; 6] = [0.005, 0.01, 0.03, 0.1, 0.25, 0.5];

const STEPS_MAX: usize = 500;

#[derive(Clone, Copy)]
struct Normal {
    share: f64,
    mean: f64,
    variance: f64,
}

impl Normal {
    fn of(numbers: &[f64], share: f64, variance_min: f64) -> Self {
        let n = (numbers.len() as f64).max(1.0);
        let mean = numbers.iter().sum::<f64>() / n;
        let variance = numbers
            .iter()
            .map(|number| (number - mean).powi(2))
            .sum::<f64>()
            / n;
        Self {
            share,
            mean,
            variance: variance.max(variance_min),
        }
    }

    fn ln_density(&self, number: f64) -> f64 {
        self.share.ln()
            - 0.5
                * ((number - self.mean).powi(2) / self.variance
                    + (std::f64::consts::TAU * self.variance).ln())
    }
}

impl Mixture {
    /// Fits two populations to numbers.
    #[must_use]
    pub(super) fn fit(numbers: &[f64]) -> Self {
        let mut sorted: Vec<f64> = numbers
            .iter()
            .copied()
            .filter(|number| number.is_finite())
            .collect();
        sorted.sort_by(f64::total_cmp);
        let step = sorted.len().div_ceil(NUMBERS_MAX).max(1);
        let sorted: Vec<f64> = sorted.into_iter().step_by(step).collect();
        let one = Normal::of(&sorted, 1.0, 0.0);
        if sorted.len() < 4 || one.variance <= 0.0 {
            return Self::default();
        }
        // No population is a single point, which would fit without end.
        let variance_min = 1e-4 * one.variance;
        let ln_one: f64 = sorted.iter().map(|number| one.ln_density(*number)).sum();
        let best = SHARES
            .into_iter()
            .flat_map(|share| [share, 1.0 - share])
            .filter_map(|share| {
                let at = (share * sorted.len() as f64).round() as usize;
                let (low, high) = sorted.split_at_checked(at)?;
                if low.len() < 2 || high.len() < 2 {
                    return None;
                }
                let start = [
                    Normal::of(low, share, variance_min),
                    Normal::of(high, 1.0 - share, variance_min),
                ];
                Some(maximised(&sorted, start, variance_min))
            })
            .max_by(|one, other| one.0.total_cmp(&other.0));
        let Some((ln_two, [low, high])) = best else {
            return Self::default();
        };
        Self {
            smaller_share: low.share.min(high.share),
            separation: std::f64::consts::SQRT_2 * (high.mean - low.mean).abs()
                / (low.variance + high.variance).sqrt(),
            information_gain: 2.0 * (ln_two - ln_one) - 3.0 * (sorted.len() as f64).ln(),
        }
    }

    /// Whether there are two.
    #[must_use]
    pub fn is_two(&self) -> bool {
        self.separation > SEPARATION_MIN && self.information_gain > GAIN_MIN
    }
}

fn maximised(numbers: &[f64], mut two: [Normal; 2], variance_min: f64) -> (f64, [Normal; 2]) {
    let mut last = f64::NEG_INFINITY;
    for _ in 0..STEPS_MAX {
        // Of each population: how many, their sum and the sum of their squares, about the first mean, which loses no digits.
        let about = two[0].mean;
        let mut sums = [[0.0; 3]; 2];
        let mut ln_likelihood = 0.0;
        for number in numbers {
            let ln = two.map(|one| one.ln_density(*number));
            let most = ln[0].max(ln[1]);
            let weights = ln.map(|ln| (ln - most).exp());
            let sum = weights[0] + weights[1];
            ln_likelihood += most + sum.ln();
            let number = number - about;
            for (sums, weight) in sums.iter_mut().zip(weights) {
                let weight = weight / sum;
                sums[0] += weight;
                sums[1] += weight * number;
                sums[2] += weight * number * number;
            }
        }
        if ln_likelihood - last < 1e-8 * ln_likelihood.abs().max(1.0)
            || sums.iter().any(|sums| sums[0] < 1.5)
        {
            return (ln_likelihood, two);
        }
        last = ln_likelihood;
        for (one, [n, sum, squares]) in two.iter_mut().zip(sums) {
            let mean = sum / n;
            *one = Normal {
                share: n / numbers.len() as f64,
                mean: mean + about,
                variance: (squares / n - mean * mean).max(variance_min),
            };
        }
    }
    (last, two)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::finish;

    fn uniform(seed: u64, at: u64) -> f64 {
        (finish(finish(seed) ^ at) as f64 + 1.0) / (u64::MAX as f64 + 2.0)
    }

    fn normal(seed: u64, at: u64) -> f64 {
        (-2.0 * uniform(seed, 2 * at).ln()).sqrt()
            * (std::f64::consts::TAU * uniform(seed, 2 * at + 1)).cos()
    }

    #[test]
    fn two_are_told_from_one() {
        let mut mean = 0.0;
        for seed in 1..40 {
            let draw =
                |shape: &dyn Fn(u64) -> f64| Mixture::fit(&(0..600).map(shape).collect::<Vec<_>>());
            let two = draw(&|at| normal(seed, at) + if at < 30 { 5.0 } else { 0.0 });
            assert!(two.is_two(), "{two:?}");
            assert!((two.smaller_share - 0.05).abs() < 0.02, "{two:?}");
            mean += two.separation / 39.0;
            let one = draw(&|at| normal(seed, at));
            assert!(!one.is_two(), "{one:?}");
            let exponential = draw(&|at| -uniform(seed, at).ln());
            assert!(!exponential.is_two(), "{exponential:?}");
            let heavy = draw(&|at| normal(seed, at) / uniform(seed + 100, at).sqrt());
            assert!(!heavy.is_two(), "{heavy:?}");
        }
        // Populations of one width, five of these apart.
        assert!((mean - 5.0).abs() < 0.3, "{mean}");
    }
}
