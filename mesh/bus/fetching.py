"""Fetches in kafka-python's own I/O thread, and hands on what a fetch brought the moment it is there.

`KafkaConsumer.poll` crosses between its caller's thread and the I/O thread four times a record, and when a response
lands between two of its steps, sends a fetch without the partition whose records just came; that fetch may then hold up
the next record by `fetch_max_wait_ms`. Here one thread takes the records and asks for more, in this order, so neither
happens. `poll_group` is what `poll` does beside fetching. Both use what kafka-python keeps private: it is pinned, and
tests/contract/test_kafka_private.py says which names.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


FETCH_PAUSE_SECONDS = 0.005
"""Between records handed on and the next fetch: the interpreter is needed for what was handed on, and more comes in
one fetch."""
FETCH_PAUSE_A_RECORD_SECONDS = 0.001
"""The same for each further record that is not handled yet. Under load a record waits for those before it anyway, and a
fetch, a wake-up of the loop, a commit and a request to publish cost the same for one record as for thirty."""
LONGEST_FETCH_PAUSE_SECONDS = 0.04


class Fetching:
    """The fetches of one consumer."""

    def __init__(
        self, consumer: Any, *, room: Callable[[], int], deliver: Callable[[dict[Any, list[Any]]], int]
    ) -> None:
        """Both are called in the I/O thread and must not block: `room` says how many records may be taken now,
        `deliver` takes them, by partition, and says how many are not handled yet, these included.
        """
        self._fetcher = consumer._fetcher
        self._net = consumer._net
        self._room = room
        self._deliver = deliver
        self._stopped = False
        self._error: Exception | None = None

    def wake(self) -> None:
        """Takes what is there and asks for more, if nothing is asked for yet. In any thread; never raises.

        Called now and then, and when there is room again, or a partition more: else it goes on by itself.
        """
        with contextlib.suppress(Exception):  # the I/O thread has ended: `check` or the next poll of the group says so
            self._net.call_soon_threadsafe(self._pump)

    def check(self) -> None:
        """Raises what a fetch met that kafka-python does not mend itself; nothing is fetched any more then."""
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Nothing more is delivered, but for what is being delivered."""
        self._stopped = True

    # ---- in the I/O thread ----

    async def _pump(self) -> None:
        try:
            while not self._stopped and (room := self._room()) > 0:
                records, _ = self._fetcher.fetched_records(room)
                if not records:
                    for future in await self._fetcher._send_fetches_async():
                        future.add_callback(self._answered)  # one that failed is sent again by the next wake
                    return
                await self._net.sleep(pause_seconds(self._deliver(records)))
        except Exception as error:  # noqa: BLE001 - raised where it can be handled
            self._error, self._stopped = error, True

    def _answered(self, _response: object) -> None:
        self._net.call_soon(self._pump)


def pause_seconds(in_flight: int) -> float:
    """Returns the time until the next fetch when so many records are not handled yet."""
    seconds = FETCH_PAUSE_SECONDS + FETCH_PAUSE_A_RECORD_SECONDS * (in_flight - 1)
    return max(FETCH_PAUSE_SECONDS, min(seconds, LONGEST_FETCH_PAUSE_SECONDS))


def poll_group(consumer: Any, timeout_ms: int) -> bool:
    """Joins the group, sees to the partitions' positions and calls back for answered commits; says if all have one.

    Blocks for up to `timeout_ms` while it joins. In the consumer's own thread, some times a second.
    """
    if not consumer._coordinator.poll(timeout_ms=timeout_ms):
        return False
    consumer._refresh_committed_offsets(timeout_ms=timeout_ms)
    fetcher = consumer._fetcher
    fetcher.reset_offsets_if_needed()
    fetcher.maybe_validate_positions()
    fetcher.validate_offsets_if_needed()
    positions: bool = consumer._subscription.has_all_fetch_positions()
    return positions
