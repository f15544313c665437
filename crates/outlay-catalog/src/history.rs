//! Prices of earlier days: what trends are fitted to.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::api::ApiPrice;
use crate::offer::{Offer, OfferError, Pricing};

/// Earlier prices of accelerators that ship with Outlay, each with its day and source.
pub fn builtin_price_history() -> &'static [Offer] {
    static LIST: LazyLock<Vec<Offer>> = LazyLock::new(|| {
        parse_price_history(
            include_str!("../data/price_history.csv"),
            "price_history.csv",
        )
        .expect("the built-in list is checked by a test")
    });
    &LIST
}

/// Earlier prices of APIs that ship with Outlay, each with its day and source.
pub fn builtin_api_history() -> &'static [ApiPrice] {
    static LIST: LazyLock<Vec<ApiPrice>> = LazyLock::new(|| {
        parse_api_history(
            include_str!("../data/api_price_history.csv"),
            "api_price_history.csv",
        )
        .expect("the built-in list is checked by a test")
    });
    &LIST
}

/// Reads prices of one accelerator each: as_of, provider, accelerator, pricing, usd_per_accelerator_hour, source.
///
/// # Errors
/// [`OfferError::Syntax`] with the row at fault.
pub fn parse_price_history(text: &str, file: &str) -> Result<Vec<Offer>, OfferError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        as_of: String,
        provider: String,
        accelerator: String,
        pricing: Pricing,
        usd_per_accelerator_hour: f64,
        source: String,
    }
    rows(text, file, |row: Row| {
        (row.usd_per_accelerator_hour > 0.0 && row.usd_per_accelerator_hour.is_finite()).then_some(
            Offer {
                provider: row.provider,
                instance: "per accelerator".to_owned(),
                accelerator: row.accelerator,
                count: 1,
                usd_per_hour: row.usd_per_accelerator_hour,
                pricing: row.pricing,
                region: String::new(),
                as_of: row.as_of,
                source: row.source,
                preemptions_per_node_day: None,
                projected: None,
            },
        )
    })
}

/// Reads prices of APIs: as_of, name, provider, usd_per_million_input, usd_per_million_output, source.
///
/// # Errors
/// [`OfferError::Syntax`] with the row at fault.
pub fn parse_api_history(text: &str, file: &str) -> Result<Vec<ApiPrice>, OfferError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        as_of: String,
        name: String,
        provider: String,
        usd_per_million_input: f64,
        usd_per_million_output: f64,
        source: String,
    }
    rows(text, file, |row: Row| {
        let sound = [row.usd_per_million_input, row.usd_per_million_output]
            .iter()
            .all(|price| *price > 0.0 && price.is_finite());
        sound.then(|| ApiPrice {
            name: row.name,
            provider: row.provider,
            usd_per_input_token: row.usd_per_million_input * 1e-6,
            usd_per_output_token: row.usd_per_million_output * 1e-6,
            usd_per_cached_token: None,
            usd_per_batch_input_token: None,
            usd_per_batch_output_token: None,
            tiers: Vec::new(),
            max_input_tokens: None,
            as_of: row.as_of,
            source: row.source,
        })
    })
}

/// Writes offers in the columns that [`crate::parse_offers`] reads.
///
/// # Errors
/// Where a text cannot be written as CSV.
pub fn write_offers(offers: &[Offer]) -> Result<String, OfferError> {
    written(|csv| offers.iter().try_for_each(|offer| csv.serialize(offer)))
}

/// Writes prices of APIs in the columns that [`parse_api_history`] reads.
///
/// # Errors
/// Where a text cannot be written as CSV.
pub fn write_api_history(prices: &[ApiPrice]) -> Result<String, OfferError> {
    written(|csv| {
        csv.write_record([
            "as_of",
            "name",
            "provider",
            "usd_per_million_input",
            "usd_per_million_output",
            "source",
        ])?;
        prices.iter().try_for_each(|price| {
            csv.write_record([
                &price.as_of,
                &price.name,
                &price.provider,
                &(price.usd_per_input_token * 1e6).to_string(),
                &(price.usd_per_output_token * 1e6).to_string(),
                &price.source,
            ])
        })
    })
}

fn written(
    write: impl Fn(&mut csv::Writer<Vec<u8>>) -> Result<(), csv::Error>,
) -> Result<String, OfferError> {
    let fail = |message: String| OfferError::Syntax {
        file: "price list".to_owned(),
        message,
    };
    let mut csv = csv::Writer::from_writer(Vec::new());
    write(&mut csv).map_err(|error| fail(error.to_string()))?;
    let bytes = csv.into_inner().map_err(|error| fail(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| fail(error.to_string()))
}

/// Reads rows of a CSV; `read` gives `None` for a price that is no positive number.
fn rows<R: for<'de> Deserialize<'de>, T>(
    text: &str,
    file: &str,
    read: impl Fn(R) -> Option<T>,
) -> Result<Vec<T>, OfferError> {
    let fail = |message: String| OfferError::Syntax {
        file: file.to_owned(),
        message,
    };
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader
        .headers()
        .map_err(|error| fail(error.to_string()))?
        .clone();
    reader
        .deserialize::<R>()
        .enumerate()
        .map(|(index, row)| {
            let row = row.map_err(|error| match error.kind() {
                csv::ErrorKind::Deserialize { err, .. } => {
                    let column = err.field().and_then(|field| header.get(field as usize));
                    let column = column.map_or_else(String::new, |name| format!(", `{name}`"));
                    fail(format!("row {}{column}: {}", index + 1, err.kind()))
                }
                _ => fail(error.to_string()),
            })?;
            read(row).ok_or_else(|| {
                fail(format!(
                    "row {}: a price is not a positive number",
                    index + 1
                ))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offer::age_days;

    #[test]
    fn every_earlier_price_has_known_hardware_a_day_and_a_source() {
        for offer in builtin_price_history() {
            let known = crate::find_accelerator(&offer.accelerator).unwrap();
            assert_eq!(known.id, offer.accelerator);
            assert!(
                age_days(&offer.as_of, "2026-11-25").is_some_and(|days| (0..4000).contains(&days)),
                "{offer:?}"
            );
            assert!(!offer.source.is_empty() && (0.02..40.0).contains(&offer.usd_per_hour));
        }
        for price in builtin_api_history() {
            assert!(age_days(&price.as_of, "2026-11-25").is_some(), "{price:?}");
            assert!(
                (1e-9..1e-3).contains(&price.usd_per_output_token),
                "{price:?}"
            );
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let offers = crate::builtin_offers();
        let again = crate::parse_offers(&write_offers(offers).unwrap(), "x").unwrap();
        assert_eq!(offers, again);
        let prices = builtin_api_history();
        let again = parse_api_history(&write_api_history(prices).unwrap(), "x").unwrap();
        for (a, b) in prices.iter().zip(&again) {
            assert!((a.usd_per_input_token / b.usd_per_input_token - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn a_price_that_is_none_is_named_with_its_row() {
        let header = "as_of,provider,accelerator,pricing,usd_per_accelerator_hour,source\n";
        for (row, what) in [
            ("2026-01-01,x,L4,on-demand,-1,y", "row 1: a price"),
            (
                "2026-01-01,x,L4,on-demand,cheap,y",
                "usd_per_accelerator_hour",
            ),
            ("2026-01-01,x,L4,leased,1,y", "leased"),
        ] {
            let error = parse_price_history(&format!("{header}{row}\n"), "old.csv").unwrap_err();
            let text = error.to_string();
            assert!(text.contains("old.csv") && text.contains(what), "{text}");
        }
    }
}
