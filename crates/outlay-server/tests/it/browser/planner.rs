//! The planner and the prices in a browser: fields move, and the answer with them.

use serde_json::json;

use super::Site;
use super::driver::Browser;

const COST: &str = "return document.querySelector('#answer .number.large')?.textContent";

#[test]
fn the_answer_moves_with_the_fields_and_the_address_keeps_them() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let site = Site::open(10);
    browser.look(1280, 900, "light");
    browser.go(&site.at("/plan?model=llama-3.1-8b&tokens=100B&gpu=H100-SXM&n=64"));
    browser.wait_for("#sizes .plot .main-svg");
    let first = browser.run(COST);
    browser.fill("#tokens", "200B");
    browser.wait_until(&format!("{COST} !== {first}"));
    browser.wait_until("return location.search.includes('tokens=200B')");
    // A slider moves its field, and the answer.
    let second = browser.run(COST);
    browser.run(
        "const slider = document.querySelector('[data-moves=n]'); slider.value = 3; \
         slider.dispatchEvent(new Event('input', { bubbles: true }))",
    );
    browser.wait_until("return location.search.includes('n=8')");
    browser.wait_until(&format!("{COST} !== {second}"));
    assert!(browser.text("#answer").contains("On 8 × H100-SXM"));
    // A model of another kind takes other things.
    browser.fill("#model", "resnet-50");
    browser.wait_until("return document.querySelector('.answer')?.dataset.takes === 'samples'");
    assert_eq!(
        browser.run("return document.querySelector('[data-for=tokens]').hidden"),
        json!(true)
    );
    // What is wrong is marked, and mended.
    browser.fill("#samples", "many");
    browser.wait_for("#samples[aria-invalid=true]");
    browser.fill("#samples", "5M");
    browser.wait_until("return !document.querySelector('[aria-invalid]')");
    // Who opens the address sees the same.
    let cost = browser.run(COST);
    browser.go(&browser.address());
    browser.wait_for(".answer");
    assert_eq!(browser.run(COST), cost);
    let said = browser.console();
    let said: Vec<&String> = said.iter().filter(|text| !text.contains("400")).collect();
    assert!(said.is_empty(), "{said:?}");
}

#[test]
fn the_planner_of_services_fits_its_fields_to_the_model() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let site = Site::open(10);
    browser.look(390, 844, "dark");
    browser.go(&site.at("/plan/serve"));
    browser.wait_for("#curve .plot .main-svg");
    browser.fill("#model", "resnet-50");
    browser.wait_until("return document.querySelector('.answer')?.dataset.answers === 'whole'");
    browser.fill("#model", "llama-3.1-8b");
    browser.wait_until("return document.querySelector('.answer')?.dataset.answers === 'tokens'");
    // On a phone the cost stays in sight.
    assert!(browser.text("#gist").contains('$'));
    // An explanation opens by key and closes by Escape.
    browser.run("document.querySelector('details.help summary').focus()");
    browser.press("Enter");
    browser.wait_for("details.help[open]");
    browser.run(
        "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }))",
    );
    browser.wait_until("return !document.querySelector('details.help[open]')");
}

#[test]
fn prices_are_found_and_sorted_without_a_new_page() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let site = Site::open(10);
    browser.look(1280, 900, "light");
    browser.go(&site.at("/prices"));
    browser.wait_for("#list tbody tr");
    browser.run("window.stayed = true");
    browser.fill("[name=q]", "H100-SXM on-demand");
    browser.wait_until(
        "return [...document.querySelectorAll('#list tbody th')].every((cell) => cell.textContent.includes('H100-SXM'))",
    );
    browser.click("a.sorts[href*='sort=provider']");
    browser.wait_until("return location.search.includes('sort=provider')");
    browser.wait_until(
        "const names = [...document.querySelectorAll('#list tbody tr td:nth-child(4)')].map((cell) => cell.textContent); \
         return names.length > 2 && names.every((name, place) => place === 0 || names[place - 1] <= name)",
    );
    assert_eq!(browser.run("return window.stayed"), json!(true));
    let said = browser.console();
    assert!(said.is_empty(), "{said:?}");
}
