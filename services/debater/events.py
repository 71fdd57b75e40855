"""Kafka in and out: floors of the moderator become what `logic` takes or loses, answers become records for it.

A record that cannot be handled raises PoisonError, and the bus keeps it as a dead letter.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from google.protobuf.message import DecodeError
from rostrum.agent.v1 import floor_pb2
from rostrum.debate.v1 import debate_pb2, turn_taken_pb2

from mesh.agent.model import Floor, Stance
from mesh.bus.envelope import trace_headers
from mesh.bus.errors import PoisonError
from mesh.bus.topics import topic_of
from services.debater.messages import heard_turn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.agent.model import Utterance
    from mesh.bus.message import Incoming, Outgoing

log = logging.getLogger(__name__)

TURNS = topic_of(turn_taken_pb2.TurnTaken)
FLOORS = topic_of(floor_pb2.FloorGranted, floor_pb2.FloorWithdrawn)
TURN_TAKEN = turn_taken_pb2.TurnTaken.DESCRIPTOR.full_name
FLOOR_GRANTED = floor_pb2.FloorGranted.DESCRIPTOR.full_name
FLOOR_WITHDRAWN = floor_pb2.FloorWithdrawn.DESCRIPTOR.full_name

_STANCES = {debate_pb2.FOR: Stance.FOR, debate_pb2.AGAINST: Stance.AGAINST}


class TakesFloors(Protocol):
    """What `logic` does with floors."""

    @property
    def agent(self) -> str:
        """Id of this agent."""
        ...

    async def take_floor(self, floor: Floor) -> None:
        """Answers the floor. Raises StoreUnavailableError."""
        ...

    def lose(self, debate: str, place: tuple[int, int], *, including: bool) -> None:
        """Cancels the model call for a floor before this place, or at it."""
        ...


class FloorEvents:
    """Handles the records of this agent's floors topic."""

    def __init__(self, debater: TakesFloors) -> None:
        self._debater = debater

    def arrived(self, record: Incoming) -> None:
        """Told of a record the moment it is read: what it makes hopeless is given up. Never raises."""
        try:
            if record.type == FLOOR_GRANTED:
                floor = granted_floor(record, self._debater.agent)
                self._debater.lose(floor.debate, floor.place, including=False)
            elif record.type == FLOOR_WITHDRAWN:
                withdrawn = _withdrawn(record)
                place = (withdrawn.turn_number, withdrawn.attempt)
                self._debater.lose(withdrawn.debate, place, including=True)
        except PoisonError:
            return  # `handle` meets it again, and it is buried then

    async def handle(self, record: Incoming) -> None:
        """Answers one floor. Raises PoisonError for what can never be handled, StoreUnavailableError."""
        if record.type == FLOOR_WITHDRAWN:
            _withdrawn(record)  # its work was done when it arrived
            return
        await self._debater.take_floor(granted_floor(record, self._debater.agent))


def granted_floor(record: Incoming, agent: str) -> Floor:
    """Returns the floor of a record. Raises PoisonError if it is none, or another agent's."""
    if record.type != FLOOR_GRANTED:
        message = f"ce_type is {record.type or 'missing'}, neither {FLOOR_GRANTED} nor {FLOOR_WITHDRAWN}"
        raise PoisonError(message)
    try:
        granted = floor_pb2.FloorGranted.FromString(record.payload)
    except DecodeError as error:
        message = f"the payload is no {FLOOR_GRANTED}: {error}"
        raise PoisonError(message) from error
    if granted.agent != agent:
        message = f"the floor is {granted.agent[:80]!r}'s, and this is {agent}"
        raise PoisonError(message)
    stance = _STANCES.get(granted.stance)
    if not granted.debate.startswith("debates/") or granted.turn_number < 1 or granted.attempt < 1 or stance is None:
        message = (
            f"the floor has debate {granted.debate[:80]!r}, turn {granted.turn_number}, attempt {granted.attempt}, "
            f"stance {granted.stance}"
        )
        raise PoisonError(message)
    return Floor(
        debate=granted.debate,
        turn_number=granted.turn_number,
        round=granted.round,
        max_rounds=granted.max_rounds,
        attempt=granted.attempt,
        agent=agent,
        stance=stance,
        topic=granted.topic,
        question=granted.question,
        last_turn=heard_turn(granted.last_turn) if granted.HasField("last_turn") else None,
        deadline_us=granted.deadline.seconds * 1_000_000 + granted.deadline.nanos // 1000,
        allowance_tokens=granted.allowance_tokens,
    )


def _withdrawn(record: Incoming) -> floor_pb2.FloorWithdrawn:
    try:
        return floor_pb2.FloorWithdrawn.FromString(record.payload)
    except DecodeError as error:
        message = f"the payload is no {FLOOR_WITHDRAWN}: {error}"
        raise PoisonError(message) from error


class TurnMessages:
    """Makes the records that answer floors."""

    def headers(self) -> Mapping[str, str]:
        """Returns the trace context of what is being handled now."""
        return trace_headers()

    def turn_taken(self, floor: Floor, utterance: Utterance, headers: Mapping[str, str]) -> Outgoing:
        """Returns the answer; the same id each time for the same floor, and the floor's attempt whatever was stored."""
        debate_id = floor.debate.removeprefix("debates/")
        turn = debate_pb2.Turn(
            number=floor.turn_number,
            round=floor.round,
            agent=floor.agent,
            text=utterance.text,
            attempt=floor.attempt,
            forfeited=utterance.forfeited,
            forfeit_reason=utterance.forfeit_reason,
            model=utterance.model,
            prompt_tokens=utterance.prompt_tokens,
            completion_tokens=utterance.completion_tokens,
        )
        event_id = f"{debate_id}/{floor.turn_number}/{floor.attempt}/taken"
        return TURNS.record(turn_taken_pb2.TurnTaken(debate=floor.debate, turn=turn), event_id, headers)
