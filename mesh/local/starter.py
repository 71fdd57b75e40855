"""Which command started what runs in a home, and is to stop it: HOME/run/starter.json, for the commands after it.

A command that was killed has stopped nothing; the next one finds its file, and no process of its mark. One that leaves
what it started running on purpose removes the file. Called by mesh.local.client alone.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from mesh.local.errors import disk_errors
from mesh.local.processes import Mark


def note_starter(home: Path) -> None:
    """Says that this process is to stop what runs in the home. Raises LocalError."""
    mark = Mark.of(os.getpid())
    assert mark is not None  # noqa: S101 - this process runs
    with disk_errors(home):
        _file(home).write_text(json.dumps({"pid": mark.pid, "start_ticks": mark.start_ticks}), "utf-8")


def forget_starter(home: Path) -> None:
    """Says that what runs there is to go on. Idempotent."""
    with disk_errors(home):
        _file(home).unlink(missing_ok=True)


def killed_starter(home: Path) -> int:
    """The process that was to stop what runs there, if it is gone; else 0."""
    try:
        found = json.loads(_file(home).read_text("utf-8"))
        mark = Mark(int(found["pid"]), int(found["start_ticks"]))
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return 0 if mark.is_alive else mark.pid


def _file(home: Path) -> Path:
    return home / "run" / "starter.json"
