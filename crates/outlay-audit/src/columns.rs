//! Columns of a table, as values that can be counted.

use std::collections::HashMap;

/// Numbers of no more than so many different values are taken as names, as grades and numbers of classes are.
const FEW: usize = 20;

/// A value that is not there.
pub(crate) const MISSING: u32 = u32::MAX;

/// A column: its name, and a value of each row as text, or none.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    name: String,
    /// Of each row, which of the values it has.
    codes: Vec<u32>,
    /// The different values, in the order in which they appear.
    values: Vec<String>,
    /// The same as numbers, where all are numbers.
    numbers: Option<Vec<f64>>,
}

/// Values of a column as they are compared: numbers of many values in parts of as many rows.
pub(crate) struct Coded {
    /// Of each row, which; `MISSING` where there is none.
    pub(crate) codes: Vec<u32>,
    pub(crate) names: Vec<String>,
}

impl Column {
    /// Takes the values of all rows; blanks around a value do not count, and where nothing is left, none is there.
    ///
    /// A column is numeric where all its values are numbers; one that says `nan` or `inf` counts as missing there.
    ///
    /// ```
    /// use outlay_audit::Column;
    /// let column = Column::new("age", [Some("17"), None, Some(" 17 "), Some("nan"), Some("2e1")]);
    /// assert!(column.is_numeric());
    /// assert_eq!((column.n_rows(), column.n_missing(), column.n_values()), (5, 2, 2));
    /// ```
    pub fn new<T: AsRef<str>>(
        name: impl Into<String>,
        values: impl IntoIterator<Item = Option<T>>,
    ) -> Self {
        let mut known: HashMap<String, u32> = HashMap::new();
        let mut column = Self {
            name: name.into(),
            codes: Vec::new(),
            values: Vec::new(),
            numbers: None,
        };
        for value in values {
            let value = value.as_ref().map_or("", |value| value.as_ref().trim());
            let code = match known.get(value) {
                _ if value.is_empty() => MISSING,
                Some(code) => *code,
                None => {
                    let code = column.values.len() as u32;
                    known.insert(value.to_owned(), code);
                    column.values.push(value.to_owned());
                    code
                }
            };
            column.codes.push(code);
        }
        column.read_numbers();
        column
    }

    fn read_numbers(&mut self) {
        let Ok(numbers) = self
            .values
            .iter()
            .map(|value| value.parse())
            .collect::<Result<Vec<f64>, _>>()
        else {
            return;
        };
        if !numbers.iter().any(|number| number.is_finite()) {
            return;
        }
        // Values that are no numbers go, and those after them move up.
        let mut next = 0;
        let moved: Vec<u32> = numbers
            .iter()
            .map(|number| {
                if number.is_finite() {
                    next += 1;
                    next - 1
                } else {
                    MISSING
                }
            })
            .collect();
        for code in self.codes.iter_mut().filter(|code| **code != MISSING) {
            *code = moved[*code as usize];
        }
        let mut values = std::mem::take(&mut self.values).into_iter().zip(&moved);
        self.values = values
            .by_ref()
            .filter(|(_, code)| **code != MISSING)
            .map(|(value, _)| value)
            .collect();
        self.numbers = Some(
            numbers
                .into_iter()
                .filter(|number| number.is_finite())
                .collect(),
        );
    }

    /// The same with its numbers as mere names, such as those of a hundred classes.
    #[must_use]
    pub fn as_names(mut self) -> Self {
        self.numbers = None;
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.codes.len()
    }

    /// Rows without a value.
    #[must_use]
    pub fn n_missing(&self) -> usize {
        self.codes.iter().filter(|code| **code == MISSING).count()
    }

    /// Different values.
    #[must_use]
    pub fn n_values(&self) -> usize {
        self.values.len()
    }

    /// Whether all values are numbers.
    #[must_use]
    pub fn is_numeric(&self) -> bool {
        self.numbers.is_some()
    }

    /// Rows of each value, and the value, the most frequent first and of as many the first by name.
    pub(crate) fn counts(&self) -> Vec<(u64, &str)> {
        let mut counts: Vec<(u64, &str)> = self
            .values
            .iter()
            .map(|value| (0, value.as_str()))
            .collect();
        for code in self.codes.iter().filter(|code| **code != MISSING) {
            counts[*code as usize].0 += 1;
        }
        counts.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(other.1)));
        counts
    }

    /// The values as they stand; numbers of more than twenty values in so many parts, of as many rows as equal numbers let them have.
    pub(crate) fn coded(&self, n_bins: usize) -> Coded {
        let n_bins = n_bins.max(2);
        let numbers = match &self.numbers {
            Some(numbers) if numbers.len() > n_bins.max(FEW) => numbers,
            _ => {
                return Coded {
                    codes: self.codes.clone(),
                    names: self.values.clone(),
                };
            }
        };
        let mut counts = vec![0_u64; numbers.len()];
        for code in self.codes.iter().filter(|code| **code != MISSING) {
            counts[*code as usize] += 1;
        }
        let n: u64 = counts.iter().sum();
        let mut order: Vec<usize> = (0..numbers.len()).collect();
        order.sort_by(|one, other| numbers[*one].total_cmp(&numbers[*other]));
        let mut bins = vec![0_u32; numbers.len()];
        let mut bounds: Vec<(usize, usize)> = Vec::new();
        let (mut n_below, mut last) = (0, None);
        for value in order {
            // The middle of the rows with a number says which part all of them are in.
            let part =
                ((2 * n_below + counts[value]) as f64 / (2 * n) as f64 * n_bins as f64) as usize;
            n_below += counts[value];
            if last == Some(part) {
                if let Some((_, end)) = bounds.last_mut() {
                    *end = value;
                }
            } else {
                bounds.push((value, value));
            }
            last = Some(part);
            bins[value] = bounds.len() as u32 - 1;
        }
        Coded {
            codes: self
                .codes
                .iter()
                .map(|code| {
                    if *code == MISSING {
                        MISSING
                    } else {
                        bins[*code as usize]
                    }
                })
                .collect(),
            names: bounds
                .into_iter()
                .map(|(begin, end)| match begin == end {
                    true => self.values[begin].clone(),
                    false => format!("{} to {}", self.values[begin], self.values[end]),
                })
                .collect(),
        }
    }
}

/// How often each pair of values is there, by both in ascending order, without rows that miss one.
pub(crate) fn pairs(
    ones: &[u32],
    others: &[u32],
    n_ones: usize,
    n_others: usize,
) -> Vec<(u32, u32, u64)> {
    /// Pairs of values for which a count each is kept whether it is needed or not.
    const COUNTED: usize = 1 << 20;
    let rows = ones
        .iter()
        .zip(others)
        .filter(|(one, other)| **one != MISSING && **other != MISSING);
    if let Some(n_pairs) = n_ones
        .checked_mul(n_others)
        .filter(|n_pairs| *n_pairs <= COUNTED)
    {
        let mut counts = vec![0_u64; n_pairs];
        for (one, other) in rows {
            counts[*one as usize * n_others + *other as usize] += 1;
        }
        let place = |at: usize| ((at / n_others) as u32, (at % n_others) as u32);
        return counts
            .into_iter()
            .enumerate()
            .filter(|(_, n)| *n > 0)
            .map(|(at, n)| (place(at).0, place(at).1, n))
            .collect();
    }
    let mut sorted: Vec<u64> = rows
        .map(|(one, other)| u64::from(*one) << 32 | u64::from(*other))
        .collect();
    sorted.sort_unstable();
    sorted
        .chunk_by(|one, other| one == other)
        .map(|same| ((same[0] >> 32) as u32, same[0] as u32, same.len() as u64))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_parted_by_rows() {
        let column = Column::new("n", (0..100).rev().map(|n| Some(n.to_string())));
        let coded = column.coded(4);
        assert_eq!(
            coded.names,
            ["0 to 24", "25 to 49", "50 to 74", "75 to 99"].map(str::to_owned)
        );
        assert_eq!((coded.codes[0], coded.codes[99]), (3, 0));
        // Half of the rows are zero, and stay together.
        let column = Column::new(
            "n",
            (0..100).map(|n| Some(if n < 50 { 0 } else { n }.to_string())),
        );
        let names = column.coded(4).names;
        assert_eq!(names, ["0", "50 to 74", "75 to 99"].map(str::to_owned));
    }

    #[test]
    fn what_is_no_number_keeps_its_values() {
        let column = Column::new("n", [Some("nan"), Some("x"), Some("1"), Some("x")]);
        assert!(!column.is_numeric());
        assert_eq!(column.coded(2).names, ["nan", "x", "1"].map(str::to_owned));
        assert_eq!(column.counts()[0], (2, "x"));
        let column = Column::new("n", [Some("nan"), Some("3"), Some("inf"), Some("1")]);
        assert_eq!(column.coded(2).codes, [MISSING, 0, MISSING, 1]);
        assert_eq!(Column::new("n", [None::<&str>, Some("")]).n_missing(), 2);
    }

    #[test]
    fn pairs_are_the_same_of_few_and_of_many_values() {
        let ones = [0, 1, MISSING, 1, 0];
        let others = [2, 0, 1, 0, MISSING];
        let few = pairs(&ones, &others, 2, 3);
        assert_eq!(few, [(0, 2, 1), (1, 0, 2)]);
        assert_eq!(pairs(&ones, &others, 1 << 20, 1 << 20), few);
    }
}
