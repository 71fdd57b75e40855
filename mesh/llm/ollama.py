"""Chat models of an Ollama server, through Ollama's own client; and a look at whether one is running.

The client is imported with this module (30 MiB), so `select` imports this module only when such a model is chosen.
It never tries again by itself: tries are counted by the caller.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

import httpx
import ollama

from mesh.llm.http_errors import estimated_tokens, is_local, status_error, too_slow, unreachable, unreadable
from mesh.llm.port import Completion, Profile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mesh.llm.port import Limits, Message

PROBE_SECONDS = 1.0
"""Time a running server on this machine has to say so."""


class OllamaModel:
    """Implements mesh.llm.port.Model. An empty answer is returned as it is: its tokens were spent."""

    def __init__(self, model: str, *, host: str) -> None:
        """`model` as Ollama calls it; `host` is "host:port" or a URL."""
        self._name = f"ollama:{model}"
        self._model = model
        self._host = host
        self._client = ollama.AsyncClient(host, trust_env=not is_local(host))

    @property
    def name(self) -> str:
        """See mesh.llm.port.Model."""
        return self._name

    async def profile(self) -> Profile:
        """See mesh.llm.port.Model."""
        return Profile(context_tokens=8192, temperature=None, guided=False)

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
        options: dict[str, Any] = {"num_predict": limits.max_tokens}
        if seed is not None:
            options["seed"] = seed
        try:
            async with asyncio.timeout(limits.timeout_seconds):
                answer = await self._client.chat(
                    model=self._model,
                    messages=[{"role": message.role, "content": message.content} for message in messages],
                    options=options,
                    format=dict(schema) if schema is not None else None,
                )
        except TimeoutError as error:
            raise too_slow(self._name, limits.timeout_seconds) from error
        except ollama.ResponseError as error:
            raise self._status_error(error) from error
        except (ConnectionError, httpx.TransportError) as error:
            raise unreachable(self._name, self._host) from error
        except (ValueError, TypeError) as error:  # pydantic's ValidationError is a ValueError
            raise unreadable(self._name, "it is not JSON of the chat API") from error
        completion = self._completion(answer, messages)
        if on_text is not None and completion.text:
            on_text(completion.text)
        return completion

    def _status_error(self, error: ollama.ResponseError) -> Exception:
        hint = f"; run: ollama pull {self._model}" if error.status_code == 404 else ""
        return status_error(self._name, error.status_code, error.error + hint)

    def _completion(self, answer: ollama.ChatResponse, messages: Sequence[Message]) -> Completion:
        text = answer.message.content or ""
        prompt = answer.prompt_eval_count
        written = answer.eval_count
        finish: Literal["stop", "length"] = "length" if answer.done_reason == "length" else "stop"
        if prompt is None:  # left out when the whole prompt was cached
            prompt = sum(estimated_tokens(message.content) for message in messages)
        return Completion(text, self._name, prompt, estimated_tokens(text) if written is None else written, finish)

    async def aclose(self) -> None:
        """See mesh.llm.port.Model."""
        await self._client.close()  # type: ignore[no-untyped-call]


async def installed_models(host: str) -> tuple[str, ...] | None:
    """Returns the chat models that an Ollama server has, newest first; None if none is running there."""
    client = ollama.AsyncClient(host, timeout=PROBE_SECONDS, trust_env=not is_local(host))
    try:
        listed = await client.list()
    except (ConnectionError, httpx.HTTPError, ollama.ResponseError, ValueError):
        return None
    finally:
        await client.close()  # type: ignore[no-untyped-call]
    return tuple(entry.model for entry in listed.models if entry.model and "embed" not in entry.model)


async def is_running(host: str) -> bool:
    """Says whether an Ollama server answers there."""
    return await installed_models(host) is not None
