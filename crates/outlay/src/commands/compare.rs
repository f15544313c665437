//! `outlay compare`: saved plans side by side.

use std::path::{Path, PathBuf};

use outlay_plan::Answer;
use outlay_units::{Estimate, count, duration, energy_kwh, mass_kg, percent, significant, usd};

use crate::failure::{Failure, read_text};
use crate::printer::{Align, Printer};

/// Arguments of `outlay compare`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:
  outlay plan train llama-3.1-8b --tokens 1T --gpus 64xH100-SXM --json > dense.json
  outlay plan train mixtral-8x7b --tokens 1T --gpus 64xH100-SXM --json > moe.json
  outlay compare dense.json moe.json")]
pub struct Args {
    /// Plans that `outlay plan train --json` or `outlay plan finetune --json` wrote
    #[arg(required = true, num_args = 2..=6, value_name = "PLAN.json")]
    plans: Vec<PathBuf>,
    /// Print JSON: the plans in one list
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    let answers: Vec<Answer> = args
        .plans
        .iter()
        .map(|path| read_plan(path))
        .collect::<Result<_, _>>()?;
    if args.json {
        return printer.json(&answers);
    }
    let name = |path: &PathBuf| {
        path.file_stem()
            .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
    };
    let names: Vec<String> = args.plans.iter().map(name).collect();
    side_by_side(&names, &answers, printer);
    Ok(())
}

/// Reads a plan that was saved.
pub fn read_plan(path: &Path) -> Result<Answer, Failure> {
    let text = read_text(path)?;
    let answer: Answer = serde_json::from_str(&text).map_err(|error| {
        Failure::input(format!("{}: no plan: {error}", path.display()))
            .hint("write one with `outlay plan train ... --json > plan.json`")
    })?;
    if answer.format != 1 {
        return Err(Failure::input(format!(
            "{}: format {} is not known; allowed: 1",
            path.display(),
            answer.format
        )));
    }
    Ok(answer)
}

/// Shows plans side by side, each under its name; ratios are to the first.
pub fn side_by_side(names: &[String], answers: &[Answer], printer: &mut Printer) {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut texts = |what: &str, write: &dyn Fn(&Answer) -> String| {
        let mut row = vec![what.to_owned()];
        row.extend(answers.iter().map(write));
        rows.push(row);
    };
    texts("model", &|answer| answer.model.clone());
    texts("parameters", &|answer| {
        count(answer.model_parameters.max(answer.parameters) as f64)
    });
    texts("active", &|answer| count(answer.active_parameters as f64));
    texts("trained on", &|answer| {
        if answer.sample_unit == "sequences" {
            format!("{} tokens", count(answer.tokens))
        } else {
            format!("{} {}", count(answer.samples), answer.sample_unit)
        }
    });
    texts("hardware", &|answer| {
        format!("{}x{}", answer.best.count, answer.best.accelerator)
    });
    texts("provider", &|answer| answer.best.provider.clone());
    texts("layout", &|answer| answer.best.layout_brief.clone());
    // The median, and what it is of the first plan's.
    let mut numbers =
        |what: &str, of: &dyn Fn(&Answer) -> Option<Estimate>, write: &dyn Fn(f64) -> String| {
            let first = of(&answers[0]).map(|estimate| estimate.p50);
            let mut row = vec![what.to_owned()];
            for (index, answer) in answers.iter().enumerate() {
                row.push(match of(answer) {
                    None => "unknown".to_owned(),
                    Some(estimate) => {
                        let ratio = first
                            .filter(|first| index > 0 && *first > 0.0)
                            .map_or_else(String::new, |first| {
                                format!(" ({:.2}x)", estimate.p50 / first)
                            });
                        format!("{}{ratio}", write(estimate.p50))
                    }
                });
            }
            rows.push(row);
        };
    numbers("cost", &|answer| answer.best.usd, &usd);
    numbers("time", &|answer| Some(answer.best.wall_clock_s), &duration);
    numbers(
        "GPU-hours",
        &|answer| Some(answer.best.accelerator_hours),
        &significant,
    );
    numbers(
        "energy",
        &|answer| Some(answer.best.energy_kwh),
        &energy_kwh,
    );
    numbers("CO2e", &|answer| Some(answer.best.co2e_kg), &mass_kg);
    numbers("MFU", &|answer| Some(answer.best.mfu), &percent);
    numbers(
        "memory per GPU",
        &|answer| Some(answer.best.memory_gib),
        &|gib| format!("{gib:.1} GiB"),
    );
    let mut head: Vec<(&str, Align)> = vec![("", Align::Left)];
    head.extend(names.iter().map(|name| (name.as_str(), Align::Right)));
    printer.table(&head, &rows);
    let overlap = |a: Estimate, b: Estimate| a.p10 <= b.p90 && b.p10 <= a.p90;
    if let [a, b] = answers
        && let (Some(x), Some(y)) = (a.best.usd, b.best.usd)
    {
        printer.sentence(&if overlap(x, y) {
            format!(
                "The ranges of cost overlap ({} to {}, {} to {}): errors that both share do not change which is cheaper, others may.",
                usd(x.p10), usd(x.p90), usd(y.p10), usd(y.p90)
            )
        } else {
            format!(
                "The ranges of cost do not overlap ({} to {}, {} to {}).",
                usd(x.p10), usd(x.p90), usd(y.p10), usd(y.p90)
            )
        });
    }
}
