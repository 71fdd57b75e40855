"""A home on a disk without room, as a tmpfs of a few pages."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.model_server import model_url
from tests.support.requires import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    require(mounted.returncode == 0, "the right to mount a tmpfs")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk_is_one_line_and_leaves_nothing(small_disk: Path) -> None:
    """`rostrum up` says that the disk is full and what to do, exits with 1, and ends all that it had started."""
    up = subprocess.run(
        [sys.executable, "-m", "services.cli", "up", "--detach", "--model", "openai:x"],
        env={**os.environ, "ROSTRUM_HOME": str(small_disk / "home"), "OPENAI_BASE_URL": model_url()},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert up.returncode == 1
    last = up.stderr.strip().splitlines()[-1]
    assert last.startswith(("rostrum: The disk of ", "rostrum: No room left in "))
    assert ": free some space there" in last
    assert "Traceback" not in up.stderr
