//! Numbers drawn from a seed: the same ones on every machine.

use crate::statistics::ln_gamma;
use crate::words::finish;

/// The state of a `SplitMix64` generator (Steele, Lea, Flood 2014, *Fast Splittable Pseudorandom Number Generators*).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// One that begins at a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(finish(seed ^ 0x2545_f491_4f6c_dd1d))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        finish(self.0)
    }

    /// A number from zero up to, and not including, another.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// A number from zero up to, and not including, one.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Brings values into another order (Fisher and Yates, as Durstenfeld 1964 wrote it).
    pub(crate) fn shuffle<T>(&mut self, values: &mut [T]) {
        for at in (1..values.len()).rev() {
            values.swap(at, self.below(at + 1));
        }
    }

    /// How many of `n` tries succeed, each with a chance of `p`.
    ///
    /// Few expected successes are counted up along the distribution; many are drawn by Hörmann's 1993 transformed
    /// rejection, *The generation of binomial random variates*, algorithm BTRS.
    pub(crate) fn binomial(&mut self, n: u64, p: f64) -> u64 {
        if n == 0 || p.is_nan() || p <= 0.0 {
            return 0;
        }
        if p >= 1.0 {
            return n;
        }
        if p > 0.5 {
            return n - self.binomial(n, 1.0 - p);
        }
        let (tries, odds) = (n as f64, p / (1.0 - p));
        if tries * p < 10.0 {
            let mut chance = (tries * (-p).ln_1p()).exp();
            let mut left = self.share();
            let mut k = 0;
            while left > chance && k < n {
                left -= chance;
                chance *= odds * (tries - k as f64) / (k as f64 + 1.0);
                k += 1;
            }
            return k;
        }
        let spread = (tries * p * (1.0 - p)).sqrt();
        let b = 1.15 + 2.53 * spread;
        let a = -0.0873 + 0.0248 * b + 0.01 * p;
        let centre = tries * p + 0.5;
        let squeeze = 0.92 - 4.2 / b;
        let alpha = (2.83 + 5.1 / b) * spread;
        let mode = ((tries + 1.0) * p).floor();
        let log_of = |k: f64| -ln_gamma(k + 1.0) - ln_gamma(tries - k + 1.0);
        loop {
            let (u, v) = (self.share() - 0.5, self.share());
            let from_edge = 0.5 - u.abs();
            if from_edge <= 0.0 {
                continue;
            }
            let k = ((2.0 * a / from_edge + b) * u + centre).floor();
            if !(0.0..=tries).contains(&k) {
                continue;
            }
            let is_within = from_edge >= 0.07 && v <= squeeze;
            if is_within
                || (v * alpha / (a / (from_edge * from_edge) + b)).ln()
                    <= log_of(k) - log_of(mode) + (k - mode) * odds.ln()
            {
                return k as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binomials_have_their_mean_and_variance() {
        let mut random = Random::new(1);
        for (n, p) in [
            (5, 0.3),
            (40, 0.1),
            (100, 0.5),
            (1000, 0.93),
            (1_000_000, 0.2),
            (1_000_000, 3e-6),
        ] {
            let n_draws = 20_000;
            let draws: Vec<f64> = (0..n_draws).map(|_| random.binomial(n, p) as f64).collect();
            let mean = draws.iter().sum::<f64>() / f64::from(n_draws);
            let variance =
                draws.iter().map(|k| (k - mean).powi(2)).sum::<f64>() / f64::from(n_draws);
            let expected = n as f64 * p * (1.0 - p);
            // Five standard errors of the mean; a variance of so many draws is within some percent.
            assert!(
                (mean - n as f64 * p).abs() < 5.0 * (expected / f64::from(n_draws)).sqrt(),
                "{n} {p} {mean}"
            );
            assert!(
                (variance / expected - 1.0).abs() < 0.06,
                "{n} {p} {variance}"
            );
        }
        assert_eq!(
            (
                random.binomial(7, 0.0),
                random.binomial(7, 1.0),
                random.binomial(0, 0.5)
            ),
            (0, 7, 0)
        );
    }
}
