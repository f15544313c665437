//! What could not be measured, and what filled it.

use super::*;

fn fault() -> Result<Vec<GpuReading>, ReadFault> {
    Err(ReadFault("the driver did not answer".to_owned()))
}

#[test]
fn without_counter_and_power_energy_is_missing_not_zero() {
    let blind = GpuReading {
        energy_joules: None,
        ..gpu(0.0, &[process(OURS)])
    };
    let used = account(
        None,
        vec![
            Ok(vec![blind.clone()]),
            Ok(vec![blind.clone()]),
            Ok(vec![blind]),
        ],
    );
    assert_eq!((used.energy_joules, used.complete), (None, false));
    let gaps = &used.accelerators[0].gaps;
    assert_eq!(
        (gaps.len(), gaps[0].from_s, gaps[0].to_s, gaps[0].filled),
        (1, 0.0, 20.0, None)
    );
}

#[test]
fn a_counter_that_goes_back_is_a_gap_that_power_fills() {
    let ours = [process(OURS)];
    let with_power = |energy, power_watts| GpuReading {
        power_watts,
        ..gpu(energy, &ours)
    };
    let filled = one(
        None,
        vec![
            with_power(500.0, Some(10.0)),
            with_power(3.0, Some(30.0)),
            with_power(13.0, None),
        ],
    );
    assert_eq!(filled.energy_joules, figure(210.0, Quality::Sampled));
    assert_eq!(filled.gaps[0].filled, Some(Quality::Sampled));
    let missing = one(
        None,
        vec![gpu(500.0, &ours), gpu(3.0, &ours), gpu(13.0, &ours)],
    );
    assert_eq!(missing.energy_joules, figure(10.0, Quality::Counter));
    assert_eq!((missing.gaps.len(), missing.gaps[0].filled), (1, None));
}

#[test]
fn a_failed_reading_is_closed_by_the_counter() {
    let ours = [process(OURS)];
    let used = account(
        None,
        vec![
            Ok(vec![gpu(0.0, &ours)]),
            fault(),
            fault(),
            Ok(vec![gpu(90.0, &ours)]),
        ],
    );
    assert_eq!(
        (used.energy_joules, used.complete),
        (figure(90.0, Quality::Counter), true)
    );
    let expected = Gap {
        from_s: 0.0,
        to_s: 30.0,
        why: "the driver did not answer".to_owned(),
        filled: Some(Quality::Counter),
    };
    assert_eq!(used.accelerators[0].gaps, [expected]);
}

#[test]
fn a_failed_reading_is_missing_where_nothing_counted_on() {
    let ours = [process(OURS)];
    let by_power = account(
        None,
        vec![
            Ok(vec![powered(9.0, &ours)]),
            fault(),
            Ok(vec![powered(9.0, &ours)]),
        ],
    );
    assert_eq!((by_power.energy_joules, by_power.complete), (None, false));
    let reset = account(
        None,
        vec![
            Ok(vec![gpu(50.0, &ours)]),
            fault(),
            Ok(vec![gpu(9.0, &ours)]),
        ],
    );
    assert_eq!((reset.energy_joules, reset.complete), (None, false));
    assert!(reset.accelerators[0].gaps[0].why.contains("started anew"));
}

#[test]
fn an_accelerator_that_stays_away_leaves_an_open_gap() {
    let ours = [process(OURS)];
    let other = GpuReading {
        id: "GPU-b".to_owned(),
        index: 1,
        ..gpu(5.0, &[])
    };
    let both = |energy| Ok(vec![gpu(energy, &ours), other.clone()]);
    let used = account(
        None,
        vec![
            both(0.0),
            both(70.0),
            Ok(vec![other.clone()]),
            Ok(vec![other.clone()]),
        ],
    );
    assert_eq!(
        (used.energy_joules, used.complete),
        (figure(70.0, Quality::Counter), false)
    );
    let gap = &used.accelerators[0].gaps[0];
    assert_eq!((gap.from_s, gap.to_s, gap.filled), (10.0, 30.0, None));
    assert!(used.accelerators[1].gaps.is_empty());
}

#[test]
fn failures_before_the_first_reading_are_told() {
    let early = account(None, vec![fault(), fault()]);
    assert_eq!((early.accelerators.len(), early.complete), (0, false));
    assert_eq!((early.gaps[0].from_s, early.gaps[0].to_s), (0.0, 10.0));
    let late = account(None, vec![fault(), Ok(vec![gpu(1.0, &[])])]);
    assert!(late.gaps.is_empty() && !late.complete);
    assert_eq!(
        late.accelerators[0].gaps[0].why,
        "the driver did not answer"
    );
    assert!(account(None, vec![]).complete);
    assert!(
        account(None, vec![fault(), Ok(vec![])]).complete,
        "there was nothing to miss"
    );
}

#[test]
fn a_counter_that_fails_alone_is_waited_for_or_replaced_by_power() {
    let ours = [process(OURS)];
    let blind = GpuReading {
        energy_joules: None,
        ..gpu(0.0, &ours)
    };
    let waited = one(None, vec![gpu(0.0, &ours), blind, gpu(80.0, &ours)]);
    assert_eq!(waited.energy_joules, figure(80.0, Quality::Counter));
    assert_eq!(waited.gaps[0].filled, Some(Quality::Counter));
    let mut first = gpu(0.0, &ours);
    first.power_watts = Some(5.0);
    let replaced = one(None, vec![first, powered(5.0, &ours), powered(5.0, &ours)]);
    assert_eq!(replaced.energy_joules, figure(100.0, Quality::Sampled));
    assert!(replaced.gaps.is_empty());
}

#[test]
fn a_slice_of_unknown_size_is_a_gap() {
    let ours = [process(OURS)];
    let readings = |energy| Ok(vec![slice("MIG-1", None, energy, &ours)]);
    let used = account(None, vec![readings(0.0), readings(90.0)]);
    assert_eq!((used.energy_joules, used.complete), (None, false));
}

#[test]
fn a_reading_from_before_the_last_one_is_left_out() {
    let ours = [process(OURS)];
    let mut account = GpuAccount::new(Visible::All);
    for (at, energy) in [
        (5.0, 0.0),
        (6.0, 10.0),
        (6.0, 99.0),
        (1.0, 99.0),
        (7.0, 20.0),
    ] {
        account.observe(at, Ok(vec![gpu(energy, &ours)]), &|pid| pid == OURS);
    }
    let used = account.finish();
    assert_eq!(used.energy_joules, figure(20.0, Quality::Counter));
    assert_eq!(used.accelerators[0].held_s, 2.0);
}

#[test]
fn who_was_there_while_the_counter_failed_has_a_share() {
    let blind = GpuReading {
        energy_joules: None,
        ..gpu(0.0, &[process(OURS), process(THEIRS)])
    };
    let ours = [process(OURS)];
    let used = one(None, vec![gpu(0.0, &ours), blind, gpu(80.0, &ours)]);
    assert_eq!(used.energy_joules, figure(40.0, Quality::Modelled));
}
