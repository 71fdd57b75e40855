"""`rostrum apply`, `delete`, `diff` and `get` against a runner that remembers what it was asked."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from mesh.local.errors import LocalError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fake_world import Bench


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "traffic.yaml").write_text("kind: VirtualService\n", "utf-8")
    (tmp_path / "notes.txt").write_text("not a manifest", "utf-8")
    return tmp_path


def test_apply(bench: Bench, folder: Path) -> None:
    """Every YAML file below the folder is sent; each resource is named with what became of it."""
    done = bench.rostrum("apply", "-f", str(folder))
    assert (done.code, done.out) == (0, "virtualservice/team-a configured\n")
    assert "active in every sidecar after 40 ms" in done.err
    assert bench.runner.orders == [f"change ['{folder / 'traffic.yaml'}'] False False"]


def test_delete(bench: Bench, folder: Path) -> None:
    """The same, the other way."""
    done = bench.rostrum("delete", "-f", str(folder / "traffic.yaml"))
    assert (done.code, done.out) == (0, "virtualservice/team-a deleted\n")
    assert bench.runner.orders == [f"change ['{folder / 'traffic.yaml'}'] True False"]


def test_diff(bench: Bench, folder: Path) -> None:
    """What would change, as a unified diff; the runner is asked to change nothing."""
    done = bench.rostrum("diff", "-f", str(folder))
    assert done.code == 0
    assert done.out.splitlines()[-3:] == [" a", "-b", "+c"]
    assert bench.runner.orders[0].endswith("False True")


class _Stdin:
    """A standard input with these bytes."""

    closed = False

    def __init__(self, given: bytes) -> None:
        self.buffer = io.BytesIO(given)


@pytest.mark.parametrize("command", ["apply", "delete", "diff"])
def test_the_standard_input(bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """- is the standard input, alone or beside files."""
    monkeypatch.setattr("sys.stdin", _Stdin(b"kind: VirtualService\n"))
    done = bench.rostrum(command, "-f", "-", "-f", str(folder))
    assert done.code == 0
    assert bench.runner.orders[0].startswith(f"change ['stdin', '{folder / 'traffic.yaml'}']")


@pytest.mark.parametrize(
    ("given", "files", "message"),
    [
        (b"", ["-"], "the standard input is empty"),
        (b" \n", ["-"], "the standard input is empty"),
        (b"\xff\xfe\x00", ["-"], "the standard input is no text in UTF-8"),
        (None, ["-"], "the standard input is closed"),
        (b"kind: VirtualService\n", ["-", "-"], "the standard input can be read once"),
    ],
)
def test_a_standard_input_that_cannot_be_applied(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, given: bytes | None, files: list[str], message: str
) -> None:
    """One line, and the code of a mistaken command; nobody is asked."""
    monkeypatch.setattr("sys.stdin", None if given is None else _Stdin(given))
    refused = bench.rostrum("apply", *(word for file in files for word in ("-f", file)))
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert message in refused.err
    assert bench.runner.orders == []


def test_get(bench: Bench) -> None:
    """A line a resource; --json has them whole; none is no fault."""
    assert bench.rostrum("get").out.splitlines()[1].split() == [
        "VirtualService",
        "rostrum",
        "team-a",
        "before",
        "all",
        "applied",
    ]
    assert bench.rostrum("get", "--json").json["resources"][0]["yaml"] == "a\n"
    none = bench.rostrum("get", "Gateway")
    assert (none.code, none.out, none.err) == (0, "", "no active Gateway\n")


def test_refused(bench: Bench, folder: Path) -> None:
    """The runner's reason is the one line, and the command fails."""
    bench.runner.fault = LocalError("traffic.yaml document 1: spec.http: is missing: add it")
    refused = bench.rostrum("apply", "-f", str(folder))
    assert (refused.code, refused.err.splitlines()[-1]) == (
        1, "rostrum: traffic.yaml document 1: spec.http: is missing: add it",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.yaml", "cannot be read: No such file or directory: name a YAML file"),
        ("empty", "there is no .yaml file in"),
        ("binary.yaml", "is no text in UTF-8: name a YAML file"),
    ],
)
def test_files_that_cannot_be_read(bench: Bench, folder: Path, name: str, message: str) -> None:
    """A file that is not there, is none, or holds no text is a wrong argument."""
    (folder / "empty").mkdir()
    (folder / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    done = bench.rostrum("apply", "-f", str(folder / name))
    assert done.code == 2
    assert message in done.err
    assert bench.runner.orders == []


def test_without_a_runner(bench: Bench, folder: Path) -> None:
    """Where nothing runs there is nothing to change or list."""
    bench.runner.running = False
    for arguments in (("apply", "-f", str(folder)), ("delete", "-f", str(folder)), ("get",)):
        assert bench.rostrum(*arguments).code == 3
