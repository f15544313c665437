//! Peak memory of the fullest rank, part by part.

use outlay_units::GIB;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::constants::Constant;
use crate::eager::Eager;
use crate::layout::{Layout, Offload, Recompute};
use crate::step::{Costing, Slice, TowerSlice};
use crate::workload::{Framework, Method, Precision};

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

impl Costing<'_> {
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
            Method::Full if self.rates.passes == Some(Eager::Autocast) && layout.zero == 0 => {
                // fp32 weights, and what they are cast to, which autocast holds until the forward pass ends and products
                // until theirs.
                memory.weights_bytes = parameters * (4.0 + storage);
                memory.optimizer_bytes = parameters * self.workload.optimizer.moment_bytes();
                memory.gradients_bytes = parameters * 4.0;
            }
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
            Method::Forward => {
                let whole = if layout.zero >= 3 {
                    sharded
                } else {
                    parameters
                };
                memory.weights_bytes = whole * storage.min(2.0);
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
                // Adapters with their gradients and moments; those of their pipeline stage and tensor share.
                let adapters = self.adapter_parameters / f64::from(layout.tensor)
                    * (self.layers / f64::from(layout.pipeline)).ceil()
                    / self.layers;
                // PEFT keeps them in fp32.
                let each = if self.rates.passes.is_some() {
                    4.0
                } else {
                    storage
                };
                memory.optimizer_bytes =
                    adapters * (2.0 * each + self.workload.optimizer.moment_bytes());
            }
        }
        // Frozen models are sharded where the trained one is.
        memory.weights_bytes +=
            self.frozen_held(layout, sharers, expert_sharers) * storage.min(2.0);
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
        let tower = if layout.pipeline == 1 || !last {
            slice.tower
        } else {
            TowerSlice::default()
        };
        let widest_bytes = slice.kept_layer_bytes.max(tower.kept_layer_bytes);
        memory.activations_bytes = saved
            * match layout.recompute {
                Recompute::None => flight * (slice.kept_bytes * per_stage + tower.kept_bytes),
                Recompute::Selective => {
                    flight * (slice.kept_selective_bytes * per_stage + tower.kept_selective_bytes)
                }
                Recompute::Full => {
                    flight * (slice.inputs_bytes * per_stage + tower.inputs_bytes) + widest_bytes
                }
            };
        if self.workload.method == Method::Forward {
            // Each layer's results make room for the next one's.
            memory.activations_bytes = saved * slice.kept_layer_bytes;
        }
        if layout.pipeline == 1 || last {
            memory.buffers_bytes += slice.head_bytes;
        }
        if self.rates.passes.is_some() && layout.recompute == Recompute::Full {
            // The layer that is computed again is so after the logits are gone, and casts of weights before their gradient is
            // there, which with an fp32 copy of it is 4 of the 14 bytes of each.
            memory.activations_bytes -= saved * widest_bytes;
            memory.buffers_bytes = memory.buffers_bytes.max(saved * widest_bytes);
            if self.rates.passes == Some(Eager::Autocast) && layout.zero == 0 {
                let casts = parameters * storage;
                memory.weights_bytes -= casts.min(slice.head_bytes * 4.0 / 14.0);
            }
        }
        let deepspeed = self.workload.framework == Framework::MegatronDeepspeed;
        if deepspeed && layout.zero >= 1 {
            // Buckets of 5e8 elements each for reducing gradients, twice as they overlap, and for gathering weights
            // (`reduce_bucket_size` and `allgather_bucket_size` of DeepSpeed's configuration).
            memory.buffers_bytes += 3.0 * 5e8_f64.min(parameters) * storage;
        }
        if self.rates.passes == Some(Eager::Autocast) && layout.zero == 0 && batches <= 1.0 {
            // Gradients are made while activations are freed, and the casts are gone by then: they take their room.
            let freed = memory.activations_bytes + memory.buffers_bytes + parameters * storage;
            memory.gradients_bytes = (memory.gradients_bytes - freed).max(0.0);
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
        memory.reserved_bytes = if self.rates.passes.is_some() && layout.accelerators() == 1 {
            // The context, libraries and their workspaces of one process that talks to no other: 0.74 to 0.85 GiB on an H100.
            0.8 * GIB
        } else {
            constants.get(Constant::ReservedGib) * (0.5 + 0.5 * groups.max(1.0)) * GIB
        };
        memory
    }

    /// Parameters that one rank holds of what runs forward alone, of which `sharers` share one copy under ZeRO-3.
    fn frozen_held(&self, layout: &Layout, sharers: f64, expert_sharers: f64) -> f64 {
        let (dense, experts) = self.frozen_layer_parameters;
        if self.frozen_parameters + dense + experts <= 0.0 {
            return 0.0;
        }
        let (sharing, expert_sharing) = if layout.zero >= 3 {
            (sharers, expert_sharers)
        } else {
            (1.0, 1.0)
        };
        // Frozen layers are divided as trained ones.
        let spread = f64::from(layout.expert.max(layout.tensor));
        self.frozen_parameters / sharing
            + (dense / f64::from(layout.tensor) / sharing + experts / spread / expert_sharing)
                / f64::from(layout.pipeline)
    }

    /// Size of a checkpoint that training can resume from, in bytes: weights, master weights and moments.
    pub fn checkpoint_bytes(&self) -> f64 {
        let parameters = self.workload.model.trained_parameters() as f64;
        let storage = self.rates.storage;
        match self.workload.method {
            Method::Full => {
                let master = if storage < 4.0 { 4.0 } else { 0.0 };
                parameters * (storage + master + self.workload.optimizer.moment_bytes())
            }
            Method::Forward => 0.0,
            // Adapters only, with their moments.
            Method::Lora | Method::Qlora => {
                self.adapter_parameters * (storage + self.workload.optimizer.moment_bytes())
            }
        }
    }
}
