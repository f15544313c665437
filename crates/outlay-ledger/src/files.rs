//! Export, import and backup.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::TryStreamExt;
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::Field;
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row};

use crate::error::{Fault, LedgerError};
use crate::ledger::Ledger;
use crate::merkle::{Tree, leaf_hash};
use crate::store::{
    BEGIN_POSTGRES, BEGIN_SQLITE, FORMS, Place, Store, on_snapshot, places_postgres, places_sqlite,
    transaction,
};
use crate::tables::{Cell, Kind, TABLES, Table};

/// Rows handed on at a time.
const ROWS: usize = 10_000;

/// Rows that a group of a Parquet file holds.
const GROUP_ROWS: usize = 100_000;

/// A row of any table.
type Cells = Vec<Cell>;

/// Rows of one table.
type TableRows = (&'static Table, Vec<Cells>);

/// The form in which a ledger is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One file: a header, then a JSON object a line for each row.
    Jsonl,
    /// A folder with a Parquet file for each table.
    Parquet,
}

/// Rows that were exported or imported, by table.
pub type Counts = Vec<(&'static str, u64)>;

fn io(path: &Path) -> impl Fn(std::io::Error) -> Fault {
    let path = path.display().to_string();
    move |error| match error.kind() {
        std::io::ErrorKind::StorageFull => Fault::Full,
        _ => Fault::Unreachable(format!("`{path}`: {error}")),
    }
}

fn newest_form() -> i64 {
    FORMS.last().map_or(0, |form| form.0)
}

/// Where rows go.
trait Sink {
    fn table(&mut self, table: &'static Table) -> Result<(), Fault>;
    fn rows(&mut self, table: &'static Table, rows: Vec<Cells>) -> Result<(), Fault>;
    fn finish(self: Box<Self>) -> Result<(), Fault>;
}

struct JsonlSink {
    out: BufWriter<File>,
    path: PathBuf,
}

impl Sink for JsonlSink {
    fn table(&mut self, _: &'static Table) -> Result<(), Fault> {
        Ok(())
    }

    fn rows(&mut self, table: &'static Table, rows: Vec<Cells>) -> Result<(), Fault> {
        for row in rows {
            writeln!(self.out, "{}", table.json_of_row(&row)).map_err(io(&self.path))?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), Fault> {
        let file = self
            .out
            .into_inner()
            .map_err(|error| io(&self.path)(error.into_error()))?;
        file.sync_all().map_err(io(&self.path))
    }
}

type ParquetTable = (&'static Table, SerializedFileWriter<File>, Vec<Cells>);

struct ParquetSink {
    folder: PathBuf,
    /// The table that is being written, its file, and rows that wait for a group of their own.
    table: Option<ParquetTable>,
}

/// A Parquet schema: every column may be null.
fn schema(table: &Table) -> Result<Arc<parquet::schema::types::Type>, Fault> {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|(name, kind)| match kind {
            Kind::Integer => format!("optional int64 {name};"),
            Kind::Real => format!("optional double {name};"),
            Kind::Text => format!("optional binary {name} (UTF8);"),
            Kind::Bytes => format!("optional binary {name};"),
        })
        .collect();
    parse_message_type(&format!(
        "message {} {{ {} }}",
        table.name,
        columns.join(" ")
    ))
    .map(Arc::new)
    .map_err(of_parquet)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what map_err hands over"
)]
fn of_parquet(error: parquet::errors::ParquetError) -> Fault {
    let text = error.to_string();
    if text.contains("os error 28") {
        Fault::Full
    } else {
        Fault::Database(text)
    }
}

/// Writes rows as one row group.
fn write_group(writer: &mut SerializedFileWriter<File>, rows: &[Cells]) -> Result<(), Fault> {
    let mut group = writer.next_row_group().map_err(of_parquet)?;
    let mut at = 0;
    while let Some(mut column) = group.next_column().map_err(of_parquet)? {
        let cells = || rows.iter().map(|row| &row[at]);
        let there: Vec<i16> = cells().map(|cell| i16::from(*cell != Cell::Null)).collect();
        let levels = Some(&there[..]);
        let written = match cells().find(|cell| **cell != Cell::Null) {
            Some(Cell::Integer(_)) => {
                let values: Vec<i64> = cells()
                    .filter_map(|cell| match cell {
                        Cell::Integer(number) => Some(*number),
                        _ => None,
                    })
                    .collect();
                column
                    .typed::<Int64Type>()
                    .write_batch(&values, levels, None)
            }
            Some(Cell::Real(_)) => {
                let values: Vec<f64> = cells()
                    .filter_map(|cell| match cell {
                        Cell::Real(number) => Some(*number),
                        _ => None,
                    })
                    .collect();
                column
                    .typed::<DoubleType>()
                    .write_batch(&values, levels, None)
            }
            Some(_) => {
                let values: Vec<ByteArray> = cells()
                    .filter_map(|cell| match cell {
                        Cell::Text(text) => Some(text.as_str().into()),
                        Cell::Bytes(bytes) => Some(bytes.clone().into()),
                        _ => None,
                    })
                    .collect();
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&values, levels, None)
            }
            None => match column.untyped() {
                parquet::column::writer::ColumnWriter::Int64ColumnWriter(column) => {
                    column.write_batch(&[], levels, None)
                }
                parquet::column::writer::ColumnWriter::DoubleColumnWriter(column) => {
                    column.write_batch(&[], levels, None)
                }
                parquet::column::writer::ColumnWriter::ByteArrayColumnWriter(column) => {
                    column.write_batch(&[], levels, None)
                }
                _ => Ok(0),
            },
        };
        written.map_err(of_parquet)?;
        column.close().map_err(of_parquet)?;
        at += 1;
    }
    group.close().map_err(of_parquet)?;
    Ok(())
}

impl ParquetSink {
    fn close(&mut self) -> Result<(), Fault> {
        let Some((table, mut writer, rows)) = self.table.take() else {
            return Ok(());
        };
        if !rows.is_empty() {
            write_group(&mut writer, &rows)?;
        }
        let path = self.folder.join(format!("{}.parquet", table.name));
        let file = writer.into_inner().map_err(of_parquet)?;
        file.sync_all().map_err(io(&path))
    }
}

impl Sink for ParquetSink {
    fn table(&mut self, table: &'static Table) -> Result<(), Fault> {
        self.close()?;
        let path = self.folder.join(format!("{}.parquet", table.name));
        let file = File::create_new(&path).map_err(io(&path))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_key_value_metadata(Some(vec![parquet::file::metadata::KeyValue {
                key: "outlay_ledger_form".to_owned(),
                value: Some(newest_form().to_string()),
            }]))
            .build();
        let writer = SerializedFileWriter::new(file, schema(table)?, Arc::new(properties))
            .map_err(of_parquet)?;
        self.table = Some((table, writer, Vec::new()));
        Ok(())
    }

    fn rows(&mut self, _: &'static Table, rows: Vec<Cells>) -> Result<(), Fault> {
        if let Some((_, writer, waiting)) = &mut self.table {
            waiting.extend(rows);
            if waiting.len() >= GROUP_ROWS {
                write_group(writer, waiting)?;
                waiting.clear();
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), Fault> {
        self.close()
    }
}

/// Rows of a database as cells; the two databases' rows are different types.
macro_rules! cells {
    ($row:expr, $table:expr) => {{
        let mut cells = Vec::with_capacity($table.columns.len());
        for (at, (_, kind)) in $table.columns.iter().enumerate() {
            cells.push(match kind {
                Kind::Integer => $row
                    .try_get::<Option<i64>, _>(at)?
                    .map_or(Cell::Null, Cell::Integer),
                Kind::Real => $row
                    .try_get::<Option<f64>, _>(at)?
                    .map_or(Cell::Null, Cell::Real),
                Kind::Text => $row
                    .try_get::<Option<String>, _>(at)?
                    .map_or(Cell::Null, Cell::Text),
                Kind::Bytes => $row
                    .try_get::<Option<Vec<u8>>, _>(at)?
                    .map_or(Cell::Null, Cell::Bytes),
            });
        }
        cells
    }};
}

/// Inserts rows of a table in one statement, in whichever database.
macro_rules! insert {
    ($connection:expr, $places:expr, $table:expr, $rows:expr) => {{
        let text = format!(
            "INSERT INTO {} ({}) VALUES {}",
            $table.name,
            $table.column_list(),
            $places($rows.len(), $table.columns.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(text)).persistent(false);
        for row in $rows {
            for (cell, (_, kind)) in row.into_iter().zip($table.columns) {
                query = match (cell, kind) {
                    (Cell::Integer(number), _) => query.bind(number),
                    (Cell::Real(number), _) => query.bind(number),
                    (Cell::Text(text), _) => query.bind(text),
                    (Cell::Bytes(bytes), _) => query.bind(bytes),
                    (Cell::Null, Kind::Integer) => query.bind(None::<i64>),
                    (Cell::Null, Kind::Real) => query.bind(None::<f64>),
                    (Cell::Null, Kind::Text) => query.bind(None::<String>),
                    (Cell::Null, Kind::Bytes) => query.bind(None::<Vec<u8>>),
                };
            }
        }
        query.execute(&mut *$connection).await?;
    }};
}

impl Ledger {
    /// Writes everything to a file (JSON lines) or a folder (Parquet), as it stood at one instant; the ledger may be written to meanwhile.
    ///
    /// Nothing is left behind when it fails.
    ///
    /// # Errors
    ///
    /// When there is something at `path` already, it cannot be written, or the ledger cannot be read.
    pub async fn export(&self, path: &Path, format: Format) -> Result<Counts, LedgerError> {
        let export = async {
            if path.exists() {
                return Err(Fault::Conflict(format!(
                    "`{}` is there already; nothing was written",
                    path.display()
                )));
            }
            let part = neighbour(path);
            let _ = remove(&part);
            let outcome = self.export_to(&part, format).await.and_then(|counts| {
                std::fs::rename(&part, path).map_err(io(path))?;
                Ok(counts)
            });
            if outcome.is_err() {
                let _ = remove(&part);
            }
            outcome
        };
        export.await.map_err(|fault| self.at(fault))
    }

    async fn export_to(&self, path: &Path, format: Format) -> Result<Counts, Fault> {
        let mut sink: Box<dyn Sink> = match format {
            Format::Jsonl => {
                let file = File::create_new(path).map_err(io(path))?;
                let mut out = BufWriter::new(file);
                let header = json!({"outlay_ledger": newest_form(), "origin": *self.origin()});
                writeln!(out, "{header}").map_err(io(path))?;
                Box::new(JsonlSink {
                    out,
                    path: path.to_path_buf(),
                })
            }
            Format::Parquet => {
                std::fs::create_dir(path).map_err(io(path))?;
                Box::new(ParquetSink {
                    folder: path.to_path_buf(),
                    table: None,
                })
            }
        };
        let mut counts = Vec::new();
        on_snapshot!(self.store(), connection => {
            for table in TABLES {
                sink.table(table)?;
                let text = format!(
                    "SELECT {} FROM {} ORDER BY {}",
                    table.column_list(), table.name, table.order_list()
                );
                let mut stream = sqlx::query(AssertSqlSafe(text)).fetch(&mut *connection);
                let mut n_rows = 0;
                let mut rows = Vec::new();
                while let Some(row) = stream.try_next().await? {
                    rows.push(cells!(row, table));
                    n_rows += 1;
                    if rows.len() == ROWS {
                        sink.rows(table, std::mem::take(&mut rows))?;
                    }
                }
                sink.rows(table, rows)?;
                counts.push((table.name, n_rows));
            }
        });
        sink.finish()?;
        Ok(counts)
    }

    /// Reads an export into this ledger, which must be empty: it becomes the one that was exported, name, evidence and all.
    ///
    /// All of it is taken, or nothing: the evidence is hashed anew, and must be what its checkpoint says.
    /// Open it anew before adding evidence: this handle still goes by the name that it had.
    ///
    /// # Errors
    ///
    /// A ledger that holds something, a file that is no export, rows that cannot be, and evidence that was changed.
    pub async fn import(&self, path: &Path) -> Result<Counts, LedgerError> {
        let import = async {
            let source = Source::open(path)?;
            match self.store() {
                Store::Sqlite(pool) => {
                    Ok::<_, Fault>(transaction!(pool, BEGIN_SQLITE, connection => {
                        import_all!(connection, places_sqlite, source)
                    }))
                }
                Store::Postgres(pool) => Ok(transaction!(pool, BEGIN_POSTGRES, connection => {
                    let counts = import_all!(connection, places_postgres, source);
                    for (table, column) in [("series", "id"), ("spending", "id")] {
                        let text = format!(
                            "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column})) FROM {table}
                             HAVING max({column}) IS NOT NULL"
                        );
                        sqlx::query(AssertSqlSafe(text))
                            .execute(&mut *connection)
                            .await?;
                    }
                    counts
                })),
            }
        };
        let imported = async {
            let counts: Counts = import.await?;
            self.refresh_origin().await?;
            Ok(counts)
        };
        imported.await.map_err(|fault: Fault| self.at(fault))
    }

    /// Copies the ledger to a file while it is in use: another SQLite ledger, as of one instant.
    ///
    /// # Errors
    ///
    /// When there is something at `path` already, it cannot be written, or the ledger cannot be read.
    pub async fn backup(&self, path: &Path) -> Result<(), LedgerError> {
        let backup = async {
            if path.exists() {
                return Err(Fault::Conflict(format!(
                    "`{}` is there already; nothing was written",
                    path.display()
                )));
            }
            let part = neighbour(path);
            let _ = remove(&part);
            let copied = match self.store() {
                Store::Sqlite(pool) => vacuum_into(pool, &part).await,
                Store::Postgres(_) => self.copy_to_file(&part).await,
            };
            let copied = copied.and_then(|()| {
                File::open(&part)
                    .and_then(|file| file.sync_all())
                    .and_then(|()| std::fs::rename(&part, path))
                    .map_err(io(path))
            });
            if copied.is_err() {
                let _ = remove(&part);
            }
            copied
        };
        backup.await.map_err(|fault| self.at(fault))
    }

    /// By way of an export, which is removed again.
    async fn copy_to_file(&self, path: &Path) -> Result<(), Fault> {
        let between = path.with_extension("rows");
        let _ = remove(&between);
        let copied = async {
            self.export_to(&between, Format::Jsonl).await?;
            let copy = Self::open(&Place::File(path.to_path_buf()), true)
                .await
                .map_err(|error| error.fault)?;
            let imported = copy.import(&between).await;
            copy.close().await;
            imported.map_err(|error| error.fault)
        };
        let copied = copied.await.map(|_| ());
        let _ = remove(&between);
        copied
    }
}

async fn vacuum_into(pool: &sqlx::SqlitePool, path: &Path) -> Result<(), Fault> {
    // SQLite would take some relative names, such as `file:a`, for something else than a file.
    let path = std::path::absolute(path).map_err(io(path))?;
    let text = path
        .to_str()
        .ok_or_else(|| Fault::Input(format!("`{}` is no UTF-8", path.display())))?;
    sqlx::query("VACUUM INTO $1")
        .bind(text)
        .execute(pool)
        .await?;
    Ok(())
}

/// A name beside the file, for what is not whole yet.
fn neighbour(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

fn remove(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    }
}

/// What series of older forms lack, from their points.
const FILL_SERIES: &str = "UPDATE series SET
    (last_step, last_at_us, last_value, last_is_nan) = (
        SELECT step, at_us, value, is_nan FROM points WHERE series_id = series.id
        ORDER BY step DESC, at_us DESC, value DESC LIMIT 1),
    (min_value, max_value) = (
        SELECT min(value), max(value) FROM points WHERE series_id = series.id AND is_nan = 0)
    WHERE last_step IS NULL";

/// The body of an import, within a transaction: the same in both databases.
macro_rules! import_all {
    ($connection:ident, $places:expr, $source:expr) => {{
        let (n_rows,): (i64,) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM runs) + (SELECT count(*) FROM evidence)
                 + (SELECT count(*) FROM spending) + (SELECT count(*) FROM budgets)",
        )
        .fetch_one(&mut *$connection)
        .await?;
        if n_rows > 0 {
            return Err(Fault::Conflict(
                "it holds something already; an export can only be read into an empty ledger"
                    .to_owned(),
            ));
        }
        sqlx::query("DELETE FROM ledger")
            .execute(&mut *$connection)
            .await?;
        let mut counts: Counts = TABLES.iter().map(|table| (table.name, 0)).collect();
        let mut evidence = EvidenceCheck::default();
        let mut source = $source;
        while let Some((table, rows)) = source.next()? {
            evidence.see(table, &rows)?;
            for count in &mut counts {
                if count.0 == table.name {
                    count.1 += rows.len() as u64;
                }
            }
            let mut rows = rows.into_iter();
            loop {
                let some: Vec<Cells> = rows.by_ref().take(1000).collect();
                if some.is_empty() {
                    break;
                }
                insert!($connection, $places, table, some);
            }
        }
        evidence.finish()?;
        sqlx::query(FILL_SERIES).execute(&mut *$connection).await?;
        counts
    }};
}
use import_all;

/// Hashes evidence as it passes, and compares it with the head of the export.
#[derive(Default)]
struct EvidenceCheck {
    head: Option<(i64, Vec<u8>, String)>,
    tree: Tree,
}

impl EvidenceCheck {
    fn see(&mut self, table: &Table, rows: &[Cells]) -> Result<(), Fault> {
        for row in rows {
            match (table.name, &row[..]) {
                (
                    "ledger",
                    [
                        _,
                        _,
                        Cell::Integer(size),
                        Cell::Bytes(edge),
                        Cell::Text(checkpoint),
                    ],
                ) => self.head = Some((*size, edge.clone(), checkpoint.clone())),
                (
                    "evidence",
                    [
                        Cell::Integer(position),
                        ..,
                        Cell::Text(record),
                        Cell::Bytes(leaf),
                    ],
                ) => {
                    let hash = leaf_hash(record.as_bytes());
                    if hash[..] != leaf[..] || *position != self.tree.size() as i64 {
                        return Err(Fault::Damaged(format!(
                            "record {position} of the export was changed, or one before it is gone"
                        )));
                    }
                    self.tree.push(hash);
                }
                ("ledger" | "evidence", _) => {
                    return Err(Fault::Damaged(format!(
                        "a row of `{}` is incomplete",
                        table.name
                    )));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Fault> {
        let Some((size, edge, checkpoint)) = self.head else {
            return Err(Fault::Input(
                "the export lacks its row of `ledger`".to_owned(),
            ));
        };
        let root =
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, self.tree.root());
        let is_signed = checkpoint.lines().nth(1) == Some(size.to_string().as_str())
            && checkpoint.lines().nth(2) == Some(root.as_str());
        if size != self.tree.size() as i64
            || edge != self.tree.edge_bytes()
            || !(is_signed || (size == 0 && checkpoint.is_empty()))
        {
            return Err(Fault::Damaged(
                "the evidence of the export is not what its checkpoint says".to_owned(),
            ));
        }
        Ok(())
    }
}

/// An export that is read.
enum Source {
    Jsonl {
        lines: std::io::Lines<BufReader<File>>,
        path: String,
        n_lines: usize,
        /// A row of another table than the one before it.
        ahead: Option<(&'static Table, Cells)>,
    },
    Parquet {
        folder: PathBuf,
        tables: std::slice::Iter<'static, Table>,
        open: Option<(&'static Table, parquet::record::reader::RowIter<'static>)>,
    },
}

impl Source {
    fn open(path: &Path) -> Result<Self, Fault> {
        if path.is_dir() {
            return Ok(Self::Parquet {
                folder: path.to_path_buf(),
                tables: TABLES.iter(),
                open: None,
            });
        }
        let shown = path.display().to_string();
        let no_export =
            |why: &str| Fault::Input(format!("`{shown}` is no export of a ledger: {why}"));
        let file = File::open(path).map_err(io(path))?;
        if !file.metadata().map_err(io(path))?.is_file() {
            return Err(no_export("it is no regular file"));
        }
        let mut lines = BufReader::new(file).lines();
        let header: Value = match lines.next() {
            Some(Ok(line)) => serde_json::from_str(&line).unwrap_or_default(),
            _ => Value::Null,
        };
        match header.get("outlay_ledger").and_then(Value::as_i64) {
            Some(form) if form > newest_form() => Err(Fault::Newer {
                found: form,
                known: newest_form(),
            }),
            Some(_) => Ok(Self::Jsonl {
                lines,
                path: shown,
                n_lines: 1,
                ahead: None,
            }),
            None => Err(no_export("its first line is no header")),
        }
    }

    /// The next rows, all of one table; `None` at the end.
    fn next(&mut self) -> Result<Option<TableRows>, Fault> {
        match self {
            Self::Jsonl {
                lines,
                path,
                n_lines,
                ahead,
            } => {
                let mut table = None;
                let mut rows = Vec::new();
                if let Some((first, row)) = ahead.take() {
                    table = Some(first);
                    rows.push(row);
                }
                while rows.len() < ROWS {
                    let Some(line) = lines.next() else { break };
                    *n_lines += 1;
                    let wrong =
                        |why: String| Fault::Input(format!("`{path}`, line {n_lines}: {why}"));
                    let line = line.map_err(|error| wrong(error.to_string()))?;
                    let value: Value =
                        serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
                    let object = value
                        .as_object()
                        .ok_or_else(|| wrong("no JSON object".to_owned()))?;
                    let name = object
                        .get("table")
                        .and_then(Value::as_str)
                        .unwrap_or_default();
                    let of_row = Table::named(name)
                        .ok_or_else(|| wrong(format!("no table is called `{name}`")))?;
                    let row = of_row.row_of_json(object).map_err(wrong)?;
                    match table {
                        Some(table) if !std::ptr::eq(table, of_row) => {
                            *ahead = Some((of_row, row));
                            break;
                        }
                        _ => {
                            table = Some(of_row);
                            rows.push(row);
                        }
                    }
                }
                Ok(table.map(|table| (table, rows)))
            }
            Self::Parquet {
                folder,
                tables,
                open,
            } => loop {
                if let Some((table, iter)) = open {
                    let path = folder.join(format!("{}.parquet", table.name));
                    let wrong = |why: &str| Fault::Input(format!("`{}`: {why}", path.display()));
                    let mut rows = Vec::new();
                    while rows.len() < ROWS
                        && let Some(row) = calmly(|| iter.next()).map_err(wrong)?
                    {
                        let row = row.map_err(|error| wrong(&error.to_string()))?;
                        rows.push(row_of(table, row).map_err(|why| wrong(&why))?);
                    }
                    if !rows.is_empty() {
                        return Ok(Some((table, rows)));
                    }
                    *open = None;
                }
                let Some(table) = tables.next() else {
                    return Ok(None);
                };
                let iter = calmly(|| open_parquet(folder, table)).map_err(|why| {
                    let path = folder.join(format!("{}.parquet", table.name));
                    Fault::Input(format!("`{}`: {why}", path.display()))
                })??;
                *open = Some((table, iter));
            },
        }
    }
}

/// Calls the reader of Parquet files, which panics at some of the files that are none.
fn calmly<T>(call: impl FnOnce() -> T) -> Result<T, &'static str> {
    // What it was called on is not touched again after a panic.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(call))
        .map_err(|_| "it was changed: its parts do not fit together")
}

fn open_parquet(
    folder: &Path,
    table: &'static Table,
) -> Result<parquet::record::reader::RowIter<'static>, Fault> {
    let path = folder.join(format!("{}.parquet", table.name));
    let wrong = |why: String| Fault::Input(format!("`{}`: {why}", path.display()));
    let file = File::open(&path).map_err(|error| wrong(error.to_string()))?;
    let reader = SerializedFileReader::new(file).map_err(|error| wrong(error.to_string()))?;
    let metadata = reader.metadata().file_metadata();
    let form = metadata
        .key_value_metadata()
        .and_then(|pairs| pairs.iter().find(|pair| pair.key == "outlay_ledger_form"))
        .and_then(|pair| pair.value.as_ref()?.parse::<i64>().ok());
    match form {
        Some(form) if form > newest_form() => {
            return Err(Fault::Newer {
                found: form,
                known: newest_form(),
            });
        }
        Some(_) => {}
        None => return Err(wrong("it is no export of a ledger".to_owned())),
    }
    let names: Vec<&str> = metadata
        .schema_descr()
        .columns()
        .iter()
        .map(|c| c.name())
        .collect();
    let known: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
    let n_first = known.len() - table.later.len();
    if names.len() < n_first || !known.starts_with(&names) {
        return Err(wrong(format!(
            "its columns are {}; allowed: {}",
            names.join(", "),
            table.column_list()
        )));
    }
    Ok(parquet::record::reader::RowIter::from_file_into(Box::new(
        reader,
    )))
}

fn row_of(table: &Table, row: parquet::record::Row) -> Result<Cells, String> {
    let cells: Result<Cells, String> = row
        .into_columns()
        .into_iter()
        .zip(table.columns)
        .map(|((name, field), (_, kind))| match (field, kind) {
            (Field::Null, _) => Ok(Cell::Null),
            (Field::Long(number), Kind::Integer) => Ok(Cell::Integer(number)),
            (Field::Double(number), Kind::Real) => Ok(Cell::Real(number)),
            (Field::Str(text), Kind::Text) => Ok(Cell::Text(text)),
            (Field::Bytes(bytes), Kind::Bytes) => Ok(Cell::Bytes(bytes.data().to_vec())),
            (field, _) => Err(format!("column `{name}` holds {field}")),
        })
        .collect();
    cells.map(|cells| table.filled(cells))
}
