"""Records to floors and answers to records: what is no floor of this agent is poison, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rostrum.agent.v1 import floor_pb2
from rostrum.debate.v1 import debate_pb2, turn_taken_pb2

from mesh.agent.model import Floor, HeardTurn, Kind, Stance, Utterance
from mesh.bus.errors import PoisonError
from mesh.bus.message import Incoming
from services.debater.events import FLOOR_GRANTED, FLOOR_WITHDRAWN, TURN_TAKEN, FloorEvents, TurnMessages
from tests.unit.debater.fake_store import floor

GRANTED = floor_pb2.FloorGranted(
    debate="debates/d1",
    turn_number=2,
    round=1,
    max_rounds=8,
    attempt=3,
    agent="team-a",
    stance=debate_pb2.AGAINST,
    topic="A topic",
    question="A question?",
    last_turn=debate_pb2.Turn(number=1, round=1, agent="team-b", text="Said."),
    allowance_tokens=500,
)
GRANTED.deadline.FromMilliseconds(1_700_000_000_500)
WITHDRAWN = floor_pb2.FloorWithdrawn(debate="debates/d1", turn_number=2, attempt=3, agent="team-a", reason="Cancelled")


class _Debater:
    agent = "team-a"

    def __init__(self) -> None:
        self.taken: list[Floor] = []
        self.lost: list[tuple[str, tuple[int, int], bool]] = []

    async def take_floor(self, floor: Floor) -> None:
        self.taken.append(floor)

    def lose(self, debate: str, place: tuple[int, int], *, including: bool) -> None:
        self.lost.append((debate, place, including))


def _record(type_: str, payload: bytes) -> Incoming:
    return Incoming("t", 0, 0, "d1", "e1", type_, payload, {}, 0)


def _without(**changes: object) -> bytes:
    granted = floor_pb2.FloorGranted()
    granted.CopyFrom(GRANTED)
    for name, value in changes.items():
        setattr(granted, name, value)
    return granted.SerializeToString()


async def test_a_floor_is_read_whole() -> None:
    """Every field of the message reaches the agent; on arrival only what is older is lost."""
    debater = _Debater()
    events = FloorEvents(debater)
    record = _record(FLOOR_GRANTED, GRANTED.SerializeToString())
    events.arrived(record)
    await events.handle(record)
    assert debater.lost == [("debates/d1", (2, 3), False)]
    assert debater.taken == [
        Floor(
            debate="debates/d1",
            turn_number=2,
            round=1,
            max_rounds=8,
            attempt=3,
            agent="team-a",
            stance=Stance.AGAINST,
            topic="A topic",
            question="A question?",
            last_turn=HeardTurn(1, 1, "team-b", "Said."),
            deadline_us=1_700_000_000_500_000,
            allowance_tokens=500,
        )
    ]


async def test_a_withdrawal_loses_the_floor_on_arrival() -> None:
    """It takes effect before its turn to be handled comes, and handling it does nothing more."""
    debater = _Debater()
    events = FloorEvents(debater)
    record = _record(FLOOR_WITHDRAWN, WITHDRAWN.SerializeToString())
    events.arrived(record)
    await events.handle(record)
    assert debater.lost == [("debates/d1", (2, 3), True)]
    assert not debater.taken


@pytest.mark.parametrize(
    ("type_", "payload"),
    [
        (FLOOR_GRANTED, b"\xff\xff"),
        (FLOOR_WITHDRAWN, b"\xff\xff"),
        ("", GRANTED.SerializeToString()),
        (TURN_TAKEN, GRANTED.SerializeToString()),
        (FLOOR_GRANTED, b""),
        (FLOOR_GRANTED, _without(agent="team-b")),
        (FLOOR_GRANTED, _without(debate="x")),
        (FLOOR_GRANTED, _without(turn_number=0)),
        (FLOOR_GRANTED, _without(attempt=0)),
        (FLOOR_GRANTED, _without(stance=debate_pb2.STANCE_UNSPECIFIED)),
    ],
)
async def test_what_is_no_floor_of_ours_is_poison(type_: str, payload: bytes) -> None:
    """Handling it raises PoisonError; its arrival does not disturb anything."""
    debater = _Debater()
    events = FloorEvents(debater)
    record = _record(type_, payload)
    events.arrived(record)
    with pytest.raises(PoisonError):
        await events.handle(record)
    assert not debater.lost
    assert not debater.taken


def test_an_answer_is_of_the_floor_that_asks() -> None:
    """A stored turn carries the asking floor's attempt, and its id is the same each time it is sent for that floor."""
    said = Utterance("u1", Kind.TURN, "debates/d1", 1, 1, "Q?", "Text.", "m", 10, 5, 1)
    messages = TurnMessages()
    second = messages.turn_taken(floor(attempt=2), said, {})
    assert second.event_id == messages.turn_taken(floor(attempt=2), said, {}).event_id
    assert second.event_id != messages.turn_taken(floor(attempt=1), said, {}).event_id
    assert (second.topic, second.key, second.type) == ("rostrum.debate.turns.v1", "d1", TURN_TAKEN)
    taken = turn_taken_pb2.TurnTaken.FromString(second.payload)
    assert (taken.debate, taken.turn.attempt, taken.turn.text) == ("debates/d1", 2, "Text.")
    assert not taken.turn.forfeited


def test_a_forfeit_says_why() -> None:
    """A turn without text goes out as forfeited, with its reason and what it cost."""
    said = Utterance("u1", Kind.TURN, "debates/d1", 1, 1, "Q?", "", "m", 10, 5, 1)
    outgoing = TurnMessages().turn_taken(floor(), replace(said, forfeit_reason="No answer."), {})
    turn = turn_taken_pb2.TurnTaken.FromString(outgoing.payload).turn
    assert (turn.forfeited, turn.forfeit_reason, turn.prompt_tokens) == (True, "No answer.", 10)
