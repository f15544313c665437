//! The server's own description of its API, and what a tool that reads it sends.

use std::process::Command;

use super::Server;

/// Schemathesis makes requests from the description, valid and not: none is answered with 5xx, and every answer is as described.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
#[test]
fn answers_are_as_the_description_says() {
    let skipped = || eprintln!("skipped: OUTLAY_PEERS names no Python with schemathesis");
    let Some(python) = std::env::var_os("OUTLAY_PEERS") else {
        return skipped();
    };
    let has = Command::new(&python)
        .args(["-c", "import schemathesis"])
        .output()
        .expect("OUTLAY_PEERS is a Python");
    if !has.status.success() {
        return skipped();
    }
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), 0);
    let described = format!("http://{}/api/v1/openapi.json", server.address);
    let output = Command::new(&python)
        .args(["-m", "schemathesis.cli", "run", &described, "--checks"])
        .arg("not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance")
        .args(["--phases", "coverage,fuzzing", "--max-examples", "5"])
        .args(["--suppress-health-check", "all", "--generation-deterministic", "--no-color"])
        .current_dir(folder.path())
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    // A description that is not found has nothing to fail.
    assert!(said.contains("Tested: 3"), "{said}");
}
