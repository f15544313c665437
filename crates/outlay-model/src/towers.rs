//! Vision towers of language models that also see.
//!
//! A tower is counted, and runs only where [`Model::run_towers`] says how many images a sequence holds. Positions of its
//! blocks are those of one image: patches up to the merger or projector, then the tokens that the text takes for them.

use serde_json::Value;

use crate::config::Fields;
use crate::error::Error;
use crate::graph::{Block, BlockKind, FROZEN, Kind, Model, Operator, Pattern, Positions, Split};
use crate::net::{
    Input, Net, PlainLayer, activation, attention, gate, learned, linear, norm, pointwise, residual,
};

/// What is said of a tower that does not run.
pub(crate) const COUNTED: &str =
    "The vision tower is counted, and not run: costs are those of text.";

/// A configuration with a tower in it, and the size of an image where one was given.
pub(crate) struct Seeing<'a> {
    pub outer: Fields<'a>,
    pub vision: Fields<'a>,
    pub input: &'a Input,
    /// Width of the text's residual stream, in elements.
    pub text_width: u64,
}

/// Positions of one image.
#[derive(Clone, Copy)]
struct Image {
    /// Before patches are merged.
    patches: Positions,
    /// In the text's sequence.
    tokens: Positions,
}

impl Image {
    fn fixed(patches: u64, tokens: u64) -> Self {
        Self {
            patches: Positions::Fixed(patches),
            tokens: Positions::Fixed(tokens),
        }
    }

    /// An image whose size nobody gave.
    const OPEN: Self = Self {
        patches: Positions::Stream,
        tokens: Positions::Stream,
    };
}

/// Blocks of the tower that `vision_config` describes; `None` where its kind is not known.
pub(crate) fn tower(seeing: &Seeing<'_>, model_type: &str) -> Result<Option<Vec<Block>>, Error> {
    let has = |name: &str| seeing.vision.map.contains_key(name);
    match model_type {
        "qwen2_vl" | "qwen2_5_vl" | "qwen3_vl" | "qwen3_vl_moe" | "qwen3_5" | "qwen3_5_moe" => {
            qwen(seeing, model_type).map(Some)
        }
        "llama4" if has("hidden_size") => llama4(seeing).map(Some),
        "gemma3" if has("hidden_size") => gemma3(seeing).map(Some),
        "gemma4" if has("hidden_size") => gemma4(seeing).map(Some),
        "kimi_k25" if has("hidden_size") || has("vt_hidden_size") => kimi(seeing).map(Some),
        _ => Ok(None),
    }
}

impl Model {
    /// Whether it has a vision or audio tower that does not run yet.
    pub fn has_towers(&self) -> bool {
        self.blocks
            .iter()
            .any(|block| block.kind == BlockKind::Tower)
    }

    /// Lets the vision tower run for so many images in every sequence, and gives the tokens that they take of it; no image
    /// changes nothing. Tokens that mark where an image begins and ends are not among them.
    ///
    /// The tower runs at the positions of all images, and each image attends to itself alone. Frozen, its blocks become
    /// [`BlockKind::Frozen`]: forward alone, and nothing is kept. Trained, they become [`BlockKind::TrainedTower`], whole on
    /// the first pipeline stage: they stand before the first layer, and are small beside the text. Adapters leave a tower as it
    /// is, so it is frozen where they are tuned.
    ///
    /// # Errors
    /// Where the model has no tower that is read, or takes images of any size and was read without one.
    pub fn run_towers(&mut self, images_per_sequence: u64, frozen: bool) -> Result<u64, Error> {
        if images_per_sequence == 0 {
            return Ok(0);
        }
        let wrong = |what: &str| Error::Contradiction {
            file: self.name.clone(),
            what: what.to_owned(),
        };
        let mut tokens = None;
        for block in &self.blocks {
            if block.kind != BlockKind::Tower {
                continue;
            }
            // The last block of a tower hands over to the text.
            tokens = match block.positions {
                Positions::Fixed(each) => Some(each.saturating_mul(images_per_sequence)),
                _ => {
                    return Err(wrong(
                        "images of any size are taken, and none was given: a resolution is needed",
                    ));
                }
            };
        }
        let Some(tokens) = tokens else {
            return Err(wrong(
                "no vision tower is described, so that no images can run",
            ));
        };
        for block in &mut self.blocks {
            let Positions::Fixed(each) = block.positions else {
                continue;
            };
            if block.kind != BlockKind::Tower {
                continue;
            }
            block.kind = if frozen {
                block.name = format!("{FROZEN}{}", block.name);
                BlockKind::Frozen
            } else {
                BlockKind::TrainedTower
            };
            block.positions = Positions::Fixed(each.saturating_mul(images_per_sequence));
            for operator in &mut block.operators {
                if let Kind::Attention { pattern, .. } = &mut operator.kind
                    && *pattern == Pattern::Full
                {
                    *pattern = Pattern::Chunk(each);
                }
            }
        }
        self.notes.retain(|note| note != COUNTED);
        let (noun, verb) = if images_per_sequence == 1 {
            ("image", "takes")
        } else {
            ("images", "take")
        };
        self.notes.push(format!(
            "{images_per_sequence} {noun} in every sequence {verb} {tokens} of its tokens; the vision tower runs{}.",
            if frozen { " and is not trained" } else { "" }
        ));
        Ok(tokens)
    }
}

fn put(net: &mut Net, name: &str, repeat: u64, positions: Positions, operators: Vec<Operator>) {
    net.push(name, BlockKind::Tower, repeat, positions, operators);
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

/// Refuses sizes beyond what any tower has, which would also overflow the counts.
fn check(fields: &Fields<'_>, widths: &[u64], layers: u64) -> Result<(), Error> {
    let widest = widths.iter().copied().max().unwrap_or(0);
    if widest > 1_000_000 || layers > 10_000 {
        return Err(fields.contradiction(format!(
            "the vision tower has {layers} layers and is {widest} wide; allowed: up to 10000 and up to 1000000"
        )));
    }
    Ok(())
}

/// Height and width of an image where they were given, in pixels.
fn sides(seeing: &Seeing<'_>) -> Result<Option<(u64, u64)>, Error> {
    let input = seeing.input;
    let Some(height) = input.height_px.or(input.width_px) else {
        return Ok(None);
    };
    let width = input.width_px.unwrap_or(height);
    for side in [height, width] {
        if !(1..=65_536).contains(&side) {
            return Err(seeing.vision.contradiction(format!(
                "a resolution of {width} x {height} pixels; allowed: sides from 1 to 65536"
            )));
        }
    }
    Ok(Some((height, width)))
}

/// Patches of one place are normalised, joined and brought to the width of the text; `norm_weights` are all of the norm's.
fn merger(norm_weights: u64, joined: u64, to: u64) -> Vec<Operator> {
    let mut first = norm("merger norm", joined, 0);
    first.parameters = norm_weights;
    vec![
        first,
        linear("merger in", joined, joined, Split::Columns, true),
        activation("merger activation", joined),
        linear("merger out", joined, to, Split::Rows, true),
    ]
}

/// Qwen2-VL (arXiv:2409.12191), Qwen2.5-VL (arXiv:2502.13923) and Qwen3-VL.
fn qwen(seeing: &Seeing<'_>, model_type: &str) -> Result<Vec<Block>, Error> {
    let fields = &seeing.vision;
    // Qwen2-VL calls the width of the text `hidden_size`, and its own `embed_dim`.
    let second = model_type == "qwen2_vl";
    let windowed = model_type == "qwen2_5_vl";
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
    let merge = fields.or(&["spatial_merge_size"], 2)?.clamp(1, 64);
    let learns = fields.size(&["num_position_embeddings"])?.unwrap_or(0);
    let joined = h * merge.pow(2);
    check(fields, &[h, joined, to, ffn, learns], layers)?;
    // The library's processor rounds sides to whole merged patches (`smart_resize`).
    let image = sides(seeing)?.map_or(Image::OPEN, |(height, width)| {
        let cells = |side: u64| (side + patch * merge / 2) / (patch * merge);
        let tokens = cells(height).max(1) * cells(width).max(1);
        Image::fixed(tokens * merge.pow(2), tokens)
    });
    let mut net = Net::default();
    let patches = colours * frames * patch * patch;
    let mut entry = vec![linear("patches", patches, h, Split::Replicated, learns > 0)];
    if learns > 0 {
        entry.push(learned("positions", h, learns * h));
    }
    put(&mut net, "vision patches", 1, image.patches, entry);
    let layer = if windowed {
        let head_width = h / heads;
        vec![
            norm("attention norm", h, 1),
            linear("attention qkv", h, 3 * h, Split::Columns, true),
            attention("attention", heads, head_width, Pattern::Full),
            linear("attention output", h, h, Split::Rows, true),
            residual("attention residual", h),
            norm("feed-forward norm", h, 1),
            linear("feed-forward up", h, 2 * ffn, Split::Columns, true),
            gate("feed-forward activation", ffn),
            linear("feed-forward down", ffn, h, Split::Rows, true),
            residual("feed-forward residual", h),
        ]
    } else {
        plain(h, heads, ffn)
    };
    if windowed {
        let side = (fields.or(&["window_size"], 112)? / patch).clamp(1, 4096);
        let mut local = layer.clone();
        for operator in &mut local {
            if let Kind::Attention { pattern, .. } = &mut operator.kind {
                *pattern = Pattern::Chunk(side * side);
            }
        }
        // Where the file says nothing, the library's class has these.
        let global: Vec<u64> = fields
            .list("fullatt_block_indexes")
            .map_or(vec![7, 15, 23, 31], |list| {
                list.iter().filter_map(Value::as_u64).collect()
            });
        for index in 0..layers {
            let (name, layer) = if global.contains(&index) {
                ("vision layer", &layer)
            } else {
                ("vision layer (windows)", &local)
            };
            put(&mut net, name, 1, image.patches, layer.clone());
        }
    } else {
        put(&mut net, "vision layer", layers, image.patches, layer);
    }
    let weights = if windowed { h } else { 2 * h };
    let last = merger(weights, joined, to);
    put(&mut net, "vision merger", 1, image.tokens, last);
    // Features of lower layers go to lower layers of the text, each through a merger of its own.
    let deep = fields.list("deepstack_visual_indexes").map_or(0, Vec::len) as u64;
    let each = merger(2 * joined, joined, to);
    put(&mut net, "vision deep merger", deep, image.tokens, each);
    Ok(net.blocks)
}

/// Llama 4's tower, its adapter and the projector to the text. An image is one tile of `image_size`; a larger picture is as
/// many images as its tiles.
fn llama4(seeing: &Seeing<'_>) -> Result<Vec<Block>, Error> {
    let fields = &seeing.vision;
    let h = fields.need(&["hidden_size"])?;
    let ffn = fields.need(&["intermediate_size"])?;
    let heads = fields.need(&["num_attention_heads"])?;
    let layers = fields.need(&["num_hidden_layers"])?;
    let patch = fields.need(&["patch_size"])?.min(1024);
    let side = fields.need(&["image_size"])?.min(65_536);
    let (from, to) = (
        fields.need(&["projector_input_dim"])?,
        fields.need(&["projector_output_dim"])?,
    );
    let out = fields.need(&["vision_output_dim"])?;
    check(fields, &[h, ffn, from, to, out], layers)?;
    let patches = (side / patch).pow(2);
    let rows = patches + 1;
    // Patches of one place are joined in the feed-forward's width.
    let image = Image::fixed(rows, (patches * h / ffn).max(1));
    let colours = fields.or(&["num_channels"], 3)?.min(1024);
    let mut net = Net::default();
    put(
        &mut net,
        "vision patches",
        1,
        image.patches,
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
    let layer = plain(h, heads, ffn);
    put(&mut net, "vision layer", layers, image.patches, layer);
    let last = vec![norm("last norm", h, 2)];
    put(&mut net, "vision norm", 1, image.patches, last);
    put(
        &mut net,
        "vision adapter",
        1,
        image.tokens,
        vec![
            linear("adapter in", ffn, from, Split::Columns, false),
            activation("adapter activation", from),
            linear("adapter out", from, to, Split::Rows, false),
            linear(
                "projector",
                out,
                seeing.text_width,
                Split::Replicated,
                false,
            ),
        ],
    );
    Ok(net.blocks)
}

/// Gemma 3 (arXiv:2503.19786): a SigLIP at the size of its file, whose patches are averaged to `mm_tokens_per_image`.
fn gemma3(seeing: &Seeing<'_>) -> Result<Vec<Block>, Error> {
    let fields = &seeing.vision;
    let mut net = Net::default();
    let (h, sample) = crate::vision::siglip_image(fields, &Input::default(), &mut net)?;
    let patches = sample.positions.unwrap_or(1);
    let tokens = seeing.outer.need_or("mm_tokens_per_image", 256)?;
    if tokens > patches {
        return Err(seeing.outer.contradiction(format!(
            "`mm_tokens_per_image` {tokens} is more than the {patches} patches of an image"
        )));
    }
    let image = Image::fixed(patches, tokens);
    for block in &mut net.blocks {
        block.name = format!("vision {}", block.name.trim_start_matches("image "));
        block.kind = BlockKind::Tower;
        if block.positions == Positions::Stream {
            block.positions = image.patches;
        }
    }
    let to = seeing.text_width;
    let averaged = (patches / tokens).saturating_mul(h);
    put(
        &mut net,
        "vision projector",
        1,
        image.tokens,
        vec![
            pointwise("mean", averaged, h, 0),
            norm("projector norm", h, 1),
            linear("projector", h, to, Split::Replicated, false),
        ],
    );
    Ok(net.blocks)
}

/// Gemma 4: norms around each half layer, two tables of positions, and squares of patches averaged to at most so many
/// tokens.
fn gemma4(seeing: &Seeing<'_>) -> Result<Vec<Block>, Error> {
    let fields = &seeing.vision;
    let h = fields.need(&["hidden_size"])?;
    let ffn = fields.need(&["intermediate_size"])?;
    let layers = fields.need(&["num_hidden_layers"])?;
    let heads = fields.need(&["num_attention_heads"])?;
    let shared_heads = fields.or(&["num_key_value_heads"], heads)?;
    let width = fields.or(&["head_dim"], 64)?;
    let patch = fields.or(&["patch_size"], 16)?.clamp(1, 1024);
    let rows = fields.or(&["position_embedding_size"], 10_240)?;
    let (queries, keys) = (heads * width, shared_heads * width);
    check(fields, &[h, ffn, queries, keys, rows], layers)?;
    let pool = fields.or(&["pooling_kernel_size"], 3)?.clamp(1, 64);
    let most = seeing
        .outer
        .need_or("vision_soft_tokens_per_image", 280)?
        .min(1_000_000);
    // An image is scaled to as many tokens as fit, in whole squares of its own shape (the library's
    // `get_aspect_ratio_preserving_size`); the tower runs over the padding too.
    let tokens = sides(seeing)?.map_or(most, |(height, width)| {
        let (height, width) = (height as f64, width as f64);
        let scale = (most as f64 / (height * width)).sqrt();
        let cells = |side: f64| ((scale * side) as u64).max(1);
        (cells(height) * cells(width)).min(most)
    });
    let image = Image::fixed(most * pool.pow(2), tokens);
    let bias = fields.flag("attention_bias", false);
    let mut attended = attention("attention", heads, width, Pattern::Full);
    if let Kind::Attention {
        key_value_heads, ..
    } = &mut attended.kind
    {
        *key_value_heads = shared_heads;
    }
    let mut net = Net::default();
    put(
        &mut net,
        "vision patches",
        1,
        image.patches,
        vec![
            linear("patches", 3 * patch * patch, h, Split::Replicated, false),
            learned("positions", h, 2 * rows * h),
        ],
    );
    let mut head_norms = norm("query and key norms", queries + 2 * keys, 0);
    head_norms.parameters = 2 * width;
    put(
        &mut net,
        "vision layer",
        layers,
        image.patches,
        vec![
            norm("attention norm", h, 1),
            linear("attention qkv", h, queries + 2 * keys, Split::Columns, bias),
            head_norms,
            attended,
            linear("attention output", queries, h, Split::Rows, bias),
            norm("attention post-norm", h, 1),
            residual("attention residual", h),
            norm("feed-forward norm", h, 1),
            linear("feed-forward up", h, 2 * ffn, Split::Columns, false),
            gate("feed-forward activation", ffn),
            linear("feed-forward down", ffn, h, Split::Rows, false),
            norm("feed-forward post-norm", h, 1),
            residual("feed-forward residual", h),
        ],
    );
    let to = seeing.text_width;
    put(
        &mut net,
        "vision projector",
        1,
        image.tokens,
        vec![
            pointwise("mean", pool.pow(2) * h, h, 0),
            norm("projector norm", h, 0),
            linear("projector", h, to, Split::Replicated, false),
        ],
    );
    Ok(net.blocks)
}

/// Kimi K2.5's MoonViT (arXiv:2504.07491) and its merger, under the names of its own files or of the library.
fn kimi(seeing: &Seeing<'_>) -> Result<Vec<Block>, Error> {
    let fields = &seeing.vision;
    let h = fields.need(&["vt_hidden_size", "hidden_size"])?;
    let ffn = fields.need(&["vt_intermediate_size", "intermediate_size"])?;
    let heads = fields.need(&["vt_num_attention_heads", "num_attention_heads"])?;
    let layers = fields.need(&["vt_num_hidden_layers", "num_hidden_layers"])?;
    let patch = fields.or(&["patch_size"], 14)?.clamp(1, 1024);
    let rows = fields.or(&["init_pos_emb_height", "pos_emb_height"], 64)?;
    let columns = fields.or(&["init_pos_emb_width", "pos_emb_width"], 64)?;
    let kernel = fields.list("merge_kernel_size").map_or((2, 2), |list| {
        let side = |at: usize| list.get(at).and_then(Value::as_u64).unwrap_or(2);
        (side(0).clamp(1, 64), side(1).clamp(1, 64))
    });
    let merged = kernel.0 * kernel.1;
    check(fields, &[merged * h, ffn, rows * columns], layers)?;
    // Sides are filled up to whole merged patches; larger images are scaled down to the most patches.
    const MOST_PATCHES: u64 = 16_384;
    let image = sides(seeing)?.map_or(Image::OPEN, |(height, width)| {
        let tokens = height.div_ceil(patch * kernel.0) * width.div_ceil(patch * kernel.1);
        let tokens = tokens.min((MOST_PATCHES / merged).max(1));
        Image::fixed(tokens * merged, tokens)
    });
    let mut net = Net::default();
    put(
        &mut net,
        "vision patches",
        1,
        image.patches,
        vec![
            linear("patches", 3 * patch * patch, h, Split::Replicated, true),
            learned("positions", h, rows * columns * h),
        ],
    );
    let layer = plain(h, heads, ffn);
    put(&mut net, "vision layer", layers, image.patches, layer);
    let last = vec![norm("last norm", h, 2)];
    put(&mut net, "vision norm", 1, image.patches, last);
    let to = seeing.text_width;
    let last = merger(2 * h, merged * h, to);
    put(&mut net, "vision merger", 1, image.tokens, last);
    Ok(net.blocks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{from_config_json, from_config_json_with};

    /// Parameters of all blocks of a kind.
    fn parameters(model: &Model, kind: BlockKind) -> u64 {
        model
            .blocks
            .iter()
            .filter(|block| block.kind == kind)
            .map(|block| block.repeat * block.parameters())
            .sum()
    }

    /// Multiplications and additions of the products and of attention in all blocks of a kind, for one sequence.
    fn flops(model: &Model, kind: BlockKind) -> u64 {
        let mut sum = 0;
        for block in model.blocks.iter().filter(|block| block.kind == kind) {
            let Positions::Fixed(positions) = block.positions else {
                panic!("{}", block.name)
            };
            for operator in &block.operators {
                let each = match operator.kind {
                    Kind::MatMul {
                        inputs, outputs, ..
                    } => 2 * inputs * outputs,
                    Kind::Attention {
                        query_heads,
                        qk_width,
                        v_width,
                        pattern,
                        ..
                    } => {
                        let Pattern::Chunk(keys) = pattern else {
                            panic!("{}: {pattern:?}", block.name)
                        };
                        2 * query_heads * (qk_width + v_width) * keys
                    }
                    _ => 0,
                };
                sum += block.repeat * positions * each;
            }
        }
        sum
    }

    fn builtin(name: &str) -> Model {
        crate::find(name).unwrap().model().unwrap()
    }

    #[test]
    fn towers_have_the_parameters_of_the_library() {
        // Constructors of transformers 5.24.0: SiglipVisionModel with Gemma3MultiModalProjector, Gemma4VisionModel with
        // Gemma4MultimodalEmbedder, Kimi_K25VisionModel with Kimi_K25MultimodalProjection.
        for (name, expected) in [
            ("gemma-3-4b", 416_866_032 + 2_950_272),
            ("gemma-3-12b", 416_866_032 + 4_424_832),
            ("gemma-3-27b", 416_866_032 + 6_194_304),
            ("gemma-4-26b-a4b", 569_548_080 + 3_244_032),
            ("kimi-k2.5", 416_866_032 + 54_277_888),
        ] {
            let model = builtin(name);
            assert_eq!(parameters(&model, BlockKind::Tower), expected, "{name}");
            assert_eq!(model.notes, [COUNTED], "{name}");
        }
    }

    #[test]
    fn gemma_3_is_read_as_it_is_published() {
        // The files leave heads, vocabulary and window to the class; google/gemma-3-4b-pt holds 4300079472 parameters.
        let text = r#"{"architectures":["Gemma3ForConditionalGeneration"],"model_type":"gemma3","mm_tokens_per_image":256,
            "text_config":{"hidden_size":2560,"intermediate_size":10240,"model_type":"gemma3_text","num_hidden_layers":34,
            "sliding_window":1024},"vision_config":{"hidden_size":1152,"image_size":896,"intermediate_size":4304,
            "model_type":"siglip_vision_model","num_attention_heads":16,"num_hidden_layers":27,"patch_size":14,
            "vision_use_head":false}}"#;
        let model = from_config_json(text, "config.json").unwrap();
        assert_eq!(model.parameters(), 4_300_079_472);
        let error = from_config_json(
            &text.replace(
                r#""mm_tokens_per_image":256"#,
                r#""mm_tokens_per_image":5000"#,
            ),
            "config.json",
        )
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("mm_tokens_per_image") && error.contains("4096 patches"),
            "{error}"
        );
    }

    #[test]
    fn kimi_is_read_under_both_names() {
        let file = |vision: &str| {
            let text = format!(
                r#"{{"model_type":"kimi_k25","text_config":{{"model_type":"qwen3","hidden_size":7168,"intermediate_size":1,
                "num_hidden_layers":1,"num_attention_heads":64,"vocab_size":10}},"vision_config":{vision}}}"#
            );
            from_config_json(&text, "config.json").unwrap()
        };
        let own = file(
            r#"{"vt_hidden_size":1152,"vt_intermediate_size":4304,"vt_num_attention_heads":16,"vt_num_hidden_layers":27}"#,
        );
        let library = file(
            r#"{"hidden_size":1152,"intermediate_size":4304,"num_attention_heads":16,"num_hidden_layers":27}"#,
        );
        assert_eq!(own, library);
        assert_eq!(parameters(&own, BlockKind::Tower), 471_143_920);
    }

    #[test]
    fn a_running_tower_has_the_flops_of_a_count_by_hand() {
        let mut model = builtin("gemma-3-4b");
        let tokens = model.run_towers(1, false).unwrap();
        assert_eq!(tokens, 256);
        // Gemma 3's vision_config (google/gemma-3-4b-pt): 896 px over 14 px makes 64 x 64 patches, 27 layers of width 1152
        // with four square products and a feed-forward of 4304, each patch attending to all 4096 of its image.
        let (n, h, ffn) = (4096u64, 1152u64, 4304u64);
        let layer = n * 2 * (4 * h * h + 2 * h * ffn) + 2 * (2 * n * n * h);
        let expected = n * 2 * (3 * 14 * 14) * h + 27 * layer + 256 * 2 * h * 2560;
        assert_eq!(flops(&model, BlockKind::TrainedTower), expected);
        assert_eq!(
            parameters(&model, BlockKind::TrainedTower),
            416_866_032 + 2_950_272
        );
        assert_eq!(parameters(&model, BlockKind::Tower), 0);
    }

    #[test]
    fn images_cost_in_proportion_and_none_change_nothing() {
        let input = Input {
            height_px: Some(896),
            width_px: Some(672),
            ..Input::default()
        };
        for name in [
            "gemma-3-12b",
            "gemma-4-26b-a4b",
            "kimi-k2.5",
            "qwen2-vl-7b",
            "qwen2.5-vl-7b",
            "qwen3-vl-8b",
        ] {
            let plain = crate::find(name).unwrap().model_with(&input).unwrap();
            let mut none = plain.clone();
            assert_eq!(none.run_towers(0, false).unwrap(), 0);
            assert_eq!(none, plain, "{name}");
            for (frozen, kind) in [(false, BlockKind::TrainedTower), (true, BlockKind::Frozen)] {
                let run = |images: u64| {
                    let mut model = plain.clone();
                    let tokens = model.run_towers(images, frozen).unwrap();
                    (tokens, flops(&model, kind), model)
                };
                let (one, two) = (run(1), run(2));
                assert!(one.0 > 0 && one.1 > 0, "{name}");
                assert_eq!((2 * one.0, 2 * one.1), (two.0, two.1), "{name}");
                assert_eq!(one.2.parameters(), plain.parameters(), "{name}");
                let trained = one.2.trained_parameters();
                let tower = parameters(&plain, BlockKind::Tower);
                let expected = plain.parameters() - if frozen { tower } else { 0 };
                assert_eq!(trained, expected, "{name}");
                assert!(!one.2.notes.iter().any(|note| note == COUNTED), "{name}");
            }
        }
    }

    #[test]
    fn images_take_the_tokens_that_the_processors_give() {
        let tokens = |name: &str, height: u64, width: u64| {
            let input = Input {
                height_px: Some(height),
                width_px: Some(width),
                ..Input::default()
            };
            let mut model = crate::find(name).unwrap().model_with(&input).unwrap();
            model.run_towers(1, true).unwrap()
        };
        // One token for each 28 x 28 pixels of Qwen2-VL (arXiv:2409.12191: 224 x 224 makes 64, without its two marks) and of
        // Kimi K2.5, for each 32 x 32 of Qwen3-VL; Gemma 3 has 256 whatever the picture.
        assert_eq!(tokens("qwen2-vl-7b", 224, 224), 64);
        assert_eq!(tokens("qwen2-vl-7b", 230, 1000), 8 * 36);
        assert_eq!(tokens("qwen3-vl-8b", 1024, 1024), 32 * 32);
        assert_eq!(tokens("kimi-k2.5", 1000, 57), 36 * 3);
        assert_eq!(tokens("kimi-k2.5", 65_536, 65_536), 4096);
        assert_eq!(tokens("gemma-3-12b", 100, 3000), 256);
        // A square of at most 280 tokens is 16 x 16; 896 x 672 is 19 x 14.
        assert_eq!(tokens("gemma-4-26b-a4b", 896, 896), 256);
        assert_eq!(tokens("gemma-4-26b-a4b", 896, 672), 19 * 14);
        let mut unknown = builtin("gemma-4-26b-a4b");
        assert_eq!(unknown.run_towers(1, true).unwrap(), 280);
    }

    #[test]
    fn layers_of_qwen_2_5_see_windows() {
        let input = Input {
            height_px: Some(448),
            ..Input::default()
        };
        let mut model = crate::find("qwen2.5-vl-7b")
            .unwrap()
            .model_with(&input)
            .unwrap();
        model.run_towers(3, false).unwrap();
        let layers = |keys: u64| -> u64 {
            model
                .blocks
                .iter()
                .filter(|block| {
                    block.operators.iter().any(|operator| {
                        matches!(operator.kind, Kind::Attention { pattern, .. } if pattern == Pattern::Chunk(keys))
                    })
                })
                .map(|block| block.repeat)
                .sum()
        };
        // 4 layers over the whole image of 32 x 32 patches, 28 over windows of 112 x 112 pixels (arXiv:2502.13923, section 2.1.1).
        assert_eq!((layers(1024), layers(64)), (4, 28));
    }

    #[test]
    fn what_cannot_run_says_why() {
        let error = |name: &str| {
            let mut model = builtin(name);
            model.run_towers(1, false).unwrap_err().to_string()
        };
        assert!(error("qwen3-vl-8b").contains("resolution"));
        assert!(error("llama-3.1-8b").contains("no vision tower"));
        let input = Input {
            height_px: Some(0),
            ..Input::default()
        };
        let text = serde_json::to_string(&crate::find("qwen3-vl-8b").unwrap().config).unwrap();
        let error = from_config_json_with(&text, "x.json", &input)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("x.json") && error.contains("0 pixels"),
            "{error}"
        );
    }

    #[test]
    fn a_tile_of_llama_4_takes_144_tokens() {
        // vision_config of meta-llama/Llama-4-Scout-17B-16E: 336 px over 14 px, 577 positions, a quarter of 576 patches.
        let text = r#"{"model_type":"llama4","text_config":{"model_type":"llama4_text","hidden_size":5120,
            "intermediate_size":8192,"intermediate_size_mlp":16384,"num_hidden_layers":1,"num_attention_heads":40,
            "num_key_value_heads":8,"vocab_size":10},"vision_config":{"hidden_size":1408,"image_size":336,
            "intermediate_size":5632,"num_attention_heads":16,"num_hidden_layers":34,"patch_size":14,
            "projector_input_dim":4096,"projector_output_dim":4096,"vision_output_dim":4096}}"#;
        let mut model = from_config_json(text, "config.json").unwrap();
        assert_eq!(model.run_towers(2, false).unwrap(), 288);
        let (n, h, ffn) = (577u64, 1408u64, 5632u64);
        let layer = n * 2 * (4 * h * h + 2 * h * ffn) + 2 * (2 * n * n * h);
        let adapter = 144 * 2 * (ffn * 4096 + 4096 * 4096 + 4096 * 5120);
        let expected = n * 2 * (3 * 14 * 14) * h + 34 * layer + adapter;
        assert_eq!(flops(&model, BlockKind::TrainedTower), 2 * expected);
    }
}
