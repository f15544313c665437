//! Records, whatever file they come from, and which of their fields are what.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Which field of a record is what, as the person says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fields {
    /// Fields whose texts make the record's text, in this order; where none is named, `TEXTS` says.
    pub text: Vec<String>,
    /// The record's own id; where it is not named, `id` is one.
    pub id: Option<String>,
    /// Other fields that are wanted and are no part of what a record says, such as its label.
    pub others: Vec<String>,
    /// Fields that are wanted and are part of it, such as the groups that persons belong to.
    pub groups: Vec<String>,
}

/// A field with one of these names is the text, the first that there is; else all texts of a record, in their order, are.
pub const TEXTS: [&str; 2] = ["text", "content"];

/// Fields that tell of a record and are not its text, where no text is named.
const ABOUT: [&str; 16] = [
    "id",
    "url",
    "source",
    "license",
    "licence",
    "path",
    "file",
    "date",
    "timestamp",
    "created",
    "lang",
    "language",
    "label",
    "split",
    "meta",
    "metadata",
];

/// A record, as long as its file's bytes are at hand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record<'a> {
    /// Its number in its file, from 1: the line, the row, or 1 where the file is the record.
    pub line: u64,
    /// Its own id, where it has one.
    pub id: Option<Cow<'a, str>>,
    /// Its text.
    pub text: Cow<'a, str>,
    /// The other fields that were asked for, in that order, and after them the groups.
    pub others: Vec<Option<Cow<'a, str>>>,
}

/// Fields of a record, by name, before it is said what they are.
pub(crate) type Named<'a> = Vec<(Cow<'a, str>, Field<'a>)>;

/// A field's value: a text, or JSON as it stands.
pub(crate) enum Field<'a> {
    Text(Cow<'a, str>),
    Json(&'a RawValue),
    /// A value that is no text, of a file that is no JSON.
    Value(serde_json::Value),
}

impl<'a> Field<'a> {
    /// The value as one text: a string's, or a number as it is written; all strings within lists and objects.
    pub(crate) fn text(&self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => text.clone(),
            Self::Json(raw) => {
                let raw = raw.get();
                match raw.as_bytes().first() {
                    Some(b'"' | b'[' | b'{') => joined(strings(raw)),
                    Some(b'n') => Cow::Borrowed(""),
                    _ => Cow::Borrowed(raw),
                }
            }
            Self::Value(serde_json::Value::Null) => Cow::Borrowed(""),
            Self::Value(value @ (serde_json::Value::Array(_) | serde_json::Value::Object(_))) => {
                Cow::Owned(joined(strings(&value.to_string())).into_owned())
            }
            Self::Value(serde_json::Value::String(text)) => Cow::Owned(text.clone()),
            Self::Value(value) => Cow::Owned(value.to_string()),
        }
    }

    /// The value as JSON.
    pub(crate) fn value(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => text.clone().into_owned().into(),
            Self::Json(raw) => serde_json::from_str(raw.get()).unwrap_or_default(),
            Self::Value(value) => value.clone(),
        }
    }

    /// The texts within, and no numbers.
    fn strings(&self) -> Vec<Cow<'a, str>> {
        match self {
            Self::Text(text) => vec![text.clone()],
            Self::Json(raw) => strings(raw.get()),
            Self::Value(value) => {
                let json = value.to_string();
                strings(&json)
                    .into_iter()
                    .map(|text| Cow::Owned(text.into_owned()))
                    .collect()
            }
        }
    }
}

impl Fields {
    /// Makes a record of fields.
    pub(crate) fn record<'a>(&self, line: u64, named: &Named<'a>) -> Record<'a> {
        let find = |name: &str| {
            named
                .iter()
                .find(|(other, _)| other == name)
                .map(|(_, field)| field)
        };
        let id = find(self.id.as_deref().unwrap_or("id")).map(Field::text);
        let text = if self.text.is_empty() {
            match TEXTS.iter().find_map(|name| find(name)) {
                Some(field) => field.text(),
                None => joined(
                    named
                        .iter()
                        .filter(|(name, _)| self.is_content(name))
                        .flat_map(|(_, field)| field.strings())
                        .collect(),
                ),
            }
        } else {
            joined(
                self.text
                    .iter()
                    .filter_map(|name| find(name))
                    .map(Field::text)
                    .collect(),
            )
        };
        Record {
            line,
            id: id.filter(|id| !id.is_empty()),
            text,
            others: self
                .others
                .iter()
                .chain(&self.groups)
                .map(|name| find(name).map(Field::text))
                .collect(),
        }
    }

    /// Whether a field is part of what a record says, where no field is named for its text.
    pub(crate) fn is_content(&self, name: &str) -> bool {
        self.id.as_deref() != Some(name)
            && !self.others.iter().any(|other| other == name)
            && !ABOUT.iter().any(|about| about.eq_ignore_ascii_case(name))
    }
}

fn joined<'a>(mut texts: Vec<Cow<'a, str>>) -> Cow<'a, str> {
    match texts.len() {
        0 => Cow::Borrowed(""),
        1 => texts.swap_remove(0),
        _ => Cow::Owned(texts.join("\n")),
    }
}

/// Reads one JSON value: an object's fields, or the value itself under the name `text`.
///
/// # Errors
///
/// Where it is no JSON.
pub(crate) fn named(json: &str) -> Result<Named<'_>, serde_json::Error> {
    struct Object;
    impl<'de> Visitor<'de> for Object {
        type Value = Named<'de>;

        fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            out.write_str("an object, or a text")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut named = Vec::new();
            while let Some(BorrowedKey(key)) = map.next_key()? {
                named.push((key, Field::Json(map.next_value()?)));
            }
            Ok(named)
        }

        fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(vec![(
                Cow::Borrowed("text"),
                Field::Text(Cow::Borrowed(text)),
            )])
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![(
                Cow::Borrowed("text"),
                Field::Text(Cow::Owned(text.to_owned())),
            )])
        }
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    let named = reader.deserialize_any(Object)?;
    reader.end()?;
    Ok(named)
}

/// A key that is copied only where it is written with escapes.
struct BorrowedKey<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for BorrowedKey<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Key;
        impl<'de> Visitor<'de> for Key {
            type Value = BorrowedKey<'de>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(BorrowedKey(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(BorrowedKey(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(Key)
    }
}

/// All strings within a JSON value, in their order.
fn strings(json: &str) -> Vec<Cow<'_, str>> {
    struct Within<'v, 'de>(&'v mut Vec<Cow<'de, str>>);
    impl<'de> DeserializeSeed<'de> for Within<'_, 'de> {
        type Value = ();

        fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
            from.deserialize_any(self)
        }
    }
    impl<'de> Visitor<'de> for Within<'_, 'de> {
        type Value = ();

        fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            out.write_str("any value")
        }

        fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
            self.0.push(Cow::Borrowed(text));
            Ok(())
        }

        fn visit_str<E>(self, text: &str) -> Result<(), E> {
            self.0.push(Cow::Owned(text.to_owned()));
            Ok(())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
            while list.next_element_seed(Within(self.0))?.is_some() {}
            Ok(())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(BorrowedKey(key)) = map.next_key()? {
                // Who speaks in a conversation is not said in it.
                if matches!(&*key, "role" | "from") {
                    map.next_value::<IgnoredAny>()?;
                } else {
                    map.next_value_seed(Within(self.0))?;
                }
            }
            Ok(())
        }

        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            Ok(())
        }

        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            Ok(())
        }

        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }

        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            Ok(())
        }

        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
    }
    let mut found = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(json);
    // It was read as JSON before; what cannot be read as text has none.
    let _ = Within(&mut found).deserialize(&mut reader);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> String {
        let named = named(json).expect("is JSON");
        Fields::default().record(1, &named).text.into_owned()
    }

    #[test]
    fn a_record_has_the_text_that_people_mean() {
        assert_eq!(text(r#"{"id": 7, "text": "a", "more": "b"}"#), "a");
        assert_eq!(text(r#""a\nb""#), "a\nb");
        assert_eq!(
            text(r#"{"question": "q", "choices": ["x", "y"], "answer": 2, "url": "http://"}"#),
            "q\nx\ny"
        );
        assert_eq!(
            text(
                r#"{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "\u00fc"}]}"#
            ),
            "hi\nü"
        );
        assert_eq!(text(r#"{"text": null}"#), "");
        assert_eq!(text("{}"), "");
    }

    #[test]
    fn fields_are_found_by_name() {
        let fields = Fields {
            text: vec!["q".to_owned(), "a".to_owned()],
            id: Some("key".to_owned()),
            others: vec!["label".to_owned(), "none".to_owned()],
            groups: Vec::new(),
        };
        let named =
            named(r#"{"a": "yes", "key": 12.50, "q": "is it?", "label": true}"#).expect("is JSON");
        let record = fields.record(3, &named);
        assert_eq!(record.text, "is it?\nyes");
        assert_eq!(record.id.as_deref(), Some("12.50"));
        assert_eq!(record.others, [Some("true".into()), None]);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for json in ["", "{", "[1]", "12", "{\"a\": 1} x", "{\"a\" 1}", "nul"] {
            assert!(named(json).is_err(), "{json}");
        }
    }
}
