//! A person's own pattern of what a command prints.

use regex::Regex;

use super::numbers::leading;

/// The names that a pattern's groups may have.
pub const GROUPS: [&str; 6] = ["step", "total", "percent", "epoch", "epochs", "loss"];

/// Longest pattern once compiled; a pattern is one line of a command line, not a program.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// A regular expression with named groups that say what the numbers are.
///
/// Matching takes time in proportion to the text, whatever the pattern.
///
/// ```
/// use outlay_meter::{Pattern, ProgressReader};
/// let pattern = Pattern::new(r"tick (?<step>\d+) out of (?<total>\d+)")?;
/// let reports = ProgressReader::new(Some(pattern)).feed(b"tick 25 out of 100\n");
/// assert_eq!(reports[0].fraction, Some(0.25));
/// # Ok::<(), outlay_meter::PatternError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    says_progress: bool,
    says_loss: bool,
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PatternError {
    /// It is not a regular expression, or too large a one.
    #[error("the pattern cannot be read: {0}")]
    Unreadable(#[from] regex::Error),
    /// A group has a name that means nothing here.
    #[error("the pattern has a group named `{0}`; the names that mean something are {names}", names = GROUPS.join(", "))]
    UnknownGroup(String),
    /// No group has a name.
    #[error("the pattern has no named group, such as `(?<step>\\d+)`; the names that mean something are {names}", names = GROUPS.join(", "))]
    NoGroup,
}

/// What a pattern found in a piece.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    pub step: Option<f64>,
    pub total: Option<f64>,
    pub percent: Option<f64>,
    pub epoch: Option<f64>,
    pub epochs: Option<f64>,
    pub loss: Option<f64>,
}

impl Pattern {
    /// Reads a pattern, and checks the names of its groups.
    ///
    /// Names: `step` and `total`; `percent`, 0 to 100; `epoch` and `epochs`; `loss`. Groups need not match all at once: a
    /// `total` or `epochs` that a line gives once is kept.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let regex = regex::RegexBuilder::new(text)
            .size_limit(COMPILED_BYTES_MAX)
            .build()?;
        let names: Vec<&str> = regex.capture_names().flatten().collect();
        if let Some(unknown) = names.iter().find(|name| !GROUPS.contains(name)) {
            return Err(PatternError::UnknownGroup((*unknown).to_owned()));
        }
        if names.is_empty() {
            return Err(PatternError::NoGroup);
        }
        Ok(Self {
            says_progress: names
                .iter()
                .any(|name| ["step", "percent", "epoch"].contains(name)),
            says_loss: names.contains(&"loss"),
            regex,
        })
    }

    /// Whether it says how far a command is; one with only `total`, `epochs` or `loss` adds to what is read without it.
    pub(super) fn says_progress(&self) -> bool {
        self.says_progress
    }

    /// Whether it says the loss.
    pub(super) fn says_loss(&self) -> bool {
        self.says_loss
    }

    pub(super) fn find(&self, piece: &str) -> Option<Found> {
        let captures = self.regex.captures(piece)?;
        let number = |name| {
            let (value, _) = leading(captures.name(name)?.as_str().trim())?;
            Some(value)
        };
        let count = |name| number(name).filter(|value| value.is_finite() && *value >= 0.0);
        Some(Found {
            step: count("step"),
            total: count("total").filter(|total| *total > 0.0),
            percent: count("percent"),
            epoch: count("epoch"),
            epochs: count("epochs").filter(|epochs| *epochs > 0.0),
            loss: number("loss"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_told_with_the_known_ones() {
        let error = Pattern::new(r"(?<stp>\d+)").expect_err("unknown");
        let text = error.to_string();
        assert!(
            text.contains("`stp`") && text.contains("step, total, percent"),
            "{text}"
        );
        assert!(matches!(Pattern::new(r"\d+"), Err(PatternError::NoGroup)));
        assert!(matches!(
            Pattern::new("("),
            Err(PatternError::Unreadable(_))
        ));
        assert!(matches!(
            Pattern::new(r"(?<step>\d{1000}{1000}{1000})"),
            Err(PatternError::Unreadable(_))
        ));
    }
}
