"""How many threads the embedded model takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mesh.llm.embedded.threads import choose_threads, count_physical_cores, read_quota, stop_spinning

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def hyperthreads(tmp_path: Path) -> Path:
    """Four cores of two CPUs each."""
    for cpu in range(8):
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{cpu % 4},{cpu % 4 + 4}\n")
    return tmp_path


def test_cores_are_physical(hyperthreads: Path, tmp_path: Path) -> None:
    """Two CPUs of one core are one; where the topology is not known, each is its own."""
    assert count_physical_cores(set(range(8)), hyperthreads) == 4
    assert count_physical_cores({0, 4}, hyperthreads) == 1
    assert count_physical_cores({0, 1, 2}, tmp_path / "none") == 3


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "250000 100000"}, 2.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 0.5),
    ],
)
def test_quota(files: dict[str, str], quota: float | None, tmp_path: Path) -> None:
    """A container's limit is read in both versions of cgroups."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert read_quota(tmp_path) == quota


def test_something_is_left_to_the_rest(monkeypatch: pytest.MonkeyPatch, hyperthreads: Path, tmp_path: Path) -> None:
    """One core of many is left to the rest of Rostrum; a quota counts as cores; one thread there is always."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(8)))
    assert choose_threads(hyperthreads, tmp_path) == 3
    (tmp_path / "cpu.max").write_text("200000 100000")
    assert choose_threads(hyperthreads, tmp_path) == 2
    (tmp_path / "cpu.max").write_text("50000 100000")
    assert choose_threads(hyperthreads, tmp_path) == 1


def test_a_users_own_policy_stays() -> None:
    """Idle threads sleep, unless the environment says otherwise."""
    environ: dict[str, str] = {}
    stop_spinning(environ)
    assert environ == {"OMP_WAIT_POLICY": "passive"}
    stop_spinning(active := {"OMP_WAIT_POLICY": "active"})
    assert active == {"OMP_WAIT_POLICY": "active"}
