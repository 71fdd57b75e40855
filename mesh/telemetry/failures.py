"""Counts failed tries and dead letters as metrics; `mesh.retries` and the bus call it. Decides nothing."""

from __future__ import annotations

from opentelemetry import metrics

from mesh.telemetry.names import DEAD_LETTERS, DESTINATION, FAILURES, PART

_meter = metrics.get_meter("rostrum.mesh")
_failures = _meter.create_counter(FAILURES, unit="{failure}")
_dead_letters = _meter.create_counter(DEAD_LETTERS, unit="{record}")


def count_failure(part: str) -> None:
    """Counts one failed try of this part."""
    _failures.add(1, {PART: part})


def count_dead_letter(topic: str) -> None:
    """Counts one record of this topic that went to the dead letters."""
    _dead_letters.add(1, {DESTINATION: topic})
