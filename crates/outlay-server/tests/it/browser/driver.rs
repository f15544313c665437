//! Chromium, driven by the WebDriver protocol of its own driver.
//!
//! The crates that speak it bring a licence that this project does not take, or some hundred others; it is JSON over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::{Value, json};

/// How long anything may take to appear.
const PATIENCE: Duration = Duration::from_secs(40);

/// A browser without a window.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

impl Browser {
    /// Starts one; `None`, with a word, where none is installed.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    pub fn start() -> Option<Self> {
        let started = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut driver) = started else {
            eprintln!("skipped: chromedriver is not installed");
            return None;
        };
        let output = driver.stdout.take().expect("its output");
        let port = BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, port) = line.split_once("successfully on port ")?;
                port.trim_end_matches('.').parse().ok()
            })
            .expect("the driver says its port");
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
        };
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            // Pages are as wide as they are asked to be.
            "--hide-scrollbars",
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let answer = browser.ask("POST", "/session", &wanted);
        match answer["sessionId"].as_str() {
            Some(session) => {
                browser.session = session.to_owned();
                Some(browser)
            }
            None => {
                eprintln!("skipped: Chromium does not start: {answer}");
                None
            }
        }
    }

    /// Asks the driver; answers the `value` of its reply.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the driver listens");
        stream
            .set_read_timeout(Some(PATIENCE * 2))
            .expect("a timeout");
        let body = if method == "POST" {
            body.to_string()
        } else {
            String::new()
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            self.port,
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("sends");
        let mut reply = BufReader::new(stream);
        let mut n_bytes = 0;
        loop {
            let mut line = String::new();
            reply.read_line(&mut line).expect("the driver answers");
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    n_bytes = value.trim().parse().expect("a length");
                }
                Some(_) => {}
                // The line of the status has no colon, and the last line nothing at all.
                None if line.trim().is_empty() => break,
                None => {}
            }
        }
        // The driver leaves the connection open, whatever it was asked.
        let mut body = vec![0; n_bytes];
        reply.read_exact(&mut body).expect("the whole reply");
        let reply: Value = serde_json::from_slice(&body).expect("JSON");
        reply["value"].clone()
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        let value = self.ask("POST", &format!("/session/{}/{path}", self.session), body);
        assert!(value["error"].is_null(), "{path} {body}: {value}");
        value
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.command(
            "goog/cdp/execute",
            &json!({"cmd": command, "params": parameters}),
        )
    }

    /// The size of the window, and whether the system is light or dark.
    pub fn look(&self, width: u32, height: u32, light: &str) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": light}]});
        self.devtools("Emulation.setEmulatedMedia", &media);
    }

    pub fn go(&self, address: &str) {
        self.command("url", &json!({"url": address}));
    }

    pub fn address(&self) -> String {
        let value = self.ask(
            "GET",
            &format!("/session/{}/url", self.session),
            &Value::Null,
        );
        value.as_str().unwrap_or_default().to_owned()
    }

    /// Runs a script in the page; what it returns.
    pub fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({"script": script, "args": []}))
    }

    pub fn wait_until(&self, script: &str) {
        let since = Instant::now();
        while self.run(script) != json!(true) {
            if since.elapsed() > PATIENCE {
                let console = self.console();
                let text =
                    self.run("return document.querySelector('main')?.innerText.slice(0, 1500)");
                panic!("never came true: {script}\n{console:?}\n{text}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn wait_for(&self, selector: &str) {
        self.wait_until(&format!(
            "return document.querySelector({}) !== null",
            json!(selector)
        ));
    }

    pub fn text(&self, selector: &str) -> String {
        let value = self.run(&format!(
            "return document.querySelector({}).textContent",
            json!(selector)
        ));
        value.as_str().unwrap_or_default().to_owned()
    }

    pub fn click(&self, selector: &str) {
        self.run(&format!(
            "document.querySelector({}).click()",
            json!(selector)
        ));
    }

    /// Writes into a field as a person would.
    pub fn fill(&self, selector: &str, text: &str) {
        let (selector, text) = (json!(selector), json!(text));
        self.run(&format!(
            "const field = document.querySelector({selector}); field.focus(); field.value = {text}; \
             field.dispatchEvent(new Event('input', {{bubbles: true}}))"
        ));
    }

    /// Presses a key, once the page has been painted: until then Chromium drops what is pressed without a word.
    pub fn press(&self, key: &str) {
        self.wait_until("return performance.getEntriesByType('paint').length > 0");
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "ArrowDown" => (40, ""),
            other => (i32::from(other.as_bytes()[0]), other),
        };
        let down = json!({"type": if text.is_empty() { "rawKeyDown" } else { "keyDown" }, "key": key, "text": text,
            "windowsVirtualKeyCode": code});
        self.devtools("Input.dispatchKeyEvent", &down);
        self.devtools(
            "Input.dispatchKeyEvent",
            &json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code}),
        );
    }

    /// What the page said in its console since the last time.
    pub fn console(&self) -> Vec<String> {
        let entries = self.command("se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .filter(|entry| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING")))
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Controls that assistive technology would have no name for, by the browser's own accessibility tree.
    pub fn unnamed_controls(&self) -> Vec<String> {
        const CONTROLS: [&str; 9] = [
            "button",
            "link",
            "textbox",
            "searchbox",
            "checkbox",
            "combobox",
            "dialog",
            "region",
            "img",
        ];
        let tree = self.devtools("Accessibility.getFullAXTree", &json!({}));
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        assert!(nodes.len() > 5, "the accessibility tree is empty");
        nodes
            .iter()
            .filter(|node| node["ignored"] != json!(true))
            .filter(|node| CONTROLS.contains(&node["role"]["value"].as_str().unwrap_or_default()))
            .filter(|node| {
                node["name"]["value"]
                    .as_str()
                    .unwrap_or_default()
                    .trim()
                    .is_empty()
            })
            .map(ToString::to_string)
            .collect()
    }

    /// Texts whose contrast with what is behind them is less than WCAG's 4.5 to 1.
    pub fn faint_texts(&self) -> Vec<String> {
        let found = self.run(CONTRAST);
        let found = found.as_array().cloned().unwrap_or_default();
        found.iter().map(ToString::to_string).collect()
    }

    /// Keeps a picture of the whole page.
    pub fn photograph(&self, path: &Path) {
        let picture = self.devtools(
            "Page.captureScreenshot",
            &json!({"captureBeyondViewport": true, "format": "png"}),
        );
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(picture["data"].as_str().expect("a picture"))
            .expect("a picture");
        std::fs::write(path, bytes).expect("writes");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.ask(
                "DELETE",
                &format!("/session/{}", self.session),
                &Value::Null,
            );
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// WCAG 2.2, 1.4.3: relative luminance, and the ratio of two of them.
const CONTRAST: &str = r"
const parse = (text) => { const n = text.match(/[\d.]+/g).map(Number); return n.length > 3 ? n : [...n.slice(0, 3), 1]; };
const light = ([r, g, b]) => { const f = (v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
const behind = (element) => { for (let at = element; at; at = at.parentElement) { const colour = parse(getComputedStyle(at).backgroundColor);
  if (colour[3] > 0.99) return colour; } return [255, 255, 255, 1]; };
const faint = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || element.closest('.plot, svg, script, noscript, option, [hidden], .waiting, :disabled')) continue;
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  if (style.visibility === 'hidden' || box.width < 2 || box.height < 2) continue;
  const [one, other] = [light(parse(style.color)), light(behind(element))].sort((a, b) => b - a);
  const ratio = (one + 0.05) / (other + 0.05);
  if (ratio < 4.5) faint.push(`${walker.currentNode.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
}
return faint.slice(0, 10);";
