//! Answers and refusals as JSON.

use std::sync::Arc;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use outlay_plan::request::Refusal;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Made, Unmade};

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Refused {
    /// What kind of failure: `invalid`, `busy` or `failed`.
    pub error: &'static str,
    /// The field that is wrong; empty where the body is no request at all.
    pub field: String,
    /// What is wrong, and what is allowed.
    pub message: String,
    /// What to try.
    pub hints: Vec<String>,
}

impl Refused {
    /// A refusal of a field.
    pub fn new(field: &str, message: impl Into<String>) -> Self {
        Self {
            error: "invalid",
            field: field.to_owned(),
            message: message.into(),
            hints: Vec::new(),
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            error: "invalid",
            field: refusal.request_field(),
            message: Refusal::without_dashes(&refusal.message),
            // What the command line would do is no help here.
            hints: refusal
                .hints
                .iter()
                .filter(|hint| !hint.contains("`outlay "))
                .map(|hint| Refusal::without_dashes(&hint.replace('`', "")))
                .collect(),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(self)).into_response()
    }
}

/// What the planner made, as a reply.
pub fn of(made: &Result<Arc<Made>, Unmade>) -> Response {
    match made.as_deref() {
        Ok(Made::Train(answer)) => Json(answer).into_response(),
        Ok(Made::Sizes(sizes)) => Json(sizes).into_response(),
        Ok(Made::Serve(answer)) => Json(answer).into_response(),
        Ok(Made::Refused(refused)) => refused.clone().into_response(),
        Err(unmade) => (*unmade).into_response(),
    }
}

impl Unmade {
    /// What happened, for people.
    #[must_use]
    pub fn refused(self) -> Refused {
        let (error, message) = match self {
            Self::Busy => ("busy", "The planner is busy; ask again in a few seconds."),
            Self::Broken => (
                "failed",
                "The planner failed at this request, which is a bug of it.",
            ),
        };
        Refused {
            error,
            ..Refused::new("", message)
        }
    }
}

impl IntoResponse for Unmade {
    fn into_response(self) -> Response {
        let refused = Json(self.refused());
        match self {
            Self::Busy => {
                let again = [(header::RETRY_AFTER, "3")];
                (StatusCode::TOO_MANY_REQUESTS, again, refused).into_response()
            }
            Self::Broken => (StatusCode::INTERNAL_SERVER_ERROR, refused).into_response(),
        }
    }
}
