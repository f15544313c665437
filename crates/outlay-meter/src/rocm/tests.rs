//! Cards in a made-up sysfs.

use super::*;
use tempfile::TempDir;

/// A sysfs root in a temporary folder.
struct Sys(TempDir);

impl Sys {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, file: &str, text: &str) {
        let file = self.0.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// Writes a card's device folder; its PCI address is on bus `0x10 + number`.
    fn card(&self, number: u32, files: &[(&str, &str)]) {
        let device = format!("class/drm/card{number}/device");
        self.write(&format!("{device}/vendor"), "0x1002\n");
        self.write(&format!("{device}/device"), "0x74a1\n");
        self.write(
            &format!("{device}/uevent"),
            &format!(
                "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:{:02x}:00.0\n",
                0x10 + number
            ),
        );
        for (file, text) in files {
            self.write(&format!("{device}/{file}"), text);
        }
    }

    fn node(&self, number: u32, compute_id: u64, properties: &str) {
        let node = format!("class/kfd/kfd/topology/nodes/{number}");
        self.write(&format!("{node}/gpu_id"), &format!("{compute_id}\n"));
        self.write(&format!("{node}/properties"), properties);
    }

    fn process_file(&self, pid: u32, file: &str, text: &str) {
        self.write(&format!("class/kfd/kfd/proc/{pid}/{file}"), text);
    }

    fn open(&self) -> Option<Rocm> {
        Rocm::open(self.0.path(), Visible::All)
    }
}

#[test]
fn other_makers_and_connectors_are_not_cards() {
    let sys = Sys::new();
    assert!(sys.open().is_none());
    sys.write("class/drm/card0/device/vendor", "0x10de\n");
    sys.write("class/drm/card1-DP-1/device/vendor", "0x1002\n");
    sys.write("class/drm/renderD128/device/vendor", "0x1002\n");
    assert!(sys.open().is_none());
}

#[test]
fn reads_every_counter_in_its_unit() {
    let sys = Sys::new();
    sys.card(
        0,
        &[
            ("product_name", "Instinct MI300X\n"),
            ("unique_id", "a1b2c3d4e5f60708\n"),
            ("gpu_busy_percent", "37\n"),
            ("mem_info_vram_used", "1024\n"),
            ("mem_info_vram_total", "4096\n"),
            ("hwmon/hwmon3/power1_average", "250000000\n"),
            ("hwmon/hwmon3/power1_input", "1\n"),
            ("hwmon/hwmon3/energy1_input", "1500000\n"),
        ],
    );
    sys.node(1, 555, "location_id 4096\ndomain 0\n");
    sys.process_file(71, "vram_555", "512\n");
    let proc_root = sys.0.path().join("proc");
    fs::create_dir_all(proc_root.join("71")).unwrap();
    let mut rocm = sys.open().unwrap().with_proc(&proc_root);
    assert_eq!(rocm.name(), "amdgpu");
    let expected = GpuReading {
        id: "GPU-a1b2c3d4e5f60708".to_owned(),
        index: 0,
        name: "Instinct MI300X".to_owned(),
        parent: None,
        slice_share: None,
        energy_joules: Some(1.5),
        power_watts: Some(250.0),
        busy: Some(0.37),
        memory_used_bytes: Some(1024),
        memory_total_bytes: Some(4096),
        processes: Some(vec![GpuProcess {
            pid: 71,
            memory_bytes: Some(512),
            busy: None,
            in_view: Some(true),
        }]),
    };
    assert_eq!(rocm.read().unwrap(), [expected]);
}

#[test]
fn a_card_for_displays_reads_as_far_as_it_can() {
    let sys = Sys::new();
    sys.card(2, &[("hwmon/hwmon0/power1_input", "9000000\n")]);
    let reading = sys.open().unwrap().read().unwrap().remove(0);
    assert_eq!(
        (reading.id.as_str(), reading.name.as_str()),
        ("0000:12:00.0", "AMD 0x74a1")
    );
    assert_eq!(reading.power_watts, Some(9.0));
    assert_eq!(
        (
            reading.energy_joules,
            reading.busy,
            reading.memory_total_bytes
        ),
        (None, None, None)
    );
    assert_eq!(reading.processes, None, "nobody can tell who draws on it");
}

#[test]
fn processes_are_of_the_card_where_they_hold_memory_or_a_queue() {
    let sys = Sys::new();
    sys.card(0, &[]);
    sys.card(1, &[]);
    sys.node(0, 0, "cpu_cores_count 64\n");
    sys.node(1, 11, "location_id 4096\ndomain 0\n");
    sys.node(2, 22, "location_id 4352\ndomain 0\n");
    for (pid, first, second) in [(900, 5, 0), (40, 7, 9), (41, 0, 0)] {
        sys.process_file(pid, "vram_11", &first.to_string());
        sys.process_file(pid, "vram_22", &second.to_string());
    }
    sys.process_file(41, "queues/0/gpuid", "22\n");
    let readings = sys.open().unwrap().read().unwrap();
    let pids = |at: usize| -> Vec<u32> {
        readings[at]
            .processes
            .iter()
            .flatten()
            .map(|process| process.pid)
            .collect()
    };
    assert_eq!((pids(0), pids(1)), (vec![40, 900], vec![40, 41]));
}

#[test]
fn numbers_follow_the_compute_nodes_and_choose_what_is_visible() {
    let sys = Sys::new();
    // The second card is the first node, by its render device; the third does not compute.
    sys.card(0, &[("drm/renderD128/dev", "226:128")]);
    sys.card(
        1,
        &[("drm/renderD129/dev", "226:129"), ("unique_id", "beef")],
    );
    sys.card(2, &[("drm/renderD130/dev", "226:130")]);
    sys.node(1, 22, "drm_render_minor 129\nlocation_id 4096\n");
    sys.node(2, 11, "drm_render_minor 128\nlocation_id 4352\n");
    let ids = |text: Option<&str>| -> Vec<String> {
        let mut rocm = Rocm::open(sys.0.path(), Visible::parse(text)).unwrap();
        rocm.read()
            .unwrap()
            .into_iter()
            .map(|reading| reading.id)
            .collect()
    };
    assert_eq!(ids(None), ["GPU-beef", "0000:10:00.0", "0000:12:00.0"]);
    assert_eq!(ids(Some("1")), ["0000:10:00.0"]);
    assert_eq!(ids(Some("GPU-be")), ["GPU-beef"]);
    assert_eq!(ids(Some("7,0")), Vec::<String>::new());
}

#[test]
fn a_card_that_was_taken_away_is_left_out_and_none_left_is_a_fault() {
    let sys = Sys::new();
    sys.card(0, &[]);
    sys.card(1, &[]);
    let mut rocm = sys.open().unwrap();
    fs::remove_dir_all(sys.0.path().join("class/drm/card0")).unwrap();
    assert_eq!(rocm.read().unwrap().len(), 1);
    fs::remove_dir_all(sys.0.path().join("class/drm/card1")).unwrap();
    assert!(rocm.read().is_err());
}
