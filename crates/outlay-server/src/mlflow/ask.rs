//! What a client asks, field by field, as MLflow's protocol buffers take them from JSON or from a query.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{Method, header};
use futures_util::StreamExt;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::error::{ApiError, Code};

/// Most bytes of a request's fields.
const BODY_BYTES: usize = 40 << 20;

/// Bytes from which on a body is large.
const SMALL_BYTES: usize = 2 << 20;

/// Large bodies that are read at once.
static LARGE: Semaphore = Semaphore::const_new(4);

/// How long a client may pause within a body.
const STALL: Duration = Duration::from_secs(30);

/// Most bytes of a batch of metrics, parameters and tags.
pub const BATCH_BYTES: usize = 1_000_000;

const SEE: &str = " See the API docs for more information about request parameters.";

/// The fields of a request. A field that is null counts as absent.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    fields: Map<String, Value>,
    /// Bytes of the body.
    pub n_bytes: usize,
}

/// A body that says that it is JSON, as it came.
#[derive(Debug)]
pub struct JsonBody(pub Vec<u8>);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let kind = parts
            .headers
            .get(header::CONTENT_TYPE)
            .ok_or_else(|| ApiError::invalid("Bad Request. Content-Type header is missing."))?;
        let kind = kind.to_str().unwrap_or_default();
        if kind.split(';').next().unwrap_or_default().trim() != "application/json" {
            return Err(ApiError::invalid(
                "Bad Request. Content-Type must be one of ['application/json'].",
            ));
        }
        Ok(Self(whole_body(body).await?))
    }
}

impl<S: Send + Sync> FromRequest<S> for Ask {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let query = request.uri().query().unwrap_or_default();
        if request.method() == Method::GET && !query.is_empty() {
            return Ok(Self::from_query(query));
        }
        let body = if request.method() == Method::POST || request.method() == Method::PUT {
            JsonBody::from_request(request, state).await?.0
        } else {
            whole_body(request.into_body()).await?
        };
        Self::from_json(&body)
    }
}

/// Reads a body of bounded size, at a bounded pace. Only a few large ones are in memory at once.
pub(crate) async fn whole_body(body: Body) -> Result<Vec<u8>, ApiError> {
    let bad = |why: String| ApiError::new(Code::BadRequest, format!("the body {why}"));
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut place = None;
    while let Some(chunk) = tokio::time::timeout(STALL, chunks.next())
        .await
        .map_err(|_| {
            bad(format!(
                "stopped for {} seconds before its end",
                STALL.as_secs()
            ))
        })?
    {
        let chunk = chunk.map_err(|error| bad(format!("broke off: {error}")))?;
        if bytes.len() + chunk.len() > BODY_BYTES {
            return Err(bad(format!("is larger than {BODY_BYTES} bytes")));
        }
        if bytes.len() + chunk.len() > SMALL_BYTES && place.is_none() {
            place = Some(
                LARGE
                    .acquire()
                    .await
                    .map_err(|error| bad(error.to_string()))?,
            );
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

impl Ask {
    /// Reads a body. Nothing, or what is no JSON, has no fields; a text that holds JSON is read once more, for old clients.
    pub fn from_json(body: &[u8]) -> Result<Self, ApiError> {
        let mut value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        if let Value::String(text) = &value {
            value = serde_json::from_str(text).unwrap_or(Value::Null);
        }
        let fields = match value {
            Value::Object(fields) => fields,
            Value::Null => Map::new(),
            other => {
                return Err(ApiError::new(
                    Code::BadRequest,
                    format!("the body is {}; allowed: a JSON object", short(&other)),
                ));
            }
        };
        Ok(Self {
            fields,
            n_bytes: body.len(),
        })
    }

    /// Reads a query. A name that comes several times is a list.
    #[must_use]
    pub fn from_query(query: &str) -> Self {
        let mut fields = Map::new();
        for (name, value) in crate::query::pairs(query) {
            let value = Value::from(value);
            match fields.entry(name) {
                serde_json::map::Entry::Vacant(place) => {
                    place.insert(value);
                }
                serde_json::map::Entry::Occupied(mut place) => match place.get_mut() {
                    Value::Array(values) => values.push(value),
                    one => *one = Value::Array(vec![one.take(), value]),
                },
            }
        }
        Self { fields, n_bytes: 0 }
    }

    /// A field's value, by its name or by that name in camel case; `None` where it is absent or null.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let found = self
            .fields
            .get(name)
            .or_else(|| self.fields.get(&camel(name)));
        found.filter(|value| !value.is_null())
    }

    /// Whether the field is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A text.
    pub fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Array(values))
                if values.iter().all(Value::is_string) && self.n_bytes == 0 =>
            {
                // A query that gives it twice: the first counts.
                Ok(values.first().and_then(Value::as_str).map(str::to_owned))
            }
            Some(other) => Err(wrong(name, other)),
        }
    }

    /// A text that must be there and not be empty.
    pub fn required(&self, name: &str) -> Result<String, ApiError> {
        self.text(name)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| required(name))
    }

    /// The run, under its new or its old name.
    pub fn run_id(&self) -> Result<String, ApiError> {
        match self.text("run_id")?.filter(|id| !id.is_empty()) {
            Some(id) => Ok(id),
            None => self
                .text("run_uuid")?
                .filter(|id| !id.is_empty())
                .ok_or_else(|| required("run_id")),
        }
    }

    /// A whole number, which may be written as a text.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => integer(value).map(Some).ok_or_else(|| wrong(name, value)),
        }
    }

    /// A number, which may be written as a text: `NaN` and `Infinity` are.
    pub fn number(&self, name: &str) -> Result<Option<f64>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => number(value).map(Some).ok_or_else(|| wrong(name, value)),
        }
    }

    /// Yes or no.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) if self.n_bytes == 0 => {
                match text.to_ascii_lowercase().as_str() {
                    "true" => Ok(Some(true)),
                    "false" => Ok(Some(false)),
                    _ => Err(ApiError::invalid(format!(
                        "Invalid boolean value: {text}, must be 'true' or 'false'."
                    ))),
                }
            }
            Some(other) => Err(wrong(name, other)),
        }
    }

    /// A list; of a query, one value is a list of one.
    pub fn list(&self, name: &str) -> Result<Vec<Value>, ApiError> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => Ok(values.clone()),
            Some(one @ Value::String(_)) if self.n_bytes == 0 => Ok(vec![one.clone()]),
            Some(other) => Err(wrong(name, other)),
        }
    }

    /// A list of texts.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let values = self.list(name)?;
        let texts: Option<Vec<String>> = values
            .iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect();
        texts.ok_or_else(|| wrong(name, &Value::Array(values)))
    }

    /// A list of objects, each read as the fields of a request are.
    pub fn objects(&self, name: &str) -> Result<Vec<Self>, ApiError> {
        let values = self.list(name)?;
        let objects: Option<Vec<Self>> = values
            .iter()
            .map(|value| {
                let fields = value.as_object()?.clone();
                Some(Self {
                    fields,
                    n_bytes: self.n_bytes.max(1),
                })
            })
            .collect();
        objects.ok_or_else(|| wrong(name, &Value::Array(values)))
    }

    /// A list of objects with a `key` and a `value`; a value that is absent is empty.
    pub fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, ApiError> {
        self.objects(name)?
            .iter()
            .map(|pair| {
                let key = pair.text("key").map_err(|_| self.whole(name))?;
                let value = pair.text("value").map_err(|_| self.whole(name))?;
                Ok((key.unwrap_or_default(), value.unwrap_or_default()))
            })
            .collect()
    }

    /// An object within it.
    pub fn object(&self, name: &str) -> Result<Option<Self>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Self {
                fields: fields.clone(),
                n_bytes: self.n_bytes.max(1),
            })),
            Some(other) => Err(wrong(name, other)),
        }
    }

    /// The error that a field as a whole is not as it should be.
    #[must_use]
    pub fn whole(&self, name: &str) -> ApiError {
        wrong(name, self.get(name).unwrap_or(&Value::Null))
    }
}

/// The error for a field that must be there.
#[must_use]
pub fn required(name: &str) -> ApiError {
    ApiError::invalid(format!(
        "Missing value for required parameter '{name}'.{SEE}"
    ))
}

/// The error for a value of the wrong type.
fn wrong(name: &str, value: &Value) -> ApiError {
    let kind = match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    };
    ApiError::invalid(format!(
        "{}{SEE}",
        invalid_value(name, value, &format!(" Hint: Value was of type '{kind}'."))
    ))
}

/// A value that is refused.
#[must_use]
pub fn refused(name: &str, value: &Value, why: &str) -> ApiError {
    ApiError::invalid(invalid_value(name, value, why))
}

/// The same within a request whose fields are checked one by one.
#[must_use]
pub fn refused_see(message: &str) -> ApiError {
    ApiError::invalid(format!("{message}{SEE}"))
}

/// MLflow's sentence for a value that it refuses.
#[must_use]
pub fn invalid_value(name: &str, value: &Value, why: &str) -> String {
    let value = short(value);
    if why.is_empty() {
        format!("Invalid value {value} for parameter '{name}' supplied.")
    } else {
        format!("Invalid value {value} for parameter '{name}' supplied: {why}")
    }
}

/// A value as JSON, not longer than people want to read it.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(2000) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// A whole number as JSON or a text holds it.
#[must_use]
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let number = number.as_f64()?;
            (number.fract() == 0.0 && number.abs() < 9.2e18).then_some(number as i64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A number as JSON or a text holds it.
#[must_use]
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.trim() {
            "NaN" | "nan" => Some(f64::NAN),
            "Infinity" | "inf" => Some(f64::INFINITY),
            "-Infinity" | "-inf" => Some(f64::NEG_INFINITY),
            other => other.parse().ok(),
        },
        _ => None,
    }
}

/// `run_id` as `runId`.
fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut raise = false;
    for one in name.chars() {
        if one == '_' {
            raise = true;
        } else if raise {
            out.extend(one.to_uppercase());
            raise = false;
        } else {
            out.push(one);
        }
    }
    out
}
