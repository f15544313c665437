//! Documents that are changed together.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Fault;
use crate::record::{Batch, Document};

/// Where a document lies: its kind, shelf and name.
pub(crate) type DocumentKey = (String, String, String);

/// Whole shelves of documents, taken out to be changed. What is put or removed is written when the change is done.
#[derive(Debug, Default)]
pub struct Drawer {
    there: BTreeMap<DocumentKey, String>,
    changed: BTreeMap<DocumentKey, Option<String>>,
    also: Batch,
}

impl Drawer {
    pub(crate) fn new(there: impl IntoIterator<Item = Document>) -> Self {
        let key =
            |document: Document| ((document.kind, document.shelf, document.id), document.body);
        Self {
            there: there.into_iter().map(key).collect(),
            ..Self::default()
        }
    }

    /// A document; `None` where there is none.
    ///
    /// # Errors
    ///
    /// A document that is not what it should be.
    pub fn get<T: DeserializeOwned>(
        &self,
        kind: &str,
        shelf: &str,
        id: &str,
    ) -> Result<Option<T>, Fault> {
        let key = (kind.to_owned(), shelf.to_owned(), id.to_owned());
        match self
            .changed
            .get(&key)
            .map_or_else(|| self.there.get(&key), Option::as_ref)
        {
            Some(body) => read_body(&key, body).map(Some),
            None => Ok(None),
        }
    }

    /// The documents of a shelf, by name.
    ///
    /// # Errors
    ///
    /// A document that is not what it should be.
    pub fn shelf<T: DeserializeOwned>(
        &self,
        kind: &str,
        shelf: &str,
    ) -> Result<Vec<(String, T)>, Fault> {
        let mut all: BTreeMap<&DocumentKey, Option<&String>> = self
            .there
            .iter()
            .map(|(key, body)| (key, Some(body)))
            .collect();
        all.extend(self.changed.iter().map(|(key, body)| (key, body.as_ref())));
        all.into_iter()
            .filter(|(key, _)| key.0 == kind && key.1 == shelf)
            .filter_map(|(key, body)| Some((key, body?)))
            .map(|(key, body)| Ok((key.2.clone(), read_body(key, body)?)))
            .collect()
    }

    /// Puts a document in, in place of one of its name.
    ///
    /// # Errors
    ///
    /// Something that is no JSON.
    pub fn put(
        &mut self,
        kind: &str,
        shelf: &str,
        id: &str,
        body: &impl Serialize,
    ) -> Result<(), Fault> {
        let body = serde_json::to_string(body).map_err(|error| Fault::Input(error.to_string()))?;
        let key = (kind.to_owned(), shelf.to_owned(), id.to_owned());
        self.changed.insert(key, Some(body));
        Ok(())
    }

    /// Takes a document away; nothing happens where there is none.
    pub fn remove(&mut self, kind: &str, shelf: &str, id: &str) {
        let key = (kind.to_owned(), shelf.to_owned(), id.to_owned());
        self.changed.insert(key, None);
    }

    /// Writes something else in the same transaction.
    pub fn also(&mut self, batch: Batch) {
        self.also.append(batch);
    }

    pub(crate) fn into_changes(self) -> (Vec<(DocumentKey, Option<String>)>, Batch) {
        let there = self.there;
        let changed = self
            .changed
            .into_iter()
            .filter(|(key, body)| there.get(key) != body.as_ref())
            .collect();
        (changed, self.also)
    }
}

fn read_body<T: DeserializeOwned>(key: &DocumentKey, body: &str) -> Result<T, Fault> {
    serde_json::from_str(body).map_err(|error| {
        let (kind, shelf, id) = key;
        Fault::Damaged(format!("the {kind} `{shelf}/{id}` cannot be read: {error}"))
    })
}
