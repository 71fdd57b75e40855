"""Holds the debates, by the commands that people use, in a home of its own: one start, debates one after another.

Each debate's record is kept as it ends, as `rostrum show --json` gives it, so that a run that was stopped goes on, and
what was held can be judged again without holding it again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.quality.motions import Motion

PROGRAM = str(Path(sys.executable).with_name("rostrum"))

TURN_SECONDS = 600
"""The most that a debate's settings allow: what is measured is what a model says, and not how fast this machine is."""

DEBATE_SECONDS = 3600.0
"""No debate of a few rounds takes longer, on a machine where others compute too."""


def hold_debates(motions: Sequence[Motion], folder: Path, model: str, rounds: int) -> None:
    """Holds the debates whose records are not in the folder. Raises RuntimeError with what the command said."""
    missing = [motion for motion in motions if not record_path(folder, motion).exists()]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with _system(folder / "home", model) as environ:
        for number, motion in enumerate(missing, 1):
            _report(f"{number} of {len(missing)}: {motion.topic}")
            start = time.monotonic()
            record = _hold(motion, rounds, environ)
            record["seconds"] = round(time.monotonic() - start, 1)
            path = record_path(folder, motion)
            written = path.with_suffix(".part")
            written.write_text(json.dumps(record, ensure_ascii=False, indent=1), "utf-8")
            written.rename(path)


def record_path(folder: Path, motion: Motion) -> Path:
    """Returns where the record of a motion's debate is kept."""
    return folder / f"{motion.id}.json"


def load_record(folder: Path, motion: Motion) -> Mapping[str, Any]:
    """Returns the record of a debate that was held."""
    record: Mapping[str, Any] = json.loads(record_path(folder, motion).read_text("utf-8"))
    return record


@contextmanager
def _system(home: Path, model: str) -> Iterator[Mapping[str, str]]:
    """Runs Rostrum in the home; gives the environment in which commands reach it."""
    environ = {**os.environ, "ROSTRUM_HOME": str(home)}
    _run(["up", "--detach", "--model", model], environ)
    try:
        yield environ
    finally:
        _run(["down"], environ)


def _hold(motion: Motion, rounds: int, environ: Mapping[str, str]) -> dict[str, Any]:
    """Holds one debate; a debate that ends early, or in which nobody speaks, has its record too."""
    options = ["--json", "--rounds", str(rounds), "--turn-seconds", str(TURN_SECONDS)]
    done = _run(["debate", *options, "--", motion.topic], environ, check=False)
    events = [json.loads(line) for line in done.splitlines()]
    created = [event["debate_created"]["debate"]["name"] for event in events if "debate_created" in event]
    if not created:
        raise RuntimeError(f"rostrum debate {motion.topic!r} made no debate")
    found: dict[str, Any] = json.loads(_run(["show", "--json", created[0]], environ))
    return found


def _run(arguments: Sequence[str], environ: Mapping[str, str], *, check: bool = True) -> str:
    done = subprocess.run(
        [PROGRAM, *arguments], env=environ, capture_output=True, text=True, check=False, timeout=DEBATE_SECONDS
    )
    if check and done.returncode:
        raise RuntimeError(f"rostrum {' '.join(arguments)}: {done.stderr.strip()[-1000:]}")
    return done.stdout


def _report(line: str) -> None:
    sys.stderr.write(f"quality: {line}\n")
    sys.stderr.flush()
