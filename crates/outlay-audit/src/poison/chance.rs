//! How likely counts are by chance, as powers of ten, since none of it fits a number of 64 bits otherwise.

/// The natural logarithm of a factorial.
fn ln_factorial(n: u64) -> f64 {
    if n < 16 {
        return (2..=n).map(|factor| (factor as f64).ln()).sum();
    }
    // Stirling's series; the first term left out is below 1e-11.
    let n = n as f64;
    let inverse = 1.0 / n;
    let series = inverse / 12.0 - inverse.powi(3) / 360.0 + inverse.powi(5) / 1260.0;
    n * n.ln() - n + 0.5 * (std::f64::consts::TAU * n).ln() + series
}

fn ln_choose(n: u64, k: u64) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// Sums a tail: the first term as a logarithm, and how each term follows from the one before it.
fn log10_tail(ln_first: f64, first: u64, last: u64, ratio: impl Fn(f64) -> f64) -> f64 {
    // Terms in units of the largest so far, so that none overflows.
    let (mut ln_unit, mut term, mut sum) = (ln_first, 1.0_f64, 1.0_f64);
    for at in first..last {
        let factor = ratio(at as f64);
        term *= factor;
        sum += term;
        if term > 1e100 {
            ln_unit += term.ln();
            sum /= term;
            term = 1.0;
        }
        if factor < 1.0 && term < 1e-17 * sum {
            break;
        }
    }
    ((ln_unit + sum.ln()) / std::f64::consts::LN_10).min(0.0)
}

/// The logarithm to base ten of the chance to draw at least so many of a kind, without putting back: Fisher's exact test, one-sided.
///
/// Of `n_all` records `n_kind` are of the kind; `n_drawn` are drawn, and `n_found` or more of them are of the kind
/// (Fisher 1935, *The Design of Experiments*, chapter II). Numbers that cannot be are taken down to those that can.
///
/// ```
/// // The lady tasting tea: eight cups, four with milk first, and she names all four; once in 70.
/// let log10_p = outlay_audit::log10_hypergeometric_tail(8, 4, 4, 4);
/// assert!((10_f64.powf(log10_p) - 1.0 / 70.0).abs() < 1e-12);
/// ```
#[must_use]
pub fn log10_hypergeometric_tail(n_all: u64, n_kind: u64, n_drawn: u64, n_found: u64) -> f64 {
    let n_kind = n_kind.min(n_all);
    let n_drawn = n_drawn.min(n_all);
    let last = n_kind.min(n_drawn);
    let n_found = n_found.min(last);
    let n_least = (n_kind + n_drawn).saturating_sub(n_all);
    if n_found <= n_least {
        return 0.0;
    }
    let ln_first = ln_choose(n_kind, n_found) + ln_choose(n_all - n_kind, n_drawn - n_found)
        - ln_choose(n_all, n_drawn);
    let (kind, drawn) = (n_kind as f64, n_drawn as f64);
    let rest = (n_all - n_kind) as f64 - drawn;
    log10_tail(ln_first, n_found, last, |at| {
        (kind - at) * (drawn - at) / ((at + 1.0) * (rest + at + 1.0))
    })
}

/// The logarithm to base ten of the chance of at least so many hits in so many tries, each with the same chance.
///
/// ```
/// // At least nine heads of ten: eleven of 1,024.
/// let log10_p = outlay_audit::log10_binomial_tail(10, 0.5, 9);
/// assert!((10_f64.powf(log10_p) - 11.0 / 1024.0).abs() < 1e-12);
/// ```
#[must_use]
pub fn log10_binomial_tail(n_tries: u64, chance: f64, n_hits: u64) -> f64 {
    if n_hits == 0 || chance.is_nan() || chance >= 1.0 {
        return 0.0;
    }
    if chance <= 0.0 || n_hits > n_tries {
        return f64::NEG_INFINITY;
    }
    let tries = n_tries as f64;
    let ln_first = ln_choose(n_tries, n_hits)
        + n_hits as f64 * chance.ln()
        + (n_tries - n_hits) as f64 * (-chance).ln_1p();
    log10_tail(ln_first, n_hits, n_tries, |at| {
        (tries - at) / (at + 1.0) * chance / (1.0 - chance)
    })
}

#[cfg(test)]
mod tests {
    use super::log10_hypergeometric_tail;

    /// Fisher's lady and the eight cups: 1 in 70 to name all four, 17 in 70 to name three or more.
    #[test]
    fn chances_are_those_of_the_cups_of_tea() {
        let chance = |n_found| 10_f64.powf(log10_hypergeometric_tail(8, 4, 4, n_found));
        assert!((chance(4) - 1.0 / 70.0).abs() < 1e-12);
        assert!((chance(3) - 17.0 / 70.0).abs() < 1e-12);
        assert!((chance(0) - 1.0).abs() < 1e-12);
    }
}
