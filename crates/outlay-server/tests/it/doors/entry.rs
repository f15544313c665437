//! Every path asks who is there, and lets in whom it should.

use std::collections::BTreeSet;
use std::path::Path;

use outlay_server::doors::Rules;
use serde_json::json;

use super::*;

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Every text of the server's source that could be a path, below every root that has paths. Some are none; they must be guarded too.
fn paths() -> BTreeSet<String> {
    fn texts(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("is there") {
            let path = entry.expect("is readable").path();
            if path.is_dir() {
                texts(&path, found);
                continue;
            }
            let source = std::fs::read_to_string(&path).expect("is text");
            // Tests of modules name what is no path.
            let source = source.split("#[cfg(test)]").next().unwrap_or_default();
            for text in source.split('"').skip(1) {
                let of_path = |byte: u8| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/.{}*-".contains(&byte)
                };
                if text.len() > 1 && !text.starts_with('.') && text.bytes().all(of_path) {
                    found.insert(text.to_owned());
                }
            }
        }
    }
    let mut found = BTreeSet::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    texts(&source, &mut found);
    let mut paths = BTreeSet::new();
    for text in found {
        let text = text.replace("{{", "{").replace("}}", "}");
        let below = text
            .strip_prefix("{root}")
            .or_else(|| text.strip_prefix('/'));
        let below = below.unwrap_or(&text).trim_start_matches('/');
        for root in [
            "",
            "api/2.0/mlflow/",
            "ajax-api/2.0/mlflow/",
            "api/2.0/mlflow-artifacts/",
            "ajax-api/2.0/mlflow-artifacts/",
            "api/3.0/mlflow/",
            "api/v1/",
        ] {
            let path = format!("/{root}{below}");
            // Something for each name in braces.
            let parts = path
                .split('/')
                .map(|part| if part.starts_with('{') { "x" } else { part });
            paths.insert(parts.collect::<Vec<_>>().join("/"));
        }
    }
    for known in [
        "/api/2.0/mlflow/runs/create",
        "/ajax-api/2.0/mlflow/runs/log-batch",
        "/api/2.0/mlflow/model-versions/get-download-uri",
        "/api/2.0/mlflow-artifacts/artifacts/x",
        "/api/2.0/mlflow-artifacts/mpu/create/x",
        "/get-artifact",
        "/model-versions/get-artifact",
        "/api/v1/users",
    ] {
        assert!(
            paths.contains(known),
            "{known} is among {} paths",
            paths.len()
        );
    }
    paths
}

/// Many requests over one connection.
async fn all(house: &House, header: &str) -> Vec<(String, String, u16)> {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("a client");
    let mut answers = Vec::new();
    for path in paths() {
        for method in METHODS {
            let name = reqwest::Method::from_bytes(method.as_bytes()).expect("is one");
            let mut request = client.request(name, format!("http://{}{path}", house.address));
            if let Some((key, value)) = header.split_once(": ") {
                request = request.header(key, value);
            }
            if method != "GET" {
                request = request
                    .header("content-type", "application/json")
                    .body("{}");
            }
            let reply = request.send().await.expect("answers");
            answers.push((method.to_owned(), path.clone(), reply.status().as_u16()));
        }
    }
    answers
}

#[tokio::test]
async fn every_path_asks_who_is_there() {
    let house = House::new().await;
    house.user("ada", Role::Admin).await;
    let mut n_asked = 0;
    for (method, path, status) in all(&house, "").await {
        let tells_nothing = ["/health", "/version", "/login", "/favicon.ico"]
            .contains(&path.as_str())
            || path.starts_with("/assets/");
        // MLflow's client shows nothing there: the upload's name is the key.
        let is_part = method == "PUT" && path.contains("/mlflow-artifacts/mpu/part/");
        if !tells_nothing && !is_part {
            assert_eq!(status, 401, "{method} {path}");
            n_asked += 1;
        }
    }
    assert!(n_asked > 1000, "{n_asked}");
    let reply = house.get("/api/2.0/mlflow/runs/get?run_id=1", &[]).await;
    assert_eq!(reply.json()["error_code"], "UNAUTHENTICATED");
    assert!(
        reply
            .header("www-authenticate")
            .is_some_and(|value| value.starts_with("Basic")),
        "{reply:?}"
    );
    let page = house
        .get(
            "/runs?a=b",
            &["Accept: text/html,*/*", "Sec-Fetch-Mode: navigate"],
        )
        .await;
    assert_eq!(
        (page.status, page.header("location")),
        (303, Some("/login?next=%2Fruns%3Fa%3Db"))
    );
    // A script of a page gets an answer, and no window of the browser's own.
    let script = house
        .get("/ajax-api/2.0/mlflow/runs/get", &["Sec-Fetch-Mode: cors"])
        .await;
    assert_eq!(script.status, 401);
    assert_eq!(
        script.header("www-authenticate"),
        Some("Bearer realm=\"outlay\"")
    );
}

#[tokio::test]
async fn a_viewer_writes_nowhere() {
    let house = House::new().await;
    house.user("eve", Role::Viewer).await;
    let token = bearer(&house.token("eve", Scope::Admin).await);
    let mut searches = BTreeSet::new();
    for (method, path, status) in all(&house, &token).await {
        if method == "GET" || path == "/login" || path == "/health" || path == "/version" {
            continue;
        }
        let is_part = method == "PUT" && path.contains("/mlflow-artifacts/mpu/part/");
        let tells_nothing = path.starts_with("/assets/") || path == "/favicon.ico";
        if status != 403 && !is_part && !tells_nothing {
            searches.insert(format!("{method} {path}"));
        }
    }
    let expected: BTreeSet<String> = [
        "runs/search",
        "experiments/search",
        "experiments/search-datasets",
        "logged-models/search",
        "registered-models/get-latest-versions",
    ]
    .iter()
    .flat_map(|path| {
        ["api/2.0", "ajax-api/2.0", "api/3.0"].map(|root| format!("POST /{root}/mlflow/{path}"))
    })
    .chain(
        [
            "plan/answer",
            "plan/serve/answer",
            "api/v1/plan/train",
            "api/v1/plan/train/sizes",
            "api/v1/plan/serve",
        ]
        .iter()
        .map(|path| format!("POST /{path}")),
    )
    .chain(METHODS[1..].iter().flat_map(|method| {
        // What is one's own.
        [
            "/logout",
            "/account",
            "/account/password",
            "/account/tokens",
            "/account/tokens/revoke",
            "/api/v1/tokens",
            "/api/v1/tokens/x",
        ]
        .map(|path| format!("{method} {path}"))
    }))
    .collect();
    let more: Vec<_> = searches.difference(&expected).collect();
    assert!(more.is_empty(), "a viewer may {more:?}");
}

#[tokio::test]
async fn each_role_may_do_its_own() {
    let house = House::new().await;
    for (name, role) in [
        ("vic", Role::Viewer),
        ("ed", Role::Editor),
        ("ada", Role::Admin),
    ] {
        house.user(name, role).await;
    }
    let token = async |user, scope| bearer(&house.token(user, scope).await);
    let (viewer, editor, admin) = (
        token("vic", Scope::Admin).await,
        token("ed", Scope::Admin).await,
        token("ada", Scope::Admin).await,
    );
    let (reads, writes) = (
        token("ada", Scope::Read).await,
        token("ada", Scope::Write).await,
    );
    let create = json!({"experiment_id": "0"});
    let search = json!({"experiment_ids": ["0"]});
    let delete = json!({"experiment_id": "999"});
    let user = json!({"name": "new", "role": "nothing"});
    // Statuses of: a search, a write, a deletion (404 where it is let through), a user (400 where it is let through).
    for (who, expected) in [
        (&viewer, [200, 403, 403, 403]),
        (&editor, [200, 200, 403, 403]),
        (&admin, [200, 200, 404, 400]),
        (&reads, [200, 403, 403, 403]),
        (&writes, [200, 200, 403, 403]),
    ] {
        let headers = [who.as_str()];
        let users = house
            .send(
                "POST",
                "/api/v1/users",
                &["Content-Type: application/json", who],
                &user.to_string(),
            )
            .await;
        let found = [
            house.call("runs/search", &headers, &search).await.status,
            house.call("runs/create", &headers, &create).await.status,
            house
                .call("experiments/delete", &headers, &delete)
                .await
                .status,
            users.status,
        ];
        assert_eq!(found, expected, "{who}");
    }
    let refused = house.call("runs/create", &[&viewer], &create).await;
    assert_eq!(refused.json()["error_code"], "PERMISSION_DENIED");
}

#[tokio::test]
async fn without_users_only_this_machine_is_served() {
    let house = House::new().await;
    let create = json!({"experiment_id": "0"});
    assert_eq!(house.call("runs/create", &[], &create).await.status, 200);
    // A token that is of no use here does no harm.
    let odd = bearer("outlay_0");
    assert_eq!(
        house.call("runs/create", &[&odd], &create).await.status,
        200
    );
    let user = house
        .send(
            "POST",
            "/api/v1/users",
            &["Content-Type: application/json"],
            &json!({"name": "me", "role": "admin", "password": PASSWORD}).to_string(),
        )
        .await;
    assert_eq!(user.status, 403, "{user:?}");

    let rules = Rules {
        open_without_users: false,
        ..Rules::default()
    };
    let reachable = House::with(rules, now_us).await;
    let reply = reachable.call("runs/create", &[], &create).await;
    assert_eq!(reply.status, 401, "{reply:?}");
}

#[tokio::test]
async fn a_part_of_an_upload_needs_its_name_alone() {
    let house = House::new().await;
    house.user("ed", Role::Editor).await;
    let token = bearer(&house.token("ed", Scope::Write).await);
    let json = "Content-Type: application/json";
    let root = "/api/2.0/mlflow-artifacts/mpu";
    let begun = house
        .send(
            "POST",
            &format!("{root}/create/0/r/big.bin"),
            &[json, &token],
            "{\"path\":\"big.bin\",\"num_parts\":1}",
        )
        .await;
    assert_eq!(begun.status, 200, "{begun:?}");
    let begun = begun.json();
    let url = begun["credentials"][0]["url"].as_str().expect("is there");
    let (_, path) = url.split_once(&house.address.to_string()).expect("is own");
    let part = house.send("PUT", path, &[], "abc").await;
    assert_eq!(part.status, 200, "{part:?}");
    for guess in ["0", "00000000000000000000000000000000", "..", "%2e%2e"] {
        let path = format!("{root}/part/{guess}/1/0/r/big.bin");
        let reply = house.send("PUT", &path, &[], "evil").await;
        assert!(matches!(reply.status, 404 | 401), "{guess} {reply:?}");
    }
    let complete = format!("{root}/complete/0/r/big.bin");
    let body = json!({
        "upload_id": begun["upload_id"],
        "parts": [{"part_number": 1, "etag": part.header("etag")}],
    });
    let body = body.to_string();
    assert_eq!(
        house.send("POST", &complete, &[json], &body).await.status,
        401
    );
    let done = house.send("POST", &complete, &[json, &token], &body).await;
    assert_eq!(done.status, 200, "{done:?}");
    let path = "/api/2.0/mlflow-artifacts/artifacts/0/r/big.bin";
    assert_eq!(house.get(path, &[&token]).await.body, "abc");
}
