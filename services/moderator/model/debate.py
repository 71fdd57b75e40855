"""The debate: who debates what by which rules, where it stands, and what is asked of a new one.

Plain frozen dataclasses; how a debate changes is in `model.rules`. Times are microseconds since the epoch (`_us`).
Nothing here knows gRPC, SQL, Kafka or protobuf.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from mesh.resource_names import CONVERSATIONS

if TYPE_CHECKING:
    from services.moderator.model.judgement import Absence, Digest, Judgement
    from services.moderator.model.measure import Evidence, Measure


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
    MODEL_UNAVAILABLE = "MODEL_UNAVAILABLE"


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


LEASED_STEPS = frozenset({Step.OPEN_ROUND, Step.MEASURE, Step.CLOSE})
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
    language: str = ""
    """BCP 47 tag of what is spoken, in its standard form; empty if it is not known."""
    agenda: tuple[str, ...] = ()
    """The questions planned so far, one a round from the first; empty where the model gave none."""
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
    """The rationale of the judgement; the only verdict of debates from before there were judgements."""
    digests: tuple[Digest, ...] = ()
    """Of the closing, if the debate is too long for one prompt; each is stored once it was paid for."""
    judgement: Judgement | None = None
    summary_absence: Absence | None = None
    """Why an ended debate has no summary; None also if it ended before this was kept."""
    verdict_absence: Absence | None = None
    end_time_us: int | None = None
    step: Step = Step.OPEN_ROUND
    due_us: int | None = None
    owner: str = ""
    """The pod that does the step, if it is a leased one."""
    attempt: int = 0
    """Attempt of the floor, or times that the leased step was begun."""
    granted_us: int = 0
    """When the floor's first attempt was granted."""

    @property
    def name(self) -> str:
        """Resource name."""
        return DEBATES.name_of(self.id)


@dataclass(frozen=True, slots=True)
class NewDebate:
    """What CreateDebate asks for, checked and complete."""

    topic: str
    seats: tuple[Seat, ...]
    max_rounds: int
    token_budget: int
    settings: Settings = field(default_factory=Settings)
    traceparent: str = ""
    language: str = ""
    request_id: str = ""
    digest: str = ""
    """Of the request; the same request_id with another digest is refused."""
