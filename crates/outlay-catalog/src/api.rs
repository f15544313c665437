//! Prices of model APIs, by the token.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::offer::OfferError;

/// The built-in list, in the order of `data/api_prices.csv`.
static API_PRICES: LazyLock<Vec<ApiPrice>> = LazyLock::new(|| {
    parse_api_prices(
        include_str!("../data/api_prices.csv"),
        "data/api_prices.csv",
    )
    .expect("the built-in list is part of the build and a test reads it")
});

/// Returns the API prices that ship with Outlay: a small list, each with its day and source.
pub fn builtin_api_prices() -> &'static [ApiPrice] {
    &API_PRICES
}

/// What an API asks for tokens of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiPrice {
    /// Name of the model at the provider, such as `deepinfra/Qwen/Qwen3-32B`.
    pub name: String,
    /// Provider.
    pub provider: String,
    /// US dollars for a prompt token.
    pub usd_per_input_token: f64,
    /// US dollars for an output token.
    pub usd_per_output_token: f64,
    /// US dollars for a prompt token read from a cache; `None`: as any prompt token.
    pub usd_per_cached_token: Option<f64>,
    /// US dollars for a prompt token of work that may wait, sent as a batch; `None`: not offered.
    #[serde(default)]
    pub usd_per_batch_input_token: Option<f64>,
    /// As `usd_per_batch_input_token`, for an output token.
    #[serde(default)]
    pub usd_per_batch_output_token: Option<f64>,
    /// Prices for long prompts, shortest first.
    pub tiers: Vec<ApiTier>,
    /// Longest prompt, in tokens.
    pub max_input_tokens: Option<u64>,
    /// Day on which the price held, `YYYY-MM-DD`; empty where it is not known.
    pub as_of: String,
    /// Where the price was read.
    pub source: String,
}

/// Prices of requests whose prompt is longer than a limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiTier {
    /// The limit, in tokens.
    pub above_input_tokens: u64,
    /// US dollars for a prompt token.
    pub usd_per_input_token: f64,
    /// US dollars for an output token.
    pub usd_per_output_token: f64,
    /// US dollars for a prompt token read from a cache.
    pub usd_per_cached_token: Option<f64>,
}

/// An entry of a price list that was left out, or used with care, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiFinding {
    /// Name of the entry.
    pub name: String,
    /// What is wrong with it.
    pub what: String,
    /// Whether it was left out.
    pub left_out: bool,
}

impl ApiPrice {
    /// US dollars for a request of so many prompt tokens, of which a share is cached, and output tokens.
    ///
    /// ```
    /// let gpt = outlay_catalog::builtin_api_prices().iter().find(|price| price.name == "gpt-4o").unwrap();
    /// // $2.50 and $10 for a million tokens.
    /// let usd = gpt.usd_per_request(1000.0, 0.0, 300.0);
    /// assert!((usd - (1000.0 * 2.5e-6 + 300.0 * 10e-6)).abs() < 1e-12);
    /// ```
    pub fn usd_per_request(&self, input_tokens: f64, cached_share: f64, output_tokens: f64) -> f64 {
        let tier = self
            .tiers
            .iter()
            .rev()
            .find(|tier| input_tokens > tier.above_input_tokens as f64);
        let (input, output, cached) = match tier {
            Some(tier) => (
                tier.usd_per_input_token,
                tier.usd_per_output_token,
                tier.usd_per_cached_token,
            ),
            None => (
                self.usd_per_input_token,
                self.usd_per_output_token,
                self.usd_per_cached_token,
            ),
        };
        let cached_tokens = input_tokens * cached_share;
        (input_tokens - cached_tokens) * input
            + cached_tokens * cached.unwrap_or(input)
            + output_tokens * output
    }
}

impl ApiPrice {
    /// US dollars for a request that may wait in a batch; `None` where batches are not offered.
    pub fn usd_per_batched_request(&self, input_tokens: f64, output_tokens: f64) -> Option<f64> {
        Some(
            input_tokens * self.usd_per_batch_input_token?
                + output_tokens * self.usd_per_batch_output_token?,
        )
    }
}

/// Reads a list in the form of the built-in one: a CSV with prices for a million tokens.
///
/// # Errors
/// The file, the row and the column at fault, and what is allowed.
pub fn parse_api_prices(text: &str, file: &str) -> Result<Vec<ApiPrice>, OfferError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        name: String,
        provider: String,
        usd_per_million_input: f64,
        usd_per_million_output: f64,
        usd_per_million_cached: Option<f64>,
        max_input_tokens: Option<u64>,
        as_of: String,
        source: String,
    }
    let unreadable = |message: String| OfferError::Unreadable {
        file: file.to_owned(),
        message,
    };
    let mut out = Vec::new();
    for (index, row) in csv::Reader::from_reader(text.as_bytes())
        .deserialize::<Row>()
        .enumerate()
    {
        let row = row.map_err(|error| unreadable(format!("row {}: {error}", index + 1)))?;
        let prices = [
            Some(row.usd_per_million_input),
            Some(row.usd_per_million_output),
            row.usd_per_million_cached,
        ];
        if prices
            .into_iter()
            .flatten()
            .any(|price| !(price.is_finite() && price > 0.0))
        {
            return Err(unreadable(format!(
                "row {}, `{}`: prices must be positive numbers",
                index + 1,
                row.name
            )));
        }
        out.push(ApiPrice {
            name: row.name,
            provider: row.provider,
            usd_per_input_token: row.usd_per_million_input * 1e-6,
            usd_per_output_token: row.usd_per_million_output * 1e-6,
            usd_per_cached_token: row.usd_per_million_cached.map(|price| price * 1e-6),
            usd_per_batch_input_token: None,
            usd_per_batch_output_token: None,
            tiers: Vec::new(),
            max_input_tokens: row.max_input_tokens,
            as_of: row.as_of,
            source: row.source,
        });
    }
    Ok(out)
}

/// Reads LiteLLM's `model_prices_and_context_window.json`.
///
/// Entries for chat and completion that are priced by the token become prices; the others are named as findings: priced by
/// image, second, character or page, without a price, or with one that is no positive number. A price written as text is
/// read, and named too.
///
/// # Errors
/// Where the text is no JSON object of entries.
pub fn read_litellm(
    text: &str,
    file: &str,
    as_of: &str,
) -> Result<(Vec<ApiPrice>, Vec<ApiFinding>), OfferError> {
    let unreadable = |message: String| OfferError::Unreadable {
        file: file.to_owned(),
        message,
    };
    let entries: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| unreadable(format!("not a JSON object of models: {error}")))?;
    let mut prices = Vec::new();
    let mut findings = Vec::new();
    for (name, entry) in &entries {
        if name == "sample_spec" {
            continue;
        }
        let mut finding = |what: String, left_out: bool| {
            findings.push(ApiFinding {
                name: name.clone(),
                what,
                left_out,
            });
        };
        let Some(entry) = entry.as_object() else {
            finding("is no object".to_owned(), true);
            continue;
        };
        let mode = entry.get("mode").and_then(Value::as_str).unwrap_or("");
        if !["chat", "completion", "responses", ""].contains(&mode) {
            finding(format!("is for `{mode}`, not for text"), true);
            continue;
        }
        match entry_price(name, entry, as_of, file) {
            Ok((price, texts)) => {
                for field in texts {
                    finding(format!("`{field}` is a number written as text"), false);
                }
                prices.push(price);
            }
            Err(what) => finding(what, true),
        }
    }
    Ok((prices, findings))
}

/// A number of an entry, or why it is none; `texts` gathers fields that hold one as text.
fn number(
    entry: &Map<String, Value>,
    field: &str,
    texts: &mut Vec<String>,
) -> Result<Option<f64>, String> {
    let value = match entry.get(field) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => {
            let value = text.trim().trim_start_matches('$').parse::<f64>().ok();
            if value.is_some() {
                texts.push(field.to_owned());
            }
            value
        }
        Some(_) => None,
    };
    match value {
        Some(value) if value.is_finite() && value >= 0.0 => Ok(Some(value)),
        Some(value) => Err(format!("`{field}` is {value}; allowed: 0 and more")),
        None => Err(format!("`{field}` is no number")),
    }
}

fn entry_price(
    name: &str,
    entry: &Map<String, Value>,
    as_of: &str,
    file: &str,
) -> Result<(ApiPrice, Vec<String>), String> {
    let mut texts = Vec::new();
    let input = number(entry, "input_cost_per_token", &mut texts)?;
    let output = number(entry, "output_cost_per_token", &mut texts)?;
    let (Some(input), Some(output)) = (input, output) else {
        let other = ["image", "second", "character", "page", "query", "pixel"]
            .into_iter()
            .find(|unit| {
                entry
                    .keys()
                    .any(|key| key.contains("cost") && key.contains(&format!("per_{unit}")))
            });
        return Err(match other {
            Some(unit) => format!("is priced by the {unit}, not by the token"),
            None => "has no price for tokens".to_owned(),
        });
    };
    if input + output <= 0.0 {
        return Err("has prices of zero: free, or not known".to_owned());
    }
    let cached = number(entry, "cache_read_input_token_cost", &mut texts)?;
    let batch_input = number(entry, "input_cost_per_token_batches", &mut texts)?;
    let batch_output = number(entry, "output_cost_per_token_batches", &mut texts)?;
    let mut tiers = Vec::new();
    for key in entry.keys() {
        let Some(limit) = key
            .strip_prefix("input_cost_per_token_above_")
            .and_then(|rest| rest.strip_suffix("k_tokens"))
            .and_then(|digits| digits.parse::<u64>().ok())
        else {
            continue;
        };
        let tier_input = number(entry, key, &mut texts)?.unwrap_or(input);
        let of = |what: &str, texts: &mut Vec<String>| {
            number(entry, &format!("{what}_above_{limit}k_tokens"), texts)
        };
        tiers.push(ApiTier {
            above_input_tokens: limit * 1000,
            usd_per_input_token: tier_input,
            usd_per_output_token: of("output_cost_per_token", &mut texts)?.unwrap_or(output),
            usd_per_cached_token: of("cache_read_input_token_cost", &mut texts)?.or(cached),
        });
    }
    tiers.sort_by_key(|tier| tier.above_input_tokens);
    Ok((
        ApiPrice {
            name: name.to_owned(),
            provider: entry
                .get("litellm_provider")
                .and_then(Value::as_str)
                .unwrap_or("unknown")
                .to_owned(),
            usd_per_input_token: input,
            usd_per_output_token: output,
            usd_per_cached_token: cached,
            // Half a price, or one of zero, is none.
            usd_per_batch_input_token: batch_input.filter(|usd| *usd > 0.0),
            usd_per_batch_output_token: batch_output.filter(|usd| *usd > 0.0),
            tiers,
            max_input_tokens: entry
                .get("max_input_tokens")
                .and_then(Value::as_f64)
                .filter(|tokens| *tokens >= 1.0)
                .map(|tokens| tokens as u64),
            as_of: as_of.to_owned(),
            source: entry
                .get("source")
                .and_then(Value::as_str)
                .unwrap_or(file)
                .to_owned(),
        },
        texts,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_list_is_sound() {
        let list = builtin_api_prices();
        assert!(list.len() >= 40, "{}", list.len());
        for price in list {
            assert!(
                !price.as_of.is_empty() && !price.source.is_empty(),
                "{}",
                price.name
            );
        }
    }

    #[test]
    fn reads_what_the_list_has_and_names_what_it_cannot_use() {
        let text = r#"{
            "sample_spec": {"mode": "chat"},
            "a": {"mode": "chat", "litellm_provider": "x", "input_cost_per_token": 1e-6, "output_cost_per_token": "2e-6",
                  "cache_read_input_token_cost": 1e-7, "input_cost_per_token_above_200k_tokens": 2e-6,
                  "output_cost_per_token_above_200k_tokens": 3e-6, "max_input_tokens": 1000000,
                  "input_cost_per_token_batches": 5e-7, "output_cost_per_token_batches": 1e-6},
            "b": {"mode": "chat", "input_cost_per_token": -1e-6, "output_cost_per_token": 2e-6},
            "c": {"mode": "image_generation", "output_cost_per_image": 0.04},
            "d": {"mode": "chat", "input_cost_per_second": 0.01},
            "e": {"mode": "chat"},
            "f": {"mode": "chat", "input_cost_per_token": "cheap", "output_cost_per_token": 1e-6},
            "g": {"mode": "chat", "input_cost_per_token": 0, "output_cost_per_token": 0},
            "h": 3
        }"#;
        let (prices, findings) = read_litellm(text, "list.json", "2026-11-20").unwrap();
        assert_eq!(prices.len(), 1);
        let a = &prices[0];
        // Below the tier: half the prompt cached.
        let short = a.usd_per_request(1000.0, 0.5, 100.0);
        assert!((short - (500.0 * 1e-6 + 500.0 * 1e-7 + 100.0 * 2e-6)).abs() < 1e-12);
        let long = a.usd_per_request(300_000.0, 0.0, 100.0);
        assert!((long - (300_000.0 * 2e-6 + 100.0 * 3e-6)).abs() < 1e-9);
        assert_eq!(a.usd_per_batched_request(1e6, 1e6), Some(0.5 + 1.0));
        let of = |name: &str| {
            findings
                .iter()
                .find(|finding| finding.name == name)
                .map(|finding| (finding.what.as_str(), finding.left_out))
                .unwrap()
        };
        assert_eq!(
            of("a"),
            ("`output_cost_per_token` is a number written as text", false)
        );
        assert!(of("b").0.contains("allowed: 0 and more"));
        assert!(of("c").0.contains("image_generation"));
        assert!(of("d").0.contains("by the second"));
        assert!(of("e").0.contains("no price"));
        assert!(of("f").0.contains("no number"));
        assert!(of("g").0.contains("zero"));
        assert!(of("h").0.contains("no object"));
        assert!(read_litellm("[1]", "list.json", "").is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}") {
            let _ = read_litellm(&text, "x", "");
            let _ = parse_api_prices(&text, "x");
        }

        #[test]
        fn more_cached_tokens_never_cost_more(share in 0.0f64..1.0, input in 1.0f64..1e5) {
            for price in builtin_api_prices() {
                let less = price.usd_per_request(input, 0.0, 100.0);
                proptest::prop_assert!(price.usd_per_request(input, share, 100.0) <= less * (1.0 + 1e-12));
            }
        }
    }
}
