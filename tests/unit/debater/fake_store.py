"""The agent's store in memory, as `logic` sees it: one turn for each place, what was sent, and a switch for the broker.

Also makes floors, and answers that a debate would take.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from mesh.agent.model import Floor, HeardTurn, Memory, Stance, Utterance
from mesh.errors import RequestIdReusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

DEBATE = "debates/d1"
SENSIBLE = (
    "Hospitals that use automated scheduling already treat more patients each day, because nurses spend fewer hours on "
    "paperwork and more at the bedside."
)


class FakeCommitted:
    def __init__(self, published: Awaitable[None]) -> None:
        self.published = published


class FakeStore:
    def __init__(self) -> None:
        self.said: dict[tuple[str, int], Utterance] = {}
        self.heard: dict[str, dict[int, HeardTurn]] = {}
        self.answers: dict[str, tuple[str, Utterance]] = {}
        self.sent: list[tuple[int, int, Utterance]] = []
        """(turn number, attempt, what was sent), in order."""
        self.broker_up = asyncio.Event()
        self.broker_up.set()

    async def memory(self, debate: str, turn_number: int) -> Memory:
        turns = self.heard.get(debate, {})
        before = tuple(turns[number] for number in sorted(turns) if number < turn_number)
        return Memory(self.said.get((debate, turn_number)), before)

    async def remember(self, debate: str, turns: Sequence[HeardTurn]) -> None:
        for turn in turns:
            self.heard.setdefault(debate, {}).setdefault(turn.number, turn)

    async def speak(self, floor: Floor, utterance: Utterance) -> FakeCommitted:
        said = self.said.setdefault((floor.debate, floor.turn_number), utterance)
        self.sent.append((floor.turn_number, floor.attempt, said))
        return FakeCommitted(self._published())

    async def answered(self, request_id: str, digest: str) -> Utterance | None:
        stored = self.answers.get(request_id)
        if stored is None:
            return None
        if stored[0] != digest:
            raise RequestIdReusedError("used", request_id=request_id)
        return stored[1]

    async def answer(self, utterance: Utterance, request_id: str, digest: str) -> Utterance:
        return self.answers.setdefault(request_id or utterance.id, (digest, utterance))[1]

    async def count(self) -> int:
        return len(self._all())

    async def newest(self, limit: int, before: int | None, debate: str) -> list[tuple[int, Utterance]]:
        found = [(place, one) for place, one in enumerate(self._all()) if debate in {"", one.debate}]
        return [(place, one) for place, one in reversed(found) if before is None or place < before][:limit]

    def _all(self) -> list[Utterance]:
        return [*self.said.values(), *(utterance for _, utterance in self.answers.values())]

    async def _published(self) -> None:
        await self.broker_up.wait()


class FakeRecord:
    """The moderator's record; fails with each of `failures` first."""

    def __init__(self, turns: Sequence[HeardTurn] = (), failures: Sequence[Exception] = ()) -> None:
        self.turns = turns
        self.failures = list(failures)
        self.asked: list[int] = []

    async def turns_after(self, debate: str, number: int, timeout_seconds: float) -> Sequence[HeardTurn]:
        self.asked.append(number)
        if self.failures:
            raise self.failures.pop(0)
        return [turn for turn in self.turns if turn.number > number]


def floor(
    turn_number: int = 1,
    attempt: int = 1,
    *,
    seconds: float = 30.0,
    allowance_tokens: int = 6_000,
    last_turn: HeardTurn | None = None,
) -> Floor:
    """A floor of team-a in the debate, lost in that many seconds."""
    return Floor(
        debate=DEBATE,
        turn_number=turn_number,
        round=(turn_number + 1) // 2,
        max_rounds=8,
        attempt=attempt,
        agent="team-a",
        stance=Stance.FOR,
        topic="AI's impact on the job market",
        question="What changes first?",
        last_turn=last_turn,
        deadline_us=int((time.time() + seconds) * 1e6),
        allowance_tokens=allowance_tokens,
    )
