"""What is counted in debates without a judge: new points, 4-grams shared with other motions, language, forfeits, cost.

Pure functions. A debate is a motion and its record as `rostrum show --json` gives it; a turn is one of its `turns`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mesh.language.tags import detect_language
from mesh.language.text import split_words
from tests.quality.motions import Motion

GRAM = 4
"""Words in a row that two debates share only by a form, a set phrase, or their subject."""


@dataclass(frozen=True, slots=True)
class Held:
    """A debate that was held."""

    motion: Motion
    record: Mapping[str, Any]

    @property
    def spoken(self) -> list[Mapping[str, Any]]:
        """The turns in which somebody spoke, in order."""
        return [turn for turn in self.turns if turn.get("text")]

    @property
    def turns(self) -> list[Mapping[str, Any]]:
        """All turns, forfeited ones too."""
        turns: list[Mapping[str, Any]] = self.record.get("turns", [])
        return turns

    @property
    def stances(self) -> dict[str, str]:
        """FOR or AGAINST, by agent."""
        return {seat["agent"]: seat["stance"] for seat in self.record["seats"]}

    def opponents_last(self, turn: Mapping[str, Any]) -> str:
        """Returns what the opponent said last before a turn; empty if nothing."""
        before = [
            other["text"]
            for other in self.spoken
            if int(other["number"]) < int(turn["number"]) and other["agent"] != turn["agent"]
        ]
        return before[-1] if before else ""


@dataclass(frozen=True, slots=True)
class Share:
    """Some of all."""

    some: int
    all: int

    @property
    def percent(self) -> float:
        """Of 100; 0 of nothing."""
        return round(100 * self.some / self.all, 1) if self.all else 0.0

    def __str__(self) -> str:
        return f"{self.percent:.0f} % ({self.some} of {self.all})" if self.all else "-"


def find_grams(text: str) -> list[tuple[str, ...]]:
    """Returns each run of GRAM words of a text, of any script."""
    words = split_words(text)
    return [tuple(words[start : start + GRAM]) for start in range(len(words) - GRAM + 1)]


def count_shared_grams(debates: Sequence[Held]) -> tuple[Share, list[tuple[str, int]]]:
    """Returns how many of the 4-grams spoken were also spoken on another motion, and the most frequent of those.

    Only debates in a language in which another was held: those alone could share any.
    """
    languages = Counter(debate.motion.language for debate in debates)
    comparable = [debate for debate in debates if languages[debate.motion.language] > 1]
    grams = [Counter(gram for turn in debate.spoken for gram in find_grams(turn["text"])) for debate in comparable]
    in_debates = Counter(gram for counts in grams for gram in counts)
    shared: Counter[tuple[str, ...]] = Counter()
    for counts in grams:
        shared.update({gram: count for gram, count in counts.items() if in_debates[gram] > 1})
    frequent = [(" ".join(gram), count) for gram, count in shared.most_common(10)]
    return Share(shared.total(), sum(counts.total() for counts in grams)), frequent


def count_new_points(turns: Sequence[NDArray[np.float32]], similarity: float) -> list[int]:
    """Returns for each turn how many of its sentences nobody said before, in it or in an earlier turn.

    `turns` are the vectors of each turn's sentences, of length 1.
    """
    said: list[NDArray[np.float32]] = []
    counts = []
    for vectors in turns:
        new = 0
        for vector in vectors:
            if not said or float(max(np.stack(said) @ vector)) < similarity:
                new += 1
            said.append(vector)
        counts.append(new)
    return counts


def count_language_kept(debate: Held) -> Share:
    """Returns how many turns are in the motion's language."""
    kept = [detect_language(turn["text"]) == debate.motion.language for turn in debate.spoken]
    return Share(sum(kept), len(kept))


def count_forfeits(debate: Held) -> Share:
    """Returns how many turns were forfeited."""
    return Share(sum(bool(turn.get("forfeited")) for turn in debate.turns), len(debate.turns))


def add_shares(shares: Sequence[Share]) -> Share:
    """Returns the share of all together."""
    return Share(sum(share.some for share in shares), sum(share.all for share in shares))
