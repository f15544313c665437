//! A run as people see it, and as CodeCarbon's readers do.

use std::io::{BufRead, Read, Seek, Write};
use std::path::Path;

use outlay_ledger::RunStatus;
use outlay_meter::Figure;
use outlay_units::{bytes, duration, energy_kwh, mass_kg, percent, price_usd};

use super::guard::StoppedBy;
use super::progress::Outlook;
use super::state::Summary;
use crate::failure::Failure;
use crate::printer::{Align, Printer};

/// Writes an amount of money; one below a cent with three digits.
fn usd(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.01 {
        price_usd(value)
    } else {
        outlay_units::usd(value)
    }
}

/// Writes the summary for people.
pub fn show(summary: &Summary, printer: &mut Printer) {
    let ended = match (summary.status, summary.exit_code) {
        (RunStatus::Running, _) => "is running".to_owned(),
        (RunStatus::Stopped, _) => match summary.stopped_by {
            Some(by) => format!(
                "was stopped {} (exit code {})",
                match by {
                    StoppedBy::Budget => "at a budget",
                    StoppedBy::Rule => "by --stop-when",
                },
                by.exit_code()
            ),
            None => "was stopped".to_owned(),
        },
        (RunStatus::Lost, _) => "ended while nobody saw it".to_owned(),
        (_, Some(code)) => format!("ended with exit code {code}"),
        (_, None) => "was ended by a signal".to_owned(),
    };
    let why = summary
        .stopped_because
        .as_ref()
        .map_or_else(String::new, |why| format!(": {why}"));
    printer.heading(&format!(
        "Run {} {ended} after {}{why}.",
        &summary.run[..summary.run.len().min(8)],
        duration(summary.elapsed_s)
    ));
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |what: &str, value: String, quality: &str, note: String| {
        rows.push(vec![what.to_owned(), value, quality.to_owned(), note]);
    };
    let usage = &summary.usage;
    match summary.spent_usd {
        Some(spent) => {
            let of_budget = summary
                .budget_usd
                .map_or_else(String::new, |budget| format!("of {}", usd(budget)));
            row("cost", usd(spent.value), spent.quality.name(), of_budget);
            if summary.spent_usd_by_kind.len() > 1 {
                for (kind, cost) in &summary.spent_usd_by_kind {
                    row(
                        &format!("  {kind}"),
                        usd(cost.value),
                        cost.quality.name(),
                        String::new(),
                    );
                }
            }
        }
        None => row(
            "cost",
            "unknown".to_owned(),
            "",
            "give --price, --offer or --owned".to_owned(),
        ),
    }
    let kwh = |joules: f64| energy_kwh(joules / 3.6e6);
    match summary.energy_kwh {
        Some(energy) => row(
            "energy",
            energy_kwh(energy.value),
            energy.quality.name(),
            String::new(),
        ),
        None => row("energy", "unknown".to_owned(), "", String::new()),
    }
    for (what, joules) in [
        ("  accelerators", usage.gpu.energy_joules),
        ("  processors", usage.cpu_joules),
        ("  memory", usage.memory_joules),
    ] {
        if let Some(joules) = joules {
            row(
                what,
                kwh(joules.value),
                joules.quality.name(),
                String::new(),
            );
        }
    }
    if let Some(co2e) = summary.co2e_kg {
        row(
            "emissions",
            mass_kg(co2e.value),
            co2e.quality.name(),
            String::new(),
        );
    }
    if let Some(cpu) = usage.cpu_seconds {
        let cores = cpu.value / summary.elapsed_s.max(1e-9);
        row(
            "processor time",
            duration(cpu.value),
            cpu.quality.name(),
            format!(
                "{cores:.1} of {} processors, on average",
                usage.allotted_cpus
            ),
        );
    }
    let mut plain = |what: &str, figure: Option<Figure>, note: &str| match figure {
        Some(figure) => row(
            what,
            bytes(figure.value),
            figure.quality.name(),
            note.to_owned(),
        ),
        None => row(what, "unknown".to_owned(), "", note.to_owned()),
    };
    plain("memory, at most", usage.memory_peak_bytes, "");
    plain("disk read", usage.disk_read_bytes, "");
    plain("disk written", usage.disk_written_bytes, "");
    plain("network in", usage.network_received_bytes, "whole machine");
    plain("network out", usage.network_sent_bytes, "whole machine");
    for gpu in &usage.gpu.accelerators {
        if gpu.held_s == 0.0 && gpu.energy_joules.is_none_or(|joules| joules.value == 0.0) {
            continue;
        }
        let busy = gpu.busy_mean.map_or_else(
            || "busy: unknown".to_owned(),
            |busy| format!("busy {}", percent(busy)),
        );
        let memory = gpu.memory_peak_bytes.map_or_else(String::new, |most| {
            format!(", memory {}", bytes(most as f64))
        });
        row(
            &format!("GPU {}", gpu.index),
            gpu.energy_joules
                .map_or_else(|| "unknown".to_owned(), |joules| kwh(joules.value)),
            gpu.energy_joules.map_or("", |joules| joules.quality.name()),
            format!("{busy}{memory}, {}", gpu.name),
        );
    }
    printer.table(
        &[
            ("", Align::Left),
            ("", Align::Right),
            ("", Align::Left),
            ("", Align::Left),
        ],
        &rows,
    );
    for sentence in remarks(summary) {
        printer.sentence(&sentence);
    }
}

/// What whoever reads the figures must know.
fn remarks(summary: &Summary) -> Vec<String> {
    let mut said = Vec::new();
    let usage = &summary.usage;
    if let Some(outer) = &summary.within {
        said.push(format!(
            "It ran within run {}, which pays for it: its time and energy count there.",
            outer.get(..8).unwrap_or(outer)
        ));
    }
    if summary.spent_usd.is_some() {
        said.push(format!("Price: {}.", summary.terms.price_source));
    }
    if let Some(planned) = summary.planned_usd
        && let Some(spent) = summary.spent_usd
    {
        said.push(against("cost", spent.value, planned, &usd));
    }
    if let Some(planned) = summary.planned_s {
        said.push(against("time", summary.elapsed_s, planned, &duration));
    }
    if let Some(outlook) = &summary.outlook {
        said.extend(ahead(outlook, summary.budget_usd.is_some()));
    }
    if summary.co2e_kg.is_some() {
        said.push(format!(
            "Emissions: {}, PUE {}.",
            summary.terms.grid_source, summary.terms.pue
        ));
    }
    if usage.gpu.accelerators.is_empty() {
        said.push(format!(
            "No accelerator was seen ({}).",
            summary.sources.gpus.join(", ")
        ));
    }
    let idle: f64 = usage
        .gpu
        .accelerators
        .iter()
        .map(|gpu| gpu.idle_joules)
        .sum();
    if idle >= 3600.0 {
        said.push(format!(
            "Accelerators that it could see and did not use drew another {}, which is not counted.",
            energy_kwh(idle / 3.6e6)
        ));
    }
    said.push(format!(
        "Processors' energy: {}.",
        summary.sources.cpu_energy
    ));
    if !summary.away.is_empty() {
        let seconds: f64 = summary.away.iter().map(|gap| gap.to_s - gap.from_s).sum();
        said.push(format!(
            "Nobody metered it for {} of that time.",
            duration(seconds)
        ));
    }
    let gaps = summary
        .usage
        .gpu
        .accelerators
        .iter()
        .flat_map(|gpu| &gpu.gaps)
        .chain(&usage.gpu.gaps)
        .chain(&usage.gaps)
        .chain(&summary.away);
    let mut missing: Vec<String> = gaps
        .filter(|gap| gap.filled.is_none())
        .map(|gap| format!("{} ({})", gap.why, duration(gap.to_s - gap.from_s)))
        .collect();
    if !missing.is_empty() {
        let n_more = missing.len().saturating_sub(3);
        missing.truncate(3);
        let more = if n_more > 0 {
            format!(", and {n_more} more")
        } else {
            String::new()
        };
        said.push(format!(
            "The energy is a lower bound; counters were missing: {}{more}.",
            missing.join("; ")
        ));
    }
    said
}

/// How a figure stands to what the plan said.
fn against(
    what: &str,
    value: f64,
    planned: outlay_units::Estimate,
    write: &dyn Fn(f64) -> String,
) -> String {
    let where_it_lies = if value < planned.p10 {
        "below"
    } else if value > planned.p90 {
        "above"
    } else {
        "within"
    };
    format!(
        "Plan: {what} {} ({} to {}); the run is {where_it_lies} that range.",
        write(planned.p50),
        write(planned.p10),
        write(planned.p90)
    )
}

/// What a run that did not reach its end looked ahead to.
fn ahead(outlook: &Outlook, has_budget: bool) -> Vec<String> {
    let mut said = Vec::new();
    let Some(forecast) = &outlook.forecast else {
        return said;
    };
    if forecast.done_share.is_none_or(|done| done >= 0.999) {
        return said;
    }
    let done = forecast.done_share.unwrap_or_default();
    if let Some(total) = forecast.total_s {
        let cost = forecast.total_usd.map_or_else(String::new, |total| {
            format!(
                " and {} ({} to {})",
                usd(total.p50),
                usd(total.p10),
                usd(total.p90)
            )
        });
        said.push(format!(
            "It was {} done; all of it would take {} ({} to {}){cost}.",
            percent(done),
            duration(total.p50),
            duration(total.p10),
            duration(total.p90)
        ));
    }
    if let Some(loss) = outlook.final_loss {
        said.push(format!(
            "Its loss would end at {:.4} ({:.4} to {:.4}).",
            loss.p50, loss.p10, loss.p90
        ));
    }
    if let Some(next) = &outlook.next_tenth {
        let spend = next
            .spend_usd
            .map_or_else(String::new, |spend| format!(", {},", usd(spend.p50)));
        said.push(format!(
            "The next tenth of {}{spend} would lower the loss by {} ({} to {}).",
            if has_budget { "its budget" } else { "it" },
            percent(next.gain_relative.p50),
            percent(next.gain_relative.p10),
            percent(next.gain_relative.p90)
        ));
    }
    said
}

/// The line for a terminal while it runs.
pub fn live(
    summary: &Summary,
    watts: Option<f64>,
    cpu_share: Option<f64>,
    progress: &str,
) -> String {
    let mut parts = vec![format!("outlay {}", duration(summary.elapsed_s))];
    if let Some(spent) = summary.spent_usd {
        parts.push(match summary.budget_usd {
            Some(budget) => format!("{} of {}", usd(spent.value), usd(budget)),
            None => usd(spent.value),
        });
    }
    if !progress.is_empty() {
        parts.push(progress.to_owned());
    }
    if let Some(watts) = watts {
        parts.push(format!("{watts:.0} W"));
    }
    if let Some(energy) = summary.energy_kwh {
        parts.push(energy_kwh(energy.value));
    }
    if let Some(share) = cpu_share {
        parts.push(format!("CPU {:.0}%", share * 100.0));
    }
    for gpu in &summary.usage.gpu.accelerators {
        if gpu.held_s > 0.0
            && let Some(busy) = gpu.busy_mean
        {
            parts.push(format!("GPU{} {}", gpu.index, percent(busy)));
        }
    }
    parts.join("  ")
}

/// Columns of CodeCarbon's `emissions.csv`, as its version 3 writes them.
const CODECARBON: &[&str] = &[
    "timestamp",
    "project_name",
    "run_id",
    "experiment_id",
    "duration",
    "emissions",
    "emissions_rate",
    "cpu_power",
    "gpu_power",
    "ram_power",
    "cpu_energy",
    "gpu_energy",
    "ram_energy",
    "energy_consumed",
    "water_consumed",
    "country_name",
    "country_iso_code",
    "region",
    "cloud_provider",
    "cloud_region",
    "os",
    "python_version",
    "codecarbon_version",
    "cpu_count",
    "cpu_model",
    "gpu_count",
    "gpu_model",
    "longitude",
    "latitude",
    "ram_total_size",
    "tracking_mode",
    "cpu_utilization_percent",
    "gpu_utilization_percent",
    "ram_utilization_percent",
    "ram_used_gb",
    "on_cloud",
    "pue",
    "wue",
];

/// Refuses a file of other columns.
pub fn check_csv(path: &Path) -> Result<(), Failure> {
    match std::fs::File::open(path) {
        Ok(file) => is_empty_or_ours(path, file).map(|_| ()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot_write(path, &error)),
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::outside(format!("cannot write `{}`: {error}", path.display()))
}

/// Whether a file is empty; else it must begin with CodeCarbon's columns.
fn is_empty_or_ours(path: &Path, file: impl Read) -> Result<bool, Failure> {
    let mut first = String::new();
    std::io::BufReader::new(file.take(64 * 1024))
        .read_line(&mut first)
        .map_err(|error| cannot_write(path, &error))?;
    if first.is_empty() || first.trim_end() == CODECARBON.join(",") {
        return Ok(first.is_empty());
    }
    Err(Failure::input(format!(
        "`{}` has other columns than CodeCarbon 3 writes; nothing was added",
        path.display()
    )))
}

/// Adds a row to a file with CodeCarbon's columns, which is made where it is absent. What is unknown stays empty.
pub fn append_csv(path: &Path, summary: &Summary) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| cannot_write(path, &error);
    // One at a time: runs that end together each add their row.
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .map_err(wrong)?;
    file.lock().map_err(wrong)?;
    let is_empty = is_empty_or_ours(path, &file)?;
    let mut last = [b'\n'];
    if !is_empty {
        file.seek(std::io::SeekFrom::End(-1)).map_err(wrong)?;
        file.read_exact(&mut last).map_err(wrong)?;
    }
    let usage = &summary.usage;
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let kwh = |joules: Option<Figure>| joules.map(|joules| joules.value / 3.6e6);
    let watts = |joules: Option<Figure>| {
        number(joules.map(|joules| joules.value / usage.metered_s.max(1e-9)))
    };
    let emissions = summary.co2e_kg.map(|kg| kg.value);
    let held: Vec<_> = usage
        .gpu
        .accelerators
        .iter()
        .filter(|gpu| gpu.held_s > 0.0)
        .collect();
    let busy: Vec<f64> = held.iter().filter_map(|gpu| gpu.busy_mean).collect();
    let gpu_busy = (!busy.is_empty()).then(|| 100.0 * busy.iter().sum::<f64>() / busy.len() as f64);
    let cpu_busy = usage
        .cpu_seconds
        .filter(|_| usage.allotted_cpus > 0.0 && summary.elapsed_s > 0.0)
        .map(|seconds| 100.0 * seconds.value / summary.elapsed_s / usage.allotted_cpus);
    let row: Vec<(&str, String)> = vec![
        ("timestamp", summary.ended[..19].to_owned()),
        ("project_name", summary.project.clone()),
        ("run_id", summary.run.clone()),
        ("duration", summary.elapsed_s.to_string()),
        ("emissions", number(emissions)),
        (
            "emissions_rate",
            number(emissions.map(|kg| kg / summary.elapsed_s.max(1e-9))),
        ),
        ("cpu_power", watts(usage.cpu_joules)),
        ("gpu_power", watts(usage.gpu.energy_joules)),
        ("ram_power", watts(usage.memory_joules)),
        ("cpu_energy", number(kwh(usage.cpu_joules))),
        ("gpu_energy", number(kwh(usage.gpu.energy_joules))),
        ("ram_energy", number(kwh(usage.memory_joules))),
        (
            "energy_consumed",
            number(summary.energy_kwh.map(|kwh| kwh.value)),
        ),
        ("os", std::env::consts::OS.to_owned()),
        (
            "codecarbon_version",
            format!("outlay {}", env!("CARGO_PKG_VERSION")),
        ),
        ("cpu_count", usage.allotted_cpus.to_string()),
        ("cpu_model", summary.sources.cpu_model.clone()),
        ("gpu_count", held.len().to_string()),
        (
            "gpu_model",
            held.first()
                .map_or_else(String::new, |gpu| gpu.name.clone()),
        ),
        ("tracking_mode", "process".to_owned()),
        ("cpu_utilization_percent", number(cpu_busy)),
        ("gpu_utilization_percent", number(gpu_busy)),
        (
            "ram_used_gb",
            number(usage.memory_mean_bytes.map(|bytes| bytes.value / 1e9)),
        ),
        ("pue", summary.terms.pue.to_string()),
    ];
    let cells: Vec<String> = CODECARBON
        .iter()
        .map(|column| {
            row.iter()
                .find(|(name, _)| name == column)
                .map_or_else(String::new, |(_, value)| value.clone())
        })
        .collect();
    let mut text = String::new();
    if is_empty {
        text = format!("{}\n", CODECARBON.join(","));
    } else if last != [b'\n'] {
        text.push('\n');
    }
    let mut line = csv::Writer::from_writer(text.into_bytes());
    line.write_record(&cells)
        .map_err(|error| wrong(error.into()))?;
    let text = line
        .into_inner()
        .map_err(|error| wrong(error.into_error()))?;
    file.write_all(&text).map_err(wrong)
}
