//! Writing a batch, within one transaction.

use std::collections::HashMap;
use std::sync::LazyLock;

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, PgConnection, Sqlite, SqliteConnection};

use crate::canonical::canonical;
use crate::drawer::Drawer;
use crate::error::Fault;
use crate::merkle::{Tree, leaf_hash};
use crate::note::{Checkpoint, SignKey};
use crate::record::{
    Artifact, Batch, Dataset, Document, Evidence, Label, ModelPoint, Point, Run, RunChange,
    RunModel, Series,
};

/// Rows in one statement: enough that its overhead does not count, few enough for SQLite's 32,766 parameters.
const ROWS: usize = 2000;

/// Who signs the tree, with what.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The key.
    pub key: SignKey,
    /// Whose it is, as the ledger shows it.
    pub who: String,
}

/// Numbers of series that are known, by run and key.
pub(crate) type SeriesIds = HashMap<(String, String), i64>;

/// PostgreSQL refuses it within texts, and a record must mean the same in both.
fn without_nul<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<(), Fault> {
    for text in texts {
        if text.contains('\0') {
            return Err(Fault::Input(format!(
                "a text holds a character of value zero: {:?}",
                text.chars().take(40).collect::<String>()
            )));
        }
    }
    Ok(())
}

/// Refuses what one of the databases could not keep.
pub(crate) fn check(batch: &Batch) -> Result<(), Fault> {
    for run in &batch.runs {
        let of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(1..=256).contains(&run.id.len())
            || !run.id.bytes().all(of_name)
            || !run.id.as_bytes()[0].is_ascii_alphanumeric()
        {
            return Err(Fault::Input(format!(
                "a run's id is `{}`; allowed: up to 256 letters, digits, `_` and `-`, a letter or digit first",
                run.id
            )));
        }
        without_nul([run.artifact_uri.as_str()])?;
        without_nul([&run.name, &run.project, &run.team, &run.who, &run.host].map(String::as_str))?;
        without_nul(run.command.iter().map(String::as_str))?;
    }
    for label in batch.params.iter().chain(&batch.tags) {
        without_nul([&label.key, &label.value].map(String::as_str))?;
        if label.key.is_empty() {
            return Err(Fault::Input("a parameter or tag has no name".to_owned()));
        }
    }
    for series in &batch.series {
        without_nul([series.key.as_str()])?;
        if series.key.is_empty() {
            return Err(Fault::Input("a metric has no name".to_owned()));
        }
    }
    for dataset in &batch.datasets {
        without_nul(
            [
                &dataset.name,
                &dataset.digest,
                &dataset.context,
                &dataset.source,
                &dataset.source_type,
            ]
            .map(String::as_str),
        )?;
        without_nul(
            dataset
                .schema
                .iter()
                .chain(&dataset.profile)
                .map(String::as_str),
        )?;
        without_nul(
            dataset
                .tags
                .iter()
                .flat_map(|(key, value)| [key.as_str(), value.as_str()]),
        )?;
    }
    for artifact in &batch.artifacts {
        without_nul([&artifact.path, &artifact.uri, &artifact.sha256].map(String::as_str))?;
    }
    for entry in &batch.spending {
        without_nul(
            [
                &entry.entry,
                &entry.project,
                &entry.team,
                &entry.kind,
                &entry.note,
            ]
            .map(String::as_str),
        )?;
        currency(&entry.currency)?;
        if entry.to_us < entry.from_us {
            return Err(Fault::Input(format!(
                "spending entry `{}` ends before it begins",
                entry.entry
            )));
        }
    }
    for budget in &batch.budgets {
        without_nul([&budget.name, &budget.project, &budget.team].map(String::as_str))?;
        currency(&budget.currency)?;
        if budget.name.is_empty() || budget.limit_micro.0 <= 0 {
            return Err(Fault::Input(
                "a budget has a name and a limit above zero".to_owned(),
            ));
        }
    }
    for change in &batch.changes {
        without_nul(change.name.as_deref())?;
    }
    for model in &batch.run_models {
        without_nul([model.model_id.as_str()])?;
    }
    for point in &batch.model_points {
        without_nul(
            [
                &point.model_id,
                &point.key,
                &point.dataset_name,
                &point.dataset_digest,
            ]
            .map(String::as_str),
        )?;
    }
    for evidence in &batch.evidence {
        without_nul([&evidence.kind, &evidence.subject, &evidence.who].map(String::as_str))?;
    }
    Ok(())
}

fn currency(code: &str) -> Result<(), Fault> {
    if code.len() == 3 && code.bytes().all(|letter| letter.is_ascii_uppercase()) {
        Ok(())
    } else {
        Err(Fault::Input(format!(
            "a currency is `{code}`; allowed: a code of three capital letters, such as USD"
        )))
    }
}

/// A point's value as it is stored: a number that SQLite keeps, and whether it stands for not-a-number.
pub(crate) fn stored(value: f64) -> (f64, i64) {
    if value.is_nan() { (0.0, 1) } else { (value, 0) }
}

/// A point with its series' number.
type Row = (i64, Point);

/// What a series' row says of its points: the newest of some, and their range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Newest {
    pub id: i64,
    pub last: Point,
    pub range: Option<(f64, f64)>,
}

/// What some points of one series say of it.
pub(crate) fn newest(id: i64, points: &[Point]) -> Option<Newest> {
    let of_one = |point: &Point| Newest {
        id,
        last: *point,
        range: (!point.value.is_nan()).then_some((point.value, point.value)),
    };
    points.iter().map(of_one).reduce(merged)
}

/// What two lots of points of one series say of it.
pub(crate) fn merged(one: Newest, other: Newest) -> Newest {
    let order = |of: &Newest| (of.last.step, of.last.at_us, stored(of.last.value).0);
    Newest {
        id: one.id,
        last: if order(&other) > order(&one) {
            other.last
        } else {
            one.last
        },
        range: match (one.range, other.range) {
            (Some((low, high)), Some((also_low, also_high))) => {
                Some((low.min(also_low), high.max(also_high)))
            }
            (range, other) => range.or(other),
        },
    }
}

/// What a row `new` changes of its series' newest value and range, for SQLite.
pub(crate) static SET_NEWEST: LazyLock<String> = LazyLock::new(|| {
    let is_newer = "(last_step IS NULL OR (last_step, last_at_us, last_value) < (new.step, new.at_us, new.value))";
    format!(
        "UPDATE series SET
             last_step = iif({is_newer}, new.step, last_step),
             last_at_us = iif({is_newer}, new.at_us, last_at_us),
             last_value = iif({is_newer}, new.value, last_value),
             last_is_nan = iif({is_newer}, new.is_nan, last_is_nan),
             min_value = iif(min_value IS NULL OR new.low < min_value, coalesce(new.low, min_value), min_value),
             max_value = iif(max_value IS NULL OR new.high > max_value, coalesce(new.high, max_value), max_value)"
    )
});

/// The same for so many series in one statement.
static NEWEST_TEXTS: LazyLock<[String; 5]> = LazyLock::new(|| {
    STATEMENT_ROWS.map(|n_rows| {
        let values = vec!["(?, ?, ?, ?, ?, ?, ?)"; n_rows].join(", ");
        format!(
            "WITH new (id, step, at_us, value, is_nan, low, high) AS (VALUES {values})
             {} FROM new WHERE series.id = new.id",
            *SET_NEWEST
        )
    })
});

type SqliteQuery<'a> = Query<'a, Sqlite, SqliteArguments>;

/// Binds a point's row.
pub(crate) fn bound_point<'a>(query: SqliteQuery<'a>, id: i64, point: &Point) -> SqliteQuery<'a> {
    let (value, is_nan) = stored(point.value);
    query
        .bind(id)
        .bind(point.step)
        .bind(point.at_us)
        .bind(value)
        .bind(is_nan)
}

/// Binds what some points say of their series.
pub(crate) fn bound_newest<'a>(query: SqliteQuery<'a>, one: &Newest) -> SqliteQuery<'a> {
    bound_point(query, one.id, &one.last)
        .bind(one.range.map(|(low, _)| low))
        .bind(one.range.map(|(_, high)| high))
}

async fn update_newest_sqlite(
    connection: &mut SqliteConnection,
    all: &[Newest],
) -> Result<(), Fault> {
    let mut left = all;
    for (n_rows, text) in STATEMENT_ROWS.iter().zip(&*NEWEST_TEXTS) {
        while let Some((rows, rest)) = left.split_at_checked(*n_rows) {
            left = rest;
            let mut query = sqlx::query(text.as_str());
            for one in rows {
                query = bound_newest(query, one);
            }
            query.execute(&mut *connection).await?;
        }
    }
    Ok(())
}

async fn update_newest_postgres(
    connection: &mut PgConnection,
    all: &[Newest],
) -> Result<(), Fault> {
    for rows in all.chunks(20 * ROWS) {
        let (values, nans): (Vec<f64>, Vec<i64>) =
            rows.iter().map(|one| stored(one.last.value)).unzip();
        sqlx::query(
            "WITH new AS (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::float8[], $5::bigint[],
                 $6::float8[], $7::float8[]) AS new (id, step, at_us, value, is_nan, low, high)),
             last AS (UPDATE series SET last_step = new.step, last_at_us = new.at_us, last_value = new.value,
                     last_is_nan = new.is_nan, min_value = least(min_value, new.low), max_value = greatest(max_value, new.high)
                 FROM new WHERE series.id = new.id AND (last_step IS NULL
                     OR (last_step, last_at_us, last_value) < (new.step, new.at_us, new.value))
                 RETURNING series.id)
             UPDATE series SET min_value = least(min_value, new.low), max_value = greatest(max_value, new.high)
                 FROM new WHERE series.id = new.id AND series.id NOT IN (SELECT id FROM last)",
        )
        .bind(rows.iter().map(|one| one.id).collect::<Vec<_>>())
        .bind(rows.iter().map(|one| one.last.step).collect::<Vec<_>>())
        .bind(rows.iter().map(|one| one.last.at_us).collect::<Vec<_>>())
        .bind(values)
        .bind(nans)
        .bind(rows.iter().map(|one| one.range.map(|(low, _)| low)).collect::<Vec<_>>())
        .bind(rows.iter().map(|one| one.range.map(|(_, high)| high)).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Rows that go into one statement: as many of the first as there are, then of the next. Few texts, so that SQLite, which takes
/// longer to read a statement than to insert its rows, keeps them all as read.
const STATEMENT_ROWS: [usize; 5] = [ROWS, 500, 100, 10, 1];

/// The statements for so many points.
static POINT_TEXTS: LazyLock<[String; 5]> = LazyLock::new(|| {
    STATEMENT_ROWS.map(|n_rows| {
        let values = vec!["(?, ?, ?, ?, ?)"; n_rows].join(", ");
        format!(
            "INSERT INTO points (series_id, step, at_us, value, is_nan) VALUES {values} ON CONFLICT DO NOTHING"
        )
    })
});

async fn insert_points_sqlite(
    connection: &mut SqliteConnection,
    points: &[Row],
) -> Result<(), Fault> {
    let mut left = points;
    for (n_rows, text) in STATEMENT_ROWS.iter().zip(&*POINT_TEXTS) {
        while let Some((rows, rest)) = left.split_at_checked(*n_rows) {
            left = rest;
            let mut query = sqlx::query(text.as_str());
            for (id, point) in rows {
                query = bound_point(query, *id, point);
            }
            query.execute(&mut *connection).await?;
        }
    }
    Ok(())
}

async fn insert_points_postgres(
    connection: &mut PgConnection,
    points: &[Row],
) -> Result<(), Fault> {
    for rows in points.chunks(20 * ROWS) {
        let ids: Vec<i64> = rows.iter().map(|(id, _)| *id).collect();
        let steps: Vec<i64> = rows.iter().map(|(_, point)| point.step).collect();
        let times: Vec<i64> = rows.iter().map(|(_, point)| point.at_us).collect();
        let (values, nans): (Vec<f64>, Vec<i64>) =
            rows.iter().map(|(_, point)| stored(point.value)).unzip();
        sqlx::query(
            "INSERT INTO points (series_id, step, at_us, value, is_nan)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::float8[], $5::bigint[])
             ON CONFLICT DO NOTHING",
        )
        .bind(ids)
        .bind(steps)
        .bind(times)
        .bind(values)
        .bind(nans)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// SQLite has one writer at a time.
async fn lock_shelf_sqlite(_: &mut SqliteConnection, _: &str, _: &str) -> Result<(), Fault> {
    Ok(())
}

async fn lock_shelf_postgres(
    connection: &mut PgConnection,
    kind: &str,
    shelf: &str,
) -> Result<(), Fault> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext($1), hashtext($2))")
        .bind(format!("outlay {kind}"))
        .bind(shelf)
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// What several batches hold of one kind, in the order of its key, and otherwise as it came.
///
/// Every writer takes its rows in the same order, so that no two of them ever wait for each other (PostgreSQL would end one of them).
fn sorted<'a, T, K: Ord>(
    batches: &[&'a Batch],
    of: impl Fn(&'a Batch) -> &'a [T],
    key: impl Fn(&'a T) -> K,
) -> Vec<&'a T> {
    let mut all: Vec<&T> = batches.iter().flat_map(|batch| of(batch)).collect();
    all.sort_by_cached_key(|one| key(one));
    all
}

/// The statements are the same in both databases; their types in Rust are not.
macro_rules! for_both {
    ($($item:item)*) => {
        pub(crate) mod sqlite {
            use super::*;
            use super::insert_points_sqlite as insert_points;
            use super::lock_shelf_sqlite as lock_shelf;
            use super::update_newest_sqlite as update_newest;
            use crate::store::places_sqlite as places;
            type Connection = SqliteConnection;
            $($item)*
        }
        pub(crate) mod postgres {
            use super::*;
            use super::insert_points_postgres as insert_points;
            use super::lock_shelf_postgres as lock_shelf;
            use super::update_newest_postgres as update_newest;
            use crate::store::places_postgres as places;
            type Connection = PgConnection;
            $($item)*
        }
    };
}

for_both! {

/// Writes everything of some batches.
pub(crate) async fn apply(
    connection: &mut Connection,
    batches: &[&Batch],
    ids: &mut SeriesIds,
    signer: Option<&Signer>,
) -> Result<(), Fault> {
    for run in sorted(batches, |batch| &batch.runs, |run| run.id.as_str()) {
        insert_run(connection, run).await?;
    }
    let mut active: Vec<&str> = batches.iter().flat_map(|batch| &batch.active).map(String::as_str).collect();
    active.sort_unstable();
    active.dedup();
    for id in active {
        must_be_active(connection, id).await?;
    }
    for change in sorted(batches, |batch| &batch.changes, |change| change.id.as_str()) {
        change_run(connection, change).await?;
    }
    for (experiment_id, deleted_us) in sorted(batches, |batch| &batch.put_away, |one| *one) {
        sqlx::query("UPDATE runs SET deleted_us = $2 WHERE experiment_id = $1")
            .bind(experiment_id).bind(deleted_us)
            .execute(&mut *connection).await?;
    }
    let label_key = |label: &'_ Label| (label.run_id.clone(), label.key.clone());
    for label in sorted(batches, |batch| &batch.params, label_key) {
        set_param(connection, label).await?;
    }
    for label in sorted(batches, |batch| &batch.tags, label_key) {
        set_tag(connection, label).await?;
    }
    for (run_id, key) in sorted(batches, |batch| &batch.removed_tags, |one| (*one).clone()) {
        let removed = sqlx::query("DELETE FROM tags WHERE run_id = $1 AND key = $2")
            .bind(run_id).bind(key)
            .execute(&mut *connection).await?;
        if removed.rows_affected() == 0 {
            return Err(Fault::Missing(format!("No tag with name: {key} in run with id {run_id}")));
        }
    }
    insert_series(connection, batches, ids).await?;
    let dataset_key = |dataset: &'_ Dataset| {
        (dataset.run_id.clone(), dataset.name.clone(), dataset.digest.clone(), dataset.context.clone())
    };
    for dataset in sorted(batches, |batch| &batch.datasets, dataset_key) {
        sqlx::query(
            "INSERT INTO datasets (run_id, name, digest, context, source, source_type, schema, profile, tags, added_us)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
        )
        .bind(&dataset.run_id).bind(&dataset.name).bind(&dataset.digest)
        .bind(&dataset.context).bind(&dataset.source).bind(&dataset.source_type)
        .bind(&dataset.schema).bind(&dataset.profile)
        .bind(serde_json::to_string(&dataset.tags).unwrap_or_default()).bind(dataset.added_us)
        .execute(&mut *connection).await?;
    }
    let model_key = |model: &'_ RunModel| (model.run_id.clone(), model.model_id.clone(), model.is_output, model.step);
    for model in sorted(batches, |batch| &batch.run_models, model_key) {
        sqlx::query(
            "INSERT INTO run_models (run_id, model_id, is_output, step) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        )
        .bind(&model.run_id).bind(&model.model_id).bind(i64::from(model.is_output)).bind(model.step)
        .execute(&mut *connection).await?;
    }
    let point_key = |of: &'_ ModelPoint| (of.model_id.clone(), of.key.clone(), of.point.at_us, of.point.step, of.run_id.clone());
    for of in sorted(batches, |batch| &batch.model_points, point_key) {
        let (value, is_nan) = stored(of.point.value);
        sqlx::query(
            "INSERT INTO model_points (model_id, key, at_us, step, run_id, value, is_nan, dataset_name, dataset_digest)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        )
        .bind(&of.model_id).bind(&of.key).bind(of.point.at_us).bind(of.point.step).bind(&of.run_id)
        .bind(value).bind(is_nan).bind(&of.dataset_name).bind(&of.dataset_digest)
        .execute(&mut *connection).await?;
    }
    let artifact_key = |artifact: &'_ Artifact| (artifact.run_id.clone(), artifact.path.clone());
    for artifact in sorted(batches, |batch| &batch.artifacts, artifact_key) {
        sqlx::query(
            "INSERT INTO artifacts (run_id, path, uri, bytes, sha256, added_us)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (run_id, path) DO UPDATE SET uri = excluded.uri, bytes = excluded.bytes,
                 sha256 = excluded.sha256, added_us = excluded.added_us",
        )
        .bind(&artifact.run_id).bind(&artifact.path).bind(&artifact.uri).bind(artifact.bytes)
        .bind(&artifact.sha256).bind(artifact.added_us)
        .execute(&mut *connection).await?;
    }
    for entry in sorted(batches, |batch| &batch.spending, |entry| entry.entry.as_str()) {
        sqlx::query(
            "INSERT INTO spending (entry, run_id, project, team, kind, from_us, to_us, amount_micro,
                 currency, quality, note)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (entry) DO NOTHING",
        )
        .bind(&entry.entry).bind(&entry.run_id).bind(&entry.project).bind(&entry.team)
        .bind(&entry.kind).bind(entry.from_us).bind(entry.to_us).bind(entry.amount_micro.0)
        .bind(&entry.currency).bind(&entry.quality).bind(&entry.note)
        .execute(&mut *connection).await?;
    }
    for budget in sorted(batches, |batch| &batch.budgets, |budget| budget.name.as_str()) {
        let warn_at = format!("{:?}", budget.warn_at_percent);
        sqlx::query(
            "INSERT INTO budgets (name, project, team, period, limit_micro, currency, warn_at, set_us)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (name) DO UPDATE SET project = excluded.project, team = excluded.team,
                 period = excluded.period, limit_micro = excluded.limit_micro,
                 currency = excluded.currency, warn_at = excluded.warn_at, set_us = excluded.set_us",
        )
        .bind(&budget.name).bind(&budget.project).bind(&budget.team).bind(budget.period.name())
        .bind(budget.limit_micro.0).bind(&budget.currency).bind(warn_at).bind(budget.set_us)
        .execute(&mut *connection).await?;
    }
    let evidence: Vec<&Evidence> = batches.iter().flat_map(|batch| &batch.evidence).collect();
    if !evidence.is_empty() {
        append_evidence(connection, &evidence, signer).await?;
    }
    Ok(())
}

/// Writes the points of some batches, all together: a thousand calls with a point each cost little more than one with a thousand.
async fn insert_series(
    connection: &mut Connection,
    batches: &[&Batch],
    ids: &mut SeriesIds,
) -> Result<(), Fault> {
    let key = |series: &'_ Series| (series.run_id.clone(), series.key.clone());
    let all = sorted(batches, |batch| &batch.series, key);
    let mut points: Vec<Row> = Vec::with_capacity(all.iter().map(|series| series.points.len()).sum());
    let mut all_newest: Vec<Newest> = Vec::with_capacity(all.len());
    for series in all {
        let known = (series.run_id.clone(), series.key.clone());
        let id = match ids.get(&known) {
            Some(id) => *id,
            None => {
                let id = series_id(connection, series).await?;
                ids.insert(known, id);
                id
            }
        };
        points.extend(series.points.iter().map(|point| (id, *point)));
        all_newest.extend(newest(id, &series.points));
    }
    // Series of one metric lie side by side; a database that is told of a row once is told of all.
    all_newest.dedup_by(|next, kept| next.id == kept.id && {
        *kept = merged(*kept, *next);
        true
    });
    // In the order of the table, where most of them then lie side by side.
    points.sort_by_key(|(id, point)| (*id, point.step, point.at_us));
    insert_points(connection, &points).await?;
    update_newest(connection, &all_newest).await
}

/// Takes shelves out, has them changed, and writes what was changed.
pub(crate) async fn edit(
    connection: &mut Connection,
    shelves: &[(&'static str, String)],
    change: impl FnOnce(&mut Drawer) -> Result<(), Fault>,
    more: Option<tokio::sync::mpsc::Receiver<Option<Batch>>>,
    ids: &mut SeriesIds,
    signer: Option<&Signer>,
) -> Result<(), Fault> {
    let mut there = Vec::new();
    for (kind, shelf) in shelves {
        // PostgreSQL lets others write at the same time: those who change one shelf take turns.
        lock_shelf(connection, kind, shelf).await?;
        let rows: Vec<(String, String, String, String)> =
            sqlx::query_as("SELECT kind, shelf, id, body FROM documents WHERE kind = $1 AND shelf = $2")
                .bind(*kind).bind(shelf)
                .fetch_all(&mut *connection).await?;
        there.extend(rows.into_iter().map(|(kind, shelf, id, body)| Document { kind, shelf, id, body }));
    }
    let mut drawer = Drawer::new(there);
    change(&mut drawer)?;
    let (changed, also) = drawer.into_changes();
    check(&also)?;
    for ((kind, shelf, id), body) in changed {
        without_nul([kind.as_str(), shelf.as_str(), id.as_str()])?;
        let query = match &body {
            Some(body) if body.contains("\\u0000") => {
                return Err(Fault::Input("a text holds a character of value zero".to_owned()));
            }
            Some(body) => sqlx::query(
                "INSERT INTO documents (kind, shelf, id, body) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (kind, shelf, id) DO UPDATE SET body = excluded.body",
            ).bind(kind).bind(shelf).bind(id).bind(body),
            None => sqlx::query("DELETE FROM documents WHERE kind = $1 AND shelf = $2 AND id = $3")
                .bind(kind).bind(shelf).bind(id),
        };
        query.execute(&mut *connection).await?;
    }
    apply(connection, &[&also], ids, signer).await?;
    let Some(mut more) = more else {
        return Ok(());
    };
    while let Some(next) = more.recv().await {
        let Some(batch) = next else {
            return Ok(());
        };
        check(&batch)?;
        apply(connection, &[&batch], ids, signer).await?;
    }
    Err(Fault::Input("what was to be written together broke off before its end".to_owned()))
}

/// Refuses a run that is not there, or is put away.
async fn must_be_active(connection: &mut Connection, id: &str) -> Result<(), Fault> {
    let found: Option<(Option<i64>,)> = sqlx::query_as("SELECT deleted_us FROM runs WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut *connection).await?;
    match found {
        Some((None,)) => Ok(()),
        Some((Some(_),)) => Err(Fault::PutAway(id.to_owned())),
        None => Err(Fault::NoRun(id.to_owned())),
    }
}

/// The number of a series, which is made where it is absent.
async fn series_id(connection: &mut Connection, series: &Series) -> Result<i64, Fault> {
    let mut id: Option<(i64,)> = None;
    // Made by someone else between the two statements, it is there at the second look.
    for _ in 0..2 {
        id = sqlx::query_as("SELECT id FROM series WHERE run_id = $1 AND key = $2")
            .bind(&series.run_id).bind(&series.key)
            .fetch_optional(&mut *connection).await?;
        if id.is_none() {
            id = sqlx::query_as(
                "INSERT INTO series (run_id, key) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id",
            )
            .bind(&series.run_id).bind(&series.key)
            .fetch_optional(&mut *connection).await?;
        }
        if id.is_some() {
            break;
        }
    }
    id.map(|(id,)| id)
        .ok_or_else(|| Fault::Database(format!("metric `{}` of run {} cannot be made", series.key, series.run_id)))
}

async fn set_param(connection: &mut Connection, label: &Label) -> Result<(), Fault> {
    // Set once: the value that is there comes back, and must be the same.
    let there: (String,) = sqlx::query_as(
        "INSERT INTO params (run_id, key, value) VALUES ($1, $2, $3)
         ON CONFLICT (run_id, key) DO UPDATE SET value = params.value RETURNING value",
    )
    .bind(&label.run_id).bind(&label.key).bind(&label.value)
    .fetch_one(&mut *connection).await?;
    if there.0 != label.value {
        return Err(Fault::ParamSet {
            run_id: label.run_id.clone(),
            key: label.key.clone(),
            there: there.0,
            given: label.value.clone(),
        });
    }
    Ok(())
}

async fn insert_run(connection: &mut Connection, run: &Run) -> Result<(), Fault> {
    let command = serde_json::to_string(&run.command).unwrap_or_default();
    let (status, scheduled) = run.status.stored();
    sqlx::query(
        "INSERT INTO runs (id, name, project, team, who, host, command, status, started_us, seen_us,
             ended_us, exit_code, state, summary, experiment_id, artifact_uri, scheduled, deleted_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(&run.id).bind(&run.name).bind(&run.project).bind(&run.team).bind(&run.who)
    .bind(&run.host).bind(command).bind(status).bind(run.started_us)
    .bind(run.seen_us).bind(run.ended_us).bind(run.exit_code)
    .bind(run.state.to_string()).bind(run.summary.as_ref().map(ToString::to_string))
    .bind(run.experiment_id).bind(&run.artifact_uri).bind(scheduled).bind(run.deleted_us)
    .execute(&mut *connection).await?;
    Ok(())
}

async fn change_run(connection: &mut Connection, change: &RunChange) -> Result<(), Fault> {
    let stored = change.status.map(crate::record::RunStatus::stored);
    let changed = sqlx::query(
        "UPDATE runs SET status = coalesce($2, status), seen_us = coalesce($3, seen_us),
             ended_us = coalesce($4, ended_us), exit_code = coalesce($5, exit_code),
             state = coalesce($6, state), summary = coalesce($7, summary), name = coalesce($8, name),
             scheduled = coalesce($9, scheduled),
             deleted_us = CASE WHEN $10 = 1 THEN $11 ELSE deleted_us END
         WHERE id = $1",
    )
    .bind(&change.id).bind(stored.map(|(status, _)| status))
    .bind(change.seen_us).bind(change.ended_us).bind(change.exit_code)
    .bind(change.state.as_ref().map(ToString::to_string))
    .bind(change.summary.as_ref().map(ToString::to_string))
    .bind(&change.name).bind(stored.map(|(_, scheduled)| scheduled))
    .bind(i64::from(change.deleted_us.is_some())).bind(change.deleted_us.flatten())
    .execute(&mut *connection).await?;
    if changed.rows_affected() == 0 {
        return Err(Fault::NoRun(change.id.clone()));
    }
    Ok(())
}

async fn set_tag(connection: &mut Connection, label: &Label) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO tags (run_id, key, value) VALUES ($1, $2, $3)
         ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value",
    )
    .bind(&label.run_id).bind(&label.key).bind(&label.value)
    .execute(&mut *connection).await?;
    Ok(())
}

/// Adds leaves to the tree and signs it. The tree's row is held from the first statement, so that writers take turns.
async fn append_evidence(
    connection: &mut Connection,
    evidence: &[&Evidence],
    signer: Option<&Signer>,
) -> Result<(), Fault> {
    let signer = signer.ok_or(Fault::NoKey)?;
    let (origin, size, edge): (String, i64, Vec<u8>) = sqlx::query_as(
        "UPDATE ledger SET size = size WHERE only_row = 1 RETURNING origin, size, edge",
    )
    .fetch_one(&mut *connection).await?;
    let mut tree = u64::try_from(size).ok()
        .and_then(|size| Tree::from_edge(size, &edge))
        .ok_or_else(|| Fault::Damaged("the edge of the evidence's tree does not fit its size".to_owned()))?;
    for rows in evidence.chunks(ROWS) {
        let mut records = Vec::with_capacity(rows.len());
        for evidence in rows {
            let record = canonical(&evidence.record())?;
            if record.contains("\\u0000") {
                return Err(Fault::Input("a record holds a character of value zero".to_owned()));
            }
            let leaf = leaf_hash(record.as_bytes());
            records.push((tree.size() as i64, record, leaf.to_vec()));
            tree.push(leaf);
        }
        let text = format!(
            "INSERT INTO evidence (position, kind, subject, recorded_us, who, record, leaf) VALUES {}",
            places(rows.len(), 7)
        );
        let mut query = sqlx::query(AssertSqlSafe(text)).persistent(false);
        for (evidence, (position, record, leaf)) in rows.iter().zip(records) {
            query = query.bind(position).bind(&evidence.kind).bind(&evidence.subject)
                .bind(evidence.recorded_us).bind(&evidence.who).bind(record).bind(leaf);
        }
        query.execute(&mut *connection).await?;
    }
    let checkpoint = Checkpoint { origin, size: tree.size(), root: tree.root() };
    sqlx::query("UPDATE ledger SET size = $1, edge = $2, checkpoint = $3 WHERE only_row = 1")
        .bind(tree.size() as i64).bind(tree.edge_bytes()).bind(checkpoint.sign(&signer.key))
        .execute(&mut *connection).await?;
    let since_us = evidence.last().map_or(0, |evidence| evidence.recorded_us);
    sqlx::query(
        "INSERT INTO signers (verify_key, who, since_us) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(signer.key.verifier().to_text()).bind(&signer.who).bind(since_us)
    .execute(&mut *connection).await?;
    Ok(())
}

}
