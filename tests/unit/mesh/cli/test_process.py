"""Which signals end a command, and what of its caller's Python it takes over: asked of processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PREPARED = "from mesh.cli import process; process.prepare(); "


def run(program: str, *, before: str = "", after: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    script = f'{before} exec "$0" -c "$1" {after}'
    command = ["bash", "-c", script, sys.executable, PREPARED + program]
    return subprocess.run(
        command, env={**os.environ, **environ}, capture_output=True, text=True, check=False, timeout=30
    )


@pytest.mark.parametrize(
    ("before", "heeded"),
    [
        ("", "SIGTERM SIGINT SIGHUP"),
        ("trap '' INT;", "SIGTERM SIGHUP"),
        ("trap '' HUP;", "SIGTERM SIGINT"),
        ("trap '' INT HUP TERM;", "SIGTERM"),
    ],
)
def test_what_is_heeded(before: str, heeded: str) -> None:
    """What a parent has it ignore (`&` in a script, nohup) stays ignored, but for SIGTERM."""
    done = run("print(*(number.name for number in process.heeded()))", before=before)
    assert (done.stdout.strip(), done.stderr) == (heeded, "")


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_it_at_once(number: str) -> None:
    """With the documented code, and without a word."""
    done = run(f"import os, signal; os.kill(os.getpid(), signal.{number}); print('went on')")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ends_of_children_are_seen() -> None:
    """Also where the parent ignores SIGCHLD, for which the kernel would tell nobody how a child ended."""
    program = "import subprocess; print(subprocess.run(['sh', '-c', 'exit 7']).returncode)"
    assert run(program, before="trap '' CHLD;").stdout.strip() == "7"


def test_closed_streams_are_opened() -> None:
    """So that no file that is opened later is taken for one of them."""
    done = run("import os; file = open('/dev/null'); os.write(1, b'lost'); assert file.fileno() > 2", after="<&- >&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_python_is_set_up_as_it_comes(tmp_path: object) -> None:
    """Variables of the caller's Python reach neither what is imported next nor a child."""
    names = "sorted(name for name in os.environ if 'PYTHON' in name)"
    program = f"import os, sys, warnings; warnings.warn('x'); print({names}, sys.path[-1])"
    done = run(
        program, PYTHONWARNINGS="error", PYTHONPATH=str(tmp_path), PYTHONUNBUFFERED="1", PYTHONDONTWRITEBYTECODE="1"
    )
    assert done.stdout.strip() == f"['PYTHONDONTWRITEBYTECODE', 'PYTHONUNBUFFERED'] {tmp_path}"
    assert done.stderr == ""


def test_what_it_writes_is_private(tmp_path: object) -> None:
    """Whatever mask it was started with: nobody else's, and readable to itself."""
    for mask in ("000", "777"):
        done = run(
            f"import os; open(r'{tmp_path}/{mask}', 'w').close(); print(oct(os.stat(r'{tmp_path}/{mask}').st_mode))",
            before=f"umask {mask};",
        )
        assert done.stdout.strip() == "0o100600"
