//! Whoever tries the doors: a server that really listens, and requests that no well-meant client would send.

mod entry;
mod files;
mod pages;
mod people;
mod sites;
mod stalls;

use std::net::SocketAddr;

use outlay_ledger::{Evidence, Ledger, Place, SignKey, Signer};
use outlay_server::artifacts::Artifacts;
use outlay_server::doors::Rules;
use outlay_server::doors::people::{self as accounts, By, Role, Scope};
use outlay_server::{App, Settings};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PASSWORD: &str = "correct horse battery";

/// A server with its own ledger and folder.
struct House {
    folder: tempfile::TempDir,
    ledger: Ledger,
    app: App,
    address: SocketAddr,
}

fn now_us() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as i64)
}

fn by() -> By {
    By {
        who: "tests".to_owned(),
        from: "terminal".to_owned(),
        now_us: now_us(),
    }
}

/// What came back.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let of_name = |line: &&str| {
            line.split_once(':')
                .is_some_and(|(key, _)| key.eq_ignore_ascii_case(name))
        };
        let line = self.head.lines().find(of_name)?;
        line.split_once(':').map(|(_, value)| value.trim())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value that a cookie was given.
    fn cookie(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            let (cookie, rest) = value.split_once('=')?;
            (key.eq_ignore_ascii_case("set-cookie") && cookie == name)
                .then(|| rest.split(';').next().unwrap_or_default())
        })
    }
}

/// Sends bytes as they are, and reads until the server closes.
async fn raw(address: SocketAddr, request: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    // The server may answer and close before it read everything.
    let _ = stream.write_all(request).await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
    Reply {
        status: status.unwrap_or(0),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

impl House {
    /// A server for this machine alone.
    async fn new() -> Self {
        Self::with(Rules::default(), now_us).await
    }

    async fn with(rules: Rules, now_us: fn() -> i64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::File(folder.path().join("ledger.db"));
        let ledger = Ledger::open(&place, true).await.expect("opens");
        let key = SignKey::new(&ledger.origin(), [7; 32]).expect("is a key");
        let who = "tests".to_owned();
        ledger.sign_with(Signer { key, who }).await;
        let (app, address) = Self::serve(&ledger, folder.path(), rules, now_us).await;
        Self {
            folder,
            ledger,
            app,
            address,
        }
    }

    /// Another server on a ledger.
    async fn serve(
        ledger: &Ledger,
        folder: &std::path::Path,
        rules: Rules,
        now_us: fn() -> i64,
    ) -> (App, SocketAddr) {
        let settings = Settings {
            artifact_root: "mlflow-artifacts:".to_owned(),
            folder: folder.to_path_buf(),
            now_us,
            refuse_over_budget: true,
            truncate_long_values: true,
        };
        let artifacts = Artifacts::folder(folder.join("artifacts"));
        let app = App::guarded(ledger.clone(), artifacts, settings, rules);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let address = listener.local_addr().expect("has an address");
        let router = outlay_server::router(app.clone());
        tokio::spawn(outlay_server::serve(
            listener,
            router,
            4096,
            std::future::pending(),
        ));
        (app, address)
    }

    async fn user(&self, name: &str, role: Role) {
        let hash = accounts::hash_password(PASSWORD).expect("hashes");
        accounts::add_user(&self.ledger, name, role, hash, by())
            .await
            .expect("adds");
    }

    /// A token of a user.
    async fn token(&self, user: &str, scope: Scope) -> String {
        accounts::create_token(&self.ledger, user, "", scope, None, by())
            .await
            .expect("makes")
            .1
    }

    /// Sends a request with whatever headers, each a line.
    async fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Reply {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|line| line.starts_with("Host:")) {
            request.push_str(&format!("Host: {}\r\n", self.address));
        }
        for line in headers {
            request.push_str(line);
            request.push_str("\r\n");
        }
        if !body.is_empty() || method != "GET" {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        request.push_str(body);
        raw(self.address, request.as_bytes()).await
    }

    async fn get(&self, path: &str, headers: &[&str]) -> Reply {
        self.send("GET", path, headers, "").await
    }

    /// A call of MLflow's clients.
    async fn call(&self, path: &str, headers: &[&str], body: &Value) -> Reply {
        let mut lines = vec!["Content-Type: application/json"];
        lines.extend(headers);
        let path = format!("/api/2.0/mlflow/{path}");
        self.send("POST", &path, &lines, &body.to_string()).await
    }

    /// The records of who did what.
    async fn records(&self) -> Vec<Evidence> {
        self.app.finish_records().await;
        let all = self.ledger.evidence(None).await.expect("reads");
        all.into_iter()
            .map(|(_, evidence)| evidence)
            .filter(|evidence| evidence.kind == "audit")
            .collect()
    }
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

fn basic(name: &str, password: &str) -> String {
    use base64::Engine;
    let pair = format!("{name}:{password}");
    let pair = base64::engine::general_purpose::STANDARD.encode(pair);
    format!("Authorization: Basic {pair}")
}
