"""Compares two stores field by field, through MLflow's client: compare.py URI URI keep|copy."""

import json
import math
import os
import sys

from mlflow.entities import ViewType
from mlflow.tracking import MlflowClient

one, other, files = MlflowClient(sys.argv[1]), MlflowClient(sys.argv[2]), sys.argv[3]


def value(number):
    if math.isnan(number):
        return "nan"
    # MLflow's tables keep the greatest number of all for what was infinite.
    if abs(number) == sys.float_info.max:
        return math.copysign(math.inf, number)
    # SQLite keeps no sign of a zero, here and there.
    return number + 0.0


def said(text):
    # Over the network, nothing and an empty text are the same.
    return text or None


def metric(one):
    return (one.key, value(one.value), one.timestamp, one.step)


def address(text):
    return text if files == "keep" else os.path.basename(str(text))


def run(client, info):
    run = client.get_run(info.run_id)
    inputs = sorted(
        (i.dataset.name, i.dataset.digest, i.dataset.source_type, i.dataset.source, said(i.dataset.schema), said(i.dataset.profile), sorted((t.key, t.value) for t in i.tags))
        for i in getattr(getattr(run, "inputs", None), "dataset_inputs", None) or []
    )
    models_in = sorted(m.model_id for m in getattr(getattr(run, "inputs", None), "model_inputs", None) or [])
    models_out = sorted((m.model_id, m.step) for m in getattr(getattr(run, "outputs", None), "model_outputs", None) or [])
    info = run.info
    history = {key: sorted({repr(metric(m)) for m in client.get_metric_history(info.run_id, key)}) for key in run.data.metrics}
    return {
        "info": (info.run_id, info.run_name, info.user_id, info.status, info.start_time, info.end_time, info.lifecycle_stage, info.experiment_id, address(info.artifact_uri)),
        "params": run.data.params,
        "tags": run.data.tags,
        "metrics": {key: value(number) for key, number in run.data.metrics.items()},
        "history": history,
        "inputs": inputs,
        "models": (models_in, models_out),
    }


def artifacts(client, run_id, path=None):
    found = []
    for entry in client.list_artifacts(run_id, path):
        found.append((entry.path, entry.is_dir, entry.file_size))
        if entry.is_dir:
            found += artifacts(client, run_id, entry.path)
        elif files == "copy":
            with open(client.download_artifacts(run_id, entry.path), "rb") as content:
                found.append(content.read())
    return found


def model(client, model):
    model = client.get_logged_model(model.model_id)
    return {
        "info": (model.model_id, model.name, model.experiment_id, model.creation_timestamp, model.last_updated_timestamp, model.model_type, model.source_run_id, str(model.status), said(model.status_message), address(model.artifact_location)),
        "params": model.params,
        "tags": model.tags,
        "metrics": sorted(repr((metric(m), m.run_id, m.dataset_name, m.dataset_digest)) for m in model.metrics or []),
    }


def everything(client):
    found = {}
    experiments = client.search_experiments(view_type=ViewType.ALL)
    for e in experiments:
        location = address(e.artifact_location) if files == "keep" else ""
        found["experiment", e.experiment_id] = (e.name, location, e.lifecycle_stage, e.tags, e.creation_time, e.last_update_time)
        for r in client.search_runs([e.experiment_id], run_view_type=ViewType.ALL):
            found["run", r.info.run_id] = run(client, r.info)
            if files == "copy" and r.info.lifecycle_stage == "active":
                found["files", r.info.run_id] = artifacts(client, r.info.run_id)
        if hasattr(client, "search_logged_models") and e.lifecycle_stage == "active":
            for m in client.search_logged_models([e.experiment_id]):
                found["model", m.model_id] = model(client, m)
    try:
        registered = list(client.search_registered_models())
    except Exception:
        # Folders of files had no registry before MLflow 2.1.
        return found
    for m in registered:
        found["registered", m.name] = (said(m.description), m.tags, m.creation_timestamp, m.last_updated_timestamp, {k: str(v) for k, v in getattr(m, "aliases", {}).items()})
        for v in client.search_model_versions(f"name='{m.name}'"):
            found["version", m.name, str(v.version)] = (said(v.description), v.tags, v.current_stage, v.creation_timestamp, v.last_updated_timestamp, address(v.source), said(v.run_id), v.status, said(v.run_link), said(v.user_id), said(v.status_message))
    return found


mine, theirs = everything(one), everything(other)
different = 0
for key in sorted(set(mine) | set(theirs), key=repr):
    if mine.get(key) != theirs.get(key):
        different += 1
        print("DIFFERENT", key)
        a, b = mine.get(key), theirs.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            for part in a:
                if a[part] != b.get(part):
                    print("   ", part, a[part], "|||", b.get(part), sep="\n    ")
        else:
            print("   ", a, "|||", b, sep="\n    ")
print(f"compared {len(mine)} things, {different} differ")
sys.exit(1 if different else 0)
