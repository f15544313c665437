//! Offers: a node type at a price, from a provider, in a region.

use serde::{Deserialize, Serialize};

/// A node type at a price.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Provider, such as `lambda`.
    pub provider: String,
    /// Instance type as the provider names it.
    pub instance: String,
    /// Accelerator id of the built-in hardware list.
    pub accelerator: String,
    /// Accelerators in the instance.
    pub count: u32,
    /// Price of the whole instance, in US dollars per hour.
    pub usd_per_hour: f64,
    /// How it is sold.
    pub pricing: Pricing,
    /// Region as the provider names it.
    pub region: String,
    /// Day on which the price held, `YYYY-MM-DD`.
    pub as_of: String,
    /// Where the price was read.
    pub source: String,
}

/// How an offer is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pricing {
    /// By the hour, kept until given back.
    OnDemand,
    /// By the hour, may be taken away.
    Spot,
    /// Committed for a term.
    Reserved,
    /// Bought; the price is what it costs to own.
    Owned,
}

impl Offer {
    /// Price of one accelerator, in US dollars per hour.
    pub fn usd_per_accelerator_hour(&self) -> f64 {
        self.usd_per_hour / f64::from(self.count.max(1))
    }
}
