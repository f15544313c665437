//! Who looks at the page: their own password and tokens.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};

use super::fault::PageFault;
use super::form::Form;
use super::frame::{Frame, page, see_other};
use super::users::{TokenRow, done_words};
use super::words;
use crate::App;
use crate::api::fault::{ApiFault, Query};
use crate::doors::accounts::{self, TOKEN_DAYS, person};
use crate::doors::people::{PASSWORD_LETTERS, Scope};
use crate::doors::{Asker, Caller, Person};

const DONE: [(&str, &str); 2] = [
    ("revoked", "The token was revoked."),
    ("password", "Your password is another one."),
];

/// Days that a token is valid, where nobody says another number.
const USUAL_DAYS: i64 = 90;

pub fn router() -> Router<App> {
    Router::new()
        .route("/account", get(show))
        .route("/account/password", post(change_password))
        .route("/account/tokens", post(create_token))
        .route("/account/tokens/revoke", post(revoke_token))
}

/// A token that was made just now.
struct Made {
    token: String,
    scope: Scope,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    /// None where the server asks nobody who they are.
    person: Option<Person>,
    since_us: Option<i64>,
    tokens: Vec<TokenRow>,
    of_all: bool,
    revoke: &'static str,
    scopes: Vec<Scope>,
    usual_days: i64,
    most_days: i64,
    password_letters: usize,
    made: Option<Made>,
    done: &'static str,
    fault: String,
}

async fn whole(app: &App, asker: &Asker) -> Result<AccountPage, ApiFault> {
    let person = asker.0.clone();
    let (mut since_us, mut tokens) = (None, Vec::new());
    if let Some(person) = &person {
        let users = accounts::users(app).await?;
        let user = users.into_iter().find(|user| user.name == person.name);
        since_us = user.map(|user| user.created_us);
        tokens = accounts::tokens(app, Some(&person.name)).await?;
    }
    let may = |scope: &Scope| {
        person
            .as_ref()
            .is_some_and(|person| scope.role() <= person.role)
    };
    Ok(AccountPage {
        frame: Frame::at("/account"),
        since_us,
        tokens: TokenRow::all(app, tokens),
        of_all: false,
        revoke: "/account/tokens/revoke",
        scopes: Scope::ALL.into_iter().filter(may).collect(),
        usual_days: USUAL_DAYS,
        most_days: TOKEN_DAYS,
        password_letters: PASSWORD_LETTERS,
        made: None,
        done: "",
        fault: String::new(),
        person,
    })
}

async fn show(State(app): State<App>, asker: Asker, query: Result<Query, ApiFault>) -> Response {
    let made = async {
        let query = query?;
        query.only(&["done"])?;
        let mut whole = whole(&app, &asker).await?;
        whole.done = done_words(&DONE, query.text("done")?.as_deref());
        Ok::<_, ApiFault>(page(StatusCode::OK, &whole))
    };
    made.await
        .unwrap_or_else(|fault| PageFault(fault).into_response())
}

/// The page with what was refused.
async fn refused(app: &App, asker: &Asker, fault: ApiFault) -> Response {
    match whole(app, asker).await {
        Ok(mut whole) if asker.0.is_some() => {
            whole.fault.clone_from(&fault.message);
            page(fault.status(), &whole)
        }
        _ => PageFault(fault).into_response(),
    }
}

async fn change_password(
    State(app): State<App>,
    asker: Asker,
    caller: Option<Extension<Caller>>,
    form: Form,
) -> Response {
    let made = async {
        let person = person(&asker)?;
        let Some(Extension(caller)) = caller else {
            return Err(ApiFault::invalid("The request comes from nowhere."));
        };
        let (current, password) = (form.field("current"), form.field("password").to_owned());
        accounts::change_own_password(&app, &caller, person, current, password).await
    };
    match made.await {
        // The session has ended with the password: this leads to the page for logging in, and then back.
        Ok(()) => see_other("/account?done=password"),
        Err(fault) => refused(&app, &asker, fault).await,
    }
}

async fn create_token(State(app): State<App>, asker: Asker, form: Form) -> Response {
    let made = async {
        let person = person(&asker)?;
        let scope = form.choice("scope", Scope::from_name, "read, write, admin")?;
        let (name, days) = (form.text("name")?, form.integer("expires_days")?);
        let (_, token) = accounts::create_token(&app, person, &name, scope, days).await?;
        let mut whole = whole(&app, &asker).await?;
        whole.made = Some(Made { token, scope });
        Ok(page(StatusCode::CREATED, &whole))
    };
    match made.await {
        Ok(shown) => shown,
        Err(fault) => refused(&app, &asker, fault).await,
    }
}

async fn revoke_token(State(app): State<App>, asker: Asker, form: Form) -> Response {
    let made = async {
        let person = person(&asker)?;
        accounts::revoke_token(&app, form.field("id"), Some(&person.name)).await
    };
    match made.await {
        Ok(()) => see_other("/account?done=revoked"),
        Err(fault) => refused(&app, &asker, fault).await,
    }
}
