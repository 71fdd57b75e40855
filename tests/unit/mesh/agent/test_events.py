"""Records to floors: what is no floor of this agent is poison, and nothing else is."""

from __future__ import annotations

import pytest
from rostrum.agent.v1 import floor_pb2
from rostrum.debate.v1 import debate_pb2

from mesh.agent.events import FLOOR_GRANTED, FLOOR_WITHDRAWN, FloorEvents
from mesh.agent.model import Floor, RememberedTurn
from mesh.bus.errors import PoisonError
from mesh.bus.message import Incoming

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


class _Floors:
    def __init__(self) -> None:
        self.taken: list[Floor] = []
        self.revoked: list[tuple[str, tuple[int, int], bool]] = []

    async def take_floor(self, floor: Floor) -> None:
        self.taken.append(floor)

    def revoke(self, conversation: str, place: tuple[int, int], *, including: bool) -> None:
        self.revoked.append((conversation, place, including))


def _record(type_: str, payload: bytes) -> Incoming:
    return Incoming("t", 0, 0, "d1", "e1", type_, payload, {}, 0)


def _without(**changes: object) -> bytes:
    granted = floor_pb2.FloorGranted()
    granted.CopyFrom(GRANTED)
    for name, value in changes.items():
        setattr(granted, name, value)
    return granted.SerializeToString()


async def test_a_floor_is_read_whole() -> None:
    """Every field of the message reaches the agent; on arrival only what is older is revoked."""
    floors = _Floors()
    events = FloorEvents("team-a", floors)
    record = _record(FLOOR_GRANTED, GRANTED.SerializeToString())
    await events.handle(events.receive(record))
    assert floors.revoked == [("debates/d1", (2, 3), False)]
    assert floors.taken == [
        Floor(
            conversation="debates/d1",
            turn_number=2,
            round=1,
            max_rounds=8,
            attempt=3,
            agent="team-a",
            role="AGAINST",
            topic="A topic",
            question="A question?",
            last_turn=RememberedTurn(1, 1, "team-b", "Said."),
            deadline_us=1_700_000_000_500_000,
            allowance_tokens=500,
        )
    ]


async def test_a_withdrawal_revokes_the_floor_on_arrival() -> None:
    """It takes effect before its turn to be handled comes, and handling it does nothing more."""
    floors = _Floors()
    events = FloorEvents("team-a", floors)
    record = _record(FLOOR_WITHDRAWN, WITHDRAWN.SerializeToString())
    await events.handle(events.receive(record))
    assert floors.revoked == [("debates/d1", (2, 3), True)]
    assert not floors.taken


@pytest.mark.parametrize(
    ("type_", "payload"),
    [
        (FLOOR_GRANTED, b"\xff\xff"),
        (FLOOR_WITHDRAWN, b"\xff\xff"),
        ("", GRANTED.SerializeToString()),
        ("rostrum.debate.v1.TurnTaken", GRANTED.SerializeToString()),
        (FLOOR_GRANTED, b""),
        (FLOOR_GRANTED, _without(agent="team-b")),
        (FLOOR_GRANTED, _without(debate="x")),
        (FLOOR_GRANTED, _without(turn_number=0)),
        (FLOOR_GRANTED, _without(attempt=0)),
        (FLOOR_GRANTED, _without(stance=debate_pb2.STANCE_UNSPECIFIED)),
    ],
)
def test_what_is_no_floor_of_ours_is_poison(type_: str, payload: bytes) -> None:
    """Receiving it raises PoisonError, and does not disturb anything."""
    floors = _Floors()
    events = FloorEvents("team-a", floors)
    record = _record(type_, payload)
    with pytest.raises(PoisonError):
        events.receive(record)
    assert not floors.revoked
    assert not floors.taken
