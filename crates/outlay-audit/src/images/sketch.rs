//! What is kept of an image.

use super::fault::ImageFault;
use super::hash::{Thumbnail, deviation, difference_hash, perceptual_hash, thumbnail};
use super::kind::ImageKind;
use super::pixels::Pixels;
use super::read::{ImageLimits, decode_image};

/// Something to look at in an image. None of it is a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageFlag {
    /// All pixels are of one colour.
    OneColour,
    /// The thumbnail has so little contrast that it says nothing: such images are compared by their exact pixels only.
    Flat,
    /// A side is shorter than 32 pixels, the thumbnail's.
    Small,
    /// One side is more than four times as long as the other.
    Elongated,
    /// The mean brightness is below 20 of 255.
    Dark,
    /// The mean brightness is above 235 of 255.
    Bright,
    /// Some pixels are not opaque.
    Transparent,
    /// Each pixel is there four times, in a square: a smaller image was enlarged.
    Doubled,
    /// EXIF data say that it is to be turned or mirrored, which was done; a reader that does not sees another image.
    Turned,
    /// Samples have more than 8 bits.
    Deep,
}

impl ImageFlag {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::OneColour,
        Self::Flat,
        Self::Small,
        Self::Elongated,
        Self::Dark,
        Self::Bright,
        Self::Transparent,
        Self::Doubled,
        Self::Turned,
        Self::Deep,
    ];

    /// What it is called in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OneColour => "one_colour",
            Self::Flat => "flat",
            Self::Small => "small",
            Self::Elongated => "elongated",
            Self::Dark => "dark",
            Self::Bright => "bright",
            Self::Transparent => "transparent",
            Self::Doubled => "doubled",
            Self::Turned => "turned",
            Self::Deep => "deep",
        }
    }
}

/// Flags of an image, as bits in the order of `ImageFlag::ALL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageFlags(u16);

impl ImageFlags {
    pub(crate) fn bits(self) -> u16 {
        self.0
    }

    pub(crate) fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    fn add(&mut self, flag: ImageFlag, is_set: bool) {
        self.0 |= u16::from(is_set) << flag as u16;
    }

    /// Whether one is set.
    #[must_use]
    pub fn has(self, flag: ImageFlag) -> bool {
        self.0 & (1 << flag as u16) != 0
    }

    /// Those that are set.
    pub fn iter(self) -> impl Iterator<Item = ImageFlag> {
        ImageFlag::ALL
            .into_iter()
            .filter(move |flag| self.has(*flag))
    }
}

impl serde::Serialize for ImageFlags {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(ImageFlag::name))
    }
}

/// What is kept of an image, about 1.2 kB.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ImageSketch {
    /// What its file is; nothing where it came as pixels.
    pub kind: Option<ImageKind>,
    /// Columns, as it is seen.
    pub width: u32,
    /// Rows, as it is seen.
    pub height: u32,
    /// Samples of a pixel in the decoded file: 1 grey, 2 grey and opacity, 3 colour, 4 colour and opacity.
    pub n_channels: u8,
    /// Bits of a sample in the decoded file: 8 or 16.
    pub n_bits: u8,
    /// Mean brightness, 0 to 255.
    pub brightness: f64,
    /// Standard deviation of the brightness.
    pub contrast: f64,
    /// Variance of the Laplacian of the brightness, which is low where an image is out of focus.
    ///
    /// Pech-Pacheco et al. 2000, *Diatom autofocusing in brightfield microscopy: a comparative study*. It depends on the size
    /// and the motif as well, and is for sorting rather than for judging.
    pub sharpness: f64,
    /// What to look at.
    pub flags: ImageFlags,
    /// SHA-256 of the size and the pixels.
    #[serde(skip)]
    pub pixel_hash: [u8; 32],
    /// [`perceptual_hash`] of the thumbnail.
    #[serde(skip)]
    pub perceptual_hash: u64,
    /// [`difference_hash`] of the thumbnail.
    #[serde(skip)]
    pub difference_hash: u64,
    /// The brightness of 32 × 32 parts.
    #[serde(skip)]
    pub thumbnail: Box<Thumbnail>,
}

/// The least standard deviation of a thumbnail that is not flat, in levels of brightness.
///
/// Two copies of a picture with independent noise of deviation `n` correlate by `1 / (1 + n^2 / s^2)`: with `n = 0.6` (rounding,
/// and a lossy copy) it takes an `s` of 2.2 levels to reach 0.93, and not all of it is detail.
const FLAT: f64 = 3.0;

/// Decodes and sketches an image file's content, within the limits of [`ImageLimits::default`].
///
/// # Errors
///
/// As [`decode_image`].
pub fn sketch_image(bytes: &[u8]) -> Result<ImageSketch, ImageFault> {
    Ok(sketch_pixels(&decode_image(
        bytes,
        &ImageLimits::default(),
    )?))
}

/// Sketches an image.
///
/// ```
/// use outlay_audit::images::{ImageFlag, Pixels, sketch_pixels};
/// let image = Pixels::new(64, 32, 1, (0..64 * 32).map(|at| (at % 64 * 4) as u8).collect()).unwrap();
/// let sketch = sketch_pixels(&image);
/// assert_eq!((sketch.width, sketch.brightness, sketch.sharpness), (64, 126.0, 0.0));
/// assert_eq!(sketch.flags.iter().next(), None);
/// ```
#[must_use]
pub fn sketch_pixels(image: &Pixels) -> ImageSketch {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let luma = image.luma();
    let n_pixels = luma.len() as f64;
    let (mut sum, mut squares) = (0_u64, 0_u64);
    // Sums of so many squares fit 32 bits.
    for some in luma.chunks(1 << 15) {
        sum += u64::from(some.iter().map(|sample| u32::from(*sample)).sum::<u32>());
        squares += u64::from(
            some.iter()
                .map(|sample| u32::from(*sample).pow(2))
                .sum::<u32>(),
        );
    }
    let brightness = sum as f64 / n_pixels;
    let variance = (squares as f64 / n_pixels - brightness * brightness).max(0.0);
    let thumbnail = Box::new(thumbnail(&luma, width, height));
    let stored = image.stored;
    let mut flags = ImageFlags::default();
    let mut pixels = image.samples().chunks_exact(image.n_channels());
    let first = pixels.next().unwrap_or_default();
    let (short, long) = (width.min(height), width.max(height));
    flags.add(ImageFlag::OneColour, pixels.all(|pixel| pixel == first));
    flags.add(ImageFlag::Flat, deviation(&thumbnail) < FLAT);
    flags.add(ImageFlag::Small, short < super::hash::SIDE);
    flags.add(ImageFlag::Elongated, long > 4 * short);
    flags.add(ImageFlag::Dark, brightness < 20.0);
    flags.add(ImageFlag::Bright, brightness > 235.0);
    flags.add(ImageFlag::Transparent, image.n_channels() == 4);
    let is_one = flags.has(ImageFlag::OneColour);
    flags.add(ImageFlag::Doubled, !is_one && is_doubled(image));
    flags.add(ImageFlag::Turned, stored.is_turned);
    flags.add(ImageFlag::Deep, stored.n_bits > 8);
    ImageSketch {
        kind: stored.kind,
        width: image.width(),
        height: image.height(),
        n_channels: stored.n_channels,
        n_bits: stored.n_bits,
        brightness,
        contrast: variance.sqrt(),
        sharpness: laplacian_variance(&luma, width),
        flags,
        pixel_hash: image.hash(),
        perceptual_hash: perceptual_hash(&thumbnail),
        difference_hash: difference_hash(&thumbnail),
        thumbnail,
    }
}

/// Whether each pixel is one of four that are equal.
fn is_doubled(image: &Pixels) -> bool {
    if !image.width().is_multiple_of(2) || !image.height().is_multiple_of(2) {
        return false;
    }
    let n_channels = image.n_channels();
    let n_row = image.width() as usize * n_channels;
    image.samples().chunks_exact(2 * n_row).all(|rows| {
        let (one, other) = rows.split_at(n_row);
        one == other
            && one
                .chunks_exact(2 * n_channels)
                .all(|pair| pair[..n_channels] == pair[n_channels..])
    })
}

/// The variance of `up + down + left + right - 4 centre` over all pixels that have four neighbours.
fn laplacian_variance(luma: &[u8], width: usize) -> f64 {
    let (mut sum, mut squares, mut n) = (0_i64, 0_i64, 0_u64);
    let rows: Vec<&[u8]> = luma.chunks_exact(width).collect();
    if width < 3 {
        return 0.0;
    }
    for three in rows.windows(3) {
        let (up, here, down) = (&three[0][1..], three[1], &three[2][1..]);
        let n_inner = width - 2;
        n += n_inner as u64;
        // Sums of so many squares of at most 1020 fit 32 bits.
        for from in (0..n_inner).step_by(1024) {
            let to = (from + 1024).min(n_inner);
            let (mut some, mut some_squares) = (0_i32, 0_i32);
            let (up, down) = (&up[from..to], &down[from..to]);
            let (left, right) = (&here[from..to], &here[from + 2..to + 2]);
            let centre = &here[from + 1..=to];
            for at in 0..to - from {
                let around = i32::from(up[at]) + i32::from(down[at]);
                let beside = i32::from(left[at]) + i32::from(right[at]);
                let value = around + beside - 4 * i32::from(centre[at]);
                some += value;
                some_squares += value * value;
            }
            sum += i64::from(some);
            squares += i64::from(some_squares);
        }
    }
    if n == 0 {
        return 0.0;
    }
    let mean = sum as f64 / n as f64;
    (squares as f64 / n as f64 - mean * mean).max(0.0)
}
