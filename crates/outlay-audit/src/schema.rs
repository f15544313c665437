//! Which fields the records of each file have, and of what types: where files differ, readers of them stumble.

use serde::{Deserialize, Serialize};

use crate::record::{Field, Named};
use crate::rows::number;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    /// Nothing: `null`, or an empty cell.
    Null,
    /// True or false.
    Boolean,
    /// A whole number.
    Integer,
    /// Any other number.
    Number,
    /// A text.
    Text,
    /// A list.
    List,
    /// Fields within a field.
    Object,
}

impl ValueType {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Null,
        Self::Boolean,
        Self::Integer,
        Self::Number,
        Self::Text,
        Self::List,
        Self::Object,
    ];

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Text => "text",
            Self::List => "list",
            Self::Object => "object",
        }
    }

    fn of(field: &Field<'_>) -> Self {
        match field {
            Field::Text(text) => Self::of_text(text.trim()),
            Field::Json(raw) => match raw.get().as_bytes().first() {
                Some(b'"') => Self::Text,
                Some(b'[') => Self::List,
                Some(b'{') => Self::Object,
                Some(b't' | b'f') => Self::Boolean,
                Some(b'n') | None => Self::Null,
                _ => Self::of_number(raw.get()),
            },
            Field::Value(value) => match value {
                serde_json::Value::Null => Self::Null,
                serde_json::Value::Bool(_) => Self::Boolean,
                serde_json::Value::Number(number) if number.is_f64() => Self::Number,
                serde_json::Value::Number(_) => Self::Integer,
                serde_json::Value::String(_) => Self::Text,
                serde_json::Value::Array(_) => Self::List,
                serde_json::Value::Object(_) => Self::Object,
            },
        }
    }

    fn of_number(text: &str) -> Self {
        if text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
            Self::Number
        } else {
            Self::Integer
        }
    }

    /// What a cell of a table is, which has no type of its own.
    fn of_text(text: &str) -> Self {
        if text.is_empty() {
            Self::Null
        } else if number(text).is_some() {
            Self::of_number(text)
        } else if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
            Self::Boolean
        } else {
            Self::Text
        }
    }
}

/// What some records have in one field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldSeen {
    /// What it is called.
    pub name: String,
    /// How many values are of each type, in the order of `ValueType::ALL`.
    pub n_values: [u64; 7],
}

impl FieldSeen {
    /// Values of a type.
    #[must_use]
    pub fn n_of(&self, kind: ValueType) -> u64 {
        self.n_values[kind as usize]
    }

    /// The type that most values have which are something; whole numbers among others are numbers.
    #[must_use]
    pub fn main(&self) -> ValueType {
        let mut counts = self.n_values;
        counts[ValueType::Null as usize] = 0;
        if counts[ValueType::Number as usize] > 0 {
            counts[ValueType::Number as usize] += counts[ValueType::Integer as usize];
            counts[ValueType::Integer as usize] = 0;
        }
        let most = ValueType::ALL
            .into_iter()
            .max_by_key(|kind| (counts[*kind as usize], std::cmp::Reverse(*kind)))
            .filter(|kind| counts[*kind as usize] > 0);
        most.unwrap_or(ValueType::Null)
    }

    /// Values that are something, and not of that type.
    #[must_use]
    pub fn n_mixed(&self) -> u64 {
        let main = self.main();
        ValueType::ALL
            .into_iter()
            .filter(|kind| {
                *kind != ValueType::Null
                    && *kind != main
                    && !(main == ValueType::Number && *kind == ValueType::Integer)
            })
            .map(|kind| self.n_of(kind))
            .sum()
    }
}

/// Most fields that are counted of a file.
const FIELDS: usize = 2000;

/// The fields of some records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Records with fields.
    pub n_records: u64,
    /// The fields, in the order in which they were first seen.
    pub fields: Vec<FieldSeen>,
}

impl Schema {
    pub(crate) fn add(&mut self, named: &Named<'_>) {
        if named.is_empty() {
            return;
        }
        self.n_records += 1;
        for (at, (name, field)) in named.iter().enumerate() {
            if let Some(seen) = self.field(at, name) {
                seen.n_values[ValueType::of(field) as usize] += 1;
            }
        }
    }

    /// Adds what others have.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.n_records += other.n_records;
        for (at, field) in other.fields.iter().enumerate() {
            if let Some(seen) = self.field(at, &field.name) {
                for (n, more) in seen.n_values.iter_mut().zip(field.n_values) {
                    *n += more;
                }
            }
        }
    }

    /// A field by its name; it is looked for at a place first.
    fn field(&mut self, at: usize, name: &str) -> Option<&mut FieldSeen> {
        let at = if self.fields.get(at).is_some_and(|field| field.name == name) {
            at
        } else if let Some(at) = self.fields.iter().position(|field| field.name == name) {
            at
        } else if self.fields.len() < FIELDS {
            self.fields.push(FieldSeen {
                name: name.to_owned(),
                ..FieldSeen::default()
            });
            self.fields.len() - 1
        } else {
            return None;
        };
        self.fields.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(lines: &[&str]) -> Schema {
        let mut schema = Schema::default();
        for line in lines {
            schema.add(&crate::record::named(line).expect("is JSON"));
        }
        schema
    }

    #[test]
    fn types_are_those_of_the_values() {
        let schema = schema(&[
            r#"{"a": 1, "b": "x", "c": null}"#,
            r#"{"b": "2", "a": 1.5, "d": [1]}"#,
            r#"{"a": "no", "b": true, "d": {}}"#,
        ]);
        let of = |name: &str| {
            schema
                .fields
                .iter()
                .find(|field| field.name == name)
                .expect("is there")
        };
        assert_eq!((of("a").main(), of("a").n_mixed()), (ValueType::Number, 1));
        assert_eq!((of("b").main(), of("b").n_mixed()), (ValueType::Text, 1));
        assert_eq!(of("c").main(), ValueType::Null);
        assert_eq!(of("d").n_mixed(), 1);
        let cell = |text: &str| ValueType::of(&Field::Text(text.into()));
        assert_eq!(
            ["", " 7", "-1e3", "TRUE", "n/a", "1.2.3", "inf"].map(cell),
            [
                ValueType::Null,
                ValueType::Integer,
                ValueType::Number,
                ValueType::Boolean,
                ValueType::Text,
                ValueType::Text,
                ValueType::Text
            ]
        );
    }

    #[test]
    fn parts_make_the_whole() {
        let lines = [
            r#"{"a": 1}"#,
            r#"{"b": 1, "a": 2}"#,
            r#"{"a": null, "c": ""}"#,
        ];
        let mut merged = schema(&lines[..1]);
        merged.merge(&schema(&lines[1..]));
        assert_eq!(merged, schema(&lines));
    }
}
