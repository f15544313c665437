//! The server from outside: what it takes and what it answers.

mod bodies;
mod browser;
mod doors;
mod filter_cases;
mod filter_properties;
mod import;
mod pages;
mod plan;
mod plan_properties;
mod wires;
