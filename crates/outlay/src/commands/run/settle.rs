//! Runs whose meter is gone: closing their accounts from what was left behind.

use std::path::Path;

use outlay_ledger::{Batch, Run, RunChange, RunStatus};
use outlay_meter::{Ending, Gap};
use outlay_units::duration;

use super::recorder;
use super::state::{State, Summary};
use crate::failure::Failure;
use crate::ledger::{Books, host, now_us};

/// How long a keeper may take from being started to saying that it is there.
const STARTING_US: i64 = 5_000_000;

/// A run without a meter.
pub enum Orphan {
    /// Its command goes on; `outlay run --resume` takes it up again.
    Alive(Box<Run>),
    /// It has ended, and its account is closed now.
    Settled(Box<Summary>),
    /// Its meter could not reach the ledger at the end; what it left is in the ledger now.
    Written(String),
}

/// Looks for runs of this machine that nobody meters, and closes the accounts of those that have ended.
pub fn settle_all(books: &Books, proc: &Path) -> Result<Vec<Orphan>, Failure> {
    let mut orphans = Vec::new();
    let host = host();
    for run in books.ask(books.ledger().running())? {
        let Some(mut state) = State::of(&run).filter(|_| run.host == host) else {
            continue;
        };
        if state.is_metered(proc) {
            continue;
        }
        // One at a time: of two who start at once, the second finds it done.
        let lock = std::fs::File::create(state.folder.join("lock")).ok();
        if lock.as_ref().is_some_and(|lock| lock.lock().is_ok())
            && books.ask(books.ledger().run(&run.id))?.status != RunStatus::Running
        {
            continue;
        }
        state.find_keeper();
        let has_just_begun = state.keeper.is_none()
            && state.is_this_boot(proc)
            && now_us() - run.started_us < STARTING_US;
        if recorder::write_left_over(books, &state.waiting_file())? {
            orphans.push(Orphan::Written(run.id));
        } else if state.is_alive(proc) || has_just_begun {
            orphans.push(Orphan::Alive(Box::new(run)));
        } else {
            orphans.push(Orphan::Settled(Box::new(settle(books, run, state)?)));
        }
    }
    Ok(orphans)
}

/// Closes the account of a run whose command is gone.
///
/// Where its keeper wrote down the end, the time until then is counted; else only until the last sign of life, and the rest is said to be unknown.
pub fn settle(books: &Books, mut run: Run, mut state: State) -> Result<Summary, Failure> {
    for name in ["output", "errors"] {
        // Nobody writes any more.
        let _ = outlay_meter::give_back_room(&state.folder.join(name));
    }
    let last_us = state.last_us;
    let (end_us, why) = match Ending::read(&state.ending_file()) {
        Some(ending) => {
            run.status = if ending.code == Some(0) {
                RunStatus::Finished
            } else {
                RunStatus::Failed
            };
            run.exit_code = ending.code.map(i64::from);
            if let (Some(all), Some(seen)) = (ending.cpu_seconds, &mut state.usage.cpu_seconds) {
                seen.value = seen.value.max(all);
            }
            (
                ending.ended_us,
                "the meter was gone; the time is known from the end that was written down"
                    .to_owned(),
            )
        }
        None => {
            run.status = RunStatus::Lost;
            let sign = last_sign_of_life_us(&state.folder)
                .unwrap_or(last_us)
                .max(last_us);
            let unknown = (now_us() - sign).max(0) as f64 / 1e6;
            (
                sign,
                format!(
                    "the meter was gone and nobody saw the end; it may have run {} longer than is counted",
                    duration(unknown)
                ),
            )
        }
    };
    // The clock of the day may have been set back in between.
    let away_s = ((end_us - last_us) as f64 / 1e6).max(0.0);
    let from_s = state.elapsed_s();
    if away_s > 0.0 {
        state.away.push(Gap {
            from_s,
            to_s: from_s + away_s,
            why: why.clone(),
            filled: None,
        });
    }
    state.last_s += away_s;
    state.last_us = end_us.max(last_us);
    run.ended_us = Some(state.last_us);
    run.seen_us = state.last_us;
    let spending = state.entries(&run, &why);
    let summary = Summary::of(&run, &state, None);
    let change = RunChange {
        id: run.id.clone(),
        status: Some(run.status),
        seen_us: Some(run.seen_us),
        ended_us: run.ended_us,
        exit_code: run.exit_code,
        state: Some(state.to_json()),
        summary: serde_json::to_value(&summary).ok(),
        ..RunChange::default()
    };
    let batch = Batch {
        changes: vec![change],
        spending,
        evidence: vec![summary.evidence(&state, now_us())],
        ..Batch::default()
    };
    books.ask(books.ledger().write(batch))?;
    Ok(summary)
}

/// When the command last wrote something.
fn last_sign_of_life_us(folder: &Path) -> Option<i64> {
    ["output", "errors"]
        .iter()
        .filter_map(|name| {
            let written = std::fs::metadata(folder.join(name)).ok()?.modified().ok()?;
            let since = written.duration_since(std::time::UNIX_EPOCH).ok()?;
            Some(since.as_micros() as i64)
        })
        .max()
}
