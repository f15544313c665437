//! Whose the data is: licences, notices and provenance of all records, and their languages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::language::language;
use crate::poison::{ShiftSettings, Shifts};
use crate::record::Named;
use crate::rights::{Decision, Licence, NoticeKind, Origin, Policy, is_missing, rights};

/// What the records of a chunk say of their rights and languages.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct OriginSeen {
    /// The different licences.
    licences: Vec<Licence>,
    /// Of each record, which of them it has.
    licence_of: Vec<u32>,
    /// The different sources.
    sources: Vec<String>,
    /// Of each record, which of them it is from.
    source_of: Vec<u32>,
    /// Of each record, its notices as bits, in the order of `NoticeKind::ALL`.
    notices: Vec<u8>,
    /// Records whose fields say neither a source, nor an address, nor an author.
    n_without_provenance: u64,
    /// Records by the code of their language.
    languages: BTreeMap<String, u64>,
}

/// What is kept while a chunk is looked at.
#[derive(Default)]
pub(crate) struct OriginLook {
    /// What the fields tell of, by their place in a record: those of a file have the same places, mostly.
    fields: Vec<(String, Option<Origin>)>,
}

impl OriginLook {
    fn of(&mut self, at: usize, name: &str) -> Option<Origin> {
        if let Some((known, origin)) = self.fields.get(at)
            && known == name
        {
            return *origin;
        }
        let origin = Origin::of(name);
        if self.fields.len() <= at {
            self.fields.resize(at + 1, (String::new(), None));
        }
        self.fields[at] = (name.to_owned(), origin);
        origin
    }

    /// Looks at a record.
    pub(crate) fn look(
        &mut self,
        text: &str,
        named: &Named<'_>,
        is_row: bool,
        seen: &mut OriginSeen,
    ) {
        let mut licence = Licence::Missing;
        let mut has_provenance = false;
        let (mut source, mut host) = (String::new(), String::new());
        for (at, (name, field)) in named.iter().enumerate() {
            match self.of(at, name) {
                Some(Origin::Licence) if licence == Licence::Missing => {
                    licence = Licence::read(&field.text());
                }
                Some(origin @ (Origin::Source | Origin::Url | Origin::Author)) => {
                    let value = field.text();
                    if is_missing(&value) {
                        continue;
                    }
                    has_provenance = true;
                    match origin {
                        Origin::Url if host.is_empty() => host = of_address(&value),
                        Origin::Source if source.is_empty() => source = of_address(&value),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        let mut notices = 0;
        if !is_row {
            let found = rights(text);
            for notice in &found.notices {
                notices |= 1 << (notice.kind as u8);
            }
            if licence == Licence::Missing {
                // An address of a licence may stand in a text for any reason.
                licence = found.stated();
            }
            // Telling a language takes longer than all else of a short text: beyond some records one in eight stands for the others.
            let at = seen.licence_of.len();
            let n_told = if at < EACH { 1 } else { ONE_IN };
            if at < EACH || at.is_multiple_of(ONE_IN as usize) {
                let code = language(text).map_or("", |language| language.code);
                if let Some(n) = seen.languages.get_mut(code) {
                    *n += n_told;
                } else {
                    seen.languages.insert(code.to_owned(), n_told);
                }
            }
        }
        let source = if source.is_empty() { host } else { source };
        let number = match seen.sources.iter().position(|known| *known == source) {
            Some(number) => number,
            None if seen.sources.len() < SOURCES => {
                seen.sources.push(source);
                seen.sources.len() - 1
            }
            None => 0,
        };
        seen.source_of.push(number as u32);
        seen.n_without_provenance += u64::from(!has_provenance);
        let number = match seen.licences.iter().position(|known| *known == licence) {
            Some(number) => number,
            None => {
                seen.licences.push(licence);
                seen.licences.len() - 1
            }
        };
        seen.licence_of.push(number as u32);
        seen.notices.push(notices);
    }
}

/// Records of a chunk whose language is told each; beyond, that of one in so many.
const EACH: usize = 128;

/// As above.
const ONE_IN: u64 = 8;

/// Sources of a chunk that are told apart; more are addresses of records.
const SOURCES: usize = 256;

/// A source's name: of an address its host, else the first part of a path.
fn of_address(value: &str) -> String {
    let value = value.trim();
    let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
    let name = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let name = name.strip_prefix("www.").unwrap_or(name);
    name[..name.floor_char_boundary(100)].to_ascii_lowercase()
}

/// Different licences that are told apart; of more, all others are one that is not known.
const LICENCES: usize = 10_000;

/// What all records say of their rights and languages.
#[derive(Clone, Debug)]
pub struct Origins {
    /// The different licences.
    pub licences: Vec<Licence>,
    /// Of each record, which of them it has.
    pub licence_of: Vec<u16>,
    /// Of each licence: records, bytes of their texts, and the first record.
    pub counts: Vec<(u64, u64, u32)>,
    /// Of each kind of notice: records, and the first.
    pub notices: BTreeMap<NoticeKind, (u64, u32)>,
    /// Where records come from, in their order.
    pub source_shifts: Shifts,
    /// Records with a notice that they are not to be trained on.
    pub n_opted_out: u64,
    /// Records whose fields say neither a source, nor an address, nor an author.
    pub n_without_provenance: u64,
    /// Records by the code of their language (ISO 639-3); nothing for those that are in none. Of many records it is an estimate, from one in eight.
    pub languages: BTreeMap<String, u64>,
}

impl Default for Origins {
    fn default() -> Self {
        Self {
            licences: Vec::new(),
            licence_of: Vec::new(),
            counts: Vec::new(),
            notices: BTreeMap::new(),
            source_shifts: Shifts::new(ShiftSettings::default()),
            n_opted_out: 0,
            n_without_provenance: 0,
            languages: BTreeMap::new(),
        }
    }
}

impl Origins {
    /// Takes what a chunk gave, whose first record has this number; and the bytes of its records.
    pub(crate) fn take(
        &mut self,
        seen: &OriginSeen,
        first: u32,
        n_bytes: impl Iterator<Item = u64>,
    ) {
        let numbers: Vec<u16> = seen
            .licences
            .iter()
            .map(|licence| self.number(licence))
            .collect();
        let records = seen
            .licence_of
            .iter()
            .zip(&seen.notices)
            .zip(n_bytes)
            .zip(first..);
        for (((licence, notices), n_bytes), record) in records {
            let number = numbers[*licence as usize];
            self.licence_of.push(number);
            let (n_records, n_all_bytes, first) = &mut self.counts[usize::from(number)];
            if *n_records == 0 {
                *first = record;
            }
            *n_records += 1;
            *n_all_bytes += n_bytes;
            let mut is_opted_out = false;
            for kind in NoticeKind::ALL
                .into_iter()
                .filter(|kind| notices & (1 << (*kind as u8)) != 0)
            {
                is_opted_out |= kind.is_opt_out();
                self.notices.entry(kind).or_insert((0, record)).0 += 1;
            }
            self.n_opted_out += u64::from(is_opted_out);
        }
        for (source, record) in seen.source_of.iter().zip(i64::from(first)..) {
            let source = seen.sources.get(*source as usize);
            self.source_shifts
                .add(record, source.map_or("", String::as_str));
        }
        self.n_without_provenance += seen.n_without_provenance;
        for (code, n) in &seen.languages {
            *self.languages.entry(code.clone()).or_default() += n;
        }
    }

    fn number(&mut self, licence: &Licence) -> u16 {
        let other = Licence::Unknown("one of many".to_owned());
        let licence = if self.licences.len() < LICENCES || self.licences.contains(licence) {
            licence
        } else {
            &other
        };
        let at = match self.licences.iter().position(|known| known == licence) {
            Some(at) => at,
            None => {
                self.licences.push(licence.clone());
                self.counts.push((0, 0, 0));
                self.licences.len() - 1
            }
        };
        at as u16
    }

    /// What a policy makes of each licence, in their order.
    #[must_use]
    pub fn decisions(&self, policy: &Policy) -> Vec<Decision> {
        self.licences
            .iter()
            .map(|licence| policy.judge(licence).decision)
            .collect()
    }
}

/// Whose the data is, and what a policy makes of it.
#[derive(Clone, Debug, Serialize)]
pub struct RightsView {
    /// What the data is for.
    pub intended: &'static str,
    /// Each licence, the most frequent first.
    pub licences: Vec<LicenceView>,
    /// Records by what is to be done with them.
    pub n_allowed: u64,
    /// Those that a person has to look at.
    pub n_review: u64,
    /// Those that are not to be used.
    pub n_denied: u64,
    /// Bytes of the texts of these.
    pub n_denied_bytes: u64,
    /// Records that say nothing of a licence.
    pub n_missing: u64,
    /// Records whose licence is not known.
    pub n_unknown: u64,
    /// Records with a notice that they are not to be trained on.
    pub n_opted_out: u64,
    /// Records whose fields say neither a source, nor an address, nor an author.
    pub n_without_provenance: u64,
    /// What is written in the texts.
    pub notices: Vec<NoticeView>,
    /// What licences of records that are not denied ask for.
    pub obligations: Vec<crate::rights::Obligation>,
}

/// A licence.
#[derive(Clone, Debug, Serialize)]
pub struct LicenceView {
    /// The licence.
    pub licence: String,
    /// Records with it.
    pub n_records: u64,
    /// Bytes of their texts.
    pub n_bytes: u64,
    /// What is to be done with them.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// The first of them.
    pub first: String,
}

/// A kind of notice.
#[derive(Clone, Debug, Serialize)]
pub struct NoticeView {
    /// The kind.
    pub kind: &'static str,
    /// Records with one.
    pub n_records: u64,
    /// The first of them.
    pub first: String,
}

/// A language.
#[derive(Clone, Debug, Serialize)]
pub struct LanguageView {
    /// Its code (ISO 639-3), or nothing: too short a text, or none in a language.
    pub code: String,
    /// Records in it.
    pub n_records: u64,
}

impl RightsView {
    pub(crate) fn new(
        origins: &Origins,
        policy: &Policy,
        name: impl Fn(u32) -> std::io::Result<String>,
    ) -> std::io::Result<Self> {
        let mut view = Self {
            intended: policy.intended.name(),
            licences: Vec::new(),
            n_allowed: 0,
            n_review: 0,
            n_denied: 0,
            n_denied_bytes: 0,
            n_missing: 0,
            n_unknown: 0,
            n_opted_out: origins.n_opted_out,
            n_without_provenance: origins.n_without_provenance,
            notices: Vec::new(),
            obligations: Vec::new(),
        };
        for (licence, (n_records, n_bytes, first)) in origins.licences.iter().zip(&origins.counts) {
            let verdict = policy.judge(licence);
            match verdict.decision {
                Decision::Allowed => view.n_allowed += n_records,
                Decision::Review => view.n_review += n_records,
                Decision::Denied => {
                    view.n_denied += n_records;
                    view.n_denied_bytes += n_bytes;
                }
            }
            match licence {
                Licence::Missing => view.n_missing += n_records,
                Licence::Unknown(_) => view.n_unknown += n_records,
                Licence::Spdx(_) => {}
            }
            if verdict.decision != Decision::Denied {
                view.obligations.extend(verdict.obligations.iter().copied());
            }
            view.licences.push(LicenceView {
                licence: licence.to_string(),
                n_records: *n_records,
                n_bytes: *n_bytes,
                decision: verdict.decision,
                reason: verdict.reason,
                first: name(*first)?,
            });
        }
        view.licences.sort_by(|one, other| {
            (other.n_records, &one.licence).cmp(&(one.n_records, &other.licence))
        });
        view.obligations.sort_unstable();
        view.obligations.dedup();
        for (kind, (n_records, first)) in &origins.notices {
            view.notices.push(NoticeView {
                kind: kind.name(),
                n_records: *n_records,
                first: name(*first)?,
            });
        }
        Ok(view)
    }
}

/// The languages of all records, the most frequent first.
pub(crate) fn languages(origins: &Origins) -> Vec<LanguageView> {
    let mut views: Vec<LanguageView> = origins
        .languages
        .iter()
        .map(|(code, n_records)| LanguageView {
            code: code.clone(),
            n_records: *n_records,
        })
        .collect();
    views.sort_by(|one, other| (other.n_records, &one.code).cmp(&(one.n_records, &other.code)));
    views
}
