//! What people do with users and tokens over the network, by the API and by pages: as the command line does, each with its record.

use outlay_ledger::Fault;

use super::guard::{TOO_MANY_FAILURES, check_password};
use super::people::{self, Role, Scope, Token, User};
use super::{Asker, Caller, Person};
use crate::App;
use crate::api::fault::{ApiFault, Kind};
use crate::mlflow::error::ApiError;

/// Most days that a token is valid, where it ends at all.
pub(crate) const TOKEN_DAYS: i64 = 3650;

/// The person: without users nobody has any account to see to.
pub(crate) fn person(asker: &Asker) -> Result<&Person, ApiFault> {
    asker.0.as_ref().ok_or_else(|| {
        ApiFault::new(
            Kind::Forbidden,
            "There are no users yet. `outlay server user add NAME --role admin` adds the first.",
        )
    })
}

/// A password's hash, made where it holds up nobody.
async fn hashed(password: String) -> Result<String, ApiFault> {
    let hash = tokio::task::spawn_blocking(move || people::hash_password(&password))
        .await
        .unwrap_or_else(|error| Err(Fault::Unreachable(error.to_string())));
    hash.map_err(|fault| ApiError::from(fault).into())
}

/// All users, by name.
pub(crate) async fn users(app: &App) -> Result<Vec<User>, ApiFault> {
    Ok(people::users(app.ledger()).await?)
}

/// Adds a user.
pub(crate) async fn add_user(
    app: &App,
    name: &str,
    role: Role,
    password: String,
) -> Result<(), ApiFault> {
    let password = hashed(password).await?;
    people::add_user(app.ledger(), name, role, password, app.by()).await?;
    app.doors().knows.forget();
    Ok(())
}

/// Gives a user another role or another password; the latter ends every session.
pub(crate) async fn change_user(
    app: &App,
    name: &str,
    role: Option<Role>,
    password: Option<String>,
) -> Result<(), ApiFault> {
    let password = match password {
        Some(password) => Some(hashed(password).await?),
        None => None,
    };
    people::change_user(app.ledger(), name, role, password, app.by()).await?;
    app.doors().knows.forget();
    Ok(())
}

/// Removes a user, with every token and session.
pub(crate) async fn remove_user(app: &App, name: &str) -> Result<(), ApiFault> {
    people::remove_user(app.ledger(), name, app.by()).await?;
    app.doors().knows.forget();
    Ok(())
}

/// Gives a person another password, who must know the one they have: a page that was left open is not enough.
pub(crate) async fn change_own_password(
    app: &App,
    caller: &Caller,
    person: &Person,
    current: &str,
    password: String,
) -> Result<(), ApiFault> {
    let directory = app.doors().knows.directory(app.ledger()).await?;
    match check_password(app, caller, &directory, &person.name, current).await {
        Ok(Some(_)) => change_user(app, &person.name, None, Some(password)).await,
        Ok(None) => {
            app.failed(caller, &person.name);
            Err(ApiFault::invalid("Your current password is another one."))
        }
        Err(_) => Err(ApiFault::new(Kind::Busy, TOO_MANY_FAILURES)),
    }
}

/// All tokens, or those of one user, each with the beginning of its hash, by which people name it.
pub(crate) async fn tokens(
    app: &App,
    of_user: Option<&str>,
) -> Result<Vec<(String, Token)>, ApiFault> {
    let mut tokens = people::tokens(app.ledger()).await?;
    tokens.retain(|(_, token)| of_user.is_none_or(|user| token.user == user));
    Ok(tokens)
}

/// Makes a token for a person: its name for people, and the token itself, which is told now and never again.
pub(crate) async fn create_token(
    app: &App,
    person: &Person,
    name: &str,
    scope: Scope,
    expires_days: Option<i64>,
) -> Result<(String, String), ApiFault> {
    // A token that only reads makes none that writes.
    if scope.role() > person.role {
        return Err(ApiFault::new(
            Kind::Forbidden,
            format!(
                "A token of scope {} may do more than you may as {}.",
                scope.name(),
                person.role.name()
            ),
        ));
    }
    let expires_us = match expires_days {
        None => None,
        Some(days) if (1..=TOKEN_DAYS).contains(&days) => {
            Some(app.now_us() + days * 86_400_000_000)
        }
        Some(days) => {
            return Err(ApiFault::invalid(format!(
                "`expires_days` is {days}; allowed: 1 to {TOKEN_DAYS}."
            )));
        }
    };
    let (user, by) = (&person.name, app.by());
    let made = people::create_token(app.ledger(), user, name, scope, expires_us, by).await?;
    app.doors().knows.forget();
    Ok(made)
}

/// Ends a token, of one user where that is given.
pub(crate) async fn revoke_token(
    app: &App,
    id: &str,
    of_user: Option<&str>,
) -> Result<(), ApiFault> {
    let of_user = of_user.map(str::to_owned);
    people::revoke_token(app.ledger(), id, of_user, app.by()).await?;
    app.doors().knows.forget();
    Ok(())
}
