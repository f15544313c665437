//! The offers that a plan considers, as this machine has them: the lists, catalogs in folders, and snapshots of prices.

use std::path::Path;

use outlay_catalog::{Accelerator, Offer, builtin_offers};
use outlay_plan::request::{self, At, Market};

use super::plan_train::today;
use crate::failure::Failure;

pub use outlay_plan::request::is_date;

/// What day a price is of, and whether it is a projection to it.
pub fn price_day(as_of: &str, source: &str) -> String {
    if source.starts_with("projected") {
        format!("projected to {as_of}")
    } else {
        format!("price of {as_of}")
    }
}

/// A sentence where a price is old.
pub fn old_price(accelerator: &str, provider: &str, as_of: &str) -> Option<String> {
    request::old_price(accelerator, provider, as_of, &today())
}

/// What can be rented today: the built-in list and any catalog, and where prices are projected the snapshots, too.
pub fn market(catalog: Option<&Path>, at: &[String]) -> Result<Market, Failure> {
    let today = today();
    let mut listed: Vec<Offer> = builtin_offers().to_vec();
    if let Some(folder) = catalog {
        let (more, findings) = outlay_catalog::read_folder(folder).map_err(Failure::input)?;
        if !findings.is_empty() {
            crate::printer::aside(&format!(
                "{} rows of `{}` were left out; `outlay prices --catalog {}` says why",
                findings.len(),
                folder.display(),
                folder.display()
            ));
        }
        listed.extend(more);
    }
    let projects = At::read(at, &today).is_ok_and(|at| at.day().is_some());
    let dated = if projects {
        super::trends::DatedPrices::read(Path::new(super::trends::SNAPSHOTS))?.offers
    } else {
        Vec::new()
    };
    Ok(Market {
        listed,
        dated,
        today,
    })
}

/// The listed offers that are sold in the ways asked for, where and when --at says; and a sentence where prices are projected.
pub fn listed_at(
    market: &Market,
    (spot, reserved): (bool, bool),
    at: &At,
    fixed: Option<(u32, &Accelerator)>,
) -> Result<(Vec<Offer>, Option<String>), Failure> {
    let mut offers = market.sold(spot, reserved, fixed);
    let projection = at.apply(&mut offers, fixed, &market.dated)?;
    Ok((offers, projection))
}
