//! Runs of several parts: a curriculum of sequence lengths, an extension to long contexts, a teacher's pass ahead.

use outlay_catalog::Accelerator;
use outlay_units::{Estimate, GIB};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::constants::{Calibration, Constant};
use crate::failures::CHECKPOINT_BYTES_PER_S;
use crate::layout::Layout;
use crate::search::{Candidate, Space, search};
use crate::step::Costing;
use crate::train::NEAR_LIMIT;
use crate::workload::{Method, Workload};

/// A part of a run beside the main one: on the same accelerators, with a layout of its own.
#[derive(Clone, Debug)]
pub struct Stage {
    /// What it is, such as `131072 tokens`.
    pub name: String,
    /// What is run. Its framework is taken from the main part.
    pub workload: Workload,
    /// Whether it comes before the main part.
    pub before: bool,
}

/// One part of a plan's run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanStage {
    /// What it is.
    pub name: String,
    /// Whether it is the main part: that of most arithmetic.
    pub main: bool,
    /// Tokens in a sequence.
    pub sequence_tokens: u64,
    /// Sequences in a step.
    pub global_batch_sequences: u64,
    /// Tokens.
    pub tokens: f64,
    /// The layout.
    pub layout: Layout,
    /// The layout in short form.
    pub layout_brief: String,
    /// Seconds of one step.
    pub step_s: Estimate,
    /// Steps.
    pub steps: f64,
    /// Wall-clock time, in seconds, with saving and loading the checkpoint that it starts from.
    pub wall_clock_s: Estimate,
    /// Peak memory of one accelerator, in GiB.
    pub memory_gib: Estimate,
}

impl Stage {
    /// The workload in the main part's software.
    fn workload_in(&self, main: &Workload) -> Workload {
        Workload {
            framework: main.framework,
            channels_last: main.channels_last,
            ..self.workload.clone()
        }
    }

    /// The fastest layout that fits, and nine times in ten where one is about as fast; `None` where none fits.
    pub(crate) fn price(
        &self,
        main: &Workload,
        accelerator: &Accelerator,
        count: u32,
        space: Space,
        memory_high: f64,
        calibration: &Calibration,
    ) -> Option<Candidate> {
        let workload = self.workload_in(main);
        let costing = Costing::new(&workload, accelerator, calibration)?;
        let fastest = *search(&costing, count, space, 1).best.first()?;
        let roomy = Space {
            memory_share: space.memory_share.min(1.0 / memory_high),
            ..space
        };
        let with_room = search(&costing, count, roomy, 1).best.first().copied();
        Some(
            with_room
                .filter(|found| found.time.total_s() <= NEAR_LIMIT * fastest.time.total_s())
                .unwrap_or(fastest),
        )
    }
}

/// What the parts of a plan share.
pub(crate) struct Parts<'a> {
    /// The main part's prices.
    pub costing: &'a Costing<'a>,
    /// Ranges: of a step, of a run, of memory.
    pub spreads: [outlay_units::Spread; 3],
}

impl Parts<'_> {
    /// A part as priced. Training that is taken up from another part's checkpoint writes it and reads it first.
    pub fn of(
        &self,
        name: &str,
        workload: &Workload,
        candidate: &Candidate,
        resumes: bool,
    ) -> PlanStage {
        let layout = candidate.layout;
        let [step_spread, run_spread, memory_spread] = self.spreads;
        let step_s = candidate.time.total_s();
        let per_step = (workload.global_batch_sequences * workload.sequence_tokens) as f64;
        let steps = (workload.tokens_total / per_step).ceil();
        let nodes = (f64::from(layout.accelerators())
            / f64::from(self.costing.accelerator.node_size.max(1)))
        .ceil();
        let resuming_s = if resumes {
            2.0 * self.costing.checkpoint_bytes() / (nodes * CHECKPOINT_BYTES_PER_S)
        } else {
            0.0
        };
        let wall_s = steps * step_s / self.costing.constants.get(Constant::Goodput) + resuming_s;
        PlanStage {
            name: name.to_owned(),
            main: false,
            sequence_tokens: workload.sequence_tokens,
            global_batch_sequences: workload.global_batch_sequences,
            tokens: workload.tokens_total,
            layout,
            layout_brief: layout.brief(),
            step_s: Estimate::around(step_s, step_spread),
            steps,
            wall_clock_s: Estimate::around(wall_s, run_spread),
            memory_gib: Estimate::around(candidate.memory.total_bytes() / GIB, memory_spread),
        }
    }
}

/// Tokens that are trained on in all parts.
pub(crate) fn tokens_trained(main: &Workload, stages: &[Stage]) -> f64 {
    main.tokens_total
        + stages
            .iter()
            .filter(|stage| stage.workload.method != Method::Forward)
            .map(|stage| stage.workload.tokens_total)
            .sum::<f64>()
}

/// Samples that are trained on in all parts.
pub(crate) fn samples_trained(main: &Workload, stages: &[Stage]) -> f64 {
    let samples = |workload: &Workload| workload.tokens_total / workload.sequence_tokens as f64;
    samples(main)
        + stages
            .iter()
            .filter(|stage| stage.workload.method != Method::Forward)
            .map(|stage| samples(&stage.workload))
            .sum::<f64>()
}

/// What the main part is called beside others.
pub(crate) fn main_name(workload: &Workload) -> String {
    format!("{} tokens", workload.sequence_tokens)
}
