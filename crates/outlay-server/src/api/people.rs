//! Users and tokens, for programs: what `outlay server user` and `outlay server token` do.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fault::{ApiFault, Failure, body};
use crate::App;
use crate::doors::accounts::{self, person};
use crate::doors::people::{Role, Scope};
use crate::doors::{Asker, FormProof};

/// Who asks.
#[derive(Serialize, ToSchema)]
pub struct Me {
    /// The name; `null` where the server asks nobody who they are.
    name: Option<String>,
    /// What they may do with what they showed.
    role: Option<Role>,
    /// The proof that requests which write by a session's cookie carry.
    csrf: Option<String>,
}

/// Someone whom the server knows.
#[derive(Serialize, ToSchema)]
pub struct UserView {
    /// The name to log in with.
    name: String,
    /// What the user may do.
    role: Role,
    /// When the user was added, as RFC 3339 writes it.
    created: String,
}

/// All users.
#[derive(Serialize, ToSchema)]
pub struct UserList {
    /// By name.
    users: Vec<UserView>,
}

/// A user to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// The name: 1 to 64 of a-z, A-Z, 0-9, `.`, `_`, `-`, `@` and `+`.
    name: String,
    /// What the user may do; `viewer` where nothing is said.
    role: Option<Role>,
    /// The password, of at least 12 letters.
    #[schema(min_length = 12)]
    password: String,
}

/// A user who was added.
#[derive(Serialize, ToSchema)]
pub struct AddedUser {
    /// The name.
    name: String,
    /// What the user may do.
    role: Role,
}

/// What becomes another of a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// The role.
    role: Option<Role>,
    /// The password, of at least 12 letters; another one ends every session of the user.
    #[schema(min_length = 12)]
    password: Option<String>,
}

/// A token, without the token itself.
#[derive(Serialize, ToSchema)]
pub struct TokenView {
    /// The beginning of its hash, by which it is revoked.
    id: String,
    /// Whose it is.
    user: String,
    /// What people call it; may be empty.
    name: String,
    /// What it may do, as long as its user may.
    scope: Scope,
    /// When it was made, as RFC 3339 writes it.
    created: String,
    /// When it ends to be valid; never where it is `null`.
    expires: Option<String>,
}

/// TokenList.
#[derive(Serialize, ToSchema)]
pub struct TokenList {
    /// The asker's own; everyone's, for an admin.
    tokens: Vec<TokenView>,
}

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it may do.
    scope: Scope,
    /// What people call it.
    #[schema(max_length = 100)]
    name: Option<String>,
    /// Days until it ends to be valid; it does not where nothing is said.
    #[schema(minimum = 1, maximum = 3650)]
    expires_days: Option<i64>,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub struct MadeToken {
    /// The beginning of its hash, by which it is revoked.
    id: String,
    /// The token itself: told now and never again.
    token: String,
    /// What it may do.
    scope: Scope,
}

/// Nothing more is told.
#[derive(Serialize, ToSchema)]
pub struct Done {}

/// Who asks; and, where a cookie says so, the proof that a page's requests and forms carry
#[utoipa::path(get, path = "/api/v1/me", tag = "people",
    responses((status = 200, body = Me), (status = 401, body = Failure)))]
pub async fn me(asker: Asker, proof: Option<Extension<FormProof>>) -> Json<Me> {
    let csrf = proof.map(|Extension(FormProof(proof))| proof);
    let (name, role) = asker.0.map(|person| (person.name, person.role)).unzip();
    Json(Me { name, role, csrf })
}

/// All users; admins may ask
#[utoipa::path(get, path = "/api/v1/users", tag = "people",
    responses((status = 200, body = UserList), (status = 401, body = Failure), (status = 403, body = Failure)))]
pub async fn list_users(State(app): State<App>, asker: Asker) -> Result<Json<UserList>, ApiFault> {
    person(&asker)?;
    let users = accounts::users(&app).await?;
    let users = users.into_iter().map(|user| UserView {
        name: user.name,
        role: user.role,
        created: outlay_units::timestamp(user.created_us),
    });
    Ok(Json(UserList {
        users: users.collect(),
    }))
}

/// Add a user; admins may
#[utoipa::path(post, path = "/api/v1/users", tag = "people", request_body = NewUser,
    responses((status = 201, body = AddedUser), (status = 400, body = Failure), (status = 401, body = Failure),
        (status = 403, body = Failure), (status = 409, body = Failure), (status = 415, body = Failure)))]
pub async fn add_user(
    State(app): State<App>,
    asker: Asker,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<(StatusCode, Json<AddedUser>), ApiFault> {
    person(&asker)?;
    let user: NewUser = body(&headers, &bytes, "name, role and password")?;
    let (name, role) = (user.name, user.role.unwrap_or(Role::Viewer));
    accounts::add_user(&app, &name, role, user.password).await?;
    Ok((StatusCode::CREATED, Json(AddedUser { name, role })))
}

/// Give a user another role or password; admins may
#[utoipa::path(patch, path = "/api/v1/users/{name}", tag = "people", request_body = UserChange,
    params(("name" = String, Path, description = "The user's name")),
    responses((status = 200, body = Done), (status = 400, body = Failure), (status = 401, body = Failure),
        (status = 403, body = Failure), (status = 404, body = Failure), (status = 415, body = Failure)))]
pub async fn change_user(
    State(app): State<App>,
    asker: Asker,
    Path(name): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Json<Done>, ApiFault> {
    person(&asker)?;
    let change: UserChange = body(&headers, &bytes, "role and password")?;
    accounts::change_user(&app, &name, change.role, change.password).await?;
    Ok(Json(Done {}))
}

/// Remove a user, with every token and session; admins may
#[utoipa::path(delete, path = "/api/v1/users/{name}", tag = "people",
    params(("name" = String, Path, description = "The user's name")),
    responses((status = 200, body = Done), (status = 401, body = Failure), (status = 403, body = Failure),
        (status = 404, body = Failure)))]
pub async fn remove_user(
    State(app): State<App>,
    asker: Asker,
    Path(name): Path<String>,
) -> Result<Json<Done>, ApiFault> {
    person(&asker)?;
    accounts::remove_user(&app, &name).await?;
    Ok(Json(Done {}))
}

/// One's own tokens, or everyone's for an admin, without the tokens themselves
#[utoipa::path(get, path = "/api/v1/tokens", tag = "people",
    responses((status = 200, body = TokenList), (status = 401, body = Failure), (status = 403, body = Failure)))]
pub async fn list_tokens(
    State(app): State<App>,
    asker: Asker,
) -> Result<Json<TokenList>, ApiFault> {
    let person = person(&asker)?;
    let of_user = (person.role != Role::Admin).then_some(person.name.as_str());
    let tokens = accounts::tokens(&app, of_user).await?;
    let tokens = tokens.into_iter().map(|(id, token)| TokenView {
        id,
        user: token.user,
        name: token.name,
        scope: token.scope,
        created: outlay_units::timestamp(token.created_us),
        expires: token.expires_us.map(outlay_units::timestamp),
    });
    Ok(Json(TokenList {
        tokens: tokens.collect(),
    }))
}

/// Make a token of one's own, which may do no more than its maker; it is told in this reply alone
#[utoipa::path(post, path = "/api/v1/tokens", tag = "people", request_body = NewToken,
    responses((status = 201, body = MadeToken), (status = 400, body = Failure), (status = 401, body = Failure),
        (status = 403, body = Failure), (status = 415, body = Failure)))]
pub async fn create_token(
    State(app): State<App>,
    asker: Asker,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<(StatusCode, Json<MadeToken>), ApiFault> {
    let person = person(&asker)?;
    let new: NewToken = body(&headers, &bytes, "scope, name and expires_days")?;
    let name = new.name.unwrap_or_default();
    let (id, token) =
        accounts::create_token(&app, person, &name, new.scope, new.expires_days).await?;
    let scope = new.scope;
    Ok((StatusCode::CREATED, Json(MadeToken { id, token, scope })))
}

/// Revoke a token of one's own, or anyone's for an admin
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "people",
    params(("id" = String, Path, description = "The beginning of the token's hash")),
    responses((status = 200, body = Done), (status = 401, body = Failure), (status = 403, body = Failure),
        (status = 404, body = Failure)))]
pub async fn revoke_token(
    State(app): State<App>,
    asker: Asker,
    Path(id): Path<String>,
) -> Result<Json<Done>, ApiFault> {
    let person = person(&asker)?;
    let of_user = (person.role != Role::Admin).then_some(person.name.as_str());
    accounts::revoke_token(&app, &id, of_user).await?;
    Ok(Json(Done {}))
}
