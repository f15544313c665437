//! What the names in a JSON-LD file stand for, and a place within it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::{CROISSANT, RAI, TERMS_OF_DUBLIN_CORE};

/// What `@context` of a file says of names: <https://www.w3.org/TR/json-ld11/#the-context>.
#[derive(Debug, Default)]
pub(super) struct Context {
    terms: BTreeMap<String, String>,
    vocabulary: Option<String>,
    /// Whether all of it stands in the file. Where a part is an address, nothing is known of the names.
    pub(super) is_whole: bool,
}

/// What a name of a file stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vocabulary {
    SchemaOrg,
    Croissant,
    Rai,
    DublinCore,
}

impl Context {
    pub(super) fn of(value: &Value) -> Self {
        let mut context = Self {
            is_whole: true,
            ..Self::default()
        };
        match value {
            Value::Object(_) => context.add(value),
            Value::Array(parts) => parts.iter().for_each(|part| context.add(part)),
            _ => context.is_whole = false,
        }
        context
    }

    fn add(&mut self, part: &Value) {
        let Value::Object(part) = part else {
            self.is_whole = false;
            return;
        };
        for (name, meaning) in part {
            let meaning = meaning.get("@id").unwrap_or(meaning);
            if let Some(meaning) = meaning.as_str() {
                if name == "@vocab" {
                    self.vocabulary = Some(meaning.to_owned());
                } else if !name.starts_with('@') {
                    self.terms.insert(name.clone(), meaning.to_owned());
                }
            }
        }
    }

    /// The address that a name stands for; `None` where neither the context nor the name itself says it.
    pub(super) fn expand(&self, name: &str) -> Option<String> {
        let mut name = Cow::Borrowed(name);
        // A context that defines names by each other in a circle ends after as many steps as any that does not would take.
        for _ in 0..8 {
            if name.starts_with('@') {
                return Some(name.into_owned());
            }
            if let Some(meaning) = self.terms.get(&*name) {
                if *meaning == name {
                    return Some(meaning.clone());
                }
                name = Cow::Owned(meaning.clone());
                continue;
            }
            let Some((prefix, rest)) = name.split_once(':') else {
                return self
                    .vocabulary
                    .as_ref()
                    .map(|vocabulary| format!("{vocabulary}{name}"));
            };
            if rest.starts_with("//") {
                return Some(name.into_owned());
            }
            match self.terms.get(prefix) {
                Some(meaning) => name = Cow::Owned(format!("{meaning}{rest}")),
                None if matches!(prefix, "urn" | "doi" | "mailto" | "info" | "ark") => {
                    return Some(name.into_owned());
                }
                None => return None,
            }
        }
        None
    }

    /// The vocabulary that a name is of, and its name there. A file that does not define the usual prefixes means them all the
    /// same.
    pub(super) fn known<'n>(&self, name: &'n str) -> Option<(Vocabulary, Cow<'n, str>)> {
        if let Some((vocabulary, name)) = self.expand(name).as_deref().and_then(of_address) {
            return Some((vocabulary, Cow::Owned(name.to_owned())));
        }
        let (prefix, rest) = name.split_once(':')?;
        let vocabulary = match prefix {
            "sc" | "schema" => Vocabulary::SchemaOrg,
            "cr" | "croissant" | "ml" => Vocabulary::Croissant,
            "rai" => Vocabulary::Rai,
            "dct" => Vocabulary::DublinCore,
            _ => return None,
        };
        (!self.terms.contains_key(prefix)).then_some((vocabulary, Cow::Borrowed(rest)))
    }

    /// The name of a property without the prefix of schema.org, Croissant or Dublin Core; those of the RAI vocabulary begin with
    /// `rai:`.
    fn property<'n>(&self, name: &'n str) -> Cow<'n, str> {
        // Names without a prefix are meant as they are: whether the context knows them is another question.
        if !name.contains(':') && self.terms.get(name).is_none_or(|to| !to.starts_with('@')) {
            return Cow::Borrowed(name);
        }
        match self.known(name) {
            Some((Vocabulary::Rai, rest)) => Cow::Owned(format!("rai:{rest}")),
            Some((_, rest)) => rest,
            None => match self.terms.get(name) {
                Some(to) if to.starts_with('@') => Cow::Owned(to.clone()),
                _ => Cow::Borrowed(name),
            },
        }
    }
}

fn of_address(address: &str) -> Option<(Vocabulary, &str)> {
    let after = |start| address.strip_prefix(start);
    after(RAI)
        .map(|rest| (Vocabulary::Rai, rest))
        .or_else(|| after(CROISSANT).map(|rest| (Vocabulary::Croissant, rest)))
        .or_else(|| after(TERMS_OF_DUBLIN_CORE).map(|rest| (Vocabulary::DublinCore, rest)))
        .or_else(|| {
            // Both are the vocabulary's own addresses: <https://schema.org/docs/faq.html#19>.
            let rest = after("http://").or_else(|| after("https://"))?;
            rest.strip_prefix("schema.org/")
                .map(|rest| (Vocabulary::SchemaOrg, rest))
        })
}

/// A place in a file.
#[derive(Clone, Debug)]
pub(super) struct At<'a> {
    pub(super) context: &'a Context,
    pub(super) value: &'a Value,
    /// JSON pointer, RFC 6901.
    pub(super) path: String,
}

impl<'a> At<'a> {
    /// The value of a property, by its name without a prefix; `None` where there is none, or `null`, which says the same.
    pub(super) fn get(&self, property: &str) -> Option<At<'a>> {
        let object = self.value.as_object()?;
        let found = object.get_key_value(property).or_else(|| {
            object
                .iter()
                .find(|(key, _)| self.context.property(key) == property)
        });
        found
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| self.within(key, value))
    }

    /// All properties, by their names without a prefix.
    pub(super) fn properties(&self) -> impl Iterator<Item = (Cow<'a, str>, At<'a>)> {
        let context = self.context;
        let path = self.path.clone();
        self.value
            .as_object()
            .into_iter()
            .flatten()
            .map(move |(key, value)| {
                let at = At {
                    context,
                    value,
                    path: format!("{path}/{}", escaped(key)),
                };
                (context.property(key), at)
            })
    }

    /// The values of a list, or the one value.
    pub(super) fn each(&self) -> Vec<At<'a>> {
        match self.value {
            Value::Null => Vec::new(),
            Value::Array(values) => values
                .iter()
                .enumerate()
                .map(|(at, value)| self.within(&at.to_string(), value))
                .collect(),
            Value::Object(object) if object.len() == 1 => {
                match object.get("@list").or_else(|| object.get("@set")) {
                    Some(values) => self
                        .within(
                            if object.contains_key("@list") {
                                "@list"
                            } else {
                                "@set"
                            },
                            values,
                        )
                        .each_plain(),
                    None => vec![self.clone()],
                }
            }
            _ => vec![self.clone()],
        }
    }

    fn each_plain(&self) -> Vec<At<'a>> {
        match self.value {
            Value::Array(values) => values
                .iter()
                .enumerate()
                .map(|(at, value)| self.within(&at.to_string(), value))
                .collect(),
            _ => vec![self.clone()],
        }
    }

    /// All values of a property.
    pub(super) fn all(&self, property: &str) -> Vec<At<'a>> {
        self.get(property).map(|at| at.each()).unwrap_or_default()
    }

    /// The plain value: itself, or that of `{"@value": …}`.
    pub(super) fn plain(&self) -> &'a Value {
        self.value.get("@value").unwrap_or(self.value)
    }

    /// The text, also that of `{"@value": …}` and of `{"@id": …}` where an address is meant.
    pub(super) fn text(&self) -> Option<&'a str> {
        self.plain().as_str()
    }

    /// What it is called in the file.
    pub(super) fn id(&self) -> Option<&'a str> {
        self.get("@id").and_then(|at| at.value.as_str())
    }

    /// Whether `@type` names a class.
    pub(super) fn is_a(&self, vocabulary: Vocabulary, class: &str) -> bool {
        self.all("@type")
            .iter()
            .filter_map(|at| at.value.as_str())
            .any(|name| {
                self.context
                    .known(name)
                    .is_some_and(|(of, name)| of == vocabulary && name == class)
                    // Without a context that can be read, the bare name is as good as it gets.
                    || (!self.context.is_whole && name == class)
            })
    }

    pub(super) fn within(&self, key: &str, value: &'a Value) -> At<'a> {
        At {
            context: self.context,
            value,
            path: format!("{}/{}", self.path, escaped(key)),
        }
    }
}

fn escaped(key: &str) -> Cow<'_, str> {
    if key.contains(['~', '/']) {
        Cow::Owned(key.replace('~', "~0").replace('/', "~1"))
    } else {
        Cow::Borrowed(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_looked_up_by_what_they_stand_for() {
        let context = Context::of(&json!([
            {"@vocab": "https://schema.org/", "c": "http://mlcommons.org/croissant/"},
            {"field": "c:field", "data": {"@id": "c:data", "@type": "@json"}, "a": "b", "b": "a"},
        ]));
        assert_eq!(
            context.expand("field").as_deref(),
            Some("http://mlcommons.org/croissant/field")
        );
        assert_eq!(
            context.expand("name").as_deref(),
            Some("https://schema.org/name")
        );
        assert_eq!(context.expand("x:name"), None);
        assert_eq!(context.expand("a"), None);
        let value =
            json!({"c:field": 1, "http://schema.org/name": "n", "rai:dataBiases": 2, "x/y": null});
        let at = At {
            context: &context,
            value: &value,
            path: String::new(),
        };
        assert_eq!(
            at.get("field").map(|at| at.path).as_deref(),
            Some("/c:field")
        );
        assert_eq!(
            at.get("name").map(|at| at.path).as_deref(),
            Some("/http:~1~1schema.org~1name")
        );
        assert!(at.get("rai:dataBiases").is_some() && at.get("x/y").is_none());
    }
}
