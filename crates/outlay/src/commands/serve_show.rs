//! How `outlay plan serve` shows a plan of a language model.

use outlay_model::Model;
use outlay_plan::serving::{
    Deployment, HOURS_PER_MONTH, SERVING_CONSTANTS, ServeAnswer, ServePlan, ServingConstant,
    ServingConstants, decode_parts,
};
use outlay_units::{count, percent, price_usd, significant, usd};

use super::offers::price_day;
use super::plan_serve::Args;
use crate::printer::{Align, Printer, Ranges};

pub(super) fn latency(seconds: f64) -> String {
    if seconds < 0.1 {
        format!("{:.1} ms", seconds * 1e3)
    } else if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else {
        format!("{} s", significant(seconds))
    }
}

/// Emissions of a request.
pub(super) fn grams(grams: f64) -> String {
    if grams < 1.0 {
        format!("{} mg", significant(grams * 1e3))
    } else {
        format!("{} g", significant(grams))
    }
}

pub(super) fn energy(watt_hours: f64) -> String {
    if watt_hours < 1.0 {
        format!("{} mWh", significant(watt_hours * 1e3))
    } else {
        format!("{} Wh", significant(watt_hours))
    }
}

pub(super) fn show(answer: &ServeAnswer, args: &Args, printer: &mut Printer) {
    let best = &answer.best;
    let active = if answer.active_parameters < answer.parameters {
        format!(" ({} active)", count(answer.active_parameters as f64))
    } else {
        String::new()
    };
    let demand = &answer.demand;
    printer.heading(&format!(
        "{}: {} parameters{active}, {} requests/s of {} + {} tokens",
        answer.model,
        count(answer.parameters as f64),
        significant(demand.requests_per_s),
        count(demand.input_tokens),
        count(demand.output_tokens)
    ));
    let at = match best.provider.as_str() {
        "none" => String::new(),
        "given" => format!(
            " at {}/h each",
            usd(best.usd_per_accelerator_hour.unwrap_or(0.0))
        ),
        provider => {
            let place = if best.region.is_empty() {
                String::new()
            } else {
                format!("{}, ", best.region)
            };
            format!(
                " from {provider} ({place}{}, {}/h each, {})",
                best.pricing,
                usd(best.usd_per_accelerator_hour.unwrap_or(0.0)),
                price_day(&best.price_as_of, &best.price_source)
            )
        }
    };
    printer.sentence(&format!(
        "{} of {} on {} x {}{at}, {} weights, {}; up to {} sequences at once each.",
        match (best.replicas, best.prompt_layout) {
            (1, None) => "1 replica".to_owned(),
            (replicas, None) => format!("{replicas} replicas"),
            (replicas, Some(layout)) => format!(
                "Apart: {} prompt workers of {} and {replicas} decode workers",
                best.prompt_workers,
                layout.name()
            ),
        },
        best.layout_brief,
        best.accelerators,
        best.accelerator,
        best.format.name(),
        best.engine.name(),
        best.most_batch
    ));
    printer.line("");
    let mut ranges = Ranges::default();
    if let Some(cost) = best.usd_per_month {
        ranges.row("cost a month", cost, usd);
    }
    if let Some(prices) = best.usd_per_million_tokens {
        ranges.row("  a million input tokens", prices.input, price_usd);
        if demand.cached_prefix > 0.0 {
            ranges.row("  a million cached tokens", prices.cached_input, price_usd);
        }
        ranges.row("  a million output tokens", prices.output, price_usd);
    }
    ranges.row("time to first token, p50", best.ttft.p50_s, latency);
    ranges.row("  p99", best.ttft.p99_s, latency);
    ranges.row("time per output token, p50", best.tpot.p50_s, latency);
    ranges.row("  p99", best.tpot.p99_s, latency);
    ranges.row(
        "requests/s that a replica takes",
        best.capacity_requests_per_s,
        significant,
    );
    ranges.row("energy of a request", best.energy_wh_per_request, energy);
    ranges.row("CO2e of a request", best.co2e_g_per_request, grams);
    let gib = |gib: f64| format!("{gib:.1} GiB");
    ranges.row("weights on each GPU", best.memory_gib.weights, gib);
    ranges.row("  activations", best.memory_gib.activations, gib);
    ranges.row("  cache", best.memory_gib.cache, gib);
    printer.ranges(&ranges);
    let right = Align::Right;
    printer.line("");
    if best.mean_replicas < f64::from(best.replicas) {
        printer.sentence(&format!(
            "{:.1} replicas run on average, as the hours need them.",
            best.mean_replicas
        ));
    }
    printer.sentence(&format!(
        "{} of the capacity is in use on average; {:.1} sequences decode at once on a replica in the busiest hour. Each GPU has {:.1} GiB.",
        percent(best.utilisation),
        best.batch,
        best.memory_capacity_gib
    ));
    for note in &answer.notes {
        printer.line("");
        printer.sentence(note);
    }
    if args.curve {
        printer.line("");
        printer.heading("One replica against its batch");
        let rows: Vec<Vec<String>> = answer
            .curve
            .iter()
            .map(|point| {
                vec![
                    point.batch.to_string(),
                    significant(point.requests_per_s),
                    significant(point.output_tokens_per_s),
                    latency(point.ttft_s),
                    latency(point.tpot_s),
                    point.usd_per_million_output.map_or_else(String::new, usd),
                    if point.is_knee { "knee" } else { "" }.to_owned(),
                ]
            })
            .collect();
        printer.table(
            &[
                ("batch", right),
                ("requests/s", right),
                ("tokens/s", right),
                ("first token", right),
                ("per token", right),
                ("a million out", right),
                ("", Align::Left),
            ],
            &rows,
        );
    }
    if args.precisions {
        show_precisions(answer, printer);
    }
    if !answer.apis.is_empty() {
        show_apis(answer, printer);
    }
    if !answer.others.is_empty() {
        printer.line("");
        printer.heading("Next best");
        printer.table(
            &plan_header(),
            &answer.others.iter().map(plan_row).collect::<Vec<_>>(),
        );
    }
    if answer.pareto.len() > 1 {
        printer.line("");
        printer.heading("Cheaper or faster: no plan beats these in both");
        printer.table(
            &plan_header(),
            &answer.pareto.iter().map(plan_row).collect::<Vec<_>>(),
        );
    }
}

/// Where the time of a pass of the chosen plan goes, at its batch in the busiest hour.
pub(super) fn explain_plan(
    model: &Model,
    answer: &ServeAnswer,
    calibration: &outlay_plan::Calibration,
    printer: &mut Printer,
) {
    let best = &answer.best;
    let Ok(accelerator) = outlay_catalog::find_accelerator(&best.accelerator) else {
        return;
    };
    let deployment = Deployment {
        model,
        accelerator,
        engine: best.engine,
        formats: best.formats,
        layout: best.layout,
        settings: best.settings,
    };
    let constants =
        ServingConstants::resolve(&calibration.serving, &accelerator.generation, best.engine);
    let (batch, context) = (
        best.batch.max(1.0),
        answer.demand.input_tokens + 0.5 * answer.demand.output_tokens,
    );
    let parts = decode_parts(&deployment, &constants, batch, context);
    let total: f64 = parts.iter().map(|part| part.seconds).sum();
    let mut rows: Vec<_> = parts
        .iter()
        .filter(|part| part.seconds > 0.001 * total)
        .collect();
    rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let right = Align::Right;
    printer.line("");
    printer.heading(&format!(
        "A pass of {batch:.1} sequences over {} tokens: {}",
        count(context),
        latency(total)
    ));
    printer.table(
        &[
            ("part", Align::Left),
            ("runs", right),
            ("time", right),
            ("share", right),
        ],
        &rows
            .iter()
            .map(|part| {
                vec![
                    part.name.clone(),
                    part.repeat.to_string(),
                    latency(part.seconds),
                    percent(part.seconds / total),
                ]
            })
            .collect::<Vec<_>>(),
    );
    printer.line("");
    printer.heading("Memory of one accelerator");
    let memory = &best.memory;
    printer.table(
        &[("part", Align::Left), ("size", right)],
        &[
            ("weights", memory.weights_bytes),
            (
                "activations, graphs, communicators",
                memory.activations_bytes,
            ),
            ("cache", memory.cache_bytes),
            ("  of one token", memory.cache_bytes_per_token),
            (
                "  of one sequence, whatever its length",
                memory.cache_bytes_per_sequence,
            ),
        ]
        .map(|(name, size)| vec![name.to_owned(), outlay_units::bytes(size)]),
    );
    printer.line("");
    printer.heading(&format!(
        "Constants for {} and {}",
        accelerator.generation,
        best.engine.name()
    ));
    printer.table(
        &[
            ("constant", Align::Left),
            ("value", right),
            ("meaning", Align::Left),
        ],
        &SERVING_CONSTANTS
            .iter()
            .zip(ServingConstant::ALL)
            .map(|(description, constant)| {
                vec![
                    description.name.to_owned(),
                    significant(constants.get(*constant)),
                    description.meaning.to_owned(),
                ]
            })
            .collect::<Vec<_>>(),
    );
}

fn show_precisions(answer: &ServeAnswer, printer: &mut Printer) {
    let right = Align::Right;
    printer.line("");
    printer.heading("Other number formats on this hardware");
    let rows: Vec<Vec<String>> = answer
        .precisions
        .iter()
        .map(|choice| {
            vec![
                choice.name.clone(),
                choice.layout_brief.clone(),
                format!("{:.1}", choice.weights_gib),
                if choice.sequences.is_finite() {
                    count(choice.sequences.floor())
                } else {
                    "any".to_owned()
                },
                choice.accelerators.to_string(),
                choice.usd_per_month.map_or_else(|| "?".to_owned(), usd),
                latency(choice.tpot_s),
                significant(choice.requests_per_s_per_accelerator),
            ]
        })
        .collect();
    printer.table(
        &[
            ("format", Align::Left),
            ("layout", Align::Left),
            ("GiB", right),
            ("held", right),
            ("GPUs", right),
            ("a month", right),
            ("token, full", right),
            ("req/s a GPU", right),
        ],
        &rows,
    );
    printer.sentence("GiB: weights of a replica; held: sequences that its cache holds; token, full: time per output token where a replica serves all that it can, which more sequences make longer.");
    for choice in &answer.precisions {
        let source = if choice.quality_source.is_empty() {
            String::new()
        } else {
            format!(" ({})", choice.quality_source)
        };
        let warning = choice
            .warning
            .as_ref()
            .map_or_else(String::new, |warning| format!("; {warning}"));
        printer.sentence(&format!(
            "{}: {}{source}{warning}.",
            choice.name, choice.quality
        ));
    }
}

fn show_apis(answer: &ServeAnswer, printer: &mut Printer) {
    let right = Align::Right;
    let hosting = answer.best.usd_per_month.map_or(0.0, |usd| usd.p50);
    for (same, heading) in [
        (true, "APIs that sell this model"),
        (false, "Other models, for reference"),
    ] {
        let rows: Vec<Vec<String>> = answer
            .apis
            .iter()
            .filter(|api| api.is_same_model == same)
            .take(8)
            .map(|api| {
                vec![
                    api.name.clone(),
                    format!(
                        "{} / {}",
                        price_usd(api.usd_per_million_input),
                        price_usd(api.usd_per_million_output)
                    ),
                    usd(api.usd_per_month),
                    api.break_even_requests_per_month
                        .map_or_else(|| "never".to_owned(), |at| count(at.first)),
                ]
            })
            .collect();
        if rows.is_empty() {
            continue;
        }
        printer.line("");
        printer.heading(heading);
        printer.table(
            &[
                ("api", Align::Left),
                ("in / out, a million", right),
                ("a month", right),
                ("hosting wins from", right),
            ],
            &rows,
        );
    }
    let in_batches = answer
        .apis
        .iter()
        .filter_map(|api| Some((api.usd_per_month_in_batches?, api)))
        .min_by(|a, b| {
            (!a.1.is_same_model)
                .cmp(&!b.1.is_same_model)
                .then(a.0.total_cmp(&b.0))
        });
    if let Some((batched, api)) = in_batches {
        printer.line("");
        printer.sentence(&format!(
            "Work that may wait costs {} a month in batches at {}.",
            usd(batched),
            api.name
        ));
    }
    if let Some(cheapest) = answer.apis.iter().find(|api| api.is_same_model) {
        printer.line("");
        let interval = cheapest.break_even_requests_per_month.map(|at| {
            let or_never = |volume: Option<f64>| volume.map_or_else(|| "never".to_owned(), count);
            format!(
                "from {} requests a month on, while a replica's capacity lasts, and at every volume from {} on ({} to {}, by the predicted capacity)",
                count(at.first),
                count(at.always),
                or_never(at.always_p10),
                or_never(at.always_p90)
            )
        });
        let demand = &answer.demand;
        let requests = demand.requests_per_s * demand.mean_over_peak * HOURS_PER_MONTH * 3600.0;
        printer.sentence(&format!(
            "The demand of {} requests a month costs {} to host and {} at {} ({}). Hosting on this hardware costs less than that API {}.",
            count(requests),
            usd(hosting),
            usd(cheapest.usd_per_month),
            cheapest.name,
            if cheapest.as_of.is_empty() {
                "a price without a day".to_owned()
            } else {
                format!("price of {}", cheapest.as_of)
            },
            interval.unwrap_or_else(|| "at no volume: a replica in full use costs more".to_owned())
        ));
    }
}

fn plan_header() -> [(&'static str, Align); 6] {
    [
        ("hardware", Align::Left),
        ("layout", Align::Left),
        ("provider", Align::Left),
        ("a month", Align::Right),
        ("first token", Align::Right),
        ("per token", Align::Right),
    ]
}

fn plan_row(plan: &ServePlan) -> Vec<String> {
    vec![
        format!("{} x {}", plan.accelerators, plan.accelerator),
        if plan.prompt_workers > 0 {
            format!(
                "{} + {} x {} {}",
                plan.prompt_workers,
                plan.replicas,
                plan.layout_brief,
                plan.format.name()
            )
        } else {
            format!(
                "{} x {} {}",
                plan.replicas,
                plan.layout_brief,
                plan.format.name()
            )
        },
        plan.provider.clone(),
        plan.usd_per_month
            .map_or_else(|| "?".to_owned(), |usd_per_month| usd(usd_per_month.p50)),
        latency(plan.ttft.p50_s.p50),
        latency(plan.tpot.p50_s.p50),
    ]
}
