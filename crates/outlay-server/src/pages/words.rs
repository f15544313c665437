//! Numbers, money and times as pages write them: as the command line does.

use std::borrow::Borrow;

use outlay_ledger::Micro;
use outlay_units::{date_of_day, significant, timestamp, usd};

use crate::api::BudgetView;
use crate::api::shapes::{Interval, Money};

/// An amount of money.
#[must_use]
pub fn money(units: impl Borrow<f64>, currency: &str) -> String {
    let units = *units.borrow();
    let (minus, size) = if units < 0.0 {
        ("-", -units)
    } else {
        ("", units)
    };
    let text = match currency {
        "USD" => usd(size),
        _ if size >= 1000.0 => format!("{currency} {}", significant(size)),
        _ => format!("{currency} {size:.2}"),
    };
    format!("{minus}{text}")
}

/// An amount in millionths.
#[must_use]
pub fn micro(micro: impl Borrow<i64>, currency: &str) -> String {
    money(Micro(*micro.borrow()).units(), currency)
}

/// Several amounts, each in its currency.
#[must_use]
pub fn amounts(amounts: &[Money]) -> String {
    let texts: Vec<String> = amounts
        .iter()
        .map(|amount| micro(amount.micro, &amount.currency))
        .collect();
    texts.join(" + ")
}

/// A predicted amount with its range: `$1,900 ($1,700 to $2,100)`; alone where the range is nothing.
#[must_use]
pub fn predicted(interval: &Interval, currency: &str) -> String {
    let [low, middle, high] =
        [interval.p10, interval.p50, interval.p90].map(|end| money(end, currency));
    if low == high {
        middle
    } else {
        format!("{middle} ({low} to {high})")
    }
}

/// An instant as an element that a script writes in the reader's own zone; `ago` tells how long ago it was.
#[must_use]
pub fn time(at_us: impl Borrow<i64>, ago: bool) -> String {
    let at_us = *at_us.borrow();
    let stamp = timestamp(at_us);
    let shown: String = stamp.chars().take(16).collect::<String>().replace('T', " ");
    let ago = if ago { " data-ago" } else { "" };
    format!("<time datetime=\"{stamp}\" data-us=\"{at_us}\"{ago}>{shown} UTC</time>")
}

/// The day before an instant, such as `30 November`: the last of a month where the instant begins the next.
#[must_use]
pub fn day_before(at_us: i64) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let date = date_of_day((at_us - 1).div_euclid(86_400_000_000));
    let mut parts = date
        .split('-')
        .skip(1)
        .filter_map(|part| part.parse::<usize>().ok());
    match (parts.next(), parts.next()) {
        (Some(month @ 1..=12), Some(day)) => format!("{day} {}", MONTHS[month - 1]),
        _ => date,
    }
}

pub use crate::api::shapes::called;

/// A whole number of things: `10,009`.
#[must_use]
pub fn whole(count: impl Borrow<i64>) -> String {
    let count = *count.borrow();
    if count.abs() < 1000 {
        count.to_string()
    } else {
        significant(count as f64)
    }
}

/// The class of a word that says how a run stands.
#[must_use]
pub fn tone(status: &str) -> &'static str {
    match status {
        "running" => "live",
        "finished" => "good",
        "failed" => "bad",
        "stopped" | "lost" => "warn",
        _ => "",
    }
}

fn percent(share: f64) -> f64 {
    if share.is_finite() {
        (share * 100.0).clamp(0.0, 100.0)
    } else {
        0.0
    }
}

/// A bar as SVG: the share that is spent, or done.
#[must_use]
pub fn bar(share: impl Borrow<f64>, tone: &str) -> String {
    let width = percent(*share.borrow());
    format!(
        "<svg class=\"bar\" aria-hidden=\"true\"><rect class=\"spent {tone}\" width=\"{width:.2}%\" \
         height=\"100%\"/></svg>"
    )
}

/// A budget's bar: what is spent, and paler what is expected.
#[must_use]
pub fn budget_bar(budget: &BudgetView) -> String {
    let tone = match budget.standing {
        "over" => "bad",
        "warn" => "warn",
        _ => "",
    };
    two_bars(budget.share, budget.ahead_share(), tone)
}

/// A bar of what is spent, and paler behind it what is expected.
#[must_use]
pub fn two_bars(spent: f64, ahead: Option<f64>, tone: &str) -> String {
    let (spent, ahead) = (percent(spent), ahead.map_or(0.0, percent));
    format!(
        "<svg class=\"bar\" aria-hidden=\"true\"><rect class=\"ahead {tone}\" width=\"{ahead:.2}%\" height=\"100%\"/>\
         <rect class=\"spent {tone}\" width=\"{spent:.2}%\" height=\"100%\"/></svg>"
    )
}

/// A share in percent.
#[must_use]
pub fn share(share: impl Borrow<f64>) -> String {
    outlay_units::percent(*share.borrow())
}

/// Energy.
#[must_use]
pub fn energy(kwh: impl Borrow<f64>) -> String {
    outlay_units::energy_kwh(*kwh.borrow())
}

/// A mass.
#[must_use]
pub fn mass(kg: impl Borrow<f64>) -> String {
    outlay_units::mass_kg(*kg.borrow())
}

/// A price of less than a few dollars.
#[must_use]
pub fn price(usd: impl Borrow<f64>) -> String {
    outlay_units::price_usd(*usd.borrow())
}

/// A number.
#[must_use]
pub fn number(value: impl Borrow<f64>) -> String {
    significant(*value.borrow())
}

/// A length of time.
#[must_use]
pub fn duration(seconds: impl Borrow<f64>) -> String {
    outlay_units::duration(*seconds.borrow())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_as_the_command_line_does() {
        assert_eq!(money(1234.4, "USD"), "$1,234");
        assert_eq!(money(-0.5, "USD"), "-$0.50");
        assert_eq!(money(12_345.0, "CHF"), "CHF 12,345");
        let same = Interval {
            p10: 5.0,
            p50: 5.0,
            p90: 5.0,
        };
        assert_eq!(predicted(&same, "USD"), "$5.00");
    }

    #[test]
    fn months_end_on_their_last_day() {
        let at = |text: &str| outlay_units::parse_timestamp(text).expect("an instant");
        assert_eq!(day_before(at("2026-12-01T00:00:00.000000Z")), "30 November");
        assert_eq!(day_before(at("2028-03-01T00:00:00.000000Z")), "29 February");
    }

    #[test]
    fn bars_stay_within_their_frame() {
        assert!(bar(7.0, "bad").contains("width=\"100.00%\""));
        assert!(bar(f64::NAN, "").contains("width=\"0.00%\""));
        assert!(bar(-1.0, "").contains("width=\"0.00%\""));
    }
}
