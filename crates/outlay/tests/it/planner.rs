//! The command line answers what a request with the same words gets.

use std::time::{SystemTime, UNIX_EPOCH};

use outlay_plan::Calibration;
use outlay_plan::request::{
    Extras, Fleet, Market, ServeRequest, TrainRequest, sample_size, serve, train,
};
use serde_json::{Value, json};

use super::{outlay, stderr, stdout};

fn today() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    outlay_units::date_of_day((seconds / 86_400) as i64)
}

/// The options of a command that say what a request says.
fn options(kind: &str, model: &str, request: &Value) -> Vec<String> {
    let mut words = vec!["plan".to_owned(), kind.to_owned(), model.to_owned()];
    for (name, value) in request.as_object().unwrap() {
        let option = format!("--{}", name.replace('_', "-"));
        match value {
            Value::Bool(true) => words.push(option),
            Value::Object(_) => words.push(option),
            Value::String(text) => words.extend([option, text.clone()]),
            number => words.extend([option, number.to_string()]),
        }
    }
    words.push("--json".to_owned());
    words
}

fn printed(kind: &str, model: &str, request: &Value) -> Value {
    let words = options(kind, model, request);
    let output = outlay(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let text = stdout(&output);
    assert!(!text.is_empty(), "{words:?}: {}", stderr(&output));
    serde_json::from_str(&text).unwrap()
}

/// As JSON prints it and reads it again.
fn as_printed(answer: &impl serde::Serialize) -> Value {
    serde_json::from_str(&serde_json::to_string(answer).unwrap()).unwrap()
}

#[test]
fn plan_train_prints_what_a_request_gets() {
    for (model, request) in [
        (
            "llama-3.1-8b",
            json!({ "tokens": "1T", "gpus": "64xH100-SXM" }),
        ),
        (
            "llama-3.1-8b",
            json!({ "tokens": "20B", "budget": "5000usd", "deadline": "30d", "spot": true }),
        ),
        (
            "gpt2-xl",
            json!({ "tokens": "10B", "gpus": "8xH100-SXM", "price": "2/h", "levers": true, "bill": {} }),
        ),
        (
            "resnet-50",
            json!({ "samples": "1.28M", "epochs": 90, "gpus": "8xA100-80GB-SXM" }),
        ),
        (
            "llama-3.1-8b",
            json!({ "tokens": "50M", "method": "lora", "gpus": "1xL40S", "owned": "9000usd", "lifetime": 3 }),
        ),
        (
            "gpt2",
            json!({ "tokens": "1B", "gpus": "8xH100-SXM", "at": "us-east" }),
        ),
    ] {
        let words: TrainRequest = serde_json::from_value(request.clone()).unwrap();
        let graph = outlay_model::find(model).unwrap().model().unwrap();
        let market = Market::built_in(&today());
        let asked = train(
            &words,
            graph,
            Extras::default(),
            &market,
            &Calibration::built_in(),
        );
        let (answer, _) = asked.unwrap();
        assert_eq!(
            printed("train", model, &request),
            as_printed(&answer),
            "{model} {request}"
        );
    }
}

#[test]
fn plan_serve_prints_what_a_request_gets() {
    for (model, request) in [
        (
            "llama-3.1-8b",
            json!({ "gpu": "H100-SXM", "requests": "20/s", "tpot": "40ms" }),
        ),
        (
            "llama-3.1-8b",
            json!({ "gpu": "L40S", "precision": "fp8", "compare_api": true, "cached": 0.3 }),
        ),
        (
            "resnet-50",
            json!({ "gpu": "L4", "requests": "300/s", "p99": "50ms" }),
        ),
    ] {
        let words: ServeRequest = serde_json::from_value(request.clone()).unwrap();
        let size = sample_size(None, None).unwrap();
        let graph = outlay_model::find(model)
            .unwrap()
            .model_with(&size)
            .unwrap();
        let fleet = Fleet {
            model: &graph,
            beside: &[],
            held: None,
            api_prices: outlay_catalog::builtin_api_prices(),
        };
        let market = Market::built_in(&today());
        let answer = serve(&words, fleet, &market, &Calibration::built_in()).unwrap();
        assert_eq!(
            printed("serve", model, &request),
            as_printed(&answer),
            "{model} {request}"
        );
    }
}
