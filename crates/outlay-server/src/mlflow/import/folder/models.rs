//! Models and their versions, and what is left out.

use std::collections::BTreeMap;
use std::path::Path;

use outlay_ledger::ModelPoint;

use super::super::super::things::{LoggedModel, ModelVersion, RegisteredModel};
use super::super::Found;
use super::super::database::model_status;
use super::{MODELS, TRASH, file_name, find, folders, lines, meta, named_files, texts};

pub(in super::super) fn models(
    found: &Found,
    findings: &mut Vec<String>,
) -> (Vec<LoggedModel>, Vec<ModelPoint>) {
    let (mut models, mut points) = (Vec::new(), Vec::new());
    for folder in folders(&found.folder.join(MODELS)) {
        let Some(meta) = meta(&folder, findings) else {
            continue;
        };
        let id = meta.text("model_id").unwrap_or_else(|| file_name(&folder));
        let status = match meta.integer("status") {
            Some(number) => model_status(number).to_owned(),
            None => match meta.text("status") {
                Some(name) if name.starts_with("LOGGED_MODEL_") => name,
                Some(name) => format!("LOGGED_MODEL_{name}"),
                None => model_status(0).to_owned(),
            },
        };
        let created_ms = meta.integer("creation_timestamp").unwrap_or(0);
        models.push(LoggedModel {
            experiment_id: found.experiment.id,
            name: meta.text("name").unwrap_or_default(),
            artifact_uri: meta.text("artifact_location").unwrap_or_default(),
            created_ms,
            updated_ms: meta.integer("last_updated_timestamp").unwrap_or(created_ms),
            status,
            status_message: meta.text("status_message"),
            model_type: meta.text("model_type").unwrap_or_default(),
            source_run_id: meta.text("source_run_id").unwrap_or_default(),
            deleted: meta.text("lifecycle_stage").as_deref() == Some("deleted"),
            tags: texts(&folder.join("tags"), findings).into_iter().collect(),
            params: texts(&folder.join("params"), findings)
                .into_iter()
                .collect(),
            id: id.clone(),
        });
        for (key, path) in named_files(&folder.join("metrics")) {
            lines(&path, findings, |point, rest| {
                let part = |at: usize| rest.get(at).copied().unwrap_or_default().to_owned();
                points.push(ModelPoint {
                    model_id: id.clone(),
                    run_id: part(0),
                    key: key.clone(),
                    point,
                    // A name may have blanks in it; a digest has none.
                    dataset_name: match rest.len() {
                        0..=2 => String::new(),
                        n => rest[1..n - 1].join(" "),
                    },
                    dataset_digest: if rest.len() > 2 {
                        part(rest.len() - 1)
                    } else {
                        String::new()
                    },
                });
            });
        }
    }
    (models, points)
}

pub(in super::super) fn registered(
    root: &Path,
    findings: &mut Vec<String>,
) -> Vec<(RegisteredModel, Vec<ModelVersion>)> {
    let mut all = Vec::new();
    for folder in folders(&root.join(MODELS)) {
        let Some(meta_of_model) = meta(&folder, findings) else {
            continue;
        };
        let name = meta_of_model
            .text("name")
            .unwrap_or_else(|| file_name(&folder));
        let mut aliases = BTreeMap::new();
        for (alias, version) in texts(&folder.join("aliases"), findings) {
            match version.trim().parse() {
                Ok(version) => {
                    aliases.insert(alias, version);
                }
                Err(_) => find(
                    findings,
                    &folder,
                    format!("the alias `{alias}` names no version"),
                ),
            }
        }
        let mut versions: Vec<ModelVersion> = folders(&folder)
            .iter()
            .filter(|path| file_name(path).starts_with("version-"))
            .filter_map(|path| version(path, &name, findings))
            .collect();
        versions.sort_by_key(|version| version.version);
        let last_version = versions.last().map_or(0, |version| version.version);
        versions.retain(|version| version.stage != "Deleted_Internal");
        let created_ms = meta_of_model.integer("creation_timestamp").unwrap_or(0);
        let model = RegisteredModel {
            created_ms,
            updated_ms: meta_of_model
                .integer("last_updated_timestamp")
                .unwrap_or(created_ms),
            description: meta_of_model.text("description"),
            tags: texts(&folder.join("tags"), findings).into_iter().collect(),
            aliases,
            last_version,
            name,
        };
        all.push((model, versions));
    }
    all
}

fn version(folder: &Path, name: &str, findings: &mut Vec<String>) -> Option<ModelVersion> {
    let meta = meta(folder, findings)?;
    let of_folder = file_name(folder)
        .trim_start_matches("version-")
        .parse()
        .ok();
    let Some(number) = meta.integer("version").or(of_folder) else {
        find(findings, folder, "the version has no number");
        return None;
    };
    let created_ms = meta.integer("creation_timestamp").unwrap_or(0);
    let source = meta.text("source").unwrap_or_default();
    Some(ModelVersion {
        name: name.to_owned(),
        version: number,
        created_ms,
        updated_ms: meta.integer("last_updated_timestamp").unwrap_or(created_ms),
        description: meta.text("description"),
        user_id: meta.text("user_id"),
        stage: meta
            .text("current_stage")
            .unwrap_or_else(|| "None".to_owned()),
        storage_location: meta
            .text("storage_location")
            .unwrap_or_else(|| source.clone()),
        source,
        run_id: meta.text("run_id").unwrap_or_default(),
        run_link: meta.text("run_link").unwrap_or_default(),
        model_id: meta.text("model_id").unwrap_or_default(),
        status: meta.text("status").unwrap_or_else(|| "READY".to_owned()),
        status_message: meta.text("status_message"),
        tags: texts(&folder.join("tags"), findings).into_iter().collect(),
    })
}

/// What is not read, as far as it holds anything.
pub(in super::super) fn left_out(root: &Path) -> BTreeMap<String, u64> {
    let mut n_traces = 0;
    for folder in folders(root).into_iter().chain(folders(&root.join(TRASH))) {
        n_traces += folders(&folder.join("traces")).len() as u64;
    }
    let mut all = BTreeMap::new();
    if n_traces > 0 {
        all.insert("traces".to_owned(), n_traces);
    }
    all
}
