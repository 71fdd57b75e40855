"""istio/scenarios, applied to a running Rostrum as their heads say: what a user sees, and that it is undone."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.system import ROOT, System
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(180)
SECONDS = 20


def get(system: System, path: str) -> tuple[int, Any, float]:
    """What the ingress answers to GET: status, JSON or text, seconds."""
    url = f"http://{system.runner.ingress}{path}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {system.runner.token()}"})
    began = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    seconds = time.monotonic() - began
    return status, json.loads(body) if body.startswith(b"{") else body.decode(), seconds


def command(system: System, *arguments: str) -> None:
    done = system.rostrum(*arguments, timeout=120)
    assert done.returncode == 0, done.stderr


@contextmanager
def applied(system: System, scenario: str, undo: tuple[str, str]) -> Iterator[None]:
    """The scenario active, and undone as its head says."""
    command(system, "apply", "-f", f"istio/scenarios/{scenario}")
    try:
        yield
    finally:
        command(system, undo[0], "-f", undo[1])


def test_each_scenario_is_tried() -> None:
    """A scenario without a test of this file is named."""
    shipped = {folder.name for folder in (ROOT / "istio" / "scenarios").iterdir()}
    assert {name.removeprefix("test_") for name in globals() if name.removeprefix("test_") in shipped} == shipped


def test_delay(system: System) -> None:
    """Reads of team-b take 2 s, those of team-a do not; a debate goes on as before."""
    with applied(system, "delay", ("apply", "istio/services/team-b")):
        status, _, seconds = get(system, "/v1/agents/team-b")
        assert (status, seconds >= 2) == (200, True)
        assert get(system, "/v1/agents/team-a")[2] < 2
        system.wait_for_end(system.create("Delays do not matter", rounds=1))
    assert get(system, "/v1/agents/team-b")[2] < 2


def test_abort(system: System) -> None:
    """Reads of team-b fail with 503 before team-b hears of them; those of team-a do not."""
    with applied(system, "abort", ("apply", "istio/services/team-b")):
        assert get(system, "/v1/agents/team-b")[0] == 503
        assert get(system, "/v1/agents/team-a")[0] == 200
    assert get(system, "/v1/agents/team-b")[0] == 200


def test_deny(system: System) -> None:
    """team-b takes no call from the ingress, team-a does, and team-b still debates."""
    with applied(system, "deny", ("delete", "istio/scenarios/deny")):
        status, body, _ = get(system, "/v1/agents/team-b")
        assert (status, "RBAC: access denied" in str(body)) == (403, True)
        outcome = system.rostrum("history", "team-b")
        assert outcome.returncode == 1
        assert "the mesh's policies refuse this call (PERMISSION_DENIED: RBAC: access denied): `" in outcome.stderr
        assert "rostrum get AuthorizationPolicy` shows which there are" in outcome.stderr
        assert get(system, "/v1/agents/team-a")[0] == 200
        system.wait_for_end(system.create("One door is closed", rounds=1))
    assert get(system, "/v1/agents/team-b")[0] == 200


def test_canary(system: System) -> None:
    """Reads of team-a reach both versions, as long as the second one runs, and no call fails meanwhile."""
    undo = ("delete", "istio/scenarios/canary/version.yaml")
    with applied(system, "canary", undo):
        assert "team-a-v2-0" in system.pods()
        seen = {get(system, "/v1/agents/team-a")[1]["description"] for _ in range(60)}
        assert len(seen) == 2
        assert "team-a, version 2" in seen
        command(system, "apply", "-f", "istio/services/team-a")
    assert "team-a-v2-0" not in system.pods()
    assert get(system, "/v1/agents/team-a")[1]["description"] != "team-a, version 2"


def test_mirror(system: System) -> None:
    """Each read of team-a is sent to the second version too, whose sidecar counts it; only the first one answers."""
    command(system, "apply", "-f", "istio/scenarios/canary/version.yaml")
    try:
        with applied(system, "mirror", ("apply", "istio/services/team-a")):
            for _ in range(5):
                assert get(system, "/v1/agents/team-a")[1]["description"] != "team-a, version 2"
            log = Path(system.pods()["team-a-v2-0"].sidecar.log_file)
            wait_until("five calls in the second version's access log", lambda: mirrored(log) >= 5, seconds=15)
    finally:
        command(system, "delete", "-f", "istio/scenarios/canary/version.yaml")


def mirrored(log: Path) -> int:
    return sum("/v1/agents/team-a" in line for line in log.read_text("utf-8").splitlines())


def test_outlier(system: System) -> None:
    """With one of two replicas of team-b stopped, reads are answered at once after the first few."""
    system.scale("team-b", 2)
    try:
        with applied(system, "outlier", ("apply", "istio/services/team-b")):
            pid = system.pid("team-b-1")
            os.kill(pid, signal.SIGSTOP)
            try:
                wait_until("five quick answers in a row", lambda: five_quick(system), seconds=60)
            finally:
                os.kill(pid, signal.SIGCONT)
    finally:
        system.scale("team-b", 1)


def five_quick(system: System) -> bool:
    answers = [get(system, "/v1/agents/team-b") for _ in range(5)]
    return all(status == 200 and seconds < 1 for status, _, seconds in answers)


def test_a_resource_that_is_wrong_changes_nothing(system: System, tmp_path: Path) -> None:
    """One wrong document among right ones: one line that names file, document and field; all is as before."""
    right = (ROOT / "istio" / "scenarios" / "abort" / "traffic.yaml").read_text("utf-8")
    (tmp_path / "wrong.yaml").write_text(
        f"{right}\n---\n{right.replace('team-b-ingress', 'x').replace('http:', 'htp:')}"
    )
    done = system.rostrum("apply", "-f", str(tmp_path))
    assert done.returncode == 2
    assert "wrong.yaml" in done.stderr
    assert "spec.htp: is not translated, or no such field" in done.stderr
    assert get(system, "/v1/agents/team-b")[0] == 200


def test_what_was_applied_survives_a_restart(tmp_path: Path) -> None:
    """A policy that was applied is active after `rostrum down` and `up`, as it would be on a cluster."""
    system = System.start(tmp_path, scripted={})
    try:
        command(system, "apply", "-f", "istio/scenarios/deny")
        command(system, "down")
        command(system, "up", "--detach", "--model", "openai:scripted")
        assert get(system, "/v1/agents/team-b")[0] == 403
    finally:
        system.stop()
