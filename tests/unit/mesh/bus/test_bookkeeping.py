"""What the keyed consumer keeps in mind: offset prefixes, key queues, topics, dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rostrum.agent.v1 import floor_pb2
from rostrum.debate.v1 import debate_pb2, turn_taken_pb2

from mesh.bus.dead_letters import dead_letter, redrive
from mesh.bus.dispatcher import Tries
from mesh.bus.envelope import ReadRecord, to_incoming
from mesh.bus.errors import PoisonError
from mesh.bus.key_queues import KeyQueues
from mesh.bus.offsets import PrefixTracker
from mesh.bus.topics import DEAD_LETTERS_MAX_MESSAGE_BYTES, MAX_RECORD_BYTES, dead_letters_topic, topic_of
from tests.support.topics import FLOORS_TOPIC, TURNS_TOPIC

if TYPE_CHECKING:
    from google.protobuf.message import Message


@given(st.data())
def test_commits_exactly_the_handled_prefix(data: st.DataObject) -> None:
    """Whatever the order of handling and the gaps between offsets, the position is after the handled prefix."""
    offsets = sorted(data.draw(st.sets(st.integers(0, 100), min_size=1)))
    tracker = PrefixTracker()
    for offset in offsets:
        tracker.arrived(offset)
    handled: set[int] = set()
    for offset in data.draw(st.permutations(offsets)):
        before = next((one for one in offsets if one not in handled), None)
        handled.add(offset)
        position = tracker.handled(offset)
        after = next((one for one in offsets if one not in handled), None)
        if before == after:
            assert position is None
        else:
            prefix = [one for one in offsets if after is None or one < after]
            assert position == prefix[-1] + 1
    assert tracker.waiting == 0


def test_a_step_back_starts_again() -> None:
    """Offsets that are read again are tracked again; an answer for what was forgotten moves nothing."""
    tracker = PrefixTracker()
    for offset in (5, 6, 7):
        tracker.arrived(offset)
    tracker.arrived(5)
    assert tracker.handled(7) is None
    assert tracker.handled(5) == 6


def test_serves_a_key_in_order_and_once_at_a_time() -> None:
    """A key becomes busy with its first item and idle when nothing is left."""
    queues: KeyQueues[str, int] = KeyQueues()
    assert queues.put("a", 1)
    assert not queues.put("a", 2)
    assert queues.put("b", 3)
    assert len(queues) == 2
    assert [queues.take("a"), queues.take("a"), queues.take("a")] == [1, 2, None]
    assert queues.put("a", 4)
    queues.put("a", 5)
    assert queues.drop("a") == 2
    assert queues.put("a", 6)


def test_waits_longer_with_each_try_up_to_a_limit() -> None:
    """Doubles from the first wait and stays at the longest."""
    tries = Tries(first_wait_seconds=0.1, longest_wait_seconds=0.3)
    assert [tries.wait_seconds(number) for number in (1, 2, 3, 1000)] == [0.1, 0.2, 0.3, 0.3]


def test_topics_are_read_from_their_messages() -> None:
    """What a proto declares is what its reader gets, with room for what the topic must take."""
    floors = FLOORS_TOPIC.of("team-a")
    assert (FLOORS_TOPIC.is_of_agents, TURNS_TOPIC.is_of_agents) == (True, False)
    assert floors.name == "rostrum.agent.team-a.floors.v1"
    assert floors.types == ("rostrum.agent.v1.FloorGranted", "rostrum.agent.v1.FloorWithdrawn")
    assert (TURNS_TOPIC.name, TURNS_TOPIC.types) == ("rostrum.debate.turns.v1", ("rostrum.debate.v1.TurnTaken",))
    assert (TURNS_TOPIC.partitions, TURNS_TOPIC.retention_ms, floors.retention_ms) == (6, 7 * 86_400_000, 86_400_000)
    assert TURNS_TOPIC.dead_letters.name == dead_letters_topic(TURNS_TOPIC.name)
    assert TURNS_TOPIC.dead_letters.max_message_bytes == DEAD_LETTERS_MAX_MESSAGE_BYTES
    for topic in (TURNS_TOPIC, FLOORS_TOPIC):
        assert MAX_RECORD_BYTES < topic.max_message_bytes < DEAD_LETTERS_MAX_MESSAGE_BYTES


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ((debate_pb2.Turn,), "share no topic"),
        ((turn_taken_pb2.TurnTaken, floor_pb2.FloorGranted), "share no topic"),
        ((floor_pb2.FloorWithdrawn,), "says its partitions"),
    ],
)
def test_a_message_without_a_whole_topic_is_refused(messages: tuple[type[Message], ...], why: str) -> None:
    """A payload that declares no topic, another one, or only the name of one is no payload to be sent."""
    with pytest.raises(ValueError, match=why):
        topic_of(*messages)


@pytest.mark.parametrize("agent", ["", "Team", "a.b", "-a", "a-", "a b", "9a", "a" * 41])
def test_refuses_what_is_no_agent(agent: str) -> None:
    """An id that would not make a topic of its own is refused."""
    with pytest.raises(ValueError, match="cannot be the id"):
        FLOORS_TOPIC.of(agent)


def test_a_record_says_what_it_carries() -> None:
    """Topic, key and type of a record come from the message and what it declares."""
    taken = turn_taken_pb2.TurnTaken(debate="debates/d1", turn=debate_pb2.Turn(number=1))
    record = TURNS_TOPIC.record(taken, "d1/1/1/taken", {"traceparent": "00-a-b-01"})
    assert (record.topic, record.key, record.type) == (TURNS_TOPIC.name, "d1", "rostrum.debate.v1.TurnTaken")
    assert (record.event_id, record.headers) == ("d1/1/1/taken", {"traceparent": "00-a-b-01"})
    assert turn_taken_pb2.TurnTaken.FromString(record.payload) == taken


def test_a_redrive_writes_the_very_record() -> None:
    """A dead letter, redriven, is the record that died: key, value and headers, for the topic it came from."""
    record = ReadRecord(TURNS_TOPIC.name, 3, 7, 1, b"\xff", None, [("own", b"\xfe"), ("ce_id", b"1")])
    letter = dead_letter(record, PoisonError("bad " + "ü" * 2000), group="moderator", tries=1, traceparent="00-a-b-01")
    names = dict(letter.headers)
    assert letter.topic == dead_letters_topic(TURNS_TOPIC.name)
    assert len(names["dead_letter_error"]) <= 2_000
    assert names["dead_letter_traceparent"] == b"00-a-b-01"
    back = redrive(ReadRecord(letter.topic, 0, 0, 2, letter.key, letter.value, letter.headers))
    assert (back.topic, back.key, back.value, back.headers) == (TURNS_TOPIC.name, b"\xff", None, record.headers)
    with pytest.raises(ValueError, match="where it came from"):
        redrive(record)


def test_what_is_not_utf8_is_left_out() -> None:
    """A record of anybody's bytes becomes an Incoming without failing."""
    incoming = to_incoming(ReadRecord("t", 0, 0, 1, b"\xff", None, [("ce_id", b"\xff"), ("ok", b"1")]))
    assert (incoming.key, incoming.payload, incoming.event_id, incoming.headers) == ("", b"", "", {"ok": "1"})
