//! The count that tells how far a command is: a bar, or the steps of its lines; and the epochs around it.

use super::lines::Row;

/// Where a count comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Bar,
    Keras,
    Lines,
    Pattern,
}

/// A bar that ran from the start within each unit of another, as batches do within epochs.
#[derive(Debug)]
pub(super) struct Inner {
    pub key: String,
    pub total: Option<f64>,
    pub at: f64,
    /// It belongs to the unit that the outer bar is in, not to one that it has counted already.
    pub counts: bool,
}

/// One count.
#[derive(Debug)]
pub(super) struct Track {
    pub source: Source,
    /// The words that its bar is described by, without numbers.
    pub key: String,
    pub row: Row,
    pub at: f64,
    pub total: Option<f64>,
    /// Where it was when first seen.
    pub first: f64,
    /// Seconds that its bar says it has run.
    pub seconds: Option<f64>,
    /// How often it began at the start, and what the runs before this one counted.
    pub runs: u32,
    pub before: f64,
    /// It counts over all epochs rather than within each.
    pub spans: bool,
    /// An epoch began while it was under way: if it goes on from there, it spans epochs.
    pub crossed: bool,
    /// What it shows belongs to an epoch that is counted as done.
    pub absorbed: bool,
    /// A loss was told while it ran.
    pub losses: bool,
    /// It is a percentage, not a number of steps.
    pub percent: bool,
    pub inner: Option<Inner>,
    /// Other bars that began since it was drawn last: the key and place of the newest, and how many.
    pub other: Option<(String, f64)>,
    pub n_others: u32,
}

impl Track {
    pub fn new(source: Source, key: String, at: f64, total: Option<f64>) -> Self {
        Self {
            source,
            key,
            row: 0,
            at,
            total,
            first: at,
            seconds: None,
            runs: 1,
            before: 0.0,
            spans: false,
            crossed: false,
            absorbed: false,
            losses: false,
            percent: false,
            inner: None,
            other: None,
            n_others: 0,
        }
    }

    /// Whether it has reached its end.
    pub fn ended(&self) -> bool {
        self.total.is_some_and(|total| self.at >= total)
    }

    /// Moves on. Returns whether it began anew, with the run before counted as done.
    pub fn advance(
        &mut self,
        at: f64,
        total: Option<f64>,
        seconds: Option<f64>,
        anew: bool,
    ) -> bool {
        let earlier =
            matches!((seconds, self.seconds), (Some(now), Some(then)) if now + 1.0 < then);
        if !anew && !earlier && at < self.at && self.is_near(at, seconds) {
            return false;
        }
        let anew = anew || at < self.at || earlier;
        if anew {
            self.before += if self.ended() {
                self.total.unwrap_or(self.at)
            } else {
                self.at
            };
            self.runs = self.runs.saturating_add(1);
            self.spans = false;
            self.crossed = false;
            self.first = at;
            self.absorbed = false;
        } else if at > self.at {
            self.spans |= self.crossed;
            self.crossed = false;
            self.absorbed = false;
        }
        if (anew || at > self.at)
            && let Some(inner) = &mut self.inner
        {
            inner.counts = false;
        }
        self.at = at;
        self.total = total.or(self.total);
        self.seconds = seconds.or(self.seconds);
        self.other = None;
        self.n_others = 0;
        anew
    }

    /// Whether a place behind this one is not far: another process of the same training prints it, a little slower.
    ///
    /// What begins anew begins at 0, or near, with its time.
    fn is_near(&self, at: f64, seconds: Option<f64>) -> bool {
        let goes_on = matches!((seconds, self.seconds), (Some(now), Some(then)) if now > 1.0 && now + 1.0 >= then);
        goes_on || at * 2.0 > self.at || self.total.is_some_and(|total| self.at * 20.0 <= total)
    }

    /// Its share of its own total, refined by the bar within.
    pub fn share(&self) -> Option<f64> {
        if self.absorbed {
            return Some(0.0);
        }
        let within = match &self.inner {
            Some(Inner {
                total: Some(total),
                at,
                counts: true,
                ..
            }) => (at / total).min(1.0),
            _ => 0.0,
        };
        Some(((self.at + within) / self.total?).min(1.0))
    }
}

/// The epochs of a training.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    /// The one that was named last, as it was named.
    pub at: Option<f64>,
    /// How many there are, as said with it.
    pub of: Option<f64>,
    /// How many there will be, as said on its own.
    pub ahead: Option<f64>,
    /// Names begin at 0.
    pub from_zero: bool,
    /// How many are done.
    pub done: f64,
    /// The last one named was named at its end.
    pub closed: bool,
}

/// What naming an epoch changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// Another epoch than before, or the same one, now ended.
    pub moved: bool,
    /// One before the one before: another training began.
    pub anew: bool,
    /// The number of epochs became known, or that there are any.
    pub rescaled: bool,
}

impl Epochs {
    /// How many there are. Those said ahead count only where they can be true.
    pub fn count(&self) -> Option<f64> {
        self.of.or(self.ahead.filter(|&ahead| ahead >= self.done))
    }

    /// An epoch was named: at its beginning, or at its end if `closes`.
    pub fn name(&mut self, at: f64, of: Option<f64>, closes: bool) -> Named {
        // One behind is what a slower process of the same training prints, unless the last one was reached.
        let is_last = self.count().is_some_and(|count| self.done + 1.0 >= count);
        if self.at.is_some_and(|before| before - at == 1.0) && !is_last {
            return Named::default();
        }
        let mut named = Named {
            anew: self.at.is_some_and(|before| at < before),
            rescaled: self.at.is_none() || (self.of.is_none() && of.is_some()),
            ..Named::default()
        };
        if named.anew {
            *self = Self {
                ahead: self.ahead,
                ..Self::default()
            };
        }
        self.from_zero |= at == 0.0;
        // `Epoch 24/24` after `Epoch 0/24`: these were 25.
        self.of = match of {
            Some(of) if self.from_zero && at >= of => Some(at + 1.0),
            Some(of) => Some(of.max(self.of.filter(|_| self.from_zero).unwrap_or(0.0))),
            None => self.of,
        };
        let is_other = self.at != Some(at);
        let begun = if self.from_zero {
            at
        } else {
            (at - 1.0).max(0.0)
        };
        if is_other || (closes && !self.closed) {
            named.moved = true;
            self.closed = closes;
            self.done = begun + f64::from(u8::from(closes));
        }
        self.at = Some(at);
        named
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_counted_when_it_ends() {
        let mut epochs = Epochs::default();
        assert!(epochs.name(1.0, Some(5.0), false).rescaled);
        assert_eq!((epochs.done, epochs.count()), (0.0, Some(5.0)));
        assert!(epochs.name(1.0, Some(5.0), true).moved);
        assert!(!epochs.name(1.0, Some(5.0), false).moved);
        assert_eq!(epochs.done, 1.0);
        assert!(epochs.name(1.0, None, true) == Named::default());
        assert!(!epochs.name(2.0, None, false).anew);
        assert!(!epochs.name(1.0, None, true).moved);
        assert_eq!(epochs.done, 1.0);
        epochs.name(3.0, None, false);
        assert!(epochs.name(1.0, None, false).anew);
    }

    #[test]
    fn epochs_named_from_zero_are_one_more_than_the_last() {
        let mut epochs = Epochs::default();
        epochs.name(0.0, Some(4.0), false);
        epochs.name(3.0, Some(4.0), true);
        assert_eq!((epochs.done, epochs.count()), (4.0, Some(4.0)));
        epochs.name(4.0, Some(4.0), false);
        assert_eq!((epochs.done, epochs.count()), (4.0, Some(5.0)));
    }

    #[test]
    fn a_count_that_goes_on_over_an_epoch_spans_epochs() {
        let mut track = Track::new(Source::Lines, String::new(), 50.0, Some(100.0));
        track.crossed = true;
        assert!(!track.advance(60.0, None, None, false));
        assert!(track.spans);
        assert!(track.advance(10.0, None, None, false));
        assert!(!track.spans);
        assert_eq!((track.before, track.runs), (60.0, 2));
    }
}
