//! Licences, notices and marks: what a record says of the rights in it, and what a policy makes of that.
//!
//! Nothing is guessed. A licence that is not surely known is unknown, a version that is not told is left open
//! (`LicenseRef-CC-BY-SA`), and a word such as "copyright" in prose is no notice. What is found tells what is written, not what
//! the law is: whether a use is allowed is for the policy and the person to say.

mod categories;
mod names;
mod notices;
mod phrases;
mod plain;
mod policy;
mod provenance;

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use categories::{Category, Obligation};
pub use policy::{Decision, Policy, PolicyError, Use, Verdict};
pub use provenance::{Origin, is_missing};

/// What is known of a licence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Licence {
    /// An expression of SPDX (annex D of its specification 2.3): identifiers of SPDX's list, and `LicenseRef-` for others that
    /// are known or whose version is not told.
    Spdx(String),
    /// Something is said, and it is not surely known which licence is meant; the first 200 bytes of what is said.
    Unknown(String),
    /// Nothing is said.
    Missing,
}

impl Licence {
    /// Reads a field's value: an identifier, a name, an address, an expression, a list of these, or a whole licence.
    ///
    /// In a list (of JSON, or after commas, semicolons or line ends) all licences hold, as a list does not tell that one may
    /// choose. `/` between two names is Cargo's old way to write `OR`.
    ///
    /// ```
    /// use outlay_audit::Licence;
    /// let spdx = |text: &str| Licence::Spdx(text.to_owned());
    /// assert_eq!(Licence::read("Apache 2.0"), spdx("Apache-2.0"));
    /// assert_eq!(Licence::read("https://creativecommons.org/licenses/by-nc/4.0/"), spdx("CC-BY-NC-4.0"));
    /// assert_eq!(Licence::read("(mit or apache-2.0) and cc-by-4.0"), spdx("(MIT OR Apache-2.0) AND CC-BY-4.0"));
    /// assert_eq!(Licence::read("other"), Licence::Unknown("other".to_owned()));
    /// assert_eq!(Licence::read(" "), Licence::Missing);
    /// ```
    #[must_use]
    pub fn read(said: &str) -> Self {
        let said = said.trim();
        if is_missing(said) {
            return Self::Missing;
        }
        let cut = said.floor_char_boundary(200);
        let unknown = || Self::Unknown(said[..cut].to_owned());
        if said.len() > 1000 {
            return match rights(said).licence() {
                Self::Missing => unknown(),
                known => known,
            };
        }
        if said.starts_with('[')
            && let Ok(list) = serde_json::from_str::<Vec<String>>(said)
        {
            let parts: Vec<&str> = list.iter().map(String::as_str).collect();
            return all(&parts).map_or_else(unknown, Self::Spdx);
        }
        if let Some(found) = one(said) {
            return Self::Spdx(found);
        }
        let separators: [&[char]; 3] = [&['\n'], &[',', ';', '|', '\n'], &['&']];
        for separator in separators {
            let parts: Vec<&str> = said.split(separator).collect();
            if parts.len() > 1
                && let Some(found) = all(&parts)
            {
                return Self::Spdx(found);
            }
        }
        match rights(said).stated() {
            Self::Missing => unknown(),
            known => known,
        }
    }

    /// The expression, where it is known.
    #[must_use]
    pub fn expression(&self) -> Option<&str> {
        match self {
            Self::Spdx(expression) => Some(expression),
            Self::Unknown(_) | Self::Missing => None,
        }
    }
}

impl std::fmt::Display for Licence {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Spdx(expression) => out.write_str(expression),
            Self::Unknown(said) => write!(out, "unknown (`{said}`)"),
            Self::Missing => out.write_str("missing"),
        }
    }
}

/// One licence or expression, and no list.
fn one(said: &str) -> Option<String> {
    names::by_name(said)
        .or_else(|| names::by_address(said))
        .or_else(|| linked(said))
        .or_else(|| expression(said))
}

/// A name with its address beside it: `[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/)`.
fn linked(said: &str) -> Option<String> {
    let start = said.find("https://").or_else(|| said.find("http://"))?;
    let is_end =
        |letter: char| letter.is_whitespace() || matches!(letter, ')' | ']' | '>' | '"' | ',');
    let end = said[start..]
        .find(is_end)
        .map_or(said.len(), |at| start + at);
    let address = names::by_address(&said[start..end])?;
    let name = format!("{} {}", &said[..start], &said[end..]);
    if !name.contains(char::is_alphanumeric) {
        return Some(address);
    }
    let name = names::by_name(&name)?;
    let is_same = name == address || is_family_of(&name, &address);
    is_same.then_some(address)
}

/// Whether a reference without version stands for the same licence as an identifier with one.
fn is_family_of(family: &str, id: &str) -> bool {
    family.strip_prefix("LicenseRef-").is_some_and(|family| {
        id.strip_prefix(family)
            .and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
    })
}

/// All licences of a list, each once.
fn all(parts: &[&str]) -> Option<String> {
    let mut found: Vec<String> = Vec::new();
    for part in parts {
        let part = part.trim();
        if part.is_empty() {
            continue;
        }
        let licence = one(part)?;
        if !found.contains(&licence) {
            found.push(licence);
        }
    }
    together(found)
}

fn together(mut found: Vec<String>) -> Option<String> {
    if found.len() < 2 {
        return found.pop();
    }
    for one in &mut found {
        if one.contains(" OR ") {
            *one = format!("({one})");
        }
    }
    Some(found.join(" AND "))
}

/// An expression: names between `AND`, `OR`, `WITH` and brackets, in any case, with what it may have of these checked.
pub(crate) fn expression(said: &str) -> Option<String> {
    let mut out = String::with_capacity(said.len());
    let mut name = String::new();
    let mut is_exception = false;
    // Takes the name before an operator; false where it is none that is known.
    let close = |name: &mut String, out: &mut String, is_exception: &mut bool| {
        let said = std::mem::take(name);
        let said = said.trim();
        if said.is_empty() {
            return true;
        }
        let found = if std::mem::take(is_exception) {
            names::exception(said).map(str::to_owned)
        } else {
            names::by_name(said).or_else(|| names::by_address(said))
        };
        found.map(|found| out.push_str(&found)).is_some()
    };
    let spaced = said.replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    while let Some(word) = words.next() {
        // `or later` is of the name before it.
        let is_later = words.peek().is_some_and(|next| {
            ["later", "any", "newer"]
                .iter()
                .any(|later| next.eq_ignore_ascii_case(later))
        });
        let operator = ["AND", "OR", "WITH", "(", ")"]
            .into_iter()
            .find(|operator| operator.eq_ignore_ascii_case(word) && !is_later);
        let Some(operator) = operator else {
            let names: Vec<&str> = word.split('/').collect();
            if names.len() > 1 && !word.contains("//") {
                for (at, part) in names.iter().enumerate() {
                    if at > 0 {
                        if !close(&mut name, &mut out, &mut is_exception) {
                            return None;
                        }
                        out.push_str(" OR ");
                    }
                    name.push_str(part);
                }
            } else {
                name.push_str(word);
            }
            name.push(' ');
            continue;
        };
        if !close(&mut name, &mut out, &mut is_exception) {
            return None;
        }
        match operator {
            "(" | ")" => out.push_str(operator),
            _ => {
                out.push(' ');
                out.push_str(operator);
                out.push(' ');
                is_exception = operator == "WITH";
            }
        }
    }
    if !close(&mut name, &mut out, &mut is_exception) {
        return None;
    }
    parsed(&out).map(|_| out)
}

/// Parses an expression as it is written here.
fn parsed(expression: &str) -> Option<spdx::Expression> {
    let mode = spdx::ParseMode {
        allow_deprecated: true,
        ..spdx::ParseMode::STRICT
    };
    spdx::Expression::parse_mode(expression, mode).ok()
}

/// How a text tells of a licence, the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// A line `SPDX-License-Identifier:`.
    Identifier,
    /// The licence's own words.
    Text,
    /// A notice that says under which licence this is: `Licensed under …`.
    Notice,
    /// An address of a licence, which may also stand there for another reason.
    Link,
}

/// A licence that a text tells of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LicenceFound {
    /// Which.
    pub licence: Licence,
    /// How it is told.
    pub evidence: Evidence,
    /// Where, in bytes of the text.
    pub place: Range<usize>,
}

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// Who holds the copyright: `© 2024 Ann Lee`.
    Copyright,
    /// `All rights reserved`, also in German, French, Spanish, Italian and Portuguese.
    RightsReserved,
    /// Robots are told `noai` or `noimageai`, by a page or a header. `noindex` is about search and no such notice.
    RobotsNoAi,
    /// The TDM Reservation Protocol of the W3C's community group: `tdm-reservation: 1`.
    TdmReservation,
    /// `robots.txt` shuts out a crawler that gathers data to train on.
    CrawlerShutOut,
    /// A sentence forbids to train on this.
    NoTraining,
    /// It is marked as confidential, or not to be passed on.
    Confidential,
    /// A notice or policy under the Digital Millennium Copyright Act.
    Dmca,
}

impl NoticeKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Copyright,
        Self::RightsReserved,
        Self::RobotsNoAi,
        Self::TdmReservation,
        Self::CrawlerShutOut,
        Self::NoTraining,
        Self::Confidential,
        Self::Dmca,
    ];

    /// What it is called in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Copyright => "copyright",
            Self::RightsReserved => "rights_reserved",
            Self::RobotsNoAi => "robots_no_ai",
            Self::TdmReservation => "tdm_reservation",
            Self::CrawlerShutOut => "crawler_shut_out",
            Self::NoTraining => "no_training",
            Self::Confidential => "confidential",
            Self::Dmca => "dmca",
        }
    }

    /// Whether it says that this is not to be trained on.
    #[must_use]
    pub fn is_opt_out(self) -> bool {
        matches!(
            self,
            Self::RobotsNoAi | Self::TdmReservation | Self::CrawlerShutOut | Self::NoTraining
        )
    }
}

/// A notice or mark in a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// What it is about.
    pub kind: NoticeKind,
    /// Where, in bytes of the text.
    pub place: Range<usize>,
    /// Where the holder of a copyright is named.
    pub holder: Option<Range<usize>>,
}

/// What a text says of the rights in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rights {
    /// Licences, each once, by place; where one is told in several ways, the surest.
    pub licences: Vec<LicenceFound>,
    /// Notices, by place.
    pub notices: Vec<Notice>,
}

impl Rights {
    /// All licences together, of whatever evidence, as all of them hold for some of the text.
    #[must_use]
    pub fn licence(&self) -> Licence {
        self.of(Evidence::Link)
    }

    /// As `licence`, without those that there is but an address of.
    #[must_use]
    pub fn stated(&self) -> Licence {
        self.of(Evidence::Notice)
    }

    fn of(&self, least: Evidence) -> Licence {
        let found = || self.licences.iter().filter(|one| one.evidence <= least);
        if let Some(unknown) = found().find(|one| matches!(one.licence, Licence::Unknown(_))) {
            return unknown.licence.clone();
        }
        let known: Vec<String> = found()
            .filter_map(|one| one.licence.expression().map(str::to_owned))
            .collect();
        together(known).map_or(Licence::Missing, Licence::Spdx)
    }
}

/// Finds licences and notices in a text.
///
/// A text is read once for some words that each of them needs; only one that has any is looked at further.
///
/// ```
/// use outlay_audit::{Licence, NoticeKind, rights};
/// let text = "# Copyright (c) 2024 Ann Lee\n# SPDX-License-Identifier: MIT\n";
/// let found = rights(text);
/// assert_eq!(found.licence(), Licence::Spdx("MIT".to_owned()));
/// assert_eq!(found.notices[0].kind, NoticeKind::Copyright);
/// assert_eq!(found.notices[0].holder.clone().map(|place| &text[place]), Some("Ann Lee"));
/// assert!(rights("The law of copyright is old.").notices.is_empty());
/// ```
#[must_use]
pub fn rights(text: &str) -> Rights {
    let Some(anchors) = plain::anchors(text) else {
        return Rights::default();
    };
    let mut licences = Vec::new();
    let mut found = Vec::new();
    phrases::by_anchor(text, &anchors, &mut licences);
    notices::by_anchor(text, &anchors, &mut found);
    if anchors.needs_plain {
        let plain = plain::Plain::new(text);
        let hits = plain.hits();
        phrases::by_phrase(text, &plain, &hits, &mut licences);
        notices::by_phrase(text, &plain, &hits, &mut found);
    }
    Rights {
        licences: phrases::settled(licences),
        notices: notices::settled(found),
    }
}
