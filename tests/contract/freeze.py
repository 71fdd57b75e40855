"""Writes frozen_messages.json: one filled sample of each message of the contracts, as bytes and as JSON.

Run as `python -m tests.contract.freeze` after a message was added. It never changes a sample that is there: those bytes
may lie in someone's topic or store. test_frozen_messages.py reads them back.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass
from rostrum.agent.v1 import agent_service_pb2, floor_pb2
from rostrum.debate.v1 import debate_pb2, debate_service_pb2, turn_taken_pb2
from rostrum.local.v1 import runner_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

FROZEN = Path(__file__).with_name("frozen_messages.json")

FILES = (debate_pb2, debate_service_pb2, turn_taken_pb2, agent_service_pb2, floor_pb2, runner_pb2)

DEPTH = 3
"""Messages within messages that are filled."""


def messages() -> Iterator[Descriptor]:
    """Every message of the contracts, by full name."""
    yield from sorted(
        (message for file in FILES for message in file.DESCRIPTOR.message_types_by_name.values()),
        key=lambda m: m.full_name,
    )


def sample(message: Descriptor, depth: int = DEPTH) -> Message:
    """A message with every field set to a value made from its name and number."""
    filled = GetMessageClass(message)()
    for field in message.fields:
        if field.message_type is not None and depth == 0:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            entries = field.message_type.fields_by_name
            getattr(filled, field.name)[_value(entries["key"], depth)] = _value(entries["value"], depth)
            continue
        value = _value(field, depth)
        if field.is_repeated:
            getattr(filled, field.name).extend([value, value])
        elif field.message_type is not None:
            getattr(filled, field.name).CopyFrom(value)
        else:
            setattr(filled, field.name, value)
    return filled


def _value(field: FieldDescriptor, depth: int) -> Any:
    if field.message_type is not None:
        if field.message_type.full_name.startswith("google.protobuf."):
            return GetMessageClass(field.message_type)(seconds=1000 + field.number, nanos=5_000_000)
        return sample(field.message_type, depth - 1)
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return True
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return f"{field.name} \N{LATIN SMALL LETTER E WITH ACUTE}"
    return 100 + field.number + (0.5 if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE else 0)


def samples(message: Descriptor) -> Iterator[tuple[str, Message]]:
    """The samples of a message by name: one, or one for each branch of its oneof."""
    if not message.oneofs:
        yield message.full_name, sample(message)
        return
    for branch in message.oneofs[0].fields:
        chosen = GetMessageClass(message)()
        for field in message.fields:
            if field.containing_oneof is None and field.message_type is None:
                setattr(chosen, field.name, _value(field, DEPTH))
        getattr(chosen, branch.name).CopyFrom(_value(branch, DEPTH))
        yield f"{message.full_name}/{branch.name}", chosen


def as_json(message: Message) -> dict[str, Any]:
    """The message's JSON with the proto's field names, set fields only."""
    return MessageToDict(message, preserving_proto_field_name=True)


def main() -> None:
    """Adds what is missing."""
    frozen = json.loads(FROZEN.read_text("utf-8")) if FROZEN.exists() else {}
    for message in messages():
        for name, filled in samples(message):
            entry = {"bytes": filled.SerializeToString(deterministic=True).hex(), "json": as_json(filled)}
            frozen.setdefault(name, entry)
    FROZEN.write_text(json.dumps(frozen, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
