//! What a person allows: a policy in TOML, and what it makes of a licence.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::categories::{self, Category, Obligation};
use super::{Licence, expression, names, parsed};

/// What the data is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    /// A model that is used or sold for money.
    Commercial,
    /// Research that sells nothing.
    Research,
    /// Something else, as the lists say.
    Other,
}

impl Use {
    const ALL: [Self; 3] = [Self::Commercial, Self::Research, Self::Other];

    /// What it is called in a policy.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Commercial => "commercial",
            Self::Research => "research",
            Self::Other => "other",
        }
    }
}

/// What is to be done with a licence's records, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// They may be used.
    Allowed,
    /// A person has to look.
    Review,
    /// They may not be used.
    Denied,
}

impl Decision {
    /// What it is called in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Review => "review",
            Self::Denied => "denied",
        }
    }
}

/// What a policy makes of a licence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// What is to be done.
    pub decision: Decision,
    /// Why, in a sentence: `CC-BY-NC-4.0 is non-commercial, which the policy denies`.
    pub reason: String,
    /// What the licence asks for; of an `OR`, the one that was taken.
    pub obligations: Vec<Obligation>,
}

/// Why a policy cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}`: {said}; allowed: {allowed}")]
pub struct PolicyError {
    /// Which field is at fault; empty where the file is no TOML.
    pub field: String,
    /// What is wrong with it.
    pub said: String,
    /// What would be right.
    pub allowed: String,
}

/// Which licences may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What the data is for.
    pub intended: Use,
    categories: HashMap<Category, Decision>,
    /// In small letters.
    ids: HashMap<String, Decision>,
    patterns: Vec<(String, Decision)>,
    missing: Decision,
}

/// The fields as they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "use")]
    intended: String,
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    review: Vec<String>,
    #[serde(default)]
    deny: Vec<String>,
    missing: Option<String>,
}

const COMMERCIAL: &str = include_str!("commercial.toml");
const RESEARCH: &str = include_str!("research.toml");

fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names
        .into_iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

impl Policy {
    /// A policy to begin with, as TOML that a person can print and edit; for other uses than research, the commercial one.
    #[must_use]
    pub fn built_in(intended: Use) -> &'static str {
        match intended {
            Use::Research => RESEARCH,
            Use::Commercial | Use::Other => COMMERCIAL,
        }
    }

    /// Reads a policy.
    ///
    /// # Errors
    ///
    /// A field, what is wrong with it and what is allowed: an unknown field or use, an entry that is no kind, identifier or
    /// pattern, a pattern that no identifier matches, or one entry in two lists.
    ///
    /// ```
    /// use outlay_audit::{Decision, Licence, Policy, Use};
    /// let policy = Policy::from_toml(Policy::built_in(Use::Commercial)).expect("is shipped");
    /// let verdict = policy.judge(&Licence::read("cc-by-nc-4.0"));
    /// assert_eq!(verdict.decision, Decision::Denied);
    /// assert_eq!(verdict.reason, "CC-BY-NC-4.0 is non-commercial, which the policy denies");
    /// let error = Policy::from_toml("use = \"commercial\"\nallow = [\"permisive\"]").unwrap_err();
    /// assert!(error.to_string().starts_with("field `allow`: `permisive` is no kind"));
    /// ```
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        let written: Written = toml::from_str(text).map_err(|error| unread(&error, text))?;
        let error = |field: &str, said: String, allowed: String| PolicyError {
            field: field.to_owned(),
            said,
            allowed,
        };
        let intended = Use::ALL
            .into_iter()
            .find(|intended| intended.name() == written.intended)
            .ok_or_else(|| {
                error(
                    "use",
                    format!("`{}` is no use that is known", written.intended),
                    listed(Use::ALL.map(Use::name)),
                )
            })?;
        let missing = match written.missing.as_deref() {
            None | Some("review") => Decision::Review,
            Some("allow") => Decision::Allowed,
            Some("deny") => Decision::Denied,
            Some(other) => {
                return Err(error(
                    "missing",
                    format!("`{other}` is nothing that can be done"),
                    listed(["allow", "review", "deny"]),
                ));
            }
        };
        let mut policy = Self {
            intended,
            categories: HashMap::new(),
            ids: HashMap::new(),
            patterns: Vec::new(),
            missing,
        };
        let lists = [
            ("allow", &written.allow, Decision::Allowed),
            ("review", &written.review, Decision::Review),
            ("deny", &written.deny, Decision::Denied),
        ];
        let mut listed_in: HashMap<String, &str> = HashMap::new();
        for (field, entries, decision) in lists {
            for entry in entries {
                let own = policy.add(field, entry.trim(), decision)?;
                if let Some(other) = listed_in.insert(own, field)
                    && other != field
                {
                    return Err(error(
                        field,
                        format!("`{entry}` is in `{other}` as well"),
                        "each entry in one list".to_owned(),
                    ));
                }
            }
        }
        Ok(policy)
    }

    /// Adds an entry, and gives what it is known by.
    fn add(&mut self, field: &str, entry: &str, decision: Decision) -> Result<String, PolicyError> {
        if let Some(category) = Category::ALL.into_iter().find(|one| one.name() == entry) {
            self.categories.insert(category, decision);
            return Ok(entry.to_owned());
        }
        let error = |said: String| PolicyError {
            field: field.to_owned(),
            said,
            allowed: format!(
                "the kinds {}, identifiers of https://spdx.org/licenses or `LicenseRef-…`, and patterns of these with `*`",
                listed(Category::ALL.map(Category::name))
            ),
        };
        if entry.contains('*') {
            if !entry.starts_with("LicenseRef-")
                && !names::is_any(|id| categories::matches(entry, id))
            {
                return Err(error(format!(
                    "the pattern `{entry}` matches no identifier"
                )));
            }
            self.patterns.push((entry.to_owned(), decision));
            return Ok(entry.to_ascii_lowercase());
        }
        // A name such as `Apache 2.0` means the same as its identifier, also here.
        match expression(entry) {
            Some(id) if !id.contains(" OR ") && !id.contains(" AND ") => {
                let id = id.to_ascii_lowercase();
                self.ids.insert(id.clone(), decision);
                Ok(id)
            }
            Some(_) => Err(error(format!(
                "`{entry}` is an expression of several licences"
            ))),
            None => Err(error(format!(
                "`{entry}` is no kind, identifier or pattern that is known"
            ))),
        }
    }

    /// Judges a licence: of an `OR` the best counts, of an `AND` the worst, and an exception (`WITH`) leaves it at the licence's
    /// own verdict, as exceptions only allow more, unless the policy names both together.
    #[must_use]
    pub fn judge(&self, licence: &Licence) -> Verdict {
        let of_unknown = |reason: String, decision| Verdict {
            decision,
            reason,
            obligations: Vec::new(),
        };
        let expression = match licence {
            Licence::Missing => {
                let decision = self.missing;
                return of_unknown(
                    format!("no licence is told, which the policy {}", verb(decision)),
                    decision,
                );
            }
            Licence::Unknown(said) => {
                let decision = self.of_category(Category::Unknown);
                return of_unknown(
                    format!(
                        "`{said}` is no licence that is known, which the policy {}",
                        verb(decision)
                    ),
                    decision,
                );
            }
            Licence::Spdx(expression) => expression,
        };
        let Some(parsed) = parsed(expression) else {
            return of_unknown(
                format!("`{expression}` is no expression of SPDX"),
                self.of_category(Category::Unknown).max(Decision::Review),
            );
        };
        // In postfix order: operands before their operator.
        let mut verdicts: Vec<Verdict> = Vec::new();
        for node in parsed.iter() {
            match node {
                spdx::expression::ExprNode::Req(one) => verdicts.push(self.judge_one(&one.req)),
                spdx::expression::ExprNode::Op(operator) => {
                    let (Some(right), Some(left)) = (verdicts.pop(), verdicts.pop()) else {
                        break;
                    };
                    verdicts.push(match operator {
                        spdx::expression::Operator::Or => either(left, right),
                        spdx::expression::Operator::And => both(left, right),
                    });
                }
            }
        }
        verdicts
            .pop()
            .unwrap_or_else(|| of_unknown("nothing is told".to_owned(), Decision::Review))
    }

    fn of_category(&self, category: Category) -> Decision {
        self.categories
            .get(&category)
            .copied()
            .unwrap_or(Decision::Review)
    }

    fn judge_one(&self, one: &spdx::LicenseReq) -> Verdict {
        let id = one.license.to_string();
        let categories = categories::of(&id);
        let obligations =
            categories.map_or(Vec::new(), |kinds| categories::obligations(&id, kinds));
        let whole = one.to_string();
        let (mut decision, mut reason) = self.decide(&id, categories);
        if one.addition.is_some() {
            if let Some(named) = self.ids.get(&whole.to_ascii_lowercase()) {
                (decision, reason) = (
                    *named,
                    format!("the policy names {whole}, which it {}", verb(*named)),
                );
            } else {
                reason.push_str(", whatever the exception");
            }
        }
        Verdict {
            decision,
            reason,
            obligations,
        }
    }

    fn decide(&self, id: &str, kinds: Option<&[Category]>) -> (Decision, String) {
        if let Some(decision) = self.ids.get(&id.to_ascii_lowercase()) {
            return (
                *decision,
                format!("the policy names {id}, which it {}", verb(*decision)),
            );
        }
        let by_pattern = self
            .patterns
            .iter()
            .filter(|(pattern, _)| categories::matches(pattern, id))
            .max_by_key(|(_, decision)| *decision);
        if let Some((pattern, decision)) = by_pattern {
            return (
                *decision,
                format!(
                    "{id} is of `{pattern}`, which the policy {}",
                    verb(*decision)
                ),
            );
        }
        let Some(kinds) = kinds else {
            return (
                Decision::Review,
                format!("{id} is of no kind that is known here, so that a person has to look"),
            );
        };
        // The first of the strictest kinds gives the reason.
        let strictest = kinds
            .iter()
            .map(|kind| self.of_category(*kind))
            .max()
            .unwrap_or(Decision::Review);
        let kind = kinds
            .iter()
            .find(|kind| self.of_category(**kind) == strictest)
            .copied()
            .unwrap_or(Category::Unknown);
        let reason = if self.categories.contains_key(&kind) {
            format!(
                "{id} is {}, which the policy {}",
                kind.name(),
                verb(strictest)
            )
        } else {
            format!("{id} is {}, of which the policy says nothing", kind.name())
        };
        (strictest, reason)
    }
}

fn verb(decision: Decision) -> &'static str {
    match decision {
        Decision::Allowed => "allows",
        Decision::Review => "leaves to review",
        Decision::Denied => "denies",
    }
}

/// The better of two, and among equals the one that asks for less, the first.
fn either(left: Verdict, right: Verdict) -> Verdict {
    let rank = |verdict: &Verdict| (verdict.decision, verdict.obligations.len());
    if rank(&right) < rank(&left) {
        right
    } else {
        left
    }
}

/// The worse of two, with what both ask for.
fn both(left: Verdict, right: Verdict) -> Verdict {
    let mut obligations = left.obligations.clone();
    obligations.extend(&right.obligations);
    obligations.sort_unstable();
    obligations.dedup();
    let worse = if right.decision > left.decision {
        right
    } else {
        left
    };
    Verdict {
        obligations,
        ..worse
    }
}

/// What the reader of TOML says, with the name of the field where one is at fault.
fn unread(error: &toml::de::Error, text: &str) -> PolicyError {
    let line = error
        .span()
        .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let field = error
        .span()
        .and_then(|span| text.get(..span.start))
        .and_then(|before| text.get(before.rfind('\n').map_or(0, |at| at + 1)..))
        .and_then(|rest| rest.lines().next())
        .and_then(|line| line.split('=').next())
        .map(|name| name.trim().to_owned())
        .unwrap_or_default();
    let line = line.map_or(String::new(), |line| format!(" (line {line})"));
    PolicyError {
        field,
        said: format!("{}{line}", error.message().replace('\n', ", ")),
        allowed: "`use` with a text, `missing` with a text, and `allow`, `review` and `deny` with lists of texts".to_owned(),
    }
}
