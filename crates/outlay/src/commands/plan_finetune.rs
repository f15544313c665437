//! `outlay plan finetune`: what tuning a model on one's own data will cost.

use std::path::{Path, PathBuf};

use outlay_plan::request::{
    Extras, KEPT_BYTES, KEPT_TOKENS, choice, images_fit, run_images, whole,
};
use outlay_plan::{Adapters, Preference, Targets};
use outlay_units::count;

use crate::commands::bill::BillArgs;
use crate::commands::plan_train::{self, load_model_at};
use crate::data::read_lengths;
use crate::failure::Failure;
use crate::printer::Printer;

/// Samples that are padded to the longest among them where none are packed.
const PADDED_TOGETHER: usize = 8;

/// Arguments of `outlay plan finetune`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  outlay plan finetune llama-3.1-8b --method qlora --rank 16 --data train.jsonl --epochs 3 --gpu RTX-4090
  outlay plan finetune ./my-model --data pairs.jsonl --preference dpo --gpus 8xH100-SXM
  outlay plan finetune qwen3-0.6b --tokens 200M --teacher qwen3-8b")]
pub struct Args {
    /// Built-in model name, config.json, folder, .safetensors or .gguf
    model: String,
    /// Data: a .jsonl file, one sample a line
    #[arg(long, value_name = "FILE.jsonl")]
    data: Option<PathBuf>,
    /// The model's tokenizer.json (default: the one beside the model's file)
    #[arg(long, value_name = "FILE", requires = "data")]
    tokenizer: Option<PathBuf>,
    /// Tokens to train on in one epoch, in place of --data
    #[arg(long, conflicts_with = "data", allow_hyphen_values = true)]
    tokens: Option<String>,
    /// Passes over the data [default: 3]
    #[arg(long, allow_hyphen_values = true)]
    epochs: Option<String>,
    /// What is trained: full, lora, qlora, dora, or adapter (two narrow layers behind attention and feed-forward)
    #[arg(long, default_value = "lora")]
    method: String,
    /// Freeze the first so many layers, and the embeddings, with --method full
    #[arg(long, value_name = "LAYERS", allow_hyphen_values = true)]
    freeze: Option<String>,
    /// Images in every sequence of a model that also sees; its vision tower runs for them
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    images_per_sequence: Option<String>,
    /// Size of the images in pixels, for models that take any: 1024, or 1280x720
    #[arg(long, value_name = "PIXELS", allow_hyphen_values = true)]
    resolution: Option<String>,
    /// Rank of the adapters; with --method adapter the width of their narrow part
    #[arg(long, default_value = "16", allow_hyphen_values = true)]
    rank: String,
    /// Products with adapters: query-value, attention or all [default: query-value]
    #[arg(long)]
    targets: Option<String>,
    /// Pack samples into full sequences, rather than pad them to the longest of their batch
    #[arg(long)]
    packing: bool,
    /// Preference tuning: dpo or ipo (pairs and a reference model), kto (single answers and a reference), orpo or simpo
    /// (pairs alone)
    #[arg(long)]
    preference: Option<String>,
    /// Distil from this model, which runs forward for every token
    #[arg(long, value_name = "MODEL")]
    teacher: Option<String>,
    /// Run the teacher once over the data before training, and keep its likeliest tokens
    #[arg(long, requires = "teacher")]
    offline: bool,
    /// Accelerators, such as RTX-4090 or 8xH100-SXM; without it hardware and offers are searched
    #[arg(long, visible_alias = "gpu", value_name = "NxACCELERATOR")]
    gpus: Option<String>,
    /// Longest sequence, in tokens; longer samples are cut (default: the longest sample, up to what the model supports)
    #[arg(long, value_name = "TOKENS", allow_hyphen_values = true)]
    sequence: Option<String>,
    /// Sequences in an optimizer step [default: 64]
    #[arg(long, value_name = "SEQUENCES", allow_hyphen_values = true)]
    batch: Option<String>,
    /// Most to spend, such as 50usd
    #[arg(long, allow_hyphen_values = true)]
    budget: Option<String>,
    /// Longest to take, such as 6h
    #[arg(long, allow_hyphen_values = true)]
    deadline: Option<String>,
    /// Number format of matrix products
    #[arg(long)]
    precision: Option<String>,
    /// Optimizer: adamw, adam8bit, adafactor, muon or sgd
    #[arg(long)]
    optimizer: Option<String>,
    /// Training software: megatron, megatron-deepspeed, fsdp, internevo, jax, pytorch or transformers
    #[arg(long)]
    framework: Option<String>,
    /// Price of one accelerator-hour, such as 0.49/h, in place of the listed offers
    #[arg(long, allow_hyphen_values = true)]
    price: Option<String>,
    /// Consider spot offers too
    #[arg(long, conflicts_with = "price")]
    spot: bool,
    /// Only offers in regions whose name holds this; or a month such as 2027-06, to which prices are projected (may be given
    /// twice)
    #[arg(long, value_name = "REGION|MONTH", allow_hyphen_values = true)]
    at: Vec<String>,
    /// Country whose electricity the hardware runs on, such as DEU or Germany (default: that of the offer's region)
    #[arg(long, value_name = "COUNTRY")]
    grid: Option<String>,
    /// When the run starts, in UTC, such as 2026-12-01T20:00: what it emits by the hours of the grid, and from when on it
    /// would emit least
    #[arg(long, value_name = "INSTANT", allow_hyphen_values = true)]
    start: Option<String>,
    /// Hours of the grid that the hardware runs on: CSV or JSON of Electricity Maps, WattTime or Britain's carbon intensity
    /// service (default: the sun over the region's country)
    #[arg(long, value_name = "FILE")]
    carbon: Option<PathBuf>,
    /// Use the constants of this file
    #[arg(long, value_name = "FILE.toml")]
    calibration: Option<PathBuf>,
    /// Show FLOPs, bytes, time and memory by operator and phase, and the constants used
    #[arg(long)]
    explain: bool,
    /// Write the plan for the tool that runs it: skypilot, slurm, kubernetes, accelerate, deepspeed, megatron, torchtitan, nemo
    /// or axolotl, and the file, such as accelerate=config.yaml (may be given several times)
    #[arg(long, value_name = "FORMAT=FILE")]
    export: Vec<String>,
    /// Show what would make this very workload cheaper, each change priced anew, and what it gives up
    #[arg(long)]
    levers: bool,
    #[command(flatten)]
    bill: BillArgs,
    /// Print JSON (documented in docs/plan-train.schema.json)
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    let rank = match args.rank.trim().parse::<u32>() {
        Ok(rank) if (1..=4096).contains(&rank) => rank,
        _ => {
            return Err(Failure::input(format!(
                "--rank is `{}`; allowed: 1 to 4096",
                args.rank
            )));
        }
    };
    let targets = choice(
        args.targets.as_deref(),
        "targets",
        Targets::from_name,
        &Targets::ALL.map(Targets::name),
    )?
    .unwrap_or(Targets::QueryValue);
    let method = match args.method.as_str() {
        "adapter" if args.targets.is_some() => {
            return Err(Failure::input(
                "--targets is of no use to --method adapter, whose adapters stand behind attention and feed-forward",
            ));
        }
        "dora" | "adapter" => "lora",
        method @ ("full" | "lora" | "qlora") => method,
        other => {
            return Err(Failure::input(format!(
                "--method `{other}` is not known; allowed: full, lora, qlora, dora, adapter"
            )));
        }
    };
    let adapters = Adapters {
        rank,
        targets,
        magnitudes: args.method == "dora",
        bottleneck: args.method == "adapter",
    };
    let mut model = load_model_at(&args.model, args.resolution.as_deref())?;
    let mut notes = Vec::new();
    if method != "full" {
        let trained = adapters.parameters(&model);
        if trained < 1.0 {
            return Err(Failure::input(
                if targets == Targets::All || adapters.bottleneck {
                    format!(
                        "{} has no products that adapters go to; allowed: --method full",
                        model.name
                    )
                } else {
                    format!(
                        "--targets {} are products that {} does not have; allowed: all",
                        targets.name(),
                        model.name
                    )
                },
            ));
        }
        let how = match targets {
            _ if adapters.bottleneck => {
                format!("adapters {rank} wide behind attention and feed-forward, arXiv:1902.00751")
            }
            Targets::QueryValue => format!("rank {rank} on queries and values"),
            Targets::Attention => format!("rank {rank} on the products of attention"),
            Targets::All => format!("rank {rank} on every product of a layer"),
        };
        notes.push(format!(
            "{} of {} parameters are trained ({how}).",
            count(trained),
            count(model.parameters() as f64),
        ));
    }
    let images = args.images_per_sequence.as_deref();
    // Before other models are added, so that a reference sees what the model sees.
    let frozen_tower = method != "full" || args.freeze.is_some();
    let image_tokens = run_images(images, &mut model, frozen_tower)?;
    let preference = choice(
        args.preference.as_deref(),
        "preference",
        Preference::from_name,
        &Preference::ALL.map(Preference::name),
    )?;
    if let Some(preference) = preference {
        notes.push(preference.add_passes(&mut model, method == "full"));
    }
    let mut ahead = None;
    if let Some(name) = &args.teacher {
        let mut teacher = load_model_at(name, args.resolution.as_deref())?;
        if teacher.has_towers() {
            // Beside a student it becomes a frozen network as a whole.
            run_images(images, &mut teacher, args.offline)?;
        }
        if args.offline {
            notes.push(format!(
                "The teacher, {}, runs forward once over the data; its {KEPT_TOKENS:.0} likeliest tokens at each place are {} for each million tokens of data.",
                teacher.name,
                outlay_units::bytes(1e6 * KEPT_TOKENS * KEPT_BYTES)
            ));
            ahead = Some(teacher);
        } else {
            model.add_forward(&teacher, "teacher", true);
            notes.push(format!(
                "The teacher, {}, runs forward for every token, and its weights are held (--offline runs it once ahead).",
                teacher.name
            ));
        }
    }
    let epochs = args.epochs.clone().unwrap_or_else(|| "3".to_owned());
    let mut packed_share = None;
    let most = model.max_sequence_tokens.unwrap_or(4096);
    let wanted = whole("sequence", args.sequence.as_deref(), 100_000_000)?;
    let (tokens, sequence, samples) = match &args.data {
        None => (args.tokens.clone(), wanted.unwrap_or(most.min(2048)), None),
        Some(path) => {
            let beside = Path::new(&args.model);
            let folder = if beside.is_dir() {
                beside
            } else {
                beside.parent().unwrap_or(Path::new(""))
            };
            let found = folder.join("tokenizer.json");
            let tokenizer = args
                .tokenizer
                .clone()
                .or_else(|| (beside.exists() && found.exists()).then_some(found));
            let lengths = read_lengths(path, tokenizer.as_deref())?;
            if preference.is_some_and(Preference::compares) && !lengths.pairs {
                return Err(Failure::input(format!(
                    "{}: --preference needs the fields chosen and rejected in every line",
                    path.display()
                )));
            }
            let longest = lengths.tokens.iter().copied().max().unwrap_or(1);
            let sequence =
                wanted.unwrap_or_else(|| longest.div_ceil(64).saturating_mul(64).min(most).max(1));
            let cut = lengths
                .tokens
                .iter()
                .filter(|&&length| length > sequence)
                .count();
            let (total, padded) = (
                lengths.total(sequence),
                lengths.padded(sequence, PADDED_TOGETHER),
            );
            let n = lengths.tokens.len();
            notes.push(format!(
                "{n} samples, {} tokens{}, {:.0} in the mean, {longest} in the longest.",
                count(total),
                if lengths.counted {
                    ""
                } else {
                    " (estimated at 4 bytes each; a tokenizer.json beside the model counts them)"
                },
                total / n as f64
            ));
            if cut > 0 {
                notes.push(format!(
                    "{cut} samples are longer than {sequence} tokens, and are cut."
                ));
            }
            let computed = if args.packing { total } else { padded };
            packed_share = (!args.packing).then_some(total / padded);
            if args.packing {
                notes.push("Samples are packed into full sequences.".to_owned());
            } else if padded > 1.05 * total {
                notes.push(format!(
                    "Padding makes {:.0}% of what is computed ({PADDED_TOGETHER} samples padded together); --packing would spare it.",
                    (1.0 - total / padded) * 100.0
                ));
            }
            let samples = if args.packing {
                (total / sequence as f64).ceil() as u64
            } else {
                n as u64
            };
            (Some(format!("{computed}")), sequence, Some(samples))
        }
    };
    images_fit(images, image_tokens, Some(sequence))?;
    if tokens.is_none() {
        return Err(Failure::input("what to train on is not given")
            .hint("add `--data train.jsonl`, or `--tokens 50M`"));
    }
    let batch = args.batch.clone().unwrap_or_else(|| {
        samples
            .map_or(64, |samples| samples.clamp(1, 64))
            .to_string()
    });
    let inner = plan_train::Args {
        tokens,
        epochs: Some(epochs),
        gpus: args.gpus.clone(),
        sequence: Some(sequence.to_string()),
        batch: Some(batch),
        budget: args.budget.clone(),
        deadline: args.deadline.clone(),
        method: Some(method.to_owned()),
        precision: args.precision.clone(),
        optimizer: args.optimizer.clone(),
        framework: Some(
            args.framework
                .clone()
                .unwrap_or_else(|| "transformers".to_owned()),
        ),
        price: args.price.clone(),
        spot: args.spot,
        at: args.at.clone(),
        grid: args.grid.clone(),
        start: args.start.clone(),
        carbon: args.carbon.clone(),
        calibration: args.calibration.clone(),
        explain: args.explain,
        levers: args.levers,
        bill: args.bill.clone(),
        freeze: args.freeze.clone(),
        export: args.export.clone(),
        json: args.json,
        ..plan_train::Args::of(&args.model)
    };
    let extras = Extras {
        adapters,
        notes,
        batch_may_grow: args.batch.is_none(),
        ahead,
        packed_share,
        ..Extras::default()
    };
    plan_train::run_with(inner, Some(model), extras, printer)
}
