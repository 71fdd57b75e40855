"""`debate`, `list`, `show`, `watch`, `cancel`: what people read, what scripts parse, how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from rostrum.debate.v1 import debate_pb2

from mesh.cli.exits import Exit
from mesh.errors import StoreUnavailableError
from mesh.local.errors import StartupError
from services.moderator.commands import debates, following
from tests.support.fake_world import StopReason, debate, history, turn
from tests.support.model_server import model_url

if TYPE_CHECKING:
    from tests.support.fake_world import Bench


def test_a_debate_is_told_in_order(bench: Bench) -> None:
    """Topic, question, each turn with its figures, then reason, summary, verdict, where to look."""
    result = bench.rostrum("debate", "Cats")
    assert result.code == Exit.OK
    places = [
        result.out.index(part)
        for part in (
            "Cats", "Round 1: Why cats?", "team-a (for) - round 1, turn 1, 40 + 9 tokens, 1.5 s", "They purr.",
            "\nteam-b (against) - ", "They scratch.",
            "Stopped: all rounds were held", "Summary", "Both spoke.", "Verdict",
            "team-a argued better.",
        )
    ]  # fmt: skip
    assert places == sorted(places)
    assert "`rostrum show d1`" in result.err


def test_plain_when_piped(bench: Bench) -> None:
    """No escape sequence and no carriage return is in what a pipe gets, even if a model wrote one."""
    bench.moderator.turns[0].text = "They \x1b[31mpurr\r\x07."
    bench.moderator.events = history(bench.moderator.debates[0], bench.moderator.turns)
    result = bench.rostrum("debate", "Cats")
    assert "They [31mpurr." in result.out
    assert not set("\x1b\r\x07") & set(result.out + result.err)


def test_a_debate_in_json_is_one_event_a_line(bench: Bench) -> None:
    """Every line is protobuf's JSON of an event with the proto's field names; the last has the verdict."""
    result = bench.rostrum("debate", "Cats", "--json")
    events = [json.loads(line) for line in result.out.splitlines()]
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    assert events[3]["turn_taken"]["turn"]["prompt_tokens"] == 40
    assert events[3]["turn_taken"]["turn"]["forfeited"] is False
    assert events[-1]["debate_ended"]["debate"]["verdict"] == "team-a argued better."


def test_what_is_asked_for_is_created(bench: Bench) -> None:
    """Rounds, seats, time and budget reach the moderator, with a request_id that makes the call idempotent."""
    result = bench.rostrum(
        *("debate", "Cats", "--rounds", "3", "--agents", "team-c=against,team-a=for", "--budget", "5000"),
        *("--turn-seconds", "300"),
    )
    assert result.code == Exit.OK
    (request,) = bench.moderator.created
    assert (request.debate.max_rounds, request.debate.token_budget) == (3, 5000)
    assert [seat.agent for seat in request.debate.seats] == ["team-c", "team-a"]
    assert request.debate.settings.turn_deadline.ToSeconds() == 300
    assert len(request.request_id) == 36


def test_a_mesh_that_ran_is_left_running(bench: Bench) -> None:
    """A debate stops only what it started."""
    bench.rostrum("debate", "Cats")
    assert bench.runner.orders == []


def test_a_mesh_that_was_started_is_stopped(bench: Bench) -> None:
    """A debate that started Rostrum stops it, and says how to see the debate again."""
    bench.runner.running = False
    bench.environ["OPENAI_BASE_URL"] = model_url()
    result = bench.rostrum("debate", "Cats", "--model", "openai:scripted")
    assert result.code == Exit.OK
    assert bench.runner.orders == ["start openai:scripted", "stop"]
    assert "`rostrum up --detach`, then `rostrum show d1`" in result.err


def test_ctrl_c_ends_what_was_started(bench: Bench) -> None:
    """Ctrl-C cancels the debate, stops what the command started, and ends with 130."""
    bench.runner.running = False
    bench.environ["OPENAI_BASE_URL"] = model_url()
    bench.moderator.interrupts_at = 4
    result = bench.rostrum("debate", "Cats", "--model", "openai:scripted")
    assert result.code == Exit.INTERRUPTED
    assert bench.moderator.cancelled == ["Ctrl-C"]
    assert bench.runner.orders == ["start openai:scripted", "stop"]


def test_ctrl_c_leaves_a_mesh_that_ran(bench: Bench) -> None:
    """Ctrl-C cancels the debate of this command and stops nothing that others may use; a watch cancels nothing."""
    bench.moderator.interrupts_at = 4
    assert bench.rostrum("debate", "Cats").code == Exit.INTERRUPTED
    assert bench.rostrum("watch", "d1").code == Exit.INTERRUPTED
    assert (bench.moderator.cancelled, bench.runner.orders) == (["Ctrl-C"], [])


def test_a_refused_debate_stops_what_was_started(bench: Bench) -> None:
    """An error after the start leaves nothing running either."""
    bench.runner.running = False
    bench.environ["OPENAI_BASE_URL"] = model_url()
    result = bench.rostrum("debate", "refuse me", "--model", "openai:scripted")
    assert (result.code, bench.runner.orders[-1]) == (Exit.USAGE, "stop")
    assert result.err.splitlines()[-1] == "rostrum: The topic is refused."


def test_a_debate_is_created_once_the_broker_answers(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that pauses costs a note, not the debate; the request is the same each time, so it is made once."""
    monkeypatch.setattr(debates, "RETRY_SECONDS", 0.01)
    bench.moderator.unavailable = 2
    result = bench.rostrum("debate", "Cats", "--model", "openai:scripted")
    assert result.code == Exit.OK
    assert result.err.count("the debate cannot be created yet, trying again: No broker answers.") == 2
    assert len({request.request_id for request in bench.moderator.created}) == 1
    assert len(bench.moderator.created) == 3


def test_a_broker_that_stays_away_ends_the_debate(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tries have an end, and then the error is the last one's."""
    monkeypatch.setattr(debates, "CREATE_SECONDS", 0.5)
    monkeypatch.setattr(debates, "RETRY_SECONDS", 0.1)
    bench.moderator.unavailable = 1000
    result = bench.rostrum("debate", "Cats", "--model", "openai:scripted")
    assert result.code == Exit.UNAVAILABLE
    assert "rostrum: No broker answers: see" in result.err


def test_a_start_that_fails_is_one_line(bench: Bench) -> None:
    """The runner's own line is shown as it is, with exit code 1 and no traceback."""
    bench.runner.running = False
    bench.runner.fault = StartupError("The broker did not come up: see broker.log.")
    bench.environ["OPENAI_BASE_URL"] = model_url()
    result = bench.rostrum("debate", "Cats", "--model", "openai:scripted")
    assert result.code == Exit.FAILURE
    assert result.err.splitlines()[-1] == "rostrum: The broker did not come up: see broker.log."


def test_another_model_than_runs(bench: Bench) -> None:
    """A debate with another model than Rostrum runs with is refused with what to do; auto takes what runs."""
    result = bench.rostrum("debate", "Cats", "--model", "embedded:small")
    assert result.code == Exit.FAILURE
    assert "`rostrum down` first" in result.err
    assert bench.rostrum("debate", "Cats", "--model", "auto").code == Exit.OK


def test_a_cancelled_debate_is_no_success(bench: Bench) -> None:
    """Exit code 6 when the debate was cancelled meanwhile."""
    ended = debate(stop_reason=StopReason.CANCELLED)
    ended.summary = ended.verdict = ""
    bench.moderator.events = history(ended, bench.moderator.turns[:1])
    result = bench.rostrum("debate", "Cats")
    assert result.code == Exit.NO_RESULT
    assert "it was cancelled" in result.out


def test_a_debate_without_a_model(bench: Bench) -> None:
    """Exit code 5, why it stopped, and a status where summary and verdict would be."""
    ended = debate(stop_reason=StopReason.MODEL_UNAVAILABLE)
    ended.summary = ended.verdict = ""
    ended.summary_absence = ended.verdict_absence = debate_pb2.MODEL_FAILED
    bench.moderator.events = history(ended, bench.moderator.turns[:1])
    result = bench.rostrum("debate", "Cats")
    assert result.code == Exit.UNAVAILABLE
    assert "Stopped: the model does not answer any more" in result.out
    assert "No summary: the moderator's model did not answer" in result.out
    assert "No verdict: the moderator's model did not answer" in result.out


def test_a_debate_whose_model_died_before_the_verdict(bench: Bench) -> None:
    """Exit code 5 as well: all rounds were held, and what they are held for is missing for want of a model."""
    ended = debate(stop_reason=StopReason.MAX_ROUNDS)
    ended.summary = ended.verdict = ""
    ended.summary_absence = ended.verdict_absence = debate_pb2.MODEL_FAILED
    bench.moderator.events = history(ended, bench.moderator.turns)
    result = bench.rostrum("debate", "Cats")
    assert result.code == Exit.UNAVAILABLE
    assert "no verdict" in result.err


def test_a_verdict_is_shown_as_data(bench: Bench) -> None:
    """Winner, a table of scores, the turns that decided, the rationale once; the agenda and the language before all."""
    scores = [
        debate_pb2.SideScore(agent="team-a", argument=7, evidence=6, rebuttal=5, clarity=8),
        debate_pb2.SideScore(agent="team-b", argument=4, evidence=6, rebuttal=5, clarity=10),
    ]
    judgement = debate_pb2.Judgement(winner="team-a", scores=scores, decisive_turns=[1, 3], rationale="It had facts.")
    ended = debate(judgement=judgement, agenda=["Why cats?", "Why not?"], language="de")
    ended.verdict = judgement.rationale
    bench.moderator.debates = [ended]
    out = bench.rostrum("show", "d1").out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "Verdict: team-a (for)" in lines
    assert "SIDE ARGUMENT EVIDENCE REBUTTAL CLARITY SUM" in lines
    assert "team-a (for) 7 6 5 8 26" in lines
    assert "team-b (against) 4 6 5 10 25" in lines
    assert "Decided by: turn 1, 3" in lines
    assert out.count("It had facts.") == 1
    assert "in German" in out
    assert out.index("- Why not?") < out.index("They purr.")
    shown = bench.rostrum("show", "d1", "--json").json
    assert shown["judgement"]["scores"][1]["clarity"] == 10
    judgement.winner = ""
    bench.moderator.debates = [debate(judgement=judgement)]
    assert "Verdict: undecided" in bench.rostrum("show", "d1").out


def test_an_agenda_is_shown_when_it_is_planned(bench: Bench) -> None:
    """Before the first round, each question on its line."""
    planned = debate_pb2.DebateEvent(number=2, agenda_planned=debate_pb2.AgendaPlanned(questions=["Why cats?", "How?"]))
    bench.moderator.events.insert(1, planned)
    for number, event in enumerate(bench.moderator.events, 1):
        event.number = number
    out = bench.rostrum("watch", "d1").out
    assert out.index("Agenda") < out.index("- How?") < out.index("Round 1: Why cats?")


def test_the_language_reaches_the_moderator(bench: Bench) -> None:
    """In its standard form; what is no language is refused before anything is started."""
    assert bench.rostrum("debate", "Cats", "--language", "pt_br").code == Exit.OK
    assert bench.moderator.created[0].debate.language == "pt-BR"
    refused = bench.rostrum("debate", "Cats", "--language", "klingonese")
    assert refused.code == Exit.USAGE
    assert "--language" in refused.err


def test_a_debate_in_which_nobody_spoke(bench: Bench) -> None:
    """Exit code 6, each forfeit with its reason, and where to look."""
    silent = [turn(1, "", forfeited=True, forfeit_reason="The model gave nothing.")]
    bench.moderator.events = history(debate(stop_reason=StopReason.FORFEITED), silent)
    result = bench.rostrum("debate", "Cats")
    assert result.code == Exit.NO_RESULT
    assert "(forfeited: The model gave nothing.)" in result.out
    assert "`rostrum logs`" in result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("debate",),
        ("debate", ""),
        ("debate", "ab"),
        ("debate", "x" * 501),
        ("debate", "two\nlines"),
        ("debate", "bell\x07"),
        ("debate", "bad \udcff byte"),
        ("debate", "Cats", "--rounds", "0"),
        ("debate", "Cats", "--rounds", "51"),
        ("debate", "Cats", "--rounds", "many"),
        ("debate", "Cats", "--agents", "team-a"),
        ("debate", "Cats", "--budget", "much"),
        ("debate", "Cats", "--turn-seconds", "long"),
        ("debate", "Cats", "--turn-seconds", "-1"),
        ("debate", "Cats", "--turn-seconds", "601"),
        ("show",),
        ("show", "a/b"),
        ("show", ""),
        ("watch", "d1", "--after", "99"),
        ("list", "--limit", "0"),
        ("nonsense",),
        ("list", "--nonsense"),
        ("watch", "d1", "--after", "-1"),
    ],
)
def test_bad_arguments(bench: Bench, arguments: tuple[str, ...]) -> None:
    """Exit code 2 and one readable line for every argument that can never work; nothing is created or started."""
    result = bench.rostrum(*arguments)
    assert result.code == Exit.USAGE
    assert result.err.startswith("rostrum: ")
    assert len(result.err.splitlines()) == 1
    assert bench.moderator.created == []


def test_a_model_name_that_is_none(bench: Bench) -> None:
    """Exit code 2 before anything is started."""
    bench.runner.running = False
    for model in ("gpt", "embedded:huge", "ollama:", "openai:x"):
        assert bench.rostrum("debate", "Cats", "--model", model).code == Exit.USAGE
    assert bench.runner.orders == []


def test_an_unknown_debate(bench: Bench) -> None:
    """Exit code 4 and where to look, by every command that takes an id."""
    for command in ("show", "watch", "cancel"):
        result = bench.rostrum(command, "nope")
        assert result.code == Exit.NOT_FOUND
        assert result.err == "rostrum: There is no debates/nope: `rostrum list` shows the debates there are\n"


def test_not_running(bench: Bench) -> None:
    """Exit code 3 and the command that starts it, by every command that needs Rostrum to run."""
    bench.runner.running = False
    for arguments in (
        ["list"], ["show", "d1"], ["watch", "d1"], ["cancel", "d1"], ["status"], ["logs"], ["ask", "team-a", "Why?"],
        ["history", "team-a"], ["scale", "team-a=2"],
    ):  # fmt: skip
        result = bench.rostrum(*arguments)
        assert result.code == Exit.NOT_RUNNING
        assert "`rostrum up --detach` starts it" in result.err


def test_show_in_json_is_the_debate_with_its_turns(bench: Bench) -> None:
    """All pages of turns are there, with the proto's names and defaults; the id may be a name."""
    shown = bench.rostrum("show", "debates/d1", "--json").json
    assert shown["state"] == "ENDED"
    assert [entry["number"] for entry in shown["turns"]] == [1, 2]
    assert shown["turns"][0]["forfeit_reason"] == ""


def test_show_prints_the_record(bench: Bench) -> None:
    """The stored debate reads like the one that was watched."""
    shown = bench.rostrum("show", "d1").out
    assert shown.index("Round 1: Why cats?") < shown.index("They scratch.") < shown.index("team-a argued better.")


def test_list_pages_to_the_limit(bench: Bench) -> None:
    """As many debates as asked for, over pages, newest first as the moderator has them."""
    bench.moderator.debates = [debate(f"d{number}") for number in range(5)]
    names = [entry["name"] for entry in bench.rostrum("list", "--limit", "3", "--json").json["debates"]]
    assert names == ["debates/d0", "debates/d1", "debates/d2"]
    assert len(bench.rostrum("list").out.splitlines()) == 6


def test_watch_resumes_where_it_was_broken(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams that break in the middle lose no event and repeat none."""
    monkeypatch.setattr(following, "PAUSE_SECONDS", 0.0)
    bench.moderator.breaks = 3
    result = bench.rostrum("watch", "d1", "--json")
    numbers = [json.loads(line)["number"] for line in result.out.splitlines()]
    assert numbers == list(range(1, len(bench.moderator.events) + 1))
    assert bench.moderator.watched_after == [0, 1, 2, 3]


def test_watch_after_a_number(bench: Bench) -> None:
    """Only the events above it are shown."""
    lines = bench.rostrum("watch", "d1", "--after", "5", "--json").out.splitlines()
    assert json.loads(lines[0])["number"] == 6


def test_cancel(bench: Bench) -> None:
    """The reason reaches the moderator, and the debate as it ended comes back."""
    assert bench.rostrum("cancel", "d1", "--reason", "enough", "--json").json["stop_reason"] == "CANCELLED"
    assert bench.moderator.cancelled == ["enough"]


def test_a_service_that_cannot_work_now(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 5 and what to do when a store is unusable."""

    def fail(*_arguments: object) -> None:
        raise StoreUnavailableError("The store cannot be used.", store="moderator")

    monkeypatch.setattr(bench.runner, "status", fail)
    result = bench.rostrum("list")
    assert result.code == Exit.UNAVAILABLE
    assert "see `rostrum logs moderator`" in result.err
