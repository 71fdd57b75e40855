"""The README's examples of the mesh, run as they stand against a running Rostrum, but for the port of its ingress."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.grpcurl import grpcurl
from tests.support.requires import require_command
from tests.support.system import ROOT

if TYPE_CHECKING:
    from tests.support.system import System

pytestmark = pytest.mark.timeout(180)

SECTION = (ROOT / "README.md").read_text("utf-8").split("## The mesh")[1].split("\n## ")[0]
EXAMPLES: list[tuple[str, str]] = re.findall(r"^```(sh|python)\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)


def example(needle: str) -> str:
    """The one example that has these words."""
    (found,) = [text for _, text in EXAMPLES if needle in text]
    return found


def run(system: System, language: str, text: str, *, path: Path | None = None) -> str:
    """What an example printed; it must not fail, nor may any of its lines."""
    text = text.replace("127.0.0.1:8080", system.runner.ingress).replace(".venv/bin/rostrum", system.command[0])
    shell = ["bash", "-euo", "pipefail", "-c", text]
    folders = [*([str(path)] if path else []), os.environ["PATH"]]
    done = subprocess.run(
        [sys.executable, "-c", text] if language == "python" else shell,
        cwd=ROOT, env={**system.environ, "PATH": ":".join(folders)}, capture_output=True, text=True, timeout=150,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def ended(system: System) -> str:
    """There is a debate to read before the first example."""
    return system.wait_for_end(system.create("The examples are run", rounds=1)).name


def test_there_are_no_others() -> None:
    """Each example is run by a test of this file."""
    assert len(EXAMPLES) == 4


def test_rest(system: System) -> None:
    """curl starts a debate, lists, follows it by server-sent events to its end, and reads its turns.

    A turn that is watched when it is over is committed at once.
    """
    require_command("curl")
    said = run(system, "sh", example("curl -s"))
    assert '"topic":"Tea is better than coffee"' in said
    assert '"name":"agents/team-a"' in said
    events = re.findall(r'data: \{"number":(\d+)', said)
    assert [int(number) for number in events] == list(range(1, len(events) + 1))
    assert '"debate_ended"' in said
    assert '"committed":{"turn_number":1' in said
    assert said.rstrip().endswith("}")


def test_grpcurl(system: System) -> None:
    """grpcurl lists the services by reflection, calls the moderator and an agent, and asks for health."""
    said = run(system, "sh", example("grpcurl"), path=grpcurl().parent)
    assert "rostrum.debate.v1.DebateService" in said
    assert "The examples are run" in said
    assert '"name": "agents/team-a"' in said
    assert '"status": "SERVING"' in said


def test_stubs(system: System, ended: str) -> None:
    """The generated stubs reach the moderator with a token."""
    assert f"{ended} The examples are run" in run(system, "python", example("import grpc"))


def test_apply(system: System) -> None:
    """What would change, the change, what is active, and the way back."""
    said = run(system, "sh", example("rostrum apply"))
    assert "+" in said
    assert "virtualservice/team-b-ingress configured" in said
    assert re.search(r"^VirtualService +rostrum +team-b-ingress +\S.* applied", said, re.MULTILINE)
