//! Quantities as people type them: `1T`, `20B`, `5000usd`, `14d`.

use thiserror::Error;

/// What was typed cannot be read as the quantity asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is not {expected}")]
pub struct ParseError {
    /// What was typed.
    pub text: String,
    /// What would have been read, with an example.
    pub expected: &'static str,
}

fn fail(text: &str, expected: &'static str) -> ParseError {
    ParseError {
        text: text.to_owned(),
        expected,
    }
}

/// Whether commas stand between groups of three digits only, so that no decimal comma is swallowed.
fn grouped(number: &str) -> bool {
    let whole = number.split('.').next().unwrap_or("");
    let rest = &number[whole.len()..];
    let mut groups = whole.trim_start_matches('-').split(',');
    let first = groups.next().unwrap_or("");
    !rest.contains(',')
        && (!whole.contains(',') || (1..=3).contains(&first.len()))
        && groups.all(|group| group.len() == 3)
}

/// Splits `12.5abc` into the number and the suffix; digits may be grouped by `_`, or in threes by `,`.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let bytes = text.as_bytes();
    let mut end = 0;
    while end < bytes.len() {
        let byte = bytes[end];
        let exponent = matches!(byte, b'e' | b'E')
            && end > 0
            && bytes
                .get(end + 1)
                .is_some_and(|next| next.is_ascii_digit() || matches!(next, b'+' | b'-'));
        if byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b',') || (end == 0 && byte == b'-')
        {
            end += 1;
        } else if exponent {
            end += 2;
        } else {
            break;
        }
    }
    if !grouped(&text[..end]) {
        return None;
    }
    let digits: String = text[..end]
        .chars()
        .filter(|c| !matches!(c, '_' | ','))
        .collect();
    let number: f64 = digits.parse().ok()?;
    number.is_finite().then_some((number, text[end..].trim()))
}

fn multiplier(suffix: &str) -> Option<f64> {
    Some(match suffix {
        "" => 1.0,
        "k" | "K" | "thousand" => 1e3,
        "M" | "m" | "million" => 1e6,
        "B" | "b" | "G" | "bn" | "billion" => 1e9,
        "T" | "t" | "trillion" => 1e12,
        _ => return None,
    })
}

/// Reads a positive count: `512`, `1.28M`, `3e9`.
///
/// # Errors
/// Zero, negative or unreadable text, or more than 1e18.
pub fn parse_count(text: &str) -> Result<f64, ParseError> {
    const EXPECTED: &str = "a positive count (such as 512, 1.28M or 3e9)";
    let (number, suffix) = split(text).ok_or_else(|| fail(text, EXPECTED))?;
    let value = number * multiplier(suffix).ok_or_else(|| fail(text, EXPECTED))?;
    if value > 0.0 && value <= 1e18 {
        Ok(value)
    } else {
        Err(fail(text, EXPECTED))
    }
}

/// Reads a number of tokens: `1T`, `20B`, `300 billion`, `1.4T tokens`.
///
/// Sizes in bytes (`1TB`, `20GiB`) are refused: bytes of text are not tokens.
///
/// ```
/// assert_eq!(outlay_units::parse_tokens("1.5T").unwrap(), 1.5e12);
/// assert!(outlay_units::parse_tokens("1TB").is_err());
/// ```
///
/// # Errors
/// Anything that is not a positive count of tokens up to 1e18.
pub fn parse_tokens(text: &str) -> Result<f64, ParseError> {
    const EXPECTED: &str =
        "a number of tokens (such as 1T, 20B or 300M; not bytes: a token is 3 to 5 bytes of text)";
    let trimmed = text.trim();
    let bare = trimmed
        .strip_suffix("tokens")
        .or_else(|| trimmed.strip_suffix("token"))
        .or_else(|| trimmed.strip_suffix("tok"))
        .unwrap_or(trimmed);
    parse_count(bare).map_err(|_| fail(text, EXPECTED))
}

/// Reads a size: `2GB` (thousands) or `512MiB` (1024s), `1e9`.
///
/// ```
/// assert_eq!(outlay_units::parse_bytes("2GB").unwrap(), 2_000_000_000);
/// assert_eq!(outlay_units::parse_bytes("1.5 KiB").unwrap(), 1536);
/// assert!(outlay_units::parse_bytes("2 gallons").is_err());
/// ```
///
/// # Errors
/// An unknown unit, zero or negative sizes, more than 1e18 bytes.
pub fn parse_bytes(text: &str) -> Result<u64, ParseError> {
    const EXPECTED: &str = "a size (such as 2GB, 512MiB or 1e9)";
    let unit = |suffix: &str| -> Option<f64> {
        let suffix = suffix.to_ascii_lowercase();
        let scale = suffix.strip_suffix('b').unwrap_or(&suffix);
        Some(match scale {
            "" => 1.0,
            "k" => 1e3,
            "m" => 1e6,
            "g" => 1e9,
            "t" => 1e12,
            "ki" => 1024.0,
            "mi" => 1024.0 * 1024.0,
            "gi" => 1024.0_f64.powi(3),
            "ti" => 1024.0_f64.powi(4),
            _ => return None,
        })
    };
    split(text)
        .and_then(|(number, suffix)| Some(number * unit(suffix)?))
        .filter(|bytes| (1.0..=1e18).contains(bytes))
        .map(|bytes| bytes as u64)
        .ok_or_else(|| fail(text, EXPECTED))
}

/// Reads an amount of US dollars: `5000usd`, `$5,000`, `5k`, `2.5M usd`.
///
/// # Errors
/// Other currencies, zero or negative amounts, unreadable text.
pub fn parse_money_usd(text: &str) -> Result<f64, ParseError> {
    const EXPECTED: &str = "an amount of US dollars (such as 5000usd, $5000 or 2.5M)";
    let lower = text.trim().to_ascii_lowercase();
    // One sign of the currency, before or after.
    let bare = lower
        .strip_prefix('$')
        .or_else(|| lower.strip_suffix("usd"))
        .or_else(|| lower.strip_suffix('$'))
        .unwrap_or(&lower)
        .trim();
    parse_count(bare).map_err(|_| fail(text, EXPECTED))
}

/// Reads a duration into seconds: `14d`, `36h`, `90m`, `2w`, `30s`.
///
/// # Errors
/// A missing or unknown unit, zero or negative durations.
pub fn parse_duration_seconds(text: &str) -> Result<f64, ParseError> {
    const EXPECTED: &str = "a duration with its unit (such as 14d, 36h, 90m or 2w)";
    let (number, suffix) = split(text).ok_or_else(|| fail(text, EXPECTED))?;
    let unit = match suffix.to_ascii_lowercase().as_str() {
        "s" | "sec" | "second" | "seconds" => 1.0,
        "m" | "min" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "week" | "weeks" => 604_800.0,
        _ => return Err(fail(text, EXPECTED)),
    };
    if number > 0.0 {
        Ok(number * unit)
    } else {
        Err(fail(text, EXPECTED))
    }
}

/// Reads a latency into seconds: `1s`, `40ms`, `250us`.
///
/// # Errors
/// A missing or unknown unit, zero or negative times.
pub fn parse_latency_seconds(text: &str) -> Result<f64, ParseError> {
    const EXPECTED: &str = "a time with its unit (such as 40ms, 1.5s or 250us)";
    let (number, suffix) = split(text).ok_or_else(|| fail(text, EXPECTED))?;
    let unit = match suffix.to_ascii_lowercase().as_str() {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" | "sec" | "second" | "seconds" => 1.0,
        "m" | "min" | "minute" | "minutes" => 60.0,
        _ => return Err(fail(text, EXPECTED)),
    };
    if number > 0.0 {
        Ok(number * unit)
    } else {
        Err(fail(text, EXPECTED))
    }
}

/// Reads a rate into counts per second: `20/s`, `5000/day`, `1.5M/month` (a month of 730 hours).
///
/// ```
/// assert_eq!(outlay_units::parse_rate_per_second("86400/day").unwrap(), 1.0);
/// ```
///
/// # Errors
/// A missing or unknown unit, zero or negative rates.
pub fn parse_rate_per_second(text: &str) -> Result<f64, ParseError> {
    const EXPECTED: &str = "a rate with its unit (such as 20/s, 300/min, 5000/day or 2M/month)";
    let (number, unit) = text
        .split_once('/')
        .or_else(|| text.split_once(" per "))
        .ok_or_else(|| fail(text, EXPECTED))?;
    let number = parse_count(number).map_err(|_| fail(text, EXPECTED))?;
    let seconds = match unit.trim().to_ascii_lowercase().as_str() {
        "s" | "sec" | "second" => 1.0,
        "m" | "min" | "minute" => 60.0,
        "h" | "hour" => 3600.0,
        "d" | "day" => 86_400.0,
        "w" | "week" => 604_800.0,
        "mo" | "month" => 730.0 * 3600.0,
        _ => return Err(fail(text, EXPECTED)),
    };
    Ok(number / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_latencies_and_rates() {
        assert_eq!(parse_latency_seconds("40ms").unwrap(), 0.04);
        assert_eq!(
            parse_rate_per_second("5000/day").unwrap(),
            5000.0 / 86_400.0
        );
        for bad in ["40", "0ms", "-1s", "40 kg"] {
            assert!(parse_latency_seconds(bad).is_err(), "{bad}");
        }
        for bad in ["20", "0/s", "-5/day", "20/parsec", "/s", "x/s"] {
            assert!(parse_rate_per_second(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn reads_what_people_type() {
        assert_eq!(parse_tokens("20B").unwrap(), 2e10);
        assert_eq!(parse_tokens("300 billion tokens").unwrap(), 3e11);
        assert_eq!(parse_tokens("1e12").unwrap(), 1e12);
        assert_eq!(parse_money_usd("$5,000").unwrap(), 5000.0);
        assert_eq!(parse_money_usd("5000usd").unwrap(), 5000.0);
        assert_eq!(parse_duration_seconds("14d").unwrap(), 14.0 * 86_400.0);
        assert_eq!(parse_count("1,234,567.5").unwrap(), 1_234_567.5);
    }

    #[test]
    fn a_decimal_comma_is_refused_and_not_swallowed() {
        for text in ["1,5B", "1,2,3", "1,5", "1.5,000", "1,2345", ",5"] {
            assert!(parse_count(text).is_err(), "{text}");
        }
        assert!(parse_duration_seconds("1,5d").is_err());
        assert!(parse_money_usd("$$5000$$").is_err());
    }

    #[test]
    fn refuses_slips() {
        for bad in [
            "1TB", "20GiB", "-3B", "0", "", "NaN", "inf", "T", "1e400", "5 eur",
        ] {
            assert!(parse_tokens(bad).is_err(), "{bad}");
        }
        for bad in ["14", "d", "-2d", "3 parsecs"] {
            assert!(parse_duration_seconds(bad).is_err(), "{bad}");
        }
        assert!(parse_money_usd("5000eur").is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,24}") {
            let _ = (parse_tokens(&text), parse_money_usd(&text), parse_duration_seconds(&text));
        }

        #[test]
        fn a_count_reads_back(value in 1u64..1_000_000_000_000) {
            proptest::prop_assert_eq!(parse_count(&value.to_string()).unwrap(), value as f64);
        }
    }
}
