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
    headers: Headers = [(name, value) for name, value in record.headers if not name.startswith(PREFIX)]
    headers += [(PREFIX + name, value.encode()) for name, value in added.items()]
    return WireRecord(dead_letters_topic(record.topic), record.key, record.value, headers)


def redrive(record: ReadRecord) -> WireRecord:
    """Returns the record as it was before it was dead, for the topic it came from. ValueError: not a dead letter."""
    named = [value.decode(errors="replace") for name, value in record.headers if name == PREFIX + "topic"]
    if not named:
        raise ValueError(f"record {record.offset} of {record.topic} does not say where it came from")
    headers: Headers = [(name, value) for name, value in record.headers if not name.startswith(PREFIX)]
    return WireRecord(named[0], record.key, record.value, headers)
