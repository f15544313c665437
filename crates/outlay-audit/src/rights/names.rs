//! Names of licences, as people write them, to identifiers of SPDX's list.
//!
//! A name is looked up by its words, in small letters and without those that tell nothing (`license`, `version`, `the`); the
//! table is SPDX's own list, identifiers and full names, with other spellings beside it. What is not in it is not known: no name
//! is taken for the nearest one.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use spdx::identifiers::{EXCEPTIONS, LICENSES};

/// Other spellings than SPDX's, and licences that its list lacks.
const ALIASES: &[(&str, &str)] = &[
    ("expat", "MIT"),
    ("mit mit", "MIT"),
    ("mit expat", "MIT"),
    ("mit x11", "MIT"),
    ("mit no attribution", "MIT-0"),
    ("apache software 2", "Apache-2.0"),
    ("asl 2.0", "Apache-2.0"),
    ("al 2.0", "Apache-2.0"),
    ("bsd 2", "BSD-2-Clause"),
    ("2 clause bsd", "BSD-2-Clause"),
    ("simplified bsd", "BSD-2-Clause"),
    ("bsd simplified", "BSD-2-Clause"),
    ("freebsd", "BSD-2-Clause"),
    ("bsd 3", "BSD-3-Clause"),
    ("3 clause bsd", "BSD-3-Clause"),
    ("new bsd", "BSD-3-Clause"),
    ("bsd new", "BSD-3-Clause"),
    ("modified bsd", "BSD-3-Clause"),
    ("revised bsd", "BSD-3-Clause"),
    ("bsd 4", "BSD-4-Clause"),
    ("4 clause bsd", "BSD-4-Clause"),
    ("original bsd", "BSD-4-Clause"),
    ("zero clause bsd", "0BSD"),
    ("0 clause bsd", "0BSD"),
    ("boost", "BSL-1.0"),
    ("boost software", "BSL-1.0"),
    ("business source 1.1", "BUSL-1.1"),
    ("ms public", "MS-PL"),
    ("upl", "UPL-1.0"),
    ("wtfpl 2", "WTFPL"),
    ("sil ofl 1.1", "OFL-1.1"),
    ("sil open font 1.1", "OFL-1.1"),
    ("cc 0", "CC0-1.0"),
    ("cc 0 1 universal public domain dedication", "CC0-1.0"),
    ("cc 1.0 universal public domain dedication", "CC0-1.0"),
    ("public domain mark 1.0", "CC-PDM-1.0"),
    ("cc public domain mark 1.0", "CC-PDM-1.0"),
    // There has only been one version of these.
    ("odc by", "ODC-By-1.0"),
    ("odbl", "ODbL-1.0"),
    ("odc odbl", "ODbL-1.0"),
    ("odc odbl 1.0", "ODbL-1.0"),
    ("open database", "ODbL-1.0"),
    ("open database 1.0", "ODbL-1.0"),
    ("open data commons open database", "ODbL-1.0"),
    ("open data commons attribution", "ODC-By-1.0"),
    ("open data commons attribution 1.0", "ODC-By-1.0"),
    ("pddl", "PDDL-1.0"),
    ("odc pddl", "PDDL-1.0"),
    ("open data commons public domain dedication and", "PDDL-1.0"),
    ("c uda", "C-UDA-1.0"),
    ("etalab", "LicenseRef-etalab"),
    ("licence ouverte 2.0", "etalab-2.0"),
    ("ogl 3.0", "OGL-UK-3.0"),
    ("open government 3.0", "OGL-UK-3.0"),
    ("dl de by 2.0", "DL-DE-BY-2.0"),
    ("openmdw", "OpenMDW-1.0"),
    // Families of which the version is not told: what all their versions share is known.
    ("apache", "LicenseRef-Apache"),
    ("bsd", "LicenseRef-BSD"),
    ("bsd style", "LicenseRef-BSD"),
    ("mit style", "LicenseRef-MIT-style"),
    ("gpl", "LicenseRef-GPL"),
    ("lgpl", "LicenseRef-LGPL"),
    ("agpl", "LicenseRef-AGPL"),
    ("gfdl", "LicenseRef-GFDL"),
    ("mpl", "LicenseRef-MPL"),
    ("epl", "LicenseRef-EPL"),
    ("cc by", "LicenseRef-CC-BY"),
    ("cc by sa", "LicenseRef-CC-BY-SA"),
    ("cc by nc", "LicenseRef-CC-BY-NC"),
    ("cc by nd", "LicenseRef-CC-BY-ND"),
    ("cc by nc sa", "LicenseRef-CC-BY-NC-SA"),
    ("cc by nc nd", "LicenseRef-CC-BY-NC-ND"),
    ("ogl", "LicenseRef-OGL"),
    ("public domain", "LicenseRef-public-domain"),
    ("publicdomain", "LicenseRef-public-domain"),
    ("us government work", "LicenseRef-public-domain"),
    ("proprietary", "LicenseRef-proprietary"),
    ("unlicensed", "LicenseRef-proprietary"),
    ("all rights reserved", "LicenseRef-proprietary"),
    ("research only", "LicenseRef-research-only"),
    ("for research only", "LicenseRef-research-only"),
    ("for research use only", "LicenseRef-research-only"),
    ("research use only", "LicenseRef-research-only"),
    ("academic use only", "LicenseRef-research-only"),
    ("for academic use only", "LicenseRef-research-only"),
    ("nc", "LicenseRef-non-commercial"),
    ("nc use only", "LicenseRef-non-commercial"),
    ("for nc use only", "LicenseRef-non-commercial"),
    ("nc only", "LicenseRef-non-commercial"),
    // Licences of models and data that SPDX's list lacks, by the names that Hugging Face's hub has for them.
    ("openrail", "LicenseRef-OpenRAIL"),
    ("openrail++", "LicenseRef-OpenRAIL++"),
    ("openrail m", "LicenseRef-OpenRAIL-M"),
    ("bigscience openrail m", "LicenseRef-bigscience-openrail-m"),
    ("bigcode openrail m", "LicenseRef-bigcode-openrail-m"),
    ("creativeml openrail m", "LicenseRef-creativeml-openrail-m"),
    (
        "bigscience bloom rail 1.0",
        "LicenseRef-bigscience-bloom-rail-1.0",
    ),
    ("deepfloyd if", "LicenseRef-deepfloyd-if"),
    ("llama 2", "LicenseRef-Llama-2"),
    ("llama 2 community", "LicenseRef-Llama-2"),
    ("meta llama 2 community", "LicenseRef-Llama-2"),
    ("llama 3", "LicenseRef-Llama-3"),
    ("llama 3 community", "LicenseRef-Llama-3"),
    ("meta llama 3 community", "LicenseRef-Llama-3"),
    ("llama 3.1", "LicenseRef-Llama-3.1"),
    ("llama 3.1 community", "LicenseRef-Llama-3.1"),
    ("llama 3.2", "LicenseRef-Llama-3.2"),
    ("llama 3.2 community", "LicenseRef-Llama-3.2"),
    ("llama 3.3", "LicenseRef-Llama-3.3"),
    ("llama 3.3 community", "LicenseRef-Llama-3.3"),
    ("llama 4", "LicenseRef-Llama-4"),
    ("llama 4 community", "LicenseRef-Llama-4"),
    ("gemma", "LicenseRef-Gemma"),
    ("gemma of use", "LicenseRef-Gemma"),
    ("grok 2 community", "LicenseRef-grok2-community"),
    ("h research", "LicenseRef-h-research"),
    ("intel research", "LicenseRef-intel-research"),
    ("apple ascl", "LicenseRef-apple-ascl"),
    ("apple amlr", "LicenseRef-apple-amlr"),
    (
        "fair noncommercial research",
        "LicenseRef-fair-noncommercial-research",
    ),
];

/// Words that stand for others, longest first.
const SAME: &[(&[&str], &[&str])] = &[
    (&["or", "at", "your", "option", "any", "later"], &["+"]),
    (&["gnu", "affero", "general", "public"], &["agpl"]),
    (&["gnu", "lesser", "general", "public"], &["lgpl"]),
    (&["gnu", "library", "general", "public"], &["lgpl"]),
    (&["gnu", "general", "public"], &["gpl"]),
    (&["affero", "general", "public"], &["agpl"]),
    (&["lesser", "general", "public"], &["lgpl"]),
    (&["general", "public"], &["gpl"]),
    (&["gnu", "free", "documentation"], &["gfdl"]),
    (&["free", "documentation"], &["gfdl"]),
    (&["gnu", "fdl"], &["gfdl"]),
    (&["gnu", "agpl"], &["agpl"]),
    (&["gnu", "lgpl"], &["lgpl"]),
    (&["gnu", "gpl"], &["gpl"]),
    (&["mozilla", "public"], &["mpl"]),
    (&["eclipse", "public"], &["epl"]),
    (&["creative", "commons"], &["cc"]),
    (&["creativecommons"], &["cc"]),
    (&["cc", "zero"], &["cc", "0"]),
    (&["no", "derivative", "works"], &["nd"]),
    (&["no", "derivatives"], &["nd"]),
    (&["noderivatives"], &["nd"]),
    (&["no", "derivs"], &["nd"]),
    (&["noderivs"], &["nd"]),
    (&["share", "alike"], &["sa"]),
    (&["sharealike"], &["sa"]),
    (&["non", "commercial"], &["nc"]),
    (&["noncommercial"], &["nc"]),
    (&["or", "any", "later"], &["+"]),
    (&["and", "any", "later"], &["+"]),
    (&["or", "later"], &["+"]),
    (&["and", "later"], &["+"]),
    (&["or", "newer"], &["+"]),
    (&["ccby"], &["cc", "by"]),
    (&["two", "clause"], &["2", "clause"]),
    (&["three", "clause"], &["3", "clause"]),
    (&["four", "clause"], &["4", "clause"]),
];

/// Words that tell nothing of which licence it is.
const FILLER: [&str; 9] = [
    "the",
    "a",
    "license",
    "licence",
    "licenses",
    "agreement",
    "version",
    "v",
    "terms",
];

/// Words before a name that are no part of it: `This dataset is released under the MIT License`.
const LEAD: [&str; 22] = [
    "this",
    "dataset",
    "data",
    "corpus",
    "content",
    "contents",
    "code",
    "all",
    "is",
    "are",
    "made",
    "released",
    "licensed",
    "distributed",
    "available",
    "published",
    "provided",
    "shared",
    "under",
    "of",
    "an",
    "work",
];

/// The words by which a name is looked up.
pub(super) fn key(said: &str) -> String {
    let mut words = split(&said.to_ascii_lowercase());
    for (from, to) in SAME {
        let mut at = 0;
        while at + from.len() <= words.len() {
            if words[at..at + from.len()].iter().eq(from.iter()) {
                words.splice(
                    at..at + from.len(),
                    to.iter().map(|word| (*word).to_owned()),
                );
            }
            at += 1;
        }
    }
    words.retain(|word| !FILLER.contains(&word.as_str()));
    if words.first().is_some_and(|word| word == "cc") {
        for word in &mut words {
            if word == "attribution" {
                "by".clone_into(word);
            }
        }
        words.retain(|word| !matches!(word.as_str(), "international" | "unported" | "generic"));
        let n_flags = words[1..]
            .iter()
            .take_while(|word| matches!(word.as_str(), "by" | "nc" | "nd" | "sa"))
            .count();
        words[1..=n_flags].sort_unstable();
    }
    words.join(" ")
}

/// Words of letters, numbers as `2.1`, and `+`; a number ends a word of letters, with the `v` before it.
fn split(lower: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut letters = lower.chars().peekable();
    let mut close = |word: &mut String| {
        if !word.is_empty() {
            words.push(std::mem::take(word));
        }
    };
    while let Some(letter) = letters.next() {
        let last = word.chars().next_back();
        if letter.is_alphanumeric() {
            let is_digit = letter.is_ascii_digit();
            if let Some(last) = last
                && is_digit != (last.is_ascii_digit() || last == '.')
            {
                if is_digit && word.len() > 1 && word.ends_with('v') {
                    word.pop();
                }
                close(&mut word);
            }
            word.push(letter);
        } else if letter == '.'
            && last.is_some_and(|last| last.is_ascii_digit())
            && letters.peek().is_some_and(char::is_ascii_digit)
        {
            word.push('.');
        } else {
            close(&mut word);
            if letter == '+' {
                word.push('+');
                close(&mut word);
            }
        }
    }
    close(&mut word);
    for word in &mut words {
        // 2.0 is 2, as a version.
        while word.starts_with(|letter: char| letter.is_ascii_digit()) && word.ends_with(".0") {
            word.truncate(word.len() - 2);
        }
    }
    words
}

static TABLE: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    let mut table = HashMap::new();
    let aliases = ALIASES.iter().map(|(said, id)| (key(said), *id));
    let current = LICENSES
        .iter()
        .filter(|licence| is_licence(licence) && !is_deprecated(licence));
    let deprecated = LICENSES.iter().filter(|licence| is_deprecated(licence));
    // What comes first stays: SPDX's present identifiers, other spellings, its old ones, its full names.
    for (said, id) in current
        .clone()
        .map(|licence| (key(licence.name), licence.name))
        .chain(aliases)
        .chain(deprecated.map(|licence| (key(licence.name), present(licence.name))))
    {
        table.entry(said).or_insert(id);
    }
    let mut full: HashMap<String, Option<&'static str>> = HashMap::new();
    for licence in current {
        full.entry(key(licence.full_name))
            .and_modify(|id| *id = None)
            .or_insert(Some(licence.name));
    }
    for (said, id) in full {
        if let Some(id) = id {
            table.entry(said).or_insert(id);
        }
    }
    table
});

/// Whether it is a licence, and not one of SPDX's words for none being told.
fn is_licence(licence: &spdx::License) -> bool {
    !matches!(licence.name, "NONE" | "NOASSERTION")
}

fn is_deprecated(licence: &spdx::License) -> bool {
    licence.flags & spdx::flags::IS_DEPRECATED != 0
}

/// The present identifier for an old one: the list has `GPL-2.0` as `GPL-2.0-only` (its full name says "only").
fn present(id: &'static str) -> &'static str {
    let (base, suffix) = match id.strip_suffix('+') {
        Some(base) => (base, "-or-later"),
        None => (id, "-only"),
    };
    let wanted = format!("{base}{suffix}");
    LICENSES
        .iter()
        .find(|other| other.name == wanted)
        .map_or(id, |other| other.name)
}

/// First words of names, with those that stand for others or tell nothing.
static FIRST: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let keys = TABLE.keys().filter_map(|key| key.split(' ').next());
    keys.chain(SAME.iter().map(|(from, _)| from[0]))
        .chain(FILLER)
        .chain(LEAD)
        .collect()
});

/// Whether a name may begin with a word, which is quicker to say than whether one does.
pub(super) fn may_begin(word: &str) -> bool {
    split(word)
        .first()
        .is_some_and(|first| FIRST.contains(first.as_str()))
}

/// The identifier of one name: of SPDX's list, or a `LicenseRef-` of this table.
pub(super) fn by_name(said: &str) -> Option<String> {
    let said = said.trim();
    if said.is_empty() || said.len() > 300 {
        return None;
    }
    if let Some(own) = license_ref(said) {
        return Some(own);
    }
    let key = key(said);
    if let Some(found) = by_key(&key) {
        return Some(found);
    }
    let words: Vec<&str> = key.split(' ').collect();
    let n_lead = words.iter().take_while(|word| LEAD.contains(word)).count();
    by_key(&words[n_lead..].join(" "))
}

fn by_key(key: &str) -> Option<String> {
    if let Some(id) = TABLE.get(key) {
        return Some((*id).to_owned());
    }
    if let Some(base) = key.strip_suffix(" +") {
        let id = *TABLE.get(base)?;
        return match id.strip_suffix("-only") {
            Some(base) => Some(format!("{base}-or-later")),
            None if id.starts_with("LicenseRef-") || id.ends_with("-or-later") => None,
            None => Some(format!("{id}+")),
        };
    }
    ported(key)
}

/// A Creative Commons licence ported to a country that SPDX's list has no identifier for.
fn ported(key: &str) -> Option<String> {
    let (base, country) = key.rsplit_once(' ')?;
    let is_country = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_version = base.ends_with(|letter: char| letter.is_ascii_digit());
    let id = TABLE.get(base)?;
    (is_country && is_version && id.starts_with("CC-"))
        .then(|| format!("LicenseRef-{id}-{}", country.to_ascii_uppercase()))
}

/// A reference that is one already.
fn license_ref(said: &str) -> Option<String> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
    };
    let (document, own) = match said.split_once(':') {
        Some((document, own)) => (Some(document.strip_prefix("DocumentRef-")?), own),
        None => (None, said),
    };
    let is_one =
        document.is_none_or(is_name) && own.strip_prefix("LicenseRef-").is_some_and(is_name);
    is_one.then(|| said.to_owned())
}

/// The identifier of an exception, as the list writes it.
pub(super) fn exception(said: &str) -> Option<&str> {
    if said.starts_with("AdditionRef-") {
        return Some(said);
    }
    EXCEPTIONS
        .iter()
        .find(|one| one.name.eq_ignore_ascii_case(said))
        .map(|one| one.name)
}

/// Whether some identifier that can be met is matched.
pub(super) fn is_any(matches: impl Fn(&str) -> bool) -> bool {
    LICENSES.iter().any(|licence| matches(licence.name))
        || ALIASES.iter().any(|(_, id)| matches(id))
}

/// The licence that an address leads to.
pub(super) fn by_address(said: &str) -> Option<String> {
    let lower = said.trim().to_ascii_lowercase();
    let rest = lower
        .strip_prefix("https://")
        .or_else(|| lower.strip_prefix("http://"))
        .unwrap_or(&lower);
    let rest = rest.strip_prefix("www.").unwrap_or(rest);
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let mut parts = rest.split('/').filter(|part| !part.is_empty());
    let host = parts.next()?;
    let mut path: Vec<&str> = parts.collect();
    if let Some(last) = path.last_mut() {
        for end in [
            ".html", ".htm", ".txt", ".php", ".json", ".md", ".en", ".de",
        ] {
            *last = last.strip_suffix(end).unwrap_or(last);
        }
    }
    let name = match (host, path.as_slice()) {
        ("creativecommons.org", ["publicdomain", "zero", ..]) => "cc0-1.0".to_owned(),
        ("creativecommons.org", ["publicdomain", "mark", ..]) => "cc-pdm-1.0".to_owned(),
        ("creativecommons.org", ["licenses", "publicdomain", ..]) => "cc-pddc".to_owned(),
        ("creativecommons.org", ["licenses", flags, version, rest @ ..]) => {
            // After the version: the country of a port, or the page (`deed.en`, `legalcode`).
            let country = rest
                .first()
                .filter(|part| part.len() == 2 || **part == "igo");
            let country = country.map_or(String::new(), |country| format!("-{country}"));
            format!("cc-{flags}-{version}{country}")
        }
        ("creativecommons.org", ["licenses", flags]) => format!("cc-{flags}"),
        ("opensource.org", ["licenses" | "license", id])
        | ("spdx.org", ["licenses", id])
        | ("choosealicense.com", ["licenses", id]) => (*id).to_owned(),
        ("opendatacommons.org", ["licenses", "by", ..]) => "odc-by".to_owned(),
        ("opendatacommons.org", ["licenses", id @ ("odbl" | "pddl"), ..]) => (*id).to_owned(),
        ("apache.org", ["licenses", id]) => id.replace("license-", "apache-"),
        ("gnu.org", ["licenses", id] | ["licenses", "old-licenses", id]) => {
            id.replace("fdl", "gfdl").replace("ggfdl", "gfdl")
        }
        ("mozilla.org", ["mpl", version]) | ("mozilla.org", [_, "mpl", version]) => {
            format!("mpl-{version}")
        }
        ("eclipse.org", ["legal", "epl-v10"]) => "epl-1.0".to_owned(),
        ("eclipse.org", ["legal", id]) => (*id).to_owned(),
        ("cdla.dev", [id]) => format!("cdla-{}", id.replace("-0", ".0")),
        ("boost.org", ["license_1_0"]) => "bsl-1.0".to_owned(),
        ("unlicense.org", _) => "unlicense".to_owned(),
        _ => return None,
    };
    by_key(&key(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_identifier_of_the_list_is_found_as_itself() {
        for licence in LICENSES.iter().filter(|licence| is_licence(licence)) {
            let found = by_name(licence.name);
            let id = if is_deprecated(licence) {
                present(licence.name)
            } else {
                licence.name
            };
            assert_eq!(found.as_deref(), Some(id));
            let small = licence.name.to_ascii_lowercase();
            assert_eq!(by_name(&small), found, "{small}");
        }
    }

    #[test]
    fn every_spelling_leads_to_an_identifier_or_a_reference() {
        for (said, id) in ALIASES {
            let is_listed = LICENSES.iter().any(|licence| licence.name == *id);
            assert!(is_listed || id.starts_with("LicenseRef-"), "{id}");
            assert_eq!(by_name(said).as_deref(), Some(*id), "{said}");
        }
    }
}
