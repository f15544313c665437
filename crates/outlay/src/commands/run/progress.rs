//! How far the command is, when it ends, what it will have cost, and whether the rest is worth it.

use std::sync::mpsc;
use std::time::Instant;

use outlay_ledger::{Point, Series};
use outlay_meter::{Channel, Pattern, ProgressReader, Report};
use outlay_plan::{
    Answer, CurvePlan, Forecast, ForecastPlan, LossCurve, Sample, StopRule, Worth, worth,
};
use outlay_units::{Estimate, count, duration, percent, usd};
use serde::{Deserialize, Serialize};

use super::logged::{Follower, Logged};
use super::output::Stream;

/// Readings of progress that are kept; beyond, every other one goes.
const SAMPLES: usize = 4000;

/// Losses that are kept; beyond, every other one goes.
const LOSSES: usize = 100_000;

/// Seconds between two looks ahead, at least.
const LOOK_EVERY_S: f64 = 5.0;

/// Share of the budget, or without one of the run's length, whose worth is told.
const NEXT_SHARE: f64 = 0.1;

/// What was read from the command's output, on its way from the thread that hands it on.
pub struct Listening {
    reports: mpsc::Receiver<Report>,
}

/// Begins to read along. The second part goes to the thread that hands the output on.
pub fn listen(pattern: Option<Pattern>) -> (Listening, super::output::Listener) {
    let mut reader = ProgressReader::new(pattern);
    let (tell, reports) = mpsc::channel();
    let listener = move |stream: Stream, bytes: &[u8]| {
        let channel = match stream {
            Stream::Out => Channel::Output,
            Stream::Err => Channel::Errors,
        };
        for report in reader.feed_from(channel, bytes) {
            // Nobody listens any more: the run is over.
            let _ = tell.send(report);
        }
    };
    (Listening { reports }, Box::new(listener))
}

/// What a run looks ahead to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Outlook {
    /// How far it is, when it ends and what it will have cost.
    pub forecast: Option<Forecast>,
    /// The loss that it will end with.
    pub final_loss: Option<Estimate>,
    /// What the next tenth of its budget buys, or, without one, of its length.
    pub next_tenth: Option<Worth>,
    /// Why nothing can be said of the loss, where it was logged.
    pub curve_fault: Option<String>,
}

/// What the output told until now.
pub struct Progress {
    listening: Option<Listening>,
    logged: Option<Follower>,
    /// What the last look found.
    last_logged: Vec<Logged>,
    /// Whether the output tells how far it is: it does so more often than what is logged.
    output_tells: bool,
    /// Whether the loss was learned from what is logged; of two tellers, one counts.
    loss_is_logged: Option<bool>,
    rule: Option<StopRule>,
    planned: Option<Answer>,
    budget_usd: Option<f64>,
    fraction: Option<f64>,
    step: Option<f64>,
    total_steps: Option<f64>,
    /// In steps where their total is known, else in shares.
    samples: Vec<Sample>,
    is_in_steps: bool,
    loss_name: Option<String>,
    losses: Vec<(f64, f64)>,
    rates: Vec<(f64, f64)>,
    /// Points that are not in the ledger yet.
    waiting: Vec<(String, Point)>,
    outlook: Outlook,
    curve: Option<LossCurve>,
    looked_s: f64,
    /// Seconds until the next look: so many that looking costs next to nothing.
    pause_s: f64,
    is_above_plan: bool,
}

/// What the outlook says that is worth a line.
#[derive(Clone, Debug, PartialEq)]
pub enum Remark {
    /// Only said.
    Say(String),
    /// The rule is met.
    Stop(String),
}

impl Progress {
    /// Nothing told yet.
    pub fn new(
        listening: Option<Listening>,
        rule: Option<StopRule>,
        planned: Option<Answer>,
        budget_usd: Option<f64>,
    ) -> Self {
        Self {
            listening,
            logged: None,
            last_logged: Vec::new(),
            output_tells: false,
            loss_is_logged: None,
            rule,
            planned,
            budget_usd,
            fraction: None,
            step: None,
            total_steps: None,
            samples: Vec::new(),
            is_in_steps: false,
            loss_name: None,
            losses: Vec::new(),
            rates: Vec::new(),
            waiting: Vec::new(),
            outlook: Outlook::default(),
            curve: None,
            looked_s: 0.0,
            pause_s: LOOK_EVERY_S,
            is_above_plan: false,
        }
    }

    /// Follows what the command logs, too.
    #[must_use]
    pub fn also(mut self, logged: Option<Follower>) -> Self {
        self.logged = logged;
        self
    }

    /// Looks once more into what was logged: the command has ended.
    pub fn hear_last(&mut self) {
        if let Some(follower) = self.logged.take() {
            self.last_logged = follower.last();
        }
    }

    /// Takes in what was told since the last time.
    pub fn take(&mut self, elapsed_s: f64, spent_usd: Option<f64>, now_us: i64) {
        let mut has_moved = self.take_output(elapsed_s, now_us);
        has_moved |= self.take_logged();
        let in_steps = self.step.is_some() && self.total_steps.is_some();
        if in_steps != self.is_in_steps {
            self.samples.clear();
            self.is_in_steps = in_steps;
        }
        if has_moved && let Some(done) = if in_steps { self.step } else { self.fraction } {
            if self.samples.is_empty() {
                // What was before the first word of progress is part of the run too.
                self.samples.push(Sample {
                    elapsed_s: 0.0,
                    done: 0.0,
                    usd: 0.0,
                });
            }
            self.samples.push(Sample {
                elapsed_s,
                done,
                usd: spent_usd.unwrap_or(f64::NAN),
            });
            thin(&mut self.samples, SAMPLES);
        }
    }

    /// What the command logged; whether it says how far it is, and the output does not.
    fn take_logged(&mut self) -> bool {
        let mut all = std::mem::take(&mut self.last_logged);
        all.extend(self.logged.iter().flat_map(Follower::news));
        let mut has_moved = false;
        for logged in all {
            for (name, step, value) in logged.points {
                // It is in the ledger already.
                self.learn(&name, step, value, true);
            }
            if self.output_tells || (logged.fraction.is_none() && logged.step.is_none()) {
                continue;
            }
            let is_back = logged.step < self.step || logged.total_steps != self.total_steps;
            if is_back {
                self.samples.clear();
            }
            has_moved |= logged.step != self.step || logged.fraction != self.fraction;
            self.fraction = logged.fraction;
            self.step = logged.step;
            self.total_steps = logged.total_steps;
        }
        has_moved
    }

    /// What the output told; whether it says how far the command is.
    fn take_output(&mut self, elapsed_s: f64, now_us: i64) -> bool {
        let Some(listening) = &self.listening else {
            return false;
        };
        let reports: Vec<Report> = listening.reports.try_iter().collect();
        let mut has_moved = false;
        for report in reports {
            self.output_tells |= report.fraction.is_some() || report.total_steps.is_some();
            if report.restarted {
                self.samples.clear();
            }
            has_moved |= report.fraction.is_some() || report.step.is_some();
            self.fraction = report.fraction;
            self.step = report.step;
            self.total_steps = report.total_steps;
            for (name, value) in report.metrics {
                let step = report.step.unwrap_or(elapsed_s);
                self.metric(&name, step, value, now_us);
            }
        }
        has_moved
    }

    fn metric(&mut self, name: &str, step: f64, value: f64, now_us: i64) {
        self.waiting.push((
            name.to_owned(),
            Point {
                step: step as i64,
                at_us: now_us,
                value,
            },
        ));
        self.learn(name, step, value, false);
    }

    /// Takes in what an earlier meter of this run recorded.
    pub fn recall(&mut self, metrics: &[Series]) {
        if self.logged.is_some() {
            // All of it is read again with what is logged.
            return;
        }
        for series in metrics {
            for point in &series.points {
                self.learn(&series.key, point.step as f64, point.value, false);
            }
        }
    }

    /// Keeps what the curve of the loss is fitted to.
    fn learn(&mut self, name: &str, step: f64, value: f64, is_logged: bool) {
        if !is_of_interest(name) || *self.loss_is_logged.get_or_insert(is_logged) != is_logged {
            return;
        }
        let lower = name.to_ascii_lowercase();
        if is_rate(&lower) {
            self.rates.push((step, value));
            thin(&mut self.rates, LOSSES);
        }
        // Of several losses, the first that was told.
        if is_loss(&lower) {
            let name = self
                .loss_name
                .get_or_insert_with(|| name.to_owned())
                .clone();
            if name.eq_ignore_ascii_case(&lower) {
                self.losses.push((step, value));
                thin(&mut self.losses, LOSSES);
            }
        }
    }

    /// Looks ahead, where it is time to.
    pub fn look(&mut self, elapsed_s: f64) -> Vec<Remark> {
        if elapsed_s - self.looked_s < self.pause_s {
            return Vec::new();
        }
        let since = Instant::now();
        self.look_now();
        let remarks = self.remarks();
        self.looked_s = elapsed_s;
        // At most half a percent of a processor.
        self.pause_s = (since.elapsed().as_secs_f64() * 200.0).max(LOOK_EVERY_S);
        remarks
    }

    /// Looks ahead.
    pub fn look_now(&mut self) {
        let planned = self.planned.as_ref().map(|answer| &answer.best);
        let plan = ForecastPlan {
            total: if self.is_in_steps {
                self.total_steps
            } else {
                Some(1.0)
            },
            planned_s: planned.map(|best| best.wall_clock_s),
            planned_usd: planned.and_then(|best| best.usd),
            ..ForecastPlan::default()
        };
        self.outlook = Outlook::default();
        self.curve = None;
        if self.samples.is_empty() && planned.is_none() {
            return;
        }
        let forecast = Forecast::new(&self.samples, &plan, 1);
        if !self.losses.is_empty() {
            let plan = CurvePlan {
                total_steps: self.total_steps,
                learning_rates: self.rates.clone(),
                ..CurvePlan::default()
            };
            match LossCurve::fit(&self.losses, &plan, 1) {
                Ok(curve) => {
                    self.outlook.final_loss = curve.final_loss();
                    self.outlook.next_tenth = self
                        .total_steps
                        .filter(|_| self.is_in_steps)
                        .and_then(|total| {
                            let of_budget = self.budget_usd.zip(forecast.usd_per_unit).map(
                                |(budget, per_step)| NEXT_SHARE * budget / (per_step.p50 * total),
                            );
                            worth(&curve, &forecast, total, of_budget.unwrap_or(NEXT_SHARE))
                        });
                    self.curve = Some(curve);
                }
                Err(error) => self.outlook.curve_fault = Some(error.to_string()),
            }
        }
        self.outlook.forecast = Some(forecast);
    }

    fn remarks(&mut self) -> Vec<Remark> {
        let mut remarks = Vec::new();
        let Some(forecast) = &self.outlook.forecast else {
            return remarks;
        };
        let planned = self.planned.as_ref().and_then(|answer| answer.best.usd);
        if let (Some(planned), Some(total)) = (planned, forecast.total_usd) {
            // Said again only after it was back within the plan.
            let is_above = total.p50 > planned.p90;
            if is_above && !self.is_above_plan {
                remarks.push(Remark::Say(format!(
                    "it will cost {} ({} to {}), more than the plan's {} to {}",
                    usd(total.p50),
                    usd(total.p10),
                    usd(total.p90),
                    usd(planned.p10),
                    usd(planned.p90)
                )));
            }
            self.is_above_plan = is_above;
        }
        if let (Some(rule), Some(curve), true) = (
            &self.rule,
            &self.curve,
            self.is_in_steps || self.step.is_some(),
        ) {
            let per_step =
                |rate: Option<Estimate>| rate.filter(|_| self.is_in_steps).map(|rate| rate.p50);
            let usd_per_step = per_step(forecast.usd_per_unit);
            let s_per_step = per_step(forecast.s_per_unit);
            if rule.met(curve, usd_per_step, s_per_step, self.total_steps) == Some(true)
                && let Some(steps) = rule.steps(usd_per_step, s_per_step)
            {
                let gain = curve.gain_between(curve.now(), curve.now() + steps);
                remarks.push(Remark::Stop(format!(
                    "the rule is met: the next {} steps are expected to lower the loss by {} ({} at most)",
                    count(steps),
                    percent(gain.p50.max(0.0)),
                    percent(gain.p90.max(0.0))
                )));
            }
        }
        remarks
    }

    /// The outlook of the last look.
    pub fn outlook(&self) -> &Outlook {
        &self.outlook
    }

    /// The plan that the run came from.
    pub fn planned(&self) -> Option<&Answer> {
        self.planned.as_ref()
    }

    /// Points of metrics that were told since the last time.
    pub fn drain(&mut self, run_id: &str) -> Vec<Series> {
        let mut all: Vec<Series> = Vec::new();
        for (key, point) in self.waiting.drain(..) {
            match all.iter_mut().find(|series| series.key == key) {
                Some(series) => series.points.push(point),
                None => all.push(Series {
                    run_id: run_id.to_owned(),
                    key,
                    points: vec![point],
                }),
            }
        }
        all
    }

    /// The words for the line at the bottom: how far, when it ends, what it will have cost.
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        match (self.fraction, self.step, self.total_steps) {
            (Some(fraction), ..) => words.push(percent(fraction)),
            (None, Some(step), Some(total)) => {
                words.push(format!("step {} of {}", count(step), count(total)));
            }
            (None, Some(step), None) => words.push(format!("step {}", count(step))),
            (None, None, _) => {}
        }
        if let Some(forecast) = &self.outlook.forecast {
            if let Some(remaining) = forecast.remaining_s {
                words.push(format!("ends in {}", duration(remaining.p50)));
            }
            if let Some(total) = forecast.total_usd {
                words.push(format!(
                    "at {} ({} to {})",
                    usd(total.p50),
                    usd(total.p10),
                    usd(total.p90)
                ));
            }
        }
        if let Some(next) = &self.outlook.next_tenth {
            words.push(format!(
                "next tenth: loss -{}",
                percent(next.gain_relative.p50.max(0.0))
            ));
        }
        words.join("  ")
    }
}

/// Whether a metric is one that the curve of the loss is fitted to.
pub fn is_of_interest(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    is_rate(&lower) || is_loss(&lower)
}

fn is_rate(lower: &str) -> bool {
    matches!(
        lower,
        "lr" | "learning_rate" | "learning rate" | "train/learning_rate"
    )
}

/// The training loss.
fn is_loss(lower: &str) -> bool {
    lower.contains("loss")
        && !["eval", "val", "test"]
            .iter()
            .any(|other| lower.contains(other))
}

/// Keeps every other one, where there are too many; always the last.
fn thin<T: Copy>(all: &mut Vec<T>, most: usize) {
    if all.len() > most {
        let n_all = all.len();
        let mut at = 0;
        all.retain(|_| {
            at += 1;
            (n_all - at).is_multiple_of(2)
        });
    }
}
