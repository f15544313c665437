//! The grammar of searches for logged models, which is laxer than the others: numbers and bare
//! words are texts where a text is wanted, and only the plural entity names exist.

use super::clauses::{Clause, Element, NoStatement, elements};
use super::python::{self, Literal};
use super::values::{Entity, all, condition, error};
use super::{FilterError, LoggedModelOrder};
use outlay_ledger::{Condition, Field, MetricDataset, Operand, Order, Test};

const ATTRIBUTES: &[&str] = &[
    "model_id",
    "experiment_id",
    "name",
    "artifact_location",
    "creation_timestamp_ms",
    "last_updated_timestamp_ms",
    "status",
    "lifecycle_stage",
    "model_type",
    "source_run_id",
    "status_message",
];

const NUMBERS: &[&str] = &["creation_timestamp_ms", "last_updated_timestamp_ms"];

fn canonical_key(key: &str) -> &str {
    match key {
        "creation_time" | "creation_timestamp" => "creation_timestamp_ms",
        "last_updated_timestamp" => "last_updated_timestamp_ms",
        _ => key,
    }
}

/// Reads a filter of logged models.
pub(super) fn filter(filter: &str) -> Result<Vec<Condition>, FilterError> {
    if filter.is_empty() {
        return Ok(Vec::new());
    }
    let shown = || python::text_literal(filter);
    let elements = match elements(filter) {
        Ok(elements) => elements,
        Err(NoStatement::Unreadable(reason)) => {
            return error(format!(
                "Invalid filter string: {}. SQLParseError('{reason}')",
                shown()
            ));
        }
        Err(NoStatement::Statements(_)) => {
            return error(format!(
                "Invalid filter string: {}. Expected a single SQL expression.",
                shown()
            ));
        }
    };
    let mut comparisons = Vec::new();
    for element in &elements {
        match element {
            Element::Clause(clause) => comparisons.push(read(clause)?),
            Element::And => {}
            Element::Other(_) => {
                return error(format!(
                    "Invalid filter string: {}. Expected a list of comparisons separated by 'AND' \
                     (e.g. 'metrics.loss > 0.1 AND params.lr = 0.01').",
                    shown()
                ));
            }
        }
    }
    all(comparisons.into_iter().map(Comparison::condition))
}

/// A clause that is well-formed, before it is known whether it makes sense.
struct Comparison<'a> {
    entity: Entity,
    key: &'a str,
    comparator: String,
    value: Value<'a>,
}

enum Value<'a> {
    Number(Operand),
    Text(&'a str),
    List(&'a str),
}

impl Comparison<'_> {
    fn condition(self) -> Result<Condition, FilterError> {
        let key = match self.entity {
            Entity::Attribute => canonical_key(self.key),
            _ => self.key,
        };
        if self.entity == Entity::Attribute && !ATTRIBUTES.contains(&key) {
            return error(format!("Invalid attribute: {}", python::text_literal(key)));
        }
        let operand = match self.value {
            Value::Number(operand) => operand,
            Value::Text(text) => Operand::Text(text.to_owned()),
            Value::List(written) => list(written)?,
        };
        condition(self.entity.field(key.to_owned()), &self.comparator, operand)
    }
}

fn read<'a>(clause: &Clause<'a>) -> Result<Comparison<'a>, FilterError> {
    let (Some(right), 3) = (&clause.right, clause.parts) else {
        return error(format!(
            "Invalid comparison: {}. Expected a comparison with 3 tokens.",
            clause.text
        ));
    };
    let comparator = clause.comparator.to_uppercase();
    let (entity, key) = identifier(clause.left.text)?;
    let numeric = entity == Entity::Metric
        || (entity == Entity::Attribute && NUMBERS.contains(&canonical_key(key)));
    check_comparator(entity, key, &comparator, numeric)?;
    let value = if numeric {
        Value::Number(number(right.text, entity)?)
    } else if right.text.starts_with('(') && right.text.ends_with(')') {
        Value::List(right.text)
    } else {
        Value::Text(right.text.trim_matches('\''))
    };
    Ok(Comparison {
        entity,
        key,
        comparator,
        value,
    })
}

fn identifier(text: &str) -> Result<(Entity, &str), FilterError> {
    let split = text.split_once('.').filter(|(entity, key)| {
        !entity.is_empty()
            && entity.bytes().all(|byte| byte.is_ascii_lowercase())
            && !key.is_empty()
            && !key.contains('\n')
    });
    let Some((entity, key)) = split else {
        return Ok((Entity::Attribute, canonical_key(text).trim_matches('`')));
    };
    let entity = match entity {
        "attributes" => Entity::Attribute,
        "metrics" => Entity::Metric,
        "params" => Entity::Parameter,
        "tags" => Entity::Tag,
        _ => {
            return error(format!(
                "Invalid entity type: '{entity}'. Expected one of ['attributes', 'metrics', \
                 'params', 'tags']."
            ));
        }
    };
    Ok((entity, key.trim_matches('`')))
}

fn check_comparator(
    entity: Entity,
    key: &str,
    comparator: &str,
    numeric: bool,
) -> Result<(), FilterError> {
    let allowed: &[&str] = if numeric {
        &["<", "<=", ">", ">=", "=", "!="]
    } else {
        &["=", "!=", "LIKE", "ILIKE", "IN", "NOT IN"]
    };
    if allowed.contains(&comparator) {
        return Ok(());
    }
    let entity = match entity {
        Entity::Attribute | Entity::Dataset => "attributes",
        Entity::Metric => "metrics",
        Entity::Parameter => "params",
        Entity::Tag => "tags",
    };
    let allowed: Vec<String> = allowed
        .iter()
        .map(|allowed| format!("'{allowed}'"))
        .collect();
    error(format!(
        "Invalid comparison operator for {entity}.{key}: {}. Expected one of ({}).",
        python::text_literal(comparator),
        allowed.join(", ")
    ))
}

fn number(written: &str, entity: Entity) -> Result<Operand, FilterError> {
    if entity == Entity::Attribute
        && let Ok(number) = python::whole_number(written)
    {
        return Ok(Operand::Integer(number));
    }
    match python::number(written) {
        Some(number) => Ok(Operand::Number(number)),
        None => error(format!(
            "could not convert string to float: {}",
            python::text_literal(written)
        )),
    }
}

fn list(written: &str) -> Result<Operand, FilterError> {
    let items = match python::literal(written) {
        Some(Literal::Tuple(items)) => items,
        Some(Literal::Text(text)) => vec![Literal::Text(text)],
        _ => vec![Literal::List(Vec::new())],
    };
    // A number matches a text that is written in the same way.
    let texts: Option<Vec<String>> = items
        .iter()
        .map(|item| match item {
            Literal::Text(text) | Literal::Number(text) => Some(text.clone()),
            _ => None,
        })
        .collect();
    match texts {
        Some(items) => Ok(Operand::Texts(items)),
        None => error(format!(
            "Invalid list: {written}. Expected a list of quoted string values."
        )),
    }
}

/// Restricts conditions to metrics that were logged on one of the datasets.
pub(super) fn within(
    mut conditions: Vec<Condition>,
    datasets: &[MetricDataset],
) -> Result<Vec<Condition>, FilterError> {
    if datasets
        .iter()
        .any(|dataset| dataset.name.as_ref().is_none_or(String::is_empty))
    {
        return error("`dataset_name` in the `datasets` clause must be specified.");
    }
    if datasets.is_empty() {
        return Ok(conditions);
    }
    let mut restricted = false;
    for condition in &mut conditions {
        if matches!(condition.field, Field::Metric(_)) {
            condition.datasets = datasets.to_vec();
            restricted = true;
        }
    }
    if !restricted {
        conditions.push(Condition {
            field: Field::AnyMetric,
            test: Test::IsNotNull,
            operand: Operand::Nothing,
            datasets: datasets.to_vec(),
        });
    }
    Ok(conditions)
}

/// Reads one sort key.
pub(super) fn order(order: &LoggedModelOrder) -> Result<Order, FilterError> {
    let given = order.field_name.as_str();
    let (field, dataset) = match given.split_once('.') {
        None => {
            let key = canonical_key(given);
            if !ATTRIBUTES.contains(&key) {
                return error(format!("Invalid order by field name: {given}"));
            }
            (Field::Attribute(key.to_owned()), None)
        }
        Some(("metrics", key)) => {
            let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
            let dataset = MetricDataset {
                name: given(&order.dataset_name),
                digest: given(&order.dataset_digest),
            };
            let restricted = dataset.name.is_some() || dataset.digest.is_some();
            (Field::Metric(key.to_owned()), restricted.then_some(dataset))
        }
        Some(_) => {
            return error(format!(
                "Invalid order by field name: {given}. Only metrics are supported."
            ));
        }
    };
    Ok(Order {
        field,
        ascending: order.ascending.unwrap_or(true),
        dataset,
    })
}
