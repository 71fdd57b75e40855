"""Embeddings from any OpenAI-compatible /v1/embeddings, without a client library: two fields of JSON each way.

Called by the moderator to measure how much of a round is new.
"""

from __future__ import annotations

import asyncio
import base64
import math
import struct
from typing import TYPE_CHECKING

import httpx2

from mesh.llm.faults import read_fault
from mesh.llm.http_client import open_client
from mesh.llm.http_errors import status_error, too_slow, unreachable, unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH_TEXTS = 64
"""Texts of one request: about 1 s of work on 2 cores, so that no caller waits long for another."""

TIMEOUT_SECONDS = 30.0
"""Time for one request. Several moderators may wait for one server; 64 texts take it about 1 s."""


class OpenAIEmbedder:
    """Implements mesh.llm.port.Embedder."""

    def __init__(self, base_url: str, *, model: str = "multilingual-e5-small", socket: str | None = None) -> None:
        """`base_url` ends in /v1; `socket` is the path of a Unix socket that is dialled in its host's place."""
        self._model = model
        self._base_url = base_url.rstrip("/")
        self._client = open_client(base_url, socket=socket)

    @property
    def name(self) -> str:
        """See mesh.llm.port.Embedder."""
        return self._model

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """See mesh.llm.port.Embedder."""
        vectors: list[tuple[float, ...]] = []
        for start in range(0, len(texts), BATCH_TEXTS):
            vectors += await self._request(texts[start : start + BATCH_TEXTS])
        return vectors

    async def _request(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        body = {"model": self._model, "input": list(texts), "encoding_format": "base64"}
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                response = await self._client.post(f"{self._base_url}/embeddings", json=body)
        except TimeoutError as error:
            raise too_slow(self._model, TIMEOUT_SECONDS) from error
        except httpx2.TransportError as error:
            raise unreachable(self._model, self._base_url) from error
        if response.status_code != 200:
            fault = read_fault(response.status_code, response.text, response.headers)
            raise status_error(self._model, fault.status, fault.words, may_pass=fault.is_transient)
        try:
            vectors = [_floats(entry["embedding"]) for entry in response.json()["data"]]
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError, struct.error) as error:
            raise unreadable(self._model, "it is not JSON of the embeddings API") from error
        if len(vectors) != len(texts):
            raise unreadable(self._model, f"{len(vectors)} vectors for {len(texts)} texts")
        if len({len(vector) for vector in vectors}) != 1 or not vectors[0]:
            raise unreadable(self._model, "its vectors have different lengths, or none")
        if not all(math.isfinite(number) for vector in vectors for number in vector):
            raise unreadable(self._model, "its vectors have numbers that are none")
        return vectors

    async def aclose(self) -> None:
        """See mesh.llm.port.Embedder."""
        await self._client.aclose()


def _floats(encoded: str | list[float]) -> tuple[float, ...]:
    """Returns a vector that a server sent as little-endian float32 in base64, or, not knowing base64, as a list."""
    if isinstance(encoded, list):
        return tuple(float(number) for number in encoded)
    packed = base64.b64decode(encoded, validate=True)
    return struct.unpack(f"<{len(packed) // 4}f", packed)
