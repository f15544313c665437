//! The files that a run leaves: JSON, and rows with CodeCarbon's columns.

use std::process::Command;

use super::super::{stderr, stdout};
use super::{fresh, json, metering, only_run, peers, spent_usd, summary};

/// A row by its columns. No cell of these tests holds a comma.
fn cells(csv: &str, row: usize) -> Vec<(String, String)> {
    let split = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut lines = csv.lines();
    let header = split(lines.next().unwrap());
    let row = split(lines.nth(row).unwrap());
    assert_eq!(header.len(), row.len(), "{csv}");
    header.into_iter().zip(row).collect()
}

#[test]
fn figures_agree_between_the_files_and_the_ledger() {
    let here = fresh("files");
    let options = "--price 3600/h --csv emissions.csv --json summary.json --project p --grid DEU";
    let output = metering(&here, options, &["sleep", "0.3"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let (run, summary) = (only_run(&here), summary(&here));
    assert_eq!(run["summary"], summary);
    let spent = summary["spent_usd"]["value"].as_f64().unwrap();
    let id = summary["run"].as_str().unwrap();
    assert!((spent_usd(&here, id) - spent).abs() < 1e-6);
    assert!((spent - summary["elapsed_s"].as_f64().unwrap()).abs() < 1e-9);
    let csv = std::fs::read_to_string(here.join("emissions.csv")).unwrap();
    let row = cells(&csv, 0);
    let cell = |name: &str| {
        row.iter()
            .find(|(column, _)| column == name)
            .unwrap()
            .1
            .as_str()
    };
    let number = |name: &str| cell(name).parse::<f64>().unwrap();
    assert_eq!((cell("run_id"), cell("project_name")), (id, "p"));
    assert_eq!(Some(number("duration")), summary["elapsed_s"].as_f64());
    assert_eq!(
        Some(number("energy_consumed")),
        summary["energy_kwh"]["value"].as_f64()
    );
    assert_eq!(
        Some(number("emissions")),
        summary["co2e_kg"]["value"].as_f64()
    );
    let kwh = number("energy_consumed") * summary["terms"]["g_co2e_per_kwh"].as_f64().unwrap();
    assert!((number("emissions") - kwh * number("pue") / 1000.0).abs() < 1e-12);
    // What nobody knows stays empty.
    for column in ["water_consumed", "longitude", "experiment_id", "wue"] {
        assert_eq!(cell(column), "");
    }
    if summary["usage"]["gpu"]["energy_joules"].is_null() {
        assert_eq!((cell("gpu_energy"), cell("gpu_power")), ("", ""));
    }
    let shown = json(&here, &["ledger", "show", &id[..6], "--json"]);
    assert_eq!(shown["run"]["id"], id);
}

#[test]
fn runs_that_end_together_each_add_their_row() {
    let here = fresh("rows");
    // A last line without an end is ended first.
    let first = metering(&here, "--quiet --csv emissions.csv", &["true"])
        .output()
        .unwrap();
    assert!(first.status.success(), "{}", stderr(&first));
    let path = here.join("emissions.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.trim_end()).unwrap();
    let running: Vec<_> = (0..6)
        .map(|_| {
            metering(&here, "--quiet --csv emissions.csv", &["sleep", "0.2"])
                .spawn()
                .unwrap()
        })
        .collect();
    for mut run in running {
        assert!(run.wait().unwrap().success());
    }
    let csv = std::fs::read_to_string(&path).unwrap();
    assert_eq!(csv.lines().count(), 8, "{csv}");
    let mut ids: Vec<String> = (0..7).map(|row| cells(&csv, row)[2].1.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 7);
}

#[test]
fn a_file_of_other_columns_is_refused_before_anything_is_started() {
    let here = fresh("columns");
    std::fs::write(here.join("other.csv"), "a,b\n1,2\n").unwrap();
    let output = metering(&here, "--csv other.csv", &["touch", "started"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("has other columns"));
    assert!(!here.join("started").exists());
    assert_eq!(
        std::fs::read_to_string(here.join("other.csv")).unwrap(),
        "a,b\n1,2\n"
    );
}

#[test]
fn a_file_that_cannot_be_written_is_said_once_and_changes_no_code() {
    let here = fresh("nowhere");
    for (command, code) in [("true", 3), ("false", 1)] {
        let output = metering(&here, "--quiet --json no/such/folder.json", &[command])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code));
        let said = stderr(&output);
        assert_eq!(said.matches("error:").count(), 1, "{said}");
    }
}

#[test]
fn the_columns_are_codecarbons() {
    let Some(python) = peers("codecarbon") else {
        return;
    };
    let here = fresh("codecarbon");
    let output = metering(&here, "--quiet --csv emissions.csv", &["true"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let script = "
import csv, dataclasses
from codecarbon.output_methods.emissions_data import EmissionsData
ours = next(csv.reader(open('emissions.csv')))
print(','.join(field.name for field in dataclasses.fields(EmissionsData)) == ','.join(ours), ours)
";
    let output = Command::new(python)
        .current_dir(&here)
        .args(["-c", script])
        .output()
        .unwrap();
    assert!(
        stdout(&output).starts_with("True"),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
}
