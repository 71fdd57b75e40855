"""Ends a call's work when the caller's deadline passes, with DEADLINE_EXCEEDED; a default bounds callers without one.

grpc.aio cancels a handler whose deadline passed; this raises the error a moment earlier, while there is still somebody
to notify, and gives unary calls without a deadline one.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from mesh.errors import DeadlineError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc.aio

DEFAULT_SECONDS = 300.0
"""For callers without a deadline: above the longest unary call, an Ask with its tries."""


@asynccontextmanager
async def bounded(_method: str, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
    """A concern of `wrapping`, for unary calls: a stream lasts as long as its caller wants."""
    remaining = context.time_remaining()
    seconds = DEFAULT_SECONDS if remaining is None else min(float(remaining), DEFAULT_SECONDS)
    try:
        async with asyncio.timeout(seconds) as bound:
            yield
    except TimeoutError:
        if not bound.expired():
            raise
        message = f"the call did not end within {seconds:.3g} s; give it more time"
        raise DeadlineError(message) from None
