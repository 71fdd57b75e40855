"""What happens in a debate: its events, and the change that one transaction makes.

Plain frozen dataclasses; how a debate changes is in `model.rules`. Times are microseconds since the epoch (`_us`).
Nothing here knows gRPC, SQL, Kafka or protobuf.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.moderator.model.debate import Debate, StopReason
    from services.moderator.model.measure import Evidence, Measure
    from services.moderator.model.turn import Floor, Turn


@dataclass(frozen=True, slots=True)
class Created:
    """Event: the debate was created."""

    debate: Debate


@dataclass(frozen=True, slots=True)
class AgendaPlanned:
    """Event: questions were added to the agenda."""

    questions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RoundOpened:
    """Event: a round begins."""

    round: int
    question: str


@dataclass(frozen=True, slots=True)
class FloorGranted:
    """Event: an agent has the floor."""

    floor: Floor


@dataclass(frozen=True, slots=True)
class TurnRecorded:
    """Event: a turn entered the record, spoken or forfeited."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class RoundMeasured:
    """Event: a round was measured."""

    measure: Measure


@dataclass(frozen=True, slots=True)
class Stopped:
    """Event: floors are granted no more."""

    stop_reason: StopReason
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Ended:
    """Event: the end."""

    debate: Debate


EventKind = Created | AgendaPlanned | RoundOpened | FloorGranted | TurnRecorded | RoundMeasured | Stopped | Ended


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, numbered from 1 without a gap."""

    number: int
    create_time_us: int
    kind: EventKind


@dataclass(frozen=True, slots=True)
class Change:
    """What one transaction does to one debate: all of it or nothing."""

    debate: Debate
    """As it is afterwards; its version is one more than before."""
    events: tuple[Event, ...] = ()
    turn: Turn | None = None
    """A turn that enters the record."""
    granted: Floor | None = None
    """A floor to notify its agent of."""
    withdrawn: tuple[Floor, str] | None = None
    """A floor that is revoked, and why."""
