//! NVIDIA accelerators, through NVML, the library that comes with the driver.
//!
//! What the safe wrapper leaves out: the GPU instance id of a MIG slice, and process lists of drivers before 510.
//! What NVML itself leaves out: energy, power and busy shares of single slices.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::{Path, PathBuf},
};

use nvml_wrapper::{
    Device,
    enums::device::UsedGpuMemory,
    error::NvmlError,
    struct_wrappers::device::{ProcessInfo, ProcessUtilizationSample},
};

use crate::{GpuProcess, GpuReading, GpuSource, ReadFault, Visible, gpu};

/// Where the driver's library is looked for; the last is where WSL has it.
#[cfg(target_os = "linux")]
const USUAL_LIBRARIES: &[&str] = &[
    "libnvidia-ml.so.1",
    "libnvidia-ml.so",
    "/usr/lib/wsl/lib/libnvidia-ml.so.1",
];
#[cfg(not(target_os = "linux"))]
const USUAL_LIBRARIES: &[&str] = &["nvml.dll"];

/// NVML's numbers for the GPU instance profiles of 8 and fewer slices (`NVML_GPU_INSTANCE_PROFILE_*_SLICE`).
#[cfg(target_os = "linux")]
const SLICE_PROFILES: std::ops::RangeInclusive<u32> = 0..=6;

/// The accelerators of an NVIDIA driver.
pub struct Nvml {
    nvml: nvml_wrapper::Nvml,
    visible: Visible,
    proc_root: Option<PathBuf>,
    /// By id, the time of the last process sample that was seen, in the driver's microseconds.
    last_samples: BTreeMap<String, u64>,
    /// Every accelerator and slice seen so far, so that one that is lost does not shift the meaning of the visible list.
    roster: BTreeMap<String, GpuReading>,
}

/// An accelerator or a slice, before its counters are read.
struct Found<'nvml> {
    device: Device<'nvml>,
    /// For a slice, the accelerator that it is part of.
    whole: Option<Device<'nvml>>,
    identity: GpuReading,
}

impl Nvml {
    /// Loads the driver's library: the given file, or one of the usual names.
    ///
    /// Fails where there is no driver, which most machines have none of.
    pub fn load(library: Option<&Path>, visible: Visible) -> Result<Self, ReadFault> {
        let nvml = match library {
            Some(path) => open(path),
            None => open_usual(),
        };
        let nvml = nvml.map_err(|error| fault("load the driver's library", &error))?;
        Ok(Self {
            nvml,
            visible,
            proc_root: None,
            last_samples: BTreeMap::new(),
            roster: BTreeMap::new(),
        })
    }

    /// Also says of each process whether it is in a `/proc` (see [`GpuProcess::in_view`]).
    #[must_use]
    pub fn with_proc(mut self, proc_root: &Path) -> Self {
        self.proc_root = Some(proc_root.to_owned());
        self
    }
}

impl GpuSource for Nvml {
    fn name(&self) -> String {
        match self.nvml.sys_driver_version() {
            Ok(version) => format!("NVML {version}"),
            Err(_) => "NVML".to_owned(),
        }
    }

    fn read(&mut self) -> Result<Vec<GpuReading>, ReadFault> {
        let count = self.nvml.device_count();
        let count = count.map_err(|error| fault("count the accelerators", &error))?;
        let mut first_error = None;
        let mut found = Vec::new();
        for index in 0..count {
            match find(&self.nvml, index, &self.roster) {
                Ok(here) => found.extend(here),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        for Found { identity, .. } in &found {
            self.roster.insert(identity.id.clone(), identity.clone());
        }
        let present: Vec<_> = self.roster.values().cloned().collect();
        let visible = self.visible.among(&present);
        found.retain(|found| visible.shows(&found.identity));

        let mut readings = Vec::new();
        for found in found {
            match found.read(&mut self.last_samples, self.proc_root.as_deref()) {
                Some(reading) => readings.push(reading),
                None => {
                    first_error.get_or_insert(NvmlError::GpuLost);
                }
            }
        }
        match first_error {
            Some(error) if readings.is_empty() => Err(fault("read any accelerator", &error)),
            _ => Ok(readings),
        }
    }
}

impl Found<'_> {
    /// Reads all counters; `None` when the accelerator has fallen off the bus.
    fn read(
        self,
        last_samples: &mut BTreeMap<String, u64>,
        proc_root: Option<&Path>,
    ) -> Option<GpuReading> {
        let Self {
            device,
            whole,
            identity,
        } = self;
        let mut counters = Counters::default();
        let meter = whole.as_ref().unwrap_or(&device);
        let millijoules = counters.take(meter.total_energy_consumption());
        let milliwatts = counters.take(meter.power_usage());
        let rates = counters.take(device.utilization_rates());
        let memory = counters.take(device.memory_info());
        let mut processes = counters.processes(&device);
        // The driver keeps no such samples while an accelerator is in slices.
        if whole.is_none()
            && let Some(processes) = &mut processes
        {
            counters.add_busy(&device, last_samples.entry(identity.id.clone()), processes);
        }
        for process in processes.iter_mut().flatten() {
            process.in_view = gpu::in_view(proc_root, process.pid);
        }
        (!counters.is_lost).then_some(GpuReading {
            energy_joules: millijoules.map(|millijoules| millijoules as f64 / 1e3),
            power_watts: milliwatts.map(|milliwatts| f64::from(milliwatts) / 1e3),
            busy: rates.map(|rates| share(rates.gpu)),
            memory_used_bytes: memory.as_ref().map(|memory| memory.used),
            memory_total_bytes: memory.as_ref().map(|memory| memory.total),
            processes,
            ..identity
        })
    }
}

/// Reads counters one by one, each of which may fail alone.
#[derive(Default)]
struct Counters {
    is_lost: bool,
}

impl Counters {
    fn take<T>(&mut self, result: Result<T, NvmlError>) -> Option<T> {
        self.is_lost |= matches!(result, Err(NvmlError::GpuLost));
        result.ok()
    }

    /// Lists each process once, though it may compute, draw, and do so through the multi-process service.
    fn processes(&mut self, device: &Device<'_>) -> Option<Vec<GpuProcess>> {
        // Without this list nothing is known: not even that there is no process.
        let mut listed = self.take(device.running_compute_processes())?;
        for also in [
            device.running_graphics_processes(),
            device.mps_running_compute_processes(),
        ] {
            listed.extend(self.take(also).into_iter().flatten());
        }
        Some(unify(listed))
    }

    /// Adds each process's busy share since the reading before; there is none at the first, where samples are of an unknown time before.
    fn add_busy(
        &mut self,
        device: &Device<'_>,
        last_sample: Entry<'_, String, u64>,
        processes: &mut [GpuProcess],
    ) {
        let is_first = matches!(last_sample, Entry::Vacant(_));
        let last_sample = last_sample.or_default();
        let samples = match device.process_utilization_stats(*last_sample) {
            // How the driver says that no process did anything.
            Err(NvmlError::NotFound) => Some(Vec::new()),
            result => self.take(result),
        };
        let Some(samples) = samples else {
            return;
        };
        *last_sample = samples
            .iter()
            .map(|sample| sample.timestamp)
            .fold(*last_sample, u64::max);
        if !is_first {
            for process in processes {
                process.busy = Some(mean_busy(&samples, process.pid));
            }
        }
    }
}

/// The mean over a process's samples; the driver has none of a process that did nothing.
fn mean_busy(samples: &[ProcessUtilizationSample], pid: u32) -> f64 {
    // Some drivers fill a sample with rubbish when the counter was being reset.
    let shares: Vec<f64> = samples
        .iter()
        .filter(|sample| sample.pid == pid && sample.sm_util <= 100)
        .map(|sample| share(sample.sm_util))
        .collect();
    if shares.is_empty() {
        return 0.0;
    }
    shares.iter().sum::<f64>() / shares.len() as f64
}

fn unify(listed: Vec<ProcessInfo>) -> Vec<GpuProcess> {
    let mut processes: BTreeMap<u32, GpuProcess> = BTreeMap::new();
    for info in listed {
        let memory_bytes = match info.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        };
        let process = processes.entry(info.pid).or_insert(GpuProcess {
            pid: info.pid,
            memory_bytes: None,
            busy: None,
            in_view: None,
        });
        // Each list has all memory of the process, so the figures are not to be added; in slices, each slice is asked alone.
        process.memory_bytes = process.memory_bytes.max(memory_bytes);
    }
    processes.into_values().collect()
}

/// An accelerator, or its slices where it is in MIG mode.
fn find<'nvml>(
    nvml: &'nvml nvml_wrapper::Nvml,
    index: u32,
    roster: &BTreeMap<String, GpuReading>,
) -> Result<Vec<Found<'nvml>>, NvmlError> {
    let device = nvml.device_by_index(index)?;
    let id = device.uuid()?;
    let name = device
        .name()
        .unwrap_or_else(|_| "NVIDIA accelerator".to_owned());
    let is_sliced = match device.mig_mode() {
        Ok(mode) => mode.current == 1,
        // Taking the whole for what was in slices a moment ago would give its energy out a second time.
        Err(error)
            if roster
                .values()
                .any(|known| known.parent.as_ref() == Some(&id)) =>
        {
            return Err(error);
        }
        Err(_) => false,
    };
    if !is_sliced {
        let identity = GpuReading {
            id,
            index,
            name,
            ..GpuReading::default()
        };
        return Ok(vec![Found {
            device,
            whole: None,
            identity,
        }]);
    }
    let n_slices = n_slices(&device);
    let mut found = Vec::new();
    for place in 0..device.mig_device_count()? {
        // Places are not filled in order, and one that this user may not see is no different from an empty one.
        let Ok(slice) = device.mig_device_by_index(place) else {
            continue;
        };
        let slice_id = match slice.uuid() {
            Ok(slice_id) => slice_id,
            Err(NvmlError::GpuLost) => return Err(NvmlError::GpuLost),
            // It was taken apart just now; the others are still there.
            Err(_) => continue,
        };
        let identity = GpuReading {
            id: slice_id,
            index,
            name: slice.name().unwrap_or_else(|_| format!("{name} slice")),
            parent: Some(id.clone()),
            slice_share: slice
                .attributes()
                .ok()
                .zip(n_slices)
                .map(|(attributes, n_slices)| {
                    (f64::from(attributes.compute_instance_slice_count) / f64::from(n_slices))
                        .min(1.0)
                }),
            ..GpuReading::default()
        };
        found.push(Found {
            device: slice,
            whole: Some(nvml.device_by_index(index)?),
            identity,
        });
    }
    Ok(found)
}

/// How many compute slices the whole accelerator has: those of its largest profile (7 on A100 and H100, 4 on A30).
#[cfg(target_os = "linux")]
fn n_slices(device: &Device<'_>) -> Option<u32> {
    SLICE_PROFILES
        .filter_map(|profile| device.profile_info(profile).ok())
        .map(|profile| profile.slice_count)
        .filter(|n_slices| *n_slices > 0)
        .max()
}

#[cfg(not(target_os = "linux"))]
fn n_slices(_device: &Device<'_>) -> Option<u32> {
    None
}

fn open(library: &Path) -> Result<nvml_wrapper::Nvml, NvmlError> {
    nvml_wrapper::Nvml::builder()
        .lib_path(library.as_os_str())
        .init()
}

/// Opens the first usual library that is there; the error is that of the first, which people know.
fn open_usual() -> Result<nvml_wrapper::Nvml, NvmlError> {
    let mut first_error = None;
    for library in USUAL_LIBRARIES {
        match open(Path::new(library)) {
            Err(error @ NvmlError::LibloadingError(_)) => {
                first_error.get_or_insert(error);
            }
            opened => return opened,
        }
    }
    Err(first_error.unwrap_or(NvmlError::LibraryNotFound))
}

/// A percentage of the driver, which is now and then above a hundred, as a share.
fn share(percent: u32) -> f64 {
    f64::from(percent.min(100)) / 100.0
}

fn fault(what: &str, error: &NvmlError) -> ReadFault {
    ReadFault(format!("NVML: failed to {what}: {error}"))
}
