//! What every page has around it.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::assets;
use crate::doors::people::Role;
use crate::doors::{self, FormProof, Person};

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
#[derive(Clone, Debug)]
pub struct Frame {
    at: &'static str,
    person: Option<Person>,
    proof: Option<FormProof>,
}

impl Frame {
    /// The frame of a page below one of the places, such as `/runs`, for whoever asks at the moment.
    #[must_use]
    pub fn at(at: &'static str) -> Self {
        let (person, proof) = doors::asking();
        Self { at, person, proof }
    }

    /// The pages that every page leads to.
    #[must_use]
    pub fn places(&self) -> Vec<(&'static str, &'static str)> {
        let mut places = PLACES.to_vec();
        if self
            .person
            .as_ref()
            .is_some_and(|person| person.role == Role::Admin)
        {
            places.push(("/users", "Users"));
        }
        places
    }

    /// Who looks at the page; nobody where the server asks nobody who they are.
    #[must_use]
    pub fn person(&self) -> Option<&Person> {
        self.person.as_ref()
    }

    /// The proof that a form of this page carries as its field `csrf`, where a cookie says who looks at it.
    #[must_use]
    pub fn proof(&self) -> Option<&str> {
        self.proof.as_ref().map(|FormProof(proof)| proof.as_str())
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

/// Sends a browser elsewhere.
pub fn see_other(to: &str) -> Response {
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}
