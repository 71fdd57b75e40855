"""What holds for every test: its tier by its folder, the tiers' order, and Hypothesis's profile.

pytest-randomly shuffles the tests; the sort here keeps that order within a tier and puts the quick tiers first, so that
a run fails early. Fixtures that several tiers share live in tests/support.
"""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

pytest_plugins = ("tests.support.broker", "tests.support.embedded")

TESTS = Path(__file__).parent
TIERS = ("architecture", "unit", "contract", "manifests", "istiod", "integration", "mesh", "faults", "e2e")

# Examples are found by search at a desk and repeated exactly in CI, where a failure must mean the change under test.
hypothesis.settings.register_profile("desk", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "desk")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of async tests and fixtures: asyncio's, since grpc.aio knows no other. Each test has its own."""
    return "asyncio"


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
