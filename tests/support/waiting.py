"""Waiting for a condition: the only place in tests that looks, pauses and looks again.

What has an event is waited for by its event; this is for what has none, such as another process, a log, or a counter.
Both forms are bounded and say what they waited for. Tests never sleep: an architecture test says so.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, overload

T = TypeVar("T")

PAUSE_SECONDS = 0.01
"""Between two looks: far below what a person or a deadline in a test would notice."""


def wait_until(what: str | Callable[[], str], condition: Callable[[], T | None], *, seconds: float = 30.0) -> T:
    """Returns what the condition returns, once that is true. After `seconds` the test fails and names `what`, which is
    asked for only then if it is a function: a log has more to say by that time."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        _check_time_left(what, end, seconds)
        time.sleep(PAUSE_SECONDS)
    return found


@overload
async def until(
    what: str | Callable[[], str], condition: Callable[[], Coroutine[Any, Any, T | None]], *, seconds: float = 30.0
) -> T: ...
@overload
async def until(what: str | Callable[[], str], condition: Callable[[], T | None], *, seconds: float = 30.0) -> T: ...
async def until(what: str | Callable[[], str], condition: Callable[[], Any], *, seconds: float = 30.0) -> Any:
    """`wait_until` within a loop, which goes on meanwhile; the condition may be a coroutine function."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        found = await answer if inspect.isawaitable(answer) else answer
        if found:
            return found
        _check_time_left(what, end, seconds)
        await asyncio.sleep(PAUSE_SECONDS)


def _check_time_left(what: str | Callable[[], str], end: float, seconds: float) -> None:
    if time.monotonic() > end:
        raise AssertionError(f"not within {seconds:g} s: {what if isinstance(what, str) else what()}")
