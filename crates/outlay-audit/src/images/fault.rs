//! Why there is nothing to see of an image.

use super::kind::ImageKind;

/// Why an image could not be read: a finding about the data, told in plain words.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, thiserror::Error)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum ImageFault {
    /// There are no bytes.
    #[error("the file is empty")]
    Empty,
    /// The first bytes are those of no kind of image that is known.
    #[error("the content is no image of a kind that is known")]
    Unknown,
    /// The image has no row or no column.
    #[error("the image is {width} × {height} pixels")]
    ZeroSize {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The image says that it has more pixels than are decoded; none of them was.
    #[error("the image is {width} × {height} pixels, which is more than {n_pixels_most} in all")]
    TooLarge {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// The most pixels that are decoded.
        n_pixels_most: u64,
    },
    /// Decoding would take more memory than is given.
    #[error("decoding the {kind} takes more than {n_bytes_most} bytes of memory")]
    TooMuchMemory {
        /// What it is.
        kind: ImageKind,
        /// The most bytes that are taken.
        n_bytes_most: u64,
    },
    /// The file ends before the image does.
    #[error("the {kind} is cut off: {why}")]
    Truncated {
        /// What it is.
        kind: ImageKind,
        /// What is missing.
        why: String,
    },
    /// The file is whole and of a variant that no decoder knows.
    #[error("the {kind} is of a variant that cannot be read: {why}")]
    Unsupported {
        /// What it is.
        kind: ImageKind,
        /// What is not known.
        why: String,
    },
    /// The file is damaged.
    #[error("the {kind} is damaged: {why}")]
    Corrupt {
        /// What it is.
        kind: ImageKind,
        /// What is wrong.
        why: String,
    },
    /// The file cannot be opened or read.
    #[error("the file cannot be read: {why}")]
    Read {
        /// Why.
        why: String,
    },
    /// A file of labels and its file of images do not belong together.
    #[error("the labels do not fit the images: {why}")]
    Labels {
        /// What differs.
        why: String,
    },
}
