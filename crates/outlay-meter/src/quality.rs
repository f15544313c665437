//! How a figure was come by.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a figure was come by, best first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// The difference of a counter that the hardware or the kernel keeps, so that nothing between two readings is lost.
    Counter,
    /// Readings of an instant, carried on until the next; what happened between two of them is not seen.
    Sampled,
    /// Computed from something else, such as watts from the processor's share of time.
    Modelled,
}

impl Quality {
    /// The word that people see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Sampled => "sampled",
            Self::Modelled => "modelled",
        }
    }
}

/// A value, and how it was come by. A missing figure is `None` of this, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figure {
    /// The value, in the unit that the field's name says.
    pub value: f64,
    /// The worst of the ways that its parts were come by.
    pub quality: Quality,
}

impl Figure {
    /// The sum, which is only as good as the worse of the two.
    ///
    /// ```
    /// use outlay_meter::{Figure, Quality};
    /// let sum = Figure { value: 2.0, quality: Quality::Counter }
    ///     .plus(Figure { value: 3.0, quality: Quality::Modelled });
    /// assert_eq!(sum, Figure { value: 5.0, quality: Quality::Modelled });
    /// ```
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            value: self.value + other.value,
            quality: self.quality.max(other.quality),
        }
    }
}
