//! Facts with their sources: accelerators, offers, grid carbon. And readers for other people's catalogs.

mod hardware;
mod offer;

pub use hardware::{Accelerator, Link, Network, Peaks};
pub use offer::{Offer, Pricing};
