"""The agent's dataclasses as the messages of rostrum.agent.v1, whose fields call the conversation a debate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rostrum.agent.v1 import agent_service_pb2

if TYPE_CHECKING:
    from mesh.agent.model import Utterance


def utterance_message(agent: str, utterance: Utterance) -> agent_service_pb2.Utterance:
    """Returns the resource."""
    message = agent_service_pb2.Utterance(
        name=f"agents/{agent}/utterances/{utterance.id}",
        kind=agent_service_pb2.Utterance.Kind.Value(utterance.kind.value),
        debate=utterance.conversation,
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
