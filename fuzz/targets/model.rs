//! Descriptions and files of models.

#![no_main]

use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 5] = [
    "config.json",
    "a.gguf",
    "a.onnx",
    "a.safetensors",
    "a.toml",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else {
        return;
    };
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join(NAMES[usize::from(*which) % NAMES.len()]);
    std::fs::write(&path, bytes).unwrap();
    let _ = outlay_model::read_path(&path);
});
