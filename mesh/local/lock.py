"""The lock of a home, HOME/run/lock: who holds it is the runner, so a stale file never stands for one.

The kernel lets go of it with the process, however that ends. Taken by mesh.local.runner, looked at by the command.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from mesh.local.errors import AlreadyRunningError, LocalError, disk_errors

FOLDERS = ("run", "logs", "stores")


def prepare(home: Path) -> None:
    """Makes the home's folders and the file. Raises LocalError, DiskFullError."""
    with disk_errors(home):
        for name in FOLDERS:
            (home / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "run").chmod(0o700)
        os.close(_open(home))


def take(home: Path) -> int:
    """Holds it for the life of this process. Raises AlreadyRunningError."""
    prepare(home)
    lock = _open(home)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise AlreadyRunningError(f"Rostrum runs already in {home}: `rostrum down` stops it.") from error
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    return lock


def holder_of(home: Path) -> int:
    """The pid of who holds it, or did last; 0 if that is not known. For people: only the lock says whether it runs."""
    try:
        return int((home / "run" / "lock").read_bytes())
    except (OSError, ValueError):
        return 0


def is_held(home: Path) -> bool:
    """Whether a runner, starting, running or stopping, holds it. Raises LocalError if the home is not the caller's."""
    try:
        lock = os.open(home / "run" / "lock", os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise LocalError(f"Cannot look into {home}: {error.strerror}. Choose a folder of your own.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _open(home: Path) -> int:
    return os.open(home / "run" / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
