//! Bodies of bounded size that come at a bounded pace.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures_util::{StreamExt, stream};

use crate::mlflow::error::{ApiError, Code};

/// Most bytes of a body that is no file.
pub(super) const BODY_BYTES: u64 = 64 << 20;

/// How long a client may pause within a body.
const STALL: Duration = Duration::from_secs(30);

/// Refuses a body that says to be too large.
pub(super) fn check_length(headers: &HeaderMap, max: Option<u64>) -> Result<(), ApiError> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match (length, max) {
        (Some(length), Some(max)) if length > max => Err(ApiError::new(
            Code::BadRequest,
            format!("the body has {length} bytes; allowed: up to {max}"),
        )),
        _ => Ok(()),
    }
}

/// A body that breaks off when it grows too large, or when its sender pauses for too long.
pub(super) fn bounded(body: Body, max: Option<u64>) -> Body {
    let max = max.unwrap_or(u64::MAX);
    let start = (Some(body.into_data_stream()), 0);
    let chunks = stream::unfold(start, move |(chunks, n_bytes)| async move {
        let mut chunks = chunks?;
        let chunk = match tokio::time::timeout(STALL, chunks.next()).await {
            Ok(chunk) => chunk?,
            Err(_) => {
                let text = format!("nothing came for {} seconds", STALL.as_secs());
                return Some((Err(Error::new(ErrorKind::TimedOut, text)), (None, n_bytes)));
            }
        };
        match chunk {
            Ok(chunk) => {
                let n_bytes = n_bytes + chunk.len() as u64;
                if n_bytes > max {
                    let text = format!("it is larger than {max} bytes");
                    return Some((Err(Error::other(text)), (None, n_bytes)));
                }
                Some((Ok(chunk), (Some(chunks), n_bytes)))
            }
            Err(error) => Some((Err(Error::other(error)), (None, n_bytes))),
        }
    });
    Body::from_stream(chunks)
}

/// Reads a small body whole.
pub(super) async fn whole(body: Body, max: usize) -> Result<axum::body::Bytes, ApiError> {
    axum::body::to_bytes(bounded(body, Some(max as u64)), max)
        .await
        .map_err(|_| {
            let message = format!("the body broke off, or has more than {max} bytes");
            ApiError::new(Code::BadRequest, message)
        })
}
