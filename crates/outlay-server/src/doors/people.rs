//! Users, tokens and sessions, as the ledger keeps them: never a password or a token itself, only its hash.

use outlay_ledger::{Batch, Drawer, Evidence, Fault, Ledger, LedgerError, Microseconds};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::secret::{self, Secret};
use super::sessions::{SESSION, Session};

/// The kind of a user's document; all lie on one shelf.
pub(super) const USER: &str = "user";
/// The kind of a token's document, named after the token's hash; all lie on one shelf.
pub(super) const TOKEN: &str = "token";

/// How a token begins, so that people and scanners know one when they see it.
pub const TOKEN_PREFIX: &str = "outlay_";

/// Least letters of a password.
pub const PASSWORD_LETTERS: usize = 12;

/// Most bytes of a password: hashing more only costs time.
const PASSWORD_BYTES: usize = 1024;

/// What a user may do; each may do what those before may.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at everything.
    Viewer,
    /// Write: log runs, register models, set budgets.
    Editor,
    /// Manage users, and delete experiments and registered models.
    Admin,
}

impl Role {
    /// All of them, least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Editor, Self::Admin];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// What a token may do, as long as its user may.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Look at everything.
    Read,
    /// Write as well.
    Write,
    /// All that an admin may.
    Admin,
}

impl Scope {
    /// All of them, least first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    /// The role that may do as much.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::Read => Role::Viewer,
            Self::Write => Role::Editor,
            Self::Admin => Role::Admin,
        }
    }
}

/// Someone whom the server knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The name to log in with.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// Argon2id hash of the password, in PHC's form.
    pub password: String,
    /// When the user was added.
    pub created_us: Microseconds,
}

/// A token, without the token itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Whose it is.
    pub user: String,
    /// What people call it; may be empty.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created_us: Microseconds,
    /// When it ends to be valid.
    pub expires_us: Option<Microseconds>,
}

/// Who changes something, from where and when, for the record.
#[derive(Clone, Debug)]
pub struct By {
    /// The person.
    pub who: String,
    /// An address, or `terminal`.
    pub from: String,
    /// When.
    pub now_us: Microseconds,
}

impl By {
    /// The record of what was done.
    #[must_use]
    pub fn evidence(&self, what: &str, subject: String, more: &Value) -> Evidence {
        let mut body = json!({"what": what, "from": self.from});
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        Evidence {
            kind: "audit".to_owned(),
            subject,
            body,
            recorded_us: self.now_us,
            who: self.who.clone(),
        }
    }

    fn note(&self, drawer: &mut Drawer, what: &str, subject: String, more: &Value) {
        drawer.also(Batch {
            evidence: vec![self.evidence(what, subject, more)],
            ..Batch::default()
        });
    }
}

fn check_name(name: &str) -> Result<(), Fault> {
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(of_name) {
        return Err(Fault::Input(format!(
            "the user's name is `{name}`; allowed: 1 to 64 of a-z, A-Z, 0-9, `.`, `_`, `-`, `@` and `+`"
        )));
    }
    Ok(())
}

/// Hashes a password, which takes some hundredths of a second.
///
/// # Errors
///
/// A password that is too short or too long.
pub fn hash_password(password: &str) -> Result<String, Fault> {
    let n_letters = password.chars().count();
    if n_letters < PASSWORD_LETTERS || password.len() > PASSWORD_BYTES {
        return Err(Fault::Input(format!(
            "the password has {n_letters} letters; allowed: at least {PASSWORD_LETTERS}, and up to {PASSWORD_BYTES} bytes"
        )));
    }
    secret::hash_password(password)
}

fn no_user(name: &str) -> Fault {
    Fault::Missing(format!("there is no user `{name}`"))
}

/// The documents of a kind, by name; of one name where it is given.
pub(super) async fn read<T: DeserializeOwned>(
    ledger: &Ledger,
    kind: &str,
    id: Option<&str>,
) -> Result<Vec<(String, T)>, LedgerError> {
    let mut found = Vec::new();
    for document in ledger.documents(kind, None, id).await? {
        // One that a newer Outlay wrote in another way opens no door.
        if let Ok(body) = serde_json::from_str(&document.body) {
            found.push((document.id, body));
        }
    }
    Ok(found)
}

/// All users, by name.
///
/// # Errors
///
/// When the ledger cannot be read.
pub async fn users(ledger: &Ledger) -> Result<Vec<User>, LedgerError> {
    let users = read(ledger, USER, None).await?;
    Ok(users.into_iter().map(|(_, user)| user).collect())
}

/// All tokens, each with the beginning of its hash, by which people name it.
///
/// # Errors
///
/// When the ledger cannot be read.
pub async fn tokens(ledger: &Ledger) -> Result<Vec<(String, Token)>, LedgerError> {
    let tokens = read(ledger, TOKEN, None).await?;
    Ok(tokens
        .into_iter()
        .map(|(id, token)| (short(&id), token))
        .collect())
}

/// As much of a hash as tells tokens apart.
fn short(id: &str) -> String {
    id.chars().take(12).collect()
}

/// Adds a user with a hashed password.
///
/// # Errors
///
/// A name that is taken or is none, or a ledger that cannot be written to.
pub async fn add_user(
    ledger: &Ledger,
    name: &str,
    role: Role,
    password: String,
    by: By,
) -> Result<(), LedgerError> {
    let name = name.to_owned();
    let add = move |drawer: &mut Drawer| {
        check_name(&name)?;
        if drawer.get::<User>(USER, "", &name)?.is_some() {
            return Err(Fault::Exists(format!("there is a user `{name}` already")));
        }
        let user = User {
            name: name.clone(),
            role,
            password,
            created_us: by.now_us,
        };
        drawer.put(USER, "", &name, &user)?;
        let more = json!({"role": role.name()});
        by.note(drawer, "user added", format!("user/{name}"), &more);
        Ok(())
    };
    ledger.edit(&[(USER, "")], add).await
}

/// Removes a user, with every token and session.
///
/// # Errors
///
/// No such user, or a ledger that cannot be written to.
pub async fn remove_user(ledger: &Ledger, name: &str, by: By) -> Result<(), LedgerError> {
    let shelves = [(USER, ""), (TOKEN, ""), (SESSION, name)];
    let name = name.to_owned();
    let remove = move |drawer: &mut Drawer| {
        if drawer.get::<User>(USER, "", &name)?.is_none() {
            return Err(no_user(&name));
        }
        drawer.remove(USER, "", &name);
        for (id, token) in drawer.shelf::<Token>(TOKEN, "")? {
            if token.user == name {
                drawer.remove(TOKEN, "", &id);
            }
        }
        for (id, _) in drawer.shelf::<Session>(SESSION, &name)? {
            drawer.remove(SESSION, &name, &id);
        }
        by.note(drawer, "user removed", format!("user/{name}"), &Value::Null);
        Ok(())
    };
    ledger.edit(&shelves, remove).await
}

/// Gives a user another role, or another hashed password; the latter ends every session.
///
/// # Errors
///
/// No such user, or a ledger that cannot be written to.
pub async fn change_user(
    ledger: &Ledger,
    name: &str,
    role: Option<Role>,
    password: Option<String>,
    by: By,
) -> Result<(), LedgerError> {
    let shelves = [(USER, ""), (SESSION, name)];
    let name = name.to_owned();
    let change = move |drawer: &mut Drawer| {
        let mut user: User = drawer.get(USER, "", &name)?.ok_or_else(|| no_user(&name))?;
        let subject = format!("user/{name}");
        if let Some(role) = role {
            let more = json!({"role": role.name(), "before": user.role.name()});
            by.note(drawer, "role changed", subject.clone(), &more);
            user.role = role;
        }
        if let Some(password) = password {
            by.note(drawer, "password changed", subject, &Value::Null);
            user.password = password;
            for (id, _) in drawer.shelf::<Session>(SESSION, &name)? {
                drawer.remove(SESSION, &name, &id);
            }
        }
        drawer.put(USER, "", &name, &user)
    };
    ledger.edit(&shelves, change).await
}

/// Makes a token. It is shown now and never again.
///
/// # Errors
///
/// No such user, or a ledger that cannot be written to.
pub async fn create_token(
    ledger: &Ledger,
    user: &str,
    name: &str,
    scope: Scope,
    expires_us: Option<Microseconds>,
    by: By,
) -> Result<(String, String), LedgerError> {
    let (user, name) = (user.to_owned(), name.to_owned());
    let create = move |drawer: &mut Drawer| {
        if drawer.get::<User>(USER, "", &user)?.is_none() {
            return Err(no_user(&user));
        }
        if name.chars().count() > 100 || name.chars().any(char::is_control) {
            return Err(Fault::Input(
                "the token's name is too long, or is no plain text; allowed: up to 100 letters"
                    .to_owned(),
            ));
        }
        let secret = Secret::fresh(TOKEN_PREFIX)?;
        let id = secret.id();
        let more = json!({"user": user, "scope": scope.name(), "name": name});
        let subject = format!("token/{}", short(&id));
        by.note(drawer, "token made", subject, &more);
        let token = Token {
            user,
            name,
            scope,
            created_us: by.now_us,
            expires_us,
        };
        drawer.put(TOKEN, "", &id, &token)?;
        Ok((short(&id), secret.reveal().to_owned()))
    };
    ledger.edit(&[(USER, ""), (TOKEN, "")], create).await
}

/// Ends a token, which is named by the beginning of its hash; of one user where that is given.
///
/// # Errors
///
/// None or several that begin so, or a ledger that cannot be written to.
pub async fn revoke_token(
    ledger: &Ledger,
    id: &str,
    of_user: Option<String>,
    by: By,
) -> Result<Token, LedgerError> {
    let given = id.to_owned();
    let revoke = move |drawer: &mut Drawer| {
        let mut found = drawer.shelf::<Token>(TOKEN, "")?;
        found.retain(|(id, token)| {
            !given.is_empty()
                && id.starts_with(&given)
                && of_user.as_ref().is_none_or(|user| *user == token.user)
        });
        let (Some((id, token)), true) = (found.pop(), found.is_empty()) else {
            return Err(Fault::Missing(format!(
                "there is no token `{given}`, or several begin so; `outlay server token list` names them"
            )));
        };
        drawer.remove(TOKEN, "", &id);
        let more = json!({"user": token.user, "name": token.name});
        let subject = format!("token/{}", short(&id));
        by.note(drawer, "token revoked", subject, &more);
        Ok(token)
    };
    ledger.edit(&[(TOKEN, "")], revoke).await
}
