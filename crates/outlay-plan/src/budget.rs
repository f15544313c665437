//! The inverse question: the best language model that a budget buys.

use outlay_model::{Model, ShapeTable, from_shape};
use outlay_units::Estimate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::adapters::Adapters;
use crate::complete::shape_from_parameters;
use crate::constants::Calibration;
use crate::layout::Recompute;
use crate::scaling::{LossLaw, effective_tokens, mixture_of_eight, mixture_of_eight_off_by};
use crate::train::{Choice, Plan, PlanError, Question, plan_train};
use crate::workload::{
    AttentionKernel, Framework, Method, Optimizer, Precision, SOFTWARE_YEAR, Workload,
};

/// Rows of the token embedding of the models considered, as GPT-NeoX has them.
const VOCABULARY: u64 = 50_304;

/// What to buy.
#[derive(Clone, Debug)]
pub struct BudgetQuestion<'a> {
    /// Most to spend, in US dollars, serving included.
    pub usd: f64,
    /// Longest that training may take, in seconds.
    pub deadline_s: Option<f64>,
    /// Hardware to consider.
    pub choices: Vec<Choice<'a>>,
    /// Tokens that the model will read and write once it serves (0: none).
    pub served_tokens: f64,
    /// Different tokens to train on; `None`: as many as it takes.
    pub unique_tokens: Option<f64>,
    /// The loss law.
    pub law: LossLaw,
    /// A model to train, in place of a choice of sizes.
    pub model: Option<Model>,
    /// Carbon intensity of an offer's grid, as in [`Question`].
    pub carbon: fn(&str, &str) -> (f64, String),
    /// Power usage effectiveness of the data centre.
    pub pue: f64,
    /// Number format of the matrix products.
    pub precision: Precision,
    /// Whether the calibration is the person's own.
    pub own_calibration: bool,
}

/// A size with what the budget buys at it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BudgetCandidate {
    /// Parameters, embeddings included.
    pub parameters: f64,
    /// Layers of a model of that size.
    pub layers: u64,
    /// Its width.
    pub hidden: u64,
    /// Tokens to train on.
    pub tokens: f64,
    /// Passes over the different tokens that there are.
    pub epochs: f64,
    /// Loss by the law, in nats for each token; the interval is that of the law's floor, and where tokens are repeated as
    /// much again as repetition is thought to lose.
    pub loss: Estimate,
    /// Cost of training.
    pub training_usd: Estimate,
    /// Cost of serving.
    pub serving_usd: f64,
    /// How to train it.
    pub plan: Plan,
}

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BudgetAnswer {
    /// Version of this format; fields are only ever added within one version.
    pub format: u32,
    /// The budget, in US dollars.
    pub budget_usd: f64,
    /// The size of least loss.
    pub best: BudgetCandidate,
    /// Other sizes, smallest first; the best is among them.
    pub candidates: Vec<BudgetCandidate>,
    /// Smallest and largest size whose loss is within 0.01 nats of the best.
    pub flat_parameters: (f64, f64),
    /// Active parameters of a mixture of eight experts of equal loss, where the law gives one.
    pub mixture_active_parameters: Option<f64>,
    /// That mixture, trained on the same tokens; absent where the law gives none, or nothing considered can train it.
    #[serde(default)]
    pub mixture: Option<MixtureCandidate>,
    /// Sentences worth reading.
    pub notes: Vec<String>,
}

/// A mixture of eight experts, one of which a token visits, that reaches the loss of the best dense size on its tokens.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MixtureCandidate {
    /// All parameters.
    pub parameters: f64,
    /// Parameters that a token touches.
    pub active_parameters: f64,
    /// Active parameters that would do, were the law of mixtures off by the error of the dense law's floor either way (none is
    /// published for it); the upper end is absent where no size would reach the loss.
    pub active_range: (f64, Option<f64>),
    /// Cost of training.
    pub training_usd: Estimate,
    /// How to train it.
    pub plan: Plan,
}

/// Why a budget buys nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BudgetError {
    /// Even the smallest run costs more.
    #[error(
        "{budget} buys no run worth its name: the least considered, {least_model}, costs {least}"
    )]
    TooSmall {
        /// The budget.
        budget: String,
        /// The least model and its tokens.
        least_model: String,
        /// What it costs.
        least: String,
    },
    /// The deadline passes before even the smallest run is over.
    #[error("no run is over within {deadline}: the least considered, {least_model}, takes {least}")]
    TooShort {
        /// The deadline.
        deadline: String,
        /// The least model and its tokens.
        least_model: String,
        /// What it takes.
        least: String,
    },
    /// Nothing fits, for another reason.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// A decoder with rotary positions and gated feed-forward of about so many parameters, with its layers and width; `None`
/// for sizes that make no sound shape.
pub(crate) fn decoder(parameters: f64) -> Option<(Model, u64, u64)> {
    decoder_with(parameters, VOCABULARY, 1)
}

/// A decoder of about so many active parameters, each feed-forward layer of which is a mixture of eight experts that a token
/// visits one of (the shape of the law's own models, arXiv:2502.05172, section 4).
pub(crate) fn mixture(active_parameters: f64) -> Option<Model> {
    let mut table = decoder_shape(active_parameters, VOCABULARY, 1);
    table.name = format!(
        "{} active parameters",
        outlay_units::count(active_parameters)
    );
    table.experts = Some(8);
    table.experts_per_token = Some(1);
    from_shape(&table).ok()
}

/// As [`decoder`], with a vocabulary, and with query heads that share keys and values in groups of so many.
pub(crate) fn decoder_with(
    parameters: f64,
    vocabulary: u64,
    group: u64,
) -> Option<(Model, u64, u64)> {
    let table = decoder_shape(parameters, vocabulary, group);
    let (layers, hidden) = (table.layers, table.hidden);
    from_shape(&table).ok().map(|model| (model, layers, hidden))
}

/// The shape of such a decoder.
fn decoder_shape(parameters: f64, vocabulary: u64, group: u64) -> ShapeTable {
    let (layers, hidden) = shape_from_parameters(parameters, vocabulary);
    let head = if hidden >= 1024 { 128 } else { 64 };
    // A whole number of groups.
    let hidden = if group > 1 {
        (hidden / (head * group)).max(1) * head * group
    } else {
        hidden
    };
    // Three products of two thirds of 4 h hold what two of 4 h do (arXiv:2002.05202).
    let ffn = (hidden * 8 / 3).div_ceil(128) * 128;
    let layers = if group > 1 {
        // Of one layer: queries and outputs, shared keys and values, and the feed-forward.
        let width = hidden as f64;
        let layer = (2.0 + 2.0 / group as f64) * width * width + 3.0 * width * ffn as f64;
        ((parameters - vocabulary as f64 * width) / layer)
            .round()
            .max(1.0) as u64
    } else {
        layers
    };
    ShapeTable {
        name: format!("{} parameters", outlay_units::count(parameters)),
        layers,
        hidden,
        ffn,
        heads: (hidden / head).max(1),
        kv_heads: Some((hidden / head / group).max(1)),
        vocabulary,
        gated: Some(true),
        tied: Some(true),
        ..ShapeTable::default()
    }
}

/// Sequences in a step: 4M tokens, or a hundredth of the run, as a power of two.
fn usual_batch(tokens: f64, sequence_tokens: u64) -> u64 {
    let wanted = 4_194_304f64.min(tokens / 100.0) / sequence_tokens as f64;
    1u64 << (wanted.max(1.0).log2().round() as u32).min(30)
}

/// The pre-training of a model on so many tokens, as people mostly run it.
pub(crate) fn usual_workload(model: &Model, tokens: f64, precision: Precision) -> Workload {
    let most = if model.parameters() < 1_000_000_000 {
        2048
    } else {
        4096
    };
    let sequence_tokens = model.max_sequence_tokens.unwrap_or(4096).clamp(1, most);
    Workload {
        model: model.clone(),
        sequence_tokens,
        global_batch_sequences: usual_batch(tokens, sequence_tokens),
        tokens_total: tokens,
        precision,
        optimizer: Optimizer::Adamw,
        method: Method::Full,
        adapters: Adapters::default(),
        framework: Framework::Megatron,
        attention: AttentionKernel::Fused,
        channels_last: false,
        software_year: SOFTWARE_YEAR,
    }
}

struct Buyer<'a, 'b> {
    question: &'b BudgetQuestion<'a>,
    calibration: &'b Calibration,
}

impl Buyer<'_, '_> {
    fn plan(&self, model: &Model, tokens: f64) -> Result<Plan, PlanError> {
        let question = self.question;
        let workload = usual_workload(model, tokens, question.precision);
        let asked = Question {
            workload: &workload,
            choices: question.choices.clone(),
            budget_usd: None,
            deadline_s: question.deadline_s,
            layout: None,
            carbon: question.carbon,
            pue: question.pue,
            framework_given: false,
            own_calibration: question.own_calibration,
            exhaustive: false,
            usual_only: false,
            stages: Vec::new(),
            most_recompute: Recompute::Full,
        };
        plan_train(&asked, self.calibration).map(|answer| answer.best)
    }

    /// What the budget buys of one model; `None` where it buys less than a token for each parameter.
    fn buy(&self, model: &Model, layers: u64, hidden: u64) -> Option<BudgetCandidate> {
        let question = self.question;
        let parameters = model.parameters() as f64;
        // Start from the price of a FLOP on a good day: 2 dollars an hour for 4e14 FLOP/s.
        let mut tokens = (question.usd / (6.0 * parameters) * 4e14 * 1800.0).max(1e6);
        let mut found: Option<(Plan, f64, f64)> = None;
        for _ in 0..4 {
            let plan = self.plan(model, tokens).ok()?;
            let usd = plan.usd?.p50;
            // A served token costs the forward third of a trained one (2 N of 6 N FLOPs, arXiv:2401.00448, section 2),
            // at the same utilisation.
            let each = usd / tokens;
            let serving = each / 3.0 * question.served_tokens;
            let mut next = (question.usd - serving) / each;
            if let Some(deadline) = question.deadline_s {
                next = next.min(tokens * deadline / plan.wall_clock_s.p50);
            }
            if next < parameters {
                return None;
            }
            let settled = (next / tokens - 1.0).abs() < 0.02;
            let over = usd + serving > question.usd * 1.02
                || question
                    .deadline_s
                    .is_some_and(|deadline| plan.wall_clock_s.p50 > deadline * 1.02);
            if !over && found.as_ref().is_none_or(|(_, most, _)| tokens > *most) {
                found = Some((plan, tokens, serving));
            }
            if settled {
                break;
            }
            tokens = next;
        }
        let (plan, tokens, serving_usd) = found?;
        let worth = question
            .unique_tokens
            .map_or(tokens, |unique| effective_tokens(tokens, unique));
        let loss = question.law.loss(parameters, worth);
        // No error is published for the worth of repeated tokens: what they lose is taken to be as unsure as it is large.
        let lost_to_repetition = loss - question.law.loss(parameters, tokens);
        let error = (1.2816 * question.law.floor_error).hypot(lost_to_repetition);
        Some(BudgetCandidate {
            parameters,
            layers,
            hidden,
            tokens,
            epochs: question
                .unique_tokens
                .map_or(1.0, |unique| (tokens / unique).max(1.0)),
            loss: Estimate {
                p10: loss - error,
                p50: loss,
                p90: loss + error,
            },
            training_usd: plan.usd?,
            serving_usd,
            plan,
        })
    }

    fn buy_size(&self, parameters: f64) -> Option<BudgetCandidate> {
        let (model, layers, hidden) = decoder(parameters)?;
        self.buy(&model, layers, hidden)
    }
}

/// Answers what a budget buys.
///
/// Sizes half a doubling apart are priced, then sizes between them around the best.
///
/// # Errors
/// [`BudgetError`], with the least that would do.
pub fn plan_budget(
    question: &BudgetQuestion<'_>,
    calibration: &Calibration,
) -> Result<BudgetAnswer, BudgetError> {
    let buyer = Buyer {
        question,
        calibration,
    };
    let mut candidates: Vec<BudgetCandidate> = Vec::new();
    if let Some(model) = &question.model {
        candidates.extend(buyer.buy(model, model.layers(), model.hidden));
    } else {
        // Where FLOPs alone would put the optimum, and some doublings either way: serving wants smaller models.
        let centre = question.law.optimum(question.usd * 4e14 * 1800.0).0;
        for half in -9..=6 {
            let size = centre * 2f64.powf(f64::from(half) / 2.0);
            candidates.extend(buyer.buy_size(size.clamp(1e7, 2e13)));
        }
        for step in [2f64.powf(0.25), 2f64.powf(0.125)] {
            let Some(best) = best_of(&candidates) else {
                break;
            };
            let around = best.parameters;
            for size in [around / step, around * step] {
                candidates.extend(buyer.buy_size(size));
            }
        }
    }
    candidates.sort_by(|a, b| a.parameters.total_cmp(&b.parameters));
    candidates.dedup_by(|a, b| (a.parameters / b.parameters - 1.0).abs() < 0.03);
    let Some(best) = best_of(&candidates).cloned() else {
        return Err(least(&buyer)?);
    };
    let near = |candidate: &&BudgetCandidate| candidate.loss.p50 <= best.loss.p50 + 0.01;
    let flat = |largest: bool| {
        let sizes = candidates
            .iter()
            .filter(near)
            .map(|candidate| candidate.parameters);
        if largest {
            sizes.fold(0.0, f64::max)
        } else {
            sizes.fold(f64::INFINITY, f64::min)
        }
    };
    let mut notes = Vec::new();
    let in_range = (70e6..=16e9).contains(&best.parameters) && (5e9..=5e11).contains(&best.tokens);
    if !in_range {
        notes.push("The loss law was measured on 70M to 16B parameters and 5B to 500B tokens; this is beyond it.".to_owned());
    }
    if best.epochs > 1.05 {
        notes.push(format!(
            "{:.1} epochs over the same tokens are worth {:.1} of fresh ones (arXiv:2305.16264, which gives no error: the range of the loss holds what they lose once more).",
            best.epochs,
            question
                .unique_tokens
                .map_or(1.0, |unique| effective_tokens(best.tokens, unique) / unique)
        ));
    }
    if question.served_tokens > 0.0 {
        notes.push("A served token is priced at a third of a trained one: 2 of 6 FLOPs for each parameter, at the same utilisation (arXiv:2401.00448).".to_owned());
    }
    let active = mixture_of_eight(best.parameters, best.tokens);
    let mixture = active.and_then(mixture).and_then(|model| {
        let plan = buyer.plan(&model, best.tokens).ok()?;
        let error = 1.2816 * question.law.floor_error;
        let off_by = |error| mixture_of_eight_off_by(best.parameters, best.tokens, error);
        Some(MixtureCandidate {
            active_range: (off_by(-error)?, off_by(error)),
            parameters: model.parameters() as f64,
            active_parameters: model.active_parameters() as f64,
            training_usd: plan.usd?,
            plan,
        })
    });
    Ok(BudgetAnswer {
        format: 1,
        budget_usd: question.usd,
        flat_parameters: (flat(false), flat(true)),
        mixture_active_parameters: active,
        mixture,
        best,
        candidates,
        notes,
    })
}

fn best_of(candidates: &[BudgetCandidate]) -> Option<&BudgetCandidate> {
    candidates
        .iter()
        .min_by(|a, b| a.loss.p50.total_cmp(&b.loss.p50))
}

/// What the least run would cost or take: 20 tokens for each parameter of the model asked for, or of 10M.
fn least(buyer: &Buyer<'_, '_>) -> Result<BudgetError, BudgetError> {
    let question = buyer.question;
    let model = match &question.model {
        Some(model) => model.clone(),
        None => match decoder(1e7) {
            Some((model, _, _)) => model,
            None => {
                return Ok(BudgetError::TooSmall {
                    budget: outlay_units::usd(question.usd),
                    least_model: "a model".to_owned(),
                    least: "more".to_owned(),
                });
            }
        },
    };
    // One token for each parameter is where a purchase begins.
    let tokens = model.parameters() as f64;
    let plan = buyer.plan(&model, tokens)?;
    let least_model = format!("{} on {} tokens", model.name, outlay_units::count(tokens));
    let usd = plan.usd.map_or(f64::INFINITY, |usd| usd.p50);
    let total = usd * (1.0 + question.served_tokens / tokens / 3.0);
    if total > question.usd {
        return Ok(BudgetError::TooSmall {
            budget: outlay_units::usd(question.usd),
            least_model,
            // Small sums are told apart by their last digits.
            least: if total < 10.0 {
                format!(
                    "{}{:.4}",
                    outlay_units::currency_sign(),
                    outlay_units::in_currency(total)
                )
            } else {
                outlay_units::usd(total)
            },
        });
    }
    Ok(BudgetError::TooShort {
        deadline: outlay_units::duration(question.deadline_s.unwrap_or(0.0)),
        least_model,
        least: outlay_units::duration(plan.wall_clock_s.p50),
    })
}
