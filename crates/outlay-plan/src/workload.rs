//! What is trained and how, in numbers.

use crate::adapters::Adapters;
use outlay_catalog::Accelerator;
use outlay_model::{Model, SampleUnit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A training workload.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The model.
    pub model: Model,
    /// Tokens in each sequence.
    pub sequence_tokens: u64,
    /// Sequences in each optimizer step, over all accelerators.
    pub global_batch_sequences: u64,
    /// Tokens to train on, over the whole run.
    pub tokens_total: f64,
    /// Number format of the matrix products.
    pub precision: Precision,
    /// Optimizer.
    pub optimizer: Optimizer,
    /// Which parameters are trained.
    pub method: Method,
    /// Adapters, where the method has them.
    pub adapters: Adapters,
    /// Training software, the key of its calibration constants.
    pub framework: Framework,
    /// How the software computes attention.
    pub attention: AttentionKernel,
    /// Whether images are stored channels last, as tensor cores read them; PyTorch stores them channels first unless it is
    /// told otherwise, and every convolution then converts its tensors.
    pub channels_last: bool,
    /// Year that the software is from; kernels get better in the years after an accelerator comes out.
    pub software_year: f64,
}

/// Year of the newest software that the constants were fitted on.
pub const SOFTWARE_YEAR: f64 = 2026.0;

/// How attention is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionKernel {
    /// Products, masked softmax and dropout one after another; scores go through memory.
    Unfused,
    /// The first fused kernels (FlashAttention, xformers): half the speed of FlashAttention-2 (arXiv:2307.08691, whose
    /// abstract gives the speed-up as about 2).
    Early,
    /// One kernel on synchronous tensor-core instructions (FlashAttention-2, arXiv:2307.08691): full speed up to
    /// Ampere, about 0.6 of what Hopper's asynchronous units allow (arXiv:2407.08608, section 4.1: FlashAttention-3 is
    /// 1.5 to 2.0 times as fast forward, 1.5 to 1.75 times backward).
    Synchronous,
    /// One kernel made for the accelerator (FlashAttention-3 and later, cuDNN, Pallas).
    Fused,
}

/// Number format of the large matrix products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// fp32, no tensor cores.
    Fp32,
    /// TF32 tensor cores over fp32 storage.
    Tf32,
    /// bf16 mixed precision.
    Bf16,
    /// fp16 mixed precision with loss scaling.
    Fp16,
    /// fp8, scaled per tensor or per block.
    Fp8,
    /// fp8 with hardware block scales.
    Mxfp8,
    /// 4-bit with hardware block scales of 32.
    Mxfp4,
    /// 4-bit with NVIDIA's two-level block scales.
    Nvfp4,
}

impl Precision {
    /// Every format, in the order of help texts.
    pub const ALL: [Self; 8] = [
        Self::Fp32,
        Self::Tf32,
        Self::Bf16,
        Self::Fp16,
        Self::Fp8,
        Self::Mxfp8,
        Self::Mxfp4,
        Self::Nvfp4,
    ];

    /// The name that people type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
            Self::Fp16 => "fp16",
            Self::Fp8 => "fp8",
            Self::Mxfp8 => "mxfp8",
            Self::Mxfp4 => "mxfp4",
            Self::Nvfp4 => "nvfp4",
        }
    }

    /// What people train in on an accelerator where nothing is said: bf16, or fp16 where its matrix units lack bf16.
    pub fn usual(accelerator: &Accelerator) -> Self {
        if accelerator.peak_tflops.bf16.is_some() {
            Self::Bf16
        } else {
            Self::Fp16
        }
    }

    /// Reads a name; `None` where it is not one of [`Self::ALL`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|precision| precision.name().eq_ignore_ascii_case(name.trim()))
    }

    /// Bytes of one stored activation or parameter copy used for compute.
    pub fn storage_bytes(self) -> f64 {
        match self {
            Self::Fp32 | Self::Tf32 => 4.0,
            _ => 2.0,
        }
    }

    /// Whether matrix products run below 16 bits, after a cast of their inputs.
    pub fn is_narrow(self) -> bool {
        matches!(self, Self::Fp8 | Self::Mxfp8 | Self::Mxfp4 | Self::Nvfp4)
    }
}

/// Optimizers, by what they keep and move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// AdamW with fp32 moments.
    Adamw,
    /// AdamW with 8-bit moments (arXiv:2110.02861).
    Adam8bit,
    /// Adafactor: factored second moment (arXiv:1804.04235).
    Adafactor,
    /// Muon: one moment, orthogonalised (5 Newton-Schulz steps).
    Muon,
    /// SGD with momentum.
    Sgd,
}

impl Method {
    /// FLOPs of a step relative to one forward: frozen weights need no gradient of their own.
    pub fn passes(self) -> f64 {
        match self {
            Self::Full => 3.0,
            Self::Lora | Self::Qlora => 2.0,
            Self::Forward => 1.0,
        }
    }
}

impl Optimizer {
    /// Every optimizer, in the order of help texts.
    pub const ALL: [Self; 5] = [
        Self::Adamw,
        Self::Adam8bit,
        Self::Adafactor,
        Self::Muon,
        Self::Sgd,
    ];

    /// The name that people type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adamw => "adamw",
            Self::Adam8bit => "adam8bit",
            Self::Adafactor => "adafactor",
            Self::Muon => "muon",
            Self::Sgd => "sgd",
        }
    }

    /// Reads a name; `None` where it is not one of [`Self::ALL`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|optimizer| optimizer.name().eq_ignore_ascii_case(name.trim()))
    }

    /// Bytes of moments kept for each parameter (the fp32 master copy is counted apart).
    pub fn moment_bytes(self) -> f64 {
        match self {
            Self::Adamw => 8.0,
            Self::Adam8bit => 2.0,
            Self::Adafactor => 0.02,
            Self::Muon | Self::Sgd => 4.0,
        }
    }
}

/// Which parameters are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// All of them.
    Full,
    /// Low-rank adapters on frozen 16-bit weights.
    Lora,
    /// Low-rank adapters on frozen 4-bit weights.
    Qlora,
    /// None: the model runs forward alone, as a teacher does whose outputs are kept.
    Forward,
}

/// Training software, as far as its constants differ.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Framework {
    /// Megatron-LM, NeMo, Megatron-Bridge.
    Megatron,
    /// Megatron-DeepSpeed.
    MegatronDeepspeed,
    /// PyTorch FSDP (torchtitan, llm-foundry, Accelerate).
    Fsdp,
    /// InternEvo.
    Internevo,
    /// MaxText and Levanter (JAX).
    Jax,
    /// Plain PyTorch on one process or with DDP.
    Pytorch,
    /// Hugging Face's Transformers with its Trainer, PEFT and TRL, run operation by operation.
    Transformers,
}

impl Framework {
    /// Every framework, in the order of help texts.
    pub const ALL: [Self; 7] = [
        Self::Megatron,
        Self::MegatronDeepspeed,
        Self::Fsdp,
        Self::Internevo,
        Self::Jax,
        Self::Pytorch,
        Self::Transformers,
    ];

    /// The name that people type, and the key of its constants.
    pub fn name(self) -> &'static str {
        match self {
            Self::Megatron => "megatron",
            Self::MegatronDeepspeed => "megatron-deepspeed",
            Self::Fsdp => "fsdp",
            Self::Internevo => "internevo",
            Self::Jax => "jax",
            Self::Pytorch => "pytorch",
            Self::Transformers => "transformers",
        }
    }

    /// The software that most people train a model with on an accelerator's generation, where none is named: JAX on
    /// TPUs, Megatron for sequences of tokens, PyTorch's FSDP for images, videos and sound.
    pub fn usual(generation: &str, model: &Model) -> Self {
        if generation.starts_with("tpu") {
            Self::Jax
        } else if model.sample.unit == SampleUnit::Sequence {
            Self::Megatron
        } else {
            Self::Fsdp
        }
    }

    /// Whether it cuts layers, or deals them out, over accelerators: Trainer replicates and shards only.
    pub fn divides_models(self) -> bool {
        self != Self::Transformers
    }

    /// Whether it can repeat a part of each layer alone; Transformers' `gradient_checkpointing` repeats whole ones.
    pub fn recomputes_selectively(self) -> bool {
        self != Self::Transformers
    }

    /// Reads a name; `None` where it is not one of [`Self::ALL`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|framework| framework.name().eq_ignore_ascii_case(name.trim()))
    }
}
