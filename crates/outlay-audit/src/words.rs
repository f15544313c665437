//! Words of a text, as hashes: what near duplicates and leaks are compared by.

/// Calls back with the hash of every word, and where the word lies in the text, in bytes.
///
/// A word is a run of letters and digits of any script; case does not count, and neither does what stands between words.
///
/// ```
/// let mut words = Vec::new();
/// outlay_audit::words("Don't  PANIC, über-café!", |_, place| words.push(place));
/// assert_eq!(words, [0..3, 4..5, 7..12, 14..19, 20..25]);
/// let hashes = |text: &str| {
///     let mut hashes = Vec::new();
///     outlay_audit::words(text, |hash, _| hashes.push(hash));
///     hashes
/// };
/// assert_eq!(hashes("The   Café."), hashes("the CAFÉ"));
/// assert_ne!(hashes("ab c"), hashes("a bc"));
/// ```
pub fn words(text: &str, mut found: impl FnMut(u64, std::ops::Range<usize>)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut begin = None;
    let mut hash = SEED;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte < 128 {
            let folded = FOLDED[usize::from(byte)];
            if folded != 0 {
                begin.get_or_insert(at);
                hash = step(hash, u64::from(folded));
            } else if let Some(begin) = begin.take() {
                found(finish(hash), begin..at);
                hash = SEED;
            }
            at += 1;
            continue;
        }
        let Some(letter) = text[at..].chars().next() else {
            break;
        };
        if letter.is_alphanumeric() || is_mark(letter) {
            begin.get_or_insert(at);
            for folded in letter.to_lowercase() {
                hash = step(hash, u64::from(u32::from(folded)));
            }
        } else if let Some(begin) = begin.take() {
            found(finish(hash), begin..at);
            hash = SEED;
        }
        at += letter.len_utf8();
    }
    if let Some(begin) = begin {
        found(finish(hash), begin..bytes.len());
    }
}

/// Signs that belong to the letter before them: the accents of decomposed text, vowels of Indic and other scripts.
fn is_mark(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{64b}'..='\u{65f}'
        | '\u{900}'..='\u{903}' | '\u{93a}'..='\u{94f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Small letters and digits of ASCII by themselves, capitals as small ones, anything else as zero.
const FOLDED: [u8; 128] = {
    let mut table = [0; 128];
    let mut at = 0;
    while at < 128 {
        let byte = at as u8;
        if byte.is_ascii_alphanumeric() {
            table[at] = byte.to_ascii_lowercase();
        }
        at += 1;
    }
    table
};

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// One letter more: a product by an odd constant, so that no two words of a length have one state.
fn step(hash: u64, letter: u64) -> u64 {
    (hash.rotate_left(5) ^ letter).wrapping_mul(0xf135_7aea_2e62_a9c5)
}

/// Spreads every bit over all of them (the last steps of `MurmurHash3`, 64 bits).
pub(crate) fn finish(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// For maps whose keys are hashes.
pub(crate) type Hashed = std::hash::BuildHasherDefault<Same>;

/// Hashes are not hashed again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Same(u64);

impl std::hash::Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
