"""The one error of everything that reads manifests, and of what cannot obey one."""

from __future__ import annotations

from mesh.errors import InvalidArgumentError


class ManifestError(InvalidArgumentError):
    """A manifest is wrong, or asks for what is not obeyed here. The message: file, document, field, what to do."""

    reason = "INVALID_MANIFEST"
