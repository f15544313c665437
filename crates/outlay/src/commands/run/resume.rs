//! Taking up a run whose meter was killed.

use std::sync::{Arc, Mutex};

use outlay_ledger::{Run, RunStatus, Series};
use outlay_meter::{Ending, Figure, Gap, Meter, ProcessId, Quality};
use outlay_units::duration;

use super::begin::{Options, Signals, clock, finish_files, short};
use super::guard::Guard;
use super::line::{Screen, StatusLine};
use super::output::Outputs;
use super::recorder::Recorder;
use super::session::Session;
use super::state::{State, Summary};
use super::{Args, recorder};
use crate::failure::Failure;
use crate::ledger::{Books, host};
use crate::printer::aside;

/// Takes up a run whose meter was killed.
pub fn resume(
    args: &Args,
    options: &Options,
    books: Books,
    which: Option<&str>,
) -> Result<(), Failure> {
    let proc = &options.roots.proc;
    let run = match which {
        Some(id) => books.ask(books.ledger().run(id))?,
        None => {
            let mut alive: Vec<Run> = books
                .ask(books.ledger().running())?
                .into_iter()
                .filter(|run| {
                    run.host == host()
                        && State::of(run).is_some_and(|state| !state.is_metered(proc))
                })
                .collect();
            match (alive.pop(), alive.len()) {
                (Some(run), 0) => run,
                (Some(_), n_more) => {
                    return Err(Failure::input(format!(
                        "{} runs go on without a meter; name one with --resume RUN",
                        n_more + 1
                    )));
                }
                (None, _) => {
                    return Err(Failure::input(
                        "no run of this machine goes on without a meter",
                    ));
                }
            }
        }
    };
    let mut state = State::of(&run)
        .ok_or_else(|| Failure::input(format!("run {} was not started by `outlay run`", run.id)))?;
    state.find_keeper();
    if run.status != RunStatus::Running {
        // What was killed has ended meanwhile, and opening the ledger closed its account.
        let summary: Option<Summary> = run
            .summary
            .clone()
            .and_then(|summary| serde_json::from_value(summary).ok());
        books.close();
        let Some(summary) = summary else {
            return Err(Failure::input(format!("run {} has ended", short(&run.id))));
        };
        let code = match summary.stopped_by {
            Some(by) => Some(by.exit_code()),
            None => Ending::read(&state.ending_file())
                .map(|ending| ending.shell_code())
                .or(run.exit_code.map(|code| code as u8)),
        };
        return finish_files(args, &summary).and_then(|()| match code {
            Some(0) => Ok(()),
            Some(code) => Err(Failure::passed(code)),
            None => Err(Failure::outside(format!(
                "run {} has ended, and nobody saw how",
                short(&run.id)
            ))),
        });
    }
    if run.host != host() {
        return Err(Failure::input(format!(
            "run {} is on {}, not on this machine",
            short(&run.id),
            run.host
        )));
    }
    if state.is_metered(proc) {
        return Err(Failure::input(format!(
            "run {} has a meter",
            short(&run.id)
        )));
    }
    let mut guard = Guard::default();
    if let Some(budget) = state.budget_usd {
        guard.limit_run(budget, &args.warn_at);
    }
    guard.hear(&recorder::spent_of_all(&books, &run.project, &run.team)?);
    let told = told_before(&books, &run)?;
    books.close();
    take_up(args, options, run, state, guard, &told)
}

/// What the command told of itself to earlier meters.
fn told_before(books: &Books, run: &Run) -> Result<Vec<Series>, Failure> {
    let mut told = Vec::new();
    for (key, _) in books.ask(books.ledger().metrics(&run.id))? {
        if !key.starts_with("system/") {
            told.push(Series {
                run_id: run.id.clone(),
                points: books.ask(books.ledger().points(&run.id, &key))?,
                key,
            });
        }
    }
    Ok(told)
}

fn take_up(
    args: &Args,
    options: &Options,
    run: Run,
    mut state: State,
    guard: Guard,
    told: &[Series],
) -> Result<(), Failure> {
    let proc = &options.roots.proc;
    let keeper = state
        .keeper
        .ok_or_else(|| Failure::outside("the command's process is not known"))?;
    let line = Arc::new(Mutex::new(StatusLine::default()));
    let outputs = if state.read.is_empty() {
        None
    } else {
        Some(Outputs::resume(&state.folder, &state.read)?)
    };
    let signals = Signals::watch()?;
    let mut meter =
        Meter::new(&options.roots, &options.visible, keeper.pid).counted_from(state.started_s);
    let now_s = clock(proc)?;
    meter.tree().adopt(&state.processes);
    meter.sample(now_s);
    // The hardware went on counting while nobody looked: what only this run was on, before and after, it used.
    let mut filled = None;
    for (id, then) in &state.gpu_counters {
        if let Some(joules) = meter
            .gpu_counters()
            .get(id)
            .map(|now| now - then)
            .filter(|joules| *joules >= 0.0)
        {
            let figure = Figure {
                value: joules,
                quality: Quality::Counter,
            };
            let gpu = &mut state.usage.gpu;
            gpu.energy_joules = Some(gpu.energy_joules.map_or(figure, |sum| sum.plus(figure)));
            for accelerator in gpu.accelerators.iter_mut().filter(|one| one.id == *id) {
                accelerator.energy_joules = Some(
                    accelerator
                        .energy_joules
                        .map_or(figure, |sum| sum.plus(figure)),
                );
            }
            filled = Some(Quality::Counter);
        }
    }
    let away_s = now_s - state.last_s;
    if filled.is_none()
        && state
            .usage
            .gpu
            .energy_joules
            .is_none_or(|joules| joules.value == 0.0)
    {
        // Without accelerators, the processors' energy over the time away follows from their time, which the kernel kept.
        filled = Some(Quality::Modelled);
    }
    if let (Some(then), Some(now)) = (state.usage.cpu_seconds, meter.usage().cpu_seconds) {
        let joules = outlay_meter::modelled_cpu_joules(
            meter.usage().allotted_cpus,
            away_s,
            now.value - then.value,
        );
        let figure = Figure {
            value: joules,
            quality: Quality::Modelled,
        };
        state.usage.cpu_joules = Some(
            state
                .usage
                .cpu_joules
                .map_or(figure, |sum| sum.plus(figure)),
        );
    }
    let from_s = state.elapsed_s();
    state.away.push(Gap {
        from_s,
        to_s: from_s + away_s,
        why: "the meter was gone".to_owned(),
        filled,
    });
    state.meter = ProcessId::of(proc, std::process::id());
    aside(&format!(
        "run {} is metered again, after {} without a meter",
        short(&run.id),
        duration(away_s)
    ));
    let (mut progress, listener) = options.follow(
        outputs.is_some(),
        state.budget_usd,
        Some((args.ledger.place(), &run)),
    );
    progress.recall(told);
    let forwarder = outputs.map(|outputs| outputs.forward(Arc::clone(&line), listener));
    let waiting = state.waiting_file();
    let recorder = Recorder::begin(args.ledger.place(), &run.project, &run.team, waiting);
    let confirmed_micro = state.recorded_micro();
    let carried = std::mem::take(&mut state.usage);
    // Where the keeper was killed too, the run lasts as long as any of its processes.
    let has_keeper = keeper.lives(proc);
    let session = Session {
        args,
        options,
        run,
        state,
        meter,
        carried,
        guard,
        progress,
        recorder: Some(recorder),
        forwarder,
        screen: Screen::begin(line),
        signals,
        stop: None,
        cpu_share: None,
        recorded_at_s: f64::NEG_INFINITY,
        confirmed_micro,
        fault_at_s: f64::NEG_INFINITY,
        has_keeper,
        kept_code: None,
        is_gone: false,
    };
    session.go(|timeout| {
        std::thread::sleep(timeout);
        (!keeper.lives(proc)).then_some(None)
    })
}
