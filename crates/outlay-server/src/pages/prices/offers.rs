//! Offers of accelerators.

use std::collections::BTreeMap;

use askama::Template;
use outlay_catalog::{Offer, STALE_AFTER_DAYS, age_days, builtin_offers, find_accelerator};
use outlay_units::price_usd;

use super::query::{Origin, Query};
use crate::pages::frame::Frame;
use crate::plan::Planner;

/// The page.
#[derive(Template)]
#[template(path = "prices.html")]
pub struct OffersPage {
    frame: Frame,
    query: Query,
    rows: Vec<Row>,
    all: usize,
    imported: usize,
    stale_days: i64,
}

/// An offer.
pub struct Row {
    hardware: String,
    accelerator: String,
    each: String,
    compute: String,
    provider: String,
    pricing: &'static str,
    region: String,
    as_of: String,
    is_old: bool,
    is_imported: bool,
    origin: Origin,
    sort: (f64, f64),
}

/// US dollars for an hour of one dense 16-bit PFLOP/s at peak.
fn per_pflops(offer: &Offer) -> Option<f64> {
    let peaks = &find_accelerator(&offer.accelerator).ok()?.peak_tflops;
    let peak = peaks.bf16.or(peaks.fp16)?;
    Some(offer.usd_per_accelerator_hour() / peak * 1000.0)
}

/// The offers that ship with Outlay and those imported; of one that is known on several days, the last.
fn latest(planner: &Planner) -> Vec<(&Offer, bool)> {
    let mut last: BTreeMap<_, (&Offer, bool)> = BTreeMap::new();
    let shipped = builtin_offers().iter().map(|offer| (offer, false));
    let imported = planner.imported().offers.iter().map(|offer| (offer, true));
    for (offer, is_imported) in shipped.chain(imported) {
        let key = (
            &offer.provider,
            &offer.instance,
            &offer.accelerator,
            offer.count,
            offer.pricing.name(),
            &offer.region,
        );
        let known = last.entry(key).or_insert((offer, is_imported));
        if offer.as_of >= known.0.as_of {
            *known = (offer, is_imported);
        }
    }
    last.into_values().collect()
}

pub fn view(frame: Frame, query: Query, planner: &Planner, today: &str) -> OffersPage {
    let offers = latest(planner);
    let all = offers.len();
    let imported = offers.iter().filter(|(_, imported)| *imported).count();
    let mut rows: Vec<Row> = offers
        .into_iter()
        .filter(|(offer, _)| query.pricing.is_empty() || query.pricing == offer.pricing.name())
        .filter(|(offer, _)| {
            query.finds(&[
                &offer.accelerator,
                &offer.provider,
                &offer.instance,
                &offer.region,
                offer.pricing.name(),
            ])
        })
        .map(|(offer, is_imported)| {
            let compute = per_pflops(offer);
            Row {
                hardware: format!("{} × {}", offer.count, offer.accelerator),
                accelerator: offer.accelerator.clone(),
                each: price_usd(offer.usd_per_accelerator_hour()),
                compute: compute.map_or_else(|| "–".to_owned(), price_usd),
                provider: offer.provider.clone(),
                pricing: offer.pricing.name(),
                region: offer.region.clone(),
                is_old: age_days(&offer.as_of, today).is_some_and(|days| days > STALE_AFTER_DAYS),
                as_of: offer.as_of.clone(),
                is_imported,
                origin: Origin::of(&offer.source),
                sort: (
                    offer.usd_per_accelerator_hour(),
                    compute.unwrap_or(f64::INFINITY),
                ),
            }
        })
        .collect();
    match query.sort.as_str() {
        "hardware" => rows.sort_by(|a, b| {
            a.accelerator
                .cmp(&b.accelerator)
                .then(a.sort.0.total_cmp(&b.sort.0))
        }),
        "provider" => rows.sort_by(|a, b| {
            a.provider
                .cmp(&b.provider)
                .then(a.accelerator.cmp(&b.accelerator))
        }),
        "compute" => rows.sort_by(|a, b| a.sort.1.total_cmp(&b.sort.1)),
        "day" => rows.sort_by(|a, b| b.as_of.cmp(&a.as_of).then(a.sort.0.total_cmp(&b.sort.0))),
        "region" => {
            rows.sort_by(|a, b| a.region.cmp(&b.region).then(a.sort.0.total_cmp(&b.sort.0)));
        }
        _ => rows.sort_by(|a, b| a.sort.0.total_cmp(&b.sort.0)),
    }
    OffersPage {
        frame,
        query,
        rows,
        all,
        imported,
        stale_days: STALE_AFTER_DAYS,
    }
}
