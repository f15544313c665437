//! What can go wrong with a ledger, in words that say where.

use crate::canonical::NotCanonical;

/// A failure, with the ledger that it concerns.
#[derive(Debug, thiserror::Error)]
#[error("ledger `{place}`: {fault}")]
pub struct LedgerError {
    /// The file, or the database without its password.
    pub place: String,
    /// What happened.
    pub fault: Fault,
}

/// What happened to a ledger.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// What was handed in cannot be kept.
    #[error("{0}")]
    Input(String),
    /// Something of that name is there already, and says something else.
    #[error("{0}")]
    Conflict(String),
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// There is no such run.
    #[error("there is no run {0}")]
    NoRun(String),
    /// The run was put away, and takes nothing any more.
    #[error("run {0} was put away; restore it first")]
    PutAway(String),
    /// A parameter is set once.
    #[error("parameter `{key}` of run {run_id} is `{there}` already, and cannot become `{given}`")]
    ParamSet {
        /// Which run.
        run_id: String,
        /// Which parameter.
        key: String,
        /// Its value.
        there: String,
        /// The value that was to take its place.
        given: String,
    },
    /// Something of that name is there already.
    #[error("{0}")]
    Exists(String),
    /// It is not in the state in which this can be done.
    #[error("{0}")]
    State(String),
    /// Evidence needs a key to sign the tree with.
    #[error("evidence cannot be added without a key to sign it with")]
    NoKey,
    /// The file is no database.
    #[error("the file is no ledger, or was overwritten; nothing was changed")]
    NotALedger,
    /// The database's pages do not fit together.
    #[error("the file is damaged ({0}); nothing was changed")]
    Damaged(String),
    /// Nothing more can be written for want of room.
    #[error("the disk is full; what was acknowledged before is kept, and this write is not")]
    Full,
    /// The disk or the file cannot be written to.
    #[error("it cannot be written to: the file, its folder or the disk is read-only")]
    ReadOnly,
    /// Others held it for too long.
    #[error("others kept it locked for more than {0} seconds")]
    Busy(u64),
    /// A newer Outlay has changed its form.
    #[error("it was written by a newer Outlay (form {found}; this one knows up to {known})")]
    Newer {
        /// The form found.
        found: i64,
        /// The newest form that this Outlay knows.
        known: i64,
    },
    /// It cannot be reached, or refused.
    #[error("{0}")]
    Unreachable(String),
    /// Any other failure of the database.
    #[error("{0}")]
    Database(String),
}

impl Fault {
    /// The failure, with its place.
    pub(crate) fn at(self, place: &str) -> LedgerError {
        LedgerError {
            place: place.to_owned(),
            fault: self,
        }
    }

    /// A copy, for each of those whose writes shared a transaction.
    pub(crate) fn same(&self) -> Self {
        match self {
            Self::Input(text) => Self::Input(text.clone()),
            Self::Conflict(text) => Self::Conflict(text.clone()),
            Self::Missing(text) => Self::Missing(text.clone()),
            Self::NoRun(id) => Self::NoRun(id.clone()),
            Self::PutAway(id) => Self::PutAway(id.clone()),
            Self::ParamSet {
                run_id,
                key,
                there,
                given,
            } => Self::ParamSet {
                run_id: run_id.clone(),
                key: key.clone(),
                there: there.clone(),
                given: given.clone(),
            },
            Self::Exists(text) => Self::Exists(text.clone()),
            Self::State(text) => Self::State(text.clone()),
            Self::NoKey => Self::NoKey,
            Self::NotALedger => Self::NotALedger,
            Self::Damaged(text) => Self::Damaged(text.clone()),
            Self::Full => Self::Full,
            Self::ReadOnly => Self::ReadOnly,
            Self::Busy(seconds) => Self::Busy(*seconds),
            Self::Newer { found, known } => Self::Newer {
                found: *found,
                known: *known,
            },
            Self::Unreachable(text) => Self::Unreachable(text.clone()),
            Self::Database(text) => Self::Database(text.clone()),
        }
    }

    /// Whether it was looked at and refused; the connection is none the worse for it.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Input(_)
                | Self::Conflict(_)
                | Self::Missing(_)
                | Self::NoRun(_)
                | Self::PutAway(_)
                | Self::ParamSet { .. }
                | Self::Exists(_)
                | Self::State(_)
                | Self::NoKey
        )
    }

    /// Whether a batch was refused for what is in it, so that others in its transaction may still be written.
    pub(crate) fn is_of_content(&self) -> bool {
        self.is_refusal() || matches!(self, Self::Database(_))
    }
}

impl From<NotCanonical> for Fault {
    fn from(error: NotCanonical) -> Self {
        Self::Input(error.to_string())
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error;
        match &error {
            Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                let message = database.message().to_owned();
                // SQLite's result codes are numbers, whose low byte is the kind; PostgreSQL's have five letters or digits.
                match code.parse::<i64>() {
                    Ok(number) if code.len() < 5 => match number & 0xff {
                        5 | 6 => Self::Busy(crate::store::BUSY_SECONDS),
                        8 => Self::ReadOnly,
                        11 => Self::Damaged(message),
                        13 => Self::Full,
                        14 => Self::Unreachable(message),
                        26 => Self::NotALedger,
                        // A file of shared memory that could not be made longer.
                        10 if number == 4874 => Self::Full,
                        10 => Self::Unreachable(format!("reading or writing failed: {message}")),
                        19 if database.is_foreign_key_violation() => {
                            Self::Missing("there is no such run".to_owned())
                        }
                        19 => Self::Conflict(message),
                        _ => Self::Database(message),
                    },
                    _ => match code.as_ref() {
                        "53100" => Self::Full,
                        "25006" => Self::ReadOnly,
                        "23503" => Self::Missing("there is no such run".to_owned()),
                        "23505" | "P0001" => Self::Conflict(message),
                        "55P03" | "40P01" | "40001" => Self::Busy(crate::store::BUSY_SECONDS),
                        "XX001" | "XX002" => Self::Damaged(message),
                        "57P01" | "57P02" | "57P03" | "53300" | "3D000" => {
                            Self::Unreachable(message)
                        }
                        // Broken connections, and refused ones.
                        code if code.starts_with("08") || code.starts_with("28") => {
                            Self::Unreachable(message)
                        }
                        _ => Self::Database(message),
                    },
                }
            }
            Error::Io(error) => Self::Unreachable(format!("it cannot be reached: {error}")),
            Error::PoolTimedOut => Self::Unreachable(format!(
                "no connection could be made, or came free, within {} seconds",
                crate::store::BUSY_SECONDS
            )),
            Error::PoolClosed | Error::WorkerCrashed => {
                Self::Unreachable("the connection was closed".to_owned())
            }
            _ => Self::Database(error.to_string()),
        }
    }
}
