"""What the keyed consumer keeps in mind: offset prefixes, key queues, topics, dead letters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.bus.dead_letters import dead_letter, redrive
from mesh.bus.dispatcher import Tries
from mesh.bus.envelope import ReadRecord, to_incoming
from mesh.bus.errors import PoisonError
from mesh.bus.key_queues import KeyQueues
from mesh.bus.offsets import PrefixTracker
from mesh.bus.topics import (
    DEAD_LETTERS_MAX_MESSAGE_BYTES,
    MAX_RECORD_BYTES,
    TOPIC_MAX_MESSAGE_BYTES,
    TURNS_TOPIC,
    dead_letters_topic,
    describe,
    floors_topic,
)


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


def test_a_step_back_starts_anew() -> None:
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


def test_describes_the_topics() -> None:
    """Every topic that is named here is declared, with room for what it must take."""
    assert floors_topic("team-a") == "rostrum.agent.team-a.floors.v1"
    assert describe(floors_topic("team-a")).types == (
        "rostrum.agent.v1.FloorGranted",
        "rostrum.agent.v1.FloorWithdrawn",
    )
    assert describe(TURNS_TOPIC).types == ("rostrum.debate.v1.TurnTaken",)
    assert describe(dead_letters_topic(TURNS_TOPIC)).max_message_bytes == DEAD_LETTERS_MAX_MESSAGE_BYTES
    assert MAX_RECORD_BYTES < TOPIC_MAX_MESSAGE_BYTES < DEAD_LETTERS_MAX_MESSAGE_BYTES


@pytest.mark.parametrize("name", ["", "rostrum.debate.turns.v2", "rostrum.agent..floors.v1", "x.dead-letters.v1"])
def test_knows_no_other_topics(name: str) -> None:
    """A name that is not declared is refused."""
    with pytest.raises(ValueError, match="no topic of Rostrum"):
        describe(name)


@pytest.mark.parametrize("agent", ["", "Team", "a.b", "-a", "a-", "a b"])
def test_refuses_what_is_no_agent(agent: str) -> None:
    """An id that would not make a topic of its own is refused."""
    with pytest.raises(ValueError, match="cannot be the id"):
        floors_topic(agent)


def test_a_redrive_writes_the_very_record() -> None:
    """A dead letter, redriven, is the record that died: key, value and headers, for the topic it came from."""
    record = ReadRecord(TURNS_TOPIC, 3, 7, 1, b"\xff", None, [("own", b"\xfe"), ("ce_id", b"1")])
    letter = dead_letter(record, PoisonError("bad " + "ü" * 2000), group="moderator", tries=1, traceparent="00-a-b-01")
    names = dict(letter.headers)
    assert letter.topic == dead_letters_topic(TURNS_TOPIC)
    assert len(names["dead_letter_error"]) <= 2_000
    assert names["dead_letter_traceparent"] == b"00-a-b-01"
    back = redrive(ReadRecord(letter.topic, 0, 0, 2, letter.key, letter.value, letter.headers))
    assert (back.topic, back.key, back.value, back.headers) == (TURNS_TOPIC, b"\xff", None, record.headers)
    with pytest.raises(ValueError, match="where it came from"):
        redrive(record)


def test_what_is_not_utf8_is_left_out() -> None:
    """A record of anybody's bytes becomes an Incoming without failing."""
    incoming = to_incoming(ReadRecord("t", 0, 0, 1, b"\xff", None, [("ce_id", b"\xff"), ("ok", b"1")]))
    assert (incoming.key, incoming.payload, incoming.event_id, incoming.headers) == ("", b"", "", {"ok": "1"})
