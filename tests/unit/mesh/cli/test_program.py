"""What a message says to type next: a line that a shell takes as it is meant."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from mesh.cli.program import program_of


@pytest.mark.parametrize("folder", ["bin", "my files", "it's", "$HOME", "a;b", "Übung"])
def test_the_command_is_quoted_for_a_shell(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout may be in a folder of any name."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / folder / "rostrum"
    assert shlex.split(f"{program_of(str(file), '/usr/bin', 'services.cli')} down") == [f"{folder}/rostrum", "down"]


@pytest.mark.parametrize(
    ("called", "program"),
    [("rostrum", "rostrum"), ("/opt/bin/rostrum", "rostrum"), ("/src/services/cli.py", "python -m services.cli")],
)
def test_it_is_short_where_it_can_be(called: str, program: str) -> None:
    """By its name if the shell finds it; as a module if it was called as one."""
    assert program_of(called, "/usr/bin:/opt/bin", "services.cli") == program
