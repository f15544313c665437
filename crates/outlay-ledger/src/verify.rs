//! Whether the evidence is what was recorded: every record, the tree over them, and the signature.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgConnection, SqliteConnection};

use crate::error::{Fault, LedgerError};
use crate::ledger::Ledger;
use crate::merkle::{Hash, Tree, inclusion_proof, leaf_hash};
use crate::note::{Checkpoint, NoteError, VerifyKey, hex};
use crate::record::Micro;
use crate::store::{SNAPSHOT_POSTGRES, SNAPSHOT_SQLITE, Store, on, transaction};

/// Records read at a time.
const PAGE: i64 = 20_000;

/// Something that shows that the evidence is not what was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Tampering {
    /// A record's text no longer has the hash that was taken of it.
    Changed {
        /// Its position.
        position: i64,
    },
    /// A column says something else than the record beside it.
    ColumnDiffers {
        /// Its position.
        position: i64,
        /// Which column.
        column: String,
    },
    /// No record at a position at which there was one.
    Missing {
        /// The position.
        position: i64,
    },
    /// More records than the tree holds.
    Unsigned {
        /// The first of them.
        position: i64,
    },
    /// The records, each sound by itself, are not those that were signed, or not in that order.
    RootDiffers {
        /// Number of records.
        size: u64,
        /// The root that was signed, in hexadecimal.
        signed: String,
        /// The root of what is there.
        found: String,
    },
    /// The checkpoint is unsigned, forged, or by a key that is not trusted.
    Signature {
        /// Why.
        why: String,
    },
    /// An earlier checkpoint saw more records, or others.
    Rewritten {
        /// Number of records that the earlier checkpoint saw.
        earlier_size: u64,
        /// What differs.
        why: String,
    },
    /// The entries of spending of a run do not add up to what its evidence says.
    SpendingDiffers {
        /// The run.
        run_id: String,
        /// What the evidence says, in millionths.
        recorded_micro: i64,
        /// What the entries add up to.
        found_micro: i64,
    },
}

impl std::fmt::Display for Tampering {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Changed { position } => write!(out, "record {position} was changed"),
            Self::ColumnDiffers { position, column } => write!(
                out,
                "record {position}: its column `{column}` was changed, and differs from the record"
            ),
            Self::Missing { position } => write!(out, "record {position} was deleted"),
            Self::Unsigned { position } => write!(
                out,
                "record {position} and any behind it were put in without being signed"
            ),
            Self::RootDiffers { size, .. } => write!(
                out,
                "the {size} records are not those that were signed, or not in that order"
            ),
            Self::Signature { why } => write!(out, "{why}"),
            Self::Rewritten { earlier_size, why } => write!(
                out,
                "an earlier checkpoint saw {earlier_size} records: {why}"
            ),
            Self::SpendingDiffers {
                run_id,
                recorded_micro,
                found_micro,
            } => write!(
                out,
                "run {run_id} was recorded as having spent {}, and its entries add up to {}",
                Micro(*recorded_micro).units(),
                Micro(*found_micro).units()
            ),
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Which ledger.
    pub origin: String,
    /// Number of records.
    pub size: u64,
    /// The root over what is there, in hexadecimal.
    pub root: String,
    /// Who signed the last checkpoint, as a verifier key.
    pub signed_by: Option<String>,
    /// Whether the keys that were trusted were handed in, and not taken from the ledger itself.
    pub keys_given: bool,
    /// What shows that something was changed; empty when all is sound.
    pub tampering: Vec<Tampering>,
    /// What is odd and proves nothing: records dated before their predecessors.
    pub notes: Vec<String>,
}

/// Most findings that are listed: one is enough to know, and a million would say no more.
const LISTED: usize = 100;

/// A record, and the columns beside it.
#[derive(Debug, PartialEq)]
struct Row<'a> {
    position: i64,
    kind: &'a str,
    subject: &'a str,
    recorded_us: i64,
    who: &'a str,
    record: &'a str,
    /// The hash that was taken of it, where it is one.
    leaf: Option<Hash>,
}

/// What one record shows by itself.
struct Checked {
    position: i64,
    leaf: Hash,
    recorded_us: i64,
    tampering: Option<Tampering>,
    /// What a run's record says that it spent.
    spent: Option<(String, i64)>,
}

/// The fields of a record, looked at where they stand.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    subject: Cow<'a, str>,
    #[serde(rename = "body")]
    _body: IgnoredAny,
    #[serde(borrow)]
    when: Cow<'a, str>,
    #[serde(borrow)]
    who: Cow<'a, str>,
}

/// That the text is the very one whose hash was signed is for the hash to say; so it is not written canonically again, which would take most of the time.
fn check(row: &Row<'_>) -> Checked {
    let position = row.position;
    let leaf = leaf_hash(row.record.as_bytes());
    let fields = serde_json::from_str::<Fields>(row.record).ok();
    let recorded_us = fields
        .as_ref()
        .and_then(|fields| outlay_units::parse_timestamp(&fields.when));
    let tampering = match (&fields, recorded_us) {
        (Some(fields), Some(recorded_us)) if Some(leaf) == row.leaf => {
            let differs = [
                ("kind", fields.kind != row.kind),
                ("subject", fields.subject != row.subject),
                ("recorded_us", recorded_us != row.recorded_us),
                ("who", fields.who != row.who),
            ];
            differs
                .iter()
                .find(|(_, differs)| *differs)
                .map(|(column, _)| Tampering::ColumnDiffers {
                    position,
                    column: (*column).to_owned(),
                })
        }
        _ => Some(Tampering::Changed { position }),
    };
    let spent = fields
        .filter(|fields| fields.kind == "run")
        .and_then(|fields| {
            let run = fields.subject.strip_prefix("run/")?.to_owned();
            let record: Value = serde_json::from_str(row.record).ok()?;
            Some((run, record.get("body")?.get("spent_micro")?.as_i64()?))
        });
    Checked {
        position,
        leaf,
        recorded_us: row.recorded_us,
        tampering,
        spent,
    }
}

impl Ledger {
    /// The last checkpoint that was signed; empty while there is no evidence.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub async fn checkpoint(&self) -> Result<String, LedgerError> {
        let read = async {
            let (note,): (String,) = on!(self.store(), connection => {
                sqlx::query_as("SELECT checkpoint FROM ledger").fetch_one(connection).await?
            });
            Ok(note)
        };
        read.await.map_err(|fault| self.at(fault))
    }

    /// The keys that have signed checkpoints, with their holders.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read, or a key is none.
    pub async fn signers(&self) -> Result<Vec<(VerifyKey, String)>, LedgerError> {
        let read = async {
            let rows: Vec<(String, String)> = on!(self.store(), connection => {
                sqlx::query_as("SELECT verify_key, who FROM signers ORDER BY since_us")
                    .fetch_all(connection).await?
            });
            rows.into_iter()
                .map(|(key, who)| match VerifyKey::from_text(&key) {
                    Ok(key) => Ok((key, who)),
                    Err(error) => Err(Fault::Damaged(error.to_string())),
                })
                .collect::<Result<_, _>>()
        };
        read.await.map_err(|fault| self.at(fault))
    }

    /// The hashes of a record's leaf and of the nodes that lead from it to the root over all records.
    ///
    /// # Errors
    ///
    /// When there is no such record, or the ledger cannot be read.
    pub async fn inclusion_proof(&self, position: i64) -> Result<Vec<Hash>, LedgerError> {
        let read = async {
            let rows: Vec<(Vec<u8>,)> = on!(self.store(), connection => {
                sqlx::query_as("SELECT leaf FROM evidence ORDER BY position")
                    .fetch_all(connection).await?
            });
            let leaves: Option<Vec<Hash>> = rows
                .into_iter()
                .map(|(leaf,)| leaf.try_into().ok())
                .collect();
            let leaves = leaves.ok_or_else(|| Fault::Damaged("a leaf is no hash".to_owned()))?;
            usize::try_from(position)
                .ok()
                .and_then(|position| inclusion_proof(&leaves, position))
                .ok_or_else(|| {
                    let n_leaves = leaves.len();
                    Fault::Missing(format!(
                        "there is no record {position}; there are {n_leaves}"
                    ))
                })
        };
        read.await.map_err(|fault| self.at(fault))
    }

    /// Checks every record, the tree over them, its signature, and whether it continues an earlier checkpoint.
    ///
    /// `trusted` are the keys whose signatures count; where it is empty, those that the ledger names, which shows mistakes but no forger who writes keys too.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read. What is not as it was recorded is no error, but in the answer.
    pub async fn verify(
        &self,
        trusted: &[VerifyKey],
        earlier: Option<&str>,
    ) -> Result<Verification, LedgerError> {
        let walked = async {
            // One instant for everything: what is added meanwhile, records and spending alike, is left out.
            Ok(match self.store() {
                Store::Sqlite(pool) => transaction!(pool, SNAPSHOT_SQLITE, connection => {
                    walk!(connection, page_sqlite, trusted, earlier)
                }),
                Store::Postgres(pool) => transaction!(pool, SNAPSHOT_POSTGRES, connection => {
                    walk!(connection, page_postgres, trusted, earlier)
                }),
            })
        };
        walked.await.map_err(|fault| self.at(fault))
    }
}

type Columns = (i64, String, String, i64, String, String, Vec<u8>);

const COLUMNS: &str = "SELECT position, kind, subject, recorded_us, who, record, leaf FROM evidence
    WHERE position >= $1 ORDER BY position LIMIT $2";

/// Records that follow each other, as they were read.
enum Page {
    Rows(Vec<Columns>),
    /// All of them in one text, by `PACKED`: handed over one by one, with seven columns each, they take most of the time of a verification.
    Packed {
        n_rows: i64,
        text: String,
    },
}

/// Each record as six numbers and a hash with a blank after each, and then its texts, of which four of the numbers are the lengths.
const PACKED: &str = "SELECT count(*), coalesce(group_concat(packed, ''), '') FROM (
    SELECT position || ' ' || recorded_us || ' ' || octet_length(kind) || ' ' || octet_length(subject) || ' '
        || octet_length(who) || ' ' || octet_length(record) || ' ' || hex(leaf) || ' '
        || kind || subject || who || record AS packed
    FROM evidence WHERE position >= $1 ORDER BY position LIMIT $2)";

/// Takes the first record of a packed text; `None` where it is none.
fn unpacked<'a>(text: &mut &'a str) -> Option<Row<'a>> {
    let mut numbers = [0; 6];
    for number in &mut numbers {
        let (digits, rest) = text.split_once(' ')?;
        *number = digits.parse::<i64>().ok()?;
        *text = rest;
    }
    let (leaf, rest) = text.split_once(' ')?;
    *text = rest;
    let mut part = |number: i64| {
        let (part, rest) = text.split_at_checked(usize::try_from(number).ok()?)?;
        *text = rest;
        Some(part)
    };
    Some(Row {
        position: numbers[0],
        recorded_us: numbers[1],
        kind: part(numbers[2])?,
        subject: part(numbers[3])?,
        who: part(numbers[4])?,
        record: part(numbers[5])?,
        leaf: hash_of(leaf),
    })
}

fn hash_of(digits: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    if digits.len() != 2 * hash.len() || !digits.is_ascii() {
        return None;
    }
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(hash)
}

impl Page {
    /// The records; `None` where what was packed is not so many of them, one behind the other.
    fn rows(&self) -> Option<Vec<Row<'_>>> {
        match self {
            Self::Rows(rows) => Some(rows.iter().map(row_of).collect()),
            Self::Packed { n_rows, text } => {
                let mut left = text.as_str();
                let mut rows = Vec::new();
                while !left.is_empty() {
                    rows.push(unpacked(&mut left)?);
                }
                let is_sorted = rows.is_sorted_by(|one, other| one.position < other.position);
                (rows.len() as i64 == *n_rows && is_sorted).then_some(rows)
            }
        }
    }

    /// The position of the last record.
    fn last(&self) -> Option<i64> {
        self.rows()?.last().map(|row| row.position)
    }
}

fn row_of((position, kind, subject, recorded_us, who, record, leaf): &Columns) -> Row<'_> {
    Row {
        position: *position,
        kind,
        subject,
        recorded_us: *recorded_us,
        who,
        record,
        leaf: leaf.as_slice().try_into().ok(),
    }
}

/// Reads records from a position on.
async fn page_sqlite(connection: &mut SqliteConnection, from: i64) -> Result<Page, Fault> {
    let packed = sqlx::query_as(PACKED)
        .bind(from)
        .bind(PAGE)
        .fetch_one(&mut *connection)
        .await;
    if let Ok((n_rows, text)) = packed {
        let page = Page::Packed { n_rows, text };
        if page.rows().is_some() {
            return Ok(page);
        }
    }
    // Something is there that no ledger writes: one by one, it is seen what.
    let rows = sqlx::query_as(COLUMNS).bind(from).bind(PAGE);
    Ok(Page::Rows(rows.fetch_all(&mut *connection).await?))
}

async fn page_postgres(connection: &mut PgConnection, from: i64) -> Result<Page, Fault> {
    let rows = sqlx::query_as(COLUMNS).bind(from).bind(PAGE);
    Ok(Page::Rows(rows.fetch_all(&mut *connection).await?))
}

/// Reads everything that is to be checked, a page at a time, on a connection to either database.
macro_rules! walk {
    ($connection:ident, $page:path, $trusted:expr, $earlier:expr) => {{
        let (origin, size, edge, note): (String, i64, Vec<u8>, String) =
            sqlx::query_as("SELECT origin, size, edge, checkpoint FROM ledger")
                .fetch_one(&mut *$connection)
                .await?;
        let keys_given = !$trusted.is_empty();
        let trusted = if keys_given {
            $trusted.to_vec()
        } else {
            let rows: Vec<(String,)> = sqlx::query_as("SELECT verify_key FROM signers")
                .fetch_all(&mut *$connection)
                .await?;
            let keys: Result<Vec<VerifyKey>, _> = rows
                .iter()
                .map(|(key,)| VerifyKey::from_text(key))
                .collect();
            keys.map_err(|error| Fault::Damaged(error.to_string()))?
        };
        let mut walk = Walk::new(origin, size, &note, &trusted, $earlier);
        let mut from = i64::MIN;
        let mut hashing: Option<tokio::task::JoinHandle<Vec<Checked>>> = None;
        loop {
            let page = $page(&mut *$connection, from).await?;
            // One page is hashed while the next is read.
            if let Some(hashing) = hashing.take() {
                walk.take(
                    hashing
                        .await
                        .map_err(|error| Fault::Database(error.to_string()))?,
                );
            }
            let Some(last) = page.last() else { break };
            from = last.saturating_add(1);
            hashing = Some(tokio::task::spawn_blocking(move || {
                let rows = page.rows().unwrap_or_default();
                rows.par_iter().map(check).collect()
            }));
        }
        let sums: Vec<(String, i64)> = if walk.spent.is_empty() {
            Vec::new()
        } else {
            sqlx::query_as(
                "SELECT run_id, CAST(sum(amount_micro) AS BIGINT) FROM spending
                 WHERE run_id IS NOT NULL GROUP BY run_id",
            )
            .fetch_all(&mut *$connection)
            .await?
        };
        walk.end(&edge, &sums, keys_given)
    }};
}
use walk;

/// What is known of the evidence so far, record after record.
struct Walk {
    origin: String,
    head: Option<Checkpoint>,
    signed_by: Option<String>,
    earlier: Option<Checkpoint>,
    /// Records that are to be there: as the signature says, which a forger of the number beside it cannot change.
    expected: i64,
    tree: Tree,
    at_earlier: Option<Hash>,
    spent: Vec<(String, i64)>,
    last_us: i64,
    next: i64,
    /// The first record that lies where the tree has none.
    unsigned: Option<i64>,
    found: Findings,
}

impl Walk {
    fn new(
        origin: String,
        size: i64,
        note: &str,
        trusted: &[VerifyKey],
        earlier: Option<&str>,
    ) -> Self {
        let mut found = Findings::default();
        let mut signed_by = None;
        let mut head = None;
        if size != 0 || !note.is_empty() {
            match Checkpoint::open(note, trusted) {
                Ok((checkpoint, key)) if checkpoint.origin == origin => {
                    signed_by = Some(key.to_text());
                    head = Some(checkpoint);
                }
                Ok((checkpoint, _)) => found.add(Tampering::Signature {
                    why: format!("the checkpoint is of another ledger, {}", checkpoint.origin),
                }),
                Err(error) => found.add(Tampering::Signature {
                    why: error.to_string(),
                }),
            }
        }
        let earlier = match earlier.map(|note| open_earlier(note, trusted, &origin)) {
            Some(Ok(checkpoint)) => Some(checkpoint),
            Some(Err(why)) => {
                found.add(Tampering::Signature {
                    why: format!("the earlier checkpoint: {why}"),
                });
                None
            }
            None => None,
        };
        Self {
            expected: head.as_ref().map_or(size, |head| head.size as i64),
            origin,
            head,
            signed_by,
            earlier,
            tree: Tree::default(),
            at_earlier: None,
            spent: Vec::new(),
            last_us: i64::MIN,
            next: 0,
            unsigned: None,
            found,
        }
    }

    /// Takes the records that follow.
    fn take(&mut self, records: Vec<Checked>) {
        for one in records {
            if one.position < 0 || one.position >= self.expected {
                self.unsigned.get_or_insert(one.position);
                continue;
            }
            self.miss_until(one.position);
            self.next = one.position + 1;
            if let Some(tampering) = one.tampering {
                self.found.add(tampering);
            }
            if one.recorded_us < self.last_us {
                self.found.note(format!(
                    "record {} is dated {:.0} s before the one before it: the clock went back",
                    one.position,
                    (self.last_us as f64 - one.recorded_us as f64) / 1e6
                ));
            }
            self.last_us = one.recorded_us;
            self.spent.extend(one.spent);
            self.tree.push(one.leaf);
            if let Some(earlier) = &self.earlier
                && earlier.size == self.tree.size()
            {
                self.at_earlier = Some(self.tree.root());
            }
        }
    }

    fn miss_until(&mut self, end: i64) {
        for position in self.next..end.min(self.next.saturating_add(LISTED as i64)) {
            self.found.add(Tampering::Missing { position });
        }
    }

    fn end(mut self, edge: &[u8], sums: &[(String, i64)], keys_given: bool) -> Verification {
        self.miss_until(self.expected);
        if let Some(position) = self.unsigned {
            self.found.add(Tampering::Unsigned { position });
        }
        if let Some(head) = &self.head
            && (head.root != self.tree.root()
                || Tree::from_edge(head.size, edge).is_none_or(|edge| edge.root() != head.root))
        {
            self.found.add(Tampering::RootDiffers {
                size: self.tree.size(),
                signed: hex(&head.root),
                found: hex(&self.tree.root()),
            });
        }
        if let Some(earlier) = &self.earlier {
            let why = match self.at_earlier {
                _ if earlier.size == 0 => None,
                Some(root) if root == earlier.root => None,
                Some(_) => Some("they were other records, or in another order"),
                None => Some("some of them are gone"),
            };
            if let Some(why) = why {
                self.found.add(Tampering::Rewritten {
                    earlier_size: earlier.size,
                    why: why.to_owned(),
                });
            }
        }
        self.compare_spending(sums);
        Verification {
            origin: self.origin,
            size: self.tree.size(),
            root: hex(&self.tree.root()),
            signed_by: self.signed_by,
            keys_given,
            tampering: self.found.tampering,
            notes: self.found.notes,
        }
    }

    /// Whether the entries of each run add up to what its last record says.
    fn compare_spending(&mut self, sums: &[(String, i64)]) {
        let last: BTreeMap<&String, i64> = self
            .spent
            .iter()
            .map(|(run, micro)| (run, *micro))
            .collect();
        let sums: BTreeMap<&String, i64> = sums.iter().map(|(run, micro)| (run, *micro)).collect();
        for (run_id, recorded_micro) in last {
            let found_micro = sums.get(run_id).copied().unwrap_or(0);
            if found_micro != recorded_micro {
                self.found.add(Tampering::SpendingDiffers {
                    run_id: run_id.clone(),
                    recorded_micro,
                    found_micro,
                });
            }
        }
    }
}

fn open_earlier(note: &str, trusted: &[VerifyKey], origin: &str) -> Result<Checkpoint, String> {
    let (checkpoint, _) =
        Checkpoint::open(note, trusted).map_err(|error: NoteError| error.to_string())?;
    if checkpoint.origin == origin {
        Ok(checkpoint)
    } else {
        Err(format!("it is of another ledger, {}", checkpoint.origin))
    }
}

#[derive(Default)]
struct Findings {
    tampering: Vec<Tampering>,
    notes: Vec<String>,
}

impl Findings {
    fn add(&mut self, tampering: Tampering) {
        if self.tampering.len() < LISTED {
            self.tampering.push(tampering);
        }
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < LISTED {
            self.notes.push(note);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sqlx::Connection;

    use super::*;

    async fn with_table() -> SqliteConnection {
        let mut connection = SqliteConnection::connect("sqlite::memory:")
            .await
            .expect("opens");
        sqlx::raw_sql(
            "CREATE TABLE evidence (position INTEGER PRIMARY KEY, kind TEXT, subject TEXT, recorded_us INTEGER,
                 who TEXT, record TEXT, leaf BLOB)",
        )
        .execute(&mut connection)
        .await
        .expect("is made");
        connection
    }

    async fn insert(connection: &mut SqliteConnection, position: i64, texts: &[String; 4]) {
        sqlx::query("INSERT INTO evidence VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(position)
            .bind(&texts[0])
            .bind(&texts[1])
            .bind(-position)
            .bind(&texts[2])
            .bind(&texts[3])
            .bind(leaf_hash(texts[3].as_bytes()).to_vec())
            .execute(connection)
            .await
            .expect("is put in");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever the texts, a zero byte in them included.
        #[test]
        fn packed_records_are_the_same(texts in prop::collection::vec(prop::array::uniform4("[a-c0-9 \\x00é🦀]{0,9}"), 0..9)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                let mut connection = with_table().await;
                for (at, texts) in texts.iter().enumerate() {
                    insert(&mut connection, 7 * at as i64 - 20, texts).await;
                }
                let page = page_sqlite(&mut connection, -13).await.expect("reads");
                assert!(matches!(page, Page::Packed { .. }));
                let plain = sqlx::query_as(COLUMNS).bind(-13).bind(PAGE);
                let plain = Page::Rows(plain.fetch_all(&mut connection).await.expect("reads"));
                assert_eq!(page.rows(), plain.rows());
            });
        }

        #[test]
        fn any_text_is_unpacked_without_panic(text in "[0-9 aé-]{0,60}") {
            let mut left = text.as_str();
            while let Some(row) = unpacked(&mut left) {
                prop_assert!(row.record.len() <= text.len());
            }
        }
    }

    #[tokio::test]
    async fn what_cannot_be_packed_is_read_one_by_one() {
        let odd = [
            "UPDATE evidence SET kind = NULL WHERE position = 1",
            "UPDATE evidence SET recorded_us = 1.5 WHERE position = 1",
            "UPDATE evidence SET recorded_us = 'soon' WHERE position = 1",
        ];
        for change in odd {
            let mut connection = with_table().await;
            for position in 0..3 {
                insert(
                    &mut connection,
                    position,
                    &["a", "b", "c", "{}"].map(str::to_owned),
                )
                .await;
            }
            sqlx::raw_sql(change)
                .execute(&mut connection)
                .await
                .expect("is changed");
            let page = page_sqlite(&mut connection, 0).await;
            assert!(!matches!(page, Ok(Page::Packed { .. })), "{change}");
        }
    }
}
