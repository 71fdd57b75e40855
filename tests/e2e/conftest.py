"""The system that the end-to-end tests share: every command and every RPC meets the same running Rostrum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.system import System

if TYPE_CHECKING:
    from collections.abc import Iterator

AGENTS = {"sleepy": {"SCRIPTED_ANSWER": "slow"}, "broken": {"SCRIPTED_ANSWER": "error"}}
"""An agent that never answers in time, so that its debates run until somebody ends them, and one without a model."""

FOLDER = "Übung 日本, a\\b?c#d%20e"
"""Each of these characters means something to a format that a home's path goes through."""


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A detached Rostrum with the scripted model, and agents `sleepy` and `broken`, in a home of an unusual name."""
    with System.running(tmp_path_factory.mktemp("e2e") / FOLDER, agents=AGENTS) as system:
        yield system
