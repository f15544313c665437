//! Signs of poisoned data: what was planted is found, and what is clean is left alone.

#![allow(
    clippy::print_stdout,
    reason = "a test that is skipped says so, and figures are shown where they are asked for"
)]

mod embeddings;
mod shifts;
mod triggers;
