"""The dialect of Ollama's own API, by its official client, and a look at one of the models that an Ollama has.

Its own API rather than its copy of OpenAI's, because only there a prompt's context can be set: else Ollama cuts a long
prompt silently, the system prompt first. Whatever else servers do is `mesh.llm.chat`'s.
"""

from __future__ import annotations

import re
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mesh.llm.answer import Piece, read_count
from mesh.llm.chat import ChatModel
from mesh.llm.faults import ServerFaultError
from mesh.llm.ollama_client import OllamaClient
from mesh.llm.ollama_names import ollama_url, plain_ollama_name
from mesh.llm.openai import write_messages
from mesh.llm.port import Profile
from mesh.llm.tuning import Tuning

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    import ollama

    from mesh.llm.chat import Request

DEFAULT_CONTEXT_TOKENS = 8192
"""A whole debate, in memory that most machines have; MODEL_CONTEXT_TOKENS asks for more."""

_EMBEDDING = re.compile(r"embed|bge-|minilm|rerank", re.IGNORECASE)
"""In the names of models that cannot chat, for an Ollama that does not say what its models can."""


@dataclass(frozen=True, slots=True)
class OllamaDetails:
    """What an Ollama says of a model."""

    name: str
    context_tokens: int | None = None
    can_chat: bool = True
    can_think: bool = False
    remote_host: str = ""
    """Where it runs, if not there."""
    family: str = ""


class OllamaModel(ChatModel):
    """A model of an Ollama server."""

    def __init__(self, model: str, *, host: str, ca_bundle: str | None = None, tuning: Tuning | None = None) -> None:
        """`model` as Ollama calls it; `host` as OLLAMA_HOST has it."""
        url = ollama_url(host)
        client = OllamaClient(url, ca_bundle=ca_bundle)
        super().__init__(f"ollama:{model}", OllamaDialect(model, url, client, tuning or Tuning()))


class OllamaDialect:
    """Implements mesh.llm.chat.Dialect."""

    def __init__(self, model: str, url: str, client: OllamaClient, tuning: Tuning) -> None:
        self._model = model
        self._url = url
        self._client = client
        self._tuning = tuning
        self._details = OllamaDetails(model)
        self._context_tokens = tuning.context_tokens or DEFAULT_CONTEXT_TOKENS

    @property
    def address(self) -> str:
        """See mesh.llm.chat.Dialect."""
        return self._url

    def write(self, request: Request, refused: frozenset[str]) -> dict[str, Any]:
        """See mesh.llm.chat.Dialect. A model that thinks is told not to; gpt-oss knows levels only."""
        options: dict[str, Any] = {
            "num_ctx": self._context_tokens,
            "num_predict": request.max_tokens,
            "temperature": self._tuning.temperature,
            "seed": request.seed,
        }
        body: dict[str, Any] = {
            "model": self._model,
            "messages": write_messages(request, refused),
            "stream": "stream" not in refused,
            "options": {name: value for name, value in options.items() if value is not None and name not in refused},
        }
        if self._details.can_think and "think" not in refused:
            body["think"] = "low" if "gptoss" in self._details.family else False
        if request.schema is not None and "format" not in refused:
            body["format"] = dict(request.schema)
        return body

    async def send(self, body: dict[str, Any]) -> AsyncGenerator[Piece]:
        """See mesh.llm.chat.Dialect."""
        async with aclosing(self._client.chat(body)) as parts:
            async for part in parts:
                yield _read_part(part)

    def explain(self, fault: ServerFaultError) -> str:
        """See mesh.llm.chat.Dialect."""
        return f"run: ollama pull {self._model}" if fault.status == 404 else ""

    async def profile(self) -> Profile:
        """See mesh.llm.chat.Dialect."""
        self._details = await show_model(self._client, self._model)
        self._model = self._details.name
        if self._tuning.context_tokens is None and self._details.context_tokens is not None:
            self._context_tokens = min(self._details.context_tokens, DEFAULT_CONTEXT_TOKENS)
        return Profile(self._context_tokens, self._tuning.temperature, guided=False)

    async def aclose(self) -> None:
        """See mesh.llm.chat.Dialect."""
        await self._client.aclose()


async def show_model(client: OllamaClient, model: str) -> OllamaDetails:
    """Returns what an Ollama says of a model, with its own name for it: some take no other spelling of it.

    Raises LostConnectionError and ServerFaultError (404: there is none).
    """
    try:
        return _read_details(model, await client.show(model))
    except ServerFaultError as fault:
        if fault.status in {404, 405} and "model" not in fault.words.lower():
            return _read_details(model, {})  # a server that speaks this API but for this part of it
        installed = await _find_spelling(client, model) if fault.status == 404 else None
        if installed is None:
            raise
        return _read_details(installed, await client.show(installed))


async def _find_spelling(client: OllamaClient, model: str) -> str | None:
    """Returns another spelling of a model's name, by which the server lists it."""
    listed = (await client.list()).get("models")
    names = [entry.get("model") or entry.get("name") for entry in listed or () if isinstance(entry, dict)]
    plain = plain_ollama_name(model)
    return next((name for name in names if name and name != model and plain_ollama_name(str(name)) == plain), None)


def _read_part(part: ollama.ChatResponse) -> Piece:
    ended = part.done is True
    return Piece(
        text=part.message.content or "",
        thought=part.message.thinking or "",
        finish_reason=part.done_reason or "" if ended else "",
        prompt_tokens=read_count(part.prompt_eval_count),  # left out when the whole prompt was cached
        completion_tokens=read_count(part.eval_count),
        ended=ended,
    )


def _read_details(model: str, value: Mapping[str, Any]) -> OllamaDetails:
    capabilities = value.get("capabilities")
    info, details = value.get("model_info"), value.get("details")
    facts = info if isinstance(info, dict) else {}
    contexts = (read_count(found) for name, found in facts.items() if name.endswith(".context_length"))
    capable: list[Any] = capabilities if isinstance(capabilities, list) else []
    return OllamaDetails(
        name=model,
        context_tokens=next((count for count in contexts if count), None),
        can_chat="completion" in capable if capable else not _EMBEDDING.search(model),
        can_think="thinking" in capable,
        remote_host=str(value.get("remote_host") or ""),
        family=str((details if isinstance(details, dict) else {}).get("family") or ""),
    )
