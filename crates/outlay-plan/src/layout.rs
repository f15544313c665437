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
            0 if self.data * self.context > 1 => parts.push("ZeRO-0".to_owned()),
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

    /// Reads the short form that [`Self::brief`] writes, in any order and case; what is not said is one, off, or
    /// `data` so that `accelerators` are used.
    ///
    /// ```
    /// let layout = outlay_plan::Layout::parse("TP4 PP12x2 ZeRO-1 mb2 full-recompute", 384).unwrap();
    /// assert_eq!((layout.tensor, layout.pipeline, layout.interleave, layout.data), (4, 12, 2, 8));
    /// assert_eq!(outlay_plan::Layout::parse(&layout.brief(), 384), Ok(layout));
    /// ```
    ///
    /// # Errors
    /// One sentence that names the word at fault and what is allowed.
    pub fn parse(text: &str, accelerators: u32) -> Result<Self, String> {
        let mut layout = Self::data_parallel(1, 1);
        let mut data = None;
        let mut shard = None;
        let mut sequence_parallel = None;
        let mut said: Vec<(&str, &str)> = Vec::new();
        for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
            let lower = word.to_ascii_lowercase();
            let degree = |from: &str| -> Result<u32, String> {
                match from.parse() {
                    Ok(degree) if (1..=1_000_000).contains(&degree) => Ok(degree),
                    _ => Err(format!(
                        "`{word}`: `{from}` is not a whole number from 1 to 1,000,000"
                    )),
                }
            };
            let subject = match lower.trim_end_matches(|c: char| c.is_ascii_digit() || c == 'x') {
                "fsdp" | "hsdp" | "zero-" => "sharding",
                "selective" | "full-recompute" => "recomputation",
                "sp" | "no-sp" => "sequence parallelism",
                "offload-cpu" | "offload-nvme" => "offload",
                "zero-bubble" => "schedule",
                "tp" => "TP",
                "pp" => "PP",
                "cp" => "CP",
                "ep" => "EP",
                "dp" => "DP",
                "mb" => "micro-batch",
                _ => "",
            };
            if let Some((_, before)) = said.iter().find(|(of, _)| *of == subject)
                && !subject.is_empty()
            {
                return Err(format!(
                    "`{before}` and `{word}` both give the {subject}; allowed: one of them"
                ));
            }
            said.push((subject, word));
            match lower.as_str() {
                "fsdp" => layout.zero = 3,
                "selective" => layout.recompute = Recompute::Selective,
                "full-recompute" => layout.recompute = Recompute::Full,
                "zero-bubble" => layout.schedule = Schedule::ZeroBubble,
                "offload-cpu" => layout.offload = Offload::Cpu,
                "offload-nvme" => layout.offload = Offload::Nvme,
                "sp" => sequence_parallel = Some(true),
                "no-sp" => sequence_parallel = Some(false),
                "zero-0" => layout.zero = 0,
                "zero-1" => layout.zero = 1,
                "zero-2" => layout.zero = 2,
                "zero-3" => layout.zero = 3,
                _ => {
                    if let Some(rest) = lower.strip_prefix("hsdp") {
                        layout.zero = 3;
                        shard = Some(degree(rest)?);
                    } else if let Some(rest) = lower.strip_prefix("tp") {
                        layout.tensor = degree(rest)?;
                    } else if let Some(rest) = lower.strip_prefix("pp") {
                        let (stages, chunks) = rest.split_once('x').unwrap_or((rest, "1"));
                        layout.pipeline = degree(stages)?;
                        layout.interleave = degree(chunks)?;
                    } else if let Some(rest) = lower.strip_prefix("cp") {
                        layout.context = degree(rest)?;
                    } else if let Some(rest) = lower.strip_prefix("ep") {
                        layout.expert = degree(rest)?;
                    } else if let Some(rest) = lower.strip_prefix("dp") {
                        data = Some(degree(rest)?);
                    } else if let Some(rest) = lower.strip_prefix("mb") {
                        layout.micro_batch = degree(rest)?;
                    } else {
                        return Err(format!(
                            "`{word}` is not known; allowed: TPn, PPn, PPnxCHUNKS, CPn, EPn, DPn, ZeRO-0 to ZeRO-3, FSDP, HSDPn, mbN, selective, full-recompute, zero-bubble, offload-cpu, offload-nvme, SP, no-SP"
                        ));
                    }
                }
            }
        }
        if said.is_empty() {
            return Err("it is empty; write its parts, such as \"TP4 PP2 ZeRO-1 mb1\"".to_owned());
        }
        let replica =
            u64::from(layout.tensor) * u64::from(layout.pipeline) * u64::from(layout.context);
        let fits = u64::from(accelerators).is_multiple_of(replica);
        layout.data = (u64::from(accelerators) / replica) as u32;
        if !fits || data.is_some_and(|data| data != layout.data) {
            let product = replica * u64::from(data.unwrap_or(1));
            return Err(format!(
                "TP * PP * CP{} is {product}, which does not {} the {accelerators} accelerators",
                if data.is_some() { " * DP" } else { "" },
                if data.is_some() { "equal" } else { "divide" }
            ));
        }
        layout.sequence_parallel = sequence_parallel.unwrap_or(layout.tensor > 1);
        let replicas = layout.data * layout.context;
        if replicas == 1 {
            layout.zero = 0;
        }
        layout.shard = shard.unwrap_or(replicas);
        if !replicas.is_multiple_of(layout.shard) {
            return Err(format!(
                "HSDP{} does not divide the {replicas} data-parallel ranks",
                layout.shard
            ));
        }
        Ok(layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_wrong_are_named() {
        for (text, expected) in [
            ("TP3", "does not divide"),
            ("TP0", "`TP0`"),
            ("QP4", "`QP4`"),
            ("TP2 DP2", "does not equal"),
            ("HSDP3", "HSDP3"),
            ("", "empty"),
            ("TP4 TP8", "`TP4` and `TP8`"),
            ("ZeRO-1 FSDP", "`ZeRO-1` and `FSDP`"),
            ("SP no-SP", "`SP` and `no-SP`"),
        ] {
            let error = Layout::parse(text, 8).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[TPCEDmbSxzeroFHfsdp0-9 ,-]{0,40}", n in 1u32..5000) {
            if let Ok(layout) = Layout::parse(&text, n) {
                proptest::prop_assert_eq!(layout.accelerators(), n);
            }
        }
    }
}
