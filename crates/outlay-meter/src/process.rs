//! A command and everything that it started, and the machine beside them, from `/proc`.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::ReadFault;

/// Ticks in a second, in which the kernel gives times to users; 100 on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// What most files of the kernel's are shorter than.
const TEXT_BYTES: usize = 4096;

/// Readings after which all processes are looked at anew: a number may have gone to another process.
const LOOK_AT_ALL_EVERY: u32 = 30;

/// What the processes of a run use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TreeReading {
    /// The processes that live.
    pub pids: BTreeSet<u32>,
    /// Processor time of all of them, and of all that ended and were waited for, in seconds since they began.
    pub cpu_seconds: f64,
    /// Memory that they hold. Pages that forked processes still share are counted for each.
    pub memory_bytes: Option<u64>,
    /// Bytes that they had read from disks.
    pub read_bytes: Option<u64>,
    /// Bytes that they caused to be written to disks.
    pub written_bytes: Option<u64>,
}

/// What the whole machine, or the container, did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MachineReading {
    /// Processor time that all processes used, in seconds since the machine started.
    pub busy_seconds: f64,
    /// Processors that there are.
    pub n_cpus: u32,
    /// Memory in use.
    pub memory_used_bytes: Option<u64>,
    /// Memory that there is.
    pub memory_total_bytes: Option<u64>,
    /// Bytes that came over the network, on every interface but the loopback.
    pub received_bytes: Option<u64>,
    /// Bytes that went over it.
    pub sent_bytes: Option<u64>,
}

/// Reads a file of the kernel's: with room for all of it, so that it takes as few calls as there can be.
fn read_text(path: impl AsRef<Path>) -> std::io::Result<String> {
    let mut text = String::with_capacity(TEXT_BYTES);
    let file = fs::File::open(path)?;
    // These have no length to be asked for first.
    file.take(u64::MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// One process, from its line of `stat`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    parent: u32,
    is_zombie: bool,
    /// Ticks, its own and those of children that it waited for.
    ticks: u64,
    started_ticks: u64,
}

/// Reads the fields of a `stat` line that are needed. The name stands in parentheses and may hold anything.
fn parse_stat(text: &str) -> Option<Stat> {
    let rest = &text[text.rfind(')')? + 1..];
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    // Counted from the state, the third field in proc(5).
    Some(Stat {
        parent: number(1)? as u32,
        is_zombie: matches!(fields.first(), Some(&"Z" | &"X")),
        ticks: number(11)? + number(12)? + number(13)? + number(14)?,
        started_ticks: number(19)?,
    })
}

/// A process that cannot be mistaken for a later one with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// When it was started, in ticks since the machine was.
    pub started_ticks: u64,
}

impl ProcessId {
    /// The process that has this number now.
    #[must_use]
    pub fn of(proc: &Path, pid: u32) -> Option<Self> {
        let stat = parse_stat(&read_text(proc.join(pid.to_string()).join("stat")).ok()?)?;
        (!stat.is_zombie).then_some(Self {
            pid,
            started_ticks: stat.started_ticks,
        })
    }

    /// Whether it still lives.
    #[must_use]
    pub fn lives(self, proc: &Path) -> bool {
        Self::of(proc, self.pid) == Some(self)
    }
}

/// Follows a command and everything that it started.
#[derive(Debug)]
pub struct ProcessTree {
    proc: PathBuf,
    root: u32,
    /// A process whose children are all of the run.
    foster: Option<u32>,
    /// Processes that are known to be of the run, by when they started: they stay so when their parents are gone.
    known: HashMap<u32, u64>,
    /// Processes that are none of the run, as were all above them: they stay so.
    strangers: HashSet<u32>,
    /// Readings since all strangers were looked at.
    n_readings: u32,
    /// Bytes that each had written at the last reading, to whatever.
    written: HashMap<u32, u64>,
    last: TreeReading,
}

impl ProcessTree {
    /// Follows the process `root` and all below it.
    #[must_use]
    pub fn new(proc: &Path, root: u32) -> Self {
        Self {
            proc: proc.to_path_buf(),
            root,
            foster: None,
            known: HashMap::new(),
            strangers: HashSet::new(),
            n_readings: 0,
            written: HashMap::new(),
            last: TreeReading::default(),
        }
    }

    /// Takes in every child of `foster` from now on, such as what came to the meter when the keeper was killed.
    pub fn take_in_children_of(&mut self, foster: u32) {
        self.foster = Some(foster);
    }

    /// Takes in processes that are known to be of the run, as from an earlier meter.
    pub fn adopt(&mut self, processes: &[ProcessId]) {
        for process in processes {
            if process.lives(&self.proc) {
                self.known.insert(process.pid, process.started_ticks);
            }
        }
    }

    /// Takes in the processor time that the kernel gave for all of the run at its end, where it is more than was seen.
    pub fn count_at_least(&mut self, cpu_seconds: f64) {
        self.last.cpu_seconds = self.last.cpu_seconds.max(cpu_seconds);
    }

    /// Whether a process is, or was, of the run.
    #[must_use]
    pub fn holds(&self, pid: u32) -> bool {
        self.known.contains_key(&pid)
    }

    /// Reads what they use now.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot be listed.
    pub fn read(&mut self) -> Result<TreeReading, ReadFault> {
        let mut stats = HashMap::new();
        let mut strangers = std::mem::take(&mut self.strangers);
        if self.n_readings.is_multiple_of(LOOK_AT_ALL_EVERY) {
            strangers.clear();
        }
        self.n_readings = self.n_readings.wrapping_add(1);
        let entries = fs::read_dir(&self.proc)
            .map_err(|error| ReadFault(format!("{}: {error}", self.proc.display())))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            if strangers.contains(&pid) && !self.known.contains_key(&pid) {
                self.strangers.insert(pid);
                continue;
            }
            // One that ends between listing and reading is no failure.
            if let Some(stat) = read_text(entry.path().join("stat"))
                .ok()
                .and_then(|text| parse_stat(&text))
            {
                stats.insert(pid, stat);
            }
        }
        self.known.retain(|pid, started| {
            stats
                .get(pid)
                .is_some_and(|stat| stat.started_ticks == *started)
        });
        if let Some(stat) = stats.get(&self.root) {
            self.known.insert(self.root, stat.started_ticks);
        }
        // Children of the known are known; a child may have a smaller number than its parent, so until nothing is added.
        loop {
            let before = self.known.len();
            for (pid, stat) in &stats {
                if self.known.contains_key(&stat.parent) || self.foster == Some(stat.parent) {
                    self.known.insert(*pid, stat.started_ticks);
                }
            }
            if self.known.len() == before {
                break;
            }
        }
        self.tell_strangers(&stats);
        self.written.clear();
        let mut reading = TreeReading::default();
        let (mut ticks, mut anonymous, mut shared) = (0, None, 0);
        for pid in self.known.keys() {
            let Some(stat) = stats.get(pid) else { continue };
            ticks += stat.ticks;
            if stat.is_zombie {
                continue;
            }
            reading.pids.insert(*pid);
            // Who only waits for the command is no part of what it holds.
            if *pid == self.root {
                continue;
            }
            let folder = self.proc.join(pid.to_string());
            if let Some((resident, own)) = memory(&folder) {
                *anonymous.get_or_insert(0) += own;
                shared = shared.max(resident.saturating_sub(own));
            }
            if let Some(bytes) = moved_bytes(&folder) {
                *reading.read_bytes.get_or_insert(0) += bytes.read_from_disk;
                *reading.written_bytes.get_or_insert(0) += bytes.written_to_disk;
                self.written.insert(*pid, bytes.written);
            }
        }
        reading.memory_bytes = anonymous.map(|own| own + shared);
        // What ended without being waited for takes its counts along; a count never goes back.
        let not_less = |now: Option<u64>, last: Option<u64>| now.max(last);
        reading.cpu_seconds = (ticks as f64 / TICKS_PER_SECOND).max(self.last.cpu_seconds);
        reading.read_bytes = not_less(reading.read_bytes, self.last.read_bytes);
        reading.written_bytes = not_less(reading.written_bytes, self.last.written_bytes);
        self.last = reading.clone();
        Ok(reading)
    }

    /// Takes those for strangers whose parents are, from the first processes down. Of whom nobody above is known, nothing is said yet.
    fn tell_strangers(&mut self, stats: &HashMap<u32, Stat>) {
        loop {
            let before = self.strangers.len();
            for (pid, stat) in stats {
                if !self.known.contains_key(pid)
                    && self.foster != Some(*pid)
                    && (stat.parent == 0 || self.strangers.contains(&stat.parent))
                {
                    self.strangers.insert(*pid);
                }
            }
            if self.strangers.len() == before {
                break;
            }
        }
    }

    /// Processes that have a file as their standard output or error, and have written since the last reading. It reads anew.
    #[cfg(unix)]
    #[must_use]
    pub fn writers_to(&mut self, file: &Path) -> Vec<ProcessId> {
        let before = self.written.clone();
        let (Ok(_), Ok(file)) = (self.read(), fs::metadata(file)) else {
            return Vec::new();
        };
        let mut writers = self.living();
        writers.retain(|process| {
            let then = before.get(&process.pid).copied().unwrap_or(0);
            let now = self.written.get(&process.pid).copied();
            // Whose count may not be read may have written.
            now.is_none_or(|now| now > then)
                && ["1", "2"].iter().any(|number| {
                    let path = self
                        .proc
                        .join(process.pid.to_string())
                        .join("fd")
                        .join(number);
                    fs::metadata(path).is_ok_and(|open| is_same(&open, &file))
                })
        });
        writers
    }

    /// The processes that live, but for the one that the tree begins with.
    #[must_use]
    pub fn living(&self) -> Vec<ProcessId> {
        self.known
            .iter()
            .map(|(pid, started_ticks)| ProcessId {
                pid: *pid,
                started_ticks: *started_ticks,
            })
            .filter(|process| process.pid != self.root && process.lives(&self.proc))
            .collect()
    }
}

/// Bytes of memory that a process holds, and those of them that belong to no file and are not shared by name.
fn memory(folder: &Path) -> Option<(u64, u64)> {
    let text = read_text(folder.join("status")).ok()?;
    let kib = |name: &str| -> Option<u64> {
        let value = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(
            value
                .trim()
                .strip_suffix("kB")?
                .trim()
                .parse::<u64>()
                .ok()?
                * 1024,
        )
    };
    Some((kib("VmRSS:")?, kib("RssAnon:")?))
}

/// Bytes that a process moved.
struct Moved {
    read_from_disk: u64,
    written_to_disk: u64,
    /// To whatever.
    written: u64,
}

fn moved_bytes(folder: &Path) -> Option<Moved> {
    let text = read_text(folder.join("io")).ok()?;
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    };
    Some(Moved {
        read_from_disk: field("read_bytes:")?,
        written_to_disk: field("write_bytes:")?,
        written: field("wchar:")?,
    })
}

/// Whether two paths lead to the same file.
#[cfg(unix)]
fn is_same(a: &fs::Metadata, b: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Reads what the machine did.
///
/// # Errors
///
/// When the processors' times cannot be read; everything else that cannot be is `None`.
pub fn read_machine(proc: &Path) -> Result<MachineReading, ReadFault> {
    let path = proc.join("stat");
    let text =
        read_text(&path).map_err(|error| ReadFault(format!("{}: {error}", path.display())))?;
    let all = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("cpu "))
        .ok_or_else(|| ReadFault(format!("{}: no line of all processors", path.display())))?;
    let times: Vec<u64> = all
        .split_ascii_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal guest guest_nice; guests' time is within user's.
    let busy: u64 = times
        .iter()
        .take(7)
        .enumerate()
        .filter(|(at, _)| *at != 3 && *at != 4)
        .map(|(_, ticks)| ticks)
        .sum();
    let n_cpus = text
        .lines()
        .filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "))
        .count();
    let memory = read_text(proc.join("meminfo")).unwrap_or_default();
    let kib = |name: &str| -> Option<u64> {
        let value = memory.lines().find_map(|line| line.strip_prefix(name))?;
        Some(
            value
                .trim()
                .strip_suffix("kB")?
                .trim()
                .parse::<u64>()
                .ok()?
                * 1024,
        )
    };
    let total = kib("MemTotal:");
    let network = read_text(proc.join("net/dev")).ok();
    let bytes = |at: usize| -> Option<u64> {
        let interfaces = network
            .as_ref()?
            .lines()
            .filter_map(|line| line.split_once(':'));
        Some(
            interfaces
                .filter(|(name, _)| name.trim() != "lo")
                .filter_map(|(_, counts)| {
                    counts.split_ascii_whitespace().nth(at)?.parse::<u64>().ok()
                })
                .sum(),
        )
    };
    Ok(MachineReading {
        busy_seconds: busy as f64 / TICKS_PER_SECOND,
        n_cpus: n_cpus as u32,
        memory_used_bytes: total
            .zip(kib("MemAvailable:"))
            .map(|(total, free)| total.saturating_sub(free)),
        memory_total_bytes: total,
        received_bytes: bytes(0),
        sent_bytes: bytes(8),
    })
}

/// Seconds since the machine was started, of a clock that only goes forward, also while it sleeps.
#[must_use]
pub fn uptime_seconds(proc: &Path) -> Option<f64> {
    let text = read_text(proc.join("uptime")).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// What names this start of the machine: counters of another cannot be compared with its own.
#[must_use]
pub fn boot_id(proc: &Path) -> Option<String> {
    let text = read_text(proc.join("sys/kernel/random/boot_id")).ok()?;
    Some(text.trim().to_owned())
}

/// The processor's name.
#[must_use]
pub fn cpu_model(proc: &Path) -> Option<String> {
    let text = read_text(proc.join("cpuinfo")).ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Processors that a command may use: those that it may run on, within the limit of its control group.
#[must_use]
pub fn allotted_cpus(proc: &Path, sys: &Path, n_cpus: u32) -> f64 {
    let status = read_text(proc.join("self/status")).unwrap_or_default();
    let may_run_on = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .map(|list| count_listed(list.trim()))
        .filter(|n| *n > 0)
        .unwrap_or(n_cpus);
    let group = read_text(proc.join("self/cgroup")).unwrap_or_default();
    let path = group
        .lines()
        .find_map(|line| line.strip_prefix("0::/"))
        .unwrap_or_default();
    let limit = read_text(sys.join("fs/cgroup").join(path).join("cpu.max"))
        .ok()
        .and_then(|text| {
            let (quota, period) = text.trim().split_once(' ')?;
            Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
        });
    let cpus = f64::from(may_run_on.min(n_cpus.max(1)));
    limit.map_or(cpus, |limit| limit.min(cpus))
}

/// How many numbers a list such as `0-3,8` has.
fn count_listed(list: &str) -> u32 {
    list.split(',')
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
            last.checked_sub(first).map(|more| more.saturating_add(1))
        })
        .fold(0, u32::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A process of a made-up `/proc`.
    fn process(proc: &Path, pid: u32, parent: u32, name: &str, ticks: [u64; 4], started: u64) {
        let folder = proc.join(pid.to_string());
        fs::create_dir_all(&folder).expect("a folder");
        let [own, system, children, of_children] = ticks;
        let line = format!(
            "{pid} ({name}) S {parent} 77 77 0 -1 4194304 1 2 3 4 {own} {system} {children} {of_children} 20 0 1 0 {started} 1000 10"
        );
        fs::write(folder.join("stat"), line).expect("writes");
        fs::write(
            folder.join("status"),
            "Name: x\nVmRSS:\t  300 kB\nRssAnon:\t  200 kB\n",
        )
        .expect("writes");
        fs::write(
            folder.join("io"),
            "rchar: 9\nwchar: 5\nread_bytes: 4096\nwrite_bytes: 8192\n",
        )
        .expect("writes");
    }

    #[test]
    fn counts_children_and_grandchildren_and_those_that_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let proc = folder.path();
        process(proc, 10, 1, "keeper", [1, 0, 100, 0], 5);
        process(proc, 11, 10, "python (x) S 1", [200, 50, 0, 0], 6);
        process(proc, 9, 11, "worker", [30, 0, 0, 0], 7);
        process(proc, 12, 1, "other", [999, 0, 0, 0], 7);
        let mut tree = ProcessTree::new(proc, 10);
        let reading = tree.read().expect("reads");
        assert_eq!(reading.pids, BTreeSet::from([9, 10, 11]));
        assert!((reading.cpu_seconds - 3.81).abs() < 1e-9);
        // Twice 200 KiB of their own, and 100 that they share; the keeper's are not the command's.
        assert_eq!(reading.memory_bytes, Some(500 * 1024));
        assert_eq!(
            (reading.read_bytes, reading.written_bytes),
            (Some(8_192), Some(16_384))
        );

        // The middle one is gone, and nobody waited for it: its child stays, and nothing is counted back.
        fs::remove_dir_all(proc.join("11")).expect("removes");
        process(proc, 9, 1, "worker", [40, 0, 0, 0], 7);
        let reading = tree.read().expect("reads");
        assert_eq!(reading.pids, BTreeSet::from([9, 10]));
        assert!((reading.cpu_seconds - 3.81).abs() < 1e-9);
        // Another process that got the number of one that ended is none of the run's.
        process(proc, 9, 1, "stranger", [500, 0, 0, 0], 99);
        assert_eq!(tree.read().expect("reads").pids, BTreeSet::from([10]));
        assert!(!tree.holds(9));
    }

    #[test]
    fn strangers_are_not_looked_at_each_time_and_who_is_new_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let proc = folder.path();
        process(proc, 1, 0, "init", [9, 0, 0, 0], 1);
        process(proc, 10, 1, "keeper", [1, 0, 0, 0], 5);
        process(proc, 12, 1, "other", [9, 0, 0, 0], 7);
        // Nobody knows yet whose child this is.
        process(proc, 14, 13, "waif", [9, 0, 0, 0], 7);
        let mut tree = ProcessTree::new(proc, 10);
        assert_eq!(tree.read().expect("reads").pids, BTreeSet::from([10]));
        assert_eq!(tree.strangers, HashSet::from([1, 12]));
        process(proc, 11, 10, "python", [1, 0, 0, 0], 8);
        process(proc, 13, 11, "worker", [1, 0, 0, 0], 9);
        // The number of one that ended went to one of the run's: it is found in time.
        process(proc, 12, 10, "python", [1, 0, 0, 0], 10);
        let ours = BTreeSet::from([10, 11, 13, 14]);
        assert_eq!(tree.read().expect("reads").pids, ours);
        for _ in 0..LOOK_AT_ALL_EVERY {
            let _ = tree.read();
        }
        assert!(tree.read().expect("reads").pids.contains(&12));
    }

    #[test]
    fn reads_this_machine() {
        let proc = Path::new("/proc");
        if !proc.join("stat").exists() {
            return;
        }
        let machine = read_machine(proc).expect("reads");
        assert!(machine.n_cpus > 0 && machine.busy_seconds > 0.0);
        assert!(machine.memory_used_bytes < machine.memory_total_bytes);
        let me = std::process::id();
        let mut tree = ProcessTree::new(proc, me);
        assert!(tree.read().expect("reads").pids.contains(&me));
        let id = ProcessId::of(proc, me).expect("lives");
        assert!(id.lives(proc));
        assert!(
            !ProcessId {
                pid: me,
                started_ticks: 1
            }
            .lives(proc)
        );
        assert!(allotted_cpus(proc, Path::new("/sys"), machine.n_cpus) > 0.0);
        assert!(uptime_seconds(proc) > Some(0.0) && boot_id(proc).is_some());
    }

    #[test]
    fn counts_lists_of_processors() {
        for (list, n) in [("0-3,8", 5), ("0", 1), ("", 0), ("7-3", 0), ("x", 0)] {
            assert_eq!(count_listed(list), n, "{list}");
        }
    }

    proptest! {
        #[test]
        fn no_line_is_too_strange(text in ".*") {
            let _ = (parse_stat(&text), count_listed(&text));
        }
    }
}
