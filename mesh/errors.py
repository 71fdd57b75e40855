"""Every error of the runtime that a caller can meet, under one base: its gRPC code, reason, retriability and advice.

    RostrumError
    ├── InvalidArgumentError   INVALID_ARGUMENT      (subclasses: one a reason INVALID_*)
    ├── UnknownAgentError                            NOT_FOUND
    ├── RequestIdReusedError                         ALREADY_EXISTS
    ├── ModelError             (ModelUnavailableError UNAVAILABLE, ModelRefusedError FAILED_PRECONDITION)
    ├── StoreUnavailableError (StoreUnusableError)   UNAVAILABLE
    ├── BrokerUnavailableError                       UNAVAILABLE
    ├── RateLimitedError                             RESOURCE_EXHAUSTED
    ├── DeadlineError                                DEADLINE_EXCEEDED
    └── InternalError                                INTERNAL

An application derives its own from these in `services/<service>/errors.py`; nothing here names one. The class
attributes are the table; reasons are values of rostrum.errors.v1.ErrorReason (a test holds the two together). This
module imports neither grpc nor protobuf, so that `logic` may raise these; `mesh.rpc` turns them into google.rpc.Status
and back.
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """The gRPC status codes that Rostrum uses, by their names in grpc.StatusCode."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAVAILABLE = "UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"


class RostrumError(Exception):
    """Base of all. The message says what is wrong and what to do; `metadata` goes into ErrorInfo as it is."""

    code: Code = Code.INTERNAL
    reason: str = "INTERNAL"
    """Its name in ErrorReason: the class that gives one is the class that this reason comes back as."""
    retriable: bool = False
    """Whether the same call may succeed later, without anything else being changed."""
    advice: str = ""
    """What a person at the command line does next; empty where the message says it."""

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = metadata


class InvalidArgumentError(RostrumError):
    """An argument is wrong. Metadata: field, and value or limit."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"


class InvalidRequestIdError(InvalidArgumentError):
    """request_id is too long or not printable ASCII."""

    reason = "INVALID_REQUEST_ID"


class InvalidNameError(InvalidArgumentError):
    """Not of the form of the resource's name."""

    reason = "INVALID_NAME"


class InvalidPageSizeError(InvalidArgumentError):
    """page_size is negative."""

    reason = "INVALID_PAGE_SIZE"


class InvalidPageTokenError(InvalidArgumentError):
    """Not a token that this method returned for these arguments."""

    reason = "INVALID_PAGE_TOKEN"


class InvalidQuestionError(InvalidArgumentError):
    """The question is empty, too long, or has control characters."""

    reason = "INVALID_QUESTION"


class UnknownAgentError(RostrumError):
    """No such agent in this deployment. Metadata: agent."""

    code = Code.NOT_FOUND
    reason = "UNKNOWN_AGENT"
    advice = "`rostrum status` shows the agents there are"


class RequestIdReusedError(RostrumError):
    """The request_id was used with another request. Metadata: request_id."""

    code = Code.ALREADY_EXISTS
    reason = "REQUEST_ID_REUSED"


class ModelError(RostrumError):
    """A model gave no completion; never raised itself."""


class ModelUnavailableError(ModelError):
    """The model's server does not answer, or not in time. Metadata: model."""

    code = Code.UNAVAILABLE
    reason = "MODEL_UNAVAILABLE"
    retriable = True
    advice = "see whether the model's server runs (`rostrum status`, or `ollama ps`), then try again"


class ModelRefusedError(ModelError):
    """The model gave nothing usable, or its server refuses the request. Metadata: model."""

    code = Code.FAILED_PRECONDITION
    reason = "MODEL_REFUSED"


class StoreUnavailableError(RostrumError):
    """The store cannot be used now. Metadata: store."""

    code = Code.UNAVAILABLE
    reason = "STORE_UNAVAILABLE"
    retriable = True
    advice = "see `rostrum logs moderator` and whether the disk is full, then try again"


class StoreUnusableError(StoreUnavailableError):
    """The store's file is none of ours, is damaged, or is of a newer version; the message says what to do."""

    retriable = False
    advice = ""


class BrokerUnavailableError(RostrumError):
    """The broker cannot be used now."""

    code = Code.UNAVAILABLE
    reason = "BROKER_UNAVAILABLE"
    retriable = True
    advice = "see `rostrum status` and `rostrum logs kafka`, then try again"


class RateLimitedError(RostrumError):
    """Too many calls under way. Metadata: limit."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "RATE_LIMITED"
    retriable = True
    advice = "try again in a moment"


class DeadlineError(RostrumError):
    """The caller's deadline passed."""

    code = Code.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"
    retriable = True
    advice = "see `rostrum status`, then try again"


class InternalError(RostrumError):
    """A fault of ours. Metadata: error_id, which the log has too."""

    reason = "INTERNAL"
    advice = "`rostrum logs` has the details"
