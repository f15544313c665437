//! Licences told of by a text: lines of SPDX, licences' own words, notices and addresses.

use std::ops::Range;

use super::plain::{Anchor, Anchors, Hit, Phrase, Plain, is_line_start};
use super::{Evidence, Licence, LicenceFound, expression, is_family_of, names};

/// Words of the longest licence that is looked through for what tells it from others like it: BSD's have some 230.
const LICENCE_WORDS: usize = 400;

/// Words of a name after `licensed under`.
const NAME_WORDS: usize = 14;

/// What only its address or a line of its own tells.
pub(super) fn by_anchor(text: &str, anchors: &Anchors, found: &mut Vec<LicenceFound>) {
    for (anchor, place) in &anchors.found {
        match anchor {
            Anchor::Spdx => identifier(text, place, found),
            Anchor::Address => address(text, place, found),
            _ => {}
        }
    }
}

fn identifier(text: &str, place: &Range<usize>, found: &mut Vec<LicenceFound>) {
    let line = line_after(text, place.end);
    let Some(colon) = line.find(':').filter(|at| line[..*at].trim().is_empty()) else {
        return;
    };
    let line = &line[colon + 1..];
    let ends = ["*/", "-->", "#}", "%>", "\"", "'", "`", "<", "\\n"];
    let end = ends.iter().filter_map(|end| line.find(end)).min();
    let said = line[..end.unwrap_or(line.len())].trim_end_matches([' ', '\t', '*', '#', '/']);
    let end = place.end + colon + 1 + said.len();
    let said = said.trim();
    let licence = match expression(said) {
        Some(known) => Licence::Spdx(known),
        // One word is an identifier that is not known; more are words about such lines.
        None if !said.is_empty() && is_id(said) => Licence::Unknown(said.to_owned()),
        None => return,
    };
    found.push(LicenceFound {
        licence,
        evidence: Evidence::Identifier,
        place: place.start..end,
    });
}

/// The rest of a line, of no more than 200 bytes.
fn line_after(text: &str, at: usize) -> &str {
    let rest = &text[at..text.floor_char_boundary(at + 200)];
    rest.split(['\n', '\r']).next().unwrap_or(rest)
}

fn is_id(said: &str) -> bool {
    said.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'+'))
}

fn address(text: &str, place: &Range<usize>, found: &mut Vec<LicenceFound>) {
    let before = text.as_bytes()[..place.start].last();
    if before.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') {
        return;
    }
    let rest = &text[place.start..text.floor_char_boundary(place.start + 200)];
    let is_end = |letter: char| {
        letter.is_whitespace() || !(letter.is_ascii_alphanumeric() || "/-_.+:".contains(letter))
    };
    let end = rest.find(is_end).unwrap_or(rest.len());
    let said = rest[..end].trim_end_matches(['.', ':', '/', '-', '_']);
    if let Some(id) = names::by_address(said) {
        found.push(LicenceFound {
            licence: Licence::Spdx(id),
            evidence: Evidence::Link,
            place: place.start..place.start + said.len(),
        });
    }
}

/// What phrases tell.
pub(super) fn by_phrase(text: &str, plain: &Plain, hits: &[Hit], found: &mut Vec<LicenceFound>) {
    // Words of a whole licence, which speak of others and of how to put it on one's own work.
    let mut own_words_end = 0;
    for (number, hit) in hits.iter().enumerate() {
        let mut push = |licence: Licence, evidence, words: Range<usize>| {
            found.push(LicenceFound {
                licence,
                evidence,
                place: plain.place(&words),
            });
        };
        let window = hit.words.end..hit.words.end + LICENCE_WORDS;
        let words = hit.words.clone();
        if matches!(hit.phrase, Phrase::HowToApply) {
            own_words_end = own_words_end.max(appendix_end(plain, hit));
        }
        if hit.words.start < own_words_end {
            continue;
        }
        match hit.phrase {
            Phrase::Title(id) => {
                let end = title_end(&hits[number + 1..], words.end, plain.n_words());
                own_words_end = end;
                push(spdx(id), Evidence::Text, words);
            }
            Phrase::Whole(id) => push(spdx(id), Evidence::Text, words),
            Phrase::Zlib if is_zlib(plain, &words) => push(spdx("Zlib"), Evidence::Text, words),
            Phrase::MitBegin => push(mit(plain.words(window)), Evidence::Text, words),
            Phrase::IscBegin => push(isc(plain.words(window)), Evidence::Text, words),
            Phrase::BsdBegin => push(bsd(plain.words(window)), Evidence::Text, words),
            Phrase::BoundBy => {
                if let Some((id, end)) = named(text, plain, words.end) {
                    own_words_end = end + 2000;
                    push(Licence::Spdx(id), Evidence::Text, words.start..end);
                }
            }
            Phrase::Own => {
                if let Some((id, end)) = named(text, plain, words.end) {
                    push(Licence::Spdx(id), Evidence::Notice, words.start..end);
                }
            }
            Phrase::Under => {
                if is_own(text, plain, &words)
                    && let Some((id, end)) = named(text, plain, words.end)
                {
                    push(Licence::Spdx(id), Evidence::Notice, words.start..end);
                }
            }
            Phrase::Field => {
                if let Some((id, place)) = field(text, plain, &words) {
                    found.push(LicenceFound {
                        licence: Licence::Spdx(id),
                        evidence: Evidence::Notice,
                        place,
                    });
                }
            }
            Phrase::PublicDomain => {
                let before = before(text, plain.place(&words).start);
                let is_put = [
                    "dedicated",
                    "dedicate",
                    "release",
                    "released",
                    "placed",
                    "place",
                    "is",
                    "are",
                ]
                .iter()
                .any(|verb| {
                    Some(*verb)
                        == plain
                            .words(words.start.saturating_sub(1)..words.start)
                            .split(' ')
                            .next()
                });
                if is_put && is_self(before) {
                    push(spdx("LicenseRef-public-domain"), Evidence::Notice, words);
                }
            }
            _ => {}
        }
    }
}

/// Where the words of a long licence end: at their end mark, or by the length of the longest, AGPL's 5,500 words.
fn title_end(later: &[Hit], from: usize, n_words: usize) -> usize {
    later
        .iter()
        .take_while(|hit| hit.words.start < from + 6000)
        .find(|hit| hit.phrase == Phrase::EndOfTerms)
        .map_or((from + 6000).min(n_words), |hit| hit.words.end)
}

/// Where the part about how to apply a licence ends; none begins where the words go on otherwise.
fn appendix_end(plain: &Plain, hit: &Hit) -> usize {
    let next = plain.words(hit.words.end..hit.words.end + 4);
    let is_appendix = next.starts_with("these terms to your")
        || next.starts_with("the apache license to")
        || next.starts_with("this license to your");
    if is_appendix { hit.words.end + 450 } else { 0 }
}

fn spdx(id: &str) -> Licence {
    Licence::Spdx(id.to_owned())
}

/// Whether a licence breaks off before its disclaimer, so that only its family is known.
fn is_cut(rest: &str) -> bool {
    !["warrant", "liab", "as is"]
        .iter()
        .any(|words| rest.contains(words))
}

fn mit(rest: &str) -> Licence {
    let has = |words: &str| rest.contains(words);
    // What stands between the conditions and the disclaimer are conditions of another licence.
    let is_plain = has(
        "shall be included in all copies or substantial portions of the software the software is provided as is",
    );
    if has("deal with the software without restriction")
        && has("redistributions of source code must retain the above copyright notice")
    {
        spdx("NCSA")
    } else if has("shall be used for good not evil") {
        spdx("JSON")
    } else if is_plain && has("in advertising or otherwise to promote the sale") {
        spdx("X11")
    } else if is_plain {
        spdx("MIT")
    } else if has(
        "and to permit persons to whom the software is furnished to do so the software is provided as is",
    ) {
        spdx("MIT-0")
    } else if is_cut(rest) {
        spdx("LicenseRef-MIT-style")
    } else {
        Licence::Unknown("MIT's words with other conditions".to_owned())
    }
}

fn isc(rest: &str) -> Licence {
    let begin =
        "provided that the above copyright notice and this permission notice appear in all copies";
    if rest.starts_with(begin) {
        let is_curl = rest.contains("shall not be used in advertising or otherwise to promote");
        spdx(if is_curl { "curl" } else { "ISC" })
    } else if rest.starts_with("the software is provided as is") {
        spdx("0BSD")
    } else if begin.starts_with(rest) {
        spdx("LicenseRef-ISC-style")
    } else {
        Licence::Unknown("ISC's words with other conditions".to_owned())
    }
}

/// Which of BSD's licences it is, by what stands between the conditions that all share and the disclaimer.
fn bsd(rest: &str) -> Licence {
    let other = || Licence::Unknown("BSD's words with other conditions".to_owned());
    let Some(end) = rest.find("software is provided") else {
        return if is_cut(rest) {
            spdx("LicenseRef-BSD")
        } else {
            other()
        };
    };
    // Some end with a use that is forbidden.
    if rest.contains("nuclear facility") || rest.contains("military") {
        return other();
    }
    let conditions = &rest[..end];
    let shared = "materials provided with the distribution";
    let Some(at) = conditions.find(shared) else {
        let source = "must retain the above copyright notice this list of conditions and the following disclaimer this ";
        return if conditions.ends_with(source) {
            spdx("BSD-1-Clause")
        } else {
            other()
        };
    };
    let own = conditions[at + shared.len()..].trim();
    let n_words = own.split(' ').count();
    let names_nobody = [
        "neither the name",
        "may not be used to endorse",
        "must not be used to endorse",
    ]
    .iter()
    .any(|words| own.contains(words));
    // Three conditions take some 30 words with the names, four some 60.
    if own.contains("all advertising materials mentioning features")
        && names_nobody
        && n_words <= 90
    {
        spdx("BSD-4-Clause")
    } else if names_nobody && n_words <= 50 {
        // Clear's words on patents stand before the disclaimer as well.
        let is_clear = own.contains("no express or implied licenses to any party s patent rights");
        spdx(if is_clear {
            "BSD-3-Clause-Clear"
        } else {
            "BSD-3-Clause"
        })
    } else if n_words <= 2 {
        spdx("BSD-2-Clause")
    } else {
        other()
    }
}

/// Whether the words before and after those on altered versions are zlib's, with no condition more.
fn is_zlib(plain: &Plain, words: &Range<usize>) -> bool {
    let before = plain.words(words.start.saturating_sub(60)..words.start);
    let after = plain.words(words.end..words.end + 12);
    let after = after.strip_prefix("3 ").unwrap_or(after);
    let end = "this notice may not be removed or altered from any source";
    before.contains("would be appreciated but is not required")
        && after.starts_with(end)
        && !plain.words(words.end..words.end + 20).contains(" 4 ")
}

/// The licence whose name begins at a word, and the word after it.
fn named(text: &str, plain: &Plain, from: usize) -> Option<(String, usize)> {
    let mut at = from;
    let mut version = None;
    loop {
        match plain.words(at..at + 1) {
            "the" | "a" | "an" | "terms" | "term" | "of" | "and" | "conditions" | "both"
            | "either" => at += 1,
            // `under version 2 of the GNU …`
            "version" if plain.words(at + 2..at + 3) == "of" => {
                version = Some(plain.words(at + 1..at + 2).to_owned());
                at += 3;
            }
            _ => break,
        }
        if at > from + 8 {
            return None;
        }
    }
    if !names::may_begin(plain.words(at..at + 1)) {
        return None;
    }
    let (id, end) = (at + 1..=at + NAME_WORDS).rev().find_map(|end| {
        if end > plain.n_words() {
            return None;
        }
        let said = plain.words(at..end);
        let id = names::by_name(said)?;
        let is_sure = said.bytes().any(|byte| byte.is_ascii_digit())
            || said.contains("licen")
            || said.contains("public domain")
            || is_closed(text, plain, end);
        is_sure.then_some((id, end))
    })?;
    if id.starts_with("LicenseRef-") {
        // `the GNU … License as published by …; either version 3 of the License, or (at your option) any later version`
        let rest = plain.words(end..end + 40);
        let version = version.or_else(|| told_version(rest));
        if let Some(version) = version
            && is_gnu(&id)
            && let Some(whole) = names::by_name(&format!(
                "{} {version}",
                id.trim_start_matches("LicenseRef-")
            ))
        {
            let is_later = rest.contains("any later version") || rest.contains("or later");
            let whole = match whole.strip_suffix("-only") {
                Some(base) if is_later => format!("{base}-or-later"),
                _ => whole,
            };
            return Some((whole, end));
        }
    }
    Some((id, end))
}

fn is_gnu(id: &str) -> bool {
    ["GPL", "LGPL", "AGPL", "GFDL"]
        .iter()
        .any(|family| id.strip_prefix("LicenseRef-") == Some(family))
}

/// The first version told, `3` of `either version 3 of the license`.
fn told_version(rest: &str) -> Option<String> {
    let mut words = rest.split(' ');
    while let Some(word) = words.next() {
        let number = match word {
            "version" => words.next()?,
            _ => word.strip_prefix('v').unwrap_or(""),
        };
        if number.starts_with(|letter: char| letter.is_ascii_digit()) {
            return Some(number.to_owned());
        }
    }
    None
}

/// Whether the sentence, line or quotation ends after a word, so that no name goes on there.
fn is_closed(text: &str, plain: &Plain, end: usize) -> bool {
    let next = plain.words(end..end + 1);
    if next.starts_with("licen") {
        return true;
    }
    let place = plain.place(&(end - 1..end));
    text[place.end..]
        .chars()
        .find(|letter| !matches!(letter, ' ' | '\t'))
        .is_none_or(|letter| !letter.is_alphanumeric() && letter != '-')
}

/// The sentence before a place, as far as it is of the same paragraph, and no more than 300 bytes.
fn before(text: &str, at: usize) -> &str {
    let from = text.ceil_char_boundary(at.saturating_sub(300));
    let bytes = text.as_bytes();
    let mut start = at;
    let mut is_blank = false;
    while start > from {
        let byte = bytes[start - 1];
        if byte == b'\n' {
            if is_blank {
                break;
            }
            is_blank = true;
        } else if matches!(byte, b'.' | b'!' | b'?' | b';' | b'>')
            && bytes.get(start).is_none_or(u8::is_ascii_whitespace)
            // A mark after a word, and no mark of a comment.
            && bytes[..start - 1]
                .last()
                .is_some_and(|last| last.is_ascii_alphanumeric() || matches!(last, b')' | b'"' | b'\'' | 0x80..))
        {
            break;
        } else if byte.is_ascii_alphanumeric() || byte >= 128 {
            is_blank = false;
        }
        start -= 1;
    }
    &text[text.ceil_char_boundary(start)..at]
}

/// Nouns for what a notice stands in.
const THINGS: &[&str] = &[
    "app",
    "application",
    "article",
    "articles",
    "book",
    "code",
    "collection",
    "content",
    "contents",
    "corpus",
    "crate",
    "data",
    "database",
    "dataset",
    "distribution",
    "document",
    "documentation",
    "documents",
    "extension",
    "file",
    "files",
    "font",
    "image",
    "images",
    "library",
    "material",
    "materials",
    "model",
    "module",
    "package",
    "page",
    "paper",
    "plugin",
    "product",
    "program",
    "project",
    "repo",
    "repository",
    "script",
    "site",
    "software",
    "source",
    "text",
    "tool",
    "website",
    "wiki",
    "work",
];

/// Words that begin a notice about what it stands in.
const BEGINNINGS: &[&str] = &[
    "all",
    "code",
    "content",
    "contents",
    "copyright",
    "data",
    "documentation",
    "dual",
    "except",
    "images",
    "licensed",
    "licence",
    "license",
    "materials",
    "text",
    "unless",
];

/// Whether a sentence speaks of what it stands in, and not of something else.
fn is_self(before: &str) -> bool {
    let lower = before.to_lowercase();
    let words: Vec<&str> = lower
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let Some(first) = words.first() else {
        return false;
    };
    BEGINNINGS.contains(first)
        || (words.len() < 8 && words.contains(&"c") && words.contains(&"copyright"))
        || words.iter().enumerate().any(|(at, word)| {
            matches!(*word, "this" | "these" | "our" | "my" | "following")
                && words[at + 1..]
                    .iter()
                    .take(4)
                    .any(|word| THINGS.contains(word))
        })
}

/// Whether `licensed under` is said of what it stands in.
fn is_own(text: &str, plain: &Plain, words: &Range<usize>) -> bool {
    let at = plain.place(words).start;
    // `a work licensed under` is of a licence's own words.
    if matches!(
        plain.words(words.start.saturating_sub(1)..words.start),
        "work" | "works" | "code"
    ) && !is_self(before(text, at))
    {
        return false;
    }
    let before = before(text, at);
    let is_capital = text[at..].starts_with(char::is_uppercase);
    if !before.contains(char::is_alphanumeric) || (is_capital && is_line_start(text, at)) {
        return true;
    }
    is_self(before) || is_after_heading(&text[..at - before.len()])
}

/// Whether the last line is a heading such as `## License`.
fn is_after_heading(above: &str) -> bool {
    let tail = &above[above.ceil_char_boundary(above.len().saturating_sub(100))..];
    let Some(line) = tail
        .lines()
        .rev()
        .find(|line| line.contains(char::is_alphanumeric))
    else {
        return false;
    };
    let line = line.trim_matches(|letter: char| !letter.is_alphanumeric());
    [
        "license",
        "licence",
        "licensing",
        "copyright and license",
        "license and copyright",
    ]
    .iter()
    .any(|heading| heading.eq_ignore_ascii_case(line))
}

/// The licence of a line such as `license = "MIT"`, and its place.
fn field(text: &str, plain: &Plain, words: &Range<usize>) -> Option<(String, Range<usize>)> {
    let place = plain.place(words);
    if !is_line_start(text, place.start) {
        return None;
    }
    let rest = line_after(text, place.end);
    let line = rest.trim_start_matches(['"', '\'', '*', ' ', '\t']);
    let said = line.strip_prefix([':', '='])?;
    let is_mark = |letter: char| " \t\"'`*,;[]{}\u{201c}\u{201d}".contains(letter);
    let said = said
        .trim_matches(is_mark)
        .trim_end_matches('.')
        .trim_end_matches(is_mark);
    let id = names::by_name(said)
        .or_else(|| names::by_address(said))
        .or_else(|| expression(said))?;
    let end = place.end + rest.find(said)? + said.len();
    Some((id, place.start..end))
}

/// Each licence once, by its surest evidence; a family without version is taken for the one of it with version, and an address
/// says nothing where a licence of the same name is told otherwise.
pub(super) fn settled(mut found: Vec<LicenceFound>) -> Vec<LicenceFound> {
    found.sort_by(|one, other| {
        (one.evidence, one.place.start, &one.licence).cmp(&(
            other.evidence,
            other.place.start,
            &other.licence,
        ))
    });
    let mut kept: Vec<LicenceFound> = Vec::new();
    for one in found {
        let id = one.licence.expression().unwrap_or_default();
        let same = kept.iter().position(|other| {
            let told = other.licence.expression().unwrap_or_default();
            other.licence == one.licence
                || is_family_of(told, id)
                || is_family_of(id, told)
                || (one.evidence == Evidence::Link
                    && other.evidence < Evidence::Link
                    && family(told) == family(id))
        });
        match same {
            Some(at) if is_family_of(kept[at].licence.expression().unwrap_or_default(), id) => {
                kept[at].licence = one.licence;
            }
            Some(_) => {}
            // Distinct licences are some dozens at most in any text that people write.
            None if kept.len() < 200 => kept.push(one),
            None => {}
        }
    }
    kept.sort_by_key(|one| (one.place.start, one.evidence));
    kept
}

/// A name up to its version: `CC-BY-SA`, `GPL`.
fn family(id: &str) -> &str {
    let id = id.strip_prefix("LicenseRef-").unwrap_or(id);
    let end = id.find(|letter: char| letter.is_ascii_digit());
    id[..end.unwrap_or(id.len())].trim_end_matches('-')
}
