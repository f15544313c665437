//! `plan train`: from what was said to the answer.

use outlay_catalog::{Accelerator, CarbonHours, Offer, accelerators};
use outlay_model::Model;
use outlay_units::{count, parse_money_usd};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::amounts::{given_batch, how_much, learned_positions, sequence_of, usual_batch};
use super::values::{accelerators_of, carbon, choice, deadline_seconds, precision_or_usual, whole};
use super::{At, BillRequest, Market, Refusal, Terms, emissions, old_price, said, stages};
use crate::adapters::Adapters;
use crate::bill::Surroundings;
use crate::constants::Calibration;
use crate::layout::{Layout, Recompute};
use crate::stages::Stage;
use crate::train::{Answer, Choice, PlanError, Question, plan_train};
use crate::workload::{AttentionKernel, Framework, Method, Optimizer, SOFTWARE_YEAR, Workload};

/// What `outlay plan train` is asked, in the words of its options. Quantities are texts as on the command line (`20B`, `14d`,
/// `64xH100-SXM`); numbers are taken for the texts that say them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainRequest {
    /// Tokens to train on, such as `1T` or `20B`.
    #[serde(deserialize_with = "said::text")]
    pub tokens: Option<String>,
    /// Images, videos, recordings or sequences to train on, such as `500M`.
    #[serde(deserialize_with = "said::text")]
    pub samples: Option<String>,
    /// Passes over them; 1 where nothing is said.
    #[serde(deserialize_with = "said::text")]
    pub epochs: Option<String>,
    /// Size of an image or frame in pixels: `1024`, or `1280x720`.
    #[serde(deserialize_with = "said::text")]
    pub resolution: Option<String>,
    /// Frames of a video.
    #[serde(deserialize_with = "said::text")]
    pub frames: Option<String>,
    /// Accelerators, such as `64xH100-SXM`; without it hardware and offers are searched.
    #[serde(deserialize_with = "said::text")]
    pub gpus: Option<String>,
    /// Most to spend, such as `5000usd`.
    #[serde(deserialize_with = "said::text")]
    pub budget: Option<String>,
    /// Longest to take, such as `14d`.
    #[serde(deserialize_with = "said::text")]
    pub deadline: Option<String>,
    /// Tokens in a sequence; what the model supports, up to 4096, where nothing is said.
    #[serde(deserialize_with = "said::text")]
    pub sequence: Option<String>,
    /// Sequences in an optimizer step; about 4M tokens where nothing is said.
    #[serde(deserialize_with = "said::text")]
    pub batch: Option<String>,
    /// Parts of the run with lengths of their own, in their order, in place of tokens and sequence:
    /// `8192:15T,131072:100B`, or `LENGTH:TOKENS:BATCH`.
    #[serde(deserialize_with = "said::text")]
    pub stages: Option<String>,
    /// Warm restarts of the learning rate: so many further cycles over the tokens given.
    #[serde(deserialize_with = "said::text")]
    pub restarts: Option<String>,
    /// How much longer each cycle is than the one before; 1 where nothing is said.
    #[serde(deserialize_with = "said::number")]
    pub restart_factor: Option<f64>,
    /// Images in every sequence, for which a vision tower runs; none where nothing is said. The tower is trained with the
    /// rest, unless layers are frozen or adapters trained.
    #[serde(deserialize_with = "said::text")]
    pub images_per_sequence: Option<String>,
    /// Whether the vision tower runs forward alone.
    #[serde(deserialize_with = "said::flag")]
    pub freeze_tower: bool,
    /// Layers frozen from the first on, embeddings with them.
    #[serde(deserialize_with = "said::text")]
    pub freeze: Option<String>,
    /// Number format of matrix products: `fp32`, `tf32`, `bf16`, `fp16`, `fp8`, `mxfp8`, `mxfp4` or `nvfp4`.
    #[serde(deserialize_with = "said::text")]
    pub precision: Option<String>,
    /// Optimizer: `adamw`, `adam8bit`, `adafactor`, `muon` or `sgd`.
    #[serde(deserialize_with = "said::text")]
    pub optimizer: Option<String>,
    /// What is trained: `full`, `lora` or `qlora`.
    #[serde(deserialize_with = "said::text")]
    pub method: Option<String>,
    /// Training software: `megatron`, `megatron-deepspeed`, `fsdp`, `internevo`, `jax`, `pytorch` or `transformers`.
    #[serde(deserialize_with = "said::text")]
    pub framework: Option<String>,
    /// Price of one accelerator-hour, such as `2.49/h`, in place of the listed offers.
    #[serde(deserialize_with = "said::text")]
    pub price: Option<String>,
    /// Whether spot offers count.
    #[serde(deserialize_with = "said::flag")]
    pub spot: bool,
    /// Whether reserved offers count (commitments of a month to three years).
    #[serde(deserialize_with = "said::flag")]
    pub reserved: bool,
    /// What one accelerator cost with its share of the server, where hardware is owned, such as `30000usd`.
    #[serde(deserialize_with = "said::text")]
    pub owned: Option<String>,
    /// Years over which owned hardware is written off; 4 where nothing is said.
    #[serde(deserialize_with = "said::number")]
    pub lifetime: Option<f64>,
    /// Share of those years in which it is in use; 0.7 where nothing is said.
    #[serde(deserialize_with = "said::number")]
    pub utilisation: Option<f64>,
    /// Dollars for a kWh of its electricity; 0.12 where nothing is said.
    #[serde(deserialize_with = "said::number")]
    pub electricity: Option<f64>,
    /// A layout to price in place of a search, in the words of the answer: `TP4 PP2x2 ZeRO-1 mb1 selective`.
    #[serde(deserialize_with = "said::text")]
    pub layout: Option<String>,
    /// Regions whose name holds this; or a month such as `2027-06`, to which prices are projected; or both.
    #[serde(deserialize_with = "said::texts")]
    pub at: Vec<String>,
    /// The country whose electricity all hardware runs on, by its code or English name; the offer's own where nothing is said.
    #[serde(deserialize_with = "said::text")]
    pub grid: Option<String>,
    /// When the run starts, in UTC: `2026-12-01` or `2026-12-01T20:00`; what the grid emits is then told by its hours.
    #[serde(deserialize_with = "said::text")]
    pub start: Option<String>,
    /// Power usage effectiveness of the data centre; 1.2 where nothing is said.
    #[serde(deserialize_with = "said::text")]
    pub pue: Option<String>,
    /// Whether to look for what would make this very workload cheaper.
    #[serde(deserialize_with = "said::flag")]
    pub levers: bool,
    /// The whole bill, with what surrounds the run.
    pub bill: Option<BillRequest>,
}

/// What other commands ask of a plan beyond the request.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// Adapters, where the method has them.
    pub adapters: Adapters,
    /// Sentences worth reading.
    pub notes: Vec<String>,
    /// Whether the batch is a default that grows until the accelerators divide it.
    pub batch_may_grow: bool,
    /// Whether the constants were fitted by the person who asks.
    pub own_calibration: bool,
    /// A model that runs forward once over the data before training, whose outputs are kept.
    pub ahead: Option<Model>,
    /// What packing would leave of the tokens computed, where samples are padded.
    pub packed_share: Option<f64>,
    /// Hours of the grid that all hardware runs on, where the person who asks has them.
    pub carbon_hours: Option<CarbonHours>,
}

/// Plans a training run. Gives the workload, too, for those who explain the answer.
///
/// # Errors
/// [`Refusal`] where a field is wrong, or nothing considered can run the workload.
pub fn train(
    request: &TrainRequest,
    mut model: Model,
    extras: Extras,
    market: &Market,
    calibration: &Calibration,
) -> Result<(Answer, Workload), Refusal> {
    let epochs = between(request.epochs.as_deref(), "epochs", 1.0, 0.001, 1e6)?;
    let pue = between(request.pue.as_deref(), "pue", 1.2, 1.0, 10.0)?;
    let sequence = whole("sequence", request.sequence.as_deref(), 100_000_000)?;
    let batch = whole("batch", request.batch.as_deref(), 1_000_000_000)?;
    let fixed = request
        .gpus
        .as_deref()
        .map(|text| accelerators_of("--gpus", text))
        .transpose()?;
    let budget_usd = request
        .budget
        .as_deref()
        .map(parse_money_usd)
        .transpose()
        .map_err(|error| Refusal::new("budget", format!("--budget: {error}")))?;
    let deadline_s = deadline_seconds(request.deadline.as_deref())?;
    let mut assumed = Vec::new();
    let mut notes = freeze(request, &mut model)?;
    let parts = stages::parts(request, &model)?;
    see(request, &mut model, sequence, parts.as_deref())?;
    let cycles = stages::cycles(request)?;
    let repeats = epochs * cycles.as_ref().map_or(1.0, |(total, _)| *total);
    notes.extend(cycles.map(|(_, note)| note));
    let mut workload = unsized_workload(request, model, extras.adapters, fixed)?;
    let mut other_parts = Vec::new();
    let once = if let Some(parts) = parts {
        let main = stages::main_part(&parts, &workload.model);
        let part = parts[main];
        workload.sequence_tokens = part.sequence_tokens;
        workload.tokens_total = repeats * part.tokens;
        workload.global_batch_sequences = match part.batch {
            Some(batch) => given_batch(request, &workload, batch, fixed, false)?,
            None => usual_batch(&workload, fixed, &mut assumed),
        };
        other_parts = stages::others(&parts, main, repeats, &workload, fixed);
        part.tokens
    } else {
        let sequence_tokens = sequence_of(&workload.model, sequence, &mut assumed)?;
        workload.sequence_tokens = sequence_tokens;
        let once = how_much(request, &workload.model, sequence_tokens)?;
        workload.tokens_total = repeats * once;
        learned_positions(&workload.model, sequence_tokens)?;
        workload.global_batch_sequences = match batch {
            Some(batch) => given_batch(request, &workload, batch, fixed, extras.batch_may_grow)?,
            None => usual_batch(&workload, fixed, &mut assumed),
        };
        once
    };
    let mut kept_bytes = 0.0;
    if let Some(teacher) = extras.ahead {
        other_parts.insert(0, ahead(teacher, &workload, once)?);
        kept_bytes = once * KEPT_TOKENS * KEPT_BYTES;
    }
    let terms = Terms {
        price: request.price.as_deref(),
        spot: request.spot,
        reserved: request.reserved,
        owned: request.owned.as_deref(),
        lifetime: request.lifetime,
        utilisation: request.utilisation,
        electricity: request.electricity,
        pue: Some(pue),
    };
    let mut offers = market.gather(&terms, fixed)?;
    let projection =
        At::read(&request.at, &market.today)?.apply(&mut offers, fixed, &market.dated)?;
    let question = Question {
        workload: &workload,
        choices: choices(&offers, fixed),
        budget_usd,
        deadline_s,
        layout: layout(request.layout.as_deref(), fixed)?,
        carbon,
        pue,
        framework_given: request.framework.is_some() || workload.method != Method::Full,
        own_calibration: extras.own_calibration,
        exhaustive: false,
        usual_only: false,
        stages: other_parts,
        most_recompute: Recompute::Full,
    };
    let bill = request
        .bill
        .as_ref()
        .map(|bill| bill.surroundings(repeats))
        .transpose()?
        .map(|surroundings| Surroundings {
            other_bytes: kept_bytes,
            ..surroundings
        });
    let start_s = emissions::start_s(request.start.as_deref())?;
    let grid = emissions::grid(request.grid.as_deref(), extras.carbon_hours)?;
    let mut answer = plan_train(&question, calibration).map_err(|error| refused(&error))?;
    emissions::by_hour(&mut answer, start_s, grid.as_ref());
    if request.levers {
        let offers = market.sold(true, true, None);
        let everywhere = everywhere(&offers);
        answer.levers = crate::levers::levers(
            &question,
            &answer,
            &everywhere,
            extras.packed_share,
            calibration,
        );
    }
    if let Some(surroundings) = bill {
        answer.bill = crate::bill::bill(&question, &answer, &surroundings, calibration);
        match &answer.bill {
            None => return Err(no_price("bill", "--bill:", &answer)),
            Some(bill) if bill.checkpoints.stand_still() => {
                return Err(Refusal::new(
                    "bill",
                    format!(
                        "--bill: with {} failures in {} the run does not get on: starting again takes longer than what it does between them",
                        outlay_units::significant(bill.checkpoints.failures),
                        outlay_units::duration(answer.best.wall_clock_s.p50)
                    ),
                )
                .hint("use fewer or steadier nodes, or say a lower rate: `--preemptions 0.1`"));
            }
            Some(_) => {}
        }
    }
    if budget_usd.is_some() && answer.best.usd.is_none() {
        return Err(no_price("budget", "--budget cannot be checked:", &answer));
    }
    answer.padded = extras.packed_share.is_some();
    answer.notes.extend(notes);
    answer.notes.extend(extras.notes);
    if request.framework.is_none() {
        assumed.push(format!(
            "software as fast as {} (--framework says which)",
            answer.best.framework.name()
        ));
    }
    if !assumed.is_empty() {
        answer
            .notes
            .push(format!("Assumed: {}.", assumed.join("; ")));
    }
    answer.notes.extend(projection);
    answer.notes.extend(old_price(
        &answer.best.accelerator,
        &answer.best.provider,
        &answer.best.price_as_of,
        &market.today,
    ));
    drop(question);
    Ok((answer, workload))
}

/// The accelerators that are given, and how many.
pub(super) type Fixed = Option<(u32, &'static Accelerator)>;

/// Reads a number that has a usual value.
fn between(
    text: Option<&str>,
    option: &str,
    usual: f64,
    least: f64,
    most: f64,
) -> Result<f64, Refusal> {
    let Some(text) = text else { return Ok(usual) };
    match text.trim().parse::<f64>() {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        _ => Err(Refusal::new(
            option,
            format!("--{option} is `{text}`; allowed: {least} to {most}"),
        )),
    }
}

/// Tokens of a teacher's answer that are kept at each place, and bytes of each: its number in four, its probability in two.
pub const KEPT_TOKENS: f64 = 64.0;
/// See [`KEPT_TOKENS`].
pub const KEPT_BYTES: f64 = 6.0;

/// Freezes layers where that is asked for; gives a sentence about it.
fn freeze(request: &TrainRequest, model: &mut Model) -> Result<Vec<String>, Refusal> {
    let Some(text) = request.freeze.as_deref() else {
        return Ok(Vec::new());
    };
    let refuse = |allowed: String| Refusal::new("freeze", format!("--freeze {allowed}"));
    if request
        .method
        .as_deref()
        .is_some_and(|method| method != "full")
    {
        return Err(refuse(
            "is of no use to adapters, which freeze every layer; allowed: with --method full"
                .to_owned(),
        ));
    }
    let layers = model.layers();
    let most = layers.saturating_sub(1);
    let n = text.trim().parse::<u64>().map_err(|_| {
        refuse(format!(
            "is `{text}`; allowed: a number of layers, such as 24"
        ))
    })?;
    if n == 0 || model.freeze_first(n).is_err() {
        return Err(refuse(format!(
            "is {n}, but {} has {layers} layers, of which at least one is trained; allowed: 1 to {most}",
            model.name
        )));
    }
    Ok(vec![format!(
        "The embeddings{} and the first {n} of {layers} layers are frozen, and run forward alone: {} of {} parameters are trained.",
        if model.ties_embeddings() {
            ", which the output shares,"
        } else {
            ""
        },
        count(model.trained_parameters() as f64),
        count(model.own_parameters() as f64)
    )])
}

/// Lets a vision tower run for the images of every sequence; the model says so in its notes.
fn see(
    request: &TrainRequest,
    model: &mut Model,
    sequence: Option<u64>,
    parts: Option<&[stages::Part]>,
) -> Result<(), Refusal> {
    let images = request.images_per_sequence.as_deref();
    if images.is_none() && request.freeze_tower {
        return Err(Refusal::new(
            "freeze-tower",
            "--freeze-tower needs --images-per-sequence",
        ));
    }
    let trains = request
        .method
        .as_deref()
        .is_none_or(|method| method == "full");
    let frozen = request.freeze_tower || request.freeze.is_some() || !trains;
    let room = parts
        .and_then(|parts| parts.iter().map(|part| part.sequence_tokens).min())
        .or(sequence)
        .or(model.max_sequence_tokens.map(|most| most.min(4096)));
    let tokens = run_images(images, model, frozen)?;
    images_fit(images, tokens, room)
}

/// Lets a model's vision tower run for so many images in every sequence; gives the tokens that they take.
///
/// # Errors
/// Where the number is none, or the model has no tower that can run.
pub fn run_images(images: Option<&str>, model: &mut Model, frozen: bool) -> Result<u64, Refusal> {
    let option = "images-per-sequence";
    let Some(images) = whole(option, images, 100_000)? else {
        return Ok(0);
    };
    model.run_towers(images, frozen).map_err(|error| {
        Refusal::new(option, format!("--{option}: {error}"))
            .hint("where images of any size are taken, give theirs: `--resolution 1024`")
    })
}

/// Whether the tokens of images fit into the shortest sequence.
///
/// # Errors
/// Where they do not.
pub fn images_fit(images: Option<&str>, tokens: u64, room: Option<u64>) -> Result<(), Refusal> {
    match room {
        Some(room) if tokens > room => Err(Refusal::new(
            "images-per-sequence",
            format!(
                "--images-per-sequence: {} images take {tokens} tokens, but a sequence has {room}; allowed: fewer images, or longer sequences",
                images.unwrap_or_default()
            ),
        )),
        _ => Ok(()),
    }
}

/// A teacher's pass over the data, once, before training: forward alone, in batches of the same sequences.
///
/// # Errors
/// Where the teacher takes no text, or not as much at a time.
fn ahead(teacher: Model, student: &Workload, tokens: f64) -> Result<Stage, Refusal> {
    if teacher.sample.unit != student.model.sample.unit || teacher.sample.positions.is_some() {
        return Err(Refusal::new(
            "teacher",
            format!(
                "--teacher {} takes {}; allowed: a language model",
                teacher.name,
                teacher.sample.unit.plural()
            ),
        ));
    }
    if let Some(positions) = teacher
        .learned_positions()
        .filter(|positions| student.sequence_tokens > *positions)
    {
        return Err(Refusal::new(
            "teacher",
            format!(
                "--teacher {} has learned positions for {positions} tokens, and sequences have {}; allowed: a shorter --sequence, or another teacher",
                teacher.name, student.sequence_tokens
            ),
        ));
    }
    Ok(Stage {
        name: format!(
            "{} tokens through {}",
            student.sequence_tokens, teacher.name
        ),
        workload: Workload {
            model: teacher,
            tokens_total: tokens,
            method: Method::Forward,
            ..student.clone()
        },
        before: true,
    })
}

/// The workload, but for its sizes.
fn unsized_workload(
    request: &TrainRequest,
    model: Model,
    adapters: Adapters,
    fixed: Fixed,
) -> Result<Workload, Refusal> {
    let precision = precision_or_usual(request.precision.as_deref(), fixed)?;
    let optimizer = choice(
        request.optimizer.as_deref(),
        "optimizer",
        Optimizer::from_name,
        &Optimizer::ALL.map(Optimizer::name),
    )?
    .unwrap_or(Optimizer::Adamw);
    let method = match request.method.as_deref() {
        None | Some("full") => Method::Full,
        Some("lora") => Method::Lora,
        Some("qlora") => Method::Qlora,
        Some(other) => {
            return Err(Refusal::new(
                "method",
                format!("--method `{other}` is not known; allowed: full, lora, qlora"),
            ));
        }
    };
    let framework = choice(
        request.framework.as_deref(),
        "framework",
        Framework::from_name,
        &Framework::ALL.map(Framework::name),
    )?
    .unwrap_or_else(|| {
        if method == Method::Full {
            let generation = fixed.map_or("", |(_, accelerator)| &accelerator.generation);
            Framework::usual(generation, &model)
        } else {
            // Adapters are mostly trained with PEFT.
            Framework::Transformers
        }
    });
    if let Some((_, accelerator)) = fixed
        && accelerator.vendor == "Google"
        && framework != Framework::Jax
    {
        return Err(Refusal::new(
            "framework",
            format!(
                "--framework {} does not run on {}; allowed: jax",
                framework.name(),
                accelerator.id
            ),
        ));
    }
    Ok(Workload {
        model,
        sequence_tokens: 1,
        global_batch_sequences: 1,
        tokens_total: 1.0,
        precision,
        optimizer,
        method,
        adapters,
        framework,
        attention: AttentionKernel::Fused,
        channels_last: framework == Framework::Jax,
        software_year: SOFTWARE_YEAR,
    })
}

/// The hardware given, or all that is for rent.
fn choices(offers: &[Offer], fixed: Fixed) -> Vec<Choice<'_>> {
    match fixed {
        Some((n, accelerator)) => vec![Choice {
            accelerator,
            count: Some(n),
            offers: offers
                .iter()
                .filter(|offer| offer.accelerator == accelerator.id)
                .collect(),
        }],
        None => {
            let mut all = everywhere(offers);
            all.retain(|choice| !choice.offers.is_empty());
            all
        }
    }
}

/// Every accelerator with its offers.
fn everywhere(offers: &[Offer]) -> Vec<Choice<'_>> {
    accelerators()
        .iter()
        .map(|accelerator| Choice {
            accelerator,
            count: None,
            offers: offers
                .iter()
                .filter(|offer| offer.accelerator == accelerator.id)
                .collect(),
        })
        .collect()
}

fn layout(text: Option<&str>, fixed: Fixed) -> Result<Option<Layout>, Refusal> {
    text.map(|text| match fixed {
        Some((n, _)) => Layout::parse(text, n)
            .map_err(|error| Refusal::new("layout", format!("--layout: {error}"))),
        None => Err(Refusal::new("layout", "--layout needs --gpus")),
    })
    .transpose()
}

fn no_price(field: &str, what: &str, answer: &Answer) -> Refusal {
    Refusal::new(
        field,
        format!("{what} no price of {} is known", answer.best.accelerator),
    )
    .hint("give its price: `--price 2.49/h`")
}

fn refused(error: &PlanError) -> Refusal {
    let field = match error {
        PlanError::NoFormat { .. } => "precision",
        PlanError::FitsNowhere { .. } | PlanError::NoLegalLayout { .. } => "gpus",
        PlanError::Illegal { .. } => "layout",
    };
    let mut refusal = Refusal::new(field, error);
    if let PlanError::FitsNowhere { hints, .. } = error {
        for hint in hints {
            refusal = refusal.hint(hint);
        }
    }
    refusal
}
