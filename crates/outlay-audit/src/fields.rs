//! What fields the records have, where files differ in them, and how long texts are.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::audit::Audit;
use crate::schema::{FieldSeen, ValueType};

/// The fields of all records.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FieldsSeen {
    /// Each field, in the order in which they were first seen.
    pub fields: Vec<FieldView>,
    /// Where files, or records of one, differ.
    pub drift: Vec<Drift>,
    /// How many such places there are.
    pub n_drifts: u64,
}

/// A field of the records of the data.
#[derive(Clone, Debug, Serialize)]
pub struct FieldView {
    /// What it is called.
    pub name: String,
    /// The type of most of its values.
    pub main: ValueType,
    /// How many values are of each type.
    pub types: BTreeMap<&'static str, u64>,
    /// Records without the field.
    pub n_missing: u64,
}

/// A difference that readers stumble over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The field.
    pub field: String,
    /// The file.
    pub file: String,
    /// `missing_field`, `other_type`, `mixed_types` or `new_field`.
    pub what: &'static str,
    /// In words: what there is, and what there is elsewhere.
    pub why: String,
}

/// Drifts that are listed.
const LISTED: usize = 50;

impl FieldsSeen {
    pub(crate) fn new(audit: &Audit) -> Self {
        let n_files = audit.files.len();
        let mut all = crate::schema::Schema::default();
        for schema in &audit.schemas[..n_files] {
            all.merge(schema);
        }
        let mut seen = Self::default();
        for field in &all.fields {
            let n_values: u64 = field.n_values.iter().sum();
            seen.fields.push(FieldView {
                name: field.name.clone(),
                main: field.main(),
                types: ValueType::ALL
                    .into_iter()
                    .map(|kind| (kind.name(), field.n_of(kind)))
                    .filter(|(_, n)| *n > 0)
                    .collect(),
                n_missing: all.n_records.saturating_sub(n_values),
            });
        }
        let files = audit.files.iter().chain(&audit.compared);
        let with_fields = || {
            files
                .clone()
                .zip(&audit.schemas)
                .filter(|(_, schema)| schema.n_records > 0)
        };
        let n_with_fields = with_fields().count();
        for (file, schema) in with_fields() {
            let path = file.path.display().to_string();
            let by_name: BTreeMap<&str, &FieldSeen> = schema
                .fields
                .iter()
                .map(|field| (field.name.as_str(), field))
                .collect();
            for field in &schema.fields {
                let (main, n_mixed) = (field.main(), field.n_mixed());
                if n_mixed > 0 {
                    let n_all: u64 = field.n_values.iter().sum();
                    seen.drifts(&field.name, &path, "mixed_types", || {
                        format!("{n_mixed} of {n_all} values are no {}", main.name())
                    });
                }
            }
            for field in &all.fields {
                let most = field.main();
                match by_name.get(field.name.as_str()) {
                    None if n_with_fields > 1 => {
                        seen.drifts(&field.name, &path, "missing_field", || {
                            "other files have it".to_owned()
                        });
                    }
                    Some(own) if own.main() != most && own.main() != ValueType::Null => {
                        // Whole numbers are numbers.
                        if most == ValueType::Number && own.main() == ValueType::Integer {
                            continue;
                        }
                        seen.drifts(&field.name, &path, "other_type", || {
                            format!("{} where most are {}", own.main().name(), most.name())
                        });
                    }
                    _ => {}
                }
            }
        }
        for (file, schema) in audit.compared.iter().zip(&audit.schemas[n_files..]) {
            for field in &schema.fields {
                if !all.fields.iter().any(|known| known.name == field.name) {
                    let path = file.path.display().to_string();
                    seen.drifts(&field.name, &path, "new_field", || {
                        "the data does not have it".to_owned()
                    });
                }
            }
        }
        seen
    }

    fn drifts(&mut self, field: &str, file: &str, what: &'static str, why: impl Fn() -> String) {
        self.n_drifts += 1;
        if self.drift.len() < LISTED {
            self.drift.push(Drift {
                field: field.to_owned(),
                file: file.to_owned(),
                what,
                why: why(),
            });
        }
    }
}

/// How long the records' texts are, in bytes.
///
/// Outliers lie beyond Tukey's outer fences of the lengths' logarithms (*Exploratory Data Analysis*, 1977, section 2D: three times the distance of the quartiles beyond these), as lengths of texts spread by factors.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Lengths {
    /// A hundredth is no longer.
    pub p1: u64,
    /// A quarter.
    pub p25: u64,
    /// Half.
    pub p50: u64,
    /// Three quarters.
    pub p75: u64,
    /// All but a hundredth.
    pub p99: u64,
    /// The longest.
    pub most: u64,
    /// Texts without a byte.
    pub n_empty: u64,
    /// Texts that are much shorter than most.
    pub n_short_outliers: u64,
    /// Texts that are much longer than most.
    pub n_long_outliers: u64,
    /// Texts by the powers of two of their bytes: 0, 1, 2 to 3, 4 to 7 and so on.
    pub histogram: Vec<u64>,
}

impl Lengths {
    pub(crate) fn new(audit: &Audit) -> Self {
        let lengths = (0..audit.n_records).map(|record| audit.table.n_bytes(record));
        Self::of(lengths.collect())
    }

    /// Of any lengths.
    fn of(mut lengths: Vec<u64>) -> Self {
        lengths.sort_unstable();
        let at = |share: f64| {
            let place = ((lengths.len() as f64 * share).ceil() as usize).saturating_sub(1);
            lengths.get(place).copied().unwrap_or(0)
        };
        let mut histogram = Vec::new();
        for length in &lengths {
            let bin = (64 - length.leading_zeros()) as usize;
            if histogram.len() <= bin {
                histogram.resize(bin + 1, 0);
            }
            histogram[bin] += 1;
        }
        let log = |length: u64| (length.max(1) as f64).log2();
        let (low, high) = (log(at(0.25)), log(at(0.75)));
        // Where quartiles are one, a factor of two is still no outlier.
        let reach = 3.0 * (high - low).max(0.5);
        let n_empty = lengths.partition_point(|length| *length == 0);
        let beyond = |is_beyond: &dyn Fn(f64) -> bool| {
            lengths[n_empty..]
                .iter()
                .filter(|length| is_beyond(log(**length)))
                .count() as u64
        };
        Self {
            p1: at(0.01),
            p25: at(0.25),
            p50: at(0.5),
            p75: at(0.75),
            p99: at(0.99),
            most: lengths.last().copied().unwrap_or(0),
            n_empty: n_empty as u64,
            n_short_outliers: beyond(&|log| log < low - reach),
            n_long_outliers: beyond(&|log| log > high + reach),
            histogram,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_are_far_from_most() {
        // Quartiles of 64 and 128 bytes: fences at 2^(6 - 3) = 8 and 2^(7 + 3) = 1024.
        let mut lengths: Vec<u64> = vec![64; 50];
        lengths.extend([128; 50]);
        lengths.extend([0, 7, 8, 1024, 1025]);
        let of = Lengths::of(lengths);
        assert_eq!((of.p25, of.p75), (64, 128));
        assert_eq!(
            (of.n_empty, of.n_short_outliers, of.n_long_outliers),
            (1, 1, 1)
        );
        assert_eq!(of.histogram.iter().sum::<u64>(), 105);
        assert_eq!(
            (of.histogram[0], of.histogram[7], of.histogram[8]),
            (1, 50, 50)
        );
        assert_eq!(Lengths::of(Vec::new()).most, 0);
    }
}
