//! Texts that are no good to learn from, by published rules.
//!
//! "Gopher" is Rae et al. 2021, *Scaling Language Models: Methods, Analysis & Insights from Training Gopher*, section A.1.1
//! (quality) and table A1 (repetition); "C4" is Raffel et al. 2020, *Exploring the Limits of Transfer Learning*, section 2.2.
//! The rules were made for pages of the web in English; code and tables break many of them, which is why an audit counts and
//! removes nothing by itself.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::words::{Hashed, words};

/// A rule that a text breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// There is no word in it.
    Empty,
    /// It holds signs that stand for bytes nobody could read (U+FFFD), control signs, or letters of UTF-8 read as Latin-1.
    Encoding,
    /// Gopher: fewer than 50 words.
    Short,
    /// Gopher: more than 100,000 words.
    Long,
    /// Gopher: the mean word has fewer than 3 letters, or more than 10.
    WordLength,
    /// Gopher: more than one `#` or ellipsis for ten words.
    Symbols,
    /// Gopher: more than 90% of the lines begin with a bullet.
    Bullets,
    /// Gopher: more than 30% of the lines end with an ellipsis.
    Ellipses,
    /// Gopher: fewer than 80% of the words hold a letter.
    Letters,
    /// Gopher: fewer than two of `the, be, to, of, and, that, have, with`.
    StopWords,
    /// Gopher: more than 30% of the lines, or 20% of the characters, are in lines that were there before.
    RepeatedLines,
    /// Gopher: more than 30% of the paragraphs, or 20% of the characters, are in paragraphs that were there before.
    RepeatedParagraphs,
    /// Gopher: the most frequent run of two words holds more than 20% of the characters, of three 18%, of four 16%.
    FrequentRun,
    /// Gopher: runs of five to ten words that are there more than once hold more than 15% to 10% of the characters.
    RepeatedRuns,
    /// C4: the filler of pages under construction.
    LoremIpsum,
    /// C4: a curly bracket, which text has none of and code has.
    CurlyBracket,
    /// C4: what pages say about cookies, scripts and terms of use.
    Boilerplate,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Empty,
        Self::Encoding,
        Self::Short,
        Self::Long,
        Self::WordLength,
        Self::Symbols,
        Self::Bullets,
        Self::Ellipses,
        Self::Letters,
        Self::StopWords,
        Self::RepeatedLines,
        Self::RepeatedParagraphs,
        Self::FrequentRun,
        Self::RepeatedRuns,
        Self::LoremIpsum,
        Self::CurlyBracket,
        Self::Boilerplate,
    ];

    /// What it is called in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Encoding => "encoding",
            Self::Short => "short",
            Self::Long => "long",
            Self::WordLength => "word_length",
            Self::Symbols => "symbols",
            Self::Bullets => "bullets",
            Self::Ellipses => "ellipses",
            Self::Letters => "letters",
            Self::StopWords => "stop_words",
            Self::RepeatedLines => "repeated_lines",
            Self::RepeatedParagraphs => "repeated_paragraphs",
            Self::FrequentRun => "frequent_run",
            Self::RepeatedRuns => "repeated_runs",
            Self::LoremIpsum => "lorem_ipsum",
            Self::CurlyBracket => "curly_bracket",
            Self::Boilerplate => "boilerplate",
        }
    }

    /// Where it comes from.
    #[must_use]
    pub fn source(self) -> &'static str {
        match self {
            Self::Empty | Self::Encoding => "",
            Self::LoremIpsum | Self::CurlyBracket | Self::Boilerplate => "C4",
            _ => "Gopher",
        }
    }
}

/// The rules that a text breaks, as bits in the order of `Rule::ALL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken(u32);

impl Broken {
    fn add(&mut self, rule: Rule, is_broken: bool) {
        self.0 |= u32::from(is_broken) << rule as u32;
    }

    /// Whether a rule is broken.
    #[must_use]
    pub fn has(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u32) != 0
    }

    /// Whether none is.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// Buffers of one thread.
#[derive(Debug, Default)]
pub struct Judge {
    hashes: Vec<u64>,
    /// Letters of each word.
    lengths: Vec<u32>,
    counts: HashMap<u64, u32, Hashed>,
    seen: HashSet<u64, Hashed>,
}

/// The words that nearly every English text of some length has.
const STOP_WORDS: [&str; 8] = ["the", "be", "to", "of", "and", "that", "have", "with"];

/// The filler, and parts of the lines for which C4 dropped a page's lines.
static PHRASES: LazyLock<Option<aho_corasick::AhoCorasick>> = LazyLock::new(|| {
    aho_corasick::AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build([
            "lorem ipsum",
            "terms of use",
            "privacy policy",
            "cookie policy",
            "uses cookies",
            "use of cookies",
            "use cookies",
            "enable javascript",
            "javascript is disabled",
            "all rights reserved",
        ])
        .ok()
});

impl Judge {
    /// The rules that a text breaks.
    ///
    /// ```
    /// use outlay_audit::{Judge, Rule};
    /// let mut judge = Judge::default();
    /// let text = "It was said that the ship would be late, and nobody had a mind to wait for it with the others. ".repeat(3);
    /// let broken = judge.judge(&text);
    /// assert!(broken.has(Rule::RepeatedRuns) && !broken.has(Rule::Short) && !broken.has(Rule::StopWords));
    /// assert!(judge.judge(" \n").has(Rule::Empty));
    /// ```
    pub fn judge(&mut self, text: &str) -> Broken {
        let mut broken = Broken::default();
        self.hashes.clear();
        self.lengths.clear();
        let mut n_stop_words = 0;
        let mut n_with_letters = 0;
        let mut stop_words_seen = 0_u8;
        words(text, |hash, place| {
            let word = &text[place];
            self.hashes.push(hash);
            let (mut n_letters, mut has_letter) = (0, false);
            for byte in word.bytes() {
                // Every letter begins with one byte that is no continuation.
                n_letters += u32::from(byte & 0xc0 != 0x80);
                has_letter |= byte.is_ascii_alphabetic() || byte >= 128;
            }
            self.lengths.push(n_letters);
            n_with_letters += usize::from(has_letter);
            if word.len() <= 4
                && let Some(at) = STOP_WORDS
                    .iter()
                    .position(|stop| stop.eq_ignore_ascii_case(word))
                && stop_words_seen & (1 << at) == 0
            {
                stop_words_seen |= 1 << at;
                n_stop_words += 1;
            }
        });
        broken.add(Rule::Encoding, is_misread(text));
        let n_words = self.hashes.len();
        if n_words == 0 {
            broken.add(Rule::Empty, true);
            return broken;
        }
        let n_letters: u32 = self.lengths.iter().sum();
        let mean = f64::from(n_letters) / n_words as f64;
        broken.add(Rule::Short, n_words < 50);
        broken.add(Rule::Long, n_words > 100_000);
        broken.add(Rule::WordLength, !(3.0..=10.0).contains(&mean));
        let n_symbols = memchr::memchr_iter(b'#', text.as_bytes()).count()
            + memchr::memmem::find_iter(text.as_bytes(), "...").count()
            + memchr::memmem::find_iter(text.as_bytes(), "…").count();
        broken.add(Rule::Symbols, n_symbols as f64 > 0.1 * n_words as f64);
        broken.add(
            Rule::Letters,
            (n_with_letters as f64) < 0.8 * n_words as f64,
        );
        broken.add(Rule::StopWords, n_stop_words < 2);
        self.lines(text, &mut broken);
        self.runs(f64::from(n_letters), &mut broken);
        broken.add(
            Rule::CurlyBracket,
            memchr::memchr2(b'{', b'}', text.as_bytes()).is_some(),
        );
        if let Some(phrases) = &*PHRASES {
            for found in phrases.find_iter(text) {
                let is_lorem = found.pattern().as_usize() == 0;
                broken.add(
                    if is_lorem {
                        Rule::LoremIpsum
                    } else {
                        Rule::Boilerplate
                    },
                    true,
                );
            }
        }
        broken
    }

    fn lines(&mut self, text: &str, broken: &mut Broken) {
        let (mut n_lines, mut n_bullets, mut n_ellipses) = (0_usize, 0_usize, 0_usize);
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            n_lines += 1;
            n_bullets += usize::from(line.starts_with(['•', '‣', '▪', '◦', '●', '-', '*']));
            n_ellipses += usize::from(line.ends_with("...") || line.ends_with('…'));
        }
        broken.add(Rule::Bullets, n_bullets as f64 > 0.9 * n_lines as f64);
        broken.add(Rule::Ellipses, n_ellipses as f64 > 0.3 * n_lines as f64);
        let lines = self.repeated(text.lines());
        broken.add(Rule::RepeatedLines, lines);
        let paragraphs = self.repeated(text.split("\n\n"));
        broken.add(Rule::RepeatedParagraphs, paragraphs);
    }

    /// Whether too many parts, or too much of the text, were there before.
    fn repeated<'a>(&mut self, parts: impl Iterator<Item = &'a str>) -> bool {
        self.counts.clear();
        let (mut n_parts, mut n_again, mut n_bytes, mut n_bytes_again) =
            (0_usize, 0_usize, 0_usize, 0_usize);
        for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
            n_parts += 1;
            n_bytes += part.len();
            let n_seen = self.counts.entry(hashed(part.as_bytes())).or_default();
            *n_seen += 1;
            if *n_seen > 1 {
                n_again += 1;
                n_bytes_again += part.len();
            }
        }
        n_parts > 1
            && (n_again as f64 > 0.3 * n_parts as f64
                || n_bytes_again as f64 > 0.2 * n_bytes as f64)
    }

    fn runs(&mut self, n_letters: f64, broken: &mut Broken) {
        // A longer run is there no more often than its parts, so that most texts are through after the shortest.
        let mut n_most = u32::MAX;
        for (n, most) in FREQUENT {
            let longest = self
                .lengths
                .windows(n)
                .map(|lengths| lengths.iter().sum::<u32>())
                .max()
                .unwrap_or(0);
            if f64::from(n_most) * f64::from(longest) <= most * n_letters {
                continue;
            }
            let (n_times, length) = self.most_frequent(n);
            n_most = n_times;
            let is_more = f64::from(n_times) * f64::from(length) > most * n_letters;
            broken.add(Rule::FrequentRun, n_times > 1 && is_more);
        }
        // And what of a text is in longer runs that are there again is in shorter ones as well.
        let mut n_again = u32::MAX;
        for n in REPEATED {
            let most = 0.20 - 0.01 * n as f64;
            if f64::from(n_again) > most * n_letters {
                n_again = self.repeated_letters(n);
                broken.add(Rule::RepeatedRuns, f64::from(n_again) > most * n_letters);
            }
        }
    }

    /// How often the most frequent run of so many words is there, and the letters of the longest of these.
    fn most_frequent(&mut self, n: usize) -> (u32, u32) {
        self.counts.clear();
        let mut best = (0, 0);
        for (words, lengths) in self.hashes.windows(n).zip(self.lengths.windows(n)) {
            let n_seen = self.counts.entry(together(words)).or_default();
            *n_seen += 1;
            best = best.max((*n_seen, lengths.iter().sum()));
        }
        best
    }

    /// Letters in runs of so many words that were there before, each once.
    fn repeated_letters(&mut self, n: usize) -> u32 {
        self.seen.clear();
        let (mut n_letters, mut counted_to) = (0, 0);
        for (at, words) in self.hashes.windows(n).enumerate() {
            if !self.seen.insert(together(words)) {
                n_letters += self.lengths[counted_to.max(at)..at + n].iter().sum::<u32>();
                counted_to = at + n;
            }
        }
        n_letters
    }
}

/// Words of a run, and the share of the letters that the most frequent may hold: Gopher's table A1.
const FREQUENT: [(usize, f64); 3] = [(2, 0.20), (3, 0.18), (4, 0.16)];

/// Words of the runs that are not to be there again.
const REPEATED: std::ops::RangeInclusive<usize> = 5..=10;

fn together(words: &[u64]) -> u64 {
    words.iter().fold(0, |hash: u64, word| {
        (hash.rotate_left(5) ^ word).wrapping_mul(0xf135_7aea_2e62_a9c5)
    })
}

fn hashed(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let whole = words.iter().fold(bytes.len() as u64, |hash: u64, word| {
        (hash.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0xf135_7aea_2e62_a9c5)
    });
    rest.iter().fold(whole, |hash, byte| {
        (hash.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(0xf135_7aea_2e62_a9c5)
    })
}

/// Whether some of a text was not read as it was written.
fn is_misread(text: &str) -> bool {
    if text.is_ascii() {
        return text.bytes().any(|byte| {
            byte == 0x7f || (byte < b' ' && !matches!(byte, b'\n' | b'\r' | b'\t' | 0xc))
        });
    }
    let mut last = ' ';
    let mut n_misread = 0_usize;
    for letter in text.chars() {
        let is_control = letter.is_control() && !matches!(letter, '\n' | '\r' | '\t' | '\u{c}');
        if letter == '\u{fffd}' || is_control {
            return true;
        }
        // Two bytes of UTF-8 as two letters of Latin-1 or of Windows-1252: Ã©, â€™.
        let is_second = matches!(
            letter,
            '\u{80}'
                ..='\u{bf}'
                    | '€'
                    | '™'
                    | 'œ'
                    | '‚'
                    | 'ƒ'
                    | '„'
                    | '†'
                    | '‡'
                    | '‰'
                    | 'Š'
                    | 'Œ'
                    | '˜'
                    | 'š'
                    | 'ž'
                    | 'Ÿ'
        );
        n_misread += usize::from(matches!(last, 'Ã' | 'Â' | 'â') && is_second);
        last = letter;
    }
    n_misread > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "The harbour of the old town was built with stones that the sea had rounded, and to this day people say \
        that you can hear them move when the wind comes from the west. Fishers have little use for it now. They sell to the \
        market beyond the hill, where a truck takes what they bring before six in the morning, and go home to sleep.";

    fn broken(text: &str) -> Vec<Rule> {
        let broken = Judge::default().judge(text);
        Rule::ALL
            .into_iter()
            .filter(|rule| broken.has(*rule))
            .collect()
    }

    #[test]
    fn a_good_text_breaks_none() {
        assert_eq!(broken(GOOD), []);
    }

    #[test]
    fn each_rule_is_broken_by_what_it_is_made_for() {
        let twice = |text: &str, n: usize| vec![text; n].join("\n");
        let lines = GOOD.replace(". ", ".\n");
        for (rule, text) in [
            (Rule::Empty, "... !".to_owned()),
            (Rule::Encoding, format!("{GOOD} caf\u{fffd}")),
            (Rule::Encoding, format!("{GOOD} cafÃ© and itâ€™s")),
            (Rule::Short, "Too short to be of use.".to_owned()),
            (Rule::Long, "word another ".repeat(50_001)),
            (Rule::WordLength, "a b c d e f ".repeat(20)),
            (Rule::Symbols, GOOD.replace(' ', " # ")),
            (Rule::Bullets, lines.lines().map(|line| format!("- {line}\n")).collect()),
            (Rule::Ellipses, lines.lines().map(|line| format!("{line}...\n")).collect()),
            (Rule::Letters, format!("{GOOD} {}", "12 34 56 78 ".repeat(10))),
            (Rule::StopWords, "Harbour stones rounded people hear wind west fishers market hill truck morning sleep ".repeat(5)),
            (Rule::RepeatedLines, format!("{lines}\n{}", twice("the same line again and again in it", 5))),
            (Rule::RepeatedParagraphs, format!("{GOOD}\n\n{GOOD}")),
            (Rule::FrequentRun, format!("{GOOD} {}", "buy it now, ".repeat(20))),
            (Rule::RepeatedRuns, format!("{GOOD} {GOOD}")),
            (Rule::LoremIpsum, format!("{GOOD} Lorem ipsum dolor")),
            (Rule::CurlyBracket, format!("{GOOD} {{")),
            (Rule::Boilerplate, format!("{GOOD} This site uses cookies.")),
        ] {
            assert!(broken(&text).contains(&rule), "{rule:?}: {:?}", broken(&text));
        }
    }

    proptest::proptest! {
        /// What is left out because it cannot break a rule would not have broken it.
        #[test]
        fn nothing_is_passed_over(words in proptest::collection::vec(0..12_u8, 1..80)) {
            let text: String = words.iter().map(|word| format!("{} ", "abcdefghijkl".repeat(2)[..=usize::from(*word)].to_owned())).collect();
            let mut judge = Judge::default();
            let broken = judge.judge(&text);
            let n_letters = f64::from(judge.lengths.iter().sum::<u32>());
            let is_frequent = FREQUENT.into_iter().any(|(n, most)| {
                let (n_times, length) = judge.most_frequent(n);
                n_times > 1 && f64::from(n_times) * f64::from(length) > most * n_letters
            });
            let is_repeated = REPEATED.into_iter().any(|n| f64::from(judge.repeated_letters(n)) > (0.20 - 0.01 * n as f64) * n_letters);
            assert_eq!((broken.has(Rule::FrequentRun), broken.has(Rule::RepeatedRuns)), (is_frequent, is_repeated));
        }
    }

    #[test]
    fn bits_are_in_the_order_of_all() {
        for (at, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, at);
        }
    }
}
