//! A few points of metrics that are known, written by one statement.
//!
//! A call that logs one value waits for the disk, and for threads to wake each other: each statement wakes two. Beginning,
//! inserting, noting the newest value and committing would be four; a trigger that the connection alone sees makes them one.

use std::sync::LazyLock;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{Sqlite, SqlitePool};

use crate::apply::{Newest, SET_NEWEST, SeriesIds, bound_newest, newest};
use crate::error::Fault;
use crate::record::Batch;

/// Most points of one such statement: beyond, it is the rows that take time.
const MOST: usize = 16;

/// What a connection is told before its first such statement.
static TRIGGER: LazyLock<String> = LazyLock::new(|| {
    format!(
        "CREATE TEMP VIEW IF NOT EXISTS quick_points
             (id, step, at_us, value, is_nan, low, high, must_be_active)
             AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL;
         CREATE TEMP TRIGGER IF NOT EXISTS quick_points_written INSTEAD OF INSERT ON quick_points BEGIN
             INSERT INTO points (series_id, step, at_us, value, is_nan) VALUES (
                 -- No number where the run is put away: it fails, and is tried in the way that says why.
                 iif(new.must_be_active,
                     (SELECT series.id FROM series JOIN runs ON runs.id = series.run_id
                      WHERE series.id = new.id AND runs.deleted_us IS NULL),
                     new.id),
                 new.step, new.at_us, new.value, new.is_nan
             ) ON CONFLICT DO NOTHING;
             {} WHERE id = new.id;
         END",
        *SET_NEWEST
    )
});

/// The points of some batches, where that is all that they hold and their metrics are known.
#[derive(Debug)]
pub(crate) struct Quick {
    /// A point, and whether its run must not be put away.
    points: Vec<(Newest, bool)>,
}

impl Quick {
    /// Takes batches that can be written so.
    pub(crate) fn new(batches: &[&Batch], ids: &SeriesIds) -> Option<Self> {
        let mut points = Vec::new();
        for batch in batches {
            let n_points: usize = batch.series.iter().map(|series| series.points.len()).sum();
            let has_run = |id: &String| batch.series.iter().any(|series| series.run_id == *id);
            if batch.n_rows() != n_points || !batch.active.iter().all(has_run) {
                return None;
            }
            if points.len() + n_points > MOST {
                return None;
            }
            for series in &batch.series {
                // A copy of the two texts costs less than a message.
                let id = *ids.get(&(series.run_id.clone(), series.key.clone()))?;
                let must_be_active = batch.active.contains(&series.run_id);
                points.extend(
                    series
                        .points
                        .iter()
                        .filter_map(|point| newest(id, std::slice::from_ref(point)))
                        .map(|one| (one, must_be_active)),
                );
            }
        }
        (!points.is_empty()).then_some(Self { points })
    }

    /// Writes them; after a failure nothing is written.
    ///
    /// The connection is `held` for the next one, as giving it back and taking it out wakes SQLite's thread twice. Whoever
    /// needs it otherwise lets go of it first.
    pub(crate) async fn write(
        &self,
        pool: &SqlitePool,
        held: &mut Option<PoolConnection<Sqlite>>,
    ) -> Result<(), Fault> {
        let mut connection = match held.take() {
            Some(connection) => connection,
            None => {
                let mut connection = pool.acquire().await?;
                sqlx::query(TRIGGER.as_str())
                    .execute(&mut *connection)
                    .await?;
                connection
            }
        };
        let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?)"; self.points.len()].join(", ");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(format!(
            "INSERT INTO quick_points VALUES {rows}"
        )));
        for (one, must_be_active) in &self.points {
            query = bound_newest(query, one).bind(must_be_active);
        }
        query.execute(&mut *connection).await?;
        *held = Some(connection);
        Ok(())
    }
}
