"""Kafka out: what the debater said becomes a TurnTaken for the moderator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rostrum.debate.v1 import debate_pb2, turn_taken_pb2

from mesh.bus.topics import topic_of
from mesh.resource_names import CONVERSATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.agent.model import Floor, Utterance
    from mesh.bus.message import Outgoing

TURNS = topic_of(turn_taken_pb2.TurnTaken)
TURN_TAKEN = turn_taken_pb2.TurnTaken.DESCRIPTOR.full_name


class TurnMessages:
    """Makes the records that answer floors. Implements mesh.agent.ports.TurnEncoder."""

    def encode_turn(self, floor: Floor, utterance: Utterance, headers: Mapping[str, str]) -> Outgoing:
        """Returns the answer; the same id each time for the same floor, and the floor's attempt whatever was stored."""
        debate_id = CONVERSATIONS.id_of(floor.conversation)
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
        taken = turn_taken_pb2.TurnTaken(debate=floor.conversation, turn=turn)
        return TURNS.record(taken, f"{debate_id}/{floor.turn_number}/{floor.attempt}/taken", headers)
