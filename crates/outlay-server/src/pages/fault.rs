//! Pages that say that something is not there, or failed.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::frame::{Frame, page};
use crate::api::fault::{ApiFault, Kind};

#[derive(Template)]
#[template(path = "fault.html")]
struct FaultPage {
    frame: Frame,
    title: &'static str,
    message: String,
    advice: &'static str,
}

/// A failure, as a page.
#[derive(Debug)]
pub struct PageFault(pub ApiFault);

impl IntoResponse for PageFault {
    fn into_response(self) -> Response {
        let fault = self.0;
        let (title, advice) = match fault.kind {
            Kind::NotFound => (
                "Not here",
                "It may have been mistyped, or the ledger is another one.",
            ),
            Kind::Held => (
                "The ledger is in use",
                "Others hold it at the moment. Try again in a while.",
            ),
            Kind::Failed => (
                "The ledger cannot be read",
                "Nothing is lost by that alone. Whoever runs the server finds more in its output.",
            ),
            Kind::Forbidden => (
                "Not allowed",
                "An admin of this server can give you another role, where that is what is missing.",
            ),
            _ => (
                "That cannot be shown",
                "The address asks for something that is not allowed.",
            ),
        };
        let template = FaultPage {
            frame: Frame::at(""),
            title,
            message: fault.message.clone(),
            advice,
        };
        page(fault.status(), &template)
    }
}

/// The page for a path that there is not.
pub fn no_page(path: &str) -> Response {
    let template = FaultPage {
        frame: Frame::at(""),
        title: "No such page",
        message: format!("There is no page {}.", crate::api::fault::short(path)),
        advice: "The pages at the top are those that there are.",
    };
    page(StatusCode::NOT_FOUND, &template)
}
