//! Which fields of a record tell where it comes from, and what counts as saying nothing.

use serde::Serialize;

/// What a field tells of a record's origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Under which licence it is.
    Licence,
    /// From which collection, site or set it is.
    Source,
    /// At which address it was.
    Url,
    /// Who made it.
    Author,
    /// When it was made or fetched.
    Date,
}

impl Origin {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Licence,
        Self::Source,
        Self::Url,
        Self::Author,
        Self::Date,
    ];

    /// What it is called in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Licence => "licence",
            Self::Source => "source",
            Self::Url => "url",
            Self::Author => "author",
            Self::Date => "date",
        }
    }

    /// Names of fields that commonly hold it, the likeliest first, in small letters with `_` between words.
    #[must_use]
    pub fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Licence => &[
                "license",
                "licence",
                "licenses",
                "licences",
                "license_name",
                "license_id",
                "license_type",
                "license_url",
                "spdx",
                "spdx_id",
                "detected_licenses",
                "repo_license",
                "repository_license",
                "max_stars_repo_licenses",
                "rights",
                "usage_rights",
                "dc_rights",
            ],
            Self::Source => &[
                "source",
                "source_name",
                "dataset",
                "dataset_name",
                "data_source",
                "origin",
                "provenance",
                "corpus",
                "subset",
                "repo",
                "repo_name",
                "repository",
                "repository_name",
                "max_stars_repo_name",
                "domain",
                "publisher",
                "site",
            ],
            Self::Url => &[
                "url",
                "uri",
                "link",
                "href",
                "source_url",
                "page_url",
                "original_url",
                "web_url",
                "warc_target_uri",
                "permalink",
                "doi",
            ],
            Self::Author => &[
                "author",
                "authors",
                "creator",
                "creators",
                "contributor",
                "contributors",
                "user",
                "username",
                "user_name",
                "byline",
                "writer",
                "owner",
                "dc_creator",
            ],
            Self::Date => &[
                "date",
                "created",
                "created_at",
                "creation_date",
                "published",
                "published_at",
                "publish_date",
                "publication_date",
                "date_published",
                "timestamp",
                "crawl_date",
                "date_crawled",
                "date_download",
                "fetched_at",
                "retrieved",
                "warc_date",
                "added",
                "last_modified",
                "updated_at",
                "year",
            ],
        }
    }

    /// What a field tells, by its name in any case and with `-`, spaces or points for `_`; of a path, the last part counts.
    ///
    /// ```
    /// use outlay_audit::Origin;
    /// assert_eq!(Origin::of("meta.License"), Some(Origin::Licence));
    /// assert_eq!(Origin::of("WARC-Target-URI"), Some(Origin::Url));
    /// assert_eq!(Origin::of("text"), None);
    /// ```
    #[must_use]
    pub fn of(field: &str) -> Option<Self> {
        let whole: String = field
            .chars()
            .map(|letter| match letter {
                '-' | ' ' | '.' | ':' | '/' => '_',
                letter => letter.to_ascii_lowercase(),
            })
            .collect();
        let last = field.rsplit(['.', '/']).next().unwrap_or(field);
        let last = whole.get(whole.len().saturating_sub(last.len())..)?;
        Self::ALL
            .into_iter()
            .find(|origin| origin.fields().contains(&last) || origin.fields().contains(&&*whole))
    }
}

/// What people write where they say nothing.
const NOTHING: [&str; 19] = [
    "none",
    "null",
    "nil",
    "nan",
    "n/a",
    "na",
    "n.a.",
    "-",
    "--",
    "?",
    "[]",
    "{}",
    "\"\"",
    "tbd",
    "todo",
    "undefined",
    "missing",
    "not specified",
    "not available",
];

/// Whether a value says nothing: it is empty, or one of the words that people and programs put for that, as `N/A` and `null`.
///
/// `unknown` and `other` do say something: that it was looked at.
#[must_use]
pub fn is_missing(value: &str) -> bool {
    let value = value.trim();
    value.is_empty()
        || NOTHING
            .iter()
            .any(|nothing| nothing.eq_ignore_ascii_case(value))
}
