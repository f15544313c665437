//! Time of one forward pass of a replica, for any mix of prompt and output tokens.
//!
//! Every product takes the longer of its arithmetic and its traffic, with a rounded corner, and the time of its kernel.
//! All that depends on the number of tokens alone is tabulated once, so that a scheduler can ask for thousands of passes
//! in a millisecond; attention, which depends on context too, is linear in it.

use outlay_model::{BlockKind, Kind, Pattern, ScanRule, Split};

use crate::serving::constants::{ServingConstant as C, ServingConstants};
use crate::serving::deployment::{Deployment, Formats, NumberFormat, cache_ranks, state_bytes};

/// Points of the table of passes, two for each doubling of tokens.
const POINTS: usize = 35;

/// Rows that grouped products of experts waste for each expert, on average: half a tile of 64.
const EXPERT_TILE_ROWS: f64 = 32.0;

/// Time of a narrow product's kernels for each 1,024 of its inner dimension, in seconds: scales are applied along it.
const NARROW_INNER_S: f64 = 0.45e-6;

/// Time to hand activations to the next pipeline stage, in seconds.
const HOP_S: f64 = 20e-6;

/// Gain of 2:4 sparse products over dense ones where arithmetic binds: of a peak that doubles, kernels reach half of the gain
/// or more on large products (arXiv:2104.08378, section 3).
const SPARSE_SPEEDUP: f64 = 1.5;

/// Tokens of a chunk in which recurrences work through a prompt, one chunk after another.
const SCAN_CHUNK: f64 = 64.0;

/// Time of a recurrence's kernels over a prompt, and of each further chunk of it, in seconds.
const SCAN_PROMPT_S: f64 = 25e-6;
const SCAN_CHUNK_S: f64 = 1.5e-6;

/// Attention of one kind of layer, all such layers of a replica together.
#[derive(Clone, Copy, Debug)]
struct Attention {
    pattern: Pattern,
    /// Seconds to read the cache of one sequence, for each key it attends to.
    read_s_per_key: f64,
    /// Seconds of arithmetic of one decoded token, for each key it attends to.
    decode_s_per_pair: f64,
    /// Seconds for each pair of a prompt's query and key.
    prompt_s_per_pair: f64,
}

impl Attention {
    /// Seconds to decode so many tokens of one sequence together, for each key they attend to.
    fn decode_s_per_key(&self, tokens: f64) -> f64 {
        longer(self.read_s_per_key, tokens * self.decode_s_per_pair)
    }
}

/// Times of the passes of one deployment.
#[derive(Clone, Debug)]
pub struct PassTimes {
    /// GPU time of everything but attention's cores, experts and the head, by the tokens of a rank, in seconds.
    body_s: [f64; POINTS],
    /// GPU time of experts and of the exchange of tokens with them, by the mean tokens of a rank.
    experts_s: [f64; POINTS],
    /// GPU time of the head, by the rows of a rank that it scores.
    head_s: [f64; POINTS],
    attention: Vec<Attention>,
    /// Time of all recurrences to decode one sequence: each reads and writes its state.
    scan_decode_s: f64,
    /// Time of all recurrences for each token of a prompt.
    scan_prompt_s_per_token: f64,
    /// Recurrent layers.
    scans: f64,
    /// Kernels of a pass.
    kernels: f64,
    /// Kernels of a pass that are issued one by one even beside graphs: attention's.
    eager_kernels: f64,
    graph_tokens: f64,
    /// Host time of all exchanges with experts in a pass with prompts.
    exchange_s: f64,
    launch_s: f64,
    pass_s: f64,
    prompt_pass_s: f64,
    sequence_s: f64,
    /// Time of a pass for each token that is drafted for it.
    draft_s: f64,
    hop_s: f64,
    merges_pieces: bool,
    /// Time of the front end for each piece of an answer, in seconds.
    front_end_piece_s: f64,
    /// Time of the front end for each request beside its pieces, in seconds.
    pub front_end_request_s: f64,
    /// Time of a request outside the scheduler, in seconds.
    pub request_s: f64,
    /// Time to hand a prompt's cache to another worker, in seconds for each token and as a whole.
    pub hand_over_s_per_token: f64,
    /// See `hand_over_s_per_token`.
    pub hand_over_s: f64,
    /// Groups that attend for requests of their own.
    pub attention_data: f64,
    /// Pipeline stages. So many passes are under way at once, each over sequences of its own: what a pass takes here is
    /// its way through all stages.
    pub lanes: f64,
}

/// Tokens at a point of the table.
fn point_tokens(index: usize) -> f64 {
    let whole = (1_u64 << (index / 2)) as f64;
    if index.is_multiple_of(2) {
        whole
    } else {
        whole * std::f64::consts::SQRT_2
    }
}

/// Straight lines between the points.
fn look_up(table: &[f64; POINTS], tokens: f64) -> f64 {
    if tokens <= 1.0 {
        return table[0];
    }
    // Twice the binary logarithm, from the exponent and mantissa.
    let exponent = ((tokens.to_bits() >> 52) & 0x7ff) as i64 - 1023;
    let mantissa = tokens / (2.0_f64).powi(exponent as i32);
    let index =
        (2 * exponent as usize + usize::from(mantissa >= std::f64::consts::SQRT_2)).min(POINTS - 2);
    let (low, high) = (point_tokens(index), point_tokens(index + 1));
    table[index] + (table[index + 1] - table[index]) * (tokens - low) / (high - low)
}

/// The longer of two times, with a rounded corner: neither hides the other fully.
pub(crate) fn longer(a: f64, b: f64) -> f64 {
    (a * a * a + b * b * b).cbrt()
}

/// Rates of one deployment.
struct Rates {
    /// 16-bit peak, FLOP/s.
    sixteen: f64,
    wide: f64,
    eight: f64,
    four: f64,
    stream: f64,
    memory: f64,
    kernel_s: f64,
    expert: f64,
    expert_stream: f64,
    unpack: f64,
    link: f64,
    network: f64,
    domain: f64,
    allreduce_s: f64,
    alltoall_s: f64,
    pointwise: f64,
    attention_s: f64,
    row_bytes: f64,
    quantize_bytes: f64,
}

impl Rates {
    fn new(deployment: &Deployment<'_>, constants: &ServingConstants) -> Self {
        let accelerator = deployment.accelerator;
        let peaks = &accelerator.peak_tflops;
        let sixteen = peaks.bf16.or(peaks.fp16).unwrap_or(peaks.fp32) * 1e12;
        let memory = accelerator.memory_gb_per_s * 1e9;
        let link = accelerator.link.gb_per_s * 1e9 * constants.get(C::Link);
        Self {
            sixteen,
            wide: sixteen * constants.get(C::Matmul16),
            eight: peaks.fp8.or(peaks.int8).map_or(sixteen, |peak| peak * 1e12)
                * constants.get(C::Matmul8),
            four: peaks.fp4.map_or(sixteen, |peak| peak * 1e12) * constants.get(C::Matmul4),
            stream: memory * constants.get(C::Stream),
            memory,
            kernel_s: constants.get(C::KernelUs) * 1e-6,
            expert: constants.get(C::Expert),
            expert_stream: constants.get(C::ExpertStream),
            unpack: constants.get(C::Unpack),
            link,
            network: accelerator.network.gbit_per_s * 0.125e9 * 0.8,
            domain: f64::from(accelerator.link.domain_size),
            allreduce_s: constants.get(C::AllReduceUs) * 1e-6,
            alltoall_s: constants.get(C::AllToAllUs) * 1e-6,
            pointwise: memory * 0.8 / constants.get(C::Pointwise),
            attention_s: constants.get(C::AttentionUs) * 1e-6,
            row_bytes: constants.get(C::RowBytes),
            quantize_bytes: constants.get(C::QuantizeBytes),
        }
    }

    fn product(&self, format: NumberFormat, deployment: &Deployment<'_>) -> f64 {
        let dense = match format.product_bits(deployment.accelerator) {
            4 => self.four,
            8 => self.eight,
            _ => self.wide,
        };
        if deployment.formats.sparse {
            dense * SPARSE_SPEEDUP
        } else {
            dense
        }
    }

    /// Bytes of one input element of a product, once quantized.
    fn input_bytes(format: NumberFormat, deployment: &Deployment<'_>) -> f64 {
        f64::from(format.product_bits(deployment.accelerator)) / 8.0
    }

    /// Time of an all-reduce of so many bytes, with no more latency than a one-shot kernel.
    fn all_reduce_s(&self, ranks: f64, bytes: f64) -> f64 {
        if ranks <= 1.0 {
            return 0.0;
        }
        let rate = if ranks > self.domain {
            self.network
        } else {
            self.link
        };
        self.allreduce_s * (0.4 + 0.2 * ranks.log2()) + 2.0 * (ranks - 1.0) / ranks * bytes / rate
    }
}

impl PassTimes {
    /// Reads the graph of a deployment.
    pub fn new(deployment: &Deployment<'_>, constants: &ServingConstants) -> Self {
        let accelerator = deployment.accelerator;
        let layout = &deployment.layout;
        let rates = Rates::new(deployment, constants);
        let mut times = Self {
            body_s: [0.0; POINTS],
            experts_s: [0.0; POINTS],
            head_s: [0.0; POINTS],
            attention: Vec::new(),
            scan_decode_s: 0.0,
            scan_prompt_s_per_token: 0.0,
            scans: 0.0,
            kernels: 0.0,
            eager_kernels: 0.0,
            graph_tokens: deployment.settings.graph_tokens,
            exchange_s: 0.0,
            launch_s: constants.get(C::LaunchUs) * 1e-6,
            pass_s: constants.get(C::PassMs) * 1e-3,
            prompt_pass_s: constants.get(C::PromptPassMs) * 1e-3,
            sequence_s: constants.get(C::SequenceUs) * 1e-6,
            draft_s: constants.get(C::DraftMs) * 1e-3,
            hop_s: 0.0,
            merges_pieces: deployment.engine.merges_pieces(),
            front_end_piece_s: constants.get(C::FrontEndUs) * 1e-6,
            front_end_request_s: constants.get(C::FrontEndRequestMs) * 1e-3,
            request_s: constants.get(C::RequestMs) * 1e-3,
            hand_over_s_per_token: 0.0,
            hand_over_s: constants.get(C::HandOverMs) * 1e-3,
            attention_data: f64::from(layout.attention_data.max(1)),
            lanes: f64::from(layout.pipeline.max(1)),
        };
        let memory_of = deployment.memory();
        times.hand_over_s_per_token = memory_of.cache_bytes_per_token * f64::from(layout.tensor)
            / (accelerator.network.gbit_per_s * 0.125e9 * 0.5);
        times.hop_s = (times.lanes - 1.0) * HOP_S;
        for block in deployment.blocks() {
            let repeat = block.repeat as f64;
            if block.kind == BlockKind::Head {
                for (index, slot) in times.head_s.iter_mut().enumerate() {
                    *slot += repeat * head_s(block, point_tokens(index), deployment, &rates);
                }
                continue;
            }
            for operator in &block.operators {
                let format = deployment.formats.of(operator, block.kind);
                let narrow = format.product_bits(accelerator) < 16;
                let kernels = kernels_of(&operator.kind, narrow);
                let routing_s = if matches!(operator.kind, Kind::Route { .. }) {
                    constants.get(C::RouteUs) * 1e-6
                } else {
                    0.0
                };
                times.kernels += repeat * launches_of(&operator.kind, kernels);
                if matches!(operator.kind, Kind::Route { .. })
                    && layout.attention_data > 1
                    && deployment.engine.counts_exchanged_tokens()
                {
                    times.exchange_s += repeat * constants.get(C::ExchangeMs) * 1e-3;
                }
                if matches!(operator.kind, Kind::Attention { .. } | Kind::Scan { .. }) {
                    times.eager_kernels += repeat * (1.0 + launches_of(&operator.kind, kernels));
                }
                if let Some(mut attention) =
                    attention_of(&operator.kind, deployment, &rates, constants)
                {
                    attention.read_s_per_key *= repeat;
                    attention.decode_s_per_pair *= repeat;
                    attention.prompt_s_per_pair *= repeat;
                    times.attention.push(attention);
                }
                if let Some((decode_s, prompt_s)) = scan_of(&operator.kind, deployment, &rates) {
                    times.scan_decode_s += repeat * decode_s;
                    times.scan_prompt_s_per_token += repeat * prompt_s;
                    times.scans += repeat;
                }
                let attention_s = if matches!(operator.kind, Kind::Attention { .. }) {
                    rates.attention_s
                } else {
                    0.0
                };
                let table = if matches!(
                    operator.kind,
                    Kind::ExpertMatMul { .. } | Kind::Route { .. }
                ) {
                    &mut times.experts_s
                } else {
                    &mut times.body_s
                };
                for (index, slot) in table.iter_mut().enumerate() {
                    let tokens = point_tokens(index);
                    *slot += repeat
                        * (kernels * rates.kernel_s
                            + routing_s
                            + attention_s
                            + operator_s(
                                &operator.kind,
                                tokens,
                                format,
                                deployment,
                                &rates,
                                constants,
                            ));
                }
            }
        }
        times
    }

    /// GPU time of attention over the caches of `sequences` that hold `context` tokens each on average.
    fn decode_attention_s(&self, sequences: f64, context: f64, tokens: f64) -> f64 {
        self.attention
            .iter()
            .map(|attention| attention.decode_s_per_key(tokens) * keys(attention.pattern, context))
            .sum::<f64>()
            * sequences
    }

    /// Time of a pass in which each of `sequences` writes one token over `context` tokens on average, in seconds.
    ///
    /// `sequences` counts all attention groups of a lane; `tokens` is what each brings to the pass, its last token and drafts.
    pub fn decode_s(&self, sequences: f64, context: f64, tokens: f64) -> f64 {
        let rank = sequences / self.attention_data;
        let body = look_up(&self.body_s, rank * tokens)
            + look_up(&self.experts_s, rank * tokens)
            + look_up(&self.head_s, rank * tokens)
            + self.decode_attention_s(rank, context, tokens)
            + rank * self.scan_decode_s;
        body + self.hop_s
            + self.pass_s
            + rank * self.sequence_s
            + (tokens - 1.0).max(0.0) * self.draft_s
    }

    /// Time of a pass that holds prompt tokens beside `tokens` for each of `sequences`.
    pub fn mixed_s(&self, sequences: f64, context: f64, tokens: f64, prompts: &PromptPart) -> f64 {
        let rank = sequences / self.attention_data;
        let pairs: f64 = self
            .attention
            .iter()
            .map(|attention| {
                attention.prompt_s_per_pair * keys(attention.pattern, prompts.keys_per_token)
            })
            .sum::<f64>()
            * prompts.busiest_tokens;
        let mean = prompts.tokens / self.attention_data;
        let gpu = look_up(&self.body_s, rank * tokens + prompts.busiest_tokens)
            + look_up(&self.experts_s, rank * tokens + mean)
            + look_up(
                &self.head_s,
                rank * tokens + prompts.prompts / self.attention_data,
            )
            + self.decode_attention_s(rank, context, tokens)
            + rank * self.scan_decode_s
            + pairs
            + prompts.busiest_tokens * self.scan_prompt_s_per_token
            + self.scans
                * (SCAN_PROMPT_S
                    + SCAN_CHUNK_S * prompts.busiest_tokens
                        / prompts.prompts.max(1.0)
                        / SCAN_CHUNK);
        let tokens_of_pass = rank * tokens + prompts.busiest_tokens;
        let kernels = if tokens_of_pass <= self.graph_tokens {
            self.eager_kernels
        } else {
            self.kernels
        };
        longer(gpu, kernels * self.launch_s + self.exchange_s)
            + self.hop_s
            + self.pass_s
            + self.prompt_pass_s
            + rank * self.sequence_s
            + (tokens - 1.0).max(0.0) * self.draft_s
    }

    /// Time that each of so many front ends takes for its share of requests with answers of so many tokens, sent in pieces
    /// of `piece_tokens`, in seconds for each request. Pieces that merge are not among it: they never pile up.
    pub fn front_end_s(&self, output_tokens: f64, piece_tokens: f64, front_ends: f64) -> f64 {
        let pieces = if self.merges_pieces {
            0.0
        } else {
            output_tokens / piece_tokens.max(1.0)
        };
        (self.front_end_request_s + self.front_end_piece_s * pieces) / front_ends
    }

    /// Time of each of so many front ends for what one pass adds to an answer that is sent in pieces of `piece_tokens`, where
    /// pieces merge, in seconds for each sequence.
    pub fn merged_piece_s(&self, piece_tokens: f64, front_ends: f64) -> f64 {
        if self.merges_pieces {
            self.front_end_piece_s / piece_tokens.max(1.0) / front_ends
        } else {
            0.0
        }
    }

    /// Time that a lone prompt of so many tokens takes through the engine, in passes of at most `pass_tokens`.
    pub fn prompt_s(&self, tokens: f64, pass_tokens: f64) -> f64 {
        let passes = (tokens / pass_tokens).ceil().max(1.0);
        let prompts = PromptPart {
            tokens,
            busiest_tokens: tokens,
            keys_per_token: tokens / 2.0,
            prompts: 1.0,
        };
        self.mixed_s(0.0, 0.0, 1.0, &prompts) + (passes - 1.0) * (self.pass_s + self.prompt_pass_s)
    }
}

/// A part of a pass: one operator over all its layers, or what the host adds.
#[derive(Clone, Debug, PartialEq)]
pub struct PassPart {
    /// Block and operator.
    pub name: String,
    /// How many times it runs.
    pub repeat: u64,
    /// Seconds of all of them.
    pub seconds: f64,
}

/// Where the time of a pass goes in which each of `sequences` writes one token over `context` tokens on average: the terms
/// of [`PassTimes::decode_s`], which they add up to (to the straight lines between the points of its tables).
pub fn decode_parts(
    deployment: &Deployment<'_>,
    constants: &ServingConstants,
    sequences: f64,
    context: f64,
) -> Vec<PassPart> {
    let rates = Rates::new(deployment, constants);
    let groups = f64::from(deployment.layout.attention_data.max(1));
    let lanes = f64::from(deployment.layout.pipeline.max(1));
    let rank = sequences / groups;
    let mut parts = Vec::new();
    for block in deployment.blocks() {
        let repeat = block.repeat as f64;
        if block.kind == BlockKind::Head {
            parts.push(PassPart {
                name: "head and sampling".to_owned(),
                repeat: block.repeat,
                seconds: repeat * head_s(block, rank, deployment, &rates),
            });
            continue;
        }
        for operator in &block.operators {
            let format = deployment.formats.of(operator, block.kind);
            let narrow = format.product_bits(deployment.accelerator) < 16;
            let mut seconds = kernels_of(&operator.kind, narrow) * rates.kernel_s
                + operator_s(&operator.kind, rank, format, deployment, &rates, constants);
            match operator.kind {
                Kind::Route { .. } => seconds += constants.get(C::RouteUs) * 1e-6,
                Kind::Attention { .. } => seconds += rates.attention_s,
                _ => {}
            }
            if let Some(attention) = attention_of(&operator.kind, deployment, &rates, constants) {
                seconds +=
                    rank * attention.decode_s_per_key(1.0) * keys(attention.pattern, context);
            }
            if let Some((decode_s, _)) = scan_of(&operator.kind, deployment, &rates) {
                seconds += rank * decode_s;
            }
            parts.push(PassPart {
                name: format!("{}: {}", block.name, operator.name),
                repeat: block.repeat,
                seconds: repeat * seconds,
            });
        }
    }
    for (name, seconds) in [
        ("between pipeline stages", (lanes - 1.0) * HOP_S),
        ("host, each pass", constants.get(C::PassMs) * 1e-3),
        (
            "host, each sequence",
            rank * constants.get(C::SequenceUs) * 1e-6,
        ),
    ] {
        if seconds > 0.0 {
            parts.push(PassPart {
                name: name.to_owned(),
                repeat: 1,
                seconds,
            });
        }
    }
    parts
}

/// Prompt tokens of a pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PromptPart {
    /// Over all attention groups.
    pub tokens: f64,
    /// On the attention group with most of them, which the others wait for.
    pub busiest_tokens: f64,
    /// Keys that a token attends to, on average.
    pub keys_per_token: f64,
    /// Prompts that they belong to.
    pub prompts: f64,
}

/// Keys that a query attends to, of `context`.
fn keys(pattern: Pattern, context: f64) -> f64 {
    match pattern {
        Pattern::Full => context,
        Pattern::Window(width) | Pattern::Chunk(width) | Pattern::Selected(width) => {
            context.min(width as f64)
        }
        Pattern::Memory(keys) => keys as f64,
        Pattern::Compressed { window, ratio } => {
            let window = context.min(window as f64);
            window + (context - window) / ratio.max(1) as f64
        }
    }
}

/// Kernels that an operator takes outside a graph, where nothing is fused or skipped, in launches of the host time of one: routing
/// counts, sorts, gathers and puts back in a kernel each, attention over latents copies and joins its parts and prepares them in
/// Python, and recurrences work through chunks in a dozen kernels.
///
/// In plain PyTorch 2.11 on an H100 machine a kernel took the host 15 to 22 us in whole layers, a layer with latents 680 us more
/// than one with grouped queries (45 launches), and a mixture 1,200 to 1,450 us more than a dense layer; engines fuse most of
/// the latter.
fn launches_of(kind: &Kind, kernels: f64) -> f64 {
    match *kind {
        Kind::Route { .. } => 20.0,
        Kind::Scan { .. } => 40.0,
        Kind::Attention {
            key_value_heads,
            qk_width,
            v_width,
            cache_elements_per_token,
            ..
        } if cache_elements_per_token >= key_value_heads * (qk_width + v_width) => 2.0,
        Kind::Attention { .. } => 60.0,
        _ => kernels,
    }
}

/// Kernels that an operator takes; narrow products quantize their inputs first, mostly in a kernel of its own.
fn kernels_of(kind: &Kind, narrow: bool) -> f64 {
    match kind {
        Kind::MatMul { .. } | Kind::ExpertMatMul { .. } if narrow => 2.2,
        Kind::MatMul { .. } | Kind::ExpertMatMul { .. } => 1.5,
        Kind::Scan { .. } => 2.0,
        // Their times are constants of their own.
        Kind::Route { .. } | Kind::Attention { .. } => 0.0,
        Kind::Norm { .. } | Kind::Convolution { .. } | Kind::Embedding { .. } => 1.0,
        // Fused into a neighbour, mostly.
        Kind::Elementwise { .. } => 0.5,
        _ => 1.0,
    }
}

/// Bytes of one weight as its stream is paid for: weights that are widened on their way stream slower.
fn weight_traffic(format: NumberFormat, deployment: &Deployment<'_>, rates: &Rates) -> f64 {
    let bytes = format.weight_bytes() * deployment.formats.kept_share(format);
    if format.widens(deployment.accelerator) {
        bytes / rates.unpack
    } else {
        bytes
    }
}

/// Time of a product of `[tokens, inputs]` with `[inputs, outputs]`.
fn product_s(
    tokens: f64,
    inputs: f64,
    outputs: f64,
    format: NumberFormat,
    deployment: &Deployment<'_>,
    rates: &Rates,
) -> f64 {
    let arithmetic = 2.0 * tokens * inputs * outputs / rates.product(format, deployment);
    let traffic = (inputs * outputs * weight_traffic(format, deployment, rates)
        + tokens * inputs * Rates::input_bytes(format, deployment)
        + tokens * outputs * 2.0)
        / rates.stream;
    let quantizing = if format.product_bits(deployment.accelerator) < 16 {
        tokens * inputs * rates.quantize_bytes / rates.memory + inputs / 1024.0 * NARROW_INNER_S
    } else {
        0.0
    };
    longer(arithmetic, traffic) + quantizing
}

/// Experts that `tokens` visit together, of `experts`, where each visits `selected` and popularity is log-normal with the
/// spread `skew`: `sum over experts of 1 - (1 - p)^tokens`, by Gauss-Hermite quadrature with five points.
fn visited_experts(experts: f64, selected: f64, tokens: f64, skew: f64) -> f64 {
    const NODES: [(f64, f64); 5] = [
        (0.0, 0.533_333_333),
        (1.355_626_180, 0.222_075_922),
        (-1.355_626_180, 0.222_075_922),
        (2.856_970_014, 0.011_257_411),
        (-2.856_970_014, 0.011_257_411),
    ];
    let unvisited: f64 = NODES
        .iter()
        .map(|(node, weight)| {
            let popularity = (skew * node - 0.5 * skew * skew).exp();
            let p = (selected / experts * popularity).min(0.999);
            weight * (tokens * (-p).ln_1p()).exp()
        })
        .sum();
    experts * (1.0 - unvisited).max(0.0)
}

/// Expected largest of `n` standard normal values, to 3% for 2 to 128.
fn expected_maximum(n: f64) -> f64 {
    0.56 * n.log2().max(0.0).powf(0.85)
}

/// Time of one operator, attention's core aside, for so many tokens on each attention group.
fn operator_s(
    kind: &Kind,
    tokens: f64,
    format: NumberFormat,
    deployment: &Deployment<'_>,
    rates: &Rates,
    constants: &ServingConstants,
) -> f64 {
    let layout = &deployment.layout;
    let tensor = f64::from(layout.tensor.max(1));
    let groups = f64::from(layout.attention_data.max(1));
    let hidden = deployment.model.hidden as f64;
    match *kind {
        Kind::MatMul {
            inputs,
            outputs,
            split,
        } => {
            let (inputs, outputs, reduced) = match split {
                Split::Columns => (inputs as f64, outputs as f64 / tensor, false),
                Split::Rows => (inputs as f64 / tensor, outputs as f64, true),
                Split::Replicated => (inputs as f64, outputs as f64, false),
            };
            let mut seconds = product_s(tokens, inputs, outputs, format, deployment, rates);
            if reduced {
                seconds += rates.all_reduce_s(tensor, tokens * outputs * 2.0);
            }
            seconds
        }
        Kind::ExpertMatMul {
            experts,
            selected,
            inputs,
            outputs,
            split,
        } => {
            let expert_ranks = f64::from(layout.expert.max(1));
            let cut = f64::from(layout.expert_tensor.max(1));
            let (inputs, outputs, reduced) = match split {
                Split::Rows => (inputs as f64 / cut, outputs as f64, true),
                _ => (inputs as f64, outputs as f64 / cut, false),
            };
            let (experts, selected) = (experts as f64, selected as f64);
            let all = tokens * groups;
            let visited = visited_experts(experts, selected, all, constants.get(C::RoutingSkew))
                / expert_ranks;
            // The busiest of the ranks has more than its share by chance, and by the skew of the routing.
            let local = experts / expert_ranks;
            let chance = expected_maximum(expert_ranks);
            let visited =
                (visited + chance * (visited * (1.0 - visited / local).max(0.0)).sqrt()).min(local);
            let mean = all * selected / expert_ranks;
            let rows = if expert_ranks > 1.0 {
                (mean * (1.0 + constants.get(C::Imbalance)) + chance * mean.sqrt())
                    .min(all * selected)
            } else {
                mean
            };
            let arithmetic = 2.0 * (rows + visited * EXPERT_TILE_ROWS) * inputs * outputs
                / (rates.product(format, deployment) * rates.expert);
            let traffic = (visited * inputs * outputs * weight_traffic(format, deployment, rates)
                + rows * (inputs * Rates::input_bytes(format, deployment) + outputs * 2.0))
                / (rates.stream * rates.expert_stream);
            let mut seconds = longer(arithmetic, traffic);
            if reduced {
                seconds += if groups > 1.0 {
                    exchange_s(tokens, selected, hidden, deployment, rates)
                } else {
                    rates.all_reduce_s(cut * expert_ranks, tokens * hidden * 2.0)
                };
            }
            seconds
        }
        Kind::Route {
            selected, width, ..
        } => tokens * (selected * width) as f64 * rates.row_bytes / rates.memory,
        Kind::Norm { width } => tokens * width as f64 * 4.0 / rates.pointwise,
        Kind::Elementwise { reads, writes, .. } => {
            tokens * (reads + writes) as f64 * 2.0 / tensor.min(8.0) / rates.pointwise
        }
        Kind::Convolution { channels, kernel } => {
            tokens * (channels * (kernel + 2)) as f64 * 2.0 / tensor / rates.pointwise
        }
        Kind::Embedding { width, .. } => tokens * width as f64 * 4.0 / rates.memory,
        _ => 0.0,
    }
}

/// Time of one recurrence to decode one sequence, which reads and writes its state in fp32, and for each token of a prompt,
/// whose chunks multiply matrices.
fn scan_of(kind: &Kind, deployment: &Deployment<'_>, rates: &Rates) -> Option<(f64, f64)> {
    let Kind::Scan {
        rule,
        heads,
        head_width,
        state_width,
    } = *kind
    else {
        return None;
    };
    let tensor = f64::from(deployment.layout.tensor.max(1));
    let (heads, width, state) = (heads as f64 / tensor, head_width as f64, state_width as f64);
    let flops = match rule {
        ScanRule::Mamba1 => 9.0 * heads * width * state,
        _ => heads * (SCAN_CHUNK * (state + width) + 4.0 * width * state),
    };
    let state_traffic = 2.0 * state_bytes(kind) / tensor;
    Some((
        state_traffic / rates.stream,
        longer(
            flops / (0.2 * rates.sixteen),
            state_traffic / SCAN_CHUNK / rates.stream,
        ),
    ))
}

/// Time to send tokens to the ranks of their experts and to gather the results, where each attention group holds
/// tokens of its own: fp8 out, 16 bits back.
fn exchange_s(
    tokens: f64,
    selected: f64,
    hidden: f64,
    deployment: &Deployment<'_>,
    rates: &Rates,
) -> f64 {
    let layout = &deployment.layout;
    let ranks = f64::from((layout.expert * layout.expert_tensor).max(1));
    let copies = ranks * (1.0 - (1.0 - 1.0 / ranks).powf(selected));
    let tensor = f64::from(layout.tensor.max(1));
    let sent = tokens / tensor * copies * hidden * 3.0 * (ranks - 1.0) / ranks;
    let rate = if ranks > rates.domain {
        rates.network
    } else {
        rates.link
    };
    2.0 * rates.alltoall_s * (0.4 + 0.2 * ranks.log2()) + sent / rate
}

/// Time of the head for so many rows.
fn head_s(
    block: &outlay_model::Block,
    rows: f64,
    deployment: &Deployment<'_>,
    rates: &Rates,
) -> f64 {
    let tensor = f64::from(deployment.layout.tensor.max(1));
    // The head stays as it was trained.
    let dense = Deployment {
        formats: Formats {
            sparse: false,
            ..deployment.formats
        },
        ..*deployment
    };
    let deployment = &dense;
    block
        .operators
        .iter()
        .map(|operator| match operator.kind {
            Kind::MatMul {
                inputs, outputs, ..
            } => {
                let outputs = outputs as f64 / tensor;
                product_s(
                    rows,
                    inputs as f64,
                    outputs,
                    NumberFormat::Bf16,
                    deployment,
                    rates,
                ) + rates.kernel_s
                    // Sampling reads the logits of all ranks, in fp32, a few times.
                    + rates.all_reduce_s(tensor, rows * outputs * 4.0)
                    + rows * outputs * tensor * 16.0 / rates.memory
            }
            Kind::Norm { .. } => rates.kernel_s,
            _ => 0.0,
        })
        .sum()
}

/// Attention's core: seconds for each key decoded and for each pair of a prompt.
fn attention_of(
    kind: &Kind,
    deployment: &Deployment<'_>,
    rates: &Rates,
    constants: &ServingConstants,
) -> Option<Attention> {
    let Kind::Attention {
        query_heads,
        key_value_heads,
        qk_width,
        v_width,
        pattern,
        cache_elements_per_token,
        ..
    } = *kind
    else {
        return None;
    };
    let tensor = f64::from(deployment.layout.tensor.max(1));
    let heads = (query_heads as f64 / tensor).max(1.0);
    let ranks = cache_ranks(
        key_value_heads,
        qk_width,
        v_width,
        cache_elements_per_token,
        tensor,
    );
    let latent = cache_elements_per_token < key_value_heads * (qk_width + v_width);
    let elements = cache_elements_per_token as f64 / ranks;
    let narrow_cache = if deployment.formats.cache_bytes == 1 {
        constants.get(C::CacheRead8)
    } else {
        1.0
    };
    let read = elements * f64::from(deployment.formats.cache_bytes)
        / (rates.memory * constants.get(C::CacheRead) * narrow_cache);
    // Over a latent cache each head scores against the whole latent and sums it up again.
    let width = if latent {
        2.0 * cache_elements_per_token as f64
    } else {
        (qk_width + v_width) as f64
    };
    let arithmetic = 2.0 * heads * width / (rates.sixteen * constants.get(C::LatentAttention));
    Some(Attention {
        pattern,
        read_s_per_key: read,
        decode_s_per_pair: arithmetic,
        // Heads of 64 do as many exponentials as heads of 128 for half the products.
        prompt_s_per_pair: 2.0 * heads * (qk_width + v_width).max(214) as f64
            / (rates.sixteen * constants.get(C::PromptAttention)),
    })
}
