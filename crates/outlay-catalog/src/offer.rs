//! Offers: a node type at a price, from a provider, in a region.

use serde::{Deserialize, Serialize};

/// A node type at a price.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Provider, such as `lambda`.
    pub provider: String,
    /// Instance type as the provider names it.
    pub instance: String,
    /// Accelerator id of the built-in hardware list.
    pub accelerator: String,
    /// Accelerators in the instance.
    pub count: u32,
    /// Price of the whole instance, in US dollars per hour.
    pub usd_per_hour: f64,
    /// How it is sold.
    pub pricing: Pricing,
    /// Region as the provider names it.
    pub region: String,
    /// Day on which the price held, `YYYY-MM-DD`.
    pub as_of: String,
    /// Where the price was read.
    pub source: String,
    /// How often a node is taken away in a day of holding it, where the list says so of a spot offer (a column that may be
    /// missing); see [`Offer::preemptions`].
    #[serde(default)]
    pub preemptions_per_node_day: Option<f64>,
    /// What the price itself leaves open, where it is a projection and was not read anywhere.
    #[serde(skip)]
    pub projected: Option<outlay_units::Spread>,
}

/// How an offer is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pricing {
    /// By the hour, kept until given back.
    OnDemand,
    /// By the hour, may be taken away.
    Spot,
    /// Committed for a term.
    Reserved,
    /// Bought; the price is what it costs to own.
    Owned,
}

impl Pricing {
    /// The name that people type, also that of files.
    pub fn name(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
            Self::Reserved => "reserved",
            Self::Owned => "owned",
        }
    }
}

impl Offer {
    /// Price of one accelerator, in US dollars per hour.
    pub fn usd_per_accelerator_hour(&self) -> f64 {
        self.usd_per_hour / f64::from(self.count.max(1))
    }
}

/// Days after which a price is said to be old.
pub const STALE_AFTER_DAYS: i64 = 90;

/// Why a price list, or a price, cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// The file or folder cannot be read.
    #[error("cannot read `{file}`: {message}")]
    Unreadable {
        /// File.
        file: String,
        /// The system's word.
        message: String,
    },
    /// No CSV, or a column is missing or holds something else.
    #[error("{file}: {message}")]
    Syntax {
        /// File.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// A price that was typed.
    #[error(
        "`{0}` is not a price (such as 2.49/h, from 0.001 to 100,000 US dollars for one accelerator and hour)"
    )]
    Price(String),
}

/// Something in a price list that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// File.
    pub file: String,
    /// What was left out, and why.
    pub message: String,
    /// Rows concerned.
    pub n_rows: usize,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{}: {} ({} rows left out)",
            self.file, self.message, self.n_rows
        )
    }
}

/// The offers that ship with Outlay, each with its date and source.
pub fn builtin_offers() -> &'static [Offer] {
    static LIST: std::sync::LazyLock<Vec<Offer>> = std::sync::LazyLock::new(|| {
        parse_offers(include_str!("../data/offers.csv"), "offers.csv")
            .expect("the built-in list is checked by a test")
    });
    &LIST
}

/// Reads a price list in the columns of the built-in one: provider, instance, accelerator, count, usd_per_hour,
/// pricing, region, as_of, source, and where it is known preemptions_per_node_day.
///
/// # Errors
/// [`OfferError::Syntax`] with the line at fault.
pub fn parse_offers(text: &str, file: &str) -> Result<Vec<Offer>, OfferError> {
    let fail = |message: String| OfferError::Syntax {
        file: file.to_owned(),
        message,
    };
    let mut out = Vec::new();
    for (index, row) in csv::Reader::from_reader(text.as_bytes())
        .deserialize::<Offer>()
        .enumerate()
    {
        let offer = row.map_err(|error| fail(error.to_string()))?;
        if !(offer.usd_per_hour > 0.0 && offer.usd_per_hour.is_finite()) || offer.count == 0 {
            return Err(fail(format!(
                "row {}: usd_per_hour {} and count {}; allowed: more than 0",
                index + 1,
                offer.usd_per_hour,
                offer.count
            )));
        }
        if let Some(rate) = offer.preemptions_per_node_day
            && !(0.0..=1000.0).contains(&rate)
        {
            return Err(fail(format!(
                "row {}: preemptions_per_node_day {rate}; allowed: 0 to 1000",
                index + 1
            )));
        }
        out.push(offer);
    }
    Ok(out)
}

/// Reads a typed price: `2.49/h`, `$2.49/h`, `2.49usd/h`, `2.49/gpu-h`; US dollars for one accelerator and hour.
///
/// ```
/// assert_eq!(outlay_catalog::parse_price("$2.49/h"), Ok(2.49));
/// assert!(outlay_catalog::parse_price("2.49").is_err());
/// ```
///
/// # Errors
/// [`OfferError::Price`] for anything else, zero and negative prices included.
pub fn parse_price(text: &str) -> Result<f64, OfferError> {
    let fail = || OfferError::Price(text.to_owned());
    let lower = text.trim().to_ascii_lowercase();
    let bare = ["/gpu-hour", "/gpu-h", "/gpuh", "/hour", "/hr", "/h"]
        .iter()
        .find_map(|unit| lower.strip_suffix(unit))
        .ok_or_else(fail)?;
    let bare = bare
        .trim()
        .trim_start_matches('$')
        .trim_end_matches("usd")
        .trim();
    match bare.parse::<f64>() {
        Ok(price) if (0.001..=1e5).contains(&price) => Ok(price),
        _ => Err(fail()),
    }
}

/// Days from a price's date to `today` (both `YYYY-MM-DD`); `None` where one is no date.
pub fn age_days(as_of: &str, today: &str) -> Option<i64> {
    Some(outlay_units::day_of_date(today)? - outlay_units::day_of_date(as_of)?)
}

/// Hardware that was bought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OwnedHardware {
    /// Purchase price of one accelerator with its share of the server, in US dollars.
    pub purchase_usd: f64,
    /// Years over which it is written off.
    pub lifetime_years: f64,
    /// Share of those years in use.
    pub utilisation: f64,
    /// Price of electricity, in US dollars per kWh.
    pub electricity_usd_per_kwh: f64,
    /// Power usage effectiveness of the building.
    pub pue: f64,
    /// Power drawn in use, in watts, with its share of the server.
    pub watts: f64,
}

impl OwnedHardware {
    /// Cost of an hour of use: its share of the purchase, and electricity.
    ///
    /// ```
    /// let owned = outlay_catalog::OwnedHardware {
    ///     purchase_usd: 35_040.0, lifetime_years: 4.0, utilisation: 0.5,
    ///     electricity_usd_per_kwh: 0.10, pue: 1.2, watts: 1000.0,
    /// };
    /// // 35,040 / (4 * 8760 * 0.5) + 1 kW * 1.2 * 0.10
    /// assert!((owned.usd_per_accelerator_hour() - 2.12).abs() < 1e-9);
    /// ```
    pub fn usd_per_accelerator_hour(&self) -> f64 {
        self.purchase_usd / (self.lifetime_years * 8760.0 * self.utilisation)
            + self.watts / 1000.0 * self.pue * self.electricity_usd_per_kwh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outlay_units::{date_of_day, day_of_date};

    #[test]
    fn every_built_in_offer_has_known_hardware_a_date_and_a_source() {
        let mut providers = std::collections::HashSet::new();
        for offer in builtin_offers() {
            let known = crate::find_accelerator(&offer.accelerator).unwrap();
            assert_eq!(known.id, offer.accelerator);
            assert!(
                age_days(&offer.as_of, "2026-11-24").is_some_and(|days| (0..4000).contains(&days)),
                "{offer:?}"
            );
            assert!(!offer.source.is_empty(), "{offer:?}");
            let hourly = offer.usd_per_accelerator_hour();
            assert!((0.02..40.0).contains(&hourly), "{offer:?}");
            providers.insert(&offer.provider);
        }
        assert!(providers.len() >= 10, "{providers:?}");
    }

    #[test]
    fn reads_prices_and_refuses_the_rest() {
        for good in ["2.49/h", "$2.49/h", "2.49usd/h", "2.49/gpu-h", " 2.49/h "] {
            assert!(parse_price(good).is_ok(), "{good}");
        }
        for bad in [
            "2.49", "0/h", "-1/h", "NaN/h", "inf/h", "", "2.49/d", "eur 2/h",
        ] {
            assert!(parse_price(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn dates_are_days_apart() {
        assert_eq!(age_days("2026-01-01", "2026-03-01"), Some(59));
        assert_eq!(age_days("2024-02-28", "2024-03-01"), Some(2));
        assert_eq!(age_days("", "2026-01-01"), None);
    }

    proptest::proptest! {
        #[test]
        fn a_day_and_its_date_agree(day in -100_000i64..100_000) {
            proptest::prop_assert_eq!(day_of_date(&date_of_day(day)), Some(day));
        }

        #[test]
        fn any_text_is_no_panic(text in ".{0,80}") {
            let _ = (parse_price(&text), parse_offers(&text, "x"), day_of_date(&text));
        }
    }
}
