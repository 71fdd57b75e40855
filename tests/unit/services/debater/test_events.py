"""Answers to records: the debater's turns as the moderator reads them."""

from __future__ import annotations

from dataclasses import replace

from rostrum.debate.v1 import turn_taken_pb2

from mesh.agent.model import Kind, Utterance
from services.debater.events import TURN_TAKEN, TurnMessages
from tests.unit.mesh.agent.fakes import floor


def test_an_answer_is_of_the_floor_that_asks() -> None:
    """A stored turn carries the asking floor's attempt, and its id is the same each time it is sent for that floor."""
    said = Utterance("u1", Kind.TURN, "debates/d1", 1, 1, "Q?", "Text.", "m", 10, 5, 1)
    messages = TurnMessages()
    second = messages.encode_turn(floor(attempt=2), said, {})
    assert second.event_id == messages.encode_turn(floor(attempt=2), said, {}).event_id
    assert second.event_id != messages.encode_turn(floor(attempt=1), said, {}).event_id
    assert (second.topic, second.key, second.type) == ("rostrum.debate.turns.v1", "d1", TURN_TAKEN)
    taken = turn_taken_pb2.TurnTaken.FromString(second.payload)
    assert (taken.debate, taken.turn.attempt, taken.turn.text) == ("debates/d1", 2, "Text.")
    assert not taken.turn.forfeited


def test_a_forfeit_says_why() -> None:
    """A turn without text goes out as forfeited, with its reason and what it cost."""
    said = Utterance("u1", Kind.TURN, "debates/d1", 1, 1, "Q?", "", "m", 10, 5, 1)
    outgoing = TurnMessages().encode_turn(floor(), replace(said, forfeit_reason="No answer."), {})
    turn = turn_taken_pb2.TurnTaken.FromString(outgoing.payload).turn
    assert (turn.forfeited, turn.forfeit_reason, turn.prompt_tokens) == (True, "No answer.", 10)
