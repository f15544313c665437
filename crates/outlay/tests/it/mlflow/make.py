"""Fills one of MLflow's own stores, through its client: make.py TRACKING_URI ARTIFACTS."""

import math
import os
import sys
import tempfile

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

uri, artifacts = sys.argv[1], sys.argv[2]
mlflow.set_tracking_uri(uri)
client = MlflowClient(uri)


def log_file(run_id, name, text, folder=None):
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, name)
        with open(path, "w") as out:
            out.write(text)
        client.log_artifact(run_id, path, folder)


first = client.create_experiment("bert é", artifact_location=f"{artifacts}/bert", tags={"team": "vision", "outlay.project": "paper"})
second = client.create_experiment("12e5")
gone = client.create_experiment("gone")
runs = []
for n in range(5):
    run = client.create_run(first, start_time=1_700_000_000_000 + n, run_name=f"run {n}", tags={"who": "é\n\"'", "mlflow.user": "ann"})
    run_id = run.info.run_id
    runs.append(run_id)
    points = [Metric("loss", 1 / (step + 1), 1_700_000_000_000 + step * 10, step) for step in range(50)]
    points += [Metric("loss", 0.5, 1_700_000_000_000 + 490, 49), Metric("loss", 0.5, 1_700_000_000_001, 7)]
    points += [Metric("odd", value, 1_700_000_000_000 + at, at) for at, value in enumerate([math.nan, math.inf, -math.inf, -0.0, 1e-320])]
    points += [Metric("eval/deep/acc", 0.1 * n, 1_700_000_000_000, -3)]
    client.log_batch(run_id, metrics=points, params=[Param("lr", "1e-3"), Param("a/b", ""), Param("long", "x" * 400)], tags=[RunTag("note", "line\nline")])
    log_file(run_id, "log.txt", f"hello {n}", "deep/er")
client.set_terminated(runs[0], "FINISHED", 1_700_000_900_000)
client.set_terminated(runs[1], "FAILED", 1_700_000_900_001)
client.set_terminated(runs[2], "KILLED", 1_700_000_900_002)
client.delete_run(runs[1])
in_gone = client.create_run(gone, start_time=5)
client.log_metric(in_gone.info.run_id, "loss", 1.0, timestamp=6, step=1)
client.delete_experiment(gone)
in_default = client.create_run("0", start_time=1_600_000_000_000)
client.log_param(in_default.info.run_id, "x", "y")

try:
    from mlflow.entities import Dataset, DatasetInput, InputTag
except ImportError:
    Dataset = None
if Dataset:
    one = Dataset("train", "12e45678", "local", '{"uri": "a.csv"}', '{"cols": 3}', '{"rows": 7}')
    two = Dataset("test", "abc", "http", "{}")
    tags = [InputTag("mlflow.data.context", "training"), InputTag("fold", "1")]
    client.log_inputs(runs[0], datasets=[DatasetInput(one, tags), DatasetInput(two, [])])
    client.log_inputs(runs[2], datasets=[DatasetInput(one, [])])

model_ids = []
if hasattr(client, "create_logged_model"):
    from mlflow.entities import LoggedModelInput, LoggedModelOutput

    for n in range(2):
        model = client.create_logged_model(first, name=f"m{n}", source_run_id=runs[0], tags={"kind": "a"}, params={"depth": "3"}, model_type="net")
        model_ids.append(model.model_id)
    client.finalize_logged_model(model_ids[0], "READY")
    # MLflow's own reader of folders takes the step of a value that was measured on data for 0.
    client.log_metric(runs[0], "acc", 0.75, timestamp=1_700_000_000_500, step=0, model_id=model_ids[0], dataset_name="train", dataset_digest="12e45678")
    client.log_outputs(runs[0], [LoggedModelOutput(model_ids[0], 4)])
    client.log_inputs(runs[2], models=[LoggedModelInput(model_ids[0])])

try:
    client.search_registered_models()
except Exception:
    # Folders of files had no registry before MLflow 2.1.
    sys.exit()
client.create_registered_model("resnet", tags={"a": "b"}, description="what it is")
client.create_registered_model("empty")
source = client.get_run(runs[0]).info.artifact_uri
for n in range(3):
    client.create_model_version("resnet", f"{source}/model", runs[0], tags={"n": str(n)}, description=f"version {n}")
client.delete_model_version("resnet", "2")
client.transition_model_version_stage("resnet", "1", "Production")
if hasattr(client, "set_registered_model_alias"):
    client.set_registered_model_alias("resnet", "champion", "3")
