//! Requests that are turned away, and how each is told: by a page, in MLflow's form, or in that of this server's own API.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::audit::{ASKING, Asking};
use super::{login, origin, routes};
use crate::api::fault::ApiFault;
use crate::mlflow::error::{ApiError, Code};
use crate::pages::fault::PageFault;
use crate::pages::frame::see_other;

/// A request that is turned away, and why.
#[derive(Debug)]
pub(super) struct Refused {
    error: ApiError,
    /// How long to wait before the next try.
    later: Option<Duration>,
    /// Whether it is asked who they are.
    ask_who: bool,
    /// Whom it is said to, where they are known: people get a page.
    to: Option<Asking>,
}

impl Refused {
    /// Says to whom.
    pub fn to(mut self, asking: &Asking) -> Self {
        self.to = Some(asking.clone());
        self
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self {
            error,
            later: None,
            ask_who: false,
            to: None,
        }
    }
}

/// Who asks may not.
pub(super) fn forbidden(message: impl Into<String>) -> Refused {
    ApiError::new(Code::PermissionDenied, message).into()
}

/// Who asks may later.
pub(super) fn later(wait: Duration, message: &str) -> Refused {
    Refused {
        later: Some(wait),
        ..Refused::from(ApiError::new(Code::ResourceExhausted, message))
    }
}

/// Nobody knows who asks.
pub(super) fn who_are_you(message: &str) -> Refused {
    Refused {
        ask_who: true,
        ..Refused::from(ApiError::new(Code::Unauthenticated, message))
    }
}

/// What waits for the reply.
pub(super) struct Waiting {
    /// Whether a person waits for a page.
    for_page: bool,
    /// The address of the page for logging in, from which they come back where they sent no form.
    login: Option<String>,
    /// Whether a browser does.
    is_browser: bool,
    /// Whether a program does that speaks this server's own API.
    is_own_api: bool,
}

impl Waiting {
    /// Reads it off the request.
    pub fn of(request: &Request) -> Self {
        let (headers, path) = (request.headers(), request.uri().path());
        let accept = headers.get(header::ACCEPT);
        let accept = accept.and_then(|accept| accept.to_str().ok());
        let for_page =
            accept.is_some_and(|accept| accept.contains("text/html")) && !routes::is_api(path);
        let login = if !for_page {
            None
        } else if origin::is_safe(request.method()) {
            Some(login::address(request.uri()))
        } else {
            is_form(headers).then(|| "/login".to_owned())
        };
        Self {
            for_page,
            login,
            is_browser: headers.contains_key("sec-fetch-mode"),
            is_own_api: routes::is_own_api(path),
        }
    }
}

/// The reply, in the form that waits for it.
pub(super) fn answer(refused: Refused, waiting: &Waiting) -> Response {
    if refused.ask_who
        && let Some(page) = &waiting.login
    {
        return see_other(page);
    }
    if waiting.for_page
        && let Some(asking) = refused.to
    {
        let fault = PageFault(refused.error.into());
        return ASKING.sync_scope(asking, || fault.into_response());
    }
    let mut response = if waiting.is_own_api {
        ApiFault::from(refused.error).into_response()
    } else {
        refused.error.into_response()
    };
    let headers = response.headers_mut();
    if refused.ask_who {
        // A browser would ask for a password in a window of its own.
        if !waiting.is_browser {
            headers.append(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"outlay\", charset=\"UTF-8\""),
            );
        }
        headers.append(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"outlay\""),
        );
    }
    if let Some(wait) = refused.later {
        let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Whether the body is what a page's form sends.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}
