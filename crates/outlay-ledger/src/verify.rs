//! Whether the evidence is what was recorded: every record, the tree over them, and the signature.

use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value;

use crate::canonical::canonical;
use crate::error::{Fault, LedgerError};
use crate::ledger::Ledger;
use crate::merkle::{Hash, Tree, inclusion_proof, leaf_hash};
use crate::note::{Checkpoint, NoteError, VerifyKey, hex};
use crate::record::{Evidence, Micro};
use crate::store::on;

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

struct Row {
    position: i64,
    kind: String,
    subject: String,
    recorded_us: i64,
    who: String,
    record: String,
    leaf: Vec<u8>,
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

fn check(row: &Row) -> Checked {
    let position = row.position;
    let leaf = leaf_hash(row.record.as_bytes());
    let value: Option<Value> = serde_json::from_str(&row.record).ok();
    let is_canonical = value
        .as_ref()
        .and_then(|value| canonical(value).ok())
        .is_some_and(|text| text == row.record);
    let evidence = value.as_ref().and_then(Evidence::from_record);
    let tampering = match &evidence {
        Some(evidence) if is_canonical && leaf[..] == row.leaf[..] => {
            let differs = [
                ("kind", evidence.kind != row.kind),
                ("subject", evidence.subject != row.subject),
                ("recorded_us", evidence.recorded_us != row.recorded_us),
                ("who", evidence.who != row.who),
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
    let spent = evidence
        .filter(|evidence| evidence.kind == "run")
        .and_then(|evidence| {
            let run = evidence.subject.strip_prefix("run/")?.to_owned();
            Some((run, evidence.body.get("spent_micro")?.as_i64()?))
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
        let keys_given = !trusted.is_empty();
        let trusted: Vec<VerifyKey> = if keys_given {
            trusted.to_vec()
        } else {
            self.signers()
                .await?
                .into_iter()
                .map(|(key, _)| key)
                .collect()
        };
        let walk = self.walk(&trusted, keys_given, earlier);
        walk.await.map_err(|fault| self.at(fault))
    }

    async fn walk(
        &self,
        trusted: &[VerifyKey],
        keys_given: bool,
        earlier: Option<&str>,
    ) -> Result<Verification, Fault> {
        // The head first: records that are added meanwhile lie behind it, and are left out.
        let (size, edge, note): (i64, Vec<u8>, String) = on!(self.store(), connection => {
            sqlx::query_as("SELECT size, edge, checkpoint FROM ledger").fetch_one(connection).await?
        });
        let mut found = Findings::default();
        let mut signed_by = None;
        let head = if size == 0 && note.is_empty() {
            None
        } else {
            match Checkpoint::open(&note, trusted) {
                Ok((checkpoint, key)) if checkpoint.origin == *self.origin() => {
                    signed_by = Some(key.to_text());
                    Some(checkpoint)
                }
                Ok((checkpoint, _)) => {
                    found.add(Tampering::Signature {
                        why: format!("the checkpoint is of another ledger, {}", checkpoint.origin),
                    });
                    None
                }
                Err(error) => {
                    found.add(Tampering::Signature {
                        why: error.to_string(),
                    });
                    None
                }
            }
        };
        let earlier = match earlier.map(|note| open_earlier(note, trusted, &self.origin())) {
            Some(Ok(checkpoint)) => Some(checkpoint),
            Some(Err(why)) => {
                found.add(Tampering::Signature {
                    why: format!("the earlier checkpoint: {why}"),
                });
                None
            }
            None => None,
        };
        // What is to be there: as the signature says, which a forger of the number beside it cannot change.
        let expected = head.as_ref().map_or(size, |head| head.size as i64);
        let mut tree = Tree::default();
        let mut at_earlier = None;
        let mut spent = Vec::new();
        let mut last_us = i64::MIN;
        let mut next = 0;
        let mut page = self.page(0).await?;
        while !page.is_empty() {
            let after = page.last().map_or(0, |row| row.position + 1);
            // Hashing one page while the next is read.
            let hashing =
                tokio::task::spawn_blocking(move || page.par_iter().map(check).collect::<Vec<_>>());
            let following = if after < expected {
                self.page(after).await?
            } else {
                Vec::new()
            };
            let checked = hashing
                .await
                .map_err(|error| Fault::Database(error.to_string()))?;
            for one in checked {
                if one.position >= expected {
                    break;
                }
                for position in next..one.position.min(next + LISTED as i64) {
                    found.add(Tampering::Missing { position });
                }
                next = one.position + 1;
                if let Some(tampering) = one.tampering {
                    found.add(tampering);
                }
                if one.recorded_us < last_us {
                    found.note(format!(
                        "record {} is dated {:.0} s before the one before it: the clock went back",
                        one.position,
                        (last_us - one.recorded_us) as f64 / 1e6
                    ));
                }
                last_us = one.recorded_us;
                spent.extend(one.spent);
                tree.push(one.leaf);
                if earlier
                    .as_ref()
                    .is_some_and(|earlier| earlier.size == tree.size())
                {
                    at_earlier = Some(tree.root());
                }
            }
            page = following;
        }
        for position in next..expected.min(next + LISTED as i64) {
            found.add(Tampering::Missing { position });
        }
        if let Some(head) = &head {
            let rest: Option<(i64,)> = on!(self.store(), connection => {
                sqlx::query_as(
                    "SELECT position FROM evidence WHERE position >= $1 AND $1 >= (SELECT size FROM ledger)
                     ORDER BY position LIMIT 1",
                ).bind(expected).fetch_optional(connection).await?
            });
            if let Some((position,)) = rest {
                found.add(Tampering::Unsigned { position });
            }
            if head.root != tree.root()
                || Tree::from_edge(head.size, &edge).is_none_or(|edge| edge.root() != head.root)
            {
                found.add(Tampering::RootDiffers {
                    size: tree.size(),
                    signed: hex(&head.root),
                    found: hex(&tree.root()),
                });
            }
        }
        if let Some(earlier) = &earlier {
            let why = match at_earlier {
                _ if earlier.size == 0 => None,
                Some(root) if root == earlier.root => None,
                Some(_) => Some("they were other records, or in another order"),
                None => Some("some of them are gone"),
            };
            if let Some(why) = why {
                found.add(Tampering::Rewritten {
                    earlier_size: earlier.size,
                    why: why.to_owned(),
                });
            }
        }
        self.check_spending(&spent, &mut found).await?;
        Ok(Verification {
            origin: self.origin().to_string(),
            size: tree.size(),
            root: hex(&tree.root()),
            signed_by,
            keys_given,
            tampering: found.tampering,
            notes: found.notes,
        })
    }

    async fn page(&self, from: i64) -> Result<Vec<Row>, Fault> {
        type Columns = (i64, String, String, i64, String, String, Vec<u8>);
        let rows: Vec<Columns> = on!(self.store(), connection => {
            sqlx::query_as(
                "SELECT position, kind, subject, recorded_us, who, record, leaf FROM evidence
                 WHERE position >= $1 ORDER BY position LIMIT $2",
            ).bind(from).bind(PAGE).fetch_all(connection).await?
        });
        Ok(rows
            .into_iter()
            .map(
                |(position, kind, subject, recorded_us, who, record, leaf)| Row {
                    position,
                    kind,
                    subject,
                    recorded_us,
                    who,
                    record,
                    leaf,
                },
            )
            .collect())
    }

    /// Whether the entries of each run add up to what its last record says.
    async fn check_spending(
        &self,
        recorded: &[(String, i64)],
        found: &mut Findings,
    ) -> Result<(), Fault> {
        let last: std::collections::BTreeMap<&String, i64> =
            recorded.iter().map(|(run, micro)| (run, *micro)).collect();
        if last.is_empty() {
            return Ok(());
        }
        let sums: Vec<(String, i64)> = on!(self.store(), connection => {
            sqlx::query_as(
                "SELECT run_id, CAST(sum(amount_micro) AS BIGINT) FROM spending
                 WHERE run_id IS NOT NULL GROUP BY run_id",
            ).fetch_all(connection).await?
        });
        let sums: std::collections::HashMap<String, i64> = sums.into_iter().collect();
        for (run_id, recorded_micro) in last {
            let found_micro = sums.get(run_id).copied().unwrap_or(0);
            if found_micro != recorded_micro {
                found.add(Tampering::SpendingDiffers {
                    run_id: run_id.clone(),
                    recorded_micro,
                    found_micro,
                });
            }
        }
        Ok(())
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
