//! Audits of training data: what is in it twice, what has leaked into it, and what that costs.

mod audit;
mod chunks;
mod content;
mod error;
mod fix;
mod gate;
mod images;
mod leaks;
mod minhash;
mod near;
mod privacy;
mod quality;
mod record;
mod report;
mod shingles;
mod source;
mod table;
mod union;
mod words;

pub use audit::{
    Audit, Benchmarks, FileCount, ItemFound, PrivacyCount, Progress, QUESTIONS, QualityCount,
    Settings, audit, benchmarks,
};
pub use chunks::Skipped;
pub use content::{Content, ContentFile, content};
pub use error::AuditError;
pub use fix::{Fix, Fixed, Keep, REMOVED, fix};
pub use gate::Condition;
pub use images::{
    ClassCount, IdxImage, IdxImages, ImageFault, ImageFlag, ImageFlags, ImageKind, ImageLimits,
    ImageSettings, ImageSketch, ImagesFound, PatchSet, PatchWindow, Pixels, Thumbnail, Trigger,
    TriggerSettings, class_counts, class_of, decode_image, detail_correlation, difference_hash,
    idx_images, near_images, patch_triggers, patches, perceptual_hash, sketch_image, sketch_pixels,
};
pub use leaks::{Finder, Grade, Items, Leak, Reference, SHORT};
pub use minhash::{Bands, MinHash};
pub use near::{Found, Near, NearSettings, Sketcher, Sketches};
pub use privacy::{Private, PrivateKind, masked, private, redacted};
pub use quality::{Broken, Judge, Rule};
pub use record::{Fields, Record, TEXTS};
pub use report::{
    Bill, BillLine, Cluster, Duplicates, Graded, ItemView, LeakView, Leaks, Privacy, PrivacyView,
    Quality, Report, RuleView, SkippedView,
};
pub use shingles::{Shingle, Shingler, jaccard};
pub use source::{Kind, Listing, Packing, Source};
pub use table::Table;
pub use union::Sets;
pub use words::words;
