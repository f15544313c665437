//! Signs of poisoned data: what was planted is found, and what is clean is left alone.

mod embeddings;
mod shifts;
mod triggers;
