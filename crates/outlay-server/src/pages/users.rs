//! Users and everyone's tokens, for admins.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::fault::PageFault;
use super::form::Form;
use super::frame::{Frame, page, see_other};
use super::words;
use crate::App;
use crate::api::fault::{ApiFault, Kind, Query};
use crate::doors::Asker;
use crate::doors::accounts::{self, person};
use crate::doors::people::{PASSWORD_LETTERS, Role, Token};

/// What was done, as the address names it, and the words for it.
const DONE: [(&str, &str); 5] = [
    ("added", "The user was added."),
    ("role", "The user has another role."),
    (
        "password",
        "The user has another password, and every session of theirs has ended.",
    ),
    (
        "removed",
        "The user was removed, with every token and session.",
    ),
    ("revoked", "The token was revoked."),
];

/// What is said where someone uses the form that the last admin's row does not have.
const LAST_ADMIN: &str =
    "This is the only admin: without one nobody could manage users. Make someone else one first.";

pub fn router() -> Router<App> {
    Router::new()
        .route("/users", get(show).post(add))
        .route("/users/role", post(change_role))
        .route("/users/password", post(set_password))
        .route("/users/remove", post(remove))
        .route("/users/revoke", post(revoke))
}

/// A user's part of the page.
struct UserRow {
    name: String,
    role: Role,
    created_us: i64,
    n_tokens: usize,
    is_asker: bool,
    is_last_admin: bool,
}

/// A token's row, also of the page of one's own account.
pub struct TokenRow {
    /// The beginning of its hash.
    pub id: String,
    /// The token.
    pub token: Token,
    /// Whether it has ended to be valid.
    pub is_over: bool,
}

impl TokenRow {
    /// Rows of tokens, the newest first.
    pub fn all(app: &App, tokens: Vec<(String, Token)>) -> Vec<Self> {
        let now_us = app.now_us();
        let mut rows: Vec<Self> = tokens
            .into_iter()
            .map(|(id, token)| Self {
                is_over: token.expires_us.is_some_and(|expires| expires <= now_us),
                id,
                token,
            })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.token.created_us));
        rows
    }
}

/// What a form held that was refused, to be mended.
#[derive(Default)]
struct Typed {
    name: String,
    role: Option<Role>,
}

#[derive(Template)]
#[template(path = "users.html")]
struct UsersPage {
    frame: Frame,
    users: Vec<UserRow>,
    tokens: Vec<TokenRow>,
    /// Whether a token's row says whose it is, and the path that its form goes to.
    of_all: bool,
    revoke: &'static str,
    roles: [Role; 3],
    password_letters: usize,
    done: &'static str,
    fault: String,
    typed: Typed,
}

/// The words for what was done.
pub fn done_words(all: &[(&str, &'static str)], done: Option<&str>) -> &'static str {
    let found = all.iter().find(|(name, _)| Some(*name) == done);
    found.map_or("", |(_, words)| words)
}

async fn whole(app: &App, asker: &Asker) -> Result<UsersPage, ApiFault> {
    let tokens = accounts::tokens(app, None).await?;
    let all = accounts::users(app).await?;
    let n_admins = all.iter().filter(|user| user.role == Role::Admin).count();
    let users = all.into_iter().map(|user| UserRow {
        n_tokens: tokens
            .iter()
            .filter(|(_, token)| token.user == user.name)
            .count(),
        is_asker: user.name == asker.name(),
        is_last_admin: user.role == Role::Admin && n_admins == 1,
        role: user.role,
        created_us: user.created_us,
        name: user.name,
    });
    Ok(UsersPage {
        frame: Frame::at("/users"),
        users: users.collect(),
        tokens: TokenRow::all(app, tokens),
        of_all: true,
        revoke: "/users/revoke",
        roles: Role::ALL,
        password_letters: PASSWORD_LETTERS,
        done: "",
        fault: String::new(),
        typed: Typed::default(),
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

/// Leads back to the page, which says what was done; or shows it with what was refused.
async fn answer(
    app: &App,
    asker: &Asker,
    done: &str,
    made: Result<(), ApiFault>,
    typed: Typed,
) -> Response {
    let fault = match made {
        Ok(()) => return see_other(&format!("/users?done={done}")),
        Err(fault) => fault,
    };
    match whole(app, asker).await {
        Ok(mut whole) if !whole.users.is_empty() => {
            whole.fault.clone_from(&fault.message);
            whole.typed = typed;
            page(fault.status(), &whole)
        }
        _ => PageFault(fault).into_response(),
    }
}

fn role(form: &Form) -> Result<Role, ApiFault> {
    form.choice("role", Role::from_name, "viewer, editor, admin")
}

async fn add(State(app): State<App>, asker: Asker, form: Form) -> Response {
    let made = async {
        person(&asker)?;
        let (name, role) = (form.text("name")?, role(&form)?);
        accounts::add_user(&app, &name, role, form.field("password").to_owned()).await
    };
    let made = made.await;
    let typed = Typed {
        name: form.field("name").to_owned(),
        role: role(&form).ok(),
    };
    answer(&app, &asker, "added", made, typed).await
}

/// Refuses what would leave nobody who could manage users. The command line and the API may do that.
async fn keeps_an_admin(app: &App, name: &str) -> Result<(), ApiFault> {
    let users = accounts::users(app).await?;
    let mut admins = users.iter().filter(|user| user.role == Role::Admin);
    let is_last = admins.next().is_some_and(|user| user.name == name) && admins.next().is_none();
    if is_last {
        return Err(ApiFault::new(Kind::Conflict, LAST_ADMIN));
    }
    Ok(())
}

async fn change_role(State(app): State<App>, asker: Asker, form: Form) -> Response {
    let made = async {
        person(&asker)?;
        let (name, role) = (form.field("name"), role(&form)?);
        if role != Role::Admin {
            keeps_an_admin(&app, name).await?;
        }
        accounts::change_user(&app, name, Some(role), None).await
    };
    let made = made.await;
    answer(&app, &asker, "role", made, Typed::default()).await
}

async fn set_password(State(app): State<App>, asker: Asker, form: Form) -> Response {
    let made = async {
        person(&asker)?;
        let password = form.field("password").to_owned();
        accounts::change_user(&app, form.field("name"), None, Some(password)).await
    };
    let made = made.await;
    answer(&app, &asker, "password", made, Typed::default()).await
}

async fn remove(State(app): State<App>, asker: Asker, form: Form) -> Response {
    let made = async {
        person(&asker)?;
        let name = form.field("name");
        keeps_an_admin(&app, name).await?;
        accounts::remove_user(&app, name).await
    };
    let made = made.await;
    answer(&app, &asker, "removed", made, Typed::default()).await
}

async fn revoke(State(app): State<App>, asker: Asker, form: Form) -> Response {
    let made = async {
        person(&asker)?;
        accounts::revoke_token(&app, form.field("id"), None).await
    };
    let made = made.await;
    answer(&app, &asker, "revoked", made, Typed::default()).await
}
