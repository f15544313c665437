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
    },
    Table {
        name: "signers",
        columns: &[("verify_key", Text), ("who", Text), ("since_us", Integer)],
        n_key: 1,
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
        ],
        n_key: 1,
    },
    Table {
        name: "params",
        columns: &[("run_id", Text), ("key", Text), ("value", Text)],
        n_key: 2,
    },
    Table {
        name: "tags",
        columns: &[("run_id", Text), ("key", Text), ("value", Text)],
        n_key: 2,
    },
    Table {
        name: "series",
        columns: &[("id", Integer), ("run_id", Text), ("key", Text)],
        n_key: 1,
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
    },
    Table {
        name: "datasets",
        columns: &[
            ("run_id", Text),
            ("name", Text),
            ("digest", Text),
            ("context", Text),
            ("source", Text),
        ],
        n_key: 4,
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
        self.columns
            .iter()
            .map(|(name, kind)| {
                let value = object
                    .get(*name)
                    .ok_or_else(|| format!("a row of `{}` lacks `{name}`", self.name))?;
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
