"""The fakes that the command's tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.cli.fake_world import Bench, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bench() -> Iterator[Bench]:
    with serving() as served:
        yield served
