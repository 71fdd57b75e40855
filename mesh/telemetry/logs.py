"""Log lines as JSON on standard error, one object a line, with pod, trace and what the code around them set.

Fields: time (RFC 3339), level, logger, message, pod, trace_id if there is one, error (a traceback), and those of
`log_fields`.
"""

from __future__ import annotations

import json
import logging
import sys
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NONE: Mapping[str, str] = MappingProxyType({})
_FIELDS: ContextVar[Mapping[str, str]] = ContextVar("log_fields", default=_NONE)


@contextmanager
def log_fields(**fields: str) -> Iterator[None]:
    """Adds fields to every log line written inside, in this task."""
    token = _FIELDS.set({**_FIELDS.get(), **fields})
    try:
        yield
    finally:
        # A stream that its caller has left is closed by the event loop, in a context that never had these fields.
        with suppress(ValueError):
            _FIELDS.reset(token)


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def __init__(self, pod: str) -> None:
        super().__init__()
        self._pod = pod

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        line: dict[str, str] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "pod": self._pod,
            **_FIELDS.get(),
        }
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            line["trace_id"] = trace.format_trace_id(span.trace_id)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up_logs(pod: str) -> None:
    """Sends all log lines of this process, INFO and above, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(pod))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Our own lines say when the broker is away; the client adds a dozen for each try to connect.
    logging.getLogger("kafka.net").setLevel(logging.CRITICAL)
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)  # a task of it that died: it may hang from then on
    for noisy in ("kafka", "httpx", "httpcore", "httpx2", "httpcore2", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
