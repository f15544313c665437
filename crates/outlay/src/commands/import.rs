//! `outlay import`: what another program recorded, brought into the ledger.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use outlay_server::mlflow::import::{
    ExperimentReport, ImportError, Options, Progress, Report, Source, import,
};
use outlay_units::count;

use crate::failure::Failure;
use crate::ledger::{Books, LedgerArgs, of_ledger};
use crate::printer::{Align, Printer};

/// Arguments of `outlay import`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    from: From,
}

#[derive(clap::Subcommand, Debug)]
enum From {
    /// Bring over everything that MLflow kept: experiments, runs, metrics, models and their versions
    #[command(after_help = "Examples:
  outlay import mlflow mlflow.db --dry-run
  outlay import mlflow mlruns --artifacts copy
  outlay import mlflow mlflow.db --ledger postgres://me@host/outlay

SOURCE is only read, also while a server uses it. Each experiment comes over as a whole or not at all.
An experiment keeps its number and name where they are free; otherwise it gets the next free number, or `(imported)`
behind its name. A run, a logged model or a registered model whose id or name is in the ledger already, and that did
not come from the same place, is refused with its experiment. What was imported before stays as it is, and what was
added to SOURCE since is added: a second import changes nothing.")]
    Mlflow(Mlflow),
}

/// What to do with files.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Files {
    /// Copy those on this machine to where `outlay server` keeps files
    Copy,
    /// Leave them, and their addresses, as they are
    Keep,
}

#[derive(clap::Args, Debug)]
struct Mlflow {
    /// MLflow's database file (mlflow.db), or its folder of files (mlruns)
    source: PathBuf,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// What to do with the files of runs and models
    #[arg(long, value_name = "WHAT", value_enum, default_value = "keep")]
    artifacts: Files,
    /// Where files are copied to: a folder, or s3://bucket/prefix [default: .outlay/artifacts]
    #[arg(long, value_name = "PLACE")]
    to: Option<String>,
    /// Folder in which MLflow's server kept files [default: mlartifacts beside SOURCE]
    #[arg(long, value_name = "FOLDER")]
    mlartifacts: Option<PathBuf>,
    /// Read everything and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How long it is silent.
const SILENCE: Duration = Duration::from_secs(2);

fn of_import(error: ImportError) -> Failure {
    match error {
        ImportError::Ledger(error) => of_ledger(error),
        ImportError::Source { .. } | ImportError::Taken(_) => Failure::input(error),
        ImportError::File { .. } => Failure::outside(error)
            .hint("what was imported before stays; run it again once the cause is gone"),
    }
}

/// Runs the command.
pub fn run(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    let From::Mlflow(args) = &args.from;
    if args.to.is_some() && args.artifacts == Files::Keep {
        return Err(
            Failure::input("--to says where files are copied to, and they are kept")
                .hint("add --artifacts copy"),
        );
    }
    let at = |path: &Path| {
        std::path::absolute(path)
            .map_err(|error| Failure::input(format!("`{}`: {error}", path.display())))
    };
    let path = at(&args.source)?;
    let base = path.parent().unwrap_or(Path::new("/")).to_path_buf();
    let kept = match &args.mlartifacts {
        Some(folder) if !folder.is_dir() => {
            return Err(Failure::input(format!(
                "--mlartifacts `{}` is no folder",
                folder.display()
            )));
        }
        Some(folder) => Some(at(folder)?),
        None => Some(base.join("mlartifacts")).filter(|folder| folder.is_dir()),
    };
    let store = match args.artifacts {
        Files::Copy => Some(super::server::artifacts(args.to.as_deref())?),
        Files::Keep => None,
    };
    let place = args.ledger.place();
    let books = if args.dry_run {
        dry_books(&place)?
    } else {
        Books::open(&place, true)?
    };
    let options = Options {
        copy_to: store.as_ref(),
        base,
        mlartifacts: kept,
        artifact_root: "mlflow-artifacts:".to_owned(),
        dry_run: args.dry_run,
    };
    let mut last = Instant::now();
    let mut say = |at: &Progress| {
        if last.elapsed() >= SILENCE {
            last = Instant::now();
            anstream::eprintln!(
                "`{}`: {} of {} runs, {} points",
                at.experiment,
                at.n_runs,
                at.n_runs_of,
                count(at.n_points as f64)
            );
        }
    };
    let done = books.wait(async {
        let source = Source::open(&path).await?;
        import(books.ledger(), &source, &options, &mut say).await
    });
    let shown = books.ledger().place().to_owned();
    books.close();
    let report = done.map_err(of_import)?;
    if args.json {
        printer.json(&report)?;
    } else {
        show(&report, &shown, args.artifacts, printer);
    }
    let refused = report
        .experiments
        .iter()
        .filter(|one| one.why.is_some())
        .count()
        + report
            .registered_models
            .iter()
            .filter(|one| one.why.is_some())
            .count();
    if refused > 0 {
        return Err(Failure::check(format!(
            "{refused} experiments or registered models were refused; all others came over"
        )));
    }
    Ok(())
}

/// The ledger as it is; where there is none, an empty one that goes when the command ends.
fn dry_books(place: &outlay_ledger::Place) -> Result<Books, Failure> {
    match Books::open(place, false) {
        Ok(books) => Ok(books),
        Err(failure) => match place {
            outlay_ledger::Place::File(path) if !path.exists() => Books::open_aside(),
            _ => Err(failure),
        },
    }
}

/// Bytes, as people read them.
fn size(n_bytes: u64) -> String {
    match n_bytes {
        0..1024 => format!("{n_bytes} bytes"),
        more => outlay_units::bytes(more as f64),
    }
}

fn show(report: &Report, ledger: &str, artifacts: Files, printer: &mut Printer) {
    let verb = if report.dry_run {
        "Would bring"
    } else {
        "Brought"
    };
    let sum = |of: fn(&ExperimentReport) -> u64| -> u64 { report.experiments.iter().map(of).sum() };
    let rows: Vec<Vec<String>> = report
        .experiments
        .iter()
        .map(|one| {
            let outcome = match one.outcome {
                "new" if one.id != one.source_id || one.name != one.source_name => "new, renamed",
                other => other,
            };
            vec![
                one.id.to_string(),
                one.name.clone(),
                (one.tally.runs + one.tally.runs_there).to_string(),
                one.tally.runs.to_string(),
                count(one.tally.points as f64),
                (one.tally.models + one.tally.models_there).to_string(),
                outcome.to_owned(),
            ]
        })
        .collect();
    let right = Align::Right;
    let header = [
        ("", right),
        ("experiment", Align::Left),
        ("runs", right),
        ("new", right),
        ("points", right),
        ("models", right),
        ("", Align::Left),
    ];
    printer.table(&header, &rows);
    for one in &report.experiments {
        if let Some(why) = &one.why {
            printer.sentence(&format!(
                "Refused: experiment `{}`: {why}.",
                one.source_name
            ));
        } else if one.id != one.source_id || one.name != one.source_name {
            printer.sentence(&format!(
                "Experiment {} `{}` is {} `{}` here.",
                one.source_id, one.source_name, one.id, one.name
            ));
        }
    }
    for one in &report.registered_models {
        match &one.why {
            Some(why) => printer.sentence(&format!("Refused: {why}.")),
            None => printer.sentence(&format!(
                "Registered model `{}`: {}, {} new versions.",
                one.name, one.outcome, one.versions
            )),
        }
    }
    printer.sentence(&format!(
        "{verb} {} new runs to {ledger}; {} were there. Read {} points, {} parameters, {} tags, {} uses of data.",
        sum(|one| one.tally.runs),
        sum(|one| one.tally.runs_there),
        count(sum(|one| one.tally.points) as f64),
        count(sum(|one| one.tally.params) as f64),
        count(sum(|one| one.tally.tags) as f64),
        count(sum(|one| one.tally.datasets) as f64),
    ));
    if artifacts == Files::Copy {
        printer.sentence(&format!(
            "Files of new runs and of models: {}, {}; {} addresses were kept, since their files are elsewhere.",
            count(sum(|one| one.tally.files) as f64),
            size(sum(|one| one.tally.bytes)),
            sum(|one| one.tally.addresses_kept),
        ));
    }
    if !report.left_out.is_empty() {
        let kinds: Vec<String> = report
            .left_out
            .iter()
            .map(|(kind, n)| format!("{} {kind}", count(*n as f64)))
            .collect();
        printer.sentence(&format!(
            "Left in the source, since the ledger has no place for them: {}.",
            kinds.join(", ")
        ));
    }
    for finding in report.findings.iter().take(20) {
        printer.sentence(&format!("Not read: {finding}."));
    }
    if report.n_findings > 20 {
        printer.sentence(&format!(
            "{} such findings in all; --json has the first thousand.",
            report.n_findings
        ));
    }
}
