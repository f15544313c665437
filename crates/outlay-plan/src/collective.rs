//! Communication: groups of ranks on the tiers of the network, what they move, and what a step waits for.

use outlay_model::BlockKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::constants::Constant;
use crate::layout::{Layout, Recompute};
use crate::operator::operator_cost;
use crate::step::{Costing, Slice};
use crate::workload::{Framework, Method};

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
pub(crate) struct Group {
    pub(crate) size: f64,
    pub(crate) bytes_per_s: f64,
    pub(crate) latency_s: f64,
    pub(crate) chunk_s: f64,
}

impl Group {
    /// Time of `messages` collectives that send `bytes` from each rank in all.
    ///
    /// A ring passes a message on in chunks: small chunks pay latency, large ones fill the ring slowly. With the
    /// best size, `n` bytes take `(sqrt(a) + sqrt(n/b))^2 = a + 2 sqrt(a n/b) + n/b` (Hockney's pipelined
    /// transfer). The middle term is what separates a tuned library's large messages from its middling ones.
    pub(crate) fn seconds(&self, bytes: f64, messages: f64) -> f64 {
        if bytes <= 0.0 {
            return 0.0;
        }
        let stream = bytes / self.bytes_per_s;
        messages * self.latency_s + (messages * self.chunk_s * stream).sqrt() + stream
    }
}

impl Costing<'_> {
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
            let share = self.share(layout, block);
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
            (passes + crate::step::gathered_again(layout))
                * 2.0
                * tensor_bytes
                * (tensor.size - 1.0)
                / tensor.size,
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

    /// A group of `size` ranks that stand `stride` apart: a ring over `per_domain` ranks in each fast domain
    /// uses that many network ports of the domain.
    pub(crate) fn group(&self, size: f64, stride: f64) -> Group {
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

    pub(crate) fn link_bytes_per_s(&self) -> f64 {
        self.accelerator.link.gb_per_s * 1e9 * self.constants.get(Constant::Link)
    }

    pub(crate) fn network_rate(&self) -> f64 {
        self.network_bytes_per_s * self.constants.get(Constant::Network)
    }

    /// Exposed time of one dispatch and one combine. A token goes once to each fast domain it needs, and from
    /// there over the links (as DeepEP does).
    pub(crate) fn all_to_all_s(&self, layout: &Layout, token_bytes: f64, selected: f64) -> f64 {
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

    /// Rate of sends between pipeline stages, bytes/s.
    pub(crate) fn boundary_rate(&self, layout: &Layout) -> f64 {
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
    pub(crate) fn hand_over_s(&self, layout: &Layout, slice: &Slice, batches: f64) -> f64 {
        if layout.pipeline == 1 {
            return 0.0;
        }
        let one = slice.boundary_bytes / self.boundary_rate(layout)
            + self.accelerator.network.latency_us * 1e-6;
        2.0 * one
            * (0.5 * batches * f64::from(layout.interleave) + f64::from(layout.pipeline) - 1.0)
    }

    /// Exposed data-parallel time: what cannot hide behind `window` seconds of compute, and a fixed share of the rest.
    pub(crate) fn data_parallel_s(&self, layout: &Layout, batches: f64, window_s: f64) -> f64 {
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
        seconds += self.frozen_gathers_s(layout, batches);
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

    /// Gathering the sharded weights of frozen layers, once for each micro-batch, before anything hides it.
    fn frozen_gathers_s(&self, layout: &Layout, batches: f64) -> f64 {
        let (dense, experts) = self.frozen_layer_parameters;
        // Most models have none, and layouts are priced by the million.
        if dense + experts <= 0.0 {
            return 0.0;
        }
        let pipeline = f64::from(layout.pipeline);
        let tensor = f64::from(layout.tensor);
        let spread = f64::from(layout.expert).max(tensor);
        self.all_gathers_s(
            layout,
            batches,
            (dense / tensor / pipeline, experts / spread / pipeline),
        )
    }

    /// Gathering sharded weights (dense, and of experts) once for each micro-batch; nothing where they are not sharded.
    fn all_gathers_s(&self, layout: &Layout, batches: f64, (dense, experts): (f64, f64)) -> f64 {
        let ranks = f64::from(layout.data * layout.context);
        if layout.zero < 3 || ranks <= 1.0 {
            return 0.0;
        }
        let tensor = f64::from(layout.tensor);
        let spread = f64::from(layout.expert).max(tensor);
        let buckets = (self.layers / f64::from(layout.pipeline)).max(1.0);
        [
            (dense, self.group(ranks, tensor)),
            (
                experts,
                self.group((ranks * tensor / spread).max(1.0), spread),
            ),
        ]
        .into_iter()
        .filter(|(parameters, group)| *parameters > 0.0 && group.size > 1.0)
        .map(|(parameters, group)| {
            let ring = (group.size - 1.0) / group.size;
            batches * group.seconds(parameters * self.rates.storage * ring, buckets)
        })
        .sum()
    }

    /// Exposed time of gathering the weights of a model that runs forward alone, behind `window_s` seconds of compute.
    pub(crate) fn gathers_s(&self, layout: &Layout, batches: f64, window_s: f64) -> f64 {
        let seconds = self.all_gathers_s(layout, batches, self.held(layout, false))
            + self.frozen_gathers_s(layout, batches);
        let exposed = self.constants.get(Constant::ExposedData).min(1.0);
        exposed * seconds + ((1.0 - exposed) * seconds - 0.9 * window_s).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All-gathers among 8 accelerators of so many bytes in all, in milliseconds: aiconfigurator-core 0.12.0
    /// (Apache-2.0), `nccl_perf` of NCCL 2.27.3 on A100 and 2.29.2 on H100. Each rank sends seven eighths.
    #[test]
    fn measured_all_gathers_are_met() {
        let group = |bytes_per_s: f64, latency_us: f64, chunk_us: f64| Group {
            size: 8.0,
            bytes_per_s,
            latency_s: 3.0 * latency_us * 1e-6,
            chunk_s: chunk_us * 1e-6,
        };
        let a100 = group(0.857 * 300e9, 1.74, 110.5);
        let h100 = group(0.909 * 450e9, 1.45, 51.6);
        for (group, mebibytes, measured_ms) in [
            (a100, 2.0, 0.0335),
            (a100, 8.0, 0.0735),
            (a100, 32.0, 0.218),
            (a100, 128.0, 0.660),
            (h100, 2.0, 0.0222),
            (h100, 8.0, 0.0449),
            (h100, 32.0, 0.125),
            (h100, 128.0, 0.393),
        ] {
            let ms = group.seconds(mebibytes * 1024.0 * 1024.0 * 7.0 / 8.0, 1.0) * 1e3;
            assert!(
                (ms / measured_ms - 1.0).abs() < 0.25,
                "{mebibytes} MiB: {ms:.4} ms, measured {measured_ms}"
            );
        }
    }
}
