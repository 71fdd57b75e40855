"""The registry of topics: names, message types, partitions, retention and sizes, each declared here and nowhere else.

The `KafkaTopic` resources of k8s/base say the same to the broker; a test compares the two. Nothing here talks to Kafka.

Sizes: what Rostrum writes and handles is at most MAX_RECORD_BYTES. The broker takes up to `max_message_bytes` of a
topic, which is more, so that an oversized record of somebody else is counted and kept as a dead letter where people
can look at it, rather than lost at its writer; beyond that the broker refuses it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_RECORD_BYTES = 1024 * 1024
"""Largest payload that is published or handled; a turn has at most 4,000 characters. Below TOPIC_MAX_MESSAGE_BYTES."""

TOPIC_MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""`max.message.bytes` of the topics that are read by services."""

DEAD_LETTERS_MAX_MESSAGE_BYTES = 5 * 1024 * 1024
"""`max.message.bytes` of dead letters: any record of a read topic and the headers that explain it."""

DAY_MS = 24 * 60 * 60 * 1000

TURNS_TOPIC = "rostrum.debate.turns.v1"
"""What agents said; read by the moderator."""

_DEAD_LETTERS_SUFFIX = ".dead-letters.v1"
_FLOORS = re.compile(r"rostrum\.agent\.([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)\.floors\.v1")


@dataclass(frozen=True, slots=True)
class Topic:
    """How one topic is to be made."""

    name: str
    partitions: int
    """Replicas of a reader beyond this number have nothing to do."""
    retention_ms: int
    max_message_bytes: int
    types: tuple[str, ...]
    """Full names of the protobuf messages it carries; empty: whatever the topic it belongs to carried."""


def floors_topic(agent: str) -> str:
    """Returns the topic that grants floors to this agent (its id, such as "team-a")."""
    name = f"rostrum.agent.{agent}.floors.v1"
    if _FLOORS.fullmatch(name) is None:
        raise ValueError(f"{agent!r} cannot be the id of an agent: lower-case letters, digits and dashes only")
    return name


def dead_letters_topic(topic: str) -> str:
    """Returns the topic that keeps what could not be handled of `topic`."""
    return topic + _DEAD_LETTERS_SUFFIX


def describe(name: str) -> Topic:
    """Returns how the topic of this name is to be made. ValueError if Rostrum has no such topic."""
    if name.endswith(_DEAD_LETTERS_SUFFIX):
        describe(name.removesuffix(_DEAD_LETTERS_SUFFIX))
        return Topic(name, 1, 30 * DAY_MS, DEAD_LETTERS_MAX_MESSAGE_BYTES, ())
    if name == TURNS_TOPIC:
        return Topic(name, 6, 7 * DAY_MS, TOPIC_MAX_MESSAGE_BYTES, ("rostrum.debate.v1.TurnTaken",))
    if _FLOORS.fullmatch(name):
        types = ("rostrum.agent.v1.FloorGranted", "rostrum.agent.v1.FloorWithdrawn")
        return Topic(name, 6, DAY_MS, TOPIC_MAX_MESSAGE_BYTES, types)
    raise ValueError(f"{name!r} is no topic of Rostrum")
