//! Reinforcement learning with generation: rollouts priced by the serving times of the model's own graph, updates by its
//! training times, on the same accelerators one after the other, or on accelerators apart at the same time.

use outlay_catalog::{Accelerator, Offer};
use outlay_model::{Kind, Model};
use outlay_units::Estimate;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::budget::usual_workload;
use crate::constants::Calibration;
use crate::layout::Recompute;
use crate::serving::{
    Deployment, Engine, Formats, Load, NumberFormat, PassTimes, ServingConstants, ServingLayout,
    Settings, simulate,
};
use crate::train::{Choice, PlanError, Question, plan_train};
use crate::workload::{Precision, Workload};

/// Share of the memory that a generating engine has where training holds the rest: what verl's examples set
/// (`gpu_memory_utilization`).
const SHARED_MEMORY: f64 = 0.5;

/// Rate to the host's memory, in bytes each second: PCIe 4.0 x16 at four fifths.
const HOST_BYTES_PER_S: f64 = 25e9;

/// Algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RlMethod {
    /// Group relative policy optimization: answers to one prompt are each other's baseline (arXiv:2402.03300).
    Grpo,
    /// Proximal policy optimization with a critic and a reward model of the policy's size (arXiv:1707.06347,
    /// arXiv:2203.02155).
    Ppo,
}

impl RlMethod {
    /// Every method, in the order of help texts.
    pub const ALL: [Self; 2] = [Self::Grpo, Self::Ppo];

    /// The name that people type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpo => "grpo",
            Self::Ppo => "ppo",
        }
    }

    /// Reads a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|method| method.name().eq_ignore_ascii_case(name.trim()))
    }
}

/// A question.
#[derive(Clone, Debug)]
pub struct RlQuestion<'a> {
    /// The policy.
    pub model: &'a Model,
    /// The algorithm.
    pub method: RlMethod,
    /// Prompts of the whole run, each pass over them counted.
    pub prompts: f64,
    /// Answers to each prompt.
    pub rollouts: u32,
    /// Prompts of one step.
    pub step_prompts: u32,
    /// Tokens of a prompt.
    pub input_tokens: f64,
    /// Tokens of an answer, on average; they vary by half about it.
    pub output_tokens: f64,
    /// Passes of the optimizer over the answers of a step.
    pub updates: u32,
    /// Accelerators.
    pub accelerator: &'a Accelerator,
    /// How many.
    pub count: u32,
    /// Its cheapest offer, where a price is known.
    pub offer: Option<&'a Offer>,
    /// Number format of training.
    pub precision: Precision,
    /// Carbon intensity of an offer's grid, as in [`Question`].
    pub carbon: fn(&str, &str) -> (f64, String),
}

/// One way to run it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RlPlan {
    /// Whether generation has accelerators of its own, and runs beside the training of the step before.
    pub is_split: bool,
    /// Accelerators that generate.
    pub generation_accelerators: u32,
    /// Accelerators that train.
    pub training_accelerators: u32,
    /// Layout of a generating replica.
    pub generation_layout: String,
    /// Layout of training.
    pub training_layout: String,
    /// Time to generate the answers of a step, in seconds.
    pub generation_s: Estimate,
    /// Time to train on them, with the reference's, critic's and reward model's passes, in seconds.
    pub training_s: Estimate,
    /// Time to hand new weights to the generating engine, in seconds.
    pub weights_s: f64,
    /// A whole step, in seconds.
    pub step_s: Estimate,
    /// Steps.
    pub steps: f64,
    /// The whole run, in seconds.
    pub wall_clock_s: Estimate,
    /// Accelerator-hours.
    pub accelerator_hours: Estimate,
    /// US dollars; `None` where no price is known.
    pub usd: Option<Estimate>,
    /// Share of the accelerators' time that waits for the other half; 0 where both take turns.
    pub idle: f64,
}

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RlAnswer {
    /// Version of this format; fields are only ever added within one version.
    pub format: u32,
    /// Model name.
    pub model: String,
    /// Algorithm.
    pub method: RlMethod,
    /// Accelerator id.
    pub accelerator: String,
    /// Tokens that are generated over the run.
    pub generated_tokens: f64,
    /// Tokens that are trained on over the run, prompts included.
    pub trained_tokens: f64,
    /// Ways, cheapest first.
    pub plans: Vec<RlPlan>,
    /// Sentences worth reading.
    pub notes: Vec<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RlError {
    /// Training does not fit.
    #[error(transparent)]
    Train(#[from] PlanError),
    /// Generation does not fit.
    #[error("`{model}` does not fit to generate on {count} x {accelerator}")]
    Generation {
        /// Model name.
        model: String,
        /// Accelerators.
        count: u32,
        /// Accelerator id.
        accelerator: String,
    },
}

/// Replicas that divide layers over up to a node, and of models with experts those that divide experts over more.
fn layouts(question: &RlQuestion<'_>, count: u32) -> Vec<ServingLayout> {
    let heads = question
        .model
        .operators()
        .filter_map(|operator| match operator.kind {
            Kind::Attention { query_heads, .. } => Some(query_heads),
            _ => None,
        })
        .min()
        .unwrap_or(1);
    [1_u32, 2, 4, 8, 16]
        .into_iter()
        .filter(|ranks| {
            *ranks <= question.accelerator.node_size.max(1)
                && *ranks <= count
                && heads.is_multiple_of(u64::from(*ranks))
        })
        .map(ServingLayout::tensor)
        .chain(expert_layouts(question, count))
        .collect()
}

/// Data-parallel attention with experts divided over all ranks.
fn expert_layouts(question: &RlQuestion<'_>, count: u32) -> Vec<ServingLayout> {
    let experts = question
        .model
        .operators()
        .filter_map(|operator| match operator.kind {
            Kind::ExpertMatMul { experts, .. } => Some(experts),
            _ => None,
        })
        .min()
        .unwrap_or(0);
    [8_u32, 16, 32, 64]
        .into_iter()
        .filter(|ranks| experts > 0 && *ranks <= count && experts.is_multiple_of(u64::from(*ranks)))
        .map(|ranks| ServingLayout {
            tensor: 1,
            pipeline: 1,
            attention_data: ranks,
            expert_tensor: 1,
            expert: ranks,
        })
        .collect()
}

/// Seconds to answer all prompts of a step on so many accelerators, and the layout of a replica.
fn generation(
    question: &RlQuestion<'_>,
    count: u32,
    memory_share: f64,
    calibration: &Calibration,
) -> Option<(f64, ServingLayout)> {
    let answers = f64::from(question.step_prompts) * f64::from(question.rollouts);
    let engine = Engine::Vllm;
    let constants = ServingConstants::resolve(
        &calibration.serving,
        &question.accelerator.generation,
        engine,
    );
    layouts(question, count)
        .into_par_iter()
        .filter_map(|layout| {
            let mut settings = Settings::usual(engine, question.accelerator);
            settings.memory_share = memory_share;
            // Answers are handed over whole, by no front end.
            settings.chunk_tokens = 1e9;
            let deployment = Deployment {
                model: question.model,
                accelerator: question.accelerator,
                engine,
                formats: Formats::usual(NumberFormat::Bf16, question.model, question.accelerator),
                layout,
                settings,
            };
            let memory = deployment.memory();
            let all = question.accelerator.memory_gib * outlay_units::GIB;
            let holds = memory.weights_bytes + memory.activations_bytes < memory_share * all
                && memory.sequences(question.input_tokens + 1.5 * question.output_tokens) >= 1.0;
            if !holds {
                return None;
            }
            let replicas = f64::from(count / layout.accelerators()).max(1.0);
            let mut times = PassTimes::new(&deployment, &constants);
            times.request_s = 0.0;
            times.front_end_request_s = 0.0;
            let share = (answers / replicas).ceil();
            // All answers begin together, and the step ends with the longest.
            let load = Load {
                input_tokens: question.input_tokens,
                output_tokens: 1.5 * question.output_tokens,
                shortest: 1.0 / 3.0,
                concurrency: share as u32,
                rate_per_s: None,
                requests: share as u32,
                burst_share: 1.0,
                // Answers to one prompt share it.
                cached_prefix: 1.0 - 1.0 / f64::from(question.rollouts.max(1)),
                draft: None,
            };
            let outcome = simulate(&times, &deployment, &memory, &load);
            (outcome.requests_per_s > 0.0).then(|| (share / outcome.requests_per_s, layout))
        })
        .min_by(|a, b| a.0.total_cmp(&b.0))
}

/// Seconds to train on the answers of a step on so many accelerators, and the layout.
fn training(
    question: &RlQuestion<'_>,
    count: u32,
    calibration: &Calibration,
) -> Result<(Estimate, String), PlanError> {
    let answers = u64::from(question.step_prompts) * u64::from(question.rollouts);
    let sequence = (question.input_tokens + question.output_tokens)
        .round()
        .max(1.0) as u64;
    let step = |model: &Model| -> Result<(Estimate, String), PlanError> {
        let tokens = answers as f64 * sequence as f64;
        let workload = Workload {
            sequence_tokens: sequence,
            global_batch_sequences: answers,
            ..usual_workload(model, tokens, question.precision)
        };
        let offers: Vec<&Offer> = question.offer.into_iter().collect();
        let asked = Question {
            workload: &workload,
            choices: vec![Choice {
                accelerator: question.accelerator,
                count: Some(count),
                offers,
            }],
            budget_usd: None,
            deadline_s: None,
            layout: None,
            carbon: question.carbon,
            pue: 1.2,
            framework_given: false,
            own_calibration: false,
            exhaustive: false,
            usual_only: false,
            stages: Vec::new(),
            most_recompute: Recompute::Full,
        };
        let best = plan_train(&asked, calibration)?.best;
        Ok((best.step_s, best.layout_brief))
    };
    // The reference scores every answer; with a critic the reward model does, too.
    let mut policy = question.model.clone();
    policy.add_forward(question.model, "reference", true);
    if question.method == RlMethod::Ppo {
        policy.add_forward(question.model, "reward model", true);
    }
    let (mut seconds, layout) = step(&policy)?;
    // Frozen models score answers once, whatever the number of updates.
    let alone = f64::from(question.updates.max(1) - 1)
        + if question.method == RlMethod::Ppo {
            f64::from(question.updates.max(1))
        } else {
            0.0
        };
    if alone > 0.0 {
        let (once, _) = step(question.model)?;
        seconds = seconds.plus_independent(once.scaled(alone));
    }
    Ok((seconds, layout))
}

/// The longer of two times that run beside each other.
fn longer(a: Estimate, b: Estimate) -> Estimate {
    Estimate {
        p10: a.p10.max(b.p10),
        p50: a.p50.max(b.p50),
        p90: a.p90.max(b.p90),
    }
}

/// Answers a question.
///
/// # Errors
/// [`RlError`] where the model can be neither trained nor run on the accelerators.
pub fn plan_rl(question: &RlQuestion<'_>, calibration: &Calibration) -> Result<RlAnswer, RlError> {
    // A run of fewer prompts is one small step.
    let question = &RlQuestion {
        step_prompts: question
            .step_prompts
            .min(question.prompts.ceil().min(1e9) as u32)
            .max(1),
        ..question.clone()
    };
    let count = question.count;
    let steps = (question.prompts / f64::from(question.step_prompts.max(1)))
        .ceil()
        .max(1.0);
    let spread = calibration.serving_spread("tpot-together", &question.accelerator.generation);
    let bytes = question.model.main_parameters() as f64 * 2.0;
    let misfit = || RlError::Generation {
        model: question.model.name.clone(),
        count,
        accelerator: question.accelerator.id.clone(),
    };
    let plan = |split: Option<(u32, u32)>| -> Result<RlPlan, RlError> {
        let (generating, training_on) = split.unwrap_or((count, count));
        let memory_share = if split.is_some() { 0.9 } else { SHARED_MEMORY };
        let (seconds, layout) =
            generation(question, generating, memory_share, calibration).ok_or_else(misfit)?;
        let generation_s = Estimate::around(seconds, spread);
        let (training_s, training_layout) = training(question, training_on, calibration)?;
        // Apart, weights cross the network once and are spread by its nodes. In turns, shards are gathered over the links of
        // a node, and the optimizer's states (12 bytes a parameter) go to the host and back over PCIe, so that the engine
        // has room.
        let weights_s = if split.is_some() {
            bytes / (question.accelerator.network.gbit_per_s * 0.125e9 * 0.5)
        } else {
            let states = 6.0 * bytes / f64::from(count);
            bytes / (question.accelerator.link.gb_per_s * 1e9 * 0.5)
                + 2.0 * states / HOST_BYTES_PER_S
        };
        let fixed = Estimate::exactly(weights_s);
        let (step_s, idle) = if split.is_some() {
            let longest = longer(generation_s, training_s);
            let waits = (longest.p50 - generation_s.p50) * f64::from(generating)
                + (longest.p50 - training_s.p50) * f64::from(training_on);
            (
                longest.plus_independent(fixed),
                waits / (longest.p50 * f64::from(count)),
            )
        } else {
            (
                generation_s
                    .plus_independent(training_s)
                    .plus_independent(fixed),
                0.0,
            )
        };
        // Apart, the first answers have no training beside them, nor the last training answers.
        let wall_clock_s = if split.is_some() {
            let shorter = generation_s.p50.min(training_s.p50);
            step_s
                .scaled(steps)
                .plus_independent(Estimate::exactly(shorter))
        } else {
            step_s.scaled(steps)
        };
        let accelerator_hours = wall_clock_s.scaled(f64::from(count) / 3600.0);
        Ok(RlPlan {
            is_split: split.is_some(),
            generation_accelerators: generating,
            training_accelerators: training_on,
            generation_layout: layout.name(),
            training_layout,
            generation_s,
            training_s,
            weights_s,
            step_s,
            steps,
            wall_clock_s,
            accelerator_hours,
            usd: question.offer.map(|offer| {
                let usd = accelerator_hours.scaled(offer.usd_per_accelerator_hour());
                offer
                    .projected
                    .map_or(usd, |spread| crate::trends::widened(usd, spread))
            }),
            idle,
        })
    };
    let shared = plan(None);
    // Halves, quarters and eighths.
    let mut shares: Vec<(u32, u32)> = (1..8)
        .map(|eighths| count * eighths / 8)
        .filter(|generating| *generating > 0 && *generating < count)
        .map(|generating| (generating, count - generating))
        .collect();
    shares.dedup();
    let split = shares
        .into_par_iter()
        .filter_map(|share| plan(Some(share)).ok())
        .min_by(|a, b| a.step_s.p50.total_cmp(&b.step_s.p50));
    let mut notes = Vec::new();
    let mut plans = Vec::new();
    match (shared, &split) {
        (Ok(plan), _) => plans.push(plan),
        (Err(error), None) => return Err(error),
        (Err(error), Some(_)) => notes.push(format!("Taking turns is not possible: {error}.")),
    }
    plans.extend(split);
    plans.sort_by(|a, b| a.step_s.p50.total_cmp(&b.step_s.p50));
    if plans.iter().any(|plan| plan.is_split) {
        notes.push(
            "Apart, answers are generated with the weights of the step before (one step off the policy).".to_owned(),
        );
    }
    if question.method == RlMethod::Ppo {
        notes.push(
            "Policy and critic are trained one after the other; where the states of both do not fit together, one of them is offloaded meanwhile.".to_owned(),
        );
    }
    notes.push("No measured run of reinforcement learning backs these times: they are those of serving and of training, which are measured, put together.".to_owned());
    let answers = question.prompts * f64::from(question.rollouts);
    Ok(RlAnswer {
        format: 1,
        model: question.model.name.clone(),
        method: question.method,
        accelerator: question.accelerator.id.clone(),
        generated_tokens: answers * question.output_tokens,
        trained_tokens: answers
            * (question.input_tokens + question.output_tokens)
            * f64::from(question.updates.max(1)),
        plans,
        notes,
    })
}
