//! `outlay plan rl`: reinforcement learning, with the answers that it generates.

use std::path::PathBuf;

use outlay_model::Family;
use outlay_plan::request::{
    At, Terms, carbon, holds, precision_or_usual, tokens, whole, whole_number,
};
use outlay_plan::{RlAnswer, RlMethod, RlQuestion, plan_rl};
use outlay_units::{count, duration, parse_count, percent, usd};

use super::offers::{market, old_price};
use super::plan_train::{load_model, parse_gpus};
use crate::failure::Failure;
use crate::printer::{Align, Printer, Ranges};

/// Arguments of `outlay plan rl`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  outlay plan rl qwen3-8b --prompts 50k --rollouts 8 --output 2000 --gpus 16xH100-SXM
  outlay plan rl llama-3.1-8b --method ppo --prompts 100k --rollouts 1 --gpus 32xA100-80GB-SXM")]
pub struct Args {
    /// Built-in model name, config.json or folder
    model: String,
    /// Algorithm: grpo, or ppo with a critic and a reward model of the policy's size
    #[arg(long, default_value = "grpo")]
    method: String,
    /// Prompts of the whole run, each pass over them counted
    #[arg(long, value_name = "PROMPTS", allow_hyphen_values = true)]
    prompts: String,
    /// Answers to each prompt
    #[arg(
        long,
        value_name = "ANSWERS",
        default_value = "8",
        allow_hyphen_values = true
    )]
    rollouts: String,
    /// Prompts of one step
    #[arg(
        long,
        value_name = "PROMPTS",
        default_value = "128",
        allow_hyphen_values = true
    )]
    step_prompts: String,
    /// Tokens of a prompt, on average
    #[arg(
        long,
        value_name = "TOKENS",
        default_value = "500",
        allow_hyphen_values = true
    )]
    input: String,
    /// Tokens of an answer, on average
    #[arg(
        long,
        value_name = "TOKENS",
        default_value = "1500",
        allow_hyphen_values = true
    )]
    output: String,
    /// Passes of the optimizer over the answers of a step
    #[arg(long, default_value = "1", allow_hyphen_values = true)]
    updates: String,
    /// Accelerators, such as 16xH100-SXM
    #[arg(long, value_name = "NxACCELERATOR")]
    gpus: String,
    /// Number format of training
    #[arg(long)]
    precision: Option<String>,
    /// Price of one accelerator-hour, such as 2.49/h, in place of the listed offers
    #[arg(long, allow_hyphen_values = true)]
    price: Option<String>,
    /// Consider spot offers too
    #[arg(long, conflicts_with = "price")]
    spot: bool,
    /// Consider reserved offers too
    #[arg(long, conflicts_with = "price")]
    reserved: bool,
    /// Only offers in regions whose name holds this; or a month such as 2027-06, to which prices are projected (may be given
    /// twice)
    #[arg(long, value_name = "REGION|MONTH", allow_hyphen_values = true)]
    at: Vec<String>,
    /// Use the constants of this file
    #[arg(long, value_name = "FILE.toml")]
    calibration: Option<PathBuf>,
    /// Print JSON (documented in docs/plan-rl.schema.json)
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    let model = load_model(&args.model)?;
    if model.family != Family::Decoder {
        return Err(Failure::input(format!(
            "`{}` writes no tokens; allowed: language models",
            model.name
        )));
    }
    let calibration = super::calibration(args.calibration.as_deref())?;
    let method = RlMethod::from_name(&args.method).ok_or_else(|| {
        Failure::input(format!(
            "--method `{}` is not known; allowed: {}",
            args.method,
            RlMethod::ALL.map(RlMethod::name).join(", ")
        ))
    })?;
    let prompts = parse_count(&args.prompts)
        .ok()
        .filter(|prompts| (1.0..=1e12).contains(prompts))
        .ok_or_else(|| {
            Failure::input(format!(
                "--prompts is `{}`; allowed: a number from 1, such as 50k",
                args.prompts
            ))
        })?;
    let small = |option: &str, text: &str, most: u64| -> Result<u32, Failure> {
        Ok(whole(option, Some(text), most)?.unwrap_or(1) as u32)
    };
    let (n, accelerator) = parse_gpus(&args.gpus)?;
    let fixed = Some((n, accelerator));
    let market = market(None, &args.at)?;
    let terms = Terms {
        price: args.price.as_deref(),
        spot: args.spot,
        reserved: args.reserved,
        ..Terms::default()
    };
    let mut offers = market.gather(&terms, fixed)?;
    let at = At::read(&args.at, &market.today)?;
    let projection = at.apply(&mut offers, fixed, &market.dated)?;
    let cheapest = offers
        .iter()
        .filter(|offer| offer.accelerator == accelerator.id)
        .min_by(|a, b| {
            a.usd_per_accelerator_hour()
                .total_cmp(&b.usd_per_accelerator_hour())
        });
    let question = RlQuestion {
        model: &model,
        method,
        prompts,
        rollouts: small("rollouts", &args.rollouts, 1024)?,
        step_prompts: small("step-prompts", &args.step_prompts, 100_000)?,
        input_tokens: tokens("input", &args.input)?,
        output_tokens: tokens("output", &args.output)?,
        updates: whole_number("updates", &args.updates, 100.0)? as u32,
        accelerator,
        count: n,
        offer: cheapest,
        precision: precision_or_usual(args.precision.as_deref(), fixed)?,
        carbon,
    };
    holds(&model, question.input_tokens, question.output_tokens)?;
    let mut answer = plan_rl(&question, &calibration).map_err(|error| {
        Failure::input(error).hint("give more accelerators, or ones with more memory")
    })?;
    answer.notes.extend(projection);
    if let Some(offer) = cheapest {
        answer
            .notes
            .extend(old_price(&accelerator.id, &offer.provider, &offer.as_of));
    }
    if args.json {
        return printer.json(&answer);
    }
    show(&answer, &question, printer);
    Ok(())
}

fn show(answer: &RlAnswer, question: &RlQuestion<'_>, printer: &mut Printer) {
    let best = &answer.plans[0];
    printer.heading(&format!(
        "{}: {} of {} prompts, {} of {} tokens to each",
        answer.model,
        answer.method.name(),
        count(question.prompts),
        if question.rollouts == 1 {
            "an answer".to_owned()
        } else {
            format!("{} answers", question.rollouts)
        },
        count(question.output_tokens)
    ));
    let place = if best.is_split {
        format!(
            "{} generate ({}) while {} train ({})",
            best.generation_accelerators,
            best.generation_layout,
            best.training_accelerators,
            best.training_layout
        )
    } else {
        format!(
            "all generate ({}) and train ({}) in turns",
            best.generation_layout, best.training_layout
        )
    };
    let price = question.offer.map_or_else(String::new, |offer| {
        format!(
            " at {}/h each{}",
            usd(offer.usd_per_accelerator_hour()),
            if offer.as_of.is_empty() {
                String::new()
            } else {
                format!(" from {}", offer.provider)
            }
        )
    });
    printer.sentence(&format!(
        "On {} x {}{price}: {place}.",
        question.count, answer.accelerator
    ));
    printer.line("");
    let mut ranges = Ranges::default();
    if let Some(cost) = best.usd {
        ranges.row("cost", cost, usd);
    }
    ranges.row("wall-clock time", best.wall_clock_s, duration);
    ranges.row("GPU-hours", best.accelerator_hours, count);
    ranges.row("one step", best.step_s, duration);
    ranges.row("  generation", best.generation_s, duration);
    ranges.row("  training", best.training_s, duration);
    printer.ranges(&ranges);
    let right = Align::Right;
    printer.line("");
    printer.sentence(&format!(
        "{} steps; {} tokens are generated and {} trained on. Handing new weights over{} takes {}.",
        count(best.steps),
        count(answer.generated_tokens),
        count(answer.trained_tokens),
        if best.is_split {
            ""
        } else {
            ", and putting the optimizer's states aside,"
        },
        duration(best.weights_s)
    ));
    if answer.plans.len() > 1 {
        printer.line("");
        printer.heading("Together or apart");
        printer.table(
            &[
                ("generate", right),
                ("train", right),
                ("a step", right),
                ("generation", right),
                ("training", right),
                ("waits", right),
                ("cost", right),
            ],
            &answer
                .plans
                .iter()
                .map(|plan| {
                    vec![
                        plan.generation_accelerators.to_string(),
                        plan.training_accelerators.to_string(),
                        duration(plan.step_s.p50),
                        duration(plan.generation_s.p50),
                        duration(plan.training_s.p50),
                        percent(plan.idle),
                        plan.usd
                            .map_or_else(|| "?".to_owned(), |cost| usd(cost.p50)),
                    ]
                })
                .collect::<Vec<_>>(),
        );
    }
    for note in &answer.notes {
        printer.line("");
        printer.sentence(note);
    }
}
