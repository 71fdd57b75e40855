"""What an agent is writing for its floors right now, in this process's memory: never stored, never the record.

A draft holds its newest text and no queue: each watcher compares it with what it has sent, so a slow one skips to the
newest and nobody makes the speaker wait. With nobody watching, showing a text is an assignment. Callers: `floors`
opens drafts, `watching` reads them.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mesh.agent.model import DraftCommitted, DraftWithdrawn, Withdrawal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mesh.agent.model import Floor

WAKE_SECONDS = 0.05
"""From a change of the text until watchers are woken, who then get all that came meanwhile at once."""
MAX_DRAFT_CHARACTERS = 20_000
"""Of a text that is shown; what is longer is no turn of any conversation, and its rest is left out."""


class FloorDraft:
    """The text so far for one floor. Implements mesh.agent.ports.Draft. Used on one event loop."""

    __slots__ = ("_render", "_text", "_timer", "_waiting", "end", "floor", "try_number", "version")

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.version = 0
        """One more for each text that was shown."""
        self.try_number = 1
        """One more each time that a text was thrown away and another one begins."""
        self.end: DraftCommitted | DraftWithdrawn | None = None
        self._text = ""
        self._render: Callable[[str], str] | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def show(self, text: str, render: Callable[[str], str] | None = None) -> None:
        """See mesh.agent.ports.Draft."""
        if self._text and not text:
            self.try_number += 1
        self.version += 1
        self._text, self._render = text, render
        if self._waiting:
            self._wake_soon()

    def read(self) -> str:
        """Returns what is to be seen of the newest text; empty if that is nothing yet."""
        text = self._text if self._render is None else self._render(self._text)
        return text[:MAX_DRAFT_CHARACTERS]

    def commit(self, text: str) -> None:
        """Notifies watchers that the turn is stored; nothing after the first end."""
        self._close(DraftCommitted(self.floor.turn_number, text))

    def withdraw(self, reason: Withdrawal) -> None:
        """Notifies watchers that there will be no turn of this work; nothing after the first end."""
        self._close(DraftWithdrawn(self.floor.turn_number, reason))

    async def wait(self, version: int) -> None:
        """Returns soon after there is another version, or at once when the draft has ended."""
        if self.end is not None:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        if self.version != version:
            self._wake_soon()
        try:
            await future
        finally:
            self._waiting.discard(future)

    def _close(self, end: DraftCommitted | DraftWithdrawn) -> None:
        if self.end is None:
            self.end = end
            self._wake()

    def _wake_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WAKE_SECONDS, self._wake)

    def _wake(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for future in self._waiting:
            if not future.done():
                future.set_result(None)


class Drafts:
    """The drafts of one agent that are being written now, one a conversation. Used on one event loop."""

    def __init__(self) -> None:
        self._open: dict[str, FloorDraft] = {}
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        """Conversation -> those who wait for a draft of it."""

    @contextmanager
    def open(self, floor: Floor) -> Iterator[FloorDraft]:
        """Inside, the floor's draft can be found. One that has no end when it is left is withdrawn."""
        draft = self._open[floor.conversation] = FloorDraft(floor)
        for future in self._waiting.get(floor.conversation, ()):
            if not future.done():
                future.set_result(None)
        try:
            yield draft
        except Exception:
            draft.withdraw(Withdrawal.FAILED)
            raise
        finally:
            draft.withdraw(Withdrawal.INTERRUPTED)
            if self._open.get(floor.conversation) is draft:
                del self._open[floor.conversation]

    def find(self, conversation: str) -> FloorDraft | None:
        """Returns the newest draft of this conversation that is being written in this process, or None."""
        return self._open.get(conversation)

    async def wait(self, conversation: str, timeout_seconds: float) -> None:
        """Returns when a draft of this conversation is opened, or after that time."""
        future = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(conversation, set())
        waiting.add(future)
        try:
            await asyncio.wait([future], timeout=timeout_seconds)
        finally:
            waiting.discard(future)
            if not waiting and self._waiting.get(conversation) is waiting:
                del self._waiting[conversation]
