//! Reading files of records, some at a time, so that a file of any size takes as much memory.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field as Value, Row};
use serde::{Deserialize, Serialize};

use crate::images::{IdxImage, IdxImages, idx_images};
use crate::record::{Field, Fields, Named, Record, named};
use crate::source::{Kind, Source};

/// Bytes of a chunk.
const CHUNK: usize = 2 << 20;

/// Some records of a file, not yet looked at.
pub(crate) enum Chunk {
    /// Whole lines of JSON, the first of this number.
    Lines { first: u64, bytes: Vec<u8> },
    /// One JSON value that is the file, or an entry of its list.
    Values { first: u64, values: Vec<String> },
    /// Rows of a table, of which the names are known.
    Rows {
        names: Arc<[String]>,
        rows: Vec<(u64, csv::ByteRecord)>,
    },
    /// Rows of a Parquet file.
    Columns { first: u64, rows: Vec<Row> },
    /// The text of a file.
    Whole(Vec<u8>),
    /// The bytes of an image.
    Image(Vec<u8>),
    /// Images without files of their own.
    Pixels { first: u64, images: Vec<IdxImage> },
}

/// Bytes that no record was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The line, row or entry, from 1; 0 for a whole file or the rest of it.
    pub line: u64,
    /// How many bytes, as far as is known.
    pub n_bytes: u64,
    /// Why.
    pub why: String,
}

/// A record with its fields, or what is none.
pub(crate) type Seen<'named, 'a> = Result<(Record<'a>, &'named Named<'a>), Skipped>;

impl Chunk {
    /// Hands over the records in their order, with their fields; and what is none.
    pub(crate) fn each(&self, fields: &Fields, mut with: impl FnMut(Seen<'_, '_>)) {
        match self {
            Self::Lines { first, bytes } => {
                for (line, bytes) in (*first..).zip(lines(bytes)) {
                    if !bytes.is_empty() {
                        json(fields, line, bytes, &mut with);
                    }
                }
            }
            Self::Values { first, values } => {
                for (line, value) in (*first..).zip(values) {
                    json(fields, line, value.as_bytes(), &mut with);
                }
            }
            Self::Rows { names, rows } => {
                for (line, row) in rows {
                    let named = names
                        .iter()
                        .zip(row)
                        .map(|(name, value)| {
                            (
                                name.as_str().into(),
                                Field::Text(String::from_utf8_lossy(value)),
                            )
                        })
                        .collect();
                    with(Ok((fields.record(*line, &named), &named)));
                }
            }
            Self::Columns { first, rows } => {
                for (line, row) in (*first..).zip(rows) {
                    let named = row
                        .get_column_iter()
                        .map(|(name, value)| {
                            let field = match value {
                                Value::Str(text) => Field::Text(text.as_str().into()),
                                other => Field::Value(other.to_json_value()),
                            };
                            (name.as_str().into(), field)
                        })
                        .collect();
                    with(Ok((fields.record(line, &named), &named)));
                }
            }
            Self::Image(_) | Self::Pixels { .. } => {
                let (first, n_images) = match self {
                    Self::Pixels { first, images } => (*first, images.len()),
                    _ => (1, 1),
                };
                for line in (first..).take(n_images) {
                    let record = Record {
                        line,
                        others: vec![None; fields.others.len() + fields.groups.len()],
                        ..Record::default()
                    };
                    with(Ok((record, &Named::new())));
                }
            }
            Self::Whole(bytes) => {
                let record = Record {
                    line: 1,
                    text: String::from_utf8_lossy(bytes),
                    others: vec![None; fields.others.len() + fields.groups.len()],
                    ..Record::default()
                };
                with(Ok((record, &Named::new())));
            }
        }
    }
}

/// The lines of some bytes, without what ends them. The last one need not end.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut left = bytes;
    std::iter::from_fn(move || {
        if left.is_empty() {
            return None;
        }
        let (line, rest) = match memchr::memchr(b'\n', left) {
            Some(at) => (&left[..at], &left[at + 1..]),
            None => (left, &[][..]),
        };
        left = rest;
        Some(line.trim_ascii())
    })
}

fn json(fields: &Fields, line: u64, bytes: &[u8], with: &mut impl FnMut(Seen<'_, '_>)) {
    let text = String::from_utf8_lossy(bytes);
    match named(&text) {
        Ok(named) => with(Ok((fields.record(line, &named), &named))),
        Err(error) => {
            let mut why = error.to_string();
            // The line within the line is always the first.
            if let Some(at) = why.find(" at line ") {
                why = format!("{}, at its byte {}", &why[..at], error.column());
            }
            with(Err(Skipped {
                line,
                n_bytes: bytes.len() as u64,
                why: format!("no JSON object: {why}"),
            }));
        }
    }
}

/// Reads a file's chunks one after another.
pub(crate) struct Chunks<'a> {
    source: &'a Source,
    reading: Reading<'a>,
    /// The longest record that is read, in bytes.
    n_most: usize,
}

enum Reading<'a> {
    Lines {
        from: Box<dyn Read + Send + 'a>,
        /// What was read and ends no line yet.
        rest: Vec<u8>,
        next: u64,
    },
    Table {
        from: Box<csv::Reader<Box<dyn Read + Send + 'a>>>,
        names: Arc<[String]>,
        next: u64,
    },
    Columns {
        rows: RowIter<'static>,
        next: u64,
        n_rows: u64,
        n_read: &'a AtomicU64,
        /// What ended the reading, which is told after the rows before it.
        fault: Option<String>,
    },
    Whole(Box<dyn Read + Send + 'a>),
    Images {
        from: Box<IdxImages>,
        next: u64,
        n_read: &'a AtomicU64,
    },
    Done,
}

impl<'a> Chunks<'a> {
    pub(crate) fn open(
        source: &'a Source,
        n_most: usize,
        folder: &Path,
        n_read: &'a AtomicU64,
    ) -> io::Result<Self> {
        let reading = match source.kind {
            Kind::JsonLines => Reading::Lines {
                from: source.open(folder, n_read)?,
                rest: Vec::new(),
                next: 1,
            },
            Kind::Json | Kind::Text | Kind::Image => Reading::Whole(source.open(folder, n_read)?),
            Kind::Table(delimiter) => {
                let mut from = csv::ReaderBuilder::new()
                    .delimiter(delimiter)
                    .flexible(true)
                    .from_reader(source.open(folder, n_read)?);
                let names = from
                    .byte_headers()
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
                    .iter()
                    .enumerate()
                    .map(|(at, name)| {
                        let name = if at == 0 {
                            name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name)
                        } else {
                            name
                        };
                        String::from_utf8_lossy(name).trim().to_owned()
                    })
                    .collect();
                Reading::Table {
                    from: Box::new(from),
                    names,
                    next: 1,
                }
            }
            Kind::Idx => Reading::Images {
                from: Box::new(idx_images(&source.path, u32::MAX).map_err(io::Error::other)?),
                next: 1,
                n_read,
            },
            Kind::Parquet => {
                let file = source.file(folder)?;
                let file = unpanicked(|| SerializedFileReader::new(file))
                    .map_err(io::Error::other)?
                    .map_err(io::Error::other)?;
                let n_rows = u64::try_from(file.metadata().file_metadata().num_rows()).unwrap_or(0);
                Reading::Columns {
                    rows: file.into_iter(),
                    next: 1,
                    n_rows,
                    n_read,
                    fault: None,
                }
            }
        };
        Ok(Self {
            source,
            reading,
            n_most,
        })
    }

    /// The next chunk, and what was skipped before it; after the last, nothing.
    pub(crate) fn next(&mut self) -> Option<(Option<Chunk>, Vec<Skipped>)> {
        let mut skipped = Vec::new();
        let read = match &mut self.reading {
            Reading::Done => return None,
            Reading::Lines { from, rest, next } => {
                next_lines(from, rest, next, self.n_most, &mut skipped)
            }
            Reading::Table { from, names, next } => {
                next_rows(from, names, next, self.n_most, &mut skipped).map(|chunk| {
                    let is_over = chunk.is_none();
                    (chunk, is_over)
                })
            }
            Reading::Columns {
                rows,
                next,
                n_rows,
                n_read,
                fault,
            } => {
                let first = *next;
                let columns = next_columns(rows, next, fault);
                // Bytes are counted as rows: where they lie is for the library to know.
                let share = (*next - first) as f64 / (*n_rows as f64).max(1.0);
                n_read.fetch_add(
                    (self.source.n_bytes as f64 * share) as u64,
                    Ordering::Relaxed,
                );
                let n_left = (*n_rows + 1).saturating_sub(*next);
                columns.map_err(|error| {
                    io::Error::other(format!("{n_left} of its {n_rows} rows: {error}"))
                })
            }
            Reading::Images { from, next, n_read } => {
                let chunk = next_images(from, next, &mut skipped);
                let share = chunk.1 as f64 / f64::from(from.n_images.max(1));
                n_read.fetch_add(
                    (self.source.n_bytes as f64 * share) as u64,
                    Ordering::Relaxed,
                );
                Ok((chunk.0, chunk.1 < IMAGES as u64))
            }
            Reading::Whole(from) => Ok((whole(from, self.source, self.n_most, &mut skipped), true)),
        };
        let (chunk, is_over) = read.unwrap_or_else(|error| {
            skipped.push(Skipped {
                line: 0,
                n_bytes: 0,
                why: format!("the rest of the file: {error}"),
            });
            (None, true)
        });
        if is_over {
            self.reading = Reading::Done;
        }
        Some((chunk, skipped))
    }
}

/// Whole lines, of a chunk's size where they are that short.
fn next_lines<'a>(
    from: &mut Box<dyn Read + Send + 'a>,
    rest: &mut Vec<u8>,
    next: &mut u64,
    n_most: usize,
    skipped: &mut Vec<Skipped>,
) -> io::Result<(Option<Chunk>, bool)> {
    let mut bytes = std::mem::take(rest);
    // Up to where no line ends.
    let mut n_looked = 0;
    loop {
        let n_wanted = CHUNK.saturating_sub(bytes.len() % CHUNK).max(1 << 16) as u64;
        let n_before = bytes.len();
        let fault = from.by_ref().take(n_wanted).read_to_end(&mut bytes).err();
        let end = memchr::memrchr(b'\n', &bytes[n_looked..]).map(|at| n_looked + at + 1);
        let is_over = fault.is_some() || bytes.len() == n_before;
        match (end, fault) {
            (end, Some(error)) => {
                // What came before is whole; the line that breaks off is none.
                let end = end.unwrap_or(0);
                skipped.push(Skipped {
                    line: 0,
                    n_bytes: (bytes.len() - end) as u64,
                    why: format!("the rest of the file: {error}"),
                });
                bytes.truncate(end);
            }
            (Some(end), None) if !is_over => {
                rest.extend_from_slice(&bytes[end..]);
                bytes.truncate(end);
            }
            (_, None) if is_over => {}
            _ => {
                n_looked = bytes.len();
                if bytes.len() > n_most {
                    let n_bytes = bytes.len() as u64 + pass_line(from, rest)?;
                    skipped.push(Skipped {
                        line: *next,
                        n_bytes,
                        why: format!("longer than {n_most} bytes"),
                    });
                    *next += 1;
                    bytes.clear();
                    bytes.append(rest);
                    n_looked = 0;
                }
                continue;
            }
        }
        let first = *next;
        *next += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        if first == 1 && bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        let chunk = (!bytes.is_empty()).then_some(Chunk::Lines { first, bytes });
        return Ok((chunk, is_over));
    }
}

/// Reads on to the end of a line, and puts what follows aside; how many bytes that line had.
fn pass_line<'a>(from: &mut Box<dyn Read + Send + 'a>, rest: &mut Vec<u8>) -> io::Result<u64> {
    let mut n_passed = 0;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n_read = from.read(&mut buffer)?;
        if n_read == 0 {
            return Ok(n_passed);
        }
        if let Some(at) = memchr::memchr(b'\n', &buffer[..n_read]) {
            rest.extend_from_slice(&buffer[at + 1..n_read]);
            return Ok(n_passed + at as u64);
        }
        n_passed += n_read as u64;
    }
}

fn next_rows<'a>(
    from: &mut csv::Reader<Box<dyn Read + Send + 'a>>,
    names: &Arc<[String]>,
    next: &mut u64,
    n_most: usize,
    skipped: &mut Vec<Skipped>,
) -> io::Result<Option<Chunk>> {
    let (mut rows, mut n_bytes, mut n_read) = (Vec::new(), 0, 0);
    let mut row = csv::ByteRecord::new();
    while n_bytes < CHUNK && from.read_byte_record(&mut row).map_err(io::Error::other)? {
        let line = *next;
        *next += 1;
        n_read += 1;
        let n_of_row = row.as_slice().len();
        n_bytes += n_of_row + row.len();
        let why = if n_of_row > n_most {
            format!("longer than {n_most} bytes")
        } else if row.len() != names.len() {
            format!(
                "{} values, where {} columns are named",
                row.len(),
                names.len()
            )
        } else {
            rows.push((line, std::mem::take(&mut row)));
            continue;
        };
        let n_bytes = n_of_row as u64;
        skipped.push(Skipped { line, n_bytes, why });
    }
    let names = names.clone();
    Ok((n_read > 0).then_some(Chunk::Rows { names, rows }))
}

/// Rows of a Parquet file.
const ROWS: usize = 1024;

fn next_columns(
    rows: &mut RowIter<'static>,
    next: &mut u64,
    fault: &mut Option<String>,
) -> Result<(Option<Chunk>, bool), String> {
    if let Some(fault) = fault.take() {
        return Err(fault);
    }
    let first = *next;
    let mut some = Vec::new();
    let (mut is_over, mut n_bytes) = (false, 0);
    while some.len() < ROWS && n_bytes < CHUNK {
        match unpanicked(|| rows.next()) {
            Ok(Some(Ok(row))) => {
                let texts = row.get_column_iter().map(|(_, value)| match value {
                    Value::Str(text) => text.len(),
                    _ => 8,
                });
                n_bytes += texts.sum::<usize>();
                some.push(row);
            }
            Ok(None) => {
                is_over = true;
                break;
            }
            Ok(Some(Err(error))) => {
                *fault = Some(error.to_string());
                break;
            }
            Err(error) => {
                *fault = Some(error);
                break;
            }
        }
    }
    *next += some.len() as u64;
    // What came before a fault is handed over first.
    match fault.take_if(|_| some.is_empty()) {
        Some(fault) => Err(fault),
        None => Ok((
            (!some.is_empty()).then_some(Chunk::Columns { first, rows: some }),
            is_over,
        )),
    }
}

/// The library trusts what a damaged file says of itself, and panics where it is not so.
fn unpanicked<T>(read: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read))
        .map_err(|_| "the file is damaged".to_owned())
}

/// Images of a chunk.
const IMAGES: usize = 1024;

/// The next images, and how many were read.
fn next_images(
    from: &mut IdxImages,
    next: &mut u64,
    skipped: &mut Vec<Skipped>,
) -> (Option<Chunk>, u64) {
    let first = *next;
    let mut images = Vec::new();
    let mut n_read = 0;
    for image in from.by_ref().take(IMAGES) {
        n_read += 1;
        match image {
            Ok(image) => images.push(image),
            Err(error) => skipped.push(Skipped {
                line: 0,
                n_bytes: 0,
                why: format!("the rest of the file: {error}"),
            }),
        }
    }
    *next += images.len() as u64;
    (
        (!images.is_empty()).then_some(Chunk::Pixels { first, images }),
        n_read,
    )
}

/// A file that is read at once: a text, or a list of JSON values.
fn whole<'a>(
    from: &mut Box<dyn Read + Send + 'a>,
    source: &Source,
    n_most: usize,
    skipped: &mut Vec<Skipped>,
) -> Option<Chunk> {
    let mut bytes = Vec::new();
    let mut skip = |n_bytes: u64, why: String| {
        skipped.push(Skipped {
            line: 0,
            n_bytes,
            why,
        });
        None
    };
    match from.take(n_most as u64 + 1).read_to_end(&mut bytes) {
        Err(error) => return skip(source.n_bytes, error.to_string()),
        Ok(n_read) if n_read > n_most => {
            return skip(source.n_bytes, format!("longer than {n_most} bytes"));
        }
        Ok(_) => {}
    }
    match source.kind {
        Kind::Text => return Some(Chunk::Whole(bytes)),
        Kind::Image => return Some(Chunk::Image(bytes)),
        _ => {}
    }
    let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes));
    let values: Result<Vec<&serde_json::value::RawValue>, _> = if text.trim_start().starts_with('[')
    {
        serde_json::from_str(&text)
    } else {
        serde_json::from_str(&text).map(|value| vec![value])
    };
    match values {
        Ok(values) => Some(Chunk::Values {
            first: 1,
            values: values
                .into_iter()
                .map(|value| value.get().to_owned())
                .collect(),
        }),
        Err(error) => skip(source.n_bytes, format!("no JSON: {error}")),
    }
}
