//! How far a command is, read from what it prints.
//!
//! Rules, in the order in which they are tried:
//!
//! 1. A person's [`Pattern`] that names `step`, `percent` or `epoch` tells how far it is, alone.
//! 2. Bars that count bytes, and bars described by words such as `Validation`, `Loading` or `Map`, are not of training.
//! 3. The first bar that still runs is the outer one. A bar that begins before the outer one has moved is within it (batches
//!    within epochs) and refines it; one that begins later (an evaluation) is not looked at. An outer bar that is not drawn
//!    again while four others begin was given up.
//! 4. A bar that has ended is followed by another kind of bar: the one with a loss is the training; if both or neither have
//!    one, the one that takes longer is. Until that is known, nothing is told of the second.
//! 5. Where an epoch is named (`Epoch 2/5`, in a line or before a bar), a bar or a step counts within it, unless it goes on
//!    over the next epoch's beginning, counts the epochs itself, or stands before the epoch in its line. An epoch that is
//!    named with a loss has ended; one that is named without has begun.
//! 6. A bar that begins anew, with nothing that says how often it will, leaves the fraction unknown: `None`.
//! 7. The fraction never goes back, except in a report that says `restarted`.
//!
//! Bars have precedence over lines with steps (`step 100/1000`), unless these have a loss and the bar has not.

mod bar;
mod lines;
mod numbers;
mod pattern;
mod text;
mod track;
mod whole;
mod words;

use serde::{Deserialize, Serialize};

use lines::{Cutter, Row};
pub use pattern::{GROUPS, Pattern, PatternError};
use whole::Whole;

/// What a command's output says of how far it is.
///
/// Memory is bounded, whatever is printed: a few kilobytes.
///
/// ```
/// use outlay_meter::ProgressReader;
/// let mut reader = ProgressReader::new(None);
/// let reports = reader.feed(b"Epoch 2/4\n10/20 - 1s - 60ms/step - loss: 0.5\n");
/// let last = &reports[reports.len() - 1];
/// assert_eq!(last.fraction, Some((1.0 + 10.0 / 20.0) / 4.0));
/// assert_eq!(last.step, Some(30.0));
/// assert_eq!(last.metrics, [("loss".to_owned(), 0.5)]);
/// ```
#[derive(Debug)]
pub struct ProgressReader {
    pattern: Option<Pattern>,
    output: Cutter,
    errors: Cutter,
    whole: Whole,
}

/// Which of a command's two streams bytes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Standard output; also a terminal, where both are one.
    Output,
    /// Standard error, where tqdm draws.
    Errors,
}

/// One thing that was told.
///
/// Fraction and steps are as of now, repeated in each report; metrics are those that are new.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Share of the whole command's training that is done, 0 to 1; `None` when the output does not tell.
    pub fraction: Option<f64>,
    /// Steps done, over all epochs.
    pub step: Option<f64>,
    /// Steps that there will be, over all epochs.
    pub total_steps: Option<f64>,
    /// Losses and other numbers at that step, by the name that the command gives them. May be NaN or infinite.
    pub metrics: Vec<(String, f64)>,
    /// What was told before was of something else, or in another measure: the fraction and the steps may go back.
    pub restarted: bool,
    /// Whose form it was told in.
    pub tool: Tool,
}

/// Whose form progress was told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    /// A bar of tqdm.
    Tqdm,
    /// The trainer of Hugging Face's transformers.
    HuggingFace,
    /// PyTorch Lightning.
    Lightning,
    /// Keras.
    Keras,
    /// XGBoost.
    XgBoost,
    /// LightGBM.
    LightGbm,
    /// CatBoost.
    CatBoost,
    /// Lines such as `step 100/1000 loss 2.31`.
    Lines,
    /// A person's own pattern.
    Pattern,
}

impl Tool {
    /// The name that people see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tqdm => "tqdm",
            Self::HuggingFace => "Hugging Face Trainer",
            Self::Lightning => "Lightning",
            Self::Keras => "Keras",
            Self::XgBoost => "XGBoost",
            Self::LightGbm => "LightGBM",
            Self::CatBoost => "CatBoost",
            Self::Lines => "printed lines",
            Self::Pattern => "your pattern",
        }
    }
}

impl ProgressReader {
    /// A reader for one command, with a person's own pattern if there is one.
    pub fn new(pattern: Option<Pattern>) -> Self {
        Self {
            whole: Whole::new(pattern.as_ref().is_some_and(Pattern::says_progress)),
            pattern,
            output: Cutter::new(),
            errors: Cutter::new(),
        }
    }

    /// Feeds bytes of a terminal, or of the one stream that there is, as they come, cut anywhere. Returns what they told.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Report> {
        self.feed_from(Channel::Output, bytes)
    }

    /// Feeds bytes of one of two streams. A line that is begun on one is not mixed with the other.
    pub fn feed_from(&mut self, channel: Channel, bytes: &[u8]) -> Vec<Report> {
        let cutter = match channel {
            Channel::Output => &mut self.output,
            Channel::Errors => &mut self.errors,
        };
        let (whole, pattern) = (&mut self.whole, self.pattern.as_ref());
        let mut reports = Vec::new();
        cutter.feed(bytes, |piece, row| {
            read(whole, pattern, piece, row, &mut reports);
        });
        reports
    }
}

fn read(
    whole: &mut Whole,
    pattern: Option<&Pattern>,
    piece: &str,
    row: Row,
    reports: &mut Vec<Report>,
) {
    let mut says_loss = false;
    if let Some(pattern) = pattern
        && let Some(found) = pattern.find(piece)
    {
        reports.extend(whole.found(&found));
        says_loss = pattern.says_loss();
    }
    let own = if text::ends_lightning(piece) {
        text::read(piece).and_then(|said| whole.said(said))
    } else if let Some(bar) = bar::read(piece) {
        whole.bar(bar, row)
    } else {
        text::read(piece).and_then(|said| whole.said(said))
    };
    // A loss that the pattern found is not told twice.
    reports
        .extend(own.filter(|report| !says_loss || report.metrics.is_empty() || report.restarted));
}
