//! MLflow's search grammar: the texts of `filter` and `order_by` in search requests.
//!
//! MLflow has five grammars, one for each kind of thing that can be searched. All but that of
//! logged models share most of their rules, and all of them read their text with the same general
//! SQL reader first, so that what counts as one clause is decided there and what a clause may say
//! is decided by each grammar. This module keeps to that division: a filter is cut into tokens,
//! tokens are grouped, groups are joined into clauses, and each grammar reads clauses.
//!
//! The texts of errors are those that MLflow's server answers with, since its clients show them.
//! Two things can be told apart only by the text: a filter that MLflow's own server would fail on
//! rather than refuse is refused here, with a text of our own.
//!
//! An empty filter has no conditions, and `AND` between clauses may be left out or repeated. All
//! functions take time roughly linear in the length of the text and use no recursion; the caller
//! limits that length.

mod clauses;
mod grouping;
mod kind;
mod lexer;
mod logged;
mod order;
mod phrases;
mod python;
mod registry;
mod rules;
mod runs;
mod statement;
mod values;
mod words;

use outlay_ledger::{Condition, MetricDataset, Order};

/// Why a filter or a sort key cannot be understood, in the words that the client is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FilterError(pub String);

/// A sort key of logged models as it comes in the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoggedModelOrder {
    /// An attribute, or `metrics.` and the key of a metric.
    pub field_name: String,
    /// Whether small values come first, which they do if nothing is said.
    pub ascending: Option<bool>,
    /// For metrics: the name of the dataset that the value must have been logged on.
    pub dataset_name: Option<String>,
    /// For metrics: the digest of the dataset that the value must have been logged on.
    pub dataset_digest: Option<String>,
}

/// Reads a filter of runs.
///
/// Metrics, parameters, tags, attributes and input datasets can be asked for; what has no prefix is
/// an attribute. Comparators are case-insensitive.
///
/// # Errors
///
/// If MLflow would refuse the filter.
pub fn parse_runs_filter(filter: &str) -> Result<Vec<Condition>, FilterError> {
    runs::runs(filter)
}

/// Reads the sort keys of runs.
///
/// # Errors
///
/// If MLflow would refuse them, for instance since a field is there twice.
pub fn parse_runs_order_by(order_by: &[String]) -> Result<Vec<Order>, FilterError> {
    order::runs(order_by)
}

/// Reads a filter of experiments.
///
/// Attributes and tags can be asked for. The identifiers of experiments come out as decimal
/// numbers, but still as texts. `LIKE`, `ILIKE` and `IN` must be in capitals, as in MLflow.
///
/// # Errors
///
/// If MLflow would refuse the filter.
pub fn parse_experiments_filter(filter: &str) -> Result<Vec<Condition>, FilterError> {
    runs::experiments(filter)
}

/// Reads the sort keys of experiments.
///
/// # Errors
///
/// If MLflow would refuse them.
pub fn parse_experiments_order_by(order_by: &[String]) -> Result<Vec<Order>, FilterError> {
    order::experiments(order_by)
}

/// Reads a filter of registered models.
///
/// The name and tags can be asked for.
///
/// # Errors
///
/// If MLflow would refuse the filter.
pub fn parse_registered_models_filter(filter: &str) -> Result<Vec<Condition>, FilterError> {
    registry::models(filter)
}

/// Reads the sort keys of registered models.
///
/// `timestamp` is the time of the last update.
///
/// # Errors
///
/// If MLflow would refuse them, for instance since a field is there twice.
pub fn parse_registered_models_order_by(order_by: &[String]) -> Result<Vec<Order>, FilterError> {
    order::models(order_by)
}

/// Reads a filter of model versions.
///
/// Attributes and tags can be asked for. A version number may be written as a text; it comes out as
/// a number.
///
/// # Errors
///
/// If MLflow would refuse the filter.
pub fn parse_model_versions_filter(filter: &str) -> Result<Vec<Condition>, FilterError> {
    registry::versions(filter)
}

/// Reads the sort keys of model versions.
///
/// # Errors
///
/// If MLflow would refuse them, for instance since a field is there twice.
pub fn parse_model_versions_order_by(order_by: &[String]) -> Result<Vec<Order>, FilterError> {
    order::versions(order_by)
}

/// Reads a filter of logged models.
///
/// Attributes, metrics, parameters and tags can be asked for, with the plural of these words as the
/// prefix. See [`within_datasets`] for the datasets that go with the filter.
///
/// # Errors
///
/// If MLflow would refuse the filter.
pub fn parse_logged_models_filter(filter: &str) -> Result<Vec<Condition>, FilterError> {
    logged::filter(filter)
}

/// Restricts the conditions of a search for logged models to datasets.
///
/// Every condition on a metric then holds only for values logged on one of the datasets. Without
/// any such condition, a model must have some metric that was logged on one of them.
///
/// # Errors
///
/// If a dataset has no name.
pub fn within_datasets(
    conditions: Vec<Condition>,
    datasets: &[MetricDataset],
) -> Result<Vec<Condition>, FilterError> {
    logged::within(conditions, datasets)
}

/// Reads the sort keys of logged models.
///
/// # Errors
///
/// If a key is neither an attribute nor a metric.
pub fn parse_logged_models_order_by(
    order_by: &[LoggedModelOrder],
) -> Result<Vec<Order>, FilterError> {
    order_by.iter().map(logged::order).collect()
}
