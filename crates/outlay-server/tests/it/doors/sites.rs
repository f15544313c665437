//! Pages of other sites, other names for this server, and what replies tell browsers.

use outlay_server::doors::{Hosts, Rules};
use serde_json::json;

use super::*;

#[tokio::test]
async fn other_names_for_this_server_get_nothing() {
    let house = House::new().await;
    for host in [
        "evil.example",
        "evil.example:5000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "10.0.0.1",
        "localhost@evil.example",
    ] {
        let host = format!("Host: {host}");
        for path in [
            "/",
            "/health",
            "/version",
            "/api/2.0/mlflow/experiments/get",
        ] {
            let reply = house.get(path, &[&host]).await;
            assert_eq!(reply.status, 403, "{host} {path} {reply:?}");
            assert!(reply.body.contains("--allow-host"), "{reply:?}");
        }
    }
    let port = house.address.port();
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let host = format!("Host: {host}:{port}");
        assert_eq!(house.get("/health", &[&host]).await.status, 200, "{host}");
    }
    // Two names, in two lines or in the line of the request.
    let two = house
        .get("/health", &["Host: localhost", "Host: evil.example"])
        .await;
    assert_eq!(two.status, 400, "{two:?}");
    let whole =
        b"GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(house.address, whole).await.status, 400);
    let whole = b"GET http://evil.example/health HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(house.address, whole).await.status, 403);
}

#[tokio::test]
async fn pages_of_other_sites_change_nothing() {
    let house = House::new().await;
    let body = json!({"name": "theirs"});
    for head in [
        "Origin: http://evil.example",
        "Origin: null",
        "Origin: http://localhost:3000",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        let reply = house.call("experiments/create", &[head], &body).await;
        assert_eq!(reply.status, 403, "{head} {reply:?}");
    }
    // A form needs no leave to be sent across sites, and is no JSON.
    let form = house
        .send(
            "POST",
            "/api/2.0/mlflow/experiments/create",
            &["Content-Type: text/plain"],
            "{\"name\":\"theirs\"}",
        )
        .await;
    assert_eq!(form.status, 400, "{form:?}");
    let own = format!("Origin: http://{}", house.address);
    let reply = house
        .call(
            "experiments/create",
            &[&own, "Sec-Fetch-Site: same-origin"],
            &body,
        )
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    // MLflow's client is no page, and says nothing.
    let reply = house
        .call("experiments/create", &[], &json!({"name": "ours"}))
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let preflight = house
        .send(
            "OPTIONS",
            "/api/2.0/mlflow/experiments/create",
            &[
                "Origin: http://evil.example",
                "Access-Control-Request-Method: POST",
            ],
            "",
        )
        .await;
    assert!(
        preflight.header("access-control-allow-origin").is_none(),
        "{preflight:?}"
    );
}

#[tokio::test]
async fn every_reply_tells_browsers_to_be_careful() {
    let house = House::new().await;
    house.user("ada", Role::Admin).await;
    for path in ["/health", "/nowhere", "/api/2.0/mlflow/runs/get", "/login"] {
        let reply = house.get(path, &[]).await;
        assert_eq!(
            reply.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(reply.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(reply.header("referrer-policy"), Some("same-origin"));
        assert_eq!(
            reply.header("cross-origin-opener-policy"),
            Some("same-origin")
        );
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        let policy = reply.header("content-security-policy").expect("has one");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
        let is_page = path == "/login";
        assert_eq!(policy.contains("default-src 'self'"), is_page, "{path}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }
    let evil = house.get("/health", &["Host: evil.example"]).await;
    assert_eq!(evil.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn a_proxy_is_believed_where_one_is_said_to_stand() {
    let hosts = Hosts::new(
        "127.0.0.1".parse().expect("is one"),
        &["outlay.example".to_owned()],
    );
    let rules = Rules {
        hosts,
        open_without_users: false,
        behind_proxy: true,
        ..Rules::default()
    };
    let house = House::with(rules, now_us).await;
    house.user("ada", Role::Editor).await;
    let forwarded = [
        "X-Forwarded-Host: outlay.example",
        "X-Forwarded-Proto: https",
        "X-Forwarded-For: 1.1.1.1, 203.0.113.9",
    ];
    let page = house.get("/login", &forwarded).await;
    assert!(page.head.contains("; Secure"), "{page:?}");
    let wrong = basic("ada", "wrong password!");
    let mut lines = vec![wrong.as_str()];
    lines.extend(forwarded);
    let refused = house.get("/api/2.0/mlflow/runs/get", &lines).await;
    assert_eq!(refused.status, 401);
    let records = house.records().await;
    let failed = records
        .iter()
        .find(|one| one.body["what"] == "login failed");
    assert_eq!(
        failed.map(|one| one.body["from"].clone()),
        Some("203.0.113.9".into()),
        "{records:?}"
    );
    let evil = house
        .get("/health", &["X-Forwarded-Host: evil.example"])
        .await;
    assert_eq!(evil.status, 403);

    // Without a proxy anyone could write such lines.
    let plain = House::new().await;
    plain.user("ada", Role::Editor).await;
    let page = plain.get("/login", &forwarded).await;
    assert!(!page.head.contains("; Secure"), "{page:?}");
    assert_eq!(
        plain.get("/api/2.0/mlflow/runs/get", &lines).await.status,
        401
    );
    let records = plain.records().await;
    let failed = records
        .iter()
        .find(|one| one.body["what"] == "login failed");
    assert_eq!(
        failed.map(|one| one.body["from"].clone()),
        Some("127.0.0.1".into())
    );
}

#[tokio::test]
async fn too_many_requests_of_one_client_wait() {
    let rules = Rules {
        requests_per_second: 1,
        open_without_users: false,
        ..Rules::default()
    };
    let house = House::with(rules, now_us).await;
    house.user("ada", Role::Viewer).await;
    house.user("bob", Role::Viewer).await;
    let (ada, bob) = (
        bearer(&house.token("ada", Scope::Read).await),
        bearer(&house.token("bob", Scope::Read).await),
    );
    let path = "/api/2.0/mlflow/experiments/search?max_results=1";
    let mut refused = None;
    for _ in 0..20 {
        let reply = house.get(path, &[&ada]).await;
        if reply.status != 200 {
            refused = Some(reply);
            break;
        }
    }
    let refused = refused.expect("is refused in the end");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.json()["error_code"], "RESOURCE_EXHAUSTED");
    assert_eq!(house.get(path, &[&bob]).await.status, 200);
}
