"""Measures how much of a round is new, with embeddings that are kept for as long as there is room.

The kept vectors are only a cache: another replica, or this one after a restart, embeds the sentences again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from mesh.llm import novelty
from services.moderator.model.measure import NO_SENTENCE, Measure, Pair, no_measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.llm.port import Embedder
    from services.moderator.model.debate import Debate
    from services.moderator.model.turn import Turn

# Sentences that are kept, of all debates: 1.6 KB each with 384 numbers, so 24 MB. A hundred debates of 16 turns have
# some 13,000; with fewer kept, each is split and embedded again in every round.
MAX_KEPT_SENTENCES = 15_000


class NoveltyMeasurer:
    """Implements Measurer with an embedding model."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._kept: OrderedDict[tuple[str, int], novelty.Spoken] = OrderedDict()
        """By debate and turn number, those used last at the end."""
        self._kept_sentences = 0
        """In all of them, each turn counted as one more."""

    async def measure(self, debate: Debate, turns: Sequence[Turn]) -> Measure:
        """Measures the debate's round against its earlier rounds. Raises ModelError."""
        spoken = await self._embed_turns(debate, [turn for turn in turns if turn.text and turn.round <= debate.round])
        now = [spoken[turn.number] for turn in turns if turn.text and turn.round == debate.round]
        earlier = [spoken[turn.number] for turn in turns if turn.text and turn.round < debate.round]
        return self._judge(debate, novelty.measure(now, earlier, debate.settings.sentence_similarity))

    def _judge(self, debate: Debate, measure: novelty.Measure) -> Measure:
        if not measure.sentences:
            return no_measure(debate.round, NO_SENTENCE)
        redundancy = measure.redundancy
        return Measure(
            round=debate.round,
            sentences=measure.sentences,
            redundancy=redundancy,
            redundant=redundancy >= debate.settings.redundant_share,
            pairs=tuple(
                Pair(pair.sentence, pair.earlier, round(pair.similarity, 4), pair.earlier_turn_number)
                for pair in measure.pairs
            ),
            embedding_model=self._embedder.name,
        )

    async def _embed_turns(self, debate: Debate, turns: Sequence[Turn]) -> dict[int, novelty.Spoken]:
        """Returns what each turn said, by its number; sentences that are not kept are embedded, in one call."""
        found: dict[int, novelty.Spoken] = {}
        missing: dict[int, list[str]] = {}
        for turn in turns:
            kept = self._kept.get((debate.id, turn.number))
            if kept is None:
                missing[turn.number] = novelty.find_sentences(turn.text, debate.language)
            else:
                found[turn.number] = kept
                self._kept.move_to_end((debate.id, turn.number))
        texts = [sentence for sentences in missing.values() for sentence in sentences]
        vectors = await self._embedder.embed(texts) if texts else ()
        start = 0
        for number, sentences in missing.items():
            end = start + len(sentences)
            found[number] = self._keep(debate, novelty.spoken(number, sentences, vectors[start:end]))
            start = end
        return found

    def _keep(self, debate: Debate, spoken: novelty.Spoken) -> novelty.Spoken:
        key = debate.id, spoken.turn_number
        if key not in self._kept:
            self._kept[key] = spoken
            self._kept_sentences += 1 + len(spoken.sentences)
            while self._kept_sentences > MAX_KEPT_SENTENCES:
                _, oldest = self._kept.popitem(last=False)
                self._kept_sentences -= 1 + len(oldest.sentences)
        return spoken
