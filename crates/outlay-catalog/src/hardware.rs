//! Accelerators, their links and the nodes and networks that they come in.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// The built-in list, in the order of `data/accelerators.toml`.
static ACCELERATORS: LazyLock<Vec<Accelerator>> = LazyLock::new(|| {
    parse_accelerators(
        include_str!("../data/accelerators.toml"),
        "data/accelerators.toml",
    )
    .expect("the built-in list is part of the build and a test reads it")
});

/// Returns the accelerators that ship with Outlay.
pub fn accelerators() -> &'static [Accelerator] {
    &ACCELERATORS
}

/// Finds a built-in accelerator by its id or another spelling of it.
///
/// Case, punctuation and the maker's name in front do not matter: `A100-80GB`, `nvidia-a100-sxm4-80gb` and
/// `NVIDIA A100-SXM4-80GB` are the same part. A bare family name is its SXM part, as most of them are sold.
///
/// ```
/// assert_eq!(outlay_catalog::find_accelerator("nvidia h100 80gb hbm3")?.id, "H100-SXM");
/// # Ok::<(), outlay_catalog::UnknownAccelerator>(())
/// ```
///
/// # Errors
///
/// No accelerator has that name; the error holds the nearest ids.
pub fn find_accelerator(name: &str) -> Result<&'static Accelerator, UnknownAccelerator> {
    find_accelerator_in(accelerators(), name)
}

/// Finds an accelerator in a list of one's own, with the rules of [`find_accelerator`].
///
/// # Errors
///
/// No accelerator of the list has that name; the error holds the nearest ids.
pub fn find_accelerator_in<'a>(
    list: &'a [Accelerator],
    name: &str,
) -> Result<&'a Accelerator, UnknownAccelerator> {
    let wanted = plain(name);
    let has = |wanted: &str| {
        list.iter()
            .find(|accelerator| accelerator.names().any(|name| plain(name) == wanted))
    };
    has(&wanted)
        .or_else(|| has(without_maker(&wanted)))
        .ok_or_else(|| UnknownAccelerator {
            name: name.to_owned(),
            nearest: nearest(list, without_maker(&wanted)),
        })
}

/// Reads accelerators from TOML, `[[accelerator]]` tables as in the built-in list.
///
/// `file` is only named in errors.
///
/// # Errors
///
/// The text is not such TOML, a figure is not a positive number, or two accelerators share a name.
pub fn parse_accelerators(text: &str, file: &str) -> Result<Vec<Accelerator>, HardwareFileError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct HardwareFile {
        accelerator: Vec<Accelerator>,
    }

    let HardwareFile { accelerator: list } =
        toml::from_str(text).map_err(|source| HardwareFileError::Toml {
            file: file.to_owned(),
            source,
        })?;
    let mut owners = HashMap::new();
    for (index, accelerator) in list.iter().enumerate() {
        if let Some((field, value)) = accelerator.first_bad_figure() {
            return Err(HardwareFileError::Figure {
                file: file.to_owned(),
                id: accelerator.id.clone(),
                field,
                value,
            });
        }
        for name in accelerator.names() {
            if plain(name).is_empty() {
                return Err(HardwareFileError::EmptyName {
                    file: file.to_owned(),
                    id: accelerator.id.clone(),
                });
            }
            if let Some((owner_index, owner)) = owners.insert(plain(name), (index, &accelerator.id))
                && owner_index != index
            {
                return Err(HardwareFileError::SharedName {
                    file: file.to_owned(),
                    name: name.to_owned(),
                    first: owner.clone(),
                    second: accelerator.id.clone(),
                });
            }
        }
    }
    Ok(list)
}

/// No accelerator has the name that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown accelerator `{name}`; did you mean {}?",
    alternatives(nearest)
)]
pub struct UnknownAccelerator {
    /// The name as it was given.
    pub name: String,
    /// Ids of up to three accelerators with the most similar names, nearest first.
    pub nearest: Vec<String>,
}

/// A hardware file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HardwareFileError {
    /// Not TOML, or a field is missing, unknown or of another type.
    #[error("{file}: {source}")]
    Toml {
        /// The file.
        file: String,
        /// Line, column and what was expected.
        source: toml::de::Error,
    },
    /// A figure that is zero, negative or not finite.
    #[error("{file}: accelerator `{id}`: `{field}` is {value}; it must be a positive number")]
    Figure {
        /// The file.
        file: String,
        /// Id of the accelerator.
        id: String,
        /// Path of the field inside the accelerator's table.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// A name without a letter or digit.
    #[error("{file}: accelerator `{id}`: `id`, `name` and `aliases` need a letter or digit each")]
    EmptyName {
        /// The file.
        file: String,
        /// Id of the accelerator.
        id: String,
    },
    /// One name for two accelerators.
    #[error("{file}: `{name}` in `id`, `name` or `aliases` names both `{first}` and `{second}`")]
    SharedName {
        /// The file.
        file: String,
        /// The name.
        name: String,
        /// Id of the accelerator that had it first.
        first: String,
        /// Id of the accelerator that has it again.
        second: String,
    },
}

/// One accelerator as its data sheet states it. Peaks are dense (no structured sparsity).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accelerator {
    /// Name that people type, such as `H100-SXM`.
    pub id: String,
    /// Maker's full name.
    pub name: String,
    /// Maker.
    pub vendor: String,
    /// Generation, the key of calibration constants: `volta`, `ampere`, `ada`, `hopper`, `blackwell`,
    /// `blackwell-ultra`, `cdna2`, `cdna3`, `cdna4`, `gaudi2`, `gaudi3`, `tpu-v3` to `tpu-v7`, `trainium1`, `trainium2`.
    pub generation: String,
    /// Other spellings, compared without case and punctuation.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Memory, in GiB as software sees it.
    pub memory_gib: f64,
    /// Memory bandwidth, in GB/s (1e9 bytes).
    pub memory_gb_per_s: f64,
    /// Dense peaks by number format, in TFLOP/s.
    pub peak_tflops: Peaks,
    /// Exponentials per second, in 1e12, where not a sixteenth of the fp32 peak (see [`Self::exponentials_per_s`]).
    pub exponentials_tera_per_s: Option<f64>,
    /// Board power limit, in watts.
    pub tdp_watts: f64,
    /// Fast link between accelerators of one node (NVLink, xGMI, PCIe, ICI).
    pub link: Link,
    /// Accelerators in the usual node.
    pub node_size: u32,
    /// Usual network between nodes.
    pub network: Network,
    /// List or street price of one, in US dollars, where one is published.
    pub purchase_usd: Option<f64>,
    /// Year of release.
    pub released: u16,
    /// Where the figures come from: `what: address` lines.
    pub sources: Vec<String>,
}

/// Dense peak rates in TFLOP/s; absent where the format is not supported by the matrix units.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peaks {
    /// Plain fp32.
    pub fp32: f64,
    /// TF32 on tensor cores.
    pub tf32: Option<f64>,
    /// bf16.
    pub bf16: Option<f64>,
    /// fp16.
    pub fp16: Option<f64>,
    /// fp8 (also mxfp8).
    pub fp8: Option<f64>,
    /// fp4 (mxfp4, nvfp4).
    pub fp4: Option<f64>,
    /// int8, in TOP/s.
    pub int8: Option<f64>,
}

/// Links inside a node or a rack-scale domain.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Name, such as `NVLink 4`.
    pub name: String,
    /// Bandwidth of one accelerator, one direction, in GB/s.
    pub gb_per_s: f64,
    /// Accelerators that reach each other at this rate (8 for HGX, 72 for NVL72, 1 where there is none).
    pub domain_size: u32,
    /// Latency of one hop, in microseconds.
    pub latency_us: f64,
}

/// Network between nodes, as one accelerator sees it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Name, such as `InfiniBand NDR`.
    pub name: String,
    /// Bandwidth per accelerator, one direction, in Gbit/s.
    pub gbit_per_s: f64,
    /// Latency of one message, in microseconds.
    pub latency_us: f64,
}

impl Accelerator {
    /// Exponentials per second of the special-function units.
    ///
    /// An SM with 128 fp32 lanes (256 FLOPs a clock) has 16 of these units, and so has an AMD compute unit: a
    /// sixteenth of the fp32 peak, unless the list says otherwise (CUDA C++ Programming Guide, arithmetic
    /// instruction throughput).
    pub fn exponentials_per_s(&self) -> f64 {
        self.exponentials_tera_per_s
            .unwrap_or(self.peak_tflops.fp32 / 16.0)
            * 1e12
    }

    /// Its id, its full name, then its aliases.
    fn names(&self) -> impl Iterator<Item = &str> {
        [self.id.as_str(), self.name.as_str()]
            .into_iter()
            .chain(self.aliases.iter().map(String::as_str))
    }

    /// The first figure that is not a positive number, with its path.
    fn first_bad_figure(&self) -> Option<(&'static str, f64)> {
        let peaks = &self.peak_tflops;
        let required = [
            ("memory_gib", self.memory_gib),
            ("memory_gb_per_s", self.memory_gb_per_s),
            ("peak_tflops.fp32", peaks.fp32),
            ("tdp_watts", self.tdp_watts),
            ("link.gb_per_s", self.link.gb_per_s),
            ("link.domain_size", f64::from(self.link.domain_size)),
            ("link.latency_us", self.link.latency_us),
            ("node_size", f64::from(self.node_size)),
            ("network.gbit_per_s", self.network.gbit_per_s),
            ("network.latency_us", self.network.latency_us),
        ];
        let optional = [
            ("peak_tflops.tf32", peaks.tf32),
            ("peak_tflops.bf16", peaks.bf16),
            ("peak_tflops.fp16", peaks.fp16),
            ("peak_tflops.fp8", peaks.fp8),
            ("peak_tflops.fp4", peaks.fp4),
            ("peak_tflops.int8", peaks.int8),
            ("purchase_usd", self.purchase_usd),
            ("exponentials_tera_per_s", self.exponentials_tera_per_s),
        ];
        let optional = optional
            .into_iter()
            .filter_map(|(field, value)| Some((field, value?)));
        required
            .into_iter()
            .chain(optional)
            .find(|(_, value)| !(value.is_finite() && *value > 0.0))
    }
}

/// A name with only its letters and digits, in lower case.
fn plain(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// A plain name without the maker and brand that drivers and clouds put in front.
fn without_maker(mut plain: &str) -> &str {
    const PREFIXES: [&str; 12] = [
        "nvidia", "tesla", "geforce", "quadro", "amd", "radeon", "instinct", "google", "intel",
        "habana", "amazon", "aws",
    ];
    while let Some(rest) = PREFIXES
        .iter()
        .find_map(|prefix| plain.strip_prefix(prefix))
    {
        plain = rest;
    }
    plain
}

/// Ids of up to three accelerators with the names most like a plain one.
fn nearest(list: &[Accelerator], wanted: &str) -> Vec<String> {
    let mut scored: Vec<(f64, &str)> = list
        .iter()
        .map(|accelerator| {
            let likeness = |name: &str| strsim::jaro_winkler(&plain(name), wanted);
            (
                accelerator.names().map(likeness).fold(0.0, f64::max),
                accelerator.id.as_str(),
            )
        })
        .collect();
    scored.sort_by(|(a, _), (b, _)| b.partial_cmp(a).unwrap_or(Ordering::Equal));
    scored
        .into_iter()
        .take(3)
        .map(|(_, id)| id.to_owned())
        .collect()
}

/// Names as an English list of alternatives.
fn alternatives(names: &[String]) -> String {
    match names {
        [] => "another list of accelerators".to_owned(),
        [name] => format!("`{name}`"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|name| format!("`{name}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_belong_to_one_accelerator() {
        // `parse_accelerators` refuses shared names and bad figures, so reading the list checks both.
        let list = parse_accelerators(
            include_str!("../data/accelerators.toml"),
            "accelerators.toml",
        );
        assert!(list.is_ok_and(|list| list.len() >= 45));
    }

    #[test]
    fn entries_name_their_sources() {
        for accelerator in accelerators() {
            assert!(
                accelerator
                    .sources
                    .iter()
                    .any(|source| source.contains(": https://")),
                "{}",
                accelerator.id
            );
            if accelerator.purchase_usd.is_some() {
                assert!(
                    accelerator
                        .sources
                        .iter()
                        .any(|source| source.starts_with("Price, ")),
                    "{}",
                    accelerator.id
                );
            }
        }
    }

    #[test]
    fn peaks_grow_as_formats_shrink() {
        for Accelerator {
            id, peak_tflops, ..
        } in accelerators()
        {
            let Peaks {
                fp32,
                tf32,
                bf16,
                fp16,
                fp8,
                fp4,
                int8: _,
            } = *peak_tflops;
            let rising: Vec<f64> = [Some(fp32), tf32, bf16.or(fp16), fp8, fp4]
                .into_iter()
                .flatten()
                .collect();
            assert!(rising.is_sorted(), "{id}: {rising:?}");
            assert!(bf16.or(fp16).is_some(), "{id}");
        }
    }

    #[test]
    fn other_spellings_find_the_part() {
        let spellings = [
            ("H100", "H100-SXM"),
            ("h100", "H100-SXM"),
            ("nvidia-h100", "H100-SXM"),
            ("NVIDIA H100 80GB HBM3", "H100-SXM"),
            ("H100-80GB-HBM3", "H100-SXM"),
            ("h100_sxm", "H100-SXM"),
            ("h100-nvl", "H100-NVL"),
            ("A100", "A100-80GB-SXM"),
            ("A100-80GB", "A100-80GB-SXM"),
            ("NVIDIA A100-SXM4-40GB", "A100-40GB-SXM"),
            ("NVIDIA A100 80GB PCIe", "A100-80GB-PCIe"),
            ("V100", "V100-16GB-SXM"),
            ("Tesla V100-SXM2-32GB", "V100-32GB-SXM"),
            ("Tesla T4", "T4"),
            ("RTX4090", "RTX-4090"),
            ("NVIDIA GeForce RTX 5090", "RTX-5090"),
            ("RTXPRO6000", "RTX-PRO-6000"),
            ("rtx-pro-server-6000", "RTX-PRO-6000"),
            ("rtx_pro_6000_server", "RTX-PRO-6000"),
            ("RTX6000-Ada", "RTX-6000-Ada"),
            ("NVIDIA RTX 6000 Ada Generation", "RTX-6000-Ada"),
            ("RTXA6000", "A6000"),
            ("A40", "A40"),
            ("a10g", "A10G"),
            ("l4", "L4"),
            ("L40S", "L40S"),
            ("b300_sxm", "B300"),
            ("gb200", "GB200"),
            ("mi300x", "MI300X"),
            ("AMD Instinct MI250X", "MI250X"),
            ("tpu-v5p", "TPU-v5p"),
            ("tpu-v5-lite-podslice", "TPU-v5e"),
            ("Ironwood", "TPU-v7-Ironwood"),
            ("trainium", "Trainium1"),
        ];
        for (name, id) in spellings {
            assert_eq!(
                find_accelerator(name).map(|found| found.id.as_str()),
                Ok(id),
                "{name}"
            );
        }
    }

    #[test]
    fn full_names_find_the_part() {
        for accelerator in accelerators() {
            for name in accelerator.names() {
                assert_eq!(find_accelerator(name), Ok(accelerator), "{name}");
            }
        }
    }

    #[test]
    fn unknown_names_come_with_near_ones() {
        let error = find_accelerator("H10O").expect_err("the letter O is not a zero");
        assert_eq!(error.nearest.len(), 3);
        assert!(error.nearest.iter().any(|id| id == "H100-SXM"), "{error}");
        assert!(
            error
                .to_string()
                .starts_with("unknown accelerator `H10O`; did you mean `"),
            "{error}"
        );
        assert!(find_accelerator("").is_err());
        assert!(find_accelerator("nvidia").is_err());
    }

    const OWN: &str = r#"
        [[accelerator]]
        id = "Mine"
        name = "My card"
        vendor = "Me"
        generation = "ada"
        memory_gib = 24
        memory_gb_per_s = 1000
        peak_tflops = { fp32 = 80, bf16 = 160 }
        tdp_watts = 400
        link = { name = "PCIe", gb_per_s = 31.5, domain_size = 2, latency_us = 10 }
        node_size = 2
        network = { name = "Ethernet", gbit_per_s = 1.25, latency_us = 50 }
        released = 2026
        sources = ["measured"]
    "#;

    #[track_caller]
    fn check_refused(text: &str, parts: &[&str]) {
        let message = parse_accelerators(text, "own.toml")
            .expect_err("it is refused")
            .to_string();
        for part in ["own.toml"].iter().chain(parts) {
            assert!(message.contains(part), "{part}: {message}");
        }
    }

    #[test]
    fn reads_hardware_of_ones_own() {
        let list = parse_accelerators(OWN, "own.toml").expect("it is well formed");
        assert_eq!(
            find_accelerator_in(&list, "MINE").map(|found| found.peak_tflops.bf16),
            Ok(Some(160.0))
        );
    }

    #[test]
    fn refusals_name_file_and_field() {
        check_refused(
            &OWN.replace("tdp_watts = 400", "tdp_watts = -1"),
            &["Mine", "`tdp_watts` is -1"],
        );
        check_refused(
            &OWN.replace("bf16 = 160", "bf16 = nan"),
            &["Mine", "`peak_tflops.bf16` is NaN"],
        );
        check_refused(
            &OWN.replace("fp32 = 80", "fp32 = inf"),
            &["Mine", "`peak_tflops.fp32` is inf"],
        );
        check_refused(
            &OWN.replace("domain_size = 2", "domain_size = 0"),
            &["Mine", "`link.domain_size` is 0"],
        );
        check_refused(
            &OWN.replace("memory_gib = 24", ""),
            &["missing field `memory_gib`"],
        );
        check_refused(
            &OWN.replace("memory_gib", "memory_gb"),
            &["unknown field `memory_gb`"],
        );
        check_refused(
            &OWN.replace("id = \"Mine\"", "id = \"-\""),
            &["letter or digit"],
        );
        check_refused(&OWN.repeat(2), &["names both `Mine` and `Mine`"]);
        check_refused("not toml", &["TOML parse error"]);
    }
}
