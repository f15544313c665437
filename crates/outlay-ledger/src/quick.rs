//! A few points of metrics that are known, written with one message to SQLite's thread.
//!
//! A call that logs one value waits for the disk, and for threads to wake each other.
//! Beginning, inserting, noting the newest value and committing one by one is eight times of waking; this is two.

use std::fmt::Write;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{Sqlite, SqlitePool};

use crate::apply::{NEWEST_SQLITE, Newest, SeriesIds, bound_newest, bound_point, merged, newest};
use crate::error::Fault;
use crate::record::{Batch, Point};

/// Most points, and most metrics, of one such message: beyond, the statements are what takes time.
const MOST: usize = 16;

/// The points of some batches, where that is all that they hold and their metrics are known.
#[derive(Debug)]
pub(crate) struct Quick {
    /// A metric's number, whether its run must not be put away, and a point.
    points: Vec<(i64, bool, Point)>,
    newest: Vec<Newest>,
}

impl Quick {
    /// Takes batches that can be written so.
    pub(crate) fn new(batches: &[&Batch], ids: &SeriesIds) -> Option<Self> {
        let mut points = Vec::new();
        let mut all_newest: Vec<Newest> = Vec::new();
        for batch in batches {
            let n_points: usize = batch.series.iter().map(|series| series.points.len()).sum();
            let has_run = |id: &String| batch.series.iter().any(|series| series.run_id == *id);
            if batch.n_rows() != n_points || !batch.active.iter().all(has_run) {
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
                        .map(|point| (id, must_be_active, *point)),
                );
                let Some(newest) = newest(id, &series.points) else {
                    continue;
                };
                match all_newest.iter_mut().find(|other| other.id == id) {
                    Some(other) => *other = merged(*other, newest),
                    None => all_newest.push(newest),
                }
            }
            if points.len() > MOST || all_newest.len() > MOST {
                return None;
            }
        }
        (!points.is_empty()).then_some(Self {
            points,
            newest: all_newest,
        })
    }

    /// The statements, their values numbered in the order of `write`.
    fn text(&self) -> String {
        let mut text =
            "BEGIN IMMEDIATE; INSERT INTO points (series_id, step, at_us, value, is_nan) VALUES "
                .to_owned();
        for (at, (_, must_be_active, _)) in self.points.iter().enumerate() {
            let first = 5 * at;
            let comma = if at == 0 { "" } else { ", " };
            let id = if *must_be_active {
                // No number where the run is put away: the insertion fails, and is tried in the way that says why.
                format!(
                    "(SELECT series.id FROM series JOIN runs ON runs.id = series.run_id
                      WHERE series.id = ${} AND runs.deleted_us IS NULL)",
                    first + 1
                )
            } else {
                format!("${}", first + 1)
            };
            // Writing into a text does not fail.
            let _ = write!(
                text,
                "{comma}({id}, ${}, ${}, ${}, ${})",
                first + 2,
                first + 3,
                first + 4,
                first + 5
            );
        }
        text.push_str(" ON CONFLICT DO NOTHING; ");
        for at in 0..self.newest.len() {
            let first = 5 * self.points.len() + 7 * at;
            let mut parts = NEWEST_SQLITE.split('?');
            text.push_str(parts.next().unwrap_or_default());
            for part in parts {
                let number: usize = part[..1].parse().unwrap_or(0);
                let _ = write!(text, "${}{}", first + number, &part[1..]);
            }
            text.push_str("; ");
        }
        text.push_str("COMMIT");
        text
    }

    /// Writes them; after a failure nothing is written, and the connection is not used again.
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
            None => pool.acquire().await?,
        };
        let mut query = sqlx::query(sqlx::AssertSqlSafe(self.text()));
        for (id, _, point) in &self.points {
            query = bound_point(query, *id, point);
        }
        for one in &self.newest {
            query = bound_newest(query, one);
        }
        match query.execute(&mut *connection).await {
            Ok(_) => {
                *held = Some(connection);
                Ok(())
            }
            Err(error) => {
                // It may be within the transaction still.
                connection.close().await?;
                Err(error.into())
            }
        }
    }
}
