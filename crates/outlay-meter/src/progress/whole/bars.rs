//! Bars: which of them tells how far the whole is.

use super::super::bar::{Bar, Look, is_noise};
use super::super::lines::Row;
use super::super::text::{self, Count, Line, Said};
use super::super::track::{Inner, Source, Track};
use super::super::{Report, Tool};
use super::{Whole, has_loss};

/// Bars that may begin within another without it being drawn again, before it is taken to have been given up.
const OTHERS_MAX: u32 = 4;

/// What a bar is to the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// The one that tells how far it is.
    Main,
    /// Batches within its unit.
    Inner,
    /// From now on it tells how far it is.
    TakesOver,
    Ignored,
}

impl Whole {
    /// A bar was drawn.
    pub(in super::super) fn bar(&mut self, mut bar: Bar, row: Row) -> Option<Report> {
        if bar.description.contains("DataLoader") || bar.description.starts_with("Sanity Checking")
        {
            self.lightning = true;
        }
        if is_noise(&bar) {
            return None;
        }
        let described = match text::read(&bar.description) {
            Some(Said::Line(line)) => line,
            _ => Line::default(),
        };
        bar.metrics.extend(described.metrics);
        let tool = self.tool_of(&bar);
        if self.pattern_rules {
            return self.drawn(bar.metrics, tool);
        }
        if bar.look == Look::Keras {
            return self.keras(bar, row);
        }
        let epoch = described
            .epoch
            .or_else(|| text::leading_of(&bar.description));
        let epoch = epoch.map(|epoch| match (bar.look, epoch.of) {
            // Lightning names the last one, from 0.
            (Look::Rich, Some(of)) => Count {
                of: Some(of + 1.0),
                ..epoch
            },
            _ => epoch,
        });
        let key = key(&bar.description);
        match self.role(&bar, &key, row, epoch.is_some()) {
            Role::Ignored => return None,
            Role::Inner => self.inner(&bar, key),
            role => {
                let mut anew = false;
                if let Some(epoch) = epoch {
                    anew = self.name_epoch(epoch, false, true);
                }
                self.main(&bar, key, row, role == Role::TakesOver, anew);
            }
        }
        if let Some(track) = &mut self.track {
            track.losses |= has_loss(&bar.metrics);
        }
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return self.drawn(bar.metrics, tool);
        }
        let metrics = held.into_iter().chain(bar.metrics).collect();
        self.tell(metrics, tool)
    }

    fn tool_of(&self, bar: &Bar) -> Tool {
        match bar.look {
            Look::Keras => Tool::Keras,
            Look::Rich => Tool::Lightning,
            Look::Tqdm if self.lightning => Tool::Lightning,
            Look::Tqdm if self.dictionaries => Tool::HuggingFace,
            Look::Tqdm => Tool::Tqdm,
        }
    }

    fn role(&mut self, bar: &Bar, key: &str, row: Row, names_epoch: bool) -> Role {
        let Some(track) = &mut self.track else {
            return Role::TakesOver;
        };
        let loss = has_loss(&bar.metrics);
        if track.source != Source::Bar {
            let outranks =
                track.source == Source::Lines && (!track.losses || (loss && track.total.is_none()));
            return if outranks {
                Role::TakesOver
            } else {
                Role::Ignored
            };
        }
        let same_total = track.total == bar.total;
        let redrawn = same_total && row == track.row && !track.ended() && bar.at >= track.at;
        let same =
            redrawn || (track.key == key && (same_total || names_epoch || track.total.is_none()));
        if self.ended {
            let again = same && bar.at < track.at;
            self.ended = !again;
            self.restarted |= again;
            return if same { Role::Main } else { Role::Ignored };
        }
        if same {
            return Role::Main;
        }
        if track.ended() {
            if track.losses != loss {
                return if loss { Role::TakesOver } else { Role::Ignored };
            }
            // Neither or both have a loss: the one that takes longer is the training.
            let (Some(seconds), Some(left)) = (bar.seconds, bar.seconds_left) else {
                return Role::Ignored;
            };
            let longer = self.epochs.at.is_none() && seconds + left > track.seconds.unwrap_or(0.0);
            return if longer {
                Role::TakesOver
            } else {
                Role::Ignored
            };
        }
        // A bar that runs keeps its row. Whatever is drawn there is its successor, unless only the first has a loss.
        if row == track.row && (loss || !track.losses) {
            return Role::TakesOver;
        }
        let began = match &track.other {
            Some((other, at)) => other != key || bar.at < *at,
            None => true,
        };
        track.other = Some((key.to_owned(), bar.at));
        track.n_others += u32::from(began);
        if track.n_others >= OTHERS_MAX {
            return Role::TakesOver;
        }
        match &track.inner {
            Some(inner) if inner.key == key && inner.total == bar.total => Role::Inner,
            None if track.at == track.first && track.total.is_some() => Role::Inner,
            _ => Role::Ignored,
        }
    }

    fn main(&mut self, bar: &Bar, key: String, row: Row, takes_over: bool, mut anew: bool) {
        if takes_over {
            self.take_over(Track::new(Source::Bar, key.clone(), bar.at, bar.total));
            anew = false;
        }
        let counts_epochs = bar.total.is_some() && bar.total == self.epochs.count();
        let named = self.epochs.at.is_some();
        if let Some(track) = &mut self.track {
            anew &= !(track.at == 0.0 && bar.at == 0.0);
            let spanned = track.spans;
            let again = track.advance(bar.at, bar.total, bar.seconds, anew);
            track.key = key;
            track.row = row;
            if track.runs == 1 && counts_epochs {
                track.spans = true;
            }
            self.rescaled |= again && (spanned || !named);
        }
    }

    fn inner(&mut self, bar: &Bar, key: String) {
        let Some(track) = &mut self.track else { return };
        track.spans = true;
        match &mut track.inner {
            Some(inner) => {
                inner.counts |= bar.at != inner.at;
                inner.at = bar.at;
            }
            None => {
                track.inner = Some(Inner {
                    key,
                    total: bar.total,
                    at: bar.at,
                    counts: true,
                });
            }
        }
    }

    /// Keras draws bars only within epochs that it names; others are of evaluation and prediction.
    fn keras(&mut self, bar: Bar, row: Row) -> Option<Report> {
        self.epochs.at?;
        match &mut self.track {
            Some(track) if track.source == Source::Keras => {
                let other = matches!((track.total, bar.total), (Some(known), Some(total)) if known != total);
                let after =
                    !track.absorbed && (bar.at < track.at || (track.ended() && row != track.row));
                if other || after {
                    return None;
                }
                let anew = track.absorbed;
                track.advance(bar.at, bar.total, None, anew);
                track.row = row;
            }
            Some(track) if track.source != Source::Lines => return None,
            _ => {
                let mut track = Track::new(Source::Keras, String::new(), bar.at, bar.total);
                track.row = row;
                self.take_over(track);
            }
        }
        if let Some(track) = &mut self.track {
            track.losses |= has_loss(&bar.metrics);
        }
        self.drawn(bar.metrics, Tool::Keras)
    }
}

/// The words that a description begins with, up to the first number or sign.
fn key(description: &str) -> String {
    description
        .split(|letter: char| !letter.is_alphabetic() && letter != ' ' && letter != '_')
        .next()
        .unwrap_or_default()
        .trim()
        .to_lowercase()
}
