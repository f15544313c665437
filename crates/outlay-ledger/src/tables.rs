//! The tables as rows of plain cells, for export, import and copies.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Integer,
    Real,
    Text,
    Bytes,
}

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A table, with the columns by which its rows are ordered first.
#[derive(Debug)]
pub(crate) struct Table {
    pub name: &'static str,
    pub columns: &'static [(&'static str, Kind)],
    /// How many of the columns, from the first, tell rows apart.
    pub n_key: usize,
    /// What the last columns hold in the rows of ledgers whose form lacked them.
    pub later: &'static [Later],
}

/// What a column holds in rows that are older than it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Later {
    Null,
    Zero,
    Text(&'static str),
}

impl Later {
    fn cell(self) -> Cell {
        match self {
            Self::Null => Cell::Null,
            Self::Zero => Cell::Integer(0),
            Self::Text(text) => Cell::Text(text.to_owned()),
        }
    }
}

use Kind::{Bytes, Integer, Real, Text};

/// Every table, those that others refer to first.
pub(crate) const TABLES: &[Table] = &[
    Table {
        name: "ledger",
        columns: &[
            ("only_row", Integer),
            ("origin", Text),
            ("size", Integer),
            ("edge", Bytes),
            ("checkpoint", Text),
        ],
        n_key: 1,
        later: &[],
    },
    Table {
        name: "signers",
        columns: &[("verify_key", Text), ("who", Text), ("since_us", Integer)],
        n_key: 1,
        later: &[],
    },
    Table {
        name: "evidence",
        columns: &[
            ("position", Integer),
            ("kind", Text),
            ("subject", Text),
            ("recorded_us", Integer),
            ("who", Text),
            ("record", Text),
            ("leaf", Bytes),
        ],
        n_key: 1,
        later: &[],
    },
    Table {
        name: "runs",
        columns: &[
            ("id", Text),
            ("name", Text),
            ("project", Text),
            ("team", Text),
            ("who", Text),
            ("host", Text),
            ("command", Text),
            ("status", Text),
            ("started_us", Integer),
            ("seen_us", Integer),
            ("ended_us", Integer),
            ("exit_code", Integer),
            ("state", Text),
            ("summary", Text),
            ("experiment_id", Integer),
            ("artifact_uri", Text),
            ("scheduled", Integer),
            ("deleted_us", Integer),
        ],
        n_key: 1,
        later: &[Later::Zero, Later::Text(""), Later::Zero, Later::Null],
    },
    Table {
        name: "params",
        columns: &[("run_id", Text), ("key", Text), ("value", Text)],
        n_key: 2,
        later: &[],
    },
    Table {
        name: "tags",
        columns: &[("run_id", Text), ("key", Text), ("value", Text)],
        n_key: 2,
        later: &[],
    },
    Table {
        name: "series",
        columns: &[
            ("id", Integer),
            ("run_id", Text),
            ("key", Text),
            ("last_step", Integer),
            ("last_at_us", Integer),
            ("last_value", Real),
            ("last_is_nan", Integer),
            ("min_value", Real),
            ("max_value", Real),
        ],
        n_key: 1,
        later: &[Later::Null; 6],
    },
    Table {
        name: "points",
        columns: &[
            ("series_id", Integer),
            ("step", Integer),
            ("at_us", Integer),
            ("value", Real),
            ("is_nan", Integer),
        ],
        n_key: 5,
        later: &[],
    },
    Table {
        name: "datasets",
        columns: &[
            ("run_id", Text),
            ("name", Text),
            ("digest", Text),
            ("context", Text),
            ("source", Text),
            ("source_type", Text),
            ("schema", Text),
            ("profile", Text),
            ("tags", Text),
            ("added_us", Integer),
        ],
        n_key: 4,
        later: &[
            Later::Text(""),
            Later::Null,
            Later::Null,
            Later::Text("[]"),
            Later::Zero,
        ],
    },
    Table {
        name: "artifacts",
        columns: &[
            ("run_id", Text),
            ("path", Text),
            ("uri", Text),
            ("bytes", Integer),
            ("sha256", Text),
            ("added_us", Integer),
        ],
        n_key: 2,
        later: &[],
    },
    Table {
        name: "spending",
        columns: &[
            ("id", Integer),
            ("entry", Text),
            ("run_id", Text),
            ("project", Text),
            ("team", Text),
            ("kind", Text),
            ("from_us", Integer),
            ("to_us", Integer),
            ("amount_micro", Integer),
            ("currency", Text),
            ("quality", Text),
            ("note", Text),
        ],
        n_key: 1,
        later: &[],
    },
    Table {
        name: "budgets",
        columns: &[
            ("name", Text),
            ("project", Text),
            ("team", Text),
            ("period", Text),
            ("limit_micro", Integer),
            ("currency", Text),
            ("warn_at", Text),
            ("set_us", Integer),
        ],
        n_key: 1,
        later: &[],
    },
    Table {
        name: "documents",
        columns: &[
            ("kind", Text),
            ("shelf", Text),
            ("id", Text),
            ("body", Text),
        ],
        n_key: 3,
        later: &[],
    },
    Table {
        name: "run_models",
        columns: &[
            ("run_id", Text),
            ("model_id", Text),
            ("is_output", Integer),
            ("step", Integer),
        ],
        n_key: 4,
        later: &[],
    },
    Table {
        name: "model_points",
        columns: &[
            ("model_id", Text),
            ("key", Text),
            ("at_us", Integer),
            ("step", Integer),
            ("run_id", Text),
            ("dataset_name", Text),
            ("dataset_digest", Text),
            ("value", Real),
            ("is_nan", Integer),
        ],
        n_key: 9,
        later: &[],
    },
];

impl Table {
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        TABLES.iter().find(|table| table.name == name)
    }

    /// The names of its columns, as SQL lists them.
    pub(crate) fn column_list(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    pub(crate) fn order_list(&self) -> String {
        let names: Vec<&str> = self.columns[..self.n_key]
            .iter()
            .map(|(name, _)| *name)
            .collect();
        names.join(", ")
    }

    /// How many columns, from the first, an older form's rows may have; and what those that they lack then hold.
    pub(crate) fn filled(&self, mut row: Vec<Cell>) -> Vec<Cell> {
        let n_first = self.columns.len() - self.later.len();
        let known = row.len().saturating_sub(n_first).min(self.later.len());
        row.extend(self.later[known..].iter().map(|later| later.cell()));
        row
    }

    /// A row as a JSON object, its table's name in front.
    pub(crate) fn json_of_row(&self, row: &[Cell]) -> Value {
        let mut object = Map::new();
        object.insert("table".to_owned(), Value::from(self.name));
        for ((name, _), cell) in self.columns.iter().zip(row) {
            let value = match cell {
                Cell::Null => Value::Null,
                Cell::Integer(number) => Value::from(*number),
                // JSON has no infinities.
                Cell::Real(number) if number.is_finite() => Value::from(*number),
                Cell::Real(number) => Value::from(number.to_string()),
                Cell::Text(text) => Value::from(text.as_str()),
                Cell::Bytes(bytes) => Value::from(STANDARD.encode(bytes)),
            };
            object.insert((*name).to_owned(), value);
        }
        Value::Object(object)
    }

    /// Reads such an object; the error names the field.
    pub(crate) fn row_of_json(&self, object: &Map<String, Value>) -> Result<Vec<Cell>, String> {
        let n_first = self.columns.len() - self.later.len();
        self.columns
            .iter()
            .enumerate()
            .map(|(at, (name, kind))| {
                let value = match (object.get(*name), at.checked_sub(n_first)) {
                    (Some(value), _) => value,
                    (None, Some(later)) => return Ok(self.later[later].cell()),
                    (None, None) => return Err(format!("a row of `{}` lacks `{name}`", self.name)),
                };
                let cell = match (kind, value) {
                    (_, Value::Null) => Some(Cell::Null),
                    (Integer, Value::Number(number)) => number.as_i64().map(Cell::Integer),
                    (Real, Value::Number(number)) => number.as_f64().map(Cell::Real),
                    (Real, Value::String(text)) => match text.as_str() {
                        "inf" => Some(Cell::Real(f64::INFINITY)),
                        "-inf" => Some(Cell::Real(f64::NEG_INFINITY)),
                        _ => None,
                    },
                    (Text, Value::String(text)) => Some(Cell::Text(text.clone())),
                    (Bytes, Value::String(text)) => STANDARD.decode(text).ok().map(Cell::Bytes),
                    _ => None,
                };
                cell.ok_or_else(|| {
                    let allowed = match kind {
                        Integer => "a whole number",
                        Real => "a number, `inf` or `-inf`",
                        Text => "a text",
                        Bytes => "bytes in base64",
                    };
                    format!(
                        "`{name}` of a row of `{}` is {value}; allowed: {allowed}",
                        self.name
                    )
                })
            })
            .collect()
    }
}
