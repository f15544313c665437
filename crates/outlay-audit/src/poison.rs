//! Signs that data was poisoned: triggers in texts, second populations among embeddings, and sudden changes of where records come from.
//!
//! None of them proves an attack. Each says where to look, with the numbers that it rests on.

mod chance;
mod clusters;
mod embeddings;
mod responses;
mod shifts;
mod sketch;
mod spectral;
mod tokens;
mod triggers;

pub use chance::{log10_binomial_tail, log10_hypergeometric_tail};
pub use clusters::{Clusters, clusters};
pub use embeddings::{Embeddings, NpyError};
pub use responses::{Responses, ResponsesSeen};
pub use shifts::{Change, ShareChange, ShiftSettings, Shifts, number_range};
pub use spectral::{Mixture, Spectrum, spectra};
pub use triggers::{
    LabelAgreement, Labelled, Trigger, TriggerCounts, TriggerSearch, TriggerSettings, Triggers,
};
