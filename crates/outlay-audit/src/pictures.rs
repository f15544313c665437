//! Images as records of an audit: what is kept of each, and what is said of all.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::chunks::{Chunk, Skipped};
use crate::images::{
    ImageFlags, ImageSettings, ImageSketch, class_of, near_images, sketch_image, sketch_pixels,
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

/// An image of a chunk: what is kept of it, its label and its bytes; or why there is nothing to see.
pub(crate) type Picture = Result<(PictureSeen, Option<String>, u64), Skipped>;

/// The images of a chunk; none where it has none.
pub(crate) fn pictures(chunk: &Chunk, path: &Path) -> Option<Vec<Picture>> {
    match chunk {
        Chunk::Image(bytes) => {
            let seen = sketch_image(bytes).map_err(|fault| Skipped {
                line: 0,
                n_bytes: bytes.len() as u64,
                why: fault.to_string(),
            });
            let within = path
                .parent()
                .and_then(Path::parent)
                .unwrap_or(Path::new(""));
            let class = class_of(path, within);
            Some(vec![
                seen.map(|sketch| (kept(&sketch), class, bytes.len() as u64)),
            ])
        }
        Chunk::Pixels { images, .. } => Some(
            images
                .iter()
                .map(|image| {
                    let sketch = sketch_pixels(&image.pixels);
                    let label = image.label.map(|label| label.to_string());
                    Ok((kept(&sketch), label, image.pixels.samples().len() as u64))
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
#[derive(Clone, Debug, Default)]
pub struct Pictures {
    /// The record of each.
    pub records: Vec<u32>,
    /// What is kept of each.
    pub sketches: Vec<ImageSketch>,
    /// Images with too little in them to be told apart by it, which are compared pixel by pixel alone.
    pub n_flat: u64,
}

impl Pictures {
    /// Finds what belongs together, and says so among all records.
    pub(crate) fn find(&mut self, found: &mut Found) {
        let near = near_images(&self.sketches, &ImageSettings::default());
        self.n_flat = u64::from(near.n_flat);
        found.n_compared += near.n_compared;
        found.n_not_compared += near.n_not_compared;
        found.n_empty = found.n_empty.saturating_sub(self.records.len() as u32);
        for (image, record) in self.records.iter().enumerate() {
            found.exact[*record as usize] = self.records[near.exact[image] as usize];
            let least = near.clusters.least(image as u32);
            found.clusters.merge(self.records[least as usize], *record);
        }
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
        for flag in crate::images::ImageFlag::ALL {
            let mut with = pictures
                .records
                .iter()
                .zip(&pictures.sketches)
                .filter(|(_, sketch)| sketch.flags.has(flag));
            if let Some((first, _)) = with.next() {
                flags.push(FlagView {
                    flag: flag.name(),
                    n_images: 1 + with.count() as u64,
                    first: name(*first)?,
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
