//! What several answers have in common.
#![expect(
    unused_qualifications,
    reason = "the derive of the schemas writes them"
)]

use outlay_ledger::{Metric, Micro, RunRow};
use outlay_units::Estimate;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::mlflow::wire;

/// A number, or the text that stands for what JSON lacks: `NaN`, `Infinity`, `-Infinity`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading(pub f64);

impl Serialize for Reading {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wire::Number(self.0).serialize(serializer)
    }
}

impl PartialSchema for Reading {
    fn schema() -> RefOr<Schema> {
        let texts = ["NaN", "Infinity", "-Infinity"];
        OneOfBuilder::new()
            .item(ObjectBuilder::new().schema_type(Type::Number))
            .item(
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .enum_values(Some(texts)),
            )
            .into()
    }
}

impl ToSchema for Reading {}

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Money {
    /// In which currency, as ISO 4217 writes it.
    pub currency: String,
    /// How much, in millionths of its unit.
    pub micro: i64,
}

impl Money {
    /// An amount of a currency.
    #[must_use]
    pub fn new(currency: impl Into<String>, micro: Micro) -> Self {
        Self {
            currency: currency.into(),
            micro: micro.0,
        }
    }
}

/// Something predicted: its median, and the range that holds the truth four times in five.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Interval {
    /// One outcome in ten lies below.
    pub p10: f64,
    /// Half of the outcomes lie below.
    pub p50: f64,
    /// Nine outcomes in ten lie below.
    pub p90: f64,
}

impl From<Estimate> for Interval {
    fn from(estimate: Estimate) -> Self {
        let Estimate { p10, p50, p90 } = estimate;
        Self { p10, p50, p90 }
    }
}

/// A metric of a run, without its history.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct MetricView {
    /// Its newest value.
    pub last: Reading,
    /// The step of that value.
    pub step: i64,
    /// When it was measured.
    pub at_us: i64,
    /// Its least number; absent where it never was one.
    pub min: Option<Reading>,
    /// Its greatest number.
    pub max: Option<Reading>,
}

impl From<&Metric> for MetricView {
    fn from(metric: &Metric) -> Self {
        Self {
            last: Reading(metric.last.value),
            step: metric.last.step,
            at_us: metric.last.at_us,
            min: metric.range.map(|(low, _)| Reading(low)),
            max: metric.range.map(|(_, high)| Reading(high)),
        }
    }
}

/// A run, with the columns that were asked for.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RunView {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its project; empty for none.
    pub project: String,
    /// Its team; empty for none.
    pub team: String,
    /// Who started it.
    pub who: String,
    /// The machine.
    pub host: String,
    /// How it stands: `scheduled`, `running`, `finished`, `failed`, `stopped`, `lost`.
    pub status: &'static str,
    /// When it began.
    pub started_us: i64,
    /// When it was last known to run.
    pub seen_us: i64,
    /// When it ended.
    pub ended_us: Option<i64>,
    /// Seconds from its beginning to its end, or until it was last known to run.
    pub duration_s: f64,
    /// Its experiment.
    pub experiment_id: String,
    /// What it spent.
    pub spent: Vec<Money>,
    /// The parameters that were asked for.
    pub params: BTreeMap<String, String>,
    /// The tags that were asked for.
    pub tags: BTreeMap<String, String>,
    /// The metrics that were asked for.
    pub metrics: BTreeMap<String, MetricView>,
}

impl RunView {
    /// When it ended, or was last known to run.
    #[must_use]
    pub fn last_us(&self) -> i64 {
        self.ended_us.unwrap_or(self.seen_us)
    }
}

impl From<RunRow> for RunView {
    fn from(row: RunRow) -> Self {
        let until_us = row.ended_us.unwrap_or(row.seen_us);
        Self {
            duration_s: (until_us.saturating_sub(row.started_us)).max(0) as f64 / 1e6,
            id: row.id,
            name: row.name,
            project: row.project,
            team: row.team,
            who: row.who,
            host: row.host,
            status: row.status.name(),
            started_us: row.started_us,
            seen_us: row.seen_us,
            ended_us: row.ended_us,
            experiment_id: row.experiment_id.to_string(),
            spent: row
                .spent
                .into_iter()
                .map(|(currency, micro)| Money::new(currency, micro))
                .collect(),
            params: row.params.into_iter().collect(),
            tags: row.tags.into_iter().collect(),
            metrics: row
                .metrics
                .iter()
                .map(|metric| (metric.key.clone(), MetricView::from(metric)))
                .collect(),
        }
    }
}

/// What a run is called: its name, or the first digits of its id.
#[must_use]
pub fn called<'a>(name: &'a str, id: &'a str) -> &'a str {
    if name.trim().is_empty() {
        id.get(..8).unwrap_or(id)
    } else {
        name
    }
}
