//! The datasheet of what was audited: its files with their hashes, its fields with their types, and what was found, as Croissant says it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use serde_json::{Map, Value};

use crate::audit::{Audit, Settings};
use crate::chunks::{Chunk, Chunks};
use crate::content::Content;
use crate::croissant::{
    Columns, DataType, Description, FieldDescription, FileDescription, Part, Rai,
    RecordSetDescription,
};
use crate::document::{counted, share};
use crate::record::Named;
use crate::report::Report;
use crate::source::{Kind, Source};

/// Sources by their kind and their fields, with the name of each within the data set.
type Alike<'a> = BTreeMap<(Kind, Vec<&'a str>), Vec<(&'a Source, String)>>;

impl Audit {
    /// What is known of the data: its files as `content` hashed them, the fields of the first records of each kind of file, and the findings of a report in sentences.
    ///
    /// # Errors
    ///
    /// When a file can no longer be read.
    pub fn description(
        &self,
        paths: &[PathBuf],
        content: &Content,
        settings: &Settings,
        report: &Report,
    ) -> io::Result<Description> {
        let files = content.files.iter().map(|file| FileDescription {
            name: file.name.replace('\\', "/"),
            content_url: None,
            encoding_format: None,
            n_bytes: Some(file.n_bytes),
            sha256: Some(file.sha256.clone()),
        });
        // Files with the same fields hold records alike.
        let mut alike: Alike<'_> = BTreeMap::new();
        for (source, schema) in self
            .sources
            .iter()
            .zip(&self.schemas)
            .take(self.files.len())
        {
            let mut names: Vec<&str> = schema
                .fields
                .iter()
                .map(|field| field.name.as_str())
                .collect();
            names.sort_unstable();
            let name = own_name(paths, &source.path);
            alike
                .entry((source.kind, names))
                .or_default()
                .push((source, name));
        }
        let n_sets = alike.len();
        let mut record_sets = Vec::new();
        for ((kind, _), sources) in &alike {
            let fields = match kind {
                Kind::Text => vec![FieldDescription {
                    part: Part::Content,
                    description: Some("All of the file".to_owned()),
                    ..FieldDescription::new("text", DataType::Text)
                }],
                _ => columns(sources[0].0, settings)?.fields(),
            };
            if fields.is_empty() {
                continue;
            }
            let name = if n_sets == 1 {
                "records".to_owned()
            } else {
                let stem = sources[0].1.rsplit('/').next().unwrap_or_default();
                stem.split('.').next().unwrap_or("records").to_owned()
            };
            record_sets.push(RecordSetDescription {
                name,
                description: None,
                fields,
                key: Vec::new(),
                files: sources.iter().map(|(_, name)| name.clone()).collect(),
            });
        }
        let last = self
            .sources
            .iter()
            .take(self.files.len())
            .map(|source| source.modified_ns)
            .max();
        Ok(Description {
            name: data_name(paths),
            date_modified: last
                .filter(|at| *at > 0)
                .map(|at| outlay_units::date_of_day((at / 86_400_000_000_000) as i64)),
            files: files.collect(),
            record_sets,
            rai: rai(report),
            ..Description::default()
        })
    }
}

/// A data set's name where the person gives none: that of its folder or file.
fn data_name(paths: &[PathBuf]) -> String {
    let first = paths
        .first()
        .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    let name = first
        .as_deref()
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_else(|| "data".to_owned());
    name.split('.')
        .next()
        .filter(|name| !name.is_empty())
        .unwrap_or("data")
        .to_owned()
}

/// A file's name within the folder that was given, as `content` has it.
fn own_name(paths: &[PathBuf], path: &Path) -> String {
    let own = paths
        .iter()
        .find_map(|folder| path.strip_prefix(folder).ok())
        .filter(|own| !own.as_os_str().is_empty());
    let name = own.or(path.file_name().map(Path::new)).unwrap_or(path);
    name.display().to_string().replace('\\', "/")
}

/// What the first records of a file hold.
fn columns(source: &Source, settings: &Settings) -> io::Result<Columns> {
    let n_read = AtomicU64::new(0);
    let mut columns = Columns::default();
    let mut chunks = Chunks::open(source, settings.record_bytes_max, &settings.folder, &n_read)?;
    while let Some((chunk, _)) = chunks.next() {
        match chunk {
            None => continue,
            Some(Chunk::Rows { names, rows }) => {
                for (_, row) in &rows {
                    let cells: Vec<String> = row
                        .iter()
                        .map(|cell| String::from_utf8_lossy(cell).into_owned())
                        .collect();
                    columns.add_row(&names, cells.iter().map(String::as_str));
                }
            }
            Some(chunk) => chunk.each(&settings.fields, |seen| {
                if let Ok((_, named)) = seen {
                    columns.add(&values(named));
                }
            }),
        }
        break;
    }
    Ok(columns)
}

fn values(named: &Named<'_>) -> Map<String, Value> {
    named
        .iter()
        .map(|(name, field)| (name.clone().into_owned(), field.value()))
        .collect()
}

/// What was found, as sentences for the part on responsible use.
fn rai(report: &Report) -> Rai {
    let mut rai = Rai::default();
    if let Some(privacy) = &report.privacy {
        if privacy.found.is_empty() {
            rai.personal_sensitive_information.push(format!(
                "An audit found no e-mail addresses, telephone numbers, numbers of identity, of payment or of accounts, and no keys in {}; names of persons were not looked for.",
                counted(report.n_records, "record")
            ));
        }
        for found in &privacy.found {
            rai.personal_sensitive_information.push(format!(
                "An audit found {} ({}) in {} of the records.",
                found.kind.replace('_', " "),
                counted(found.n_places, "place"),
                share(found.n_records, report.n_records)
            ));
        }
    }
    if let Some(duplicates) = &report.duplicates {
        rai.data_limitations.push(format!(
            "{} of the records are exact or near duplicates (Jaccard similarity of {} or more).",
            share(duplicates.n_near, report.n_records),
            duplicates.threshold
        ));
    }
    if let Some(leaks) = &report.leaks {
        rai.data_limitations.push(format!(
            "{} of {} items of the benchmarks that it was held against are in the data.",
            leaks.long.n_leaked + leaks.short.n_leaked,
            leaks.long.n_items + leaks.short.n_items
        ));
    }
    if let Some(labels) = &report.labels {
        for found in labels
            .associations
            .iter()
            .filter(|found| found.p_adjusted < 0.01)
        {
            rai.data_biases.push(format!(
                "{} and {} hang together (Cramér's V {:.2}).",
                found.label, found.group, found.cramers_v
            ));
        }
    }
    rai
}
