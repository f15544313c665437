//! Notices of copyright, opt-outs from training, and marks of secrecy.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::plain::{Anchor, Anchors, Hit, Phrase, Plain, is_line_start};
use super::{Notice, NoticeKind};

/// Crawlers that gather data to train on, as their operators name them to `robots.txt`, in small letters. Those that answer a
/// person's question or fill an index for search are not among them.
const CRAWLERS: &[&str] = &[
    "ai2bot",
    "ai2bot-dolma",
    "amazonbot",
    "anthropic-ai",
    "applebot-extended",
    "bytespider",
    "ccbot",
    "claude-web",
    "claudebot",
    "cohere-ai",
    "cohere-training-data-crawler",
    "deepseekbot",
    "diffbot",
    "facebookbot",
    "google-extended",
    "gptbot",
    "icc-crawler",
    "imagesiftbot",
    "img2dataset",
    "meta-externalagent",
    "omgili",
    "omgilibot",
    "pangubot",
    "timpibot",
    "webzio-extended",
];

/// What is found where a word stands.
pub(super) fn by_anchor(text: &str, anchors: &Anchors, found: &mut Vec<Notice>) {
    let mut read_to = [0; 3];
    for (anchor, place) in &anchors.found {
        match anchor {
            Anchor::Copyright if place.start >= read_to[0] => {
                if let Some(notice) = copyright(text, place) {
                    read_to[0] = notice.place.end;
                    found.push(notice);
                }
            }
            Anchor::Agent if place.start >= read_to[1] => {
                let (end, notice) = crawlers(text, place);
                read_to[1] = end;
                found.extend(notice);
            }
            // A sentence is looked at once, however often it speaks of training.
            Anchor::Train if place.start >= read_to[2] => {
                let sentence = sentence(text, place);
                read_to[2] = sentence.end;
                found.extend(no_training(text, sentence));
            }
            Anchor::NoAi => found.extend(no_ai(text, place)),
            Anchor::Tdm => found.extend(reserved(text, place)),
            _ => {}
        }
    }
}

/// Signs and words that a notice of copyright begins with.
static SIGNS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(?i:(copyright)|(©|&copy;)|(\(c\)))").ok());

/// Years: `2019`, `2019-2024`, `2019, 2021 - present`.
static YEARS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^(?:1[89]|20)\d\d\b(?:\s{0,2}(?:[-–—,/&]|and|to)\s{0,2}(?:(?:1[89]|20)\d\d|\d\d|(?i:present|now|today))\b){0,30}",
    )
    .ok()
});

/// What only organisations and groups are called by.
static GROUPS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"\b(?:Inc|LLC|Ltd|Limited|GmbH|Corp|Corporation|Company|Foundation|Authors|Contributors|Developers|Project|Team|Group|University|Institute|AG|SE|B\.V|S\.A|Pty|PLC)\b",
    )
    .ok()
});

fn copyright(text: &str, place: &Range<usize>) -> Option<Notice> {
    let before = text[..place.start].chars().next_back();
    if before.is_some_and(char::is_alphanumeric) {
        return None;
    }
    let line = &text[place.start..text.floor_char_boundary(place.start + 300)];
    let line = line.split(['\n', '\r']).next().unwrap_or(line);
    let (mut has_word, mut has_sign, mut has_bracket, mut at) = (false, false, false, 0);
    while let Some(sign) = SIGNS.as_ref()?.captures(&line[at..]) {
        has_word |= sign.get(1).is_some();
        has_sign |= sign.get(2).is_some();
        has_bracket |= sign.get(3).is_some();
        at += sign[0].len();
        let rest = line[at..].trim_start_matches([' ', '\t', '\u{a0}']);
        at = line.len() - rest.len();
    }
    let signs_end = at;
    let rest = line[at..].trim_start_matches([':', ',', ' ', '\t', '=', '"', '\'']);
    at = line.len() - rest.len();
    let years = YEARS.as_ref()?.find(rest).map_or(0, |years| years.end());
    let has_years = years > 0;
    at += years;
    let rest = line[at..].trim_start_matches([',', ':', '.', ' ', '\t', '\u{a0}', ')']);
    let rest = ["by ", "By ", "BY "]
        .iter()
        .find_map(|by| rest.strip_prefix(by))
        .map_or(rest, str::trim_start);
    let has_by = line[..line.len() - rest.len()]
        .trim_end()
        .to_ascii_lowercase()
        .ends_with("by");
    at = line.len() - rest.len();
    let holder = holder(rest);
    let is_name = holder.starts_with(|letter: char| {
        letter.is_uppercase() || (!letter.is_ascii() && letter.is_alphabetic())
    });
    let is_the = ["the ", "The "].iter().any(|the| holder.starts_with(the));
    let is_start = is_line_start(text, place.start)
        || text[..place.start]
            .trim_end_matches([' ', '\t'])
            .ends_with(['.', '>', '|', '"', '\'', '(', '·', '•', '–', '—', '=', ':']);
    let is_sure = if has_years {
        let is_ended = holder.is_empty() || is_name || is_the || has_by;
        match (has_sign, has_word, has_bracket) {
            (true, ..) | (_, true, true) => true,
            (_, true, _) => {
                is_ended
                    && (is_start || line.starts_with("Copyright") || line.starts_with("COPYRIGHT"))
            }
            _ => is_ended,
        }
    } else if has_sign || (has_word && has_bracket) {
        (is_name || (is_the && has_word))
            && !["symbol", "sign", "law", "act", "is", "or", "and"]
                .iter()
                .any(|word| {
                    holder
                        .split(' ')
                        .next()
                        .is_some_and(|first| first.eq_ignore_ascii_case(word))
                })
    } else {
        has_word
            && is_start
            && is_name
            && (has_by || GROUPS.as_ref()?.is_match(holder))
            && holder.split(' ').count() < 9
    };
    if !is_sure {
        return None;
    }
    let from = place.start + at;
    let end = if holder.is_empty() {
        place.start
            + line[..at]
                .trim_end_matches([',', ':', ' ', '\t', '"', '\'', '.', '\u{a0}', ')', '='])
                .len()
    } else {
        from + holder.len()
    };
    Some(Notice {
        kind: NoticeKind::Copyright,
        place: place.start..end.max(place.start + line[..signs_end].trim_end().len()),
        holder: (!holder.is_empty() && (is_name || has_by || is_the || has_years))
            .then(|| from..from + holder.len()),
    })
}

/// The passage that names the holder, at the beginning of a line's rest.
fn holder(rest: &str) -> &str {
    // A form to be filled in names nobody.
    if rest.starts_with(['[', '<', '{', '%', '$', '_', '*', '/']) {
        return "";
    }
    let mut end = rest.floor_char_boundary(120).min(rest.len());
    for mark in [
        "<", "{", "*/", "-->", "|", "\"", " · ", " • ", "http", "\\n", "  ", ";",
    ] {
        end = end.min(rest[..end].find(mark).unwrap_or(end));
    }
    let lower = rest[..end].to_ascii_lowercase();
    for mark in [
        "all rights",
        "licensed under",
        "released under",
        "see ",
        "this ",
        "permission ",
    ] {
        end = end.min(lower.find(mark).unwrap_or(end));
    }
    // A sentence ends where a point is that shortens nothing.
    let mut from = 0;
    while let Some(point) = rest[from..end].find(". ") {
        let word = rest[..from + point].rsplit([' ', '.']).next().unwrap_or("");
        let is_short = word.chars().count() <= 4;
        if !is_short {
            end = from + point;
            break;
        }
        from += point + 2;
    }
    rest[..end].trim_end_matches(|letter: char| {
        !(letter.is_alphanumeric() || matches!(letter, '.' | ')' | '>'))
    })
}

fn no_ai(text: &str, place: &Range<usize>) -> Option<Notice> {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    let is_within = bytes[..place.start].last().is_some_and(is_letter)
        || bytes.get(place.end).is_some_and(is_letter);
    if is_within {
        return None;
    }
    // The name of the tag or header stands before it on the same line, or after it within the tag.
    let from = text.ceil_char_boundary(place.start.saturating_sub(200));
    let to = text.floor_char_boundary(place.end + 100);
    let before = text[from..place.start]
        .rsplit(['\n', '<'])
        .next()
        .unwrap_or("");
    let after = text[place.end..to].split(['\n', '>']).next().unwrap_or("");
    let before = before.to_ascii_lowercase();
    let is_header = before.contains("x-robots-tag");
    let is_tag = before.starts_with("meta")
        && (before.contains("robots") || after.to_ascii_lowercase().contains("robots"));
    (is_header || is_tag).then(|| Notice {
        kind: NoticeKind::RobotsNoAi,
        place: place.clone(),
        holder: None,
    })
}

static TDM: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"^(?i:tdm-reservation)["']?\s{0,4}(?:[:=]|content\s{0,2}=)\s{0,4}["']?1(?:$|[^0-9.])"#,
    )
    .ok()
});

fn reserved(text: &str, place: &Range<usize>) -> Option<Notice> {
    let rest = &text[place.start..text.floor_char_boundary(place.start + 60)];
    let found = TDM.as_ref()?.find(rest)?;
    let end = place.start + rest[..found.end()].rfind('1')? + 1;
    Some(Notice {
        kind: NoticeKind::TdmReservation,
        place: place.start..end,
        holder: None,
    })
}

/// A group of `robots.txt` (RFC 9309, section 2.2), lines of agents and the rules for them: where it ends, and what it says.
fn crawlers(text: &str, place: &Range<usize>) -> (usize, Option<Notice>) {
    if !is_line_start(text, place.start) {
        return (place.end, None);
    }
    let (mut is_named, mut has_rules) = (false, false);
    let (mut at, mut shut) = (place.start, None);
    for line in text[place.start..].split_inclusive('\n') {
        let own = line.split('#').next().unwrap_or(line);
        let (name, value) = own.split_once(':').unwrap_or((own, ""));
        let (name, value) = (name.trim(), value.trim());
        if name.eq_ignore_ascii_case("user-agent") {
            if has_rules {
                break;
            }
            is_named |= CRAWLERS.contains(&value.to_ascii_lowercase().as_str());
        } else if name.eq_ignore_ascii_case("disallow") || name.eq_ignore_ascii_case("allow") {
            has_rules = true;
            let is_all = name.eq_ignore_ascii_case("disallow") && matches!(value, "/" | "/*");
            if is_named && is_all && shut.is_none() {
                shut = Some(at + own.trim_end().len());
            }
        } else if !name.is_empty() && (value.is_empty() || name.contains(' ')) {
            break;
        }
        at += line.len();
    }
    let notice = shut.map(|end| Notice {
        kind: NoticeKind::CrawlerShutOut,
        place: place.start..end,
        holder: None,
    });
    (at, notice)
}

/// Words that forbid, as a right's holder does; `did not` and `cannot` tell of something else.
const FORBIDS: &[&str] = &[
    "may not",
    "must not",
    "shall not",
    "not permitted",
    "prohibited",
    "prohibit",
    "prohibits",
    "forbidden",
    "forbid",
    "not allowed",
    "not authorized",
    "not authorised",
    "do not use",
    "do not train",
    "do not scrape",
    "no part of",
    "no ai training",
    "not consent",
    "expressly reserved",
    "expressly reserve",
    "reserves this work",
    "reserves all rights",
    "opts out",
    "opt out of",
];

/// Words for what is trained.
const TRAINED: &[&str] = &[
    "ai",
    "artificial intelligence",
    "machine learning",
    "language model",
    "language models",
    "llm",
    "llms",
    "generative",
    "neural network",
    "neural networks",
    "text and data mining",
];

/// Words for what the sentence is about.
const OBJECTS: &[&str] = &[
    "this",
    "our",
    "my",
    "these",
    "any part",
    "no part",
    "the content",
    "the contents",
    "the site",
    "the website",
    "the work",
    "you may not",
    "you must not",
    "you shall not",
    "do not use",
    "do not train",
    "do not scrape",
    "all content",
    "any content",
    "the author",
    "the publisher",
    "no ai training",
    "on this site",
];

fn no_training(text: &str, sentence: Range<usize>) -> Option<Notice> {
    let plain = Plain::new(&text[sentence.clone()]);
    let words = format!(" {} ", plain.words(0..plain.n_words()));
    let has = |phrases: &[&str]| {
        phrases.iter().any(|phrase| {
            words.match_indices(phrase).any(|(at, _)| {
                words.as_bytes()[at - 1] == b' ' && words.as_bytes()[at + phrase.len()] == b' '
            })
        })
    };
    let is_training = has(&[
        "training",
        "to train",
        "be trained",
        "or train",
        "and train",
        "not train",
        "text and data mining",
    ]);
    (is_training && has(FORBIDS) && has(TRAINED) && has(OBJECTS)).then_some(Notice {
        kind: NoticeKind::NoTraining,
        place: sentence,
        holder: None,
    })
}

/// The sentence around a place, of no more than 400 bytes to each side.
fn sentence(text: &str, place: &Range<usize>) -> Range<usize> {
    let from = text.ceil_char_boundary(place.start.saturating_sub(400));
    let to = text.floor_char_boundary(place.end + 400);
    let is_end = |at: usize| {
        let bytes = text.as_bytes();
        match bytes[at] {
            b'.' | b'!' | b'?' => bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace),
            b'\n' => bytes.get(at + 1).is_none_or(|next| *next == b'\n'),
            _ => false,
        }
    };
    let start = (from..place.start)
        .rev()
        .find(|at| is_end(*at))
        .map_or(from, |at| at + 1);
    let end = (place.end..to)
        .find(|at| is_end(*at))
        .map_or(to, |at| at + 1);
    let own = &text[start..end];
    let start = end - own.trim_start().len();
    start..start + text[start..end].trim_end().len()
}

/// What phrases tell.
pub(super) fn by_phrase(text: &str, plain: &Plain, hits: &[Hit], found: &mut Vec<Notice>) {
    for hit in hits {
        let place = plain.place(&hit.words);
        let kind = match hit.phrase {
            Phrase::RightsReserved => NoticeKind::RightsReserved,
            Phrase::Dmca => NoticeKind::Dmca,
            Phrase::NoTraining => NoticeKind::NoTraining,
            // `INTERNAL_USE_ONLY` is a name of code.
            Phrase::Confidential | Phrase::ConfidentialAlone
                if text[place.clone()].contains('_') =>
            {
                continue;
            }
            Phrase::Confidential => NoticeKind::Confidential,
            Phrase::ConfidentialAlone if is_alone(text, &place) => NoticeKind::Confidential,
            _ => continue,
        };
        found.push(Notice {
            kind,
            place,
            holder: None,
        });
    }
}

/// Whether words stand as a mark: by themselves on their line or in brackets, or in capitals at a line's beginning.
fn is_alone(text: &str, place: &Range<usize>) -> bool {
    let start = text[..place.start]
        .rfind(['\n', '\r'])
        .map_or(0, |at| at + 1);
    let start = start.max(text.ceil_char_boundary(place.start.saturating_sub(80)));
    let to = text.floor_char_boundary(place.end + 80);
    let before = &text[start..place.start];
    let after = text[place.end..to].split(['\n', '\r']).next().unwrap_or("");
    let is_capital = !text[place.clone()].contains(char::is_lowercase);
    let is_first = !before.contains(char::is_alphanumeric);
    let is_last = !after.contains(char::is_alphanumeric);
    let in_brackets = before.trim_end().ends_with(['[', '(', '*'])
        && after.trim_start().starts_with([']', ')', '*']);
    let begins = text[place.start..].starts_with(char::is_uppercase);
    (is_first && is_last)
        || (in_brackets && begins)
        || (is_capital && is_first && after.len() < 60)
        || (begins
            && is_first
            && after
                .trim_start()
                .starts_with(['-', '–', '—', ':', '|', '.', '/'])
            && after.len() < 60)
}

/// Each place once, in order.
pub(super) fn settled(mut found: Vec<Notice>) -> Vec<Notice> {
    found.sort_by_key(|notice| {
        (
            notice.kind,
            notice.place.start,
            std::cmp::Reverse(notice.place.end),
        )
    });
    let mut kept: Vec<Notice> = Vec::with_capacity(found.len());
    for notice in found {
        let is_within = kept
            .last()
            .is_some_and(|last| last.kind == notice.kind && notice.place.start < last.place.end);
        if !is_within {
            kept.push(notice);
        }
    }
    kept.sort_by_key(|notice| (notice.place.start, notice.place.end, notice.kind));
    kept
}
