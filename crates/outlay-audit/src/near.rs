//! Near duplicates among any number of texts, within bounded memory.
//!
//! Texts come one after another; of each a set of shingles and the keys of its bands go into files without a name. At the
//! end every band's keys are sorted, and texts that share one are compared by their sets, so that a pair is reported for its
//! similarity and never for an estimate of it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::minhash::{Bands, MinHash};
use crate::shingles::{Shingle, Shingler, jaccard};
use crate::union::Sets;
use crate::words::finish;

/// What counts as near.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NearSettings {
    /// The least Jaccard similarity of two near duplicates' sets of shingles.
    pub threshold: f64,
    /// What texts are cut into.
    pub shingle: Shingle,
    /// Of the pairs right at the threshold, the share that may be missed; of the more similar ones fewer are.
    pub missed: f64,
    /// Memory for sorting, in bytes, beside 24 bytes a text.
    pub memory_bytes: usize,
    /// What the orders of the signatures are drawn from.
    pub seed: u64,
}

impl Default for NearSettings {
    fn default() -> Self {
        Self {
            threshold: 0.8,
            shingle: Shingle::Words(5),
            missed: 2e-4,
            memory_bytes: 32 << 20,
            seed: 1,
        }
    }
}

/// Most numbers of a signature.
const SIGNATURE: usize = 192;

/// Of a cluster that a text may belong to, as many members are compared with it.
const MEMBERS: usize = 16;

/// Comparisons within the texts that share one key: beyond, they are counted as not made.
const COMPARISONS: usize = 100_000;

/// Bytes of an entry of a band: a key and a text's number.
const ENTRY: usize = 12;

/// Makes what is kept of texts; one for each thread.
#[derive(Debug)]
pub struct Sketcher<'a> {
    hash: &'a MinHash,
    shingler: Shingler,
    signature: Vec<u32>,
    cells: Vec<u32>,
}

/// What is kept of some texts that follow each other.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Sketches {
    /// Of each: the hash of its words in their order, and the size of its set.
    texts: Vec<(u64, u32)>,
    /// Their sets, one behind the other.
    sets: Vec<u32>,
    /// Their bands' keys, likewise; none for an empty set.
    keys: Vec<u64>,
}

impl Sketcher<'_> {
    /// Adds a text to some.
    pub fn add(&mut self, text: &str, to: &mut Sketches) {
        let (exact, set) = self.shingler.exact_and_set(text);
        to.texts.push((exact, set.len() as u32));
        to.sets.extend_from_slice(set);
        if !set.is_empty() {
            self.hash.keys(set, &mut self.signature, &mut to.keys);
        }
    }

    /// Adds a row of a table, by the hashes of its cells, which it sorts.
    pub(crate) fn add_row(&mut self, cells: &mut [u64], to: &mut Sketches) {
        cells.sort_unstable();
        let exact = cells.iter().fold(ROWS, |hash, cell| finish(hash ^ cell));
        self.cells.clear();
        self.cells
            .extend(cells.iter().map(|cell| (cell >> 32) as u32));
        self.cells.dedup();
        to.texts.push((exact, self.cells.len() as u32));
        to.sets.extend_from_slice(&self.cells);
        if !self.cells.is_empty() {
            self.hash
                .keys(&self.cells, &mut self.signature, &mut to.keys);
        }
    }
}

/// What hashes of rows begin with, so that none is a text's.
const ROWS: u64 = 0x5bf0_3635_d5a1_7c2b;

/// Collects texts, and then finds the near duplicates among them.
#[derive(Debug)]
pub struct Near {
    settings: NearSettings,
    hash: MinHash,
    /// Where each text's set begins in the file of sets, in numbers, and after the last.
    places: Vec<u64>,
    sets: BufWriter<File>,
    /// The entries of each band, and before them those of whole texts.
    bands: Vec<BufWriter<File>>,
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// How signatures were cut.
    pub bands: Bands,
    /// Texts that belong together, by their numbers: exact and near duplicates, and whatever hangs together through these.
    pub clusters: Sets,
    /// For each text the first with the same words in the same order.
    pub exact: Vec<u32>,
    /// Pairs that were compared by their sets.
    pub n_compared: u64,
    /// Pairs that share a key and were not compared, because too many share it.
    pub n_not_compared: u64,
    /// Texts without any word, which are compared with nothing.
    pub n_empty: u32,
}

impl Near {
    /// An empty collection, whose files without a name lie in a folder.
    ///
    /// # Errors
    ///
    /// When a file cannot be made there, or the threshold is not above 0.3 and at most 1.
    pub fn new(settings: NearSettings, folder: &Path) -> io::Result<Self> {
        let bands = Bands::for_threshold(settings.threshold, settings.missed, SIGNATURE)
            .filter(|_| settings.threshold > 0.3 && settings.threshold <= 1.0)
            .ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!(
                        "the threshold of near duplicates is {}; allowed: above 0.3, up to 1",
                        settings.threshold
                    ),
                )
            })?;
        let spool =
            || tempfile::tempfile_in(folder).map(|file| BufWriter::with_capacity(1 << 16, file));
        Ok(Self {
            settings,
            hash: MinHash::new(bands, settings.seed),
            places: vec![0],
            sets: spool()?,
            bands: (0..=bands.n_bands)
                .map(|_| spool())
                .collect::<io::Result<_>>()?,
        })
    }

    /// How signatures are cut.
    #[must_use]
    pub fn bands(&self) -> Bands {
        self.hash.bands()
    }

    /// Something that makes what is kept of texts.
    #[must_use]
    pub fn sketcher(&self) -> Sketcher<'_> {
        Sketcher {
            hash: &self.hash,
            shingler: Shingler::new(self.settings.shingle),
            signature: Vec::new(),
            cells: Vec::new(),
        }
    }

    /// Number of texts so far.
    #[must_use]
    pub fn n_texts(&self) -> usize {
        self.places.len() - 1
    }

    /// Takes some texts in; they get the next numbers.
    ///
    /// # Errors
    ///
    /// When the disk is full, or there are more than 4,294,967,295 texts.
    pub fn take(&mut self, sketches: &Sketches) -> io::Result<()> {
        let n_bands = self.hash.bands().n_bands;
        let mut keys = sketches.keys.as_slice();
        for (exact, n_shingles) in &sketches.texts {
            let text = u32::try_from(self.n_texts())
                .ok()
                .filter(|text| *text < u32::MAX)
                .ok_or_else(|| io::Error::other("there are more than 4,294,967,295 records"))?;
            let last = self.places.last().copied().unwrap_or(0);
            self.places.push(last + u64::from(*n_shingles));
            if *n_shingles == 0 {
                continue;
            }
            let (of_text, rest) = keys.split_at(n_bands);
            keys = rest;
            for (key, band) in std::iter::once(exact).chain(of_text).zip(&mut self.bands) {
                let mut entry = [0; ENTRY];
                entry[..8].copy_from_slice(&key.to_le_bytes());
                entry[8..].copy_from_slice(&text.to_le_bytes());
                band.write_all(&entry)?;
            }
        }
        // Few calls with much each.
        let mut bytes = Vec::with_capacity(sketches.sets.len().min(1 << 20) * 4);
        for some in sketches.sets.chunks(1 << 20) {
            bytes.clear();
            for element in some {
                bytes.extend_from_slice(&element.to_le_bytes());
            }
            self.sets.write_all(&bytes)?;
        }
        Ok(())
    }

    /// Finds what belongs together. `progress` hears of bands that are done, and of how many.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or written.
    pub fn find(self, mut progress: impl FnMut(usize, usize)) -> io::Result<Found> {
        let n_texts = self.places.len() as u32 - 1;
        let sets = Shelf {
            file: self
                .sets
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?,
            places: self.places,
        };
        let mut found = Found {
            bands: self.hash.bands(),
            clusters: Sets::new(n_texts),
            exact: (0..n_texts).collect(),
            n_compared: 0,
            n_not_compared: 0,
            n_empty: (0..n_texts).filter(|text| sets.size(*text) == 0).count() as u32,
        };
        let n_bands = self.bands.len();
        let mut bands = self.bands.into_iter();
        if let Some(exact) = bands.next() {
            each_part(exact, self.settings.memory_bytes, &mut |entries| {
                for group in groups(entries) {
                    for (_, text) in &group[1..] {
                        found.exact[*text as usize] = group[0].1;
                        found.clusters.merge(group[0].1, *text);
                    }
                }
                Ok(())
            })?;
            progress(1, n_bands);
        }
        for (at, band) in bands.enumerate() {
            each_part(band, self.settings.memory_bytes, &mut |entries| {
                // Of texts with the same words the first stands for all.
                entries.retain(|(_, text)| found.exact[*text as usize] == *text);
                let groups: Vec<&[Entry]> = groups(entries).collect();
                let compared: Vec<Compared> = groups
                    .par_iter()
                    .map(|group| compare(group, &sets, &found.clusters, self.settings.threshold))
                    .collect::<io::Result<_>>()?;
                for compared in compared {
                    found.n_compared += compared.n_compared;
                    found.n_not_compared += compared.n_not_compared;
                    for (one, other) in compared.near {
                        found.clusters.merge(one, other);
                    }
                }
                Ok(())
            })?;
            progress(at + 2, n_bands);
        }
        Ok(found)
    }
}

type Entry = (u64, u32);

/// Entries that share a key, two or more each; the entries are sorted.
fn groups(entries: &[Entry]) -> impl Iterator<Item = &[Entry]> {
    entries
        .chunk_by(|one, other| one.0 == other.0)
        .filter(|group| group.len() > 1)
}

/// Hands over all entries of a band, sorted, in parts between which no key is shared, none larger than memory allows.
fn each_part(
    band: BufWriter<File>,
    memory_bytes: usize,
    with: &mut impl FnMut(&mut Vec<Entry>) -> io::Result<()>,
) -> io::Result<()> {
    let file = band.into_inner().map_err(io::IntoInnerError::into_error)?;
    let n_bytes = file.metadata()?.len();
    let n_entries = n_bytes / ENTRY as u64;
    let n_most = (memory_bytes / size_of::<Entry>()).max(1000) as u64;
    // Keys are hashes, so parts of their range hold nearly as many each.
    let n_parts = n_entries.div_ceil(n_most * 3 / 4).max(1);
    let mut bytes = vec![0; (1 << 16) * ENTRY];
    let mut entries = Vec::new();
    for part in 0..n_parts {
        entries.clear();
        let mut at = 0;
        while at < n_bytes {
            let n_read = (n_bytes - at).min(bytes.len() as u64) as usize;
            file.read_exact_at(&mut bytes[..n_read], at)?;
            at += n_read as u64;
            for entry in bytes[..n_read].chunks_exact(ENTRY) {
                let (key, text) = entry.split_at(8);
                let key = u64::from_le_bytes(key.try_into().unwrap_or_default());
                if (u128::from(key) * u128::from(n_parts)) >> 64 == u128::from(part) {
                    entries.push((key, u32::from_le_bytes(text.try_into().unwrap_or_default())));
                }
            }
        }
        entries.par_sort_unstable();
        with(&mut entries)?;
    }
    Ok(())
}

/// The sets of all texts, in a file.
struct Shelf {
    file: File,
    places: Vec<u64>,
}

impl Shelf {
    fn size(&self, text: u32) -> u64 {
        self.places[text as usize + 1] - self.places[text as usize]
    }

    fn set(&self, text: u32) -> io::Result<Vec<u32>> {
        let mut bytes = vec![0; self.size(text) as usize * 4];
        self.file
            .read_exact_at(&mut bytes, self.places[text as usize] * 4)?;
        let four = |four: &[u8]| u32::from_le_bytes(four.try_into().unwrap_or_default());
        Ok(bytes.chunks_exact(4).map(four).collect())
    }
}

/// What comparing the texts of one key gave.
#[derive(Default)]
struct Compared {
    near: Vec<(u32, u32)>,
    n_compared: u64,
    n_not_compared: u64,
}

/// Numbers of shingles that are kept at hand while the texts of one key are compared.
const AT_HAND: usize = 1 << 20;

/// Compares the texts of one key, except those that are known to belong together.
fn compare(group: &[Entry], sets: &Shelf, clusters: &Sets, threshold: f64) -> io::Result<Compared> {
    let mut compared = Compared::default();
    // Those that belong together as far as is known, and the cluster by which they do.
    let mut together: Vec<(u32, Vec<u32>)> = Vec::new();
    let mut at_hand: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut n_at_hand = 0;
    for (_, text) in group {
        let least = clusters.least(*text);
        let own = together.iter().position(|(cluster, _)| *cluster == least);
        let mut mine: Option<Vec<u32>> = None;
        let mut joined: Vec<usize> = own.into_iter().collect();
        for (at, (_, members)) in together.iter().enumerate() {
            if Some(at) == own {
                continue;
            }
            for member in members.iter().take(MEMBERS) {
                let (size, other_size) = (sets.size(*text) as f64, sets.size(*member) as f64);
                // No more can be in common than the smaller one has.
                if size.min(other_size) < threshold * size.max(other_size) {
                    continue;
                }
                if compared.n_compared >= COMPARISONS as u64 {
                    compared.n_not_compared += 1;
                    continue;
                }
                compared.n_compared += 1;
                if mine.is_none() {
                    mine = Some(sets.set(*text)?);
                }
                if !at_hand.contains_key(member) {
                    let other = sets.set(*member)?;
                    n_at_hand += other.len();
                    if n_at_hand > AT_HAND {
                        n_at_hand = other.len();
                        at_hand.clear();
                    }
                    at_hand.insert(*member, other);
                }
                let (Some(mine), Some(other)) = (&mine, at_hand.get(member)) else {
                    continue;
                };
                if jaccard(mine, other) >= threshold {
                    compared.near.push((*member, *text));
                    joined.push(at);
                    break;
                }
            }
        }
        // One cluster of all that it was found to belong to.
        joined.sort_unstable();
        let Some(first) = joined.first().copied() else {
            together.push((least, vec![*text]));
            continue;
        };
        for at in joined[1..].iter().rev() {
            let (_, members) = together.swap_remove(*at);
            together[first].1.extend(members);
        }
        together[first].1.push(*text);
    }
    Ok(compared)
}
