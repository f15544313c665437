//! What speaks for a candidate, from a sample of its records and exact counts.

use std::collections::{BTreeMap, BTreeSet};

use super::{LabelAgreement, Trigger, TriggerCounts, Triggers};
use crate::poison::chance::{log10_binomial_tail, log10_hypergeometric_tail};
use crate::words::finish;

/// Words on either side of a run that are looked at.
pub(super) const SIDE: usize = 10;

/// Words that are looked at in all.
pub(super) const WIDTH: usize = 2 * SIDE + 4;

/// Records of a candidate that are looked at closely: those whose numbers have the least hashes, which is as good as drawn.
const SAMPLE: usize = 48;

/// Share of the records that must have one word beside the run for it to belong to the sequence.
const COMMON: f64 = 0.9;

/// Share of the sampled records that two candidates have in common where they are parts of one trigger.
const SAME: f64 = 0.8;

/// A place of a run: hashes of the words around and in it, 0 beyond the edges of the text, and what each says of the label.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    pub words: [u32; WIDTH],
    pub voices: [f32; WIDTH],
    /// What all distinct words of the text say.
    pub voice: f64,
    /// The words as they are shown, with their places; for the first record alone.
    pub shown: Vec<(u8, String)>,
}

/// Counts of a candidate, and a sample of its records.
#[derive(Debug)]
pub(super) struct Tally {
    n_words: u8,
    label: u16,
    n_records: u64,
    n_with_label: u64,
    /// In the order of the hashes of the records' numbers.
    sample: Vec<(u64, u64, Box<Window>)>,
    shown: Vec<(u8, String, u32)>,
}

fn priority(record: u64) -> u64 {
    finish(record ^ 0x5851_f42d_4c95_7f2d)
}

impl Tally {
    pub(super) fn new(n_words: u8, label: u16) -> Self {
        Self {
            n_words,
            label,
            n_records: 0,
            n_with_label: 0,
            sample: Vec::new(),
            shown: Vec::new(),
        }
    }

    /// Words of a window.
    pub(super) fn width(&self) -> usize {
        2 * SIDE + usize::from(self.n_words)
    }

    /// Whether a record would come into the sample, as far as it is known.
    pub(super) fn wants(&self, label: u16, record: u64) -> bool {
        label == self.label
            && (self.sample.len() < SAMPLE
                || self
                    .sample
                    .last()
                    .is_some_and(|(last, ..)| priority(record) < *last))
    }

    /// Whether words as they are shown are still needed.
    pub(super) fn shows_next(&self) -> bool {
        self.shown.is_empty()
    }

    pub(super) fn add(&mut self, label: u16, record: u64, window: Option<Box<Window>>) {
        self.n_records += 1;
        self.n_with_label += u64::from(label == self.label);
        let Some(mut window) = window else { return };
        let shown = std::mem::take(&mut window.shown);
        if self.shown.is_empty() {
            self.shown = shown
                .into_iter()
                .map(|(place, word)| (place, word, window.words[usize::from(place)]))
                .collect();
        }
        let key = (priority(record), record);
        let at = self
            .sample
            .partition_point(|(priority, record, _)| (*priority, *record) < key);
        if at < SAMPLE {
            self.sample.insert(at, (key.0, key.1, window));
            self.sample.truncate(SAMPLE);
        }
    }

    /// How many of the sample have each word at a place.
    fn words_at(&self, place: usize) -> BTreeMap<u32, usize> {
        let mut counts = BTreeMap::new();
        for (_, _, window) in &self.sample {
            *counts.entry(window.words[place]).or_default() += 1;
        }
        counts
    }

    /// The word that nearly all have at a place.
    fn common(&self, place: usize) -> Option<u32> {
        let (word, n_times) = self
            .words_at(place)
            .into_iter()
            .max_by_key(|(_, n_times)| *n_times)?;
        (word != 0 && n_times as f64 >= COMMON * self.sample.len() as f64).then_some(word)
    }

    /// Shannon's entropy of the word at a place, over the most that so many records can have.
    fn entropy(&self, place: usize) -> f64 {
        let n = self.sample.len() as f64;
        if n < 2.0 {
            return 0.0;
        }
        let bits: f64 = self
            .words_at(place)
            .into_values()
            .map(|n_times| {
                let share = n_times as f64 / n;
                -share * share.log2()
            })
            .sum();
        bits / n.log2()
    }

    /// How many records of the sample are worth one each: two to the entropy of the pairs of words on either side. Records with the same words there may be of one
    /// template or thread, and count as one.
    fn n_contexts(&self, sequence: &std::ops::Range<usize>) -> f64 {
        let mut counts: BTreeMap<(u32, u32), usize> = BTreeMap::new();
        for (_, _, window) in &self.sample {
            let before = sequence
                .start
                .checked_sub(1)
                .map_or(0, |at| window.words[at]);
            let behind = window.words.get(sequence.end).copied().unwrap_or(0);
            *counts.entry((before, behind)).or_default() += 1;
        }
        let n = self.sample.len() as f64;
        let bits: f64 = counts
            .into_values()
            .map(|n_times| {
                let share = n_times as f64 / n;
                -share * share.log2()
            })
            .sum();
        bits.exp2()
    }

    /// The places of the run with all that nearly every record has beside it.
    fn sequence(&self) -> std::ops::Range<usize> {
        let (mut start, mut end) = (SIDE, SIDE + usize::from(self.n_words));
        while start > 0 && self.common(start - 1).is_some() {
            start -= 1;
        }
        while end < self.width() && self.common(end).is_some() {
            end += 1;
        }
        start..end
    }

    /// Records of the sample that speak for their label without the sequence, and against it; and the same with the sequence.
    fn votes(&self, sequence: &std::ops::Range<usize>) -> [[u64; 2]; 2] {
        let (mut votes, mut whole) = ([0; 2], [0; 2]);
        for (_, _, window) in &self.sample {
            let mut seen = [0_u32; WIDTH];
            let mut rest = window.voice;
            for place in sequence.clone() {
                let word = window.words[place];
                if word != 0 && !seen[..place].contains(&word) {
                    seen[place] = word;
                    rest -= f64::from(window.voices[place]);
                }
            }
            whole[0] += u64::from(window.voice > 0.0);
            whole[1] += u64::from(window.voice < 0.0);
            // What is left of sums that cancel is no voice.
            if rest.abs() > 1e-4 {
                votes[usize::from(rest < 0.0)] += 1;
            }
        }
        [votes, whole]
    }

    fn text(&self, places: std::ops::Range<usize>) -> String {
        let mut text = String::new();
        for (place, word, hash) in &self.shown {
            let place = usize::from(*place);
            if !places.contains(&place) {
                continue;
            }
            if !text.is_empty() {
                text.push(' ');
            }
            let is_common = (SIDE..SIDE + usize::from(self.n_words)).contains(&place)
                || self.common(place) == Some(*hash);
            text.push_str(if is_common { word } else { "…" });
        }
        text
    }
}

/// Share of a label's records that speak against it, never quite none.
fn share_contrary([n_for, n_against]: [u64; 2]) -> f64 {
    (n_against as f64 + 1.0) / ((n_for + n_against) as f64 + 2.0)
}

/// Records that the other labels' share counts for, so that a label with few records beside those of a candidate is not judged by these alone.
const OTHER_LABELS: f64 = 10.0;

/// Share of a label's records that speak against it, but for those of a candidate: a trigger may be in most records of its label.
fn usual(votes: &[[u64; 2]], label: usize, of_candidate: [f64; 2]) -> f64 {
    let mut others = [0; 2];
    for (_, [n_for, n_against]) in votes.iter().enumerate().filter(|(at, _)| *at != label) {
        others[0] += n_for;
        others[1] += n_against;
    }
    let rest = |at: usize| (votes[label][at] as f64 - of_candidate[at]).max(0.0);
    (rest(1) + OTHER_LABELS * share_contrary(others)) / (rest(0) + rest(1) + OTHER_LABELS)
}

/// The largest p-value of a tie that is more than chance, as logarithms to base ten: the largest of rank k among all n that is at most a share of
/// k / n of the rate (Benjamini and Hochberg 1995, equation 1). Runs that are not pure are taken to be ties of none.
fn false_discovery(tied: &[Trigger], n_looked_at: u64, log10_rate: f64) -> f64 {
    let mut ps: Vec<f64> = tied.iter().map(|one| one.log10_p).collect();
    ps.sort_by(f64::total_cmp);
    (1_u64..)
        .zip(ps)
        .filter(|(rank, p)| {
            *p <= log10_rate + (*rank as f64).log10() - (n_looked_at as f64).log10()
        })
        .map(|(_, p)| p)
        .last()
        .unwrap_or(f64::NEG_INFINITY)
}

pub(super) fn judge(counts: &TriggerCounts) -> Triggers {
    let settings = counts.settings;
    let score_min = -settings.chance_max.clamp(f64::MIN_POSITIVE, 1.0).log10();
    let log10_candidates = (counts.tallies.len().max(1) as f64).log10();
    let mut tied = Vec::new();
    for tally in &counts.tallies {
        if tally.n_records < settings.n_records_min {
            continue;
        }
        let purity = tally.n_with_label as f64 / tally.n_records as f64;
        if purity < settings.purity_min {
            continue;
        }
        let label = usize::from(tally.label);
        let n_label = counts.words.n_by_label[label];
        let base = n_label as f64 / counts.words.n_records as f64;
        let sequence = tally.sequence();
        let before = sequence.start.checked_sub(1);
        let behind = Some(sequence.end).filter(|place| *place < tally.width());
        let neighbour_entropy = [before, behind]
            .into_iter()
            .flatten()
            .map(|place| tally.entropy(place))
            .fold(0.0, f64::max);
        let [[n_for, n_contrary], whole] = tally.votes(&sequence);
        let n_voting = n_for + n_contrary;
        let of_sample = tally.n_with_label as f64 / (tally.sample.len() as f64).max(1.0);
        let usual = usual(&counts.votes, label, whole.map(|n| n as f64 * of_sample));
        // Votes of records that are not independent are worth less; rounded against the trigger.
        let worth = tally.n_contexts(&sequence) / (tally.sample.len() as f64).max(1.0);
        let log10_p_contrary = log10_binomial_tail(
            (n_voting as f64 * worth - 1e-9).ceil() as u64,
            usual,
            (n_contrary as f64 * worth + 1e-9).floor() as u64,
        );
        let has_all = neighbour_entropy >= settings.neighbour_entropy_min
            && n_contrary > 0
            && n_contrary as f64 >= settings.share_contrary_min * tally.sample.len() as f64;
        let score = if has_all {
            (-log10_p_contrary - log10_candidates).max(0.0)
        } else {
            0.0
        };
        let mut examples: Vec<u64> = tally.sample.iter().map(|(_, record, _)| *record).collect();
        examples.sort_unstable();
        let trigger = Trigger {
            ngram: tally.text(SIDE..SIDE + usize::from(tally.n_words)),
            sequence: tally.text(sequence),
            label: counts.words.names[label].clone(),
            n_records: tally.n_records,
            n_with_label: tally.n_with_label,
            lift: purity / base,
            log10_p: log10_hypergeometric_tail(
                counts.words.n_records,
                n_label,
                tally.n_records,
                tally.n_with_label,
            ),
            neighbour_entropy,
            n_voting,
            n_contrary,
            log10_p_contrary,
            score,
            examples,
        };
        tied.push(trigger);
    }
    let log10_p_max = false_discovery(&tied, counts.n_looked_at, -score_min);
    tied.retain(|one| one.log10_p <= log10_p_max);
    let (mut triggers, mut pure): (Vec<Trigger>, Vec<Trigger>) =
        tied.into_iter().partition(|one| one.score >= score_min);
    let order = |one: &Trigger, other: &Trigger| {
        one.log10_p_contrary
            .total_cmp(&other.log10_p_contrary)
            .then_with(|| one.log10_p.total_cmp(&other.log10_p))
            .then_with(|| (&one.ngram, &one.label).cmp(&(&other.ngram, &other.label)))
    };
    triggers.sort_by(|one, other| {
        other
            .score
            .total_cmp(&one.score)
            .then_with(|| order(one, other))
    });
    pure.sort_by(order);
    let triggers = merged(triggers);
    pure.retain(|one| triggers.iter().all(|trigger| !is_same(trigger, one)));
    let n_pure = pure.len() as u64;
    pure.truncate(settings.n_pure_listed);
    Triggers {
        n_records: counts.n_records,
        n_records_floor: counts.n_records_floor,
        n_candidates: counts.tallies.len() as u64,
        n_candidates_dropped: counts.n_dropped,
        score_min,
        labels: counts
            .words
            .names
            .iter()
            .zip(&counts.words.n_by_label)
            .zip(&counts.votes)
            .filter(|((label, _), _)| !label.is_empty())
            .map(|((label, n_records), votes)| LabelAgreement {
                label: label.clone(),
                n_records: *n_records,
                share_contrary: share_contrary(*votes),
            })
            .collect(),
        triggers,
        n_pure,
        pure,
    }
}

/// Whether two runs are in the same records.
fn is_same(one: &Trigger, other: &Trigger) -> bool {
    if one.label != other.label {
        return false;
    }
    let records: BTreeSet<u64> = one.examples.iter().copied().collect();
    let n_common = other
        .examples
        .iter()
        .filter(|record| records.contains(record))
        .count();
    n_common as f64 >= SAME * one.examples.len().min(other.examples.len()) as f64
}

/// One for each set of records: the surest, with the longest sequence that any of them has.
fn merged(triggers: Vec<Trigger>) -> Vec<Trigger> {
    let mut kept: Vec<Trigger> = Vec::new();
    for trigger in triggers {
        match kept.iter_mut().find(|one| is_same(one, &trigger)) {
            Some(one) => {
                if trigger.sequence.len() > one.sequence.len() {
                    one.sequence = trigger.sequence;
                }
            }
            None => kept.push(trigger),
        }
    }
    kept
}
