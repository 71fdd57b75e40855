"""Sets up OpenTelemetry once in a process: W3C propagation; spans and metrics go out by OTLP if an endpoint is set.

Without an endpoint spans still get ids, so that the trace context in calls and Kafka headers is whole, but none is
recorded (unless a caller's trace is), kept or sent: a span that nobody will see costs a tenth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import DEFAULT_OFF, DEFAULT_ON
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROPAGATOR = TraceContextTextMapPropagator()


def set_up(service: str, pod: str, otlp_endpoint: str) -> None:
    """Makes this process's tracer and meter providers the global ones. `otlp_endpoint` empty: nothing is exported.

    What is buffered is exported when the process ends.
    """
    resource = Resource.create({"service.name": service, "service.instance.id": pod})
    provider = TracerProvider(resource=resource, sampler=DEFAULT_ON if otlp_endpoint else DEFAULT_OFF)
    if otlp_endpoint:
        _export(provider, resource, otlp_endpoint)
    trace.set_tracer_provider(provider)


def _export(provider: TracerProvider, resource: Resource, endpoint: str) -> None:
    # Imported only here: the exporters cost memory that a process without an endpoint need not pay.
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=endpoint))
    metrics.set_meter_provider(MeterProvider(resource=resource, metric_readers=[reader]))


def extract(headers: Mapping[str, str]) -> Context:
    """Returns the context that W3C headers name; one without a parent if they name none."""
    return _PROPAGATOR.extract(headers, context=Context())
