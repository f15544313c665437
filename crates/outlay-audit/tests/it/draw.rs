//! Numbers drawn from a seed, for tests and benches.

/// The state of a linear congruential generator (Knuth's MMIX), of which the upper half is drawn.
pub struct Draw(pub u64);

impl Draw {
    /// A number below another.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}
