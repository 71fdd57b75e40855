"""The topics that our protos declare, as tests look at them."""

from __future__ import annotations

import importlib
import pkgutil
from collections import defaultdict
from typing import TYPE_CHECKING

import rostrum
from google.protobuf.message_factory import GetMessageClass
from rostrum.agent.v1 import floor_pb2
from rostrum.bus.v1 import topic_pb2
from rostrum.debate.v1 import turn_taken_pb2

from mesh.bus.topics import Topic, topic_of

if TYPE_CHECKING:
    from google.protobuf.message import Message

TURNS_TOPIC = topic_of(turn_taken_pb2.TurnTaken)
FLOORS_TOPIC = topic_of(floor_pb2.FloorGranted, floor_pb2.FloorWithdrawn)


def declared_topics() -> list[Topic]:
    """Every topic that a message of protos/rostrum declares, by name."""
    messages: dict[str, list[type[Message]]] = defaultdict(list)
    for found in pkgutil.walk_packages(rostrum.__path__, "rostrum."):
        if not found.name.endswith("_pb2"):
            continue
        for descriptor in importlib.import_module(found.name).DESCRIPTOR.message_types_by_name.values():
            name = descriptor.GetOptions().Extensions[topic_pb2.topic].name
            if name:
                messages[name].append(GetMessageClass(descriptor))
    return [topic_of(*messages[name]) for name in sorted(messages)]
