"""Kafka's codecs, read within a bound: gzip, snappy, lz4 and zstd, as a producer or a topic's compression.type has it.

kafka-python's own readers trust what they read: a batch of a few KB may become gigabytes in them, and a block of
snappy with a negative length keeps them busy without end. These end with CodecError. mesh.bus.kafka_python puts them
in their place; nothing else calls them.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import lz4.frame  # type: ignore[import-untyped]
import snappy  # type: ignore[import-untyped]
import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_BATCH_BYTES = 64 * 1024 * 1024
"""Of a batch once it is decompressed: far above any topic's max.message.bytes times what text shrinks to, and below
what a pod has for all batches that it reads at once."""

_GZIP = 31
"""zlib's window bits for a gzip header."""
_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES = 16
_CHUNK_BYTES = 1024 * 1024


class CodecError(ValueError):
    """A batch cannot be decompressed, or becomes too large. The message says why."""


def decompress_gzip(payload: Any) -> bytes:
    """Returns the batch. Raises CodecError."""
    rest, written = bytes(payload), bytearray()
    while rest:
        reader = zlib.decompressobj(_GZIP)
        try:
            written += reader.decompress(rest, MAX_BATCH_BYTES + 1 - len(written))
        except zlib.error as error:
            raise CodecError(f"its gzip cannot be read: {error}") from error
        _check_size(len(written))
        if not reader.eof:
            raise CodecError("its gzip ends too early")
        rest = reader.unused_data
    return bytes(written)


def decompress_snappy(payload: bytes) -> bytes:
    """Returns the batch: one block of snappy, or those of xerial's stream. Raises CodecError."""
    if not payload.startswith(_XERIAL_MAGIC):
        return _decompress_block(payload, 0)
    written, start = bytearray(), _XERIAL_HEADER_BYTES
    while start < len(payload):
        if len(payload) - start < 4:
            raise CodecError("its snappy stream ends within the length of a block")
        (length,) = struct.unpack_from("!i", payload, start)
        start += 4
        if not 0 < length <= len(payload) - start:
            raise CodecError(f"a block of its snappy stream has the length {length}, {len(payload) - start} are left")
        written += _decompress_block(payload[start : start + length], len(written))
        start += length
    return bytes(written)


def _decompress_block(block: bytes, before: int) -> bytes:
    _check_size(before + _read_snappy_size(block))
    try:
        return bytes(snappy.decompress(block))
    except Exception as error:
        raise CodecError(f"its snappy cannot be read: {error}") from error


def _read_snappy_size(block: bytes) -> int:
    """Returns what a block says of its own size: a varint of at most 5 bytes at its beginning."""
    size = 0
    for place, byte in enumerate(block[:5]):
        size |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return size
    raise CodecError("its snappy says no size")


def decompress_lz4(payload: bytes) -> bytes:
    """Returns the batch. Raises CodecError."""
    reader = lz4.frame.LZ4FrameDecompressor()
    try:
        written: bytes = reader.decompress(payload, MAX_BATCH_BYTES + 1)
    except (RuntimeError, ValueError, MemoryError) as error:
        raise CodecError(f"its lz4 cannot be read: {error}") from error
    _check_size(len(written))
    if not reader.eof:
        raise CodecError("its lz4 ends too early")
    return written


def decompress_zstd(payload: bytes) -> bytes:
    """Returns the batch, of all its frames. Raises CodecError."""
    written = bytearray()
    try:
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(payload), read_across_frames=True) as reader:
            while chunk := reader.read(_CHUNK_BYTES):
                written += chunk
                _check_size(len(written))
    except (zstandard.ZstdError, MemoryError) as error:
        raise CodecError(f"its zstd cannot be read: {error}") from error
    return bytes(written)


def _check_size(size_bytes: int) -> None:
    if size_bytes > MAX_BATCH_BYTES:
        raise CodecError(f"decompressed it is larger than {MAX_BATCH_BYTES} bytes")


READERS: Mapping[str, Callable[[Any], bytes]] = {
    "gzip": decompress_gzip,
    "snappy": decompress_snappy,
    "lz4": decompress_lz4,
    "zstd": decompress_zstd,
}
"""By the name that Kafka gives the codec."""
