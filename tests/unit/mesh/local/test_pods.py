"""Pods that do not come up, or do not stay up: what is said of them, and how often they are started again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from mesh.local import pods
from mesh.local.pods import Pod, PodSpec, failed_start
from mesh.retries import Backoff
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods, "BACKOFF", Backoff(0.02, 0.2))


def make_pod(folder: Path, *command: str, log: str = "pod.log") -> Pod:
    return Pod(PodSpec("team-x", 0, "127.0.0.1", (1,), command, {}, folder, folder / log))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; print('the port is taken', file=sys.stderr); sys.exit(3)", "ended with 3: the port is taken"),
        ("import os; os.kill(os.getpid(), 9)", "was ended by SIGKILL"),
        ("", "ended with 0"),
    ],
)
async def test_a_pod_that_crashes_at_each_start_backs_off_and_says_why(tmp_path: Path, code: str, words: str) -> None:
    """It is not ready; its message says how it ended, how often in a row, and when it is started next."""
    messages: list[str] = []
    pod = make_pod(tmp_path, sys.executable, "-c", code)
    pod._changed = lambda: messages.append(pod.message)
    pod.start()
    await until("four ends", lambda: any("4 times in a row" in message for message in messages))
    await pod.stop()
    assert not pod.ready
    ends = [message for message in messages if "starting again in" in message]
    assert ends[0].startswith(words)
    assert "in a row" not in ends[0]
    assert f"{words}, 4 times in a row; starting again in 0.2 s" in ends
    assert pod.message == "stopped"


@pytest.mark.parametrize("command", [("/no/such/program",), ("/",)])
async def test_a_pod_whose_program_cannot_be_run_says_so(tmp_path: Path, command: tuple[str, ...]) -> None:
    """It is tried again like one that crashes, and its task does not end in silence."""
    pod = make_pod(tmp_path, *command)
    pod.start()
    await until("two failures", lambda: "2 times in a row" in pod.message)
    assert "cannot be started" in pod.message
    await pod.stop()


async def test_a_pod_without_a_place_for_its_log_says_so(tmp_path: Path) -> None:
    """A log that cannot be opened is a reason as well."""
    pod = make_pod(tmp_path, sys.executable, log="missing/pod.log")
    pod.start()
    await until("two failures", lambda: "2 times in a row" in pod.message)
    assert "cannot be started" in pod.message
    await pod.stop()


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise SystemExit('the port is taken')", "the port is taken"),
        ("x = {}['the key']", "KeyError: 'the key'"),
        ("import os; os.kill(os.getpid(), 9)", "it was ended by SIGKILL"),
        ("", "it ended with 0"),
    ],
)
async def test_a_start_that_fails_says_the_cause_and_what_to_do(tmp_path: Path, code: str, why: str) -> None:
    """Of this start: what an earlier one left in the log is not its cause. The advice of the pod is added."""
    log = tmp_path / "pod.log"
    log.write_text("ValueError: of yesterday\n", "utf-8")
    command = (sys.executable, "-c", code)
    pod = Pod(PodSpec("team-x", 0, "127.0.0.1", (1,), command, {}, tmp_path, log, advice="move it away"))
    pod.start()
    await until("three restarts", lambda: pod.restarts >= 3)
    error = failed_start(pod)
    await pod.stop()
    assert str(error) == f"team-x-0 does not come up: {why} (see {log}): move it away."


async def test_a_program_that_is_missing_is_no_full_disk(tmp_path: Path) -> None:
    """It is named, and nothing is said of writing."""
    pod = make_pod(tmp_path, "/no/such/program")
    pod.start()
    await until("three restarts", lambda: pod.restarts >= 3)
    error = failed_start(pod)
    await pod.stop()
    assert "it cannot be started" in str(error)
    assert "/no/such/program" in str(error)
    assert "write" not in str(error)
