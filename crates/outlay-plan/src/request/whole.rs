//! `plan serve` for models that answer a request whole: images, embeddings, speech.

use outlay_model::{Family, Model};

use super::serve::{Fleet, ServeRequest, refused};
use super::service::Common;
use super::values::{carbon, latency, tokens, whole_number};
use super::{Market, Refusal, old_price};
use crate::constants::Calibration;
use crate::serving::{
    BatchedAnswer, BatchedDemand, BatchedQuestion, NumberFormat, Request, Service, plan_batched,
};

/// Formats that compiled networks run in.
const FORMATS: [NumberFormat; 3] = [NumberFormat::Bf16, NumberFormat::Fp8, NumberFormat::Int8];

/// Accelerators that a plan may take at most.
const MOST_ACCELERATORS: u32 = 1_000_000;

pub(super) fn serve_whole(
    asked: &ServeRequest,
    fleet: Fleet<'_>,
    common: &Common,
    market: &Market,
    calibration: &Calibration,
) -> Result<BatchedAnswer, Refusal> {
    let model = fleet.model;
    let request = request_of(asked, model)?;
    refuse_fields(asked, fleet)?;
    refuse_sizes(common, fleet, &request)?;
    let service = Service::new(model, fleet.beside, &request);
    let question = BatchedQuestion {
        model: &model.name,
        service: &service,
        request,
        choices: common.hardware.choices(false),
        formats: if common.formats.is_empty() {
            vec![NumberFormat::Bf16]
        } else {
            common.formats.clone()
        },
        demand: BatchedDemand {
            requests_per_s: common.requests_per_s,
            mean_over_peak: common.mean_over_peak,
            latency_s: latency("p99", asked.p99.as_deref())?,
            for_99_in_100: common.for_99_in_100,
        },
        carbon,
        pue: common.pue,
    };
    let mut answer = plan_batched(&question, calibration).map_err(|error| refused(&error))?;
    let n = answer.best.accelerators;
    if n > MOST_ACCELERATORS {
        return Err(Refusal::new(
            "requests",
            format!(
                "--requests is `{}`, which takes {n} accelerators; allowed: what {MOST_ACCELERATORS} take",
                asked.requests.as_deref().unwrap_or("1/s")
            ),
        ));
    }
    if model.family == Family::Diffusion && service.parts.len() == 1 && model.runs_in_steps() {
        answer.notes.push(
            "No text encoder and no autoencoder is beside it, so that they are not counted: give the pipeline's folder, or --beside.".to_owned(),
        );
    }
    // What the reader says of speech is about training.
    if model.family != Family::EncoderDecoder {
        answer.notes.extend(model.notes.iter().cloned());
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

/// What a request to the model asks for.
fn request_of(asked: &ServeRequest, model: &Model) -> Result<Request, Refusal> {
    let usual_input = model
        .max_sequence_tokens
        .map_or(1000.0, |most| 1000.0_f64.min(most as f64));
    Ok(Request {
        input_tokens: match asked.input.as_deref() {
            Some(text) => tokens("input", text)?,
            None => usual_input,
        },
        output_tokens: match asked.output.as_deref() {
            Some(text) if model.family == Family::EncoderDecoder => tokens("output", text)?,
            _ => 100.0,
        },
        steps: match asked.steps.as_deref() {
            Some(text) => whole_number("steps", text, 1000.0)?,
            None => 30.0,
        },
        passes_per_step: match asked.guidance.as_deref() {
            Some(text) => whole_number("guidance", text, 4.0)?,
            None => usual_passes(model),
        },
    })
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

/// Fields of language models are slips here.
fn refuse_fields(asked: &ServeRequest, fleet: Fleet<'_>) -> Result<(), Refusal> {
    let model = fleet.model;
    let diffusion = model.family == Family::Diffusion && model.runs_in_steps();
    let text = matches!(model.family, Family::Decoder | Family::Encoder);
    let writes = model.family == Family::EncoderDecoder;
    let embeds = model.family == Family::Decoder;
    for (option, given) in [
        ("ttft", asked.ttft.is_some()),
        ("tpot", asked.tpot.is_some()),
        ("draft", asked.draft.is_some()),
        (
            "cached",
            asked.cached.as_deref().is_some_and(|cached| cached != "0"),
        ),
        ("engine", asked.engine.is_some()),
        ("compare-api", asked.compare_api),
        ("apart", asked.apart),
        ("autoscale", asked.autoscale),
        ("input", asked.input.is_some() && !text),
        ("output", asked.output.is_some() && !writes && !embeds),
        ("frames", asked.frames.is_some() && model.sample.frames < 2),
        (
            "resolution",
            asked.resolution.is_some() && model.sample.width_px == 0,
        ),
        ("steps", asked.steps.is_some() && !diffusion),
        ("guidance", asked.guidance.is_some() && !diffusion),
        ("beside", !fleet.beside.is_empty() && !diffusion),
    ] {
        if given {
            return Err(no_use(option, model));
        }
    }
    Ok(())
}

/// A field that says nothing to a model that answers whole.
#[must_use]
pub fn no_use(option: &str, model: &Model) -> Refusal {
    let diffusion = model.family == Family::Diffusion && model.runs_in_steps();
    Refusal::new(
        option,
        format!(
            "--{option} is of no use to {}, which answers whole{}; allowed: --p99, --requests, --precision, --curve{}",
            model.name,
            if model.family == Family::Decoder {
                " with --output 0"
            } else {
                ""
            },
            if diffusion {
                ", --steps, --guidance, --resolution, --beside"
            } else {
                ""
            }
        ),
    )
}

fn refuse_sizes(common: &Common, fleet: Fleet<'_>, request: &Request) -> Result<(), Refusal> {
    let model = fleet.model;
    if let Some(format) = common
        .formats
        .iter()
        .find(|format| !FORMATS.contains(format))
    {
        return Err(Refusal::new(
            "precision",
            format!(
                "--precision `{}` is for language models; allowed for {}: {}",
                format.name(),
                model.name,
                FORMATS.map(NumberFormat::name).join(", ")
            ),
        ));
    }
    if let Some(most) = model.max_sequence_tokens
        && model.sample.positions.is_none()
        && request.input_tokens > most as f64
    {
        return Err(Refusal::new(
            "input",
            format!(
                "--input is {} tokens, but {} holds {most}; allowed: up to {most}",
                request.input_tokens, model.name
            ),
        ));
    }
    let autoencoder = |part: &&Model| part.family == Family::Diffusion;
    for part in fleet.beside {
        let sound = matches!(part.family, Family::Encoder | Family::Decoder)
            || (autoencoder(&part) && !part.runs_in_steps());
        if !sound {
            return Err(Refusal::new(
                "beside",
                format!(
                    "--beside `{}` is neither a text encoder nor an autoencoder; allowed: those (`outlay models` lists clip-text, t5 and vae)",
                    part.name
                ),
            ));
        }
    }
    if fleet.beside.iter().filter(autoencoder).count() > 1 {
        return Err(Refusal::new(
            "beside",
            "--beside names more than one autoencoder; allowed: one",
        ));
    }
    if model.family == Family::EncoderDecoder
        && let Some(most) = model.max_sequence_tokens
        && request.output_tokens > most as f64
    {
        return Err(Refusal::new(
            "output",
            format!(
                "--output is {} tokens, but {} writes {most}; allowed: up to {most}",
                request.output_tokens, model.name
            ),
        ));
    }
    Ok(())
}
