//! What is deployed: a model in number formats, on accelerators, by an engine, laid out over ranks.

use outlay_catalog::Accelerator;
use outlay_model::{BlockKind, Kind, Model, Operator};
use outlay_units::GIB;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Serving engines.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// vLLM.
    Vllm,
    /// SGLang.
    Sglang,
    /// NVIDIA TensorRT-LLM.
    TensorrtLlm,
}

impl Engine {
    /// Every engine, in the order of help texts.
    pub const ALL: [Self; 3] = [Self::Vllm, Self::Sglang, Self::TensorrtLlm];

    /// The name that people type, also the key of constants.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vllm => "vllm",
            Self::Sglang => "sglang",
            Self::TensorrtLlm => "tensorrt-llm",
        }
    }

    /// Reads a name; `None` where it is not one of [`Self::ALL`] or `trtllm`.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase().replace('_', "-");
        match name.as_str() {
            "trtllm" | "trt-llm" | "tensorrtllm" => Some(Self::TensorrtLlm),
            _ => Self::ALL.into_iter().find(|engine| engine.name() == name),
        }
    }

    /// Whether prompts and output tokens share a pass; otherwise prompts go first and decoding waits.
    pub fn mixes(self) -> bool {
        self != Self::Sglang
    }

    /// Whether the host waits in every layer for how many prompt tokens each rank of experts gets: SGLang's DeepEP in its
    /// normal mode.
    pub fn counts_exchanged_tokens(self) -> bool {
        self == Self::Sglang
    }

    /// Whether pieces of an answer that a client has not taken yet are sent as one.
    pub fn merges_pieces(self) -> bool {
        self != Self::TensorrtLlm
    }

    /// Whether a prompt may be cut over several passes.
    pub fn chunks(self) -> bool {
        self != Self::TensorrtLlm
    }
}

/// Settings of an engine that decide how requests wait.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// Tokens of one pass, for each attention group: vLLM's `max_num_batched_tokens`, SGLang's `chunked_prefill_size`,
    /// TensorRT-LLM's `max_num_tokens`.
    pub pass_tokens: f64,
    /// Passes between two looks for new requests while decoding: SGLang's `scheduler_recv_interval`.
    pub poll_passes: u32,
    /// Passes for which prompts wait until every attention group has one: TensorRT-LLM's `timeout_iters` of
    /// `attention_dp_config`.
    pub balance_passes: u32,
    /// Most passes for which prompts wait for more of them while answers are under way: TensorRT-LLM's
    /// `batch_wait_timeout_iters`.
    #[serde(default)]
    pub wait_passes: u32,
    /// Share of a pass at which they wait no longer: TensorRT-LLM's `batch_wait_max_tokens_ratio`.
    #[serde(default)]
    pub wait_share: f64,
    /// Most tokens of a pass with prompts that runs as a graph: vLLM's `max_cudagraph_capture_size`.
    #[serde(default)]
    pub graph_tokens: f64,
    /// Share of an accelerator's memory that weights, activations and cache take together.
    pub memory_share: f64,
    /// Most sequences at once on one attention group.
    pub max_sequences: u32,
    /// Tokens that are sent to the client together: `stream_interval`.
    pub chunk_tokens: f64,
}

impl Settings {
    /// What an engine does when nothing is set, on an accelerator of so much memory.
    ///
    /// vLLM: 8,192 tokens a pass for its server (2,048 below 70 GiB), 90% of memory; SGLang: 8,192 tokens, 16,384 above
    /// 160 GiB and 2,048 below 35 GiB (`server_args.py`), 88% of memory; TensorRT-LLM: 8,192 tokens, 90% of what is free
    /// for the cache.
    pub fn usual(engine: Engine, accelerator: &Accelerator) -> Self {
        let memory_gib = accelerator.memory_gib;
        Self {
            pass_tokens: match engine {
                Engine::Vllm if memory_gib < 70.0 => 2048.0,
                Engine::Sglang if memory_gib > 160.0 => 16384.0,
                Engine::Sglang if memory_gib < 35.0 => 2048.0,
                _ => 8192.0,
            },
            poll_passes: 1,
            balance_passes: 0,
            wait_passes: 0,
            wait_share: 0.0,
            graph_tokens: if engine == Engine::Vllm { 512.0 } else { 0.0 },
            memory_share: match engine {
                Engine::Sglang => 0.88,
                Engine::Vllm | Engine::TensorrtLlm => 0.9,
            },
            max_sequences: 1024,
            chunk_tokens: 1.0,
        }
    }
}

/// Number formats of weights, and of the products that use them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum NumberFormat {
    /// bf16 or fp16.
    Bf16,
    /// fp8 weights and inputs.
    Fp8,
    /// int8 weights and inputs.
    Int8,
    /// int4 weights in groups, 16-bit inputs (AWQ, GPTQ).
    Int4,
    /// NVIDIA's 4-bit floats: blocks of 16 with an fp8 scale.
    Nvfp4,
    /// OCP 4-bit floats: blocks of 32 with an 8-bit scale.
    Mxfp4,
}

impl NumberFormat {
    /// Every format, widest first.
    pub const ALL: [Self; 6] = [
        Self::Bf16,
        Self::Fp8,
        Self::Int8,
        Self::Int4,
        Self::Nvfp4,
        Self::Mxfp4,
    ];

    /// The name that people type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Fp8 => "fp8",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
            Self::Nvfp4 => "nvfp4",
            Self::Mxfp4 => "mxfp4",
        }
    }

    /// The name on an accelerator: 16-bit products of Volta and Turing are fp16.
    pub fn name_on(self, accelerator: &str) -> &'static str {
        let lacks_bf16 = outlay_catalog::find_accelerator(accelerator)
            .is_ok_and(|accelerator| accelerator.peak_tflops.bf16.is_none());
        if self == Self::Bf16 && lacks_bf16 {
            "fp16"
        } else {
            self.name()
        }
    }

    /// Reads a name, those of checkpoints and engines included.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "bf16" | "fp16" | "bfloat16" | "float16" | "half" => Self::Bf16,
            "fp8" | "fp8_block" | "fp8-block" | "e4m3" => Self::Fp8,
            "int8" | "w8a8" => Self::Int8,
            "int4" | "awq" | "gptq" | "w4a16" => Self::Int4,
            "nvfp4" | "fp4" => Self::Nvfp4,
            "mxfp4" => Self::Mxfp4,
            _ => return None,
        })
    }

    /// Bytes of one stored weight, scales included.
    pub fn weight_bytes(self) -> f64 {
        match self {
            Self::Bf16 => 2.0,
            Self::Fp8 | Self::Int8 => 1.0,
            Self::Int4 | Self::Nvfp4 => 0.5625,
            Self::Mxfp4 => 0.53125,
        }
    }

    /// Whether engines serve the format on an accelerator: natively, or widened by kernels that need Ampere (Turing for
    /// int4) or later.
    pub fn runs_on(self, accelerator: &Accelerator) -> bool {
        let peaks = &accelerator.peak_tflops;
        let ampere = peaks.bf16.is_some();
        match self {
            Self::Bf16 => peaks.bf16.or(peaks.fp16).is_some(),
            Self::Fp8 | Self::Mxfp4 => ampere,
            Self::Int8 => peaks.int8.is_some(),
            Self::Int4 => peaks.int8.is_some() || ampere,
            Self::Nvfp4 => peaks.fp4.is_some(),
        }
    }

    /// Whether weights are widened before they are multiplied.
    pub fn widens(self, accelerator: &Accelerator) -> bool {
        f64::from(self.product_bits(accelerator)) > 8.0 * self.weight_bytes().ceil()
    }

    /// Bits of the products on an accelerator: 4, 8 or 16. Where its matrix units lack the format, weights are widened
    /// and the products run in 16 bits.
    pub fn product_bits(self, accelerator: &Accelerator) -> u32 {
        let peaks = &accelerator.peak_tflops;
        match self {
            Self::Fp8 if peaks.fp8.is_some() => 8,
            Self::Int8 if peaks.int8.is_some_and(|rate| rate > peaks.fp32 * 4.0) => 8,
            Self::Nvfp4 if peaks.fp4.is_some() => 4,
            // Its inputs are 8 bits wide, and the products run at their rate.
            Self::Mxfp4 if peaks.fp4.is_some() => 8,
            _ => 16,
        }
    }
}

/// Number formats of the parts of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Formats {
    /// Projections of attention and other mixers.
    pub attention: NumberFormat,
    /// Dense feed-forward layers and shared experts.
    pub dense: NumberFormat,
    /// Routed experts.
    pub experts: NumberFormat,
    /// Bytes of one element of the key-value cache.
    pub cache_bytes: u8,
    /// Whether two of every four weights of the layers are pruned away (2:4 sparsity).
    #[serde(default)]
    pub sparse: bool,
}

impl Formats {
    /// What checkpoints of a format hold: published 4-bit models with experts keep their attention in 16 bits
    /// (nvidia/DeepSeek-V3.1-NVFP4, nvidia/MiniMax-M2.5-NVFP4, nvidia/Qwen3.5-397B-A17B-NVFP4, openai/gpt-oss-120b);
    /// dense 4-bit models do not. The cache is fp8 beside weights of 8 bits or less where the accelerator has fp8.
    pub fn usual(format: NumberFormat, model: &Model, accelerator: &Accelerator) -> Self {
        let four_bit = matches!(format, NumberFormat::Nvfp4 | NumberFormat::Mxfp4);
        let attention = if four_bit && model.has_experts() {
            NumberFormat::Bf16
        } else {
            format
        };
        Self {
            attention,
            dense: format,
            experts: format,
            cache_bytes: if format == NumberFormat::Bf16 || accelerator.peak_tflops.fp8.is_none() {
                2
            } else {
                1
            },
            sparse: false,
        }
    }

    /// Share of the bytes of a format that weights take: of 2:4 sparse ones two in four are kept, with two bits each that
    /// say where they stood (arXiv:2104.08378, section 2).
    pub(crate) fn kept_share(&self, format: NumberFormat) -> f64 {
        if self.sparse {
            0.5 + 1.0 / (8.0 * format.weight_bytes().ceil())
        } else {
            1.0
        }
    }

    /// Format of an operator's weights; the head and embeddings stay in 16 bits.
    pub(crate) fn of(&self, operator: &Operator, kind: BlockKind) -> NumberFormat {
        if kind != BlockKind::Layer {
            return NumberFormat::Bf16;
        }
        match operator.kind {
            Kind::ExpertMatMul { .. } => self.experts,
            Kind::MatMul { .. } => {
                if operator.name == "router" {
                    NumberFormat::Bf16
                } else if operator.name.starts_with("feed-forward")
                    || operator.name.starts_with("shared expert")
                {
                    self.dense
                } else {
                    self.attention
                }
            }
            _ => NumberFormat::Bf16,
        }
    }
}

/// How one replica is spread over ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ServingLayout {
    /// Tensor-parallel ranks of attention and dense layers.
    pub tensor: u32,
    /// Pipeline stages.
    pub pipeline: u32,
    /// Groups of `tensor` ranks that each attend for requests of their own.
    pub attention_data: u32,
    /// Ranks over which each expert is cut.
    pub expert_tensor: u32,
    /// Ranks over which experts are divided.
    pub expert: u32,
}

impl ServingLayout {
    /// Tensor parallelism alone.
    pub fn tensor(ranks: u32) -> Self {
        Self {
            tensor: ranks,
            pipeline: 1,
            attention_data: 1,
            expert_tensor: ranks,
            expert: 1,
        }
    }

    /// Accelerators of one replica.
    pub fn accelerators(&self) -> u32 {
        self.tensor * self.pipeline * self.attention_data
    }

    /// Name to show, such as `TP8`, `DP8 EP8` or `TP4 PP2`.
    pub fn name(&self) -> String {
        let mut parts = Vec::new();
        if self.tensor > 1 || self.attention_data == 1 {
            parts.push(format!("TP{}", self.tensor));
        }
        if self.attention_data > 1 {
            parts.push(format!("DP{}", self.attention_data));
        }
        if self.expert > 1 {
            parts.push(format!("EP{}", self.expert));
        }
        if self.pipeline > 1 {
            parts.push(format!("PP{}", self.pipeline));
        }
        parts.join(" ")
    }
}

/// A model in number formats, on accelerators, by an engine, laid out over ranks.
#[derive(Clone, Copy, Debug)]
pub struct Deployment<'a> {
    /// The model.
    pub model: &'a Model,
    /// The accelerator.
    pub accelerator: &'a Accelerator,
    /// The engine.
    pub engine: Engine,
    /// Number formats.
    pub formats: Formats,
    /// The layout of one replica.
    pub layout: ServingLayout,
    /// Settings of the engine.
    pub settings: Settings,
}

/// Memory of one accelerator, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServingMemory {
    /// Weights of the busiest rank.
    pub weights_bytes: f64,
    /// Activations of the largest pass, communicators and graphs.
    pub activations_bytes: f64,
    /// What is left for the cache.
    pub cache_bytes: f64,
    /// Cache of one token of context (windows and states apart).
    pub cache_bytes_per_token: f64,
    /// Cache that each sequence holds whatever its length: windows in full, states.
    pub cache_bytes_per_sequence: f64,
}

impl ServingMemory {
    /// Tokens of context that the cache of one rank holds, in sequences of so many tokens.
    pub fn sequences(&self, context_tokens: f64) -> f64 {
        let one = self.cache_bytes_per_token * context_tokens + self.cache_bytes_per_sequence;
        if one > 0.0 {
            self.cache_bytes.max(0.0) / one
        } else {
            f64::INFINITY
        }
    }
}

impl Deployment<'_> {
    /// Blocks that run for text.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &outlay_model::Block> {
        self.model.blocks.iter().filter(|block| {
            matches!(
                block.kind,
                BlockKind::Embedding | BlockKind::Layer | BlockKind::Head
            )
        })
    }

    /// What one accelerator holds.
    pub fn memory(&self) -> ServingMemory {
        let layout = &self.layout;
        let stages = f64::from(layout.pipeline.max(1));
        let tensor = f64::from(layout.tensor.max(1));
        let experts = f64::from((layout.expert_tensor * layout.expert).max(1));
        let mut memory = ServingMemory::default();
        for block in self.blocks() {
            let share = match block.kind {
                BlockKind::Layer => block.repeat as f64 / stages,
                _ => block.repeat as f64,
            };
            for operator in &block.operators {
                let format = self.formats.of(operator, block.kind);
                let is_product = block.kind == BlockKind::Layer
                    && matches!(
                        operator.kind,
                        Kind::MatMul { .. } | Kind::ExpertMatMul { .. }
                    );
                let kept = if is_product {
                    self.formats.kept_share(format)
                } else {
                    1.0
                };
                let bytes = format.weight_bytes() * kept;
                let ranks = match operator.kind {
                    Kind::ExpertMatMul { .. } => experts,
                    Kind::MatMul {
                        split: outlay_model::Split::Replicated,
                        ..
                    } => 1.0,
                    _ => tensor,
                };
                memory.weights_bytes += share * operator.parameters as f64 * bytes / ranks;
                let cache = cache_of(operator, tensor, f64::from(self.formats.cache_bytes));
                memory.cache_bytes_per_token += share * cache.0;
                memory.cache_bytes_per_sequence += share * cache.1;
            }
        }
        let hidden = self.model.hidden as f64;
        // A pass holds the stream, its residual and the widest inner tensor, about ten widths in 16 bits; graphs,
        // communicators and the logits of a pass take another 2 GiB.
        memory.activations_bytes = self.settings.pass_tokens * hidden * 20.0 + 2.0 * GIB;
        let all = self.accelerator.memory_gib * GIB;
        let used = memory.weights_bytes + memory.activations_bytes;
        // Where the usual share leaves less than a tenth of the memory, people raise it.
        let cache = all * self.settings.memory_share - used;
        memory.cache_bytes = cache.max((0.97 * all - used).min(0.1 * all));
        memory
    }
}

/// Cache of one operator on one of `tensor` ranks: bytes for each token of context, and for each sequence.
fn cache_of(operator: &Operator, tensor: f64, element_bytes: f64) -> (f64, f64) {
    use outlay_model::Pattern;
    match operator.kind {
        Kind::Attention {
            key_value_heads,
            qk_width,
            v_width,
            pattern,
            cache_elements_per_token,
            ..
        } => {
            let elements = cache_elements_per_token as f64
                / cache_ranks(
                    key_value_heads,
                    qk_width,
                    v_width,
                    cache_elements_per_token,
                    tensor,
                );
            let bytes = elements * element_bytes;
            match pattern {
                Pattern::Window(width) | Pattern::Chunk(width) => (0.0, bytes * width as f64),
                Pattern::Memory(keys) => (0.0, bytes * keys as f64),
                Pattern::Compressed { window, ratio } => {
                    (bytes / ratio.max(1) as f64, bytes * window as f64)
                }
                Pattern::Full | Pattern::Selected(_) => (bytes, 0.0),
            }
        }
        Kind::Scan { .. } => (0.0, state_bytes(&operator.kind) / tensor),
        _ => (0.0, 0.0),
    }
}

/// Ranks over which a cache is divided: heads are, up to one each; latents are not.
pub(crate) fn cache_ranks(heads: u64, qk: u64, v: u64, elements: u64, tensor: f64) -> f64 {
    if elements < heads * (qk + v) {
        1.0
    } else {
        tensor.min(heads.max(1) as f64)
    }
}

/// Bytes of a recurrence's state for one sequence, in fp32.
pub(crate) fn state_bytes(kind: &Kind) -> f64 {
    match *kind {
        Kind::Scan {
            heads,
            head_width,
            state_width,
            ..
        } => 4.0 * (heads * head_width * state_width) as f64,
        _ => 0.0,
    }
}
