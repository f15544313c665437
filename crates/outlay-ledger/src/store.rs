//! The two databases: SQLite in a file, PostgreSQL by its address. Opening, migrations, transactions.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{SqlSafeStr, SqlStr};

use crate::error::Fault;

/// How long to wait for others who hold the ledger.
pub(crate) const BUSY_SECONDS: u64 = 30;

/// Each form of the tables, in order: number, name, SQLite's text, PostgreSQL's text. Never edited once released.
pub(crate) const FORMS: &[(i64, &str, &str, &str)] = &[(
    1,
    "initial",
    include_str!("../migrations/sqlite/0001_initial.sql"),
    include_str!("../migrations/postgres/0001_initial.sql"),
)];

/// Where a ledger lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// A PostgreSQL database, `postgres://user@host/name`.
    Postgres(String),
}

impl Place {
    /// Reads an address: one that begins with `postgres://` or `postgresql://`, or a path.
    #[must_use]
    pub fn read(text: &str) -> Self {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            Self::Postgres(text.to_owned())
        } else {
            Self::File(PathBuf::from(
                text.strip_prefix("sqlite://").unwrap_or(text),
            ))
        }
    }

    /// The place as people may see it: without a password.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Postgres(address) => match address.split_once("://") {
                Some((scheme, rest)) => match rest.rsplit_once('@') {
                    Some((user, host)) => {
                        let user = user.split(':').next().unwrap_or_default();
                        format!(
                            "{scheme}://{user}@{}",
                            host.split('?').next().unwrap_or(host)
                        )
                    }
                    None => format!("{scheme}://{}", rest.split('?').next().unwrap_or(rest)),
                },
                None => String::new(),
            },
        }
    }
}

/// A pool of connections to one of the two databases.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Runs the same statements on a connection of whichever database it is.
macro_rules! on {
    ($store:expr, $connection:ident => $body:expr) => {
        match $store {
            crate::store::Store::Sqlite(pool) => {
                let mut held = pool.acquire().await?;
                let $connection = &mut *held;
                $body
            }
            crate::store::Store::Postgres(pool) => {
                let mut held = pool.acquire().await?;
                let $connection = &mut *held;
                $body
            }
        }
    };
}

/// Runs the same statements within one transaction that reads an unchanging state.
macro_rules! on_snapshot {
    ($store:expr, $connection:ident => $body:expr) => {
        match $store {
            crate::store::Store::Sqlite(pool) => {
                let mut held = pool.begin_with("BEGIN DEFERRED").await?;
                let $connection = &mut *held;
                $body
            }
            crate::store::Store::Postgres(pool) => {
                let mut held = pool
                    .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    .await?;
                let $connection = &mut *held;
                $body
            }
        }
    };
}

pub(crate) use {on, on_snapshot};

/// Opens a place, makes it where it is absent and `create` says so, and brings its tables to the newest form.
pub(crate) async fn open(place: &Place, create: bool) -> Result<Store, Fault> {
    match place {
        Place::File(path) => open_file(path, create).await,
        Place::Postgres(address) => {
            // Names kept by one schema, so that a team's database may hold other things.
            let options = PgConnectOptions::from_str(address)
                .map_err(|error| Fault::Input(format!("the address cannot be read: {error}")))?
                .options([("search_path", "outlay"), ("lock_timeout", "30s")]);
            let pool = PgPoolOptions::new()
                .max_connections(4)
                .acquire_timeout(Duration::from_secs(BUSY_SECONDS))
                .connect_with(options)
                .await?;
            sqlx::raw_sql("CREATE SCHEMA IF NOT EXISTS outlay")
                .execute(&pool)
                .await
                .or_else(|error| {
                    // Two who make it at once: one of them is told that it is there.
                    let code = error
                        .as_database_error()
                        .and_then(|e| e.code().map(std::borrow::Cow::into_owned));
                    match code.as_deref() {
                        Some("23505" | "42P06") => Ok(Default::default()),
                        _ => Err(error),
                    }
                })?;
            let mut connection = pool.acquire().await?;
            migrate(&mut *connection, false, i64::MAX).await?;
            drop(connection);
            Ok(Store::Postgres(pool))
        }
    }
}

/// Opens a file.
async fn open_file(path: &Path, create: bool) -> Result<Store, Fault> {
    if !create && !path.exists() {
        return Err(Fault::Missing("there is no such file".to_owned()));
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(create)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(BUSY_SECONDS))
        // Every commit reaches the disk before it is acknowledged.
        .synchronous(SqliteSynchronous::Full)
        .journal_mode(SqliteJournalMode::Wal);
    let pool = SqlitePoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_secs(BUSY_SECONDS))
        .connect_with(options)
        .await?;
    let mut connection = pool.acquire().await?;
    // Two processes that make one file at once: the second finds the tables of the first, once it looks again.
    let mut tries = 0;
    while let Err(fault) = migrate(&mut *connection, true, i64::MAX).await {
        tries += 1;
        if tries == 20
            || !matches!(
                fault,
                Fault::Busy(_) | Fault::Database(_) | Fault::Conflict(_)
            )
        {
            return Err(fault);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(connection);
    Ok(Store::Sqlite(pool))
}

/// Brings the tables to a form, at most the newest.
pub(crate) async fn migrate<C: Migrate>(
    connection: &mut C,
    sqlite: bool,
    newest: i64,
) -> Result<(), Fault> {
    let migrations = FORMS
        .iter()
        .filter(|(number, ..)| *number <= newest)
        .map(|(number, name, for_sqlite, for_postgres)| {
            let text: SqlStr = if sqlite { *for_sqlite } else { *for_postgres }.into_sql_str();
            Migration::new(*number, (*name).into(), MigrationType::Simple, text, false)
        })
        .collect();
    Migrator::with_migrations(migrations)
        .run_direct(None, connection, false)
        .await
        .map_err(|error| match error {
            MigrateError::VersionMissing(found) => Fault::Newer {
                found,
                known: FORMS.last().map_or(0, |form| form.0),
            },
            MigrateError::VersionMismatch(form) => Fault::Damaged(format!(
                "its tables of form {form} are not those that Outlay makes"
            )),
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            other => Fault::Database(other.to_string()),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (address, shown) in [
            (
                "postgres://ann:secret@db.example/x?sslmode=require",
                "postgres://ann@db.example/x",
            ),
            ("postgresql://db.example/x", "postgresql://db.example/x"),
            ("postgres://ann:a@b@db/x", "postgres://ann@db/x"),
            (".outlay/ledger.db", ".outlay/ledger.db"),
            ("sqlite://a.db", "a.db"),
        ] {
            assert_eq!(Place::read(address).shown(), shown);
        }
    }
}
