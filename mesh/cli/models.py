"""Which model a new Rostrum speaks with, checked before anything is started, and its weights brought here.

`mesh.llm.select` knows the names and what "auto" means, `mesh.llm.checking` what can be wrong. A model that cannot work
is refused here with what to do, rather than by a debate of forfeited turns.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from mesh.cli.exits import CommandError, Exit, exit_of
from mesh.errors import ModelError
from mesh.llm import select
from mesh.llm.embedded import catalogue, weights
from mesh.llm.ollama_names import plain_ollama_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mesh.cli.output import Output

AUTO = "auto"


def is_same(one: str, other: str) -> bool:
    """Whether two names select the same model."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    try:
        model = select.parse(name)
    except select.ModelNameError:
        return name
    return f"ollama:{plain_ollama_name(model.detail)}" if model.kind == "ollama" else str(model)


async def choose(asked: str, environ: Mapping[str, str], notify: Callable[[str], None]) -> select.Choice:
    """Returns the model to start with; `notify` gets what is waited for. Raises CommandError if it cannot be had."""
    try:
        servers = servers_of(environ)
        choice = await select.choose(asked, servers, memory_bytes=psutil.virtual_memory().total, notify=notify)
    except select.ModelNameError as error:
        raise CommandError(f"--model: {error}", Exit.USAGE) from error
    except ValueError as error:  # OLLAMA_HOST, a proxy or certificates, which its words name
        raise CommandError(str(error), Exit.USAGE) from error
    keys = ("OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_API_KEY_FILE")
    if choice.model.kind == "openai" and not any(environ.get(name) for name in keys):
        raise CommandError(
            f"{asked} needs OPENAI_API_KEY (or OPENAI_API_KEY_FILE), or OPENAI_BASE_URL of another server: set one",
            Exit.USAGE,
        )
    return choice


async def check(name: str, environ: Mapping[str, str], notify: Callable[[str], None]) -> None:
    """Asks a model for one token. Raises CommandError with what is wrong and what to do."""
    try:
        if select.parse(name).kind == "embedded":
            return
    except select.ModelNameError as error:
        raise CommandError(f"MODEL of a manifest: {error}", Exit.USAGE) from error
    from mesh.llm.checking import MissingModelError, check_model  # noqa: PLC0415 - embedded models do without

    try:
        await check_model(name, servers_of(environ), notify=notify)
    except ModelError as error:
        exit_code = Exit.NOT_FOUND if isinstance(error, MissingModelError) else exit_of(error)
        raise CommandError(" ".join(error.message.split()), exit_code) from error
    except (ValueError, OSError) as error:
        raise CommandError(str(error), Exit.USAGE) from error


def servers_of(environ: Mapping[str, str]) -> select.ModelServers:
    """Returns where models are, as the services are told it. Raises CommandError."""
    key = environ.get("OPENAI_API_KEY")
    if not key and (file := environ.get("OPENAI_API_KEY_FILE")):
        try:
            key = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise CommandError(f"OPENAI_API_KEY_FILE cannot be read: {error}", Exit.USAGE) from error
    return select.ModelServers(
        ollama_host=environ.get("OLLAMA_HOST") or select.DEFAULT_OLLAMA_HOST,
        openai_base_url=environ.get("OPENAI_BASE_URL") or None,
        openai_api_key=key or None,
        ca_bundle=None if environ.get("SSL_CERT_FILE") else environ.get("REQUESTS_CA_BUNDLE") or None,
    )


async def bring(model: str, environ: Mapping[str, str], output: Output) -> None:
    """Fetches the weights of an embedded model if they are missing, with progress. Raises CommandError.

    Cancelling it stops the download; the next one goes on from there.
    """
    name = select.parse(model)
    if name.kind != "embedded":
        return
    wanted = catalogue.WEIGHTS[name.detail]
    try:
        cache = weights.cache_folder(environ)
    except weights.WeightsError as error:
        raise CommandError(str(error), Exit.FAILURE) from error
    if weights.present(wanted, cache):
        return
    output.note(
        f"{wanted.title} is fetched once into {cache} ({wanted.download_bytes // 2**20} MiB);"
        " a smaller one is `--model embedded:small`"
    )
    stop = threading.Event()
    with output.download(f"downloading {wanted.name}") as progress:
        thread = asyncio.create_task(
            asyncio.to_thread(weights.fetch, wanted, cache, progress=progress, cancelled=stop.is_set)
        )
        try:
            await asyncio.shield(thread)
        except weights.WeightsError as error:
            raise CommandError(str(error), Exit.FAILURE) from error
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait({thread})
            raise
