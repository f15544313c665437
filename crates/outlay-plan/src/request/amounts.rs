//! How much is trained on, in sequences of what length, and how many to a step.

use outlay_model::Model;
use outlay_units::{count, parse_tokens};

use super::train::Fixed;
use super::{Refusal, TrainRequest};
use crate::workload::Workload;

/// Tokens in a sequence, or positions of a sample.
pub fn sequence_of(
    model: &Model,
    given: Option<u64>,
    assumed: &mut Vec<String>,
) -> Result<u64, Refusal> {
    match (given, model.sample.positions) {
        (Some(_), Some(_)) => Err(Refusal::new(
            "sequence",
            format!(
                "--sequence is of no use to {}, which takes {}; allowed: --resolution or --frames",
                model.name,
                model.sample.unit.plural()
            ),
        )),
        (None, Some(positions)) => Ok(positions),
        (Some(length), None) => Ok(length),
        (None, None) => {
            let length = model.max_sequence_tokens.unwrap_or(4096).clamp(1, 4096);
            assumed.push(format!("sequences of {length} tokens"));
            Ok(length)
        }
    }
}

pub fn learned_positions(model: &Model, sequence_tokens: u64) -> Result<(), Refusal> {
    match model.learned_positions() {
        Some(positions) if sequence_tokens > positions => Err(Refusal::new(
            "sequence",
            format!(
                "--sequence is {sequence_tokens}, but {} has learned positions for {positions} tokens; allowed: up to {positions}",
                model.name
            ),
        )),
        _ => Ok(()),
    }
}

/// Tokens of the whole run in one epoch.
pub fn how_much(
    request: &TrainRequest,
    model: &Model,
    sequence_tokens: u64,
) -> Result<f64, Refusal> {
    let unit = model.sample.unit.plural();
    match (request.tokens.as_deref(), request.samples.as_deref()) {
        (Some(_), Some(_)) => Err(Refusal::new(
            "samples",
            "both --tokens and --samples are given; allowed: one of them",
        )),
        (Some(_), _) if model.sample.positions.is_some() => Err(Refusal::new(
            "tokens",
            format!(
                "--tokens is of no use to {}, which takes {unit}; allowed: --samples",
                model.name
            ),
        )),
        (Some(text), _) => match parse_tokens(text) {
            Ok(tokens) if tokens >= 1.0 => Ok(tokens),
            Ok(tokens) => Err(Refusal::new(
                "tokens",
                format!("--tokens is {tokens}; allowed: 1 and more"),
            )),
            Err(error) => Err(Refusal::new("tokens", format!("--tokens: {error}"))),
        },
        (None, Some(text)) => match outlay_units::parse_count(text) {
            Ok(samples) if samples >= 1.0 => Ok(samples * sequence_tokens as f64),
            _ => Err(Refusal::new(
                "samples",
                format!("--samples is `{text}`; allowed: a number from 1, such as 1.28M"),
            )),
        },
        (None, None) if model.sample.positions.is_some() => Err(Refusal::new(
            "samples",
            format!("the number of {unit} to train on is not given"),
        )
        .hint("add `--samples 10M`, and `--epochs 90` where each is seen more than once")),
        (None, None) => Err(Refusal::new(
            "tokens",
            "the number of tokens to train on is not given",
        )
        .hint("add `--tokens 20B`; a compute-optimal run uses about 20 tokens for each parameter")),
    }
}

pub fn given_batch(
    request: &TrainRequest,
    workload: &Workload,
    batch: u64,
    fixed: Fixed,
    may_grow: bool,
) -> Result<u64, Refusal> {
    let sequence_tokens = workload.sequence_tokens as f64;
    if batch as f64 * sequence_tokens > workload.tokens_total {
        let unit = workload.model.sample.unit.plural();
        return Err(Refusal::new(
            "batch",
            format!(
                "one step of --batch {batch} {unit} is more than the {} {unit} to train on{}",
                count(workload.tokens_total / sequence_tokens),
                if request.tokens.is_some() {
                    " (--tokens)"
                } else {
                    ""
                }
            ),
        ));
    }
    Ok(match fixed {
        // The batch must divide among the accelerators.
        Some((n, _)) if may_grow => batch.next_multiple_of(u64::from(n)),
        _ => batch,
    })
}

/// A step of 4M tokens, as Llama 2 and GPT-3's larger models used, or of up to 2,048 images, as Stable Diffusion did
/// (arXiv:2112.10752 and its model card); and at least a hundred steps.
pub fn usual_batch(workload: &Workload, fixed: Fixed, assumed: &mut Vec<String>) -> u64 {
    let sequence_tokens = workload.sequence_tokens;
    let sample = &workload.model.sample;
    let most = match sample.positions {
        Some(positions) => (4_194_304.0 / positions as f64).clamp(32.0, 2048.0),
        None => 4_194_304.0 / sequence_tokens as f64,
    };
    let wanted = most.min(workload.tokens_total / 100.0 / sequence_tokens as f64);
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
    assumed.push(if sample.positions.is_some() {
        format!("{batch} {} in a step", sample.unit.plural())
    } else {
        format!(
            "{batch} sequences in a step ({} tokens)",
            count(batch.saturating_mul(sequence_tokens) as f64)
        )
    });
    batch
}
