//! Images as records of an audit: what is kept of each, and what is said of all.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::chunks::{Chunk, Skipped};
use crate::images::{
    ImageFlag, ImageFlags, ImageIndex, ImageLimits, ImageSettings, ImageSketch, PatchSet, Pixels,
    class_of, decode_image, patches, sketch_pixels,
};
use crate::near::Found;

/// What is kept of an image.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PictureSeen {
    width: u32,
    height: u32,
    flags: u16,
    pixel_hash: [u8; 32],
    perceptual_hash: u64,
    difference_hash: u64,
    thumbnail: Vec<u8>,
}

/// What of an image is kept in a sample: what its label may be told by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SampledPicture {
    /// Its corners and edges.
    pub patches: PatchSet,
    /// The brightness of 16 × 16 equal parts, row by row.
    pub levels: Vec<u8>,
}

/// Columns and rows of the thumbnail, and of what is kept of it in a sample.
const SIDES: (usize, usize) = (32, 16);

impl SampledPicture {
    /// Bytes of it.
    pub(crate) fn n_bytes(&self) -> usize {
        self.patches.n_bytes() + self.levels.len()
    }

    fn new(pixels: &Pixels, sketch: &ImageSketch) -> Self {
        let (from, to) = SIDES;
        let levels = (0..to * to).map(|at| {
            let first = at / to * 2 * from + at % to * 2;
            let four = [first, first + 1, first + from, first + from + 1];
            let sum: u16 = four.map(|at| u16::from(sketch.thumbnail[at])).iter().sum();
            ((sum + 2) / 4) as u8
        });
        Self {
            patches: patches(pixels),
            levels: levels.collect(),
        }
    }
}

/// An image of a chunk.
pub(crate) struct Picture {
    /// What is kept of it.
    pub seen: PictureSeen,
    /// What is kept of it where a sample is.
    pub sampled: Option<Box<SampledPicture>>,
    /// Its label.
    pub label: Option<String>,
    /// Bytes of its file, or of its pixels where it has none.
    pub n_bytes: u64,
}

impl Picture {
    fn new(pixels: &Pixels, label: Option<String>, n_bytes: usize, is_sampled: bool) -> Self {
        let sketch = sketch_pixels(pixels);
        Self {
            seen: kept(&sketch),
            sampled: is_sampled.then(|| Box::new(SampledPicture::new(pixels, &sketch))),
            label,
            n_bytes: n_bytes as u64,
        }
    }
}

/// The images of a chunk, or why there is nothing to see; none where it has none.
pub(crate) fn pictures(
    chunk: &Chunk,
    path: &Path,
    is_sampled: bool,
) -> Option<Vec<Result<Picture, Skipped>>> {
    match chunk {
        Chunk::Image(bytes) => {
            let within = path
                .parent()
                .and_then(Path::parent)
                .unwrap_or(Path::new(""));
            let class = class_of(path, within);
            let picture = decode_image(bytes, &ImageLimits::default())
                .map(|pixels| Picture::new(&pixels, class, bytes.len(), is_sampled))
                .map_err(|fault| Skipped {
                    line: 0,
                    n_bytes: bytes.len() as u64,
                    why: fault.to_string(),
                });
            Some(vec![picture])
        }
        Chunk::Pixels { images, .. } => Some(
            images
                .iter()
                .map(|image| {
                    let label = image.label.map(|label| label.to_string());
                    let n_bytes = image.pixels.samples().len();
                    Ok(Picture::new(&image.pixels, label, n_bytes, is_sampled))
                })
                .collect(),
        ),
        _ => None,
    }
}

fn kept(sketch: &ImageSketch) -> PictureSeen {
    PictureSeen {
        width: sketch.width,
        height: sketch.height,
        flags: sketch.flags.bits(),
        pixel_hash: sketch.pixel_hash,
        perceptual_hash: sketch.perceptual_hash,
        difference_hash: sketch.difference_hash,
        thumbnail: sketch.thumbnail.to_vec(),
    }
}

impl PictureSeen {
    /// As duplicates are found by it.
    pub(crate) fn sketch(self) -> Option<ImageSketch> {
        Some(ImageSketch {
            kind: None,
            width: self.width,
            height: self.height,
            n_channels: 0,
            n_bits: 0,
            brightness: 0.0,
            contrast: 0.0,
            sharpness: 0.0,
            flags: ImageFlags::from_bits(self.flags),
            pixel_hash: self.pixel_hash,
            perceptual_hash: self.perceptual_hash,
            difference_hash: self.difference_hash,
            thumbnail: self.thumbnail.into_boxed_slice().try_into().ok()?,
        })
    }
}

/// The images of an audit.
#[derive(Debug)]
pub struct Pictures {
    /// The record of each.
    pub records: Vec<u32>,
    /// Of each flag, in the order of `ImageFlag::ALL`, how many images have it, and the record of the first.
    pub flags: [(u64, u32); ImageFlag::ALL.len()],
    /// Images with too little in them to be told apart by it, which are compared pixel by pixel alone.
    pub n_flat: u64,
    /// What duplicates are found by, until they are.
    index: Option<ImageIndex>,
}

impl Pictures {
    /// No images; of those to come, so many bytes stay in memory for the search, and the rest goes to a working file.
    pub(crate) fn new(memory_bytes: usize, folder: &Path) -> Self {
        Self {
            records: Vec::new(),
            flags: Default::default(),
            n_flat: 0,
            index: Some(ImageIndex::new(
                ImageSettings::default(),
                memory_bytes,
                folder,
            )),
        }
    }

    /// Takes an image of a record.
    pub(crate) fn take(&mut self, record: u32, picture: PictureSeen) -> std::io::Result<()> {
        let Some(sketch) = picture.sketch() else {
            return Ok(());
        };
        for (flag, (n, first)) in ImageFlag::ALL.into_iter().zip(&mut self.flags) {
            if sketch.flags.has(flag) {
                *first = if *n == 0 { record } else { *first };
                *n += 1;
            }
        }
        self.records.push(record);
        match &mut self.index {
            Some(index) => index.push(&sketch),
            None => Ok(()),
        }
    }

    /// Finds what belongs together, and says so among all records.
    pub(crate) fn find(&mut self, found: &mut Found) -> std::io::Result<()> {
        let Some(index) = self.index.take() else {
            return Ok(());
        };
        let near = index.find()?;
        self.n_flat = u64::from(near.n_flat);
        found.n_compared += near.n_compared;
        found.n_not_compared += near.n_not_compared;
        found.n_empty = found.n_empty.saturating_sub(self.records.len() as u32);
        for (image, record) in self.records.iter().enumerate() {
            found.exact[*record as usize] = self.records[near.exact[image] as usize];
            let least = near.clusters.least(image as u32);
            found.clusters.merge(self.records[least as usize], *record);
        }
        Ok(())
    }
}

/// What is said of images.
#[derive(Clone, Debug, Serialize)]
pub struct PicturesView {
    /// Images that were read.
    pub n_images: u64,
    /// Images with too little in them to be told apart by it, which are compared pixel by pixel alone.
    pub n_flat: u64,
    /// What to look at.
    pub flags: Vec<FlagView>,
}

/// Images of which the same is to be said.
#[derive(Clone, Debug, Serialize)]
pub struct FlagView {
    /// What.
    pub flag: &'static str,
    /// How many.
    pub n_images: u64,
    /// The first of them.
    pub first: String,
}

impl PicturesView {
    pub(crate) fn new(
        pictures: &Pictures,
        name: impl Fn(u32) -> std::io::Result<String>,
    ) -> std::io::Result<Option<Self>> {
        if pictures.records.is_empty() {
            return Ok(None);
        }
        let mut flags = Vec::new();
        for (flag, (n_images, first)) in ImageFlag::ALL.into_iter().zip(pictures.flags) {
            if n_images > 0 {
                flags.push(FlagView {
                    flag: flag.name(),
                    n_images,
                    first: name(first)?,
                });
            }
        }
        Ok(Some(Self {
            n_images: pictures.records.len() as u64,
            n_flat: pictures.n_flat,
            flags,
        }))
    }
}
