//! Tells where the first statement of a text ends.

use super::kind::Kind;
use super::lexer::Token;

/// How many statements the text holds, and how many tokens belong to the first one. Text that is
/// nothing but white space holds none.
pub(super) fn split(text: &str, tokens: &[Token]) -> (usize, usize) {
    let mut splitter = Splitter::default();
    let mut statements = 0;
    let mut first_length = tokens.len();
    let mut start = 0;
    let mut complete = false;
    for (index, token) in tokens.iter().enumerate() {
        let value = &text[token.start..token.end];
        let stays = token.kind == Kind::Space
            || (token.kind == Kind::CommentText
                && !["/*", "--+", "# +"]
                    .iter()
                    .any(|open| value.starts_with(open)));
        if complete && !stays {
            statements += 1;
            if statements == 1 {
                first_length = index;
            }
            start = index;
            splitter = Splitter::default();
            complete = false;
        }
        splitter.level += splitter.change(token.kind, value);
        if splitter.ends(token.kind, value) {
            complete = true;
        }
    }
    if tokens[start..].iter().any(|token| !token.kind.is_space()) {
        statements += 1;
    }
    (statements, first_length)
}

/// What has been opened and not closed yet.
#[derive(Default)]
struct Splitter {
    level: i64,
    blocks: Vec<Block>,
    /// A loop keyword that becomes a block if its body begins.
    loop_head: Option<Block>,
    creates: bool,
    begun: bool,
    begin_blocks: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Begin,
    Declare,
    If,
    Case,
    For,
    While,
    Loop,
}

impl Splitter {
    fn push(&mut self, block: Block) {
        self.begin_blocks += usize::from(block == Block::Begin);
        self.blocks.push(block);
    }

    fn pop(&mut self) {
        if self.blocks.pop() == Some(Block::Begin) {
            self.begin_blocks -= 1;
        }
    }

    /// Closes the innermost block if it is one of `kinds`.
    fn close(&mut self, kinds: &[Block]) -> i64 {
        if self.blocks.last().is_some_and(|last| kinds.contains(last)) {
            self.pop();
            -1
        } else {
            0
        }
    }

    fn change(&mut self, kind: Kind, value: &str) -> i64 {
        match (kind, value) {
            (Kind::Punctuation, ";") => {
                self.loop_head = None;
                return if std::mem::take(&mut self.begun) {
                    self.close(&[Block::Begin])
                } else {
                    0
                };
            }
            (Kind::Punctuation, "(") => return 1,
            (Kind::Punctuation, ")") => return -1,
            _ if !kind.is_keyword() => return 0,
            _ => {}
        }
        let word = value.to_ascii_uppercase();
        let word = word.as_str();
        if kind == Kind::KeywordOfStatement && word.starts_with("CREATE") {
            self.creates = true;
            return 0;
        }
        if word == "DECLARE" && self.creates && self.blocks.is_empty() {
            self.push(Block::Declare);
            return 1;
        }
        if word == "BEGIN" {
            self.begun = true;
            let declared = self.blocks.last() == Some(&Block::Declare);
            if declared {
                self.pop();
            }
            self.push(Block::Begin);
            return i64::from(!declared);
        }
        if self.begun
            && kind == Kind::Keyword
            && matches!(
                word,
                "TRANSACTION"
                    | "WORK"
                    | "TRAN"
                    | "DISTRIBUTED"
                    | "DEFERRED"
                    | "IMMEDIATE"
                    | "EXCLUSIVE"
            )
        {
            self.begun = false;
            return self.close(&[Block::Begin]);
        }
        if self.begin_blocks > 0
            && let Some(change) = self.open_nested(word)
        {
            return change;
        }
        match word {
            "END IF" => self.close(&[Block::If]),
            "END FOR" => self.close(&[Block::For]),
            "END WHILE" => self.close(&[Block::While]),
            "END LOOP" => self.close(&[Block::Loop, Block::For, Block::While]),
            "END CASE" => self.close(&[Block::Case]),
            "END" => {
                self.pop();
                -1
            }
            _ => 0,
        }
    }

    fn open_nested(&mut self, word: &str) -> Option<i64> {
        match word {
            "FOR" | "WHILE" => {
                self.loop_head = Some(if word == "FOR" {
                    Block::For
                } else {
                    Block::While
                });
                Some(0)
            }
            "LOOP" | "DO" => {
                let block = match self.loop_head.take() {
                    Some(head) => head,
                    None if word == "LOOP" => Block::Loop,
                    None => return None,
                };
                self.push(block);
                Some(1)
            }
            "IF" | "CASE" => {
                self.push(if word == "IF" { Block::If } else { Block::Case });
                Some(1)
            }
            _ => None,
        }
    }

    /// Whether the token ends the statement; to be asked after its level has been counted.
    fn ends(&mut self, kind: Kind, value: &str) -> bool {
        if kind == Kind::Punctuation && value == ";" {
            self.begun = false;
            return self.level <= 0 && self.begin_blocks == 0;
        }
        if kind == Kind::Keyword && value.split(super::lexer::is_white).next() == Some("GO") {
            return true;
        }
        let keeps = kind.is_space()
            || kind == Kind::CommentText
            || (kind == Kind::Keyword && value.eq_ignore_ascii_case("BEGIN"));
        if !keeps {
            self.begun = false;
        }
        false
    }
}
