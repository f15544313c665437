//! Serving: what a forward pass takes, how a scheduler fills passes, and what users then wait for.
//!
//! [`PassTimes`] reads the operator graph once and answers for any mix of prompt and output tokens; [`simulate`] runs an
//! engine's scheduler over it, request by request.

mod answer;
mod batched;
mod batched_plan;
mod choices;
mod compare;
mod constants;
mod deployment;
mod export;
mod fit;
mod fleet;
mod measured;
mod pass;
mod plan;
mod recipes;
mod scheduler;

pub use answer::{
    CurvePoint, Demand, Latency, Limits, MemorySplit, PrecisionChoice, ServeAnswer, ServePlan,
    TokenPrices,
};
pub use batched::{BATCHES, BatchTimes, Part, Request, Service};
pub use batched_plan::{
    BatchPoint, BatchedAnswer, BatchedDemand, BatchedOutcome, BatchedPlan, BatchedQuestion,
    PartTime, plan_batched, simulate_batches,
};
pub(crate) use choices::quality;
pub use compare::{ApiComparison, BreakEven, break_even, compare_api, self_hosting_usd};
pub use constants::{SERVING_CONSTANTS, ServingConstant, ServingConstants, is_measured};
pub use deployment::{
    Deployment, Engine, Formats, NumberFormat, ServingLayout, ServingMemory, Settings,
};
pub use export::{ServeExport, export_serving};
pub use fit::{cross_validate_serving, fit_serving, serving_spreads};
pub(crate) use fleet::given_each;
pub use measured::{
    ServingCase, ServingModels, ServingRow, Workers, expected_yield, is_serving, read_serving,
};
pub use pass::{PassPart, PassTimes, PromptPart, decode_parts};
pub use plan::{HOURS_PER_MONTH, ServeError, ServeQuestion, plan_serve};
pub use scheduler::{Draft, Load, Outcome, Percentiles, Split, simulate, simulate_split};
