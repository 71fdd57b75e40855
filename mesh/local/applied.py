"""What was applied to the mesh of a home and deleted from it, kept in HOME/applied.json over restarts, as clusters do.

Owns that file and the active documents: those of the files with the overlay on them. What a change means is
mesh.manifests.overlay's, whether it can be obeyed is found out by `system`, which keeps it here once it is in force.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rostrum.local.v1 import runner_pb2

from mesh.local.errors import ManifestError, disk_errors
from mesh.local.manifests import refusals
from mesh.local.sidecars import NAMESPACE
from mesh.manifests import Document, Key, parse_documents
from mesh.manifests.istio.kinds import KINDS
from mesh.manifests.overlay import Change, Overlay

FILE = "applied.json"


class Applied:
    """The overlay of one home on its manifests' documents, `files`."""

    def __init__(self, home: Path, files: Sequence[Document]) -> None:
        """Raises ManifestError if the file is not what was written there."""
        self._file, self._files = home / FILE, files
        self.overlay = Overlay()
        if self._file.exists():
            try:
                self.overlay = Overlay.from_dict(json.loads(self._file.read_text("utf-8")))
            except (ValueError, KeyError, TypeError, OSError) as error:
                raise ManifestError(
                    f"{self._file} cannot be read: remove it; what was applied is then gone."
                ) from error

    def documents(self, overlay: Overlay | None = None) -> list[Document]:
        """The active documents; with another overlay, what would be."""
        return (overlay or self.overlay).documents(self._files)

    def texts(self) -> dict[str, str]:
        """The active documents as YAML, by file."""
        return self.overlay.texts(self._files)

    def asked(self, request: runner_pb2.ChangeResourcesRequest) -> tuple[Overlay, list[Change]]:
        """The overlay that a request asks for, and what it changes. Raises ManifestError."""
        files = {file.name: file.text for file in request.files}
        change = self.overlay.with_deleted if request.delete else self.overlay.with_applied
        with refusals():
            return change(self._files, parse_documents(files, NAMESPACE))

    def keep(self, overlay: Overlay) -> None:
        """Keeps an overlay that is in force. Raises LocalError if it cannot be written."""
        new = self._file.with_suffix(".new")
        with disk_errors(self._file.parent):
            new.write_text(json.dumps(overlay.as_dict(), indent=1), encoding="utf-8")
            new.replace(self._file)
        self.overlay = overlay

    def resources(self, kind: str) -> list[runner_pb2.Resource]:
        """Istio's resources in force, by kind, namespace and name; of one kind, in any case, one or many.

        Raises ManifestError if there is no such kind.
        """
        wanted = {name for _, name in KINDS if kind.lower() in {"", *_spellings(name)}}
        if not wanted:
            raise ManifestError(f"There is no kind {kind!r}: there are {', '.join(name for _, name in KINDS)}.")
        return [
            _resource(each.key, each.source, each.text)
            for each in self.overlay.active(self._files)
            if each.key.kind in wanted
        ]


def messages(changes: Sequence[Change]) -> list[runner_pb2.ResourceChange]:
    """Changes as RunnerService tells them."""
    return [
        runner_pb2.ResourceChange(
            resource=_resource(each.key, "", each.after or each.before),
            action=runner_pb2.ResourceChange.Action.Value(each.action.name),
            before=each.before,
            after=each.after,
        )
        for each in changes
    ]


def _spellings(kind: str) -> set[str]:
    one = kind.lower()
    return {one, f"{one}s", f"{one[:-1]}ies"} if one.endswith("y") else {one, f"{one}s"}


def _resource(key: Key, source: str, text: str) -> runner_pb2.Resource:
    return runner_pb2.Resource(kind=key.kind, namespace=key.namespace, name=key.name, source=source, yaml=text)
