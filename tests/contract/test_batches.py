"""Batches that cannot be read, as kafka-python's own fetcher sees them once mesh.bus has mended it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest
from kafka import codec  # type: ignore[import-untyped]
from kafka.consumer.fetcher import Fetcher  # type: ignore[import-untyped]
from kafka.record._crc32c import crc as crc32c  # type: ignore[import-untyped]
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder  # type: ignore[import-untyped]

from mesh.bus import codecs
from mesh.bus.batches import UnreadableBatch
from mesh.bus.dead_letters import dead_letter, redrive, without_value
from mesh.bus.envelope import ReadRecord, read_record
from mesh.bus.errors import UnreadableBatchError
from mesh.bus.kafka_python import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable

CODEC_NUMBERS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
WRITERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": codec.gzip_encode,
    "snappy": codec.snappy_encode,
    "lz4": codec.lz4_encode,
    "zstd": codec.zstd_encode,
}
PARTITION = TopicPartition("topic", 2)
HEADER_BYTES = 61
ATTRIBUTES, LAST_OFFSET_DELTA, RECORDS_COUNT = 21, 23, 57
"""Where these are in a batch (KIP-98)."""


def make_batch(first: int, *values: bytes, codec_number: int = 0) -> bytearray:
    """A batch of format 2 whose offsets begin at `first`."""
    builder = MemoryRecordsBuilder(2, codec_number, 1_000_000)
    for value in values:
        builder.append(timestamp=1, key=b"key", value=value, headers=[])
    builder.close()
    batch = bytearray(builder.buffer())
    struct.pack_into(">q", batch, 0, first)
    return batch


def sign(batch: bytearray) -> bytearray:
    """The same batch with the CRC of what it holds, as a broker would take it."""
    struct.pack_into(">I", batch, 17, crc32c(bytes(batch[ATTRIBUTES:])))
    return batch


def with_payload(batch: bytearray, payload: bytes, codec_number: int) -> bytearray:
    """The same batch with these bytes in the place of its records."""
    batch = batch[:HEADER_BYTES] + payload
    struct.pack_into(">i", batch, 8, len(batch) - 12)
    struct.pack_into(">h", batch, ATTRIBUTES, codec_number)
    return sign(batch)


def read(*batches: bytes | bytearray, first: int = 0) -> tuple[list[Any], int]:
    """What a fetch from offset `first` of these batches brings, and the offset of the next fetch."""
    part = Fetcher.PartitionRecords(first, PARTITION, MemoryRecords(b"".join(bytes(batch) for batch in batches)))
    records: list[Any] = []
    while part.record_iterator is not None:
        records += part.take(2)
    return records, part.next_fetch_offset


def values(records: list[Any]) -> list[Any]:
    return [record.value for record in records if not isinstance(record, UnreadableBatch)]


@pytest.mark.parametrize("name", CODEC_NUMBERS)
def test_what_kafkas_codecs_compressed_is_read(name: str) -> None:
    """A batch of each codec has its records."""
    batch = make_batch(5, b"one", b"two" * 1000, codec_number=CODEC_NUMBERS[name])
    records, after = read(batch, first=5)
    assert values(records) == [b"one", b"two" * 1000]
    assert [record.offset for record in records] == [5, 6]
    assert after == 7


def broken_batches() -> dict[str, tuple[bytes | bytearray, str]]:
    """Batches of the offsets 1 and 2 that cannot be read, and words of why."""
    plain = make_batch(1, b"one", b"two")
    records = bytes(plain[HEADER_BYTES:])
    found: dict[str, tuple[bytes | bytearray, str]] = {
        "wrong CRC": (make_batch(1, b"one", b"two")[:-1] + b"!", "failed crc check"),
        "unknown codec": (with_payload(plain, records, 7), "codec 7, which Kafka does not know"),
        "too few bytes": (with_payload(plain, records[:3], 0), "Found invalid record structure"),
        "no bytes": (with_payload(plain, b"", 0), "Found invalid record structure"),
        "record of negative length": (with_payload(plain, b"\x01" + records, 0), "cannot be read"),
    }
    for name, number in CODEC_NUMBERS.items():
        compressed = WRITERS[name](records * 50)
        found |= {
            f"{name}: other bytes": (with_payload(plain, b"\x00junk" * 9, number), f"with {name} cannot be read"),
            f"{name}: cut": (with_payload(plain, WRITERS[name](records)[:-5], number), f"with {name} cannot be read"),
            f"{name}: more than said": (with_payload(plain, compressed, number), "unconsumed bytes"),
            f"{name}: nothing": (with_payload(plain, WRITERS[name](b""), number), f"with {name} cannot be read"),
        }
    negative = b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01" + struct.pack(">i", -4) * 3
    found["snappy: block of negative length"] = (with_payload(plain, negative, 2), "the length -4")
    return found


BROKEN = broken_batches()


@pytest.mark.parametrize("name", [name for name in BROKEN if "more than said" not in name])
def test_a_broken_batch_is_one_record_and_the_next_one_is_read(name: str) -> None:
    """What cannot be decoded is one record with the raw batch and why; batches before and after have their records."""
    broken, why = BROKEN[name]
    records, after = read(make_batch(0, b"before"), broken, make_batch(3, b"after"))
    assert values(records)[0] == b"before"
    assert values(records)[-1] == b"after"
    assert after == 4
    (unread,) = [record for record in records if isinstance(record, UnreadableBatch)]
    assert why in unread.why
    assert unread.value == bytes(broken)
    assert (unread.topic, unread.partition, unread.offset) == ("topic", 2, 2)
    assert read_record(unread).unreadable == unread.why
    offsets = [record.offset for record in records]
    assert offsets == sorted(set(offsets))


@pytest.mark.parametrize("name", [name for name in BROKEN if "more than said" in name])
def test_bytes_after_the_last_record_cost_no_record(name: str) -> None:
    """A batch with more in it than it says has the records that it says, and no dead letter."""
    records, after = read(BROKEN[name][0], make_batch(3, b"after"))
    assert values(records) == [b"one", b"two", b"after"]
    assert len(records) == 3
    assert after == 4


def test_records_before_the_broken_one_are_handled() -> None:
    """Where a batch breaks in its middle, the records before have their handler, and the letter names the rest."""
    batch = make_batch(0, b"one", b"two", b"three")
    position = bytes(batch).index(b"two")
    batch[position - 1] = 0x7E  # the length of its value
    records, after = read(sign(batch))
    assert values(records) == [b"one"]
    assert "offsets 1 to 2" in records[-1].why
    assert after == 3


@pytest.mark.parametrize("delta", [2**31 - 1, -5, 70])
def test_offsets_of_a_broken_header_are_not_believed(delta: int) -> None:
    """With a wrong CRC and offsets that do not agree with the count of records, one offset is passed over, no more."""
    batch = make_batch(4, b"one", b"two")
    struct.pack_into(">i", batch, LAST_OFFSET_DELTA, delta)
    records, after = read(batch, first=4)
    assert [record.offset for record in records] == [4]
    assert isinstance(records[0], UnreadableBatch)
    assert after == 5


@pytest.mark.parametrize("name", CODEC_NUMBERS)
def test_a_batch_that_grows_without_measure_is_not_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be larger than the bound once it is decompressed is left alone, as a batch that cannot be read."""
    monkeypatch.setattr(codecs, "MAX_BATCH_BYTES", 1_000_000)
    batch = make_batch(0, b"\x00" * 3_000_000, codec_number=CODEC_NUMBERS[name])
    (unread,), after = read(batch)
    assert "decompressed it is larger than 1000000 bytes" in unread.why
    assert after == 1


def test_a_letter_of_a_batch_is_not_written_again() -> None:
    """The dead letter of a batch has its bytes and says what it is; a redrive of it is refused."""
    record = ReadRecord("topic", 2, 7, 1, None, b"raw", [], unreadable="a batch cannot be read")
    letter = dead_letter(record, UnreadableBatchError(record.unreadable), group="g", tries=1, traceparent="")
    assert letter.value == b"raw"
    assert dict(letter.headers)["dead_letter_error"] == b"a batch cannot be read"
    kept = ReadRecord(letter.topic, 0, 0, 1, letter.key, letter.value, list(letter.headers))
    with pytest.raises(ValueError, match="holds no record"):
        redrive(kept)


def test_a_letter_that_is_too_large_says_where_its_value_stands() -> None:
    """Without its value it still names topic, partition, offset and size; a redrive of it is refused."""
    record = ReadRecord("topic", 2, 7, 1, b"key", b"x" * 500, [("ce_id", b"1")])
    letter = without_value(dead_letter(record, ValueError("no"), group="g", tries=1, traceparent=""))
    headers = dict(letter.headers)
    assert (letter.key, letter.value) == (None, None)
    assert headers["dead_letter_value_bytes"] == b"503"
    assert (headers["dead_letter_partition"], headers["dead_letter_offset"]) == (b"2", b"7")
    assert "ce_id" not in headers
    with pytest.raises(ValueError, match="holds no record"):
        redrive(ReadRecord(letter.topic, 0, 0, 1, None, None, list(letter.headers)))


def test_a_batch_whose_records_stand_elsewhere_is_passed_over() -> None:
    """The old format, compressed twice (kafka-python's issue 718): its records claim offsets long before the batch. It
    is a dead letter, once, and the next fetch is after it."""
    builder = MemoryRecordsBuilder(0, 1, 1_000_000)
    for value in (b"one", b"two"):
        builder.append(timestamp=1, key=b"key", value=value, headers=[])
    builder.close()
    batch = bytearray(builder.buffer())
    struct.pack_into(">q", batch, 0, 812_899_910)
    records, after = read(batch, first=812_899_910)
    assert [record.offset for record in records] == [812_899_910]
    assert "no record at its offset" in records[0].why
    assert records[0].value == bytes(batch)
    assert after == 812_899_911
