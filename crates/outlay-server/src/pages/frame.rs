//! What every page has around it.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::assets;

/// The pages that every page leads to: path and name.
const PLACES: [(&str, &str); 6] = [
    ("/", "Home"),
    ("/runs", "Runs"),
    ("/budgets", "Budgets"),
    ("/evidence", "Evidence"),
    ("/plan", "Planner"),
    ("/prices", "Prices"),
];

/// The frame of a page. Templates that extend `base.html` have one as `frame`.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    at: &'static str,
}

impl Frame {
    /// The frame of a page below one of the places, such as `/runs`.
    #[must_use]
    pub fn at(at: &'static str) -> Self {
        Self { at }
    }

    /// The pages that every page leads to.
    #[must_use]
    pub fn places(&self) -> [(&'static str, &'static str); 6] {
        PLACES
    }

    /// Whether this page is one of that place.
    #[must_use]
    pub fn is_at(&self, path: &str) -> bool {
        self.at == path
    }

    /// The address of one of the files in `assets/`, with its hash.
    #[must_use]
    pub fn asset(&self, name: &str) -> String {
        assets::address(name)
    }
}

/// A page as a reply, kept by nobody: what it shows changes.
pub fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => (status, [(header::CACHE_CONTROL, "no-store")], Html(text)).into_response(),
        // Writing into a string fails only where a template is wrong.
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
