"""Formats the data folder of a new node: by Kafka's own tool once a cache, and from then on as the tool left it.

What the tool writes is the first snapshot of the metadata log, the same for each node of this version of Kafka, and
meta.properties, which names the cluster and the folder and so is made here for each node. The tool is a JVM of its
own, which takes as much time as half a start of the broker. Called by mesh.local.broker.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from mesh.local.causes import cause_of
from mesh.local.class_archive import ENVIRONMENT
from mesh.local.errors import StartupError, disk_errors
from mesh.local.processes import outlived
from mesh.local.properties import properties_text

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

METADATA = "__cluster_metadata-0"
"""Folder of the metadata log, below the data folder."""


async def format_folder(data: Path, node_id: str, kept: Path, *, java: Sequence[str], settings: str) -> None:
    """Formats `data`, unless it is formatted. `kept`: where the cache has, or will have, the first snapshot.

    `java` is the JVM's command, `settings` names the node's file, beside `data`. Raises StartupError, DiskFullError.
    """
    if await asyncio.to_thread(_format_from, data, node_id, kept):
        return
    await _run_tool(data.parent, java, settings)
    await asyncio.to_thread(_keep, data / METADATA, kept)


def _format_from(data: Path, node_id: str, kept: Path) -> bool:
    """Formats `data` from what the cache has; False if it has nothing."""
    properties = data / "meta.properties"
    if properties.is_file():
        return True
    if not kept.is_dir():
        return False
    ids = {"cluster.id": _random_id(), "directory.id": _random_id(), "node.id": node_id, "version": "1"}
    with disk_errors(data):
        shutil.rmtree(data / METADATA, ignore_errors=True)  # of a copy that was interrupted
        shutil.copytree(kept, data / METADATA)
        # Last and at once: with it the folder counts as formatted.
        new = properties.with_suffix(".new")
        new.write_text(properties_text(ids), encoding="ascii")
        new.replace(properties)
    return True


def _random_id() -> str:
    """Returns an id as Kafka writes it (org.apache.kafka.common.Uuid): base64 of 16 bytes."""
    text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # A leading dash would be taken for an option by the tool.
    return text.replace("-", "x").replace("_", "y")


def _keep(metadata: Path, kept: Path) -> None:
    """Copies the first snapshot into the cache; without it the next folder is formatted by the tool as well."""
    new = Path(tempfile.mkdtemp(prefix=".formatted-", dir=kept.parent))
    try:
        shutil.copytree(metadata, new, dirs_exist_ok=True)
        new.rename(kept)
    except OSError as error:  # another runner was first, or there is no room
        log.warning("Kafka's first snapshot is not kept: %s", error)
        shutil.rmtree(new, ignore_errors=True)


async def _run_tool(folder: Path, java: Sequence[str], settings: str) -> None:
    child = await asyncio.create_subprocess_exec(
        *java,
        *("kafka.tools.StorageTool", "format", "--ignore-formatted"),
        *("-t", _random_id(), "-c", settings),
        cwd=folder,
        env=ENVIRONMENT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with outlived(child):
        output, _ = await child.communicate()
    if child.returncode:
        text = output.decode(errors="replace").strip()
        with disk_errors(folder):
            (folder / "format.log").write_text(text, encoding="utf-8")
        if "No space left" in text:
            raise StartupError(f"Kafka found no room in {folder}: free some space there and run it again.")
        raise StartupError(
            f"Kafka cannot format {folder}: {cause_of(text)} (see {folder / 'format.log'}): move that folder away, and"
            " it is made again; what was debated is kept."
        )
