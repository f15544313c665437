//! No request makes the planner stumble.

use std::sync::OnceLock;

use axum::Router;
use axum::http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::plan::{get, post, server};

/// Values that are near to what a field may hold, and others.
fn values() -> impl Strategy<Value = Value> {
    const TEXTS: [&str; 38] = [
        "",
        "0",
        "1",
        "-1",
        "1e308",
        "NaN",
        "inf",
        "llama-3.1-8b",
        "resnet-50",
        "whisper-large-v3",
        "gpt2",
        "20B",
        "1e18",
        "1T tokens",
        "1TB",
        "8xH100-SXM",
        "1000000xH100-SXM",
        "0xL4",
        "L4",
        "xx",
        "bf16",
        "fp8",
        "nvfp4",
        "lora",
        "qlora",
        "jax",
        "5000usd",
        "$0.01",
        "14d",
        "1ms",
        "20/s",
        "1/month",
        "us",
        "2027-06",
        "9999-99",
        "TP2 PP2",
        "3:2.2",
        "1280x720",
    ];
    let leaf = prop_oneof![
        4 => prop::sample::select(TEXTS.to_vec()).prop_map(|text| json!(text)),
        1 => any::<f64>().prop_map(|number| json!(number)),
        1 => any::<i64>().prop_map(|number| json!(number)),
        1 => any::<bool>().prop_map(|flag| json!(flag)),
        1 => Just(Value::Null),
        1 => ".{0,12}".prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((".{0,6}", inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Requests of which some fields are what they should be.
fn requests() -> impl Strategy<Value = Value> {
    const FIELDS: [&str; 44] = [
        "model",
        "config",
        "beside",
        "tokens",
        "samples",
        "epochs",
        "resolution",
        "frames",
        "gpus",
        "budget",
        "deadline",
        "sequence",
        "batch",
        "precision",
        "optimizer",
        "method",
        "framework",
        "price",
        "spot",
        "reserved",
        "owned",
        "lifetime",
        "utilisation",
        "electricity",
        "layout",
        "at",
        "pue",
        "levers",
        "bill",
        "requests",
        "input",
        "output",
        "p99",
        "steps",
        "guidance",
        "cached",
        "mean_over_peak",
        "load",
        "ttft",
        "tpot",
        "percentile",
        "gpu",
        "engine",
        "draft",
    ];
    let fields = prop::collection::vec((prop::sample::select(FIELDS.to_vec()), values()), 0..4);
    (fields, any::<bool>()).prop_map(|(fields, good)| {
        let mut body = if good {
            json!({ "model": "gpt2", "tokens": "1B", "gpus": "4xL4", "gpu": "L4" })
        } else {
            json!({})
        };
        for (name, value) in fields {
            body[name] = value;
        }
        body
    })
}

/// One server for all cases of a property.
fn shared() -> &'static (tokio::runtime::Runtime, Router, tempfile::TempDir) {
    static SHARED: OnceLock<(tokio::runtime::Runtime, Router, tempfile::TempDir)> = OnceLock::new();
    SHARED.get_or_init(|| {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (router, folder) = runtime.block_on(server());
        (runtime, router, folder)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_request_is_answered_or_refused(body in requests(), whole in any::<bool>()) {
        let (runtime, router, _) = shared();
        runtime.block_on(async {
            for (path, foreign) in [("train", "gpu"), ("serve", "gpus")] {
                let mut body = body.clone();
                // Half of the requests have no field of the other kind, and so come further.
                if !whole && let Some(fields) = body.as_object_mut() {
                    fields.shift_remove(foreign);
                    if path == "serve" {
                        fields.shift_remove("tokens");
                    }
                }
                let (status, text) =
                    post(router, &format!("/api/v1/plan/{path}"), body.to_string()).await;
                assert!(status.is_success() || status.is_client_error(), "{body}: {status} {text}");
                let reply: Value = serde_json::from_str(&text).expect("JSON");
                if status.is_client_error() {
                    assert!(reply["message"].as_str().is_some_and(|text| !text.is_empty()));
                }
            }
        });
    }

    #[test]
    fn any_address_gives_a_page(query in ".{0,60}", serves in any::<bool>()) {
        let (runtime, router, _) = shared();
        let query: String = query
            .bytes()
            .map(|byte| format!("%{byte:02X}"))
            .collect();
        let path = if serves { "/plan/serve" } else { "/plan" };
        runtime.block_on(async {
            for query in [format!("model={query}"), format!("model=gpt2&tokens={query}&n={query}"), query] {
                let (status, _) = get(router, &format!("{path}?{query}")).await;
                assert_eq!(status, StatusCode::OK);
            }
        });
    }
}
