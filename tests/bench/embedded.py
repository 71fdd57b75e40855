"""How fast the embedded model writes, undisturbed and beside one busy process of low priority.

On two cores the second figure is what a user has who compiles meanwhile. Each is the median of some answers, taken in
turn, by the server's own count. The default model's weights are fetched first if they are not there.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING

from mesh.llm.embedded import catalogue, weights
from mesh.llm.port import Limits, Message
from mesh.llm.select import ModelServers, open_model
from tests.support.embedded import served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mesh.llm.port import Model

ANSWERS = 3
ANSWER_TOKENS = 48
ASK = [Message("user", "Write a long essay about ships.")]
SHARE = 0.5
"""The least that is left of the undisturbed speed."""


def run() -> dict[str, float]:
    """Returns tokens a second, in both cases, and their ratio."""
    weights.fetch(catalogue.WEIGHTS[catalogue.DEFAULT_SIZE], weights.cache_folder(os.environ))
    with served("mesh.llm.embedded.server", MODEL="embedded") as url:
        quiet, busy = asyncio.run(_measure(ModelServers(embedded_url=url)))
    return {
        "embedded model, tokens/s": round(quiet, 1),
        "embedded model beside a busy process, tokens/s": round(busy, 1),
        "embedded model, share left beside a busy process": round(busy / quiet, 2),
    }


async def _measure(servers: ModelServers) -> tuple[float, float]:
    model = open_model("embedded", servers)
    try:
        await _write(model, 4)
        quiet, busy = [], []
        for _ in range(ANSWERS):
            quiet.append(await _write(model, ANSWER_TOKENS))
            with _busy_process():
                busy.append(await _write(model, ANSWER_TOKENS))
        return median(quiet), median(busy)
    finally:
        await model.aclose()


async def _write(model: Model, tokens: int) -> float:
    """Returns the tokens a second after the first one."""
    start = time.perf_counter()
    completion = await model.complete(ASK, Limits(tokens, 300, 300), seed=1)
    seconds = time.perf_counter() - start - (completion.first_token_seconds or 0.0)
    return (completion.completion_tokens - 1) / seconds


@contextmanager
def _busy_process() -> Iterator[None]:
    """A process that takes what it gets of a core, of the lowest priority, in a session of its own as a compiler's."""
    busy = subprocess.Popen(["nice", "-n", "19", sys.executable, "-c", "while True: pass"], start_new_session=True)
    try:
        yield
    finally:
        os.killpg(busy.pid, signal.SIGKILL)
        busy.wait()
