//! One test for each rule of whose the energy is, on an accelerator whose readings are made up.

mod gaps;

use super::*;
use crate::GpuProcess;

const OURS: u32 = 10;
const THEIRS: u32 = 20;

fn process(pid: u32) -> GpuProcess {
    GpuProcess {
        pid,
        memory_bytes: None,
        busy: None,
        in_view: None,
    }
}

fn holding(pid: u32, memory_bytes: u64, busy: Option<f64>) -> GpuProcess {
    GpuProcess {
        memory_bytes: Some(memory_bytes),
        busy,
        ..process(pid)
    }
}

/// A reading of `GPU-a` by its energy counter.
fn gpu(energy_joules: f64, processes: &[GpuProcess]) -> GpuReading {
    GpuReading {
        id: "GPU-a".to_owned(),
        energy_joules: Some(energy_joules),
        processes: Some(processes.to_vec()),
        ..GpuReading::default()
    }
}

/// A reading of `GPU-a` by its power.
fn powered(power_watts: f64, processes: &[GpuProcess]) -> GpuReading {
    GpuReading {
        power_watts: Some(power_watts),
        energy_joules: None,
        ..gpu(0.0, processes)
    }
}

fn slice(
    id: &str,
    slice_share: Option<f64>,
    energy_joules: f64,
    processes: &[GpuProcess],
) -> GpuReading {
    GpuReading {
        id: id.to_owned(),
        parent: Some("GPU-a".to_owned()),
        slice_share,
        ..gpu(energy_joules, processes)
    }
}

/// Feeds readings, one each 10 seconds, to an account of the run whose process is [`OURS`].
fn account(visible: Option<&str>, readings: Vec<Result<Vec<GpuReading>, ReadFault>>) -> GpuUse {
    let mut account = GpuAccount::new(Visible::parse(visible));
    for (at, reading) in (0..).zip(readings) {
        account.observe(f64::from(at) * 10.0, reading, &|pid| pid == OURS);
    }
    account.finish()
}

fn one(visible: Option<&str>, readings: Vec<GpuReading>) -> AcceleratorUse {
    let used = account(
        visible,
        readings
            .into_iter()
            .map(|reading| Ok(vec![reading]))
            .collect(),
    );
    used.accelerators.into_iter().next().unwrap()
}

fn figure(value: f64, quality: Quality) -> Option<Figure> {
    Some(Figure { value, quality })
}

#[test]
fn alone_on_it_the_run_has_all_by_the_counter() {
    let ours = [holding(OURS, 7, None)];
    let mut readings = vec![
        gpu(1000.0, &ours),
        gpu(3000.0, &ours),
        gpu(4000.0, &[holding(OURS, 5, None)]),
    ];
    for (reading, busy) in readings.iter_mut().zip([0.9, 0.5, 0.0]) {
        reading.busy = Some(busy);
        reading.power_watts = Some(99999.0);
    }
    let used = one(None, readings);
    assert_eq!(used.energy_joules, figure(3000.0, Quality::Counter));
    assert_eq!((used.held_s, used.power_mean_watts), (20.0, Some(150.0)));
    assert_eq!(
        (used.busy_mean, used.busy_peak, used.idle_share),
        (Some(0.25), Some(0.5), Some(0.5))
    );
    assert_eq!(used.memory_peak_bytes, Some(7));
    assert!(used.gaps.is_empty());
}

#[test]
fn without_a_counter_power_is_integrated_by_trapezoid() {
    let ours = [process(OURS)];
    let used = one(
        None,
        vec![
            powered(100.0, &ours),
            powered(300.0, &ours),
            powered(100.0, &ours),
        ],
    );
    assert_eq!(used.energy_joules, figure(4000.0, Quality::Sampled));
    assert_eq!(used.sampled_joules, 4000.0);
}

#[test]
fn with_others_the_share_is_by_busy_time_then_memory_then_count() {
    let share = |ours: GpuProcess, theirs: GpuProcess| {
        let used = one(
            None,
            vec![
                gpu(0.0, &[ours.clone(), theirs.clone()]),
                gpu(100.0, &[ours, theirs]),
            ],
        );
        assert_eq!(used.energy_joules.unwrap().quality, Quality::Modelled);
        assert_eq!(
            used.energy_joules.unwrap().value + used.others_joules,
            100.0
        );
        used.modelled_joules
    };
    let (busy, idle) = (Some(0.6), Some(0.0));
    assert_eq!(
        share(holding(OURS, 1, Some(0.2)), holding(THEIRS, 1, busy)),
        25.0
    );
    assert_eq!(share(holding(OURS, 1, idle), holding(THEIRS, 1, busy)), 0.0);
    assert_eq!(
        share(holding(OURS, 3, busy), holding(THEIRS, 1, None)),
        75.0
    );
    assert_eq!(
        share(holding(OURS, 3, idle), holding(THEIRS, 1, idle)),
        75.0
    );
    assert_eq!(share(process(OURS), holding(THEIRS, 1, None)), 50.0);
}

#[test]
fn others_energy_is_not_the_runs() {
    let used = one(
        Some("0"),
        vec![gpu(0.0, &[process(THEIRS)]), gpu(100.0, &[process(THEIRS)])],
    );
    assert_eq!(
        (used.energy_joules, used.others_joules),
        (figure(0.0, Quality::Counter), 100.0)
    );
    assert_eq!(
        (used.held_s, used.busy_mean, used.power_mean_watts),
        (0.0, None, None)
    );
}

#[test]
fn idle_energy_is_the_runs_only_while_it_holds_the_accelerator() {
    let (ours, nobody) = ([process(OURS)], []);
    // Idle 0–10, ours 10–40, idle 40–50, ours 50–70 (with the ends of what came before), idle 70–80.
    let readings = || {
        vec![
            gpu(0.0, &nobody),
            gpu(1.0, &nobody),
            gpu(12.0, &ours),
            gpu(24.0, &nobody),
            gpu(124.0, &nobody),
            gpu(136.0, &ours),
            gpu(148.0, &nobody),
            gpu(1148.0, &nobody),
        ]
    };
    let seen = one(None, readings());
    assert_eq!(
        seen.energy_joules,
        figure(147.0, Quality::Counter),
        "a pause between two uses is its own"
    );
    assert_eq!((seen.idle_joules, seen.held_s), (1001.0, 50.0));
    let named = one(Some("0"), readings());
    assert_eq!(
        named.energy_joules,
        figure(1147.0, Quality::Counter),
        "what it named it holds to the end"
    );
    assert_eq!((named.idle_joules, named.is_named), (1.0, true));
}

#[test]
fn idle_energy_after_someone_else_is_nobodys() {
    for visible in [None, Some("0")] {
        let used = one(
            visible,
            vec![
                gpu(0.0, &[process(OURS)]),
                gpu(10.0, &[]),
                gpu(20.0, &[]),
                gpu(30.0, &[process(THEIRS)]),
                gpu(40.0, &[]),
                gpu(50.0, &[]),
                gpu(60.0, &[process(OURS)]),
            ],
        );
        // The pause at 10–20 went to others without a name, and to the run with one.
        let pause = if visible.is_some() { 10.0 } else { 0.0 };
        assert_eq!(used.energy_joules, figure(20.0 + pause, Quality::Counter));
        assert_eq!((used.idle_joules, used.others_joules), (20.0 - pause, 20.0));
    }
}

#[test]
fn where_nobody_can_tell_only_a_named_accelerator_is_the_runs() {
    let silent = |energy| GpuReading {
        processes: None,
        ..gpu(energy, &[])
    };
    let seen = one(None, vec![silent(0.0), silent(100.0)]);
    assert_eq!(
        (seen.energy_joules, seen.others_joules),
        (figure(0.0, Quality::Counter), 100.0)
    );
    let named = one(Some("GPU-a"), vec![silent(0.0), silent(100.0)]);
    assert_eq!(named.energy_joules, figure(100.0, Quality::Modelled));
    assert_eq!((named.users_unknown_s, named.held_s), (10.0, 10.0));
}

#[test]
fn a_number_from_another_numbering_is_nobody_that_we_know() {
    let stranger = GpuProcess {
        in_view: Some(false),
        // Even where the number happens to be one of ours.
        ..process(OURS)
    };
    let strange = [
        gpu(0.0, std::slice::from_ref(&stranger)),
        gpu(100.0, &[stranger]),
    ];
    let seen = one(None, strange.to_vec());
    assert_eq!((seen.users_unknown_s, seen.others_joules), (10.0, 100.0));
    let known = GpuProcess {
        in_view: Some(true),
        ..process(OURS)
    };
    let other = GpuProcess {
        in_view: Some(false),
        ..process(THEIRS)
    };
    let both = [known, other];
    let mixed = one(None, vec![gpu(0.0, &both), gpu(100.0, &both)]);
    assert_eq!(
        (mixed.users_unknown_s, mixed.modelled_joules),
        (0.0, 50.0),
        "one that is found shows that numbers agree"
    );
}

#[test]
fn a_process_list_that_fails_once_is_carried_on() {
    let silent = GpuReading {
        processes: None,
        ..gpu(100.0, &[])
    };
    let ours = [process(OURS)];
    let used = one(None, vec![gpu(0.0, &ours), silent, gpu(200.0, &ours)]);
    assert_eq!(used.energy_joules, figure(200.0, Quality::Counter));
}

#[test]
fn slices_have_their_part_of_the_whole_once() {
    let ours = [process(OURS)];
    let readings = |energy| {
        vec![
            slice("MIG-1", Some(1.0 / 4.0), energy, &ours),
            slice("MIG-2", Some(2.0 / 4.0), energy, &ours),
            slice("MIG-3", Some(1.0 / 4.0), energy, &[]),
            gpu(energy, &ours),
        ]
    };
    let used = account(None, vec![Ok(readings(0.0)), Ok(readings(100.0))]);
    assert_eq!(used.energy_joules, figure(75.0, Quality::Modelled));
    assert_eq!(
        used.accelerators.len(),
        3,
        "the whole is not counted beside its slices"
    );
    assert_eq!(used.accelerators[2].idle_joules, 25.0);
}

#[test]
fn shares_of_slices_that_say_more_than_the_whole_are_scaled_down() {
    let ours = [process(OURS)];
    let readings = |energy| {
        ["MIG-1", "MIG-2", "MIG-3"]
            .map(|id| slice(id, Some(0.5), energy, &ours))
            .to_vec()
    };
    let used = account(None, vec![Ok(readings(0.0)), Ok(readings(90.0))]);
    assert!((used.energy_joules.unwrap().value - 90.0).abs() < 1e-9);
}

#[test]
fn a_process_that_was_ours_stays_ours() {
    let mut account = GpuAccount::new(Visible::All);
    for (at, energy) in [(0.0, 0.0), (1.0, 10.0), (2.0, 20.0), (3.0, 30.0)] {
        // As when its parent ends first, and it is handed to init.
        account.observe(at, Ok(vec![gpu(energy, &[process(OURS)])]), &|pid| {
            pid == OURS && at < 0.5
        });
    }
    assert_eq!(
        account.totals().energy_joules,
        figure(30.0, Quality::Counter)
    );
}
