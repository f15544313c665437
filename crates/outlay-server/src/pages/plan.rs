//! The planner's page: fields on one side, what it will cost on the other.
//!
//! The page is complete without a script: its form asks by address, and the answer is drawn here. The script asks for the
//! answer alone, whenever a field moves, and puts the fields into the address, so that it can be handed on.

mod form;
mod parts;
mod serve;
mod train;
mod whole;

use askama::Template;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};

use super::frame::{Frame, page};
use crate::App;
use crate::plan::{self, Made, Question, Refused, Unmade};
use form::{Form, Kind};

/// The pages of the planner.
pub fn router() -> Router<App> {
    Router::new()
        .route("/plan", get(train_page))
        .route("/plan/serve", get(serve_page))
        .route("/plan/answer", post(train_answer))
        .route("/plan/serve/answer", post(serve_answer))
        .layer(DefaultBodyLimit::max(plan::MOST_BODY_BYTES))
}

/// The page.
#[derive(Template)]
#[template(path = "plan.html")]
struct PlanPage {
    frame: Frame,
    form: Form,
    answer: String,
}

/// Why there is no answer.
#[derive(Template)]
#[template(path = "plan_refused.html")]
struct RefusedView<'a> {
    refused: &'a Refused,
}

async fn train_page(State(app): State<App>, RawQuery(query): RawQuery) -> Response {
    whole_page(&app, Kind::Train, query.as_deref()).await
}

async fn serve_page(State(app): State<App>, RawQuery(query): RawQuery) -> Response {
    whole_page(&app, Kind::Serve, query.as_deref()).await
}

async fn whole_page(app: &App, kind: Kind, query: Option<&str>) -> Response {
    let form = Form::read(kind, query.unwrap_or_default());
    let (_, answer) = answer(app, kind, form.request().to_string().as_bytes()).await;
    let frame = Frame::at("/plan");
    page(
        StatusCode::OK,
        &PlanPage {
            frame,
            form,
            answer,
        },
    )
}

async fn train_answer(State(app): State<App>, body: Bytes) -> Response {
    let (status, html) = answer(&app, Kind::Train, &body).await;
    (status, Html(html)).into_response()
}

async fn serve_answer(State(app): State<App>, body: Bytes) -> Response {
    let (status, html) = answer(&app, Kind::Serve, &body).await;
    (status, Html(html)).into_response()
}

/// The answer's part of the page.
async fn answer(app: &App, kind: Kind, body: &[u8]) -> (StatusCode, String) {
    let question = match Question::read(kind == Kind::Serve, body) {
        Ok(question) => question,
        Err(refused) => return refusal(&refused),
    };
    match plan::plan(app, question).await.as_deref() {
        Ok(Made::Train(answer)) => drawn(&train::view(answer, &app.today())),
        Ok(Made::Serve(outlay_plan::request::ServeReply::Tokens(answer))) => {
            drawn(&serve::tokens(answer, &app.today()))
        }
        Ok(Made::Serve(outlay_plan::request::ServeReply::Whole(answer))) => {
            drawn(&whole::whole(answer, &app.today()))
        }
        Ok(Made::Refused(refused)) => refusal(refused),
        Err(unmade) => refusal(&unmade.refused()),
        Ok(Made::Sizes(_)) => refusal(&Unmade::Broken.refused()),
    }
}

fn refusal(refused: &Refused) -> (StatusCode, String) {
    let (_, html) = drawn(&RefusedView { refused });
    (StatusCode::BAD_REQUEST, html)
}

fn drawn(view: &impl Template) -> (StatusCode, String) {
    match view.render() {
        Ok(html) => (StatusCode::OK, html),
        // Writing into a string fails only where a template is wrong.
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}
