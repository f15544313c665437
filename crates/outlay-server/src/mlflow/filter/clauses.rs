//! Finds the clauses of a statement.

use super::FilterError;
use super::grouping::{Groups, Node, TooMuch};
use super::kind::Kind;
use super::lexer;
use super::python;
use super::statement;

/// One clause: two sides and what compares them, still in their written form.
#[derive(Debug, Clone)]
pub(super) struct Clause<'a> {
    pub(super) left: Part<'a>,
    pub(super) comparator: &'a str,
    /// What the left side is compared with; nothing after `IS NULL` and `IS NOT NULL`.
    pub(super) right: Option<Part<'a>>,
    /// How many parts the clause has, appended comments included.
    pub(super) parts: usize,
    /// The whole clause as it is shown in errors.
    pub(super) text: String,
}

/// A side of a clause.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
}

impl Part<'_> {
    /// Whether it may be a text: in single quotes, or an identifier (a text in double quotes is an
    /// identifier as far as the grammar goes).
    pub(super) fn may_be_text(&self) -> bool {
        matches!(self.kind, Kind::SingleQuoted | Kind::Identifier)
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self.kind, Kind::Integer | Kind::Float)
    }
}

/// An element of a statement.
pub(super) enum Element<'a> {
    Clause(Clause<'a>),
    And,
    Other(&'a str),
}

/// Why a text holds no elements.
pub(super) enum NoStatement {
    /// It is too long or too deeply nested.
    Unreadable(TooMuch),
    /// It holds this many statements, and not one.
    Statements(usize),
}

/// The elements of the one statement of `text`.
pub(super) fn elements(text: &str) -> Result<Vec<Element<'_>>, NoStatement> {
    let tokens = lexer::tokens(text);
    let (statements, length) = statement::split(text, &tokens);
    let groups = Groups::new(text, &tokens[..length]).map_err(NoStatement::Unreadable)?;
    if statements != 1 {
        return Err(NoStatement::Statements(statements));
    }
    Ok(join(&groups))
}

/// Elements other than white space, with lists and tests for absence joined into clauses.
///
/// An identifier that starts no such clause takes the next two or three elements with it
/// unexamined, and the last two elements are never examined.
fn join<'a>(groups: &Groups<'a>) -> Vec<Element<'a>> {
    let nodes: Vec<&Node> = groups
        .nodes
        .iter()
        .filter(|node| !node.kind.is_space())
        .collect();
    let mut elements = Vec::new();
    let mut rest = nodes.as_slice();
    while let [first, second, third, after @ ..] = rest {
        if first.kind != Kind::Identifier {
            elements.push(element(groups, first));
            rest = &rest[1..];
            continue;
        }
        if let Some((comparator, right)) = joined_comparator(groups, second, third) {
            elements.push(Element::Clause(clause(groups, first, comparator, right)));
            rest = after;
            continue;
        }
        let Some((fourth, after)) = after.split_first() else {
            break;
        };
        if is_word(groups, second, "NOT")
            && is_word(groups, third, "IN")
            && fourth.kind == Kind::Parenthesis
        {
            elements.push(Element::Clause(clause(
                groups,
                first,
                "NOT IN",
                Some(fourth),
            )));
        } else {
            elements.extend([first, second, third, fourth].map(|node| element(groups, node)));
        }
        rest = after;
    }
    elements.extend(rest.iter().map(|node| element(groups, node)));
    elements
}

fn is_word(groups: &Groups<'_>, node: &Node, word: &str) -> bool {
    node.kind == Kind::Keyword && groups.text_of(node).eq_ignore_ascii_case(word)
}

fn joined_comparator<'a, 'n>(
    groups: &Groups<'a>,
    second: &'n Node,
    third: &'n Node,
) -> Option<(&'a str, Option<&'n Node>)> {
    if is_word(groups, second, "IN") && third.kind == Kind::Parenthesis {
        Some((groups.text_of(second), Some(third)))
    } else if is_word(groups, second, "IS") && is_word(groups, third, "NULL") {
        Some(("IS NULL", None))
    } else if is_word(groups, second, "IS") && is_word(groups, third, "NOT NULL") {
        Some(("IS NOT NULL", None))
    } else {
        None
    }
}

fn part<'a>(groups: &Groups<'a>, node: &Node) -> Part<'a> {
    Part {
        kind: node.kind,
        text: groups.text_of(node),
    }
}

fn clause<'a>(
    groups: &Groups<'a>,
    left: &Node,
    comparator: &'a str,
    right: Option<&Node>,
) -> Clause<'a> {
    let left = part(groups, left);
    let right = right.map(|right| part(groups, right));
    let right_text = right.map_or("", |right| right.text);
    Clause {
        left,
        comparator,
        right,
        parts: if right.is_some() { 3 } else { 2 },
        text: format!("{}{comparator}{right_text}", left.text),
    }
}

fn element<'a>(groups: &Groups<'a>, node: &Node) -> Element<'a> {
    let text = groups.text_of(node);
    if let Some(comparison) = groups.comparison(node) {
        return Element::Clause(Clause {
            left: part(groups, &comparison.left),
            comparator: groups.text_of(&comparison.comparator),
            right: Some(part(groups, &comparison.right)),
            parts: 3 + comparison.comments,
            text: text.to_owned(),
        });
    }
    if is_word(groups, node, "AND") {
        return Element::And;
    }
    Element::Other(text)
}

/// The clauses of a filter, for every grammar but that of logged models. Clauses may be joined by
/// any number of `AND`s, even none. `quote` says whether errors quote each offending element.
pub(super) fn clauses(filter: &str, quote: bool) -> Result<Vec<Clause<'_>>, FilterError> {
    if filter.is_empty() {
        return Ok(Vec::new());
    }
    let elements = elements(filter).map_err(|reason| match reason {
        NoStatement::Unreadable(_) => FilterError(format!("Error on parsing filter '{filter}'")),
        NoStatement::Statements(0) => {
            FilterError(format!("Invalid filter '{filter}'. Could not be parsed."))
        }
        NoStatement::Statements(_) => FilterError(format!(
            "Search filter contained multiple expression {}. Provide AND-ed expression list.",
            python::text_literal(filter)
        )),
    })?;
    let mut clauses = Vec::new();
    let mut invalid = Vec::new();
    for element in elements {
        match element {
            Element::Clause(clause) => clauses.push(clause),
            Element::And => {}
            Element::Other(text) if quote => invalid.push(format!("'{text}'")),
            Element::Other(text) => invalid.push(text.to_owned()),
        }
    }
    if invalid.is_empty() {
        Ok(clauses)
    } else {
        Err(FilterError(format!(
            "Invalid clause(s) in filter string: {}",
            invalid.join(", ")
        )))
    }
}

impl Clause<'_> {
    /// Checks that the clause is an identifier, a comparator and, unless it is a test for absence,
    /// a value.
    pub(super) fn check(&self) -> Result<(), FilterError> {
        if self.parts > 3 {
            return Err(FilterError(format!(
                "Invalid comparison clause. Expected 3 tokens found {}",
                self.parts
            )));
        }
        if self.left.kind != Kind::Identifier {
            return Err(FilterError(format!(
                "Invalid comparison clause. Expected 'Identifier' found '{}'",
                self.left.text
            )));
        }
        Ok(())
    }
}
