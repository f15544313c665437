//! `outlay budget`: limits on spending that the ledger keeps, over runs, projects and teams.

use outlay_ledger::{Batch, Budget, Micro, Period};
use outlay_server::doors::people::By;
use outlay_units::{parse_money_usd, percent, usd};
use serde::Serialize;
use serde_json::json;

use super::run::WARN_AT_PERCENT;
use crate::failure::Failure;
use crate::ledger::{Books, LedgerArgs, now_us, who};
use crate::printer::{Align, Printer};

/// Arguments of `outlay budget`.
#[derive(clap::Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  outlay budget set november 500usd --month --project paper
  outlay budget

`outlay run` warns as it nears a budget that covers it, and stops its command at the limit."
)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand, Debug)]
enum Action {
    /// Set a budget, in place of one of its name
    Set(Set),
}

#[derive(clap::Args, Debug)]
struct Set {
    /// Name of the budget
    name: String,
    /// Limit, such as 500usd
    limit: String,
    /// Count the spending of each calendar month by itself (UTC)
    #[arg(long)]
    month: bool,
    /// Project that it covers [default: all]
    #[arg(long, value_name = "NAME", default_value = "")]
    project: String,
    /// Team that it covers [default: all]
    #[arg(long, value_name = "NAME", default_value = "")]
    team: String,
    /// Shares of it at which to warn, in percent
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', default_values_t = WARN_AT_PERCENT)]
    warn_at: Vec<u32>,
}

/// A budget and how far it is used up.
#[derive(Serialize)]
struct Standing {
    #[serde(flatten)]
    budget: Budget,
    spent_micro: Micro,
}

/// Runs the command.
pub fn run(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    match &args.action {
        None => list(args, printer),
        Some(Action::Set(set)) => set_budget(set, &args.ledger, printer),
    }
}

fn set_budget(set: &Set, ledger: &LedgerArgs, printer: &mut Printer) -> Result<(), Failure> {
    let limit = parse_money_usd(&set.limit)
        .ok()
        .and_then(Micro::from_units)
        .filter(|micro| micro.0 > 0)
        .ok_or_else(|| {
            Failure::input(format!(
                "the limit is `{}`; allowed: an amount such as 500usd",
                set.limit
            ))
        })?;
    if set.warn_at.iter().any(|share| !(1..=99).contains(share)) {
        return Err(Failure::input("--warn-at: allowed: percents from 1 to 99"));
    }
    if set.name.trim().is_empty() {
        return Err(Failure::input("a budget needs a name, such as november"));
    }
    let budget = Budget {
        name: set.name.clone(),
        project: set.project.clone(),
        team: set.team.clone(),
        period: if set.month {
            Period::Month
        } else {
            Period::Total
        },
        limit_micro: limit,
        currency: "USD".to_owned(),
        warn_at_percent: set.warn_at.clone(),
        set_us: now_us(),
    };
    let books = Books::open(&ledger.place(), true)?;
    let record = By {
        who: who(),
        from: "terminal".to_owned(),
        now_us: now_us(),
    }
    .evidence(
        "budget changed",
        format!("budget/{}", budget.name),
        &json!({"limit_micro": budget.limit_micro, "period": budget.period, "currency": budget.currency}),
    );
    let batch = Batch {
        budgets: vec![budget.clone()],
        evidence: vec![record],
        ..Batch::default()
    };
    books.ask(books.ledger().write(batch))?;
    let spent = books.ask(books.ledger().spent_of(&budget, now_us()))?;
    books.close();
    printer.sentence(&format!(
        "Budget `{}` is {}{}, for {}; {} of it is spent.",
        budget.name,
        usd(limit.units()),
        if set.month { " a month" } else { "" },
        covers(&budget),
        usd(spent.units())
    ));
    Ok(())
}

fn covers(budget: &Budget) -> String {
    match (budget.project.as_str(), budget.team.as_str()) {
        ("", "") => "everything".to_owned(),
        (project, "") => format!("project {project}"),
        ("", team) => format!("team {team}"),
        (project, team) => format!("project {project} of team {team}"),
    }
}

fn list(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    let books = Books::open(&args.ledger.place(), false)?;
    let mut standings = Vec::new();
    for budget in books.ask(books.ledger().budgets())? {
        let spent_micro = books.ask(books.ledger().spent_of(&budget, now_us()))?;
        standings.push(Standing {
            budget,
            spent_micro,
        });
    }
    books.close();
    if args.json {
        return printer.json(&standings);
    }
    if standings.is_empty() {
        printer.sentence("No budget is set. `outlay budget set november 500usd --month` sets one.");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = standings
        .iter()
        .map(
            |Standing {
                 budget,
                 spent_micro,
             }| {
                vec![
                    budget.name.clone(),
                    covers(budget),
                    budget.period.name().to_owned(),
                    usd(budget.limit_micro.units()),
                    usd(spent_micro.units()),
                    percent(spent_micro.units() / budget.limit_micro.units()),
                ]
            },
        )
        .collect();
    printer.table(
        &[
            ("budget", Align::Left),
            ("covers", Align::Left),
            ("period", Align::Left),
            ("limit", Align::Right),
            ("spent", Align::Right),
            ("", Align::Right),
        ],
        &rows,
    );
    Ok(())
}
