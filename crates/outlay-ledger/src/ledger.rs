//! The ledger: one handle for whoever writes and reads.

use std::sync::{Arc, PoisonError, RwLock};

use futures_util::TryStreamExt;
use serde_json::Value;
use sqlx::Row;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::Sqlite;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::apply::{self, SeriesIds, Signer};
use crate::drawer::Drawer;
use crate::error::{Fault, LedgerError};
use crate::note::hex;
use crate::quick::Quick;
use crate::record::{
    Artifact, Batch, Budget, Dataset, Document, Evidence, Label, Micro, Microseconds, Period,
    Point, Run, RunStatus, Spending,
};
use crate::store::{self, BEGIN_POSTGRES, BEGIN_SQLITE, Place, Store, on, transaction};

/// Rows that one transaction takes at most, from as many batches as wait.
const GROUP_ROWS: usize = 40_000;

/// Batches that wait for the writer before those who bring more have to wait too.
const QUEUE: usize = 1024;

/// Series whose numbers are kept at hand.
const SERIES_KNOWN: usize = 100_000;

/// An open ledger. Clones share its connections and its writer.
#[derive(Clone, Debug)]
pub struct Ledger {
    place: Arc<str>,
    address: Arc<Place>,
    /// Its name, which an import replaces.
    origin: Arc<RwLock<Arc<str>>>,
    store: Store,
    signer: Arc<Mutex<Option<Signer>>>,
    queue: mpsc::Sender<Job>,
}

#[derive(Debug)]
enum Job {
    Write(Box<Write>),
    Edit(Box<Edit>),
    Close(oneshot::Sender<()>),
}

#[derive(Debug)]
struct Write {
    batch: Batch,
    done: oneshot::Sender<Result<(), Fault>>,
}

/// What changes documents.
type Change = Box<dyn FnOnce(&mut Drawer) -> Result<(), Fault> + Send>;

/// A change of documents, with what it read.
struct Edit {
    shelves: Vec<(&'static str, String)>,
    change: Change,
    more: Option<mpsc::Receiver<Option<Batch>>>,
    done: oneshot::Sender<Result<(), Fault>>,
}

impl std::fmt::Debug for Edit {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Edit")
            .field("shelves", &self.shelves)
            .finish_non_exhaustive()
    }
}

impl Ledger {
    /// Opens a ledger, brings its tables to the newest form, and starts its writer on the runtime at hand.
    ///
    /// With `create`, a file or tables that are absent are made.
    ///
    /// # Errors
    ///
    /// A place that is absent, cannot be reached or written to, is no ledger, is damaged, or was written by a newer Outlay.
    pub async fn open(place: &Place, create: bool) -> Result<Self, LedgerError> {
        let shown: Arc<str> = place.shown().into();
        let opened = async {
            let (store, writer) = store::open(place, create).await?;
            let origin = origin(&writer).await?;
            Ok::<_, Fault>((store, writer, origin))
        };
        let (store, writer, origin) = opened.await.map_err(|fault| fault.at(&shown))?;
        let signer = Arc::new(Mutex::new(None));
        let (queue, jobs) = mpsc::channel(QUEUE);
        tokio::spawn(write_jobs(writer, jobs, Arc::clone(&signer)));
        Ok(Self {
            place: shown,
            address: Arc::new(place.clone()),
            origin: Arc::new(RwLock::new(origin.into())),
            store,
            signer,
            queue,
        })
    }

    /// The place as people may see it.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Where it lies.
    #[must_use]
    pub fn address(&self) -> &Place {
        &self.address
    }

    /// The name of this ledger in its checkpoints, the same for as long as it lives.
    #[must_use]
    pub fn origin(&self) -> Arc<str> {
        // A thread that panicked while it held the name cannot have left half of it.
        let origin = self.origin.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&origin)
    }

    /// Reads the name anew, after an import.
    pub(crate) async fn refresh_origin(&self) -> Result<(), Fault> {
        let now = origin(&self.store).await?;
        *self.origin.write().unwrap_or_else(PoisonError::into_inner) = now.into();
        Ok(())
    }

    /// Signs with this key from now on. Without one, evidence cannot be added.
    pub async fn sign_with(&self, signer: Signer) {
        *self.signer.lock().await = Some(signer);
    }

    /// Writes a batch; when it returns, all of it is on the disk, or none.
    ///
    /// Batches that wait at the same time share a transaction, and with it the wait for the disk.
    /// A batch that was handed over is written even when nobody waits for it any more.
    ///
    /// # Errors
    ///
    /// What is wrong with the batch, or with the ledger; then nothing of it was written.
    /// One case is open: a connection to a server that breaks after the order to commit and before the answer. Then all of it is there, or nothing.
    pub async fn write(&self, batch: Batch) -> Result<(), LedgerError> {
        apply::check(&batch).map_err(|fault| self.at(fault))?;
        let closed = || self.at(Fault::Unreachable("it was closed".to_owned()));
        let (done, written) = oneshot::channel();
        let job = Job::Write(Box::new(Write { batch, done }));
        self.queue.send(job).await.map_err(|_| closed())?;
        written
            .await
            .map_err(|_| closed())?
            .map_err(|fault| self.at(fault))
    }

    /// Changes documents: reads whole shelves, hands them to `change`, and writes what it put or removed, all in one transaction.
    ///
    /// Nobody else writes in between; when it returns, the change is on the disk.
    ///
    /// ```
    /// # use outlay_ledger::{Ledger, Place};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let ledger = Ledger::open(&Place::File(folder.path().join("ledger.db")), true).await.unwrap();
    /// let visits = ledger
    ///     .edit(&[("counter", "")], |drawer| {
    ///         let n: u64 = drawer.get("counter", "", "visits")?.unwrap_or(0);
    ///         drawer.put("counter", "", "visits", &(n + 1))?;
    ///         Ok(n + 1)
    ///     })
    ///     .await
    ///     .unwrap();
    /// assert_eq!(visits, 1);
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// What `change` says, or what is wrong with the ledger; then nothing was changed.
    pub async fn edit<T: Send + 'static>(
        &self,
        shelves: &[(&'static str, &str)],
        change: impl FnOnce(&mut Drawer) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.edit_then(shelves, change, None).await
    }

    /// As [`Self::edit`], and then writes batches as they come, until a `None`, all in the same transaction.
    ///
    /// It is for more than fits in memory at once. Others who write wait until the end.
    ///
    /// # Errors
    ///
    /// As of [`Self::edit`] and [`Self::write`], or batches that end without a `None`; then nothing was changed.
    pub async fn edit_with<T: Send + 'static>(
        &self,
        shelves: &[(&'static str, &str)],
        change: impl FnOnce(&mut Drawer) -> Result<T, Fault> + Send + 'static,
        more: mpsc::Receiver<Option<Batch>>,
    ) -> Result<T, LedgerError> {
        self.edit_then(shelves, change, Some(more)).await
    }

    async fn edit_then<T: Send + 'static>(
        &self,
        shelves: &[(&'static str, &str)],
        change: impl FnOnce(&mut Drawer) -> Result<T, Fault> + Send + 'static,
        more: Option<mpsc::Receiver<Option<Batch>>>,
    ) -> Result<T, LedgerError> {
        let closed = || self.at(Fault::Unreachable("it was closed".to_owned()));
        let (done, written) = oneshot::channel();
        let (hand_over, outcome) = oneshot::channel();
        let job = Job::Edit(Box::new(Edit {
            shelves: shelves
                .iter()
                .map(|(kind, shelf)| (*kind, (*shelf).to_owned()))
                .collect(),
            change: Box::new(move |drawer| {
                let _ = hand_over.send(change(drawer)?);
                Ok(())
            }),
            more,
            done,
        }));
        self.queue.send(job).await.map_err(|_| closed())?;
        written
            .await
            .map_err(|_| closed())?
            .map_err(|fault| self.at(fault))?;
        outcome.await.map_err(|_| closed())
    }

    /// Documents of a kind, by shelf and name; of one shelf, and of one name, where they are given.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn documents(
        &self,
        kind: &str,
        shelf: Option<&str>,
        id: Option<&str>,
    ) -> Result<Vec<Document>, LedgerError> {
        let mut text = "SELECT kind, shelf, id, body FROM documents WHERE kind = $1".to_owned();
        text.push_str(if shelf.is_some() {
            " AND shelf = $2"
        } else {
            " AND $2 = ''"
        });
        text.push_str(if id.is_some() {
            " AND id = $3"
        } else {
            " AND $3 = ''"
        });
        text.push_str(" ORDER BY shelf, id");
        let read = async {
            let rows: Vec<(String, String, String, String)> = on!(&self.store, connection => {
                sqlx::query_as(sqlx::AssertSqlSafe(text))
                    .bind(kind).bind(shelf.unwrap_or_default()).bind(id.unwrap_or_default())
                    .fetch_all(connection).await?
            });
            let document = |(kind, shelf, id, body)| Document {
                kind,
                shelf,
                id,
                body,
            };
            Ok(rows.into_iter().map(document).collect())
        };
        read.await.map_err(|fault| self.at(fault))
    }

    /// Closes the connections, after everything that was asked for is written. Clones can no longer be used.
    pub async fn close(self) {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Job::Close(done)).await.is_ok() {
            let _ = closed.await;
        }
        self.store.close().await;
    }

    /// Batches that wait to be written.
    #[must_use]
    pub fn n_waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn at(&self, fault: Fault) -> LedgerError {
        fault.at(&self.place)
    }

    /// The runs, newest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn runs(&self, limit: i64) -> Result<Vec<Run>, LedgerError> {
        self.read_runs(&format!("ORDER BY started_us DESC, id LIMIT {limit}"), "")
            .await
    }

    /// The run with this id, or the only one whose id begins so.
    ///
    /// # Errors
    ///
    /// No such run, several, or a ledger that cannot be read.
    pub async fn run(&self, id: &str) -> Result<Run, LedgerError> {
        let of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if id.is_empty() || !id.bytes().all(of_name) {
            let message = format!("`{id}` is no run's id; allowed: the first digits of one");
            return Err(self.at(Fault::Input(message)));
        }
        let begins = "AND substr(id, 1, length($1)) = $1 ORDER BY id LIMIT 2";
        let mut found = self.read_runs("AND id = $1", id).await?;
        if found.is_empty() {
            found = self.read_runs(begins, &id.to_ascii_lowercase()).await?;
        }
        match (found.pop(), found.pop()) {
            (Some(run), None) => Ok(run),
            (Some(_), Some(_)) => Err(self.at(Fault::Input(format!(
                "several runs begin with {id}; give more digits"
            )))),
            _ => Err(self.at(Fault::Missing(format!("there is no run {id}")))),
        }
    }

    /// The runs that are said to be running, oldest first.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn running(&self) -> Result<Vec<Run>, LedgerError> {
        self.read_runs("AND status = 'running' ORDER BY started_us, id", "")
            .await
    }

    async fn read_runs(&self, which: &str, like: &str) -> Result<Vec<Run>, LedgerError> {
        let text = format!("SELECT {RUN_COLUMNS} FROM runs WHERE ($1 = '' OR $1 <> '') {which}");
        let read = async {
            let mut runs = Vec::new();
            on!(&self.store, connection => {
                for row in sqlx::query(sqlx::AssertSqlSafe(text)).bind(like).fetch_all(connection).await? {
                    runs.push(run_of!(row));
                }
            });
            Ok(runs)
        };
        read.await.map_err(|fault| self.at(fault))
    }

    /// The parameters of a run, or its tags, by name.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn labels(&self, run_id: &str, tags: bool) -> Result<Vec<Label>, LedgerError> {
        let text = if tags {
            "SELECT run_id, key, value FROM tags WHERE run_id = $1 ORDER BY key"
        } else {
            "SELECT run_id, key, value FROM params WHERE run_id = $1 ORDER BY key"
        };
        let read = async {
            let rows: Vec<(String, String, String)> = on!(&self.store, connection => {
                sqlx::query_as(text).bind(run_id).fetch_all(connection).await?
            });
            let label = |(run_id, key, value)| Label { run_id, key, value };
            Ok(rows.into_iter().map(label).collect())
        };
        read.await.map_err(|fault| self.at(fault))
    }

    /// The names of a run's metrics, and how many points each has.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn metrics(&self, run_id: &str) -> Result<Vec<(String, i64)>, LedgerError> {
        let read = async {
            let rows: Vec<(String, i64)> = on!(&self.store, connection => {
                sqlx::query_as(
                    "SELECT key, (SELECT count(*) FROM points WHERE series_id = id) FROM series
                     WHERE run_id = $1 ORDER BY key",
                ).bind(run_id).fetch_all(connection).await?
            });
            Ok(rows)
        };
        read.await.map_err(|fault| self.at(fault))
    }

    /// The points of a metric, in the order of its steps.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn points(&self, run_id: &str, key: &str) -> Result<Vec<Point>, LedgerError> {
        let read = async {
            let rows: Vec<(i64, i64, f64, i64)> = on!(&self.store, connection => {
                sqlx::query_as(
                    "SELECT step, at_us, value, is_nan FROM points
                     WHERE series_id = (SELECT id FROM series WHERE run_id = $1 AND key = $2)
                     ORDER BY step, at_us",
                ).bind(run_id).bind(key).fetch_all(connection).await?
            });
            let point = |(step, at_us, value, is_nan): (i64, i64, f64, i64)| Point {
                step,
                at_us,
                value: if is_nan == 1 { f64::NAN } else { value },
            };
            Ok(rows.into_iter().map(point).collect())
        };
        read.await.map_err(|fault| self.at(fault))
    }

    /// What a run spent, by currency.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn spent_by_run(&self, run_id: &str) -> Result<Vec<(String, Micro)>, LedgerError> {
        let read = async {
            let rows: Vec<(String, i64)> = on!(&self.store, connection => {
                sqlx::query_as(
                    "SELECT currency, CAST(sum(amount_micro) AS BIGINT) FROM spending
                     WHERE run_id = $1 GROUP BY currency ORDER BY currency",
                ).bind(run_id).fetch_all(connection).await?
            });
            Ok(rows
                .into_iter()
                .map(|(code, micro)| (code, Micro(micro)))
                .collect())
        };
        read.await.map_err(|fault| self.at(fault))
    }

    /// What was spent against a budget in the period that holds `now_us`.
    ///
    /// An entry counts in the period in which it ends.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn spent_of(
        &self,
        budget: &Budget,
        now_us: Microseconds,
    ) -> Result<Micro, LedgerError> {
        let read = async {
            let (micro,): (i64,) = on!(&self.store, connection => {
                sqlx::query_as(
                    "SELECT CAST(coalesce(sum(amount_micro), 0) AS BIGINT) FROM spending
                     WHERE currency = $1 AND ($2 = '' OR project = $2) AND ($3 = '' OR team = $3)
                       AND to_us >= $4",
                )
                .bind(&budget.currency).bind(&budget.project).bind(&budget.team)
                .bind(budget.period.start(now_us))
                .fetch_one(connection).await?
            });
            Ok(Micro(micro))
        };
        read.await.map_err(|fault| self.at(fault))
    }

    /// The entries of spending, oldest first; of one run where it is given.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn spending(&self, run_id: Option<&str>) -> Result<Vec<Spending>, LedgerError> {
        let read = async {
            let rows: Vec<SpendingRow> = on!(&self.store, connection => {
                sqlx::query_as(
                    "SELECT entry, run_id, project, team, kind, from_us, to_us, amount_micro, currency,
                         quality, note FROM spending WHERE $1 = '' OR run_id = $1 ORDER BY id",
                ).bind(run_id.unwrap_or_default()).fetch_all(connection).await?
            });
            Ok(rows.into_iter().map(spending_of).collect())
        };
        read.await.map_err(|fault| self.at(fault))
    }

    /// The budgets, by name.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn budgets(&self) -> Result<Vec<Budget>, LedgerError> {
        type Row = (String, String, String, String, i64, String, String, i64);
        let read = async {
            let rows: Vec<Row> = on!(&self.store, connection => {
                sqlx::query_as(
                    "SELECT name, project, team, period, limit_micro, currency, warn_at, set_us
                     FROM budgets ORDER BY name",
                ).fetch_all(connection).await?
            });
            let budget =
                |(name, project, team, period, limit, currency, warn_at, set_us): Row| Budget {
                    name,
                    project,
                    team,
                    period: if period == "month" {
                        Period::Month
                    } else {
                        Period::Total
                    },
                    limit_micro: Micro(limit),
                    currency,
                    warn_at_percent: serde_json::from_str(&warn_at).unwrap_or_default(),
                    set_us,
                };
            Ok(rows.into_iter().map(budget).collect())
        };
        read.await.map_err(|fault| self.at(fault))
    }

    /// The data that a run used.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn datasets(&self, run_id: &str) -> Result<Vec<Dataset>, LedgerError> {
        let read = async {
            let rows: Vec<DatasetRow> = on!(&self.store, connection => {
                sqlx::query_as(
                    "SELECT run_id, name, digest, context, source, source_type, schema, profile, tags, added_us
                     FROM datasets WHERE run_id = $1 ORDER BY added_us, name, digest, context",
                ).bind(run_id).fetch_all(connection).await?
            });
            Ok(rows.into_iter().map(dataset_of).collect())
        };
        read.await.map_err(|fault| self.at(fault))
    }

    /// The files that a run made.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn artifacts(&self, run_id: &str) -> Result<Vec<Artifact>, LedgerError> {
        let read = async {
            let rows: Vec<(String, String, String, i64, String, i64)> = on!(&self.store, connection => {
                sqlx::query_as(
                    "SELECT run_id, path, uri, bytes, sha256, added_us FROM artifacts WHERE run_id = $1
                     ORDER BY path",
                ).bind(run_id).fetch_all(connection).await?
            });
            let artifact = |(run_id, path, uri, bytes, sha256, added_us)| Artifact {
                run_id,
                path,
                uri,
                bytes,
                sha256,
                added_us,
            };
            Ok(rows.into_iter().map(artifact).collect())
        };
        read.await.map_err(|fault| self.at(fault))
    }

    /// Evidence about a subject, or about every one, oldest first, with each record's position.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read, or a record is none.
    pub async fn evidence(
        &self,
        subject: Option<&str>,
    ) -> Result<Vec<(i64, Evidence)>, LedgerError> {
        let read = async {
            let rows: Vec<(i64, String)> = on!(&self.store, connection => {
                sqlx::query_as(
                    "SELECT position, record FROM evidence WHERE $1 = '' OR subject = $1 ORDER BY position",
                )
                .bind(subject.unwrap_or_default())
                .fetch(connection).try_collect().await?
            });
            rows.into_iter()
                .map(|(position, record)| {
                    serde_json::from_str::<Value>(&record)
                        .ok()
                        .and_then(|record| Evidence::from_record(&record))
                        .map(|evidence| (position, evidence))
                        .ok_or_else(|| Fault::Damaged(format!("record {position} cannot be read")))
                })
                .collect::<Result<_, _>>()
        };
        read.await.map_err(|fault| self.at(fault))
    }
}

/// The columns of a run, in the order in which `run_of!` reads them.
pub(crate) const RUN_COLUMNS: &str =
    "id, name, project, team, who, host, command, status, started_us, seen_us, ended_us, exit_code, state, summary,
     experiment_id, artifact_uri, scheduled, deleted_us";

/// A run from its row, in either database.
macro_rules! run_of {
    ($row:expr) => {{
        let row = &$row;
        let (command, state): (String, String) = (row.try_get(6)?, row.try_get(12)?);
        let status: String = row.try_get(7)?;
        let summary: Option<String> = row.try_get(13)?;
        Run {
            id: row.try_get(0)?,
            name: row.try_get(1)?,
            project: row.try_get(2)?,
            team: row.try_get(3)?,
            who: row.try_get(4)?,
            host: row.try_get(5)?,
            command: serde_json::from_str(&command).unwrap_or_default(),
            status: RunStatus::from_name(&status, row.try_get::<i64, _>(16)? == 1),
            started_us: row.try_get(8)?,
            seen_us: row.try_get(9)?,
            ended_us: row.try_get(10)?,
            exit_code: row.try_get(11)?,
            state: serde_json::from_str(&state).unwrap_or_default(),
            summary: summary.and_then(|text| serde_json::from_str(&text).ok()),
            experiment_id: row.try_get(14)?,
            artifact_uri: row.try_get(15)?,
            deleted_us: row.try_get(17)?,
        }
    }};
}
pub(crate) use run_of;

/// A dataset's row, in the order of its columns.
pub(crate) type DatasetRow = (
    String,
    String,
    String,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    String,
    i64,
);

pub(crate) fn dataset_of(row: DatasetRow) -> Dataset {
    let (run_id, name, digest, context, source, source_type, schema, profile, tags, added_us) = row;
    Dataset {
        run_id,
        name,
        digest,
        context,
        source,
        source_type,
        schema,
        profile,
        tags: serde_json::from_str(&tags).unwrap_or_default(),
        added_us,
    }
}

/// An entry's row, in the order of its columns.
type SpendingRow = (
    String,
    Option<String>,
    String,
    String,
    String,
    i64,
    i64,
    i64,
    String,
    String,
    String,
);

fn spending_of(row: SpendingRow) -> Spending {
    let (entry, run_id, project, team, kind, from_us, to_us, amount, currency, quality, note) = row;
    Spending {
        entry,
        run_id,
        project,
        team,
        kind,
        from_us,
        to_us,
        amount_micro: Micro(amount),
        currency,
        quality,
        note,
    }
}

/// The ledger's name; given to it at random when it is made.
async fn origin(store: &Store) -> Result<String, Fault> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| Fault::Unreachable(error.to_string()))?;
    let fresh = format!("outlay.ledger/{}", hex(&random));
    let (origin,): (String,) = on!(store, connection => {
        let there: Option<(String,)> = sqlx::query_as("SELECT origin FROM ledger")
            .fetch_optional(&mut *connection).await?;
        match there {
            Some(there) => there,
            None => sqlx::query_as(
                "INSERT INTO ledger (only_row, origin, size, edge, checkpoint) VALUES (1, $1, 0, $2, '')
                 ON CONFLICT (only_row) DO UPDATE SET size = ledger.size RETURNING origin",
            ).bind(&fresh).bind(Vec::<u8>::new()).fetch_one(&mut *connection).await?,
        }
    });
    Ok(origin)
}

/// The writer: takes what waits, writes it in one transaction, and tells everyone.
async fn write_jobs(
    store: Store,
    mut jobs: mpsc::Receiver<Job>,
    signer: Arc<Mutex<Option<Signer>>>,
) {
    let mut ids = SeriesIds::new();
    let mut closing = Vec::new();
    let mut left = None;
    let mut held = None;
    let mut is_lone = false;
    while let Some(first) = match left.take() {
        Some(job) => Some(job),
        None => jobs.recv().await,
    } {
        let mut group = Vec::new();
        let mut n_rows = 0;
        let mut next = Some(first);
        // Callers that were told of the last group are about to send again: with a turn of the others they come along.
        // Nobody is waited for while one caller at a time is all that comes.
        let mut n_waiting = (is_lone && jobs.is_empty()).then_some(0);
        while n_waiting.is_none_or(|n| n < jobs.len()) {
            n_waiting = Some(jobs.len());
            tokio::task::yield_now().await;
        }
        while let Some(job) = next {
            match job {
                Job::Write(write) => {
                    n_rows += write.batch.n_rows();
                    group.push(*write);
                }
                // It reads, and so has a transaction of its own, in its turn.
                Job::Edit(edit) if group.is_empty() => {
                    let signer = signer.lock().await.clone();
                    held = None;
                    edit_documents(&store, *edit, &mut ids, signer.as_ref()).await;
                }
                Job::Edit(edit) => {
                    left = Some(Job::Edit(edit));
                    break;
                }
                Job::Close(done) => {
                    // Nothing comes in any more; what waits is still written.
                    jobs.close();
                    closing.push(done);
                }
            }
            next = if n_rows < GROUP_ROWS {
                jobs.try_recv().ok()
            } else {
                None
            };
        }
        if !group.is_empty() {
            let signer = signer.lock().await.clone();
            let n_callers = group.len();
            write_together(&store, group, &mut ids, signer.as_ref(), &mut held).await;
            is_lone = n_callers == 1 && jobs.is_empty();
        }
    }
    drop(held);
    store.close().await;
    for done in closing {
        let _ = done.send(());
    }
}

/// Makes one change of documents.
async fn edit_documents(store: &Store, edit: Edit, ids: &mut SeriesIds, signer: Option<&Signer>) {
    let Edit {
        shelves,
        change,
        more,
        done,
    } = edit;
    let written = async {
        match store {
            Store::Sqlite(pool) => transaction!(pool, BEGIN_SQLITE, connection => {
                apply::sqlite::edit(connection, &shelves, change, more, ids, signer).await?;
            }),
            Store::Postgres(pool) => transaction!(pool, BEGIN_POSTGRES, connection => {
                apply::postgres::edit(connection, &shelves, change, more, ids, signer).await?;
            }),
        }
        Ok::<_, Fault>(())
    };
    let outcome = written.await;
    if outcome.is_err() {
        ids.clear();
    }
    let _ = done.send(outcome);
}

/// Writes batches in one transaction, or, where one of them cannot be written, each in its own.
async fn write_together(
    store: &Store,
    group: Vec<Write>,
    ids: &mut SeriesIds,
    signer: Option<&Signer>,
    held: &mut Option<PoolConnection<Sqlite>>,
) {
    let batches: Vec<&Batch> = group.iter().map(|write| &write.batch).collect();
    if let Store::Sqlite(pool) = store
        && let Some(quick) = Quick::new(&batches, ids)
        && quick.write(pool, held).await.is_ok()
    {
        for write in group {
            let _ = write.done.send(Ok(()));
        }
        return;
    }
    *held = None;
    let mut outcome = write_group(store, &batches, ids, signer).await;
    if group.len() > 1 && outcome.as_ref().is_err_and(Fault::is_of_content) {
        // The others are not to suffer for it.
        for write in group {
            let one = write_group(store, &[&write.batch], ids, signer).await;
            let _ = write.done.send(one);
        }
        return;
    }
    let n_writes = group.len();
    for (at, write) in group.into_iter().enumerate() {
        let result = match &outcome {
            Ok(()) => Ok(()),
            Err(fault) if at + 1 < n_writes => Err(fault.same()),
            Err(_) => std::mem::replace(&mut outcome, Ok(())),
        };
        let _ = write.done.send(result);
    }
}

async fn write_group(
    store: &Store,
    batches: &[&Batch],
    ids: &mut SeriesIds,
    signer: Option<&Signer>,
) -> Result<(), Fault> {
    let written = async {
        match store {
            Store::Sqlite(pool) => transaction!(pool, BEGIN_SQLITE, connection => {
                apply::sqlite::apply(connection, batches, ids, signer).await?;
            }),
            Store::Postgres(pool) => transaction!(pool, BEGIN_POSTGRES, connection => {
                apply::postgres::apply(connection, batches, ids, signer).await?;
            }),
        }
        Ok(())
    };
    let outcome = written.await;
    // A number that was given out within a transaction that failed is void; and all of them together are not to fill the memory.
    if outcome.is_err() || ids.len() > SERIES_KNOWN {
        ids.clear();
    }
    outcome
}

#[cfg(test)]
mod tests {
    use sqlx::Connection;

    use super::*;

    fn budget(name: &str) -> Batch {
        Batch {
            budgets: vec![Budget {
                name: name.to_owned(),
                project: String::new(),
                team: String::new(),
                period: Period::Total,
                limit_micro: Micro(1),
                currency: "USD".to_owned(),
                warn_at_percent: Vec::new(),
                set_us: 0,
            }],
            ..Batch::default()
        }
    }

    /// Someone else holds the ledger for longer than anyone waits.
    async fn is_said_and_passes(
        ledger: &Ledger,
        hold: impl Future<Output = ()>,
        free: impl Future<Output = ()>,
    ) {
        ledger.write(budget("a")).await.expect("writes");
        hold.await;
        let error = ledger.write(budget("a")).await.expect_err("is held");
        assert!(matches!(error.fault, Fault::Busy(_)), "{error:?}");
        assert!(error.to_string().contains("locked"), "{error}");
        assert_eq!(ledger.budgets().await.expect("readers go on").len(), 1);
        free.await;
        ledger.write(budget("b")).await.expect("writes");
        assert_eq!(ledger.budgets().await.expect("reads").len(), 2);
    }

    #[tokio::test]
    async fn a_file_that_others_hold_for_long_is_said_and_passes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        let ledger = Ledger::open(&Place::File(path.clone()), true)
            .await
            .expect("opens");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        let other = sqlx::SqliteConnection::connect_with(&options);
        let other = Mutex::new(other.await.expect("opens"));
        let run = async |text: &'static str| {
            let mut other = other.lock().await;
            sqlx::raw_sql(text)
                .execute(&mut *other)
                .await
                .expect("runs");
        };
        is_said_and_passes(&ledger, run("BEGIN IMMEDIATE"), run("ROLLBACK")).await;
    }

    #[tokio::test]
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    async fn a_database_that_others_hold_for_long_is_said_and_passes() {
        let Ok(server) = std::env::var("OUTLAY_POSTGRES") else {
            eprintln!("skipped on PostgreSQL: OUTLAY_POSTGRES names no server");
            return;
        };
        let name = format!("outlay_test_held_{}", std::process::id());
        let mut owner = sqlx::PgConnection::connect(&server)
            .await
            .expect("connects");
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(create)
            .execute(&mut owner)
            .await
            .expect("creates");
        let address = server.replacen("/postgres?", &format!("/{name}?"), 1);
        let ledger = Ledger::open(&Place::Postgres(address.clone()), true)
            .await
            .expect("opens");
        let other = sqlx::PgConnection::connect(&address).await;
        let other = Mutex::new(other.expect("connects"));
        let run = async |text: &'static str| {
            let mut other = other.lock().await;
            sqlx::raw_sql(text)
                .execute(&mut *other)
                .await
                .expect("runs");
        };
        let hold = "BEGIN; LOCK TABLE outlay.budgets IN SHARE MODE";
        is_said_and_passes(&ledger, run(hold), run("ROLLBACK")).await;
        ledger.close().await;
        let drop = sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
        sqlx::raw_sql(drop)
            .execute(&mut owner)
            .await
            .expect("drops");
    }
}
