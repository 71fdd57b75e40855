"""How long a consumer waits between two fetches."""

from __future__ import annotations

from mesh.bus.fetching import FETCH_PAUSE_SECONDS, LONGEST_FETCH_PAUSE_SECONDS, pause_seconds


def test_one_record_waits_for_none() -> None:
    """With one record in flight, or none any more, the pause is the shortest."""
    assert pause_seconds(0) == pause_seconds(1) == FETCH_PAUSE_SECONDS


def test_more_in_flight_pause_longer_within_a_bound() -> None:
    """Under load more records come in one fetch, and none waits longer than the bound for it."""
    pauses = [pause_seconds(in_flight) for in_flight in range(1, 500)]
    assert pauses == sorted(pauses)
    assert pauses[9] > FETCH_PAUSE_SECONDS
    assert pauses[-1] == LONGEST_FETCH_PAUSE_SECONDS
