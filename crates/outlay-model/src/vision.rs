//! Reads the `config.json` of vision transformers and of models that pair images with texts.

use serde_json::{Map, Value};

use crate::config::Fields;
use crate::error::Error;
use crate::graph::{
    BlockKind, Family, Kind, Model, Operator, Pattern, Positions, Sample, SampleUnit, Split,
};
use crate::net::{
    Input, Net, PlainLayer, activation, activation_in_place, attention, convolution, group_norm,
    learned, linear, norm, pointwise, residual,
};

/// A picture cut into square patches.
pub(crate) struct Picture {
    pub sample: Sample,
    pub patches: u64,
}

/// Reads the size of a picture from the file or the person, and cuts it into patches.
pub(crate) fn picture(
    fields: &Fields<'_>,
    input: &Input,
    default: u64,
    patch: u64,
) -> Result<Picture, Error> {
    let native = match fields.map.get("image_size") {
        Some(Value::Array(list)) => list.first().and_then(Value::as_u64).unwrap_or(default),
        _ => fields.or(&["image_size"], default)?,
    };
    let (height_px, width_px) = input.size_or(native);
    for side in [height_px, width_px] {
        if side < patch || side > 65_536 {
            return Err(fields.contradiction(format!(
                "a resolution of {width_px} x {height_px} pixels; allowed: sides from {patch} (a patch) to 65536"
            )));
        }
    }
    let patches = (height_px / patch) * (width_px / patch);
    Ok(Picture {
        sample: Sample {
            unit: SampleUnit::Image,
            positions: Some(patches),
            height_px,
            width_px,
            frames: 0,
        },
        patches,
    })
}

/// Classes that a classifier tells apart: the length of `id2label`, or `num_labels`.
pub(crate) fn labels(fields: &Fields<'_>) -> Result<u64, Error> {
    match fields.map.get("id2label").and_then(Value::as_object) {
        Some(labels) => Ok(labels.len() as u64),
        None => fields.or(&["num_labels"], 2),
    }
}

/// The product to the classes, and the loss over them.
pub(crate) fn classifier(width: u64, labels: u64) -> Vec<Operator> {
    vec![
        linear("classes", width, labels, Split::Replicated, true),
        Operator {
            name: "loss".to_owned(),
            kind: Kind::Loss { vocabulary: labels },
            parameters: 0,
        },
    ]
}

/// Sizes of a tower's layers.
pub(crate) struct Tower {
    pub hidden: u64,
    pub heads: u64,
    pub layers: u64,
    pub ffn: u64,
    pub patch: u64,
    pub channels: u64,
}

impl Tower {
    /// Reads the sizes; `defaults` are hidden, heads, layers, feed-forward width and patch of the library's class.
    pub fn read(fields: &Fields<'_>, defaults: Option<[u64; 5]>) -> Result<Self, Error> {
        let size = |names: &[&str], index: usize| match defaults {
            Some(defaults) => fields.or(names, defaults[index]),
            None => fields.need(names),
        };
        let out = Self {
            hidden: size(&["hidden_size"], 0)?,
            heads: size(&["num_attention_heads", "num_heads"], 1)?,
            layers: size(&["num_hidden_layers", "depth"], 2)?,
            ffn: size(&["intermediate_size"], 3)?,
            patch: fields.or(&["patch_size"], defaults.map_or(16, |defaults| defaults[4]))?,
            channels: fields.or(&["num_channels", "in_channels"], 3)?,
        };
        out.check(fields)?;
        Ok(out)
    }

    pub fn check(&self, fields: &Fields<'_>) -> Result<(), Error> {
        if self.heads == 0 || self.hidden == 0 || !self.hidden.is_multiple_of(self.heads) {
            return Err(fields.contradiction(format!(
                "`hidden_size` {} cannot be divided among `num_attention_heads` {}",
                self.hidden, self.heads
            )));
        }
        if self.hidden > 1_000_000 || self.layers > 10_000 || !(1..=1024).contains(&self.patch) {
            return Err(fields.contradiction(format!(
                "width {}, {} layers, patches of {}; allowed: up to 1000000, up to 10000, from 1 to 1024",
                self.hidden, self.layers, self.patch
            )));
        }
        Ok(())
    }

    pub fn layer(&self, causal: bool) -> PlainLayer {
        PlainLayer {
            hidden: self.hidden,
            heads: self.heads,
            ffn: self.ffn,
            causal,
            bias: (true, true, true),
            layer_scale: false,
            gated: false,
        }
    }

    pub fn patches(&self, bias: bool) -> Operator {
        let inputs = self.channels * self.patch * self.patch;
        linear("patches", inputs, self.hidden, Split::Replicated, bias)
    }
}

/// ViT (arXiv:2010.11929), DeiT (arXiv:2012.12877) and DINOv2 (arXiv:2304.07193).
pub(crate) fn vit(
    fields: &Fields<'_>,
    model_type: &str,
    architecture: &str,
    input: &Input,
) -> Result<Model, Error> {
    let defaults = if model_type == "dinov2" {
        // DINOv2's file gives a ratio in place of the feed-forward's width.
        let hidden = fields.need(&["hidden_size"])?;
        let ratio = fields.or(&["mlp_ratio"], 4)?;
        Some([hidden, 12, 12, hidden * ratio, 14])
    } else {
        None
    };
    let mut tower = Tower::read(fields, defaults)?;
    let dinov2 = model_type == "dinov2";
    let gated = dinov2 && fields.flag("use_swiglu_ffn", false);
    if gated {
        // Two thirds of the plain width, in multiples of 8.
        tower.ffn = (tower.ffn * 2 / 3).div_ceil(8) * 8;
    }
    let h = tower.hidden;
    let native = match fields.map.get("image_size") {
        Some(Value::Array(_)) | None => 224,
        Some(_) => fields.or(&["image_size"], 224)?,
    };
    let picture = picture(fields, input, 224, tower.patch)?;
    let tokens = if model_type == "deit" { 2 } else { 1 };
    // Positions are learned for the file's own size, and interpolated for others.
    let rows = (native / tower.patch).pow(2) + tokens;
    let mask = u64::from(dinov2) * h;
    let mut net = Net::default();
    net.push(
        "patches",
        BlockKind::Embedding,
        1,
        Positions::Stream,
        vec![
            tower.patches(true),
            learned("positions and class token", h, (rows + tokens) * h + mask),
        ],
    );
    let mut layer = tower.layer(false);
    layer.gated = gated;
    layer.layer_scale = dinov2;
    if !fields.flag("qkv_bias", true) {
        layer.bias = (false, false, false);
    }
    net.layer("layer", tower.layers, Positions::Stream, layer.operators());
    net.push(
        "final norm",
        BlockKind::Head,
        1,
        Positions::Stream,
        vec![norm("final norm", h, 2)],
    );
    let once = Positions::Fixed(1);
    if architecture.contains("ForImageClassification") {
        let labels = labels(fields)?;
        // DINOv2 classifies from the class token and the mean of the patches.
        let width = if dinov2 { 2 * h } else { h };
        let mut head = classifier(width, labels);
        if architecture.contains("WithTeacher") {
            head.push(linear(
                "classes of the teacher",
                h,
                labels,
                Split::Replicated,
                true,
            ));
        }
        net.push("head", BlockKind::Head, 1, once, head);
    } else if !dinov2 {
        let pooler = vec![linear("pooler", h, h, Split::Replicated, true)];
        net.push("pooler", BlockKind::Head, 1, once, pooler);
    }
    let mut sample = picture.sample;
    sample.positions = Some(picture.patches + tokens);
    Ok(net.model(Family::Vision, h, sample))
}

/// One object inside another, or an empty one.
fn part<'a>(
    map: &'a Map<String, Value>,
    name: &str,
    empty: &'a Map<String, Value>,
) -> &'a Map<String, Value> {
    map.get(name).and_then(Value::as_object).unwrap_or(empty)
}

/// CLIP's text tower: causal, with learned positions.
fn clip_text(
    fields: &Fields<'_>,
    net: &mut Net,
    positions: Positions,
    kind: BlockKind,
) -> Result<(u64, u64), Error> {
    let tower = Tower::read(fields, Some([512, 8, 12, 2048, 1]))?;
    let vocabulary = fields.or(&["vocab_size"], 49_408)?;
    let rows = fields.or(&["max_position_embeddings"], 77)?;
    let h = tower.hidden;
    net.push(
        "text embedding",
        if kind == BlockKind::Layer {
            BlockKind::Embedding
        } else {
            kind
        },
        1,
        positions,
        vec![
            Operator {
                name: "token embedding".to_owned(),
                kind: Kind::Embedding {
                    rows: vocabulary,
                    width: h,
                    split: true,
                },
                parameters: vocabulary * h,
            },
            learned("text positions", h, rows * h),
        ],
    );
    net.push(
        "text layer",
        kind,
        tower.layers,
        positions,
        tower.layer(true).operators(),
    );
    net.push(
        "text norm",
        if kind == BlockKind::Layer {
            BlockKind::Head
        } else {
            kind
        },
        1,
        positions,
        vec![norm("text norm", h, 2)],
    );
    Ok((h, rows))
}

/// CLIP (arXiv:2103.00020), both towers.
pub(crate) fn clip(map: &Map<String, Value>, file: &str, input: &Input) -> Result<Model, Error> {
    let empty = Map::new();
    let outer = Fields { map, file };
    let text = Fields {
        map: part(map, "text_config", &empty),
        file,
    };
    let vision = Fields {
        map: part(map, "vision_config", &empty),
        file,
    };
    let shared = outer.or(&["projection_dim"], 512)?;
    let tower = Tower::read(&vision, Some([768, 12, 12, 3072, 32]))?;
    let picture = picture(&vision, input, 224, tower.patch)?;
    let native = vision.or(&["image_size"], 224)?;
    let rows = (native / tower.patch).pow(2) + 1;
    let h = tower.hidden;
    let mut net = Net::default();
    net.push(
        "patches",
        BlockKind::Embedding,
        1,
        Positions::Stream,
        vec![
            tower.patches(false),
            learned("positions and class token", h, (rows + 1) * h),
            norm("first norm", h, 2),
        ],
    );
    net.layer(
        "image layer",
        tower.layers,
        Positions::Stream,
        tower.layer(false).operators(),
    );
    let tokens = input
        .caption_tokens
        .unwrap_or(text.or(&["max_position_embeddings"], 77)?);
    let (text_width, _) = clip_text(&text, &mut net, Positions::Fixed(tokens), BlockKind::Layer)?;
    net.push(
        "projections",
        BlockKind::Head,
        1,
        Positions::Fixed(1),
        vec![
            norm("image norm", h, 2),
            linear("image projection", h, shared, Split::Replicated, false),
            linear(
                "text projection",
                text_width,
                shared,
                Split::Replicated,
                false,
            ),
            learned("temperature", shared, 1),
        ],
    );
    let mut sample = picture.sample;
    sample.positions = Some(picture.patches + 1);
    Ok(net.model(Family::Vision, h, sample))
}

/// CLIP's text tower alone, the text encoder of Stable Diffusion.
pub(crate) fn clip_text_model(
    map: &Map<String, Value>,
    architecture: &str,
    file: &str,
    input: &Input,
) -> Result<Model, Error> {
    let fields = Fields { map, file };
    let mut net = Net::default();
    let (h, rows) = clip_text(&fields, &mut net, Positions::Stream, BlockKind::Layer)?;
    if architecture.contains("WithProjection") {
        let shared = fields.or(&["projection_dim"], 512)?;
        net.push(
            "projection",
            BlockKind::Head,
            1,
            Positions::Fixed(1),
            vec![linear(
                "text projection",
                h,
                shared,
                Split::Replicated,
                false,
            )],
        );
    }
    let sample = Sample {
        positions: Some(input.caption_tokens.unwrap_or(rows)),
        ..Sample::default()
    };
    Ok(net.model(Family::Encoder, h, sample))
}

/// SigLIP's image tower with its attention pooling.
pub(crate) fn siglip_image(
    fields: &Fields<'_>,
    input: &Input,
    net: &mut Net,
) -> Result<(u64, Sample), Error> {
    let tower = Tower::read(fields, Some([768, 12, 12, 3072, 16]))?;
    let picture = picture(fields, input, 224, tower.patch)?;
    let native = fields.or(&["image_size"], 224)?;
    let rows = (native / tower.patch).pow(2);
    let h = tower.hidden;
    net.push(
        "patches",
        BlockKind::Embedding,
        1,
        Positions::Stream,
        vec![tower.patches(true), learned("positions", h, rows * h)],
    );
    net.layer(
        "image layer",
        tower.layers,
        Positions::Stream,
        tower.layer(false).operators(),
    );
    net.push(
        "image norm",
        BlockKind::Head,
        1,
        Positions::Stream,
        vec![norm("image norm", h, 2)],
    );
    if fields.flag("vision_use_head", true) {
        net.push(
            "pooling keys and values",
            BlockKind::Head,
            1,
            Positions::Stream,
            vec![linear("keys and values", h, 2 * h, Split::Columns, true)],
        );
        net.push(
            "pooling",
            BlockKind::Head,
            1,
            Positions::Fixed(1),
            vec![
                learned("probe", h, h),
                linear("queries", h, h, Split::Columns, true),
                attention(
                    "attention",
                    tower.heads,
                    h / tower.heads,
                    Pattern::Memory(picture.patches),
                ),
                linear("attention output", h, h, Split::Rows, true),
                norm("norm", h, 2),
                linear("feed-forward up", h, tower.ffn, Split::Columns, true),
                activation("activation", tower.ffn),
                linear("feed-forward down", tower.ffn, h, Split::Rows, true),
                residual("residual", h),
            ],
        );
    }
    Ok((h, picture.sample))
}

/// SigLIP (arXiv:2303.15343): both towers, or the image tower alone.
pub(crate) fn siglip(
    map: &Map<String, Value>,
    model_type: &str,
    file: &str,
    input: &Input,
) -> Result<Model, Error> {
    let empty = Map::new();
    let mut net = Net::default();
    if model_type == "siglip_vision_model" {
        let (h, sample) = siglip_image(&Fields { map, file }, input, &mut net)?;
        return Ok(net.model(Family::Vision, h, sample));
    }
    let vision = Fields {
        map: part(map, "vision_config", &empty),
        file,
    };
    let text = Fields {
        map: part(map, "text_config", &empty),
        file,
    };
    let (h, sample) = siglip_image(&vision, input, &mut net)?;
    let tower = Tower::read(&text, Some([768, 12, 12, 3072, 1]))?;
    let vocabulary = text.or(&["vocab_size"], 32_000)?;
    let rows = text.or(&["max_position_embeddings"], 64)?;
    let tokens = Positions::Fixed(input.caption_tokens.unwrap_or(rows));
    let width = tower.hidden;
    net.push(
        "text embedding",
        BlockKind::Embedding,
        1,
        tokens,
        vec![
            Operator {
                name: "token embedding".to_owned(),
                kind: Kind::Embedding {
                    rows: vocabulary,
                    width,
                    split: true,
                },
                parameters: vocabulary * width,
            },
            learned("text positions", width, rows * width),
        ],
    );
    net.layer(
        "text layer",
        tower.layers,
        tokens,
        tower.layer(false).operators(),
    );
    let shared = text.or(&["projection_size"], width)?;
    net.push(
        "text norm",
        BlockKind::Head,
        1,
        tokens,
        vec![norm("text norm", width, 2)],
    );
    net.push(
        "text head",
        BlockKind::Head,
        1,
        Positions::Fixed(1),
        vec![
            linear("text projection", width, shared, Split::Replicated, true),
            learned("temperature and bias", 1, 2),
        ],
    );
    Ok(net.model(Family::Vision, h, sample))
}

/// Swin (arXiv:2103.14030): attention inside windows of a feature map that shrinks by stages.
pub(crate) fn swin(fields: &Fields<'_>, architecture: &str, input: &Input) -> Result<Model, Error> {
    let width = fields.need(&["embed_dim"])?;
    let depths = sizes(fields, "depths")?;
    let heads = sizes(fields, "num_heads")?;
    if depths.len() != heads.len() {
        return Err(fields.contradiction(format!(
            "`depths` has {} entries, `num_heads` {}",
            depths.len(),
            heads.len()
        )));
    }
    let patch = fields.or(&["patch_size"], 4)?.clamp(1, 1024);
    let window = fields.or(&["window_size"], 7)?.clamp(1, 1024);
    let ratio = fields.or(&["mlp_ratio"], 4)?.clamp(1, 64);
    let channels = fields.or(&["num_channels"], 3)?;
    let picture = picture(fields, input, 224, patch)?;
    let mut side = (
        picture.sample.height_px / patch,
        picture.sample.width_px / patch,
    );
    let mut net = Net::default();
    net.push(
        "patches",
        BlockKind::Embedding,
        1,
        Positions::Fixed(side.0 * side.1),
        vec![
            linear(
                "patches",
                channels * patch * patch,
                width,
                Split::Replicated,
                true,
            ),
            norm("norm", width, 2),
        ],
    );
    let mut c = width;
    for (stage, (&depth, &heads)) in depths.iter().zip(&heads).enumerate() {
        if heads == 0 || !c.is_multiple_of(heads) {
            return Err(fields.contradiction(format!(
                "stage {stage}: width {c} cannot be divided among {heads} heads"
            )));
        }
        let mut layer = Tower {
            hidden: c,
            heads,
            layers: depth,
            ffn: c * ratio,
            patch,
            channels,
        }
        .layer(false)
        .operators();
        for operator in &mut layer {
            if let Kind::Attention { pattern, .. } = &mut operator.kind {
                *pattern = Pattern::Chunk(window * window);
                // A bias for each head and relative position.
                operator.parameters = (2 * window - 1).pow(2) * heads;
            }
        }
        net.layer(
            "layer",
            depth,
            Positions::Fixed((side.0 * side.1).max(1)),
            layer,
        );
        if stage + 1 < depths.len() {
            side = (side.0.div_ceil(2), side.1.div_ceil(2));
            net.layer(
                "merge",
                1,
                Positions::Fixed(side.0 * side.1),
                vec![
                    norm("norm", 4 * c, 2),
                    linear("merge", 4 * c, 2 * c, Split::Replicated, false),
                ],
            );
            c = c.saturating_mul(2).min(10_000_000);
        }
    }
    net.push(
        "final norm",
        BlockKind::Head,
        1,
        Positions::Fixed((side.0 * side.1).max(1)),
        vec![norm("final norm", c, 2), pointwise("mean", c, 0, 0)],
    );
    if architecture.contains("ForImageClassification") {
        net.push(
            "head",
            BlockKind::Head,
            1,
            Positions::Fixed(1),
            classifier(c, labels(fields)?),
        );
    }
    let mut sample = picture.sample;
    sample.positions = Some(1);
    Ok(net.model(Family::Vision, c, sample))
}

/// A list of 1 to 64 whole numbers from 1 to 100,000.
pub(crate) fn sizes(fields: &Fields<'_>, name: &str) -> Result<Vec<u64>, Error> {
    let wrong = |value: String| Error::Value {
        file: fields.file.to_owned(),
        field: name.to_owned(),
        value: value.chars().take(60).collect(),
        allowed: "a list of 1 to 64 whole numbers from 1 to 100000".to_owned(),
    };
    let Some(list) = fields.list(name) else {
        return Err(match fields.map.get(name) {
            None => Error::Missing {
                file: fields.file.to_owned(),
                field: name.to_owned(),
            },
            Some(other) => wrong(other.to_string()),
        });
    };
    let sizes: Option<Vec<u64>> = list
        .iter()
        .map(|size| size.as_u64().filter(|size| (1..=100_000).contains(size)))
        .collect();
    match sizes {
        Some(sizes) if (1..=64).contains(&sizes.len()) => Ok(sizes),
        _ => Err(wrong(Value::Array(list.clone()).to_string())),
    }
}

/// ResNet (arXiv:1512.03385) as transformers' `resnet` describes it; version 1.5 strides in the 3 x 3 convolution.
pub(crate) fn resnet(
    fields: &Fields<'_>,
    architecture: &str,
    input: &Input,
) -> Result<Model, Error> {
    let stem = fields.or(&["embedding_size"], 64)?;
    let widths = sizes(fields, "hidden_sizes")?;
    let depths = sizes(fields, "depths")?;
    if widths.len() != depths.len() {
        return Err(fields.contradiction(format!(
            "`hidden_sizes` has {} entries, `depths` {}",
            widths.len(),
            depths.len()
        )));
    }
    let bottleneck = match fields.text("layer_type") {
        "" | "bottleneck" => true,
        "basic" => false,
        other => {
            return Err(Error::Value {
                file: fields.file.to_owned(),
                field: "layer_type".to_owned(),
                value: format!("`{other}`"),
                allowed: "bottleneck or basic".to_owned(),
            });
        }
    };
    let early = fields.flag("downsample_in_bottleneck", false);
    let (height, width) = input.size_or(224);
    if !(32..=65_536).contains(&height) || !(32..=65_536).contains(&width) {
        return Err(fields.contradiction(format!(
            "a resolution of {width} x {height} pixels; allowed: sides from 32 to 65536"
        )));
    }
    let half = |side: (u64, u64)| (side.0.div_ceil(2), side.1.div_ceil(2));
    let at = |side: (u64, u64)| Positions::Fixed(side.0 * side.1);
    let mut side = half((height, width));
    let mut net = Net::default();
    let colours = fields.or(&["num_channels"], 3)?;
    net.push(
        "stem",
        BlockKind::Embedding,
        1,
        at(side),
        vec![
            convolution("convolution", colours, stem, 49, 4, 1, false),
            group_norm("norm", stem),
            activation_in_place("activation", stem),
        ],
    );
    side = half(side);
    net.push(
        "pool",
        BlockKind::Embedding,
        1,
        at(side),
        vec![pointwise("pool", 4 * stem, stem, stem)],
    );
    let mut from = stem;
    for (stage, (&to, &depth)) in widths.iter().zip(&depths).enumerate() {
        for layer in 0..depth {
            let shrinks =
                layer == 0 && (stage > 0 || fields.flag("downsample_in_first_stage", false));
            let before = side;
            if shrinks {
                side = half(side);
            }
            let area = if shrinks { 4 } else { 1 };
            let mut after = Vec::new();
            if bottleneck {
                let narrow = (to / 4).max(1);
                let (first, second) = if early { (area, 1) } else { (1, area) };
                let entry = vec![
                    convolution("convolution 1", from, narrow, 1, first, 1, false),
                    group_norm("norm 1", narrow),
                    activation_in_place("activation 1", narrow),
                ];
                let entry_at = if early { side } else { before };
                net.layer("entry", 1, at(entry_at), entry);
                after.extend([
                    convolution("convolution 2", narrow, narrow, 9, second, 1, false),
                    group_norm("norm 2", narrow),
                    activation_in_place("activation 2", narrow),
                    convolution("convolution 3", narrow, to, 1, 1, 1, false),
                    group_norm("norm 3", to),
                ]);
            } else {
                after.extend([
                    convolution("convolution 1", from, to, 9, area, 1, false),
                    group_norm("norm 1", to),
                    activation_in_place("activation 1", to),
                    convolution("convolution 2", to, to, 9, 1, 1, false),
                    group_norm("norm 2", to),
                ]);
            }
            if from != to || shrinks {
                after.push(convolution("shortcut", from, to, 1, area, 1, false));
                after.push(group_norm("shortcut norm", to));
            }
            after.push(residual("residual", to));
            after.push(activation_in_place("activation", to));
            net.layer("layer", 1, at(side), after);
            from = to;
        }
    }
    net.push(
        "pool",
        BlockKind::Head,
        1,
        at(side),
        vec![pointwise("mean", from, 0, 0)],
    );
    if architecture.contains("ForImageClassification") {
        net.push(
            "head",
            BlockKind::Head,
            1,
            Positions::Fixed(1),
            classifier(from, labels(fields)?),
        );
    }
    let sample = Sample {
        unit: SampleUnit::Image,
        positions: Some(1),
        height_px: height,
        width_px: width,
        frames: 0,
    };
    Ok(net.model(Family::Vision, from, sample))
}

/// ConvNeXt (arXiv:2201.03545) and its second version (arXiv:2301.00808).
pub(crate) fn convnext(
    fields: &Fields<'_>,
    model_type: &str,
    architecture: &str,
    input: &Input,
) -> Result<Model, Error> {
    let widths = sizes(fields, "hidden_sizes")?;
    let depths = sizes(fields, "depths")?;
    if widths.len() != depths.len() {
        return Err(fields.contradiction(format!(
            "`hidden_sizes` has {} entries, `depths` {}",
            widths.len(),
            depths.len()
        )));
    }
    let patch = fields.or(&["patch_size"], 4)?.clamp(1, 1024);
    let picture = picture(fields, input, 224, patch)?;
    let mut side = (
        picture.sample.height_px / patch,
        picture.sample.width_px / patch,
    );
    let at = |side: (u64, u64)| Positions::Fixed((side.0 * side.1).max(1));
    let colours = fields.or(&["num_channels"], 3)?;
    let second = model_type == "convnextv2";
    let mut net = Net::default();
    net.push(
        "stem",
        BlockKind::Embedding,
        1,
        at(side),
        vec![
            convolution(
                "convolution",
                colours,
                widths[0],
                patch * patch,
                patch * patch,
                1,
                true,
            ),
            norm("norm", widths[0], 2),
        ],
    );
    let mut from = widths[0];
    for (stage, (&c, &depth)) in widths.iter().zip(&depths).enumerate() {
        if stage > 0 {
            net.layer("norm", 1, at(side), vec![norm("norm", from, 2)]);
            side = (side.0 / 2, side.1 / 2);
            net.layer(
                "downsample",
                1,
                at(side),
                vec![convolution("convolution", from, c, 4, 4, 1, true)],
            );
        }
        let mut layer = vec![
            convolution("depthwise convolution", c, c, 49, 1, c, true),
            norm("norm", c, 2),
            linear("up", c, 4 * c, Split::Replicated, true),
            activation("activation", 4 * c),
        ];
        if second {
            // Global response normalisation: two numbers for each channel.
            layer.push(norm("response norm", 4 * c, 2));
        }
        layer.push(linear("down", 4 * c, c, Split::Replicated, true));
        if !second {
            layer.push(learned("layer scale", c, c));
        }
        layer.push(residual("residual", c));
        net.layer("layer", depth, at(side), layer);
        from = c;
    }
    net.push(
        "pool",
        BlockKind::Head,
        1,
        at(side),
        vec![pointwise("mean", from, 0, 0)],
    );
    let mut head = vec![norm("final norm", from, 2)];
    if architecture.contains("ForImageClassification") {
        head.extend(classifier(from, labels(fields)?));
    }
    net.push("head", BlockKind::Head, 1, Positions::Fixed(1), head);
    let mut sample = picture.sample;
    sample.positions = Some(1);
    Ok(net.model(Family::Vision, from, sample))
}
