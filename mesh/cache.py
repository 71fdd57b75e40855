"""The folder of what is fetched or built once and shared by all homes: models, Kafka's jars, istiod's generator.

Knows where it is and makes nothing. Called by each of those that keep something there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Returns ROSTRUM_CACHE, else `rostrum` below XDG_CACHE_HOME if that is absolute, else ~/.cache/rostrum; absolute.

    Source: XDG Base Directory Specification, which has relative paths ignored.
    """
    if chosen := environ.get("ROSTRUM_CACHE"):
        return Path(chosen).absolute()
    users = Path(environ.get("XDG_CACHE_HOME") or "")
    return (users if users.is_absolute() else Path.home() / ".cache") / "rostrum"
