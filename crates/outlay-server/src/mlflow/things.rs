//! Experiments, models and versions as the ledger keeps them: documents that are read and written whole.

use std::collections::BTreeMap;

use outlay_ledger::{Drawer, Fault, Ledger, LedgerError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The kind of an experiment's document. All lie on one shelf, whose name is empty; the id is the experiment's number.
pub const EXPERIMENT: &str = "experiment";

/// The kind of a model that a run logged. All lie on one shelf for each experiment; the id is the model's own.
pub const LOGGED_MODEL: &str = "logged model";

/// The kind of a registered model. It lies on a shelf of its own name, and has the id `model`.
pub const REGISTERED_MODEL: &str = "registered model";

/// The kind of a version. It lies on the shelf of its model; the id is its number.
pub const MODEL_VERSION: &str = "model version";

/// The id of a registered model on its shelf.
pub const MODEL_ID: &str = "model";

/// Names and values, by name.
pub type Tags = BTreeMap<String, String>;

/// An experiment: runs that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    /// Its number.
    pub id: i64,
    /// Its name; no two experiments have the same.
    pub name: String,
    /// Where the files of its runs lie.
    pub artifact_location: String,
    /// Whether it is put away.
    pub deleted: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it was changed, in milliseconds since 1970.
    pub updated_ms: i64,
    /// What is said of it.
    #[serde(default)]
    pub tags: Tags,
}

/// A model that a run logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedModel {
    /// `m-` and 32 hexadecimal digits.
    pub id: String,
    /// Its experiment.
    pub experiment_id: i64,
    /// What people call it.
    pub name: String,
    /// Where its files lie.
    pub artifact_uri: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it was changed, in milliseconds since 1970.
    pub updated_ms: i64,
    /// `LOGGED_MODEL_PENDING`, `_READY` or `_UPLOAD_FAILED`.
    pub status: String,
    /// Why it stands so, where someone said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_message: Option<String>,
    /// What kind of model it is.
    pub model_type: String,
    /// The run that made it; empty for none.
    pub source_run_id: String,
    /// Whether it is put away.
    pub deleted: bool,
    /// What is said of it.
    #[serde(default)]
    pub tags: Tags,
    /// How it was made.
    #[serde(default)]
    pub params: Tags,
}

/// A model with versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredModel {
    /// Its name; no two registered models have the same.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it or a version was changed, in milliseconds since 1970.
    pub updated_ms: i64,
    /// What people say of it.
    pub description: Option<String>,
    /// What is said of it.
    #[serde(default)]
    pub tags: Tags,
    /// Names of versions.
    #[serde(default)]
    pub aliases: BTreeMap<String, i64>,
    /// The highest number that a version ever had.
    #[serde(default)]
    pub last_version: i64,
}

impl RegisteredModel {
    /// Whether it is a prompt, and not a model.
    #[must_use]
    pub fn is_prompt(&self) -> bool {
        is_prompt(&self.tags)
    }
}

/// Whether these are the tags of a prompt.
#[must_use]
pub fn is_prompt(tags: &Tags) -> bool {
    tags.get("mlflow.prompt.is_prompt")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// A version of a registered model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelVersion {
    /// Its model.
    pub name: String,
    /// Its number, from 1.
    pub version: i64,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it was changed, in milliseconds since 1970.
    pub updated_ms: i64,
    /// What people say of it.
    pub description: Option<String>,
    /// Who made it.
    #[serde(default)]
    pub user_id: Option<String>,
    /// `None`, `Staging`, `Production` or `Archived`.
    pub stage: String,
    /// Where it came from, as it was said.
    pub source: String,
    /// Where its files lie.
    pub storage_location: String,
    /// The run that made it; empty for none.
    pub run_id: String,
    /// Where that run can be seen.
    pub run_link: String,
    /// The logged model that it is; empty for none.
    #[serde(default)]
    pub model_id: String,
    /// `READY`, `PENDING_REGISTRATION` or `FAILED_REGISTRATION`.
    pub status: String,
    /// Why it stands so, where someone said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_message: Option<String>,
    /// What is said of it.
    #[serde(default)]
    pub tags: Tags,
}

/// A registered model with its versions, taken out to be changed.
#[derive(Debug)]
pub struct Shelf<'a> {
    drawer: &'a mut Drawer,
    /// The model.
    pub model: RegisteredModel,
}

impl<'a> Shelf<'a> {
    /// Takes a model out.
    ///
    /// # Errors
    ///
    /// No such model.
    pub fn take(drawer: &'a mut Drawer, name: &str) -> Result<Self, Fault> {
        let model = drawer
            .get(REGISTERED_MODEL, name, MODEL_ID)?
            .ok_or_else(|| {
                Fault::Missing(format!("Registered Model with name={name} not found"))
            })?;
        Ok(Self { drawer, model })
    }

    /// Its versions, by number.
    ///
    /// # Errors
    ///
    /// A version that cannot be read.
    pub fn versions(&self) -> Result<Vec<ModelVersion>, Fault> {
        let mut versions: Vec<ModelVersion> = self
            .drawer
            .shelf(MODEL_VERSION, &self.model.name)?
            .into_iter()
            .map(|(_, version)| version)
            .collect();
        versions.sort_by_key(|version: &ModelVersion| version.version);
        Ok(versions)
    }

    /// A version.
    ///
    /// # Errors
    ///
    /// No such version.
    pub fn version(&self, number: i64) -> Result<ModelVersion, Fault> {
        self.drawer
            .get(MODEL_VERSION, &self.model.name, &version_id(number))?
            .ok_or_else(|| no_version(&self.model.name, number))
    }

    /// Puts a version in.
    ///
    /// # Errors
    ///
    /// What cannot be written as JSON.
    pub fn put_version(&mut self, version: &ModelVersion) -> Result<(), Fault> {
        self.drawer.put(
            MODEL_VERSION,
            &self.model.name,
            &version_id(version.version),
            version,
        )
    }

    /// Takes a version away.
    pub fn remove_version(&mut self, number: i64) {
        self.drawer
            .remove(MODEL_VERSION, &self.model.name, &version_id(number));
    }

    /// Takes the model away with all its versions, and hands out what it works in.
    ///
    /// # Errors
    ///
    /// A version that cannot be read.
    pub fn clear(self) -> Result<&'a mut Drawer, Fault> {
        for version in self.versions()? {
            self.drawer.remove(
                MODEL_VERSION,
                &self.model.name,
                &version_id(version.version),
            );
        }
        self.drawer
            .remove(REGISTERED_MODEL, &self.model.name, MODEL_ID);
        Ok(self.drawer)
    }

    /// Puts the model back.
    ///
    /// # Errors
    ///
    /// What cannot be written as JSON.
    pub fn put_back(self) -> Result<RegisteredModel, Fault> {
        self.drawer
            .put(REGISTERED_MODEL, &self.model.name, MODEL_ID, &self.model)?;
        Ok(self.model)
    }
}

/// A version's number as its document's name.
#[must_use]
pub fn version_id(number: i64) -> String {
    number.to_string()
}

/// The error that there is no such version.
#[must_use]
pub fn no_version(name: &str, version: impl std::fmt::Display) -> Fault {
    Fault::Missing(format!(
        "Model Version (name={name}, version={version}) not found"
    ))
}

/// The documents of a kind, read.
///
/// # Errors
///
/// A ledger that cannot be read, or a document that is none.
pub async fn all<T: DeserializeOwned>(
    ledger: &Ledger,
    kind: &str,
    shelf: Option<&str>,
    id: Option<&str>,
) -> Result<Vec<T>, LedgerError> {
    let documents = ledger.documents(kind, shelf, id).await?;
    documents
        .into_iter()
        .map(|document| {
            serde_json::from_str(&document.body).map_err(|error| LedgerError {
                place: ledger.place().to_owned(),
                fault: Fault::Damaged(format!(
                    "the {} `{}/{}` cannot be read: {error}",
                    document.kind, document.shelf, document.id
                )),
            })
        })
        .collect()
}
