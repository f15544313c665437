//! Rows of tables: records of short values, which are compared cell by cell, and a sample of which is kept whole.

use std::collections::{BinaryHeap, HashMap};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::audit::QUESTIONS;
use crate::pictures::SampledPicture;
use crate::record::{Field, Fields, Named, TEXTS};
use crate::words::finish;

/// Least fields of a row.
const FIELDS: usize = 3;

/// Bytes up to which a text is a cell, and not something to be read: three words or so.
const SHORT: usize = 32;

/// The hashes of a record's cells, where it is a row: most of its values are numbers or short. Otherwise none, and it is compared by its text.
///
/// A cell is a name and a value; numbers are the same however they are written, texts whatever their case and the blanks around them.
pub(crate) fn cells(fields: &Fields, named: &Named<'_>, into: &mut Vec<u64>) -> bool {
    into.clear();
    let is_text = |name: &str| TEXTS.contains(&name) || QUESTIONS.contains(&name);
    if !fields.text.is_empty() || named.iter().any(|(name, _)| is_text(name)) {
        return false;
    }
    let (mut n_fields, mut n_short, mut n_bytes) = (0_usize, 0, 0);
    for (name, field) in named {
        if !fields.is_content(name) {
            continue;
        }
        let value = field.text();
        let value = value.trim();
        if value.is_empty() {
            continue;
        }
        n_fields += 1;
        n_bytes += value.len();
        n_short += usize::from(value.len() <= SHORT);
        let value = match number(value) {
            Some(number) => hashed(FIELDS as u64, number.to_bits().to_le_bytes()),
            None => hashed(
                0,
                value
                    .chars()
                    .flat_map(char::to_lowercase)
                    .flat_map(|letter| u32::from(letter).to_le_bytes()),
            ),
        };
        into.push(finish(hashed(value, name.bytes())));
    }
    n_fields >= FIELDS && 2 * n_short >= n_fields && n_bytes <= 2 * SHORT * n_fields
}

/// A number as it is written in tables; not `nan`, `inf` and the like, which are texts.
pub(crate) fn number(value: &str) -> Option<f64> {
    let first = value.as_bytes().first()?;
    if !(first.is_ascii_digit() || matches!(first, b'-' | b'+' | b'.')) {
        return None;
    }
    // Zero has one sign.
    value
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
        .map(|number| number + 0.0)
}

fn hashed(seed: u64, bytes: impl IntoIterator<Item = u8>) -> u64 {
    // FNV-1a, 64 bits.
    bytes
        .into_iter()
        .fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

/// Most rows that are kept.
const ROWS: usize = 50_000;

/// Most values that are kept.
const VALUES: usize = 2_000_000;

/// Bytes up to which a value is kept.
const VALUE_BYTES: usize = 64;

/// Bytes up to which a text is kept.
const TEXT_BYTES: usize = 4096;

/// Bytes of all texts and images that are kept, at most; a quarter of the memory where that is less.
const ALL_BYTES: usize = 128 << 20;

/// Most fields of a row that are kept.
const COLUMNS: usize = 1000;

/// A sample of records with all of their short values: those whose hashes of where they lie are least, so that it is the same in whatever order they come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    names: Vec<String>,
    rows: Vec<SampledRow>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct SampledRow {
    key: u64,
    /// The record within its chunk, and then within all.
    record: u32,
    /// The beginning of its text, where it is no row of a table.
    text: String,
    /// Values by the number of their column.
    values: Vec<(u32, String)>,
    /// What is kept of it where it is an image.
    picture: Option<Box<SampledPicture>>,
}

impl SampledRow {
    fn n_bytes(&self) -> usize {
        self.text.len() + self.picture.as_ref().map_or(0, |picture| picture.n_bytes())
    }
}

impl Sample {
    /// Adds a record of a chunk, with its number there and the text or the image that it is to be known by.
    pub(crate) fn add(
        &mut self,
        key: u64,
        record: u32,
        named: &Named<'_>,
        text: &str,
        picture: Option<Box<SampledPicture>>,
    ) {
        let mut values = Vec::with_capacity(named.len().min(COLUMNS));
        for (at, (name, field)) in named.iter().enumerate() {
            // Records of a file have their fields in the same order, mostly.
            let column = if self.names.get(at).is_some_and(|known| known == name) {
                at
            } else if let Some(column) = self.names.iter().position(|known| known == name) {
                column
            } else if self.names.len() < COLUMNS {
                self.names.push(name.clone().into_owned());
                self.names.len() - 1
            } else {
                continue;
            };
            if matches!(field, Field::Text(text) if text.len() > VALUE_BYTES) {
                continue;
            }
            let value = field.text();
            if !value.is_empty() && value.len() <= VALUE_BYTES {
                values.push((column as u32, value.into_owned()));
            }
        }
        self.rows.push(SampledRow {
            key,
            record,
            text: text[..text.floor_char_boundary(TEXT_BYTES)].to_owned(),
            values,
            picture,
        });
    }

    /// Keeps no more than may be wanted of one chunk.
    pub(crate) fn cut(&mut self) {
        if self.rows.len() > ROWS {
            self.rows.select_nth_unstable_by_key(ROWS, |row| row.key);
            self.rows.truncate(ROWS);
        }
    }

    /// Where a record lies, as a number.
    pub(crate) fn key(path: &Path, line: u64) -> u64 {
        finish(hashed(
            line,
            path.as_os_str().as_encoded_bytes().iter().copied(),
        ))
    }
}

/// The sample of all chunks.
#[derive(Debug)]
pub(crate) struct Sampled {
    columns: HashMap<String, u32>,
    names: Vec<String>,
    /// The row with the greatest key first.
    rows: BinaryHeap<Kept>,
    n_values: usize,
    /// Bytes of texts and images, and how many there may be.
    n_bytes: usize,
    n_bytes_most: usize,
    /// Records that were offered.
    n_records: u64,
}

#[derive(Debug)]
struct Kept(SampledRow);

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for Kept {}

impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Kept {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.key.cmp(&other.0.key)
    }
}

impl Sampled {
    /// An empty one, which is to be small beside so much memory.
    pub(crate) fn new(memory_bytes: usize) -> Self {
        Self {
            columns: HashMap::new(),
            names: Vec::new(),
            rows: BinaryHeap::new(),
            n_values: 0,
            n_bytes: 0,
            n_bytes_most: ALL_BYTES.min(memory_bytes / 4),
            n_records: 0,
        }
    }

    fn is_beyond(&self) -> bool {
        self.rows.len() > ROWS || self.n_values > VALUES || self.n_bytes > self.n_bytes_most
    }

    /// Takes what a chunk gave, the first of whose records has this number.
    pub(crate) fn take(&mut self, sample: Sample, first: u32) {
        let columns: Vec<Option<u32>> = sample
            .names
            .into_iter()
            .map(|name| {
                if let Some(column) = self.columns.get(&name) {
                    return Some(*column);
                }
                if self.names.len() >= COLUMNS {
                    return None;
                }
                let column = self.names.len() as u32;
                self.names.push(name.clone());
                self.columns.insert(name, column);
                Some(column)
            })
            .collect();
        for mut row in sample.rows {
            self.n_records += 1;
            let is_full = self.rows.len() >= ROWS
                || self.n_values > VALUES
                || self.n_bytes + row.n_bytes() > self.n_bytes_most;
            if is_full && self.rows.peek().is_none_or(|last| last.0.key <= row.key) {
                continue;
            }
            row.values = row
                .values
                .into_iter()
                .filter_map(|(column, value)| Some((columns[column as usize]?, value)))
                .collect();
            row.record += first;
            self.n_values += row.values.len();
            self.n_bytes += row.n_bytes();
            self.rows.push(Kept(row));
            while self.rows.len() > 1 && self.is_beyond() {
                if let Some(Kept(gone)) = self.rows.pop() {
                    self.n_values -= gone.values.len();
                    self.n_bytes -= gone.n_bytes();
                }
            }
        }
    }

    /// The columns of the rows that were kept, in the order of the records.
    pub(crate) fn table(self) -> SampleTable {
        let mut rows = self.rows.into_vec();
        rows.sort_unstable_by_key(|row| row.0.record);
        let (mut records, mut texts, mut pictures) = (Vec::new(), Vec::new(), Vec::new());
        let mut columns: Vec<Vec<Option<String>>> = vec![vec![None; rows.len()]; self.names.len()];
        for (at, row) in rows.into_iter().enumerate() {
            for (column, value) in row.0.values {
                columns[column as usize][at] = Some(value);
            }
            records.push(row.0.record);
            texts.push(row.0.text);
            pictures.push(row.0.picture);
        }
        SampleTable {
            records,
            texts,
            pictures,
            names: self.names,
            columns,
            n_records: self.n_records,
        }
    }
}

/// A sample of the records, by columns. Long values are missing from it.
#[derive(Clone, Debug, Default)]
pub struct SampleTable {
    /// The records, by their numbers.
    pub records: Vec<u32>,
    /// The beginnings of their texts, nothing for rows of tables.
    pub texts: Vec<String>,
    /// What is kept of those that are images.
    pub pictures: Vec<Option<Box<SampledPicture>>>,
    /// What the fields are called.
    pub names: Vec<String>,
    /// Of each field, the value of each record that was kept.
    pub columns: Vec<Vec<Option<String>>>,
    /// Records of which these are a sample.
    pub n_records: u64,
}

impl SampleTable {
    /// Records that were kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A field's values.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&[Option<String>]> {
        let at = self.names.iter().position(|known| known == name)?;
        Some(&self.columns[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Option<Vec<u64>> {
        let named = crate::record::named(json).expect("is JSON");
        let mut cells = Vec::new();
        self::cells(&Fields::default(), &named, &mut cells).then_some(cells)
    }

    #[test]
    fn a_row_is_the_same_however_it_is_written() {
        let one =
            of(r#"{"id": 1, "a": 1.50, "b": "Red ", "c": -0.0, "label": "x"}"#).expect("a row");
        assert_eq!(one.len(), 3);
        assert_eq!(
            of(r#"{"id": 2, "a": "1.5", "b": "red", "c": 0, "label": "y"}"#),
            Some(one.clone())
        );
        assert_ne!(of(r#"{"a": 1.5, "b": "red", "c": 1}"#), Some(one.clone()));
        assert_ne!(of(r#"{"b": 1.5, "a": "red", "c": 0}"#), Some(one));
    }

    #[test]
    fn what_is_to_be_read_is_no_row() {
        assert_eq!(of(r#"{"text": "a", "b": 1, "c": 2, "d": 3}"#), None);
        assert_eq!(of(r#"{"b": 1, "c": 2}"#), None);
        let long = "a sentence that is longer than cells of tables are, by far, as questions and answers are";
        assert_eq!(
            of(&format!(r#"{{"q": "{long}", "a": "{long}", "n": 2}}"#)),
            None
        );
    }

    #[test]
    fn a_sample_does_not_depend_on_the_order() {
        let of = |order: &[u64]| {
            let mut sampled = Sampled::new(ALL_BYTES * 4);
            for part in order.chunks(700) {
                let mut sample = Sample::default();
                for n in part {
                    let json = format!(r#"{{"n": {n}, "m": {}}}"#, n % 7);
                    let named = crate::record::named(&json).expect("is JSON");
                    sample.add(Sample::key(Path::new("a"), *n), 0, &named, "", None);
                }
                sample.cut();
                sampled.take(sample, 0);
            }
            sampled.table()
        };
        let up: Vec<u64> = (0..60_000).collect();
        let down: Vec<u64> = (0..60_000).rev().collect();
        let (one, other) = (of(&up), of(&down));
        assert_eq!(one.len(), ROWS);
        assert_eq!((one.n_records, other.n_records), (60_000, 60_000));
        let sorted = |of: &SampleTable| {
            let mut all: Vec<_> = of
                .column("n")
                .into_iter()
                .flatten()
                .zip(of.column("m").into_iter().flatten())
                .map(|(n, m)| (n.clone(), m.clone()))
                .collect();
            all.sort();
            all
        };
        assert_eq!(sorted(&one), sorted(&other));
    }
}
