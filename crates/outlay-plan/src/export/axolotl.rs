//! A configuration of Axolotl.
//!
//! Names of Axolotl 0.19.0 (`AxolotlInputConfig` in `axolotl/utils/schemas/config.py`). Parameters are sharded by FSDP 2;
//! where the optimizer's state alone is sharded or offloaded, by DeepSpeed.

use super::{about, beyond_one_model, deepspeed_settings, only};
use crate::adapters::Targets;
use crate::layout::{Layout, Offload, Recompute};
use crate::train::Answer;
use crate::workload::{Method, Optimizer, Precision};

/// What shards state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharding {
    /// Nothing does.
    None,
    /// PyTorch, version 2.
    Fsdp,
    /// DeepSpeed's ZeRO.
    Deepspeed,
}

impl Sharding {
    fn of(layout: &Layout) -> Self {
        if layout.offload != Offload::None {
            Self::Deepspeed
        } else if layout.data * layout.context == 1 {
            Self::None
        } else {
            match layout.zero {
                0 => Self::None,
                1 => Self::Deepspeed,
                _ => Self::Fsdp,
            }
        }
    }
}

/// Writes the configuration.
pub(super) fn axolotl(answer: &Answer) -> Result<String, String> {
    let layout = &answer.best.layout;
    let sharding = Sharding::of(layout);
    refuse(answer, sharding)?;
    let mut out = about(answer, "#");
    out.push_str(&format!(
        "# names of Axolotl 0.19.0; the learning rate and the data are not part of the plan
base_model: REPLACE_WITH_YOUR_MODEL
datasets:
  - path: REPLACE_WITH_YOUR_DATA
    type: chat_template
output_dir: ./outputs
learning_rate: {}
sequence_len: {}
sample_packing: {}
attn_implementation: flash_attention_2
micro_batch_size: {}
gradient_accumulation_steps: {}
max_steps: {}
optimizer: {}
{}{}{}",
        if answer.adapters.is_some() {
            "0.0002"
        } else {
            "0.00001"
        },
        answer.sequence_tokens,
        !answer.padded,
        layout.micro_batch,
        super::launch(answer).accumulation,
        answer.best.steps,
        optimizer(answer, sharding),
        precision(answer)?,
        recompute(layout.recompute),
        adapters(answer),
    ));
    if layout.tensor > 1 {
        out.push_str(&format!("tensor_parallel_size: {}\n", layout.tensor));
    }
    if layout.context > 1 {
        out.push_str(&format!("context_parallel_size: {}\n", layout.context));
    }
    match sharding {
        Sharding::None if layout.data > 1 => {
            out.push_str(&format!("dp_replicate_size: {}\n", layout.data));
        }
        Sharding::None => {}
        Sharding::Fsdp => {
            out.push_str(&format!(
                "dp_replicate_size: {}
dp_shard_size: {}
fsdp_version: 2
fsdp_config:
  reshard_after_forward: {}
  offload_params: false
  cpu_ram_efficient_loading: {}
  auto_wrap_policy: TRANSFORMER_BASED_WRAP
  state_dict_type: SHARDED_STATE_DICT
",
                layout.data * layout.context / layout.shard,
                layout.shard / layout.context,
                layout.zero == 3,
                // Weights of 4 bits are refused beside it.
                answer.method != Some(Method::Qlora),
            ));
        }
        Sharding::Deepspeed => {
            out.push_str(&format!("deepspeed: {}\n", deepspeed_settings(answer)?));
        }
    }
    Ok(out)
}

/// Refuses what Axolotl has no setting for, or what its own checks refuse.
fn refuse(answer: &Answer, sharding: Sharding) -> Result<(), String> {
    let layout = &answer.best.layout;
    let replicas = layout.data * layout.context;
    let shards = if sharding == Sharding::Fsdp {
        layout.shard
    } else {
        layout.context
    };
    let (cut, deepspeed) = (
        layout.tensor > 1 || layout.context > 1,
        sharding == Sharding::Deepspeed,
    );
    only(
        "Axolotl",
        layout,
        &[
            (layout.pipeline > 1, "pipeline parallelism"),
            (
                layout.expert > 1,
                "expert parallelism without a plugin's kernels",
            ),
            (
                layout.tensor > 1 && layout.sequence_parallel,
                "sequence parallelism over the tensor-parallel ranks",
            ),
            (
                deepspeed && cut,
                "tensor or context parallelism beside DeepSpeed's ZeRO",
            ),
            (
                deepspeed && layout.zero == 0,
                "offload of state that is not sharded",
            ),
            (
                deepspeed && layout.shard != replicas,
                "hybrid sharding by DeepSpeed's ZeRO",
            ),
            (
                !shards.is_multiple_of(layout.context),
                "shards smaller than the context-parallel ranks",
            ),
            (
                cut && shards == layout.context && replicas > shards,
                "tensor or context parallelism beside replicas that are not sharded",
            ),
            (
                sharding == Sharding::None && layout.context > 1,
                "context parallelism without sharded parameters",
            ),
            (
                layout.context > 1 && layout.micro_batch > 1,
                "micro-batches of several packed sequences under context parallelism",
            ),
            (
                layout.recompute == Recompute::Selective && answer.adapters.is_some(),
                "selective recomputation beside adapters",
            ),
        ],
    )?;
    if let Some(what) = beyond_one_model(answer) {
        return Err(format!(
            "the Axolotl configuration is one of supervised tuning of a whole model or of its LoRA, and has no {what}; choose another format"
        ));
    }
    if answer.optimizer == Some(Optimizer::Muon) && deepspeed {
        return Err(
            "Axolotl has no setting for Muon beside DeepSpeed's ZeRO; choose a layout of ZeRO-0, ZeRO-2 or FSDP with --layout, or another format"
                .to_owned(),
        );
    }
    Ok(())
}

/// Axolotl's name of the optimizer.
fn optimizer(answer: &Answer, sharding: Sharding) -> &'static str {
    match answer.optimizer.unwrap_or(Optimizer::Adamw) {
        Optimizer::Adamw => "adamw_torch_fused",
        // The moments of bitsandbytes cannot be cut by FSDP 2 or tensor parallelism.
        Optimizer::Adam8bit if sharding == Sharding::Fsdp || answer.best.layout.tensor > 1 => {
            "adamw_torch_8bit"
        }
        Optimizer::Adam8bit => "adamw_bnb_8bit",
        Optimizer::Adafactor => "adafactor",
        Optimizer::Muon => "muon",
        Optimizer::Sgd => "sgd",
    }
}

fn precision(answer: &Answer) -> Result<&'static str, String> {
    Ok(match answer.precision {
        Precision::Bf16 => "bf16: true\n",
        Precision::Fp16 => "fp16: true\n",
        Precision::Fp8 => "bf16: true\nfp8: true\n",
        Precision::Tf32 => "bf16: false\ntf32: true\n",
        Precision::Fp32 => "bf16: false\ntf32: false\n",
        other => return Err(format!("Axolotl has no setting for {}", other.name())),
    })
}

fn recompute(recompute: Recompute) -> &'static str {
    match recompute {
        Recompute::None => "gradient_checkpointing: false\n",
        Recompute::Full => "gradient_checkpointing: true\n",
        // Products are kept, and what is cheap between them is computed again.
        Recompute::Selective => {
            "gradient_checkpointing: true
gradient_checkpointing_kwargs:
  use_reentrant: false
selective_checkpointing:
  save: [attention, 'aten::mm', 'aten::addmm', 'aten::bmm']
"
        }
    }
}

fn adapters(answer: &Answer) -> String {
    let Some(adapters) = answer.adapters else {
        return String::new();
    };
    let four_bits = answer.method == Some(Method::Qlora);
    format!(
        "adapter: {}
load_in_4bit: {four_bits}
lora_r: {}
lora_alpha: {}
{}{}",
        if four_bits { "qlora" } else { "lora" },
        adapters.rank,
        2 * adapters.rank,
        match adapters.targets {
            Targets::QueryValue => "lora_target_modules: [q_proj, v_proj]\n",
            Targets::Attention => "lora_target_modules: [q_proj, k_proj, v_proj, o_proj]\n",
            Targets::All => "lora_target_linear: true\n",
        },
        if adapters.magnitudes {
            "peft_use_dora: true\n"
        } else {
            ""
        }
    )
}
