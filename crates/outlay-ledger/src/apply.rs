//! Writing a batch, within one transaction.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, PgConnection, QueryBuilder, Sqlite, SqliteConnection};

use crate::canonical::canonical;
use crate::error::Fault;
use crate::merkle::{Tree, leaf_hash};
use crate::note::{Checkpoint, SignKey};
use crate::record::{Artifact, Batch, Dataset, Evidence, Label, Point, Run, RunChange, Series};

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
        if run.id.len() != 32 || !run.id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Fault::Input(format!(
                "a run's id is `{}`; allowed: 32 hexadecimal digits",
                run.id
            )));
        }
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
            ]
            .map(String::as_str),
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
fn stored(value: f64) -> (f64, i64) {
    if value.is_nan() { (0.0, 1) } else { (value, 0) }
}

/// A point with its series' number.
type Row = (i64, Point);

async fn insert_points_sqlite(
    connection: &mut SqliteConnection,
    points: &[Row],
) -> Result<(), Fault> {
    for rows in points.chunks(ROWS) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO points (series_id, step, at_us, value, is_nan) ",
        );
        query.push_values(rows, |mut row, (id, point)| {
            let (value, is_nan) = stored(point.value);
            row.push_bind(*id)
                .push_bind(point.step)
                .push_bind(point.at_us)
                .push_bind(value)
                .push_bind(is_nan);
        });
        query.push(" ON CONFLICT DO NOTHING");
        // Only whole chunks come again with the same text.
        query
            .build()
            .persistent(rows.len() == ROWS)
            .execute(&mut *connection)
            .await?;
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
            use crate::store::places_sqlite as places;
            type Connection = SqliteConnection;
            $($item)*
        }
        pub(crate) mod postgres {
            use super::*;
            use super::insert_points_postgres as insert_points;
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
    for change in sorted(batches, |batch| &batch.changes, |change| change.id.as_str()) {
        change_run(connection, change).await?;
    }
    let label_key = |label: &'_ Label| (label.run_id.clone(), label.key.clone());
    for label in sorted(batches, |batch| &batch.params, label_key) {
        set_param(connection, label).await?;
    }
    for label in sorted(batches, |batch| &batch.tags, label_key) {
        set_tag(connection, label).await?;
    }
    insert_series(connection, batches, ids).await?;
    let dataset_key = |dataset: &'_ Dataset| {
        (dataset.run_id.clone(), dataset.name.clone(), dataset.digest.clone(), dataset.context.clone())
    };
    for dataset in sorted(batches, |batch| &batch.datasets, dataset_key) {
        sqlx::query(
            "INSERT INTO datasets (run_id, name, digest, context, source) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT DO NOTHING",
        )
        .bind(&dataset.run_id).bind(&dataset.name).bind(&dataset.digest)
        .bind(&dataset.context).bind(&dataset.source)
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
    }
    // In the order of the table, where most of them then lie side by side.
    points.sort_by_key(|(id, point)| (*id, point.step, point.at_us));
    insert_points(connection, &points).await
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
        return Err(Fault::Conflict(format!(
            "parameter `{}` of run {} is `{}` already, and cannot become `{}`",
            label.key, label.run_id, there.0, label.value
        )));
    }
    Ok(())
}

async fn insert_run(connection: &mut Connection, run: &Run) -> Result<(), Fault> {
    let command = serde_json::to_string(&run.command).unwrap_or_default();
    sqlx::query(
        "INSERT INTO runs (id, name, project, team, who, host, command, status, started_us, seen_us,
             ended_us, exit_code, state, summary)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(&run.id).bind(&run.name).bind(&run.project).bind(&run.team).bind(&run.who)
    .bind(&run.host).bind(command).bind(run.status.name()).bind(run.started_us)
    .bind(run.seen_us).bind(run.ended_us).bind(run.exit_code)
    .bind(run.state.to_string()).bind(run.summary.as_ref().map(ToString::to_string))
    .execute(&mut *connection).await?;
    Ok(())
}

async fn change_run(connection: &mut Connection, change: &RunChange) -> Result<(), Fault> {
    let changed = sqlx::query(
        "UPDATE runs SET status = coalesce($2, status), seen_us = coalesce($3, seen_us),
             ended_us = coalesce($4, ended_us), exit_code = coalesce($5, exit_code),
             state = coalesce($6, state), summary = coalesce($7, summary)
         WHERE id = $1",
    )
    .bind(&change.id).bind(change.status.map(crate::record::RunStatus::name))
    .bind(change.seen_us).bind(change.ended_us).bind(change.exit_code)
    .bind(change.state.as_ref().map(ToString::to_string))
    .bind(change.summary.as_ref().map(ToString::to_string))
    .execute(&mut *connection).await?;
    if changed.rows_affected() == 0 {
        return Err(Fault::Missing(format!("there is no run {}", change.id)));
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
