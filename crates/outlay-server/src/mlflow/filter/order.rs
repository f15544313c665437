//! Sort keys such as `metrics.loss DESC`.

use super::FilterError;
use super::grouping::Groups;
use super::kind::Kind;
use super::lexer;
use super::python;
use super::runs::{
    EXPERIMENT_KEYS, RUN_ORDER_KEYS, canonical_run_key, experiment_identifier, run_identifier,
};
use super::statement;
use super::values::{Entity, error, set};
use outlay_ledger::{Field, Order};

const VERSION_KEYS: &[&str] = &[
    "name",
    "version_number",
    "creation_timestamp",
    "last_updated_timestamp",
];

/// The key, as it is written, and whether the order is ascending.
fn direction(clause: &str) -> Result<(String, bool), FilterError> {
    let unreadable = || {
        error(format!(
            "Invalid order_by clause '{clause}'. Could not be parsed."
        ))
    };
    let tokens = lexer::tokens(clause);
    let (statements, _) = statement::split(clause, &tokens);
    let Ok(groups) = Groups::new(clause, &tokens) else {
        return error(format!("Error on parsing order_by clause '{clause}'"));
    };
    if statements != 1 {
        return unreadable();
    }
    let is_timestamp = |node| {
        let text = groups.text_of(node);
        (text == "timestamp" && node.kind == Kind::Builtin).then_some(text)
    };
    let key = match groups.nodes.as_slice() {
        [only] if only.kind == Kind::Identifier => Some(groups.text_of(only).to_owned()),
        [only] => is_timestamp(only).map(str::to_owned),
        [first, between @ .., last]
            if last.kind == Kind::KeywordOfOrder
                && between.iter().all(|node| node.kind.is_space()) =>
        {
            is_timestamp(first).map(|first| format!("{first} {}", groups.text_of(last)))
        }
        _ => None,
    };
    let Some(key) = key else {
        return unreadable();
    };
    let words = split_words(&key)?;
    match words.as_slice() {
        [_] | [] => Ok((key, true)),
        [name, order] => match order.to_lowercase().as_str() {
            "asc" => Ok((name.clone(), true)),
            "desc" => Ok((name.clone(), false)),
            _ => error(format!(
                "Invalid ordering key in order_by clause '{clause}'."
            )),
        },
        _ => unreadable(),
    }
}

/// Splits a text into words the way a shell does; backticks quote as double quotes do.
fn split_words(text: &str) -> Result<Vec<String>, FilterError> {
    let mut found = Vec::new();
    let mut pending: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = text.chars().map(|c| if c == '`' { '"' } else { c });
    while let Some(character) = characters.next() {
        let escapes = character == '\\' && quote != Some('\'');
        if escapes {
            let Some(literal) = characters.next() else {
                return error("No escaped character");
            };
            let pending = pending.get_or_insert_default();
            if quote.is_some_and(|quote| literal != quote && literal != '\\') {
                pending.push('\\');
            }
            pending.push(literal);
        } else if quote == Some(character) {
            quote = None;
        } else if quote.is_some() {
            pending.get_or_insert_default().push(character);
        } else if matches!(character, '\'' | '"') {
            quote = Some(character);
            pending.get_or_insert_default();
        } else if matches!(character, ' ' | '\t' | '\r' | '\n') {
            found.extend(pending.take());
        } else {
            pending.get_or_insert_default().push(character);
        }
    }
    if quote.is_some() {
        return error("No closing quotation");
    }
    found.extend(pending);
    Ok(found)
}

fn order(field: Field, ascending: bool) -> Order {
    Order {
        field,
        ascending,
        dataset: None,
    }
}

/// The sort keys, each of which may be there once only.
fn distinct(
    clauses: &[String],
    read: impl Fn(&str) -> Result<Order, FilterError>,
) -> Result<Vec<Order>, FilterError> {
    let mut seen = std::collections::HashSet::new();
    let mut orders = Vec::new();
    for clause in clauses {
        let order = read(clause)?;
        if !seen.insert(order.field.clone()) {
            return error(format!(
                "`order_by` contains duplicate fields: {}",
                python::list_literal(clauses)
            ));
        }
        orders.push(order);
    }
    Ok(orders)
}

/// The sort keys of runs.
pub(super) fn runs(clauses: &[String]) -> Result<Vec<Order>, FilterError> {
    distinct(clauses, |clause| {
        let (key, ascending) = direction(clause)?;
        let (entity, key) = run_identifier(key.trim_matches(lexer::is_white), RUN_ORDER_KEYS)?;
        if entity == Entity::Dataset {
            return error("Invalid identifier type 'dataset'");
        }
        let key = canonical_run_key(&key).to_owned();
        Ok(order(entity.field(key), ascending))
    })
}

/// The sort keys of experiments.
pub(super) fn experiments(clauses: &[String]) -> Result<Vec<Order>, FilterError> {
    clauses
        .iter()
        .map(|clause| {
            let (key, ascending) = direction(clause)?;
            let key = key.trim_matches(lexer::is_white);
            let (entity, key) = experiment_identifier(key, EXPERIMENT_KEYS)?;
            if entity == Entity::Tag {
                return error("Invalid order_by entity: tag");
            }
            Ok(order(entity.field(key), ascending))
        })
        .collect()
}

/// The sort keys of registered models.
pub(super) fn models(clauses: &[String]) -> Result<Vec<Order>, FilterError> {
    distinct(clauses, |clause| {
        let (key, ascending) = direction(clause)?;
        let key = match key.trim_matches(lexer::is_white) {
            "name" => "name",
            "timestamp" | "last_updated_timestamp" => "last_updated_timestamp",
            other => {
                return error(format!(
                    "Invalid order by key '{other}' specified. Valid keys are '{}'",
                    set(&["name", "timestamp"])
                ));
            }
        };
        Ok(order(Field::Attribute(key.to_owned()), ascending))
    })
}

/// The sort keys of model versions.
pub(super) fn versions(clauses: &[String]) -> Result<Vec<Order>, FilterError> {
    distinct(clauses, |clause| {
        let (key, ascending) = direction(clause)?;
        let key = key.trim_matches(lexer::is_white);
        // A tag whose name is that of an attribute is as good as the attribute.
        let (_, key) = experiment_identifier(key, VERSION_KEYS)?;
        if !VERSION_KEYS.contains(&key.as_str()) {
            return error(format!(
                "Invalid order by key '{key}' specified. Valid keys are {}",
                set(VERSION_KEYS)
            ));
        }
        Ok(order(Field::Attribute(key), ascending))
    })
}
