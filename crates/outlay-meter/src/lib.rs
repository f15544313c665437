//! Reads what a running command uses: processor, memory, disk, accelerators, energy; and wraps the command.
//!
//! Nothing here prints, asks the clock of the day, or reads the environment: paths, times and variables are handed in.
//! Metering is never allowed to disturb what is metered: a counter that cannot be read is a gap in the account, not an error.

mod gpu;
mod gpu_account;
mod nvml;
mod quality;
mod rapl;
mod rocm;
mod visible;

pub use gpu::{GpuProcess, GpuReading, GpuSource, ReadFault};
pub use gpu_account::{AcceleratorUse, Gap, GpuAccount, GpuUse};
pub use nvml::Nvml;
pub use quality::{Figure, Quality};
pub use rapl::{Rapl, RaplReading};
pub use rocm::Rocm;
pub use visible::{Device, Visible};
