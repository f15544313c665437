//! Signatures of sets, and the bands that similar sets have in common.
//!
//! Broder 1997, *On the resemblance and containment of documents*: the least element of a set under a random order is that of
//! another with the probability of their Jaccard similarity. Orders are `a x + b` modulo 2^32 with odd `a`, each a permutation
//! of the hashes.

use crate::words::finish;

/// Numbers whose least are kept in registers while a set is walked through.
const LANES: usize = 32;

/// How signatures are cut: two sets meet where one whole band of them is equal.
///
/// Leskovec, Rajaraman, Ullman, *Mining of Massive Datasets*, section 3.4.2: of pairs with similarity `s`, a share of
/// `1 - (1 - s^rows)^bands` meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bands {
    /// Number of bands.
    pub n_bands: usize,
    /// Numbers of each.
    pub n_rows: usize,
}

impl Bands {
    /// The most rows (the fewest pairs that meet in vain) with which of the pairs at the threshold at most `missed` never meet, in a signature of at most `n_most` numbers.
    ///
    /// `None` where there is no such cut: the threshold is too low.
    ///
    /// ```
    /// use outlay_audit::Bands;
    /// let bands = Bands::for_threshold(0.8, 2e-4, 192).unwrap();
    /// assert_eq!((bands.n_bands, bands.n_rows), (29, 6));
    /// assert!(bands.meeting(0.8) > 0.9998 && bands.meeting(0.4) < 0.12);
    /// ```
    #[must_use]
    pub fn for_threshold(threshold: f64, missed: f64, n_most: usize) -> Option<Self> {
        (1..=16).rev().find_map(|n_rows| {
            let apart = 1.0 - threshold.powi(n_rows as i32);
            let n_bands = if apart <= 0.0 {
                1
            } else {
                (missed.ln() / apart.ln()).ceil().max(1.0) as usize
            };
            (n_bands.saturating_mul(n_rows) <= n_most).then_some(Self { n_bands, n_rows })
        })
    }

    /// The share of pairs of a similarity that meet.
    #[must_use]
    pub fn meeting(&self, similarity: f64) -> f64 {
        1.0 - (1.0 - similarity.powi(self.n_rows as i32)).powi(self.n_bands as i32)
    }
}

/// Signs sets.
#[derive(Debug)]
pub struct MinHash {
    bands: Bands,
    arch: pulp::Arch,
    /// The orders, in lots of `LANES`: what an element is multiplied by, and what is added.
    orders: Vec<([u32; LANES], [u32; LANES])>,
}

impl MinHash {
    /// A signer with its orders drawn from a seed.
    #[must_use]
    pub fn new(bands: Bands, seed: u64) -> Self {
        let n_lots = (bands.n_bands * bands.n_rows).div_ceil(LANES);
        let drawn = |at: usize, which: u64| finish(seed ^ finish(2 * at as u64 + which + 1));
        let orders = (0..n_lots)
            .map(|lot| {
                let each = |which| {
                    std::array::from_fn(|lane| (drawn(lot * LANES + lane, which) >> 32) as u32)
                };
                (each(0).map(|factor: u32| factor | 1), each(1))
            })
            .collect();
        Self {
            bands,
            arch: pulp::Arch::new(),
            orders,
        }
    }

    /// How signatures are cut.
    #[must_use]
    pub fn bands(&self) -> Bands {
        self.bands
    }

    /// Appends the key of each band of a set that is not empty. Keys of different bands are different hashes.
    pub fn keys(&self, set: &[u32], signature: &mut Vec<u32>, keys: &mut Vec<u64>) {
        signature.clear();
        self.arch.dispatch(|| {
            for (factors, terms) in &self.orders {
                let mut least = [u32::MAX; LANES];
                for element in set {
                    for lane in 0..LANES {
                        let place = element
                            .wrapping_mul(factors[lane])
                            .wrapping_add(terms[lane]);
                        least[lane] = least[lane].min(place);
                    }
                }
                signature.extend_from_slice(&least);
            }
        });
        let rows = signature.chunks_exact(self.bands.n_rows);
        keys.extend(
            rows.take(self.bands.n_bands)
                .enumerate()
                .map(|(band, rows)| {
                    let start = finish(band as u64 + 1);
                    rows.iter()
                        .fold(start, |key, row| finish(key ^ u64::from(*row)))
                }),
        );
    }
}
