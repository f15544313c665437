//! The offers that a plan considers: a price given, hardware owned, or the lists.

use std::collections::BTreeSet;
use std::path::Path;

use outlay_catalog::{
    Offer, OwnedHardware, Pricing, STALE_AFTER_DAYS, age_days, builtin_offers, parse_price,
};
use outlay_plan::Trends;
use outlay_units::{Spread, parse_money_usd, percent, usd};

use super::plan_train::{Args, today};
use crate::failure::Failure;

/// Keeps the offers of a region; an error names the regions that there are.
pub fn keep_region(
    offers: &mut Vec<Offer>,
    region: &str,
    fixed: Option<(u32, &outlay_catalog::Accelerator)>,
) -> Result<(), Failure> {
    let wanted = region.to_ascii_lowercase();
    let concerns = |offer: &Offer| fixed.is_none_or(|(_, a)| a.id == offer.accelerator);
    let regions: BTreeSet<String> = offers
        .iter()
        .filter(|offer| concerns(offer) && !offer.region.is_empty())
        .map(|offer| offer.region.clone())
        .collect();
    offers.retain(|offer| offer.region.to_ascii_lowercase().contains(&wanted));
    if offers.iter().any(concerns) {
        return Ok(());
    }
    let known: Vec<String> = regions.into_iter().take(12).collect();
    Err(Failure::input(format!(
        "--at `{region}`: no offer is there; regions with offers: {}",
        known.join(", ")
    )))
}

/// Series of prices from which a way of selling has a rate of its own.
const FEW_SERIES: usize = 12;

/// Whether a text is a day of the calendar.
pub fn is_date(day: &str) -> bool {
    outlay_units::day_of_date(day).is_some_and(|number| outlay_units::date_of_day(number) == day)
}

/// What --at says: a region, a day to project prices to, or both.
#[derive(Debug, Default)]
pub struct At {
    region: Option<String>,
    day: Option<String>,
}

impl At {
    /// Reads the values of --at: a month or a day is a projection, anything else a region.
    pub fn read(texts: &[String]) -> Result<Self, Failure> {
        let mut at = Self::default();
        for text in texts {
            let text = text.trim();
            let is_day = text.len() >= 6
                && text.chars().all(|c| c.is_ascii_digit() || c == '-')
                && text.contains('-');
            let slot = if is_day { &mut at.day } else { &mut at.region };
            if let Some(before) = slot {
                return Err(Failure::input(format!(
                    "--at is given as `{before}` and as `{text}`; allowed: one region and one month"
                )));
            }
            if !is_day {
                *slot = Some(text.to_owned());
                continue;
            }
            let day = if text.len() == 7 {
                format!("{text}-01")
            } else {
                text.to_owned()
            };
            let today = today();
            if !is_date(&day) || !matches!(age_days(&today, &day), Some(1..=3660)) {
                return Err(Failure::input(format!(
                    "--at is `{text}`; allowed: a month such as 2027-06 or a day, after {today} and within ten years of it"
                )));
            }
            *slot = Some(day);
        }
        Ok(at)
    }

    /// The day to which prices are projected.
    pub fn day(&self) -> Option<&str> {
        self.day.as_deref()
    }

    /// Keeps the offers of the region and projects prices to the day. Says what was projected, for the person to see.
    pub fn apply(
        &self,
        offers: &mut Vec<Offer>,
        fixed: Option<(u32, &outlay_catalog::Accelerator)>,
    ) -> Result<Option<String>, Failure> {
        if let Some(region) = &self.region {
            keep_region(offers, region, fixed)?;
        }
        let Some(day) = &self.day else {
            return Ok(None);
        };
        let prices = super::trends::DatedPrices::read(Path::new(super::trends::SNAPSHOTS))?;
        let trends = [Pricing::OnDemand, Pricing::Spot, Pricing::Reserved]
            .map(|pricing| (pricing, Trends::of_offers(prices.offers.iter(), pricing)));
        let mut n_projected = 0;
        for offer in offers.iter_mut() {
            // A price that was typed, or hardware that is owned, has no day, and stays.
            let Some(days) = age_days(&offer.as_of, day) else {
                continue;
            };
            // Where few sellers' prices of a kind are known, those of on-demand offers stand for them.
            let trends = trends
                .iter()
                .find(|(pricing, own)| *pricing == offer.pricing && own.n_series() >= FEW_SERIES)
                .map_or(&trends[0].1, |(_, own)| own);
            n_projected += 1;
            let from = &offer.as_of;
            let factor = trends.factor(&offer.accelerator, days as f64 / 365.25);
            offer.usd_per_hour *= factor.p50;
            offer.projected = Some(Spread {
                low: factor.p10 / factor.p50,
                high: factor.p90 / factor.p50,
            });
            offer.source = format!("projected from {from} to {day}: {}", offer.source);
            offer.as_of.clone_from(day);
        }
        if n_projected == 0 {
            return Ok(Some(format!(
                "The price given stays as it is at {day}: only listed offers are projected."
            )));
        }
        let all = trends[0].1.of_all();
        Ok(Some(format!(
            "Prices are a projection to {day}, not offers: each is carried on at its hardware's own rate ({:+.0}% a year for all on-demand offers, {:+.0} to {:+.0}, where spot or reserved ones have too few sellers for a rate; `outlay trends` shows them), and the range of the cost holds what that leaves open.",
            all.p50 * 100.0,
            all.p10 * 100.0,
            all.p90 * 100.0
        )))
    }
}

/// Oldest price, in days, that takes part in a ranking where newer ones exist.
const RANKED_DAYS: i64 = 365;

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
    let days = age_days(as_of, &today()).filter(|days| *days > STALE_AFTER_DAYS)?;
    Some(format!(
        "The price of {accelerator} at {provider} is {days} days old ({as_of}); check it before relying on it, or give --price."
    ))
}

/// The offers to consider: a price given, or the built-in list and any catalogs.
pub fn gather_offers(
    args: &Args,
    fixed: Option<(u32, &outlay_catalog::Accelerator)>,
) -> Result<Vec<Offer>, Failure> {
    if let Some(text) = &args.price {
        let usd_per_hour =
            parse_price(text).map_err(|error| Failure::input(format!("--price: {error}")))?;
        let Some((_, accelerator)) = fixed else {
            return Err(Failure::input(
                "--price needs --gpus: a price belongs to an accelerator",
            ));
        };
        return Ok(vec![Offer {
            provider: "given".to_owned(),
            instance: String::new(),
            accelerator: accelerator.id.clone(),
            count: 1,
            usd_per_hour,
            pricing: Pricing::OnDemand,
            region: String::new(),
            as_of: String::new(),
            source: "--price".to_owned(),
            projected: None,
        }]);
    }
    if let Some(text) = &args.owned {
        let Some((_, accelerator)) = fixed else {
            return Err(Failure::input(
                "--owned needs --gpus: a price belongs to an accelerator",
            ));
        };
        return Ok(vec![owned_offer(args, text, accelerator)?]);
    }
    listed_offers(args.catalog.as_deref(), args.spot, args.reserved, fixed)
}

/// Offers of the built-in list and of a catalog, as far as they are sold in the ways asked for and not of years ago.
pub fn listed_offers(
    catalog: Option<&Path>,
    spot: bool,
    reserved: bool,
    fixed: Option<(u32, &outlay_catalog::Accelerator)>,
) -> Result<Vec<Offer>, Failure> {
    let mut offers: Vec<Offer> = builtin_offers().to_vec();
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
        offers.extend(more);
    }
    offers.retain(|offer| {
        offer.pricing == Pricing::OnDemand
            || (spot && offer.pricing == Pricing::Spot)
            || (reserved && offer.pricing == Pricing::Reserved)
    });
    // A search ranks by price, and a price of years ago would win it; where hardware is fixed, an old price beats none.
    let today = today();
    let recent =
        |offer: &Offer| age_days(&offer.as_of, &today).is_none_or(|days| days <= RANKED_DAYS);
    match fixed {
        None => offers.retain(recent),
        Some((_, accelerator)) => {
            let any_recent = offers
                .iter()
                .any(|offer| offer.accelerator == accelerator.id && recent(offer));
            offers.retain(|offer| !any_recent || recent(offer));
        }
    }
    Ok(offers)
}

/// What an hour of hardware costs that was bought: its share of the purchase, and electricity.
fn owned_offer(
    args: &Args,
    text: &str,
    accelerator: &outlay_catalog::Accelerator,
) -> Result<Offer, Failure> {
    let within = |option: &str, value: f64, least: f64, most: f64| {
        if value >= least && value <= most {
            Ok(value)
        } else {
            Err(Failure::input(format!(
                "--{option} is {value}; allowed: {least} to {most}"
            )))
        }
    };
    let purchase_usd =
        parse_money_usd(text).map_err(|error| Failure::input(format!("--owned: {error}")))?;
    let owned = OwnedHardware {
        purchase_usd,
        lifetime_years: within("lifetime", args.lifetime.unwrap_or(4.0), 0.1, 30.0)?,
        utilisation: within("utilisation", args.utilisation.unwrap_or(0.7), 0.01, 1.0)?,
        electricity_usd_per_kwh: within("electricity", args.electricity.unwrap_or(0.12), 0.0, 5.0)?,
        pue: args.pue.trim().parse().unwrap_or(1.2),
        watts: outlay_plan::server_watts(accelerator),
    };
    Ok(Offer {
        provider: "owned".to_owned(),
        instance: String::new(),
        accelerator: accelerator.id.clone(),
        count: 1,
        usd_per_hour: owned.usd_per_accelerator_hour(),
        pricing: Pricing::Owned,
        region: String::new(),
        as_of: String::new(),
        source: format!(
            "owned: {} over {} years in use {} of the time, {:.0} W at {} a kWh, PUE {}",
            usd(owned.purchase_usd),
            owned.lifetime_years,
            percent(owned.utilisation),
            owned.watts,
            usd(owned.electricity_usd_per_kwh),
            owned.pue
        ),
        projected: None,
    })
}
