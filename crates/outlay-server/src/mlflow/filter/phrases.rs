//! Tokens that take more than one look: numbers, and keywords of several words.

use super::kind::Kind;
use super::lexer::{Lexer, is_letter};

/// One place in a phrase: the words that may stand there, and whether it may be left out.
type Place = (&'static [&'static str], Presence);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
}
use Presence::{Optional, Required};

/// The phrases; of two that fit, the first one counts.
const PHRASES: &[(Kind, &[Place])] = &[
    (
        Kind::Keyword,
        &[
            (&["LEFT", "RIGHT", "FULL"], Optional),
            (&["INNER", "OUTER", "STRAIGHT"], Optional),
            (&["JOIN"], Required),
        ],
    ),
    (
        Kind::Keyword,
        &[(&["CROSS", "NATURAL"], Required), (&["JOIN"], Required)],
    ),
    (
        Kind::Keyword,
        &[
            (&["END"], Required),
            (&["IF", "LOOP", "WHILE", "FOR", "CASE"], Required),
        ],
    ),
    (Kind::Keyword, &[(&["END"], Required)]),
    (
        Kind::Keyword,
        &[
            (&["IF"], Required),
            (&["NOT"], Optional),
            (&["EXISTS"], Required),
        ],
    ),
    (
        Kind::Keyword,
        &[(&["NOT"], Required), (&["NULL"], Required)],
    ),
    (
        Kind::KeywordOfOrder,
        &[
            (&["ASC", "DESC"], Required),
            (&["NULLS"], Required),
            (&["FIRST", "LAST"], Required),
        ],
    ),
    (Kind::KeywordOfOrder, &[(&["ASC", "DESC"], Required)]),
    (
        Kind::KeywordOfOrder,
        &[(&["NULLS"], Required), (&["FIRST", "LAST"], Required)],
    ),
    (
        Kind::Keyword,
        &[(&["UNION"], Required), (&["ALL"], Required)],
    ),
    (
        Kind::KeywordOfStatement,
        &[
            (&["CREATE"], Required),
            (&["OR"], Required),
            (&["REPLACE"], Required),
        ],
    ),
    (
        Kind::Builtin,
        &[(&["DOUBLE"], Required), (&["PRECISION"], Required)],
    ),
    (
        Kind::Keyword,
        &[(&["GROUP", "ORDER"], Required), (&["BY"], Required)],
    ),
    (
        Kind::Keyword,
        &[(&["PRIMARY"], Required), (&["KEY"], Required)],
    ),
    (
        Kind::Keyword,
        &[(&["HANDLER"], Required), (&["FOR"], Required)],
    ),
    (
        Kind::Keyword,
        &[
            (&["LATERAL"], Required),
            (&["VIEW"], Required),
            (
                &[
                    "EXPLODE",
                    "INLINE",
                    "PARSE_URL_TUPLE",
                    "POSEXPLODE",
                    "STACK",
                ],
                Required,
            ),
        ],
    ),
    (
        Kind::Comparator,
        &[
            (&["NOT"], Optional),
            (&["LIKE", "ILIKE", "RLIKE"], Required),
        ],
    ),
    (
        Kind::Comparator,
        &[
            (&["NOT"], Optional),
            (&["REGEXP"], Required),
            (&["BINARY"], Required),
        ],
    ),
    (
        Kind::Comparator,
        &[(&["NOT"], Optional), (&["REGEXP"], Required)],
    ),
];

impl Lexer<'_> {
    /// A keyword of one or several words.
    pub(super) fn phrase(&self, at: usize, first: char) -> Option<(Kind, usize)> {
        if !first.is_ascii_alphabetic() {
            return None;
        }
        if let Some(end) = self.go(at).or_else(|| self.at_time_zone(at)) {
            return Some(end);
        }
        PHRASES
            .iter()
            .find_map(|(kind, places)| Some((*kind, self.places(at, places)?)))
    }

    fn places(&self, at: usize, places: &[Place]) -> Option<usize> {
        let mut position = at;
        for (index, (words, presence)) in places.iter().enumerate() {
            let last = index + 1 == places.len();
            let found = words
                .iter()
                .find_map(|word| self.word_at(position, word))
                .map(|end| {
                    if last {
                        (end, end)
                    } else {
                        (end, self.spaces_end(end))
                    }
                })
                .filter(|(end, next)| last || next > end);
            match found {
                Some((_, next)) => position = next,
                None if *presence == Optional => {}
                None => return None,
            }
        }
        self.is_word_end(position).then_some(position)
    }

    /// The end of `word` if it stands at `at`, letter case ignored.
    fn word_at(&self, at: usize, word: &str) -> Option<usize> {
        let end = at + word.len();
        let found = self.text.get(at..end)?;
        found.eq_ignore_ascii_case(word).then_some(end)
    }

    /// `GO 2`, a separator of statements with a count.
    fn go(&self, at: usize) -> Option<(Kind, usize)> {
        let name_end = self.word_at(at, "GO")?;
        let space = self.peek(name_end).filter(|c| super::lexer::is_white(*c))?;
        let number = name_end + space.len_utf8();
        let end = self.digits_end(number);
        (end > number && self.is_word_end(end)).then_some((Kind::Keyword, end))
    }

    /// `AT TIME ZONE 'name'`.
    fn at_time_zone(&self, at: usize) -> Option<(Kind, usize)> {
        let mut position = self.word_at(at, "AT")?;
        for word in ["TIME", "ZONE"] {
            let next = self.spaces_end(position);
            if next == position {
                return None;
            }
            position = self.word_at(next, word)?;
        }
        let quote = self.spaces_end(position);
        if quote == position || !self.rest(quote).starts_with('\'') {
            return None;
        }
        let length = self
            .rest(quote + 1)
            .find('\'')
            .filter(|length| *length > 0)?;
        Some((Kind::KeywordOfTimeZone, quote + 1 + length + 1))
    }

    /// A number. A number that a letter follows loses its last digit to the word that the letter
    /// belongs to, and is no number if it has no other digit.
    pub(super) fn number(&self, at: usize) -> Option<(Kind, usize)> {
        let digits = if self.rest(at).starts_with('-') {
            at + 1
        } else {
            at
        };
        self.hexadecimal(digits)
            .map(|end| (Kind::Hexadecimal, end))
            .or_else(|| Some((Kind::Float, self.with_exponent(digits)?)))
            .or_else(|| Some((Kind::Float, self.with_fraction(digits)?)))
            .or_else(|| Some((Kind::Integer, self.without_letter(digits, 2)?)))
    }

    fn hexadecimal(&self, at: usize) -> Option<usize> {
        let digits = self.word_at(at, "0X")?;
        let rest = self.rest(digits);
        let length = rest
            .find(|c: char| !c.is_ascii_hexdigit())
            .unwrap_or(rest.len());
        (length > 0).then_some(digits + length)
    }

    fn with_exponent(&self, at: usize) -> Option<usize> {
        let mut position = self.digits_end(at);
        if position == at {
            return None;
        }
        if self.rest(position).starts_with('.') {
            let end = self.digits_end(position + 1);
            if end > position + 1 {
                position = end;
            }
        }
        position = self.word_at(position, "E")?;
        if self.rest(position).starts_with('-') {
            position += 1;
        }
        let end = self.digits_end(position);
        (end > position).then_some(end)
    }

    fn with_fraction(&self, at: usize) -> Option<usize> {
        let point = self.digits_end(at);
        if !self.rest(point).starts_with('.') {
            return None;
        }
        if point > at {
            self.without_letter(point + 1, 1)
                .or_else(|| self.is_number_end(point + 1).then_some(point + 1))
        } else {
            self.without_letter(point + 1, 2)
        }
    }

    /// The end of the digits at `at` such that no letter follows; `spare` is how many digits there
    /// must be for the last one to be given up.
    fn without_letter(&self, at: usize, spare: usize) -> Option<usize> {
        let end = self.digits_end(at);
        if end == at {
            return None;
        }
        if self.is_number_end(end) {
            return Some(end);
        }
        (end - at >= spare).then_some(end - 1)
    }

    fn is_number_end(&self, at: usize) -> bool {
        !self
            .peek(at)
            .is_some_and(|next| next == '_' || is_letter(next))
    }
}
