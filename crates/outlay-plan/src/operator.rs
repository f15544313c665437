//! Time, FLOPs and kept memory of one operator on one rank, for one micro-batch.
//!
//! Matrix products follow `flops / (peak * efficiency) + traffic * bytes / bandwidth`: the second term is
//! the share of memory traffic that the kernel cannot hide, and it alone makes small and thin products slow
//! (for `[m,k] x [k,n]` it equals a fixed intensity times `1/m + 1/n + 1/k`).

use outlay_catalog::Accelerator;
use outlay_model::{Kind, Operator, Pattern, ScanRule, Split};

use crate::constants::{Constant, Resolved};
use crate::eager::Eager;
use crate::workload::{AttentionKernel, Framework, Method, Precision, Workload};

/// What one rank does with one micro-batch.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Tokens of the micro-batch that this rank holds in attention and matrix products.
    pub tokens: f64,
    /// Sequence length, in tokens.
    pub sequence: f64,
    /// Tensor-parallel ranks.
    pub tensor: f64,
    /// Context-parallel ranks.
    pub context: f64,
    /// Expert-parallel ranks.
    pub expert: f64,
    /// Whether norms and residuals are split over the tensor-parallel ranks.
    pub sequence_parallel: bool,
    /// Width of the residual stream.
    pub hidden: u64,
    /// Elements of the queries and keys of one token in this rank.
    pub query_and_key: f64,
    /// Whether the block may use narrow formats (layers, not embeddings or heads).
    pub narrow_allowed: bool,
    /// Whether every pass over memory is an operator of its own, as in blocks that convolve; elsewhere biases, casts,
    /// masks and dropouts pass over memory too, and `Rates::pointwise` counts them.
    pub passes_counted: bool,
}

/// Rates of one accelerator with its calibrated efficiencies.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// 16-bit (or fp32, tf32) products, FLOP/s reached.
    pub wide: f64,
    /// Narrow products, FLOP/s reached; equals `wide` where none are used.
    pub narrow: f64,
    /// Rate of convolutions, relative to `wide`.
    pub convolution: f64,
    /// Products inside attention kernels, FLOP/s reached.
    pub attention: f64,
    /// Exponentials inside attention kernels, per second.
    pub exponential: f64,
    /// Keys computed beyond those that count, for each query.
    pub attention_edge: f64,
    /// Time for one kernel to fill and drain the accelerator, in seconds.
    pub kernel_s: f64,
    /// Chunked scans, FLOP/s reached.
    pub scan: f64,
    /// Memory of one logit with its copies and gradient, in bytes.
    pub logit_bytes: f64,
    /// fp32 vector units, FLOP/s.
    pub vector: f64,
    /// Memory bandwidth, bytes/s.
    pub memory: f64,
    /// Memory bandwidth that pointwise kernels reach, bytes/s.
    pub pointwise: f64,
    /// Traffic of one unfused attention score forward, in bytes.
    pub score_bytes: f64,
    /// Rate of products with misaligned sides, relative to aligned ones.
    pub misaligned: f64,
    /// Memory bandwidth reached by streaming kernels, bytes/s.
    pub bandwidth: f64,
    /// Efficiency of expert products relative to dense ones.
    pub expert: f64,
    /// Unhidden share of matrix products' traffic.
    pub traffic: f64,
    /// Passes of a quantizing cast.
    pub cast: f64,
    /// Seconds of host time for each kernel.
    pub launch_s: f64,
    /// Bytes of a stored activation element.
    pub storage: f64,
    /// Bytes of a kept matrix-product input.
    pub kept: f64,
    /// Whether selective recomputation spares norms and activations and repeats attention's scores alone
    /// (Megatron, arXiv:2205.05198, equation 6); others repeat all that is cheap.
    pub selective_keeps_pointwise: bool,
    /// Whether products are cast to a narrow format.
    pub casts: bool,
    /// Whether convolutions convert their tensors to the layout of tensor cores and back.
    pub converts: bool,
    /// Whether attention is one fused kernel; otherwise scores go through memory.
    pub fused_attention: bool,
    /// Whether pointwise work runs eagerly, operation by operation, as plain PyTorch does: norms keep their input
    /// and result in fp32, and every product of two tensors keeps both.
    pub eager: bool,
    /// Passes over memory, where each tensor operation is counted one by one.
    pub passes: Option<Eager>,
    /// Which parameters are trained.
    pub method: Method,
}

impl Rates {
    /// Rates of an accelerator at a precision; `None` where its matrix units lack the format.
    ///
    /// `keeps_narrow` says whether inputs of narrow products are kept in their narrow form (Transformer Engine)
    /// or in 16 bits (casts on the fly, as torchao and llm-foundry do).
    pub fn new(
        accelerator: &Accelerator,
        workload: &Workload,
        keeps_narrow: bool,
        selective_keeps_pointwise: bool,
        constants: &Resolved,
    ) -> Option<Self> {
        let precision = workload.precision;
        let eager = workload.framework == Framework::Pytorch;
        let asynchronous =
            ["hopper", "blackwell", "blackwell-ultra"].contains(&accelerator.generation.as_str());
        let kernel = match workload.attention {
            AttentionKernel::Early => 0.5,
            AttentionKernel::Synchronous if asynchronous => {
                constants.get(Constant::SynchronousAttention)
            }
            _ => 1.0,
        };
        let peaks = &accelerator.peak_tflops;
        let sixteen = peaks.bf16.or(peaks.fp16);
        let (wide_peak, narrow_peak, narrow_constant) = match precision {
            Precision::Fp32 => (peaks.fp32, peaks.fp32, Constant::Matmul32),
            Precision::Tf32 => (peaks.tf32?, peaks.tf32?, Constant::Matmul16),
            Precision::Bf16 => (peaks.bf16?, peaks.bf16?, Constant::Matmul16),
            Precision::Fp16 => (peaks.fp16?, peaks.fp16?, Constant::Matmul16),
            Precision::Fp8 => (sixteen?, peaks.fp8?, Constant::Matmul8),
            Precision::Mxfp8 => (sixteen?, peaks.fp8?, Constant::MatmulMx8),
            Precision::Mxfp4 | Precision::Nvfp4 => (sixteen?, peaks.fp4?, Constant::Matmul4),
        };
        let memory = accelerator.memory_gb_per_s * 1e9;
        Some(Self {
            wide: wide_peak
                * 1e12
                * constants.get(match precision {
                    Precision::Fp32 => Constant::Matmul32,
                    _ => Constant::Matmul16,
                }),
            narrow: narrow_peak * 1e12 * constants.get(narrow_constant),
            // Vector units take gathered inputs as well as packed ones.
            convolution: match precision {
                Precision::Fp32 => 1.0,
                _ => constants.get(Constant::Convolution),
            },
            attention: wide_peak * 1e12 * constants.get(Constant::Attention) * kernel,
            exponential: accelerator.exponentials_per_s() * constants.get(Constant::Exponential),
            attention_edge: constants.get(Constant::AttentionEdge),
            kernel_s: constants.get(Constant::KernelUs) * 1e-6,
            scan: wide_peak * 1e12 * constants.get(Constant::Scan),
            // Eager losses keep 16-bit logits, an fp32 copy, the log-softmax and the gradient at once: 14 bytes against
            // the 10 of a compiled loss.
            logit_bytes: constants.get(Constant::LogitBytes) * if eager { 1.4 } else { 1.0 },
            vector: peaks.fp32 * 1e12,
            memory,
            pointwise: memory * constants.get(Constant::Memory)
                / constants.get(Constant::Pointwise),
            bandwidth: memory * constants.get(Constant::Memory),
            score_bytes: constants.get(Constant::ScoreBytes),
            misaligned: constants.get(Constant::Misaligned),
            expert: constants.get(Constant::Expert),
            traffic: constants.get(Constant::Traffic),
            cast: constants.get(Constant::Cast),
            launch_s: constants.get(Constant::LaunchUs) * 1e-6,
            storage: precision.storage_bytes(),
            kept: if precision.is_narrow() && keeps_narrow {
                1.0
            } else {
                precision.storage_bytes()
            },
            selective_keeps_pointwise,
            casts: precision.is_narrow(),
            converts: !workload.channels_last && precision != Precision::Fp32,
            fused_attention: workload.attention != AttentionKernel::Unfused,
            eager,
            passes: match (workload.framework, workload.method, precision) {
                (Framework::Transformers, _, Precision::Fp32 | Precision::Tf32) => {
                    Some(Eager::Single)
                }
                (Framework::Transformers, Method::Full, _) => Some(Eager::Autocast),
                (Framework::Transformers, Method::Lora | Method::Qlora | Method::Forward, _) => {
                    Some(Eager::Frozen)
                }
                _ => None,
            },
            method: workload.method,
        })
    }

    /// Time to unpack 4-bit weights for one product: half a byte read and two written for each (QLoRA, forward and again
    /// backward).
    fn unpack_s(&self, weights: f64) -> f64 {
        if self.method == Method::Qlora {
            2.56 * weights / self.bandwidth
        } else {
            0.0
        }
    }

    /// Bytes kept for each element of a product's input until its weights' gradient is computed.
    ///
    /// Frozen products need none: with adapters on the queries and values alone (the usual choice), one input of a
    /// layer is kept for the adapters, and counted among the products that keep theirs. bitsandbytes' 4-bit products
    /// keep each input in fp32; recompiled ones do not.
    fn kept_input(&self, narrow: bool) -> f64 {
        match self.method {
            Method::Full if narrow => self.kept,
            Method::Full => self.storage,
            Method::Lora | Method::Forward => 0.0,
            Method::Qlora if self.passes.is_some() => self.storage,
            Method::Qlora if self.eager => 4.0,
            Method::Qlora => 0.0,
        }
    }
}

/// Cost of one operator for one micro-batch on one rank. Times in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OperatorCost {
    /// Forward time.
    pub forward_s: f64,
    /// Backward time.
    pub backward_s: f64,
    /// Part of the forward that selective recomputation repeats.
    pub selective_s: f64,
    /// Forward FLOPs.
    pub forward_flops: f64,
    /// Forward memory traffic, in bytes.
    pub forward_bytes: f64,
    /// Kernels launched forward.
    pub kernels: f64,
    /// Bytes kept for backward without recomputation.
    pub kept_bytes: f64,
    /// Bytes kept with selective recomputation.
    pub kept_selective_bytes: f64,
    /// Bytes that each tensor-parallel rank contributes to an all-reduce (forward; the same backward).
    pub tensor_bytes: f64,
    /// Bytes sent to other ranks in context-parallel exchange (forward).
    pub context_bytes: f64,
    /// Bytes leaving this rank in expert dispatch plus combine (forward; the same backward), before locality.
    pub expert_bytes: f64,
    /// Experts that each token visits, where routed.
    pub selected: f64,
}

/// Keys seen by an average query.
fn keys_per_query(pattern: Pattern, causal: bool, sequence: f64) -> f64 {
    let all = if causal { sequence / 2.0 } else { sequence };
    match pattern {
        Pattern::Full => all,
        Pattern::Window(width) => {
            let width = (width as f64).min(sequence);
            if causal {
                width - width * width / (2.0 * sequence)
            } else {
                width
            }
        }
        Pattern::Chunk(width) => {
            let width = (width as f64).min(sequence);
            if causal { width / 2.0 } else { width }
        }
        Pattern::Selected(keys) => all.min(keys as f64),
        Pattern::Memory(keys) => keys as f64,
        Pattern::Compressed { window, ratio } => {
            let near = keys_per_query(Pattern::Window(window), causal, sequence);
            near + (all - near).max(0.0) / ratio.max(1) as f64
        }
    }
}

/// FLOPs of one operator for one token, forward, as model FLOPs are counted.
///
/// `causal_halved` says whether masked pairs are left out of the count, as some sources do.
pub fn forward_flops_per_token(kind: &Kind, sequence: f64, causal_halved: bool) -> f64 {
    match *kind {
        Kind::MatMul {
            inputs, outputs, ..
        } => 2.0 * inputs as f64 * outputs as f64,
        Kind::ExpertMatMul {
            selected,
            inputs,
            outputs,
            ..
        } => 2.0 * selected as f64 * inputs as f64 * outputs as f64,
        Kind::Attention {
            query_heads,
            qk_width,
            v_width,
            pattern,
            causal,
            ..
        } => {
            let keys = keys_per_query(pattern, causal && causal_halved, sequence);
            2.0 * query_heads as f64 * (qk_width + v_width) as f64 * keys
        }
        Kind::Scan {
            rule,
            heads,
            head_width,
            state_width,
        } => scan_flops(rule, heads, head_width, state_width),
        Kind::Convolution { channels, kernel } => 2.0 * (channels * kernel) as f64,
        Kind::ImageConvolution {
            inputs,
            outputs,
            taps,
            groups,
            ..
        } => 2.0 * taps as f64 * (inputs as f64 / groups as f64) * outputs as f64,
        _ => 0.0,
    }
}

/// Chunked scans: products inside a chunk, and with the carried state.
fn scan_flops(rule: ScanRule, heads: u64, head_width: u64, state_width: u64) -> f64 {
    let (heads, width, state) = (heads as f64, head_width as f64, state_width as f64);
    let chunked = |chunk: f64| heads * (chunk * state + chunk * width + 4.0 * width * state);
    match rule {
        ScanRule::Mamba1 => 9.0 * heads * width * state,
        ScanRule::Mamba2 => chunked(128.0),
        ScanRule::GatedDelta => chunked(64.0) * 2.0,
        ScanRule::Lightning => chunked(256.0),
    }
}

/// Prices one operator.
pub fn operator_cost(operator: &Operator, share: &Share, rates: &Rates) -> OperatorCost {
    let fused = fused_cost(operator, share, rates);
    match rates.passes {
        Some(eager) if !share.passes_counted => eager.cost(operator, share, rates.bandwidth, fused),
        _ => fused,
    }
}

/// Prices one operator where its passes over memory are few.
fn fused_cost(operator: &Operator, share: &Share, rates: &Rates) -> OperatorCost {
    let sharded = share.tokens / share.tensor;
    let quiet = if share.sequence_parallel {
        sharded
    } else {
        share.tokens
    };
    let trained = if rates.method == Method::Full {
        2.0
    } else {
        1.0
    };
    let storage = rates.storage;
    let counted;
    let rates = if share.passes_counted {
        counted = Rates {
            pointwise: rates.bandwidth,
            ..*rates
        };
        &counted
    } else {
        rates
    };
    match operator.kind {
        Kind::MatMul {
            inputs,
            outputs,
            split,
        } => {
            let (tokens, inputs, outputs) = match split {
                Split::Columns => (share.tokens, inputs as f64, outputs as f64 / share.tensor),
                Split::Rows => (share.tokens, inputs as f64 / share.tensor, outputs as f64),
                Split::Replicated => (quiet, inputs as f64, outputs as f64),
            };
            let narrow = rates.casts && share.narrow_allowed && split != Split::Replicated;
            let flops = 2.0 * tokens * inputs * outputs;
            let bytes = storage * (tokens * inputs + inputs * outputs + tokens * outputs);
            let cast = if narrow {
                rates.cast * 3.0 * tokens * inputs / rates.pointwise
            } else {
                0.0
            };
            let aligned = inputs % 64.0 == 0.0 && outputs % 64.0 == 0.0;
            let rate = if narrow { rates.narrow } else { rates.wide }
                * if aligned { 1.0 } else { rates.misaligned };
            let product = flops / rate
                + rates.traffic * bytes / rates.memory
                + rates.unpack_s(inputs * outputs);
            let cast_back = if narrow {
                rates.cast * 4.0 * tokens * outputs / rates.pointwise
            } else {
                0.0
            };
            let kept_tokens = if split == Split::Columns {
                quiet
            } else {
                tokens
            };
            let kept = kept_tokens * inputs * rates.kept_input(narrow);
            OperatorCost {
                forward_s: product + cast,
                backward_s: product * trained + cast_back,
                forward_flops: flops,
                forward_bytes: bytes,
                kernels: if narrow { 3.0 } else { 1.0 },
                kept_bytes: kept,
                kept_selective_bytes: kept,
                tensor_bytes: if split == Split::Rows {
                    share.tokens * outputs * storage
                } else {
                    0.0
                },
                ..OperatorCost::default()
            }
        }
        Kind::ExpertMatMul {
            experts,
            selected,
            inputs,
            outputs,
            ..
        } => {
            let visits = sharded * selected as f64;
            let local = (experts as f64 / share.expert).max(1.0);
            let (inputs, outputs) = (inputs as f64, outputs as f64);
            let weights = local * inputs * outputs
                / if share.expert > 1.0 {
                    1.0
                } else {
                    share.tensor
                };
            let narrow = rates.casts && share.narrow_allowed;
            let flops = 2.0 * visits * inputs * outputs;
            let bytes = storage * (visits * inputs + weights + visits * outputs);
            let cast = if narrow {
                rates.cast * 3.0 * visits * inputs / rates.pointwise
            } else {
                0.0
            };
            let cast_back = if narrow {
                rates.cast * 4.0 * visits * outputs / rates.pointwise
            } else {
                0.0
            };
            let rate = if narrow { rates.narrow } else { rates.wide } * rates.expert;
            let product = flops / rate + rates.traffic * bytes / rates.memory;
            let kept = visits * inputs * rates.kept_input(narrow);
            OperatorCost {
                forward_s: product + cast,
                backward_s: product * trained + cast_back,
                forward_flops: flops,
                forward_bytes: bytes,
                // Experts run one after another on side streams, each with its own casts.
                kernels: if narrow { 3.0 * local } else { local },
                kept_bytes: kept,
                kept_selective_bytes: kept,
                ..OperatorCost::default()
            }
        }
        Kind::Attention {
            query_heads,
            key_value_heads,
            qk_width,
            v_width,
            pattern,
            causal,
            cache_elements_per_token,
        } => {
            let latent = cache_elements_per_token < key_value_heads * (qk_width + v_width) / 4;
            let heads = query_heads as f64 / share.tensor;
            let cached = (key_value_heads * (qk_width + v_width)) as f64 / share.tensor;
            // Keys of another stream are as many as it has positions, however many the queries are.
            let remembered = match pattern {
                Pattern::Memory(keys) => keys as f64 / share.sequence,
                _ => 1.0,
            };
            let tensors = share.tokens * (heads * qk_width as f64 + cached * remembered) * storage;
            let output = share.tokens * heads * v_width as f64 * storage;
            let keys = keys_per_query(pattern, causal && rates.fused_attention, share.sequence);
            let flops = 2.0 * share.tokens * heads * (qk_width + v_width) as f64 * keys;
            let exchange = cached * share.tokens * storage * (share.context - 1.0);
            if rates.fused_attention {
                let bytes = tensors + output;
                // Products and exponentials run beside each other on different units, and get in each other's way:
                // on kernels measured with heads of 64 and of 128, the root of the sum of squares holds.
                let computed = (keys + rates.attention_edge) / keys;
                let products = flops * computed / rates.attention;
                let exponentials = share.tokens * heads * keys * computed / rates.exponential;
                let forward = products.hypot(exponentials) + bytes / rates.memory;
                let backward = (3.0 * products).hypot(exponentials) + 2.0 * bytes / rates.memory;
                OperatorCost {
                    forward_s: forward,
                    backward_s: backward,
                    forward_flops: flops,
                    forward_bytes: bytes,
                    kernels: 1.0,
                    kept_bytes: tensors + 4.0 * share.tokens * heads,
                    // Latent attention keeps the latents and expands them again.
                    kept_selective_bytes: if latent {
                        4.0 * share.tokens * cache_elements_per_token as f64 * storage
                    } else {
                        tensors + 4.0 * share.tokens * heads
                    },
                    context_bytes: exchange,
                    ..OperatorCost::default()
                }
            } else {
                // Scores are written and read by the product, the masked softmax and the dropout.
                let scores = share.tokens * heads * share.sequence;
                let bytes = tensors + output + rates.score_bytes * scores;
                let forward = flops / rates.wide + bytes / rates.bandwidth;
                OperatorCost {
                    forward_s: forward,
                    backward_s: 2.0 * flops / rates.wide
                        + 1.4 * rates.score_bytes * scores / rates.bandwidth,
                    selective_s: forward,
                    forward_flops: flops,
                    forward_bytes: bytes,
                    kernels: 5.0,
                    kept_bytes: tensors + 5.0 * scores,
                    kept_selective_bytes: tensors,
                    context_bytes: exchange,
                    ..OperatorCost::default()
                }
            }
        }
        Kind::Scan {
            rule,
            heads,
            head_width,
            state_width,
        } => {
            let flops =
                share.tokens * scan_flops(rule, heads, head_width, state_width) / share.tensor;
            let width = (heads * head_width) as f64;
            let bytes = share.tokens * 8.0 * width / share.tensor * storage;
            let rate = if rule == ScanRule::Mamba1 {
                rates.vector * 0.25
            } else {
                rates.scan
            };
            let kept = share.tokens * 4.0 * width / share.tensor * storage;
            OperatorCost {
                forward_s: flops / rate + bytes / rates.pointwise,
                backward_s: 2.5 * flops / rate + 2.0 * bytes / rates.pointwise,
                selective_s: flops / rate + bytes / rates.pointwise,
                forward_flops: flops,
                forward_bytes: bytes,
                kernels: 5.0,
                kept_bytes: kept,
                kept_selective_bytes: kept / 2.0,
                ..OperatorCost::default()
            }
        }
        Kind::Convolution { channels, .. } => pointwise(
            share.tokens / share.tensor,
            2.0 * channels as f64,
            channels as f64,
            1.0,
            rates,
        ),
        Kind::ImageConvolution {
            inputs,
            outputs,
            taps,
            groups,
            stride_area,
        } => {
            let per_group = inputs as f64 / groups as f64;
            let (read, outputs) = ((inputs * stride_area) as f64, outputs as f64);
            let flops = 2.0 * share.tokens * taps as f64 * per_group * outputs;
            let bytes =
                storage * (share.tokens * (read + outputs) + taps as f64 * per_group * outputs);
            // Depthwise kernels multiply on the vector units: there is nothing to share in a matrix unit.
            let seconds = if per_group <= 1.0 {
                flops / rates.vector + bytes / rates.pointwise
            } else {
                flops / (rates.wide * rates.convolution) + rates.traffic * bytes / rates.memory
            };
            // Each tensor is read in one layout and written in the other.
            let seconds = seconds
                + if rates.converts && per_group > 1.0 {
                    2.0 * storage * share.tokens * (read + outputs) / rates.bandwidth
                } else {
                    0.0
                };
            // Biases are added in a pass of their own, and their gradient reads that of the output.
            let bias = operator.parameters as f64 > taps as f64 * per_group * outputs;
            let add = if bias {
                2.0 * storage * share.tokens * outputs / rates.bandwidth
            } else {
                0.0
            };
            // The first convolution of a picture needs no gradient of the picture.
            let trained = if inputs <= 4 { trained - 1.0 } else { trained };
            let kept = share.tokens * read * storage;
            OperatorCost {
                forward_s: seconds + add,
                backward_s: seconds * trained + 0.5 * add,
                forward_flops: flops,
                forward_bytes: bytes,
                kernels: if bias { 2.0 } else { 1.0 },
                kept_bytes: kept,
                kept_selective_bytes: kept,
                ..OperatorCost::default()
            }
        }
        // Forward reads for the statistics, then reads and writes; backward reads input and gradient for the sums, then
        // again, and writes: 5 passes for 3.
        Kind::GroupNorm { width } => {
            let width = width as f64;
            pointwise(share.tokens, 3.0 * width, width, 1.0, rates)
        }
        Kind::Norm { width } => {
            // Query and key norms run after the split over heads; norms of the stream only with sequence parallelism.
            let tokens = if width < share.hidden { sharded } else { quiet };
            let kept = if rates.eager {
                2.0 * 4.0 / storage
            } else {
                1.0
            };
            let width = width as f64;
            pointwise(tokens, 2.0 * width, kept * width, 1.0, rates)
        }
        Kind::Elementwise {
            reads,
            writes,
            saves,
        } => {
            let stream = reads == 2 * share.hidden && writes == share.hidden;
            let tokens = if stream { quiet } else { sharded };
            let saves = if rates.eager && !stream {
                reads + writes
            } else {
                saves
            };
            let mut cost = pointwise(tokens, (reads + writes) as f64, saves as f64, 1.0, rates);
            if stream {
                // The sum hands its gradient on to both sides as it is; the branch's is read, masked and written: 2 passes
                // for the 3 forward.
                cost.backward_s = cost.forward_s * 2.0 / 3.0;
            }
            if !rates.fused_attention && stream {
                cost.kept_bytes += tokens * writes as f64;
                cost.kept_selective_bytes += tokens * writes as f64;
            }
            cost
        }
        Kind::Embedding { width, .. } => pointwise(quiet, 3.0 * width as f64, 0.0, 1.0, rates),
        Kind::Route {
            selected, width, ..
        } => {
            let moved = (selected * width) as f64;
            let mut cost = pointwise(sharded, 4.0 * moved, 0.0, 8.0, rates);
            cost.expert_bytes = sharded * (width as f64) * storage;
            cost.selected = selected as f64;
            cost
        }
        Kind::Loss { vocabulary } => {
            let logits = share.tokens * vocabulary as f64 / share.tensor;
            OperatorCost {
                forward_s: 10.0 * logits / rates.pointwise,
                backward_s: 6.0 * logits / rates.pointwise,
                forward_bytes: 10.0 * logits,
                kernels: 5.0,
                kept_bytes: rates.logit_bytes * logits,
                kept_selective_bytes: rates.logit_bytes * logits,
                ..OperatorCost::default()
            }
        }
    }
}

/// Work that is bound by memory: `moved` elements and `kept` elements for each token.
fn pointwise(tokens: f64, moved: f64, kept: f64, kernels: f64, rates: &Rates) -> OperatorCost {
    let bytes = tokens * moved * rates.storage;
    let kept = tokens * kept * rates.storage;
    OperatorCost {
        forward_s: bytes / rates.pointwise,
        backward_s: 1.6 * bytes / rates.pointwise,
        selective_s: if rates.selective_keeps_pointwise {
            0.0
        } else {
            bytes / rates.pointwise
        },
        forward_bytes: bytes,
        kernels,
        kept_bytes: kept,
        kept_selective_bytes: if rates.selective_keeps_pointwise {
            kept
        } else {
            0.0
        },
        ..OperatorCost::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causal_windows_count_the_pairs_that_are_left() {
        assert_eq!(keys_per_query(Pattern::Full, true, 8192.0), 4096.0);
        assert_eq!(keys_per_query(Pattern::Full, false, 8192.0), 8192.0);
        assert_eq!(keys_per_query(Pattern::Window(8192), true, 8192.0), 4096.0);
        assert_eq!(
            keys_per_query(Pattern::Window(1024), true, 8192.0),
            1024.0 - 64.0
        );
        assert_eq!(
            keys_per_query(
                Pattern::Compressed {
                    window: 0,
                    ratio: 128
                },
                true,
                8192.0
            ),
            32.0
        );
        assert_eq!(
            keys_per_query(Pattern::Selected(2048), true, 2048.0),
            1024.0
        );
    }

    /// Rates of an accelerator in 16 bits, with constants of kernels measured one by one.
    fn kernel_rates(accelerator: &str, constants: &str) -> Rates {
        let workload = Workload {
            model: outlay_model::find("llama-3.1-8b").unwrap().model().unwrap(),
            sequence_tokens: 4096,
            global_batch_sequences: 1,
            tokens_total: 1.0,
            precision: Precision::Bf16,
            optimizer: crate::workload::Optimizer::Adamw,
            method: Method::Full,
            adapters: crate::Adapters::default(),
            framework: Framework::Megatron,
            attention: AttentionKernel::Fused,
            channels_last: false,
            software_year: 2026.0,
        };
        let calibration =
            crate::Calibration::from_toml(&format!("[constants]\n{constants}")).unwrap();
        let resolved = calibration.resolve("no generation", Framework::Megatron);
        let accelerator = outlay_catalog::find_accelerator(accelerator).unwrap();
        Rates::new(accelerator, &workload, false, false, &resolved).unwrap()
    }

    fn share(tokens: f64, sequence: f64) -> Share {
        Share {
            tokens,
            sequence,
            tensor: 1.0,
            context: 1.0,
            expert: 1.0,
            sequence_parallel: false,
            hidden: 4096,
            query_and_key: 0.0,
            narrow_allowed: false,
            passes_counted: false,
        }
    }

    fn operator(kind: Kind) -> Operator {
        Operator {
            name: "x".to_owned(),
            kind,
            parameters: 0,
        }
    }

    /// bf16 products of m x k by k x n, in milliseconds: aiconfigurator-core 0.12.0 (Apache-2.0), `gemm_perf` of SGLang
    /// 0.5.10 on A100 and of vLLM 0.24.0 on H100 and B200.
    #[test]
    fn measured_products_are_met() {
        let a100 = "matmul_16bit = 0.82\ntraffic = 0.75\nkernel_us = 6.8";
        let h100 = "matmul_16bit = 0.89\ntraffic = 0.51\nkernel_us = 3.0";
        let b200 = "matmul_16bit = 0.77\ntraffic = 0.58\nkernel_us = 2.5";
        for (accelerator, constants, side, measured_ms) in [
            ("A100-80GB-SXM", a100, (8192, 8192, 8192), 4.280),
            ("A100-80GB-SXM", a100, (4096, 4096, 4096), 0.549),
            ("A100-80GB-SXM", a100, (2048, 2048, 4096), 0.207),
            ("H100-SXM", h100, (8192, 8192, 8192), 1.542),
            ("H100-SXM", h100, (4096, 4096, 4096), 0.166),
            ("H100-SXM", h100, (2048, 2048, 4096), 0.0435),
            ("B200", b200, (8192, 8192, 8192), 0.652),
            ("B200", b200, (4096, 4096, 4096), 0.0902),
            ("B200", b200, (2048, 2048, 4096), 0.0240),
        ] {
            let rates = kernel_rates(accelerator, constants);
            let (m, n, k) = side;
            let kind = Kind::MatMul {
                inputs: k,
                outputs: n,
                split: Split::Columns,
            };
            let cost = operator_cost(&operator(kind), &share(f64::from(m), 1.0), &rates);
            let ms = (cost.forward_s + rates.kernel_s) * 1e3;
            let error = ms / measured_ms - 1.0;
            // One shape of nine is off by more: 2048 x 2048 x 4096 fills A100's processors unevenly.
            let allowed = if measured_ms == 0.207 { 0.25 } else { 0.16 };
            assert!(
                error.abs() < allowed,
                "{accelerator} {side:?}: {ms:.4} ms, measured {measured_ms}"
            );
        }
    }

    /// Causal attention of 32 query and 8 key-value heads, in milliseconds: same package, `context_attention_perf` of
    /// SGLang 0.5.14. On B200 halving the heads' width hardly helps, as the exponentials bound it.
    #[test]
    fn measured_attention_is_met() {
        let h100 = "attention = 0.66\nexponential = 0.75\nattention_edge = 300.0";
        let b200 = "attention = 0.75\nexponential = 0.75\nattention_edge = 400.0";
        for (accelerator, constants, width, batch, length, measured_ms) in [
            ("H100-SXM", h100, 128, 4.0, 8192.0, 3.924),
            ("H100-SXM", h100, 128, 4.0, 4096.0, 1.090),
            ("B200", b200, 128, 4.0, 8192.0, 1.771),
            ("B200", b200, 64, 4.0, 8192.0, 1.482),
            ("B200", b200, 128, 4.0, 4096.0, 0.499),
            ("B200", b200, 64, 4.0, 4096.0, 0.429),
        ] {
            let rates = kernel_rates(accelerator, constants);
            let kind = Kind::Attention {
                query_heads: 32,
                key_value_heads: 8,
                qk_width: width,
                v_width: width,
                pattern: Pattern::Full,
                causal: true,
                cache_elements_per_token: 16 * width,
            };
            let cost = operator_cost(&operator(kind), &share(batch * length, length), &rates);
            let ms = cost.forward_s * 1e3;
            let error = ms / measured_ms - 1.0;
            assert!(
                error.abs() < 0.16,
                "{accelerator} {width} {length}: {ms:.3} ms, measured {measured_ms}"
            );
        }
    }
}
