//! Requests that are refused, and what is asked, field by field.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use outlay_ledger::{Fault, LedgerError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::mlflow::ask::Ask;
use crate::mlflow::error::{ApiError, Code};

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A field is missing or not as it should be.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// The path is there, and takes no such request.
    NoMethod,
    /// Nobody knows who asks.
    Unauthenticated,
    /// Who asks may not.
    Forbidden,
    /// What was sent is not JSON, or says that it is not.
    NotJson,
    /// It does not go with what is there.
    Conflict,
    /// Too many ask for this at once.
    Busy,
    /// The ledger or the disk failed.
    Failed,
    /// Others hold the ledger.
    Held,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::NoMethod => "method_not_allowed",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotJson => "not_json",
            Self::Conflict => "conflict",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::Held => "held",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::NoMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Conflict => StatusCode::CONFLICT,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Held => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A request that was refused, or failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ApiFault {
    /// What kind of failure.
    pub kind: Kind,
    /// What happened, for people.
    pub message: String,
}

impl ApiFault {
    /// A failure.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message }
    }

    /// A field that is not as it should be.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// The status of the reply.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }
}

/// A failure, as it is answered.
#[derive(Serialize, ToSchema)]
pub struct Failure {
    /// What kind: `invalid`, `not_found`, `method_not_allowed`, `unauthenticated`, `forbidden`, `not_json`, `conflict`, `busy`, `failed`, `held`.
    error: &'static str,
    /// What happened, for people.
    message: String,
}

impl IntoResponse for ApiFault {
    fn into_response(self) -> Response {
        let failure = Failure {
            error: self.kind.name(),
            message: self.message,
        };
        (self.kind.status(), Json(failure)).into_response()
    }
}

impl From<LedgerError> for ApiFault {
    fn from(error: LedgerError) -> Self {
        let kind = match &error.fault {
            Fault::Input(_) => Kind::Invalid,
            Fault::Missing(_) | Fault::NoRun(_) => Kind::NotFound,
            Fault::Conflict(_)
            | Fault::Exists(_)
            | Fault::State(_)
            | Fault::PutAway(_)
            | Fault::NoKey => Kind::Conflict,
            Fault::Busy(_) => Kind::Held,
            _ => Kind::Failed,
        };
        Self::new(kind, error.fault.to_string())
    }
}

impl From<ApiError> for ApiFault {
    fn from(error: ApiError) -> Self {
        let kind = match error.code {
            Code::ResourceDoesNotExist | Code::EndpointNotFound => Kind::NotFound,
            Code::Unauthenticated => Kind::Unauthenticated,
            Code::PermissionDenied => Kind::Forbidden,
            Code::InvalidState | Code::ResourceAlreadyExists | Code::NotImplemented => {
                Kind::Conflict
            }
            Code::ResourceExhausted => Kind::Busy,
            Code::InternalError => Kind::Failed,
            Code::TemporarilyUnavailable => Kind::Held,
            Code::InvalidParameterValue | Code::BadRequest => Kind::Invalid,
        };
        Self::new(kind, error.message)
    }
}

/// Most bytes of a body.
const BODY_BYTES: usize = 64 * 1024;

/// Reads a body of JSON; `allowed` names its fields.
pub fn body<T: DeserializeOwned>(
    headers: &HeaderMap,
    bytes: &[u8],
    allowed: &str,
) -> Result<T, ApiFault> {
    // A form on another site cannot say that it sends JSON, so that nobody signs by opening a page.
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let is_json = kind.is_some_and(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    });
    if !is_json {
        return Err(ApiFault::new(
            Kind::NotJson,
            "The body must be JSON, with `content-type: application/json`.",
        ));
    }
    if bytes.len() > BODY_BYTES {
        return Err(ApiFault::invalid(format!(
            "The body is larger than {BODY_BYTES} bytes."
        )));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| ApiFault::invalid(format!("The body: {error}; allowed: {allowed}.")))
}

/// The fields of a request's query, read by name.
#[derive(Debug)]
pub struct Query {
    ask: Ask,
    names: Vec<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = ApiFault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiFault> {
        let text = parts.uri.query().unwrap_or_default();
        let ask = Ask::from_query(text);
        let names = crate::query::pairs(text).map(|(name, _)| name).collect();
        Ok(Self { ask, names })
    }
}

impl Query {
    /// Refuses fields that this path does not have: a name that was mistyped is not to pass for one left out.
    pub fn only(&self, allowed: &[&str]) -> Result<(), ApiFault> {
        match self
            .names
            .iter()
            .find(|name| !allowed.contains(&name.as_str()))
        {
            None => Ok(()),
            Some(name) => Err(ApiFault::invalid(if allowed.is_empty() {
                format!("There is no field `{name}`; nothing can be given here.")
            } else {
                format!(
                    "There is no field `{name}`; allowed: {}.",
                    allowed.join(", ")
                )
            })),
        }
    }

    /// A text; `None` where it is absent or empty.
    pub fn text(&self, name: &str) -> Result<Option<String>, ApiFault> {
        let text = self.ask.text(name)?.filter(|text| !text.is_empty());
        text.map(|text| plain(name, text)).transpose()
    }

    /// All values of a field that may be given several times.
    pub fn texts(&self, name: &str, most: usize) -> Result<Vec<String>, ApiFault> {
        let texts = self.ask.texts(name)?;
        if texts.len() > most {
            return Err(ApiFault::invalid(format!(
                "`{name}` is given {} times; allowed: up to {most}.",
                texts.len()
            )));
        }
        texts
            .into_iter()
            .filter(|text| !text.is_empty())
            .map(|text| plain(name, text))
            .collect()
    }

    /// A whole number within limits.
    pub fn integer(&self, name: &str, least: i64, most: i64) -> Result<Option<i64>, ApiFault> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        text.parse()
            .ok()
            .filter(|number| (least..=most).contains(number))
            .map(Some)
            .ok_or_else(|| {
                ApiFault::invalid(format!(
                    "`{name}` is `{}`; allowed: a whole number from {least} to {most}.",
                    short(&text)
                ))
            })
    }

    /// A finite number.
    pub fn number(&self, name: &str) -> Result<Option<f64>, ApiFault> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        text.parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map(Some)
            .ok_or_else(|| {
                ApiFault::invalid(format!(
                    "`{name}` is `{}`; allowed: a number.",
                    short(&text)
                ))
            })
    }
}

/// A text without the one character that no ledger keeps.
pub fn plain(name: &str, text: String) -> Result<String, ApiFault> {
    if text.contains('\0') {
        return Err(ApiFault::invalid(format!(
            "`{name}` holds the character NUL, which is not allowed."
        )));
    }
    Ok(text)
}

/// The beginning of a text that a message repeats.
#[must_use]
pub fn short(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
