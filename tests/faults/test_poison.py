"""Records that do not belong: what cannot be handled is kept as a dead letter, the rest changes nothing, and the
partition moves on.

One debate runs while they are written with its own key, so that they stand between its turns on its own partition.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from kafka.admin import ConfigResource  # type: ignore[import-untyped]
from rostrum.debate.v1 import debate_pb2, turn_taken_pb2

from mesh.bus.kafka_python import KafkaConsumer, KafkaProducer, TopicPartition
from mesh.bus.topics import dead_letters_topic
from mesh.local.broker import administration
from tests.support.broker import home_access
from tests.support.system import System
from tests.support.topics import FLOORS_TOPIC, TURNS_TOPIC
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mesh.bus.access import KafkaAccess

pytestmark = pytest.mark.timeout(120)

ROUNDS = 3
TURNS = 2 * ROUNDS
TURN_TAKEN = "rostrum.debate.v1.TurnTaken"
FLOOR_GRANTED = "rostrum.agent.v1.FloorGranted"
TWO_MIB = 2 * 1024 * 1024


@dataclass(frozen=True)
class Letter:
    """A dead letter, as far as tests look at it."""

    value: bytes
    error: str
    key: bytes


class Topics:
    """Writes records as anybody with access to the broker could, and reads dead letters."""

    def __init__(self, access: KafkaAccess) -> None:
        self._access = access
        self._producer = KafkaProducer(**access.client_settings(), max_request_size=4 * TWO_MIB)

    def write(self, topic: str, name: str, payload: bytes, kind: str) -> None:
        """Writes a record with a debate's key and returns once the broker has it."""
        headers = [("ce_type", kind.encode()), ("ce_id", b"poison")]
        key = name.removeprefix("debates/").encode()
        self._producer.send(topic, key=key, value=payload, headers=headers).get(timeout=20)

    def dead_letters(self, topic: str) -> list[Letter]:
        """All dead letters of a topic so far."""
        letters = dead_letters_topic(topic)
        consumer = KafkaConsumer(**self._access.client_settings(), auto_offset_reset="earliest")
        try:
            partition = TopicPartition(letters, 0)
            consumer.assign([partition])
            end = consumer.end_offsets([partition])[partition]
            found: list[Letter] = []
            while consumer.position(partition) < end:
                for records in consumer.poll(timeout_ms=1000).values():
                    found.extend(_letter(record) for record in records)
            return found
        finally:
            consumer.close()

    def close(self) -> None:
        self._producer.close()


def _letter(record: Any) -> Letter:
    headers = dict(record.headers)
    return Letter(record.value, headers["dead_letter_error"].decode(), record.key)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with System.running(tmp_path_factory.mktemp("poison"), scripted={"SCRIPTED_DELAY_SECONDS": "0.3"}) as system:
        yield system


@pytest.fixture(scope="module")
def topics(system: System) -> Iterator[Topics]:
    topics = Topics(home_access(system.home, system.pod("kafka-0")["addresses"][0]))
    yield topics
    topics.close()


def taken(name: str, turn: debate_pb2.Turn) -> bytes:
    return turn_taken_pb2.TurnTaken(debate=name, turn=turn).SerializeToString()


def turn(number: int, agent: str, *, text: str = "Smuggled in.", attempt: int = 1) -> debate_pb2.Turn:
    return debate_pb2.Turn(number=number, agent=agent, text=text, attempt=attempt)


def assert_as_usual(system: System, name: str) -> None:
    debate = system.wait_for_end(name)
    turns = system.turns(name)
    assert [turn.number for turn in turns] == list(range(1, TURNS + 1))
    assert [turn.agent for turn in turns] == ["team-a", "team-b"] * ROUNDS
    assert all(turn.text and turn.text != "Smuggled in." and not turn.forfeited for turn in turns)
    assert debate.stop_reason == debate_pb2.Debate.MAX_ROUNDS
    assert debate.verdict


def test_what_cannot_be_a_turn_is_a_dead_letter(system: System, topics: Topics) -> None:
    """No protobuf, another type, no type, an unknown debate, a turn without text, and 2 MiB: each is kept as it was,
    once, with its reason; the debate on the same partition ends as usual."""
    name = system.create("Poison on the turns topic", rounds=ROUNDS)
    valid = taken(name, turn(1, "team-a"))
    too_large = taken(name, turn(1, "team-a", text="x" * TWO_MIB))
    unknown = taken("debates/0000000000000000", turn(1, "team-a"))
    expected = {
        b"\xff\xfe no protobuf": "the payload is no rostrum.debate.v1.TurnTaken",
        valid + b"\x00": "the payload is no rostrum.debate.v1.TurnTaken",
        unknown: "0000000000000000",
        taken("team-a", turn(1, "team-a")): "not of the form debates/{debate}",
        taken(name, turn(1, "team-a", text=" ")): "has no text",
        taken(name, turn(0, "team-a")): "turn has number 0",
        too_large: "bytes",
    }
    for payload in expected:
        topics.write(TURNS_TOPIC.name, name, payload, TURN_TAKEN)
    topics.write(TURNS_TOPIC.name, name, valid, FLOOR_GRANTED)
    topics.write(TURNS_TOPIC.name, name, valid, "")
    expected_errors = [*expected.values(), "ce_type is rostrum.agent.v1.FloorGranted", "ce_type is missing"]

    def letters() -> list[Letter]:
        key = name.removeprefix("debates/").encode()
        return [letter for letter in topics.dead_letters(TURNS_TOPIC.name) if letter.key == key]

    wait_until("all dead letters", lambda: len(letters()) >= len(expected_errors), seconds=30)
    assert_as_usual(system, name)
    found = letters()
    assert Counter(letter.value for letter in found) == Counter([*expected, valid, valid])
    for letter, error in zip(found, expected_errors, strict=True):
        assert error in letter.error


def test_turns_that_do_not_fit_the_floor_change_nothing(system: System, topics: Topics) -> None:
    """A turn that was recorded already, one far ahead, one of an attempt that was never granted and one of an agent
    that does not have the floor are no dead letters and not in the record; the debate ends as usual."""
    name = system.create("Turns out of order", rounds=ROUNDS)
    system.wait_for_turn(name, 2)
    first, second = system.turns(name)[:2]
    before = len(topics.dead_letters(TURNS_TOPIC.name))
    misfits = [
        taken(name, first),
        taken(name, second),
        taken(name, turn(1, "team-a")),
        taken(name, turn(5, "team-b")),
        taken(name, turn(99, "team-a")),
        taken(name, turn(3, "team-a", attempt=2)),
        taken(name, turn(3, "team-b")),
        taken(name, turn(3, "nobody")),
    ]
    for payload in misfits:
        topics.write(TURNS_TOPIC.name, name, payload, TURN_TAKEN)
    assert_as_usual(system, name)
    assert system.turns(name)[:2] == [first, second]
    assert len(topics.dead_letters(TURNS_TOPIC.name)) == before


def test_a_turn_after_the_end_changes_nothing(system: System, topics: Topics) -> None:
    """What comes for a debate that has ended leaves it as it is, and the next debate runs as usual."""
    name = system.create("A word after the end", rounds=1)
    ended = system.wait_for_end(name)
    topics.write(TURNS_TOPIC.name, name, taken(name, turn(3, "team-a")), TURN_TAKEN)
    assert_as_usual(system, system.create("The debate after it", rounds=ROUNDS))
    assert system.debate(name) == ended


@pytest.mark.parametrize("codec", ["zstd", "snappy"])
def test_topics_that_are_compressed_hold_debates(system: System, codec: str) -> None:
    """With compression.type on all topics of a debate, as another cluster may have it, it ends as usual, and every
    pod is ready with nothing to say."""
    access = home_access(system.home, system.pod("kafka-0")["addresses"][0])
    topics = (TURNS_TOPIC.name, *(FLOORS_TOPIC.of(agent).name for agent in ("team-a", "team-b")))
    with administration(access, "compress topics") as admin:
        admin.alter_configs([ConfigResource("TOPIC", topic, {"compression.type": codec}) for topic in topics])
    assert_as_usual(system, system.create(f"Compressed with {codec}", rounds=ROUNDS))
    assert {name: (pod.ready, pod.message) for name, pod in system.pods().items() if pod.message or not pod.ready} == {}


def test_garbage_among_floors_is_a_dead_letter(system: System, topics: Topics) -> None:
    """No protobuf, another type, another agent's floor and 2 MiB on an agent's floors topic: dead letters, and the
    agent takes its next floors as usual."""
    name = system.create("Poison on a floors topic", rounds=ROUNDS)
    topic = FLOORS_TOPIC.of("team-b").name
    garbage = [b"\xff\xfe no protobuf", b"", b"\x00" * TWO_MIB]
    for payload in garbage:
        topics.write(topic, name, payload, FLOOR_GRANTED)
    topics.write(topic, name, b"", TURN_TAKEN)
    topics.write(topic, name, b"\xff", "rostrum.agent.v1.FloorWithdrawn")
    expected = Counter([*garbage, b"", b"\xff"])
    wait_until(
        "all dead letters",
        lambda: Counter(letter.value for letter in topics.dead_letters(topic)) == expected,
        seconds=30,
    )
    assert_as_usual(system, name)
