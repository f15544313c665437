//! OpenTelemetry's metrics, as OTLP sends them over HTTP (OTLP 1.x, protocol buffers or JSON).
//!
//! A resource's metrics become those of a run: the one that its attribute `outlay.run_id` or `mlflow.run_id` names, or
//! one of their own for each `service.name` and `service.instance.id`.

mod json;
mod message;
mod points;

use std::io::Read;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response as Reply};
use axum::routing::post;
use outlay_ledger::{Batch, Fault, Label, LedgerError, Run, RunChange, RunStatus, Series, merkle};
use prost::Message;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::App;
use crate::mlflow::ask::whole_body;
use crate::mlflow::limits;
use message::{KeyValue, PartialSuccess, Request, ResourceMetrics, Response, Status};
use points::{Mapped, mapped};

/// Most bytes of a request as it is sent, and once it is unpacked.
const PACKED_BYTES: usize = 16 << 20;
const PLAIN_BYTES: usize = 32 << 20;

/// Requests that are unpacked at once; others wait.
static PLACES: Semaphore = Semaphore::const_new(4);

/// Most resources of one request.
const RESOURCES: usize = 1000;

/// Most attributes of a resource that become tags of its run.
const TAGS: usize = 100;

/// Where metrics come in.
pub fn router() -> Router<App> {
    Router::new().route("/v1/metrics", post(metrics))
}

/// The two forms of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Protobuf,
    Json,
}

/// A request that is refused as a whole, with what a client makes of it.
struct Refused {
    status: StatusCode,
    message: String,
}

fn refused(status: StatusCode, message: impl Into<String>) -> Refused {
    Refused {
        status,
        message: message.into(),
    }
}

fn form(headers: &HeaderMap) -> Result<Form, Refused> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim() {
        "application/x-protobuf" => Ok(Form::Protobuf),
        "application/json" => Ok(Form::Json),
        other => Err(refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("Content-Type is `{other}`; allowed: application/x-protobuf, application/json"),
        )),
    }
}

/// Unpacks a body, as far as it may grow.
fn unpacked(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Refused> {
    let coding = headers
        .get(header::CONTENT_ENCODING)
        .and_then(|coding| coding.to_str().ok())
        .unwrap_or_default();
    match coding.trim() {
        "" | "identity" => Ok(body),
        "gzip" => {
            let mut plain = Vec::new();
            flate2::read::MultiGzDecoder::new(&body[..])
                .take(PLAIN_BYTES as u64 + 1)
                .read_to_end(&mut plain)
                .map_err(|error| {
                    refused(
                        StatusCode::BAD_REQUEST,
                        format!("the body is no gzip: {error}"),
                    )
                })?;
            if plain.len() > PLAIN_BYTES {
                return Err(refused(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("the body unpacks to more than {PLAIN_BYTES} bytes"),
                ));
            }
            Ok(plain.into())
        }
        other => Err(refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("Content-Encoding is `{other}`; allowed: gzip, identity"),
        )),
    }
}

fn read(form: Form, body: &[u8]) -> Result<Request, Refused> {
    let request = match form {
        Form::Protobuf => Request::decode(body).map_err(|error| error.to_string()),
        Form::Json => json::read(body),
    };
    let request = request.map_err(|why| {
        refused(
            StatusCode::BAD_REQUEST,
            format!("the body is no request of OTLP's: {why}"),
        )
    })?;
    if request.resource_metrics.len() > RESOURCES {
        return Err(refused(
            StatusCode::BAD_REQUEST,
            format!(
                "resourceMetrics holds {}; allowed: up to {RESOURCES}",
                request.resource_metrics.len()
            ),
        ));
    }
    Ok(request)
}

/// `POST /v1/metrics`
async fn metrics(State(app): State<App>, headers: HeaderMap, body: Body) -> Reply {
    // An answer has the form of its request; where that is none, OTLP's own.
    let form_of_reply = form(&headers).unwrap_or(Form::Protobuf);
    match taken(&app, &headers, body).await {
        Ok(partial) => {
            let reply = Response {
                partial_success: partial,
            };
            let as_json = match &reply.partial_success {
                None => json!({}),
                // A whole number of 64 bits is a text in this form.
                Some(partial) => json!({"partialSuccess": {
                    "rejectedDataPoints": partial.rejected_data_points.to_string(),
                    "errorMessage": partial.error_message,
                }}),
            };
            answered(form_of_reply, StatusCode::OK, &reply, &as_json)
        }
        Err(Refused { status, message }) => {
            // The codes of gRPC: unavailable, or an invalid argument.
            let code = if status == StatusCode::SERVICE_UNAVAILABLE {
                14
            } else {
                3
            };
            let as_json = json!({"code": code, "message": message});
            answered(form_of_reply, status, &Status { code, message }, &as_json)
        }
    }
}

fn answered(form: Form, status: StatusCode, message: &impl Message, as_json: &Value) -> Reply {
    let (kind, bytes) = match form {
        Form::Protobuf => ("application/x-protobuf", message.encode_to_vec()),
        Form::Json => ("application/json", as_json.to_string().into_bytes()),
    };
    (status, [(header::CONTENT_TYPE, kind)], bytes).into_response()
}

/// Takes what can be taken; says what could not.
async fn taken(
    app: &App,
    headers: &HeaderMap,
    body: Body,
) -> Result<Option<PartialSuccess>, Refused> {
    let form = form(headers)?;
    let body = whole_body(body).await.map_err(|error| {
        let is_large = error.message.contains("larger");
        let status = if is_large {
            StatusCode::PAYLOAD_TOO_LARGE
        } else {
            StatusCode::BAD_REQUEST
        };
        refused(status, error.message)
    })?;
    if body.len() > PACKED_BYTES {
        return Err(refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body has more than {PACKED_BYTES} bytes"),
        ));
    }
    let _place = PLACES
        .acquire()
        .await
        .map_err(|error| refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    let request = read(form, &unpacked(headers, body.into())?)?;
    let (mut n_rejected, mut why) = (0, None);
    for resource in &request.resource_metrics {
        let mapped = mapped(resource, app.now_us());
        n_rejected += mapped.n_rejected;
        if let Some(first) = &mapped.why {
            why.get_or_insert(first.clone());
        }
        let n_taken = mapped.n_taken;
        match write(app, resource, mapped).await {
            Ok(()) => {}
            Err(Unwritten::Refused(message)) => {
                n_rejected += n_taken;
                why.get_or_insert(message);
            }
            // What was written before is written again without harm when the client tries again.
            Err(Unwritten::Failed(message)) => {
                return Err(refused(StatusCode::SERVICE_UNAVAILABLE, message));
            }
        }
    }
    Ok((n_rejected > 0).then(|| PartialSuccess {
        rejected_data_points: n_rejected,
        error_message: why.unwrap_or_default(),
    }))
}

/// Why a resource's points are not in the ledger.
enum Unwritten {
    /// They never will be.
    Refused(String),
    /// They may be later.
    Failed(String),
}

impl From<LedgerError> for Unwritten {
    fn from(error: LedgerError) -> Self {
        match error.fault {
            Fault::NoRun(_) | Fault::PutAway(_) | Fault::Input(_) | Fault::Missing(_) => {
                Self::Refused(error.fault.to_string())
            }
            _ => Self::Failed(error.fault.to_string()),
        }
    }
}

fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    found
        .and_then(KeyValue::text)
        .filter(|text| !text.is_empty())
}

async fn write(app: &App, resource: &ResourceMetrics, mapped: Mapped) -> Result<(), Unwritten> {
    if mapped.series.is_empty() {
        return Ok(());
    }
    let none = Vec::new();
    let attributes = resource
        .resource
        .as_ref()
        .map_or(&none, |resource| &resource.attributes);
    let named =
        attribute(attributes, "outlay.run_id").or_else(|| attribute(attributes, "mlflow.run_id"));
    let mut batch = Batch::default();
    let id = match named {
        Some(id) => {
            limits::run_id(&id).map_err(|error| Unwritten::Refused(error.message))?;
            id
        }
        None => service(app, attributes, &mut batch).await?,
    };
    batch.active.push(id.clone());
    let series = |(key, points)| Series {
        run_id: id.clone(),
        key,
        points,
    };
    batch.series.extend(mapped.series.into_iter().map(series));
    app.ledger().write(batch).await?;
    app.tell(&id, "metric");
    Ok(())
}

/// The run of a service, which is made where it is absent.
async fn service(
    app: &App,
    attributes: &[KeyValue],
    batch: &mut Batch,
) -> Result<String, Unwritten> {
    let name = attribute(attributes, "service.name").ok_or_else(|| {
        Unwritten::Refused(
            "the resource names no run; allowed: an attribute outlay.run_id, mlflow.run_id or service.name".to_owned(),
        )
    })?;
    let instance = attribute(attributes, "service.instance.id").unwrap_or_default();
    let namespace = attribute(attributes, "service.namespace").unwrap_or_default();
    let whole = json!(["otlp", namespace, name, instance]).to_string();
    let id = outlay_ledger::hex(&merkle::leaf_hash(whole.as_bytes())[..16]);
    let now_us = app.now_us();
    match app.ledger().run_is_there(&id).await {
        Ok(()) => {
            batch.changes.push(RunChange {
                id: id.clone(),
                seen_us: Some(now_us),
                ..RunChange::default()
            });
            return Ok(id);
        }
        Err(error) if !matches!(error.fault, Fault::NoRun(_)) => return Err(error.into()),
        Err(_) => {}
    }
    let project = attribute(attributes, "outlay.project").unwrap_or_default();
    let team = attribute(attributes, "outlay.team").unwrap_or_default();
    app.admit(&project, &team)
        .await
        .map_err(|error| Unwritten::Refused(error.message))?;
    let shown: String = name.chars().take(200).collect();
    let mut tags = vec![("mlflow.runName".to_owned(), shown.clone())];
    for attribute in attributes {
        if let (Some(text), true) = (attribute.text(), tags.len() < TAGS)
            && let Ok(text) = limits::tag(&attribute.key, text, "", true)
            && !tags.iter().any(|(key, _)| *key == attribute.key)
        {
            tags.push((attribute.key.clone(), text));
        }
    }
    let label = |(key, value)| Label {
        run_id: id.clone(),
        key,
        value,
    };
    batch.tags.extend(tags.into_iter().map(label));
    batch.runs.push(Run {
        id: id.clone(),
        name: shown,
        project,
        team,
        who: String::new(),
        host: attribute(attributes, "host.name").unwrap_or_default(),
        command: Vec::new(),
        status: RunStatus::Running,
        started_us: now_us,
        seen_us: now_us,
        ended_us: None,
        exit_code: None,
        state: Value::Null,
        summary: None,
        experiment_id: 0,
        artifact_uri: format!(
            "{}/0/{id}/artifacts",
            app.settings().artifact_root.trim_end_matches('/')
        ),
        deleted_us: None,
    });
    Ok(id)
}

#[cfg(test)]
mod tests;
