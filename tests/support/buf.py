"""Runs buf on the protos of this tree or of a commit, offline: googleapis comes from the wheel."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
BUF = Path(sys.executable).with_name("buf")
BROKEN = 100
"""buf's exit code when it found something, as against 1 when it could not look."""


def generator(name: str = "generate") -> ModuleType:
    """A script of protos/, which is in no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "protos" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def buf(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs buf in `folder`, whose googleapis module it lays first."""
    generator().lay_googleapis(folder / ".build" / "googleapis")
    return subprocess.run([str(BUF), *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def build(target: Path, folder: Path = ROOT) -> Path:
    """Writes the buf image of the protos in `folder` to `target`."""
    built = buf("build", "-o", str(target), folder=folder)
    assert built.returncode == 0, built.stderr
    return target


def breaking(now: Path, before: Path) -> str:
    """What in the image `now` breaks users of the image `before`, a line each. buf's rules for it are FILE."""
    result = buf("breaking", str(now), "--against", str(before))
    assert result.returncode in {0, BROKEN}, result.stderr
    return result.stdout


def default_branch() -> str | None:
    """The last commit of the default branch, or None outside of a repository (an unpacked archive)."""
    for name in ("refs/remotes/origin/HEAD", "refs/heads/main", "HEAD"):
        found = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
        if found.returncode == 0:
            return found.stdout.strip()
    return None


def image_of(commit: str, folder: Path) -> Path | None:
    """Builds the buf image of the commit's protos below `folder`; None if it has none."""
    archive = subprocess.run(
        ["git", "archive", "--format=tar", commit, "--", "buf.yaml", "protos/rostrum"],
        cwd=ROOT, capture_output=True, check=False, timeout=30,
    )  # fmt: skip
    if archive.returncode != 0:
        return None
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return build(folder / "image.binpb", folder)
