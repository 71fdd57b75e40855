"""Missed turns come from the record, for a part of the time that is left."""

from __future__ import annotations

from mesh.agent.model import RememberedTurn
from mesh.errors import DeadlineError
from mesh.testing.clock import FakeClock
from mesh.testing.scripted_model import Answer
from tests.unit.mesh.agent.fakes import CONVERSATION, SENSIBLE, FakeAgent, FakeRecord, floor

GOOD = Answer(text=SENSIBLE)


async def test_missed_turns_are_fetched_and_remembered() -> None:
    """What the memory lacks comes from the record, once; the prompt has it."""
    missed = [
        RememberedTurn(1, 1, "team-a", "Trains were safer."),
        RememberedTurn(2, 1, "team-b", "Canals were calmer."),
    ]
    last = RememberedTurn(4, 2, "team-b", "Horses were quieter.")

    record = FakeRecord([*missed, RememberedTurn(3, 2, "team-a", "Bridges last."), last], [DeadlineError("slow")])
    agent = FakeAgent(GOOD, record=record)
    await agent.floors.take_floor(floor(5, last_turn=last))
    assert record.asked == [0, 0]
    assert set(agent.store.remembered[CONVERSATION]) == {1, 2, 3, 4}
    text = agent.model.calls[0].text
    assert "Trains were safer." in text
    assert "Horses were quieter." in text


async def test_an_agent_without_the_record_speaks_from_what_it_has() -> None:
    """A record that never answers costs a part of the time, not the turn."""
    clock = FakeClock()
    record = FakeRecord(failures=[DeadlineError("slow")] * 100_000, clock=clock, fetch_seconds=0.2)
    agent = FakeAgent(GOOD, record=record, clock=clock)
    await agent.floors.take_floor(floor(5, seconds=2.0, last_turn=RememberedTurn(4, 2, "team-b", "Horses were quiet.")))
    [(_, _, said)] = agent.store.sent
    assert said.text == SENSIBLE
    assert record.asked == [0, 0, 0], "a quarter of two seconds, at 0.2 s a fetch"
