"""What an agent's store promises about notes, on SQLite and on PostgreSQL; turns are in test_agent_api."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from mesh.agent.model import Cost, Note
from mesh.agent.store import AgentStore
from mesh.store.database import Database
from mesh.store.migrations import migrate
from services.debater.events import TurnMessages
from services.debater.store import metadata
from services.debater.wiring import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DEBATE = "debates/d1"


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[AgentStore]:
    """One replica's store."""
    await asyncio.to_thread(migrate, url, MIGRATIONS, name="team-a")
    database = Database(url, metadata, name="team-a")
    await database.start()
    try:
        yield AgentStore(database, TurnMessages(), "team-a")
    finally:
        await database.aclose()


def note(text: str, turn_number: int = 1) -> Note:
    return Note(text, turn_number, Cost(calls=2, prompt_tokens=300, completion_tokens=40), create_time_us=5)


async def test_a_note_is_kept_with_its_cost(database_url: str) -> None:
    """What was stored comes back whole, after a restart too; another name or debate has none."""
    text = "An argument.\n\u0645\u0631\u062d\u0628\u0627 \U0001f44b\u200b"
    async with opened(database_url) as store:
        assert await store.load_note(DEBATE, "case") is None
        assert await store.record_note(DEBATE, "case", note(text)) == note(text)
    async with opened(database_url) as store:
        assert await store.load_note(DEBATE, "case") == note(text)
        assert await store.load_note(DEBATE, "plan") is None
        assert await store.load_note("debates/d2", "case") is None


async def test_the_first_note_of_a_name_wins(database_url: str) -> None:
    """Of replicas that save at the same time, all get the text of one of them, and it stays."""
    async with opened(database_url) as one, opened(database_url) as two:
        saves = [store.record_note(DEBATE, "case", note(f"case {n}")) for n, store in enumerate([one, two] * 5)]
        stored = {saved.text for saved in await asyncio.gather(*saves)}
        assert len(stored) == 1
        assert (await one.record_note(DEBATE, "case", note("late", 3))).text in stored
        kept = await two.load_note(DEBATE, "case")
        assert kept is not None
        assert kept.text in stored
        assert kept.turn_number == 1
