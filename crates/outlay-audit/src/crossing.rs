//! What the data shares with the files of the same form that it is compared with: its validation and test sets.

use std::io::{self, Write};

use serde::Serialize;

use crate::audit::Audit;

/// What crosses a split.
#[derive(Clone, Debug, Serialize)]
pub struct Crossing {
    /// Files that the data is compared with, record by record.
    pub n_files: usize,
    /// Their records.
    pub n_records: u64,
    /// Of these, records that say the same as one of the data.
    pub n_exact: u64,
    /// Of these, exact and near duplicates of records of the data, or of one that is.
    pub n_near: u64,
    /// Records of the data that one of them is a duplicate of.
    pub n_data_records: u64,
    /// The first of them.
    pub first: Vec<CrossingView>,
    /// Groups that are on both sides.
    pub groups: Vec<GroupCrossing>,
    /// Whether times overlap, where a field says when.
    pub time: Option<TimeCrossing>,
}

/// A record of the other files that the data has too.
#[derive(Clone, Debug, Serialize)]
pub struct CrossingView {
    /// The first record of the data that belongs to it.
    pub record: String,
    /// The record.
    pub compared: String,
    /// `exact` or `near`.
    pub how: &'static str,
}

/// A group whose values are on both sides.
#[derive(Clone, Debug, Serialize)]
pub struct GroupCrossing {
    /// The field.
    pub field: String,
    /// Different values on the other side.
    pub n_values: u64,
    /// Those that the data has too.
    pub n_shared: u64,
    /// Records of the other side with one of those.
    pub n_records: u64,
}

/// How times lie to each other; those of the data are to be before all others, where a model is to tell what comes.
#[derive(Clone, Debug, Serialize)]
pub struct TimeCrossing {
    /// The field.
    pub field: String,
    /// The latest time of the data, as a number: seconds since 1970 where the field has dates.
    pub data_last: f64,
    /// The earliest of the other side.
    pub compared_first: f64,
    /// Records of the data that are not before the earliest of the other side.
    pub n_data_not_before: u64,
    /// Records of the other side that are not after the latest of the data.
    pub n_compared_not_after: u64,
    /// Records on either side whose value is no time.
    pub n_unread: u64,
}

/// Records that are listed.
const LISTED: usize = 10;

impl Crossing {
    pub(crate) fn new(audit: &Audit) -> io::Result<Option<Self>> {
        if audit.compared.is_empty() {
            return Ok(None);
        }
        let (mut n_exact, mut n_near) = (0, 0);
        let mut first = Vec::new();
        audit.each_crossing(|record, other, is_exact| {
            n_exact += u64::from(is_exact);
            n_near += 1;
            if first.len() < LISTED {
                first.push(view(audit, record, other, is_exact)?);
            }
            Ok(())
        })?;
        let groups = audit.counts.groups.iter().map(|group| {
            let others = group.counts.iter().filter(|(_, other)| *other > 0);
            let shared = || others.clone().filter(|(data, _)| *data > 0);
            GroupCrossing {
                field: group.field.clone(),
                n_values: others.clone().count() as u64,
                n_shared: shared().count() as u64,
                n_records: shared().map(|(_, other)| other).sum(),
            }
        });
        let time = audit.counts.times.as_ref().and_then(|times| {
            let last = told(&times.data).reduce(f64::max)?;
            let earliest = told(&times.compared).reduce(f64::min)?;
            Some(TimeCrossing {
                field: times.field.clone(),
                data_last: last,
                compared_first: earliest,
                n_data_not_before: times.data.iter().filter(|at| **at >= earliest).count() as u64,
                n_compared_not_after: times.compared.iter().filter(|at| **at <= last).count()
                    as u64,
                n_unread: times.n_unread,
            })
        });
        Ok(Some(Self {
            n_files: audit.compared.len(),
            n_records: audit.compared.iter().map(|file| file.n_records).sum(),
            n_exact,
            n_near,
            n_data_records: audit.crossing().len() as u64,
            first,
            groups: groups.collect(),
            time,
        }))
    }
}

/// The times that are told.
fn told(times: &[f64]) -> impl Iterator<Item = f64> {
    times.iter().copied().filter(|at| !at.is_nan())
}

fn view(audit: &Audit, record: u32, other: u32, is_exact: bool) -> io::Result<CrossingView> {
    Ok(CrossingView {
        record: audit.table.name(record)?,
        compared: audit.table.name(other)?,
        how: if is_exact { "exact" } else { "near" },
    })
}

impl Audit {
    /// Hands over each record of the other side that the data has too, with the first record of the data that belongs to it.
    fn each_crossing(
        &self,
        mut with: impl FnMut(u32, u32, bool) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(found) = &self.near else {
            return Ok(());
        };
        for other in self.n_records..self.table.len() as u32 {
            let exact = found.exact[other as usize];
            let least = found.clusters.least(other);
            if exact < self.n_records {
                with(exact, other, true)?;
            } else if least < self.n_records {
                with(least, other, false)?;
            }
        }
        Ok(())
    }

    /// Records of the data that belong together with one of the other side, in their order.
    pub(crate) fn crossing(&self) -> Vec<u32> {
        let Some(found) = &self.near else {
            return Vec::new();
        };
        let mut least: Vec<u32> = (self.n_records..self.table.len() as u32)
            .map(|other| found.clusters.least(other))
            .filter(|least| *least < self.n_records)
            .collect();
        least.sort_unstable();
        least.dedup();
        (0..self.n_records)
            .filter(|record| least.binary_search(&found.clusters.least(*record)).is_ok())
            .collect()
    }

    pub(crate) fn write_crossing(&self, out: &mut impl Write) -> io::Result<()> {
        self.each_crossing(|record, other, is_exact| {
            serde_json::to_writer(&mut *out, &view(self, record, other, is_exact)?)?;
            out.write_all(b"\n")
        })
    }
}
