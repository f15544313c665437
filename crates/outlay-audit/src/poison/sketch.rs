//! Counts of more things than memory holds: a count-min sketch with the mean error taken off.
//!
//! Cormode and Muthukrishnan 2005, *An Improved Data Stream Summary: The Count-Min Sketch and its Applications*; the correction is
//! that of Deng and Rafiei 2007, *New Estimation Algorithms for Streaming Data: Count-min Can Do More*, section 3. Counts are only added to,
//! so that threads may add at the same time and in any order: the sums are the same.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Rows: what is counted too high in one need not be so in the other.
const ROWS: usize = 2;

pub(crate) struct Sketch {
    cells: Vec<AtomicU32>,
    /// Cells of a row less one, a mask.
    mask: u64,
    n_added: AtomicU64,
}

impl Sketch {
    /// A sketch of at most so many bytes, and at least a few thousand cells.
    pub(crate) fn new(n_bytes: usize) -> Self {
        let n_cells = (n_bytes / 4 / ROWS).clamp(1 << 12, 1 << 30);
        // The power of two that is not above it.
        let n_cells = 1_usize << n_cells.ilog2();
        Self {
            cells: (0..n_cells * ROWS).map(|_| AtomicU32::new(0)).collect(),
            mask: n_cells as u64 - 1,
            n_added: AtomicU64::new(0),
        }
    }

    fn cells(&self, key: u64) -> [&AtomicU32; ROWS] {
        let first = (key & self.mask) as usize;
        let second = (key.rotate_left(29).wrapping_mul(0x9fb2_1c65_1e98_df25) >> 20) & self.mask;
        [
            &self.cells[first],
            &self.cells[self.mask as usize + 1 + second as usize],
        ]
    }

    /// Counts a key once more; the number of additions is told by `added`.
    pub(crate) fn add(&self, key: u64) {
        for cell in self.cells(key) {
            // Four thousand million records of one key are more than any corpus has; a cell that ran over would only hide what is frequent.
            cell.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells that so many keys were added.
    pub(crate) fn added(&self, n_keys: u64) {
        self.n_added.fetch_add(n_keys, Ordering::Relaxed);
    }

    /// All that was added.
    pub(crate) fn n_added(&self) -> u64 {
        self.n_added.load(Ordering::Relaxed)
    }

    /// How often a key was counted, about.
    pub(crate) fn estimate(&self, key: u64) -> f64 {
        let n_added = self.n_added.load(Ordering::Relaxed) as f64;
        let least = self
            .cells(key)
            .map(|cell| cell.load(Ordering::Relaxed))
            .into_iter()
            .fold(u32::MAX, u32::min);
        let least = f64::from(least);
        (least - (n_added - least).max(0.0) / self.mask as f64).max(0.0)
    }

    /// Keys in a cell, on the average: what a count may be wrong by.
    pub(crate) fn load(&self) -> f64 {
        self.n_added.load(Ordering::Relaxed) as f64 / (self.mask as f64 + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::finish;

    #[test]
    fn counts_are_near_the_truth_where_there_is_room() {
        let sketch = Sketch::new(1 << 20);
        for key in 1..20_000_u64 {
            let n_times = if key % 100 == 0 { 50 } else { 1 };
            for _ in 0..n_times {
                sketch.add(finish(key));
            }
            sketch.added(n_times);
        }
        let wrong = (1..20_000_u64)
            .filter(|key| {
                let n_times = if key % 100 == 0 { 50.0 } else { 1.0 };
                (sketch.estimate(finish(*key)) - n_times).abs() > 3.0
            })
            .count();
        assert!(wrong < 40, "{wrong}");
    }
}
