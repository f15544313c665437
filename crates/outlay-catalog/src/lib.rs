//! Facts with their sources: accelerators, offers, grid carbon. And readers for other people's catalogs.

mod hardware;
mod offer;

pub use hardware::{
    Accelerator, HardwareFileError, Link, Network, Peaks, UnknownAccelerator, accelerators,
    find_accelerator, find_accelerator_in, parse_accelerators,
};
pub use offer::{Offer, Pricing};
