//! What real budgets forget: everything around the steps of a run, one line each.

use outlay_catalog::Accelerator;
use outlay_units::Estimate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::constants::{Calibration, Constant};
use crate::failures::{CHECKPOINT_BYTES_PER_S, RESTART_S, checkpoint_interval_s, failure_factor};
use crate::step::Costing;
use crate::train::{Answer, Plan, Question};
use crate::workload::{Method, Workload};

/// What surrounds a run. [`Surroundings::default`] holds the figures that the command starts from, each with its source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surroundings {
    /// Failures that stop the run, for each accelerator and day.
    ///
    /// By default 4.74e-4: Llama 3 405B met 419 unexpected interruptions in 54 days on 16,384 H100s (arXiv:2407.21783,
    /// section 3.3.4). Research clusters report two to six times as many.
    pub failures_per_accelerator_day: f64,
    /// Preemptions of a node in a day, on spot offers; `None`, the default: the offer's own rate.
    pub preemptions_per_node_day: Option<f64>,
    /// Tokens (or positions) of all evaluation passes together, which run forward alone.
    pub evaluation_tokens: f64,
    /// Size of the training data as stored, in bytes; `None`: token ids of two bytes (four where the vocabulary is larger
    /// than 65,536), unknown for models that take no tokens.
    pub data_bytes: Option<f64>,
    /// Bytes kept beside the data and the checkpoints, such as a teacher's answers.
    pub other_bytes: f64,
    /// Passes over the training data, which is stored once.
    pub passes: f64,
    /// Bytes of training data that one node reads and unpacks in a second, beside its accelerators' work.
    ///
    /// By default 2e9, the rate at which a node is taken to write checkpoints, too. Pictures that processors unpack are
    /// mostly slower.
    pub loading_bytes_per_s: f64,
    /// Checkpoints kept at one time.
    pub checkpoints_kept: f64,
    /// Price of storage in US dollars for each GB (1e9 bytes) and month of 30 days.
    ///
    /// By default 0.023, the list price of Amazon S3 Standard in us-east-1.
    pub storage_usd_per_gb_month: f64,
    /// Price of each GB that leaves the provider, in US dollars; the trained weights do, once, in two bytes a parameter.
    ///
    /// By default 0.09, the list price of data transfer out of Amazon EC2 to the internet (first 10 TB a month).
    pub egress_usd_per_gb: f64,
    /// Hours for which accelerators are paid but do not run, over those in which they do: queueing, setting up, waiting
    /// for people. By default 0.
    pub idle_share: f64,
    /// Accelerator time of all runs over that of this one: failed and exploratory runs, sweeps. By default 1: none.
    ///
    /// BLOOM's project spent 2.69 times its last run (arXiv:2211.02001); OLMo's 1.5 times (arXiv:2503.05804), Olmo 3's 5.6
    /// times (82.2% of its compute was no final run: arXiv:2605.01158).
    pub all_runs_factor: f64,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            failures_per_accelerator_day: 419.0 / (54.0 * 16_384.0),
            preemptions_per_node_day: None,
            evaluation_tokens: 0.0,
            data_bytes: None,
            other_bytes: 0.0,
            passes: 1.0,
            loading_bytes_per_s: CHECKPOINT_BYTES_PER_S,
            checkpoints_kept: 3.0,
            storage_usd_per_gb_month: 0.023,
            egress_usd_per_gb: 0.09,
            idle_share: 0.0,
            all_runs_factor: 1.0,
        }
    }
}

/// How the run is saved, and what failures take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Checkpoints {
    /// Size of one, in bytes.
    pub bytes: f64,
    /// Seconds for which saving stops the run, all nodes writing 2 GB/s each.
    pub save_s: f64,
    /// Seconds of work between saving, by Daly's formula.
    pub interval_s: f64,
    /// Failures (and preemptions, on spot offers) expected in the run.
    pub failures: f64,
    /// Share of the wall-clock time that saving, lost work and restarts take.
    pub lost_share: f64,
}

impl Checkpoints {
    /// How a plan is saved, and what failures take; on spot offers preemptions as well, at the offer's rate or the one given.
    pub(crate) fn of(
        plan: &Plan,
        costing: &Costing<'_>,
        failures_per_accelerator_day: f64,
        preemptions_per_node_day: Option<f64>,
    ) -> Self {
        let nodes =
            (f64::from(plan.count) / f64::from(costing.accelerator.node_size.max(1))).ceil();
        let bytes = costing.checkpoint_bytes();
        let save_s = bytes / (nodes * CHECKPOINT_BYTES_PER_S);
        let mut per_day = failures_per_accelerator_day * f64::from(plan.count);
        if let Some(offers_own) = plan.preemptions_per_node_day {
            per_day += preemptions_per_node_day.unwrap_or(offers_own) * plan.spot_nodes;
        }
        let wall_clock_s = plan.wall_clock_s.p50;
        // Nothing fails: one checkpoint, at the end.
        if per_day <= 0.0 {
            return Self {
                bytes,
                save_s,
                interval_s: wall_clock_s,
                failures: 0.0,
                lost_share: 0.0,
            };
        }
        let between_s = DAY_S / per_day;
        let interval_s = checkpoint_interval_s(save_s, between_s);
        let factor = failure_factor(interval_s, save_s, RESTART_S, between_s);
        Self {
            bytes,
            save_s,
            interval_s,
            failures: wall_clock_s / between_s,
            lost_share: 1.0 - 1.0 / factor,
        }
    }

    /// Whether failures take nearly all of the time, so that the run does not get on.
    pub(crate) fn stand_still(&self) -> bool {
        self.lost_share.is_nan() || self.lost_share > 0.95
    }
}

/// One line of a bill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BillLine {
    /// What is paid for.
    pub what: String,
    /// US dollars.
    pub usd: Estimate,
    /// Whether another line holds it already, so that it does not add to the total.
    pub included: bool,
    /// What it is reckoned from.
    pub basis: String,
}

/// The whole bill of the chosen plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bill {
    /// Lines, the run first.
    pub lines: Vec<BillLine>,
    /// Sum of the lines that no other line holds.
    pub total_usd: Estimate,
    /// How the run is saved, and what failures take.
    pub checkpoints: Checkpoints,
    /// Emissions of making the hardware, this run's share, in kg of CO2 equivalent; not in the plan's own figure.
    pub embodied_kg: f64,
}

const GB: f64 = 1e9;
const DAY_S: f64 = 86_400.0;

/// Emissions of making the accelerators and servers, the share of some hours of use, in kg of CO2 equivalent.
///
/// 150 kg for an accelerator and 2,500 kg for a server without them, in use for 85% of six years (Luccioni et al. 2022,
/// arXiv:2211.02001). The same figures
/// serve every accelerator: makers publish few.
///
/// ```
/// // BLOOM: 1.08 million hours on A100s, eight to a server, 11.2 tonnes.
/// let a100 = outlay_catalog::find_accelerator("A100-80GB-SXM").unwrap();
/// assert!((outlay_plan::embodied_kg(a100, 1.08e6) / 11_200.0 - 1.0).abs() < 0.01);
/// ```
pub fn embodied_kg(accelerator: &Accelerator, accelerator_hours: f64) -> f64 {
    let hours_of_life = 6.0 * 365.0 * 24.0 * 0.85;
    let each = 150.0 + 2_500.0 / f64::from(accelerator.node_size.max(1));
    each / hours_of_life * accelerator_hours
}

/// The bill of an answer's chosen plan; `None` where no price is known.
///
/// The plan's own cost holds what runs usually lose to restarts, saving and evaluation: the constant `goodput`. The loss
/// that failures alone explain is shown as a part of it, and adds to the total only where it is more than that.
pub fn bill(
    question: &Question<'_>,
    answer: &Answer,
    surroundings: &Surroundings,
    calibration: &Calibration,
) -> Option<Bill> {
    let plan = &answer.best;
    let run = plan.usd?;
    let accelerator = question
        .choices
        .iter()
        .map(|choice| choice.accelerator)
        .find(|accelerator| accelerator.id == plan.accelerator)?;
    let workload = Workload {
        framework: plan.framework,
        ..question.workload.clone()
    };
    let costing = Costing::new(&workload, accelerator, calibration)?;
    let saved = Checkpoints::of(
        plan,
        &costing,
        surroundings.failures_per_accelerator_day,
        surroundings.preemptions_per_node_day,
    );
    let mut lines = Vec::new();
    let mut line = |what: &str, usd: Estimate, included: bool, basis: String| {
        lines.push(BillLine {
            what: what.to_owned(),
            usd,
            included,
            basis,
        });
    };
    line(
        "the run",
        run,
        false,
        "steps, restarts, saving and evaluation, as priced above".to_owned(),
    );
    let allowed = 1.0 - costing.constants.get(Constant::Goodput);
    line(
        "of which failures",
        run.scaled(saved.lost_share.min(allowed)),
        true,
        format!(
            "{} failures, {} saved every {}{}",
            outlay_units::significant(saved.failures),
            outlay_units::bytes(saved.bytes),
            outlay_units::duration(saved.interval_s),
            match (
                plan.preemptions_per_node_day,
                surroundings.preemptions_per_node_day
            ) {
                (None, _) => String::new(),
                (Some(_), Some(stated)) => format!(
                    "; {} preemptions a day and node, as stated",
                    outlay_units::significant(stated)
                ),
                (Some(rate), None) => format!(
                    "; {} preemptions a day and node, {}",
                    outlay_units::significant(rate),
                    plan.preemptions_basis
                ),
            }
        ),
    );
    // A forward pass is a third of a step's arithmetic (2 N of 6 N FLOPs a token, arXiv:2001.08361, section 2.1), or half of
    // one that trains adapters; steps are what is left of the time in which the model trains.
    let ahead_s: f64 = plan
        .stages
        .iter()
        .zip(trains(question))
        .filter(|(_, trains)| !trains)
        .map(|(stage, _)| stage.wall_clock_s.p50)
        .sum();
    let training = 1.0 - ahead_s / plan.wall_clock_s.p50;
    let evaluated = (1.0 - allowed) * training * surroundings.evaluation_tokens
        / (workload.method.passes() * answer.tokens);
    if evaluated > 0.0 {
        line(
            "of which evaluation",
            run.scaled(evaluated.min((allowed - saved.lost_share).max(0.0))),
            true,
            format!(
                "{} tokens run forward alone",
                outlay_units::count(surroundings.evaluation_tokens)
            ),
        );
    }
    // Time grows from useful/(1 - allowed) to useful and evaluation over 1 - lost.
    let mut compute = run;
    if saved.lost_share + evaluated > allowed {
        let useful = 1.0 - allowed + evaluated;
        let more = run.scaled((useful / (1.0 - saved.lost_share) - 1.0).max(0.0));
        compute = added(compute, more);
        line(
            if evaluated > 0.0 {
                "more failures and evaluation than usual"
            } else {
                "more failures than usual"
            },
            more,
            false,
            format!(
                "{} of the time goes to them, {} is usual",
                outlay_units::percent(1.0 - (1.0 - allowed) * (1.0 - saved.lost_share) / useful),
                outlay_units::percent(allowed)
            ),
        );
    }
    let months = plan.wall_clock_s.scaled(1.0 / (30.0 * DAY_S));
    let (data_bytes, of) = match (surroundings.data_bytes, workload.model.sample.positions) {
        (Some(bytes), _) => (bytes, "data"),
        (None, None) => {
            let id_bytes = if workload.model.vocabulary > 65_536 {
                4.0
            } else {
                2.0
            };
            (answer.tokens / surroundings.passes * id_bytes, "token ids")
        }
        (None, Some(_)) => (0.0, "data (size not said)"),
    };
    if data_bytes > 0.0 {
        let nodes = (f64::from(plan.count) / f64::from(accelerator.node_size.max(1))).ceil();
        // While the steps of training run.
        let needed_bytes_per_s = data_bytes * surroundings.passes
            / (plan.wall_clock_s.p50 * training * (1.0 - allowed))
            / nodes;
        let waiting = (needed_bytes_per_s / surroundings.loading_bytes_per_s - 1.0).max(0.0);
        let waited = compute.scaled(waiting * training);
        line(
            "waiting for data",
            waited,
            false,
            format!(
                "steps need {}/s of each node, which loads {}/s{}",
                outlay_units::bytes(needed_bytes_per_s),
                outlay_units::bytes(surroundings.loading_bytes_per_s),
                if waiting > 0.0 {
                    ""
                } else {
                    ": loading hides behind them"
                }
            ),
        );
        compute = added(compute, waited);
    }
    if surroundings.idle_share > 0.0 {
        let idle = compute.scaled(surroundings.idle_share);
        line(
            "idle and queueing",
            idle,
            false,
            format!(
                "{} of the run's hours, as stated",
                outlay_units::percent(surroundings.idle_share)
            ),
        );
        compute = added(compute, idle);
    }
    if surroundings.all_runs_factor > 1.0 {
        line(
            "failed and exploratory runs",
            compute.scaled(surroundings.all_runs_factor - 1.0),
            false,
            format!(
                "all runs take {} times this one, as stated",
                outlay_units::significant(surroundings.all_runs_factor)
            ),
        );
    }
    let kept_bytes = surroundings.checkpoints_kept * saved.bytes;
    line(
        "storage",
        months.scaled(
            (data_bytes + kept_bytes + surroundings.other_bytes) / GB
                * surroundings.storage_usd_per_gb_month,
        ),
        false,
        format!(
            "{} of {of}, {} of checkpoints{}, at {} a GB and month",
            outlay_units::bytes(data_bytes),
            outlay_units::bytes(kept_bytes),
            if surroundings.other_bytes > 0.0 {
                format!(
                    ", {} beside them",
                    outlay_units::bytes(surroundings.other_bytes)
                )
            } else {
                String::new()
            },
            outlay_units::price_usd(surroundings.storage_usd_per_gb_month)
        ),
    );
    let leaving_bytes = match workload.method {
        Method::Full => 2.0 * workload.model.own_parameters() as f64,
        Method::Lora | Method::Qlora | Method::Forward => saved.bytes,
    };
    line(
        "egress",
        Estimate::exactly(leaving_bytes / GB * surroundings.egress_usd_per_gb),
        false,
        format!(
            "{} of weights leave once, at {} a GB",
            outlay_units::bytes(leaving_bytes),
            outlay_units::price_usd(surroundings.egress_usd_per_gb)
        ),
    );
    // What moves one of the lines (a slower run) moves all: quantiles are summed.
    let total_usd = lines
        .iter()
        .filter(|line| !line.included)
        .fold(Estimate::exactly(0.0), |sum, line| added(sum, line.usd));
    Some(Bill {
        lines,
        total_usd,
        checkpoints: saved,
        embodied_kg: embodied_kg(accelerator, plan.accelerator_hours.p50),
    })
}

/// Whether each part of the run trains, in the order of a plan's parts.
fn trains(question: &Question<'_>) -> Vec<bool> {
    let of = |before: bool| {
        question
            .stages
            .iter()
            .filter(move |stage| stage.before == before)
            .map(|stage| stage.workload.method != Method::Forward)
    };
    of(true).chain([true]).chain(of(false)).collect()
}

fn added(a: Estimate, b: Estimate) -> Estimate {
    Estimate {
        p10: a.p10 + b.p10,
        p50: a.p50 + b.p50,
        p90: a.p90 + b.p90,
    }
}
