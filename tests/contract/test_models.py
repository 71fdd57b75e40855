"""One suite over every model of the port: the scripted one, and both adapters against a real HTTP server.

So the scripted model of all other tests is held to what the adapters do.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from mesh.errors import ModelRefusedError, ModelUnavailableError
from mesh.llm import ollama_server
from mesh.llm.ollama import OllamaModel
from mesh.llm.ollama_server import list_models
from mesh.llm.openai import OpenAIModel
from mesh.llm.port import Completion, Limits, Message, Model
from mesh.testing.openai_server import ScriptedServer
from mesh.testing.scripted_model import HUGE, NOTHING, REFUSED, SLOW, UNAVAILABLE, USUAL, Answer, ScriptedModel
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("scripted", "ollama", "openai")
ASK = [Message("system", "Be brief."), Message("user", "What is the capital of France?")]
LIMITS = Limits(max_tokens=64, timeout_seconds=10)
SCHEMA = {"type": "object", "properties": {"redundant": {"type": "boolean"}}, "required": ["redundant"]}


@contextmanager
def opened(kind: str, answer: Answer = USUAL) -> Iterator[tuple[Model, ScriptedServer | None]]:
    if kind == "scripted":
        yield ScriptedModel(script=lambda _call: answer), None
        return
    with ScriptedServer(lambda _call: answer) as server:
        if kind == "ollama":
            yield OllamaModel("scripted", host=server.url), server
        else:
            yield OpenAIModel("openai:scripted", model="scripted", base_url=f"{server.url}/v1"), server


async def complete(model: Model, limits: Limits = LIMITS, **options: Any) -> Completion:
    try:
        return await model.complete(ASK, limits, **options)
    finally:
        await model.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_answer(kind: str) -> None:
    """A completion has text, tokens of both kinds, why it ended, and the name under which the model was selected."""
    with opened(kind) as (model, _):
        completion = await complete(model, seed=7)
        assert len(completion.text) > 100
        assert completion.prompt_tokens > 0
        assert completion.completion_tokens > 0
        assert completion.finish_reason == "stop"
        assert completion.model == model.name


@pytest.mark.parametrize("kind", KINDS)
async def test_text_so_far(kind: str) -> None:
    """While it is written, all of the answer so far is shown; in the end, all of it."""
    shown: list[str] = []
    with opened(kind) as (model, _):
        completion = await complete(model, seed=7, on_text=shown.append)
    assert shown[-1] == completion.text
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(shown))


@pytest.mark.parametrize("kind", KINDS)
async def test_profile(kind: str) -> None:
    """A model says how much one call may hold; those that people bring are given prose."""
    with opened(kind) as (model, _):
        profile = await model.profile()
        await model.aclose()
    assert profile.context_tokens >= 4096
    assert not profile.guided


@pytest.mark.parametrize("kind", KINDS)
async def test_seed(kind: str) -> None:
    """The same seed brings the same text, another seed another."""
    with opened(kind) as (model, _):
        first, again, other = [(await model.complete(ASK, LIMITS, seed=seed)).text for seed in (7, 7, 8)]
        await model.aclose()
        assert first == again
        assert first != other


@pytest.mark.parametrize("kind", KINDS)
async def test_schema(kind: str) -> None:
    """With a schema the text is JSON of it."""
    with opened(kind) as (model, _):
        assert isinstance(json.loads((await complete(model, schema=SCHEMA)).text)["redundant"], bool)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("answer", "size"), [(NOTHING, 0), (HUGE, 100_000)])
async def test_useless_text_is_returned(kind: str, answer: Answer, size: int) -> None:
    """Nothing and 100 KB are completions: the caller judges them, and counts their tokens."""
    with opened(kind, answer) as (model, _):
        completion = await complete(model)
        assert len(completion.text) == pytest.approx(size, rel=0.1)
        assert completion.prompt_tokens > 0


@pytest.mark.parametrize("kind", KINDS)
async def test_failure_may_pass(kind: str) -> None:
    """A server's fault is ModelUnavailableError, after one call: trying again is the caller's business."""
    with opened(kind, UNAVAILABLE) as (model, server):
        with pytest.raises(ModelUnavailableError):
            await complete(model)
        assert server is None or len(server.bodies) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_refusal_stays(kind: str) -> None:
    """A refused request is ModelRefusedError."""
    with opened(kind, REFUSED) as (model, _), pytest.raises(ModelRefusedError):
        await complete(model)


@pytest.mark.parametrize("kind", KINDS)
async def test_timeout(kind: str) -> None:
    """A call that takes longer than its limit is ModelUnavailableError, and the server is left."""
    with opened(kind, SLOW) as (model, server):
        with pytest.raises(ModelUnavailableError):
            await complete(model, Limits(max_tokens=64, timeout_seconds=0.2))
        if server is not None:
            server.wait_until(lambda model_server: model_server.hung_up == 1)


@pytest.mark.parametrize("kind", KINDS)
async def test_cancelled(kind: str) -> None:
    """Cancelling the awaiting task hangs up at the server."""
    with opened(kind, SLOW) as (model, server):
        task = asyncio.create_task(model.complete(ASK, LIMITS))
        if server is not None:
            await asyncio.to_thread(server.wait_until, lambda model_server: len(model_server.bodies) == 1)
        else:
            assert isinstance(model, ScriptedModel)
            await until("the call", lambda: model.calls)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await model.aclose()
        if server is not None:
            server.wait_until(lambda model_server: model_server.hung_up == 1)
        else:
            assert isinstance(model, ScriptedModel)
            assert model.cancelled == 1


@pytest.mark.parametrize("kind", ["ollama", "openai"])
async def test_no_server(kind: str) -> None:
    """A server that is not there is ModelUnavailableError that names the address."""
    with opened(kind) as (model, server):
        assert server is not None
        address = server.url
    with pytest.raises(ModelUnavailableError, match=address.removeprefix("http://")):
        await complete(model)


async def test_ollama_request() -> None:
    """Context, bounds and seed travel as Ollama's options, the schema as its format."""
    with opened("ollama") as (model, server):
        await complete(model, seed=7, schema=SCHEMA)
        assert server is not None
        assert server.bodies[0]["options"] == {"num_ctx": 8192, "num_predict": 64, "seed": 7}
        assert server.bodies[0]["format"] == SCHEMA


async def test_openai_request() -> None:
    """Bounds, seed and schema travel as OpenAI's fields."""
    with opened("openai") as (model, server):
        await complete(model, seed=7, schema=SCHEMA)
        assert server is not None
        body = server.bodies[0]
        assert (body["max_tokens"], body["seed"]) == (64, 7)
        assert body["response_format"]["json_schema"]["schema"] == SCHEMA


async def test_ollama_probe() -> None:
    """A running Ollama is seen with its models; none is no error."""
    with ScriptedServer() as server:
        address = server.url
        assert [model.name for model in await list_models(address) or ()] == ["scripted:latest"]
    assert await list_models(address) is None


async def test_slow_ollama_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    """An Ollama that takes its time is waited for, and said to be."""
    monkeypatch.setattr(ollama_server, "SLOW_SECONDS", 0.0)
    lines: list[str] = []
    with ScriptedServer() as server:
        assert await list_models(server.url, notify=lines.append)
    assert [line for line in lines if "slow to answer" in line]
