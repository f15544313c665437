//! Embeddings of records: a table of numbers, one row for each, and how it is read from a file of numpy's.

use std::io::{self, Read};

/// Numbers of records, row after row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embeddings {
    n_rows: usize,
    n_columns: usize,
    values: Vec<f32>,
}

/// Why a file is no table of embeddings.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// It does not begin as such a file does.
    #[error("it is no .npy file: the first bytes are not those of one")]
    NotNpy,
    /// A version that is not known.
    #[error("its version of .npy is {0}.{1}; allowed: 1.0, 2.0, 3.0")]
    Version(u8, u8),
    /// The header cannot be read.
    #[error("its header cannot be read: {0}")]
    Header(&'static str),
    /// Numbers of another type.
    #[error(
        "its numbers are of type `{0}`; allowed: f2, f4, f8 of either byte order. hint: save `array.astype(\"float32\")`"
    )]
    Type(String),
    /// Columns first.
    #[error("its numbers lie column by column. hint: save `numpy.ascontiguousarray(array)`")]
    ColumnOrder,
    /// Not rows and columns.
    #[error(
        "its shape is ({0}), and not rows and columns. hint: save `array.reshape(len(array), -1)`"
    )]
    Shape(String),
    /// More numbers than a machine can address, or not as many as it should be.
    #[error("{n_values} numbers are no {n_rows} rows of {n_columns}")]
    Size {
        /// Rows.
        n_rows: usize,
        /// Numbers of each.
        n_columns: usize,
        /// Numbers that there are.
        n_values: usize,
    },
    /// The file ends too early.
    #[error("it ends after {n_values} of its numbers")]
    Short {
        /// Numbers that were read.
        n_values: usize,
    },
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
}

/// Bytes of a header: numpy itself refuses more than 10,000 unless it is told otherwise.
const HEADER_MAX: usize = 1 << 16;

impl Embeddings {
    /// A table of numbers that lie row by row.
    ///
    /// # Errors
    ///
    /// When there are not as many numbers as rows times columns.
    pub fn new(n_rows: usize, n_columns: usize, values: Vec<f32>) -> Result<Self, NpyError> {
        if n_rows.checked_mul(n_columns) != Some(values.len()) {
            return Err(NpyError::Size {
                n_rows,
                n_columns,
                n_values: values.len(),
            });
        }
        Ok(Self {
            n_rows,
            n_columns,
            values,
        })
    }

    /// How many rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Numbers of a row.
    #[must_use]
    pub fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// A row's numbers; none where there is no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f32] {
        if row >= self.n_rows {
            return &[];
        }
        &self.values[row * self.n_columns..(row + 1) * self.n_columns]
    }

    /// Reads a `.npy` file, version 1 to 3 (NEP 1 of numpy, and `numpy.lib.format`): numbers of 2, 4 or 8 bytes, row by row.
    ///
    /// # Errors
    ///
    /// When it is no such file, damaged, of another type of numbers, column by column, or not of two dimensions.
    ///
    /// ```
    /// use outlay_audit::Embeddings;
    /// let mut file = b"\x93NUMPY\x01\x00\x3a\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)}\n".to_vec();
    /// file.extend([1.5_f32, -2.0].iter().flat_map(|number| number.to_le_bytes()));
    /// let embeddings = Embeddings::read_npy(file.as_slice())?;
    /// assert_eq!(embeddings.row(0), [1.5, -2.0]);
    /// # Ok::<(), outlay_audit::NpyError>(())
    /// ```
    pub fn read_npy(mut from: impl Read) -> Result<Self, NpyError> {
        let mut start = [0; 8];
        fill(&mut from, &mut start, NpyError::NotNpy)?;
        if !start.starts_with(b"\x93NUMPY") {
            return Err(NpyError::NotNpy);
        }
        let n_header = match (start[6], start[7]) {
            (1, 0) => {
                let mut bytes = [0; 2];
                fill(&mut from, &mut bytes, NpyError::Header("it ends early"))?;
                usize::from(u16::from_le_bytes(bytes))
            }
            (2 | 3, 0) => {
                let mut bytes = [0; 4];
                fill(&mut from, &mut bytes, NpyError::Header("it ends early"))?;
                u32::from_le_bytes(bytes) as usize
            }
            (major, minor) => return Err(NpyError::Version(major, minor)),
        };
        if n_header > HEADER_MAX {
            return Err(NpyError::Header("it is longer than 65,536 bytes"));
        }
        let mut header = vec![0; n_header];
        fill(&mut from, &mut header, NpyError::Header("it ends early"))?;
        let header =
            std::str::from_utf8(&header).map_err(|_| NpyError::Header("it is no text of UTF-8"))?;
        let header = Header::parse(header)?;
        header.read(from)
    }
}

/// Fills a buffer, or says what it means that there is no more.
fn fill(from: &mut impl Read, buffer: &mut [u8], short: NpyError) -> Result<(), NpyError> {
    from.read_exact(buffer).map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            short
        } else {
            NpyError::Read(error)
        }
    })
}

struct Header {
    n_bytes: usize,
    is_big_endian: bool,
    n_rows: usize,
    n_columns: usize,
}

impl Header {
    /// Reads the header's three entries, as numpy writes them: a dictionary of Python's.
    fn parse(header: &str) -> Result<Self, NpyError> {
        let value = |key: &str| {
            let (_, rest) = header
                .split_once(&format!("'{key}'"))
                .or_else(|| header.split_once(&format!("\"{key}\"")))?;
            Some(rest.trim_start().strip_prefix(':')?.trim_start())
        };
        let descr = value("descr").ok_or(NpyError::Header("it names no `descr`"))?;
        let quote = descr
            .chars()
            .next()
            .filter(|sign| matches!(sign, '\'' | '"'));
        let descr = quote
            .and_then(|quote| descr[1..].split_once(quote))
            .map(|(descr, _)| descr)
            .ok_or_else(|| NpyError::Type(descr.chars().take(40).collect()))?;
        let (is_big_endian, n_bytes) = match descr {
            "<f2" | "=f2" | "f2" => (false, 2),
            "<f4" | "=f4" | "f4" => (false, 4),
            "<f8" | "=f8" | "f8" => (false, 8),
            ">f2" => (true, 2),
            ">f4" => (true, 4),
            ">f8" => (true, 8),
            _ => return Err(NpyError::Type(descr.chars().take(40).collect())),
        };
        let order =
            value("fortran_order").ok_or(NpyError::Header("it names no `fortran_order`"))?;
        let is_by_column = match order {
            order if order.starts_with("True") => true,
            order if order.starts_with("False") => false,
            _ => {
                return Err(NpyError::Header(
                    "`fortran_order` is neither True nor False",
                ));
            }
        };
        let shape = value("shape").ok_or(NpyError::Header("it names no `shape`"))?;
        let shape = shape
            .strip_prefix('(')
            .and_then(|shape| shape.split_once(')'))
            .map(|(shape, _)| shape)
            .ok_or(NpyError::Header("`shape` is no tuple"))?;
        let sizes: Option<Vec<usize>> = shape
            .split(',')
            .map(str::trim)
            .filter(|size| !size.is_empty())
            .map(|size| size.trim_end_matches('L').parse().ok())
            .collect();
        let sizes = sizes.ok_or(NpyError::Header("`shape` has what is no number"))?;
        let [n_rows, n_columns] = sizes[..] else {
            return Err(NpyError::Shape(shape.chars().take(40).collect()));
        };
        if is_by_column && n_rows > 1 && n_columns > 1 {
            return Err(NpyError::ColumnOrder);
        }
        Ok(Self {
            n_bytes,
            is_big_endian,
            n_rows,
            n_columns,
        })
    }

    fn read(&self, mut from: impl Read) -> Result<Embeddings, NpyError> {
        let n_values = self
            .n_rows
            .checked_mul(self.n_columns)
            .filter(|n| n.checked_mul(8).is_some())
            .ok_or(NpyError::Size {
                n_rows: self.n_rows,
                n_columns: self.n_columns,
                n_values: usize::MAX,
            })?;
        // Room is made as numbers come, since a damaged header may name any size.
        let mut values: Vec<f32> = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        while values.len() < n_values {
            let n_next = (n_values - values.len()).min(buffer.len() / self.n_bytes);
            let bytes = &mut buffer[..n_next * self.n_bytes];
            fill(
                &mut from,
                bytes,
                NpyError::Short {
                    n_values: values.len(),
                },
            )?;
            if self.is_big_endian {
                bytes
                    .chunks_exact_mut(self.n_bytes)
                    .for_each(<[u8]>::reverse);
            }
            match self.n_bytes {
                2 => values.extend(
                    bytes
                        .as_chunks()
                        .0
                        .iter()
                        .map(|two| half(u16::from_le_bytes(*two))),
                ),
                4 => values.extend(
                    bytes
                        .as_chunks()
                        .0
                        .iter()
                        .map(|four| f32::from_le_bytes(*four)),
                ),
                _ => values.extend(
                    bytes
                        .as_chunks()
                        .0
                        .iter()
                        .map(|eight| f64::from_le_bytes(*eight) as f32),
                ),
            }
        }
        Embeddings::new(self.n_rows, self.n_columns, values)
    }
}

/// A number of 16 bits: one of sign, five of exponent, ten of fraction (IEEE 754-2008, binary16).
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f32::from(bits & 0x3ff);
    sign * match exponent {
        0 => fraction * 2.0_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2.0_f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::half;

    #[test]
    fn halves_are_those_of_the_standard() {
        // Examples of IEEE 754's binary16: one, minus two, the largest, the least normal, the least of all.
        for (bits, number) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0400, 2.0_f32.powi(-14)),
            (0x0001, 2.0_f32.powi(-24)),
            (0x3555, 0.333_251_95),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(half(bits), number);
        }
        assert!(half(0x7e00).is_nan());
    }
}
