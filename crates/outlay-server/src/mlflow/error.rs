//! Failures in the words and codes of MLflow's clients.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use outlay_ledger::{Fault, LedgerError};
use serde_json::json;

/// MLflow's error codes, as far as this server answers with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A field is missing or not as it should be.
    InvalidParameterValue,
    /// The request as a whole is not as it should be.
    BadRequest,
    /// There is no such thing.
    ResourceDoesNotExist,
    /// Something of that name is there already.
    ResourceAlreadyExists,
    /// There is no such path.
    EndpointNotFound,
    /// It is not in a state in which that can be done.
    InvalidState,
    /// Who asks may not do that, or a budget forbids it. Clients do not try again.
    PermissionDenied,
    /// Nobody knows who asks.
    Unauthenticated,
    /// This server does not do that.
    NotImplemented,
    /// Too many requests.
    ResourceExhausted,
    /// The ledger or the disk failed.
    InternalError,
    /// Others hold the ledger; later it may work.
    TemporarilyUnavailable,
}

impl Code {
    /// The name that clients know.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidParameterValue => "INVALID_PARAMETER_VALUE",
            Self::BadRequest => "BAD_REQUEST",
            Self::ResourceDoesNotExist => "RESOURCE_DOES_NOT_EXIST",
            Self::ResourceAlreadyExists => "RESOURCE_ALREADY_EXISTS",
            Self::EndpointNotFound => "ENDPOINT_NOT_FOUND",
            Self::InvalidState => "INVALID_STATE",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::InternalError => "INTERNAL_ERROR",
            Self::TemporarilyUnavailable => "TEMPORARILY_UNAVAILABLE",
        }
    }

    /// The status of the reply.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::InvalidParameterValue | Self::BadRequest | Self::ResourceAlreadyExists => {
                StatusCode::BAD_REQUEST
            }
            Self::ResourceDoesNotExist | Self::EndpointNotFound => StatusCode::NOT_FOUND,
            Self::InvalidState | Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A request that was refused, or failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {message}", code.name())]
pub struct ApiError {
    /// What kind of failure.
    pub code: Code,
    /// What happened, for people.
    pub message: String,
}

impl ApiError {
    /// A failure.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }

    /// A field that is not as it should be.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidParameterValue, message)
    }

    /// Something that is not there.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(Code::ResourceDoesNotExist, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({"error_code": self.code.name(), "message": self.message});
        (self.code.status(), Json(body)).into_response()
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        let code = match &fault {
            Fault::NoRun(id) => return Self::missing(format!("Run with id={id} not found")),
            Fault::PutAway(id) => {
                return Self::invalid(format!(
                    "The run {id} must be in the 'active' state. Current state is deleted."
                ));
            }
            Fault::ParamSet {
                run_id,
                key,
                there,
                given,
            } => {
                return Self::invalid(format!(
                    "Changing param values is not allowed. Param with key='{key}' was already logged with \
                     value='{there}' for run ID='{run_id}'. Attempted logging new value '{given}'."
                ));
            }
            Fault::Input(_) | Fault::Conflict(_) => Code::InvalidParameterValue,
            Fault::Missing(_) => Code::ResourceDoesNotExist,
            Fault::Exists(_) => Code::ResourceAlreadyExists,
            Fault::State(_) => Code::InvalidState,
            Fault::Busy(_) => Code::TemporarilyUnavailable,
            _ => Code::InternalError,
        };
        Self::new(code, fault.to_string())
    }
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        error.fault.into()
    }
}
