//! Audits of small files, whole.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod balance;
mod croissant;
mod draw;
mod fixing;
mod images;
mod judged;
mod labels;
mod language;
mod leaks;
mod mail;
mod near;
mod poison;
mod privacy;
mod reading;
mod rights;
mod since;
mod splits;

use std::path::Path;

use draw::Draw;
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
