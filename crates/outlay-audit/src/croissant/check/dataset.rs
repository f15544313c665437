//! What is said of the data set as a whole.

use serde_json::Value;

use super::super::context::{At, Vocabulary};
use super::super::licences::spdx_url;
use super::super::rai::{COLLECTION_TYPES, PROPERTIES};
use super::super::{RAI_VERSION, Version, forms};
use super::{Checker, shown};

impl<'a> Checker<'a> {
    pub(super) fn dataset(&mut self, at: &At<'a>, context: Option<&Value>) {
        match context {
            None | Some(Value::Null) => self.error(&at.path, "@context", "is required"),
            Some(Value::Object(_) | Value::Array(_)) => {}
            Some(Value::String(url)) if forms::is_url(url) => self.warning(
                &format!("{}/@context", at.path),
                "@context",
                "the context of the specification's appendix is recommended: readers do not follow an address",
            ),
            Some(other) => self.error(
                &format!("{}/@context", at.path),
                "@context",
                format!("has to be an object or an address, not {}", shown(other)),
            ),
        }
        match at.get("@type") {
            None => self.error(&at.path, "@type", "has to be sc:Dataset"),
            Some(_) if at.is_a(Vocabulary::SchemaOrg, "Dataset") => {}
            Some(value) => {
                let required = format!("has to be sc:Dataset, not {}", shown(value.value));
                self.error(&value.path, "@type", required);
            }
        }
        let conforms_to_rai = self.conforms_to(at);
        self.terms(at);
        for property in ["name", "description"] {
            if self.one_in_languages(at, property).is_none() {
                self.missing(at, property);
            }
        }
        self.licences(at, "license", true);
        self.required_url(at);
        self.agents(at, "creator", true);
        self.date(at, "datePublished", true);
        self.recommended(at);
        self.is_live = self.one_boolean(at, "isLiveDataset").unwrap_or_default();
        self.one_text(at, "citeAs");
        self.rai(at, conforms_to_rai);
        self.resources(at);
        self.record_sets(at);
        self.circles();
    }

    fn missing(&mut self, at: &At<'a>, property: &str) {
        self.error(&at.path, property, "is required");
    }

    /// Finds the version, and returns whether the file says that it keeps to the RAI vocabulary.
    fn conforms_to(&mut self, at: &At<'a>) -> bool {
        let values = at.all("conformsTo");
        if values.is_empty() {
            let required = "is required, `http://mlcommons.org/croissant/1.1`";
            self.error(&at.path, "conformsTo", required);
            return false;
        }
        let urls: Vec<&str> = values
            .iter()
            .filter_map(|value| value.text().or_else(|| value.id()))
            .collect();
        let version = [Version::V1_1, Version::V1_0]
            .into_iter()
            .find(|version| urls.contains(&version.url()));
        match version {
            Some(version) => self.version = version,
            None => {
                let path = at.get("conformsTo").map_or_else(String::new, |at| at.path);
                let required = format!(
                    "has to be `{}` or `{}`, not {}",
                    Version::V1_0.url(),
                    Version::V1_1.url(),
                    shown(values[0].value)
                );
                self.error(&path, "conformsTo", required);
            }
        }
        urls.contains(&RAI_VERSION)
    }

    fn required_url(&mut self, at: &At<'a>) {
        match self.one(at, "url") {
            None => self.missing(at, "url"),
            Some(value) => self.url(&value, "url"),
        }
    }

    fn url(&mut self, value: &At<'a>, property: &str) {
        let text = value.text().or_else(|| value.id());
        if !text.is_some_and(forms::is_url) {
            let required = format!("has to be an address, not {}", shown(value.value));
            self.error(&value.path, property, required);
        }
    }

    fn date(&mut self, at: &At<'a>, property: &str, is_required: bool) {
        match self.one(at, property) {
            Some(value) => self.date_value(&value, property),
            None if is_required => self.missing(at, property),
            None => self.warning(&at.path, property, "is recommended"),
        }
    }

    fn date_value(&mut self, value: &At<'a>, property: &str) {
        if !value.text().is_some_and(forms::is_date_or_time) {
            let required = format!(
                "has to be a date of ISO 8601, `2026-05-01`, not {}",
                shown(value.value)
            );
            self.error(&value.path, property, required);
        }
    }

    fn licences(&mut self, at: &At<'a>, property: &str, is_required: bool) {
        let values = at.all(property);
        if values.is_empty() {
            if is_required {
                self.missing(at, property);
            } else {
                self.warning(&at.path, property, "is recommended");
            }
        }
        for value in values {
            let says = match value.text().or_else(|| value.id()) {
                Some(text) if text.trim().is_empty() => {
                    self.error(&value.path, property, "is empty");
                    continue;
                }
                Some(text) => text,
                None if value.value.is_object() => {
                    let names = ["name", "url", "description"];
                    if names.iter().all(|name| value.get(name).is_none()) {
                        let required = "a work has to have a name or an address";
                        self.error(&value.path, property, required);
                    }
                    continue;
                }
                None => {
                    let required =
                        format!("has to be an address or a work, not {}", shown(value.value));
                    self.error(&value.path, property, required);
                    continue;
                }
            };
            if !forms::is_url(says) {
                let required = match spdx_url(says) {
                    Some(url) => format!("an address is recommended: `{url}`"),
                    None => format!(
                        "the address of a known licence is recommended, and {} is none",
                        shown(value.value)
                    ),
                };
                self.warning(&value.path, property, required);
            }
        }
    }

    /// Persons and organisations.
    fn agents(&mut self, at: &At<'a>, property: &str, is_required: bool) {
        let agents = at.all(property);
        if agents.is_empty() {
            if is_required {
                self.missing(at, property);
            } else {
                self.warning(&at.path, property, "is recommended");
            }
        }
        for agent in agents {
            if !agent.value.is_object() || agent.value.get("@value").is_some() {
                let required = format!(
                    "has to be a person or an organisation, not {}",
                    shown(agent.value)
                );
                self.error(&agent.path, property, required);
                continue;
            }
            let only_refers = agent.get("@type").is_none() && agent.id().is_some();
            let is_agent = ["Person", "Organization"]
                .iter()
                .any(|class| agent.is_a(Vocabulary::SchemaOrg, class));
            // Classes below both, of which schema.org has many, and those of other vocabularies.
            let is_other = agent
                .all("@type")
                .iter()
                .any(|class| class.text().is_some_and(|class| !class.is_empty()));
            if only_refers {
                continue;
            }
            if !is_agent {
                let required = "has to be a sc:Person or a sc:Organization";
                if is_other {
                    self.warning(&agent.path, property, required);
                } else {
                    self.error(&agent.path, property, required);
                }
            }
            if self.one_in_languages(&agent, "name").is_none() {
                let required = "a person or an organisation has a name";
                self.warning(&agent.path, "name", required);
            }
        }
    }

    fn recommended(&mut self, at: &At<'a>) {
        let recommended = "is recommended";
        let keywords = at.all("keywords");
        if keywords.is_empty() {
            self.warning(&at.path, "keywords", recommended);
        }
        for keyword in keywords {
            if keyword.text().is_none() && !keyword.value.is_object() {
                let required = format!("has to be a text or a term, not {}", shown(keyword.value));
                self.error(&keyword.path, "keywords", required);
            }
        }
        self.agents(at, "publisher", false);
        self.version_of(at, "version");
        self.date(at, "dateCreated", false);
        self.date(at, "dateModified", false);
        let same_as = at.all("sameAs");
        if same_as.is_empty() {
            self.warning(&at.path, "sameAs", recommended);
        }
        for value in same_as {
            self.url(&value, "sameAs");
        }
        // The table writes `sdLicence`, and refers to schema.org's `sdLicense`.
        if at.get("sdLicence").is_some() {
            self.licences(at, "sdLicence", false);
        } else {
            self.licences(at, "sdLicense", false);
        }
        let languages = at.all("inLanguage");
        if languages.is_empty() {
            self.warning(&at.path, "inLanguage", recommended);
        }
        for value in languages {
            match value.text() {
                Some(tag) if forms::is_language(tag) => {}
                Some(_) => {
                    let required = format!(
                        "a tag of BCP 47 is recommended, `en`, not {}",
                        shown(value.value)
                    );
                    self.warning(&value.path, "inLanguage", required);
                }
                None if value.value.is_object() => {}
                None => {
                    let required =
                        format!("has to be a text or a language, not {}", shown(value.value));
                    self.error(&value.path, "inLanguage", required);
                }
            }
        }
        if at.get("sdVersion").is_some() {
            self.version_of(at, "sdVersion");
        }
    }

    fn version_of(&mut self, at: &At<'a>, property: &str) {
        let Some(value) = self.one(at, property) else {
            self.warning(&at.path, property, "is recommended");
            return;
        };
        match value.plain() {
            Value::String(text) if forms::is_semantic_version(text) => {}
            Value::String(_) | Value::Number(_) => {
                let required = format!(
                    "`MAJOR.MINOR.PATCH` of Semantic Versioning 2.0.0 is recommended, not {}",
                    shown(value.value)
                );
                self.warning(&value.path, property, required);
            }
            _ => {
                let required = format!("has to be a text or a number, not {}", shown(value.value));
                self.error(&value.path, property, required);
            }
        }
    }

    /// What is said of responsible use.
    fn rai(&mut self, at: &At<'a>, conforms: bool) {
        let mut first = None;
        for (name, value) in at.properties() {
            let Some(property) = name.strip_prefix("rai:") else {
                continue;
            };
            first = first.or_else(|| Some((value.path.clone(), name.to_string())));
            let Some(known) = PROPERTIES.iter().find(|known| known.name == property) else {
                let required = match PROPERTIES
                    .iter()
                    .find(|known| known.name.eq_ignore_ascii_case(property))
                {
                    Some(known) => format!("is written `rai:{}`", known.name),
                    None => "is no property of the vocabulary".to_owned(),
                };
                self.warning(&value.path, &name, required);
                continue;
            };
            let values = value.each();
            let n_values = values.len();
            if !known.is_many && n_values > 1 {
                let required = format!("is one value, not {n_values}");
                self.warning(&value.path, &name, required);
            }
            for value in values {
                if property == "dataCollectionTimeframe" {
                    self.date_value(&value, &name);
                    continue;
                }
                let Some(text) = value.text() else {
                    let required = format!("has to be a text, not {}", shown(value.value));
                    self.error(&value.path, &name, required);
                    continue;
                };
                if property == "dataCollectionType"
                    && !COLLECTION_TYPES.contains(&&*text.trim().to_lowercase())
                {
                    let required = format!(
                        "one of the specification's kinds is recommended, `Web Scraping`, not {}",
                        shown(value.value)
                    );
                    self.warning(&value.path, &name, required);
                }
            }
        }
        if let Some((path, name)) = first.filter(|_| !conforms) {
            let required = format!("`conformsTo` has to name `{RAI_VERSION}` too");
            // Version 1.0 says that there is one value of it, and the vocabulary that its own is to be there.
            match self.version {
                Version::V1_0 => self.warning(&path, &name, required),
                Version::V1_1 => self.error(&path, &name, required),
            }
        }
    }
}
