"""The dialect of Ollama's own API, and a look at the models that an Ollama has, is running, and may chat with.

Its own API rather than its copy of OpenAI's, because only there a prompt's context can be set: else Ollama cuts a long
prompt silently, the system prompt first. Whatever else servers do is `mesh.llm.chat`'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2

from mesh.llm.answer import Piece, read_count, read_text
from mesh.llm.chat import ChatModel
from mesh.llm.faults import read_fault
from mesh.llm.http_client import open_client
from mesh.llm.ollama_names import ollama_url
from mesh.llm.openai import write_messages
from mesh.llm.port import Profile
from mesh.llm.tuning import Tuning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.llm.chat import Request
    from mesh.llm.faults import ServerFaultError

DEFAULT_CONTEXT_TOKENS = 8192
"""A whole debate, in memory that most machines have; MODEL_CONTEXT_TOKENS asks for more."""

SHOW_SECONDS = 20.0
"""Time for what an Ollama says of a model; it may be busy loading another."""

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
        name = f"ollama:{model}"
        super().__init__(
            name, OllamaDialect(name, model, url, tuning or Tuning()), open_client(url, ca_bundle=ca_bundle)
        )


class OllamaDialect:
    """Implements mesh.llm.chat.Dialect."""

    def __init__(self, name: str, model: str, url: str, tuning: Tuning) -> None:
        self._name = name
        self._model = model
        self._url = url
        self._tuning = tuning
        self._details = OllamaDetails(model)
        self._context_tokens = tuning.context_tokens or DEFAULT_CONTEXT_TOKENS

    @property
    def address(self) -> str:
        """See mesh.llm.chat.Dialect."""
        return self._url

    @property
    def chat_url(self) -> str:
        """See mesh.llm.chat.Dialect."""
        return f"{self._url}/api/chat"

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

    def read(self, value: Mapping[str, Any]) -> Piece | None:
        """See mesh.llm.chat.Dialect."""
        message = value.get("message")
        if not isinstance(message, dict):
            return Piece(ended=True) if value.get("done") is True else None
        ended = value.get("done") is True
        return Piece(
            text=read_text(message.get("content")),
            thought=read_text(message.get("thinking")),
            finish_reason=str(value.get("done_reason") or "") if ended else "",
            prompt_tokens=read_count(value.get("prompt_eval_count")),  # left out when the whole prompt was cached
            completion_tokens=read_count(value.get("eval_count")),
            ended=ended,
        )

    def explain(self, fault: ServerFaultError) -> str:
        """See mesh.llm.chat.Dialect."""
        return f"run: ollama pull {self._model}" if fault.status == 404 else ""

    async def profile(self, client: httpx2.AsyncClient) -> Profile:
        """See mesh.llm.chat.Dialect."""
        self._details = await show_model(client, self._url, self._model)
        if self._tuning.context_tokens is None and self._details.context_tokens is not None:
            self._context_tokens = min(self._details.context_tokens, DEFAULT_CONTEXT_TOKENS)
        return Profile(self._context_tokens, self._tuning.temperature, guided=False)


async def show_model(client: httpx2.AsyncClient, url: str, model: str) -> OllamaDetails:
    """Returns what an Ollama says of a model. Raises ServerFaultError (404 if there is none) and HTTPError."""
    response = await client.post(f"{url}/api/show", json={"model": model, "name": model}, timeout=SHOW_SECONDS)
    if response.is_success:
        try:
            value = response.json()
        except ValueError:
            value = None
        return _read_details(model, value if isinstance(value, dict) else {})
    fault = read_fault(response.status_code, response.text, response.headers)
    if fault.status in {404, 405} and "model" not in fault.words.lower():
        return _read_details(model, {})  # a server that speaks this API but for this part of it
    raise fault


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
