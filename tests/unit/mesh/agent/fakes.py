"""An agent over fakes: its store in memory, a record of the conversation, a clock that stands, a scripted model.

The store keeps one turn for each place and what was sent, and has a switch for the broker. Whatever speaks is given:
`PlainSpeaker`, or a service's own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mesh.agent.catching_up import CatchingUp
from mesh.agent.drafts import Drafts
from mesh.agent.errors import ForfeitError
from mesh.agent.floors import Floors
from mesh.agent.model import Counters, Floor, Memory, Note, RememberedTurn, Speech, Utterance
from mesh.agent.questions import Questions
from mesh.errors import ModelError, RequestIdReusedError
from mesh.llm.port import Limits, Message
from mesh.testing.clock import NOW_US, FakeClock
from mesh.testing.scripted_model import Answer, Call, ScriptedModel
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mesh.agent.metered_model import MeteredModel
    from mesh.agent.ports import FloorContext, Speaker

AGENT = "team-a"
CONVERSATION = "debates/d1"
SENSIBLE = (
    "Hospitals that use automated scheduling already treat more patients each day, because nurses spend fewer hours on "
    "paperwork and more at the bedside."
)


class FakeCommitted:
    def __init__(self, published: Awaitable[None]) -> None:
        self.published = published


class FakeStore:
    def __init__(self) -> None:
        self.turns: dict[tuple[str, int], Utterance] = {}
        self.remembered: dict[str, dict[int, RememberedTurn]] = {}
        self.notes: dict[tuple[str, str], Note] = {}
        self.answers: dict[str, tuple[str, Utterance]] = {}
        self.sent: list[tuple[int, int, Utterance]] = []
        """(turn number, attempt, what was sent), in order."""
        self.broker_up = asyncio.Event()
        self.broker_up.set()

    async def load_memory(self, conversation: str, turn_number: int) -> Memory:
        turns = self.remembered.get(conversation, {})
        before = tuple(turns[number] for number in sorted(turns) if number < turn_number)
        return Memory(self.turns.get((conversation, turn_number)), before)

    async def remember_turns(self, conversation: str, turns: Sequence[RememberedTurn]) -> None:
        for turn in turns:
            self.remembered.setdefault(conversation, {}).setdefault(turn.number, turn)

    async def record_turn(self, floor: Floor, utterance: Utterance) -> FakeCommitted:
        stored = self.turns.setdefault((floor.conversation, floor.turn_number), utterance)
        self.sent.append((floor.turn_number, floor.attempt, stored))
        return FakeCommitted(self._wait_published())

    async def find_turn(self, conversation: str, turn_number: int) -> Utterance | None:
        return self.turns.get((conversation, turn_number))

    async def load_note(self, conversation: str, name: str) -> Note | None:
        return self.notes.get((conversation, name))

    async def record_note(self, conversation: str, name: str, note: Note) -> Note:
        return self.notes.setdefault((conversation, name), note)

    async def find_answer(self, request_id: str, digest: str) -> Utterance | None:
        stored = self.answers.get(request_id)
        if stored is None:
            return None
        if stored[0] != digest:
            raise RequestIdReusedError("used", request_id=request_id)
        return stored[1]

    async def record_answer(self, utterance: Utterance, request_id: str, digest: str) -> Utterance:
        return self.answers.setdefault(request_id or utterance.id, (digest, utterance))[1]

    async def count_utterances(self) -> int:
        return len(self._list_all())

    async def list_utterances(self, limit: int, before: int | None, conversation: str) -> list[tuple[int, Utterance]]:
        found = [(place, one) for place, one in enumerate(self._list_all()) if conversation in {"", one.conversation}]
        return [(place, one) for place, one in reversed(found) if before is None or place < before][:limit]

    def _list_all(self) -> list[Utterance]:
        return [*self.turns.values(), *(utterance for _, utterance in self.answers.values())]

    async def _wait_published(self) -> None:
        await self.broker_up.wait()


class FakeRecord:
    """The record of a conversation; fails with each of `failures` first. Each fetch takes that long on the clock."""

    def __init__(
        self,
        turns: Sequence[RememberedTurn] = (),
        failures: Sequence[Exception] = (),
        *,
        clock: FakeClock | None = None,
        fetch_seconds: float = 0.0,
    ) -> None:
        self.turns = turns
        self.failures = list(failures)
        self.asked: list[int] = []
        self._clock = clock or FakeClock()
        self._fetch_seconds = fetch_seconds

    async def fetch_turns(
        self, conversation: str, after_number: int, timeout_seconds: float
    ) -> Sequence[RememberedTurn]:
        self.asked.append(after_number)
        self._clock.advance(self._fetch_seconds)
        if self.failures:
            raise self.failures.pop(0)
        return [turn for turn in self.turns if turn.number > after_number]


class PlainSpeaker:
    """Asks the model once, with the turns so far and the question, and says what it answers."""

    async def speak(self, context: FloorContext) -> Speech:
        prompt = "\n".join([*(turn.text for turn in context.turns), context.floor.question])
        try:
            return await self.answer(prompt, context.model)
        except ModelError as error:
            raise ForfeitError(error.message) from error

    async def answer(self, question: str, model: MeteredModel) -> Speech:
        completion = await model.complete([Message("user", question)], Limits(100, 60.0))
        return Speech(completion.text, completion.model)


class FakeAgent:
    """An agent with that to say. Made inside the loop."""

    def __init__(
        self,
        *answers: Answer,
        speaker: Speaker | None = None,
        record: FakeRecord | None = None,
        clock: FakeClock | None = None,
        store: FakeStore | None = None,
    ) -> None:
        """The model gives these answers, the last one again and again. Replicas share a `store`."""
        script: Callable[[Call], Answer] = lambda call: answers[min(call.number, len(answers)) - 1]  # noqa: E731
        self.model = ScriptedModel(script=script)
        self.store = store or FakeStore()
        self.clock = clock or FakeClock()
        self.counters = Counters()
        self.drafts = Drafts()
        speaker = speaker or PlainSpeaker()
        self.floors = Floors(
            speaker=speaker,
            model=self.model,
            store=self.store,
            catching_up=CatchingUp(self.store, record or FakeRecord(), self.clock, retry_seconds=0.0),
            clock=self.clock,
            counters=self.counters,
            drafts=self.drafts,
        )
        self.questions = Questions(
            speaker=speaker, model=self.model, store=self.store, clock=self.clock, counters=self.counters
        )

    async def wait_for_call(self, number: int = 1) -> None:
        """Returns once the model is being called for the n-th time."""
        await until(f"call {number} of the model", lambda: len(self.model.calls) >= number, seconds=5)


def floor(
    turn_number: int = 1,
    attempt: int = 1,
    *,
    seconds: float = 30.0,
    allowance_tokens: int = 6_000,
    last_turn: RememberedTurn | None = None,
) -> Floor:
    """A floor of team-a in the conversation, with that many seconds on a fresh clock to its deadline."""
    return Floor(
        conversation=CONVERSATION,
        turn_number=turn_number,
        round=(turn_number + 1) // 2,
        max_rounds=8,
        attempt=attempt,
        agent=AGENT,
        role="FOR",
        topic="AI's impact on the job market",
        question="What changes first?",
        last_turn=last_turn,
        deadline_us=NOW_US + round(seconds * 1e6),
        allowance_tokens=allowance_tokens,
    )
