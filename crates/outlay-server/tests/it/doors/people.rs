//! Tokens, passwords and sessions: how they begin and how they end.

use serde_json::json;

use super::*;

const PATH: &str = "/api/2.0/mlflow/experiments/search?max_results=1";

/// Longer than what the server remembers of users and tokens.
pub async fn until_known() {
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
}

#[tokio::test]
async fn a_token_ends_when_it_should() {
    let house = House::new().await;
    house.user("ada", Role::Editor).await;
    let make = async |expires_us| {
        accounts::create_token(&house.ledger, "ada", "ci", Scope::Write, expires_us, by())
            .await
            .expect("makes")
    };
    let (id, token) = make(None).await;
    let (_, over) = make(Some(now_us() - 1)).await;
    let (_, valid) = make(Some(now_us() + 60_000_000)).await;
    assert!(token.starts_with("outlay_") && token.len() == 7 + 64);
    let status = async |token: &str| house.get(PATH, &[&bearer(token)]).await.status;
    assert_eq!(status(&token).await, 200);
    assert_eq!(status(&valid).await, 200);
    assert_eq!(status(&over).await, 401);
    let mut other = token.clone();
    other.replace_range(70..71, if token.ends_with('0') { "1" } else { "0" });
    for wrong in ["", "outlay_", &other, &token[..70], &token.to_uppercase()] {
        assert_eq!(status(wrong).await, 401, "{wrong}");
    }
    // Nothing that the ledger holds is of use: neither the token nor its hash.
    for document in house
        .ledger
        .documents("token", None, None)
        .await
        .expect("reads")
    {
        assert!(!document.body.contains("outlay_"));
        assert_eq!(status(&document.id).await, 401);
        assert_eq!(status(&format!("outlay_{}", document.id)).await, 401);
    }
    // Another process revokes it.
    accounts::revoke_token(&house.ledger, &id, None, by())
        .await
        .expect("revokes");
    until_known().await;
    assert_eq!(status(&token).await, 401);
    assert_eq!(status(&valid).await, 200);
    accounts::change_user(&house.ledger, "ada", Some(Role::Viewer), None, by())
        .await
        .expect("changes");
    until_known().await;
    let create = json!({"experiment_id": "0"});
    let refused = house.call("runs/create", &[&bearer(&valid)], &create).await;
    assert_eq!(refused.status, 403);
    accounts::remove_user(&house.ledger, "ada", by())
        .await
        .expect("removes");
    house.user("bob", Role::Admin).await;
    until_known().await;
    assert_eq!(status(&valid).await, 401);
}

#[tokio::test]
async fn a_password_is_remembered_until_it_changes() {
    let house = House::new().await;
    house.user("ada", Role::Editor).await;
    let (right, wrong) = (basic("ada", PASSWORD), basic("ada", "not her password"));
    assert_eq!(house.get(PATH, &[&right]).await.status, 200);
    assert_eq!(house.get(PATH, &[&wrong]).await.status, 401);
    assert_eq!(
        house.get(PATH, &[&basic("bob", PASSWORD)]).await.status,
        401
    );
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(house.get(PATH, &[&right]).await.status, 200);
    }
    let each = begun.elapsed() / 20;
    assert!(each < std::time::Duration::from_millis(20), "{each:?}");
    let hash = accounts::hash_password("another password").expect("hashes");
    accounts::change_user(&house.ledger, "ada", None, Some(hash), by())
        .await
        .expect("changes");
    until_known().await;
    assert_eq!(house.get(PATH, &[&right]).await.status, 401);
    let right = basic("ada", "another password");
    assert_eq!(house.get(PATH, &[&right]).await.status, 200);
}

#[tokio::test]
async fn passwords_are_not_guessed() {
    let house = House::new().await;
    house.user("ada", Role::Editor).await;
    let right = basic("ada", PASSWORD);
    assert_eq!(house.get(PATH, &[&right]).await.status, 200);
    let mut statuses = Vec::new();
    for guess in 0..13 {
        let wrong = basic("ada", &format!("guess number {guess}"));
        statuses.push(house.get(PATH, &[&wrong]).await.status);
    }
    assert_eq!(statuses[..10], [401; 10]);
    assert_eq!(statuses[12], 429);
    let late = house.get(PATH, &[&basic("ada", "one guess more")]).await;
    assert!(late.header("retry-after").is_some(), "{late:?}");
    // Neither does the page help, and whoever works already goes on.
    let page = log_in(&house, "ada", PASSWORD, "/").await;
    assert_eq!(page.status, 429);
    assert_eq!(house.get(PATH, &[&right]).await.status, 200);
    let failed = house.records().await;
    let failed = failed
        .iter()
        .filter(|one| one.body["what"] == "login failed")
        .count();
    assert!((1..=11).contains(&failed), "{failed}");
}

/// Fills in the page's form.
pub async fn log_in(house: &House, name: &str, password: &str, next: &str) -> Reply {
    let page = house.get("/login", &[]).await;
    let proof = page.cookie("outlay_form").expect("is given").to_owned();
    assert!(page.body.contains(&proof), "{page:?}");
    let cookie = format!("Cookie: outlay_form={proof}; outlay_session=theirs");
    let body =
        format!("form={proof}&name={name}&password={password}&next={next}").replace(' ', "+");
    let form = "Content-Type: application/x-www-form-urlencoded";
    house.send("POST", "/login", &[form, &cookie], &body).await
}

#[tokio::test]
async fn a_session_begins_and_ends() {
    let house = House::new().await;
    house.user("ada", Role::Editor).await;
    assert_eq!(
        log_in(&house, "ada", "wrong wrong wrong", "/").await.status,
        401
    );
    let reply = log_in(&house, "ada", PASSWORD, "/runs").await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/runs"))
    );
    let session = reply.cookie("outlay_session").expect("is given").to_owned();
    let line = reply
        .head
        .lines()
        .find(|line| line.contains("outlay_session"))
        .expect("is there");
    assert!(line.contains("; HttpOnly; SameSite=Lax"), "{line}");
    // A name that was there before is not taken over.
    assert!(session.len() == 64 && session != "theirs");
    let theirs = "Cookie: outlay_session=theirs";
    assert_eq!(house.get(PATH, &[theirs]).await.status, 401);
    let again = log_in(&house, "ada", PASSWORD, "//evil.example").await;
    assert_eq!(again.header("location"), Some("/"));
    assert_ne!(again.cookie("outlay_session"), Some(session.as_str()));

    let cookie = format!("Cookie: outlay_session={session}");
    assert_eq!(house.get(PATH, &[&cookie]).await.status, 200);
    // The ledger has no session that could be used.
    for document in house
        .ledger
        .documents("session", None, None)
        .await
        .expect("reads")
    {
        let stolen = format!("Cookie: outlay_session={}", document.id);
        assert_eq!(house.get(PATH, &[&stolen]).await.status, 401);
        assert!(!document.body.contains(&session));
    }

    // Writing needs the page's proof.
    let create = json!({"experiment_id": "0"});
    assert_eq!(
        house.call("runs/create", &[&cookie], &create).await.status,
        403
    );
    let wrong = "X-CSRF-Token: 0000";
    let reply = house.call("runs/create", &[&cookie, wrong], &create).await;
    assert_eq!(reply.status, 403);
    let search = json!({"experiment_ids": ["0"]});
    assert_eq!(
        house.call("runs/search", &[&cookie], &search).await.status,
        200
    );
    let me = house.get("/api/v1/me", &[&cookie]).await.json();
    let proof = me["csrf"].as_str().expect("is told to pages").to_owned();
    let header = format!("X-CSRF-Token: {proof}");
    let reply = house
        .call("runs/create", &[&cookie, &header], &create)
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["run"]["info"]["user_id"], "ada");

    let comment = json!({"subject": "model/m", "text": "fine", "who": "someone else"});
    let kind = "Content-Type: application/json";
    let said = house
        .send(
            "POST",
            "/api/v1/comments",
            &[kind, &cookie, &header],
            &comment.to_string(),
        )
        .await;
    assert_eq!(said.json()["who"], "ada", "{said:?}");

    // A day later it is over.
    fn tomorrow() -> i64 {
        now_us() + 25 * 3_600_000_000
    }
    let (_, later) = House::serve(
        &house.ledger,
        house.folder.path(),
        Rules::default(),
        tomorrow,
    )
    .await;
    let request = format!("GET {PATH} HTTP/1.1\r\nConnection: close\r\n{cookie}\r\n\r\n");
    assert_eq!(raw(later, request.as_bytes()).await.status, 401);

    // Out by a form, with the proof as a field.
    let form = "Content-Type: application/x-www-form-urlencoded";
    let reply = house
        .send("POST", "/logout", &[form, &cookie], "csrf=0")
        .await;
    assert_eq!(reply.status, 403);
    let body = format!("csrf={proof}");
    let reply = house.send("POST", "/logout", &[form, &cookie], &body).await;
    assert_eq!(
        (reply.status, reply.cookie("outlay_session")),
        (303, Some(""))
    );
    assert_eq!(house.get(PATH, &[&cookie]).await.status, 401);
}

#[tokio::test]
async fn the_form_of_another_page_logs_nobody_in() {
    let house = House::new().await;
    house.user("ada", Role::Editor).await;
    let form = "Content-Type: application/x-www-form-urlencoded";
    let body = format!("form=x&name=ada&password={PASSWORD}").replace(' ', "+");
    for cookie in ["X: y", "Cookie: outlay_form=y", "Cookie: outlay_form="] {
        let reply = house.send("POST", "/login", &[form, cookie], &body).await;
        assert_eq!(reply.status, 403, "{cookie} {reply:?}");
        assert!(reply.cookie("outlay_session").is_none());
    }
}

#[tokio::test]
async fn another_password_ends_every_session() {
    let house = House::new().await;
    house.user("ada", Role::Editor).await;
    let reply = log_in(&house, "ada", PASSWORD, "/").await;
    let session = reply.cookie("outlay_session").expect("is given");
    let cookie = format!("Cookie: outlay_session={session}");
    assert_eq!(house.get(PATH, &[&cookie]).await.status, 200);
    let hash = accounts::hash_password("another password").expect("hashes");
    accounts::change_user(&house.ledger, "ada", None, Some(hash), by())
        .await
        .expect("changes");
    assert_eq!(house.get(PATH, &[&cookie]).await.status, 401);
}

#[tokio::test]
async fn accounts_are_managed_over_the_network() {
    let house = House::new().await;
    house.user("ada", Role::Admin).await;
    house.user("vic", Role::Viewer).await;
    let admin = basic("ada", PASSWORD);
    let json_kind = "Content-Type: application/json";
    let send = async |who: &str, method: &str, path: &str, body: Value| {
        house
            .send(method, path, &[json_kind, who], &body.to_string())
            .await
    };
    let short = json!({"name": "bob", "role": "editor", "password": "too short"});
    let refused = send(&admin, "POST", "/api/v1/users", short).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("at least 12"), "{refused:?}");
    let good = json!({"name": "bob", "role": "editor", "password": PASSWORD});
    let made = send(&admin, "POST", "/api/v1/users", good.clone()).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(
        send(&admin, "POST", "/api/v1/users", good).await.status,
        409
    );
    let bob = basic("bob", PASSWORD);
    assert_eq!(
        house.get("/api/v1/me", &[&bob]).await.json()["role"],
        "editor"
    );
    let role = json!({"role": "viewer"});
    let changed = send(&admin, "PATCH", "/api/v1/users/bob", role.clone()).await;
    assert_eq!(changed.status, 200);
    assert_eq!(
        house.get("/api/v1/me", &[&bob]).await.json()["role"],
        "viewer"
    );
    let missing = send(&admin, "PATCH", "/api/v1/users/nobody", role).await;
    assert_eq!(missing.status, 404);
    // No token may do more than whoever makes it.
    let more = send(&bob, "POST", "/api/v1/tokens", json!({"scope": "write"})).await;
    assert_eq!(more.status, 403);
    let made = send(&bob, "POST", "/api/v1/tokens", json!({"scope": "read"})).await;
    let token = made.json()["token"].as_str().expect("is there").to_owned();
    let id = made.json()["id"].as_str().expect("is there").to_owned();
    assert_eq!(house.get(PATH, &[&bearer(&token)]).await.status, 200);
    let vic = basic("vic", PASSWORD);
    let path = format!("/api/v1/tokens/{id}");
    assert_eq!(send(&vic, "DELETE", &path, json!({})).await.status, 404);
    assert_eq!(send(&bob, "DELETE", &path, json!({})).await.status, 200);
    assert_eq!(house.get(PATH, &[&bearer(&token)]).await.status, 401);
    let gone = send(&admin, "DELETE", "/api/v1/users/bob", json!({})).await;
    assert_eq!(gone.status, 200);
    assert_eq!(house.get(PATH, &[&bob]).await.status, 401);
    let users = house.get("/api/v1/users", &[&admin]).await;
    assert!(!users.body.contains("argon2"), "{users:?}");
}

#[tokio::test]
async fn who_did_what_is_recorded() {
    let house = House::new().await;
    house.user("ada", Role::Admin).await;
    let token = bearer(&house.token("ada", Scope::Admin).await);
    let head = [token.as_str()];
    let made = house
        .call("experiments/create", &head, &json!({"name": "one"}))
        .await;
    let experiment = made.json()["experiment_id"].clone();
    let named = json!({"experiment_id": experiment});
    let run = house.call("runs/create", &head, &named).await.json();
    let run = json!({"run_id": run["run"]["info"]["run_id"]});
    for (path, body) in [
        ("runs/delete", &run),
        ("runs/restore", &run),
        ("experiments/delete", &named),
        ("experiments/restore", &named),
        // What fails is not recorded as done.
        ("runs/delete", &json!({"run_id": "nothing"})),
    ] {
        house.call(path, &head, body).await;
    }
    house
        .ledger
        .write(outlay_ledger::Batch {
            budgets: vec![outlay_ledger::Budget {
                name: "none".to_owned(),
                project: String::new(),
                team: String::new(),
                period: outlay_ledger::Period::Total,
                limit_micro: outlay_ledger::Micro(5),
                currency: "USD".to_owned(),
                warn_at_percent: Vec::new(),
                set_us: 0,
            }],
            spending: vec![outlay_ledger::Spending {
                entry: "one".to_owned(),
                run_id: None,
                project: String::new(),
                team: String::new(),
                kind: "compute".to_owned(),
                from_us: 0,
                to_us: now_us(),
                amount_micro: outlay_ledger::Micro(5),
                currency: "USD".to_owned(),
                quality: "counter".to_owned(),
                note: String::new(),
            }],
            ..outlay_ledger::Batch::default()
        })
        .await
        .expect("writes");
    let over = house.call("runs/create", &head, &named).await;
    assert_eq!(over.status, 403, "{over:?}");
    let records = house.records().await;
    let told: Vec<String> = records
        .iter()
        .map(|one| {
            let text = |name: &str| one.body[name].as_str().unwrap_or_default().to_owned();
            format!(
                "{} {} {} {}",
                one.who,
                text("what"),
                one.subject,
                text("from")
            )
        })
        .collect();
    let run = run["run_id"].as_str().expect("is one");
    let experiment = experiment.as_str().expect("is one");
    assert_eq!(told[0], "tests user added user/ada terminal");
    assert!(
        told[1].starts_with("tests token made token/"),
        "{}",
        told[1]
    );
    assert_eq!(
        told[2..],
        [
            format!("ada run deleted run/{run} 127.0.0.1"),
            format!("ada run restored run/{run} 127.0.0.1"),
            format!("ada experiment deleted experiment/{experiment} 127.0.0.1"),
            format!("ada experiment restored experiment/{experiment} 127.0.0.1"),
            "ada run refused over budget budget/none 127.0.0.1".to_owned(),
        ]
    );
    let verified = house.ledger.verify(&[], None).await;
    assert!(verified.is_ok(), "{verified:?}");
}
