//! Audits of images: what cannot be read, what is there twice, and what somebody pasted in.
//!
//! An image is decoded once, within limits that are known before ([`decode_image`]), and reduced to what is kept of it
//! ([`ImageSketch`], about 1.2 kB). Duplicates are then found among any number of sketches ([`ImageIndex`]). Windows at the
//! corners and edges of images that carry one label are looked through for marks of a poisoner ([`patch_triggers`]).

mod details;
mod fault;
mod folders;
mod hash;
mod idx;
mod kind;
mod near;
mod patches;
mod pixels;
mod read;
mod shrink;
mod sketch;
mod triggers;

pub use fault::ImageFault;
pub use folders::class_of;
pub use hash::{Thumbnail, detail_correlation, difference_hash, perceptual_hash};
pub(crate) use idx::labels_beside;
pub use idx::{IdxImage, IdxImages, idx_images};
pub use kind::ImageKind;
pub use near::{ImageIndex, ImageSettings, ImagesFound, near_images};
pub use patches::{PatchSet, PatchWindow, patches};
pub use pixels::Pixels;
pub use read::{ImageLimits, decode_image};
pub use sketch::{ImageFlag, ImageFlags, ImageSketch, sketch_image, sketch_pixels};
pub use triggers::{Trigger, TriggerSettings, patch_triggers};
