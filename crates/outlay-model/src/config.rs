//! Reads Hugging Face `config.json`.

use serde_json::{Map, Value};

use crate::error::Error;
use crate::graph::{Family, Model, Pattern};
use crate::net::Input;
use crate::spec::{Experts, FeedForward, HeadShape, Latent, LayerKind, Mixer, Spec};

/// Largest dimension that a file may claim; larger ones are taken for damage.
const MOST: u64 = 10_000_000;

/// Model types that the reader knows, for messages and for the nearest name.
pub(crate) const KNOWN: &[&str] = &[
    "llama",
    "mistral",
    "mixtral",
    "qwen2",
    "qwen2_moe",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3",
    "qwen3_moe",
    "qwen3_vl",
    "qwen3_vl_text",
    "qwen3_vl_moe",
    "qwen3_vl_moe_text",
    "deepseek_v2",
    "deepseek_v3",
    "deepseek_v32",
    "kimi_k2",
    "kimi_k25",
    "glm4",
    "glm4_moe",
    "glm_moe_dsa",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3_text",
    "gemma4",
    "gemma4_text",
    "phi",
    "phi3",
    "olmo",
    "olmo2",
    "gpt2",
    "gpt_neox",
    "opt",
    "bloom",
    "falcon",
    "mpt",
    "gpt_oss",
    "minimax_m2",
    "bert",
    "roberta",
    "stablelm",
    "llama4",
    "llama4_text",
    "internlm",
    "mimo",
    "qwen3_next",
    "qwen3_5_text",
    "qwen3_5_moe_text",
    "mamba",
    "mamba2",
    "nemotron_h",
    "minimax_m3",
    "mimo_v2_flash",
    "step3p7",
    "deepseek_v4",
    "deepseek_ref",
    "kimi_linear",
    "olmo3",
    "olmoe",
    "t5",
];

/// A JSON object and the names for messages about it.
pub(crate) struct Fields<'a> {
    pub(crate) map: &'a Map<String, Value>,
    pub(crate) file: &'a str,
}

impl Fields<'_> {
    /// A size under any of its names; an error where a name is there with a value that is none.
    pub(crate) fn size(&self, names: &[&str]) -> Result<Option<u64>, Error> {
        for name in names {
            match self.map.get(*name) {
                None | Some(Value::Null) => {}
                Some(value) => {
                    let size = value.as_u64().or_else(|| {
                        value
                            .as_f64()
                            .filter(|v| v.fract() == 0.0 && *v >= 0.0 && *v < 1e18)
                            .map(|v| v as u64)
                    });
                    return match size {
                        Some(size) if size <= MOST => Ok(Some(size)),
                        _ => Err(Error::Value {
                            file: self.file.to_owned(),
                            field: (*name).to_owned(),
                            value: value.to_string(),
                            allowed: format!("whole numbers up to {MOST}"),
                        }),
                    };
                }
            }
        }
        Ok(None)
    }

    /// A size that must be there and more than zero.
    pub(crate) fn need(&self, names: &[&str]) -> Result<u64, Error> {
        match self.size(names)? {
            Some(0) => Err(Error::Value {
                file: self.file.to_owned(),
                field: names[0].to_owned(),
                value: "0".to_owned(),
                allowed: "1 and more".to_owned(),
            }),
            Some(size) => Ok(size),
            None => Err(Error::Missing {
                file: self.file.to_owned(),
                field: names.join("` or `"),
            }),
        }
    }

    pub(crate) fn or(&self, names: &[&str], default: u64) -> Result<u64, Error> {
        Ok(self.size(names)?.unwrap_or(default))
    }

    /// As [`Self::need`], with a default where the field is not there.
    pub(crate) fn need_or(&self, name: &str, default: u64) -> Result<u64, Error> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(default),
            Some(_) => self.need(&[name]),
        }
    }

    pub(crate) fn flag(&self, name: &str, default: bool) -> bool {
        self.map
            .get(name)
            .and_then(Value::as_bool)
            .unwrap_or(default)
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.map.get(name).and_then(Value::as_str).unwrap_or("")
    }

    pub(crate) fn list(&self, name: &str) -> Option<&Vec<Value>> {
        self.map.get(name).and_then(Value::as_array)
    }

    pub(crate) fn contradiction(&self, what: String) -> Error {
        Error::Contradiction {
            file: self.file.to_owned(),
            what,
        }
    }
}

/// Reads a model from the text of a `config.json`; `file` names it in messages.
///
/// # Errors
/// [`Error`] where the text is no JSON object, the architecture is unknown, a field is missing, absurd or contradicts
/// another.
pub fn from_config_json(text: &str, file: &str) -> Result<Model, Error> {
    from_config_json_with(text, file, &Input::default())
}

/// As [`from_config_json`], with the size of a sample given for models that take images or videos.
///
/// # Errors
/// As [`from_config_json`], and where the model cannot take such a sample.
pub fn from_config_json_with(text: &str, file: &str, input: &Input) -> Result<Model, Error> {
    // Editors on Windows put a byte order mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value: Value = serde_json::from_str(text)
        .or_else(|error| serde_json::from_str(&without_odd_numbers(text)).map_err(|_| error))
        .map_err(|error| Error::Syntax {
            file: file.to_owned(),
            message: error.to_string(),
        })?;
    from_config_with(&value, file, input)
}

/// The text with `Infinity`, `-Infinity` and `NaN`, which Python writes and JSON does not know, as `null` outside strings.
fn without_odd_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_string = false;
    while let Some(next) = rest.chars().next() {
        let odd = ["-Infinity", "Infinity", "NaN"]
            .into_iter()
            .find(|odd| !in_string && rest.starts_with(odd));
        if let Some(odd) = odd {
            out.push_str("null");
            rest = &rest[odd.len()..];
            continue;
        }
        out.push(next);
        rest = &rest[next.len_utf8()..];
        if next == '"' {
            in_string = !in_string;
        } else if next == '\\' && in_string {
            // What is escaped ends no string.
            if let Some(escaped) = rest.chars().next() {
                out.push(escaped);
                rest = &rest[escaped.len_utf8()..];
            }
        }
    }
    out
}

/// As [`from_config_json`], from a value already parsed.
///
/// # Errors
/// As [`from_config_json`].
pub fn from_config(value: &Value, file: &str) -> Result<Model, Error> {
    from_config_with(value, file, &Input::default())
}

/// As [`from_config_json_with`], from a value already parsed.
///
/// # Errors
/// As [`from_config_json_with`].
pub fn from_config_with(value: &Value, file: &str, input: &Input) -> Result<Model, Error> {
    let Some(outer) = value.as_object() else {
        return Err(Error::Syntax {
            file: file.to_owned(),
            message: "not a JSON object".to_owned(),
        });
    };
    let architecture = outer
        .get("architectures")
        .and_then(Value::as_array)
        .and_then(|list| list.first())
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_owned();
    if let Some(class) = outer.get("_class_name").and_then(Value::as_str) {
        return crate::diffusers::read(outer, class, file, input);
    }
    if let Some(model) = samples(outer, &architecture, file, input)? {
        return Ok(model);
    }
    let mut notes = Vec::new();
    let map = match outer.get("text_config").and_then(Value::as_object) {
        Some(inner) => inner,
        None => outer,
    };
    let model_type = match map.get("model_type").and_then(Value::as_str) {
        None | Some("") => outer
            .get("model_type")
            .and_then(Value::as_str)
            .unwrap_or(""),
        Some(inner) => inner,
    };
    let filled;
    let map = if model_type == "gemma3_text" {
        filled = gemma3_defaults(map);
        &filled
    } else {
        map
    };
    let fields = Fields { map, file };
    // The text of Qwen2-VL and Qwen2.5-VL is a Qwen2.
    let model_type = match model_type {
        "qwen2_vl" | "qwen2_vl_text" | "qwen2_5_vl" | "qwen2_5_vl_text" => "qwen2",
        other => other,
    };
    let name = outer
        .get("_name_or_path")
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty())
        .unwrap_or(model_type);
    check_types(&fields)?;
    let tied_outer = outer.get("tie_word_embeddings").and_then(Value::as_bool);
    let mut spec = match model_type {
        "gpt2" => gpt2(&fields)?,
        "gpt_neox" => gpt_neox(&fields)?,
        "opt" => opt(&fields)?,
        "bloom" => bloom(&fields)?,
        "falcon" | "RefinedWeb" | "RefinedWebModel" => falcon(&fields)?,
        "mpt" => mpt(&fields)?,
        "mamba" | "mamba2" => mamba(&fields, model_type)?,
        "nemotron_h" => nemotron_h(&fields)?,
        "bert" | "roberta" => bert(&fields, model_type)?,
        "t5" => crate::config_kinds::t5(&fields)?,
        "deepseek_v4" | "deepseek_ref" => crate::config_kinds::deepseek_v4(&fields)?,
        "kimi_linear" => crate::config_kinds::kimi_linear(&fields)?,
        "mimo_v2_flash" => crate::config_kinds::mimo_v2(&fields)?,
        "minimax_m3" => crate::config_kinds::minimax_m3(&fields)?,
        known if KNOWN.contains(&known) => modern(&fields, known, tied_outer)?,
        "" => {
            return Err(Error::Missing {
                file: file.to_owned(),
                field: if architecture.is_empty() {
                    "model_type".to_owned()
                } else {
                    format!(
                        "model_type` (needed beside `architectures`, {architecture}) `model_type"
                    )
                },
            });
        }
        other => {
            let known: Vec<&str> = KNOWN.iter().chain(SAMPLED).copied().collect();
            return Err(Error::unknown_architecture(file, other, &known));
        }
    };
    spec.name = shown(name);
    spec.architecture = if architecture.is_empty() {
        model_type.to_owned()
    } else {
        architecture
    };
    let kind = outer
        .get("model_type")
        .and_then(Value::as_str)
        .unwrap_or("");
    let tower = match outer.get("vision_config").and_then(Value::as_object) {
        Some(vision) => {
            let seeing = crate::towers::Seeing {
                outer: Fields { map: outer, file },
                vision: Fields { map: vision, file },
                input,
                text_width: spec.hidden,
            };
            let tower = crate::towers::tower(&seeing, kind)?;
            notes.push(
                if tower.is_some() {
                    crate::towers::COUNTED
                } else {
                    "The vision tower is not counted: the figures are those of the text model."
                }
                .to_owned(),
            );
            tower
        }
        None => None,
    };
    spec.notes.extend(notes);
    check(&spec, &fields)?;
    let mut model = spec.build();
    model.blocks.extend(tower.unwrap_or_default());
    Ok(model)
}

/// What the published files of Gemma 3 leave to the library's class (`Gemma3TextConfig`).
fn gemma3_defaults(map: &Map<String, Value>) -> Map<String, Value> {
    let mut filled = map.clone();
    for (name, value) in [
        ("head_dim", 256),
        ("max_position_embeddings", 131_072),
        ("num_attention_heads", 8),
        ("num_key_value_heads", 4),
        ("sliding_window", 4096),
        ("vocab_size", 262_208),
    ] {
        filled.entry(name).or_insert_with(|| value.into());
    }
    filled
}

/// Model types whose samples are no sequences of tokens, or that stand before a model of such samples.
const SAMPLED: &[&str] = &[
    "vit",
    "deit",
    "dinov2",
    "clip",
    "clip_text_model",
    "siglip",
    "siglip_vision_model",
    "swin",
    "resnet",
    "convnext",
    "convnextv2",
    "whisper",
    "umt5",
];

/// Reads vision and speech models; `None` where the model type is none of theirs.
fn samples(
    outer: &Map<String, Value>,
    architecture: &str,
    file: &str,
    input: &Input,
) -> Result<Option<Model>, Error> {
    let fields = Fields { map: outer, file };
    let model_type = fields.text("model_type");
    let encoder_only = model_type == "t5" && architecture == "T5EncoderModel";
    if !SAMPLED.contains(&model_type) && !encoder_only {
        return Ok(None);
    }
    let mut model = match model_type {
        "vit" | "deit" | "dinov2" => crate::vision::vit(&fields, model_type, architecture, input),
        "clip" => crate::vision::clip(outer, file, input),
        "clip_text_model" => crate::vision::clip_text_model(outer, architecture, file, input),
        "siglip" | "siglip_vision_model" => crate::vision::siglip(outer, model_type, file, input),
        "swin" => crate::vision::swin(&fields, architecture, input),
        "resnet" => crate::vision::resnet(&fields, architecture, input),
        "convnext" | "convnextv2" => {
            crate::vision::convnext(&fields, model_type, architecture, input)
        }
        "whisper" => crate::encoders::whisper(&fields, input),
        _ => crate::encoders::t5_encoder(outer, model_type, file, input),
    }?;
    let name = fields.text("_name_or_path");
    model.name = shown(if name.is_empty() { model_type } else { name });
    model.architecture = if architecture.is_empty() {
        model_type.to_owned()
    } else {
        architecture.to_owned()
    };
    Ok(Some(model))
}

/// A name as it may be shown: without control characters, which a terminal would obey, and of readable length.
pub(crate) fn shown(name: &str) -> String {
    let mut out: String = name
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(64)
        .collect();
    if name.chars().count() > 64 {
        out.push_str("...");
    }
    out
}

/// Fields that are true or false wherever they stand.
const FLAGS: &[&str] = &[
    "attention_bias",
    "attention_k_eq_v",
    "attention_output_gate",
    "attn_output_gate",
    "bias",
    "do_layer_norm_before",
    "enable_moe_block",
    "is_gated_act",
    "learned_pos_emb",
    "mla_use_output_gate",
    "mlp_bias",
    "multi_query",
    "new_decoder_architecture",
    "no_bias",
    "parallel_attn",
    "tie_word_embeddings",
    "use_full_rank_gate",
    "use_moe_router_bias",
    "use_qk_norm",
    "use_qkv_bias",
    "use_routing_bias",
    "use_sliding_window",
];

/// What `layer_types` may hold.
const LAYER_TYPES: &[&str] = &[
    "full_attention",
    "sliding_attention",
    "chunked_attention",
    "linear_attention",
    "attention",
    "hybrid",
    "mamba",
    "moe",
    "minimax_m3_sparse",
    "deepseek_sparse_attention",
    "compressed_sparse_attention",
    "heavily_compressed_attention",
];

/// Refuses values of the wrong type where a reader would take the default for them.
fn check_types(fields: &Fields<'_>) -> Result<(), Error> {
    let wrong = |field: &str, value: &Value, allowed: &str| Error::Value {
        file: fields.file.to_owned(),
        field: field.to_owned(),
        value: value.to_string().chars().take(60).collect(),
        allowed: allowed.to_owned(),
    };
    let given = |name: &str| fields.map.get(name).filter(|value| !value.is_null());
    for name in FLAGS {
        if let Some(value) = given(name)
            && !value.is_boolean()
        {
            return Err(wrong(name, value, "true or false"));
        }
    }
    for name in POSITIONS {
        if let Some(value) = given(name)
            && !value
                .as_u64()
                .is_some_and(|length| (1..=1_000_000_000).contains(&length))
        {
            return Err(wrong(name, value, "whole numbers from 1 to 1000000000"));
        }
    }
    if let Some(types) = given("layer_types") {
        let known = types.as_array().is_some_and(|types| {
            types.iter().all(|sort| {
                sort.as_str()
                    .is_some_and(|sort| LAYER_TYPES.contains(&sort))
            })
        });
        if !known {
            let allowed = format!("a list of {}", LAYER_TYPES.join(", "));
            return Err(wrong("layer_types", types, &allowed));
        }
    }
    Ok(())
}

/// Names of the longest sequence.
const POSITIONS: [&str; 4] = [
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
];

fn check(spec: &Spec, fields: &Fields<'_>) -> Result<(), Error> {
    if let Some(what) = spec.absurd() {
        return Err(fields.contradiction(what));
    }
    if spec.kv_heads == 0 || !spec.heads.is_multiple_of(spec.kv_heads) {
        return Err(fields.contradiction(format!(
            "`num_attention_heads` {} is no multiple of `num_key_value_heads` {}",
            spec.heads, spec.kv_heads
        )));
    }
    if let Some(moe) = spec.moe
        && (moe.selected == 0 || moe.selected > moe.experts)
    {
        return Err(fields.contradiction(format!(
            "`num_experts_per_tok` {} is not between 1 and the {} experts",
            moe.selected, moe.experts
        )));
    }
    Ok(())
}

/// Width of a head: given, or the hidden width divided among the heads.
fn head_width(fields: &Fields<'_>, hidden: u64, heads: u64) -> Result<u64, Error> {
    match fields.size(&["head_dim", "d_kv", "attention_head_dim"])? {
        Some(width) if width > 0 => Ok(width),
        // Latent attention says its widths itself.
        _ if fields.map.contains_key("kv_lora_rank") => fields.need(&["v_head_dim"]),
        _ if hidden.is_multiple_of(heads) => Ok(hidden / heads),
        _ => Err(fields.contradiction(format!(
            "`hidden_size` {hidden} is no multiple of `num_attention_heads` {heads}, and `head_dim` is not given"
        ))),
    }
}

pub(crate) fn base(
    fields: &Fields<'_>,
    hidden: u64,
    heads: u64,
    layers: u64,
    ffn: u64,
    vocabulary: u64,
) -> Result<Spec, Error> {
    Ok(Spec {
        name: String::new(),
        architecture: String::new(),
        family: Family::Decoder,
        hidden,
        vocabulary,
        heads,
        kv_heads: heads,
        head_width: head_width(fields, hidden, heads)?,
        ffn,
        gated: false,
        qkv_bias: true,
        out_bias: true,
        mlp_bias: true,
        norm_weights: 2,
        norms: 2,
        qk_norm: false,
        qk_norm_full: false,
        sinks: false,
        output_gate: false,
        tied: true,
        head_bias: false,
        positions: 0,
        rotary: true,
        embedding_extra: 0,
        head_extra: 0,
        final_norm: true,
        latent: None,
        vocabulary_width: hidden,
        block_indexer: None,
        hyper_connections: 0,
        moe: None,
        layers: vec![LayerKind::attention(layers, Pattern::Full, false)],
        predict_ahead: 0,
        max_sequence_tokens: POSITIONS
            .iter()
            .find_map(|name| fields.map.get(*name).and_then(Value::as_u64)),
        notes: Vec::new(),
    })
}

fn gpt2(fields: &Fields<'_>) -> Result<Spec, Error> {
    let hidden = fields.need(&["n_embd", "hidden_size"])?;
    let ffn = fields.or(&["n_inner"], 4 * hidden)?;
    let mut spec = base(
        fields,
        hidden,
        fields.need(&["n_head", "num_attention_heads"])?,
        fields.need(&["n_layer", "num_hidden_layers"])?,
        ffn,
        fields.need(&["vocab_size"])?,
    )?;
    spec.positions = fields.need(&["n_positions", "n_ctx"])?;
    spec.rotary = false;
    Ok(spec)
}

fn gpt_neox(fields: &Fields<'_>) -> Result<Spec, Error> {
    let mut spec = base(
        fields,
        fields.need(&["hidden_size"])?,
        fields.need(&["num_attention_heads"])?,
        fields.need(&["num_hidden_layers"])?,
        fields.need(&["intermediate_size"])?,
        fields.need(&["vocab_size"])?,
    )?;
    spec.tied = fields.flag("tie_word_embeddings", false);
    Ok(spec)
}

fn opt(fields: &Fields<'_>) -> Result<Spec, Error> {
    let hidden = fields.need(&["hidden_size"])?;
    let mut spec = base(
        fields,
        hidden,
        fields.need(&["num_attention_heads"])?,
        fields.need(&["num_hidden_layers"])?,
        fields.need(&["ffn_dim"])?,
        fields.need(&["vocab_size"])?,
    )?;
    // Positions start at 2 in OPT's table.
    spec.positions = fields.need(&["max_position_embeddings"])? + 2;
    let projection = fields.or(&["word_embed_proj_dim"], hidden)?;
    if projection != hidden {
        // Words are embedded in `projection` elements and projected in and out, and there is no final norm (OPT-350m).
        spec.vocabulary_width = projection;
        spec.final_norm = !fields.flag(
            "_remove_final_layer_norm",
            !fields.flag("do_layer_norm_before", true),
        );
    }
    spec.rotary = false;
    Ok(spec)
}

fn bloom(fields: &Fields<'_>) -> Result<Spec, Error> {
    let hidden = fields.need(&["hidden_size", "n_embed"])?;
    let mut spec = base(
        fields,
        hidden,
        fields.need(&["n_head", "num_attention_heads"])?,
        fields.need(&["n_layer", "num_hidden_layers"])?,
        4 * hidden,
        fields.need(&["vocab_size"])?,
    )?;
    spec.embedding_extra = 2 * hidden;
    spec.rotary = false;
    Ok(spec)
}

fn falcon(fields: &Fields<'_>) -> Result<Spec, Error> {
    let hidden = fields.need(&["hidden_size"])?;
    let heads = fields.need(&["num_attention_heads", "n_head"])?;
    let mut spec = base(
        fields,
        hidden,
        heads,
        fields.need(&["num_hidden_layers", "n_layer"])?,
        fields.or(&["ffn_hidden_size"], 4 * hidden)?,
        fields.need(&["vocab_size"])?,
    )?;
    let bias = fields.flag("bias", false);
    (spec.qkv_bias, spec.out_bias, spec.mlp_bias) = (bias, bias, bias);
    let new = fields.flag("new_decoder_architecture", false);
    spec.kv_heads = if new {
        fields.or(&["num_kv_heads", "n_head_kv"], heads)?
    } else if fields.flag("multi_query", true) {
        1
    } else {
        heads
    };
    spec.norms = if new || !fields.flag("parallel_attn", true) {
        2
    } else {
        1
    };
    if new && fields.size(&["num_ln_in_parallel_attn"])? == Some(1) {
        spec.norms = 1;
    }
    spec.tied = fields.flag("tie_word_embeddings", true);
    Ok(spec)
}

fn mpt(fields: &Fields<'_>) -> Result<Spec, Error> {
    let hidden = fields.need(&["d_model"])?;
    let ratio = fields.or(&["expansion_ratio"], 4)?;
    let mut spec = base(
        fields,
        hidden,
        fields.need(&["n_heads"])?,
        fields.need(&["n_layers"])?,
        ratio * hidden,
        fields.need(&["vocab_size"])?,
    )?;
    let bias = !fields.flag("no_bias", true);
    (spec.qkv_bias, spec.out_bias, spec.mlp_bias) = (bias, bias, bias);
    spec.norm_weights = if bias { 2 } else { 1 };
    if fields.flag("learned_pos_emb", false) {
        spec.positions = fields.need(&["max_seq_len"])?;
    }
    spec.rotary = false;
    Ok(spec)
}

fn bert(fields: &Fields<'_>, model_type: &str) -> Result<Spec, Error> {
    let hidden = fields.need(&["hidden_size"])?;
    let mut spec = base(
        fields,
        hidden,
        fields.need(&["num_attention_heads"])?,
        fields.need(&["num_hidden_layers"])?,
        fields.need(&["intermediate_size"])?,
        fields.need(&["vocab_size"])?,
    )?;
    spec.family = Family::Encoder;
    spec.positions = fields.need(&["max_position_embeddings"])?;
    let types = fields.or(
        &["type_vocab_size"],
        if model_type == "bert" { 2 } else { 1 },
    )?;
    // Token types and the embedding norm; a pooler stands at the end.
    spec.embedding_extra = types * hidden + 2 * hidden;
    spec.final_norm = false;
    spec.head_extra = hidden * hidden + hidden;
    spec.rotary = false;
    Ok(spec)
}

/// Llama and its many relatives.
pub(crate) fn modern(
    fields: &Fields<'_>,
    model_type: &str,
    tied_outer: Option<bool>,
) -> Result<Spec, Error> {
    let hidden = fields.need(&["hidden_size"])?;
    let heads = fields.need(&["num_attention_heads"])?;
    let layers = fields.need(&["num_hidden_layers"])?;
    let ffn = match (model_type, fields.size(&["intermediate_size_mlp"])?) {
        ("llama4" | "llama4_text", Some(ffn)) => ffn,
        _ => fields.need(&["intermediate_size", "moe_intermediate_size"])?,
    };
    let mut spec = base(
        fields,
        hidden,
        heads,
        layers,
        ffn,
        fields.need(&["vocab_size"])?,
    )?;
    let gemma = model_type.starts_with("gemma");
    let qwen2 = matches!(model_type, "qwen2" | "qwen2_moe");
    spec.kv_heads = fields.or(&["num_key_value_heads"], heads)?;
    spec.gated = true;
    spec.norm_weights = 1;
    spec.qkv_bias = qwen2
        || fields.flag("attention_bias", false)
        || fields.flag("use_qkv_bias", false)
        || fields.flag("bias", false);
    spec.out_bias = model_type == "gpt_oss"
        || (model_type == "llama" && fields.flag("attention_bias", false))
        || fields.flag("bias", false);
    spec.mlp_bias = fields.flag("mlp_bias", false);
    spec.tied = fields
        .map
        .get("tie_word_embeddings")
        .and_then(Value::as_bool)
        .or(tied_outer)
        .unwrap_or(gemma);
    spec.qk_norm = matches!(
        model_type,
        "qwen3"
            | "qwen3_moe"
            | "qwen3_vl"
            | "qwen3_vl_moe"
            | "gemma3"
            | "gemma3_text"
            | "gemma4"
            | "gemma4_text"
    ) || (model_type.starts_with("glm4") && fields.flag("use_qk_norm", false))
        || model_type == "qwen3_vl_text"
        || model_type == "qwen3_vl_moe_text";
    spec.qk_norm_full = matches!(model_type, "olmo2" | "olmo3" | "olmoe" | "minimax_m2");
    spec.sinks = model_type == "gpt_oss";
    spec.output_gate = fields.flag("attn_output_gate", model_type == "qwen3_next");
    spec.qk_norm |= matches!(
        model_type,
        "qwen3_next" | "qwen3_5_text" | "qwen3_5_moe_text"
    );
    spec.norms = if matches!(
        model_type,
        "gemma2" | "gemma3" | "gemma3_text" | "gemma4" | "gemma4_text" | "glm4"
    ) {
        4
    } else {
        2
    };
    match model_type {
        "olmo" => spec.norm_weights = 0,
        "phi" => {
            spec.gated = false;
            (spec.qkv_bias, spec.out_bias, spec.mlp_bias, spec.head_bias) =
                (true, true, true, true);
            spec.norm_weights = 2;
            spec.norms = 1;
        }
        "stablelm" => spec.norm_weights = 2,
        _ => {}
    }
    spec.latent = latent(fields)?;
    spec.moe = moe(fields, model_type)?;
    spec.predict_ahead = if spec.latent.is_some() {
        fields.or(&["num_nextn_predict_layers"], 0)?
    } else {
        0
    };
    spec.layers = layer_kinds(fields, &spec, layers, model_type)?;
    Ok(spec)
}

pub(crate) fn latent(fields: &Fields<'_>) -> Result<Option<Latent>, Error> {
    let Some(key_value) = fields.size(&["kv_lora_rank"])?.filter(|rank| *rank > 0) else {
        return Ok(None);
    };
    let indexer = match fields.size(&["index_topk"])? {
        Some(keys) if keys > 0 => Some((
            fields.need(&["index_n_heads"])?,
            fields.need(&["index_head_dim"])?,
            keys,
        )),
        _ => None,
    };
    Ok(Some(Latent {
        query: fields.or(&["q_lora_rank"], 0)?,
        key_value,
        nope: fields.need(&["qk_nope_head_dim"])?,
        rope: fields.need(&["qk_rope_head_dim"])?,
        value: fields.need(&["v_head_dim"])?,
        indexer,
    }))
}

pub(crate) fn moe(fields: &Fields<'_>, model_type: &str) -> Result<Option<Experts>, Error> {
    let Some(experts) = fields
        .size(&["num_local_experts", "num_experts", "n_routed_experts"])?
        .filter(|experts| *experts > 1)
    else {
        if matches!(
            model_type,
            "mixtral" | "qwen3_moe" | "qwen2_moe" | "gpt_oss"
        ) {
            return Err(Error::Missing {
                file: fields.file.to_owned(),
                field: "num_local_experts` or `num_experts".to_owned(),
            });
        }
        return Ok(None);
    };
    let ffn = match model_type {
        "llama4" | "llama4_text" | "mixtral" | "gpt_oss" => fields.need(&["intermediate_size"])?,
        _ => match fields.size(&["moe_intermediate_size"])? {
            Some(ffn) => ffn,
            None => fields.need(&["intermediate_size"])?,
        },
    };
    let shared = match model_type {
        "llama4" | "llama4_text" => 1,
        _ => fields.or(&["n_shared_experts", "num_shared_experts"], 0)?,
    };
    let shared_ffn = match fields.size(&["shared_expert_intermediate_size", "share_expert_dim"])? {
        Some(width) => width,
        // Gemma 4 runs the dense feed-forward beside the experts.
        None if fields.flag("enable_moe_block", false) => fields.need(&["intermediate_size"])?,
        None => shared * ffn,
    };
    let biased = fields.text("topk_method") == "noaux_tc"
        || fields.flag("use_routing_bias", false)
        || fields.flag("use_moe_router_bias", false)
        || model_type == "glm4_moe"
        || fields.text("scoring_func") == "sigmoid";
    Ok(Some(Experts {
        experts,
        selected: fields.need(&[
            "num_experts_per_tok",
            "top_k_experts",
            "num_experts_per_token",
        ])?,
        ffn,
        shared_ffn,
        shared_gate: fields.map.contains_key("shared_expert_intermediate_size") && shared_ffn > 0,
        selection_bias: biased,
        biases: model_type == "gpt_oss",
        gated: true,
        latent: 0,
        own_norms: fields.flag("enable_moe_block", false),
    }))
}

/// Counts a layer with those of its kind.
pub(crate) fn add(kinds: &mut Vec<LayerKind>, layer: LayerKind) {
    match kinds.iter_mut().find(|kind| {
        LayerKind {
            repeat: 1,
            ..**kind
        } == layer
    }) {
        Some(kind) => kind.repeat += 1,
        None => kinds.push(layer),
    }
}

fn gated_delta(fields: &Fields<'_>) -> Result<Mixer, Error> {
    Ok(Mixer::GatedDelta {
        key_heads: fields.need(&["linear_num_key_heads"])?,
        value_heads: fields.need(&["linear_num_value_heads"])?,
        key_width: fields.need(&["linear_key_head_dim"])?,
        value_width: fields.need(&["linear_value_head_dim"])?,
        kernel: fields.need(&["linear_conv_kernel_dim"])?,
    })
}

/// Mamba and Mamba-2: every layer is a state space.
fn mamba(fields: &Fields<'_>, model_type: &str) -> Result<Spec, Error> {
    let hidden = fields.need(&["hidden_size", "d_model"])?;
    let layers = fields.need(&["num_hidden_layers", "n_layer"])?;
    let mut spec = base(
        fields,
        hidden,
        1,
        layers,
        hidden,
        fields.need(&["vocab_size"])?,
    )?;
    spec.norm_weights = 1;
    spec.tied = fields.flag("tie_word_embeddings", true);
    let kernel = fields.or(&["conv_kernel"], 4)?;
    let inner = fields.or(&["expand"], 2)?.saturating_mul(hidden);
    let mixer = if model_type == "mamba" {
        let rank = fields.or(&["time_step_rank"], hidden.div_ceil(16))?;
        let inner = fields.or(&["intermediate_size"], inner)?;
        Mixer::Mamba1 {
            inner,
            state: fields.or(&["state_size"], 16)?,
            rank,
            kernel,
        }
    } else {
        let head_width = fields.or(&["head_dim"], 64)?.max(1);
        Mixer::Mamba2 {
            heads: fields.or(&["num_heads"], inner / head_width)?,
            head_width,
            state: fields.or(&["state_size"], 128)?,
            groups: fields.or(&["n_groups"], 1)?,
            kernel,
        }
    };
    let plain = LayerKind::attention(layers, Pattern::Full, false);
    spec.layers = vec![LayerKind {
        mixer,
        feed_forward: FeedForward::None,
        ..plain
    }];
    Ok(spec)
}

/// Nemotron-H and Nemotron 3: a letter for each layer, `M` state space, `*` attention, `-` feed-forward, `E` experts.
fn nemotron_h(fields: &Fields<'_>) -> Result<Spec, Error> {
    let hidden = fields.need(&["hidden_size"])?;
    let heads = fields.need(&["num_attention_heads"])?;
    let letters = fields.text("hybrid_override_pattern");
    if letters.is_empty() {
        return Err(Error::Missing {
            file: fields.file.to_owned(),
            field: "hybrid_override_pattern".to_owned(),
        });
    }
    let layers = letters.chars().count() as u64;
    let mut spec = base(
        fields,
        hidden,
        heads,
        layers,
        fields.need(&["intermediate_size"])?,
        fields.need(&["vocab_size"])?,
    )?;
    spec.kv_heads = fields.or(&["num_key_value_heads"], heads)?;
    (spec.qkv_bias, spec.out_bias, spec.mlp_bias) = (false, false, false);
    spec.norm_weights = 1;
    spec.tied = fields.flag("tie_word_embeddings", false);
    if letters.contains('E') {
        let missing = || Error::Missing {
            file: fields.file.to_owned(),
            field: "n_routed_experts".to_owned(),
        };
        let experts = moe(fields, "nemotron_h")?.ok_or_else(missing)?;
        spec.moe = Some(Experts {
            gated: false,
            selection_bias: true,
            shared_gate: false,
            latent: fields.or(&["moe_latent_size"], 0)?,
            shared_ffn: fields.or(&["moe_shared_expert_intermediate_size"], experts.shared_ffn)?,
            ..experts
        });
    }
    let state_space = Mixer::Mamba2 {
        heads: fields.need(&["mamba_num_heads"])?,
        head_width: fields.need(&["mamba_head_dim"])?,
        state: fields.need(&["ssm_state_size"])?,
        groups: fields.need(&["n_groups"])?,
        kernel: fields.or(&["conv_kernel"], 4)?,
    };
    spec.layers = Vec::new();
    for letter in letters.chars() {
        let (mixer, feed_forward) = match letter {
            'M' => (state_space, FeedForward::None),
            '*' => (Mixer::Attention, FeedForward::None),
            '-' => (Mixer::None, FeedForward::Dense),
            'E' => (Mixer::None, FeedForward::Experts),
            other => {
                return Err(Error::Value {
                    file: fields.file.to_owned(),
                    field: "hybrid_override_pattern".to_owned(),
                    value: format!("`{other}`"),
                    allowed: "M, *, - and E".to_owned(),
                });
            }
        };
        add(
            &mut spec.layers,
            LayerKind {
                mixer,
                feed_forward,
                ..LayerKind::attention(1, Pattern::Full, false)
            },
        );
    }
    Ok(spec)
}

/// Heads of global layers where they differ from those of local ones (Gemma 4).
fn global_heads(fields: &Fields<'_>, spec: &Spec) -> Result<Option<Mixer>, Error> {
    let Some(width) = fields
        .size(&["global_head_dim"])?
        .filter(|width| *width > 0)
    else {
        return Ok(None);
    };
    let kv_heads = fields
        .size(&["num_global_key_value_heads"])?
        .filter(|heads| *heads > 0)
        .unwrap_or(spec.kv_heads);
    Ok(Some(Mixer::Heads(HeadShape {
        heads: spec.heads,
        kv_heads,
        qk_width: width,
        v_width: width,
        sinks: false,
        causal: true,
        keys_are_values: fields.flag("attention_k_eq_v", false),
    })))
}

/// Which layers are local and which have experts, grouped by kind.
fn layer_kinds(
    fields: &Fields<'_>,
    spec: &Spec,
    layers: u64,
    model_type: &str,
) -> Result<Vec<LayerKind>, Error> {
    let window = fields
        .size(&["sliding_window", "attention_chunk_size"])?
        .filter(|window| *window > 0);
    let every = fields.size(&["sliding_window_pattern"])?;
    let types = fields.list("layer_types");
    if let Some(types) = types
        && types.len() as u64 != layers
    {
        return Err(fields.contradiction(format!(
            "`layer_types` has {} entries for `num_hidden_layers` {layers}",
            types.len()
        )));
    }
    let dense_first = fields.or(&["first_k_dense_replace"], 0)?;
    let step = fields
        .or(
            &[
                "decoder_sparse_step",
                "interleave_moe_layer_step",
                "moe_layer_freq",
            ],
            1,
        )
        .unwrap_or(1)
        .max(1);
    let dense_list: Vec<u64> = fields
        .list("mlp_only_layers")
        .map(|list| list.iter().filter_map(Value::as_u64).collect())
        .unwrap_or_default();
    let use_window =
        fields.flag("use_sliding_window", true) && !matches!(model_type, "qwen2" | "qwen2_moe");
    let full = match spec.latent.and_then(|latent| latent.indexer) {
        Some((_, _, keys)) => Pattern::Selected(keys),
        None => Pattern::Full,
    };
    let global = global_heads(fields, spec)?;
    let mut out: Vec<LayerKind> = Vec::new();
    for index in 0..layers {
        let local = match types {
            Some(types) => {
                let sort = types[index as usize].as_str().unwrap_or("");
                sort.contains("sliding") || sort.contains("chunked")
            }
            None => match every {
                Some(every) if every > 0 => (index + 1) % every != 0,
                _ => match model_type {
                    "gemma2" => index % 2 == 0,
                    "gemma3" | "gemma3_text" => (index + 1) % 6 != 0,
                    "gpt_oss" => index % 2 == 0,
                    "llama4" | "llama4_text" => (index + 1) % 4 != 0,
                    "mistral" | "phi3" => true,
                    _ => false,
                },
            },
        };
        let pattern = match window {
            Some(width) if local && model_type.starts_with("llama4") => Pattern::Chunk(width),
            Some(width) if local && use_window => Pattern::Window(width),
            _ => full,
        };
        let experts = spec.moe.is_some()
            && index >= dense_first
            && (index + 1) % step == 0
            && !dense_list.contains(&index);
        let sort = types.map_or("", |types| types[index as usize].as_str().unwrap_or(""));
        let mixer = if sort == "linear_attention" {
            gated_delta(fields)?
        } else if sort == "full_attention" && global.is_some() {
            global.unwrap_or(Mixer::Attention)
        } else {
            Mixer::Attention
        };
        add(
            &mut out,
            LayerKind {
                mixer,
                ..LayerKind::attention(1, pattern, experts)
            },
        );
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_only_python_writes_are_passed_over() {
        let text = r#"{"a": [0.0, Infinity], "b": "a \" NaN", "c": -Infinity, "d": NaN}"#;
        let read: Value = serde_json::from_str(&without_odd_numbers(text)).unwrap();
        assert_eq!(
            read,
            serde_json::json!({"a": [0.0, null], "b": "a \" NaN", "c": null, "d": null})
        );
    }

    const LLAMA: &str = r#"{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":4096,"intermediate_size":14336,
        "num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":8,"vocab_size":128256,"tie_word_embeddings":false}"#;

    #[test]
    fn reads_llama() {
        assert_eq!(
            from_config_json(LLAMA, "config.json").unwrap().parameters(),
            8_030_261_248
        );
    }

    #[test]
    fn errors_name_the_file_the_field_and_what_is_allowed() {
        let cases = [
            (r#""hidden_size":4096"#, r#""hidden_size":0"#, "hidden_size"),
            (
                r#""hidden_size":4096"#,
                r#""hidden_size":-4096"#,
                "hidden_size",
            ),
            (
                r#""hidden_size":4096"#,
                r#""hidden_size":99999999999"#,
                "hidden_size",
            ),
            (
                r#""hidden_size":4096"#,
                r#""hidden_size":4095"#,
                "num_attention_heads",
            ),
            (
                r#""num_key_value_heads":8"#,
                r#""num_key_value_heads":5"#,
                "num_key_value_heads",
            ),
            (r#""num_hidden_layers":32,"#, "", "num_hidden_layers"),
            (
                r#""model_type":"llama""#,
                r#""model_type":"lama""#,
                "nearest: llama",
            ),
        ];
        for (from, to, expected) in cases {
            let error = from_config_json(&LLAMA.replace(from, to), "my.json")
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("my.json") && error.contains(expected),
                "{error}"
            );
        }
        assert!(from_config_json("[1, 2]", "x").is_err());
        assert!(from_config_json("{", "x").is_err());
    }

    #[test]
    fn counts_mixture_of_experts_and_latent_attention() {
        // 671B in the report (arXiv:2412.19437), 37B active, prediction module aside.
        let model = crate::find("deepseek-v3").unwrap().model().unwrap();
        assert!((model.main_parameters() as f64 / 671e9 - 1.0).abs() < 1e-3);
        assert!((model.active_parameters() as f64 / 37e9 - 1.0).abs() < 0.02);
        assert!(model.parameters() > model.main_parameters());
    }

    /// Values that no author meant: what a damaged or hostile file may hold in place of any field.
    const ODD: &[&str] = &[
        "null",
        "true",
        "-1",
        "0",
        "1",
        "3",
        "1e300",
        "-0.5",
        "0.1",
        "18446744073709551615",
        "4611686018427387904",
        "9007199254740993",
        "1000000007",
        "\"\"",
        "\"8\"",
        "\"full_attention\"",
        "[]",
        "[0]",
        "[1,2,3]",
        "{}",
        "[\"linear_attention\",\"x\"]",
        "[[[]]]",
    ];

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(3000))]

        /// Every reader, with one or two fields of a real configuration replaced: a model or an error, no panic.
        #[test]
        fn a_changed_field_is_read_or_refused(
            which in 0usize..1000, fields in proptest::collection::vec((0usize..60, 0..ODD.len()), 1..3)
        ) {
            let list = crate::builtin();
            let mut config = list[which % list.len()].config.clone();
            for (field, odd) in fields {
                if let Some(object) = config.as_object_mut() {
                    let key = object.keys().nth(field % object.len()).cloned().unwrap_or_default();
                    object.insert(key, serde_json::from_str(ODD[odd]).unwrap());
                }
            }
            match from_config(&config, "x") {
                Ok(model) => proptest::prop_assert!(model.parameters() > 0 && model.active_parameters() > 0),
                Err(error) => proptest::prop_assert!(error.to_string().contains('x')),
            }
        }

        #[test]
        fn any_text_is_an_error_and_no_panic(text in ".{0,200}") {
            let _ = from_config_json(&text, "x");
        }

        #[test]
        fn odd_sizes_are_no_panic(a in 0u64..20, b in 0u64..20, c in 0u64..9, value in proptest::prelude::any::<i64>()) {
            let text = format!(r#"{{"model_type":"llama","hidden_size":{a},"intermediate_size":{value},"num_hidden_layers":{c},
                "num_attention_heads":{b},"num_key_value_heads":{c},"vocab_size":{a},"num_experts":{b},"num_experts_per_tok":{c}}}"#);
            let _ = from_config_json(&text, "x");
        }
    }
}
