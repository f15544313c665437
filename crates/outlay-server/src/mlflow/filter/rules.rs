//! The rules by which tokens are grouped, in their order.

use super::grouping::{Around, Groups, Node, following};
use super::kind::Kind;

fn is_word(node: &Node, value: &str, word: &str) -> bool {
    node.kind == Kind::Keyword && value.eq_ignore_ascii_case(word)
}

fn is_sign(node: &Node, value: &str, sign: &str) -> bool {
    node.kind == Kind::Punctuation && value == sign
}

fn is_any_of(node: &Node, value: &str, words: &[&str]) -> bool {
    words.iter().any(|word| is_word(node, value, word))
}

/// What may be a side of a comparison or an operand of an arithmetic sign.
fn is_operand(node: &Node) -> bool {
    matches!(
        node.kind,
        Kind::Integer
            | Kind::Float
            | Kind::SingleQuoted
            | Kind::DoubleQuoted
            | Kind::Name
            | Kind::Placeholder
            | Kind::Parenthesis
            | Kind::Function
            | Kind::Identifier
            | Kind::Operation
            | Kind::TypedLiteral
    )
}

const WHERE_ENDS: &[&str] = &[
    "ORDER BY",
    "GROUP BY",
    "LIMIT",
    "UNION",
    "UNION ALL",
    "EXCEPT",
    "INTERSECT",
    "HAVING",
    "RETURNING",
    "INTO",
];
const UNITS: &[&str] = &["DAY", "HOUR", "MINUTE", "MONTH", "SECOND", "YEAR"];

impl Groups<'_> {
    pub(super) fn apply_rules(&mut self) {
        self.delimiters();
        self.functions();
        self.names();
        self.casts();
        self.operations();
        self.aliases();
        self.lists();
    }

    fn delimiters(&mut self) {
        self.enclosed(
            Kind::Brackets,
            |node, value| is_sign(node, value, "["),
            |node, value| is_sign(node, value, "]"),
        );
        self.enclosed(
            Kind::Parenthesis,
            |node, value| is_sign(node, value, "("),
            |node, value| is_sign(node, value, ")"),
        );
        for (kind, opens, closes) in [
            (Kind::Case, ["CASE", "CASE"], "END"),
            (Kind::Block, ["IF", "IF"], "END IF"),
            (Kind::Block, ["FOR", "FOREACH"], "END LOOP"),
            (Kind::Block, ["BEGIN", "BEGIN"], "END"),
        ] {
            self.enclosed(
                kind,
                |node, value| is_any_of(node, value, &opens),
                |node, value| is_word(node, value, closes),
            );
        }
    }

    fn functions(&mut self) {
        self.leading(|nodes, text| {
            let first = nodes.first()?;
            let (length, next) = following(nodes)?;
            (is_word(first, &text[first.start..first.end], "OVER")
                && (next.kind == Kind::Parenthesis || next.kind.is_name()))
            .then_some((Kind::Over, length + 1))
        });
        let holds = |word: &str| {
            self.nodes
                .iter()
                .any(|node| self.text_of(node).eq_ignore_ascii_case(word))
        };
        let defines_table = holds("CREATE") && holds("TABLE") && !holds("AS");
        if !defines_table {
            self.leading(|nodes, _| {
                let (length, next) = following(nodes)?;
                if !nodes.first()?.kind.is_name() || next.kind != Kind::Parenthesis {
                    return None;
                }
                let over = following(&nodes[length..])
                    .filter(|(_, over)| over.kind == Kind::Over)
                    .map_or(0, |(more, _)| more);
                Some((Kind::Function, length + over + 1))
            });
        }
        self.leading(|nodes, text| {
            let value = |node: &Node| &text[node.start..node.end];
            let first = nodes.first()?;
            if !is_word(first, value(first), "WHERE") {
                return None;
            }
            let length = nodes
                .iter()
                .position(|node| is_any_of(node, value(node), WHERE_ENDS))
                .unwrap_or(nodes.len());
            Some((Kind::Where, length))
        });
    }

    /// Identifiers: names joined by dots, with indexes and a sorting direction.
    fn names(&mut self) {
        self.around(&Around {
            kind: Kind::Identifier,
            from_sign: false,
            sign: &|node, value| {
                is_sign(node, value, ".")
                    || (node.kind == Kind::Operator && matches!(value, "->" | "->>"))
            },
            left: &|node, _| {
                matches!(
                    node.kind,
                    Kind::Brackets | Kind::Identifier | Kind::Name | Kind::DoubleQuoted
                )
            },
            right: &|_| true,
            takes_right: &|node, _| {
                matches!(
                    node.kind,
                    Kind::Brackets
                        | Kind::Function
                        | Kind::Name
                        | Kind::DoubleQuoted
                        | Kind::SingleQuoted
                        | Kind::Wildcard
                )
            },
            to_semicolon: false,
        });
        self.around(&Around {
            kind: Kind::Identifier,
            from_sign: false,
            sign: &|node, _| node.kind == Kind::Brackets,
            left: &|node, _| {
                matches!(
                    node.kind,
                    Kind::Brackets
                        | Kind::Identifier
                        | Kind::Function
                        | Kind::Name
                        | Kind::DoubleQuoted
                )
            },
            right: &|_| true,
            takes_right: &|_, _| false,
            to_semicolon: false,
        });
        for node in &mut self.nodes {
            if matches!(node.kind, Kind::Name | Kind::DoubleQuoted) {
                node.kind = Kind::Identifier;
            }
        }
        self.trailing(
            Kind::KeywordOfOrder,
            |node| node.kind == Kind::Identifier || node.kind.is_number(),
            |_| Kind::Identifier,
        );
    }

    /// Types: `name::type`, `AT TIME ZONE` and `date '2001-09-28'`.
    fn casts(&mut self) {
        self.around(&Around {
            kind: Kind::Identifier,
            from_sign: false,
            sign: &|node, value| is_sign(node, value, "::"),
            left: &|_, _| true,
            right: &|right| right.is_some(),
            takes_right: &|_, _| true,
            to_semicolon: false,
        });
        self.around(&Around {
            kind: Kind::Identifier,
            from_sign: false,
            sign: &|node, _| node.kind == Kind::KeywordOfTimeZone,
            left: &|_, _| true,
            right: &|right| {
                right.is_some_and(|(node, value)| {
                    node.kind == Kind::SingleQuoted || is_word(node, value, "AS")
                })
            },
            takes_right: &|_, _| true,
            to_semicolon: false,
        });
        self.around(&Around {
            kind: Kind::TypedLiteral,
            from_sign: true,
            sign: &|node, value| node.kind == Kind::Builtin || is_word(node, value, "TIMESTAMP"),
            left: &|_, _| true,
            right: &|right| right.is_some_and(|(node, _)| node.kind == Kind::SingleQuoted),
            takes_right: &|_, _| true,
            to_semicolon: false,
        });
        self.around(&Around {
            kind: Kind::TypedLiteral,
            from_sign: true,
            sign: &|node, _| node.kind == Kind::TypedLiteral,
            left: &|_, _| true,
            right: &|right| right.is_some_and(|(node, value)| is_any_of(node, value, UNITS)),
            takes_right: &|_, _| true,
            to_semicolon: false,
        });
    }

    fn operations(&mut self) {
        let operand = |node: &Node, value: &str| {
            is_operand(node)
                || node.kind == Kind::Brackets
                || is_any_of(
                    node,
                    value,
                    &["CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP"],
                )
        };
        self.around(&Around {
            kind: Kind::Operation,
            from_sign: false,
            sign: &|node, _| matches!(node.kind, Kind::Operator | Kind::Wildcard),
            left: &operand,
            right: &|right| right.is_some_and(|(node, value)| operand(node, value)),
            takes_right: &|_, _| true,
            to_semicolon: false,
        });
        let side = |node: &Node, value: &str| is_operand(node) || is_word(node, value, "NULL");
        self.around(&Around {
            kind: Kind::Comparison,
            from_sign: false,
            sign: &|node, _| node.kind == Kind::Comparator,
            left: &side,
            right: &|right| right.is_some_and(|(node, value)| side(node, value)),
            takes_right: &|_, _| true,
            to_semicolon: false,
        });
    }

    fn aliases(&mut self) {
        self.around(&Around {
            kind: Kind::Identifier,
            from_sign: false,
            sign: &|node, value| is_word(node, value, "AS"),
            left: &|node, value| !node.kind.is_keyword() || value.eq_ignore_ascii_case("NULL"),
            right: &|right| right.is_some_and(|(node, _)| node.kind != Kind::KeywordOfStatement),
            takes_right: &|_, _| true,
            to_semicolon: false,
        });
        self.leading(|nodes, _| {
            let first = nodes.first()?.kind;
            let named = first.is_number()
                || matches!(
                    first,
                    Kind::Parenthesis
                        | Kind::Function
                        | Kind::Case
                        | Kind::Identifier
                        | Kind::Operation
                        | Kind::Comparison
                );
            let (length, next) = following(nodes)?;
            (named && next.kind == Kind::Identifier).then_some((Kind::Identifier, length + 1))
        });
    }

    /// Assignments, comments at the end of a group, and lists separated by commas.
    fn lists(&mut self) {
        self.around(&Around {
            kind: Kind::Assignment,
            from_sign: false,
            sign: &|node, _| node.kind == Kind::AssignmentSign,
            left: &|node, _| node.kind != Kind::Keyword,
            right: &|right| right.is_some_and(|(node, _)| node.kind != Kind::Keyword),
            takes_right: &|_, _| true,
            to_semicolon: true,
        });
        self.trailing(Kind::Comment, |node| node.kind.is_group(), |node| node.kind);
        let listed = |node: &Node, value: &str| {
            matches!(
                node.kind,
                Kind::Function
                    | Kind::Case
                    | Kind::Identifier
                    | Kind::Comparison
                    | Kind::IdentifierList
                    | Kind::Operation
                    | Kind::Integer
                    | Kind::Float
                    | Kind::SingleQuoted
                    | Kind::DoubleQuoted
                    | Kind::Name
                    | Kind::Placeholder
                    | Kind::Keyword
                    | Kind::Wildcard
            ) || is_any_of(node, value, &["NULL", "ROLE"])
        };
        self.around(&Around {
            kind: Kind::IdentifierList,
            from_sign: false,
            sign: &|node, value| is_sign(node, value, ","),
            left: &listed,
            right: &|right| right.is_some_and(|(node, value)| listed(node, value)),
            takes_right: &|_, _| true,
            to_semicolon: false,
        });
        self.leading(|nodes, text| {
            let first = nodes.first()?;
            if !is_word(first, &text[first.start..first.end], "VALUES") {
                return None;
            }
            let last = nodes
                .iter()
                .rposition(|node| node.kind == Kind::Parenthesis)?;
            Some((Kind::Values, last + 1))
        });
    }
}
