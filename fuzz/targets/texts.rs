//! What is looked for in a text, and notes, keys and JSON of the ledger.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outlay_audit::{masked, private, redacted};
use outlay_ledger::{Checkpoint, VerifyKey, canonical};

fuzz_target!(|text: &str| {
    for one in private(text) {
        assert!(text.get(one.place.clone()).is_some());
        let _ = masked(&one, text);
    }
    let _ = redacted(text);
    let _ = VerifyKey::from_text(text);
    let _ = Checkpoint::open(text, &[]);
    if let Ok(value) = serde_json::from_str::<serde_json::Value>(text)
        && let Ok(first) = canonical(&value)
    {
        let again: serde_json::Value = serde_json::from_str(&first).unwrap();
        assert_eq!(canonical(&again).unwrap(), first);
    }
});
