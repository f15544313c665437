//! The `outlay` command: parses arguments, calls a library, prints.

mod commands;
mod data;
mod explain;
mod failure;
mod ledger;
mod plot;
mod printer;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::failure::Failure;
use crate::printer::Printer;

/// What a deep-learning model will cost, before it is paid for
#[derive(Parser, Debug)]
#[command(
    name = "outlay",
    version,
    max_term_width = 100,
    propagate_version = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Show money in this currency; JSON and what you give stay in US dollars
    #[arg(long, global = true, value_name = "CODE", requires = "rate")]
    currency: Option<String>,
    /// What a US dollar buys of that currency, such as 0.92
    #[arg(
        long,
        global = true,
        value_name = "RATE",
        requires = "currency",
        allow_hyphen_values = true
    )]
    rate: Option<f64>,
}

/// Shows money in the currency asked for.
fn set_currency(code: Option<&str>, per_usd: Option<f64>) -> Result<(), Failure> {
    let (Some(code), Some(per_usd)) = (code, per_usd) else {
        return Ok(());
    };
    if code.len() != 3 || !code.bytes().all(|letter| letter.is_ascii_uppercase()) {
        return Err(Failure::input(format!(
            "--currency is `{code}`; allowed: a code of three capital letters, such as EUR"
        )));
    }
    if !(1e-6..=1e9).contains(&per_usd) {
        return Err(Failure::input(format!(
            "--rate is `{per_usd}`; allowed: 0.000001 to 1000000000 {code} for a US dollar"
        )));
    }
    outlay_units::show_money_in(code, per_usd);
    Ok(())
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Estimate cost, time, energy and memory before paying for them
    #[command(subcommand)]
    Plan(Plan),
    /// Meter a command: what it costs while it runs, within a budget
    Run(Box<commands::run::Args>),
    /// Look through training data: what is there twice, leaked, private, mislabelled or not yours to use
    Audit(Box<commands::audit::Args>),
    /// Serve the ledger on one port: for training scripts (MLflow's clients) and for people
    Server(commands::server::Args),
    /// Bring over what another program recorded: MLflow's database or folder of files
    Import(commands::import::Args),
    /// Show the limits on spending, and set them
    Budget(commands::budget::Args),
    /// What was recorded: runs, spending, evidence; check, copy and move it
    Ledger(commands::ledger::Args),
    /// Answer six questions in plain words and get an outlay.toml to plan from
    Init(commands::init::Args),
    /// Put saved plans side by side
    Compare(commands::compare::Args),
    /// Predict measured runs and show how far off the predictions are
    Validate(commands::validate::Args),
    /// Fit the constants to measured runs and write them to a file
    Calibrate(commands::calibrate::Args),
    /// List the built-in models, or show what one is made of
    Models(commands::models::Args),
    /// List the built-in accelerators
    Hardware(commands::hardware::Args),
    /// List offers: accelerators at a price
    Prices(commands::prices::Args),
    /// Show how prices fall, and what waiting would save
    Trends(commands::trends::Args),
    /// Print a completion script for a shell
    Completions {
        /// Shell to complete for
        shell: clap_complete::Shell,
    },
}

#[derive(Subcommand, Debug)]
enum Plan {
    /// Estimate what training a model will cost
    Train(Box<commands::plan_train::Args>),
    /// Estimate what tuning a model on your own data will cost
    Finetune(Box<commands::plan_finetune::Args>),
    /// Estimate what reinforcement learning will cost, with the answers that it generates
    Rl(Box<commands::plan_rl::Args>),
    /// Estimate what serving a model will cost
    Serve(Box<commands::plan_serve::Args>),
    /// Add training and serving over a horizon, and find the cheapest way to both
    Lifecycle(Box<commands::plan_lifecycle::Args>),
    /// Find the best language model that a budget buys, or how far it takes a given one
    Budget(Box<commands::plan_budget::Args>),
}

fn main() -> ExitCode {
    #[cfg(unix)]
    {
        let mut arguments = std::env::args_os();
        if arguments
            .next()
            .is_some_and(|name| name == commands::run::KEEPER)
        {
            return ExitCode::from(commands::run::keep(arguments));
        }
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let mut printer = Printer::new();
    // What was found is printed even where a limit was missed.
    let outcome = run(cli, &mut printer);
    match printer.finish().and(outcome) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli, printer: &mut Printer) -> Result<(), Failure> {
    set_currency(cli.currency.as_deref(), cli.rate)?;
    match cli.command {
        Command::Plan(Plan::Train(args)) => commands::plan_train::run(*args, printer),
        Command::Plan(Plan::Finetune(args)) => commands::plan_finetune::run(&args, printer),
        Command::Plan(Plan::Rl(args)) => commands::plan_rl::run(&args, printer),
        Command::Plan(Plan::Serve(args)) => commands::plan_serve::run(&args, printer),
        Command::Plan(Plan::Lifecycle(args)) => commands::plan_lifecycle::run(&args, printer),
        Command::Plan(Plan::Budget(args)) => commands::plan_budget::run(&args, printer),
        Command::Run(args) => commands::run::run(&args, printer),
        Command::Audit(args) => commands::audit::run(&args, printer),
        Command::Server(args) => commands::server::run(&args, printer),
        Command::Import(args) => commands::import::run(&args, printer),
        Command::Budget(args) => commands::budget::run(&args, printer),
        Command::Ledger(args) => commands::ledger::run(&args, printer),
        Command::Init(args) => commands::init::run(&args, printer),
        Command::Compare(args) => commands::compare::run(&args, printer),
        Command::Validate(args) => commands::validate::run(&args, printer),
        Command::Calibrate(args) => commands::calibrate::run(&args, printer),
        Command::Models(args) => commands::models::run(&args, printer),
        Command::Hardware(args) => commands::hardware::run(&args, printer),
        Command::Prices(args) => commands::prices::run(&args, printer),
        Command::Trends(args) => commands::trends::run(&args, printer),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "outlay", &mut script);
            printer.text(&String::from_utf8_lossy(&script));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
    }
}
