//! A predicted number and how sure we are of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A prediction: its median and the range that holds the truth four times in five.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// One outcome in ten lies below.
    pub p10: f64,
    /// Half of the outcomes lie below.
    pub p50: f64,
    /// Nine outcomes in ten lie below.
    pub p90: f64,
}

/// How far outcomes lie from a prediction, as factors of it.
///
/// Taken from cross-validated residuals: `low` is the 10th percentile of measured / predicted, `high` the 90th.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Factor for p10.
    pub low: f64,
    /// Factor for p90.
    pub high: f64,
}

impl Estimate {
    /// Puts a spread around a median.
    ///
    /// ```
    /// use outlay_units::{Estimate, Spread};
    /// let days = Estimate::around(10.0, Spread { low: 0.9, high: 1.2 });
    /// assert_eq!((days.p10, days.p50, days.p90), (9.0, 10.0, 12.0));
    /// ```
    pub fn around(p50: f64, spread: Spread) -> Self {
        Self {
            p10: p50 * spread.low.min(1.0),
            p50,
            p90: p50 * spread.high.max(1.0),
        }
    }

    /// Multiplies by something known exactly, such as a price.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            p10: self.p10 * factor,
            p50: self.p50 * factor,
            p90: self.p90 * factor,
        }
    }

    /// Adds something that errs for reasons of its own: the ends stand off by the root of the sum of squares.
    ///
    /// ```
    /// use outlay_units::Estimate;
    /// let a = Estimate { p10: 7.0, p50: 10.0, p90: 13.0 };
    /// let b = Estimate { p10: 16.0, p50: 20.0, p90: 24.0 };
    /// assert_eq!(a.plus_independent(b), Estimate { p10: 25.0, p50: 30.0, p90: 35.0 });
    /// ```
    #[must_use]
    pub fn plus_independent(self, other: Self) -> Self {
        let p50 = self.p50 + other.p50;
        Self {
            p10: p50 - (self.p50 - self.p10).hypot(other.p50 - other.p10),
            p50,
            p90: p50 + (self.p90 - self.p50).hypot(other.p90 - other.p50),
        }
    }

    /// Something known exactly.
    pub fn exactly(value: f64) -> Self {
        Self {
            p10: value,
            p50: value,
            p90: value,
        }
    }

    /// Turns a time into a rate: `amount / self`, with the ends exchanged.
    #[must_use]
    pub fn rate_of(self, amount: f64) -> Self {
        Self {
            p10: amount / self.p90,
            p50: amount / self.p50,
            p90: amount / self.p10,
        }
    }
}

impl Spread {
    /// The spread of the reciprocal (of a rate, where this is the spread of a time).
    #[must_use]
    pub fn inverse(self) -> Self {
        Self {
            low: 1.0 / self.high,
            high: 1.0 / self.low,
        }
    }
}
