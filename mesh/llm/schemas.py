"""JSON schemas of answers, in the part that servers with structured outputs take: every property named and required."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def object_schema(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the schema of an object of exactly these properties, in this order."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
