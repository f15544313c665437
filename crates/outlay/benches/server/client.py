"""Measures a tracking server with the stock MLflow client, and prints JSON.

Arguments: the server's address and its process id. The data stay in the server, so each measurement takes a fresh one.
With `alone` for the process id, the address answers `{}` to anything, and what is measured is the client itself.
"""

import json
import os
import socket
import statistics
import sys
import threading
import time

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import psutil
import requests
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

SECONDS, RUNS, POINTS = 4.0, 500, 100_000
url = sys.argv[1]
alone = sys.argv[2] == "alone"
pid = os.getpid() if alone else int(sys.argv[2])
api = f"{url}/api/2.0/mlflow"
client, session, now = MlflowClient(url), requests.Session(), time.perf_counter
found = {}


def resident_mib():
    root = psutil.Process(pid)
    total = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            pass
    return total / 2**20


def median_ms(work, n):
    times = []
    for _ in range(n):
        begun = now()
        work()
        times.append((now() - begun) * 1e3)
    return statistics.median(times)


class Bare:
    """A connection that does nothing but send and receive, so that a server is measured and not the client's library."""

    def __init__(self):
        host, port = url.removeprefix("http://").split(":")
        self.head = f"Host: {host}:{port}\r\nContent-Type: application/json\r\n"
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, path, body):
        head = f"POST /api/2.0/mlflow/{path} HTTP/1.1\r\n{self.head}Content-Length: {len(body)}\r\n\r\n"
        self.socket.sendall(head.encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.receive(1 << 20)
        head, _, rest = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        fields = [line.split(b":", 1) for line in head.lower().split(b"\r\n")[1:]]
        left = int(dict(fields)[b"content-length"]) - len(rest)
        while left > 0:
            left -= len(self.receive(min(left, 1 << 20)))

    def receive(self, most):
        part = self.socket.recv(most)
        assert part, "the server closed the connection"
        return part


found["memory at rest, MiB"] = resident_mib()
peak, ended = [0.0], threading.Event()


def watch():
    while not ended.wait(0.2):
        peak[0] = max(peak[0], resident_mib())


threading.Thread(target=watch, daemon=True).start()

if alone:
    run = long_run = "0" * 32
else:
    experiment = client.create_experiment(f"bench-{time.time_ns()}")
    run = client.create_run(experiment).info.run_id
    long_run = client.create_run(experiment).info.run_id
for step in range(5):
    client.log_metric(run, "warm", step, step=step)
n, begun = 0, now()
while now() - begun < SECONDS:
    client.log_metric(run, "loss", 0.5 * n, step=n)
    n += 1
found["log_metric calls/s, client"] = n / (now() - begun)

bare = Bare()
n, begun = 0, now()
while now() - begun < SECONDS:
    body = {"run_id": run, "key": "raw", "value": 1.5, "timestamp": 1700000000000, "step": n}
    bare.post("runs/log-metric", json.dumps(body).encode())
    n += 1
found["log_metric calls/s, bare connection"] = n / (now() - begun)

at = int(time.time() * 1000)
batches = [
    [Metric("history", step * 0.001, at + step, step) for step in range(first, first + 1000)]
    for first in range(0, POINTS, 1000)
]
begun = now()
for batch in batches:
    client.log_batch(long_run, metrics=batch)
found["log_batch metrics/s, client"] = POINTS / (now() - begun)

bodies = [
    json.dumps(
        {
            "run_id": long_run,
            "metrics": [
                {"key": "raw", "value": one.value, "timestamp": one.timestamp, "step": one.step} for one in batch
            ],
        }
    )
    for batch in batches
]
# Servers close a connection that is quiet for some seconds.
bare = Bare()
begun = now()
for body in bodies:
    bare.post("runs/log-batch", body.encode())
found["log_batch metrics/s, bare connection"] = POINTS / (now() - begun)
if alone:
    print(json.dumps(found))
    sys.exit()

searched = client.create_experiment(f"bench-search-{time.time_ns()}")
begun = now()
for i in range(RUNS):
    one = client.create_run(searched, run_name=f"run-{i}").info.run_id
    client.log_batch(
        one,
        metrics=[Metric(f"metric_{j}", i + j / 10, at, 0) for j in range(12)],
        params=[Param(f"param_{j}", f"value-{i}-{j}") for j in range(12)],
        tags=[RunTag(f"tag_{j}", f"t{i % 10}-{j}") for j in range(12)],
    )
found["runs made with a batch/s"] = RUNS / (now() - begun)


def search():
    runs = client.search_runs([searched], max_results=RUNS)
    assert len(runs) == RUNS and len(runs[0].data.metrics) == 12, len(runs)


def search_raw():
    body = {"experiment_ids": [searched], "max_results": RUNS}
    session.post(f"{api}/runs/search", json=body).raise_for_status()


def search_filtered():
    condition = "metrics.metric_3 > 250 and params.param_1 LIKE 'value-%' and tags.tag_0 = 't7-0'"
    runs = client.search_runs([searched], condition, order_by=["metrics.metric_3 DESC"])
    assert len(runs) == 25, len(runs)


found["search_runs of 500, client, ms"] = median_ms(search, 5)
found["search_runs of 500, raw, ms"] = median_ms(search_raw, 5)
found["search_runs with a filter, client, ms"] = median_ms(search_filtered, 5)


def history():
    points = client.get_metric_history(long_run, "history")
    assert len(points) == POINTS, len(points)


def history_raw():
    query = {"run_id": long_run, "metric_key": "history"}
    session.get(f"{api}/metrics/get-history", params=query).raise_for_status()


found["history of 100,000 points, client, ms"] = median_ms(history, 3)
found["history of 100,000 points, raw, ms"] = median_ms(history_raw, 3)
ended.set()
found["memory at most, MiB"] = max(peak[0], resident_mib())
print(json.dumps(found))
