//! The grammars of searches for registered models and for model versions.

use super::clauses::{Clause, Part};
use super::kind::Kind;
use super::python::{self, NotWhole};
use super::runs::{check_attribute, simple_identifier};
use super::values::{
    Entity, NUMERIC_COMPARATORS, Parsed, TAG_COMPARATORS, TEXT_COMPARATORS, Value, all, condition,
    error, number, operand, set, supported_list, tag_value, text, unquoted_key,
};
use super::{FilterError, clauses};
use outlay_ledger::{Condition, Operand};

/// What differs between the two grammars.
struct Registry {
    keys: &'static [&'static str],
    /// The attributes that are compared with numbers.
    numbers: &'static [&'static str],
    /// The attributes that are compared with lists.
    lists: &'static [&'static str],
}

const MODELS: Registry = Registry {
    keys: &["name"],
    numbers: &[],
    lists: &["name"],
};

const VERSIONS: Registry = Registry {
    keys: &["name", "version_number", "run_id", "source_path"],
    numbers: &[
        "version_number",
        "creation_timestamp",
        "last_updated_timestamp",
    ],
    lists: &["name", "run_id"],
};

impl Registry {
    fn read(&self, filter: &str) -> Result<Vec<Condition>, FilterError> {
        let clauses = clauses::clauses(filter, false)?;
        let parsed: Result<Vec<Parsed>, FilterError> =
            clauses.iter().map(|clause| self.parsed(clause)).collect();
        all(parsed?.into_iter().map(|parsed| self.condition(parsed)))
    }

    fn parsed(&self, clause: &Clause<'_>) -> Result<Parsed, FilterError> {
        clause.check()?;
        let Some(right) = &clause.right else {
            return error(format!(
                "{} is not supported for '{}'",
                clause.comparator, clause.left.text
            ));
        };
        let (entity, key) = simple_identifier(clause.left.text)?;
        // Unlike elsewhere, an attribute must not be quoted.
        check_attribute(entity, key, self.keys)?;
        let key = unquoted_key(key);
        let value = self.value(entity, &key, right)?;
        Ok(Parsed {
            entity,
            key,
            comparator: clause.comparator.to_uppercase(),
            value,
        })
    }

    fn value(&self, entity: Entity, key: &str, part: &Part<'_>) -> Result<Value, FilterError> {
        if entity == Entity::Tag {
            return tag_value(entity, part);
        }
        if part.may_be_text() {
            return text(part);
        }
        if part.kind == Kind::Parenthesis {
            return supported_list(self.lists, key, part);
        }
        if part.is_number() && !self.numbers.is_empty() {
            if self.numbers.contains(&key) {
                return Ok(number(part));
            }
            return error(format!(
                "Only the '{}' attributes support comparison with numeric values.",
                set(self.numbers)
            ));
        }
        error(format!(
            "Expected a quoted string value or a list of quoted string values for attributes. Got \
             value {}",
            part.text
        ))
    }

    fn condition(&self, parsed: Parsed) -> Result<Condition, FilterError> {
        let Parsed {
            entity,
            key,
            comparator,
            value,
        } = parsed;
        let among = |allowed: &[&str]| allowed.contains(&comparator.as_str());
        let operand = if entity == Entity::Tag {
            if !among(TAG_COMPARATORS) {
                return error(format!("Invalid comparator for tag: {comparator}"));
            }
            operand(value)?
        } else if self.numbers.contains(&key.as_str()) {
            if !among(NUMERIC_COMPARATORS) {
                return error(format!(
                    "Invalid comparator for attribute {key}: {comparator}"
                ));
            }
            version_number(&key, value)?
        } else if among(TEXT_COMPARATORS) {
            operand(value)?
        } else {
            return error(format!("Invalid comparator for attribute: {comparator}"));
        };
        condition(entity.field(key), &comparator, operand)
    }
}

/// A whole number, which may be written as a text.
fn version_number(key: &str, value: Value) -> Result<Operand, FilterError> {
    let invalid = |shown: &str| {
        error(format!(
            "Invalid value for numeric attribute '{key}': {shown}"
        ))
    };
    match value {
        Value::Text(text) => match python::whole_number(&text) {
            Ok(number) => Ok(Operand::Integer(number)),
            Err(NotWhole::Invalid) => invalid(&python::text_literal(&text)),
            Err(NotWhole::TooLarge) => error(format!("The number {text} is too large.")),
        },
        Value::Float(number) => invalid(&python::float_literal(number)),
        other => operand(other),
    }
}

/// Reads a filter of registered models.
pub(super) fn models(filter: &str) -> Result<Vec<Condition>, FilterError> {
    MODELS.read(filter)
}

/// Reads a filter of model versions.
pub(super) fn versions(filter: &str) -> Result<Vec<Condition>, FilterError> {
    VERSIONS.read(filter)
}
