//! The pages of users and accounts: who sees them, what their forms do, and what they refuse.

use super::people::{log_in, until_known};
use super::*;

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const PAGE: &str = "Accept: text/html,*/*";

/// Someone who logged in by the page, with the proof that the forms of their pages carry.
struct Session {
    cookie: String,
    proof: String,
}

impl Session {
    async fn begin(house: &House, name: &str) -> Self {
        let reply = log_in(house, name, PASSWORD, "/").await;
        let session = reply.cookie("outlay_session").expect("is logged in");
        let cookie = format!("Cookie: outlay_session={session}");
        let page = house.get("/account", &[&cookie, PAGE]).await;
        let (_, rest) = page
            .body
            .split_once("name=\"csrf\" value=\"")
            .expect("a form has its proof");
        let proof = rest.split('"').next().unwrap_or_default().to_owned();
        Self { cookie, proof }
    }

    async fn get(&self, house: &House, path: &str) -> Reply {
        house.get(path, &[&self.cookie, PAGE]).await
    }

    async fn send(&self, house: &House, path: &str, fields: &str) -> Reply {
        let body = format!("csrf={}&{fields}", self.proof).replace(' ', "+");
        house
            .send("POST", path, &[FORM, PAGE, &self.cookie], &body)
            .await
    }
}

fn led_to(reply: &Reply) -> (u16, &str) {
    (reply.status, reply.header("location").unwrap_or_default())
}

#[tokio::test]
async fn an_admin_manages_users() {
    let house = House::new().await;
    house.user("ada", Role::Admin).await;
    let ada = Session::begin(&house, "ada").await;
    let bob = format!("name=bob&role=editor&password={PASSWORD}");
    let added = ada.send(&house, "/users", &bob).await;
    assert_eq!(led_to(&added), (303, "/users?done=added"));
    let page = ada.get(&house, "/users?done=added").await;
    assert!(page.body.contains("The user was added."), "{page:?}");
    assert!(page.body.contains("<strong class=\"break\">bob</strong>"));
    assert!(!page.body.contains("argon2"), "{page:?}");

    let again = ada.send(&house, "/users", &bob).await;
    assert_eq!(again.status, 409);
    assert!(again.body.contains("role=\"alert\""), "{again:?}");
    assert!(again.body.contains("value=\"bob\""), "what was typed stays");
    for (fields, status) in [
        ("name=eve&role=editor&password=short", 400),
        ("name=eve&role=queen&password=correct horse battery", 400),
        (
            "name=<script>&role=viewer&password=correct horse battery",
            400,
        ),
        ("", 400),
    ] {
        let refused = ada.send(&house, "/users", fields).await;
        assert_eq!(refused.status, status, "{fields}");
        assert!(
            !refused.body.contains("<script>") && !refused.body.contains("correct horse"),
            "{fields}: {refused:?}"
        );
    }

    let changed = ada
        .send(&house, "/users/role", "name=bob&role=viewer")
        .await;
    assert_eq!(led_to(&changed), (303, "/users?done=role"));
    let basic_bob = basic("bob", PASSWORD);
    let me = house.get("/api/v1/me", &[&basic_bob]).await.json();
    assert_eq!(me["role"], "viewer");
    let set = "name=bob&password=another horse entirely";
    let set = ada.send(&house, "/users/password", set).await;
    assert_eq!(led_to(&set), (303, "/users?done=password"));
    assert_eq!(house.get("/api/v1/me", &[&basic_bob]).await.status, 401);
    let missing = ada.send(&house, "/users/role", "name=nobody&role=viewer");
    assert_eq!(missing.await.status, 404);

    let token = house.token("bob", Scope::Read).await;
    let page = ada.get(&house, "/users").await;
    let (_, rest) = page
        .body
        .split_once("name=\"id\" value=\"")
        .expect("a token");
    let id = rest.split('"').next().unwrap_or_default();
    let revoked = ada.send(&house, "/users/revoke", &format!("id={id}")).await;
    assert_eq!(led_to(&revoked), (303, "/users?done=revoked"));
    assert_eq!(house.get("/", &[&bearer(&token)]).await.status, 401);
    let removed = ada.send(&house, "/users/remove", "name=bob").await;
    assert_eq!(led_to(&removed), (303, "/users?done=removed"));

    let records = house.records().await;
    let told: Vec<String> = records
        .iter()
        .filter(|one| one.who == "ada" && one.body["from"] == "127.0.0.1")
        // It is written behind the request.
        .filter(|one| one.body["what"] != "logged in")
        .map(|one| {
            let what = one.body["what"].as_str().unwrap_or_default();
            format!("{what} {}", one.subject)
        })
        .collect();
    assert_eq!(
        told,
        [
            "user added user/bob",
            "role changed user/bob",
            "password changed user/bob",
            &format!("token revoked token/{id}"),
            "user removed user/bob",
        ],
        "{records:?}"
    );
}

#[tokio::test]
async fn the_last_admin_stays() {
    let house = House::new().await;
    house.user("ada", Role::Admin).await;
    house.user("bob", Role::Editor).await;
    let ada = Session::begin(&house, "ada").await;
    let demote = "name=ada&role=editor";
    for (path, fields) in [("/users/role", demote), ("/users/remove", "name=ada")] {
        let refused = ada.send(&house, path, fields).await;
        assert_eq!(refused.status, 409, "{path}");
        assert!(refused.body.contains("the only admin"), "{refused:?}");
    }
    let raised = ada.send(&house, "/users/role", "name=bob&role=admin").await;
    assert_eq!(led_to(&raised), (303, "/users?done=role"));
    let lowered = ada.send(&house, "/users/role", demote).await;
    assert_eq!(led_to(&lowered), (303, "/users?done=role"));
    assert_eq!(ada.get(&house, "/users").await.status, 403);
}

#[tokio::test]
async fn pages_of_users_are_for_admins_alone() {
    let house = House::new().await;
    house.user("ada", Role::Admin).await;
    house.user("ed", Role::Editor).await;
    house.user("vic", Role::Viewer).await;
    let ada = Session::begin(&house, "ada").await;
    let home = ada.get(&house, "/").await;
    assert!(home.body.contains("href=\"/users\""), "{home:?}");
    for name in ["ed", "vic"] {
        let session = Session::begin(&house, name).await;
        let home = session.get(&house, "/").await;
        assert!(!home.body.contains("href=\"/users\""), "{name}");
        assert!(home.body.contains("href=\"/account\""), "{name}");
        let refused = session.get(&house, "/users").await;
        assert_eq!(refused.status, 403);
        assert!(refused.body.contains("Not allowed"), "{refused:?}");
        assert!(!refused.body.contains(">ada<"), "{refused:?}");
        for path in ["", "/role", "/password", "/remove", "/revoke"] {
            let path = format!("/users{path}");
            let fields = format!("name=ed&role=admin&password={PASSWORD}&id=0");
            let refused = session.send(&house, &path, &fields).await;
            assert_eq!(refused.status, 403, "{name} {path}");
        }
    }
    // A program is told in JSON, and a token of less scope does not open it.
    let token = bearer(&house.token("ada", Scope::Write).await);
    until_known().await;
    let refused = house.get("/users", &[&token]).await;
    assert_eq!(refused.json()["error_code"], "PERMISSION_DENIED");
    let nobody = house.get("/users", &[PAGE]).await;
    assert_eq!(led_to(&nobody), (303, "/login?next=%2Fusers"));
    let nobody = house.send("POST", "/users", &[FORM, PAGE], "name=x").await;
    assert_eq!(led_to(&nobody), (303, "/login"));
    let nobody = house.send("POST", "/users", &[FORM], "name=x").await;
    assert_eq!(nobody.status, 401);
}

#[tokio::test]
async fn forms_carry_the_proof_of_their_page() {
    let house = House::new().await;
    house.user("ada", Role::Admin).await;
    house.user("bob", Role::Admin).await;
    let ada = Session::begin(&house, "ada").await;
    let bob = Session::begin(&house, "bob").await;
    for proof in ["", "0", &bob.proof] {
        for path in ["/users/remove", "/account/tokens"] {
            let body = format!("csrf={proof}&name=bob&scope=read");
            let refused = house
                .send("POST", path, &[FORM, PAGE, &ada.cookie], &body)
                .await;
            assert_eq!(refused.status, 403, "{path} {proof}");
            assert!(refused.body.contains("Load the page again"), "{refused:?}");
        }
    }
    let body = format!("csrf={}&name=bob", ada.proof);
    let other = "Origin: https://evil.example";
    let refused = house
        .send("POST", "/users/remove", &[FORM, &ada.cookie, other], &body)
        .await;
    assert_eq!(refused.status, 403, "{refused:?}");
    let json = "Content-Type: application/json";
    let header = format!("X-CSRF-Token: {}", ada.proof);
    let refused = house
        .send(
            "POST",
            "/users/remove",
            &[json, &ada.cookie, &header],
            "{\"name\":\"bob\"}",
        )
        .await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(
        accounts::users(&house.ledger).await.expect("reads").len(),
        2
    );
    let all = accounts::tokens(&house.ledger).await.expect("reads");
    assert!(all.is_empty(), "{all:?}");
}

#[tokio::test]
async fn everyone_sees_to_their_own_account() {
    let house = House::new().await;
    house.user("ada", Role::Admin).await;
    house.user("vic", Role::Viewer).await;
    let theirs = house.token("ada", Scope::Read).await;
    until_known().await;
    let (their_id, _) = accounts::tokens(&house.ledger)
        .await
        .expect("reads")
        .remove(0);
    let vic = Session::begin(&house, "vic").await;
    let page = vic.get(&house, "/account").await;
    assert!(!page.body.contains(&their_id), "{page:?}");
    assert!(
        !page.body.contains("value=\"write\""),
        "offers no more than may be had"
    );

    let more = vic.send(&house, "/account/tokens", "scope=write").await;
    assert_eq!(more.status, 403);
    for fields in [
        "scope=all",
        "scope=read&expires_days=0",
        "scope=read&expires_days=x",
    ] {
        let refused = vic.send(&house, "/account/tokens", fields).await;
        assert_eq!(refused.status, 400, "{fields}");
    }
    let made = vic
        .send(
            &house,
            "/account/tokens",
            "scope=read&name=<b>ci&expires_days=7",
        )
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    let (_, rest) = made.body.split_once("id=\"token\">").expect("is shown");
    let token = rest.split('<').next().unwrap_or_default().to_owned();
    assert!(token.starts_with("outlay_") && !made.body.contains("<b>ci"));
    let me = house.get("/api/v1/me", &[&bearer(&token)]).await.json();
    assert_eq!(
        (&me["name"], &me["role"]),
        (&"vic".into(), &"viewer".into())
    );
    let page = vic.get(&house, "/account").await;
    assert!(!page.body.contains(&token), "it is shown once");
    let of_vic = accounts::tokens(&house.ledger).await.expect("reads");
    let (id, kept) = of_vic
        .into_iter()
        .find(|(_, token)| token.user == "vic")
        .expect("is kept");
    let lasts_us = kept.expires_us.expect("ends") - kept.created_us;
    assert!((lasts_us - 7 * 86_400_000_000).abs() < 60_000_000);

    let revoke = |id: &str| format!("id={id}");
    let path = "/account/tokens/revoke";
    assert_eq!(vic.send(&house, path, &revoke(&their_id)).await.status, 404);
    assert_eq!(house.get("/", &[&bearer(&theirs)]).await.status, 200);
    let revoked = vic.send(&house, path, &revoke(&id)).await;
    assert_eq!(led_to(&revoked), (303, "/account?done=revoked"));
    assert_eq!(house.get("/", &[&bearer(&token)]).await.status, 401);

    let path = "/account/password";
    let wrong = "current=not this one&password=a whole new horse";
    let refused = vic.send(&house, path, wrong).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("current password"), "{refused:?}");
    let short = format!("current={PASSWORD}&password=short");
    assert_eq!(vic.send(&house, path, &short).await.status, 400);
    let right = format!("current={PASSWORD}&password=a whole new horse");
    let changed = vic.send(&house, path, &right).await;
    assert_eq!(led_to(&changed), (303, "/account?done=password"));
    let out = vic.get(&house, "/account?done=password").await;
    assert_eq!(
        led_to(&out),
        (303, "/login?next=%2Faccount%3Fdone%3Dpassword")
    );
    let again = log_in(&house, "vic", "a whole new horse", "/").await;
    assert_eq!(led_to(&again), (303, "/"));
    let records = house.records().await;
    let n_of = |what: &str| {
        records
            .iter()
            .filter(|one| one.body["what"] == what)
            .count()
    };
    assert_eq!(
        [
            "token made",
            "token revoked",
            "password changed",
            "login failed"
        ]
        .map(n_of),
        // The token that was revoked was tried, too.
        [2, 1, 1, 2],
        "{records:?}"
    );
}

#[tokio::test]
async fn without_users_the_pages_say_how_to_add_one() {
    let house = House::new().await;
    for path in ["/users", "/account"] {
        let page = house.get(path, &[PAGE]).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.body.contains("outlay server user add"), "{page:?}");
        assert!(!page.body.contains("method=\"post\""), "{page:?}");
    }
    let fields = format!("name=ada&role=admin&password={PASSWORD}").replace(' ', "+");
    let refused = house.send("POST", "/users", &[FORM, PAGE], &fields).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(
        accounts::users(&house.ledger)
            .await
            .expect("reads")
            .is_empty()
    );
}

#[tokio::test]
async fn faults_have_the_form_of_the_api() {
    let house = House::new().await;
    house.user("ada", Role::Admin).await;
    house.user("vic", Role::Viewer).await;
    let (admin, viewer) = (basic("ada", PASSWORD), basic("vic", PASSWORD));
    let json = "Content-Type: application/json";
    let text = "Content-Type: text/plain";
    let user = format!("{{\"name\":\"ada\",\"password\":\"{PASSWORD}\"}}");
    let odd = "{\"name\":\"eve\",\"pasword\":\"x\"}";
    for (method, path, headers, body, status, kind) in [
        ("GET", "/api/v1/users", vec![], "", 401, "unauthenticated"),
        ("GET", "/api/v1/me", vec![], "", 401, "unauthenticated"),
        ("GET", "/api/v1/runs", vec![], "", 401, "unauthenticated"),
        (
            "GET",
            "/api/v1/users",
            vec![viewer.as_str()],
            "",
            403,
            "forbidden",
        ),
        (
            "POST",
            "/api/v1/users",
            vec![&admin, json],
            &user,
            409,
            "conflict",
        ),
        (
            "POST",
            "/api/v1/users",
            vec![&admin, json],
            odd,
            400,
            "invalid",
        ),
        (
            "POST",
            "/api/v1/users",
            vec![&admin, text],
            odd,
            415,
            "not_json",
        ),
        (
            "PUT",
            "/api/v1/users",
            vec![&admin],
            "",
            405,
            "method_not_allowed",
        ),
        (
            "PATCH",
            "/api/v1/users/eve",
            vec![&admin, json],
            "{\"role\":\"viewer\"}",
            404,
            "not_found",
        ),
        (
            "DELETE",
            "/api/v1/users/eve",
            vec![&admin],
            "",
            404,
            "not_found",
        ),
        (
            "DELETE",
            "/api/v1/tokens/0",
            vec![&viewer],
            "",
            404,
            "not_found",
        ),
        (
            "POST",
            "/api/v1/tokens",
            vec![&viewer, json],
            "{\"scope\":\"write\"}",
            403,
            "forbidden",
        ),
        (
            "POST",
            "/api/v1/tokens",
            vec![&viewer, json],
            "{\"scope\":\"all\"}",
            400,
            "invalid",
        ),
        (
            "POST",
            "/api/v1/tokens",
            vec![&viewer, json],
            "{\"scope\":\"read\",\"expires_days\":0}",
            400,
            "invalid",
        ),
        (
            "POST",
            "/api/v1/me",
            vec![&admin],
            "",
            405,
            "method_not_allowed",
        ),
    ] {
        let reply = house.send(method, path, &headers, body).await;
        let what = format!("{method} {path} {body}");
        assert_eq!(reply.status, status, "{what}: {reply:?}");
        assert_eq!(reply.json()["error"], kind, "{what}: {reply:?}");
        assert!(reply.json()["message"].is_string(), "{what}: {reply:?}");
        assert!(reply.json()["error_code"].is_null(), "{what}: {reply:?}");
        assert_eq!(reply.header("outlay-api-version"), Some("1.0"), "{what}");
    }
    // Clients of MLflow are told in MLflow's form.
    let refused = house.get("/api/2.0/mlflow/runs/get?run_id=0", &[]).await;
    assert_eq!(refused.json()["error_code"], "UNAUTHENTICATED");
}
