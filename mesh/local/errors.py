"""The one error of the local runner: a line that a person can act on, and the exit code of the command it ends.

    LocalError                exit 1   anything without a class of its own
    ├── ManifestError         exit 2   a manifest cannot be read or says something that is not understood
    ├── PortInUseError        exit 3   an address that a pod must have is taken
    ├── MissingPartError      exit 4   a wheel or a jar is missing or is not what was pinned
    ├── DiskFullError         exit 5   no room for the home or the cache folder
    ├── StartupError          exit 6   the broker or a pod does not come up
    ├── AlreadyRunningError   exit 7   another runner holds this home
    └── NotRunningError       exit 8   no runner holds this home

Raised by `mesh.local` only, shown by `mesh.cli` as it is.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar


class LocalError(Exception):
    """One readable line on what is wrong and what to do. `exit_code` is the runner process's, which tells the command
    which class it was; the command has exit codes of its own (mesh.cli.exits)."""

    exit_code: ClassVar[int] = 1


class ManifestError(LocalError):
    """A manifest is unreadable or holds what the runner does not understand; names file, document and field."""

    exit_code = 2


class PortInUseError(LocalError):
    """An address that a pod must listen on is taken by another process."""

    exit_code = 3


class MissingPartError(LocalError):
    """A wheel or jar is missing, cannot be fetched, or has another SHA-256 than the lock says."""

    exit_code = 4


class DiskFullError(LocalError):
    """There is no room left in the home or cache folder."""

    exit_code = 5


class StartupError(LocalError):
    """The broker or a pod did not become ready; names its log."""

    exit_code = 6


class AlreadyRunningError(LocalError):
    """Another runner holds this home."""

    exit_code = 7


class NotRunningError(LocalError):
    """No runner holds this home."""

    exit_code = 8


_CLASSES: tuple[type[LocalError], ...] = (
    ManifestError,
    PortInUseError,
    MissingPartError,
    DiskFullError,
    StartupError,
    AlreadyRunningError,
    NotRunningError,
)


def by_exit_code(exit_code: int) -> type[LocalError]:
    """The class of this exit code; LocalError itself for any other number."""
    return next((each for each in _CLASSES if each.exit_code == exit_code), LocalError)


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns an OSError from writing below `folder` into DiskFullError, or LocalError that names the folder."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFullError(f"No room left in {folder}: free some space there, then run it again.") from error
        where = error.filename or folder
        raise LocalError(f"Cannot write {where}: {error.strerror or error}. Choose a folder of your own.") from error
