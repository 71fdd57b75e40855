"""The agent's dataclasses as the messages of rostrum.agent.v1, whose fields call the conversation a debate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rostrum.agent.v1 import agent_service_pb2

from mesh.agent.model import DraftCommitted, DraftStarted, DraftWithdrawn, DraftWritten

if TYPE_CHECKING:
    from mesh.agent.model import DraftEvent, Utterance


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


def floor_event_message(event: DraftEvent) -> agent_service_pb2.FloorEvent:
    """Returns what a watcher of a floor is sent."""
    message = agent_service_pb2.FloorEvent
    match event:
        case DraftStarted(turn_number, attempt, try_number):
            started = message.Started(turn_number=turn_number, attempt=attempt, try_number=try_number)
            return message(started=started)
        case DraftWritten(text, whole):
            return message(written=message.Written(text=text, whole=whole))
        case DraftCommitted(turn_number, text):
            return message(committed=message.Committed(turn_number=turn_number, text=text))
        case DraftWithdrawn(turn_number, reason):
            number = message.Withdrawn.Reason.Value(reason.value)
            return message(withdrawn=message.Withdrawn(turn_number=turn_number, reason=number))
