"""The moderator's timers with a store or a debate that fails: they never end, and one debate never stops the others."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from mesh.errors import StoreUnavailableError
from mesh.retries import Backoff
from mesh.testing.clock import FakeClock
from services.moderator.logic import moderator as moderator_module
from services.moderator.logic.moderator import Moderator
from services.moderator.logic.watching import Wakeups
from services.moderator.model.debate import Step
from services.moderator.telemetry import DebateTraces
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

DUE = (("broken", Step.FLOOR), ("sound", Step.CLOSE))


class BrokenStore:
    """A store with two debates that are due, of which one cannot be read."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        """Of `list_due`."""
        self.reads: list[str] = []
        self.claims: list[str] = []

    async def list_due(self, _now_us: int, _limit: int) -> Sequence[tuple[str, Step]]:
        if self.error is not None:
            raise self.error
        return DUE

    async def get(self, debate_id: str) -> Any:
        self.reads.append(debate_id)
        raise ValueError("an event of another version")

    async def list_owned(self, _owner: str) -> Sequence[str]:
        return ("broken", "sound")

    async def change(self, debate_id: str, _decide: object) -> None:
        if debate_id == "broken":
            raise ValueError("an event of another version")
        self.claims.append(debate_id)

    async def count_events(self, _ids: Sequence[str]) -> Mapping[str, int]:
        return {}


class NoSteps:
    """Leased steps that are never under way."""

    def has(self, _debate_id: str) -> bool:
        return False

    async def renew_leases(self) -> None:
        return


async def _exists(_agent: str) -> bool:
    return True


def make(store: BrokenStore, clock: FakeClock) -> Moderator:
    return Moderator(
        store=store,  # type: ignore[arg-type]
        steps=NoSteps(),  # type: ignore[arg-type]
        wakeups=Wakeups(store.count_events),
        observer=DebateTraces(),
        clock=clock,
        agent_exists=_exists,
        default_seats=(),
        pod="moderator-0",
    )


@contextlib.asynccontextmanager
async def running(moderator: Moderator) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(moderator.run_timers())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_debate_that_cannot_be_seen_to_holds_up_no_other() -> None:
    """It is tried ever more rarely, while the other one is seen to at each look."""
    store, clock = BrokenStore(), FakeClock()
    moderator = make(store, clock)
    for _ in range(5):
        await moderator.fire_due()
    assert (store.reads, store.claims) == (["broken"], ["sound"] * 5)
    clock.advance(0.6)
    await moderator.fire_due()
    await moderator.fire_due()
    clock.advance(0.6)
    await moderator.fire_due()
    assert store.reads == ["broken"] * 2
    clock.advance(0.5)
    await moderator.fire_due()
    assert store.reads == ["broken"] * 3
    assert await moderator.trouble() == ""


@pytest.mark.parametrize("error", [StoreUnavailableError("full", store="moderator"), TypeError("a fault of ours")])
async def test_timers_go_on_after_any_error_and_say_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """They back off, say after a few failures why deadlines are not seen to, and see to them once it works again."""
    monkeypatch.setattr(moderator_module, "BACKOFF", Backoff(0.01, 0.02))
    store = BrokenStore()
    moderator = make(store, FakeClock())
    store.error = error
    async with running(moderator) as task:

        async def is_in_trouble() -> bool:
            return bool(await moderator.trouble())

        await until("the trouble", is_in_trouble)
        assert "deadlines are not seen to" in await moderator.trouble()
        store.error = None
        await until("a debate that is seen to", lambda: bool(store.claims))
        assert not task.done()
    assert await moderator.trouble() == ""


async def test_a_debate_that_cannot_be_taken_up_ends_no_start() -> None:
    """The others are taken up, and the process serves."""
    store = BrokenStore()
    await make(store, FakeClock()).recover()
    assert store.claims == ["sound"]
