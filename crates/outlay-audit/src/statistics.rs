//! Tests and intervals from textbooks, for counts.

use serde::Serialize;

/// A 95% interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The standard normal distribution's 97.5% point, for two-sided intervals of 95%.
const Z: f64 = 1.959_963_984_540_054;

/// Wilson's interval of a rate, of `n` trials of which `k` succeeded; from 0 to 1 where there was no trial.
///
/// Wilson 1927, *Probable inference, the law of succession, and statistical inference*: the rates whose score test does not
/// reject what was seen. Unlike the usual `p ± 2 s` it holds for few trials and for rates near 0 and 1.
/// The example is one of Newcombe 1998, *Two-sided confidence intervals for the single proportion*, table I, method 3.
///
/// ```
/// let interval = outlay_audit::wilson(81, 263);
/// assert!((interval.low - 0.2553).abs() < 5e-5 && (interval.high - 0.3662).abs() < 5e-5);
/// ```
#[must_use]
pub fn wilson(k: u64, n: u64) -> Interval {
    if n == 0 {
        return Interval {
            low: 0.0,
            high: 1.0,
        };
    }
    let trials = n as f64;
    let rate = k.min(n) as f64 / trials;
    let square = Z * Z;
    let centre = rate + square / (2.0 * trials);
    let reach = Z * (rate * (1.0 - rate) / trials + square / (4.0 * trials * trials)).sqrt();
    let whole = 1.0 + square / trials;
    Interval {
        // Exactly so, whatever rounding says.
        low: if k == 0 {
            0.0
        } else {
            ((centre - reach) / whole).max(0.0)
        },
        high: if k >= n {
            1.0
        } else {
            ((centre + reach) / whole).min(1.0)
        },
    }
}

/// Newcombe's interval of the difference of two rates, the first less the second; from -1 to 1 where one has no trial.
///
/// Newcombe 1998, *Interval estimation for the difference between independent proportions: comparison of eleven methods*,
/// method 10: both rates' Wilson intervals, put together as if by Pythagoras. The example is column (a) of its table II.
///
/// ```
/// let interval = outlay_audit::newcombe((56, 70), (48, 80));
/// assert!((interval.low - 0.0524).abs() < 5e-5 && (interval.high - 0.3339).abs() < 5e-5);
/// ```
#[must_use]
pub fn newcombe((k, n): (u64, u64), (other_k, other_n): (u64, u64)) -> Interval {
    if n == 0 || other_n == 0 {
        return Interval {
            low: -1.0,
            high: 1.0,
        };
    }
    let (one, other) = (wilson(k, n), wilson(other_k, other_n));
    let rate = k.min(n) as f64 / n as f64;
    let other_rate = other_k.min(other_n) as f64 / other_n as f64;
    let difference = rate - other_rate;
    Interval {
        low: (difference - (rate - one.low).hypot(other.high - other_rate)).max(-1.0),
        high: (difference + (one.high - rate).hypot(other_rate - other.low)).min(1.0),
    }
}

/// The chance of a chi-square statistic at least so large, where nothing is associated.
///
/// It is `Q(degrees / 2, statistic / 2)`, the regularised upper incomplete gamma function. The example is the 5% point of
/// one degree of freedom, as every table has it.
///
/// ```
/// assert!((outlay_audit::chi_square_p(3.841_458_820_694_124, 1.0) - 0.05).abs() < 1e-12);
/// ```
#[must_use]
pub fn chi_square_p(statistic: f64, degrees: f64) -> f64 {
    if degrees.is_nan() || degrees <= 0.0 || statistic.is_nan() || statistic <= 0.0 {
        return 1.0;
    }
    if statistic.is_infinite() {
        return 0.0;
    }
    upper_gamma(degrees / 2.0, statistic / 2.0)
}

/// p-values as they count where there are many of them, in the order in which they were given.
///
/// Benjamini and Hochberg 1995, *Controlling the false discovery rate*: taking for real all that are at most 5% here makes
/// 5% false discoveries among these on average. A value that is none counts as 1.
///
/// ```
/// let adjusted = outlay_audit::benjamini_hochberg(&[0.01, 0.04, 0.03, 0.5]);
/// assert!(adjusted.iter().zip([0.04, 0.16 / 3.0, 0.16 / 3.0, 0.5]).all(|(one, other)| (one - other).abs() < 1e-12));
/// ```
#[must_use]
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let p = |at: usize| {
        if p_values[at].is_nan() {
            1.0
        } else {
            p_values[at]
        }
    };
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|one, other| p(*one).total_cmp(&p(*other)));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut least = 1.0_f64;
    for (rank, at) in order.into_iter().enumerate().rev() {
        least = least.min(p(at) * p_values.len() as f64 / (rank + 1) as f64);
        adjusted[at] = least;
    }
    adjusted
}

/// The logarithm of the gamma function of a positive number, to some 14 digits.
///
/// Lanczos 1964, *A precision approximation of the gamma function*, with Godfrey's coefficients for `g = 7`.
pub(crate) fn ln_gamma(x: f64) -> f64 {
    const SERIES: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let sum = SERIES
        .iter()
        .zip(1_u32..)
        .fold(0.999_999_999_999_809_9, |sum, (term, at)| {
            sum + term / (x + f64::from(at))
        });
    let t = x + 7.5;
    0.5 * std::f64::consts::TAU.ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The regularised upper incomplete gamma function, for positive `a` and `x`.
///
/// Below `a + 1` by its series, above by its continued fraction: Abramowitz and Stegun 1964, 6.5.29 and 6.5.31, the latter
/// summed by Lentz's method (Thompson and Barnett 1986).
fn upper_gamma(a: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    const STEPS: u32 = 1_000_000;
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        for _ in 0..STEPS {
            n += 1.0;
            term *= x / n;
            sum += term;
            if term < sum * f64::EPSILON {
                break;
            }
        }
        return (1.0 - front * sum).clamp(0.0, 1.0);
    }
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for step in 1..STEPS {
        let step = f64::from(step);
        let top = step * (a - step);
        b += 2.0;
        let floored = |value: f64| if value.abs() < TINY { TINY } else { value };
        d = 1.0 / floored(top * d + b);
        c = floored(b + top / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    (front * fraction).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Newcombe 1998, table I, method 3, and table II, method 10.
    #[test]
    fn intervals_are_the_published_ones() {
        let near = |interval: Interval, low: f64, high: f64| {
            assert!(
                (interval.low - low).abs() < 5.1e-5 && (interval.high - high).abs() < 5.1e-5,
                "{interval:?} {low} {high}"
            );
        };
        near(wilson(15, 148), 0.0624, 0.1605);
        near(wilson(0, 20), 0.0, 0.1611);
        near(wilson(1, 29), 0.0061, 0.1718);
        near(newcombe((9, 10), (3, 10)), 0.1705, 0.8090);
        near(newcombe((6, 7), (2, 7)), 0.0582, 0.8062);
        near(newcombe((5, 56), (0, 29)), -0.0381, 0.1926);
        near(newcombe((0, 10), (0, 20)), -0.1611, 0.2775);
        near(newcombe((10, 10), (0, 10)), 0.6075, 1.0);
    }

    /// Closed forms: `exp(-x / 2)` for two degrees of freedom, `(1 + x / 2) exp(-x / 2)` for four.
    #[test]
    fn chances_are_those_of_closed_forms() {
        for x in [1e-6, 0.1, 1.0, 2.9, 3.1, 7.0, 40.0, 600.0] {
            let half = x / 2.0_f64;
            for (degrees, expected) in [(2.0, (-half).exp()), (4.0, (1.0 + half) * (-half).exp())] {
                let p = chi_square_p(x, degrees);
                assert!(
                    (p / expected - 1.0).abs() < 1e-11,
                    "{x} {degrees} {p} {expected}"
                );
            }
        }
        // The median of many degrees of freedom is near them (Wilson and Hilferty 1931).
        let degrees = 1e6_f64;
        let median = degrees * (1.0 - 2.0 / (9.0 * degrees)).powi(3);
        assert!((chi_square_p(median, degrees) - 0.5).abs() < 1e-6);
    }

    #[test]
    fn what_is_no_number_is_no_finding() {
        for (statistic, degrees) in [(f64::NAN, 1.0), (1.0, f64::NAN), (1.0, 0.0), (-1.0, 3.0)] {
            assert!((chi_square_p(statistic, degrees) - 1.0).abs() < f64::EPSILON);
        }
        assert_eq!(chi_square_p(f64::INFINITY, 3.0).to_bits(), 0);
        assert_eq!(benjamini_hochberg(&[f64::NAN, 0.01]), [1.0, 0.02]);
        assert_eq!(benjamini_hochberg(&[]), [] as [f64; 0]);
    }
}
