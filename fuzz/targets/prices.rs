//! Prices, accelerators and measured runs.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = outlay_catalog::parse_offers(text, "a");
    let _ = outlay_catalog::parse_accelerators(text, "a");
    let _ = outlay_catalog::parse_price_history(text, "a");
    let _ = outlay_catalog::parse_api_prices(text, "a");
    let _ = outlay_catalog::read_litellm(text, "a", "2026-01-01");
    let _ = outlay_catalog::parse_vms_csv("aws", text, "a", "2026-01-01");
    let _ = outlay_plan::read_measured(text, "a");
    let _ = outlay_plan::serving::read_serving(text, "a");
});
