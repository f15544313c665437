//! Budgets and evidence.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::fault::PageFault;
use super::frame::{Frame, page};
use super::words;
use crate::App;
use crate::api::fault::{ApiFault, Query};
use crate::api::{BudgetView, EvidencePage, evidence_page, next_month, standings};
use crate::query::escaped;

/// Records of a page.
const RECORDS: i64 = 50;

#[derive(Template)]
#[template(path = "budgets.html")]
struct BudgetsPage {
    frame: Frame,
    budgets: Vec<BudgetView>,
    month_end: String,
}

/// Budgets as they stand.
pub async fn budgets(State(app): State<App>) -> Response {
    match standings(&app).await {
        Ok(budgets) => {
            let template = BudgetsPage {
                frame: Frame::at("/budgets"),
                budgets,
                month_end: words::day_before(next_month(app.now_us())),
            };
            page(StatusCode::OK, &template)
        }
        Err(fault) => PageFault(fault).into_response(),
    }
}

#[derive(Template)]
#[template(path = "evidence.html")]
struct EvidenceTemplate {
    frame: Frame,
    evidence: EvidencePage,
    asked_subject: String,
    asked_kind: String,
    subject: String,
    older: String,
}

async fn evidence_of(app: &App, query: &Query) -> Result<Response, ApiFault> {
    query.only(&["subject", "kind", "before"])?;
    let (subject, kind) = (query.text("subject")?, query.text("kind")?);
    let before = query.integer("before", 0, i64::MAX)?;
    let evidence = evidence_page(app, subject.as_deref(), kind.as_deref(), before, RECORDS).await?;
    let (asked_subject, asked_kind) = (subject.unwrap_or_default(), kind.unwrap_or_default());
    let older = evidence.next_before.map_or(String::new(), |before| {
        format!(
            "/evidence?before={before}&subject={}&kind={}",
            escaped(&asked_subject),
            escaped(&asked_kind)
        )
    });
    let template = EvidenceTemplate {
        frame: Frame::at("/evidence"),
        evidence,
        subject: asked_subject.clone(),
        asked_subject,
        asked_kind,
        older,
    };
    Ok(page(StatusCode::OK, &template))
}

/// What was recorded for good.
pub async fn evidence(State(app): State<App>, query: Result<Query, ApiFault>) -> Response {
    let found = match query {
        Ok(query) => evidence_of(&app, &query).await,
        Err(fault) => Err(fault),
    };
    found.unwrap_or_else(|fault| PageFault(fault).into_response())
}
