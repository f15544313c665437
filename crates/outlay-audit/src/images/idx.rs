//! IDX: the files of MNIST and of those that follow it, as LeCun, Cortes and Burges describe them.
//!
//! Two bytes of zero, one for the type (8: bytes), one for the number of dimensions, each dimension as 32 bits with the high
//! byte first, and then all samples. A second file with one dimension holds the labels.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::fault::ImageFault;
use super::kind::ImageKind;
use super::pixels::Pixels;
use super::read::{ImageLimits, check_size};

/// An image of an IDX file.
#[derive(Clone, Debug)]
pub struct IdxImage {
    /// Its place in the file, from zero on.
    pub at: u32,
    /// Its label, where there is a file of labels that fits.
    pub label: Option<u8>,
    /// The image.
    pub pixels: Pixels,
}

/// The images of an IDX file, one after another.
///
/// After a fault there is none.
pub struct IdxImages {
    /// How many there are, as the file says.
    pub n_images: u32,
    /// Columns of each.
    pub width: u32,
    /// Rows of each.
    pub height: u32,
    /// Where the labels are, if there is such a file.
    pub labels_path: Option<PathBuf>,
    /// What is wrong with the labels; then there are none.
    pub labels_fault: Option<ImageFault>,
    labels: Option<Vec<u8>>,
    from: Box<dyn Read + Send>,
    next: u32,
    n_most: u32,
}

impl std::fmt::Debug for IdxImages {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("IdxImages")
            .field("n_images", &self.n_images)
            .field("width", &self.width)
            .field("height", &self.height)
            .finish_non_exhaustive()
    }
}

/// Opens an IDX file of images, packed with gzip or not, to read at most so many of it.
///
/// The labels are those of the file beside it whose name has `labels` and `idx1` where this one has `images` and `idx3`.
/// Each image comes as [`Pixels`], for [`sketch_pixels`](super::sketch_pixels) and [`patches`](super::patches) to be made
/// of on as many threads as there are.
///
/// # Errors
///
/// When the file cannot be read, does not begin as one of images, or says that its images are larger than the limits.
pub fn idx_images(path: &Path, n_most: u32) -> Result<IdxImages, ImageFault> {
    let mut from = unpacked(path)?;
    let [n_images, height, width] = dimensions(&mut from)?;
    check_size(width, height, &ImageLimits::default())?;
    let labels_path = labels_beside(path).filter(|path| path.is_file());
    let labels = labels_path
        .as_deref()
        .map(|path| labels(path, n_images, n_most));
    let (labels, labels_fault) = match labels {
        None => (None, None),
        Some(Ok(labels)) => (Some(labels), None),
        Some(Err(fault)) => (None, Some(fault)),
    };
    Ok(IdxImages {
        n_images,
        width,
        height,
        labels_path,
        labels_fault,
        labels,
        from,
        next: 0,
        n_most: n_most.min(n_images),
    })
}

impl Iterator for IdxImages {
    type Item = Result<IdxImage, ImageFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.n_most {
            return None;
        }
        let at = self.next;
        let mut samples = vec![0; self.width as usize * self.height as usize];
        if let Err(error) = self.from.read_exact(&mut samples) {
            let why = format!("{at} of {} images are whole; {error}", self.n_images);
            self.n_most = 0;
            return Some(Err(fault(&error, why)));
        }
        self.next += 1;
        let label = self
            .labels
            .as_ref()
            .and_then(|labels| labels.get(at as usize).copied());
        let mut pixels = Pixels::new(self.width, self.height, 1, samples)?;
        pixels.stored.kind = Some(ImageKind::Idx);
        Some(Ok(IdxImage { at, label, pixels }))
    }
}

fn unpacked(path: &Path) -> Result<Box<dyn Read + Send>, ImageFault> {
    let open = || {
        let mut from = BufReader::with_capacity(1 << 16, File::open(path)?);
        let is_packed = from.fill_buf()?.starts_with(b"\x1f\x8b");
        Ok(if is_packed {
            Box::new(BufReader::with_capacity(
                1 << 16,
                flate2::bufread::MultiGzDecoder::new(from),
            )) as Box<dyn Read + Send>
        } else {
            Box::new(from)
        })
    };
    open().map_err(|error: io::Error| ImageFault::Read {
        why: error.to_string(),
    })
}

/// The dimensions that a file begins with, as many as are asked for.
fn dimensions<const N: usize>(from: &mut impl Read) -> Result<[u32; N], ImageFault> {
    let kind = ImageKind::Idx;
    let mut four = [0; 4];
    let mut next = || {
        from.read_exact(&mut four)
            .map_err(|error| fault(&error, "its head is not whole".to_owned()))?;
        Ok(four)
    };
    let head = next()?;
    if head[..2] != [0, 0] {
        let why = "it does not begin with two bytes of zero".to_owned();
        return Err(ImageFault::Corrupt { kind, why });
    }
    if head[2] != 8 || usize::from(head[3]) != N {
        let why = format!(
            "it has {} dimensions of the type {}, where {N} of the type 8 are known",
            head[3], head[2]
        );
        return Err(ImageFault::Unsupported { kind, why });
    }
    let mut dimensions = [0; N];
    for dimension in &mut dimensions {
        *dimension = u32::from_be_bytes(next()?);
    }
    Ok(dimensions)
}

fn fault(error: &io::Error, why: String) -> ImageFault {
    let kind = ImageKind::Idx;
    if error.kind() == io::ErrorKind::UnexpectedEof {
        ImageFault::Truncated { kind, why }
    } else {
        ImageFault::Corrupt { kind, why }
    }
}

/// Where the labels of a file of images would be.
pub(crate) fn labels_beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let other = name.replace("images", "labels").replace("idx3", "idx1");
    (other != name).then(|| path.with_file_name(other))
}

/// The labels of the images that are read.
fn labels(path: &Path, n_images: u32, n_most: u32) -> Result<Vec<u8>, ImageFault> {
    let labels_fault = |why: String| ImageFault::Labels { why };
    let mut from = unpacked(path).map_err(|error| labels_fault(error.to_string()))?;
    let [n_labels] = dimensions(&mut from).map_err(|error| labels_fault(error.to_string()))?;
    if n_labels != n_images {
        return Err(labels_fault(format!(
            "there are {n_labels} labels for {n_images} images"
        )));
    }
    let n_wanted = n_labels.min(n_most);
    let mut labels = Vec::new();
    from.take(u64::from(n_wanted))
        .read_to_end(&mut labels)
        .map_err(|error| labels_fault(error.to_string()))?;
    if labels.len() < n_wanted as usize {
        let n = labels.len();
        return Err(labels_fault(format!("{n} of {n_labels} labels are there")));
    }
    Ok(labels)
}
