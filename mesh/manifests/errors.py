"""The one error of the translator: a manifest that cannot be obeyed."""

from __future__ import annotations


class ManifestError(Exception):
    """A manifest is wrong, or asks for what is not translated. The message: file, document, field, what to do."""
