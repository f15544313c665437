//! Training and serving together: which way to a service of a quality costs least over a horizon.
//!
//! A model may be trained (or taken as it is published) and served as it is; served in a narrower format; replaced by a
//! smaller one that reaches the same loss on more tokens (the loss law; Sardana et al. 2024, arXiv:2401.00448); replaced by
//! a student; or bought by the token.

use outlay_catalog::ApiPrice;
use outlay_model::{Kind, Model};
use outlay_units::{Estimate, count};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::budget::{decoder_with, usual_workload};
use crate::constants::Calibration;
use crate::layout::Recompute;
use crate::scaling::LossLaw;
use crate::serving::{
    Demand, HOURS_PER_MONTH, NumberFormat, ServeError, ServePlan, ServeQuestion, given_each,
    plan_serve,
};
use crate::train::{Choice, Plan, PlanError, Question, plan_train};
use crate::workload::Precision;

/// Tokens on which a pruned student of half the size is distilled: those of Minitron-8B, pruned from a model of 15B
/// parameters (Muralidharan et al. 2024, arXiv:2407.14679).
const STUDENT_TOKENS: f64 = 94e9;

/// Sizes of smaller models, as shares of the model's.
const SMALLER: [f64; 4] = [0.8, 0.65, 0.5, 0.35];

/// A question.
#[derive(Clone, Debug)]
pub struct LifecycleQuestion<'a> {
    /// How the model is served, and at which demand in the first month. `formats` are those considered for it as it is.
    pub serve: ServeQuestion<'a>,
    /// Narrower formats to consider.
    pub narrow: Vec<NumberFormat>,
    /// Tokens to train on; `None` where the model is taken as published.
    pub training_tokens: Option<f64>,
    /// Hardware to train on.
    pub train_choices: Vec<Choice<'a>>,
    /// Longest that training may take, in seconds.
    pub deadline_s: Option<f64>,
    /// Number format of training.
    pub precision: Precision,
    /// Months that the model serves.
    pub months: u32,
    /// Growth of the requests from month to month, as a share.
    pub growth: f64,
    /// The loss law.
    pub law: LossLaw,
    /// APIs that sell the model by the token.
    pub apis: Vec<&'a ApiPrice>,
    /// What the price of an accelerator is multiplied by in each month, and that of an API; 1 where prices stay.
    pub price_factors: PriceFactors,
}

/// How prices change over the horizon, by month from the first.
#[derive(Clone, Debug, Default)]
pub struct PriceFactors {
    /// Of accelerators, by id: yearly change of the logarithm.
    pub accelerators: std::collections::BTreeMap<String, f64>,
    /// Of tokens at APIs: yearly change of the logarithm.
    pub tokens: f64,
}

impl PriceFactors {
    fn accelerator(&self, id: &str, month: u32) -> f64 {
        let rate = self.accelerators.get(id).copied().unwrap_or(0.0);
        (rate * f64::from(month) / 12.0).exp()
    }

    fn token(&self, month: u32) -> f64 {
        (self.tokens * f64::from(month) / 12.0).exp()
    }
}

/// One way to the service.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LifecycleChoice {
    /// What is done, in words.
    pub name: String,
    /// Parameters of the model that serves; `None` for an API.
    pub parameters: Option<f64>,
    /// Tokens that it is trained on; `None` where nothing is trained.
    pub training_tokens: Option<f64>,
    /// US dollars of training.
    pub training_usd: Estimate,
    /// US dollars of serving over the horizon.
    pub serving_usd: Estimate,
    /// Both.
    pub total_usd: Estimate,
    /// US dollars spent by the end of each month, training first.
    pub spent_usd: Vec<f64>,
    /// Whether the deadline and the limits on latency are met.
    pub meets_limits: bool,
    /// What it gives up beside the model as it is.
    pub gives_up: String,
    /// How it is trained.
    pub training: Option<Plan>,
    /// How it is served in the middle of the horizon.
    pub serving: Option<ServePlan>,
}

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LifecycleAnswer {
    /// Version of this format; fields are only ever added within one version.
    pub format: u32,
    /// Model name.
    pub model: String,
    /// Months.
    pub months: u32,
    /// Growth from month to month, as a share.
    pub growth: f64,
    /// Demand of the first month.
    pub demand: Demand,
    /// Requests over the horizon.
    pub requests: f64,
    /// Loss of the model by the law, in nats for each token, where it is trained.
    pub loss: Option<f64>,
    /// The ways, cheapest first.
    pub choices: Vec<LifecycleChoice>,
    /// Sentences worth reading.
    pub notes: Vec<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LifecycleError {
    /// The model cannot be served.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The model cannot be trained.
    #[error(transparent)]
    Train(#[from] PlanError),
    /// Something that serves or trains it has no price.
    #[error("no price of {accelerator} is known, so that nothing can be added up")]
    NoPrice {
        /// Accelerator id.
        accelerator: String,
    },
    /// The demand leaves what can be planned.
    #[error(
        "growth of {percent:+.1}% a month over {months} months takes {first:.3} requests/s to {last:.3e}; allowed: up to 1000000/s"
    )]
    Growth {
        /// Growth in percent.
        percent: f64,
        /// Months.
        months: u32,
        /// Requests each second in the first month.
        first: f64,
        /// And in the last.
        last: f64,
    },
}

/// A model that serves, before it is priced.
struct Way {
    name: String,
    model: Model,
    training_tokens: Option<f64>,
    /// The model that is trained: with its teacher, where it has one.
    trained: Option<Model>,
    formats: Vec<NumberFormat>,
    gives_up: String,
}

/// Query heads that share a key, at most, over the layers.
fn head_group(model: &Model) -> u64 {
    model
        .operators()
        .filter_map(|operator| match operator.kind {
            Kind::Attention {
                query_heads,
                key_value_heads,
                ..
            } if key_value_heads > 0 => Some(query_heads / key_value_heads),
            _ => None,
        })
        .max()
        .unwrap_or(1)
        .max(1)
}

fn ways(question: &LifecycleQuestion<'_>) -> (Vec<Way>, Vec<String>) {
    let model = question.serve.model;
    let parameters = model.main_parameters() as f64;
    let tokens = question.training_tokens;
    let mut notes = Vec::new();
    let mut out = vec![Way {
        name: "as it is".to_owned(),
        model: model.clone(),
        training_tokens: tokens,
        trained: tokens.map(|_| model.clone()),
        formats: question.serve.formats.clone(),
        gives_up: "nothing".to_owned(),
    }];
    let group = head_group(model);
    let smaller = |share: f64| decoder_with(share * parameters, model.vocabulary, group);
    if model.has_experts() {
        notes.push("Smaller models are left out: the loss law is one of dense models.".to_owned());
    } else {
        if let Some(tokens) = tokens {
            let loss = question.law.loss(parameters, tokens);
            for share in SMALLER {
                let Some((mut small, _, _)) = smaller(share) else {
                    continue;
                };
                let size = small.main_parameters() as f64;
                let Some(more) = question.law.tokens_for(size, loss) else {
                    continue;
                };
                // Beyond twenty times the tokens no run backs the law, and beyond 300 trillion there is no text
                // (Villalobos et al. 2024, arXiv:2211.04325).
                if more > 20.0 * tokens || more > 300e12 || size >= parameters {
                    continue;
                }
                small.name = format!("{} parameters", count(size));
                out.push(Way {
                    name: format!("{} on {}", count(size), count(more)),
                    trained: Some(small.clone()),
                    model: small,
                    training_tokens: Some(more),
                    formats: question.serve.formats.clone(),
                    gives_up: format!(
                        "nothing by the loss law, once trained on {} tokens",
                        count(more)
                    ),
                });
            }
        }
        let taught = tokens.unwrap_or(f64::INFINITY).min(STUDENT_TOKENS);
        if let Some((mut student, _, _)) = smaller(0.5) {
            let size = student.main_parameters() as f64;
            let mut with_teacher = student.clone();
            with_teacher.add_forward(model, "teacher", true);
            student.name = format!("{} parameters", count(size));
            out.push(Way {
                name: format!("{} student", count(size)),
                model: student,
                training_tokens: Some(taught),
                trained: Some(with_teacher),
                formats: question.serve.formats.clone(),
                gives_up: format!(
                    "some quality, to be measured: pruned, and distilled on {} tokens as in arXiv:2407.14679",
                    count(taught)
                ),
            });
        }
    }
    if !question.narrow.is_empty() {
        let narrow: Vec<Way> = out
            .iter()
            .map(|way| Way {
                name: format!("{}, quantized", way.name),
                model: way.model.clone(),
                training_tokens: way.training_tokens,
                trained: way.trained.clone(),
                formats: question.narrow.clone(),
                gives_up: way.gives_up.clone(),
            })
            .collect();
        out.extend(narrow);
    }
    (out, notes)
}

/// Requests each second in the busiest hour of a month, from 0.
fn rate_of(question: &LifecycleQuestion<'_>, month: u32) -> f64 {
    question.serve.demand.requests_per_s * (1.0 + question.growth).powi(month as i32)
}

/// Answers a question.
///
/// # Errors
/// [`LifecycleError`] where the model itself can be neither trained nor served, or at no known price.
pub fn plan_lifecycle(
    question: &LifecycleQuestion<'_>,
    calibration: &Calibration,
) -> Result<LifecycleAnswer, LifecycleError> {
    let last = rate_of(question, question.months.saturating_sub(1));
    if !last.is_finite() || last > 1e6 {
        return Err(LifecycleError::Growth {
            percent: question.growth * 100.0,
            months: question.months,
            first: question.serve.demand.requests_per_s,
            last,
        });
    }
    let (ways, mut notes) = ways(question);
    let mut priced: Vec<Result<LifecycleChoice, LifecycleError>> = ways
        .into_par_iter()
        .map(|way| price(question, way, calibration))
        .collect();
    // The model as it is must have an answer; what stands beside it may lack one.
    let first = priced.remove(0)?;
    let mut choices = vec![first];
    choices.extend(
        priced
            .into_iter()
            .flatten()
            .filter(|choice| choice.meets_limits),
    );
    choices.extend(api(question));
    let tokens = question.training_tokens;
    let loss = tokens.map(|tokens| {
        question
            .law
            .loss(question.serve.model.main_parameters() as f64, tokens)
    });
    choices.sort_by(|a, b| a.total_usd.p50.total_cmp(&b.total_usd.p50));
    if tokens.is_none() {
        notes.push(
            "The model is taken as published: its training costs nothing here (--tokens plans it)."
                .to_owned(),
        );
    }
    let demand = question.serve.demand;
    let requests = (0..question.months)
        .map(|month| rate_of(question, month) * demand.mean_over_peak * HOURS_PER_MONTH * 3600.0)
        .sum();
    Ok(LifecycleAnswer {
        format: 1,
        model: question.serve.model.name.clone(),
        months: question.months,
        growth: question.growth,
        demand,
        requests,
        loss,
        choices,
        notes,
    })
}

/// Trains and serves one model.
fn price(
    question: &LifecycleQuestion<'_>,
    way: Way,
    calibration: &Calibration,
) -> Result<LifecycleChoice, LifecycleError> {
    let training = match (&way.trained, way.training_tokens) {
        (Some(model), Some(tokens)) => {
            let workload = usual_workload(model, tokens, question.precision);
            let asked = Question {
                workload: &workload,
                choices: question.train_choices.clone(),
                budget_usd: None,
                deadline_s: question.deadline_s,
                layout: None,
                carbon: question.serve.carbon,
                pue: question.serve.pue,
                framework_given: false,
                own_calibration: false,
                exhaustive: false,
                usual_only: false,
                stages: Vec::new(),
                most_recompute: Recompute::Full,
            };
            Some(plan_train(&asked, calibration)?.best)
        }
        _ => None,
    };
    let training_usd = match &training {
        Some(plan) => plan.usd.ok_or_else(|| LifecycleError::NoPrice {
            accelerator: plan.accelerator.clone(),
        })?,
        None => Estimate::exactly(0.0),
    };
    // The fleet is laid out for the middle of the horizon.
    let middle = ServeQuestion {
        model: &way.model,
        formats: way.formats.clone(),
        demand: Demand {
            requests_per_s: rate_of(question, question.months / 2),
            ..question.serve.demand
        },
        ..question.serve.clone()
    };
    let plan = plan_serve(&middle, calibration)?.best;
    let (Some(hourly), Some(usd)) = (plan.usd_per_accelerator_hour, plan.usd_per_month) else {
        return Err(LifecycleError::NoPrice {
            accelerator: plan.accelerator,
        });
    };
    let each = given_each(
        middle.demand.requests_per_s,
        f64::from(plan.replicas),
        plan.capacity_requests_per_s.p50,
    );
    let replica =
        hourly * f64::from(plan.layout.accelerators()) * HOURS_PER_MONTH * plan.mean_replicas
            / f64::from(plan.replicas.max(1));
    let mut spent = training_usd.p50;
    let mut serving = 0.0;
    let spent_usd = (0..question.months)
        .map(|month| {
            let replicas = (rate_of(question, month) / each - 1e-9).ceil().max(1.0);
            let cost =
                replicas * replica * question.price_factors.accelerator(&plan.accelerator, month);
            serving += cost;
            spent += cost;
            spent
        })
        .collect();
    let serving_usd = usd.scaled(serving / usd.p50.max(1e-12));
    let gives_up = if way.formats == question.serve.formats {
        way.gives_up
    } else {
        let (quality, source) = crate::serving::quality(plan.format);
        let source = if source.is_empty() {
            String::new()
        } else {
            format!("; {source}")
        };
        let narrow = format!("{} weights do ({quality}{source})", plan.format.name());
        if way.gives_up == "nothing" {
            format!("no more than {narrow}")
        } else {
            format!("{}, and what {narrow}", way.gives_up)
        }
    };
    Ok(LifecycleChoice {
        name: way.name,
        parameters: Some(way.model.main_parameters() as f64),
        training_tokens: way.training_tokens.filter(|_| way.trained.is_some()),
        training_usd,
        serving_usd,
        total_usd: training_usd.plus_independent(serving_usd),
        spent_usd,
        meets_limits: plan.meets_limits
            && training.as_ref().is_none_or(|training| {
                question
                    .deadline_s
                    .is_none_or(|deadline| training.wall_clock_s.p50 <= deadline)
            }),
        gives_up,
        training,
        serving: Some(plan),
    })
}

/// The cheapest API that sells the model.
fn api(question: &LifecycleQuestion<'_>) -> Option<LifecycleChoice> {
    let demand = &question.serve.demand;
    let each = |price: &ApiPrice| {
        price.usd_per_request(
            demand.input_tokens,
            demand.cached_prefix,
            demand.output_tokens,
        )
    };
    let cheapest = question
        .apis
        .iter()
        .min_by(|a, b| each(a).total_cmp(&each(b)))?;
    let mut spent = 0.0;
    let spent_usd: Vec<f64> = (0..question.months)
        .map(|month| {
            let requests =
                rate_of(question, month) * demand.mean_over_peak * HOURS_PER_MONTH * 3600.0;
            spent += requests * each(cheapest) * question.price_factors.token(month);
            spent
        })
        .collect();
    // What is asked today is known; what will be asked is not.
    let total = Estimate::exactly(spent);
    Some(LifecycleChoice {
        name: format!("bought from {}", cheapest.name),
        parameters: None,
        training_tokens: None,
        training_usd: Estimate::exactly(0.0),
        serving_usd: total,
        total_usd: total,
        spent_usd,
        meets_limits: true,
        gives_up: "control: price, version and data are the seller's".to_owned(),
        training: None,
        serving: None,
    })
}

/// The first month, from 1, by whose end one way has cost less than another for good; `None` where it never does.
pub fn overtakes(cheaper: &LifecycleChoice, dearer: &LifecycleChoice) -> Option<u32> {
    let behind = cheaper
        .spent_usd
        .iter()
        .zip(&dearer.spent_usd)
        .rposition(|(cheaper, dearer)| cheaper >= dearer);
    let month = behind.map_or(1, |behind| behind as u32 + 2);
    (month as usize <= cheaper.spent_usd.len()).then_some(month)
}
