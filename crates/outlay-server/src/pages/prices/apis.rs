//! Prices of models that are sold by the token.

use std::collections::BTreeMap;

use askama::Template;
use outlay_catalog::{ApiPrice, STALE_AFTER_DAYS, age_days, builtin_api_prices};
use outlay_units::{count, price_usd};

use super::query::{Origin, Query};
use crate::pages::frame::Frame;
use crate::plan::Planner;

/// The page.
#[derive(Template)]
#[template(path = "prices_apis.html")]
pub struct ApisPage {
    frame: Frame,
    query: Query,
    rows: Vec<Row>,
    all: usize,
}

/// A price.
pub struct Row {
    name: String,
    provider: String,
    input: String,
    output: String,
    cached: String,
    batch: String,
    longest: String,
    as_of: String,
    is_old: bool,
    is_imported: bool,
    origin: Origin,
    sort: (f64, f64, f64),
}

pub fn view(frame: Frame, query: Query, planner: &Planner, today: &str) -> ApisPage {
    let mut last: BTreeMap<&str, (&ApiPrice, bool)> = BTreeMap::new();
    let shipped = builtin_api_prices().iter().map(|price| (price, false));
    let imported = planner.imported().apis.iter().map(|price| (price, true));
    for (price, is_imported) in shipped.chain(imported) {
        let known = last.entry(&price.name).or_insert((price, is_imported));
        if price.as_of >= known.0.as_of {
            *known = (price, is_imported);
        }
    }
    let all = last.len();
    let million = |usd: f64| price_usd(usd * 1e6);
    let mut rows: Vec<Row> = last
        .into_values()
        .filter(|(price, _)| query.finds(&[&price.name, &price.provider]))
        .map(|(price, is_imported)| Row {
            name: price.name.clone(),
            provider: price.provider.clone(),
            input: million(price.usd_per_input_token),
            output: million(price.usd_per_output_token),
            cached: price
                .usd_per_cached_token
                .map_or_else(|| "–".to_owned(), million),
            batch: match (
                price.usd_per_batch_input_token,
                price.usd_per_batch_output_token,
            ) {
                (Some(input), Some(output)) => format!("{} / {}", million(input), million(output)),
                _ => "–".to_owned(),
            },
            longest: price
                .max_input_tokens
                .map_or_else(|| "–".to_owned(), |tokens| count(tokens as f64)),
            is_old: age_days(&price.as_of, today).is_some_and(|days| days > STALE_AFTER_DAYS),
            as_of: price.as_of.clone(),
            is_imported,
            origin: Origin::of(&price.source),
            sort: (
                price.usd_per_request(1000.0, 0.0, 300.0),
                price.usd_per_input_token,
                price.usd_per_output_token,
            ),
        })
        .collect();
    let by = |key: fn(&Row) -> f64| move |a: &Row, b: &Row| key(a).total_cmp(&key(b));
    match query.sort.as_str() {
        "name" => rows.sort_by(|a, b| a.name.cmp(&b.name)),
        "provider" => rows.sort_by(|a, b| a.provider.cmp(&b.provider).then(a.name.cmp(&b.name))),
        "input" => rows.sort_by(by(|row| row.sort.1)),
        "output" => rows.sort_by(by(|row| row.sort.2)),
        "day" => rows.sort_by(|a, b| b.as_of.cmp(&a.as_of)),
        _ => rows.sort_by(by(|row| row.sort.0)),
    }
    ApisPage {
        frame,
        query,
        rows,
        all,
    }
}
