"""That something has changed: one that says so, and any number that wait for it. Nothing is said of what it was."""

from __future__ import annotations

import asyncio


class Changes:
    """Used on one event loop. Who looks, and then waits without awaiting anything between, misses no change."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def notify(self) -> None:
        """Lets everybody go on who waits now."""
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self) -> None:
        """Returns after the next `notify`."""
        await self._next.wait()
