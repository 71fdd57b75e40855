"""Measures how much of a round is new, with embeddings that are kept for as long as there is room.

The kept vectors are only a cache: another replica, or this one after a restart, embeds the sentences again.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import OrderedDict
from functools import lru_cache
from typing import TYPE_CHECKING

from mesh.llm import novelty
from services.moderator.model import Measure, Pair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.llm.port import Embedder
    from services.moderator.model import Debate, Turn

# Sentences whose vectors are kept, of all debates: 1.6 KB each with 384 numbers, so 8 MB.
MAX_KEPT_SENTENCES = 5_000
# Turns whose sentences are kept, since each round's measure needs all of them again: 1 MB.
MAX_KEPT_TURNS = 1_000
# Multiplications that may run on the event loop (about 1 ms); more go to a thread.
INLINE_MULTIPLICATIONS = 20_000


class NoveltyMeasurer:
    """Implements Measurer with an embedding model."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._sentences = lru_cache(MAX_KEPT_TURNS)(novelty.split_sentences)
        self._vectors: OrderedDict[str, array[float]] = OrderedDict()

    async def measure(self, debate: Debate, turns: Sequence[Turn]) -> Measure:
        """Measures the debate's round against its earlier rounds. Raises ModelError."""
        now: list[tuple[str, int]] = []
        earlier: list[tuple[str, int]] = []
        for turn in turns:
            if turn.text and turn.round <= debate.round:
                sentences = self._sentences(turn.text)
                (now if turn.round == debate.round else earlier).extend((one, turn.number) for one in sentences)
        if not now or not earlier:
            return self._judged(debate, novelty.Measure(len(now), 0.0 if now else 1.0, ()))
        vectors = await self._embedded([text for text, _ in earlier + now])
        old = [novelty.Sentence(text, number, vectors[text]) for text, number in earlier]
        new = [novelty.Sentence(text, number, vectors[text]) for text, number in now]
        similarity = debate.settings.sentence_similarity
        if len(old) * len(new) * len(old[0].vector) <= INLINE_MULTIPLICATIONS:
            return self._judged(debate, novelty.measure(new, old, similarity))
        return self._judged(debate, await asyncio.to_thread(novelty.measure, new, old, similarity))

    def _judged(self, debate: Debate, measure: novelty.Measure) -> Measure:
        return Measure(
            round=debate.round,
            sentences=measure.sentences,
            redundancy=measure.redundancy,
            redundant=measure.redundancy >= debate.settings.redundant_share,
            pairs=tuple(
                Pair(pair.sentence, pair.earlier, round(pair.similarity, 4), pair.earlier_turn_number)
                for pair in measure.pairs
            ),
            embedding_model=self._embedder.name,
        )

    async def _embedded(self, texts: Sequence[str]) -> dict[str, array[float]]:
        found: dict[str, array[float]] = {}
        missing: dict[str, None] = {}
        for text in texts:
            vector = self._vectors.get(text)
            if vector is None:
                missing[text] = None
            else:
                found[text] = vector
                self._vectors.move_to_end(text)
        if missing:
            for text, values in zip(missing, await self._embedder.embed(list(missing)), strict=True):
                found[text] = self._vectors[text] = array("f", values)
            while len(self._vectors) > MAX_KEPT_SENTENCES:
                self._vectors.popitem(last=False)
        return found
