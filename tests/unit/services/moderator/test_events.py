"""Records of the turns topic: what is poison, and what only changes nothing."""

from __future__ import annotations

import pytest
from rostrum.debate.v1 import debate_pb2, turn_taken_pb2

from mesh.bus.errors import PoisonError
from mesh.bus.message import Incoming
from mesh.errors import StoreUnavailableError
from services.moderator.errors import DebateNotFoundError
from services.moderator.events import TURN_TAKEN, TurnEvents
from services.moderator.model.turn import Ignored, SubmittedTurn


class Recorder:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.submitted: list[SubmittedTurn] = []

    async def record_turn(self, submitted: SubmittedTurn) -> Ignored | None:
        self.submitted.append(submitted)
        if self.error:
            raise self.error
        return Ignored.REPEATED


def record(payload: bytes, kind: str = TURN_TAKEN) -> Incoming:
    return Incoming("rostrum.debate.turns.v1", 0, 0, "d1", "e", kind, payload, {}, 5)


def taken(
    debate: str = "debates/d1", number: int = 1, text: str = "A point.", agent: str = "team-a", tokens: int = 0
) -> bytes:
    turn = debate_pb2.Turn(
        number=number, attempt=1, agent=agent, text=text, prompt_tokens=tokens, completion_tokens=tokens
    )
    return turn_taken_pb2.TurnTaken(debate=debate, turn=turn).SerializeToString()


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"\xff\xff not protobuf", TURN_TAKEN),
        (taken(), "rostrum.agent.v1.FloorGranted"),
        (taken(), ""),
        (b"", TURN_TAKEN),
        (taken(debate="agents/x"), TURN_TAKEN),
        (taken(number=0), TURN_TAKEN),
        (taken(agent=""), TURN_TAKEN),
        (taken(text=" "), TURN_TAKEN),
        (taken(text="x" * 100_000), TURN_TAKEN),
        (taken(tokens=2**31 - 1), TURN_TAKEN),
        (taken(tokens=60_000_000), TURN_TAKEN),
    ],
)
async def test_what_is_no_turn_is_poison(payload: bytes, kind: str) -> None:
    """No protobuf, another type, no place, no text or 100 KB of it, too many tokens: a dead letter, not `logic`'s."""
    recorder = Recorder()
    with pytest.raises(PoisonError):
        await TurnEvents(recorder).handle(record(payload, kind))
    assert recorder.submitted == []


async def test_a_turn_of_an_unknown_debate_is_poison() -> None:
    """Nothing will ever make it known."""
    with pytest.raises(PoisonError, match="no debate"):
        await TurnEvents(Recorder(DebateNotFoundError("no debate"))).handle(record(taken()))


async def test_a_turn_that_changes_nothing_is_handled() -> None:
    """Repeated, late or early: counted by `logic`, no dead letter."""
    recorder = Recorder()
    await TurnEvents(recorder).handle(record(taken()))
    assert recorder.submitted[0].written_us == 5_000


async def test_a_store_that_is_away_is_waited_out() -> None:
    """The bus tries again without limit: the error passes as it is."""
    with pytest.raises(StoreUnavailableError):
        await TurnEvents(Recorder(StoreUnavailableError("away"))).handle(record(taken()))
