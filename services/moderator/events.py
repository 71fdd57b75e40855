"""Kafka in and out: turns of agents become what `logic` records, floors become records on their agents' topics.

A record that cannot be handled raises PoisonError, and the bus keeps it as a dead letter; one that comes late, again or
out of order is no error: `logic` counts it and nothing changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from google.protobuf.message import DecodeError
from rostrum.agent.v1 import floor_pb2
from rostrum.debate.v1 import debate_pb2, turn_taken_pb2

from mesh.bus.errors import PoisonError
from mesh.bus.topics import topic_of
from mesh.telemetry.setup import trace_headers
from services.moderator.errors import DebateNotFoundError
from services.moderator.messages import set_time, turn_message
from services.moderator.model.debate import DEBATES
from services.moderator.model.turn import SubmittedTurn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from mesh.bus.message import Incoming, Outgoing
    from services.moderator.model.debate import Debate
    from services.moderator.model.turn import Floor, Ignored, Turn

TURNS = topic_of(turn_taken_pb2.TurnTaken)
FLOORS = topic_of(floor_pb2.FloorGranted, floor_pb2.FloorWithdrawn)
TURN_TAKEN = turn_taken_pb2.TurnTaken.DESCRIPTOR.full_name
# Characters of a turn that the record takes. Our debater sends at most 4,000; twice that is room for other agents.
MAX_TURN_CHARACTERS = 8_000
MAX_FORFEIT_REASON_CHARACTERS = 500
# Tokens of one turn that are believed. A debate's sum is an int32 of its contract: what an agent that counts wrongly
# says must not make the debate one that nobody can read.
MAX_TURN_TOKENS = 100_000_000


class RecordsTurns(Protocol):
    """What `logic` does with a turn."""

    async def record_turn(self, submitted: SubmittedTurn) -> Ignored | None:
        """Records the turn if it fits the floor. Raises DebateNotFoundError, StoreUnavailableError."""
        ...


class TurnEvents:
    """Handles the records of the turns topic."""

    def __init__(self, moderator: RecordsTurns) -> None:
        self._moderator = moderator

    async def handle(self, record: Incoming) -> None:
        """Records one turn. Raises PoisonError for what can never be handled, StoreUnavailableError."""
        submitted = read_turn(record)
        try:
            await self._moderator.record_turn(submitted)
        except DebateNotFoundError as error:
            raise PoisonError(error.message) from error


def read_turn(record: Incoming) -> SubmittedTurn:
    """Returns the turn of a record. Raises PoisonError if it is none."""
    if record.type != TURN_TAKEN:
        message = f"ce_type is {record.type or 'missing'}, not {TURN_TAKEN}"
        raise PoisonError(message)
    try:
        taken = turn_taken_pb2.TurnTaken.FromString(record.payload)
    except DecodeError as error:
        message = f"the payload is no {TURN_TAKEN}: {error}"
        raise PoisonError(message) from error
    turn = taken.turn
    debate_id = DEBATES.id_of(taken.debate)
    if debate_id is None:
        message = f"debate is {taken.debate[:80]!r}, not of the form {DEBATES.form}"
        raise PoisonError(message)
    if turn.number < 1 or turn.attempt < 1 or not turn.agent:
        message = f"turn has number {turn.number}, attempt {turn.attempt}, agent {turn.agent[:80]!r}"
        raise PoisonError(message)
    if not turn.forfeited and not turn.text.strip():
        message = "a turn that is not forfeited has no text"
        raise PoisonError(message)
    if len(turn.text) > MAX_TURN_CHARACTERS:
        message = f"the text has {len(turn.text):,} characters; the record takes {MAX_TURN_CHARACTERS:,}"
        raise PoisonError(message)
    if turn.prompt_tokens + turn.completion_tokens > MAX_TURN_TOKENS:
        message = f"the turn has {turn.prompt_tokens:,} + {turn.completion_tokens:,} tokens; no model takes so many"
        raise PoisonError(message)
    return SubmittedTurn(
        debate_id=debate_id,
        number=turn.number,
        attempt=turn.attempt,
        agent=turn.agent,
        text=turn.text,
        forfeited=turn.forfeited,
        forfeit_reason=turn.forfeit_reason[:MAX_FORFEIT_REASON_CHARACTERS],
        model=turn.model[:255],
        prompt_tokens=turn.prompt_tokens,
        completion_tokens=turn.completion_tokens,
        written_us=record.timestamp_ms * 1000,
    )


class FloorRecords:
    """Makes the records that notify agents of their floors."""

    def headers(self) -> Mapping[str, str]:
        """Returns the trace context of what is being handled now."""
        return trace_headers()

    def encode_granted(
        self, debate: Debate, floor: Floor, last_turn: Turn | None, headers: Mapping[str, str]
    ) -> Outgoing:
        """Returns the record that grants the floor; the same id each time for the same floor."""
        granted = floor_pb2.FloorGranted(
            debate=debate.name,
            turn_number=floor.turn_number,
            round=floor.round,
            max_rounds=debate.max_rounds,
            attempt=floor.attempt,
            agent=floor.seat.agent,
            stance=debate_pb2.Stance.Value(floor.seat.stance.value),
            topic=debate.topic,
            question=debate.question,
            last_turn=turn_message(debate.id, last_turn) if last_turn else None,
            allowance_tokens=floor.allowance_tokens,
            language=debate.language,
        )
        set_time(granted.deadline, floor.deadline_us)
        return self._record(debate, floor, "granted", granted, headers)

    def encode_withdrawn(self, debate: Debate, floor: Floor, reason: str, headers: Mapping[str, str]) -> Outgoing:
        """Returns the record that withdraws the floor."""
        withdrawn = floor_pb2.FloorWithdrawn(
            debate=debate.name,
            turn_number=floor.turn_number,
            attempt=floor.attempt,
            agent=floor.seat.agent,
            reason=reason,
        )
        return self._record(debate, floor, "withdrawn", withdrawn, headers)

    @staticmethod
    def _record(debate: Debate, floor: Floor, what: str, message: Message, headers: Mapping[str, str]) -> Outgoing:
        event_id = f"{debate.id}/{floor.turn_number}/{floor.attempt}/{what}"
        return FLOORS.of(floor.seat.agent).record(message, event_id, headers)
