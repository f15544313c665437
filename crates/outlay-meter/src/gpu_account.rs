//! Turns readings of accelerators into what one run used of them.
//!
//! # What is the run's
//!
//! Energy is measured for each interval between two readings, and then given out by who was on the accelerator at either end of it:
//!
//! - only this run's processes: all of it;
//! - this run's and others': a share by busy time, else by memory, else by number of processes, whichever is known of them all;
//! - only others': none;
//! - nobody: the run's while it still holds the accelerator.
//!   It holds it when the last processes seen there were this run's alone, and it either named it ([`Visible::names`]) or comes back to it before anyone else.
//!   All other idle energy is told apart, in [`AcceleratorUse::idle_joules`]; so is that before the first use, also of an accelerator that was named;
//! - nobody can tell: the run's when it named the accelerator, as a model; else nobody's.
//!
//! So two runs that watch one accelerator and see the same readings never claim more than it drew, as long as the driver tells who is on it:
//! shares of one interval add up to one at most, and of two runs only one can have been the last alone.
//! Where the driver does not tell, naming an accelerator is taken as having it to oneself; two runs that name it both count it.
//!
//! # What is missing
//!
//! An interval that could not be measured as it should is a [`Gap`], which says what filled it, if anything.

mod accelerator;
mod users;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Figure, GpuReading, Quality, ReadFault, Visible};
use accelerator::Accelerator;

/// The account of one run over all accelerators that it can see.
pub struct GpuAccount {
    visible: Visible,
    accelerators: BTreeMap<String, Accelerator>,
    /// The first and the last time that a reading was tried.
    span_s: Option<(f64, f64)>,
    /// Why the last reading did not work, while no accelerator has been seen.
    early_fault: Option<String>,
}

/// What a run used of the accelerators.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuUse {
    /// Each accelerator or slice that was ever read, by its number and id; also those that the run did not touch.
    pub accelerators: Vec<AcceleratorUse>,
    /// Joules of all of them that are the run's; `None` when no energy could be measured.
    pub energy_joules: Option<Figure>,
    /// Whether all energy was measured: every gap on every accelerator is filled. Else the joules are a lower bound.
    pub complete: bool,
    /// Failed readings while no accelerator had been seen yet, so that they are on no accelerator's list.
    pub gaps: Vec<Gap>,
}

/// What a run used of one accelerator or slice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AcceleratorUse {
    /// As in the reading.
    pub id: String,
    /// As in the reading.
    pub index: u32,
    /// As in the reading.
    pub name: String,
    /// For a slice, the accelerator that it is part of; all joules and watts here are then the slice's part, by its share of the compute.
    pub parent: Option<String>,
    /// Whether the run named it, rather than just being able to see it.
    pub is_named: bool,
    /// Joules that are the run's; `None` when none could be measured at all.
    pub energy_joules: Option<Figure>,
    /// Of these, joules from integrated power readings.
    pub sampled_joules: f64,
    /// Of these, joules by a share: among processes, among slices, or by naming alone.
    pub modelled_joules: f64,
    /// Joules while nobody was on it, that are not the run's.
    pub idle_joules: f64,
    /// Joules that are other processes', or of which nobody can tell whose they are.
    pub others_joules: f64,
    /// Seconds that the run held it.
    pub held_s: f64,
    /// Seconds in which nobody could tell who used it: the driver does not list processes, or numbers them as another container does.
    pub users_unknown_s: f64,
    /// Mean share of the held time in which a kernel ran, whosever it was.
    pub busy_mean: Option<f64>,
    /// Highest such share between two readings.
    pub busy_peak: Option<f64>,
    /// Share of the held time in intervals in which next to nothing ran (at most 1% of the interval).
    pub idle_share: Option<f64>,
    /// Most memory that the run's processes held together at a reading.
    pub memory_peak_bytes: Option<u64>,
    /// Mean watts that it drew while the run held it, whosever they were.
    pub power_mean_watts: Option<f64>,
    /// Intervals that were not measured as they should have been, oldest first.
    pub gaps: Vec<Gap>,
}

/// A time in which an accelerator could not be read, or not well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// When it began, in the seconds that the readings came with.
    pub from_s: f64,
    /// When it ended.
    pub to_s: f64,
    /// What was wrong, as a sentence without its full stop.
    pub why: String,
    /// How the energy over it is known all the same.
    ///
    /// `Counter`: the counter came back and had kept counting; who used the accelerator is known for the two ends only.
    /// `Sampled`: by power. `None`: it is missing.
    pub filled: Option<Quality>,
}

impl GpuAccount {
    /// Begins an account.
    pub fn new(visible: Visible) -> Self {
        Self {
            visible,
            accelerators: BTreeMap::new(),
            span_s: None,
            early_fault: None,
        }
    }

    /// Takes in one reading, or that it did not work.
    ///
    /// `at_seconds` is of a clock that only goes forward; a reading from before the last one is left out.
    /// `ours` says whether a process is of this run.
    pub fn observe(
        &mut self,
        at_seconds: f64,
        reading: Result<Vec<GpuReading>, ReadFault>,
        ours: &dyn Fn(u32) -> bool,
    ) {
        let (first_s, last_s) = self.span_s.unwrap_or((at_seconds, at_seconds));
        if at_seconds < last_s || at_seconds == last_s && self.span_s.is_some() {
            return;
        }
        self.span_s = Some((first_s, at_seconds));
        let readings = match reading {
            Ok(readings) => readings,
            Err(ReadFault(why)) => {
                for accelerator in self.accelerators.values_mut() {
                    accelerator.miss(&why);
                }
                if self.accelerators.is_empty() {
                    self.early_fault = Some(why);
                }
                return;
            }
        };
        let readings = once_each(readings);
        for accelerator in self.accelerators.values_mut() {
            if !readings
                .iter()
                .any(|reading| reading.id == accelerator.id())
            {
                accelerator.miss("it was not there, though others could be read");
            }
        }
        for reading in &readings {
            let scale = scale(reading, &readings);
            match self.accelerators.get_mut(&reading.id) {
                Some(accelerator) => accelerator.observe(at_seconds, reading, scale, ours),
                None => {
                    let named = self.visible.names(reading);
                    let mut accelerator = Accelerator::new(reading, named);
                    if at_seconds > first_s {
                        let why = self
                            .early_fault
                            .as_deref()
                            .unwrap_or("it was not there yet");
                        accelerator.add_gap(first_s, at_seconds, why, None);
                    }
                    accelerator.observe(at_seconds, reading, scale, ours);
                    self.accelerators.insert(reading.id.clone(), accelerator);
                }
            }
        }
        self.early_fault = None;
    }

    /// What was used up to the last reading.
    pub fn totals(&self) -> GpuUse {
        let last_s = self.span_s.map_or(0.0, |(_, last_s)| last_s);
        let mut accelerators: Vec<_> = self
            .accelerators
            .values()
            .map(|accelerator| accelerator.totals(last_s))
            .collect();
        accelerators.sort_by(|a, b| (a.index, &a.id).cmp(&(b.index, &b.id)));
        let gaps: Vec<_> = self
            .early_fault
            .iter()
            .zip(self.span_s)
            .map(|(why, (from_s, to_s))| Gap {
                from_s,
                to_s,
                why: why.clone(),
                filled: None,
            })
            .collect();
        let mut all_gaps = gaps
            .iter()
            .chain(accelerators.iter().flat_map(|one| &one.gaps));
        GpuUse {
            complete: all_gaps.all(|gap| gap.filled.is_some()),
            energy_joules: accelerators
                .iter()
                .filter_map(|one| one.energy_joules)
                .reduce(Figure::plus),
            accelerators,
            gaps,
        }
    }

    /// Ends the account.
    #[must_use]
    pub fn finish(self) -> GpuUse {
        self.totals()
    }
}

/// Leaves out second readings of one id, and whole accelerators whose slices are there, so that no energy counts twice.
fn once_each(readings: Vec<GpuReading>) -> Vec<GpuReading> {
    let parents: BTreeSet<_> = readings
        .iter()
        .filter_map(|reading| reading.parent.clone())
        .collect();
    let mut seen = BTreeSet::new();
    readings
        .into_iter()
        .filter(|reading| !parents.contains(&reading.id) && seen.insert(reading.id.clone()))
        .collect()
}

/// The part of the measured energy that is this reading's: 1, or a slice's share; `None` when that is not known.
///
/// Shares of one accelerator that add up to more than 1 are scaled down, for a driver that counts slices in another way than it counts their number.
fn scale(reading: &GpuReading, readings: &[GpuReading]) -> Option<f64> {
    if reading.parent.is_none() {
        return Some(1.0);
    }
    let siblings = readings
        .iter()
        .filter(|other| other.parent == reading.parent);
    let sum: f64 = siblings.filter_map(|other| other.slice_share).sum();
    reading.slice_share.map(|share| share / sum.max(1.0))
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
