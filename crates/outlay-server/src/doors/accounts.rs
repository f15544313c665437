//! Users and tokens, for programs: what `outlay server user` and `outlay server token` do.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch};
use axum::{Extension, Json, Router};
use outlay_ledger::Fault;
use serde_json::{Value, json};

use super::people::{self, Role, Scope};
use super::{Asker, FormProof, Person};
use crate::App;
use crate::mlflow::ask::{Ask, refused};
use crate::mlflow::error::{ApiError, Code};

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/api/v1/me", get(me))
        .route("/api/v1/users", get(list_users).post(add_user))
        .route(
            "/api/v1/users/{name}",
            patch(change_user).delete(remove_user),
        )
        .route("/api/v1/tokens", get(list_tokens).post(create_token))
        .route("/api/v1/tokens/{id}", delete(revoke_token))
}

type Reply = Result<Json<Value>, ApiError>;

/// The person: without users nobody has any account to see to.
fn person(asker: &Asker) -> Result<&Person, ApiError> {
    asker.0.as_ref().ok_or_else(|| {
        ApiError::new(
            Code::PermissionDenied,
            "There are no users yet. `outlay server user add NAME --role admin` adds the first.",
        )
    })
}

/// Who asks; and, where a cookie says so, the proof that a page's requests and forms carry.
async fn me(asker: Asker, proof: Option<Extension<FormProof>>) -> Json<Value> {
    let proof = proof.map(|Extension(FormProof(proof))| proof);
    Json(match &asker.0 {
        Some(person) => json!({"name": person.name, "role": person.role, "csrf": proof}),
        None => json!({"name": null, "role": null, "csrf": null}),
    })
}

fn role(ask: &Ask) -> Result<Option<Role>, ApiError> {
    let Some(text) = ask.text("role")? else {
        return Ok(None);
    };
    let allowed = "allowed: viewer, editor, admin";
    Role::from_name(&text)
        .map(Some)
        .ok_or_else(|| refused("role", &Value::from(text), allowed))
}

/// A password's hash, made where it holds up nobody.
async fn hashed(password: String) -> Result<String, ApiError> {
    let hash = tokio::task::spawn_blocking(move || people::hash_password(&password));
    let hash = hash
        .await
        .map_err(|error| Fault::Input(error.to_string()))?;
    Ok(hash?)
}

async fn list_users(State(app): State<App>, asker: Asker) -> Reply {
    person(&asker)?;
    let users: Vec<Value> = people::users(app.ledger())
        .await?
        .iter()
        .map(|user| {
            json!({"name": user.name, "role": user.role, "created": outlay_units::timestamp(user.created_us)})
        })
        .collect();
    Ok(Json(json!({"users": users})))
}

async fn add_user(State(app): State<App>, asker: Asker, ask: Ask) -> Result<Response, ApiError> {
    person(&asker)?;
    let name = ask.required("name")?;
    let role = role(&ask)?.unwrap_or(Role::Viewer);
    let password = hashed(ask.required("password")?).await?;
    people::add_user(app.ledger(), &name, role, password, app.by()).await?;
    app.doors().knows.forget();
    let user = Json(json!({"name": name, "role": role}));
    Ok((StatusCode::CREATED, user).into_response())
}

async fn change_user(
    State(app): State<App>,
    asker: Asker,
    Path(name): Path<String>,
    ask: Ask,
) -> Reply {
    person(&asker)?;
    let role = role(&ask)?;
    let password = match ask.text("password")? {
        Some(password) => Some(hashed(password).await?),
        None => None,
    };
    people::change_user(app.ledger(), &name, role, password, app.by()).await?;
    app.doors().knows.forget();
    Ok(Json(json!({})))
}

async fn remove_user(State(app): State<App>, asker: Asker, Path(name): Path<String>) -> Reply {
    person(&asker)?;
    people::remove_user(app.ledger(), &name, app.by()).await?;
    app.doors().knows.forget();
    Ok(Json(json!({})))
}

async fn list_tokens(State(app): State<App>, asker: Asker) -> Reply {
    let person = person(&asker)?;
    let tokens: Vec<Value> = people::tokens(app.ledger())
        .await?
        .iter()
        .filter(|(_, token)| person.role == Role::Admin || token.user == person.name)
        .map(|(id, token)| {
            json!({
                "id": id,
                "user": token.user,
                "name": token.name,
                "scope": token.scope,
                "created": outlay_units::timestamp(token.created_us),
                "expires": token.expires_us.map(outlay_units::timestamp),
            })
        })
        .collect();
    Ok(Json(json!({"tokens": tokens})))
}

async fn create_token(
    State(app): State<App>,
    asker: Asker,
    ask: Ask,
) -> Result<Response, ApiError> {
    let person = person(&asker)?;
    let text = ask.required("scope")?;
    let scope = Scope::from_name(&text)
        .ok_or_else(|| refused("scope", &Value::from(text), "allowed: read, write, admin"))?;
    // A token that only reads makes none that writes.
    if scope.role() > person.role {
        return Err(ApiError::new(
            Code::PermissionDenied,
            format!(
                "A token of scope {} may do more than you may as {}.",
                scope.name(),
                person.role.name()
            ),
        ));
    }
    let expires_us = match ask.integer("expires_days")? {
        None => None,
        Some(days) if (1..=3650).contains(&days) => Some(app.now_us() + days * 86_400_000_000),
        Some(days) => {
            return Err(refused(
                "expires_days",
                &Value::from(days),
                "allowed: 1 to 3650",
            ));
        }
    };
    let name = ask.text("name")?.unwrap_or_default();
    let (id, token) = people::create_token(
        app.ledger(),
        &person.name,
        &name,
        scope,
        expires_us,
        app.by(),
    )
    .await?;
    app.doors().knows.forget();
    let answer = Json(json!({"id": id, "token": token, "scope": scope}));
    Ok((StatusCode::CREATED, answer).into_response())
}

async fn revoke_token(State(app): State<App>, asker: Asker, Path(id): Path<String>) -> Reply {
    let person = person(&asker)?;
    let of_user = (person.role != Role::Admin).then(|| person.name.clone());
    people::revoke_token(app.ledger(), &id, of_user, app.by()).await?;
    app.doors().knows.forget();
    Ok(Json(json!({})))
}
