//! Cuts a stream of bytes into the pieces of text that a terminal would have shown.

/// The longest piece that is kept; what follows up to its end is dropped.
const PIECE_BYTES_MAX: usize = 4096;

/// How often, within one piece, a closing bracket is looked at for the end of a bar.
const BRACKETS_MAX: u8 = 8;

/// Where a piece stands: rows down from where the stream began, as newlines and cursor movements tell.
pub(super) type Row = i64;

/// Where the cutter is within an escape sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    Begun,
    /// `ESC [`: the number that comes first, until a letter ends it.
    Control(Option<i64>),
    /// `ESC ]`: a title or a link, until a bell or another escape.
    Title,
    /// `ESC (` and its kin: one more byte.
    OneMore,
}

/// Cuts one stream.
///
/// A piece ends at a newline, a carriage return, a backspace, or a movement of the cursor. A bar of tqdm also ends at its
/// closing bracket, since its next carriage return comes only with the next update, which may be minutes away.
#[derive(Debug)]
pub(super) struct Cutter {
    piece: Vec<u8>,
    row: Row,
    escape: Escape,
    brackets: u8,
}

impl Cutter {
    pub(super) fn new() -> Self {
        Self {
            piece: Vec::new(),
            row: 0,
            escape: Escape::None,
            brackets: 0,
        }
    }

    /// Takes bytes, and hands each piece that ends within them to `take`.
    pub(super) fn feed(&mut self, bytes: &[u8], mut take: impl FnMut(&str, Row)) {
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            let text = if self.escape == Escape::None {
                rest.iter().take_while(|&&byte| is_text(byte)).count()
            } else {
                0
            };
            if text > 0 {
                let room = PIECE_BYTES_MAX - self.piece.len();
                self.piece.extend_from_slice(&rest[..text.min(room)]);
                rest = &rest[text..];
            } else {
                self.byte(byte, &mut take);
                rest = &rest[1..];
            }
        }
    }

    fn byte(&mut self, byte: u8, take: &mut impl FnMut(&str, Row)) {
        if self.escape != Escape::None {
            return self.escaped(byte, take);
        }
        match byte {
            b'\n' => {
                self.end(take);
                self.row = self.row.saturating_add(1);
            }
            b'\r' | 0x08 => self.end(take),
            0x1b => self.escape = Escape::Begun,
            b'\t' => self.keep(byte),
            0..=0x1f | 0x7f => {}
            b']' => {
                self.keep(byte);
                if self.brackets < BRACKETS_MAX && self.piece.len() < PIECE_BYTES_MAX {
                    self.brackets += 1;
                    if ends_bar(&self.piece) {
                        self.end(take);
                    }
                }
            }
            _ => self.keep(byte),
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.piece.len() < PIECE_BYTES_MAX {
            self.piece.push(byte);
        }
    }

    fn end(&mut self, take: &mut impl FnMut(&str, Row)) {
        if !self.piece.is_empty() {
            take(&String::from_utf8_lossy(&self.piece), self.row);
            self.piece.clear();
        }
        self.brackets = 0;
    }

    fn escaped(&mut self, byte: u8, take: &mut impl FnMut(&str, Row)) {
        self.escape = match (self.escape, byte) {
            // Whatever was begun, a new line shows that it was not an escape sequence, or that it was cut off.
            (Escape::Begun | Escape::Control(_) | Escape::OneMore, b'\n' | b'\r') => {
                self.escape = Escape::None;
                return self.byte(byte, take);
            }
            (Escape::Begun, b'[') => Escape::Control(None),
            (Escape::Begun, b']' | b'P' | b'X' | b'^' | b'_') => Escape::Title,
            (Escape::Begun, b'(' | b')' | b'#' | b' ' | b'%') => Escape::OneMore,
            (Escape::Control(number), b'0'..=b'9') => {
                let so_far = number.unwrap_or(0).min(9_999);
                Escape::Control(Some(so_far * 10 + i64::from(byte - b'0')))
            }
            (Escape::Control(number), 0x20..=0x3f) => Escape::Control(number),
            (Escape::Control(number), _) => {
                self.control(byte, number.unwrap_or(1).max(1), take);
                Escape::None
            }
            // A title has no newline in it: one that does was none.
            (Escape::Title, 0x07 | b'\n') => Escape::None,
            (Escape::Title, 0x1b) => Escape::Begun,
            (Escape::Title, _) => Escape::Title,
            _ => Escape::None,
        };
    }

    fn control(&mut self, letter: u8, number: i64, take: &mut impl FnMut(&str, Row)) {
        match letter {
            b'A' | b'F' => {
                self.end(take);
                self.row = self.row.saturating_sub(number);
            }
            b'B' | b'E' => {
                self.end(take);
                self.row = self.row.saturating_add(number);
            }
            b'G' | b'H' | b'J' | b'f' => self.end(take),
            b'C' => self.keep(b' '),
            // Colours, erasing to the end of the line, showing the cursor: nothing of it is text.
            _ => {}
        }
    }
}

/// Whether a byte is kept, and nothing else happens.
fn is_text(byte: u8) -> bool {
    byte >= 0x20 && byte != 0x7f && byte != b']'
}

/// Whether a piece that ends in `]` is a whole bar of tqdm, by its times and its rate.
fn ends_bar(piece: &[u8]) -> bool {
    let Some(open) = piece.iter().position(|&byte| byte == b'[') else {
        return false;
    };
    // A description such as `Epoch [1/5]` has brackets of its own.
    piece[open..]
        .iter()
        .enumerate()
        .filter(|&(_, &byte)| byte == b'[')
        .any(|(at, _)| super::bar::opens_times(&piece[open + at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(bytes: &[u8]) -> Vec<(String, Row)> {
        let mut all = Vec::new();
        Cutter::new().feed(bytes, |piece, row| all.push((piece.to_owned(), row)));
        all
    }

    #[test]
    fn escapes_and_backspaces_are_no_text() {
        assert_eq!(
            pieces(b"\x1b[1m 1/20\x1b[0m loss: 0.5\x08\x08\x08\r\x1b]0;title\x07next\n"),
            [(" 1/20 loss: 0.5".to_owned(), 0), ("next".to_owned(), 0)]
        );
    }

    #[test]
    fn rows_follow_the_cursor() {
        let rows: Vec<Row> = pieces(b"outer\n\rinner\x1b[A\router\n\rinner\x1b[A\r")
            .into_iter()
            .map(|(_, row)| row)
            .collect();
        assert_eq!(rows, [0, 1, 0, 1]);
    }

    #[test]
    fn a_bar_ends_at_its_bracket_and_what_follows_is_a_piece_of_its_own() {
        let text = "\r 25%|##5       | 1/4 [00:01<00:03,  1.31s/it]loss: 0.5\n";
        assert_eq!(
            pieces(text.as_bytes()),
            [
                (
                    " 25%|##5       | 1/4 [00:01<00:03,  1.31s/it]".to_owned(),
                    0
                ),
                ("loss: 0.5".to_owned(), 0)
            ]
        );
        assert!(pieces(b"Epoch [1/5], Step [10/20]").is_empty());
    }

    #[test]
    fn a_piece_without_end_is_not_kept() {
        let mut cutter = Cutter::new();
        for _ in 0..1_000 {
            cutter.feed(&[b'x'; 10_000], |_, _| {});
        }
        assert!(cutter.piece.capacity() <= 2 * PIECE_BYTES_MAX);
        let mut length = 0;
        cutter.feed(b"\n", |piece, _| length = piece.len());
        assert_eq!(length, PIECE_BYTES_MAX);
    }
}
