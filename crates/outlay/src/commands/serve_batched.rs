//! `outlay plan serve` for models that answer a request whole: images, embeddings, speech.

use outlay_model::{Family, Model};
use outlay_plan::request::no_use;
use outlay_plan::serving::{BatchedAnswer, BatchedPlan};
use outlay_units::{count, percent, price_usd, significant, usd};

use super::exports::write_exports;
use super::offers::price_day;
use super::plan_serve::Args;
use super::serve_show::{energy, grams, latency};
use crate::failure::Failure;
use crate::printer::{Align, Printer, Ranges};

/// Draws, writes and prints the answer.
pub fn tell(
    args: &Args,
    model: &Model,
    answer: &BatchedAnswer,
    printer: &mut Printer,
) -> Result<(), Failure> {
    for (option, given) in [("precisions", args.precisions), ("explain", args.explain)] {
        if given {
            return Err(no_use(option, model).into());
        }
    }
    if let Some(path) = &args.plot {
        super::serve_picture::draw_batched(answer, path)?;
    }
    write_exports(
        &args.export,
        &["triton"],
        |name| (name == "triton").then_some(()),
        |()| triton(answer),
    )?;
    if args.json {
        printer.json(answer)?;
    } else {
        show(answer, model, args, printer);
    }
    if answer.meets_limit {
        Ok(())
    } else {
        Err(Failure::check(
            "no plan considered meets the limit given (see the sentences above)",
        ))
    }
}

/// Settings of Triton Inference Server (`config.pbtxt`) that run the plan: whatever waits is taken together, up to its batch.
///
/// # Errors
/// Where Triton cannot say the plan: replicas that divide each layer over several accelerators.
fn triton(answer: &BatchedAnswer) -> Result<String, String> {
    let best = &answer.best;
    if best.ranks > 1 {
        return Err(format!(
            "the plan divides each layer over {} accelerators, which Triton leaves to the backend; give hardware that holds the model on one",
            best.ranks
        ));
    }
    let name: String = answer
        .model
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let preferred: Vec<String> = answer
        .curve
        .iter()
        .map(|point| point.batch)
        .filter(|batch| *batch > 1 && *batch <= best.most_batch)
        .map(|batch| batch.to_string())
        .collect();
    let mut out = format!(
        "# {} on {} x {}, {}; planned for {} requests/s.\n\
         # The backend and the tensors are the model's own: Triton fills them in for ONNX and TensorRT files.\n",
        plural(best.replicas, "replica"),
        best.accelerators,
        best.accelerator,
        best.format.name_on(&best.accelerator),
        significant(answer.demand.requests_per_s),
    );
    if answer.parts.len() > 1 || answer.parts.iter().any(|part| part.passes > 1.0) {
        out.push_str(
            "# A request is several passes: the pipeline that calls this network runs them.\n",
        );
    }
    out.push_str(&format!(
        "name: \"{name}\"\nmax_batch_size: {}\n",
        best.most_batch
    ));
    if !preferred.is_empty() {
        out.push_str(&format!(
            "dynamic_batching {{\n  preferred_batch_size: [ {} ]\n  max_queue_delay_microseconds: 0\n}}\n",
            preferred.join(", ")
        ));
    }
    out.push_str("instance_group [\n  {\n    count: 1\n    kind: KIND_GPU\n  }\n]\n");
    Ok(out)
}

/// A number of things.
fn plural(n: u32, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// What a request is, in words.
fn request_words(answer: &BatchedAnswer, model: &Model) -> String {
    let request = &answer.request;
    let sample = &model.sample;
    let size = if sample.width_px > 0 {
        let frames = if sample.frames > 1 {
            format!(", {} frames", sample.frames)
        } else {
            String::new()
        };
        format!(
            " of {} x {} pixels{frames}",
            sample.width_px, sample.height_px
        )
    } else {
        String::new()
    };
    match model.family {
        Family::Decoder | Family::Encoder => format!("of {} tokens", count(request.input_tokens)),
        Family::EncoderDecoder => format!(
            "({}) of {} tokens each",
            answer.unit,
            count(request.output_tokens)
        ),
        Family::Diffusion if !model.runs_in_steps() => format!("({}{size})", answer.unit),
        Family::Diffusion => format!(
            "({}{size}), {} steps of {} {}",
            answer.unit,
            request.steps,
            request.passes_per_step,
            if request.passes_per_step == 1.0 {
                "pass"
            } else {
                "passes"
            }
        ),
        Family::Vision => format!("({}{size})", answer.unit),
    }
}

fn show(answer: &BatchedAnswer, model: &Model, args: &Args, printer: &mut Printer) {
    let best = &answer.best;
    printer.heading(&format!(
        "{}: {} parameters, {} requests/s",
        answer.model,
        count(answer.parameters),
        significant(answer.demand.requests_per_s),
    ));
    printer.sentence(&format!("Requests {}.", request_words(answer, model)));
    let price = best
        .usd_per_accelerator_hour
        .map_or_else(String::new, |price| {
            if best.price_as_of.is_empty() {
                format!(" at {}/h each", usd(price))
            } else {
                format!(
                    " from {} ({}, {}/h each, {})",
                    best.provider,
                    best.pricing,
                    usd(price),
                    price_day(&best.price_as_of, &best.price_source)
                )
            }
        });
    let replicas = match (best.replicas, best.ranks) {
        (replicas, 1) => plural(replicas, "replica"),
        (replicas, ranks) => format!(
            "{}, each divided over {ranks} GPUs,",
            plural(replicas, "replica")
        ),
    };
    printer.sentence(&format!(
        "{replicas} on {} x {}{price}, {}; {}.",
        best.accelerators,
        best.accelerator,
        best.format.name_on(&best.accelerator),
        if best.most_batch == 1 {
            "one request at a time".to_owned()
        } else {
            format!("up to {} {} together", best.most_batch, answer.unit)
        },
    ));
    printer.line("");
    let mut ranges = Ranges::default();
    if let Some(cost) = best.usd_per_month {
        ranges.row("cost a month", cost, usd);
    }
    if let Some(price) = best.usd_per_thousand {
        ranges.row(&format!("  a thousand {}", answer.unit), price, price_usd);
    }
    ranges.row("time to answer, p50", best.latency.p50_s, latency);
    ranges.row("  p99", best.latency.p99_s, latency);
    ranges.row("  of a lone request", best.alone_s, latency);
    ranges.row(
        &format!("{}/s that a replica takes", answer.unit),
        best.capacity_requests_per_s,
        significant,
    );
    ranges.row("energy of a request", best.energy_wh_per_request, energy);
    ranges.row("CO2e of a request", best.co2e_g_per_request, grams);
    printer.ranges(&ranges);
    let right = Align::Right;
    printer.line("");
    printer.sentence(&format!(
        "{} of the capacity is in use on average; {:.1} {} run together in the busiest hour. Each GPU holds {:.1} GiB of weights and {:.1} GiB in all, of {:.1} GiB.",
        percent(best.utilisation),
        best.batch,
        answer.unit,
        best.weights_gib,
        best.memory_gib,
        best.memory_capacity_gib
    ));
    if answer.parts.len() > 1 {
        let parts: Vec<String> = answer
            .parts
            .iter()
            .map(|part| format!("{} {}", part.name, latency(part.seconds)))
            .collect();
        printer.line("");
        printer.sentence(&format!("Of a lone request: {}.", parts.join(", ")));
    }
    for note in &answer.notes {
        printer.line("");
        printer.sentence(note);
    }
    if args.curve {
        printer.line("");
        printer.heading("One replica against its batch");
        printer.table(
            &[
                ("batch", right),
                (&format!("{}/s", answer.unit), right),
                ("a batch takes", right),
                ("a thousand", right),
                ("", Align::Left),
            ],
            &answer
                .curve
                .iter()
                .map(|point| {
                    vec![
                        point.batch.to_string(),
                        significant(point.requests_per_s),
                        latency(point.batch_s),
                        point.usd_per_thousand.map_or_else(String::new, price_usd),
                        if point.is_knee { "knee" } else { "" }.to_owned(),
                    ]
                })
                .collect::<Vec<_>>(),
        );
    }
    for (heading, plans) in [
        ("Next best", &answer.others),
        (
            "Cheaper or faster: no plan beats these in both",
            &answer.pareto,
        ),
    ] {
        if plans.is_empty() || (plans.len() < 2 && heading != "Next best") {
            continue;
        }
        printer.line("");
        printer.heading(heading);
        printer.table(
            &[
                ("hardware", Align::Left),
                ("provider", Align::Left),
                ("a month", right),
                ("a thousand", right),
                ("p50", right),
                ("p99", right),
            ],
            &plans.iter().map(plan_row).collect::<Vec<_>>(),
        );
    }
}

fn plan_row(plan: &BatchedPlan) -> Vec<String> {
    let money = |estimate: Option<outlay_units::Estimate>, write: fn(f64) -> String| {
        estimate.map_or_else(|| "?".to_owned(), |estimate| write(estimate.p50))
    };
    vec![
        format!(
            "{} x {} {}",
            plan.accelerators,
            plan.accelerator,
            plan.format.name_on(&plan.accelerator)
        ),
        plan.provider.clone(),
        money(plan.usd_per_month, usd),
        money(plan.usd_per_thousand, price_usd),
        latency(plan.latency.p50_s.p50),
        latency(plan.latency.p99_s.p50),
    ]
}
