"""The debate as data: what it is, and what a turn, a floor, a round and their measure are.

Plain frozen dataclasses; how a debate changes is in `model.rules`. Times are microseconds since the epoch (`_us`).
Nothing here knows gRPC, SQL, Kafka or protobuf.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from mesh.resource_names import CONVERSATIONS

DEBATES = CONVERSATIONS
"""A debate is what agents know as a conversation: its id and its name are theirs too."""


class Stance(StrEnum):
    """The side that a seat argues."""

    FOR = "FOR"
    AGAINST = "AGAINST"


class State(StrEnum):
    """Where a debate stands; ENDED is terminal."""

    RUNNING = "RUNNING"
    ENDED = "ENDED"


class StopReason(StrEnum):
    """Why floors stopped being granted."""

    MAX_ROUNDS = "MAX_ROUNDS"
    REDUNDANT = "REDUNDANT"
    BUDGET_EXHAUSTED = "BUDGET_EXHAUSTED"
    CANCELLED = "CANCELLED"
    FORFEITED = "FORFEITED"


class Step(StrEnum):
    """The one thing that a debate waits for. `Debate.due_us` is when somebody else must see to it."""

    OPEN_ROUND = "OPEN_ROUND"
    """The moderator's question for the next round."""
    FLOOR = "FLOOR"
    """The turn of the agent that has the floor; due_us is its deadline."""
    MEASURE = "MEASURE"
    """The measure of the round that was held."""
    CLOSE = "CLOSE"
    """Summary and verdict."""
    NONE = "NONE"
    """Nothing: it has ended."""


OWN_WORK = frozenset({Step.OPEN_ROUND, Step.MEASURE, Step.CLOSE})
"""Steps that the moderator does itself, under a lease that due_us ends."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Who speaks, and for which side."""

    agent: str
    stance: Stance


@dataclass(frozen=True, slots=True)
class Settings:
    """Rules of one debate, complete; the comments of DebateSettings say what they mean."""

    turn_deadline_us: int = 120_000_000
    max_attempts: int = 3
    floor_allowance_tokens: int = 6_000
    max_forfeits_in_a_row: int = 3
    sentence_similarity: float = 0.92
    redundant_share: float = 0.7
    redundant_rounds: int = 2


@dataclass(frozen=True, slots=True)
class Pair:
    """A sentence and the earlier one nearest to it in meaning."""

    sentence: str
    earlier: str
    similarity: float
    earlier_turn_number: int


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the moderator's model thinks of a round."""

    redundant: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Measure:
    """How much of one round was new."""

    round: int
    sentences: int
    redundancy: float
    redundant: bool
    pairs: tuple[Pair, ...]
    embedding_model: str
    opinion: Opinion | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a stop reason rests on."""

    reason: str
    rounds: tuple[Measure, ...] = ()
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Debate:
    """A debate as it is stored; immutable, `model.rules` makes the next one."""

    id: str
    topic: str
    seats: tuple[Seat, ...]
    max_rounds: int
    settings: Settings
    token_budget: int
    create_time_us: int
    traceparent: str = ""
    """W3C Trace Context of the call that created it; what follows belongs to the same trace."""
    version: int = 1
    state: State = State.RUNNING
    stop_reason: StopReason | None = None
    evidence: Evidence | None = None
    round: int = 0
    """The round being held, from 1; 0 until the first is opened."""
    question: str = ""
    """The question of that round."""
    turn_count: int = 0
    event_count: int = 0
    tokens_spent: int = 0
    forfeits: tuple[int, ...] = ()
    """For each seat, turns forfeited in a row."""
    redundant: tuple[Measure, ...] = ()
    """The redundant rounds in a row up to now, oldest first."""
    summary: str = ""
    verdict: str = ""
    end_time_us: int | None = None
    step: Step = Step.OPEN_ROUND
    due_us: int | None = None
    owner: str = ""
    """The pod that does the step, if it is the moderator's own work."""
    attempt: int = 0
    """Attempt of the floor, or times that the moderator's own work was begun."""
    granted_us: int = 0
    """When the floor's first attempt was granted."""

    @property
    def name(self) -> str:
        """Resource name."""
        return DEBATES.name_of(self.id)


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
class HeardTurn:
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


@dataclass(frozen=True, slots=True)
class Created:
    """Event: the debate was created."""

    debate: Debate


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


EventKind = Created | RoundOpened | FloorGranted | TurnRecorded | RoundMeasured | Stopped | Ended


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
    """A floor to tell its agent about."""
    withdrawn: tuple[Floor, str] | None = None
    """A floor that its agent has lost, and why."""


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


@dataclass(frozen=True, slots=True)
class NewDebate:
    """What CreateDebate asks for, checked and complete."""

    topic: str
    seats: tuple[Seat, ...]
    max_rounds: int
    token_budget: int
    settings: Settings = field(default_factory=Settings)
    traceparent: str = ""
    request_id: str = ""
    digest: str = ""
    """Of the request; the same request_id with another digest is refused."""
