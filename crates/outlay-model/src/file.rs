//! Reads the model files that people have, told apart by their names.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::from_config_json;
use crate::error::Error;
use crate::graph::Model;
use crate::header::{Gguf, read_gguf, safetensors_parameters};
use crate::table::{ShapeTable, from_shape};

/// A model read from a file.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The graph.
    pub model: Model,
    /// Parameters counted from tensor shapes, where a file with them was there.
    pub exact_parameters: Option<u64>,
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::Unreadable {
        file: path.display().to_string(),
        message: error.to_string(),
    }
}

fn open(path: &Path) -> Result<(BufReader<File>, u64), Error> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let length = file
        .metadata()
        .map_err(|error| unreadable(path, &error))?
        .len();
    Ok((BufReader::new(file), length))
}

/// Reads a `config.json`, a folder with one, a `.safetensors` file beside one, a `.gguf` file, or a `.toml` file with
/// a `[model]` table.
///
/// # Errors
/// [`Error`], which names the file and the field.
pub fn read_path(path: &Path) -> Result<Loaded, Error> {
    let name = path.display().to_string();
    if path.is_dir() {
        return read_path(&path.join("config.json"));
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gguf") => {
            let (mut input, length) = open(path)?;
            let header = read_gguf(&mut input, length, &name)?;
            let model = from_gguf(&header, &name)?;
            Ok(Loaded {
                model,
                exact_parameters: Some(header.parameters),
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
            read_path(&config)
        }
        Some("toml") => {
            #[derive(Deserialize)]
            struct Project {
                model: Option<ShapeTable>,
            }
            let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
            let project: Project = toml::from_str(&text).map_err(|error| Error::Syntax {
                file: name.clone(),
                message: error.to_string(),
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
            })
        }
        _ => {
            let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
            let mut model = from_config_json(&text, &name)?;
            let exact_parameters = tensors_beside(path)?;
            if let Some(exact) = exact_parameters
                && exact != model.parameters()
                && exact != model.main_parameters()
            {
                model.notes.push(format!(
                    "The tensor files hold {exact} parameters, the configuration describes {}.",
                    model.parameters()
                ));
            }
            Ok(Loaded {
                model,
                exact_parameters,
            })
        }
    }
}

/// Parameters in the safetensors files beside a `config.json`; `None` where there are none or some are missing.
fn tensors_beside(config: &Path) -> Result<Option<u64>, Error> {
    let folder = config.parent().unwrap_or(Path::new("."));
    let index = folder.join("model.safetensors.index.json");
    let mut files: Vec<PathBuf> = Vec::new();
    if index.exists() {
        let text = std::fs::read_to_string(&index).map_err(|error| unreadable(&index, &error))?;
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
        files.extend(
            map.values()
                .filter_map(|file| file.as_str())
                .map(|file| folder.join(file)),
        );
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

/// Builds a model from GGUF metadata.
fn from_gguf(header: &Gguf, file: &str) -> Result<Model, Error> {
    let architecture = header.architecture.as_str();
    let get = |key: &str| {
        header
            .numbers
            .get(&format!("{architecture}.{key}"))
            .copied()
    };
    let need = |key: &str| {
        get(key).ok_or_else(|| Error::Missing {
            file: file.to_owned(),
            field: format!("{architecture}.{key}"),
        })
    };
    let heads = need("attention.head_count")?;
    let experts = get("expert_count").filter(|experts| *experts > 0);
    let mut model = from_shape(&ShapeTable {
        name: if header.name.is_empty() {
            file.to_owned()
        } else {
            header.name.clone()
        },
        layers: need("block_count")?,
        hidden: need("embedding_length")?,
        ffn: get("feed_forward_length")
            .or(get("expert_feed_forward_length"))
            .unwrap_or(0),
        heads,
        kv_heads: get("attention.head_count_kv"),
        head_width: get("attention.key_length"),
        vocabulary: if header.n_tokens > 0 {
            header.n_tokens
        } else {
            need("vocab_size")?
        },
        gated: Some(!matches!(
            architecture,
            "gpt2" | "gptneox" | "bloom" | "falcon" | "mpt" | "phi2" | "bert"
        )),
        tied: Some(!header.has_output),
        experts,
        experts_per_token: experts.and(get("expert_used_count")),
        expert_ffn: get("expert_feed_forward_length"),
        shared_experts: get("expert_shared_count"),
        dense_layers: get("leading_dense_block_count"),
        window: get("attention.sliding_window").filter(|window| *window > 0),
        ..ShapeTable::default()
    })?;
    model.architecture = architecture.to_owned();
    model.max_sequence_tokens = get("context_length");
    Ok(model)
}
