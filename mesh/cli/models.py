"""Which model a new Rostrum speaks with, checked before anything is started, and its weights brought here.

`mesh.llm.select` knows the names and what "auto" means. A model that cannot work is refused here with what to do,
rather than by a debate of forfeited turns.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from mesh.cli.exits import CommandError, Exit
from mesh.llm import select
from mesh.llm.embedded import catalogue, weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.cli.output import Output

AUTO = "auto"


def is_same(one: str, other: str) -> bool:
    """Whether two names select the same model."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    try:
        return str(select.parse(name)).removesuffix(":latest")
    except select.ModelNameError:
        return name


async def choose(asked: str, environ: Mapping[str, str]) -> select.Choice:
    """Returns the model to start with. Raises CommandError if it cannot be had."""
    host = environ.get("OLLAMA_HOST") or select.DEFAULT_OLLAMA_HOST
    try:
        choice = await select.choose(asked, select.ModelServers(ollama_host=host))
    except select.ModelNameError as error:
        raise CommandError(f"--model: {error}", Exit.USAGE) from error
    if asked == AUTO:
        return choice
    if choice.model.kind == "ollama":
        await _demand_ollama(choice.model.detail, host)
    keys = ("OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_API_KEY_FILE")
    if choice.model.kind == "openai" and not any(environ.get(name) for name in keys):
        raise CommandError(
            f"{asked} needs OPENAI_API_KEY (or OPENAI_API_KEY_FILE), or OPENAI_BASE_URL of another server: set one",
            Exit.USAGE,
        )
    return choice


async def _demand_ollama(model: str, host: str) -> None:
    from mesh.llm.ollama import installed_models  # noqa: PLC0415 - slow to import, and only its users need it

    names = await installed_models(host)
    if names is None:
        raise CommandError(
            f"no Ollama answers at {host}: start it (`ollama serve`), or set OLLAMA_HOST to where it runs",
            Exit.UNAVAILABLE,
        )
    if not any(is_same(f"ollama:{model}", f"ollama:{name}") for name in names):
        have = ", ".join(names) or "none"
        raise CommandError(
            f"Ollama has no model {model}: `ollama pull {model}` gets it (it has: {have})", Exit.NOT_FOUND
        )


async def bring(model: str, environ: Mapping[str, str], output: Output) -> None:
    """Fetches the weights of an embedded model if they are missing, with progress. Raises CommandError.

    Cancelling it stops the download; the next one goes on from there.
    """
    name = select.parse(model)
    if name.kind != "embedded":
        return
    wanted = catalogue.WEIGHTS[name.detail]
    cache = weights.cache_folder(environ)
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
