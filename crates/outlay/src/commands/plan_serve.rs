//! `outlay plan serve`: what serving a model will cost.

use std::path::PathBuf;

use outlay_catalog::{Offer, accelerators, carbon_intensity};
use outlay_model::{Family, Model};
use outlay_plan::Choice;
use outlay_plan::serving::{
    Demand, Engine, Limits, NumberFormat, Request, ServeAnswer, ServeError, ServeExport,
    ServeQuestion, export_serving, is_measured, plan_serve,
};
use outlay_units::{parse_count, parse_latency_seconds, parse_rate_per_second};

use super::exports::write_exports;
use super::offers::{At, gather_offers, old_price};
use super::plan_train::{Args as TrainArgs, load_pipeline, parse_gpus_of};
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

/// Reads a number of an option between limits.
pub(super) fn number(option: &str, text: &str, least: f64, most: f64) -> Result<f64, Failure> {
    match text.trim().parse::<f64>() {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        _ => Err(Failure::input(format!(
            "--{option} is `{text}`; allowed: {least} to {most}"
        ))),
    }
}

/// Reads a whole number of an option, from 1.
pub(super) fn whole_number(option: &str, text: &str, most: f64) -> Result<f64, Failure> {
    match number(option, text, 1.0, most)? {
        value if value.fract() == 0.0 => Ok(value),
        _ => Err(Failure::input(format!(
            "--{option} is `{text}`; allowed: whole numbers from 1 to {most}"
        ))),
    }
}

/// Reads tokens of an option.
pub(super) fn tokens(option: &str, text: &str) -> Result<f64, Failure> {
    match parse_count(text) {
        Ok(value) if (1.0..=1e7).contains(&value) => Ok(value),
        _ => Err(Failure::input(format!(
            "--{option} is `{text}`; allowed: 1 to 10000000 tokens"
        ))),
    }
}

/// Hardware and offers to consider.
pub(super) struct Hardware {
    offers: Vec<Offer>,
    fixed: Vec<(Option<u32>, &'static outlay_catalog::Accelerator)>,
    /// A sentence where prices are projected.
    pub(super) projection: Option<String>,
}

impl Hardware {
    fn read(args: &Args) -> Result<Self, Failure> {
        let fixed = args
            .gpu
            .iter()
            .map(|text| {
                let counted = text.trim().starts_with(|c: char| c.is_ascii_digit())
                    && text.contains(['x', 'X', '*'])
                    && outlay_catalog::find_accelerator(text).is_err();
                let (n, accelerator) = parse_gpus_of("--gpu", text)?;
                Ok((counted.then_some(n), accelerator))
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        let hardware = TrainArgs {
            price: args.price.clone(),
            spot: args.spot,
            reserved: args.reserved,
            catalog: args.catalog.clone(),
            ..TrainArgs::of(&args.model)
        };
        if args.price.is_some() && fixed.len() != 1 {
            return Err(Failure::input(
                "--price needs one --gpu: a price belongs to an accelerator",
            ));
        }
        let one = match fixed.as_slice() {
            [(count, accelerator)] => Some((count.unwrap_or(1), *accelerator)),
            _ => None,
        };
        let mut offers = gather_offers(&hardware, one)?;
        let projection = At::read(&args.at)?.apply(&mut offers, one)?;
        Ok(Self {
            offers,
            fixed,
            projection,
        })
    }

    /// What is considered. Where hardware is searched, `measured_only` keeps the generations whose engines were measured.
    pub(super) fn choices(&self, measured_only: bool) -> Vec<Choice<'_>> {
        let of = |accelerator: &outlay_catalog::Accelerator| -> Vec<&Offer> {
            self.offers
                .iter()
                .filter(|offer| offer.accelerator == accelerator.id)
                .collect()
        };
        if !self.fixed.is_empty() {
            return self
                .fixed
                .iter()
                .map(|&(count, accelerator)| Choice {
                    accelerator,
                    count,
                    offers: of(accelerator),
                })
                .collect();
        }
        accelerators()
            .iter()
            .filter_map(|accelerator| {
                let offers = of(accelerator);
                let known = !measured_only || is_measured(&accelerator.generation);
                (!offers.is_empty() && accelerator.vendor == "NVIDIA" && known).then_some(Choice {
                    accelerator,
                    count: None,
                    offers,
                })
            })
            .collect()
    }
}

/// What the options say of every kind of service.
pub(super) struct Common {
    /// Requests each second in the busiest hour.
    pub requests_per_s: f64,
    /// Mean rate over the month, relative to the busiest hour.
    pub mean_over_peak: f64,
    /// Rate of each hour relative to the busiest; empty where no load was given.
    pub hours: Vec<f64>,
    /// Whether limits hold for 99 in 100 requests.
    pub for_99_in_100: bool,
    /// Number formats; empty where none were given.
    pub formats: Vec<NumberFormat>,
    /// Power usage effectiveness.
    pub pue: f64,
    /// Hardware.
    pub hardware: Hardware,
}

impl Common {
    fn read(args: &Args) -> Result<Self, Failure> {
        let requests_per_s = parse_rate_per_second(&args.requests)
            .map_err(|error| Failure::input(format!("--requests: {error}")))?;
        if requests_per_s > 1e6 {
            return Err(Failure::input(format!(
                "--requests is `{}`; allowed: up to 1000000/s",
                args.requests
            )));
        }
        let formats = args
            .precision
            .iter()
            .map(|name| {
                NumberFormat::from_name(name).ok_or_else(|| {
                    Failure::input(format!(
                        "--precision `{name}` is not known; allowed: {}",
                        NumberFormat::ALL.map(NumberFormat::name).join(", ")
                    ))
                })
            })
            .collect::<Result<_, _>>()?;
        let hours = args
            .load
            .as_deref()
            .map(read_load)
            .transpose()?
            .unwrap_or_default();
        Ok(Self {
            requests_per_s,
            mean_over_peak: if hours.is_empty() {
                number("mean-over-peak", &args.mean_over_peak, 0.01, 1.0)?
            } else {
                hours.iter().sum::<f64>() / hours.len() as f64
            },
            hours,
            for_99_in_100: match args.percentile.as_str() {
                "99" | "p99" => true,
                "50" | "p50" => false,
                other => {
                    return Err(Failure::input(format!(
                        "--percentile is `{other}`; allowed: 50, 99"
                    )));
                }
            },
            formats,
            pue: number("pue", &args.pue, 1.0, 10.0)?,
            hardware: Hardware::read(args)?,
        })
    }
}

/// Reads --load: the rate of each hour relative to the busiest.
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
    Ok(hours.into_iter().map(|hour| hour / most).collect())
}

/// Refuses prompts and answers that a model cannot hold together.
pub(super) fn holds(model: &Model, input_tokens: f64, output_tokens: f64) -> Result<(), Failure> {
    let together = input_tokens + output_tokens;
    match model.max_sequence_tokens {
        Some(most) if together > most as f64 => Err(Failure::input(format!(
            "--input and --output are {together} tokens together, but {} holds {most}; allowed: up to {most}",
            model.name
        ))),
        _ => Ok(()),
    }
}

/// Carbon intensity of an offer's grid.
pub(super) fn carbon(provider: &str, region: &str) -> (f64, String) {
    let intensity = carbon_intensity(provider, region);
    (intensity.g_co2e_per_kwh, intensity.basis)
}

/// Reads a latency of an option.
pub(super) fn latency_of(option: &str, text: Option<&str>) -> Result<Option<f64>, Failure> {
    text.map(parse_latency_seconds)
        .transpose()
        .map_err(|error| Failure::input(format!("--{option}: {error}")))
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

/// What a request to a model that answers whole asks for.
fn whole_request(args: &Args, model: &Model) -> Result<Request, Failure> {
    let usual_input = model
        .max_sequence_tokens
        .map_or(1000.0, |most| 1000.0_f64.min(most as f64));
    Ok(Request {
        input_tokens: match args.input.as_deref() {
            Some(text) => tokens("input", text)?,
            None => usual_input,
        },
        output_tokens: match args.output.as_deref() {
            Some(text) if model.family == Family::EncoderDecoder => tokens("output", text)?,
            _ => 100.0,
        },
        steps: match args.steps.as_deref() {
            Some(text) => whole_number("steps", text, 1000.0)?,
            None => 30.0,
        },
        passes_per_step: match args.guidance.as_deref() {
            Some(text) => whole_number("guidance", text, 4.0)?,
            None => usual_passes(model),
        },
    })
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
    let common = Common::read(args)?;
    let embeds = model.family == Family::Decoder && args.output.as_deref() == Some("0");
    if model.family != Family::Decoder || embeds {
        let request = whole_request(args, &model)?;
        return serve_batched::run(
            args,
            &model,
            &beside,
            request,
            &common,
            &calibration,
            printer,
        );
    }
    for (option, given) in [
        ("p99", args.p99.is_some()),
        ("steps", args.steps.is_some()),
        ("guidance", args.guidance.is_some()),
        ("resolution", args.resolution.is_some()),
        ("frames", args.frames.is_some()),
        ("beside", !args.beside.is_empty()),
    ] {
        if given {
            return Err(Failure::input(format!(
                "--{option} is of no use to {}, which writes tokens; allowed: --ttft, --tpot, --input, --output",
                model.name
            )));
        }
    }
    let demand = Demand {
        requests_per_s: common.requests_per_s,
        mean_over_peak: common.mean_over_peak,
        input_tokens: tokens("input", args.input.as_deref().unwrap_or("1000"))?,
        output_tokens: tokens("output", args.output.as_deref().unwrap_or("300"))?,
        cached_prefix: number("cached", &args.cached, 0.0, 0.99)?,
    };
    holds(&model, demand.input_tokens, demand.output_tokens)?;
    let limits = Limits {
        ttft_s: latency_of("ttft", args.ttft.as_deref())?,
        tpot_s: latency_of("tpot", args.tpot.as_deref())?,
        for_99_in_100: common.for_99_in_100,
    };
    let engines = match args.engine.as_deref() {
        None => vec![Engine::Vllm],
        Some("any") => Engine::ALL.to_vec(),
        Some(name) => vec![Engine::from_name(name).ok_or_else(|| {
            Failure::input(format!(
                "--engine `{name}` is not known; allowed: vllm, sglang, tensorrt-llm, any"
            ))
        })?],
    };
    let held = held_format(&args.model)?;
    let formats = match (&held, common.formats.is_empty()) {
        (_, false) => common.formats.clone(),
        (Some((format, _)), true) => vec![*format],
        (None, true) => vec![NumberFormat::Bf16, NumberFormat::Fp8],
    };
    let draft = args.draft.as_deref().map(read_draft).transpose()?;
    let question = ServeQuestion {
        model: &model,
        choices: common.hardware.choices(true),
        engines,
        formats,
        demand,
        limits,
        draft,
        apart: args.apart,
        hours: if args.autoscale {
            common.hours.clone()
        } else {
            Vec::new()
        },
        carbon,
        pue: common.pue,
    };
    let mut answer = plan_serve(&question, &calibration).map_err(|error| explain(&error))?;
    if let (Some((format, bits)), true) = (held, common.formats.is_empty()) {
        answer.notes.push(format!(
            "The file's weights take {bits:.1} bits each, and are planned as {} (--precision says otherwise).",
            format.name()
        ));
    }
    answer.notes.extend(common.hardware.projection.clone());
    answer.notes.extend(old_price(
        &answer.best.accelerator,
        &answer.best.provider,
        &answer.best.price_as_of,
    ));
    if args.compare_api {
        compare(args, &model.name, &mut answer)?;
    }
    if let Some(path) = &args.plot {
        super::serve_picture::draw(&answer, path)?;
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
        |format| export_serving(format, &answer),
    )?;
    if args.json {
        printer.json(&answer)?;
    } else {
        show(&answer, args, printer);
        if args.explain {
            explain_plan(&model, &answer, &calibration, printer);
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

/// Passes of a diffusion network in each step, as diffusers' pipelines run it: guidance was distilled into Flux; other
/// networks run with and without the caption.
fn usual_passes(model: &Model) -> f64 {
    if model.architecture.starts_with("Flux") {
        1.0
    } else {
        2.0
    }
}

/// Models that most people know, shown beside an open one for reference.
const FOR_REFERENCE: [&str; 5] = [
    "gpt-5-mini",
    "gpt-5-nano",
    "claude-haiku-4-5",
    "gemini/gemini-2.5-flash",
    "gemini/gemini-2.5-flash-lite",
];

/// Adds the APIs to an answer.
fn compare(args: &Args, model: &str, answer: &mut ServeAnswer) -> Result<(), Failure> {
    if answer.best.usd_per_accelerator_hour.is_none() {
        return Err(Failure::input(format!(
            "--compare-api: no price of {} is known",
            answer.best.accelerator
        ))
        .hint("give its price: `--price 2.49/h`"));
    }
    let listed;
    let prices = match &args.api_prices {
        None => outlay_catalog::builtin_api_prices(),
        Some(path) => {
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
            listed = prices;
            &listed
        }
    };
    let wanted = outlay_model::find(model).ok().map(|found| &found.name);
    let is_same = |name: &str| {
        wanted.is_some() && outlay_model::find_served(name).map(|found| &found.name) == wanted
    };
    answer.apis = outlay_plan::serving::compare_api(answer, prices, is_same, &FOR_REFERENCE);
    if !answer.apis.iter().any(|api| api.is_same_model) {
        answer.notes.push(format!(
            "No API on the list sells {} by the token; others are shown for reference.",
            answer.model
        ));
    }
    Ok(())
}

/// Reads --draft.
fn read_draft(text: &str) -> Result<(f64, f64), Failure> {
    let wrong = || {
        Failure::input(format!(
            "--draft is `{text}`; allowed: tokens drafted and tokens that a pass yields, such as 3:2.2 (1 to 16, and a yield from 1 to one more than is drafted)"
        ))
    };
    let (drafted, yields) = text.split_once(':').ok_or_else(wrong)?;
    let drafted: f64 = drafted.trim().parse().map_err(|_| wrong())?;
    let yields: f64 = yields.trim().parse().map_err(|_| wrong())?;
    if (1.0..=16.0).contains(&drafted) && (1.0..=drafted + 1.0).contains(&yields) {
        Ok((drafted, yields))
    } else {
        Err(wrong())
    }
}

pub(super) fn explain(error: &ServeError) -> Failure {
    let failure = Failure::input(error.to_string());
    match error {
        ServeError::FitsNowhere { .. } => failure.hint(
            "allow narrower weights (`--precision int4`), more accelerators for a replica, or leave out --gpu to search",
        ),
        ServeError::NotGenerative { .. } | ServeError::NotServed { .. } => failure,
    }
}
