"""Every error class of ours that has a reason: the runtime's and those of each service."""

from __future__ import annotations

import importlib
import pkgutil
from importlib.util import find_spec

import mesh
import services
from mesh.errors import RostrumError
from mesh.rpc.status import by_reason


def error_classes() -> list[type[RostrumError]]:
    """One class a reason, by its reason. A class of a test's own is no part of our contracts, and is left out."""
    packages = [*pkgutil.iter_modules(mesh.__path__, "mesh."), *pkgutil.iter_modules(services.__path__, "services.")]
    for package in packages:
        if package.ispkg and find_spec(f"{package.name}.errors") is not None:
            importlib.import_module(f"{package.name}.errors")
    ours = (cls for cls in by_reason().values() if cls.__module__.startswith(("mesh.", "services.")))
    return sorted(ours, key=lambda cls: cls.reason)
