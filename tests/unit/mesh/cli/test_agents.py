"""`ask` and `history`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rostrum.local.v1 import runner_pb2

from mesh.cli.exits import CommandError, Exit
from mesh.cli.world import agents_of

if TYPE_CHECKING:
    from tests.support.fake_world import Bench


def test_ask(bench: Bench) -> None:
    """The answer alone is on stdout, so that it can be piped on; model and tokens are on stderr."""
    result = bench.rostrum("ask", "team-a", "Why cats?")
    assert (result.code, result.out) == (Exit.OK, "You ask: Why cats?\n")
    assert "scripted, 5 + 7 tokens" in result.err


def test_ask_in_json(bench: Bench) -> None:
    """The utterance with the proto's names and defaults; the agent may be given as a resource name."""
    said = bench.rostrum("ask", "agents/team-a", "Why cats?", "--json").json
    assert (said["kind"], said["completion_tokens"], said["turn_number"]) == ("ANSWER", 7, 0)


def test_history(bench: Bench) -> None:
    """Each utterance with its debate and turn; --debate asks for one debate only."""
    assert "d1, turn 1 - Why cats?" in bench.rostrum("history", "team-a").out
    said = bench.rostrum("history", "team-a", "--debate", "d7", "--json").json
    assert said["utterances"][0]["debate"] == "debates/d7"


def test_an_unknown_agent(bench: Bench) -> None:
    """Exit code 4 and the agents there are; the moderator is none."""
    for arguments in (["ask", "team-z", "Why?"], ["history", "moderator"]):
        result = bench.rostrum(*arguments)
        assert result.code == Exit.NOT_FOUND
        assert result.err.endswith("there are: team-a, team-b\n")


def test_a_question_that_is_no_text(bench: Bench) -> None:
    """Exit code 2 for bytes that are not UTF-8."""
    assert bench.rostrum("ask", "team-a", "\udcff").code == Exit.USAGE


def test_an_agent_is_what_its_label_says(bench: Bench) -> None:
    """A status of before there was the label is no reason to believe that there is no agent."""
    status = runner_pb2.Status(pods=[runner_pb2.Pod(name="team-a-0", deployment="team-a")])
    with pytest.raises(CommandError, match="`rostrum down`, and start it again"):
        agents_of(status)
    assert agents_of(runner_pb2.Status()) == []
