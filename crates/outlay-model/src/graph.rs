//! The operator graph: the one intermediate form that every lens reads.
//!
//! A [`Model`] is a short list of [`Block`]s, each a short list of [`Operator`]s that runs `repeat` times.
//! Shapes are per position (a token, a patch, a point of a feature map); batch and sequence enter when a lens reads
//! the graph, so one graph answers for parameters, FLOPs, training memory, KV cache and communication alike.

use serde::{Deserialize, Serialize};

/// A model as a list of blocks in the order in which they run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Name to show: the built-in name, or the file's own.
    pub name: String,
    /// Architecture as its file names it, such as `LlamaForCausalLM`.
    pub architecture: String,
    /// How tokens flow through the blocks.
    pub family: Family,
    /// Width of the residual stream, in elements.
    pub hidden: u64,
    /// Rows of the (padded) token embedding.
    pub vocabulary: u64,
    /// Longest sequence that the file says the model supports, in tokens.
    pub max_sequence_tokens: Option<u64>,
    /// What one sample is.
    pub sample: Sample,
    /// Blocks, in running order.
    pub blocks: Vec<Block>,
    /// What the reader assumed or left out, one sentence each, for the person to see.
    pub notes: Vec<String>,
}

/// What one sample of a model's training data is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// What it is called.
    pub unit: SampleUnit,
    /// Positions of the main stream in one sample; `None`: a sequence, whose length belongs to the workload.
    /// 1 where every block has positions of its own.
    pub positions: Option<u64>,
    /// Height and width of an image or of a video's frames, in pixels (0: no image).
    pub height_px: u64,
    /// See `height_px`.
    pub width_px: u64,
    /// Frames of a video (0: no video).
    pub frames: u64,
}

/// What samples are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SampleUnit {
    /// Sequences of tokens.
    #[default]
    Sequence,
    /// Images, with or without a text.
    Image,
    /// Videos, with or without a text.
    Video,
    /// Recordings of speech.
    Recording,
    /// Inputs of a graph whose meaning its file does not tell (ONNX).
    Input,
}

impl SampleUnit {
    /// The word for more than one.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Sequence => "sequences",
            Self::Image => "images",
            Self::Video => "videos",
            Self::Recording => "recordings",
            Self::Input => "samples",
        }
    }
}

/// Positions at which a block runs, for each sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Positions {
    /// Those of the main stream: the tokens of the workload's sequence, or [`Sample::positions`].
    #[default]
    Stream,
    /// So many, whatever the stream: points of a feature map, tokens of a caption, one for the sample as a whole.
    Fixed(u64),
    /// Those of the main stream and so many more: image and caption attended to together.
    Joint(u64),
}

impl Positions {
    /// Positions for each sample, where the main stream has so many.
    pub fn of(self, stream: u64) -> u64 {
        match self {
            Self::Stream => stream,
            Self::Fixed(n) => n,
            Self::Joint(more) => stream.saturating_add(more),
        }
    }
}

/// How tokens flow through a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Decoder only: every block sees the sequence, attention is causal.
    Decoder,
    /// Encoder only (BERT): attention is bidirectional.
    Encoder,
    /// Encoder and decoder (T5, Whisper).
    EncoderDecoder,
    /// A network that takes images and makes features or labels of them (ResNet, ViT, CLIP).
    Vision,
    /// A network that predicts the noise or the velocity of a diffusion process (UNet, DiT, Flux, Wan), or its
    /// autoencoder.
    Diffusion,
}

/// What part a block plays; layouts place blocks by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockKind {
    /// Input embeddings: on the first pipeline stage.
    Embedding,
    /// A repeated layer: divided among pipeline stages.
    Layer,
    /// Final norm, output projection and loss: on the last pipeline stage.
    Head,
    /// Multi-token prediction module: on the last pipeline stage, trained, not always served.
    PredictAhead,
    /// A vision or audio tower, or its projector: counted, and not run for text. Its positions are those of one image, or
    /// the stream's where images of any size are taken and none was given.
    Tower,
    /// A tower that runs for the images of every sequence and is trained: whole on the first pipeline stage. It is apart
    /// from embeddings as its layers keep much for the backward pass, and from layers as it is not divided among stages.
    TrainedTower,
    /// A part that runs forward for every sample and is not trained: frozen layers of the model itself
    /// ([`Block::is_own`]), and networks beside it (text encoders, the encoder of a VAE, a teacher, a reference).
    Frozen,
}

/// A group of operators that repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Name to show, such as `decoder layer (experts)`.
    pub name: String,
    /// What part it plays.
    pub kind: BlockKind,
    /// How many times the block stands in the model.
    pub repeat: u64,
    /// Positions at which its operators run.
    #[serde(default)]
    pub positions: Positions,
    /// Operators of one block, in running order.
    pub operators: Vec<Operator>,
}

/// One operator of a block.
///
/// Matrix products that read the same input are one operator (`qkv`, `gate_up`), so that a saved
/// input is counted once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operator {
    /// Name to show, unique within its block, such as `attention qkv`.
    pub name: String,
    /// What it computes.
    pub kind: Kind,
    /// Parameters held by this operator in one block (biases included; 0 where tied to another's).
    pub parameters: u64,
}

/// How tensor parallelism divides a matrix product `[tokens, inputs] x [inputs, outputs]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Output columns are divided; the whole input is needed (an all-gather before it).
    Columns,
    /// Input rows are divided; partial sums are added (a reduce-scatter after it).
    Rows,
    /// Every rank holds and computes the whole product.
    Replicated,
}

/// Which keys each query attends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// All keys (all earlier keys where causal).
    Full,
    /// The last so many keys (sliding window), in tokens.
    Window(u64),
    /// Keys of the same chunk of so many tokens (Llama 4).
    Chunk(u64),
    /// So many keys, chosen by an indexer (DeepSeek sparse attention).
    Selected(u64),
    /// So many keys of another stream, all of them (cross-attention to a caption).
    Memory(u64),
    /// The last `window` keys, and one compressed key for each `ratio` earlier tokens (DeepSeek V4).
    Compressed {
        /// Uncompressed keys, in tokens.
        window: u64,
        /// Tokens that share a key.
        ratio: u64,
    },
}

/// Recurrences that run along the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScanRule {
    /// Selective scan of Mamba (arXiv:2312.00752): elementwise, bound by memory.
    Mamba1,
    /// State-space duality of Mamba-2 (arXiv:2405.21060): chunked matrix products.
    Mamba2,
    /// Gated delta rule (arXiv:2412.06464), also Kimi delta attention: chunked matrix products.
    GatedDelta,
    /// Linear attention with decay (MiniMax lightning attention, arXiv:2501.08313).
    Lightning,
}

/// What an operator computes, with its shapes per token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Product of `[tokens, inputs]` with a weight `[inputs, outputs]`: `2 * inputs * outputs` FLOPs a token.
    MatMul {
        /// Inner dimension.
        inputs: u64,
        /// Output columns (all that read the same input, summed).
        outputs: u64,
        /// How tensor parallelism divides it.
        split: Split,
    },
    /// Products of routed tokens with their experts' weights: `2 * selected * inputs * outputs` FLOPs a token.
    ExpertMatMul {
        /// Routed experts in the layer.
        experts: u64,
        /// Experts that each token visits.
        selected: u64,
        /// Inner dimension.
        inputs: u64,
        /// Output columns (gate and up summed).
        outputs: u64,
        /// `Columns` for the first product, `Rows` for the second.
        split: Split,
    },
    /// Scaled dot-product attention, without its projections: `2 * (qk_width + v_width) * query_heads` FLOPs
    /// for each query-key pair.
    Attention {
        /// Query heads.
        query_heads: u64,
        /// Key and value heads.
        key_value_heads: u64,
        /// Width of one query or key head, in elements (MLA: with the rotary part).
        qk_width: u64,
        /// Width of one value head, in elements (0 for an indexer that only scores).
        v_width: u64,
        /// Which keys each query sees.
        pattern: Pattern,
        /// Whether later keys are masked.
        causal: bool,
        /// Elements kept per token in a key-value cache (MLA: the latent and rotary key, not the heads).
        cache_elements_per_token: u64,
    },
    /// A recurrence along the sequence.
    Scan {
        /// Which recurrence.
        rule: ScanRule,
        /// Heads (Mamba 1: 1).
        heads: u64,
        /// Width of one head, in elements (Mamba 1: the inner width).
        head_width: u64,
        /// Width of the state (key width for delta and lightning rules).
        state_width: u64,
    },
    /// Causal depthwise convolution along the sequence.
    Convolution {
        /// Channels.
        channels: u64,
        /// Kernel width, in tokens.
        kernel: u64,
    },
    /// Convolution over an image or video, as a product of gathered inputs:
    /// `2 * taps * inputs / groups * outputs` FLOPs for each output position.
    ImageConvolution {
        /// Input channels.
        inputs: u64,
        /// Output channels.
        outputs: u64,
        /// Points of the kernel (9 for 3 x 3).
        taps: u64,
        /// Groups; `inputs` of them make it depthwise.
        groups: u64,
        /// Input positions for each output position (4 for a stride of 2), at least 1.
        stride_area: u64,
    },
    /// Layer norm or RMS norm.
    Norm {
        /// Elements normalised, per token.
        width: u64,
    },
    /// Batch norm or group norm: statistics over more points than one block of a kernel holds, so that they take a pass
    /// over memory of their own.
    GroupNorm {
        /// Channels.
        width: u64,
    },
    /// Table look-up.
    Embedding {
        /// Rows.
        rows: u64,
        /// Width of a row, in elements.
        width: u64,
        /// Whether tensor parallelism divides its rows (token embeddings) or not (positions).
        split: bool,
    },
    /// Choice of experts: softmax or sigmoid, top-k, and the sorting of tokens by expert.
    Route {
        /// Routed experts.
        experts: u64,
        /// Experts that each token visits.
        selected: u64,
        /// Width of the tokens moved, in elements.
        width: u64,
    },
    /// Pointwise work: activation, rotary embedding, residual addition, gating.
    Elementwise {
        /// Elements read, per token.
        reads: u64,
        /// Elements written, per token.
        writes: u64,
        /// Elements that the backward pass needs kept, per token.
        saves: u64,
    },
    /// Softmax cross-entropy over the vocabulary, in fp32.
    Loss {
        /// Logits, per token.
        vocabulary: u64,
    },
}

impl Operator {
    /// Parameters that one token touches: all, save for routed experts.
    ///
    /// Embedding tables count in full, as published "active" figures do.
    pub fn active_parameters(&self) -> u64 {
        match self.kind {
            Kind::ExpertMatMul {
                experts, selected, ..
            } if experts > 0 => {
                (u128::from(self.parameters) * u128::from(selected) / u128::from(experts)) as u64
            }
            _ => self.parameters,
        }
    }
}

impl Block {
    /// Parameters of one such block.
    pub fn parameters(&self) -> u64 {
        self.operators
            .iter()
            .map(|operator| operator.parameters)
            .sum()
    }
}

/// What the names of a model's own blocks begin with where they are frozen; other frozen blocks belong to other networks.
pub(crate) const FROZEN: &str = "frozen: ";

impl Block {
    /// Whether it is part of the model itself: no network that runs forward beside it.
    pub fn is_own(&self) -> bool {
        self.kind != BlockKind::Frozen || self.name.starts_with(FROZEN)
    }
}

impl Model {
    /// Whether the output product shares the table of the embeddings: it then holds no parameters of its own.
    pub fn ties_embeddings(&self) -> bool {
        self.blocks
            .iter()
            .filter(|block| block.kind == BlockKind::Head)
            .flat_map(|block| &block.operators)
            .any(|operator| {
                operator.parameters == 0
                    && matches!(operator.kind, Kind::MatMul { outputs, .. } if outputs == self.vocabulary)
            })
    }

    /// Parameters of the model itself, frozen ones among them: without the networks that run forward beside it.
    pub fn own_parameters(&self) -> u64 {
        self.blocks
            .iter()
            .filter(|block| block.is_own())
            .map(|block| block.repeat * block.parameters())
            .sum()
    }

    /// Whether a diffusion model's network runs in steps; an autoencoder, which has a decoder, does not.
    pub fn runs_in_steps(&self) -> bool {
        !self
            .blocks
            .iter()
            .any(|block| block.name.starts_with("decoder"))
    }

    /// All parameters, towers and prediction modules included.
    pub fn parameters(&self) -> u64 {
        self.blocks
            .iter()
            .map(|block| block.repeat * block.parameters())
            .sum()
    }

    /// Parameters without multi-token prediction modules, as model cards mostly count them.
    pub fn main_parameters(&self) -> u64 {
        self.blocks
            .iter()
            .filter(|block| block.kind != BlockKind::PredictAhead)
            .map(|block| block.repeat * block.parameters())
            .sum()
    }

    /// Parameters that one token touches, without prediction modules.
    pub fn active_parameters(&self) -> u64 {
        self.blocks
            .iter()
            .filter(|block| block.kind != BlockKind::PredictAhead && block.is_own())
            .map(|block| {
                block.repeat
                    * block
                        .operators
                        .iter()
                        .map(Operator::active_parameters)
                        .sum::<u64>()
            })
            .sum()
    }

    /// Repeated layers, summed over kinds of layer.
    pub fn layers(&self) -> u64 {
        self.blocks
            .iter()
            .filter(|block| block.kind == BlockKind::Layer)
            .map(|block| block.repeat)
            .sum()
    }

    /// Rows of the table of learned positions, where the model has one: no sequence can be longer.
    pub fn learned_positions(&self) -> Option<u64> {
        self.operators()
            .find(|operator| operator.name == "position embedding")
            .and_then(|operator| match operator.kind {
                Kind::Embedding { rows, .. } => Some(rows),
                _ => None,
            })
    }

    /// Whether any layer routes tokens to experts.
    pub fn has_experts(&self) -> bool {
        self.operators()
            .any(|operator| matches!(operator.kind, Kind::ExpertMatMul { .. }))
    }

    /// Adds parts that run forward for every sample and are not trained: a text encoder at `caption_tokens` positions, or
    /// the encoder of an autoencoder. The decoder, which training does not run, is left out.
    pub fn add_frozen(&mut self, part: &Self, caption_tokens: u64) {
        for block in &part.blocks {
            if block.name.starts_with("decoder") || block.name == "latents" {
                continue;
            }
            self.blocks.push(Block {
                name: format!("{}: {}", part.name, block.name),
                kind: BlockKind::Frozen,
                positions: match block.positions {
                    Positions::Stream => {
                        Positions::Fixed(part.sample.positions.unwrap_or(caption_tokens))
                    }
                    other => other,
                },
                ..block.clone()
            });
        }
    }

    /// Adds a model that runs forward on the same tokens and is not trained: a teacher, or the reference of preference
    /// tuning; `held` says whether it has weights of its own in memory.
    pub fn add_forward(&mut self, other: &Self, label: &str, held: bool) {
        for block in &other.blocks {
            if matches!(
                block.kind,
                BlockKind::Frozen | BlockKind::Tower | BlockKind::PredictAhead
            ) {
                continue;
            }
            let mut block = block.clone();
            block.name = format!("{label}: {}", block.name);
            block.kind = BlockKind::Frozen;
            if !held {
                for operator in &mut block.operators {
                    operator.parameters = 0;
                }
            }
            self.blocks.push(block);
        }
    }

    /// Freezes the embeddings and the first `n` layers: they run forward alone, and no gradient reaches them. At least one
    /// layer stays trained, and so does the head but for a table that it shares with the embeddings.
    ///
    /// Kinds of layers in the main stream are taken to alternate (sliding and full attention, recurrences and experts), and
    /// give their shares, whatever the order in which the reader lists them; networks whose layers run at positions of their
    /// own (points of a feature map) are frozen in the order listed.
    ///
    /// ```
    /// let mut model = outlay_model::find("llama-3.1-8b").unwrap().model().unwrap();
    /// // 32 layers of 218,112,000 parameters, and 128,256 rows of 4,096 at either end.
    /// model.freeze_first(24).unwrap();
    /// assert_eq!(model.trained_parameters(), 8 * 218_112_000 + 4_096 + 128_256 * 4_096);
    /// assert!(model.freeze_first(8).is_err());
    /// ```
    ///
    /// # Errors
    /// The most layers that can be frozen, where `n` is more.
    pub fn freeze_first(&mut self, n: u64) -> Result<(), u64> {
        let most = self.layers().saturating_sub(1);
        if n > most {
            return Err(most);
        }
        let mut left = n;
        let mut blocks = Vec::with_capacity(self.blocks.len() + 2);
        let mut index = 0;
        while index < self.blocks.len() {
            let block = &self.blocks[index];
            if block.kind != BlockKind::Layer {
                let mut block = block.clone();
                if block.kind == BlockKind::Embedding {
                    block.kind = BlockKind::Frozen;
                    block.name = format!("{FROZEN}{}", block.name);
                }
                blocks.push(block);
                index += 1;
                continue;
            }
            // Groups that alternate.
            let end = index
                + self.blocks[index..]
                    .iter()
                    .take_while(|other| {
                        other.kind == BlockKind::Layer
                            && other.positions == block.positions
                            && (block.positions == Positions::Stream
                                || other.parameters() == block.parameters())
                    })
                    .count();
            let mut together: u64 = self.blocks[index..end]
                .iter()
                .map(|block| block.repeat)
                .sum();
            let mut frozen = left.min(together);
            left -= frozen;
            for block in &self.blocks[index..end] {
                // Its share of what is still to be frozen, so that all shares add up.
                let here = (u128::from(frozen) * u128::from(block.repeat)
                    / u128::from(together.max(1))) as u64;
                together -= block.repeat;
                frozen -= here;
                if here > 0 {
                    blocks.push(Block {
                        name: format!("{FROZEN}{}", block.name),
                        kind: BlockKind::Frozen,
                        repeat: here,
                        ..block.clone()
                    });
                }
                if block.repeat > here {
                    blocks.push(Block {
                        repeat: block.repeat - here,
                        ..block.clone()
                    });
                }
            }
            index = end;
        }
        self.blocks = blocks;
        Ok(())
    }

    /// Parameters that are trained, frozen parts left out.
    pub fn trained_parameters(&self) -> u64 {
        self.blocks
            .iter()
            .filter(|block| block.kind != BlockKind::Frozen)
            .map(|block| block.repeat * block.parameters())
            .sum()
    }

    /// Whether any layer convolves over an image: such networks are not cut by tensor or pipeline parallelism.
    pub fn convolves(&self) -> bool {
        self.blocks
            .iter()
            .filter(|block| block.kind == BlockKind::Layer)
            .flat_map(|block| &block.operators)
            .any(|operator| matches!(operator.kind, Kind::ImageConvolution { .. }))
    }

    /// Every operator of every block, once each (not repeated).
    pub fn operators(&self) -> impl Iterator<Item = &Operator> {
        self.blocks.iter().flat_map(|block| &block.operators)
    }
}
