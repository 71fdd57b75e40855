"""Asks a model for one token before anything is started, and says in one line what is wrong with it.

Called by the command line; a service that is given a bad model forfeits turn by turn. An embedded model is not asked:
its pod's readiness says whether it can answer.
"""

from __future__ import annotations

import shlex
from contextlib import aclosing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2

from mesh.errors import ModelError, ModelRefusedError, ModelUnavailableError
from mesh.llm.faults import LostConnectionError, ServerFaultError, UnreadableAnswerError
from mesh.llm.http_client import open_client
from mesh.llm.http_errors import status_error, unreachable
from mesh.llm.ollama_names import ollama_url, plain_ollama_name
from mesh.llm.port import Limits, Message
from mesh.llm.select import ModelServers, open_model, parse
from mesh.llm.tuning import MIN_CONTEXT_TOKENS
from mesh.proxies import is_local

if TYPE_CHECKING:
    from collections.abc import Callable

    from mesh.llm.ollama import OllamaDetails
    from mesh.llm.select import ModelName

CHECK_SECONDS = 180.0
"""Time for the first token: a large model may load for two minutes."""

SLOW_SECONDS = 3.0


class MissingModelError(ModelRefusedError):
    """The server has no such model; the message has the command that gets it. Metadata: model."""


async def check_model(
    text: str,
    servers: ModelServers,
    *,
    notify: Callable[[str], None] = lambda _line: None,
    timeout_seconds: float = CHECK_SECONDS,
) -> None:
    """Returns if the model can hold a conversation. Raises ModelError with one line that says what to do.

    `notify` gets what is waited for. Raises ModelNameError if it is the name of no model.
    """
    name = parse(text)
    if name.kind == "embedded":
        return
    if name.kind == "ollama":
        await _check_ollama(name, servers, notify)
    model = open_model(text, servers)
    try:
        context_tokens = (await model.profile()).context_tokens
        if context_tokens < MIN_CONTEXT_TOKENS:
            _refuse(name, f"its context of {context_tokens} tokens is too small for a debate: {MIN_CONTEXT_TOKENS} is"
                    " the least, so choose another model")  # fmt: skip
        notify(f"asking {name} for one token; a model that is not loaded yet takes a while")
        await model.complete([Message("user", "Say yes.")], Limits(1, timeout_seconds, timeout_seconds))
    except ModelError as error:
        if name.kind == "openai":
            raise await _explain_openai(error, name, servers) from error
        raise
    finally:
        await model.aclose()


def _refuse(name: ModelName, what: str) -> None:
    raise ModelRefusedError(f"{name}: {what}", model=str(name))


async def _check_ollama(name: ModelName, servers: ModelServers, notify: Callable[[str], None]) -> None:
    from mesh.llm.ollama_server import fetch_models  # noqa: PLC0415 - Ollama's client, which only its users pay

    try:
        url = ollama_url(servers.ollama_host)
    except ValueError as error:
        raise ModelRefusedError(str(error), model=str(name)) from error
    try:
        installed = await fetch_models(servers.ollama_host, notify=notify, ca_bundle=servers.ca_bundle)
    except (LostConnectionError, ServerFaultError, UnreadableAnswerError) as error:
        if isinstance(error, LostConnectionError) and (not is_local(url) or "CERTIFICATE" in str(error)):
            raise unreachable(str(name), url, str(error)) from error
        raise ModelUnavailableError(
            f"no Ollama answers at {url}: start it (`ollama serve`), or set OLLAMA_HOST to where it runs",
            model=str(name),
        ) from error
    known = {plain_ollama_name(model.name): model for model in installed}
    found = known.get(plain_ollama_name(name.detail))
    details = await _show(name, url, servers.ca_bundle)
    if details is None:
        have = ", ".join(sorted(model.name for model in installed)) or "none"
        pull = shlex.join(["ollama", "pull", name.detail])
        raise MissingModelError(
            f"Ollama has no model {name.detail}: `{pull}` gets it (it has: {have})", model=str(name)
        )
    if details.remote_host or (found is not None and found.is_remote):
        _refuse(name, f"it runs at {details.remote_host or 'ollama.com'}, not in your Ollama: choose a local model, or"
                " use openai:NAME with that server's OPENAI_BASE_URL and key")  # fmt: skip
    if not details.can_chat:
        _refuse(name, "it is an embedding model, which cannot chat: choose another, such as `ollama pull llama3.2`")


async def _show(name: ModelName, url: str, ca_bundle: str | None) -> OllamaDetails | None:
    from mesh.llm.ollama import show_model  # noqa: PLC0415 - as above
    from mesh.llm.ollama_client import OllamaClient  # noqa: PLC0415 - as above

    async with aclosing(OllamaClient(url, ca_bundle=ca_bundle)) as client:
        try:
            return await show_model(client, name.detail)
        except ServerFaultError as fault:
            if fault.status == 404:
                return None
            raise status_error(str(name), fault.status, fault.words, may_pass=fault.is_transient) from fault
        except LostConnectionError as error:
            raise unreachable(str(name), url, str(error)) from error


async def _explain_openai(error: ModelError, name: ModelName, servers: ModelServers) -> ModelError:
    """Returns the error with what to do: a base URL that lacks its /v1 is found out by asking there."""
    base = (servers.openai_base_url or "").rstrip("/")
    if not isinstance(error, ModelRefusedError) or not base or urlsplit(base).path.endswith("/v1"):
        return error
    try:
        async with open_client(base, ca_bundle=servers.ca_bundle) as client:
            response = await client.get(f"{base}/v1/models", timeout=10.0)
            speaks = response.status_code in {200, 401, 403} and "json" in response.headers.get("content-type", "")
    except (httpx2.HTTPError, ValueError):
        return error
    if not speaks:
        return error
    return ModelRefusedError(f"{error.message}; set OPENAI_BASE_URL={base}/v1", model=str(name))
