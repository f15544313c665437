//! Why a model file cannot be read.

use thiserror::Error;

/// Why a model file cannot be read. Every message names the file, and the field where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// The file cannot be opened or read.
    #[error("cannot read `{file}`: {message}")]
    Unreadable {
        /// File.
        file: String,
        /// The system's word.
        message: String,
    },
    /// Not what the name says: no JSON, no header, cut short.
    #[error("{file}: {message}")]
    Syntax {
        /// File.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// A field that is needed is not there.
    #[error("{file}: field `{field}` is missing")]
    Missing {
        /// File.
        file: String,
        /// Field.
        field: String,
    },
    /// A value that cannot be.
    #[error("{file}: field `{field}` is {value}; allowed: {allowed}")]
    Value {
        /// File.
        file: String,
        /// Field.
        field: String,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: String,
    },
    /// Two fields that contradict each other.
    #[error("{file}: {what}")]
    Contradiction {
        /// File.
        file: String,
        /// Which, and how.
        what: String,
    },
    /// An architecture that no reader knows.
    #[error("{file}: architecture `{architecture}` is not known; nearest: {}", nearest.join(", "))]
    UnknownArchitecture {
        /// File.
        file: String,
        /// Its name.
        architecture: String,
        /// The nearest known ones.
        nearest: Vec<String>,
    },
    /// A name that is not in the built-in list.
    #[error("model `{name}` is not built in; nearest: {}", nearest.join(", "))]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// The nearest names.
        nearest: Vec<String>,
    },
}

impl Error {
    pub(crate) fn unknown_architecture(file: &str, architecture: &str, known: &[&str]) -> Self {
        Self::UnknownArchitecture {
            file: file.to_owned(),
            architecture: architecture.to_owned(),
            nearest: nearest(architecture, known.iter().copied()),
        }
    }
}

/// The three names most like the one asked for.
pub(crate) fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted = wanted.to_ascii_lowercase();
    let mut scored: Vec<(f64, &str)> = known
        .map(|name| {
            (
                strsim::jaro_winkler(&name.to_ascii_lowercase(), &wanted),
                name,
            )
        })
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored
        .into_iter()
        .take(3)
        .map(|(_, name)| name.to_owned())
        .collect()
}
