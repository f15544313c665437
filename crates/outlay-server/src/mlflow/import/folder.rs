//! Reading MLflow's folders of files: `mlruns`.
//!
//! A folder that a script was killed in may hold half of a run: what cannot be read is a finding, and the rest is read.

mod models;

use std::path::{Path, PathBuf};

use outlay_ledger::{Dataset, Point, RunModel, Series};

use super::super::things::Experiment;
use super::database::{RunParts, run, status};
use super::yaml::{self, Node};
use super::{Found, FoundRun};

pub(super) use models::{left_out, models, registered};

const META: &str = "meta.yaml";
const TRASH: &str = ".trash";
const MODELS: &str = "models";

/// Bytes of a file of points.
const POINT_BYTES: u64 = 4 << 30;

/// Bytes of a parameter's or a tag's file.
const TEXT_BYTES: u64 = 16 << 20;

/// How deep folders of names with slashes are followed.
const DEPTH: usize = 32;

/// Findings of one file.
const LINES: usize = 20;

/// Whether it is a folder of MLflow's.
pub(super) fn is_one(root: &Path) -> bool {
    let has_any = |folder: &Path| folders(folder).iter().any(|one| one.join(META).is_file());
    has_any(root) || has_any(&root.join(TRASH)) || has_any(&root.join(MODELS))
}

/// The folders within a folder, by name; links are not followed.
fn folders(path: &Path) -> Vec<PathBuf> {
    entries(path)
        .into_iter()
        .filter(|(_, is_folder)| *is_folder)
        .map(|(path, _)| path)
        .collect()
}

/// What lies in a folder, by name, and whether it is a folder; links are left out.
fn entries(path: &Path) -> Vec<(PathBuf, bool)> {
    let Ok(found) = std::fs::read_dir(path) else {
        return Vec::new();
    };
    let mut all: Vec<(PathBuf, bool)> = found
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let kind = entry.file_type().ok()?;
            (kind.is_dir() || kind.is_file()).then(|| (entry.path(), kind.is_dir()))
        })
        .collect();
    all.sort();
    all
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// A file's text, of bounded size.
fn read(path: &Path, most: u64) -> Result<String, String> {
    let size = std::fs::metadata(path)
        .map_err(|error| error.to_string())?
        .len();
    if size > most {
        return Err(format!("it has {size} bytes; allowed: {most}"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

fn find(findings: &mut Vec<String>, path: &Path, why: impl std::fmt::Display) {
    findings.push(format!("{}: {why}", path.display()));
}

/// The `meta.yaml` of a folder.
fn meta(folder: &Path, findings: &mut Vec<String>) -> Option<Node> {
    let path = folder.join(META);
    match read(&path, yaml::BYTES).and_then(|text| Node::read(&text)) {
        Ok(node) => Some(node),
        Err(why) => {
            find(findings, &path, why);
            None
        }
    }
}

/// The files below a folder, each with the name that its path is.
fn named_files(root: &Path) -> Vec<(String, PathBuf)> {
    let mut all = Vec::new();
    let mut left = vec![(String::new(), root.to_path_buf(), 0)];
    while let Some((prefix, folder, depth)) = left.pop() {
        for (path, is_folder) in entries(&folder) {
            let name = format!("{prefix}{}", file_name(&path));
            if !is_folder {
                all.push((name, path));
            } else if depth < DEPTH {
                left.push((format!("{name}/"), path, depth + 1));
            }
        }
    }
    all.sort();
    all
}

/// Names and the texts of their files.
fn texts(folder: &Path, findings: &mut Vec<String>) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (name, path) in named_files(folder) {
        match read(&path, TEXT_BYTES) {
            Ok(text) => all.push((name, text)),
            Err(why) => find(findings, &path, why),
        }
    }
    all
}

pub(super) fn experiments(root: &Path, findings: &mut Vec<String>) -> Vec<Found> {
    let mut all = Vec::new();
    let active = folders(root).into_iter().map(|folder| (folder, false));
    let deleted = folders(&root.join(TRASH))
        .into_iter()
        .map(|folder| (folder, true));
    for (folder, is_deleted) in active.chain(deleted) {
        let name = file_name(&folder);
        if name == TRASH || (name == MODELS && !is_deleted) {
            continue;
        }
        let Some(meta) = meta(&folder, findings) else {
            continue;
        };
        let id = meta.text("experiment_id").unwrap_or(name);
        let Ok(id) = id.parse() else {
            find(
                findings,
                &folder,
                format!("the experiment's id is `{id}`; allowed: a whole number"),
            );
            continue;
        };
        let created_ms = meta.integer("creation_time").unwrap_or(0);
        let experiment = Experiment {
            id,
            name: meta.text("name").unwrap_or_else(|| id.to_string()),
            artifact_location: meta.text("artifact_location").unwrap_or_default(),
            deleted: is_deleted || meta.text("lifecycle_stage").as_deref() == Some("deleted"),
            created_ms,
            updated_ms: meta.integer("last_update_time").unwrap_or(created_ms),
            tags: texts(&folder.join("tags"), findings).into_iter().collect(),
        };
        let is_run = |folder: &PathBuf| {
            !matches!(
                file_name(folder).as_str(),
                "tags" | "datasets" | "traces" | MODELS
            )
        };
        let run_ids = folders(&folder)
            .into_iter()
            .filter(is_run)
            .map(|run| file_name(&run))
            .collect();
        all.push(Found {
            experiment,
            folder,
            run_ids,
        });
    }
    all
}

pub(super) fn runs(found: &Found, ids: &[String], findings: &mut Vec<String>) -> Vec<FoundRun> {
    ids.iter()
        .filter_map(|id| one_run(found, id, findings))
        .collect()
}

fn one_run(found: &Found, id: &str, findings: &mut Vec<String>) -> Option<FoundRun> {
    let folder = found.folder.join(id);
    let meta = meta(&folder, findings)?;
    let said = meta.text("run_id").or_else(|| meta.text("run_uuid"));
    if said.as_deref().is_some_and(|said| said != id) {
        find(
            findings,
            &folder,
            "the run's id is not the name of its folder",
        );
        return None;
    }
    let tags = texts(&folder.join("tags"), findings);
    let (started, ended) = (
        meta.integer("start_time").unwrap_or(0),
        meta.integer("end_time"),
    );
    let deleted = meta.text("lifecycle_stage").as_deref() == Some("deleted");
    let name = match meta.integer("status") {
        Some(2) => "SCHEDULED".to_owned(),
        Some(3) => "FINISHED".to_owned(),
        Some(4) => "FAILED".to_owned(),
        Some(5) => "KILLED".to_owned(),
        Some(_) => "RUNNING".to_owned(),
        None => meta.text("status").unwrap_or_default(),
    };
    let (datasets, models) = used(found, &folder, id, findings);
    Some(FoundRun {
        run: run(RunParts {
            id: id.to_owned(),
            name: meta
                .text("run_name")
                .or_else(|| meta.text("name"))
                .unwrap_or_default(),
            who: meta.text("user_id").unwrap_or_default(),
            status: status(&name),
            started_ms: started,
            ended_ms: ended,
            deleted_ms: deleted.then(|| meta.integer("deleted_time").or(ended).unwrap_or(started)),
            artifact_uri: meta.text("artifact_uri").unwrap_or_default(),
            tags: &tags,
            of: found,
        }),
        params: texts(&folder.join("params"), findings),
        tags,
        datasets,
        models,
    })
}

/// The data and models that a run read, and the models that it made.
fn used(
    found: &Found,
    folder: &Path,
    run_id: &str,
    findings: &mut Vec<String>,
) -> (Vec<Dataset>, Vec<RunModel>) {
    let (mut datasets, mut models) = (Vec::new(), Vec::new());
    for input in folders(&folder.join("inputs")) {
        let Some(meta_of_input) = meta(&input, findings) else {
            continue;
        };
        let source_id = meta_of_input.text("source_id").unwrap_or_default();
        let kind = meta_of_input.text("source_type").unwrap_or_default();
        if kind == "MODEL" {
            models.push(RunModel {
                run_id: run_id.to_owned(),
                model_id: source_id,
                is_output: false,
                step: 0,
            });
            continue;
        }
        // What it names is a folder beside the runs, and nothing else.
        if source_id.is_empty() || source_id.contains(['/', '\\']) || source_id.starts_with('.') {
            find(
                findings,
                &input,
                format!("its data is `{source_id}`, which is no name"),
            );
            continue;
        }
        let Some(of) = meta(&found.folder.join("datasets").join(&source_id), findings) else {
            continue;
        };
        let tags = meta_of_input.pairs("tags");
        let context = tags.iter().find(|(key, _)| key == "mlflow.data.context");
        datasets.push(Dataset {
            run_id: run_id.to_owned(),
            name: of.text("name").unwrap_or_default(),
            digest: of.text("digest").unwrap_or_default(),
            context: context.map(|(_, value)| value.clone()).unwrap_or_default(),
            source: of.text("source").unwrap_or_default(),
            source_type: of.text("source_type").unwrap_or_default(),
            schema: of.text("schema"),
            profile: of.text("profile"),
            tags,
            // The folders keep no order.
            added_us: 0,
        });
    }
    for output in folders(&folder.join("outputs")) {
        if let Some(meta) = meta(&output, findings) {
            models.push(RunModel {
                run_id: run_id.to_owned(),
                model_id: meta.text("source_id").unwrap_or_else(|| file_name(&output)),
                is_output: true,
                step: meta.integer("step").unwrap_or(0),
            });
        }
    }
    (datasets, models)
}

/// A line of a file of points: time, value, step, and what follows them.
fn point(line: &str) -> Option<(Point, Vec<&str>)> {
    let mut parts = line.split(' ').filter(|part| !part.is_empty());
    let at_ms: i64 = parts.next()?.parse().ok()?;
    let value: f64 = parts.next()?.parse().ok()?;
    // Before MLflow 1, there were no steps.
    let step = parts.next().map_or(Some(0), |step| step.parse().ok())?;
    let at_us = at_ms.checked_mul(1000)?;
    Some((Point { step, at_us, value }, parts.collect()))
}

/// The lines of a file of points that are points; what is none is found, as far as it is not too much.
fn lines(path: &Path, findings: &mut Vec<String>, mut add: impl FnMut(Point, &[&str])) {
    let text = match read(path, POINT_BYTES) {
        Ok(text) => text,
        Err(why) => return find(findings, path, why),
    };
    let mut n_bad = 0;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        if let Some((point, rest)) = point(line) {
            add(point, &rest);
            continue;
        }
        n_bad += 1;
        if n_bad <= LINES {
            let shown: String = line.chars().take(60).collect();
            let why = format!(
                "line {} is `{shown}`; allowed: a time, a value and a step",
                at + 1
            );
            find(findings, path, why);
        }
    }
    if n_bad > LINES {
        find(findings, path, format!("{n_bad} lines are no points"));
    }
}

pub(super) fn points(found: &Found, run_id: &str, findings: &mut Vec<String>) -> Vec<Series> {
    let folder = found.folder.join(run_id).join("metrics");
    let mut all = Vec::new();
    for (key, path) in named_files(&folder) {
        let mut points = Vec::new();
        lines(&path, findings, |point, _| points.push(point));
        if !points.is_empty() {
            all.push(Series {
                run_id: run_id.to_owned(),
                key,
                points,
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_of_every_age_are_points() {
        let read = |line| {
            point(line).map(|(point, rest)| (point.at_us, point.value, point.step, rest.len()))
        };
        assert_eq!(read("1700 0.5"), Some((1_700_000, 0.5, 0, 0)));
        assert_eq!(read("1700 1e-05 7"), Some((1_700_000, 1e-5, 7, 0)));
        assert_eq!(
            read("1700 -inf -3"),
            Some((1_700_000, f64::NEG_INFINITY, -3, 0))
        );
        assert_eq!(read("1700 0.5 7 train 12ab"), Some((1_700_000, 0.5, 7, 2)));
        assert!(point("1700 nan 1").is_some_and(|(point, _)| point.value.is_nan()));
        for bad in [
            "1700",
            "x 0.5 1",
            "1700 0.5 1.5",
            "9223372036854775807 1 1",
            "1700  ",
        ] {
            assert!(point(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_a_point_or_none(line in "\\PC{0,80}") {
            let _ = point(&line);
        }

        #[test]
        fn a_point_that_was_written_is_read(at_ms in 0..i64::MAX / 1000, value in proptest::num::f64::ANY, step in any::<i64>()) {
            let (point, _) = point(&format!("{at_ms} {value} {step}")).expect("is a point");
            prop_assert_eq!((point.at_us, point.step), (at_ms * 1000, step));
            prop_assert!(point.value == value || (point.value.is_nan() && value.is_nan()));
        }
    }
}
