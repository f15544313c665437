//! Decoding, within limits that are looked at before anything is decoded.

use std::error::Error;
use std::io::{self, Cursor};

use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::fault::ImageFault;
use super::kind::ImageKind;
use super::pixels::{Pixels, SIDE_MOST};

/// How large an image may be to be decoded. A few bytes can say that they unpack to any size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageLimits {
    /// The most pixels.
    pub n_pixels_most: u64,
    /// The most bytes of decoded samples, and of what a decoder takes beside them.
    pub n_bytes_most: u64,
}

impl Default for ImageLimits {
    /// 100 megapixels, as medium-format cameras have, and 512 MiB.
    fn default() -> Self {
        Self {
            n_pixels_most: 100_000_000,
            n_bytes_most: 512 << 20,
        }
    }
}

/// Decodes an image file's content: of an animation the first frame, turned as its EXIF data say.
///
/// CMYK is converted to RGB; profiles of colour are not applied.
///
/// # Errors
///
/// When it is no image, is damaged or cut off, or is larger than the limits. Nothing panics.
pub fn decode_image(bytes: &[u8], limits: &ImageLimits) -> Result<Pixels, ImageFault> {
    if bytes.is_empty() {
        return Err(ImageFault::Empty);
    }
    let kind = ImageKind::by_content(bytes).ok_or(ImageFault::Unknown)?;
    // Decoders trust what a damaged file says of itself, and some panic where it is not so.
    let read = || read(bytes, kind, limits);
    let image =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).unwrap_or_else(|_| {
            Err(ImageFault::Corrupt {
                kind,
                why: "the decoder gave up on it".to_owned(),
            })
        })?;
    Ok(image)
}

fn read(bytes: &[u8], kind: ImageKind, limits: &ImageLimits) -> Result<Pixels, ImageFault> {
    let fault = |error: &ImageError| fault_of(error, kind, limits);
    if let Some(why) = cut_off(bytes, kind) {
        return Err(ImageFault::Truncated { kind, why });
    }
    let format = match kind {
        ImageKind::Png => ImageFormat::Png,
        ImageKind::Jpeg => ImageFormat::Jpeg,
        ImageKind::Gif => ImageFormat::Gif,
        ImageKind::WebP => ImageFormat::WebP,
        ImageKind::Bmp => ImageFormat::Bmp,
        ImageKind::Tiff => ImageFormat::Tiff,
        ImageKind::Idx => return Err(ImageFault::Unknown),
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut allowed = Limits::default();
    allowed.max_alloc = Some(limits.n_bytes_most);
    reader.limits(allowed);
    let mut decoder = reader.into_decoder().map_err(|error| fault(&error))?;
    let (width, height) = decoder.dimensions();
    check_size(width, height, limits)?;
    if decoder.total_bytes() > limits.n_bytes_most {
        return Err(ImageFault::TooMuchMemory {
            kind,
            n_bytes_most: limits.n_bytes_most,
        });
    }
    // What EXIF data say is of use only where they can be read.
    let orientation = decoder.orientation().ok();
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| fault(&error))?;
    let mut is_turned = false;
    if let Some(orientation) = orientation {
        is_turned = orientation != image::metadata::Orientation::NoTransforms;
        image.apply_orientation(orientation);
    }
    let mut pixels = pixels(image).ok_or_else(|| ImageFault::Corrupt {
        kind,
        why: "it has other pixels than it says".to_owned(),
    })?;
    pixels.stored.kind = Some(kind);
    pixels.stored.is_turned = is_turned;
    Ok(pixels)
}

/// Whether an image of a size may be decoded.
pub(super) fn check_size(width: u32, height: u32, limits: &ImageLimits) -> Result<(), ImageFault> {
    if width == 0 || height == 0 {
        return Err(ImageFault::ZeroSize { width, height });
    }
    if u64::from(width) * u64::from(height) > limits.n_pixels_most || width.max(height) > SIDE_MOST
    {
        return Err(ImageFault::TooLarge {
            width,
            height,
            n_pixels_most: limits.n_pixels_most,
        });
    }
    Ok(())
}

fn pixels(image: DynamicImage) -> Option<Pixels> {
    let (width, height, color) = (image.width(), image.height(), image.color());
    let n_channels = usize::from(color.channel_count());
    match color {
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => {
            Pixels::new(width, height, n_channels, image.into_bytes())
        }
        ColorType::L16 => Pixels::from_deep(width, height, 1, image.as_luma16()?),
        ColorType::La16 => Pixels::from_deep(width, height, 2, image.as_luma_alpha16()?),
        ColorType::Rgb16 => Pixels::from_deep(width, height, 3, image.as_rgb16()?),
        ColorType::Rgba16 => Pixels::from_deep(width, height, 4, image.as_rgba16()?),
        // Numbers without a bound: those of 0 to 1 are what is seen.
        _ => Pixels::from_deep(width, height, 4, &image.into_rgba16()),
    }
}

/// What is missing at the end of a file that decoders fill up in silence.
fn cut_off(bytes: &[u8], kind: ImageKind) -> Option<String> {
    match kind {
        ImageKind::Jpeg => {
            (!ends_as_jpeg(bytes)).then(|| "the mark of its end is missing".to_owned())
        }
        ImageKind::WebP => {
            let said = bytes.get(4..8)?.try_into().ok().map(u32::from_le_bytes)?;
            let n_whole = u64::from(said) + 8;
            // The byte that makes it even is often left out.
            (bytes.len() as u64 + 1 < n_whole).then(|| {
                format!(
                    "it says that it has {n_whole} bytes, and has {}",
                    bytes.len()
                )
            })
        }
        _ => None,
    }
}

/// Whether the mark of the end follows the first scan (ITU-T T.81, B.1.1: a marker within coded data cannot be this one).
fn ends_as_jpeg(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        match bytes.get(at..at + 2) {
            // Markers may be filled up with any number of these.
            Some([0xff, 0xff]) => at += 1,
            Some([0xff, 0xda]) => {
                return memchr::memmem::rfind(&bytes[at..], b"\xff\xd9").is_some();
            }
            // Without a length.
            Some([0xff, 0x01 | 0xd0..=0xd8]) => at += 2,
            Some([0xff, _]) => {
                let Some([high, low]) = bytes.get(at + 2..at + 4) else {
                    return false;
                };
                at += 2 + usize::from(u16::from_be_bytes([*high, *low]));
            }
            // What is no marker is for the decoder to judge.
            Some(_) => return true,
            None => return false,
        }
    }
}

fn fault_of(error: &ImageError, kind: ImageKind, limits: &ImageLimits) -> ImageFault {
    let why = error.to_string();
    match error {
        ImageError::Limits(_) => ImageFault::TooMuchMemory {
            kind,
            n_bytes_most: limits.n_bytes_most,
        },
        ImageError::Unsupported(_) => ImageFault::Unsupported { kind, why },
        _ if is_end(error, &why) => ImageFault::Truncated { kind, why },
        _ => ImageFault::Corrupt { kind, why },
    }
}

/// Whether an error, or what it came from, is that there were no more bytes; not all decoders tell it by a type.
fn is_end(error: &ImageError, why: &str) -> bool {
    let is_end = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
    let mut of: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = of {
        if error.downcast_ref().is_some_and(is_end) {
            return true;
        }
        of = error.source();
    }
    matches!(error, ImageError::IoError(error) if is_end(error))
        || why.to_ascii_lowercase().contains("unexpected end of file")
}
