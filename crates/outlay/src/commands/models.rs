//! `outlay models`: built-in models, or one model in detail.

use std::path::Path;

use outlay_model::{Model, builtin, find, read_path};
use outlay_units::count;

use outlay_plan::request::accelerators_of;
use outlay_plan::{
    Adapters, AttentionKernel, Calibration, Costing, Framework, Method, Optimizer, Precision,
    SOFTWARE_YEAR, Space, Workload, search,
};

use crate::failure::Failure;
use crate::printer::{Align, Printer};

/// Arguments of `outlay models`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A model name or file to show in detail, or text that names must contain
    model: Option<String>,
    /// Sort by name or parameters
    #[arg(long, default_value = "name", value_parser = ["name", "parameters"])]
    sort: String,
    /// Show which models can be trained, or tuned with adapters, on this hardware, such as RTX-4090 or 8xH100-SXM
    #[arg(long, value_name = "NxACCELERATOR")]
    fits: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    if let Some(name) = &args.model {
        if Path::new(name).exists() {
            let loaded = read_path(Path::new(name)).map_err(Failure::input)?;
            return detail(&loaded.model, loaded.exact_parameters, args.json, printer);
        }
        if let Ok(found) = find(name) {
            let model = found.model().map_err(Failure::input)?;
            return detail(&model, Some(found.parameters), args.json, printer);
        }
    }
    let wanted = args.model.as_deref().unwrap_or("").to_ascii_lowercase();
    let mut list: Vec<_> = builtin()
        .iter()
        .filter(|model| model.name.to_ascii_lowercase().contains(&wanted))
        .collect();
    if list.is_empty() {
        return match find(&wanted) {
            Err(error) => Err(Failure::input(error).hint("run `outlay models` to see them all")),
            Ok(_) => Ok(()),
        };
    }
    match args.sort.as_str() {
        "parameters" => list.sort_by_key(|model| model.parameters),
        _ => list.sort_by(|a, b| a.name.cmp(&b.name)),
    }
    if let Some(hardware) = &args.fits {
        return fits(&list, hardware, args.json, printer);
    }
    if args.json {
        let values: Vec<_> = list
            .iter()
            .map(|model| serde_json::json!({ "name": model.name, "parameters": model.parameters, "source": model.source }))
            .collect();
        return printer.json(&values);
    }
    let rows: Vec<Vec<String>> = list
        .iter()
        .map(|entry| {
            let graph = entry.model().ok();
            vec![
                entry.name.clone(),
                count(entry.parameters as f64),
                graph
                    .as_ref()
                    .map_or_else(String::new, |model| count(model.active_parameters() as f64)),
                graph
                    .as_ref()
                    .map_or_else(String::new, |model| model.layers().to_string()),
                graph
                    .as_ref()
                    .map_or_else(String::new, |model| model.hidden.to_string()),
                graph
                    .as_ref()
                    .map_or_else(String::new, |model| model.architecture.clone()),
            ]
        })
        .collect();
    let right = Align::Right;
    printer.table(
        &[
            ("model", Align::Left),
            ("parameters", right),
            ("active", right),
            ("layers", right),
            ("width", right),
            ("architecture", Align::Left),
        ],
        &rows,
    );
    Ok(())
}

/// Sequence length at which fits are judged, in tokens.
const FIT_TOKENS: u64 = 2048;

/// Which models can be trained or tuned on some hardware: the memory of the fastest layout that fits.
fn fits(
    list: &[&outlay_model::BuiltinModel],
    hardware: &str,
    json: bool,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let (n, accelerator) = accelerators_of("--fits", hardware)?;
    let calibration = Calibration::built_in();
    let precision = Precision::usual(accelerator);
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for entry in list {
        let Ok(model) = entry.model() else { continue };
        let sequence_tokens = model.sample.positions.unwrap_or_else(|| {
            model
                .max_sequence_tokens
                .unwrap_or(FIT_TOKENS)
                .min(FIT_TOKENS)
        });
        let gib = [Method::Full, Method::Lora, Method::Qlora].map(|method| {
            let workload = Workload {
                model: model.clone(),
                sequence_tokens,
                // Micro-batches of one, so that no memory is used for speed alone.
                global_batch_sequences: u64::from(n),
                tokens_total: 1e9,
                precision,
                optimizer: Optimizer::Adamw,
                method,
                adapters: Adapters::default(),
                framework: if method == Method::Full {
                    Framework::usual(&accelerator.generation, &model)
                } else {
                    Framework::Transformers
                },
                attention: AttentionKernel::Fused,
                channels_last: false,
                software_year: SOFTWARE_YEAR,
            };
            // Adapters on products that the model does not have are no way to tune it.
            if method != Method::Full && workload.adapters.parameters(&model) < 1.0 {
                return None;
            }
            let space = Space {
                common_only: true,
                offload: false,
                ..Space::default()
            };
            Costing::new(&workload, accelerator, &calibration)
                .map(|costing| search(&costing, n, space, 1))
                .and_then(|found| found.best.first().copied())
                .map(|candidate| candidate.memory.total_bytes() / outlay_units::GIB)
        });
        if gib.iter().all(Option::is_none) {
            continue;
        }
        values.push(serde_json::json!({
            "name": entry.name, "parameters": entry.parameters, "full_gib": gib[0], "lora_gib": gib[1], "qlora_gib": gib[2],
        }));
        let cell =
            |gib: Option<f64>| gib.map_or_else(|| "-".to_owned(), |gib| format!("{gib:.1} GiB"));
        let mut row = vec![entry.name.clone(), count(entry.parameters as f64)];
        row.extend(gib.map(cell));
        rows.push(row);
    }
    if json {
        return printer.json(&values);
    }
    if rows.is_empty() {
        printer.sentence(&format!(
            "None of the {} models fits on {n} x {}.",
            list.len(),
            accelerator.id
        ));
        return Ok(());
    }
    let right = Align::Right;
    printer.table(
        &[
            ("model", Align::Left),
            ("parameters", right),
            ("full", right),
            ("LoRA", right),
            ("QLoRA", right),
        ],
        &rows,
    );
    printer.sentence(&format!(
        "{} of {} models can be trained or tuned on {n} x {} ({:.0} GiB each), at sequences of up to {FIT_TOKENS} tokens or the model's own samples; memory of the fastest layout at micro-batches of one, without offload. `outlay plan finetune` has the ranges.",
        rows.len(),
        list.len(),
        accelerator.id,
        accelerator.memory_gib
    ));
    Ok(())
}

fn detail(
    model: &Model,
    exact: Option<u64>,
    json: bool,
    printer: &mut Printer,
) -> Result<(), Failure> {
    if json {
        return printer.json(&serde_json::json!({
            "name": model.name, "architecture": model.architecture, "parameters": model.parameters(),
            "main_parameters": model.main_parameters(), "active_parameters": model.active_parameters(),
            "parameters_in_file": exact, "graph": model,
        }));
    }
    printer.heading(&format!("{} ({})", model.name, model.architecture));
    printer.line(&format!(
        "parameters  {} ({} active)",
        model.parameters(),
        model.active_parameters()
    ));
    if let Some(exact) = exact.filter(|exact| *exact != model.parameters()) {
        printer.line(&format!("in the file {exact}"));
    }
    printer.line("");
    let rows: Vec<Vec<String>> = model
        .blocks
        .iter()
        .map(|block| {
            vec![
                format!("{}x", block.repeat),
                block.name.clone(),
                count(block.parameters() as f64),
            ]
        })
        .collect();
    printer.table(
        &[
            ("", Align::Right),
            ("block", Align::Left),
            ("parameters", Align::Right),
        ],
        &rows,
    );
    for note in &model.notes {
        printer.sentence(note);
    }
    Ok(())
}
