//! What other number formats, caches and sparse weights would change on the chosen hardware.

use crate::constants::Calibration;
use crate::serving::answer::{PrecisionChoice, ServePlan};
use crate::serving::deployment::{Formats, NumberFormat};
use crate::serving::plan::{HOURS_PER_MONTH, MOST_UTILISATION, ServeQuestion, layouts, price};
use crate::train::Choice;

/// What a format costs in quality, and where that is published.
pub(crate) fn quality(format: NumberFormat) -> (&'static str, &'static str) {
    const KURTIC: &str = "Kurtic and others, arXiv:2411.02355 (Llama 3.1)";
    match format {
        NumberFormat::Bf16 => ("the reference", ""),
        NumberFormat::Fp8 => ("effectively lossless", KURTIC),
        NumberFormat::Int8 => ("1 to 3% lower scores, well tuned", KURTIC),
        NumberFormat::Int4 => ("rivals 8 bits; weights alone are narrow", KURTIC),
        NumberFormat::Nvfp4 => (
            "at most 1% lower scores (DeepSeek-R1-0528)",
            "https://developer.nvidia.com/blog/introducing-nvfp4-for-efficient-and-accurate-low-precision-inference/",
        ),
        NumberFormat::Mxfp4 => (
            "for models trained with it, such as gpt-oss; otherwise not known",
            "gpt-oss model card, arXiv:2508.10925",
        ),
    }
}

/// Where the quality of 8-bit caches is published, and of 2:4 sparse weights.
const CACHE_SOURCE: &str = "vLLM, the state of FP8 KV-cache, 2026-04-22";
const SPARSE_SOURCE: &str = "model card of neuralmagic/Sparse-Llama-3.1-8B-2of4, 2024";

/// A way to hold weights and cache.
struct Way {
    name: String,
    format: NumberFormat,
    formats: Formats,
    quality: String,
    source: String,
}

/// The formats that the chosen hardware serves; and around the chosen one the other cache and 2:4 sparse weights.
fn ways(question: &ServeQuestion<'_>, choice: &Choice<'_>, best: &ServePlan) -> Vec<Way> {
    let accelerator = choice.accelerator;
    let mut out: Vec<Way> = NumberFormat::ALL
        .into_iter()
        .filter(|format| format.runs_on(accelerator))
        .map(|format| {
            let (quality, source) = quality(format);
            Way {
                name: format.name_on(&accelerator.id).to_owned(),
                format,
                formats: Formats::usual(format, question.model, accelerator),
                quality: quality.to_owned(),
                source: source.to_owned(),
            }
        })
        .collect();
    let name = best.format.name_on(&accelerator.id);
    let of_best = Formats::usual(best.format, question.model, accelerator);
    let narrow_cache = of_best.cache_bytes == 1;
    if narrow_cache || accelerator.peak_tflops.fp8.is_some() {
        out.push(Way {
            name: format!(
                "{name}, {} cache",
                if narrow_cache { "16-bit" } else { "fp8" }
            ),
            format: best.format,
            formats: Formats {
                cache_bytes: if narrow_cache { 2 } else { 1 },
                ..of_best
            },
            quality: if narrow_cache {
                "the cache as it was trained".to_owned()
            } else {
                "94 to 99% of the scores of a 16-bit cache".to_owned()
            },
            source: if narrow_cache {
                String::new()
            } else {
                CACHE_SOURCE.to_owned()
            },
        });
    }
    // Sparse tensor cores came with Ampere, and multiply 16- and 8-bit weights.
    if accelerator.vendor == "NVIDIA"
        && accelerator.peak_tflops.bf16.is_some()
        && matches!(
            best.format,
            NumberFormat::Bf16 | NumberFormat::Fp8 | NumberFormat::Int8
        )
    {
        out.push(Way {
            name: format!("{name}, 2:4 sparse"),
            format: best.format,
            formats: Formats {
                sparse: true,
                ..of_best
            },
            quality: "98% of the scores, once trained on 13B more tokens; few engines keep kernels"
                .to_owned(),
            source: SPARSE_SOURCE.to_owned(),
        });
    }
    out
}

/// What each way would change at its best layout on the chosen hardware.
pub(super) fn precisions(
    question: &ServeQuestion<'_>,
    choice: &Choice<'_>,
    best: &ServePlan,
    calibration: &Calibration,
) -> Vec<PrecisionChoice> {
    let mut out: Vec<PrecisionChoice> = Vec::new();
    for way in ways(question, choice, best) {
        let found = layouts(question.model, choice.accelerator, choice.count)
            .into_iter()
            .filter(|layout| layout.pipeline == 1 || best.layout.pipeline > 1)
            .filter_map(|layout| {
                let formats = (way.format, way.formats);
                price(question, choice, best.engine, formats, layout, calibration)
            })
            .map(|priced| {
                let replicas = (question.demand.requests_per_s
                    / (priced.steady.requests_per_s * MOST_UTILISATION))
                    .ceil()
                    .max(1.0) as u32;
                let accelerators = replicas * priced.deployment.layout.accelerators();
                (priced, accelerators)
            })
            .min_by(|(a, a_count), (b, b_count)| {
                (!a.within)
                    .cmp(&!b.within)
                    .then(a_count.cmp(b_count))
                    .then(a.steady.tpot_s.total_cmp(&b.steady.tpot_s))
            });
        let Some((priced, accelerators)) = found else {
            continue;
        };
        let ranks = f64::from(priced.deployment.layout.accelerators());
        let each = priced.steady.requests_per_s / ranks;
        // Of wider weights with the usual cache.
        let wider = out.iter().rev().find(|wider| {
            wider.weights_gib > 1.02 * priced.memory.weights_bytes * ranks / outlay_units::GIB
                && wider.requests_per_s_per_accelerator > 1.02 * each
        });
        let warning = wider.map(|wider| {
            format!(
                "takes {:.0}% fewer requests than {}: {}",
                (1.0 - each / wider.requests_per_s_per_accelerator) * 100.0,
                wider.name,
                if way.format.widens(choice.accelerator) {
                    "weights are widened to 16 bits before each product, and wide products bind at a large batch"
                } else {
                    "the accelerator multiplies it no faster"
                }
            )
        });
        out.push(PrecisionChoice {
            name: way.name,
            format: way.format,
            formats: way.formats,
            layout_brief: priced.deployment.layout.name(),
            weights_gib: priced.memory.weights_bytes * ranks / outlay_units::GIB,
            cache_gib: priced.memory.cache_bytes * ranks / outlay_units::GIB,
            sequences: priced
                .memory
                .sequences(question.demand.input_tokens + question.demand.output_tokens)
                * f64::from(priced.deployment.layout.attention_data),
            accelerators,
            usd_per_month: best
                .usd_per_accelerator_hour
                .map(|price| price * f64::from(accelerators) * HOURS_PER_MONTH)
                .map(|usd| usd * best.mean_replicas / f64::from(best.replicas.max(1))),
            tpot_s: priced.steady.tpot_s,
            requests_per_s_per_accelerator: each,
            quality: way.quality,
            quality_source: way.source,
            warning,
        });
    }
    out
}
