"""How much of a round is new: sentence by sentence, the nearest earlier sentence by its embedding. Pure functions.

The moderator embeds sentences (mesh.llm.port.Embedder) and decides with what `measure` returns; vectors have length 1,
so that similarity is their dot product. A round of some twenty sentences against a few hundred earlier ones takes some
tens of milliseconds in plain Python: call it in a thread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import mul
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_WORDS = 4
"""Shorter sentences ("That is wrong.") carry no point of their own and are alike in every debate."""

MAX_PAIRS = 10
"""Pairs kept as evidence; RoundMeasure.pairs says so."""

_END = re.compile(r"(?<=[.!?])[\"”')\]]*\s+(?=[\"“'(\[]?[A-Z0-9À-Þ])")
_ABBREVIATION = re.compile(
    r"\b(?:e\.g|i\.e|etc|vs|cf|no|mr|mrs|ms|dr|prof|u\.s|u\.k|approx|st)\.[\"”')\]]*$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a turn, with its embedding."""

    text: str
    turn_number: int
    vector: Sequence[float]


@dataclass(frozen=True, slots=True)
class Pair:
    """A sentence of the round and the earlier one nearest to it."""

    sentence: str
    earlier: str
    earlier_turn_number: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Measure:
    """How much of a round was said before."""

    sentences: int
    redundancy: float
    """Share of them, 0 to 1, that say nothing new; 1 if there is no sentence."""
    pairs: tuple[Pair, ...]
    """Most alike first, at most MAX_PAIRS."""


def split_sentences(text: str) -> list[str]:
    """Returns the sentences of a text that are long enough to carry a point, in order."""
    sentences: list[str] = []
    start = 0
    flat = " ".join(text.split())
    for end in _END.finditer(flat):
        if _ABBREVIATION.search(flat[start : end.start()]):
            continue
        sentences.append(flat[start : end.end()].strip())
        start = end.end()
    sentences.append(flat[start:].strip())
    return [sentence for sentence in sentences if len(sentence.split()) >= MIN_WORDS]


def measure(round_sentences: Sequence[Sentence], earlier: Sequence[Sentence], similarity_threshold: float) -> Measure:
    """Returns how much of the round was said before.

    `earlier` are the sentences of earlier rounds only: within a round, answering each other is no repetition.
    """
    if not round_sentences:
        return Measure(0, 1.0, ())
    if not earlier:
        return Measure(len(round_sentences), 0.0, ())
    pairs = sorted((_nearest(each, earlier) for each in round_sentences), key=lambda pair: -pair.similarity)
    repeated = sum(pair.similarity >= similarity_threshold for pair in pairs)
    return Measure(len(pairs), repeated / len(pairs), tuple(pairs[:MAX_PAIRS]))


def similarity(first: Sequence[float], second: Sequence[float]) -> float:
    """Returns the cosine of two vectors of length 1, -1 to 1."""
    dot: float = sum(map(mul, first, second))
    return max(-1.0, min(1.0, dot))


def _nearest(sentence: Sentence, earlier: Sequence[Sentence]) -> Pair:
    best, other = max(((similarity(sentence.vector, each.vector), each) for each in earlier), key=lambda pair: pair[0])
    return Pair(sentence.text, other.text, other.turn_number, best)
