//! NVML, as its stand-in plays it.

use std::{fs, path::Path, process::Command};

use outlay_meter::{
    Figure, GpuAccount, GpuProcess, GpuReading, GpuSource, GpuUse, Nvml, Quality, Visible,
};

use crate::fake::Fake;

const TWO: &str = "\
driver 580.65.06
gpu 0 uuid GPU-8f2a
gpu 0 name NVIDIA H100 80GB HBM3
gpu 0 energy_mj 1500
gpu 0 power_mw 250500
gpu 0 busy 87
gpu 0 memory 8000 1000
gpu 0 process 42 600
gpu 1 uuid GPU-9bcd
gpu 1 energy_mj 5000
";

/// A GPU with seven slices, of which three make up two MIG devices.
const SLICED: &str = "\
gpu 0 uuid GPU-8f2a
gpu 0 energy_mj 7000
gpu 0 power_mw 70000
gpu 0 slices 7
slice 0.0 uuid MIG-1111
slice 0.0 name NVIDIA H100 MIG 1g.10gb
slice 0.0 compute 1
slice 0.0 memory 900 90
slice 0.0 process 42 60
slice 0.3 uuid MIG-2222
slice 0.3 compute 2
";

fn ids(readings: &[GpuReading]) -> Vec<&str> {
    readings.iter().map(|reading| reading.id.as_str()).collect()
}

fn process(pid: u32, memory_bytes: Option<u64>, busy: Option<f64>) -> GpuProcess {
    GpuProcess {
        pid,
        memory_bytes,
        busy,
        in_view: None,
    }
}

#[test]
fn a_machine_without_the_library_says_so() {
    let error = Nvml::load(Some(Path::new("/nowhere/libnvidia-ml.so.1")), Visible::All).err();
    assert!(error.unwrap().0.starts_with("NVML: failed to load"));
}

#[test]
fn the_usual_name_is_found_as_the_loader_finds_libraries() {
    let Some(fake) = Fake::new("") else { return };
    if std::env::var_os("FAKE_NVML_STATE").is_some() {
        let readings = Nvml::load(None, Visible::All).unwrap().read().unwrap();
        assert_eq!(ids(&readings), ["GPU-by-variable"]);
        return;
    }
    // The loader looks at its path when a process begins, so this test goes on in one of its own.
    let state = fake.folder().join("elsewhere");
    fs::write(&state, "gpu 0 uuid GPU-by-variable\n").unwrap();
    let name = "nvml::the_usual_name_is_found_as_the_loader_finds_libraries";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env("LD_LIBRARY_PATH", fake.folder())
        .env("FAKE_NVML_STATE", state)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && output.contains("1 passed"),
        "{output}"
    );
}

#[test]
fn a_driver_that_is_not_loaded_says_so() {
    let Some(fake) = Fake::new("fail init 9\n") else {
        return;
    };
    let error = Nvml::load(Some(&fake.library()), Visible::All)
        .err()
        .unwrap();
    assert!(error.0.contains("driver is not loaded"), "{error}");
}

#[test]
fn reads_every_counter_in_its_unit() {
    let Some(fake) = Fake::new(TWO) else { return };
    let mut nvml = fake.load(None);
    assert_eq!(nvml.name(), "NVML 580.65.06");
    let readings = nvml.read().unwrap();
    let first = GpuReading {
        id: "GPU-8f2a".to_owned(),
        index: 0,
        name: "NVIDIA H100 80GB HBM3".to_owned(),
        parent: None,
        slice_share: None,
        energy_joules: Some(1.5),
        power_watts: Some(250.5),
        busy: Some(0.87),
        memory_used_bytes: Some(1000),
        memory_total_bytes: Some(8000),
        processes: Some(vec![process(42, Some(600), None)]),
    };
    // What the second does not support is not known, and nothing else is lost by it.
    let second = GpuReading {
        id: "GPU-9bcd".to_owned(),
        index: 1,
        name: "NVIDIA accelerator".to_owned(),
        energy_joules: Some(5.0),
        processes: Some(vec![]),
        ..GpuReading::default()
    };
    assert_eq!(readings, [first, second]);
}

/// Which counters a reading has: energy, power, busy, memory, processes.
fn known(reading: &GpuReading) -> [bool; 5] {
    [
        reading.energy_joules.is_some(),
        reading.power_watts.is_some(),
        reading.busy.is_some(),
        reading.memory_total_bytes.is_some(),
        reading.processes.is_some(),
    ]
}

#[test]
fn each_counter_fails_alone() {
    let Some(fake) = Fake::new(TWO) else { return };
    let mut nvml = fake.load(Some("0"));
    // Of processes, that some list is missing is no loss to the one that matters.
    let (counters, others) = (
        ["energy", "power", "busy", "memory", "process"],
        ["graphics", "mps", "sample", "mig"],
    );
    for code in [3, 4, 999] {
        for call in counters.into_iter().chain(others) {
            let state = format!("{TWO}gpu 0 fail {call} {code}\n");
            let reading = fake.read(&mut nvml, &state).remove(0);
            assert_eq!(
                known(&reading),
                counters.map(|counter| counter != call),
                "{call} {code}"
            );
        }
    }
}

#[test]
fn a_gpu_off_the_bus_is_left_out_until_it_is_back() {
    let Some(fake) = Fake::new(TWO) else { return };
    let mut nvml = fake.load(None);
    for lost in ["all", "handle", "uuid", "power", "process"] {
        let state = format!("{TWO}gpu 0 fail {lost} 15\n");
        assert_eq!(ids(&fake.read(&mut nvml, &state)), ["GPU-9bcd"], "{lost}");
    }
    fake.set(&format!("{TWO}gpu 0 fail all 15\ngpu 1 fail all 15\n"));
    assert!(nvml.read().unwrap_err().0.contains("fell off the bus"));
    fake.set(&format!("{TWO}fail count 999\n"));
    assert!(nvml.read().is_err());
    assert_eq!(ids(&fake.read(&mut nvml, TWO)), ["GPU-8f2a", "GPU-9bcd"]);
}

#[test]
fn only_visible_gpus_are_read() {
    let Some(fake) = Fake::new(TWO) else { return };
    for (visible, expected) in [
        ("1", vec!["GPU-9bcd"]),
        ("1,0", vec!["GPU-8f2a", "GPU-9bcd"]),
        ("GPU-9b", vec!["GPU-9bcd"]),
        ("0,7,1", vec!["GPU-8f2a"]),
        ("GPU-", vec![]),
        ("", vec![]),
        ("-1", vec![]),
    ] {
        let mut nvml = fake.load(Some(visible));
        assert_eq!(ids(&nvml.read().unwrap()), expected, "{visible:?}");
    }
    // One that is lost later still stands in the list for itself.
    let mut nvml = fake.load(Some("0,1"));
    nvml.read().unwrap();
    assert_eq!(
        ids(&fake.read(&mut nvml, &format!("{TWO}gpu 0 fail all 15\n"))),
        ["GPU-9bcd"]
    );
}

#[test]
fn a_process_in_several_lists_is_one() {
    let state = "gpu 0 uuid GPU-a\ngpu 0 process 7 -1\ngpu 0 process 5 10\ngpu 0 graphics 5 30\ngpu 0 mps 7 4\ngpu 0 mps 9 -1\n";
    let Some(fake) = Fake::new(state) else { return };
    let processes = fake.load(None).read().unwrap().remove(0).processes.unwrap();
    assert_eq!(
        processes,
        [
            process(5, Some(30), None),
            process(7, Some(4), None),
            process(9, None, None)
        ]
    );
}

#[test]
fn busy_shares_are_of_the_time_since_the_reading_before() {
    let listed = "gpu 0 uuid GPU-a\ngpu 0 process 5 10\ngpu 0 process 6 10\n";
    let Some(fake) = Fake::new(listed) else {
        return;
    };
    let mut nvml = fake.load(None);
    let mut busy = |samples: &str| -> Vec<Option<f64>> {
        let reading = fake
            .read(&mut nvml, &format!("{listed}{samples}"))
            .remove(0);
        reading
            .processes
            .unwrap()
            .iter()
            .map(|process| process.busy)
            .collect()
    };
    assert_eq!(
        busy("gpu 0 sample 5 100 90\n"),
        [None, None],
        "of a time before the first reading"
    );
    assert_eq!(
        busy("gpu 0 sample 5 100 90\ngpu 0 sample 5 200 25\ngpu 0 sample 5 300 75\n"),
        [Some(0.5), Some(0.0)]
    );
    assert_eq!(
        busy("gpu 0 sample 5 300 40\n"),
        [Some(0.0), Some(0.0)],
        "nothing new"
    );
    assert_eq!(
        busy("gpu 0 sample 6 400 4294967295\ngpu 0 sample 6 401 8\n"),
        [Some(0.0), Some(0.08)],
        "rubbish is left out"
    );
    assert_eq!(busy("gpu 0 fail sample 3\n"), [None, None]);
}

#[test]
fn slices_are_read_with_the_energy_of_the_whole() {
    let Some(fake) = Fake::new(SLICED) else {
        return;
    };
    let readings = fake.load(None).read().unwrap();
    let first = GpuReading {
        id: "MIG-1111".to_owned(),
        index: 0,
        name: "NVIDIA H100 MIG 1g.10gb".to_owned(),
        parent: Some("GPU-8f2a".to_owned()),
        slice_share: Some(1.0 / 7.0),
        energy_joules: Some(7.0),
        power_watts: Some(70.0),
        busy: None,
        memory_used_bytes: Some(90),
        memory_total_bytes: Some(900),
        processes: Some(vec![process(42, Some(60), None)]),
    };
    assert_eq!((readings.len(), &readings[0]), (2, &first));
    assert_eq!(
        (readings[1].id.as_str(), readings[1].slice_share),
        ("MIG-2222", Some(2.0 / 7.0))
    );

    for (visible, expected) in [
        ("MIG-2222", vec!["MIG-2222"]),
        ("0", vec!["MIG-1111", "MIG-2222"]),
        ("MIG-GPU-8f2a/3/0", vec!["MIG-1111", "MIG-2222"]),
        ("MIG-3", vec![]),
    ] {
        assert_eq!(
            ids(&fake.load(Some(visible)).read().unwrap()),
            expected,
            "{visible}"
        );
    }
    let mut nvml = fake.load(None);
    let unsized_slices = fake.read(&mut nvml, &format!("{SLICED}gpu 0 fail profile 4\n"));
    assert_eq!(unsized_slices[0].slice_share, None);
    assert_eq!(
        ids(&fake.read(&mut nvml, &format!("{SLICED}slice 0.0 fail handle 4\n"))),
        ["MIG-2222"]
    );
    for fails in [
        "gpu 0 fail all 15",
        "gpu 0 fail mig 999",
        "slice 0.0 fail uuid 15",
    ] {
        fake.set(&format!("{SLICED}{fails}\n"));
        assert!(nvml.read().is_err(), "{fails}");
    }
    assert_eq!(
        ids(&fake.read(&mut nvml, &format!("{SLICED}slice 0.0 fail uuid 2\n"))),
        ["MIG-2222"]
    );
    fake.set(&format!("{SLICED}gpu 0 fail all 15\n"));
    assert!(nvml.read().is_err());
    assert_eq!(
        fake.read(&mut nvml, "gpu 0 uuid GPU-8f2a\ngpu 0 slices 7\n"),
        []
    );
}

#[test]
fn processes_are_looked_up_in_proc_and_pids_come_from_files() {
    let Some(fake) = Fake::new("") else { return };
    let pid_file = fake.folder().join("pid");
    fake.set(&format!(
        "gpu 0 uuid GPU-a\ngpu 0 process @{} 5\ngpu 0 process 8 5\n",
        pid_file.display()
    ));
    fs::create_dir_all(fake.folder().join("proc/7")).unwrap();
    let mut nvml = fake.load(None).with_proc(&fake.folder().join("proc"));
    let mut seen = || -> Vec<(u32, Option<bool>)> {
        let processes = nvml.read().unwrap().remove(0).processes.unwrap();
        processes
            .iter()
            .map(|process| (process.pid, process.in_view))
            .collect()
    };
    assert_eq!(seen(), [(8, Some(false))]);
    fs::write(pid_file, "7\n").unwrap();
    assert_eq!(seen(), [(7, Some(true)), (8, Some(false))]);
}

#[test]
fn energy_may_run_by_the_clock() {
    let Some(fake) = Fake::new("gpu 0 uuid GPU-a\ngpu 0 watts 400\n") else {
        return;
    };
    let mut nvml = fake.load(None);
    let first = nvml.read().unwrap().remove(0);
    std::thread::sleep(std::time::Duration::from_millis(30));
    let second = nvml.read().unwrap().remove(0);
    assert!(second.energy_joules.unwrap() - first.energy_joules.unwrap() >= 0.03 * 400.0 - 0.002);
    assert_eq!(second.power_watts, Some(400.0));
}

/// Feeds states, one each 10 seconds, to the account of the run whose process is 42.
fn account(fake: &Fake, visible: Option<&str>, states: &[String]) -> GpuUse {
    let mut nvml = fake.load(visible);
    let mut account = GpuAccount::new(Visible::parse(visible));
    for (at, state) in (0..).zip(states) {
        fake.set(state);
        account.observe(f64::from(at) * 10.0, nvml.read(), &|pid| pid == 42);
    }
    account.finish()
}

#[test]
fn an_account_keeps_through_faults_resets_and_company() {
    let base = "gpu 0 uuid GPU-a\ngpu 0 process 42 10\n";
    let Some(fake) = Fake::new(base) else { return };
    let at = |joules: u64, more: &str| {
        format!(
            "{base}gpu 0 energy_mj {}\ngpu 0 power_mw 5000\n{more}",
            joules * 1000
        )
    };
    let used = account(
        &fake,
        None,
        &[
            at(1000, ""),
            at(1100, ""),
            at(0, "fail count 999\n"),
            at(1300, ""),
            // Another process comes, with three times the memory.
            at(1400, "gpu 0 process 77 30\n"),
            at(1500, ""),
            // The driver is loaded anew.
            at(3, ""),
            at(13, ""),
        ],
    );
    // 300 J alone, a quarter of 200 J with the other, 5 W over the reset, 10 J after it.
    let expected = Figure {
        value: 300.0 + 50.0 + 50.0 + 10.0,
        quality: Quality::Modelled,
    };
    assert_eq!((used.energy_joules, used.complete), (Some(expected), true));
    let one = &used.accelerators[0];
    assert_eq!(
        (one.modelled_joules, one.sampled_joules, one.others_joules),
        (50.0, 50.0, 150.0)
    );
    let filled: Vec<_> = one
        .gaps
        .iter()
        .map(|gap| (gap.from_s, gap.to_s, gap.filled))
        .collect();
    assert_eq!(
        filled,
        [
            (10.0, 30.0, Some(Quality::Counter)),
            (50.0, 60.0, Some(Quality::Sampled))
        ]
    );
}

#[test]
fn an_account_of_slices_is_a_part_of_the_whole() {
    let Some(fake) = Fake::new(SLICED) else {
        return;
    };
    let later = SLICED.replace("energy_mj 7000", "energy_mj 14000");
    let used = account(&fake, Some("0"), &[SLICED.to_owned(), later]);
    let energy = used.energy_joules.unwrap();
    assert!((energy.value - 1.0).abs() < 1e-9 && energy.quality == Quality::Modelled);
    assert!((used.accelerators[1].idle_joules - 2.0).abs() < 1e-9);
}
