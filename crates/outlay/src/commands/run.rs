//! `outlay run`: meters a command, and keeps it within its budget.

#[cfg(unix)]
mod begin;
mod guard;
#[cfg(unix)]
mod line;
mod logged;
mod output;
mod progress;
#[cfg(unix)]
mod recorder;
#[cfg(unix)]
mod resume;
#[cfg(unix)]
mod session;
#[cfg(unix)]
mod settle;
mod show;
mod state;
mod terms;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::failure::Failure;
use crate::ledger::LedgerArgs;
use crate::printer::Printer;
#[cfg(unix)]
pub use begin::{KEEPER, keep};
pub use guard::WARN_AT_PERCENT;
pub use show::show as show_summary;
pub use state::Summary;
use terms::PriceArgs;

/// Arguments of `outlay run`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  outlay run --price 2.49/h --budget 50usd -- python train.py
  outlay run --offer lambda/H100-SXM --grid USA -- torchrun --nproc-per-node 8 train.py
  outlay run --owned 30000usd --grid DEU --csv emissions.csv -- python train.py
  outlay run --resume

Exit codes: the command's own, or 128 and the number of the signal that ended it. 122: a budget stopped it. 123: --stop-when stopped it. 126, 127: it could not be started. 2, 3: Outlay could not run it.

What it writes goes through files in .outlay/runs, so that it goes on when Outlay is killed; its output is then no terminal to it (PYTHONUNBUFFERED=1 is set). --no-capture leaves it the terminal.")]
pub struct Args {
    /// Command to run, with its arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required_unless_present = "resume",
        value_name = "COMMAND"
    )]
    command: Vec<OsString>,
    /// Go on metering a run whose meter was killed: the first digits of its id, or the only one there is
    #[arg(long, value_name = "RUN", num_args = 0..=1, conflicts_with = "command")]
    resume: Option<Option<String>>,
    /// Name of the run [default: the command's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Project that it counts towards [default: this folder's name]
    #[arg(long, value_name = "NAME", env = "OUTLAY_PROJECT")]
    project: Option<String>,
    /// Team that it counts towards
    #[arg(long, value_name = "NAME", env = "OUTLAY_TEAM", default_value = "")]
    team: String,
    #[command(flatten, next_help_heading = "Price")]
    price: PriceArgs,
    /// Dollars that the run may cost: at the limit it is told to end (SIGTERM), and killed after --grace
    #[arg(long, value_name = "MONEY", help_heading = "Budget")]
    budget: Option<String>,
    /// Shares of the budget at which to warn, in percent
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', default_values_t = WARN_AT_PERCENT, help_heading = "Budget")]
    warn_at: Vec<u32>,
    /// Time that the command has to end by itself once it is told to
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        help_heading = "Budget"
    )]
    grace: String,
    /// End the run once the rest is not worth it, as in "gain < 0.1% per 10usd" (of the loss; also per 2h, per 500 steps)
    #[arg(long, value_name = "RULE", help_heading = "Budget")]
    stop_when: Option<String>,
    // Angle brackets would be tags to the documentation.
    #[arg(
        long,
        value_name = "REGEX",
        help = r"How to read progress from its output, where it is not read by itself: a regular expression with named groups among step, total, percent, epoch, epochs, loss, such as 'it (?<step>\d+)/(?<total>\d+)'",
        help_heading = "Progress",
        conflicts_with = "no_capture"
    )]
    progress: Option<String>,
    /// Plan that the run comes from, as `outlay plan train --json` wrote it: the forecast begins with it, and is checked against it
    #[arg(long, value_name = "PLAN.json", help_heading = "Progress")]
    plan: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Records")]
    ledger: LedgerArgs,
    /// Server of the same ledger, such as http://127.0.0.1:5000: what the command logs with MLflow becomes part of this run
    #[arg(long, value_name = "URL", conflicts_with_all = ["no_ledger", "resume"])]
    log_to: Option<String>,
    /// Write nothing to a ledger; budgets that it keeps then do not count
    #[arg(long, conflicts_with = "ledger")]
    no_ledger: bool,
    /// Write the summary as JSON to a file (documented in docs/run.schema.json)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Add a row to a file with the columns of CodeCarbon's emissions.csv
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Leave the command our own terminal and files: its output is not kept, and progress not read from it
    #[arg(long)]
    no_capture: bool,
    /// Show neither the line at the bottom nor the summary
    #[arg(long, short)]
    quiet: bool,
    /// Time between two readings
    #[arg(
        long,
        value_name = "TIME",
        default_value = "1s",
        help_heading = "Meter"
    )]
    interval: String,
    /// Where the kernel shows processes, for containers that see the host's elsewhere
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "/proc",
        help_heading = "Meter"
    )]
    procfs: PathBuf,
    /// Where the kernel shows devices
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "/sys",
        help_heading = "Meter"
    )]
    sysfs: PathBuf,
}

/// Runs the command.
#[cfg(unix)]
pub fn run(args: &Args, _: &mut Printer) -> Result<(), Failure> {
    begin::run(args)
}

/// Says that it cannot be run.
#[cfg(not(unix))]
pub fn run(_: &Args, _: &mut Printer) -> Result<(), Failure> {
    Err(Failure::outside(
        "`outlay run` needs Linux; everything else works here",
    ))
}
