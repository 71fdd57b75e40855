"""http[].retries of a VirtualService, and the policy of a route that says nothing of retries.

Called by `mesh.sidecar.routing.actions` and `mesh.sidecar.routing.routes`.
Source: istio/istio pilot/pkg/networking/core/route/retry/retry.go.
"""

from __future__ import annotations

from http import HTTPStatus

from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.extensions.retry.priority.previous_priorities.v3 import previous_priorities_config_pb2

from mesh.manifests.document import Resource
from mesh.manifests.istio.virtual_service import Retries, VirtualServiceSpec
from mesh.sidecar.messages import pack, to_duration, to_uint32

_DEFAULT_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
_CONDITIONS = frozenset(
    {
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "envoy-ratelimited",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
        "retriable-headers",
        "http3-post-connect-failure",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    }
)
"""Envoy's x-envoy-retry-on and x-envoy-retry-grpc-on (router filter)."""
_LEFT_WITHOUT_RETRIES = {"attempts", "backoff", "retry_ignore_previous_hosts"}
"""What istiod, too, lets stand where nothing is tried again."""


def make_retry_policy(retries: Retries | None, *, hashed: bool) -> route_components_pb2.RetryPolicy | None:
    """The RetryPolicy of a route; None where nothing is tried again.

    A route that is `hashed` leads to one endpoint by consistent hash, so tries stay with it.
    """
    if retries is None:
        return _make_policy(Retries(attempts=2), other_hosts=not hashed)
    if retries.attempts == 0:
        return None
    said = retries.retry_ignore_previous_hosts
    return _make_policy(retries, other_hosts=not hashed if said is None else said)


def _make_policy(retries: Retries, *, other_hosts: bool) -> route_components_pb2.RetryPolicy:
    conditions, codes = _split_conditions(retries.retry_on)
    found = route_components_pb2.RetryPolicy(
        retry_on=conditions or _DEFAULT_RETRY_ON,
        num_retries=to_uint32(retries.attempts),
        host_selection_retry_max_attempts=5,
        retriable_status_codes=codes,
    )
    if other_hosts:
        found.retry_host_predicate.add(
            name="envoy.retry_host_predicates.previous_hosts",
            typed_config=pack(previous_hosts_pb2.PreviousHostsPredicate()),
        )
    if retries.per_try_timeout is not None:
        found.per_try_timeout.CopyFrom(to_duration(retries.per_try_timeout))
    if retries.retry_remote_localities:
        found.retry_priority.name = "envoy.retry_priorities.previous_priorities"
        config = previous_priorities_config_pb2.PreviousPrioritiesConfig(update_frequency=2)
        found.retry_priority.typed_config.CopyFrom(pack(config))
    if retries.backoff is not None:
        found.retry_back_off.base_interval.CopyFrom(to_duration(retries.backoff))
    return found


def _split_conditions(retry_on: str) -> tuple[str, list[int]]:
    """Conditions, and the status codes among them, which Envoy wants apart."""
    words = retry_on.split(",") if retry_on else []
    codes = [int(word) for word in words if _is_code(word)]
    conditions = ",".join(word for word in words if not _is_code(word))
    if codes and "retriable-status-codes" not in conditions:
        # As istiod writes it, with a comma in front where codes are all that is said. Envoy passes over it.
        conditions += ",retriable-status-codes"
    return conditions, codes


def _is_code(word: str) -> bool:
    return word.isdigit() and int(word) in {status.value for status in HTTPStatus}


def check_retries(resource: Resource[VirtualServiceSpec], path: str, retries: Retries) -> None:
    """Raises ManifestError for what istiod refuses, and for a condition that Envoy does not know."""
    if retries.attempts < 0:
        raise resource.refuse(f"{path}.attempts", f"{retries.attempts} is below 0: write 0 to switch retries off")
    if retries.attempts == 0 and retries.model_fields_set - _LEFT_WITHOUT_RETRIES:
        raise resource.refuse(path, "attempts is 0, which switches retries off: set it, or remove the other fields")
    for word in retries.retry_on.split(",") if retries.retry_on else ():
        if word not in _CONDITIONS and not _is_code(word):
            known = ", ".join(sorted(_CONDITIONS))
            raise resource.refuse(f"{path}.retryOn", f"{word!r} is no condition: write a status code or of {known}")
