//! Quantities with units, how people type them and how they are shown.
//!
//! Nothing here depends on models or hardware; every other crate depends on this one.

mod estimate;
mod parse;
mod show;
mod time;

pub use estimate::{Estimate, Spread};
pub use parse::{
    ParseError, parse_bytes, parse_count, parse_duration_seconds, parse_latency_seconds,
    parse_money_usd, parse_rate_per_second, parse_tokens,
};
pub use show::{
    bytes, count, currency_sign, duration, energy_kwh, in_currency, mass_kg, percent, price_usd,
    show_money_in, significant, usd, whole,
};
pub use time::{date_of_day, day_of_date, parse_timestamp, timestamp};

/// Bytes in one GiB.
pub const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
