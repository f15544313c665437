//! No text makes the parser panic, and long texts do not make it slow.

use outlay_ledger::{matches_ilike, matches_like};
use outlay_server::mlflow::filter::{
    LoggedModelOrder, parse_experiments_filter, parse_experiments_order_by,
    parse_logged_models_filter, parse_logged_models_order_by, parse_model_versions_filter,
    parse_model_versions_order_by, parse_registered_models_filter,
    parse_registered_models_order_by, parse_runs_filter, parse_runs_order_by,
};
use proptest::prelude::*;

const FRAGMENTS: &[&str] = &[
    "name",
    "run_id",
    "tags.",
    "metrics.a",
    "params",
    "`",
    "'",
    "\"",
    "''",
    "\\'",
    "´",
    ".",
    "..",
    "=",
    "!=",
    "<",
    ">=",
    "LIKE",
    "NOT",
    "IN",
    "IS",
    "NULL",
    "NOT NULL",
    "AND",
    "OR",
    "(",
    ")",
    "('a', 'b')",
    "[",
    "]",
    "[a]",
    ",",
    ";",
    ":",
    "::",
    ":=",
    "-",
    "--",
    "#",
    "# ",
    "/*",
    "*/",
    "/*+",
    "$",
    "$$",
    "$a$",
    "?",
    "%s",
    "%(a)s",
    "\\",
    "\\a",
    "@",
    "@ab",
    "*",
    "+",
    "->",
    "->>",
    "1",
    "-1",
    "1.",
    ".5",
    "1e5",
    "1e",
    "0x",
    "0x1f",
    "1a",
    "12a",
    "1.2a",
    "'x'",
    "\"y\"",
    "'%a_'",
    " ",
    "  ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\u{a0}",
    "\u{2028}",
    "\0",
    "é",
    "ß",
    "λ",
    "×",
    "÷",
    "ª",
    "日本",
    "😀",
    "\u{301}",
    "İ",
    "\u{212a}",
    "CASE",
    "END",
    "END IF",
    "BEGIN",
    "IF",
    "FOR",
    "LOOP",
    "END LOOP",
    "WHILE",
    "DO",
    "DECLARE",
    "CREATE",
    "TABLE",
    "AS",
    "WHERE",
    "ORDER BY",
    "OVER",
    "VALUES",
    "GO",
    "GO 2",
    "ASC",
    "DESC",
    "NULLS FIRST",
    "LEFT JOIN",
    "AT TIME ZONE 'x'",
    "timestamp",
    "date",
    "DAY",
    "u'",
    "r'",
    "b'",
    "f'",
    "'''",
    "\\x41",
    "\\u00e9",
    "\\N{DASH}",
    "None",
    "_",
];

fn read(text: &str) {
    let orders = [text.to_owned(), text.to_owned()];
    let _ = parse_runs_filter(text);
    let _ = parse_experiments_filter(text);
    let _ = parse_registered_models_filter(text);
    let _ = parse_model_versions_filter(text);
    let _ = parse_logged_models_filter(text);
    let _ = parse_runs_order_by(&orders);
    let _ = parse_experiments_order_by(&orders);
    let _ = parse_registered_models_order_by(&orders);
    let _ = parse_model_versions_order_by(&orders);
    let _ = parse_logged_models_order_by(&[LoggedModelOrder {
        field_name: text.to_owned(),
        ..LoggedModelOrder::default()
    }]);
}

/// Whether the whole text matches, found the slow and plain way.
fn matches_plainly(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('%', rest)) => (0..=text.len()).any(|skip| matches_plainly(rest, &text[skip..])),
        Some((first, rest)) => text.split_first().is_some_and(|(found, after)| {
            (*first == '_' || first == found) && matches_plainly(rest, after)
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        read(&text);
    }

    #[test]
    fn any_fragments_are_read_or_refused(
        fragments in prop::collection::vec(prop::sample::select(FRAGMENTS), 0..24),
        spaced in any::<bool>(),
    ) {
        read(&fragments.join(if spaced { " " } else { "" }));
    }

    #[test]
    fn any_list_is_read_or_refused(
        fragments in prop::collection::vec(prop::sample::select(FRAGMENTS), 0..12),
    ) {
        read(&format!("run_id IN ({})", fragments.concat()));
        read(&format!("name IN ('{}')", fragments.concat()));
    }

    #[test]
    fn patterns_match_as_they_should(pattern in "[ab%_]{0,8}", text in "[ab]{0,10}") {
        let pattern_characters: Vec<char> = pattern.chars().collect();
        let text_characters: Vec<char> = text.chars().collect();
        let expected = matches_plainly(&pattern_characters, &text_characters);
        prop_assert_eq!(matches_like(&pattern, &text), expected);
        prop_assert_eq!(matches_ilike(&pattern.to_uppercase(), &text), expected);
    }
}

#[test]
fn long_texts_come_to_an_end() {
    for fragment in FRAGMENTS {
        for text in [
            fragment.repeat(4_000),
            format!("{fragment} ").repeat(4_000),
            format!("{}{fragment}", "(".repeat(4_000)),
            format!("{}{fragment}", " ".repeat(4_000)),
            format!("run_id IN ({})", fragment.repeat(4_000)),
        ] {
            read(&text);
        }
    }
}
