"""Sends metrics with OpenTelemetry's own exporter: export.py URL RUN."""

import sys

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

exporter = OTLPMetricExporter(endpoint=sys.argv[1] + "/v1/metrics", compression=Compression.Gzip)
reader = PeriodicExportingMetricReader(exporter, export_interval_millis=600_000)
provider = MeterProvider([reader], resource=Resource.create({"mlflow.run_id": sys.argv[2]}))
meter = provider.get_meter("test")
tokens = meter.create_counter("tokens")
tokens.add(5)
tokens.add(7)
times = meter.create_histogram("step.time")
for time in [0.1, 0.2, 30.0]:
    times.record(time)
meter.create_gauge("gpu.power").set(250.5, {"gpu": 0})
assert provider.force_flush()
provider.shutdown()
