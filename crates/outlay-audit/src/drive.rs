//! Going through all files: one thread reads ahead, all processors look, and what they saw is taken in order.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::audit::Progress;
use crate::chunks::{Chunk, Chunks, Skipped};
use crate::saved::{Parts, Saved, packed, unpacked};
use crate::source::Source;

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

    pub(crate) fn skip(&mut self, skipped: Vec<Skipped>) {
        self.n_skipped += skipped.len() as u64;
        self.n_skipped_bytes += skipped.iter().map(|one| one.n_bytes).sum::<u64>();
        let room = LISTED.saturating_sub(self.skipped.len());
        self.skipped.extend(skipped.into_iter().take(room));
    }
}

/// What goes through chunks.
pub(crate) trait Takes<T>: Sync {
    /// Looks at a chunk of a source, by the source's number.
    fn look(&self, source: usize, chunk: &Chunk) -> T;

    /// Hears that a file begins.
    fn begin(&mut self, source: usize, of: &Source);

    /// Takes what was seen of a chunk, in the order of the chunks.
    fn take(&mut self, looked: T, file: &mut FileCount) -> std::io::Result<()>;
}

/// What the reader tells.
enum Event {
    /// A file begins; whether what is seen of it is to be saved.
    File { is_new: bool },
    /// Some of the records of a source.
    Chunk(usize, Chunk),
    /// What of it is no record.
    Skipped(Vec<Skipped>),
    /// A part of what was seen before.
    Known(Vec<u8>),
}

/// What is seen of a part of a file.
#[derive(Serialize, Deserialize)]
pub(crate) enum Part<T> {
    Skipped(Vec<Skipped>),
    Looked(T),
}

/// Chunks that are read ahead.
const AHEAD: usize = 4;

/// Who hears of nothing more has gone, with an error of its own.
struct Gone;

/// Reads sources one after another, and hands over what they hold, in their order.
fn read(
    sources: &[Source],
    known: &[Option<Parts>],
    n_most: usize,
    folder: &Path,
    n_read: &AtomicU64,
    tell: &mpsc::SyncSender<Event>,
) -> Result<(), Gone> {
    let tell = |event| tell.send(event).map_err(|_| Gone);
    for (at, source) in sources.iter().enumerate() {
        if let Some(Some(parts)) = known.get(at) {
            tell(Event::File { is_new: false })?;
            let mut is_gone = false;
            let told = parts.each(|part| {
                is_gone = tell(Event::Known(part)).is_err();
                if is_gone {
                    return Err(std::io::ErrorKind::BrokenPipe.into());
                }
                Ok(())
            });
            if is_gone {
                return Err(Gone);
            }
            if told.is_err() {
                // It is said by who cannot unpack it.
                tell(Event::Known(Vec::new()))?;
            }
            n_read.fetch_add(source.n_bytes, Ordering::Relaxed);
            continue;
        }
        let mut chunks = match Chunks::open(source, n_most, folder, n_read) {
            Ok(chunks) => chunks,
            Err(error) => {
                // Another time it may open.
                tell(Event::File { is_new: false })?;
                tell(Event::Skipped(vec![Skipped {
                    line: 0,
                    n_bytes: source.n_bytes,
                    why: error.to_string(),
                }]))?;
                continue;
            }
        };
        tell(Event::File { is_new: true })?;
        while let Some((chunk, skipped)) = chunks.next() {
            if !skipped.is_empty() {
                tell(Event::Skipped(skipped))?;
            }
            if let Some(chunk) = chunk {
                tell(Event::Chunk(at, chunk))?;
            }
        }
    }
    Ok(())
}

/// Goes through all files: `look` sees the chunks on all processors, `take` what it gave of each, in their order.
///
/// With `saved` the files that are known are not read, and what is seen of the others is added to it.
pub(crate) fn each_chunk<T: Send + Serialize + DeserializeOwned>(
    sources: &[Source],
    n_most: usize,
    folder: &Path,
    mut saved: Option<&mut Saved>,
    progress: &mut impl FnMut(Progress),
    state: &mut impl Takes<T>,
) -> Result<Vec<FileCount>, std::io::Error> {
    let n_all = sources.iter().map(|source| source.n_bytes).sum();
    let n_read = AtomicU64::new(0);
    let mut files: Vec<FileCount> = Vec::new();
    let known: Vec<Option<Parts>> = match &mut saved {
        Some(saved) => sources.iter().map(|source| saved.parts(source)).collect(),
        None => Vec::new(),
    };
    std::thread::scope(|scope| {
        let (tell, told) = mpsc::sync_channel(AHEAD);
        let (n_read, known) = (&n_read, &known);
        scope.spawn(move || {
            let _ = read(sources, known, n_most, folder, n_read, &tell);
        });
        let n_together = rayon::current_num_threads().max(1);
        let is_saved = saved.is_some();
        while let Ok(first) = told.recv() {
            let mut events = vec![first];
            while events.len() < 2 * n_together {
                match told.try_recv() {
                    Ok(event) => events.push(event),
                    Err(_) => break,
                }
            }
            let seen: Vec<Option<(Part<T>, Vec<u8>)>> = events
                .par_iter_mut()
                .map(|event| {
                    let part = match event {
                        Event::File { .. } => return Ok(None),
                        Event::Known(part) => return Ok(Some((unpacked(part)?, Vec::new()))),
                        Event::Skipped(skipped) => Part::Skipped(std::mem::take(skipped)),
                        Event::Chunk(source, chunk) => Part::Looked(state.look(*source, chunk)),
                    };
                    let packed = if is_saved { packed(&part)? } else { Vec::new() };
                    Ok(Some((part, packed)))
                })
                .collect::<std::io::Result<_>>()?;
            for (event, seen) in events.into_iter().zip(seen) {
                if let Event::File { is_new } = event {
                    let source = &sources[files.len()];
                    state.begin(files.len(), source);
                    files.push(FileCount::new(source));
                    if let Some(saved) = &mut saved {
                        saved.end()?;
                        if is_new {
                            saved.begin(source)?;
                        }
                    }
                }
                let (Some((part, packed)), Some(file)) = (seen, files.last_mut()) else {
                    continue;
                };
                match part {
                    Part::Skipped(skipped) => file.skip(skipped),
                    Part::Looked(looked) => state.take(looked, file)?,
                }
                if let Some(saved) = saved.as_mut().filter(|_| !packed.is_empty()) {
                    saved.add(&packed)?;
                }
            }
            progress(Progress::Reading(n_read.load(Ordering::Relaxed), n_all));
        }
        if let Some(saved) = &mut saved {
            saved.end()?;
            saved.sync()?;
        }
        Ok(files)
    })
}
