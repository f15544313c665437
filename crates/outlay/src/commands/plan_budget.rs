//! `outlay plan budget`: the best language model that a budget buys.

use std::path::{Path, PathBuf};

use outlay_catalog::accelerators;
use outlay_plan::request::{At, carbon, deadline_seconds, precision_or_usual};
use outlay_plan::{
    BESIROGLU_2024, BudgetAnswer, BudgetQuestion, Choice, HOFFMANN_2022, plan_budget,
};
use outlay_units::{count, duration, parse_money_usd, parse_tokens, usd};

use crate::commands::offers::{listed_at, market};
use crate::commands::plan_train::parse_gpus;
use crate::failure::Failure;
use crate::printer::{Align, Printer};

/// Arguments of `outlay plan budget`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  outlay plan budget 5000usd --deadline 30d
  outlay plan budget 2Musd --tokens-served 10T
  outlay plan budget 5000usd --model llama-3.1-8b --gpus 64xH100-SXM")]
pub struct Args {
    /// Most to spend, such as 5000usd
    #[arg(allow_hyphen_values = true)]
    budget: String,
    /// Longest that training may take, such as 30d
    #[arg(long, allow_hyphen_values = true)]
    deadline: Option<String>,
    /// Tokens that the model will read and write once it serves, paid from the same budget
    #[arg(long, value_name = "TOKENS", allow_hyphen_values = true)]
    tokens_served: Option<String>,
    /// Different tokens that there are to train on; more epochs over them are worth less
    #[arg(long, value_name = "TOKENS", allow_hyphen_values = true)]
    unique_tokens: Option<String>,
    /// A model to train as far as the budget goes: a built-in name or a file
    #[arg(long)]
    model: Option<String>,
    /// Accelerators, such as 64xH100-SXM; without it hardware and offers are searched
    #[arg(long, value_name = "NxACCELERATOR")]
    gpus: Option<String>,
    /// Number format of matrix products
    #[arg(long)]
    precision: Option<String>,
    /// Loss law: besiroglu-2024 (arXiv:2404.10102) or hoffmann-2022 (arXiv:2203.15556)
    #[arg(long, default_value = "besiroglu-2024", value_parser = ["besiroglu-2024", "hoffmann-2022"])]
    law: String,
    /// Consider spot offers too
    #[arg(long)]
    spot: bool,
    /// Consider reserved offers too (commitments of a month to three years)
    #[arg(long)]
    reserved: bool,
    /// Only offers in regions whose name holds this; or a month such as 2027-06, to which prices are projected (may be given
    /// twice)
    #[arg(long, value_name = "REGION|MONTH", allow_hyphen_values = true)]
    at: Vec<String>,
    /// Read more offers from a folder of SkyPilot catalogs
    #[arg(long, value_name = "FOLDER")]
    catalog: Option<PathBuf>,
    /// Use the constants of this file
    #[arg(long, value_name = "FILE.toml")]
    calibration: Option<PathBuf>,
    /// Print JSON (documented in docs/plan-budget.schema.json)
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    let calibration = super::calibration(args.calibration.as_deref())?;
    let budget = parse_money_usd(&args.budget)
        .map_err(|error| Failure::input(format!("the budget: {error}")))?;
    if !(0.01..=1e12).contains(&budget) {
        return Err(Failure::input(format!(
            "the budget is {}; allowed: $0.01 to $1,000,000,000,000",
            args.budget
        )));
    }
    let deadline_s = deadline_seconds(args.deadline.as_deref())?;
    let tokens = |option: &str, text: Option<&str>| match text.map(parse_tokens) {
        None => Ok(None),
        Some(Ok(tokens)) if tokens >= 1.0 => Ok(Some(tokens)),
        Some(Ok(tokens)) => Err(Failure::input(format!(
            "--{option} is {tokens}; allowed: 1 and more"
        ))),
        Some(Err(error)) => Err(Failure::input(format!("--{option}: {error}"))),
    };
    let served = tokens("tokens-served", args.tokens_served.as_deref())?;
    let unique = tokens("unique-tokens", args.unique_tokens.as_deref())?;
    let fixed = args.gpus.as_deref().map(parse_gpus).transpose()?;
    let precision = precision_or_usual(args.precision.as_deref(), fixed)?;
    let model = args.model.as_deref().map(model).transpose()?;
    let market = market(args.catalog.as_deref(), &args.at)?;
    let at = At::read(&args.at, &market.today)?;
    let (offers, projection) = listed_at(&market, (args.spot, args.reserved), &at, fixed)?;
    let choices: Vec<Choice<'_>> = accelerators()
        .iter()
        .filter(|accelerator| fixed.is_none_or(|(_, wanted)| wanted.id == accelerator.id))
        .filter_map(|accelerator| {
            let offers: Vec<_> = offers
                .iter()
                .filter(|offer| offer.accelerator == accelerator.id)
                .collect();
            (!offers.is_empty()).then_some(Choice {
                accelerator,
                count: fixed.map(|(count, _)| count),
                offers,
            })
        })
        .collect();
    if choices.is_empty() {
        return Err(Failure::input(format!(
            "no price of {} is known, so a budget cannot be spent on it",
            fixed.map_or("any accelerator", |(_, accelerator)| accelerator
                .id
                .as_str())
        ))
        .hint("`outlay prices` lists what has a price"));
    }
    let question = BudgetQuestion {
        usd: budget,
        deadline_s,
        choices,
        served_tokens: served.unwrap_or(0.0),
        unique_tokens: unique,
        law: if args.law == "hoffmann-2022" {
            HOFFMANN_2022
        } else {
            BESIROGLU_2024
        },
        model,
        carbon,
        pue: 1.2,
        precision,
        own_calibration: args.calibration.is_some(),
    };
    let mut answer = plan_budget(&question, &calibration).map_err(Failure::input)?;
    answer.notes.extend(projection);
    if args.json {
        return printer.json(&answer);
    }
    show(args, &answer, printer);
    Ok(())
}

fn model(name: &str) -> Result<outlay_model::Model, Failure> {
    let model = if Path::new(name).exists() {
        outlay_model::read_path(Path::new(name))
            .map(|loaded| loaded.model)
            .map_err(Failure::input)?
    } else {
        outlay_model::find(name)
            .and_then(outlay_model::BuiltinModel::model)
            .map_err(|error| Failure::input(error).hint("run `outlay models` to see them all"))?
    };
    if model.sample.positions.is_some() || model.family != outlay_model::Family::Decoder {
        return Err(Failure::input(format!(
            "{} is no language model of the kind that the loss laws were measured on; allowed: decoders",
            model.name
        )));
    }
    Ok(model)
}

fn show(args: &Args, answer: &BudgetAnswer, printer: &mut Printer) {
    let best = &answer.best;
    let what = match &args.model {
        Some(name) => format!("{name} ({} parameters)", count(best.parameters)),
        None => format!(
            "a model of {} parameters ({} layers of width {})",
            count(best.parameters),
            best.layers,
            best.hidden
        ),
    };
    printer.heading(&format!("{} buys {what}", usd(answer.budget_usd)));
    printer.sentence(&format!(
        "trained on {} tokens ({:.0} for each parameter{}), in {} on {} x {} from {}, {}.",
        count(best.tokens),
        best.tokens / best.parameters,
        if best.epochs > 1.05 {
            format!(", {:.1} epochs", best.epochs)
        } else {
            String::new()
        },
        duration(best.plan.wall_clock_s.p50),
        best.plan.count,
        best.plan.accelerator,
        best.plan.provider,
        best.plan.layout_brief
    ));
    printer.line("");
    let right = Align::Right;
    let rows: Vec<Vec<String>> = answer
        .candidates
        .iter()
        .map(|candidate| {
            let mut row = vec![
                if candidate.parameters == best.parameters {
                    "best".to_owned()
                } else {
                    String::new()
                },
                count(candidate.parameters),
                count(candidate.tokens),
                format!("{:.0}", candidate.tokens / candidate.parameters),
                format!("{:.3}", candidate.loss.p50),
                usd(candidate.training_usd.p50),
            ];
            if args.tokens_served.is_some() {
                row.push(usd(candidate.serving_usd));
            }
            row.push(duration(candidate.plan.wall_clock_s.p50));
            row.push(format!(
                "{}x{}",
                candidate.plan.count, candidate.plan.accelerator
            ));
            row
        })
        .collect();
    let mut head = vec![
        ("", Align::Left),
        ("parameters", right),
        ("tokens", right),
        ("each", right),
        ("loss", right),
        ("training", right),
    ];
    if args.tokens_served.is_some() {
        head.push(("serving", right));
    }
    head.extend([("time", right), ("hardware", Align::Left)]);
    printer.table(&head, &rows);
    printer.line("");
    printer.sentence(&format!(
        "Predicted loss {:.3} nats a token, {:.3} to {:.3} by {} ({}); training costs {} to {}.",
        best.loss.p50,
        best.loss.p10,
        best.loss.p90,
        if args.law == "hoffmann-2022" {
            "the error of its refit"
        } else {
            "the law's own error"
        },
        args.law,
        usd(best.training_usd.p10),
        usd(best.training_usd.p90)
    ));
    if args.model.is_none() {
        let (low, high) = answer.flat_parameters;
        printer.sentence(&format!(
            "The optimum is flat: every size from {} to {} is within 0.01 nats.",
            count(low),
            count(high)
        ));
        if let Some(active) = answer.mixture_active_parameters {
            printer.sentence(&format!(
                "A mixture of 8 experts with {} active parameters{} would reach the same loss on the same tokens{} (arXiv:2502.05172{}).",
                count(active),
                answer.mixture.as_ref().map_or_else(String::new, |mixture| {
                    let (low, high) = mixture.active_range;
                    format!(
                        " of {} ({} to {} active, were the law off by the dense one's error)",
                        count(mixture.parameters),
                        count(low),
                        high.map_or_else(|| "any number".to_owned(), count)
                    )
                }),
                answer.mixture.as_ref().map_or_else(String::new, |mixture| {
                    format!(
                        " for {} ({} to {}), in {} on {} x {}",
                        usd(mixture.training_usd.p50),
                        usd(mixture.training_usd.p10),
                        usd(mixture.training_usd.p90),
                        duration(mixture.plan.wall_clock_s.p50),
                        mixture.plan.count,
                        mixture.plan.accelerator
                    )
                }),
                if active > 2.7e9 {
                    ", carried on beyond the 2.7B that it was measured to"
                } else {
                    ""
                }
            ));
        }
    }
    for note in &answer.notes {
        printer.sentence(note);
    }
    let plan = &best.plan;
    printer.sentence(&format!(
        "Price of {} at {}: {}/h each, of {}. `outlay plan train` prices a run in full.",
        plan.accelerator,
        plan.provider,
        usd(plan.usd_per_accelerator_hour.unwrap_or(0.0)),
        plan.price_as_of
    ));
}
