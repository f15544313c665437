//! Conditions under which an audit fails: `leaked > 0, near_dup > 2%`.

use crate::document::GIVEAWAY;
use crate::report::Report;
use crate::rights::Decision;

/// What of a report can be a condition, with what a share of it is a share of.
const NAMES: [(&str, &str); 17] = [
    ("leaked", "items of benchmarks that are in the data"),
    ("suspect", "items that may be"),
    ("exact_dup", "records that say the same as an earlier one"),
    (
        "near_dup",
        "records that are exact or near duplicates, beyond one of each cluster",
    ),
    (
        "crossing",
        "records of files of the same form that are exact or near duplicates of the data",
    ),
    (
        "group_crossing",
        "records of files of the same form with a group that the data has too",
    ),
    (
        "label_conflict",
        "records that say the same as an earlier one, with another label",
    ),
    ("label_error", "records whose label is likely wrong"),
    ("giveaway", "fields that give the label away by themselves"),
    (
        "drift",
        "fields that are of other types or missing in some files",
    ),
    ("low_quality", "records that break a rule of quality"),
    ("private", "records with personal data or secrets"),
    ("secret", "keys, tokens and passwords"),
    (
        "suspicious",
        "triggers, second populations and sudden shifts that look as if somebody had put them there",
    ),
    (
        "opted_out",
        "records that say that they are not to be trained on",
    ),
    (
        "no_provenance",
        "records that name neither a source, nor an address, nor an author",
    ),
    ("skipped", "records that could not be read"),
];

/// What a condition compares.
#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    /// A number, or a percentage.
    Number { value: f64, is_share: bool },
    /// Licences: `unknown`, `missing`, `denied`, `review`, or an identifier, with `*` for any letters.
    Licence(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Above,
    AtLeast,
    Below,
    AtMost,
    Equal,
}

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    name: &'static str,
    relation: Relation,
    wanted: Wanted,
    text: String,
}

impl Condition {
    /// Reads conditions that commas part.
    ///
    /// ```
    /// use outlay_audit::Condition;
    /// assert_eq!(Condition::all("leaked > 0, near_dup>2%").unwrap().len(), 2);
    /// assert!(Condition::all("leaks > 0").unwrap_err().contains("allowed: leaked"));
    /// ```
    ///
    /// # Errors
    ///
    /// What is no condition, and what is allowed.
    pub fn all(text: &str) -> Result<Vec<Self>, String> {
        text.split(',').map(Self::one).collect()
    }

    fn one(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let allowed = || NAMES.map(|(name, _)| name).join(", ");
        let fault = |what: &str| {
            format!(
                "`{text}`: {what}; allowed: {}, then >, >=, <, <= or =, then a number or a percentage, such as near_dup > 2%; \
                 or license =, then unknown, missing, review, denied or an identifier of SPDX",
                allowed()
            )
        };
        let at = text
            .find(['<', '>', '='])
            .ok_or_else(|| fault("there is no comparison"))?;
        let (name, rest) = text.split_at(at);
        if ["license", "licence"].contains(&name.trim()) {
            let licence = rest.strip_prefix('=').map(str::trim).unwrap_or_default();
            if licence.is_empty() || licence.contains(['=', '<', '>', ' ']) {
                return Err(fault("it is not known which licences are meant"));
            }
            return Ok(Self {
                name: "license",
                relation: Relation::Equal,
                wanted: Wanted::Licence(licence.to_owned()),
                text: text.to_owned(),
            });
        }
        let (name, _) = NAMES
            .into_iter()
            .find(|(known, _)| *known == name.trim())
            .ok_or_else(|| fault("it is not known what is compared"))?;
        let (relation, value) = [
            (">=", Relation::AtLeast),
            ("<=", Relation::AtMost),
            (">", Relation::Above),
            ("<", Relation::Below),
            ("=", Relation::Equal),
        ]
        .into_iter()
        .find_map(|(sign, relation)| Some((relation, rest.strip_prefix(sign)?.trim())))
        .ok_or_else(|| fault("there is no comparison"))?;
        let (number, is_share) = match value.strip_suffix('%') {
            Some(number) => (number.trim(), true),
            None => (value, false),
        };
        let value: f64 = number
            .parse()
            .ok()
            .filter(|value: &f64| value.is_finite() && *value >= 0.0)
            .ok_or_else(|| fault("there is no number"))?;
        Ok(Self {
            name,
            relation,
            wanted: Wanted::Number { value, is_share },
            text: text.to_owned(),
        })
    }

    /// Whether it holds of a report, in a sentence; `None` where it does not.
    ///
    /// # Errors
    ///
    /// Where it was not looked at what it speaks of.
    pub fn holds(&self, report: &Report) -> Result<Option<String>, String> {
        let (wanted, is_share) = match &self.wanted {
            Wanted::Licence(licence) => return self.licences(licence, report),
            Wanted::Number { value, is_share } => (*value, *is_share),
        };
        let (n, n_all) = self.counted(report).ok_or_else(|| {
            format!(
                "`{}` cannot be said: {} were not looked for",
                self.text,
                self.what()
            )
        })?;
        let value = if is_share {
            100.0 * n as f64 / (n_all as f64).max(1.0)
        } else {
            n as f64
        };
        let holds = match self.relation {
            Relation::Above => value > wanted,
            Relation::AtLeast => value >= wanted,
            Relation::Below => value < wanted,
            Relation::AtMost => value <= wanted,
            Relation::Equal => value == wanted,
        };
        Ok(holds.then(|| {
            let is = if is_share {
                format!("{n} of {n_all}, {value:.2}%")
            } else {
                n.to_string()
            };
            format!("{}: {is} ({})", self.text, self.what())
        }))
    }

    fn licences(&self, wanted: &str, report: &Report) -> Result<Option<String>, String> {
        let Some(rights) = &report.rights else {
            return Err(format!(
                "`{}` cannot be said: licences were not looked for",
                self.text
            ));
        };
        let pattern = glob::Pattern::new(wanted).map_err(|error| {
            format!(
                "`{}`: {error}; allowed: an identifier of SPDX, with * for any letters",
                self.text
            )
        })?;
        let options = glob::MatchOptions {
            case_sensitive: false,
            ..glob::MatchOptions::default()
        };
        let is_one = |licence: &&crate::origin::LicenceView| match wanted {
            // Whoever asks for what is not known does not mean to take what says nothing.
            "unknown" => licence.licence == "missing" || licence.licence.starts_with("unknown ("),
            "missing" => licence.licence == "missing",
            "review" => licence.decision == Decision::Review,
            "denied" => licence.decision == Decision::Denied,
            _ => licence
                .licence
                .split([' ', '(', ')'])
                .any(|id| pattern.matches_with(id, options)),
        };
        let found: Vec<_> = rights.licences.iter().filter(is_one).collect();
        let n: u64 = found.iter().map(|licence| licence.n_records).sum();
        Ok(found.first().map(|first| {
            format!(
                "{}: {n} of {} records, such as {} ({})",
                self.text, report.n_records, first.first, first.licence
            )
        }))
    }

    fn what(&self) -> &'static str {
        let found = NAMES.iter().find(|(name, _)| *name == self.name);
        found.map_or("", |(_, what)| what)
    }

    fn counted(&self, report: &Report) -> Option<(u64, u64)> {
        let n_records = report.n_records;
        let duplicates = report.duplicates.as_ref();
        let leaks = report.leaks.as_ref().map(|leaks| {
            let n_items = leaks.long.n_items + leaks.short.n_items;
            (
                leaks.long.n_leaked + leaks.short.n_leaked,
                leaks.long.n_suspect + leaks.short.n_suspect,
                n_items,
            )
        });
        match self.name {
            "leaked" => leaks.map(|(leaked, _, all)| (leaked, all)),
            "suspect" => leaks.map(|(_, suspect, all)| (suspect, all)),
            "exact_dup" => duplicates.map(|duplicates| (duplicates.n_exact, n_records)),
            "near_dup" => duplicates.map(|duplicates| (duplicates.n_near, n_records)),
            "crossing" => report
                .crossing
                .as_ref()
                .map(|crossing| (crossing.n_near, crossing.n_records)),
            "group_crossing" => report.crossing.as_ref().and_then(|crossing| {
                let most = crossing.groups.iter().map(|group| group.n_records).max()?;
                Some((most, crossing.n_records))
            }),
            "label_conflict" => duplicates
                .and_then(|duplicates| duplicates.n_label_conflicts)
                .map(|n| (n, n_records)),
            "label_error" => report
                .labels
                .as_ref()
                .and_then(|labels| labels.errors.as_ref())
                .map(|errors| (errors.n_issues, errors.n_judged)),
            "giveaway" => report
                .labels
                .as_ref()
                .filter(|labels| labels.balance.is_some())
                .map(|labels| {
                    let fields = labels.giveaways.iter();
                    let n = fields.filter(|field| field.skill >= GIVEAWAY).count();
                    (n as u64, labels.giveaways.len() as u64)
                }),
            "suspicious" => report
                .suspicions
                .as_ref()
                .map(|suspicions| (suspicions.n(), n_records)),
            "opted_out" => report
                .rights
                .as_ref()
                .map(|rights| (rights.n_opted_out, n_records)),
            "no_provenance" => report
                .rights
                .as_ref()
                .map(|rights| (rights.n_without_provenance, n_records)),
            "drift" => {
                let n_fields = report.fields.fields.len() as u64 * report.n_files as u64;
                Some((report.fields.n_drifts, n_fields))
            }
            "low_quality" => report
                .quality
                .as_ref()
                .map(|quality| (quality.n_records, n_records)),
            "private" => report
                .privacy
                .as_ref()
                .map(|privacy| (privacy.n_records, n_records)),
            "secret" => report.privacy.as_ref().map(|privacy| {
                let secrets = privacy.found.iter().filter(|found| found.kind == "secret");
                (secrets.map(|found| found.n_places).sum(), n_records)
            }),
            _ => Some((report.n_skipped, n_records + report.n_skipped)),
        }
    }
}
