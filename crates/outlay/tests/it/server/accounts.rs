//! Users and tokens from the terminal, and a server that asks for them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Server;

/// Runs `outlay server ...` with a text piped in; gives the exit code, stdout and stderr.
pub(super) fn outlay(folder: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    outlay_with(folder, arguments, input, &[])
}

/// The same with variables of the environment.
pub(super) fn outlay_with(
    folder: &Path,
    arguments: &[&str],
    input: &str,
    variables: &[(&str, String)],
) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_outlay"))
        .arg("server")
        .args(arguments)
        .current_dir(folder)
        .env_remove("OUTLAY_LEDGER")
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut stdin = child.stdin.take().expect("is piped");
    // A command that reads nothing may be gone already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn status(address: &str, head: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connects");
    let request = format!(
        "GET /api/2.0/mlflow/experiments/search?max_results=1 HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{head}\r\n"
    );
    stream.write_all(request.as_bytes()).expect("sends");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("answers");
    reply.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn nobody_else_is_served_before_there_are_users() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [
        ["--port=0", "--host=0.0.0.0"],
        ["--port=0", "--behind-proxy"],
    ] {
        let (code, _, said) = outlay(folder.path(), &arguments, "");
        assert_eq!(code, 2, "{said}");
        assert!(
            said.contains("there are no users yet")
                && said.contains("outlay server user add NAME --role admin"),
            "{said}"
        );
    }
}

#[test]
fn users_and_tokens_are_made_in_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let server = Server::start(folder, 0);
    assert_eq!(status(&server.address, ""), "200");

    let add = ["user", "add", "ada", "--role", "editor"];
    let (code, _, said) = outlay(folder, &add, "short\n");
    assert_eq!(code, 2);
    assert!(said.contains("at least 12"), "{said}");
    let (code, said, _) = outlay(folder, &add, "correct horse battery\n");
    assert_eq!(code, 0);
    assert!(said.contains("`ada` may log in as editor"), "{said}");
    let (code, _, said) = outlay(folder, &add, "correct horse battery\n");
    assert_eq!(code, 2);
    assert!(said.contains("already"), "{said}");
    let (code, _, said) = outlay(folder, &["user", "add", "bob", "--role", "king"], "");
    assert_eq!(code, 2);
    assert!(said.contains("viewer, editor, admin"), "{said}");

    let create = ["token", "create", "--user", "ada", "--scope", "write"];
    let (code, token, _) = outlay(folder, &create, "");
    assert_eq!(code, 0);
    let token = token.trim();
    assert!(token.starts_with("outlay_"), "{token}");
    // A server that runs already asks for it, a second later at most.
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(status(&server.address, ""), "401");
    let head = format!("Authorization: Bearer {token}\r\n");
    assert_eq!(status(&server.address, &head), "200");

    let (_, listed, _) = outlay(folder, &["token", "list", "--json"], "");
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("is JSON");
    let id = listed[0]["id"].as_str().expect("has an id");
    assert!(!listed.to_string().contains(token));
    let (code, _, _) = outlay(folder, &["token", "revoke", id], "");
    assert_eq!(code, 0);
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(status(&server.address, &head), "401");

    let password = ["user", "password", "ada"];
    assert_eq!(outlay(folder, &password, "another password\n").0, 0);
    assert_eq!(outlay(folder, &["user", "role", "ada", "viewer"], "").0, 0);
    let (_, users, _) = outlay(folder, &["user", "list"], "");
    assert!(users.contains("ada") && users.contains("viewer"), "{users}");
    let (code, _, said) = outlay(folder, &["user", "remove", "ada"], "");
    assert_eq!(code, 0);
    assert!(said.contains("no users are left"), "{said}");
    let (code, _, said) = outlay(folder, &["user", "remove", "ada"], "");
    assert_eq!(code, 2);
    assert!(said.contains("there is no user `ada`"), "{said}");
}
