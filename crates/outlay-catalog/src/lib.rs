//! Facts with their sources: accelerators, offers, grid carbon. And readers for other people's catalogs.

mod api;
mod grid;
mod hardware;
mod history;
mod hours;
mod offer;
mod preemptions;
mod skypilot;

pub use api::{ApiFinding, ApiPrice, ApiTier, builtin_api_prices, parse_api_prices, read_litellm};
pub use grid::{CarbonIntensity, carbon_intensity, country_intensity};
pub use hardware::{
    Accelerator, HardwareFileError, Link, Network, Peaks, UnknownAccelerator, accelerators,
    find_accelerator, find_accelerator_in, parse_accelerators,
};
pub use history::{
    builtin_api_history, builtin_price_history, parse_api_history, parse_price_history,
    write_api_history, write_offers,
};
pub use hours::CarbonHours;
pub use offer::{
    Finding, Offer, OfferError, OwnedHardware, Pricing, STALE_AFTER_DAYS, age_days, builtin_offers,
    parse_offers, parse_price,
};
pub use preemptions::{Preemptions, USUAL_PREEMPTIONS_PER_NODE_DAY};
pub use skypilot::{parse_vms_csv, read_folder};
