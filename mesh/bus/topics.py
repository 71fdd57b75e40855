"""Topics as the protos declare them: read from the option rostrum.bus.v1.topic of the messages that they carry.

Names no topic: who produces or consumes a message asks for its topic with `topic_of`. The `KafkaTopic` resources of
k8s/base say the same to the broker; a test compares the two. Nothing here talks to Kafka.

Sizes: what Rostrum writes and handles is at most MAX_RECORD_BYTES. The broker takes up to `max_message_bytes` of a
topic, which is more, so that an oversized record of somebody else is counted and kept as a dead letter where people
can look at it, rather than lost at its writer; beyond that the broker refuses it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from rostrum.bus.v1 import topic_pb2

from mesh.bus.message import Outgoing
from mesh.resource_names import AGENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

MAX_RECORD_BYTES = 1024 * 1024
"""Largest payload that is published or handled; a turn has at most 4,000 characters. Below any topic's limit."""

DEAD_LETTERS_MAX_MESSAGE_BYTES = 5 * 1024 * 1024
"""`max.message.bytes` of dead letters: any record of a read topic and the headers that explain it."""

DEAD_LETTERS_RETENTION_MS = 30 * 24 * 60 * 60 * 1000
"""Time for people to look at them and to send them again."""

_AGENT = "{agent}"
_DEAD_LETTERS_SUFFIX = ".dead-letters.v1"


@dataclass(frozen=True, slots=True)
class Topic:
    """How one topic, or the topics of all agents, are to be made."""

    name: str
    """With "{agent}" in it there is one for each agent: see `of`."""
    partitions: int
    """Replicas of a reader beyond this number have nothing to do."""
    retention_ms: int
    max_message_bytes: int
    types: tuple[str, ...]
    """Full names of the protobuf messages it carries; empty: whatever the topic it belongs to carried."""
    key: str = ""
    """The field of these messages that names the resource whose id is a record's key."""

    @property
    def is_of_agents(self) -> bool:
        """Whether each agent has one."""
        return _AGENT in self.name

    def of(self, agent: str) -> Topic:
        """Returns the topic of this agent (its id, such as "team-a"). ValueError if it cannot be the id of one."""
        return _of(self, agent)

    @property
    def dead_letters(self) -> Topic:
        """The topic that keeps what could not be handled of this one."""
        name = dead_letters_topic(self.name)
        return Topic(name, 1, DEAD_LETTERS_RETENTION_MS, DEAD_LETTERS_MAX_MESSAGE_BYTES, ())

    def record(self, message: Message, event_id: str, headers: Mapping[str, str]) -> Outgoing:
        """Returns the record that carries this message, which is one of `types`."""
        key: str = getattr(message, self.key)
        return Outgoing(
            topic=self.name,
            key=key.rpartition("/")[2],
            event_id=event_id,
            type=message.DESCRIPTOR.full_name,
            payload=message.SerializeToString(),
            headers=headers,
        )


def topic_of(*messages: type[Message]) -> Topic:
    """Returns the topic that these messages share, as they declare it.

    ValueError if one has no topic, if they name different ones, or if what they declare is not whole or not possible.
    """
    types = tuple(message.DESCRIPTOR.full_name for message in messages)
    merged = topic_pb2.Topic()
    for message in messages:
        declared = message.DESCRIPTOR.GetOptions().Extensions[topic_pb2.topic]
        if not declared.name or merged.name not in {"", declared.name}:
            raise ValueError(f"{', '.join(types)} share no topic: one says {declared.name!r}")
        merged.MergeFrom(declared)
    if not (merged.partitions > 0 and merged.retention.seconds > 0 and merged.key):
        raise ValueError(f"no message of {merged.name} says its partitions, retention and key: {', '.join(types)}")
    if not MAX_RECORD_BYTES < merged.max_message_bytes < DEAD_LETTERS_MAX_MESSAGE_BYTES:
        bounds = f"above {MAX_RECORD_BYTES} and below {DEAD_LETTERS_MAX_MESSAGE_BYTES}"
        raise ValueError(f"max_message_bytes of {merged.name} must be {bounds}, not {merged.max_message_bytes}")
    for message in messages:
        if merged.key not in message.DESCRIPTOR.fields_by_name:
            raise ValueError(f"{message.DESCRIPTOR.full_name} has no field {merged.key}, the key of {merged.name}")
    return Topic(
        name=merged.name,
        partitions=merged.partitions,
        retention_ms=merged.retention.ToMilliseconds(),
        max_message_bytes=merged.max_message_bytes,
        types=types,
        key=merged.key,
    )


def dead_letters_topic(topic: str) -> str:
    """Returns the name of the topic that keeps what could not be handled of `topic`."""
    return topic + _DEAD_LETTERS_SUFFIX


@lru_cache(maxsize=1024)
def _of(topic: Topic, agent: str) -> Topic:
    if not AGENTS.is_id(agent):
        raise ValueError(f"{agent!r} cannot be the id of an agent, which is {AGENTS.id_form}")
    return replace(topic, name=topic.name.replace(_AGENT, agent))
