//! The audit: every file is read once, every record looked at by all that was asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use rayon::prelude::*;

use crate::chunks::{Chunk, Chunks, Skipped};
use crate::error::AuditError;
use crate::leaks::{Finder, Grade, Items, Leak, Reference};
use crate::near::{Found, Near, NearSettings, Sketches};
use crate::privacy::{Private, PrivateKind, masked, private, redacted};
use crate::quality::{Broken, Judge, Rule};
use crate::record::Fields;
use crate::report::{LeakView, PrivateView};
use crate::source::{Listing, Source};
use crate::table::{Table, TableWriter};

/// What is to be audited, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which field is what.
    pub fields: Fields,
    /// What near duplicates are; `None`: they are not looked for.
    pub near: Option<NearSettings>,
    /// Whether personal data and secrets are looked for.
    pub privacy: bool,
    /// Whether rules of quality are held against texts.
    pub quality: bool,
    /// The longest record that is read, in bytes; longer ones are skipped and counted.
    pub record_bytes_max: usize,
    /// Where working files go, which have no name.
    pub folder: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            fields: Fields::default(),
            near: Some(NearSettings::default()),
            privacy: true,
            quality: true,
            record_bytes_max: 64 << 20,
            folder: PathBuf::from("."),
        }
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

/// One file of the audit.
#[derive(Clone, Debug)]
pub struct FileCount {
    /// Where it is.
    pub path: PathBuf,
    /// Records that were read.
    pub n_records: u64,
    /// Bytes of their texts.
    pub n_text_bytes: u64,
    /// What was skipped: the first of these, and all in number and bytes.
    pub skipped: Vec<Skipped>,
    /// How many records were skipped.
    pub n_skipped: u64,
    /// And their bytes.
    pub n_skipped_bytes: u64,
}

/// Skipped records that are listed for a file.
const LISTED: usize = 20;

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
    /// Every place of every item, a line of JSON each.
    pub(crate) leaks: File,
    /// Personal data and secrets, where they were looked for.
    pub privacy: Option<PrivacyCount>,
    /// Every place of these, a line of JSON each.
    pub(crate) private: File,
    /// Texts that break rules, where they were held against them.
    pub quality: Option<QualityCount>,
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
    pub forms: BTreeMap<(PrivateKind, &'static str), (u64, u64)>,
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
}

/// What the reader tells.
enum Event {
    /// A file begins.
    File,
    /// Some of its records.
    Chunk(Chunk),
    /// What of it is no record.
    Skipped(Vec<Skipped>),
}

/// Chunks that are read ahead.
const AHEAD: usize = 4;

/// What one chunk gave.
#[derive(Default)]
struct Looked {
    sketches: Sketches,
    /// Of each record: line, bytes of its text, own id.
    records: Vec<(u64, usize, String)>,
    /// The record within the chunk, what was found, and the passage.
    leaks: Vec<(u32, Leak, String)>,
    /// The record within the chunk, and what is private in it, with where in characters and what may be shown.
    private: Vec<(u32, Private, (usize, usize), String)>,
    /// Of each record, the rules that it breaks.
    broken: Vec<Broken>,
    skipped: Vec<Skipped>,
}

/// Looks at every record of a chunk.
fn look(
    chunk: &Chunk,
    settings: &Settings,
    near: Option<&Near>,
    benchmarks: Option<&Benchmarks>,
) -> Looked {
    let mut looked = Looked::default();
    let mut sketcher = near.map(Near::sketcher);
    let mut finder = Finder::default();
    let mut judge = Judge::default();
    chunk.each(&settings.fields, |record| {
        let record = match record {
            Ok(record) => record,
            Err(skipped) => {
                looked.skipped.push(skipped);
                return;
            }
        };
        if let Some(sketcher) = &mut sketcher {
            sketcher.add(&record.text, &mut looked.sketches);
        }
        if let Some(benchmarks) = benchmarks {
            let at = looked.records.len() as u32;
            benchmarks
                .reference
                .find(&record.text, &mut finder, |leak| {
                    let passage = passage(&record.text, &leak);
                    looked.leaks.push((at, leak, passage));
                });
        }
        if settings.quality {
            looked.broken.push(judge.judge(&record.text));
        }
        if settings.privacy {
            let at = looked.records.len() as u32;
            let (mut byte, mut character) = (0, 0);
            for one in private(&record.text) {
                character += record.text[byte..one.place.start].chars().count();
                let begin = character;
                character += record.text[one.place.clone()].chars().count();
                byte = one.place.end;
                let shown = masked(&one, &record.text);
                looked.private.push((at, one, (begin, character), shown));
            }
        }
        let id = record.id.as_deref().unwrap_or_default().to_owned();
        looked.records.push((record.line, record.text.len(), id));
    });
    looked
}

/// Bytes of a passage that are shown.
const PASSAGE: usize = 300;

/// A passage as it may be shown: what is private in it is not.
fn passage(text: &str, leak: &Leak) -> String {
    let whole = redacted(text.get(leak.place.clone()).unwrap_or_default());
    if whole.len() <= PASSAGE {
        return whole;
    }
    format!("{}…", &whole[..whole.floor_char_boundary(PASSAGE)])
}

/// Reads sources one after another, and hands over what they hold, in their order.
fn read(
    sources: &[Source],
    n_most: usize,
    n_read: &AtomicU64,
    mut tell: impl FnMut(Event) -> Result<(), mpsc::SendError<Event>>,
) -> Result<(), mpsc::SendError<Event>> {
    for source in sources {
        tell(Event::File)?;
        let mut chunks = match Chunks::open(source, n_most, n_read) {
            Ok(chunks) => chunks,
            Err(error) => {
                tell(Event::Skipped(vec![Skipped {
                    line: 0,
                    n_bytes: source.n_bytes,
                    why: error.to_string(),
                }]))?;
                continue;
            }
        };
        while let Some((chunk, skipped)) = chunks.next() {
            if !skipped.is_empty() {
                tell(Event::Skipped(skipped))?;
            }
            if let Some(chunk) = chunk {
                tell(Event::Chunk(chunk))?;
            }
        }
    }
    Ok(())
}

/// Goes through all files: `look` sees the chunks on all processors, `take` what it gave of each, in their order.
fn each_chunk<T: Send>(
    sources: &[Source],
    n_most: usize,
    progress: &mut impl FnMut(Progress),
    state: &mut impl Takes<T>,
) -> Result<Vec<FileCount>, std::io::Error> {
    let n_all = sources.iter().map(|source| source.n_bytes).sum();
    let n_read = AtomicU64::new(0);
    let mut files: Vec<FileCount> = Vec::new();
    std::thread::scope(|scope| {
        let (tell, told) = mpsc::sync_channel(AHEAD);
        let n_read = &n_read;
        // Who hears of nothing more has gone, with an error of its own.
        scope.spawn(move || {
            read(sources, n_most, n_read, |event| tell.send(event)).unwrap_or_default();
        });
        let n_together = rayon::current_num_threads().max(1);
        while let Ok(first) = told.recv() {
            let mut events = vec![first];
            while events.len() < 2 * n_together {
                match told.try_recv() {
                    Ok(event) => events.push(event),
                    Err(_) => break,
                }
            }
            let looked: Vec<Option<T>> = events
                .par_iter()
                .map(|event| match event {
                    Event::Chunk(chunk) => Some(state.look(chunk)),
                    _ => None,
                })
                .collect();
            for (event, looked) in events.into_iter().zip(looked) {
                match (event, looked, files.last_mut()) {
                    (Event::File, ..) => {
                        let source = &sources[files.len()];
                        files.push(FileCount::new(source));
                        state.begin(source);
                    }
                    (Event::Skipped(skipped), _, Some(file)) => file.skip(skipped),
                    (Event::Chunk(_), Some(looked), Some(file)) => state.take(looked, file)?,
                    _ => {}
                }
            }
            progress(Progress::Reading(n_read.load(Ordering::Relaxed), n_all));
        }
        Ok(files)
    })
}

/// What goes through chunks.
trait Takes<T>: Sync {
    fn look(&self, chunk: &Chunk) -> T;
    fn begin(&mut self, source: &Source);
    fn take(&mut self, looked: T, file: &mut FileCount) -> std::io::Result<()>;
}

/// An audit under way.
struct Auditing<'a> {
    settings: &'a Settings,
    benchmarks: Option<&'a Benchmarks>,
    near: Option<Near>,
    table: TableWriter,
    items: BTreeMap<u32, ItemFound>,
    leaked: Vec<u32>,
    leaks: BufWriter<File>,
    privacy: PrivacyCount,
    private: BufWriter<File>,
    quality: QualityCount,
}

impl Takes<Looked> for Auditing<'_> {
    fn look(&self, chunk: &Chunk) -> Looked {
        look(chunk, self.settings, self.near.as_ref(), self.benchmarks)
    }

    fn begin(&mut self, source: &Source) {
        self.table.begin_file(&source.path);
    }

    fn take(&mut self, looked: Looked, file: &mut FileCount) -> std::io::Result<()> {
        if let Some(near) = &mut self.near {
            near.take(&looked.sketches)?;
        }
        if let Some(benchmarks) = self.benchmarks {
            for (at, leak, passage) in looked.leaks {
                let record = name(file, &looked.records[at as usize]);
                if leak.grade == Grade::Leaked {
                    self.leaked.push(self.table.len() + at);
                }
                let view = LeakView::new(benchmarks.table.name(leak.item)?, record, &leak, passage);
                serde_json::to_writer(&mut self.leaks, &view)?;
                self.leaks.write_all(b"\n")?;
                let item = leak.item;
                let there = self.items.get_mut(&item);
                let n_records = there.as_ref().map_or(0, |there| there.n_records) + 1;
                match there {
                    Some(there) if !leak.is_more_than(&there.leak) => there.n_records = n_records,
                    _ => {
                        let found = ItemFound {
                            item,
                            leak,
                            n_records,
                            view,
                        };
                        self.items.insert(item, found);
                    }
                }
            }
        }
        for of_record in looked.private.chunk_by(|one, other| one.0 == other.0) {
            self.privacy.n_records += 1;
            let record = name(file, &looked.records[of_record[0].0 as usize]);
            let mut seen = Vec::new();
            for (_, private, (start, end), masked) in of_record {
                let form = (private.kind, private.form);
                let (n_places, n_records) = self.privacy.forms.entry(form).or_default();
                *n_places += 1;
                if !seen.contains(&form) {
                    seen.push(form);
                    *n_records += 1;
                }
                let view = PrivateView {
                    record: &record,
                    kind: private.kind.name(),
                    form: private.form,
                    start: *start,
                    end: *end,
                    masked,
                };
                serde_json::to_writer(&mut self.private, &view)?;
                self.private.write_all(b"\n")?;
            }
        }
        for (record, broken) in looked.records.iter().zip(&looked.broken) {
            if broken.is_none() {
                continue;
            }
            self.quality.n_records += 1;
            self.quality.n_bytes += record.1 as u64;
            for rule in Rule::ALL.into_iter().filter(|rule| broken.has(*rule)) {
                let of_rule = self.quality.rules.entry(rule);
                of_rule.or_insert_with(|| (0, name(file, record))).0 += 1;
            }
        }
        for (line, n_bytes, id) in looked.records {
            file.n_records += 1;
            file.n_text_bytes += n_bytes as u64;
            self.table.push(line, n_bytes, &id)?;
        }
        file.skip(looked.skipped);
        Ok(())
    }
}

/// What a record is called: its own id, or its file and line.
fn name(file: &FileCount, (line, _, id): &(u64, usize, String)) -> String {
    if id.is_empty() {
        format!("{}:{line}", file.path.display())
    } else {
        id.clone()
    }
}

impl FileCount {
    fn new(source: &Source) -> Self {
        Self {
            path: source.path.clone(),
            n_records: 0,
            n_text_bytes: 0,
            skipped: Vec::new(),
            n_skipped: 0,
            n_skipped_bytes: 0,
        }
    }

    fn skip(&mut self, skipped: Vec<Skipped>) {
        self.n_skipped += skipped.len() as u64;
        self.n_skipped_bytes += skipped.iter().map(|one| one.n_bytes).sum::<u64>();
        let room = LISTED.saturating_sub(self.skipped.len());
        self.skipped.extend(skipped.into_iter().take(room));
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
    let Listing { sources, others } = listed(paths)?;
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
    if sources.is_empty() {
        return Err(nothing(paths));
    }
    let mut auditing = Auditing {
        settings,
        benchmarks,
        near,
        table: TableWriter::new(&settings.folder).map_err(working)?,
        items: BTreeMap::new(),
        leaked: Vec::new(),
        leaks: BufWriter::new(tempfile::tempfile_in(&settings.folder).map_err(working)?),
        privacy: PrivacyCount::default(),
        private: BufWriter::new(tempfile::tempfile_in(&settings.folder).map_err(working)?),
        quality: QualityCount::default(),
    };
    let files = each_chunk(
        &sources,
        settings.record_bytes_max,
        &mut progress,
        &mut auditing,
    )
    .map_err(working)?;
    let near = auditing
        .near
        .map(|near| near.find(|done, of| progress(Progress::Comparing(done, of))))
        .transpose()
        .map_err(working)?;
    Ok(Audit {
        files,
        others,
        table: auditing.table.end().map_err(working)?,
        near,
        items: auditing.items.into_values().collect(),
        leaked: {
            auditing.leaked.dedup();
            auditing.leaked
        },
        leaks: whole(auditing.leaks).map_err(working)?,
        privacy: settings.privacy.then_some(auditing.privacy),
        private: whole(auditing.private).map_err(working)?,
        quality: settings.quality.then_some(auditing.quality),
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
            ..settings.fields.clone()
        },
        items: Items::default(),
        table: TableWriter::new(&settings.folder).map_err(working)?,
    };
    let files = each_chunk(
        &sources,
        settings.record_bytes_max,
        &mut progress,
        &mut collecting,
    )
    .map_err(working)?;
    Ok(Benchmarks {
        reference: collecting.items.ready(),
        table: collecting.table.end().map_err(working)?,
        files,
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
    fn look(&self, chunk: &Chunk) -> Asked {
        let mut asked = Asked::default();
        chunk.each(&self.fields, |record| match record {
            Ok(record) => {
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

    fn begin(&mut self, source: &Source) {
        self.table.begin_file(&source.path);
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
