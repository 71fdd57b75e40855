"""What of the caller reaches the runner of a home: its variables, and which folders it may name.

A relative path means the caller's folder, and the runner has another, so that paths go there absolute; and the runner
reads all of it as UTF-8, whatever the caller's locale. What a format on the way cannot express is refused here, by
name, before anything is written. Called by mesh.local.client.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from pathlib import Path

from mesh.cache import NoCacheError, cache_folder
from mesh.local.errors import LocalError
from mesh.local.folders import absolute_path

PATHS = (
    *("HOME", "TMPDIR", "ROSTRUM_HOME", "ROSTRUM_CACHE", "ROSTRUM_MANIFESTS"),
    *("KAFKA_TLS_FOLDER", "OPENAI_API_KEY_FILE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"),
)
"""Variables that hold one path each."""
PATH_LISTS = ("SSL_CERT_DIR",)
"""Variables that hold several, as OpenSSL reads them."""
MIN_OPEN_FILES = 1_024
"""Kafka's are the most: some four hundred, its jars and the files of its topics."""
MAX_PATH_BYTES = 430
"""Of a home: SQLite opens no file whose path has more than 504 bytes, and a store is HOME/stores/SERVICE.db."""


def variables_of(environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's variables for the runner, with absolute paths.

    What is not UTF-8 no call can carry: it is left out, unless it is a path. Raises LocalError.
    """
    found = {}
    for name, value in environ.items():
        if value and name in (*PATHS, *PATH_LISTS):
            found[name] = _demand_utf8(name, _make_absolute(name, value))
        elif (text := as_utf8(value)) is not None and as_utf8(name) is not None:
            found[name] = text
    return found


def demand_usable(home: Path, environ: Mapping[str, str]) -> None:
    """Raises LocalError if Rostrum could not run there for this caller; looks at no folder but at its name."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most != resource.RLIM_INFINITY and most < MIN_OPEN_FILES:
        raise LocalError(
            f"A process here may open {most} files, and {MIN_OPEN_FILES:,} are needed: raise it with `ulimit -Hn`."
        )
    _demand_utf8("ROSTRUM_HOME", str(home))
    if (size := len(os.fsencode(home))) > MAX_PATH_BYTES:
        raise LocalError(
            f"ROSTRUM_HOME is a path of {size} bytes, and {MAX_PATH_BYTES} are possible: choose a shorter one."
        )
    try:
        cache = _demand_utf8("ROSTRUM_CACHE", str(cache_folder(environ)))
    except NoCacheError as error:
        raise LocalError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
    if os.pathsep in cache and not environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        raise LocalError(
            f"ROSTRUM_CACHE is {cache!r}, and for Java a path ends at a colon: choose a folder without one."
        )


def as_utf8(text: str) -> str | None:
    """What a text of the system, as Python's locale has it, is in UTF-8; None if it is not."""
    try:
        return os.fsencode(text).decode("utf-8")
    except UnicodeError:
        return None


def _make_absolute(name: str, value: str) -> str:
    parts = value.split(os.pathsep) if name in PATH_LISTS else [value]
    return os.pathsep.join(str(absolute_path(part)) if part else part for part in parts)


def _demand_utf8(name: str, path: str) -> str:
    text = as_utf8(path)
    if text is None:
        raise LocalError(f"{name} is {os.fsencode(path)!r}, which is not UTF-8: choose a folder with such a name.")
    return text
