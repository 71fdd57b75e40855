"""Whole debates while processes are killed or stand still: no turn lost, none repeated, no completion paid for twice.

Deaths at any moment, the broker's included, and floors that are lost because their agent stands still. Deaths at an
exact boundary are in test_crash_table.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.protobuf.duration_pb2 import Duration
from rostrum.debate.v1 import debate_pb2

from mesh.agent.metered_model import call_seed, turn_place
from tests.support.system import NEVER_REDUNDANT, System, paused
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rostrum.debate.v1.debate_pb2 import Turn

pytestmark = pytest.mark.timeout(180)

ROUNDS = 3
TURNS = 2 * ROUNDS


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    # Long enough to be killed in the middle of a call, short enough for a quick test.
    with System.running(tmp_path_factory.mktemp("sigkill"), scripted={"SCRIPTED_DELAY_SECONDS": "0.3"}) as system:
        yield system


def short_floors(seconds: float, max_attempts: int) -> debate_pb2.DebateSettings:
    deadline = Duration()
    deadline.FromMilliseconds(round(1000 * seconds))
    return debate_pb2.DebateSettings(
        turn_deadline=deadline, max_attempts=max_attempts, redundant_rounds=NEVER_REDUNDANT
    )


def call_of(name: str, turn_number: int) -> int:
    """The seed of an agent's first model call for a turn."""
    return call_seed(turn_place(name, turn_number), 1)


def assert_whole(turns: list[Turn]) -> None:
    assert [turn.number for turn in turns] == list(range(1, TURNS + 1))
    assert [turn.agent for turn in turns] == ["team-a", "team-b"] * ROUNDS


@pytest.mark.parametrize("victim", ["team-a-0", "team-b-0", "moderator-0", "kafka-0"])
def test_a_killed_process_loses_and_repeats_nothing(system: System, victim: str) -> None:
    """SIGKILL of any process, twice in a debate: the record is 1..N without a gap, the debate has its verdict, and a
    model call is repeated only where a process died before its completion was stored: at most once for each kill."""
    before = system.calls()
    name = system.create(f"Killing {victim} twice", rounds=ROUNDS)
    for turn_number in (1, 3):
        system.wait_for_turn(name, turn_number)
        system.kill(victim)
    debate = system.wait_for_end(name)
    turns = system.turns(name)
    assert_whole(turns)
    assert all(turn.text and not turn.forfeited for turn in turns)
    assert [event.number for event in system.events(name)] == list(range(1, len(system.events(name)) + 1))
    assert debate.stop_reason == debate_pb2.Debate.MAX_ROUNDS
    assert debate.summary
    assert debate.verdict
    calls = system.calls() - before
    assert all(calls[call_of(name, turn_number)] for turn_number in range(1, TURNS + 1))
    assert calls.total() - len(calls) <= 2, f"more second calls than kills: {calls.most_common(3)}"


def test_a_lost_floor_is_granted_again(system: System) -> None:
    """An agent that stands still past its deadline loses the floor and gets it again as attempt 2; its answer is in
    the record once, and the other turns are as ever."""
    agent = system.pid("team-b-0")
    name = system.create("Standing still once", rounds=ROUNDS, settings=short_floors(2, 3))
    with paused(agent, once=lambda: call_of(name, 2) in system.calls()):
        wait_until("a second attempt", lambda: 2 in _attempts(system, name), seconds=20)
    system.wait_for_end(name)
    turns = system.turns(name)
    assert_whole(turns)
    assert all(turn.text and not turn.forfeited for turn in turns)
    assert turns[1].attempt >= 2
    assert [said.turn_number for said in system.said("team-b", name)] == [6, 4, 2]


def test_a_turn_without_an_answer_is_forfeited_and_the_debate_goes_on(system: System) -> None:
    """After max_attempts lost floors the turn is forfeited with its reason; what the agent says later changes nothing
    of it, and its next floor it takes as ever."""
    agent = system.pid("team-b-0")
    name = system.create("Standing still for long", rounds=ROUNDS, settings=short_floors(1.5, 2))
    with paused(agent, once=lambda: call_of(name, 2) in system.calls()):
        wait_until(
            "a forfeit", lambda: any(event.HasField("turn_forfeited") for event in system.events(name)), seconds=20
        )
        (forfeited,) = [turn for turn in system.turns(name) if turn.forfeited]
    debate = system.wait_for_end(name)
    turns = system.turns(name)
    assert_whole(turns)
    assert (forfeited.number, forfeited.agent, forfeited.attempt) == (2, "team-b", 2)
    assert "no answer in 2 attempts" in forfeited.forfeit_reason
    assert turns[1] == forfeited
    assert all(turn.text for turn in turns if turn.number != 2)
    assert debate.stop_reason == debate_pb2.Debate.MAX_ROUNDS


def _attempts(system: System, name: str) -> set[int]:
    return {event.floor_granted.attempt for event in system.events(name) if event.HasField("floor_granted")}
