//! A copy of the data without what is there twice, what has leaked into it, and what cannot be read.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use serde::Serialize;
use serde_json::Value;

use crate::audit::{Audit, Settings};
use crate::chunks::{Chunk, Chunks, lines};
use crate::error::AuditError;
use crate::images::sketch_image;
use crate::privacy::redacted;
use crate::record::named;
use crate::rights::Decision;
use crate::source::{Kind, Packing, Source};

/// Which record of a cluster stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// The one with the most text, the first of these.
    #[default]
    Longest,
    /// The first.
    First,
    /// The last, as of files whose order is that of time.
    Last,
    /// The one whose field of time says the latest; those without a time are the oldest.
    Newest,
    /// The one whose licence the policy takes best; of these, the one with the most text.
    BestLicence,
}

/// What a copy leaves out, and changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fix {
    /// Which record of a cluster of duplicates stays.
    pub keep: Keep,
    /// Whether personal data and secrets are replaced by words such as `<EMAIL>`.
    pub redact: bool,
    /// Whether records go whose licence the policy denies: `Audit::decide` comes first.
    pub denied: bool,
}

/// What a copy has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fixed {
    /// Records that were copied.
    pub n_kept: u64,
    /// Duplicates that were left out.
    pub n_duplicates: u64,
    /// Records with a leaked item, or that what the data is compared with has too, that were left out.
    pub n_leaked: u64,
    /// Records that the policy denies that were left out.
    pub n_denied: u64,
    /// What could not be read, and was left out.
    pub n_unreadable: u64,
    /// Records in which something was replaced.
    pub n_redacted: u64,
}

/// Why a record was left out, as a line of `removed.jsonl`.
#[derive(Serialize)]
struct Removed<'a> {
    record: String,
    why: &'a str,
    /// The record that stays in its place.
    kept: Option<String>,
}

/// The name of the list of what was left out.
pub const REMOVED: &str = "removed.jsonl";

/// Of each record that goes because of a duplicate, the one that stays.
fn losers(audit: &Audit, keep: Keep) -> HashMap<u32, u32> {
    let Some(found) = &audit.near else {
        return HashMap::new();
    };
    let n_records = audit.n_records;
    let times = audit.counts.times.as_ref();
    let time = |record: u32| {
        let at = times
            .and_then(|times| times.data.get(record as usize))
            .copied();
        at.filter(|at| !at.is_nan()).unwrap_or(f64::NEG_INFINITY)
    };
    let rank = |record: u32| audit.decision(record);
    let mut kept: HashMap<u32, u32> = HashMap::new();
    let mut is_cluster = HashSet::new();
    for record in 0..n_records {
        let least = found.clusters.least(record);
        if least != record {
            is_cluster.insert(least);
        }
    }
    for record in 0..n_records {
        let least = found.clusters.least(record);
        if !is_cluster.contains(&least) {
            continue;
        }
        let best = kept.entry(least).or_insert(record);
        let is_better = match keep {
            Keep::First => false,
            Keep::Last => true,
            Keep::Newest => time(record) > time(*best),
            Keep::BestLicence => {
                let bytes = |record| audit.table.n_bytes(record);
                (rank(*best), bytes(record)) > (rank(record), bytes(*best))
            }
            Keep::Longest => audit.table.n_bytes(record) > audit.table.n_bytes(*best),
        };
        if is_better {
            *best = record;
        }
    }
    (0..n_records)
        .filter_map(|record| {
            let best = *kept.get(&found.clusters.least(record))?;
            (best != record).then_some((record, best))
        })
        .collect()
}

/// Writes a copy of what was audited into a folder that is empty, or is made: each file under its name, and `removed.jsonl`. Parquet files are written as lines of JSON.
///
/// # Errors
///
/// When the folder holds something, two files would have one name, a file is not as it was when it was audited, or the disk fails. Files that were begun are then not there.
pub fn fix(
    paths: &[PathBuf],
    audit: &Audit,
    settings: &Settings,
    how: Fix,
    folder: &Path,
) -> Result<Fixed, AuditError> {
    let failed = |source: io::Error| AuditError::Working {
        folder: folder.to_owned(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    if std::fs::read_dir(folder).map_err(failed)?.next().is_some() {
        return Err(AuditError::Setting(format!(
            "`{}` holds something already; allowed: an empty folder, or one that is made",
            folder.display()
        )));
    }
    // Beside its place, and moved there whole.
    let parent = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let aside = tempfile::tempdir_in(parent).map_err(failed)?;
    let mut copy = Copy {
        audit,
        settings,
        how,
        losers: losers(audit, how.keep),
        crossing: audit.crossing(),
        next: 0,
        fixed: Fixed::default(),
        removed: BufWriter::new(std::fs::File::create(aside.path().join(REMOVED)).map_err(failed)?),
    };
    for path in paths {
        for source in Source::at(path)?.sources {
            let own = source
                .path
                .strip_prefix(path)
                .ok()
                .filter(|own| !own.as_os_str().is_empty());
            let name = own
                .or(source.path.file_name().map(Path::new))
                .unwrap_or(Path::new("data"));
            let mut to = aside.path().join(name);
            if source.kind == Kind::Parquet {
                to.set_extension("jsonl");
            }
            if to.exists() {
                return Err(AuditError::Setting(format!(
                    "two files would be written as `{}`; allowed: paths whose files have names of their own",
                    name.display()
                )));
            }
            if let Some(parent) = to.parent() {
                std::fs::create_dir_all(parent).map_err(failed)?;
            }
            let n_kept = copy.fixed.n_kept;
            copy.file(&source, &to).map_err(failed)?;
            // A file that is one record goes with it.
            let is_record = matches!(source.kind, Kind::Text | Kind::Image);
            if is_record && copy.fixed.n_kept == n_kept {
                std::fs::remove_file(&to).map_err(failed)?;
            }
        }
    }
    if copy.next != audit.n_records {
        return Err(AuditError::Setting(
            "the files are not as they were when they were audited".to_owned(),
        ));
    }
    copy.removed.flush().map_err(failed)?;
    let fixed = copy.fixed;
    std::fs::remove_dir(folder).map_err(failed)?;
    std::fs::rename(aside.keep(), folder).map_err(failed)?;
    Ok(fixed)
}

struct Copy<'a> {
    audit: &'a Audit,
    settings: &'a Settings,
    how: Fix,
    losers: HashMap<u32, u32>,
    /// Records that what the data is compared with has too.
    crossing: Vec<u32>,
    /// The number of the next record.
    next: u32,
    fixed: Fixed,
    removed: BufWriter<std::fs::File>,
}

impl Copy<'_> {
    fn file(&mut self, source: &Source, to: &Path) -> io::Result<()> {
        let file = BufWriter::with_capacity(1 << 16, std::fs::File::create(to)?);
        match source.packing {
            Packing::None => {
                let mut file = file;
                self.records(source, &mut file)?;
                file.flush()
            }
            Packing::Gzip => {
                let mut out = flate2::write::GzEncoder::new(file, flate2::Compression::default());
                self.records(source, &mut out)?;
                out.finish()?.flush()
            }
            Packing::Zstandard => {
                let mut out = zstd::stream::write::Encoder::new(file, 3)?;
                self.records(source, &mut out)?;
                out.finish()?.flush()
            }
        }
    }

    fn records(&mut self, source: &Source, out: &mut impl Write) -> io::Result<()> {
        let n_read = AtomicU64::new(0);
        let mut chunks = match Chunks::open(
            source,
            self.settings.record_bytes_max,
            &self.settings.folder,
            &n_read,
        ) {
            Ok(chunks) => chunks,
            Err(error) => return self.unreadable(source, 0, &error.to_string()),
        };
        let mut has_names = false;
        let mut n_values = 0_u64;
        while let Some((chunk, skipped)) = chunks.next() {
            for one in skipped {
                self.unreadable(source, one.line, &one.why)?;
            }
            match chunk {
                None => {}
                Some(Chunk::Lines { first, bytes }) => {
                    for (line, bytes) in (first..).zip(lines(&bytes)) {
                        if bytes.is_empty() {
                            continue;
                        }
                        let text = String::from_utf8_lossy(bytes);
                        if named(&text).is_err() {
                            self.unreadable(source, line, "no JSON object")?;
                        } else if self.stays()? {
                            out.write_all(self.json(&text).as_bytes())?;
                            out.write_all(b"\n")?;
                        }
                    }
                }
                Some(Chunk::Values { first, values }) => {
                    for (line, text) in (first..).zip(values) {
                        if named(&text).is_err() {
                            self.unreadable(source, line, "no JSON object")?;
                        } else if self.stays()? {
                            out.write_all(if n_values == 0 { b"[\n" } else { b",\n" })?;
                            n_values += 1;
                            out.write_all(self.json(&text).as_bytes())?;
                        }
                    }
                }
                Some(Chunk::Rows { names, rows }) => {
                    let Kind::Table(delimiter) = source.kind else {
                        continue;
                    };
                    let mut table = csv::WriterBuilder::new()
                        .delimiter(delimiter)
                        .from_writer(&mut *out);
                    if !has_names {
                        table.write_record(names.iter())?;
                        has_names = true;
                    }
                    for (_, row) in rows {
                        if !self.stays()? {
                            continue;
                        }
                        if self.how.redact {
                            let cells: Vec<String> = row
                                .iter()
                                .map(|cell| redacted(&String::from_utf8_lossy(cell)))
                                .collect();
                            self.fixed.n_redacted += u64::from(
                                cells
                                    .iter()
                                    .zip(&row)
                                    .any(|(cell, before)| cell.as_bytes() != before),
                            );
                            table.write_record(&cells)?;
                        } else {
                            table.write_byte_record(&row)?;
                        }
                    }
                    table.flush()?;
                }
                Some(Chunk::Columns { rows, .. }) => {
                    for row in rows {
                        if self.stays()? {
                            let text = row.to_json_value().to_string();
                            out.write_all(self.json(&text).as_bytes())?;
                            out.write_all(b"\n")?;
                        }
                    }
                }
                Some(Chunk::Image(bytes)) => {
                    if let Err(fault) = sketch_image(&bytes) {
                        self.unreadable(source, 0, &fault.to_string())?;
                    } else if self.stays()? {
                        out.write_all(&bytes)?;
                    }
                }
                Some(Chunk::Pixels { .. }) => {
                    return Err(io::Error::other(format!(
                        "images of `{}` cannot be copied one by one; allowed: files of one image each",
                        source.path.display()
                    )));
                }
                Some(Chunk::Whole(bytes)) => {
                    if !self.stays()? {
                        continue;
                    }
                    let text = String::from_utf8_lossy(&bytes);
                    let changed = self
                        .how
                        .redact
                        .then(|| redacted(&text))
                        .filter(|changed| *changed != text);
                    self.fixed.n_redacted += u64::from(changed.is_some());
                    out.write_all(changed.as_deref().map_or(&bytes[..], str::as_bytes))?;
                }
            }
        }
        if source.kind == Kind::Json {
            out.write_all(if n_values == 0 { b"[]\n" } else { b"\n]\n" })?;
        }
        Ok(())
    }

    /// A record's JSON as it is written.
    fn json(&mut self, text: &str) -> String {
        if !self.how.redact {
            return text.to_owned();
        }
        let Ok(mut value) = serde_json::from_str::<Value>(text) else {
            return text.to_owned();
        };
        let id = self.settings.fields.id.as_deref().unwrap_or("id");
        if !redact(&mut value, Some(id)) {
            return text.to_owned();
        }
        self.fixed.n_redacted += 1;
        value.to_string()
    }

    /// Whether the next record stays; otherwise it is listed why not.
    fn stays(&mut self) -> io::Result<bool> {
        let record = self.next;
        self.next += 1;
        // The file has grown since.
        if record >= self.audit.n_records {
            return Ok(false);
        }
        let (why, kept) = if self.audit.leaked.binary_search(&record).is_ok() {
            self.fixed.n_leaked += 1;
            ("leaked", None)
        } else if self.crossing.binary_search(&record).is_ok() {
            self.fixed.n_leaked += 1;
            ("in what it is compared with", None)
        } else if self.how.denied && self.audit.decision(record) == Some(Decision::Denied) {
            self.fixed.n_denied += 1;
            ("denied by the policy", None)
        } else if let Some(kept) = self.losers.get(&record) {
            self.fixed.n_duplicates += 1;
            ("duplicate", Some(self.audit.table.name(*kept)?))
        } else {
            self.fixed.n_kept += 1;
            return Ok(true);
        };
        let removed = Removed {
            record: self.audit.table.name(record)?,
            why,
            kept,
        };
        serde_json::to_writer(&mut self.removed, &removed)?;
        self.removed.write_all(b"\n")?;
        Ok(false)
    }

    fn unreadable(&mut self, source: &Source, line: u64, why: &str) -> io::Result<()> {
        self.fixed.n_unreadable += 1;
        let removed = Removed {
            record: format!("{}:{line}", source.path.display()),
            why,
            kept: None,
        };
        serde_json::to_writer(&mut self.removed, &removed)?;
        self.removed.write_all(b"\n")
    }
}

/// Replaces what is private in every text of a value but the one that is its id; whether there was any.
fn redact(value: &mut Value, id: Option<&str>) -> bool {
    match value {
        Value::String(text) => {
            let changed = redacted(text);
            let is_changed = changed != *text;
            *text = changed;
            is_changed
        }
        Value::Array(values) => values
            .iter_mut()
            .fold(false, |any, value| redact(value, None) | any),
        Value::Object(fields) => fields
            .iter_mut()
            .filter(|(name, _)| id != Some(name.as_str()))
            .fold(false, |any, (_, value)| redact(value, None) | any),
        _ => false,
    }
}
