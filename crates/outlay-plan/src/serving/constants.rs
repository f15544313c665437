//! The constants of serving that measurements decide.

use std::collections::BTreeMap;

use crate::constants::constants;
use crate::serving::Engine;

/// One physical constant of serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum ServingConstant {
    /// Share of the 16-bit peak that large matrix products reach.
    Matmul16,
    /// Share of the 8-bit peak that large matrix products reach, their inputs' quantization included.
    Matmul8,
    /// Share of the 4-bit peak that large matrix products reach, their inputs' quantization included.
    Matmul4,
    /// Share of memory bandwidth at which a matrix product streams its weights.
    Stream,
    /// Time of each kernel beyond its arithmetic and traffic when kernels are replayed as a graph, in microseconds.
    KernelUs,
    /// Host time to issue one kernel outside a graph, in microseconds.
    LaunchUs,
    /// Share of the 16-bit peak that attention over a prompt reaches.
    PromptAttention,
    /// Share of memory bandwidth at which decoding reads the cache.
    CacheRead,
    /// Rate of reading a cache of 8-bit elements, relative to one of 16 bits: kernels widen them.
    CacheRead8,
    /// Time of attention's kernels in a layer beyond arithmetic and reading, in microseconds.
    AttentionUs,
    /// Share of the 16-bit peak that decoding attention over a latent cache reaches.
    LatentAttention,
    /// Share of an equal dense product's rate that experts' products reach.
    Expert,
    /// Share of an equal dense product's streaming rate at which experts' weights are read.
    ExpertStream,
    /// Share of that rate where weights are widened on their way (4-bit weights, 16-bit products).
    Unpack,
    /// Standard deviation of the logarithm of experts' popularity: skewed routing visits fewer experts.
    RoutingSkew,
    /// Load of the busiest rank of an expert-parallel group over the mean, less one, beyond what chance makes of it.
    Imbalance,
    /// Time to route a layer's tokens, to sort them by expert and to put them back, in microseconds.
    RouteUs,
    /// Bytes moved for each element of a routed token's copy, by sorting, quantizing and putting back.
    RowBytes,
    /// Bytes moved for each input element of a narrow dense product, to quantize it.
    QuantizeBytes,
    /// Latency of an all-reduce over eight ranks, in microseconds.
    AllReduceUs,
    /// Latency of an expert dispatch or combine, in microseconds.
    AllToAllUs,
    /// Host time of a layer's exchange of tokens with experts in a pass with prompts, where each attention group holds tokens of
    /// its own: the host waits for their counts before it goes on (DeepEP's normal mode), in milliseconds.
    ExchangeMs,
    /// Share of the link's rate that collectives reach.
    Link,
    /// Passes over memory of pointwise work.
    Pointwise,
    /// Time of a pass that the host adds, in milliseconds.
    PassMs,
    /// Host time for each sequence of a pass, in microseconds.
    SequenceUs,
    /// As `PassMs`, for a pass that holds prompt tokens.
    PromptPassMs,
    /// Time of the front end to send one piece of an answer, in microseconds.
    FrontEndUs,
    /// Time of the front end for a request beside the pieces of its answer, during which no other is served, in milliseconds.
    FrontEndRequestMs,
    /// Time of a request outside the scheduler: parsing, tokenising, the first response, in milliseconds.
    RequestMs,
    /// Time that a gateway before the engine adds to a request, in milliseconds.
    GatewayMs,
    /// Probability that a drafted token is accepted where all before it were: a draft of `n` yields
    /// `1 + a + ... + a^n` tokens a pass (Leviathan and others, arXiv:2211.17192, equation 1).
    Acceptance,
    /// Time of a pass that each drafted token adds: the pass that drafts it and the host between, in milliseconds.
    DraftMs,
    /// Time to hand a cache from a prefill worker to a decode worker, in milliseconds.
    HandOverMs,
}

constants! {
    ServingConstant SERVING_CONSTANTS;
    Matmul16 "matmul_16bit" 0.74 0.1 [0.1, 0.95] true false "share of the 16-bit peak, large products";
    Matmul8 "matmul_8bit" 0.64 0.2 [0.1, 0.95] true true "share of the 8-bit peak, large products";
    Matmul4 "matmul_4bit" 0.42 0.25 [0.05, 0.95] true true "share of the 4-bit peak, large products";
    Stream "stream" 0.84 0.1 [0.2, 1.0] true true "share of bandwidth, reading weights";
    KernelUs "kernel_us" 2.5 0.4 [0.1, 20.0] true true "us of each kernel in a graph";
    LaunchUs "launch_us" 15.0 0.7 [0.1, 100.0] true true "us to issue a kernel outside a graph";
    PromptAttention "prompt_attention" 0.64 0.2 [0.05, 0.95] true true "share of the peak, prompts' attention";
    CacheRead "cache_read" 0.89 0.1 [0.05, 1.0] true true "share of bandwidth, reading the cache";
    CacheRead8 "cache_read_8bit" 1.0 0.15 [0.2, 1.2] true true "rate of reading an 8-bit cache, of 16-bit";
    AttentionUs "attention_us" 11.2 0.25 [1.0, 100.0] true true "us of attention's kernels in a layer";
    LatentAttention "latent_attention" 0.7 0.3 [0.05, 0.95] true true "share of the peak, latent attention";
    Expert "expert" 0.6 0.3 [0.05, 1.2] true true "rate of experts' products, of dense ones";
    ExpertStream "expert_stream" 0.95 0.15 [0.1, 1.3] true true "rate of reading experts, of dense weights";
    Unpack "unpack" 0.7 0.3 [0.1, 1.0] true true "rate of reading weights that are widened";
    RoutingSkew "routing_skew" 0.7 0.4 [0.02, 2.5] false false "spread of experts' popularity, log units";
    Imbalance "imbalance" 0.15 0.5 [0.01, 3.0] false false "busiest expert rank over the mean, less 1";
    RouteUs "route_us" 19.7 0.4 [1.0, 200.0] true true "us to route, sort and put back tokens";
    RowBytes "row_bytes" 6.3 0.4 [1.0, 60.0] true true "bytes of a routed token's element, moved";
    QuantizeBytes "quantize_bytes" 5.0 0.4 [1.0, 40.0] false true "bytes to quantize an input's element";
    AllReduceUs "allreduce_us" 6.3 0.4 [1.0, 100.0] true true "us of latency, all-reduce of 8 ranks";
    AllToAllUs "alltoall_us" 45.0 0.5 [1.0, 300.0] true true "us of latency, dispatch or combine";
    ExchangeMs "exchange_ms" 3.0 1.0 [0.01, 20.0] false false "ms of the host, exchange of prompts' tokens";
    Link "link" 0.55 0.3 [0.05, 1.0] true true "share of the link's rate";
    Pointwise "pointwise" 1.2 0.4 [0.1, 10.0] false true "passes over memory of pointwise work";
    PassMs "pass_ms" 0.3 0.6 [0.01, 30.0] true true "ms of a pass that the host adds";
    SequenceUs "sequence_us" 10.0 0.8 [0.1, 300.0] false true "us of host time for each sequence";
    PromptPassMs "prompt_pass_ms" 5.0 0.9 [0.01, 100.0] true true "ms that a pass with prompts adds";
    FrontEndUs "front_end_us" 60.0 0.5 [1.0, 1000.0] false true "us to send one piece of an answer";
    FrontEndRequestMs "front_end_request_ms" 3.0 0.8 [0.01, 200.0] false true "ms of the front end for a request";
    RequestMs "request_ms" 50.0 0.6 [0.5, 500.0] false true "ms of a request outside the scheduler";
    GatewayMs "gateway_ms" 30.0 1.0 [0.1, 500.0] false true "ms of a gateway before the engine";
    Acceptance "acceptance" 0.6 0.3 [0.05, 0.98] false false "probability that a drafted token is taken";
    DraftMs "draft_ms" 0.8 0.8 [0.01, 20.0] false true "ms of a pass for each drafted token";
    HandOverMs "hand_over_ms" 100.0 1.2 [1.0, 3000.0] false true "ms to hand a cache over";
}

/// Factors of generations and engines before any whole run is seen, from tables of kernels measured one by one.
///
/// Fitted with the formulas of `pass.rs` to the products, attention, experts, all-reduces and exchanges in NVIDIA's
/// aiconfigurator-core 0.12.0 (Apache-2.0; PyPI), newest version of each engine: median errors 4 to 7% for 16-bit and 4 to
/// 10% for narrow products, 9% for attention that decodes, 10% for prompts', 11% for experts, 9 to 14% for all-reduces.
/// Drafts of SGLang are expected to take four times as long as others': its scheduler does not work ahead beside them.
const SCOPE_PRIORS: &[(ServingConstant, &str, f64)] = {
    use ServingConstant as C;
    &[
        (C::Matmul16, "hopper", 1.06),
        (C::Matmul16, "blackwell", 0.91),
        (C::Matmul16, "ampere", 1.08),
        (C::Matmul16, "ada", 0.77),
        (C::Matmul8, "blackwell-ultra", 1.08),
        (C::Matmul8, "ada", 0.77),
        (C::Matmul4, "blackwell", 1.09),
        (C::Matmul4, "blackwell-ultra", 0.83),
        (C::Stream, "hopper", 1.05),
        (C::Stream, "ampere", 0.93),
        (C::Stream, "ada", 0.95),
        (C::KernelUs, "ampere", 1.6),
        (C::KernelUs, "ada", 0.6),
        (C::AttentionUs, "hopper", 1.09),
        (C::AttentionUs, "blackwell-ultra", 0.94),
        (C::AttentionUs, "ampere", 1.6),
        (C::AttentionUs, "ada", 0.85),
        (C::AttentionUs, "vllm", 0.94),
        (C::AttentionUs, "sglang", 1.13),
        (C::AttentionUs, "tensorrt-llm", 0.95),
        (C::CacheRead, "hopper", 0.96),
        (C::CacheRead, "blackwell", 1.03),
        (C::CacheRead, "ampere", 0.75),
        (C::CacheRead8, "hopper", 0.78),
        (C::PromptAttention, "hopper", 1.07),
        (C::PromptAttention, "blackwell", 0.88),
        (C::PromptAttention, "blackwell-ultra", 1.13),
        (C::PromptAttention, "ampere", 0.9),
        (C::PromptAttention, "ada", 0.72),
        (C::LatentAttention, "hopper", 0.93),
        (C::LatentAttention, "blackwell", 1.1),
        (C::LatentAttention, "blackwell-ultra", 1.2),
        (C::Expert, "hopper", 0.73),
        (C::Expert, "blackwell", 1.14),
        (C::Expert, "blackwell-ultra", 1.14),
        (C::Expert, "ampere", 0.8),
        (C::Expert, "ada", 1.2),
        (C::Expert, "sglang", 0.9),
        (C::Expert, "tensorrt-llm", 1.13),
        (C::RouteUs, "hopper", 1.59),
        (C::RouteUs, "blackwell", 0.78),
        (C::RouteUs, "blackwell-ultra", 0.88),
        (C::RouteUs, "ampere", 2.0),
        (C::RouteUs, "vllm", 0.93),
        (C::RouteUs, "sglang", 0.83),
        (C::RouteUs, "tensorrt-llm", 1.29),
        (C::RowBytes, "hopper", 0.53),
        (C::RowBytes, "blackwell", 1.08),
        (C::RowBytes, "blackwell-ultra", 1.26),
        (C::RowBytes, "vllm", 0.88),
        (C::RowBytes, "sglang", 0.55),
        (C::RowBytes, "tensorrt-llm", 2.4),
        (C::AllReduceUs, "hopper", 0.8),
        (C::AllReduceUs, "blackwell", 1.15),
        (C::AllReduceUs, "blackwell-ultra", 1.15),
        (C::AllReduceUs, "ampere", 1.3),
        (C::AllReduceUs, "vllm", 1.3),
        (C::AllReduceUs, "sglang", 0.9),
        (C::AllReduceUs, "tensorrt-llm", 0.9),
        (C::AllToAllUs, "blackwell", 1.2),
        (C::AllToAllUs, "blackwell-ultra", 1.2),
        (C::DraftMs, "sglang", 4.0),
        (C::Link, "hopper", 1.1),
        (C::Link, "blackwell", 0.88),
        (C::Link, "blackwell-ultra", 0.9),
        (C::Link, "ampere", 0.9),
        (C::Link, "ada", 0.25),
    ]
};

/// Factor of a generation or an engine before any whole run is seen.
pub(crate) fn serving_prior_factor(name: &str, scope: &str) -> f64 {
    SCOPE_PRIORS
        .iter()
        .find(|(constant, of, _)| {
            *of == scope && SERVING_CONSTANTS[*constant as usize].name == name
        })
        .map_or(1.0, |(_, _, factor)| *factor)
}

/// Whether kernels of engines were measured on an accelerator generation: only those are searched.
pub fn is_measured(generation: &str) -> bool {
    SCOPE_PRIORS
        .iter()
        .any(|(_, scope, _)| *scope == generation)
}

/// Number of constants of serving.
pub(crate) const N_SERVING: usize = SERVING_CONSTANTS.len();

/// Constants resolved for one accelerator generation and engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServingConstants([f64; N_SERVING]);

impl ServingConstants {
    /// In the order of [`SERVING_CONSTANTS`].
    pub(crate) fn from_values(values: [f64; N_SERVING]) -> Self {
        Self(values)
    }

    /// From base values and factors by key; what the table lacks keeps its prior, [`SERVING_CONSTANTS`] and the factors
    /// that kernels measured one by one give.
    pub fn resolve(table: &BTreeMap<String, f64>, generation: &str, engine: Engine) -> Self {
        let mut values = [0.0; N_SERVING];
        for (value, description) in values.iter_mut().zip(SERVING_CONSTANTS) {
            let name = description.name;
            let mut resolved = table.get(name).copied().unwrap_or(description.prior);
            for scope in [generation, engine.name()] {
                resolved *= table
                    .get(&format!("{name}@{scope}"))
                    .copied()
                    .unwrap_or_else(|| serving_prior_factor(name, scope));
            }
            *value = resolved.clamp(description.least, description.most);
        }
        Self(values)
    }

    /// The value of a constant.
    #[inline]
    pub fn get(&self, constant: ServingConstant) -> f64 {
        self.0[constant as usize]
    }
}
