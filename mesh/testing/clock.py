"""A clock that stands still until a test moves it."""

from __future__ import annotations

NOW_US = 1_700_000_000_000_000
"""Where it begins, in microseconds since the epoch."""


class FakeClock:
    """Implements mesh.clock.Clock."""

    def __init__(self, now_us: int = NOW_US) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        """See mesh.clock.Clock."""
        return self._now_us

    def advance(self, seconds: float) -> None:
        """Moves it forward."""
        self._now_us += round(seconds * 1e6)
