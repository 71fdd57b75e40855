"""What can be wrong with a record that was read. Raised by handlers and by the consumer; never crosses gRPC."""

from __future__ import annotations


class PoisonError(Exception):
    """This record can never be handled: it goes to the dead letters at once. The message says what is wrong."""


class RecordTooLargeError(PoisonError):
    """The record is larger than MAX_RECORD_BYTES; no handler sees it."""


class UnreadableBatchError(PoisonError):
    """The record stands for a batch that cannot be decompressed or decoded; no handler sees it."""


class RefusedError(Exception):
    """The broker or the client refuses this record for good, such as for its size; sending it again is of no use."""
