//! AMD accelerators, through the sysfs files of the kernel's `amdgpu` driver.
//!
//! No ROCm library is needed. What these files leave out: busy shares of single processes, and the energy counter that some cards keep only in the binary `gpu_metrics` file.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::{GpuProcess, GpuReading, GpuSource, ReadFault, Visible, gpu};

/// AMD's PCI vendor number.
const AMD: &str = "0x1002";

/// The accelerators of the `amdgpu` driver.
pub struct Rocm {
    cards: Vec<Card>,
    visible: Visible,
    proc_root: Option<PathBuf>,
    /// `class/kfd/kfd/proc`, with a folder for each process that computes.
    compute_processes: PathBuf,
}

/// One card, as it is found when the driver is opened.
struct Card {
    identity: GpuReading,
    /// The PCI device's folder.
    device: PathBuf,
    hwmon: Option<PathBuf>,
    /// Its number in the names of the compute driver's files; `None` for a card that does not compute.
    compute_id: Option<u64>,
}

impl Rocm {
    /// Finds the cards below a sysfs root (`/sys`); `None` where there are none.
    ///
    /// Cards have numbers in the order of the compute driver's nodes, as `ROCR_VISIBLE_DEVICES` counts them; those that do not compute come last.
    pub fn open(sys: &Path, visible: Visible) -> Option<Self> {
        let nodes = Node::all(sys);
        let mut cards: Vec<_> = card_folders(sys)
            .into_iter()
            .map(|(number, device)| Card::open(number, device, &nodes))
            .collect();
        cards.sort_by_key(|(order, _)| *order);
        let mut cards: Vec<_> = cards.into_iter().map(|(_, card)| card).collect();
        for (index, card) in (0..).zip(&mut cards) {
            card.identity.index = index;
        }
        (!cards.is_empty()).then(|| Self {
            cards,
            visible,
            proc_root: None,
            compute_processes: sys.join("class/kfd/kfd/proc"),
        })
    }

    /// Also says of each process whether it is in a `/proc` (see [`GpuProcess::in_view`]).
    #[must_use]
    pub fn with_proc(mut self, proc_root: &Path) -> Self {
        self.proc_root = Some(proc_root.to_owned());
        self
    }

    fn processes(&self, compute_id: u64) -> Option<Vec<GpuProcess>> {
        let mut processes = Vec::new();
        for entry in fs::read_dir(&self.compute_processes).ok()?.flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            // Every process has a file for every card; one that holds no memory and no queue there does not use it.
            let memory_bytes = number(&entry.path().join(format!("vram_{compute_id}")));
            if memory_bytes.is_some_and(|bytes| bytes > 0) || has_queue(&entry.path(), compute_id) {
                processes.push(GpuProcess {
                    pid,
                    memory_bytes,
                    busy: None,
                    in_view: gpu::in_view(self.proc_root.as_deref(), pid),
                });
            }
        }
        processes.sort_by_key(|process| process.pid);
        Some(processes)
    }
}

impl GpuSource for Rocm {
    fn name(&self) -> String {
        "amdgpu".to_owned()
    }

    fn read(&mut self) -> Result<Vec<GpuReading>, ReadFault> {
        let present: Vec<_> = self
            .cards
            .iter()
            .map(|card| card.identity.clone())
            .collect();
        let visible = self.visible.among(&present);
        let shown: Vec<_> = self
            .cards
            .iter()
            .filter(|card| visible.shows(&card.identity))
            .collect();
        let readings: Vec<_> = shown
            .iter()
            // A card that was taken away leaves no folder.
            .filter(|card| card.device.join("vendor").exists())
            .map(|card| GpuReading {
                processes: card.compute_id.and_then(|id| self.processes(id)),
                ..card.read()
            })
            .collect();
        if readings.is_empty() && !shown.is_empty() {
            return Err(ReadFault(
                "amdgpu: no card can be read any more.".to_owned(),
            ));
        }
        Ok(readings)
    }
}

impl Card {
    /// Looks at a card, and says where it comes among the others.
    fn open(number: u32, device: PathBuf, nodes: &[Node]) -> ((u32, u32), Self) {
        let address = pci_address(&device);
        let node = nodes.iter().find(|node| node.is(&device, address));
        let name = text(&device.join("product_name"))
            .or_else(|| Some(format!("AMD {}", text(&device.join("device"))?)));
        let id = match (text(&device.join("unique_id")), address) {
            // As ROCm's own tools and `ROCR_VISIBLE_DEVICES` write it.
            (Some(unique), _) => format!("GPU-{}", unique.trim_start_matches("0x")),
            (None, Some(address)) => address.to_string(),
            (None, None) => format!("card{number}"),
        };
        let identity = GpuReading {
            id,
            name: name.unwrap_or_else(|| "AMD accelerator".to_owned()),
            ..GpuReading::default()
        };
        let card = Self {
            identity,
            hwmon: folders(&device.join("hwmon")).into_iter().next(),
            compute_id: node.map(|node| node.compute_id),
            device,
        };
        let order = (node.map_or(u32::MAX, |node| node.number), number);
        (order, card)
    }

    fn read(&self) -> GpuReading {
        let hwmon = |file: &str| {
            self.hwmon
                .as_ref()
                .and_then(|folder| number::<f64>(&folder.join(file)))
        };
        let device = |file: &str| number(&self.device.join(file));
        GpuReading {
            energy_joules: hwmon("energy1_input").map(|microjoules| microjoules / 1e6),
            power_watts: hwmon("power1_average")
                .or_else(|| hwmon("power1_input"))
                .map(|microwatts| microwatts / 1e6),
            busy: number(&self.device.join("gpu_busy_percent"))
                .map(|percent: f64| percent.clamp(0.0, 100.0) / 100.0),
            memory_used_bytes: device("mem_info_vram_used"),
            memory_total_bytes: device("mem_info_vram_total"),
            ..self.identity.clone()
        }
    }
}

/// A node of the compute driver's topology that is an accelerator.
struct Node {
    number: u32,
    compute_id: u64,
    properties: BTreeMap<String, u64>,
}

impl Node {
    fn all(sys: &Path) -> Vec<Self> {
        let mut nodes: Vec<_> = folders(&sys.join("class/kfd/kfd/topology/nodes"))
            .into_iter()
            .filter_map(|folder| {
                Some(Self {
                    number: folder.file_name()?.to_str()?.parse().ok()?,
                    // Processors are nodes too; theirs is 0.
                    compute_id: number(&folder.join("gpu_id")).filter(|id| *id != 0)?,
                    properties: properties(&folder.join("properties")),
                })
            })
            .collect();
        nodes.sort_by_key(|node| node.number);
        nodes
    }

    /// Whether this node is the card with that folder and address.
    fn is(&self, device: &Path, address: Option<PciAddress>) -> bool {
        // The render device is exact, also for a card that is in partitions on one address.
        if let Some(minor) = self
            .properties
            .get("drm_render_minor")
            .filter(|minor| **minor != 0)
            && device.join("drm").is_dir()
        {
            return device.join(format!("drm/renderD{minor}")).exists();
        }
        address.is_some_and(|address| {
            self.properties.get("location_id") == Some(&address.location_id())
                && self.properties.get("domain").copied().unwrap_or(0) == address.domain
        })
    }
}

/// Where a device is on the PCI bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PciAddress {
    domain: u64,
    bus: u64,
    device: u64,
    function: u64,
}

impl PciAddress {
    /// The compute driver's number for it: bus, device and function in 8, 5 and 3 bits.
    fn location_id(self) -> u64 {
        self.bus << 8 | self.device << 3 | self.function
    }
}

impl std::fmt::Display for PciAddress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            domain,
            bus,
            device,
            function,
        } = self;
        write!(
            formatter,
            "{domain:04x}:{bus:02x}:{device:02x}.{function:x}"
        )
    }
}

impl FromStr for PciAddress {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<_> = text
            .split([':', '.'])
            .map(|part| u64::from_str_radix(part, 16))
            .collect();
        match parts[..] {
            [Ok(domain), Ok(bus), Ok(device), Ok(function)] => Ok(Self {
                domain,
                bus,
                device,
                function,
            }),
            _ => Err(()),
        }
    }
}

/// The address in a device's `uevent` file, or the name of the folder that its link leads to.
fn pci_address(device: &Path) -> Option<PciAddress> {
    let uevent = text(&device.join("uevent")).unwrap_or_default();
    let slot = uevent
        .lines()
        .find_map(|line| line.strip_prefix("PCI_SLOT_NAME="));
    slot.and_then(|slot| slot.trim().parse().ok()).or_else(|| {
        fs::canonicalize(device)
            .ok()?
            .file_name()?
            .to_str()?
            .parse()
            .ok()
    })
}

/// AMD's cards by their numbers. `card0-HDMI-A-1` and such are connectors of a card, and are left out.
fn card_folders(sys: &Path) -> BTreeMap<u32, PathBuf> {
    folders(&sys.join("class/drm"))
        .into_iter()
        .filter_map(|folder| {
            let number = folder
                .file_name()?
                .to_str()?
                .strip_prefix("card")?
                .parse()
                .ok()?;
            let device = folder.join("device");
            (text(&device.join("vendor"))? == AMD).then_some((number, device))
        })
        .collect()
}

fn has_queue(process: &Path, compute_id: u64) -> bool {
    folders(&process.join("queues"))
        .iter()
        .any(|queue| number(&queue.join("gpuid")) == Some(compute_id))
}

fn properties(file: &Path) -> BTreeMap<String, u64> {
    let text = text(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(key, value)| Some((key.to_owned(), value.trim().parse().ok()?)))
        .collect()
}

/// The entries of a folder in the order of their names; none when it cannot be read.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

fn text(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn number<T: FromStr>(file: &Path) -> Option<T> {
    text(file)?.parse().ok()
}

#[cfg(test)]
mod tests;
