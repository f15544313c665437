//! The pages' own API and the pages themselves, without a browser.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::browser::seed::Seeded;

struct Server {
    router: Router,
    seeded: Seeded,
}

async fn server() -> Server {
    let seeded = Seeded::new(50_000).await;
    Server {
        router: outlay_server::router(seeded.app.clone()),
        seeded,
    }
}

impl Server {
    async fn ask(&self, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
        let reply = self.router.clone().oneshot(request).await.expect("a reply");
        let (head, body) = reply.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body");
        (
            head.status,
            head.headers,
            String::from_utf8_lossy(&body).into_owned(),
        )
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let (status, headers, text) = self.ask(request).await;
        assert_eq!(headers["outlay-api-version"], "1.0", "{path}");
        (
            status,
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}")),
        )
    }

    async fn good(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    async fn post(&self, path: &str, kind: &str, body: &str) -> (StatusCode, Value) {
        let request = Request::post(path)
            .header("content-type", kind)
            .body(Body::from(body.to_owned()))
            .expect("a request");
        let (status, _, text) = self.ask(request).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

#[tokio::test]
async fn what_is_spent_and_what_needs_a_look_is_told() {
    let server = server().await;
    let home = server.good("/api/v1/home").await;
    assert_eq!(home["month"], "2026-11");
    assert_eq!(home["n_running"], 3);
    assert_eq!(home["months"][0]["currency"], "USD");
    let days = home["months"][0]["days_micro"].as_array().expect("days");
    let sum: i64 = days.iter().filter_map(Value::as_i64).sum();
    assert_eq!(home["months"][0]["spent_micro"], sum);
    let end = &home["months"][0]["by_month_end"];
    assert!(end["p10"].as_f64() < end["p50"].as_f64() && end["p50"].as_f64() < end["p90"].as_f64());
    let texts: Vec<&str> = home["attention"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["text"].as_str())
        .collect();
    assert!(
        texts.contains(&"Budget speech pilot is spent."),
        "{texts:?}"
    );
    assert!(
        texts.contains(&"Run diffusion-sweep-12 will need more than its budget, at this pace."),
        "{texts:?}"
    );
    let budgets = server.good("/api/v1/budgets").await;
    assert_eq!(budgets["budgets"][0]["standing"], "over");
}

#[tokio::test]
async fn tables_send_the_columns_that_are_asked_for() {
    let server = server().await;
    let path =
        "/api/v1/runs?column=metrics.loss&column=params.lr&order_by=spent_usd%20DESC&limit=2";
    let runs = server.good(path).await;
    assert_eq!(runs["n_all"], 10_009);
    let first = &runs["runs"][0];
    assert_eq!(first["name"], "llama-finetune-v2");
    assert_eq!(
        first["metrics"].as_object().map(serde_json::Map::len),
        Some(1)
    );
    assert_eq!(
        first["params"].as_object().map(serde_json::Map::len),
        Some(1)
    );
    assert_eq!(first["tags"], json!({}));
    let found = server
        .good("/api/v1/runs?filter=params.lr%20%3D%20'0.1'&limit=0")
        .await;
    assert_eq!(
        (
            found["n_all"].as_i64(),
            found["runs"].as_array().map(Vec::len)
        ),
        (Some(2500), Some(0))
    );

    // By the least or the greatest value that a metric ever had, not only by its last.
    for (order, end, is_rising) in [
        ("min:metrics.loss", "min", true),
        ("max:metrics.%60loss%60%20DESC", "max", false),
    ] {
        let path = format!("/api/v1/runs?column=metrics.loss&order_by={order}&limit=200");
        let runs = server.good(&path).await;
        let ends: Vec<f64> = runs["runs"]
            .as_array()
            .expect("runs")
            .iter()
            .filter_map(|run| run["metrics"]["loss"][end].as_f64())
            .collect();
        assert!(ends.len() > 2, "{runs}");
        let is_sorted = ends
            .windows(2)
            .all(|two| (two[0] <= two[1]) == is_rising || two[0] == two[1]);
        assert!(is_sorted, "{order}: {ends:?}");
    }
    let (status, fault) = server.get("/api/v1/runs?order_by=min:params.lr").await;
    assert_eq!(status, 400, "{fault}");

    // Groups come in the order in which a page is sorted by the same.
    for (by, order) in [
        ("project", "project"),
        ("params.lr", "params.lr"),
        ("status", "attributes.status"),
    ] {
        let groups = server.good(&format!("/api/v1/runs/groups?by={by}")).await;
        let mut at = 0;
        for group in groups["groups"].as_array().expect("groups") {
            let page = server
                .good(&format!(
                    "/api/v1/runs?order_by={order}&offset={at}&limit=1&column=params.lr"
                ))
                .await;
            let run = &page["runs"][0];
            let value = match by {
                "project" => &run["project"],
                "status" => &run["status"],
                _ => &run["params"]["lr"],
            };
            let same = value.as_str().map(str::to_lowercase)
                == group["value"].as_str().map(str::to_lowercase);
            // MLflow's words for how a run stands are coarser than ours.
            assert!(
                same || by == "status",
                "{by} at {at}: {value} is not of {group}"
            );
            at += group["n_runs"].as_i64().expect("a count");
        }
        assert_eq!(at, 10_009);
    }
    let columns = server
        .good("/api/v1/runs/columns?containing=KEY_0999&limit=5")
        .await;
    assert_eq!(columns["metrics"].as_array().map(Vec::len), Some(5));
}

#[tokio::test]
async fn histories_are_thinned_against_any_axis() {
    let server = server().await;
    let run = &server.seeded.running;
    for x in ["step", "time", "spent", "energy"] {
        let series = server
            .good(&format!(
                "/api/v1/runs/{run}/series?key=loss&x={x}&points=500"
            ))
            .await;
        assert_eq!(series["n_points"], 50_000, "{x}");
        let places: Vec<f64> = series["places"]
            .as_array()
            .expect("places")
            .iter()
            .filter_map(Value::as_f64)
            .collect();
        assert_eq!(places.len(), 500, "{x}");
        assert!(places.is_sorted(), "{x}");
        let (from, to) = (places[100], places[200]);
        let part = server
            .good(&format!(
                "/api/v1/runs/{run}/series?key=loss&x={x}&points=500&from={from}&to={to}"
            ))
            .await;
        let part: Vec<f64> = part["places"]
            .as_array()
            .expect("places")
            .iter()
            .filter_map(Value::as_f64)
            .collect();
        assert!(!part.is_empty() && part.len() <= 500, "{x}");
    }
    let figure = server
        .good(&format!("/api/v1/figures/metric?run={run}&key=loss&x=time"))
        .await;
    assert_eq!(figure["data"][0]["x"].as_array().map(Vec::len), Some(2000));
    assert_eq!(figure["scale"], 3600.0);
    let (status, fault) = server.get("/api/v1/runs/4/series?key=loss&x=spent").await;
    assert!(status.is_client_error(), "{fault}");
    let metrics = server
        .good(&format!("/api/v1/runs/{run}/metrics?containing=LOS"))
        .await;
    assert_eq!(
        (&metrics["n_all"], &metrics["metrics"][0]["key"]),
        (&json!(1), &json!("loss"))
    );
    let detail = server.good(&format!("/api/v1/runs/{}", &run[..12])).await;
    assert_eq!(detail["account"]["forecast_usd"]["p50"], 27.4);
    assert!(
        detail["account"]["idle_share"]
            .as_f64()
            .is_some_and(|share| (share - 0.165).abs() < 1e-9)
    );
    let files = server.good(&format!("/api/v1/runs/{run}/files")).await;
    assert_eq!(
        files["files"][0]["path"],
        "checkpoints/step-9000.safetensors"
    );
}

#[tokio::test]
async fn what_people_say_is_signed_and_can_be_proven() {
    let server = server().await;
    let body = json!({"subject": "model/m", "text": " fine ", "who": "ann"}).to_string();
    let (status, told) = server
        .post("/api/v1/sign-offs", "application/json", &body)
        .await;
    assert_eq!(
        (status, &told["kind"]),
        (StatusCode::CREATED, &json!("sign-off"))
    );
    let page = server
        .good("/api/v1/evidence?kind=sign-off&subject=model/m")
        .await;
    assert_eq!(page["records"][0]["body"], json!({"text": "fine"}));
    let position = page["records"][0]["position"].as_i64().expect("a position");
    let proof = server
        .good(&format!("/api/v1/evidence/{position}/proof"))
        .await;
    assert!(
        proof["record"]
            .as_str()
            .is_some_and(|record| record.contains("\"sign-off\""))
    );
    let verified = server.good("/api/v1/evidence/verify").await;
    assert_eq!(
        (&verified["is_sound"], &verified["size"]),
        (&json!(true), &json!(position + 1))
    );
    for (kind, body, status) in [
        (
            "text/plain",
            body.as_str(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        ("application/json", "[]", StatusCode::BAD_REQUEST),
        (
            "application/json",
            "{\"subject\": \"\", \"text\": \"x\", \"who\": \"a\"}",
            StatusCode::BAD_REQUEST,
        ),
        (
            "application/json",
            "{\"subject\": \"run/none\", \"text\": \"x\", \"who\": \"a\"}",
            StatusCode::NOT_FOUND,
        ),
        (
            "application/json",
            "{\"subject\": \"a\", \"text\": \"\\u0000\", \"who\": \"a\"}",
            StatusCode::BAD_REQUEST,
        ),
        (
            "application/json",
            "{\"subject\": \"a\", \"text\": \"x\", \"who\": \"a\", \"more\": 1}",
            StatusCode::BAD_REQUEST,
        ),
        (
            "application/json",
            "{\"subject\": \"a\", \"text\": \"x\"}",
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let (found, answer) = server.post("/api/v1/comments", kind, body).await;
        assert_eq!(found, status, "{body}: {answer}");
        assert!(answer["message"].is_string(), "{body}");
    }
}

#[tokio::test]
async fn nothing_that_is_asked_makes_the_server_fail() {
    let server = server().await;
    let run = &server.seeded.running;
    let values = [
        "",
        "-1",
        "0",
        "1e400",
        "NaN",
        "9223372036854775808",
        "%00",
        "%FF",
        "'",
        "%27%20OR%201=1--",
        "💥",
        "a.b.c",
        "metrics.",
        "params.%60",
        "step",
    ];
    let paths = [
        (
            "/api/v1/runs",
            &[
                "filter", "order_by", "column", "view", "offset", "limit", "no",
            ][..],
        ),
        ("/api/v1/runs/groups", &["by", "filter", "view"][..]),
        ("/api/v1/runs/columns", &["containing", "limit"][..]),
        (
            "/api/v1/evidence",
            &["subject", "kind", "before", "limit"][..],
        ),
        ("/api/v1/events", &["no"][..]),
        ("/api/v1/home", &["no"][..]),
        ("/evidence", &["subject", "before", "no"][..]),
    ];
    for (path, names) in paths {
        for name in names {
            for value in values {
                let request =
                    Request::get(format!("{path}?{name}={value}").replace('💥', "%F0%9F%92%A5"));
                let (status, ..) = server
                    .ask(request.body(Body::empty()).expect("a request"))
                    .await;
                assert!(!status.is_server_error(), "{path}?{name}={value}: {status}");
            }
        }
    }
    for value in values
        .iter()
        .filter(|value| !value.is_empty() && **value != "💥")
    {
        for path in [
            format!("/api/v1/runs/{value}"),
            format!("/api/v1/runs/{value}/metrics"),
            format!("/api/v1/runs/{value}/files"),
            format!("/api/v1/runs/{run}/files?path={value}"),
            format!("/api/v1/runs/{run}/series?key={value}"),
            format!("/api/v1/runs/{run}/series?key=loss&x={value}"),
            format!("/api/v1/runs/{run}/series?key=loss&from={value}&to=5"),
            format!("/api/v1/runs/{run}/series?key=loss&points={value}"),
            format!("/api/v1/figures/metric?run={value}&key=loss"),
            format!("/api/v1/evidence/{value}"),
            format!("/api/v1/evidence/{value}/proof"),
            format!("/runs/{value}"),
        ] {
            let (status, ..) = server
                .ask(Request::get(&path).body(Body::empty()).expect("a request"))
                .await;
            assert!(!status.is_server_error(), "{path}: {status}");
        }
    }
    let (status, fault) = server.get("/api/v1/nothing/here").await;
    assert_eq!(
        (status, &fault["error"]),
        (StatusCode::NOT_FOUND, &json!("not_found"))
    );
    let delete = Request::delete("/api/v1/budgets")
        .body(Body::empty())
        .expect("a request");
    let (status, headers, _) = server.ask(delete).await;
    assert_eq!(
        (status, headers.contains_key("allow")),
        (StatusCode::METHOD_NOT_ALLOWED, true)
    );
}

#[tokio::test]
async fn the_description_names_every_path_and_no_other() {
    let server = server().await;
    let described = server.good("/api/v1/openapi.json").await;
    assert_eq!(described["info"]["version"], "1.0");
    for (path, operations) in described["paths"].as_object().expect("paths") {
        let real = path
            .replace("{id}", &server.seeded.running)
            .replace("{position}", "0");
        // It goes on for ever.
        if operations.get("get").is_none() || path == "/api/v1/events" {
            continue;
        }
        // Here are none.
        if ["/api/v1/users", "/api/v1/tokens"].contains(&path.as_str()) {
            let (status, refused) = server.get(&real).await;
            assert_eq!(
                (status, &refused["error"]),
                (StatusCode::FORBIDDEN, &json!("forbidden")),
                "{path}"
            );
            continue;
        }
        let query = match path.as_str() {
            "/api/v1/runs/groups" => "?by=project",
            "/api/v1/runs/{id}/series" => "?key=loss",
            "/api/v1/figures/metric" => "?key=loss&run=9e37",
            _ => "",
        };
        server.good(&format!("{real}{query}")).await;
    }
}

#[tokio::test]
async fn pages_escape_what_they_show_and_keep_nothing() {
    let server = server().await;
    for path in [
        "/",
        "/runs",
        "/runs/compare",
        "/budgets",
        "/evidence",
        "/evidence?subject=%3Cscript%3E",
    ] {
        let (status, headers, text) = server
            .ask(Request::get(path).body(Body::empty()).expect("a request"))
            .await;
        assert_eq!(
            (status, &headers["cache-control"]),
            (StatusCode::OK, &"no-store".parse().expect("a value")),
            "{path}"
        );
        assert!(
            !text.contains("<script>") && !text.contains("<img") && !text.contains(" style="),
            "{path}"
        );
        assert!(
            text.contains("<html lang=\"en\">") && text.contains("href=\"#main\""),
            "{path}"
        );
    }
}

#[tokio::test]
async fn files_of_pages_are_packed_and_kept_for_good() {
    let server = server().await;
    let (_, _, page) = server
        .ask(
            Request::get("/runs/compare")
                .body(Body::empty())
                .expect("a request"),
        )
        .await;
    let script = page
        .split('"')
        .find(|part| part.starts_with("/assets/plotly."))
        .expect("the charts' library");
    let packed = Request::get(script).header("accept-encoding", "br, gzip;q=0.5");
    let (status, headers, _) = server
        .ask(packed.body(Body::empty()).expect("a request"))
        .await;
    assert_eq!(
        (status, &headers["content-encoding"]),
        (StatusCode::OK, &"gzip".parse().expect("a value"))
    );
    assert!(
        headers["cache-control"]
            .to_str()
            .is_ok_and(|text| text.contains("immutable"))
    );
    let plain = Request::get(script).header("accept-encoding", "gzip;q=0");
    let (_, headers, text) = server
        .ask(plain.body(Body::empty()).expect("a request"))
        .await;
    assert!(!headers.contains_key("content-encoding") && text.contains("plotly.js v"));
    let (status, ..) = server
        .ask(
            Request::get("/assets/plotly.0.js")
                .body(Body::empty())
                .expect("a request"),
        )
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
