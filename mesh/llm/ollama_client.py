"""Ollama's official client, opened for one server: the one way in which anything is said to an Ollama.

The client writes what is asked and reads what is answered, by its own types. Hooks of its HTTP client keep what it
loses: of a refusal all but the words, and of a look at models the fields that its types lack. What it raises comes as
an error of `mesh.llm.faults`. It takes 15 MiB, so this module is imported only where an Ollama is to be spoken with.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
from pydantic import ValidationError

from mesh.llm.faults import LostConnectionError, ServerFaultError, UnreadableAnswerError, find_fault, read_refusal
from mesh.llm.http_client import open_by
from mesh.llm.http_errors import QUOTE_CHARACTERS
from mesh.llm.ollama_package import ollama

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Iterator, Mapping

ANSWER_SECONDS = 20.0
"""Time for a look at models; the server may be busy loading one just then."""

_looked_at: ContextVar[bytes] = ContextVar("looked_at", default=b"")
"""The body of the last look, in the task that looks: a hook sees it before the client's types do."""


class OllamaClient:
    """An `ollama.AsyncClient`. All but `aclose` raise ServerFaultError and LostConnectionError."""

    def __init__(
        self,
        url: str,
        *,
        socket: str | None = None,
        ca_bundle: str | None = None,
        connect_seconds: float | None = None,
    ) -> None:
        """See mesh.llm.http_client for `socket` and `ca_bundle`, and for what raises ValueError.

        `connect_seconds`: time for a connection; None leaves it to the caller, as all time of `chat` is.
        """
        self._client = open_by(
            httpx,
            partial(ollama.AsyncClient, url),
            url,
            socket=socket,
            ca_bundle=ca_bundle,
            timeout=httpx.Timeout(None, connect=connect_seconds),
            follow_redirects=False,
            event_hooks={"request": [_withhold_key], "response": [_read_response]},
        )

    async def chat(self, body: Mapping[str, Any]) -> AsyncGenerator[ollama.ChatResponse]:
        """Yields the parts of an answer; `body` has the arguments of the client. Raises UnreadableAnswerError."""
        with _translate_errors():
            answer: Any = await self._client.chat(**body)
            if isinstance(answer, ollama.ChatResponse):
                yield answer
                return
            async with aclosing(answer) as parts:
                async for part in parts:
                    yield part

    async def show(self, model: str) -> Mapping[str, Any]:
        """Returns what the server says of a model, empty if it is nothing of the API."""
        return await _look(self._client.show(model))

    async def list(self) -> Mapping[str, Any]:
        """Returns what the server says of the models that it has, empty if it is nothing of the API."""
        return await _look(self._client.list())

    async def ps(self) -> Mapping[str, Any]:
        """Returns what the server says of the models that it has loaded, empty if it is nothing of the API."""
        return await _look(self._client.ps())

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]


async def _look(answer: Awaitable[object]) -> Mapping[str, Any]:
    """Returns the whole object: the client's types lack where a model runs, and refuse one without `model_info`."""
    _looked_at.set(b"")
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            with _translate_errors():
                await answer
    except TimeoutError as error:
        raise LostConnectionError(f"no answer within {ANSWER_SECONDS:g} s") from error
    except UnreadableAnswerError:
        pass
    try:
        value = json.loads(_looked_at.get())
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


async def _withhold_key(request: httpx.Request) -> None:
    """The client would send OLLAMA_API_KEY of the environment, which no setting of ours names, to whatever server."""
    request.headers.pop("authorization", None)


async def _read_response(response: httpx.Response) -> None:
    if not response.is_success:
        raise await read_refusal(response)
    if not response.request.url.path.endswith("/api/chat"):
        _looked_at.set(await response.aread())


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except ollama.ResponseError as error:  # inside a 200: refusals were read before
        fault = find_fault({"error": error.error})
        raise fault or ServerFaultError(error.status_code, str(error)) from error
    except ConnectionError as error:  # its words are the client's own; what it was is in its context
        raise LostConnectionError(str(error.__context__ or error)) from error
    except httpx.TransportError as error:
        raise LostConnectionError(str(error)) from error
    except httpx.DecodingError as error:
        raise UnreadableAnswerError(f"its encoding is broken ({error})") from error
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise UnreadableAnswerError(f"it is not of Ollama's API: {'; '.join(faults)}") from error
    except json.JSONDecodeError as error:
        quote = " ".join(error.doc.split())[:QUOTE_CHARACTERS]
        raise UnreadableAnswerError(f"it is not JSON of Ollama's API: {quote}") from error
    except (ValueError, TypeError, AttributeError) as error:  # of a list, of an error that is no text, of no UTF-8
        raise UnreadableAnswerError(f"its form is none of Ollama's API ({error})") from error
