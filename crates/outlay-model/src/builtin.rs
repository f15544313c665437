//! Built-in models: names that people type, with the sizes that their authors publish.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::config::{from_config, from_config_with};
use crate::error::{Error, nearest};
use crate::graph::Model;
use crate::net::Input;

/// A model known by name.
#[derive(Clone, Debug)]
pub struct BuiltinModel {
    /// Name that people type.
    pub name: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// Parameters of the main model (prediction modules aside).
    pub parameters: u64,
    /// Whether `parameters` is a published count, rather than one that follows from published shapes.
    pub is_published: bool,
    /// The published figure with the digits that it has, such as `671B`, where no count is published.
    pub about: Option<String>,
    /// Where the figures come from.
    pub source: String,
    pub(crate) config: serde_json::Value,
}

#[derive(Deserialize)]
struct File {
    model: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    parameters: Option<u64>,
    about: Option<String>,
    source: String,
    config: serde_json::Value,
}

impl BuiltinModel {
    /// The model's graph.
    ///
    /// # Errors
    /// None in practice: a test reads every entry.
    pub fn model(&self) -> Result<Model, Error> {
        self.model_with(&Input::default())
    }

    /// The model's graph with the size of a sample given.
    ///
    /// # Errors
    /// Where the model cannot take such a sample (a picture that is no whole number of patches).
    pub fn model_with(&self, input: &Input) -> Result<Model, Error> {
        let mut model = from_config_with(&self.config, &self.name, input)?;
        model.name.clone_from(&self.name);
        Ok(model)
    }
}

/// Every built-in model.
pub fn builtin() -> &'static [BuiltinModel] {
    static LIST: LazyLock<Vec<BuiltinModel>> = LazyLock::new(|| {
        let file: File = toml::from_str(include_str!("../data/models.toml"))
            .expect("the built-in list is checked by a test");
        file.model
            .into_iter()
            .map(|entry| {
                let computed = from_config(&entry.config, &entry.name)
                    .map_or(0, |model| model.main_parameters());
                BuiltinModel {
                    name: entry.name,
                    aliases: entry.aliases,
                    parameters: entry.parameters.unwrap_or(computed),
                    is_published: entry.parameters.is_some(),
                    about: entry.about,
                    source: entry.source,
                    config: entry.config,
                }
            })
            .collect()
    });
    &LIST
}

fn plain(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// What hubs add to a model's name for a copy of the same shapes: its tuning, or its number format.
const SUFFIXES: [&str; 17] = [
    "bf16",
    "instruct",
    "instruct2507",
    "thinking2507",
    "chat",
    "base",
    "it",
    "hf",
    "fp8",
    "fp8dynamic",
    "fp8statictensor",
    "fp4",
    "nvfp4",
    "mxfp4",
    "awq",
    "gptqint4",
    "w4a16",
];

/// Finds a built-in model by name or alias, without regard to case and punctuation, nor to an owner in front and a tuning
/// or number format behind: `nvidia/Qwen3-32B-NVFP4` is `qwen3-32b`.
///
/// # Errors
/// [`Error::UnknownModel`] with the nearest names.
pub fn find(name: &str) -> Result<&'static BuiltinModel, Error> {
    let wanted = plain(name.rsplit('/').next().unwrap_or(name));
    // Makers that put their name before the model's.
    let mut wanted = [("meta", "llama"), ("nvidia", "nemotron")]
        .into_iter()
        .find_map(|(maker, model)| {
            wanted
                .strip_prefix(maker)
                .filter(|rest| rest.starts_with(model))
        })
        .unwrap_or(&wanted);
    let has = |wanted: &str| {
        builtin().iter().find(|model| {
            plain(&model.name) == wanted || model.aliases.iter().any(|alias| plain(alias) == wanted)
        })
    };
    let mut found = has(wanted);
    while found.is_none()
        && let Some(shorter) = SUFFIXES
            .iter()
            .filter_map(|suffix| wanted.strip_suffix(suffix))
            .min_by_key(|shorter| shorter.len())
    {
        wanted = shorter;
        found = has(wanted);
    }
    found.ok_or_else(|| Error::UnknownModel {
        name: name.to_owned(),
        nearest: nearest(name, builtin().iter().map(|model| model.name.as_str())),
    })
}

/// Finds the built-in model that a provider's name for it means: `deepinfra/Qwen/Qwen3-32B`, `zai.glm-5`,
/// `fireworks_ai/kimi-k2p5`. `None` where it is not one of them.
pub fn find_served(name: &str) -> Option<&'static BuiltinModel> {
    let last = name.rsplit('/').next().unwrap_or(name);
    // A point written as `p` between digits.
    let bytes = last.as_bytes();
    let pointed: String = (0..bytes.len())
        .map(|index| {
            let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
            if bytes[index] == b'p' && index > 0 && digit(index - 1) && digit(index + 1) {
                '.'
            } else {
                char::from(bytes[index])
            }
        })
        .collect();
    // A maker before a point: `qwen.qwen3-32b-v1:0`; a version of the service behind.
    let unversioned = pointed
        .strip_suffix("-v1:0")
        .or_else(|| pointed.strip_suffix("-1:0"))
        .unwrap_or(&pointed);
    let without_maker = unversioned
        .split_once('.')
        .filter(|(maker, _)| maker.bytes().all(|byte| byte.is_ascii_alphabetic()))
        .map_or(unversioned, |(_, model)| model);
    [unversioned, without_maker]
        .into_iter()
        .find_map(|name| find(name.trim_end_matches("-maas")).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_providers_are_found() {
        for (name, model) in [
            (
                "deepinfra/meta-llama/Meta-Llama-3.1-70B-Instruct",
                "llama-3.1-70b",
            ),
            ("fireworks_ai/kimi-k2p5", "kimi-k2.5"),
            ("zai.glm-5", "glm-5"),
            ("qwen.qwen3-32b-v1:0", "qwen3-32b"),
            ("openai.gpt-oss-120b-1:0", "gpt-oss-120b"),
            ("minimax.minimax-m2.5", "minimax-m2.5"),
        ] {
            assert_eq!(find_served(name).unwrap().name, model, "{name}");
        }
        assert!(find_served("gpt-4o").is_none());
        assert!(find_served("é").is_none());
    }

    #[test]
    fn published_counts_are_met_to_the_last_parameter() {
        let mut wrong = Vec::new();
        let mut n = 0;
        for entry in builtin().iter().filter(|entry| entry.is_published) {
            let counted = entry.model().unwrap().main_parameters();
            n += 1;
            if counted != entry.parameters {
                wrong.push(format!(
                    "{}: counted {counted}, published {} ({}): {}",
                    entry.name,
                    entry.parameters,
                    entry.source,
                    counted as i64 - entry.parameters as i64
                ));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(n >= 40, "only {n} published counts");
    }

    #[test]
    fn published_figures_are_met_to_their_last_digit() {
        let mut n = 0;
        for entry in builtin() {
            let Some(about) = &entry.about else { continue };
            let (digits, unit) = about.split_at(about.len() - 1);
            let unit = match unit {
                "M" => 1e6,
                "B" => 1e9,
                "T" => 1e12,
                _ => panic!("{}: `{about}`", entry.name),
            };
            let decimals = digits.split_once('.').map_or(0, |(_, after)| after.len());
            let counted = entry.model().unwrap().main_parameters() as f64 / unit;
            assert_eq!(
                format!("{counted:.decimals$}"),
                digits,
                "{}: {counted} {}",
                entry.name,
                entry.source
            );
            n += 1;
        }
        assert!(n >= 20, "only {n} published figures");
    }

    #[test]
    fn every_entry_reads_and_names_are_unique() {
        let mut seen = std::collections::HashSet::new();
        for entry in builtin() {
            assert!(entry.model().unwrap().parameters() > 0, "{}", entry.name);
            for name in std::iter::once(&entry.name).chain(&entry.aliases) {
                assert!(seen.insert(plain(name)), "{name}");
            }
        }
    }

    #[test]
    fn finds_other_spellings_and_says_what_is_near() {
        assert_eq!(
            find("meta-llama/Meta-Llama-3.1-8B").unwrap().name,
            "llama-3.1-8b"
        );
        assert_eq!(find("LLAMA3.1_8B").unwrap().name, "llama-3.1-8b");
        for (name, model) in [
            ("nvidia/Qwen3-32B-NVFP4", "qwen3-32b"),
            ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b"),
            ("nvidia/Llama-3.1-70B-Instruct-FP8", "llama-3.1-70b"),
            ("nvidia/DeepSeek-V3.1-NVFP4", "deepseek-v3"),
            ("nvidia/Llama-3.3-70B-Instruct-FP4", "llama-3.1-70b"),
            ("MiniMaxAI/MiniMax-M2.5", "minimax-m2.5"),
        ] {
            assert_eq!(find(name).unwrap().name, model, "{name}");
        }
        let error = find("lama-3.1-8b").unwrap_err().to_string();
        assert!(error.contains("llama-3.1-8b"), "{error}");
    }
}
