"""What holds for every test: its tier by its folder, the tiers' order, and Hypothesis's profile.

pytest-randomly shuffles the tests; the sort here keeps that order within a tier and puts the quick tiers first, so that
a run fails early. Fixtures that several tiers share live in tests/support.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

pytest_plugins = ("tests.support.broker", "tests.support.embedded")

TESTS = Path(__file__).parent
TIERS = ("architecture", "unit", "contract", "manifests", "istiod", "integration", "mesh", "faults", "e2e")

# Examples are found by search at a desk and repeated exactly in CI, where a failure must mean the change under test.
hypothesis.settings.register_profile("desk", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "desk")


class _Loop(asyncio.SelectorEventLoop):
    """A test's own loop, to which a late call from elsewhere is nothing once the test is over.

    grpc.aio has one queue of completions for all loops of a process: the loop of the next test takes from it what a
    channel or server of an earlier test still completes, and hands it to that test's loop, which is closed. The error
    would be the next test's, and the rest of the queue would stay where it is.
    """

    def call_soon_threadsafe(  # type: ignore[override]  # its types are those of its base
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        if not self.is_closed():
            return super().call_soon_threadsafe(callback, *args, context=context)
        late = asyncio.Handle(callback, args, self, context)
        late.cancel()
        return late


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """The event loop of async tests and fixtures: asyncio's, since grpc.aio knows no other. Each test has its own."""
    return "asyncio", {"loop_factory": _Loop}


def pytest_configure(config: pytest.Config) -> None:
    for tier in TIERS:
        config.addinivalue_line("markers", f"{tier}: test of tests/{tier}")


def pytest_itemcollected(item: pytest.Item) -> None:
    tier = _tier(item)
    if tier in TIERS:
        item.add_marker(tier)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: TIERS.index(_tier(item)) if _tier(item) in TIERS else len(TIERS))


def _tier(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
