//! Which language and which scripts a text is in.
//!
//! The language is told by the crate `whatlang` (trigrams, after Cavnar and Trenkle 1994, *N-Gram-Based Text Categorization*, with
//! alphabets beside them; some 70 languages) from the first 500 letters, and only where there is language to tell: text of
//! enough letters that is no code.

use serde::Serialize;

/// The language of a text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Language {
    /// Its code in ISO 639-3: `eng`.
    pub code: &'static str,
    /// How sure that is, from 0 to 1; `whatlang` takes more than 0.9 for reliable.
    pub confidence: f64,
    /// The script that most of it is in.
    pub script: Script,
}

/// Letters of the sample that the language is told from: by whatlang's own tests, more than 100 make next to no difference.
const SAMPLE_LETTERS: usize = 500;

/// Letters that a text has to have for a script of several languages, and for one whose script alone tells the language. By
/// the accuracy that Whichlang's authors measured, whatlang is right in 79% of texts up to 20 letters and in 92% of those up to 50.
const LEAST_LETTERS: [usize; 2] = [20, 4];

/// How far a language has to be ahead of the next, in parts of what whatlang takes for certain. Below half of it, what comes
/// out for code, lists and names is any language.
const LEAST_CONFIDENCE: f64 = 0.5;

/// Bytes within which a sample is looked for.
const SAMPLE_BYTES: usize = 4000;

/// A text is no language where fewer than half of its signs other than spaces are letters: numbers, tables of them, encoded data.
const LEAST_LETTER_SHARE: f64 = 0.5;

/// Nor where more than this share of its signs other than spaces are brackets, operators and marks that code has and prose
/// hardly any of: a call in C or Python has some ten in a line of 40, prose has one pair of brackets in some hundred signs.
const MOST_CODE_SHARE: f64 = 0.06;

/// Tells a text's language; nothing where it is too short, or no language.
///
/// ```
/// use outlay_audit::language;
/// let code = |text| language(text).map(|language| language.code);
/// assert_eq!(code("The ship was late, and nobody had a mind to wait for it with the others."), Some("eng"));
/// assert_eq!(code("Das Schiff kam spät, und niemand wollte mit den anderen darauf warten."), Some("deu"));
/// assert_eq!(code("12.5 17.3 88.1 90.2 14.7"), None);
/// assert_eq!(code("fn add(a: u32, b: u32) -> u32 { a + b }"), None);
/// ```
#[must_use]
pub fn language(text: &str) -> Option<Language> {
    let sample = sample(text)?;
    let info = whatlang::detect(&sample)?;
    let script = Script::of(info.script());
    let n_letters = sample
        .chars()
        .filter(|letter| letter.is_alphabetic())
        .count();
    let tells_alone =
        info.script().langs().len() == 1 || matches!(script, Script::Han | Script::Kana);
    let is_enough = n_letters >= LEAST_LETTERS[usize::from(tells_alone)];
    // Nothing keeps the rates that it comes of from being no number.
    let is_sure = info.confidence() >= LEAST_CONFIDENCE;
    (is_enough && is_sure).then(|| Language {
        code: info.lang().code(),
        confidence: info.confidence().min(1.0),
        script,
    })
}

/// The first words of a text, without addresses and tags; nothing where they are no language.
fn sample(text: &str) -> Option<String> {
    let text = &text[..text.floor_char_boundary(SAMPLE_BYTES)];
    let mut sample = String::with_capacity(SAMPLE_LETTERS * 2);
    let (mut n_letters, mut n_signs, mut n_code) = (0_usize, 0_usize, 0_usize);
    for word in text.split_whitespace() {
        if n_letters >= SAMPLE_LETTERS {
            break;
        }
        // What is no word tells of no language, and counts for nothing.
        if word.contains("://")
            || word.starts_with("www.")
            || (word.contains('@') && word.contains('.'))
        {
            continue;
        }
        // A word without end, as of Chinese, is cut where there are letters enough.
        for letter in word.chars() {
            n_signs += 1;
            if letter.is_alphabetic() || is_mark(letter) {
                n_letters += 1;
            } else if "{}[]()<>=;_\\|&$@+*^~`#/%".contains(letter) {
                n_code += 1;
            }
            sample.push(letter);
            if n_letters >= SAMPLE_LETTERS {
                break;
            }
        }
        sample.push(' ');
    }
    let n_signs = n_signs.max(1) as f64;
    let is_language = n_letters as f64 >= LEAST_LETTER_SHARE * n_signs
        && n_code as f64 <= MOST_CODE_SHARE * n_signs;
    is_language.then_some(sample)
}

/// Vowel signs and the like, which are letters to those who write them.
fn is_mark(letter: char) -> bool {
    letter as u32 >= 0x300 && !letter.is_alphanumeric() && Script::of_letter(letter).is_some()
}

/// A script that languages are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Script {
    /// Latin.
    Latin,
    /// Greek.
    Greek,
    /// Cyrillic.
    Cyrillic,
    /// Armenian.
    Armenian,
    /// Hebrew.
    Hebrew,
    /// Arabic.
    Arabic,
    /// Devanagari, of Hindi, Marathi and Nepali.
    Devanagari,
    /// Bengali.
    Bengali,
    /// Gurmukhi, of Panjabi.
    Gurmukhi,
    /// Gujarati.
    Gujarati,
    /// Oriya.
    Oriya,
    /// Tamil.
    Tamil,
    /// Telugu.
    Telugu,
    /// Kannada.
    Kannada,
    /// Malayalam.
    Malayalam,
    /// Sinhala.
    Sinhala,
    /// Thai.
    Thai,
    /// Lao.
    Lao,
    /// Tibetan.
    Tibetan,
    /// Myanmar, of Burmese.
    Myanmar,
    /// Georgian.
    Georgian,
    /// Hangul, of Korean.
    Hangul,
    /// Ethiopic, of Amharic.
    Ethiopic,
    /// Khmer.
    Khmer,
    /// Mongolian.
    Mongolian,
    /// Hiragana and Katakana, of Japanese.
    Kana,
    /// Han, of Chinese and Japanese.
    Han,
}

/// First and last letters of scripts, in order: blocks of Unicode 16, without their signs that all scripts share.
const BLOCKS: &[(u32, u32, Script)] = &[
    (0x0041, 0x005a, Script::Latin),
    (0x0061, 0x007a, Script::Latin),
    (0x00aa, 0x00aa, Script::Latin),
    (0x00ba, 0x00ba, Script::Latin),
    (0x00c0, 0x00d6, Script::Latin),
    (0x00d8, 0x00f6, Script::Latin),
    (0x00f8, 0x02b8, Script::Latin),
    (0x0370, 0x03ff, Script::Greek),
    (0x0400, 0x052f, Script::Cyrillic),
    (0x0531, 0x058a, Script::Armenian),
    (0x0591, 0x05f4, Script::Hebrew),
    (0x0600, 0x06ff, Script::Arabic),
    (0x0750, 0x077f, Script::Arabic),
    (0x08a0, 0x08ff, Script::Arabic),
    (0x0900, 0x097f, Script::Devanagari),
    (0x0980, 0x09ff, Script::Bengali),
    (0x0a00, 0x0a7f, Script::Gurmukhi),
    (0x0a80, 0x0aff, Script::Gujarati),
    (0x0b00, 0x0b7f, Script::Oriya),
    (0x0b80, 0x0bff, Script::Tamil),
    (0x0c00, 0x0c7f, Script::Telugu),
    (0x0c80, 0x0cff, Script::Kannada),
    (0x0d00, 0x0d7f, Script::Malayalam),
    (0x0d80, 0x0dff, Script::Sinhala),
    (0x0e00, 0x0e7f, Script::Thai),
    (0x0e80, 0x0eff, Script::Lao),
    (0x0f00, 0x0fff, Script::Tibetan),
    (0x1000, 0x109f, Script::Myanmar),
    (0x10a0, 0x10ff, Script::Georgian),
    (0x1100, 0x11ff, Script::Hangul),
    (0x1200, 0x139f, Script::Ethiopic),
    (0x1780, 0x17ff, Script::Khmer),
    (0x1800, 0x18af, Script::Mongolian),
    (0x19e0, 0x19ff, Script::Khmer),
    (0x1e00, 0x1eff, Script::Latin),
    (0x1f00, 0x1fff, Script::Greek),
    (0x3005, 0x3007, Script::Han),
    (0x3041, 0x30ff, Script::Kana),
    (0x3131, 0x318e, Script::Hangul),
    (0x31f0, 0x31ff, Script::Kana),
    (0x3400, 0x4dbf, Script::Han),
    (0x4e00, 0x9fff, Script::Han),
    (0xac00, 0xd7a3, Script::Hangul),
    (0xf900, 0xfaff, Script::Han),
    (0xfb50, 0xfdff, Script::Arabic),
    (0xfe70, 0xfefe, Script::Arabic),
    (0xff66, 0xff9f, Script::Kana),
    (0x20000, 0x323af, Script::Han),
];

impl Script {
    /// The script of a letter; none of a sign or digit that several scripts share.
    #[must_use]
    pub fn of_letter(letter: char) -> Option<Self> {
        let code = letter as u32;
        let at = BLOCKS.partition_point(|(_, last, _)| *last < code);
        BLOCKS
            .get(at)
            .filter(|(first, ..)| *first <= code)
            .map(|(.., script)| *script)
    }

    fn of(script: whatlang::Script) -> Self {
        match script {
            whatlang::Script::Arabic => Self::Arabic,
            whatlang::Script::Armenian => Self::Armenian,
            whatlang::Script::Bengali => Self::Bengali,
            whatlang::Script::Cyrillic => Self::Cyrillic,
            whatlang::Script::Devanagari => Self::Devanagari,
            whatlang::Script::Ethiopic => Self::Ethiopic,
            whatlang::Script::Georgian => Self::Georgian,
            whatlang::Script::Greek => Self::Greek,
            whatlang::Script::Gujarati => Self::Gujarati,
            whatlang::Script::Gurmukhi => Self::Gurmukhi,
            whatlang::Script::Hangul => Self::Hangul,
            whatlang::Script::Hebrew => Self::Hebrew,
            whatlang::Script::Hiragana | whatlang::Script::Katakana => Self::Kana,
            whatlang::Script::Kannada => Self::Kannada,
            whatlang::Script::Khmer => Self::Khmer,
            whatlang::Script::Latin => Self::Latin,
            whatlang::Script::Malayalam => Self::Malayalam,
            whatlang::Script::Mandarin => Self::Han,
            whatlang::Script::Myanmar => Self::Myanmar,
            whatlang::Script::Oriya => Self::Oriya,
            whatlang::Script::Sinhala => Self::Sinhala,
            whatlang::Script::Tamil => Self::Tamil,
            whatlang::Script::Telugu => Self::Telugu,
            whatlang::Script::Thai => Self::Thai,
        }
    }
}

/// How many letters of each script a text has, the most first; scripts of equal counts stand in their own order.
///
/// ```
/// use outlay_audit::{Script, scripts};
/// assert_eq!(scripts("Привет, Ann!"), [(Script::Cyrillic, 6), (Script::Latin, 3)]);
/// ```
#[must_use]
pub fn scripts(text: &str) -> Vec<(Script, u64)> {
    let mut counts = [0_u64; Script::Han as usize + 1];
    let mut rest = text;
    while !rest.is_empty() {
        let n_ascii = rest.bytes().take_while(u8::is_ascii).count();
        let n_letters = rest.as_bytes()[..n_ascii]
            .iter()
            .filter(|byte| byte.is_ascii_alphabetic())
            .count();
        counts[Script::Latin as usize] += n_letters as u64;
        rest = &rest[n_ascii..];
        let end = rest
            .bytes()
            .position(|byte| byte.is_ascii())
            .unwrap_or(rest.len());
        for letter in rest[..end].chars() {
            if let Some(script) = Script::of_letter(letter) {
                counts[script as usize] += 1;
            }
        }
        rest = &rest[end..];
    }
    let mut found: Vec<(Script, u64)> = BLOCKS
        .iter()
        .map(|(.., script)| (*script, counts[*script as usize]))
        .filter(|(_, n_letters)| *n_letters > 0)
        .collect();
    found.sort_by_key(|(script, n_letters)| (std::cmp::Reverse(*n_letters), *script));
    found.dedup();
    found
}
