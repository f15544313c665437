//! A transformer described by its sizes, and the graph that follows from it.
//!
//! Readers of files fill a [`Spec`]; [`Spec::build`] writes the operators. What differs between families is a
//! field here, never a name.

use crate::graph::{Block, BlockKind, Family, Kind, Model, Operator, Pattern, Split};

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
    pub experts: bool,
    /// Own key-value heads and head width (Gemma 4's global layers).
    pub heads: Option<(u64, u64)>,
}

/// Sizes of a transformer.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub name: String,
    pub architecture: String,
    pub family: Family,
    pub hidden: u64,
    pub vocabulary: u64,
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
    pub tied: bool,
    pub head_bias: bool,
    /// Rows of learned positions.
    pub positions: u64,
    /// Further embedding parameters (token types, embedding norm).
    pub embedding_extra: u64,
    /// Parameters of the final norm and of what follows it (pooler), beside the output product.
    pub head_extra: u64,
    pub final_norm: bool,
    pub latent: Option<Latent>,
    pub moe: Option<Experts>,
    pub layers: Vec<LayerKind>,
    /// Multi-token prediction modules.
    pub predict_ahead: u64,
    pub max_sequence_tokens: Option<u64>,
    pub notes: Vec<String>,
}

impl Spec {
    /// Writes the graph.
    pub fn build(&self) -> Model {
        let mut blocks = vec![self.embedding()];
        for layer in &self.layers {
            if layer.repeat > 0 {
                let sort = match (layer.experts && self.moe.is_some(), layer.pattern) {
                    (true, Pattern::Full | Pattern::Selected(_)) => "layer (experts)",
                    (true, _) => "layer (experts, local attention)",
                    (false, Pattern::Full | Pattern::Selected(_)) => "layer",
                    (false, _) => "layer (local attention)",
                };
                blocks.push(Block {
                    name: sort.to_owned(),
                    kind: BlockKind::Layer,
                    repeat: layer.repeat,
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
                width: h,
                split: true,
            },
            self.vocabulary * h + self.embedding_extra,
        )];
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
        let product = if self.tied { 0 } else { h * self.vocabulary };
        let bias = if self.head_bias { self.vocabulary } else { 0 };
        Block {
            name: "head".to_owned(),
            kind: BlockKind::Head,
            repeat: 1,
            operators: vec![
                operator(
                    "final norm",
                    Kind::Norm { width: h },
                    norm + self.head_extra,
                ),
                product_of("output", h, self.vocabulary, Split::Columns, product + bias),
                operator(
                    "loss",
                    Kind::Loss {
                        vocabulary: self.vocabulary,
                    },
                    0,
                ),
            ],
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
        let mut out = vec![self.norm("attention norm")];
        match self.latent {
            Some(latent) => self.latent_attention(latent, layer, &mut out),
            None => self.attention(layer, &mut out),
        }
        if self.norms >= 4 {
            out.push(self.norm("attention post-norm"));
        }
        out.push(self.residual("attention residual"));
        if self.norms >= 2 {
            out.push(self.norm("feed-forward norm"));
        }
        match self.moe.filter(|_| layer.experts) {
            Some(experts) => self.experts(experts, &mut out),
            None => self.feed_forward("feed-forward", self.ffn, self.mlp_bias, &mut out),
        }
        if self.norms >= 4 {
            out.push(self.norm("feed-forward post-norm"));
        }
        out.push(self.residual("feed-forward residual"));
        out
    }

    fn attention(&self, layer: &LayerKind, out: &mut Vec<Operator>) {
        let h = self.hidden;
        let (kv_heads, width) = layer.heads.unwrap_or((self.kv_heads, self.head_width));
        let (query, key) = (self.heads * width, kv_heads * width);
        let bias = if self.qkv_bias { query + 2 * key } else { 0 };
        out.push(product_of(
            "attention qkv",
            h,
            query + 2 * key,
            Split::Columns,
            h * (query + 2 * key) + bias,
        ));
        if self.qk_norm {
            out.push(operator(
                "query and key norm",
                Kind::Norm { width },
                2 * width,
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
        out.push(operator(
            "rotary",
            Kind::Elementwise {
                reads: query + key,
                writes: query + key,
                saves: 0,
            },
            0,
        ));
        out.push(operator(
            "attention",
            Kind::Attention {
                query_heads: self.heads,
                key_value_heads: kv_heads,
                qk_width: width,
                v_width: width,
                pattern: layer.pattern,
                causal: self.family == Family::Decoder,
                cache_elements_per_token: 2 * key,
            },
            if self.sinks { self.heads } else { 0 },
        ));
        let bias = if self.out_bias { h } else { 0 };
        out.push(product_of(
            "attention output",
            query,
            h,
            Split::Rows,
            query * h + bias,
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
            out.push(product_of(
                "indexer queries",
                source,
                heads * width,
                Split::Replicated,
                source * heads * width,
            ));
            out.push(product_of(
                "indexer keys and weights",
                h,
                width + heads,
                Split::Replicated,
                h * (width + heads),
            ));
            out.push(operator("indexer norm", Kind::Norm { width }, 2 * width));
            out.push(operator(
                "indexer scores",
                Kind::Attention {
                    query_heads: heads,
                    key_value_heads: 1,
                    qk_width: width,
                    v_width: 0,
                    pattern: Pattern::Full,
                    causal: true,
                    cache_elements_per_token: width,
                },
                0,
            ));
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
        let h = self.hidden;
        let Experts {
            experts,
            selected,
            ffn,
            ..
        } = moe;
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
            h * experts + router_bias,
        ));
        out.push(operator(
            "routing",
            Kind::Route {
                experts,
                selected,
                width: h,
            },
            0,
        ));
        let (up_bias, down_bias) = if moe.biases {
            (experts * 2 * ffn, experts * h)
        } else {
            (0, 0)
        };
        out.push(operator(
            "experts up",
            Kind::ExpertMatMul {
                experts,
                selected,
                inputs: h,
                outputs: 2 * ffn,
                split: Split::Columns,
            },
            experts * h * 2 * ffn + up_bias,
        ));
        out.push(operator(
            "experts activation",
            Kind::Elementwise {
                reads: 2 * ffn * selected,
                writes: ffn * selected,
                saves: 2 * ffn * selected,
            },
            0,
        ));
        out.push(operator(
            "experts down",
            Kind::ExpertMatMul {
                experts,
                selected,
                inputs: ffn,
                outputs: h,
                split: Split::Rows,
            },
            experts * ffn * h + down_bias,
        ));
        if moe.shared_ffn > 0 {
            self.feed_forward("shared expert", moe.shared_ffn, false, out);
            if moe.shared_gate {
                out.push(product_of("shared expert gate", h, 1, Split::Replicated, h));
            }
        }
    }
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
