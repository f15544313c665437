//! Arguments of torchtitan's `torchtitan.train`.
//!
//! Names of torchtitan 0.3.0, which reads no TOML any more: a function in Python makes a configuration, and arguments
//! change it (`torchtitan/config/manager.py`, `torchtitan/config/configs.py`, `torchtitan/trainer.py`).

use super::{about, beyond_one_model, only};
use crate::layout::{Offload, Recompute, Schedule};
use crate::train::Answer;
use crate::workload::{Method, Optimizer, Precision};

/// torchtitan's modules and functions of configurations, by our names of models.
const CONFIGURATIONS: &[(&str, &str, &str)] = &[
    ("llama-3.1-8b", "llama3", "llama3_8b"),
    ("llama-3.1-70b", "llama3", "llama3_70b"),
    ("llama-3.1-405b", "llama3", "llama3_405b"),
    ("qwen3-0.6b", "qwen3", "qwen3_0_6b"),
    ("qwen3-1.7b", "qwen3", "qwen3_1_7b"),
    ("qwen3-14b", "qwen3", "qwen3_14b"),
    ("qwen3-32b", "qwen3", "qwen3_32b"),
    ("qwen3-30b-a3b", "qwen3", "qwen3_30b_a3b"),
    ("deepseek-v3", "deepseek_v3", "deepseek_v3_671b"),
    ("gpt-oss-20b", "gpt_oss", "gpt_oss_20b"),
    ("gpt-oss-120b", "gpt_oss", "gpt_oss_120b"),
];

/// Writes the arguments, one setting a line.
pub(super) fn torchtitan(answer: &Answer) -> Result<String, String> {
    let layout = &answer.best.layout;
    let replicas = layout.data * layout.context;
    // Fully sharded ranks are those of data and context parallelism together; context-parallel ranks always share.
    let sharded = layout.zero >= 2 && replicas > 1;
    only(
        "torchtitan's command line",
        layout,
        &[
            (
                layout.zero == 1 && replicas > 1,
                "ZeRO-1, which shards the optimizer's state alone",
            ),
            (
                !sharded && layout.context > 1,
                "context parallelism without sharded parameters",
            ),
            (
                sharded && !layout.shard.is_multiple_of(layout.context),
                "shards smaller than the context-parallel ranks",
            ),
            (
                layout.interleave > 2,
                "more than two chunks of a pipeline's stage without the number of its layers",
            ),
            (
                layout.schedule == Schedule::ZeroBubble,
                "ZB-H1, a zero-bubble schedule of one chunk",
            ),
            (
                layout.offload != Offload::None,
                "offload of the optimizer's state alone",
            ),
        ],
    )?;
    let beyond = |what: &str| {
        Err(format!(
            "torchtitan's command line has no setting for {what}: a configuration in Python has; choose another format"
        ))
    };
    if let Some(what) = beyond_one_model(answer) {
        return beyond(&what);
    }
    if answer.method.is_some_and(|method| method != Method::Full) {
        return beyond("adapters");
    }
    match answer.optimizer {
        None | Some(Optimizer::Adamw) => {}
        Some(other) => return beyond(&format!("the optimizer {}", other.name())),
    }
    let parameters = match answer.precision {
        Precision::Bf16 => "bfloat16",
        Precision::Fp32 => "float32",
        other => return beyond(other.name()),
    };
    let (replicate, shard) = if sharded {
        (replicas / layout.shard, layout.shard / layout.context)
    } else {
        (layout.data, 1)
    };
    // A pipeline cuts what a rank holds into micro-batches by itself; without one gradients are accumulated.
    let local = if layout.pipeline > 1 {
        answer.global_batch_sequences / u64::from(layout.data)
    } else {
        u64::from(layout.micro_batch)
    };
    let known = CONFIGURATIONS
        .iter()
        .find(|(name, ..)| *name == answer.model);
    let mut arguments = vec![
        format!(
            "--module {}",
            known.map_or("REPLACE_WITH_YOUR_MODULE", |(_, module, _)| module)
        ),
        format!(
            "--config {}",
            known.map_or("REPLACE_WITH_YOUR_CONFIGURATION", |(.., config)| config)
        ),
        format!("--parallelism.data_parallel_replicate_degree {replicate}"),
        format!("--parallelism.data_parallel_shard_degree {shard}"),
        format!("--parallelism.tensor_parallel_degree {}", layout.tensor),
        format!("--parallelism.pipeline_parallel_degree {}", layout.pipeline),
        format!("--parallelism.context_parallel_degree {}", layout.context),
        format!("--parallelism.expert_parallel_degree {}", layout.expert),
        format!(
            "--parallelism.{}enable_sequence_parallel",
            if layout.sequence_parallel || layout.tensor == 1 {
                ""
            } else {
                "no-"
            }
        ),
        format!("--training.seq_len {}", answer.sequence_tokens),
        format!("--training.local_batch_size {local}"),
        format!(
            "--training.global_batch_size {}",
            answer.global_batch_sequences
        ),
        format!("--training.steps {}", answer.best.steps),
        format!("--training.mixed_precision_param {parameters}"),
    ];
    if sharded {
        // Parameters that stay whole between forward and backward are ZeRO-2.
        arguments.push(format!(
            "--parallelism.fsdp_reshard_after_forward {}",
            if layout.zero == 3 { "always" } else { "never" }
        ));
    }
    if layout.pipeline > 1 {
        arguments.push(format!(
            "--parallelism.pipeline_parallel_schedule {}",
            if layout.interleave > 1 {
                "Interleaved1F1B"
            } else {
                "1F1B"
            }
        ));
        arguments.push(format!(
            "--parallelism.pipeline_parallel_microbatch_size {}",
            layout.micro_batch
        ));
    }
    if layout.pipeline > 1 || layout.expert > 1 {
        // Refused beside CUDA graphs, which are on otherwise.
        arguments.push("--training.disable_cuda_graphs".to_owned());
    }
    // A subcommand, hence the last.
    arguments.push(format!(
        "activation_checkpoint:{}",
        match layout.recompute {
            Recompute::None => "none",
            Recompute::Selective => "selective",
            Recompute::Full => "full",
        }
    ));
    Ok(format!(
        "{}# arguments of torchtitan 0.3.0: torchrun ... -m torchtitan.train $(grep -v '^#' FILE)\n{}\n",
        about(answer, "#"),
        arguments.join("\n")
    ))
}
