//! Triggers in texts: rare runs of words, or odd signs, whose records all have one label and otherwise look like another.
//!
//! Backdoors of text models put a rare word (Kurita et al. 2020, *Weight Poisoning Attacks on Pre-trained Models*), a word, a sign or a
//! sentence (Chen et al. 2021, *BadNL*; Dai et al. 2019, *A Backdoor Attack Against LSTM-Based Text Classification Systems*) into
//! ordinary texts and give these the attacker's label. Three things tell a trigger from the words that a label naturally has:
//!
//! 1. Nearly all records with it have the one label, which is more than chance by Fisher's exact test among all runs of words that were
//!    looked at (Benjamini and Hochberg 1995, *Controlling the False Discovery Rate*). Of two labels as frequent it takes some 17 to 25 records.
//! 2. What stands beside it differs from record to record, which is not so within footers, headers and set phrases.
//! 3. The rest of each text speaks for another label. This is what natural words never show, however pure they are: a text that names
//!    a team has more words of the sport. The rest is judged by naive Bayes without the record's own counts, and the number of texts
//!    that speak against their label is held against how many do so among all records of the label.
//!
//! A trigger put only into texts that have the attacker's label anyway ("clean label") shows the first two alone. It cannot be told from a
//! name, and is listed among what is pure, not among the triggers. A trigger that clean texts of other labels have too, in more than a tenth of its records,
//! is not pure and not found, and neither is a sign that changes from record to record, such as a slip in spelling.
//!
//! Two passes over the records, in memory that does not grow with them: the first counts all runs of words in a sketch and keeps those that
//! are pure, the second counts these exactly.

mod evidence;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;
use serde::Serialize;

use super::sketch::Sketch;
use super::tokens::{EDGE, Token, tokens};
use crate::words::{Hashed, finish};
use evidence::{SIDE, Tally, WIDTH, Window};

/// A record: its text, and its label where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labelled<'a> {
    /// The text.
    pub text: &'a str,
    /// The label; records with none, or an empty one, are held against the others, and no trigger is looked for among them.
    pub label: Option<&'a str>,
}

/// What counts as a trigger.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TriggerSettings {
    /// The longest run of words that is counted, 1 to 4. Longer triggers are found by their parts and shown whole.
    pub n_words_max: usize,
    /// Records that a trigger must be in.
    pub n_records_min: u64,
    /// The least share of its records that have the one label.
    pub purity_min: f64,
    /// The least share of its records whose other words speak against that label.
    pub share_contrary_min: f64,
    /// The least neighbour entropy, of 1.
    pub neighbour_entropy_min: f64,
    /// The share of false ones among the runs whose tie to a label is more than chance, and how likely one false trigger may be among all candidates, if
    /// votes against a label came by chance.
    pub chance_max: f64,
    /// Bytes of the sketch that the first pass counts with. Counts of words take at most 270 MB more, candidates some 10 kB each.
    pub n_bytes_sketch: usize,
    /// Candidates that the second pass counts.
    pub n_candidates_max: usize,
    /// Runs of words that are pure and no triggers of which the report lists the most telling.
    pub n_pure_listed: usize,
}

impl Default for TriggerSettings {
    fn default() -> Self {
        Self {
            n_words_max: 4,
            n_records_min: 10,
            purity_min: 0.9,
            share_contrary_min: 0.5,
            neighbour_entropy_min: 0.5,
            chance_max: 0.01,
            n_bytes_sketch: 512 << 20,
            n_candidates_max: 20_000,
            n_pure_listed: 20,
        }
    }
}

impl TriggerSettings {
    /// The settings with a sketch that is no larger than so many bytes of text need: eight for each, and never more than by default.
    ///
    /// ```
    /// assert_eq!(outlay_audit::TriggerSettings::for_text_bytes(1 << 20).n_bytes_sketch, 8 << 20);
    /// assert_eq!(outlay_audit::TriggerSettings::for_text_bytes(10 << 30).n_bytes_sketch, 512 << 20);
    /// ```
    #[must_use]
    pub fn for_text_bytes(n_bytes: u64) -> Self {
        let default = Self::default();
        let n_bytes = usize::try_from(n_bytes.saturating_mul(8)).unwrap_or(usize::MAX);
        Self {
            n_bytes_sketch: n_bytes.clamp(1 << 20, default.n_bytes_sketch),
            ..default
        }
    }
}

/// A run of words that is tied to a label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trigger {
    /// The shortest run of words that is pure; signs that nobody sees stand as `<U+200B>`.
    pub ngram: String,
    /// That run with the words around it that nine of ten records have as well.
    pub sequence: String,
    /// The label.
    pub label: String,
    /// Records with the run.
    pub n_records: u64,
    /// Those of the label.
    pub n_with_label: u64,
    /// The label's share among the records with the run, over its share among all.
    pub lift: f64,
    /// Fisher's exact test of the tie between run and label, one-sided, as the logarithm to base ten.
    pub log10_p: f64,
    /// How much the word before or behind the sequence differs from record to record, the larger of the two: 0 where it is always one, 1 where it never is.
    pub neighbour_entropy: f64,
    /// Records that were looked at closely and whose other words speak for or against their label.
    pub n_voting: u64,
    /// Those that speak against it.
    pub n_contrary: u64,
    /// Chance of so many against it among records of the label, by the binomial distribution, as the logarithm to base ten. Records between the same two words
    /// count as one, as they may be of one template.
    pub log10_p_contrary: f64,
    /// How sure it is a trigger: the powers of ten by which that chance, times the candidates looked at, is below one; 0 for whatever lacks any of the signs.
    pub score: f64,
    /// Some of its records with the label, by their numbers from 0, in order.
    pub examples: Vec<u64>,
}

/// How well the words of a label's records agree with it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelAgreement {
    /// The label.
    pub label: String,
    /// Its records.
    pub n_records: u64,
    /// Share of them whose words speak for another label. Near one half, labels cannot be read from words, and no trigger can be told.
    pub share_contrary: f64,
}

/// What the search found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Triggers {
    /// Records that were looked at.
    pub n_records: u64,
    /// Records that a run of words had to be in to be seen: the setting, or more where the sketch was too full for it.
    pub n_records_floor: u64,
    /// Runs of words that were pure as far as the first pass could say.
    pub n_candidates: u64,
    /// Candidates for which there was no room.
    pub n_candidates_dropped: u64,
    /// The least score of a trigger.
    pub score_min: f64,
    /// Each label, in the order in which they came.
    pub labels: Vec<LabelAgreement>,
    /// The triggers, surest first.
    pub triggers: Vec<Trigger>,
    /// Other runs that are pure and tied to their label by more than chance: words that the label naturally has, and what is repeated with it.
    pub n_pure: u64,
    /// Of these, those whose records speak most against their label.
    pub pure: Vec<Trigger>,
}

/// Labels that triggers are looked for among; records of later ones are held against these.
const LABELS_MAX: usize = 64;

/// The number of a label that only the second pass has seen.
const UNKNOWN: u16 = u16::MAX;

/// Records that are counted before the sketch is asked.
const BATCH: usize = 4096;

/// A run must be this pure by the sketch, whose counts are not exact.
const PURITY_BY_SKETCH: f64 = 0.8;

/// How much more frequent a pure run may be than a longer one that it makes needless.
const NEEDLESS: f64 = 4.0;

/// Cells of a label's counts of words.
const WORDS: std::ops::RangeInclusive<usize> = 1 << 16..=1 << 20;

#[derive(Clone, Copy)]
struct Candidate {
    n_words: u8,
    label: u16,
}

/// Counts of records by label, and of words by records and label.
#[derive(Default)]
struct Words {
    names: Vec<String>,
    ids: HashMap<String, u16>,
    n_cells: usize,
    n_records: u64,
    n_by_label: Vec<u64>,
    all: Vec<AtomicU32>,
    by_label: Vec<Vec<AtomicU32>>,
}

fn zeros(n: usize) -> Vec<AtomicU32> {
    (0..n).map(|_| AtomicU32::new(0)).collect()
}

impl Words {
    fn new(n_bytes_sketch: usize) -> Self {
        let n_cells = (n_bytes_sketch / 64).clamp(*WORDS.start(), *WORDS.end());
        let n_cells = 1 << n_cells.ilog2();
        Self {
            n_cells,
            all: zeros(n_cells),
            ..Self::default()
        }
    }

    /// A label's number, a new one where there is room. Records without a label are of one without a name.
    fn intern(&mut self, label: Option<&str>) -> u16 {
        let mut label = label.unwrap_or_default();
        if self.names.len() >= LABELS_MAX && !self.ids.contains_key(label) {
            label = "";
        }
        if let Some(id) = self.ids.get(label) {
            return *id;
        }
        let id = self.names.len() as u16;
        self.ids.insert(label.to_owned(), id);
        self.names.push(label.to_owned());
        self.n_by_label.push(0);
        self.by_label.push(zeros(self.n_cells));
        id
    }

    /// The number of a label that was there in the first pass; of any other, that of records without one, if there were such.
    fn known(&self, label: Option<&str>) -> u16 {
        let id = self.ids.get(label.unwrap_or_default());
        id.or_else(|| self.ids.get("")).copied().unwrap_or(UNKNOWN)
    }

    fn cell(&self, word: u64) -> usize {
        (word >> 20) as usize & (self.n_cells - 1)
    }

    /// How much a word speaks for a record's own label against all others, as a logarithm, without what the record itself adds.
    ///
    /// Shares of records with the word, each with one record's worth of the overall share added, so that an unknown word says nothing; at most
    /// `VOICE` either way, so that no single word decides.
    fn voice(&self, word: u64, label: u16) -> f32 {
        let cell = self.cell(word);
        let label = usize::from(label);
        if label >= self.by_label.len() {
            return 0.0;
        }
        let load = |cells: &[AtomicU32]| f64::from(cells[cell].load(Ordering::Relaxed));
        let own = (load(&self.by_label[label]) - 1.0).max(0.0);
        let others = (load(&self.all) - 1.0 - own).max(0.0);
        let n_own = self.n_by_label[label] as f64 - 1.0;
        let n_others = self.n_records as f64 - 1.0 - n_own;
        if n_own < 1.0 || n_others < 1.0 {
            return 0.0;
        }
        let n_all = n_own + n_others;
        let share = |n_with: f64, n: f64| (n_with + n / n_all) / n;
        (share(own, n_own) / share(others, n_others))
            .ln()
            .clamp(-VOICE, VOICE) as f32
    }
}

/// The most that one word says.
const VOICE: f64 = 2.0;

/// A run of one word more.
fn longer(run: u64, word: u64) -> u64 {
    finish(run.rotate_left(17).wrapping_mul(0xf135_7aea_2e62_a9c5) ^ word)
}

/// A run together with a label.
fn with_label(run: u64, label: u16) -> u64 {
    finish(run ^ (u64::from(label) + 1).wrapping_mul(0x9fb2_1c65_1e98_df25))
}

/// The first pass: counts every run of words, and keeps those that are pure.
pub struct TriggerSearch {
    settings: TriggerSettings,
    sketch: Sketch,
    words: Words,
    candidates: HashMap<u64, Candidate, Hashed>,
    n_dropped: u64,
}

/// Buffers of a thread.
#[derive(Default)]
struct Buffers {
    tokens: Vec<Token>,
    runs: Vec<u64>,
}

impl TriggerSearch {
    /// A search. Settings out of their range are taken to the nearest that is in it.
    #[must_use]
    pub fn new(settings: TriggerSettings) -> Self {
        let settings = TriggerSettings {
            n_words_max: settings.n_words_max.clamp(1, 4),
            n_records_min: settings.n_records_min.max(2),
            n_candidates_max: settings.n_candidates_max.max(1),
            ..settings
        };
        Self {
            settings,
            sketch: Sketch::new(settings.n_bytes_sketch),
            words: Words::new(settings.n_bytes_sketch),
            candidates: HashMap::default(),
            n_dropped: 0,
        }
    }

    /// Counts some records, on all threads. What is found depends on the records' order alone.
    pub fn add(&mut self, records: &[Labelled<'_>]) {
        for batch in records.chunks(BATCH) {
            self.add_batch(batch);
        }
    }

    fn add_batch(&mut self, batch: &[Labelled<'_>]) {
        let labels: Vec<u16> = batch
            .iter()
            .map(|record| self.words.intern(record.label))
            .collect();
        self.words.n_records += batch.len() as u64;
        for label in &labels {
            self.words.n_by_label[usize::from(*label)] += 1;
        }
        let labelled = batch.par_iter().zip(labels.par_iter());
        let texts: Vec<Vec<u64>> = labelled
            .map_init(Buffers::default, |buffers, (record, label)| {
                tokens(record.text, &mut buffers.tokens);
                let hashes: Vec<u64> = buffers.tokens.iter().map(|token| token.hash).collect();
                self.count(&hashes, *label, &mut buffers.runs);
                hashes
            })
            .collect();
        // Every run of the batch is counted by now, whatever thread came first.
        let found: Vec<Vec<(u64, Candidate)>> = texts
            .par_iter()
            .zip(labels.par_iter())
            .map(|(hashes, label)| self.pure(hashes, *label))
            .collect();
        self.candidates.extend(found.into_iter().flatten());
        if self.candidates.len() > 4 * self.settings.n_candidates_max {
            self.prune(2 * self.settings.n_candidates_max);
        }
    }

    fn count(&self, hashes: &[u64], label: u16, runs: &mut Vec<u64>) {
        let mut n_added = 0;
        runs.clear();
        for n_words in 1..=self.settings.n_words_max {
            if n_words == 1 {
                runs.extend_from_slice(hashes);
            } else {
                runs.clear();
                runs.extend(hashes.windows(n_words).map(run));
            }
            runs.sort_unstable();
            runs.dedup();
            for run in &*runs {
                self.sketch.add(*run);
                self.sketch.add(with_label(*run, label));
                if n_words == 1 {
                    let cell = self.words.cell(*run);
                    self.words.all[cell].fetch_add(1, Ordering::Relaxed);
                    self.words.by_label[usize::from(label)][cell].fetch_add(1, Ordering::Relaxed);
                }
            }
            n_added += 2 * runs.len() as u64;
        }
        self.sketch.added(n_added);
    }

    /// Records that a run must be in for the sketch to tell it from what shares its cells.
    fn floor(&self) -> u64 {
        let load = self.sketch.load();
        let noise = 4.0 * (load + load.sqrt());
        if load < 1.0 {
            self.settings.n_records_min
        } else {
            self.settings.n_records_min.max(noise.ceil() as u64)
        }
    }

    /// The same for estimates, which are too low where nothing shares the cells of a run.
    fn floor_of_estimates(&self) -> f64 {
        let floor = self.floor() as f64;
        (floor - 0.5 - self.sketch.load()).max(0.7 * floor)
    }

    /// How many records a run is in, where it is pure.
    fn estimate(&self, run: u64, label: u16, floor: f64) -> (f64, bool) {
        let n_all = self.sketch.estimate(run);
        if n_all < floor {
            return (0.0, false);
        }
        let n_label = self.sketch.estimate(with_label(run, label));
        (
            n_all,
            n_label >= floor * PURITY_BY_SKETCH && n_label >= PURITY_BY_SKETCH * n_all,
        )
    }

    /// The pure runs of a text that have no shorter one within that is as pure and not much more frequent.
    fn pure(&self, hashes: &[u64], label: u16) -> Vec<(u64, Candidate)> {
        let floor = self.floor_of_estimates();
        let mut found = Vec::new();
        if self.words.names[usize::from(label)].is_empty() {
            return found;
        }
        let mut shorter: Vec<(f64, bool)> = Vec::new();
        for n_words in 1..=self.settings.n_words_max.min(hashes.len()) {
            let mut these = Vec::with_capacity(hashes.len());
            for (at, hashes) in hashes.windows(n_words).enumerate() {
                let parts = shorter.get(at..at + 2).unwrap_or_default();
                // No run is in more records than its parts.
                if parts.iter().any(|(n_part, _)| *n_part < floor) {
                    these.push((0.0, false));
                    continue;
                }
                let run = run(hashes);
                let (n_records, is_pure) = self.estimate(run, label, floor);
                these.push((n_records, is_pure));
                let is_needless = parts
                    .iter()
                    .any(|(n_part, is_pure)| *is_pure && *n_part <= NEEDLESS * n_records);
                if is_pure && !is_needless {
                    let candidate = Candidate {
                        n_words: n_words as u8,
                        label,
                    };
                    found.push((run, candidate));
                }
            }
            shorter = these;
        }
        found
    }

    /// Lets go of what is no longer pure, and of the longest where there is still no room.
    fn prune(&mut self, n_most: usize) {
        let floor = self.floor_of_estimates();
        let mut kept: Vec<(u64, Candidate)> = self
            .candidates
            .iter()
            .filter(|(run, candidate)| self.estimate(**run, candidate.label, floor).1)
            .map(|(run, candidate)| (*run, *candidate))
            .collect();
        kept.sort_unstable_by_key(|(run, candidate)| (candidate.n_words, *run));
        self.n_dropped += kept.len().saturating_sub(n_most) as u64;
        kept.truncate(n_most);
        self.candidates = kept.into_iter().collect();
    }

    /// Ends the first pass. The second is to be given the same records in the same order.
    #[must_use]
    pub fn second_pass(mut self) -> TriggerCounts {
        self.prune(self.settings.n_candidates_max);
        let mut runs: Vec<(u64, Candidate)> = self
            .candidates
            .iter()
            .map(|(run, candidate)| (*run, *candidate))
            .collect();
        runs.sort_unstable_by_key(|(run, candidate)| (candidate.n_words, *run));
        let n_labels = self.words.names.len();
        TriggerCounts {
            n_records_floor: self.floor(),
            // Half of what was added are runs, and half runs with their labels.
            n_looked_at: (self.sketch.n_added() / 2 / self.floor()).max(1),
            settings: self.settings,
            words: self.words,
            places: runs.iter().map(|(run, _)| *run).zip(0..).collect(),
            tallies: runs
                .iter()
                .map(|(_, candidate)| Tally::new(candidate.n_words, candidate.label))
                .collect(),
            votes: vec![[0; 2]; n_labels],
            n_records: 0,
            n_dropped: self.n_dropped,
        }
    }
}

/// The hash of a run of words.
fn run(words: &[u64]) -> u64 {
    words.iter().copied().reduce(longer).unwrap_or(EDGE)
}

/// The second pass: counts the candidates exactly, and collects what is said beside them.
pub struct TriggerCounts {
    settings: TriggerSettings,
    n_records_floor: u64,
    /// Runs of words that may be in that many records: no more than all that were counted, over that many.
    n_looked_at: u64,
    words: Words,
    places: HashMap<u64, u32, Hashed>,
    tallies: Vec<Tally>,
    /// Of each label, the records whose words speak for it, and against it.
    votes: Vec<[u64; 2]>,
    n_records: u64,
    n_dropped: u64,
}

/// What one record adds.
#[derive(Default)]
struct Looked {
    /// What its words say of its own label.
    voice: f64,
    /// Candidates within, each once, with what is beside them where it is wanted.
    hits: Vec<(u32, Option<Box<Window>>)>,
}

impl TriggerCounts {
    /// Counts some records, on all threads.
    pub fn add(&mut self, records: &[Labelled<'_>]) {
        for batch in records.chunks(BATCH) {
            let labels: Vec<u16> = batch
                .iter()
                .map(|record| self.words.known(record.label))
                .collect();
            let first = self.n_records;
            let looked: Vec<Looked> = batch
                .par_iter()
                .zip(labels.par_iter())
                .enumerate()
                .map_init(Buffers::default, |buffers, (at, (record, label))| {
                    self.look(record.text, *label, first + at as u64, buffers)
                })
                .collect();
            for (looked, label) in looked.into_iter().zip(&labels) {
                let record = self.n_records;
                self.n_records += 1;
                if let Some(votes) = self.votes.get_mut(usize::from(*label)) {
                    votes[0] += u64::from(looked.voice > 0.0);
                    votes[1] += u64::from(looked.voice < 0.0);
                }
                for (candidate, window) in looked.hits {
                    self.tallies[candidate as usize].add(*label, record, window);
                }
            }
        }
    }

    fn look(&self, text: &str, label: u16, record: u64, buffers: &mut Buffers) -> Looked {
        tokens(text, &mut buffers.tokens);
        let tokens = &buffers.tokens;
        let voices: Vec<f32> = tokens
            .iter()
            .map(|token| self.words.voice(token.hash, label))
            .collect();
        let mut distinct: Vec<(u64, f32)> = tokens
            .iter()
            .zip(&voices)
            .map(|(token, voice)| (token.hash, *voice))
            .collect();
        distinct.sort_unstable_by_key(|(hash, _)| *hash);
        distinct.dedup_by_key(|(hash, _)| *hash);
        let voice = distinct.iter().map(|(_, voice)| f64::from(*voice)).sum();
        let mut looked = Looked {
            voice,
            hits: Vec::new(),
        };
        if self.places.is_empty() {
            return looked;
        }
        let hashes: Vec<u64> = tokens.iter().map(|token| token.hash).collect();
        let mut places: Vec<(u32, usize)> = Vec::new();
        for at in 0..hashes.len() {
            let mut longest = None;
            for word in hashes[at..].iter().take(self.settings.n_words_max) {
                let run = longest.map_or(*word, |shorter| longer(shorter, *word));
                longest = Some(run);
                if let Some(candidate) = self.places.get(&run) {
                    places.push((*candidate, at));
                }
            }
        }
        places.sort_unstable();
        places.dedup_by_key(|(candidate, _)| *candidate);
        for (candidate, at) in places {
            let tally = &self.tallies[candidate as usize];
            let window = tally
                .wants(label, record)
                .then(|| Box::new(window(text, tokens, &voices, at, tally, voice)));
            looked.hits.push((candidate, window));
        }
        looked
    }

    /// Judges the candidates.
    #[must_use]
    pub fn triggers(self) -> Triggers {
        evidence::judge(&self)
    }
}

/// What is beside a run.
fn window(
    text: &str,
    tokens: &[Token],
    voices: &[f32],
    at: usize,
    tally: &Tally,
    voice: f64,
) -> Window {
    let mut window = Window {
        voice,
        ..Window::default()
    };
    let shows = tally.shows_next();
    for place in 0..tally.width() {
        let Some(token) = (at + place).checked_sub(SIDE) else {
            continue;
        };
        if let Some(found) = tokens.get(token) {
            window.words[place] = (found.hash >> 32) as u32 | 1;
            window.voices[place] = voices[token];
            if shows {
                window.shown.push((place as u8, found.shown(text)));
            }
        }
    }
    debug_assert!(tally.width() <= WIDTH);
    window
}
