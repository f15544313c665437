//! What an accelerator says of itself at one instant, whoever makes it.

use std::path::Path;

/// A process that holds a context on an accelerator.
#[derive(Clone, Debug, PartialEq)]
pub struct GpuProcess {
    /// Process id, as this machine's kernel numbers it.
    pub pid: u32,
    /// Memory that it holds on the accelerator, where the driver says.
    pub memory_bytes: Option<u64>,
    /// Share of the accelerator's time that it was busy for since the reading before, 0 to 1, where the driver says.
    pub busy: Option<f64>,
    /// Whether such a process is in our own `/proc`; `None` where nobody looked.
    ///
    /// A driver may number processes as the host does, also inside a container with numbers of its own.
    /// A number that we do not have cannot be said to be this run's, or not to be.
    pub in_view: Option<bool>,
}

/// Whether a process of this number is in the `/proc` that we were given, if any.
pub(crate) fn in_view(proc_root: Option<&Path>, pid: u32) -> Option<bool> {
    proc_root.map(|root| root.join(pid.to_string()).is_dir())
}

/// One accelerator, or one slice of it, at one instant. What cannot be read is `None`, never zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GpuReading {
    /// A name that stays the same over restarts: NVIDIA's UUID, or AMD's unique id or PCI address.
    pub id: String,
    /// Number among the accelerators of the machine; a slice has that of the whole.
    pub index: u32,
    /// Product name, such as `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// For a slice (MIG), the id of the accelerator that it is part of. Energy and power are then of that whole accelerator.
    pub parent: Option<String>,
    /// For a slice, its part of the accelerator's compute, 0 to 1 (an H100's `1g.10gb` has 1/7).
    pub slice_share: Option<f64>,
    /// Joules since the driver was loaded, as the hardware counts them.
    pub energy_joules: Option<f64>,
    /// Watts drawn now, as the driver averages them.
    pub power_watts: Option<f64>,
    /// Share of the time since the reading before in which any kernel ran, 0 to 1.
    pub busy: Option<f64>,
    /// Memory in use, by all processes.
    pub memory_used_bytes: Option<u64>,
    /// Memory that there is.
    pub memory_total_bytes: Option<u64>,
    /// Processes with a context here; `None` where the driver does not say (then nobody can tell who uses it).
    pub processes: Option<Vec<GpuProcess>>,
}

/// Why accelerators could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReadFault(pub String);

/// A driver that can be asked.
pub trait GpuSource: Send {
    /// The driver, as people see it: `NVML 580.65`, `amdgpu`.
    fn name(&self) -> String;

    /// Reads every accelerator that is visible. A single counter that fails is `None` in its reading; the error is for when nothing can be read.
    fn read(&mut self) -> Result<Vec<GpuReading>, ReadFault>;
}
