"""Errors on the wire: RostrumError to google.rpc.Status with ErrorInfo, and back.

The table is in the classes themselves (mesh/errors.py, and the errors.py of a service); here it is only looked up.
Both directions go through the reason. One whose class this process has not imported comes back as an
UnknownReasonError with the same code, reason, message and metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from mesh import errors
from mesh.errors import RostrumError

if TYPE_CHECKING:
    from collections.abc import Iterator

DOMAIN = "rostrum.dev"
"""ErrorInfo.domain of every error of ours."""
DETAILS_KEY = "grpc-status-details-bin"


def _classes(base: type[RostrumError]) -> Iterator[type[RostrumError]]:
    yield base
    for cls in base.__subclasses__():
        yield from _classes(cls)


def by_reason() -> dict[str, type[RostrumError]]:
    """Returns the class of each reason that this process knows; those that only inherit their reason are left out."""
    return {cls.reason: cls for cls in _classes(RostrumError) if cls.__dict__.get("reason") and cls is not RostrumError}


def to_status(error: RostrumError) -> status_pb2.Status:
    """Returns the status that carries this error."""
    detail = any_pb2.Any()
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    detail.Pack(info)
    return status_pb2.Status(code=code_pb2.Code.Value(error.code), message=error.message, details=[detail])


def trailers(error: RostrumError) -> tuple[tuple[str, bytes], ...]:
    """Returns the trailing metadata that carries this error's details."""
    return ((DETAILS_KEY, to_status(error).SerializeToString()),)


def from_rpc_error(error: grpc.RpcError) -> RostrumError:
    """Returns the error that a failed call stands for.

    A call that no service of ours answered (no connection, a deadline on this side, a sidecar that refuses it) has no
    ErrorInfo: its gRPC code decides, and an unknown code becomes an InternalError.
    """
    code = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
    message = (error.details() if hasattr(error, "details") else None) or str(code)
    metadata: Any = error.trailing_metadata() if hasattr(error, "trailing_metadata") else None
    for key, value in metadata or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            found = _from_details(value)
            if found is not None:
                return found
    return _without_details(code, message)


def has_reason(error: grpc.RpcError) -> bool:
    """Whether a failed call carries a reason of ours: then a service has sent it, and nothing on the way."""
    metadata: Any = error.trailing_metadata() if hasattr(error, "trailing_metadata") else None
    return any(
        key == DETAILS_KEY and isinstance(value, bytes) and _from_details(value) is not None
        for key, value in metadata or ()
    )


def _without_details(code: grpc.StatusCode, message: str) -> RostrumError:
    match code:
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return errors.DeadlineError("the call took longer than it may; try again")
        case grpc.StatusCode.RESOURCE_EXHAUSTED if "larger than max" not in message:
            return errors.RateLimitedError(f"too many calls ({message})")
        case grpc.StatusCode.RESOURCE_EXHAUSTED | grpc.StatusCode.INVALID_ARGUMENT:
            what = "" if code is grpc.StatusCode.INVALID_ARGUMENT else "too many bytes in one message: "
            return errors.InvalidArgumentError(f"{what}{message}", field="request")
        case grpc.StatusCode.UNAVAILABLE:
            return UnreachableError(f"the service does not answer ({message})")
        case grpc.StatusCode.PERMISSION_DENIED | grpc.StatusCode.UNAUTHENTICATED:
            return RefusedByPolicyError(f"the mesh's policies refuse this call ({code.name}: {message})")
        case _:
            return errors.InternalError(f"{code.name}: {message}")


class UnreachableError(RostrumError):
    """No connection to the service, or it broke. Made on the caller's side only: it never crosses the wire."""

    code = errors.Code.UNAVAILABLE
    reason = ""
    retriable = True
    advice = "see `rostrum status`, then try again"


class RefusedByPolicyError(RostrumError):
    """A sidecar or the ingress lets this caller not in. Made on the caller's side only."""

    code = errors.Code.PERMISSION_DENIED
    reason = ""
    advice = "`rostrum get AuthorizationPolicy` shows which there are"


_RETRIABLE = {errors.Code.UNAVAILABLE, errors.Code.RESOURCE_EXHAUSTED, errors.Code.DEADLINE_EXCEEDED}


class UnknownReasonError(RostrumError):
    """A service's own error, whose class this caller has not imported. Made on the caller's side only."""

    reason = ""

    def __init__(self, code: errors.Code, reason: str, message: str, **metadata: str) -> None:
        super().__init__(message, **metadata)
        self.code = code
        self.reason = reason
        self.retriable = code in _RETRIABLE


def _from_details(encoded: bytes) -> RostrumError | None:
    status = status_pb2.Status.FromString(encoded)
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == DOMAIN:
            cls = by_reason().get(info.reason)
            if cls is not None:
                return cls(status.message, **info.metadata)
            name = code_pb2.Code.Name(status.code) if status.code in code_pb2.Code.values() else ""
            code = errors.Code[name] if name in errors.Code.__members__ else errors.Code.INTERNAL
            return UnknownReasonError(code, info.reason, status.message, **info.metadata)
    return None
