//! Operators and blocks of networks whose positions change from block to block: convolutional networks, vision
//! transformers, diffusion models.

use crate::graph::{
    Block, BlockKind, Family, Kind, Model, Operator, Pattern, Positions, Sample, Split,
};

/// What a sample looks like, where a model's file leaves it open or a person wants it otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// Height of an image or frame, in pixels.
    pub height_px: Option<u64>,
    /// Width of an image or frame, in pixels.
    pub width_px: Option<u64>,
    /// Frames of a video.
    pub frames: Option<u64>,
    /// Tokens of a caption.
    pub caption_tokens: Option<u64>,
}

impl Input {
    /// Height and width in pixels; a side that is not given is `default`.
    pub(crate) fn size_or(&self, default: u64) -> (u64, u64) {
        let height = self.height_px.unwrap_or(default);
        (height, self.width_px.unwrap_or(height))
    }
}

/// A list of blocks in the making: equal neighbours become one block that repeats.
#[derive(Default)]
pub(crate) struct Net {
    pub blocks: Vec<Block>,
}

impl Net {
    pub fn push(
        &mut self,
        name: &str,
        kind: BlockKind,
        repeat: u64,
        positions: Positions,
        operators: Vec<Operator>,
    ) {
        if repeat == 0 || operators.is_empty() {
            return;
        }
        if let Some(last) = self.blocks.last_mut()
            && last.name == name
            && last.kind == kind
            && last.positions == positions
            && last.operators == operators
        {
            last.repeat += repeat;
            return;
        }
        self.blocks.push(Block {
            name: name.to_owned(),
            kind,
            repeat,
            positions,
            operators,
        });
    }

    /// The model of these blocks; its reader names it.
    pub fn model(self, family: Family, hidden: u64, sample: Sample) -> Model {
        Model {
            name: String::new(),
            architecture: String::new(),
            family,
            hidden,
            vocabulary: 0,
            max_sequence_tokens: sample.positions,
            sample,
            blocks: self.blocks,
            notes: Vec::new(),
        }
    }

    /// A repeated layer.
    pub fn layer(
        &mut self,
        name: &str,
        repeat: u64,
        positions: Positions,
        operators: Vec<Operator>,
    ) {
        self.push(name, BlockKind::Layer, repeat, positions, operators);
    }
}

/// A product with a weight; `bias` adds one parameter for each output.
pub(crate) fn linear(name: &str, inputs: u64, outputs: u64, split: Split, bias: bool) -> Operator {
    Operator {
        name: name.to_owned(),
        kind: Kind::MatMul {
            inputs,
            outputs,
            split,
        },
        parameters: inputs * outputs + if bias { outputs } else { 0 },
    }
}

/// A convolution with `taps` points of its kernel and one input position in `stride_area`.
pub(crate) fn convolution(
    name: &str,
    inputs: u64,
    outputs: u64,
    taps: u64,
    stride_area: u64,
    groups: u64,
    bias: bool,
) -> Operator {
    Operator {
        name: name.to_owned(),
        kind: Kind::ImageConvolution {
            inputs,
            outputs,
            taps,
            groups: groups.max(1),
            stride_area: stride_area.max(1),
        },
        parameters: inputs / groups.max(1) * outputs * taps + if bias { outputs } else { 0 },
    }
}

/// A norm with so many parameters for each element.
pub(crate) fn norm(name: &str, width: u64, weights: u64) -> Operator {
    Operator {
        name: name.to_owned(),
        kind: Kind::Norm { width },
        parameters: width * weights,
    }
}

/// Batch norm or group norm: a scale and a shift for each channel.
pub(crate) fn group_norm(name: &str, width: u64) -> Operator {
    Operator {
        name: name.to_owned(),
        kind: Kind::GroupNorm { width },
        parameters: 2 * width,
    }
}

/// Pointwise work over `width` elements: an activation that reads, writes and keeps them.
pub(crate) fn activation(name: &str, width: u64) -> Operator {
    pointwise(name, width, width, width)
}

/// An activation in place: what it writes is the input of the next product, which keeps it.
pub(crate) fn activation_in_place(name: &str, width: u64) -> Operator {
    pointwise(name, width, width, 0)
}

/// A gated activation: two halves in, one out.
pub(crate) fn gate(name: &str, width: u64) -> Operator {
    pointwise(name, 2 * width, width, 2 * width)
}

/// Addition of a branch to the stream.
pub(crate) fn residual(name: &str, width: u64) -> Operator {
    pointwise(name, 2 * width, width, 0)
}

pub(crate) fn pointwise(name: &str, reads: u64, writes: u64, saves: u64) -> Operator {
    Operator {
        name: name.to_owned(),
        kind: Kind::Elementwise {
            reads,
            writes,
            saves,
        },
        parameters: 0,
    }
}

/// Numbers that are learned and belong to no operator of their own (positions, class tokens, scales).
pub(crate) fn learned(name: &str, width: u64, parameters: u64) -> Operator {
    Operator {
        name: name.to_owned(),
        kind: Kind::Elementwise {
            reads: width,
            writes: width,
            saves: 0,
        },
        parameters,
    }
}

/// Attention of `heads` heads of `width`, without masks.
pub(crate) fn attention(name: &str, heads: u64, width: u64, pattern: Pattern) -> Operator {
    Operator {
        name: name.to_owned(),
        kind: Kind::Attention {
            query_heads: heads,
            key_value_heads: heads,
            qk_width: width,
            v_width: width,
            pattern,
            causal: false,
            cache_elements_per_token: 2 * heads * width,
        },
        parameters: 0,
    }
}

/// As [`attention`], masked to earlier positions.
pub(crate) fn causal_attention(name: &str, heads: u64, width: u64) -> Operator {
    let mut operator = attention(name, heads, width, Pattern::Full);
    if let Kind::Attention { causal, .. } = &mut operator.kind {
        *causal = true;
    }
    operator
}

/// One plain pre-norm transformer layer, as ViT, CLIP and Whisper have it.
pub(crate) struct PlainLayer {
    pub hidden: u64,
    pub heads: u64,
    pub ffn: u64,
    pub causal: bool,
    /// Whether queries, keys and values have biases; Whisper's keys have none.
    pub bias: (bool, bool, bool),
    /// Scales learned for each channel after both halves (DINOv2).
    pub layer_scale: bool,
    /// A gate beside the first product of the feed-forward.
    pub gated: bool,
}

impl PlainLayer {
    pub fn operators(&self) -> Vec<Operator> {
        let h = self.hidden;
        let (query, key, value) = self.bias;
        let biases = [query, key, value].iter().filter(|bias| **bias).count() as u64;
        let mut qkv = linear("attention qkv", h, 3 * h, Split::Columns, false);
        qkv.parameters += biases * h;
        let width = h / self.heads.max(1);
        let mut out = vec![
            norm("attention norm", h, 2),
            qkv,
            if self.causal {
                causal_attention("attention", self.heads, width)
            } else {
                attention("attention", self.heads, width, Pattern::Full)
            },
            linear("attention output", h, h, Split::Rows, true),
        ];
        let scale = |out: &mut Vec<Operator>, name: &str| {
            if self.layer_scale {
                out.push(learned(name, h, h));
            }
        };
        scale(&mut out, "attention scale");
        out.push(residual("attention residual", h));
        out.push(norm("feed-forward norm", h, 2));
        let up = if self.gated { 2 * self.ffn } else { self.ffn };
        out.push(linear("feed-forward up", h, up, Split::Columns, true));
        out.push(if self.gated {
            gate("feed-forward activation", self.ffn)
        } else {
            activation("feed-forward activation", self.ffn)
        });
        out.push(linear("feed-forward down", self.ffn, h, Split::Rows, true));
        scale(&mut out, "feed-forward scale");
        out.push(residual("feed-forward residual", h));
        out
    }
}
