//! What an audit says of labels and groups: how they are spread, which are likely wrong, what gives them away.

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::audit::{Audit, Settings};
use crate::balance::{
    Association, Balance, BalanceSettings, Proxy, associations, balance, proxies,
};
use crate::columns::Column;
use crate::features::Features;
use crate::labels::{LabelErrors, LabelSettings, LabelsError, Probabilities, label_errors};
use crate::model::{Model, ModelSettings, out_of_fold};
use crate::rows::{SampleTable, number};

/// What is said of labels and groups.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Judged {
    /// Records that were looked at for it: all, or a sample of so many.
    pub n_sampled: u64,
    /// Records of which these are.
    pub n_records: u64,
    /// How labels are spread, where a field of labels is named.
    pub balance: Option<Balance>,
    /// Labels that are likely wrong.
    pub errors: Option<ErrorsView>,
    /// Fields that tell the label, the best first.
    pub giveaways: Vec<Proxy>,
    /// What labels have to do with each group.
    pub associations: Vec<Association>,
    /// Of each group, the fields that tell it.
    pub proxies: Vec<GroupProxies>,
}

/// Fields that tell a group.
#[derive(Clone, Debug, Serialize)]
pub struct GroupProxies {
    /// The group's field.
    pub group: String,
    /// The fields, the best first.
    pub fields: Vec<Proxy>,
}

/// Labels that are likely wrong.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorsView {
    /// What told: `given probabilities`, `texts`, `fields`, `pixels`.
    pub by: &'static str,
    /// The model that told by it: `logistic regression`, `nearest neighbours`; none for probabilities given.
    pub model: Option<&'static str>,
    /// Share of the labels that are the ones it holds for the likeliest. Where it is low, what it tells says more of the model than of the labels.
    pub share_agreed: f64,
    /// Records whose labels were judged.
    pub n_judged: u64,
    /// How many labels are wrong, as is estimated.
    pub n_errors: f64,
    /// The same as a share.
    pub share_errors: f64,
    /// Labels that are likely wrong: how many.
    pub n_issues: u64,
    /// The surest.
    pub first: Vec<IssueView>,
    /// Labels that are given where others are likely, the most frequent first.
    pub pairs: Vec<PairView>,
    /// All of them.
    #[serde(skip)]
    pub issues: Vec<IssueView>,
}

/// A label that is likely wrong.
#[derive(Clone, Debug, Serialize)]
pub struct IssueView {
    /// The record: its own id, or its file and line.
    pub record: String,
    /// Its label.
    pub label: String,
    /// The likeliest one.
    pub suggested: String,
    /// The probability of its own, by a model that did not learn from it.
    pub self_confidence: f32,
    /// Its number.
    #[serde(skip)]
    pub number: u32,
}

/// A label that is given where another is likely.
#[derive(Clone, Debug, Serialize)]
pub struct PairView {
    /// The one that is given.
    pub given: String,
    /// The one that is likely.
    pub likely: String,
    /// How often, as is estimated.
    pub n_estimated: f64,
}

/// Issues, fields and pairs that are listed.
const LISTED: usize = 10;

/// Different values up to which a field of names is given to a model: more tell single records.
const NAMES: usize = 50;

/// Columns that a model learns from.
const COLUMNS: usize = 500;

/// Records that a model learns from, evenly spread over the sample: of more, its fits take minutes.
const LEARNT: usize = 20_000;

/// Neighbours that have a say.
const NEIGHBOURS: usize = 10;

/// Share of the labels that a model of pixels has to tell for its doubts to be worth anything: what photographs show is not told by where it is bright.
const PIXELS_TELL: f64 = 0.7;

/// Classes that are judged, at most: of more, each has few examples, or they are no classes.
const CLASSES: usize = 200;

impl Judged {
    /// Looks at labels and groups, as far as `settings` name them. `given` are probabilities of all records of the data, out of fold, with classes in the order of `classes`.
    ///
    /// # Errors
    ///
    /// When the probabilities given are not of these records and labels; and when the working file with ids cannot be read.
    pub fn new(
        audit: &Audit,
        settings: &Settings,
        given: Option<Probabilities>,
    ) -> io::Result<Option<Self>> {
        if settings.label.is_none() && settings.groups.is_empty() {
            return Ok(None);
        }
        let sample = &audit.sample;
        let column = |name: &str| {
            sample
                .column(name)
                .map(|values| Column::new(name, values.iter().map(Option::as_ref)))
        };
        let how = BalanceSettings::default();
        let mut judged = Self {
            n_sampled: sample.len() as u64,
            n_records: sample.n_records,
            ..Self::default()
        };
        let label = settings.label.as_deref().and_then(column);
        let groups: Vec<Column> = settings
            .groups
            .iter()
            .filter_map(|name| column(name))
            .collect();
        let others: Vec<Column> = sample
            .names
            .iter()
            .filter(|name| is_feature(name, settings))
            .filter_map(|name| column(name))
            .collect();
        if settings.label.is_some() {
            // Counted over all records, and not the sample.
            judged.balance = Some(balance(&all_labels(audit)));
        }
        if let Some(label) = &label {
            judged.associations = associations(label, &groups, how);
            judged.giveaways = proxies(label, &others, how);
            judged.giveaways.truncate(LISTED);
        }
        if settings.label.is_some() {
            judged.errors = match given {
                Some(given) => Some(by_given(audit, &given)?),
                None => by_model(audit, settings)?,
            };
        }
        judged.proxies = groups
            .iter()
            .map(|group| {
                let of = |column: &&Column| column.name() != group.name();
                let others: Vec<Column> = others.iter().filter(of).cloned().collect();
                let mut fields = proxies(group, &others, how);
                fields.truncate(LISTED);
                GroupProxies {
                    group: group.name().to_owned(),
                    fields,
                }
            })
            .collect();
        Ok(Some(judged))
    }

    /// Writes every label that is likely wrong as a line of JSON, the surest first: an `IssueView`.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write_issues(&self, out: &mut impl Write) -> io::Result<()> {
        for issue in self.errors.iter().flat_map(|errors| &errors.issues) {
            serde_json::to_writer(&mut *out, issue)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }
}

/// The classes of an audit's labels, in the order that probabilities given have them: sorted, as numbers where all are numbers.
#[must_use]
pub fn classes(audit: &Audit) -> Vec<&str> {
    let mut names: Vec<&str> = audit
        .counts
        .labels
        .names()
        .iter()
        .map(String::as_str)
        .collect();
    if names.iter().all(|name| number(name).is_some()) {
        names.sort_by(|one, other| {
            let of = |name: &str| number(name).unwrap_or(0.0);
            of(one).total_cmp(&of(other))
        });
    } else {
        names.sort_unstable();
    }
    names
}

/// Whether a field may tell something of a record: all but ids, the label and what tells of the record.
fn is_feature(name: &str, settings: &Settings) -> bool {
    let fields = &settings.fields;
    settings.label.as_deref() != Some(name)
        && fields.is_content(name)
        && fields.id.as_deref().unwrap_or("id") != name
}

fn all_labels(audit: &Audit) -> Column {
    let counts = &audit.counts;
    let of = counts.label_of.iter().take(audit.n_records as usize);
    let name = counts.label.clone().unwrap_or_default();
    Column::new(name, of.map(|label| counts.label_name(*label)))
}

fn wrong(error: &LabelsError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error.to_string())
}

/// By probabilities of all records.
fn by_given(audit: &Audit, given: &Probabilities) -> io::Result<ErrorsView> {
    let names = classes(audit);
    let number_of: HashMap<&str, u32> = names.iter().copied().zip(0..).collect();
    if given.n_examples() != audit.n_records as usize || given.n_classes() != names.len() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "the probabilities are {} rows of {} classes; allowed: {} rows, one for each record, of {} classes, one for each label, sorted",
                given.n_examples(),
                given.n_classes(),
                audit.n_records,
                names.len()
            ),
        ));
    }
    let (mut records, mut labels, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for record in 0..audit.n_records {
        let label = audit.counts.label_of.get(record as usize).copied();
        let name = label.and_then(|label| audit.counts.label_name(label));
        if let Some(number) = name.and_then(|name| number_of.get(name)) {
            records.push(record);
            labels.push(*number);
            values.extend_from_slice(given.of(record as usize));
        }
    }
    let probabilities =
        Probabilities::new(names.len().max(1), values).map_err(|error| wrong(&error))?;
    let found = label_errors(&labels, &probabilities, LabelSettings::default())
        .map_err(|error| wrong(&error))?;
    let agreed = share_agreed(&labels, &probabilities);
    view(
        audit,
        ("given probabilities", None, agreed),
        &names,
        &records,
        &found,
    )
}

fn share_agreed(labels: &[u32], probabilities: &Probabilities) -> f64 {
    let agreed = labels.iter().enumerate().filter(|(example, label)| {
        let of = probabilities.of(*example);
        let own = of.get(**label as usize).copied().unwrap_or(0.0);
        of.iter().all(|other| *other <= own)
    });
    agreed.count() as f64 / labels.len().max(1) as f64
}

/// By a model of the texts, or of the other fields, of the sample.
fn by_model(audit: &Audit, settings: &Settings) -> io::Result<Option<ErrorsView>> {
    let sample = &audit.sample;
    let Some(column) = settings
        .label
        .as_deref()
        .and_then(|name| sample.column(name))
    else {
        return Ok(None);
    };
    let mut names: Vec<&str> = column.iter().flatten().map(|label| label.trim()).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| !name.is_empty());
    // One class has nothing to be taken for, and numbers of many values are no classes.
    if names.len() < 2 || names.len() > CLASSES {
        return Ok(None);
    }
    let number_of: HashMap<&str, u32> = names.iter().copied().zip(0..).collect();
    let rows: Vec<(usize, u32)> = column
        .iter()
        .enumerate()
        .filter_map(|(at, label)| Some((at, *number_of.get(label.as_deref()?.trim())?)))
        .collect();
    let step = rows.len().div_ceil(LEARNT).max(1);
    let rows: Vec<(usize, u32)> = rows.into_iter().step_by(step).collect();
    let n_pictures = rows
        .iter()
        .filter(|(at, _)| sample.pictures[*at].is_some())
        .count();
    let n_texts = rows
        .iter()
        .filter(|(at, _)| !sample.texts[*at].is_empty())
        .count();
    let (by, features) = if 2 * n_pictures > rows.len() {
        match pixels(sample, &rows) {
            Some(features) => ("pixels", features),
            None => return Ok(None),
        }
    } else if 2 * n_texts > rows.len() {
        let texts: Vec<&str> = rows
            .iter()
            .map(|(at, _)| sample.texts[*at].as_str())
            .collect();
        ("texts", Features::texts(&texts))
    } else {
        match dense(sample, &rows, settings) {
            Some(features) => ("fields", features),
            None => return Ok(None),
        }
    };
    if features.n_columns() == 0 {
        return Ok(None);
    }
    let labels: Vec<u32> = rows.iter().map(|(_, label)| *label).collect();
    let model = settings.label_model.unwrap_or(match by {
        "pixels" => Model::Neighbours(NEIGHBOURS),
        _ => Model::Logistic,
    });
    let how = ModelSettings {
        model,
        ..ModelSettings::default()
    };
    let made = out_of_fold(&features, &labels, names.len(), how).map_err(|error| wrong(&error))?;
    let agreed = share_agreed(&labels, &made.probabilities);
    if by == "pixels" && agreed < PIXELS_TELL {
        return Ok(None);
    }
    let model = match model {
        Model::Logistic => "logistic regression",
        Model::Neighbours(_) => "nearest neighbours",
    };
    let found = label_errors(&labels, &made.probabilities, LabelSettings::default())
        .map_err(|error| wrong(&error))?;
    let records: Vec<u32> = rows.iter().map(|(at, _)| sample.records[*at]).collect();
    view(audit, (by, Some(model), agreed), &names, &records, &found).map(Some)
}

/// What images show, in 16 × 16 parts.
fn pixels(sample: &SampleTable, rows: &[(usize, u32)]) -> Option<Features> {
    let of = |at: &usize| sample.pictures[*at].as_deref();
    let n_columns = rows.iter().find_map(|(at, _)| of(at))?.levels.len();
    let values = rows.iter().flat_map(|(at, _)| {
        let levels = of(at).map_or(&[][..], |picture| &picture.levels);
        (0..n_columns).map(|column| {
            levels
                .get(column)
                .map_or(f32::NAN, |level| f32::from(*level))
        })
    });
    Features::dense(n_columns, values.collect()).ok()
}

/// Fields as columns of numbers: numbers as they are, names of few values as one column each.
fn dense(sample: &SampleTable, rows: &[(usize, u32)], settings: &Settings) -> Option<Features> {
    let mut columns: Vec<Vec<f32>> = Vec::new();
    for (name, values) in sample.names.iter().zip(&sample.columns) {
        if !is_feature(name, settings) {
            continue;
        }
        let of: Vec<Option<&str>> = rows.iter().map(|(at, _)| values[*at].as_deref()).collect();
        let numbers: Vec<Option<f64>> = of
            .iter()
            .map(|value| number(value.as_deref()?.trim()))
            .collect();
        let n_there = of.iter().flatten().count();
        if n_there > 0 && numbers.iter().flatten().count() == n_there {
            columns.push(
                numbers
                    .iter()
                    .map(|number| number.map_or(f32::NAN, |number| number as f32))
                    .collect(),
            );
        } else {
            let mut names: Vec<&str> = of.iter().flatten().map(|value| value.trim()).collect();
            names.sort_unstable();
            names.dedup();
            if names.len() > NAMES {
                continue;
            }
            for name in names {
                columns.push(
                    of.iter()
                        .map(|value| {
                            f32::from(u8::from(value.is_some_and(|value| value.trim() == name)))
                        })
                        .collect(),
                );
            }
        }
        if columns.len() > COLUMNS {
            break;
        }
    }
    columns.truncate(COLUMNS);
    let values = (0..rows.len()).flat_map(|row| columns.iter().map(move |column| column[row]));
    Features::dense(columns.len(), values.collect()).ok()
}

fn view(
    audit: &Audit,
    (by, model, agreed): (&'static str, Option<&'static str>, f64),
    names: &[&str],
    records: &[u32],
    found: &LabelErrors,
) -> io::Result<ErrorsView> {
    let name = |class: u32| {
        names
            .get(class as usize)
            .copied()
            .unwrap_or_default()
            .to_owned()
    };
    let issues = found.issues.iter().map(|issue| {
        let number = records[issue.example];
        Ok(IssueView {
            record: audit.table.name(number)?,
            label: name(issue.given),
            suggested: name(issue.suggested),
            self_confidence: (issue.self_confidence * 1e4).round() / 1e4,
            number,
        })
    });
    let issues: Vec<IssueView> = issues.collect::<io::Result<_>>()?;
    let mut pairs: Vec<PairView> = found
        .pairs
        .iter()
        .filter(|pair| pair.given != pair.likely && pair.n_estimated >= 0.5)
        .map(|pair| PairView {
            given: name(pair.given),
            likely: name(pair.likely),
            n_estimated: (pair.n_estimated * 10.0).round() / 10.0,
        })
        .collect();
    pairs.sort_by(|one, other| other.n_estimated.total_cmp(&one.n_estimated));
    pairs.truncate(LISTED);
    Ok(ErrorsView {
        by,
        model,
        share_agreed: (agreed * 1e4).round() / 1e4,
        n_judged: found.n_judged as u64,
        // Zero has no sign.
        n_errors: (found.n_errors * 10.0).round() / 10.0 + 0.0,
        share_errors: (found.share_errors * 1e4).round() / 1e4 + 0.0,
        n_issues: issues.len() as u64,
        first: issues.iter().take(LISTED).cloned().collect(),
        pairs,
        issues,
    })
}
