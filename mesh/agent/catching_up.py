"""The turns before a floor: from memory, from the floor itself, and, where some were missed, from the record."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from mesh.errors import RostrumError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.agent.model import Floor, Memory, RememberedTurn
    from mesh.agent.ports import ConversationRecord, Store
    from mesh.clock import Clock

log = logging.getLogger(__name__)

FETCH_SHARE = 0.25
"""Share of the time left that fetching missed turns may take; then the agent speaks from what it has."""
RETRY_SECONDS = 0.5
"""Wait before asking a record again that did not answer."""


class CatchingUp:
    """Completes what the agent remembers of a conversation."""

    def __init__(
        self, store: Store, record: ConversationRecord, clock: Clock, *, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        self._store = store
        self._record = record
        self._clock = clock
        self._retry_seconds = retry_seconds

    async def load_turns(self, floor: Floor, memory: Memory) -> Sequence[RememberedTurn]:
        """Returns the turns before this floor, by number; those that were missed are fetched and stored."""
        turns = {turn.number: turn for turn in memory.turns}
        if floor.last_turn is not None:
            turns[floor.last_turn.number] = floor.last_turn
        missing = memory.first_missing(floor)
        if missing is not None:
            fetched = await self._fetch_turns(floor, missing - 1)
            turns |= {turn.number: turn for turn in fetched if turn.number < floor.turn_number}
        return [turns[number] for number in sorted(turns)]

    async def _fetch_turns(self, floor: Floor, after_number: int) -> Sequence[RememberedTurn]:
        now_us = self._clock.now_us()
        until_us = now_us + (floor.deadline_us - now_us) * FETCH_SHARE
        while (seconds := (until_us - self._clock.now_us()) / 1e6) > 0:
            try:
                turns = await self._record.fetch_turns(floor.conversation, after_number, seconds)
            except RostrumError as error:
                log.warning("missed turns of %s are not to be had: %s", floor.conversation, error.message)
                await asyncio.sleep(min(self._retry_seconds, seconds))
            else:
                await self._store.remember_turns(floor.conversation, turns)
                return turns
        return ()
