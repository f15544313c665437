//! The account of one accelerator or slice.

use super::{
    AcceleratorUse, Gap,
    users::{self, Users, Whose},
};
use crate::{Figure, GpuReading, Quality};

/// An interval with at most this busy share counts as idle: drivers tell whole percents, and housekeeping alone gives one.
const IDLE_BUSY_MAX: f64 = 0.01;

/// What is known of one accelerator so far.
pub(super) struct Accelerator {
    used: AcceleratorUse,
    /// The reading up to which energy is accounted for.
    anchor: Option<Point>,
    /// Why a reading since then gave nothing.
    missed: Option<String>,
    /// Whether the last processes seen were this run's alone.
    is_ours_last: bool,
    /// What was drawn since then while nobody was there, for the run if it comes back first.
    pending: Vec<Interval>,
    busy: Means,
    power: Means,
    idle_s: f64,
}

/// A reading, as far as the next one needs it.
struct Point {
    at_s: f64,
    energy_joules: Option<f64>,
    power_watts: Option<f64>,
    users: Users,
}

/// The time between two readings.
struct Interval {
    seconds: f64,
    energy: Option<Figure>,
    busy: Option<f64>,
}

/// A sum over time, and that time.
#[derive(Default)]
struct Means {
    sum: f64,
    seconds: f64,
}

impl Means {
    fn mean(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.sum / self.seconds)
    }
}

impl Accelerator {
    pub(super) fn new(reading: &GpuReading, is_named: bool) -> Self {
        Self {
            used: AcceleratorUse {
                id: reading.id.clone(),
                index: reading.index,
                name: reading.name.clone(),
                parent: reading.parent.clone(),
                is_named,
                ..AcceleratorUse::default()
            },
            anchor: None,
            missed: None,
            is_ours_last: false,
            pending: Vec::new(),
            busy: Means::default(),
            power: Means::default(),
            idle_s: 0.0,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.used.id
    }

    /// Notes that a reading did not have it.
    pub(super) fn miss(&mut self, why: &str) {
        self.missed.get_or_insert_with(|| why.to_owned());
    }

    pub(super) fn observe(
        &mut self,
        at_s: f64,
        reading: &GpuReading,
        scale: Option<f64>,
        ours: &dyn Fn(u32) -> bool,
    ) {
        let mut now = Point {
            at_s,
            energy_joules: reading.energy_joules,
            power_watts: reading.power_watts,
            users: users::users(reading, ours),
        };
        let memory = users::memory_of_ours(&now.users);
        self.used.memory_peak_bytes = self.used.memory_peak_bytes.max(memory);
        let Some(before) = self.anchor.take() else {
            self.anchor = Some(now);
            return;
        };
        let measured = measure(&before, &now, self.missed.as_deref());
        let gap = measured.is_gap.then_some(measured.why.as_str());
        let is_blind = now.energy_joules.is_none() && now.power_watts.is_none();
        if before.energy_joules.is_some() && is_blind {
            // The counter may come back and close the gap, so it is waited for; who was here meanwhile is kept.
            self.miss(&measured.why);
            let users = users::join(&before.users, &now.users);
            self.anchor = Some(Point { users, ..before });
            return;
        }
        self.missed = None;
        let quality = match scale {
            Some(scale) if scale < 1.0 => Quality::Modelled,
            _ => measured.quality,
        };
        let energy = measured.joules.zip(scale).map(|(joules, scale)| Figure {
            value: joules * scale,
            quality,
        });
        if scale.is_none() {
            self.add_gap(
                before.at_s,
                at_s,
                "the driver does not tell how large the slice is",
                None,
            );
        } else if let Some(why) = gap {
            self.add_gap(
                before.at_s,
                at_s,
                why,
                measured.joules.map(|_| measured.quality),
            );
        }
        let interval = Interval {
            seconds: at_s - before.at_s,
            energy,
            busy: reading.busy.filter(|_| gap.is_none()),
        };
        let joined = users::join(&before.users, &now.users);
        self.give(interval, users::whose(&joined));
        // A process that is ours once stays ours, also for the next interval.
        if let (Some(joined), Some(now_users)) = (joined, &mut now.users) {
            now_users.extend(
                joined
                    .into_iter()
                    .filter(|(pid, _)| now_users.contains_key(pid))
                    .collect::<Vec<_>>(),
            );
        }
        self.anchor = Some(now);
    }

    pub(super) fn add_gap(&mut self, from_s: f64, to_s: f64, why: &str, filled: Option<Quality>) {
        match self.used.gaps.last_mut() {
            Some(last) if last.to_s == from_s && last.why == why && last.filled == filled => {
                last.to_s = to_s;
            }
            _ => self.used.gaps.push(Gap {
                from_s,
                to_s,
                why: why.to_owned(),
                filled,
            }),
        }
    }

    pub(super) fn totals(&self, last_s: f64) -> AcceleratorUse {
        let mut used = self.used.clone();
        // What waits for the run to come back is not its own unless it does.
        used.idle_joules += joules(&self.pending);
        if let (Some(anchor), Some(why)) = (&self.anchor, &self.missed) {
            used.gaps.push(Gap {
                from_s: anchor.at_s,
                to_s: last_s,
                why: why.clone(),
                filled: None,
            });
        }
        used.busy_mean = self.busy.mean();
        used.idle_share = (self.busy.seconds > 0.0).then(|| self.idle_s / self.busy.seconds);
        used.power_mean_watts = self.power.mean();
        used
    }

    /// Gives an interval to whom it belongs.
    fn give(&mut self, interval: Interval, whose: Whose) {
        let value = interval.energy.map_or(0.0, |energy| energy.value);
        if interval.energy.is_some() {
            // From here on there is a figure, if only of zero joules, which are known exactly.
            self.used.energy_joules.get_or_insert(Figure {
                value: 0.0,
                quality: Quality::Counter,
            });
        }
        if !matches!(whose, Whose::Nobody) {
            self.settle(matches!(whose, Whose::Ours | Whose::Shared(_)));
            self.is_ours_last = whose == Whose::Ours;
        }
        match whose {
            Whose::Ours => self.take(&interval, 1.0, Quality::Counter),
            Whose::Shared(share) => {
                self.take(&interval, share, Quality::Modelled);
                self.used.others_joules += value * (1.0 - share);
            }
            Whose::Others => self.used.others_joules += value,
            Whose::Nobody if !self.is_ours_last => self.used.idle_joules += value,
            Whose::Nobody if self.used.is_named => self.take(&interval, 1.0, Quality::Counter),
            Whose::Nobody => self.pending.push(interval),
            Whose::Unknown => {
                self.used.users_unknown_s += interval.seconds;
                if self.used.is_named {
                    self.take(&interval, 1.0, Quality::Modelled);
                } else {
                    self.used.others_joules += value;
                }
            }
        }
    }

    /// Ends a pause: it was the run's when the run is back, else it was idle.
    fn settle(&mut self, is_back: bool) {
        let pending = std::mem::take(&mut self.pending);
        if !is_back {
            self.used.idle_joules += joules(&pending);
            return;
        }
        for interval in &pending {
            self.take(interval, 1.0, Quality::Counter);
        }
    }

    /// Adds an interval, or a part of its energy, to the run; the quality is at best the given one.
    fn take(&mut self, interval: &Interval, share: f64, quality: Quality) {
        let Interval {
            seconds,
            energy,
            busy,
        } = *interval;
        self.used.held_s += seconds;
        if let Some(busy) = busy {
            self.busy.sum += busy * seconds;
            self.busy.seconds += seconds;
            self.used.busy_peak = Some(self.used.busy_peak.map_or(busy, |peak| peak.max(busy)));
            if busy <= IDLE_BUSY_MAX {
                self.idle_s += seconds;
            }
        }
        let Some(energy) = energy else {
            return;
        };
        self.power.sum += energy.value;
        self.power.seconds += seconds;
        let part = Figure {
            value: energy.value * share,
            quality: energy.quality.max(quality),
        };
        match part.quality {
            Quality::Counter => {}
            Quality::Sampled => self.used.sampled_joules += part.value,
            Quality::Modelled => self.used.modelled_joules += part.value,
        }
        self.used.energy_joules = Some(self.used.energy_joules.map_or(part, |sum| sum.plus(part)));
    }
}

/// What an accelerator drew between two readings.
struct Measured {
    joules: Option<f64>,
    quality: Quality,
    is_gap: bool,
    /// What was wrong, if anything.
    why: String,
}

fn measure(before: &Point, now: &Point, missed: Option<&str>) -> Measured {
    let counters = before.energy_joules.zip(now.energy_joules);
    if let Some((from, to)) = counters.filter(|(from, to)| to >= from) {
        return Measured {
            joules: Some(to - from),
            quality: Quality::Counter,
            is_gap: missed.is_some(),
            why: missed.unwrap_or_default().to_owned(),
        };
    }
    // Power of two instants says nothing about a time in which reading failed.
    let powers = before
        .power_watts
        .zip(now.power_watts)
        .filter(|_| missed.is_none());
    let joules = powers.map(|(from, to)| (from + to) / 2.0 * (now.at_s - before.at_s));
    let why = match (missed, counters) {
        (Some(missed), Some(_)) => format!("{missed}, and the energy counter started anew"),
        (Some(missed), None) => missed.to_owned(),
        (None, Some(_)) => {
            "the energy counter went back, as when the driver is loaded anew".to_owned()
        }
        (None, None) => "neither energy nor power could be read".to_owned(),
    };
    Measured {
        joules,
        quality: Quality::Sampled,
        is_gap: missed.is_some() || counters.is_some() || joules.is_none(),
        why,
    }
}

fn joules(intervals: &[Interval]) -> f64 {
    let values = intervals.iter().filter_map(|interval| interval.energy);
    values.map(|energy| energy.value).sum()
}
