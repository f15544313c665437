"""Reads a server's metrics with Prometheus' own parsers: scrape.py URL."""

import sys
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read_plain

url = sys.argv[1] + "/metrics"
for accept, read in [("text/plain;version=0.0.4", read_plain), ("application/openmetrics-text;version=1.0.0", read_open)]:
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request) as answer:
        kind = answer.headers["Content-Type"]
        text = answer.read().decode()
    assert kind.startswith(accept.split(";")[0]), kind
    families = list(read(text))
    names = {family.name: family.type for family in families}
    assert names["outlay_http_request_duration_seconds"] == "histogram", names
    assert names["outlay_http_requests"] == "counter", names
    assert names["outlay_spent"] == "gauge", names
    print(len(families), "families,", sum(len(family.samples) for family in families), "samples")
    for family in families:
        for sample in family.samples:
            if sample.name.startswith(("outlay_spent", "outlay_budget", "outlay_run")):
                print(sample.name, sample.labels, sample.value)
