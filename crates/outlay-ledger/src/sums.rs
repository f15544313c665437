//! Sums and counts over all of a ledger.

use crate::error::{Fault, LedgerError};
use crate::ledger::Ledger;
use crate::record::{Micro, RunStatus};
use crate::store::on;

/// What was spent, by who spent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// The project; empty for none.
    pub project: String,
    /// The team; empty for none.
    pub team: String,
    /// The currency.
    pub currency: String,
    /// How much.
    pub amount_micro: Micro,
}

impl Ledger {
    /// What was spent, by project, team and currency.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn spent_by_owner(&self) -> Result<Vec<Spent>, LedgerError> {
        let read = async {
            let rows: Vec<(String, String, String, i64)> = on!(self.store(), connection => {
                sqlx::query_as(
                    "SELECT project, team, currency, CAST(sum(amount_micro) AS BIGINT) FROM spending
                     GROUP BY project, team, currency ORDER BY project, team, currency",
                ).fetch_all(connection).await?
            });
            let spent = |(project, team, currency, micro)| Spent {
                project,
                team,
                currency,
                amount_micro: Micro(micro),
            };
            Ok(rows.into_iter().map(spent).collect())
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }

    /// How many runs stand how, without those that were put away.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn n_runs_by_status(&self) -> Result<Vec<(RunStatus, u64)>, LedgerError> {
        let read = async {
            let rows: Vec<(String, i64, i64)> = on!(self.store(), connection => {
                sqlx::query_as(
                    "SELECT status, scheduled, count(*) FROM runs WHERE deleted_us IS NULL
                     GROUP BY status, scheduled ORDER BY status, scheduled",
                ).fetch_all(connection).await?
            });
            let of = |(status, scheduled, n): (String, i64, i64)| {
                (
                    RunStatus::from_name(&status, scheduled == 1),
                    n.unsigned_abs(),
                )
            };
            Ok(rows.into_iter().map(of).collect())
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }

    /// How many records of evidence there are.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn n_evidence(&self) -> Result<u64, LedgerError> {
        let read = async {
            let (size,): (i64,) = on!(self.store(), connection => {
                sqlx::query_as("SELECT size FROM ledger WHERE only_row = 1")
                    .fetch_one(connection).await?
            });
            Ok(size.unsigned_abs())
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }
}
