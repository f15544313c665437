//! Reads the model files that people have, told apart by their names.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::from_config_json_with;
use crate::error::Error;
use crate::graph::Model;
use crate::header::{Gguf, read_gguf, safetensors_parameters};
use crate::net::Input;
use crate::table::{ShapeTable, from_shape};

/// A model read from a file.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The graph.
    pub model: Model,
    /// Parameters counted from tensor shapes, where a file with them was there.
    pub exact_parameters: Option<u64>,
    /// Bytes of the file for each parameter, where the file holds the weights (GGUF).
    pub bytes_per_parameter: Option<f64>,
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::Unreadable {
        file: path.display().to_string(),
        message: error.to_string(),
    }
}

fn open(path: &Path) -> Result<(BufReader<File>, u64), Error> {
    // Before it is opened: a pipe would wait for a writer, and a device may have no end.
    let data = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !data.is_file() {
        return Err(Error::Syntax {
            file: path.display().to_string(),
            message: "is no regular file".to_owned(),
        });
    }
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    Ok((BufReader::new(file), data.len()))
}

/// Reads a text file of at most 100 MB.
fn read_text(path: &Path) -> Result<String, Error> {
    let (mut input, length) = open(path)?;
    if length > 100_000_000 {
        return Err(Error::Syntax {
            file: path.display().to_string(),
            message: format!("{length} bytes are too many for a configuration; allowed: 100000000"),
        });
    }
    let mut text = String::new();
    input
        .read_to_string(&mut text)
        .map_err(|error| unreadable(path, &error))?;
    Ok(text)
}

/// Reads a `config.json`, a folder with one, a `.safetensors` file beside one, a `.gguf` or `.onnx` file, or a `.toml` file with
/// a `[model]` table.
///
/// # Errors
/// [`Error`], which names the file and the field.
pub fn read_path(path: &Path) -> Result<Loaded, Error> {
    read_path_with(path, &Input::default())
}

/// As [`read_path`], with the size of a sample given for models that take images or videos.
///
/// # Errors
/// As [`read_path`], and where the model cannot take such a sample.
pub fn read_path_with(path: &Path, input: &Input) -> Result<Loaded, Error> {
    let name = path.display().to_string();
    if path.is_dir() {
        // A pipeline of diffusers: the part that is trained.
        for part in ["unet", "transformer"] {
            let inner = path.join(part).join("config.json");
            if !path.join("config.json").exists() && inner.exists() {
                return read_path_with(&inner, input);
            }
        }
        return read_path_with(&path.join("config.json"), input);
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gguf") => {
            let (mut input, length) = open(path)?;
            let header = read_gguf(&mut input, length, &name)?;
            let model = from_gguf(&header, &name)?;
            Ok(Loaded {
                model,
                exact_parameters: Some(header.parameters),
                bytes_per_parameter: Some(length as f64 / header.parameters.max(1) as f64),
            })
        }
        Some("onnx") => {
            let (mut file, length) = open(path)?;
            let model = crate::onnx_model::read_onnx(&mut file, length, &name, input)?;
            Ok(Loaded {
                model,
                exact_parameters: None,
                bytes_per_parameter: None,
            })
        }
        Some("safetensors") => {
            let config = path.with_file_name("config.json");
            if !config.exists() {
                return Err(Error::Syntax {
                    file: name,
                    message: "tensor shapes alone do not tell the architecture; put its config.json beside it".to_owned(),
                });
            }
            read_path_with(&config, input)
        }
        Some("toml") => {
            #[derive(Deserialize)]
            struct Project {
                model: Option<ShapeTable>,
            }
            let text = read_text(path)?;
            let project: Project = toml::from_str(&text).map_err(|error| {
                let line = error.span().map_or(1, |span| {
                    text[..span.start.min(text.len())].matches('\n').count() + 1
                });
                Error::Syntax {
                    file: name.clone(),
                    message: format!("line {line}: {}", error.message().replace('\n', ", ")),
                }
            })?;
            let Some(mut table) = project.model else {
                return Err(Error::Missing {
                    file: name,
                    field: "[model]".to_owned(),
                });
            };
            if table.name.is_empty() {
                table.name = name;
            }
            Ok(Loaded {
                model: from_shape(&table)?,
                exact_parameters: None,
                bytes_per_parameter: None,
            })
        }
        _ => {
            let text = read_text(path)?;
            let folder = path.parent().unwrap_or(Path::new("."));
            let input = match pipeline_of(folder) {
                Some(pipeline) => with_caption(pipeline, input)?,
                None => *input,
            };
            let mut model = from_config_json_with(&text, &name, &input)?;
            let exact_parameters = tensors_beside(path)?;
            if let Some(exact) = exact_parameters {
                compare(&mut model, exact, &name)?;
            }
            Ok(Loaded {
                model,
                exact_parameters,
                bytes_per_parameter: None,
            })
        }
    }
}

/// Reads the parts that stand before a diffusion model in its pipeline's folder and run for every sample: text encoders
/// (`text_encoder`, `text_encoder_2`, `text_encoder_3`) and the encoder of the autoencoder (`vae`).
///
/// `config` is the diffusion model's own file, `<pipeline>/unet/config.json` or `<pipeline>/transformer/config.json`.
///
/// # Errors
/// [`Error`] where such a part is there and cannot be read.
pub fn read_companions(config: &Path, input: &Input) -> Result<Vec<Model>, Error> {
    let folder = if config.is_dir() {
        config
    } else {
        config.parent().unwrap_or(Path::new("."))
    };
    let pipeline = pipeline_of(folder).unwrap_or(folder);
    let input = with_caption(pipeline, input)?;
    let mut out = Vec::new();
    for part in ["text_encoder", "text_encoder_2", "text_encoder_3", "vae"] {
        let file = pipeline.join(part).join("config.json");
        if file.exists() {
            out.push(read_path_with(&file, &input)?.model);
        }
    }
    Ok(out)
}

/// The folder of the pipeline whose trained part lies in a folder.
fn pipeline_of(folder: &Path) -> Option<&Path> {
    folder
        .file_name()
        .is_some_and(|name| name == "unet" || name == "transformer")
        .then(|| folder.parent())
        .flatten()
}

/// The size of a sample with the caption's tokens where they are not given and the pipeline's `model_index.json` names a
/// class that pads captions to so many.
fn with_caption(pipeline: &Path, input: &Input) -> Result<Input, Error> {
    let index = pipeline.join("model_index.json");
    if input.caption_tokens.is_some() || !index.exists() {
        return Ok(*input);
    }
    let text = read_text(&index)?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| Error::Syntax {
        file: index.display().to_string(),
        message: error.to_string(),
    })?;
    let class = value.get("_class_name").and_then(|class| class.as_str());
    Ok(Input {
        caption_tokens: class.and_then(crate::diffusers::caption_tokens),
        ..*input
    })
}

/// Parameters in the safetensors files beside a `config.json`; `None` where there are none or some are missing.
fn tensors_beside(config: &Path) -> Result<Option<u64>, Error> {
    let folder = config.parent().unwrap_or(Path::new("."));
    let index = folder.join("model.safetensors.index.json");
    let mut files: Vec<PathBuf> = Vec::new();
    if index.exists() {
        let text = read_text(&index)?;
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| Error::Syntax {
                file: index.display().to_string(),
                message: error.to_string(),
            })?;
        let Some(map) = value.get("weight_map").and_then(|map| map.as_object()) else {
            return Err(Error::Missing {
                file: index.display().to_string(),
                field: "weight_map".to_owned(),
            });
        };
        for (tensor, file) in map {
            // A shard lies beside its index: a path to elsewhere is no shard.
            let shard = file.as_str().filter(|name| {
                let plain = Path::new(name).file_name();
                plain.is_some_and(|plain| plain == *name)
            });
            let Some(shard) = shard else {
                return Err(Error::Value {
                    file: index.display().to_string(),
                    field: format!("weight_map.{tensor}"),
                    value: file.to_string().chars().take(60).collect(),
                    allowed: "the name of a file in the same folder".to_owned(),
                });
            };
            files.push(folder.join(shard));
        }
        files.sort();
        files.dedup();
    } else {
        let single = folder.join("model.safetensors");
        if single.exists() {
            files.push(single);
        }
    }
    if files.is_empty() || files.iter().any(|file| !file.exists()) {
        return Ok(None);
    }
    let mut total = 0u64;
    for file in files {
        let (mut input, length) = open(&file)?;
        total = total.saturating_add(safetensors_parameters(
            &mut input,
            length,
            &file.display().to_string(),
        )?);
    }
    Ok(Some(total))
}

/// GGUF architectures and the model types that describe the same layers.
const GGUF_KINDS: &[(&str, &str)] = &[
    ("llama", "llama"),
    ("qwen2", "qwen2"),
    ("qwen2moe", "qwen2_moe"),
    ("qwen3", "qwen3"),
    ("qwen3moe", "qwen3_moe"),
    ("gemma", "gemma"),
    ("gemma2", "gemma2"),
    ("gemma3", "gemma3_text"),
    ("phi3", "phi3"),
    ("olmo2", "olmo2"),
    ("stablelm", "stablelm"),
    ("gpt2", "gpt2"),
    ("gptneox", "gpt_neox"),
    ("bloom", "bloom"),
    ("gpt-oss", "gpt_oss"),
    ("deepseek2", "deepseek_v3"),
];

/// GGUF keys and the fields of a configuration that mean the same.
const GGUF_FIELDS: &[(&str, &[&str])] = &[
    ("block_count", &["num_hidden_layers", "n_layer"]),
    ("embedding_length", &["hidden_size", "n_embd"]),
    ("feed_forward_length", &["intermediate_size", "n_inner"]),
    ("attention.head_count", &["num_attention_heads", "n_head"]),
    ("attention.head_count_kv", &["num_key_value_heads"]),
    ("attention.key_length", &["head_dim"]),
    ("attention.sliding_window", &["sliding_window"]),
    (
        "context_length",
        &["max_position_embeddings", "n_positions"],
    ),
    ("expert_count", &["num_experts", "n_routed_experts"]),
    ("expert_used_count", &["num_experts_per_tok"]),
    ("expert_feed_forward_length", &["moe_intermediate_size"]),
    ("expert_shared_count", &["n_shared_experts"]),
    (
        "expert_shared_feed_forward_length",
        &["shared_expert_intermediate_size"],
    ),
    ("leading_dense_block_count", &["first_k_dense_replace"]),
    ("attention.q_lora_rank", &["q_lora_rank"]),
    ("attention.kv_lora_rank", &["kv_lora_rank"]),
    ("rope.dimension_count", &["qk_rope_head_dim"]),
];

/// Builds a model from GGUF metadata, by way of the configuration that says the same.
fn from_gguf(header: &Gguf, file: &str) -> Result<Model, Error> {
    let architecture = header.architecture.as_str();
    let Some(&(_, model_type)) = GGUF_KINDS.iter().find(|(name, _)| *name == architecture) else {
        let known: Vec<&str> = GGUF_KINDS.iter().map(|(name, _)| *name).collect();
        return Err(if architecture.is_empty() {
            Error::Missing {
                file: file.to_owned(),
                field: "general.architecture".to_owned(),
            }
        } else {
            Error::unknown_architecture(file, architecture, &known)
        });
    };
    let get = |key: &str| {
        header
            .numbers
            .get(&format!("{architecture}.{key}"))
            .copied()
    };
    let mut config = serde_json::Map::new();
    let experts = get("expert_count").unwrap_or(0);
    let model_type = if model_type == "llama" && experts > 0 {
        config.insert("num_local_experts".to_owned(), experts.into());
        "mixtral"
    } else {
        model_type
    };
    config.insert("model_type".to_owned(), model_type.into());
    for needed in ["block_count", "embedding_length", "attention.head_count"] {
        if get(needed).is_none() {
            return Err(Error::Missing {
                file: file.to_owned(),
                field: format!("{architecture}.{needed}` (a whole number of 0 and more) `"),
            });
        }
    }
    for (key, names) in GGUF_FIELDS {
        if let Some(value) = get(key) {
            for name in *names {
                config.insert((*name).to_owned(), value.into());
            }
        }
    }
    let vocabulary = if header.n_tokens > 0 {
        Some(header.n_tokens)
    } else {
        get("vocab_size")
    };
    config.insert("vocab_size".to_owned(), vocabulary.into());
    config.insert(
        "tie_word_embeddings".to_owned(),
        (!header.has_output).into(),
    );
    if let (Some(key), Some(rope)) = (
        get("attention.key_length_mla").or(get("attention.key_length")),
        get("rope.dimension_count"),
    ) && get("attention.kv_lora_rank").is_some()
    {
        config.insert(
            "qk_nope_head_dim".to_owned(),
            key.saturating_sub(rope).into(),
        );
        let value = get("attention.value_length_mla").or(get("attention.value_length"));
        config.insert("v_head_dim".to_owned(), value.into());
        config.remove("head_dim");
    }
    let mut model = crate::config::from_config(&config.into(), file)?;
    if !header.name.is_empty() {
        model.name = crate::config::shown(&header.name);
    }
    architecture.clone_into(&mut model.architecture);
    compare(&mut model, header.parameters, file)?;
    Ok(model)
}

/// Compares the parameters of tensor files with those that a configuration describes: a small difference (a frequency
/// table, a vision tower) is noted, another model altogether is refused.
fn compare(model: &mut Model, exact: u64, file: &str) -> Result<(), Error> {
    let described = model.parameters();
    if exact == described || exact == model.main_parameters() {
        return Ok(());
    }
    if exact > 2 * described || exact < model.main_parameters() / 2 {
        return Err(Error::Contradiction {
            file: file.to_owned(),
            what: format!(
                "the tensors hold {exact} parameters, but the configuration describes {described}: they are not of one model"
            ),
        });
    }
    model.notes.push(format!(
        "The tensor files hold {exact} parameters, the configuration describes {described}."
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Positions;

    /// A folder of its own for one test.
    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("outlay-model-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn shards_lie_beside_their_index() {
        let folder = folder("index");
        std::fs::write(
            folder.join("config.json"),
            r#"{"model_type":"llama","hidden_size":64,"intermediate_size":128,"num_hidden_layers":2,
                "num_attention_heads":4,"vocab_size":100,"max_position_embeddings":64}"#,
        )
        .unwrap();
        for (index, expected) in [
            (r#"{"weight_map":{"a":"../../etc/passwd"}}"#, "weight_map.a"),
            (r#"{"weight_map":{"a":5}}"#, "weight_map.a"),
            (r#"{"metadata":{}}"#, "weight_map"),
        ] {
            std::fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
            let error = read_path(&folder).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    /// Positions at which a block runs.
    fn positions(model: &Model, block: &str) -> Positions {
        let found = model.blocks.iter().find(|one| one.name == block);
        found.unwrap_or_else(|| panic!("{block}")).positions
    }

    #[test]
    fn a_pipeline_says_how_long_captions_are() {
        let folder = folder("pixart");
        let transformer = folder.join("transformer");
        std::fs::create_dir_all(&transformer).unwrap();
        std::fs::create_dir_all(folder.join("text_encoder")).unwrap();
        std::fs::write(
            folder.join("text_encoder/config.json"),
            r#"{"architectures":["T5EncoderModel"],"model_type":"t5","d_model":64,"d_kv":8,"d_ff":128,"num_heads":8,
                "num_layers":2,"vocab_size":100}"#,
        )
        .unwrap();
        let config = |more: &str| {
            format!(
                r#"{{"_class_name":"PixArtTransformer2DModel","attention_head_dim":72,"caption_channels":4096,"in_channels":4,
                "num_attention_heads":16,"num_layers":28,"out_channels":8,"sample_size":128{more}}}"#
            )
        };
        let sigma = r#","use_additional_conditions":false"#;
        let asked = Input {
            caption_tokens: Some(50),
            ..Input::default()
        };
        for (more, class, input, tokens) in [
            ("", None, Input::default(), 120),
            (
                r#","use_additional_conditions":null"#,
                None,
                Input::default(),
                120,
            ),
            (sigma, None, Input::default(), 300),
            (sigma, Some("PixArtSigmaPipeline"), Input::default(), 300),
            (sigma, Some("PixArtAlphaPipeline"), Input::default(), 120),
            ("", Some("PixArtSigmaPipeline"), Input::default(), 300),
            ("", Some("AnotherPipeline"), Input::default(), 120),
            (sigma, Some("PixArtSigmaPipeline"), asked, 50),
        ] {
            std::fs::write(transformer.join("config.json"), config(more)).unwrap();
            let index = folder.join("model_index.json");
            match class {
                Some(class) => {
                    std::fs::write(&index, format!(r#"{{"_class_name":"{class}"}}"#)).unwrap();
                }
                None => {
                    let _ = std::fs::remove_file(&index);
                }
            }
            let model = read_path_with(&folder, &input).unwrap().model;
            assert_eq!(
                positions(&model, "caption"),
                Positions::Fixed(tokens),
                "{more} {class:?}"
            );
            let encoders = read_companions(&transformer.join("config.json"), &input).unwrap();
            let known = class.is_some_and(|class| class.starts_with("PixArt"));
            let expected = input.caption_tokens.or(known.then_some(tokens));
            assert_eq!(encoders[0].sample.positions, expected, "{more} {class:?}");
        }
        std::fs::write(folder.join("model_index.json"), "{").unwrap();
        let error = read_path(&folder).unwrap_err().to_string();
        assert!(error.contains("model_index.json"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_parts_beside_wan_are_read() {
        let folder = folder("wan");
        let configs = [
            (
                "transformer",
                r#"{"_class_name":"WanTransformer3DModel","attention_head_dim":128,"cross_attn_norm":true,"ffn_dim":8960,
                "freq_dim":256,"in_channels":16,"num_attention_heads":12,"num_layers":30,"out_channels":16,
                "patch_size":[1,2,2],"qk_norm":"rms_norm_across_heads","text_dim":4096}"#,
            ),
            (
                "text_encoder",
                r#"{"architectures":["UMT5EncoderModel"],"d_ff":10240,"d_kv":64,"d_model":4096,
                "feed_forward_proj":"gated-gelu","is_gated_act":true,"model_type":"umt5","num_heads":64,"num_layers":24,
                "relative_attention_num_buckets":32,"vocab_size":256384}"#,
            ),
            (
                "vae",
                r#"{"_class_name":"AutoencoderKLWan","attn_scales":[],"base_dim":96,"dim_mult":[1,2,4,4],"num_res_blocks":2,
                "temperal_downsample":[false,true,true],"z_dim":16}"#,
            ),
        ];
        for (part, config) in configs {
            std::fs::create_dir_all(folder.join(part)).unwrap();
            std::fs::write(folder.join(part).join("config.json"), config).unwrap();
        }
        let mut model = read_path(&folder).unwrap().model;
        assert_eq!(model.parameters(), 1_418_996_800);
        let beside =
            read_companions(&folder.join("transformer/config.json"), &Input::default()).unwrap();
        let counts: Vec<u64> = beside.iter().map(Model::parameters).collect();
        assert_eq!(counts, [5_680_910_336, 126_892_531]);
        for part in &beside {
            model.add_frozen(part, 512);
        }
        // The decoder and the product before it do not run: 73295331 and 272 parameters of diffusers.AutoencoderKLWan.
        let frozen = model.parameters() - model.trained_parameters();
        assert_eq!(frozen, 5_680_910_336 + 126_892_531 - 73_295_331 - 272);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn gguf_metadata_says_what_a_configuration_says() {
        let llama = [
            ("block_count", 32),
            ("embedding_length", 4096),
            ("feed_forward_length", 14336),
            ("attention.head_count", 32),
            ("attention.head_count_kv", 8),
            ("context_length", 131_072),
        ];
        let header = |architecture: &str| Gguf {
            architecture: architecture.to_owned(),
            numbers: llama
                .iter()
                .map(|(key, value)| (format!("{architecture}.{key}"), *value))
                .collect(),
            n_tokens: 128_256,
            has_output: true,
            parameters: 8_030_261_248,
            ..Gguf::default()
        };
        let model = from_gguf(&header("llama"), "x.gguf").unwrap();
        // Llama 3.1 8B's model card.
        assert_eq!(model.parameters(), 8_030_261_248);
        let error = from_gguf(&header("whisper"), "x.gguf")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("x.gguf") && error.contains("whisper"),
            "{error}"
        );
        let mut other = header("llama");
        other.parameters = 16;
        let error = from_gguf(&other, "x.gguf").unwrap_err().to_string();
        assert!(error.contains("not of one model"), "{error}");
    }
}
