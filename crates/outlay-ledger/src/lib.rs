//! The ledger: runs, their metrics, spending, budgets and evidence, in SQLite or PostgreSQL.
//!
//! The only crate that knows SQL.
//! What was acknowledged is on the disk; evidence and spending are only ever added; and the evidence is hashed into a tree whose signed root shows any change.

mod apply;
mod canonical;
mod error;
mod files;
mod ledger;
pub mod merkle;
mod note;
mod record;
mod store;
mod tables;
mod verify;

pub use apply::Signer;
pub use canonical::{NotCanonical, canonical};
pub use error::{Fault, LedgerError};
pub use files::{Counts, Format};
pub use ledger::Ledger;
pub use note::{Checkpoint, NoteError, SignKey, VerifyKey, hex};
pub use record::{
    Artifact, Batch, Budget, Dataset, Evidence, Label, Micro, Microseconds, Period, Point, Run,
    RunChange, RunStatus, Series, Spending,
};
pub use store::Place;
pub use verify::{Tampering, Verification};
