//! What fields records have, and of what types, from the records themselves.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::description::{DataType, FieldDescription};
use super::forms;

/// Fields within fields are told apart this deep; deeper ones are texts.
const DEPTH_MAX: usize = 4;

/// So many fields of a record set are told apart, and so many within a field: keys of a map that is filled with data are no fields.
const FIELDS_MAX: usize = 1000;

/// Counts what records hold, in any number of them, and says what fields they have.
///
/// ```
/// use outlay_audit::croissant::{Columns, DataType};
/// use serde_json::json;
/// let mut columns = Columns::default();
/// for record in [json!({"id": 1, "tags": ["a"]}), json!({"id": 2.5, "tags": [], "seen": "2026-05-01"})] {
///     columns.add(record.as_object().unwrap());
/// }
/// let fields = columns.fields();
/// assert_eq!(fields[0].data_type, Some(DataType::Float));
/// assert_eq!((fields[1].data_type, fields[1].n_dimensions), (Some(DataType::Text), 1));
/// assert!(fields[2].is_optional && fields[2].data_type == Some(DataType::Date));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Columns {
    within: Within,
}

impl Columns {
    /// Counts a record of JSON or Parquet.
    pub fn add(&mut self, record: &Map<String, Value>) {
        self.within.add(record, 0);
    }

    /// Counts a row of a table of texts: its cells are read as numbers, `true` and `false` where they are such, and as nothing where
    /// they are empty. Cells without a name are passed over.
    pub fn add_row<'a>(
        &mut self,
        names: &[impl AsRef<str>],
        cells: impl IntoIterator<Item = &'a str>,
    ) {
        self.within.n_records += 1;
        for (name, cell) in names.iter().zip(cells) {
            if let Some(seen) = self.within.of(name.as_ref()) {
                seen.n += 1;
                seen.add(&cell_value(cell), 0);
            }
        }
    }

    /// The fields, in the order they were first seen in. The type of a field is that of all its values, [`DataType::Text`] where
    /// they differ, and `None` where there is none.
    #[must_use]
    pub fn fields(&self) -> Vec<FieldDescription> {
        self.within.fields()
    }
}

#[derive(Clone, Debug, Default)]
struct Within {
    n_records: u64,
    at: HashMap<String, usize>,
    seen: Vec<(String, Seen)>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    /// Records that have the name.
    n: u64,
    n_null: u64,
    n_boolean: u64,
    n_integer: u64,
    n_float: u64,
    n_date: u64,
    n_date_time: u64,
    n_url: u64,
    n_text: u64,
    n_list: u64,
    n_object: u64,
    elements: Option<Box<Seen>>,
    within: Option<Box<Within>>,
}

impl Within {
    fn add(&mut self, record: &Map<String, Value>, depth: usize) {
        self.n_records += 1;
        for (name, value) in record {
            if let Some(seen) = self.of(name) {
                seen.n += 1;
                seen.add(value, depth);
            }
        }
    }

    fn of(&mut self, name: &str) -> Option<&mut Seen> {
        let at = match self.at.get(name) {
            Some(at) => *at,
            None if self.seen.len() >= FIELDS_MAX => return None,
            None => {
                self.at.insert(name.to_owned(), self.seen.len());
                self.seen.push((name.to_owned(), Seen::default()));
                self.seen.len() - 1
            }
        };
        self.seen.get_mut(at).map(|(_, seen)| seen)
    }

    fn fields(&self) -> Vec<FieldDescription> {
        self.seen
            .iter()
            .map(|(name, seen)| {
                let (n_dimensions, innermost) = seen.innermost();
                FieldDescription {
                    name: name.clone(),
                    data_type: innermost.and_then(Seen::data_type),
                    n_dimensions,
                    is_optional: seen.n_null > 0 || seen.n < self.n_records,
                    sub_fields: innermost
                        .filter(|seen| seen.is_nested())
                        .and_then(|seen| seen.within.as_ref())
                        .map(|within| within.fields())
                        .unwrap_or_default(),
                    ..FieldDescription::default()
                }
            })
            .collect()
    }
}

impl Seen {
    fn add(&mut self, value: &Value, depth: usize) {
        match value {
            Value::Null => self.n_null += 1,
            Value::Bool(_) => self.n_boolean += 1,
            Value::Number(number) if number.is_f64() => self.n_float += 1,
            Value::Number(_) => self.n_integer += 1,
            Value::String(text) if text.len() == 10 && forms::is_date(text) => self.n_date += 1,
            Value::String(text) if text.contains('T') && forms::is_date_or_time(text) => {
                self.n_date_time += 1;
            }
            Value::String(text)
                if (text.starts_with("http://") || text.starts_with("https://"))
                    && forms::is_url(text) =>
            {
                self.n_url += 1;
            }
            Value::String(_) => self.n_text += 1,
            Value::Array(values) => {
                self.n_list += 1;
                if depth < DEPTH_MAX {
                    let elements = self.elements.get_or_insert_default();
                    for value in values {
                        elements.add(value, depth + 1);
                    }
                }
            }
            Value::Object(object) => {
                self.n_object += 1;
                if depth < DEPTH_MAX {
                    self.within.get_or_insert_default().add(object, depth + 1);
                }
            }
        }
    }

    fn n_values(&self) -> u64 {
        self.n_boolean
            + self.n_integer
            + self.n_float
            + self.n_date
            + self.n_date_time
            + self.n_url
            + self.n_text
            + self.n_list
            + self.n_object
    }

    /// How deep lists lie in each other, and what is within them.
    fn innermost(&self) -> (usize, Option<&Self>) {
        let mut n_dimensions = 0;
        let mut seen = self;
        while seen.n_list > 0 && seen.n_list == seen.n_values() {
            n_dimensions += 1;
            match &seen.elements {
                Some(elements) => seen = elements,
                None => return (n_dimensions, None),
            }
        }
        (n_dimensions, Some(seen))
    }

    fn is_nested(&self) -> bool {
        self.n_object > 0
            && self.n_object == self.n_values()
            && self
                .within
                .as_ref()
                .is_some_and(|within| !within.seen.is_empty())
    }

    fn data_type(&self) -> Option<DataType> {
        let n = self.n_values();
        if n == 0 || self.is_nested() {
            return None;
        }
        let kinds = [
            (self.n_boolean, DataType::Boolean),
            (self.n_integer, DataType::Integer),
            (self.n_integer + self.n_float, DataType::Float),
            (self.n_date, DataType::Date),
            (self.n_date + self.n_date_time, DataType::DateTime),
            (self.n_url, DataType::Url),
        ];
        let kind = kinds.iter().find(|(of_kind, _)| *of_kind == n);
        Some(kind.map_or(DataType::Text, |(_, kind)| *kind))
    }
}

/// What a cell of a table of texts says.
fn cell_value(cell: &str) -> Value {
    let is_number = cell
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E'));
    // A number that begins with zeros is a code: to read it as a number loses them.
    let digits = cell.trim_start_matches('-');
    let is_code = digits.len() > 1
        && digits.starts_with('0')
        && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    if cell.is_empty() {
        return Value::Null;
    }
    if is_number && !is_code {
        if let Ok(number) = cell.parse::<i64>() {
            return number.into();
        }
        if let Some(number) = cell.parse().ok().and_then(serde_json::Number::from_f64) {
            return number.into();
        }
    }
    match cell {
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => Value::String(cell.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_as_what_they_say() {
        assert_eq!(cell_value("12"), Value::from(12));
        assert_eq!(cell_value("-1.5e3"), Value::from(-1500.0));
        assert_eq!(cell_value("0"), Value::from(0));
        assert_eq!(cell_value("0.5"), Value::from(0.5));
        assert_eq!(cell_value("007"), Value::from("007"));
        assert_eq!(cell_value("1e999"), Value::from("1e999"));
        assert_eq!(cell_value("e"), Value::from("e"));
        assert_eq!(cell_value(""), Value::Null);
        assert_eq!(cell_value("True"), Value::Bool(true));
    }

    #[test]
    fn fields_lie_in_fields_and_lists_in_lists() {
        let record = serde_json::json!({
            "box": [[1, 2], [3.5]],
            "answers": [{"text": "a", "start": 1}, {"text": "b"}],
            "mixed": [1, "a"],
            "empty": [],
            "nothing": null,
            "page": "https://example.org",
            "at": "2026-05-01T10:00:00Z",
        });
        let mut columns = Columns::default();
        columns.add(record.as_object().expect("an object"));
        let fields = columns.fields();
        let of = |name: &str| fields.iter().find(|field| field.name == name).expect(name);
        assert_eq!(
            (of("box").data_type, of("box").n_dimensions),
            (Some(DataType::Float), 2)
        );
        assert_eq!(of("answers").n_dimensions, 1);
        assert_eq!(of("answers").sub_fields[0].data_type, Some(DataType::Text));
        assert!(of("answers").sub_fields[1].is_optional);
        assert_eq!(of("mixed").data_type, Some(DataType::Text));
        assert_eq!((of("empty").data_type, of("empty").n_dimensions), (None, 1));
        assert_eq!(of("nothing").data_type, None);
        assert_eq!(of("page").data_type, Some(DataType::Url));
        assert_eq!(of("at").data_type, Some(DataType::DateTime));
    }
}
