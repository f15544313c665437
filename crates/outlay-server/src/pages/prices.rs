//! The page of prices: offers of accelerators, prices of APIs, and how both change.

mod apis;
mod offers;
mod query;
mod trends;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use super::frame::{Frame, page};
use crate::App;
use query::Query;

/// The pages of prices.
pub fn router() -> Router<App> {
    Router::new()
        .route("/prices", get(offers_page))
        .route("/prices/apis", get(apis_page))
        .route("/prices/trends", get(trends_page))
}

async fn offers_page(State(app): State<App>, RawQuery(query): RawQuery) -> Response {
    let query = Query::read(query.as_deref());
    let frame = Frame::at("/prices");
    page(
        StatusCode::OK,
        &offers::view(frame, query, app.planner(), &app.today()),
    )
}

async fn apis_page(State(app): State<App>, RawQuery(query): RawQuery) -> Response {
    let query = Query::read(query.as_deref());
    let frame = Frame::at("/prices");
    page(
        StatusCode::OK,
        &apis::view(frame, query, app.planner(), &app.today()),
    )
}

async fn trends_page(State(app): State<App>, RawQuery(query): RawQuery) -> Response {
    let query = Query::read(query.as_deref());
    let planner_of = app.clone();
    let frame = Frame::at("/prices");
    let made =
        tokio::task::spawn_blocking(move || trends::view(frame, query, planner_of.planner())).await;
    match made {
        Ok(view) => page(StatusCode::OK, &view),
        Err(_) => axum::response::IntoResponse::into_response(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
