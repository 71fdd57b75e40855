"""The smallest real model behind its real server, through the adapter that services use."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from mesh.llm.embedded import catalogue
from mesh.llm.port import Limits, Message
from mesh.llm.select import open_model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mesh.llm.port import Model
    from mesh.llm.select import ModelServers

ASK = [Message("user", "Write a long story about a ship.")]


@pytest.fixture
async def model(tiny_model: ModelServers) -> AsyncIterator[Model]:
    model = open_model("embedded:tiny", tiny_model)
    yield model
    await model.aclose()


async def test_answer(model: Model) -> None:
    """The real model writes, within its bound, and says what it read and wrote; another seed brings another text."""
    first, other = [await model.complete(ASK, Limits(24, 60), seed=seed) for seed in (1, 2)]
    assert first.text
    assert first.text != other.text
    assert first.prompt_tokens > 5
    assert (first.completion_tokens, first.finish_reason) == (24, "length")
    assert first.model == "embedded:tiny"


async def test_answer_is_shown_while_it_is_written(model: Model) -> None:
    """The real server streams: its text is seen growing before it is whole, and the first token is timed."""
    shown: list[str] = []
    completion = await model.complete(ASK, Limits(48, 60), seed=1, on_text=shown.append)
    assert len(shown) > 3
    assert shown[-1] == completion.text
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(shown[:-1]))
    assert completion.first_token_seconds is not None


async def test_profile(model: Model) -> None:
    """A small model is guided, and one call has its slot's context."""
    profile = await model.profile()
    assert (profile.context_tokens, profile.guided) == (catalogue.CONTEXT_TOKENS // catalogue.SLOTS, True)


async def test_schema(model: Model) -> None:
    """With a schema even the smallest model's answer is JSON of it."""
    schema = {
        "type": "object",
        "properties": {"redundant": {"type": "boolean"}},
        "required": ["redundant"],
        "additionalProperties": False,
    }
    completion = await model.complete(ASK, Limits(40, 60), schema=schema, seed=1)
    assert isinstance(json.loads(completion.text)["redundant"], bool)


async def test_calls_share_the_server_and_cancelling_frees_it(model: Model) -> None:
    """More long calls than slots are cancelled, and a short one is then answered at once, not after them."""
    long = [asyncio.create_task(model.complete(ASK, Limits(4000, 120), seed=seed)) for seed in range(6)]
    _, running = await asyncio.wait(long, timeout=1.0)
    for task in running:
        task.cancel()
    await asyncio.gather(*long, return_exceptions=True)
    started = time.monotonic()
    await model.complete(ASK, Limits(4, 60), seed=7)
    assert time.monotonic() - started < 15


def test_address_in_use(tiny_model: ModelServers) -> None:
    """A taken address is one line and exit code 1; so is a model that is none."""
    address = tiny_model.embedded_url.removeprefix("http://").removesuffix("/v1")
    for model, words in (("embedded:tiny", "Address already in use"), ("embedded:huge", "must be one of")):
        environ = {**os.environ, "MODEL": model, "LISTEN_ADDRESS": address}
        command = [sys.executable, "-m", "mesh.llm.embedded.server"]
        ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)
        assert ended.returncode == 1
        assert words in ended.stderr
        assert ended.stderr.count("\n") == 1
