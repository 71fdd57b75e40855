"""What every loop that tries again has in common: it backs off, counts, and says after a few failures what is wrong.

One `Retries` a loop, kept by whoever runs it. It decides neither what a failure is nor when to give up: a loop that may
end has a bound of its own, and one that may not (the broker is away, a child crashes at each start) is shown by its
`trouble`, which readiness and `rostrum status` repeat. tests/architecture/test_loops.py lists all loops of the tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_WHY_CHARACTERS = 300
"""Of what is shown of an error; the whole of it is in the log."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next try: doubled with each failure in a row, up to the longest."""

    first_seconds: float
    longest_seconds: float

    def wait_seconds(self, failures: int) -> float:
        """Returns the wait after so many failures in a row, from 1."""
        return min(self.first_seconds * 2.0 ** min(max(failures, 1) - 1, 30), self.longest_seconds)


class Retries:
    """The failures of one loop. One thread notes them; any may read."""

    def __init__(
        self,
        part: str,
        backoff: Backoff,
        *,
        quiet_failures: int = 2,
        count: Callable[[str], None] = lambda _part: None,
    ) -> None:
        """`part`: what is tried, for people and for `count`, such as "consumer of TOPIC".

        `quiet_failures`: as many in a row are no trouble yet: the next try may well succeed. `count` is called with
        the part at each failure, in whatever thread; a service's is mesh.telemetry.failures.
        """
        self.part = part
        self.in_a_row = 0
        self.total = 0
        """Since it was made; only grows."""
        self._backoff = backoff
        self._count = count
        self._quiet_failures = quiet_failures
        self._why = ""

    def note_failure(self, why: str) -> float:
        """Counts a failure and returns the seconds to wait before the next try."""
        self.in_a_row += 1
        self.total += 1
        self._why = why if len(why) <= MAX_WHY_CHARACTERS else why[: MAX_WHY_CHARACTERS - 3] + "..."
        self._count(self.part)
        return self._backoff.wait_seconds(self.in_a_row)

    def note_success(self) -> None:
        """Ends the row."""
        self.in_a_row = 0
        self._why = ""

    @property
    def trouble(self) -> str:
        """What is wrong, in a clause for people; empty while all is well or was for a short time."""
        if self.in_a_row <= self._quiet_failures:
            return ""
        return f"{self._why} (failed {self.in_a_row} times in a row)"


def describe_error(error: BaseException) -> str:
    """Returns an error in one line: its words, or its class where it has none."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
