"""The one istiod that the tests of this tier ask. Its build may take minutes, which count against no test."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mesh.istiod.building import is_built
from mesh.istiod.generator import running
from tests.support.istiod import needed_go

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mesh.istiod.generator import Istiod

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and "istiod" in getattr(item, "fixturenames", ()):
            # The build has a limit of its own; a stuck question is still ended by the test's.
            item.add_marker(pytest.mark.timeout(120, func_only=True))


@pytest.fixture(scope="session")
def istiod(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Istiod]:
    """istiod's generator, running for the whole session: `istiod.translate(files)`."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            sys.stderr.write(f"\nistiod: {line}\n")

    if not is_built():
        needed_go()
    with running(tmp_path_factory.mktemp("istiod"), say) as istiod:
        yield istiod
