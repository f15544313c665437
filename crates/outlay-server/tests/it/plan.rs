//! The planner: the same answers as the command line, and no request that it stumbles over.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use outlay_ledger::{Ledger, Place};
use outlay_plan::Calibration;
use outlay_plan::request::{
    Extras, Fleet, Market, ServeRequest, TrainRequest, sample_size, serve, train,
};
use outlay_server::artifacts::Artifacts;
use outlay_server::{App, Settings, router};
use serde_json::{Value, json};
use tower::ServiceExt;

/// 15 November 2026.
const NOW_US: i64 = 1_794_700_800_000_000;
const TODAY: &str = "2026-11-15";

/// A server over an empty ledger; the folder goes when the test ends.
pub async fn server() -> (Router, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::File(folder.path().join("ledger.sqlite"));
    let ledger = Ledger::open(&place, true).await.expect("a ledger");
    let settings = Settings {
        folder: std::path::PathBuf::from("/"),
        artifact_root: "mlflow-artifacts:".to_owned(),
        now_us: || NOW_US,
        refuse_over_budget: true,
        truncate_long_values: true,
    };
    let artifacts = Artifacts::folder(folder.path().join("artifacts"));
    (router(App::new(ledger, artifacts, settings)), folder)
}

pub async fn post(router: &Router, path: &str, body: String) -> (StatusCode, String) {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .body(Body::from(body))
        .expect("a request");
    reply(router, request).await
}

pub async fn get(router: &Router, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    reply(router, request).await
}

async fn reply(router: &Router, request: Request<Body>) -> (StatusCode, String) {
    let reply = router.clone().oneshot(request).await.expect("no failure");
    let status = reply.status();
    let body = to_bytes(reply.into_body(), usize::MAX)
        .await
        .expect("a body");
    (status, String::from_utf8_lossy(&body).into_owned())
}

async fn asked(router: &Router, path: &str, body: &Value) -> (StatusCode, Value) {
    let (status, text) = post(router, path, body.to_string()).await;
    (status, serde_json::from_str(&text).expect("JSON"))
}

/// The words of a request without those that say which model.
fn words(body: &Value) -> Value {
    let mut words = body.clone();
    let fields = words.as_object_mut().expect("an object");
    for name in ["model", "config", "beside"] {
        fields.shift_remove(name);
    }
    words
}

#[test]
fn today_is_the_day_of_the_clock() {
    let day = outlay_units::date_of_day(NOW_US / 86_400_000_000);
    assert_eq!(day, TODAY);
}

#[tokio::test]
async fn training_is_planned_as_the_command_line_plans_it() {
    let (router, _folder) = server().await;
    let calibration = Calibration::built_in();
    for body in [
        json!({ "model": "llama-3.1-8b", "tokens": "1T", "gpus": "64xH100-SXM" }),
        json!({ "model": "llama-3.1-8b", "tokens": 2e10, "budget": "5000usd", "deadline": "30d", "spot": true }),
        json!({ "model": "deepseek-v3", "tokens": "1T", "gpus": "2048xH800-SXM", "precision": "fp8" }),
        json!({ "model": "gpt2-xl", "tokens": "10B", "gpus": "8xH100-SXM", "price": "2/h", "levers": "true", "bill": {} }),
        json!({ "model": "resnet-50", "samples": "1.28M", "epochs": 90, "gpus": "8xA100-80GB-SXM", "at": "2027-06" }),
        json!({ "model": "llama-3.1-8b", "tokens": "50M", "method": "lora", "gpus": "1xL40S", "owned": "9000usd" }),
    ] {
        let (status, answer) = asked(&router, "/api/v1/plan/train", &body).await;
        assert_eq!(status, StatusCode::OK, "{body}: {answer}");
        let request: TrainRequest = serde_json::from_value(words(&body)).expect("a request");
        let model = outlay_model::find(body["model"].as_str().expect("a name"))
            .and_then(outlay_model::BuiltinModel::model)
            .expect("a model");
        let market = Market::built_in(TODAY);
        let (expected, _) =
            train(&request, model, Extras::default(), &market, &calibration).expect("a plan");
        assert_eq!(
            answer,
            serde_json::to_value(&expected).expect("JSON"),
            "{body}"
        );
        // Asked again, the answer is the same.
        assert_eq!(asked(&router, "/api/v1/plan/train", &body).await.1, answer);
    }
}

#[tokio::test]
async fn serving_is_planned_as_the_command_line_plans_it() {
    let (router, _folder) = server().await;
    let calibration = Calibration::built_in();
    for body in [
        json!({ "model": "llama-3.1-8b", "gpu": "H100-SXM", "requests": "20/s", "tpot": "40ms" }),
        json!({ "model": "llama-3.1-70b", "gpu": ["8xH100-SXM"], "precision": "fp8", "compare_api": true }),
        json!({ "model": "resnet-50", "gpu": "L4", "requests": "300/s", "p99": "50ms" }),
        json!({ "model": "stable-diffusion-xl", "beside": ["sdxl-vae"], "gpu": "L40S", "steps": 20 }),
    ] {
        let (status, answer) = asked(&router, "/api/v1/plan/serve", &body).await;
        assert_eq!(status, StatusCode::OK, "{body}: {answer}");
        let request: ServeRequest = serde_json::from_value(words(&body)).expect("a request");
        let size = sample_size(None, None).expect("a size");
        let named = |name: &str| {
            outlay_model::find(name)
                .and_then(|found| found.model_with(&size))
                .expect("a model")
        };
        let beside: Vec<_> = body["beside"]
            .as_array()
            .map(|names| names.iter().filter_map(Value::as_str).map(named).collect())
            .unwrap_or_default();
        let fleet = Fleet {
            model: &named(body["model"].as_str().expect("a name")),
            beside: &beside,
            held: None,
            api_prices: outlay_catalog::builtin_api_prices(),
        };
        let expected =
            serve(&request, fleet, &Market::built_in(TODAY), &calibration).expect("a plan");
        assert_eq!(
            answer,
            serde_json::to_value(&expected).expect("JSON"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_models_own_file_is_planned_as_the_built_in_model_of_its_shape() {
    let (router, _folder) = server().await;
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096,
        "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 128_256, "max_position_embeddings": 131_072,
        "tie_word_embeddings": false
    });
    let more = json!({ "tokens": "1B", "gpus": "8xH100-SXM", "price": "2/h" });
    let with = |name: &str, value: Value| {
        let mut body = more.clone();
        body[name] = value;
        body
    };
    let mut costs = Vec::new();
    for body in [
        with("model", json!("llama-3.1-8b")),
        with("config", config.clone()),
        with("config", json!(config.to_string())),
    ] {
        let (status, answer) = asked(&router, "/api/v1/plan/train", &body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        costs.push(answer["best"]["usd"].clone());
    }
    assert_eq!(costs[0], costs[1]);
    assert_eq!(costs[1], costs[2]);
}

#[tokio::test]
async fn more_and_fewer_accelerators_are_planned() {
    let (router, _folder) = server().await;
    let body =
        json!({ "model": "llama-3.1-8b", "tokens": "10B", "gpus": "8xH100-SXM", "price": "2/h" });
    let (status, sizes) = asked(&router, "/api/v1/plan/train/sizes", &body).await;
    assert_eq!(status, StatusCode::OK, "{sizes}");
    let counts: Vec<u64> = sizes["points"]
        .as_array()
        .expect("points")
        .iter()
        .filter_map(|point| point["count"].as_u64())
        .collect();
    assert!(counts.contains(&8) && counts.contains(&128), "{counts:?}");
    assert!(counts.is_sorted());
    let (_, one) = asked(&router, "/api/v1/plan/train", &body).await;
    let place = counts.iter().position(|count| *count == 8).expect("there");
    assert_eq!(sizes["points"][place]["usd"], one["best"]["usd"]);
}

#[tokio::test]
async fn refusals_name_the_field_and_what_is_allowed() {
    let (router, _folder) = server().await;
    let good = json!({ "model": "llama-3.1-8b", "tokens": "20B", "gpus": "8xH100-SXM" });
    for (path, field, value, said) in [
        ("train", "tokens", json!("1TB"), "tokens"),
        ("train", "tokens", json!([1]), "allowed: a text"),
        (
            "train",
            "tokens",
            Value::Null,
            "tokens to train on is not given",
        ),
        ("train", "gpus", json!("8xH300"), "H300"),
        ("train", "epochs", json!(-1), "allowed: 0.001 to 1000000"),
        ("train", "precision", json!("bf17"), "allowed: fp32"),
        ("train", "spot", json!("perhaps"), "allowed: true, false"),
        (
            "train",
            "colour",
            json!("red"),
            "allowed: `model`, `config`, `tokens`",
        ),
        ("train", "model", json!("no-such-model"), "no-such-model"),
        ("train", "config", json!("{}"), "both model and config"),
        ("train", "bill", json!({ "idle": 1e9 }), "allowed: 0 to 100"),
        ("train", "at", json!("nowhere-1"), "regions with offers"),
        (
            "serve",
            "mean_over_peak",
            json!(7),
            "mean_over_peak is `7`; allowed: 0.01 to 1",
        ),
        ("serve", "load", json!([1, 2, 3]), "24 to 20000 hours"),
        ("serve", "engine", json!("fastest"), "allowed: vllm"),
        ("serve", "beside", json!([1]), "beside"),
    ] {
        let mut body = good.clone();
        if path == "serve" {
            body = json!({ "model": "llama-3.1-8b", "gpu": "H100-SXM" });
        }
        body[field] = value;
        let (status, refused) = asked(&router, &format!("/api/v1/plan/{path}"), &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {refused}");
        let message = refused["message"].as_str().expect("a message");
        assert!(message.contains(said), "{body}: {message}");
        assert!(!message.contains("--"), "{message}");
        if field != "bill" {
            assert_eq!(refused["field"], field, "{refused}");
        }
    }
    for body in ["", "[]", "{", "\"x\"", "{\"model\": 3}"] {
        let (status, _) = post(&router, "/api/v1/plan/train", body.to_owned()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    }
    let large = format!("{{\"config\": \"{}\"}}", "x".repeat(3_000_000));
    let (status, _) = post(&router, "/api/v1/plan/train", large).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn what_is_hostile_is_shown_and_not_obeyed() {
    let (router, _folder) = server().await;
    let hostile = "%3Cscript%3Ealert(1)%3C/script%3E\"><img src=x onerror=alert(1)>";
    for path in [
        format!("/plan?model={hostile}&tokens={hostile}&gpu={hostile}&at={hostile}"),
        format!("/plan/serve?model={hostile}&requests={hostile}&gpu={hostile}"),
    ] {
        let path = path.replace(['"', '<', '>', ' '], "%22%3E");
        let (status, page) = get(&router, &path).await;
        assert_eq!(status, StatusCode::OK);
        assert!(page.contains("is not built in"), "{page}");
        assert!(
            !page.contains("<script>alert") && !page.contains("<img"),
            "{page}"
        );
    }
    let config = json!({
        "architectures": ["<img src=x onerror=alert(1)>ForCausalLM"], "model_type": "<b>x</b>"
    });
    let body = json!({ "config": config.to_string(), "tokens": "1B" });
    let (_, html) = post(&router, "/plan/answer", body.to_string()).await;
    assert!(!html.contains("<img") && !html.contains("<b>"), "{html}");
}

#[tokio::test]
async fn pages_are_whole_without_a_script() {
    let (router, _folder) = server().await;
    for (path, words) in [
        (
            "/plan",
            [
                "Cost",
                "Memory of one GPU",
                "Where the time goes",
                "Runners-up",
            ],
        ),
        (
            "/plan?model=llama-3.1-8b&tokens=20B&spot=1",
            ["Cost", "8.03B parameters", "20.0B tokens", "priced"],
        ),
        (
            "/plan?model=resnet-50&samples=1.28M&epochs=90&gpu=A100-80GB-SXM&n=8",
            [
                "images",
                "Samples a second",
                "data-takes=\"samples\"",
                "8 × A100",
            ],
        ),
        (
            "/plan/serve",
            ["Cost a month", "First token", "Runners-up", "Throughput"],
        ),
        (
            "/plan/serve?model=resnet-50&gpu=L4&requests=300/s",
            [
                "Wait (99 in 100)",
                "data-answers=\"whole\"",
                "Cost a month",
                "L4",
            ],
        ),
    ] {
        let (status, page) = get(&router, path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        for word in words {
            assert!(page.contains(word), "{path} lacks {word}: {page}");
        }
        assert!(
            !page.contains(" style=") && !page.contains("onclick"),
            "{path}"
        );
    }
}

#[test]
fn the_description_of_the_api_is_whole() {
    let description = outlay_server::plan::openapi();
    let schemas = description["components"]["schemas"]
        .as_object()
        .expect("schemas");
    let text = description.to_string();
    for part in text.split("\"$ref\":\"").skip(1) {
        let name = part.split('"').next().unwrap_or_default();
        let known = name
            .strip_prefix("#/components/schemas/")
            .is_some_and(|name| schemas.contains_key(name));
        assert!(known, "{name}");
    }
    let whole = serde_json::to_value(outlay_server::api::openapi()).expect("JSON");
    for path in ["train", "train/sizes", "serve", "models", "hardware"] {
        let path = format!("/api/v1/plan/{path}");
        assert!(whole["paths"][&path].is_object(), "{path}");
    }
    for name in schemas.keys() {
        assert!(whole["components"]["schemas"][name].is_object(), "{name}");
    }
    let fields = &schemas["PlanTrainRequest"]["properties"];
    assert!(fields["tokens"].is_object() && fields["config"].is_object());
}
