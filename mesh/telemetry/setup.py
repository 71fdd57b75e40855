"""Sets up OpenTelemetry once in a process: W3C propagation, spans, and an OTLP exporter only if an endpoint is set.

Without an endpoint spans still get ids, so that the trace context in calls and Kafka headers is whole, but nothing is
kept or sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROPAGATOR = TraceContextTextMapPropagator()


def set_up(service: str, pod: str, otlp_endpoint: str) -> TracerProvider:
    """Makes this process's tracer provider the global one. `otlp_endpoint` empty: nothing is exported."""
    resource = Resource.create({"service.name": service, "service.instance.id": pod})
    provider = TracerProvider(resource=resource)
    if otlp_endpoint:
        # Imported only here: the exporter costs memory that a process without an endpoint need not pay.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=otlp_endpoint)))
    trace.set_tracer_provider(provider)
    return provider


def inject() -> dict[str, str]:
    """Returns the W3C headers of the span that is current here; empty without one."""
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers)
    return headers


def extract(headers: Mapping[str, str]) -> Context:
    """Returns the context that W3C headers name; one without a parent if they name none."""
    return _PROPAGATOR.extract(headers, context=Context())
