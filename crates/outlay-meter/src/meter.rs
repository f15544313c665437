//! Everything together: what one run used of the machine, from readings over time.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::process::{
    MachineReading, ProcessId, ProcessTree, TreeReading, allotted_cpus, cpu_model, read_machine,
};
use crate::{
    Figure, Gap, GpuAccount, GpuReading, GpuSource, GpuUse, Nvml, Quality, Rapl, ReadFault, Rocm,
    Visible,
};

/// Watts of a processor thread at rest, with its share of the server (Cloud Carbon Footprint, "Appendix I: Energy Coefficients", mean of AWS 0.74, Azure 0.78 and GCP 0.71).
const IDLE_WATTS_PER_CPU: f64 = 0.743;

/// Watts of a processor thread at full load (the same source, mean of 3.50, 3.76 and 4.26).
const FULL_WATTS_PER_CPU: f64 = 3.84;

/// Watts of a gigabyte of memory (the same source, 0.000392 kWh for each gigabyte and hour).
const WATTS_PER_GB: f64 = 0.392;

/// Share of the processors' time above which the rest is the noise of a machine that one run has to itself.
const ALONE: f64 = 0.95;

/// Joules of processors by a model: what those that it may use take at rest, and what its own time takes on top.
///
/// ```
/// // Two processors for ten seconds, one of them busy all the time: 2 * 10 * 0.743 + 10 * (3.84 - 0.743).
/// let joules = outlay_meter::modelled_cpu_joules(2.0, 10.0, 10.0);
/// assert!((joules - 45.83).abs() < 1e-9);
/// ```
#[must_use]
pub fn modelled_cpu_joules(allotted_cpus: f64, elapsed_s: f64, cpu_seconds: f64) -> f64 {
    IDLE_WATTS_PER_CPU * allotted_cpus * elapsed_s
        + (FULL_WATTS_PER_CPU - IDLE_WATTS_PER_CPU) * cpu_seconds.max(0.0)
}

/// Where the kernel and the drivers are read.
#[derive(Clone, Debug)]
pub struct Roots {
    /// Usually `/proc`.
    pub proc: PathBuf,
    /// Usually `/sys`.
    pub sys: PathBuf,
    /// NVIDIA's library, where it is not found by its usual names.
    pub nvml: Option<PathBuf>,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            proc: "/proc".into(),
            sys: "/sys".into(),
            nvml: None,
        }
    }
}

/// What the command may use of the accelerators, as its variables say.
#[derive(Clone, Debug, Default)]
pub struct VisibleGpus {
    /// By `CUDA_VISIBLE_DEVICES`.
    pub nvidia: Visible,
    /// By `HIP_VISIBLE_DEVICES` or `ROCR_VISIBLE_DEVICES`.
    pub amd: Visible,
}

/// What a run used until now. What could not be read is `None`, never zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Seconds from the first reading to the last.
    pub metered_s: f64,
    /// Processor time, in seconds.
    pub cpu_seconds: Option<Figure>,
    /// Processors that it may use.
    pub allotted_cpus: f64,
    /// Most memory that it held at a reading.
    pub memory_peak_bytes: Option<Figure>,
    /// Memory that it held, averaged over time.
    pub memory_mean_bytes: Option<Figure>,
    /// Bytes read from disks.
    pub disk_read_bytes: Option<Figure>,
    /// Bytes written to disks.
    pub disk_written_bytes: Option<Figure>,
    /// Bytes that came over the network to the whole machine or container, whosever they were.
    pub network_received_bytes: Option<Figure>,
    /// Bytes that went over it.
    pub network_sent_bytes: Option<Figure>,
    /// Energy of the processors.
    pub cpu_joules: Option<Figure>,
    /// Energy of the memory.
    pub memory_joules: Option<Figure>,
    /// The accelerators.
    pub gpu: GpuUse,
    /// Times in which the processor's counters could not be read.
    pub gaps: Vec<Gap>,
}

impl Usage {
    /// Energy of all parts that are known.
    #[must_use]
    pub fn joules(&self) -> Option<Figure> {
        [self.cpu_joules, self.memory_joules, self.gpu.energy_joules]
            .into_iter()
            .flatten()
            .reduce(Figure::plus)
    }
}

/// What a meter found on this machine, for people to know what they are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sources {
    /// Drivers of accelerators, or why there are none.
    pub gpus: Vec<String>,
    /// Where the processors' energy comes from.
    pub cpu_energy: String,
    /// The processor's name.
    pub cpu_model: String,
}

/// Reads the machine for one run.
pub struct Meter {
    roots: Roots,
    tree: ProcessTree,
    drivers: Vec<(Box<dyn GpuSource>, GpuAccount)>,
    rapl: Option<Rapl>,
    sources: Sources,
    first: Option<(f64, MachineReading)>,
    last: Option<Reading>,
    usage: Usage,
    memory_byte_seconds: f64,
    memory_seconds: f64,
    watts: Option<f64>,
    gpu_counters: BTreeMap<String, f64>,
    /// When the run began, from which the gaps are counted.
    origin_s: Option<f64>,
}

/// One reading of everything but the accelerators.
#[derive(Clone, Debug)]
struct Reading {
    at_s: f64,
    tree: TreeReading,
    machine: MachineReading,
    package_joules: Option<f64>,
    dram_joules: Option<f64>,
    /// Counters of which something is missing in these sums.
    incomplete: Vec<String>,
}

impl Meter {
    /// Looks for counters, and follows the process `root` and all below it.
    #[must_use]
    pub fn new(roots: &Roots, visible: &VisibleGpus, root: u32) -> Self {
        let mut sources = Sources::default();
        let mut drivers: Vec<(Box<dyn GpuSource>, GpuAccount)> = Vec::new();
        match Nvml::load(roots.nvml.as_deref(), visible.nvidia.clone()) {
            Ok(nvml) => {
                let nvml = nvml.with_proc(&roots.proc);
                sources.gpus.push(nvml.name());
                drivers.push((Box::new(nvml), GpuAccount::new(visible.nvidia.clone())));
            }
            Err(_) => sources.gpus.push("no NVIDIA driver".to_owned()),
        }
        if let Some(rocm) = Rocm::open(&roots.sys, visible.amd.clone()) {
            let rocm = rocm.with_proc(&roots.proc);
            sources.gpus.push(rocm.name());
            drivers.push((Box::new(rocm), GpuAccount::new(visible.amd.clone())));
        }
        let rapl = Rapl::open(&roots.sys);
        sources.cpu_energy = match &rapl {
            Some(rapl) if rapl.is_denied() => {
                "modelled: the package's counter (RAPL) is there, and only root may read it"
                    .to_owned()
            }
            Some(_) => "counter (RAPL), by the run's share of the processors' time".to_owned(),
            None => "modelled from processor time: this machine shows no package counter (RAPL)"
                .to_owned(),
        };
        sources.cpu_model = cpu_model(&roots.proc).unwrap_or_default();
        let rapl = rapl.filter(|rapl| !rapl.is_denied());
        Self {
            tree: ProcessTree::new(&roots.proc, root),
            roots: roots.clone(),
            drivers,
            rapl,
            sources,
            first: None,
            last: None,
            usage: Usage::default(),
            memory_byte_seconds: 0.0,
            memory_seconds: 0.0,
            watts: None,
            gpu_counters: BTreeMap::new(),
            origin_s: None,
        }
    }

    /// Counts the times of gaps from `at_s`, when the run began, rather than from the first reading.
    #[must_use]
    pub fn counted_from(mut self, at_s: f64) -> Self {
        self.origin_s = Some(at_s);
        self
    }

    /// What was found on this machine.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The processes of the run.
    pub fn tree(&mut self) -> &mut ProcessTree {
        &mut self.tree
    }

    /// What the accelerators' energy counters said at the last reading, of those that only this run was on.
    #[must_use]
    pub fn gpu_counters(&self) -> &BTreeMap<String, f64> {
        &self.gpu_counters
    }

    /// Watts that the run drew between the last two readings, where they are known.
    #[must_use]
    pub fn watts(&self) -> Option<f64> {
        self.watts
    }

    /// Reads everything. `at_s` is of a clock that only goes forward.
    pub fn sample(&mut self, at_s: f64) {
        if self.last.as_ref().is_some_and(|last| at_s <= last.at_s) {
            return;
        }
        let before = self.usage.joules();
        let origin_s = *self.origin_s.get_or_insert(at_s);
        match self.read(at_s) {
            Ok(reading) => self.take(reading, origin_s),
            Err(ReadFault(why)) => {
                let from_s = self.last.as_ref().map_or(at_s, |last| last.at_s);
                add_gap(
                    &mut self.usage.gaps,
                    Gap {
                        from_s: from_s - origin_s,
                        to_s: at_s - origin_s,
                        why,
                        filled: None,
                    },
                );
            }
        }
        let tree = &self.tree;
        for (driver, account) in &mut self.drivers {
            let readings: Result<Vec<GpuReading>, ReadFault> = driver.read();
            for reading in readings.iter().flatten() {
                let is_ours_alone = reading.processes.as_ref().is_some_and(|processes| {
                    !processes.is_empty() && processes.iter().all(|one| tree.holds(one.pid))
                });
                match reading
                    .energy_joules
                    .filter(|_| is_ours_alone && reading.parent.is_none())
                {
                    Some(joules) => self.gpu_counters.insert(reading.id.clone(), joules),
                    None => self.gpu_counters.remove(&reading.id),
                };
            }
            account.observe(at_s - origin_s, readings, &|pid| tree.holds(pid));
        }
        self.usage.gpu = together(self.drivers.iter().map(|(_, account)| account.totals()));
        let first_s = self.first.as_ref().map_or(at_s, |(first_s, _)| *first_s);
        let elapsed = at_s - first_s - self.usage.metered_s;
        self.usage.metered_s = at_s - first_s;
        if let (Some(before), Some(now)) = (before, self.usage.joules())
            && elapsed > 0.0
        {
            self.watts = Some(((now.value - before.value) / elapsed).max(0.0));
        }
    }

    fn read(&mut self, at_s: f64) -> Result<Reading, ReadFault> {
        let tree = self.tree.read()?;
        let machine = read_machine(&self.roots.proc)?;
        let mut reading = Reading {
            at_s,
            tree,
            machine,
            package_joules: None,
            dram_joules: None,
            incomplete: Vec::new(),
        };
        if let Some(rapl) = &mut self.rapl
            && let Ok(joules) = rapl.read()
        {
            reading.package_joules = joules.package_joules;
            reading.dram_joules = joules.dram_joules;
            reading.incomplete = joules.incomplete;
        }
        Ok(reading)
    }

    fn take(&mut self, reading: Reading, origin_s: f64) {
        let (_, first) = self
            .first
            .get_or_insert_with(|| (reading.at_s, reading.machine.clone()));
        let usage = &mut self.usage;
        let counter = |value: f64| Figure {
            value,
            quality: Quality::Counter,
        };
        let sampled = |value: f64| Figure {
            value,
            quality: Quality::Sampled,
        };
        usage.allotted_cpus =
            allotted_cpus(&self.roots.proc, &self.roots.sys, reading.machine.n_cpus);
        usage.cpu_seconds = Some(counter(reading.tree.cpu_seconds));
        usage.disk_read_bytes = reading.tree.read_bytes.map(|bytes| counter(bytes as f64));
        usage.disk_written_bytes = reading
            .tree
            .written_bytes
            .map(|bytes| counter(bytes as f64));
        let since =
            |now: Option<u64>, then: Option<u64>| Some(counter(now?.checked_sub(then?)? as f64));
        usage.network_received_bytes = since(reading.machine.received_bytes, first.received_bytes);
        usage.network_sent_bytes = since(reading.machine.sent_bytes, first.sent_bytes);
        if let Some(bytes) = reading.tree.memory_bytes {
            let peak = usage.memory_peak_bytes.map_or(0.0, |peak| peak.value);
            usage.memory_peak_bytes = Some(sampled(peak.max(bytes as f64)));
        }
        if let Some(last) = &self.last {
            let elapsed = reading.at_s - last.at_s;
            let own = reading.tree.cpu_seconds - last.tree.cpu_seconds;
            let busy = reading.machine.busy_seconds - last.machine.busy_seconds;
            // The kernel rounds each process's time by itself; the parts are never more than the whole.
            let share = if busy > 0.0 {
                (own / busy).clamp(0.0, 1.0)
            } else {
                0.0
            };
            // Some of several counters: what they say is a lower bound, until those that failed are back and have gone on.
            if !reading.incomplete.is_empty() {
                add_gap(
                    &mut usage.gaps,
                    Gap {
                        from_s: last.at_s - origin_s,
                        to_s: reading.at_s - origin_s,
                        why: reading.incomplete.join("; "),
                        filled: None,
                    },
                );
            } else if !last.incomplete.is_empty() && reading.package_joules.is_some() {
                let why = last.incomplete.join("; ");
                for gap in usage.gaps.iter_mut().filter(|gap| gap.why == why) {
                    gap.filled = Some(Quality::Counter);
                }
            }
            let of_package = reading.package_joules.zip(last.package_joules);
            let joules = match of_package {
                Some((now, then)) => Figure {
                    value: (now - then) * share,
                    quality: if share >= ALONE {
                        Quality::Counter
                    } else {
                        Quality::Modelled
                    },
                },
                None => {
                    if self.rapl.is_some() {
                        add_gap(
                            &mut usage.gaps,
                            Gap {
                                from_s: last.at_s - origin_s,
                                to_s: reading.at_s - origin_s,
                                why: "the package's energy counter could not be read".to_owned(),
                                filled: Some(Quality::Modelled),
                            },
                        );
                    }
                    Figure {
                        value: modelled_cpu_joules(usage.allotted_cpus, elapsed, own),
                        quality: Quality::Modelled,
                    }
                }
            };
            usage.cpu_joules = add(usage.cpu_joules, joules);
            if let (Some(bytes), Some(before)) = (reading.tree.memory_bytes, last.tree.memory_bytes)
            {
                let byte_seconds = (bytes as f64 + before as f64) / 2.0 * elapsed;
                self.memory_byte_seconds += byte_seconds;
                self.memory_seconds += elapsed;
                usage.memory_mean_bytes =
                    Some(sampled(self.memory_byte_seconds / self.memory_seconds));
                // By what the run holds, not by what the machine has: the rest is for others to pay.
                let of_dram = reading
                    .dram_joules
                    .zip(last.dram_joules)
                    .zip(reading.machine.memory_used_bytes.filter(|used| *used > 0));
                let joules = match of_dram {
                    Some(((now, then), used)) => {
                        (now - then) * (bytes as f64 / used as f64).clamp(0.0, 1.0)
                    }
                    None => WATTS_PER_GB * byte_seconds / 1e9,
                };
                usage.memory_joules = add(
                    usage.memory_joules,
                    Figure {
                        value: joules,
                        quality: Quality::Modelled,
                    },
                );
            }
        }
        self.last = Some(reading);
    }

    /// Takes the processor time that the kernel gave for all of the run at its end, where it is more than was seen.
    ///
    /// The next reading, which is to be the last, counts it, and the energy that goes with it.
    pub fn finish(&mut self, cpu_seconds: Option<f64>) {
        let Some(all) = cpu_seconds else { return };
        self.tree.count_at_least(all);
        if let Some(seen) = &mut self.usage.cpu_seconds {
            seen.value = seen.value.max(all);
        }
    }

    /// What the run used until the last reading.
    #[must_use]
    pub fn usage(&self) -> &Usage {
        &self.usage
    }
}

/// Adds a gap: one for as long as the reason stays.
fn add_gap(gaps: &mut Vec<Gap>, gap: Gap) {
    match gaps.last_mut() {
        Some(last)
            if last.why == gap.why && last.filled == gap.filled && last.to_s >= gap.from_s =>
        {
            last.to_s = gap.to_s;
        }
        _ => gaps.push(gap),
    }
}

fn add(sum: Option<Figure>, more: Figure) -> Option<Figure> {
    Some(sum.map_or(more, |sum| sum.plus(more)))
}

/// Puts the accounts of several drivers into one.
fn together(accounts: impl Iterator<Item = GpuUse>) -> GpuUse {
    accounts
        .reduce(|mut all, one| {
            all.accelerators.extend(one.accelerators);
            all.energy_joules = match (all.energy_joules, one.energy_joules) {
                (Some(all), Some(one)) => Some(all.plus(one)),
                (all, one) => all.or(one),
            };
            all.complete &= one.complete;
            all.gaps.extend(one.gaps);
            all
        })
        .unwrap_or(GpuUse {
            complete: true,
            ..GpuUse::default()
        })
}

/// Sends a signal to every process of a run but the one that the tree begins with: the keeper stays, to see how it ends.
///
/// Returns how many there were.
#[cfg(unix)]
pub fn signal_all(tree: &mut ProcessTree, signal: nix::sys::signal::Signal) -> usize {
    // Whoever was started since the last reading is found now.
    let _ = tree.read();
    let living = tree.living();
    send(&living, signal);
    living.len()
}

/// Does what a pipe would that nobody reads any more: ends those who have written to the file since the last reading, but for those who ignore it.
#[cfg(unix)]
pub fn break_pipe(tree: &mut ProcessTree, file: &std::path::Path) {
    send(&tree.writers_to(file), nix::sys::signal::Signal::SIGPIPE);
}

#[cfg(unix)]
fn send(processes: &[ProcessId], signal: nix::sys::signal::Signal) {
    for process in processes {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(process.pid as i32), signal);
    }
}
