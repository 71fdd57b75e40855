"""The dialect of OpenAI's API, which most servers speak: OpenAI, vLLM, llama.cpp, LM Studio, hosted models of others.

The embedded model is one of them. It is spoken without OpenAI's client library, whose types those servers' answers do
not fit (decision 0010). Whatever else they do is `mesh.llm.chat`'s.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import httpx2

from mesh.llm.answer import Piece, read_count, read_text, read_thought
from mesh.llm.chat import ChatModel
from mesh.llm.faults import LostConnectionError, UnreadableAnswerError, find_fault, read_refusal
from mesh.llm.http_client import open_client
from mesh.llm.json_stream import NoJsonError, ObjectReader
from mesh.llm.port import Profile
from mesh.llm.tuning import Tuning

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from mesh.llm.chat import Request
    from mesh.llm.faults import ServerFaultError

OPENAI_URL = "https://api.openai.com/v1"

OPENAI_CONTEXT_TOKENS = 16_384
"""What every chat model of OpenAI's own has at least; its API does not say."""

DEFAULT_CONTEXT_TOKENS = 8192
"""For servers that do not say either."""

LIST_SECONDS = 5.0
"""Time for a look at the list of models, which only some servers give a context in."""

_CONTEXT_FIELDS = ("loaded_context_length", "max_model_len", "context_length", "context_window", "max_context_length")
"""LM Studio's, vLLM's, OpenRouter's, Groq's, LM Studio's."""


class OpenAIModel(ChatModel):
    """A model of such a server."""

    def __init__(
        self,
        name: str,
        *,
        model: str,
        base_url: str | None = None,
        api_key: str | None = None,
        socket: str | None = None,
        ca_bundle: str | None = None,
        tuning: Tuning | None = None,
        profile: Profile | None = None,
    ) -> None:
        """`name` is what the user selected, `model` what the server calls it; no `base_url` means OpenAI's own.

        `socket`: path of a Unix socket that is dialled in the place of the URL's host. `profile`: the model's, if it is
        known without asking. Raises ValueError.
        """
        url = (base_url or OPENAI_URL).strip().rstrip("/").removesuffix("/chat/completions")
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"OPENAI_BASE_URL must begin with http:// or https://, not {url!r}")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        client = open_client(url, socket=socket, headers=headers, ca_bundle=ca_bundle)
        super().__init__(name, OpenAIDialect(model, url, client, tuning or Tuning(), profile), secret=api_key or "")


class OpenAIDialect:
    """Implements mesh.llm.chat.Dialect."""

    def __init__(
        self, model: str, url: str, client: httpx2.AsyncClient, tuning: Tuning, profile: Profile | None
    ) -> None:
        """`url` ends in /v1."""
        self._model = model
        self._url = url
        self._client = client
        self._tuning = tuning
        self._profile = profile
        self._temperature = tuning.temperature
        if self._temperature is None and profile is not None:
            self._temperature = profile.temperature

    @property
    def address(self) -> str:
        """See mesh.llm.chat.Dialect."""
        return self._url

    def write(self, request: Request, refused: frozenset[str]) -> dict[str, Any]:
        """See mesh.llm.chat.Dialect. A bound of tokens has two names, and is sent by the newer if the older is refused.

        Switches for thoughts are sent to models that think only; no server takes all of them.
        """
        limit = "max_tokens" if "max_tokens" not in refused else "max_completion_tokens"
        optional: dict[str, Any] = {
            "stream": True,
            "stream_options": {"include_usage": True} if "stream" not in refused else None,
            limit: request.max_tokens,
            "temperature": self._temperature,
            "seed": request.seed,
        }
        if request.is_thinking:
            optional["reasoning_effort"] = "low"
            if self._url != OPENAI_URL:
                optional["chat_template_kwargs"] = {"enable_thinking": False}
        if request.schema is not None:
            optional["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": dict(request.schema), "strict": True},
            }
        kept = {name: value for name, value in optional.items() if value is not None and name not in refused}
        return {"model": self._model, "messages": write_messages(request, refused), **kept}

    async def send(self, body: dict[str, Any]) -> AsyncGenerator[Piece]:
        """See mesh.llm.chat.Dialect."""
        reader = ObjectReader()
        is_known = False
        async with aclosing(self._receive(body, reader)) as values:
            async for value in values:
                if fault := find_fault(value):
                    raise fault
                if (piece := _read_piece(value)) is not None:
                    is_known = True
                    yield piece
        if reader.objects and not is_known:
            raise UnreadableAnswerError("it holds no choice")
        if reader.done and is_known:
            yield Piece(ended=True)

    async def _receive(self, body: dict[str, Any], reader: ObjectReader) -> AsyncGenerator[dict[str, Any]]:
        try:
            async with self._client.stream("POST", f"{self._url}/chat/completions", json=body) as response:
                if not response.is_success:
                    raise await read_refusal(response)
                async with aclosing(response.aiter_bytes()) as chunks:
                    async for chunk in chunks:
                        for value in reader.feed(chunk):
                            yield value
                for value in reader.end():
                    yield value
        except NoJsonError as error:
            raise UnreadableAnswerError(f"it is not JSON of the chat API: {error}") from error
        except httpx2.DecodingError as error:
            raise UnreadableAnswerError(f"its encoding is broken ({error})") from error
        except httpx2.TransportError as error:
            raise LostConnectionError(str(error)) from error

    def explain(self, fault: ServerFaultError) -> str:
        """See mesh.llm.chat.Dialect."""
        if fault.status in {401, 403}:
            return "see OPENAI_API_KEY"
        if 300 <= fault.status < 400 or (fault.status in {404, 405} and not self._url.endswith("/v1")):
            return f"see OPENAI_BASE_URL ({self._url}): it usually ends in /v1"
        return ""

    async def profile(self) -> Profile:
        """See mesh.llm.chat.Dialect. A server that does not say its context is no error."""
        if self._profile is not None:
            known = self._profile
            return Profile(self._tuning.context_tokens or known.context_tokens, self._temperature, known.guided)
        context_tokens = self._tuning.context_tokens
        if context_tokens is None and self._url == OPENAI_URL:
            context_tokens = OPENAI_CONTEXT_TOKENS
        if context_tokens is None:
            context_tokens = await self._find_context() or DEFAULT_CONTEXT_TOKENS
        return Profile(context_tokens, self._temperature, guided=False)

    async def aclose(self) -> None:
        """See mesh.llm.chat.Dialect."""
        await self._client.aclose()

    async def _find_context(self) -> int | None:
        try:
            response = await self._client.get(f"{self._url}/models", timeout=LIST_SECONDS)
            listed = response.json().get("data", []) if response.is_success else []
            found = next(entry for entry in listed if entry.get("id") == self._model)
        except (httpx2.HTTPError, ValueError, AttributeError, TypeError, StopIteration):
            return None
        meta = found.get("meta")
        trained = read_count(meta.get("n_ctx")) if isinstance(meta, dict) else None
        return next((count for name in _CONTEXT_FIELDS if (count := read_count(found.get(name)))), trained)


def write_messages(request: Request, refused: frozenset[str]) -> list[dict[str, str]]:
    """Returns the messages; for a model whose template knows no system, its part goes before the first question."""
    messages = [{"role": message.role, "content": message.content} for message in request.messages]
    if "system" not in refused or messages[0]["role"] != "system":
        return messages
    system, *rest = messages
    if not rest or rest[0]["role"] != "user":
        return [{"role": "user", "content": system["content"]}, *rest]
    return [{"role": "user", "content": f"{system['content']}\n\n{rest[0]['content']}"}, *rest[1:]]


def _read_piece(value: Mapping[str, Any]) -> Piece | None:
    """Returns what an object of the answer says; None if it is none of this API."""
    choices, usage = value.get("choices"), value.get("usage")
    if not isinstance(choices, list):
        return _read_usage(usage) if isinstance(usage, dict) else None
    choice = choices[0] if choices and isinstance(choices[0], dict) else {}
    message = next((found for name in ("delta", "message") if isinstance(found := choice.get(name), dict)), {})
    content = message.get("content")
    refusal = message.get("refusal")
    text = read_text(content) or read_text(choice.get("text")) or (refusal if isinstance(refusal, str) else "")
    thoughts = (message.get(name) for name in ("reasoning_content", "reasoning", "thinking", "thought"))
    counts = _read_usage(usage) if isinstance(usage, dict) else Piece()
    reason = choice.get("finish_reason")
    return Piece(
        text=text,
        thought=next(filter(None, map(read_text, thoughts)), "") or read_thought(content),
        finish_reason=str(reason) if reason else "",
        prompt_tokens=counts.prompt_tokens,
        completion_tokens=counts.completion_tokens,
        ended="message" in choice or (not choices and counts.completion_tokens is not None),
    )


def _read_usage(usage: Mapping[str, Any]) -> Piece:
    prompt, written = read_count(usage.get("prompt_tokens")), read_count(usage.get("completion_tokens"))
    return Piece(prompt_tokens=prompt, completion_tokens=written)
