//! The files of runs, models and versions.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use std::path::{Component, PathBuf};

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use serde_json::{Value, json};

use super::ask::Ask;
use super::error::{ApiError, Code};
use super::{Reply, nothing, registry, wire};
use crate::App;
use crate::artifacts::{ArtifactError, Artifacts, ByteStream};
use crate::query::escaped;

/// Most bytes of a file that a page uploads.
const PAGE_UPLOAD_BYTES: u64 = 10 << 20;

/// Bytes of a part, where a client asks how many.
const MAX_PARTS: i64 = 10_000;

impl From<ArtifactError> for ApiError {
    fn from(error: ArtifactError) -> Self {
        let code = match &error {
            ArtifactError::Path => Code::InvalidParameterValue,
            ArtifactError::Missing(_) | ArtifactError::NoUpload(_) => Code::ResourceDoesNotExist,
            ArtifactError::BrokenOff(_) => Code::BadRequest,
            ArtifactError::Full | ArtifactError::Failed(_) => Code::InternalError,
        };
        Self::new(code, error.to_string())
    }
}

/// A path as a client writes it, unescaped until nothing changes, so that no second reader sees another path.
pub fn safe_path(path: &str) -> Result<String, ApiError> {
    let invalid = || ApiError::invalid("Invalid path");
    let mut path = path.to_owned();
    for _ in 0..10 {
        let plain = percent_encoding::percent_decode_str(&path)
            .decode_utf8()
            .map_err(|_| invalid())?
            .into_owned();
        if plain == path {
            // `#` would begin a fragment wherever it is read as an address.
            if path.contains('#') || path.contains("://") || path.starts_with("file:") {
                return Err(invalid());
            }
            crate::artifacts::names(&path)?;
            return Ok(path);
        }
        path = plain;
    }
    Err(invalid())
}

/// The path in this server's store of a place that it keeps; another place's files are not for this server to read.
pub fn kept_path(uri: &str) -> Result<String, ApiError> {
    let elsewhere = || {
        ApiError::new(
            Code::NotImplemented,
            format!(
                "The files at '{uri}' are not kept by this server; read them from where they are, or log with the \
                 server's own artifact location (mlflow-artifacts:)"
            ),
        )
    };
    let rest = match uri.strip_prefix("mlflow-artifacts:") {
        Some(rest) => match rest.strip_prefix("//") {
            Some(rest) => rest.split_once('/').map_or("", |(_, path)| path),
            None => rest,
        },
        None if uri.starts_with("http://") || uri.starts_with("https://") => {
            let anchor = "/api/2.0/mlflow-artifacts/artifacts/";
            uri.split_once(anchor)
                .map(|(_, path)| path)
                .ok_or_else(elsewhere)?
        }
        None => return Err(elsewhere()),
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    safe_path(rest.trim_start_matches('/'))
}

/// A path in a store of this server.
struct Kept<'a> {
    store: &'a Artifacts,
    path: String,
}

/// Where a path below a place is kept: in the server's own store, or in the local folder that new experiments begin with.
fn kept<'a>(app: &'a App, uri: &str, path: Option<&str>) -> Result<Kept<'a>, ApiError> {
    let (store, root) = match app.local_root().zip(local_path(uri)) {
        Some(((root, store), place)) if place.starts_with(root) => {
            let below = place
                .strip_prefix(root)
                .ok()
                .and_then(|below| below.to_str());
            (store, safe_path(below.unwrap_or(".."))?)
        }
        _ => (app.artifacts(), kept_path(uri)?),
    };
    let path = match path.filter(|path| !path.is_empty()) {
        Some(path) => format!("{root}/{}", safe_path(path)?),
        None => root,
    };
    let path = path.trim_start_matches('/').to_owned();
    Ok(Kept { store, path })
}

/// The folder that a URI names, where it names one of this machine.
#[must_use]
pub fn local_path(uri: &str) -> Option<PathBuf> {
    let path = match uri.strip_prefix("file:") {
        Some(rest) => rest
            .strip_prefix("//localhost")
            .or_else(|| rest.strip_prefix("//"))
            .unwrap_or(rest),
        None => uri,
    };
    let path = PathBuf::from(path);
    let is_plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    (path.is_absolute() && is_plain).then_some(path)
}

/// Writes a file below a place.
pub(super) async fn write_to(
    app: &App,
    uri: &str,
    path: &str,
    bytes: ByteStream,
) -> Result<(), ApiError> {
    let kept = kept(app, uri, Some(path))?;
    kept.store.write(&kept.path, bytes).await?;
    Ok(())
}

/// What lies below a place, each with its path relative to the place.
async fn listed(app: &App, uri: &str, path: Option<&str>) -> Result<Vec<Value>, ApiError> {
    let kept = kept(app, uri, path)?;
    let within = match path.filter(|path| !path.is_empty()) {
        Some(path) => format!("{}/", safe_path(path)?.trim_end_matches('/')),
        None => String::new(),
    };
    let entries = kept.store.list(&kept.path).await?;
    Ok(entries
        .iter()
        .map(|entry| {
            let path = format!("{within}{}", entry.name);
            match entry.n_bytes {
                Some(n_bytes) => json!({"path": path, "is_dir": false, "file_size": n_bytes}),
                None => json!({"path": path, "is_dir": true}),
            }
        })
        .collect())
}

pub async fn list_of_run(State(app): State<App>, ask: Ask) -> Reply {
    let path = ask.text("path")?;
    let detail = app.ledger().run_detail(&ask.run_id()?).await?;
    list_of(&app, &detail.run.artifact_uri, path.as_deref()).await
}

/// The answer about what lies below a place.
pub async fn list_of(app: &App, uri: &str, path: Option<&str>) -> Reply {
    let files = listed(app, uri, path).await?;
    Ok(Json(wire::without_empty(
        json!({"root_uri": uri, "files": files}),
    )))
}

pub async fn list(State(app): State<App>, ask: Ask) -> Reply {
    let path = ask.text("path")?.unwrap_or_default();
    let entries = app.artifacts().list(&safe_path(&path)?).await?;
    let files: Vec<Value> = entries
        .iter()
        .map(|entry| match entry.n_bytes {
            Some(n_bytes) => json!({"path": entry.name, "is_dir": false, "file_size": n_bytes}),
            None => json!({"path": entry.name, "is_dir": true}),
        })
        .collect();
    Ok(Json(wire::without_empty(json!({"files": files}))))
}

/// A body as the store takes it.
fn stream(body: Body) -> ByteStream {
    Box::pin(body.into_data_stream().map_err(std::io::Error::other))
}

pub async fn upload(State(app): State<App>, Path(path): Path<String>, request: Request) -> Reply {
    let path = safe_path(&path)?;
    app.artifacts()
        .write(&path, stream(request.into_body()))
        .await?;
    nothing()
}

/// A file as a reply: never shown as a page, whatever is in it.
async fn sent(store: &Artifacts, path: &str) -> Result<Response, ApiError> {
    let (n_bytes, bytes) = store.read(path).await?;
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_token = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte));
    let disposition = if is_token {
        format!("attachment; filename={name}")
    } else {
        let plain: String = name
            .chars()
            .map(|one| {
                if (' '..='~').contains(&one) && !matches!(one, '"' | '\\') {
                    one
                } else {
                    '_'
                }
            })
            .collect();
        let escaped = escaped(name);
        format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{escaped}")
    };
    let mut headers = HeaderMap::new();
    let value = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    headers.insert(header::CONTENT_DISPOSITION, value(&disposition));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(n_bytes));
    headers.insert(header::CONTENT_TYPE, value(&kind(name)));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    Ok((headers, Body::from_stream(bytes)).into_response())
}

/// Ends of names of files that hold plain text, and names without an end.
const TEXTS: [&str; 26] = [
    "MLmodel",
    "MLproject",
    "cf",
    "cfg",
    "cnf",
    "conf",
    "csv",
    "err",
    "hocon",
    "ini",
    "ipynb",
    "js",
    "json",
    "log",
    "md",
    "mlproject",
    "prop",
    "properties",
    "py",
    "py3",
    "rst",
    "toml",
    "tsv",
    "txt",
    "xml",
    "yaml",
];

/// The type of a file, by its name. What a browser could run as a page is plain text or sent to be saved.
fn kind(name: &str) -> String {
    let end = name.rsplit_once('.').map_or(name, |(_, end)| end);
    if TEXTS.contains(&end) || end == "yml" {
        return "text/plain".to_owned();
    }
    let guess = mime_guess::from_path(name).first();
    guess.map_or_else(
        || "application/octet-stream".to_owned(),
        |kind| kind.to_string(),
    )
}

pub async fn download(
    State(app): State<App>,
    Path(path): Path<String>,
) -> Result<Response, ApiError> {
    sent(app.artifacts(), &safe_path(&path)?).await
}

pub async fn delete(State(app): State<App>, Path(path): Path<String>) -> Reply {
    app.artifacts().remove(&safe_path(&path)?).await?;
    nothing()
}

/// A file below a place as a reply.
pub(super) async fn send_below(app: &App, uri: &str, path: &str) -> Result<Response, ApiError> {
    let kept = kept(app, uri, Some(path))?;
    sent(kept.store, &kept.path).await
}

pub async fn get_of_run(State(app): State<App>, ask: Ask) -> Result<Response, ApiError> {
    let path = ask.required("path")?;
    let detail = app.ledger().run_detail(&ask.run_id()?).await?;
    send_below(&app, &detail.run.artifact_uri, &path).await
}

pub async fn get_of_version(State(app): State<App>, ask: Ask) -> Result<Response, ApiError> {
    let path = ask.required("path")?;
    safe_path(&path)?;
    let place = registry::place(&app, &ask.required("name")?, &ask.required("version")?).await?;
    send_below(&app, &place, &path).await
}

pub async fn upload_to_run(State(app): State<App>, request: Request) -> Reply {
    let query = Ask::from_query(request.uri().query().unwrap_or_default());
    let must = |name: &str| {
        query
            .text(name)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| ApiError::invalid(format!("Request must specify {name}.")))
    };
    let run_id = must("run_uuid")?;
    let path = must("path")?;
    safe_path(&path)?;
    let too_large = || ApiError::invalid("Artifact size is too large. Max size is 10MB.");
    let body = axum::body::to_bytes(request.into_body(), PAGE_UPLOAD_BYTES as usize)
        .await
        .map_err(|_| too_large())?;
    if body.is_empty() {
        return Err(ApiError::invalid("Request must specify data."));
    }
    let detail = app.ledger().run_detail(&run_id).await?;
    let bytes: ByteStream = Box::pin(futures_util::stream::once(async { Ok(body) }));
    write_to(&app, &detail.run.artifact_uri, &path, bytes).await?;
    nothing()
}

/// The address under which this server was reached, for links that a client follows.
fn own_address(headers: &HeaderMap) -> String {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or("127.0.0.1");
    let scheme = match headers
        .get("x-forwarded-proto")
        .and_then(|value| value.to_str().ok())
    {
        Some("https") => "https",
        _ => "http",
    };
    format!("{scheme}://{host}")
}

/// The file of an upload in parts: the folder is in the address, and the name at the end of the client's own path.
fn file_in_parts(folder: &str, ask: &Ask) -> Result<String, ApiError> {
    let folder = safe_path(folder)?;
    let path = ask.text("path")?.unwrap_or_default();
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    if name.is_empty() {
        return Ok(folder);
    }
    Ok(format!(
        "{}/{}",
        folder.trim_end_matches('/'),
        safe_path(name)?
    ))
}

pub async fn begin_parts(
    State(app): State<App>,
    Path(path): Path<String>,
    headers: HeaderMap,
    ask: Ask,
) -> Reply {
    let path = file_in_parts(&path, &ask)?;
    let n_parts = ask.integer("num_parts")?.unwrap_or(1);
    if !(1..=MAX_PARTS).contains(&n_parts) {
        return Err(super::ask::refused(
            "num_parts",
            &Value::from(n_parts),
            &format!("allowed: 1 to {MAX_PARTS}"),
        ));
    }
    let upload = app.artifacts().begin_parts(&path, app.fresh_id()).await?;
    let address = own_address(&headers);
    let escaped: Vec<String> = path.split('/').map(escaped).collect();
    let escaped = escaped.join("/");
    let credentials: Vec<Value> = (1..=n_parts)
        .map(|number| {
            let url =
                format!("{address}/api/2.0/mlflow-artifacts/mpu/part/{upload}/{number}/{escaped}");
            json!({"url": url, "part_number": number, "headers": {}})
        })
        .collect();
    Ok(Json(
        json!({"upload_id": upload, "credentials": credentials}),
    ))
}

pub async fn upload_part(
    State(app): State<App>,
    Path((upload, number, _)): Path<(String, u32, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let mark = app
        .artifacts()
        .write_part(&upload, number, stream(request.into_body()))
        .await?;
    let mark =
        HeaderValue::from_str(&format!("\"{mark}\"")).unwrap_or(HeaderValue::from_static(""));
    Ok(([(header::ETAG, mark)], Json(json!({}))).into_response())
}

pub async fn complete_parts(State(app): State<App>, Path(path): Path<String>, ask: Ask) -> Reply {
    let path = file_in_parts(&path, &ask)?;
    let upload = ask.required("upload_id")?;
    let mut parts = Vec::new();
    for part in ask.objects("parts")? {
        let number = part
            .integer("part_number")?
            .and_then(|number| u32::try_from(number).ok())
            .ok_or_else(|| super::ask::required("part_number"))?;
        let mark = part.text("etag")?.unwrap_or_default();
        parts.push((number, mark.trim_matches('"').to_owned()));
    }
    app.artifacts()
        .complete_parts(&path, &upload, &parts)
        .await?;
    nothing()
}

pub async fn abort_parts(State(app): State<App>, Path(path): Path<String>, ask: Ask) -> Reply {
    safe_path(&path)?;
    app.artifacts()
        .abort_parts(&ask.required("upload_id")?)
        .await?;
    nothing()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_however_it_is_escaped() {
        for path in [
            "..",
            "%2e%2e/x",
            "%252e%252e%252fetc",
            "a/..%2f..%2fx",
            "/etc/passwd",
            "%2Fetc/passwd",
            "a#b",
            "file:///etc",
            "s3://b/x",
            "a%5c..%5cb",
            "%00",
            "%ff",
        ] {
            assert!(safe_path(path).is_err(), "{path}");
        }
        assert_eq!(safe_path("a%20b/c").expect("is safe"), "a b/c");
    }

    #[test]
    fn only_own_places_are_read() {
        assert_eq!(
            kept_path("mlflow-artifacts:/1/r/artifacts").expect("is kept"),
            "1/r/artifacts"
        );
        assert_eq!(
            kept_path("mlflow-artifacts://host:5000/1/r").expect("is kept"),
            "1/r"
        );
        assert_eq!(
            kept_path("http://h/api/2.0/mlflow-artifacts/artifacts/1/r").expect("is kept"),
            "1/r"
        );
        for uri in [
            "file:///etc",
            "/etc",
            "s3://bucket/x",
            "mlflow-artifacts:/../x",
            "http://h/other/1",
        ] {
            assert!(kept_path(uri).is_err(), "{uri}");
        }
    }
}
