//! `plan serve`: from what was said to the answer.

use outlay_catalog::ApiPrice;
use outlay_model::{Family, Model};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::service::Common;
use super::values::{carbon, latency, number, tokens};
use super::{Market, Refusal, old_price, said, whole};
use crate::constants::Calibration;
use crate::serving::{
    BatchedAnswer, Demand, Engine, Limits, NumberFormat, ServeAnswer, ServeError, ServeQuestion,
    compare_api, plan_serve,
};

/// What `outlay plan serve` is asked, in the words of its options. Quantities are texts as on the command line (`20/s`, `40ms`,
/// `8xH100-SXM`); numbers are taken for the texts that say them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServeRequest {
    /// Requests in the busiest hour, such as `20/s` or `5000/day`; `1/s` where nothing is said.
    #[serde(deserialize_with = "said::text")]
    pub requests: Option<String>,
    /// Tokens of a prompt or of a text to encode, on average; 1000, or what the model holds, where nothing is said.
    #[serde(deserialize_with = "said::text")]
    pub input: Option<String>,
    /// Tokens of an answer, on average; 300 where nothing is said (100 for a recording of speech; 0 for an embedding).
    #[serde(deserialize_with = "said::text")]
    pub output: Option<String>,
    /// Longest time from request to answer for 99 in 100 requests, such as `50ms`, for models that answer whole.
    #[serde(deserialize_with = "said::text")]
    pub p99: Option<String>,
    /// Steps of an image or video model; 30 where nothing is said.
    #[serde(deserialize_with = "said::text")]
    pub steps: Option<String>,
    /// Passes of an image or video model in each step: 2 with guidance, 1 without.
    #[serde(deserialize_with = "said::text")]
    pub guidance: Option<String>,
    /// Side of an image in pixels, or width x height, such as `1280x720`.
    #[serde(deserialize_with = "said::text")]
    pub resolution: Option<String>,
    /// Frames of a video.
    #[serde(deserialize_with = "said::text")]
    pub frames: Option<String>,
    /// Share of prompts' tokens that prefix caching finds, from 0 to 0.99.
    #[serde(deserialize_with = "said::text")]
    pub cached: Option<String>,
    /// Mean rate over the month, as a share of the busiest hour's; 1 where nothing is said.
    #[serde(deserialize_with = "said::text")]
    pub mean_over_peak: Option<String>,
    /// Requests of each hour, in place of `mean_over_peak`; only their proportions count.
    #[serde(deserialize_with = "said::numbers")]
    pub load: Vec<f64>,
    /// Whether replicas are added and given back by the hour, as `load` needs them.
    #[serde(deserialize_with = "said::flag")]
    pub autoscale: bool,
    /// Longest time to first token, such as `1s`.
    #[serde(deserialize_with = "said::text")]
    pub ttft: Option<String>,
    /// Longest time per output token, such as `40ms`.
    #[serde(deserialize_with = "said::text")]
    pub tpot: Option<String>,
    /// The limits hold for this many in 100 requests: 50 or 99; 99 where nothing is said.
    #[serde(deserialize_with = "said::text")]
    pub percentile: Option<String>,
    /// Accelerators, such as `H100-SXM`, or a whole replica's, such as `8xH100-SXM`; without one hardware and offers are
    /// searched.
    #[serde(deserialize_with = "said::texts")]
    pub gpu: Vec<String>,
    /// Engine: `vllm`, `sglang`, `tensorrt-llm` or `any`; `vllm` where nothing is said.
    #[serde(deserialize_with = "said::text")]
    pub engine: Option<String>,
    /// Number formats of the weights to consider: `bf16`, `fp8`, `int8`, `int4`, `nvfp4`, `mxfp4`.
    #[serde(deserialize_with = "said::texts")]
    pub precision: Vec<String>,
    /// Speculative decoding: tokens drafted for a pass and tokens that it yields on average, such as `3:2.2`.
    #[serde(deserialize_with = "said::text")]
    pub draft: Option<String>,
    /// Whether workers that do prompts apart from workers that decode are considered, too.
    #[serde(deserialize_with = "said::flag")]
    pub apart: bool,
    /// Price of one accelerator-hour, such as `2.49/h`, in place of the listed offers.
    #[serde(deserialize_with = "said::text")]
    pub price: Option<String>,
    /// Whether spot offers count.
    #[serde(deserialize_with = "said::flag")]
    pub spot: bool,
    /// Whether reserved offers count (commitments of a month to three years).
    #[serde(deserialize_with = "said::flag")]
    pub reserved: bool,
    /// Regions whose name holds this; or a month such as `2027-06`, to which prices are projected; or both.
    #[serde(deserialize_with = "said::texts")]
    pub at: Vec<String>,
    /// Power usage effectiveness of the data centre; 1.2 where nothing is said.
    #[serde(deserialize_with = "said::text")]
    pub pue: Option<String>,
    /// Whether APIs that sell the model by the token are set beside the plan.
    #[serde(deserialize_with = "said::flag")]
    pub compare_api: bool,
}

/// What is served, and what is known of it beside the request.
#[derive(Clone, Copy, Debug)]
pub struct Fleet<'a> {
    /// The model.
    pub model: &'a Model,
    /// Networks that run beside it.
    pub beside: &'a [Model],
    /// The format nearest to the weights that a file holds, and their bits.
    pub held: Option<(NumberFormat, f64)>,
    /// Prices of APIs to compare with.
    pub api_prices: &'a [ApiPrice],
}

/// The answer, for either kind of model.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ServeReply {
    /// Of a model that writes tokens.
    Tokens(Box<ServeAnswer>),
    /// Of a model that answers whole.
    Whole(Box<BatchedAnswer>),
}

/// Plans a service.
///
/// # Errors
/// [`Refusal`] where a field is wrong, or nothing considered can serve the model.
pub fn serve(
    request: &ServeRequest,
    fleet: Fleet<'_>,
    market: &Market,
    calibration: &Calibration,
) -> Result<ServeReply, Refusal> {
    let model = fleet.model;
    let common = Common::read(request, market)?;
    let embeds = model.family == Family::Decoder && request.output.as_deref() == Some("0");
    if model.family != Family::Decoder || embeds {
        return whole::serve_whole(request, fleet, &common, market, calibration)
            .map(|answer| ServeReply::Whole(Box::new(answer)));
    }
    let mut answer = writes_tokens(request, fleet, &common, market, calibration)?;
    if request.compare_api {
        compare(&mut answer, &model.name, fleet.api_prices)?;
    }
    Ok(ServeReply::Tokens(Box::new(answer)))
}

fn writes_tokens(
    request: &ServeRequest,
    fleet: Fleet<'_>,
    common: &Common,
    market: &Market,
    calibration: &Calibration,
) -> Result<ServeAnswer, Refusal> {
    let model = fleet.model;
    for (option, given) in [
        ("p99", request.p99.is_some()),
        ("steps", request.steps.is_some()),
        ("guidance", request.guidance.is_some()),
        ("resolution", request.resolution.is_some()),
        ("frames", request.frames.is_some()),
        ("beside", !fleet.beside.is_empty()),
    ] {
        if given {
            return Err(Refusal::new(
                option,
                format!(
                    "--{option} is of no use to {}, which writes tokens; allowed: --ttft, --tpot, --input, --output",
                    model.name
                ),
            ));
        }
    }
    let said = |text: &Option<String>, usual: &str| text.clone().unwrap_or(usual.to_owned());
    let demand = Demand {
        requests_per_s: common.requests_per_s,
        mean_over_peak: common.mean_over_peak,
        input_tokens: tokens("input", &said(&request.input, "1000"))?,
        output_tokens: tokens("output", &said(&request.output, "300"))?,
        cached_prefix: number("cached", &said(&request.cached, "0"), 0.0, 0.99)?,
    };
    holds(model, demand.input_tokens, demand.output_tokens)?;
    let limits = Limits {
        ttft_s: latency("ttft", request.ttft.as_deref())?,
        tpot_s: latency("tpot", request.tpot.as_deref())?,
        for_99_in_100: common.for_99_in_100,
    };
    let engines = match request.engine.as_deref() {
        None => vec![Engine::Vllm],
        Some("any") => Engine::ALL.to_vec(),
        Some(name) => vec![Engine::from_name(name).ok_or_else(|| {
            Refusal::new(
                "engine",
                format!("--engine `{name}` is not known; allowed: vllm, sglang, tensorrt-llm, any"),
            )
        })?],
    };
    let formats = match (fleet.held, common.formats.is_empty()) {
        (_, false) => common.formats.clone(),
        (Some((format, _)), true) => vec![format],
        (None, true) => vec![NumberFormat::Bf16, NumberFormat::Fp8],
    };
    let draft = request.draft.as_deref().map(read_draft).transpose()?;
    let question = ServeQuestion {
        model,
        choices: common.hardware.choices(true),
        engines,
        formats,
        demand,
        limits,
        draft,
        apart: request.apart,
        hours: if request.autoscale {
            common.hours.clone()
        } else {
            Vec::new()
        },
        carbon,
        pue: common.pue,
    };
    let mut answer = plan_serve(&question, calibration).map_err(|error| refused(&error))?;
    if let (Some((format, bits)), true) = (fleet.held, common.formats.is_empty()) {
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
        &market.today,
    ));
    Ok(answer)
}

/// Refuses prompts and answers that a model cannot hold together.
///
/// # Errors
/// More tokens than the model's longest sequence.
pub fn holds(model: &Model, input_tokens: f64, output_tokens: f64) -> Result<(), Refusal> {
    let together = input_tokens + output_tokens;
    match model.max_sequence_tokens {
        Some(most) if together > most as f64 => Err(Refusal::new(
            "input",
            format!(
                "--input and --output are {together} tokens together, but {} holds {most}; allowed: up to {most}",
                model.name
            ),
        )),
        _ => Ok(()),
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
fn compare(answer: &mut ServeAnswer, model: &str, prices: &[ApiPrice]) -> Result<(), Refusal> {
    if answer.best.usd_per_accelerator_hour.is_none() {
        return Err(Refusal::new(
            "compare-api",
            format!(
                "--compare-api: no price of {} is known",
                answer.best.accelerator
            ),
        )
        .hint("give its price: `--price 2.49/h`"));
    }
    let wanted = outlay_model::find(model).ok().map(|found| &found.name);
    let is_same = |name: &str| {
        wanted.is_some() && outlay_model::find_served(name).map(|found| &found.name) == wanted
    };
    answer.apis = compare_api(answer, prices, is_same, &FOR_REFERENCE);
    if !answer.apis.iter().any(|api| api.is_same_model) {
        answer.notes.push(format!(
            "No API on the list sells {} by the token; others are shown for reference.",
            answer.model
        ));
    }
    Ok(())
}

/// Reads tokens drafted and tokens that a pass yields.
fn read_draft(text: &str) -> Result<(f64, f64), Refusal> {
    let wrong = || {
        Refusal::new(
            "draft",
            format!(
                "--draft is `{text}`; allowed: tokens drafted and tokens that a pass yields, such as 3:2.2 (1 to 16, and a yield from 1 to one more than is drafted)"
            ),
        )
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

pub(super) fn refused(error: &ServeError) -> Refusal {
    let refusal = Refusal::new("gpu", error);
    match error {
        ServeError::FitsNowhere { .. } => refusal.hint(
            "allow narrower weights (`--precision int4`), more accelerators for a replica, or leave out --gpu to search",
        ),
        ServeError::NotGenerative { .. } | ServeError::NotServed { .. } => refusal,
    }
}
