"""A dead letter that is not taken: its record waits and says so, or is passed over in a stated way; never silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mesh.bus.dispatcher import Assignment, Dispatcher, Tries
from mesh.bus.envelope import ReadRecord, WireRecord
from mesh.bus.errors import PoisonError, RefusedError
from mesh.errors import BrokerUnavailableError
from tests.support.waiting import until

if TYPE_CHECKING:
    from mesh.bus.message import Incoming

QUICK = Tries(max_tries=3, first_wait_seconds=0.01, longest_wait_seconds=0.02)


class Letters:
    """Takes dead letters, or raises."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.max_bytes: int | None = None
        self.taken: list[WireRecord] = []

    async def __call__(self, letter: WireRecord) -> None:
        if self.error is not None:
            raise self.error
        if self.max_bytes is not None and letter.size_bytes > self.max_bytes:
            raise RefusedError("too large")
        self.taken.append(letter)


async def refuse(_record: Incoming) -> None:
    raise PoisonError("no turn")


def make(letters: Letters, committed: list[int]) -> Dispatcher:
    return Dispatcher(
        group="group",
        handler=refuse,
        publish_dead_letter=letters,
        progress=lambda _assignment, position: committed.append(position),
        tries=QUICK,
    )


def record(offset: int, value: bytes, *, unreadable: str = "") -> ReadRecord:
    return ReadRecord("topic", 0, offset, 1, b"key", value, [], unreadable)


async def test_without_a_topic_for_them_the_record_waits_and_says_so() -> None:
    """Nothing is committed past a record that is kept nowhere; after a few tries `trouble` names it, and it goes on."""
    letters, committed = Letters(), list[int]()
    letters.error = BrokerUnavailableError("the broker does not have the topic")
    dispatcher = make(letters, committed)
    dispatcher.deliver([(Assignment("topic", 0), [record(4, b"x")])])
    await until("the trouble", lambda: bool(dispatcher.trouble))
    assert "record 4 of topic waits for its dead letter" in dispatcher.trouble
    assert "does not have the topic" in dispatcher.trouble
    assert not committed
    letters.error = None
    await until("the letter", lambda: len(letters.taken) == 1)
    assert await dispatcher.drain(5)
    assert dispatcher.trouble == ""
    assert committed == [5]


async def test_one_that_is_too_large_is_kept_without_its_value() -> None:
    """A letter that its topic refuses for its size is written without the value, and the partition goes on."""
    letters, committed = Letters(), list[int]()
    letters.max_bytes = 100
    dispatcher = make(letters, committed)
    dispatcher.deliver([(Assignment("topic", 0), [record(4, b"x" * 500)])])
    assert await dispatcher.drain(5)
    (letter,) = letters.taken
    assert letter.value is None
    assert dict(letter.headers)["dead_letter_offset"] == b"4"
    assert (committed, dispatcher.counters.dead_lettered) == ([5], 1)


async def test_one_that_is_refused_whatever_is_in_it_is_counted_and_passed_over() -> None:
    """A record that not even its place can be kept of stays in its topic alone: counted, and the partition goes on."""
    letters, committed = Letters(), list[int]()
    letters.error = RefusedError("never")
    dispatcher = make(letters, committed)
    dispatcher.deliver([(Assignment("topic", 0), [record(4, b"x"), record(5, b"y")])])
    assert await dispatcher.drain(5)
    assert (committed[-1], dispatcher.counters.unkept, dispatcher.counters.dead_lettered) == (6, 2, 0)


async def test_a_batch_that_cannot_be_read_reaches_no_handler() -> None:
    """It is tried once, and its letter has the raw bytes."""
    letters, committed = Letters(), list[int]()
    dispatcher = make(letters, committed)
    dispatcher.deliver([(Assignment("topic", 0), [record(9, b"raw", unreadable="a batch cannot be read")])])
    assert await dispatcher.drain(5)
    (letter,) = letters.taken
    assert letter.value == b"raw"
    headers = dict(letter.headers)
    assert headers["dead_letter_error"] == b"a batch cannot be read"
    assert headers["dead_letter_tries"] == b"1"
    assert (committed, dispatcher.counters.unreadable) == ([10], 1)
