"""The verdict of a debate as data, and why there is none.

Plain frozen dataclasses. How a model's answer becomes one is in `logic.judging`; nothing here knows a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

CRITERIA = ("argument", "evidence", "rebuttal", "clarity")
"""What each side is scored for; fields of SideScore."""
MAX_SCORE = 10


class Absence(StrEnum):
    """Why the moderator wrote no summary, or no verdict."""

    DEBATE_CANCELLED = "DEBATE_CANCELLED"
    NOTHING_SAID = "NOTHING_SAID"
    MODEL_FAILED = "MODEL_FAILED"
    """It did not answer, or refused the request."""
    ANSWER_UNUSABLE = "ANSWER_UNUSABLE"
    BUDGET_SPENT = "BUDGET_SPENT"
    STEP_FAILED = "STEP_FAILED"
    """We failed at it as often as we may try."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What was argued in a part of a debate that is too long to be judged in one piece."""

    through: int
    """Number of the part's last turn; the part begins after the digest before it."""
    text: str


@dataclass(frozen=True, slots=True)
class SideScore:
    """How one agent argued, 0 to MAX_SCORE for each criterion."""

    agent: str
    argument: int
    evidence: int
    rebuttal: int
    clarity: int

    @property
    def total(self) -> int:
        """The sum of all criteria."""
        return self.argument + self.evidence + self.rebuttal + self.clarity


@dataclass(frozen=True, slots=True)
class Judgement:
    """Who argued better, by how much, where, and why."""

    winner: str
    """Id of the agent; empty if undecided."""
    scores: tuple[SideScore, ...]
    """One for each agent that spoke, in the order of seats."""
    decisive_turns: tuple[int, ...]
    """Ascending."""
    rationale: str
