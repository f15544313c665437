//! Logging in, users, accounts and tokens in a browser.

use outlay_server::doors::people::{self, By, Role, Scope};
use serde_json::json;

use super::driver::Browser;
use super::{Site, WIDTHS, seed, sound};

const PASSWORD: &str = "correct horse battery";

fn by() -> By {
    By {
        who: "tests".to_owned(),
        from: "terminal".to_owned(),
        now_us: seed::NOW_US,
    }
}

/// Photographs a page at each width and in each light, and looks whether it is sound.
fn look_at(browser: &Browser, name: &str) {
    for (width_name, width, height) in WIDTHS {
        for light in ["light", "dark"] {
            browser.look(width, height, light);
            sound(browser, &format!("{name}-{width_name}-{light}"), "403");
        }
    }
    browser.look(1280, 900, "light");
}

fn log_in(browser: &Browser, name: &str, password: &str) {
    browser.wait_for("input[name=password]");
    browser.fill("input[name=name]", name);
    browser.fill("input[name=password]", password);
    browser.click("main form button");
    browser.wait_for(".corner .me");
    assert_eq!(browser.text(".corner .me"), name);
}

/// The status of a program's call with a token.
fn status_of(site: &Site, token: &str) -> u16 {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    site.runtime.block_on(async {
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client");
        let reply = client
            .get(site.at("/api/v1/me"))
            .header("authorization", format!("Bearer {token}"))
            .send()
            .await
            .expect("answers");
        reply.status().as_u16()
    })
}

#[test]
fn a_user_is_added_makes_a_token_and_loses_it() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let site = Site::open(10);
    browser.look(1280, 900, "light");
    browser.go(&site.at("/users"));
    look_at(&browser, "no-users");
    site.runtime.block_on(async {
        let hash = people::hash_password(PASSWORD).expect("hashes");
        let ledger = site.seeded.app.ledger();
        people::add_user(ledger, "ada", Role::Admin, hash, by())
            .await
            .expect("adds");
    });
    std::thread::sleep(std::time::Duration::from_millis(1100));

    browser.go(&site.at("/users"));
    browser.wait_for("input[name=password]");
    look_at(&browser, "login");
    log_in(&browser, "ada", PASSWORD);
    assert!(browser.address().ends_with("/users"));
    // By keys alone: the fields of the form follow each other.
    browser.run("document.querySelector('#add [name=name]').focus()");
    for key in "grace".chars() {
        browser.press(&key.to_string());
    }
    browser.press("Tab");
    browser.run("document.activeElement.value = 'editor'");
    browser.press("Tab");
    for key in "another_horse_entirely".chars() {
        browser.press(&key.to_string());
    }
    browser.press("Enter");
    browser.wait_for(".notice.good");
    assert_eq!(browser.text(".notice"), "The user was added.");
    assert_eq!(
        browser.run("return document.querySelectorAll('#users > li').length"),
        json!(2)
    );
    site.runtime.block_on(async {
        let ledger = site.seeded.app.ledger();
        let over = Some(seed::NOW_US - 1);
        for (name, expires_us) in [
            ("nightly training of everything that there is", None),
            ("", over),
        ] {
            people::create_token(ledger, "grace", name, Scope::Write, expires_us, by())
                .await
                .expect("makes");
        }
    });
    browser.go(&site.at("/users"));
    browser.run("for (const one of document.querySelectorAll('#users details')) one.open = true");
    look_at(&browser, "users");

    browser.click(".corner form button");
    browser.wait_for("input[name=password]");
    log_in(&browser, "grace", "another_horse_entirely");
    assert_eq!(
        browser.run("return document.querySelector('nav a[href=\"/users\"]') === null"),
        json!(true)
    );
    browser.go(&site.at("/users"));
    assert_eq!(browser.text("h1"), "Not allowed");
    look_at(&browser, "users-refused");

    browser.click(".corner .me");
    browser.wait_for("#make");
    browser.fill("#make [name=name]", "nightly <b>training</b>");
    browser.run("document.querySelector('#make [name=scope]').value = 'write'");
    browser.click("#make button");
    browser.wait_for("#token");
    let token = browser.text("#token");
    look_at(&browser, "account");
    assert_eq!(status_of(&site, &token), 200);
    browser.go(&site.at("/account"));
    browser.wait_for(".tokens form button");
    assert!(!browser.text("main").contains(&token), "it is shown once");
    browser.run("[...document.querySelectorAll('.tokens li')].find((one) => one.textContent.includes('<b>')).querySelector('button').click()");
    browser.wait_for(".notice.good");
    assert_eq!(browser.text(".notice"), "The token was revoked.");
    assert_eq!(status_of(&site, &token), 401);
}
