//! Exhaustive search over legal layouts: nothing is sampled away.
//!
//! Layouts that share the tensor, context and expert degrees, the micro-batch and sequence parallelism share one
//! [`Slice`](crate::Slice); each layout beyond it costs a step and a memory sum.

use outlay_model::{BlockKind, Kind, Positions, SampleUnit};
use outlay_units::GIB;
use rayon::prelude::*;

use crate::layout::{Layout, Offload, Recompute, Schedule};
use crate::memory::Memory;
use crate::step::{Costing, StepTime};
use crate::workload::Method;

/// Which layouts to consider.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    /// Only powers of two (times 3 where layers need it) and the usual recomputation, schedule and ZeRO choices.
    pub common_only: bool,
    /// Also layouts that offload optimizer state.
    pub offload: bool,
    /// Share of memory that may be used.
    pub memory_share: f64,
    /// Most that is computed again.
    pub most_recompute: Recompute,
}

impl Default for Space {
    fn default() -> Self {
        Self {
            common_only: false,
            offload: true,
            memory_share: 0.94,
            most_recompute: Recompute::Full,
        }
    }
}

/// A layout with its step.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The layout.
    pub layout: Layout,
    /// Time of a step.
    pub time: StepTime,
    /// Peak memory.
    pub memory: Memory,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The fastest layouts that fit, best first, one for each set of degrees.
    pub best: Vec<Candidate>,
    /// Layouts priced.
    pub n_priced: u64,
    /// Layouts that fit in memory.
    pub n_fitting: u64,
    /// The layout that needs least memory, where none fits.
    pub smallest: Option<Candidate>,
}

/// What of a model limits its layouts.
#[derive(Clone, Copy, Debug)]
struct Shape {
    layers: u32,
    heads: u32,
    experts: u32,
    narrowest_ffn: u64,
    /// Whether tensor and context parallelism can cut the layers: none do that convolve over images.
    cuts: bool,
    /// Whether layers can be dealt to pipeline stages: only where they all run at the same positions.
    stages: bool,
}

impl Shape {
    fn of(costing: &Costing<'_>) -> Self {
        let model = &costing.workload.model;
        let divides = costing.workload.framework.divides_models();
        let mut heads = 0u64;
        let mut experts = 0u64;
        let mut narrowest_ffn = 0u64;
        for block in model
            .blocks
            .iter()
            .filter(|block| block.kind == BlockKind::Layer)
        {
            for operator in &block.operators {
                match operator.kind {
                    Kind::Attention { query_heads, .. } => heads = gcd(heads, query_heads),
                    Kind::ExpertMatMul { experts: here, .. } => experts = gcd(experts, here),
                    Kind::Scan {
                        heads: here,
                        head_width,
                        ..
                    } => {
                        heads = gcd(heads, if here > 1 { here } else { head_width });
                    }
                    Kind::MatMul {
                        inputs,
                        split: outlay_model::Split::Rows,
                        ..
                    } => {
                        narrowest_ffn = gcd(narrowest_ffn, inputs);
                    }
                    _ => {}
                }
            }
        }
        Self {
            layers: model.layers() as u32,
            heads: heads.max(1) as u32,
            experts: if divides { experts as u32 } else { 0 },
            narrowest_ffn: narrowest_ffn.max(1),
            // A graph of unnamed operators tells no heads to divide either.
            cuts: divides && !model.convolves() && model.sample.unit != SampleUnit::Input,
            stages: divides
                && model
                    .blocks
                    .iter()
                    .filter(|block| block.kind == BlockKind::Layer)
                    .all(|block| block.positions == Positions::Stream),
        }
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn divisors(n: u32) -> Vec<u32> {
    (1..=n).filter(|d| n.is_multiple_of(*d)).collect()
}

/// Degrees that share slices: one task of the search.
#[derive(Clone, Copy, Debug)]
struct Degrees {
    tensor: u32,
    context: u32,
    expert: u32,
    pipeline: u32,
    data: u32,
}

fn degrees(costing: &Costing<'_>, shape: &Shape, accelerators: u32, space: Space) -> Vec<Degrees> {
    let usual = |n: &u32| !space.common_only || n.is_power_of_two();
    let global = costing.workload.global_batch_sequences;
    let sequence = costing.workload.sequence_tokens;
    let domain = costing
        .accelerator
        .link
        .domain_size
        .max(costing.accelerator.node_size);
    let mut out = Vec::new();
    for tensor in divisors(accelerators) {
        // Tensor parallelism between nodes loses by an order of magnitude; twice the domain is kept as a check.
        if !shape.heads.is_multiple_of(tensor)
            || !shape.narrowest_ffn.is_multiple_of(u64::from(tensor))
            || tensor > 2 * domain.max(8)
            || !usual(&tensor)
            || (tensor > 1 && !shape.cuts)
        {
            continue;
        }
        if space.common_only && tensor > 8 {
            continue;
        }
        for pipeline in divisors(accelerators / tensor) {
            if pipeline > shape.layers
                || (pipeline > 1 && !shape.stages)
                || (space.common_only
                    && !(pipeline.is_power_of_two() || shape.layers.is_multiple_of(pipeline)))
            {
                continue;
            }
            for context in divisors(accelerators / tensor / pipeline) {
                // A ring takes the sequence in two parts of each rank, and parts below 512 tokens are not worth sending.
                if context > 1 && !shape.cuts {
                    continue;
                }
                if context > 1
                    && (!sequence.is_multiple_of(2 * u64::from(context))
                        || sequence / u64::from(context) < 512
                        || !usual(&context))
                {
                    continue;
                }
                if space.common_only && context > 1 && sequence < 16_384 {
                    continue;
                }
                let data = accelerators / tensor / pipeline / context;
                if !global.is_multiple_of(u64::from(data)) {
                    continue;
                }
                let ranks = data * context * tensor;
                if shape.experts == 0 {
                    out.push(Degrees {
                        tensor,
                        context,
                        expert: 1,
                        pipeline,
                        data,
                    });
                    continue;
                }
                for expert in divisors(shape.experts) {
                    if ranks.is_multiple_of(expert) && usual(&expert) {
                        out.push(Degrees {
                            tensor,
                            context,
                            expert,
                            pipeline,
                            data,
                        });
                    }
                }
            }
        }
    }
    out
}

/// Searches all legal layouts on so many accelerators; keeps the `keep` fastest sets of degrees.
pub fn search(costing: &Costing<'_>, accelerators: u32, space: Space, keep: usize) -> Found {
    let shape = Shape::of(costing);
    let capacity = costing.accelerator.memory_gib * GIB * space.memory_share;
    let tasks = degrees(costing, &shape, accelerators, space);
    let parts: Vec<(Option<Candidate>, Option<Candidate>, u64, u64)> = tasks
        .par_iter()
        .map(|degrees| best_of(costing, &shape, *degrees, space, capacity))
        .collect();
    let mut best: Vec<Candidate> = parts.iter().filter_map(|part| part.0).collect();
    best.sort_by(|a, b| a.time.total_s().total_cmp(&b.time.total_s()));
    best.truncate(keep);
    let smallest = parts
        .iter()
        .filter_map(|part| part.1)
        .min_by(|a, b| a.memory.total_bytes().total_cmp(&b.memory.total_bytes()));
    Found {
        smallest: if best.is_empty() { smallest } else { None },
        best,
        n_priced: parts.iter().map(|part| part.2).sum(),
        n_fitting: parts.iter().map(|part| part.3).sum(),
    }
}

/// Why a layout is not legal for a workload, if it is not: what does not divide, or what no software combines.
pub fn illegal(costing: &Costing<'_>, layout: &Layout) -> Option<String> {
    let shape = Shape::of(costing);
    let global = costing.workload.global_batch_sequences;
    let per_step = u64::from(layout.data) * u64::from(layout.micro_batch);
    let framework = costing.workload.framework;
    let divided = layout
        .tensor
        .max(layout.context)
        .max(layout.pipeline)
        .max(layout.expert);
    if !framework.divides_models() && divided > 1 {
        return Some(format!(
            "{} replicates and shards models, and has no TP, CP, PP or EP",
            framework.name()
        ));
    }
    if !framework.recomputes_selectively() && layout.recompute == Recompute::Selective {
        return Some(format!(
            "{} recomputes whole layers (full) or nothing",
            framework.name()
        ));
    }
    if !shape.cuts && layout.tensor.max(layout.context) > 1 {
        return Some("TP and CP do not cut networks that convolve over images".to_owned());
    }
    if !shape.stages && layout.pipeline > 1 {
        return Some(
            "its layers run at different positions, and are not dealt to pipeline stages"
                .to_owned(),
        );
    }
    if !shape.heads.is_multiple_of(layout.tensor) {
        return Some(format!(
            "TP{} does not divide the {} attention heads",
            layout.tensor, shape.heads
        ));
    }
    if !shape.narrowest_ffn.is_multiple_of(u64::from(layout.tensor)) {
        return Some(format!(
            "TP{} does not divide the feed-forward width",
            layout.tensor
        ));
    }
    if layout.pipeline.saturating_mul(layout.interleave) > shape.layers {
        return Some(format!(
            "PP{}x{} needs more layers than the {} there are",
            layout.pipeline, layout.interleave, shape.layers
        ));
    }
    if layout.interleave > 1
        && (layout.pipeline == 1
            || !shape
                .layers
                .is_multiple_of(layout.pipeline * layout.interleave))
    {
        return Some(format!(
            "PP{}x{} does not divide the {} layers",
            layout.pipeline, layout.interleave, shape.layers
        ));
    }
    if layout.schedule == Schedule::ZeroBubble && layout.pipeline == 1 {
        return Some("zero-bubble is a pipeline schedule, and there is one stage (PP1)".to_owned());
    }
    if layout.zero >= 2 && layout.pipeline > 1 {
        return Some(format!(
            "ZeRO-{} with pipeline stages gathers or reduces for every micro-batch; allowed: ZeRO-0 or ZeRO-1",
            layout.zero
        ));
    }
    if layout.expert > 1 {
        let ranks = layout.data * layout.context * layout.tensor;
        if shape.experts == 0 {
            return Some(format!("EP{} on a model without experts", layout.expert));
        }
        if !shape.experts.is_multiple_of(layout.expert) {
            return Some(format!(
                "EP{} does not divide the {} experts",
                layout.expert, shape.experts
            ));
        }
        if !ranks.is_multiple_of(layout.expert) {
            return Some(format!(
                "EP{} does not divide the {ranks} ranks that share a layer",
                layout.expert
            ));
        }
    }
    if layout.context > 1
        && !costing
            .workload
            .sequence_tokens
            .is_multiple_of(2 * u64::from(layout.context))
    {
        return Some(format!(
            "CP{} does not cut sequences of {} tokens into equal pairs of chunks",
            layout.context, costing.workload.sequence_tokens
        ));
    }
    if !global.is_multiple_of(per_step) {
        return Some(format!(
            "DP{} x mb{} does not divide the {global} sequences of a step",
            layout.data, layout.micro_batch
        ));
    }
    None
}

/// Prices every layout with the given degrees.
fn best_of(
    costing: &Costing<'_>,
    shape: &Shape,
    degrees: Degrees,
    space: Space,
    capacity: f64,
) -> (Option<Candidate>, Option<Candidate>, u64, u64) {
    let per_replica = costing.workload.global_batch_sequences / u64::from(degrees.data);
    let mut best: Option<Candidate> = None;
    let mut smallest: Option<Candidate> = None;
    let (mut n_priced, mut n_fitting) = (0, 0);
    let full = costing.workload.method == Method::Full;
    let forward = costing.workload.method == Method::Forward;
    let replicas = degrees.data * degrees.context;
    let offloads: &[Offload] = if space.offload && full && !space.common_only {
        &[Offload::None, Offload::Cpu, Offload::Nvme]
    } else {
        &[Offload::None]
    };
    let chunks: Vec<u32> =
        if degrees.pipeline == 1 || !shape.layers.is_multiple_of(degrees.pipeline) {
            vec![1]
        } else {
            divisors(shape.layers / degrees.pipeline)
                .into_iter()
                .filter(|chunk| !space.common_only || [1, 2, 4, 5].contains(chunk))
                .collect()
        };
    let schedules: &[Schedule] = if degrees.pipeline == 1 || space.common_only {
        &[Schedule::OneForwardOneBackward]
    } else {
        &[Schedule::OneForwardOneBackward, Schedule::ZeroBubble]
    };
    let sequence_parallel: &[bool] = match (degrees.tensor, space.common_only) {
        (1, _) => &[false],
        (_, true) => &[true],
        _ => &[false, true],
    };
    let mut shards = vec![replicas];
    if !space.common_only {
        let node = costing.accelerator.node_size;
        if replicas > node && replicas.is_multiple_of(node) {
            shards.push(node);
        }
    }
    let mut micro_batch = 1u32;
    while u64::from(micro_batch) <= per_replica && micro_batch <= 64 {
        if !per_replica.is_multiple_of(u64::from(micro_batch)) {
            micro_batch *= 2;
            continue;
        }
        let batches = per_replica / u64::from(micro_batch);
        for &sequence_parallel in sequence_parallel {
            let base = Layout {
                data: degrees.data,
                tensor: degrees.tensor,
                pipeline: degrees.pipeline,
                context: degrees.context,
                expert: degrees.expert,
                micro_batch,
                sequence_parallel,
                ..Layout::data_parallel(degrees.data, micro_batch)
            };
            let slice = costing.slice(&base);
            for &interleave in &chunks {
                // Interleaving needs whole rounds of micro-batches (arXiv:2104.04473, section 2.2).
                if interleave > 1 && !batches.is_multiple_of(u64::from(degrees.pipeline)) {
                    continue;
                }
                for &schedule in schedules {
                    if schedule == Schedule::ZeroBubble && interleave > 1 {
                        continue;
                    }
                    for recompute in [Recompute::None, Recompute::Selective, Recompute::Full] {
                        if recompute > space.most_recompute
                            || (forward && recompute != Recompute::None)
                        {
                            continue;
                        }
                        if recompute == Recompute::Selective
                            && !costing.workload.framework.recomputes_selectively()
                        {
                            continue;
                        }
                        for zero in 0..=3u8 {
                            if replicas == 1 && zero > 0
                                || (space.common_only
                                    && !forward
                                    && (zero == 0 && replicas > 1 || zero == 2))
                            {
                                continue;
                            }
                            if forward && !matches!(zero, 0 | 3) {
                                // There is no state to share out, but weights.
                                continue;
                            }
                            if zero >= 2 && degrees.pipeline > 1 {
                                // Gathering or reducing for every micro-batch of a pipeline defeats it; no software does.
                                continue;
                            }
                            for &shard in &shards {
                                if zero == 0 && shard != replicas {
                                    continue;
                                }
                                for &offload in offloads {
                                    let layout = Layout {
                                        interleave,
                                        schedule,
                                        recompute,
                                        zero,
                                        shard,
                                        offload,
                                        ..base
                                    };
                                    n_priced += 1;
                                    let memory = costing.memory(&layout, &slice);
                                    let total = memory.total_bytes();
                                    if total > capacity {
                                        if best.is_none()
                                            && smallest.is_none_or(|least: Candidate| {
                                                total < least.memory.total_bytes()
                                            })
                                        {
                                            smallest = Some(Candidate {
                                                layout,
                                                time: costing.step(&layout, &slice),
                                                memory,
                                            });
                                        }
                                        continue;
                                    }
                                    n_fitting += 1;
                                    let time = costing.step(&layout, &slice);
                                    if best.is_none_or(|best| time.total_s() < best.time.total_s())
                                    {
                                        best = Some(Candidate {
                                            layout,
                                            time,
                                            memory,
                                        });
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        micro_batch *= 2;
    }
    (best, smallest, n_priced, n_fitting)
}
