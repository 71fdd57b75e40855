"""What the README says is so, where a test can see it."""

from __future__ import annotations

import re

import pytest

from mesh.cli import program
from mesh.cli.exits import Exit
from services.application import APPLICATION
from tests.support.buf import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def test_the_first_command_comes_early() -> None:
    """`make debate` stands before line 25."""
    assert "make debate" in README.splitlines()[:24]


def test_the_exit_codes_are_those_of_the_command() -> None:
    """The table has each code of mesh.cli.exits, and no other."""
    table = README.split("## Exit codes")[1].split("##")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == [member.value for member in Exit]


def test_every_command_shown_exists(capsys: pytest.CaptureFixture[str]) -> None:
    """Each `rostrum` command of the README is one, with the options that are shown."""
    shown = re.findall(r"rostrum ([a-z]+)([^\n`#]*)", README.split("## The picture")[0])
    assert len(shown) > 10
    app = program.build(APPLICATION)
    for command, rest in shown:
        app([command, "--help"], prog_name="rostrum", standalone_mode=False)
        text = capsys.readouterr().out
        for option in re.findall(r"(?<!\S)--?[a-z]+", rest):
            assert option in text, (command, option)


def test_make_has_the_tasks_shown() -> None:
    """Each `make` task of the README is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for task in set(re.findall(r"^make ([a-z]+)", README, re.MULTILINE)):
        assert re.search(rf"^{task}\b.*:", makefile, re.MULTILINE), task
