//! What a serving plan is asked and what it answers, as `--json` prints it.

use outlay_units::Estimate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::serving::deployment::{
    Engine, Formats, NumberFormat, ServingLayout, ServingMemory, Settings,
};

/// What users ask of the service.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Demand {
    /// Requests each second, on average over the busiest hour.
    pub requests_per_s: f64,
    /// Mean rate over the month, relative to the busiest hour.
    pub mean_over_peak: f64,
    /// Tokens of a prompt, on average.
    pub input_tokens: f64,
    /// Tokens of an answer, on average.
    pub output_tokens: f64,
    /// Share of prompts' tokens whose cache is already there (prefix caching).
    pub cached_prefix: f64,
}

/// Limits on what users wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Longest time to first token, in seconds.
    pub ttft_s: Option<f64>,
    /// Longest time per output token, in seconds.
    pub tpot_s: Option<f64>,
    /// Whether the limits hold for 99 in 100 requests; otherwise for half of them.
    pub for_99_in_100: bool,
}

/// A latency as users see it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Half of the requests wait less, in seconds.
    pub p50_s: Estimate,
    /// 99 in 100 requests wait less, in seconds.
    pub p99_s: Estimate,
}

/// Memory of one accelerator by what it holds, in GiB.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemorySplit {
    /// Weights: their number is exact, their scales and padding are not.
    pub weights: Estimate,
    /// Activations of the largest pass, communicators and captured graphs.
    pub activations: Estimate,
    /// What is left of the engine's share for the cache.
    pub cache: Estimate,
}

/// US dollars for a million tokens, by what they are. The three share the bill by what each adds to it at the margin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenPrices {
    /// Prompt tokens that are computed.
    pub input: Estimate,
    /// Prompt tokens whose cache is already there.
    pub cached_input: Estimate,
    /// Output tokens.
    pub output: Estimate,
}

/// One way to serve the model.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ServePlan {
    /// Accelerator id.
    pub accelerator: String,
    /// Engine.
    pub engine: Engine,
    /// Format of the weights.
    pub format: NumberFormat,
    /// Formats of the parts.
    pub formats: Formats,
    /// Layout of a replica.
    pub layout: ServingLayout,
    /// The layout in short form.
    pub layout_brief: String,
    /// Settings of the engine.
    pub settings: Settings,
    /// Replicas in the busiest hour.
    pub replicas: u32,
    /// Replicas on average over the month; fewer where they are added and given back by the hour.
    pub mean_replicas: f64,
    /// Accelerators over all replicas, and prompt workers.
    pub accelerators: u32,
    /// Workers that do prompts alone, for replicas that then decode alone; 0 where each replica does both.
    pub prompt_workers: u32,
    /// Layout of a prompt worker.
    pub prompt_layout: Option<ServingLayout>,
    /// Provider, or `none` where no price is known.
    pub provider: String,
    /// Instance type.
    pub instance: String,
    /// Region.
    pub region: String,
    /// `on-demand`, `spot`, `reserved` or `owned`.
    pub pricing: String,
    /// Day of the price.
    pub price_as_of: String,
    /// Where the price was read.
    pub price_source: String,
    /// US dollars for each accelerator and hour; `None` where no price is known.
    pub usd_per_accelerator_hour: Option<f64>,
    /// US dollars a month; `None` where no price is known.
    pub usd_per_month: Option<Estimate>,
    /// US dollars for a million tokens.
    pub usd_per_million_tokens: Option<TokenPrices>,
    /// Time to first token in the busiest hour.
    pub ttft: Latency,
    /// Time per output token in the busiest hour.
    pub tpot: Latency,
    /// Sequences that a replica decodes at once, on average in the busiest hour.
    pub batch: f64,
    /// Most sequences that a replica should hold: the batch at which it reaches its capacity within the limits.
    pub most_batch: u32,
    /// Requests each second that a replica can serve within the limits.
    pub capacity_requests_per_s: Estimate,
    /// Output tokens each second at that capacity, over all replicas.
    pub capacity_output_tokens_per_s: Estimate,
    /// Share of the capacity in use, on average over the month.
    pub utilisation: f64,
    /// Energy of a request with the building's share, in Wh.
    pub energy_wh_per_request: Estimate,
    /// Emissions of a request, in grams of CO2 equivalent.
    pub co2e_g_per_request: Estimate,
    /// Where the carbon intensity comes from.
    pub carbon_basis: String,
    /// Memory of one accelerator.
    pub memory: ServingMemory,
    /// The same in GiB, with what is uncertain of it.
    pub memory_gib: MemorySplit,
    /// Memory of one accelerator, in GiB.
    pub memory_capacity_gib: f64,
    /// Whether the limits are met.
    pub meets_limits: bool,
}

/// A point of the curve of throughput, latency and cost against batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CurvePoint {
    /// Sequences that a replica decodes at once.
    pub batch: u32,
    /// Requests each second.
    pub requests_per_s: f64,
    /// Output tokens each second.
    pub output_tokens_per_s: f64,
    /// Time to first token, in seconds.
    pub ttft_s: f64,
    /// Time per output token, in seconds.
    pub tpot_s: f64,
    /// US dollars for a million output tokens, prompts included; `None` where no price is known.
    pub usd_per_million_output: Option<f64>,
    /// Whether this is the knee: the point after which a doubling of the batch brings less than a fifth.
    pub is_knee: bool,
}

/// What weights of a format change, on the chosen hardware and at its best layout for them. Latencies are those of the steady
/// state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PrecisionChoice {
    /// Name, such as `fp8`, `fp8, 16-bit cache` or `bf16, 2:4 sparse`.
    pub name: String,
    /// The format.
    pub format: NumberFormat,
    /// Formats of the parts, with the cache's and whether weights are 2:4 sparse.
    pub formats: Formats,
    /// Layout of a replica in short form.
    pub layout_brief: String,
    /// Weights of one replica, in GiB.
    pub weights_gib: f64,
    /// Cache of one replica, in GiB.
    pub cache_gib: f64,
    /// Sequences of the demand's length that the cache of one replica holds.
    pub sequences: f64,
    /// Accelerators for the demand.
    pub accelerators: u32,
    /// US dollars a month; `None` where no price is known.
    pub usd_per_month: Option<f64>,
    /// Time per output token at the batch that serves most within the limits, in seconds.
    pub tpot_s: f64,
    /// Requests each second for each accelerator.
    pub requests_per_s_per_accelerator: f64,
    /// What the format costs in quality, as published.
    pub quality: String,
    /// Where that is published.
    pub quality_source: String,
    /// Where narrower weights are slower, why.
    pub warning: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ServeAnswer {
    /// Version of this format; fields are only ever added within one version.
    pub format: u32,
    /// Model name.
    pub model: String,
    /// Parameters.
    pub parameters: u64,
    /// Parameters that a token touches.
    pub active_parameters: u64,
    /// What was asked.
    pub demand: Demand,
    /// Limits that were set.
    pub limits: Limits,
    /// The chosen plan.
    pub best: ServePlan,
    /// Next-best plans.
    pub others: Vec<ServePlan>,
    /// Plans that no other plan beats in both cost and time per output token.
    pub pareto: Vec<ServePlan>,
    /// The chosen plan at other batches.
    pub curve: Vec<CurvePoint>,
    /// Whether the chosen plan meets the limits.
    pub meets_limits: bool,
    /// APIs that sell the model by the token, and the volume from which self-hosting costs less; empty unless asked for.
    #[serde(default)]
    pub apis: Vec<crate::serving::ApiComparison>,
    /// The chosen hardware with weights in other formats, widest first.
    pub precisions: Vec<PrecisionChoice>,
    /// Deployments priced.
    pub deployments_priced: u64,
    /// Sentences worth reading.
    pub notes: Vec<String>,
}
