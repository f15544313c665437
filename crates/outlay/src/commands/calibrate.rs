//! `outlay calibrate`: fits the constants to measured runs.

use std::path::PathBuf;

use outlay_plan::{Calibration, Case, complete, cross_validate, fit, spreads};

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
    let rows = read_all(&args.files)?;
    let start = if args.from_scratch {
        Calibration::default()
    } else {
        Calibration::built_in()
    };
    let completed: Vec<Case> = rows
        .iter()
        .filter_map(|row| complete(row, &start).ok())
        .collect();
    // Rows quoted from memory do not steer the constants.
    let cases: Vec<&Case> = completed.iter().filter(|case| case.verified).collect();
    if cases.is_empty() {
        return Err(
            Failure::input("no row can be predicted, so there is nothing to fit")
                .hint("run `outlay validate` on the same file to see the reason for each row"),
        );
    }
    let mut calibration = fit(&cases, args.rounds, (!args.from_scratch).then_some(&start));
    let predicted = cross_validate(&cases, args.rounds, |case| case.source.clone());
    calibration.spreads = spreads(&cases, &predicted);
    calibration.fitted_on = args
        .files
        .iter()
        .map(|file| {
            let name = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            format!("{name}: {} of {} rows", cases.len(), rows.len())
        })
        .collect();
    write_whole(&args.output, &calibration.to_toml())?;
    printer.sentence(&format!(
        "Fitted {} constants on {} rows and wrote {}. Use it with `--calibration {}`.",
        calibration.constants.len(),
        cases.len(),
        args.output.display(),
        args.output.display()
    ));
    Ok(())
}
