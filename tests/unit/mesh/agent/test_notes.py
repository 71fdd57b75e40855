"""A note is made once for a conversation, paid once, and part of the price of the turn that it was made for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from mesh.agent.metered_model import call_seed, turn_place
from mesh.agent.model import Speech
from mesh.llm.port import Limits, Message
from mesh.testing.scripted_model import SLOW, UNAVAILABLE, USUAL, Answer
from tests.unit.mesh.agent.fakes import CONVERSATION, FakeAgent, FakeStore, floor

if TYPE_CHECKING:
    from mesh.agent.metered_model import MeteredModel
    from mesh.agent.ports import FloorContext

CASE = Answer(text="Tea calms, and it is cheap.")
TURN = Answer(text="Tea is cheaper.")


@dataclass
class _Preparer:
    """Makes a case with one call if there is none, then a turn of it with another."""

    dies: bool = False
    """The first turn ends between the case and its own call, as if the process died."""

    async def speak(self, context: FloorContext) -> Speech:
        case = await context.notes.load("case")
        if case is None:
            prepared = await context.model.complete([Message("user", "prepare")], Limits(100, 60.0))
            case = await context.notes.save("case", prepared.text)
        if self.dies:
            self.dies = False
            raise ConnectionResetError
        completion = await context.model.complete([Message("user", case)], Limits(100, 60.0))
        return Speech(f"{case} {completion.text}", completion.model)

    async def answer(self, question: str, model: MeteredModel) -> Speech:
        raise NotImplementedError


async def test_a_case_is_prepared_once() -> None:
    """The first turn makes it and pays for it, the second uses it."""
    agent = FakeAgent(CASE, TURN, speaker=_Preparer())
    await agent.floors.take_floor(floor(1))
    await agent.floors.take_floor(floor(3))
    first, second = (said for _, _, said in agent.store.sent)
    assert first.text == second.text == "Tea calms, and it is cheap. Tea is cheaper."
    assert [call.text for call in agent.model.calls] == ["prepare", CASE.text, CASE.text]
    assert first.completion_tokens > second.completion_tokens
    assert first.prompt_tokens > second.prompt_tokens


async def test_a_death_between_note_and_turn_pays_the_note_once() -> None:
    """The floor that is taken again makes no second case; price and seeds are those of a turn in which nobody died."""
    healthy = FakeAgent(CASE, TURN, speaker=_Preparer())
    await healthy.floors.take_floor(floor(1))
    agent = FakeAgent(CASE, TURN, speaker=_Preparer(dies=True))
    with pytest.raises(ConnectionResetError):
        await agent.floors.take_floor(floor(1))
    await agent.floors.take_floor(floor(1, attempt=2))
    [(_, _, expected)], [(_, _, said)] = healthy.store.sent, agent.store.sent
    assert said.text == expected.text
    assert (said.prompt_tokens, said.completion_tokens) == (expected.prompt_tokens, expected.completion_tokens)
    place = turn_place(CONVERSATION, 1)
    assert [call.seed for call in agent.model.calls] == [call_seed(place, 1), call_seed(place, 2)]


async def test_a_call_that_failed_before_the_note_is_among_its_calls() -> None:
    """The seeds of the calls after the note are the same whether the process died or not."""
    speaker = _Retrying()
    agent = FakeAgent(UNAVAILABLE, CASE, TURN, speaker=speaker)
    with pytest.raises(ConnectionResetError):
        await agent.floors.take_floor(floor(1))
    await agent.floors.take_floor(floor(1))
    assert agent.model.calls[-1].seed == call_seed(turn_place(CONVERSATION, 1), 3)


class _Retrying:
    """Fails after it has saved a case, for which it needed two calls."""

    async def speak(self, context: FloorContext) -> Speech:
        case = await context.notes.load("case")
        if case is None:
            await asyncio.gather(context.model.complete([], Limits(9, 9.0)), return_exceptions=True)
            await context.notes.save("case", (await context.model.complete([], Limits(9, 9.0))).text)
            raise ConnectionResetError
        return Speech((await context.model.complete([], Limits(9, 9.0))).text, "m")

    async def answer(self, question: str, model: MeteredModel) -> Speech:
        raise NotImplementedError


async def test_the_first_of_two_notes_wins() -> None:
    """A replica that prepared at the same time uses what the other one stored, and pays for its own call only."""
    store = FakeStore()
    one = FakeAgent(Answer(text="The first case.", delay_seconds=0.01), TURN, speaker=_Preparer(), store=store)
    two = FakeAgent(Answer(text="The second case.", delay_seconds=0.05), SLOW, speaker=_Preparer(), store=store)
    other = asyncio.create_task(two.floors.take_floor(floor(1)))
    await two.wait_for_call()
    await one.floors.take_floor(floor(1))
    await two.wait_for_call(2)
    assert two.model.calls[1].text == "The first case."
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)


async def test_notes_are_of_one_conversation_and_name() -> None:
    """One that was saved under another name is not there; one that was saved is loaded without a look in the store."""
    agent = FakeAgent(USUAL, speaker=_Named())
    await agent.floors.take_floor(floor(1))
    assert sorted(name for _, name in agent.store.notes) == ["case", "plan"]


class _Named:
    async def speak(self, context: FloorContext) -> Speech:
        assert await context.notes.load("case") is None
        assert await context.notes.save("case", "A") == "A"
        assert await context.notes.load("plan") is None
        assert await context.notes.save("plan", "B") == "B"
        assert await context.notes.save("case", "C") == "A"
        assert await context.notes.load("case") == "A"
        return Speech("Said.", "m")

    async def answer(self, question: str, model: MeteredModel) -> Speech:
        raise NotImplementedError
