//! A text as its words alone, so that phrases are found whatever the case, the line breaks and the marks of comments.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

/// Words that something found here needs, in small letters, and what to do where one is.
const ANCHORS: &[(&str, Anchor)] = &[
    ("spdx-license-identifier", Anchor::Spdx),
    ("creativecommons.org/", Anchor::Address),
    ("opensource.org/licens", Anchor::Address),
    ("opendatacommons.org/licens", Anchor::Address),
    ("apache.org/licens", Anchor::Address),
    ("gnu.org/licens", Anchor::Address),
    ("mozilla.org/", Anchor::Address),
    ("eclipse.org/legal/", Anchor::Address),
    ("unlicense.org", Anchor::Address),
    ("cdla.dev/", Anchor::Address),
    ("copyright", Anchor::Copyright),
    ("©", Anchor::Copyright),
    ("&copy;", Anchor::Copyright),
    ("(c)", Anchor::Copyright),
    ("noai", Anchor::NoAi),
    ("noimageai", Anchor::NoAi),
    ("tdm-reservation", Anchor::Tdm),
    ("user-agent", Anchor::Agent),
    ("train", Anchor::Train),
    ("text and data mining", Anchor::Train),
    // Only looked for as part of phrases.
    ("licens", Anchor::Phrase),
    ("licenc", Anchor::Phrase),
    ("redistribut", Anchor::Phrase),
    ("released", Anchor::Phrase),
    ("hereby", Anchor::Phrase),
    ("unencumbered", Anchor::Phrase),
    ("public domain", Anchor::Phrase),
    ("cc0", Anchor::Phrase),
    ("plainly", Anchor::Phrase),
    ("waived", Anchor::Phrase),
    ("reserved", Anchor::Phrase),
    ("vorbehalten", Anchor::Phrase),
    ("rechos reservados", Anchor::Phrase),
    ("diritti", Anchor::Phrase),
    ("direitos", Anchor::Phrase),
    ("tous droits", Anchor::Phrase),
    ("confidential", Anchor::Phrase),
    ("distribut", Anchor::Phrase),
    ("internal", Anchor::Phrase),
    ("public release", Anchor::Phrase),
    ("privileged", Anchor::Phrase),
    ("dmca", Anchor::Phrase),
    ("millennium", Anchor::Phrase),
    ("prevent datasets", Anchor::Phrase),
];

/// What a word found in a text calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Spdx,
    Address,
    Copyright,
    NoAi,
    Tdm,
    Agent,
    Train,
    Phrase,
}

/// The places of words that call for a look of their own, in order.
pub(super) struct Anchors {
    pub found: Vec<(Anchor, Range<usize>)>,
    pub needs_plain: bool,
}

fn automaton<'a>(patterns: impl Iterator<Item = &'a str>) -> Option<AhoCorasick> {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(patterns)
        .ok()
}

static ANCHOR_WORDS: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| automaton(ANCHORS.iter().map(|(word, _)| *word)));

/// Looks for the words, once; nothing where there is none.
pub(super) fn anchors(text: &str) -> Option<Anchors> {
    let automaton = ANCHOR_WORDS.as_ref()?;
    let mut anchors = Anchors {
        found: Vec::new(),
        needs_plain: false,
    };
    for hit in automaton.find_overlapping_iter(text) {
        match ANCHORS[hit.pattern().as_usize()].1 {
            Anchor::Phrase => anchors.needs_plain = true,
            anchor => anchors.found.push((anchor, hit.range())),
        }
    }
    // Addresses and lines of SPDX hold words of phrases, so that they alone call for nothing more.
    (anchors.needs_plain || !anchors.found.is_empty()).then_some(anchors)
}

/// A phrase that tells of something, found in the words of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phrase {
    /// Words before the name of a licence.
    Under,
    /// Words before the name of a licence that only a notice has.
    Own,
    /// The word before a colon and a name.
    Field,
    /// A licence's own first words, or others that only it has.
    Whole(&'static str),
    /// Where the title of a long licence stands.
    Title(&'static str),
    /// The words on altered versions, which other licences share.
    Zlib,
    MitBegin,
    IscBegin,
    BsdBegin,
    BoundBy,
    HowToApply,
    EndOfTerms,
    PublicDomain,
    RightsReserved,
    /// A mark of secrecy that needs no more.
    Confidential,
    /// A mark of secrecy where it stands by itself or in capitals.
    ConfidentialAlone,
    Dmca,
    NoTraining,
}

/// The phrases, as words in small letters between single spaces.
const PHRASES: &[(&str, Phrase)] = &[
    ("licensed under", Phrase::Under),
    ("licenced under", Phrase::Under),
    ("licensed to you under", Phrase::Under),
    ("released under", Phrase::Under),
    ("distributed under", Phrase::Under),
    ("available under", Phrase::Under),
    ("published under", Phrase::Under),
    ("provided under", Phrase::Under),
    ("shared under", Phrase::Under),
    ("covered by", Phrase::Under),
    ("governed by", Phrase::Under),
    ("subject to", Phrase::Under),
    ("under the terms of", Phrase::Under),
    ("redistribute it and or modify it under", Phrase::Own),
    ("redistribute and or modify it under", Phrase::Own),
    (
        "copy distribute and or modify this document under",
        Phrase::Own,
    ),
    ("license", Phrase::Field),
    ("licence", Phrase::Field),
    ("licenses", Phrase::Field),
    (
        "this is free and unencumbered software released into the public domain",
        Phrase::Whole("Unlicense"),
    ),
    (
        "do what the fuck you want to public license",
        Phrase::Whole("WTFPL"),
    ),
    (
        "altered source versions must be plainly marked as such and must not be misrepresented as being the original software",
        Phrase::Zlib,
    ),
    (
        "has waived all copyright and related or neighboring rights",
        Phrase::Whole("CC0-1.0"),
    ),
    ("cc0 1.0 universal", Phrase::Whole("CC0-1.0")),
    (
        "permission is hereby granted free of charge to any person or organization obtaining a copy of the software and accompanying documentation",
        Phrase::Whole("BSL-1.0"),
    ),
    (
        "permission is hereby granted free of charge to any person obtaining a copy of this software and associated documentation",
        Phrase::MitBegin,
    ),
    (
        "permission to use copy modify and or distribute this software for any purpose with or without fee is hereby granted",
        Phrase::IscBegin,
    ),
    (
        "permission to use copy modify and distribute this software for any purpose with or without fee is hereby granted",
        Phrase::IscBegin,
    ),
    (
        "redistribution and use in source and binary forms with or without modification are permitted",
        Phrase::BsdBegin,
    ),
    (
        "apache license version 2.0 january 2004",
        Phrase::Title("Apache-2.0"),
    ),
    (
        "gnu general public license version 2 june 1991",
        Phrase::Title("GPL-2.0-only"),
    ),
    (
        "gnu general public license version 3 29 june 2007",
        Phrase::Title("GPL-3.0-only"),
    ),
    (
        "gnu lesser general public license version 2.1 february 1999",
        Phrase::Title("LGPL-2.1-only"),
    ),
    (
        "gnu lesser general public license version 3 29 june 2007",
        Phrase::Title("LGPL-3.0-only"),
    ),
    (
        "gnu library general public license version 2 june 1991",
        Phrase::Title("LGPL-2.0-only"),
    ),
    (
        "gnu affero general public license version 3 19 november 2007",
        Phrase::Title("AGPL-3.0-only"),
    ),
    (
        "gnu free documentation license version 1.1 march 2000",
        Phrase::Title("GFDL-1.1-only"),
    ),
    (
        "server side public license version 1 october 16 2018",
        Phrase::Title("SSPL-1.0"),
    ),
    (
        "functional source license version 1.1 mit future license",
        Phrase::Title("FSL-1.1-MIT"),
    ),
    (
        "functional source license version 1.1 alv2 future license",
        Phrase::Title("FSL-1.1-ALv2"),
    ),
    (
        "the business source license this document or the license is not an open source license",
        Phrase::Whole("BUSL-1.1"),
    ),
    ("elastic license 2.0 url", Phrase::Title("Elastic-2.0")),
    (
        "elastic license 2.0 acceptance",
        Phrase::Title("Elastic-2.0"),
    ),
    (
        "permission is hereby granted free of charge to any person obtaining a copy of data files and any associated documentation",
        Phrase::Whole("Unicode-3.0"),
    ),
    (
        "gnu free documentation license version 1.2 november 2002",
        Phrase::Title("GFDL-1.2-only"),
    ),
    (
        "gnu free documentation license version 1.3 3 november 2008",
        Phrase::Title("GFDL-1.3-only"),
    ),
    (
        "mozilla public license version 2.0 1 definitions",
        Phrase::Title("MPL-2.0"),
    ),
    (
        "mozilla public license version 1.1 1 definitions",
        Phrase::Title("MPL-1.1"),
    ),
    (
        "eclipse public license v 2.0 the accompanying program",
        Phrase::Title("EPL-2.0"),
    ),
    (
        "eclipse public license v 1.0 the accompanying program",
        Phrase::Title("EPL-1.0"),
    ),
    ("bound by the terms and conditions of this", Phrase::BoundBy),
    ("how to apply", Phrase::HowToApply),
    ("end of terms and conditions", Phrase::EndOfTerms),
    ("in the public domain", Phrase::PublicDomain),
    ("into the public domain", Phrase::PublicDomain),
    ("to the public domain", Phrase::PublicDomain),
    ("all rights reserved", Phrase::RightsReserved),
    ("alle rechte vorbehalten", Phrase::RightsReserved),
    ("tous droits réservés", Phrase::RightsReserved),
    ("todos los derechos reservados", Phrase::RightsReserved),
    ("tutti i diritti riservati", Phrase::RightsReserved),
    ("todos os direitos reservados", Phrase::RightsReserved),
    ("confidential and proprietary", Phrase::Confidential),
    ("proprietary and confidential", Phrase::Confidential),
    ("privileged and confidential", Phrase::Confidential),
    ("for internal use only", Phrase::ConfidentialAlone),
    ("internal use only", Phrase::ConfidentialAlone),
    ("not for public release", Phrase::Confidential),
    ("this document is confidential", Phrase::Confidential),
    (
        "this document is strictly confidential",
        Phrase::Confidential,
    ),
    ("this document contains confidential", Phrase::Confidential),
    ("this message is confidential", Phrase::Confidential),
    ("this email is confidential", Phrase::Confidential),
    ("this e mail is confidential", Phrase::Confidential),
    (
        "this email and any attachments are confidential",
        Phrase::Confidential,
    ),
    (
        "this e mail and any attachments are confidential",
        Phrase::Confidential,
    ),
    (
        "this email and any files transmitted with it are confidential",
        Phrase::Confidential,
    ),
    (
        "this e mail and any files transmitted with it are confidential",
        Phrase::Confidential,
    ),
    ("confidential", Phrase::ConfidentialAlone),
    ("strictly confidential", Phrase::ConfidentialAlone),
    ("company confidential", Phrase::ConfidentialAlone),
    ("highly confidential", Phrase::ConfidentialAlone),
    ("do not distribute", Phrase::ConfidentialAlone),
    ("do not redistribute", Phrase::ConfidentialAlone),
    ("not for distribution", Phrase::ConfidentialAlone),
    ("dmca takedown", Phrase::Dmca),
    ("dmca notice", Phrase::Dmca),
    ("dmca complaint", Phrase::Dmca),
    ("dmca policy", Phrase::Dmca),
    ("dmca agent", Phrase::Dmca),
    (
        "under the us digital millennium copyright act",
        Phrase::Dmca,
    ),
    (
        "pursuant to the digital millennium copyright act",
        Phrase::Dmca,
    ),
    (
        "prevent datasets from using the following file types",
        Phrase::NoTraining,
    ),
];

static PHRASE_WORDS: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| automaton(PHRASES.iter().map(|(words, _)| *words)));

/// A phrase and its words, by number.
#[derive(Clone, Debug)]
pub(super) struct Hit {
    pub phrase: Phrase,
    pub words: Range<usize>,
}

/// A word: where it begins among the words, and its place in the text.
struct Word {
    at: u32,
    from: u32,
    to: u32,
}

/// The words of a text in small letters, between single spaces.
///
/// A word is a run of letters and digits, with the points within numbers. Tags and entities of HTML, and the words that begin
/// comments (`rem`, `dnl`), are none.
pub(super) struct Plain {
    text: String,
    words: Vec<Word>,
}

impl Plain {
    /// Makes it, of no more than the first 4 GiB.
    pub fn new(text: &str) -> Self {
        let text = &text[..text.floor_char_boundary(u32::MAX as usize)];
        let bytes = text.as_bytes();
        let mut plain = Self {
            text: String::with_capacity(text.len()),
            words: Vec::with_capacity(text.len() / 6),
        };
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            if is_word(text, at) {
                let from = at;
                while at < bytes.len() && (is_word(text, at) || is_point(bytes, at)) {
                    at += width(bytes[at]);
                }
                plain.push(text, from, at);
            } else if byte == b'<' || byte == b'&' {
                at = tag_end(bytes, at);
            } else {
                at += width(byte);
            }
        }
        plain
    }

    fn push(&mut self, text: &str, from: usize, to: usize) {
        let word = &text[from..to];
        if matches!(word, "rem" | "REM" | "dnl") && is_line_start(text, from) {
            return;
        }
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.words.push(Word {
            at: self.text.len() as u32,
            from: from as u32,
            to: to as u32,
        });
        if word.is_ascii() {
            let start = self.text.len();
            self.text.push_str(word);
            self.text[start..].make_ascii_lowercase();
        } else {
            self.text.extend(word.chars().flat_map(char::to_lowercase));
        }
    }

    /// All phrases, by where they begin.
    pub fn hits(&self) -> Vec<Hit> {
        let Some(automaton) = PHRASE_WORDS.as_ref() else {
            return Vec::new();
        };
        let mut hits: Vec<Hit> = Vec::new();
        for found in automaton.find_overlapping_iter(&self.text) {
            let bytes = self.text.as_bytes();
            let is_whole = (found.start() == 0 || bytes[found.start() - 1] == b' ')
                && bytes.get(found.end()).is_none_or(|byte| *byte == b' ');
            if is_whole {
                hits.push(Hit {
                    phrase: PHRASES[found.pattern().as_usize()].1,
                    words: self.number(found.start())..self.number(found.end()),
                });
            }
        }
        hits.sort_by_key(|hit| {
            (
                hit.words.start,
                std::cmp::Reverse(hit.words.end),
                hit.phrase,
            )
        });
        hits
    }

    /// The number of the first word from a place among the words on.
    fn number(&self, at: usize) -> usize {
        self.words.partition_point(|word| (word.at as usize) < at)
    }

    /// How many words there are.
    pub fn n_words(&self) -> usize {
        self.words.len()
    }

    /// Words by number, as far as there are any.
    pub fn words(&self, words: Range<usize>) -> &str {
        let end = words.end.min(self.words.len());
        if words.start >= end {
            return "";
        }
        let to = self
            .words
            .get(end)
            .map_or(self.text.len(), |word| word.at as usize - 1);
        &self.text[self.words[words.start].at as usize..to]
    }

    /// The place of words in the text.
    pub fn place(&self, words: &Range<usize>) -> Range<usize> {
        let end = words.end.min(self.words.len());
        if words.start >= end {
            return 0..0;
        }
        self.words[words.start].from as usize..self.words[end - 1].to as usize
    }
}

fn width(first: u8) -> usize {
    match first {
        0..=0xbf => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    }
}

/// Whether a letter or digit stands there.
fn is_word(text: &str, at: usize) -> bool {
    let byte = text.as_bytes()[at];
    if byte < 128 {
        return byte.is_ascii_alphanumeric();
    }
    text[at..].chars().next().is_some_and(char::is_alphanumeric)
}

/// Whether it is the point within a number.
fn is_point(bytes: &[u8], at: usize) -> bool {
    bytes[at] == b'.'
        && at > 0
        && bytes[at - 1].is_ascii_digit()
        && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
}

/// The end of a tag or entity that begins there, or else of its first sign.
fn tag_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at + 1..bytes.len().min(at + 200)];
    let is_tag = bytes[at] == b'<';
    let is_begin = rest
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || (is_tag && matches!(byte, b'/')));
    if !is_begin {
        return at + 1;
    }
    let end = if is_tag {
        rest.iter()
            .position(|byte| matches!(byte, b'<' | b'>'))
            .filter(|end| rest[*end] == b'>')
    } else {
        rest.iter()
            .position(|byte| !byte.is_ascii_alphanumeric())
            .filter(|end| rest[*end] == b';')
    };
    end.map_or(at + 1, |end| at + end + 2)
}

/// Whether nothing but spaces and marks of comments stands before on its line, not even a letter.
pub(super) fn is_line_start(text: &str, at: usize) -> bool {
    let bytes = text.as_bytes();
    for byte in bytes[..at].iter().rev().take(40) {
        match byte {
            b'\n' | b'\r' => return true,
            byte if byte.is_ascii_alphanumeric() || *byte >= 128 => return false,
            _ => {}
        }
    }
    at <= 40
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_same_whatever_stands_between() {
        let plain = Plain::new("/* Permission is\n *   HEREBY <b>granted</b>,&nbsp;v2.0. */");
        assert_eq!(plain.text, "permission is hereby granted v2.0");
        assert_eq!(plain.words(2..4), "hereby granted");
        assert_eq!(plain.words(4..9), "v2.0");
        assert_eq!(plain.place(&(0..2)), 3..16);
        assert_eq!(Plain::new("a < b && c").text, "a b c");
        assert_eq!(
            Plain::new("REM Licensed\nREM under é").text,
            "licensed under é"
        );
    }
}
