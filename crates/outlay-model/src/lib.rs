//! Reads the model files that people have into one operator graph. It has no opinion on cost.

mod graph;

pub use graph::{Block, BlockKind, Family, Kind, Model, Operator, Pattern, ScanRule, Split};
