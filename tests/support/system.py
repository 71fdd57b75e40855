"""A whole Rostrum for tests: `rostrum up --detach` in a home of its own, with real Kafka and the scripted model.

The manifests are k8s/base with one thing changed: the services' command is `tests.support.scripted_service`, so what
runs is what runs on a laptop but for the model. Tests talk to it as users do: the `rostrum` command and gRPC.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).resolve().parents[2]
SCRIPTED = ("moderator", "team-a", "team-b")


def scripted_manifests(target: Path, env: Mapping[str, str]) -> Path:
    """Copies k8s/base to `target` with the services' commands replaced; `env` is added to their containers."""
    shutil.copytree(ROOT / "k8s" / "base", target)
    for path in sorted(target.rglob("*.yaml")):
        documents = [document for document in yaml.safe_load_all(path.read_text("utf-8")) if document]
        for document in documents:
            if document.get("kind") == "Deployment" and document["metadata"]["name"] in SCRIPTED:
                container = document["spec"]["template"]["spec"]["containers"][0]
                service = container["command"][-1].rsplit(".", 1)[-1]
                container["command"] = ["python", "-m", "tests.support.scripted_service", service]
                container.setdefault("env", []).extend({"name": k, "value": v} for k, v in env.items())
        path.write_text(yaml.safe_dump_all(documents, sort_keys=False), "utf-8")
    return target


def wait_until(what: str, check: Callable[[], bool], *, seconds: float) -> None:
    """Returns when `check` is true; fails the test with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


@dataclass
class System:
    """A running Rostrum and the commands to use it."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)

    @classmethod
    def start(
        cls, folder: Path, *, scripted: Mapping[str, str] | None = None, model: str = "openai:scripted"
    ) -> System:
        """Starts it below `folder`; with `scripted` (variables of scripted_service) no real model runs."""
        system = cls(folder / "home", {"ROSTRUM_HOME": str(folder / "home")})
        if scripted is not None:
            calls = {"SCRIPTED_CALL_LOG": str(folder / "calls.jsonl"), **scripted}
            system.env["ROSTRUM_MANIFESTS"] = str(scripted_manifests(folder / "manifests", calls))
            system.env["OPENAI_BASE_URL"] = "http://127.0.0.1:9/v1"  # never dialled: the scripted model answers
        up = system.rostrum("up", "--detach", "--model", model, timeout=120)
        assert up.returncode == 0, up.stderr + up.stdout
        return system

    def rostrum(
        self, *arguments: str, timeout: float = 60, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs the `rostrum` command as a user would and returns what it printed."""
        return subprocess.run(
            [str(Path(sys.executable).with_name("rostrum")), *arguments],
            env={**os.environ, **self.env}, cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=timeout,
            check=False,
        )  # fmt: skip

    def json(self, *arguments: str) -> Any:
        """Runs a command with --json and returns what it printed; fails the test if the command fails."""
        result = self.rostrum(*arguments, "--json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def pod(self, name: str) -> dict[str, Any]:
        """The pod of that name as `rostrum status --json` shows it."""
        pods = cast("list[dict[str, Any]]", self.json("status")["pods"])
        return next(pod for pod in pods if pod["name"] == name)

    def kill(self, name: str, *, expect_new: bool = True) -> None:
        """Ends one pod with SIGKILL and waits until the runner has started another process for it."""
        before = int(self.pod(name)["pid"])
        os.kill(before, signal.SIGKILL)
        if expect_new:
            wait_until(f"a new process for {name}", lambda: self.pod(name)["pid"] not in {0, before}, seconds=30)

    def calls(self, folder: Path) -> Counter[str]:
        """Model calls so far by purpose and place, from the scripted model's log."""
        lines = (folder / "calls.jsonl").read_text("utf-8").splitlines()
        return Counter(json.dumps(json.loads(line), sort_keys=True) for line in lines)

    def stop(self) -> None:
        """Ends all of it; fails the test if something is left running."""
        pids = [int(pod["pid"]) for pod in self.json("status")["pods"] if pod["pid"]]
        down = self.rostrum("down")
        assert down.returncode == 0, down.stderr
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
