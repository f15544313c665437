//! How prices change, as `outlay trends` says it.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use outlay_catalog::{ApiPrice, Offer, Pricing, find_accelerator};
use outlay_plan::Trends;
use outlay_units::{Estimate, price_usd};
use serde_json::{Value, json};

use super::query::Query;
use crate::pages::frame::Frame;
use crate::plan::Planner;

/// Most goods in the picture where none is asked for.
const MOST_DRAWN: usize = 6;

/// The page.
#[derive(Template)]
#[template(path = "prices_trends.html")]
pub struct TrendsPage {
    frame: Frame,
    query: Query,
    tokens: bool,
    rows: Vec<Row>,
    of_all: String,
    unit: &'static str,
    /// Dated prices by good, as JSON.
    points: String,
}

/// How the price of a good changes.
pub struct Row {
    good: String,
    series: u32,
    last: String,
    seller: String,
    yearly: String,
    falls: bool,
    in_three_months: String,
    in_a_year: String,
    between: String,
    points: u32,
}

/// A change as people say it: -13% (-20 to -7).
fn change(yearly: Estimate) -> String {
    format!(
        "{:+.0}% ({:+.0} to {:+.0})",
        yearly.p50 * 100.0,
        yearly.p10 * 100.0,
        yearly.p90 * 100.0
    )
}

fn row(trends: &Trends, good: &str, wanted: bool) -> Option<Row> {
    let trend = trends.of(good)?;
    // Without a series of its own a good has nothing to show, unless it was asked for.
    if trend.is_of_all && !wanted {
        return None;
    }
    let later = |years: f64| trends.factor(good, years).scaled(trend.last_usd);
    let year = later(1.0);
    Some(Row {
        series: trend.series,
        last: price_usd(trend.last_usd),
        seller: trend.last_seller,
        yearly: change(trend.yearly_change),
        falls: trend.yearly_change.p50 < 0.0,
        in_three_months: price_usd(later(0.25).p50),
        in_a_year: price_usd(year.p50),
        between: format!("{} to {}", price_usd(year.p10), price_usd(year.p90)),
        points: trend.points,
        good: trend.good,
    })
}

/// A dated price: the good, who sells it, the day, and US dollars.
type Dated = (String, String, String, f64);

/// The family of each model that is sold by the token; finding one takes a while, and a name has many days.
fn families(prices: &[ApiPrice]) -> BTreeMap<&str, String> {
    let names: BTreeSet<&str> = prices.iter().map(|price| price.name.as_str()).collect();
    names
        .into_iter()
        .filter_map(|name| Some((name, outlay_model::find_served(name)?.name.clone())))
        .collect()
}

fn dated(
    apis: &[ApiPrice],
    families: &BTreeMap<&str, String>,
    offers: Vec<Offer>,
    pricing: Option<Pricing>,
) -> Vec<Dated> {
    let Some(pricing) = pricing else {
        return apis
            .iter()
            .filter_map(|price| {
                let family = families.get(price.name.as_str())?.clone();
                let usd = 0.75 * price.usd_per_input_token + 0.25 * price.usd_per_output_token;
                let (seller, day) = (price.provider.clone(), price.as_of.clone());
                Some((family, seller, day, usd * 1e6))
            })
            .collect();
    };
    offers
        .into_iter()
        .filter(|offer| offer.pricing == pricing)
        .map(|offer| {
            let usd = offer.usd_per_accelerator_hour();
            (offer.accelerator, offer.provider, offer.as_of, usd)
        })
        .collect()
}

pub fn view(frame: Frame, query: Query, planner: &Planner) -> TrendsPage {
    let tokens = query.what == "tokens";
    let pricing = match query.pricing.as_str() {
        "spot" => Pricing::Spot,
        "reserved" => Pricing::Reserved,
        _ => Pricing::OnDemand,
    };
    let apis = if tokens {
        planner.api_prices()
    } else {
        Vec::new()
    };
    let families = families(&apis);
    let offers = planner.dated();
    let trends = if tokens {
        Trends::of_apis(apis.iter(), |name| families.get(name).cloned())
    } else {
        Trends::of_offers(offers.iter(), pricing)
    };
    // An accelerator goes by its other names, too.
    let exact = find_accelerator(&query.words)
        .ok()
        .filter(|_| !tokens && !query.words.is_empty())
        .map(|accelerator| accelerator.id.as_str());
    let shown = |good: &str| match exact {
        Some(id) => good == id,
        None => query.finds(&[good]),
    };
    let wanted = !query.words.is_empty();
    let rows: Vec<Row> = trends
        .goods()
        .into_iter()
        .filter(|good| shown(good))
        .filter_map(|good| row(&trends, good, wanted))
        .collect();
    let mut drawn: Vec<&Row> = rows.iter().collect();
    drawn.sort_by_key(|row| std::cmp::Reverse(row.points));
    drawn.truncate(MOST_DRAWN);
    let drawn: Vec<&str> = drawn.iter().map(|row| row.good.as_str()).collect();
    let points = picture(
        &dated(&apis, &families, offers, (!tokens).then_some(pricing)),
        &drawn,
    );
    TrendsPage {
        frame,
        query,
        tokens,
        of_all: change(trends.of_all()),
        unit: if tokens {
            "a million tokens"
        } else {
            "an accelerator-hour"
        },
        points,
        rows,
    }
}

/// Points of the picture: by good, or by seller where there is one good.
fn picture(dated: &[Dated], goods: &[&str]) -> String {
    let one = goods.len() == 1;
    let mut series: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (good, seller, day, usd) in dated {
        if !goods.contains(&good.as_str()) {
            continue;
        }
        let name = if one { seller } else { good };
        let point = json!([day, usd, if one { good } else { seller }]);
        series.entry(name).or_default().push(point);
    }
    for points in series.values_mut() {
        points.sort_by(|a, b| a[0].as_str().cmp(&b[0].as_str()));
    }
    json!(series).to_string()
}
