//! The little of Python that the grammar lets through: lists of values are written as Python
//! literals, and some errors quote a text as a Python literal.

/// A text as a Python string literal.
pub(super) fn text_literal(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push(quote);
    for character in text.chars() {
        match character {
            '\\' => literal.push_str("\\\\"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            _ if character == quote => {
                literal.push('\\');
                literal.push(quote);
            }
            _ if is_printable(character) => literal.push(character),
            _ => {
                let code = u32::from(character);
                let escaped = match code {
                    0..=0xff => format!("\\x{code:02x}"),
                    0x100..=0xffff => format!("\\u{code:04x}"),
                    _ => format!("\\U{code:08x}"),
                };
                literal.push_str(&escaped);
            }
        }
    }
    literal.push(quote);
    literal
}

/// A number as Python writes it: the shortest digits that mean it, with an exponent where it is
/// very large or very small.
pub(super) fn float_literal(number: f64) -> String {
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return if number.is_nan() {
            "nan".into()
        } else {
            scientific
        };
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        return format!("{number:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// Why a text is no whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotWhole {
    /// It is not written as one.
    Invalid,
    /// It does not fit.
    TooLarge,
}

/// Reads a whole number as Python does: white space around it and single underscores between its
/// digits are fine.
pub(super) fn whole_number(text: &str) -> Result<i64, NotWhole> {
    let text = text.trim_matches(super::lexer::is_white);
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let valid = unsigned
        .split('_')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    if !valid {
        return Err(NotWhole::Invalid);
    }
    let text: String = text.chars().filter(|c| *c != '_').collect();
    text.parse().map_err(|_| NotWhole::TooLarge)
}

/// Reads a number as Python does: white space around it and single underscores between digits are
/// fine, and so are infinity and not-a-number.
pub(super) fn number(text: &str) -> Option<f64> {
    let trimmed = text.trim_matches(super::lexer::is_white);
    let bytes = trimmed.as_bytes();
    let is_digit = |index: Option<usize>| {
        index
            .and_then(|index| bytes.get(index))
            .is_some_and(u8::is_ascii_digit)
    };
    for (index, byte) in bytes.iter().enumerate() {
        if *byte == b'_' && !(is_digit(index.checked_sub(1)) && is_digit(Some(index + 1))) {
            return None;
        }
    }
    let text: String = trimmed.chars().filter(|c| *c != '_').collect();
    text.parse().ok()
}

/// Several texts as a Python list literal.
pub(super) fn list_literal(texts: &[String]) -> String {
    let items: Vec<String> = texts.iter().map(|text| text_literal(text)).collect();
    format!("[{}]", items.join(", "))
}

fn is_printable(character: char) -> bool {
    // Escaping a text rather than a character leaves combining characters alone but at the start.
    let probe: String = ['a', character].iter().collect();
    matches!(character, '"' | '\'') || probe.escape_debug().count() == 2
}

/// Tuples and lists nested deeper than this are not read.
const DEEPEST: usize = 100;

/// What a literal is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Bytes(String),
    /// A number, as Python writes it.
    Number(String),
    /// A constant.
    Constant(String),
    Tuple(Vec<Literal>),
    List(Vec<Literal>),
}

impl Literal {
    /// How Python writes it.
    pub(super) fn written(&self) -> String {
        let join = |items: &[Self]| {
            let items: Vec<String> = items.iter().map(Self::written).collect();
            items.join(", ")
        };
        match self {
            Self::Text(text) => text_literal(text),
            Self::Bytes(text) => format!("b{}", text_literal(text)),
            Self::Number(written) | Self::Constant(written) => written.clone(),
            Self::Tuple(items) if items.len() == 1 => format!("({},)", join(items)),
            Self::Tuple(items) => format!("({})", join(items)),
            Self::List(items) => format!("[{}]", join(items)),
        }
    }
}

/// Reads a literal; none if it is anything more involved than texts, numbers, constants, and
/// tuples and lists of them.
pub(super) fn literal(text: &str) -> Option<Literal> {
    let mut reader = Reader { rest: text };
    let mut open: Vec<Frame> = Vec::new();
    loop {
        reader.skip_space();
        // At the place of a value.
        let mut value = if let Some(bracket) = reader.take(&['(', '[']) {
            if open.len() >= DEEPEST {
                return None;
            }
            open.push(Frame {
                bracket,
                items: Vec::new(),
                comma: false,
            });
            reader.skip_space();
            let Some(literal) = reader.close(&mut open) else {
                continue;
            };
            literal
        } else {
            reader.value()?
        };
        // After a value, as long as groups end here.
        loop {
            reader.skip_space();
            let Some(frame) = open.last_mut() else {
                return reader.rest.is_empty().then_some(value);
            };
            frame.items.push(value);
            frame.comma = reader.take(&[',']).is_some();
            let comma = frame.comma;
            reader.skip_space();
            match reader.close(&mut open) {
                Some(literal) => value = literal,
                None if comma => break,
                None => return None,
            }
        }
    }
}

struct Frame {
    bracket: char,
    items: Vec<Literal>,
    /// Whether a comma follows the last item.
    comma: bool,
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn take(&mut self, wanted: &[char]) -> Option<char> {
        let first = self.rest.chars().next().filter(|c| wanted.contains(c))?;
        self.rest = &self.rest[first.len_utf8()..];
        Some(first)
    }

    /// Ends the innermost group if its closing bracket is next.
    fn close(&mut self, open: &mut Vec<Frame>) -> Option<Literal> {
        let bracket = open.last()?.bracket;
        self.take(&[if bracket == '(' { ')' } else { ']' }])?;
        let frame = open.pop()?;
        let mut items = frame.items;
        if bracket == '[' {
            return Some(Literal::List(items));
        }
        if items.len() == 1 && !frame.comma {
            return items.pop();
        }
        Some(Literal::Tuple(items))
    }

    fn skip_space(&mut self) {
        loop {
            self.rest = self
                .rest
                .trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
            if self.rest.starts_with('#') {
                let end = self.rest.find(['\n', '\r']).unwrap_or(self.rest.len());
                self.rest = &self.rest[end..];
            } else if self.rest.starts_with("\\\n") {
                self.rest = &self.rest[2..];
            } else {
                return;
            }
        }
    }

    fn value(&mut self) -> Option<Literal> {
        let Some(first) = self.string()? else {
            return self.plain();
        };
        // Texts that follow one another are one text.
        let mut joined = first;
        loop {
            self.skip_space();
            match (&mut joined, self.string()?) {
                (_, None) => return Some(joined),
                (Literal::Text(text), Some(Literal::Text(more)))
                | (Literal::Bytes(text), Some(Literal::Bytes(more))) => text.push_str(&more),
                _ => return None,
            }
        }
    }

    /// A number or a constant.
    fn plain(&mut self) -> Option<Literal> {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && !"._+-".contains(c))
            .unwrap_or(self.rest.len());
        let written = &self.rest[..end];
        self.rest = &self.rest[end..];
        if matches!(written, "None" | "True" | "False") {
            return Some(Literal::Constant(written.to_owned()));
        }
        let digits = written.trim_start_matches('-');
        let zeros = digits.len() > 1 && digits.starts_with('0');
        if digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty() && !zeros {
            return Some(Literal::Number(written.to_owned()));
        }
        if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None;
        }
        Some(Literal::Number(float_literal(written.parse().ok()?)))
    }

    /// A string literal if one is next; the outer option is none for one that is wrong.
    #[allow(clippy::option_option)]
    fn string(&mut self) -> Option<Option<Literal>> {
        let prefix_length = self.rest.find(|c: char| !c.is_ascii_alphabetic());
        let prefix = self.rest.get(..prefix_length.unwrap_or(0)).unwrap_or("");
        let after = &self.rest[prefix.len()..];
        let Some(quote) = after.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
            return Some(None);
        };
        let prefix = prefix.to_ascii_lowercase();
        if !matches!(prefix.as_str(), "" | "u" | "r" | "b" | "rb" | "br") {
            return None;
        }
        let triple: String = [quote; 3].iter().collect();
        let delimiter = if after.starts_with(&triple) {
            triple
        } else {
            quote.to_string()
        };
        let raw = prefix.contains('r');
        let bytes = prefix.contains('b');
        self.rest = &after[delimiter.len()..];
        let mut text = String::new();
        while !self.rest.starts_with(&delimiter) {
            let next = self.rest.chars().next()?;
            self.rest = &self.rest[next.len_utf8()..];
            match next {
                '\n' | '\r' if delimiter.len() == 1 => return None,
                '\0' => return None,
                '\\' if raw => {
                    let escaped = self.rest.chars().next()?;
                    self.rest = &self.rest[escaped.len_utf8()..];
                    text.push('\\');
                    text.push(escaped);
                }
                '\\' => self.escape(&mut text, bytes)?,
                _ if bytes && !next.is_ascii() => return None,
                _ => text.push(next),
            }
        }
        self.rest = &self.rest[delimiter.len()..];
        Some(Some(if bytes {
            Literal::Bytes(text)
        } else {
            Literal::Text(text)
        }))
    }

    /// What follows a backslash.
    fn escape(&mut self, text: &mut String, bytes: bool) -> Option<()> {
        let escaped = self.rest.chars().next()?;
        let after = &self.rest[escaped.len_utf8()..];
        self.rest = after;
        let (digits, radix) = match escaped {
            '\n' => return Some(()),
            'x' => (2, 16),
            'u' if !bytes => (4, 16),
            'U' if !bytes => (8, 16),
            // Needs the table of all character names.
            'N' if !bytes => return None,
            '0'..='7' => {
                let more = after
                    .bytes()
                    .take(2)
                    .take_while(|byte| (b'0'..=b'7').contains(byte))
                    .count();
                let code = u32::from_str_radix(&format!("{escaped}{}", &after[..more]), 8).ok()?;
                text.push(char::from_u32(code)?);
                self.rest = &after[more..];
                return Some(());
            }
            _ => {
                match escaped {
                    '\\' | '\'' | '"' => text.push(escaped),
                    'a' => text.push('\u{7}'),
                    'b' => text.push('\u{8}'),
                    'f' => text.push('\u{c}'),
                    'n' => text.push('\n'),
                    'r' => text.push('\r'),
                    't' => text.push('\t'),
                    'v' => text.push('\u{b}'),
                    _ => text.extend(['\\', escaped]),
                }
                return Some(());
            }
        };
        let code = after.get(..digits)?;
        if !code.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        text.push(char::from_u32(u32::from_str_radix(code, radix).ok()?)?);
        self.rest = &after[digits..];
        Some(())
    }
}
