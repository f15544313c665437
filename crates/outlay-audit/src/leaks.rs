//! Benchmark items within training texts: verbatim, edited, in part, with or without the answer.
//!
//! Every text is walked through once; runs of five words that an item has too are its anchors. Where an item has enough of
//! them near each other, its words are aligned with the text's (Smith and Waterman 1981, *Identification of common molecular
//! subsequences*), every word counting as much as it is rare among the items: so a question of which every tenth word was
//! changed is found, and one that only begins as many do is not.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::words::{Hashed, finish, words};

/// Words of an anchor.
const GRAM: usize = 5;

/// Items with fewer words are short: they may stand in a text by chance, and are found only whole.
pub const SHORT: usize = 13;

/// Items with fewer words still stand in any text by chance, and are not looked for.
const FINDABLE: usize = 4;

/// An anchor that more items have says nothing of any of them.
const ITEMS: usize = 64;

/// Words of an item that are aligned; of a longer one, the first.
const ALIGNED: usize = 1024;

/// What a word that differs, or is on one side alone, takes from the weight of those that agree; a word weighs 1 on average.
const APART: f32 = 0.7;

/// Share of an item's weight that, aligned, makes it leaked.
const LEAKED: f32 = 0.6;

/// Share that does where so many words follow each other exactly, as in half a question.
const LEAKED_IN_PART: f32 = 0.3;

/// Words that do: GPT-3's runs of 13 (Brown et al. 2020, appendix C).
const RUN: usize = 13;

/// Share that does where one run of so many different words is nearly all of it: half of a shorter question.
const LEAKED_IN_HALF: f32 = 0.4;

/// Different words of such a run.
const DIFFERENT: usize = 9;

/// Share that is worth a look.
const SUSPECT: f32 = 0.4;

/// Numbers in the part of an item that was aligned, from which on they tell it from a twin.
const NUMBERS: u32 = 2;

/// Share of these that must agree: a question with other numbers has another answer, however many words it shares.
const NUMBERS_AGREE: f32 = 0.5;

/// Share of their digits that do where none is cut as it is in the item: `1,000` and `1000`.
const DIGITS_AGREE: f32 = 0.75;

/// Share of an answer's words that must stand behind the question for the answer to be there too.
const ANSWERED: f32 = 0.7;

/// How surely an item is in the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Grade {
    /// Nothing of it was found that says so.
    Clean,
    /// Some of it, or all of one so short that it may stand there by chance.
    Suspect,
    /// It is there.
    Leaked,
}

/// Where and how much of an item was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leak {
    /// The item, by its number.
    pub item: u32,
    /// How sure it is.
    pub grade: Grade,
    /// Share of the item that is there, its words weighed by their rarity.
    pub share: f32,
    /// Most words that follow each other exactly as in the item.
    pub longest_run: u32,
    /// Share of the item's words in runs of eight or more that the text has too (Touvron et al. 2023, *Llama 2*, section A.6, there of tokens).
    pub in_runs_of_8: f32,
    /// Whether the item's answer stands behind it.
    pub is_answered: bool,
    /// Where in the text, in bytes.
    pub place: std::ops::Range<usize>,
    /// The runs of five words by which it was found, by their numbers, as [`Finder::runs`] has them.
    pub runs: Vec<u32>,
}

impl Leak {
    /// Whether it says more of its item than another place: surer, with the answer, more of it.
    #[must_use]
    pub fn is_more_than(&self, other: &Self) -> bool {
        let weight = |leak: &Self| (leak.grade, leak.is_answered, leak.share);
        weight(self) > weight(other)
    }
}

/// An item of a benchmark.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// Its words are these of all.
    words: (u32, u32),
    /// And its answer's.
    answer: (u32, u32),
    /// How much its words weigh together.
    weight: f32,
    /// Whether some anchor is enough its own to be looked for.
    is_findable: bool,
}

/// Collects the items of benchmarks.
#[derive(Debug, Default)]
pub struct Items {
    words: Vec<u32>,
    /// Which of the words are numbers.
    numbers: Vec<bool>,
    /// The digits of these, by the place of the word among all.
    digits: HashMap<u32, Box<[u8]>>,
    items: Vec<Item>,
}

/// Items, ready to be looked for.
#[derive(Debug)]
pub struct Reference {
    words: Vec<u32>,
    /// Which of the words are numbers.
    numbers: Vec<bool>,
    /// The digits of these, by the place of the word among all.
    digits: HashMap<u32, Box<[u8]>>,
    /// How much each word weighs.
    weights: Vec<f32>,
    items: Vec<Item>,
    /// Runs of words that items have, and where in `anchors` those items are.
    grams: HashMap<u64, (u32, u32), Hashed>,
    /// Item and place within it.
    anchors: Vec<(u32, u32)>,
    /// A bit for each hash's first digits: most runs of a text are no item's, which this says at once.
    filter: Vec<u64>,
    filter_shift: u32,
    /// Lengths below `GRAM` that some items have.
    short_lengths: Vec<usize>,
}

fn gram(words: &[u32]) -> u64 {
    words.iter().fold(words.len() as u64, |hash, word| {
        finish(hash ^ u64::from(*word))
    })
}

impl Items {
    /// Adds an item: what is asked, and what is to be answered, which may be nothing.
    pub fn add(&mut self, question: &str, answer: &str) {
        let begin = self.words.len() as u32;
        self.add_words(question);
        let middle = self.words.len() as u32;
        self.add_words(answer);
        self.items.push(Item {
            words: (begin, middle),
            answer: (middle, self.words.len() as u32),
            weight: 0.0,
            is_findable: false,
        });
    }

    fn add_words(&mut self, text: &str) {
        words(text, |hash, place| {
            let word = &text.as_bytes()[place];
            let is_number = word.iter().all(u8::is_ascii_digit);
            if is_number {
                self.digits.insert(self.words.len() as u32, word.into());
            }
            self.numbers.push(is_number);
            self.words.push((hash >> 32) as u32);
        });
    }

    /// Makes them ready.
    #[must_use]
    pub fn ready(mut self) -> Reference {
        // In how many items a word is.
        let mut n_items_with: HashMap<u32, u32> = HashMap::new();
        for item in &self.items {
            let mut of_item = self.words[range(item.words)].to_vec();
            of_item.sort_unstable();
            of_item.dedup();
            for word in of_item {
                *n_items_with.entry(word).or_default() += 1;
            }
        }
        let n_items = self.items.len() as f32;
        let rarity = |word: &u32| {
            let n_with = n_items_with.get(word).copied().unwrap_or(0) as f32;
            ((n_items + 1.0) / (n_with + 0.5)).ln().max(0.05)
        };
        let mut weights: Vec<f32> = self.words.iter().map(rarity).collect();
        let n_words = weights.len().max(1) as f32;
        let mean = weights.iter().sum::<f32>() / n_words;
        for weight in &mut weights {
            // Some of each word's weight is for its being a word: few rare ones are not to decide alone.
            *weight = 0.5 + 0.5 * *weight / mean.max(f32::MIN_POSITIVE);
        }
        let mut found: Vec<(u64, u32, u32)> = Vec::new();
        let mut short_lengths = Vec::new();
        for (number, item) in (0..).zip(&mut self.items) {
            let words = &self.words[range(item.words)];
            let aligned = &weights[range(item.words)];
            item.weight = aligned[..aligned.len().min(ALIGNED)].iter().sum();
            let n = words.len().min(GRAM);
            if n < FINDABLE {
                continue;
            }
            if n < GRAM && !short_lengths.contains(&n) {
                short_lengths.push(n);
            }
            let grams = words[..words.len().min(ALIGNED)].windows(n);
            found.extend(
                (0..)
                    .zip(grams)
                    .map(|(at, words)| (gram(words), number, at)),
            );
        }
        found.sort_unstable();
        let n_bits = (found.len().max(64) * 16).next_power_of_two();
        let filter_shift = 64 - n_bits.trailing_zeros();
        let mut filter = vec![0_u64; n_bits / 64];
        let mut grams = HashMap::default();
        let mut anchors = Vec::with_capacity(found.len());
        for same in found.chunk_by(|one, other| one.0 == other.0) {
            let hash = same[0].0;
            let bit = (hash >> filter_shift) as usize;
            filter[bit / 64] |= 1 << (bit % 64);
            let begin = anchors.len() as u32;
            if same.len() <= ITEMS {
                anchors.extend(same.iter().map(|(_, item, at)| (*item, *at)));
                for (_, item, _) in same {
                    self.items[*item as usize].is_findable = true;
                }
            }
            grams.insert(hash, (begin, anchors.len() as u32));
        }
        Reference {
            words: self.words,
            numbers: self.numbers,
            digits: self.digits,
            weights,
            items: self.items,
            grams,
            anchors,
            filter,
            filter_shift,
            short_lengths,
        }
    }
}

fn range((begin, end): (u32, u32)) -> std::ops::Range<usize> {
    begin as usize..end as usize
}

/// Buffers of one thread.
#[derive(Debug, Default)]
pub struct Finder {
    words: Vec<u32>,
    places: Vec<(u32, u32)>,
    /// Item, how far its words are shifted in the text, and where in the item.
    hits: Vec<(u32, i64, u32)>,
    cells: Vec<Cell>,
    /// Runs that some item has, by their numbers.
    runs: Vec<u32>,
}

impl Finder {
    /// The runs of words of the last text that items have too, by their numbers, each once; without those that more than 64 items have.
    #[must_use]
    pub fn runs(&self) -> &[u32] {
        &self.runs
    }

    /// A fingerprint of the last text's words.
    pub(crate) fn fingerprint(&self) -> u16 {
        (gram(&self.words) >> 48) as u16
    }
}

/// The best alignment of an item with a stretch of a text.
struct Aligned {
    /// The weight of the words that agree.
    agreed: f32,
    /// Where it is in the text, by words.
    begin: usize,
    end: usize,
    /// Where it is in the item.
    within: std::ops::Range<usize>,
    /// How many numbers agree.
    n_numbers: u32,
}

/// The best way to a pair of words: its weight, what of it agrees, and where it began.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    score: f32,
    agreed: f32,
    begin: u32,
    /// Where it began in the item, and how many numbers agree.
    place: u16,
    n_numbers: u16,
}

impl Reference {
    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether an item has so few words that it is found only whole; `None` where it cannot be found: it has less than four, or only runs of words that more than 64 items have.
    #[must_use]
    pub fn is_short(&self, item: u32) -> Option<bool> {
        let item = &self.items[item as usize];
        let n_words = (item.words.1 - item.words.0) as usize;
        item.is_findable.then_some(n_words < SHORT)
    }

    /// Finds items in a text, each once, where the most of it is.
    pub fn find(&self, text: &str, finder: &mut Finder, mut found: impl FnMut(Leak)) {
        finder.words.clear();
        finder.places.clear();
        finder.hits.clear();
        finder.runs.clear();
        words(text, |hash, place| {
            finder.words.push((hash >> 32) as u32);
            finder.places.push((place.start as u32, place.end as u32));
        });
        for n in self.short_lengths.iter().copied().chain([GRAM]) {
            for (at, words) in finder.words.windows(n).enumerate() {
                let hash = gram(words);
                let bit = (hash >> self.filter_shift) as usize;
                if self.filter[bit / 64] & (1 << (bit % 64)) == 0 {
                    continue;
                }
                let Some(at_which) = self.grams.get(&hash) else {
                    continue;
                };
                if at_which.0 < at_which.1 {
                    finder.runs.push(at_which.0);
                }
                for (item, place) in &self.anchors[range(*at_which)] {
                    finder
                        .hits
                        .push((*item, at as i64 - i64::from(*place), *place));
                }
            }
        }
        if finder.hits.is_empty() {
            return;
        }
        finder.runs.sort_unstable();
        finder.runs.dedup();
        let mut hits = std::mem::take(&mut finder.hits);
        hits.sort_unstable();
        hits.dedup();
        for of_item in hits.chunk_by(|one, other| one.0 == other.0) {
            if let Some(leak) = self.look(text, of_item, finder) {
                found(leak);
            }
        }
        finder.hits = hits;
    }

    /// Looks at one item where its anchors are.
    fn look(&self, text: &str, hits: &[(u32, i64, u32)], finder: &mut Finder) -> Option<Leak> {
        let number = hits[0].0;
        let item = self.items[number as usize];
        let words = &self.words[range(item.words)];
        let is_short = words.len() < SHORT;
        if is_short {
            let is_whole = |shift: i64| {
                let begin = usize::try_from(shift).ok()?;
                (finder.words.get(begin..begin + words.len())? == words).then_some(begin)
            };
            let begin = hits
                .chunk_by(|one, other| one.1 == other.1)
                .find_map(|of_shift| is_whole(of_shift[0].1))?;
            let end = begin + words.len();
            let is_answered = self.is_answered(&item, &finder.words[end..]);
            return Some(Leak {
                item: number,
                grade: if is_answered {
                    Grade::Leaked
                } else {
                    Grade::Suspect
                },
                share: 1.0,
                longest_run: words.len() as u32,
                in_runs_of_8: if words.len() >= 8 { 1.0 } else { 0.0 },
                is_answered,
                place: finder.places[begin].0 as usize..finder.places[end - 1].1 as usize,
                runs: self.runs_of(words, hits.iter().filter(|hit| hit.1 == begin as i64)),
            });
        }
        // The stretch of the text, half as long again as the item, with the most anchors.
        let length = words.len().min(ALIGNED);
        let mut shifts: Vec<i64> = hits.iter().map(|hit| hit.1).collect();
        shifts.sort_unstable();
        let spread = (length / 4).max(3) as i64;
        let (mut best, mut first) = ((0, 0), 0);
        for last in 0..shifts.len() {
            while shifts[last] - shifts[first] > spread {
                first += 1;
            }
            best = best.max((last - first + 1, first));
        }
        let (n_anchors, first) = best;
        // Of half a question nearly half the anchors are there, of one with every tenth word changed more.
        if (n_anchors as f32) < 0.1 * (length - GRAM + 1) as f32 {
            return None;
        }
        let from = (shifts[first] - spread).max(0) as usize;
        let to = (shifts[first] + 2 * spread + length as i64).clamp(0, finder.words.len() as i64)
            as usize;
        let aligned = self.align(&item, from, to, finder);
        let (agreed, begin, end) = (aligned.agreed, aligned.begin, aligned.end);
        let share = agreed / item.weight;
        let (run, n_in_runs) = runs(&words[..length], &finder.words, hits);
        let longest_run = run.len();
        let of_run: f32 = self.weights[range(item.words)][run.clone()].iter().sum();
        let mut different = words[run].to_vec();
        different.sort_unstable();
        different.dedup();
        let is_leaked = share >= LEAKED
            || (share >= LEAKED_IN_PART && longest_run >= RUN)
            || (of_run / item.weight >= LEAKED_IN_HALF && different.len() >= DIFFERENT);
        let grade = if is_leaked && !self.has_other_numbers(text, &item, &aligned, finder) {
            Grade::Leaked
        } else if is_leaked || share >= SUSPECT || longest_run >= RUN {
            Grade::Suspect
        } else {
            return None;
        };
        Some(Leak {
            item: number,
            grade,
            share,
            longest_run: longest_run as u32,
            in_runs_of_8: n_in_runs as f32 / length as f32,
            is_answered: self.is_answered(&item, &finder.words[end.min(finder.words.len())..]),
            place: finder.places[begin].0 as usize..finder.places[end - 1].1 as usize,
            runs: self.runs_of(
                words,
                hits.iter()
                    .filter(|hit| (shifts[first]..=shifts[first] + spread).contains(&hit.1)),
            ),
        })
    }

    /// The numbers of an item's runs that were met.
    fn runs_of<'a>(
        &self,
        words: &[u32],
        hits: impl Iterator<Item = &'a (u32, i64, u32)>,
    ) -> Vec<u32> {
        let n = words.len().min(GRAM);
        let mut runs: Vec<u32> = hits
            .filter_map(|(_, _, place)| {
                let run = words.get(*place as usize..*place as usize + n)?;
                Some(self.grams.get(&gram(run))?.0)
            })
            .collect();
        runs.sort_unstable();
        runs.dedup();
        runs
    }

    /// Aligns an item with a stretch of a text.
    fn align(&self, item: &Item, from: usize, to: usize, finder: &mut Finder) -> Aligned {
        let words = &self.words[range(item.words)];
        let numbers = &self.numbers[range(item.words)];
        let weights = &self.weights[range(item.words)];
        let length = words.len().min(ALIGNED);
        let cells = &mut finder.cells;
        cells.clear();
        cells.resize(length + 1, Cell::default());
        let mut best = (Cell::default(), from + 1, 0);
        for at in from..to {
            let word = finder.words[at];
            // Left above: the cell of the word before on both sides.
            let mut across = Cell {
                begin: at as u32,
                ..Cell::default()
            };
            for place in 0..length {
                let above = cells[place + 1];
                let left = cells[place];
                let mut cell = if word == words[place] {
                    Cell {
                        score: across.score + weights[place],
                        agreed: across.agreed + weights[place],
                        begin: if across.score > 0.0 {
                            across.begin
                        } else {
                            at as u32
                        },
                        place: if across.score > 0.0 {
                            across.place
                        } else {
                            place as u16
                        },
                        n_numbers: across.n_numbers + u16::from(numbers[place]),
                    }
                } else {
                    Cell {
                        score: across.score - APART,
                        ..across
                    }
                };
                for side in [above, left] {
                    if side.score - APART > cell.score {
                        cell = Cell {
                            score: side.score - APART,
                            ..side
                        };
                    }
                }
                if cell.score <= 0.0 {
                    cell = Cell::default();
                }
                if cell.score > best.0.score {
                    best = (cell, at + 1, place + 1);
                }
                across = above;
                cells[place + 1] = cell;
            }
        }
        let (cell, end, last) = best;
        Aligned {
            agreed: cell.agreed,
            begin: cell.begin as usize,
            end,
            within: usize::from(cell.place)..last,
            n_numbers: u32::from(cell.n_numbers),
        }
    }

    /// Whether the numbers of the part of an item that was aligned are others in the text: a twin.
    fn has_other_numbers(
        &self,
        text: &str,
        item: &Item,
        aligned: &Aligned,
        finder: &Finder,
    ) -> bool {
        let first = item.words.0 as usize;
        let within = first + aligned.within.start..first + aligned.within.end;
        let numbers = self.numbers.get(within.clone()).unwrap_or_default();
        let n_numbers = numbers.iter().filter(|is_number| **is_number).count() as u32;
        if n_numbers < NUMBERS || aligned.n_numbers as f32 >= NUMBERS_AGREE * n_numbers as f32 {
            return false;
        }
        let own: Vec<u8> = within
            .filter_map(|word| self.digits.get(&(word as u32)))
            .flat_map(|digits| digits.iter().copied())
            .collect();
        let there: Vec<u8> = finder.places[aligned.begin..aligned.end]
            .iter()
            .map(|place| &text.as_bytes()[range(*place)])
            .filter(|word| word.iter().all(u8::is_ascii_digit))
            .flatten()
            .copied()
            .collect();
        (longest_common(&own, &there) as f32) < DIGITS_AGREE * own.len() as f32
    }

    /// Whether an item's answer stands near the beginning of what follows it.
    fn is_answered(&self, item: &Item, behind: &[u32]) -> bool {
        let answer = &self.words[range(item.answer)];
        if answer.is_empty() {
            return false;
        }
        let near = &behind[..behind.len().min(2 * answer.len() + 40)];
        if answer.len() < 4 {
            return near.windows(answer.len()).any(|words| words == answer);
        }
        let mut there = near.to_vec();
        there.sort_unstable();
        let n_there = answer
            .iter()
            .filter(|word| there.binary_search(word).is_ok())
            .count();
        let has_run = answer
            .windows(4)
            .any(|run| near.windows(4).any(|words| words == run));
        has_run && n_there as f32 >= ANSWERED * answer.len() as f32
    }
}

/// The length of the longest sequence that two have in common, in order and with gaps (Wagner and Fischer 1974).
fn longest_common(one: &[u8], other: &[u8]) -> usize {
    let mut lengths = vec![0; other.len() + 1];
    for own in one {
        let mut across = 0;
        for (at, its) in other.iter().enumerate() {
            let above = lengths[at + 1];
            lengths[at + 1] = if own == its {
                across + 1
            } else {
                above.max(lengths[at])
            };
            across = above;
        }
    }
    lengths[other.len()]
}

/// The longest run of an item's words that the text has too, and how many of them are in runs of eight or more.
fn runs(item: &[u32], text: &[u32], hits: &[(u32, i64, u32)]) -> (std::ops::Range<usize>, usize) {
    let mut longest = 0..0;
    let mut is_in_run = vec![false; item.len()];
    for of_shift in hits.chunk_by(|one, other| one.1 == other.1) {
        let shift = of_shift[0].1;
        let mut n_same = 0;
        for place in 0..=item.len() {
            let is_same = place < item.len()
                && usize::try_from(place as i64 + shift)
                    .ok()
                    .and_then(|at| text.get(at))
                    .is_some_and(|word| *word == item[place]);
            if is_same {
                n_same += 1;
                continue;
            }
            if n_same >= 8 {
                is_in_run[place - n_same..place].fill(true);
            }
            if n_same > longest.len() {
                longest = place - n_same..place;
            }
            n_same = 0;
        }
    }
    (longest, is_in_run.iter().filter(|is| **is).count())
}
