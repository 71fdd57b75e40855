"""How much of a round is new: sentence by sentence, the nearest earlier sentence by its embedding. Pure functions.

The moderator embeds sentences (mesh.llm.port.Embedder) and decides with what `measure` returns; vectors have length 1,
so that similarity is their dot product. One threshold does for all languages: by multilingual-e5-small, paraphrases in
Chinese, Thai, Arabic, Hindi, Japanese and Spanish are 0.93 to 1.0 alike and new points 0.83 to 0.91, as in English.
Twenty sentences against a few hundred earlier ones take half a millisecond; numpy is loaded by the first `measure`
(12 MiB, 0.15 s).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh.language.text import count_words, split_sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

MIN_WORDS = 4
"""Shorter sentences ("That is wrong.") carry no point of their own and are alike in every debate. Words are Unicode's:
those of Chinese or Thai are found by a dictionary, so the rule is the same in every language."""

MAX_PAIRS = 10
"""Pairs kept as evidence; RoundMeasure.pairs says so."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a turn said: its sentences and the embedding of each."""

    turn_number: int
    sentences: Sequence[str]
    vectors: Sequence[Sequence[float]] | NDArray[np.float32]
    """One for each sentence, all of one length."""


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
    """Share of them, 0 to 1, that say nothing new; 0 if there is no sentence, which is no measure of anything."""
    pairs: tuple[Pair, ...]
    """Most alike first, at most MAX_PAIRS."""


def find_sentences(text: str, language: str = "") -> list[str]:
    """Returns the sentences of a text that are long enough to carry a point, in order; `language` is its tag."""
    return [sentence for sentence in split_sentences(text, language) if count_words(sentence) >= MIN_WORDS]


def measure(now: Sequence[Spoken], earlier: Sequence[Spoken], similarity_threshold: float) -> Measure:
    """Returns how much of a round, the turns `now`, was said before.

    `earlier` are the turns of earlier rounds only: within a round, answering each other is no repetition.
    """
    new = [(turn.turn_number, sentence) for turn in now for sentence in turn.sentences]
    old = [(turn.turn_number, sentence) for turn in earlier for sentence in turn.sentences]
    if not new or not old:
        return Measure(len(new), 0.0, ())
    cosines = (_matrix(now) @ _matrix(earlier).T).clip(-1.0, 1.0)
    nearest = cosines.argmax(axis=1).tolist()
    best = cosines.max(axis=1).tolist()
    order = sorted(range(len(new)), key=lambda row: -best[row])
    pairs = (Pair(new[row][1], old[nearest[row]][1], old[nearest[row]][0], best[row]) for row in order[:MAX_PAIRS])
    repeated = sum(similarity >= similarity_threshold for similarity in best)
    return Measure(len(new), repeated / len(new), tuple(pairs))


def spoken(turn_number: int, sentences: Sequence[str], vectors: Sequence[Sequence[float]]) -> Spoken:
    """Returns what a turn said, its vectors in a quarter of the memory that lists of numbers take."""
    import numpy as np  # noqa: PLC0415 - only a moderator that measures needs it

    return Spoken(turn_number, sentences, np.asarray(vectors, dtype=np.float32))


def _matrix(turns: Sequence[Spoken]) -> NDArray[np.float32]:
    import numpy as np  # noqa: PLC0415 - only a moderator that measures needs it

    return np.concatenate([np.asarray(turn.vectors, dtype=np.float32) for turn in turns if turn.sentences])
