//! `outlay validate` and `outlay calibrate` for measured serving runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use outlay_plan::Calibration;
use outlay_plan::serving::{
    Outcome, ServingCase, ServingConstants, ServingModels, cross_validate_serving, fit_serving,
    is_serving, read_serving, serving_spreads,
};
use outlay_units::{Estimate, Spread, significant};
use serde::Serialize;

use super::validate::{Score, percent_of};
use crate::failure::{Failure, read_text, write_whole};
use crate::plot::{Picture, Point};
use crate::printer::{Align, Printer};

/// Rounds of a fit: the objective moves by less than a thousandth after these.
const ROUNDS: usize = 8;

/// Rows of the tables given, or nothing where they are tables of training.
///
/// # Errors
/// Tables of both kinds together, and files that cannot be read.
pub fn rows_if_serving(
    files: &[PathBuf],
) -> Result<Option<Vec<outlay_plan::serving::ServingRow>>, Failure> {
    let texts: Vec<(&PathBuf, String)> = files
        .iter()
        .map(|file| Ok((file, read_text(file)?)))
        .collect::<Result<_, Failure>>()?;
    let serving = texts.iter().filter(|(_, text)| is_serving(text)).count();
    if serving == 0 {
        return Ok(None);
    }
    if serving < texts.len() {
        return Err(Failure::input(
            "tables of serving runs and of training runs are given together; allowed: one kind at a time",
        ));
    }
    let mut rows = Vec::new();
    for (file, text) in &texts {
        rows.extend(read_serving(text, &file.display().to_string()).map_err(Failure::input)?);
    }
    if rows.is_empty() {
        return Err(Failure::input(
            "no row in the tables given; one measured run in each row is needed",
        ));
    }
    Ok(Some(rows))
}

/// A latency of a row, as `--json` prints it. Times in milliseconds.
#[derive(Serialize)]
struct Row {
    id: String,
    metric: &'static str,
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
}

/// What `outlay validate` was asked of serving runs.
pub struct Validation<'a> {
    /// Constants to use.
    pub calibration: &'a Calibration,
    /// Fit anew for each model on each system, without its rows.
    pub cross_validate: bool,
    /// Show every row.
    pub rows: bool,
    /// Draw predicted against measured.
    pub plot: Option<&'a Path>,
    /// Print JSON.
    pub json: bool,
}

/// Predicts with constants and spreads of the other groups.
fn predict_unseen(cases: &[&ServingCase]) -> Vec<(Outcome, BTreeMap<String, Spread>)> {
    let folds: Vec<String> = cases.iter().map(|case| case.group.clone()).collect();
    let predicted = cross_validate_serving(cases, &folds, ROUNDS, None);
    let mut by_fold: BTreeMap<&str, BTreeMap<String, Spread>> = BTreeMap::new();
    for fold in &folds {
        by_fold.entry(fold).or_insert_with(|| {
            let others: Vec<usize> = (0..cases.len())
                .filter(|&other| folds[other] != *fold)
                .collect();
            let other_cases: Vec<&ServingCase> = others.iter().map(|&other| cases[other]).collect();
            let outcomes: Vec<Outcome> = others.iter().map(|&other| predicted[other]).collect();
            serving_spreads(&other_cases, &outcomes)
        });
    }
    predicted
        .into_iter()
        .zip(&folds)
        .map(|(outcome, fold)| (outcome, by_fold[fold.as_str()].clone()))
        .collect()
}

/// Predicts measured serving runs and shows how far off the predictions are.
///
/// # Errors
/// Where no row can be predicted, or a file cannot be written.
pub fn validate(
    measured: &[outlay_plan::serving::ServingRow],
    wish: &Validation<'_>,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let mut models = ServingModels::default();
    let completed: Vec<Result<ServingCase, String>> = measured
        .iter()
        .map(|row| ServingCase::new(row, &mut models))
        .collect();
    let cases: Vec<&ServingCase> = completed
        .iter()
        .filter_map(|case| case.as_ref().ok())
        .collect();
    if cases.is_empty() {
        let reason = completed.iter().find_map(|case| case.as_ref().err());
        return Err(Failure::input(format!(
            "none of the {} rows can be predicted; the first: {}",
            measured.len(),
            reason.map_or("", String::as_str)
        )));
    }
    let predicted: Vec<(Outcome, BTreeMap<String, Spread>)> = if wish.cross_validate {
        predict_unseen(&cases)
    } else {
        cases
            .iter()
            .map(|case| {
                let generation = &case.accelerator.generation;
                let constants =
                    ServingConstants::resolve(&wish.calibration.serving, generation, case.engine);
                let spreads = ["ttft", "tpot"]
                    .iter()
                    .map(|metric| {
                        let kind = format!("{metric}-{}", case.kind);
                        let spread = wish.calibration.serving_spread(&kind, generation);
                        (kind, spread)
                    })
                    .collect();
                (case.predict(&constants), spreads)
            })
            .collect()
    };
    let mut predictions = predicted.into_iter();
    let mut rows = Vec::new();
    for (row, completed) in measured.iter().zip(&completed) {
        let found = match completed {
            Ok(case) => predictions.next().map(|prediction| (case, prediction)),
            Err(_) => None,
        };
        for (metric, value) in [
            ("ttft_ms", row.silicon_ttft_ms),
            ("tpot_ms", row.silicon_tpot_ms),
        ] {
            let mut out = Row {
                id: row.id.clone(),
                metric,
                p10: None,
                p50: None,
                p90: None,
                measured: value,
                error: None,
                reason: completed.as_ref().err().cloned(),
                assumed: Vec::new(),
                group: String::new(),
            };
            if let Some((case, (outcome, spreads))) = &found {
                let (name, seconds) = if metric == "ttft_ms" {
                    ("ttft", outcome.ttft_s.mean)
                } else {
                    ("tpot", outcome.tpot_s.mean)
                };
                let spread = spreads
                    .get(&format!("{name}-{}", case.kind))
                    .copied()
                    .unwrap_or(Spread {
                        low: 0.5,
                        high: 2.0,
                    });
                let estimate = Estimate::around(seconds * 1e3, spread);
                out.group.clone_from(&case.group);
                out.assumed.clone_from(&case.assumed);
                out.p10 = Some(estimate.p10);
                out.p50 = Some(estimate.p50);
                out.p90 = Some(estimate.p90);
                out.error = value
                    .filter(|value| *value > 0.0)
                    .map(|value| estimate.p50 / value - 1.0);
            }
            rows.push(out);
        }
    }
    if let Some(path) = wish.plot {
        draw(&rows, path)?;
    }
    if wish.json {
        return printer.json(&serde_json::json!({ "format": 1, "rows": rows }));
    }
    if wish.rows {
        let table: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                vec![
                    row.id.clone(),
                    row.metric.to_owned(),
                    row.measured.map_or_else(String::new, significant),
                    row.p50.map_or_else(|| "-".to_owned(), significant),
                    row.error.map_or_else(
                        || row.reason.clone().unwrap_or_default(),
                        |error| format!("{:+.1}%", error * 100.0),
                    ),
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
            ],
            &table,
        );
        printer.line("");
    }
    let mut groups: BTreeMap<(&str, &str), Vec<&Row>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.error.is_some()) {
        groups
            .entry((row.metric, row.group.as_str()))
            .or_default()
            .push(row);
        groups.entry((row.metric, " all")).or_default().push(row);
    }
    let right = Align::Right;
    printer.table(
        &[
            ("latency", Align::Left),
            ("group", Align::Left),
            ("rows", right),
            ("mean", right),
            ("median", right),
            ("p90", right),
            ("in 80%", right),
        ],
        &groups
            .iter()
            .map(|((metric, group), rows)| summary(metric, group, rows))
            .collect::<Vec<_>>(),
    );
    printer.line("");
    printer.sentence(&format!(
        "{} of {} rows predicted. Mean, median and p90 are of the absolute relative error of a run's mean time to first token and mean time per output token; `in 80%` is the share inside p10 to p90.",
        cases.len(),
        measured.len()
    ));
    let mut reasons: BTreeMap<&String, usize> = BTreeMap::new();
    for reason in completed.iter().filter_map(|case| case.as_ref().err()) {
        *reasons.entry(reason).or_default() += 1;
    }
    for (reason, n) in reasons {
        printer.sentence(&format!("{n} not predicted: {reason}"));
    }
    Ok(())
}

fn summary(metric: &str, group: &str, rows: &[&Row]) -> Vec<String> {
    let score = Score::of(
        rows.iter()
            .filter_map(|row| Some((row.error?, row.p10?, row.p90?, row.measured?))),
    );
    vec![
        metric.trim_end_matches("_ms").to_owned(),
        group.trim().to_owned(),
        rows.len().to_string(),
        percent_of(score.mean),
        percent_of(score.median),
        percent_of(score.p90),
        format!("{:.0}%", score.inside * 100.0),
    ]
}

/// Draws predictions against measurements, in milliseconds.
fn draw(rows: &[Row], path: &Path) -> Result<(), Failure> {
    let points: Vec<Point> = rows
        .iter()
        .filter_map(|row| {
            Some(Point {
                x: row.p50?,
                y: row.measured?,
                x_range: None,
                series: usize::from(row.metric == "tpot_ms"),
                label: None,
            })
        })
        .collect();
    Picture {
        title: "Predicted against measured serving latencies",
        x_name: "predicted, ms",
        y_name: "measured, ms",
        series: &[
            "time to first token".to_owned(),
            "time per output token".to_owned(),
        ],
        points: &points,
        joined: false,
        diagonal: true,
        x_marks: None,
        x_text: significant,
        y_text: significant,
        panels: &[],
    }
    .write(path)
}

/// The calibration that a file to be written holds already, or the built-in one where there is no such file.
///
/// # Errors
/// Where the file is something else.
pub fn before(output: &Path) -> Result<Calibration, Failure> {
    match read_text(output) {
        Ok(existing) => Calibration::from_toml(&existing).map_err(|_| {
            Failure::input(format!(
                "`{}` exists and is no calibration; it is left as it is",
                output.display()
            ))
            .hint("name another file with `-o`")
        }),
        Err(_) => Ok(Calibration::built_in()),
    }
}

/// Fits the constants of serving and writes them beside those of training.
///
/// # Errors
/// Where no row can be predicted, or the file cannot be written.
pub fn calibrate(
    measured: &[outlay_plan::serving::ServingRow],
    files: &[PathBuf],
    output: &Path,
    from_scratch: bool,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let mut models = ServingModels::default();
    let cases: Vec<ServingCase> = measured
        .iter()
        .filter_map(|row| ServingCase::new(row, &mut models).ok())
        .collect();
    if cases.is_empty() {
        return Err(
            Failure::input("no row can be predicted, so there is nothing to fit")
                .hint("run `outlay validate` on the same file to see the reason for each row"),
        );
    }
    // What the file holds of training stays.
    let mut calibration = before(output)?;
    let refs: Vec<&ServingCase> = cases.iter().collect();
    let start =
        (!from_scratch && !calibration.serving.is_empty()).then(|| Calibration::built_in().serving);
    let fitted = fit_serving(&refs, ROUNDS, start.as_ref());
    if from_scratch {
        let folds: Vec<String> = cases.iter().map(|case| case.group.clone()).collect();
        let unseen = cross_validate_serving(&refs, &folds, ROUNDS, None);
        calibration.serving_spreads = serving_spreads(&refs, &unseen);
    }
    calibration.serving = fitted;
    let names: Vec<String> = files
        .iter()
        .filter_map(|file| Some(file.file_name()?.to_string_lossy().into_owned()))
        .collect();
    calibration.serving_fitted_on = vec![format!(
        "{}: {} of {} rows",
        names.join(", "),
        cases.len(),
        measured.len()
    )];
    write_whole(output, calibration.to_toml())?;
    printer.sentence(&format!(
        "Fitted {} constants of serving on {} rows and wrote {}. Use it with `--calibration {}`.",
        calibration.serving.len(),
        cases.len(),
        output.display(),
        output.display()
    ));
    Ok(())
}
