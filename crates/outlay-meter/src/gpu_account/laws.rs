//! What holds for any readings.

use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::GpuProcess;

/// Processes 0 to 2 are the first run's, 3 to 5 the second's, and the others are of neither.
const N_OF_A_RUN: u32 = 3;
const N_PROCESSES: u32 = 8;

/// What one reading finds.
#[derive(Clone, Debug)]
struct Step {
    seconds: f64,
    joules: f64,
    watts: Option<f64>,
    /// Process, memory and busy share.
    processes: Vec<(u32, Option<u64>, Option<f64>)>,
    fails: bool,
    has_counter: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let busy = option::weighted(0.7, prop_oneof![Just(0.0), 0.0..1.0]);
    let process = (0..N_PROCESSES, option::weighted(0.7, 0..9u64), busy);
    // Often few processes or none, so that idle times and changes of user come up.
    let processes = prop_oneof![Just(vec![]), vec(process.clone(), 1..2), vec(process, 0..6)];
    let kinds = (prop::bool::weighted(0.1), prop::bool::weighted(0.9));
    (
        0.1..20.0,
        0.0..500.0,
        option::of(0.0..700.0),
        processes,
        kinds,
    )
        .prop_map(
            |(seconds, joules, watts, processes, (fails, has_counter))| Step {
                seconds,
                joules,
                watts,
                processes,
                fails,
                has_counter,
            },
        )
}

/// Plays steps to several accounts, of which each is there from one step to another; gives them and all joules of the steps.
fn play(
    steps: &[Step],
    runs: &[(std::ops::Range<usize>, Visible, std::ops::Range<u32>)],
    slices: &[f64],
) -> (Vec<GpuUse>, f64) {
    let mut accounts: Vec<_> = runs
        .iter()
        .map(|(_, visible, _)| GpuAccount::new(visible.clone()))
        .collect();
    let (mut at_s, mut total) = (0.0, 0.0);
    for (number, step) in steps.iter().enumerate() {
        at_s += step.seconds;
        total += step.joules;
        let readings = readings(step, total, slices);
        for (account, (there, _, pids)) in accounts.iter_mut().zip(runs) {
            if there.contains(&number) {
                account.observe(at_s, readings.clone(), &|pid| pids.contains(&pid));
            }
        }
    }
    (
        accounts.into_iter().map(GpuAccount::finish).collect(),
        total,
    )
}

fn readings(step: &Step, total: f64, slices: &[f64]) -> Result<Vec<GpuReading>, ReadFault> {
    if step.fails {
        return Err(ReadFault("no answer".to_owned()));
    }
    let processes = step
        .processes
        .iter()
        .map(|&(pid, memory_bytes, busy)| GpuProcess {
            pid,
            memory_bytes,
            busy,
            in_view: None,
        });
    let whole = GpuReading {
        id: "GPU-a".to_owned(),
        energy_joules: step.has_counter.then_some(total),
        power_watts: step.watts,
        processes: Some(processes.collect()),
        ..GpuReading::default()
    };
    if slices.is_empty() {
        return Ok(vec![whole]);
    }
    let slice = |(number, share): (usize, &f64)| GpuReading {
        id: format!("MIG-{number}"),
        parent: Some(whole.id.clone()),
        slice_share: Some(*share),
        ..whole.clone()
    };
    Ok(slices.iter().enumerate().map(slice).collect())
}

fn joules(used: &GpuUse) -> f64 {
    used.energy_joules.map_or(0.0, |energy| energy.value)
}

/// The first and the second run's processes.
fn pids(run: u32) -> std::ops::Range<u32> {
    run * N_OF_A_RUN..(run + 1) * N_OF_A_RUN
}

fn visible() -> impl Strategy<Value = Visible> {
    prop_oneof![Just(Visible::All), Just(Visible::parse(Some("0")))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn two_runs_never_claim_more_than_was_drawn(
        mut steps in vec(step(), 2..30),
        lives in vec((0usize..30, 0usize..30), 2),
        names in vec(visible(), 2),
    ) {
        for step in &mut steps {
            // By the counter alone, so that what was drawn is exact; and without others, who would leave room for a mistake.
            step.watts = None;
            step.processes.retain(|(pid, _, _)| *pid < 2 * N_OF_A_RUN);
        }
        let runs: Vec<_> = (0..)
            .zip(lives.iter().zip(names))
            .map(|(run, ((a, b), visible))| (*a.min(b)..a.max(b) + 1, visible, pids(run)))
            .collect();
        let (used, _) = play(&steps, &runs, &[]);
        let is_watched = |number: usize| runs.iter().any(|(there, _, _)| there.start < number && number < there.end);
        let drawn: f64 = steps.iter().enumerate().filter(|(number, _)| is_watched(*number)).map(|(_, step)| step.joules).sum();
        prop_assert!(used.iter().map(joules).sum::<f64>() <= drawn + 1e-6, "{used:?} of {drawn}");
    }

    #[test]
    fn two_runs_on_power_alone_never_claim_more_than_was_drawn(mut steps in vec(step(), 2..30), names in vec(visible(), 2)) {
        for step in &mut steps {
            (step.has_counter, step.fails) = (false, false);
        }
        let whole = steps.len();
        let runs: Vec<_> = (0..).zip(names).map(|(run, visible)| (0..whole, visible, pids(run))).collect();
        let (used, _) = play(&steps, &runs, &[]);
        let known = steps.windows(2).filter_map(|pair| {
            Some((pair[0].watts? + pair[1].watts?) / 2.0 * pair[1].seconds)
        });
        let drawn: f64 = known.sum();
        prop_assert!(used.iter().map(joules).sum::<f64>() <= drawn + 1e-6);
    }

    #[test]
    fn every_measured_joule_is_given_out_once(mut steps in vec(step(), 2..30), visible in visible()) {
        for step in &mut steps {
            (step.has_counter, step.fails) = (true, false);
        }
        let (used, total) = play(&steps, &[(0..steps.len(), visible, pids(0))], &[]);
        let one = &used[0].accelerators[0];
        let given = joules(&used[0]) + one.idle_joules + one.others_joules;
        prop_assert!((given - (total - steps[0].joules)).abs() < 1e-6);
        prop_assert!(used[0].complete && one.modelled_joules <= joules(&used[0]) + 1e-9);
    }

    #[test]
    fn slices_never_claim_more_than_the_whole_drew(
        steps in vec(step(), 2..20),
        shares in vec(0.0..0.9, 1..7),
        names in vec(visible(), 2),
    ) {
        let steps: Vec<_> = steps.into_iter().map(|step| Step { watts: None, ..step }).collect();
        let runs: Vec<_> = (0..).zip(names).map(|(run, visible)| (0..steps.len(), visible, pids(run))).collect();
        let (used, total) = play(&steps, &runs, &shares);
        prop_assert!(used.iter().map(joules).sum::<f64>() <= total + 1e-6);
    }

    #[test]
    fn no_figure_is_negative_and_no_gap_is_hidden(steps in vec(step(), 2..30), visible in visible()) {
        let (used, _) = play(&steps, &[(0..steps.len(), visible, pids(0))], &[]);
        for one in &used[0].accelerators {
            let figures = [one.idle_joules, one.others_joules, one.sampled_joules, one.modelled_joules, one.held_s];
            prop_assert!(figures.iter().all(|figure| *figure >= 0.0));
            prop_assert!(one.gaps.iter().all(|gap| gap.from_s < gap.to_s));
            prop_assert!(one.gaps.windows(2).all(|pair| pair[0].to_s <= pair[1].from_s));
            let shares = [one.busy_mean, one.busy_peak, one.idle_share];
            prop_assert!(shares.into_iter().flatten().all(|share| (0.0..=1.0).contains(&share)));
        }
        let filled = |gap: &Gap| gap.filled.is_some();
        let all_filled = used[0].accelerators.iter().flat_map(|one| &one.gaps).all(filled);
        prop_assert_eq!(used[0].complete, all_filled && used[0].gaps.is_empty());
    }
}
