//! `outlay hardware`: accelerators with their figures and sources.

use outlay_catalog::accelerators;

use crate::failure::Failure;
use crate::printer::{Align, Printer};

/// Arguments of `outlay hardware`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show only accelerators whose name contains this text
    filter: Option<String>,
    /// Sort by name, memory, bandwidth, bf16 or tdp
    #[arg(long, default_value = "name", value_parser = ["name", "memory", "bandwidth", "bf16", "tdp"])]
    sort: String,
    /// Show where each figure comes from
    #[arg(long)]
    sources: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    let wanted = args.filter.as_deref().unwrap_or("").to_ascii_lowercase();
    let mut list: Vec<_> = accelerators()
        .iter()
        .filter(|a| {
            a.id.to_ascii_lowercase().contains(&wanted)
                || a.name.to_ascii_lowercase().contains(&wanted)
        })
        .collect();
    if list.is_empty() {
        return Err(
            Failure::input(format!("no accelerator's name contains `{wanted}`"))
                .hint("run `outlay hardware` to see them all"),
        );
    }
    let sixteen =
        |a: &outlay_catalog::Accelerator| a.peak_tflops.bf16.or(a.peak_tflops.fp16).unwrap_or(0.0);
    match args.sort.as_str() {
        "memory" => list.sort_by(|a, b| b.memory_gib.total_cmp(&a.memory_gib)),
        "bandwidth" => list.sort_by(|a, b| b.memory_gb_per_s.total_cmp(&a.memory_gb_per_s)),
        "bf16" => list.sort_by(|a, b| sixteen(b).total_cmp(&sixteen(a))),
        "tdp" => list.sort_by(|a, b| b.tdp_watts.total_cmp(&a.tdp_watts)),
        _ => list.sort_by(|a, b| a.id.cmp(&b.id)),
    }
    if args.json {
        let values: Vec<_> = list
            .iter()
            .map(|a| {
                serde_json::json!({
                    "id": a.id, "name": a.name, "vendor": a.vendor, "generation": a.generation, "released": a.released,
                    "memory_gib": a.memory_gib, "memory_gb_per_s": a.memory_gb_per_s, "tdp_watts": a.tdp_watts,
                    "peak_tflops": {
                        "fp32": a.peak_tflops.fp32, "tf32": a.peak_tflops.tf32, "bf16": a.peak_tflops.bf16,
                        "fp16": a.peak_tflops.fp16, "fp8": a.peak_tflops.fp8, "fp4": a.peak_tflops.fp4,
                        "int8": a.peak_tflops.int8,
                    },
                    "link": { "name": a.link.name, "gb_per_s": a.link.gb_per_s, "domain_size": a.link.domain_size },
                    "network": { "name": a.network.name, "gbit_per_s": a.network.gbit_per_s },
                    "node_size": a.node_size, "sources": a.sources,
                })
            })
            .collect();
        return printer.json(&values);
    }
    let show =
        |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
    let rows: Vec<Vec<String>> = list
        .iter()
        .map(|a| {
            vec![
                a.id.clone(),
                format!("{:.0}", a.memory_gib),
                format!("{:.0}", a.memory_gb_per_s),
                show(a.peak_tflops.bf16.or(a.peak_tflops.fp16)),
                show(a.peak_tflops.fp8),
                show(a.peak_tflops.fp4),
                format!("{:.0}x{}", a.link.gb_per_s, a.link.domain_size),
                format!("{:.0}", a.network.gbit_per_s),
                format!("{:.0}", a.tdp_watts),
            ]
        })
        .collect();
    let right = Align::Right;
    printer.table(
        &[
            ("accelerator", Align::Left),
            ("GiB", right),
            ("GB/s", right),
            ("16-bit", right),
            ("fp8", right),
            ("fp4", right),
            ("link GB/s", right),
            ("net Gb/s", right),
            ("W", right),
        ],
        &rows,
    );
    printer.line("");
    printer.sentence(
        "Peaks are dense TFLOP/s. Links and networks: one direction, for each accelerator.",
    );
    if args.sources {
        for a in &list {
            printer.line("");
            printer.heading(&a.id);
            for source in &a.sources {
                printer.line(&format!("  {source}"));
            }
        }
    }
    Ok(())
}
