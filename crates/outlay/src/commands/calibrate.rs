//! `outlay calibrate`: fits the constants to measured runs.

use std::path::PathBuf;

use outlay_plan::{
    Calibration, Case, complete, contradicted, cross_validate, fit, row_folds, spreads,
};

use super::serving_runs;
use super::validate::read_all;
use crate::failure::{Failure, write_whole};
use crate::printer::Printer;

/// Arguments of `outlay calibrate`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Tables of measured runs (CSV; columns are described in docs/measured.md)
    #[arg(required = true, value_name = "MEASURED.csv")]
    files: Vec<PathBuf>,
    /// Write the constants to this file
    #[arg(short, long, value_name = "FILE.toml")]
    output: PathBuf,
    /// Start from the physical priors rather than from the built-in constants
    #[arg(long)]
    from_scratch: bool,
    /// Most rounds of the fit
    #[arg(long, default_value_t = 40)]
    rounds: usize,
}

/// Runs the command.
pub fn run(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    if let Some(rows) = serving_runs::rows_if_serving(&args.files)? {
        return serving_runs::calibrate(
            &rows,
            &args.files,
            &args.output,
            args.from_scratch,
            printer,
        );
    }
    let rows = read_all(&args.files)?;
    // What the file holds of serving stays.
    let before = serving_runs::before(&args.output)?;
    let start = if args.from_scratch {
        Calibration::default()
    } else {
        Calibration::built_in()
    };
    let completed: Vec<Case> = rows
        .iter()
        .filter_map(|row| complete(row, &start).ok())
        .collect();
    // Rows quoted from memory, and rows that contradict each other, do not steer the constants.
    let all: Vec<&Case> = completed.iter().collect();
    let cases: Vec<&Case> = all
        .iter()
        .zip(contradicted(&all))
        .filter(|(case, contradicted)| case.verified && !contradicted)
        .map(|(case, _)| *case)
        .collect();
    if cases.is_empty() {
        return Err(
            Failure::input("no row can be predicted, so there is nothing to fit")
                .hint("run `outlay validate` on the same file to see the reason for each row"),
        );
    }
    let start = (!args.from_scratch).then_some(&start);
    let mut calibration = fit(&cases, args.rounds, start);
    let sources: Vec<String> = cases.iter().map(|case| case.source.clone()).collect();
    for case in &cases {
        calibration
            .sources
            .entry(case.source.clone())
            .or_default()
            .insert(case.accelerator.id.clone());
    }
    let known = cross_validate(&cases, &row_folds(&cases), args.rounds, start);
    calibration.spreads_known = spreads(&cases, &known);
    if let Some(start) = start {
        // A handful of rows says little about the spread; the rest of it is that of other sources' own rows.
        for (kind, spread) in &mut calibration.spreads_known {
            let n = cases
                .iter()
                .filter(|case| case.kind == *kind || kind == "other")
                .count() as f64;
            let usual = start.spread(kind, true);
            let mix =
                |own: f64, usual: f64| ((n * own.ln() + 10.0 * usual.ln()) / (n + 10.0)).exp();
            spread.low = mix(spread.low, usual.low);
            spread.high = mix(spread.high, usual.high);
        }
    }
    calibration.spreads = match start {
        // One's own rows say nothing about the clusters of others.
        Some(start) => start.spreads.clone(),
        None => spreads(&cases, &cross_validate(&cases, &sources, args.rounds, None)),
    };
    let names: Vec<String> = args
        .files
        .iter()
        .filter_map(|file| Some(file.file_name()?.to_string_lossy().into_owned()))
        .collect();
    calibration.fitted_on = vec![format!(
        "{}: {} of {} rows",
        names.join(", "),
        cases.len(),
        rows.len()
    )];
    calibration.serving_fitted_on = before.serving_fitted_on;
    calibration.serving_spreads = before.serving_spreads;
    calibration.serving = before.serving;
    write_whole(&args.output, calibration.to_toml())?;
    printer.sentence(&format!(
        "Fitted {} constants on {} rows and wrote {}. Use it with `--calibration {}`.",
        calibration.constants.len(),
        cases.len(),
        args.output.display(),
        args.output.display()
    ));
    Ok(())
}
