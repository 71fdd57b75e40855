"""Sets up OpenTelemetry once in a process: W3C propagation; spans and metrics go out by OTLP if an endpoint is set.

Without an endpoint spans still get ids, so that the trace context in calls and Kafka headers is whole, but none is
recorded (unless a caller's trace is), kept or sent. `as_current_span` then makes none below a caller's: the caller's
context goes on as it came, for half the price of a span that nobody will see.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import DEFAULT_OFF, DEFAULT_ON
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from mesh.proxies import is_local

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from opentelemetry.util.types import AttributeValue

_PROPAGATOR = TraceContextTextMapPropagator()
_NO_SPAN = nullcontext(trace.INVALID_SPAN)


class _Export:
    """Whether this process's own spans go out; true until `set_up` says otherwise, as for a tracer of a test."""

    spans = True


def set_up(service: str, pod: str, otlp_endpoint: str) -> None:
    """Makes this process's tracer and meter providers the global ones. `otlp_endpoint` empty: nothing is exported.

    What is buffered is exported when the process ends.
    """
    resource = Resource.create({"service.name": service, "service.instance.id": pod})
    provider = TracerProvider(resource=resource, sampler=DEFAULT_ON if otlp_endpoint else DEFAULT_OFF)
    if otlp_endpoint:
        _export(provider, resource, otlp_endpoint)
    trace.set_tracer_provider(provider)
    _Export.spans = bool(otlp_endpoint)


def _export(provider: TracerProvider, resource: Resource, endpoint: str) -> None:
    # Imported only here: the exporters cost memory that a process without an endpoint need not pay.
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    # gRPC has its own way to read the environment; what leads to models must not get what goes to this machine.
    options: Any = (("grpc.enable_http_proxy", 0),) if is_local(endpoint) else ()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, channel_options=options)))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=endpoint, channel_options=options))
    metrics.set_meter_provider(MeterProvider(resource=resource, metric_readers=[reader]))


def extract(headers: Mapping[str, str]) -> Context:
    """Returns the context that W3C headers name; one without a parent if they name none."""
    return _PROPAGATOR.extract(headers, context=Context())


def trace_headers() -> dict[str, str]:
    """Returns the W3C headers of the span that is current here; empty without one."""
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers)
    return headers


def as_current_span(
    tracer: trace.Tracer, name: str, kind: trace.SpanKind, attributes: Mapping[str, AttributeValue]
) -> AbstractContextManager[trace.Span]:
    """Makes a span that is current inside; none where it would only be a new id below one that is not recorded."""
    if not _Export.spans:
        caller = trace.get_current_span().get_span_context()
        if caller.is_valid and not caller.trace_flags.sampled:
            return _NO_SPAN
    return tracer.start_as_current_span(name, kind=kind, attributes=attributes)
