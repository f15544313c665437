//! A run while it is metered: the loop that samples, minds budgets, looks ahead and records.

use std::sync::atomic::Ordering;
use std::time::Duration;

use outlay_ledger::{Batch, Point, Run, RunChange, RunStatus, Series};
use outlay_meter::{Ending, Meter, Signal, Usage, break_pipe, signal_all};
use outlay_units::{Estimate, duration};

use super::Args;
use super::begin::{Options, Signals, clock, finish_files};
use super::guard::{Guard, StoppedBy, Word};
use super::line::Screen;
use super::output::{self, Forwarder};
use super::progress::{self, Progress, Remark};
use super::recorder::Recorder;
use super::show;
use super::state::{State, Summary, together};
use crate::failure::Failure;
use crate::ledger::now_us;
use crate::printer::aside;

/// How often the loop looks around, at least, and more often where readings are to be closer than that.
const TICK_S: f64 = 0.1;

/// Seconds between two writes to the ledger: the first, and the most, after a quarter of an hour.
const RECORD_EVERY_S: (f64, f64) = (1.0, 30.0);

/// Seconds without a fault of the ledger after which the next is said again.
const SAME_FAULT_S: f64 = 60.0;

/// How long the end of a run waits for the last of the output to be handed on, before it closes the account.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A command that is being stopped.
pub struct Stop {
    by: StoppedBy,
    why: String,
    since_s: f64,
    is_killed: bool,
}

/// A run while it is metered.
pub struct Session<'a> {
    pub args: &'a Args,
    pub options: &'a Options,
    pub run: Run,
    pub state: State,
    pub meter: Meter,
    /// What earlier meters of this run saw.
    pub carried: Usage,
    pub guard: Guard,
    pub progress: Progress,
    pub recorder: Option<Recorder>,
    pub forwarder: Option<Forwarder>,
    pub screen: Screen,
    pub signals: Signals,
    pub stop: Option<Stop>,
    pub cpu_share: Option<f64>,
    pub recorded_at_s: f64,
    /// Money of this run that the ledger has said it holds, in millionths.
    pub confirmed_micro: i64,
    /// When the ledger last said that it could not be written to.
    pub fault_at_s: f64,
    /// Whether someone waits for the command's end, and writes it down.
    pub has_keeper: bool,
    /// The code that the keeper ended with, which is the command's.
    pub kept_code: Option<i32>,
    /// Whether, without one, none of its processes lives any more.
    pub is_gone: bool,
}

impl Session<'_> {
    /// Meters until the command ends; `ended` waits for its keeper as long as it is told to, and gives the code that it ended with.
    pub fn go(
        mut self,
        mut ended: impl FnMut(Duration) -> Option<Option<i32>>,
    ) -> Result<(), Failure> {
        let is_watched = output::is_watched() && !self.args.quiet && self.forwarder.is_some();
        let mut sampled_s = f64::NEG_INFINITY;
        let interval_s = self.options.interval_s;
        let tick = Duration::from_secs_f64((interval_s / 2.0).min(TICK_S));
        // At once, so that a command of a moment has a beginning too.
        self.sample();
        self.record();
        loop {
            let is_over = if self.has_keeper {
                ended(tick).is_some_and(|code| self.keeper_ended(code))
            } else {
                std::thread::sleep(tick);
                self.look_for_life();
                self.is_gone
            };
            if is_over && !self.has_to_outlast() {
                break;
            }
            if is_over {
                // Its keeper does not end a second time.
                self.has_keeper = false;
            }
            let now_s = self.now();
            self.pass_signals();
            self.mind_outputs();
            // A limit is minded every second, however seldom there is a reading otherwise.
            let every_s = if self.guard.is_empty() {
                interval_s
            } else {
                interval_s.min(1.0)
            };
            if now_s - sampled_s >= every_s {
                sampled_s = now_s;
                self.sample();
                self.mind_budgets(now_s);
                self.look_ahead(now_s);
                if is_watched {
                    self.draw();
                }
            }
            self.mind_grace(now_s);
            let every_s = (self.state.elapsed_s() / 30.0).clamp(RECORD_EVERY_S.0, RECORD_EVERY_S.1);
            if now_s - self.recorded_at_s >= every_s {
                self.record();
            }
        }
        // The kernel's last word on the processors' time comes first, so that the last reading has its energy too.
        if let Some(ending) = Ending::read(&self.state.ending_file()) {
            self.meter.finish(ending.cpu_seconds);
            self.meter.tree().adopt(&ending.left);
        }
        self.sample();
        self.finish()
    }

    fn now(&self) -> f64 {
        clock(&self.options.roots.proc).unwrap_or(self.state.last_s)
    }

    /// Whether the run is over now that its keeper is gone.
    fn keeper_ended(&mut self, code: Option<i32>) -> bool {
        self.kept_code = code;
        if code.is_some() || Ending::read(&self.state.ending_file()).is_some() {
            return true;
        }
        // It was killed. The run lasts as long as any of its processes.
        self.has_keeper = false;
        self.state.find_keeper();
        self.meter.tree().adopt(&self.state.processes);
        self.sample();
        if !self.is_gone {
            self.say("the process that waits for the command was killed; the command goes on, and how it ends will not be known");
        }
        self.is_gone
    }

    /// Without a keeper: whether any process of the run still lives.
    fn look_for_life(&mut self) {
        let proc = &self.options.roots.proc;
        if !self.state.processes.iter().any(|one| one.lives(proc)) {
            self.sample();
        }
    }

    /// Whether the command was told to end, did, and left others behind who were told too: their time is not up yet.
    fn has_to_outlast(&mut self) -> bool {
        if self.stop.is_none() {
            return false;
        }
        let left = Ending::read(&self.state.ending_file()).map(|ending| ending.left);
        let tree = self.meter.tree();
        tree.adopt(&left.unwrap_or_default());
        let _ = tree.read();
        !tree.living().is_empty()
    }

    fn sample(&mut self) {
        // Both clocks at once: later the one is counted on from where the other stopped.
        let (now_s, at_us) = (self.now(), now_us());
        let before = self.meter.usage().cpu_seconds.map(|seconds| seconds.value);
        let elapsed = now_s - self.state.last_s;
        self.meter.sample(now_s);
        if let (Some(before), Some(now)) = (before, self.meter.usage().cpu_seconds)
            && elapsed > 0.0
        {
            self.cpu_share = Some((now.value - before).max(0.0) / elapsed);
        }
        self.state.last_s = self.state.last_s.max(now_s);
        self.state.last_us = at_us;
        self.state.usage = together(&self.carried, self.meter.usage());
        self.state.gpu_counters = self.meter.gpu_counters().clone();
        self.state.processes = self.meter.tree().living();
        self.is_gone = !self.has_keeper && self.state.processes.is_empty();
        if let Some(forwarder) = &self.forwarder {
            self.state.read = forwarder.at();
        }
        self.take_progress();
    }

    /// Takes in what the output told.
    fn take_progress(&mut self) {
        let spent = self.state.terms.has_price().then(|| self.state.spent_usd());
        self.progress
            .take(self.state.elapsed_s(), spent, self.state.last_us);
    }

    /// Hands on what is meant for the command.
    fn pass_signals(&mut self) {
        for (flag, signal) in [
            (&self.signals.interrupt, Signal::SIGINT),
            (&self.signals.terminate, Signal::SIGTERM),
            (&self.signals.hang_up, Signal::SIGHUP),
        ] {
            // In the foreground of a terminal, keys and hang-ups have reached the command already.
            let is_passed = flag.swap(false, Ordering::AcqRel);
            let is_shared = std::io::IsTerminal::is_terminal(&std::io::stdin());
            if is_passed && (signal == Signal::SIGTERM || !is_shared) {
                signal_all(self.meter.tree(), signal);
            }
        }
    }

    /// Ends those who write to an output of which nobody reads our side, and says what is to be said of the outputs.
    fn mind_outputs(&mut self) {
        let Some(forwarder) = &self.forwarder else {
            return;
        };
        for path in forwarder.broken() {
            break_pipe(self.meter.tree(), path);
        }
        for text in forwarder.words() {
            self.say(&text);
        }
    }

    fn mind_budgets(&mut self, now_s: f64) {
        if let Some(news) = self.recorder.as_ref().and_then(Recorder::news) {
            self.guard.hear(&news.spent);
            if news.fault.is_none() {
                self.confirmed_micro = news.recorded;
            }
            if let Some(fault) = news.fault {
                // Once, also where it is written to now and then meanwhile.
                let is_new = now_s - self.fault_at_s > SAME_FAULT_S;
                self.fault_at_s = now_s;
                if is_new {
                    self.say(&format!("{fault}; the command goes on, and what was metered is kept until it can be written"));
                }
            }
        }
        if self.guard.is_empty() || self.stop.is_some() {
            return;
        }
        // What was sent and not confirmed is not in what the ledger says was spent; what a run within another spends is the other's.
        let recorded = if self.state.within.is_some() {
            self.state.spent_usd()
        } else {
            self.confirmed_micro as f64 / 1e6
        };
        for word in self.guard.check(self.state.spent_usd(), recorded) {
            match word {
                Word::Warn(text) => self.say(&text),
                Word::Stop(why) => {
                    self.stop(StoppedBy::Budget, why, now_s);
                    return;
                }
            }
        }
    }

    /// Follows how far the command is, and whether the rest is worth it.
    fn look_ahead(&mut self, now_s: f64) {
        for remark in self.progress.look(self.state.elapsed_s()) {
            match remark {
                Remark::Say(text) => self.say(&text),
                Remark::Stop(why) if self.stop.is_none() => {
                    self.stop(StoppedBy::Rule, why, now_s);
                }
                Remark::Stop(_) => {}
            }
        }
    }

    /// What the run came to until now.
    fn summary(&self, stopped: Option<(StoppedBy, String)>) -> Summary {
        let mut summary = Summary::of(&self.run, &self.state, stopped);
        (summary.planned_usd, summary.planned_s) = self.planned();
        summary.outlook = self.outlook();
        summary
    }

    /// What the plan said that it would cost, and how long it would take.
    fn planned(&self) -> (Option<Estimate>, Option<Estimate>) {
        let planned = self.progress.planned().map(|answer| &answer.best);
        (
            planned.and_then(|best| best.usd),
            planned.map(|best| best.wall_clock_s),
        )
    }

    /// What it looks ahead to, where anything was told.
    fn outlook(&self) -> Option<progress::Outlook> {
        Some(self.progress.outlook().clone())
            .filter(|outlook| *outlook != progress::Outlook::default())
    }

    /// Tells the command to end.
    fn stop(&mut self, by: StoppedBy, why: String, now_s: f64) {
        signal_all(self.meter.tree(), Signal::SIGTERM);
        self.say(&format!(
            "{why}; the command is told to end, and has {} for it",
            duration(self.state.grace_s)
        ));
        self.stop = Some(Stop {
            by,
            why,
            since_s: now_s,
            is_killed: false,
        });
    }

    /// Kills a command that does not end by itself.
    fn mind_grace(&mut self, now_s: f64) {
        let Some(stop) = &mut self.stop else { return };
        if now_s - stop.since_s < self.state.grace_s {
            return;
        }
        let is_first = !std::mem::replace(&mut stop.is_killed, true);
        // Again at every turn: whoever was being started meanwhile is found at the next.
        let n_living = signal_all(self.meter.tree(), Signal::SIGKILL);
        if is_first && n_living > 0 {
            self.say("the command did not end in time, and is killed");
        }
    }

    fn say(&self, text: &str) {
        self.screen.say(text);
    }

    fn draw(&mut self) {
        let summary = self.summary(None);
        let words = self.progress.words();
        let text = show::live(&summary, self.meter.watts(), self.cpu_share, &words);
        self.screen.draw(text);
    }

    /// Writes what was metered since the last time.
    fn record(&mut self) {
        self.recorded_at_s = self.state.last_s;
        let mut series = self.progress.drain(&self.run.id);
        series.extend(self.system_metrics());
        let Some(recorder) = &self.recorder else {
            return;
        };
        let spending = self.state.entries(&self.run, "");
        (self.state.planned_usd, self.state.planned_s) = self.planned();
        self.state.outlook = self.outlook();
        let change = RunChange {
            id: self.run.id.clone(),
            seen_us: Some(self.state.last_us),
            state: Some(self.state.to_json()),
            ..RunChange::default()
        };
        let batch = Batch {
            changes: vec![change],
            series,
            spending,
            ..Batch::default()
        };
        recorder.write(batch, self.state.recorded_micro());
    }

    /// What the machine did for the run, as metrics over the seconds since it began.
    fn system_metrics(&self) -> Vec<Series> {
        let usage = &self.state.usage;
        let mut values = vec![
            (
                "system/spent_usd".to_owned(),
                self.state.terms.has_price().then(|| self.state.spent_usd()),
            ),
            (
                "system/energy_kwh".to_owned(),
                usage.joules().map(|joules| joules.value / 3.6e6),
            ),
            ("system/power_watts".to_owned(), self.meter.watts()),
            ("system/cpu_cores".to_owned(), self.cpu_share),
            (
                "system/memory_mean_bytes".to_owned(),
                usage.memory_mean_bytes.map(|bytes| bytes.value),
            ),
        ];
        for gpu in usage.gpu.accelerators.iter().filter(|gpu| gpu.held_s > 0.0) {
            values.push((format!("system/gpu_{}_busy", gpu.index), gpu.busy_mean));
        }
        values
            .into_iter()
            .filter_map(|(key, value)| {
                Some(Series {
                    run_id: self.run.id.clone(),
                    key,
                    points: vec![Point {
                        step: self.state.elapsed_s() as i64,
                        at_us: self.state.last_us,
                        value: value?,
                    }],
                })
            })
            .collect()
    }

    /// Closes the account.
    fn finish(mut self) -> Result<(), Failure> {
        if let Some(forwarder) = &self.forwarder {
            // For what it tells of progress; but nothing waits for a reader who does not read.
            forwarder.end(LAST_WORDS);
        }
        self.progress.hear_last();
        self.take_progress();
        self.mind_outputs();
        // A note that could not be written is no loss: its keeper ends with the command's code.
        let ending = Ending::read(&self.state.ending_file()).or_else(|| {
            self.kept_code.map(|code| Ending {
                code: Some(code),
                ..Ending::default()
            })
        });
        self.state.meter = None;
        let code = ending.as_ref().map(Ending::shell_code);
        self.run.exit_code = ending
            .as_ref()
            .and_then(|ending| ending.code)
            .map(i64::from);
        self.run.status = match (&self.stop, &ending) {
            (Some(_), _) => RunStatus::Stopped,
            (None, Some(ending)) if ending.code == Some(0) => RunStatus::Finished,
            (None, Some(_)) => RunStatus::Failed,
            (None, None) => RunStatus::Lost,
        };
        self.run.ended_us = Some(self.state.last_us);
        self.run.seen_us = self.state.last_us;
        let spending = self.state.entries(&self.run, "");
        let stopped = self.stop.as_ref().map(|stop| {
            let killed = if stop.is_killed {
                ", and it had to be killed"
            } else {
                ""
            };
            (stop.by, format!("{}{killed}", stop.why))
        });
        self.progress.look_now();
        let summary = self.summary(stopped);
        let n_left = self.meter.tree().living().len();
        let mut asides = Vec::new();
        if n_left > 0 {
            asides.push(format!(
                "{n_left} process(es) that the command started still run, and are not metered any more"
            ));
        } else if let Some(forwarder) = &self.forwarder {
            // Before the ledger is written, which may lie on the same full disk.
            forwarder.give_back_room();
        }
        let mut series = self.progress.drain(&self.run.id);
        series.extend(self.system_metrics());
        if let Some(recorder) = self.recorder.take() {
            let change = RunChange {
                id: self.run.id.clone(),
                status: Some(self.run.status),
                seen_us: Some(self.run.seen_us),
                ended_us: self.run.ended_us,
                exit_code: self.run.exit_code,
                state: Some(self.state.to_json()),
                summary: serde_json::to_value(&summary).ok(),
                ..RunChange::default()
            };
            let batch = Batch {
                changes: vec![change],
                series,
                spending,
                evidence: vec![summary.evidence(&self.state, now_us())],
                ..Batch::default()
            };
            recorder.write(batch, self.state.recorded_micro());
            asides.extend(recorder.finish());
        }
        if let Some(fault) = ending.as_ref().and_then(|ending| ending.fault.as_ref()) {
            asides.push(format!("the command could not be started: {fault}"));
        }
        // The account is closed. Whoever reads the output may take as long as he likes.
        if let Some(forwarder) = self.forwarder.take() {
            forwarder.finish();
        }
        self.screen.finish();
        for text in &asides {
            aside(text);
        }
        let written = finish_files(self.args, &summary);
        let answer = match (&self.stop, code) {
            (Some(stop), _) => Err(Failure::passed(stop.by.exit_code())),
            (None, Some(0)) => return written,
            (None, Some(code)) => Err(Failure::passed(code)),
            (None, None) => Err(Failure::outside(
                "the command is gone, and nobody saw how it ended",
            )),
        };
        // What is left to do may fail; the command's own code is the answer all the same.
        if let Err(failure) = written {
            failure.report();
        }
        answer
    }
}
