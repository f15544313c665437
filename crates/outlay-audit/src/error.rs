//! What keeps an audit from being made. Faults of the data are no errors, but findings.

use std::path::PathBuf;

/// Why there is no audit.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file or folder cannot be read.
    #[error("`{}` cannot be read: {why}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// No reader is known for a file.
    #[error(
        "`{}` is of no kind that is known; allowed: .jsonl, .ndjson, .json, .csv, .tsv, .parquet, .txt and other texts, each also as .gz or .zst, .png, .jpg, .gif, .webp, .bmp, .tiff, and folders of these",
        .0.display()
    )]
    Kind(PathBuf),
    /// Folders hold nothing to read, which no check of data is to pass for.
    #[error("there is no file of a kind that is known in {0}")]
    Nothing(String),
    /// A setting is out of its range.
    #[error("{0}")]
    Setting(String),
    /// The disk with the working files failed.
    #[error("working files in `{}`: {source}", folder.display())]
    Working {
        /// Where they lie.
        folder: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
}
