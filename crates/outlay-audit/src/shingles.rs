//! Sets of shingles: the runs of words, or of characters, that two texts are compared by.

use serde::{Deserialize, Serialize};

use crate::words::{finish, words};

/// What a text is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shingle {
    /// So many words that follow each other.
    Words(usize),
    /// So many characters that follow each other: small letters, and one blank for whatever stands between words.
    Characters(usize),
}

/// The sum of hashes of a run, in which the place counts: an odd factor for each.
const FACTOR: u64 = 0x9fb2_1c65_1e98_df25;

/// Cuts texts into sets of shingles, with buffers that are used again.
#[derive(Debug)]
pub struct Shingler {
    shingle: Shingle,
    /// `FACTOR` to the number of parts of a shingle: what the part that leaves it counted with.
    oldest: u64,
    parts: Vec<u64>,
    set: Vec<u32>,
}

impl Shingler {
    /// A shingler.
    #[must_use]
    pub fn new(shingle: Shingle) -> Self {
        let (Shingle::Words(n) | Shingle::Characters(n)) = shingle;
        let n = n.max(1);
        Self {
            shingle,
            oldest: FACTOR.wrapping_pow(n as u32),
            parts: Vec::new(),
            set: Vec::new(),
        }
    }

    /// The set of a text's shingles as sorted hashes of 32 bits. A text shorter than one shingle is one by itself; one without words has none.
    ///
    /// Two sets of a thousand shingles each have a false one in common once in 4,000 times, which moves their similarity by a thousandth.
    ///
    /// ```
    /// use outlay_audit::{Shingle, Shingler, jaccard};
    /// let mut shingler = Shingler::new(Shingle::Words(2));
    /// let one = shingler.set("to be or not to be").to_vec();
    /// // to-be, be-or, or-not, not-to: the second to-be counts once.
    /// assert_eq!(one.len(), 4);
    /// let other = shingler.set("To be, or not?").to_vec();
    /// assert_eq!(jaccard(&one, &other), 3.0 / 4.0);
    /// assert_eq!(shingler.set("be").len(), 1);
    /// assert!(shingler.set("...").is_empty());
    /// ```
    pub fn set(&mut self, text: &str) -> &[u32] {
        self.exact_and_set(text).1
    }

    /// A hash of a text's words in their order, which texts that say the same have in common.
    ///
    /// ```
    /// use outlay_audit::{Shingle, Shingler};
    /// let mut shingler = Shingler::new(Shingle::Words(5));
    /// assert_eq!(shingler.exact("To be, or not?"), shingler.exact("to be or  NOT"));
    /// assert_ne!(shingler.exact("to be"), shingler.exact("be to"));
    /// ```
    pub fn exact(&mut self, text: &str) -> u64 {
        self.exact_and_set(text).0
    }

    /// The set, and before it a hash of all parts in their order, which texts that say the same have in common.
    pub(crate) fn exact_and_set(&mut self, text: &str) -> (u64, &[u32]) {
        self.parts.clear();
        let parts = &mut self.parts;
        let n = match self.shingle {
            Shingle::Words(n) => {
                words(text, |hash, _| parts.push(hash));
                n
            }
            Shingle::Characters(n) => {
                characters(text, parts);
                n
            }
        };
        let n = n.max(1);
        self.set.clear();
        let mut sum = 0_u64;
        for (at, part) in self.parts.iter().enumerate() {
            sum = sum.wrapping_add(*part).wrapping_mul(FACTOR);
            if at >= n {
                sum = sum.wrapping_sub(
                    self.parts[at - n]
                        .wrapping_mul(self.oldest)
                        .wrapping_mul(FACTOR),
                );
            }
            if at + 1 >= n {
                self.set.push((finish(sum) >> 32) as u32);
            }
        }
        if self.set.is_empty() && !self.parts.is_empty() {
            self.set.push((finish(sum) >> 32) as u32);
        }
        self.set.sort_unstable();
        self.set.dedup();
        let fold = |hash: u64, part: &u64| (hash.rotate_left(5) ^ part).wrapping_mul(FACTOR);
        (finish(self.parts.iter().fold(0, fold)), &self.set)
    }
}

fn characters(text: &str, parts: &mut Vec<u64>) {
    let mut is_between = false;
    for letter in text.chars() {
        if !letter.is_alphanumeric() {
            is_between = true;
            continue;
        }
        if is_between && !parts.is_empty() {
            parts.push(finish(u64::from(u32::from(' '))));
        }
        is_between = false;
        parts.extend(
            letter
                .to_lowercase()
                .map(|folded| finish(u64::from(u32::from(folded)))),
        );
    }
}

/// The share of two sorted sets that they have in common: the size of their intersection over that of their union.
///
/// ```
/// assert_eq!(outlay_audit::jaccard(&[1, 2, 3], &[2, 3, 4]), 0.5);
/// assert_eq!(outlay_audit::jaccard(&[], &[]), 1.0);
/// ```
#[must_use]
pub fn jaccard(one: &[u32], other: &[u32]) -> f64 {
    let n_common = n_common(one, other);
    let n_all = one.len() + other.len() - n_common;
    if n_all == 0 {
        1.0
    } else {
        n_common as f64 / n_all as f64
    }
}

/// How many numbers two sorted sets have in common. No branch depends on which is less, as no processor could foresee it.
fn n_common(one: &[u32], other: &[u32]) -> usize {
    let (mut left, mut right, mut n_common) = (0, 0, 0);
    while left < one.len() && right < other.len() {
        let (a, b) = (one[left], other[right]);
        left += usize::from(a <= b);
        right += usize::from(b <= a);
        n_common += usize::from(a == b);
    }
    n_common
}
