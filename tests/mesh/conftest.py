"""The ingress as it is shipped, for those who ask for it; and a failing test of this tier says what its Envoys said."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.mesh.ingress import Ingress
from tests.mesh.rostrum import rostrum, shipped
from tests.support.mesh import RUNNING


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    report = yield
    if report.failed:
        for mesh in RUNNING:
            report.sections += [(f"Envoy of {name}", text) for name, text in mesh.logs() if text]
    return report


@pytest.fixture(scope="module")
def running_ingress(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingress]:
    with rostrum(shipped(), tmp_path_factory.mktemp("tokens")) as (mesh, tokens):
        yield Ingress(mesh, tokens)


@pytest.fixture
def ingress(running_ingress: Ingress) -> Ingress:
    """The ingress, and apps that have seen nothing and answer with empty messages."""
    running_ingress.mesh.script.clear()
    running_ingress.mesh.script.answers.clear()
    return replace(running_ingress, probe=uuid.uuid4().hex)
