//! What kinds of licences there are, which kind each is, and what it asks for.

use serde::Serialize;

/// A kind of licence; one may be of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// No right is kept.
    PublicDomain,
    /// Nearly everything may be done; mostly the notice has to go along.
    Permissive,
    /// The author has to be named.
    Attribution,
    /// Changed files stay under the licence; what stands beside them need not.
    WeakCopyleft,
    /// The whole of what is made from it stays under the licence, when it is passed on.
    Copyleft,
    /// As copyleft, also where it is only used over a network.
    NetworkCopyleft,
    /// What is adapted from it has to be under the same licence.
    ShareAlike,
    /// Named uses are forbidden, or a licence of its maker holds: OpenRAIL, Llama, Gemma.
    UseRestricted,
    /// What is adapted from it may not be passed on.
    NoDerivatives,
    /// It may not be used for commercial advantage.
    NonCommercial,
    /// It may only be used for research.
    ResearchOnly,
    /// All rights are kept, or the use is by contract.
    Proprietary,
    /// It is not known which licence it is.
    Unknown,
}

impl Category {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::PublicDomain,
        Self::Permissive,
        Self::Attribution,
        Self::WeakCopyleft,
        Self::Copyleft,
        Self::NetworkCopyleft,
        Self::ShareAlike,
        Self::UseRestricted,
        Self::NoDerivatives,
        Self::NonCommercial,
        Self::ResearchOnly,
        Self::Proprietary,
        Self::Unknown,
    ];

    /// What it is called in a policy.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PublicDomain => "public-domain",
            Self::Permissive => "permissive",
            Self::Attribution => "attribution",
            Self::WeakCopyleft => "weak-copyleft",
            Self::Copyleft => "copyleft",
            Self::NetworkCopyleft => "network-copyleft",
            Self::ShareAlike => "share-alike",
            Self::UseRestricted => "use-restricted",
            Self::NoDerivatives => "no-derivatives",
            Self::NonCommercial => "non-commercial",
            Self::ResearchOnly => "research-only",
            Self::Proprietary => "proprietary",
            Self::Unknown => "unknown",
        }
    }
}

/// What a licence asks of who passes the work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Obligation {
    /// Name the author, the licence and changes.
    Attribution,
    /// Keep the notices of copyright and licence.
    Notices,
    /// Pass on what is made from it under the same licence.
    ShareAlike,
    /// Give the source.
    Source,
    /// Give the source also to those who use it over a network.
    NetworkSource,
    /// Keep to the uses that are allowed, and pass that on.
    UseRestrictions,
}

use Category::{
    Attribution, Copyleft, NetworkCopyleft, NoDerivatives, NonCommercial, Permissive, Proprietary,
    PublicDomain, ResearchOnly, ShareAlike, UseRestricted, WeakCopyleft,
};

/// Which kinds identifiers are of, by patterns, the first that matches; `*` is any run of signs.
///
/// By the licences' own words; where they leave it open, the stricter kind.
const TABLE: &[(&str, &[Category])] = &[
    ("CC0-*", &[PublicDomain]),
    ("CC-PDDC", &[PublicDomain]),
    ("CC-PDM-*", &[PublicDomain]),
    ("PDDL-*", &[PublicDomain]),
    ("Unlicense*", &[PublicDomain]),
    ("LicenseRef-public-domain", &[PublicDomain]),
    ("DL-DE-ZERO-2.0", &[PublicDomain]),
    ("SAX-PD*", &[PublicDomain]),
    ("NIST-PD*", &[PublicDomain]),
    ("blessing", &[PublicDomain]),
    // Creative Commons, with and without version, ported or not.
    ("*CC-BY-NC-SA*", &[Attribution, NonCommercial, ShareAlike]),
    (
        "*CC-BY-NC-ND*",
        &[Attribution, NonCommercial, NoDerivatives],
    ),
    ("*CC-BY-NC*", &[Attribution, NonCommercial]),
    ("*CC-BY-ND*", &[Attribution, NoDerivatives]),
    ("*CC-BY-SA*", &[Attribution, ShareAlike]),
    ("*CC-BY*", &[Attribution]),
    ("CC-SA-*", &[ShareAlike]),
    // Data.
    ("ODC-By-*", &[Attribution]),
    ("ODbL-*", &[Attribution, ShareAlike]),
    ("CDLA-Permissive-*", &[Permissive]),
    ("CDLA-Sharing-*", &[Attribution, ShareAlike]),
    ("O-UDA-1.0", &[Attribution]),
    ("OGL-*", &[Attribution]),
    ("LicenseRef-OGL", &[Attribution]),
    ("etalab-2.0", &[Attribution]),
    ("LicenseRef-etalab", &[Attribution]),
    ("DL-DE-BY-2.0", &[Attribution]),
    ("NLOD-*", &[Attribution]),
    // Copyleft.
    ("AGPL-*", &[NetworkCopyleft]),
    ("LicenseRef-AGPL", &[NetworkCopyleft]),
    ("SSPL-*", &[NetworkCopyleft, Proprietary]),
    ("EUPL-*", &[NetworkCopyleft]),
    ("OSL-*", &[NetworkCopyleft]),
    ("CPAL-*", &[NetworkCopyleft]),
    ("RPL-*", &[NetworkCopyleft]),
    ("GPL-*", &[Copyleft]),
    ("LicenseRef-GPL", &[Copyleft]),
    ("GFDL-*", &[Copyleft, Attribution]),
    ("LicenseRef-GFDL", &[Copyleft, Attribution]),
    ("CECILL-B", &[Permissive]),
    ("CECILL-C", &[WeakCopyleft]),
    ("CECILL-*", &[Copyleft]),
    ("Sleepycat", &[Copyleft]),
    ("LGPL-*", &[WeakCopyleft]),
    ("LicenseRef-LGPL", &[WeakCopyleft]),
    ("LGPLLR", &[WeakCopyleft]),
    ("MPL-*", &[WeakCopyleft]),
    ("LicenseRef-MPL", &[WeakCopyleft]),
    ("EPL-*", &[WeakCopyleft]),
    ("LicenseRef-EPL", &[WeakCopyleft]),
    ("CDDL-*", &[WeakCopyleft]),
    ("CPL-*", &[WeakCopyleft]),
    ("IPL-*", &[WeakCopyleft]),
    ("MS-RL", &[WeakCopyleft]),
    ("MS-PL", &[WeakCopyleft]),
    ("LPPL-*", &[WeakCopyleft]),
    ("Artistic-*", &[WeakCopyleft]),
    ("OFL-*", &[WeakCopyleft]),
    // Permissive.
    ("MIT", &[Permissive]),
    ("MIT-*", &[Permissive]),
    ("LicenseRef-MIT-style", &[Permissive]),
    ("BSD-*-No-Military-*", &[UseRestricted]),
    ("BSD-*-No-Nuclear-*", &[UseRestricted]),
    ("BSD-Protection", &[Copyleft]),
    ("BSD-*", &[Permissive]),
    ("LicenseRef-BSD", &[Permissive]),
    ("0BSD", &[Permissive]),
    ("Apache-*", &[Permissive]),
    ("LicenseRef-Apache", &[Permissive]),
    ("ISC*", &[Permissive]),
    ("LicenseRef-ISC-style", &[Permissive]),
    ("Zlib", &[Permissive]),
    ("zlib-acknowledgement", &[Permissive]),
    ("Libpng", &[Permissive]),
    ("libpng-*", &[Permissive]),
    ("BSL-1.0", &[Permissive]),
    ("X11*", &[Permissive]),
    ("HPND*", &[Permissive]),
    ("NCSA", &[Permissive]),
    ("PostgreSQL", &[Permissive]),
    ("Python-2.0*", &[Permissive]),
    ("PSF-2.0", &[Permissive]),
    ("PHP-*", &[Permissive]),
    ("Ruby", &[Permissive]),
    ("TCL", &[Permissive]),
    ("curl", &[Permissive]),
    ("OpenSSL*", &[Permissive]),
    ("FTL", &[Permissive]),
    ("IJG", &[Permissive]),
    ("ICU", &[Permissive]),
    ("Unicode-3.0", &[Permissive]),
    ("Unicode-DFS-*", &[Permissive]),
    ("W3C*", &[Permissive]),
    ("UPL-1.0", &[Permissive]),
    ("AFL-*", &[Permissive]),
    ("ECL-*", &[Permissive]),
    ("MulanPSL-*", &[Permissive]),
    ("OpenMDW-*", &[Permissive]),
    ("OLDAP-*", &[Permissive]),
    ("ZPL-*", &[Permissive]),
    ("WTFPL", &[Permissive]),
    ("Beerware", &[Permissive]),
    // Variants of MIT, BSD and ISC.
    ("Clips", &[Permissive]),
    ("HDF5", &[Permissive]),
    ("Intel", &[Permissive]),
    ("Linux-OpenIB", &[Permissive]),
    ("Net-SNMP", &[Permissive]),
    ("OSSP", &[Permissive]),
    ("pkgconf", &[Permissive]),
    ("SGI-B-2.0", &[Permissive]),
    ("Xnet", &[Permissive]),
    ("Vim", &[Permissive]),
    // Restricted.
    ("JSON", &[UseRestricted]),
    ("Hippocratic-*", &[UseRestricted]),
    ("C-UDA-1.0", &[UseRestricted]),
    ("LicenseRef-OpenRAIL*", &[UseRestricted]),
    ("LicenseRef-*-openrail-m", &[UseRestricted]),
    ("LicenseRef-bigscience-bloom-rail-*", &[UseRestricted]),
    ("LicenseRef-Llama-*", &[UseRestricted, Attribution]),
    ("LicenseRef-Gemma", &[UseRestricted]),
    ("LicenseRef-grok2-community", &[UseRestricted]),
    ("LicenseRef-deepfloyd-if", &[UseRestricted, NonCommercial]),
    ("LicenseRef-non-commercial", &[NonCommercial]),
    ("LicenseRef-research-only", &[ResearchOnly]),
    ("LicenseRef-h-research", &[ResearchOnly]),
    ("LicenseRef-intel-research", &[ResearchOnly]),
    ("LicenseRef-apple-amlr", &[ResearchOnly]),
    (
        "LicenseRef-fair-noncommercial-research",
        &[ResearchOnly, NonCommercial],
    ),
    ("PolyForm-Noncommercial-*", &[NonCommercial]),
    ("PolyForm-*", &[Proprietary]),
    ("BUSL-*", &[Proprietary]),
    ("FSL-*", &[Proprietary]),
    ("Elastic-*", &[Proprietary]),
    ("LicenseRef-proprietary", &[Proprietary]),
];

/// Licences that ask for nothing though they are permissive.
const ASK_NOTHING: [&str; 3] = ["0BSD", "MIT-0", "WTFPL"];

/// The kinds of an identifier; none where it is not in the table.
pub(super) fn of(id: &str) -> Option<&'static [Category]> {
    TABLE
        .iter()
        .find(|(pattern, _)| matches(pattern, id))
        .map(|(_, categories)| *categories)
}

/// What a licence asks for.
pub(super) fn obligations(id: &str, categories: &[Category]) -> Vec<Obligation> {
    let mut asked = Vec::new();
    for category in categories {
        match category {
            Attribution => asked.push(Obligation::Attribution),
            Permissive if !ASK_NOTHING.contains(&id) => asked.push(Obligation::Notices),
            WeakCopyleft | Copyleft => {
                asked.extend([
                    Obligation::Notices,
                    Obligation::ShareAlike,
                    Obligation::Source,
                ]);
            }
            NetworkCopyleft => asked.extend([
                Obligation::Notices,
                Obligation::ShareAlike,
                Obligation::Source,
                Obligation::NetworkSource,
            ]),
            ShareAlike => asked.push(Obligation::ShareAlike),
            UseRestricted => asked.push(Obligation::UseRestrictions),
            _ => {}
        }
    }
    asked.sort_unstable();
    asked.dedup();
    asked
}

/// Whether a pattern matches in any case, where `*` is any run of signs.
pub(super) fn matches(pattern: &str, id: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let begins = |text: &str, part: &str| {
        text.get(..part.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(part))
    };
    if !begins(id, first) {
        return false;
    }
    let mut rest = &id[first.len()..];
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            let start = rest.len().checked_sub(part.len());
            return start
                .and_then(|start| rest.get(start..))
                .is_some_and(|end| end.eq_ignore_ascii_case(part));
        }
        let Some(at) =
            (0..=rest.len()).find(|at| rest.get(*at..).is_some_and(|from| begins(from, part)))
        else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_identifiers() {
        assert!(matches("CC-BY-*", "cc-by-4.0") && matches("*", "") && matches("a*c*e", "abcde"));
        assert!(
            !matches("CC-BY-*", "CC0-1.0") && !matches("MIT", "MIT-0") && !matches("a*b*b", "ab")
        );
        assert!(!matches("é*", "e") && !matches("a*", "é"));
    }

    #[test]
    fn every_pattern_matches_an_identifier_that_none_before_it_takes() {
        for (at, (pattern, categories)) in TABLE.iter().enumerate() {
            assert!(!categories.is_empty());
            let is_used = |id: &str| {
                matches(pattern, id) && !TABLE[..at].iter().any(|(before, _)| matches(before, id))
            };
            assert!(
                super::super::names::is_any(is_used) || pattern.starts_with("LicenseRef-"),
                "{pattern}"
            );
        }
    }
}
