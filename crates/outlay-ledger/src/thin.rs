//! The history of a metric, thinned where it is long, so that a picture of a million points is quick.
//!
//! Of each of some thousand parts only the least and the greatest number are read; the database looks at the rest, which
//! takes a fraction of what handing it over would. What a picture then chooses from these is nearly what it would have
//! chosen from all (Van Der Donckt et al. 2023, `MinMaxLTTB`).

use serde_json::json;

use crate::error::{Fault, LedgerError};
use crate::ledger::Ledger;
use crate::record::{Microseconds, Point};
use crate::search::point;
use crate::store::{Store, on};

/// Points that are read one by one.
const WHOLE: i64 = 20_000;

/// Which part of a history; both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// All of it.
    Whole,
    /// Some steps.
    Steps(i64, i64),
    /// Some time.
    Time(Microseconds, Microseconds),
}

impl Range {
    fn steps(self) -> (i64, i64) {
        match self {
            Self::Steps(from, to) => (from, to),
            _ => (i64::MIN, i64::MAX),
        }
    }

    fn time(self) -> (i64, i64) {
        match self {
            Self::Time(from, to) => (from, to),
            _ => (i64::MIN, i64::MAX),
        }
    }
}

/// A history, by step and time; thinned where it has many points.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thinned {
    /// Points that were looked at. What is no finite number counts only where nothing was thinned.
    pub n_points: i64,
    /// The points, or the least and the greatest of each part.
    pub points: Vec<Point>,
    /// Whether some were left out.
    pub is_thinned: bool,
}

/// What is cut into parts.
enum Cut {
    Step(i64, i64),
    /// Time, where all have one step.
    Time(i64, i64, i64),
}

/// The least, or the greatest, number of a part, where it stands, and how many there are.
type Extreme = (Option<f64>, Option<i64>, Option<i64>, i64);

impl Ledger {
    /// The points of a metric in the order of its steps; where there are many, the least and the greatest of each of `n_parts` parts.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn thinned(
        &self,
        run_id: &str,
        key: &str,
        range: Range,
        n_parts: u16,
    ) -> Result<Thinned, LedgerError> {
        let read = async {
            let series: Option<(i64,)> = on!(self.store(), connection => {
                sqlx::query_as("SELECT id FROM series WHERE run_id = $1 AND key = $2")
                    .bind(run_id).bind(key).fetch_optional(connection).await?
            });
            let Some((series,)) = series else {
                return Ok(Thinned::default());
            };
            if let Some(points) = self.few(series, range).await? {
                return Ok(Thinned {
                    n_points: points.len() as i64,
                    points,
                    is_thinned: false,
                });
            }
            let Some(cut) = self.cut(series, range).await? else {
                return Ok(Thinned::default());
            };
            let parts = parts(&cut, n_parts.max(1));
            let mut thinned = match self.store() {
                Store::Sqlite(_) => {
                    let (low, high) = tokio::try_join!(
                        self.extremes(series, range, &cut, &parts, "min"),
                        self.extremes(series, range, &cut, &parts, "max"),
                    )?;
                    gathered(&low, &high)
                }
                Store::Postgres(_) => self.extremes_at_once(series, range, &cut, n_parts).await?,
            };
            thinned
                .points
                .sort_by_key(|point| (point.step, point.at_us));
            thinned.points.dedup();
            Ok(thinned)
        };
        read.await.map_err(|fault: Fault| self.at(fault))
    }

    /// All points, where they are few.
    async fn few(&self, series: i64, range: Range) -> Result<Option<Vec<Point>>, Fault> {
        let (steps, time) = (range.steps(), range.time());
        let which = "series_id = $1 AND step BETWEEN $2 AND $3 AND at_us BETWEEN $4 AND $5";
        let count = format!(
            "SELECT count(*) FROM (SELECT 1 FROM points WHERE {which} LIMIT {}) AS found",
            WHOLE + 1
        );
        let (n_points,): (i64,) = on!(self.store(), connection => {
            sqlx::query_as(sqlx::AssertSqlSafe(count))
                .bind(series).bind(steps.0).bind(steps.1).bind(time.0).bind(time.1)
                .fetch_one(connection).await?
        });
        if n_points > WHOLE {
            return Ok(None);
        }
        let text = format!(
            "SELECT step, at_us, value, is_nan FROM points WHERE {which} ORDER BY step, at_us"
        );
        let rows: Vec<(i64, i64, f64, i64)> = on!(self.store(), connection => {
            sqlx::query_as(sqlx::AssertSqlSafe(text))
                .bind(series).bind(steps.0).bind(steps.1).bind(time.0).bind(time.1)
                .fetch_all(connection).await?
        });
        let of = |(step, at_us, value, is_nan)| point(step, at_us, value, is_nan);
        Ok(Some(rows.into_iter().map(of).collect()))
    }

    /// From where to where the parts reach.
    async fn cut(&self, series: i64, range: Range) -> Result<Option<Cut>, Fault> {
        let (first, last) = if let Range::Time(from, to) = range {
            self.bounds(
                series,
                "SELECT min(step), max(step) FROM points WHERE series_id = $1 AND at_us BETWEEN $2 AND $3",
                from,
                to,
            )
            .await?
        } else {
            // Two looks at the index, where both at once would read all of it.
            let (from, to) = range.steps();
            self.bounds(
                series,
                "SELECT (SELECT min(step) FROM points WHERE series_id = $1 AND step BETWEEN $2 AND $3),
                     (SELECT max(step) FROM points WHERE series_id = $1 AND step BETWEEN $2 AND $3)",
                from,
                to,
            )
            .await?
        };
        let (Some(first), Some(last)) = (first, last) else {
            return Ok(None);
        };
        if first < last {
            return Ok(Some(Cut::Step(first, last)));
        }
        let (from, to) = self
            .bounds(
                series,
                "SELECT (SELECT min(at_us) FROM points WHERE series_id = $1 AND step = $2 AND $3 = $3),
                     (SELECT max(at_us) FROM points WHERE series_id = $1 AND step = $2)",
                first,
                0,
            )
            .await?;
        Ok(from
            .zip(to)
            .map(|(from, to)| Cut::Time(first, from.max(range.time().0), to.min(range.time().1))))
    }

    async fn bounds(
        &self,
        series: i64,
        text: &'static str,
        one: i64,
        other: i64,
    ) -> Result<(Option<i64>, Option<i64>), Fault> {
        Ok(on!(self.store(), connection => {
            sqlx::query_as(text).bind(series).bind(one).bind(other).fetch_one(connection).await?
        }))
    }

    /// The least or the greatest number of each part. SQLite gives the columns beside a lone `min` or `max` from its row.
    async fn extremes(
        &self,
        series: i64,
        range: Range,
        cut: &Cut,
        parts: &[(i64, i64)],
        which: &str,
    ) -> Result<Vec<Extreme>, Fault> {
        let within = match cut {
            Cut::Step(..) if matches!(range, Range::Time(..)) => {
                "step BETWEEN part.low AND part.high AND at_us BETWEEN $3 AND $4"
            }
            Cut::Step(..) => "step BETWEEN part.low AND part.high AND $3 <= $4",
            Cut::Time(..) => "step = $3 AND $4 = $4 AND at_us BETWEEN part.low AND part.high",
        };
        let (one, other) = match cut {
            Cut::Step(..) => range.time(),
            Cut::Time(step, ..) => (*step, 0),
        };
        let text = format!(
            "SELECT (SELECT json_array({which}(value), step, at_us, count(*)) FROM points
                 WHERE series_id = $1 AND {within} AND is_nan = 0
                   AND value BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308)
             FROM (SELECT json_extract(value, '$[0]') AS low, json_extract(value, '$[1]') AS high
                   FROM json_each($2)) AS part"
        );
        let rows: Vec<(String,)> = on!(self.store(), connection => {
            sqlx::query_as(sqlx::AssertSqlSafe(text))
                .bind(series).bind(json!(parts).to_string()).bind(one).bind(other)
                .fetch_all(connection).await?
        });
        rows.iter()
            .map(|(text,)| {
                serde_json::from_str(text)
                    .map_err(|error| Fault::Damaged(format!("the points of a metric: {error}")))
            })
            .collect()
    }

    /// Both of each part. PostgreSQL compares lists, so that where a number stands comes with it.
    async fn extremes_at_once(
        &self,
        series: i64,
        range: Range,
        cut: &Cut,
        n_parts: u16,
    ) -> Result<Thinned, Fault> {
        let (column, steps, time) = match cut {
            Cut::Step(first, last) => ("step", (*first, *last), range.time()),
            Cut::Time(step, from, to) => ("at_us", (*step, *step), (*from, *to)),
        };
        let (first, last) = if column == "step" { steps } else { time };
        let width = ((last as f64 - first as f64) / f64::from(n_parts.max(1))).max(1.0);
        let text = format!(
            "SELECT min(ARRAY[value, step::float8, at_us::float8]), max(ARRAY[value, step::float8, at_us::float8]),
                 count(*)
             FROM points WHERE series_id = $1 AND step BETWEEN $2 AND $3 AND at_us BETWEEN $4 AND $5 AND is_nan = 0
               AND value BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308
             GROUP BY floor(({column}::float8 - {first}::float8) / {width}::float8)"
        );
        let Store::Postgres(pool) = self.store() else {
            return Ok(Thinned::default());
        };
        let rows: Vec<(Vec<f64>, Vec<f64>, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(text))
            .bind(series)
            .bind(steps.0)
            .bind(steps.1)
            .bind(time.0)
            .bind(time.1)
            .fetch_all(pool)
            .await?;
        let mut thinned = Thinned {
            is_thinned: true,
            ..Thinned::default()
        };
        for (low, high, n_points) in rows {
            thinned.n_points += n_points;
            for found in [low, high] {
                if let [value, step, at_us] = found[..] {
                    thinned.points.push(Point {
                        step: step as i64,
                        at_us: at_us as i64,
                        value,
                    });
                }
            }
        }
        Ok(thinned)
    }
}

/// The ends of each part.
fn parts(cut: &Cut, n_parts: u16) -> Vec<(i64, i64)> {
    let (first, last) = match cut {
        Cut::Step(first, last) => (*first, *last),
        Cut::Time(_, from, to) => (*from, *to),
    };
    let span = i128::from(last) - i128::from(first) + 1;
    let n_parts = i128::from(n_parts).min(span.max(1));
    let edge = |part: i128| i128::from(first) + span * part / n_parts;
    (0..n_parts)
        .map(|part| (edge(part) as i64, (edge(part + 1) - 1) as i64))
        .collect()
}

fn gathered(low: &[Extreme], high: &[Extreme]) -> Thinned {
    let mut thinned = Thinned {
        n_points: low.iter().map(|found| found.3).sum(),
        is_thinned: true,
        ..Thinned::default()
    };
    for &(value, step, at_us, _) in low.iter().chain(high) {
        if let (Some(value), Some(step), Some(at_us)) = (value, step, at_us) {
            thinned.points.push(Point { step, at_us, value });
        }
    }
    thinned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_everything_once() {
        for (first, last, n_parts) in [
            (0, 999, 10),
            (-5, 5, 4),
            (0, 2, 100),
            (i64::MIN, i64::MAX, 7),
        ] {
            let parts = parts(&Cut::Step(first, last), n_parts);
            assert_eq!(parts.first().map(|part| part.0), Some(first));
            assert_eq!(parts.last().map(|part| part.1), Some(last));
            for pair in parts.windows(2) {
                assert_eq!(pair[0].1 + 1, pair[1].0);
            }
        }
    }
}
