//! Readers of `config.json` kinds whose layers differ from one another in more than window and experts.

use serde_json::Value;

use crate::config::{Fields, add, base, latent, moe};
use crate::error::Error;
use crate::graph::{Family, Pattern};
use crate::spec::{FeedForward, HeadShape, LayerKind, Mixer, SharedHead, Spec};

/// Zeros and ones (or numbers) for each layer, checked against the number of layers.
fn per_layer(fields: &Fields<'_>, name: &str, layers: u64) -> Result<Option<Vec<u64>>, Error> {
    let Some(list) = fields.list(name) else {
        return Ok(None);
    };
    if (list.len() as u64) < layers {
        return Err(fields.contradiction(format!(
            "`{name}` has {} entries for `num_hidden_layers` {layers}",
            list.len()
        )));
    }
    list.iter()
        .take(layers as usize)
        .map(|value| {
            value.as_u64().ok_or_else(|| Error::Value {
                file: fields.file.to_owned(),
                field: name.to_owned(),
                value: value.to_string(),
                allowed: "whole numbers".to_owned(),
            })
        })
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
}

/// A Llama-like start: gated, RMS norms, no biases.
fn plain(fields: &Fields<'_>, ffn: u64) -> Result<Spec, Error> {
    let heads = fields.need(&["num_attention_heads"])?;
    let mut spec = base(
        fields,
        fields.need(&["hidden_size"])?,
        heads,
        fields.need(&["num_hidden_layers"])?,
        ffn,
        fields.need(&["vocab_size"])?,
    )?;
    spec.kv_heads = fields.or(&["num_key_value_heads"], heads)?;
    spec.gated = true;
    spec.norm_weights = 1;
    (spec.qkv_bias, spec.out_bias, spec.mlp_bias) = (false, false, false);
    spec.tied = fields.flag("tie_word_embeddings", false);
    Ok(spec)
}

/// T5 (arXiv:1910.10683) and its v1.1: encoder, then a decoder that attends to itself and to the encoder.
///
/// The decoder is counted with as many tokens as the encoder.
pub(crate) fn t5(fields: &Fields<'_>) -> Result<Spec, Error> {
    let hidden = fields.need(&["d_model"])?;
    let heads = fields.need(&["num_heads"])?;
    let layers = fields.need(&["num_layers"])?;
    let decoder = fields.or(&["num_decoder_layers"], layers)?;
    let width = fields.need(&["d_kv"])?;
    let mut spec = base(
        fields,
        hidden,
        heads,
        layers,
        fields.need(&["d_ff"])?,
        fields.need(&["vocab_size"])?,
    )?;
    spec.family = Family::EncoderDecoder;
    spec.gated =
        fields.text("feed_forward_proj").starts_with("gated") || fields.flag("is_gated_act", false);
    spec.norm_weights = 1;
    (spec.qkv_bias, spec.out_bias, spec.mlp_bias) = (false, false, false);
    spec.tied = fields.flag("tie_word_embeddings", true);
    // Relative positions of the first layer of each side, and the encoder's own final norm.
    let buckets = fields.or(&["relative_attention_num_buckets"], 32)?;
    spec.embedding_extra = 2 * buckets * heads + hidden;
    let shape = |causal| HeadShape {
        heads,
        kv_heads: heads,
        qk_width: width,
        v_width: width,
        sinks: false,
        causal,
        keys_are_values: false,
    };
    let layer = |repeat, causal, feed_forward| LayerKind {
        mixer: Mixer::Heads(shape(causal)),
        feed_forward,
        ..LayerKind::attention(repeat, Pattern::Full, false)
    };
    spec.layers = vec![
        layer(layers, false, FeedForward::Dense),
        layer(decoder, true, FeedForward::None),
        layer(decoder, false, FeedForward::Dense),
    ];
    spec.notes.push(
        "The decoder is counted with as many tokens as the encoder; its cross-attention stands as a layer of its own."
            .to_owned(),
    );
    spec.rotary = false;
    Ok(spec)
}

/// DeepSeek V4: one shared key-value head, compressed keys, experts in every layer, hyper-connections.
pub(crate) fn deepseek_v4(fields: &Fields<'_>) -> Result<Spec, Error> {
    let mut spec = plain(fields, fields.need(&["moe_intermediate_size"])?)?;
    let layers = fields.need(&["num_hidden_layers"])?;
    spec.moe = moe(fields, "deepseek_v4")?;
    spec.hyper_connections = fields.or(&["hc_mult"], 0)?;
    spec.predict_ahead = fields.or(&["num_nextn_predict_layers"], 0)?;
    let window = fields.need(&["sliding_window"])?;
    let keys = fields.or(&["index_topk"], 0)?;
    let ratios = per_layer(fields, "compress_ratios", layers)?.ok_or_else(|| Error::Missing {
        file: fields.file.to_owned(),
        field: "compress_ratios".to_owned(),
    })?;
    // The finest compression has an indexer that selects among its keys; the coarser ones are seen whole.
    let finest = ratios.iter().copied().filter(|ratio| *ratio > 0).min();
    let indexer = Some((
        fields.need(&["index_n_heads"])?,
        fields.need(&["index_head_dim"])?,
    ));
    spec.layers = Vec::new();
    for ratio in ratios {
        let selects = finest == Some(ratio);
        let pattern = match ratio {
            0 => Pattern::Window(window),
            _ if selects => Pattern::Selected(window + keys),
            _ => Pattern::Compressed { window, ratio },
        };
        let shared = SharedHead {
            query_rank: fields.need(&["q_lora_rank"])?,
            out_groups: fields.need(&["o_groups"])?,
            out_rank: fields.need(&["o_lora_rank"])?,
            ratio,
            indexer: indexer.filter(|_| selects),
        };
        add(
            &mut spec.layers,
            LayerKind {
                mixer: Mixer::Shared(shared),
                ..LayerKind::attention(1, pattern, true)
            },
        );
    }
    Ok(spec)
}

/// Kimi Linear and Kimi K3: delta attention with a gate for each channel, latent attention in some layers.
pub(crate) fn kimi_linear(fields: &Fields<'_>) -> Result<Spec, Error> {
    let mut spec = plain(fields, fields.need(&["intermediate_size"])?)?;
    let layers = fields.need(&["num_hidden_layers"])?;
    spec.latent = latent(fields)?;
    spec.output_gate = fields.flag("mla_use_output_gate", false);
    if let Some(mut experts) = moe(fields, "kimi_linear")? {
        experts.latent = fields.or(&["routed_expert_hidden_size"], 0)?;
        spec.moe = Some(experts);
    }
    let missing = |field: &str| Error::Missing {
        file: fields.file.to_owned(),
        field: field.to_owned(),
    };
    let linear = fields
        .map
        .get("linear_attn_config")
        .and_then(Value::as_object)
        .ok_or_else(|| missing("linear_attn_config"))?;
    let inner = Fields {
        map: linear,
        file: fields.file,
    };
    let mixer = Mixer::KimiDelta {
        heads: inner.need(&["num_heads"])?,
        width: inner.need(&["head_dim"])?,
        kernel: inner.or(&["short_conv_kernel_size"], 4)?,
        full_rank_gate: inner.flag("use_full_rank_gate", false),
    };
    let full: Vec<u64> = inner
        .list("full_attn_layers")
        .ok_or_else(|| missing("linear_attn_config.full_attn_layers"))?
        .iter()
        .filter_map(Value::as_u64)
        .collect();
    let dense_first = fields.or(&["first_k_dense_replace"], 0)?;
    spec.layers = Vec::new();
    for index in 0..layers {
        let layer =
            LayerKind::attention(1, Pattern::Full, spec.moe.is_some() && index >= dense_first);
        // Layers are numbered from 1 in the list.
        let mixer = if full.contains(&(index + 1)) {
            Mixer::Attention
        } else {
            mixer
        };
        add(&mut spec.layers, LayerKind { mixer, ..layer });
    }
    Ok(spec)
}

/// MiMo V2: local layers have more key-value heads than global ones, and values narrower than keys.
pub(crate) fn mimo_v2(fields: &Fields<'_>) -> Result<Spec, Error> {
    let mut spec = plain(fields, fields.need(&["intermediate_size"])?)?;
    let layers = fields.need(&["num_hidden_layers"])?;
    spec.moe = moe(fields, "mimo_v2_flash")?;
    let bias = fields.flag("attention_bias", false);
    spec.qkv_bias = bias;
    let local =
        per_layer(fields, "hybrid_layer_pattern", layers)?.ok_or_else(|| Error::Missing {
            file: fields.file.to_owned(),
            field: "hybrid_layer_pattern".to_owned(),
        })?;
    let experts = per_layer(fields, "moe_layer_freq", layers)?;
    let shape = |local: bool| -> Result<HeadShape, Error> {
        let (heads, kv_heads, qk_width, v_width, sinks) = if local {
            (
                "swa_num_attention_heads",
                "swa_num_key_value_heads",
                "swa_head_dim",
                "swa_v_head_dim",
                "add_swa_attention_sink_bias",
            )
        } else {
            (
                "num_attention_heads",
                "num_key_value_heads",
                "head_dim",
                "v_head_dim",
                "add_full_attention_sink_bias",
            )
        };
        let shape = HeadShape {
            heads: fields.need(&[heads])?,
            kv_heads: fields.need(&[kv_heads])?,
            qk_width: fields.need(&[qk_width])?,
            v_width: fields.need(&[v_width])?,
            sinks: fields.flag(sinks, false),
            causal: true,
            keys_are_values: false,
        };
        if !shape.heads.is_multiple_of(shape.kv_heads) {
            return Err(fields.contradiction(format!(
                "`{heads}` {} is no multiple of `{kv_heads}` {}",
                shape.heads, shape.kv_heads
            )));
        }
        Ok(shape)
    };
    let window = fields.need(&["sliding_window"])?;
    spec.layers = Vec::new();
    for index in 0..layers as usize {
        let is_local = local[index] == 1;
        let pattern = if is_local {
            Pattern::Window(window)
        } else {
            Pattern::Full
        };
        let routed = spec.moe.is_some() && experts.as_ref().is_none_or(|list| list[index] == 1);
        add(
            &mut spec.layers,
            LayerKind {
                mixer: Mixer::Heads(shape(is_local)?),
                ..LayerKind::attention(1, pattern, routed)
            },
        );
    }
    Ok(spec)
}

/// MiniMax M3: attention over blocks of keys that an indexer selects, experts after the first layers.
pub(crate) fn minimax_m3(fields: &Fields<'_>) -> Result<Spec, Error> {
    let mut spec = plain(
        fields,
        fields.need(&["dense_intermediate_size", "intermediate_size"])?,
    )?;
    let layers = fields.need(&["num_hidden_layers"])?;
    spec.moe = moe(fields, "minimax_m3")?;
    spec.qk_norm = fields.flag("use_qk_norm", false) && fields.text("qk_norm_type") == "per_head";
    spec.qk_norm_full = fields.flag("use_qk_norm", false) && !spec.qk_norm;
    spec.output_gate = fields.flag("attention_output_gate", false);
    spec.predict_ahead = fields.or(&["num_nextn_predict_layers"], 0)?;
    let experts = per_layer(fields, "moe_layer_freq", layers)?;
    let mut sparse = None;
    let mut keys = 0;
    if let Some(map) = fields
        .map
        .get("sparse_attention_config")
        .and_then(Value::as_object)
    {
        let inner = Fields {
            map,
            file: fields.file,
        };
        if inner.flag("use_sparse_attention", true) {
            sparse = per_layer(&inner, "sparse_attention_freq", layers)?;
            keys = inner.need(&["sparse_topk_blocks"])? * inner.need(&["sparse_block_size"])?;
            spec.block_indexer = Some((
                inner.need(&["sparse_num_index_heads"])?,
                inner.need(&["sparse_index_dim"])?,
            ));
        }
    }
    let dense_first = fields.or(&["first_k_dense_replace"], 0)?;
    spec.layers = Vec::new();
    for index in 0..layers as usize {
        let selects = sparse.as_ref().is_some_and(|list| list[index] == 1);
        let pattern = if selects {
            Pattern::Selected(keys)
        } else {
            Pattern::Full
        };
        let routed = spec.moe.is_some()
            && experts
                .as_ref()
                .map_or(index as u64 >= dense_first, |list| list[index] == 1);
        add(&mut spec.layers, LayerKind::attention(1, pattern, routed));
    }
    Ok(spec)
}

#[cfg(test)]
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
mod tests {
    use crate::{BlockKind, from_config_json};

    fn t5(d_model: u64, d_ff: u64, heads: u64, layers: u64, more: &str) -> u64 {
        let text = format!(
            r#"{{"architectures":["T5ForConditionalGeneration"],"model_type":"t5","d_model":{d_model},"d_kv":64,"d_ff":{d_ff},
            "num_heads":{heads},"num_layers":{layers},"relative_attention_num_buckets":32,"vocab_size":32128{more}}}"#
        );
        from_config_json(&text, "config.json").unwrap().parameters()
    }

    #[test]
    fn counts_t5_and_its_second_version() {
        // Sizes of the checkpoints google-t5/t5-small, t5-base, t5-large and google/flan-t5-base on Hugging Face.
        assert_eq!(t5(512, 2048, 8, 6, ""), 60_506_624);
        assert_eq!(t5(768, 3072, 12, 12, ""), 222_903_552);
        assert_eq!(t5(1024, 4096, 16, 24, ""), 737_668_096);
        assert_eq!(
            t5(
                768,
                2048,
                12,
                12,
                r#","feed_forward_proj":"gated-gelu","tie_word_embeddings":false"#
            ),
            247_577_856
        );
    }

    /// Every real file of the reference folder is read, and those whose size the makers publish come within 2% of it.
    #[test]
    fn real_files_are_read_where_they_are_at_hand() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../shared/reference/model_configs");
        let Ok(files) = std::fs::read_dir(&folder) else {
            eprintln!("skipped: {} is not here", folder.display());
            return;
        };
        // Billions of parameters on the model cards, prediction modules and vision towers aside.
        let published = [
            ("MiMo-V2-Flash", 309.0),
            ("deepseek-ai--DeepSeek-V4-Flash", 284.0),
            ("deepseek-ai--DeepSeek-V4-Pro", 1600.0),
            ("Step-3.7-Flash_", 196.0),
            ("gemma-4-26B-A4B", 25.2),
            ("Qwen3.5-397B-A17B", 397.0),
            ("Kimi-K2-Instruct", 1026.0),
            ("MiniMax-M2.5", 229.0),
        ];
        let mut n_read = 0;
        for file in files {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let model = from_config_json(&text, &name).unwrap();
            n_read += 1;
            if let Some((_, billions)) = published.iter().find(|(part, _)| name.contains(part)) {
                let counted: u64 = model
                    .blocks
                    .iter()
                    .filter(|block| {
                        !matches!(block.kind, BlockKind::PredictAhead | BlockKind::Tower)
                    })
                    .map(|block| block.repeat * block.parameters())
                    .sum();
                let error = counted as f64 / (billions * 1e9) - 1.0;
                assert!(error.abs() < 0.02, "{name}: {error:+.3}");
            }
        }
        assert_eq!(n_read, 55);
    }

    proptest::proptest! {
        #[test]
        fn a_changed_config_is_read_or_refused(at in 0usize..1200, byte in 0u8..128) {
            let text = r#"{"model_type":"mimo_v2_flash","hidden_size":64,"num_attention_heads":4,"num_key_value_heads":2,
                "num_hidden_layers":2,"intermediate_size":64,"vocab_size":100,"head_dim":16,"v_head_dim":8,"sliding_window":4,
                "swa_num_attention_heads":4,"swa_num_key_value_heads":4,"swa_head_dim":16,"swa_v_head_dim":8,"n_routed_experts":4,
                "moe_intermediate_size":8,"num_experts_per_tok":2,"hybrid_layer_pattern":[0,1],"moe_layer_freq":[0,1]}"#;
            assert!(from_config_json(text, "x").is_ok());
            let mut bytes = text.as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(text) = String::from_utf8(bytes) {
                let _ = from_config_json(&text, "x");
            }
        }
    }

    #[test]
    fn lists_of_layers_must_be_long_enough() {
        let text = r#"{"model_type":"mimo_v2_flash","hidden_size":64,"num_attention_heads":4,"num_hidden_layers":3,"intermediate_size":64,
            "vocab_size":100,"head_dim":16,"hybrid_layer_pattern":[0,1]}"#;
        let error = from_config_json(text, "my.json").unwrap_err().to_string();
        assert!(
            error.contains("my.json") && error.contains("hybrid_layer_pattern"),
            "{error}"
        );
    }

    #[test]
    fn opt_350m_projects_its_word_embeddings() {
        // facebook/opt-350m on Hugging Face: 331,196,416 parameters.
        let text = r#"{"model_type":"opt","hidden_size":1024,"word_embed_proj_dim":512,"ffn_dim":4096,"num_attention_heads":16,
            "num_hidden_layers":24,"vocab_size":50272,"max_position_embeddings":2048,"do_layer_norm_before":false}"#;
        assert_eq!(
            from_config_json(text, "config.json").unwrap().parameters(),
            331_196_416
        );
    }
}
