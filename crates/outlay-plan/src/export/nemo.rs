//! Overrides of a recipe of NeMo's Megatron-Bridge, as YAML.
//!
//! Names of Megatron-Bridge 0.3.1 (`ConfigContainer` in `megatron/bridge/training/config.py`) and of Megatron Core
//! 0.16.1, whose classes it extends. `process_config_with_overrides(recipe(), config_filepath=FILE)` reads the file.

use super::{about, beyond_one_model, only};
use crate::adapters::Targets;
use crate::layout::{Layout, Offload, Recompute, Schedule};
use crate::train::Answer;
use crate::workload::{Method, Optimizer, Precision};

/// Writes the overrides.
pub(super) fn nemo(answer: &Answer) -> Result<String, String> {
    let layout = &answer.best.layout;
    only(
        "NeMo",
        layout,
        &[
            (layout.offload == Offload::Nvme, "offload to NVMe"),
            (
                layout.schedule == Schedule::ZeroBubble,
                "a zero-bubble schedule",
            ),
            (
                layout.offload == Offload::Cpu && layout.zero >= 2,
                "offload to the CPU beside sharded gradients",
            ),
        ],
    )?;
    let refused = |what: &str| {
        Err(format!(
            "NeMo has no setting for {what}; choose another format"
        ))
    };
    if let Some(what) = beyond_one_model(answer) {
        return refused(&what);
    }
    let precision = match answer.precision {
        Precision::Bf16 => "bf16_mixed",
        Precision::Fp16 => "fp16_mixed",
        Precision::Fp8 => "bf16_with_fp8_current_scaling_mixed",
        Precision::Mxfp8 => "bf16_with_mxfp8_mixed",
        Precision::Nvfp4 => "bf16_with_nvfp4_mixed",
        other => return refused(&format!("{} by name", other.name())),
    };
    let (optimizer, distributed) = match (answer.optimizer, layout.zero) {
        (None | Some(Optimizer::Adamw), zero) => ("adam", zero >= 1),
        (Some(Optimizer::Sgd), zero) => ("sgd", zero >= 1),
        // Muon has a way of its own to spread its state.
        (Some(Optimizer::Muon), _) if answer.precision == Precision::Fp16 => {
            return refused("Muon in fp16");
        }
        (Some(Optimizer::Muon), 0) => ("muon", false),
        (Some(Optimizer::Muon), 1) if layout.shard == layout.data * layout.context => {
            ("dist_muon", false)
        }
        (Some(Optimizer::Muon), _) => return refused("Muon over sharded gradients"),
        (Some(other), _) => return refused(&format!("the optimizer {}", other.name())),
    };
    let mut out = about(answer, "#");
    out.push_str(&format!(
        "# overrides of Megatron-Bridge 0.3.1: process_config_with_overrides(recipe(), config_filepath=FILE)
{}mixed_precision: {precision}
train:
  micro_batch_size: {}
  global_batch_size: {}
  train_iters: {}
dataset:
  seq_length: {}
optimizer:
  optimizer: {optimizer}
  use_distributed_optimizer: {distributed}
  optimizer_cpu_offload: {}
  optimizer_offload_fraction: {}
{}",
        model(answer),
        layout.micro_batch,
        answer.global_batch_sequences,
        answer.best.steps,
        answer.sequence_tokens,
        layout.offload == Offload::Cpu,
        if layout.offload == Offload::Cpu {
            "1.0"
        } else {
            "0.0"
        },
        sharding(layout, distributed),
    ));
    out.push_str(&adapters(answer)?);
    Ok(out)
}

/// What the model is cut into, and which activations are recomputed.
fn model(answer: &Answer) -> String {
    let layout = &answer.best.layout;
    let chunks = if layout.interleave > 1 {
        layout.interleave.to_string()
    } else {
        "null".to_owned()
    };
    let recompute = match layout.recompute {
        Recompute::None => ["null", "null", "null", "null"],
        Recompute::Selective => ["selective", "null", "null", "[core_attn]"],
        Recompute::Full => ["full", "uniform", "1", "null"],
    };
    format!(
        "model:
  seq_length: {}
  tensor_model_parallel_size: {}
  sequence_parallel: {}
  pipeline_model_parallel_size: {}
  pipeline_model_parallel_layout: null
  virtual_pipeline_model_parallel_size: {chunks}
  context_parallel_size: {}
  expert_model_parallel_size: {}
  expert_tensor_parallel_size: {}
  recompute_granularity: {}
  recompute_method: {}
  recompute_num_layers: {}
  recompute_modules: {}
",
        answer.sequence_tokens,
        layout.tensor,
        layout.sequence_parallel && layout.tensor > 1,
        layout.pipeline,
        layout.context,
        layout.expert,
        // Expert-parallel ranks are taken out of the tensor-parallel ones too.
        if layout.expert > 1 { "1" } else { "null" },
        recompute[0],
        recompute[1],
        recompute[2],
        recompute[3],
    )
}

/// How state is spread over the data-parallel ranks.
fn sharding(layout: &Layout, distributed: bool) -> String {
    let fsdp = layout.zero >= 2;
    let instances = if layout.zero >= 1 {
        layout.data * layout.context / layout.shard
    } else {
        1
    };
    let strategy = match layout.zero {
        0 | 1 => "no_shard",
        2 => "optim_grads",
        _ => "optim_grads_params",
    };
    format!(
        "ddp:
  use_distributed_optimizer: {distributed}
  num_distributed_optimizer_instances: {instances}
  use_megatron_fsdp: {fsdp}
  data_parallel_sharding_strategy: {strategy}
dist:
  use_megatron_fsdp: {fsdp}
{}",
        if fsdp {
            "checkpoint:\n  ckpt_format: fsdp_dtensor\n"
        } else {
            ""
        }
    )
}

/// Adapters, for a recipe that has none of its own.
fn adapters(answer: &Answer) -> Result<String, String> {
    let Some(adapters) = answer.adapters else {
        return Ok(String::new());
    };
    if answer.method == Some(Method::Qlora) {
        return Err(
            "NeMo has no setting for frozen 4-bit weights; choose another method, or another format"
                .to_owned(),
        );
    }
    if adapters.magnitudes && adapters.targets == Targets::QueryValue {
        return Err(
            "NeMo has no setting for DoRA on queries and values without keys; choose --targets attention, or another format"
                .to_owned(),
        );
    }
    // One adapter for queries, keys and values together, except where each is named.
    let class = match (adapters.magnitudes, adapters.targets) {
        (true, _) => "dora.DoRA",
        (false, Targets::QueryValue) => "canonical_lora.CanonicalLoRA",
        (false, _) => "lora.LoRA",
    };
    let targets = match adapters.targets {
        Targets::QueryValue => "linear_q, linear_v",
        Targets::Attention => "linear_qkv, linear_proj",
        Targets::All => "linear_qkv, linear_proj, linear_fc1, linear_fc2",
    };
    Ok(format!(
        "# for a recipe without adapters of its own, such as llama31_8b_sft_config; alpha is not part of the plan
peft:
  _target_: megatron.bridge.peft.{class}
  target_modules: [{targets}]
  dim: {}
  alpha: {}
",
        adapters.rank,
        2 * adapters.rank
    ))
}
