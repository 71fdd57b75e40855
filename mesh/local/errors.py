"""What can go wrong on this machine: errors of the local runner, each a line that a person can act on.

    RostrumError
    └── LocalError                    FAILED_PRECONDITION   anything without a class of its own
        ├── PortInUseError                                  an address that a pod must have is taken
        ├── MissingPartError                                a wheel or a jar is missing or is not what was pinned
        ├── DiskFullError                                   no room for the home or the cache folder
        ├── StartupError              UNAVAILABLE           the broker or a pod does not come up
        ├── ConfigurationRefusedError                       a proxy does not take its configuration
        ├── CertificateError                                the home's authority cannot be used
        ├── AlreadyRunningError                             another runner holds this home
        ├── NotRunningError                                 no runner holds this home
        ├── NotChangedError                                 a change was taken back
        └── OtherVersionError                               the runner speaks otherwise; made on the caller's side

Raised by `mesh.local` only, sent by the runner as every service sends its errors, shown by `mesh.cli` as they are. A
wrong manifest is mesh.manifests' ManifestError.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mesh.errors import Code, RostrumError


class LocalError(RostrumError):
    """Something of this machine, or of the caller's settings, is not as it must be."""

    code = Code.FAILED_PRECONDITION
    reason = "LOCAL_FAILURE"


class PortInUseError(LocalError):
    """An address that a pod must listen on is taken by another process."""

    reason = "PORT_IN_USE"


class MissingPartError(LocalError):
    """A wheel or jar is missing, cannot be fetched, or has another SHA-256 than the lock says."""

    reason = "MISSING_PART"


class DiskFullError(LocalError):
    """There is no room left in the home or cache folder."""

    reason = "DISK_FULL"


class StartupError(LocalError):
    """The broker or a pod did not become ready; names its log."""

    code = Code.UNAVAILABLE
    reason = "STARTUP_FAILED"
    retriable = True


class ConfigurationRefusedError(LocalError):
    """An Envoy does not take what it was given; the message has its reason, or its log."""

    reason = "CONFIGURATION_REFUSED"


class CertificateError(LocalError):
    """The authority's files cannot be used, or a leaf cannot be issued; the message says what to do."""

    reason = "CERTIFICATE_FAILED"


class AlreadyRunningError(LocalError):
    """Another runner holds this home."""

    reason = "ALREADY_RUNNING"


class NotRunningError(LocalError):
    """No runner holds this home, or what it runs is not ready yet."""

    reason = "NOT_RUNNING"


class NotChangedError(LocalError):
    """A change of resources was taken back. Metadata: cause, the reason of why."""

    reason = "NOT_CHANGED"


class OtherVersionError(LocalError):
    """The runner of this home is of another version of Rostrum. Made on the caller's side only."""

    reason = ""


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
