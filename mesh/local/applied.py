"""What was applied to the mesh of a home and deleted from it, kept in HOME/applied.json over restarts, as clusters do.

Owns that file alone. What a change means is mesh.manifests.overlay's, whether it can be obeyed mesh.local.reconciler
finds out, which keeps it here once it is active.
"""

from __future__ import annotations

import json
from pathlib import Path

from mesh.local.errors import disk_errors
from mesh.manifests.errors import ManifestError
from mesh.manifests.overlay import Overlay

FILE = "applied.json"


class AppliedFile:
    """The file of one home."""

    def __init__(self, home: Path) -> None:
        self._file = home / FILE

    def read(self) -> Overlay:
        """What was kept; nothing if there is no file. Raises ManifestError if it is not what was written there."""
        if not self._file.exists():
            return Overlay()
        try:
            return Overlay.from_dict(json.loads(self._file.read_text("utf-8")))
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise ManifestError(f"{self._file} cannot be read: remove it; what was applied is then gone.") from error

    def keep(self, overlay: Overlay) -> None:
        """Writes it, whole or not at all. Raises LocalError."""
        new = self._file.with_suffix(".new")
        with disk_errors(self._file.parent):
            new.write_text(json.dumps(overlay.as_dict(), indent=1), encoding="utf-8")
            new.replace(self._file)
