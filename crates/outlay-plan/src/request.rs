//! Plans from what people say: the words of the command line, of a project's file, and of a request to the server.
//!
//! Whoever asks reads files and the clock, and hands over a model, a [`Market`] and the constants; the same request gets the
//! same answer, or the same [`Refusal`], wherever it was made.

mod amounts;
mod emissions;
mod market;
mod refusal;
mod said;
mod serve;
mod service;
mod stages;
mod surroundings;
mod train;
mod values;
mod whole;

pub use market::{At, Market, Terms, is_date, old_price};
pub use refusal::Refusal;
pub use serve::{Fleet, ServeReply, ServeRequest, holds, serve};
pub use surroundings::BillRequest;
pub use train::{Extras, KEPT_BYTES, KEPT_TOKENS, TrainRequest, images_fit, run_images, train};
pub use values::{
    accelerators_of, carbon, choice, deadline_seconds, latency, number, precision_or_usual,
    sample_size, tokens, whole, whole_number,
};
pub use whole::no_use;
