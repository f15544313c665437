//! Estimates of cost, time and memory. No I/O and no clock: what is needed is handed in.

mod constants;
mod layout;
mod operator;
mod step;
mod workload;

pub use constants::{Calibration, Constant, DESCRIPTIONS, Description, N_CONSTANTS, Resolved};
pub use layout::{Layout, Offload, Recompute, Schedule};
pub use operator::{OperatorCost, forward_flops_per_token};
pub use step::{Costing, Memory, Slice, StepTime};
pub use workload::{Framework, Method, Optimizer, Precision, Workload};
