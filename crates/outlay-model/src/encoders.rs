//! Reads the `config.json` of Whisper and of text encoders that stand before diffusion models.

use serde_json::{Map, Value};

use crate::config::Fields;
use crate::error::Error;
use crate::graph::{
    BlockKind, Family, Kind, Model, Operator, Pattern, Positions, Sample, SampleUnit, Split,
};
use crate::net::{
    Input, Net, PlainLayer, activation, attention, causal_attention, convolution, gate, learned,
    linear, norm, residual,
};

fn embedding(rows: u64, width: u64) -> Operator {
    Operator {
        name: "token embedding".to_owned(),
        kind: Kind::Embedding {
            rows,
            width,
            split: true,
        },
        parameters: rows * width,
    }
}

/// Whisper (arXiv:2212.04356): 30 seconds of sound in, text out.
pub(crate) fn whisper(fields: &Fields<'_>, input: &Input) -> Result<Model, Error> {
    let h = fields.need(&["d_model"])?;
    let mel = fields.or(&["num_mel_bins"], 80)?;
    let heard = fields.or(&["max_source_positions"], 1500)?;
    let rows = fields.or(&["max_target_positions"], 448)?;
    let vocabulary = fields.need(&["vocab_size"])?;
    let (encoder_heads, heads) = (
        fields.need(&["encoder_attention_heads"])?,
        fields.need(&["decoder_attention_heads"])?,
    );
    for heads in [encoder_heads, heads] {
        if !h.is_multiple_of(heads) {
            return Err(fields.contradiction(format!(
                "`d_model` {h} cannot be divided among {heads} attention heads"
            )));
        }
    }
    let layers = fields.need(&["decoder_layers"])?;
    let ffn = fields.need(&["decoder_ffn_dim"])?;
    let mut net = Net::default();
    let entry = BlockKind::Embedding;
    net.push(
        "sound",
        entry,
        1,
        Positions::Fixed(2 * heard),
        vec![
            convolution("convolution 1", mel, h, 3, 1, 1, true),
            activation("activation 1", h),
        ],
    );
    net.push(
        "sound, halved",
        entry,
        1,
        Positions::Fixed(heard),
        vec![
            convolution("convolution 2", h, h, 3, 2, 1, true),
            activation("activation 2", h),
            learned("sound positions", h, heard * h),
        ],
    );
    let encoder = PlainLayer {
        hidden: h,
        heads: encoder_heads,
        ffn: fields.need(&["encoder_ffn_dim"])?,
        causal: false,
        bias: (true, false, true),
        layer_scale: false,
        gated: false,
    };
    let heard_here = Positions::Fixed(heard);
    let repeat = fields.need(&["encoder_layers"])?;
    net.layer("encoder layer", repeat, heard_here, encoder.operators());
    net.layer(
        "encoder norm",
        1,
        heard_here,
        vec![norm("encoder norm", h, 2)],
    );
    net.push(
        "text",
        entry,
        1,
        Positions::Stream,
        vec![
            embedding(vocabulary, h),
            learned("text positions", h, rows * h),
        ],
    );
    let mut keys = linear("keys and values", h, 2 * h, Split::Columns, false);
    keys.parameters += h;
    net.layer(
        "cross-attention keys and values",
        layers,
        heard_here,
        vec![keys],
    );
    let width = h / heads;
    let mut qkv = linear("attention qkv", h, 3 * h, Split::Columns, false);
    qkv.parameters += 2 * h;
    net.layer(
        "decoder layer",
        layers,
        Positions::Stream,
        vec![
            norm("attention norm", h, 2),
            qkv,
            causal_attention("attention", heads, width),
            linear("attention output", h, h, Split::Rows, true),
            residual("attention residual", h),
            norm("cross-attention norm", h, 2),
            linear("cross-attention queries", h, h, Split::Columns, true),
            attention("cross-attention", heads, width, Pattern::Memory(heard)),
            linear("cross-attention output", h, h, Split::Rows, true),
            residual("cross-attention residual", h),
            norm("feed-forward norm", h, 2),
            linear("feed-forward up", h, ffn, Split::Columns, true),
            activation("feed-forward activation", ffn),
            linear("feed-forward down", ffn, h, Split::Rows, true),
            residual("feed-forward residual", h),
        ],
    );
    let mut output = linear("output", h, vocabulary, Split::Columns, false);
    // The output product shares the token embedding.
    output.parameters = 0;
    net.push(
        "head",
        BlockKind::Head,
        1,
        Positions::Stream,
        vec![
            norm("final norm", h, 2),
            output,
            Operator {
                name: "loss".to_owned(),
                kind: Kind::Loss { vocabulary },
                parameters: 0,
            },
        ],
    );
    Ok(Model {
        name: String::new(),
        architecture: String::new(),
        family: Family::EncoderDecoder,
        hidden: h,
        vocabulary,
        max_sequence_tokens: Some(rows),
        sample: Sample {
            unit: SampleUnit::Recording,
            positions: Some(input.caption_tokens.unwrap_or(rows)),
            ..Sample::default()
        },
        blocks: net.blocks,
        notes: vec![format!(
            "A recording is {} seconds of sound, and its text padded to {} tokens.",
            heard / 50,
            input.caption_tokens.unwrap_or(rows)
        )],
    })
}

/// The encoder of T5 (arXiv:1910.10683) or UMT5 alone, as diffusion models use it.
pub(crate) fn t5_encoder(
    map: &Map<String, Value>,
    model_type: &str,
    file: &str,
    input: &Input,
) -> Result<Model, Error> {
    let fields = Fields { map, file };
    let h = fields.need(&["d_model"])?;
    let width = fields.need(&["d_kv"])?;
    let heads = fields.need(&["num_heads"])?;
    let ffn = fields.need(&["d_ff"])?;
    let layers = fields.need(&["num_layers"])?;
    let vocabulary = fields.need(&["vocab_size"])?;
    let gated =
        fields.text("feed_forward_proj").starts_with("gated") || fields.flag("is_gated_act", false);
    let buckets = fields.or(&["relative_attention_num_buckets"], 32)? * heads;
    let inner = heads * width;
    let mut scores = attention("attention", heads, width, Pattern::Full);
    let every_layer = model_type == "umt5";
    if every_layer {
        scores.parameters = buckets;
    }
    let up = if gated { 2 * ffn } else { ffn };
    let layer = vec![
        norm("attention norm", h, 1),
        linear("attention qkv", h, 3 * inner, Split::Columns, false),
        scores,
        linear("attention output", inner, h, Split::Rows, false),
        residual("attention residual", h),
        norm("feed-forward norm", h, 1),
        linear("feed-forward up", h, up, Split::Columns, false),
        if gated {
            gate("feed-forward activation", ffn)
        } else {
            activation("feed-forward activation", ffn)
        },
        linear("feed-forward down", ffn, h, Split::Rows, false),
        residual("feed-forward residual", h),
    ];
    let mut net = Net::default();
    let mut entry = vec![embedding(vocabulary, h)];
    if !every_layer {
        entry.push(learned("relative positions", 0, buckets));
    }
    net.push(
        "embedding",
        BlockKind::Embedding,
        1,
        Positions::Stream,
        entry,
    );
    net.layer("layer", layers, Positions::Stream, layer);
    net.push(
        "final norm",
        BlockKind::Head,
        1,
        Positions::Stream,
        vec![norm("final norm", h, 1)],
    );
    Ok(Model {
        name: String::new(),
        architecture: String::new(),
        family: Family::Encoder,
        hidden: h,
        vocabulary,
        max_sequence_tokens: Some(512),
        sample: Sample {
            positions: input.caption_tokens,
            ..Sample::default()
        },
        blocks: net.blocks,
        notes: Vec::new(),
    })
}
