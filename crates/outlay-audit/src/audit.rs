//! The audit: every file is read once, every record looked at by all that was asked for.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokenizers::Tokenizer;

use crate::chunks::{Chunk, Chunks, Skipped};
use crate::content::{content, hex};
use crate::drive::{FileCount, Takes, each_chunk};
use crate::error::AuditError;
use crate::leaks::{Items, Leak, Reference};
use crate::look::{Looked, Looker, RecordSeen, Wanted};
use crate::model::Model;
use crate::near::{Found, Near, NearSettings};
use crate::origin::Origins;
use crate::pictures::Pictures;
use crate::places::{Places, Settled};
use crate::privacy::PrivateKind;
use crate::quality::Rule;
use crate::record::Fields;
use crate::report::{LeakView, PrivateView};
use crate::rights::{Decision, Policy};
use crate::rows::{SampleTable, Sampled, cells};
use crate::saved::Saved;
use crate::schema::Schema;
use crate::source::{Kind, Listing, Source};
use crate::splits::FieldCounts;
use crate::table::{Table, TableWriter};

/// What is to be audited, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Which field is what.
    pub fields: Fields,
    /// What near duplicates are; `None`: they are not looked for.
    pub near: Option<NearSettings>,
    /// Whether personal data and secrets are looked for.
    pub privacy: bool,
    /// Whether rules of quality are held against texts.
    pub quality: bool,
    /// Whether licences, notices and languages are looked for.
    pub rights: bool,
    /// The field with a record's label.
    pub label: Option<String>,
    /// Fields with the groups that a record belongs to.
    pub groups: Vec<String>,
    /// The field that says when a record was made.
    pub time: Option<String>,
    /// A tokenizer's file (`tokenizer.json` of Hugging Face), by which tokens are counted.
    pub tokenizer: Option<PathBuf>,
    /// By which model labels are held for wrong; `None`: a linear one of texts and fields, the nearest neighbours of images.
    pub label_model: Option<Model>,
    /// Memory for the sample and for what images show, in bytes: each takes up to a quarter of it.
    pub memory_bytes: usize,
    /// The longest record that is read, in bytes; longer ones are skipped and counted.
    pub record_bytes_max: usize,
    /// Where working files go, which have no name.
    pub folder: PathBuf,
    /// The folder with what former audits saw of each file: those that are as they were are not read again, and what is seen of the others is added.
    ///
    /// It has values of the fields and passages of the texts, as the data has.
    pub since: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            fields: Fields::default(),
            near: Some(NearSettings::default()),
            privacy: true,
            quality: true,
            rights: true,
            label: None,
            groups: Vec::new(),
            time: None,
            tokenizer: None,
            label_model: None,
            memory_bytes: 256 << 20,
            record_bytes_max: 64 << 20,
            folder: PathBuf::from("."),
            since: None,
        }
    }
}

impl Settings {
    /// Whether a sample of whole records is kept: where something is to be told of their fields.
    pub(crate) fn is_sampled(&self) -> bool {
        self.label.is_some() || !self.groups.is_empty()
    }

    /// The tokenizer, where one is named.
    pub(crate) fn open_tokenizer(&self) -> Result<Option<Tokenizer>, AuditError> {
        let open = |path: &PathBuf| {
            Tokenizer::from_file(path).map_err(|error| AuditError::Read {
                path: path.clone(),
                why: format!("no tokenizer: {error}"),
            })
        };
        self.tokenizer.as_ref().map(open).transpose()
    }

    /// A hash of all that what is seen of a file depends on.
    pub(crate) fn hash(&self, benchmarks: Option<&Benchmarks>) -> String {
        let Self {
            fields,
            near,
            privacy,
            quality,
            rights,
            label,
            groups,
            time,
            tokenizer,
            record_bytes_max,
            label_model: _,
            memory_bytes: _,
            folder: _,
            since: _,
        } = self;
        let near = near.map(|near| (near.threshold, near.shingle, near.missed, near.seed));
        let text = format!(
            "{} {fields:?} {near:?} {privacy} {quality} {rights} {label:?} {groups:?} {time:?} {:?} {record_bytes_max} {:?}",
            env!("CARGO_PKG_VERSION"),
            tokenizer
                .as_ref()
                .map(std::fs::read)
                .map(|read| read.map(|bytes| hex(&Sha256::digest(bytes))).ok()),
            benchmarks.map(|benchmarks| &benchmarks.sha256),
        );
        hex(&Sha256::digest(text.as_bytes()))
    }
}

/// How far an audit is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress {
    /// Bytes of files that were read, of all, as they lie there.
    Reading(u64, u64),
    /// Bands of signatures that were compared, of all.
    Comparing(usize, usize),
}

/// An item of a benchmark, and where the most of it was found: the surest, the largest, the first.
#[derive(Clone, Debug)]
pub struct ItemFound {
    /// The item.
    pub item: u32,
    /// How much of it.
    pub leak: Leak,
    /// Records in which it was found.
    pub n_records: u64,
    /// The place, as it is written.
    pub view: LeakView,
}

/// What an audit found.
#[derive(Debug)]
pub struct Audit {
    /// The files, in the order in which they were read.
    pub files: Vec<FileCount>,
    /// How many records they have; these come first in the table.
    pub n_records: u32,
    /// How many of them are rows of tables, which are compared by their cells.
    pub n_rows: u64,
    /// How many tokens their texts are, where a tokenizer was given.
    pub n_tokens: Option<u64>,
    /// Files of the same form that the data is compared with; their records come after those of the data.
    pub compared: Vec<FileCount>,
    /// The fields of each file, those of `compared` after the others.
    pub schemas: Vec<Schema>,
    /// Labels, groups and times, as far as they were asked for.
    pub counts: FieldCounts,
    /// A sample of the records, where labels or groups were asked for.
    pub sample: SampleTable,
    /// Licences, notices and languages, where they were looked for.
    pub origins: Option<Origins>,
    /// The images.
    pub pictures: Pictures,
    /// What a policy makes of each licence.
    pub(crate) decisions: Vec<Decision>,
    /// Files that were as a former audit had seen them.
    pub n_reused: usize,
    /// The files as they are read, those of `compared` after the others.
    pub(crate) sources: Vec<Source>,
    /// Files that no reader is known for, with their sizes.
    pub others: Vec<(PathBuf, u64)>,
    /// Every record.
    pub table: Table,
    /// Duplicates.
    pub near: Option<Found>,
    /// Items that are there, by number.
    pub items: Vec<ItemFound>,
    /// Records with an item that is leaked, in order.
    pub leaked: Vec<u32>,
    /// Items of which nothing was found but what 20 and more texts share.
    pub n_common_items: u64,
    /// Every place of every item, a line of JSON each.
    pub(crate) leaks: File,
    /// Personal data and secrets, where they were looked for.
    pub privacy: Option<PrivacyCount>,
    /// Every place of these, a line of JSON each.
    pub(crate) private: File,
    /// Texts that break rules, where they were held against them.
    pub quality: Option<QualityCount>,
}

impl Audit {
    /// Holds a policy against the licences, for copies.
    pub fn decide(&mut self, policy: &Policy) {
        if let Some(origins) = &self.origins {
            self.decisions = origins.decisions(policy);
        }
    }

    /// What the policy makes of a record; none before `decide`.
    pub(crate) fn decision(&self, record: u32) -> Option<Decision> {
        let licence = self.origins.as_ref()?.licence_of.get(record as usize)?;
        self.decisions.get(usize::from(*licence)).copied()
    }
}

/// How many texts break which rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QualityCount {
    /// Records that break any.
    pub n_records: u64,
    /// Bytes of their texts.
    pub n_bytes: u64,
    /// Of each rule, the records and the first of these.
    pub rules: BTreeMap<Rule, (u64, String)>,
}

/// How much personal data and how many secrets there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrivacyCount {
    /// Records with any.
    pub n_records: u64,
    /// Of each kind and form, the places and the records.
    pub forms: BTreeMap<(PrivateKind, Cow<'static, str>), (u64, u64)>,
}

/// The items of benchmarks, with what they are called.
#[derive(Debug)]
pub struct Benchmarks {
    /// The items.
    pub reference: Reference,
    /// Which record is which item.
    pub table: Table,
    /// The files.
    pub files: Vec<FileCount>,
    /// The hash of their content.
    pub(crate) sha256: String,
    pub(crate) sources: Vec<Source>,
}

/// An audit under way.
struct Auditing<'a> {
    settings: &'a Settings,
    wanted: Wanted,
    sources: &'a [Source],
    /// Files of the data; those after them are compared with it.
    n_files: usize,
    benchmarks: Option<&'a Benchmarks>,
    near: Option<Near>,
    tokenizer: Option<Tokenizer>,
    n_tokens: u64,
    table: TableWriter,
    n_records: u32,
    n_rows: u64,
    places: Places,
    privacy: PrivacyCount,
    private: BufWriter<File>,
    quality: QualityCount,
    schemas: Vec<Schema>,
    counts: FieldCounts,
    sample: Sampled,
    origins: Origins,
    pictures: Pictures,
}

impl Takes<Looked> for Auditing<'_> {
    fn look(&self, source: usize, chunk: &Chunk) -> Looked {
        let looker = Looker {
            settings: self.settings,
            wanted: &self.wanted,
            near: self.near.as_ref(),
            benchmarks: self.benchmarks,
            tokenizer: self.tokenizer.as_ref(),
        };
        looker.look(&self.sources[source], chunk, source >= self.n_files)
    }

    fn begin(&mut self, source: usize, of: &Source) {
        if source == self.n_files {
            self.n_records = self.table.len();
        }
        self.table.begin_file(&of.path);
        self.schemas.push(Schema::default());
    }

    fn take(&mut self, looked: Looked, file: &mut FileCount) -> std::io::Result<()> {
        let is_compared = self.schemas.len() > self.n_files;
        if let Some(near) = &mut self.near {
            near.take(&looked.sketches)?;
        }
        self.take_leaks(&looked, file)?;
        self.take_private(&looked, file)?;
        for (record, broken) in looked.records.iter().zip(&looked.broken) {
            if broken.is_none() {
                continue;
            }
            self.quality.n_records += 1;
            self.quality.n_bytes += record.n_bytes;
            for rule in Rule::ALL.into_iter().filter(|rule| broken.has(*rule)) {
                let of_rule = self.quality.rules.entry(rule);
                of_rule.or_insert_with(|| (0, name(file, record))).0 += 1;
            }
        }
        if let Some(schema) = self.schemas.last_mut() {
            schema.merge(&looked.schema);
        }
        if !is_compared {
            let n_bytes = looked.records.iter().map(|record| record.n_bytes);
            self.origins
                .take(&looked.origins, self.table.len(), n_bytes);
            self.n_rows += looked.n_rows;
            self.n_tokens += looked.n_tokens;
            self.sample.take(looked.sample, self.table.len());
        }
        if self.wanted.n_all > self.settings.fields.others.len() {
            for values in looked.values.chunks_exact(self.wanted.n_all) {
                let of = |at: Option<usize>| at.and_then(|at| values[at].as_deref());
                let groups = &values[self.wanted.groups..];
                let (label, time) = (of(self.wanted.label), of(self.wanted.time));
                self.counts.take(label, time, groups, is_compared);
            }
        }
        for (at, picture) in looked.pictures {
            self.pictures.take(self.table.len() + at, picture)?;
        }
        for record in looked.records {
            file.n_records += 1;
            file.n_text_bytes += record.n_bytes;
            self.table
                .push(record.line, record.n_bytes as usize, &record.id)?;
        }
        file.skip(looked.skipped);
        Ok(())
    }
}

impl Auditing<'_> {
    fn take_leaks(&mut self, looked: &Looked, file: &FileCount) -> std::io::Result<()> {
        self.places.see(&looked.sightings);
        for seen in &looked.leaks {
            let name = name(file, &looked.records[seen.at as usize]);
            let record = self.table.len() + seen.at;
            self.places.add(record, &name, &seen.leak, &seen.passage)?;
        }
        Ok(())
    }

    fn take_private(&mut self, looked: &Looked, file: &FileCount) -> std::io::Result<()> {
        for of_record in looked.private.chunk_by(|one, other| one.at == other.at) {
            self.privacy.n_records += 1;
            let record = name(file, &looked.records[of_record[0].at as usize]);
            let mut seen = Vec::new();
            for one in of_record {
                let form = (one.kind, one.form.clone());
                let (n_places, n_records) = self.privacy.forms.entry(form.clone()).or_default();
                *n_places += 1;
                if !seen.contains(&form) {
                    seen.push(form);
                    *n_records += 1;
                }
                let view = PrivateView {
                    record: &record,
                    kind: one.kind.name(),
                    form: &one.form,
                    start: one.place.0,
                    end: one.place.1,
                    masked: &one.shown,
                };
                serde_json::to_writer(&mut self.private, &view)?;
                self.private.write_all(b"\n")?;
            }
        }
        Ok(())
    }
}

/// What a record is called: its own id, or its file and line.
fn name(file: &FileCount, record: &RecordSeen) -> String {
    if record.id.is_empty() {
        format!("{}:{}", file.path.display(), record.line)
    } else {
        record.id.clone()
    }
}

fn whole(file: BufWriter<File>) -> std::io::Result<File> {
    file.into_inner()
        .map_err(std::io::IntoInnerError::into_error)
}

/// The files of some paths.
pub(crate) fn listed(paths: &[PathBuf]) -> Result<Listing, AuditError> {
    let mut all = Listing::default();
    for path in paths {
        let some = Source::at(path)?;
        all.sources.extend(some.sources);
        all.others.extend(some.others);
    }
    Ok(all)
}

fn nothing(paths: &[PathBuf]) -> AuditError {
    let names: Vec<String> = paths
        .iter()
        .map(|path| format!("`{}`", path.display()))
        .collect();
    AuditError::Nothing(names.join(", "))
}

/// The names of the fields of a file's first records; none where it has none.
fn field_names(source: &Source, settings: &Settings) -> BTreeSet<String> {
    let n_read = std::sync::atomic::AtomicU64::new(0);
    let mut names = BTreeSet::new();
    if matches!(source.kind, Kind::Text | Kind::Image | Kind::Idx) {
        return names;
    }
    let Ok(mut chunks) = Chunks::open(source, settings.record_bytes_max, &settings.folder, &n_read)
    else {
        return names;
    };
    while let Some((chunk, _)) = chunks.next() {
        if let Some(chunk) = chunk {
            chunk.each(&Fields::default(), |seen| {
                if let Ok((_, named)) = seen {
                    names.extend(named.iter().map(|(name, _)| name.clone().into_owned()));
                }
            });
            break;
        }
    }
    names
}

/// Of files that data is compared with, those that are of its form: with the same fields, but for ids.
fn of_the_same_form(data: &[Source], compared: Vec<Source>, settings: &Settings) -> Vec<Source> {
    let id = settings.fields.id.as_deref().unwrap_or("id");
    let names = |source: &Source| {
        let mut names = field_names(source, settings);
        names.remove(id);
        names
    };
    // Files of one folder have one form, mostly.
    let mut forms: BTreeSet<BTreeSet<String>> = BTreeSet::new();
    for source in data.iter().take(FORMS) {
        forms.insert(names(source));
    }
    compared
        .into_iter()
        .filter(|source| {
            if matches!(source.kind, Kind::Image | Kind::Idx) {
                return data
                    .iter()
                    .any(|data| matches!(data.kind, Kind::Image | Kind::Idx));
            }
            let names = names(source);
            !names.is_empty() && forms.contains(&names)
        })
        .collect()
}

/// A file of no known kind, with its size.
type Other = (PathBuf, u64);

/// The files of the data, those of the same form that it is compared with, how many of the first there are, and what no reader is known for.
pub(crate) fn all_sources(
    paths: &[PathBuf],
    benchmarks: Option<&Benchmarks>,
    settings: &Settings,
) -> Result<(Vec<Source>, usize, Vec<Other>), AuditError> {
    let Listing {
        mut sources,
        others,
    } = listed(paths)?;
    if sources.is_empty() {
        return Err(nothing(paths));
    }
    let n_files = sources.len();
    if let Some(benchmarks) = benchmarks {
        let compared = of_the_same_form(&sources, benchmarks.sources.clone(), settings);
        sources.extend(compared);
    }
    Ok((sources, n_files, others))
}

/// Files of the data whose fields are looked at for their form.
const FORMS: usize = 100;

/// Audits files and folders.
///
/// # Errors
///
/// When one is not there or of no known kind, a setting is out of its range, or the disk with the working files fails. What is wrong within the files is counted, and no error.
pub fn audit(
    paths: &[PathBuf],
    benchmarks: Option<&Benchmarks>,
    settings: &Settings,
    mut progress: impl FnMut(Progress),
) -> Result<Audit, AuditError> {
    let working = |source| AuditError::Working {
        folder: settings.folder.clone(),
        source,
    };
    let near = settings.near.map(|near| {
        Near::new(near, &settings.folder).map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidInput => AuditError::Setting(error.to_string()),
            _ => working(error),
        })
    });
    let near = near.transpose()?;
    let (all, n_files, others) = all_sources(paths, benchmarks, settings)?;
    let mut saved = settings
        .since
        .as_ref()
        .map(|folder| Saved::open(folder, &settings.hash(benchmarks)))
        .transpose()?;
    let mut auditing = Auditing {
        settings,
        wanted: Wanted::new(settings),
        sources: &all,
        n_files,
        benchmarks,
        near,
        tokenizer: settings.open_tokenizer()?,
        n_tokens: 0,
        table: TableWriter::new(&settings.folder).map_err(working)?,
        n_records: 0,
        n_rows: 0,
        places: Places::new(&settings.folder).map_err(working)?,
        privacy: PrivacyCount::default(),
        private: BufWriter::new(tempfile::tempfile_in(&settings.folder).map_err(working)?),
        quality: QualityCount::default(),
        schemas: Vec::new(),
        counts: FieldCounts::new(
            settings.label.as_ref(),
            settings.time.as_ref(),
            &settings.groups,
        ),
        sample: Sampled::new(settings.memory_bytes),
        origins: Origins::default(),
        pictures: Pictures::new(settings.memory_bytes / 4, &settings.folder),
    };
    let mut files = each_chunk(
        &all,
        settings.record_bytes_max,
        &settings.folder,
        saved.as_mut(),
        &mut progress,
        &mut auditing,
    )
    .map_err(working)?;
    let compared = files.split_off(n_files);
    if compared.is_empty() {
        auditing.n_records = auditing.table.len();
    }
    let mut near = auditing
        .near
        .map(|near| near.find(|done, of| progress(Progress::Comparing(done, of))))
        .transpose()
        .map_err(working)?;
    let mut pictures = auditing.pictures;
    if let Some(near) = &mut near {
        pictures.find(near).map_err(working)?;
    }
    let settled = match benchmarks {
        Some(benchmarks) => auditing
            .places
            .settle(&benchmarks.table, &settings.folder)
            .map_err(working)?,
        None => Settled {
            items: Vec::new(),
            leaked: Vec::new(),
            lines: tempfile::tempfile_in(&settings.folder).map_err(working)?,
            n_common: 0,
        },
    };
    Ok(Audit {
        files,
        n_records: auditing.n_records,
        n_rows: auditing.n_rows,
        n_tokens: settings.tokenizer.is_some().then_some(auditing.n_tokens),
        compared,
        schemas: auditing.schemas,
        counts: auditing.counts,
        sample: auditing.sample.table(),
        decisions: Vec::new(),
        pictures,
        origins: settings.rights.then_some(auditing.origins),
        n_reused: saved.map_or(0, |saved| saved.n_reused()),
        others,
        table: auditing.table.end().map_err(working)?,
        near,
        items: settled.items,
        leaked: settled.leaked,
        leaks: settled.lines,
        n_common_items: settled.n_common,
        privacy: settings.privacy.then_some(auditing.privacy),
        private: whole(auditing.private).map_err(working)?,
        quality: settings.quality.then_some(auditing.quality),
        sources: all,
    })
}

/// Fields that hold what is asked, the first that a record has.
pub const QUESTIONS: [&str; 6] = [
    "question",
    "prompt",
    "problem",
    "query",
    "instruction",
    "input",
];

/// Reads the items of benchmarks.
///
/// # Errors
///
/// As `audit`.
pub fn benchmarks(
    paths: &[PathBuf],
    settings: &Settings,
    mut progress: impl FnMut(Progress),
) -> Result<Benchmarks, AuditError> {
    let sources = listed(paths)?.sources;
    if sources.is_empty() {
        return Err(nothing(paths));
    }
    let working = |source| AuditError::Working {
        folder: settings.folder.clone(),
        source,
    };
    let mut collecting = Collecting {
        fields: Fields {
            text: Vec::new(),
            others: QUESTIONS.map(str::to_owned).to_vec(),
            groups: Vec::new(),
            ..settings.fields.clone()
        },
        items: Items::default(),
        table: TableWriter::new(&settings.folder).map_err(working)?,
    };
    let files = each_chunk(
        &sources,
        settings.record_bytes_max,
        &settings.folder,
        None,
        &mut progress,
        &mut collecting,
    )
    .map_err(working)?;
    Ok(Benchmarks {
        reference: collecting.items.ready(),
        table: collecting.table.end().map_err(working)?,
        files,
        sha256: content(paths)?.sha256,
        sources,
    })
}

/// Benchmarks under way.
struct Collecting {
    fields: Fields,
    items: Items,
    table: TableWriter,
}

/// Of each item: line, own id, what is asked, and the rest.
type Asked = (Vec<(u64, String, String, String)>, Vec<Skipped>);

impl Takes<Asked> for Collecting {
    fn look(&self, _: usize, chunk: &Chunk) -> Asked {
        let mut asked = Asked::default();
        let mut row = Vec::new();
        chunk.each(&self.fields, |seen| match seen {
            // Rows of tables and images are compared with such, and have no words that could be found elsewhere.
            Ok(_) if matches!(chunk, Chunk::Image(_) | Chunk::Pixels { .. }) => {}
            Ok((_, named)) if cells(&self.fields, named, &mut row) => {}
            Ok((record, _)) => {
                let id = record.id.as_deref().unwrap_or_default().to_owned();
                let question = record.others.iter().flatten().next();
                let (question, rest) = match question {
                    Some(question) => (question.to_string(), record.text.into_owned()),
                    None => (record.text.into_owned(), String::new()),
                };
                asked.0.push((record.line, id, question, rest));
            }
            Err(skipped) => asked.1.push(skipped),
        });
        asked
    }

    fn begin(&mut self, _: usize, of: &Source) {
        self.table.begin_file(&of.path);
    }

    fn take(&mut self, (items, skipped): Asked, file: &mut FileCount) -> std::io::Result<()> {
        for (line, id, question, rest) in items {
            self.items.add(&question, &rest);
            file.n_records += 1;
            file.n_text_bytes += (question.len() + rest.len()) as u64;
            self.table.push(line, question.len(), &id)?;
        }
        file.skip(skipped);
        Ok(())
    }
}
