//! Sessions: what the page for logging in begins.

use outlay_ledger::{Drawer, Ledger, LedgerError, Microseconds};
use serde::{Deserialize, Serialize};

use super::people::{By, User};
use super::secret::{self, Secret};

/// The kind of a session's document, named after the session's hash, on the shelf of its user.
pub(super) const SESSION: &str = "session";

/// How long a session lasts.
pub(super) const SESSION_US: Microseconds = 24 * 3600 * 1_000_000;

/// Most sessions that a user has at once; the oldest ends when another begins.
const SESSIONS: usize = 50;

/// A login by the page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    /// Who logged in.
    pub user: String,
    /// Hash of the user's password hash: another password ends the session.
    pub password_mark: String,
    /// When the user logged in.
    pub created_us: Microseconds,
    /// When it ends.
    pub expires_us: Microseconds,
}

/// Begins a session; those of the user that are over are thrown away.
pub(super) async fn begin(ledger: &Ledger, user: &User, by: By) -> Result<Secret, LedgerError> {
    let (name, password_mark) = (user.name.clone(), secret::mark(&user.password));
    let begin = move |drawer: &mut Drawer| {
        let mut there = drawer.shelf::<Session>(SESSION, &name)?;
        there.sort_by_key(|(_, session)| std::cmp::Reverse(session.created_us));
        for (at, (id, session)) in there.iter().enumerate() {
            if session.expires_us <= by.now_us || at + 1 >= SESSIONS {
                drawer.remove(SESSION, &name, id);
            }
        }
        let secret = Secret::fresh("")?;
        let session = Session {
            user: name.clone(),
            password_mark,
            created_us: by.now_us,
            expires_us: by.now_us + SESSION_US,
        };
        drawer.put(SESSION, &name, &secret.id(), &session)?;
        Ok(secret)
    };
    ledger.edit(&[(SESSION, &user.name)], begin).await
}

/// Ends a session.
pub(super) async fn end(ledger: &Ledger, user: &str, id: &str) -> Result<(), LedgerError> {
    let (name, id) = (user.to_owned(), id.to_owned());
    ledger
        .edit(&[(SESSION, user)], move |drawer| {
            drawer.remove(SESSION, &name, &id);
            Ok(())
        })
        .await
}
