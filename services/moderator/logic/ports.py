"""What the moderator's logic needs of the outside, as protocols: the store, time, traces, counters, the measure."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from services.moderator.model import Change, Debate, Event, Ignored, Step, Turn

T = TypeVar("T")


class Store(Protocol):
    """Debates, turns and events. Every method may raise StoreUnavailableError."""

    async def create(self, change: Change, request_id: str, digest: str) -> Change:
        """Stores a new debate; the first one of this request_id is returned instead. Raises RequestIdReusedError."""
        ...

    async def change(self, debate_id: str, decide: Callable[[Debate, int], Change | T]) -> Change | T:
        """Stores what `decide` makes of the debate as it is, by compare-and-set. Raises DebateNotFoundError."""
        ...

    async def get(self, debate_id: str) -> Debate:
        """Returns the debate. Raises DebateNotFoundError."""
        ...

    async def newest(self, limit: int, older_than: tuple[int, str] | None) -> Sequence[Debate]:
        """Returns debates, newest first."""
        ...

    async def turns(self, debate_id: str, after_number: int, limit: int) -> Sequence[Turn]:
        """Returns turns by number."""
        ...

    async def all_turns(self, debate: Debate) -> Sequence[Turn]:
        """Returns the turns that the debate had when it was as this one is, all of them."""
        ...

    async def events(self, debate_id: str, after_number: int, limit: int) -> Sequence[Event]:
        """Returns events by number."""
        ...

    async def event_counts(self, debate_ids: Sequence[str]) -> Mapping[str, int]:
        """Returns the number of the newest event of each debate."""
        ...

    async def due(self, now_us: int, limit: int) -> Sequence[tuple[str, Step]]:
        """Returns what is overdue."""
        ...

    async def owned(self, owner: str) -> Sequence[str]:
        """Returns debates whose step this pod has."""
        ...

    async def renew(self, versions: Mapping[str, int], due_us: int) -> frozenset[str]:
        """Moves the end of leases; returns those that were lost."""
        ...


class Observer(Protocol):
    """Hears what is worth counting; must not raise."""

    def turn_recorded(self, turn: Turn) -> None:
        """A turn entered the record."""
        ...

    def turn_ignored(self, reason: Ignored) -> None:
        """A turn changed nothing."""
        ...

    def floor_lost(self, attempt: int) -> None:
        """A deadline passed."""
        ...

    def resumed(self, debate: Debate, purpose: str) -> AbstractContextManager[object]:
        """A span of the debate's own trace around work that no call or record began."""
        ...

    def traceparent(self) -> str:
        """W3C Trace Context of what is being handled now; empty without a trace."""
        ...


def now_us() -> int:
    """Returns the time in microseconds since the epoch."""
    return time.time_ns() // 1000
