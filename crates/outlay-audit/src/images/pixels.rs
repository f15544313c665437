//! A decoded image, in the one form that equal pictures share.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// A decoded image: 8-bit samples of one channel (grey), three (RGB) or four (RGBA), the fewest that hold it.
///
/// A colour image all of whose pixels are grey is grey, and a channel of opacity that is full everywhere is dropped: so the
/// same picture has the same pixels however it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    width: u32,
    height: u32,
    n_channels: usize,
    samples: Vec<u8>,
    /// Of an image with more than 8 bits a sample, the hash of all of them.
    deep_hash: Option<[u8; 32]>,
    pub(super) stored: Stored,
}

/// How a file stored an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    pub kind: Option<super::ImageKind>,
    pub n_channels: u8,
    pub n_bits: u8,
    pub is_turned: bool,
}

/// No image has as many rows or columns, so that sums of a column stay within 32 bits.
pub(super) const SIDE_MOST: u32 = (1 << 24) - 1;

impl Pixels {
    /// An image of samples row by row, the channels of a pixel side by side: grey, grey and opacity, RGB or RGBA.
    ///
    /// `None` where there is no pixel, a side has 2^24 or more, the channels are not one to four, or the samples are not as
    /// many as these say.
    #[must_use]
    pub fn new(width: u32, height: u32, n_channels: usize, samples: Vec<u8>) -> Option<Self> {
        let n_pixels = (width as usize).checked_mul(height as usize)?;
        if n_pixels == 0
            || width.max(height) > SIDE_MOST
            || !(1..=4).contains(&n_channels)
            || n_pixels.checked_mul(n_channels)? != samples.len()
        {
            return None;
        }
        let stored = Stored {
            n_channels: n_channels as u8,
            n_bits: 8,
            ..Stored::default()
        };
        let (n_channels, samples) = fewest(n_channels, samples);
        Some(Self {
            width,
            height,
            n_channels,
            samples,
            deep_hash: None,
            stored,
        })
    }

    /// The same of samples of 16 bits, which are reduced to 8 for all but the question whether two images are equal.
    #[must_use]
    pub fn from_deep(width: u32, height: u32, n_channels: usize, samples: &[u16]) -> Option<Self> {
        let narrow = |sample: &u16| ((u32::from(*sample) * 255 + 32767) / 65535) as u8;
        let mut pixels = Self::new(
            width,
            height,
            n_channels,
            samples.iter().map(narrow).collect(),
        )?;
        pixels.stored.n_bits = 16;
        // What 8 bits can say is equal to an image that says it with 8.
        if samples.iter().any(|sample| sample % 257 != 0) {
            let mut hash = Sha256::new();
            hash.update(head(width, height, 4, 16));
            let mut row = Vec::with_capacity(width as usize * 8);
            for some in samples.chunks(width as usize * n_channels) {
                row.clear();
                for pixel in some.chunks_exact(n_channels) {
                    let four = match *pixel {
                        [grey] => [grey, grey, grey, u16::MAX],
                        [grey, alpha] => [grey, grey, grey, alpha],
                        [red, green, blue] => [red, green, blue, u16::MAX],
                        _ => [pixel[0], pixel[1], pixel[2], pixel[3]],
                    };
                    row.extend(four.iter().flat_map(|sample| sample.to_le_bytes()));
                }
                hash.update(&row);
            }
            pixels.deep_hash = Some(hash.finalize().into());
        }
        Some(pixels)
    }

    /// Columns.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Samples of a pixel: 1, 3 or 4.
    #[must_use]
    pub fn n_channels(&self) -> usize {
        self.n_channels
    }

    /// All samples, row by row.
    #[must_use]
    pub fn samples(&self) -> &[u8] {
        &self.samples
    }

    /// SHA-256 of the size and the pixels; two images have the same if and only if they are equal.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.deep_hash.unwrap_or_else(|| {
            let mut hash = Sha256::new();
            hash.update(head(self.width, self.height, self.n_channels as u8, 8));
            hash.update(&self.samples);
            hash.finalize().into()
        })
    }

    /// The colour that is seen at a place: what is not opaque lies on white.
    pub(super) fn seen(&self, x: u32, y: u32) -> [u8; 3] {
        let at = (y as usize * self.width as usize + x as usize) * self.n_channels;
        match self.samples[at..at + self.n_channels] {
            [grey] => [grey; 3],
            [red, green, blue] => [red, green, blue],
            [red, green, blue, alpha] => [red, green, blue].map(|sample| on_white(sample, alpha)),
            _ => [0; 3],
        }
    }

    /// How bright each pixel is (ITU-R BT.601: 0.299 red, 0.587 green, 0.114 blue); what is not opaque lies on white.
    pub(super) fn luma(&self) -> Cow<'_, [u8]> {
        let bright = |red: u8, green: u8, blue: u8| {
            let sum = 77 * u32::from(red) + 150 * u32::from(green) + 29 * u32::from(blue);
            ((sum + 128) >> 8) as u8
        };
        match self.n_channels {
            1 => Cow::Borrowed(&self.samples),
            3 => {
                let (pixels, _) = self.samples.as_chunks::<3>();
                Cow::Owned(
                    pixels
                        .iter()
                        .map(|[red, green, blue]| bright(*red, *green, *blue))
                        .collect(),
                )
            }
            _ => {
                let (pixels, _) = self.samples.as_chunks::<4>();
                Cow::Owned(
                    pixels
                        .iter()
                        .map(|[red, green, blue, alpha]| {
                            on_white(bright(*red, *green, *blue), *alpha)
                        })
                        .collect(),
                )
            }
        }
    }
}

fn on_white(sample: u8, alpha: u8) -> u8 {
    let alpha = u32::from(alpha);
    ((u32::from(sample) * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

fn head(width: u32, height: u32, n_channels: u8, n_bits: u8) -> [u8; 10] {
    let mut head = [0; 10];
    head[..4].copy_from_slice(&width.to_le_bytes());
    head[4..8].copy_from_slice(&height.to_le_bytes());
    head[8..].copy_from_slice(&[n_channels, n_bits]);
    head
}

/// The fewest channels that hold the same, and the samples in these.
fn fewest(n_channels: usize, samples: Vec<u8>) -> (usize, Vec<u8>) {
    let pixels = || samples.chunks_exact(n_channels);
    let is_opaque = n_channels % 2 == 1 || pixels().all(|pixel| pixel[n_channels - 1] == 255);
    let is_grey =
        n_channels < 3 || pixels().all(|pixel| pixel[0] == pixel[1] && pixel[0] == pixel[2]);
    match (n_channels, is_grey, is_opaque) {
        (1, ..) | (3, false, _) | (4, _, false) => (n_channels, samples),
        (_, true, true) => (1, pixels().map(|pixel| pixel[0]).collect()),
        (2, ..) => {
            let four = pixels().flat_map(|pixel| [pixel[0], pixel[0], pixel[0], pixel[1]]);
            (4, four.collect())
        }
        _ => (
            3,
            pixels()
                .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
                .collect(),
        ),
    }
}
