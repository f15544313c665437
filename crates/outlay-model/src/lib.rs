//! Reads the model files that people have into one operator graph. It has no opinion on cost.

mod builtin;
mod config;
mod config_kinds;
mod diffusers;
mod encoders;
mod error;
mod file;
mod graph;
mod header;
mod net;
mod onnx;
mod onnx_model;
mod spec;
mod table;
mod towers;
mod vision;

pub use builtin::{BuiltinModel, builtin, find, find_served};
pub use config::{from_config, from_config_json, from_config_json_with, from_config_with};
pub use error::Error;
pub use file::{Loaded, read_companions, read_path, read_path_with};
pub use graph::{
    Block, BlockKind, Family, Kind, Model, Operator, Pattern, Positions, Sample, SampleUnit,
    ScanRule, Split,
};
pub use header::{Gguf, read_gguf, safetensors_parameters};
pub use net::Input;
pub use table::{ShapeTable, from_shape};
