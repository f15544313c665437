//! Why a request has no answer.

use std::fmt::Display;

/// Why a request has no answer: the field that is wrong, what is allowed, and what to try.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The field, by the name of its option without dashes: `tokens`, `mean-over-peak`.
    pub field: String,
    /// What is wrong and what is allowed, in the words of the command line: `--epochs is ...`.
    pub message: String,
    /// What to try, likewise.
    pub hints: Vec<String>,
}

impl Refusal {
    /// A refusal of a field.
    pub fn new(field: &str, message: impl Display) -> Self {
        Self {
            field: field.to_owned(),
            message: message.to_string(),
            hints: Vec::new(),
        }
    }

    /// Adds something to try.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.hints.push(hint.to_string());
        self
    }

    /// The name of the field in a request: `mean_over_peak`.
    #[must_use]
    pub fn request_field(&self) -> String {
        self.field.replace('-', "_")
    }

    /// A text of the command line as a request says it: options become fields.
    ///
    /// ```
    /// let said = "--mean-over-peak is `--x`; allowed: 0.01 to 1";
    /// let expected = "mean_over_peak is `--x`; allowed: 0.01 to 1";
    /// assert_eq!(outlay_plan::request::Refusal::without_dashes(said), expected);
    /// ```
    #[must_use]
    pub fn without_dashes(text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut quoted = false;
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let begins = !quoted && !out.ends_with(|c: char| c.is_alphanumeric() || c == '-');
            if let Some(after) = rest.strip_prefix("--").filter(|_| begins) {
                let length = after
                    .find(|c: char| !(c.is_ascii_lowercase() || c == '-'))
                    .unwrap_or(after.len());
                if length > 0 {
                    out.push_str(&after[..length].replace('-', "_"));
                    rest = &after[length..];
                    continue;
                }
            }
            if next == '`' {
                quoted = !quoted;
            }
            out.push(next);
            rest = &rest[next.len_utf8()..];
        }
        out
    }
}
