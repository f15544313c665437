//! `outlay plan train`: what a training run will cost.

use std::path::{Path, PathBuf};

use outlay_catalog::{Offer, accelerators, carbon_intensity, find_accelerator};
use outlay_model::{Family, Input, Model, SampleUnit};
use outlay_plan::{
    Adapters, Answer, AttentionKernel, Choice, Costing, ExportFormat, Framework, Layout, Method,
    Optimizer, Plan, PlanError, Precision, Question, SOFTWARE_YEAR, Workload, plan_train,
};
use outlay_units::{
    count, duration, energy_kwh, mass_kg, parse_duration_seconds, parse_money_usd, parse_tokens,
    percent, significant, usd,
};
use serde::Deserialize;

use super::bill::BillArgs;
use super::exports::write_exports;
use super::offers::{At, gather_offers, listed_offers, old_price, price_day};
use crate::failure::{Failure, read_text, toml_message};
use crate::printer::{Align, Printer, Ranges};

/// Arguments of `outlay plan train`.
#[derive(clap::Args, Debug, Clone)]
#[command(after_help = "Examples:
  outlay plan train llama-3.1-8b --tokens 1T --gpus 64xH100-SXM
  outlay plan train path/to/config.json --tokens 20B --budget 5000usd --deadline 14d
  outlay plan train ./stable-diffusion-xl/unet --images 500M --resolution 1024
  outlay plan train path/to/outlay.toml")]
pub struct Args {
    /// Built-in model name, config.json, folder, .safetensors, .gguf, .onnx, or a project's outlay.toml
    pub(super) model: String,
    /// Tokens to train on, such as 1T or 20B
    #[arg(long, allow_hyphen_values = true)]
    pub(super) tokens: Option<String>,
    /// Images, videos, recordings or sequences to train on, such as 500M
    #[arg(
        long,
        visible_alias = "images",
        allow_hyphen_values = true,
        conflicts_with = "tokens"
    )]
    pub(super) samples: Option<String>,
    /// Passes over them [default: 1]
    #[arg(long, allow_hyphen_values = true)]
    pub(super) epochs: Option<String>,
    /// Size of an image or frame in pixels: 1024, or 1280x720 (default: the model's own)
    #[arg(long, value_name = "PIXELS", allow_hyphen_values = true)]
    pub(super) resolution: Option<String>,
    /// Frames of a video (default: 81)
    #[arg(long, allow_hyphen_values = true)]
    pub(super) frames: Option<String>,
    /// Captions and latents are computed before training: text encoders and autoencoder beside a diffusion model are
    /// not run
    #[arg(long)]
    pub(super) precomputed: bool,
    /// Accelerators, such as 64xH100-SXM; without it hardware and offers are searched
    #[arg(long, value_name = "NxACCELERATOR")]
    pub(super) gpus: Option<String>,
    /// Most to spend, such as 5000usd
    #[arg(long, allow_hyphen_values = true)]
    pub(super) budget: Option<String>,
    /// Longest to take, such as 14d
    #[arg(long, allow_hyphen_values = true)]
    pub(super) deadline: Option<String>,
    /// Tokens in a sequence (default: what the model supports, up to 4096)
    #[arg(long, value_name = "TOKENS", allow_hyphen_values = true)]
    pub(super) sequence: Option<String>,
    /// Sequences in an optimizer step (default: about 4M tokens)
    #[arg(long, value_name = "SEQUENCES", allow_hyphen_values = true)]
    pub(super) batch: Option<String>,
    /// Number format of matrix products: fp32, tf32, bf16, fp16, fp8, mxfp8, mxfp4 or nvfp4
    #[arg(long)]
    pub(super) precision: Option<String>,
    /// Optimizer: adamw, adam8bit, adafactor, muon or sgd
    #[arg(long)]
    pub(super) optimizer: Option<String>,
    /// What is trained: full, lora or qlora
    #[arg(long)]
    pub(super) method: Option<String>,
    /// Training software: megatron, megatron-deepspeed, fsdp, internevo, jax or pytorch
    #[arg(long)]
    pub(super) framework: Option<String>,
    /// Price of one accelerator-hour, such as 2.49/h, in place of the listed offers
    #[arg(long, allow_hyphen_values = true)]
    pub(super) price: Option<String>,
    /// Consider spot offers too
    #[arg(long, conflicts_with_all = ["price", "owned"])]
    pub(super) spot: bool,
    /// Consider reserved offers too (commitments of a month to three years)
    #[arg(long, conflicts_with_all = ["price", "owned"])]
    pub(super) reserved: bool,
    /// Own the hardware: what one accelerator cost with its share of the server, such as 30000usd
    #[arg(
        long,
        value_name = "PRICE",
        conflicts_with = "price",
        allow_hyphen_values = true
    )]
    pub(super) owned: Option<String>,
    /// Years over which owned hardware is written off [default: 4]
    #[arg(
        long,
        value_name = "YEARS",
        requires = "owned",
        allow_hyphen_values = true
    )]
    pub(super) lifetime: Option<f64>,
    /// Share of those years in which owned hardware is in use [default: 0.7]
    #[arg(
        long,
        value_name = "SHARE",
        requires = "owned",
        allow_hyphen_values = true
    )]
    pub(super) utilisation: Option<f64>,
    /// Price of electricity for owned hardware, in dollars per kWh [default: 0.12]
    #[arg(
        long,
        value_name = "USD_PER_KWH",
        requires = "owned",
        allow_hyphen_values = true
    )]
    pub(super) electricity: Option<f64>,
    /// Price this layout in place of a search, in the words of the answer: "TP4 PP2x2 ZeRO-1 mb1 selective"
    /// (tensor, pipeline x chunks, context, expert and data parallel degrees, sharding, micro-batch, recomputation)
    #[arg(long, value_name = "LAYOUT", requires = "gpus")]
    pub(super) layout: Option<String>,
    /// Only offers in regions whose name holds this, such as us-east or FIN; or a month such as 2027-06, to which prices are
    /// projected (may be given twice)
    #[arg(long, value_name = "REGION|MONTH", allow_hyphen_values = true)]
    pub(super) at: Vec<String>,
    /// Read more offers from a folder of SkyPilot catalogs
    #[arg(long, value_name = "FOLDER")]
    pub(super) catalog: Option<PathBuf>,
    /// Power usage effectiveness of the data centre
    #[arg(long, default_value = "1.2", allow_hyphen_values = true)]
    pub(super) pue: String,
    /// Use the constants of this file
    #[arg(long, value_name = "FILE.toml")]
    pub(super) calibration: Option<PathBuf>,
    /// Show FLOPs, bytes, time and memory by operator and phase, and the constants used
    #[arg(long)]
    pub(super) explain: bool,
    /// Write the plan for the tool that runs it: skypilot, slurm, kubernetes, accelerate, deepspeed or megatron, and the
    /// file, such as deepspeed=ds_config.json (may be given several times)
    #[arg(long, value_name = "FORMAT=FILE")]
    pub(super) export: Vec<String>,
    /// Show what would make this very workload cheaper, each change priced anew, and what it gives up
    #[arg(long)]
    pub(super) levers: bool,
    #[command(flatten)]
    pub(super) bill: BillArgs,
    /// Draw cost against time, and where memory, time and (with --levers) money go, to an .svg, .png or .html file
    #[arg(long, value_name = "FILE.svg")]
    pub(super) plot: Option<PathBuf>,
    /// Another model to plan in the same way, shown beside (may be given several times)
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["export", "plot", "levers", "explain", "bill"])]
    pub(super) also: Vec<String>,
    /// Print JSON (documented in docs/plan-train.schema.json; with --also a list)
    #[arg(long)]
    pub(super) json: bool,
}

/// The parts of `outlay.toml` that this command reads.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Project {
    model: Option<toml::Value>,
    train: TrainTable,
    bill: Option<BillArgs>,
}

/// `[train]` of `outlay.toml`; the same words as the options.
#[derive(Deserialize, Default, Clone)]
#[serde(default, deny_unknown_fields)]
struct TrainTable {
    model: Option<String>,
    tokens: Option<String>,
    samples: Option<String>,
    epochs: Option<f64>,
    resolution: Option<String>,
    frames: Option<u64>,
    precomputed: Option<bool>,
    gpus: Option<String>,
    budget: Option<String>,
    deadline: Option<String>,
    sequence: Option<u64>,
    batch: Option<u64>,
    precision: Option<String>,
    optimizer: Option<String>,
    method: Option<String>,
    framework: Option<String>,
    price: Option<String>,
    spot: Option<bool>,
    reserved: Option<bool>,
    owned: Option<String>,
    lifetime: Option<f64>,
    utilisation: Option<f64>,
    electricity: Option<f64>,
    layout: Option<String>,
}

/// What other commands ask of a plan beyond the options.
#[derive(Default)]
pub struct Extras {
    /// The model, in place of the argument's.
    pub model: Option<Model>,
    /// Adapters, where the method has them.
    pub adapters: Adapters,
    /// Sentences worth reading.
    pub notes: Vec<String>,
    /// Whether the batch is a default that grows until the accelerators divide it.
    pub batch_may_grow: bool,
}

impl Args {
    /// The arguments of a plan of which nothing but the model is said.
    pub fn of(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            tokens: None,
            samples: None,
            epochs: None,
            resolution: None,
            frames: None,
            precomputed: false,
            gpus: None,
            budget: None,
            deadline: None,
            sequence: None,
            batch: None,
            precision: None,
            optimizer: None,
            method: None,
            framework: None,
            price: None,
            spot: false,
            reserved: false,
            owned: None,
            lifetime: None,
            utilisation: None,
            electricity: None,
            layout: None,
            at: Vec::new(),
            catalog: None,
            pue: "1.2".to_owned(),
            calibration: None,
            explain: false,
            export: Vec::new(),
            levers: false,
            bill: BillArgs::default(),
            plot: None,
            also: Vec::new(),
            json: false,
        }
    }
}

/// Reads a model by its built-in name or from its file.
pub fn load_model(name: &str) -> Result<Model, Failure> {
    let args = Args::of(name);
    if Path::new(name).exists() {
        read_model_file(&args, Path::new(name))
    } else {
        named(&args, name)
    }
}

/// Reads a model with the networks beside it (text encoders and an autoencoder in the same pipeline's folder).
pub fn load_pipeline(args: &Args) -> Result<(Model, Vec<Model>), Failure> {
    let path = Path::new(&args.model);
    if !path.exists() {
        return Ok((named(args, &args.model)?, Vec::new()));
    }
    let input = input(args)?;
    let model = outlay_model::read_path_with(path, &input)
        .map(|loaded| loaded.model)
        .map_err(Failure::input)?;
    let beside = if model.family == Family::Diffusion {
        outlay_model::read_companions(path, &input).map_err(Failure::input)?
    } else {
        Vec::new()
    };
    Ok((model, beside))
}

/// Runs the command.
pub fn run(args: Args, printer: &mut Printer) -> Result<(), Failure> {
    if args.also.is_empty() {
        run_with(args, Extras::default(), printer)
    } else {
        side_by_side(&args, printer)
    }
}

/// Plans several models in the same way and shows them side by side. A limit that one of them misses is a missed check.
fn side_by_side(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    let mut names = vec![args.model.clone()];
    names.extend(args.also.iter().cloned());
    let mut answers: Vec<Answer> = Vec::new();
    let mut missed = Vec::new();
    for name in &names {
        let one = Args {
            model: name.clone(),
            also: Vec::new(),
            json: true,
            ..args.clone()
        };
        let mut quiet = Printer::new();
        let outcome = run_with(one, Extras::default(), &mut quiet);
        // A plan that misses a limit is written all the same; one that could not be made is not.
        let Ok(answer) = serde_json::from_str(quiet.written()) else {
            outcome?;
            return Err(Failure::input(format!("no plan of `{name}` can be made")));
        };
        if outcome.is_err() {
            missed.push(name.clone());
        }
        answers.push(answer);
    }
    if args.json {
        printer.json(&answers)?;
    } else {
        super::compare::side_by_side(&names, &answers, printer);
    }
    if missed.is_empty() {
        Ok(())
    } else {
        Err(Failure::check(format!(
            "no plan considered of {} meets the limits given",
            missed.join(", ")
        )))
    }
}

/// Runs the command for another one.
pub fn run_with(mut args: Args, extras: Extras, printer: &mut Printer) -> Result<(), Failure> {
    let model = match extras.model {
        Some(model) => model,
        None => load(&mut args)?,
    };
    let calibration = super::calibration(args.calibration.as_deref())?;
    let epochs = match args.epochs.as_deref().map(str::parse::<f64>) {
        None => 1.0,
        Some(Ok(epochs)) if (0.001..=1e6).contains(&epochs) => epochs,
        Some(_) => {
            return Err(Failure::input(format!(
                "--epochs is `{}`; allowed: 0.001 to 1000000",
                args.epochs.as_deref().unwrap_or_default()
            )));
        }
    };
    let pue = match args.pue.trim().parse::<f64>() {
        Ok(pue) if (1.0..=10.0).contains(&pue) => pue,
        _ => {
            return Err(Failure::input(format!(
                "--pue is `{}`; allowed: 1 to 10",
                args.pue
            )));
        }
    };
    let sequence = whole("sequence", args.sequence.as_deref(), 100_000_000)?;
    let batch = whole("batch", args.batch.as_deref(), 1_000_000_000)?;
    let fixed = args.gpus.as_deref().map(parse_gpus).transpose()?;
    let unit = model.sample.unit.plural();
    let budget_usd = args
        .budget
        .as_deref()
        .map(parse_money_usd)
        .transpose()
        .map_err(|error| Failure::input(format!("--budget: {error}")))?;
    let deadline_s = deadline_seconds(args.deadline.as_deref())?;
    let precision = precision_or_usual(args.precision.as_deref(), fixed)?;
    let optimizer = choice(
        args.optimizer.as_deref(),
        "optimizer",
        Optimizer::from_name,
        &Optimizer::ALL.map(Optimizer::name),
    )?
    .unwrap_or(Optimizer::Adamw);
    let method = match args.method.as_deref() {
        None | Some("full") => Method::Full,
        Some("lora") => Method::Lora,
        Some("qlora") => Method::Qlora,
        Some(other) => {
            return Err(Failure::input(format!(
                "--method `{other}` is not known; allowed: full, lora, qlora"
            )));
        }
    };
    let framework = choice(
        args.framework.as_deref(),
        "framework",
        Framework::from_name,
        &Framework::ALL.map(Framework::name),
    )?
    .unwrap_or_else(|| {
        if method == Method::Full {
            Framework::usual(
                fixed.map_or("", |(_, accelerator)| &accelerator.generation),
                &model,
            )
        } else {
            // Adapters are mostly trained with plain PyTorch scripts.
            Framework::Pytorch
        }
    });
    if let Some((_, accelerator)) = fixed
        && accelerator.vendor == "Google"
        && framework != Framework::Jax
    {
        return Err(Failure::input(format!(
            "--framework {} does not run on {}; allowed: jax",
            framework.name(),
            accelerator.id
        )));
    }
    let mut assumed = Vec::new();
    let sequence_tokens = match (sequence, model.sample.positions) {
        (Some(_), Some(_)) => {
            return Err(Failure::input(format!(
                "--sequence is of no use to {}, which takes {unit}; allowed: --resolution or --frames",
                model.name
            )));
        }
        (None, Some(positions)) => positions,
        (Some(length), None) => length,
        (None, None) => {
            let length = model.max_sequence_tokens.unwrap_or(4096).clamp(1, 4096);
            assumed.push(format!("sequences of {length} tokens"));
            length
        }
    };
    let tokens = epochs * how_much(&args, &model, sequence_tokens)?;
    if let Some(positions) = model.learned_positions()
        && sequence_tokens > positions
    {
        return Err(Failure::input(format!(
            "--sequence is {sequence_tokens}, but {} has learned positions for {positions} tokens; allowed: up to {positions}",
            model.name
        )));
    }
    let global_batch_sequences = match batch {
        Some(batch) if batch as f64 * sequence_tokens as f64 > tokens => {
            return Err(Failure::input(format!(
                "one step of --batch {batch} {unit} is more than the {} {unit} to train on{}",
                count(tokens / sequence_tokens as f64),
                if args.tokens.is_some() {
                    " (--tokens)"
                } else {
                    ""
                }
            )));
        }
        Some(batch) => match fixed {
            // The batch must divide among the accelerators.
            Some((n, _)) if extras.batch_may_grow => batch.next_multiple_of(u64::from(n)),
            _ => batch,
        },
        None => {
            // A step of 4M tokens, as Llama 2 and GPT-3's larger models used, or of up to 2,048 images, as Stable Diffusion
            // did (arXiv:2112.10752 and its model card); and at least a hundred steps.
            let most = match model.sample.positions {
                Some(positions) => (4_194_304.0 / positions as f64).clamp(32.0, 2048.0),
                None => 4_194_304.0 / sequence_tokens as f64,
            };
            let wanted = most.min(tokens / 100.0 / sequence_tokens as f64);
            let mut batch = 1u64 << (wanted.max(1.0).log2().round() as u32).min(30);
            if let Some((n, _)) = fixed {
                // The batch must divide among the accelerators, whatever their number.
                let n = u64::from(n);
                batch = if batch.is_multiple_of(n) {
                    batch
                } else {
                    n * (batch as f64 / n as f64).ceil() as u64
                };
            }
            assumed.push(if model.sample.positions.is_some() {
                format!("{batch} {unit} in a step")
            } else {
                format!(
                    "{batch} sequences in a step ({} tokens)",
                    count((batch * sequence_tokens) as f64)
                )
            });
            batch
        }
    };
    let workload = Workload {
        model,
        sequence_tokens,
        global_batch_sequences,
        tokens_total: tokens,
        precision,
        optimizer,
        method,
        adapters: extras.adapters,
        framework,
        attention: AttentionKernel::Fused,
        channels_last: framework == Framework::Jax,
        software_year: SOFTWARE_YEAR,
    };
    let mut offers = gather_offers(&args, fixed)?;
    let projection = At::read(&args.at)?.apply(&mut offers, fixed)?;
    let choices: Vec<Choice<'_>> = match fixed {
        Some((n, accelerator)) => vec![Choice {
            accelerator,
            count: Some(n),
            offers: offers
                .iter()
                .filter(|offer| offer.accelerator == accelerator.id)
                .collect(),
        }],
        None => accelerators()
            .iter()
            .filter_map(|accelerator| {
                let offers: Vec<&Offer> = offers
                    .iter()
                    .filter(|offer| offer.accelerator == accelerator.id)
                    .collect();
                (!offers.is_empty()).then_some(Choice {
                    accelerator,
                    count: None,
                    offers,
                })
            })
            .collect(),
    };
    let question = Question {
        workload: &workload,
        choices,
        budget_usd,
        deadline_s,
        layout: args
            .layout
            .as_deref()
            .map(|text| match fixed {
                Some((n, _)) => Layout::parse(text, n)
                    .map_err(|error| Failure::input(format!("--layout: {error}"))),
                None => Err(Failure::input("--layout needs --gpus")),
            })
            .transpose()?,
        carbon: |provider, region| {
            let intensity = carbon_intensity(provider, region);
            (intensity.g_co2e_per_kwh, intensity.basis)
        },
        pue,
        framework_given: args.framework.is_some() || method != Method::Full,
        own_calibration: args.calibration.is_some(),
        exhaustive: false,
    };
    let surroundings = args.bill.surroundings(epochs)?;
    let mut answer = plan_train(&question, &calibration).map_err(|error| explain_error(&error))?;
    if args.levers {
        let offers = listed_offers(args.catalog.as_deref(), true, true, None)?;
        let everywhere: Vec<Choice<'_>> = accelerators()
            .iter()
            .map(|accelerator| Choice {
                accelerator,
                count: None,
                offers: offers
                    .iter()
                    .filter(|offer| offer.accelerator == accelerator.id)
                    .collect(),
            })
            .collect();
        answer.levers = outlay_plan::levers(&question, &answer, &everywhere, &calibration);
    }
    if args.bill.bill {
        answer.bill = outlay_plan::bill(&question, &answer, &surroundings, &calibration);
        if answer.bill.is_none() {
            return Err(Failure::input(format!(
                "--bill: no price of {} is known",
                answer.best.accelerator
            ))
            .hint("give its price: `--price 2.49/h`"));
        }
    }
    if budget_usd.is_some() && answer.best.usd.is_none() {
        return Err(Failure::input(format!(
            "--budget cannot be checked: no price of {} is known",
            answer.best.accelerator
        ))
        .hint("give its price: `--price 2.49/h`"));
    }
    answer.notes.extend(extras.notes);
    if args.framework.is_none() {
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
    ));
    if let Some(path) = &args.plot {
        super::plan_picture::draw(&answer, path)?;
    }
    write_exports(
        &args.export,
        &ExportFormat::ALL.map(ExportFormat::name),
        ExportFormat::from_name,
        |format| outlay_plan::export(format, &answer),
    )?;
    if args.json {
        printer.json(&answer)?;
    } else {
        show(&answer, printer);
        if args.explain {
            explain(&answer, &workload, &calibration, printer);
        }
    }
    if answer.meets_limits {
        Ok(())
    } else {
        Err(Failure::check(
            "no plan considered meets the limits given (see the sentences above)",
        ))
    }
}

/// Reads the model, and fills options from `outlay.toml` where the argument is a project.
fn load(args: &mut Args) -> Result<Model, Failure> {
    let path = Path::new(&args.model);
    if path
        .extension()
        .is_some_and(|extension| extension == "toml")
    {
        let text = read_text(path)?;
        let project: Project = toml::from_str(&text)
            .map_err(|error| {
                let what = toml_message(&error, &text);
                Failure::input(format!("{}: {what}", path.display()))
                    .hint("quantities are texts, as on the command line: tokens = \"20B\", budget = \"5000usd\"")
            })?;
        for (first, second, both) in [
            (
                "[model]",
                "model",
                project.model.is_some() && project.train.model.is_some(),
            ),
            (
                "price",
                "owned",
                project.train.price.is_some() && project.train.owned.is_some(),
            ),
        ] {
            if both {
                return Err(Failure::input(format!(
                    "{}: both {first} and `{second}` are given; allowed: one of them",
                    path.display()
                )));
            }
        }
        let train = project.train;
        if args.samples.is_none() {
            args.tokens = args.tokens.take().or(train.tokens);
        }
        if args.tokens.is_none() {
            args.samples = args.samples.take().or(train.samples);
        }
        args.epochs = args
            .epochs
            .take()
            .or(train.epochs.map(|value| value.to_string()));
        args.resolution = args.resolution.take().or(train.resolution);
        args.frames = args
            .frames
            .take()
            .or(train.frames.map(|value| value.to_string()));
        args.precomputed |= train.precomputed.unwrap_or(false);
        args.gpus = args.gpus.take().or(train.gpus);
        args.budget = args.budget.take().or(train.budget);
        args.deadline = args.deadline.take().or(train.deadline);
        let number = |value: Option<u64>| value.map(|value| value.to_string());
        args.sequence = args.sequence.take().or(number(train.sequence));
        args.batch = args.batch.take().or(number(train.batch));
        args.precision = args.precision.take().or(train.precision);
        args.optimizer = args.optimizer.take().or(train.optimizer);
        args.method = args.method.take().or(train.method);
        args.framework = args.framework.take().or(train.framework);
        args.price = args.price.take().or(train.price);
        args.spot |= train.spot.unwrap_or(false);
        args.reserved |= train.reserved.unwrap_or(false);
        if args.price.is_none() {
            args.owned = args.owned.take().or(train.owned);
        }
        args.lifetime = args.lifetime.or(train.lifetime);
        args.utilisation = args.utilisation.or(train.utilisation);
        args.electricity = args.electricity.or(train.electricity);
        args.layout = args.layout.take().or(train.layout);
        if let Some(bill) = project.bill {
            args.bill.fill(bill);
        }
        return match (project.model, train.model) {
            (Some(_), _) => read_model_file(args, path),
            (None, Some(name)) => {
                // A path in a project is relative to the project's folder.
                let beside = path.parent().unwrap_or(Path::new(".")).join(&name);
                if beside.exists() {
                    read_model_file(args, &beside)
                } else {
                    named(args, &name)
                }
            }
            (None, None) => Err(Failure::input(format!(
                "{}: no model: neither a [model] table nor `model` in [train] is there",
                path.display()
            ))
            .hint("add `model = \"llama-3.1-8b\"` under [train]")),
        };
    }
    if path.exists() {
        read_model_file(args, path)
    } else {
        named(args, &args.model)
    }
}

/// Reads --deadline, in seconds.
pub fn deadline_seconds(text: Option<&str>) -> Result<Option<f64>, Failure> {
    text.map(parse_duration_seconds)
        .transpose()
        .map_err(|error| Failure::input(format!("--deadline: {error}")))
}

/// Reads --precision; where nothing is said, the usual format of the accelerator.
pub fn precision_or_usual(
    text: Option<&str>,
    fixed: Option<(u32, &outlay_catalog::Accelerator)>,
) -> Result<Precision, Failure> {
    let given = choice(
        text,
        "precision",
        Precision::from_name,
        &Precision::ALL.map(Precision::name),
    )?;
    Ok(given.unwrap_or_else(|| {
        fixed.map_or(Precision::Bf16, |(_, accelerator)| {
            Precision::usual(accelerator)
        })
    }))
}

/// Reads a whole number of an option, from 1.
pub fn whole(option: &str, text: Option<&str>, most: u64) -> Result<Option<u64>, Failure> {
    let Some(text) = text else { return Ok(None) };
    match outlay_units::parse_count(text) {
        Ok(value) if value.fract() == 0.0 && value <= most as f64 => Ok(Some(value as u64)),
        _ => Err(Failure::input(format!(
            "--{option} is `{text}`; allowed: whole numbers from 1 to {most}"
        ))),
    }
}

/// Size of a sample, from the options.
fn input(args: &Args) -> Result<Input, Failure> {
    let frames = whole("frames", args.frames.as_deref(), 100_000)?;
    let Some(text) = args.resolution.as_deref() else {
        return Ok(Input {
            frames,
            ..Input::default()
        });
    };
    let side = |text: &str| {
        text.trim()
            .parse::<u64>()
            .ok()
            .filter(|side| (1..=65_536).contains(side))
    };
    let sides = match text.split_once(['x', 'X']) {
        Some((width, height)) => side(width).zip(side(height)),
        None => side(text).map(|side| (side, side)),
    };
    let Some((width, height)) = sides else {
        return Err(Failure::input(format!(
            "--resolution is `{text}`; allowed: a side such as 1024, or width x height such as 1280x720"
        )));
    };
    Ok(Input {
        height_px: Some(height),
        width_px: Some(width),
        frames,
        caption_tokens: None,
    })
}

/// Tokens of the whole run in one epoch, from --tokens or --samples.
fn how_much(args: &Args, model: &Model, sequence_tokens: u64) -> Result<f64, Failure> {
    let unit = model.sample.unit.plural();
    match (args.tokens.as_deref(), args.samples.as_deref()) {
        (Some(_), _) if model.sample.positions.is_some() => Err(Failure::input(format!(
            "--tokens is of no use to {}, which takes {unit}; allowed: --samples",
            model.name
        ))),
        (Some(text), _) => match parse_tokens(text) {
            Ok(tokens) if tokens >= 1.0 => Ok(tokens),
            Ok(tokens) => Err(Failure::input(format!(
                "--tokens is {tokens}; allowed: 1 and more"
            ))),
            Err(error) => Err(Failure::input(format!("--tokens: {error}"))),
        },
        (None, Some(text)) => match outlay_units::parse_count(text) {
            Ok(samples) if samples >= 1.0 => Ok(samples * sequence_tokens as f64),
            _ => Err(Failure::input(format!(
                "--samples is `{text}`; allowed: a number from 1, such as 1.28M"
            ))),
        },
        (None, None) if model.sample.positions.is_some() => Err(Failure::input(format!(
            "the number of {unit} to train on is not given"
        ))
        .hint("add `--samples 10M`, and `--epochs 90` where each is seen more than once")),
        (None, None) => Err(
            Failure::input("the number of tokens to train on is not given").hint(
                "add `--tokens 20B`; a compute-optimal run uses about 20 tokens for each parameter",
            ),
        ),
    }
}

fn read_model_file(args: &Args, path: &Path) -> Result<Model, Failure> {
    let input = input(args)?;
    let mut model = outlay_model::read_path_with(path, &input)
        .map(|loaded| loaded.model)
        .map_err(Failure::input)?;
    if model.family == Family::Diffusion && !args.precomputed {
        let companions = outlay_model::read_companions(path, &input).map_err(Failure::input)?;
        for part in &companions {
            model.add_frozen(part, 512);
        }
        if !companions.is_empty() {
            let names: Vec<&str> = companions
                .iter()
                .map(|part| part.architecture.as_str())
                .collect();
            model.notes.push(format!(
                "Runs for every sample, and is not trained: {} (--precomputed leaves them out).",
                names.join(", ")
            ));
        }
    }
    Ok(model)
}

fn named(args: &Args, name: &str) -> Result<Model, Failure> {
    let looks_like_path = name.contains('/')
        || [".json", ".gguf", ".onnx", ".safetensors"]
            .iter()
            .any(|ending| name.ends_with(ending));
    match outlay_model::find(name) {
        Ok(found) => found.model_with(&input(args)?).map_err(Failure::input),
        Err(_) if looks_like_path => Err(Failure::input(format!(
            "model file `{name}` does not exist"
        ))
        .hint("give a config.json, a folder that has one, or a name from `outlay models`")),
        Err(error) => Err(Failure::input(error)
            .hint("run `outlay models` to see the built-in models, or give a config.json")),
    }
}

/// Reads `64xH100-SXM`, or `H100-SXM` for one.
pub fn parse_gpus(text: &str) -> Result<(u32, &'static outlay_catalog::Accelerator), Failure> {
    parse_gpus_of("--gpus", text)
}

/// As [`parse_gpus`], for another option.
pub fn parse_gpus_of(
    option: &str,
    text: &str,
) -> Result<(u32, &'static outlay_catalog::Accelerator), Failure> {
    let wrong = |what: String| {
        Failure::input(format!("{option} `{text}`: {what}"))
            .hint("write a number, `x` and an accelerator, such as 64xH100-SXM")
    };
    let (n, name) = match text.split_once(['x', 'X', '*']) {
        Some((n, name)) if n.trim().chars().all(|c| c.is_ascii_digit()) && !n.trim().is_empty() => {
            (n.trim(), name.trim())
        }
        _ => ("1", text.trim()),
    };
    let n = match n.parse::<u32>() {
        Ok(n) if (1..=1_000_000).contains(&n) => n,
        _ => return Err(wrong(format!("{n} accelerators; allowed: 1 to 1,000,000"))),
    };
    if !name.chars().any(|c| c.is_ascii_alphabetic()) {
        return Err(wrong("no accelerator is named".to_owned()));
    }
    let accelerator = find_accelerator(name)
        .map_err(|error| wrong(error.to_string()).hint("run `outlay hardware` to see them all"))?;
    Ok((n, accelerator))
}

pub fn choice<T>(
    text: Option<&str>,
    option: &str,
    read: fn(&str) -> Option<T>,
    allowed: &[&str],
) -> Result<Option<T>, Failure> {
    match text {
        None => Ok(None),
        Some(text) => match read(text) {
            Some(value) => Ok(Some(value)),
            None => Err(Failure::input(format!(
                "--{option} `{text}` is not known; allowed: {}",
                allowed.join(", ")
            ))),
        },
    }
}

fn explain_error(error: &PlanError) -> Failure {
    let mut failure = Failure::input(error);
    if let PlanError::FitsNowhere { hints, .. } = error {
        for hint in hints {
            failure = failure.hint(hint);
        }
    }
    failure
}

/// Today as `YYYY-MM-DD`, from the system clock (only the binary may ask).
pub fn today() -> String {
    let seconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    outlay_units::date_of_day((seconds / 86_400) as i64)
}

/// Whether the model takes samples that are no sequences of tokens.
fn sampled(answer: &Answer) -> bool {
    answer.sample_unit != SampleUnit::Sequence.plural()
}

/// What is trained on, such as `1.00T tokens` or `500M images of 1024 x 1024`.
pub(super) fn amount(answer: &Answer) -> String {
    if !sampled(answer) {
        return format!("{} tokens", count(answer.tokens));
    }
    let mut out = format!("{} {}", count(answer.samples), answer.sample_unit);
    if answer.width_px > 0 {
        out.push_str(&format!(" of {} x {}", answer.width_px, answer.height_px));
    }
    if answer.frames > 0 {
        out.push_str(&format!(", {} frames", answer.frames));
    }
    out
}

fn show(answer: &Answer, printer: &mut Printer) {
    let best = &answer.best;
    let active = if answer.active_parameters < answer.parameters {
        format!(" ({} active)", count(answer.active_parameters as f64))
    } else {
        String::new()
    };
    printer.heading(&format!(
        "{}: {} parameters{active}, {}",
        answer.model,
        count(answer.parameters as f64),
        amount(answer)
    ));
    let at = if best.provider == "none" {
        String::new()
    } else if best.provider == "owned" {
        format!(
            " that you own, at {}/h each ({})",
            usd(best.usd_per_accelerator_hour.unwrap_or(0.0)),
            best.price_source
        )
    } else if best.provider == "given" {
        format!(
            " at {}/h each",
            usd(best.usd_per_accelerator_hour.unwrap_or(0.0))
        )
    } else {
        format!(
            " from {} ({}, {}, {}/h each, {})",
            best.provider,
            best.region,
            best.pricing,
            usd(best.usd_per_accelerator_hour.unwrap_or(0.0)),
            price_day(&best.price_as_of, &best.price_source)
        )
    };
    printer.sentence(&format!(
        "On {} x {}{at}, {}, {}.",
        best.count,
        best.accelerator,
        answer.precision.name(),
        best.layout_brief
    ));
    printer.line("");
    let mut ranges = Ranges::default();
    if let Some(cost) = best.usd {
        ranges.row("cost", cost, usd);
    }
    ranges.row("wall-clock time", best.wall_clock_s, duration);
    ranges.row("GPU-hours", best.accelerator_hours, significant);
    ranges.row("energy", best.energy_kwh, energy_kwh);
    ranges.row("CO2e", best.co2e_kg, mass_kg);
    if sampled(answer) {
        ranges.row(
            &format!("{}/s", answer.sample_unit),
            best.samples_per_s,
            significant,
        );
    } else {
        ranges.row("tokens/s", best.tokens_per_s, significant);
    }
    ranges.row("TFLOP/s per GPU", best.tflops_per_accelerator, significant);
    ranges.row("MFU", best.mfu, percent);
    ranges.row("memory per GPU", best.memory_gib, |gib| {
        format!("{gib:.1} GiB")
    });
    printer.ranges(&ranges);
    let right = Align::Right;
    let headroom = best.memory_capacity_gib - best.memory_gib.p50;
    printer.sentence(&format!(
        "Headroom {headroom:.1} of {:.0} GiB. One step: {} ({} steps of {} {}{}).",
        best.memory_capacity_gib,
        duration(best.step_s.p50),
        significant(best.steps),
        answer.global_batch_sequences,
        answer.sample_unit,
        if sampled(answer) {
            String::new()
        } else {
            format!(" of {} tokens", answer.sequence_tokens)
        }
    ));
    let table = |printer: &mut Printer, title: &str, plans: &[Plan]| {
        if plans.is_empty() {
            return;
        }
        printer.line("");
        printer.heading(title);
        let rows: Vec<Vec<String>> = plans
            .iter()
            .map(|plan| {
                vec![
                    plan.usd
                        .map_or_else(|| "-".to_owned(), |cost| usd(cost.p50)),
                    duration(plan.wall_clock_s.p50),
                    format!("{}x{}", plan.count, plan.accelerator),
                    plan.provider.clone(),
                    plan.layout_brief.clone(),
                ]
            })
            .collect();
        printer.table(
            &[
                ("cost", right),
                ("time", right),
                ("hardware", Align::Left),
                ("provider", Align::Left),
                ("layout", Align::Left),
            ],
            &rows,
        );
    };
    table(printer, "Next best", &answer.others);
    if answer.pareto.len() > 1 {
        table(
            printer,
            "Cost against time (no plan beats these in both)",
            &answer.pareto,
        );
    }
    if !answer.levers.is_empty() {
        printer.line("");
        printer.heading("Levers");
        let now = best.usd.map_or(f64::NAN, |cost| cost.p50);
        for lever in &answer.levers {
            printer.sentence(&format!(
                "{} less ({}), in {}: {}. Gives up: {}.",
                usd(lever.saved_usd),
                percent(lever.saved_usd / now),
                duration(lever.wall_clock_s),
                lever.change,
                lever.gives_up
            ));
        }
    }
    if let Some(bill) = &answer.bill {
        super::bill::show(bill, printer);
    }
    printer.line("");
    for note in &answer.notes {
        printer.sentence(note);
    }
    if outlay_units::currency_sign() != "$" {
        printer.sentence(&format!(
            "Money is shown at {} for a US dollar.",
            outlay_units::price_usd(1.0)
        ));
    }
    printer.sentence(&format!(
        "{} layouts priced. Ranges hold the truth four times in five; `outlay validate` shows how they were checked.",
        count(answer.layouts_priced as f64)
    ));
}

/// Every step of the best plan, and where its constants, price and carbon figures come from.
fn explain(
    answer: &Answer,
    workload: &Workload,
    calibration: &outlay_plan::Calibration,
    printer: &mut Printer,
) {
    let best = &answer.best;
    let Ok(accelerator) = find_accelerator(&best.accelerator) else {
        return;
    };
    let workload = Workload {
        framework: best.framework,
        ..workload.clone()
    };
    let Some(costing) = Costing::new(&workload, accelerator, calibration) else {
        return;
    };
    crate::explain::step(&costing, &best.layout, printer);
    crate::explain::whole_run(&costing, &best.layout, best.steps, printer);
    crate::explain::constants(&costing, calibration, printer);
    if !best.price_source.is_empty() {
        printer.sentence(&format!("  price: {}", best.price_source));
    }
    printer.sentence(&format!("  carbon: {}", best.carbon_basis));
}
