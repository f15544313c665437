//! Licences by their SPDX identifiers.

/// Identifiers of the SPDX list, <https://spdx.org/licenses/>, that data, texts and programs are given under.
const IDENTIFIERS: [&str; 84] = [
    "0BSD",
    "AFL-3.0",
    "AGPL-3.0",
    "AGPL-3.0-only",
    "AGPL-3.0-or-later",
    "Apache-2.0",
    "Artistic-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSD-3-Clause-Clear",
    "BSL-1.0",
    "C-UDA-1.0",
    "CC-BY-1.0",
    "CC-BY-2.0",
    "CC-BY-2.5",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-NC-1.0",
    "CC-BY-NC-2.0",
    "CC-BY-NC-2.5",
    "CC-BY-NC-3.0",
    "CC-BY-NC-4.0",
    "CC-BY-NC-ND-2.0",
    "CC-BY-NC-ND-2.5",
    "CC-BY-NC-ND-3.0",
    "CC-BY-NC-ND-4.0",
    "CC-BY-NC-SA-2.0",
    "CC-BY-NC-SA-2.5",
    "CC-BY-NC-SA-3.0",
    "CC-BY-NC-SA-4.0",
    "CC-BY-ND-2.0",
    "CC-BY-ND-2.5",
    "CC-BY-ND-3.0",
    "CC-BY-ND-4.0",
    "CC-BY-SA-1.0",
    "CC-BY-SA-2.0",
    "CC-BY-SA-2.5",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CC-PDDC",
    "CC0-1.0",
    "CDLA-Permissive-1.0",
    "CDLA-Permissive-2.0",
    "CDLA-Sharing-1.0",
    "CECILL-2.1",
    "ECL-2.0",
    "EPL-1.0",
    "EPL-2.0",
    "EUPL-1.1",
    "EUPL-1.2",
    "GFDL-1.2",
    "GFDL-1.3",
    "GFDL-1.3-or-later",
    "GPL-2.0",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "GPL-3.0",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "ISC",
    "LGPL-2.1",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "LGPL-3.0",
    "LGPL-3.0-only",
    "LGPL-3.0-or-later",
    "LPPL-1.3c",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "MS-PL",
    "NCSA",
    "O-UDA-1.0",
    "ODC-By-1.0",
    "ODbL-1.0",
    "OFL-1.1",
    "OGL-UK-2.0",
    "OGL-UK-3.0",
    "OSL-3.0",
    "PDDL-1.0",
    "PostgreSQL",
    "Unlicense",
    "WTFPL",
    "Zlib",
];

/// The page of a licence in the SPDX list, whatever its letters' case; `None` where it is none of those known.
pub(super) fn spdx_url(identifier: &str) -> Option<String> {
    let identifier = identifier.trim();
    IDENTIFIERS
        .iter()
        .find(|known| known.eq_ignore_ascii_case(identifier))
        .map(|known| format!("https://spdx.org/licenses/{known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_known_whatever_their_case() {
        assert_eq!(
            spdx_url("cc-by-sa-4.0").as_deref(),
            Some("https://spdx.org/licenses/CC-BY-SA-4.0")
        );
        assert_eq!(spdx_url("other"), None);
        assert!(IDENTIFIERS.is_sorted());
    }
}
