"""How the oracle comes to be: which Go is taken, what happens without one, and that it is built once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mesh.istiod import building
from mesh.local.errors import MissingPartError
from tests.support.istiod import needed_go

ROOT = Path(__file__).parents[2]
FAKE_GO = """#!/bin/sh
case "$1" in
env) echo go{version} ;;
build) echo built >>{log}; for last in "$@"; do case "$before" in -o) : >"$last" ;; esac; before=$last; done ;;
esac
"""


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only Go on the path: it is new enough, notes each build in go.log, and writes an empty binary."""
    for name in ("bin", "wheel"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("ROSTRUM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sysconfig.get_path", lambda _name: str(tmp_path / "wheel"))
    return _fake_go(tmp_path / "bin" / "go", "1.99.0")


def _fake_go(path: Path, version: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(FAKE_GO.format(version=version, log=path.with_suffix(".log")))
    path.chmod(0o755)
    return path


def test_the_go_on_the_path_comes_first(go: Path) -> None:
    """A Go that is new enough is taken from the path."""
    assert building.find_go() == str(go)


def test_an_old_go_is_passed_over(go: Path, tmp_path: Path) -> None:
    """One that is too old for go.mod gives way to the wheel's."""
    _fake_go(go, "1.9.9")
    wheel = _fake_go(tmp_path / "wheel" / "go" / "bin" / "go", "1.26.0")
    assert building.find_go() == str(wheel)


def test_without_go_a_test_is_skipped_at_a_desk(go: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason says which Go is needed and where to get it."""
    monkeypatch.delenv("CI", raising=False)
    _fake_go(go, "1.9.9")
    with pytest.raises(pytest.skip.Exception, match=r"Go 1\.26\.0 or newer .*requirements/ci\.txt.* is missing"):
        needed_go()


def test_without_go_a_test_fails_in_ci(go: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be missing there."""
    monkeypatch.setenv("CI", "true")
    _fake_go(go, "1.9.9")
    with pytest.raises(pytest.fail.Exception, match="in CI nothing may be"):
        needed_go()


def test_runs_at_the_same_time_build_once(go: Path) -> None:
    """Four processes ask for the binary; one builds it, and all get the same file."""
    code = "from mesh.istiod.building import built; print(built())"
    asking = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    answers = {process.communicate()[0].strip() for process in asking}
    assert [process.returncode for process in asking] == [0, 0, 0, 0]
    assert len(answers) == 1
    assert Path(answers.pop()).exists()
    assert go.with_suffix(".log").read_text() == "built\n"


def test_a_failed_build_says_why(go: Path) -> None:
    """What the compiler wrote is in the error, and no binary is left behind."""
    go.write_text("#!/bin/sh\ncase $1 in env) echo go1.99.0;; *) echo no such package >&2; exit 1;; esac\n")
    with pytest.raises(MissingPartError, match="no such package"):
        building.built()
    with pytest.raises(MissingPartError, match="no such package"):
        building.built()
