//! Time and memory of one optimizer step under a layout.
//!
//! [`Costing::slice`] prices one micro-batch on one rank (it depends on the tensor, context and expert degrees
//! and the micro-batch); [`Costing::step`] puts slices together into a pipeline schedule, data-parallel
//! communication and the optimizer. A search prices few slices and many steps.

use outlay_catalog::Accelerator;
use outlay_model::{BlockKind, Family, Kind};
use outlay_units::GIB;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::constants::{Calibration, Constant, Resolved};
use crate::layout::{Layout, Offload, Recompute, Schedule};
use crate::operator::{OperatorCost, Rates, Share, operator_cost};
use crate::workload::{Framework, Method, Precision, Workload};

/// A workload on an accelerator with its constants, ready to price layouts.
#[derive(Clone, Debug)]
pub struct Costing<'a> {
    /// The workload.
    pub workload: &'a Workload,
    /// The accelerator.
    pub accelerator: &'a Accelerator,
    /// Calibrated constants.
    pub constants: Resolved,
    /// Network rate for each accelerator, one direction, bytes/s.
    pub network_bytes_per_s: f64,
    rates: Rates,
    layers: f64,
    dense_layer_parameters: f64,
    expert_layer_parameters: f64,
    embedding_parameters: f64,
    head_parameters: f64,
    predict_parameters: f64,
    predict_expert_parameters: f64,
    layer_parameters_most: f64,
    layer_matrices: f64,
}

/// One micro-batch on one rank: sums over all layers, and the ends apart. Times in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slice {
    /// Forward of all layers, communication aside.
    pub forward_s: f64,
    /// Backward of all layers, communication aside.
    pub backward_s: f64,
    /// Forward repeated under selective recomputation.
    pub selective_s: f64,
    /// Exposed tensor-parallel time of one forward.
    pub tensor_s: f64,
    /// Exposed expert-parallel time of one forward.
    pub expert_s: f64,
    /// Exposed context-parallel time of one forward.
    pub context_s: f64,
    /// Embedding, forward and backward.
    pub embedding_s: f64,
    /// Head and loss, forward and backward.
    pub head_s: f64,
    /// Prediction modules, forward and backward.
    pub predict_s: f64,
    /// Kept bytes of all layers.
    pub kept_bytes: f64,
    /// Kept bytes of all layers under selective recomputation.
    pub kept_selective_bytes: f64,
    /// Kept bytes of the widest layer, for recomputation's working set.
    pub kept_layer_bytes: f64,
    /// Bytes kept by the head.
    pub head_bytes: f64,
    /// Bytes handed to the next pipeline stage.
    pub boundary_bytes: f64,
    /// Bytes of one layer's input.
    pub layer_input_bytes: f64,
}

/// Where one step's time goes, in seconds. The parts add up to the step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepTime {
    /// Forward arithmetic of the slowest stage.
    pub forward_s: f64,
    /// Backward arithmetic of the slowest stage.
    pub backward_s: f64,
    /// Recomputed forward.
    pub recompute_s: f64,
    /// Exposed tensor-parallel collectives.
    pub tensor_s: f64,
    /// Exposed expert all-to-all.
    pub expert_s: f64,
    /// Exposed context-parallel exchange.
    pub context_s: f64,
    /// Exposed data-parallel collectives (gradients and sharded parameters).
    pub data_s: f64,
    /// Pipeline bubble, stage imbalance and hand-over.
    pub bubble_s: f64,
    /// Optimizer.
    pub optimizer_s: f64,
    /// Fixed time of a step and stragglers.
    pub overhead_s: f64,
}

impl StepTime {
    /// The whole step.
    pub fn total_s(&self) -> f64 {
        self.forward_s
            + self.backward_s
            + self.recompute_s
            + self.tensor_s
            + self.expert_s
            + self.context_s
            + self.data_s
            + self.bubble_s
            + self.optimizer_s
            + self.overhead_s
    }
}

/// Peak memory of the fullest rank, in bytes. The parts add up to the peak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Memory {
    /// Weights used for compute.
    pub weights_bytes: f64,
    /// Gradients.
    pub gradients_bytes: f64,
    /// Optimizer moments and fp32 master weights.
    pub optimizer_bytes: f64,
    /// Kept activations of all micro-batches in flight.
    pub activations_bytes: f64,
    /// Logits, gathered layers, communication buffers.
    pub buffers_bytes: f64,
    /// Memory that the allocator holds beyond the tensors.
    pub waste_bytes: f64,
    /// The driver's context, libraries and communicators, which no allocator of a framework counts.
    pub reserved_bytes: f64,
}

impl Memory {
    /// The peak.
    pub fn total_bytes(&self) -> f64 {
        self.weights_bytes
            + self.gradients_bytes
            + self.optimizer_bytes
            + self.activations_bytes
            + self.buffers_bytes
            + self.waste_bytes
            + self.reserved_bytes
    }
}

/// One kind of communication over a step, for explanations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Collective {
    /// What moves: `tensor all-reduce`, `expert dispatch and combine`, and so on.
    pub name: String,
    /// Ranks that take part.
    pub ranks: u32,
    /// Bytes that leave one rank in a step.
    pub sent_bytes: f64,
    /// Rate that one rank reaches, bytes/s.
    pub bytes_per_s: f64,
    /// Time that the step waits for it, in seconds; the rest hides behind arithmetic.
    pub exposed_s: f64,
}

/// A group of ranks for a collective.
#[derive(Clone, Copy, Debug)]
struct Group {
    size: f64,
    bytes_per_s: f64,
    latency_s: f64,
    chunk_s: f64,
}

impl Group {
    /// Time of `messages` collectives that send `bytes` from each rank in all.
    ///
    /// A ring passes a message on in chunks: small chunks pay latency, large ones fill the ring slowly. With the
    /// best size, `n` bytes take `(sqrt(a) + sqrt(n/b))^2 = a + 2 sqrt(a n/b) + n/b` (Hockney's pipelined
    /// transfer). The middle term is what separates a tuned library's large messages from its middling ones.
    fn seconds(&self, bytes: f64, messages: f64) -> f64 {
        if bytes <= 0.0 {
            return 0.0;
        }
        let stream = bytes / self.bytes_per_s;
        messages * self.latency_s + (messages * self.chunk_s * stream).sqrt() + stream
    }
}

impl<'a> Costing<'a> {
    /// Prepares a workload for an accelerator; `None` where the accelerator lacks the number format.
    pub fn new(
        workload: &'a Workload,
        accelerator: &'a Accelerator,
        calibration: &Calibration,
    ) -> Option<Self> {
        let constants = calibration.resolve(&accelerator.generation, workload.framework);
        Self::with_constants(workload, accelerator, constants)
    }

    /// As [`Self::new`] with constants already resolved.
    pub fn with_constants(
        workload: &'a Workload,
        accelerator: &'a Accelerator,
        constants: Resolved,
    ) -> Option<Self> {
        let keeps_narrow = matches!(workload.framework, Framework::Megatron | Framework::Jax);
        let rates = Rates::new(
            accelerator,
            workload,
            keeps_narrow,
            matches!(
                workload.framework,
                Framework::Megatron | Framework::MegatronDeepspeed
            ),
            &constants,
        )?;
        let mut costing = Self {
            workload,
            accelerator,
            constants,
            network_bytes_per_s: accelerator.network.gbit_per_s * 0.125e9,
            rates,
            layers: workload.model.layers() as f64,
            dense_layer_parameters: 0.0,
            expert_layer_parameters: 0.0,
            embedding_parameters: 0.0,
            head_parameters: 0.0,
            predict_parameters: 0.0,
            predict_expert_parameters: 0.0,
            layer_parameters_most: 0.0,
            layer_matrices: 0.0,
        };
        for block in &workload.model.blocks {
            let repeat = block.repeat as f64;
            let mut dense = 0.0;
            let mut experts = 0.0;
            for operator in &block.operators {
                if matches!(operator.kind, Kind::ExpertMatMul { .. }) {
                    experts += operator.parameters as f64;
                } else {
                    dense += operator.parameters as f64;
                }
            }
            match block.kind {
                BlockKind::Embedding => costing.embedding_parameters += repeat * dense,
                BlockKind::Head => costing.head_parameters += repeat * dense,
                BlockKind::PredictAhead => {
                    costing.predict_parameters += repeat * dense;
                    costing.predict_expert_parameters += repeat * experts;
                }
                BlockKind::Layer => {
                    costing.dense_layer_parameters += repeat * dense;
                    costing.expert_layer_parameters += repeat * experts;
                    costing.layer_parameters_most =
                        costing.layer_parameters_most.max(dense + experts);
                    costing.layer_matrices += repeat;
                }
                BlockKind::Tower => {}
            }
        }
        Some(costing)
    }

    /// Time of kernels relative to those of software from two years after the accelerator's release.
    ///
    /// Libraries are tuned for years: NVIDIA's own tables for one model on H100 rise with every release. TPUs are
    /// left out, as Google tunes for them before anyone else can rent one.
    fn maturity(&self) -> f64 {
        if self.accelerator.vendor == "Google" {
            return 1.0;
        }
        let age = self.workload.software_year - f64::from(self.accelerator.released);
        (1.0 + self.constants.get(Constant::Maturity)).powf(2.0 - age.clamp(0.0, 5.0))
    }

    fn link_bytes_per_s(&self) -> f64 {
        self.accelerator.link.gb_per_s * 1e9 * self.constants.get(Constant::Link)
    }

    fn network_rate(&self) -> f64 {
        self.network_bytes_per_s * self.constants.get(Constant::Network)
    }

    /// A group of `size` ranks that stand `stride` apart: a ring over `per_domain` ranks in each fast domain
    /// uses that many network ports of the domain.
    fn group(&self, size: f64, stride: f64) -> Group {
        let domain = f64::from(self.accelerator.link.domain_size.max(1));
        let per_domain = (domain / stride).floor().max(1.0).min(size);
        let chunks = self.constants.get(Constant::Chunks);
        if size <= per_domain && size * stride <= domain {
            return Group {
                size,
                bytes_per_s: self.link_bytes_per_s(),
                latency_s: size.log2().max(1.0) * self.accelerator.link.latency_us * 1e-6,
                chunk_s: chunks * self.accelerator.link.latency_us * 1e-6,
            };
        }
        let nodes = (size / per_domain).ceil();
        Group {
            size,
            bytes_per_s: (per_domain * self.network_rate()).min(self.link_bytes_per_s()),
            latency_s: (nodes.log2().max(1.0) + nodes / 16.0)
                * self.accelerator.network.latency_us
                * 1e-6,
            chunk_s: chunks * self.accelerator.network.latency_us * 1e-6,
        }
    }

    /// Size of a checkpoint that training can resume from, in bytes: weights, master weights and moments.
    pub fn checkpoint_bytes(&self) -> f64 {
        let parameters = self.workload.model.parameters() as f64;
        let storage = self.rates.storage;
        match self.workload.method {
            Method::Full => {
                let master = if storage < 4.0 { 4.0 } else { 0.0 };
                parameters * (storage + master + self.workload.optimizer.moment_bytes())
            }
            // Adapters only: about half a percent of the weights, with their moments.
            Method::Lora | Method::Qlora => parameters * 0.005 * (8.0 + storage),
        }
    }

    /// Cost of every operator of a block for one micro-batch, for explanations.
    pub fn operator_costs(&self, layout: &Layout) -> Vec<(usize, usize, OperatorCost)> {
        let mut out = Vec::new();
        for (block_index, block) in self.workload.model.blocks.iter().enumerate() {
            let share = self.share(layout, block.kind);
            for (index, operator) in block.operators.iter().enumerate() {
                out.push((
                    block_index,
                    index,
                    operator_cost(operator, &share, &self.rates),
                ));
            }
        }
        out
    }

    /// Every kind of communication of one step, with what it moves and what of it the step waits for.
    pub fn collectives(&self, layout: &Layout, slice: &Slice) -> Vec<Collective> {
        let time = self.step(layout, slice);
        let batches = self.micro_batches(layout);
        let stages = f64::from(layout.pipeline);
        let passes = if layout.recompute == Recompute::Full {
            3.0
        } else {
            2.0
        };
        let mut out = Vec::new();
        let mut add =
            |name: &str, ranks: u32, sent_bytes: f64, bytes_per_s: f64, exposed_s: f64| {
                if ranks > 1 {
                    out.push(Collective {
                        name: name.to_owned(),
                        ranks,
                        sent_bytes,
                        bytes_per_s,
                        exposed_s,
                    });
                }
            };
        let (mut tensor_bytes, mut context_bytes, mut expert_bytes) = (0.0, 0.0, 0.0);
        for block in &self.workload.model.blocks {
            if block.kind != BlockKind::Layer {
                continue;
            }
            let share = self.share(layout, block.kind);
            for operator in &block.operators {
                let cost = operator_cost(operator, &share, &self.rates);
                let repeat = block.repeat as f64 / stages * batches;
                tensor_bytes += repeat * cost.tensor_bytes;
                context_bytes += repeat * cost.context_bytes;
                expert_bytes += repeat * cost.expert_bytes * cost.selected;
            }
        }
        let tensor = self.group(f64::from(layout.tensor), 1.0);
        add(
            if layout.sequence_parallel {
                "tensor all-gather and reduce-scatter"
            } else {
                "tensor all-reduce"
            },
            layout.tensor,
            passes * 2.0 * tensor_bytes * (tensor.size - 1.0) / tensor.size,
            tensor.bytes_per_s,
            time.tensor_s,
        );
        let context = self.group(f64::from(layout.context), f64::from(layout.tensor));
        add(
            "context keys and values",
            layout.context,
            (passes + 1.0) * context_bytes,
            context.bytes_per_s,
            time.context_s,
        );
        let expert = self.group(f64::from(layout.expert), 1.0);
        add(
            "expert dispatch and combine",
            layout.expert,
            passes * 2.0 * expert_bytes * (expert.size - 1.0) / expert.size,
            expert.bytes_per_s,
            time.expert_s,
        );
        add(
            "pipeline boundaries",
            layout.pipeline,
            2.0 * slice.boundary_bytes * batches * f64::from(layout.interleave),
            self.boundary_rate(layout),
            self.hand_over_s(layout, slice, batches),
        );
        let ranks = layout.data * layout.context;
        let (dense, expert_parameters) = self.held(layout, false);
        let data = self.group(f64::from(ranks), f64::from(layout.tensor));
        let ring = (data.size - 1.0) / data.size;
        let parameters = dense + expert_parameters;
        let (gradient, weight) = (self.gradient_bytes(), self.rates.storage);
        if self.workload.method == Method::Full {
            let (name, moved) = match layout.zero {
                0 => ("gradient all-reduce", 2.0 * gradient),
                1 | 2 => (
                    "gradient reduce-scatter and weight all-gather",
                    gradient + weight,
                ),
                _ => (
                    "sharded weight all-gathers and gradient reduce-scatter",
                    batches * (2.0 * weight + gradient.min(2.0 * weight)),
                ),
            };
            add(
                name,
                ranks,
                parameters * moved * ring,
                data.bytes_per_s,
                time.data_s,
            );
        }
        out
    }

    fn share(&self, layout: &Layout, kind: BlockKind) -> Share {
        let sequence = self.workload.sequence_tokens as f64;
        // Masked language models predict 15% of their tokens (arXiv:1810.04805, section 3.1), decoders all.
        let predicted = match (kind, self.workload.model.family) {
            (BlockKind::Head, Family::Encoder) => 0.15,
            _ => 1.0,
        };
        Share {
            tokens: predicted * f64::from(layout.micro_batch) * sequence
                / f64::from(layout.context),
            sequence,
            tensor: f64::from(layout.tensor),
            context: f64::from(layout.context),
            expert: f64::from(layout.expert),
            sequence_parallel: layout.sequence_parallel,
            hidden: self.workload.model.hidden,
            narrow_allowed: matches!(kind, BlockKind::Layer | BlockKind::PredictAhead),
        }
    }

    /// Prices one micro-batch on one rank. Only the tensor, context and expert degrees, the micro-batch and
    /// sequence parallelism of the layout matter.
    pub fn slice(&self, layout: &Layout) -> Slice {
        let mut slice = Slice::default();
        let maturity = self.maturity();
        let tensor = self.group(f64::from(layout.tensor), 1.0);
        let context = self.group(f64::from(layout.context), f64::from(layout.tensor));
        for block in &self.workload.model.blocks {
            if block.kind == BlockKind::Tower {
                continue;
            }
            let share = self.share(layout, block.kind);
            let mut sum = OperatorCost::default();
            let mut collectives = 0.0;
            let mut expert_s = 0.0;
            for operator in &block.operators {
                let cost = operator_cost(operator, &share, &self.rates);
                sum.forward_s += cost.forward_s;
                sum.backward_s += cost.backward_s;
                sum.selective_s += cost.selective_s;
                sum.kernels += cost.kernels;
                sum.kept_bytes += cost.kept_bytes;
                sum.kept_selective_bytes += cost.kept_selective_bytes;
                sum.context_bytes += cost.context_bytes;
                if cost.tensor_bytes > 0.0 {
                    sum.tensor_bytes += cost.tensor_bytes;
                    collectives += 2.0;
                }
                if cost.expert_bytes > 0.0 {
                    expert_s += self.all_to_all_s(layout, cost.expert_bytes, cost.selected);
                }
            }
            if layout.tensor > 1 {
                sum.kernels += collectives;
            }
            if self.workload.method != Method::Full && block.kind == BlockKind::Layer {
                // The adapters' input: a copy after dropout, and its mask.
                let input = share.tokens * self.workload.model.hidden as f64 / share.tensor;
                sum.kept_bytes += input * (self.rates.storage + 1.0);
                sum.kept_selective_bytes += input * (self.rates.storage + 1.0);
            }
            let forward = maturity
                * together(
                    sum.forward_s + sum.kernels * self.rates.kernel_s,
                    sum.kernels * self.rates.launch_s,
                );
            let backward = maturity
                * together(
                    sum.backward_s + 1.7 * sum.kernels * self.rates.kernel_s,
                    1.7 * sum.kernels * self.rates.launch_s,
                );
            let tensor_s = if layout.tensor > 1 {
                self.constants.get(Constant::ExposedTensor)
                    * tensor.seconds(
                        2.0 * sum.tensor_bytes * (tensor.size - 1.0) / tensor.size,
                        collectives,
                    )
            } else {
                0.0
            };
            let context_s = if layout.context > 1 {
                self.constants.get(Constant::ExposedContext)
                    * context.seconds(sum.context_bytes, (context.size - 1.0).max(1.0))
            } else {
                0.0
            };
            let repeat = block.repeat as f64;
            let both =
                repeat * (forward + backward + 2.0 * (tensor_s + expert_s) + 3.0 * context_s);
            match block.kind {
                BlockKind::Layer => {
                    slice.forward_s += repeat * forward;
                    slice.backward_s += repeat * backward;
                    slice.selective_s += repeat * sum.selective_s;
                    slice.tensor_s += repeat * tensor_s;
                    slice.expert_s += repeat * expert_s;
                    slice.context_s += repeat * context_s;
                    slice.kept_bytes += repeat * sum.kept_bytes;
                    slice.kept_selective_bytes += repeat * sum.kept_selective_bytes;
                    slice.kept_layer_bytes = slice.kept_layer_bytes.max(sum.kept_bytes);
                }
                BlockKind::Embedding => slice.embedding_s += both,
                BlockKind::Head => {
                    slice.head_s += both;
                    slice.head_bytes += repeat * sum.kept_bytes;
                }
                BlockKind::PredictAhead => {
                    slice.predict_s += both;
                    slice.head_bytes += repeat * sum.kept_bytes;
                }
                BlockKind::Tower => {}
            }
        }
        let share = self.share(layout, BlockKind::Layer);
        let width = self.workload.model.hidden as f64 * self.rates.storage;
        let split = if layout.sequence_parallel {
            share.tensor
        } else {
            1.0
        };
        slice.layer_input_bytes = share.tokens * width / split;
        // Every tensor-parallel rank sends its share, and the receivers gather it (arXiv:2104.04473, section 4.1).
        slice.boundary_bytes = share.tokens * width / share.tensor;
        slice
    }

    /// Exposed time of one dispatch and one combine. A token goes once to each fast domain it needs, and from
    /// there over the links (as DeepEP does).
    fn all_to_all_s(&self, layout: &Layout, token_bytes: f64, selected: f64) -> f64 {
        if layout.expert <= 1 {
            return 0.0;
        }
        let ranks = f64::from(layout.expert);
        let domain = f64::from(self.accelerator.link.domain_size.max(1));
        let domains = (ranks / domain).ceil().max(1.0);
        let others = |n: f64| (n - 1.0) * (1.0 - (1.0 - 1.0 / n).powf(selected));
        let local = token_bytes
            * others(ranks.min(domain))
            * if domains > 1.0 {
                selected / domains
            } else {
                1.0
            }
            .max(1.0);
        let remote = token_bytes * others(domains);
        let seconds = 2.0 * (local / self.link_bytes_per_s() + remote / self.network_rate())
            + 2.0 * self.accelerator.link.latency_us * 4e-6;
        seconds * self.constants.get(Constant::ExposedExpert)
    }

    /// Parameters on the fullest stage: (dense, expert) held by one rank before ZeRO.
    fn held(&self, layout: &Layout, last: bool) -> (f64, f64) {
        let stages = f64::from(layout.pipeline);
        let per_stage = (self.layers / stages).ceil() / self.layers;
        let tensor = f64::from(layout.tensor);
        let ends = if layout.pipeline == 1 {
            self.embedding_parameters + self.head_parameters + self.predict_parameters
        } else if last {
            // A tied head is a second copy of the embedding on the last stage.
            self.head_parameters.max(self.embedding_parameters) + self.predict_parameters
        } else {
            self.embedding_parameters
        };
        let dense = (self.dense_layer_parameters * per_stage + ends) / tensor;
        let extra = if layout.pipeline == 1 || last {
            self.predict_expert_parameters
        } else {
            0.0
        };
        let spread = f64::from(layout.expert).max(tensor);
        (
            dense,
            (self.expert_layer_parameters * per_stage + extra) / spread,
        )
    }

    /// Micro-batches that each replica runs in one step.
    pub fn micro_batches(&self, layout: &Layout) -> f64 {
        (self.workload.global_batch_sequences as f64
            / f64::from(layout.data)
            / f64::from(layout.micro_batch))
        .ceil()
    }

    /// Puts a slice together into a step.
    pub fn step(&self, layout: &Layout, slice: &Slice) -> StepTime {
        let constants = &self.constants;
        let stages = f64::from(layout.pipeline);
        let batches = self.micro_batches(layout);
        let per_stage = (self.layers / stages).ceil() / self.layers;
        let repeated = match layout.recompute {
            Recompute::None => 0.0,
            Recompute::Selective => slice.selective_s,
            Recompute::Full => slice.forward_s + slice.tensor_s + slice.expert_s + slice.context_s,
        };
        let layers_s = slice.forward_s
            + slice.backward_s
            + repeated
            + 2.0 * (slice.tensor_s + slice.expert_s)
            + 3.0 * slice.context_s;
        let ends_s = slice.head_s + slice.predict_s + slice.embedding_s;
        let mean_s = layers_s / stages;
        // The slowest stage: the one with most layers, or the last with the head where layers divide evenly.
        let slow_s = if layout.pipeline == 1 {
            layers_s + ends_s
        } else {
            let even = self.layers % stages == 0.0;
            let last = if even {
                mean_s + slice.head_s + slice.predict_s
            } else {
                layers_s * per_stage
            };
            last.max(layers_s * per_stage)
        };
        let share_of_layers = if layout.pipeline == 1 {
            1.0
        } else {
            1.0 / stages
        };
        let ideal = batches * (mean_s + ends_s / stages);
        let ramp = if layout.pipeline == 1 {
            0.0
        } else {
            let chunks = f64::from(layout.interleave);
            let gap = match layout.schedule {
                Schedule::OneForwardOneBackward => 1.0,
                // ZB-H1 leaves the forward and input-gradient of the ramp: about a third of it (arXiv:2401.10241, table 2).
                Schedule::ZeroBubble => 1.0 / 3.0,
            };
            (stages - 1.0) / chunks
                * (mean_s + ends_s / stages)
                * gap
                * constants.get(Constant::Bubble)
        };
        let hand_over = self.hand_over_s(layout, slice, batches);
        let imbalance = batches * slow_s - ideal;
        let part = |seconds: f64| batches * seconds * share_of_layers;
        let ends_forward = batches * ends_s / stages / 3.0;
        let mut time = StepTime {
            forward_s: part(slice.forward_s) + ends_forward,
            backward_s: part(slice.backward_s) + 2.0 * ends_forward,
            recompute_s: match layout.recompute {
                Recompute::None => 0.0,
                Recompute::Selective => part(slice.selective_s),
                Recompute::Full => part(slice.forward_s),
            },
            ..StepTime::default()
        };
        let passes = if layout.recompute == Recompute::Full {
            3.0
        } else {
            2.0
        };
        time.tensor_s = part(slice.tensor_s) * passes;
        time.expert_s = part(slice.expert_s) * passes;
        time.context_s = part(slice.context_s) * (passes + 1.0);
        time.bubble_s = (imbalance + ramp + hand_over).max(0.0);
        let window = time.forward_s + time.backward_s + time.recompute_s;
        time.data_s = self.data_parallel_s(layout, batches, window);
        time.optimizer_s = self.optimizer_s(layout);
        let nodes = (f64::from(layout.accelerators())
            / f64::from(self.accelerator.node_size.max(1)))
        .max(1.0);
        time.overhead_s = constants.get(Constant::StepMs) * 1e-3;
        time.overhead_s += time.total_s() * constants.get(Constant::Straggler) * nodes.log2();
        time
    }

    /// Rate of sends between pipeline stages, bytes/s.
    fn boundary_rate(&self, layout: &Layout) -> f64 {
        let near = f64::from(layout.tensor * layout.context * layout.data)
            < f64::from(self.accelerator.node_size)
            || layout.accelerators() <= self.accelerator.link.domain_size;
        if near {
            self.link_bytes_per_s()
        } else {
            self.network_rate()
        }
    }

    /// Time of a step that waits for sends between pipeline stages.
    fn hand_over_s(&self, layout: &Layout, slice: &Slice, batches: f64) -> f64 {
        if layout.pipeline == 1 {
            return 0.0;
        }
        let one = slice.boundary_bytes / self.boundary_rate(layout)
            + self.accelerator.network.latency_us * 1e-6;
        2.0 * one
            * (0.5 * batches * f64::from(layout.interleave) + f64::from(layout.pipeline) - 1.0)
    }

    /// Exposed data-parallel time: what cannot hide behind `window` seconds of compute, and a fixed share of the rest.
    fn data_parallel_s(&self, layout: &Layout, batches: f64, window_s: f64) -> f64 {
        let ranks = f64::from(layout.data * layout.context);
        if ranks <= 1.0 || self.workload.method != Method::Full {
            return 0.0;
        }
        let (dense, expert) = self.held(layout, false);
        let tensor = f64::from(layout.tensor);
        let gradient = self.gradient_bytes();
        let weight = self.rates.storage;
        let groups = [
            (dense, self.group(ranks, tensor)),
            (
                expert,
                self.group(
                    (ranks * tensor / f64::from(layout.expert).max(tensor)).max(1.0),
                    f64::from(layout.expert).max(tensor),
                ),
            ),
        ];
        let mut seconds = 0.0;
        for (parameters, group) in groups {
            if parameters <= 0.0 || group.size <= 1.0 {
                continue;
            }
            let ring = (group.size - 1.0) / group.size;
            let buckets = (self.layers / f64::from(layout.pipeline)).max(1.0);
            seconds += match layout.zero {
                0 => group.seconds(parameters * 2.0 * gradient * ring, 2.0 * buckets),
                1 | 2 => group.seconds(parameters * (gradient + weight) * ring, 2.0 * buckets),
                _ => {
                    let shard = if layout.shard < layout.data * layout.context {
                        self.group(f64::from(layout.shard), tensor)
                    } else {
                        group
                    };
                    let ring = (shard.size - 1.0) / shard.size;
                    let moved = parameters * (2.0 * weight + gradient.min(weight * 2.0)) * ring;
                    let every = batches * shard.seconds(moved, 3.0 * buckets);
                    let replicas =
                        f64::from(layout.data * layout.context) / f64::from(layout.shard.max(1));
                    let across = if replicas > 1.0 {
                        parameters / shard.size * 2.0 * gradient / self.network_rate()
                    } else {
                        0.0
                    };
                    every + across
                }
            };
        }
        // DeepSpeed's pipeline reduces gradients after the last micro-batch, when nothing is left to hide them.
        let exposed =
            if self.workload.framework == Framework::MegatronDeepspeed && layout.pipeline > 1 {
                1.0
            } else {
                self.constants.get(Constant::ExposedData).min(1.0)
            };
        let window = if layout.zero >= 3 {
            window_s
        } else {
            window_s / batches.max(1.0)
        };
        exposed * seconds + ((1.0 - exposed) * seconds - 0.9 * window).max(0.0)
    }

    /// Bytes of one gradient element as it is reduced and kept.
    fn gradient_bytes(&self) -> f64 {
        match self.workload.framework {
            Framework::Megatron => 4.0,
            _ => self.rates.storage,
        }
    }

    fn optimizer_s(&self, layout: &Layout) -> f64 {
        if self.workload.method != Method::Full {
            return 0.0;
        }
        let (dense, expert) = self.held(layout, false);
        let sharers = if layout.zero >= 1 {
            f64::from(layout.shard.max(1))
        } else {
            1.0
        };
        let expert_sharers = (sharers * f64::from(layout.tensor)
            / f64::from(layout.expert.max(layout.tensor)))
        .max(1.0);
        let parameters = dense / sharers + expert / expert_sharers;
        // Clipping reads the gradients for their norm and scales them (three passes); the step reads them again,
        // reads and writes moments and fp32 weights, and rereads those to write the 16-bit ones.
        let bytes = parameters
            * (4.0 * self.gradient_bytes()
                + 2.0 * self.workload.optimizer.moment_bytes()
                + 8.0
                + 6.0);
        let mut seconds = bytes / (self.rates.memory * self.constants.get(Constant::Memory));
        if self.workload.optimizer == crate::workload::Optimizer::Muon {
            // Five Newton-Schulz steps of three products on each matrix: about 30 * hidden FLOPs a parameter (arXiv:2502.16982).
            seconds += parameters * 30.0 * self.workload.model.hidden as f64 / self.rates.wide;
        }
        let over = match layout.offload {
            Offload::None => return seconds,
            Offload::Cpu => 20e9,
            Offload::Nvme => 3e9,
        };
        seconds + parameters * (self.gradient_bytes() + 2.0) / over + parameters * 28.0 / 100e9
    }

    /// Peak memory of the fullest rank.
    pub fn memory(&self, layout: &Layout, slice: &Slice) -> Memory {
        let first = self.memory_of_stage(layout, slice, false);
        if layout.pipeline == 1 {
            return first;
        }
        let last = self.memory_of_stage(layout, slice, true);
        if last.total_bytes() > first.total_bytes() {
            last
        } else {
            first
        }
    }

    fn memory_of_stage(&self, layout: &Layout, slice: &Slice, last: bool) -> Memory {
        let constants = &self.constants;
        let (dense, expert) = self.held(layout, last);
        let parameters = dense + expert;
        let storage = self.rates.storage;
        let sharers = f64::from(layout.shard.max(1));
        let expert_sharers = (sharers * f64::from(layout.tensor)
            / f64::from(layout.expert.max(layout.tensor)))
        .max(1.0);
        let sharded = dense / sharers + expert / expert_sharers;
        // Plain PyTorch scripts mostly train wholly in bf16: no master copy, moments and gradients in 16 bits.
        let pure = self.workload.framework == Framework::Pytorch
            && self.workload.precision == Precision::Bf16;
        let master = if storage < 4.0 && !pure { 4.0 } else { 0.0 };
        let state = self.workload.optimizer.moment_bytes() * if pure { 0.5 } else { 1.0 } + master;
        let mut memory = Memory::default();
        match self.workload.method {
            Method::Full => {
                // DeepSpeed's pipeline reduces gradients in 16 bits, and casts only its own shard for the optimizer.
                let narrow = pure || self.workload.framework == Framework::MegatronDeepspeed;
                let kept_gradient: f64 = if storage < 4.0 && !narrow {
                    4.0
                } else {
                    storage
                };
                if layout.zero >= 3 {
                    // The sharded fp32 weights are the master copy; 16-bit weights exist only while gathered.
                    memory.gradients_bytes = sharded * kept_gradient;
                    memory.optimizer_bytes = sharded * state;
                    memory.weights_bytes = if storage < 4.0 && !pure {
                        0.0
                    } else {
                        sharded * storage
                    };
                    memory.buffers_bytes +=
                        3.0 * self.layer_parameters_most * storage / f64::from(layout.tensor);
                } else {
                    memory.weights_bytes = parameters * storage;
                    memory.gradients_bytes = if layout.zero == 2 {
                        sharded * kept_gradient
                    } else {
                        parameters * kept_gradient
                    };
                    memory.optimizer_bytes = if layout.zero >= 1 {
                        sharded * state
                    } else {
                        parameters * state
                    };
                }
                if layout.offload != Offload::None {
                    memory.optimizer_bytes = 0.0;
                }
            }
            Method::Lora | Method::Qlora => {
                // 4-bit weights with their scales (arXiv:2305.14314: 0.127 bits a weight after double quantization, about
                // 0.5 without); word embeddings and the output product stay as they are.
                let ends = (self.embedding_parameters + self.head_parameters)
                    / f64::from(layout.tensor)
                    / if layout.pipeline > 1 { 2.0 } else { 1.0 };
                let whole = if layout.zero >= 3 {
                    sharded
                } else {
                    parameters
                };
                memory.weights_bytes = if self.workload.method == Method::Qlora {
                    let ends = (ends * whole / parameters).min(whole);
                    ends * storage + (whole - ends) * 0.56
                } else {
                    whole * storage
                };
                memory.optimizer_bytes = parameters * 0.005 * (8.0 + storage);
            }
        }
        let stages = f64::from(layout.pipeline);
        let per_stage = (self.layers / stages).ceil() / self.layers;
        let batches = self.micro_batches(layout);
        let chunks = f64::from(layout.interleave);
        // Micro-batches whose activations a stage holds at once (arXiv:2104.04473, section 2.2; interleaving adds
        // (p-1)/(p*v), arXiv:2205.05198, section 4.2.3).
        let flight = if layout.pipeline == 1 || last {
            1.0
        } else {
            (stages
                * if chunks > 1.0 {
                    1.0 + (stages - 1.0) / (stages * chunks)
                } else {
                    1.0
                })
            .min(batches)
        };
        let saved = constants.get(Constant::Saved);
        let layers_here = self.layers * per_stage;
        memory.activations_bytes = saved
            * match layout.recompute {
                Recompute::None => flight * slice.kept_bytes * per_stage,
                Recompute::Selective => flight * slice.kept_selective_bytes * per_stage,
                Recompute::Full => {
                    flight * slice.layer_input_bytes * layers_here + slice.kept_layer_bytes
                }
            };
        if layout.pipeline == 1 || last {
            memory.buffers_bytes += slice.head_bytes;
        }
        let deepspeed = self.workload.framework == Framework::MegatronDeepspeed;
        if deepspeed && layout.zero >= 1 {
            // Buckets of 5e8 elements each for reducing gradients, twice as they overlap, and for gathering weights
            // (`reduce_bucket_size` and `allgather_bucket_size` of DeepSpeed's configuration).
            memory.buffers_bytes += 3.0 * 5e8_f64.min(parameters) * storage;
        }
        let used = memory.total_bytes();
        // Each group of ranks has a communicator with buffers of its own; DeepSpeed's pipeline adds groups for the
        // slice, the tied embeddings and the neighbours.
        let mut groups = [layout.tensor, layout.pipeline, layout.data * layout.context]
            .iter()
            .filter(|degree| **degree > 1)
            .count() as f64;
        if deepspeed && layout.accelerators() > 1 {
            groups += 3.0;
        }
        memory.waste_bytes = used * (constants.get(Constant::Waste) - 1.0);
        memory.reserved_bytes =
            constants.get(Constant::ReservedGib) * (0.5 + 0.5 * groups.max(1.0)) * GIB;
        memory
    }
}

/// Device work and host work that run beside each other: close to the larger of the two.
fn together(device_s: f64, host_s: f64) -> f64 {
    (device_s.powi(4) + host_s.powi(4)).sqrt().sqrt()
}
