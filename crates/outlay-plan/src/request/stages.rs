//! Runs of several parts, as people type them: lengths that grow, an extension to long contexts, cycles.

use outlay_model::{Model, SampleUnit};
use outlay_units::{count, parse_tokens};

use super::amounts::{learned_positions, usual_batch};
use super::train::Fixed;
use super::{Refusal, TrainRequest};
use crate::measured::model_flops_per_token;
use crate::stages::Stage;
use crate::workload::Workload;

/// One part: its sequences, tokens of one epoch, and batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part {
    pub sequence_tokens: u64,
    pub tokens: f64,
    pub batch: Option<u64>,
}

/// Most parts that a run may have.
const PARTS_MOST: usize = 32;

/// Reads `4096:14T,8192:800B:512`; `None` where nothing is said.
pub(super) fn parts(request: &TrainRequest, model: &Model) -> Result<Option<Vec<Part>>, Refusal> {
    let Some(text) = request.stages.as_deref() else {
        return Ok(None);
    };
    for (given, option) in [
        (request.tokens.is_some(), "--tokens"),
        (request.samples.is_some(), "--samples"),
        (request.sequence.is_some(), "--sequence"),
        (request.batch.is_some(), "--batch"),
    ] {
        if given {
            return Err(Refusal::new(
                "stages",
                format!("both --stages and {option} are given; allowed: one of them"),
            ));
        }
    }
    if model.sample.positions.is_some() || model.sample.unit != SampleUnit::Sequence {
        return Err(Refusal::new(
            "stages",
            format!(
                "--stages is of no use to {}, which takes {}",
                model.name,
                model.sample.unit.plural()
            ),
        ));
    }
    let wrong = |part: &str| {
        Refusal::new(
            "stages",
            format!(
                "--stages has `{part}`; allowed: up to {PARTS_MOST} parts as LENGTH:TOKENS or LENGTH:TOKENS:BATCH with commas between, such as 8192:800B,131072:40B"
            ),
        )
    };
    let mut out = Vec::new();
    for part in text.split(',') {
        let words: Vec<&str> = part.split(':').map(str::trim).collect();
        let (length, tokens, batch) = match words.as_slice() {
            [length, tokens] => (length, tokens, None),
            [length, tokens, batch] => (length, tokens, Some(batch)),
            _ => return Err(wrong(part)),
        };
        let number = |text: &str, most: u64| {
            text.parse::<u64>()
                .ok()
                .filter(|value| (1..=most).contains(value))
                .ok_or_else(|| wrong(part))
        };
        let sequence_tokens = number(length, 100_000_000)?;
        learned_positions(model, sequence_tokens).map_err(|refusal| {
            Refusal::new(
                "stages",
                refusal.message.replace("--sequence is", "--stages has"),
            )
        })?;
        let tokens = parse_tokens(tokens).map_err(|_| wrong(part))?;
        let batch = batch
            .map(|batch| number(batch, 1_000_000_000))
            .transpose()?;
        let least = batch.unwrap_or(1) as f64 * sequence_tokens as f64;
        if tokens < least {
            return Err(Refusal::new(
                "stages",
                format!(
                    "--stages: `{part}` is less than one step of {} tokens",
                    count(least)
                ),
            ));
        }
        out.push(Part {
            sequence_tokens,
            tokens,
            batch,
        });
    }
    if out.len() > PARTS_MOST {
        return Err(wrong(text));
    }
    Ok(Some(out))
}

/// The part of most arithmetic.
pub(super) fn main_part(parts: &[Part], model: &Model) -> usize {
    let flops =
        |part: &Part| part.tokens * model_flops_per_token(model, part.sequence_tokens, false);
    (0..parts.len())
        .max_by(|&a, &b| {
            flops(&parts[a])
                .total_cmp(&flops(&parts[b]))
                .then(b.cmp(&a))
        })
        .unwrap_or(0)
}

/// The parts beside the main one, as stages of a workload that has everything but their sizes.
pub(super) fn others(
    parts: &[Part],
    main: usize,
    epochs: f64,
    workload: &Workload,
    fixed: Fixed,
) -> Vec<Stage> {
    parts
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != main)
        .map(|(index, part)| {
            let mut workload = Workload {
                sequence_tokens: part.sequence_tokens,
                tokens_total: epochs * part.tokens,
                ..workload.clone()
            };
            workload.global_batch_sequences = part
                .batch
                .unwrap_or_else(|| usual_batch(&workload, fixed, &mut Vec::new()));
            Stage {
                name: format!("{} tokens", part.sequence_tokens),
                workload,
                before: index < main,
            }
        })
        .collect()
}

/// What cycles of the learning rate multiply the tokens of the first by: `n` restarts (SGDR, arXiv:1608.03983), each cycle
/// `factor` times as long as the one before.
///
/// ```text
/// 2 restarts, twice as long each: 1 + 2 + 4 = 7 times the tokens of the first cycle.
/// ```
pub(super) fn cycles(request: &TrainRequest) -> Result<Option<(f64, String)>, Refusal> {
    let n = super::whole("restarts", request.restarts.as_deref(), 100)?;
    let factor = match request.restart_factor {
        None => 1.0,
        Some(factor) if (1.0..=10.0).contains(&factor) => factor,
        Some(factor) => {
            return Err(Refusal::new(
                "restart-factor",
                format!("--restart-factor is {factor}; allowed: 1 to 10"),
            ));
        }
    };
    let Some(n) = n else {
        if request.restart_factor.is_some() {
            return Err(Refusal::new(
                "restart-factor",
                "--restart-factor needs --restarts",
            ));
        }
        return Ok(None);
    };
    let total: f64 = (0..=n).map(|cycle| factor.powi(cycle as i32)).sum();
    if total > 1e6 {
        return Err(Refusal::new(
            "restarts",
            format!(
                "--restarts {n} with --restart-factor {factor} takes {} times the tokens of the first cycle; allowed: up to a million times",
                count(total)
            ),
        ));
    }
    let note = format!(
        "{} cycles of the learning rate (warm restarts, arXiv:1608.03983){}: {} times the tokens of the first.",
        n + 1,
        if factor > 1.0 {
            format!(", each {factor} times as long as the one before")
        } else {
            String::new()
        },
        outlay_units::significant(total)
    );
    Ok(Some((total, note)))
}
