//! Time and memory of one optimizer step under a layout.
//!
//! [`Costing::slice`] prices one micro-batch on one rank (it depends on the tensor, context and expert degrees
//! and the micro-batch); [`Costing::step`] puts slices together into a pipeline schedule, data-parallel
//! communication and the optimizer. A search prices few slices and many steps.

use outlay_catalog::Accelerator;
use outlay_model::{Block, BlockKind, Family, Kind, Positions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::constants::{Calibration, Constant, Resolved};
use crate::eager::Eager;
use crate::layout::{Layout, Offload, Recompute, Schedule};
use crate::operator::{OperatorCost, Rates, Share, operator_cost};
use crate::workload::{Framework, Method, Workload};

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
    pub(crate) rates: Rates,
    pub(crate) layers: f64,
    pub(crate) dense_layer_parameters: f64,
    pub(crate) expert_layer_parameters: f64,
    pub(crate) embedding_parameters: f64,
    pub(crate) head_parameters: f64,
    pub(crate) predict_parameters: f64,
    pub(crate) predict_expert_parameters: f64,
    /// Of networks beside the model at positions of their own, which every rank holds whole.
    pub(crate) frozen_parameters: f64,
    /// Of frozen layers of the stream, which are divided as trained ones are: dense, and of experts.
    pub(crate) frozen_layer_parameters: (f64, f64),
    pub(crate) tower_parameters: f64,
    pub(crate) adapter_parameters: f64,
    pub(crate) layer_parameters_most: f64,
    pub(crate) layer_matrices: f64,
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
    /// Bytes of the inputs of all layers.
    pub inputs_bytes: f64,
    /// Vision towers that run and are trained.
    pub tower: TowerSlice,
    /// What runs forward alone.
    pub frozen: FrozenSlice,
}

/// One micro-batch of what runs forward alone: frozen layers, and networks beside the model. Times in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrozenSlice {
    /// Forward.
    pub forward_s: f64,
    /// Exposed tensor-parallel communication.
    pub tensor_s: f64,
    /// Expert exchange.
    pub expert_s: f64,
    /// Exposed context-parallel communication.
    pub context_s: f64,
}

impl FrozenSlice {
    fn total_s(&self) -> f64 {
        self.forward_s + self.tensor_s + self.expert_s + self.context_s
    }
}

/// One micro-batch of the vision towers that are trained, all of which stand on the first pipeline stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct TowerSlice {
    /// Forward, with exposed communication, in seconds.
    pub forward_s: f64,
    /// Backward, with exposed communication, in seconds.
    pub backward_s: f64,
    /// Forward repeated under selective recomputation, in seconds.
    pub selective_s: f64,
    /// Kept bytes.
    pub kept_bytes: f64,
    /// Kept bytes under selective recomputation.
    pub kept_selective_bytes: f64,
    /// Kept bytes of the widest block, for recomputation's working set.
    pub kept_layer_bytes: f64,
    /// Bytes of the inputs of all blocks.
    pub inputs_bytes: f64,
}

impl TowerSlice {
    /// Forward that is repeated under such recomputation, in seconds.
    fn repeated_s(&self, recompute: Recompute) -> f64 {
        match recompute {
            Recompute::None => 0.0,
            Recompute::Selective => self.selective_s,
            Recompute::Full => self.forward_s,
        }
    }
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
            frozen_parameters: 0.0,
            frozen_layer_parameters: (0.0, 0.0),
            tower_parameters: 0.0,
            adapter_parameters: workload.adapters.parameters(&workload.model),
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
                BlockKind::TrainedTower => costing.tower_parameters += repeat * (dense + experts),
                BlockKind::Frozen if divided_as_layers(block) => {
                    costing.frozen_layer_parameters.0 += repeat * dense;
                    costing.frozen_layer_parameters.1 += repeat * experts;
                }
                BlockKind::Frozen => costing.frozen_parameters += repeat * (dense + experts),
            }
        }
        Some(costing)
    }

    /// Time of kernels relative to those of software from two years after the accelerator's release.
    ///
    /// Libraries are tuned for years: NVIDIA's own tables for one model on H100 rise with every release. TPUs are
    /// left out, as Google tunes for them before anyone else can rent one.
    pub(crate) fn maturity(&self) -> f64 {
        if self.accelerator.vendor == "Google" {
            return 1.0;
        }
        let age = self.workload.software_year - f64::from(self.accelerator.released);
        (1.0 + self.constants.get(Constant::Maturity)).powf(2.0 - age.clamp(0.0, 4.0))
    }

    /// Cost of every operator of a block for one micro-batch, for explanations.
    pub fn operator_costs(&self, layout: &Layout) -> Vec<(usize, usize, OperatorCost)> {
        let mut out = Vec::new();
        for (block_index, block) in self.workload.model.blocks.iter().enumerate() {
            let share = self.share(layout, block);
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

    pub(crate) fn share(&self, layout: &Layout, block: &Block) -> Share {
        let kind = block.kind;
        let sequence = block.positions.of(self.workload.sequence_tokens) as f64;
        // Masked language models predict 15% of their tokens (arXiv:1810.04805, section 3.1), decoders all.
        let predicted = match (kind, self.workload.model.family) {
            (BlockKind::Head, Family::Encoder) => 0.15,
            _ => 1.0,
        };
        // Ranks that share a sequence each hold the whole caption.
        let ranks = match block.positions {
            Positions::Fixed(_) => 1.0,
            _ => f64::from(layout.context),
        };
        Share {
            tokens: predicted * f64::from(layout.micro_batch) * sequence / ranks,
            sequence,
            tensor: f64::from(layout.tensor),
            context: f64::from(layout.context),
            expert: f64::from(layout.expert),
            sequence_parallel: layout.sequence_parallel,
            hidden: self.workload.model.hidden,
            query_and_key: query_and_key(block) / f64::from(layout.tensor),
            narrow_allowed: matches!(kind, BlockKind::Layer | BlockKind::PredictAhead)
                && block.positions != Positions::Fixed(1),
            passes_counted: block
                .operators
                .iter()
                .any(|operator| matches!(operator.kind, Kind::ImageConvolution { .. })),
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
            let share = self.share(layout, block);
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
            if matches!(self.workload.method, Method::Lora | Method::Qlora)
                && block.kind == BlockKind::Layer
            {
                let adapted = self.workload.adapters.of_block(block);
                let tokens = share.tokens / share.tensor;
                // DoRA makes the adapted weight and takes its norm: three passes over it, forward and again backward.
                let norms = if self.workload.adapters.magnitudes {
                    3.0 * adapted.weights / share.tensor * self.rates.storage / self.rates.bandwidth
                } else {
                    0.0
                };
                sum.forward_s += norms;
                sum.backward_s += norms;
                if let Some(eager) = self.rates.passes {
                    eager.add_adapters(&mut sum, &adapted, tokens, self.rates.bandwidth);
                } else {
                    // Inputs are read again, and what the adapters give is written and added; twice that backward.
                    let rank = f64::from(self.workload.adapters.rank);
                    let moved =
                        tokens * (adapted.inputs + 3.0 * adapted.outputs + 2.0 * adapted.n * rank);
                    let extra = moved * self.rates.storage / self.rates.bandwidth;
                    sum.forward_s += extra;
                    sum.backward_s += 2.0 * extra;
                    sum.kernels += 3.0 * adapted.n;
                    // The adapters' inputs: a copy after dropout, and its mask.
                    let input = tokens * adapted.kept;
                    sum.kept_bytes += input * (self.rates.storage + 1.0);
                    sum.kept_selective_bytes += input * (self.rates.storage + 1.0);
                }
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
                BlockKind::TrainedTower => {
                    let tower = &mut slice.tower;
                    let exposed = tensor_s + expert_s;
                    tower.forward_s += repeat * (forward + exposed + context_s);
                    tower.backward_s += repeat * (backward + exposed + 2.0 * context_s);
                    tower.selective_s += repeat * sum.selective_s;
                    tower.kept_bytes += repeat * sum.kept_bytes;
                    tower.kept_selective_bytes += repeat * sum.kept_selective_bytes;
                    tower.kept_layer_bytes = tower.kept_layer_bytes.max(sum.kept_bytes);
                }
                // No gradient flows through it: forward alone, and nothing is kept.
                BlockKind::Frozen => {
                    let frozen = &mut slice.frozen;
                    frozen.forward_s += repeat * forward;
                    if divided_as_layers(block) {
                        frozen.tensor_s += repeat * tensor_s;
                        frozen.expert_s += repeat * expert_s;
                        frozen.context_s += repeat * context_s;
                    }
                }
            }
            if matches!(block.kind, BlockKind::Layer | BlockKind::TrainedTower) {
                let split = if layout.sequence_parallel {
                    share.tensor
                } else {
                    1.0
                };
                let width = block_width(block, self.workload.model.hidden) as f64;
                let stream = self
                    .rates
                    .passes
                    .map_or(self.rates.storage, Eager::stream_bytes);
                let bytes = repeat * share.tokens * width * stream / split;
                if block.kind == BlockKind::Layer {
                    slice.inputs_bytes += bytes;
                } else {
                    slice.tower.inputs_bytes += bytes;
                }
            }
        }
        let width = self.workload.model.hidden as f64 * self.rates.storage;
        let tokens = f64::from(layout.micro_batch) * self.workload.sequence_tokens as f64
            / f64::from(layout.context);
        // Every tensor-parallel rank sends its share, and the receivers gather it (arXiv:2104.04473, section 4.1).
        slice.boundary_bytes = tokens * width / f64::from(layout.tensor);
        slice
    }

    /// Parameters on the fullest stage: (dense, expert) held by one rank before ZeRO.
    pub(crate) fn held(&self, layout: &Layout, last: bool) -> (f64, f64) {
        let stages = f64::from(layout.pipeline);
        let per_stage = (self.layers / stages).ceil() / self.layers;
        let tensor = f64::from(layout.tensor);
        let ends = if layout.pipeline == 1 {
            self.embedding_parameters
                + self.head_parameters
                + self.predict_parameters
                + self.tower_parameters
        } else if last {
            // A tied head is a second copy of the embedding on the last stage.
            self.head_parameters.max(self.embedding_parameters) + self.predict_parameters
        } else {
            self.embedding_parameters + self.tower_parameters
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

    /// Time of the slowest pipeline stage for one micro-batch.
    ///
    /// Layers that divide evenly are divided evenly, and the last stage has the head on top. Otherwise whoever
    /// places them by hand gives the last stage so many fewer that it does not hold up the rest.
    fn slowest_stage_s(&self, stages: f64, layers_s: f64, head_s: f64) -> f64 {
        let layer_s = layers_s / self.layers;
        if self.layers % stages == 0.0 {
            return layers_s / stages + head_s;
        }
        let ideal = (layers_s + head_s) / stages / layer_s;
        let with = |most: f64| {
            let last = (self.layers - most * (stages - 1.0)).max(0.0);
            let rest = ((self.layers - last) / (stages - 1.0)).ceil();
            (rest * layer_s).max(last * layer_s + head_s)
        };
        with(ideal.ceil()).min(with(ideal.floor().max(1.0)))
    }

    /// Puts a slice together into a step.
    pub fn step(&self, layout: &Layout, slice: &Slice) -> StepTime {
        if self.workload.method == Method::Forward {
            return self.forward_step(layout, slice);
        }
        let constants = &self.constants;
        let stages = f64::from(layout.pipeline);
        let batches = self.micro_batches(layout);
        let repeated = match layout.recompute {
            Recompute::None => 0.0,
            Recompute::Selective => slice.selective_s,
            Recompute::Full => slice.forward_s + slice.tensor_s + slice.expert_s + slice.context_s,
        };
        let layers_s = slice.forward_s
            + slice.backward_s
            + repeated
            + 2.0 * slice.expert_s
            + (2.0 + gathered_again(layout)) * slice.tensor_s
            + 3.0 * slice.context_s;
        let tower = &slice.tower;
        let tower_again_s = tower.repeated_s(layout.recompute);
        let tower_s = tower.forward_s + tower.backward_s + tower_again_s;
        let frozen_s = slice.frozen.total_s();
        let ends_s = slice.head_s + slice.predict_s + slice.embedding_s + tower_s + frozen_s;
        let mean_s = layers_s / stages;
        let slow_s = if layout.pipeline == 1 {
            layers_s + ends_s
        } else {
            let slowest = self.slowest_stage_s(stages, layers_s, slice.head_s + slice.predict_s);
            // A tower stands on top of the first stage's layers.
            let layers = (self.layers / stages).ceil();
            let first = layers * layers_s / self.layers + tower_s;
            if tower_s > 0.0 {
                slowest.max(first)
            } else {
                slowest
            }
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
        let imbalance = (batches * slow_s - ideal).max(0.0);
        let part = |seconds: f64| batches * seconds * share_of_layers;
        let ends_forward = batches * (ends_s - tower_again_s - frozen_s) / stages / 3.0;
        let frozen = |seconds: f64| batches * seconds / stages;
        let mut time = StepTime {
            forward_s: part(slice.forward_s) + ends_forward + frozen(slice.frozen.forward_s),
            backward_s: part(slice.backward_s) + 2.0 * ends_forward,
            recompute_s: match layout.recompute {
                Recompute::None => 0.0,
                Recompute::Selective => part(slice.selective_s),
                Recompute::Full => part(slice.forward_s),
            } + batches * tower_again_s / stages,
            ..StepTime::default()
        };
        let passes = if layout.recompute == Recompute::Full {
            3.0
        } else {
            2.0
        };
        time.tensor_s = part(slice.tensor_s) * (passes + gathered_again(layout))
            + frozen(slice.frozen.tensor_s);
        time.expert_s = part(slice.expert_s) * passes + frozen(slice.frozen.expert_s);
        time.context_s = part(slice.context_s) * (passes + 1.0) + frozen(slice.frozen.context_s);
        time.bubble_s = imbalance + ramp + hand_over;
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

    /// A step that runs forward alone: no gradients, nothing is computed again, and stages of a pipeline are never idle
    /// but for the first micro-batch.
    fn forward_step(&self, layout: &Layout, slice: &Slice) -> StepTime {
        let stages = f64::from(layout.pipeline);
        let batches = self.micro_batches(layout);
        // Embeddings and heads are summed forward and backward: a third of them is forward.
        let ends_s = (slice.head_s + slice.embedding_s) / 3.0 + slice.tower.forward_s;
        let frozen = &slice.frozen;
        let part = |seconds: f64| batches * seconds / stages;
        let mut time = StepTime {
            forward_s: part(slice.forward_s + ends_s + frozen.forward_s),
            tensor_s: part(slice.tensor_s + frozen.tensor_s),
            expert_s: part(slice.expert_s + frozen.expert_s),
            context_s: part(slice.context_s + frozen.context_s),
            overhead_s: self.constants.get(Constant::StepMs) * 1e-3,
            ..StepTime::default()
        };
        time.bubble_s = (stages - 1.0) / stages
            * (slice.forward_s
                + slice.tensor_s
                + slice.expert_s
                + slice.context_s
                + ends_s
                + frozen.total_s());
        time.data_s = self.gathers_s(layout, batches, time.forward_s);
        time
    }

    /// Bytes of one gradient element as it is reduced and kept.
    pub(crate) fn gradient_bytes(&self) -> f64 {
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
}

/// Whether a frozen block stands in the stream, and is divided among ranks as trained layers are; others (text encoders, an
/// autoencoder, a tower) every rank holds whole.
pub(crate) fn divided_as_layers(block: &Block) -> bool {
    !matches!(block.positions, Positions::Fixed(_))
}

/// Elements of one token's queries and keys in a block that attends.
fn query_and_key(block: &Block) -> f64 {
    block
        .operators
        .iter()
        .find_map(|operator| match operator.kind {
            Kind::Attention {
                query_heads,
                key_value_heads,
                qk_width,
                ..
            } => Some(((query_heads + key_value_heads) * qk_width) as f64),
            _ => None,
        })
        .unwrap_or(0.0)
}

/// Width of what a block reads: that of its first operator that says so, or of the stream.
fn block_width(block: &Block, hidden: u64) -> u64 {
    match block.operators.first().map(|operator| operator.kind) {
        Some(Kind::Norm { width } | Kind::GroupNorm { width }) if width > 0 => width,
        Some(Kind::ImageConvolution {
            inputs,
            stride_area,
            ..
        }) => inputs.saturating_mul(stride_area),
        Some(Kind::MatMul { inputs, .. }) if block.positions != Positions::Stream => inputs,
        _ => hidden,
    }
}

/// Tensor-parallel collectives of a backward pass beyond those of a forward pass, in forward passes.
///
/// With sequence parallelism the inputs of column-split products are kept by shards, and gathered a second time for
/// the gradient of the weights: half of a forward's gathers and scatters (arXiv:2205.05198, section 4.2.2).
pub(crate) fn gathered_again(layout: &Layout) -> f64 {
    if layout.sequence_parallel { 0.5 } else { 0.0 }
}

/// Device work and host work that run beside each other: close to the larger of the two.
fn together(device_s: f64, host_s: f64) -> f64 {
    (device_s.powi(4) + host_s.powi(4)).sqrt().sqrt()
}
