"""The embedded chat model as a server: llama.cpp's own HTTP server, from the xllamacpp wheel, over our weights.

`python -m mesh.llm.embedded.server` reads MODEL ("embedded" or "embedded:SIZE"), LISTEN_ADDRESS ("host:port" or
"unix:PATH.sock") and ROSTRUM_CACHE. It serves /v1/chat/completions, /v1/models and /health (200 once the model can
answer). HTTP, the chat template, JSON schemas, seeds, batching of concurrent calls and their cancellation when a client
hangs up are all llama.cpp's; this module only chooses its settings.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from mesh.llm.embedded import catalogue, weights
from mesh.llm.embedded.listen import block_stop_signals, fail, listen_address, listening_socket, shown, wait_for_stop
from mesh.llm.embedded.threads import choose_threads, stop_spinning

PORT = 8080

PROMPT_CACHE_MIB = 128
"""Host memory for prompts seen before; llama.cpp's own default is 8 GiB."""


def weights_of(model: str) -> catalogue.Weights:
    """Returns what to serve for the name of an embedded model. Raises ValueError."""
    prefix, _, size = model.partition(":")
    found = catalogue.WEIGHTS.get(size or catalogue.DEFAULT_SIZE)
    if prefix != "embedded" or found is None:
        forms = ", ".join(weights.name for weights in catalogue.WEIGHTS.values())
        raise ValueError(f"MODEL must be one of {forms}, not {model!r}")
    return found


def start(path: Path, name: str, host: str, port: int, *, threads: int | None = None) -> Any:
    """Loads the model and serves it, until the returned object is dropped. Returns its xllamacpp.Server."""
    stop_spinning(os.environ)
    import xllamacpp  # type: ignore[import-untyped]  # noqa: PLC0415 - native and large: only this process, and only now

    count = threads or choose_threads()
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = {name}
    params.hostnames = [host]
    params.port = port
    params.n_ctx = catalogue.CONTEXT_TOKENS
    params.n_parallel = catalogue.SLOTS
    params.kv_unified = True
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.cpuparams.n_threads = count
    params.cpuparams_batch.n_threads = count
    params.ui = False
    params.offline = True
    params.endpoint_slots = False
    params.cors_origins = ""
    params.verbosity = 1
    return xllamacpp.Server(params)


def demand_free(host: str, port: int) -> None:
    """Raises OSError if the address cannot be listened on. llama.cpp itself would share it or say nothing clear."""
    with listening_socket(host, port):
        pass
    if not port:
        Path(host).unlink()


def main() -> None:
    """Serves until a signal stops it."""
    block_stop_signals()
    try:
        host, port = listen_address(os.environ, PORT)
        chosen = weights_of(os.environ.get("MODEL", "embedded"))
        demand_free(host, port)
        path = weights.fetch(chosen, weights.cache_folder(os.environ), progress=_Log(chosen))
        started = time.monotonic()
        server = start(path, chosen.name, host, port)
    except (ValueError, OSError, weights.WeightsError, RuntimeError) as error:
        fail(f"the embedded model cannot start: {error}")
    sys.stderr.write(f"{chosen.title} serves on {shown(host, port)}, loaded in {time.monotonic() - started:.1f} s\n")
    wait_for_stop()
    # llama.cpp waits for the answers it is writing when it is taken down; nobody waits for those.
    threading.Timer(2.0, os._exit, (0,)).start()
    del server
    os._exit(0)


class _Log:
    """Says how far the download is, every tenth of it."""

    def __init__(self, chosen: catalogue.Weights) -> None:
        self._title = chosen.title
        self._tenth = -1

    def __call__(self, done: int, total: int) -> None:
        if (tenth := done * 10 // total) > self._tenth:
            self._tenth = tenth
            sys.stderr.write(f"downloading {self._title}: {done // 2**20} of {total // 2**20} MiB\n")


if __name__ == "__main__":
    main()
