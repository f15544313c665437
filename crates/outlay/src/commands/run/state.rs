//! What is known of a run at any time, in a form that a later process can go on from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use outlay_ledger::{Evidence, Micro, Run, RunStatus, Spending};
use outlay_meter::{Figure, Gap, Kept, ProcessId, Quality, Sources, Usage};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::guard::StoppedBy;
use super::progress::Outlook;
use super::terms::{Cost, Terms};
use crate::ledger::who;

/// Everything that is needed to go on metering a run, or to close its account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// The form of this object.
    pub format: u32,
    /// Folder of the run's files.
    pub folder: PathBuf,
    /// This start of the machine.
    pub boot_id: Option<String>,
    /// Who waits for the command.
    pub keeper: Option<ProcessId>,
    /// Who meters it.
    pub meter: Option<ProcessId>,
    /// The command's processes when it was last metered.
    pub processes: Vec<ProcessId>,
    /// When the command began, by the clock that only goes forward.
    pub started_s: f64,
    /// When it was last metered, by that clock.
    pub last_s: f64,
    /// When it was last metered, by the clock of the day.
    pub last_us: i64,
    /// Entries of spending that were written.
    pub n_entries: u64,
    /// Money that is recorded, in millionths, and until when, by kind.
    pub recorded: BTreeMap<String, (i64, i64)>,
    /// What it used.
    pub usage: Usage,
    /// Energy counters of the accelerators that it had to itself.
    pub gpu_counters: BTreeMap<String, f64>,
    /// Prices and emissions.
    pub terms: Terms,
    /// Its own budget.
    pub budget_usd: Option<f64>,
    /// Seconds that it may take to end when told to.
    pub grace_s: f64,
    /// How far its outputs were handed on; empty where they are not kept.
    pub read: Vec<u64>,
    /// The run that it was started within, which pays for its time and energy.
    #[serde(default)]
    pub within: Option<String>,
    /// Times in which nobody metered it.
    pub away: Vec<Gap>,
    /// Where its figures come from.
    pub sources: Sources,
    /// What it looks ahead to, for whoever reads the ledger while it runs.
    #[serde(default)]
    pub outlook: Option<Outlook>,
    /// What the plan that it came from said it would cost, in dollars.
    #[serde(default)]
    pub planned_usd: Option<outlay_units::Estimate>,
    /// How long that plan said it would take, in seconds.
    #[serde(default)]
    pub planned_s: Option<outlay_units::Estimate>,
}

impl State {
    /// Seconds that it ran, metered or not.
    pub fn elapsed_s(&self) -> f64 {
        (self.last_s - self.started_s).max(0.0)
    }

    /// What it cost until now, by kind.
    pub fn costs(&self) -> Vec<Cost> {
        self.terms.costs(self.elapsed_s(), self.usage.joules())
    }

    /// What it cost until now, in dollars.
    pub fn spent_usd(&self) -> f64 {
        self.costs().iter().map(|cost| cost.usd).sum()
    }

    /// Money of it that is recorded, or will be with the entries that were made, in millionths.
    pub fn recorded_micro(&self) -> i64 {
        self.recorded.values().map(|(micro, _)| micro).sum()
    }

    /// Makes the entries for what was spent since the last ones. Their sum is what was spent, to the millionth; for a run within another there are none.
    pub fn entries(&mut self, run: &Run, note: &str) -> Vec<Spending> {
        let mut entries = Vec::new();
        if self.within.is_some() {
            return entries;
        }
        for cost in self.costs() {
            let (recorded, until_us) = self
                .recorded
                .get(cost.kind)
                .copied()
                .unwrap_or((0, run.started_us));
            let total = Micro::from_units(cost.usd).map_or(recorded, |micro| micro.0);
            let to_us = until_us.max(self.last_us);
            if total != recorded {
                entries.push(Spending {
                    entry: format!("{}/{}", run.id, self.n_entries),
                    run_id: Some(run.id.clone()),
                    project: run.project.clone(),
                    team: run.team.clone(),
                    kind: cost.kind.to_owned(),
                    from_us: until_us,
                    to_us,
                    amount_micro: Micro(total - recorded),
                    currency: "USD".to_owned(),
                    quality: cost.quality.name().to_owned(),
                    note: note.to_owned(),
                });
                self.n_entries += 1;
            }
            self.recorded.insert(cost.kind.to_owned(), (total, to_us));
        }
        entries
    }

    /// The state as the ledger keeps it.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Reads a state back.
    pub fn of(run: &Run) -> Option<Self> {
        serde_json::from_value(run.state.clone())
            .ok()
            .filter(|state: &Self| state.format == 1)
    }

    /// Whether the meter that wrote it still lives.
    pub fn is_metered(&self, proc: &Path) -> bool {
        self.is_this_boot(proc) && self.meter.is_some_and(|meter| meter.lives(proc))
    }

    /// Whether the command still lives: its keeper, or, where that was killed too, any of its processes.
    pub fn is_alive(&self, proc: &Path) -> bool {
        let mut processes = self.keeper.iter().chain(&self.processes);
        self.is_this_boot(proc) && processes.any(|process| process.lives(proc))
    }

    /// Whether the machine has not been started anew since.
    pub fn is_this_boot(&self, proc: &Path) -> bool {
        self.boot_id.is_some() && self.boot_id == outlay_meter::boot_id(proc)
    }

    /// Finds the keeper and its command where the meter was killed before it could tell the ledger of them.
    pub fn find_keeper(&mut self) {
        let Some(kept) = Kept::read(&self.ending_file()) else {
            return;
        };
        self.keeper.get_or_insert(kept.keeper);
        self.processes.extend(kept.command);
    }

    /// File for what could not be written to the ledger.
    pub fn waiting_file(&self) -> PathBuf {
        self.folder.join("waiting.json")
    }

    /// File in which the keeper says how the command ended.
    pub fn ending_file(&self) -> PathBuf {
        self.folder.join("ending.json")
    }
}

/// What a run came to, as `--json` writes it and the ledger keeps it.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Summary {
    /// The form of this object.
    pub format: u32,
    /// The run's id.
    pub run: String,
    /// What people call it.
    pub name: String,
    /// Its project.
    pub project: String,
    /// Its team.
    pub team: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// How it ended.
    pub status: RunStatus,
    /// What the command said at its end.
    pub exit_code: Option<i64>,
    /// What it was stopped by, where it was: `outlay run` then ended with 122 (a budget) or 123 (the rule of `--stop-when`).
    #[serde(default)]
    pub stopped_by: Option<StoppedBy>,
    /// Why it was stopped, where it was.
    pub stopped_because: Option<String>,
    /// When it began, in UTC.
    pub started: String,
    /// When it ended.
    pub ended: String,
    /// Seconds that it ran.
    pub elapsed_s: f64,
    /// The run that it was started within, where its spending is recorded.
    #[serde(default)]
    pub within: Option<String>,
    /// Times within them in which nobody metered it.
    pub away: Vec<Gap>,
    /// Dollars spent, all kinds together; `None` where no price was given.
    pub spent_usd: Option<Figure>,
    /// Dollars by kind.
    pub spent_usd_by_kind: BTreeMap<String, Figure>,
    /// Its budget, in dollars.
    pub budget_usd: Option<f64>,
    /// Energy, in kWh; `None` where nothing is known.
    pub energy_kwh: Option<Figure>,
    /// Emissions, in kg of CO2 equivalent.
    pub co2e_kg: Option<Figure>,
    /// How far it was, what it looked ahead to, as of the last look.
    pub outlook: Option<Outlook>,
    /// What the plan that it came from said it would cost, in dollars.
    pub planned_usd: Option<outlay_units::Estimate>,
    /// How long that plan said it would take, in seconds.
    pub planned_s: Option<outlay_units::Estimate>,
    /// Everything that was read.
    pub usage: Usage,
    /// Where its figures come from.
    pub sources: Sources,
    /// Prices and emissions.
    pub terms: Terms,
    /// Whether nothing is missing: no gap that is not filled.
    pub is_complete: bool,
}

impl Summary {
    /// What a run came to.
    pub fn of(run: &Run, state: &State, stopped: Option<(StoppedBy, String)>) -> Self {
        let (stopped_by, stopped_because) = stopped.unzip();
        let mut by_kind = BTreeMap::new();
        for cost in state.costs() {
            by_kind.insert(
                cost.kind.to_owned(),
                Figure {
                    value: cost.usd,
                    quality: cost.quality,
                },
            );
        }
        let energy = state.usage.joules().map(|joules| Figure {
            value: joules.value / 3.6e6,
            quality: joules.quality,
        });
        let is_filled = |gaps: &[Gap]| gaps.iter().all(|gap| gap.filled.is_some());
        Self {
            format: 1,
            run: run.id.clone(),
            name: run.name.clone(),
            project: run.project.clone(),
            team: run.team.clone(),
            command: run.command.clone(),
            status: run.status,
            exit_code: run.exit_code,
            stopped_by,
            stopped_because,
            started: outlay_units::timestamp(run.started_us),
            ended: outlay_units::timestamp(run.ended_us.unwrap_or(run.seen_us)),
            elapsed_s: state.elapsed_s(),
            within: state.within.clone(),
            away: state.away.clone(),
            spent_usd: by_kind.values().copied().reduce(Figure::plus),
            spent_usd_by_kind: by_kind,
            budget_usd: state.budget_usd,
            energy_kwh: energy,
            co2e_kg: state.usage.joules().map(|joules| Figure {
                value: state.terms.co2e_kg(joules.value),
                // An intensity of a year and a country says nothing of the hour.
                quality: Quality::Modelled,
            }),
            outlook: None,
            planned_usd: None,
            planned_s: None,
            usage: state.usage.clone(),
            sources: state.sources.clone(),
            terms: state.terms.clone(),
            is_complete: is_filled(&state.away)
                && is_filled(&state.usage.gaps)
                && state.usage.gpu.complete,
        }
    }

    /// The statement that is kept for good.
    pub fn evidence(&self, state: &State, now_us: i64) -> Evidence {
        let figure = |figure: Option<Figure>| {
            figure.map(|figure| json!({"value": figure.value, "quality": figure.quality}))
        };
        Evidence {
            kind: "run".to_owned(),
            subject: format!("run/{}", self.run),
            body: json!({
                "name": self.name,
                "project": self.project,
                "team": self.team,
                "command": self.command,
                "status": self.status,
                "exit_code": self.exit_code,
                "stopped_because": self.stopped_because,
                "started": self.started,
                "ended": self.ended,
                "elapsed_s": self.elapsed_s,
                "spent_micro": state.recorded_micro(),
                "currency": "USD",
                "price": self.terms.price_source,
                "energy_kwh": figure(self.energy_kwh),
                "co2e_kg": figure(self.co2e_kg),
                "is_complete": self.is_complete,
            }),
            recorded_us: now_us,
            who: who(),
        }
    }
}

/// What was used before a meter went away, and what was used since another came: together.
///
/// Counts of the processes go on from their own beginning; energy and the network's bytes begin anew with each meter.
pub fn together(before: &Usage, since: &Usage) -> Usage {
    if before.metered_s == 0.0 {
        return since.clone();
    }
    let larger = |a: Option<Figure>, b: Option<Figure>| match (a, b) {
        (Some(a), Some(b)) => Some(if a.value > b.value { a } else { b }),
        (a, b) => a.or(b),
    };
    let sum = |a: Option<Figure>, b: Option<Figure>| match (a, b) {
        (Some(a), Some(b)) => Some(a.plus(b)),
        (a, b) => a.or(b),
    };
    let mut all = since.clone();
    all.metered_s += before.metered_s;
    all.cpu_seconds = larger(before.cpu_seconds, since.cpu_seconds);
    all.memory_peak_bytes = larger(before.memory_peak_bytes, since.memory_peak_bytes);
    all.memory_mean_bytes = match (before.memory_mean_bytes, since.memory_mean_bytes) {
        (Some(a), Some(b)) if all.metered_s > 0.0 => Some(Figure {
            value: (a.value * before.metered_s + b.value * since.metered_s) / all.metered_s,
            quality: Quality::Sampled,
        }),
        (a, b) => b.or(a),
    };
    all.disk_read_bytes = larger(before.disk_read_bytes, since.disk_read_bytes);
    all.disk_written_bytes = larger(before.disk_written_bytes, since.disk_written_bytes);
    all.network_received_bytes = sum(before.network_received_bytes, since.network_received_bytes);
    all.network_sent_bytes = sum(before.network_sent_bytes, since.network_sent_bytes);
    all.cpu_joules = sum(before.cpu_joules, since.cpu_joules);
    all.memory_joules = sum(before.memory_joules, since.memory_joules);
    all.gpu.energy_joules = sum(before.gpu.energy_joules, since.gpu.energy_joules);
    all.gpu.complete = before.gpu.complete && since.gpu.complete;
    for old in &before.gpu.accelerators {
        match all.gpu.accelerators.iter_mut().find(|new| new.id == old.id) {
            Some(new) => {
                new.energy_joules = sum(old.energy_joules, new.energy_joules);
                new.sampled_joules += old.sampled_joules;
                new.modelled_joules += old.modelled_joules;
                new.idle_joules += old.idle_joules;
                new.others_joules += old.others_joules;
                new.memory_peak_bytes = new.memory_peak_bytes.max(old.memory_peak_bytes);
                let mean = |a: Option<f64>, b: Option<f64>| match (a, b) {
                    (Some(a), Some(b)) if old.held_s + new.held_s > 0.0 => {
                        Some((a * old.held_s + b * new.held_s) / (old.held_s + new.held_s))
                    }
                    (a, b) => b.or(a),
                };
                new.busy_mean = mean(old.busy_mean, new.busy_mean);
                new.idle_share = mean(old.idle_share, new.idle_share);
                new.power_mean_watts = mean(old.power_mean_watts, new.power_mean_watts);
                new.busy_peak = new
                    .busy_peak
                    .into_iter()
                    .chain(old.busy_peak)
                    .reduce(f64::max);
                new.held_s += old.held_s;
                new.users_unknown_s += old.users_unknown_s;
                new.gaps.splice(0..0, old.gaps.iter().cloned());
            }
            None => all.gpu.accelerators.push(old.clone()),
        }
    }
    all.gaps.splice(0..0, before.gaps.iter().cloned());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_of_the_summary_is_the_one_that_is_documented() {
        let schema = serde_json::to_string_pretty(&schemars::schema_for!(Summary)).expect("JSON");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/run.schema.json");
        if std::env::var_os("OUTLAY_BLESS").is_some() {
            std::fs::write(path, format!("{schema}\n")).expect("writes");
        }
        let documented = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            documented.trim_end() == schema,
            "docs/run.schema.json differs; OUTLAY_BLESS=1 writes it anew"
        );
    }
}
