//! The stand-in for NVIDIA's library, as a test holds it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use outlay_meter::{GpuReading, GpuSource, Nvml, Visible};
use tempfile::TempDir;

/// A driver's library with a state of its own; `fake_nvml.c` says how the state is written.
pub(crate) struct Fake {
    folder: TempDir,
}

impl Fake {
    /// Makes a library with this state; `None`, with a message, where there is no C compiler to make it with.
    pub(crate) fn new(state: &str) -> Option<Self> {
        let built = built()?;
        let folder = TempDir::new().unwrap();
        let fake = Self { folder };
        // A copy, because one file is loaded once, and with one state.
        fs::copy(built, fake.library()).unwrap();
        fake.set(state);
        Some(fake)
    }

    pub(crate) fn library(&self) -> PathBuf {
        self.folder.path().join("libnvidia-ml.so.1")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces the state at once.
    pub(crate) fn set(&self, state: &str) {
        let half = self.folder.path().join("half");
        fs::write(&half, state).unwrap();
        fs::rename(half, self.folder.path().join("libnvidia-ml.so.1.state")).unwrap();
    }

    pub(crate) fn load(&self, visible: Option<&str>) -> Nvml {
        Nvml::load(Some(&self.library()), Visible::parse(visible)).unwrap()
    }

    /// Reads once with this state.
    pub(crate) fn read(&self, nvml: &mut Nvml, state: &str) -> Vec<GpuReading> {
        self.set(state);
        nvml.read().unwrap()
    }
}

/// The library, compiled once for all tests.
fn built() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<TempDir>> = OnceLock::new();
    let folder = BUILT.get_or_init(compile).as_ref()?;
    // Not `.path().join(…)`, which would not live long enough.
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    Some(LIBRARY.get_or_init(|| folder.path().join("fake.so")))
}

#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
fn compile() -> Option<TempDir> {
    let folder = TempDir::new().unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(folder.path().join("fake.so"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fake_nvml.c"))
        .output();
    match compiled {
        Ok(output) => {
            let messages = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "the stand-in does not compile: {messages}"
            );
            Some(folder)
        }
        Err(error) => {
            eprintln!("left out: there is no `cc` to make a stand-in for NVML with ({error})");
            None
        }
    }
}
