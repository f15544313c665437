//! Evidence: what was recorded for good, whether it still is, and what people say about it.

use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use outlay_ledger::{Batch, Evidence, hex};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::fault::{self, ApiFault, Failure, Kind, Query, plain, short};
use crate::App;

/// Most characters of what is said.
const TEXT: usize = 10_000;

/// Most characters of a subject, and of a name.
const NAME: usize = 300;

/// Walks over all of the evidence: few at a time, since each reads all of it.
static WALKS: Semaphore = Semaphore::const_new(2);

/// A record.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct EvidenceRecord {
    /// Its place in the tree, from 0.
    pub position: i64,
    /// What it is: `run`, `audit`, `comment`, `sign-off`.
    pub kind: String,
    /// What it is about, such as `run/5f0c…`.
    pub subject: String,
    /// What it says.
    #[schema(value_type = Object)]
    pub body: Value,
    /// When it was recorded.
    pub recorded_us: i64,
    /// Who recorded it.
    pub who: String,
}

impl EvidenceRecord {
    /// What it says, where that is a text alone.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        let fields = self.body.as_object().filter(|fields| fields.len() == 1)?;
        fields.get("text")?.as_str()
    }

    /// The page about its subject, where there is one.
    #[must_use]
    pub fn link(&self) -> Option<String> {
        let id = self.subject.strip_prefix("run/")?;
        let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_id.then(|| format!("/runs/{id}"))
    }

    /// What it says, as JSON of several lines.
    #[must_use]
    pub fn pretty(&self) -> String {
        serde_json::to_string_pretty(&self.body).unwrap_or_default()
    }
}

fn record((position, evidence): (i64, Evidence)) -> EvidenceRecord {
    EvidenceRecord {
        position,
        kind: evidence.kind,
        subject: evidence.subject,
        body: evidence.body,
        recorded_us: evidence.recorded_us,
        who: evidence.who,
    }
}

/// A page of evidence.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct EvidencePage {
    /// The records, newest first.
    pub records: Vec<EvidenceRecord>,
    /// The `before` of the page behind this one; absent on the last.
    pub next_before: Option<i64>,
    /// Records in the whole ledger.
    pub n_all: i64,
    /// The kinds that there are.
    pub kinds: Vec<String>,
}

/// A page of evidence, newest first.
///
/// # Errors
///
/// When the ledger cannot be read.
pub async fn page(
    app: &App,
    subject: Option<&str>,
    kind: Option<&str>,
    before: Option<i64>,
    limit: i64,
) -> Result<EvidencePage, ApiFault> {
    let ledger = app.ledger();
    let (mut found, totals, kinds) = tokio::try_join!(
        ledger.evidence_page(subject, kind, before, limit + 1),
        ledger.totals(),
        ledger.evidence_kinds(),
    )?;
    let has_more = found.len() as i64 > limit;
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_before = found
        .last()
        .filter(|_| has_more)
        .map(|(position, _)| *position);
    Ok(EvidencePage {
        records: found.into_iter().map(record).collect(),
        next_before,
        n_all: totals.n_evidence,
        kinds,
    })
}

/// A page of evidence, newest first
#[utoipa::path(get, path = "/api/v1/evidence", tag = "evidence",
    params(
        ("subject" = Option<String>, Query, description = "What it is about, such as run/5f0c…"),
        ("kind" = Option<String>, Query, description = "What it is, such as sign-off"),
        ("before" = Option<i64>, Query, minimum = 0, description = "Only records before this position"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 500, description = "Most records of the page; 50 where nothing is said"),
    ),
    responses((status = 200, body = EvidencePage), (status = 400, body = Failure)))]
pub async fn list(State(app): State<App>, query: Query) -> Result<Json<EvidencePage>, ApiFault> {
    query.only(&["subject", "kind", "before", "limit"])?;
    let limit = query.integer("limit", 1, 500)?.unwrap_or(50);
    let (subject, kind) = (query.text("subject")?, query.text("kind")?);
    let before = query.integer("before", 0, i64::MAX)?;
    let page = page(&app, subject.as_deref(), kind.as_deref(), before, limit).await?;
    Ok(Json(page))
}

/// The position in a path.
fn position(text: &str) -> Result<i64, ApiFault> {
    text.parse()
        .ok()
        .filter(|position| *position >= 0)
        .ok_or_else(|| {
            ApiFault::new(
                Kind::NotFound,
                format!(
                    "There is no record `{}`; records have numbers from 0.",
                    short(text)
                ),
            )
        })
}

async fn record_at(app: &App, position: i64) -> Result<EvidenceRecord, ApiFault> {
    let before = Some(position.saturating_add(1));
    let found = app.ledger().evidence_page(None, None, before, 1).await?;
    found
        .into_iter()
        .find(|(at, _)| *at == position)
        .map(record)
        .ok_or_else(|| ApiFault::new(Kind::NotFound, format!("There is no record {position}.")))
}

/// A record
#[utoipa::path(get, path = "/api/v1/evidence/{position}", tag = "evidence",
    params(("position" = i64, Path, minimum = 0, description = "Its place, from 0")),
    responses((status = 200, body = EvidenceRecord), (status = 400, body = Failure), (status = 404, body = Failure)))]
pub async fn get(
    State(app): State<App>,
    Path(at): Path<String>,
    query: Query,
) -> Result<Json<EvidenceRecord>, ApiFault> {
    query.only(&[])?;
    Ok(Json(record_at(&app, position(&at)?).await?))
}

/// What shows that a record is under the signed root, for anyone to check (RFC 6962).
#[derive(Serialize, ToSchema)]
pub struct Proof {
    /// The record as it is hashed: canonical JSON (RFC 8785).
    record: String,
    /// Its place.
    position: i64,
    /// Hashes from its leaf to the root, in hexadecimal.
    hashes: Vec<String>,
    /// The signed root, a C2SP checkpoint.
    checkpoint: String,
}

async fn walk() -> Result<tokio::sync::SemaphorePermit<'static>, ApiFault> {
    let busy = || {
        ApiFault::new(
            Kind::Busy,
            "The evidence is being checked for others; try again in a while.",
        )
    };
    WALKS.try_acquire().map_err(|_| busy())
}

/// What shows that a record is under the signed root (RFC 6962)
#[utoipa::path(get, path = "/api/v1/evidence/{position}/proof", tag = "evidence",
    params(("position" = i64, Path, minimum = 0, description = "Its place, from 0")),
    responses((status = 200, body = Proof), (status = 400, body = Failure), (status = 404, body = Failure),
        (status = 429, body = Failure)))]
pub async fn prove(
    State(app): State<App>,
    Path(at): Path<String>,
    query: Query,
) -> Result<Json<Proof>, ApiFault> {
    query.only(&[])?;
    let position = position(&at)?;
    let found = record_at(&app, position).await?;
    let _turn = walk().await?;
    let hashes = app.ledger().inclusion_proof(position).await?;
    let checkpoint = app.ledger().checkpoint().await?;
    let evidence = Evidence {
        kind: found.kind,
        subject: found.subject,
        body: found.body,
        recorded_us: found.recorded_us,
        who: found.who,
    };
    let record = outlay_ledger::canonical(&evidence.record())
        .map_err(|error| ApiFault::new(Kind::Failed, error.to_string()))?;
    Ok(Json(Proof {
        record,
        position,
        hashes: hashes.iter().map(|hash| hex(hash)).collect(),
        checkpoint,
    }))
}

/// Whether the evidence is what was recorded.
#[derive(Serialize, ToSchema)]
pub struct Verified {
    /// Whether nothing shows that it was changed.
    is_sound: bool,
    /// Records that were checked.
    size: u64,
    /// The root over them, in hexadecimal.
    root: String,
    /// The ledger's name in its checkpoints.
    origin: String,
    /// Who signed the last checkpoint.
    signed_by: Option<String>,
    /// What shows that something was changed, in sentences.
    tampering: Vec<String>,
    /// What is odd and proves nothing.
    notes: Vec<String>,
    /// The checkpoint, to be kept elsewhere.
    checkpoint: String,
    /// Seconds that it took.
    seconds: f64,
}

/// Hash all of the evidence anew, and compare it with what was signed
#[utoipa::path(get, path = "/api/v1/evidence/verify", tag = "evidence",
    responses((status = 200, body = Verified), (status = 400, body = Failure), (status = 429, body = Failure)))]
pub async fn verify(State(app): State<App>, query: Query) -> Result<Json<Verified>, ApiFault> {
    query.only(&[])?;
    let _turn = walk().await?;
    let since = Instant::now();
    let found = app.ledger().verify(&[], None).await?;
    let checkpoint = app.ledger().checkpoint().await?;
    Ok(Json(Verified {
        is_sound: found.tampering.is_empty(),
        size: found.size,
        root: found.root,
        origin: found.origin,
        signed_by: found.signed_by,
        tampering: found.tampering.iter().map(ToString::to_string).collect(),
        notes: found.notes,
        checkpoint,
        seconds: since.elapsed().as_secs_f64(),
    }))
}

/// Something that a person says about a subject.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// What it is about: `run/ID`, `model/NAME`, `dataset/NAME`, `evidence/POSITION` and the like.
    #[schema(min_length = 1, max_length = 300)]
    subject: String,
    /// What is said.
    #[schema(min_length = 1, max_length = 10000)]
    text: String,
    /// Who says it; where users sign in, the user, whatever is given here.
    #[schema(max_length = 300)]
    who: Option<String>,
}

/// A statement that was recorded.
#[derive(Serialize, ToSchema)]
pub struct Recorded {
    /// What it is.
    kind: &'static str,
    /// What it is about.
    subject: String,
    /// When it was recorded.
    recorded_us: i64,
    /// Who said it.
    who: String,
}

fn said(name: &str, text: &str, most: usize) -> Result<String, ApiFault> {
    let text = plain(name, text.trim().to_owned())?;
    match text.chars().count() {
        0 => Err(ApiFault::invalid(format!(
            "`{name}` is empty; allowed: a text."
        ))),
        n if n > most => Err(ApiFault::invalid(format!(
            "`{name}` has {n} characters; allowed: up to {most}."
        ))),
        _ => Ok(text),
    }
}

async fn record_statement(
    app: &App,
    kind: &'static str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(StatusCode, Json<Recorded>), ApiFault> {
    let statement: Statement = fault::body(headers, body, "subject, text and who")?;
    let subject = said("subject", &statement.subject, NAME)?;
    let text = said("text", &statement.text, TEXT)?;
    let known = Some(app.who()).filter(|who| !who.is_empty());
    let who = match (known, statement.who) {
        (Some(name), _) => name,
        (None, Some(who)) => said("who", &who, NAME)?,
        (None, None) => {
            return Err(ApiFault::invalid(
                "`who` is missing; allowed: the name of who says it.",
            ));
        }
    };
    if let Some(id) = subject.strip_prefix("run/") {
        app.ledger().run_is_there(id).await?;
    }
    let evidence = Evidence {
        kind: kind.to_owned(),
        subject: subject.clone(),
        body: json!({"text": text}),
        recorded_us: app.now_us(),
        who: who.clone(),
    };
    let recorded_us = evidence.recorded_us;
    let batch = Batch {
        evidence: vec![evidence],
        ..Batch::default()
    };
    app.ledger().write(batch).await?;
    Ok((
        StatusCode::CREATED,
        Json(Recorded {
            kind,
            subject,
            recorded_us,
            who,
        }),
    ))
}

/// Comment on a subject; the comment is signed evidence, kept for good
#[utoipa::path(post, path = "/api/v1/comments", tag = "evidence", request_body = Statement,
    responses((status = 201, body = Recorded), (status = 400, body = Failure), (status = 404, body = Failure),
        (status = 409, body = Failure), (status = 415, body = Failure)))]
pub async fn comment(
    State(app): State<App>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Recorded>), ApiFault> {
    record_statement(&app, "comment", &headers, &body).await
}

/// Sign a subject off; the sign-off is signed evidence, kept for good
#[utoipa::path(post, path = "/api/v1/sign-offs", tag = "evidence", request_body = Statement,
    responses((status = 201, body = Recorded), (status = 400, body = Failure), (status = 404, body = Failure),
        (status = 409, body = Failure), (status = 415, body = Failure)))]
pub async fn sign_off(
    State(app): State<App>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Recorded>), ApiFault> {
    record_statement(&app, "sign-off", &headers, &body).await
}
