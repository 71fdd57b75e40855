"""What becomes of a record that cannot be handled: the same bytes on `<topic>.dead-letters.v1`, with the reason.

The original key, value and headers are kept as they were (so a redrive writes the very record again, and the trace
goes on); headers named dead_letter_* are added. It decides nothing: the dispatcher says what is dead.
"""

from __future__ import annotations

import time

from mesh.bus.envelope import Headers, ReadRecord, WireRecord
from mesh.bus.topics import dead_letters_topic

PREFIX = "dead_letter_"
"""Of all headers that are added; a redrive leaves them out."""

_UNREADABLE = PREFIX + "unreadable"
"""Header of a letter whose value is a whole batch that could not be read, as it was stored."""
_LEFT_OUT = PREFIX + "value_bytes"
"""Header of a letter that the broker took only without its value: how large that is. It stands where it came from."""

_MAX_ERROR_BYTES = 2_000
"""Of the error's message, so that one record's headers stay small beside the topic's limit."""


def dead_letter(record: ReadRecord, error: BaseException, *, group: str, tries: int, traceparent: str) -> WireRecord:
    """Returns the record for the dead letters: dead_letter_error, _error_class, _topic, _partition, _offset,
    _timestamp_ms (of the record), _group, _tries, _time_ms, and _traceparent of the last try if there was a span."""
    error_class = type(error)
    added = {
        "error": str(error).encode()[:_MAX_ERROR_BYTES].decode(errors="ignore"),
        "error_class": f"{error_class.__module__}.{error_class.__qualname__}",
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "timestamp_ms": str(record.timestamp_ms),
        "group": group,
        "tries": str(tries),
        "time_ms": str(time.time_ns() // 1_000_000),
    }
    if traceparent:
        added["traceparent"] = traceparent
    if record.unreadable:
        added["unreadable"] = "batch"
    headers: Headers = [(name, value) for name, value in record.headers if not name.startswith(PREFIX)]
    headers += [(PREFIX + name, value.encode()) for name, value in added.items()]
    return WireRecord(dead_letters_topic(record.topic), record.key, record.value, headers)


def without_value(letter: WireRecord) -> WireRecord:
    """Returns a letter that is too large for its topic without key and value: where they stand is in its headers."""
    added = [(_LEFT_OUT, str(letter.size_bytes).encode())]
    return WireRecord(letter.topic, None, None, [item for item in letter.headers if item[0].startswith(PREFIX)] + added)


def redrive(record: ReadRecord) -> WireRecord:
    """Returns the record as it was before it was dead, for the topic it came from.

    ValueError: not a dead letter, or one that does not hold a record's own value.
    """
    named = [value.decode(errors="replace") for name, value in record.headers if name == PREFIX + "topic"]
    if not named:
        raise ValueError(f"record {record.offset} of {record.topic} does not say where it came from")
    if any(name in {_UNREADABLE, _LEFT_OUT} for name, _ in record.headers):
        raise ValueError(f"record {record.offset} of {record.topic} holds no record that could be written again")
    headers: Headers = [(name, value) for name, value in record.headers if not name.startswith(PREFIX)]
    return WireRecord(named[0], record.key, record.value, headers)
