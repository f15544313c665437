//! How spending stands: sums over projects, days and months; and pages of evidence.

use serde_json::Value;

use crate::error::{Fault, LedgerError};
use crate::ledger::Ledger;
use crate::record::{Evidence, Micro, Microseconds};
use crate::search::{Bind, fetch};
use crate::store::on;

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// What a project spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectSpending {
    /// The project; empty for none.
    pub project: String,
    /// In which currency.
    pub currency: String,
    /// How much.
    pub micro: Micro,
}

/// What was spent on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaySpending {
    /// Days since 1970, UTC.
    pub day: i64,
    /// In which currency.
    pub currency: String,
    /// How much.
    pub micro: Micro,
}

/// How much a ledger holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Runs that are not put away.
    pub n_runs: i64,
    /// Entries of spending.
    pub n_entries: i64,
    /// Records of evidence.
    pub n_evidence: i64,
}

impl Ledger {
    /// What each project spent from an instant on, by currency, the most first. An entry counts when it ends.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn spent_by_project(
        &self,
        from_us: Microseconds,
    ) -> Result<Vec<ProjectSpending>, LedgerError> {
        let read = async {
            let rows: Vec<(String, String, i64)> = on!(self.store(), connection => {
                sqlx::query_as(
                    "SELECT project, currency, CAST(sum(amount_micro) AS BIGINT) AS micro FROM spending
                     WHERE to_us >= $1 GROUP BY project, currency ORDER BY currency, micro DESC, project",
                ).bind(from_us).fetch_all(connection).await?
            });
            let of = |(project, currency, micro)| ProjectSpending {
                project,
                currency,
                micro: Micro(micro),
            };
            Ok(rows.into_iter().map(of).collect())
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }

    /// What was spent on each day from an instant on, by currency; of one project and of one team, where these are not empty.
    ///
    /// An entry counts on the day on which it ends.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn spent_by_day(
        &self,
        from_us: Microseconds,
        project: &str,
        team: &str,
    ) -> Result<Vec<DaySpending>, LedgerError> {
        let read = async {
            let rows: Vec<(i64, String, i64)> = on!(self.store(), connection => {
                sqlx::query_as(sqlx::AssertSqlSafe(format!(
                    "SELECT to_us / {DAY_US} AS day, currency, CAST(sum(amount_micro) AS BIGINT) FROM spending
                     WHERE to_us >= $1 AND ($2 = '' OR project = $2) AND ($3 = '' OR team = $3)
                     GROUP BY day, currency ORDER BY day, currency"
                ))).bind(from_us.max(0)).bind(project).bind(team).fetch_all(connection).await?
            });
            let of = |(day, currency, micro)| DaySpending {
                day,
                currency,
                micro: Micro(micro),
            };
            Ok(rows.into_iter().map(of).collect())
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }

    /// What a run spent, by what for and how that is known: kind, qualities, currency and amount.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn spent_on(
        &self,
        run_id: &str,
    ) -> Result<Vec<(String, String, String, Micro)>, LedgerError> {
        let read = async {
            let rows: Vec<(String, String, String, i64)> = on!(self.store(), connection => {
                sqlx::query_as(
                    "SELECT kind, quality, currency, CAST(sum(amount_micro) AS BIGINT) FROM spending
                     WHERE run_id = $1 GROUP BY kind, quality, currency ORDER BY kind, currency, quality",
                ).bind(run_id).fetch_all(connection).await?
            });
            let of = |(kind, quality, currency, micro)| (kind, quality, currency, Micro(micro));
            Ok(rows.into_iter().map(of).collect())
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }

    /// How much the ledger holds.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn totals(&self) -> Result<Totals, LedgerError> {
        let read = async {
            let (n_runs, n_entries, n_evidence): (i64, i64, i64) = on!(self.store(), connection => {
                sqlx::query_as(
                    "SELECT (SELECT count(*) FROM runs WHERE deleted_us IS NULL), (SELECT count(*) FROM spending),
                         (SELECT size FROM ledger)",
                ).fetch_one(connection).await?
            });
            Ok(Totals {
                n_runs,
                n_entries,
                n_evidence,
            })
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }

    /// The runs that are said to be running, each with when it was last known to; at most `limit`, the latest first.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn running_marks(
        &self,
        limit: i64,
    ) -> Result<Vec<(String, Microseconds)>, LedgerError> {
        let read = async {
            let rows: Vec<(String, i64)> = on!(self.store(), connection => {
                sqlx::query_as(
                    "SELECT id, seen_us FROM runs WHERE status = 'running' AND deleted_us IS NULL
                     ORDER BY started_us DESC LIMIT $1",
                ).bind(limit).fetch_all(connection).await?
            });
            Ok(rows)
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }

    /// A page of evidence, newest first, with each record's position: those before a position, about a subject, of a kind, as far as these are given.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read, or a record is none.
    pub async fn evidence_page(
        &self,
        subject: Option<&str>,
        kind: Option<&str>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<(i64, Evidence)>, LedgerError> {
        let read = async {
            let mut statement = self.statement("");
            let mut test = "1 = 1".to_owned();
            for (column, text) in [("subject", subject), ("kind", kind)] {
                if let Some(text) = text {
                    let place = statement.bind(Bind::Text(text.to_owned()));
                    test.push_str(&format!(" AND {column} = {place}"));
                }
            }
            if let Some(before) = before {
                let place = statement.bind(Bind::Integer(before));
                test.push_str(&format!(" AND position < {place}"));
            }
            statement.text = format!(
                "SELECT position, record FROM evidence WHERE {test} ORDER BY position DESC LIMIT {}",
                limit.max(0)
            );
            let rows: Vec<(i64, String)> = on!(self.store(), connection => {
                fetch!(connection, sqlx::query_as, statement)
            });
            rows.into_iter()
                .map(|(position, record)| {
                    serde_json::from_str::<Value>(&record)
                        .ok()
                        .and_then(|record| Evidence::from_record(&record))
                        .map(|evidence| (position, evidence))
                        .ok_or_else(|| Fault::Damaged(format!("record {position} cannot be read")))
                })
                .collect::<Result<Vec<_>, Fault>>()
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }

    /// The kinds of evidence that there are, by name.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn evidence_kinds(&self) -> Result<Vec<String>, LedgerError> {
        let read = async {
            let rows: Vec<(String,)> = on!(self.store(), connection => {
                sqlx::query_as("SELECT DISTINCT kind FROM evidence ORDER BY kind LIMIT 200")
                    .fetch_all(connection).await?
            });
            Ok(rows.into_iter().map(|(kind,)| kind).collect())
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }
}
