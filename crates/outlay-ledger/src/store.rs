//! The two databases: SQLite in a file, PostgreSQL by its address. Opening, migrations, transactions.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, PgConnection, SqlSafeStr, SqlStr};

use crate::error::Fault;

/// How long to wait for others who hold the ledger. The tests within this crate are less patient.
pub(crate) const BUSY_SECONDS: u64 = if cfg!(test) { 1 } else { 30 };

/// Taking the right to write at once: a transaction that began by reading could not wait for it.
pub(crate) const BEGIN_SQLITE: &str = "BEGIN IMMEDIATE";

/// PostgreSQL's beginning of a transaction that writes.
pub(crate) const BEGIN_POSTGRES: &str = "BEGIN";

/// Each form of the tables, in order: number, name, SQLite's text, PostgreSQL's text. Never edited once released.
pub(crate) const FORMS: &[(i64, &str, &str, &str)] = &[
    (
        1,
        "initial",
        include_str!("../migrations/sqlite/0001_initial.sql"),
        include_str!("../migrations/postgres/0001_initial.sql"),
    ),
    (
        2,
        "tracking",
        include_str!("../migrations/sqlite/0002_tracking.sql"),
        include_str!("../migrations/postgres/0002_tracking.sql"),
    ),
];

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
        let address = match self {
            Self::File(path) => return path.display().to_string(),
            Self::Postgres(address) => address,
        };
        let Some((scheme, rest)) = address.split_once("://") else {
            return String::new();
        };
        let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let name = behind.split(['?', '#']).next().unwrap_or_default();
        match authority.rsplit_once('@') {
            Some((user, host)) => {
                let user = user.split(':').next().unwrap_or_default();
                format!("{scheme}://{user}@{host}{name}")
            }
            // A password that was not written as addresses are to write it may go on behind here.
            None if behind.contains('@') => {
                let first = authority.split(':').next().unwrap_or_default();
                format!("{scheme}://{first}")
            }
            None => format!("{scheme}://{authority}{name}"),
        }
    }
}

/// A pool of connections to one of the two databases.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Store {
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
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

/// Runs statements within a transaction, which ends well or leaves nothing.
///
/// SQLite ends a transaction by itself when the disk is full or fails, and sqlx goes on counting it: every later one on the same connection would be refused. So a connection on which one has failed is not used again.
macro_rules! transaction {
    ($pool:expr, $begin:expr, $connection:ident => $body:expr) => {{
        let mut held = $pool.acquire().await?;
        let outcome: Result<_, crate::error::Fault> = async {
            let mut transaction = sqlx::Connection::begin_with(&mut *held, $begin).await?;
            let $connection = &mut *transaction;
            let done = $body;
            transaction.commit().await?;
            Ok(done)
        }
        .await;
        if outcome.as_ref().is_err_and(|fault| !fault.is_refusal()) {
            held.close_on_drop();
        }
        outcome?
    }};
}

/// How a transaction begins that reads one unchanging state.
pub(crate) const SNAPSHOT_SQLITE: &str = "BEGIN DEFERRED";

/// The same in PostgreSQL.
pub(crate) const SNAPSHOT_POSTGRES: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Runs the same statements within one transaction that reads an unchanging state.
macro_rules! on_snapshot {
    ($store:expr, $connection:ident => $body:expr) => {
        match $store {
            crate::store::Store::Sqlite(pool) => {
                crate::store::transaction!(pool, crate::store::SNAPSHOT_SQLITE, $connection => $body)
            }
            crate::store::Store::Postgres(pool) => {
                crate::store::transaction!(pool, crate::store::SNAPSHOT_POSTGRES, $connection => $body)
            }
        }
    };
}

pub(crate) use {on, on_snapshot, transaction};

/// The places of so many rows' cells in a statement.
///
/// SQLite takes `$1` for a name, and looks through all names before it for each: with some thousand cells that takes longer than anything else.
pub(crate) fn places_sqlite(n_rows: usize, n_columns: usize) -> String {
    let row = format!("({})", vec!["?"; n_columns].join(","));
    vec![row; n_rows].join(",")
}

/// The same for PostgreSQL, which numbers them.
pub(crate) fn places_postgres(n_rows: usize, n_columns: usize) -> String {
    let row = |row: usize| {
        let cells: Vec<String> = (1..=n_columns)
            .map(|column| format!("${}", row * n_columns + column))
            .collect();
        format!("({})", cells.join(","))
    };
    (0..n_rows).map(row).collect::<Vec<_>>().join(",")
}

/// Connections for those who read.
const READERS: u32 = 4;

/// Opens a place, makes it where it is absent and `create` says so, and brings its tables to the newest form.
///
/// Gives connections for readers, and one that is the writer's alone, so that long readers never keep it waiting.
pub(crate) async fn open(place: &Place, create: bool) -> Result<(Store, Store), Fault> {
    match place {
        Place::File(path) => open_file(path, create).await,
        Place::Postgres(address) => open_postgres(address, create).await,
    }
}

async fn open_postgres(address: &str, create: bool) -> Result<(Store, Store), Fault> {
    let options = PgConnectOptions::from_str(address)
        .map_err(|error| Fault::Input(format!("the address cannot be read: {error}")))?
        .options([
            // Names kept by one schema, so that a team's database may hold other things.
            ("search_path", "outlay"),
            ("lock_timeout", &format!("{BUSY_SECONDS}s")),
            // Whatever the server's default is: what is acknowledged is on its disk.
            ("synchronous_commit", "on"),
        ]);
    // Past the pool, which would wait for a server that is not there, and then not say so.
    let first = PgConnection::connect_with(&options);
    let mut connection = tokio::time::timeout(Duration::from_secs(BUSY_SECONDS), first)
        .await
        .map_err(|_| {
            Fault::Unreachable(format!("no answer from it within {BUSY_SECONDS} seconds"))
        })??;
    let (has_ledger, has_schema): (bool, bool) = sqlx::query_as(
        "SELECT to_regclass('outlay.ledger') IS NOT NULL, to_regnamespace('outlay') IS NOT NULL",
    )
    .fetch_one(&mut connection)
    .await?;
    if !has_ledger && !create {
        return Err(Fault::Missing(
            "there is no ledger in this database".to_owned(),
        ));
    }
    if !has_schema {
        let made = sqlx::raw_sql("CREATE SCHEMA IF NOT EXISTS outlay")
            .execute(&mut connection)
            .await;
        if let Err(error) = made {
            // Two who make it at once: one of them is told that it is there.
            let code = error
                .as_database_error()
                .and_then(|e| e.code().map(std::borrow::Cow::into_owned));
            if !matches!(code.as_deref(), Some("23505" | "42P06")) {
                return Err(error.into());
            }
        }
    }
    migrate(&mut connection, false, i64::MAX).await?;
    let _ = connection.close().await;
    let pool = |size| {
        PgPoolOptions::new()
            .max_connections(size)
            .acquire_timeout(Duration::from_secs(BUSY_SECONDS))
            .connect_lazy_with(options.clone())
    };
    Ok((Store::Postgres(pool(READERS)), Store::Postgres(pool(1))))
}

/// Opens a file.
async fn open_file(path: &Path, create: bool) -> Result<(Store, Store), Fault> {
    // SQLite would take some names, such as `:memory:`, for something else than a file.
    let path = std::path::absolute(path).map_err(|error| Fault::Input(error.to_string()))?;
    look_at_file(&path, create)?;
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(create)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(BUSY_SECONDS))
        // Rows come from another thread: with few at a time, the two mostly wake each other.
        .row_buffer_size(2000)
        // Every commit reaches the disk before it is acknowledged.
        .synchronous(SqliteSynchronous::Full);
    let pool = |size| {
        SqlitePoolOptions::new()
            .max_connections(size)
            // A file does not go away as a server does, and asking costs as much as most statements.
            .test_before_acquire(false)
            .acquire_timeout(Duration::from_secs(BUSY_SECONDS))
            .connect_lazy_with(options.clone())
    };
    let begun = Instant::now();
    let mut n_tries = 0;
    let writer = pool(1);
    loop {
        let fault = match prepare_file(&writer, create).await {
            Ok(()) => return Ok((Store::Sqlite(pool(READERS)), Store::Sqlite(writer))),
            Err(fault) => fault,
        };
        // Processes that make one file at once: those that come second find the tables of the first, once they look again.
        n_tries += 1;
        let passes = match fault {
            Fault::Busy(seconds) => begun.elapsed() < Duration::from_secs(seconds),
            Fault::Database(_) | Fault::Conflict(_) => n_tries < 20,
            _ => false,
        };
        if passes {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        writer.close().await;
        return Err(match fault {
            // SQLite says no more than that it cannot open it.
            Fault::Unreachable(message) => match look_at_folder(&path) {
                Ok(()) => Fault::Unreachable(format!(
                    "it may not be read and written, or cannot be: {message}"
                )),
                Err(fault) => fault,
            },
            other => other,
        });
    }
}

/// What an error of the file system means.
fn of_files(error: &std::io::Error) -> Fault {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull => Fault::Full,
        PermissionDenied | ReadOnlyFilesystem => Fault::ReadOnly,
        _ => Fault::Unreachable(error.to_string()),
    }
}

/// Whether files can be made in the folder that a file is in, or is to be in: SQLite needs two beside its own.
fn look_at_folder(path: &Path) -> Result<(), Fault> {
    let mut beside = path.as_os_str().to_os_string();
    beside.push(format!(".{}.part", std::process::id()));
    match File::create_new(&beside) {
        Ok(_) => {
            let _ = std::fs::remove_file(beside);
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(of_files(&error)),
    }
}

/// Finds what SQLite would not say, or would put right by throwing something away.
///
/// The file itself is not opened: to close it again would end the locks that SQLite holds on it for this process, and others could then take its log away.
fn look_at_file(path: &Path, create: bool) -> Result<(), Fault> {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if path.parent().is_some_and(|folder| !folder.exists()) {
                return Err(Fault::Missing("there is no such folder".to_owned()));
            }
            if !create {
                return Err(Fault::Missing("there is no such file".to_owned()));
            }
            return look_at_folder(path);
        }
        Err(error) => return Err(of_files(&error)),
    };
    if !metadata.is_file() {
        return Err(Fault::Unreachable("it is no regular file".to_owned()));
    }
    let mut log = path.as_os_str().to_os_string();
    log.push("-wal");
    let mut log_head = Vec::new();
    if let Ok(log) = File::open(log) {
        log.take(4)
            .read_to_end(&mut log_head)
            .map_err(|error| of_files(&error))?;
    }
    if metadata.len() == 0 && !log_head.is_empty() {
        // SQLite would throw the log away with what it holds.
        return Err(Fault::Damaged(
            "it is empty, and the log beside it, `-wal`, is not".to_owned(),
        ));
    }
    if metadata.len() == 0 && !create {
        return Err(Fault::Missing(
            "it is empty: there is no ledger in it".to_owned(),
        ));
    }
    // The log's first bytes in either order of bytes; zeros where power failed before the first of them was written.
    let is_log = matches!(
        log_head[..],
        [] | [0, 0, 0, 0] | [0x37, 0x7f, 0x06, 0x82 | 0x83]
    );
    if !is_log {
        return Err(Fault::Damaged(
            "the log beside it, `-wal`, was overwritten: what was written last may be lost without it".to_owned(),
        ));
    }
    Ok(())
}

/// Makes the tables, or brings them to the newest form; a file that is of something else stays as it is.
async fn prepare_file(pool: &SqlitePool, create: bool) -> Result<(), Fault> {
    let mut connection = pool.acquire().await?;
    let tables: Vec<(String,)> =
        sqlx::query_as("SELECT name FROM sqlite_schema WHERE type = 'table'")
            .fetch_all(&mut *connection)
            .await?;
    let has = |name: &str| tables.iter().any(|table| table.0 == name);
    // Someone who makes a ledger notes the tables' form first, and then makes all of them at once.
    let is_ledger = has("ledger") && has("_sqlx_migrations");
    let is_begun = tables.iter().all(|table| table.0 == "_sqlx_migrations");
    if !is_ledger && !is_begun {
        return Err(Fault::NotALedger);
    }
    if !is_ledger && !create {
        return Err(Fault::Missing("there is no ledger in it".to_owned()));
    }
    // Readers and the writer do not wait for each other. The file keeps it.
    sqlx::query("PRAGMA journal_mode = WAL")
        .execute(&mut *connection)
        .await?;
    migrate(&mut *connection, true, i64::MAX).await
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
            ("postgres://db:5432/x?password=a@b", "postgres://db"),
            (
                "postgres://db:5432/x?password=secret",
                "postgres://db:5432/x",
            ),
            ("postgres://ann:1?2@db/x", "postgres://ann"),
            ("postgres://ann:1/2@db/x", "postgres://ann"),
            ("postgres://ann:secret@/x?host=/run", "postgres://ann@/x"),
        ] {
            assert_eq!(Place::read(address).shown(), shown);
        }
    }
}
