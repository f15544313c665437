//! Files in a bucket, the ledger in PostgreSQL, users at the door: the stock client sees no difference.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Server;
use super::accounts::outlay_with;
use super::stock::{PARTS, TRACKING, script, script_with};

/// A store that speaks S3's protocol (moto, in memory), with a bucket in it.
pub(crate) struct Store {
    child: Child,
    address: String,
}

impl Store {
    /// `None` where no Python has moto, which is said.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    pub(crate) fn start() -> Option<Self> {
        let skipped = || eprintln!("skipped: OUTLAY_PEERS names no Python with moto and boto3");
        let Some(python) = std::env::var_os("OUTLAY_PEERS") else {
            skipped();
            return None;
        };
        let has = Command::new(&python)
            .args(["-c", "import moto.server, boto3, mlflow"])
            .output()
            .expect("OUTLAY_PEERS is a Python");
        if !has.status.success() {
            skipped();
            return None;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let child = Command::new(&python)
            .args([
                "-m",
                "moto.server",
                "-H",
                "127.0.0.1",
                "-p",
                &port.to_string(),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto starts");
        let store = Self {
            child,
            address: format!("http://127.0.0.1:{port}"),
        };
        let begun = Instant::now();
        while !store.boto("s3.create_bucket(Bucket='team')").0 {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "moto does not answer"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(store)
    }

    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", "me".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
            ("AWS_ENDPOINT_URL", self.address.clone()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
    }

    /// Asks the store with AWS's own client.
    pub(crate) fn boto(&self, statement: &str) -> (bool, String) {
        let python = std::env::var_os("OUTLAY_PEERS").expect("was there");
        let text = format!("import boto3; s3 = boto3.client('s3'); {statement}");
        let output = Command::new(python)
            .args(["-c", &text])
            .envs(self.variables())
            .output()
            .expect("runs");
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), out)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const REMOVED: &str = r#"
import mlflow
from mlflow.artifacts import list_artifacts, download_artifacts
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
with mlflow.start_run() as run:
    for at in range(3):
        mlflow.log_text(str(at), f"many/{at} % ü.txt")
    mlflow.log_text("", "empty.txt")
files = get_artifact_repository(run.info.artifact_uri)
found = [one.path for one in files.list_artifacts("many")]
assert found == [f"many/{at} % ü.txt" for at in range(3)], found
found = [(one.path, one.file_size) for one in files.list_artifacts()]
assert found == [("empty.txt", 0), ("many", None)], found
files.delete_artifacts("many/1 % ü.txt")
assert len(files.list_artifacts("many")) == 2
files.delete_artifacts("many")
assert [one.path for one in files.list_artifacts()] == ["empty.txt"]
try:
    download_artifacts(artifact_uri=run.info.artifact_uri + "/many/0 % ü.txt")
    raise SystemExit("a removed file is there")
except Exception as error:
    assert "404" in str(error) or "not" in str(error).lower(), error
print("done")
"#;

#[test]
fn files_lie_in_a_bucket() {
    let Some(store) = Store::start() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["--artifacts", "s3://team/lab/files"];
    let server = Server::start_with(folder.path(), 0, &arguments, &store.variables());
    for text in [TRACKING, PARTS, REMOVED] {
        assert!(script(&server, text, "mlflow"));
    }
    let listed =
        "print(*(o['Key'] for o in s3.list_objects_v2(Bucket='team')['Contents']), sep='\\n')";
    let (_, keys) = store.boto(listed);
    assert!(
        keys.lines().all(|key| key.starts_with("lab/files/")),
        "{keys}"
    );
    assert!(keys.contains("/artifacts/large.bin"), "{keys}");
    assert!(!folder.path().join(".outlay/artifacts").exists());
    let (_, left) =
        store.boto("print(s3.list_multipart_uploads(Bucket='team').get('Uploads', []))");
    assert_eq!(left.trim(), "[]");
}

#[test]
fn a_bucket_that_is_not_there_is_an_error_that_names_it() {
    let Some(store) = Store::start() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["--port", "0", "--artifacts", "s3://nobodys/files"];
    let (code, _, said) = outlay_with(folder.path(), &arguments, "", &store.variables());
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("--artifacts `s3://nobodys/files`"), "{said}");
    assert!(said.contains("NoSuchBucket"), "{said}");
}

/// With a token from `outlay server token`, the stock client works behind the door; without, or as a viewer, it is refused.
fn with_a_token(folder: &Path, variables: &[(&str, String)]) {
    let said = |arguments: &[&str], input: &str| {
        let (code, out, error) = outlay_with(folder, arguments, input, variables);
        assert_eq!(code, 0, "{arguments:?}: {error}");
        out.trim().to_owned()
    };
    let password = "correct horse battery\n";
    said(&["user", "add", "ada", "--role", "editor"], password);
    said(&["user", "add", "vic", "--role", "viewer"], password);
    let token =
        |user: &str, scope: &str| said(&["token", "create", "--user", user, "--scope", scope], "");
    let (ada, vic) = (token("ada", "write"), token("vic", "read"));
    let server = Server::start_with(folder, 0, &[], variables);
    const EACH: &str = r#"
import os, time, mlflow
from mlflow.exceptions import MlflowException

def as_who(**variables):
    for name in ("TOKEN", "USERNAME", "PASSWORD"):
        os.environ.pop(f"MLFLOW_TRACKING_{name}", None)
    for name, value in variables.items():
        os.environ[f"MLFLOW_TRACKING_{name}"] = value

def refused(work):
    begun = time.monotonic()
    try:
        work()
        raise SystemExit("nobody was asked who he is")
    except MlflowException as error:
        assert error.get_http_status_code() in (401, 403), error
    # It is not tried again.
    assert time.monotonic() - begun < 5

ada, vic = os.environ["ADA"], os.environ["VIC"]
reads = lambda: mlflow.search_runs(experiment_names=["paper"], output_format="list")
writes = lambda: mlflow.MlflowClient().create_experiment("mine")
as_who(USERNAME="ada", PASSWORD="correct horse battery")
assert len(reads()) == 1
as_who(TOKEN=vic)
assert len(reads()) == 1
refused(writes)
for who in ({}, {"TOKEN": "outlay_no"}, {"USERNAME": "ada", "PASSWORD": "wrong"}):
    as_who(**who)
    refused(reads)
    refused(writes)
print("done")
"#;
    let address = &server.address;
    let bearer = [("MLFLOW_TRACKING_TOKEN", ada.as_str())];
    if script_with(address, TRACKING, "mlflow", &bearer) {
        script_with(address, EACH, "mlflow", &[("ADA", &ada), ("VIC", &vic)]);
    }
}

#[test]
fn the_stock_client_gives_its_token() {
    let folder = tempfile::tempdir().expect("a folder");
    with_a_token(folder.path(), &[]);
}

/// A database of its own on the server that OUTLAY_POSTGRES names.
struct Database {
    server: String,
    name: String,
}

impl Database {
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    fn new() -> Option<Self> {
        let Ok(server) = std::env::var("OUTLAY_POSTGRES") else {
            eprintln!("skipped on PostgreSQL: OUTLAY_POSTGRES names no server; on SQLite it runs");
            return None;
        };
        let name = format!("outlay_server_{}", std::process::id());
        let database = Self { server, name };
        database.psql(&format!("CREATE DATABASE {}", database.name));
        Some(database)
    }

    fn psql(&self, statement: &str) {
        let output = Command::new("psql")
            .args([&self.server, "-qc", statement])
            .output()
            .expect("psql is beside the server");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }

    /// Its address: the server's with another name behind the last slash.
    fn address(&self) -> String {
        let (start, query) = match self.server.split_once('?') {
            Some((start, query)) => (start, format!("?{query}")),
            None => (self.server.as_str(), String::new()),
        };
        let (start, _) = start.rsplit_once('/').expect("names a database");
        format!("{start}/{}{query}", self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = Command::new("psql")
            .args([
                &self.server,
                "-qc",
                &format!("DROP DATABASE {} WITH (FORCE)", self.name),
            ])
            .output();
    }
}

#[test]
fn a_teams_server_keeps_all_in_postgresql() {
    let Some(database) = Database::new() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    with_a_token(folder.path(), &[("OUTLAY_LEDGER", database.address())]);
    assert!(!folder.path().join(".outlay/ledger.db").exists());
}
