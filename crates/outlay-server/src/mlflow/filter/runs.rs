//! The grammar of searches for runs, and for experiments, which share most of it.

use super::clauses::{Clause, Part};
use super::kind::Kind;
use super::python::{self, NotWhole};
use super::values::{
    Entity, NUMERIC_COMPARATORS, Parsed, TAG_COMPARATORS, TEXT_COMPARATORS,
    TEXT_OR_ABSENCE_COMPARATORS, Value, all, condition, error, list, number, operand, set,
    supported_list, tag_value, text, unquoted_key, without_backticks,
};
use super::{FilterError, clauses};
use outlay_ledger::{Condition, Operand};

const RUN_KEYS: &[&str] = &[
    "artifact_uri",
    "end_time",
    "run_id",
    "run_name",
    "start_time",
    "status",
    "user_id",
    "created",
    "Created",
    "run name",
    "Run name",
    "Run Name",
];
/// The keys that runs can be sorted by.
pub(super) const RUN_ORDER_KEYS: &[&str] = &[
    "artifact_uri",
    "end_time",
    "run_id",
    "run_name",
    "start_time",
    "status",
    "user_id",
    "created",
    "Created",
];
const RUN_NUMBERS: &[&str] = &["start_time", "end_time", "created", "Created"];
const DATASET_KEYS: &[&str] = &["name", "digest", "context"];
/// The keys that experiments can be searched and sorted by.
pub(super) const EXPERIMENT_KEYS: &[&str] =
    &["name", "experiment_id", "creation_time", "last_update_time"];
const EXPERIMENT_NUMBERS: &[&str] = &["creation_time", "last_update_time"];

/// The canonical name of an attribute of runs.
pub(super) fn canonical_run_key(key: &str) -> &str {
    match key {
        "created" | "Created" => "start_time",
        "run name" | "Run name" | "Run Name" => "run_name",
        _ => key,
    }
}

/// An entity and a key, from text such as ``metrics.`a b` ``.
pub(super) fn run_identifier(
    identifier: &str,
    attributes: &[&str],
) -> Result<(Entity, String), FilterError> {
    let (entity, key) = identifier
        .split_once('.')
        .unwrap_or(("attribute", identifier));
    let entity = match without_backticks(entity) {
        "metric" | "metrics" => Entity::Metric,
        "parameter" | "parameters" | "param" | "params" => Entity::Parameter,
        "tag" | "tags" => Entity::Tag,
        "attribute" | "attributes" | "attr" | "run" => Entity::Attribute,
        "dataset" | "datasets" => Entity::Dataset,
        other => {
            return error(format!(
                "Invalid entity type '{other}'. Valid values are ['metric', 'parameter', 'tag', \
                 'attribute', 'dataset']"
            ));
        }
    };
    let key = unquoted_key(key);
    if entity == Entity::Attribute && !attributes.contains(&key.as_str()) {
        return error(format!(
            "Invalid attribute key '{key}' specified. Valid keys are '{}'",
            set(attributes)
        ));
    }
    if entity == Entity::Dataset && !DATASET_KEYS.contains(&key.as_str()) {
        return error(format!(
            "Invalid dataset key '{key}' specified. Valid keys are '{}'",
            set(DATASET_KEYS)
        ));
    }
    Ok((entity, key))
}

/// An entity and a key where only attributes and tags exist.
pub(super) fn experiment_identifier(
    identifier: &str,
    attributes: &[&str],
) -> Result<(Entity, String), FilterError> {
    let (entity, key) = simple_identifier(identifier)?;
    let key = unquoted_key(key);
    check_attribute(entity, &key, attributes)?;
    Ok((entity, key))
}

/// Tells tags from attributes; the key is still as it is written.
pub(super) fn simple_identifier(identifier: &str) -> Result<(Entity, &str), FilterError> {
    let (entity, key) = identifier
        .split_once('.')
        .unwrap_or(("attribute", identifier));
    match entity {
        "attribute" => Ok((Entity::Attribute, key)),
        "tag" | "tags" => Ok((Entity::Tag, key)),
        _ => error(format!(
            "Invalid entity type '{entity}'. Valid entity types are ('attribute', 'tag', 'tags')"
        )),
    }
}

/// Checks that an attribute is one of those there are.
pub(super) fn check_attribute(
    entity: Entity,
    key: &str,
    attributes: &[&str],
) -> Result<(), FilterError> {
    if entity == Entity::Attribute && !attributes.contains(&key) {
        return error(format!(
            "Invalid attribute key '{key}' specified. Valid keys are '{}'",
            set(attributes)
        ));
    }
    Ok(())
}

fn value(
    entity: Entity,
    key: &str,
    part: &Part<'_>,
    numbers: &[&str],
    lists: &[&str],
) -> Result<Value, FilterError> {
    match entity {
        Entity::Metric if part.is_number() => {
            Ok(Value::Float(python::number(part.text).unwrap_or(f64::NAN)))
        }
        Entity::Metric => error(format!(
            "Expected numeric value type for metric. Found {}",
            part.text
        )),
        Entity::Parameter | Entity::Tag => tag_value(entity, part),
        Entity::Attribute if numbers.contains(&key) => {
            if part.is_number() {
                return Ok(number(part));
            }
            error(format!(
                "Expected numeric value type for numeric attribute: {key}. Found {}",
                part.text
            ))
        }
        Entity::Attribute | Entity::Dataset if part.may_be_text() => text(part),
        Entity::Attribute if part.kind == Kind::Parenthesis => supported_list(lists, key, part),
        Entity::Dataset if part.kind == Kind::Parenthesis => list(part),
        Entity::Attribute => error(format!(
            "Expected a quoted string value for attributes. Got value {}",
            part.text
        )),
        Entity::Dataset => error(format!(
            "Expected a quoted string value for dataset attributes. Got value {}",
            part.text
        )),
    }
}

fn parsed_run(clause: &Clause<'_>) -> Result<Parsed, FilterError> {
    clause.check()?;
    let (entity, key) = run_identifier(clause.left.text, RUN_KEYS)?;
    let value = match &clause.right {
        Some(part) => value(entity, &key, part, RUN_NUMBERS, &["run_id"])?,
        None if matches!(entity, Entity::Tag | Entity::Parameter) => Value::Nothing,
        None => {
            return error(format!(
                "IS NULL / IS NOT NULL is only supported for tags and params, not for '{}' '{key}'",
                entity.name()
            ));
        }
    };
    Ok(Parsed {
        entity,
        key: canonical_run_key(&key).to_owned(),
        comparator: clause.comparator.to_uppercase(),
        value,
    })
}

fn run_condition(parsed: Parsed) -> Result<Condition, FilterError> {
    let numeric = parsed.entity == Entity::Metric
        || (parsed.entity == Entity::Attribute && RUN_NUMBERS.contains(&parsed.key.as_str()));
    // The names of the wrong set, and the odd missing quote, are MLflow's.
    let (allowed, shown, end) = match parsed.entity {
        Entity::Metric => (NUMERIC_COMPARATORS, NUMERIC_COMPARATORS, ""),
        Entity::Parameter => (
            TEXT_OR_ABSENCE_COMPARATORS,
            TEXT_OR_ABSENCE_COMPARATORS,
            "'",
        ),
        Entity::Tag => (TEXT_OR_ABSENCE_COMPARATORS, TEXT_OR_ABSENCE_COMPARATORS, ""),
        Entity::Attribute if numeric => (NUMERIC_COMPARATORS, TEXT_COMPARATORS, ""),
        Entity::Attribute => (TEXT_COMPARATORS, TEXT_COMPARATORS, "'"),
        Entity::Dataset => (TEXT_COMPARATORS, TEXT_COMPARATORS, ""),
    };
    check_comparator(&parsed.comparator, allowed, shown, end)?;
    let field = parsed.entity.field(parsed.key);
    condition(field, &parsed.comparator, operand(parsed.value)?)
}

fn check_comparator(
    comparator: &str,
    allowed: &[&str],
    shown: &[&str],
    end: &str,
) -> Result<(), FilterError> {
    if allowed.contains(&comparator) {
        return Ok(());
    }
    error(format!(
        "Invalid comparator '{comparator}' not one of '{}{end}",
        set(shown)
    ))
}

/// Reads a filter of runs.
pub(super) fn runs(filter: &str) -> Result<Vec<Condition>, FilterError> {
    let clauses = clauses::clauses(filter, true)?;
    let parsed: Result<Vec<Parsed>, FilterError> = clauses.iter().map(parsed_run).collect();
    all(parsed?.into_iter().map(run_condition))
}

fn parsed_experiment(clause: &Clause<'_>) -> Result<Parsed, FilterError> {
    clause.check()?;
    let (entity, key) = experiment_identifier(clause.left.text, EXPERIMENT_KEYS)?;
    let value = match &clause.right {
        Some(part) => value(entity, &key, part, EXPERIMENT_NUMBERS, &["experiment_id"])?,
        None if entity == Entity::Tag => Value::Nothing,
        None => {
            return error(format!(
                "IS NULL / IS NOT NULL is only supported for tags, not for attribute '{key}'"
            ));
        }
    };
    Ok(Parsed {
        entity,
        key,
        comparator: clause.comparator.to_owned(),
        value,
    })
}

fn experiment_condition(parsed: Parsed) -> Result<Condition, FilterError> {
    let Parsed {
        entity,
        key,
        comparator,
        value,
    } = parsed;
    let among = |allowed: &[&str]| allowed.contains(&comparator.as_str());
    let operand = match (entity, key.as_str(), value) {
        (Entity::Attribute, "experiment_id", value) => {
            if !among(&["=", "!=", "IN", "NOT IN"]) {
                return error(format!(
                    "Invalid comparator for experiment_id: {comparator}"
                ));
            }
            match value {
                Value::Texts(ids) => {
                    let ids: Result<Vec<String>, FilterError> =
                        ids.iter().map(|id| experiment_id(id)).collect();
                    Operand::Texts(ids?)
                }
                Value::Text(id) => Operand::Text(experiment_id(&id)?),
                other => operand(other)?,
            }
        }
        (Entity::Attribute, key, value) if EXPERIMENT_NUMBERS.contains(&key) => {
            check_comparator(&comparator, NUMERIC_COMPARATORS, TEXT_COMPARATORS, "")?;
            if let Value::Float(number) = value {
                return error(format!(
                    "Invalid value for numeric attribute '{key}': '{}'",
                    python::float_literal(number)
                ));
            }
            operand(value)?
        }
        (Entity::Attribute, _, value) => {
            check_comparator(&comparator, TEXT_COMPARATORS, TEXT_COMPARATORS, "'")?;
            if !among(TAG_COMPARATORS) {
                return error(format!(
                    "Invalid comparator for string attribute: {comparator}"
                ));
            }
            operand(value)?
        }
        (_, _, value) => {
            if !among(&["IS NULL", "IS NOT NULL"]) && !among(TAG_COMPARATORS) {
                return error(format!("Invalid comparator for tag: {comparator}"));
            }
            operand(value)?
        }
    };
    condition(entity.field(key), &comparator, operand)
}

/// The decimal form of the number that the identifier of an experiment must be.
fn experiment_id(id: &str) -> Result<String, FilterError> {
    match python::whole_number(id) {
        Ok(number) => Ok(number.to_string()),
        Err(NotWhole::Invalid) => error(format!(
            "Invalid experiment ID '{id}'. Experiment ID must be a valid integer."
        )),
        Err(NotWhole::TooLarge) => error(format!("The number {id} is too large.")),
    }
}

/// Reads a filter of experiments.
pub(super) fn experiments(filter: &str) -> Result<Vec<Condition>, FilterError> {
    let clauses = clauses::clauses(filter, false)?;
    let parsed: Result<Vec<Parsed>, FilterError> = clauses.iter().map(parsed_experiment).collect();
    all(parsed?.into_iter().map(experiment_condition))
}
