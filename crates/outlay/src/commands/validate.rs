//! `outlay validate`: predicted against measured, grouped, with interval coverage.

use std::collections::BTreeMap;
use std::path::PathBuf;

use outlay_plan::{
    Calibration, Case, MeasuredRow, complete, contradicted, cross_validate, read_measured, spreads,
};
use outlay_units::{Estimate, Spread};
use serde::Serialize;

use super::serving_runs;
use crate::failure::{Failure, read_text};
use crate::plot::{Picture, Point};
use crate::printer::{Align, Printer};

/// Arguments of `outlay validate`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Tables of measured runs (CSV; columns are described in docs/measured.md)
    #[arg(required = true, value_name = "MEASURED.csv")]
    files: Vec<PathBuf>,
    /// Use the constants of this file
    #[arg(long, value_name = "FILE.toml")]
    calibration: Option<PathBuf>,
    /// Fit anew for each source (or publisher; for serving runs, each model on each system), without its rows, and
    /// predict those rows
    #[arg(long, value_name = "BY", num_args = 0..=1, require_equals = true, default_missing_value = "source", value_parser = ["source", "publisher"])]
    cross_validate: Option<String>,
    /// Fit on these tables too when cross-validating, without predicting their rows
    #[arg(long, value_name = "MEASURED.csv", requires = "cross_validate")]
    fit_with: Vec<PathBuf>,
    /// Show every row
    #[arg(long)]
    rows: bool,
    /// Show how the prediction of one row comes about: time by phase, communication, memory, operators
    #[arg(long, value_name = "ID")]
    explain: Option<String>,
    /// Draw predicted against measured to an .svg, .png or .html file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One row of the scoreboard, as `--json` prints it.
#[derive(Serialize)]
struct Row {
    id: String,
    metric: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    p10: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p90: Option<f64>,
    measured: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    assumed: Vec<String>,
    #[serde(skip)]
    group: String,
    #[serde(skip)]
    sort: &'static str,
    #[serde(skip)]
    verified: bool,
    #[serde(skip)]
    scored: bool,
    #[serde(skip)]
    layout: String,
}

/// Reads all tables; at least one row must be there.
pub fn read_all(files: &[PathBuf]) -> Result<Vec<MeasuredRow>, Failure> {
    let rows = read_tables(files)?;
    if rows.is_empty() {
        return Err(Failure::input(
            "no row in the tables given; one measured run in each row is needed",
        ));
    }
    Ok(rows)
}

fn read_tables(files: &[PathBuf]) -> Result<Vec<MeasuredRow>, Failure> {
    let mut rows = Vec::new();
    for file in files {
        let text = read_text(file)?;
        let name = file.display().to_string();
        let unknown = outlay_plan::unknown_columns(&text);
        if !unknown.is_empty() {
            crate::printer::aside(&format!(
                "{name}: columns not known, and so left out: {} (docs/measured.md lists the known ones)",
                unknown.join(", ")
            ));
        }
        rows.extend(read_measured(&text, &name).map_err(Failure::input)?);
    }
    Ok(rows)
}

/// Predictions with the spread of each, of a time or a size.
type Predictions = Vec<(Option<f64>, Spread)>;

/// Predicts with given constants; rows whose source was fitted get the spread of known sources.
fn predict(cases: &[&Case], calibration: &Calibration) -> Predictions {
    cases
        .iter()
        .map(|case| {
            let known = calibration.sources.contains_key(&case.source);
            (
                case.predict(calibration),
                calibration.spread(&case.kind, known),
            )
        })
        .collect()
}

/// Predicts each fold with constants and spreads of the other folds. Rows that are not scored are predicted, but
/// steer neither; rows `beside` steer, but are not predicted.
fn predict_unseen(cases: &[&Case], scored: &[bool], beside: &[Case], by: &str) -> Predictions {
    let fold = |case: &Case| {
        if by == "publisher" {
            let end = case.source.find([':', '(', ' ']);
            case.source[..end.unwrap_or(case.source.len())].to_owned()
        } else {
            case.source.clone()
        }
    };
    let folds: Vec<String> = cases.iter().map(|case| fold(case)).collect();
    let chosen: Vec<usize> = (0..cases.len()).filter(|&index| scored[index]).collect();
    let chosen_cases: Vec<&Case> = chosen
        .iter()
        .map(|&index| cases[index])
        .chain(beside)
        .collect();
    let chosen_folds: Vec<String> = chosen_cases.iter().map(|case| fold(case)).collect();
    let predicted = cross_validate(&chosen_cases, &chosen_folds, 40, None);
    let mut out = vec![
        (
            None,
            Spread {
                low: 1.0,
                high: 1.0
            }
        );
        cases.len()
    ];
    let mut by_fold: BTreeMap<&str, Calibration> = BTreeMap::new();
    for (position, &index) in chosen.iter().enumerate() {
        let calibration = by_fold.entry(&folds[index]).or_insert_with(|| {
            let others: Vec<usize> = (0..chosen_cases.len())
                .filter(|&other| chosen_folds[other] != folds[index])
                .collect();
            let other_cases: Vec<&Case> = others.iter().map(|&other| chosen_cases[other]).collect();
            let other_predicted: Vec<Option<f64>> =
                others.iter().map(|&other| predicted[other]).collect();
            Calibration {
                spreads: spreads(&other_cases, &other_predicted),
                ..Calibration::default()
            }
        });
        let spread = calibration.spread(&cases[index].kind, false);
        out[index] = (predicted[position], spread);
    }
    out
}

/// Runs the command.
pub fn run(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    let calibration = super::calibration(args.calibration.as_deref())?;
    if let Some(rows) = serving_runs::rows_if_serving(&args.files)? {
        return serving_runs::validate(
            &rows,
            &serving_runs::Validation {
                calibration: &calibration,
                cross_validate: args.cross_validate.is_some(),
                rows: args.rows,
                plot: args.plot.as_deref(),
                json: args.json,
            },
            printer,
        );
    }
    let measured = read_all(&args.files)?;
    let completed: Vec<Result<Case, String>> = measured
        .iter()
        .map(|row| complete(row, &calibration))
        .collect();
    if let Some(id) = &args.explain {
        return explain(id, &measured, &completed, &calibration, printer);
    }
    let cases: Vec<&Case> = completed
        .iter()
        .filter_map(|case| case.as_ref().ok())
        .collect();
    let scored: Vec<bool> = cases
        .iter()
        .zip(contradicted(&cases))
        .map(|(case, contradicted)| case.verified && !contradicted)
        .collect();
    let predicted = match args.cross_validate.as_deref() {
        None => predict(&cases, &calibration),
        Some(by) => {
            let beside: Vec<Case> = read_tables(&args.fit_with)?
                .iter()
                .filter_map(|row| complete(row, &calibration).ok())
                .filter(|case| case.verified)
                .collect();
            predict_unseen(&cases, &scored, &beside, by)
        }
    };
    if cases.is_empty() && !args.json {
        let reasons: Vec<&String> = completed
            .iter()
            .filter_map(|row| row.as_ref().err())
            .collect();
        return Err(Failure::input(format!(
            "none of the {} rows can be predicted; the first: {}",
            measured.len(),
            reasons.first().map_or("", |reason| reason.as_str())
        )));
    }
    let mut predictions = cases.iter().zip(predicted).zip(&scored);
    let mut rows = Vec::new();
    for (row, completed) in measured.iter().zip(&completed) {
        let sort = match row.metric.as_str() {
            "memory_gib" => "memory",
            "gpu_hours" => "whole runs",
            _ => "throughput",
        };
        let mut out = Row {
            id: row.id.clone(),
            metric: row.metric.clone(),
            p10: None,
            p50: None,
            p90: None,
            measured: row.value,
            error: None,
            reason: None,
            assumed: Vec::new(),
            group: String::new(),
            sort,
            verified: row.verified != "no",
            scored: false,
            layout: String::new(),
        };
        match completed {
            Err(reason) => out.reason = Some(reason.clone()),
            Ok(_) => {
                let Some(((case, (p50, spread)), &scored)) = predictions.next() else {
                    continue;
                };
                out.scored = scored;
                let spread = if case.is_rate() {
                    spread.inverse()
                } else {
                    spread
                };
                out.group.clone_from(&case.group);
                out.assumed.clone_from(&case.assumed);
                out.layout = case.layout.brief();
                match p50 {
                    None if args.cross_validate.is_some() && !scored => {
                        out.reason = Some("not scored, so not cross-validated".to_owned());
                    }
                    None => out.reason = Some("the accelerator lacks the number format".to_owned()),
                    Some(p50) => {
                        let estimate = Estimate::around(p50, spread);
                        out.p10 = Some(estimate.p10);
                        out.p50 = Some(p50);
                        out.p90 = Some(estimate.p90);
                        out.error = Some(p50 / case.measured - 1.0);
                    }
                }
            }
        }
        rows.push(out);
    }
    if let Some(path) = &args.plot {
        draw(&rows, path)?;
    }
    if args.json {
        return printer.json(&serde_json::json!({ "format": 1, "rows": rows }));
    }
    if args.rows {
        let table: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                vec![
                    row.id.clone(),
                    row.metric.chars().take(12).collect(),
                    row.measured
                        .map_or_else(String::new, outlay_units::significant),
                    row.p50
                        .map_or_else(|| "-".to_owned(), outlay_units::significant),
                    row.error.map_or_else(
                        || row.reason.clone().unwrap_or_default(),
                        |error| format!("{:+.1}%", error * 100.0),
                    ),
                    row.layout.clone(),
                ]
            })
            .collect();
        let right = Align::Right;
        printer.table(
            &[
                ("row", Align::Left),
                ("metric", Align::Left),
                ("measured", right),
                ("predicted", right),
                ("error", right),
                ("layout", Align::Left),
            ],
            &table,
        );
        printer.line("");
    }
    let mut groups: BTreeMap<(&str, &str), Vec<&Row>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.error.is_some() && row.scored) {
        groups
            .entry((row.sort, row.group.as_str()))
            .or_default()
            .push(row);
        groups.entry((row.sort, "all")).or_default().push(row);
    }
    let table: Vec<Vec<String>> = groups
        .iter()
        .map(|((sort, group), rows)| summary(sort, group, rows))
        .collect();
    let right = Align::Right;
    printer.table(
        &[
            ("what", Align::Left),
            ("group", Align::Left),
            ("rows", right),
            ("median", right),
            ("p90", right),
            ("in 80%", right),
        ],
        &table,
    );
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for reason in rows.iter().filter_map(|row| row.reason.as_ref()) {
        *reasons.entry(reason.clone()).or_default() += 1;
    }
    printer.line("");
    let count = |which: &dyn Fn(&&Row) -> bool| rows.iter().filter(which).count();
    let unverified = count(&|row| row.error.is_some() && !row.verified);
    let contradicted = count(&|row| row.error.is_some() && row.verified && !row.scored);
    let predicted = count(&|row| row.error.is_some());
    printer.sentence(&format!(
        "{predicted} of {} rows predicted. Left out of the figures above: {unverified} quoted from memory by their source table, and {contradicted} whose source gives the same run with a value more than a quarter away. Median and p90 are of the absolute relative error; `in 80%` is the share inside p10 to p90.",
        rows.len()
    ));
    for (reason, n) in reasons {
        printer.sentence(&format!("{n} not predicted: {reason}"));
    }
    Ok(())
}

/// Draws predictions against measurements, as multiples of each sort's median so that all metrics share one picture.
fn draw(rows: &[Row], path: &std::path::Path) -> Result<(), Failure> {
    let sorts = ["throughput", "memory", "whole runs"];
    let mut points = Vec::new();
    let mut middles: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for row in rows {
        middles
            .entry(&row.metric)
            .or_default()
            .extend(row.measured.filter(|_| row.scored));
    }
    for row in rows.iter().filter(|row| row.scored) {
        let (Some(p10), Some(p50), Some(p90), Some(measured)) =
            (row.p10, row.p50, row.p90, row.measured)
        else {
            continue;
        };
        let mut values = middles[row.metric.as_str()].clone();
        values.sort_by(f64::total_cmp);
        let middle = values[values.len() / 2];
        points.push(Point {
            x: p50 / middle,
            y: measured / middle,
            x_range: Some((p10 / middle, p90 / middle)),
            series: sorts.iter().position(|sort| *sort == row.sort).unwrap_or(0),
            label: None,
        });
    }
    Picture {
        title: "Predicted (p10 to p90) against measured, in multiples of each metric's median",
        x_name: "predicted",
        y_name: "measured",
        series: &sorts.map(str::to_owned),
        points: &points,
        joined: false,
        diagonal: true,
        x_marks: None,
        x_text: outlay_units::significant,
        y_text: outlay_units::significant,
        panels: &[],
    }
    .write(path)
}

/// One row, step by step.
fn explain(
    id: &str,
    measured: &[MeasuredRow],
    completed: &[Result<Case, String>],
    calibration: &Calibration,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let Some(index) = measured.iter().position(|row| row.id == *id) else {
        return Err(Failure::input(format!(
            "--explain {id}: no row has this id"
        )));
    };
    let case = match &completed[index] {
        Ok(case) => case,
        Err(reason) => return Err(Failure::input(format!("row {id}: {reason}"))),
    };
    let (Some(predicted), Some(costing)) = (case.predict(calibration), case.costing(calibration))
    else {
        return Err(Failure::input(format!(
            "row {id}: the accelerator lacks the number format"
        )));
    };
    printer.heading(&format!(
        "{id}: {} on {} x {}, {}",
        case.workload.model.name,
        case.layout.accelerators(),
        case.accelerator.id,
        case.layout.brief()
    ));
    printer.sentence(&format!(
        "{}: measured {}, predicted {} ({:+.1}%). {} sequences of {} tokens in a step, {}, {}.",
        case.metric_name,
        outlay_units::significant(case.measured),
        outlay_units::significant(predicted),
        (predicted / case.measured - 1.0) * 100.0,
        case.workload.global_batch_sequences,
        case.workload.sequence_tokens,
        case.workload.precision.name(),
        case.workload.framework.name(),
    ));
    for assumed in &case.assumed {
        printer.line(&format!("  assumed: {assumed}"));
    }
    crate::explain::step(&costing, &case.layout, printer);
    crate::explain::constants(&costing, calibration, printer);
    Ok(())
}

fn summary(sort: &str, group: &str, rows: &[&Row]) -> Vec<String> {
    let score = Score::of(
        rows.iter()
            .filter_map(|row| Some((row.error?, row.p10?, row.p90?, row.measured?))),
    );
    vec![
        sort.to_owned(),
        group.to_owned(),
        rows.len().to_string(),
        percent_of(score.median),
        percent_of(score.p90),
        format!("{:.0}%", score.inside * 100.0),
    ]
}

/// A share as a percentage with one decimal.
pub fn percent_of(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// How far off some predictions are: of the absolute relative error, and the share inside the interval.
pub struct Score {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub median: f64,
    /// 90th percentile.
    pub p90: f64,
    /// Share of measurements inside p10 to p90.
    pub inside: f64,
}

impl Score {
    /// Of relative errors with p10, p90 and what was measured; at least one.
    pub fn of(rows: impl Iterator<Item = (f64, f64, f64, f64)>) -> Self {
        let (mut errors, mut inside) = (Vec::new(), 0);
        for (error, p10, p90, measured) in rows {
            errors.push(error.abs());
            inside += usize::from((p10..=p90).contains(&measured));
        }
        errors.sort_by(f64::total_cmp);
        let at = |share: f64| errors[((errors.len() - 1) as f64 * share).round() as usize];
        Self {
            mean: errors.iter().sum::<f64>() / errors.len() as f64,
            median: at(0.5),
            p90: at(0.9),
            inside: inside as f64 / errors.len() as f64,
        }
    }
}
