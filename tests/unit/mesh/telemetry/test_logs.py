"""What log lines carry, and that it ends with what it belongs to."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING

from mesh.telemetry.logs import log_fields

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_stream_may_be_closed_in_another_context() -> None:
    """As an event loop closes the generator of a stream that its caller has left: no error, and no trace of it."""

    def stream() -> Iterator[int]:
        with log_fields(rpc="/Watch"):
            yield 1

    answers = stream()
    contextvars.copy_context().run(next, answers)
    contextvars.copy_context().run(answers.close)  # type: ignore[attr-defined]
