"""The JSON objects of a response's body, as they come: server-sent events, a line each, or one object as a whole.

What a server says of its content type is not asked: some stream under the wrong one, some do not stream though they
were asked to. Bytes may be cut anywhere, in the middle of a character too.
"""

from __future__ import annotations

import codecs
import json
from typing import Any

DONE = "[DONE]"
QUOTE_CHARACTERS = 300
"""Of a body that is no JSON, for the message."""


class NoJsonError(ValueError):
    """The body is none of the three forms. The message has its beginning."""


class ObjectReader:
    """Reads one body."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._rest = ""
        self._pending = ""
        """What is not yet a whole object."""
        self._events = False
        self._event = ""
        self.objects = 0
        """How many came."""
        self.done = False
        """Whether the server said that nothing follows."""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Returns the objects that these bytes complete. Raises NoJsonError."""
        *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        return [value for line in lines for value in self._read_line(line.rstrip("\r"))]

    def end(self) -> list[dict[str, Any]]:
        """Returns what the end of the body completes. Raises NoJsonError if something is left that is no JSON."""
        last = self._rest + self._decoder.decode(b"", final=True)
        self._rest = ""
        found = [value for line in (last, "") for value in self._read_line(line.rstrip("\r"))]
        if self._pending.strip():
            raise NoJsonError(" ".join(self._pending.split())[:QUOTE_CHARACTERS])
        return found

    def _read_line(self, line: str) -> list[dict[str, Any]]:
        field, separator, value = line.partition(":")
        if not self._pending and separator and field in {"", "data", "event", "id", "retry"}:
            self._events = True
        if not self._events:
            return self._take(line)
        if field == "event":
            self._event = value.strip()
        if not line:
            self._event = ""
        if field != "data":
            return []
        if value.strip() == DONE:
            self.done = True
            return []
        found = self._take(value.removeprefix(" "))
        if self._event == "error":
            return [one if "error" in one else {"error": one} for one in found]
        return found

    def _take(self, line: str) -> list[dict[str, Any]]:
        if not self._pending and not line.strip():
            return []
        self._pending += line + "\n"
        text = self._pending.strip()
        if not text.startswith("{"):
            if self._events or len(text) > QUOTE_CHARACTERS:
                raise NoJsonError(" ".join(text.split())[:QUOTE_CHARACTERS])
            return []
        if not text.endswith("}"):
            return []
        try:
            value = json.loads(text, strict=False)
        except ValueError:
            return []
        self._pending = ""
        self.objects += 1
        return [value]
