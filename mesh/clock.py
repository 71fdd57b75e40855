"""The time of day, as a port: `logic` is given a Clock and reads no other; tests give mesh.testing.clock.FakeClock.

Durations that pass while something is awaited are the event loop's, not a Clock's.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Says what time it is."""

    def now_us(self) -> int:
        """Returns the time in microseconds since the epoch."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now_us(self) -> int:
        """See Clock."""
        return time.time_ns() // 1000
