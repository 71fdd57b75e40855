"""What an embedding server may answer: vectors, or an error that leaves the round unmeasured; never a fault of ours."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from typing import Any

import httpx2
import pytest

from mesh.errors import ModelRefusedError, ModelUnavailableError
from mesh.llm.embeddings import OpenAIEmbedder


def embedder_of(answer: bytes) -> OpenAIEmbedder:
    """An embedder whose server answers everything with this body."""
    embedder = OpenAIEmbedder("http://127.0.0.1:9/v1")
    transport = httpx2.MockTransport(lambda _request: httpx2.Response(200, content=answer))
    embedder._client = httpx2.AsyncClient(transport=transport)
    return embedder


def entries(*vectors: Any) -> bytes:
    return json.dumps({"data": [{"embedding": vector} for vector in vectors]}).encode()


async def test_lists_and_base64_are_vectors() -> None:
    """Both forms of a vector, one for each text, in order."""
    packed = b64encode(struct.pack("<2f", 0.25, -0.5)).decode()
    embedder = embedder_of(entries([1, 0], packed))
    assert await embedder.embed(["a", "b"]) == [(1.0, 0.0), (0.25, -0.5)]
    await embedder.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        entries([1.0], [1.0, 2.0]),
        entries([], []),
        entries([float("nan"), 1.0], [1.0, 1.0]),
        entries([float("inf"), 1.0], [1.0, 1.0]),
        entries([10**400], [1]),
        entries([None, 1], [1, 1]),
        entries([[1], [2]], [[1], [2]]),
        entries("no base64", "!"),
        entries(b64encode(b"12345").decode(), b64encode(b"12345").decode()),
        entries(None, None),
        entries({"a": 1}, {"a": 1}),
        entries([1.0]),
        b'{"data": 7}',
        b'{"data": [7, 8]}',
        b"[]",
        b"null",
        b"",
        b"<html>",
        b"[" * 100_000,
    ],
)
async def test_any_other_answer_is_an_error_of_the_model(answer: bytes) -> None:
    """Other lengths, no numbers, wrong types, too few, no JSON: a ModelError, so the round is not measured."""
    embedder = embedder_of(answer)
    with pytest.raises((ModelUnavailableError, ModelRefusedError)):
        await embedder.embed(["a", "b"])
    await embedder.aclose()
