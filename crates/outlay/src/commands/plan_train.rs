//! `outlay plan train`: what a training run will cost.

use std::path::{Path, PathBuf};

use outlay_catalog::CarbonHours;
use outlay_model::{Family, Input, Model};
use outlay_plan::request::{self, Extras, Refusal, TrainRequest};
use outlay_plan::{Answer, ExportFormat};
use serde::Deserialize;

use super::bill::BillArgs;
use super::exports::write_exports;
use super::offers::market;
use super::train_show::{explain, show};
use crate::failure::{Failure, read_text, toml_message};
use crate::printer::Printer;

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
    /// Parts of the run with sequences of their own, in their order, such as 8192:15T,131072:100B (LENGTH:TOKENS or
    /// LENGTH:TOKENS:BATCH), each with a layout of its own: a curriculum, an extension to long contexts; in place of --tokens
    /// and --sequence
    #[arg(
        long,
        value_name = "PARTS",
        allow_hyphen_values = true,
        conflicts_with_all = ["tokens", "samples", "sequence", "batch", "export"]
    )]
    pub(super) stages: Option<String>,
    /// Warm restarts of the learning rate: so many further cycles over the tokens given
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(super) restarts: Option<String>,
    /// How much longer each cycle is than the one before [default: 1]
    #[arg(
        long,
        value_name = "FACTOR",
        requires = "restarts",
        allow_hyphen_values = true
    )]
    pub(super) restart_factor: Option<f64>,
    /// Images in every sequence of a model that also sees; its vision tower runs for them, and is trained too
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(super) images_per_sequence: Option<String>,
    /// The vision tower runs forward alone
    #[arg(long, requires = "images_per_sequence")]
    pub(super) freeze_tower: bool,
    /// Freeze the first so many layers, and the embeddings: they run forward alone
    #[arg(long, value_name = "LAYERS", allow_hyphen_values = true)]
    pub(super) freeze: Option<String>,
    /// Number format of matrix products: fp32, tf32, bf16, fp16, fp8, mxfp8, mxfp4 or nvfp4
    #[arg(long)]
    pub(super) precision: Option<String>,
    /// Optimizer: adamw, adam8bit, adafactor, muon or sgd
    #[arg(long)]
    pub(super) optimizer: Option<String>,
    /// What is trained: full, lora or qlora
    #[arg(long)]
    pub(super) method: Option<String>,
    /// Training software: megatron, megatron-deepspeed, fsdp, internevo, jax, pytorch or transformers
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
    /// Country whose electricity the hardware runs on, such as DEU or Germany (default: that of the offer's region)
    #[arg(long, value_name = "COUNTRY")]
    pub(super) grid: Option<String>,
    /// When the run starts, in UTC, such as 2026-12-01T20:00: what it emits by the hours of the grid, and from when on it
    /// would emit least
    #[arg(long, value_name = "INSTANT", allow_hyphen_values = true)]
    pub(super) start: Option<String>,
    /// Hours of the grid that the hardware runs on: CSV or JSON of Electricity Maps, WattTime or Britain's carbon intensity
    /// service (default: the sun over the region's country)
    #[arg(long, value_name = "FILE")]
    pub(super) carbon: Option<PathBuf>,
    /// Power usage effectiveness of the data centre
    #[arg(long, default_value = "1.2", allow_hyphen_values = true)]
    pub(super) pue: String,
    /// Use the constants of this file
    #[arg(long, value_name = "FILE.toml")]
    pub(super) calibration: Option<PathBuf>,
    /// Show FLOPs, bytes, time and memory by operator and phase, and the constants used
    #[arg(long)]
    pub(super) explain: bool,
    /// Write the plan for the tool that runs it: skypilot, slurm, kubernetes, accelerate, deepspeed, megatron, torchtitan, nemo
    /// or axolotl, and the file, such as deepspeed=ds_config.json (may be given several times)
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
    stages: Option<String>,
    restarts: Option<u64>,
    restart_factor: Option<f64>,
    images_per_sequence: Option<u64>,
    freeze_tower: Option<bool>,
    freeze: Option<u64>,
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
            stages: None,
            restarts: None,
            restart_factor: None,
            images_per_sequence: None,
            freeze_tower: false,
            freeze: None,
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
            grid: None,
            start: None,
            carbon: None,
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

    /// The options as a request.
    fn request(&self) -> TrainRequest {
        let said = self.clone();
        TrainRequest {
            tokens: said.tokens,
            samples: said.samples,
            epochs: said.epochs,
            resolution: said.resolution,
            frames: said.frames,
            gpus: said.gpus,
            budget: said.budget,
            deadline: said.deadline,
            sequence: said.sequence,
            batch: said.batch,
            stages: said.stages,
            restarts: said.restarts,
            restart_factor: said.restart_factor,
            images_per_sequence: said.images_per_sequence,
            freeze_tower: said.freeze_tower,
            freeze: said.freeze,
            precision: said.precision,
            optimizer: said.optimizer,
            method: said.method,
            framework: said.framework,
            price: said.price,
            spot: said.spot,
            reserved: said.reserved,
            owned: said.owned,
            lifetime: said.lifetime,
            utilisation: said.utilisation,
            electricity: said.electricity,
            layout: said.layout,
            at: said.at,
            grid: said.grid,
            start: said.start,
            pue: Some(said.pue),
            levers: said.levers,
            bill: said.bill.request(),
        }
    }
}

/// Reads a model by its built-in name or from its file.
pub fn load_model(name: &str) -> Result<Model, Failure> {
    load_model_at(name, None)
}

/// As [`load_model`], for images of a size.
pub fn load_model_at(name: &str, resolution: Option<&str>) -> Result<Model, Failure> {
    let args = Args {
        resolution: resolution.map(str::to_owned),
        ..Args::of(name)
    };
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
    let input = sample_size(args)?;
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
        run_with(args, None, Extras::default(), printer)
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
        let outcome = run_with(one, None, Extras::default(), &mut quiet);
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

/// Runs the command for another one, with the model in place of the argument's.
pub fn run_with(
    mut args: Args,
    model: Option<Model>,
    extras: Extras,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let model = match model {
        Some(model) => model,
        None => load(&mut args)?,
    };
    let calibration = super::calibration(args.calibration.as_deref())?;
    let carbon_hours = args
        .carbon
        .as_deref()
        .map(|path| {
            CarbonHours::read(&path.display().to_string(), &read_text(path)?)
                .map_err(Failure::input)
        })
        .transpose()?;
    let extras = Extras {
        own_calibration: args.calibration.is_some(),
        carbon_hours,
        ..extras
    };
    let market = market(args.catalog.as_deref(), &args.at)?;
    let (answer, workload) = request::train(&args.request(), model, extras, &market, &calibration)?;
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
        args.restarts = args.restarts.take().or(number(train.restarts));
        args.restart_factor = args.restart_factor.or(train.restart_factor);
        args.images_per_sequence = args
            .images_per_sequence
            .take()
            .or(number(train.images_per_sequence));
        args.freeze_tower |= train.freeze_tower.unwrap_or(false);
        args.freeze = args.freeze.take().or(number(train.freeze));
        args.stages = args.stages.take().or(train.stages);
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

/// Size of a sample, from the options.
fn sample_size(args: &Args) -> Result<Input, Refusal> {
    request::sample_size(args.resolution.as_deref(), args.frames.as_deref())
}

fn read_model_file(args: &Args, path: &Path) -> Result<Model, Failure> {
    let input = sample_size(args)?;
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
        Ok(found) => found
            .model_with(&sample_size(args)?)
            .map_err(Failure::input),
        Err(_) if looks_like_path => Err(Failure::input(format!(
            "model file `{name}` does not exist"
        ))
        .hint("give a config.json, a folder that has one, or a name from `outlay models`")),
        Err(error) => Err(Failure::input(error)
            .hint("run `outlay models` to see the built-in models, or give a config.json")),
    }
}

/// Reads `64xH100-SXM`, or `H100-SXM` for one.
pub fn parse_gpus(text: &str) -> Result<(u32, &'static outlay_catalog::Accelerator), Refusal> {
    request::accelerators_of("--gpus", text)
}

/// Today as `YYYY-MM-DD`, from the system clock (only the binary may ask).
pub fn today() -> String {
    let seconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    outlay_units::date_of_day((seconds / 86_400) as i64)
}
