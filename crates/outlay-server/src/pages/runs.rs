//! The table of runs, one run, and several beside each other.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::fault::PageFault;
use super::frame::{Frame, page};
use super::words;
use crate::App;
use crate::api::fault::ApiFault;
use crate::api::{EvidenceRecord, RunDetailView, evidence_page, run_detail};

#[derive(Template)]
#[template(path = "runs.html")]
struct RunsPage {
    frame: Frame,
}

/// The table: what it shows is in its address, and a script fills it.
pub async fn list() -> Response {
    let template = RunsPage {
        frame: Frame::at("/runs"),
    };
    page(StatusCode::OK, &template)
}

#[derive(Template)]
#[template(path = "compare.html")]
struct ComparePage {
    frame: Frame,
}

/// Several runs beside each other.
pub async fn compare() -> Response {
    let template = ComparePage {
        frame: Frame::at("/runs"),
    };
    page(StatusCode::OK, &template)
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    frame: Frame,
    run: RunDetailView,
    statements: Vec<EvidenceRecord>,
    subject: String,
}

impl RunPage {
    /// When it ended, or was last known to run.
    fn until_us(&self) -> i64 {
        self.run.ended_us.unwrap_or(self.run.seen_us)
    }

    /// The run's length so far.
    fn took_s(&self) -> f64 {
        self.until_us().saturating_sub(self.run.started_us).max(0) as f64 / 1e6
    }

    fn is_running(&self) -> bool {
        self.run.status == "running"
    }

    /// What it spent in dollars.
    fn spent_usd(&self) -> f64 {
        let dollars = self.run.spent.iter().find(|spent| spent.currency == "USD");
        dollars.map_or(0.0, |spent| spent.micro as f64 / 1e6)
    }

    /// The spent share of its budget.
    fn budget_share(&self) -> Option<f64> {
        self.run
            .account
            .budget_usd
            .map(|budget| self.spent_usd() / budget)
    }

    /// A bar of the spent share of its budget, with the forecast behind it.
    fn budget_bar(&self) -> String {
        let Some(budget) = self.run.account.budget_usd else {
            return String::new();
        };
        let share = self.spent_usd() / budget;
        let ahead = self.run.account.forecast_usd.map(|end| end.p50 / budget);
        let tone = match (share >= 1.0, ahead.is_some_and(|ahead| ahead > 1.0)) {
            (true, _) => "bad",
            (false, true) => "warn",
            (false, false) => "",
        };
        words::two_bars(share, ahead, tone)
    }

    /// Where the run ended, or will end, beside its plan: in a sentence.
    fn against_plan(&self) -> Option<String> {
        let planned = self.run.account.planned_usd?;
        let (word, actual) = if self.is_running() {
            ("will cost", self.run.account.forecast_usd?.p50)
        } else {
            ("cost", self.spent_usd())
        };
        let how = match () {
            () if actual < planned.p10 => "less than the range of the plan",
            () if actual > planned.p90 => "more than the range of the plan",
            () => "within the range of the plan",
        };
        Some(format!(
            "It {word} {}, {how}: {}.",
            words::money(actual, "USD"),
            words::predicted(&planned, "USD")
        ))
    }
}

async fn run_page(app: &App, id: &str) -> Result<Response, ApiFault> {
    let run = run_detail(app, id).await?;
    let subject = format!("run/{}", run.id);
    let evidence = evidence_page(app, Some(&subject), None, None, 50).await?;
    let template = RunPage {
        frame: Frame::at("/runs"),
        run,
        statements: evidence.records,
        subject,
    };
    Ok(page(StatusCode::OK, &template))
}

/// One run.
pub async fn get(State(app): State<App>, Path(id): Path<String>) -> Response {
    match run_page(&app, &id).await {
        Ok(page) => page,
        Err(fault) => PageFault(fault).into_response(),
    }
}
