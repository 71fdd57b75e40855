"""A floor is answered exactly once, in time, within its allowance, whatever the model does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mesh.agent.model import HeardTurn
from mesh.errors import DeadlineError
from mesh.testing.scripted_model import HUGE, NOTHING, REFUSED, SLOW, UNAVAILABLE, Answer, Call, ScriptedModel
from services.debater import logic
from services.debater.logic import Debater
from tests.unit.debater.fake_store import DEBATE, SENSIBLE, FakeRecord, FakeStore, floor

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD = Answer(text=SENSIBLE)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logic, "RETRY_SECONDS", 0.0)


class _World:
    """An agent over fakes. Made inside the loop."""

    def __init__(self, *answers: Answer, record: FakeRecord | None = None) -> None:
        script: Callable[[Call], Answer] = lambda call: answers[min(call.number, len(answers)) - 1]  # noqa: E731
        self.model = ScriptedModel(script=script)
        self.store = FakeStore()
        self.record = record or FakeRecord()
        self.debater = Debater("team-a", self.model, self.store, self.record)

    async def calling(self, number: int = 1) -> None:
        """Returns once the model is being called for the n-th time."""
        async with asyncio.timeout(5):
            while len(self.model.calls) < number:  # noqa: ASYNC110 - the model has no event; a turn of the loop is enough
                await asyncio.sleep(0)


async def test_a_floor_is_answered_once() -> None:
    """One model call, one stored turn, one record with the text and its price."""
    world = _World(GOOD)
    await world.debater.take_floor(floor())
    [(number, attempt, said)] = world.store.sent
    assert (number, attempt) == (1, 1)
    assert said.text == SENSIBLE
    assert not said.forfeited
    assert said.prompt_tokens > 0
    assert said.completion_tokens > 0
    assert world.debater.counters.model_calls == 1


@pytest.mark.parametrize("attempt", [1, 2], ids=["same floor again", "attempt 2"])
async def test_a_stored_turn_is_sent_again_without_a_model_call(attempt: int) -> None:
    """The very same turn goes out for the attempt that asks, and the model is not called."""
    world = _World(GOOD)
    await world.debater.take_floor(floor())
    await world.debater.take_floor(floor(attempt=attempt))
    first, second = world.store.sent
    assert second == (1, attempt, first[2])
    assert len(world.model.calls) == 1
    assert world.debater.counters.republished == 1


async def test_a_stored_turn_is_sent_even_after_the_deadline() -> None:
    """A turn that was paid for is sent; whether it still counts is the moderator's to say."""
    world = _World(GOOD)
    await world.debater.take_floor(floor())
    await world.debater.take_floor(floor(attempt=2, seconds=-1))
    assert len(world.store.sent) == 2


async def test_a_floor_is_handled_only_when_the_broker_has_the_answer() -> None:
    """take_floor does not return between the commit and the acknowledgement."""
    world = _World(GOOD)
    world.store.broker_up.clear()
    task = asyncio.ensure_future(world.debater.take_floor(floor()))
    async with asyncio.timeout(5):
        while not world.store.sent:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0)
    assert not task.done()
    world.store.broker_up.set()
    await asyncio.wait_for(task, 5)


@pytest.mark.parametrize(
    ("place", "including"),
    [((3, 1), False), ((1, 2), False), ((1, 1), True), ((2, 1), True)],
    ids=["newer turn", "newer attempt", "withdrawn", "a later one withdrawn"],
)
async def test_a_lost_floor_cancels_the_model_call(place: tuple[int, int], including: bool) -> None:  # noqa: FBT001
    """The call is cancelled, nothing is stored or sent, and the record counts as handled."""
    world = _World(SLOW)
    task = asyncio.ensure_future(world.debater.take_floor(floor()))
    await world.calling()
    world.debater.lose(DEBATE, place, including=including)
    await asyncio.wait_for(task, 5)
    assert world.model.cancelled == 1
    assert not world.store.sent
    assert world.debater.counters.lost == 1


async def test_a_floor_that_is_lost_while_it_waits_costs_no_call() -> None:
    """A withdrawal that arrives before the floor is handled is remembered; a later floor is answered."""
    world = _World(GOOD)
    world.debater.lose(DEBATE, (1, 1), including=True)
    await world.debater.take_floor(floor())
    assert not world.model.calls
    await world.debater.take_floor(floor(attempt=2))
    assert len(world.store.sent) == 1


async def test_an_older_or_another_floor_disturbs_nothing() -> None:
    """The same floor again, an older one, or one of another debate leaves the call alone."""
    world = _World(Answer(text=SENSIBLE, delay_seconds=0.05))
    task = asyncio.ensure_future(world.debater.take_floor(floor(3, last_turn=HeardTurn(2, 1, "team-b", "No."))))
    await world.calling()
    world.debater.lose(DEBATE, (3, 1), including=False)
    world.debater.lose(DEBATE, (1, 1), including=True)
    world.debater.lose("debates/other", (9, 9), including=True)
    await asyncio.wait_for(task, 5)
    assert len(world.store.sent) == 1


async def test_a_passed_deadline_ends_the_call() -> None:
    """An answer that would come too late is given up; a floor that came too late costs no call."""
    world = _World(SLOW)
    await asyncio.wait_for(world.debater.take_floor(floor(seconds=0.1)), 5)
    assert world.model.cancelled == 1
    await world.debater.take_floor(floor(seconds=-1))
    assert len(world.model.calls) == 1
    assert not world.store.sent


async def test_a_lost_partition_cancels_and_stores_nothing() -> None:
    """Cancelling the handler is a cancellation, not an answer: the next owner takes the floor."""
    world = _World(SLOW)
    task = asyncio.ensure_future(world.debater.take_floor(floor()))
    await world.calling()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.model.cancelled == 1
    assert not world.store.sent


@pytest.mark.parametrize(
    "bad", [NOTHING, UNAVAILABLE, REFUSED, HUGE], ids=["nothing", "unavailable", "refused", "100 KB"]
)
async def test_bounded_tries_then_a_forfeit_with_its_reason(bad: Answer) -> None:
    """Three calls with three seeds, then the turn is forfeited, stored and sent like any other."""
    world = _World(bad)
    await world.debater.take_floor(floor(allowance_tokens=100_000))
    [(_, _, said)] = world.store.sent
    assert said.forfeited
    assert said.text == ""
    assert said.forfeit_reason.endswith("(model calls: 3)")
    assert len({call.seed for call in world.model.calls}) == len(world.model.calls) == 3
    await world.debater.take_floor(floor(attempt=2))
    assert len(world.model.calls) == 3


@pytest.mark.parametrize("bad", [NOTHING, UNAVAILABLE, HUGE], ids=["nothing", "unavailable", "100 KB"])
async def test_a_second_try_may_succeed(bad: Answer) -> None:
    """One bad answer costs a try, not the turn; its tokens are in the turn's price."""
    world = _World(bad, GOOD)
    await world.debater.take_floor(floor(allowance_tokens=100_000))
    [(_, _, said)] = world.store.sent
    assert said.text == SENSIBLE
    assert len(world.model.calls) == 2


async def test_nothing_is_called_beyond_the_allowance() -> None:
    """An allowance that does not pay for the prompt is a forfeit without a call."""
    world = _World(GOOD)
    await world.debater.take_floor(floor(allowance_tokens=50))
    [(_, _, said)] = world.store.sent
    assert said.forfeited
    assert "allowance" in said.forfeit_reason
    assert not world.model.calls


async def test_an_answer_that_ate_the_allowance_is_the_last() -> None:
    """A server that wrote 100 KB, whatever it was told, has spent the floor's tokens: no second call."""
    world = _World(HUGE, GOOD)
    await world.debater.take_floor(floor())
    [(_, _, said)] = world.store.sent
    assert "characters" in said.forfeit_reason
    assert said.completion_tokens > 20_000
    assert len(world.model.calls) == 1


async def test_the_seed_is_of_debate_turn_and_try() -> None:
    """The same floor has the same seed in another process, another debate has another."""
    seeds = []
    for debate in (DEBATE, DEBATE, "debates/d2"):
        world = _World(GOOD)
        await world.debater.take_floor(replace(floor(), debate=debate))
        seeds.append(world.model.calls[0].seed)
    assert seeds[0] == seeds[1] != seeds[2]


async def test_missed_turns_are_fetched_and_remembered() -> None:
    """What the memory lacks comes from the moderator, once; the prompt has it."""
    missed = [HeardTurn(1, 1, "team-a", "Trains were safer."), HeardTurn(2, 1, "team-b", "Canals were calmer.")]
    last = HeardTurn(4, 2, "team-b", "Horses were quieter.")

    record = FakeRecord([*missed, HeardTurn(3, 2, "team-a", "Bridges last."), last], [DeadlineError("slow")])
    world = _World(GOOD, record=record)
    await world.debater.take_floor(floor(5, last_turn=last))
    assert record.asked == [0, 0]
    assert set(world.store.heard[DEBATE]) == {1, 2, 3, 4}
    text = world.model.calls[0].text
    assert "Trains were safer." in text
    assert "Horses were quieter." in text


async def test_an_agent_without_the_record_speaks_from_what_it_has() -> None:
    """A moderator that never answers costs a part of the time, not the turn."""
    world = _World(GOOD, record=FakeRecord(failures=[DeadlineError("slow")] * 100_000))
    await world.debater.take_floor(floor(5, seconds=2.0, last_turn=HeardTurn(4, 2, "team-b", "Horses were quiet.")))
    [(_, _, said)] = world.store.sent
    assert said.text == SENSIBLE
