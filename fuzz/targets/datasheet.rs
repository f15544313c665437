//! Datasheets, what is known of data, policies, conditions, and arrays of NumPy.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use outlay_audit::croissant::{Description, Version, check, croissant};
use outlay_audit::{Condition, Embeddings, Policy};

fuzz_target!(|bytes: &[u8]| {
    let _ = Embeddings::read_npy(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(sheet) = serde_json::from_str(text) {
        let _ = check(&sheet);
    }
    let _ = Policy::from_toml(text);
    let _ = Condition::all(text);
    for name in ["a.toml", "a.json"] {
        if let Ok(description) = Description::default().with_about(Path::new(name), text) {
            let _ = check(&croissant(&description, Version::V1_1));
        }
    }
});
