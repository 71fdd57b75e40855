"""A floor, the turn that an agent submits for it, and the turn as it enters the record.

Plain frozen dataclasses; how a debate changes is in `model.rules`. Times are microseconds since the epoch (`_us`).
Nothing here knows gRPC, SQL, Kafka or protobuf.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.moderator.model.debate import Seat


@dataclass(frozen=True, slots=True)
class Floor:
    """The right to speak one turn."""

    turn_number: int
    round: int
    attempt: int
    seat: Seat
    deadline_us: int
    allowance_tokens: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn in the record."""

    number: int
    round: int
    agent: str
    question: str
    text: str
    attempt: int
    create_time_us: int
    elapsed_us: int = 0
    forfeited: bool = False
    forfeit_reason: str = ""
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class SubmittedTurn:
    """A turn as an agent sent it, before it is held against the floor."""

    debate_id: str
    number: int
    attempt: int
    agent: str
    text: str
    forfeited: bool
    forfeit_reason: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    written_us: int
    """When the agent wrote it."""


class Ignored(StrEnum):
    """Why a turn changed nothing. The values are the label of the counter."""

    REPEATED = "repeated"
    """That turn is in the record already, or a turn after it."""
    STALE = "stale"
    """An attempt before the current one."""
    LATE = "late"
    """Written after the floor's deadline."""
    EARLY = "early"
    """A turn or an attempt that was not granted yet."""
    NOT_ITS_FLOOR = "not_its_floor"
    """Another agent has the floor."""
    ENDED = "ended"
    """No floor is granted any more."""
