"""What an agent works with, as data: the floor it is given, the turns it remembers, and what it said.

Times are microseconds since the epoch (`_us`). Nothing here knows gRPC, SQL, Kafka or protobuf.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What led to an utterance."""

    TURN = "TURN"
    ANSWER = "ANSWER"


@dataclass(frozen=True, slots=True)
class Profile:
    """Who an agent is."""

    agent: str
    """Its id."""
    description: str
    """One line for people."""
    model: str
    """Name of the model it speaks with."""
    floors_topic: str
    """Kafka topic on which it is granted floors."""


@dataclass(frozen=True, slots=True)
class RememberedTurn:
    """A turn of the conversation, as far as an agent remembers it."""

    number: int
    round: int
    agent: str
    text: str
    """Empty if it was forfeited."""


@dataclass(frozen=True, slots=True)
class Floor:
    """The right to speak one turn."""

    conversation: str
    """Resource name of the conversation."""
    turn_number: int
    round: int
    max_rounds: int
    attempt: int
    agent: str
    role: str
    """What the agent is in this conversation: the name of an enum value of the contract, such as "FOR"."""
    topic: str
    """What the conversation is about."""
    question: str
    last_turn: RememberedTurn | None
    deadline_us: int
    allowance_tokens: int
    """Tokens of prompt and completion that this floor may spend."""
    language: str = ""
    """BCP 47 tag of the language to speak in; empty if it is not known."""

    @property
    def place(self) -> tuple[int, int]:
        """What orders the floors of one conversation: turn number, then attempt."""
        return self.turn_number, self.attempt


@dataclass(frozen=True, slots=True)
class Speech:
    """What an agent says to a floor or a question."""

    text: str
    model: str
    """Name of the model that wrote it, as in Completion.model."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something that the agent said, as it is stored; immutable."""

    id: str
    kind: Kind
    conversation: str
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
class Cost:
    """What model calls have cost."""

    calls: int
    """Calls, those that failed included."""
    prompt_tokens: int
    completion_tokens: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )

    def __sub__(self, other: Cost) -> Cost:
        return Cost(
            self.calls - other.calls,
            self.prompt_tokens - other.prompt_tokens,
            self.completion_tokens - other.completion_tokens,
        )


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the agent prepared for a conversation, as it is stored; immutable."""

    text: str
    turn_number: int
    """Turn for which it was made."""
    cost: Cost
    """Of the calls that it was made by, which are part of that turn's price."""
    create_time_us: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What the agent knows of one conversation."""

    utterance: Utterance | None
    """What it said at the turn in question, if it did already."""
    turns: tuple[RememberedTurn, ...]
    """Turns before it, its own included, by number; some may be missing."""

    def first_missing(self, floor: Floor) -> int | None:
        """Returns the lowest number of a turn before this floor that is not known, or None."""
        known = {turn.number for turn in self.turns}
        if floor.last_turn is not None:
            known.add(floor.last_turn.number)
        return next((number for number in range(1, floor.turn_number) if number not in known), None)


class Withdrawal(StrEnum):
    """Why a floor that the agent was working on got no turn; names of FloorEvent.Withdrawn.Reason in the contract."""

    REVOKED = "REVOKED"
    """A newer floor or a withdrawal came."""
    DEADLINE_PASSED = "DEADLINE_PASSED"
    INTERRUPTED = "INTERRUPTED"
    """The process ends, or another replica has taken over: the floor is taken again."""
    FAILED = "FAILED"
    """A fault of the agent's own: the floor is taken again, a few times."""


@dataclass(frozen=True, slots=True)
class DraftStarted:
    """The agent is at work on a floor, or begins its text again."""

    turn_number: int
    attempt: int
    try_number: int


@dataclass(frozen=True, slots=True)
class DraftWritten:
    """More of the text."""

    text: str
    whole: bool
    """Whether it is all of the text so far, and replaces what came before it; else it goes after that."""


@dataclass(frozen=True, slots=True)
class DraftCommitted:
    """The turn is stored, and will be sent."""

    turn_number: int
    text: str
    """As stored; empty if the turn was forfeited."""


@dataclass(frozen=True, slots=True)
class DraftWithdrawn:
    """There will be no turn of this work; what was written counts for nothing."""

    turn_number: int
    reason: Withdrawal


DraftEvent = DraftStarted | DraftWritten | DraftCommitted | DraftWithdrawn
"""What somebody who watches a floor is notified of."""


@dataclass(slots=True)
class Counters:
    """What happened to floors and questions since the process started. Numbers only grow."""

    spoken: int = 0
    republished: int = 0
    """Stored turns that were sent again without a model call."""
    forfeited: int = 0
    revoked: int = 0
    """Floors that were newer, withdrawn or past their deadline before there was an answer."""
    model_calls: int = 0
