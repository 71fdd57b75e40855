"""A batch that cannot be read becomes one record that says so, and the next batch is read: no partition stands for it.

kafka-python raises out of such a batch, again at each fetch: its CRC is wrong, its codec is unknown, its bytes are no
codec's, its records are broken. `read_batches` stands in the place of its own loop over the batches of a fetch; what it
yields for such a batch has the batch's raw bytes, goes the way of all records, and ends among the dead letters. Records
of the batch that could be read before are handled as usual. Installed by mesh.bus.kafka_python.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mesh.retries import describe_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

CODECS = {0: "no codec", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}


@dataclass(frozen=True, slots=True)
class UnreadableBatch:
    """Stands for the records of a batch that could not be read; has what `read_record` takes of a ConsumerRecord."""

    topic: str
    partition: int
    offset: int
    """Of its last record."""
    timestamp: int
    value: bytes
    """The whole batch as the broker sent it, header included."""
    why: str
    """What is wrong with it, and which offsets it has."""
    key: None = None
    headers: tuple[()] = field(default=())


class _Batches:
    """The batches of one fetch, of which the last one is remembered. Stands for kafka-python's MemoryRecords."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.last: Any = None
        """What was returned last; None at the end."""
        self.newest: Any = None
        """The last one that there was."""
        self.raw = b""

    def next_batch(self) -> Any:
        raw = self._records._next_slice  # the batch that next_batch is about to return
        self.raw = self.raw if raw is None else bytes(raw)
        try:
            self.last = self._records.next_batch()
        except Exception:
            if self._records._next_slice is not raw:  # it is passed: the next one can be read
                self.last = _Headless(int.from_bytes(self.raw[:8], signed=True))
            raise
        self.newest = self.last or self.newest
        return self.last


@dataclass(frozen=True, slots=True)
class _Headless:
    """A batch whose header cannot be read but for its first field."""

    base_offset: int
    magic: int = 0


def read_batches(unpack: Callable[..., Iterator[Any]], part: Any, partition: Any, records: Any) -> Iterator[Any]:
    """Yields the records of a fetch: those that kafka-python's `unpack` reads, and an UnreadableBatch for the rest.

    `part` is its PartitionRecords, whose next_fetch_offset goes past the batch. What is wrong with no batch in
    particular is raised, as before.
    """
    batches = _Batches(records)
    while True:
        before = batches.last
        try:
            yield from unpack(part, partition, batches, None, None)
        except Exception as error:  # a codec's, a record's, a decoder's: all say that this batch cannot be read
            batch = batches.last
            if batch is None or batch is before:
                raise  # not even the length of the next one can be read: there is no way past it
            last = _find_last_offset(batch, part.next_fetch_offset)
            if last < part.next_fetch_offset:
                log.warning("%s has bytes after its last record, offset %d: %s", partition, last, error)
                continue
            why = _describe(batch, len(batches.raw), (part.next_fetch_offset, last), error)
            log.error("%s: %s", partition, why)
            part.next_fetch_offset = last + 1
            timestamp = int(batch.max_timestamp) if batch.magic >= 2 else 0
            yield UnreadableBatch(partition.topic, partition.partition, last, timestamp, batches.raw, why)
        else:
            batch = batches.newest
            if batch is not None and batch.magic < 2 and part.next_fetch_offset <= batch.base_offset:
                # kafka-python would fetch it again and again: its records claim to stand before it.
                why = f"a batch of the old format has no record at its offset, {batch.base_offset}"
                log.error("%s: %s", partition, why)
                part.next_fetch_offset = batch.base_offset + 1
                yield UnreadableBatch(partition.topic, partition.partition, batch.base_offset, 0, batches.raw, why)
            return


def _find_last_offset(batch: Any, next_offset: int) -> int:
    """Returns the last offset of a batch; where its header may be broken as well, the next one alone is passed over.

    A broker checks what is written, so a wrong CRC is a fault of its disk: then only a count of records that agrees
    with the offsets is believed.
    """
    if batch.magic < 2:
        return max(next_offset, int(batch.base_offset))
    is_whole = 0 <= batch.last_offset_delta == batch.records_count - 1
    if is_whole or _has_right_crc(batch):
        return int(batch.last_offset)
    return next_offset


def _has_right_crc(batch: Any) -> bool:
    try:
        return bool(batch.validate_crc())
    except AssertionError:  # it was checked, and is decompressed by now
        return True


def _describe(batch: Any, size_bytes: int, offsets: tuple[int, int], error: Exception) -> str:
    first, last = offsets
    codec = batch.attributes & 7 if batch.magic >= 2 else 0
    name = CODECS.get(codec, f"codec {codec}, which Kafka does not know")
    where = f"offset {last}" if first >= last else f"offsets {first} to {last}"
    return f"a batch of {size_bytes} bytes with {name} cannot be read ({where}): {describe_error(error)}"
