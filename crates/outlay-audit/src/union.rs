//! Sets that are merged, of numbers from zero on.

/// Which numbers belong together; each set is known by its least.
#[derive(Clone, Debug, Default)]
pub struct Sets {
    parents: Vec<u32>,
}

impl Sets {
    /// So many sets of one number each.
    #[must_use]
    pub fn new(n: u32) -> Self {
        Self {
            parents: (0..n).collect(),
        }
    }

    /// How many numbers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// Whether there is no number.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parents.is_empty()
    }

    /// The least number of a number's set.
    #[must_use]
    pub fn least(&self, mut of: u32) -> u32 {
        while self.parents[of as usize] != of {
            of = self.parents[of as usize];
        }
        of
    }

    /// Merges the sets of two numbers.
    ///
    /// ```
    /// let mut sets = outlay_audit::Sets::new(4);
    /// sets.merge(3, 1);
    /// assert_eq!([0, 1, 2, 3].map(|n| sets.least(n)), [0, 1, 2, 1]);
    /// ```
    pub fn merge(&mut self, one: u32, other: u32) {
        let (one, other) = (self.shortened(one), self.shortened(other));
        let (less, more) = (one.min(other), one.max(other));
        self.parents[more as usize] = less;
    }

    /// The least of a set, to which the way is halved.
    fn shortened(&mut self, mut of: u32) -> u32 {
        loop {
            let parent = self.parents[of as usize];
            if parent == of {
                return of;
            }
            let above = self.parents[parent as usize];
            self.parents[of as usize] = above;
            of = above;
        }
    }
}
