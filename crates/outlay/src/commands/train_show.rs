//! Training plans as text.

use outlay_catalog::find_accelerator;
use outlay_model::SampleUnit;
use outlay_plan::{Answer, Costing, EmissionsByHour, Plan, Workload};
use outlay_units::{count, duration, energy_kwh, mass_kg, percent, significant, usd};

use super::offers::price_day;
use crate::printer::{Align, Printer, Ranges};

/// Whether the model takes samples that are no sequences of tokens.
fn sampled(answer: &Answer) -> bool {
    answer.sample_unit != SampleUnit::Sequence.plural()
}

/// What is trained on, such as `1.00T tokens` or `500M images of 1024 x 1024`.
pub(super) fn amount(answer: &Answer) -> String {
    if !sampled(answer) {
        return format!("{} tokens", count(answer.tokens));
    }
    let mut out = format!("{} {}", count(answer.samples), answer.sample_unit);
    if answer.width_px > 0 {
        out.push_str(&format!(" of {} x {}", answer.width_px, answer.height_px));
    }
    if answer.frames > 0 {
        out.push_str(&format!(", {} frames", answer.frames));
    }
    out
}

/// Shows a plan.
pub(super) fn show(answer: &Answer, printer: &mut Printer) {
    let best = &answer.best;
    let all = answer.model_parameters.max(answer.parameters);
    let mut shares = Vec::new();
    if answer.active_parameters < all {
        shares.push(format!("{} active", count(answer.active_parameters as f64)));
    }
    if answer.parameters < all {
        shares.push(format!("{} trained", count(answer.parameters as f64)));
    }
    let shares = if shares.is_empty() {
        String::new()
    } else {
        format!(" ({})", shares.join(", "))
    };
    printer.heading(&format!(
        "{}: {} parameters{shares}, {}",
        answer.model,
        count(all as f64),
        amount(answer)
    ));
    let at = if best.provider == "none" {
        String::new()
    } else if best.provider == "owned" {
        format!(
            " that you own, at {}/h each ({})",
            usd(best.usd_per_accelerator_hour.unwrap_or(0.0)),
            best.price_source
        )
    } else if best.provider == "given" {
        format!(
            " at {}/h each",
            usd(best.usd_per_accelerator_hour.unwrap_or(0.0))
        )
    } else {
        format!(
            " from {} ({}, {}, {}/h each, {})",
            best.provider,
            best.region,
            best.pricing,
            usd(best.usd_per_accelerator_hour.unwrap_or(0.0)),
            price_day(&best.price_as_of, &best.price_source)
        )
    };
    printer.sentence(&format!(
        "On {} x {}{at}, {}, {}.",
        best.count,
        best.accelerator,
        answer.precision.name(),
        best.layout_brief
    ));
    printer.line("");
    let mut ranges = Ranges::default();
    if let Some(cost) = best.usd {
        ranges.row("cost", cost, usd);
    }
    ranges.row("wall-clock time", best.wall_clock_s, duration);
    ranges.row("GPU-hours", best.accelerator_hours, significant);
    ranges.row("energy", best.energy_kwh, energy_kwh);
    ranges.row("CO2e", best.co2e_kg, mass_kg);
    if sampled(answer) {
        ranges.row(
            &format!("{}/s", answer.sample_unit),
            best.samples_per_s,
            significant,
        );
    } else {
        ranges.row("tokens/s", best.tokens_per_s, significant);
    }
    ranges.row("TFLOP/s per GPU", best.tflops_per_accelerator, significant);
    ranges.row("MFU", best.mfu, percent);
    ranges.row("memory per GPU", best.memory_gib, |gib| {
        format!("{gib:.1} GiB")
    });
    printer.ranges(&ranges);
    let right = Align::Right;
    if !best.stages.is_empty() {
        printer.line("");
        printer.heading("Parts of the run");
        let rows: Vec<Vec<String>> = best
            .stages
            .iter()
            .map(|stage| {
                vec![
                    format!(
                        "{} x {}{}",
                        stage.global_batch_sequences,
                        stage.name,
                        if stage.main { " (main)" } else { "" }
                    ),
                    count(stage.tokens),
                    duration(stage.wall_clock_s.p50),
                    format!("{:.1} GiB", stage.memory_gib.p50),
                    stage.layout_brief.clone(),
                ]
            })
            .collect();
        printer.table(
            &[
                ("sequences in a step", Align::Left),
                ("tokens", right),
                ("time", right),
                ("memory", right),
                ("layout", Align::Left),
            ],
            &rows,
        );
    }
    let headroom = best.memory_capacity_gib - best.memory_gib.p50;
    printer.sentence(&format!(
        "Headroom {headroom:.1} of {:.0} GiB. One step: {} ({} steps of {} {}{}).",
        best.memory_capacity_gib,
        duration(best.step_s.p50),
        significant(best.steps),
        answer.global_batch_sequences,
        answer.sample_unit,
        if sampled(answer) {
            String::new()
        } else {
            format!(" of {} tokens", answer.sequence_tokens)
        }
    ));
    let table = |printer: &mut Printer, title: &str, plans: &[Plan]| {
        if plans.is_empty() {
            return;
        }
        printer.line("");
        printer.heading(title);
        let rows: Vec<Vec<String>> = plans
            .iter()
            .map(|plan| {
                vec![
                    plan.usd
                        .map_or_else(|| "-".to_owned(), |cost| usd(cost.p50)),
                    duration(plan.wall_clock_s.p50),
                    format!("{}x{}", plan.count, plan.accelerator),
                    plan.provider.clone(),
                    plan.layout_brief.clone(),
                ]
            })
            .collect();
        printer.table(
            &[
                ("cost", right),
                ("time", right),
                ("hardware", Align::Left),
                ("provider", Align::Left),
                ("layout", Align::Left),
            ],
            &rows,
        );
    };
    table(printer, "Next best", &answer.others);
    if answer.pareto.len() > 1 {
        table(
            printer,
            "Cost against time (no plan beats these in both)",
            &answer.pareto,
        );
    }
    if !answer.levers.is_empty() {
        printer.line("");
        printer.heading("Levers");
        let now = best.usd.map_or(f64::NAN, |cost| cost.p50);
        for lever in &answer.levers {
            printer.sentence(&format!(
                "{} less ({}), in {}: {}. Gives up: {}.",
                usd(lever.saved_usd),
                percent(lever.saved_usd / now),
                duration(lever.wall_clock_s),
                lever.change,
                lever.gives_up
            ));
        }
    }
    if let Some(bill) = &answer.bill {
        super::bill::show(bill, printer);
    }
    printer.line("");
    if let Some(hours) = &answer.emissions {
        show_hours(hours, printer);
    }
    for note in &answer.notes {
        printer.sentence(note);
    }
    if outlay_units::currency_sign() != "$" {
        printer.sentence(&format!(
            "Money is shown at {} for a US dollar.",
            outlay_units::price_usd(1.0)
        ));
    }
    printer.sentence(&format!(
        "{} layouts priced. Ranges hold the truth four times in five; `outlay validate` shows how they were checked.",
        count(answer.layouts_priced as f64)
    ));
}

/// What the run emits from its start on, and from the best start.
fn show_hours(hours: &EmissionsByHour, printer: &mut Printer) {
    let when = |instant: &str| instant.get(..16).unwrap_or(instant).replace('T', " ");
    let less = 1.0 - hours.best_co2e_kg / hours.co2e_kg.p50;
    printer.sentence(&format!(
        "From {} UTC on it emits {} ({} to {}){}. Basis: {}.",
        when(&hours.start),
        mass_kg(hours.co2e_kg.p50),
        mass_kg(hours.co2e_kg.p10),
        mass_kg(hours.co2e_kg.p90),
        // Less is within what the model of hours is off by.
        if less > 0.02 {
            format!(
                "; from {} UTC on {}, {} less",
                when(&hours.best_start),
                mass_kg(hours.best_co2e_kg),
                percent(less)
            )
        } else {
            "; another hour of the day makes no difference".to_owned()
        },
        hours.basis
    ));
}

/// Every step of the best plan, and where its constants, price and carbon figures come from.
pub(super) fn explain(
    answer: &Answer,
    workload: &Workload,
    calibration: &outlay_plan::Calibration,
    printer: &mut Printer,
) {
    let best = &answer.best;
    let Ok(accelerator) = find_accelerator(&best.accelerator) else {
        return;
    };
    let workload = Workload {
        framework: best.framework,
        ..workload.clone()
    };
    let Some(costing) = Costing::new(&workload, accelerator, calibration) else {
        return;
    };
    crate::explain::step(&costing, &best.layout, printer);
    crate::explain::whole_run(&costing, &best.layout, best.steps, printer);
    crate::explain::constants(&costing, calibration, printer);
    if !best.price_source.is_empty() {
        printer.sentence(&format!("  price: {}", best.price_source));
    }
    printer.sentence(&format!("  carbon: {}", best.carbon_basis));
}
