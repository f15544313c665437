//! A person's own facts of a data set, from a small file.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::{Agent, Description, Rai, forms};

/// Why a file of facts is not taken.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {}{why}", path.display(), field.as_ref().map(|field| format!("`{field}`: ")).unwrap_or_default())]
pub struct AboutError {
    /// The file.
    pub path: PathBuf,
    /// The field, `creators[0].kind`; `None` where the file as a whole cannot be read.
    pub field: Option<String>,
    /// What is wrong, and what is allowed.
    pub why: String,
}

/// The form of the file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct About {
    name: Option<String>,
    description: Option<String>,
    #[serde(alias = "license")]
    licence: Option<String>,
    creators: Vec<Agent>,
    publisher: Option<Agent>,
    date_published: Option<String>,
    date_created: Option<String>,
    date_modified: Option<String>,
    version: Option<String>,
    url: Option<String>,
    citation: Option<String>,
    keywords: Vec<String>,
    in_language: Vec<String>,
    same_as: Vec<String>,
    #[serde(alias = "datasheet_license")]
    datasheet_licence: Option<String>,
    is_live: Option<bool>,
    rai: Rai,
}

impl Description {
    /// Takes a person's own facts, which go before what was known: the text of a file in TOML, or in JSON where its name ends in
    /// `.json`.
    ///
    /// Its fields are those of [`Description`] but for the files and the sets of records, all optional; `rai` is a table with the
    /// fields of [`Rai`], of which lists are put before those that are there. Other fields are refused.
    ///
    /// ```
    /// use outlay_audit::croissant::Description;
    /// let about = r#"
    /// licence = "CC-BY-4.0"
    /// date_published = 2026-05-01
    /// creators = [{ kind = "person", name = "Ada" }]
    /// [rai]
    /// data_biases = ["Most birds were seen at feeders."]
    /// "#;
    /// let description = Description::default().with_about("about.toml".as_ref(), about)?;
    /// assert_eq!(description.date_published.as_deref(), Some("2026-05-01"));
    /// let fault = Description::default().with_about("about.toml".as_ref(), "licens = 'MIT'").unwrap_err();
    /// assert!(fault.to_string().starts_with("`about.toml`: `licens`: unknown field"), "{fault}");
    /// # Ok::<(), outlay_audit::croissant::AboutError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where it is neither TOML nor JSON, holds a field that is not known or of another type, or a date, version, address or
    /// language that is none.
    pub fn with_about(mut self, path: &Path, text: &str) -> Result<Self, AboutError> {
        let fault = |field: Option<&str>, why: String| AboutError {
            path: path.to_owned(),
            field: field.map(str::to_owned),
            why,
        };
        let is_json = path
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("json"));
        let value = if is_json {
            serde_json::from_str(text).map_err(|error| fault(None, error.to_string()))?
        } else {
            let table: toml::Table = toml::from_str(text).map_err(|error| {
                let at = error.span().map_or(0, |span| span.start);
                let line = text.as_bytes()[..at.min(text.len())]
                    .iter()
                    .filter(|byte| **byte == b'\n')
                    .count()
                    + 1;
                fault(None, format!("line {line}: {}", error.message()))
            })?;
            as_json(toml::Value::Table(table))
        };
        let about: About = serde_path_to_error::deserialize(value).map_err(|error| {
            let field = error.path().to_string();
            let field = (field != ".").then_some(field);
            fault(field.as_deref(), error.inner().to_string())
        })?;
        about
            .fault()
            .map_or(Ok(()), |(field, why)| Err(fault(Some(&field), why)))?;

        let take = |into: &mut Option<String>, from: Option<String>| {
            if from.is_some() {
                *into = from;
            }
        };
        let take_all = |into: &mut Vec<String>, from: Vec<String>| {
            if !from.is_empty() {
                *into = from;
            }
        };
        if let Some(name) = about.name {
            self.name = name;
        }
        take(&mut self.description, about.description);
        take(&mut self.licence, about.licence);
        take(&mut self.date_published, about.date_published);
        take(&mut self.date_created, about.date_created);
        take(&mut self.date_modified, about.date_modified);
        take(&mut self.version, about.version);
        take(&mut self.url, about.url);
        take(&mut self.citation, about.citation);
        take(&mut self.datasheet_licence, about.datasheet_licence);
        take_all(&mut self.keywords, about.keywords);
        take_all(&mut self.in_language, about.in_language);
        take_all(&mut self.same_as, about.same_as);
        if !about.creators.is_empty() {
            self.creators = about.creators;
        }
        self.publisher = about.publisher.or(self.publisher);
        self.is_live = about.is_live.or(self.is_live);
        self.rai.add(about.rai);
        Ok(self)
    }
}

impl About {
    /// The first field whose text has not the form it needs, and what is allowed.
    fn fault(&self) -> Option<(String, String)> {
        let empty = [
            ("name", &self.name),
            ("description", &self.description),
            ("licence", &self.licence),
            ("citation", &self.citation),
            ("datasheet_licence", &self.datasheet_licence),
        ];
        for (field, text) in empty {
            if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
                return Some((field.to_owned(), "is empty".to_owned()));
            }
        }
        let dates = [
            ("date_published".to_owned(), &self.date_published),
            ("date_created".to_owned(), &self.date_created),
            ("date_modified".to_owned(), &self.date_modified),
        ];
        let dates = dates
            .iter()
            .filter_map(|(field, date)| Some((field.clone(), date.as_deref()?)))
            .chain(
                self.rai
                    .data_collection_timeframe
                    .iter()
                    .enumerate()
                    .map(|(at, date)| {
                        (
                            format!("rai.data_collection_timeframe[{at}]"),
                            date.as_str(),
                        )
                    }),
            );
        for (field, date) in dates {
            if !forms::is_date_or_time(date) {
                let why = format!("`{date}` is no date of ISO 8601; allowed: 2026-05-01");
                return Some((field, why));
            }
        }
        if let Some(version) = &self.version
            && !forms::is_semantic_version(version)
        {
            let why = format!("`{version}` is no semantic version; allowed: 1.0.0");
            return Some(("version".to_owned(), why));
        }
        let agents = self
            .creators
            .iter()
            .enumerate()
            .map(|(at, agent)| (format!("creators[{at}]"), agent))
            .chain(
                self.publisher
                    .iter()
                    .map(|agent| ("publisher".to_owned(), agent)),
            );
        let mut urls = Vec::new();
        for (field, agent) in agents {
            if agent.name.trim().is_empty() {
                return Some((format!("{field}.name"), "is empty".to_owned()));
            }
            urls.extend(
                agent
                    .url
                    .as_deref()
                    .map(|url| (format!("{field}.url"), url)),
            );
        }
        urls.extend(self.url.as_deref().map(|url| ("url".to_owned(), url)));
        urls.extend(
            self.same_as
                .iter()
                .enumerate()
                .map(|(at, url)| (format!("same_as[{at}]"), url.as_str())),
        );
        for (field, url) in urls {
            if !forms::is_url(url) {
                let why = format!("`{url}` is no address; allowed: https://example.org/page");
                return Some((field, why));
            }
        }
        self.in_language
            .iter()
            .position(|tag| !forms::is_language(tag))
            .map(|at| {
                let why = format!(
                    "`{}` is no tag of a language; allowed: en, pt-BR",
                    self.in_language[at]
                );
                (format!("in_language[{at}]"), why)
            })
    }
}

/// TOML as JSON, its dates as texts.
fn as_json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(is_true) => Value::Bool(is_true),
        toml::Value::Datetime(date) => Value::String(date.to_string()),
        toml::Value::Array(values) => values.into_iter().map(as_json).collect(),
        toml::Value::Table(table) => Value::Object(
            table
                .into_iter()
                .map(|(key, value)| (key, as_json(value)))
                .collect(),
        ),
    }
}
