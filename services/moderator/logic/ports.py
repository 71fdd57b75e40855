"""What the moderator's logic needs of the outside, as protocols: the store, traces and counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from services.moderator.model.change import Change, Event
    from services.moderator.model.debate import Debate, Step
    from services.moderator.model.turn import Ignored, Turn

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

    async def list_debates(self, limit: int, older_than: tuple[int, str] | None) -> Sequence[Debate]:
        """Returns debates, newest first."""
        ...

    async def list_turns(self, debate_id: str, after_number: int, limit: int) -> Sequence[Turn]:
        """Returns turns by number."""
        ...

    async def list_all_turns(self, debate: Debate) -> Sequence[Turn]:
        """Returns the turns that the debate had when it was as this one is, all of them."""
        ...

    async def list_events(self, debate_id: str, after_number: int, limit: int) -> Sequence[Event]:
        """Returns events by number."""
        ...

    async def count_events(self, debate_ids: Sequence[str]) -> Mapping[str, int]:
        """Returns the number of the newest event of each debate."""
        ...

    async def list_due(self, now_us: int, limit: int) -> Sequence[tuple[str, Step]]:
        """Returns what is overdue."""
        ...

    async def list_owned(self, owner: str) -> Sequence[str]:
        """Returns debates whose step this pod has."""
        ...

    async def renew_leases(self, versions: Mapping[str, int], due_us: int) -> frozenset[str]:
        """Moves the end of leases; returns the debates of those that another replica has."""
        ...


class Observer(Protocol):
    """RecordsTurns what is worth counting; must not raise."""

    def count_recorded_turn(self, turn: Turn) -> None:
        """A turn entered the record."""
        ...

    def count_ignored_turn(self, reason: Ignored) -> None:
        """A turn changed nothing."""
        ...

    def count_revoked_floor(self, attempt: int) -> None:
        """A deadline passed."""
        ...

    def count_failure(self, part: str) -> None:
        """Something failed that is tried again."""
        ...

    def resume_trace(self, debate: Debate, purpose: str) -> AbstractContextManager[object]:
        """A span of the debate's own trace around work that no call or record began."""
        ...

    def traceparent(self) -> str:
        """W3C Trace Context of what is being handled now; empty without a trace."""
        ...
