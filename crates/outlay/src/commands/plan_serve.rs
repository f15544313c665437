//! `outlay plan serve`: what serving a model will cost.

use std::path::PathBuf;

use outlay_catalog::ApiPrice;
use outlay_model::Model;
use outlay_plan::Calibration;
use outlay_plan::request::{self, Fleet, ServeReply, ServeRequest};
use outlay_plan::serving::{NumberFormat, ServeAnswer, ServeExport, export_serving};

use super::exports::write_exports;
use super::offers::market;
use super::plan_train::{Args as TrainArgs, load_pipeline};
use super::serve_batched;
use super::serve_show::{explain_plan, show};
use crate::failure::{Failure, read_text};
use crate::printer::Printer;

/// Arguments of `outlay plan serve`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  outlay plan serve llama-3.1-70b --gpu H100-SXM --requests 20/s --input 2000 --output 300 --ttft 1s --tpot 40ms
  outlay plan serve ./model.gguf --gpu RTX-4090 --requests 5000/day
  outlay plan serve deepseek-v3 --precision fp8 --engine sglang --requests 50/s
  outlay plan serve ./resnet.onnx --gpu L4 --requests 300/s --p99 50ms
  outlay plan serve stable-diffusion-xl --beside sdxl-vae --steps 30 --requests 2/s")]
pub struct Args {
    /// Built-in model name, config.json, folder, .safetensors, .gguf or .onnx
    pub(super) model: String,
    /// Requests in the busiest hour, such as 20/s or 5000/day
    #[arg(
        long,
        value_name = "RATE",
        default_value = "1/s",
        allow_hyphen_values = true
    )]
    pub(super) requests: String,
    /// Tokens of a prompt or of a text to encode, on average (default: 1000, or what the model holds)
    #[arg(long, value_name = "TOKENS", allow_hyphen_values = true)]
    pub(super) input: Option<String>,
    /// Tokens of an answer, on average (default: 300; 100 for a recording of speech; 0 for an embedding of the prompt)
    #[arg(long, value_name = "TOKENS", allow_hyphen_values = true)]
    pub(super) output: Option<String>,
    /// Longest time from request to answer for 99 in 100 requests, such as 50ms, for models that answer whole (images,
    /// embeddings, speech)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) p99: Option<String>,
    /// Steps of an image or video model (default: 30)
    #[arg(long, value_name = "STEPS", allow_hyphen_values = true)]
    pub(super) steps: Option<String>,
    /// Passes of an image or video model in each step: 2 with guidance, 1 without or where it is distilled (default: what
    /// the model is made for)
    #[arg(long, value_name = "PASSES", allow_hyphen_values = true)]
    pub(super) guidance: Option<String>,
    /// Side of an image in pixels, or width x height, such as 1280x720
    #[arg(long, value_name = "PIXELS", allow_hyphen_values = true)]
    pub(super) resolution: Option<String>,
    /// Frames of a video
    #[arg(long, value_name = "FRAMES", allow_hyphen_values = true)]
    pub(super) frames: Option<String>,
    /// A network that runs beside an image or video model: text encoder or autoencoder, by name or path (may be given
    /// several times; those in the model's own folder are found)
    #[arg(long, value_name = "MODEL")]
    pub(super) beside: Vec<String>,
    /// Share of prompts' tokens that prefix caching finds, from 0 to 0.99
    #[arg(
        long,
        value_name = "SHARE",
        default_value = "0",
        allow_hyphen_values = true
    )]
    pub(super) cached: String,
    /// Mean rate over the month, as a share of the busiest hour's (1: as busy at night as by day)
    #[arg(
        long,
        value_name = "SHARE",
        default_value = "1",
        allow_hyphen_values = true
    )]
    pub(super) mean_over_peak: String,
    /// Requests of each hour, in place of --mean-over-peak: numbers apart by commas, or a file with one on each line (its
    /// last column, where it is a CSV); only their proportions count
    #[arg(long, value_name = "HOURS", conflicts_with = "mean_over_peak")]
    pub(super) load: Option<String>,
    /// Replicas are added and given back by the hour, as --load needs them
    #[arg(long, requires = "load")]
    pub(super) autoscale: bool,
    /// Longest time to first token, such as 1s
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) ttft: Option<String>,
    /// Longest time per output token, such as 40ms
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) tpot: Option<String>,
    /// The limits hold for this many in 100 requests: 50 or 99
    #[arg(long, value_name = "PERCENTILE", default_value = "99")]
    pub(super) percentile: String,
    /// Accelerator, such as H100-SXM, or a whole replica's, such as 8xH100-SXM (may be given several times); without it
    /// hardware and offers are searched
    #[arg(long, visible_alias = "gpus", value_name = "ACCELERATOR")]
    pub(super) gpu: Vec<String>,
    /// Engine: vllm, sglang, tensorrt-llm, or any (default: vllm)
    #[arg(long)]
    pub(super) engine: Option<String>,
    /// Number formats of the weights to consider: bf16, fp8, int8, int4, nvfp4, mxfp4 (default: bf16 and fp8)
    #[arg(long, value_name = "FORMAT", value_delimiter = ',')]
    pub(super) precision: Vec<String>,
    /// Speculative decoding: tokens drafted for a pass and tokens that it yields on average, such as 3:2.2
    #[arg(long, value_name = "DRAFTED:YIELD", allow_hyphen_values = true)]
    pub(super) draft: Option<String>,
    /// Consider workers that do prompts apart from workers that decode, too (disaggregation)
    #[arg(long)]
    pub(super) apart: bool,
    /// Price of one accelerator-hour, such as 2.49/h, in place of the listed offers
    #[arg(long, allow_hyphen_values = true)]
    pub(super) price: Option<String>,
    /// Consider spot offers too
    #[arg(long, conflicts_with = "price")]
    pub(super) spot: bool,
    /// Consider reserved offers too (commitments of a month to three years)
    #[arg(long, conflicts_with = "price")]
    pub(super) reserved: bool,
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
    /// Show where the time of a pass and the memory go, and the constants used
    #[arg(long)]
    pub(super) explain: bool,
    /// Show throughput, latency and cost against the batch
    #[arg(long)]
    pub(super) curve: bool,
    /// Show what other number formats would change on this hardware, with their published cost in quality
    #[arg(long)]
    pub(super) precisions: bool,
    /// Compare with APIs that sell the model by the token, and say from which volume self-hosting costs less
    #[arg(long)]
    pub(super) compare_api: bool,
    /// Read the prices of APIs from LiteLLM's model_prices_and_context_window.json (default: a small built-in list)
    #[arg(long, value_name = "FILE.json", requires = "compare_api")]
    pub(super) api_prices: Option<PathBuf>,
    /// Draw cost against latency, or with --compare-api cost against volume, to an .svg, .png or .html file
    #[arg(long, value_name = "FILE.svg")]
    pub(super) plot: Option<PathBuf>,
    /// Write the plan for the tool that runs it: command (the engine's), skypilot or kubernetes, and the file, such as
    /// kubernetes=serve.yaml (may be given several times)
    #[arg(long, value_name = "FORMAT=FILE")]
    pub(super) export: Vec<String>,
    /// Print JSON (documented in docs/plan-serve.schema.json, and docs/plan-serve-whole.schema.json)
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    /// The options as a request.
    fn request(&self) -> Result<ServeRequest, Failure> {
        Ok(ServeRequest {
            requests: Some(self.requests.clone()),
            input: self.input.clone(),
            output: self.output.clone(),
            p99: self.p99.clone(),
            steps: self.steps.clone(),
            guidance: self.guidance.clone(),
            resolution: self.resolution.clone(),
            frames: self.frames.clone(),
            cached: Some(self.cached.clone()),
            mean_over_peak: Some(self.mean_over_peak.clone()),
            load: self
                .load
                .as_deref()
                .map(read_load)
                .transpose()?
                .unwrap_or_default(),
            autoscale: self.autoscale,
            ttft: self.ttft.clone(),
            tpot: self.tpot.clone(),
            percentile: Some(self.percentile.clone()),
            gpu: self.gpu.clone(),
            engine: self.engine.clone(),
            precision: self.precision.clone(),
            draft: self.draft.clone(),
            apart: self.apart,
            price: self.price.clone(),
            spot: self.spot,
            reserved: self.reserved,
            at: self.at.clone(),
            pue: Some(self.pue.clone()),
            compare_api: self.compare_api,
        })
    }
}

/// Reads --load: the requests of each hour.
fn read_load(text: &str) -> Result<Vec<f64>, Failure> {
    let listed = text.contains(',') && !std::path::Path::new(text).exists();
    let (place, cells): (&str, Vec<String>) = if listed {
        ("--load", text.split(',').map(str::to_owned).collect())
    } else {
        let content = read_text(std::path::Path::new(text))?;
        let cells = content
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| line.rsplit(',').next().unwrap_or_default().to_owned())
            .collect();
        (text, cells)
    };
    let mut hours = Vec::new();
    for (index, cell) in cells.iter().enumerate() {
        match cell.trim().trim_matches('"').parse::<f64>() {
            Ok(value) if value.is_finite() && value >= 0.0 => hours.push(value),
            // The names of a file's columns.
            Err(_) if index == 0 && !listed && cells.len() > 1 => {}
            _ => {
                return Err(Failure::input(format!(
                    "{place}: hour {} is `{}`; allowed: numbers from 0",
                    index + 1,
                    cell.trim()
                )));
            }
        }
    }
    let most = hours.iter().copied().fold(0.0, f64::max);
    if hours.len() < 24 || hours.len() > 20_000 || most <= 0.0 {
        return Err(Failure::input(format!(
            "{place} has {} hours, of which the busiest has {most} requests; allowed: 24 to 20000 hours, not all of them without requests",
            hours.len()
        )));
    }
    Ok(hours)
}

/// The number format nearest to the weights that a GGUF file holds, and their bits; `None` for other files.
fn held_format(model: &str) -> Result<Option<(NumberFormat, f64)>, Failure> {
    let path = std::path::Path::new(model);
    if path.extension().is_none_or(|end| end != "gguf") || !path.exists() {
        return Ok(None);
    }
    let loaded = outlay_model::read_path(path).map_err(Failure::input)?;
    Ok(loaded.bytes_per_parameter.map(|bytes| {
        let format = if bytes > 1.4 {
            NumberFormat::Bf16
        } else if bytes > 0.8 {
            NumberFormat::Int8
        } else {
            NumberFormat::Int4
        };
        (format, 8.0 * bytes)
    }))
}

/// Prices of APIs, where they are asked for.
fn api_prices(args: &Args) -> Result<Vec<ApiPrice>, Failure> {
    let Some(path) = args.api_prices.as_deref().filter(|_| args.compare_api) else {
        return Ok(outlay_catalog::builtin_api_prices().to_vec());
    };
    let (prices, findings) =
        outlay_catalog::read_litellm(&read_text(path)?, &path.display().to_string(), "")
            .map_err(|error| Failure::input(error.to_string()))?;
    let left_out = findings.iter().filter(|finding| finding.left_out).count();
    if left_out > 0 {
        crate::printer::aside(&format!(
            "{left_out} of {} entries of `{}` have no price for text tokens and were left out; `outlay prices --apis {}` says why",
            left_out + prices.len(),
            path.display(),
            path.display()
        ));
    }
    Ok(prices)
}

/// Runs the command.
pub fn run(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    let pipeline = |name: &str| {
        load_pipeline(&TrainArgs {
            resolution: args.resolution.clone(),
            frames: args.frames.clone(),
            ..TrainArgs::of(name)
        })
    };
    let (model, mut beside) = pipeline(&args.model)?;
    for name in &args.beside {
        beside.push(pipeline(name)?.0);
    }
    let calibration = super::calibration(args.calibration.as_deref())?;
    let request = args.request()?;
    let market = market(args.catalog.as_deref(), &args.at)?;
    let api_prices = api_prices(args)?;
    let fleet = Fleet {
        model: &model,
        beside: &beside,
        held: held_format(&args.model)?,
        api_prices: &api_prices,
    };
    match request::serve(&request, fleet, &market, &calibration)? {
        ServeReply::Tokens(answer) => tell(args, &model, &answer, &calibration, printer),
        ServeReply::Whole(answer) => serve_batched::tell(args, &model, &answer, printer),
    }
}

/// Draws, writes and prints the answer.
fn tell(
    args: &Args,
    model: &Model,
    answer: &ServeAnswer,
    calibration: &Calibration,
    printer: &mut Printer,
) -> Result<(), Failure> {
    if let Some(path) = &args.plot {
        super::serve_picture::draw(answer, path)?;
    }
    if answer.best.prompt_workers > 0 && !args.export.is_empty() {
        return Err(Failure::input(
            "--export: the cheapest plan has prompt workers apart, which none of the formats can say",
        )
        .hint("leave out --apart"));
    }
    write_exports(
        &args.export,
        &ServeExport::ALL.map(ServeExport::name),
        ServeExport::from_name,
        |format| export_serving(format, answer),
    )?;
    if args.json {
        printer.json(answer)?;
    } else {
        show(answer, args, printer);
        if args.explain {
            explain_plan(model, answer, calibration, printer);
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
