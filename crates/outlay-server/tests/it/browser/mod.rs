//! The pages in a browser: opened, used and photographed at two widths, light and dark.
//!
//! Skipped, with a word, where Chromium and its driver are not installed. Pictures go to the folder of this test's files.

mod accounts;
mod driver;
mod planner;
pub mod seed;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::http::{HeaderValue, header};
use axum::middleware::map_response;
use axum::response::Response;
use serde_json::json;

use driver::Browser;
use seed::Seeded;

/// The strictest policy that a server in front may set: nothing from elsewhere, nothing inline.
///
/// The charts' library looks, as it is loaded, whether a picture that is its own address can be drawn.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

struct Site {
    runtime: tokio::runtime::Runtime,
    address: String,
    seeded: Seeded,
}

impl Site {
    fn open(n_points: i64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let (seeded, address) = runtime.block_on(async {
            let seeded = Seeded::new(n_points).await;
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
                .await
                .expect("a port");
            let address = format!("http://{}", listener.local_addr().expect("an address"));
            let guarded = map_response(async |mut response: Response| {
                let policy = HeaderValue::from_static(POLICY);
                response
                    .headers_mut()
                    .insert(header::CONTENT_SECURITY_POLICY, policy);
                response
            });
            let router = outlay_server::router(seeded.app.clone()).layer(guarded);
            tokio::spawn(outlay_server::serve(
                listener,
                router,
                256,
                std::future::pending(),
            ));
            (seeded, address)
        });
        Self {
            runtime,
            address,
            seeded,
        }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }
}

/// Where pictures go.
fn pictures() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

const WIDTHS: [(&str, u32, u32); 2] = [("desktop", 1280, 900), ("phone", 390, 844)];

/// Photographs the page, and looks whether it fits, whether all can be read and has a name, and whether the browser
/// complains of anything but what is expected.
fn sound(browser: &Browser, what: &str, expected: &str) {
    let too_wide = browser.run("return document.documentElement.scrollWidth - innerWidth");
    assert!(
        too_wide.as_i64().is_some_and(|wide| wide <= 0),
        "{what} scrolls sideways by {too_wide}"
    );
    let unnamed = browser.unnamed_controls();
    assert!(
        unnamed.is_empty(),
        "{what} has controls without a name: {unnamed:?}"
    );
    let faint = browser.faint_texts();
    assert!(
        faint.is_empty(),
        "{what} has texts that are hard to read: {faint:?}"
    );
    browser.photograph(&pictures().join(format!("{what}.png")));
    let mut said = browser.console();
    said.retain(|text| !text.contains(expected));
    assert!(said.is_empty(), "{what}: {:?}", &said[..said.len().min(3)]);
    let marked = browser.run(
        "return window.hostile === undefined && !document.querySelector('main script, main img')",
    );
    assert_eq!(marked, json!(true), "{what} read a name as markup");
}

#[test]
fn every_page_is_sound_at_each_width_and_in_each_light() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let site = Site::open(2_000);
    let run = &site.seeded.running;
    let pages = [
        ("home", "/".to_owned(), "#s-running"),
        ("runs", "/runs".to_owned(), "#rows a"),
        (
            "runs-grouped",
            "/runs?group=project&column=status&column=spent&column=metrics.loss".to_owned(),
            "#rows tr.group",
        ),
        ("run", format!("/runs/{run}"), "#charts .plot[data-drawn]"),
        (
            "compare",
            site.seeded.compare.clone(),
            "#charts .plot[data-drawn]",
        ),
        ("budgets", "/budgets".to_owned(), "#all"),
        ("evidence", "/evidence".to_owned(), "ol.records"),
        ("plan", "/plan".to_owned(), "#sizes .plot .main-svg"),
        (
            "plan-serve",
            "/plan/serve?model=llama-3.1-70b&requests=20/s&gpu=H100-SXM&compare_api=1".to_owned(),
            "#curve .plot .main-svg",
        ),
        (
            "plan-whole",
            "/plan/serve?model=resnet-50&gpu=L4&requests=300/s&p99=50ms".to_owned(),
            "#curve .plot .main-svg",
        ),
        (
            "plan-refused",
            "/plan?model=llama-3.1-405b&tokens=1T&gpu=L4&n=8".to_owned(),
            "#answer [role=alert]",
        ),
        ("prices", "/prices?q=h100".to_owned(), "#list tbody tr"),
        (
            "prices-apis",
            "/prices/apis?q=llama".to_owned(),
            "#list tbody tr",
        ),
        (
            "prices-trends",
            "/prices/trends".to_owned(),
            "#history .plot .main-svg",
        ),
        ("missing", "/runs/ffffffffffffffff".to_owned(), "h1"),
        ("no-page", "/nowhere".to_owned(), "h1"),
    ];
    for (width_name, width, height) in WIDTHS {
        for light in ["light", "dark"] {
            browser.look(width, height, light);
            for (name, path, ready) in &pages {
                browser.go(&site.at(path));
                browser.wait_for(ready);
                // The browser's own word for a page that is answered with 404, as these two are to be.
                let expected = match *name {
                    "missing" | "no-page" => "404",
                    _ => "nothing is said",
                };
                sound(&browser, &format!("{name}-{width_name}-{light}"), expected);
            }
        }
    }
}

#[test]
fn the_table_sorts_filters_groups_selects_and_remembers() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let site = Site::open(100);
    browser.look(1280, 900, "light");
    browser.go(&site.at("/runs"));
    browser.wait_for("#rows a");
    let n_rows = browser.run("return document.querySelectorAll('#rows tr').length");
    assert!(
        n_rows.as_i64().is_some_and(|n_rows| n_rows < 100),
        "{n_rows} rows of 10,000 are in the page"
    );
    assert_eq!(browser.text("#count"), "10,009 runs");

    browser.click("th[data-name='spent'] button");
    browser.wait_until(
        "return document.querySelector('th[data-name=spent]').ariaSort === 'descending'",
    );
    browser
        .wait_until("return [...document.querySelectorAll('#rows td.right')].some(cell => cell.textContent.includes('$'))");
    assert!(browser.address().contains("order=spent_usd+DESC"));

    // The last rows come when they are scrolled to.
    let since = Instant::now();
    browser.run("document.getElementById('scroller').scrollTop = 1e9");
    browser.wait_until("return document.querySelector('#rows tr:last-child a') !== null");
    assert!(
        since.elapsed() < Duration::from_secs(8),
        "{:?}",
        since.elapsed()
    );
    let last = browser.run("return document.querySelector('#rows tr:last-child').ariaRowIndex");
    assert_eq!(last, json!("10010"));

    browser.fill("#filter", "metrics.loss < 'low'");
    browser.wait_until("return !document.getElementById('filter-fault').hidden");
    browser.fill("#filter", "params.lr = '0.01'");
    browser.wait_until("return document.getElementById('count').textContent !== '10,009 runs' && document.getElementById('filter-fault').hidden");
    let filtered = browser.text("#count");

    browser.go(&browser.address());
    browser.wait_until("return document.getElementById('count').textContent !== ''");
    assert_eq!(
        browser.text("#count"),
        filtered,
        "the address remembers the filter"
    );

    browser.go(&site.at("/runs?group=project"));
    browser.wait_for("#rows tr.group button");
    let groups = browser.run("return document.querySelectorAll('#rows tr.group').length");
    browser.run("document.querySelector('#rows tr.group button').click()");
    browser.wait_until(
        "return document.querySelector('#rows tr.group button').ariaExpanded === 'false'",
    );
    let shut = browser.run("return document.querySelectorAll('#rows tr.group').length");
    assert!(shut.as_i64() >= groups.as_i64());

    browser.go(&site.at("/runs"));
    browser.wait_for("#rows input");
    browser.run(
        "for (const box of [...document.querySelectorAll('#rows input')].slice(0, 3)) box.click()",
    );
    assert_eq!(browser.text("#compare"), "Compare 3");
    browser.click("#compare");
    browser.wait_for("#charts .plot[data-drawn]");
    assert_eq!(
        browser.run("return document.querySelectorAll('#table thead a').length"),
        json!(3)
    );

    browser.go(&site.at("/runs"));
    browser.wait_for("#rows a");
    browser.click("#columns-open");
    browser.wait_for("#column-list input");
    browser.fill("#column-search", "key_0777");
    browser.wait_until("const labels = [...document.querySelectorAll('#column-list label')]; return labels.length > 0 && labels.every(label => label.textContent.includes('key_0777'))");
    browser.run("document.querySelector('#column-list input').click()");
    browser.wait_until("return location.search.includes('key_0777')");
    let faults = browser.console();
    // The filter that is not finished is answered with 400, and the browser says so.
    assert!(faults.iter().all(|text| text.contains("400")), "{faults:?}");
}

#[test]
fn keys_reach_everything_that_a_mouse_does() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let site = Site::open(100);
    browser.look(1280, 900, "light");
    browser.go(&site.at("/"));
    browser.press("Tab");
    browser.wait_until("return document.activeElement.className === 'skip'");
    browser.press("Enter");
    browser.wait_until("return document.activeElement.id === 'main'");
    browser.go(&site.at("/runs"));
    browser.wait_for("#rows a");
    browser.run("document.querySelector('#rows a').focus()");
    let first = browser.run("return document.activeElement.closest('tr').ariaRowIndex");
    for _ in 0..40 {
        browser.press("ArrowDown");
    }
    let later = browser.run("return document.activeElement.closest('tr')?.ariaRowIndex");
    assert_eq!((first, later), (json!("2"), json!("42")));
    browser.run("document.activeElement.blur()");
    browser.press("/");
    assert_eq!(
        browser.run("return document.activeElement.id"),
        json!("filter")
    );
}

#[test]
fn a_run_is_followed_as_it_goes_on() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let site = Site::open(300_000);
    let run = site.seeded.running.clone();
    browser.look(1280, 900, "light");
    browser.go(&site.at(&format!("/runs/{run}?metric=loss")));
    browser.wait_for("#charts .plot[data-drawn]");
    let said = browser.text("#charts figure p");
    assert!(said.contains("300,000 points, drawn with 2,000"), "{said}");

    // Against dollars, then a zoom: the range is asked for anew.
    browser.run("const against = document.getElementById('against'); against.value = 'spent'; against.dispatchEvent(new Event('change'))");
    browser.wait_until("return document.querySelector('#charts .plot').layout.xaxis.title.text.includes('dollars')");
    browser.run("const against = document.getElementById('against'); against.value = 'step'; against.dispatchEvent(new Event('change'))");
    browser.wait_until(
        "return document.querySelector('#charts .plot').layout.xaxis.title.text === 'step'",
    );
    browser.run("Plotly.relayout(document.querySelector('#charts .plot'), {'xaxis.range[0]': 1000, 'xaxis.range[1]': 1200})");
    browser.wait_until("return document.querySelector('#charts .plot').data[0].x.length === 201");
    browser.run("[...document.querySelectorAll('#charts button')].find(button => button.textContent === 'Whole range').click()");
    browser.wait_until("return document.querySelector('#charts .plot').data[0].x.length === 2000");

    // The meter writes from another process: nobody tells the server.
    site.runtime.block_on(site.seeded.go_on(300_000, 12.5));
    browser.wait_until("return document.getElementById('account').textContent.includes('$12.50')");
    browser
        .wait_until("return document.querySelector('#charts .plot').data[0].x.at(-1) === 300000");

    browser.fill("form[data-statement] [name=who]", "Ada <b>Lovelace</b>");
    browser.fill(
        "form[data-statement] [name=text]",
        "Looks right to me. <script>window.hostile = 1</script>",
    );
    browser.click("button[value=sign-offs]");
    browser.wait_until("return document.querySelector('#s-evidence .tag.good') !== null");
    assert!(browser.text("#s-evidence .said").contains("<script>"));
    browser.go(&site.at("/evidence"));
    browser.click("#verify");
    browser.wait_until("return document.getElementById('verified').textContent.includes('Sound')");
    let faults = browser.console();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn a_long_run_draws_at_once() {
    let Some(browser) = Browser::start() else {
        return;
    };
    // A million where OUTLAY_POINTS says so: writing them takes a debug build a while.
    let n_points = std::env::var("OUTLAY_POINTS")
        .ok()
        .and_then(|text| text.parse().ok());
    let site = Site::open(n_points.unwrap_or(100_000));
    browser.look(1280, 900, "light");
    let path = format!("/runs/{}?metric=loss", site.seeded.running);
    let (mut times, mut notes) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        browser.go("about:blank");
        browser.go(&site.at(&path));
        browser.wait_for("#charts .plot[data-drawn]");
        let when = |what: &str| {
            browser.run(&format!(
                "return Number(document.querySelector('#charts .plot').dataset.{what})"
            ))
        };
        let (sketched, drawn) = (when("sketched"), when("drawn"));
        let parts = browser.run(
            "const at = (part) => performance.getEntriesByType('resource').filter((one) => one.name.includes(part)) \
             .map((one) => `${one.startTime | 0} to ${one.responseEnd | 0}`)[0]; \
             const page = performance.getEntriesByType('navigation')[0]; \
             return `page until ${page.responseEnd | 0}, library ${at('plotly')}, points ${at('figures')}, ready at ${page.domContentLoadedEventStart | 0}`",
        );
        notes.push(format!(
            "{sketched} ms, with the library {drawn} ms ({})",
            parts.as_str().unwrap_or_default()
        ));
        times.push(sketched.as_f64().unwrap_or(f64::INFINITY));
    }
    times.sort_by(f64::total_cmp);
    let note = format!(
        "drawn after {}, from the first byte asked for",
        notes.join("; ")
    );
    std::fs::write(pictures().join("long-run.txt"), &note).expect("writes");
    // Without optimisation a second is not to be had; the bound of the released program is its own.
    let most = if cfg!(debug_assertions) {
        8_000.0
    } else {
        1_000.0
    };
    assert!(times[1] < most, "{note}");
}
