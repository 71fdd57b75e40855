"""What loops that try again have in common: waits that grow to a bound, a count, and words once it lasts."""

from __future__ import annotations

import pytest

from mesh.retries import MAX_WHY_CHARACTERS, Backoff, Retries, describe_error


def test_waits_double_up_to_the_longest() -> None:
    """However often it fails, the wait is never longer, and never an overflow."""
    backoff = Backoff(0.5, 3.0)
    assert [backoff.wait_seconds(failures) for failures in (1, 2, 3, 4, 10_000)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_a_row_of_failures_is_trouble_until_the_first_success() -> None:
    """The first failures are quiet; then it says what is wrong and how often; a success ends the row, not the count."""
    retries = Retries("reader", Backoff(1.0, 2.0), quiet_failures=2)
    assert [retries.note_failure("no disk") for _ in range(2)] == [1.0, 2.0]
    assert retries.trouble == ""
    retries.note_failure("no disk")
    assert retries.trouble == "no disk (failed 3 times in a row)"
    retries.note_success()
    assert (retries.trouble, retries.in_a_row, retries.total) == ("", 0, 3)


def test_a_long_reason_is_shortened() -> None:
    """What is shown of it fits a line of status."""
    retries = Retries("reader", Backoff(1.0, 2.0), quiet_failures=0)
    retries.note_failure("x" * 10_000)
    assert len(retries.trouble) < MAX_WHY_CHARACTERS + 50


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a\n  b"), "ValueError: a b"),
        (KeyError(), "KeyError"),
        (OSError(28, "full"), "OSError: [Errno 28] full"),
    ],
)
def test_an_error_is_one_line(error: Exception, line: str) -> None:
    """Its class, and its words if it has any."""
    assert describe_error(error) == line
