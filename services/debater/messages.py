"""The debater's dataclasses from and to the messages of both roads (`api`, `clients`, `events`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rostrum.agent.v1 import agent_service_pb2

from services.debater.model import HeardTurn

if TYPE_CHECKING:
    from rostrum.debate.v1 import debate_pb2

    from services.debater.model import Utterance


def heard_turn(turn: debate_pb2.Turn) -> HeardTurn:
    """Returns a turn of the record as the agent remembers it."""
    return HeardTurn(number=turn.number, round=turn.round, agent=turn.agent, text=turn.text)


def utterance_message(agent: str, utterance: Utterance) -> agent_service_pb2.Utterance:
    """Returns the resource."""
    message = agent_service_pb2.Utterance(
        name=f"agents/{agent}/utterances/{utterance.id}",
        kind=agent_service_pb2.Utterance.Kind.Value(utterance.kind.value),
        debate=utterance.debate,
        turn_number=utterance.turn_number,
        question=utterance.question,
        text=utterance.text,
        model=utterance.model,
        prompt_tokens=utterance.prompt_tokens,
        completion_tokens=utterance.completion_tokens,
        forfeit_reason=utterance.forfeit_reason,
    )
    message.create_time.FromMicroseconds(utterance.create_time_us)
    return message
