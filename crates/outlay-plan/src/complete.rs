//! From a row of a table to a case: the rules that fill what a row leaves open.
//!
//! The rules never look at the measured value; every assumption is kept as a sentence beside the prediction.

use outlay_catalog::{Accelerator, find_accelerator};
use outlay_model::{Family, Input, Model, ShapeTable, find, from_shape};

use crate::adapters::{Adapters, Targets};
use crate::constants::Calibration;
use crate::layout::{Layout, Offload, Recompute, Schedule};
use crate::measured::{Case, MeasuredRow, MemoryPart, Metric};
use crate::search::{Space, search};
use crate::step::Costing;
use crate::workload::{
    AttentionKernel, Framework, Method, Optimizer, Precision, SOFTWARE_YEAR, Workload,
};

/// Training software of known publishers, by the start of the source.
const FRAMEWORKS: &[(&str, Framework)] = &[
    ("mosaicml/", Framework::Fsdp),
    ("pytorch/torchtitan", Framework::Fsdp),
    ("InternLM/", Framework::Internevo),
    ("NVIDIA/DeepLearningExamples", Framework::Pytorch),
    ("NVIDIA", Framework::Megatron),
    ("Korthikanti", Framework::Megatron),
    ("Narayanan", Framework::Megatron),
    ("VIA-Research/", Framework::MegatronDeepspeed),
    ("bigscience", Framework::MegatronDeepspeed),
    ("AI-Hypercomputer/", Framework::Jax),
    ("stanford-crfm/levanter", Framework::Jax),
    ("Lightning-AI/", Framework::Pytorch),
    ("jzhang38/", Framework::Fsdp),
];

/// The shape of a decoder of so many parameters, for rows that give no shape: 12 L h^2 parameters with the
/// aspect ratio h = 100 L that trained models cluster around (arXiv:2001.08361, figure 5, finds loss flat there).
pub(crate) fn shape_from_parameters(parameters: f64, vocabulary: u64) -> (u64, u64) {
    let mut best = (1, 128);
    let mut gap = f64::INFINITY;
    for layers in 4..=160u64 {
        let hidden = ((parameters / (12.0 * layers as f64)).sqrt() / 128.0)
            .round()
            .max(1.0) as u64
            * 128;
        let count = 12.0 * layers as f64 * (hidden as f64).powi(2) + (vocabulary * hidden) as f64;
        let aspect = (hidden as f64 / layers as f64 / 100.0).ln().abs();
        let miss = (count / parameters).ln().abs() * 4.0 + aspect;
        if miss < gap {
            gap = miss;
            best = (layers, hidden);
        }
    }
    best
}

fn whole(value: Option<f64>) -> Option<u64> {
    value
        .filter(|value| *value >= 1.0 && value.fract() == 0.0 && *value < 1e9)
        .map(|value| value as u64)
}

fn model_of(row: &MeasuredRow, assumed: &mut Vec<String>) -> Result<Model, String> {
    if let Ok(built_in) = find(&row.model) {
        let model = built_in.model().map_err(|error| error.to_string())?;
        // Networks whose blocks have positions of their own: the length is the side of the picture, in pixels.
        if model.sample.positions == Some(1)
            && let Some(side) = whole(row.seq_len)
        {
            let input = Input {
                height_px: Some(side),
                ..Input::default()
            };
            return built_in
                .model_with(&input)
                .map_err(|error| error.to_string());
        }
        return Ok(model);
    }
    if matches!(row.family.as_str(), "diffusion" | "vision") {
        return Err(format!(
            "model `{}` is not built in, and the columns describe no {} model",
            row.model, row.family
        ));
    }
    let vocabulary = whole(row.vocab).unwrap_or(50_304);
    let (layers, hidden) = match (whole(row.layers), whole(row.hidden), row.params_total_b) {
        (Some(layers), Some(hidden), _) => (layers, hidden),
        (None, Some(hidden), Some(billions)) => {
            let per_layer = 12.0 * (hidden as f64).powi(2);
            let layers = ((billions * 1e9 - (vocabulary * hidden) as f64) / per_layer)
                .round()
                .max(1.0);
            assumed.push(format!("{layers} layers, from the parameter count"));
            (layers as u64, hidden)
        }
        (_, _, Some(billions)) if row.family != "moe" => {
            let shape = shape_from_parameters(billions * 1e9, vocabulary);
            assumed.push(format!(
                "{} layers of width {}, from the parameter count",
                shape.0, shape.1
            ));
            shape
        }
        _ => {
            return Err(format!(
                "model `{}` is not built in and its shape is not given",
                row.model
            ));
        }
    };
    if row.family == "moe" && whole(row.experts).is_none() {
        return Err(format!(
            "model `{}` is not built in and the number of experts is not given",
            row.model
        ));
    }
    let heads = whole(row.heads).unwrap_or_else(|| {
        let tensor = whole(row.tp).unwrap_or(1);
        let heads = (1..=hidden.min(512))
            .filter(|heads| hidden % heads == 0 && (heads % tensor == 0 || *heads < tensor))
            .min_by(|a, b| {
                let off = |heads: u64| (hidden as f64 / heads as f64 / 128.0).ln().abs();
                off(*a).total_cmp(&off(*b))
            })
            .unwrap_or(1);
        assumed.push(format!("{heads} heads of width {}", hidden / heads));
        heads
    });
    let table = ShapeTable {
        name: row.model.clone(),
        layers,
        hidden,
        ffn: whole(row.ffn).unwrap_or(4 * hidden),
        heads,
        kv_heads: whole(row.kv_heads),
        vocabulary,
        experts: whole(row.experts),
        experts_per_token: whole(row.experts_per_token),
        encoder: (row.family == "encoder").then_some(true),
        ..ShapeTable::default()
    };
    from_shape(&table).map_err(|error| error.to_string())
}

/// Published tables whose rows do not say how many tokens were computed: start of the source, sequence
/// length, and the reason. Written from what the source says about itself, never from a row's error.
const UNDETERMINED: &[(&str, f64, &str)] = &[(
    "NVIDIA/DeepLearningExamples:PyTorch/LanguageModeling/BERT",
    512.0,
    "the source counts sequences of up to 512 tokens and computes them in bins of 64 without the padding \
     (its changelog: binned pre-training for phase 2), so the tokens are not determined",
)];

/// Batches and sharding that a source states beside its table, for rows that leave them out.
struct Stated {
    /// Start of the source.
    start: &'static str,
    /// Samples in a step.
    global: u64,
    /// Samples in a micro-batch.
    micro: u64,
    /// ZeRO stage.
    zero: u8,
    /// Attention of the software that it names.
    attention: AttentionKernel,
}

/// mosaicml/diffusion, `yamls/hydra-yamls/SD-2-base-256.yaml` and `-512.yaml`: `train_batch_size`,
/// `device_train_microbatch_size`, `sharding_strategy: SHARD_GRAD_OP`; its README names PyTorch 1.13, whose fused attention
/// is that of xformers.
const STATED: &[Stated] = &[Stated {
    start: "mosaicml/diffusion",
    global: 2048,
    micro: 16,
    zero: 2,
    attention: AttentionKernel::Early,
}];

fn stated(row: &MeasuredRow) -> Option<&'static Stated> {
    STATED
        .iter()
        .find(|stated| row.source.starts_with(stated.start))
}

/// Samples on each accelerator where the notes state them: `batch per GPU 256 (128 for fp32/V100-16)`.
fn batch_on_each(notes: &str, accelerator: &Accelerator, precision: Precision) -> Option<u64> {
    let most = value_after(notes, "batch per GPU ")?;
    let small = notes
        .split("batch per GPU ")
        .nth(1)
        .filter(|rest| rest.contains("for fp32/V100-16"))
        .and_then(|rest| value_after(rest, "("));
    let cramped =
        precision == Precision::Fp32 || (accelerator.id.starts_with("V100-16") && small.is_some());
    whole(Some(if cramped { small.unwrap_or(most) } else { most }))
}

/// Network of a node in Gbit/s where the notes state it: `4x100Gb RoCE per node`, `800 Gb/s per 8-GPU node`.
fn network_from_notes(notes: &str) -> Option<f64> {
    for part in notes.split([';', ' ']) {
        if let Some((count, rest)) = part.split_once('x')
            && let (Ok(count), Some(rate)) = (count.parse::<f64>(), rest.strip_suffix("Gb"))
            && let Ok(rate) = rate.parse::<f64>()
        {
            return Some(count * rate);
        }
    }
    let before = notes
        .split(" Gb/s per ")
        .next()
        .filter(|before| before.len() < notes.len())?;
    before.rsplit([' ', ';']).next()?.parse().ok()
}

fn value_after(notes: &str, key: &str) -> Option<f64> {
    let rest = notes.split(key).nth(1)?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    rest[..end].trim_end_matches('.').parse().ok()
}

fn degree(name: &str, value: Option<f64>) -> Result<Option<u32>, String> {
    match value {
        None => Ok(None),
        Some(value) if value >= 1.0 && value.fract() == 0.0 && value <= 1e6 => {
            Ok(Some(value as u32))
        }
        Some(value) => Err(format!("{name} is {value}; allowed: whole numbers from 1")),
    }
}

/// Turns a row into a case, or says why it cannot be predicted.
///
/// # Errors
/// One sentence: what is missing, unknown or contradictory.
pub fn complete(row: &MeasuredRow, priors: &Calibration) -> Result<Case, String> {
    let measured = row.value.ok_or("value is empty")?;
    if measured <= 0.0 {
        return Err(format!("value is {measured}; allowed: more than 0"));
    }
    if measured > 1e15 || (row.metric == "mfu" && measured > 1.5) {
        return Err(format!(
            "value is {measured}; allowed: up to {}",
            if row.metric == "mfu" {
                "1.5 (a share, not a percentage)"
            } else {
                "1e15"
            }
        ));
    }
    for (name, value) in [
        ("layers", row.layers),
        ("hidden", row.hidden),
        ("ffn", row.ffn),
        ("heads", row.heads),
        ("kv_heads", row.kv_heads),
        ("vocab", row.vocab),
        ("experts", row.experts),
        ("experts_per_token", row.experts_per_token),
        ("seq_len", row.seq_len),
        ("global_batch_seqs", row.global_batch_seqs),
        ("micro_batch", row.micro_batch),
    ] {
        if let Some(value) = value
            && whole(Some(value)).is_none()
        {
            return Err(format!(
                "{name} is {value}; allowed: whole numbers from 1 to 1000000000"
            ));
        }
    }
    if row.notes.contains("not pure pretraining") {
        return Err("its notes say that the run was more than pre-training".to_owned());
    }
    if let Some(&(_, _, why)) = UNDETERMINED
        .iter()
        .find(|(start, length, _)| row.source.starts_with(start) && row.seq_len == Some(*length))
    {
        return Err(why.to_owned());
    }
    let metric = match row.metric.as_str() {
        "tokens_per_sec_per_gpu" => Metric::TokensPerSecond,
        "step_time_s" => Metric::StepTime,
        "tflops_per_gpu" => Metric::Tflops,
        "mfu" => Metric::Mfu,
        "memory_gib" if row.notes.contains("params+grads+optimizer only") => {
            Metric::Memory(MemoryPart::State)
        }
        "memory_gib" if row.notes.contains("activations only") => {
            Metric::Memory(MemoryPart::Activations)
        }
        "memory_gib" if row.notes.contains("reserved") => Metric::Memory(MemoryPart::Reserved),
        "memory_gib"
            if row.notes.contains("allocated") || row.source.starts_with("Lightning-AI/") =>
        {
            // litgpt prints `torch.cuda.max_memory_allocated`.
            Metric::Memory(MemoryPart::Allocated)
        }
        "memory_gib" => Metric::Memory(MemoryPart::Peak),
        "gpu_hours" => Metric::Hours,
        "images_per_sec_total" | "samples_per_sec_total" => Metric::SamplesPerSecond,
        other => {
            return Err(format!(
                "metric `{other}` is not known; known: tokens_per_sec_per_gpu, step_time_s, tflops_per_gpu, mfu, memory_gib, gpu_hours, images_per_sec_total, samples_per_sec_total"
            ));
        }
    };
    let accelerator = find_accelerator(&row.gpu).map_err(|error| error.to_string())?;
    let mut assumed = Vec::new();
    let model = model_of(row, &mut assumed)?;
    if !row.framework.is_empty() && Framework::from_name(&row.framework).is_none() {
        return Err(format!(
            "framework `{}` is not known; known: {}",
            row.framework,
            Framework::ALL.map(Framework::name).join(", ")
        ));
    }
    let framework = Framework::from_name(&row.framework)
        .or_else(|| {
            FRAMEWORKS
                .iter()
                .find(|(start, _)| row.source.starts_with(start))
                .map(|&(_, framework)| framework)
        })
        .unwrap_or_else(|| {
            if accelerator.generation.starts_with("tpu") {
                Framework::Jax
            } else if row.zero_stage.starts_with('3') {
                Framework::Fsdp
            } else {
                Framework::Megatron
            }
        });
    let precision = match row.precision.trim_end_matches('?') {
        "" => default_precision(accelerator, &mut assumed),
        "bf16/fp16" => Precision::Bf16,
        "int8/fp8" => Precision::Fp8,
        name => Precision::from_name(name).ok_or_else(|| {
            format!(
                "precision `{name}` is not known; known: {}",
                Precision::ALL.map(Precision::name).join(", ")
            )
        })?,
    };
    let notes = row.notes.to_ascii_lowercase();
    let method = if notes.contains("qlora") {
        Method::Qlora
    } else if notes.contains("lora") {
        Method::Lora
    } else {
        Method::Full
    };
    // Unfused attention: software from before FlashAttention (2022) and Megatron-DeepSpeed's own kernels.
    // PyTorch's scripts ran FlashAttention-2 until its successors were packaged (2025); NVIDIA's run cuDNN's.
    let before = |year: f64| row.year.is_some_and(|measured| measured < year);
    let attention = match framework {
        _ if stated(row).is_some() => stated(row).map_or(AttentionKernel::Fused, |s| s.attention),
        Framework::Jax => AttentionKernel::Fused,
        Framework::MegatronDeepspeed => AttentionKernel::Unfused,
        _ if before(2023.0) => AttentionKernel::Unfused,
        Framework::Fsdp | Framework::Pytorch | Framework::Internevo if before(2025.0) => {
            AttentionKernel::Synchronous
        }
        _ => AttentionKernel::Fused,
    };
    let one_position = (model.sample.positions == Some(1)).then_some(1);
    let native = model.sample.positions.filter(|_| row.seq_len.is_none());
    let sequence = one_position
        .or(native)
        .or(whole(row.seq_len))
        .unwrap_or_else(|| {
            let length =
                model
                    .max_sequence_tokens
                    .unwrap_or(2048)
                    .min(if framework == Framework::Jax {
                        8192
                    } else {
                        4096
                    });
            assumed.push(format!("sequences of {length} tokens"));
            length
        });
    let whole_run = metric == Metric::Hours;
    let accelerators = match degree("num_gpus", row.num_gpus)? {
        Some(count) => count,
        None => {
            let product = [row.tp, row.pp, row.dp, row.cp]
                .iter()
                .map(|value| value.unwrap_or(1.0))
                .product::<f64>();
            let count = if row.dp.is_some() {
                product as u32
            } else if whole_run {
                accelerators_for_a_run(row, &model, accelerator)
            } else {
                (product as u32).max(accelerator.node_size)
            };
            assumed.push(format!("{count} accelerators"));
            count
        }
    };
    let (tensor, pipeline, context, expert) = (
        degree("tp", row.tp)?,
        degree("pp", row.pp)?,
        degree("cp", row.cp)?,
        degree("ep", row.ep)?,
    );
    let layout_given =
        tensor.is_some() || pipeline.is_some() || degree("dp", row.dp)? == Some(accelerators);
    let zero = match row.zero_stage.trim_end_matches('?').trim_end_matches(".0") {
        "" if stated(row).is_some() => stated(row).map_or(0, |stated| stated.zero),
        "" => match framework {
            Framework::Fsdp | Framework::Jax => 3,
            Framework::Megatron | Framework::Internevo => 1,
            Framework::MegatronDeepspeed | Framework::Pytorch | Framework::Transformers => 0,
        },
        "FSDP" | "3" => 3,
        "0" => 0,
        "1" => 1,
        "2" => 2,
        other => {
            return Err(format!(
                "zero_stage `{other}` is not known; known: 0, 1, 2, 3, FSDP"
            ));
        }
    };
    let each = batch_on_each(&row.notes, accelerator, precision);
    let global = whole(row.global_batch_seqs)
        .or(stated(row).map(|stated| stated.global))
        .or_else(|| each.map(|each| each * u64::from(accelerators)))
        .or_else(|| {
            value_after(&row.notes, "tokens_per_step=")
                .map(|tokens| ((tokens / sequence as f64).round() as u64).max(1))
        });
    let mut layout = Layout {
        tensor: tensor.unwrap_or(1),
        pipeline: pipeline.unwrap_or(1),
        interleave: degree("vp", row.vp)?.unwrap_or(1),
        context: context.unwrap_or(1),
        expert: 1,
        zero,
        sequence_parallel: false,
        schedule: Schedule::OneForwardOneBackward,
        offload: Offload::None,
        ..Layout::data_parallel(1, 1)
    };
    if !layout_given && framework != Framework::Jax && accelerators > 1 {
        layout.zero = 3;
    }
    if row.zero_stage.ends_with('?') {
        // Where the source is not sure that blocks are wrapped one by one, weights and gradients are held whole.
        layout.zero = if method == Method::Full { 1 } else { 0 };
    }
    let replica = layout.tensor * layout.pipeline * layout.context;
    if accelerators % replica != 0 {
        return Err(format!(
            "tp * pp * cp is {replica}, which does not divide num_gpus {accelerators}"
        ));
    }
    layout.data = accelerators / replica;
    if let Some(data) = degree("dp", row.dp)?
        && data != layout.data
    {
        return Err(format!(
            "tp * pp * cp * dp is {}, but num_gpus is {accelerators}",
            replica * data
        ));
    }
    if expert.is_some_and(|degree| degree > 1) && !model.has_experts() {
        assumed.push("no expert parallelism, as the model has no experts".to_owned());
    }
    if layout.interleave > 1 && layout.pipeline == 1 {
        assumed.push("no chunks, as there is no pipeline".to_owned());
        layout.interleave = 1;
    }
    let mut global = global.unwrap_or_else(|| {
        // A micro-batch on each replica where its size is given, otherwise a step of 4M tokens.
        let sequences = match whole(row.micro_batch) {
            Some(size) if layout_given => size * u64::from(layout.data),
            _ => {
                let data = u64::from(layout.data);
                (4_194_304 / sequence).div_ceil(data).next_power_of_two() * data
            }
        };
        assumed.push(format!("{sequences} sequences in a step"));
        sequences
    });
    if global < u64::from(layout.data) {
        if layout_given && row.micro_batch.is_some() {
            return Err(format!(
                "global_batch_seqs {global} is less than the {} data-parallel replicas",
                layout.data
            ));
        }
        // More chips than sequences: the sequence is split over the rest.
        let split = u64::from(layout.data).div_ceil(global).next_power_of_two() as u32;
        if layout.data.is_multiple_of(split) {
            layout.data /= split;
            layout.context *= split;
        } else {
            global = u64::from(layout.data);
        }
    }
    if model.has_experts() {
        let experts = model
            .operators()
            .find_map(|operator| match operator.kind {
                outlay_model::Kind::ExpertMatMul { experts, .. } => Some(experts as u32),
                _ => None,
            })
            .unwrap_or(1);
        let ranks = layout.data * layout.context * layout.tensor;
        layout.expert = expert.unwrap_or_else(|| {
            let mut degree = 1;
            while !layout_given && degree * 2 <= ranks && experts % (degree * 2) == 0 && degree < 64
            {
                degree *= 2;
            }
            degree
        });
        if !ranks.is_multiple_of(layout.expert) || experts % layout.expert != 0 {
            return Err(format!(
                "ep {} does not divide the {experts} experts and the {ranks} ranks that share a layer",
                layout.expert
            ));
        }
    }
    layout.shard = layout.data * layout.context;
    if let Some(group) = value_after(&row.notes, "zero1 group=") {
        layout.shard = (group as u32).clamp(1, layout.shard);
    }
    layout.sequence_parallel = layout.tensor > 1
        && framework != Framework::MegatronDeepspeed
        && framework != Framework::Internevo
        && !notes.contains("no sequence parallel")
        && !notes.contains("without sp")
        && row.year.is_none_or(|year| year >= 2022.0);
    let workload = Workload {
        model,
        sequence_tokens: sequence,
        global_batch_sequences: global,
        tokens_total: row.tokens_total_b.unwrap_or(0.0) * 1e9,
        precision,
        optimizer: if framework == Framework::Jax && row.model.is_empty() {
            Optimizer::Adafactor
        } else {
            Optimizer::Adamw
        },
        method,
        // litgpt's published configurations have rank 32 on queries and values (`lora_r`, `lora_query`, `lora_value`).
        adapters: Adapters {
            rank: value_after(&row.notes, "rank=").map_or(32, |rank| rank as u32),
            targets: if notes.contains("all linear") {
                Targets::All
            } else {
                Targets::QueryValue
            },
            ..Adapters::default()
        },
        framework,
        attention,
        // NVIDIA's image classifiers store channels last in mixed precision (`memory_format: nhwc` in their configs.yml).
        channels_last: row.source.starts_with("NVIDIA/DeepLearningExamples")
            && matches!(precision, Precision::Fp16 | Precision::Bf16)
            || framework == Framework::Jax,
        software_year: row.year.unwrap_or(SOFTWARE_YEAR),
    };
    if whole_run && workload.tokens_total <= 0.0 {
        return Err("gpu_hours needs tokens_total_b".to_owned());
    }
    let known = match row.act_ckpt.as_str() {
        "none" => Some(Recompute::None),
        "selective" => Some(Recompute::Selective),
        "full" => Some(Recompute::Full),
        "" => None,
        other => {
            return Err(format!(
                "act_ckpt `{other}` is not known; known: none, selective, full"
            ));
        }
    };
    let searched = if whole_run && !layout_given && known.is_none() {
        Costing::new(&workload, accelerator, priors).and_then(|costing| {
            search(&costing, accelerators, Space::default(), 1)
                .best
                .first()
                .map(|candidate| candidate.layout)
        })
    } else {
        None
    };
    if let Some(found) = searched {
        // Whoever pays for a whole run tunes its layout.
        layout = found;
        assumed.push(format!("the fastest layout, {}", found.brief()));
    } else {
        fill_batch_and_recompute(
            row,
            &workload,
            accelerator,
            priors,
            known,
            &mut layout,
            &mut assumed,
        )?;
    }
    let network = row
        .network_gbit_per_node
        .or_else(|| network_from_notes(&row.notes))
        .or_else(|| notes.contains("jean zay").then_some(400.0))
        .map_or(accelerator.network.gbit_per_s, |node| {
            node / f64::from(accelerator.node_size)
        });
    let family = match workload.model.family {
        _ if workload.model.has_experts() => "moe",
        Family::Encoder | Family::EncoderDecoder => "encoder",
        Family::Decoder => "dense",
        Family::Vision | Family::Diffusion => "image",
    };
    let kind = match metric {
        Metric::Memory(_) => "memory".to_owned(),
        Metric::Hours => "run".to_owned(),
        _ if !layout_given => "layout-assumed".to_owned(),
        _ => format!(
            "{family}-{}",
            if accelerators > accelerator.link.domain_size {
                "many"
            } else {
                "few"
            }
        ),
    };
    let publisher = row.source.split([':', ' ']).next().unwrap_or("").to_owned();
    Ok(Case {
        id: row.id.clone(),
        source: row.source.clone(),
        group: format!("{publisher} {}", accelerator.id),
        network_bytes_per_s: network * 0.125e9,
        workload,
        accelerator,
        layout,
        metric,
        hardware_flops: notes.contains("hardware tflop"),
        measured,
        metric_name: row.metric.clone(),
        kind,
        verified: row.verified != "no",
        assumed,
    })
}

fn default_precision(accelerator: &Accelerator, assumed: &mut Vec<String>) -> Precision {
    let precision = Precision::usual(accelerator);
    assumed.push(format!("{} arithmetic", precision.name()));
    precision
}

/// Accelerators for a whole run that does not say: those that finish it in 45 days at 40% of the peak, as a power of two
/// of nodes, at least one node.
fn accelerators_for_a_run(row: &MeasuredRow, model: &Model, accelerator: &Accelerator) -> u32 {
    let peaks = &accelerator.peak_tflops;
    let rate = 0.4e12 * peaks.bf16.or(peaks.fp16).unwrap_or(peaks.fp32);
    let flops = 6.0 * model.active_parameters() as f64 * row.tokens_total_b.unwrap_or(0.0) * 1e9;
    let nodes = flops / rate / (45.0 * 86_400.0) / f64::from(accelerator.node_size);
    accelerator.node_size * 2u32.pow(nodes.clamp(1.0, 2048.0).log2().round() as u32)
}

/// Chooses the micro-batch (largest power of two up to 16,384 tokens that fits) and the recomputation (least
/// that fits) where the row leaves them open.
fn fill_batch_and_recompute(
    row: &MeasuredRow,
    workload: &Workload,
    accelerator: &Accelerator,
    priors: &Calibration,
    known: Option<Recompute>,
    layout: &mut Layout,
    assumed: &mut Vec<String>,
) -> Result<(), String> {
    let costing = Costing::new(workload, accelerator, priors).ok_or_else(|| {
        format!(
            "{} has no {} matrix units",
            accelerator.id,
            workload.precision.name()
        )
    })?;
    let capacity = accelerator.memory_gib * outlay_units::GIB * 0.94;
    let most = (workload.global_batch_sequences / u64::from(layout.data)).max(1);
    let given = whole(row.micro_batch)
        .or(stated(row).map(|stated| stated.micro))
        .or(batch_on_each(&row.notes, accelerator, workload.precision))
        .map(|size| (size.min(most)) as u32);
    let sizes: Vec<u32> = match given {
        Some(size) => vec![size],
        None => {
            let per_rank = (workload.sequence_tokens / u64::from(layout.context)).max(1);
            let mut sizes: Vec<u32> = (0..10)
                .map(|power| 1u32 << power)
                .filter(|&size| {
                    // Pictures are many more points than their one position says: memory alone limits them.
                    u64::from(size) <= most
                        && (size == 1 || per_rank == 1 || u64::from(size) * per_rank <= 16_384)
                })
                .collect();
            sizes.reverse();
            sizes
        }
    };
    let levels: Vec<Recompute> = known.map_or_else(
        || vec![Recompute::None, Recompute::Selective, Recompute::Full],
        |level| vec![level],
    );
    let mut choice = None;
    'search: for &recompute in &levels {
        for &micro_batch in &sizes {
            let candidate = Layout {
                micro_batch,
                recompute,
                ..*layout
            };
            let slice = costing.slice(&candidate);
            // People go far to avoid full recomputation, so it is assumed only where the rest is clearly too large.
            let slack = if recompute == Recompute::Selective && known.is_none() {
                2.0
            } else {
                1.0
            };
            if costing.memory(&candidate, &slice).total_bytes() <= capacity * slack {
                choice = Some(candidate);
                break 'search;
            }
        }
    }
    let chosen = choice.unwrap_or(Layout {
        micro_batch: sizes.last().copied().unwrap_or(1),
        recompute: levels.last().copied().unwrap_or(Recompute::Full),
        ..*layout
    });
    *layout = chosen;
    if given.is_none() {
        assumed.push(format!("micro-batches of {} sequences", chosen.micro_batch));
    }
    if known.is_none() {
        assumed.push(
            format!("{:?} recomputation, the least that fits", chosen.recompute).to_lowercase(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_on_each_accelerator_are_read_from_notes() {
        let notes = "224px; batch per GPU 256 (128 for fp32/V100-16) see README";
        for (accelerator, precision, expected) in [
            ("A100-80GB-SXM", Precision::Fp16, 256),
            ("V100-16GB-SXM", Precision::Fp16, 128),
            ("V100-32GB-SXM", Precision::Fp16, 256),
            ("V100-32GB-SXM", Precision::Fp32, 128),
        ] {
            let accelerator = find_accelerator(accelerator).unwrap();
            assert_eq!(batch_on_each(notes, accelerator, precision), Some(expected));
        }
        let accelerator = find_accelerator("H100-SXM").unwrap();
        assert_eq!(
            batch_on_each("no batch", accelerator, Precision::Bf16),
            None
        );
    }
}
