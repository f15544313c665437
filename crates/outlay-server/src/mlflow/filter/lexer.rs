//! Cuts a filter into tokens the way a general SQL reader does.
//!
//! Every byte of the input belongs to exactly one token, so a token is a kind and a range, and the
//! text of any run of tokens is a slice of the input.

use super::kind::Kind;
use super::words;
use std::collections::HashMap;

/// A token: its kind and where it is in the input, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Cuts `text` into tokens.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let lexer = Lexer::new(text);
    let mut tokens = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let (kind, end) = lexer.token(start);
        tokens.push(Token { kind, start, end });
        start = end;
    }
    tokens
}

/// White space of any sort, line ends included.
pub(super) fn is_white(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

pub(super) struct Lexer<'a> {
    pub(super) text: &'a str,
    last_comment_close: Option<usize>,
    last_dollar_tag: HashMap<&'a str, usize>,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str) -> Self {
        let mut lexer = Self {
            text,
            last_comment_close: text.rfind("*/"),
            last_dollar_tag: HashMap::new(),
        };
        for (start, _) in text.match_indices('$') {
            if let Some(end) = lexer.dollar_tag(start) {
                lexer.last_dollar_tag.insert(&text[start..end], start);
            }
        }
        lexer
    }

    fn token(&self, at: usize) -> (Kind, usize) {
        let Some(first) = self.peek(at) else {
            return (Kind::Other, at + 1);
        };
        self.delimited(at)
            .or_else(|| self.comment_line(at))
            .or_else(|| self.space(at))
            .or_else(|| self.simple_sign(at, first))
            .or_else(|| self.back_quoted(at, first))
            .or_else(|| self.placeholder(at, first))
            .or_else(|| self.word_before_other_rules(at, first))
            .or_else(|| self.number(at))
            .or_else(|| self.quoted(at, first))
            .or_else(|| self.name_in_brackets(at, first))
            .or_else(|| self.phrase(at, first))
            .or_else(|| self.word(at, first))
            .or_else(|| self.sign(at, first))
            .filter(|(_, end)| *end > at)
            .unwrap_or((Kind::Other, at + first.len_utf8()))
    }

    pub(super) fn rest(&self, at: usize) -> &'a str {
        self.text.get(at..).unwrap_or("")
    }

    pub(super) fn peek(&self, at: usize) -> Option<char> {
        self.rest(at).chars().next()
    }

    fn before(&self, at: usize) -> Option<char> {
        self.text.get(..at)?.chars().next_back()
    }

    /// The end of the run of characters from `at` that satisfy `wanted`.
    fn run(&self, at: usize, wanted: impl Fn(char) -> bool) -> usize {
        let rest = self.rest(at);
        at + rest
            .find(|character| !wanted(character))
            .unwrap_or(rest.len())
    }

    pub(super) fn spaces_end(&self, at: usize) -> usize {
        self.run(at, is_white)
    }

    pub(super) fn digits_end(&self, at: usize) -> usize {
        self.run(at, |character| character.is_ascii_digit())
    }

    /// Whether a word that ends at `at` really ends there.
    pub(super) fn is_word_end(&self, at: usize) -> bool {
        !self.peek(at).is_some_and(is_word)
    }

    /// The end of the tag `$name$` that starts at `at`.
    fn dollar_tag(&self, at: usize) -> Option<usize> {
        let after = at + 1;
        let end = match self.peek(after)? {
            '$' => after,
            first if first == '_' || is_letter(first) => {
                self.run(after + first.len_utf8(), is_word)
            }
            _ => return None,
        };
        self.rest(end).starts_with('$').then_some(end + 1)
    }

    /// `/* comment */` and `$tag$ literal $tag$`.
    fn delimited(&self, at: usize) -> Option<(Kind, usize)> {
        let rest = self.rest(at);
        if rest.starts_with("/*") {
            let inside = at + if rest.starts_with("/*+") { 3 } else { 2 };
            if self.last_comment_close? < inside {
                return None;
            }
            let close = self.rest(inside).find("*/")?;
            return Some((Kind::CommentText, inside + close + 2));
        }
        if rest.starts_with('$') {
            let opens = self
                .before(at)
                .is_none_or(|last| !is_word(last) && last != '"' && last != '$');
            let inside = self.dollar_tag(at)?;
            let tag = &self.text[at..inside];
            if !opens || *self.last_dollar_tag.get(tag)? < inside {
                return None;
            }
            let close = self.rest(inside).find(tag)?;
            return Some((Kind::Other, inside + close + tag.len()));
        }
        None
    }

    /// `-- comment` and `# comment`, the end of the line included.
    fn comment_line(&self, at: usize) -> Option<(Kind, usize)> {
        let rest = self.rest(at);
        if !rest.starts_with("--") && !rest.starts_with("# ") {
            return None;
        }
        let end = match rest.find(['\r', '\n']) {
            None => self.text.len(),
            Some(length) if rest[length..].starts_with("\r\n") => at + length + 2,
            Some(length) => at + length + 1,
        };
        Some((Kind::CommentText, end))
    }

    fn space(&self, at: usize) -> Option<(Kind, usize)> {
        let rest = self.rest(at);
        if rest.starts_with("\r\n") {
            return Some((Kind::NewLine, at + 2));
        }
        let first = self.peek(at)?;
        match first {
            '\r' | '\n' => Some((Kind::NewLine, at + 1)),
            _ if is_white(first) => Some((Kind::Space, at + first.len_utf8())),
            _ => None,
        }
    }

    fn simple_sign(&self, at: usize, first: char) -> Option<(Kind, usize)> {
        let rest = self.rest(at);
        if rest.starts_with(":=") {
            Some((Kind::AssignmentSign, at + 2))
        } else if rest.starts_with("::") {
            Some((Kind::Punctuation, at + 2))
        } else if first == '*' {
            Some((Kind::Wildcard, at + 1))
        } else {
            None
        }
    }

    /// A text from `at` that is enclosed in `quote`, where a doubled quote, or with
    /// `with_backslash` one after a backslash, stands for itself. Where no lone quote closes the
    /// text, the last of those that could have stood for themselves closes it.
    fn enclosed(&self, at: usize, quote: char, with_backslash: bool) -> Option<usize> {
        let width = quote.len_utf8();
        let mut last_chance = None;
        let mut position = at + width;
        while let Some(character) = self.peek(position) {
            let next = position + character.len_utf8();
            let quote_follows = self.rest(next).starts_with(quote);
            if character == quote {
                if !quote_follows {
                    return Some(next);
                }
                last_chance = Some(next);
                position = next + width;
            } else if with_backslash && character == '\\' && quote_follows {
                last_chance = Some(next + width);
                position = next + width;
            } else {
                position = next;
            }
        }
        last_chance
    }

    fn back_quoted(&self, at: usize, first: char) -> Option<(Kind, usize)> {
        if first != '`' && first != '´' {
            return None;
        }
        Some((Kind::Name, self.enclosed(at, first, false)?))
    }

    fn quoted(&self, at: usize, first: char) -> Option<(Kind, usize)> {
        let kind = match first {
            '\'' => Kind::SingleQuoted,
            '"' => Kind::DoubleQuoted,
            _ => return None,
        };
        Some((kind, self.enclosed(at, first, true)?))
    }

    fn placeholder(&self, at: usize, first: char) -> Option<(Kind, usize)> {
        match first {
            '?' => return Some((Kind::Placeholder, at + 1)),
            '%' => {
                let mut end = at + 1;
                if self.rest(end).starts_with('(') {
                    let name = self.run(end + 1, is_word);
                    if name > end + 1 && self.rest(name).starts_with(')') {
                        end = name + 1;
                    }
                }
                return match self.peek(end)? {
                    's' | 'S' => Some((Kind::Placeholder, end + 1)),
                    _ => None,
                };
            }
            '$' | ':' if !self.before(at).is_some_and(is_word) => {
                let end = self.run(at + 1, is_word);
                if end > at + 1 {
                    return Some((Kind::Placeholder, end));
                }
            }
            '\\' => {
                let end = self.run(at + 1, is_word);
                if end > at + 1 {
                    return Some((Kind::Other, end));
                }
            }
            _ => {}
        }
        None
    }

    /// Words that are told by what surrounds them: next to a dot or an opening parenthesis a word
    /// is a name even if it is reserved elsewhere.
    fn word_before_other_rules(&self, at: usize, first: char) -> Option<(Kind, usize)> {
        if matches!(first, '@' | '#') {
            let name = at
                + if self.rest(at).starts_with("##") {
                    2
                } else {
                    1
                };
            let after_first = name + self.peek(name).filter(|c| is_letter(*c))?.len_utf8();
            let end = self.run(after_first, is_word);
            return (end > after_first).then_some((Kind::Name, end));
        }
        if !is_letter(first) {
            return None;
        }
        // The multiplication sign counts as a letter, but only as the first one of a word.
        let end = self.run(at + first.len_utf8(), is_word);
        let word = &self.text[at..end];
        if ["CASE", "IN", "VALUES", "USING", "FROM", "AS"]
            .iter()
            .any(|reserved| word.eq_ignore_ascii_case(reserved))
        {
            return Some((Kind::Keyword, end));
        }
        let after = self.rest(self.spaces_end(end));
        let dot_follows =
            after.starts_with('.') && !after[1..].starts_with(|next: char| next.is_ascii_digit());
        if dot_follows || self.before(at) == Some('.') || self.rest(end).starts_with('(') {
            return Some((Kind::Name, end));
        }
        None
    }

    fn name_in_brackets(&self, at: usize, first: char) -> Option<(Kind, usize)> {
        if first != '['
            || self
                .before(at)
                .is_some_and(|last| is_word(last) || last == ']' || last == ')')
        {
            return None;
        }
        let end = self.run(at + 1, |inside| inside != '[' && inside != ']');
        (end > at + 1 && self.rest(end).starts_with(']')).then_some((Kind::Name, end + 1))
    }

    fn word(&self, at: usize, first: char) -> Option<(Kind, usize)> {
        if !is_word(first) {
            return None;
        }
        let end = self.run(at, |inside| is_word(inside) || matches!(inside, '$' | '#'));
        Some((words::classify(&self.text[at..end]), end))
    }

    fn sign(&self, at: usize, first: char) -> Option<(Kind, usize)> {
        if matches!(first, ';' | ':' | '(' | ')' | '[' | ']' | ',' | '.') {
            return Some((Kind::Punctuation, at + 1));
        }
        for sign in ["->>", "->", "#>>", "#>", "@>", "<@", "-", "#-"] {
            if self.rest(at).starts_with(sign) {
                return Some((Kind::Operator, at + sign.len()));
            }
        }
        let end = self.run(at, |inside| matches!(inside, '<' | '>' | '=' | '~' | '!'));
        if end > at {
            return Some((Kind::Comparator, end));
        }
        let end = self.run(at, |inside| "+/@#%^&|-".contains(inside));
        (end > at).then_some((Kind::Operator, end))
    }
}

/// A character of a word.
pub(super) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// A character that starts a word which is surely not a number: a Latin letter.
pub(super) fn is_letter(character: char) -> bool {
    character.is_ascii_alphabetic()
        || matches!(
            character,
            '\u{c0}'..='\u{dc}' | '\u{e0}'..='\u{f6}' | '\u{f8}'..='\u{fc}'
                | '\u{130}' | '\u{131}' | '\u{17f}' | '\u{212a}' | '\u{212b}'
        )
}
