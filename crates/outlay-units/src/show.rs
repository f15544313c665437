//! Quantities as people read them: three significant digits and a unit that fits.

use std::sync::OnceLock;

/// Writes a number with about three significant digits, without an exponent.
pub fn significant(value: f64) -> String {
    let magnitude = value.abs();
    if !value.is_finite() {
        "unknown".to_owned()
    } else if magnitude >= 1000.0 {
        grouped(value.round())
    } else if magnitude >= 100.0 {
        format!("{value:.0}")
    } else if magnitude >= 10.0 {
        format!("{value:.1}")
    } else if magnitude >= 1.0 {
        format!("{value:.2}")
    } else if magnitude == 0.0 {
        "0".to_owned()
    } else {
        let decimals = (2.0 - magnitude.log10().floor()).clamp(3.0, 9.0) as usize;
        format!("{value:.decimals$}")
    }
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if value < 0.0 { format!("-{out}") } else { out }
}

fn scaled(value: f64, steps: &[(f64, &str)]) -> String {
    for &(size, unit) in steps {
        if value.abs() >= size {
            return format!("{}{unit}", significant(value / size));
        }
    }
    significant(value)
}

/// Writes a count: `8.03B`, `1.00T`, `65.1k`, `9,999`, `512`.
///
/// ```
/// assert_eq!(outlay_units::count(244_140.0), "244k");
/// assert_eq!(outlay_units::count(8.03e9), "8.03B");
/// assert_eq!(outlay_units::count(9_999.0), "9,999");
/// ```
pub fn count(value: f64) -> String {
    if value.abs() < 1000.0 && value.fract() == 0.0 {
        return format!("{value:.0}");
    }
    if (1e4..1e6).contains(&value.abs()) {
        return format!("{}k", significant(value / 1e3));
    }
    scaled(value, &[(1e12, "T"), (1e9, "B"), (1e6, "M")])
}

/// Writes a whole number with every digit: `1,234,567`.
///
/// ```
/// assert_eq!([0, 999, 1000, 76_606].map(outlay_units::whole), ["0", "999", "1,000", "76,606"]);
/// ```
pub fn whole(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The currency in which this process shows money: sign, and units for a US dollar.
static CURRENCY: OnceLock<(String, f64)> = OnceLock::new();

/// Shows money in another currency from now on; the first call holds. Sums are kept, and given as data, in US dollars.
///
/// `code` is three capital letters (ISO 4217), `per_usd` what a dollar buys: 0.92 where it buys 0.92 EUR.
pub fn show_money_in(code: &str, per_usd: f64) {
    let sign = match code {
        "USD" => "$".to_owned(),
        "EUR" => "€".to_owned(),
        "GBP" => "£".to_owned(),
        "INR" => "₹".to_owned(),
        // Other signs are shared by several currencies.
        other => format!("{other} "),
    };
    let _ = CURRENCY.set((sign, per_usd));
}

/// Sign of the currency in which money is shown: `$`, `€`, `CHF `.
pub fn currency_sign() -> &'static str {
    CURRENCY.get().map_or("$", |(sign, _)| sign)
}

/// US dollars in the currency in which money is shown.
pub fn in_currency(usd: f64) -> f64 {
    usd * CURRENCY.get().map_or(1.0, |(_, per_usd)| *per_usd)
}

/// Writes US dollars, in the currency in which money is shown: `$1,234`, `$0.52`, `$1.23M`.
pub fn usd(value: f64) -> String {
    let sign = currency_sign();
    let value = in_currency(value);
    if value >= 1e6 {
        format!("{sign}{}", scaled(value, &[(1e9, "B"), (1e6, "M")]))
    } else if value >= 1000.0 {
        format!("{sign}{}", significant(value))
    } else if value.is_finite() {
        format!("{sign}{value:.2}")
    } else {
        "unknown".to_owned()
    }
}

/// Writes a price of less than a few dollars with three digits, whatever its size: `$0.0230`.
pub fn price_usd(value: f64) -> String {
    format!("{}{}", currency_sign(), significant(in_currency(value)))
}

/// Writes a duration given in seconds: `340 ms`, `12.3 s`, `5.20 h`, `13.1 days`, `2.10 years`.
pub fn duration(seconds: f64) -> String {
    if seconds < 1e-3 {
        format!("{} us", significant(seconds * 1e6))
    } else if seconds < 1.0 {
        format!("{} ms", significant(seconds * 1e3))
    } else if seconds < 120.0 {
        format!("{} s", significant(seconds))
    } else if seconds < 7200.0 {
        format!("{} min", significant(seconds / 60.0))
    } else if seconds < 2.0 * 86_400.0 {
        format!("{} h", significant(seconds / 3600.0))
    } else if seconds < 2.0 * 365.25 * 86_400.0 {
        format!("{} days", significant(seconds / 86_400.0))
    } else {
        format!("{} years", significant(seconds / (365.25 * 86_400.0)))
    }
}

/// Writes bytes in binary units: `45.2 GiB`.
pub fn bytes(value: f64) -> String {
    scaled(
        value,
        &[
            (1024f64.powi(4), " TiB"),
            (1024f64.powi(3), " GiB"),
            (1024f64.powi(2), " MiB"),
            (1024.0, " KiB"),
        ],
    )
}

/// Writes energy given in kWh: `512 kWh`, `1.20 GWh`, `3.10 J`.
pub fn energy_kwh(value: f64) -> String {
    if value >= 1e6 {
        format!("{} GWh", significant(value / 1e6))
    } else if value >= 1e4 {
        format!("{} MWh", significant(value / 1e3))
    } else if value >= 1e-3 || value == 0.0 {
        format!("{} kWh", significant(value))
    } else if value.abs() >= 1e-5 {
        format!("{} Wh", significant(value * 1e3))
    } else {
        format!("{} J", significant(value * 3.6e6))
    }
}

/// Writes a mass given in kg: `12.0 kg`, `4.10 t`, `21.0 mg`.
pub fn mass_kg(value: f64) -> String {
    if value >= 1000.0 {
        format!("{} t", significant(value / 1e3))
    } else if value >= 1e-2 || value == 0.0 {
        format!("{} kg", significant(value))
    } else if value.abs() >= 1e-4 {
        format!("{} g", significant(value * 1e3))
    } else {
        format!("{} mg", significant(value * 1e6))
    }
}

/// Writes a share: `41.3%`.
pub fn percent(value: f64) -> String {
    format!("{:.1}%", value * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_three_digits_and_a_fitting_unit() {
        assert_eq!(count(8_030_261_248.0), "8.03B");
        assert_eq!(usd(1234.4), "$1,234");
        assert_eq!(usd(0.5), "$0.50");
        assert_eq!(usd(2_340_000.0), "$2.34M");
        assert_eq!(duration(0.34), "340 ms");
        assert_eq!(duration(13.1 * 86_400.0), "13.1 days");
        assert_eq!(bytes(45.2 * crate::GIB), "45.2 GiB");
        assert_eq!(percent(0.4131), "41.3%");
    }
}
