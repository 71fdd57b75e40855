"""Wakes those who watch a debate when it has new events: at once if this process made them, else within a poll.

Watchers have a position of their own and share nothing that changes: the newest committed events, if these follow
their position without a gap, else they read the store. No queue to overflow, no copy to go stale. One query an
interval asks for all watched debates at once, however many watch; with nobody watching nothing is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from mesh.retries import Backoff, Retries, describe_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from services.moderator.model.change import Event

_log = logging.getLogger(__name__)

# Between two looks for events that another replica stored; the delay of a watch on the wrong replica.
POLL_INTERVAL_SECONDS = 0.2
# The same while the store does not answer.
BACKOFF = Backoff(0.2, 2.0)
# Events of a watched debate that are kept for those who are up to date; one turn makes at most four.
MAX_RECENT = 16
# From a commit until its watchers are notified, who then get all that came meanwhile at once. The next floor is on its
# way by then: it would wait for the interpreter while the events are written.
WAKE_SECONDS = 0.002


class WatchedDebate:
    """A debate that somebody watches."""

    __slots__ = ("_recent", "_timer", "newest", "waiting", "watchers")

    def __init__(self) -> None:
        self.newest = 0
        self._timer: asyncio.TimerHandle | None = None
        self._recent: tuple[Event, ...] = ()
        self.watchers = 0
        self.waiting: dict[asyncio.Future[None], int] = {}

    def notify(self, event_count: int) -> None:
        """Wakes those who wait with fewer events, soon."""
        if event_count > self.newest:
            self.newest = event_count
            if self._timer is None and self.waiting:
                self._timer = asyncio.get_running_loop().call_later(WAKE_SECONDS, self._wake)

    def _wake(self) -> None:
        self._timer = None
        for future, known in self.waiting.items():
            if self.newest > known and not future.done():
                future.set_result(None)

    def keep(self, events: tuple[Event, ...]) -> None:
        """Keeps the newest committed events, without a gap: those who are up to date need not read them again."""
        if self._recent and events and events[0].number == self._recent[-1].number + 1:
            events = (*self._recent, *events)[-MAX_RECENT:]
        self._recent = events

    def events_after(self, number: int) -> tuple[Event, ...]:
        """Returns the events above a number if they are all kept; else none, and the store has them."""
        if not self._recent or self._recent[0].number > number + 1:
            return ()
        return tuple(event for event in self._recent if event.number > number)

    async def wait(self, known: int) -> None:
        """Returns when the debate has more events than `known`."""
        if self.newest > known:
            return
        future = asyncio.get_running_loop().create_future()
        self.waiting[future] = known
        try:
            await future
        finally:
            del self.waiting[future]


class Wakeups:
    """Who watches which debate. On one event loop."""

    def __init__(self, count_events: Callable[[Sequence[str]], Awaitable[Mapping[str, int]]]) -> None:
        self._event_counts = count_events
        self._watched: dict[str, WatchedDebate] = {}
        self._poller: asyncio.Task[None] | None = None

    def notify(self, debate_id: str, event_count: int, events: tuple[Event, ...] = ()) -> None:
        """Wakes those who have fewer events of this debate; `events` are the committed ones that it got."""
        watched = self._watched.get(debate_id)
        if watched is not None:
            if events:
                watched.keep(events)
            watched.notify(event_count)

    @contextlib.contextmanager
    def watch(self, debate_id: str) -> Iterator[WatchedDebate]:
        """Inside, no event of the debate is missed between a read of the store and a `wait`."""
        watched = self._watched.setdefault(debate_id, WatchedDebate())
        watched.watchers += 1
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll())
        try:
            yield watched
        finally:
            watched.watchers -= 1
            if watched.watchers == 0:
                del self._watched[debate_id]

    async def aclose(self) -> None:
        """Ends the polling. Idempotent."""
        poller, self._poller = self._poller, None
        if poller is not None:
            poller.cancel()
            await asyncio.wait([poller])

    async def _poll(self) -> None:
        retries = Retries("watching", BACKOFF)
        seconds = POLL_INTERVAL_SECONDS
        while self._watched:
            await asyncio.sleep(seconds)
            if not self._watched:
                break
            try:
                counts = await self._event_counts(list(self._watched))
            except Exception as error:  # noqa: BLE001 - a poller that ended would leave watchers without a word
                seconds = retries.note_failure(describe_error(error))
                _log.warning("watching waits for the store: %s", describe_error(error))
                continue
            retries.note_success()
            seconds = POLL_INTERVAL_SECONDS
            for debate_id, count in counts.items():
                self.notify(debate_id, count)
        self._poller = None
