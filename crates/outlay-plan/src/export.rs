//! Writes a plan as the settings of the tools that run it.
//!
//! Each format carries the chosen layout whole, or is refused: a setting that a tool cannot express is never dropped.

mod axolotl;
mod nemo;
mod torchtitan;

use crate::layout::{Layout, Offload, Recompute, Schedule};
use crate::train::{Answer, Plan};
use crate::workload::Precision;

/// Tools that a plan can be written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// A SkyPilot task (YAML).
    Skypilot,
    /// A Slurm batch script.
    Slurm,
    /// A Kubernetes job, one pod for each node (YAML).
    Kubernetes,
    /// A configuration of Hugging Face Accelerate (YAML): FSDP, or plain data parallelism.
    Accelerate,
    /// A DeepSpeed configuration (JSON).
    Deepspeed,
    /// Arguments of Megatron-LM's `pretrain_gpt.py`.
    Megatron,
    /// Arguments of torchtitan's `torchtitan.train`.
    Torchtitan,
    /// Overrides of a recipe of NeMo's Megatron-Bridge (YAML).
    Nemo,
    /// An Axolotl configuration (YAML).
    Axolotl,
}

impl ExportFormat {
    /// Every format, in the order of help texts.
    pub const ALL: [Self; 9] = [
        Self::Skypilot,
        Self::Slurm,
        Self::Kubernetes,
        Self::Accelerate,
        Self::Deepspeed,
        Self::Megatron,
        Self::Torchtitan,
        Self::Nemo,
        Self::Axolotl,
    ];

    /// The name that people type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skypilot => "skypilot",
            Self::Slurm => "slurm",
            Self::Kubernetes => "kubernetes",
            Self::Accelerate => "accelerate",
            Self::Deepspeed => "deepspeed",
            Self::Megatron => "megatron",
            Self::Torchtitan => "torchtitan",
            Self::Nemo => "nemo",
            Self::Axolotl => "axolotl",
        }
    }

    /// Reads a name; `None` where it is not one of [`Self::ALL`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|format| format.name().eq_ignore_ascii_case(name.trim()))
    }
}

/// Names of accelerators as SkyPilot has them, by our ids.
const SKYPILOT_NAMES: &[(&str, &str)] = &[
    ("V100-16GB-SXM", "V100"),
    ("V100-32GB-SXM", "V100-32GB"),
    ("A100-40GB-SXM", "A100"),
    ("A100-80GB-SXM", "A100-80GB"),
    ("H100-SXM", "H100"),
    ("H200", "H200"),
    ("B200", "B200"),
    ("B300", "B300"),
    ("GB200", "GB200"),
    ("A10G", "A10G"),
    ("L4", "L4"),
    ("L40S", "L40S"),
    ("RTX-3090", "RTX3090"),
    ("RTX-4090", "RTX4090"),
    ("RTX-5090", "RTX5090"),
    ("RTX-A6000", "RTXA6000"),
    ("MI300X", "MI300X"),
];

/// What a launcher needs to know.
struct Launch {
    nodes: u32,
    each: u32,
    accumulation: u64,
}

fn launch(answer: &Answer) -> Launch {
    let plan = &answer.best;
    // Whole nodes; fewer accelerators are one node.
    let node = outlay_catalog::find_accelerator(&plan.accelerator)
        .map_or(8, |accelerator| accelerator.node_size.max(1));
    let each = if plan.count.is_multiple_of(node) {
        node
    } else {
        plan.count
    };
    let layout = &plan.layout;
    let together = u64::from(layout.data) * u64::from(layout.micro_batch);
    Launch {
        nodes: plan.count / each,
        each,
        accumulation: (answer.global_batch_sequences / together.max(1)).max(1),
    }
}

/// The whole layout as variables that a training script can read.
fn variables(answer: &Answer) -> Vec<(&'static str, String)> {
    let layout = &answer.best.layout;
    let recompute = match layout.recompute {
        Recompute::None => "none",
        Recompute::Selective => "selective",
        Recompute::Full => "full",
    };
    let schedule = match (layout.schedule, layout.interleave > 1) {
        (Schedule::ZeroBubble, _) => "zero-bubble",
        (_, true) => "interleaved-1f1b",
        _ => "1f1b",
    };
    let offload = match layout.offload {
        Offload::None => "none",
        Offload::Cpu => "cpu",
        Offload::Nvme => "nvme",
    };
    vec![
        ("DATA_PARALLEL", layout.data.to_string()),
        ("TENSOR_PARALLEL", layout.tensor.to_string()),
        (
            "SEQUENCE_PARALLEL",
            u8::from(layout.sequence_parallel).to_string(),
        ),
        ("PIPELINE_PARALLEL", layout.pipeline.to_string()),
        ("PIPELINE_CHUNKS", layout.interleave.to_string()),
        ("PIPELINE_SCHEDULE", schedule.to_owned()),
        ("CONTEXT_PARALLEL", layout.context.to_string()),
        ("EXPERT_PARALLEL", layout.expert.to_string()),
        ("ZERO_STAGE", layout.zero.to_string()),
        ("SHARD_RANKS", layout.shard.to_string()),
        ("RECOMPUTE", recompute.to_owned()),
        ("OFFLOAD", offload.to_owned()),
        ("PRECISION", answer.precision.name().to_owned()),
        ("SEQUENCE_LENGTH", answer.sequence_tokens.to_string()),
        ("MICRO_BATCH", layout.micro_batch.to_string()),
        (
            "GRADIENT_ACCUMULATION",
            launch(answer).accumulation.to_string(),
        ),
        ("STEPS", answer.best.steps.to_string()),
    ]
}

/// Variables, each written in a tool's way.
fn each_variable(answer: &Answer, write: impl Fn(&str, &str) -> String) -> String {
    variables(answer)
        .iter()
        .map(|(name, value)| write(name, value))
        .collect()
}

/// What a plan trains beyond the parameters of one model, or leaves out of it, in words; `None`: nothing.
fn beyond_one_model(answer: &Answer) -> Option<String> {
    let networks: Vec<&str> = answer
        .beside
        .iter()
        .map(String::as_str)
        .filter(|name| *name != "frozen")
        .collect();
    if !networks.is_empty() {
        Some(format!("{} beside the model", networks.join(", ")))
    } else if !answer.beside.is_empty() {
        Some("frozen layers".to_owned())
    } else if answer.adapters.is_some_and(|adapters| adapters.bottleneck) {
        Some("bottleneck adapters".to_owned())
    } else {
        None
    }
}

/// Refuses what a tool has no setting for.
fn only(tool: &str, layout: &Layout, cannot: &[(bool, &str)]) -> Result<(), String> {
    match cannot.iter().find(|(used, _)| *used) {
        Some((_, what)) => Err(format!(
            "{tool} has no setting for {what}, which the layout `{}` uses; choose another layout with --layout, or another format",
            layout.brief()
        )),
        None => Ok(()),
    }
}

/// Writes the chosen plan of an answer for a tool.
///
/// # Errors
/// One sentence that names what the tool cannot express.
pub fn export(format: ExportFormat, answer: &Answer) -> Result<String, String> {
    if !answer.best.stages.is_empty() {
        return Err(
            "a run of several parts has a layout for each; plan its parts one by one, and export each".to_owned(),
        );
    }
    match format {
        ExportFormat::Skypilot => skypilot(answer),
        ExportFormat::Slurm => Ok(slurm(answer)),
        ExportFormat::Kubernetes => Ok(kubernetes(answer)),
        ExportFormat::Accelerate => accelerate(answer),
        ExportFormat::Deepspeed => deepspeed(answer),
        ExportFormat::Megatron => megatron(answer),
        ExportFormat::Torchtitan => torchtitan::torchtitan(answer),
        ExportFormat::Nemo => nemo::nemo(answer),
        ExportFormat::Axolotl => axolotl::axolotl(answer),
    }
}

fn about(answer: &Answer, comment: &str) -> String {
    let plan = &answer.best;
    let cost = plan.usd.map_or_else(
        || "no price known".to_owned(),
        |usd| {
            format!(
                "{} ({} to {})",
                outlay_units::usd(usd.p50),
                outlay_units::usd(usd.p10),
                outlay_units::usd(usd.p90)
            )
        },
    );
    format!(
        "{comment} {} on {} x {}: {}\n{comment} predicted: {cost}, {} ({} to {})\n",
        answer.model,
        plan.count,
        plan.accelerator,
        plan.layout_brief,
        outlay_units::duration(plan.wall_clock_s.p50),
        outlay_units::duration(plan.wall_clock_s.p10),
        outlay_units::duration(plan.wall_clock_s.p90),
    )
}

/// A name of letters, digits and hyphens, as launchers want it.
fn job_name(answer: &Answer) -> String {
    let name: String = answer
        .model
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(40)
        .collect();
    format!("train-{}", name.trim_matches('-'))
}

const TORCHRUN: &str = "torchrun --nnodes \"$NODES\" --node_rank \"$NODE_RANK\" --nproc_per_node \"$GPUS_PER_NODE\" \\\n  --master_addr \"$HEAD\" --master_port 29500 train.py";

/// SkyPilot's name of an accelerator.
///
/// # Errors
/// A sentence with the names that are known.
pub(crate) fn skypilot_name(accelerator: &str) -> Result<&'static str, String> {
    SKYPILOT_NAMES
        .iter()
        .find(|(id, _)| *id == accelerator)
        .map(|(_, name)| *name)
        .ok_or_else(|| {
            format!(
                "SkyPilot's name of {accelerator} is not known; known: {}",
                SKYPILOT_NAMES
                    .iter()
                    .map(|(id, _)| *id)
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        })
}

fn skypilot(answer: &Answer) -> Result<String, String> {
    let plan = &answer.best;
    let launch = launch(answer);
    let name = skypilot_name(&plan.accelerator)?;
    Ok(format!(
        "{}name: {}
num_nodes: {}
resources:
  accelerators: {name}:{}
  use_spot: {}
  job_recovery: FAILOVER
envs:
{}run: |
  export NODES=$SKYPILOT_NUM_NODES NODE_RANK=$SKYPILOT_NODE_RANK GPUS_PER_NODE=$SKYPILOT_NUM_GPUS_PER_NODE
  export HEAD=$(echo \"$SKYPILOT_NODE_IPS\" | head -n1)
  {}
",
        about(answer, "#"),
        job_name(answer),
        launch.nodes,
        launch.each,
        plan.pricing == "spot",
        each_variable(answer, |name, value| format!("  {name}: \"{value}\"\n")),
        TORCHRUN.replace("\n  ", "\n    "),
    ))
}

fn slurm(answer: &Answer) -> String {
    let launch = launch(answer);
    let plan = &answer.best;
    // Slurm wants whole hours and minutes: the ninetieth percentile, rounded up.
    let minutes = (plan.wall_clock_s.p90 / 60.0).ceil().max(1.0) as u64;
    format!(
        "#!/bin/bash
{}#SBATCH --job-name={}
#SBATCH --nodes={}
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node={}
#SBATCH --exclusive
#SBATCH --time={}-{:02}:{:02}:00

export NODES=$SLURM_NNODES GPUS_PER_NODE={}
export HEAD=$(scontrol show hostnames \"$SLURM_JOB_NODELIST\" | head -n1)
{}srun bash -c 'export NODE_RANK=$SLURM_NODEID; {}'
",
        about(answer, "#"),
        job_name(answer),
        launch.nodes,
        launch.each,
        minutes / 1440,
        minutes / 60 % 24,
        minutes % 60,
        launch.each,
        each_variable(answer, |name, value| format!("export {name}={value}\n")),
        TORCHRUN.replace("\\\n  ", ""),
    )
}

fn kubernetes(answer: &Answer) -> String {
    let launch = launch(answer);
    let plan = &answer.best;
    let name = job_name(answer);
    let resource = if plan.accelerator.starts_with("MI") {
        "amd.com/gpu"
    } else if plan.accelerator.starts_with("Gaudi") {
        "habana.ai/gaudi"
    } else if plan.accelerator.starts_with("TPU") {
        "google.com/tpu"
    } else {
        "nvidia.com/gpu"
    };
    format!(
        "{}apiVersion: v1
kind: Service
metadata:
  name: {name}
spec:
  clusterIP: None
  selector:
    job-name: {name}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
spec:
  completionMode: Indexed
  completions: {nodes}
  parallelism: {nodes}
  backoffLimit: 100
  template:
    spec:
      subdomain: {name}
      restartPolicy: Never
      containers:
        - name: train
          image: REPLACE_WITH_YOUR_IMAGE
          env:
            - {{ name: NODES, value: \"{nodes}\" }}
            - {{ name: GPUS_PER_NODE, value: \"{each}\" }}
            - {{ name: HEAD, value: \"{name}-0.{name}\" }}
{variables}          command: [\"bash\", \"-c\"]
          args:
            - >-
              export NODE_RANK=$JOB_COMPLETION_INDEX;
              {command}
          resources:
            limits:
              {resource}: {each}
",
        about(answer, "#"),
        nodes = launch.nodes,
        each = launch.each,
        variables = each_variable(answer, |name, value| format!(
            "            - {{ name: {name}, value: \"{value}\" }}\n"
        )),
        command = TORCHRUN.replace("\\\n  ", ""),
    )
}

/// What only Megatron has settings for.
fn one_dimensional(tool: &str, layout: &Layout) -> Result<(), String> {
    only(
        tool,
        layout,
        &[
            (layout.tensor > 1, "tensor parallelism"),
            (layout.pipeline > 1, "pipeline parallelism"),
            (layout.context > 1, "context parallelism"),
            (layout.expert > 1, "expert parallelism"),
            (
                layout.recompute == Recompute::Selective,
                "selective recomputation",
            ),
        ],
    )
}

fn mixed(answer: &Answer, tool: &str) -> Result<&'static str, String> {
    match answer.precision {
        Precision::Bf16 => Ok("bf16"),
        Precision::Fp16 => Ok("fp16"),
        Precision::Fp32 | Precision::Tf32 => Ok("no"),
        Precision::Fp8 => Ok("fp8"),
        other => Err(format!("{tool} has no setting for {}", other.name())),
    }
}

fn accelerate(answer: &Answer) -> Result<String, String> {
    let Plan { layout, count, .. } = &answer.best;
    one_dimensional("Accelerate", layout)?;
    only(
        "Accelerate",
        layout,
        &[
            (matches!(layout.zero, 1), "ZeRO-1 without DeepSpeed"),
            // Its own offload takes the parameters along.
            (
                layout.offload != Offload::None,
                "offload of the optimizer's state alone under FSDP",
            ),
        ],
    )?;
    let launch = launch(answer);
    let precision = mixed(answer, "Accelerate")?;
    let mut out = about(answer, "#");
    // No keys of this file: the script sets them.
    out.push_str(&format!(
        "# in the script: Accelerator(gradient_accumulation_steps={}), batches of {} on each process\n",
        launch.accumulation, layout.micro_batch
    ));
    let distributed = if layout.zero >= 2 {
        "FSDP"
    } else if *count > 1 {
        "MULTI_GPU"
    } else {
        "NO"
    };
    out.push_str(&format!(
        "compute_environment: LOCAL_MACHINE
distributed_type: {distributed}
mixed_precision: '{precision}'
num_machines: {}
num_processes: {count}
machine_rank: 0
main_training_function: main
",
        launch.nodes
    ));
    if layout.zero >= 2 {
        let hybrid = layout.zero == 3 && layout.shard < layout.data * layout.context;
        let strategy = match (layout.zero, hybrid) {
            (2, _) => "SHARD_GRAD_OP",
            (_, true) => "HYBRID_SHARD",
            _ => "FULL_SHARD",
        };
        out.push_str(&format!(
            "fsdp_config:
  fsdp_version: 1
  fsdp_sharding_strategy: {strategy}
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_activation_checkpointing: {}
  fsdp_offload_params: false
  fsdp_state_dict_type: SHARDED_STATE_DICT
  fsdp_use_orig_params: true
  fsdp_cpu_ram_efficient_loading: true
  fsdp_sync_module_states: true
",
            layout.recompute == Recompute::Full,
        ));
    }
    Ok(out)
}

fn deepspeed(answer: &Answer) -> Result<String, String> {
    serde_json::to_string_pretty(&deepspeed_settings(answer)?)
        .map(|text| text + "\n")
        .map_err(|error| error.to_string())
}

fn deepspeed_settings(answer: &Answer) -> Result<serde_json::Value, String> {
    let layout = &answer.best.layout;
    only(
        "a DeepSpeed configuration",
        layout,
        &[
            (layout.tensor > 1, "tensor parallelism"),
            (layout.pipeline > 1, "pipeline parallelism"),
            (layout.context > 1, "context parallelism"),
            (layout.expert > 1, "expert parallelism"),
            (
                layout.zero == 3 && layout.shard < layout.data,
                "hybrid sharding",
            ),
        ],
    )?;
    let launch = launch(answer);
    let mut zero = serde_json::json!({
        "stage": layout.zero, "overlap_comm": true, "contiguous_gradients": true,
    });
    match layout.offload {
        Offload::None => {}
        Offload::Cpu => {
            zero["offload_optimizer"] = serde_json::json!({ "device": "cpu", "pin_memory": true });
        }
        Offload::Nvme => {
            zero["offload_optimizer"] =
                serde_json::json!({ "device": "nvme", "nvme_path": "/local_nvme" });
        }
    }
    let mut out = serde_json::json!({
        "train_batch_size": answer.global_batch_sequences,
        "train_micro_batch_size_per_gpu": layout.micro_batch,
        "gradient_accumulation_steps": launch.accumulation,
        "zero_optimization": zero,
        "gradient_clipping": 1.0,
    });
    match answer.precision {
        Precision::Bf16 => out["bf16"] = serde_json::json!({ "enabled": true }),
        Precision::Fp16 => out["fp16"] = serde_json::json!({ "enabled": true }),
        Precision::Fp32 | Precision::Tf32 => {}
        other => return Err(format!("DeepSpeed has no setting for {}", other.name())),
    }
    if layout.recompute != Recompute::None {
        // DeepSpeed's own settings; the model decides which layers are checkpointed.
        out["activation_checkpointing"] = serde_json::json!({ "partition_activations": false });
    }
    Ok(out)
}

fn megatron(answer: &Answer) -> Result<String, String> {
    let layout = &answer.best.layout;
    let beyond =
        beyond_one_model(answer).or_else(|| answer.adapters.map(|_| "adapters".to_owned()));
    if let Some(what) = beyond {
        return Err(format!(
            "Megatron-LM's pretraining script has no setting for {what}; choose another format"
        ));
    }
    only(
        "Megatron-LM",
        layout,
        &[
            (layout.offload == Offload::Nvme, "offload to NVMe"),
            (
                layout.schedule == Schedule::ZeroBubble,
                "a zero-bubble schedule",
            ),
        ],
    )?;
    let mut args = vec![
        format!("--tensor-model-parallel-size {}", layout.tensor),
        format!("--pipeline-model-parallel-size {}", layout.pipeline),
        format!("--context-parallel-size {}", layout.context),
        format!("--micro-batch-size {}", layout.micro_batch),
        format!("--global-batch-size {}", answer.global_batch_sequences),
        format!("--seq-length {}", answer.sequence_tokens),
        format!("--train-iters {}", answer.best.steps),
    ];
    if layout.expert > 1 {
        // Expert-parallel ranks are taken out of the tensor-parallel ones too.
        args.push(format!(
            "--expert-model-parallel-size {} --expert-tensor-parallel-size 1",
            layout.expert
        ));
    }
    if layout.interleave > 1 {
        args.push(format!(
            "--num-virtual-stages-per-pipeline-rank {}",
            layout.interleave
        ));
    }
    if layout.sequence_parallel {
        args.push("--sequence-parallel".to_owned());
    }
    match layout.zero {
        0 => {}
        1 => args.push("--use-distributed-optimizer".to_owned()),
        2 => args.push(
            "--use-distributed-optimizer --use-megatron-fsdp --data-parallel-sharding-strategy optim_grads".to_owned(),
        ),
        _ => args.push(
            "--use-distributed-optimizer --use-megatron-fsdp --data-parallel-sharding-strategy optim_grads_params".to_owned(),
        ),
    }
    let instances = layout.data * layout.context / layout.shard.max(1);
    if layout.zero >= 1 && instances > 1 {
        args.push(format!("--num-distributed-optimizer-instances {instances}"));
    }
    match layout.recompute {
        Recompute::None => {}
        Recompute::Selective => args.push("--recompute-activations".to_owned()),
        Recompute::Full => args.push(
            "--recompute-granularity full --recompute-method uniform --recompute-num-layers 1"
                .to_owned(),
        ),
    }
    if layout.offload == Offload::Cpu {
        args.push("--optimizer-cpu-offload".to_owned());
    }
    match answer.precision {
        Precision::Bf16 => args.push("--bf16".to_owned()),
        Precision::Fp16 => args.push("--fp16".to_owned()),
        Precision::Fp8 => args.push("--bf16 --fp8-format hybrid".to_owned()),
        Precision::Mxfp8 => args.push("--bf16 --fp8-format e4m3 --fp8-recipe mxfp8".to_owned()),
        Precision::Fp32 | Precision::Tf32 => {}
        other => return Err(format!("Megatron-LM has no setting for {}", other.name())),
    }
    Ok(format!("{}{}\n", about(answer, "#"), args.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constants::Calibration;
    use crate::train::{Choice, Question, plan_train};
    use crate::workload::{AttentionKernel, Framework, Method, Optimizer, SOFTWARE_YEAR, Workload};

    fn answer(layout: &str) -> Answer {
        answer_to(layout, |_| {})
    }

    /// An answer to the question that `change` makes of the usual one, with a layout whether it is legal and fits or not.
    fn answer_to(layout: &str, change: impl Fn(&mut Workload)) -> Answer {
        let mut workload = Workload {
            model: outlay_model::find("llama-3.1-8b").unwrap().model().unwrap(),
            sequence_tokens: 4096,
            global_batch_sequences: 1024,
            tokens_total: 1e12,
            precision: Precision::Bf16,
            optimizer: Optimizer::Adamw,
            method: Method::Full,
            adapters: crate::Adapters::default(),
            framework: Framework::Megatron,
            attention: AttentionKernel::Fused,
            channels_last: false,
            software_year: SOFTWARE_YEAR,
        };
        change(&mut workload);
        let question = Question {
            workload: &workload,
            choices: vec![Choice {
                accelerator: outlay_catalog::find_accelerator("H100-SXM").unwrap(),
                count: Some(64),
                offers: Vec::new(),
            }],
            budget_usd: None,
            deadline_s: None,
            layout: Some(Layout::parse("FSDP mb1 full-recompute", 64).unwrap()),
            carbon: |_, _| (400.0, String::new()),
            pue: 1.2,
            framework_given: true,
            own_calibration: false,
            exhaustive: false,
            usual_only: false,
            stages: Vec::new(),
            most_recompute: Recompute::Full,
        };
        let mut answer = plan_train(&question, &Calibration::built_in()).unwrap();
        answer.best.layout = Layout::parse(layout, 64).unwrap();
        answer.best.layout_brief = answer.best.layout.brief();
        answer
    }

    #[test]
    fn every_degree_of_the_layout_is_written() {
        let answer = answer("TP4 PP4x2 DP4 ZeRO-1 mb2 selective");
        for (format, expected) in [
            (
                ExportFormat::Skypilot,
                &[
                    "num_nodes: 8",
                    "H100:8",
                    "TENSOR_PARALLEL: \"4\"",
                    "PIPELINE_CHUNKS: \"2\"",
                    "ZERO_STAGE: \"1\"",
                ][..],
            ),
            (
                ExportFormat::Slurm,
                &[
                    "#SBATCH --nodes=8",
                    "--gpus-per-node=8",
                    "export PIPELINE_PARALLEL=4",
                    "RECOMPUTE=selective",
                ],
            ),
            (
                ExportFormat::Kubernetes,
                &[
                    "completions: 8",
                    "nvidia.com/gpu: 8",
                    "GRADIENT_ACCUMULATION, value: \"128\"",
                ],
            ),
            (
                ExportFormat::Megatron,
                &[
                    "--tensor-model-parallel-size 4",
                    "--pipeline-model-parallel-size 4",
                    "--num-virtual-stages-per-pipeline-rank 2",
                    "--micro-batch-size 2",
                    "--global-batch-size 1024",
                    "--sequence-parallel",
                    "--use-distributed-optimizer",
                    "--recompute-activations",
                    "--bf16",
                ],
            ),
            (
                ExportFormat::Nemo,
                &[
                    "  tensor_model_parallel_size: 4",
                    "  sequence_parallel: true",
                    "  pipeline_model_parallel_size: 4",
                    "  virtual_pipeline_model_parallel_size: 2",
                    "  recompute_granularity: selective",
                    "  micro_batch_size: 2",
                    "  global_batch_size: 1024",
                    "  use_distributed_optimizer: true",
                    "mixed_precision: bf16_mixed",
                ],
            ),
        ] {
            let text = export(format, &answer).unwrap();
            for part in expected {
                assert!(text.contains(part), "{format:?}: no `{part}` in\n{text}");
            }
        }
    }

    #[test]
    fn what_a_tool_cannot_express_is_refused() {
        let tensor = answer("TP4 DP16 ZeRO-1 mb1 selective");
        for format in [ExportFormat::Accelerate, ExportFormat::Deepspeed] {
            let message = export(format, &tensor).unwrap_err();
            assert!(message.contains("tensor parallelism"), "{message}");
        }
        let hybrid = answer("HSDP8 mb1");
        assert!(
            export(ExportFormat::Deepspeed, &hybrid)
                .unwrap_err()
                .contains("hybrid")
        );
        assert!(
            export(ExportFormat::Accelerate, &hybrid)
                .unwrap()
                .contains("HYBRID_SHARD")
        );
        let sharded = export(ExportFormat::Deepspeed, &answer("FSDP mb1")).unwrap();
        let value: serde_json::Value = serde_json::from_str(&sharded).unwrap();
        // DeepSpeed's own rule: the batch is micro-batch x accumulation x ranks.
        assert_eq!(value["train_batch_size"], 1024);
        assert_eq!(value["gradient_accumulation_steps"], 16);
        assert_eq!(value["zero_optimization"]["stage"], 3);
    }

    #[test]
    fn torchtitan_gets_the_mesh_and_the_micro_batches() {
        let text = export(
            ExportFormat::Torchtitan,
            &answer("TP4 PP2x2 CP2 HSDP4 mb2 full-recompute"),
        )
        .unwrap();
        // 64 = replicate 2 x shard 2 x TP 4 x PP 2 x CP 2; a pipeline holds 1024 / 4 sequences.
        for part in [
            "--module llama3",
            "--config llama3_8b",
            "--parallelism.data_parallel_replicate_degree 2",
            "--parallelism.data_parallel_shard_degree 2",
            "--parallelism.tensor_parallel_degree 4",
            "--parallelism.pipeline_parallel_degree 2",
            "--parallelism.context_parallel_degree 2",
            "--parallelism.fsdp_reshard_after_forward always",
            "--parallelism.pipeline_parallel_schedule Interleaved1F1B",
            "--parallelism.pipeline_parallel_microbatch_size 2",
            "--training.local_batch_size 256",
            "--training.global_batch_size 1024",
            "--training.disable_cuda_graphs",
            "activation_checkpoint:full",
        ] {
            assert!(text.lines().any(|line| line == part), "`{part}`: {text}");
        }
        for (layout, expected) in [
            ("TP4 ZeRO-1 mb1", "ZeRO-1"),
            ("PP2x4 ZeRO-0 mb1", "two chunks"),
            ("PP2 ZeRO-0 mb1 zero-bubble", "ZB-H1"),
            ("CP2 ZeRO-0 mb1", "context parallelism"),
            ("FSDP mb1 offload-cpu", "offload"),
        ] {
            let error = export(ExportFormat::Torchtitan, &answer(layout)).unwrap_err();
            assert!(error.contains(expected), "{layout}: {error}");
        }
        let adapted = answer_to("FSDP mb1", |workload| workload.method = Method::Lora);
        let error = export(ExportFormat::Torchtitan, &adapted).unwrap_err();
        assert!(error.contains("adapters"), "{error}");
    }

    #[test]
    fn nemo_gets_sharding_offload_and_adapters() {
        let text = export(ExportFormat::Nemo, &answer("CP2 HSDP8 mb1 full-recompute")).unwrap();
        for part in [
            "  context_parallel_size: 2",
            "  recompute_method: uniform",
            "  num_distributed_optimizer_instances: 8",
            "  use_megatron_fsdp: true",
            "  data_parallel_sharding_strategy: optim_grads_params",
            "  ckpt_format: fsdp_dtensor",
        ] {
            assert!(text.lines().any(|line| line == part), "`{part}`: {text}");
        }
        let offloaded = export(ExportFormat::Nemo, &answer("ZeRO-1 mb1 offload-cpu")).unwrap();
        assert!(offloaded.contains("optimizer_offload_fraction: 1.0"));
        let adapted = |method, targets| {
            export(
                ExportFormat::Nemo,
                &answer_to("TP4 ZeRO-1 mb1", |workload| {
                    workload.method = method;
                    workload.adapters.targets = targets;
                }),
            )
        };
        let named = adapted(Method::Lora, crate::Targets::QueryValue).unwrap();
        assert!(named.contains("CanonicalLoRA") && named.contains("[linear_q, linear_v]"));
        let joined = adapted(Method::Lora, crate::Targets::All).unwrap();
        assert!(joined.contains("linear_fc2]") && joined.contains("dim: 16"));
        for (text, expected) in [
            (adapted(Method::Qlora, crate::Targets::All), "4-bit"),
            (
                export(ExportFormat::Nemo, &answer("PP2 ZeRO-1 mb1 zero-bubble")),
                "zero-bubble",
            ),
            (
                export(
                    ExportFormat::Nemo,
                    &answer_to("ZeRO-1 mb1", |workload| {
                        workload.optimizer = Optimizer::Adam8bit;
                    }),
                ),
                "adam8bit",
            ),
        ] {
            let error = text.unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn axolotl_gets_adapters_and_sharding() {
        let tuned = |layout: &str, method, targets| {
            export(
                ExportFormat::Axolotl,
                &answer_to(layout, |workload| {
                    workload.method = method;
                    workload.adapters.targets = targets;
                }),
            )
        };
        let sharded = tuned("HSDP8 mb2", Method::Qlora, crate::Targets::All).unwrap();
        for part in [
            "adapter: qlora",
            "load_in_4bit: true",
            "lora_r: 16",
            "lora_target_linear: true",
            "micro_batch_size: 2",
            "gradient_accumulation_steps: 8",
            "dp_replicate_size: 8",
            "dp_shard_size: 8",
            "  reshard_after_forward: true",
        ] {
            assert!(
                sharded.lines().any(|line| line == part),
                "`{part}`: {sharded}"
            );
        }
        let lora = tuned("ZeRO-1 mb1", Method::Lora, crate::Targets::QueryValue).unwrap();
        assert!(lora.contains("lora_target_modules: [q_proj, v_proj]"));
        let line = lora
            .lines()
            .find_map(|line| line.strip_prefix("deepspeed: "))
            .unwrap();
        let settings: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(settings["zero_optimization"]["stage"], 1);
        let cut = export(ExportFormat::Axolotl, &answer("TP2 CP2 FSDP no-SP mb1")).unwrap();
        for part in [
            "tensor_parallel_size: 2",
            "context_parallel_size: 2",
            "dp_shard_size: 16",
        ] {
            assert!(cut.lines().any(|line| line == part), "`{part}`: {cut}");
        }
        for (layout, expected) in [
            ("PP2 ZeRO-0 mb1", "pipeline"),
            ("TP2 FSDP mb1", "sequence parallelism"),
            ("TP2 ZeRO-1 no-SP mb1", "beside DeepSpeed"),
            ("CP2 FSDP mb2", "packed"),
            ("CP2 ZeRO-0 mb1", "parallelism"),
        ] {
            let error = export(ExportFormat::Axolotl, &answer(layout)).unwrap_err();
            assert!(error.contains(expected), "{layout}: {error}");
        }
        let error = tuned("FSDP mb1 selective", Method::Lora, crate::Targets::All).unwrap_err();
        assert!(error.contains("beside adapters"), "{error}");
        let taught = answer_to("FSDP mb1", |workload| {
            let teacher = workload.model.clone();
            workload.model.add_forward(&teacher, "teacher", true);
        });
        let error = export(ExportFormat::Axolotl, &taught).unwrap_err();
        assert!(error.contains("teacher"), "{error}");
    }
}
