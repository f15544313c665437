//! Looking for runs, and reading all that is known of each.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Row};

use crate::apply::stored;
use crate::error::{Fault, LedgerError};
use crate::ledger::{DatasetRow, Ledger, RUN_COLUMNS, dataset_of, run_of};
use crate::query::{Condition, Field, Operand, RunQuery, Test, View};
use crate::record::{Dataset, ModelPoint, Point, Run, RunModel, RunStatus};
use crate::store::{Store, on};

/// A metric of a run, without its history.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub key: String,
    /// Its newest point, by step, then time, then value.
    pub last: Point,
    /// The least and the greatest of its numbers; `None` where it never was one.
    pub range: Option<(f64, f64)>,
}

/// A run with all that is known of it but the history of its metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct RunDetail {
    /// The run.
    pub run: Run,
    /// Its parameters, by name.
    pub params: Vec<(String, String)>,
    /// Its tags, by name.
    pub tags: Vec<(String, String)>,
    /// Its metrics, by name.
    pub metrics: Vec<Metric>,
    /// The data that it used.
    pub datasets: Vec<Dataset>,
    /// The models that it read or made.
    pub models: Vec<RunModel>,
}

/// A value to bind.
#[derive(Clone, Debug)]
pub(crate) enum Bind {
    Text(String),
    Integer(i64),
    Real(f64),
}

/// A statement that grows.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) binds: Vec<Bind>,
    pub(crate) sqlite: bool,
}

impl Statement {
    pub(crate) fn bind(&mut self, bind: Bind) -> String {
        self.binds.push(bind);
        format!("${}", self.binds.len())
    }

    /// One of some texts, however many.
    pub(crate) fn one_of(&mut self, texts: &[String]) -> String {
        let list = serde_json::to_string(texts).unwrap_or_default();
        let place = self.bind(Bind::Text(list));
        if self.sqlite {
            format!("IN (SELECT value FROM json_each({place}))")
        } else {
            format!("IN (SELECT json_array_elements_text({place}::json))")
        }
    }

    /// A comparison of a text.
    fn text_test(&mut self, column: &str, condition: &Condition) -> Result<String, Fault> {
        let (test, text) = match (condition.test, &condition.operand) {
            (Test::In, Operand::Texts(texts)) => {
                return Ok(format!("{column} {}", self.one_of(texts)));
            }
            (Test::NotIn, Operand::Texts(texts)) => {
                return Ok(format!("{column} NOT {}", self.one_of(texts)));
            }
            (Test::Like, Operand::Text(pattern)) if self.sqlite => {
                return Ok(format!(
                    "{column} GLOB {}",
                    self.bind(Bind::Text(glob(pattern)))
                ));
            }
            (Test::Like, Operand::Text(pattern)) => {
                let place = self.bind(Bind::Text(pattern.clone()));
                return Ok(format!("{column} LIKE {place} ESCAPE ''"));
            }
            (Test::ILike, Operand::Text(pattern)) => {
                let place = self.bind(Bind::Text(pattern.clone()));
                let escape = if self.sqlite { "" } else { " ESCAPE ''" };
                return Ok(format!("lower({column}) LIKE lower({place}){escape}"));
            }
            (Test::IsNull, _) => return Ok(format!("{column} IS NULL")),
            (Test::IsNotNull, _) => return Ok(format!("{column} IS NOT NULL")),
            (test, Operand::Text(text)) => (test, text.clone()),
            (_, operand) => return Err(not_comparable(column, operand)),
        };
        let sign = sign(test).ok_or_else(|| not_comparable(column, &condition.operand))?;
        Ok(format!("{column} {sign} {}", self.bind(Bind::Text(text))))
    }

    /// A comparison of a number.
    fn number_test(&mut self, column: &str, condition: &Condition) -> Result<String, Fault> {
        let bind = match condition.operand {
            Operand::Integer(number) => Bind::Integer(number),
            Operand::Number(number) => Bind::Real(number),
            _ if condition.test == Test::IsNull => return Ok(format!("{column} IS NULL")),
            _ if condition.test == Test::IsNotNull => return Ok(format!("{column} IS NOT NULL")),
            ref operand => return Err(not_comparable(column, operand)),
        };
        let sign =
            sign(condition.test).ok_or_else(|| not_comparable(column, &condition.operand))?;
        Ok(format!("{column} {sign} {}", self.bind(bind)))
    }

    /// A row of another table that must, or must not, be there.
    fn exists(&mut self, table: &str, key: &str, condition: &Condition) -> Result<String, Fault> {
        let key = self.bind(Bind::Text(key.to_owned()));
        let row = format!(
            "SELECT 1 FROM {table} AS other WHERE other.run_id = runs.id AND other.key = {key}"
        );
        let test = match condition.test {
            Test::IsNull => return Ok(format!("NOT EXISTS ({row})")),
            Test::IsNotNull => return Ok(format!("EXISTS ({row})")),
            _ if table == "series" => {
                let test = self.number_test("other.last_value", condition)?;
                format!("other.last_is_nan = 0 AND {test}")
            }
            _ => self.text_test("other.value", condition)?,
        };
        Ok(format!("EXISTS ({row} AND {test})"))
    }

    fn condition(&mut self, condition: &Condition) -> Result<String, Fault> {
        match &condition.field {
            Field::Metric(key) => self.exists("series", key, condition),
            Field::Parameter(key) => self.exists("params", key, condition),
            Field::Tag(key) => self.exists("tags", key, condition),
            Field::AnyMetric => Err(no_field("run", "metrics")),
            Field::Least(key) | Field::Greatest(key) => Err(no_field("condition", key)),
            Field::Dataset(name) => {
                let column = match name.as_str() {
                    "name" | "digest" | "context" => format!("used.{name}"),
                    other => return Err(no_field("dataset", other)),
                };
                let test = self.text_test(&column, condition)?;
                Ok(format!(
                    "EXISTS (SELECT 1 FROM datasets AS used WHERE used.run_id = runs.id AND {test})"
                ))
            }
            Field::Attribute(name) => {
                let (column, is_number) = attribute(name)?;
                if is_number {
                    self.number_test(column, condition)
                } else {
                    self.text_test(column, condition)
                }
            }
        }
    }

    /// The terms of an order: what lacks the field last, then by the field.
    fn order(&mut self, order: &crate::query::Order) -> Result<String, Fault> {
        let direction = if order.ascending { "ASC" } else { "DESC" };
        let (table, key, value) = match &order.field {
            Field::Attribute(name) => {
                let (column, _) = attribute(name)?;
                return Ok(format!("{column} IS NULL, {column} {direction}"));
            }
            Field::Metric(key) => ("series", key, "other.last_value"),
            Field::Least(key) => ("series", key, "other.min_value"),
            Field::Greatest(key) => ("series", key, "other.max_value"),
            Field::Parameter(key) => ("params", key, "other.value"),
            Field::Tag(key) => ("tags", key, "other.value"),
            Field::Dataset(name) => return Err(no_field("order", name)),
            Field::AnyMetric => return Err(no_field("order", "metrics")),
        };
        let key = self.bind(Bind::Text(key.clone()));
        let of = |what: &str| {
            format!(
                "(SELECT {what} FROM {table} AS other WHERE other.run_id = runs.id AND other.key = {key})"
            )
        };
        let sorted = of(value);
        Ok(if value == "other.last_value" {
            let rank = of("CASE WHEN other.last_is_nan = 1 THEN 1 ELSE 0 END");
            format!("coalesce({rank}, 2), {sorted} {direction}")
        } else {
            format!("{sorted} IS NULL, {sorted} {direction}")
        })
    }
}

/// SQLite's pattern for `GLOB`, which tells capitals apart, from one for `LIKE`.
fn glob(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    for one in pattern.chars() {
        match one {
            '%' => out.push('*'),
            '_' => out.push('?'),
            '*' | '?' | '[' => {
                out.push('[');
                out.push(one);
                out.push(']');
            }
            other => out.push(other),
        }
    }
    out
}

fn sign(test: Test) -> Option<&'static str> {
    Some(match test {
        Test::Equal => "=",
        Test::NotEqual => "<>",
        Test::Less => "<",
        Test::LessOrEqual => "<=",
        Test::Greater => ">",
        Test::GreaterOrEqual => ">=",
        _ => return None,
    })
}

fn not_comparable(column: &str, operand: &Operand) -> Fault {
    Fault::Input(format!("`{column}` cannot be compared so with {operand:?}"))
}

fn no_field(of: &str, name: &str) -> Fault {
    Fault::Input(format!("there is no {of} field `{name}`"))
}

/// How a run stands, in the words of MLflow's clients.
const STATUS: &str = "CASE WHEN runs.scheduled = 1 THEN 'SCHEDULED' WHEN runs.status = 'running' THEN 'RUNNING'
    WHEN runs.status = 'finished' THEN 'FINISHED' WHEN runs.status = 'stopped' THEN 'KILLED' ELSE 'FAILED' END";

/// A field of a run as SQL, and whether it is a number. Times are milliseconds, as clients write them.
pub(crate) fn attribute(name: &str) -> Result<(&'static str, bool), Fault> {
    Ok(match name {
        "spent_usd" => (
            "(SELECT sum(amount_micro) / 1e6 FROM spending WHERE run_id = runs.id AND currency = 'USD')",
            true,
        ),
        "duration_s" => (
            "((coalesce(runs.ended_us, runs.seen_us) - runs.started_us) / 1e6)",
            true,
        ),
        "run_id" => ("runs.id", false),
        "run_name" => ("runs.name", false),
        "user_id" => ("runs.who", false),
        "status" => (STATUS, false),
        "artifact_uri" => ("runs.artifact_uri", false),
        "project" => ("runs.project", false),
        "team" => ("runs.team", false),
        "host" => ("runs.host", false),
        "lifecycle_stage" => (
            "CASE WHEN runs.deleted_us IS NULL THEN 'active' ELSE 'deleted' END",
            false,
        ),
        "experiment_id" => ("CAST(runs.experiment_id AS TEXT)", false),
        "start_time" => ("(runs.started_us / 1000)", true),
        "end_time" => ("(runs.ended_us / 1000)", true),
        other => return Err(no_field("run", other)),
    })
}

/// Runs a statement with its binds, in either database.
macro_rules! fetch {
    ($connection:ident, $query:expr, $statement:expr) => {{
        let mut query = $query(sqlx::AssertSqlSafe($statement.text.clone()));
        for bind in &$statement.binds {
            query = match bind {
                crate::search::Bind::Text(text) => query.bind(text),
                crate::search::Bind::Integer(number) => query.bind(number),
                crate::search::Bind::Real(number) => query.bind(number),
            };
        }
        query.fetch_all(&mut *$connection).await?
    }};
}
pub(crate) use fetch;

impl Ledger {
    pub(crate) fn statement(&self, text: impl Into<String>) -> Statement {
        Statement {
            text: text.into(),
            binds: Vec::new(),
            sqlite: matches!(self.store(), Store::Sqlite(_)),
        }
    }

    /// The runs that meet a query, with all that is known of them but the history of their metrics.
    ///
    /// # Errors
    ///
    /// A field that runs do not have, or a ledger that cannot be read.
    pub async fn search_runs(&self, query: &RunQuery) -> Result<Vec<RunDetail>, LedgerError> {
        let runs = self.find_runs(query).await?;
        self.details(runs).await
    }

    /// The runs that meet a query, by themselves.
    ///
    /// # Errors
    ///
    /// A field that runs do not have, or a ledger that cannot be read.
    pub async fn find_runs(&self, query: &RunQuery) -> Result<Vec<Run>, LedgerError> {
        let read = async {
            let statement = self.run_statement(query, RUN_COLUMNS)?;
            let mut runs = Vec::new();
            on!(self.store(), connection => {
                for row in fetch!(connection, sqlx::query, statement) {
                    runs.push(run_of!(row));
                }
            });
            Ok(runs)
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }

    pub(crate) fn run_statement(
        &self,
        query: &RunQuery,
        columns: &str,
    ) -> Result<Statement, Fault> {
        let mut statement = self.statement(String::new());
        let mut text = format!(
            "SELECT {columns} FROM runs WHERE {}",
            which(&mut statement, query)?
        );
        text.push_str(" ORDER BY ");
        for order in &query.order {
            let terms = statement.order(order)?;
            text.push_str(&format!("{terms}, "));
        }
        let (limit, offset) = (query.limit.max(0), query.offset.max(0));
        text.push_str(&format!(
            "runs.started_us DESC, runs.id LIMIT {limit} OFFSET {offset}"
        ));
        statement.text = text;
        Ok(statement)
    }

    /// A run with all that is known of it but the history of its metrics.
    ///
    /// # Errors
    ///
    /// No such run, or a ledger that cannot be read.
    pub async fn run_detail(&self, run_id: &str) -> Result<RunDetail, LedgerError> {
        let read = async {
            let text = format!("SELECT {RUN_COLUMNS} FROM runs WHERE id = $1");
            let mut runs = Vec::new();
            on!(self.store(), connection => {
                for row in sqlx::query(AssertSqlSafe(text)).bind(run_id).fetch_all(&mut *connection).await? {
                    runs.push(run_of!(row));
                }
            });
            if runs.is_empty() {
                return Err(Fault::NoRun(run_id.to_owned()));
            }
            Ok(runs)
        };
        let runs = read.await.map_err(|fault: Fault| self.at(fault))?;
        let mut details = self.details(runs).await?;
        details
            .pop()
            .ok_or_else(|| self.at(Fault::NoRun(run_id.to_owned())))
    }

    /// Refuses a run that is not there.
    ///
    /// # Errors
    ///
    /// No such run, or a ledger that cannot be read.
    pub async fn run_is_there(&self, run_id: &str) -> Result<(), LedgerError> {
        let read = async {
            let row: Option<(i64,)> = on!(self.store(), connection => {
                sqlx::query_as("SELECT started_us FROM runs WHERE id = $1")
                    .bind(run_id).fetch_optional(connection).await?
            });
            row.map(|_| ())
                .ok_or_else(|| Fault::NoRun(run_id.to_owned()))
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }

    /// All that is known of some runs.
    async fn details(&self, runs: Vec<Run>) -> Result<Vec<RunDetail>, LedgerError> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<String> = runs.iter().map(|run| run.id.clone()).collect();
        let mut at: HashMap<String, usize> = HashMap::with_capacity(ids.len());
        let mut details: Vec<RunDetail> = Vec::with_capacity(runs.len());
        for run in runs {
            at.insert(run.id.clone(), details.len());
            details.push(RunDetail {
                run,
                params: Vec::new(),
                tags: Vec::new(),
                metrics: Vec::new(),
                datasets: Vec::new(),
                models: Vec::new(),
            });
        }
        let read = async {
            let (params, tags, metrics, datasets, models) = tokio::try_join!(
                self.labels_of(&ids, "params"),
                self.labels_of(&ids, "tags"),
                self.metrics_of(&ids),
                self.datasets_of(&ids),
                self.models_of(&ids),
            )?;
            for (id, labels) in params {
                details[at[&id]].params = labels;
            }
            for (id, labels) in tags {
                details[at[&id]].tags = labels;
            }
            for (id, metric) in metrics {
                details[at[&id]].metrics.push(metric);
            }
            for dataset in datasets {
                details[at[&dataset.run_id]].datasets.push(dataset);
            }
            for model in models {
                details[at[&model.run_id]].models.push(model);
            }
            Ok(details)
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }

    /// The labels of some runs: one row for each run, since rows are what takes time.
    async fn labels_of(
        &self,
        ids: &[String],
        table: &str,
    ) -> Result<Vec<(String, Vec<(String, String)>)>, Fault> {
        let mut statement = self.statement("");
        let one_of = statement.one_of(ids);
        let list = if statement.sqlite {
            "json_group_array(json_array(key, value))"
        } else {
            "CAST(json_agg(json_build_array(key, value)) AS TEXT)"
        };
        statement.text =
            format!("SELECT run_id, {list} FROM {table} WHERE run_id {one_of} GROUP BY run_id");
        let rows: Vec<(String, String)> = on!(self.store(), connection => {
            fetch!(connection, sqlx::query_as, statement)
        });
        rows.into_iter()
            .map(|(id, list)| {
                let mut labels: Vec<(String, String)> = serde_json::from_str(&list)
                    .map_err(|error| Fault::Damaged(format!("the labels of run {id}: {error}")))?;
                labels.sort_unstable();
                Ok((id, labels))
            })
            .collect()
    }

    async fn metrics_of(&self, ids: &[String]) -> Result<Vec<(String, Metric)>, Fault> {
        type Row = (String, String, i64, i64, f64, i64, Option<f64>, Option<f64>);
        let mut statement = self.statement("");
        let one_of = statement.one_of(ids);
        statement.text = format!(
            "SELECT run_id, key, last_step, last_at_us, last_value, last_is_nan, min_value, max_value FROM series
             WHERE run_id {one_of} AND last_step IS NOT NULL ORDER BY run_id, key"
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

    async fn datasets_of(&self, ids: &[String]) -> Result<Vec<Dataset>, Fault> {
        let mut statement = self.statement("");
        let one_of = statement.one_of(ids);
        statement.text = format!(
            "SELECT run_id, name, digest, context, source, source_type, schema, profile, tags, added_us FROM datasets
             WHERE run_id {one_of} ORDER BY run_id, added_us, name, digest, context"
        );
        let rows: Vec<DatasetRow> = on!(self.store(), connection => {
            fetch!(connection, sqlx::query_as, statement)
        });
        Ok(rows.into_iter().map(dataset_of).collect())
    }

    async fn models_of(&self, ids: &[String]) -> Result<Vec<RunModel>, Fault> {
        let mut statement = self.statement("");
        let one_of = statement.one_of(ids);
        statement.text = format!(
            "SELECT run_id, model_id, is_output, step FROM run_models WHERE run_id {one_of}
             ORDER BY run_id, is_output, step, model_id"
        );
        let rows: Vec<(String, String, i64, i64)> = on!(self.store(), connection => {
            fetch!(connection, sqlx::query_as, statement)
        });
        let model = |(run_id, model_id, is_output, step)| RunModel {
            run_id,
            model_id,
            is_output: is_output == 1,
            step,
        };
        Ok(rows.into_iter().map(model).collect())
    }

    /// The values that runs measured of some models, by model, name, time and step.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn model_points(&self, model_ids: &[String]) -> Result<Vec<ModelPoint>, LedgerError> {
        type Row = (String, String, String, i64, i64, f64, i64, String, String);
        let read = async {
            let mut statement = self.statement("");
            let one_of = statement.one_of(model_ids);
            statement.text = format!(
                "SELECT model_id, run_id, key, step, at_us, value, is_nan, dataset_name, dataset_digest
                 FROM model_points WHERE model_id {one_of} ORDER BY model_id, key, at_us, step"
            );
            let rows: Vec<Row> = on!(self.store(), connection => {
                fetch!(connection, sqlx::query_as, statement)
            });
            let of = |row: Row| {
                let (
                    model_id,
                    run_id,
                    key,
                    step,
                    at_us,
                    value,
                    is_nan,
                    dataset_name,
                    dataset_digest,
                ) = row;
                ModelPoint {
                    model_id,
                    run_id,
                    key,
                    point: point(step, at_us, value, is_nan),
                    dataset_name,
                    dataset_digest,
                }
            };
            Ok(rows.into_iter().map(of).collect())
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }

    /// The points of a metric in the order in which they were measured: by time, then step, then value.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn history(
        &self,
        run_id: &str,
        key: &str,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<Point>, LedgerError> {
        if offset == 0 && limit == i64::MAX {
            // All of them: the order of the table is mostly this one already, and the database would sort from nothing.
            let mut points = self.points(run_id, key).await?;
            points.sort_by(|one, other| {
                let by_time = (one.at_us, one.step).cmp(&(other.at_us, other.step));
                by_time.then(stored(one.value).0.total_cmp(&stored(other.value).0))
            });
            return Ok(points);
        }
        let read = async {
            let rows: Vec<(i64, i64, f64, i64)> = on!(self.store(), connection => {
                sqlx::query_as(
                    "SELECT step, at_us, value, is_nan FROM points
                     WHERE series_id = (SELECT id FROM series WHERE run_id = $1 AND key = $2)
                     ORDER BY at_us, step, value LIMIT $3 OFFSET $4",
                ).bind(run_id).bind(key).bind(limit).bind(offset).fetch_all(connection).await?
            });
            let of = |(step, at_us, value, is_nan)| point(step, at_us, value, is_nan);
            Ok(rows.into_iter().map(of).collect())
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }
}

/// What must hold of the runs that a query asks for.
pub(crate) fn which(statement: &mut Statement, query: &RunQuery) -> Result<String, Fault> {
    let mut text = "1 = 1".to_owned();
    if let Some(ids) = &query.experiment_ids {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        text.push_str(&format!(
            " AND runs.experiment_id IN ({})",
            join_or(&ids, "NULL")
        ));
    }
    match query.view {
        View::Active => text.push_str(" AND runs.deleted_us IS NULL"),
        View::Deleted => text.push_str(" AND runs.deleted_us IS NOT NULL"),
        View::All => {}
    }
    for condition in &query.conditions {
        let test = statement.condition(condition)?;
        text.push_str(&format!(" AND {test}"));
    }
    Ok(text)
}

pub(crate) fn point(step: i64, at_us: i64, value: f64, is_nan: i64) -> Point {
    Point {
        step,
        at_us,
        value: if is_nan == 1 { f64::NAN } else { value },
    }
}

fn join_or(parts: &[String], none: &str) -> String {
    if parts.is_empty() {
        none.to_owned()
    } else {
        parts.join(", ")
    }
}
