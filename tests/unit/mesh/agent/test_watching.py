"""A floor is watched while it is written: growing text, then its end, also for those who come late or read slowly."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mesh.agent.drafts import MAX_DRAFT_CHARACTERS, Drafts, FloorDraft
from mesh.agent.model import (
    DraftCommitted,
    DraftEvent,
    DraftStarted,
    DraftWithdrawn,
    DraftWritten,
    RememberedTurn,
    Speech,
    Withdrawal,
)
from mesh.agent.watching import Watching
from mesh.errors import InvalidArgumentError, RateLimitedError
from mesh.llm.port import Limits, Message
from mesh.testing.scripted_model import SLOW, Answer
from tests.support.waiting import until
from tests.unit.mesh.agent.fakes import CONVERSATION, SENSIBLE, FakeAgent, floor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mesh.agent.metered_model import MeteredModel
    from mesh.agent.ports import FloorContext

STARTED = DraftStarted(turn_number=1, attempt=1, try_number=1)


class _Showing:
    """Shows what the model writes; a text that begins with "No" is thrown away and begun again."""

    async def speak(self, context: FloorContext) -> Speech:
        while True:
            context.draft.show("")
            completion = await context.model.complete(
                [Message("user", "Speak.")], Limits(100, 60.0), on_text=context.draft.show
            )
            if not completion.text.startswith("No"):
                return Speech(completion.text, completion.model)

    async def answer(self, question: str, model: MeteredModel) -> Speech:
        raise NotImplementedError


def watching(agent: FakeAgent, *, max_watchers: int = 9, wait_seconds: float = 5.0) -> Watching:
    return Watching(
        agent.drafts,
        agent.store,
        max_watchers=max_watchers,
        wait_seconds=wait_seconds,
        poll_interval_seconds=0.01,
    )


async def collect(events: AsyncIterator[DraftEvent]) -> list[DraftEvent]:
    return [event async for event in events]


def joined(events: list[DraftEvent]) -> str:
    """The text that a watcher has after these events."""
    text = ""
    for event in events:
        if isinstance(event, DraftStarted):
            text = ""
        elif isinstance(event, DraftWritten):
            text = event.text if event.whole else text + event.text
    return text


async def test_the_text_grows_until_it_is_committed() -> None:
    """Started, pieces that join to the text, and the turn as it is stored."""
    agent = FakeAgent(Answer(text=SENSIBLE, pause_seconds=0.06), speaker=_Showing())
    events = asyncio.create_task(collect(watching(agent).watch(CONVERSATION, 1)))
    await agent.floors.take_floor(floor())
    found = await asyncio.wait_for(events, 5)
    assert found[0] == STARTED
    assert found[-1] == DraftCommitted(1, SENSIBLE)
    pieces = [event for event in found if isinstance(event, DraftWritten)]
    assert len(pieces) >= 2
    assert [piece.whole for piece in pieces] == [True] + [False] * (len(pieces) - 1)
    assert SENSIBLE.startswith(joined(found))


async def test_a_new_try_begins_again() -> None:
    """A text that is thrown away is gone from the screen, and the next one is whole."""
    answers = (Answer(text="No, I cannot say that at all.", pause_seconds=0.06), Answer(SENSIBLE, pause_seconds=0.06))
    agent = FakeAgent(*answers, speaker=_Showing())
    events = asyncio.create_task(collect(watching(agent).watch(CONVERSATION, 0)))
    await agent.floors.take_floor(floor())
    found = await asyncio.wait_for(events, 5)
    assert [event.try_number for event in found if isinstance(event, DraftStarted)] == [1, 2]
    assert SENSIBLE.startswith(joined(found))
    assert joined(found)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda agent, _: agent.floors.revoke(CONVERSATION, (1, 1), including=True), Withdrawal.REVOKED),
        (lambda _, task: task.cancel(), Withdrawal.INTERRUPTED),
    ],
    ids=["revoked", "partition lost"],
)
async def test_a_lost_floor_is_withdrawn(
    end: Callable[[FakeAgent, asyncio.Task[None]], object], reason: Withdrawal
) -> None:
    """Whoever watches is notified that what was written counts for nothing, and why."""
    agent = FakeAgent(SLOW, speaker=_Showing())
    events = asyncio.create_task(collect(watching(agent).watch(CONVERSATION, 1)))
    task = asyncio.create_task(agent.floors.take_floor(floor()))
    await agent.wait_for_call()
    end(agent, task)
    assert await asyncio.wait_for(events, 5) == [STARTED, DraftWithdrawn(1, reason)]
    await asyncio.gather(task, return_exceptions=True)


async def test_a_deadline_and_a_fault_withdraw_too() -> None:
    """A floor whose deadline passed, before or while it is spoken, and one whose speaker fails."""
    late = FakeAgent(SLOW, speaker=_Showing())
    events = asyncio.create_task(collect(watching(late).watch(CONVERSATION, 1)))
    await late.floors.take_floor(floor(seconds=0.1))
    assert (await asyncio.wait_for(events, 5))[-1] == DraftWithdrawn(1, Withdrawal.DEADLINE_PASSED)
    broken = FakeAgent(SLOW, speaker=_Broken())
    events = asyncio.create_task(collect(watching(broken).watch(CONVERSATION, 1)))
    await asyncio.sleep(0)
    with pytest.raises(ValueError, match="a fault"):
        await broken.floors.take_floor(floor())
    assert (await asyncio.wait_for(events, 5))[-1] == DraftWithdrawn(1, Withdrawal.FAILED)


class _Broken(_Showing):
    async def speak(self, context: FloorContext) -> Speech:
        await asyncio.sleep(0)
        raise ValueError("a fault")


async def test_a_failed_commit_is_no_commit() -> None:
    """A turn that the store does not take is withdrawn."""
    agent = FakeAgent(Answer(SENSIBLE), speaker=_Showing())

    async def refuse(*_arguments: object) -> None:
        raise ConnectionError

    agent.store.record_turn = refuse  # type: ignore[method-assign, assignment]
    events = asyncio.create_task(collect(watching(agent).watch(CONVERSATION, 1)))
    with pytest.raises(ConnectionError):
        await agent.floors.take_floor(floor())
    assert (await asyncio.wait_for(events, 5))[-1] == DraftWithdrawn(1, Withdrawal.FAILED)


async def test_who_comes_late_gets_the_whole_text_first() -> None:
    """The first piece of a watcher in the middle of a turn is all that was written before."""
    drafts = Drafts()
    watcher = Watching(drafts, FakeAgent(SLOW).store)
    with drafts.open(floor()) as draft:
        draft.show("One two")
        draft.show("One two three")
        async with aclosing(watcher.watch(CONVERSATION, 1)) as events:
            assert await anext(events) == STARTED
            assert await anext(events) == DraftWritten("One two three", whole=True)
            draft.show("One two three four")
            assert await anext(events) == DraftWritten(" four", whole=False)
            draft.show("One two thirty")
            assert await anext(events) == DraftWritten("One two thirty", whole=True)


async def test_who_reads_slowly_skips_to_the_newest() -> None:
    """The speaker never waits, nothing piles up, and the pieces still join without a gap."""
    drafts = Drafts()
    with drafts.open(floor()) as draft:
        draft.show("0")
        async with aclosing(Watching(drafts, FakeAgent(SLOW).store).watch(CONVERSATION, 1)) as events:
            found = [await anext(events), await anext(events)]
            for length in range(1, 500):
                draft.show("0" * length)
            found.append(await anext(events))
        assert found == [STARTED, DraftWritten("0", whole=True), DraftWritten("0" * 498, whole=False)]


async def test_with_nobody_watching_nothing_is_done() -> None:
    """No timer is set, nothing is rendered or kept but the newest text; what is seen of one gone wild is cut."""
    drafts = Drafts()
    rendered: list[str] = []

    def render(text: str) -> str:
        rendered.append(text)
        return text

    with drafts.open(floor()) as draft:
        draft.show("One")
        draft.show("x" * 100_000, render)
        assert draft._timer is None
        assert rendered == []
        draft.show("x" * 100_000)
        assert len(draft.read()) == MAX_DRAFT_CHARACTERS
    assert drafts.find(CONVERSATION) is None


async def test_a_text_is_rendered_for_who_looks() -> None:
    """What is not to be seen, as the beginning of a wrapper, is not; what was seen is not taken back by it."""
    drafts = Drafts()
    with drafts.open(floor()) as draft:
        draft.show("{", lambda text: text.strip('{"'))
        async with aclosing(Watching(drafts, FakeAgent(SLOW).store).watch(CONVERSATION, 1)) as events:
            assert await anext(events) == STARTED
            draft.show('{"Tea', lambda text: text.strip('{"'))
            assert await anext(events) == DraftWritten("Tea", whole=True)
            draft.show('{"Tea is', lambda _text: "")
            draft.show('{"Tea is"', lambda text: text.strip('{"'))
            assert await anext(events) == DraftWritten(" is", whole=False)


async def test_half_a_surrogate_pair_is_held_back() -> None:
    """A piece of JSON may end in the middle of an emoji, which no message can carry: it comes with the next piece."""
    drafts = Drafts()
    with drafts.open(floor()) as draft:
        draft.show("Yes \ud83d")
        async with aclosing(Watching(drafts, FakeAgent(SLOW).store).watch(CONVERSATION, 1)) as events:
            assert await anext(events) == STARTED
            assert await anext(events) == DraftWritten("Yes ", whole=True)
            draft.show("Yes \U0001f600 \u0645\u200b")
            assert await anext(events) == DraftWritten("\U0001f600 \u0645\u200b", whole=False)


async def test_a_turn_that_is_stored_is_committed_at_once() -> None:
    """A watcher of a turn that was said already, or that another replica stores, is notified from the store."""
    agent = FakeAgent(Answer(SENSIBLE), speaker=_Showing())
    await agent.floors.take_floor(floor())
    other = FakeAgent(SLOW, store=agent.store)
    assert await collect(watching(other).watch(CONVERSATION, 1)) == [DraftCommitted(1, SENSIBLE)]
    waiting = asyncio.create_task(collect(watching(other).watch(CONVERSATION, 3)))
    await agent.floors.take_floor(floor(3))
    assert await asyncio.wait_for(waiting, 5) == [DraftCommitted(3, SENSIBLE)]


async def test_a_turn_that_was_passed_over_is_withdrawn() -> None:
    """Who watches turn 1 while turn 3 is written is notified that there is none."""
    agent = FakeAgent(SLOW, speaker=_Showing())
    task = asyncio.create_task(agent.floors.take_floor(floor(3, last_turn=RememberedTurn(2, 1, "team-b", "No."))))
    await agent.wait_for_call()
    assert await collect(watching(agent).watch(CONVERSATION, 1)) == [DraftWithdrawn(1, Withdrawal.REVOKED)]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_floor_that_never_comes_is_not_waited_for_for_good() -> None:
    """The watch ends without an event; a draft of another conversation does not concern it."""
    agent = FakeAgent(SLOW)
    watcher = watching(agent, wait_seconds=0.05)
    with agent.drafts.open(replace(floor(), conversation="debates/other")):
        assert await collect(watcher.watch(CONVERSATION, 1)) == []
        assert await collect(watcher.watch(CONVERSATION, 0)) == []
    assert agent.drafts._waiting == {}


async def test_too_many_watchers_are_refused() -> None:
    """One more than may is told so; a place that somebody left is free again."""
    agent = FakeAgent(SLOW)
    watcher = watching(agent, max_watchers=1)
    first = asyncio.create_task(anext(watcher.watch(CONVERSATION, 1)))
    await until("somebody who watches", lambda: agent.drafts._waiting, seconds=5)
    with pytest.raises(RateLimitedError):
        await anext(watcher.watch(CONVERSATION, 1))
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    with agent.drafts.open(floor()):
        async with aclosing(watcher.watch(CONVERSATION, 1)) as events:
            assert await anext(events) == STARTED


async def test_there_is_no_negative_turn() -> None:
    """It is refused before anybody waits."""
    with pytest.raises(InvalidArgumentError):
        await anext(watching(FakeAgent(SLOW)).watch(CONVERSATION, -1))


async def test_the_first_end_stays() -> None:
    """A draft that was committed is not withdrawn any more, and a wait for it returns at once."""
    draft = FloorDraft(floor())
    draft.commit("Said.")
    draft.withdraw(Withdrawal.REVOKED)
    await asyncio.wait_for(draft.wait(draft.version), 1)
    assert draft.end == DraftCommitted(1, "Said.")
