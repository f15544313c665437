//! What will be spent by the end of the month, from what was spent on each day.

use outlay_ledger::{DaySpending, Micro, Microseconds, Period};

use super::shapes::Interval;

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// Days that are looked back at.
pub const DAYS_BACK: i64 = 28;

/// Fewest whole days from which anything is said.
const FEWEST: i64 = 3;

/// p90 of a normal distribution, in standard deviations.
const P90_DEVIATIONS: f64 = 1.281_55;

/// When the month after the one that holds an instant begins.
#[must_use]
pub fn next_month(now_us: Microseconds) -> Microseconds {
    // 32 days after its first, a month is over, and the next one is not.
    let start = Period::Month.start(now_us);
    Period::Month.start(start.saturating_add(32 * DAY_US))
}

/// What will be spent by an instant, in units of the currency, when `spent` is spent now.
///
/// The coming days are taken to be like the last whole ones, from the first on which anything was spent: their mean for
/// each day, and the range from their scatter, as the sum of days and the mean's own error give it. So
/// `deviation = s * sqrt(days + days^2 / n)`. Ten days of $10 each, 5 days to go, nothing else: $50 more, exactly.
/// `None` where fewer than three whole days are known.
#[must_use]
pub fn by_then(
    spent: Micro,
    days: &[DaySpending],
    currency: &str,
    now_us: Microseconds,
    then_us: Microseconds,
) -> Option<Interval> {
    let today = now_us.div_euclid(DAY_US);
    let of: Vec<&DaySpending> = days
        .iter()
        .filter(|day| day.currency == currency && day.day < today && day.day >= today - DAYS_BACK)
        .collect();
    let first = of.iter().map(|day| day.day).min()?;
    let n_days = today - first;
    if n_days < FEWEST {
        return None;
    }
    let mut each = vec![0.0; usize::try_from(n_days).ok()?];
    for day in of {
        each[usize::try_from(day.day - first).ok()?] += day.micro.units();
    }
    let count = n_days as f64;
    let mean = each.iter().sum::<f64>() / count;
    let square: f64 = each.iter().map(|spent| (spent - mean).powi(2)).sum();
    let scatter = (square / (count - 1.0)).sqrt();
    let left = (then_us - now_us).max(0) as f64 / DAY_US as f64;
    let deviation = scatter * (left + left * left / count).sqrt();
    let now = spent.units();
    let at = |deviations: f64| now + (mean * left + deviations * deviation).max(0.0);
    Some(Interval {
        p10: at(-P90_DEVIATIONS),
        p50: at(0.0),
        p90: at(P90_DEVIATIONS),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64, units: i64) -> DaySpending {
        DaySpending {
            day,
            currency: "USD".to_owned(),
            micro: Micro(units * 1_000_000),
        }
    }

    #[test]
    fn days_that_are_alike_go_on() {
        let days: Vec<DaySpending> = (90..100).map(|at| day(at, 10)).collect();
        let now = 100 * DAY_US;
        let end = by_then(Micro(7_000_000), &days, "USD", now, now + 5 * DAY_US);
        let end = end.expect("a forecast");
        assert_eq!((end.p10, end.p50, end.p90), (57.0, 57.0, 57.0));
        assert!(by_then(Micro(0), &days, "EUR", now, now + DAY_US).is_none());
        assert!(by_then(Micro(0), &days[8..], "USD", now, now + DAY_US).is_none());
    }

    #[test]
    fn days_without_spending_count() {
        let now = 100 * DAY_US + DAY_US / 2;
        let end = by_then(Micro(0), &[day(90, 100)], "USD", now, now + 5 * DAY_US);
        let end = end.expect("a forecast");
        assert!((end.p50 - 50.0).abs() < 1e-9);
        assert!(end.p10 < end.p50 && end.p50 < end.p90 && end.p10 >= 0.0);
    }

    #[test]
    fn months_end_where_the_next_begins() {
        let at = |text: &str| outlay_units::parse_timestamp(text).expect("an instant");
        for (now, next) in [
            ("2026-11-25T22:40:00.000000Z", "2026-12-01T00:00:00.000000Z"),
            ("2026-12-31T23:59:59.000000Z", "2027-01-01T00:00:00.000000Z"),
            ("2028-02-01T00:00:00.000000Z", "2028-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(next_month(at(now)), at(next), "{now}");
        }
    }
}
