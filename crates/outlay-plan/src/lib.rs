//! Estimates of cost, time and memory. No I/O and no clock: what is needed is handed in.

mod adapters;
mod bill;
mod budget;
mod collective;
mod complete;
mod constants;
mod curve;
mod eager;
mod export;
mod failures;
mod fit;
mod forecast;
mod layout;
mod levers;
mod lifecycle;
mod measured;
mod memory;
mod minimise;
mod misfit;
mod operator;
mod preference;
mod random;
pub mod request;
mod rl;
mod scaling;
mod search;
pub mod serving;
mod stages;
mod step;
mod train;
mod trends;
mod workload;
mod worth;

pub use adapters::{Adapters, Targets};
pub use bill::{Bill, BillLine, Checkpoints, Surroundings, bill, embodied_kg};
pub use budget::{
    BudgetAnswer, BudgetCandidate, BudgetError, BudgetQuestion, MixtureCandidate, plan_budget,
};
pub use collective::Collective;
pub use complete::complete;
pub use constants::{Calibration, Constant, DESCRIPTIONS, Description, N_CONSTANTS, Resolved};
pub use curve::{CurveError, CurvePlan, CurveWidening, FINAL_SHARE, LossCurve, Reach};
pub use export::{ExportFormat, export};
pub use failures::{checkpoint_interval_s, failure_factor};
pub use fit::{contradicted, cross_validate, fit, row_folds, spreads};
pub use forecast::{Drift, Forecast, ForecastPlan, Sample};
pub use layout::{Layout, Offload, Recompute, Schedule};
pub use levers::{Lever, levers};
pub use lifecycle::{
    LifecycleAnswer, LifecycleChoice, LifecycleError, LifecycleQuestion, PriceFactors, overtakes,
    plan_lifecycle,
};
pub use measured::{
    Case, MeasuredRow, MemoryPart, Metric, model_flops_per_token, read_measured, unknown_columns,
};
pub use memory::Memory;
pub use operator::{OperatorCost, forward_flops_per_token};
pub use preference::Preference;
pub use rl::{RlAnswer, RlError, RlMethod, RlPlan, RlQuestion, plan_rl};
pub use scaling::{BESIROGLU_2024, HOFFMANN_2022, LossLaw, effective_tokens, mixture_of_eight};
pub use search::{Candidate, Found, Space, illegal, search};
pub use stages::{PlanStage, Stage};
pub use step::{Costing, Slice, StepTime, TowerSlice};
pub use train::{
    Answer, Choice, EmissionsByHour, Plan, PlanError, Question, plan_train, server_watts,
};
pub use trends::{FrontierTrend, PriceTrend, Trends, frontier, widened};
pub use workload::{
    AttentionKernel, Framework, Method, Optimizer, Precision, SOFTWARE_YEAR, Workload,
};
pub use worth::{Per, StopRule, StopRuleError, Worth, worth};
