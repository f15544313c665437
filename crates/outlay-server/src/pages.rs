//! The pages, for people who never open a terminal.
//!
//! Pages are complete without a script, but for tables and charts; scripts make them live. Nothing comes from elsewhere: style sheets, scripts and
//! the charts' library are served under names that hold their hash, and may be kept for good.

mod account;
mod assets;
pub(crate) mod fault;
mod form;
pub mod frame;
mod home;
mod ledger;
mod plan;
mod prices;
mod runs;
mod users;
pub mod words;

use axum::Router;
use axum::http::Uri;
use axum::routing::get;

pub use assets::charts_library;

use crate::App;

/// The pages and what they are made of.
pub fn router() -> Router<App> {
    Router::new()
        .route("/", get(home::get))
        .route("/runs", get(runs::list))
        .route("/runs/compare", get(runs::compare))
        .route("/runs/{id}", get(runs::get))
        .route("/budgets", get(ledger::budgets))
        .route("/evidence", get(ledger::evidence))
        .route("/assets/{name}", get(assets::get))
        .merge(plan::router())
        .merge(prices::router())
        .merge(users::router())
        .merge(account::router())
        .fallback(async |uri: Uri| fault::no_page(uri.path()))
}
