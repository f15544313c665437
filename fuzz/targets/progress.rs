//! What commands print.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outlay_meter::ProgressReader;

fuzz_target!(|bytes: &[u8]| {
    let mut reader = ProgressReader::new(None);
    for some in bytes.chunks(37) {
        for report in reader.feed(some) {
            assert!(report.fraction.is_none_or(|share| (0.0..=1.0).contains(&share)));
        }
    }
});
