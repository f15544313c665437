//! What former audits saw of each file, so that a file that is as it was is not read again: after a kill, and when files were added.
//!
//! It is one file to which is only added: for each file of the data where it lies, how large it is and when it was written, then what
//! was seen of it, part by part, then that this is all. What breaks off before that is void.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::AuditError;
use crate::remote::is_remote;
use crate::source::Source;

/// What the file begins with; its last sign counts its forms.
const MAGIC: &[u8; 8] = b"outlay-2";

/// The name of the file within its folder.
const NAME: &str = "seen.outlay";

const BEGIN: u8 = 1;
const PART: u8 = 2;
const END: u8 = 3;

/// The longest part that is believed in, in bytes.
const PART_BYTES: u32 = 1 << 30;

/// Bytes of void parts beyond which the file is written anew, where they are more than half of it.
const VOID: u64 = 64 << 20;

/// A file of the data, as it was when it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Known {
    /// Hash of the settings with which it was looked at.
    settings: String,
    path: PathBuf,
    n_bytes: u64,
    modified_ns: u64,
}

/// Where the parts of a file lie.
#[derive(Clone, Copy, Debug)]
struct Place {
    begin: u64,
    end: u64,
}

/// What former audits saw, in a folder that nobody else uses meanwhile.
#[derive(Debug)]
pub struct Saved {
    path: PathBuf,
    settings: String,
    file: Arc<File>,
    known: HashMap<Known, Place>,
    out: BufWriter<File>,
    /// The file that is being added.
    adding: Option<(Known, u64)>,
    at: u64,
    n_reused: usize,
}

/// What was seen of one file, part by part.
#[derive(Debug)]
pub(crate) struct Parts {
    file: Arc<File>,
    place: Place,
}

impl Saved {
    /// Opens the folder, or makes it; `settings` are everything that what is seen depends on beside the files.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or written, is used by another audit, or holds something else.
    pub fn open(folder: &Path, settings: &str) -> Result<Self, AuditError> {
        let path = folder.join(NAME);
        let fault = |source: io::Error| AuditError::Working {
            folder: folder.to_owned(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(fault)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(fault)?;
        file.try_lock().map_err(|_| {
            fault(io::Error::other(format!(
                "another audit uses `{}`; allowed: one at a time",
                path.display()
            )))
        })?;
        let (mut known, end) = read(&file, &path).map_err(fault)?;
        let n_live: u64 = known.values().map(|place| place.end - place.begin).sum();
        let mut end = end;
        if end.saturating_sub(n_live) > VOID.max(n_live) {
            (file, known, end) = compacted(&file, &known, folder, &path).map_err(fault)?;
        }
        if end == 0 {
            file.set_len(0).map_err(fault)?;
            file.write_all_at(MAGIC, 0).map_err(fault)?;
            end = MAGIC.len() as u64;
        } else {
            // What broke off.
            file.set_len(end).map_err(fault)?;
        }
        let mut out = file.try_clone().map_err(fault)?;
        out.seek(SeekFrom::Start(end)).map_err(fault)?;
        Ok(Self {
            path,
            settings: settings.to_owned(),
            file: Arc::new(file),
            known,
            out: BufWriter::with_capacity(1 << 18, out),
            adding: None,
            at: end,
            n_reused: 0,
        })
    }

    /// Files that were as they had been, of the last audit with it.
    #[must_use]
    pub fn n_reused(&self) -> usize {
        self.n_reused
    }

    /// What was seen of a file, if that is as it was.
    pub(crate) fn parts(&mut self, source: &Source) -> Option<Parts> {
        let place = *self.known.get(&key(source, &self.settings))?;
        self.n_reused += 1;
        Some(Parts {
            file: self.file.clone(),
            place,
        })
    }

    /// Whether a file is known as it is.
    pub(crate) fn knows(&self, source: &Source) -> bool {
        self.known.contains_key(&key(source, &self.settings))
    }

    /// Adds what was seen of a file elsewhere, as `Worker::see` gave it.
    ///
    /// # Errors
    ///
    /// When it is nothing of the kind, or the disk is full.
    pub fn bring(&mut self, segment: &[u8]) -> io::Result<()> {
        let damaged = || io::Error::other("what was seen elsewhere is damaged");
        let n_head = segment
            .get(1..5)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u32::from_le_bytes) as usize;
        let head = segment.get(5..5 + n_head).ok_or_else(damaged)?;
        if segment[0] != BEGIN || !segment.ends_with(&[END, 0, 0, 0, 0]) {
            return Err(damaged());
        }
        let known: Known = serde_json::from_slice(head).map_err(|_| damaged())?;
        let begin = self.at;
        self.out.write_all(segment)?;
        self.out.flush()?;
        self.at += segment.len() as u64;
        let end = self.at;
        self.known.insert(known, Place { begin, end });
        Ok(())
    }

    /// Begins to take what is seen of a file.
    pub(crate) fn begin(&mut self, source: &Source) -> io::Result<()> {
        let known = key(source, &self.settings);
        let begin = self.at;
        self.write(BEGIN, &serde_json::to_vec(&known)?)?;
        self.adding = Some((known, begin));
        Ok(())
    }

    /// Takes a part, as `packed` made it.
    pub(crate) fn add(&mut self, part: &[u8]) -> io::Result<()> {
        if self.adding.is_none() {
            return Ok(());
        }
        self.write(PART, part)
    }

    /// Says that this is all; it will be there from now on.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        if let Some((known, begin)) = self.adding.take() {
            self.write(END, &[])?;
            self.out.flush()?;
            let end = self.at;
            self.known.insert(known, Place { begin, end });
        }
        Ok(())
    }

    /// Writes to the disk what is not there yet.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.file.sync_data()
    }

    fn write(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(&head(kind, bytes)?)?;
        self.out.write_all(bytes)?;
        self.at += 5 + bytes.len() as u64;
        Ok(())
    }

    /// The folder's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn key(source: &Source, settings: &str) -> Known {
    Known {
        settings: settings.to_owned(),
        path: if is_remote(&source.path) {
            source.path.clone()
        } else {
            std::path::absolute(&source.path).unwrap_or_else(|_| source.path.clone())
        },
        n_bytes: source.n_bytes,
        modified_ns: source.modified_ns,
    }
}

/// What is seen of one file, where no folder is at hand.
pub(crate) struct Segment(Vec<u8>);

impl Segment {
    pub(crate) fn begin(source: &Source, settings: &str) -> io::Result<Self> {
        let mut segment = Self(Vec::new());
        segment.write(BEGIN, &serde_json::to_vec(&key(source, settings))?)?;
        Ok(segment)
    }

    pub(crate) fn add(&mut self, part: &[u8]) -> io::Result<()> {
        self.write(PART, part)
    }

    pub(crate) fn end(mut self) -> io::Result<Vec<u8>> {
        self.write(END, &[])?;
        Ok(self.0)
    }

    fn write(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(&head(kind, bytes)?);
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// What stands before a part: its kind and its size.
fn head(kind: u8, bytes: &[u8]) -> io::Result<[u8; 5]> {
    let n_bytes = u32::try_from(bytes.len())
        .ok()
        .filter(|n| *n <= PART_BYTES)
        .ok_or_else(|| io::Error::other("too much at once for what is kept of a file"))?;
    let [a, b, c, d] = n_bytes.to_le_bytes();
    Ok([kind, a, b, c, d])
}

impl Parts {
    /// Hands over every part.
    pub(crate) fn each(&self, mut with: impl FnMut(Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        let mut at = self.place.begin;
        while at < self.place.end {
            let mut head = [0; 5];
            self.file.read_exact_at(&mut head, at)?;
            let n_bytes = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
            at += 5;
            if head[0] == PART {
                let mut part = vec![0; n_bytes.min(PART_BYTES) as usize];
                self.file.read_exact_at(&mut part, at)?;
                with(part)?;
            }
            at += u64::from(n_bytes);
        }
        Ok(())
    }
}

/// A part as it is kept.
pub(crate) fn packed(part: &impl Serialize) -> io::Result<Vec<u8>> {
    let bytes = postcard::to_stdvec(part).map_err(io::Error::other)?;
    zstd::bulk::compress(&bytes, 1)
}

/// A part again.
pub(crate) fn unpacked<T: DeserializeOwned>(part: &[u8]) -> io::Result<T> {
    let damaged = |error: &dyn std::fmt::Display| {
        io::Error::other(format!(
            "what is kept of former audits is damaged ({error}); allowed: remove it"
        ))
    };
    let bytes = zstd::stream::decode_all(part).map_err(|error| damaged(&error))?;
    postcard::from_bytes(&bytes).map_err(|error| damaged(&error))
}

/// The files that are known, and where the last of them ends: 0 for an empty file.
fn read(file: &File, path: &Path) -> io::Result<(HashMap<Known, Place>, u64)> {
    let n_bytes = file.metadata()?.len();
    let mut known = HashMap::new();
    if n_bytes == 0 {
        return Ok((known, 0));
    }
    let mut magic = [0; MAGIC.len()];
    if n_bytes < magic.len() as u64 || file.read_exact_at(&mut magic, 0).is_err() || magic != *MAGIC
    {
        return Err(io::Error::other(format!(
            "`{}` is not of this version's audits; allowed: another folder, or remove it",
            path.display()
        )));
    }
    let mut reader = BufReader::with_capacity(1 << 16, file);
    reader.seek(SeekFrom::Start(magic.len() as u64))?;
    let (mut at, mut last) = (magic.len() as u64, magic.len() as u64);
    let mut begun: Option<(Known, u64)> = None;
    loop {
        let mut head = [0; 5];
        if reader.read_exact(&mut head).is_err() {
            break;
        }
        let n_part = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
        let begin = at;
        at += 5 + u64::from(n_part);
        if n_part > PART_BYTES || at > n_bytes {
            break;
        }
        match head[0] {
            BEGIN => {
                let mut bytes = vec![0; n_part as usize];
                reader.read_exact(&mut bytes)?;
                let Ok(file) = serde_json::from_slice(&bytes) else {
                    break;
                };
                begun = Some((file, begin));
                continue;
            }
            END => {
                let Some((file, begin)) = begun.take() else {
                    break;
                };
                known.insert(file, Place { begin, end: at });
                last = at;
            }
            PART => {}
            _ => break,
        }
        reader.seek_relative(i64::from(n_part))?;
    }
    Ok((known, last))
}

/// Writes what is not void to a file that takes the place of the old one.
fn compacted(
    file: &File,
    known: &HashMap<Known, Place>,
    folder: &Path,
    path: &Path,
) -> io::Result<(File, HashMap<Known, Place>, u64)> {
    let fresh = tempfile::Builder::new().tempfile_in(folder)?;
    let mut out = BufWriter::with_capacity(1 << 18, fresh.as_file());
    out.write_all(MAGIC)?;
    let mut at = MAGIC.len() as u64;
    let mut in_order: Vec<(&Known, &Place)> = known.iter().collect();
    in_order.sort_by_key(|(_, place)| place.begin);
    let mut moved = HashMap::new();
    let mut buffer = vec![0; 1 << 18];
    for (file_known, place) in in_order {
        let begin = at;
        let mut from = place.begin;
        while from < place.end {
            let n = (place.end - from).min(buffer.len() as u64) as usize;
            file.read_exact_at(&mut buffer[..n], from)?;
            out.write_all(&buffer[..n])?;
            from += n as u64;
            at += n as u64;
        }
        moved.insert(file_known.clone(), Place { begin, end: at });
    }
    out.flush()?;
    drop(out);
    fresh.as_file().sync_data()?;
    let fresh = fresh.persist(path).map_err(|error| error.error)?;
    fresh.try_lock().map_err(io::Error::other)?;
    Ok((fresh, moved, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Kind, Packing};

    fn source(name: &str, modified_ns: u64) -> Source {
        Source {
            path: name.into(),
            kind: Kind::Text,
            packing: Packing::None,
            n_bytes: 5,
            modified_ns,
        }
    }

    fn save(saved: &mut Saved, source: &Source, parts: &[&str], is_whole: bool) {
        saved.begin(source).expect("writes");
        for part in parts {
            saved.add(&packed(part).expect("packs")).expect("writes");
        }
        if is_whole {
            saved.end().expect("writes");
        }
    }

    fn kept(saved: &mut Saved, source: &Source) -> Option<Vec<String>> {
        let parts = saved.parts(source)?;
        let mut all = Vec::new();
        parts
            .each(|part| {
                all.push(unpacked(&part)?);
                Ok(())
            })
            .expect("reads");
        Some(all)
    }

    #[test]
    fn a_file_is_known_as_it_was_and_for_the_same_settings() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = |settings: &str| Saved::open(folder.path(), settings).expect("opens");
        let (one, other) = (source("a", 1), source("b", 1));
        let mut saved = open("x");
        save(&mut saved, &one, &["p", "q"], true);
        save(&mut saved, &other, &["r"], false);
        assert!(Saved::open(folder.path(), "x").is_err(), "it is in use");
        drop(saved);
        let mut saved = open("x");
        assert_eq!(
            kept(&mut saved, &one),
            Some(vec!["p".to_owned(), "q".to_owned()])
        );
        assert_eq!(kept(&mut saved, &other), None, "it broke off");
        assert_eq!(
            kept(&mut saved, &source("a", 2)),
            None,
            "it was written since"
        );
        save(&mut saved, &other, &[], true);
        drop(saved);
        assert_eq!(kept(&mut open("y"), &one), None);
        assert_eq!(kept(&mut open("x"), &other), Some(Vec::new()));
    }

    #[test]
    fn whatever_breaks_off_is_void() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut saved = Saved::open(folder.path(), "x").expect("opens");
        save(&mut saved, &source("a", 1), &["p"], true);
        let path = saved.path().to_owned();
        let n_first = std::fs::metadata(&path).expect("is there").len();
        save(&mut saved, &source("b", 1), &["q"], true);
        drop(saved);
        let bytes = std::fs::read(&path).expect("reads");
        for n_bytes in n_first as usize..bytes.len() {
            std::fs::write(&path, &bytes[..n_bytes]).expect("writes");
            let mut saved = Saved::open(folder.path(), "x").expect("opens");
            assert!(kept(&mut saved, &source("a", 1)).is_some(), "{n_bytes}");
            assert!(kept(&mut saved, &source("b", 1)).is_none(), "{n_bytes}");
            drop(saved);
            assert_eq!(std::fs::metadata(&path).expect("is there").len(), n_first);
        }
        std::fs::write(&path, "something else").expect("writes");
        let error = Saved::open(folder.path(), "x").expect_err("is no such file");
        assert!(error.to_string().contains("remove it"), "{error}");
    }
}
