"""The local runner with real Kafka, and pods that only answer health checks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rostrum.local.v1 import runner_pb2

from mesh.local.client import ROOT, LocalRunner
from mesh.local.errors import AlreadyRunningError, StartupError
from mesh.local.processes import Mark
from mesh.manifests import ManifestError
from tests.support.waiting import until

PODS = {"kafka-0", "moderator-0", "team-a-0", "team-b-0", "embeddings-0", "ingress-0"}
SERVED = json.dumps(["env", f"PYTHONPATH={ROOT}", "python", "-m", "tests.support.health_only"])


def _manifests(target: Path, command: str = SERVED) -> Path:
    shutil.copytree(ROOT / "istio", target / "istio")
    shutil.copytree(ROOT / "k8s" / "base", target / "k8s" / "base")
    for path in (target / "k8s" / "base").iterdir():
        text = path.read_text("utf-8")
        for service in ("services.moderator", "services.debater", "mesh.llm.embedded.embedding_server"):
            text = text.replace(f'["python", "-m", "{service}"]', command)
        path.write_text(text.replace("httpGet: {path: /health, port: http}", "grpc: {port: 8081}"), "utf-8")
    return target


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[LocalRunner]:
    environ = {**os.environ, "ROSTRUM_MANIFESTS": str(_manifests(tmp_path / "manifests"))}
    runner = LocalRunner(tmp_path / "home", environ)
    yield runner
    await runner.stop()


def _quiet(_step: str) -> None: ...


async def test_up_scale_restart_down(runner: LocalRunner) -> None:
    """All pods come up at addresses of their own; a killed one is started again; scaling shows; down leaves nothing."""
    status = await runner.start("openai:none", _quiet)
    assert status.ready
    assert {pod.name for pod in status.pods} == PODS
    with pytest.raises(AlreadyRunningError):
        await runner.start("openai:none", _quiet)
    status = await runner.scale("team-a", 2)
    assert [pod.ready for pod in status.pods if pod.deployment == "team-a"] == [True, True]
    before = next(pod.pid for pod in status.pods if pod.name == "team-b-0")
    os.kill(before, signal.SIGKILL)

    async def restarted() -> tuple[runner_pb2.Status, runner_pb2.Pod] | None:
        now = await runner.status()
        assert now is not None
        pod = next(pod for pod in now.pods if pod.name == "team-b-0")
        return (now, pod) if pod.ready and pod.pid != before else None

    now, pod = await until("a new process for team-b-0", restarted, seconds=60)
    assert pod.restarts == 1
    assert await runner.stop()
    assert await runner.status() is None
    pids = [pid for pod in now.pods for pid in (pod.pid, pod.sidecar.pid)]
    assert [pid for pid in pids if pid and Mark.of(pid)] == []


async def test_killed_runner_leaves_nothing_and_up_works_again(runner: LocalRunner) -> None:
    """SIGKILL of the runner ends its pods and broker, and the next `up` in that home succeeds."""
    status = await runner.start("openai:none", _quiet)
    marks = [Mark.of(pid) for pod in status.pods for pid in (pod.pid, pod.sidecar.pid) if pid]
    os.kill(status.pid, signal.SIGKILL)
    await until("the end of its processes", lambda: not any(mark is not None and mark.is_alive for mark in marks))
    assert (await runner.start("openai:none", _quiet)).ready


async def test_pod_that_cannot_start_is_named(tmp_path: Path) -> None:
    """A pod that ends at once fails the start with its last log line, and nothing is left."""
    folder = _manifests(tmp_path / "manifests", f'["{sys.executable}", "-c", "raise SystemExit(\'no such luck\')"]')
    runner = LocalRunner(tmp_path / "home", {**os.environ, "ROSTRUM_MANIFESTS": str(folder)})
    with pytest.raises(StartupError, match=r"does not come up: no such luck"):
        await runner.start("openai:none", _quiet)
    assert await runner.status() is None


async def test_a_broken_manifest_starts_nothing(tmp_path: Path) -> None:
    """A mistake in any manifest of the mesh is one line with its file and what to do, and no process was started."""
    folder = _manifests(tmp_path / "manifests")
    file = folder / "istio" / "services" / "moderator" / "traffic.yaml"
    file.write_text(file.read_text("utf-8").replace("perTryTimeout", "perTryTimout"), "utf-8")
    runner = LocalRunner(tmp_path / "home", {**os.environ, "ROSTRUM_MANIFESTS": str(folder)})
    steps: list[str] = []
    with pytest.raises(ManifestError, match=r"moderator/traffic.yaml document 2 .*perTryTimout.*: correct") as caught:
        await runner.start("openai:none", steps.append)
    assert "\n" not in str(caught.value)
    assert steps == []
    assert sorted(path.name for path in (tmp_path / "home" / "logs").iterdir()) == ["runner.log"]
