//! Places of benchmark items, on which the last word is said when all texts have been read.
//!
//! What many different texts share says nothing of an item that has it too: a licence, a preamble, a well-known passage. How many
//! do is known at the end alone, so places wait in a working file until then.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::audit::ItemFound;
use crate::leaks::{Grade, Leak};
use crate::report::LeakView;
use crate::table::Table;

/// Different texts from which on a run of words is common.
pub const COMMON: usize = 20;

/// Share of an item's weight that is all of it, give or take a word: an item that is there whole is there, however often.
const WHOLE: f32 = 0.9;

/// Share of the runs found of an item that are rare, below which it is judged by what is common.
const RARE: f32 = 0.5;

/// A run of words of the benchmarks in a text: the run's number, and a fingerprint of the whole text, so that copies of one text count once.
pub(crate) type Sighting = (u32, u16);

/// A place of an item.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    record: u32,
    /// What the record is called.
    name: String,
    leak: Leak,
    passage: String,
}

/// In how many different texts a run was seen: the fingerprints of the first so many.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    n: u8,
    texts: [u16; COMMON],
}

/// Places under way.
#[derive(Debug)]
pub(crate) struct Places {
    file: BufWriter<File>,
    seen: HashMap<u32, Seen>,
}

/// What is said of them in the end.
#[derive(Debug)]
pub(crate) struct Settled {
    /// Items that are there, by number.
    pub items: Vec<ItemFound>,
    /// Records with an item that is leaked, in order.
    pub leaked: Vec<u32>,
    /// Every place, a line of JSON each.
    pub lines: File,
    /// Items of which nothing was found but what many texts share.
    pub n_common: u64,
}

impl Places {
    pub fn new(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            file: BufWriter::new(tempfile::tempfile_in(folder)?),
            seen: HashMap::new(),
        })
    }

    /// Takes the runs of words that texts share with the benchmarks.
    pub fn see(&mut self, sightings: &[Sighting]) {
        for (run, text) in sightings {
            let seen = self.seen.entry(*run).or_default();
            let n = usize::from(seen.n);
            if n < COMMON && !seen.texts[..n].contains(text) {
                seen.texts[n] = *text;
                seen.n += 1;
            }
        }
    }

    /// Takes a place of an item.
    pub fn add(&mut self, record: u32, name: &str, leak: &Leak, passage: &str) -> io::Result<()> {
        let place = Place {
            record,
            name: name.to_owned(),
            leak: leak.clone(),
            passage: passage.to_owned(),
        };
        let bytes = postcard::to_stdvec(&place).map_err(io::Error::other)?;
        self.file.write_all(&(bytes.len() as u32).to_le_bytes())?;
        self.file.write_all(&bytes)
    }

    /// Says the last word: what of an item was found by runs that many texts share is suspect where it was leaked, and nothing
    /// where it was suspect, but for items that are in some text as a whole.
    pub fn settle(self, table: &Table, folder: &Path) -> io::Result<Settled> {
        let mut file = self
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        let is_whole = |leak: &Leak| leak.share >= WHOLE || leak.is_answered;
        let mut whole = HashMap::new();
        each(&mut file, |place| {
            *whole.entry(place.leak.item).or_insert(false) |= is_whole(&place.leak);
            Ok(())
        })?;
        let is_common = |leak: &Leak| {
            let rare = leak.runs.iter().filter(|run| {
                let n = self.seen.get(run).map_or(0, |seen| seen.n);
                usize::from(n) < COMMON
            });
            !whole.get(&leak.item).is_some_and(|is_whole| *is_whole)
                && (rare.count() as f32) < RARE * leak.runs.len() as f32
        };
        let mut lines = BufWriter::new(tempfile::tempfile_in(folder)?);
        let mut items: BTreeMap<u32, ItemFound> = BTreeMap::new();
        let mut leaked = Vec::new();
        each(&mut file, |place| {
            let Place {
                record,
                name,
                mut leak,
                passage,
            } = place;
            if is_common(&leak) {
                leak.grade = match leak.grade {
                    Grade::Leaked => Grade::Suspect,
                    Grade::Suspect | Grade::Clean => return Ok(()),
                };
            }
            if leak.grade == Grade::Leaked {
                leaked.push(record);
            }
            let view = LeakView::new(table.name(leak.item)?, name, &leak, passage);
            serde_json::to_writer(&mut lines, &view)?;
            lines.write_all(b"\n")?;
            let there = items.get_mut(&leak.item);
            let n_records = there.as_ref().map_or(0, |there| there.n_records) + 1;
            match there {
                Some(there) if !leak.is_more_than(&there.leak) => there.n_records = n_records,
                _ => {
                    let found = ItemFound {
                        item: leak.item,
                        leak,
                        n_records,
                        view,
                    };
                    items.insert(found.item, found);
                }
            }
            Ok(())
        })?;
        leaked.dedup();
        Ok(Settled {
            n_common: (whole.len() - items.len()) as u64,
            items: items.into_values().collect(),
            leaked,
            lines: lines.into_inner().map_err(io::IntoInnerError::into_error)?,
        })
    }
}

/// Reads all places, in their order.
fn each(file: &mut File, mut with: impl FnMut(Place) -> io::Result<()>) -> io::Result<()> {
    let n_bytes = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut from = BufReader::new(file);
    let (mut at, mut bytes) = (0, Vec::new());
    while at < n_bytes {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        bytes.resize(length as usize, 0);
        from.read_exact(&mut bytes)?;
        with(postcard::from_bytes(&bytes).map_err(io::Error::other)?)?;
        at += 4 + u64::from(length);
    }
    Ok(())
}
