//! What a page's form sends.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};

use super::fault::PageFault;
use crate::api::fault::{ApiFault, plain, short};
use crate::doors::is_form;
use crate::query;

/// Most bytes of a form.
const FORM_BYTES: usize = 16 * 1024;

/// The fields of a form. The doors have looked at the proof that it came from a page.
#[derive(Debug)]
pub struct Form(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = PageFault;

    async fn from_request(request: Request, _: &S) -> Result<Self, PageFault> {
        let invalid = |message: String| PageFault(ApiFault::invalid(message));
        if !is_form(request.headers()) {
            let allowed = "The body is no form; allowed: `application/x-www-form-urlencoded`.";
            return Err(invalid(allowed.to_owned()));
        }
        let bytes = to_bytes(request.into_body(), FORM_BYTES)
            .await
            .map_err(|_| {
                invalid(format!(
                    "The form broke off, or has more than {FORM_BYTES} bytes."
                ))
            })?;
        Ok(Self(
            query::pairs(&String::from_utf8_lossy(&bytes)).collect(),
        ))
    }
}

impl Form {
    /// A field as it was sent; empty where it is absent.
    pub fn field(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// A text without blanks around it; empty where it is absent.
    pub fn text(&self, name: &str) -> Result<String, ApiFault> {
        plain(name, self.field(name).trim().to_owned())
    }

    /// One of the words that a field may have.
    pub fn choice<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Option<T>,
        allowed: &str,
    ) -> Result<T, ApiFault> {
        let text = self.field(name);
        read(text).ok_or_else(|| {
            ApiFault::invalid(format!(
                "`{name}` is `{}`; allowed: {allowed}.",
                short(text)
            ))
        })
    }

    /// A whole number; none where the field is empty.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, ApiFault> {
        let text = self.text(name)?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| {
            ApiFault::invalid(format!(
                "`{name}` is `{}`; allowed: a whole number.",
                short(&text)
            ))
        })
    }
}
