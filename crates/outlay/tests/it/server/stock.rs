//! The stock MLflow client, unchanged.

use std::process::Command;

use super::Server;

/// Runs a script with the client; `false` where there is no client.
pub(super) fn script(server: &Server, text: &str, modules: &str) -> bool {
    script_with(&server.address, text, modules, &[])
}

/// The same with variables of the environment.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(super) fn script_with(
    address: &str,
    text: &str,
    modules: &str,
    variables: &[(&str, &str)],
) -> bool {
    let Some(python) = std::env::var_os("OUTLAY_PEERS") else {
        eprintln!("skipped: OUTLAY_PEERS names no Python with {modules}");
        return false;
    };
    let has = Command::new(&python)
        .args(["-c", &format!("import {modules}")])
        .output()
        .expect("OUTLAY_PEERS is a Python");
    if !has.status.success() {
        eprintln!("skipped: OUTLAY_PEERS names no Python with {modules}");
        return false;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(&python)
        .args(["-c", text])
        .current_dir(folder.path())
        .env("MLFLOW_TRACKING_URI", format!("http://{address}"))
        .envs(variables.iter().copied())
        .env("MLFLOW_DISABLE_TELEMETRY", "true")
        .env("GIT_PYTHON_REFRESH", "quiet")
        .output()
        .expect("runs");
    let (out, error) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}\n{error}");
    assert!(out.contains("done"), "{out}\n{error}");
    true
}

/// What most scripts do.
pub(super) const TRACKING: &str = r#"
import math, mlflow, pathlib
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

mlflow.set_experiment("paper")
with mlflow.start_run(run_name="first") as run:
    mlflow.log_params({"lr": 0.1, "depth": 3})
    mlflow.log_metric("loss", 2.0, step=0)
    mlflow.log_metric("loss", 1.5, step=1)
    mlflow.log_metrics({"nan": math.nan, "inf": math.inf, "low": -math.inf})
    mlflow.set_tag("stage", "one")
    pathlib.Path("notes é.txt").write_text("hello")
    mlflow.log_artifact("notes é.txt", "a folder")
    mlflow.log_text("text", "deep/er/file.txt")
client = MlflowClient()
found = client.get_run(run.info.run_id)
assert found.info.status == "FINISHED", found.info
assert found.data.params == {"lr": "0.1", "depth": "3"}, found.data.params
assert found.data.metrics["loss"] == 1.5
assert math.isnan(found.data.metrics["nan"]) and found.data.metrics["inf"] == math.inf
assert [point.value for point in client.get_metric_history(run.info.run_id, "loss")] == [2.0, 1.5]
assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["a folder", "deep"]
path = client.download_artifacts(run.info.run_id, "a folder/notes é.txt")
assert pathlib.Path(path).read_text() == "hello"
assert mlflow.artifacts.load_text(run.info.artifact_uri + "/deep/er/file.txt") == "text"
runs = mlflow.search_runs(filter_string="metrics.loss < 2 and params.depth = '3'", output_format="list")
assert [one.info.run_id for one in runs] == [run.info.run_id]
try:
    client.log_param(run.info.run_id, "lr", "0.2")
    raise SystemExit("a parameter was changed")
except MlflowException as error:
    assert error.error_code == "INVALID_PARAMETER_VALUE", error
try:
    client.get_run("0" * 32)
    raise SystemExit("a run was made up")
except MlflowException as error:
    assert error.error_code == "RESOURCE_DOES_NOT_EXIST", error
print("done")
"#;

const AUTOLOG: &str = r#"
import mlflow, mlflow.sklearn
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

mlflow.autolog(silent=True)
x, y = load_iris(return_X_y=True)
with mlflow.start_run() as run:
    model = LogisticRegression(max_iter=200).fit(x, y)
client = mlflow.MlflowClient()
found = client.get_run(run.info.run_id)
assert found.data.params["max_iter"] == "200", found.data.params
assert "training_score" in found.data.metrics, found.data.metrics
assert found.inputs.dataset_inputs, found.inputs
logged = client.search_logged_models([run.info.experiment_id])
assert len(logged) == 1 and logged[0].status == "READY", logged
loaded = mlflow.sklearn.load_model(logged[0].model_uri)
assert (loaded.predict(x) == model.predict(x)).all()
version = mlflow.register_model(logged[0].model_uri, "iris")
client.set_registered_model_alias("iris", "best", version.version)
again = mlflow.sklearn.load_model("models:/iris@best")
assert (again.predict(x) == model.predict(x)).all()
print("done")
"#;

/// A file in parts.
pub(super) const PARTS: &str = r#"
import os, pathlib, mlflow
os.environ["MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"] = "true"
os.environ["MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE"] = str(6 << 20)
os.environ["MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE"] = str(5 << 20)
whole = os.urandom(13 << 20)
pathlib.Path("large.bin").write_bytes(whole)
with mlflow.start_run() as run:
    mlflow.log_artifact("large.bin")
path = mlflow.MlflowClient().download_artifacts(run.info.run_id, "large.bin")
assert pathlib.Path(path).read_bytes() == whole
print("done")
"#;

#[test]
fn a_script_logs_and_reads_back_what_it_logged() {
    let folder = tempfile::tempdir().expect("a folder");
    script(&Server::start(folder.path(), 0), TRACKING, "mlflow");
}

#[test]
fn autolog_with_scikit_learn_works_to_the_registered_model() {
    let folder = tempfile::tempdir().expect("a folder");
    script(&Server::start(folder.path(), 0), AUTOLOG, "mlflow, sklearn");
}

#[test]
fn a_large_file_goes_up_in_parts() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), 0);
    if script(&server, PARTS, "mlflow") {
        let kept = folder.path().join(".outlay/artifacts");
        let left: Vec<String> = std::fs::read_dir(kept)
            .expect("is there")
            .map(|entry| {
                entry
                    .expect("reads")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .filter(|name| name.starts_with(".outlay-aside"))
            .collect();
        assert!(left.is_empty(), "parts are left: {left:?}");
    }
}
