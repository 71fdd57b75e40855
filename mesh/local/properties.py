"""Text of a Java properties file: what java.util.Properties.load reads back as it was given.

Kafka's files are read as ISO 8859-1, so that all else than printable ASCII is written by its UTF-16 code units. What a
setting means is not known here. Called by mesh.local.broker and mesh.local.kafka_storage.
Source: java.util.Properties, "load(Reader)" and "store(Writer, String)".
"""

from __future__ import annotations

from collections.abc import Mapping

_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\f": "\\f", "\\": "\\\\"}
_SEPARATORS = "=: #!"
"""What ends a key, or begins a comment."""


def properties_text(settings: Mapping[str, str]) -> str:
    """One line for each setting, ASCII alone."""
    return "".join(f"{_escape(name, _SEPARATORS)}={_escape(value, '')}\n" for name, value in settings.items())


def _escape(text: str, special: str) -> str:
    """Escapes the text; a value's leading space too, which would be taken for the separator's."""
    escaped = "".join(_escape_character(character, special) for character in text)
    return f"\\{escaped}" if escaped.startswith(" ") else escaped


def _escape_character(character: str, special: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    if character in special:
        return f"\\{character}"
    if " " <= character <= "~":
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))
