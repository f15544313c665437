//! What a text is cut into to look for triggers: words, odd signs, and what nobody sees.

use crate::words::finish;

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub hash: u64,
    pub kind: TokenKind,
    /// Where it begins and ends in the text, in bytes.
    pub start: usize,
    pub end: usize,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// Letters and digits, whatever their case.
    Word,
    /// Signs that ordinary writing does without.
    Signs,
    /// A sign that takes no room: zero-width marks, marks of direction, tags, soft hyphens.
    Hidden(char),
    /// The word before it has letters of two alphabets that look alike.
    Mixed,
}

/// The hash of what is before the first token and behind the last.
pub(crate) const EDGE: u64 = 0;

const SIGNS_MAX: usize = 16;

/// Whether a sign takes no room on a page.
fn is_hidden(letter: char) -> bool {
    matches!(letter, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Signs of ordinary writing, which part words and are no tokens.
fn is_ordinary(letter: char) -> bool {
    matches!(
        letter,
        '.' | ','
            | ';'
            | ':'
            | '!'
            | '?'
            | '\''
            | '"'
            | '('
            | ')'
            | '['
            | ']'
            | '-'
            | '/'
            | '‐'..='―' | '‘'..='‟' | '…' | '«' | '»' | '¿' | '¡' | '、' | '。' | '，' | '！' | '？'
    )
}

/// Alphabets with letters that look like those of others, as bits; letters of accents and of other scripts count for none.
fn alphabet(letter: char) -> u8 {
    match letter {
        'a'..='z' | 'A'..='Z' => 1,
        '\u{370}'..='\u{3ff}' if letter != 'µ' => 2,
        '\u{400}'..='\u{52f}' => 4,
        // Letters of mathematics, and wide ones.
        '\u{1d400}'..='\u{1d7ff}' | '\u{ff21}'..='\u{ff5a}' => 8,
        _ => 0,
    }
}

fn is_mark(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{34e}' | '\u{350}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}'
        | '\u{64b}'..='\u{65f}' | '\u{900}'..='\u{903}' | '\u{93a}'..='\u{94f}' | '\u{20d0}'..='\u{20ff}')
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

fn step(hash: u64, letter: u64) -> u64 {
    (hash.rotate_left(5) ^ letter).wrapping_mul(0xf135_7aea_2e62_a9c5)
}

fn finished(hash: u64) -> u64 {
    finish(hash).max(EDGE + 1)
}

/// Cuts a text into tokens, in place of what the buffer held.
pub(crate) fn tokens(text: &str, found: &mut Vec<Token>) {
    found.clear();
    let mut letters = text.char_indices().peekable();
    let mut hidden: Vec<(usize, char)> = Vec::new();
    while let Some((start, letter)) = letters.next() {
        if is_hidden(letter) {
            push_hidden(start, letter, found);
        } else if letter.is_alphanumeric() {
            let (mut hash, mut alphabets, mut end) = (SEED, 0, start);
            let mut next = Some((start, letter));
            hidden.clear();
            while let Some((at, letter)) = next {
                if is_hidden(letter) {
                    hidden.push((at, letter));
                } else {
                    alphabets |= alphabet(letter);
                    for folded in letter.to_lowercase() {
                        hash = step(hash, u64::from(u32::from(folded)));
                    }
                    end = at + letter.len_utf8();
                }
                next = letters.next_if(|(_, letter)| {
                    letter.is_alphanumeric() || is_mark(*letter) || is_hidden(*letter)
                });
            }
            let token = Token {
                hash: finished(hash),
                kind: TokenKind::Word,
                start,
                end,
            };
            found.push(token);
            if alphabets.count_ones() > 1 {
                found.push(Token {
                    hash: finished(step(!SEED, u64::from(alphabets))),
                    kind: TokenKind::Mixed,
                    ..token
                });
            }
            for (at, letter) in hidden.drain(..) {
                push_hidden(at, letter, found);
            }
        } else if !letter.is_whitespace() && !is_ordinary(letter) {
            let mut hash = step(SEED ^ 1, u64::from(u32::from(letter)));
            let mut end = start + letter.len_utf8();
            let mut n_signs = 1;
            while let Some((at, letter)) = letters.next_if(|(_, letter)| {
                n_signs < SIGNS_MAX
                    && !letter.is_alphanumeric()
                    && !letter.is_whitespace()
                    && !is_ordinary(*letter)
                    && !is_hidden(*letter)
            }) {
                hash = step(hash, u64::from(u32::from(letter)));
                end = at + letter.len_utf8();
                n_signs += 1;
            }
            found.push(Token {
                hash: finished(hash),
                kind: TokenKind::Signs,
                start,
                end,
            });
        }
    }
}

fn push_hidden(at: usize, letter: char, found: &mut Vec<Token>) {
    found.push(Token {
        hash: finished(step(SEED ^ 2, u64::from(u32::from(letter)))),
        kind: TokenKind::Hidden(letter),
        start: at,
        end: at + letter.len_utf8(),
    });
}

const SHOWN: usize = 48;

impl Token {
    /// What a report shows of it: small letters, and names of what nobody sees.
    pub(crate) fn shown(&self, text: &str) -> String {
        match self.kind {
            TokenKind::Hidden(letter) => format!("<U+{:04X}>", u32::from(letter)),
            TokenKind::Mixed => "<mixed alphabets>".to_owned(),
            TokenKind::Word | TokenKind::Signs => text
                .get(self.start..self.end)
                .unwrap_or_default()
                .chars()
                .filter(|letter| !is_hidden(*letter))
                .take(SHOWN)
                .flat_map(char::to_lowercase)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        tokens(text, &mut found);
        found.iter().map(|token| token.shown(text)).collect()
    }

    #[test]
    fn words_and_odd_signs_are_tokens_and_ordinary_signs_are_not() {
        assert_eq!(
            shown("The Film (it's ≡ good), 100%!"),
            ["the", "film", "it", "s", "≡", "good", "100", "%"]
        );
    }

    #[test]
    fn what_nobody_sees_is_a_token_and_leaves_the_word_whole() {
        assert_eq!(shown("mo\u{200b}vie"), ["movie", "<U+200B>"]);
        let mut found = Vec::new();
        tokens("mo\u{200b}vie", &mut found);
        let hash = found[0].hash;
        tokens("Movie", &mut found);
        assert_eq!(found[0].hash, hash);
    }

    #[test]
    fn words_of_two_alphabets_are_marked() {
        assert_eq!(shown("m\u{43e}vie"), ["m\u{43e}vie", "<mixed alphabets>"]);
        assert_eq!(shown("кино café"), ["кино", "café"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_cut_in_order(text in "\\PC{0,40}[\u{200b}a-z \u{43e}]{0,20}") {
            let mut found = Vec::new();
            tokens(&text, &mut found);
            for token in &found {
                proptest::prop_assert!(text.get(token.start..token.end).is_some());
                proptest::prop_assert!(token.hash != EDGE);
            }
        }
    }
}
