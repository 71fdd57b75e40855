"""What an Ollama server has: which of its models may chat here, which are loaded, and which is the most capable.

For the command line, before anything is started; a service is given the name of one model.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mesh.llm.faults import LostConnectionError, ServerFaultError, UnreadableAnswerError
from mesh.llm.ollama import show_model
from mesh.llm.ollama_client import OllamaClient
from mesh.llm.ollama_names import ollama_url
from mesh.proxies import is_local

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LOCAL_CONNECT_SECONDS = 1.0
"""Time in which a server that runs on this machine takes a connection."""

CONNECT_SECONDS = 8.0
"""The same for one elsewhere, by a proxy or a slow line."""

SLOW_SECONDS = 2.0
"""After which it is said that it is being waited for."""

MAX_SHOWN = 30
"""Models that are asked for what they can; those beyond are smaller or older."""

_SIZE = re.compile(r"(?P<number>[\d.]+)\s*(?P<unit>[KMBT])", re.IGNORECASE)
_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """One line of Ollama's list."""

    name: str
    parameters: float
    """How many; 0 if unknown."""
    file_bytes: int
    is_remote: bool
    """Whether it runs elsewhere: a cloud model."""


async def fetch_models(
    host: str,
    *,
    loaded: bool = False,
    notify: Callable[[str], None] = lambda _line: None,
    ca_bundle: str | None = None,
) -> tuple[InstalledModel, ...]:
    """Returns the models that an Ollama has, or only those it has loaded.

    Raises LostConnectionError if nothing answers, ServerFaultError and UnreadableAnswerError if what does is no Ollama.
    """
    url = ollama_url(host)
    waiting = f"Ollama at {url} is slow to answer: waiting for it"
    connect_seconds = LOCAL_CONNECT_SECONDS if is_local(url) else CONNECT_SECONDS
    slow = asyncio.get_running_loop().call_later(SLOW_SECONDS, notify, waiting)
    try:
        async with aclosing(OllamaClient(url, ca_bundle=ca_bundle, connect_seconds=connect_seconds)) as client:
            listed = await (client.ps() if loaded else client.list())
            return tuple(_read_model(entry) for entry in listed["models"])
    except (KeyError, TypeError, AttributeError) as error:
        raise UnreadableAnswerError("it is no list of models") from error
    finally:
        slow.cancel()


async def list_models(
    host: str,
    *,
    loaded: bool = False,
    notify: Callable[[str], None] = lambda _line: None,
    ca_bundle: str | None = None,
) -> tuple[InstalledModel, ...] | None:
    """Returns what `fetch_models` does; None if no Ollama answers there, for whatever reason."""
    try:
        return await fetch_models(host, loaded=loaded, notify=notify, ca_bundle=ca_bundle)
    except (ServerFaultError, LostConnectionError, UnreadableAnswerError):
        return None


async def find_chat_model(
    host: str, installed: Sequence[InstalledModel], *, memory_bytes: int, ca_bundle: str | None = None
) -> str | None:
    """Returns the most capable of the models that chats there and is loaded, else that fits the memory."""
    if not installed:
        return None
    loaded = {model.name for model in await list_models(host, loaded=True, ca_bundle=ca_bundle) or ()}
    ranked = sorted(
        (model for model in installed if not model.is_remote),
        key=lambda model: (model.name in loaded, model.file_bytes <= memory_bytes, model.parameters),
        reverse=True,
    )
    async with aclosing(OllamaClient(ollama_url(host), ca_bundle=ca_bundle)) as client:
        for model in ranked[:MAX_SHOWN]:
            if model.name not in loaded and model.file_bytes > memory_bytes:
                continue
            try:
                details = await show_model(client, model.name)
            except (ServerFaultError, LostConnectionError):
                continue
            if details.can_chat and not details.remote_host:
                return model.name
    return None


def _read_model(entry: Mapping[str, Any]) -> InstalledModel:
    name = str(entry.get("model") or entry["name"])
    details = entry.get("details")
    size = str((details if isinstance(details, dict) else {}).get("parameter_size") or "")
    found = _SIZE.search(size)
    remote = bool(entry.get("remote_host") or entry.get("remote_model")) or name.endswith((":cloud", "-cloud"))
    file_bytes = entry.get("size")
    return InstalledModel(
        name=name,
        parameters=float(found["number"]) * _UNITS[found["unit"].upper()] if found else 0.0,
        file_bytes=file_bytes if isinstance(file_bytes, int) else 0,
        is_remote=remote,
    )
