//! Files of data, of every kind that audits read, with all that is looked for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outlay_audit::{Judged, Report, Settings, Suspicions};

const NAMES: [&str; 13] = [
    "a.jsonl",
    "a.json",
    "a.csv",
    "a.tsv",
    "a.txt",
    "a.parquet",
    "a.jsonl.gz",
    "a.csv.zst",
    "a.png",
    "a.jpg",
    "a-images-idx3-ubyte",
    "a.tiff",
    "a.webp",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else {
        return;
    };
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join(NAMES[usize::from(*which) % NAMES.len()]);
    std::fs::write(&path, bytes).unwrap();
    let settings = Settings {
        label: Some("label".to_owned()),
        groups: vec!["group".to_owned()],
        time: Some("time".to_owned()),
        folder: folder.path().to_owned(),
        record_bytes_max: 1 << 16,
        ..Settings::default()
    };
    let Ok(benchmarks) = outlay_audit::benchmarks(std::slice::from_ref(&path), &settings, |_| {}) else {
        return;
    };
    let Ok(audit) = outlay_audit::audit(&[path], Some(&benchmarks), &settings, |_| {}) else {
        return;
    };
    // Whatever there was, it was read or is counted.
    let file = &audit.files[0];
    assert!(file.n_records > 0 || file.n_skipped > 0 || file.n_text_bytes == 0);
    let mut report = Report::new(&audit, settings.near.as_ref(), Some(&benchmarks)).unwrap();
    report.labels = Judged::new(&audit, &settings, None).unwrap();
    report.suspicions = Some(Suspicions::new(&audit, &settings, None).unwrap());
    serde_json::to_string(&report).unwrap();
    let _ = outlay_audit::document(&report);
});
