//! Energy of the processor packages and of the memory beside them, as the kernel's powercap tree counts it.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use crate::ReadFault;

/// The counters of a machine (RAPL), read from sysfs.
///
/// A counter wraps after some minutes at full load (262 kJ on many), so it has to be read more often than that: two wraps look like one.
pub struct Rapl {
    domains: Vec<Domain>,
    read_text: ReadText,
}

/// Joules since the counters were opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RaplReading {
    /// Of all processor packages; `None` where there is no such counter.
    pub package_joules: Option<f64>,
    /// Of the memory that has its own counter; `None` where there is none. Never part of the packages' figure.
    pub dram_joules: Option<f64>,
    /// Counters of which something is missing, and why; the sums above are then lower bounds.
    pub incomplete: Vec<String>,
}

/// How a file is read; tests hand in another, because nothing is forbidden to root.
type ReadText = fn(&Path) -> io::Result<String>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Package,
    Dram,
}

struct Domain {
    /// Such as `package-0`, or `package-0 dram`.
    name: String,
    kind: Kind,
    energy_file: PathBuf,
    range_microjoules: Option<u64>,
    /// The counter at the last reading that worked.
    last_microjoules: Option<u64>,
    used_microjoules: u64,
    /// Why energy is lost for good.
    lost: Option<String>,
    /// Why the last reading did not work.
    fault: Option<io::ErrorKind>,
}

impl Rapl {
    /// Opens the counters below a sysfs root (`/sys`); `None` where the machine has none.
    ///
    /// Counters that are there but may not be read are `Some`, with [`Rapl::is_denied`].
    pub fn open(sys: &Path) -> Option<Self> {
        Self::open_with(sys, |path| fs::read_to_string(path))
    }

    fn open_with(sys: &Path, read_text: ReadText) -> Option<Self> {
        let powercap = sys.join("class/powercap");
        // `intel-rapl-mmio` shows the same packages by another road, so it counts only where the first is missing.
        let mut domains = domains(&powercap, "intel-rapl", read_text);
        if domains.is_empty() {
            domains = self::domains(&powercap, "intel-rapl-mmio", read_text);
        }
        for domain in &mut domains {
            domain.advance(read_text);
            if domain.last_microjoules.is_none() {
                domain.lost = Some("could not be read at the start".to_owned());
            }
        }
        (!domains.is_empty()).then_some(Self { domains, read_text })
    }

    /// Whether the counters are there, but only root may read them, as the kernel has it by default.
    pub fn is_denied(&self) -> bool {
        self.domains
            .iter()
            .all(|domain| domain.fault == Some(io::ErrorKind::PermissionDenied))
    }

    /// Reads all counters. The error is for when none of them can be read.
    pub fn read(&mut self) -> Result<RaplReading, ReadFault> {
        for domain in &mut self.domains {
            domain.advance(self.read_text);
        }
        if self.is_denied() {
            return Err(ReadFault(
                "The processor's energy counters are there, but only root may read them."
                    .to_owned(),
            ));
        }
        if self.domains.iter().all(|domain| domain.fault.is_some()) {
            return Err(ReadFault(
                "The processor's energy counters cannot be read.".to_owned(),
            ));
        }
        Ok(RaplReading {
            package_joules: self.joules(Kind::Package),
            dram_joules: self.joules(Kind::Dram),
            incomplete: self
                .domains
                .iter()
                .filter_map(Domain::what_is_missing)
                .collect(),
        })
    }

    /// The sum over the counters that could ever be read.
    fn joules(&self, kind: Kind) -> Option<f64> {
        self.domains
            .iter()
            .filter(|domain| domain.kind == kind && domain.last_microjoules.is_some())
            .map(|domain| domain.used_microjoules as f64 / 1e6)
            .reduce(|sum, joules| sum + joules)
    }
}

impl Domain {
    fn advance(&mut self, read_text: ReadText) {
        let now = match read_number(&self.energy_file, read_text) {
            Ok(now) => now,
            Err(error) => {
                self.fault = Some(error.kind());
                return;
            }
        };
        self.fault = None;
        match (self.last_microjoules, self.range_microjoules) {
            (None, _) => {}
            (Some(last), _) if now >= last => self.used_microjoules += now - last,
            (Some(last), Some(range)) if last <= range => {
                self.used_microjoules += range - last + now;
            }
            _ => self.lost = Some("started anew, and its range is not known".to_owned()),
        }
        self.last_microjoules = Some(now);
    }

    fn what_is_missing(&self) -> Option<String> {
        let why = match (&self.fault, &self.lost) {
            (Some(io::ErrorKind::PermissionDenied), _) => "only root may read it",
            (Some(_), _) => "cannot be read now",
            (None, Some(lost)) => lost,
            (None, None) => return None,
        };
        Some(format!("{}: {why}", self.name))
    }
}

/// The packages of a control type and the memory below them.
///
/// The class folder lists zones side by side; their folders also nest. Both ways are followed, and each zone is taken once.
/// Other zones are parts of a package (`core`, `uncore`) or cover it (`psys`), so that adding them would count twice.
fn domains(powercap: &Path, control_type: &str, read_text: ReadText) -> Vec<Domain> {
    let mut zones = zones(powercap, control_type);
    for folder in zones.values().cloned().collect::<Vec<_>>() {
        zones.extend(self::zones(&folder, control_type));
    }
    let name_of = |zone: &str| {
        zones
            .get(zone)
            .and_then(|folder| read_text(&folder.join("name")).ok())
            .map(|name| name.trim().to_owned())
    };
    let mut domains = Vec::new();
    for (zone, folder) in &zones {
        let parent = zone.rsplit_once(':').map_or("", |(parent, _)| parent);
        let (name, kind) = match (name_of(zone), name_of(parent)) {
            (Some(name), None) if name.starts_with("package-") => (name, Kind::Package),
            (Some(name), Some(parent)) if name == "dram" && parent.starts_with("package-") => {
                (format!("{parent} dram"), Kind::Dram)
            }
            _ => continue,
        };
        domains.push(Domain {
            name,
            kind,
            energy_file: folder.join("energy_uj"),
            range_microjoules: read_number(&folder.join("max_energy_range_uj"), read_text).ok(),
            last_microjoules: None,
            used_microjoules: 0,
            lost: None,
            fault: None,
        });
    }
    domains
}

/// Zones of a control type in one folder, by their names (`intel-rapl:0`, `intel-rapl:0:1`).
fn zones(folder: &Path, control_type: &str) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .filter(|(name, _)| {
            name.strip_prefix(control_type)
                .is_some_and(|rest| rest.starts_with(':'))
        })
        .collect()
}

fn read_number(path: &Path, read_text: ReadText) -> io::Result<u64> {
    read_text(path)?
        .trim()
        .parse()
        .map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tempfile::TempDir;

    const RANGE: u64 = 1_000_000_000;

    /// Writes a zone; `at` is its path below `class/powercap`.
    fn zone(sys: &TempDir, at: &str, name: &str, microjoules: u64) -> PathBuf {
        let folder = sys.path().join("class/powercap").join(at);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("name"), format!("{name}\n")).unwrap();
        fs::write(folder.join("max_energy_range_uj"), format!("{RANGE}\n")).unwrap();
        let energy_file = folder.join("energy_uj");
        fs::write(&energy_file, format!("{microjoules}\n")).unwrap();
        energy_file
    }

    fn set(energy_file: &Path, microjoules: u64) {
        fs::write(energy_file, microjoules.to_string()).unwrap();
    }

    #[test]
    fn a_machine_without_counters_has_none() {
        let sys = TempDir::new().unwrap();
        assert!(Rapl::open(sys.path()).is_none());
        zone(&sys, "intel-rapl:0", "psys", 0);
        fs::create_dir_all(sys.path().join("class/powercap/dtpm")).unwrap();
        assert!(Rapl::open(sys.path()).is_none());
    }

    #[test]
    fn packages_and_memory_are_added_apart_and_once() {
        let sys = TempDir::new().unwrap();
        let mut counted = vec![
            (zone(&sys, "intel-rapl:0", "package-0", 5), 2_000_000),
            (zone(&sys, "intel-rapl:1", "package-1-die-0", 7), 3_000_000),
        ];
        // Memory side by side for one package, and nested for the other.
        counted.push((zone(&sys, "intel-rapl:0:1", "dram", 0), 250_000));
        counted.push((
            zone(&sys, "intel-rapl:1/intel-rapl:1:0", "dram", 0),
            250_000,
        ));
        let not_counted = [
            zone(&sys, "intel-rapl:0:0", "core", 0),
            zone(&sys, "intel-rapl:2", "psys", 0),
            zone(&sys, "intel-rapl-mmio:0", "package-0", 5),
            zone(&sys, "intel-rapl-mmio:0:0", "dram", 5),
            zone(&sys, "intel-rapl:0/intel-rapl:0:1", "dram", 0),
        ];
        let mut rapl = Rapl::open(sys.path()).unwrap();
        for (file, microjoules) in &counted {
            set(
                file,
                read_number(file, |path| fs::read_to_string(path)).unwrap() + microjoules,
            );
        }
        for file in &not_counted[..4] {
            set(file, 900_000_000);
        }
        set(&not_counted[4], 250_000);
        let expected = RaplReading {
            package_joules: Some(5.0),
            dram_joules: Some(0.5),
            incomplete: vec![],
        };
        assert_eq!(rapl.read(), Ok(expected.clone()));
        assert_eq!(rapl.read(), Ok(expected));
    }

    #[test]
    fn the_other_road_counts_where_it_is_the_only_one() {
        let sys = TempDir::new().unwrap();
        let file = zone(&sys, "intel-rapl-mmio:0", "package-0", 0);
        let mut rapl = Rapl::open(sys.path()).unwrap();
        set(&file, 1_500_000);
        let reading = rapl.read().unwrap();
        assert_eq!(
            (reading.package_joules, reading.dram_joules),
            (Some(1.5), None)
        );
    }

    #[test]
    fn a_counter_that_goes_away_is_told_and_closed_when_it_comes_back() {
        let sys = TempDir::new().unwrap();
        let (first, second) = (
            zone(&sys, "intel-rapl:0", "package-0", 0),
            zone(&sys, "intel-rapl:1", "package-1", 0),
        );
        let mut rapl = Rapl::open(sys.path()).unwrap();
        set(&first, 1_000_000);
        fs::remove_file(&second).unwrap();
        let reading = rapl.read().unwrap();
        assert_eq!(reading.package_joules, Some(1.0));
        assert_eq!(reading.incomplete, ["package-1: cannot be read now"]);
        set(&second, 4_000_000);
        let reading = rapl.read().unwrap();
        assert_eq!(
            (reading.package_joules, reading.incomplete),
            (Some(5.0), vec![])
        );
        fs::remove_file(&first).unwrap();
        fs::remove_file(&second).unwrap();
        assert!(rapl.read().is_err() && !rapl.is_denied());
    }

    #[test]
    fn a_counter_that_came_late_or_started_anew_stays_incomplete() {
        let sys = TempDir::new().unwrap();
        let (first, second) = (
            zone(&sys, "intel-rapl:0", "package-0", 50),
            zone(&sys, "intel-rapl:1", "package-1", 0),
        );
        fs::remove_file(&second).unwrap();
        fs::remove_file(first.with_file_name("max_energy_range_uj")).unwrap();
        let mut rapl = Rapl::open(sys.path()).unwrap();
        set(&first, 10);
        set(&second, 3_000_000);
        let reading = rapl.read().unwrap();
        assert_eq!(reading.package_joules, Some(0.0));
        assert_eq!(
            reading.incomplete,
            [
                "package-0: started anew, and its range is not known",
                "package-1: could not be read at the start"
            ]
        );
    }

    #[test]
    fn counters_that_only_root_may_read_are_told_from_none() {
        let sys = TempDir::new().unwrap();
        zone(&sys, "intel-rapl:0", "package-0", 50);
        let mut rapl = Rapl::open_with(sys.path(), |path| {
            if path.ends_with("energy_uj") {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            fs::read_to_string(path)
        })
        .unwrap();
        assert!(rapl.is_denied());
        assert!(rapl.read().unwrap_err().0.contains("only root"));
    }

    proptest! {
        // Each step writes a file, which is slow on some disks.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn steps_add_up_over_wraps(steps in prop::collection::vec(0..RANGE, 1..12), start in 0..=RANGE) {
            let sys = TempDir::new().unwrap();
            let file = zone(&sys, "intel-rapl:0", "package-0", start);
            let mut rapl = Rapl::open(sys.path()).unwrap();
            let (mut counter, mut total) = (start, 0);
            for step in steps {
                counter += step;
                if counter > RANGE {
                    counter -= RANGE;
                }
                total += step;
                set(&file, counter);
                let joules = rapl.read().unwrap().package_joules.unwrap();
                prop_assert!((joules - total as f64 / 1e6).abs() < 1e-6);
            }
        }
    }
}
