//! Vision towers of language models that also see: counted, and not run for text.

use serde_json::{Map, Value};

use crate::config::Fields;
use crate::error::Error;
use crate::graph::{Block, BlockKind, Operator, Positions, Split};
use crate::net::{Net, PlainLayer, activation, gate, learned, linear, norm};

/// Blocks of the tower that `vision_config` describes; `None` where its kind is not known.
pub(crate) fn tower(
    vision: &Map<String, Value>,
    model_type: &str,
    text_width: u64,
    file: &str,
) -> Result<Option<Vec<Block>>, Error> {
    let fields = Fields { map: vision, file };
    match model_type {
        "qwen2_vl" | "qwen2_5_vl" | "qwen3_vl" | "qwen3_vl_moe" | "qwen3_5" | "qwen3_5_moe" => {
            qwen(&fields, model_type).map(Some)
        }
        "llama4" if vision.contains_key("hidden_size") => llama4(&fields, text_width).map(Some),
        _ => Ok(None),
    }
}

fn put(net: &mut Net, name: &str, repeat: u64, operators: Vec<Operator>) {
    net.push(name, BlockKind::Tower, repeat, Positions::Stream, operators);
}

fn plain(hidden: u64, heads: u64, ffn: u64) -> Vec<Operator> {
    PlainLayer {
        hidden,
        heads,
        ffn,
        causal: false,
        bias: (true, true, true),
        layer_scale: false,
        gated: false,
    }
    .operators()
}

/// Patches of one place are joined and brought to the width of the text.
fn merger(normed: u64, norm_weights: u64, joined: u64, to: u64) -> Vec<Operator> {
    vec![
        norm("merger norm", normed, norm_weights),
        linear("merger in", joined, joined, Split::Columns, true),
        activation("merger activation", joined),
        linear("merger out", joined, to, Split::Rows, true),
    ]
}

/// Qwen2-VL (arXiv:2409.12191), Qwen2.5-VL (arXiv:2502.13923) and Qwen3-VL.
fn qwen(fields: &Fields<'_>, model_type: &str) -> Result<Vec<Block>, Error> {
    // Qwen2-VL calls the width of the text `hidden_size`, and its own `embed_dim`.
    let second = model_type == "qwen2_vl";
    let h = fields.need(if second {
        &["embed_dim"]
    } else {
        &["hidden_size"]
    })?;
    let to = fields.need(if second {
        &["hidden_size"]
    } else {
        &["out_hidden_size"]
    })?;
    let heads = fields.need(&["num_heads"])?;
    let layers = fields.need(&["depth"])?;
    let ffn = if second {
        h.saturating_mul(fields.or(&["mlp_ratio"], 4)?.min(64))
    } else {
        fields.need(&["intermediate_size"])?
    };
    let patch = fields.or(&["patch_size"], 14)?.clamp(1, 1024);
    let frames = fields.or(&["temporal_patch_size"], 2)?.clamp(1, 1024);
    let colours = fields.or(&["in_channels", "in_chans"], 3)?.clamp(1, 1024);
    let joined = h * fields.or(&["spatial_merge_size"], 2)?.clamp(1, 64).pow(2);
    if h > 1_000_000 || to > 1_000_000 || ffn > 10_000_000 {
        return Err(fields.contradiction(
            "the vision tower is wider than any; allowed: up to 1000000".to_owned(),
        ));
    }
    let learns = fields.size(&["num_position_embeddings"])?.unwrap_or(0);
    let mut net = Net::default();
    let patches = colours * frames * patch * patch;
    let mut entry = vec![linear("patches", patches, h, Split::Replicated, learns > 0)];
    if learns > 0 {
        entry.push(learned("positions", h, learns * h));
    }
    put(&mut net, "vision patches", 1, entry);
    let layer = if model_type == "qwen2_5_vl" {
        vec![
            norm("attention norm", h, 1),
            linear("attention qkv", h, 3 * h, Split::Columns, true),
            linear("attention output", h, h, Split::Rows, true),
            norm("feed-forward norm", h, 1),
            linear("feed-forward up", h, 2 * ffn, Split::Columns, true),
            gate("feed-forward activation", ffn),
            linear("feed-forward down", ffn, h, Split::Rows, true),
        ]
    } else {
        plain(h, heads, ffn)
    };
    put(&mut net, "vision layer", layers, layer);
    let weights = if model_type == "qwen2_5_vl" { 1 } else { 2 };
    put(&mut net, "vision merger", 1, merger(h, weights, joined, to));
    // Features of lower layers go to lower layers of the text, each through a merger of its own.
    let deep = fields.list("deepstack_visual_indexes").map_or(0, Vec::len) as u64;
    put(
        &mut net,
        "vision deep merger",
        deep,
        merger(joined, 2, joined, to),
    );
    Ok(net.blocks)
}

/// Llama 4's tower, its adapter and the projector to the text.
fn llama4(fields: &Fields<'_>, text_width: u64) -> Result<Vec<Block>, Error> {
    let h = fields.need(&["hidden_size"])?;
    let ffn = fields.need(&["intermediate_size"])?;
    let heads = fields.need(&["num_attention_heads"])?;
    let layers = fields.need(&["num_hidden_layers"])?;
    let patch = fields.need(&["patch_size"])?.min(1024);
    let image = fields.need(&["image_size"])?.min(65_536);
    let (from, to) = (
        fields.need(&["projector_input_dim"])?,
        fields.need(&["projector_output_dim"])?,
    );
    let out = fields.need(&["vision_output_dim"])?;
    if h > 1_000_000 || ffn > 10_000_000 || from.max(to).max(out) > 1_000_000 {
        return Err(fields.contradiction(
            "the vision tower is wider than any; allowed: up to 1000000".to_owned(),
        ));
    }
    let rows = (image / patch).pow(2) + 1;
    let colours = fields.or(&["num_channels"], 3)?.min(1024);
    let mut net = Net::default();
    put(
        &mut net,
        "vision patches",
        1,
        vec![
            linear(
                "patches",
                colours * patch * patch,
                h,
                Split::Replicated,
                false,
            ),
            learned("positions and class token", h, (rows + 1) * h),
            norm("first norm", h, 2),
        ],
    );
    put(&mut net, "vision layer", layers, plain(h, heads, ffn));
    put(
        &mut net,
        "vision adapter",
        1,
        vec![
            norm("last norm", h, 2),
            linear("adapter in", ffn, from, Split::Columns, false),
            activation("adapter activation", from),
            linear("adapter out", from, to, Split::Rows, false),
            linear("projector", out, text_width, Split::Replicated, false),
        ],
    );
    Ok(net.blocks)
}
