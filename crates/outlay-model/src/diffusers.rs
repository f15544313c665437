//! Reads the `config.json` of diffusion models as the diffusers library writes them (`_class_name`).
//!
//! Parameter counts equal those of the library's classes; shapes of a sample follow from the resolution.

use serde_json::{Map, Value};

use crate::config::Fields;
use crate::error::Error;
use crate::graph::{
    BlockKind, Family, Model, Operator, Pattern, Positions, Sample, SampleUnit, Split,
};
use crate::net::{
    Input, Net, activation, attention, convolution, gate, group_norm, learned, linear, norm,
    pointwise, residual,
};

/// Classes that the reader knows.
pub(crate) const KNOWN: &[&str] = &[
    "UNet2DConditionModel",
    "AutoencoderKL",
    "AutoencoderKLWan",
    "DiTTransformer2DModel",
    "Transformer2DModel",
    "PixArtTransformer2DModel",
    "SD3Transformer2DModel",
    "FluxTransformer2DModel",
    "WanTransformer3DModel",
];

/// Reads a model whose configuration names its class in `_class_name`.
pub(crate) fn read(
    map: &Map<String, Value>,
    class: &str,
    file: &str,
    input: &Input,
) -> Result<Model, Error> {
    let fields = Fields { map, file };
    let mut model = match class {
        "UNet2DConditionModel" => unet(&fields, input)?,
        "AutoencoderKL" => autoencoder(&fields, input)?,
        "AutoencoderKLWan" => wan_autoencoder(&fields, input)?,
        "DiTTransformer2DModel" => dit(&fields, input)?,
        "PixArtTransformer2DModel" => pixart(&fields, input)?,
        // Before release 0.29 one class held both; what it was made for shows in its norms.
        "Transformer2DModel" if fields.text("norm_type") == "ada_norm_single" => {
            pixart(&fields, input)?
        }
        "Transformer2DModel" if fields.text("norm_type") == "ada_norm_zero" => dit(&fields, input)?,
        "SD3Transformer2DModel" => sd3(&fields, input)?,
        "FluxTransformer2DModel" => flux(&fields, input)?,
        "WanTransformer3DModel" => wan(&fields, input)?,
        other => return Err(Error::unknown_architecture(file, other, KNOWN)),
    };
    class.clone_into(&mut model.architecture);
    let name = fields.text("_name_or_path");
    model.name = crate::config::shown(if name.is_empty() { class } else { name });
    Ok(model)
}

/// An image of so many pixels, and the latents that stand for it.
struct Latents {
    sample: Sample,
    height: u64,
    width: u64,
}

/// Sides of the latents: those of the picture over the scale of the autoencoder, in whole patches.
fn latents(
    fields: &Fields<'_>,
    input: &Input,
    native_latents: u64,
    scale: u64,
    patch: u64,
) -> Result<Latents, Error> {
    let (height_px, width_px) = input.size_or(native_latents * scale);
    let step = scale * patch;
    for side in [height_px, width_px] {
        if side == 0 || side % step != 0 || side > 65_536 {
            return Err(fields.contradiction(format!(
                "a resolution of {width_px} x {height_px} pixels; allowed: sides from {step} to 65536 in steps of {step}"
            )));
        }
    }
    Ok(Latents {
        sample: Sample {
            unit: SampleUnit::Image,
            positions: Some(1),
            height_px,
            width_px,
            frames: 0,
        },
        height: height_px / scale,
        width: width_px / scale,
    })
}

/// A list of sizes, one for each of `n` stages; a single size stands for all.
fn stages(fields: &Fields<'_>, name: &str, n: usize, default: u64) -> Result<Vec<u64>, Error> {
    let wrong = |value: &Value| Error::Value {
        file: fields.file.to_owned(),
        field: name.to_owned(),
        value: value.to_string().chars().take(60).collect(),
        allowed: format!("a whole number from 1, or a list of {n}"),
    };
    match fields.map.get(name) {
        None | Some(Value::Null) => Ok(vec![default; n]),
        Some(value @ Value::Array(list)) => {
            let sizes: Option<Vec<u64>> = list
                .iter()
                .map(|size| size.as_u64().filter(|size| (1..=1_000_000).contains(size)))
                .collect();
            match sizes {
                Some(sizes) if sizes.len() == n => Ok(sizes),
                _ => Err(wrong(value)),
            }
        }
        Some(value) => match value.as_u64() {
            Some(size) if (1..=1_000_000).contains(&size) => Ok(vec![size; n]),
            _ => Err(wrong(value)),
        },
    }
}

/// `block_out_channels`, from 1 to 16 of them.
fn channels(fields: &Fields<'_>) -> Result<Vec<u64>, Error> {
    let n = fields.list("block_out_channels").map_or(0, Vec::len);
    if n == 0 || n > 16 {
        return Err(Error::Missing {
            file: fields.file.to_owned(),
            field: "block_out_channels` (a list of 1 to 16 sizes) `".to_owned(),
        });
    }
    stages(fields, "block_out_channels", n, 0)
}

/// Names of blocks, one for each stage.
fn block_types<'a>(fields: &'a Fields<'_>, name: &str, n: usize) -> Result<Vec<&'a str>, Error> {
    let list = fields.list(name).ok_or_else(|| Error::Missing {
        file: fields.file.to_owned(),
        field: name.to_owned(),
    })?;
    let names: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    if names.len() != n || list.len() != n {
        return Err(fields.contradiction(format!(
            "`{name}` has {} entries, but `block_out_channels` has {n}",
            list.len()
        )));
    }
    Ok(names)
}

/// Two convolutions with a shortcut, and the time embedding between them.
fn resnet(inputs: u64, outputs: u64, time: u64) -> Vec<Operator> {
    let mut out = vec![
        group_norm("norm 1", inputs),
        activation("activation 1", inputs),
        convolution("convolution 1", inputs, outputs, 9, 1, 1, true),
    ];
    if time > 0 {
        // The projection of the time runs once for a sample; its addition runs everywhere.
        out.push(learned("time", outputs, time * outputs + outputs));
    }
    out.extend([
        group_norm("norm 2", outputs),
        activation("activation 2", outputs),
        convolution("convolution 2", outputs, outputs, 9, 1, 1, true),
    ]);
    if inputs != outputs {
        out.push(convolution("shortcut", inputs, outputs, 1, 1, 1, true));
    }
    out.push(residual("residual", outputs));
    out
}

/// A spatial transformer of a UNet: self-attention, cross-attention to the caption, gated feed-forward.
struct Spatial {
    channels: u64,
    heads: u64,
    depth: u64,
    caption_width: u64,
    caption_tokens: u64,
}

impl Spatial {
    fn write(&self, net: &mut Net, at: u64) {
        let c = self.channels;
        let positions = Positions::Fixed(at);
        let width = c / self.heads;
        net.layer(
            "transformer entry",
            1,
            positions,
            vec![
                group_norm("norm", c),
                pointwise("channels to tokens", c, c, 0),
                linear("projection in", c, c, Split::Replicated, true),
            ],
        );
        for _ in 0..self.depth {
            net.layer(
                "cross-attention keys and values",
                1,
                Positions::Fixed(self.caption_tokens),
                vec![linear(
                    "keys and values",
                    self.caption_width,
                    2 * c,
                    Split::Columns,
                    false,
                )],
            );
            net.layer(
                "transformer block",
                1,
                positions,
                vec![
                    norm("attention norm", c, 2),
                    linear("attention qkv", c, 3 * c, Split::Columns, false),
                    attention("attention", self.heads, width, Pattern::Full),
                    linear("attention output", c, c, Split::Rows, true),
                    residual("attention residual", c),
                    norm("cross-attention norm", c, 2),
                    linear("cross-attention queries", c, c, Split::Columns, false),
                    attention(
                        "cross-attention",
                        self.heads,
                        width,
                        Pattern::Memory(self.caption_tokens),
                    ),
                    linear("cross-attention output", c, c, Split::Rows, true),
                    residual("cross-attention residual", c),
                    norm("feed-forward norm", c, 2),
                    linear("feed-forward up", c, 8 * c, Split::Columns, true),
                    gate("feed-forward gate", 4 * c),
                    linear("feed-forward down", 4 * c, c, Split::Rows, true),
                    residual("feed-forward residual", c),
                ],
            );
        }
        net.layer(
            "transformer exit",
            1,
            positions,
            vec![
                linear("projection out", c, c, Split::Replicated, true),
                pointwise("tokens to channels", c, c, 0),
                residual("residual", c),
            ],
        );
    }
}

/// UNets of Stable Diffusion 1, 2 and XL (arXiv:2112.10752, arXiv:2307.01952).
fn unet(fields: &Fields<'_>, input: &Input) -> Result<Model, Error> {
    let channels = channels(fields)?;
    let n = channels.len();
    for (field, usual) in [
        ("class_embed_type", ""),
        ("encoder_hid_dim_type", ""),
        ("mid_block_type", "UNetMidBlock2DCrossAttn"),
        ("resnet_time_scale_shift", "default"),
    ] {
        let text = fields.text(field);
        if !text.is_empty() && text != usual {
            return Err(Error::Value {
                file: fields.file.to_owned(),
                field: field.to_owned(),
                value: format!("`{text}`"),
                allowed: if usual.is_empty() {
                    "null".to_owned()
                } else {
                    format!("`{usual}`")
                },
            });
        }
    }
    let down = block_types(fields, "down_block_types", n)?;
    let up = block_types(fields, "up_block_types", n)?;
    for kind in down.iter().chain(&up) {
        if ![
            "CrossAttnDownBlock2D",
            "DownBlock2D",
            "CrossAttnUpBlock2D",
            "UpBlock2D",
        ]
        .contains(kind)
        {
            return Err(Error::Value {
                file: fields.file.to_owned(),
                field: "down_block_types` or `up_block_types".to_owned(),
                value: format!("`{kind}`"),
                allowed: "CrossAttnDownBlock2D, DownBlock2D, CrossAttnUpBlock2D, UpBlock2D"
                    .to_owned(),
            });
        }
    }
    let per_block = stages(fields, "layers_per_block", n, 2)?;
    // The field is named for the width of heads and holds their number, as the library itself reads it.
    let heads = match fields.map.get("num_attention_heads") {
        None | Some(Value::Null) => stages(fields, "attention_head_dim", n, 8)?,
        Some(_) => stages(fields, "num_attention_heads", n, 8)?,
    };
    let depth = stages(fields, "transformer_layers_per_block", n, 1)?;
    let caption = stages(fields, "cross_attention_dim", n, 1280)?;
    for (stage, &width) in channels.iter().enumerate() {
        if width % heads[stage] != 0 {
            return Err(fields.contradiction(format!(
                "`block_out_channels` {width} cannot be divided among {} attention heads",
                heads[stage]
            )));
        }
    }
    let native = fields.or(&["sample_size"], 64)?;
    // Each stage but the last halves the sides.
    let picture = latents(fields, input, native, 8, 1)?;
    let caption_tokens = input.caption_tokens.unwrap_or(77);
    let sides = |level: usize| {
        let mut side = (picture.height, picture.width);
        for _ in 0..level {
            side = (side.0.div_ceil(2), side.1.div_ceil(2));
        }
        side.0 * side.1
    };
    let time = 4 * channels[0];
    let spatial = |stage: usize, depth: u64| Spatial {
        channels: channels[stage],
        heads: heads[stage],
        depth,
        caption_width: caption[stage],
        caption_tokens,
    };
    let mut net = Net::default();
    let (from, to) = (
        fields.or(&["in_channels"], 4)?,
        fields.or(&["out_channels"], 4)?,
    );
    let taps = fields.or(&["conv_in_kernel"], 3)?.pow(2);
    net.push(
        "entry",
        BlockKind::Embedding,
        1,
        Positions::Fixed(sides(0)),
        vec![convolution(
            "convolution in",
            from,
            channels[0],
            taps,
            1,
            1,
            true,
        )],
    );
    let mut once = vec![
        linear("time in", channels[0], time, Split::Replicated, true),
        activation("time activation", time),
        linear("time out", time, time, Split::Replicated, true),
    ];
    match fields.text("addition_embed_type") {
        "" => {}
        "text_time" => {
            let width = fields.need(&["projection_class_embeddings_input_dim"])?;
            once.extend([
                linear("added condition in", width, time, Split::Replicated, true),
                linear("added condition out", time, time, Split::Replicated, true),
            ]);
        }
        other => {
            return Err(Error::Value {
                file: fields.file.to_owned(),
                field: "addition_embed_type".to_owned(),
                value: format!("`{other}`"),
                allowed: "text_time or null".to_owned(),
            });
        }
    }
    net.push(
        "conditions",
        BlockKind::Embedding,
        1,
        Positions::Fixed(1),
        once,
    );
    let mut skips = vec![channels[0]];
    let mut width = channels[0];
    for stage in 0..n {
        let at = sides(stage);
        for _ in 0..per_block[stage] {
            net.layer(
                "down block",
                1,
                Positions::Fixed(at),
                resnet(width, channels[stage], time),
            );
            width = channels[stage];
            if down[stage].starts_with("CrossAttn") {
                spatial(stage, depth[stage]).write(&mut net, at);
            }
            skips.push(width);
        }
        if stage + 1 < n {
            net.layer(
                "downsample",
                1,
                Positions::Fixed(sides(stage + 1)),
                vec![convolution("convolution", width, width, 9, 4, 1, true)],
            );
            skips.push(width);
        }
    }
    let last = n - 1;
    let at = sides(last);
    net.layer(
        "middle block",
        1,
        Positions::Fixed(at),
        resnet(width, width, time),
    );
    if fields
        .map
        .get("mid_block_type")
        .is_none_or(|kind| !kind.is_null())
    {
        spatial(last, depth[last]).write(&mut net, at);
    }
    net.layer(
        "middle block",
        1,
        Positions::Fixed(at),
        resnet(width, width, time),
    );
    for (index, kind) in up.iter().enumerate() {
        let stage = last - index;
        let at = sides(stage);
        for _ in 0..=per_block[stage] {
            let skip = skips.pop().unwrap_or(width);
            let mut block = vec![pointwise("join", width + skip, width + skip, 0)];
            block.extend(resnet(width + skip, channels[stage], time));
            net.layer("up block", 1, Positions::Fixed(at), block);
            width = channels[stage];
            if kind.starts_with("CrossAttn") {
                spatial(stage, depth[stage]).write(&mut net, at);
            }
        }
        if stage > 0 {
            net.layer(
                "upsample",
                1,
                Positions::Fixed(sides(stage - 1)),
                vec![
                    pointwise("enlarge", width / 4, width, 0),
                    convolution("convolution", width, width, 9, 1, 1, true),
                ],
            );
        }
    }
    net.push(
        "exit",
        BlockKind::Head,
        1,
        Positions::Fixed(sides(0)),
        vec![
            group_norm("norm", channels[0]),
            activation("activation", channels[0]),
            convolution("convolution out", channels[0], to, 9, 1, 1, true),
            pointwise("loss", 2 * to, to, to),
        ],
    );
    Ok(net.model(Family::Diffusion, channels[0], picture.sample))
}

/// One half of a variational autoencoder.
fn coder(
    net: &mut Net,
    kind: BlockKind,
    channels: &[u64],
    per_block: u64,
    ends: (u64, u64),
    sides: &dyn Fn(usize) -> u64,
    encodes: bool,
) {
    let last = channels.len() - 1;
    let name = if encodes { "encoder" } else { "decoder" };
    let start = if encodes { 0 } else { last };
    let mut width = channels[start];
    let put = |net: &mut Net, what: &str, at: u64, operators: Vec<Operator>| {
        net.push(
            &format!("{name} {what}"),
            kind,
            1,
            Positions::Fixed(at),
            operators,
        );
    };
    put(
        net,
        "entry",
        sides(start),
        vec![convolution("convolution in", ends.0, width, 9, 1, 1, true)],
    );
    let middle = |net: &mut Net| {
        let (c, at) = (channels[last], sides(last));
        put(net, "middle block", at, resnet(c, c, 0));
        put(
            net,
            "middle attention",
            at,
            vec![
                norm("norm", c, 2),
                linear("attention qkv", c, 3 * c, Split::Replicated, true),
                attention("attention", 1, c, Pattern::Full),
                linear("attention output", c, c, Split::Replicated, true),
                residual("residual", c),
            ],
        );
        put(net, "middle block", at, resnet(c, c, 0));
    };
    if !encodes {
        middle(net);
    }
    for index in 0..channels.len() {
        let stage = if encodes { index } else { last - index };
        let at = sides(stage);
        for _ in 0..per_block + u64::from(!encodes) {
            put(net, "block", at, resnet(width, channels[stage], 0));
            width = channels[stage];
        }
        if index < last {
            let (to, stride) = if encodes {
                (sides(stage + 1), 4)
            } else {
                (sides(stage - 1), 1)
            };
            put(
                net,
                "resample",
                to,
                vec![convolution("convolution", width, width, 9, stride, 1, true)],
            );
        }
    }
    if encodes {
        middle(net);
    }
    put(
        net,
        "exit",
        sides(if encodes { last } else { 0 }),
        vec![
            group_norm("norm", width),
            activation("activation", width),
            convolution("convolution out", width, ends.1, 9, 1, 1, true),
        ],
    );
}

/// Autoencoders of latent diffusion (arXiv:2112.10752): both halves, trained together.
fn autoencoder(fields: &Fields<'_>, input: &Input) -> Result<Model, Error> {
    let channels = channels(fields)?;
    let per_block = fields.need(&["layers_per_block"])?;
    let latent = fields.or(&["latent_channels"], 4)?;
    let native = fields.or(&["sample_size"], 512)?;
    let scale = 1 << (channels.len() - 1);
    let picture = latents(fields, input, native, 1, scale)?;
    let sides = |level: usize| {
        let divisor = 1u64 << level;
        (picture.height / divisor) * (picture.width / divisor)
    };
    let last = sides(channels.len() - 1);
    let mut net = Net::default();
    let from = fields.or(&["in_channels"], 3)?;
    let to = fields.or(&["out_channels"], 3)?;
    coder(
        &mut net,
        BlockKind::Layer,
        &channels,
        per_block,
        (from, 2 * latent),
        &sides,
        true,
    );
    if fields.flag("use_quant_conv", true) {
        net.layer(
            "latent moments",
            1,
            Positions::Fixed(last),
            vec![convolution(
                "convolution",
                2 * latent,
                2 * latent,
                1,
                1,
                1,
                true,
            )],
        );
    }
    if fields.flag("use_post_quant_conv", true) {
        net.layer(
            "latents",
            1,
            Positions::Fixed(last),
            vec![convolution("convolution", latent, latent, 1, 1, 1, true)],
        );
    }
    coder(
        &mut net,
        BlockKind::Layer,
        &channels,
        per_block,
        (latent, to),
        &sides,
        false,
    );
    Ok(net.model(Family::Diffusion, channels[0], picture.sample))
}

/// Sizes that every diffusion transformer's file gives.
struct Transformer {
    hidden: u64,
    heads: u64,
    head_width: u64,
    layers: u64,
    patch: u64,
    from: u64,
    to: u64,
}

impl Transformer {
    fn read(fields: &Fields<'_>, patch: u64) -> Result<Self, Error> {
        let heads = fields.need(&["num_attention_heads"])?;
        let head_width = fields.need(&["attention_head_dim"])?;
        let from = fields.need(&["in_channels"])?;
        let to = match fields.size(&["out_channels"])? {
            Some(0) | None => from,
            Some(to) => to,
        };
        let patch = fields.or(&["patch_size"], patch)?;
        let out = Self {
            hidden: heads * head_width,
            heads,
            head_width,
            layers: fields.need(&["num_layers"])?,
            patch,
            from,
            to,
        };
        if out.hidden > 1_000_000 || out.layers > 10_000 || !(1..=64).contains(&patch) {
            return Err(fields.contradiction(format!(
                "{} heads of {head_width} over {} layers with patches of {patch}; allowed: widths to 1000000, 10000 layers, patches of 1 to 64",
                heads, out.layers
            )));
        }
        Ok(out)
    }

    /// Patches of a picture, each a position of the main stream.
    fn picture(
        &self,
        fields: &Fields<'_>,
        input: &Input,
        native_latents: u64,
    ) -> Result<Sample, Error> {
        let latents = latents(fields, input, native_latents, 8, self.patch)?;
        Ok(Sample {
            positions: Some((latents.height / self.patch) * (latents.width / self.patch)),
            ..latents.sample
        })
    }

    fn patches(&self) -> Operator {
        let taps = self.patch * self.patch;
        linear(
            "patches",
            self.from * taps,
            self.hidden,
            Split::Replicated,
            true,
        )
    }

    fn unpatch(&self) -> Operator {
        let outputs = self.patch * self.patch * self.to;
        linear("pixels", self.hidden, outputs, Split::Replicated, true)
    }
}

/// Sinusoids of the time through two products.
fn time_embedding(name: &str, frequencies: u64, width: u64) -> Vec<Operator> {
    vec![
        linear(
            &format!("{name} in"),
            frequencies,
            width,
            Split::Replicated,
            true,
        ),
        activation(&format!("{name} activation"), width),
        linear(
            &format!("{name} out"),
            width,
            width,
            Split::Replicated,
            true,
        ),
    ]
}

/// Queries, keys and values, attention over the main stream, output product.
fn self_attention(t: &Transformer, bias: bool) -> Vec<Operator> {
    let h = t.hidden;
    vec![
        linear("attention qkv", h, 3 * h, Split::Columns, bias),
        attention("attention", t.heads, t.head_width, Pattern::Full),
        linear("attention output", h, h, Split::Rows, true),
    ]
}

/// A norm without weights, shifted and scaled by the time.
fn modulated_norm(name: &str, width: u64) -> Vec<Operator> {
    vec![
        norm(&format!("{name} norm"), width, 0),
        pointwise(&format!("{name} modulation"), width, width, width),
    ]
}

/// A residual whose branch is scaled by the time.
fn gated_residual(name: &str, width: u64) -> Operator {
    pointwise(&format!("{name} residual"), 2 * width, width, width)
}

/// DiT (arXiv:2212.09748).
fn dit(fields: &Fields<'_>, input: &Input) -> Result<Model, Error> {
    let t = Transformer::read(fields, 2)?;
    let sample = t.picture(fields, input, fields.or(&["sample_size"], 32)?)?;
    let classes = fields.or(&["num_embeds_ada_norm"], 1000)? + 1;
    let h = t.hidden;
    let mut net = Net::default();
    net.push(
        "patches",
        BlockKind::Embedding,
        1,
        Positions::Stream,
        vec![t.patches()],
    );
    // The library gives every layer time and class embeddings of its own.
    let mut conditions = time_embedding("time", 256, h);
    conditions.push(learned("class embedding", h, classes * h));
    conditions.push(linear("modulation", h, 6 * h, Split::Replicated, true));
    net.layer("conditions", t.layers, Positions::Fixed(1), conditions);
    let bias = fields.flag("attention_bias", true);
    let mut layer = modulated_norm("attention", h);
    layer.extend(self_attention(&t, bias));
    layer.push(gated_residual("attention", h));
    layer.extend(modulated_norm("feed-forward", h));
    layer.extend([
        linear("feed-forward up", h, 4 * h, Split::Columns, true),
        activation("feed-forward activation", 4 * h),
        linear("feed-forward down", 4 * h, h, Split::Rows, true),
        gated_residual("feed-forward", h),
    ]);
    net.layer("layer", t.layers, Positions::Stream, layer);
    net.push(
        "final conditions",
        BlockKind::Head,
        1,
        Positions::Fixed(1),
        vec![linear("modulation", h, 2 * h, Split::Replicated, true)],
    );
    let mut exit = modulated_norm("final", h);
    exit.push(t.unpatch());
    net.push("head", BlockKind::Head, 1, Positions::Stream, exit);
    Ok(net.model(Family::Diffusion, h, sample))
}

/// Tokens to which PixArt-alpha's pipeline fills captions (`max_sequence_length`).
const ALPHA_CAPTION_TOKENS: u64 = 120;

/// Tokens to which PixArt-Sigma's pipeline fills captions (`max_sequence_length`; arXiv:2403.04692).
const SIGMA_CAPTION_TOKENS: u64 = 300;

/// Tokens of a caption as the pipeline of a class fills it, where pipelines share a class of network.
pub(crate) fn caption_tokens(pipeline: &str) -> Option<u64> {
    match pipeline {
        "PixArtAlphaPipeline" => Some(ALPHA_CAPTION_TOKENS),
        "PixArtSigmaPipeline" => Some(SIGMA_CAPTION_TOKENS),
        _ => None,
    }
}

/// PixArt (arXiv:2310.00426, arXiv:2403.04692): one modulation for all layers, cross-attention to a caption.
///
/// Alpha and Sigma share the class. Files of Alpha leave `use_additional_conditions` to the class, those of Sigma say no; a
/// `model_index.json` beside the network's folder says which it is, and counts for more.
fn pixart(fields: &Fields<'_>, input: &Input) -> Result<Model, Error> {
    let t = Transformer::read(fields, 2)?;
    let native = fields.or(&["sample_size"], 128)?;
    let sample = t.picture(fields, input, native)?;
    let h = t.hidden;
    let caption = fields.or(&["caption_channels"], 4096)?;
    let cross = fields.or(&["cross_attention_dim"], h)?;
    let sized = fields
        .map
        .get("use_additional_conditions")
        .and_then(Value::as_bool);
    let tokens = input.caption_tokens.unwrap_or(match sized {
        Some(false) => SIGMA_CAPTION_TOKENS,
        _ => ALPHA_CAPTION_TOKENS,
    });
    let mut net = Net::default();
    net.push(
        "patches",
        BlockKind::Embedding,
        1,
        Positions::Stream,
        vec![t.patches()],
    );
    let mut conditions = time_embedding("time", 256, h);
    if sized.unwrap_or(native == 128) {
        conditions.extend(time_embedding("resolution", 256, h / 3));
        conditions.extend(time_embedding("aspect ratio", 256, h / 3));
    }
    conditions.push(linear("modulation", h, 6 * h, Split::Replicated, true));
    net.push(
        "conditions",
        BlockKind::Embedding,
        1,
        Positions::Fixed(1),
        conditions,
    );
    net.push(
        "caption",
        BlockKind::Embedding,
        1,
        Positions::Fixed(tokens),
        vec![
            linear("caption in", caption, h, Split::Replicated, true),
            activation("caption activation", h),
            linear("caption out", h, h, Split::Replicated, true),
        ],
    );
    let bias = fields.flag("attention_bias", true);
    net.layer(
        "cross-attention keys and values",
        t.layers,
        Positions::Fixed(tokens),
        vec![linear(
            "keys and values",
            cross,
            2 * h,
            Split::Columns,
            bias,
        )],
    );
    let mut layer = modulated_norm("attention", h);
    layer.extend(self_attention(&t, bias));
    layer.push(gated_residual("attention", h));
    layer.extend([
        linear("cross-attention queries", h, h, Split::Columns, bias),
        attention(
            "cross-attention",
            t.heads,
            t.head_width,
            Pattern::Memory(tokens),
        ),
        linear("cross-attention output", h, h, Split::Rows, true),
        residual("cross-attention residual", h),
    ]);
    layer.extend(modulated_norm("feed-forward", h));
    layer.extend([
        linear("feed-forward up", h, 4 * h, Split::Columns, true),
        activation("feed-forward activation", 4 * h),
        linear("feed-forward down", 4 * h, h, Split::Rows, true),
        gated_residual("feed-forward", h),
        learned("scale and shift", 0, 6 * h),
    ]);
    net.layer("layer", t.layers, Positions::Stream, layer);
    let mut exit = modulated_norm("final", h);
    exit.push(learned("final scale and shift", 0, 2 * h));
    exit.push(t.unpatch());
    net.push("head", BlockKind::Head, 1, Positions::Stream, exit);
    Ok(net.model(Family::Diffusion, h, sample))
}

/// Norms of queries and keys for each head, where `qk_norm` asks for them: how many weights for each norm.
fn qk_norm(fields: &Fields<'_>, width: u64) -> u64 {
    match fields.text("qk_norm") {
        "" => 0,
        "layer_norm" => 2 * width,
        _ => width,
    }
}

/// Products and feed-forward of one stream of a two-stream layer, attention itself aside.
fn stream(t: &Transformer, qk: u64, ends_here: bool, twice: bool) -> Vec<Operator> {
    let h = t.hidden;
    let mut out = modulated_norm("attention", h);
    let mut qkv = linear("attention qkv", h, 3 * h, Split::Columns, true);
    qkv.parameters += 2 * qk;
    out.push(qkv);
    if qk > 0 {
        out.push(pointwise("query and key norms", 2 * h, 2 * h, 2 * h));
    }
    if ends_here {
        return out;
    }
    out.push(linear("attention output", h, h, Split::Rows, true));
    out.push(gated_residual("attention", h));
    if twice {
        // A second attention over the image alone (Stable Diffusion 3.5 medium).
        let mut again = linear("second attention qkv", h, 3 * h, Split::Columns, true);
        again.parameters += 2 * qk;
        out.extend([
            pointwise("second attention modulation", h, h, h),
            again,
            attention("second attention", t.heads, t.head_width, Pattern::Full),
            linear("second attention output", h, h, Split::Rows, true),
            gated_residual("second attention", h),
        ]);
    }
    out.extend(modulated_norm("feed-forward", h));
    out.extend([
        linear("feed-forward up", h, 4 * h, Split::Columns, true),
        activation("feed-forward activation", 4 * h),
        linear("feed-forward down", 4 * h, h, Split::Rows, true),
        gated_residual("feed-forward", h),
    ]);
    out
}

/// Stable Diffusion 3 (arXiv:2403.03206): image and caption in two streams that attend to each other.
fn sd3(fields: &Fields<'_>, input: &Input) -> Result<Model, Error> {
    let t = Transformer::read(fields, 2)?;
    let sample = t.picture(fields, input, fields.or(&["sample_size"], 128)?)?;
    let h = t.hidden;
    // 77 tokens of the CLIP encoders, and 256 of T5.
    let tokens = input.caption_tokens.unwrap_or(333);
    let qk = qk_norm(fields, t.head_width);
    let caption = fields.need(&["joint_attention_dim"])?;
    let pooled = fields.need(&["pooled_projection_dim"])?;
    let twice = fields.list("dual_attention_layers").map_or(0, Vec::len) as u64;
    if twice > t.layers {
        return Err(fields.contradiction(format!(
            "`dual_attention_layers` lists {twice} layers of {}",
            t.layers
        )));
    }
    let mut net = Net::default();
    net.push(
        "patches",
        BlockKind::Embedding,
        1,
        Positions::Stream,
        vec![t.patches()],
    );
    let mut conditions = time_embedding("time", 256, h);
    conditions.extend(time_embedding("pooled caption", pooled, h));
    net.push(
        "conditions",
        BlockKind::Embedding,
        1,
        Positions::Fixed(1),
        conditions,
    );
    net.push(
        "caption",
        BlockKind::Embedding,
        1,
        Positions::Fixed(tokens),
        vec![linear("caption", caption, h, Split::Replicated, true)],
    );
    let one = Positions::Fixed(1);
    let modulation = |parts: u64| vec![linear("modulation", h, parts * h, Split::Replicated, true)];
    // The last layer needs nothing of the caption but its keys and values.
    for (repeat, parts, again) in [(t.layers - twice, 6, false), (twice, 9, true)] {
        net.layer("image modulation", repeat, one, modulation(parts));
        net.layer(
            "image stream",
            repeat,
            Positions::Stream,
            stream(&t, qk, false, again),
        );
    }
    net.layer("caption modulation", t.layers - 1, one, modulation(6));
    net.layer("last caption modulation", 1, one, modulation(2));
    net.layer(
        "caption stream",
        t.layers - 1,
        Positions::Fixed(tokens),
        stream(&t, qk, false, false),
    );
    net.layer(
        "last caption stream",
        1,
        Positions::Fixed(tokens),
        stream(&t, qk, true, false),
    );
    net.layer(
        "joint attention",
        t.layers,
        Positions::Joint(tokens),
        vec![attention("attention", t.heads, t.head_width, Pattern::Full)],
    );
    net.push("final conditions", BlockKind::Head, 1, one, modulation(2));
    let mut exit = modulated_norm("final", h);
    exit.push(t.unpatch());
    net.push("head", BlockKind::Head, 1, Positions::Stream, exit);
    Ok(net.model(Family::Diffusion, h, sample))
}

/// Flux: two-stream layers, then layers over both streams at once with attention beside the feed-forward.
fn flux(fields: &Fields<'_>, input: &Input) -> Result<Model, Error> {
    let mut t = Transformer::read(fields, 1)?;
    let h = t.hidden;
    // Patches of 2 x 2 latents are packed before they reach the model.
    let packed = t.patch * 2;
    let latents = latents(fields, input, 128, 8, packed)?;
    let sample = Sample {
        positions: Some((latents.height / packed) * (latents.width / packed)),
        ..latents.sample
    };
    let single = fields.need(&["num_single_layers"])?;
    let tokens = input.caption_tokens.unwrap_or(512);
    let caption = fields.need(&["joint_attention_dim"])?;
    let pooled = fields.need(&["pooled_projection_dim"])?;
    let mut net = Net::default();
    net.push(
        "patches",
        BlockKind::Embedding,
        1,
        Positions::Stream,
        vec![t.patches()],
    );
    let mut conditions = time_embedding("time", 256, h);
    conditions.extend(time_embedding("pooled caption", pooled, h));
    if fields.flag("guidance_embeds", false) {
        conditions.extend(time_embedding("guidance", 256, h));
    }
    let one = Positions::Fixed(1);
    net.push("conditions", BlockKind::Embedding, 1, one, conditions);
    net.push(
        "caption",
        BlockKind::Embedding,
        1,
        Positions::Fixed(tokens),
        vec![linear("caption", caption, h, Split::Replicated, true)],
    );
    let modulation = |parts: u64| vec![linear("modulation", h, parts * h, Split::Replicated, true)];
    let qk = t.head_width;
    net.layer(
        "modulation of both streams",
        2 * t.layers,
        one,
        modulation(6),
    );
    net.layer(
        "image stream",
        t.layers,
        Positions::Stream,
        stream(&t, qk, false, false),
    );
    net.layer(
        "caption stream",
        t.layers,
        Positions::Fixed(tokens),
        stream(&t, qk, false, false),
    );
    let joint = Positions::Joint(tokens);
    net.layer(
        "joint attention",
        t.layers,
        joint,
        vec![attention("attention", t.heads, t.head_width, Pattern::Full)],
    );
    net.layer("single modulation", single, one, modulation(3));
    let mut layer = modulated_norm("stream", h);
    let mut products = linear("qkv and feed-forward up", h, 7 * h, Split::Columns, true);
    products.parameters += 2 * qk;
    layer.extend([
        products,
        pointwise("query and key norms", 2 * h, 2 * h, 2 * h),
        attention("attention", t.heads, t.head_width, Pattern::Full),
        activation("feed-forward activation", 4 * h),
        linear("output", 5 * h, h, Split::Rows, true),
        gated_residual("stream", h),
    ]);
    net.layer("single layer", single, joint, layer);
    net.push("final conditions", BlockKind::Head, 1, one, modulation(2));
    let mut exit = modulated_norm("final", h);
    t.patch = 1;
    exit.push(t.unpatch());
    net.push("head", BlockKind::Head, 1, Positions::Stream, exit);
    Ok(net.model(Family::Diffusion, h, sample))
}

/// Frames of a video where nothing is said: 81, what Wan is made for.
fn wan_frames(input: &Input) -> u64 {
    input.frames.unwrap_or(81).clamp(1, 1_000_000)
}

/// Sides of a video where nothing is said: 832 x 480 pixels, what Wan is made for.
fn wan_size(input: &Input) -> Input {
    Input {
        height_px: Some(input.height_px.unwrap_or(480)),
        width_px: Some(input.width_px.or(input.height_px).unwrap_or(832)),
        ..*input
    }
}

/// A video inside Wan's autoencoder: frames, and points of one frame.
#[derive(Clone, Copy)]
struct Clip {
    frames: u64,
    area: u64,
}

impl Clip {
    fn all(self) -> Positions {
        Positions::Fixed(self.frames * self.area)
    }

    /// All frames but the first, which no convolution over time resamples.
    fn later(self) -> Positions {
        Positions::Fixed(((self.frames - 1) * self.area).max(1))
    }
}

/// Two causal convolutions over 3 x 3 points of 3 frames, with a shortcut.
fn wan_resnet(inputs: u64, outputs: u64) -> Vec<Operator> {
    let mut out = vec![
        norm("norm 1", inputs, 1),
        activation("activation 1", inputs),
        convolution("convolution 1", inputs, outputs, 27, 1, 1, true),
        norm("norm 2", outputs, 1),
        activation("activation 2", outputs),
        convolution("convolution 2", outputs, outputs, 27, 1, 1, true),
    ];
    if inputs != outputs {
        out.push(convolution("shortcut", inputs, outputs, 1, 1, 1, true));
    }
    out.push(residual("residual", outputs));
    out
}

/// One half of Wan's autoencoder in the making.
struct WanCoder<'a> {
    net: &'a mut Net,
    half: &'static str,
}

impl WanCoder<'_> {
    fn put(&mut self, what: &str, at: Positions, operators: Vec<Operator>) {
        let name = format!("{} {what}", self.half);
        self.net.layer(&name, 1, at, operators);
    }

    /// Attention over the points of each frame, between two pairs of convolutions.
    fn middle(&mut self, c: u64, at: Clip) {
        self.put("middle block", at.all(), wan_resnet(c, c));
        self.put(
            "middle attention",
            at.all(),
            vec![
                norm("norm", c, 1),
                linear("attention qkv", c, 3 * c, Split::Replicated, true),
                attention("attention", 1, c, Pattern::Chunk(at.area.max(1))),
                linear("attention output", c, c, Split::Replicated, true),
                residual("residual", c),
            ],
        );
        self.put("middle block", at.all(), wan_resnet(c, c));
    }

    fn exit(&mut self, c: u64, to: u64, at: Clip) {
        self.put(
            "exit",
            at.all(),
            vec![
                norm("norm", c, 1),
                activation("activation", c),
                convolution("convolution out", c, to, 27, 1, 1, true),
            ],
        );
    }
}

/// Wan's causal autoencoder of videos (arXiv:2503.20314, section 4.1), and that of Wan 2.2 (`is_residual`), whose shortcuts
/// over whole stages have no weights: both halves, trained together.
fn wan_autoencoder(fields: &Fields<'_>, input: &Input) -> Result<Model, Error> {
    let base = fields.or(&["base_dim"], 96)?;
    let decoder_base = fields.or(&["decoder_base_dim"], base)?;
    let latent = fields.or(&["z_dim"], 16)?;
    let multiples = match fields.list("dim_mult") {
        Some(_) => crate::vision::sizes(fields, "dim_mult")?,
        None => vec![1, 2, 4, 4],
    };
    let last = multiples.len() - 1;
    let halves_time: Vec<bool> = match fields.list("temperal_downsample") {
        Some(list) => list.iter().filter_map(Value::as_bool).collect(),
        None => vec![false, true, true],
    };
    if halves_time.len() != last || last > 8 {
        return Err(fields.contradiction(format!(
            "`temperal_downsample` has {} entries, `dim_mult` {}; allowed: one less, and up to 9",
            halves_time.len(),
            multiples.len()
        )));
    }
    if fields
        .list("attn_scales")
        .is_some_and(|list| !list.is_empty())
    {
        return Err(Error::Value {
            file: fields.file.to_owned(),
            field: "attn_scales".to_owned(),
            value: "not empty".to_owned(),
            allowed: "[]".to_owned(),
        });
    }
    let per_block = fields.or(&["num_res_blocks"], 2)?;
    let whole_shortcuts = fields.flag("is_residual", false);
    let patch = fields.or(&["patch_size"], 1)?.clamp(1, 64);
    let (from, to) = (
        fields.or(&["in_channels"], 3)?,
        fields.or(&["out_channels"], 3)?,
    );
    let widest = base.max(decoder_base).max(latent).max(from).max(to);
    let multiple = multiples.iter().copied().max().unwrap_or(1);
    if base == 0
        || decoder_base == 0
        || widest.saturating_mul(multiple) > 1_000_000
        || per_block > 1000
    {
        return Err(fields.contradiction(format!(
            "an autoencoder of {base} and {decoder_base} channels, {multiple} times at most, with {per_block} blocks a stage; allowed: 1 to 1000000 channels, 1000 blocks"
        )));
    }
    let picture = latents(fields, &wan_size(input), 60, patch, 1 << last)?;
    let frames = wan_frames(input);
    // Stages of halved sides, of which some halve all frames but the first.
    let mut clips = vec![Clip {
        frames,
        area: picture.height * picture.width,
    }];
    for (stage, halves) in halves_time.iter().enumerate() {
        let before = clips[stage].frames;
        clips.push(Clip {
            frames: if *halves {
                1 + (before - 1).div_ceil(2)
            } else {
                before
            },
            area: (picture.height >> (stage + 1)) * (picture.width >> (stage + 1)),
        });
    }
    let mut net = Net::default();
    let mut coder = WanCoder {
        net: &mut net,
        half: "encoder",
    };
    let mut width = base;
    let entry = convolution("convolution in", from, width, 27, 1, 1, true);
    coder.put("entry", clips[0].all(), vec![entry]);
    for (stage, multiple) in multiples.iter().enumerate() {
        for _ in 0..per_block {
            let next = base * multiple;
            coder.put("block", clips[stage].all(), wan_resnet(width, next));
            width = next;
        }
        if stage < last {
            // Sides are halved before frames.
            let halved = Clip {
                frames: clips[stage].frames,
                ..clips[stage + 1]
            };
            let space = convolution("convolution", width, width, 9, 4, 1, true);
            coder.put("resample", halved.all(), vec![space]);
            if halves_time[stage] {
                let time = convolution("convolution over time", width, width, 3, 2, 1, true);
                coder.put("resample over time", clips[stage + 1].later(), vec![time]);
            }
        }
    }
    coder.middle(width, clips[last]);
    coder.exit(width, 2 * latent, clips[last]);
    let at = clips[last].all();
    let moments = convolution("convolution", 2 * latent, 2 * latent, 1, 1, 1, true);
    net.layer("latent moments", 1, at, vec![moments]);
    let latents = convolution("convolution", latent, latent, 1, 1, 1, true);
    net.layer("latents", 1, at, vec![latents]);
    let mut coder = WanCoder {
        net: &mut net,
        half: "decoder",
    };
    let mut width = decoder_base * multiples[last];
    let entry = convolution("convolution in", latent, width, 27, 1, 1, true);
    coder.put("entry", at, vec![entry]);
    coder.middle(width, clips[last]);
    for stage in (0..=last).rev() {
        let next = decoder_base * multiples[stage];
        for _ in 0..=per_block {
            coder.put("block", clips[stage].all(), wan_resnet(width, next));
            width = next;
        }
        if stage > 0 {
            if halves_time[stage - 1] {
                // Channels are doubled, and make the second of each two frames.
                let time = convolution("convolution over time", width, 2 * width, 3, 1, 1, true);
                coder.put("resample over time", clips[stage].later(), vec![time]);
            }
            let narrower = if whole_shortcuts { width } else { width / 2 };
            let space = convolution("convolution", width, narrower, 9, 1, 1, true);
            coder.put("resample", clips[stage - 1].all(), vec![space]);
            width = narrower;
        }
    }
    coder.exit(width, to, clips[0]);
    let sample = Sample {
        unit: SampleUnit::Video,
        frames,
        ..picture.sample
    };
    Ok(net.model(Family::Diffusion, base, sample))
}

/// Wan 2.1 (arXiv:2503.20314): video latents, cross-attention to a caption, one modulation for all layers.
fn wan(fields: &Fields<'_>, input: &Input) -> Result<Model, Error> {
    let heads = fields.need(&["num_attention_heads"])?;
    let head_width = fields.need(&["attention_head_dim"])?;
    let layers = fields.need(&["num_layers"])?;
    let ffn = fields.need(&["ffn_dim"])?;
    let (from, to) = (
        fields.need(&["in_channels"])?,
        fields.need(&["out_channels"])?,
    );
    let patch = stages(fields, "patch_size", 3, 2)?;
    let (frame_patch, patch) = if fields.list("patch_size").is_some() {
        if patch[1] != patch[2] {
            return Err(fields.contradiction("`patch_size` is not square".to_owned()));
        }
        (patch[0], patch[1])
    } else {
        (1, patch[0])
    };
    let t = Transformer {
        hidden: heads * head_width,
        heads,
        head_width,
        layers,
        patch,
        from,
        to,
    };
    let h = t.hidden;
    let picture = latents(fields, &wan_size(input), 60, 8, t.patch)?;
    // The autoencoder keeps the first frame and one for each four that follow.
    let frames = wan_frames(input);
    let latent_frames = (1 + (frames - 1).div_ceil(4)).div_ceil(frame_patch);
    let sample = Sample {
        unit: SampleUnit::Video,
        positions: Some(latent_frames * (picture.height / patch) * (picture.width / patch)),
        frames,
        ..picture.sample
    };
    let tokens = input.caption_tokens.unwrap_or(512);
    let caption = fields.or(&["text_dim"], 4096)?;
    let frequencies = fields.or(&["freq_dim"], 256)?;
    let picture_width = fields.size(&["image_dim"])?.unwrap_or(0);
    let added = fields.size(&["added_kv_proj_dim"])?.unwrap_or(0);
    let across = fields.text("qk_norm").contains("across_heads");
    let norms = 2 * if across {
        h
    } else {
        qk_norm(fields, head_width)
    };
    let mut net = Net::default();
    let patches = frame_patch * patch * patch;
    net.push(
        "patches",
        BlockKind::Embedding,
        1,
        Positions::Stream,
        vec![linear(
            "patches",
            from * patches,
            h,
            Split::Replicated,
            true,
        )],
    );
    let mut conditions = time_embedding("time", frequencies, h);
    conditions.push(linear("modulation", h, 6 * h, Split::Replicated, true));
    net.push(
        "conditions",
        BlockKind::Embedding,
        1,
        Positions::Fixed(1),
        conditions,
    );
    net.push(
        "caption",
        BlockKind::Embedding,
        1,
        Positions::Fixed(tokens),
        time_embedding("caption", caption, h),
    );
    if picture_width > 0 {
        net.push(
            "first frame",
            BlockKind::Embedding,
            1,
            Positions::Fixed(257),
            vec![
                norm("norm in", picture_width, 2),
                linear(
                    "picture in",
                    picture_width,
                    picture_width,
                    Split::Replicated,
                    true,
                ),
                activation("activation", picture_width),
                linear("picture out", picture_width, h, Split::Replicated, true),
                norm("norm out", h, 2),
            ],
        );
    }
    let mut keys = linear("keys and values", h, 2 * h, Split::Columns, true);
    keys.parameters += norms / 2;
    net.layer(
        "cross-attention keys and values",
        layers,
        Positions::Fixed(tokens),
        vec![keys],
    );
    if added > 0 {
        let mut keys = linear(
            "picture keys and values",
            added,
            2 * h,
            Split::Columns,
            true,
        );
        keys.parameters += norms / 2;
        net.layer(
            "first frame's keys and values",
            layers,
            Positions::Fixed(257),
            vec![keys],
        );
    }
    let mut layer = modulated_norm("attention", h);
    let mut qkv = linear("attention qkv", h, 3 * h, Split::Columns, true);
    qkv.parameters += norms;
    layer.extend([
        qkv,
        pointwise("query and key norms, rotary positions", 4 * h, 4 * h, 2 * h),
        attention("attention", heads, head_width, Pattern::Full),
        linear("attention output", h, h, Split::Rows, true),
        gated_residual("attention", h),
    ]);
    let weights = if fields.flag("cross_attn_norm", true) {
        2
    } else {
        0
    };
    let mut queries = linear("cross-attention queries", h, h, Split::Columns, true);
    queries.parameters += norms / 2;
    layer.extend([
        norm("cross-attention norm", h, weights),
        queries,
        pointwise("query norms", h, h, h),
        attention(
            "cross-attention",
            heads,
            head_width,
            Pattern::Memory(tokens + if added > 0 { 257 } else { 0 }),
        ),
        linear("cross-attention output", h, h, Split::Rows, true),
        residual("cross-attention residual", h),
    ]);
    layer.extend(modulated_norm("feed-forward", h));
    layer.extend([
        linear("feed-forward up", h, ffn, Split::Columns, true),
        activation("feed-forward activation", ffn),
        linear("feed-forward down", ffn, h, Split::Rows, true),
        gated_residual("feed-forward", h),
        learned("scale and shift", 0, 6 * h),
    ]);
    net.layer("layer", layers, Positions::Stream, layer);
    let mut exit = modulated_norm("final", h);
    exit.push(learned("final scale and shift", 0, 2 * h));
    exit.push(linear("pixels", h, patches * to, Split::Replicated, true));
    net.push("head", BlockKind::Head, 1, Positions::Stream, exit);
    Ok(net.model(Family::Diffusion, h, sample))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::from_config_json;

    fn wan_vae(more: &str, input: &Input) -> Model {
        let text = format!(r#"{{"_class_name":"AutoencoderKLWan"{more}}}"#);
        crate::config::from_config_json_with(&text, "config.json", input).unwrap()
    }

    /// FLOPs of the convolutions of one half for a sample.
    fn convolved(model: &Model, half: &str) -> u64 {
        let mut sum = 0;
        for block in &model.blocks {
            let Positions::Fixed(positions) = block.positions else {
                panic!("{}", block.name)
            };
            for operator in &block.operators {
                if let crate::graph::Kind::ImageConvolution {
                    inputs,
                    outputs,
                    taps,
                    ..
                } = operator.kind
                    && block.name.starts_with(half)
                {
                    sum += block.repeat * positions * 2 * taps * inputs * outputs;
                }
            }
        }
        sum
    }

    #[test]
    fn autoencoders_of_wan_have_the_parameters_of_the_library() {
        // Constructors of diffusers.AutoencoderKLWan: Wan 2.1's defaults, and the file of Wan 2.2 TI2V 5B.
        let input = Input::default();
        assert_eq!(wan_vae("", &input).parameters(), 126_892_531);
        let second = r#","base_dim":160,"decoder_base_dim":256,"z_dim":48,"is_residual":true,"in_channels":12,
            "out_channels":12,"patch_size":2,"temperal_downsample":[false,true,true]"#;
        assert_eq!(wan_vae(second, &input).parameters(), 704_688_668);
    }

    #[test]
    fn wans_autoencoder_makes_latents_of_a_quarter_of_the_frames() {
        let at = |input: &Input, block: &str| {
            let model = wan_vae("", input);
            let found = model.blocks.iter().find(|one| one.name == block);
            found.unwrap().positions
        };
        let video = Input::default();
        // 81 frames of 832 x 480: 21 of 104 x 60 (arXiv:2503.20314, section 4.1: 1 + T / 4 frames, an eighth of each side).
        assert_eq!(
            at(&video, "latent moments"),
            Positions::Fixed(21 * 104 * 60)
        );
        assert_eq!(
            at(&video, "encoder entry"),
            Positions::Fixed(81 * 832 * 480)
        );
        assert_eq!(
            at(&video, "encoder resample over time"),
            Positions::Fixed(40 * 208 * 120)
        );
        assert_eq!(at(&video, "decoder exit"), Positions::Fixed(81 * 832 * 480));
        let still = Input {
            frames: Some(1),
            ..Input::default()
        };
        assert_eq!(at(&still, "latents"), Positions::Fixed(104 * 60));
        let work = |frames: u64| {
            let input = Input {
                frames: Some(frames),
                ..Input::default()
            };
            convolved(&wan_vae("", &input), "encoder")
        };
        // Each four frames cost the same.
        assert_eq!(work(13) - work(9), work(9) - work(5));
        // The decoder doubles channels before it halves them, and has one block more in every stage.
        let model = wan_vae("", &video);
        assert!(convolved(&model, "decoder") > convolved(&model, "encoder"));
        assert!(!model.runs_in_steps());
    }

    #[test]
    fn wrong_fields_are_named() {
        let unet = |more: &str| {
            format!(
                r#"{{"_class_name":"UNet2DConditionModel","down_block_types":["CrossAttnDownBlock2D","DownBlock2D"],
                "up_block_types":["UpBlock2D","CrossAttnUpBlock2D"]{more}}}"#
            )
        };
        for (text, expected) in [
            (unet(""), "block_out_channels"),
            (
                unet(r#","block_out_channels":[320]"#),
                "`down_block_types` has 2 entries",
            ),
            (
                unet(r#","block_out_channels":[320,0]"#),
                "block_out_channels",
            ),
            (unet(r#","block_out_channels":[320,641]"#), "641"),
            (
                unet(r#","block_out_channels":[320,640],"layers_per_block":[1,2,3]"#),
                "layers_per_block",
            ),
            (
                unet(r#","block_out_channels":[320,640],"addition_embed_type":"image""#),
                "addition_embed_type",
            ),
            (
                r#"{"_class_name":"AutoencoderKLWan","dim_mult":[1,2]}"#.to_owned(),
                "temperal_downsample",
            ),
            (
                r#"{"_class_name":"AutoencoderKLWan","attn_scales":[0.5]}"#.to_owned(),
                "attn_scales",
            ),
            (
                r#"{"_class_name":"AutoencoderKLWan","base_dim":0}"#.to_owned(),
                "0 and 0 channels",
            ),
            (r#"{"_class_name":"UNet3DModel"}"#.to_owned(), "nearest"),
            (
                r#"{"_class_name":"FluxTransformer2DModel"}"#.to_owned(),
                "num_attention_heads",
            ),
        ] {
            let error = from_config_json(&text, "x.json").unwrap_err().to_string();
            assert!(
                error.contains("x.json") && error.contains(expected),
                "{error}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_sizes_are_read_or_refused(
            channels in proptest::collection::vec(0u64..3_000_000, 0..4),
            depth in 0u64..100_000_000,
            heads in 0u64..5000,
            side in 0u64..100_000,
        ) {
            let value = serde_json::json!({
                "_class_name": "UNet2DConditionModel",
                "block_out_channels": channels,
                "down_block_types": vec!["CrossAttnDownBlock2D"; channels.len()],
                "up_block_types": vec!["CrossAttnUpBlock2D"; channels.len()],
                "transformer_layers_per_block": depth.min(50),
                "attention_head_dim": heads,
                "sample_size": side,
            });
            let input = Input { height_px: Some(side), ..Input::default() };
            for input in [Input::default(), input] {
                if let Ok(model) = crate::config::from_config_with(&value, "x.json", &input) {
                    proptest::prop_assert!(model.parameters() > 0);
                }
            }
            for class in KNOWN {
                let value = serde_json::json!({
                    "_class_name": class, "num_attention_heads": heads, "attention_head_dim": depth, "in_channels": heads,
                    "out_channels": side, "num_layers": depth, "ffn_dim": side, "joint_attention_dim": depth,
                    "pooled_projection_dim": side, "num_single_layers": depth, "patch_size": heads, "sample_size": side,
                    "base_dim": side, "z_dim": heads, "num_res_blocks": depth,
                });
                let _ = crate::config::from_config_with(&value, "x.json", &input).map(|model| model.parameters());
            }
        }
    }
}
