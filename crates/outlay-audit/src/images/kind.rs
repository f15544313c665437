//! Kinds of image files, by their names and by their first bytes.

use std::fmt;
use std::path::Path;

/// A kind of image file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageKind {
    /// Portable Network Graphics.
    Png,
    /// JPEG.
    Jpeg,
    /// GIF, of which the first frame counts.
    Gif,
    /// WebP, of which the first frame counts.
    WebP,
    /// Windows bitmap.
    Bmp,
    /// TIFF, of which the first page counts.
    Tiff,
    /// The files of MNIST, with many images each.
    Idx,
}

impl ImageKind {
    /// What it is called in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Gif => "GIF",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
            Self::Idx => "IDX",
        }
    }

    /// The kind that a file's name says it is.
    ///
    /// Where it differs from [`ImageKind::by_content`], the file has the wrong ending, which is a finding.
    ///
    /// ```
    /// use outlay_audit::images::ImageKind;
    /// assert_eq!(ImageKind::by_name("cats/1.JPEG".as_ref()), Some(ImageKind::Jpeg));
    /// assert_eq!(ImageKind::by_name("train-images-idx3-ubyte.gz".as_ref()), Some(ImageKind::Idx));
    /// assert_eq!(ImageKind::by_name("labels.csv".as_ref()), None);
    /// ```
    #[must_use]
    pub fn by_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let bare = name.strip_suffix(".gz").unwrap_or(&name);
        if bare.ends_with("idx3-ubyte") {
            return Some(Self::Idx);
        }
        match name.rsplit_once('.')?.1 {
            "png" | "apng" => Some(Self::Png),
            "jpg" | "jpeg" | "jpe" | "jfif" => Some(Self::Jpeg),
            "gif" => Some(Self::Gif),
            "webp" => Some(Self::WebP),
            "bmp" | "dib" => Some(Self::Bmp),
            "tif" | "tiff" => Some(Self::Tiff),
            _ => None,
        }
    }

    /// The kind that the first bytes are those of. IDX is not told by its bytes, for it may be packed.
    #[must_use]
    pub fn by_content(bytes: &[u8]) -> Option<Self> {
        let starts = |with: &[u8]| bytes.starts_with(with);
        // The length of the header that follows makes two letters enough.
        let is_bitmap = || {
            starts(b"BM")
                && matches!(
                    bytes.get(14..18),
                    Some([12 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0])
                )
        };
        if starts(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if starts(b"\xff\xd8\xff") {
            Some(Self::Jpeg)
        } else if starts(b"GIF87a") || starts(b"GIF89a") {
            Some(Self::Gif)
        } else if starts(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            Some(Self::WebP)
        } else if starts(b"II*\0") || starts(b"MM\0*") {
            Some(Self::Tiff)
        } else if is_bitmap() {
            Some(Self::Bmp)
        } else {
            None
        }
    }
}

impl fmt::Display for ImageKind {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}
