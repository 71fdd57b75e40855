"""http[].fault and http[].corsPolicy of a VirtualService: what the filters of those names do for one route.

Called by `mesh.sidecar.routing.routes`.
Source: istio/istio pilot/pkg/networking/core/route/route.go, TranslateFault and TranslateCORSPolicy.
"""

from __future__ import annotations

from envoy.config.core.v3 import base_pb2
from envoy.extensions.filters.common.fault.v3 import fault_pb2 as common_fault_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import any_pb2, wrappers_pb2

from mesh.manifests.document import Resource
from mesh.manifests.istio.fields import is_header_name
from mesh.manifests.istio.virtual_service import Abort, CorsPolicy, Fault, Percent, VirtualServiceSpec
from mesh.sidecar.messages import pack, to_duration
from mesh.sidecar.routing.matches import check_string, make_string_matcher

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*")
_SMALLEST_SHARE = 0.0001
"""Percent: Envoy counts in millionths."""
_GRPC_STATUS = {
    "OK": 0,
    "CANCELLED": 1,
    "UNKNOWN": 2,
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "ABORTED": 10,
    "OUT_OF_RANGE": 11,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "DATA_LOSS": 15,
    "UNAUTHENTICATED": 16,
}


def make_filter_configs(fault: Fault | None, cors: CorsPolicy | None) -> dict[str, any_pb2.Any]:
    """A route's typed_per_filter_config, by the filter's name."""
    found: dict[str, any_pb2.Any] = {}
    if fault is not None:
        found["envoy.filters.http.fault"] = pack(_make_fault(fault))
    if cors is not None:
        found["envoy.filters.http.cors"] = pack(_make_cors(cors))
    return found


def to_millionths(percent: Percent) -> percent_pb2.FractionalPercent:
    """A percentage as Envoy's fraction of a million."""
    return percent_pb2.FractionalPercent(
        numerator=int(percent.value * 10_000), denominator=percent_pb2.FractionalPercent.MILLION
    )


def _make_fault(fault: Fault) -> fault_pb2.HTTPFault:
    found = fault_pb2.HTTPFault()
    if fault.delay is not None:
        share = (
            percent_pb2.FractionalPercent() if fault.delay.percentage is None else to_millionths(fault.delay.percentage)
        )
        delay = common_fault_pb2.FaultDelay(fixed_delay=to_duration(fault.delay.fixed_delay), percentage=share)
        found.delay.CopyFrom(delay)
    if fault.abort is not None:
        if fault.abort.percentage is not None:
            found.abort.percentage.CopyFrom(to_millionths(fault.abort.percentage))
        if fault.abort.grpc_status is not None:
            found.abort.grpc_status = _GRPC_STATUS[fault.abort.grpc_status]
        else:
            found.abort.http_status = fault.abort.http_status or 0
    return found


def _make_cors(cors: CorsPolicy) -> cors_pb2.CorsPolicy:
    always = percent_pb2.FractionalPercent(numerator=100)
    found = cors_pb2.CorsPolicy(
        allow_origin_string_match=[make_string_matcher(origin) for origin in cors.allow_origins],
        allow_methods=",".join(cors.allow_methods),
        allow_headers=",".join(cors.allow_headers),
        expose_headers=",".join(cors.expose_headers),
        filter_enabled=base_pb2.RuntimeFractionalPercent(default_value=always),
        forward_not_matching_preflights=wrappers_pb2.BoolValue(value=cors.unmatched_preflights == "FORWARD"),
    )
    if cors.max_age is not None:
        found.max_age = str(int(cors.max_age.total_seconds()))
    if cors.allow_credentials is not None:
        found.allow_credentials.value = cors.allow_credentials
    return found


def check_percent(resource: Resource[VirtualServiceSpec], path: str, percent: Percent | None) -> None:
    """Raises ManifestError for less than 0 or more than 100."""
    if percent is not None and not 0 <= percent.value <= 100:
        raise resource.refuse(f"{path}.value", f"{percent.value:g} is no percentage: write 0 to 100")


def _check_share(resource: Resource[VirtualServiceSpec], path: str, percent: Percent | None) -> None:
    check_percent(resource, path, percent)
    if percent is not None and 0 < percent.value < _SMALLEST_SHARE:
        raise resource.refuse(f"{path}.value", f"{percent.value:g} is too small: write 0, or {_SMALLEST_SHARE} to 100")


def check_fault(resource: Resource[VirtualServiceSpec], path: str, fault: Fault) -> None:
    """Raises ManifestError for a fault that istiod or Envoy would refuse."""
    if fault.delay is None and fault.abort is None:
        raise resource.refuse(path, "says neither delay nor abort: write one or remove it")
    if fault.delay is not None:
        _check_share(resource, f"{path}.delay.percentage", fault.delay.percentage)
    if fault.abort is not None:
        _check_abort(resource, f"{path}.abort", fault.abort)


def _check_abort(resource: Resource[VirtualServiceSpec], path: str, abort: Abort) -> None:
    _check_share(resource, f"{path}.percentage", abort.percentage)
    if (abort.http_status is None) == (abort.grpc_status is None):
        raise resource.refuse(path, "one of httpStatus and grpcStatus is expected: write one")
    if abort.http_status is not None and not 200 <= abort.http_status <= 599:
        raise resource.refuse(f"{path}.httpStatus", f"{abort.http_status} is no status: write 200 to 599")
    if abort.grpc_status is not None and abort.grpc_status not in _GRPC_STATUS:
        known = ", ".join(_GRPC_STATUS)
        raise resource.refuse(f"{path}.grpcStatus", f"{abort.grpc_status} is no status: write one of {known}")


def check_cors(resource: Resource[VirtualServiceSpec], path: str, cors: CorsPolicy) -> None:
    """Raises ManifestError for origins that say nothing."""
    for number, origin in enumerate(cors.allow_origins):
        if not (origin.exact or origin.prefix or origin.regex):
            raise resource.refuse(f"{path}.allowOrigins[{number}]", "says nothing: write exact, prefix or regex")
        check_string(resource, f"{path}.allowOrigins[{number}]", origin)
    for number, method in enumerate(cors.allow_methods):
        if method not in _METHODS:
            what = f"{method!r} is no method: write one of {', '.join(_METHODS)}, in upper case"
            raise resource.refuse(f"{path}.allowMethods[{number}]", what)
    for field, headers in (("allowHeaders", cors.allow_headers), ("exposeHeaders", cors.expose_headers)):
        for number, name in enumerate(headers):
            if name != "*" and not is_header_name(name):
                raise resource.refuse(f"{path}.{field}[{number}]", f"{name!r} is no name of a header: correct it")
    if cors.max_age is not None and cors.max_age.microseconds:
        raise resource.refuse(f"{path}.maxAge", "is counted in whole seconds: round it")
