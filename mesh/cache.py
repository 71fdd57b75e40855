"""The folder of what is fetched or built once and shared by all homes: models, Kafka's jars, istiod's generator.

Knows where it is and makes nothing. Called by each of those that keep something there.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path


class NoCacheError(ValueError):
    """There is no such folder. The message says what to do."""


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Returns ROSTRUM_CACHE, else `rostrum` below XDG_CACHE_HOME if that is absolute, else ~/.cache/rostrum; absolute.

    Source: XDG Base Directory Specification, which has relative paths ignored. Raises NoCacheError.
    """
    try:
        if chosen := environ.get("ROSTRUM_CACHE"):
            return Path(chosen).absolute()
        users = Path(environ.get("XDG_CACHE_HOME") or "")
        return (users if users.is_absolute() else _home_of(environ) / ".cache") / "rostrum"
    except FileNotFoundError as error:
        raise NoCacheError("the working folder does not exist any more: change to one that does (`cd`)") from error


def _home_of(environ: Mapping[str, str]) -> Path:
    if home := environ.get("HOME") or os.environ.get("HOME"):
        return Path(home).absolute()
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError as error:
        raise NoCacheError("this user has no home folder: set ROSTRUM_CACHE to a folder for models and jars") from error
