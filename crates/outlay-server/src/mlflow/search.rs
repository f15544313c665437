//! Filters, orders and pages, shared by all that can be looked for.

use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use outlay_ledger::{Condition, Field, MetricDataset, Order};
use serde_json::{Value, json};

use super::ask::Ask;
use super::error::ApiError;
use super::filter;

/// What a field holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// The thing has no such field.
    Nothing,
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
}

impl From<String> for Found {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Option<String>> for Found {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Nothing, Self::Text)
    }
}

impl From<i64> for Found {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl Found {
    /// Whether it meets a condition.
    #[must_use]
    pub fn meets(&self, condition: &Condition) -> bool {
        match self {
            Self::Nothing => condition.holds_for_text(None),
            Self::Text(text) => condition.holds_for_text(Some(text)),
            Self::Integer(number) => condition.holds_for_number(Some(*number as f64)),
            Self::Number(number) => condition.holds_for_number(Some(*number)),
        }
    }

    /// Which comes first; what is not there, and what is no number, comes last either way.
    pub fn compare_with(&self, other: &Self, ascending: bool) -> Ordering {
        let is_last = |found: &Self| match found {
            Self::Nothing => 2,
            Self::Number(number) if number.is_nan() => 1,
            _ => 0,
        };
        let by_value = match (self, other) {
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            (Self::Integer(one), Self::Integer(other)) => one.cmp(other),
            (Self::Number(one), Self::Number(other)) => {
                one.partial_cmp(other).unwrap_or(Ordering::Equal)
            }
            _ => Ordering::Equal,
        };
        let by_value = if ascending {
            by_value
        } else {
            by_value.reverse()
        };
        is_last(self).cmp(&is_last(other)).then(by_value)
    }
}

/// Which of two things comes first.
pub fn compare<T>(
    order: &[Order],
    one: &T,
    other: &T,
    value: impl Fn(&T, &Field) -> Found,
) -> Ordering {
    order.iter().fold(Ordering::Equal, |so_far, by| {
        so_far.then_with(|| {
            value(one, &by.field).compare_with(&value(other, &by.field), by.ascending)
        })
    })
}

/// The place in a list at which a page begins.
pub fn offset(token: Option<&str>) -> Result<i64, ApiError> {
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return Ok(0);
    };
    let invalid = |why: &str| ApiError::invalid(format!("Invalid page token, {why}"));
    let bytes = STANDARD
        .decode(token)
        .map_err(|_| invalid("could not base64-decode"))?;
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|_| invalid("parsed value is no JSON"))?;
    value
        .get("offset")
        .and_then(super::ask::integer)
        .filter(|offset| *offset >= 0)
        .ok_or_else(|| invalid(&format!("parsed value: {value}")))
}

/// The name of the page that begins there.
#[must_use]
pub fn token(offset: i64) -> String {
    STANDARD.encode(json!({"offset": offset}).to_string())
}

/// A page of a list, and the name of the next where there is one.
#[must_use]
pub fn page<T>(all: Vec<T>, offset: i64, n_max: i64) -> (Vec<T>, Option<String>) {
    let n_all = all.len() as i64;
    let page = all
        .into_iter()
        .skip(offset.max(0) as usize)
        .take(n_max.max(0) as usize)
        .collect();
    let next = offset.saturating_add(n_max);
    (page, (next < n_all).then(|| token(next)))
}

/// How many are wanted at most.
pub fn max_results(ask: &Ask, default: i64, most: i64) -> Result<i64, ApiError> {
    let n_max = ask.integer("max_results")?.unwrap_or(default);
    if n_max < 1 {
        return Err(super::ask::refused(
            "max_results",
            &Value::from(n_max),
            "It must be a positive integer.",
        ));
    }
    if n_max > most {
        return Err(super::ask::refused(
            "max_results",
            &Value::from(n_max),
            &format!("It must be at most {most}."),
        ));
    }
    Ok(n_max)
}

impl From<filter::FilterError> for ApiError {
    fn from(error: filter::FilterError) -> Self {
        Self::invalid(error.0)
    }
}

/// Most bytes of a filter.
const FILTER_BYTES: usize = 100_000;

/// Reads a filter with one of the grammars.
fn filter(
    text: &str,
    parse: impl Fn(&str) -> Result<Vec<Condition>, filter::FilterError>,
) -> Result<Vec<Condition>, ApiError> {
    if text.len() > FILTER_BYTES {
        return Err(ApiError::invalid(format!(
            "The filter has {} bytes; allowed: up to {FILTER_BYTES}",
            text.len()
        )));
    }
    Ok(parse(text)?)
}

/// The filter of a search for runs.
pub fn runs_filter(text: &str) -> Result<Vec<Condition>, ApiError> {
    filter(text, filter::parse_runs_filter)
}

/// The order of a search for runs.
pub fn runs_order(order: &[String]) -> Result<Vec<Order>, ApiError> {
    Ok(filter::parse_runs_order_by(order)?)
}

/// The filter of a search for experiments.
pub fn experiments_filter(text: &str) -> Result<Vec<Condition>, ApiError> {
    filter(text, filter::parse_experiments_filter)
}

/// The order of a search for experiments.
pub fn experiments_order(order: &[String]) -> Result<Vec<Order>, ApiError> {
    Ok(filter::parse_experiments_order_by(order)?)
}

/// The filter of a search for registered models.
pub fn registered_models_filter(text: &str) -> Result<Vec<Condition>, ApiError> {
    filter(text, filter::parse_registered_models_filter)
}

/// The order of a search for registered models.
pub fn registered_models_order(order: &[String]) -> Result<Vec<Order>, ApiError> {
    Ok(filter::parse_registered_models_order_by(order)?)
}

/// The filter of a search for versions.
pub fn model_versions_filter(text: &str) -> Result<Vec<Condition>, ApiError> {
    filter(text, filter::parse_model_versions_filter)
}

/// The order of a search for versions.
pub fn model_versions_order(order: &[String]) -> Result<Vec<Order>, ApiError> {
    Ok(filter::parse_model_versions_order_by(order)?)
}

/// The filter of a search for logged models, its metrics measured on some data.
pub fn logged_models_filter(
    text: &str,
    datasets: &[MetricDataset],
) -> Result<Vec<Condition>, ApiError> {
    let conditions = filter(text, filter::parse_logged_models_filter)?;
    Ok(filter::within_datasets(conditions, datasets)?)
}

/// The order of a search for logged models.
pub fn logged_models_order(order: &[Ask]) -> Result<Vec<Order>, ApiError> {
    let mut asked = Vec::with_capacity(order.len());
    for one in order {
        let text = |name: &str| Ok::<_, ApiError>(one.text(name)?.filter(|text| !text.is_empty()));
        asked.push(filter::LoggedModelOrder {
            field_name: one.text("field_name")?.unwrap_or_default(),
            ascending: one.flag("ascending")?,
            dataset_name: text("dataset_name")?,
            dataset_digest: text("dataset_digest")?,
        });
    }
    Ok(filter::parse_logged_models_order_by(&asked)?)
}
