"""Processes of the runner: what ties a child to its parent, and what distinguishes one from a stranger with its pid.

A pid alone names nothing after a crash: the kernel gives it to somebody else. A `Mark` is pid and start time
together, and `is_alive` is true for that process only. Linux only (/proc, prctl).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

MAX_OPEN_FILES = 65_536
"""More than any of ours wants; some programs take long where there is no end to it."""
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def allow_open_files() -> None:
    """Lets this process and its children open as many files as the caller may allow itself, MAX_OPEN_FILES at most."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def die_with_parent(parent_pid: int) -> Callable[[], None]:
    """A preexec_fn after which the kernel sends the child SIGKILL once the parent is gone, however it went."""

    def in_child() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent_pid:  # the parent went between fork and prctl
            os._exit(1)

    return in_child


@asynccontextmanager
async def outlived(child: asyncio.subprocess.Process) -> AsyncIterator[asyncio.subprocess.Process]:
    """Kills the child if it still runs when the block is left, however that is, and waits for its end."""
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


@dataclass(frozen=True)
class Mark:
    """One process for all time: its pid, and its start in clock ticks since boot."""

    pid: int
    start_ticks: int

    @staticmethod
    def of(pid: int) -> Mark | None:
        """The mark of a running process, None if there is none (a zombie is none)."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else Mark(pid, int(fields[19]))

    @property
    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return Mark.of(self.pid) == self

    def signal(self, number: signal.Signals) -> bool:
        """Sends a signal to this very process; False if it is gone. Safe against a pid that was given away."""
        try:
            handle = os.pidfd_open(self.pid)
        except OSError:
            return False
        try:
            if not self.is_alive:
                return False
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True
