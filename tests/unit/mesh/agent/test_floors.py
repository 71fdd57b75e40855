"""A floor is answered exactly once and in time, whatever speaks."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mesh.agent.errors import ForfeitError
from mesh.agent.floors import MAX_FAULTS
from mesh.agent.model import RememberedTurn, Speech
from mesh.errors import StoreUnavailableError
from mesh.llm.port import Limits
from mesh.testing.scripted_model import SLOW, Answer
from tests.support.waiting import until
from tests.unit.mesh.agent.fakes import CONVERSATION, SENSIBLE, FakeAgent, floor

if TYPE_CHECKING:
    from mesh.agent.metered_model import MeteredModel
    from mesh.agent.ports import FloorContext

GOOD = Answer(text=SENSIBLE)


async def test_a_floor_is_answered_once() -> None:
    """One model call, one stored turn, one record with the text and its price."""
    agent = FakeAgent(GOOD)
    await agent.floors.take_floor(floor())
    [(number, attempt, said)] = agent.store.sent
    assert (number, attempt) == (1, 1)
    assert said.text == SENSIBLE
    assert not said.forfeited
    assert said.prompt_tokens > 0
    assert said.completion_tokens > 0
    assert agent.counters.model_calls == 1


@pytest.mark.parametrize("attempt", [1, 2], ids=["same floor again", "attempt 2"])
async def test_a_stored_turn_is_sent_again_without_a_model_call(attempt: int) -> None:
    """The very same turn goes out for the attempt that asks, and the model is not called."""
    agent = FakeAgent(GOOD)
    await agent.floors.take_floor(floor())
    await agent.floors.take_floor(floor(attempt=attempt))
    first, second = agent.store.sent
    assert second == (1, attempt, first[2])
    assert len(agent.model.calls) == 1
    assert agent.counters.republished == 1


async def test_a_stored_turn_is_sent_even_after_the_deadline() -> None:
    """A turn that was paid for is sent; whether it still counts is for its reader to say."""
    agent = FakeAgent(GOOD)
    await agent.floors.take_floor(floor())
    await agent.floors.take_floor(floor(attempt=2, seconds=-1))
    assert len(agent.store.sent) == 2


async def test_a_floor_is_handled_only_when_the_broker_has_the_answer() -> None:
    """take_floor does not return between the commit and the acknowledgement."""
    agent = FakeAgent(GOOD)
    agent.store.broker_up.clear()
    task = asyncio.ensure_future(agent.floors.take_floor(floor()))
    await until("a turn in the store", lambda: agent.store.sent, seconds=5)
    assert not task.done()
    agent.store.broker_up.set()
    await asyncio.wait_for(task, 5)


@pytest.mark.parametrize(
    ("place", "including"),
    [((3, 1), False), ((1, 2), False), ((1, 1), True), ((2, 1), True)],
    ids=["newer turn", "newer attempt", "withdrawn", "a later one withdrawn"],
)
async def test_a_revoked_floor_cancels_the_model_call(place: tuple[int, int], including: bool) -> None:  # noqa: FBT001
    """The call is cancelled, nothing is stored or sent, and the record counts as handled."""
    agent = FakeAgent(SLOW)
    task = asyncio.ensure_future(agent.floors.take_floor(floor()))
    await agent.wait_for_call()
    agent.floors.revoke(CONVERSATION, place, including=including)
    await asyncio.wait_for(task, 5)
    assert agent.model.cancelled == 1
    assert not agent.store.sent
    assert agent.counters.revoked == 1


async def test_a_floor_that_is_revoked_while_it_waits_costs_no_call() -> None:
    """A withdrawal that arrives before the floor is handled is remembered; a later floor is answered."""
    agent = FakeAgent(GOOD)
    agent.floors.revoke(CONVERSATION, (1, 1), including=True)
    await agent.floors.take_floor(floor())
    assert not agent.model.calls
    await agent.floors.take_floor(floor(attempt=2))
    assert len(agent.store.sent) == 1


async def test_an_older_or_another_floor_disturbs_nothing() -> None:
    """The same floor again, an older one, or one of another conversation leaves the call alone."""
    agent = FakeAgent(Answer(text=SENSIBLE, delay_seconds=0.05))
    task = asyncio.ensure_future(agent.floors.take_floor(floor(3, last_turn=RememberedTurn(2, 1, "team-b", "No."))))
    await agent.wait_for_call()
    agent.floors.revoke(CONVERSATION, (3, 1), including=False)
    agent.floors.revoke(CONVERSATION, (1, 1), including=True)
    agent.floors.revoke("debates/other", (9, 9), including=True)
    await asyncio.wait_for(task, 5)
    assert len(agent.store.sent) == 1


async def test_a_passed_deadline_ends_the_call() -> None:
    """An answer that would come too late is given up; a floor that came too late costs no call."""
    agent = FakeAgent(SLOW)
    await asyncio.wait_for(agent.floors.take_floor(floor(seconds=0.1)), 5)
    assert agent.model.cancelled == 1
    await agent.floors.take_floor(floor(seconds=-1))
    assert len(agent.model.calls) == 1
    assert not agent.store.sent


async def test_a_lost_partition_cancels_and_stores_nothing() -> None:
    """Cancelling the handler is a cancellation, not an answer: the next owner takes the floor."""
    agent = FakeAgent(SLOW)
    task = asyncio.ensure_future(agent.floors.take_floor(floor()))
    await agent.wait_for_call()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert agent.model.cancelled == 1
    assert not agent.store.sent


async def test_the_seed_is_of_conversation_turn_and_call() -> None:
    """The same floor has the same seed in another process, another conversation has another."""
    seeds = []
    for conversation in (CONVERSATION, CONVERSATION, "debates/d2"):
        agent = FakeAgent(GOOD)
        await agent.floors.take_floor(replace(floor(), conversation=conversation))
        seeds.append(agent.model.calls[0].seed)
    assert seeds[0] == seeds[1] != seeds[2]


class _Says:
    """Calls the model once, then says or raises what it was given."""

    def __init__(self, *says: Speech | Exception) -> None:
        self._says = list(says)

    async def speak(self, context: FloorContext) -> Speech:
        await context.model.complete([], Limits(1, 1.0))
        says = self._says.pop(0)
        if isinstance(says, Exception):
            raise says
        return says

    async def answer(self, question: str, model: MeteredModel) -> Speech:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (ForfeitError("no idea"), "no idea (model calls: 1)"),
        (ForfeitError(""), "the agent said nothing (model calls: 1)"),
        (Speech("", "m"), "the agent said nothing (model calls: 1)"),
        (Speech(" \n", "m"), "the agent said nothing (model calls: 1)"),
    ],
    ids=["a reason", "no reason", "empty", "blank"],
)
async def test_an_agent_without_a_word_forfeits(says: Speech | Exception, reason: str) -> None:
    """Whether it gives a reason or says nothing: the turn is stored and sent as forfeited, with what it has cost."""
    agent = FakeAgent(GOOD, speaker=_Says(says))
    await agent.floors.take_floor(floor())
    [(_, _, turn)] = agent.store.sent
    assert turn.forfeited
    assert (turn.text, turn.forfeit_reason) == ("", reason)
    assert turn.completion_tokens > 0
    assert agent.counters.forfeited == 1
    await agent.floors.take_floor(floor(attempt=2))
    assert len(agent.model.calls) == 1


async def test_a_speaker_that_fails_leaves_the_floor_to_be_taken_again() -> None:
    """An error of the agent's own code is raised to the bus, and nothing is stored or sent before it succeeds."""
    agent = FakeAgent(GOOD, speaker=_Says(ValueError("a fault"), Speech(SENSIBLE, "m")))
    with pytest.raises(ValueError, match="a fault"):
        await agent.floors.take_floor(floor())
    assert not agent.store.sent
    await agent.floors.take_floor(floor())
    assert [turn.text for _, _, turn in agent.store.sent] == [SENSIBLE]


async def test_a_speaker_that_fails_each_time_forfeits_with_the_error() -> None:
    """After MAX_FAULTS tries the turn is forfeited, the error is its reason, and what all tries cost is charged; each
    try asked the model for something else, and the next turn has all its tries again."""
    agent = FakeAgent(GOOD, speaker=_Says(*[ValueError("no\nnumber")] * MAX_FAULTS, ValueError("again")))
    for _ in range(MAX_FAULTS - 1):
        with pytest.raises(ValueError, match="no"):
            await agent.floors.take_floor(floor())
    await agent.floors.take_floor(floor())
    [(_, _, turn)] = agent.store.sent
    assert turn.forfeit_reason == "a fault of the agent's own: ValueError: no number (model calls: 3)"
    assert len({call.seed for call in agent.model.calls}) == MAX_FAULTS
    with pytest.raises(ValueError, match="again"):
        await agent.floors.take_floor(replace(floor(), turn_number=3))


async def test_a_store_that_is_away_is_no_fault_of_the_speaker() -> None:
    """However often: the floor is taken again, and nothing is forfeited."""
    away = StoreUnavailableError("full", store="team-a")
    agent = FakeAgent(GOOD, speaker=_Says(*[away] * (MAX_FAULTS + 2)))
    for _ in range(MAX_FAULTS + 2):
        with pytest.raises(StoreUnavailableError):
            await agent.floors.take_floor(floor())
    assert not agent.store.sent


async def test_a_turn_that_the_store_does_not_take_is_paid_for_once() -> None:
    """While the store is away the same turn is stored again and again, whatever the attempt, without a model call."""
    agent = FakeAgent(GOOD)
    record_turn, away = agent.store.record_turn, 3

    async def refuse(*arguments: object) -> object:
        nonlocal away
        away -= 1
        if away >= 0:
            raise StoreUnavailableError("full", store="team-a")
        return await record_turn(*arguments)  # type: ignore[arg-type]

    agent.store.record_turn = refuse  # type: ignore[method-assign, assignment]
    for attempt in (1, 1, 2):
        with pytest.raises(StoreUnavailableError):
            await agent.floors.take_floor(floor(attempt=attempt))
    await agent.floors.take_floor(floor(attempt=2))
    [(_, attempt, turn)] = agent.store.sent
    assert (attempt, turn.text) == (2, SENSIBLE)
    assert len(agent.model.calls) == 1
