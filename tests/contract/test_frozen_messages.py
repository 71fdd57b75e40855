"""Bytes that were written once are read for good: a frozen sample of each message, as on the wire and in JSON."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from tests.contract.freeze import FROZEN, as_json, messages, samples


def _frozen() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(FROZEN.read_text("utf-8"))
    return loaded


def test_every_message_is_frozen() -> None:
    """Each message of the contracts, and each kind of an event, has its sample."""
    missing = {name for message in messages() for name, _ in samples(message)} - set(_frozen())
    assert not missing, "run `python -m tests.contract.freeze`"


def test_frozen_bytes_are_read_as_they_were_written() -> None:
    """Each sample's bytes mean what they meant, down to the last field, and nothing in them is unknown."""
    for name, entry in _frozen().items():
        message = GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name.split("/")[0]))()
        message.ParseFromString(bytes.fromhex(entry["bytes"]))
        assert as_json(message) == entry["json"], name
        message.DiscardUnknownFields()
        assert message.SerializeToString(deterministic=True).hex() == entry["bytes"], name


def test_frozen_json_is_written_as_the_same_bytes() -> None:
    """Each sample's JSON, which scripts write too, gives the same bytes: names and numbers have not moved."""
    for name, entry in _frozen().items():
        message = GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name.split("/")[0]))()
        ParseDict(entry["json"], message)
        assert message.SerializeToString(deterministic=True).hex() == entry["bytes"], name
