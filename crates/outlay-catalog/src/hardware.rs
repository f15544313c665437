//! Accelerators, their links and the nodes and networks that they come in.

use serde::Deserialize;

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
