//! `outlay models`: built-in models, or one model in detail.

use std::path::Path;

use outlay_model::{Model, builtin, find, read_path};
use outlay_units::count;

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
