//! What the grammars have in common when they read keys, comparators and values.

use super::FilterError;
use super::clauses::Part;
use super::kind::Kind;
use super::python::{self, Literal, NotWhole};
use outlay_ledger::{Condition, Field, Operand, Test};

/// The sorts of things that a clause can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entity {
    Attribute,
    Metric,
    Parameter,
    Tag,
    Dataset,
}

impl Entity {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Attribute => "attribute",
            Self::Metric => "metric",
            Self::Parameter => "parameter",
            Self::Tag => "tag",
            Self::Dataset => "dataset",
        }
    }

    pub(super) fn field(self, key: String) -> Field {
        match self {
            Self::Attribute => Field::Attribute(key),
            Self::Metric => Field::Metric(key),
            Self::Parameter => Field::Parameter(key),
            Self::Tag => Field::Tag(key),
            Self::Dataset => Field::Dataset(key),
        }
    }
}

/// A value before it is known whether the comparator suits it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Nothing,
    Integer(String),
    Float(f64),
    Text(String),
    Texts(Vec<String>),
}

/// A clause whose parts have been read, before it is known whether the comparator suits it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parsed {
    pub(super) entity: Entity,
    pub(super) key: String,
    pub(super) comparator: String,
    pub(super) value: Value,
}

pub(super) const NUMERIC_COMPARATORS: &[&str] = &[">", ">=", "!=", "=", "<", "<="];
pub(super) const TEXT_COMPARATORS: &[&str] = &["!=", "=", "LIKE", "ILIKE", "IN", "NOT IN"];
pub(super) const TEXT_OR_ABSENCE_COMPARATORS: &[&str] =
    &["!=", "=", "LIKE", "ILIKE", "IS NULL", "IS NOT NULL"];
pub(super) const TAG_COMPARATORS: &[&str] = &["=", "!=", "LIKE", "ILIKE"];

/// An error.
pub(super) fn error<T>(message: impl Into<String>) -> Result<T, FilterError> {
    Err(FilterError(message.into()))
}

/// Names as MLflow shows a set of them. Its own order changes from one start of the server to the
/// next; here it is that of `names`.
pub(super) fn set(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    format!("{{{}}}", names.join(", "))
}

/// Takes the quotes off a key: one pair of plain quotes, then one pair of backticks.
pub(super) fn unquoted_key(key: &str) -> String {
    let key = trim_pair(key, '\'')
        .or_else(|| trim_pair(key, '"'))
        .unwrap_or(key);
    without_backticks(key).to_owned()
}

pub(super) fn without_backticks(text: &str) -> &str {
    trim_pair(text, '`').unwrap_or(text)
}

fn trim_pair(text: &str, quote: char) -> Option<&str> {
    text.strip_prefix(quote)?.strip_suffix(quote)
}

/// A text without the quotes it must have. What the quotes enclose is taken as it is: a doubled
/// quote or a backslash stays.
pub(super) fn text(part: &Part<'_>) -> Result<Value, FilterError> {
    let written = part.text;
    match trim_pair(written, '\'').or_else(|| trim_pair(written, '"')) {
        Some(text) => Ok(Value::Text(text.to_owned())),
        None => error(format!(
            "Parameter value is either not quoted or unidentified quote types used for string \
             value {written}. Use either single or double quotes."
        )),
    }
}

/// The value of a tag or a parameter.
pub(super) fn tag_value(entity: Entity, part: &Part<'_>) -> Result<Value, FilterError> {
    if part.may_be_text() {
        return text(part);
    }
    error(format!(
        "Expected a quoted string value for {} (e.g. 'my-value'). Got value {}",
        entity.name(),
        part.text
    ))
}

/// A list of texts, for an attribute that `supported` names.
pub(super) fn supported_list(
    supported: &[&str],
    key: &str,
    part: &Part<'_>,
) -> Result<Value, FilterError> {
    if supported.contains(&key) {
        return list(part);
    }
    let supported: Vec<String> = supported.iter().map(|key| (*key).to_owned()).collect();
    error(format!(
        "Only {} attributes support comparison with a list of quoted string values.",
        python::list_literal(&supported)
    ))
}

/// A list of texts, which is written as a Python tuple.
pub(super) fn list(part: &Part<'_>) -> Result<Value, FilterError> {
    let items = match python::literal(part.text) {
        Some(Literal::Tuple(items)) => items,
        Some(item) => vec![item],
        None => {
            return error(
                "While parsing a list in the query, expected a non-empty list of string values, \
                 but got ill-formed list.",
            );
        }
    };
    if items.is_empty() {
        return error(
            "While parsing a list in the query, expected a non-empty list of string values, but \
             got empty list",
        );
    }
    match texts(&items) {
        Some(texts) => Ok(Value::Texts(texts)),
        None => error(format!(
            "While parsing a list in the query, expected string value, punctuation, or \
             whitespace, but got different type in list: {}",
            Literal::Tuple(items).written()
        )),
    }
}

/// The items as texts, if all of them are.
fn texts(items: &[Literal]) -> Option<Vec<String>> {
    items
        .iter()
        .map(|item| match item {
            Literal::Text(text) => Some(text.clone()),
            _ => None,
        })
        .collect()
}

/// A number.
pub(super) fn number(part: &Part<'_>) -> Value {
    if part.kind == Kind::Integer {
        Value::Integer(part.text.to_owned())
    } else {
        Value::Float(python::number(part.text).unwrap_or(f64::NAN))
    }
}

fn test(comparator: &str) -> Option<Test> {
    Some(match comparator {
        "=" => Test::Equal,
        "!=" => Test::NotEqual,
        "<" => Test::Less,
        "<=" => Test::LessOrEqual,
        ">" => Test::Greater,
        ">=" => Test::GreaterOrEqual,
        "LIKE" => Test::Like,
        "ILIKE" => Test::ILike,
        "IN" => Test::In,
        "NOT IN" => Test::NotIn,
        "IS NULL" => Test::IsNull,
        "IS NOT NULL" => Test::IsNotNull,
        _ => return None,
    })
}

/// A whole number that fits.
pub(super) fn exact(written: &str) -> Result<Operand, FilterError> {
    match python::whole_number(written) {
        Ok(number) => Ok(Operand::Integer(number)),
        Err(NotWhole::TooLarge) => error(format!("The number {written} is too large.")),
        Err(NotWhole::Invalid) => error(format!("{written} is not a whole number.")),
    }
}

/// The condition that a clause means, once its comparator is known to suit its field.
pub(super) fn condition(
    field: Field,
    comparator: &str,
    operand: Operand,
) -> Result<Condition, FilterError> {
    let Some(test) = test(comparator) else {
        return error(format!("Invalid comparator '{comparator}'"));
    };
    Ok(Condition {
        field,
        test,
        operand,
        datasets: Vec::new(),
    })
}

/// All the conditions of a filter. A list of values goes with some comparators only, which MLflow's
/// store finds out last and fails on.
pub(super) fn all(
    conditions: impl Iterator<Item = Result<Condition, FilterError>>,
) -> Result<Vec<Condition>, FilterError> {
    let conditions: Vec<Condition> = conditions.collect::<Result<_, _>>()?;
    let misplaced = conditions.iter().any(|condition| {
        let takes_list = matches!(condition.test, Test::In | Test::NotIn);
        takes_list != matches!(condition.operand, Operand::Texts(_))
    });
    if misplaced {
        return error("A list of values can be compared with IN and NOT IN only.");
    }
    Ok(conditions)
}

/// A value as an operand.
pub(super) fn operand(value: Value) -> Result<Operand, FilterError> {
    Ok(match value {
        Value::Nothing => Operand::Nothing,
        Value::Integer(written) => exact(&written)?,
        Value::Float(number) => Operand::Number(number),
        Value::Text(text) => Operand::Text(text),
        Value::Texts(texts) => Operand::Texts(texts),
    })
}
