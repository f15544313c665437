//! How a workload is spread over a cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A layout. The number of accelerators is `data * tensor * pipeline * context`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Layout {
    /// Data-parallel replicas.
    pub data: u32,
    /// Tensor-parallel ranks.
    pub tensor: u32,
    /// Pipeline stages.
    pub pipeline: u32,
    /// Model chunks on each stage (1: plain 1F1B; more: interleaved).
    pub interleave: u32,
    /// Context-parallel ranks (sequence split in attention too).
    pub context: u32,
    /// Expert-parallel ranks, out of `data * tensor * context`.
    pub expert: u32,
    /// ZeRO stage over the data-parallel ranks (3: FSDP).
    pub zero: u8,
    /// Ranks that share one copy of the sharded state (hybrid sharding); equals `data * context` where all share.
    pub shard: u32,
    /// Sequences in one micro-batch of one replica.
    pub micro_batch: u32,
    /// Which activations are recomputed.
    pub recompute: Recompute,
    /// Whether norms and residuals are split along the sequence over the tensor-parallel ranks.
    pub sequence_parallel: bool,
    /// Pipeline schedule.
    pub schedule: Schedule,
    /// Where optimizer state lives.
    pub offload: Offload,
}

/// Activation recomputation.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Recompute {
    /// Everything is kept.
    None,
    /// Attention scores and cheap pointwise results are computed again (arXiv:2205.05198).
    Selective,
    /// Only the input of each layer is kept.
    Full,
}

/// Pipeline schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// One forward, one backward; interleaved where a stage holds several chunks (arXiv:2104.04473).
    OneForwardOneBackward,
    /// Weight gradients fill the bubble (ZB-H1, arXiv:2401.10241).
    ZeroBubble,
}

/// Where optimizer state lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Offload {
    /// On the accelerator.
    None,
    /// In host memory, over PCIe.
    Cpu,
    /// On local NVMe.
    Nvme,
}

impl Layout {
    /// Pure data parallelism with everything else off; a base to change fields of.
    pub fn data_parallel(data: u32, micro_batch: u32) -> Self {
        Self {
            data,
            tensor: 1,
            pipeline: 1,
            interleave: 1,
            context: 1,
            expert: 1,
            zero: 1,
            shard: data,
            micro_batch,
            recompute: Recompute::None,
            sequence_parallel: false,
            schedule: Schedule::OneForwardOneBackward,
            offload: Offload::None,
        }
    }

    /// Accelerators used.
    pub fn accelerators(&self) -> u32 {
        self.data * self.tensor * self.pipeline * self.context
    }

    /// Short form such as `TP2 PP4x5 DP8 CP1 EP8 ZeRO-1 mb1 selective`; degrees of 1 are left out.
    pub fn brief(&self) -> String {
        let mut parts = Vec::new();
        for (name, degree) in [
            ("TP", self.tensor),
            ("CP", self.context),
            ("EP", self.expert),
            ("DP", self.data),
        ] {
            if degree > 1 {
                parts.push(format!("{name}{degree}"));
            }
        }
        if self.pipeline > 1 {
            let chunks = if self.interleave > 1 {
                format!("x{}", self.interleave)
            } else {
                String::new()
            };
            parts.insert(
                usize::from(self.tensor > 1),
                format!("PP{}{chunks}", self.pipeline),
            );
        }
        match self.zero {
            0 => {}
            3 if self.shard < self.data * self.context => parts.push(format!("HSDP{}", self.shard)),
            3 => parts.push("FSDP".to_owned()),
            stage => parts.push(format!("ZeRO-{stage}")),
        }
        parts.push(format!("mb{}", self.micro_batch));
        match self.recompute {
            Recompute::None => {}
            Recompute::Selective => parts.push("selective".to_owned()),
            Recompute::Full => parts.push("full-recompute".to_owned()),
        }
        if self.schedule == Schedule::ZeroBubble {
            parts.push("zero-bubble".to_owned());
        }
        match self.offload {
            Offload::None => {}
            Offload::Cpu => parts.push("offload-cpu".to_owned()),
            Offload::Nvme => parts.push("offload-nvme".to_owned()),
        }
        parts.join(" ")
    }
}
