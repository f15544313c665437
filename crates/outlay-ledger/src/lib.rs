//! The ledger: runs, their metrics, spending, budgets and evidence, in SQLite or PostgreSQL.
//!
//! The only crate that knows SQL.
//! What was acknowledged is on the disk; evidence and spending are only ever added; and the evidence is hashed into a tree whose signed root shows any change.

mod apply;
mod canonical;
mod drawer;
mod error;
mod files;
mod ledger;
pub mod merkle;
mod mlflow_file;
mod note;
mod query;
mod quick;
mod record;
mod search;
mod standing;
mod store;
mod sums;
mod table;
mod tables;
mod thin;
mod verify;

pub use apply::Signer;
pub use canonical::{NotCanonical, canonical};
pub use drawer::Drawer;
pub use error::{Fault, LedgerError};
pub use files::{Counts, Format};
pub use ledger::Ledger;
pub use mlflow_file::{Among, Cell, MlflowFile, unbounded};
pub use note::{Checkpoint, NoteError, SignKey, VerifyKey, hex};
pub use query::{
    Condition, Field, MetricDataset, Operand, Order, RunQuery, Test, View, matches_ilike,
    matches_like,
};
pub use record::{
    Artifact, Batch, Budget, Dataset, Document, Evidence, Label, Micro, Microseconds, ModelPoint,
    Period, Point, Run, RunChange, RunModel, RunStatus, Series, Spending,
};
pub use search::{Metric, RunDetail};
pub use standing::{DaySpending, ProjectSpending, Totals};
pub use store::Place;
pub use sums::Spent;
pub use table::{KeyKind, RunGroup, RunRow, Wanted};
pub use thin::{Range, Thinned};
pub use verify::{Tampering, Verification};
