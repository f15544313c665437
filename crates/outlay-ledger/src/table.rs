//! Runs as a table shows them: only the columns that are asked for, so that ten thousand runs with ten thousand metrics stay quick.

use std::collections::HashMap;

use crate::error::{Fault, LedgerError};
use crate::ledger::Ledger;
use crate::query::{Field, RunQuery};
use crate::record::{Micro, Microseconds, RunStatus};
use crate::search::{Bind, Metric, Statement, attribute, fetch, point, which};
use crate::store::on;

/// Columns that are wanted besides a run's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Names of parameters.
    pub params: Vec<String>,
    /// Names of tags.
    pub tags: Vec<String>,
    /// Names of metrics.
    pub metrics: Vec<String>,
    /// What each spent.
    pub spent: bool,
}

/// A run in a table.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its project; empty for none.
    pub project: String,
    /// Its team; empty for none.
    pub team: String,
    /// Who started it.
    pub who: String,
    /// The machine.
    pub host: String,
    /// How it stands.
    pub status: RunStatus,
    /// When it began.
    pub started_us: Microseconds,
    /// When it was last known to run.
    pub seen_us: Microseconds,
    /// When it ended.
    pub ended_us: Option<Microseconds>,
    /// The experiment that it belongs to.
    pub experiment_id: i64,
    /// What it spent, by currency, where that is wanted.
    pub spent: Vec<(String, Micro)>,
    /// The wanted parameters that it has.
    pub params: Vec<(String, String)>,
    /// The wanted tags that it has.
    pub tags: Vec<(String, String)>,
    /// The wanted metrics that it has.
    pub metrics: Vec<Metric>,
}

/// Runs that have the same value of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunGroup {
    /// The value; `None` for runs that have no such parameter or tag.
    pub value: Option<String>,
    /// How many runs.
    pub n_runs: i64,
    /// What they spent together in US dollars.
    pub spent_usd: Micro,
}

/// Things whose names a table can have as columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Parameters.
    Param,
    /// Tags.
    Tag,
    /// Metrics.
    Metric,
}

type Row = (
    String,
    String,
    String,
    String,
    String,
    String,
    String,
    i64,
    i64,
    i64,
    Option<i64>,
    i64,
);

const COLUMNS: &str =
    "runs.id, runs.name, runs.project, runs.team, runs.who, runs.host, runs.status, runs.scheduled,
    runs.started_us, runs.seen_us, runs.ended_us, runs.experiment_id";

fn row_of(row: Row) -> RunRow {
    let (
        id,
        name,
        project,
        team,
        who,
        host,
        status,
        scheduled,
        started_us,
        seen_us,
        ended_us,
        experiment_id,
    ) = row;
    RunRow {
        id,
        name,
        project,
        team,
        who,
        host,
        status: RunStatus::from_name(&status, scheduled == 1),
        started_us,
        seen_us,
        ended_us,
        experiment_id,
        spent: Vec::new(),
        params: Vec::new(),
        tags: Vec::new(),
        metrics: Vec::new(),
    }
}

impl Ledger {
    /// The runs that meet a query, with the columns that are wanted.
    ///
    /// # Errors
    ///
    /// A field that runs do not have, or a ledger that cannot be read.
    pub async fn run_rows(
        &self,
        query: &RunQuery,
        wanted: &Wanted,
    ) -> Result<Vec<RunRow>, LedgerError> {
        let read = async {
            let statement = self.run_statement(query, COLUMNS)?;
            let rows: Vec<Row> = on!(self.store(), connection => {
                fetch!(connection, sqlx::query_as, statement)
            });
            let mut rows: Vec<RunRow> = rows.into_iter().map(row_of).collect();
            self.fill(&mut rows, wanted).await?;
            Ok(rows)
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }

    async fn fill(&self, rows: &mut [RunRow], wanted: &Wanted) -> Result<(), Fault> {
        if rows.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
        let at: HashMap<String, usize> = ids.iter().cloned().zip(0..).collect();
        let (params, tags, metrics, spent) = tokio::try_join!(
            self.some_labels(&ids, "params", &wanted.params),
            self.some_labels(&ids, "tags", &wanted.tags),
            self.some_metrics(&ids, &wanted.metrics),
            async {
                if wanted.spent {
                    self.spent_by_runs(&ids).await
                } else {
                    Ok(Vec::new())
                }
            },
        )?;
        for (id, key, value) in params {
            rows[at[&id]].params.push((key, value));
        }
        for (id, key, value) in tags {
            rows[at[&id]].tags.push((key, value));
        }
        for (id, metric) in metrics {
            rows[at[&id]].metrics.push(metric);
        }
        for (id, currency, micro) in spent {
            rows[at[&id]].spent.push((currency, Micro(micro)));
        }
        Ok(())
    }

    async fn some_labels(
        &self,
        ids: &[String],
        table: &str,
        keys: &[String],
    ) -> Result<Vec<(String, String, String)>, Fault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut statement = self.statement("");
        let (of_ids, of_keys) = (statement.one_of(ids), statement.one_of(keys));
        statement.text = format!(
            "SELECT run_id, key, value FROM {table} WHERE run_id {of_ids} AND key {of_keys}"
        );
        Ok(on!(self.store(), connection => {
            fetch!(connection, sqlx::query_as, statement)
        }))
    }

    async fn some_metrics(
        &self,
        ids: &[String],
        keys: &[String],
    ) -> Result<Vec<(String, Metric)>, Fault> {
        type Row = (String, String, i64, i64, f64, i64, Option<f64>, Option<f64>);
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut statement = self.statement("");
        let (of_ids, of_keys) = (statement.one_of(ids), statement.one_of(keys));
        statement.text = format!(
            "SELECT run_id, key, last_step, last_at_us, last_value, last_is_nan, min_value, max_value FROM series
             WHERE run_id {of_ids} AND key {of_keys} AND last_step IS NOT NULL"
        );
        let rows: Vec<Row> = on!(self.store(), connection => {
            fetch!(connection, sqlx::query_as, statement)
        });
        let metric = |(id, key, step, at_us, value, is_nan, low, high): Row| {
            let last = point(step, at_us, value, is_nan);
            let range = low.zip(high);
            (id, Metric { key, last, range })
        };
        Ok(rows.into_iter().map(metric).collect())
    }

    /// What some runs spent, by currency.
    async fn spent_by_runs(&self, ids: &[String]) -> Result<Vec<(String, String, i64)>, Fault> {
        let mut statement = self.statement("");
        let of_ids = statement.one_of(ids);
        statement.text = format!(
            "SELECT run_id, currency, CAST(sum(amount_micro) AS BIGINT) FROM spending WHERE run_id {of_ids}
             GROUP BY run_id, currency ORDER BY run_id, currency"
        );
        Ok(on!(self.store(), connection => {
            fetch!(connection, sqlx::query_as, statement)
        }))
    }

    /// How many runs meet a query, whatever its page.
    ///
    /// # Errors
    ///
    /// A field that runs do not have, or a ledger that cannot be read.
    pub async fn count_runs(&self, query: &RunQuery) -> Result<i64, LedgerError> {
        let read = async {
            let mut statement = self.statement("");
            let test = which(&mut statement, query)?;
            statement.text = format!("SELECT count(*) FROM runs WHERE {test}");
            let rows: Vec<(i64,)> = on!(self.store(), connection => {
                fetch!(connection, sqlx::query_as, statement)
            });
            Ok(rows.first().map_or(0, |(n_runs,)| *n_runs))
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }

    /// The groups of the runs that meet a query, in the order in which a query sorts by that field; at most `limit`.
    ///
    /// # Errors
    ///
    /// A field that runs cannot be grouped by, or a ledger that cannot be read.
    pub async fn run_groups(
        &self,
        query: &RunQuery,
        by: &Field,
        limit: i64,
    ) -> Result<Vec<RunGroup>, LedgerError> {
        let read = async {
            let mut statement = self.statement("");
            let value = value_of(&mut statement, by)?;
            let test = which(&mut statement, query)?;
            statement.text = format!(
                "SELECT value, count(*), CAST(coalesce(sum(spent), 0) AS BIGINT) FROM (
                     SELECT {value} AS value, (SELECT sum(amount_micro) FROM spending
                         WHERE run_id = runs.id AND currency = 'USD') AS spent
                     FROM runs WHERE {test}) AS grouped
                 GROUP BY value ORDER BY value IS NULL, value LIMIT {}",
                limit.max(0)
            );
            let rows: Vec<(Option<String>, i64, i64)> = on!(self.store(), connection => {
                fetch!(connection, sqlx::query_as, statement)
            });
            let group = |(value, n_runs, spent)| RunGroup {
                value,
                n_runs,
                spent_usd: Micro(spent),
            };
            Ok(rows.into_iter().map(group).collect())
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }

    /// Names of parameters, tags or metrics that any run has and that contain a text, whatever its capitals; by name, at most `limit`.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn run_keys(
        &self,
        kind: KeyKind,
        containing: &str,
        limit: i64,
    ) -> Result<Vec<String>, LedgerError> {
        let read = async {
            let mut statement = self.statement("");
            let text = statement.bind(Bind::Text(containing.to_lowercase()));
            let limit = limit.max(0);
            let contains = if statement.sqlite { "instr" } else { "strpos" };
            let test = format!("{contains}(lower(key), {text}) > 0");
            statement.text = match kind {
                KeyKind::Param => {
                    format!(
                        "SELECT DISTINCT key FROM params WHERE {test} ORDER BY key LIMIT {limit}"
                    )
                }
                KeyKind::Tag => {
                    format!("SELECT DISTINCT key FROM tags WHERE {test} ORDER BY key LIMIT {limit}")
                }
                // From each name to the next along the index, however many runs have it.
                KeyKind::Metric => format!(
                    "WITH RECURSIVE names(key) AS (
                         SELECT min(key) FROM series
                         UNION ALL
                         SELECT (SELECT min(series.key) FROM series WHERE series.key > names.key)
                         FROM names WHERE names.key IS NOT NULL)
                     SELECT key FROM names WHERE key IS NOT NULL AND {test} LIMIT {limit}"
                ),
            };
            let rows: Vec<(String,)> = on!(self.store(), connection => {
                fetch!(connection, sqlx::query_as, statement)
            });
            Ok(rows.into_iter().map(|(key,)| key).collect())
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }

    /// A page of a run's metrics whose names contain a text, by name, and how many there are.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn run_metrics(
        &self,
        run_id: &str,
        containing: &str,
        offset: i64,
        limit: i64,
    ) -> Result<(Vec<Metric>, i64), LedgerError> {
        type Row = (String, i64, i64, f64, i64, Option<f64>, Option<f64>, i64);
        let read = async {
            let mut statement = self.statement("");
            let id = statement.bind(Bind::Text(run_id.to_owned()));
            let text = statement.bind(Bind::Text(containing.to_lowercase()));
            let contains = if statement.sqlite { "instr" } else { "strpos" };
            statement.text = format!(
                "SELECT key, last_step, last_at_us, last_value, last_is_nan, min_value, max_value, count(*) OVER ()
                 FROM series WHERE run_id = {id} AND last_step IS NOT NULL AND {contains}(lower(key), {text}) > 0
                 ORDER BY key LIMIT {} OFFSET {}",
                limit.max(0),
                offset.max(0)
            );
            let rows: Vec<Row> = on!(self.store(), connection => {
                fetch!(connection, sqlx::query_as, statement)
            });
            let n_all = rows.first().map_or(0, |row| row.7);
            let metric = |(key, step, at_us, value, is_nan, low, high, _): Row| Metric {
                key,
                last: point(step, at_us, value, is_nan),
                range: low.zip(high),
            };
            Ok((rows.into_iter().map(metric).collect(), n_all))
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }
}

/// A field as a text that runs can be grouped by.
fn value_of(statement: &mut Statement, field: &Field) -> Result<String, Fault> {
    let (table, key) = match field {
        Field::Attribute(name) => {
            return match attribute(name)? {
                (column, false) => Ok(column.to_owned()),
                (_, true) => Err(Fault::Input(format!("runs cannot be grouped by `{name}`"))),
            };
        }
        Field::Parameter(key) => ("params", key),
        Field::Tag(key) => ("tags", key),
        _ => {
            return Err(Fault::Input(
                "runs can be grouped by attributes that are texts, parameters and tags".to_owned(),
            ));
        }
    };
    let key = statement.bind(Bind::Text(key.clone()));
    Ok(format!(
        "(SELECT value FROM {table} AS other WHERE other.run_id = runs.id AND other.key = {key})"
    ))
}
