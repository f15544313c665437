//! Exact and near duplicates among any number of images.
//!
//! Norouzi, Punjani, Fleet 2012, *Fast Search in Hamming Space with Multi-Index Hashing*: two hashes of 64 bits that differ in
//! at most `d` differ in at most `d / 4` of one of their four quarters, so that only those are compared whose quarters are that
//! close. What is left is judged by the thumbnails and never by the hashes. All goes by an order of the images' content, so
//! that it does not matter in which order they came.

use std::io;
use std::path::Path;

use rayon::prelude::*;

use super::details::Details;
use super::hash::{Detail, Thumbnail, difference_hash, perceptual_hash, turned};
use super::sketch::{ImageFlag, ImageSketch};
use crate::union::Sets;

/// What counts as near.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageSettings {
    /// The most of 63 bits in which the perceptual hashes of two near duplicates differ.
    ///
    /// 11 is the most that is found by two bits in each of the four quarters. Of hashes that have nothing to do with each other,
    /// one in twelve million pairs differs in so few.
    pub n_perceptual_bits: u32,
    /// The most of 64 bits in which their difference hashes differ.
    ///
    /// This is to keep apart what the first hash says nothing about: by chance, two in a thousand pairs differ in at most 20.
    pub n_difference_bits: u32,
    /// The least correlation of what their thumbnails show in detail ([`detail_correlation`](super::detail_correlation)).
    ///
    /// A picture of which 2% are cut off keeps 0.93 or more: its edges move by a third of a thumbnail's sample.
    pub correlation: f64,
    /// The same where one of the two is smaller than a thumbnail, so that it has less detail than there are samples.
    ///
    /// Of Fashion-MNIST's pictures of 28 × 28 pixels a copy by JPEG of quality 75 keeps 0.985 or more, one with noise of three
    /// levels 0.997; other things of the same cut reach 0.97.
    pub correlation_of_small: f64,
    /// Whether an image is near a mirrored or turned one too, at eight times the work.
    pub any_orientation: bool,
}

impl Default for ImageSettings {
    fn default() -> Self {
        Self {
            n_perceptual_bits: 11,
            n_difference_bits: 20,
            correlation: 0.92,
            correlation_of_small: 0.98,
            any_orientation: false,
        }
    }
}

/// What was found.
#[derive(Clone, Debug)]
pub struct ImagesFound {
    /// For each image the first with the same size and pixels.
    pub exact: Vec<u32>,
    /// Images that belong together, by their numbers: exact and near duplicates, and whatever hangs together through these.
    pub clusters: Sets,
    /// Images with too little contrast, which are compared by their pixels only.
    pub n_flat: u32,
    /// Pairs that were compared by their thumbnails.
    pub n_compared: u64,
    /// Pairs whose hashes or thumbnails were not compared, because too many share a quarter of a hash.
    pub n_not_compared: u64,
}

/// Parts of a hash, and the bits of each.
const QUARTERS: usize = 4;
const QUARTER_BITS: u32 = 16;

/// Of the images with the same quarter of a hash that are known to belong together, as many are compared with others.
const MEMBERS: usize = 32;

/// Hashes that one is compared with in one pair of quarters: so many for each, or this number shared out among all.
const LOOKS: (usize, usize) = (1024, 1 << 30);

/// Thumbnails that one is compared with in vain in one pair of quarters, likewise.
const FAILURES: (usize, usize) = (64, 1 << 25);

/// Neighbours in the order of the hashes that each is compared with before all else.
const NEIGHBOURS: usize = 4;

/// Entries or values that one thread takes at a time.
const STEP: usize = 256;

/// Finds exact and near duplicates, with 1 kB of each image in memory: see [`ImageIndex`], which keeps less.
///
/// ```
/// use outlay_audit::images::{ImageSettings, Pixels, near_images, sketch_pixels};
/// let ramp = |step: usize| (0..64 * 64).map(|at| (at % 64 * step + at / 64) as u8).collect();
/// let image = |step| sketch_pixels(&Pixels::new(64, 64, 1, ramp(step)).unwrap());
/// let found = near_images(&[image(2), image(2), image(3)], &ImageSettings::default());
/// assert_eq!((found.exact, found.clusters.least(2)), (vec![0, 0, 2], 0));
/// ```
#[must_use]
pub fn near_images(images: &[ImageSketch], settings: &ImageSettings) -> ImagesFound {
    let mut index = ImageIndex::with(*settings, Details::in_memory());
    for image in images {
        let detail = index.keep(image);
        index.details.keep(detail);
    }
    index.search()
}

/// Images among which duplicates are sought. At most 4,294,967,295 are looked at.
///
/// Some 70 bytes of each stay in memory, and 100 more while the search goes on; a kilobyte of each goes to a working file where
/// memory is too small for all.
///
/// The search takes time in proportion to the number of images and, where their hashes are spread well, to its square over
/// 65,536: where many share a quarter of a hash, each is compared with a bounded number, and the rest are counted.
#[derive(Debug)]
pub struct ImageIndex {
    settings: ImageSettings,
    keys: Vec<Key>,
    /// The hashes of each image as it would lie if it were turned, where that is asked for.
    turned: Vec<(u64, u64)>,
    details: Details,
}

/// Ways in which a turned image may lie.
const TURNS: usize = 7;

/// What of an image stays in memory.
#[derive(Debug)]
struct Key {
    pixel_hash: [u8; 32],
    perceptual: u64,
    difference: u64,
    is_flat: bool,
    is_small: bool,
}

impl ImageIndex {
    /// An index of no images, which keeps so many bytes of what they show in memory and the rest in a file without a name in `folder`.
    #[must_use]
    pub fn new(settings: ImageSettings, memory_bytes: usize, folder: &Path) -> Self {
        Self::with(settings, Details::within(memory_bytes, folder))
    }

    fn with(settings: ImageSettings, details: Details) -> Self {
        Self {
            settings,
            keys: Vec::new(),
            turned: Vec::new(),
            details,
        }
    }

    /// Adds an image, which has the next number.
    ///
    /// # Errors
    ///
    /// When the working file cannot be written.
    pub fn push(&mut self, image: &ImageSketch) -> io::Result<()> {
        let detail = self.keep(image);
        self.details.push(detail)
    }

    fn keep(&mut self, image: &ImageSketch) -> Detail {
        self.keys.push(Key {
            pixel_hash: image.pixel_hash,
            perceptual: image.perceptual_hash,
            difference: image.difference_hash,
            is_flat: image.flags.has(ImageFlag::Flat),
            is_small: image.flags.has(ImageFlag::Small),
        });
        if self.settings.any_orientation {
            self.turned.extend((1..=TURNS).map(|way| {
                let turned = turned(&image.thumbnail, way);
                (perceptual_hash(&turned), difference_hash(&turned))
            }));
        }
        pulp::Arch::new().dispatch(Detailing(&image.thumbnail))
    }

    /// Finds the duplicates.
    ///
    /// # Errors
    ///
    /// When the working file cannot be read.
    pub fn find(self) -> io::Result<ImagesFound> {
        let found = self.search();
        self.details.fault().map_or(Ok(found), Err)
    }

    fn search(&self) -> ImagesFound {
        let keys = &self.keys[..self.keys.len().min(u32::MAX as usize)];
        let n_images = keys.len() as u32;
        let mut found = ImagesFound {
            exact: (0..n_images).collect(),
            clusters: Sets::new(n_images),
            n_flat: 0,
            n_compared: 0,
            n_not_compared: 0,
        };
        let mut order: Vec<u32> = (0..n_images).collect();
        order.par_sort_unstable_by_key(|at| (&keys[*at as usize].pixel_hash, *at));
        let mut firsts = Vec::new();
        for same in order.chunk_by(|one, other| {
            keys[*one as usize].pixel_hash == keys[*other as usize].pixel_hash
        }) {
            let is_flat = keys[same[0] as usize].is_flat;
            found.n_flat += if is_flat { same.len() as u32 } else { 0 };
            for other in &same[1..] {
                found.exact[*other as usize] = same[0];
                found.clusters.merge(same[0], *other);
            }
            if !is_flat {
                firsts.push(same[0]);
            }
        }
        drop(order);
        let search = Search::new(self, firsts);
        let result = search.run();
        for (at, image) in (0_u32..).zip(&search.images) {
            found
                .clusters
                .merge(*image, search.images[result.sets.least(at) as usize]);
        }
        found.n_compared = result.n_compared;
        found.n_not_compared = result.n_not_compared;
        found
    }
}

/// A picture as it lies or as it would lie if it were turned.
#[derive(Clone, Copy, Debug)]
struct Entry {
    perceptual: u64,
    difference: u64,
    /// Its place in the order of content.
    image: u32,
    way: u8,
}

struct Search<'a> {
    settings: ImageSettings,
    index: &'a ImageIndex,
    /// The images that are compared, in the order of their content.
    images: Vec<u32>,
    arch: pulp::Arch,
    entries: Vec<Entry>,
    radii: [u32; QUARTERS],
    /// The most hashes and thumbnails that one is compared with, in one pair of quarters.
    n_looks: usize,
    n_failures: usize,
}

/// What the search has found so far, by places in the order of content.
struct State {
    sets: Sets,
    n_compared: u64,
    n_not_compared: u64,
}

/// What comparing some entries gave.
#[derive(Default)]
struct Compared {
    near: Vec<(u32, u32)>,
    n_compared: u64,
    n_not_compared: u64,
}

impl Compared {
    fn and(mut self, other: Self) -> Self {
        self.near.extend(other.near);
        self.n_compared += other.n_compared;
        self.n_not_compared += other.n_not_compared;
        self
    }
}

/// Entries that are sorted by a quarter of their perceptual hashes.
struct Shelf {
    entries: Vec<Entry>,
    /// Their perceptual hashes.
    hashes: Vec<u64>,
    /// The set of each at present.
    sets: Vec<u32>,
    /// Where the entries of each value of the quarter begin, and after the last.
    places: Vec<u32>,
    /// The values that there are.
    values: Vec<u32>,
}

impl Shelf {
    fn range(&self, value: u32) -> std::ops::Range<usize> {
        self.places[value as usize] as usize..self.places[value as usize + 1] as usize
    }
}

/// By how many bits a quarter may differ, and one more; none means that it is never met by this quarter alone.
///
/// Of `4 r + a` bits one of the first `a + 1` quarters has at most `r`, or one of the others at most `r - 1` (Norouzi et al.,
/// section 3.1).
fn radii(n_bits: u32) -> [u32; QUARTERS] {
    let (radius, more) = (n_bits / QUARTERS as u32, n_bits % QUARTERS as u32);
    std::array::from_fn(|quarter| radius + u32::from(quarter as u32 <= more))
}

fn quarter_of(hash: u64, quarter: usize) -> u32 {
    (hash >> (quarter as u32 * QUARTER_BITS)) as u32 & 0xffff
}

/// The differences of two quarters in fewer bits than said.
fn masks(radius: u32) -> Vec<u32> {
    let mut masks: Vec<u32> = (0..1_u32 << QUARTER_BITS)
        .filter(|mask| mask.count_ones() < radius)
        .collect();
    masks.sort_by_key(|mask| (mask.count_ones(), *mask));
    masks
}

impl<'a> Search<'a> {
    fn new(index: &'a ImageIndex, mut images: Vec<u32>) -> Self {
        let (settings, keys) = (index.settings, &index.keys);
        images.par_sort_unstable_by_key(|at| {
            let key = &keys[*at as usize];
            (key.perceptual, key.difference, &key.pixel_hash)
        });
        let n_entries = images.len().max(1);
        let most = |(each, all): (usize, usize)| each.max(all / n_entries);
        let entries = images
            .par_iter()
            .enumerate()
            .flat_map_iter(|(place, at)| {
                let at = *at as usize;
                let as_is = (keys[at].perceptual, keys[at].difference);
                let turned = index.turned.get(at * TURNS..(at + 1) * TURNS);
                let ways = std::iter::once(as_is).chain(turned.into_iter().flatten().copied());
                (0..)
                    .zip(ways)
                    .map(move |(way, (perceptual, difference))| Entry {
                        perceptual,
                        difference,
                        image: place as u32,
                        way,
                    })
            })
            .collect();
        Self {
            settings,
            index,
            images,
            arch: pulp::Arch::new(),
            entries,
            radii: radii(settings.n_perceptual_bits),
            n_looks: most(LOOKS),
            n_failures: most(FAILURES),
        }
    }

    fn run(&self) -> State {
        let mut state = State {
            sets: Sets::new(self.images.len() as u32),
            n_compared: 0,
            n_not_compared: 0,
        };
        self.neighbours(&mut state);
        for quarter in 0..QUARTERS {
            self.quarter(quarter, &mut state);
        }
        state
    }

    /// Compares what lies side by side in the order of either hash: of many copies of one picture most come together by this.
    fn neighbours(&self, state: &mut State) {
        let mut entries = self.entries.clone();
        for by_difference in [false, true] {
            entries.par_sort_unstable_by_key(|entry| {
                let (one, other) = (entry.perceptual, entry.difference);
                let key = if by_difference {
                    (other, one)
                } else {
                    (one, other)
                };
                (key, entry.image, entry.way)
            });
            let places: Vec<usize> = (0..entries.len()).step_by(STEP).collect();
            let compared = places
                .par_iter()
                .map(|from| {
                    self.arch.dispatch(Neighbouring {
                        search: self,
                        sets: &state.sets,
                        entries: &entries,
                        from: *from,
                    })
                })
                .reduce(Compared::default, Compared::and);
            take(state, &compared);
        }
    }

    fn quarter(&self, quarter: usize, state: &mut State) {
        let masks = masks(self.radii[quarter]);
        let mut shelf = self.shelf(quarter, state);
        for mask in masks {
            let compared = shelf
                .values
                .par_chunks(STEP)
                .map(|values| {
                    self.arch.dispatch(Meeting {
                        search: self,
                        quarter,
                        shelf: &shelf,
                        values,
                        mask,
                    })
                })
                .reduce(Compared::default, Compared::and);
            let is_any = !compared.near.is_empty();
            take(state, &compared);
            if is_any && mask == 0 {
                shelf = self.shelf(quarter, state);
            } else if is_any {
                let sets = &state.sets;
                let least = |entry: &Entry| sets.least(entry.image);
                shelf.sets = shelf.entries.par_iter().map(least).collect();
            }
        }
    }

    /// The entries sorted by a quarter, of each set no more than needed.
    fn shelf(&self, quarter: usize, state: &mut State) -> Shelf {
        let sets: Vec<u32> = (0..self.images.len() as u32)
            .into_par_iter()
            .map(|image| state.sets.least(image))
            .collect();
        let mut keyed: Vec<(u32, u32, u32)> = (0_u32..)
            .zip(&self.entries)
            .map(|(at, entry)| {
                (
                    quarter_of(entry.perceptual, quarter),
                    sets[entry.image as usize],
                    at,
                )
            })
            .collect();
        keyed.par_sort_unstable();
        let mut entries: Vec<Entry> = Vec::new();
        let mut places = vec![0_u32; (1 << QUARTER_BITS) + 1];
        let mut values = Vec::new();
        for of_value in keyed.chunk_by(|one, other| one.0 == other.0) {
            let value = of_value[0].0;
            values.push(value);
            let begin = entries.len();
            for of_set in of_value.chunk_by(|one, other| one.1 == other.1) {
                let kept = of_set.iter().take(MEMBERS);
                entries.extend(kept.map(|(_, _, at)| self.entries[*at as usize]));
            }
            // So that those of a long list that are looked at are the likeliest.
            entries[begin..].sort_unstable_by_key(|entry| {
                (entry.difference, entry.perceptual, entry.image, entry.way)
            });
            places[value as usize + 1] = (entries.len() - begin) as u32;
        }
        for value in 0..1 << QUARTER_BITS {
            places[value + 1] += places[value];
        }
        let sets = entries
            .iter()
            .map(|entry| sets[entry.image as usize])
            .collect();
        Shelf {
            hashes: entries.iter().map(|entry| entry.perceptual).collect(),
            entries,
            sets,
            places,
            values,
        }
    }

    /// Compares the entries of two values of a quarter, or those of one with each other.
    #[inline(always)]
    fn meet(&self, quarter: usize, shelf: &Shelf, value: u32, other: u32, compared: &mut Compared) {
        let (ones, others) = (shelf.range(value), shelf.range(other));
        if others.is_empty() {
            return;
        }
        // What was found here is not looked for again.
        let mut together: Option<Sets> = None;
        for at in ones.clone() {
            let one = &shelf.entries[at];
            let mut among = if value == other {
                at + 1..others.end
            } else {
                others.clone()
            };
            if among.len() > self.n_looks {
                compared.n_not_compared += (among.len() - self.n_looks) as u64;
                let middle = shelf.entries[among.clone()]
                    .partition_point(|entry| entry.difference < one.difference);
                let skipped = middle
                    .saturating_sub(self.n_looks / 2)
                    .min(among.len() - self.n_looks);
                among = among.start + skipped..among.start + skipped + self.n_looks;
            }
            let (mut n_failures, end) = (0, among.end);
            for (at_other, hash) in among.clone().zip(&shelf.hashes[among]) {
                let n_bits = (one.perceptual ^ hash).count_ones();
                if n_bits > self.settings.n_perceptual_bits
                    || shelf.sets[at] == shelf.sets[at_other]
                    || !self.is_to_compare(one, &shelf.entries[at_other], quarter)
                {
                    continue;
                }
                let here = (at - ones.start) as u32;
                let there = if value == other {
                    at_other - ones.start
                } else {
                    at_other - others.start + ones.len()
                } as u32;
                if let Some(together) = &together
                    && together.least(here) == together.least(there)
                {
                    continue;
                }
                if n_failures >= self.n_failures {
                    compared.n_not_compared += (end - at_other) as u64;
                    break;
                }
                if self.compare(one, &shelf.entries[at_other], compared) {
                    together
                        .get_or_insert_with(|| Sets::new((ones.len() + others.len()) as u32))
                        .merge(here, there);
                } else {
                    n_failures += 1;
                }
            }
        }
    }

    /// Whether two whose perceptual hashes are close are to be compared, and were not by an earlier quarter.
    fn is_to_compare(&self, one: &Entry, other: &Entry, quarter: usize) -> bool {
        self.is_close(one, other)
            && one.image != other.image
            && (one.way == 0 || other.way == 0)
            && !self.is_met_before(one, other, quarter)
    }

    /// Whether two were compared by an earlier quarter already.
    fn is_met_before(&self, one: &Entry, other: &Entry, quarter: usize) -> bool {
        let differs = one.perceptual ^ other.perceptual;
        (0..quarter).any(|earlier| quarter_of(differs, earlier).count_ones() < self.radii[earlier])
    }

    fn is_close(&self, one: &Entry, other: &Entry) -> bool {
        (one.perceptual ^ other.perceptual).count_ones() <= self.settings.n_perceptual_bits
            && (one.difference ^ other.difference).count_ones() <= self.settings.n_difference_bits
    }

    /// Compares two by their thumbnails, of which at most one is turned.
    #[inline(always)]
    fn compare(&self, one: &Entry, other: &Entry, compared: &mut Compared) -> bool {
        if one.image == other.image || (one.way != 0 && other.way != 0) {
            return false;
        }
        compared.n_compared += 1;
        let (as_is, may_lie) = if one.way == 0 {
            (one, other)
        } else {
            (other, one)
        };
        let (one_at, other_at) = (
            self.images[as_is.image as usize] as usize,
            self.images[may_lie.image as usize] as usize,
        );
        let details = &self.index.details;
        let (one_detail, other_detail) = (details.get(one_at), details.get(other_at));
        let lies;
        let samples = if may_lie.way == 0 {
            &other_detail.samples
        } else {
            lies = turned(&other_detail.samples, usize::from(may_lie.way));
            &lies
        };
        let correlation = one_detail.correlation(&other_detail, samples);
        let keys = &self.index.keys;
        let least = if keys[one_at].is_small || keys[other_at].is_small {
            self.settings.correlation_of_small
        } else {
            self.settings.correlation
        };
        let is_near = correlation >= least;
        if is_near {
            compared.near.push((one.image, other.image));
        }
        is_near
    }
}

/// The loops that take the time, as values: of these, and not of closures, it is sure that they are compiled for what the
/// processor has, which counts bits by one instruction.
struct Meeting<'a> {
    search: &'a Search<'a>,
    quarter: usize,
    shelf: &'a Shelf,
    values: &'a [u32],
    mask: u32,
}

impl pulp::WithSimd for Meeting<'_> {
    type Output = Compared;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Compared {
        let mut compared = Compared::default();
        for value in self.values {
            let other = *value ^ self.mask;
            if *value <= other {
                self.search
                    .meet(self.quarter, self.shelf, *value, other, &mut compared);
            }
        }
        compared
    }
}

struct Neighbouring<'a> {
    search: &'a Search<'a>,
    sets: &'a Sets,
    entries: &'a [Entry],
    from: usize,
}

impl pulp::WithSimd for Neighbouring<'_> {
    type Output = Compared;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Compared {
        let mut compared = Compared::default();
        for at in self.from..(self.from + STEP).min(self.entries.len()) {
            let one = &self.entries[at];
            for other in self.entries[at + 1..].iter().take(NEIGHBOURS) {
                if self.sets.least(one.image) != self.sets.least(other.image)
                    && self.search.is_close(one, other)
                {
                    self.search.compare(one, other, &mut compared);
                }
            }
        }
        compared
    }
}

struct Detailing<'a>(&'a Thumbnail);

impl pulp::WithSimd for Detailing<'_> {
    type Output = Detail;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Detail {
        Detail::of(self.0)
    }
}

fn take(state: &mut State, compared: &Compared) {
    state.n_compared += compared.n_compared;
    state.n_not_compared += compared.n_not_compared;
    for (one, other) in &compared.near {
        state.sets.merge(*one, *other);
    }
}
