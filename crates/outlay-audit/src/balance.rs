//! Balance of labels, what they have to do with groups, and columns that give others away.

use std::collections::HashMap;

use rayon::prelude::*;
use serde::Serialize;

use crate::columns::{Coded, Column, MISSING, pairs};
use crate::model::folds;
use crate::random::Random;
use crate::statistics::{Interval, benjamini_hochberg, chi_square_p, newcombe, wilson};

/// How evenly labels are spread.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Balance {
    /// Rows with a label.
    pub n: u64,
    /// Rows without one.
    pub n_missing: u64,
    /// Different labels.
    pub n_classes: usize,
    /// Labels with their rows, the most frequent first; the first hundred of more.
    pub classes: Vec<ClassCount>,
    /// Rows of the most frequent label to those of the rarest.
    pub imbalance: f64,
    /// As many classes of the same size would be as hard to guess: `exp` of the entropy (Hill 1973, *Diversity and evenness*, of order one).
    pub effective_classes: f64,
}

/// Rows of a label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassCount {
    /// The label.
    pub label: String,
    /// Its rows.
    pub n: u64,
    /// These as a share of all with a label.
    pub share: f64,
}

/// Values that are listed, of labels and of groups.
const LISTED: usize = 100;

/// Says how evenly labels are spread.
///
/// ```
/// use outlay_audit::{Column, balance};
/// let labels = Column::new("label", ["a", "a", "a", "b"].map(Some));
/// let found = balance(&labels);
/// assert_eq!((found.n, found.n_classes, found.imbalance), (4, 2, 3.0));
/// // exp(-(0.75 ln 0.75 + 0.25 ln 0.25))
/// assert!((found.effective_classes - 1.7548).abs() < 1e-4);
/// ```
#[must_use]
pub fn balance(labels: &Column) -> Balance {
    let counts = labels.counts();
    let n: u64 = counts.iter().map(|(n, _)| n).sum();
    let (most, fewest) = (
        counts.first().map_or(0, |of| of.0),
        counts.last().map_or(0, |of| of.0),
    );
    Balance {
        n,
        n_missing: labels.n_missing() as u64,
        n_classes: counts.len(),
        imbalance: if fewest == 0 {
            1.0
        } else {
            most as f64 / fewest as f64
        },
        effective_classes: if n == 0 {
            0.0
        } else {
            entropy(counts.iter().map(|(k, _)| *k), n).exp()
        },
        classes: counts
            .into_iter()
            .take(LISTED)
            .map(|(k, label)| ClassCount {
                label: label.to_owned(),
                n: k,
                share: k as f64 / n as f64,
            })
            .collect(),
    }
}

/// Entropy in nats, of counts that add up to `n`.
fn entropy(counts: impl Iterator<Item = u64>, n: u64) -> f64 {
    let entropy: f64 = counts
        .filter(|k| *k > 0)
        .map(|k| {
            let share = k as f64 / n as f64;
            -share * share.ln()
        })
        .sum();
    entropy.max(0.0)
}

/// How often two columns have which values together.
#[derive(Clone, Debug, PartialEq)]
pub struct CrossTable {
    /// Pairs of values that are there, in ascending order, with their counts.
    cells: Vec<(u32, u32, u64)>,
    rows: Vec<u64>,
    columns: Vec<u64>,
    n: u64,
}

/// Pearson's test of whether two columns have to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ChiSquare {
    /// The statistic.
    pub statistic: f64,
    /// Degrees of freedom.
    pub degrees: f64,
    /// The chance of as large a statistic where they have not.
    pub p: f64,
    /// Share of the cells where fewer than five are expected: where it is more than a fifth, `p` is a rough guess (Cochran 1954).
    pub share_expected_below_5: f64,
}

impl CrossTable {
    /// Takes counts, row by row; shorter rows are filled up with zeros.
    #[must_use]
    pub fn of_counts(counts: &[&[u64]]) -> Self {
        let n_columns = counts.iter().map(|row| row.len()).max().unwrap_or(0);
        let cells = (0..).zip(counts).flat_map(|(row, counts)| {
            (0..)
                .zip(*counts)
                .filter(|(_, n)| **n > 0)
                .map(move |(column, n)| (row, column, *n))
        });
        Self::of_cells(cells.collect(), counts.len(), n_columns)
    }

    fn of_cells(cells: Vec<(u32, u32, u64)>, n_rows: usize, n_columns: usize) -> Self {
        let mut table = Self {
            cells,
            rows: vec![0; n_rows],
            columns: vec![0; n_columns],
            n: 0,
        };
        for (row, column, n) in &table.cells {
            table.rows[*row as usize] += n;
            table.columns[*column as usize] += n;
            table.n += n;
        }
        table
    }

    fn of_coded(rows: &Coded, columns: &Coded) -> Self {
        let (n_rows, n_columns) = (rows.names.len(), columns.names.len());
        Self::of_cells(
            pairs(&rows.codes, &columns.codes, n_rows, n_columns),
            n_rows,
            n_columns,
        )
    }

    /// Rows and columns with anything in them.
    fn shape(&self) -> (usize, usize) {
        let filled = |totals: &[u64]| totals.iter().filter(|n| **n > 0).count();
        (filled(&self.rows), filled(&self.columns))
    }

    /// The mean square contingency: the chi-square statistic of one row.
    fn contingency(&self, cells: impl Iterator<Item = u64>, rows: &[u64], columns: &[u64]) -> f64 {
        let sum: f64 = self
            .cells
            .iter()
            .zip(cells)
            .filter(|(_, n)| *n > 0)
            .map(|((row, column, _), n)| {
                n as f64 / rows[*row as usize] as f64
                    * (n as f64 / columns[*column as usize] as f64)
            })
            .sum();
        (sum - 1.0).max(0.0)
    }

    fn own_contingency(&self) -> f64 {
        self.contingency(
            self.cells.iter().map(|cell| cell.2),
            &self.rows,
            &self.columns,
        )
    }

    /// Tests whether the columns have to do with each other (Pearson 1900), without a correction for continuity.
    ///
    /// Agresti 2007, *An Introduction to Categorical Data Analysis*, table 2.5: gender and party, where `X² = 30.1` on two
    /// degrees of freedom.
    ///
    /// ```
    /// use outlay_audit::CrossTable;
    /// let test = CrossTable::of_counts(&[&[762, 327, 468], &[484, 239, 477]]).chi_square();
    /// assert!((test.statistic - 30.07).abs() < 0.005 && test.degrees == 2.0 && test.p < 0.0001);
    /// ```
    #[must_use]
    pub fn chi_square(&self) -> ChiSquare {
        let (n_rows, n_columns) = self.shape();
        let statistic = self.own_contingency() * self.n as f64;
        let degrees = n_rows.saturating_sub(1) as f64 * n_columns.saturating_sub(1) as f64;
        let mut totals: Vec<u64> = self.columns.iter().copied().filter(|n| *n > 0).collect();
        totals.sort_unstable();
        let n_below: f64 = self
            .rows
            .iter()
            .filter(|row| **row > 0)
            .map(|row| {
                totals
                    .partition_point(|column| *row as f64 * *column as f64 / (self.n as f64) < 5.0)
                    as f64
            })
            .sum();
        ChiSquare {
            statistic,
            degrees,
            p: chi_square_p(statistic, degrees),
            share_expected_below_5: n_below / (n_rows as f64 * n_columns as f64).max(1.0),
        }
    }

    /// Cramér's V without what chance alone adds to it: 0 for none, 1 for columns that give each other away.
    ///
    /// Bergsma 2013, *A bias-correction for Cramér's V and Tschuprow's T*, equations 6 to 8.
    ///
    /// ```
    /// use outlay_audit::CrossTable;
    /// assert_eq!(CrossTable::of_counts(&[&[30, 20], &[30, 20]]).cramers_v(), 0.0);
    /// assert!((CrossTable::of_counts(&[&[50, 0], &[0, 50]]).cramers_v() - 1.0).abs() < 1e-9);
    /// ```
    #[must_use]
    pub fn cramers_v(&self) -> f64 {
        self.corrected(self.own_contingency(), 1.0)
    }

    /// Takes as many times what chance adds on average from a mean square contingency, and makes Cramér's V of it.
    fn corrected(&self, contingency: f64, times: f64) -> f64 {
        let (n_rows, n_columns) = self.shape();
        let others = self.n.saturating_sub(1) as f64;
        if n_rows < 2 || n_columns < 2 || others < 1.0 {
            return 0.0;
        }
        let (rows, columns) = (n_rows as f64 - 1.0, n_columns as f64 - 1.0);
        let left = (contingency - times * rows * columns / others).max(0.0);
        let least = (rows - rows * rows / others).min(columns - columns * columns / others);
        if least <= 0.0 {
            0.0
        } else {
            (left / least).sqrt().min(1.0)
        }
    }

    /// A 95% interval of Cramér's V: percentiles of tables that are drawn from this one, of as many rows.
    ///
    /// What chance adds is taken twice from each drawn table, because it was added twice: by the drawing, and to the table
    /// that is drawn from (Efron and Tibshirani 1993, *An Introduction to the Bootstrap*, section 10.6, on bias). None of a
    /// table with more than 20,000 different pairs of values, which would take long.
    #[must_use]
    pub fn cramers_v_interval(&self, seed: u64) -> Option<Interval> {
        /// Tables that are drawn, as the same authors advise for intervals (section 13.3).
        const DRAWN: u64 = 1000;
        const PAIRS: usize = 20_000;
        let (n_rows, n_columns) = self.shape();
        if self.cells.len() > PAIRS || n_rows < 2 || n_columns < 2 {
            return None;
        }
        let mut drawn: Vec<f64> = (0..DRAWN)
            .into_par_iter()
            .map(|draw| {
                let mut random = Random::new(seed.wrapping_mul(DRAWN).wrapping_add(draw));
                let (mut n_left, mut n_after) = (self.n, self.n);
                let mut rows = vec![0; self.rows.len()];
                let mut columns = vec![0; self.columns.len()];
                let mut counts = Vec::with_capacity(self.cells.len());
                for (row, column, n) in &self.cells {
                    let k = random.binomial(n_left, *n as f64 / n_after as f64);
                    n_left -= k;
                    n_after -= n;
                    rows[*row as usize] += k;
                    columns[*column as usize] += k;
                    counts.push(k);
                }
                self.corrected(self.contingency(counts.into_iter(), &rows, &columns), 2.0)
            })
            .collect();
        drawn.sort_by(f64::total_cmp);
        let at = |share: f64| drawn[(share * (DRAWN - 1) as f64).round() as usize];
        Some(Interval {
            low: at(0.025),
            high: at(0.975),
        })
    }

    /// What one column says of the other: their mutual information by the mean of both entropies, from 0 to 1.
    ///
    /// Strehl and Ghosh 2002, *Cluster ensembles*, with the arithmetic mean. A column of many rare values has much of it by
    /// chance alone.
    #[must_use]
    pub fn mutual_information(&self) -> f64 {
        let n = self.n as f64;
        let mean = f64::midpoint(
            entropy(self.rows.iter().copied(), self.n),
            entropy(self.columns.iter().copied(), self.n),
        );
        if mean <= 0.0 {
            return 0.0;
        }
        let information: f64 = self
            .cells
            .iter()
            .map(|(row, column, k)| {
                let (row, column) = (
                    self.rows[*row as usize] as f64,
                    self.columns[*column as usize] as f64,
                );
                let k = *k as f64;
                k / n * (k * n / (row * column)).ln()
            })
            .sum();
        (information / mean).clamp(0.0, 1.0)
    }
}

/// How groups are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalanceSettings {
    /// Groups of fewer rows are small: they are named, and not compared. By default 30.
    pub n_group_min: u64,
    /// Parts into which numbers of more values are put, at most; each is to have 25 rows. By default 20.
    pub n_bins: usize,
    /// For intervals and folds.
    pub seed: u64,
}

impl Default for BalanceSettings {
    /// Thirty rows, below which a rate's interval is wider than a third; twenty parts, which tell what is in one row of twenty.
    fn default() -> Self {
        Self {
            n_group_min: 30,
            n_bins: 20,
            seed: 0,
        }
    }
}

/// Rows that a part of numbers is to have.
const BIN: usize = 25;

/// What labels have to do with groups.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Association {
    /// The column of labels.
    pub label: String,
    /// The column of groups.
    pub group: String,
    /// Rows that have both.
    pub n: u64,
    /// Rows that miss either.
    pub n_missing: u64,
    /// Whether they have to do with each other.
    pub chi_square: ChiSquare,
    /// The same chance as it counts among all columns of groups that were looked at (Benjamini and Hochberg 1995).
    pub p_adjusted: f64,
    /// How much: Cramér's V, as `CrossTable::cramers_v`.
    pub cramers_v: f64,
    /// Its 95% interval.
    pub cramers_v_interval: Option<Interval>,
    /// Different groups.
    pub n_groups: usize,
    /// Of these, with fewer rows than are compared.
    pub n_small_groups: usize,
    /// Groups, the largest first; the first hundred of more.
    pub groups: Vec<GroupRates>,
    /// The largest difference of a label's rate between two groups that are not small.
    pub largest: Option<RateGap>,
}

/// The labels of a group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupRates {
    /// The group.
    pub group: String,
    /// Its rows.
    pub n: u64,
    /// Whether it is too small to be compared.
    pub is_small: bool,
    /// Its rates of the labels, of which the most frequent of all rows are first; the first twenty of more.
    pub rates: Vec<Rate>,
}

/// How often a group has a label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// The label.
    pub label: String,
    /// Rows with it.
    pub n: u64,
    /// These as a share of the group.
    pub rate: f64,
    /// Wilson's 95% interval of it.
    pub interval: Interval,
}

/// A difference of rates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RateGap {
    /// The label.
    pub label: String,
    /// The group that has it the most.
    pub highest: String,
    /// Its rate there.
    pub highest_rate: f64,
    /// The group that has it the least.
    pub lowest: String,
    /// Its rate there.
    pub lowest_rate: f64,
    /// The difference.
    pub difference: f64,
    /// Newcombe's 95% interval of it, for two groups that were chosen beforehand: of many groups, the largest difference is partly luck.
    pub interval: Interval,
}

/// Labels whose rates are listed and compared: the most frequent.
const LABELS: usize = 20;

/// Says what labels have to do with each column of groups, in the order of these.
///
/// Numbers of more than twenty values are put into parts: quarters where they are labels, up to `n_bins` where they are groups
/// (`Column::as_names` keeps them whole). Rows that miss either value are left out. Columns that are shorter miss the rest.
#[must_use]
pub fn associations(
    labels: &Column,
    groups: &[Column],
    settings: BalanceSettings,
) -> Vec<Association> {
    let labels_coded = labels.coded(QUARTERS);
    let mut found: Vec<Association> = groups
        .iter()
        .map(|group| associated(labels, &labels_coded, group, settings))
        .collect();
    let chances: Vec<f64> = found.iter().map(|found| found.chi_square.p).collect();
    for (found, p) in found.iter_mut().zip(benjamini_hochberg(&chances)) {
        found.p_adjusted = p;
    }
    found
}

/// Parts of a column of numbers that others are held against.
const QUARTERS: usize = 4;

fn associated(
    labels: &Column,
    labels_coded: &Coded,
    group: &Column,
    settings: BalanceSettings,
) -> Association {
    let coded = group.coded((group.n_rows() / BIN).min(settings.n_bins));
    let table = CrossTable::of_coded(&coded, labels_coded);
    let chi_square = table.chi_square();
    let ranked = |totals: &[u64]| {
        let mut ranked: Vec<usize> = (0..totals.len()).filter(|at| totals[*at] > 0).collect();
        ranked.sort_by_key(|at| std::cmp::Reverse(totals[*at]));
        ranked
    };
    let groups = ranked(&table.rows);
    let mut listed = ranked(&table.columns);
    listed.truncate(LABELS);
    let counts: HashMap<(u32, u32), u64> = table
        .cells
        .iter()
        .map(|(row, column, n)| ((*row, *column), *n))
        .collect();
    let count = |group: usize, label: usize| {
        counts
            .get(&(group as u32, label as u32))
            .copied()
            .unwrap_or(0)
    };
    let is_small = |group: usize| table.rows[group] < settings.n_group_min;
    let mut largest: Option<RateGap> = None;
    for label in &listed {
        let compared = groups
            .iter()
            .filter(|group| !is_small(**group))
            .map(|group| {
                let (k, n) = (count(*group, *label), table.rows[*group]);
                (k as f64 / n as f64, *group)
            });
        let mut ends: Option<((f64, usize), (f64, usize))> = None;
        for one in compared {
            let (high, low) = ends.get_or_insert((one, one));
            if one.0 > high.0 {
                *high = one;
            }
            if one.0 <= low.0 {
                *low = one;
            }
        }
        let Some(((highest_rate, high), (lowest_rate, low))) =
            ends.filter(|(high, low)| high.1 != low.1)
        else {
            continue;
        };
        let difference = highest_rate - lowest_rate;
        if largest
            .as_ref()
            .is_none_or(|largest| difference > largest.difference)
        {
            let trials = |group: usize| (count(group, *label), table.rows[group]);
            largest = Some(RateGap {
                label: labels_coded.names[*label].clone(),
                highest: coded.names[high].clone(),
                highest_rate,
                lowest: coded.names[low].clone(),
                lowest_rate,
                difference,
                interval: newcombe(trials(high), trials(low)),
            });
        }
    }
    Association {
        label: labels.name().to_owned(),
        group: group.name().to_owned(),
        n: table.n,
        n_missing: labels.n_rows().max(group.n_rows()) as u64 - table.n,
        p_adjusted: chi_square.p,
        chi_square,
        cramers_v: table.cramers_v(),
        cramers_v_interval: table.cramers_v_interval(settings.seed),
        n_groups: groups.len(),
        n_small_groups: groups.iter().filter(|group| is_small(**group)).count(),
        groups: groups
            .iter()
            .take(LISTED)
            .map(|group| GroupRates {
                group: coded.names[*group].clone(),
                n: table.rows[*group],
                is_small: is_small(*group),
                rates: listed
                    .iter()
                    .map(|label| {
                        let (k, n) = (count(*group, *label), table.rows[*group]);
                        Rate {
                            label: labels_coded.names[*label].clone(),
                            n: k,
                            rate: k as f64 / n as f64,
                            interval: wilson(k, n),
                        }
                    })
                    .collect(),
            })
            .collect(),
        largest,
    }
}

/// How well one column tells another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proxy {
    /// The column that tells.
    pub column: String,
    /// Whether it is of numbers.
    pub is_numeric: bool,
    /// Its different values, or parts of numbers; a value that is missing is one.
    pub n_values: usize,
    /// Rows where the other column has a value.
    pub n: u64,
    /// Cramér's V, as `CrossTable::cramers_v`.
    pub cramers_v: f64,
    /// As `CrossTable::mutual_information`.
    pub mutual_information: f64,
    /// Balanced accuracy of guessing the other column by this one alone, on rows that the guess was not learnt from: the mean, over
    /// the other column's values, of the share that is guessed right. 1 where it gives the other away.
    pub balanced_accuracy: f64,
    /// What guessing without looking has: one by the other column's values.
    pub chance: f64,
    /// Where the accuracy lies between chance, 0, and certainty, 1; less than 0 where it is worse.
    pub skill: f64,
    /// The chance of as much association where there is none, as it counts among all columns (Benjamini and Hochberg 1995).
    pub p_adjusted: f64,
}

/// Says how well each of other columns tells one column, the best first.
///
/// Of a column that is sensitive, such as the sex, these are its proxies; of a column of labels, features that give the label
/// away, whose balanced accuracy is near one.
///
/// Numbers of more than twenty values are put into parts: quarters where they are told, up to `n_bins` where they tell
/// (`Column::as_names` keeps them whole). The guess is, for every value, the class that is most frequent beside how frequent it is at all, in four of five folds; this is what has the
/// best balanced accuracy, which a plain majority has not where one class is rare. A value that is missing counts as a value
/// of the telling column, because that it is missing may tell; rows where the told one is missing are left out.
///
/// ```
/// use outlay_audit::{BalanceSettings, Column, proxies};
/// let rows = || 0..1000_u32;
/// let sex = Column::new("sex", rows().map(|n| Some(if n % 3 == 0 { "f" } else { "m" })));
/// let title = Column::new("title", rows().map(|n| Some(if n % 3 == 0 { "Ms" } else { "Mr" })));
/// let number = Column::new("number", rows().map(|n| Some((n * 7919 % 1000).to_string())));
/// let found = proxies(&sex, &[number, title], BalanceSettings::default());
/// assert_eq!((found[0].column.as_str(), found[0].balanced_accuracy), ("title", 1.0));
/// assert!(found[1].skill < 0.1);
/// ```
#[must_use]
pub fn proxies(told: &Column, others: &[Column], settings: BalanceSettings) -> Vec<Proxy> {
    let told = told.coded(QUARTERS);
    let present: Vec<usize> = (0..told.codes.len())
        .filter(|row| told.codes[*row] != MISSING)
        .collect();
    let classes: Vec<u32> = present.iter().map(|row| told.codes[*row]).collect();
    let folds = folds(&classes, FOLDS as u32, settings.seed);
    let mut found: Vec<(Proxy, usize)> = others
        .par_iter()
        .enumerate()
        .map(|(at, column)| {
            let mut coded = column.coded((present.len() / BIN).min(settings.n_bins));
            let missing = coded.names.len() as u32;
            let values: Vec<u32> = present
                .iter()
                .map(|row| {
                    coded
                        .codes
                        .get(*row)
                        .copied()
                        .filter(|code| *code != MISSING)
                        .unwrap_or(missing)
                })
                .collect();
            coded.names.push(String::new());
            let n_values = coded.names.len();
            let table = CrossTable::of_cells(
                pairs(&values, &classes, n_values, told.names.len()),
                n_values,
                told.names.len(),
            );
            let (filled, n_classes) = table.shape();
            let chance = 1.0 / n_classes.max(1) as f64;
            let balanced_accuracy =
                guessed(&values, &classes, &folds, n_values, told.names.len()).unwrap_or(chance);
            let proxy = Proxy {
                column: column.name().to_owned(),
                is_numeric: column.is_numeric(),
                n_values: filled,
                n: table.n,
                cramers_v: table.cramers_v(),
                mutual_information: table.mutual_information(),
                balanced_accuracy,
                chance,
                skill: if chance < 1.0 {
                    (balanced_accuracy - chance) / (1.0 - chance)
                } else {
                    0.0
                },
                p_adjusted: table.chi_square().p,
            };
            (proxy, at)
        })
        .collect();
    let chances: Vec<f64> = found.iter().map(|(proxy, _)| proxy.p_adjusted).collect();
    for ((proxy, _), p) in found.iter_mut().zip(benjamini_hochberg(&chances)) {
        proxy.p_adjusted = p;
    }
    found.sort_by(|(one, at), (other, other_at)| {
        other
            .skill
            .total_cmp(&one.skill)
            .then(other.cramers_v.total_cmp(&one.cramers_v))
            .then(at.cmp(other_at))
    });
    found.into_iter().map(|(proxy, _)| proxy).collect()
}

/// Folds of a guess.
const FOLDS: usize = 5;

/// Balanced accuracy of guessing classes by values; none where there is no class.
fn guessed(
    values: &[u32],
    classes: &[u32],
    folds: &[u32],
    n_values: usize,
    n_classes: usize,
) -> Option<f64> {
    if classes.is_empty() {
        return None;
    }
    // Rows by value, each as its class and fold.
    let mut next = vec![0_usize; n_values + 1];
    for value in values {
        next[*value as usize + 1] += 1;
    }
    for value in 0..n_values {
        next[value + 1] += next[value];
    }
    let starts = next.clone();
    let mut rows = vec![(0_u32, 0_u32); values.len()];
    let mut n_of = vec![[0_u64; FOLDS]; n_classes];
    for ((value, class), fold) in values.iter().zip(classes).zip(folds) {
        let place = &mut next[*value as usize];
        rows[*place] = (*class, *fold);
        *place += 1;
        n_of[*class as usize][*fold as usize] += 1;
    }
    let n_learnt = |class: usize, fold: usize| n_of[class].iter().sum::<u64>() - n_of[class][fold];
    // Of a value that was never seen, the guess is the class of the most rows, which is as good as any.
    let usual: Vec<u32> = (0..FOLDS)
        .map(|fold| {
            (0..n_classes as u32)
                .rev()
                .max_by_key(|class| n_learnt(*class as usize, fold))
                .unwrap_or(0)
        })
        .collect();
    let mut n_right = vec![0_u64; n_classes];
    let mut counts = vec![[0_u64; FOLDS]; n_classes];
    let mut seen: Vec<u32> = Vec::new();
    for value in 0..n_values {
        for (class, fold) in &rows[starts[value]..starts[value + 1]] {
            if counts[*class as usize].iter().all(|n| *n == 0) {
                seen.push(*class);
            }
            counts[*class as usize][*fold as usize] += 1;
        }
        seen.sort_unstable();
        for fold in 0..FOLDS {
            let mut best = (0.0, usual[fold]);
            for class in &seen {
                let counts = &counts[*class as usize];
                let n = counts.iter().sum::<u64>() - counts[fold];
                let weight = n as f64 / n_learnt(*class as usize, fold).max(1) as f64;
                if weight > best.0 {
                    best = (weight, *class);
                }
            }
            n_right[best.1 as usize] += counts[best.1 as usize][fold];
        }
        for class in seen.drain(..) {
            counts[class as usize] = [0; FOLDS];
        }
    }
    let (mut sum, mut n_seen) = (0.0, 0_u32);
    for (right, of) in n_right.iter().zip(&n_of) {
        let n: u64 = of.iter().sum();
        if n > 0 {
            sum += *right as f64 / n as f64;
            n_seen += 1;
        }
    }
    (n_seen > 0).then(|| sum / f64::from(n_seen))
}
