//! Finding out who asks: by a token, by name and password, or by the cookie of a session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use outlay_ledger::{Ledger, LedgerError, Microseconds};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::people::{self, Role, TOKEN, TOKEN_PREFIX, Token, USER, User};
use super::secret::{self, Secret};
use super::sessions::{SESSION, Session};

/// How long what was read of users and tokens counts: so long others' changes take.
const FRESH: Duration = Duration::from_secs(1);

/// How long a password that was right need not be hashed again.
const REMEMBERED: Duration = Duration::from_secs(300);

/// Most passwords that are remembered.
const PASSWORDS: usize = 1000;

/// Passwords that are hashed at once: each takes 19 MiB and a core.
const HASHES: usize = 2;

/// The users and tokens as of lately.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub users: HashMap<String, User>,
    tokens: HashMap<String, Token>,
}

/// Someone whom the server knows, for this request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub name: String,
    /// What they may do with what they showed: a token's scope can be less than its user's role.
    pub role: Role,
}

/// The proof that a form must carry as its field `csrf`, or a script as its header `X-CSRF-Token`, to write by the cookie of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormProof(pub String);

/// Who asks.
#[derive(Debug)]
pub(super) enum Known {
    /// They showed nothing.
    Nobody,
    /// They showed something that is not right, or not any more.
    Wrong { name: String },
    /// They are known by a token or a password.
    Person(Person),
    /// They are known by a session.
    Session(Person, FormProof),
    /// Nothing can be said: they failed too often of late.
    Later(Duration),
}

/// What is remembered to know people by.
#[derive(Debug)]
pub(super) struct Knows {
    directory: RwLock<Option<(Instant, Arc<Directory>)>>,
    refreshing: tokio::sync::Mutex<()>,
    key: [u8; 32],
    passwords: Mutex<HashMap<[u8; 32], Instant>>,
    hashes: Arc<Semaphore>,
}

impl Knows {
    /// Knows nobody yet.
    pub fn new() -> Self {
        let mut key = [0; 32];
        // Without random numbers no password is remembered: see `remember`.
        if secret::fill(&mut key).is_err() {
            key = [0; 32];
        }
        Self {
            directory: RwLock::new(None),
            refreshing: tokio::sync::Mutex::new(()),
            key,
            passwords: Mutex::new(HashMap::new()),
            hashes: Arc::new(Semaphore::new(HASHES)),
        }
    }

    /// Forgets what was read, after a change.
    pub fn forget(&self) {
        *self
            .directory
            .write()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn at_hand(&self, within: Duration) -> Option<Arc<Directory>> {
        let directory = self
            .directory
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let (at, directory) = directory.as_ref()?;
        (at.elapsed() < within).then(|| Arc::clone(directory))
    }

    /// The users and tokens, at most a second old.
    pub async fn directory(&self, ledger: &Ledger) -> Result<Arc<Directory>, LedgerError> {
        if let Some(directory) = self.at_hand(FRESH) {
            return Ok(directory);
        }
        // One reads for all who wait.
        let _turn = self.refreshing.lock().await;
        if let Some(directory) = self.at_hand(FRESH) {
            return Ok(directory);
        }
        let at = Instant::now();
        let users = people::read::<User>(ledger, USER, None).await?;
        let tokens = people::read::<Token>(ledger, TOKEN, None).await?;
        let directory = Arc::new(Directory {
            users: users.into_iter().collect(),
            tokens: tokens.into_iter().collect(),
        });
        *self
            .directory
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some((at, Arc::clone(&directory)));
        Ok(directory)
    }

    /// Who a token is of.
    pub fn by_token(&self, directory: &Directory, token: &str, now_us: Microseconds) -> Known {
        let wrong = |name: &str| Known::Wrong {
            name: name.to_owned(),
        };
        if !token.starts_with(TOKEN_PREFIX) {
            return wrong("");
        }
        let Some(token) = directory.tokens.get(&Secret::read(token).id()) else {
            return wrong("");
        };
        if token.expires_us.is_some_and(|expires| expires <= now_us) {
            return wrong(&token.user);
        }
        match directory.users.get(&token.user) {
            Some(user) => Known::Person(Person {
                name: user.name.clone(),
                role: user.role.min(token.scope.role()),
            }),
            None => wrong(&token.user),
        }
    }

    /// What a right password is remembered by: a keyed hash of it together with the hash in the ledger, so that it is forgotten when that changes.
    fn trace(&self, user: &User, password: &str) -> [u8; 32] {
        let mut inner = Sha256::new();
        inner.update(self.key);
        for part in [&user.name, &user.password, password] {
            inner.update((part.len() as u64).to_le_bytes());
            inner.update(part.as_bytes());
        }
        let mut outer = Sha256::new();
        outer.update(self.key);
        outer.update(inner.finalize());
        outer.finalize().into()
    }

    fn is_remembered(&self, trace: &[u8; 32]) -> bool {
        let passwords = self
            .passwords
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        passwords
            .get(trace)
            .is_some_and(|at| at.elapsed() < REMEMBERED)
    }

    fn remember(&self, trace: [u8; 32]) {
        if self.key == [0; 32] {
            return;
        }
        let mut passwords = self
            .passwords
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if passwords.len() >= PASSWORDS {
            passwords.retain(|_, at| at.elapsed() < REMEMBERED);
        }
        if passwords.len() >= PASSWORDS {
            passwords.clear();
        }
        passwords.insert(trace, Instant::now());
    }

    /// Whether a name's password was right lately; no attempt is counted for it.
    pub fn remembers(&self, directory: &Directory, name: &str, password: &str) -> Option<Person> {
        let user = directory.users.get(name)?;
        self.is_remembered(&self.trace(user, password))
            .then(|| Person {
                name: user.name.clone(),
                role: user.role,
            })
    }

    /// Whether a name's password is right. An unknown name takes as long.
    pub async fn by_password(
        &self,
        directory: &Directory,
        name: &str,
        password: &str,
    ) -> Option<User> {
        let user = directory.users.get(name);
        let hash = user.map_or_else(|| secret::NOBODY.to_owned(), |user| user.password.clone());
        let given = password.to_owned();
        let place = Arc::clone(&self.hashes).acquire_owned().await.ok()?;
        let right = tokio::task::spawn_blocking(move || {
            let right = secret::is_password(&given, &hash);
            drop(place);
            right
        });
        let right = right.await.unwrap_or(false);
        let user = user.filter(|_| right)?;
        self.remember(self.trace(user, password));
        Some(user.clone())
    }

    /// Whose session a cookie names.
    pub async fn by_session(
        &self,
        ledger: &Ledger,
        directory: &Directory,
        cookie: &str,
        now_us: Microseconds,
    ) -> Result<Known, LedgerError> {
        let secret = Secret::read(cookie);
        let found = people::read::<Session>(ledger, SESSION, Some(&secret.id())).await?;
        // A session that is over is nothing wrong: whoever had it may log in again.
        let Some((_, session)) = found.into_iter().next() else {
            return Ok(Known::Nobody);
        };
        Ok(match directory.users.get(&session.user) {
            Some(user)
                if session.expires_us > now_us
                    && secret::same(&secret::mark(&user.password), &session.password_mark) =>
            {
                let person = Person {
                    name: user.name.clone(),
                    role: user.role,
                };
                Known::Session(person, FormProof(secret.form_proof()))
            }
            _ => Known::Nobody,
        })
    }
}

/// What a client shows of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Nothing.
    Nothing,
    /// A token.
    Token(String),
    /// A name and a password.
    Password(String, String),
    /// A cookie.
    Cookie(String),
    /// Something that cannot be read.
    Unreadable,
}

/// The name of the cookie. Behind TLS no other host and no page without TLS can set it.
pub(super) fn cookie_name(https: bool) -> &'static str {
    if https {
        "__Host-outlay_session"
    } else {
        "outlay_session"
    }
}

/// A cookie's value.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// Reads what a client shows of itself.
pub(super) fn shown(headers: &HeaderMap, https: bool) -> Shown {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let Some(first) = all.next() else {
        return cookie(headers, cookie_name(https))
            .filter(|value| !value.is_empty())
            .map_or(Shown::Nothing, |value| Shown::Cookie(value.to_owned()));
    };
    if all.next().is_some() {
        return Shown::Unreadable;
    }
    let Some((scheme, rest)) = first.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return Shown::Unreadable;
    };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Shown::Token(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Shown::Unreadable;
    }
    let pair = STANDARD
        .decode(rest)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    match pair.as_deref().and_then(|pair| pair.split_once(':')) {
        Some((name, password)) => Shown::Password(name.to_owned(), password.to_owned()),
        None => Shown::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_show_is_read() {
        let of = |name: &'static str, values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(name, axum::http::HeaderValue::from_static(value));
            }
            shown(&headers, false)
        };
        assert_eq!(of("x", &[]), Shown::Nothing);
        assert_eq!(
            of("authorization", &["bearer  abc"]),
            Shown::Token("abc".to_owned())
        );
        assert_eq!(
            of("authorization", &["Basic YTpiOmM="]),
            Shown::Password("a".to_owned(), "b:c".to_owned())
        );
        for bad in ["Basic ???", "Basic YQ==", "Digest x", "Bearer"] {
            assert_eq!(of("authorization", &[bad]), Shown::Unreadable, "{bad}");
        }
        assert_eq!(
            of("authorization", &["Bearer a", "Bearer b"]),
            Shown::Unreadable
        );
        assert_eq!(
            of("cookie", &["a=b; outlay_session=xyz"]),
            Shown::Cookie("xyz".to_owned())
        );
        assert_eq!(of("cookie", &["__Host-outlay_session=xyz"]), Shown::Nothing);
    }
}
