"""How a command ends by a signal, in each of its phases: with the documented code, and with nothing left running."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest
from rostrum.debate.v1 import debate_pb2

from tests.support.system import System
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = pytest.mark.timeout(180)

INTERRUPTED = 130
INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
SIGNALS = [(INT,), (TERM,), (HUP,), (INT, INT), (TERM, INT, TERM)]


@contextmanager
def started(system: System, *arguments: str, before: str = "") -> Iterator[subprocess.Popen[str]]:
    """Runs a command by a shell that becomes it, with shell words before; ends it if the test does not."""
    command = ["bash", "-c", f'{before} exec "$@"', "bash", *system.command, *arguments]
    with subprocess.Popen(
        command, env=system.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def read_until(stream: IO[str] | None, words: str) -> None:
    """Returns once a line has these words."""
    assert stream is not None
    if not any(words in line for line in stream):
        raise AssertionError(f"ended without {words!r}")


def send(process: subprocess.Popen[str], numbers: Sequence[signal.Signals]) -> str:
    """Sends the signals one after the other and returns what was written on stderr until the process ended."""
    for number in numbers:
        process.send_signal(number)
    return process.communicate(timeout=60)[1]


def processes_of(home: Path) -> list[str]:
    """Returns the command lines of all processes that were started for a home."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with suppress(OSError):
                words = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
                if str(home).encode() in words:
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def assert_ended(process: subprocess.Popen[str], errors: str) -> None:
    assert process.returncode == INTERRUPTED, errors
    for word in ("Traceback", "a fault of ours", "Exception ignored", "never retrieved"):
        assert word not in errors


@pytest.mark.parametrize("numbers", SIGNALS, ids=lambda numbers: "+".join(number.name for number in numbers))
def test_in_a_debate(system: System, numbers: Sequence[signal.Signals]) -> None:
    """The debate that the command holds is cancelled; what ran before goes on. Once or twice, by whichever signal."""
    topic = f"Interrupted by {len(numbers)} of {numbers[0].name}"
    with started(system, "debate", topic, "--agents", "sleepy=for,team-a=against") as process:
        read_until(process.stdout, "Round 1: ")
        errors = send(process, numbers)
    assert_ended(process, errors)
    debate = next(debate for debate in system.json("list")["debates"] if debate["topic"] == topic)
    ended = system.wait_for_end(debate["name"])
    assert ended.stop_reason == debate_pb2.Debate.CANCELLED
    assert system.rostrum("status").returncode == 0


@pytest.mark.parametrize("number", [TERM, HUP])
def test_where_the_parent_ignores_interrupts(system: System, number: signal.Signals) -> None:
    """Started by `&` of a script, which ignores SIGINT for it: that changes nothing, SIGTERM or SIGHUP ends it."""
    topic = f"In the background until {number.name}"
    with started(system, "debate", topic, "--agents", "sleepy=for,team-a=against", before="trap '' INT;") as process:
        read_until(process.stdout, "Round 1: ")
        errors = send(process, (INT, INT, number))
    assert_ended(process, errors)


def test_where_the_parent_ignores_hangups(system: System) -> None:
    """By `nohup`, the end of a terminal does not end it; SIGTERM does."""
    arguments = ("debate", "By nohup", "--agents", "sleepy=for,team-a=against")
    with started(system, *arguments, before="trap '' HUP;") as process:
        read_until(process.stdout, "Round 1: ")
        process.send_signal(HUP)
        assert system.rostrum("status").returncode == 0  # it has had time to end
        assert process.poll() is None
        errors = send(process, (TERM,))
    assert_ended(process, errors)


@pytest.mark.parametrize(
    ("words", "numbers", "before"),
    [
        ("starting Rostrum", (INT,), ""),
        ("starting Rostrum", (INT, INT, INT), ""),
        ("starting Rostrum", (TERM, TERM), "trap '' INT CHLD;"),
        ("Ctrl-C stops it", (HUP,), ""),
        ("Ctrl-C stops it", (INT, INT, TERM), ""),
    ],
)
def test_of_a_system_of_its_own(tmp_path: Path, words: str, numbers: Sequence[signal.Signals], before: str) -> None:
    """While it starts, while it runs, and while it ends: all that the command started ends before it does."""
    system = System.prepare(tmp_path, scripted={})
    with started(system, "up", "--model", "openai:scripted", before=before) as process:
        read_until(process.stderr, words)
        errors = send(process, numbers)
    assert_ended(process, errors)
    assert not processes_of(system.home)


def test_in_the_first_second(tmp_path: Path) -> None:
    """Before the command has done anything, a signal ends it without a word."""
    system = System.prepare(tmp_path, scripted={})
    with started(system, "status") as process:
        status = Path(f"/proc/{process.pid}/status")

        def catches(number: signal.Signals) -> bool:
            line = next(line for line in status.read_text("utf-8").splitlines() if line.startswith("SigCgt"))
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)

        wait_until("the command", lambda: catches(TERM), seconds=20)
        errors = send(process, (INT,))
    assert_ended(process, errors)
    assert errors == ""
