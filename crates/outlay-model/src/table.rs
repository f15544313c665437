//! A model described by its sizes in a hand-written table, or by the columns of a measurement.

use serde::Deserialize;

use crate::error::Error;
use crate::graph::{Family, Model, Pattern};
use crate::spec::{Experts, LayerKind, Spec};

/// The `[model]` table of `outlay.toml`. Widths are in elements.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShapeTable {
    /// Name to show.
    pub name: String,
    /// Layers.
    pub layers: u64,
    /// Width of the residual stream.
    pub hidden: u64,
    /// Feed-forward width.
    pub ffn: u64,
    /// Query heads.
    pub heads: u64,
    /// Key-value heads; as many as query heads where absent.
    pub kv_heads: Option<u64>,
    /// Width of a head; `hidden / heads` where absent.
    pub head_width: Option<u64>,
    /// Rows of the token embedding.
    pub vocabulary: u64,
    /// Gated feed-forward without biases (Llama) or plain with biases (GPT). Absent: plain where `ffn` is `4 * hidden`.
    pub gated: Option<bool>,
    /// Whether the output product shares the token embedding. Absent: shared where plain.
    pub tied: Option<bool>,
    /// Routed experts.
    pub experts: Option<u64>,
    /// Experts that a token visits.
    pub experts_per_token: Option<u64>,
    /// Width of one expert; `ffn` where absent.
    pub expert_ffn: Option<u64>,
    /// Shared experts.
    pub shared_experts: Option<u64>,
    /// Layers at the start without experts.
    pub dense_layers: Option<u64>,
    /// Rows of learned positions.
    pub positions: Option<u64>,
    /// Sliding window, in tokens.
    pub window: Option<u64>,
    /// Bidirectional attention (BERT).
    pub encoder: Option<bool>,
}

/// Builds a model from a table.
///
/// # Errors
/// [`Error`] where a size is zero, absurd, or contradicts another.
pub fn from_shape(table: &ShapeTable) -> Result<Model, Error> {
    let file = if table.name.is_empty() {
        "[model]"
    } else {
        table.name.as_str()
    };
    let wrong = |field: &str, value: u64, allowed: &str| Error::Value {
        file: file.to_owned(),
        field: field.to_owned(),
        value: value.to_string(),
        allowed: allowed.to_owned(),
    };
    for (field, value) in [
        ("layers", table.layers),
        ("hidden", table.hidden),
        ("ffn", table.ffn),
        ("heads", table.heads),
        ("vocabulary", table.vocabulary),
    ] {
        if value == 0 || value > 10_000_000 {
            return Err(wrong(field, value, "1 to 10000000"));
        }
    }
    let heads = table.heads;
    let kv_heads = table.kv_heads.unwrap_or(heads);
    if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
        return Err(wrong(
            "kv_heads",
            kv_heads,
            &format!("divisors of `heads` {heads}"),
        ));
    }
    let head_width = match table.head_width {
        Some(0) => return Err(wrong("head_width", 0, "1 and more")),
        Some(width) => width,
        None if table.hidden.is_multiple_of(heads) => table.hidden / heads,
        None => {
            return Err(wrong(
                "heads",
                heads,
                &format!(
                    "divisors of `hidden` {}, or give `head_width`",
                    table.hidden
                ),
            ));
        }
    };
    let gated = table
        .gated
        .unwrap_or(table.experts.is_some() || table.ffn != 4 * table.hidden);
    let moe = match table.experts {
        None => None,
        Some(experts) => {
            let selected = table.experts_per_token.unwrap_or(1);
            if experts == 0 || selected == 0 || selected > experts {
                return Err(wrong(
                    "experts_per_token",
                    selected,
                    &format!("1 to the {experts} experts"),
                ));
            }
            let ffn = table.expert_ffn.unwrap_or(table.ffn);
            Some(Experts {
                experts,
                selected,
                ffn,
                shared_ffn: table.shared_experts.unwrap_or(0).min(1000) * ffn.min(10_000_000),
                shared_gate: false,
                selection_bias: false,
                biases: false,
                gated: true,
                latent: 0,
                own_norms: false,
            })
        }
    };
    let dense = if moe.is_some() {
        table.dense_layers.unwrap_or(0).min(table.layers)
    } else {
        table.layers
    };
    for (field, value) in [
        ("window", table.window),
        ("experts", table.experts),
        ("expert_ffn", table.expert_ffn),
        ("positions", table.positions),
        ("head_width", table.head_width),
    ] {
        if let Some(value) = value
            && !(1..=10_000_000).contains(&value)
        {
            return Err(wrong(field, value, "1 to 10000000"));
        }
    }
    if table.experts.is_none() {
        for (field, value) in [
            ("experts_per_token", table.experts_per_token),
            ("expert_ffn", table.expert_ffn),
            ("shared_experts", table.shared_experts),
            ("dense_layers", table.dense_layers),
        ] {
            if let Some(value) = value {
                return Err(wrong(field, value, "only beside `experts`"));
            }
        }
    }
    if let Some(value) = table.dense_layers
        && value > table.layers
    {
        return Err(wrong(
            "dense_layers",
            value,
            &format!("0 to the {} layers", table.layers),
        ));
    }
    let pattern = table.window.map_or(Pattern::Full, Pattern::Window);
    let spec = Spec {
        name: crate::config::shown(&table.name),
        architecture: "table".to_owned(),
        family: if table.encoder == Some(true) {
            Family::Encoder
        } else {
            Family::Decoder
        },
        hidden: table.hidden,
        vocabulary: table.vocabulary,
        heads,
        kv_heads,
        head_width,
        ffn: table.ffn,
        gated,
        qkv_bias: !gated,
        out_bias: !gated,
        mlp_bias: !gated,
        norm_weights: if gated { 1 } else { 2 },
        norms: 2,
        qk_norm: false,
        qk_norm_full: false,
        sinks: false,
        output_gate: false,
        tied: table.tied.unwrap_or(!gated),
        head_bias: false,
        positions: table.positions.unwrap_or(0),
        rotary: gated && table.positions.is_none(),
        embedding_extra: 0,
        head_extra: 0,
        final_norm: true,
        latent: None,
        vocabulary_width: table.hidden,
        block_indexer: None,
        hyper_connections: 0,
        moe,
        layers: vec![
            LayerKind::attention(dense, pattern, false),
            LayerKind::attention(table.layers - dense, pattern, true),
        ],
        predict_ahead: 0,
        max_sequence_tokens: None,
        notes: Vec::new(),
    };
    if let Some(what) = spec.absurd() {
        return Err(Error::Contradiction {
            file: file.to_owned(),
            what,
        });
    }
    Ok(spec.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpt3() -> ShapeTable {
        ShapeTable {
            name: "gpt-3".to_owned(),
            layers: 96,
            hidden: 12_288,
            ffn: 49_152,
            heads: 96,
            vocabulary: 50_257,
            positions: Some(2048),
            ..ShapeTable::default()
        }
    }

    #[test]
    fn counts_gpt3() {
        // 175B in the paper (arXiv:2005.14165, table 2.1); 12 L h^2 and the embeddings make 174.6e9.
        let parameters = from_shape(&gpt3()).unwrap().parameters() as f64;
        assert!((parameters / 174.6e9 - 1.0).abs() < 1e-3, "{parameters}");
    }

    #[test]
    fn refuses_heads_that_do_not_divide() {
        let error = from_shape(&ShapeTable {
            heads: 100,
            ..gpt3()
        })
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("heads") && error.contains("12288"),
            "{error}"
        );
        assert!(
            from_shape(&ShapeTable {
                kv_heads: Some(7),
                ..gpt3()
            })
            .is_err()
        );
        assert!(
            from_shape(&ShapeTable {
                layers: 0,
                ..gpt3()
            })
            .is_err()
        );
    }
}
