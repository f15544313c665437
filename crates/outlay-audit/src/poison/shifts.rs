//! Places where what records are made of changes suddenly: their sources, licences, labels, languages or lengths.
//!
//! Records are counted by blocks of an order, that of the files or of a date. Within a run of blocks the place is sought that parts it best by the likelihood
//! of two multinomial distributions against one (Csörgő and Horváth 1997, *Limit Theorems in Change-Point Analysis*, section 1.2), and the gain is held against the best gain that the same blocks have in
//! random orders, so that no distribution is assumed; then both sides are looked at in turn ("binary segmentation", Scott and Knott 1974).

mod segments;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

/// What counts as a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShiftSettings {
    /// Blocks at most; where there are more, two are made one. Places are known to a block.
    pub n_blocks_max: usize,
    /// Categories that are kept apart; the least frequent of more are counted as one.
    pub n_categories_max: usize,
    /// How often a stream without a change may be told to have one.
    pub chance_max: f64,
    /// The least share of records that must be of other categories after a change than before it.
    pub share_changed_min: f64,
    /// Changes that are reported.
    pub n_changes_max: usize,
}

impl Default for ShiftSettings {
    fn default() -> Self {
        Self {
            n_blocks_max: 512,
            n_categories_max: 4096,
            chance_max: 0.002,
            share_changed_min: 0.02,
            n_changes_max: 20,
        }
    }
}

/// A sudden change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The place in the order where it begins, to a block: the first place of the block.
    pub position: i64,
    /// Places of a block.
    pub block_width: i64,
    /// Records between the change before it, or the beginning, and it.
    pub n_before: u64,
    /// Records between it and the next, or the end.
    pub n_after: u64,
    /// Share of records that are of other categories: half the sum of all shares' differences. Categories that never had a hundredth of
    /// a part of the stream are taken together, as the shares of so many differ by chance alone.
    pub share_changed: f64,
    /// The divergence of these shares before and after, in bits, from 0 to 1 (Lin 1991, *Divergence Measures Based on the Shannon Entropy*).
    pub jensen_shannon_bits: f64,
    /// Share of random orders of the blocks in which a place parts them as well.
    pub chance: f64,
    /// The categories whose shares changed most.
    pub categories: Vec<ShareChange>,
}

/// A category whose share changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShareChange {
    /// The category.
    pub category: String,
    /// Its share of the records before.
    pub share_before: f64,
    /// Its share of the records after.
    pub share_after: f64,
    /// Whether no record before was of it.
    pub is_new: bool,
}

/// What stands for the least frequent categories where there are too many: one of `segments::RARE`, by the category's name alone, so that it
/// does not depend on when a category was found to be rare.
fn others(name: &str) -> String {
    let group = match name.strip_prefix(OTHERS) {
        Some(_) => return name.to_owned(),
        None => segments::group(name),
    };
    format!("{OTHERS}{group})")
}

const OTHERS: &str = "(others, group ";

/// Categories of a change that are shown.
const SHOWN: usize = 5;

type Counts = BTreeMap<u32, u64>;

/// Counts of categories by blocks.
#[derive(Clone, Debug)]
pub struct Shifts {
    settings: ShiftSettings,
    width: i64,
    blocks: BTreeMap<i64, Counts>,
    names: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Shifts {
    /// No counts yet.
    #[must_use]
    pub fn new(settings: ShiftSettings) -> Self {
        Self {
            settings: ShiftSettings {
                n_blocks_max: settings.n_blocks_max.clamp(2, 1 << 16),
                n_categories_max: settings.n_categories_max.max(2),
                ..settings
            },
            width: 1,
            blocks: BTreeMap::new(),
            names: Vec::new(),
            ids: HashMap::new(),
        }
    }

    /// Counts a record: where it stands, by its number or by its date in days or seconds, and its category.
    pub fn add(&mut self, position: i64, category: &str) {
        let id = self.id(category);
        let block = position.div_euclid(self.width);
        *self.blocks.entry(block).or_default().entry(id).or_default() += 1;
        while self.blocks.len() > self.settings.n_blocks_max && self.width < i64::MAX / 4 {
            self.widen();
        }
        if self.names.len() > 2 * self.settings.n_categories_max {
            self.pool();
        }
    }

    /// Counts what another has counted of the same stream.
    pub fn merge(&mut self, mut other: Self) {
        while self.width < other.width {
            self.widen();
        }
        while other.width < self.width {
            other.widen();
        }
        for (block, counts) in other.blocks {
            for (id, n) in counts {
                let id = self.id(&other.names[id as usize]);
                *self.blocks.entry(block).or_default().entry(id).or_default() += n;
            }
        }
        while self.blocks.len() > self.settings.n_blocks_max && self.width < i64::MAX / 4 {
            self.widen();
        }
        if self.names.len() > 2 * self.settings.n_categories_max {
            self.pool();
        }
    }

    fn id(&mut self, category: &str) -> u32 {
        if let Some(id) = self.ids.get(category) {
            return *id;
        }
        let id = self.names.len() as u32;
        self.names.push(category.to_owned());
        self.ids.insert(category.to_owned(), id);
        id
    }

    fn widen(&mut self) {
        self.width *= 2;
        for (block, counts) in std::mem::take(&mut self.blocks) {
            let into = self.blocks.entry(block.div_euclid(2)).or_default();
            for (id, n) in counts {
                *into.entry(id).or_default() += n;
            }
        }
    }

    /// Counts the least frequent categories as one.
    fn pool(&mut self) {
        let mut totals: Vec<(u64, &str)> =
            self.names.iter().map(|name| (0, name.as_str())).collect();
        for (id, n) in self.blocks.values().flatten() {
            totals[*id as usize].0 += n;
        }
        totals.sort_unstable_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(other.1)));
        let mut names: Vec<String> = totals
            .into_iter()
            .map(|(_, name)| name.to_owned())
            .filter(|name| !name.starts_with(OTHERS))
            .take(self.settings.n_categories_max)
            .collect();
        let mut ids: HashMap<String, u32> = names.iter().cloned().zip(0..).collect();
        let moved: Vec<u32> = self
            .names
            .iter()
            .map(|name| {
                let name = if ids.contains_key(name) {
                    name.clone()
                } else {
                    others(name)
                };
                *ids.entry(name).or_insert_with_key(|name| {
                    names.push(name.clone());
                    names.len() as u32 - 1
                })
            })
            .collect();
        for counts in self.blocks.values_mut() {
            for (id, n) in std::mem::take(counts) {
                *counts.entry(moved[id as usize]).or_default() += n;
            }
        }
        self.names = names;
        self.ids = ids;
    }

    /// The sudden changes, in their order.
    ///
    /// ```
    /// use outlay_audit::{ShiftSettings, Shifts};
    /// let mut shifts = Shifts::new(ShiftSettings::default());
    /// for record in 0..4000 {
    ///     let is_new = record >= 2400 && record % 5 == 0;
    ///     shifts.add(record, if is_new { "new.example" } else { ["a.example", "b.example"][record as usize % 2] });
    /// }
    /// let changes = shifts.changes();
    /// assert_eq!(changes.len(), 1);
    /// assert!((changes[0].position - 2400).abs() <= changes[0].block_width);
    /// assert_eq!(changes[0].categories[0].category, "new.example");
    /// assert!((changes[0].categories[0].share_after - 0.2).abs() < 0.01);
    /// ```
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let blocks: Vec<(&i64, &Counts)> = self.blocks.iter().collect();
        let counts: Vec<&Counts> = blocks.iter().map(|(_, counts)| *counts).collect();
        let sought = segments::sought(&counts, &self.names);
        let sought: Vec<&Counts> = sought.iter().collect();
        let cuts = segments::cuts(&sought, &self.settings);
        let edges: Vec<usize> = cuts.iter().map(|(at, _)| *at).collect();
        cuts.iter()
            .enumerate()
            .map(|(nth, (at, chance))| {
                let start = nth.checked_sub(1).map_or(0, |before| edges[before]);
                let end = edges.get(nth + 1).copied().unwrap_or(counts.len());
                let before = Shares::of(&sought[start..*at]);
                let after = Shares::of(&sought[*at..end]);
                Change {
                    position: blocks[*at].0.saturating_mul(self.width),
                    block_width: self.width,
                    n_before: before.n,
                    n_after: after.n,
                    share_changed: before.distance(&after),
                    jensen_shannon_bits: before.divergence(&after),
                    chance: *chance,
                    categories: self.most_changed(
                        &Shares::of(&counts[start..*at]),
                        &Shares::of(&counts[*at..end]),
                    ),
                }
            })
            .collect()
    }

    fn most_changed(&self, before: &Shares, after: &Shares) -> Vec<ShareChange> {
        let mut changed: Vec<ShareChange> = before
            .with(after)
            .map(|(id, share_before, share_after)| ShareChange {
                category: self.names[id as usize].clone(),
                share_before,
                share_after,
                is_new: share_before == 0.0,
            })
            .collect();
        let size = |one: &ShareChange| (one.share_after - one.share_before).abs();
        changed.sort_by(|one, other| {
            size(other)
                .total_cmp(&size(one))
                .then_with(|| one.category.cmp(&other.category))
        });
        changed.truncate(SHOWN);
        changed
    }
}

/// What some blocks are made of.
struct Shares {
    n: u64,
    counts: Counts,
}

impl Shares {
    fn of(blocks: &[&Counts]) -> Self {
        let mut counts = Counts::new();
        for (id, n) in blocks.iter().copied().flatten() {
            *counts.entry(*id).or_default() += n;
        }
        Self {
            n: counts.values().sum(),
            counts,
        }
    }

    fn share(&self, id: u32) -> f64 {
        let n = self.counts.get(&id).copied().unwrap_or(0);
        n as f64 / (self.n as f64).max(1.0)
    }

    /// Every category of either, with both shares.
    fn with(&self, other: &Self) -> impl Iterator<Item = (u32, f64, f64)> {
        let ids: std::collections::BTreeSet<u32> = self
            .counts
            .keys()
            .chain(other.counts.keys())
            .copied()
            .collect();
        ids.into_iter()
            .map(|id| (id, self.share(id), other.share(id)))
    }

    fn distance(&self, other: &Self) -> f64 {
        self.with(other)
            .map(|(_, one, other)| (one - other).abs())
            .sum::<f64>()
            / 2.0
    }

    fn divergence(&self, other: &Self) -> f64 {
        let bits = |share: f64, mean: f64| {
            if share > 0.0 {
                share * (share / mean).log2()
            } else {
                0.0
            }
        };
        self.with(other)
            .map(|(_, one, other)| {
                let mean = f64::midpoint(one, other);
                f64::midpoint(bits(one, mean), bits(other, mean))
            })
            .sum()
    }
}

/// A category for a number, such as the length of a text: one of four to a doubling, as the range that it is.
///
/// ```
/// use outlay_audit::number_range;
/// assert_eq!(number_range(1000.0), "861 to 1024");
/// assert_eq!(number_range(1024.0), "1024 to 1218");
/// assert_eq!(number_range(0.0), "0");
/// assert_eq!(number_range(f64::NAN), "no number");
/// ```
#[must_use]
pub fn number_range(number: f64) -> String {
    if !number.is_finite() {
        return "no number".to_owned();
    }
    if number == 0.0 {
        return "0".to_owned();
    }
    let quarter = (number.abs().log2() * 4.0 + 1e-9).floor();
    let edge = |quarter: f64| {
        let edge = (quarter / 4.0).exp2() * number.signum();
        if edge.abs() >= 100.0 {
            format!("{edge:.0}")
        } else {
            format!("{edge:.3}")
        }
    };
    format!("{} to {}", edge(quarter), edge(quarter + 1.0))
}
