"""Those who watch a floor: what they are notified of, by this process's drafts or, where it writes none, the store.

Each watcher has a position of its own and no queue. Bounded: so many watchers at once, and none that waits for a
floor which never comes.
"""

from __future__ import annotations

import time
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

from mesh.agent.model import DraftCommitted, DraftStarted, DraftWithdrawn, DraftWritten, Withdrawal
from mesh.errors import InvalidArgumentError, RateLimitedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from mesh.agent.drafts import Drafts, FloorDraft
    from mesh.agent.model import DraftEvent
    from mesh.agent.ports import Store

MAX_WATCHERS = 200
"""At once in one process, below the server's limit of calls: whoever reads what was said is never kept out."""
WAIT_SECONDS = 600.0
"""For a floor to begin: as long as a turn may take at most, so that who watches the next one sees it begin."""
POLL_INTERVAL_SECONDS = 1.0
"""Between two looks into the store for a turn that another replica may be writing."""


class Watching:
    """Who watches which floor of this agent. Used on one event loop."""

    def __init__(
        self,
        drafts: Drafts,
        store: Store,
        *,
        max_watchers: int = MAX_WATCHERS,
        wait_seconds: float = WAIT_SECONDS,
        poll_interval_seconds: float = POLL_INTERVAL_SECONDS,
    ) -> None:
        self._drafts = drafts
        self._store = store
        self._max_watchers = max_watchers
        self._wait_seconds = wait_seconds
        self._poll_interval_seconds = poll_interval_seconds
        self._watchers = 0

    async def watch(self, conversation: str, turn_number: int) -> AsyncGenerator[DraftEvent]:
        """Yields what happens at this turn until it is committed or withdrawn; 0 means the one now, or else the next.

        Ends without either if no such floor begins in time. Raises InvalidArgumentError, RateLimitedError,
        StoreUnavailableError.
        """
        if turn_number < 0:
            message = f"turn_number must not be negative, and it is {turn_number}"
            raise InvalidArgumentError(message, field="turn_number")
        with self._counted():
            found = await self._find(conversation, turn_number)
            if isinstance(found, DraftCommitted | DraftWithdrawn):
                yield found
            elif found is not None:
                async with aclosing(_follow(found)) as events:
                    async for event in events:
                        yield event

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._watchers >= self._max_watchers:
            message = f"{self._max_watchers} watch this agent already; try again later"
            raise RateLimitedError(message, limit=str(self._max_watchers))
        self._watchers += 1
        try:
            yield
        finally:
            self._watchers -= 1

    async def _find(self, conversation: str, turn_number: int) -> FloorDraft | DraftCommitted | DraftWithdrawn | None:
        """Returns the floor's draft once it is being written here, or its end; None if it does not begin in time."""
        until = time.monotonic() + self._wait_seconds
        while True:
            draft = self._drafts.find(conversation)
            if draft is not None and turn_number in {0, draft.floor.turn_number}:
                return draft
            if turn_number:
                said = await self._store.find_turn(conversation, turn_number)
                if said is not None:
                    return DraftCommitted(turn_number, said.text)
            if draft is not None and draft.floor.turn_number > turn_number:
                return DraftWithdrawn(turn_number, Withdrawal.REVOKED)
            left = until - time.monotonic()
            if left <= 0:
                return None
            if self._drafts.find(conversation) is draft:
                await self._drafts.wait(conversation, min(left, self._poll_interval_seconds) if turn_number else left)


async def _follow(draft: FloorDraft) -> AsyncGenerator[DraftEvent]:
    try_number, version, sent = 0, 0, ""
    while draft.end is None:
        if draft.try_number != try_number:
            try_number, sent = draft.try_number, ""
            yield DraftStarted(draft.floor.turn_number, draft.floor.attempt, try_number)
        elif draft.version != version:
            version = draft.version
            text = _drop_surrogates(draft.read())
            if text and text != sent:
                whole = not sent or not text.startswith(sent)
                yield DraftWritten(text if whole else text[len(sent) :], whole)
                sent = text
        else:
            await draft.wait(version)
    yield draft.end


def _drop_surrogates(text: str) -> str:
    """Returns the text without halves of surrogate pairs, which a piece of JSON may end with and protobuf refuses."""
    return text if text.isascii() else text.encode(errors="ignore").decode()
