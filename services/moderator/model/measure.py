"""How much of a round was new, and what a debate's end rests on.

Plain frozen dataclasses; how a debate changes is in `model.rules`. Times are microseconds since the epoch (`_us`).
Nothing here knows gRPC, SQL, Kafka or protobuf.
"""

from __future__ import annotations

from dataclasses import dataclass


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
    """Those that could be compared; with none the round is not measured."""
    redundancy: float
    """Share of them, 0 to 1, that repeat earlier ones; 0 with none."""
    redundant: bool
    pairs: tuple[Pair, ...]
    embedding_model: str
    opinion: Opinion | None = None
    absence: str = ""
    """Why the round is not measured, a clause for people."""


NO_SENTENCE = "no sentence to compare"
NOBODY_SPOKE = "nobody spoke"


def no_measure(round_number: int, absence: str) -> Measure:
    """Returns what is recorded of a round that is not measured: no figure, and why."""
    return Measure(round_number, 0, 0.0, redundant=False, pairs=(), embedding_model="", absence=absence)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a stop reason rests on."""

    reason: str
    rounds: tuple[Measure, ...] = ()
    agent: str = ""
