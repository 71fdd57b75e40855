"""Kafka in: records of the agent's floors topic become floors that are taken or revoked.

A record that cannot be handled raises PoisonError, and the bus keeps it as a dead letter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from google.protobuf.message import DecodeError
from rostrum.agent.v1 import floor_pb2

from mesh.agent.model import Floor, RememberedTurn
from mesh.bus.errors import PoisonError
from mesh.bus.topics import topic_of
from mesh.resource_names import CONVERSATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.bus.message import Incoming

FLOORS = topic_of(floor_pb2.FloorGranted, floor_pb2.FloorWithdrawn)
"""The floors of each agent."""
FLOOR_GRANTED = floor_pb2.FloorGranted.DESCRIPTOR.full_name
FLOOR_WITHDRAWN = floor_pb2.FloorWithdrawn.DESCRIPTOR.full_name

_ROLE: Any = floor_pb2.FloorGranted.DESCRIPTOR.fields_by_name["stance"].enum_type
_ROLES: Mapping[int, str] = {value.number: value.name for value in _ROLE.values if value.number != 0}
"""Number in the contract -> name; 0 says nothing."""


class TakesFloors(Protocol):
    """What mesh.agent.floors does."""

    async def take_floor(self, floor: Floor) -> None:
        """Answers the floor. Raises StoreUnavailableError."""
        ...

    def revoke(self, conversation: str, place: tuple[int, int], *, including: bool) -> None:
        """Cancels the work on a floor before this place, or at it."""
        ...


class FloorEvents:
    """Handles the records of this agent's floors topic."""

    def __init__(self, agent: str, floors: TakesFloors) -> None:
        self._agent = agent
        self._floors = floors

    def receive(self, record: Incoming) -> Floor | None:
        """Returns the floor of a record that was just read, or None for a withdrawal; what it revokes is given up.

        Raises PoisonError for what can never be handled.
        """
        if record.type == FLOOR_WITHDRAWN:
            withdrawn = _read_withdrawn(record)
            self._floors.revoke(withdrawn.debate, (withdrawn.turn_number, withdrawn.attempt), including=True)
            return None
        floor = read_floor(record, self._agent)
        self._floors.revoke(floor.conversation, floor.place, including=False)
        return floor

    async def handle(self, floor: Floor | None) -> None:
        """Answers the floor, if there is one, when it is its turn. Raises StoreUnavailableError."""
        if floor is not None:
            await self._floors.take_floor(floor)


def read_floor(record: Incoming, agent: str) -> Floor:
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
    role = _ROLES.get(granted.stance)
    named = CONVERSATIONS.id_of(granted.debate) is not None
    if not named or granted.turn_number < 1 or granted.attempt < 1 or role is None:
        message = (
            f"the floor has debate {granted.debate[:80]!r}, turn {granted.turn_number}, attempt {granted.attempt}, "
            f"stance {granted.stance}"
        )
        raise PoisonError(message)
    last = granted.last_turn if granted.HasField("last_turn") else None
    return Floor(
        conversation=granted.debate,
        turn_number=granted.turn_number,
        round=granted.round,
        max_rounds=granted.max_rounds,
        attempt=granted.attempt,
        agent=agent,
        role=role,
        topic=granted.topic,
        question=granted.question,
        last_turn=None if last is None else RememberedTurn(last.number, last.round, last.agent, last.text),
        deadline_us=granted.deadline.seconds * 1_000_000 + granted.deadline.nanos // 1000,
        allowance_tokens=granted.allowance_tokens,
        language=granted.language,
    )


def _read_withdrawn(record: Incoming) -> floor_pb2.FloorWithdrawn:
    try:
        return floor_pb2.FloorWithdrawn.FromString(record.payload)
    except DecodeError as error:
        message = f"the payload is no {FLOOR_WITHDRAWN}: {error}"
        raise PoisonError(message) from error
