//! Reads what a running command uses: processor, memory, disk, accelerators, energy; and wraps the command.
//!
//! Nothing here prints, asks the clock of the day, or reads the environment: paths, times and variables are handed in.
//! Metering is never allowed to disturb what is metered: a counter that cannot be read is a gap in the account, not an error.

mod ending;
mod gpu;
mod gpu_account;
#[cfg(unix)]
mod keeper;
mod meter;
mod nvml;
mod process;
mod progress;
mod quality;
mod rapl;
mod rocm;
mod tail;
mod visible;

pub use ending::{Ending, Kept};
pub use gpu::{GpuProcess, GpuReading, GpuSource, ReadFault};
pub use gpu_account::{AcceleratorUse, Gap, GpuAccount, GpuUse};
#[cfg(unix)]
pub use keeper::{become_foster, is_ignored, keep};
pub use meter::{Meter, Roots, Sources, Usage, VisibleGpus, modelled_cpu_joules};
#[cfg(unix)]
pub use meter::{break_pipe, signal_all};
#[cfg(unix)]
pub use nix::sys::signal::Signal;
pub use nvml::Nvml;
pub use process::{ProcessId, ProcessTree, boot_id, uptime_seconds};
pub use progress::{
    Channel, GROUPS as PATTERN_GROUPS, Pattern, PatternError, ProgressReader, Report, Tool,
};
pub use quality::{Figure, Quality};
pub use rapl::{Rapl, RaplReading};
pub use rocm::Rocm;
pub use tail::{Tail, give_back_room};
pub use visible::{Device, Visible};
