//! A transformer described by its sizes, and the graph that follows from it.
//!
//! Readers of files fill a [`Spec`]; [`Spec::build`] writes the operators. What differs between families is a
//! field here, never a name.

use crate::graph::{
    Block, BlockKind, Family, Kind, Model, Operator, Pattern, Positions, Sample, ScanRule, Split,
};

/// Mixture-of-experts part of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Experts {
    pub experts: u64,
    pub selected: u64,
    pub ffn: u64,
    /// Width of the shared experts together (0: none).
    pub shared_ffn: u64,
    /// Whether a shared expert has a gate of its own (Qwen).
    pub shared_gate: bool,
    /// Per-expert selection bias (DeepSeek V3).
    pub selection_bias: bool,
    /// Biases in router and experts (gpt-oss).
    pub biases: bool,
    /// Whether experts have a gate beside their first product.
    pub gated: bool,
    /// Width to which tokens are projected before routing (Nemotron 3's latent experts; 0: none).
    pub latent: u64,
    /// Norms before and after the experts and after the dense feed-forward beside them, and scales of the router's input and
    /// of each expert (Gemma 4).
    pub own_norms: bool,
}

/// What mixes tokens in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mixer {
    /// Attention, as the rest of the [`Spec`] describes it.
    Attention,
    /// Attention whose heads differ from those of the [`Spec`] (MiMo's local layers, T5's three sorts).
    Heads(HeadShape),
    /// Queries and outputs of low rank over one shared key-value head, with older keys compressed (DeepSeek V4).
    Shared(SharedHead),
    /// Kimi delta attention: a delta rule with a gate for each channel (arXiv:2510.26692).
    KimiDelta {
        heads: u64,
        width: u64,
        kernel: u64,
        full_rank_gate: bool,
    },
    /// Mamba-2 (arXiv:2405.21060).
    Mamba2 {
        heads: u64,
        head_width: u64,
        state: u64,
        groups: u64,
        kernel: u64,
    },
    /// Mamba (arXiv:2312.00752).
    Mamba1 {
        inner: u64,
        state: u64,
        rank: u64,
        kernel: u64,
    },
    /// Gated delta rule (arXiv:2412.06464).
    GatedDelta {
        key_heads: u64,
        value_heads: u64,
        key_width: u64,
        value_width: u64,
        kernel: u64,
    },
    /// Nothing: the layer is a feed-forward alone.
    None,
}

/// Heads of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeadShape {
    pub heads: u64,
    pub kv_heads: u64,
    pub qk_width: u64,
    pub v_width: u64,
    pub sinks: bool,
    pub causal: bool,
    /// Keys serve as values too, so that no values are projected (Gemma 4's global layers).
    pub keys_are_values: bool,
}

/// DeepSeek V4's attention, as its `config.json` describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SharedHead {
    pub query_rank: u64,
    pub out_groups: u64,
    pub out_rank: u64,
    /// Tokens that one compressed key stands for (0: none are kept beyond the window).
    pub ratio: u64,
    /// Indexer heads and head width, where compressed keys are selected.
    pub indexer: Option<(u64, u64)>,
}

/// What follows the mixer in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FeedForward {
    Dense,
    Experts,
    None,
}

/// Multi-head latent attention (arXiv:2405.04434).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Latent {
    /// Query latent (0: queries are projected directly).
    pub query: u64,
    pub key_value: u64,
    pub nope: u64,
    pub rope: u64,
    pub value: u64,
    /// Indexer heads, head width and keys kept (DeepSeek sparse attention).
    pub indexer: Option<(u64, u64, u64)>,
}

/// One kind of layer and how often it stands in the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LayerKind {
    pub repeat: u64,
    pub pattern: Pattern,
    pub mixer: Mixer,
    pub feed_forward: FeedForward,
}

impl LayerKind {
    /// Attention followed by a feed-forward.
    pub fn attention(repeat: u64, pattern: Pattern, experts: bool) -> Self {
        let feed_forward = if experts {
            FeedForward::Experts
        } else {
            FeedForward::Dense
        };
        Self {
            repeat,
            pattern,
            mixer: Mixer::Attention,
            feed_forward,
        }
    }
}

/// Sizes of a transformer.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub name: String,
    pub architecture: String,
    pub family: Family,
    pub hidden: u64,
    pub vocabulary: u64,
    /// Width of word embeddings and of the output product; where it differs from `hidden`, products lie between.
    pub vocabulary_width: u64,
    pub heads: u64,
    pub kv_heads: u64,
    pub head_width: u64,
    pub ffn: u64,
    pub gated: bool,
    pub qkv_bias: bool,
    pub out_bias: bool,
    pub mlp_bias: bool,
    /// Parameters of a norm for each element: 1 (RMS), 2 (with bias), 0 (none).
    pub norm_weights: u64,
    /// Norms of the stream in a layer: 2, 1 (parallel attention and MLP), 4 (Gemma 2 and 3).
    pub norms: u64,
    /// Width of query and key norms, 0 for none; `true`: over all heads at once (OLMo 2).
    pub qk_norm: bool,
    pub qk_norm_full: bool,
    /// Attention sinks: one number for each head (gpt-oss).
    pub sinks: bool,
    /// A gate on attention's output, projected with the queries (Qwen 3.5).
    pub output_gate: bool,
    pub tied: bool,
    pub head_bias: bool,
    /// Rows of learned positions.
    pub positions: u64,
    /// Whether queries and keys are turned by their position (RoPE), rather than positions learned or scores biased.
    pub rotary: bool,
    /// Further embedding parameters (token types, embedding norm).
    pub embedding_extra: u64,
    /// Parameters of the final norm and of what follows it (pooler), beside the output product.
    pub head_extra: u64,
    pub final_norm: bool,
    pub latent: Option<Latent>,
    /// Indexer heads and head width of layers that select blocks of keys (MiniMax M3).
    pub block_indexer: Option<(u64, u64)>,
    /// Copies of the residual stream that learned maps mix around each half layer (hyper-connections, arXiv:2409.19606; 0: none).
    pub hyper_connections: u64,
    pub moe: Option<Experts>,
    pub layers: Vec<LayerKind>,
    /// Multi-token prediction modules.
    pub predict_ahead: u64,
    pub max_sequence_tokens: Option<u64>,
    pub notes: Vec<String>,
}

impl Spec {
    /// What is absurd about the sizes, if anything is: a matrix beyond what any model has, which would also overflow
    /// the counts.
    pub fn absurd(&self) -> Option<String> {
        const MOST: u128 = 1_000_000_000_000_000;
        let wide = |values: &[u64]| {
            values
                .iter()
                .map(|&value| u128::from(value))
                .product::<u128>()
        };
        let hidden = self.hidden;
        let mut products = vec![
            (
                "vocabulary x width",
                wide(&[self.vocabulary, hidden.max(self.vocabulary_width)]),
            ),
            ("positions x width", wide(&[self.positions, hidden])),
            ("feed-forward width x width", wide(&[self.ffn, hidden])),
            (
                "heads x head width x width",
                wide(&[self.heads.max(self.kv_heads), self.head_width, hidden]),
            ),
        ];
        if let Some(moe) = self.moe {
            let side = hidden.max(moe.latent);
            products.push((
                "experts x their width x width",
                wide(&[moe.experts, moe.ffn, side]),
            ));
            products.push((
                "shared experts' width x width",
                wide(&[moe.shared_ffn, hidden]),
            ));
        }
        if let Some(latent) = self.latent {
            let widths = latent.nope + latent.rope + latent.value;
            let rank = latent.query.max(latent.key_value).max(hidden);
            products.push((
                "heads x latent widths x rank",
                wide(&[self.heads, widths, rank]),
            ));
        }
        let layers: u64 = self.layers.iter().map(|layer| layer.repeat).sum();
        for (what, product) in products {
            if product > MOST || product * u128::from(layers.max(1)) > 1000 * MOST {
                return Some(format!(
                    "{what} makes {product} parameters in one place; no model is larger than 1000000000000000"
                ));
            }
        }
        if self
            .layers
            .iter()
            .any(|layer| matches!(layer.pattern, Pattern::Window(0) | Pattern::Chunk(0)))
        {
            return Some("a sliding window of 0 tokens; allowed: 1 and more".to_owned());
        }
        None
    }

    /// Writes the graph.
    pub fn build(&self) -> Model {
        let mut blocks = vec![self.embedding()];
        for layer in &self.layers {
            if layer.repeat > 0 {
                let mixer = match (layer.mixer, layer.pattern) {
                    (Mixer::Attention | Mixer::Heads(_), Pattern::Full | Pattern::Selected(_)) => {
                        "attention"
                    }
                    (Mixer::Attention | Mixer::Heads(_), _) => "local attention",
                    (Mixer::Shared(_), _) => "shared-key attention",
                    (Mixer::Mamba1 { .. } | Mixer::Mamba2 { .. }, _) => "state space",
                    (Mixer::GatedDelta { .. } | Mixer::KimiDelta { .. }, _) => "linear attention",
                    (Mixer::None, _) => "",
                };
                let after = match layer.feed_forward {
                    FeedForward::Dense => "feed-forward",
                    FeedForward::Experts => "experts",
                    FeedForward::None => "",
                };
                let between = if mixer.is_empty() || after.is_empty() {
                    ""
                } else {
                    ", "
                };
                let sort = format!("layer ({mixer}{between}{after})");
                blocks.push(Block {
                    name: sort,
                    kind: BlockKind::Layer,
                    repeat: layer.repeat,
                    positions: Positions::Stream,
                    operators: self.layer(layer),
                });
            }
        }
        blocks.push(self.head());
        if self.predict_ahead > 0 {
            blocks.push(self.prediction());
        }
        Model {
            name: self.name.clone(),
            architecture: self.architecture.clone(),
            family: self.family,
            hidden: self.hidden,
            vocabulary: self.vocabulary,
            max_sequence_tokens: self.max_sequence_tokens,
            sample: Sample::default(),
            blocks,
            notes: self.notes.clone(),
        }
    }

    fn embedding(&self) -> Block {
        let h = self.hidden;
        let mut operators = vec![operator(
            "token embedding",
            Kind::Embedding {
                rows: self.vocabulary,
                width: self.vocabulary_width,
                split: true,
            },
            self.vocabulary * self.vocabulary_width + self.embedding_extra,
        )];
        if self.vocabulary_width != h {
            operators.push(product_of(
                "embedding projection",
                self.vocabulary_width,
                h,
                Split::Replicated,
                self.vocabulary_width * h,
            ));
        }
        if self.positions > 0 {
            operators.push(operator(
                "position embedding",
                Kind::Embedding {
                    rows: self.positions,
                    width: h,
                    split: false,
                },
                self.positions * h,
            ));
        }
        Block {
            name: "embedding".to_owned(),
            kind: BlockKind::Embedding,
            repeat: 1,
            positions: Positions::Stream,
            operators,
        }
    }

    fn head(&self) -> Block {
        let h = self.hidden;
        let norm = if self.final_norm {
            h * self.norm_weights
        } else {
            0
        };
        let width = self.vocabulary_width;
        let product = if self.tied {
            0
        } else {
            width * self.vocabulary
        };
        let bias = if self.head_bias { self.vocabulary } else { 0 };
        let mut operators = vec![operator(
            "final norm",
            Kind::Norm { width: h },
            norm + self.head_extra,
        )];
        if width != h {
            operators.push(product_of(
                "output projection",
                h,
                width,
                Split::Replicated,
                h * width,
            ));
        }
        operators.push(product_of(
            "output",
            width,
            self.vocabulary,
            Split::Columns,
            product + bias,
        ));
        operators.push(operator(
            "loss",
            Kind::Loss {
                vocabulary: self.vocabulary,
            },
            0,
        ));
        Block {
            name: "head".to_owned(),
            kind: BlockKind::Head,
            repeat: 1,
            positions: Positions::Stream,
            operators,
        }
    }

    /// DeepSeek's prediction module: two norms, a projection of `[hidden, embedding]`, one layer, its final norm.
    fn prediction(&self) -> Block {
        let h = self.hidden;
        let mut operators = vec![
            operator("prediction norms", Kind::Norm { width: 2 * h }, 2 * h),
            product_of("prediction projection", 2 * h, h, Split::Columns, 2 * h * h),
        ];
        if let Some(layer) = self.layers.last() {
            operators.extend(self.layer(layer));
        }
        operators.push(operator(
            "prediction final norm",
            Kind::Norm { width: h },
            h,
        ));
        operators.push(product_of(
            "prediction output",
            h,
            self.vocabulary,
            Split::Columns,
            0,
        ));
        operators.push(operator(
            "prediction loss",
            Kind::Loss {
                vocabulary: self.vocabulary,
            },
            0,
        ));
        Block {
            name: "prediction module".to_owned(),
            kind: BlockKind::PredictAhead,
            repeat: self.predict_ahead,
            positions: Positions::Stream,
            operators,
        }
    }

    fn norm(&self, name: &str) -> Operator {
        operator(
            name,
            Kind::Norm { width: self.hidden },
            self.hidden * self.norm_weights,
        )
    }

    fn residual(&self, name: &str) -> Operator {
        operator(
            name,
            Kind::Elementwise {
                reads: 2 * self.hidden,
                writes: self.hidden,
                saves: 0,
            },
            0,
        )
    }

    fn layer(&self, layer: &LayerKind) -> Vec<Operator> {
        let mut out = Vec::new();
        if layer.mixer != Mixer::None {
            self.hyper_connection("mixer streams", &mut out);
            out.push(self.norm("mixer norm"));
            match layer.mixer {
                Mixer::Heads(_) => self.attention(layer, &mut out),
                Mixer::Shared(shared) => self.shared_attention(shared, layer, &mut out),
                Mixer::KimiDelta { .. } => self.kimi_delta(layer.mixer, &mut out),
                Mixer::Attention => match self.latent {
                    Some(latent) => self.latent_attention(latent, layer, &mut out),
                    None => self.attention(layer, &mut out),
                },
                Mixer::Mamba1 { .. } => self.mamba1(layer.mixer, &mut out),
                Mixer::Mamba2 { .. } => self.mamba2(layer.mixer, &mut out),
                Mixer::GatedDelta { .. } => self.gated_delta(layer.mixer, &mut out),
                Mixer::None => {}
            }
            if self.norms >= 4 {
                out.push(self.norm("mixer post-norm"));
            }
            out.push(self.residual("mixer residual"));
        }
        if layer.feed_forward != FeedForward::None {
            self.hyper_connection("feed-forward streams", &mut out);
            if self.norms >= 2 || layer.mixer == Mixer::None {
                out.push(self.norm("feed-forward norm"));
            }
            match self
                .moe
                .filter(|_| layer.feed_forward == FeedForward::Experts)
            {
                Some(experts) => self.experts(experts, &mut out),
                None => self.feed_forward("feed-forward", self.ffn, self.mlp_bias, &mut out),
            }
            if self.norms >= 4 {
                out.push(self.norm("feed-forward post-norm"));
            }
            out.push(self.residual("feed-forward residual"));
        }
        out
    }

    fn mamba1(&self, mixer: Mixer, out: &mut Vec<Operator>) {
        let Mixer::Mamba1 {
            inner,
            state,
            rank,
            kernel,
        } = mixer
        else {
            return;
        };
        let h = self.hidden;
        out.push(product_of(
            "state space input",
            h,
            2 * inner,
            Split::Columns,
            h * 2 * inner,
        ));
        out.push(operator(
            "convolution",
            Kind::Convolution {
                channels: inner,
                kernel,
            },
            inner * kernel + inner,
        ));
        let narrow = rank + 2 * state;
        out.push(product_of(
            "state space parameters",
            inner,
            narrow,
            Split::Replicated,
            inner * narrow,
        ));
        out.push(product_of(
            "step width",
            rank,
            inner,
            Split::Columns,
            rank * inner + inner,
        ));
        out.push(operator(
            "selective scan",
            Kind::Scan {
                rule: ScanRule::Mamba1,
                heads: 1,
                head_width: inner,
                state_width: state,
            },
            inner * state + inner,
        ));
        out.push(operator(
            "gate",
            Kind::Elementwise {
                reads: 2 * inner,
                writes: inner,
                saves: inner,
            },
            0,
        ));
        out.push(product_of(
            "state space output",
            inner,
            h,
            Split::Rows,
            inner * h,
        ));
    }

    fn mamba2(&self, mixer: Mixer, out: &mut Vec<Operator>) {
        let Mixer::Mamba2 {
            heads,
            head_width,
            state,
            groups,
            kernel,
        } = mixer
        else {
            return;
        };
        let h = self.hidden;
        let inner = heads * head_width;
        let mixed = inner + 2 * groups * state;
        let input = inner + mixed + heads;
        out.push(product_of(
            "state space input",
            h,
            input,
            Split::Columns,
            h * input,
        ));
        out.push(operator(
            "convolution",
            Kind::Convolution {
                channels: mixed,
                kernel,
            },
            mixed * kernel + mixed,
        ));
        out.push(operator(
            "state space scan",
            Kind::Scan {
                rule: ScanRule::Mamba2,
                heads,
                head_width,
                state_width: state,
            },
            3 * heads,
        ));
        out.push(operator(
            "gated norm",
            Kind::Elementwise {
                reads: 2 * inner,
                writes: inner,
                saves: inner,
            },
            inner,
        ));
        out.push(product_of(
            "state space output",
            inner,
            h,
            Split::Rows,
            inner * h,
        ));
    }

    fn gated_delta(&self, mixer: Mixer, out: &mut Vec<Operator>) {
        let Mixer::GatedDelta {
            key_heads,
            value_heads,
            key_width,
            value_width,
            kernel,
        } = mixer
        else {
            return;
        };
        let h = self.hidden;
        let (keys, values) = (key_heads * key_width, value_heads * value_width);
        let input = 2 * keys + 2 * values + 2 * value_heads;
        out.push(product_of(
            "linear attention input",
            h,
            input,
            Split::Columns,
            h * input,
        ));
        let channels = 2 * keys + values;
        out.push(operator(
            "convolution",
            Kind::Convolution { channels, kernel },
            channels * kernel,
        ));
        out.push(operator(
            "delta rule",
            Kind::Scan {
                rule: ScanRule::GatedDelta,
                heads: value_heads,
                head_width: value_width,
                state_width: key_width,
            },
            2 * value_heads,
        ));
        out.push(operator(
            "gated norm",
            Kind::Elementwise {
                reads: 2 * values,
                writes: values,
                saves: values,
            },
            value_width,
        ));
        out.push(product_of(
            "linear attention output",
            values,
            h,
            Split::Rows,
            values * h,
        ));
    }

    fn heads_of(&self, layer: &LayerKind) -> HeadShape {
        match layer.mixer {
            Mixer::Heads(shape) => shape,
            _ => HeadShape {
                heads: self.heads,
                kv_heads: self.kv_heads,
                qk_width: self.head_width,
                v_width: self.head_width,
                sinks: self.sinks,
                causal: self.family == Family::Decoder,
                keys_are_values: false,
            },
        }
    }

    fn attention(&self, layer: &LayerKind, out: &mut Vec<Operator>) {
        let h = self.hidden;
        let shape = self.heads_of(layer);
        let query = shape.heads * shape.qk_width;
        let (key, value) = (
            shape.kv_heads * shape.qk_width,
            shape.kv_heads * shape.v_width,
        );
        let result = shape.heads * shape.v_width;
        let gate = if self.output_gate { result } else { 0 };
        let values = if shape.keys_are_values { 0 } else { value };
        let projected = query + gate + key + values;
        let bias = if self.qkv_bias { projected } else { 0 };
        out.push(product_of(
            "attention qkv",
            h,
            projected,
            Split::Columns,
            h * projected + bias,
        ));
        if self.qk_norm {
            out.push(operator(
                "query and key norm",
                Kind::Norm {
                    width: shape.qk_width,
                },
                2 * shape.qk_width,
            ));
        } else if self.qk_norm_full {
            out.push(operator(
                "query and key norm",
                Kind::Norm {
                    width: query.min(key),
                },
                query + key,
            ));
        }
        if self.rotary {
            out.push(operator(
                "rotary",
                Kind::Elementwise {
                    reads: query + key,
                    writes: query + key,
                    saves: 0,
                },
                0,
            ));
        }
        if let (Some((heads, width)), Pattern::Selected(_)) = (self.block_indexer, layer.pattern) {
            indexer(h, h, heads, width, 0, out);
        }
        out.push(operator(
            "attention",
            Kind::Attention {
                query_heads: shape.heads,
                key_value_heads: shape.kv_heads,
                qk_width: shape.qk_width,
                v_width: shape.v_width,
                pattern: layer.pattern,
                causal: shape.causal,
                cache_elements_per_token: key + value,
            },
            if shape.sinks { shape.heads } else { 0 },
        ));
        let bias = if self.out_bias { h } else { 0 };
        out.push(product_of(
            "attention output",
            result,
            h,
            Split::Rows,
            result * h + bias,
        ));
    }

    fn shared_attention(&self, shared: SharedHead, layer: &LayerKind, out: &mut Vec<Operator>) {
        let (h, width) = (self.hidden, self.head_width);
        let queries = self.heads * width;
        let rank = shared.query_rank;
        let down = rank + width;
        out.push(product_of(
            "query and key down",
            h,
            down,
            Split::Replicated,
            h * down,
        ));
        out.push(operator(
            "query and key norm",
            Kind::Norm { width: down },
            down,
        ));
        out.push(product_of(
            "query up",
            rank,
            queries,
            Split::Columns,
            rank * queries,
        ));
        if shared.ratio > 0 {
            // Keys and the gates that weigh them are pooled over `ratio` tokens.
            out.push(product_of(
                "key compression",
                h,
                2 * width,
                Split::Replicated,
                2 * h * width,
            ));
        }
        if let Some((heads, index_width)) = shared.indexer {
            indexer(h, rank, heads, index_width, shared.ratio, out);
        }
        out.push(operator(
            "attention",
            Kind::Attention {
                query_heads: self.heads,
                key_value_heads: 1,
                qk_width: width,
                v_width: width,
                pattern: layer.pattern,
                causal: true,
                // One vector is key and value; compressed ones are `ratio` times fewer.
                cache_elements_per_token: width.checked_div(shared.ratio).unwrap_or(0),
            },
            self.heads,
        ));
        let ranks = shared.out_groups * shared.out_rank;
        let group = queries / shared.out_groups.max(1);
        out.push(product_of(
            "attention output down",
            group,
            ranks,
            Split::Columns,
            group * ranks,
        ));
        out.push(product_of(
            "attention output",
            ranks,
            h,
            Split::Rows,
            ranks * h,
        ));
    }

    fn kimi_delta(&self, mixer: Mixer, out: &mut Vec<Operator>) {
        let Mixer::KimiDelta {
            heads,
            width,
            kernel,
            full_rank_gate,
        } = mixer
        else {
            return;
        };
        let (h, inner) = (self.hidden, heads * width);
        // Queries, keys, values, the delta rule's step for each head, and the output gate.
        let gate = if full_rank_gate { inner } else { 0 };
        let input = 3 * inner + heads + gate;
        out.push(product_of(
            "linear attention input",
            h,
            input,
            Split::Columns,
            h * input,
        ));
        let low_rank = if full_rank_gate { 1 } else { 2 };
        out.push(product_of(
            "decay down",
            h,
            low_rank * width,
            Split::Replicated,
            h * low_rank * width,
        ));
        out.push(product_of(
            "decay up",
            width,
            low_rank * inner,
            Split::Columns,
            width * low_rank * inner + inner,
        ));
        out.push(operator(
            "convolution",
            Kind::Convolution {
                channels: 3 * inner,
                kernel,
            },
            3 * inner * kernel,
        ));
        out.push(operator(
            "delta rule",
            Kind::Scan {
                rule: ScanRule::GatedDelta,
                heads,
                head_width: width,
                state_width: width,
            },
            heads,
        ));
        out.push(operator(
            "gated norm",
            Kind::Elementwise {
                reads: 2 * inner,
                writes: inner,
                saves: inner,
            },
            width,
        ));
        out.push(product_of(
            "linear attention output",
            inner,
            h,
            Split::Rows,
            inner * h,
        ));
    }

    /// Mixes the copies of the stream into a layer's input and back: two maps for each copy, one between the copies.
    fn hyper_connection(&self, name: &str, out: &mut Vec<Operator>) {
        let copies = self.hyper_connections;
        if copies == 0 {
            return;
        }
        let weights = copies * copies + 2 * copies;
        out.push(product_of(
            &format!("{name} weights"),
            copies * self.hidden,
            weights,
            Split::Replicated,
            copies * self.hidden * weights + weights,
        ));
        out.push(operator(
            name,
            Kind::Elementwise {
                reads: 2 * copies * self.hidden,
                writes: copies * self.hidden,
                saves: copies * self.hidden,
            },
            0,
        ));
    }

    fn latent_attention(&self, latent: Latent, layer: &LayerKind, out: &mut Vec<Operator>) {
        let h = self.hidden;
        let qk = latent.nope + latent.rope;
        let queries = self.heads * qk;
        let down = latent.key_value + latent.rope;
        if latent.query > 0 {
            out.push(product_of(
                "latent down",
                h,
                latent.query + down,
                Split::Replicated,
                h * (latent.query + down),
            ));
            out.push(operator(
                "latent norm",
                Kind::Norm {
                    width: latent.query + latent.key_value,
                },
                latent.query + latent.key_value,
            ));
            out.push(product_of(
                "query up",
                latent.query,
                queries,
                Split::Columns,
                latent.query * queries,
            ));
        } else {
            out.push(product_of("query", h, queries, Split::Columns, h * queries));
            out.push(product_of(
                "latent down",
                h,
                down,
                Split::Replicated,
                h * down,
            ));
            out.push(operator(
                "latent norm",
                Kind::Norm {
                    width: latent.key_value,
                },
                latent.key_value,
            ));
        }
        let up = self.heads * (latent.nope + latent.value);
        out.push(product_of(
            "key and value up",
            latent.key_value,
            up,
            Split::Columns,
            latent.key_value * up,
        ));
        let turned = self.heads * latent.rope + latent.rope;
        out.push(operator(
            "rotary",
            Kind::Elementwise {
                reads: turned,
                writes: turned,
                saves: 0,
            },
            0,
        ));
        if let Some((heads, width, _)) = latent.indexer {
            let source = if latent.query > 0 { latent.query } else { h };
            indexer(h, source, heads, width, 0, out);
        }
        out.push(operator(
            "attention",
            Kind::Attention {
                query_heads: self.heads,
                key_value_heads: self.heads,
                qk_width: qk,
                v_width: latent.value,
                pattern: layer.pattern,
                causal: true,
                cache_elements_per_token: down,
            },
            0,
        ));
        if self.output_gate {
            let width = self.heads * latent.value;
            out.push(product_of(
                "attention gate",
                h,
                width,
                Split::Columns,
                h * width,
            ));
        }
        out.push(product_of(
            "attention output",
            self.heads * latent.value,
            h,
            Split::Rows,
            self.heads * latent.value * h,
        ));
    }

    fn feed_forward(&self, name: &str, ffn: u64, biases: bool, out: &mut Vec<Operator>) {
        let h = self.hidden;
        let up = if self.gated { 2 * ffn } else { ffn };
        let (up_bias, down_bias) = if biases { (up, h) } else { (0, 0) };
        out.push(product_of(
            &format!("{name} up"),
            h,
            up,
            Split::Columns,
            h * up + up_bias,
        ));
        out.push(operator(
            &format!("{name} activation"),
            Kind::Elementwise {
                reads: up,
                writes: ffn,
                saves: up,
            },
            0,
        ));
        out.push(product_of(
            &format!("{name} down"),
            ffn,
            h,
            Split::Rows,
            ffn * h + down_bias,
        ));
    }

    fn experts(&self, moe: Experts, out: &mut Vec<Operator>) {
        let Experts {
            experts,
            selected,
            ffn,
            ..
        } = moe;
        let h = self.hidden;
        let router_bias = if moe.biases || moe.selection_bias {
            experts
        } else {
            0
        };
        out.push(product_of(
            "router",
            h,
            experts,
            Split::Replicated,
            h * experts + router_bias + if moe.own_norms { h + experts } else { 0 },
        ));
        if moe.own_norms {
            out.push(operator(
                "experts' norms",
                Kind::Norm { width: 3 * h },
                3 * h,
            ));
        }
        let inner = if moe.latent > 0 { moe.latent } else { h };
        if moe.latent > 0 {
            out.push(product_of(
                "expert latent down",
                h,
                inner,
                Split::Replicated,
                h * inner,
            ));
        }
        out.push(operator(
            "routing",
            Kind::Route {
                experts,
                selected,
                width: inner,
            },
            0,
        ));
        let up = if moe.gated { 2 * ffn } else { ffn };
        let (up_bias, down_bias) = if moe.biases {
            (experts * up, experts * h)
        } else {
            (0, 0)
        };
        out.push(operator(
            "experts up",
            Kind::ExpertMatMul {
                experts,
                selected,
                inputs: inner,
                outputs: up,
                split: Split::Columns,
            },
            experts * inner * up + up_bias,
        ));
        out.push(operator(
            "experts activation",
            Kind::Elementwise {
                reads: up * selected,
                writes: ffn * selected,
                saves: up * selected,
            },
            0,
        ));
        out.push(operator(
            "experts down",
            Kind::ExpertMatMul {
                experts,
                selected,
                inputs: ffn,
                outputs: inner,
                split: Split::Rows,
            },
            experts * ffn * inner + down_bias,
        ));
        if moe.latent > 0 {
            out.push(product_of(
                "expert latent up",
                inner,
                h,
                Split::Replicated,
                h * inner,
            ));
        }
        if moe.shared_ffn > 0 {
            self.feed_forward("shared expert", moe.shared_ffn, false, out);
            if moe.shared_gate {
                out.push(product_of("shared expert gate", h, 1, Split::Replicated, h));
            }
        }
    }
}

/// Scores that choose which keys attention sees: queries from `source` elements, one key head, weights for the
/// heads; `ratio` tokens share a key (0: none do).
fn indexer(hidden: u64, source: u64, heads: u64, width: u64, ratio: u64, out: &mut Vec<Operator>) {
    out.push(product_of(
        "indexer queries",
        source,
        heads * width,
        Split::Replicated,
        source * heads * width,
    ));
    out.push(product_of(
        "indexer keys and weights",
        hidden,
        width + heads,
        Split::Replicated,
        hidden * (width + heads),
    ));
    out.push(operator("indexer norm", Kind::Norm { width }, 2 * width));
    out.push(operator(
        "indexer scores",
        Kind::Attention {
            query_heads: heads,
            key_value_heads: 1,
            qk_width: width,
            v_width: 0,
            pattern: if ratio > 1 {
                Pattern::Compressed { window: 0, ratio }
            } else {
                Pattern::Full
            },
            causal: true,
            cache_elements_per_token: width / ratio.max(1),
        },
        0,
    ));
}

fn operator(name: &str, kind: Kind, parameters: u64) -> Operator {
    Operator {
        name: name.to_owned(),
        kind,
        parameters,
    }
}

fn product_of(name: &str, inputs: u64, outputs: u64, split: Split, parameters: u64) -> Operator {
    operator(
        name,
        Kind::MatMul {
            inputs,
            outputs,
            split,
        },
        parameters,
    )
}
