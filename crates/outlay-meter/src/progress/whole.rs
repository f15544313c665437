//! Puts together what bars and lines tell, and says how far the whole is.

mod bars;

use super::pattern::Found;
use super::text::{Count, Line, Said};
use super::track::{Epochs, Inner, Source, Track};
use super::{Report, Tool};

/// How far a command is, as told so far.
#[derive(Debug, Default)]
pub(super) struct Whole {
    track: Option<Track>,
    epochs: Epochs,
    /// Steps that there will be, as said on their own.
    steps_ahead: Option<f64>,
    /// The epoch that the trainer's dictionary told last.
    dictionary_epoch: Option<f64>,
    /// Metrics that wait for the next drawing of the bar, which is drawn anew right behind them, at their step.
    held: Vec<(String, f64)>,
    /// Metrics of the last drawing.
    drawn: Vec<(String, f64)>,
    ended: bool,
    lightning: bool,
    dictionaries: bool,
    /// A person's pattern tells how far it is; all else tells metrics only.
    pattern_rules: bool,
    /// The largest fraction told, below which none is told unless a restart is.
    highest: f64,
    /// The largest step told, likewise.
    step_highest: f64,
    /// What the fraction is of has changed, so that it may go back.
    rescaled: bool,
    /// Something else began.
    restarted: bool,
    told: Option<(Option<f64>, Option<f64>, Option<f64>)>,
}

impl Whole {
    /// With `pattern_rules`, only a pattern tells how far it is.
    pub fn new(pattern_rules: bool) -> Self {
        Self {
            pattern_rules,
            ..Self::default()
        }
    }

    /// A line was printed.
    pub fn said(&mut self, said: Said) -> Option<Report> {
        match said {
            Said::Line(line) => {
                let tool = line.tool.unwrap_or(Tool::Lines);
                if self.pattern_rules {
                    return self.tell(line.metrics, tool);
                }
                self.line(&line, Source::Lines);
                self.tell(line.metrics, tool)
            }
            Said::Dictionary { metrics, epoch } => self.dictionary(metrics, epoch),
            Said::Ahead { epochs, steps } => {
                self.epochs.ahead = epochs.or(self.epochs.ahead);
                self.steps_ahead = steps.or(self.steps_ahead);
                None
            }
            Said::Ended { epochs } => {
                self.lightning = true;
                self.epochs.ahead = epochs.or(self.epochs.ahead);
                if self.pattern_rules {
                    return None;
                }
                self.ended = true;
                self.tell(Vec::new(), Tool::Lightning)
            }
        }
    }

    /// A person's pattern matched.
    pub fn found(&mut self, found: &Found) -> Option<Report> {
        self.epochs.ahead = found.epochs.or(self.epochs.ahead);
        self.steps_ahead = found.total.or(self.steps_ahead);
        let count = |at: Option<f64>, of| at.map(|at| Count { at, of });
        let line = Line {
            epoch: count(found.epoch, found.epochs),
            step: count(found.step, found.total).or(count(found.percent, Some(100.0))),
            metrics: found
                .loss
                .map(|loss| ("loss".to_owned(), loss))
                .into_iter()
                .collect(),
            closes: found.step.is_none() && found.percent.is_none() && found.loss.is_some(),
            ..Line::default()
        };
        if self.pattern_rules {
            self.line(&line, Source::Pattern);
            if let Some(track) = &mut self.track {
                track.percent = found.step.is_none() && (track.percent || found.percent.is_some());
            }
        }
        self.tell(line.metrics, Tool::Pattern)
    }

    fn take_over(&mut self, track: Track) {
        self.restarted |= self.track.as_ref().is_some_and(|track| track.at > 0.0);
        self.track = Some(track);
    }

    fn line(&mut self, line: &Line, source: Source) {
        let mut anew = false;
        if let Some(epoch) = line.epoch {
            anew = self.name_epoch(epoch, line.closes, line.step.is_some());
        }
        let loss = has_loss(&line.metrics);
        if let Some(step) = line.step {
            self.step(step, source, loss, anew, line.step_first);
        }
        if let Some(track) = &mut self.track {
            track.losses |= loss && (track.source != Source::Bar || !track.ended());
        }
    }

    fn step(&mut self, step: Count, source: Source, loss: bool, anew: bool, spans: bool) {
        let of = step.of.or(self.steps_ahead);
        let takes_over = match &self.track {
            None => true,
            Some(track) if track.source == source => {
                let outranks = loss != track.losses;
                match (track.total, step.of) {
                    // Lines with another end are of something else: the ones with a loss, or the longer, count.
                    (Some(known), Some(of)) if of != known => {
                        if source == Source::Lines && (if outranks { !loss } else { of < known }) {
                            return;
                        }
                        true
                    }
                    (Some(known), None) if step.at > known => return,
                    (None, Some(_)) if !track.losses => true,
                    _ => false,
                }
            }
            Some(track) if track.source == Source::Bar => {
                if !(track.ended() && !track.losses && loss) {
                    return;
                }
                true
            }
            Some(_) => return,
        };
        if takes_over {
            self.take_over(Track::new(source, String::new(), step.at, of));
        }
        let named = self.epochs.at.is_some();
        if let Some(track) = &mut self.track {
            if anew && step.at > track.at {
                track.crossed = true;
            }
            let spanned = track.spans;
            let again = track.advance(
                step.at,
                of,
                None,
                anew && step.at <= track.at && !takes_over,
            );
            track.spans |= spans;
            self.rescaled |= again && (spanned || !named);
            self.rescaled |= track.spans != spanned;
        }
    }

    /// An epoch was named, on its own or (`counted`) together with a count. Returns whether it is another one than before.
    fn name_epoch(&mut self, epoch: Count, closes: bool, counted: bool) -> bool {
        let named = self.epochs.name(epoch.at, epoch.of, closes);
        self.rescaled |= named.rescaled;
        if named.anew {
            self.restarted = true;
            self.ended = false;
        }
        let Some(track) = &mut self.track else {
            return false;
        };
        if named.anew {
            track.before = 0.0;
            track.runs = 1;
            track.spans = false;
        }
        if !named.moved {
            return false;
        }
        match track.source {
            // Named while a bar is under way: the bar goes on over epochs, unless it begins anew later.
            Source::Bar if !counted && !track.ended() && track.runs == 1 => track.spans = true,
            Source::Lines | Source::Pattern if !counted && !track.ended() => {
                track.crossed = track.at > 0.0;
                track.absorbed = !track.spans;
            }
            _ => track.absorbed = !track.spans,
        }
        true
    }

    fn dictionary(&mut self, metrics: Vec<(String, f64)>, epoch: Option<f64>) -> Option<Report> {
        self.dictionaries = true;
        self.dictionary_epoch = epoch.or(self.dictionary_epoch);
        let tool = Tool::HuggingFace;
        if self.pattern_rules {
            return self.tell(metrics, tool);
        }
        let waiting = std::mem::take(&mut self.held);
        let ends = metrics.iter().any(|(name, _)| name == "train_runtime");
        let bar = self
            .track
            .as_mut()
            .filter(|track| track.source == Source::Bar);
        let drawn = bar.is_some();
        if let Some(track) = bar {
            track.losses |= has_loss(&metrics);
        }
        if ends {
            self.ended = true;
        } else if drawn && !self.ended {
            self.held = metrics;
            return if waiting.is_empty() {
                None
            } else {
                self.tell(waiting, tool)
            };
        }
        self.tell(waiting.into_iter().chain(metrics).collect(), tool)
    }

    fn fraction(&self) -> Option<f64> {
        if self.ended {
            return Some(1.0);
        }
        let Some(track) = &self.track else {
            if self.epochs.at.is_some() {
                return Some(self.epochs.done / self.epochs.count()?);
            }
            return Some(self.dictionary_epoch? / self.epochs.ahead?);
        };
        if track.spans || (self.epochs.at.is_none() && track.runs == 1) {
            return track.share();
        }
        let done = match self.epochs.at {
            Some(_) => self.epochs.done,
            None => f64::from(track.runs - 1),
        };
        Some((done + track.share().unwrap_or(0.0)) / self.epochs.count()?)
    }

    /// The step, and how many there are.
    fn steps(&self) -> (Option<f64>, Option<f64>) {
        let Some(track) = &self.track else {
            // Where nothing is told but epochs, these are the steps.
            if self.epochs.at.is_some() {
                return (Some(self.epochs.done), self.epochs.count());
            }
            let share = self
                .dictionary_epoch
                .zip(self.epochs.ahead)
                .map(|(at, of)| at / of);
            let step = share
                .zip(self.steps_ahead)
                .map(|(share, steps)| (share * steps).round());
            return (step, self.steps_ahead.filter(|_| step.is_some()));
        };
        if track.percent {
            return (None, None);
        }
        if let Some(Inner {
            total: Some(total),
            at,
            counts,
            ..
        }) = track.inner
        {
            let within = if counts { at } else { 0.0 };
            return (
                Some(track.at * total + within),
                track.total.map(|outer| outer * total),
            );
        }
        if track.spans || (self.epochs.at.is_none() && track.runs == 1) {
            return (Some(track.at), track.total);
        }
        let at = if track.absorbed { 0.0 } else { track.at };
        let all = self
            .epochs
            .count()
            .and_then(|epochs| Some(epochs * track.total?));
        match (self.epochs.at, track.total) {
            (Some(_), Some(total)) => (Some(self.epochs.done * total + at), all),
            _ => (Some(track.before + track.at), all),
        }
    }

    /// Tells what a drawing has, unless it only repeats the one before.
    fn drawn(&mut self, metrics: Vec<(String, f64)>, tool: Tool) -> Option<Report> {
        let same = metrics.len() == self.drawn.len()
            && metrics
                .iter()
                .zip(&self.drawn)
                .all(|(now, then)| now.0 == then.0 && now.1.to_bits() == then.1.to_bits());
        let (step, _) = self.steps();
        if same && self.told.is_some_and(|(_, told, _)| told >= step) {
            return self.tell(Vec::new(), tool);
        }
        self.drawn.clone_from(&metrics);
        self.tell(metrics, tool)
    }

    /// Makes a report, if there is anything new.
    fn tell(&mut self, metrics: Vec<(String, f64)>, tool: Tool) -> Option<Report> {
        let told_fraction = self.told.and_then(|(fraction, ..)| fraction);
        let mut fraction = self.fraction().filter(|fraction| fraction.is_finite());
        let mut restarted = std::mem::take(&mut self.restarted) && self.told.is_some();
        let rescaled = std::mem::take(&mut self.rescaled);
        if let Some(fraction) = &mut fraction {
            *fraction = fraction.clamp(0.0, 1.0);
            restarted |= rescaled && *fraction + 1e-9 < self.highest;
            if !restarted {
                *fraction = fraction.max(self.highest);
            }
            self.highest = *fraction;
        } else {
            self.highest = 0.0;
            restarted |= told_fraction.is_some();
        }
        let (mut step, total_steps) = match (&self.track, metrics.is_empty()) {
            // An epoch's name alone is often followed by a bar, whose steps are told then.
            (None, true) => (None, None),
            _ => self.steps(),
        };
        if let Some(step) = &mut step {
            if !restarted {
                *step = step.max(self.step_highest);
            }
            self.step_highest = *step;
        }
        let now = (fraction, step, total_steps);
        if metrics.is_empty() && !restarted && self.told.unwrap_or_default() == now {
            return None;
        }
        self.told = Some(now);
        Some(Report {
            fraction,
            step,
            total_steps,
            metrics,
            restarted,
            tool,
        })
    }
}

/// Whether a loss of training is among them.
fn has_loss(metrics: &[(String, f64)]) -> bool {
    metrics.iter().any(|(name, _)| {
        name.contains("loss")
            && !["val", "eval", "test"]
                .iter()
                .any(|other| name.starts_with(other))
    })
}
