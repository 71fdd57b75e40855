"""A turn of the record, as both roads (`clients`, `events`) bring it, from its message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mesh.agent.model import HeardTurn

if TYPE_CHECKING:
    from rostrum.debate.v1 import debate_pb2


def heard_turn(turn: debate_pb2.Turn) -> HeardTurn:
    """Returns a turn of the record as the agent remembers it."""
    return HeardTurn(number=turn.number, round=turn.round, agent=turn.agent, text=turn.text)
