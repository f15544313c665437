//! Examples as numbers, for models to learn from.

use rayon::prelude::*;

use crate::labels::LabelsError;
use crate::words::{finish, words};

/// What is known of examples, as numbers: one row for each.
#[derive(Clone, Debug, PartialEq)]
pub enum Features {
    /// A number in every column, such as pixels or embeddings.
    Dense(Dense),
    /// Numbers in few of many columns, such as words of texts.
    Sparse(Sparse),
}

/// Rows with a number in every column; one that is none or infinite counts as missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    n_columns: usize,
    values: Vec<f32>,
}

/// Rows with numbers in few columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Sparse {
    n_columns: usize,
    /// Where each row begins, and where the last one ends.
    starts: Vec<usize>,
    /// Columns and numbers, row by row, by ascending columns.
    entries: Vec<(u32, f32)>,
}

/// Bits of a hash that name a column.
const HASH_BITS: u32 = 18;

/// Entries of one text: the weightiest of more. So many are the words, pairs of words and runs of characters of some
/// 150 words, and the rest of a longer text adds little to its direction.
const ENTRIES: usize = 768;

impl Features {
    /// Takes `n × n_columns` numbers, one example after another.
    ///
    /// # Errors
    ///
    /// When the last example is cut short, or there are no columns.
    pub fn dense(n_columns: usize, values: Vec<f32>) -> Result<Self, LabelsError> {
        if n_columns == 0 || !values.len().is_multiple_of(n_columns) {
            return Err(LabelsError::Shape {
                what: "features of the last example",
                found: values.len().checked_rem(n_columns).unwrap_or(values.len()),
                expected: n_columns,
            });
        }
        Ok(Self::Dense(Dense { n_columns, values }))
    }

    /// Weighs what stands in texts: words, pairs of words, and runs of three to five characters, without regard to case.
    ///
    /// Each is hashed to one of 2^18 columns. A count `t` weighs `1 + ln t` (Manning, Raghavan, Schütze 2008, *Introduction
    /// to Information Retrieval*, equation 6.13), times `1 + ln((1 + n) / (1 + n_texts_with_it))`, and a row is as long as one.
    /// Columns that a single text has are left out, because nothing can be learnt from them for another. The texts' labels
    /// have no part in any of it.
    #[must_use]
    pub fn texts<T: AsRef<str> + Sync>(texts: &[T]) -> Self {
        /// Texts of which the counts are added up at once.
        const PART: usize = 1024;
        let mut n_with = vec![0_u32; 1 << HASH_BITS];
        for part in texts.chunks(PART) {
            let counted: Vec<Vec<(u32, u32)>> =
                part.par_iter().map(|text| counts(text.as_ref())).collect();
            for (column, _) in counted.iter().flatten() {
                n_with[*column as usize] += 1;
            }
        }
        let mut n_columns = 0;
        let columns: Vec<Option<(u32, f32)>> = n_with
            .iter()
            .map(|n_with| {
                (*n_with > 1).then(|| {
                    n_columns += 1;
                    let rarity = (1.0 + texts.len() as f64) / (1.0 + f64::from(*n_with));
                    (n_columns - 1, (1.0 + rarity.ln()) as f32)
                })
            })
            .collect();
        let mut sparse = Sparse {
            n_columns: n_columns as usize,
            starts: vec![0],
            entries: Vec::new(),
        };
        for part in texts.chunks(PART) {
            let rows: Vec<Vec<(u32, f32)>> = part
                .par_iter()
                .map(|text| {
                    let mut row: Vec<(u32, f32)> = counts(text.as_ref())
                        .into_iter()
                        .filter_map(|(hash, n)| {
                            columns[hash as usize]
                                .map(|(column, weight)| (column, weight * (1.0 + (n as f32).ln())))
                        })
                        .collect();
                    if row.len() > ENTRIES {
                        row.select_nth_unstable_by(ENTRIES, |one, other| {
                            other.1.total_cmp(&one.1).then(one.0.cmp(&other.0))
                        });
                        row.truncate(ENTRIES);
                        row.sort_unstable_by_key(|(column, _)| *column);
                    }
                    scale(row.iter_mut().map(|(_, value)| value));
                    row
                })
                .collect();
            for row in rows {
                sparse.entries.extend(row);
                sparse.starts.push(sparse.entries.len());
            }
        }
        Self::Sparse(sparse)
    }

    /// Examples.
    #[must_use]
    pub fn n_examples(&self) -> usize {
        match self {
            Self::Dense(dense) => dense.values.len() / dense.n_columns,
            Self::Sparse(sparse) => sparse.starts.len() - 1,
        }
    }

    /// Columns that a model may have a weight for.
    #[must_use]
    pub fn n_columns(&self) -> usize {
        match self {
            Self::Dense(dense) => dense.n_columns,
            Self::Sparse(sparse) => sparse.n_columns,
        }
    }
}

impl Dense {
    pub(crate) fn n_columns(&self) -> usize {
        self.n_columns
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.n_columns..][..self.n_columns]
    }

    /// The same with a mean of zero and a standard deviation of one in every column, as some of the rows have them.
    ///
    /// What is missing becomes the mean, and so does a column of one value.
    pub(crate) fn standardised(&self, is_in: impl Fn(usize) -> bool) -> Self {
        let n_rows = self.values.len() / self.n_columns;
        let mut sums = vec![(0_u64, 0.0_f64); self.n_columns];
        let mut squares = vec![0.0_f64; self.n_columns];
        for row in (0..n_rows).filter(|row| is_in(*row)) {
            for ((n, sum), value) in sums.iter_mut().zip(self.row(row)) {
                if value.is_finite() {
                    *n += 1;
                    *sum += f64::from(*value);
                }
            }
        }
        let means: Vec<f64> = sums
            .iter()
            .map(|(n, sum)| sum / (*n).max(1) as f64)
            .collect();
        for row in (0..n_rows).filter(|row| is_in(*row)) {
            for ((square, value), mean) in squares.iter_mut().zip(self.row(row)).zip(&means) {
                if value.is_finite() {
                    *square += (f64::from(*value) - mean).powi(2);
                }
            }
        }
        let scales: Vec<f64> = squares
            .iter()
            .zip(&sums)
            .zip(&means)
            .map(|((square, (n, _)), mean)| {
                let deviation = (square / (*n).max(1) as f64).sqrt();
                // Less is but what rounding left of one value.
                if deviation > 1e-7 * mean.abs() && deviation > 0.0 {
                    deviation.recip()
                } else {
                    0.0
                }
            })
            .collect();
        /// What lies farther out is a fault of the data, and is not to outweigh all else.
        const FARTHEST: f64 = 1e3;
        let values = self
            .values
            .par_chunks_exact(self.n_columns)
            .flat_map_iter(|row| {
                row.iter()
                    .zip(&means)
                    .zip(&scales)
                    .map(|((value, mean), scale)| {
                        let scaled = (f64::from(*value) - mean) * scale;
                        if value.is_finite() && scaled.is_finite() {
                            scaled.clamp(-FARTHEST, FARTHEST) as f32
                        } else {
                            0.0
                        }
                    })
            })
            .collect();
        Self {
            n_columns: self.n_columns,
            values,
        }
    }

    /// The same with rows as long as one.
    pub(crate) fn normalised(mut self) -> Self {
        self.values
            .par_chunks_exact_mut(self.n_columns)
            .for_each(|row| scale(row.iter_mut()));
        self
    }
}

impl Sparse {
    pub(crate) fn n_columns(&self) -> usize {
        self.n_columns
    }

    pub(crate) fn row(&self, row: usize) -> &[(u32, f32)] {
        &self.entries[self.starts[row]..self.starts[row + 1]]
    }

    /// Rows and columns exchanged.
    pub(crate) fn transposed(&self) -> Self {
        let mut starts = vec![0; self.n_columns + 1];
        for (column, _) in &self.entries {
            starts[*column as usize + 1] += 1;
        }
        for column in 0..self.n_columns {
            starts[column + 1] += starts[column];
        }
        let mut next = starts.clone();
        let mut entries = vec![(0, 0.0); self.entries.len()];
        let n_rows = self.starts.len() - 1;
        for row in 0..n_rows {
            for (column, value) in self.row(row) {
                let place = &mut next[*column as usize];
                entries[*place] = (row as u32, *value);
                *place += 1;
            }
        }
        Self {
            n_columns: n_rows,
            starts,
            entries,
        }
    }
}

/// Makes numbers a direction: their squares add up to one, where any is not zero.
fn scale<'a>(values: impl Iterator<Item = &'a mut f32>) {
    let values: Vec<&mut f32> = values.collect();
    let length = values
        .iter()
        .map(|value| f64::from(**value).powi(2))
        .sum::<f64>()
        .sqrt();
    if length > 0.0 {
        for value in values {
            *value = (f64::from(*value) / length) as f32;
        }
    }
}

/// How often a text has what is hashed to each column, by ascending columns.
fn counts(text: &str) -> Vec<(u32, u32)> {
    let mut hashes: Vec<u32> = Vec::with_capacity(4 * text.len());
    let mut add = |hash: u64| hashes.push((finish(hash) >> (64 - HASH_BITS)) as u32);
    let mut last = None;
    words(text, |hash, _| {
        add(hash);
        if let Some(last) = last {
            add(hash.rotate_left(17) ^ last);
        }
        last = Some(hash);
    });
    let step = |hash: u64, letter: char| {
        (hash.rotate_left(5) ^ u64::from(u32::from(letter))).wrapping_mul(0xf135_7aea_2e62_a9c5)
    };
    // White space of any length is one blank, and one stands before and after the text.
    let mut recent = [' '; 5];
    let mut n_letters = 1_usize;
    let letters = text.chars().flat_map(char::to_lowercase).chain([' ']);
    for letter in letters {
        let letter = if letter.is_whitespace() { ' ' } else { letter };
        if letter == ' ' && recent[4] == ' ' {
            continue;
        }
        recent.rotate_left(1);
        recent[4] = letter;
        n_letters += 1;
        let mut hash = 0x5851_f42d_4c95_7f2d;
        for (n, letter) in (1_usize..).zip(recent.iter().rev()) {
            hash = step(hash, *letter);
            if n >= 3 && n_letters >= n {
                add(hash.wrapping_add(n as u64));
            }
        }
    }
    hashes.sort_unstable();
    hashes
        .chunk_by(|one, other| one == other)
        .map(|same| (same[0], same.len() as u32))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_its_words_pairs_and_runs() {
        // Three words, two pairs; of " to be, it " nine runs of three, eight of four, seven of five.
        let n: u32 = counts("To  be,\nit").iter().map(|(_, n)| n).sum();
        assert_eq!(n, 3 + 2 + 9 + 8 + 7);
        assert_eq!(counts("To be,\n it"), counts("to BE, it"));
        assert!(counts("").is_empty() && counts(" \n").is_empty());
    }

    #[test]
    fn rows_of_texts_are_directions() {
        let Features::Sparse(sparse) =
            Features::texts(&["one and two", "one and three", "", "quite another"])
        else {
            panic!("texts are sparse");
        };
        for (row, expected) in [(0, 1.0), (1, 1.0), (2, 0.0)] {
            let length: f32 = sparse.row(row).iter().map(|(_, value)| value * value).sum();
            assert!((length - expected).abs() < 1e-5);
        }
        let back = sparse.transposed().transposed();
        assert_eq!(back, sparse);
    }

    #[test]
    fn columns_are_standardised_by_some_rows() {
        let dense = Dense {
            n_columns: 2,
            values: vec![1.0, 5.0, 3.0, 5.0, f32::NAN, f32::INFINITY, 9.0, 6.0],
        };
        let scaled = dense.standardised(|row| row < 3);
        assert_eq!(scaled.values, [-1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 7.0, 0.0]);
    }
}
