"""A failing test of this tier says what its Envoys said."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from tests.support.mesh import RUNNING


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    report = yield
    if report.failed:
        for mesh in RUNNING:
            report.sections += [(f"Envoy of {name}", text) for name, text in mesh.logs() if text]
    return report
