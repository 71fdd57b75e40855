"""Chat models behind any OpenAI-compatible API, through OpenAI's own client: OpenAI, vLLM, llama.cpp, LM Studio.

The embedded model is one of them. The client is imported with this module (40 MiB), so `select` imports this module
only when such a model is chosen. It never tries again by itself: tries are counted, and paid for, by the caller.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

import httpx2
import openai

from mesh.errors import ModelUnavailableError
from mesh.llm.http_errors import estimated_tokens, is_local, status_error, too_slow, unreachable, unreadable
from mesh.llm.port import Completion, Profile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mesh.llm.port import Limits, Message

NO_KEY = "none"
"""Sent when no key is given: local servers want none, the client wants some."""


class OpenAIModel:
    """Implements mesh.llm.port.Model. An empty answer is returned as it is: its tokens were spent."""

    def __init__(
        self,
        name: str,
        *,
        model: str,
        base_url: str | None = None,
        api_key: str | None = None,
        socket: str | None = None,
    ) -> None:
        """`name` is what the user selected, `model` what the server calls it; no `base_url` means OpenAI's own.

        `socket`: path of a Unix socket that is dialled in the place of the URL's host.
        """
        self._name = name
        self._model = model
        self._client = openai.AsyncOpenAI(
            api_key=api_key or NO_KEY,
            base_url=base_url,
            max_retries=0,
            timeout=None,
            http_client=openai.DefaultAsyncHttpxClient(
                trust_env=not (base_url and is_local(base_url)),
                transport=httpx2.AsyncHTTPTransport(uds=socket) if socket else None,
            ),
        )
        self._limit_field = "max_tokens"

    @property
    def name(self) -> str:
        """See mesh.llm.port.Model."""
        return self._name

    async def profile(self) -> Profile:
        """See mesh.llm.port.Model."""
        return Profile(context_tokens=8192, temperature=None, guided=self._name.startswith("embedded"))

    async def complete(
        self,
        messages: Sequence[Message],
        limits: Limits,
        *,
        schema: Mapping[str, Any] | None = None,
        seed: int | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Completion:
        """See mesh.llm.port.Model."""
        request: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
        }
        if seed is not None:
            request["seed"] = seed
        if schema is not None:
            request["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": dict(schema), "strict": True},
            }
        try:
            async with asyncio.timeout(limits.timeout_seconds):
                answer = await self._create(request, limits.max_tokens)
        except (TimeoutError, openai.APITimeoutError) as error:
            raise too_slow(self._name, limits.timeout_seconds) from error
        except openai.APIConnectionError as error:
            raise unreachable(self._name, str(self._client.base_url)) from error
        except openai.APIStatusError as error:
            raise status_error(self._name, error.status_code, error.message) from error
        except (openai.APIResponseValidationError, ValueError) as error:
            raise unreadable(self._name, "it is not JSON of the chat API") from error
        except openai.OpenAIError as error:
            raise ModelUnavailableError(f"the client of {self._name} failed: {error}", model=self._name) from error
        completion = self._completion(answer, messages)
        if on_text is not None and completion.text:
            on_text(completion.text)
        return completion

    async def _create(self, request: dict[str, Any], max_tokens: int) -> Any:
        try:
            return await self._client.chat.completions.create(**{**request, self._limit_field: max_tokens})
        except openai.BadRequestError as error:
            # OpenAI's reasoning models know the limit under its newer name only, most other servers the older only.
            if error.param != "max_tokens" or self._limit_field != "max_tokens":
                raise
            self._limit_field = "max_completion_tokens"
            return await self._client.chat.completions.create(**{**request, self._limit_field: max_tokens})

    def _completion(self, answer: Any, messages: Sequence[Message]) -> Completion:
        try:
            choice = answer.choices[0]
            text = choice.message.content or ""
            reason = choice.finish_reason
        except (AttributeError, IndexError, TypeError) as error:
            raise unreadable(self._name, "it holds no choice") from error
        if reason == "content_filter":
            raise unreadable(self._name, "the server's content filter withheld it")
        finish: Literal["stop", "length"] = "length" if reason == "length" else "stop"
        usage = answer.usage
        prompt = usage.prompt_tokens if usage else sum(estimated_tokens(message.content) for message in messages)
        written = usage.completion_tokens if usage else estimated_tokens(text)
        return Completion(text, self._name, prompt, written, finish)

    async def aclose(self) -> None:
        """See mesh.llm.port.Model."""
        await self._client.close()
