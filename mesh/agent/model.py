"""What an agent works with, as data: the floor it is given, the turns it heard, and what it said.

Times are microseconds since the epoch (`_us`). Nothing here knows gRPC, SQL, Kafka or protobuf.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mesh.llm.port import seed_for


class Stance(StrEnum):
    """The side that the agent argues."""

    FOR = "FOR"
    AGAINST = "AGAINST"


class Kind(StrEnum):
    """What led to an utterance."""

    TURN = "TURN"
    ANSWER = "ANSWER"


@dataclass(frozen=True, slots=True)
class HeardTurn:
    """A turn of the record, as far as an agent remembers it."""

    number: int
    round: int
    agent: str
    text: str
    """Empty if it was forfeited."""


@dataclass(frozen=True, slots=True)
class Floor:
    """The right to speak one turn."""

    debate: str
    """Resource name, "debates/{debate}"."""
    turn_number: int
    round: int
    max_rounds: int
    attempt: int
    agent: str
    stance: Stance
    topic: str
    question: str
    last_turn: HeardTurn | None
    deadline_us: int
    allowance_tokens: int

    @property
    def place(self) -> tuple[int, int]:
        """What orders the floors of one debate: turn number, then attempt."""
        return self.turn_number, self.attempt


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something that the agent said; immutable once stored."""

    id: str
    kind: Kind
    debate: str
    """Resource name for TURN; empty for ANSWER."""
    turn_number: int
    """0 for ANSWER."""
    round: int
    """0 for ANSWER."""
    question: str
    text: str
    """Empty if the turn was forfeited."""
    model: str
    prompt_tokens: int
    completion_tokens: int
    create_time_us: int
    forfeit_reason: str = ""

    @property
    def forfeited(self) -> bool:
        """Whether it is a turn without text."""
        return bool(self.forfeit_reason)


@dataclass(frozen=True, slots=True)
class Memory:
    """What the agent knows of one debate."""

    said: Utterance | None
    """What it said at the turn in question, if it did already."""
    heard: tuple[HeardTurn, ...]
    """Turns of the record before it, its own included, by number; some may be missing."""

    def missing(self, floor: Floor) -> int | None:
        """The lowest number of a turn before this floor that is not known, or None."""
        known = {turn.number for turn in self.heard}
        if floor.last_turn is not None:
            known.add(floor.last_turn.number)
        return next((number for number in range(1, floor.turn_number) if number not in known), None)


def seed(debate: str, turn_number: int, purpose: str, attempt: int) -> int:
    """Returns the seed of a model call, 0 to 2**31 - 1: the same for the same debate, turn, purpose and try."""
    return seed_for(f"{debate}/{turn_number}/{purpose}/{attempt}")
