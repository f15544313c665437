//! `outlay plan lifecycle`: training and serving together, and the cheapest way to both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use outlay_catalog::{Accelerator, Offer, Pricing, accelerators, builtin_api_prices, read_litellm};
use outlay_model::Family;
use outlay_plan::request::{
    At, carbon, deadline_seconds, latency, number, precision_or_usual, tokens,
};
use outlay_plan::serving::{Demand, Engine, Limits, NumberFormat, ServeQuestion, is_measured};
use outlay_plan::{
    BESIROGLU_2024, Choice, LifecycleAnswer, LifecycleQuestion, PriceFactors, Trends, overtakes,
    plan_lifecycle,
};
use outlay_units::{count, duration, parse_rate_per_second, parse_tokens, significant, usd};

use super::offers::{listed_at, market};
use super::plan_train::{load_model, parse_gpus, today};
use super::trends::{DatedPrices, SNAPSHOTS};
use crate::failure::{Failure, read_text};
use crate::plot::{Picture, Point};
use crate::printer::{Align, Printer};

/// Arguments of `outlay plan lifecycle`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  outlay plan lifecycle llama-3.1-8b --tokens 1T --requests 20/s --months 24 --growth 5
  outlay plan lifecycle qwen3-32b --requests 5/s --months 12 --falling-prices")]
pub struct Args {
    /// Built-in model name, config.json or folder
    model: String,
    /// Tokens to train on; without it the model is taken as it is published
    #[arg(long, value_name = "TOKENS", allow_hyphen_values = true)]
    tokens: Option<String>,
    /// Accelerators to train on, such as 64xH100-SXM; without it hardware and offers are searched
    #[arg(long, value_name = "NxACCELERATOR", requires = "tokens")]
    train_gpus: Option<String>,
    /// Longest that training may take, such as 60d
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    deadline: Option<String>,
    /// Requests in the busiest hour of the first month, such as 20/s or 5000/day
    #[arg(
        long,
        value_name = "RATE",
        default_value = "1/s",
        allow_hyphen_values = true
    )]
    requests: String,
    /// Tokens of a prompt, on average
    #[arg(
        long,
        value_name = "TOKENS",
        default_value = "1000",
        allow_hyphen_values = true
    )]
    input: String,
    /// Tokens of an answer, on average
    #[arg(
        long,
        value_name = "TOKENS",
        default_value = "300",
        allow_hyphen_values = true
    )]
    output: String,
    /// Share of prompts' tokens that prefix caching finds, from 0 to 0.99
    #[arg(
        long,
        value_name = "SHARE",
        default_value = "0",
        allow_hyphen_values = true
    )]
    cached: String,
    /// Mean rate over a month, as a share of the busiest hour's
    #[arg(
        long,
        value_name = "SHARE",
        default_value = "0.5",
        allow_hyphen_values = true
    )]
    mean_over_peak: String,
    /// Longest time to first token, such as 1s
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    ttft: Option<String>,
    /// Longest time per output token, such as 40ms
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    tpot: Option<String>,
    /// Accelerator to serve on, such as H100-SXM; without it hardware and offers are searched
    #[arg(long, value_name = "ACCELERATOR")]
    gpu: Option<String>,
    /// Number format of the weights as they are
    #[arg(long, value_name = "FORMAT", default_value = "bf16")]
    precision: String,
    /// Months that the model serves
    #[arg(long, default_value = "12", allow_hyphen_values = true)]
    months: String,
    /// Growth of the requests from month to month, in percent
    #[arg(
        long,
        value_name = "PERCENT",
        default_value = "0",
        allow_hyphen_values = true
    )]
    growth: String,
    /// Let prices of accelerators and of tokens change at the rates of `outlay trends`; otherwise they stay
    #[arg(long)]
    falling_prices: bool,
    /// Only offers in regions whose name holds this; or a month such as 2027-06, to which prices are projected
    #[arg(long, value_name = "REGION|MONTH")]
    at: Vec<String>,
    /// Consider reserved offers too
    #[arg(long)]
    reserved: bool,
    /// Read more offers from a folder of SkyPilot catalogs
    #[arg(long, value_name = "FOLDER")]
    catalog: Option<PathBuf>,
    /// Read the prices of APIs from LiteLLM's model_prices_and_context_window.json (default: a small built-in list)
    #[arg(long, value_name = "FILE.json")]
    api_prices: Option<PathBuf>,
    /// Use the constants of this file
    #[arg(long, value_name = "FILE.toml")]
    calibration: Option<PathBuf>,
    /// Draw what each way has cost by each month, to an .svg, .png or .html file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Print JSON (documented in docs/plan-lifecycle.schema.json)
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    let model = load_model(&args.model)?;
    if model.family != Family::Decoder {
        return Err(Failure::input(format!(
            "`{}` is no language model of the decoder kind; allowed: those (`outlay plan train` and `outlay plan serve` answer for others)",
            model.name
        )));
    }
    let calibration = super::calibration(args.calibration.as_deref())?;
    let months = number("months", &args.months, 1.0, 120.0)?;
    if months.fract() != 0.0 {
        return Err(Failure::input(format!(
            "--months is `{}`; allowed: whole numbers from 1 to 120",
            args.months
        )));
    }
    let training_tokens = args
        .tokens
        .as_deref()
        .map(parse_tokens)
        .transpose()
        .map_err(|error| Failure::input(format!("--tokens: {error}")))?;
    let train_on = args.train_gpus.as_deref().map(parse_gpus).transpose()?;
    let serve_on = args
        .gpu
        .as_deref()
        .map(outlay_catalog::find_accelerator)
        .transpose()
        .map_err(|error| Failure::input(error).hint("run `outlay hardware` to see them all"))?;
    let market = market(args.catalog.as_deref(), &args.at)?;
    let at = At::read(&args.at, &market.today)?;
    let (offers, projection) = listed_at(&market, (false, args.reserved), &at, None)?;
    let mut prices = match &args.api_prices {
        None => builtin_api_prices().to_vec(),
        Some(path) => {
            read_litellm(&read_text(path)?, &path.display().to_string(), &today())
                .map_err(|error| Failure::input(error.to_string()))?
                .0
        }
    };
    let family = outlay_model::find(&model.name)
        .ok()
        .map(|found| &found.name);
    let sells = |name: &str| {
        family.is_some() && outlay_model::find_served(name).map(|found| &found.name) == family
    };
    let format = NumberFormat::from_name(&args.precision).ok_or_else(|| {
        Failure::input(format!(
            "--precision `{}` is not known; allowed: {}",
            args.precision,
            NumberFormat::ALL.map(NumberFormat::name).join(", ")
        ))
    })?;
    let narrower = |narrow: &NumberFormat| narrow.weight_bytes() < format.weight_bytes();
    if let Some(day) = at.day() {
        project_apis(&mut prices, day, family.map(String::as_str))?;
    }
    let question = LifecycleQuestion {
        serve: ServeQuestion {
            model: &model,
            choices: choices(
                &offers,
                serve_on.map(|accelerator| (None, accelerator)),
                true,
            )?,
            engines: vec![Engine::Vllm],
            formats: vec![format],
            demand: Demand {
                requests_per_s: parse_rate_per_second(&args.requests)
                    .map_err(|error| Failure::input(format!("--requests: {error}")))?,
                mean_over_peak: number("mean-over-peak", &args.mean_over_peak, 0.01, 1.0)?,
                input_tokens: tokens("input", &args.input)?,
                output_tokens: tokens("output", &args.output)?,
                cached_prefix: number("cached", &args.cached, 0.0, 0.99)?,
            },
            limits: Limits {
                ttft_s: latency("ttft", args.ttft.as_deref())?,
                tpot_s: latency("tpot", args.tpot.as_deref())?,
                for_99_in_100: true,
            },
            draft: None,
            apart: false,
            hours: Vec::new(),
            carbon,
            pue: 1.2,
        },
        narrow: [NumberFormat::Fp8, NumberFormat::Int8, NumberFormat::Int4]
            .into_iter()
            .filter(narrower)
            .collect(),
        training_tokens,
        train_choices: choices(
            &offers,
            train_on.map(|(n, accelerator)| (Some(n), accelerator)),
            false,
        )?,
        deadline_s: deadline_seconds(args.deadline.as_deref())?,
        precision: precision_or_usual(None, train_on)?,
        months: months as u32,
        growth: number("growth", &args.growth, -50.0, 100.0)? / 100.0,
        law: BESIROGLU_2024,
        apis: prices.iter().filter(|price| sells(&price.name)).collect(),
        price_factors: if args.falling_prices {
            falling(family.map(String::as_str))?
        } else {
            PriceFactors::default()
        },
    };
    let mut answer = plan_lifecycle(&question, &calibration).map_err(Failure::input)?;
    if question.apis.is_empty() {
        answer.notes.push(format!(
            "No API on the list sells {} by the token.",
            model.name
        ));
    }
    if training_tokens.is_some() {
        answer.notes.push(
            "Months count from the day on which the trained model begins to serve.".to_owned(),
        );
    }
    answer.notes.push(if args.falling_prices {
        "Prices of accelerators and of tokens change at the rates that `outlay trends` shows."
            .to_owned()
    } else {
        "Prices stay as they are (--falling-prices lets them follow their trends).".to_owned()
    });
    answer.notes.extend(projection);
    if let Some(path) = &args.plot {
        draw(&answer, path)?;
    }
    if args.json {
        return printer.json(&answer);
    }
    show(&answer, printer);
    let plain = answer
        .choices
        .iter()
        .find(|choice| choice.name == "as it is");
    if plain.is_some_and(|plain| !plain.meets_limits) {
        return Err(Failure::check(
            "the model as it is misses the deadline or the limits on latency (`outlay plan train` and `outlay plan serve` say by how much)",
        ));
    }
    Ok(())
}

/// Hardware that has a price, or what was fixed.
fn choices<'a>(
    offers: &'a [Offer],
    fixed: Option<(Option<u32>, &'static Accelerator)>,
    serving: bool,
) -> Result<Vec<Choice<'a>>, Failure> {
    let found: Vec<Choice<'_>> = accelerators()
        .iter()
        .filter(|accelerator| match fixed {
            Some((_, wanted)) => wanted.id == accelerator.id,
            None => !serving || is_measured(&accelerator.generation),
        })
        .filter_map(|accelerator| {
            let offers: Vec<&Offer> = offers
                .iter()
                .filter(|offer| offer.accelerator == accelerator.id)
                .collect();
            (!offers.is_empty()).then_some(Choice {
                accelerator,
                count: fixed.and_then(|(count, _)| count),
                offers,
            })
        })
        .collect();
    match fixed {
        Some((_, accelerator)) if found.is_empty() => Err(Failure::input(format!(
            "no price of {} is known, so that nothing can be added up",
            accelerator.id
        ))
        .hint("`outlay prices` lists what has a price")),
        _ => Ok(found),
    }
}

/// Carries prices of APIs on to a day, as those of accelerators are.
fn project_apis(
    prices: &mut [outlay_catalog::ApiPrice],
    day: &str,
    family: Option<&str>,
) -> Result<(), Failure> {
    let yearly = falling(family)?.tokens;
    for price in prices {
        if let Some(days) = outlay_catalog::age_days(&price.as_of, day) {
            let factor = (yearly * days as f64 / 365.25).exp();
            price.usd_per_input_token *= factor;
            price.usd_per_output_token *= factor;
            price.usd_per_cached_token = price.usd_per_cached_token.map(|usd| usd * factor);
            for tier in &mut price.tiers {
                tier.usd_per_input_token *= factor;
                tier.usd_per_output_token *= factor;
                tier.usd_per_cached_token = tier.usd_per_cached_token.map(|usd| usd * factor);
            }
        }
    }
    Ok(())
}

/// Rates of change of prices, from their trends.
fn falling(family: Option<&str>) -> Result<PriceFactors, Failure> {
    let prices = DatedPrices::read(Path::new(SNAPSHOTS))?;
    let hardware = Trends::of_offers(prices.offers.iter(), Pricing::OnDemand);
    let tokens = Trends::of_apis(prices.apis.iter(), |name| {
        outlay_model::find_served(name).map(|found| found.name.clone())
    });
    Ok(PriceFactors {
        accelerators: accelerators()
            .iter()
            .map(|accelerator| {
                let rate = hardware.factor(&accelerator.id, 1.0).p50.ln();
                (accelerator.id.clone(), rate)
            })
            .collect::<BTreeMap<_, _>>(),
        tokens: tokens.factor(family.unwrap_or_default(), 1.0).p50.ln(),
    })
}

fn show(answer: &LifecycleAnswer, printer: &mut Printer) {
    let demand = &answer.demand;
    printer.heading(&format!(
        "{}: {} months from {} requests/s of {} + {} tokens{}",
        answer.model,
        answer.months,
        significant(demand.requests_per_s),
        count(demand.input_tokens),
        count(demand.output_tokens),
        if answer.growth == 0.0 {
            String::new()
        } else {
            format!(", {:+.1}% a month", answer.growth * 100.0)
        }
    ));
    printer.line("");
    let right = Align::Right;
    printer.table(
        &[
            ("", right),
            ("way", Align::Left),
            ("training", right),
            ("serving", right),
            ("total", right),
            ("p10 to p90", right),
        ],
        &answer
            .choices
            .iter()
            .enumerate()
            .map(|(index, choice)| {
                vec![
                    (index + 1).to_string(),
                    choice.name.clone(),
                    if choice.training_usd.p50 > 0.0 {
                        usd(choice.training_usd.p50)
                    } else {
                        "-".to_owned()
                    },
                    usd(choice.serving_usd.p50),
                    usd(choice.total_usd.p50),
                    format!(
                        "{} to {}",
                        usd(choice.total_usd.p10),
                        usd(choice.total_usd.p90)
                    ),
                ]
            })
            .collect::<Vec<_>>(),
    );
    printer.line("");
    for (index, choice) in answer.choices.iter().enumerate() {
        let served = choice.serving.as_ref().map_or_else(String::new, |plan| {
            format!(
                "{} x {} ({} of {}, {}); ",
                plan.accelerators,
                plan.accelerator,
                if plan.replicas == 1 {
                    "1 replica".to_owned()
                } else {
                    format!("{} replicas", plan.replicas)
                },
                plan.layout_brief,
                plan.format.name()
            )
        });
        let trained = choice.training.as_ref().map_or_else(String::new, |plan| {
            format!(
                "trained for {} on {} x {}; ",
                duration(plan.wall_clock_s.p50),
                plan.count,
                plan.accelerator
            )
        });
        let missed = if choice.meets_limits {
            ""
        } else {
            "misses the deadline or the limits on latency; "
        };
        printer.sentence(&format!(
            "{}: {trained}{served}{missed}gives up {}.",
            index + 1,
            choice.gives_up
        ));
    }
    if let Some(plain) = answer
        .choices
        .iter()
        .find(|choice| choice.name == "as it is")
    {
        let cheapest = &answer.choices[0];
        if cheapest.name != plain.name {
            printer.line("");
            printer.sentence(&match overtakes(cheapest, plain) {
                Some(1) => format!(
                    "Way 1 costs less than the model as it is from the first month on, and saves {} over the horizon.",
                    usd(plain.total_usd.p50 - cheapest.total_usd.p50)
                ),
                Some(month) => format!(
                    "Way 1 has cost less than the model as it is from the end of month {month} on, and saves {} over the horizon.",
                    usd(plain.total_usd.p50 - cheapest.total_usd.p50)
                ),
                None => "The ways are as good as equal.".to_owned(),
            });
        }
    }
    printer.line("");
    printer.sentence(&format!(
        "{} requests in all{}.",
        count(answer.requests),
        answer.loss.map_or_else(String::new, |loss| format!(
            "; the loss law gives the model {loss:.3} nats a token"
        ))
    ));
    for note in &answer.notes {
        printer.sentence(note);
    }
}

/// What each way has cost by the end of each month.
fn draw(answer: &LifecycleAnswer, path: &Path) -> Result<(), Failure> {
    let shown: Vec<_> = answer.choices.iter().take(6).collect();
    let points: Vec<Point> = shown
        .iter()
        .enumerate()
        .flat_map(|(series, choice)| {
            // Training is paid before the first month.
            let paid = (choice.training_usd.p50 > 0.0).then_some(&choice.training_usd.p50);
            let first = usize::from(paid.is_none());
            paid.into_iter()
                .chain(&choice.spent_usd)
                .enumerate()
                .map(move |(month, usd)| Point {
                    // The axis is logarithmic, so that exponentials of months are evenly spaced.
                    x: ((month + first) as f64 / 12.0).exp(),
                    y: usd.max(0.01) * outlay_units::in_currency(1.0),
                    x_range: None,
                    series,
                    label: None,
                })
        })
        .collect();
    let step = (answer.months / 8).max(1);
    let marks: Vec<f64> = (0..=answer.months)
        .step_by(step as usize)
        .map(|month| (f64::from(month) / 12.0).exp())
        .collect();
    Picture {
        title: &format!("{}: what has been spent by each month", answer.model),
        x_name: "month",
        y_name: "spent so far",
        series: &shown
            .iter()
            .map(|choice| choice.name.clone())
            .collect::<Vec<_>>(),
        points: &points,
        joined: true,
        diagonal: false,
        x_marks: Some(&marks),
        x_text: |x| format!("{:.0}", 12.0 * x.ln()),
        y_text: |cost| usd(cost / outlay_units::in_currency(1.0)),
        panels: &[],
    }
    .write(path)
}
