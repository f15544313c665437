//! Models that answer a request whole: encoders, vision and speech networks, diffusion pipelines.
//!
//! A [`Service`] is a list of networks, each of which runs a number of passes for a request. [`BatchTimes`] says what a
//! batch of requests takes. The operators are those of training, priced forward alone, from the same constants.

use outlay_catalog::Accelerator;
use outlay_model::{Block, BlockKind, Family, Kind, Model, Pattern, Positions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::adapters::Adapters;
use crate::constants::{Calibration, Constant};
use crate::layout::Layout;
use crate::operator::operator_cost;
use crate::serving::deployment::NumberFormat;
use crate::serving::pass::longer;
use crate::step::Costing;
use crate::workload::{
    AttentionKernel, Framework, Method, Optimizer, Precision, SOFTWARE_YEAR, Workload,
};

/// What a request to a whole-answer model asks for, where the model leaves it open.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Request {
    /// Tokens of a text that is encoded.
    pub input_tokens: f64,
    /// Tokens of a transcript or another answer that is written token by token.
    pub output_tokens: f64,
    /// Steps of a diffusion process.
    pub steps: f64,
    /// Passes of a diffusion network in each step: 2 with classifier-free guidance (arXiv:2207.12598), 1 where guidance is
    /// off or was distilled into the network.
    pub passes_per_step: f64,
}

/// One network of a service.
#[derive(Clone, Debug)]
pub struct Part {
    /// Name, with what of it runs where that is not all.
    pub name: String,
    /// Its blocks that run.
    pub model: Model,
    /// Tokens of its main stream for each sample.
    pub positions: u64,
    /// Passes for each request, one after another.
    pub passes: f64,
    /// Samples that a request brings to each pass.
    pub samples: f64,
    /// Whether each pass adds one token to the main stream, over the tokens before it.
    pub token_by_token: bool,
}

/// The networks that answer a request.
#[derive(Clone, Debug)]
pub struct Service {
    /// In running order.
    pub parts: Vec<Part>,
    /// What one request is called, in the plural.
    pub unit: String,
}

/// Whether a diffusion model's file is that of an autoencoder.
fn is_autoencoder(model: &Model) -> bool {
    model
        .blocks
        .iter()
        .any(|block| block.name.starts_with("decoder"))
}

/// A copy of a model with some of its blocks, losses left out.
fn with_blocks(model: &Model, keep: impl Fn(&Block) -> bool) -> Model {
    let mut model = model.clone();
    model
        .blocks
        .retain(|block| !matches!(block.kind, BlockKind::PredictAhead | BlockKind::Frozen));
    model.blocks.retain(keep);
    for block in &mut model.blocks {
        block
            .operators
            .retain(|operator| !matches!(operator.kind, Kind::Loss { .. }));
    }
    model
}

impl Service {
    /// The service of a model and of the networks beside it (text encoders, an autoencoder).
    ///
    /// Of an autoencoder the half that makes images runs; of a language model the prompt alone (an embedding); of an
    /// encoder no head. What writes token by token runs once for each output token.
    pub fn new(model: &Model, beside: &[Model], request: &Request) -> Self {
        let positions = model
            .sample
            .positions
            .unwrap_or(request.input_tokens.round().max(1.0) as u64);
        let whole = |model: Model, positions: u64| Part {
            name: if model.name.is_empty() {
                model.architecture.clone()
            } else {
                model.name.clone()
            },
            model,
            positions,
            passes: 1.0,
            samples: 1.0,
            token_by_token: false,
        };
        let mut parts = Vec::new();
        match model.family {
            Family::Decoder | Family::Encoder => parts.push(whole(
                with_blocks(model, |block| {
                    matches!(block.kind, BlockKind::Embedding | BlockKind::Layer)
                }),
                positions,
            )),
            Family::Vision => parts.push(whole(with_blocks(model, |_| true), positions)),
            Family::EncoderDecoder => {
                let heard = |block: &Block| matches!(block.positions, Positions::Fixed(_));
                parts.push(Part {
                    name: format!("{} encoder", model.name),
                    ..whole(with_blocks(model, heard), positions)
                });
                parts.push(Part {
                    name: format!("{} decoder", model.name),
                    passes: request.output_tokens.max(1.0),
                    token_by_token: true,
                    ..whole(
                        with_blocks(model, |block| !heard(block)),
                        request.output_tokens.round().max(1.0) as u64,
                    )
                });
            }
            Family::Diffusion if is_autoencoder(model) => {
                parts.push(whole(with_blocks(model, |_| true), positions));
            }
            Family::Diffusion => {
                for text in beside.iter().filter(|part| !is_autoencoder(part)) {
                    let tokens = text.sample.positions.unwrap_or(TEXT_ENCODER_TOKENS);
                    parts.push(Part {
                        samples: request.passes_per_step,
                        ..whole(
                            with_blocks(text, |block| {
                                matches!(block.kind, BlockKind::Embedding | BlockKind::Layer)
                            }),
                            tokens,
                        )
                    });
                }
                parts.push(Part {
                    passes: request.steps,
                    samples: request.passes_per_step,
                    ..whole(with_blocks(model, |_| true), positions)
                });
                for autoencoder in beside.iter().filter(|part| is_autoencoder(part)) {
                    let made = |block: &Block| {
                        block.name.starts_with("decoder") || block.name == "latents"
                    };
                    parts.push(whole(
                        with_blocks(autoencoder, made),
                        autoencoder.sample.positions.unwrap_or(1),
                    ));
                }
            }
        }
        let unit = match model.family {
            Family::Decoder | Family::Encoder => "requests".to_owned(),
            _ => model.sample.unit.plural().to_owned(),
        };
        Self { parts, unit }
    }

    /// Parameters of all parts.
    pub fn parameters(&self) -> f64 {
        self.parts
            .iter()
            .map(|part| part.model.parameters() as f64)
            .sum()
    }

    /// Whether every part can be cut over tensor-parallel ranks; convolutions cannot.
    pub fn divides(&self) -> bool {
        self.parts.iter().all(|part| !part.model.convolves())
    }
}

/// Tokens of a caption where a text encoder leaves them open (T5 beside diffusion transformers).
const TEXT_ENCODER_TOKENS: u64 = 512;

/// What compiled networks do otherwise than training.
#[derive(Clone, Copy, Debug)]
struct WholeConstants {
    /// Rate of products, relative to training's.
    product: f64,
    /// Passes over memory of pointwise work, after fusion.
    pointwise: f64,
    /// Time of each kernel beyond its arithmetic and traffic, in seconds.
    kernel_s: f64,
    /// Time of each pass that the host adds, in seconds.
    pass_s: f64,
}

/// Fitted to 162 published measurements of compiled networks (TensorRT, torch.compile, FasterTransformer, AITemplate,
/// onediff, stable-fast; ResNet-50, BERT, ViT, Swin, ConvNeXt, Stable Diffusion 1.5 to XL, SD3, PixArt, Flux, Whisper; T4 to
/// B200) from MLPerf Inference v0.7 to v5.1, NVIDIA's DeepLearningExamples, FasterTransformer and TensorRT demos, timm,
/// diffusers and AITemplate. A calibration file may override each under `[serving]`.
const WHOLE_CONSTANTS: [(&str, f64); 9] = [
    ("whole_product", 0.919),
    ("whole_pointwise", 0.825),
    ("whole_kernel_us", 4.83),
    ("whole_pass_ms", 0.177),
    ("whole_product@turing", 0.979),
    ("whole_product@ampere", 0.925),
    ("whole_product@ada", 1.252),
    ("whole_product@hopper", 1.023),
    ("whole_product@blackwell", 1.123),
];

impl WholeConstants {
    fn of(calibration: &Calibration, generation: &str) -> Self {
        let value = |key: &str| {
            let fitted = WHOLE_CONSTANTS.iter().find(|(name, _)| *name == key);
            calibration
                .serving
                .get(key)
                .copied()
                .or(fitted.map(|(_, value)| *value))
        };
        let get = |name: &str| {
            value(name).unwrap_or(1.0) * value(&format!("{name}@{generation}")).unwrap_or(1.0)
        };
        Self {
            product: get("whole_product"),
            pointwise: get("whole_pointwise"),
            kernel_s: get("whole_kernel_us") * 1e-6,
            pass_s: get("whole_pass_ms") * 1e-3,
        }
    }
}

/// A network, ready to be priced.
struct PricedPart<'a> {
    part: &'a Part,
    workload: Workload,
}

/// Times of batches of requests on one accelerator, or on several that divide each layer.
#[derive(Clone, Debug)]
pub struct BatchTimes {
    /// Seconds by batch, at [`BATCHES`].
    seconds: Vec<f64>,
    /// Weights on each accelerator, in bytes.
    pub weights_bytes: f64,
    /// Working memory of one request on each accelerator, in bytes.
    pub request_bytes: f64,
    /// Seconds that a lone request spends in each part, in running order.
    pub parts_s: Vec<f64>,
}

/// Batches at which times are computed; between them they are on straight lines.
pub const BATCHES: [u32; 13] = [1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128, 256, 512];

/// Memory that libraries, captured graphs and workspaces take, in bytes.
const LIBRARIES_BYTES: f64 = 2.0 * outlay_units::GIB;

impl BatchTimes {
    /// Prices a service with weights in a format, over so many tensor-parallel ranks; `None` where the accelerator lacks the
    /// format.
    ///
    /// Engines compile such networks: kernels are replayed as a graph, so that no host time shows, and narrow products
    /// quantize in the kernel before. A batch norm after a convolution is folded into its weights, and what is pointwise
    /// after a convolution runs in its kernel.
    pub fn new(
        service: &Service,
        accelerator: &Accelerator,
        format: NumberFormat,
        ranks: u32,
        calibration: &Calibration,
    ) -> Option<Self> {
        let precision = Precision::usual(accelerator);
        let parts: Vec<PricedPart<'_>> = service
            .parts
            .iter()
            .map(|part| PricedPart {
                part,
                workload: workload_of(&part.model, part.positions, precision, accelerator),
            })
            .collect();
        let measured = WholeConstants::of(calibration, &accelerator.generation);
        let mut times = Self {
            seconds: vec![0.0; BATCHES.len()],
            weights_bytes: 0.0,
            request_bytes: 0.0,
            parts_s: Vec::new(),
        };
        for priced in &parts {
            let mut costing = Costing::new(&priced.workload, accelerator, calibration)?;
            costing.rates.kernel_s = measured.kernel_s;
            costing.rates.wide *= measured.product;
            costing.rates.attention *= measured.product;
            costing.rates.pointwise = costing.rates.bandwidth / measured.pointwise;
            let peaks = &accelerator.peak_tflops;
            let narrow = match format {
                NumberFormat::Bf16 => None,
                NumberFormat::Fp8 => Some(peaks.fp8?),
                NumberFormat::Int8 => Some(peaks.int8?),
                _ => return None,
            };
            if let Some(peak) = narrow {
                let narrow =
                    peak * 1e12 * costing.constants.get(Constant::Matmul8) * measured.product;
                costing.rates.wide = narrow.max(costing.rates.wide);
                costing.rates.storage = 1.0;
            }
            for (slot, &batch) in times.seconds.iter_mut().zip(&BATCHES) {
                *slot += priced.part.passes
                    * (measured.pass_s + pass_s(&costing, priced.part, batch, ranks));
            }
            times.parts_s.push(
                priced.part.passes * (measured.pass_s + pass_s(&costing, priced.part, 1, ranks)),
            );
            times.weights_bytes +=
                priced.part.model.parameters() as f64 * costing.rates.storage / f64::from(ranks);
            times.request_bytes = times
                .request_bytes
                .max(working_bytes(&costing, priced.part) / f64::from(ranks).sqrt());
        }
        Some(times)
    }

    /// Seconds that a batch of so many requests takes.
    pub fn seconds(&self, batch: f64) -> f64 {
        let batch = batch.clamp(1.0, f64::from(BATCHES[BATCHES.len() - 1]));
        let above = BATCHES
            .iter()
            .position(|&at| f64::from(at) >= batch)
            .unwrap_or(BATCHES.len() - 1)
            .max(1);
        let (low, high) = (f64::from(BATCHES[above - 1]), f64::from(BATCHES[above]));
        self.seconds[above - 1]
            + (self.seconds[above] - self.seconds[above - 1]) * (batch - low) / (high - low)
    }

    /// The largest batch that a memory of so many bytes holds; 0 where the weights do not fit.
    pub fn most_batch(&self, memory_bytes: f64) -> u32 {
        let room = 0.95 * memory_bytes - LIBRARIES_BYTES - self.weights_bytes;
        if room < self.request_bytes {
            return 0;
        }
        (room / self.request_bytes.max(1.0)).min(f64::from(BATCHES[BATCHES.len() - 1])) as u32
    }

    /// Memory of one accelerator at a batch, in bytes.
    pub fn memory_bytes(&self, batch: u32) -> f64 {
        self.weights_bytes + LIBRARIES_BYTES + f64::from(batch) * self.request_bytes
    }
}

/// A forward pass as a workload: newest software, one kernel for attention, images channels last.
fn workload_of(
    model: &Model,
    positions: u64,
    precision: Precision,
    accelerator: &Accelerator,
) -> Workload {
    Workload {
        model: model.clone(),
        sequence_tokens: positions,
        global_batch_sequences: 1,
        tokens_total: positions as f64,
        precision,
        optimizer: Optimizer::Sgd,
        method: Method::Full,
        adapters: Adapters::default(),
        framework: Framework::usual(&accelerator.generation, model),
        attention: AttentionKernel::Fused,
        channels_last: true,
        software_year: SOFTWARE_YEAR,
    }
}

/// Whether an operator runs in the kernel before it, or in that kernel's weights.
fn is_folded(model: &Model, block: &Block, index: usize) -> bool {
    let after_convolution = || {
        block.operators[..index]
            .iter()
            .rev()
            .find(|operator| {
                !matches!(
                    operator.kind,
                    Kind::Elementwise { .. } | Kind::GroupNorm { .. }
                )
            })
            .is_some_and(|operator| matches!(operator.kind, Kind::ImageConvolution { .. }))
    };
    match block.operators[index].kind {
        Kind::GroupNorm { .. } => model.family == Family::Vision && after_convolution(),
        Kind::Elementwise { .. } => after_convolution(),
        _ => false,
    }
}

/// Time of one pass of a part over so many requests, in seconds.
fn pass_s(costing: &Costing<'_>, part: &Part, batch: u32, ranks: u32) -> f64 {
    let layout = Layout {
        tensor: ranks,
        ..Layout::data_parallel(1, batch)
    };
    let group = costing.group(f64::from(ranks), 1.0);
    let rates = &costing.rates;
    let mut total = 0.0;
    for block in &part.model.blocks {
        let mut share = costing.share(&layout, block);
        share.tokens *= part.samples;
        if part.token_by_token {
            share.tokens = part.samples * f64::from(batch);
        }
        let mut device_s = 0.0;
        let mut reduced_bytes = 0.0;
        let mut reductions = 0.0;
        for (index, operator) in block.operators.iter().enumerate() {
            if is_folded(&part.model, block, index) {
                continue;
            }
            if part.token_by_token
                && let Some(bytes) = cache_read_bytes(&operator.kind, part.positions)
            {
                device_s += share.tokens * bytes / share.tensor / rates.bandwidth + rates.kernel_s;
                continue;
            }
            let cost = operator_cost(operator, &share, rates);
            let traffic_s = cost.forward_bytes / rates.bandwidth;
            device_s += cost.kernels * rates.kernel_s
                + match operator.kind {
                    // A small batch waits for the weights, a large one for the arithmetic.
                    Kind::MatMul { .. } | Kind::ImageConvolution { .. } => {
                        let arithmetic_s =
                            cost.forward_s - rates.traffic * cost.forward_bytes / rates.memory;
                        longer(arithmetic_s, traffic_s)
                    }
                    _ => cost.forward_s.max(traffic_s),
                };
            if cost.tensor_bytes > 0.0 {
                reduced_bytes += cost.tensor_bytes;
                reductions += 2.0;
            }
        }
        let mut block_s = costing.maturity() * device_s;
        if ranks > 1 {
            block_s += group.seconds(
                2.0 * reduced_bytes * (group.size - 1.0) / group.size,
                reductions,
            );
        }
        total += block.repeat as f64 * block_s;
    }
    total
}

/// Bytes of keys and values that one token reads: half of the positions before it on average, or all of another stream.
fn cache_read_bytes(kind: &Kind, positions: u64) -> Option<f64> {
    let Kind::Attention {
        key_value_heads,
        qk_width,
        v_width,
        pattern,
        ..
    } = *kind
    else {
        return None;
    };
    let keys = match pattern {
        Pattern::Memory(keys) => keys as f64,
        _ => 0.5 * positions as f64,
    };
    Some(2.0 * keys * (key_value_heads * (qk_width + v_width)) as f64)
}

/// Working memory of one request: the widest inputs and outputs of an operator, with a residual and a copy beside them.
fn working_bytes(costing: &Costing<'_>, part: &Part) -> f64 {
    let layout = Layout::data_parallel(1, 1);
    let mut widest = 0.0_f64;
    for block in &part.model.blocks {
        let mut share = costing.share(&layout, block);
        share.tokens *= part.samples;
        for operator in &block.operators {
            let elements = match operator.kind {
                Kind::MatMul {
                    inputs, outputs, ..
                } => (inputs + outputs) as f64,
                Kind::ImageConvolution {
                    inputs,
                    outputs,
                    stride_area,
                    ..
                } => (inputs * stride_area + outputs) as f64,
                Kind::Elementwise { reads, writes, .. } => (reads + writes) as f64,
                _ => 0.0,
            };
            widest = widest.max(share.tokens * elements * costing.rates.storage.max(2.0));
        }
    }
    2.0 * widest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(name: &str, accelerator: &str, request: &Request) -> BatchTimes {
        let model = outlay_model::find(name).unwrap().model().unwrap();
        let service = Service::new(&model, &[], request);
        BatchTimes::new(
            &service,
            outlay_catalog::find_accelerator(accelerator).unwrap(),
            NumberFormat::Bf16,
            1,
            &Calibration::built_in(),
        )
        .unwrap()
    }

    const REQUEST: Request = Request {
        input_tokens: 128.0,
        output_tokens: 100.0,
        steps: 20.0,
        passes_per_step: 2.0,
    };

    /// A batch never takes less than its part, nor more than its parts one after another.
    #[test]
    fn batches_share_weights_and_never_work() {
        for name in [
            "resnet-50",
            "bert-base",
            "vit-base-patch16-224",
            "whisper-small",
        ] {
            let times = times(name, "L4", &REQUEST);
            for pair in BATCHES.windows(2) {
                let (a, b) = (f64::from(pair[0]), f64::from(pair[1]));
                let (small, large) = (times.seconds(a), times.seconds(b));
                assert!(large > small, "{name} {a} {b}");
                assert!(
                    large / b <= small / a * 1.0001,
                    "{name} {a} {b}: {small} {large}"
                );
            }
        }
    }

    #[test]
    fn steps_and_guidance_multiply_passes() {
        let one = times("stable-diffusion-1.5", "A100-80GB-SXM", &REQUEST).seconds(1.0);
        let half = Request {
            steps: 10.0,
            ..REQUEST
        };
        let half = times("stable-diffusion-1.5", "A100-80GB-SXM", &half).seconds(1.0);
        assert!((one / half - 2.0).abs() < 1e-9);
        let alone = Request {
            passes_per_step: 1.0,
            ..REQUEST
        };
        let alone = times("stable-diffusion-1.5", "A100-80GB-SXM", &alone).seconds(1.0);
        assert!(one / alone > 1.3 && one / alone < 2.0, "{}", one / alone);
    }
}
