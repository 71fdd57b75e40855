"""The errors of debates that a caller of DebateService can meet, each with its gRPC code, reason and advice.

Owns what only a debate can refuse; what any service refuses is in `mesh.errors`, which these derive from, so that
`mesh.rpc` carries them without knowing them. Raised by `logic` and `store`; rostrum.errors.v1.ErrorReason documents
each.
"""

from __future__ import annotations

from mesh.errors import Code, InvalidArgumentError, RostrumError


class InvalidTopicError(InvalidArgumentError):
    """The topic is empty, too long, or has control characters."""

    reason = "INVALID_TOPIC"


class InvalidRoundsError(InvalidArgumentError):
    """max_rounds is out of range."""

    reason = "INVALID_ROUNDS"


class InvalidSeatsError(InvalidArgumentError):
    """The seats cannot hold a debate."""

    reason = "INVALID_SEATS"


class InvalidBudgetError(InvalidArgumentError):
    """token_budget is out of range or pays for nothing."""

    reason = "INVALID_BUDGET"


class InvalidSettingsError(InvalidArgumentError):
    """A field of DebateSettings is out of range."""

    reason = "INVALID_SETTINGS"


class InvalidLanguageError(InvalidArgumentError):
    """language is no tag of a language."""

    reason = "INVALID_LANGUAGE"
    advice = "a language is named by its BCP 47 tag, such as en, de or zh"


class DebateNotFoundError(RostrumError):
    """No such debate. Metadata: debate."""

    code = Code.NOT_FOUND
    reason = "DEBATE_NOT_FOUND"
    advice = "`rostrum list` shows the debates there are"


class EventNotYetError(RostrumError):
    """after_number is beyond the newest event. Metadata: after_number, newest."""

    code = Code.OUT_OF_RANGE
    reason = "EVENT_NOT_YET"
