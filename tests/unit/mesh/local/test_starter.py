"""Who started what runs, and whether that process is still there to stop it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mesh.local import lock
from mesh.local.starter import forget_starter, killed_starter, note_starter


@pytest.fixture
def home(tmp_path: Path) -> Path:
    lock.prepare(tmp_path)
    return tmp_path


def test_a_command_that_lives_was_not_killed(home: Path) -> None:
    """Nor is one that is known to have left it running."""
    assert killed_starter(home) == 0
    note_starter(home)
    assert killed_starter(home) == 0
    forget_starter(home)
    forget_starter(home)
    assert killed_starter(home) == 0


def test_a_command_that_was_killed_is_named(home: Path) -> None:
    """By its process, as it was noted."""
    script = f"import os, pathlib, mesh.local.starter as s; s.note_starter(pathlib.Path({str(home)!r}))"
    command = subprocess.Popen([sys.executable, "-c", f"{script}; os.kill(os.getpid(), 9)"])
    command.wait(30)
    assert killed_starter(home) == command.pid


def test_a_stranger_with_its_pid_is_another_process(home: Path) -> None:
    """The kernel gives pids away again."""
    note_starter(home)
    file = home / "run" / "starter.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), "start_ticks": 1}), "utf-8")
    assert killed_starter(home) == os.getpid()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "\0"])
def test_a_damaged_file_says_nothing(text: str, home: Path) -> None:
    """It is only for a line to people."""
    (home / "run" / "starter.json").write_text(text, "utf-8")
    assert killed_starter(home) == 0


def test_the_lock_names_its_holder(home: Path) -> None:
    """So that a runner that hangs can be killed."""
    assert lock.holder_of(home) == 0
    held = lock.take(home)
    try:
        assert lock.holder_of(home) == os.getpid()
    finally:
        os.close(held)
