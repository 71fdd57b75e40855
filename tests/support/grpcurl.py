"""grpcurl, as users have it: the one on the path, else built by Go into the cache, once.

Without either a test is skipped at a desk and fails in CI. Used by the tests that run the README's examples.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from tests.support.istiod import needed_go

VERSION = "v1.9.3"
BUILD_TIMEOUT_SECONDS = 900


def grpcurl() -> Path:
    """Returns the program."""
    found = shutil.which("grpcurl")
    if found is not None:
        return Path(found)
    cache = Path(os.environ.get("ROSTRUM_CACHE") or Path.home() / ".cache" / "rostrum") / f"grpcurl-{VERSION}"
    binary = cache / "grpcurl"
    if binary.exists():
        return binary
    go = needed_go()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test run may be building the same
        if not binary.exists():
            subprocess.run(
                [go, "install", f"github.com/fullstorydev/grpcurl/cmd/grpcurl@{VERSION}"],
                env={**os.environ, "GOBIN": str(cache), "GOTOOLCHAIN": "local", "GOFLAGS": ""},
                timeout=BUILD_TIMEOUT_SECONDS,
                check=True,
            )
    return binary
