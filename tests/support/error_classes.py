"""Every error class of ours that has a reason: the runtime's and those of each service."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from mesh.rpc.status import by_reason

if TYPE_CHECKING:
    from mesh.errors import RostrumError

ROOT = Path(__file__).resolve().parents[2]


def error_classes() -> list[type[RostrumError]]:
    """One class a reason, by its reason. A class of a test's own is no part of our contracts, and is left out."""
    for folder in ("mesh", "services"):
        for file in sorted((ROOT / folder).rglob("errors.py")):
            importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    ours = (cls for cls in by_reason().values() if cls.__module__.startswith(("mesh.", "services.")))
    return sorted(ours, key=lambda cls: cls.reason)
