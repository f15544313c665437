//! A database file that MLflow wrote: read as it is, and never written to.
//!
//! Every version of MLflow has its own tables; a column that a file lacks is read as nothing.
//! Each statement stands alone, so that a server that uses the file is kept waiting by no more than one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use futures_util::TryStreamExt;
use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{AssertSqlSafe, Row, TypeInfo, ValueRef};

use crate::error::{Fault, LedgerError};
use crate::record::{Point, Series};
use crate::store::BUSY_SECONDS;

/// What a row holds in a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing, or no such column.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number.
    Real(f64),
    /// A text.
    Text(String),
}

impl Cell {
    /// The text, also of a number; `None` for nothing.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Integer(number) => Some(number.to_string()),
            Self::Real(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.clone()),
        }
    }

    /// The whole number, also in a text; `None` for anything else.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Real(number) => {
                (number.fract() == 0.0 && number.abs() < 9.2e18).then_some(*number as i64)
            }
            Self::Text(text) => text.trim().parse().ok(),
            Self::Null => None,
        }
    }

    /// The number; `None` for what is none.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Real(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Null => None,
        }
    }
}

/// A column, and the values of which it must hold one.
pub type Among<'a> = (&'a str, Vec<Value>);

/// A database file of MLflow's, open for reading.
#[derive(Clone, Debug)]
pub struct MlflowFile {
    place: String,
    pool: SqlitePool,
    /// Tables, and the columns of each.
    tables: BTreeMap<String, BTreeSet<String>>,
}

impl MlflowFile {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// A file that is absent, cannot be read, or is no database of MLflow's.
    pub async fn open(path: &Path) -> Result<Self, LedgerError> {
        let place = path.display().to_string();
        let opened = async {
            if !std::fs::metadata(path).is_ok_and(|data| data.is_file()) {
                return Err(Fault::Missing("there is no such file".to_owned()));
            }
            let options = SqliteConnectOptions::new()
                .filename(path)
                .read_only(true)
                .create_if_missing(false)
                .busy_timeout(Duration::from_secs(BUSY_SECONDS));
            let pool = SqlitePoolOptions::new()
                .max_connections(2)
                .connect_with(options)
                .await?;
            let tables = tables(&pool).await?;
            let has = |name: &str| tables.contains_key(name);
            if !has("experiments") || !has("runs") || !has("metrics") {
                return Err(Fault::Input(
                    "it is no database of MLflow's: there are no experiments, runs and metrics in it"
                        .to_owned(),
                ));
            }
            Ok((pool, tables))
        };
        let (pool, tables) = opened.await.map_err(|fault| of_source(fault).at(&place))?;
        Ok(Self {
            place,
            pool,
            tables,
        })
    }

    /// The tables of the file, by name.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    fn at(&self, fault: Fault) -> LedgerError {
        of_source(fault).at(&self.place)
    }

    /// How many rows a table has; 0 where there is no such table.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub async fn n_rows(&self, table: &str) -> Result<u64, LedgerError> {
        if !self.tables.contains_key(table) {
            return Ok(0);
        }
        let text = format!("SELECT count(*) FROM {}", quoted(table));
        let (n_rows,): (i64,) = sqlx::query_as(AssertSqlSafe(text))
            .fetch_one(&self.pool)
            .await
            .map_err(|error| self.at(error.into()))?;
        Ok(n_rows.unsigned_abs())
    }

    /// The columns asked for, of each row that meets every condition, in the order of their keys.
    ///
    /// A table that the file lacks has no rows, and a column that it lacks holds nothing.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub async fn rows(
        &self,
        table: &str,
        columns: &[&str],
        among: &[Among<'_>],
    ) -> Result<Vec<Vec<Cell>>, LedgerError> {
        let Some(there) = self.tables.get(table) else {
            return Ok(Vec::new());
        };
        let wanted: Vec<String> = columns
            .iter()
            .map(|name| {
                if there.contains(*name) {
                    quoted(name)
                } else {
                    "NULL".to_owned()
                }
            })
            .collect();
        let mut text = format!("SELECT {} FROM {}", wanted.join(", "), quoted(table));
        for (at, (name, _)) in among.iter().enumerate() {
            let word = if at == 0 { "WHERE" } else { "AND" };
            text.push_str(&format!(
                " {word} {} IN (SELECT value FROM json_each(${}))",
                quoted(name),
                at + 1
            ));
        }
        text.push_str(" ORDER BY 1");
        let read = async {
            let mut query = sqlx::query(AssertSqlSafe(text));
            for (_, values) in among {
                query = query.bind(Value::from(values.clone()).to_string());
            }
            let mut rows = Vec::new();
            let mut found = query.fetch(&self.pool);
            while let Some(row) = found.try_next().await? {
                rows.push(
                    (0..columns.len())
                        .map(|at| cell(&row, at))
                        .collect::<Result<_, _>>()?,
                );
            }
            Ok(rows)
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }

    /// All points of a run, by metric.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub async fn points(&self, run_id: &str) -> Result<Vec<Series>, LedgerError> {
        let read = async {
            let mut series: BTreeMap<String, Vec<Point>> = BTreeMap::new();
            let mut found = sqlx::query(
                "SELECT key, value, timestamp, step, is_nan FROM metrics WHERE run_uuid = $1",
            )
            .bind(run_id)
            .fetch(&self.pool);
            while let Some(row) = found.try_next().await? {
                let key = cell(&row, 0)?.text().unwrap_or_default();
                let is_nan = cell(&row, 4)?.integer() == Some(1);
                let value = cell(&row, 1)?.number().unwrap_or(f64::NAN);
                let point = Point {
                    step: cell(&row, 3)?.integer().unwrap_or(0),
                    at_us: cell(&row, 2)?.integer().unwrap_or(0).saturating_mul(1000),
                    value: if is_nan { f64::NAN } else { unbounded(value) },
                };
                match series.get_mut(&key) {
                    Some(points) => points.push(point),
                    None => {
                        series.insert(key, vec![point]);
                    }
                }
            }
            let of = |(key, points)| Series {
                run_id: run_id.to_owned(),
                key,
                points,
            };
            Ok(series.into_iter().map(of).collect())
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }

    /// Closes the file.
    pub async fn close(self) {
        self.pool.close().await;
    }
}

/// MLflow writes the greatest number of all where an infinity was logged.
#[must_use]
pub fn unbounded(value: f64) -> f64 {
    if value == f64::MAX {
        f64::INFINITY
    } else if value == f64::MIN {
        f64::NEG_INFINITY
    } else {
        value
    }
}

/// What a failure means for a file that is no ledger and is not to be one.
fn of_source(fault: Fault) -> Fault {
    match fault {
        Fault::NotALedger => Fault::Input("the file is no database, or was overwritten".to_owned()),
        Fault::ReadOnly => Fault::Unreachable(
            "it was left in the middle of a change, which only a program that may write to it can undo; open it \
             once with MLflow or `sqlite3`"
                .to_owned(),
        ),
        other => other,
    }
}

async fn tables(pool: &SqlitePool) -> Result<BTreeMap<String, BTreeSet<String>>, Fault> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT t.name, c.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )
    .fetch_all(pool)
    .await?;
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (table, column) in rows {
        tables.entry(table).or_default().insert(column);
    }
    Ok(tables)
}

/// A name within a statement.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A cell, whatever type it is of: SQLite keeps any in any column.
fn cell(row: &SqliteRow, at: usize) -> Result<Cell, Fault> {
    let raw = row.try_get_raw(at)?;
    if raw.is_null() {
        return Ok(Cell::Null);
    }
    let kind = raw.type_info().name().to_owned();
    Ok(match kind.as_str() {
        "INTEGER" | "BOOLEAN" | "INT4" | "INT8" | "BIGINT" => {
            Cell::Integer(row.try_get_unchecked(at)?)
        }
        "REAL" | "FLOAT" | "NUMERIC" => Cell::Real(row.try_get_unchecked(at)?),
        "BLOB" => {
            let bytes: Vec<u8> = row.try_get_unchecked(at)?;
            Cell::Text(String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => Cell::Text(row.try_get_unchecked(at)?),
    })
}
