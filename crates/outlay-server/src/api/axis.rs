//! What a metric is drawn against: steps, time, dollars or energy.

use outlay_ledger::{Ledger, LedgerError, Point, Range, Run};

use super::fault::{ApiFault, short};

/// What a metric is drawn against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along {
    /// Its steps.
    Step,
    /// Seconds since the run began.
    Time,
    /// Dollars that the run had spent.
    Spent,
    /// Energy that the run had taken, in kWh.
    Energy,
}

impl Along {
    /// Reads the word of a request.
    pub fn read(text: Option<&str>) -> Result<Self, ApiFault> {
        Ok(match text {
            None | Some("step") => Self::Step,
            Some("time") => Self::Time,
            Some("spent") => Self::Spent,
            Some("energy") => Self::Energy,
            Some(other) => {
                return Err(ApiFault::invalid(format!(
                    "`x` is `{}`; allowed: step, time, spent, energy.",
                    short(other)
                )));
            }
        })
    }

    /// The word of a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Time => "time",
            Self::Spent => "spent",
            Self::Energy => "energy",
        }
    }

    /// The metric that says how far a run was along it at any time.
    fn clock(self) -> Option<&'static str> {
        match self {
            Self::Step | Self::Time => None,
            Self::Spent => Some("system/spent_usd"),
            Self::Energy => Some("system/energy_kwh"),
        }
    }
}

/// How far a run was along an axis, at times: for dollars and energy, points between which lies a straight line.
#[derive(Debug)]
pub struct Axis {
    along: Along,
    started_us: i64,
    clock: Vec<(i64, f64)>,
}

impl Axis {
    /// The axis of a run; `None` where nothing says how far the run was along it.
    pub async fn of(ledger: &Ledger, run: &Run, along: Along) -> Result<Option<Self>, LedgerError> {
        let mut clock = Vec::new();
        if let Some(key) = along.clock() {
            let told = ledger.thinned(&run.id, key, Range::Whole, 4000).await?;
            clock = told
                .points
                .iter()
                .filter(|point| point.value.is_finite())
                .map(|point| (point.at_us, point.value))
                .collect();
            if clock.is_empty() {
                return Ok(None);
            }
            clock.push((run.started_us, 0.0));
            clock.sort_unstable_by_key(|(at_us, _)| *at_us);
            // Neither is ever less than it was.
            let mut most = 0.0_f64;
            for (_, value) in &mut clock {
                most = most.max(*value);
                *value = most;
            }
        }
        Ok(Some(Self {
            along,
            started_us: run.started_us,
            clock,
        }))
    }

    /// Where a point lies.
    #[must_use]
    pub fn place(&self, point: &Point) -> f64 {
        match self.along {
            Along::Step => point.step as f64,
            Along::Time => point.at_us.saturating_sub(self.started_us) as f64 / 1e6,
            Along::Spent | Along::Energy => self.told_at(point.at_us),
        }
    }

    fn told_at(&self, at_us: i64) -> f64 {
        let next = self.clock.partition_point(|(told_us, _)| *told_us <= at_us);
        match (
            next.checked_sub(1).and_then(|at| self.clock.get(at)),
            self.clock.get(next),
        ) {
            (Some((from_us, from)), Some((to_us, to))) if to_us > from_us => {
                from + (to - from) * (at_us - from_us) as f64 / (to_us - from_us) as f64
            }
            (Some((_, value)), _) | (None, Some((_, value))) => *value,
            (None, None) => 0.0,
        }
    }

    /// The part of a history that lies between two places; whole numbers of steps and times around them.
    #[must_use]
    pub fn range(&self, from: Option<f64>, to: Option<f64>) -> Range {
        if from.is_none() && to.is_none() {
            return Range::Whole;
        }
        let (from, to) = (
            from.unwrap_or(f64::NEG_INFINITY),
            to.unwrap_or(f64::INFINITY),
        );
        match self.along {
            Along::Step => Range::Steps(from.ceil() as i64, to.floor() as i64),
            Along::Time => Range::Time(self.instant(from), self.instant(to)),
            Along::Spent | Along::Energy => Range::Time(self.first_at(from), self.last_at(to)),
        }
    }

    fn instant(&self, seconds: f64) -> i64 {
        self.started_us.saturating_add((seconds * 1e6) as i64)
    }

    /// When the run reached a place.
    fn first_at(&self, place: f64) -> i64 {
        let next = self.clock.partition_point(|(_, value)| *value < place);
        next.checked_sub(1).map_or(i64::MIN, |at| self.clock[at].0)
    }

    /// When the run left it behind.
    fn last_at(&self, place: f64) -> i64 {
        let next = self.clock.partition_point(|(_, value)| *value <= place);
        self.clock.get(next).map_or(i64::MAX, |(at_us, _)| *at_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_lie_on_lines_between_what_was_told() {
        let axis = Axis {
            along: Along::Spent,
            started_us: 0,
            clock: vec![(0, 0.0), (10, 1.0), (20, 1.0), (30, 3.0)],
        };
        for (at_us, dollars) in [
            (-5, 0.0),
            (0, 0.0),
            (5, 0.5),
            (15, 1.0),
            (25, 2.0),
            (99, 3.0),
        ] {
            assert_eq!(axis.told_at(at_us), dollars, "{at_us}");
        }
        assert_eq!(axis.range(Some(0.5), Some(2.0)), Range::Time(0, 30));
        assert_eq!(axis.range(Some(1.0), None), Range::Time(0, i64::MAX));
        assert_eq!(axis.range(None, None), Range::Whole);
    }

    #[test]
    fn steps_and_seconds_are_cut_to_what_is_within() {
        let axis = |along| Axis {
            along,
            started_us: 1_000_000,
            clock: Vec::new(),
        };
        let steps = axis(Along::Step).range(Some(0.5), Some(9.9));
        assert_eq!(steps, Range::Steps(1, 9));
        let time = axis(Along::Time).range(Some(1.0), Some(1e300));
        assert_eq!(time, Range::Time(2_000_000, i64::MAX));
    }
}
