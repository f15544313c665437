//! Labels that are likely wrong, by confident learning.
//!
//! Northcutt, Jiang and Chuang 2021, *Confident Learning: Estimating Uncertainty in Dataset Labels*: what a model says of
//! examples that it did not learn from is held against their labels, class by class, so that a model that is unsure of a whole
//! class does not make errors of all of it. Sections and equations below are that paper's.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

/// Why labels cannot be judged.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LabelsError {
    /// A probability is no number, infinite or negative.
    #[error(
        "example {example}: the probability of class {class} is {value}; allowed: numbers from 0 on"
    )]
    Probability {
        /// The example, from 0.
        example: usize,
        /// The class, from 0.
        class: usize,
        /// What is there.
        value: f32,
    },
    /// All probabilities of an example are zero.
    #[error("example {0}: all probabilities are 0, where they ought to add up to 1")]
    NoProbability(usize),
    /// A table does not have the shape it must have.
    #[error("{what}: {found}, where {expected} are needed")]
    Shape {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// A label is no class.
    #[error("example {example}: its label is {label}, where there are {n_classes} classes, from 0")]
    Label {
        /// The example, from 0.
        example: usize,
        /// Its label.
        label: u32,
        /// How many classes there are.
        n_classes: usize,
    },
    /// There are more classes than a model can be held in memory for.
    #[error(
        "{n_classes} classes are more than this model has memory for; at most {most} are with so many examples and columns"
    )]
    Classes {
        /// How many classes there are.
        n_classes: usize,
        /// How many there may be.
        most: usize,
    },
}

/// What a model says of every example: a probability of every class, which add up to one.
#[derive(Clone, Debug, PartialEq)]
pub struct Probabilities {
    n_classes: usize,
    values: Vec<f32>,
    n_scaled: usize,
}

/// A sum this close to one is one, for numbers written with four digits.
const ONE: f64 = 1e-3;

impl Probabilities {
    /// Takes `n × n_classes` numbers, one example after another, and scales those of each example to add up to one.
    ///
    /// # Errors
    ///
    /// When a number is negative, infinite or none, when all of an example are zero, and when the last example is cut short.
    pub fn new(n_classes: usize, mut values: Vec<f32>) -> Result<Self, LabelsError> {
        if n_classes == 0 || !values.len().is_multiple_of(n_classes) {
            return Err(LabelsError::Shape {
                what: "probabilities of the last example",
                found: values.len().checked_rem(n_classes).unwrap_or(values.len()),
                expected: n_classes,
            });
        }
        let mut n_scaled = 0;
        for (example, row) in values.chunks_exact_mut(n_classes).enumerate() {
            if let Some(class) = row
                .iter()
                .position(|value| !value.is_finite() || *value < 0.0)
            {
                return Err(LabelsError::Probability {
                    example,
                    class,
                    value: row[class],
                });
            }
            let sum: f64 = row.iter().copied().map(f64::from).sum();
            if sum <= 0.0 {
                return Err(LabelsError::NoProbability(example));
            }
            n_scaled += usize::from((sum - 1.0).abs() > ONE);
            if (sum - 1.0).abs() > f64::from(f32::EPSILON) * 4.0 {
                for value in row {
                    *value = (f64::from(*value) / sum) as f32;
                }
            }
        }
        Ok(Self {
            n_classes,
            values,
            n_scaled,
        })
    }

    /// Classes.
    #[must_use]
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Examples.
    #[must_use]
    pub fn n_examples(&self) -> usize {
        self.values.len() / self.n_classes
    }

    /// Examples whose numbers were more than a thousandth away from adding up to one.
    #[must_use]
    pub fn n_scaled(&self) -> usize {
        self.n_scaled
    }

    /// The probabilities of one example, by class.
    ///
    /// # Panics
    ///
    /// When there is no such example.
    #[must_use]
    pub fn of(&self, example: usize) -> &[f32] {
        &self.values[example * self.n_classes..][..self.n_classes]
    }
}

/// Which examples are taken for errors, once it is estimated how many there are (section 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// "Prune by noise rate": of every pair of a given and another class the estimated number, by the largest margin.
    ///
    /// The default, as it is of the paper's authors' own software: it follows the estimate pair by pair, so that a class that
    /// is often taken for one other is searched for just that error, and the suggested label says which.
    #[default]
    NoiseRate,
    /// "Prune by class": of every given class the estimated number, by the least self-confidence.
    Class,
    /// Those that both name: fewer, and surer.
    Both,
}

/// How labels are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelSettings {
    /// Which examples are taken for errors.
    pub filter: Filter,
    /// Classes with fewer examples are not judged, and nothing is taken for one of them.
    ///
    /// By default five: with fewer, some of five folds hold no example to learn the class from, and a threshold
    /// would be a mean of next to nothing.
    pub n_examples_min: usize,
}

impl Default for LabelSettings {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            n_examples_min: 5,
        }
    }
}

/// What is found of the labels of some data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelErrors {
    /// Examples of classes that are judged.
    pub n_judged: usize,
    /// Classes that have some examples, and too few to be judged.
    pub rare: Vec<u32>,
    /// Of each class, the mean probability of the class over the examples with its label (equation 2); none where it is not judged.
    pub thresholds: Vec<Option<f64>>,
    /// How often each class is given where another, or the same, is likely.
    pub pairs: Vec<ClassPair>,
    /// Labels that are estimated to be wrong: what `pairs` says of different classes, added up.
    pub n_errors: f64,
    /// These as a share of the examples that are judged.
    pub share_errors: f64,
    /// Examples whose labels are likely wrong, the likeliest first.
    pub issues: Vec<Issue>,
    /// Of each example, the probability of its label: low where the label is doubtful.
    #[serde(skip)]
    pub self_confidence: Vec<f32>,
    /// Of each example, by how much its label is likelier than the likeliest other, from 0 to 1, with 0.5 where both are alike.
    #[serde(skip)]
    pub margin: Vec<f32>,
    /// Of each example, the likeliest class.
    #[serde(skip)]
    pub suggested: Vec<u32>,
}

/// How often one class is given where another, or the same, is likely.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClassPair {
    /// The class that is given.
    pub given: u32,
    /// The class that is likely.
    pub likely: u32,
    /// Examples of which this is sure: the confident joint (equation 1).
    pub n_confident: u64,
    /// Examples of which this is true, as estimated: the same, scaled so that each given class has all its examples (equation 3).
    pub n_estimated: f64,
    /// This as a share of the examples that are judged: the joint distribution.
    pub share: f64,
    /// Of examples that truly are of the likely class, the share that was given this one: the noise matrix.
    pub noise: f64,
}

/// A label that is likely wrong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Issue {
    /// The example, from 0.
    pub example: usize,
    /// Its label.
    pub given: u32,
    /// The likeliest class.
    pub suggested: u32,
    /// The probability of its label.
    pub self_confidence: f32,
    /// As `LabelErrors::margin`.
    pub margin: f32,
}

/// Finds labels that are likely wrong.
///
/// `probabilities` must come from models that did not learn from the example in question; `out_of_fold` makes such.
/// An example whose own label is the likeliest class is never an issue, whatever the estimate.
///
/// ```
/// use outlay_audit::{Filter, LabelSettings, Probabilities, label_errors};
/// // Twelve examples of two classes, the last of which has the wrong label.
/// let mut labels = vec![0; 6];
/// labels.extend([1; 5]);
/// labels.push(0);
/// let values = (0..12).flat_map(|example| if example < 6 { [0.9, 0.1] } else { [0.2, 0.8] }).collect();
/// let found = label_errors(&labels, &Probabilities::new(2, values)?, LabelSettings::default())?;
/// assert_eq!((found.issues.len(), found.issues[0].example, found.issues[0].suggested), (1, 11, 1));
/// assert_eq!(found.n_errors, 1.0);
/// // The threshold of class 0 is the mean of six times 0.9 and once 0.2.
/// assert!((found.thresholds[0].unwrap() - 0.8).abs() < 1e-6);
/// # Ok::<(), outlay_audit::LabelsError>(())
/// ```
///
/// # Errors
///
/// When there is not one label for each example, or one is no class.
pub fn label_errors(
    labels: &[u32],
    probabilities: &Probabilities,
    settings: LabelSettings,
) -> Result<LabelErrors, LabelsError> {
    let n_classes = probabilities.n_classes();
    checked(labels, probabilities.n_examples(), n_classes)?;
    let mut members = vec![Vec::new(); n_classes];
    for (example, label) in labels.iter().enumerate() {
        members[*label as usize].push(example);
    }
    let scores: Vec<(f32, f32, u32)> = labels
        .par_iter()
        .enumerate()
        .map(|(example, label)| scored(*label, probabilities.of(example)))
        .collect();
    let is_judged = |of: &[usize]| !of.is_empty() && of.len() >= settings.n_examples_min;
    let thresholds: Vec<Option<f64>> = members
        .iter()
        .map(|of| {
            let sum: f64 = of.iter().map(|example| f64::from(scores[*example].0)).sum();
            is_judged(of).then(|| sum / of.len() as f64)
        })
        .collect();
    let mut pairs = joint(labels, probabilities, &thresholds, &members);
    let n_judged: usize = members
        .iter()
        .filter(|of| is_judged(of))
        .map(Vec::len)
        .sum();
    let mut n_likely: BTreeMap<u32, f64> = BTreeMap::new();
    for pair in &pairs {
        *n_likely.entry(pair.likely).or_default() += pair.n_estimated;
    }
    for pair in &mut pairs {
        pair.share = pair.n_estimated / n_judged as f64;
        pair.noise = pair.n_estimated / n_likely[&pair.likely].max(f64::MIN_POSITIVE);
    }
    let mut issues: Vec<Issue> = found(&pairs, probabilities, &members, settings.filter)
        .into_iter()
        .filter(|example| scores[*example].2 != labels[*example])
        .map(|example| {
            let (self_confidence, margin, suggested) = scores[example];
            Issue {
                example,
                given: labels[example],
                suggested,
                self_confidence,
                margin,
            }
        })
        .collect();
    issues.sort_by(|one, other| {
        one.self_confidence
            .total_cmp(&other.self_confidence)
            .then(one.example.cmp(&other.example))
    });
    let n_errors = pairs
        .iter()
        .filter(|pair| pair.given != pair.likely)
        .map(|pair| pair.n_estimated)
        .sum();
    Ok(LabelErrors {
        n_judged,
        rare: (0..n_classes as u32)
            .filter(|class| {
                !members[*class as usize].is_empty() && thresholds[*class as usize].is_none()
            })
            .collect(),
        thresholds,
        pairs,
        n_errors,
        share_errors: n_errors / n_judged.max(1) as f64,
        issues,
        self_confidence: scores.iter().map(|score| score.0).collect(),
        margin: scores.iter().map(|score| score.1).collect(),
        suggested: scores.iter().map(|score| score.2).collect(),
    })
}

/// Sees to it that there is one label for each example, and that it is a class.
pub(crate) fn checked(
    labels: &[u32],
    n_examples: usize,
    n_classes: usize,
) -> Result<(), LabelsError> {
    if labels.len() != n_examples {
        return Err(LabelsError::Shape {
            what: "labels",
            found: labels.len(),
            expected: n_examples,
        });
    }
    match labels.iter().position(|label| *label as usize >= n_classes) {
        Some(example) => Err(LabelsError::Label {
            example,
            label: labels[example],
            n_classes,
        }),
        None => Ok(()),
    }
}

/// Self-confidence, margin and the likeliest class, which is the label itself where it is as likely as any.
fn scored(label: u32, row: &[f32]) -> (f32, f32, u32) {
    let own = row[label as usize];
    let mut best = (own, label);
    let mut other = 0.0_f32;
    for (class, value) in (0..).zip(row) {
        if *value > best.0 {
            best = (*value, class);
        }
        if class != label {
            other = other.max(*value);
        }
    }
    (own, f32::midpoint(own - other, 1.0), best.1)
}

/// The confident joint, and the same with each given class scaled to all its examples.
fn joint(
    labels: &[u32],
    probabilities: &Probabilities,
    thresholds: &[Option<f64>],
    members: &[Vec<usize>],
) -> Vec<ClassPair> {
    /// A mean of equal numbers may be rounded to one above them.
    const ROUNDED: f64 = 1e-6;
    let likely: Vec<Option<u32>> = labels
        .par_iter()
        .enumerate()
        .map(|(example, label)| {
            thresholds[*label as usize]?;
            let row = probabilities.of(example);
            let mut best: Option<u32> = None;
            for (class, (value, threshold)) in (0..).zip(row.iter().zip(thresholds)) {
                let is_sure = threshold.is_some_and(|threshold| {
                    *value > 0.0 && f64::from(*value) >= threshold - ROUNDED
                });
                let is_better =
                    best.is_none_or(|best| match value.total_cmp(&row[best as usize]) {
                        Ordering::Greater => true,
                        Ordering::Equal => class == *label,
                        Ordering::Less => false,
                    });
                if is_sure && is_better {
                    best = Some(class);
                }
            }
            best
        })
        .collect();
    let mut counts: BTreeMap<(u32, u32), u64> = BTreeMap::new();
    let mut totals = vec![0_u64; thresholds.len()];
    for (given, likely) in labels.iter().zip(likely) {
        if let Some(likely) = likely {
            *counts.entry((*given, likely)).or_default() += 1;
            totals[*given as usize] += 1;
        }
    }
    // Where nothing is sure of a class, nothing speaks against its labels.
    for (class, threshold) in (0_u32..).zip(thresholds) {
        if threshold.is_some() && totals[class as usize] == 0 {
            counts.insert((class, class), 0);
        }
    }
    counts
        .into_iter()
        .map(|((given, likely), n_confident)| {
            let n_members = members[given as usize].len() as f64;
            let n_estimated = match totals[given as usize] {
                0 => n_members,
                total => n_confident as f64 / total as f64 * n_members,
            };
            ClassPair {
                given,
                likely,
                n_confident,
                n_estimated,
                share: 0.0,
                noise: 0.0,
            }
        })
        .collect()
}

/// The examples that a filter names, in their order; estimates are rounded to the nearest whole number of examples.
fn found(
    pairs: &[ClassPair],
    probabilities: &Probabilities,
    members: &[Vec<usize>],
    filter: Filter,
) -> Vec<usize> {
    let by_class: Vec<&[ClassPair]> = pairs
        .chunk_by(|one, other| one.given == other.given)
        .collect();
    let mut found: Vec<usize> = by_class
        .par_iter()
        .flat_map_iter(|pairs| {
            let given = pairs[0].given as usize;
            let of = &members[given];
            let wrong = || pairs.iter().filter(|pair| pair.likely != pair.given);
            let own = |example: usize| probabilities.of(example)[given];
            let mut by_rate = Vec::new();
            if filter != Filter::Class {
                for pair in wrong() {
                    let margin =
                        |example| own(example) - probabilities.of(example)[pair.likely as usize];
                    by_rate.extend(least(of, pair.n_estimated.round() as usize, margin));
                }
                by_rate.sort_unstable();
                by_rate.dedup();
            }
            let mut by_confidence = Vec::new();
            if filter != Filter::NoiseRate {
                let n: f64 = wrong().map(|pair| pair.n_estimated).sum();
                by_confidence = least(of, n.round() as usize, own);
            }
            match filter {
                Filter::NoiseRate => by_rate,
                Filter::Class => by_confidence,
                Filter::Both => {
                    by_confidence.sort_unstable();
                    by_rate.retain(|example| by_confidence.binary_search(example).is_ok());
                    by_rate
                }
            }
        })
        .collect();
    found.sort_unstable();
    found
}

/// The `n` examples with the least of something, the first of those with as little.
fn least(examples: &[usize], n: usize, of: impl Fn(usize) -> f32) -> Vec<usize> {
    let mut keyed: Vec<(f32, usize)> = examples
        .iter()
        .map(|example| (of(*example), *example))
        .collect();
    if n < keyed.len() {
        keyed.select_nth_unstable_by(n, |one, other| {
            one.0.total_cmp(&other.0).then(one.1.cmp(&other.1))
        });
        keyed.truncate(n);
    }
    keyed.into_iter().map(|(_, example)| example).collect()
}
