"""The cause in what real programs wrote: outputs/NAME.txt is what each printed, with this machine's paths
replaced, and causes.json what people are told of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mesh.local.causes import MAX_CHARACTERS, READ_BYTES, cause_of, read_cause

OUTPUTS = Path(__file__).with_name("outputs")
CAUSES: dict[str, str] = json.loads((OUTPUTS / "causes.json").read_text("utf-8"))


@pytest.mark.parametrize("name", [file.stem for file in sorted(OUTPUTS.glob("*.txt"))])
def test_the_cause_is_found(name: str) -> None:
    """One line that a person can read: no `... 30 more`, no caret, no JSON."""
    assert cause_of((OUTPUTS / f"{name}.txt").read_text("utf-8")) == CAUSES[name]


def test_the_last_of_several_starts_counts(tmp_path: Path) -> None:
    """A log goes on from start to start; what was written before a byte, or long ago, is not looked at."""
    log = tmp_path / "team-a-0.log"
    old, new = ((OUTPUTS / f"{name}.txt").read_text("utf-8") for name in ("python-imp", "service-newer"))
    log.write_text(old + new, "utf-8")
    assert read_cause(log) == CAUSES["service-newer"]
    log.write_text(old + "started\n", "utf-8")
    assert read_cause(log) == CAUSES["python-imp"]
    assert read_cause(log, start=len(old)) == "started"
    log.write_text(old + "started\n" * READ_BYTES, "utf-8")
    assert read_cause(log) == "started"
    assert read_cause(tmp_path / "none.log") == ""


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("", ""),
        (" \n ~~~^^^~~~\n", ""),
        ("\x1b[31mno\x1b[0m\u202e way\n", "[31mno [0m way"),
        ("Killed\n", "Killed"),
        ('{"not": "a log"}\n', '{"not": "a log"}'),
        ('{"level":"error","msg":"no such host"}\n{"level":"info","msg":"bye"}\n', "no such host"),
        ("Traceback (most recent call last):\n", ""),
        ("java.lang.NullPointerException\n\tat a.B.c(B.java:1)\n\t... 30 more\n", "NullPointerException"),
    ],
)
def test_whatever_is_written_there_is_an_answer(output: str, cause: str) -> None:
    """What no program that we know has written is read by its last line."""
    assert cause_of(output) == cause


def test_a_long_cause_keeps_its_begin_and_its_end() -> None:
    """It says what at the one and why at the other."""
    cause = cause_of(f"ValueError: what {'x' * 5_000} why")
    assert cause.startswith("ValueError: what x")
    assert cause.endswith("x why")
    assert len(cause) <= MAX_CHARACTERS
