//! The constants that measurements decide, their names and their starting values.
//!
//! Each constant has a base value, and may have a factor for an accelerator generation
//! (`matmul_16bit@hopper`) and one for a framework (`matmul_16bit@fsdp`). The fit shrinks factors
//! towards 1, so that a factor with little evidence does little.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::workload::Framework;

/// One physical constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Constant {
    /// Share of the 16-bit (or tf32) peak that large matrix products reach.
    Matmul16,
    /// Share of the fp32 peak that large products on vector units reach.
    Matmul32,
    /// Share of the fp8 peak that large fp8 products reach.
    Matmul8,
    /// As `Matmul8`, for hardware block-scaled fp8.
    MatmulMx8,
    /// Share of the fp4 peak that large fp4 products reach.
    Matmul4,
    /// Share of a matrix product's memory traffic that is not hidden behind its arithmetic.
    Traffic,
    /// Time that a kernel needs to fill and drain the accelerator, in microseconds.
    KernelUs,
    /// Share of the 16-bit peak that the products of fused attention reach.
    Attention,
    /// Rate of attention on synchronous tensor-core instructions, relative to `Attention`, where the accelerator
    /// has asynchronous ones (see `AttentionKernel`).
    SynchronousAttention,
    /// Share of the special-function units' rate that the exponentials of fused attention reach.
    Exponential,
    /// Keys that fused attention computes beyond the pairs that count, for each query (blocks cut by the mask, ends).
    AttentionEdge,
    /// Memory traffic of one attention score where attention is not fused, forward, in bytes.
    ScoreBytes,
    /// Rate of matrix products whose sides are no multiples of 64 elements, relative to those whose are.
    Misaligned,
    /// Rate of convolutions over images on matrix units, relative to products of the same size.
    Convolution,
    /// Share of the 16-bit peak that chunked scans (state spaces, linear attention) reach.
    Scan,
    /// Share of the expert products' rate of an equal dense product (grouped kernels, uneven experts).
    Expert,
    /// Passes over memory of the pointwise work, relative to one read and write of each operand.
    Pointwise,
    /// Share of memory bandwidth that pointwise kernels reach.
    Memory,
    /// Passes over memory to quantize inputs for narrow formats.
    Cast,
    /// Yearly gain in speed of an accelerator's kernels after its release.
    Maturity,
    /// Host time to issue one operator, in microseconds.
    LaunchUs,
    /// Share of the link's rate that collectives inside a node reach.
    Link,
    /// Share of the network's rate that collectives between nodes reach.
    Network,
    /// Steps of latency that a pipelined collective pays for each chunk: see `Group::seconds`.
    Chunks,
    /// Share of tensor-parallel communication that is not hidden.
    ExposedTensor,
    /// Share of data-parallel communication that is not hidden.
    ExposedData,
    /// Share of expert all-to-all that is not hidden.
    ExposedExpert,
    /// Share of context-parallel communication that is not hidden.
    ExposedContext,
    /// Time of a step outside the layers (data, logging, gradient norm), in milliseconds.
    StepMs,
    /// Slowdown for each doubling of the number of nodes (stragglers, jitter).
    Straggler,
    /// Share of bubble and imbalance that pipelines show beyond the ideal schedule.
    Bubble,
    /// Share of a whole run's time that is spent in useful steps.
    Goodput,
    /// Memory outside tensors (context, libraries, communicators), in GiB.
    ReservedGib,
    /// Kept activations, relative to the count of saved tensors.
    Saved,
    /// Memory of one logit with its copies and gradient, in bytes.
    LogitBytes,
    /// Allocator waste: reserved over used.
    Waste,
}

/// What the fit needs to know of a constant.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// Its key in files.
    pub name: &'static str,
    /// Value before any measurement, from data sheets and common experience.
    pub prior: f64,
    /// How far the base may move in the fit (standard deviation of its logarithm).
    pub freedom: f64,
    /// Smallest value allowed.
    pub least: f64,
    /// Largest value allowed.
    pub most: f64,
    /// Whether generations get a factor.
    pub by_generation: bool,
    /// Whether frameworks get a factor.
    pub by_framework: bool,
    /// What it is, in up to 40 characters; [`Constant`] says more.
    pub meaning: &'static str,
}

/// Writes a table of [`Description`]s, one for each variant of an enum, in its order.
macro_rules! constants {
    ($kind:ident $table:ident; $($variant:ident $name:literal $prior:literal $freedom:literal [$least:literal, $most:literal] $generation:literal $framework:literal $meaning:literal;)*) => {
        /// Every constant, in the order of its enum.
        pub const $table: &[$crate::constants::Description] = &[
            $($crate::constants::Description {
                name: $name, prior: $prior, freedom: $freedom,
                least: $least, most: $most, by_generation: $generation, by_framework: $framework,
                meaning: $meaning,
            },)*
        ];

        impl $kind {
            /// Every constant, in the order of its table.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
        }

        #[cfg(test)]
        mod order {
            #[test]
            fn descriptions_stand_in_the_order_of_the_enum() {
                for (index, variant) in [$(super::$kind::$variant),*].into_iter().enumerate() {
                    assert_eq!(variant as usize, index, "{}", super::$table[index].name);
                }
            }
        }
    };
}
pub(crate) use constants;

constants! {
    Constant DESCRIPTIONS;
    Matmul16 "matmul_16bit" 0.75 0.3 [0.1, 0.95] true false "share of the 16-bit peak, large products";
    Matmul32 "matmul_32bit" 0.9 0.1 [0.3, 1.0] false false "share of the fp32 peak, large products";
    Matmul8 "matmul_8bit" 0.65 0.3 [0.1, 0.95] true false "share of the fp8 peak, large products";
    MatmulMx8 "matmul_mx8bit" 0.65 0.3 [0.1, 0.95] true true "as above, block-scaled in hardware";
    Matmul4 "matmul_4bit" 0.5 0.3 [0.05, 0.95] true true "share of the fp4 peak, large products";
    Traffic "traffic" 0.6 0.7 [0.0, 4.0] true true "share of products' traffic not hidden";
    KernelUs "kernel_us" 3.0 0.5 [0.1, 30.0] true false "us to fill and drain, each kernel";
    Attention "attention" 0.5 0.2 [0.05, 0.95] true true "share of the peak, products in attention";
    SynchronousAttention "synchronous_attention" 0.6 0.2 [0.2, 1.0] false false "of that, FlashAttention-2 on Hopper";
    Exponential "exponential" 0.75 0.2 [0.1, 1.0] true false "share of special-function units' rate";
    AttentionEdge "attention_edge" 250.0 0.4 [10.0, 1500.0] true false "keys computed beyond those that count";
    ScoreBytes "score_bytes" 10.0 0.5 [2.0, 40.0] false true "traffic of one unfused score, bytes";
    Misaligned "misaligned" 0.75 0.3 [0.2, 1.0] true false "rate of products off multiples of 64";
    Convolution "convolution" 0.8 0.3 [0.1, 1.3] true false "rate of convolutions, of products";
    Scan "scan" 0.2 0.7 [0.01, 0.95] false false "share of the 16-bit peak, chunked scans";
    Expert "expert" 0.8 0.4 [0.1, 1.5] true true "rate of experts' products, of dense ones";
    Pointwise "pointwise" 1.2 0.5 [0.1, 12.0] true true "passes over memory of pointwise work";
    Memory "memory" 0.8 0.1 [0.2, 1.0] true false "share of memory bandwidth reached";
    Cast "cast" 1.0 0.5 [0.05, 10.0] false true "passes to quantize for narrow formats";
    Maturity "maturity" 0.03 0.7 [0.0, 0.3] false false "yearly gain of kernels after release";
    LaunchUs "launch_us" 8.0 0.6 [0.5, 200.0] true true "us of host time to issue a kernel";
    Link "link" 0.9 0.2 [0.05, 1.0] true true "share of the link's rate, in a node";
    Network "network" 0.8 0.4 [0.02, 1.5] true true "share of the network's rate";
    Chunks "chunks" 20.0 0.5 [0.5, 200.0] true true "latencies paid for each chunk";
    ExposedTensor "exposed_tensor" 1.0 0.3 [0.02, 1.5] true true "share waited for, tensor parallel";
    ExposedData "exposed_data" 0.3 0.7 [0.005, 1.5] true true "share waited for, data parallel";
    ExposedExpert "exposed_expert" 0.7 0.5 [0.02, 3.0] true true "share waited for, expert all-to-all";
    ExposedContext "exposed_context" 0.3 0.6 [0.01, 2.0] true true "share waited for, context parallel";
    StepMs "step_ms" 15.0 0.8 [0.5, 400.0] false true "ms of a step outside the layers";
    Straggler "straggler" 0.008 0.7 [0.0002, 0.1] true true "slowdown for each doubling of nodes";
    Bubble "bubble" 1.0 0.3 [0.2, 3.0] false true "pipeline bubble, of the ideal schedule's";
    Goodput "goodput" 0.85 0.2 [0.3, 1.0] false false "share of a run's time spent in steps";
    ReservedGib "reserved_gib" 2.0 0.5 [0.1, 12.0] true true "GiB of context, libraries, communicators";
    Saved "saved" 1.0 0.3 [0.2, 3.0] false true "kept activations, of the counted tensors";
    LogitBytes "logit_bytes" 10.0 0.3 [2.0, 20.0] false true "bytes kept for each logit";
    Waste "waste" 1.07 0.04 [1.0, 1.5] false true "allocator's reserved over used";
}

/// Factors of generations before any training run is seen, from tables of kernels measured one by one.
///
/// Fitted with the formulas of `operator.rs` (median error 4.6% on A100, 5.8% on H100, 5.4% on B200) to products with
/// at least 1,024 rows, and to causal attention of 1,024 to 16,384 tokens, in NVIDIA's aiconfigurator-core 0.12.0
/// (Apache-2.0; PyPI): 0.82, 0.89, 0.77, 0.84 and 0.67 of the 16-bit peak on A100, H100, B200, B300 and L40S, with 6.8, 3.0,
/// 2.5, 2.3 and 2.7 microseconds for each kernel; 0.58, 0.66, 0.75 and 0.71 of the peak in attention on the first four.
/// A TPU's large products run within 1% of its peak ("How to Scale Your Model", Google DeepMind 2025, chapter on
/// profiling: 96 ms where the peak gives 95.6 ms); the factor is what the base's upper limit leaves of that.
const GENERATION_PRIORS: &[(Constant, &str, f64)] = &[
    (Constant::Matmul16, "ampere", 1.03),
    (Constant::Matmul16, "hopper", 1.11),
    (Constant::Matmul16, "blackwell", 0.96),
    (Constant::Matmul16, "blackwell-ultra", 1.05),
    (Constant::Matmul16, "ada", 0.84),
    (Constant::Matmul16, "tpu-v3", 1.15),
    (Constant::Matmul16, "tpu-v4", 1.15),
    (Constant::Matmul16, "tpu-v5e", 1.15),
    (Constant::Matmul16, "tpu-v5p", 1.15),
    (Constant::Matmul16, "tpu-v6e", 1.15),
    (Constant::Matmul16, "tpu-v7", 1.15),
    (Constant::KernelUs, "ampere", 1.9),
    (Constant::KernelUs, "hopper", 0.85),
    (Constant::KernelUs, "blackwell", 0.7),
    (Constant::KernelUs, "blackwell-ultra", 0.65),
    (Constant::Attention, "ampere", 0.85),
    (Constant::Attention, "hopper", 0.97),
    (Constant::Attention, "blackwell", 1.1),
    (Constant::Attention, "blackwell-ultra", 1.05),
];

/// Factor of a scope before any training run is seen.
pub(crate) fn prior_factor(name: &str, scope: &str) -> f64 {
    GENERATION_PRIORS
        .iter()
        .find(|(of, generation, _)| *generation == scope && DESCRIPTIONS[*of as usize].name == name)
        .map_or(1.0, |(_, _, factor)| *factor)
}

/// Number of constants.
pub const N_CONSTANTS: usize = DESCRIPTIONS.len();

/// Constants resolved for one accelerator generation and framework.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resolved([f64; N_CONSTANTS]);

impl Resolved {
    /// Constants in the order of [`DESCRIPTIONS`].
    pub(crate) fn from_values(values: [f64; N_CONSTANTS]) -> Self {
        Self(values)
    }

    /// All values, in the order of [`DESCRIPTIONS`].
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// The value of a constant.
    #[inline]
    pub fn get(&self, constant: Constant) -> f64 {
        self.0[constant as usize]
    }
}

/// A calibration: base values and factors by key, with the data that they were fitted on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Where the constants come from: file, number of rows, day.
    #[serde(default)]
    pub fitted_on: Vec<String>,
    /// Sources of the rows, each with the accelerators that it measured.
    #[serde(default)]
    pub sources: BTreeMap<String, BTreeSet<String>>,
    /// Spread of measured over predicted by kind of workload, where no row of the source was fitted.
    #[serde(default)]
    pub spreads: BTreeMap<String, outlay_units::Spread>,
    /// As `spreads`, where other rows of the source were fitted.
    #[serde(default)]
    pub spreads_known: BTreeMap<String, outlay_units::Spread>,
    /// `name`, `name@generation` or `name@framework` to value.
    #[serde(default)]
    pub constants: BTreeMap<String, f64>,
    /// Where the constants of serving come from.
    #[serde(default)]
    pub serving_fitted_on: Vec<String>,
    /// Spread of measured over predicted serving latencies by kind, where no row of the model on the system was fitted.
    #[serde(default)]
    pub serving_spreads: BTreeMap<String, outlay_units::Spread>,
    /// Constants of serving: `name`, `name@generation` or `name@engine` to value.
    #[serde(default)]
    pub serving: BTreeMap<String, f64>,
}

/// The project's own fit, see `outlay calibrate`.
static BUILT_IN: &str = include_str!("../data/calibration.toml");

impl Calibration {
    /// The constants that ship with Outlay.
    pub fn built_in() -> Self {
        toml::from_str(BUILT_IN).expect("data/calibration.toml is checked by a test")
    }

    /// Reads a calibration file.
    ///
    /// # Errors
    /// A sentence that names the key at fault and what is allowed.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let calibration: Self =
            toml::from_str(text).map_err(|error| error.message().replace('\n', ", "))?;
        if calibration.constants.is_empty() && calibration.serving.is_empty() {
            return Err(
                "neither [constants] nor [serving]; `outlay calibrate` writes such a file"
                    .to_owned(),
            );
        }
        check_constants(&calibration.constants, DESCRIPTIONS)?;
        check_constants(&calibration.serving, crate::serving::SERVING_CONSTANTS)?;
        for (key, spread) in calibration
            .spreads
            .iter()
            .chain(&calibration.spreads_known)
            .chain(&calibration.serving_spreads)
        {
            if !(spread.low >= 0.01 && spread.high <= 100.0 && spread.low <= spread.high) {
                return Err(format!(
                    "spread `{key}` has low {} and high {}; allowed: 0.01 <= low <= high <= 100",
                    spread.low, spread.high
                ));
            }
        }
        Ok(calibration)
    }

    /// Spread of measured over predicted for a kind of workload; `known` where rows of its source (its cluster and
    /// software) were fitted.
    pub fn spread(&self, kind: &str, known: bool) -> outlay_units::Spread {
        let table = if known {
            &self.spreads_known
        } else {
            &self.spreads
        };
        table
            .get(kind)
            .or_else(|| table.get("other"))
            .copied()
            .unwrap_or(outlay_units::Spread {
                low: 0.75,
                high: 1.35,
            })
    }

    /// Spread of measured over predicted times of models that answer a request whole.
    ///
    /// Those of measured over predicted on 162 published measurements, where the whole family of models was left out of the
    /// fit; wide, as software differs by more than hardware.
    pub fn batched_spread(&self) -> outlay_units::Spread {
        self.serving_spreads
            .get("batched")
            .copied()
            .unwrap_or(outlay_units::Spread {
                low: 0.65,
                high: 1.78,
            })
    }

    /// Spread of measured over predicted serving latencies of a kind (`ttft-` or `tpot-` and how the run was laid out), on an
    /// accelerator of a generation. Where no run on the generation was fitted, the spread is applied twice.
    pub fn serving_spread(&self, kind: &str, generation: &str) -> outlay_units::Spread {
        let spread =
            self.serving_spreads
                .get(kind)
                .copied()
                .unwrap_or(if kind.starts_with("ttft") {
                    outlay_units::Spread {
                        low: 0.6,
                        high: 1.8,
                    }
                } else {
                    outlay_units::Spread {
                        low: 0.8,
                        high: 1.25,
                    }
                });
        let measured = self.serving.keys().any(|key| {
            key.split_once('@')
                .is_some_and(|(_, scope)| scope == generation)
        });
        if measured {
            spread
        } else {
            outlay_units::Spread {
                low: spread.low * spread.low,
                high: spread.high * spread.high,
            }
        }
    }

    /// Whether all rows on an accelerator come from one source: a person's own cluster.
    pub fn is_own(&self, accelerator: &str) -> bool {
        self.sources
            .values()
            .filter(|accelerators| accelerators.contains(accelerator))
            .count()
            == 1
    }

    /// Writes a calibration file.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).unwrap_or_default()
    }

    /// Constants for one generation and framework; what the file lacks keeps its prior.
    pub fn resolve(&self, generation: &str, framework: Framework) -> Resolved {
        let mut values = [0.0; N_CONSTANTS];
        for (value, description) in values.iter_mut().zip(DESCRIPTIONS) {
            let name = description.name;
            let mut resolved = self
                .constants
                .get(name)
                .copied()
                .unwrap_or(description.prior);
            for scope in [generation, framework.name()] {
                resolved *= self
                    .constants
                    .get(&format!("{name}@{scope}"))
                    .copied()
                    .unwrap_or_else(|| prior_factor(name, scope));
            }
            *value = resolved.clamp(description.least, description.most);
        }
        Resolved(values)
    }
}

/// Checks the names and values of a table of constants.
fn check_constants(
    constants: &BTreeMap<String, f64>,
    descriptions: &[Description],
) -> Result<(), String> {
    for (key, &value) in constants {
        let (name, scope) = key
            .split_once('@')
            .map_or((key.as_str(), None), |(name, scope)| (name, Some(scope)));
        let Some(description) = descriptions
            .iter()
            .find(|description| description.name == name)
        else {
            return Err(format!(
                "constant `{key}` is not known; known: {}",
                descriptions
                    .iter()
                    .map(|description| description.name)
                    .collect::<Vec<_>>()
                    .join(", ")
            ));
        };
        let (least, most) = if scope.is_some() {
            (0.01, 100.0)
        } else {
            (description.least, description.most)
        };
        if !(value >= least && value <= most) {
            return Err(format!(
                "constant `{key}` is {value}; allowed: {least} to {most}"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_file_is_sound() {
        Calibration::from_toml(BUILT_IN).unwrap();
    }

    #[test]
    fn refuses_unknown_and_absurd_constants() {
        assert!(
            Calibration::from_toml("[constants]\nspeed = 1.0")
                .unwrap_err()
                .contains("not known")
        );
        assert!(
            Calibration::from_toml("[constants]\nmatmul_16bit = 7.0")
                .unwrap_err()
                .contains("allowed")
        );
    }

    #[test]
    fn factors_multiply_the_base() {
        let calibration =
            Calibration::from_toml("[constants]\nmatmul_16bit = 0.5\n\"matmul_16bit@hopper\" = 1.2\n\"matmul_16bit@fsdp\" = 0.9").unwrap();
        let value = calibration
            .resolve("hopper", Framework::Fsdp)
            .get(Constant::Matmul16);
        assert!((value - 0.54).abs() < 1e-12);
    }
}
