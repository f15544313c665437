//! Checks a datasheet against the specification.

mod dataset;
mod links;
mod records;
mod resources;

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::context::{At, Context, Vocabulary};
use super::{CROISSANT, TERMS, TERMS_OF_DUBLIN_CORE, Version, forms};

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// What the specification requires is not there, or is of the wrong form, or cannot be read.
    Error,
    /// What the specification recommends is not there.
    Warning,
}

/// What is wrong at a place of a datasheet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CroissantFault {
    /// The place, as a JSON pointer (RFC 6901): of the value that is wrong, or of what lacks one.
    pub path: String,
    /// The name of the property in the vocabulary, without its prefix but for `rai:`.
    pub field: String,
    /// What is required or recommended there, and what is there instead.
    pub required: String,
    /// How bad it is.
    pub severity: Severity,
}

impl fmt::Display for CroissantFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let path = if self.path.is_empty() {
            "/"
        } else {
            &self.path
        };
        write!(
            out,
            "{severity}: {path}: `{}`: {}",
            self.field, self.required
        )
    }
}

/// Fields lie in fields no deeper than this in any file that is meant to be read.
const DEPTH_MAX: usize = 64;

/// Faults of a datasheet, in the order of the file. It is checked as the version that it says it conforms to, and as 1.1 where it
/// names none that is known.
///
/// Errors are: what the specification's tables call required, where it is missing or of another type than expected; values that are
/// there and cannot be what they say (dates, addresses, checksums, patterns that do not compile, references to nothing, circles);
/// and the parts without which no reader finds the data, which the specification assumes and its reference reader demands (`@id`,
/// `encodingFormat`, `contentUrl`, a source for each field). Warnings are what it recommends.
///
/// Anything can be checked: a value of any shape has faults, and no panic.
#[must_use]
pub fn check(sheet: &Value) -> Vec<CroissantFault> {
    let root = dataset_of(sheet);
    let nothing = Value::Null;
    let own = root.value.get("@context");
    let context = Context::of(own.or(sheet.get("@context")).unwrap_or(&nothing));
    let mut checker = Checker {
        version: Version::V1_1,
        is_live: false,
        faults: Vec::new(),
        parts: HashMap::new(),
        edges: Vec::new(),
    };
    let at = At {
        context: &context,
        value: root.value,
        path: root.path,
    };
    if at.value.is_object() {
        checker.dataset(&at, own.or(sheet.get("@context")));
    } else {
        checker.error(&at.path, "@type", "a data set has to be a JSON object");
    }
    checker.faults
}

struct Root<'a> {
    value: &'a Value,
    path: String,
}

/// The data set in a file: the file itself, or the first within a list or a graph.
fn dataset_of(sheet: &Value) -> Root<'_> {
    let (values, path) = match sheet {
        Value::Array(values) => (Some(values), ""),
        Value::Object(object) if !object.contains_key("@type") => {
            (object.get("@graph").and_then(Value::as_array), "/@graph")
        }
        _ => (None, ""),
    };
    let found = values.into_iter().flatten().enumerate().find(|(_, value)| {
        let is_dataset = |name: &Value| name.as_str().is_some_and(|name| name.ends_with("Dataset"));
        match value.get("@type") {
            Some(Value::Array(names)) => names.iter().any(is_dataset),
            Some(name) => is_dataset(name),
            None => false,
        }
    });
    match found {
        Some((at, value)) => Root {
            value,
            path: format!("{path}/{at}"),
        },
        None => Root {
            value: sheet,
            path: String::new(),
        },
    }
}

/// What a thing with an identifier is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    FileObject,
    FileSet,
    RecordSet,
    Field,
}

impl Kind {
    fn class(self) -> &'static str {
        match self {
            Self::FileObject => "cr:FileObject",
            Self::FileSet => "cr:FileSet",
            Self::RecordSet => "cr:RecordSet",
            Self::Field => "cr:Field",
        }
    }
}

/// A thing with an identifier.
struct PartOf {
    kind: Kind,
    path: String,
}

struct Checker<'a> {
    version: Version,
    is_live: bool,
    faults: Vec<CroissantFault>,
    /// All things with an identifier.
    parts: HashMap<&'a str, PartOf>,
    /// What is made of what: the identifiers of both, the place where it is said, and the property.
    edges: Vec<(&'a str, &'a str, String, &'static str)>,
}

impl<'a> Checker<'a> {
    fn fault(&mut self, severity: Severity, path: &str, field: &str, required: impl Into<String>) {
        self.faults.push(CroissantFault {
            path: path.to_owned(),
            field: field.to_owned(),
            required: required.into(),
            severity,
        });
    }

    fn error(&mut self, path: &str, field: &str, required: impl Into<String>) {
        self.fault(Severity::Error, path, field, required);
    }

    fn warning(&mut self, path: &str, field: &str, required: impl Into<String>) {
        self.fault(Severity::Warning, path, field, required);
    }

    /// The one value of a property that has one at most; an error where there are more.
    fn one(&mut self, at: &At<'a>, property: &str) -> Option<At<'a>> {
        let mut values = at.all(property).into_iter();
        let first = values.next()?;
        let n_more = values.len();
        if n_more > 0 {
            let path = at.get(property).map_or_else(String::new, |at| at.path);
            self.error(
                &path,
                property,
                format!("has to be one value, not {}", n_more + 1),
            );
        }
        Some(first)
    }

    /// The texts of a property that has any number; an error where a value is none.
    fn texts(&mut self, at: &At<'a>, property: &str) -> Vec<(At<'a>, &'a str)> {
        let mut texts = Vec::new();
        for value in at.all(property) {
            match value.text() {
                Some(text) => texts.push((value, text)),
                None => self.error(
                    &value.path,
                    property,
                    format!("has to be a text, not {}", shown(value.value)),
                ),
            }
        }
        texts
    }

    /// The one text of a property.
    fn one_text(&mut self, at: &At<'a>, property: &str) -> Option<(At<'a>, &'a str)> {
        let value = self.one(at, property)?;
        match value.text() {
            Some(text) => Some((value, text)),
            None => {
                let required = format!("has to be a text, not {}", shown(value.value));
                self.error(&value.path, property, required);
                None
            }
        }
    }

    /// The one truth value of a property. JSON-LD has them also as texts of a type.
    fn one_boolean(&mut self, at: &At<'a>, property: &str) -> Option<bool> {
        let value = self.one(at, property)?;
        match value.plain() {
            Value::Bool(is_true) => Some(*is_true),
            Value::String(text) if value.value.is_object() && text == "true" => Some(true),
            Value::String(text) if value.value.is_object() && text == "false" => Some(false),
            _ => {
                let required = format!("has to be true or false, not {}", shown(value.value));
                self.error(&value.path, property, required);
                None
            }
        }
    }

    /// A name or a description: a text, or one for each language.
    fn one_in_languages(&mut self, at: &At<'a>, property: &str) -> Option<()> {
        let values = at.all(property);
        let first = values.first()?;
        let is_in_language = |value: &At| value.value.get("@language").is_some();
        let n_values = values.len();
        if n_values > 1 && !values.iter().all(is_in_language) {
            let path = at.get(property).map_or_else(String::new, |at| at.path);
            let required = format!("has to be one value, not {n_values}");
            self.error(&path, property, required);
        }
        let is_map_of_languages = |value: &At| {
            value.value.as_object().is_some_and(|object| {
                !object.is_empty()
                    && object
                        .iter()
                        .all(|(tag, text)| forms::is_language(tag) && text.is_string())
            })
        };
        let is_empty = first.text().is_some_and(|text| text.trim().is_empty());
        if is_empty {
            self.error(&first.path, property, "is empty");
        } else if first.text().is_none() && !is_map_of_languages(first) {
            let required = format!("has to be a text, not {}", shown(first.value));
            self.error(&first.path, property, required);
        }
        Some(())
    }

    /// Remembers what a thing is called; an error where it is not, or another is called the same.
    fn name_part(&mut self, at: &At<'a>, kind: Kind) -> Option<&'a str> {
        let Some(id) = at.get("@id") else {
            let required = format!("each {} needs an identifier", kind.class());
            self.error(&at.path, "@id", required);
            return None;
        };
        let Some(text) = id.value.as_str().filter(|text| !text.is_empty()) else {
            let required = format!("has to be a text, not {}", shown(id.value));
            self.error(&id.path, "@id", required);
            return None;
        };
        if !forms::is_free_of_spaces(text) {
            let required = format!("`{text}` has spaces, which identifiers cannot have");
            self.error(&id.path, "@id", required);
        }
        if let Some(other) = self.parts.get(text) {
            let required = format!("`{text}` is the identifier of {} too", other.path);
            self.error(&id.path, "@id", required);
        } else {
            let path = at.path.clone();
            self.parts.insert(text, PartOf { kind, path });
        }
        Some(text)
    }

    /// An error where the class of a thing is another or not said.
    fn class(&mut self, at: &At<'a>, kind: Kind) {
        let class = kind.class();
        let name = class.trim_start_matches("cr:");
        if !at.is_a(Vocabulary::Croissant, name) {
            match at.get("@type") {
                None => self.error(&at.path, "@type", format!("has to be {class}")),
                Some(value) => {
                    let required = format!("has to be {class}, not {}", shown(value.value));
                    self.error(&value.path, "@type", required);
                }
            }
        }
    }

    /// An error for each name of the vocabulary that is used and that the context does not define, so that it stands for something
    /// else, or nothing. It is a warning where the name is in the context of one version alone.
    fn terms(&mut self, at: &At<'a>) {
        if !at.context.is_whole {
            return;
        }
        let mut used = [false; TERMS.len()];
        note_terms(at.value, 0, &mut used);
        for ((term, since), _) in TERMS.iter().zip(used).filter(|(_, is_used)| *is_used) {
            // `value` is of schema.org as well, where the reference reader looks for it.
            if *since > self.version || *term == "value" {
                continue;
            }
            let meaning = match *term {
                "conformsTo" => format!("{TERMS_OF_DUBLIN_CORE}conformsTo"),
                _ => format!("{CROISSANT}{term}"),
            };
            if at.context.expand(term).as_deref() != Some(&meaning) {
                let is_in_both =
                    *since == Version::V1_0 && !matches!(*term, "path" | "repeated" | "replace");
                let severity = if is_in_both {
                    Severity::Error
                } else {
                    Severity::Warning
                };
                let required =
                    format!("`{term}` is used, so it has to stand for {meaning} in the context");
                self.fault(severity, &format!("{}/@context", at.path), term, required);
            }
        }
    }
}

/// Notes the names of the vocabulary that a data set uses: those of its own, and all below its files and sets of records.
fn note_terms(value: &Value, depth: usize, used: &mut [bool; TERMS.len()]) {
    if depth > 2 * DEPTH_MAX {
        return;
    }
    match value {
        Value::Array(values) => {
            for value in values {
                note_terms(value, depth + 1, used);
            }
        }
        Value::Object(object) => {
            for (key, value) in object {
                if let Some(at) = TERMS.iter().position(|(term, _)| term == key) {
                    used[at] = true;
                }
                let is_data = matches!(key.as_str(), "data" | "examples" | "@context" | "value");
                let is_elsewhere =
                    depth == 0 && !matches!(key.as_str(), "distribution" | "recordSet");
                if !is_data && !is_elsewhere {
                    note_terms(value, depth + 1, used);
                }
            }
        }
        _ => {}
    }
}

/// A value in few signs.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("a list of {}", values.len()),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) if text.chars().count() > 60 => {
            let start: String = text.chars().take(60).collect();
            format!("`{start}…`")
        }
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}
