//! Published or own measurements: rows of a table, and the cases that they become.

use outlay_catalog::Accelerator;
use outlay_model::{Block, BlockKind, Model};
use serde::{Deserialize, Deserializer};

use crate::constants::{Calibration, Constant, Resolved};
use crate::layout::{Layout, Recompute};
use crate::operator::forward_flops_per_token;
use crate::step::Costing;
use crate::workload::{Precision, Workload};

/// A row of a measurement table, as read. Columns that the file lacks are empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MeasuredRow {
    /// Row id.
    pub id: String,
    /// Where it was published.
    pub source: String,
    /// Year of publication.
    #[serde(deserialize_with = "number")]
    pub year: Option<f64>,
    /// Model name.
    pub model: String,
    /// `dense`, `moe`, `encoder`, `diffusion` or `vision`.
    pub family: String,
    /// Parameters, in 1e9.
    #[serde(deserialize_with = "number")]
    pub params_total_b: Option<f64>,
    /// Parameters that a token touches, in 1e9.
    #[serde(deserialize_with = "number")]
    pub params_active_b: Option<f64>,
    /// Layers.
    #[serde(deserialize_with = "number")]
    pub layers: Option<f64>,
    /// Width.
    #[serde(deserialize_with = "number")]
    pub hidden: Option<f64>,
    /// Feed-forward width (of one expert in a mixture).
    #[serde(deserialize_with = "number")]
    pub ffn: Option<f64>,
    /// Query heads.
    #[serde(deserialize_with = "number")]
    pub heads: Option<f64>,
    /// Key-value heads.
    #[serde(deserialize_with = "number")]
    pub kv_heads: Option<f64>,
    /// Vocabulary.
    #[serde(deserialize_with = "number")]
    pub vocab: Option<f64>,
    /// Routed experts (own column, optional).
    #[serde(deserialize_with = "number")]
    pub experts: Option<f64>,
    /// Experts a token visits (own column, optional).
    #[serde(deserialize_with = "number")]
    pub experts_per_token: Option<f64>,
    /// Sequence length, in tokens.
    #[serde(deserialize_with = "number")]
    pub seq_len: Option<f64>,
    /// Sequences in a step.
    #[serde(deserialize_with = "number")]
    pub global_batch_seqs: Option<f64>,
    /// Sequences in a micro-batch.
    #[serde(deserialize_with = "number")]
    pub micro_batch: Option<f64>,
    /// Accelerator name.
    pub gpu: String,
    /// Accelerators.
    #[serde(deserialize_with = "number")]
    pub num_gpus: Option<f64>,
    /// Tensor-parallel degree.
    #[serde(deserialize_with = "number")]
    pub tp: Option<f64>,
    /// Pipeline degree.
    #[serde(deserialize_with = "number")]
    pub pp: Option<f64>,
    /// Chunks per stage.
    #[serde(deserialize_with = "number")]
    pub vp: Option<f64>,
    /// Data-parallel degree.
    #[serde(deserialize_with = "number")]
    pub dp: Option<f64>,
    /// Context-parallel degree.
    #[serde(deserialize_with = "number")]
    pub cp: Option<f64>,
    /// Expert-parallel degree.
    #[serde(deserialize_with = "number")]
    pub ep: Option<f64>,
    /// ZeRO stage, or `FSDP`.
    pub zero_stage: String,
    /// `none`, `selective` or `full`.
    pub act_ckpt: String,
    /// Number format.
    pub precision: String,
    /// What was measured.
    pub metric: String,
    /// The measurement.
    #[serde(deserialize_with = "number")]
    pub value: Option<f64>,
    /// Tokens of the whole run, in 1e9.
    #[serde(deserialize_with = "number")]
    pub tokens_total_b: Option<f64>,
    /// `no`: quoted from memory.
    pub verified: String,
    /// Free text.
    pub notes: String,
    /// Network of a node, all ports, in Gbit/s (own column, optional).
    #[serde(deserialize_with = "number")]
    pub network_gbit_per_node: Option<f64>,
    /// Training software (own column, optional).
    pub framework: String,
}

/// Reads a cell that is a number or empty; anything else is an error that names the text.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Some(value)),
        _ => Err(serde::de::Error::custom(format!(
            "`{text}` is not a number"
        ))),
    }
}

/// Columns that are understood, for a table's header.
const COLUMNS: &[&str] = &[
    "id",
    "source",
    "year",
    "model",
    "family",
    "params_total_b",
    "params_active_b",
    "layers",
    "hidden",
    "ffn",
    "heads",
    "kv_heads",
    "vocab",
    "experts",
    "experts_per_token",
    "seq_len",
    "global_batch_seqs",
    "micro_batch",
    "gpu",
    "num_gpus",
    "tp",
    "pp",
    "vp",
    "dp",
    "cp",
    "ep",
    "zero_stage",
    "act_ckpt",
    "precision",
    "metric",
    "value",
    "tokens_total_b",
    "verified",
    "notes",
    "network_gbit_per_node",
    "framework",
];

/// Columns of a table that are not understood, and so play no part: perhaps a slip of the pen.
pub fn unknown_columns(text: &str) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    reader.headers().map_or_else(
        |_| Vec::new(),
        |headers| {
            headers
                .iter()
                .filter(|name| !COLUMNS.contains(name))
                .map(str::to_owned)
                .collect()
        },
    )
}

/// Reads a table of measurements.
///
/// # Errors
/// A sentence with the file and line, where the text is not CSV, a cell is not a number, or no row can be told
/// (no `metric` and `value` columns).
pub fn read_measured(text: &str, file: &str) -> Result<Vec<MeasuredRow>, String> {
    let needed = ["metric", "value", "gpu"];
    let mut rows: Vec<MeasuredRow> = read_rows(text, file, &needed, "describe the run")?;
    for (index, row) in rows.iter_mut().enumerate() {
        if row.id.is_empty() {
            row.id = format!("row-{}", index + 1);
        }
    }
    Ok(rows)
}

/// Rows of a CSV with a header that must hold the columns `needed`, beside those that do what `others` says.
///
/// # Errors
/// A sentence with the file, the row and the column, and what is allowed.
pub(crate) fn read_rows<Row: serde::de::DeserializeOwned>(
    text: &str,
    file: &str,
    needed: &[&str],
    others: &str,
) -> Result<Vec<Row>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(false)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let headers = reader
        .headers()
        .map_err(|error| format!("{file}: {error}"))?
        .clone();
    for column in needed {
        if !headers.iter().any(|header| header == *column) {
            return Err(format!(
                "{file}: the header has no column `{column}`; needed: {} and the columns that {others}",
                needed.join(", ")
            ));
        }
    }
    reader
        .deserialize()
        .enumerate()
        .map(|(index, row)| {
            row.map_err(|error| {
                let row = index + 1;
                match error.kind() {
                    csv::ErrorKind::Deserialize { err, .. } => {
                        let column = err
                            .field()
                            .and_then(|field| headers.get(field as usize))
                            .unwrap_or("");
                        format!(
                            "{file}: row {row}, column `{column}`: {}; allowed: numbers, or nothing",
                            err.kind()
                        )
                    }
                    _ => format!("{file}: row {row}: {error}"),
                }
            })
        })
        .collect()
}

/// What a row measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Tokens per second and accelerator.
    TokensPerSecond,
    /// Seconds of a step.
    StepTime,
    /// TFLOP/s per accelerator, in the source's count of FLOPs.
    Tflops,
    /// Model FLOPs utilisation.
    Mfu,
    /// Peak memory of an accelerator, in GiB.
    Memory(MemoryPart),
    /// Samples (images, videos) per second over all accelerators.
    SamplesPerSecond,
    /// Accelerator-hours of a whole run.
    Hours,
}

/// Which part of memory a row gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryPart {
    /// All of it, as the driver counts.
    Peak,
    /// What the framework's allocator holds: all but the context (`torch.cuda.max_memory_reserved`).
    Reserved,
    /// What the framework's tensors take (`torch.cuda.max_memory_allocated`).
    Allocated,
    /// Weights, gradients and optimizer state alone.
    State,
    /// Activations alone.
    Activations,
}

/// A row that can be predicted.
#[derive(Clone, Debug)]
pub struct Case {
    /// Row id.
    pub id: String,
    /// Where it was published.
    pub source: String,
    /// Group for reports: publisher and accelerator.
    pub group: String,
    /// The workload.
    pub workload: Workload,
    /// The accelerator.
    pub accelerator: &'static Accelerator,
    /// Network rate per accelerator, bytes/s.
    pub network_bytes_per_s: f64,
    /// The layout.
    pub layout: Layout,
    /// What is measured.
    pub metric: Metric,
    /// Whether the source's FLOPs include recomputation.
    pub hardware_flops: bool,
    /// The measurement.
    pub measured: f64,
    /// Name of the metric as the row gives it.
    pub metric_name: String,
    /// Key of the interval's width.
    pub kind: String,
    /// Whether the row was checked against its source.
    pub verified: bool,
    /// What was assumed, one sentence each.
    pub assumed: Vec<String>,
}

impl Case {
    /// Predicts the row's metric with the given constants.
    pub fn predict(&self, calibration: &Calibration) -> Option<f64> {
        let constants = calibration.resolve(&self.accelerator.generation, self.workload.framework);
        self.predict_with(constants)
    }

    /// The row's workload on its accelerator and network, ready to price its layout.
    pub fn costing(&self, calibration: &Calibration) -> Option<Costing<'_>> {
        let constants = calibration.resolve(&self.accelerator.generation, self.workload.framework);
        self.costing_with(constants)
    }

    fn costing_with(&self, constants: Resolved) -> Option<Costing<'_>> {
        let mut costing = Costing::with_constants(&self.workload, self.accelerator, constants)?;
        costing.network_bytes_per_s = self.network_bytes_per_s;
        Some(costing)
    }

    /// As [`Self::predict`], with constants already resolved.
    pub fn predict_with(&self, constants: Resolved) -> Option<f64> {
        let costing = self.costing_with(constants)?;
        let slice = costing.slice(&self.layout);
        if let Metric::Memory(part) = self.metric {
            let memory = costing.memory(&self.layout, &slice);
            let bytes = match part {
                MemoryPart::Peak => memory.total_bytes(),
                MemoryPart::Reserved => memory.total_bytes() - memory.reserved_bytes,
                MemoryPart::Allocated => {
                    memory.total_bytes() - memory.reserved_bytes - memory.waste_bytes
                }
                MemoryPart::State => {
                    memory.weights_bytes + memory.gradients_bytes + memory.optimizer_bytes
                }
                // Such figures are counts of saved tensors, not measurements; so is ours.
                MemoryPart::Activations => {
                    memory.activations_bytes / constants.get(Constant::Saved)
                }
            };
            return Some(bytes / outlay_units::GIB);
        }
        let step_s = costing.step(&self.layout, &slice).total_s();
        let accelerators = f64::from(self.layout.accelerators());
        // A step of whole micro-batches, as the schedule runs it.
        let tokens =
            self.workload.global_batch_sequences as f64 * self.workload.sequence_tokens as f64;
        let rate = tokens / step_s / accelerators;
        Some(match self.metric {
            Metric::TokensPerSecond => rate,
            Metric::StepTime => step_s,
            Metric::SamplesPerSecond => self.workload.global_batch_sequences as f64 / step_s,
            Metric::Tflops => rate * self.flops_per_token() / 1e12,
            Metric::Mfu => {
                let peaks = &self.accelerator.peak_tflops;
                let peak = match self.workload.precision {
                    Precision::Fp32 => peaks.fp32,
                    Precision::Tf32 => peaks.tf32?,
                    Precision::Fp8 | Precision::Mxfp8 => peaks.fp8?,
                    Precision::Mxfp4 | Precision::Nvfp4 => peaks.fp4?,
                    Precision::Bf16 | Precision::Fp16 => peaks.bf16.or(peaks.fp16)?,
                };
                rate * self.flops_per_token() / 1e12 / peak
            }
            Metric::Hours => {
                self.workload.tokens_total / rate / 3600.0 / constants.get(Constant::Goodput)
            }
            Metric::Memory(_) => return None,
        })
    }

    /// Training FLOPs of a token as the source counts them: three forwards, or four with full recomputation.
    fn flops_per_token(&self) -> f64 {
        let passes = if self.hardware_flops && self.layout.recompute == Recompute::Full {
            4.0
        } else {
            3.0
        };
        passes * model_flops_per_token(&self.workload.model, self.workload.sequence_tokens, false)
    }
}

/// Forward FLOPs of a token (a position of the main stream) over the whole model, frozen parts left out.
pub fn model_flops_per_token(model: &Model, sequence_tokens: u64, causal_halved: bool) -> f64 {
    model
        .blocks
        .iter()
        .filter(|block| !matches!(block.kind, BlockKind::Tower | BlockKind::Frozen))
        .map(|block| block_flops_per_token(block, sequence_tokens, causal_halved))
        .sum()
}

/// Forward FLOPs of a block, all its repeats, for each position of the main stream.
pub(crate) fn block_flops_per_token(
    block: &Block,
    sequence_tokens: u64,
    causal_halved: bool,
) -> f64 {
    let positions = block.positions.of(sequence_tokens) as f64;
    let one: f64 = block
        .operators
        .iter()
        .map(|operator| forward_flops_per_token(&operator.kind, positions, causal_halved))
        .sum();
    block.repeat as f64 * one * positions / sequence_tokens as f64
}
