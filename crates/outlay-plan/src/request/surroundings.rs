//! What surrounds a run, as people say it.

use outlay_units::parse_tokens;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Refusal, said};
use crate::bill::Surroundings;

/// What the whole bill of a run counts beside its steps; what is not said is as [`Surroundings::default`] has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BillRequest {
    /// Failures that stop the run, for each accelerator and day.
    #[serde(deserialize_with = "said::number")]
    pub failures: Option<f64>,
    /// Preemptions of a node in a day, on spot offers.
    #[serde(deserialize_with = "said::number")]
    pub preemptions: Option<f64>,
    /// Evaluation passes over the run.
    #[serde(deserialize_with = "said::number")]
    pub evaluations: Option<f64>,
    /// Tokens of one evaluation pass, such as `10M`.
    #[serde(deserialize_with = "said::text")]
    pub evaluation_tokens: Option<String>,
    /// Accelerator time of all runs over this one's.
    #[serde(deserialize_with = "said::number")]
    pub all_runs: Option<f64>,
    /// Hours paid while nothing runs, over the run's own.
    #[serde(deserialize_with = "said::number")]
    pub idle: Option<f64>,
    /// Size of the training data in GB.
    #[serde(deserialize_with = "said::number")]
    pub data_size: Option<f64>,
    /// GB of training data that one node loads in a second.
    #[serde(deserialize_with = "said::number")]
    pub loading: Option<f64>,
    /// Checkpoints kept at one time.
    #[serde(deserialize_with = "said::number")]
    pub checkpoints: Option<f64>,
    /// Dollars for a GB and month of storage.
    #[serde(deserialize_with = "said::number")]
    pub storage: Option<f64>,
    /// Dollars for a GB that leaves the provider.
    #[serde(deserialize_with = "said::number")]
    pub egress: Option<f64>,
}

impl BillRequest {
    /// What surrounds the run.
    ///
    /// # Errors
    /// A value that makes no sense.
    pub fn surroundings(&self, passes: f64) -> Result<Surroundings, Refusal> {
        let usual = Surroundings::default();
        let within =
            |option: &str, value: Option<f64>, usual: f64, least: f64, most: f64| match value {
                None => Ok(usual),
                Some(value) if (least..=most).contains(&value) => Ok(value),
                Some(value) => Err(Refusal::new(
                    option,
                    format!("--{option} is `{value}`; allowed: {least} to {most}"),
                )),
            };
        if self.evaluations.is_some() != self.evaluation_tokens.is_some() {
            return Err(Refusal::new(
                "evaluations",
                "the bill has one of `evaluations` and `evaluation_tokens`; allowed: both, or neither",
            ));
        }
        let evaluation_tokens = match self.evaluation_tokens.as_deref() {
            None => 0.0,
            Some(text) => parse_tokens(text).map_err(|error| {
                Refusal::new("evaluation-tokens", format!("--evaluation-tokens: {error}"))
            })?,
        };
        Ok(Surroundings {
            other_bytes: 0.0,
            loading_bytes_per_s: 1e9
                * within(
                    "loading",
                    self.loading,
                    usual.loading_bytes_per_s / 1e9,
                    1e-3,
                    1e4,
                )?,
            preemptions_per_node_day: match self.preemptions {
                None => None,
                given => Some(within("preemptions", given, 0.0, 0.0, 1000.0)?),
            },
            evaluation_tokens: evaluation_tokens
                * within("evaluations", self.evaluations, 0.0, 0.0, 1e9)?,
            failures_per_accelerator_day: within(
                "failures",
                self.failures,
                usual.failures_per_accelerator_day,
                0.0,
                1.0,
            )?,
            data_bytes: match self.data_size {
                None => None,
                size => Some(1e9 * within("data-size", size, 0.0, 0.0, 1e9)?),
            },
            // Less than one pass stores what it reads.
            passes: passes.max(1.0),
            checkpoints_kept: within(
                "checkpoints",
                self.checkpoints,
                usual.checkpoints_kept,
                0.0,
                1e6,
            )?,
            storage_usd_per_gb_month: within(
                "storage",
                self.storage,
                usual.storage_usd_per_gb_month,
                0.0,
                100.0,
            )?,
            egress_usd_per_gb: within("egress", self.egress, usual.egress_usd_per_gb, 0.0, 100.0)?,
            idle_share: within("idle", self.idle, usual.idle_share, 0.0, 100.0)?,
            all_runs_factor: within(
                "all-runs",
                self.all_runs,
                usual.all_runs_factor,
                1.0,
                1000.0,
            )?,
        })
    }
}
