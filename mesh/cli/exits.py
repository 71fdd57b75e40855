"""Exit codes of the `rostrum` command, and which error leads to which.

Scripts rely on these numbers: never change one, only add. README.md has the same table; a test compares them.
"""

from __future__ import annotations

from enum import IntEnum

from mesh.errors import Code, RostrumError


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    """It did what it says."""
    FAILURE = 1
    """Something failed that no other code covers: a fault of ours, a start that did not succeed."""
    USAGE = 2
    """The command or one of its arguments is wrong; the same call will always fail."""
    NOT_RUNNING = 3
    """Rostrum does not run in this home folder."""
    NOT_FOUND = 4
    """No such agent or pod, or nothing of that name in an application, such as a debate."""
    UNAVAILABLE = 5
    """A service, its store, the broker or the model does not answer, or not in time; trying again may help."""
    NO_RESULT = 6
    """What was started came to its end without what it is for, such as a debate in which no seat ever spoke."""
    INTERRUPTED = 130
    """Ctrl-C, SIGTERM or a closed terminal, after what the command had started was ended."""


BY_CODE = {
    Code.INVALID_ARGUMENT: Exit.USAGE,
    Code.OUT_OF_RANGE: Exit.USAGE,
    Code.ALREADY_EXISTS: Exit.USAGE,
    Code.NOT_FOUND: Exit.NOT_FOUND,
    Code.PERMISSION_DENIED: Exit.FAILURE,
    Code.UNAVAILABLE: Exit.UNAVAILABLE,
    Code.DEADLINE_EXCEEDED: Exit.UNAVAILABLE,
    Code.RESOURCE_EXHAUSTED: Exit.UNAVAILABLE,
    Code.FAILED_PRECONDITION: Exit.FAILURE,
    Code.INTERNAL: Exit.FAILURE,
}

BY_REASON = {"NOT_RUNNING": Exit.NOT_RUNNING}
"""What has an exit code of its own, whatever its gRPC code."""


class CommandError(Exception):
    """A command cannot go on. The message is one line that says what to do."""

    def __init__(self, message: str, exit_code: Exit) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def exit_of(error: RostrumError) -> Exit:
    """Returns the exit code that an error leads to."""
    return BY_REASON.get(error.reason) or BY_CODE[error.code]


def line_of(error: RostrumError) -> str:
    """Returns what a person reads of an error: what is wrong, then what to do."""
    what = " ".join(error.message.split())
    if error.advice and error.advice not in what:
        return f"{what.rstrip('.')}: {error.advice}"
    return what
