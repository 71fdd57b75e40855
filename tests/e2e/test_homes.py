"""A whole Rostrum in folders of unusual names, called from a folder full of traps, under SIGKILL of its command.

One system, one story: the command that started it is killed, the next ones say so and work, and all that was ever
written is in the home.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mesh.cache
from tests.support.model_server import model_url
from tests.support.system import ROOT, System, scripted_manifests
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)

NAME = "Übung 日本, a\\b?c#d%20e {f} $g 'h' \"i\"\nj "
TRAPS = ("json", "kafka", "mesh", "services", "pip", "secrets", "sitecustomize")
"""Modules that a child would import in the place of the real ones, if it ran in the caller's folder."""


class Elsewhere(System):
    """A system that is called from a folder of its own, in a locale that is not UTF-8."""

    @property
    def environ(self) -> dict[str, str]:
        return {**super().environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LATIN": "caf\udce9"}

    @property
    def folder(self) -> Path:
        """Where it is called from."""
        return self.home.parent / "work"

    def popen(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Starts a command there."""
        nothing = subprocess.DEVNULL
        return subprocess.Popen(
            [*self.command, *arguments],
            env=self.environ,
            cwd=self.folder,
            stdin=nothing,
            stdout=nothing,
            stderr=nothing,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Runs a command there, to its end."""
        return subprocess.run(
            [*self.command, *arguments],
            env=self.environ,
            cwd=self.folder,
            capture_output=True,
            timeout=150,
            check=False,
        )


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Elsewhere]:
    folder = tmp_path / NAME
    (folder / "work").mkdir(parents=True)
    for trap in TRAPS:
        (folder / "work" / f"{trap}.py").write_text(f"raise RuntimeError('the {trap} of the callers folder')", "utf-8")
    (folder / "work" / "cache").symlink_to(mesh.cache.cache_folder(os.environ))
    system = Elsewhere(folder / "home")
    system.env = {
        "ROSTRUM_HOME": "../home", "ROSTRUM_CACHE": "cache", "OPENAI_BASE_URL": model_url(),
        "ROSTRUM_MANIFESTS": str(scripted_manifests(folder / "manifests", {"SCRIPTED_CALL_LOG": str(system.call_log)})),
    }  # fmt: skip
    yield system
    system.run("down")


def test_a_home_of_any_name_and_a_command_that_is_killed(system: Elsewhere) -> None:
    """All is in the home and nothing elsewhere; what a killed command left is said, used, and ended."""
    before = {path.name for path in system.folder.iterdir()}, _checkout()
    command = system.popen("up", "--model", "openai:scripted")
    wait_until("a start that is under way", (system.home / "logs" / "kafka-0.log").exists, seconds=90)
    command.send_signal(signal.SIGKILL)
    command.wait()

    held = system.run("debate", "Tea is better than coffee", "--rounds", "1", "--model", "openai:scripted")
    assert held.returncode == 0, held.stderr
    left = f"A command that was killed (process {command.pid}) had started this: 6 pods and the runner"
    assert left.encode() in held.stderr
    status = system.run("status")
    assert left.encode() in status.stderr
    assert b"down` stops them" in status.stderr

    pids = {pid for pod in system.pods().values() for pid in (pod.pid, pod.sidecar.pid) if pid}
    assert len(pids) == 10
    places = {Path(f"/proc/{pid}/cwd").readlink() for pid in pids}
    assert all(place.is_relative_to(system.home) for place in places), places
    stores = {path.relative_to(system.home).as_posix() for path in system.home.rglob("*.db")}
    assert stores == {"stores/moderator.db", "stores/team-a.db", "stores/team-b.db"}
    assert (system.home / "kafka" / "data" / "meta.properties").is_file()
    assert ({path.name for path in system.folder.iterdir()}, _checkout()) == before
    assert {path.name for path in system.home.parent.iterdir()} == {"home", "work", "manifests", "calls.jsonl"}

    assert system.run("down").returncode == 0
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    gone = system.run("status")
    assert gone.returncode == 3
    assert b"killed" not in gone.stderr


def _checkout() -> set[str]:
    """What is in the program's folder, where nothing may be made."""
    return {path.name for path in ROOT.iterdir()}
