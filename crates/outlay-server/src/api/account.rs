//! What a run's meter says of it: read from the state that it keeps while it runs and the summary that it leaves.
//!
//! Runs that scripts log over the network have neither, and every part is missing then.

use outlay_ledger::Run;
use outlay_units::Estimate;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::shapes::Interval;

/// What a run's meter says of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Account {
    /// Whether `outlay run` meters it.
    pub is_metered: bool,
    /// Dollars that it may spend.
    pub budget_usd: Option<f64>,
    /// Dollars that it will have cost at its end.
    pub forecast_usd: Option<Interval>,
    /// Seconds until its end, as of the last look.
    pub remaining_s: Option<Interval>,
    /// Share of its work that is done.
    pub done_share: Option<f64>,
    /// The loss that it will end with.
    pub final_loss: Option<Interval>,
    /// Dollars that the plan it came from gave.
    pub planned_usd: Option<Interval>,
    /// Seconds that the plan gave.
    pub planned_s: Option<Interval>,
    /// Dollars for an hour.
    pub usd_per_hour: Option<f64>,
    /// Where the price comes from.
    pub price_source: Option<String>,
    /// Where the emissions come from.
    pub grid_source: Option<String>,
    /// Emissions of a kWh, with what the building takes for it, in kg of CO2 equivalent.
    pub kg_co2e_per_kwh: Option<f64>,
    /// Energy that it took.
    pub energy_kwh: Option<f64>,
    /// Emissions.
    pub co2e_kg: Option<f64>,
    /// Share of the time in which its accelerators did nothing, each by the time that it was held.
    pub idle_share: Option<f64>,
    /// Number of its accelerators.
    pub n_accelerators: usize,
    /// Why it was stopped.
    pub stopped_because: Option<String>,
    /// Whether nothing is missing from what was metered; `None` while it runs.
    pub is_complete: Option<bool>,
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.is_finite())
}

/// A figure: a number with the quality of its source, or nothing.
fn figure(value: &Value) -> Option<f64> {
    number(&value["value"]).or_else(|| number(value))
}

fn interval(value: &Value) -> Option<Interval> {
    let estimate: Estimate = serde_json::from_value(value.clone()).ok()?;
    let is_finite = [estimate.p10, estimate.p50, estimate.p90]
        .iter()
        .all(|end| end.is_finite());
    is_finite.then(|| estimate.into())
}

fn text(value: &Value) -> Option<String> {
    value
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

impl Account {
    /// What is known of a run.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let Some(summary) = run.summary.as_ref().filter(|summary| summary.is_object()) else {
            return Self::read(&run.state);
        };
        let mut account = Self::read(summary);
        if account.budget_usd.is_none() {
            account.budget_usd = figure(&run.state["budget_usd"]);
        }
        account
    }

    /// Takes the energy from what was metered so far, where the run has no summary yet.
    pub fn fill_in(&mut self, energy_kwh: Option<f64>) {
        self.energy_kwh = self.energy_kwh.or(energy_kwh.filter(|kwh| kwh.is_finite()));
        self.co2e_kg = self
            .co2e_kg
            .or_else(|| Some(self.energy_kwh? * self.kg_co2e_per_kwh?));
    }

    /// Both have the same names for the same things.
    fn read(said: &Value) -> Self {
        let (outlook, terms) = (&said["outlook"], &said["terms"]);
        let (idle_share, n_accelerators) = idle(&said["usage"]["gpu"]["accelerators"]);
        Self {
            is_metered: terms.is_object(),
            budget_usd: number(&said["budget_usd"]),
            forecast_usd: interval(&outlook["forecast"]["total_usd"]),
            remaining_s: interval(&outlook["forecast"]["remaining_s"]),
            done_share: number(&outlook["forecast"]["done_share"]),
            final_loss: interval(&outlook["final_loss"]),
            planned_usd: interval(&said["planned_usd"]),
            planned_s: interval(&said["planned_s"]),
            usd_per_hour: number(&terms["usd_per_hour"]),
            price_source: text(&terms["price_source"]),
            grid_source: text(&terms["grid_source"]),
            kg_co2e_per_kwh: number(&terms["g_co2e_per_kwh"])
                .zip(number(&terms["pue"]))
                .map(|(grams, pue)| grams * pue / 1000.0),
            energy_kwh: figure(&said["energy_kwh"]),
            co2e_kg: figure(&said["co2e_kg"]),
            idle_share,
            n_accelerators,
            stopped_because: text(&said["stopped_because"]),
            is_complete: said["is_complete"].as_bool(),
        }
    }
}

fn idle(accelerators: &Value) -> (Option<f64>, usize) {
    let (mut idle, mut held, mut n_held) = (0.0, 0.0, 0);
    for one in accelerators.as_array().into_iter().flatten() {
        let Some(held_s) = number(&one["held_s"]).filter(|held_s| *held_s > 0.0) else {
            continue;
        };
        n_held += 1;
        if let Some(share) = number(&one["idle_share"]) {
            idle += share * held_s;
            held += held_s;
        }
    }
    ((held > 0.0).then(|| idle / held), n_held)
}
