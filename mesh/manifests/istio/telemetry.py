"""Telemetry: which calls are traced and which are logged, and by what sampling.

Which of several holds for a workload is in `mesh.sidecar.telemetry.telemetry`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mesh.manifests.document import Spec
from mesh.manifests.istio.fields import Number
from mesh.manifests.istio.selectors import Selected

Mode = Literal["CLIENT", "SERVER", "CLIENT_AND_SERVER"]


class Provider(Spec):
    """Where it goes, by a name of the mesh's."""

    name: str = Field(min_length=1)


class Match(Spec):
    """Which side of a call."""

    mode: Mode = "CLIENT_AND_SERVER"


class Filter(Spec):
    """A CEL expression over Envoy's attributes; what it is false for is not logged."""

    expression: str = Field(min_length=1)


class LiteralTag(Spec):
    """A text."""

    value: str = Field(min_length=1)


class HeaderTag(Spec):
    """A header of the request."""

    name: str = Field(min_length=1)
    default_value: str = ""


class CustomTag(Spec):
    """What a span gets besides Istio's own tags: one of the two."""

    literal: LiteralTag | None = None
    header: HeaderTag | None = None


class Tracing(Spec):
    """Spans of calls, which go to the mesh's one collector."""

    match: Match = Match()
    providers: tuple[Provider, ...] = Field((), max_length=1)
    random_sampling_percentage: Number | None = Field(None, ge=0, le=100)
    disable_span_reporting: bool | None = None
    custom_tags: dict[str, CustomTag] | None = None
    enable_istio_tags: bool | None = None


class AccessLogging(Spec):
    """Lines of JSON on the Envoy's standard output."""

    match: Match = Match()
    providers: tuple[Provider, ...] = ()
    disabled: bool = False
    filter: Filter | None = None


class Metrics(Spec):
    """The standard set, as it is."""

    providers: tuple[Provider, ...] = ()


class TelemetrySpec(Spec):
    """spec of a Telemetry."""

    selector: Selected = None
    tracing: tuple[Tracing, ...] = ()
    access_logging: tuple[AccessLogging, ...] = ()
    metrics: tuple[Metrics, ...] = ()
