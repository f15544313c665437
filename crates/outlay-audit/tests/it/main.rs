//! Audits of small files, whole.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod fixing;
mod leaks;
mod near;
mod privacy;
mod reading;

use std::path::Path;

use outlay_audit::{Audit, NearSettings, Settings};

/// Settings with working files in a folder.
fn settings(folder: &Path) -> Settings {
    Settings {
        near: Some(NearSettings {
            // So few are missed that no test sees one.
            missed: 1e-8,
            ..NearSettings::default()
        }),
        folder: folder.to_owned(),
        ..Settings::default()
    }
}

/// Audits one file of a name and a content.
fn audited(name: &str, content: &[u8], change: impl FnOnce(&mut Settings)) -> Audit {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    let mut settings = settings(folder.path());
    change(&mut settings);
    outlay_audit::audit(&[path], None, &settings, |_| {}).unwrap()
}

/// Numbers drawn from a seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}
