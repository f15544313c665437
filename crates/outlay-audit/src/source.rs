//! Files of records, and how each kind is read.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::AuditError;
use crate::images::{ImageKind, labels_beside};
use crate::remote::{self, is_remote};

/// How the records lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A JSON value a line: `.jsonl`, `.ndjson`.
    JsonLines,
    /// A list of JSON values, or one: `.json`.
    Json,
    /// A table with a line of names first, parted by commas or by tabs: `.csv`, `.tsv`.
    Table(u8),
    /// Parquet: `.parquet`.
    Parquet,
    /// An image, one record: `.png`, `.jpg`, `.gif`, `.webp`, `.bmp`, `.tiff`.
    Image,
    /// Images one behind the other: `…-idx3-ubyte`.
    Idx,
    /// One record, the whole file: `.txt`, `.md`, `.rst`, `.html` and sources of programs.
    Text,
}

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    None,
    /// By gzip: `.gz`.
    Gzip,
    /// By Zstandard: `.zst`.
    Zstandard,
}

/// Ends of the names of files that are one record each.
const TEXTS: [&str; 24] = [
    "txt", "text", "md", "rst", "html", "htm", "xml", "tex", "rs", "py", "js", "ts", "c", "h",
    "cc", "cpp", "hpp", "java", "go", "rb", "sh", "sql", "yaml", "toml",
];

/// A file to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// How its records lie.
    pub kind: Kind,
    /// How it is packed.
    pub packing: Packing,
    /// Its size as it lies there.
    pub n_bytes: u64,
    /// When it was last written, in nanoseconds since 1970; 0 where that is not told.
    pub modified_ns: u64,
}

fn modified_ns(metadata: &std::fs::Metadata) -> u64 {
    let since = metadata
        .modified()
        .ok()
        .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// What a path names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Files to be read, in the order of their names.
    pub sources: Vec<Source>,
    /// Files that no reader is known for, with their sizes in bytes.
    pub others: Vec<(PathBuf, u64)>,
}

impl Source {
    /// What the name of a file says; `None` where it says nothing that is known.
    ///
    /// ```
    /// use outlay_audit::{Kind, Packing, Source};
    /// let kind = |name| Source::by_name(std::path::Path::new(name));
    /// assert_eq!(kind("a/train.jsonl.gz"), Some((Kind::JsonLines, Packing::Gzip)));
    /// assert_eq!(kind("B.TSV"), Some((Kind::Table(b'\t'), Packing::None)));
    /// assert_eq!(kind("a.png"), Some((Kind::Image, Packing::None)));
    /// assert_eq!(kind("t10k-images-idx3-ubyte"), Some((Kind::Idx, Packing::None)));
    /// assert_eq!(kind("a.exe"), None);
    /// ```
    #[must_use]
    pub fn by_name(path: &Path) -> Option<(Kind, Packing)> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        match name.strip_suffix(".gz") {
            Some(name) if name.ends_with("idx3-ubyte") => return Some((Kind::Idx, Packing::Gzip)),
            None if name.ends_with("idx3-ubyte") => return Some((Kind::Idx, Packing::None)),
            _ => {}
        }
        if ImageKind::by_name(path).is_some() {
            return Some((Kind::Image, Packing::None));
        }
        let (name, packing) = match name.rsplit_once('.')? {
            (name, "gz") => (name, Packing::Gzip),
            (name, "zst") => (name, Packing::Zstandard),
            _ => (name.as_str(), Packing::None),
        };
        let kind = match name.rsplit_once('.').map(|(_, end)| end)? {
            "jsonl" | "ndjson" => Kind::JsonLines,
            "json" => Kind::Json,
            "csv" => Kind::Table(b','),
            "tsv" => Kind::Table(b'\t'),
            "parquet" if packing == Packing::None => Kind::Parquet,
            end if TEXTS.contains(&end) => Kind::Text,
            _ => return None,
        };
        Some((kind, packing))
    }

    /// The files that a path names: itself, or those within a folder, sorted by name; and those within it that no reader is known for.
    ///
    /// An address that begins with `s3://`, `gs://`, `az://`, `https://` or `http://` names a file elsewhere, or all files whose names begin with it and a slash; keys come from the variables of the environment that the stores' own tools read.
    ///
    /// A path that is not there and has `*`, `?` or `[…]` in it is a pattern of paths; `**` stands for folders within folders.
    ///
    /// # Errors
    ///
    /// When the path is not there, or is a file of no known kind; when nothing is of the pattern.
    pub fn at(path: &Path) -> Result<Listing, AuditError> {
        if is_remote(path) {
            return remote::listing(path);
        }
        let is_pattern = path.to_str().filter(|text| text.contains(['*', '?', '[']));
        match is_pattern {
            Some(pattern) if !path.exists() => Self::of_pattern(pattern),
            _ => Self::at_path(path),
        }
    }

    fn of_pattern(pattern: &str) -> Result<Listing, AuditError> {
        let fault = |why: String| AuditError::Read {
            path: pattern.into(),
            why,
        };
        let paths = glob::glob(pattern).map_err(|error| fault(error.to_string()))?;
        let mut listing = Listing::default();
        let mut is_any = false;
        for path in paths {
            let path = path.map_err(|error| fault(error.to_string()))?;
            is_any = true;
            // A file of no known kind was not named, and is counted as within folders.
            if path.is_file() && Self::by_name(&path).is_none() {
                let n_bytes = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
                listing.others.push((path, n_bytes));
                continue;
            }
            let some = Self::at_path(&path)?;
            listing.sources.extend(some.sources);
            listing.others.extend(some.others);
        }
        if !is_any {
            return Err(fault("no path is of this pattern".to_owned()));
        }
        // A folder and what is in it may both be of the pattern.
        let mut seen = std::collections::HashSet::new();
        listing
            .sources
            .retain(|source| seen.insert(source.path.clone()));
        listing.others.retain(|(path, _)| seen.insert(path.clone()));
        Ok(listing)
    }

    fn at_path(path: &Path) -> Result<Listing, AuditError> {
        let fault = |path: &Path, error: &dyn std::fmt::Display| AuditError::Read {
            path: path.to_owned(),
            why: error.to_string(),
        };
        let metadata = std::fs::metadata(path).map_err(|error| fault(path, &error))?;
        if metadata.is_file() {
            let (kind, packing) =
                Self::by_name(path).ok_or_else(|| AuditError::Kind(path.to_owned()))?;
            let source = Self {
                path: path.to_owned(),
                kind,
                packing,
                n_bytes: metadata.len(),
                modified_ns: modified_ns(&metadata),
            };
            return Ok(Listing {
                sources: vec![source],
                others: Vec::new(),
            });
        }
        if !metadata.is_dir() {
            return Err(AuditError::Kind(path.to_owned()));
        }
        let Listing {
            mut sources,
            mut others,
        } = Listing::default();
        for entry in walkdir::WalkDir::new(path).sort_by_file_name() {
            let entry = entry.map_err(|error| fault(path, &error))?;
            if !entry.file_type().is_file() {
                continue;
            }
            let metadata = entry
                .metadata()
                .map_err(|error| fault(entry.path(), &error))?;
            let n_bytes = metadata.len();
            match Self::by_name(entry.path()) {
                Some((kind, packing)) => sources.push(Self {
                    path: entry.into_path(),
                    kind,
                    packing,
                    n_bytes,
                    modified_ns: modified_ns(&metadata),
                }),
                None => others.push((entry.into_path(), n_bytes)),
            }
        }
        // The labels of images are read with them.
        let labels: Vec<PathBuf> = sources
            .iter()
            .filter(|source| source.kind == Kind::Idx)
            .filter_map(|source| labels_beside(&source.path))
            .collect();
        others.retain(|(path, _)| !labels.contains(path));
        Ok(Listing { sources, others })
    }

    /// The file as it lies there; one that lies elsewhere is copied to a working file in `folder`, which has no name.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or fetched.
    pub(crate) fn file(&self, folder: &Path) -> io::Result<File> {
        if is_remote(&self.path) {
            remote::fetched(&self.path, folder)
        } else {
            File::open(&self.path)
        }
    }

    /// The bytes of the file, unpacked; those that are read of it as it lies there are counted.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub(crate) fn open<'a>(
        &self,
        folder: &Path,
        n_read: &'a AtomicU64,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        let file = Counted {
            file: self.file(folder)?,
            n_read,
        };
        Ok(match self.packing {
            Packing::None => Box::new(file),
            Packing::Gzip => Box::new(Bounded::new(
                flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(1 << 16, file)),
                self.n_bytes,
            )),
            Packing::Zstandard => Box::new(Bounded::new(
                zstd::stream::read::Decoder::new(file)?,
                self.n_bytes,
            )),
        })
    }
}

struct Counted<'a> {
    file: File,
    n_read: &'a AtomicU64,
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n_read = self.file.read(into)?;
        self.n_read.fetch_add(n_read as u64, Ordering::Relaxed);
        Ok(n_read)
    }
}

/// Packed bytes that may become so many: text becomes some five times as many, a file of one line a thousand times.
const TIMES: u64 = 250;

/// What any file may become.
const ALWAYS: u64 = 1 << 30;

/// Refuses to go on where a packed file grows beyond what data does.
struct Bounded<R> {
    inner: R,
    n_left: u64,
}

impl<R> Bounded<R> {
    fn new(inner: R, n_packed: u64) -> Self {
        Self {
            inner,
            n_left: n_packed.saturating_mul(TIMES).max(ALWAYS),
        }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n_read = self.inner.read(into)?;
        self.n_left = self.n_left.checked_sub(n_read as u64).ok_or_else(|| {
            io::Error::other(format!(
                "it unpacks to more than {TIMES} times its size, which data does not"
            ))
        })?;
        Ok(n_read)
    }
}
